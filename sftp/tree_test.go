package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

var treeTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// sampleTree makes a tree of directories, files and links on this host.
func sampleTree(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"", "empty", "a", "a/b", "a/b/c", "with space", "ro"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"zero", "a/one", "a/b/two", "a/b/c/three.go", "with space/-n", "ro/file", "x.go"} {
		writeLocal(t, filepath.Join(root, name), noise(i*30_000))
	}
	for link, text := range map[string]string{"link": "a/one", "a/up": "../zero", "a/b/dir": "c", "gone": "nothing"} {
		if err := os.Symlink(text, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "ro"), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "ro"), 0o755) })
	for _, name := range []string{"a/b/two", "a/b/c", "a/b", "empty", "ro"} {
		if err := os.Chtimes(filepath.Join(root, name), treeTime, treeTime); err != nil {
			t.Fatal(err)
		}
	}
}

// treeText describes a tree of this host: names, types, contents, and with attrs modes and
// times.
func treeText(t testing.TB, root string, attrs bool) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		fmt.Fprintf(&b, "%s %v", rel, info.Mode().Type())
		switch {
		case info.Mode().IsRegular():
			p := readLocal(t, name)
			fmt.Fprintf(&b, " %d %v", len(p), bytes.Equal(p, noise(len(p))))
		case info.Mode()&fs.ModeSymlink != 0:
			text, _ := os.Readlink(name)
			fmt.Fprintf(&b, " -> %s", text)
		}
		if attrs && info.Mode()&fs.ModeSymlink == 0 {
			fmt.Fprintf(&b, " %v %d", info.Mode().Perm(), info.ModTime().Unix())
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTreesThereAndBack(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		here, back := filepath.Join(dir, "here"), filepath.Join(dir, "back")
		sampleTree(t, here)
		var events []string
		o := sftp.TreeOptions{Links: sftp.CopyLinks, Report: func(e *sftp.TreeEvent) {
			if e.Err != nil || e.Action == sftp.EntrySkipped {
				events = append(events, fmt.Sprint(e.Path, e.Action, e.Why, e.Err))
			}
		}}
		o.Preserve = sftp.PreserveTimes | sftp.PreserveMode
		o.Verify = sftp.VerifyBest
		want := sftp.TreeResult{Files: 7, Dirs: 7, Links: 4, Transferred: 630_000}
		const there = "/there"
		r, err := c.PutTree(ctx, here, there, o)
		if err != nil || *r != want {
			t.Fatalf("put: %+v %v", r, err)
		}
		r, err = c.CopyTree(ctx, there, there+"copy", o)
		if err != nil || *r != want {
			t.Fatalf("copy: %+v %v", r, err)
		}
		r, err = c.GetTree(ctx, there+"copy", back, o)
		if err != nil || *r != want {
			t.Fatalf("get: %+v %v", r, err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(back, "ro"), 0o755) })
		if a, b := treeText(t, here, true), treeText(t, back, true); a != b {
			t.Errorf("sent:\n%s\ngot back:\n%s", a, b)
		}
		if len(events) != 0 {
			t.Error(events)
		}
		// Once more over what is there, skipping it, and replacing links.
		o.IfExists = sftp.SkipIfExists
		r, err = c.GetTree(ctx, there, back, o)
		if err != nil || r.Files != 0 || r.Links != 0 || r.Skipped != 11 {
			t.Errorf("again: %+v %v", r, err)
		}
		o.IfExists, o.KeepGoing = sftp.Overwrite, true
		if r, err = c.GetTree(ctx, there, back, o); os.Geteuid() == 0 && (err != nil || *r != want) {
			t.Errorf("once more: %+v %v", r, err)
		}
		o.DryRun = true
		r, err = c.GetTree(ctx, there, filepath.Join(dir, "none"), o)
		want.Transferred = 0
		if err != nil || *r != want || localNames(t, dir) != "back here" {
			t.Errorf("dry: %+v %v", r, err)
		}
		if err := errors.Join(removeAll(ctx, c, there), removeAll(ctx, c, there+"copy")); err != nil {
			t.Error(err)
		}
	})
}

