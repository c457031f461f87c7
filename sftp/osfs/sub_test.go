package osfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestW19_Sub: a subtree is a jail of its own, no link leads to one outside, and it stays open by itself.
func TestW19_Sub(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := "in"
	for name, to := range map[string]string{"out": outside, in: filepath.Join("a", "b"), "a/b/up": ".."} {
		err := os.Symlink(to, filepath.Join(dir, name))
		if _, missing := os.Lstat(filepath.Join(dir, name)); err == nil && missing == nil {
			continue
		}
		if runtime.GOOS != "windows" {
			t.Fatal(err)
		}
		// Windows lets only some accounts make symlinks, and Wine makes none and says nothing.
		t.Logf("no symlink here: the part of %s does not apply", name)
		if name == in {
			in = "a/b"
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, bad := range []string{"/out", "/missing", "/file", "\x00"} {
		if sub, err := s.Sub(bad, Options{}); err == nil {
			t.Errorf("%q is a tree", bad)
			_ = sub.Close()
		}
	}
	for _, good := range []string{"/a/b", in, "/a/../a/b/"} {
		sub, err := s.Sub(good, Options{})
		if err != nil {
			t.Fatalf("%s: %v", good, err)
		}
		defer sub.Close()
		if err := sub.Mkdir(t.Context(), "/new", nil); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", good, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "a", "b", "new")); err != nil {
			t.Errorf("%s: %v", good, err)
		}
		for _, name := range []string{"/../../file", "/up/../file", "/up/b"} {
			if _, err := sub.Stat(t.Context(), name, sftp.StatOpt{Follow: true}); err == nil {
				t.Errorf("%s: %s is there", good, name)
			}
		}
	}
	sub, err := s.Sub("/a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Stat(t.Context(), "/b", sftp.StatOpt{}); err != nil {
		t.Errorf("closed with the tree that it is of: %v", err)
	}
	if _, err := s.Sub("/a", Options{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("of a tree that is closed: %v", err)
	}
}
