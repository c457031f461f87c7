package sftp_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestListEntries: how many entries a READDIR reply holds, for the server and for one
// session.
func TestListEntries(t *testing.T) {
	for _, row := range []struct {
		server, session, replies int
	}{{0, -1, 0}, {10, -1, 100}, {1, -1, 1000}, {1, 0, 0}, {0, 7, 144}, {5000, -1, 0}} {
		srv := serverOf(&manyFS{n: 1000 - 2})
		srv.Limits.ListEntries = row.server
		var info sftp.SessionInfo
		if row.session >= 0 {
			info.Limits = &sftp.Limits{ListEntries: row.session}
		}
		play(t, srv, info, func(p *peer) {
			p.init(3)
			// With "." and ".." there are 1000; without a limit some 200 fit in a reply.
			if got := listAll(p, 1); row.replies > 0 && got < row.replies-1 || got > row.replies && row.replies > 0 || row.replies == 0 && (got < 2 || got > 8) {
				t.Errorf("%+v: %d replies", row, got)
			}
			if names := p.list("/"); len(names) != 1000 {
				t.Errorf("%+v: %d names", row, len(names))
			}
		})
	}
}

// TestW18_MillionEntries: a directory of a million entries asks the directory service once per
// owner and group, also when names are translated.
func TestW18_MillionEntries(t *testing.T) {
	n := 1_000_000
	if testing.Short() || invariant.Enabled {
		n = 50_000 // the race detector makes the same of it, twenty times as slowly
	}
	latin, err := sftp.CodePage(28591)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []fxp.Version{3, 6} {
		var asked atomic.Int32
		names := &sftp.IDNames{
			LookupUser:  func(id uint32) string { asked.Add(1); return fmt.Sprint("user", id) },
			LookupGroup: func(uint32) string { asked.Add(1); return "users" },
		}
		srv := serverOf(&manyFS{n: n, names: names})
		srv.Charset = latin
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			if got := listAll(p, 2); got < n/400 {
				t.Errorf("version %d: %d replies", v, got)
			}
		})
		if got := asked.Load(); got != 4 {
			t.Errorf("version %d: %d questions", v, got)
		}
	}
}

// TestAllocsList: listing allocates per reply, not per entry, with and without a charset.
func TestAllocsList(t *testing.T) {
	if invariant.Enabled {
		t.Log("sync.Pool drops objects at random under the race detector: nothing to measure in this build")
		return
	}
	const n = 20_000
	latin, err := sftp.CodePage(28591)
	if err != nil {
		t.Fatal(err)
	}
	for _, charset := range []*sftp.Charset{nil, latin} {
		for _, v := range []fxp.Version{3, 4, 5, 6} {
			p := newPeer(t, context.Background(), serverOf(&manyFS{n: n}), sftp.SessionInfo{Charset: charset}, 32<<10)
			p.init(v)
			if got := testing.AllocsPerRun(5, func() { listAll(p, 4) }); got > n/20 {
				t.Errorf("version %d, charset %v: %v allocations for %d entries", v, charset != nil, got, n)
			}
			p.end()
		}
	}
}
