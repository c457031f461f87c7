package osfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestHostRangeLocks: ranges are open file description locks, shared or exclusive by what
// they block and what the handle may do.
func TestHostRangeLocks(t *testing.T) {
	a, _ := two(t, Options{})
	name := filepath.Join(a.root.Name(), "f")
	if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	host, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	// held answers what another process is told of an octet: unlocked, read or write lock.
	held := func(at int64) int16 {
		lk := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
		if err := unix.FcntlFlock(host.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
			t.Fatal(err)
		}
		return lk.Type
	}
	for _, row := range []struct {
		access sftp.Access
		mask   sftp.RangeMask
		want   int16
	}{
		{sftp.AccessReadData | sftp.AccessWriteData, sftp.RangeRead | sftp.RangeWrite, unix.F_WRLCK},
		{sftp.AccessReadData | sftp.AccessWriteData, sftp.RangeRead | sftp.RangeAdvisory, unix.F_WRLCK},
		{sftp.AccessReadData | sftp.AccessWriteData, sftp.RangeWrite, unix.F_RDLCK},
		{sftp.AccessWriteData, sftp.RangeWrite, unix.F_WRLCK},
		{sftp.AccessReadData, sftp.RangeWrite, unix.F_RDLCK},
		{sftp.AccessReadData, sftp.RangeRead, unix.F_RDLCK},
	} {
		f := open(t, a, "/f", sftp.OpenHow{Access: row.access, Disposition: sftp.OpenExisting})
		r := sftp.Range{Offset: 10, Length: 0, Mask: row.mask}
		if err := f.Lock(ctx, r); err != nil {
			t.Errorf("%+v: %v", row, err)
		}
		if err := f.Lock(ctx, sftp.Range{Offset: 1 << 62, Length: 1 << 63, Mask: row.mask}); err != nil {
			t.Errorf("%+v: far out: %v", row, err)
		}
		if err := f.Lock(ctx, sftp.Range{Offset: 1<<63 + 1<<62, Length: 5, Mask: row.mask}); err != nil {
			t.Errorf("%+v: where no file reaches: %v", row, err)
		}
		for at, want := range map[int64]int16{9: unix.F_UNLCK, 10: row.want, 99: row.want, 100: unix.F_UNLCK, 1<<63 - 2: row.want} {
			if got := held(at); got != want {
				t.Errorf("%+v: at %d: %d, want %d", row, at, got, want)
			}
		}
		if err := f.Unlock(ctx, r); err != nil || held(10) != unix.F_UNLCK || held(1<<62) == unix.F_UNLCK {
			t.Errorf("%+v: unlock: %v", row, err)
		}
		if err := f.Close(nil); err != nil || held(1<<62) != unix.F_UNLCK {
			t.Errorf("%+v: close: %v", row, err)
		}
	}
	// And the other way: another process holds one.
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: 50, Len: 1}
	if err := unix.FcntlFlock(host.Fd(), unix.F_OFD_SETLK, &lk); err != nil {
		t.Fatal(err)
	}
	f := open(t, a, "/f", changing)
	for off, want := range map[uint64]sftp.Code{40: sftp.CodeRangeLockRefused, 51: sftp.CodeOK} {
		if got := sftp.CodeOf(f.Lock(ctx, sftp.Range{Offset: off, Length: 20, Mask: sftp.RangeWrite})); got != want {
			t.Errorf("at %d: %v, want %v", off, got, want)
		}
	}
	if err := f.Lock(ctx, sftp.Range{Offset: 40, Length: 10, Mask: sftp.RangeWrite}); err != nil {
		t.Errorf("what was refused is held: %v", err)
	}
}

