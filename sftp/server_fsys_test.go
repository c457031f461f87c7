package sftp_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// TestW10_FixedAttributes: an attribute that a file system returns and cannot set keeps no
// client from setting the others, and is announced as not to be set.
func TestW10_FixedAttributes(t *testing.T) {
	fsys, err := osfs.New(t.TempDir(), osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	caps := fsys.Capabilities()
	if caps.FixedAttrs&^caps.Attrs != 0 || caps.FixedAttrs&sftp.AttrBirth == 0 {
		t.Fatalf("%+v", caps)
	}
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		p.put("f", "text")
		birth := time.Unix(1, 0)
		p.want("SETSTAT", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{
			V: 6, Flags: fxp.AttrPermissions | fxp.AttrCreateTime, Permissions: 0o600, Birth: fxp.Time{Sec: birth.Unix()},
		}})
		if a := p.stat("f"); a.Permissions&0o777 != 0o600 {
			p.t.Errorf("mode %o", a.Permissions)
		}
	})
}

// TestW23_QuotaCountsWhatItGrants: space and removals that a quota would not see are refused.
func TestW23_QuotaCountsWhatItGrants(t *testing.T) {
	ctx := context.Background()
	fsys := newQuota(t, "", 100, 5).Wrap(memfs.New(memfs.Options{}))
	if c := fsys.Capabilities(); c.Features.Has(sftp.FeatureDeleteOnClose) || c.FixedAttrs&sftp.AttrAllocation == 0 {
		t.Errorf("%+v", c)
	}
	wantCode(t, "put", putFile(fsys, "/f", "text"), sftp.CodeOK)
	a := &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 1000}
	wantCode(t, "SETSTAT", fsys.SetStat(ctx, "/f", a, true), sftp.CodeOpUnsupported)
	how := sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting}
	f, err := fsys.Open(ctx, "/f", &how)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "FSETSTAT", f.SetStat(ctx, a), sftp.CodeOpUnsupported)
	wantCode(t, "CLOSE", f.Close(nil), sftp.CodeOK)
	how.Attrs = a
	_, err = fsys.Open(ctx, "/f", &how)
	wantCode(t, "OPEN", err, sftp.CodeOpUnsupported)
	how.Attrs, how.Flags = nil, sftp.OpenDeleteOnClose
	_, err = fsys.Open(ctx, "/f", &how)
	wantCode(t, "OPEN, delete on close", err, sftp.CodeOpUnsupported)
}