// followed trees: links are what they lead to, once, and only inside.
func TestTreesFollowLinks(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		here := filepath.Join(dir, "here")
		if err := os.MkdirAll(filepath.Join(here, "d", "e"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, filepath.Join(dir, "outside"), []byte("secret"))
		writeLocal(t, filepath.Join(here, "d", "f"), noise(10))
		for link, text := range map[string]string{
			"file": "d/f", "dir": "d", "d/e/loop": "..", "out": "../outside", "abs": filepath.Join(dir, "outside"), "gone": "nothing",
		} {
			if err := os.Symlink(text, filepath.Join(here, link)); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, r *sftp.TreeResult, err error, failed []string) {
			t.Helper()
			te, ok := errors.AsType[*sftp.TreeError](err)
			if !ok || int(te.Failed) != len(te.Errors) {
				t.Fatalf("%s: %+v %v", what, r, err)
			}
			var names []string
			for _, err := range te.Errors {
				e, _ := errors.AsType[*sftp.TransferError](err)
				names = append(names, e.Path)
			}
			slices.Sort(names)
			if !slices.Equal(names, failed) || r.Files != 3 || r.Dirs != 5 {
				t.Errorf("%s: %v, %+v", what, names, r)
			}
		}
		o := sftp.TreeOptions{Links: sftp.FollowLinks, KeepGoing: true}
		r, err := c.PutTree(ctx, here, "/there", o)
		check("put", r, err, []string{"abs", "d/e/loop", "dir/e/loop", "gone", "out"})
		if _, err := c.Lstat(ctx, "/there/out"); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a file from outside was sent:", err)
		}
		// The same from the server.
		if err := c.WriteFile(ctx, "/outside", []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Links = sftp.CopyLinks
		o.KeepGoing = true
		if _, err = c.PutTree(ctx, here, "/links", o); err == nil {
			t.Error("links that lead out were copied")
		}
		for link, text := range map[string]string{"out": "../outside", "abs": "/outside"} {
			if err := c.Symlink(ctx, text, "/links/"+link); err != nil {
				t.Fatal(err)
			}
		}
		o.Links = sftp.FollowLinks
		r, err = c.GetTree(ctx, "/links", filepath.Join(dir, "back"), o)
		check("get", r, err, []string{"abs", "d/e/loop", "dir/e/loop", "gone", "out"})
		for _, name := range []string{"/there", "/links", "/outside"} { // for the next round
			if err := removeAll(ctx, c, name); err != nil {
				t.Error(err)
			}
		}
	})
}

