//go:build linux || darwin || freebsd

package osfs

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

var changing = sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenOrCreate}

func open(t *testing.T, s *FS, name string, how sftp.OpenHow) sftp.File {
	t.Helper()
	f, err := s.Open(ctx, name, &how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(nil) })
	return f
}

// two makes two file systems over one directory, which know nothing of each other unless
// they share o.Locks.
func two(t *testing.T, o Options) (a, b *FS) {
	t.Helper()
	dir := t.TempDir()
	for _, s := range []**FS{&a, &b} {
		var err error
		if *s, err = New(dir, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = (*s).Close() })
	}
	return a, b
}

// TestHostShareModes: the block bits of OPEN are seen by those who use flock, and see them.
func TestHostShareModes(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		a, b := two(t, Options{NoHostLocks: hidden})
		how := changing
		how.Flags = sftp.OpenBlockRead | sftp.OpenBlockWrite
		f := open(t, a, "/f", how)
		want := sftp.CodeLockConflict
		if hidden {
			want = sftp.CodeOK
		}
		g, err := b.Open(ctx, "/f", &how)
		if sftp.CodeOf(err) != want {
			t.Errorf("hidden %t: %v", hidden, err)
		}
		if err == nil {
			_ = g.Close(nil)
		}
		open(t, b, "/f", changing) // no process is made to obey
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
	}
	// Handles that go together here do so although no flock says it.
	a, _ := two(t, Options{})
	how := sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenOrCreate, Flags: sftp.OpenBlockRead}
	open(t, a, "/f", how)
	open(t, a, "/f", how)

	host, err := os.OpenFile(filepath.Join(a.root.Name(), "g"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := unix.Flock(int(host.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(ctx, "/g", &how); sftp.CodeOf(err) != sftp.CodeLockConflict {
		t.Errorf("against a flock: %v", err)
	}
}

// TestSharedLocks: file systems of two users over one directory see each other's locks.
func TestSharedLocks(t *testing.T) {
	a, b := two(t, Options{NoHostLocks: true, Locks: new(sftp.LockTable)})
	f, g := open(t, a, "/f", changing), open(t, b, "/f", changing)
	if err := f.Lock(ctx, sftp.Range{Length: 10, Mask: sftp.RangeWrite}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("x"), 5); sftp.CodeOf(err) != sftp.CodeRangeLockConflict {
		t.Errorf("write: %v", err)
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
	if _, err := g.WriteAt([]byte("x"), 5); err != nil {
		t.Errorf("after the close: %v", err)
	}
}

// TestDeleteOnCloseStaysInside: what stands at the name now, or at its directory, is not
// what was opened, and least of all what lies outside.
func TestDeleteOnCloseStaysInside(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		doomed := sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting, Flags: sftp.OpenDeleteOnClose}
		for what, swap := range map[string]func(root, outer string) error{
			"the file by a link": func(root, outer string) error {
				return join(os.Rename(root+"/d/e/f", root+"/kept"), os.Symlink(outer+"/secret", root+"/d/e/f"))
			},
			"the file by a hard link to the outside": func(root, outer string) error {
				return join(os.Rename(root+"/d/e/f", root+"/kept"), os.Link(outer+"/secret", root+"/d/e/f"))
			},
			"the directory by a link": func(root, outer string) error {
				return join(os.Rename(root+"/d/e", root+"/e2"), os.Symlink(outer+"/bob2/sub", root+"/d/e"))
			},
			"the file to the outside": func(root, outer string) error { return os.Rename(root+"/d/e/f", outer+"/bob2/moved") },
			"the file by nothing":     func(root, outer string) error { return os.Remove(root + "/d/e/f") },
			"the directory by nothing": func(root, outer string) error {
				return os.RemoveAll(root + "/d")
			},
		} {
			s, outer := jail(t, Options{})
			if err := os.WriteFile(filepath.Join(outer, "bob2/sub/f"), []byte(secret), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := s.Open(ctx, "/d/e/f", &doomed)
			if err != nil {
				t.Fatal(err)
			}
			root := filepath.Join(outer, "bob")
			if err := swap(root, outer); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, outer, root)
			_, at := os.Lstat(filepath.Join(root, "d/e/f"))
			if err := f.Close(nil); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if after := snapshot(t, outer, root); after != before {
				t.Errorf("%s: the outside changed:\n%s\nwas\n%s", what, after, before)
			}
			if _, now := os.Lstat(filepath.Join(root, "d/e/f")); (at == nil) != (now == nil) {
				t.Errorf("%s: something else went: %v", what, now)
			}
		}
	})
}

func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestConcurrentLocks: the table and the host's locks agree at all times; run with -race.
func TestConcurrentLocks(t *testing.T) {
	s, _ := two(t, Options{})
	open(t, s, "/f", changing)
	var wg sync.WaitGroup
	granted := make([]int, 8)
	for w := range granted {
		wg.Go(func() {
			for i := range 100 {
				f, err := s.Open(ctx, "/f", &changing)
				if err != nil {
					t.Error(err)
					return
				}
				r := sftp.Range{Offset: uint64(i % 3), Length: 1, Mask: sftp.RangeRead | sftp.RangeWrite}
				err = f.Lock(ctx, r)
				if err == nil {
					granted[w]++
					if i%2 == 0 {
						err = f.Unlock(ctx, r)
					}
				} else if st := sftp.ToStatus(err); strings.Contains(st.Text, "process") {
					t.Errorf("the host refused what the table granted: %v", err)
				} else {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
				if err := f.Close(nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for w, n := range granted {
		if n == 0 {
			t.Errorf("worker %d never had a lock", w)
		}
	}
}
