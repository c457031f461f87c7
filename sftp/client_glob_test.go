package sftp_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// plant makes directories ("x/"), symlinks ("x -> y") and files.
func plant(t testing.TB, c *sftp.Client, names ...string) {
	t.Helper()
	ctx := context.Background()
	for _, name := range names {
		link, text, isLink := strings.Cut(name, " -> ")
		var err error
		switch {
		case isLink:
			err = c.Symlink(ctx, text, link)
		case strings.HasSuffix(name, "/"):
			err = c.Mkdir(ctx, strings.TrimSuffix(name, "/"), nil)
		default:
			err = c.WriteFile(ctx, name, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(name, err)
		}
	}
}

func TestGlob(t *testing.T) {
	srv, s := tapped()
	planted := false
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if !planted {
			planted = true
			plant(t, c, "/a/", "/a/b/", "/a/b/c/", "/a/b/c/deep.go", "/a/x.go", "/a/y.txt", "/a/b/x.go", "/z.go", "/we[i]rd/", "/we[i]rd/*", "/we[i]rd/x",
				"/dir -> a", "/a/loop -> ..", "/gone -> nothing", "/.hidden")
		}
		for _, tt := range []struct {
			pattern, want string
			listings      int
		}{
			{"/a/x.go", "/a/x.go", 0},
			{"/a/none", "", 0},
			{"/none/*", "", 0},
			{"/z.go/*", "", 0},
			{"/*.go", "/z.go", 1},
			{"*.go", "z.go", 1},
			{"/a/*", "/a/b /a/loop /a/x.go /a/y.txt", 1},
			{"/a/*/x.go", "/a/b/x.go", 1},
			{"/*/x.go", "/a/x.go /dir/x.go", 1},
			{"/*/[xy].*", "/a/x.go /a/y.txt /dir/x.go /dir/y.txt", 4},
			{"/dir/*.go", "/dir/x.go", 1},
			{"/a/**", "/a /a/b /a/b/c /a/b/c/deep.go /a/b/x.go /a/loop /a/x.go /a/y.txt", 3},
			{"/**/x.go", "/a/b/x.go /a/x.go", 5},
			{"/a/**/**/*.go", "/a/b/c/deep.go /a/b/x.go /a/x.go", 3},
			{"/**/b/**/d*", "/a/b/c/deep.go", 5},
			{`/we\[i\]rd/\*`, "/we[i]rd/*", 0},
			{`/we\[i\]rd/*`, "/we[i]rd/* /we[i]rd/x", 1},
			{"/gon?", "/gone", 1},
			{"/gone/*", "", 0},
			{"/", "/", 0},
			{"", "", 0},
			{"/a//./x.go", "/a/./x.go", 0},
		} {
			s.log()
			var got []string
			for name, err := range c.Glob(t.Context(), tt.pattern) {
				if err != nil {
					t.Error(tt.pattern, err)
				}
				got = append(got, name)
			}
			slices.Sort(got)
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("%s: %s", tt.pattern, g)
			}
			if n := strings.Count(s.log(), "opendir"); n != tt.listings {
				t.Errorf("%s: %d listings", tt.pattern, n)
			}
		}
		for _, bad := range []string{"[", "/a/[", `\`} {
			for name, err := range c.Glob(t.Context(), bad) {
				if name != "" || !errors.Is(err, path.ErrBadPattern) {
					t.Errorf("%s: %q %v", bad, name, err)
				}
			}
			if got := s.log(); got != "" {
				t.Error(bad, got)
			}
		}
		for range c.Glob(t.Context(), "/**") { // left early
			break
		}
	})
}

func TestWalk(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	planted := false
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if !planted {
			planted = true
			plant(t, c, "/a/", "/a/1/", "/a/1/x", "/a/2/", "/a/2/y", "/a/2/3/", "/a/2/3/z", "/a/f", "/a/loop -> ..")
		}
		walk := func(root, skip string) string {
			var got []string
			depth := map[string]int{}
			for e, err := range c.Walk(t.Context(), root) {
				if err != nil {
					t.Fatal(err)
				}
				if parent := path.Dir(e.Path); e.Depth > 0 && depth[parent]+1 != e.Depth {
					t.Errorf("%s at depth %d before its directory", e.Path, e.Depth)
				}
				depth[e.Path] = e.Depth
				got = append(got, e.Path)
				if e.Path == skip {
					e.SkipDir()
				}
			}
			slices.Sort(got)
			return strings.Join(got, " ")
		}
		for _, tt := range []struct{ root, skip, want string }{
			{"/a", "", "/a /a/1 /a/1/x /a/2 /a/2/3 /a/2/3/z /a/2/y /a/f /a/loop"},
			{"/a", "/a/2", "/a /a/1 /a/1/x /a/2 /a/f /a/loop"},
			{"/a", "/a", "/a"},
			{"/a/f", "", "/a/f"},
			{"a/1", "", "a/1 a/1/x"},
		} {
			if got := walk(tt.root, tt.skip); got != tt.want {
				t.Errorf("%+v: %s", tt, got)
			}
		}
		n := 0
		for _, err := range c.Walk(t.Context(), "/none") {
			if n++; !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Error(n)
		}
		for range c.Walk(t.Context(), "/a") {
			break
		}
		// ctx ends it.
		gone, cancel := context.WithCancel(t.Context())
		defer cancel()
		n = 0
		for _, err := range c.Walk(gone, "/a") {
			if n++; n == 1 {
				cancel()
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if n != 2 {
			t.Error(n)
		}
	})
}

func TestFS(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	planted := false
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if !planted {
			planted = true
			plant(t, c, "/a/", "/a/b/", "/a/b/c", "/a/d", "/e", "/we[i]rd/", "/we[i]rd/f*", "/link -> a/d", "/a/up -> ../e")
		}
		tree := c.FS(t.Context())
		if err := fstest.TestFS(tree, "a/b/c", "a/d", "e", "we[i]rd/f*", "link", "a/up"); err != nil {
			t.Error(err)
		}
		sub, err := fs.Sub(tree, "we[i]rd")
		if err != nil {
			t.Fatal(err)
		}
		if names, err := fs.Glob(sub, "f*"); err != nil || strings.Join(names, " ") != "f*" {
			t.Error(names, err)
		}
		if names, err := fs.Glob(tree, "**/?"); err != nil || strings.Join(names, " ") != "a/b a/d" {
			t.Error(names, err)
		}
		if p, err := fs.ReadFile(sub, "f*"); err != nil || string(p) != "/we[i]rd/f*" {
			t.Errorf("%q %v", p, err)
		}
		if text, err := fs.ReadLink(tree, "a/up"); err != nil || text != "../e" {
			t.Error(text, err)
		}
		for _, name := range []string{"/a", "../a", "a/", "a\x00", "", "a//b"} {
			if _, err := tree.Open(name); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: %v", name, err)
			}
		}
		_, err = fs.Stat(sub, "none")
		if pe, ok := errors.AsType[*fs.PathError](err); !ok || pe.Path != "none" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%#v", err)
		}
		f, err := tree.Open("a/d")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(io.ReadSeeker); !ok {
			t.Error("cannot seek")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		d, err := tree.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(nil); !errors.Is(err, sftp.CodeIsADirectory) {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientCopyFile(t *testing.T) {
	for _, exts := range [][]string{
		{"copy-data", "copy-file", "check-file-name", "posix-rename@openssh.com"},
		{"copy-file", "check-file-name", "posix-rename@openssh.com"},
		{"check-file-name", "posix-rename@openssh.com"},
		{"posix-rename@openssh.com"},
	} {
		srv, s := tapped()
		srv.Extensions = exts
		visitV3(t, srv, func(t *testing.T, c *sftp.Client) {
			ctx, want := t.Context(), noise(4<<20+12345)
			if err := c.WriteFile(ctx, "/f", want, 0o640); err != nil {
				t.Fatal(err)
			}
			for _, o := range []sftp.TransferOptions{
				{},
				{Verify: sftp.VerifyBest, Atomic: true},
				{Verify: sftp.VerifyContent, Preserve: sftp.PreserveMode},
				{Mode: 0o600},
			} {
				r, err := c.CopyFile(ctx, "/f", "/g", o)
				if err != nil || r.Transferred != int64(len(want)) {
					t.Fatalf("%v %+v: %+v %v", exts, o, r, err)
				}
				if got := fileOf(t, s.FileSystem, "/g"); string(got) != string(want) {
					t.Errorf("%v %+v: %d octets", exts, o, len(got))
				}
				a, err := c.Stat(ctx, "/g")
				if err != nil || o.Mode != 0 && a.Mode&0o777 != 0o600 || o.Preserve != 0 && a.Mode&0o777 != 0o640 {
					t.Errorf("%v %+v: %o %v", exts, o, a.Mode, err)
				}
			}
			for _, atomic := range []bool{false, true} {
				if _, err := c.CopyFile(ctx, "/f", "/g", sftp.TransferOptions{IfExists: sftp.FailIfExists, Atomic: atomic}); err == nil {
					t.Error("a file was replaced")
				}
				if r, err := c.CopyFile(ctx, "/f", "/g", sftp.TransferOptions{IfExists: sftp.SkipIfExists, Atomic: atomic}); err != nil || !r.Skipped {
					t.Error(r, err)
				}
			}
			if _, err := c.CopyFile(ctx, "/f", "/f", sftp.TransferOptions{}); err == nil {
				t.Error("a file was copied to itself")
			}
			if a, err := c.Stat(ctx, "/f"); err != nil || a.Size != uint64(len(want)) {
				t.Errorf("the source is %d octets now: %v", a.Size, err)
			}
			if _, err := c.CopyFile(ctx, "/none", "/h", sftp.TransferOptions{}); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if _, err := c.CopyFile(ctx, "/f", "/h", sftp.TransferOptions{Resume: sftp.ResumeOrFail}); !errors.Is(err, sftp.CodeInvalidParameter) {
				t.Error(err)
			}
			if got := remoteNames(t, c, "/"); got != "f g" {
				t.Error("left:", got)
			}
		})
	}
}
