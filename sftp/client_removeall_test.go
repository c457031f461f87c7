package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// stubborn is a file system that does not let go of some names.
type stubborn struct {
	sftp.FileSystem
	keep string
}

func (s stubborn) Remove(ctx context.Context, name string) error {
	if path.Base(name) == s.keep {
		return fs.ErrPermission
	}
	return s.FileSystem.Remove(ctx, name)
}

func TestRemoveAll(t *testing.T) {
	srv, _ := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		plant(t, c, "/there", "/a/", "/a/x", "/a/empty/", "/a/b/", "/a/b/c/", "/a/b/c/y", "/a/out -> /there", "/a/loop -> ..", "/a/gone -> nothing", "/link -> a")
		for i := range 100 {
			plant(t, c, fmt.Sprintf("/a/b/%03d", i))
		}
		if err := c.RemoveAll(ctx, "/link"); err != nil {
			t.Error(err)
		}
		if ok, err := c.Exists(ctx, "/a/b/c/y"); !ok || err != nil {
			t.Error("what the symlink led to went, too:", err)
		}
		for range 2 { // what is not there is no error
			if err := c.RemoveAll(ctx, "/a"); err != nil {
				t.Error(err)
			}
		}
		left, err := c.ReadDirAll(ctx, "/")
		if err != nil || len(left) != 1 || left[0].Name != "there" {
			t.Error(left, err)
		}
		if err := c.RemoveAll(ctx, "/there"); err != nil {
			t.Error(err)
		}
	})
}

// TestRemoveAllGoesOn: what cannot be removed stays, and only that.
func TestRemoveAllGoesOn(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	visit(t, serverOf(stubborn{tree, "stays"}), nil, func(t *testing.T, c *sftp.Client) {
		if ok, _ := c.Exists(t.Context(), "/a"); !ok {
			plant(t, c, "/a/", "/a/b/", "/a/b/stays", "/a/b/x", "/a/c/", "/a/c/y", "/a/z")
		}
		err := c.RemoveAll(t.Context(), "/a")
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "/a/b/stays") {
			t.Error(err)
		}
		var left []string
		for e, err := range c.Walk(t.Context(), "/") {
			if err != nil {
				t.Error(err)
			}
			left = append(left, e.Path)
		}
		if got := strings.Join(left, " "); got != "/ /a /a/b /a/b/stays" {
			t.Error(got)
		}
	})
}

// TestRemoveAllPassedOver: a listing may lack names, as where it goes by offsets and others are removed meanwhile.
func TestRemoveAllPassedOver(t *testing.T) {
	srv, s := tapped()
	round := 0
	s.dir = func(name string) (sftp.Dir, bool) {
		if round++; name != "/a" || round > 3 {
			return nil, false
		}
		return &listed{list: []sftp.Entry{entryOf(fmt.Sprint(round), sftp.ModeRegular|0o644)}}, true
	}
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		round = 0
		plant(t, c, "/a/", "/a/1", "/a/2", "/a/3", "/a/4", "/a/5")
		if err := c.RemoveAll(t.Context(), "/a"); err != nil || round != 4 {
			t.Error(round, err)
		}
	})
}

// TestRemoveAllHostile: a server whose directories have no end, and one that never gets rid of anything.
func TestRemoveAllHostile(t *testing.T) {
	srv, s := tapped()
	kind := sftp.ModeDir
	s.dir = func(string) (sftp.Dir, bool) {
		return &listed{list: []sftp.Entry{entryOf("deeper", kind|0o755)}}, true
	}
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if ok, _ := c.Exists(t.Context(), "/a"); !ok {
			plant(t, c, "/a/")
		}
		kind = sftp.ModeDir
		if err := c.RemoveAll(t.Context(), "/a"); err == nil || !strings.Contains(err.Error(), "too deep") {
			t.Error(err)
		}
		kind = sftp.ModeRegular
		s.log()
		_ = c.RemoveAll(t.Context(), "/a")
		if n := strings.Count(s.log(), "opendir"); n > 4 {
			t.Errorf("listed %d times", n)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if err := c.RemoveAll(ctx, "/a"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
