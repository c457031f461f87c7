package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// counted counts what is open, and panics on purpose where it is told to.
type counted struct {
	sftp.FileSystem
	open            int
	onStat, onWrite bool
}

func (c *counted) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f, err := c.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	c.open++
	return &countedFile{f, c}, nil
}

func (c *counted) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	d, err := c.FileSystem.OpenDir(ctx, name)
	if err != nil {
		return nil, err
	}
	c.open++
	return &countedDir{d, c}, nil
}

func (c *counted) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	if c.onStat {
		panic("on purpose")
	}
	return c.FileSystem.Stat(ctx, name, opt)
}

type countedFile struct {
	sftp.File
	c *counted
}

func (f *countedFile) WriteAt(p []byte, off int64) (int, error) {
	if f.c.onWrite {
		panic("on purpose")
	}
	return f.File.WriteAt(p, off)
}

func (f *countedFile) Close(cause error) error { f.c.open--; return f.File.Close(cause) }

type countedDir struct {
	sftp.Dir
	c *counted
}

func (d *countedDir) Close(cause error) error { d.c.open--; return d.Dir.Close(cause) }

// TestCVE_13_6_PanicsCloseEverything: what was opened for a request that then panics has no
// handle yet, or never gets one, and is closed all the same.
func TestCVE_13_6_PanicsCloseEverything(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*counted)
		m    fxp.Message
	}{
		{"opendir", func(c *counted) { c.onStat = true }, &fxp.Path{T: fxp.TypeOpendir, Path: "/"}},
		{"copy-file", func(c *counted) { c.onWrite = true }, ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "/f", To: "/g"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := memfs.New(memfs.Options{})
			fsys := &counted{FileSystem: tree}
			play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
				p.init(fxp.V6)
				p.put("/f", "content")
				c.arm(fsys)
				p.send(c.m)
				err := <-p.done
				p.done <- err
				if _, ok := errors.AsType[*sftp.PanicError](err); !ok {
					p.t.Errorf("Serve returned %v", err)
				}
				if fsys.open != 0 {
					p.t.Errorf("%d left open", fsys.open)
				}
			})
		})
	}
}

// TestCopyFileOntoItself: a file is not emptied by copying it onto itself, by whatever
// name, where the file system does not say who is who.
func TestCopyFileOntoItself(t *testing.T) {
	for _, ids := range []bool{true, false} {
		tree := memfs.New(memfs.Options{})
		var fsys sftp.FileSystem = tree
		if !ids {
			fsys = noIDs{tree}
		}
		play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
			p.init(fxp.V6)
			p.put("/f", "content")
			if err := tree.Link(context.Background(), "f", "/link", true); err != nil {
				p.t.Fatal(err)
			}
			for _, name := range []string{"/f", "f", "/x/../f", "/link"} {
				p.want(name, sftp.CodeInvalidParameter, ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "/f", To: name, Overwrite: true}))
				if got := p.get("/f"); got != "content" {
					p.t.Fatalf("copy to %s left %q", name, got)
				}
			}
		})
	}
}

// late is a file system whose files are written slowly.
type late struct{ sftp.FileSystem }

func (l late) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f, err := l.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return lateFile{f}, nil
}

type lateFile struct{ sftp.File }

func (f lateFile) WriteAt(p []byte, off int64) (int, error) {
	pause(time.Second)
	return f.File.WriteAt(p, off)
}

// TestOrderBehindCopyFile: what is asked of a file that copy-file writes, through a handle
// that was there before, is done behind it.
func TestOrderBehindCopyFile(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	play(t, serverOf(late{tree}), sftp.SessionInfo{}, func(p *peer) {
		p.init(fxp.V6)
		p.put("/f", "content")
		p.put("/g", "old")
		h := p.open("/g", fxp.OpenRead)
		p.sendAll(ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "/f", To: "/g", Overwrite: true}), &fxp.Read{Handle: h, Length: 100})
		var got string
		for range 2 {
			if _, m := p.recv(); m != nil {
				if d, ok := m.(*fxp.Data); ok {
					got = string(d.Data)
				}
			}
		}
		if got != "content" {
			p.t.Errorf("read %q", got)
		}
	})
}