// removeAll removes a remote tree.
func removeAll(ctx context.Context, c *sftp.Client, root string) error {
	var dirs []string
	for e, err := range c.Walk(ctx, root) {
		if err != nil {
			return err
		}
		if e.Attrs.IsDir() {
			dirs = append(dirs, e.Path)
			continue
		}
		if err := c.Remove(ctx, e.Path); err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(dirs) {
		if err := c.Rmdir(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// listed is a directory with made-up entries.
type listed struct {
	sftp.UnsupportedDir
	list []sftp.Entry
}

func (d *listed) Next(context.Context, int) ([]sftp.Entry, error) {
	list := d.list
	d.list = nil
	return list, io.EOF
}

func entryOf(name string, mode uint32) sftp.Entry {
	return sftp.Entry{Name: name, Attrs: sftp.Attrs{Valid: sftp.AttrsBasic, Mode: mode, Atime: treeTime, Mtime: treeTime}}
}

// A server that lists names which lead out of the target: each is refused and counted, what
// is in order comes, and nothing outside is touched.
func TestCVE_8_11_TreeOfAHostileServer(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	bad := []string{"..", "../outside", "a/../../outside", "/outside", "/", "x/", "sub/file", "n\x00l", strings.Repeat("l", 256)}
	s.dir = func(name string) (sftp.Dir, bool) {
		if name != "/evil" {
			return nil, false
		}
		list := []sftp.Entry{entryOf(".", sftp.ModeDir|0o755), entryOf("good", sftp.ModeRegular|0o644)}
		for _, name := range bad {
			list = append(list, entryOf(name, sftp.ModeRegular|0o644), entryOf(name, sftp.ModeDir|0o755), entryOf(name, sftp.ModeSymlink|0o777))
		}
		list = append(list, entryOf("", sftp.ModeRegular|0o644), entryOf("good2", sftp.ModeRegular|0o644))
		return &listed{list: list}, true
	}
	visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		_ = c.Mkdir(ctx, "/evil", nil)
		for _, name := range []string{"/evil/good", "/evil/good2", "/outside"} {
			if err := c.WriteFile(ctx, name, []byte("evil"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		target := filepath.Join(dir, "sub", "target")
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, filepath.Join(dir, "outside"), []byte("mine"))
		writeLocal(t, filepath.Join(dir, "sub", "outside"), []byte("mine"))
		for _, links := range []sftp.Links{sftp.SkipLinks, sftp.CopyLinks, sftp.FollowLinks} {
			r, err := c.GetTree(ctx, "/evil", target, sftp.TreeOptions{Links: links, KeepGoing: true})
			te, ok := errors.AsType[*sftp.TreeError](err)
			// ".." is left out silently, as "." is: both are customary.
			want := int64(3*(len(bad)-1) + 1)
			if !ok || te.Failed != want || r.Files != 2 || r.Dirs != 1 {
				t.Errorf("%d of %d failed: %+v %v", te.Failed, want, r, err)
			}
			for _, err := range te.Errors {
				if !errors.Is(err, fs.ErrInvalid) {
					t.Error(err)
				}
			}
			if _, err := c.GetTree(ctx, "/evil", target, sftp.TreeOptions{Links: links}); err == nil {
				t.Error("no error")
			}
			if got := localNames(t, target); got != "good good2" {
				t.Error("got", got)
			}
			if got := localNames(t, dir) + " " + localNames(t, filepath.Join(dir, "sub")); got != "outside sub outside target" {
				t.Error("around it:", got)
			}
			for _, name := range []string{"outside", "sub/outside"} {
				if got := readLocal(t, filepath.Join(dir, name)); string(got) != "mine" {
					t.Errorf("%s is %q", name, got)
				}
			}
			// Glob and Walk do not hand such names on either.
			for name, err := range c.Glob(ctx, "/evil/*") {
				if err == nil && name != "/evil/good" && name != "/evil/good2" && len(name) < 256 {
					t.Errorf("glob: %q", name)
				}
			}
		}
	})
}

// A link and then something through it: the classical way out.
func TestCVE_8_12_LinkThenThroughIt(t *testing.T) {
	for _, text := range []string{"../outside", "/", "..", "d/../../outside"} {
		_, tree := memServer(memfs.Options{})
		s := &evilLink{tap: tap{FileSystem: tree}, text: text}
		s.dir = func(name string) (sftp.Dir, bool) {
			switch name {
			case "/evil":
				return &listed{list: []sftp.Entry{entryOf("x", sftp.ModeSymlink|0o777), entryOf("x", sftp.ModeDir|0o755)}}, true
			case "/evil/x":
				return &listed{list: []sftp.Entry{entryOf("f", sftp.ModeRegular|0o644)}}, true
			}
			return nil, false
		}
		visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
			ctx, dir := t.Context(), t.TempDir()
			_ = c.MkdirAll(ctx, "/evil/x", nil)
			if err := c.WriteFile(ctx, "/evil/x/f", []byte("evil"), 0o644); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(dir, "target")
			if err := os.MkdirAll(filepath.Join(dir, "outside"), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := c.GetTree(ctx, "/evil", target, sftp.TreeOptions{Links: sftp.CopyLinks, KeepGoing: true})
			if err == nil {
				t.Error("no error")
			}
			if got := localNames(t, filepath.Join(dir, "outside")); got != "" {
				t.Error("outside:", got)
			}
			if info, err := os.Lstat(filepath.Join(target, "x")); err != nil || !info.IsDir() {
				t.Errorf("%v %v", info, err)
			}
		})
	}
}

// evilLink answers every READLINK with one text.
type evilLink struct {
	tap
	text string
}

func (s *evilLink) ReadLink(context.Context, string) (string, error) { return s.text, nil }

// Symlinks that are in the target already, or that somebody puts there meanwhile, lead
// nowhere.
func TestCVE_8_12_LinksInTheTarget(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		_ = c.MkdirAll(ctx, "/tree/sub", nil)
		for _, name := range []string{"/tree/file", "/tree/sub/file"} {
			if err := c.WriteFile(ctx, name, []byte("theirs"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		target, outside := filepath.Join(dir, "target"), filepath.Join(dir, "outside")
		if err := errors.Join(os.MkdirAll(target, 0o755), os.MkdirAll(outside, 0o755)); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, filepath.Join(dir, "precious"), []byte("mine"))
		for _, link := range [][2]string{{"../precious", "file"}, {"../outside", "sub"}} {
			if err := os.Symlink(link[0], filepath.Join(target, link[1])); err != nil {
				t.Fatal(err)
			}
		}
		for _, atomic := range []bool{false, true} {
			o := sftp.TreeOptions{KeepGoing: true}
			o.Atomic = atomic
			r, err := c.GetTree(ctx, "/tree", target, o)
			te, ok := errors.AsType[*sftp.TreeError](err)
			if atomic {
				// The link itself is replaced, and the directory is not entered.
				if !ok || te.Failed != 1 || r.Files != 1 {
					t.Errorf("%+v %v", r, err)
				}
				continue
			}
			if !ok || te.Failed != 2 || r.Files != 0 {
				t.Errorf("%+v %v", r, err)
			}
		}
		if got := readLocal(t, filepath.Join(dir, "precious")); string(got) != "mine" {
			t.Errorf("%q", got)
		}
		if got := localNames(t, outside); got != "" {
			t.Error(got)
		}
	})
}

// A directory of the target is swapped for a symlink again and again while files come in.
func TestCVE_8_12_SwappedDirectory(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	for i := range 200 {
		if i == 0 {
			if err := errors.Join(tree.Mkdir(t.Context(), "/tree", nil), tree.Mkdir(t.Context(), "/tree/sub", nil)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := tree.Open(t.Context(), "/tree/sub/"+strconv.Itoa(i), &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
		if err == nil {
			_, err = f.WriteAt([]byte("theirs"), 0)
			err = errors.Join(err, f.Close(nil))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	target, outside := filepath.Join(dir, "target"), filepath.Join(dir, "outside")
	if err := errors.Join(os.MkdirAll(filepath.Join(target, "sub"), 0o755), os.MkdirAll(outside, 0o755)); err != nil {
		t.Fatal(err)
	}
	var swapping sync.WaitGroup
	var stop atomic.Bool
	sub, aside := filepath.Join(target, "sub"), filepath.Join(target, "aside")
	swapping.Go(func() {
		for !stop.Load() {
			_ = os.Rename(sub, aside)
			_ = os.Symlink("../outside", sub)
			_ = os.Remove(sub)
			_ = os.Rename(aside, sub)
		}
	})
	c, err := overLink(t, srv, nil, netsim.Link{}, netsim.Link{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		o := sftp.TreeOptions{KeepGoing: true}
		o.Atomic = i%2 == 0
		o.NoSync = true
		o.Preserve = sftp.PreserveMode | sftp.PreserveTimes
		_, _ = c.GetTree(t.Context(), "/tree", target, o)
	}
	c.end()
	stop.Store(true)
	swapping.Wait()
	if got := localNames(t, outside); got != "" {
		t.Error("outside:", got)
	}
}

// On the way up a symlink in the place of a directory is not followed.
func TestPutTreeDoesNotFollowRemoteLinks(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, here := t.Context(), t.TempDir()
		if err := os.Mkdir(filepath.Join(here, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, filepath.Join(here, "sub", "file"), []byte("x"))
		_ = c.Mkdir(ctx, "/there", nil)
		_ = c.Mkdir(ctx, "/elsewhere", nil)
		_ = c.Symlink(ctx, "../elsewhere", "/there/sub")
		if _, err := c.PutTree(ctx, here, "/there", sftp.TreeOptions{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Error(err)
		}
		if got := remoteNames(t, c, "/elsewhere"); got != "" {
			t.Error(got)
		}
	})
}

// A server whose directories never end, downwards or sideways.
func TestTreeOfEndlessDepth(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	s.dir = func(string) (sftp.Dir, bool) {
		return &listed{list: []sftp.Entry{entryOf("d", sftp.ModeDir|0o755)}}, true
	}
	visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		r, err := c.GetTree(ctx, "/", t.TempDir(), sftp.TreeOptions{})
		if err == nil || !strings.Contains(err.Error(), "too deep") || r.Dirs != 257 {
			t.Errorf("%+v %v", r, err)
		}
		r, err = c.GetTree(ctx, "/", t.TempDir(), sftp.TreeOptions{MaxDepth: 3, KeepGoing: true})
		if err == nil || r.Dirs != 4 || r.Failed != 1 {
			t.Errorf("%+v %v", r, err)
		}
		n := 0
		for e, err := range c.Walk(ctx, "/") {
			if n++; err != nil && e.Depth != 257 {
				t.Error(e.Depth, err)
			}
		}
		if n != 258 {
			t.Error(n, "entries")
		}
	})
}

// ... and one that lists directories without end, and would fill the memory with them.
func TestTreeOfEndlessWidth(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	s.dir = func(name string) (sftp.Dir, bool) { return &wide{empty: name != "/"}, true }
	visitV3(t, serverOf(s), func(t *testing.T, c *sftp.Client) {
		r, err := c.GetTree(t.Context(), "/", t.TempDir(), sftp.TreeOptions{DryRun: true, Parallel: 1})
		if err == nil || !strings.Contains(err.Error(), "too many directories") || r.Failed != 1 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// wide is a directory of as many directories as one likes to hear of.
type wide struct {
	sftp.UnsupportedDir
	empty bool
	n     int
}

func (d *wide) Next(_ context.Context, n int) ([]sftp.Entry, error) {
	if d.empty {
		return nil, io.EOF
	}
	list := make([]sftp.Entry, n)
	for i := range list {
		list[i] = entryOf(strconv.Itoa(d.n), sftp.ModeDir|0o755)
		d.n++
	}
	return list, nil
}

// What is not a file is left out, and so is what the options say.
func TestTreeFilters(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	s.dir = func(name string) (sftp.Dir, bool) {
		if name != "/t/special" {
			return nil, false
		}
		return &listed{list: []sftp.Entry{
			entryOf("fifo", sftp.ModeFIFO|0o644), entryOf("dev", sftp.ModeBlock|0o644), entryOf("socket", sftp.ModeSocket|0o644),
		}}, true
	}
	visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		for _, d := range []string{"/t", "/t/special", "/t/.git", "/t/src", "/t/src/deep"} {
			_ = c.Mkdir(ctx, d, nil)
		}
		for _, f := range []string{"/t/README", "/t/.git/HEAD", "/t/src/a.go", "/t/src/a_test.go", "/t/src/deep/b.go", "/t/src/deep/big.bin"} {
			if err := c.WriteFile(ctx, f, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for i, tt := range []struct {
			o    sftp.TreeOptions
			want string
		}{
			{sftp.TreeOptions{Exclude: []string{".git", "special"}}, "README src src/a.go src/a_test.go src/deep src/deep/b.go src/deep/big.bin"},
			{sftp.TreeOptions{Include: []string{"*.go"}, Exclude: []string{"*_test.go", ".git", "special"}}, "src src/a.go src/deep src/deep/b.go"},
			{sftp.TreeOptions{Include: []string{"src/**"}, Exclude: []string{"**/*.bin"}}, ".git special src src/a.go src/a_test.go src/deep src/deep/b.go"},
			{sftp.TreeOptions{Filter: func(p string, a *sftp.Attrs) bool { return !a.IsDir() }}, "README"},
			{sftp.TreeOptions{}, ".git .git/HEAD README special src src/a.go src/a_test.go src/deep src/deep/b.go src/deep/big.bin"},
		} {
			target := filepath.Join(dir, strconv.Itoa(i))
			var skipped []string
			tt.o.Report = func(e *sftp.TreeEvent) {
				if e.Action == sftp.EntrySkipped {
					skipped = append(skipped, e.Path)
				}
			}
			r, err := c.GetTree(ctx, "/t", target, tt.o)
			if err != nil {
				t.Error(err)
			}
			var got []string
			_ = filepath.WalkDir(target, func(name string, _ fs.DirEntry, _ error) error {
				rel, _ := filepath.Rel(target, name)
				got = append(got, filepath.ToSlash(rel))
				return nil
			})
			if s := strings.Join(got[1:], " "); s != tt.want {
				t.Errorf("%d: got %s", i, s)
			}
			if i == 4 && (len(skipped) != 3 || r.Skipped != 3) {
				t.Errorf("left out: %v, %+v", skipped, r)
			}
		}
		if _, err := c.GetTree(ctx, "/t", filepath.Join(dir, "bad"), sftp.TreeOptions{Include: []string{"["}}); !errors.Is(err, sftp.CodeInvalidParameter) {
			t.Error(err)
		}
	})
}

// With a bound of one open file there is no deadlock, and never more than one open.
func TestW9_TreesWithOneOpenFile(t *testing.T) {
	srv, s := tapped()
	srv.Limits.Handles = 1
	_ = s
	visit(t, srv, &sftp.ClientConfig{MaxOpenFiles: 1}, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		here, back := filepath.Join(dir, "here"), filepath.Join(dir, "back")
		sampleTree(t, here)
		o := sftp.TreeOptions{Links: sftp.CopyLinks, KeepGoing: true}
		if _, err := c.PutTree(ctx, here, "/there", o); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetTree(ctx, "/there", back, o); err != nil {
			t.Fatal(err)
		}
		if a, b := treeText(t, here, false), treeText(t, back, false); a != b {
			t.Errorf("sent:\n%s\ngot back:\n%s", a, b)
		}
	})
}

// Errors of entries: the first ends the transfer, or all are kept.
func TestTreeErrors(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	s.file = func(name string, f sftp.File) sftp.File {
		if strings.HasSuffix(name, "bad") {
			return &broken{File: f}
		}
		return f
	}
	visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		_ = c.Mkdir(ctx, "/t", nil)
		for i := range 300 {
			name := fmt.Sprintf("/t/%03d", i)
			if i%2 == 1 {
				name += "bad"
			}
			if err := c.WriteFile(ctx, name, []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r, err := c.GetTree(ctx, "/t", t.TempDir(), sftp.TreeOptions{KeepGoing: true})
		te, ok := errors.AsType[*sftp.TreeError](err)
		if !ok || te.Failed != 150 || len(te.Errors) != 100 || r.Files != 150 || r.Failed != 150 {
			t.Errorf("%+v %v", r, err)
		}
		r, err = c.GetTree(ctx, "/t", t.TempDir(), sftp.TreeOptions{})
		if e, ok := errors.AsType[*sftp.TransferError](err); !ok || e.Step != "read" || r.Failed != 1 {
			t.Errorf("%+v %v", r, err)
		}
		gone, cancel := context.WithCancelCause(ctx)
		_, err = c.GetTree(gone, "/t", t.TempDir(), sftp.TreeOptions{KeepGoing: true, Report: func(*sftp.TreeEvent) { cancel(errFailing) }})
		if !errors.Is(err, errFailing) {
			t.Error(err)
		}
		if _, err := c.GetTree(ctx, "/t/000", t.TempDir(), sftp.TreeOptions{}); !errors.Is(err, sftp.CodeNotADirectory) {
			t.Error(err)
		}
		if _, err := c.CopyTree(ctx, "/t", "/t/sub", sftp.TreeOptions{}); !errors.Is(err, sftp.CodeInvalidParameter) {
			t.Error(err)
		}
		if _, err := c.Lstat(ctx, "/t/sub"); !errors.Is(err, fs.ErrNotExist) {
			t.Error("left:", err)
		}
	})
}

// Progress of a tree counts all of it.
func TestTreeProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := memServer(memfs.Options{})
		link := netsim.Link{Delay: 10 * time.Millisecond, Rate: 1 << 20}
		c, err := overLink(t, srv, nil, link, link)
		if err != nil {
			t.Fatal(err)
		}
		defer c.end()
		dir := t.TempDir()
		here := filepath.Join(dir, "here")
		sampleTree(t, here)
		for _, put := range []bool{true, false} {
			var last sftp.Progress
			calls := 0
			o := sftp.TreeOptions{}
			o.Progress = func(p sftp.Progress) {
				if p.Done < last.Done || p.Files < last.Files || last.Last {
					t.Errorf("%+v after %+v", p, last)
				}
				last = p
				calls++
			}
			if put {
				_, err = c.PutTree(t.Context(), here, "/there", o)
			} else {
				_, err = c.GetTree(t.Context(), "/there", filepath.Join(dir, "back"), o)
			}
			if err != nil {
				t.Error(err)
			}
			if !last.Last || last.Done != 630_000 || last.Total != 630_000 || last.Files != 7 || last.FilesTotal != 7 || !last.Listed || calls < 6 {
				t.Errorf("%+v after %d calls", last, calls)
			}
		}
	})
}

// 500 small files in 5 directories over a round trip of 100 ms.
func TestManySmallFilesOverALongWay(t *testing.T) {
	took := func(parallel int) (get, put time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			link := netsim.Link{Delay: 50 * time.Millisecond, Rate: 100 << 20}
			c, err := overLink(t, srv, nil, link, link)
			if err != nil {
				t.Fatal(err)
			}
			defer c.end()
			dir := t.TempDir()
			here := filepath.Join(dir, "here")
			for i := range 5 {
				sub := filepath.Join(here, strconv.Itoa(i))
				if err := os.MkdirAll(sub, 0o755); err != nil {
					t.Fatal(err)
				}
				for j := range 100 {
					writeLocal(t, filepath.Join(sub, strconv.Itoa(j)), noise(1000+j))
				}
			}
			o := sftp.TreeOptions{Parallel: parallel}
			begin := time.Now()
			r, err := c.PutTree(t.Context(), here, "/there", o)
			put = time.Since(begin)
			if err != nil || r.Files != 500 {
				t.Fatal(r, err)
			}
			begin = time.Now()
			r, err = c.GetTree(t.Context(), "/there", filepath.Join(dir, "back"), o)
			get = time.Since(begin)
			if err != nil || r.Files != 500 {
				t.Fatal(r, err)
			}
		})
		return get, put
	}
	get1, put1 := took(1)
	get, put := took(0)
	t.Logf("get: %v, and %v one at a time; put: %v, and %v", get, get1, put, put1)
	if get > 9*time.Second || put > 12*time.Second || get1 < 10*get || put1 < 10*put {
		t.Errorf("get: %v, and %v one at a time; put: %v, and %v", get, get1, put, put1)
	}
}
