package sftp_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// shortName is the path below root in short names; the long one where the volume has none.
func shortName(t *testing.T, root, rel string) string {
	t.Helper()
	short := func(name string) string {
		text, err := windows.UTF16PtrFromString(name)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]uint16, 1024)
		n, err := windows.GetShortPathName(text, &buf[0], uint32(len(buf)))
		if err != nil || n == 0 || int(n) > len(buf) {
			t.Fatal(n, err)
		}
		return windows.UTF16ToString(buf[:n])
	}
	rel, err := filepath.Rel(short(root), short(filepath.Join(root, rel)))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("short: %s", rel)
	return "/" + filepath.ToSlash(rel)
}

// hostTree is all that is below dir, with contents.
func hostTree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			b.WriteString(p + "\n")
			return err
		}
		text, err := os.ReadFile(p)
		b.WriteString(p + ": " + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCVE_8_3_PolicyInAnyLetters: a rule by name holds in whatever letters, or by whatever short name, an object is named.
func TestCVE_8_3_PolicyInAnyLetters(t *testing.T) {
	outer := t.TempDir()
	s, err := osfs.New(outer, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	if err := s.Mkdir(ctx, "/d", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Mkdir(ctx, "/a long private directory", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "a long private directory/keys.text", "d/secret words.text"} {
		if err := os.WriteFile(filepath.Join(outer, name), []byte("of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g, err := sftp.Guard(s, &sftp.Policy{Rules: []sftp.Rule{
		{Path: "/", Perm: sftp.PermAll},
		{Path: "/a long private directory", Perm: 0},
		{Path: "/d/secret words.text", Perm: 0},
	}})
	if err != nil {
		t.Fatal(err)
	}
	before := hostTree(t, outer)
	for _, name := range []string{
		"/a long private directory/keys.text", "/A LONG PRIVATE DIRECTORY/keys.text", "/a long PRIVATE directory/KEYS.TEXT",
		"/d/secret words.text", "/D/SECRET WORDS.TEXT", shortName(t, outer, `d\secret words.text`),
		shortName(t, outer, `a long private directory\keys.text`),
	} {
		if f, err := g.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting}); err == nil {
			t.Errorf("%s is open", name)
			_ = f.Close(nil)
		}
		if _, err := g.Stat(ctx, name, sftp.StatOpt{}); err == nil {
			t.Errorf("%s is seen", name)
		}
		if err := g.Remove(ctx, name); err == nil {
			t.Errorf("%s is removed", name)
		}
		if err := g.Rename(ctx, name, "/mine", 0); err == nil {
			t.Errorf("%s is moved", name)
		}
		if err := g.Rename(ctx, "/f", name, sftp.RenameOverwrite); err == nil {
			t.Errorf("%s is overwritten", name)
		}
		if err := g.Link(ctx, name, "/mine", false); err == nil {
			t.Errorf("%s is linked", name)
		}
		if after := hostTree(t, outer); after != before {
			t.Fatalf("%s changed\n%s\nto\n%s", name, before, after)
		}
	}
	// What the rules let through is not harmed.
	if err := g.Rename(ctx, "/F", "/g", 0); err != nil {
		t.Error(err)
	}
	if err := g.Remove(ctx, "/G"); err != nil {
		t.Error(err)
	}
}
