package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// hostTree makes directories and, for names without a slash at the end, files with their own name in them.
func hostTree(tb testing.TB, names ...string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	for _, name := range names {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// at starts a server for users who begin at home below root, and connects one.
func at(t *testing.T, dir string, login func(*sftpserver.UserAuthEvent)) *sftp.Client {
	t.Helper()
	s := sftpserver.New()
	s.RootDirectory = dir
	s.ProtocolVersion = 6
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		accept(e)
		login(e)
	}
	start(t, s)
	return connect(t, s)
}

func listing(t *testing.T, c *sftp.Client, dir string) (out []string) {
	t.Helper()
	for e, err := range c.ReadDir(t.Context(), dir) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return slices.DeleteFunc(out, func(n string) bool { return n == "." || n == ".." })
}

func content(t *testing.T, c *sftp.Client, name string) (string, error) {
	t.Helper()
	var b bytes.Buffer
	_, err := c.Get(t.Context(), name, &b, sftp.TransferOptions{})
	return b.String(), err
}

// TestHomeDir: the user begins there and may go up.
func TestHomeDir(t *testing.T) {
	c := at(t, hostTree(t, "home/alice/mine", "top"), func(e *sftpserver.UserAuthEvent) { e.HomeDir = "/home/alice" })
	if dir, err := c.RealPath(t.Context(), "."); err != nil || dir != "/home/alice" {
		t.Errorf("begins at %q, %v", dir, err)
	}
	for name, want := range map[string]string{"mine": "home/alice/mine", "../../top": "top", "/top": "top"} {
		if text, err := content(t, c, name); text != want || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// TestW24_UserRootDirectory: what is above the user's root is not there, and the home directory is below it.
func TestW24_UserRootDirectory(t *testing.T) {
	dir := hostTree(t, "users/alice/home/mine", "users/bob/his", "top")
	c := at(t, dir, func(e *sftpserver.UserAuthEvent) {
		e.RootDirectory, e.HomeDir = filepath.Join(dir, "users", "alice"), "/home"
	})
	if got := listing(t, c, "/"); !slices.Equal(got, []string{"home"}) {
		t.Errorf("the root has %q", got)
	}
	if text, err := content(t, c, "mine"); text != "users/alice/home/mine" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{"/top", "../../top", "/users/bob/his", "/../bob/his"} {
		if _, err := content(t, c, name); err == nil {
			t.Errorf("%s can be read", name)
		}
	}
}

// TestW19_RestrictUserToHomeDir: nothing but home can be reached, by no request and no link, and paths are as seen
// from the root.
func TestW19_RestrictUserToHomeDir(t *testing.T) {
	needSymlinks(t)
	dir := hostTree(t, "home/alice/mine", "home/alice/sub/", "home/alicex/hers", "home/bob/his", "top")
	for link, to := range map[string]string{"up": "../bob/his", "abs": "/home/bob/his", "host": filepath.Join(dir, "top"), "ok": "mine", "dir": "../.."} {
		if err := os.Symlink(to, filepath.Join(dir, "home", "alice", link)); err != nil {
			t.Fatal(err)
		}
	}
	c := at(t, dir, func(e *sftpserver.UserAuthEvent) { e.HomeDir, e.RestrictToHomeDir = "/home/alice", true })
	ctx := t.Context()
	if start, err := c.RealPath(ctx, "."); err != nil || start != "/home/alice" {
		t.Errorf("begins at %q, %v", start, err)
	}
	for name, want := range map[string][]string{"/": {"home"}, "/home": {"alice"}, "/home/alice": {"abs", "dir", "host", "mine", "ok", "sub", "up"}} {
		if got := listing(t, c, name); !slices.Equal(got, want) {
			t.Errorf("%s has %q", name, got)
		}
		if a, err := c.Stat(ctx, name); err != nil || !a.IsDir() {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		if real, err := c.RealPath(ctx, name); err != nil || real != name {
			t.Errorf("%s is really %s, %v", name, real, err)
		}
	}
	for _, name := range []string{"mine", "/home/alice/mine", "./ok", "../alice/mine", "/home/bob/../alice/mine"} {
		if text, err := content(t, c, name); text != "home/alice/mine" || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"/top", "/home/bob/his", "../bob/his", "up", "abs", "host", "dir/top", "/home/alicex/hers", "../../top", "../alicex/hers"} {
		if text, err := content(t, c, name); err == nil {
			t.Errorf("%s can be read: %q", name, text)
		}
		if _, err := c.Stat(ctx, name); err == nil {
			t.Errorf("%s is seen", name)
		}
	}
	for what, err := range map[string]error{
		"mkdir beside":    c.Mkdir(ctx, "/home/eve", nil),
		"mkdir above":     c.Mkdir(ctx, "/eve", nil),
		"rename out":      c.Rename(ctx, "mine", "/home/bob/mine", 0),
		"rename in":       c.Rename(ctx, "/home/bob/his", "his", 0),
		"rename home":     c.Rename(ctx, "/home/alice", "/home/alice/sub/x", 0),
		"remove":          c.Remove(ctx, "/top"),
		"rmdir home":      c.Rmdir(ctx, "/home/alice"),
		"rmdir above":     c.Rmdir(ctx, "/home"),
		"link out":        c.Link(ctx, "/home/bob/his", "l1"),
		"symlink out":     c.Symlink(ctx, "/home/bob/his", "l2"),
		"truncate":        c.Truncate(ctx, "/home/bob/his", 0),
		"chmod above":     c.Chmod(ctx, "/home", 0o777),
		"write to a link": func() error { _, err := c.Put(ctx, "up", strings.NewReader("x"), sftp.TransferOptions{}); return err }(),
	} {
		if err == nil {
			t.Errorf("%s is possible", what)
		}
	}
	// A link that is made inside leads to where it says, and is shown so.
	if err := c.Symlink(ctx, "/home/alice/mine", "sub/good"); err != nil {
		t.Fatal(err)
	}
	if to, err := c.ReadLink(ctx, "sub/good"); err != nil || to != "/home/alice/mine" {
		t.Errorf("leads to %q, %v", to, err)
	}
	if text, err := content(t, c, "sub/good"); err != nil || text != "home/alice/mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(c.Mkdir(ctx, "new", nil), c.Rename(ctx, "mine", "/home/alice/new/mine", 0), c.Remove(ctx, "new/mine"), c.Rmdir(ctx, "/home/alice/new")); err != nil {
		t.Error(err)
	}
	if _, err := c.StatFS(ctx, "/"); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	for name, want := range map[string]string{"top": "top", "home/bob/his": "home/bob/his"} {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
}

// TestHomeDirBehindALink: a home directory that leads out of the root is none.
func TestHomeDirBehindALink(t *testing.T) {
	needSymlinks(t)
	outside, dir := hostTree(t, "secret"), hostTree(t, "in/x")
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "out")), os.Symlink("in", filepath.Join(dir, "good"))); err != nil {
		t.Fatal(err)
	}
	home := "/out"
	s := sftpserver.New()
	s.RootDirectory, s.RestrictUserToHomeDir = dir, true
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		accept(e)
		e.HomeDir = home
	}
	start(t, s)
	for _, bad := range []string{"/out", "/missing", "/in/x"} {
		home = bad
		ch, err := dial(t, s).Subsystem(t.Context(), "sftp")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sftp.NewClient(t.Context(), ch, nil); err == nil {
			t.Errorf("a session in %s", bad)
		}
	}
	home = "/good"
	if text, err := content(t, connect(t, s), "x"); err != nil || text != "in/x" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestFileSystemWithHome: a file system of the program's own begins in the home directory, and is not taken
// for one that confines.
func TestFileSystemWithHome(t *testing.T) {
	fsys := memfs.New(memfs.Options{})
	if err := fsys.Mkdir(t.Context(), "/home", nil); err != nil {
		t.Fatal(err)
	}
	restrict := false
	s := sftpserver.New()
	s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return fsys, nil }
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		accept(e)
		e.HomeDir, e.RestrictToHomeDir = "/home", restrict
	}
	start(t, s)
	if dir, err := connect(t, s).RealPath(t.Context(), "."); err != nil || dir != "/home" {
		t.Errorf("begins at %q, %v", dir, err)
	}
	restrict = true
	ch, err := dial(t, s).Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sftp.NewClient(t.Context(), ch, nil); err == nil {
		t.Error("a session that should be confined is not")
	}
}