// TestOrderBehindRename: WRITE by one handle and READ by another are in order also when the
// file has been renamed in between.
func TestOrderBehindRename(t *testing.T) {
	for _, dir := range []string{"", "/d"} {
		tree := memfs.New(memfs.Options{})
		play(t, serverOf(late{tree}), sftp.SessionInfo{}, func(p *peer) {
			p.init(fxp.V3)
			from, to := "/a", "/b"
			if dir != "" {
				if err := tree.Mkdir(context.Background(), dir, nil); err != nil {
					p.t.Fatal(err)
				}
				from, to = dir, "/e"
			}
			name := func(at string) string {
				if dir != "" {
					return at + "/f"
				}
				return at
			}
			p.put(name(from), "old")
			w := p.open(name(from), fxp.OpenWrite)
			p.want("rename", sftp.CodeOK, &fxp.Rename{V: fxp.V3, Old: from, New: to})
			r := p.open(name(to), fxp.OpenRead)
			srvSpawn := strings.Repeat("n", 5000)
			p.sendAll(&fxp.Write{Handle: w, Data: []byte(srvSpawn)}, &fxp.Write{Handle: w, Data: []byte("new")}, &fxp.Read{Handle: r, Length: 3})
			var got string
			for range 3 {
				if _, m := p.recv(); m != nil {
					if d, ok := m.(*fxp.Data); ok {
						got = string(d.Data)
					}
				}
			}
			if got != "new" {
				p.t.Errorf("read %q", got)
			}
		})
	}
}

// TestW23_AppendingCopy: what copy-data appends is counted once.
func TestW23_AppendingCopy(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	q := newQuota(t, "", 20, 0)
	play(t, serverOf(q.Wrap(tree)), sftp.SessionInfo{}, func(p *peer) {
		p.init(fxp.V3)
		p.put("/f", "12345678")
		from, to := p.open("/f", fxp.OpenRead), p.open("/g", fxp.OpenWrite|fxp.OpenCreate|fxp.OpenAppend)
		p.want("copy", sftp.CodeOK, ext(fxp.OpCopyData, &fxp.ExtCopyData{From: from, To: to}))
		if u, err := q.Usage(); u.Bytes != 16 || err != nil {
			p.t.Error(u, err)
		}
	})
}

// TestTextHashBesideReads: hashes of a text file run beside READ, and share nothing with it.
func TestTextHashBesideReads(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	srv := serverOf(tree)
	srv.Newline = "\r\n"
	srv.SetIO(sftp.IOSpawn)
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(fxp.V4)
		p.put("/f", strings.Repeat("line\n", 100))
		h := p.open("/f", fxp.OpenRead|fxp.OpenText)
		var ms []fxp.Message
		for range 20 {
			ms = append(ms, checkHandle(h, fxp.HashRange{Algorithms: []string{"md5"}}), &fxp.Read{Handle: h, Length: 20})
		}
		p.sendAll(ms...)
		for range ms {
			p.recv()
		}
	})
}

// TestCVE_12_3_AttributesOfOthers: what some client has set on a file does not make answers
// to others that no client takes.
func TestCVE_12_3_AttributesOfOthers(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	for v := fxp.V4; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			p.put("/f", "")
			for i := range 4 {
				a := fxp.Attrs{V: v, Flags: fxp.AttrExtended}
				for j := range 10 {
					a.Extended = append(a.Extended, fxp.Pair{Name: fmt.Sprintf("user.%d.%d", i, j), Data: []byte(strings.Repeat("x", 10_000))})
				}
				p.call(&fxp.PathAttrs{T: fxp.TypeSetstat, Path: "/f", Attrs: a})
			}
			msgLen := func(m fxp.Message) int {
				p.send(m)
				msg, err := p.next()
				if err != nil {
					p.t.Fatal(err)
				}
				return len(msg)
			}
			if n := msgLen(&fxp.Stat{T: fxp.TypeStat, V: v, Path: "/f", Want: 0xFFFFFFFF}); n > fxp.MaxLength {
				p.t.Errorf("version %d: answer of %d octets", v, n)
			}
		})
	}
}
