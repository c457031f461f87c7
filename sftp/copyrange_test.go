package sftp_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestCVE_8_8_CopyRange: by ReadAt and WriteAt, onto itself and with a source that grows.
func TestCVE_8_8_CopyRange(t *testing.T) {
	ctx := context.Background()
	fsys := memfs.New(memfs.Options{})
	open := func(name string) sftp.File {
		f, err := fsys.Open(ctx, name, &sftp.OpenHow{
			Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenOrCreate,
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	src, dst := open("/src"), open("/dst")
	if _, err := src.WriteAt(make([]byte, 700_000), 0); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		off, srcOff, n, want int64
		code                 sftp.Code
	}{
		{0, 0, 0, 700_000, 0},
		{5, 100, 1000, 1000, 0},
		{0, 699_999, 5, 1, 0},
		{0, 700_000, 0, 0, 0},
		{-1, 0, 0, 0, sftp.CodeInvalidParameter},
		{0, 0, math.MaxInt64, 700_000, 0},
		{math.MaxInt64, 0, 0, 0, sftp.CodeInvalidParameter},
	} {
		n, err := sftp.CopyRange(ctx, dst, row.off, src, row.srcOff, row.n)
		if n != row.want || sftp.CodeOf(err) != row.code {
			t.Errorf("%+v: %d %v", row, n, err)
		}
	}
	same := open("/src")
	if _, err := sftp.CopyRange(ctx, same, 1, src, 0, 0); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
		t.Errorf("overlap: %v", err)
	}
	if n, err := sftp.CopyRange(ctx, same, 700_000, src, 0, 0); n != 700_000 || err != nil {
		t.Errorf("onto its own end: %d %v", n, err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := sftp.CopyRange(done, dst, 0, src, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestUnsupported: the bases answer "unsupported" everywhere, and Close nil.
func TestUnsupported(t *testing.T) {
	ctx := context.Background()
	var u sftp.Unsupported
	var f sftp.UnsupportedFile
	var d sftp.UnsupportedDir
	first := func(_ any, err error) error { return err }
	_, _, e1 := u.RealPath(ctx, "", sftp.RealPathOpt{})
	_, _, e2 := u.LookupIDs(ctx, nil, nil)
	for i, err := range []error{
		e1, e2, first(u.Open(ctx, "", nil)), first(u.OpenDir(ctx, "")), first(u.Stat(ctx, "", sftp.StatOpt{})), u.SetStat(ctx, "", nil, true),
		u.Mkdir(ctx, "", nil), u.Remove(ctx, ""), u.Rmdir(ctx, ""), u.Rename(ctx, "", "", 0), u.Link(ctx, "", "", true),
		first(u.ReadLink(ctx, "")), first(u.StatFS(ctx, "")), first(u.HomeDir(ctx, "")), first(u.Extended(ctx, "", nil)),
		first(f.ReadAt(nil, 0)), first(f.WriteAt(nil, 0)), first(f.Stat(ctx, 0)), f.SetStat(ctx, nil), first(f.StatFS(ctx)), f.Sync(ctx),
		f.Lock(ctx, sftp.Range{}), f.Unlock(ctx, sftp.Range{}), first(f.CopyRange(ctx, 0, f, 0, 0)), first(d.Next(ctx, 1)),
	} {
		if sftp.CodeOf(err) != sftp.CodeOpUnsupported {
			t.Errorf("%d: %v", i, err)
		}
	}
	if f.Close(io.EOF) != nil || d.Close(nil) != nil || u.Capabilities().Features != 0 {
		t.Error("Close or Capabilities")
	}
}

// TestW18_IDNames: one look-up per id, in bounded memory.
func TestW18_IDNames(t *testing.T) {
	asked := 0
	n := &sftp.IDNames{
		LookupUser:  func(id uint32) string { asked++; return "u" + strconv.FormatUint(uint64(id), 10) },
		LookupGroup: func(uint32) string { asked++; return "" },
		UserID:      func(name string) (uint32, bool) { asked++; return 7, name == "seven" },
		GroupID:     func(string) (uint32, bool) { asked++; return 0, false },
	}
	for range 100 {
		id, ok := n.UID("seven")
		if n.User(5) != "u5" || n.Group(5) != "" || id != 7 || !ok {
			t.Fatal("wrong name")
		}
		if id, ok := n.GID("12"); id != 12 || !ok {
			t.Fatal("a number is its own id")
		}
		if _, ok := n.UID("nobody-of-that-name"); ok {
			t.Fatal("a missing user was found")
		}
	}
	if asked != 5 {
		t.Errorf("asked %d times", asked)
	}
	if allocs := testing.AllocsPerRun(100, func() { _ = n.User(5) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	for id := range uint32(100_000) {
		_ = n.User(id)
	}
	if n.User(1) != "u1" {
		t.Error("wrong after overflow")
	}
	if name := sftp.SystemNames.User(0); name != "" {
		if id, ok := sftp.SystemNames.UID(name); !ok || id != 0 {
			t.Errorf("user 0 is %q, whose id is %d", name, id)
		}
	}
}

// TestIDNamesDomain: "user@domain" by its local part, and a name that holds an "@" as it is.
func TestIDNamesDomain(t *testing.T) {
	find := func(name string) (uint32, bool) {
		switch name {
		case "ann":
			return 7, true
		case "bob@corp":
			return 8, true
		}
		return 0, false
	}
	n := &sftp.IDNames{UserID: find, GroupID: find}
	for name, want := range map[string]int{
		"ann": 7, "ann@corp": 7, "ann@b@corp": -1, "bob@corp": 8, "bob": -1, "@corp": -1, "12": 12, "12@corp": 12, "": -1, "-1": -1, "4294967296": -1,
	} {
		for _, ask := range []func(string) (uint32, bool){n.UID, n.GID} {
			if id, ok := ask(name); ok != (want >= 0) || ok && int(id) != want {
				t.Errorf("%q: %d %t, want %d", name, id, ok, want)
			}
		}
	}
}