// TestAppendAtomicAmongProcesses: two file systems, which is two processes to the kernel,
// lose nothing of each other's appends.
func TestAppendAtomicAmongProcesses(t *testing.T) {
	a, b := two(t, Options{})
	how := changing
	how.Flags = sftp.OpenAppendAtomic
	open(t, a, "/log", changing)
	var wg sync.WaitGroup
	for w, s := range []*FS{a, b, a, b} {
		f := open(t, s, "/log", how)
		line := append(bytes.Repeat([]byte(strconv.Itoa(w)), 4999), '\n')
		wg.Go(func() {
			for range 100 {
				if _, err := f.WriteAt(line, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(filepath.Join(a.root.Name(), "log"))
	if err != nil || len(text) != 4*100*5000 {
		t.Fatalf("%d octets, %v", len(text), err)
	}
	for line := range bytes.Lines(text) {
		if len(line) != 5000 || bytes.Count(line, line[:1]) != 4999 {
			t.Fatalf("torn line of %d octets", len(line))
		}
	}
	// Without the kernel's help it still holds among the handles of one FS.
	was := noAppend.Swap(true)
	defer noAppend.Store(was)
	f := open(t, a, "/log", how)
	if _, err := f.WriteAt([]byte("end"), 0); err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(filepath.Join(a.root.Name(), "log")); err != nil || fi.Size() != 4*100*5000+3 {
		t.Errorf("%v %v", fi.Size(), err)
	}
}

// TestWantedAttributes: creation time, bits and extended attributes by name and by handle,
// only when asked for.
func TestWantedAttributes(t *testing.T) {
	s, outer := jail(t, Options{Xattrs: true})
	root := filepath.Join(outer, "bob")
	if err := os.WriteFile(filepath.Join(root, ".hidden"), []byte("x"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, "f"), 1<<20); err != nil {
		t.Fatal(err)
	}
	const all = ^sftp.AttrMask(0)
	stat := func(name string, want sftp.AttrMask) (by [2]*sftp.Attrs) {
		t.Helper()
		var err error
		if by[0], err = s.Stat(ctx, name, sftp.StatOpt{Follow: true, Want: want}); err != nil {
			t.Fatal(err)
		}
		if by[0].IsDir() {
			by[1] = by[0]
			return by
		}
		f, err := s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close(nil)
		if by[1], err = f.Stat(ctx, want); err != nil {
			t.Fatal(err)
		}
		return by
	}
	for name, bits := range map[string]sftp.AttrBits{
		"/.hidden": sftp.BitHidden | sftp.BitReadOnly, "/f": sftp.BitSparse, "/abs": 0, "/d": 0, "/": 0,
	} {
		for i, a := range stat(name, all) {
			const custom = sftp.BitHidden | sftp.BitReadOnly | sftp.BitSparse
			if a.Bits&custom != bits || !a.Has(sftp.AttrBitsSet) || a.BitsValid&(sftp.BitHidden|sftp.BitReadOnly) == 0 {
				t.Errorf("%s (%d): bits %#x of %#x, want %#x", name, i, a.Bits, a.BitsValid, bits)
			}
			if name == "/d" || name == "/" {
				continue
			}
			if a.Has(sftp.AttrBirth) && (a.Birth.IsZero() || time.Since(a.Birth) > time.Hour || a.Birth.After(a.Ctime)) {
				t.Errorf("%s (%d): born %v, changed %v", name, i, a.Birth, a.Ctime)
			}
			if !a.Has(sftp.AttrACL|sftp.AttrOwnerGroup|sftp.AttrLinks|sftp.AttrAllocation|sftp.AttrCtime|sftp.AttrExtended) || a.Owner == "" {
				t.Errorf("%s (%d): %#x", name, i, a.Valid)
			}
		}
		for i, a := range stat(name, 0) {
			if a.Valid&(sftp.AttrBirth|sftp.AttrBitsSet|sftp.AttrACL|sftp.AttrOwnerGroup|sftp.AttrExtended) != 0 {
				t.Errorf("%s (%d): not asked for: %#x", name, i, a.Valid)
			}
		}
	}

	set := &sftp.Attrs{Valid: sftp.AttrExtended, Extended: []sftp.ExtAttr{{Name: "user.one", Data: "a\x00b"}, {Name: "user.two"}}}
	for _, name := range []string{"/abs", "/d"} {
		err := s.SetStat(ctx, name, set, true)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Logf("the file system of the test has no extended attributes: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range stat(name, sftp.AttrExtended) {
			slices.SortFunc(a.Extended, func(x, y sftp.ExtAttr) int { return bytes.Compare([]byte(x.Name), []byte(y.Name)) })
			if !slices.Equal(a.Extended, set.Extended) {
				t.Errorf("%s (%d): %+v", name, i, a.Extended)
			}
		}
	}
	for name, a := range map[string]*sftp.Attrs{
		"trusted": {Valid: sftp.AttrExtended, Extended: []sftp.ExtAttr{{Name: "trusted.x"}}},
		"no name": {Valid: sftp.AttrExtended, Extended: []sftp.ExtAttr{{Name: "user."}}},
		"NUL":     {Valid: sftp.AttrExtended, Extended: []sftp.ExtAttr{{Name: "user.a\x00b"}}},
		"ACL":     {Valid: sftp.AttrACL, ACL: &sftp.ACL{Flags: 3, Entries: []sftp.ACE{{Mask: 1, Who: "ann"}}}},
		"no ACL":  {Valid: sftp.AttrACL},
		"bits":    {Valid: sftp.AttrBitsSet, Bits: sftp.BitImmutable, BitsValid: sftp.BitImmutable},
		"birth":   {Valid: sftp.AttrBirth, Birth: epoch},
		"MIME":    {Valid: sftp.AttrMIME, MIME: "a/b"},
	} {
		a.Valid |= sftp.AttrMode
		a.Mode = 0o700
		if err := s.SetStat(ctx, "/f", a, true); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a := stat("/f", 0)[0]; a.Mode&0o777 != 0o644 {
		t.Errorf("mode %o", a.Mode)
	}
	plain, err := New(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.SetStat(ctx, "/f", set, true); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
		t.Errorf("without the option: %v", err)
	}
	if a, err := plain.Stat(ctx, "/d", sftp.StatOpt{Want: all}); err != nil || a.Has(sftp.AttrExtended) {
		t.Errorf("without the option: %+v %v", a, err)
	}
	if got, want := s.Capabilities().Attrs&^plain.Capabilities().Attrs, sftp.AttrExtended; got != want {
		t.Errorf("announced besides: %#x", got)
	}
}

// TestSetBits: the bits that bind, where this process may set them.
func TestSetBits(t *testing.T) {
	s, outer := jail(t, Options{SetBits: true})
	if s.Capabilities().Bits != hostBits {
		t.Errorf("announced %#x", s.Capabilities().Bits)
	}
	set := &sftp.Attrs{Valid: sftp.AttrBitsSet, Bits: sftp.BitAppendOnly, BitsValid: sftp.BitAppendOnly}
	clear := &sftp.Attrs{Valid: sftp.AttrBitsSet | sftp.AttrMode, BitsValid: sftp.BitAppendOnly, Mode: 0o600}
	if err := s.SetStat(ctx, "/f", set, true); err != nil {
		if c := sftp.CodeOf(err); c != sftp.CodePermissionDenied && c != sftp.CodeOpUnsupported {
			t.Errorf("%v", err)
		}
		t.Logf("this process may not: %v", err)
		return
	}
	if err := s.Remove(ctx, "/f"); err == nil {
		t.Error("removed")
	}
	if a, err := s.Stat(ctx, "/f", sftp.StatOpt{Want: sftp.AttrBitsSet}); err != nil || a.BitsValid&sftp.BitAppendOnly != 0 && a.Bits&sftp.BitAppendOnly == 0 {
		t.Errorf("%+v %v", a, err)
	}
	if err := s.SetStat(ctx, "/f", clear, true); err != nil {
		t.Errorf("clearing it and setting the mode it forbids: %v", err)
	}
	if fi, err := os.Stat(filepath.Join(outer, "bob", "f")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
}

// TestNumericIDsTakeNoNames: who may not see accounts cannot find them by trying.
func TestNumericIDsTakeNoNames(t *testing.T) {
	s, _ := jail(t, Options{NumericIDs: true})
	a, err := s.Stat(ctx, "/f", sftp.StatOpt{Want: sftp.AttrOwnerGroup})
	if err != nil || a.Owner != strconv.Itoa(os.Getuid()) {
		t.Errorf("%+v %v", a, err)
	}
	for owner, want := range map[string]sftp.Code{"root": sftp.CodeOwnerInvalid, "no such user": sftp.CodeOwnerInvalid, a.Owner: sftp.CodeOK} {
		if got := sftp.CodeOf(s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrOwnerGroup, Owner: owner}, true)); got != want {
			t.Errorf("%q: %v, want %v", owner, got, want)
		}
	}
}

// TestDeleteOnCloseFollowsRenames: the object goes wherever it was moved to inside.
func TestDeleteOnCloseFollowsRenames(t *testing.T) {
	s, outer := jail(t, Options{})
	f := open(t, s, "/d/e/f", sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting, Flags: sftp.OpenDeleteOnClose})
	if err := s.Rename(ctx, "/d", "/d2", 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(ctx, "/d2/e/f", "/d2/g", 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(outer, "bob/d2/g")); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
