package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// hookFS calls hook in each method, with the context that it got.
type hookFS struct {
	sftp.FileSystem
	hook func(ctx context.Context, what, name string) error
}

func (f *hookFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if err := f.hook(ctx, "open", name); err != nil {
		return nil, err
	}
	return f.FileSystem.Open(ctx, name, how)
}

func (f *hookFS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if err := f.hook(ctx, "opendir", name); err != nil {
		return nil, err
	}
	return f.FileSystem.OpenDir(ctx, name)
}

func (f *hookFS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	if err := f.hook(ctx, "stat", name); err != nil {
		return nil, err
	}
	return f.FileSystem.Stat(ctx, name, opt)
}

func (f *hookFS) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	if err := f.hook(ctx, "setstat", name); err != nil || a.Valid == 0 {
		return err
	}
	return f.FileSystem.SetStat(ctx, name, a, follow)
}

func (f *hookFS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if err := f.hook(ctx, "mkdir", name); err != nil {
		return err
	}
	return f.FileSystem.Mkdir(ctx, name, a)
}

func (f *hookFS) Remove(ctx context.Context, name string) error {
	if err := f.hook(ctx, "remove", name); err != nil {
		return err
	}
	return f.FileSystem.Remove(ctx, name)
}

func (f *hookFS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if err := f.hook(ctx, "rename", from); err != nil {
		return err
	}
	return f.FileSystem.Rename(ctx, from, to, flags)
}

func (f *hookFS) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	if err := f.hook(ctx, "realpath", name); err != nil {
		return "", nil, err
	}
	return f.FileSystem.RealPath(ctx, name, opt)
}

func hooked(hook func(ctx context.Context, what, name string) error) *sftp.Server {
	_, tree := memServer(memfs.Options{})
	return serverOf(&hookFS{tree, hook})
}

// TestSetHandle: what a file system calls a handle the client gets, and it works for files and
// directories beside handles of the server's own, until it is closed.
func TestSetHandle(t *testing.T) {
	binary := "\x00\xff" + strings.Repeat("h", sftp.MaxHandle-2)
	var refused []error
	srv := hooked(func(ctx context.Context, what, name string) error {
		switch {
		case what != "open" && what != "opendir":
		case strings.HasSuffix(name, "own"):
		case strings.HasSuffix(name, "binary"):
			return sftp.SetHandle(context.WithoutCancel(ctx), binary)
		case strings.HasSuffix(name, "bad"):
			for _, h := range []string{"", binary + "x", "17"} {
				refused = append(refused, sftp.SetHandle(ctx, h))
			}
		case strings.HasSuffix(name, "fails"):
			if err := sftp.SetHandle(ctx, "18"); err != nil {
				t.Error(err)
			}
			return sftp.CodePermissionDenied
		default:
			if err := sftp.SetHandle(ctx, "16"); err != nil { // the last call counts
				t.Error(err)
			}
			return sftp.SetHandle(ctx, "17")
		}
		return nil
	})
	everyVersion(t, srv, func(p *peer) {
		const flags = fxp.OpenRead | fxp.OpenWrite | fxp.OpenCreate
		refused = nil
		p.want("a directory", sftp.CodeOK, mkdirOf(p.v, "/d"))
		p.want("a directory", sftp.CodeOK, mkdirOf(p.v, "/dbinary"))
		h := p.open("/f", flags)
		if string(h) != "17" {
			t.Fatalf("handle %q", h)
		}
		if again := p.call(openOf(p.v, "/g", flags)); p.code(again) != sftp.CodeFailure {
			t.Errorf("a handle was given twice")
		}
		p.want("a handle of a failed OPEN", sftp.CodePermissionDenied, openOf(p.v, "/fails", flags))
		p.want("that handle", sftp.CodeInvalidHandle, &fxp.Handle{T: fxp.TypeClose, Handle: []byte("18")})
		own := p.open("/own", flags)
		bad := p.open("/bad", flags)
		if len(own) != 4 || len(bad) != 4 {
			t.Errorf("handles %q %q", own, bad)
		}
		dir := p.opendir("/dbinary")
		if string(dir) != binary {
			t.Errorf("handle %q", dir)
		}
		p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("custom")})
		p.want("write", sftp.CodeOK, &fxp.Write{Handle: own, Data: []byte("own")})
		if got, _ := p.read(h, 0, 10); got != "custom" {
			t.Errorf("read %q", got)
		}
		if got, _ := p.read(own, 0, 10); got != "own" {
			t.Errorf("read %q", got)
		}
		if _, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: dir}).(*fxp.Name); !ok {
			t.Error("no listing by a custom handle")
		}
		for _, h := range [][]byte{h, own, bad, dir} {
			p.close(h)
			p.want("a closed handle", sftp.CodeInvalidHandle, &fxp.Handle{T: fxp.TypeClose, Handle: h})
		}
		p.close(p.open("/f", flags)) // the handle is free again
		if len(refused) != 3 {
			t.Fatalf("%d refusals", len(refused))
		}
		for _, err := range refused {
			if _, ok := errors.AsType[*sftp.HandleError](err); !ok || !strings.HasPrefix(err.Error(), "sftp: handle ") {
				t.Errorf("refusal %v", err)
			}
		}
		p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "/d"})
		p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "/dbinary"})
	})
}

func mkdirOf(v fxp.Version, name string) *fxp.PathAttrs {
	return &fxp.PathAttrs{T: fxp.TypeMkdir, Path: name, Attrs: fxp.Attrs{V: v, Type: byte(sftp.TypeDirectory)}}
}

// TestSetHandleElsewhere: where nothing is opened there is no handle to name.
func TestSetHandleElsewhere(t *testing.T) {
	if _, ok := errors.AsType[*sftp.HandleError](sftp.SetHandle(context.Background(), "1")); !ok {
		t.Error("a handle without a session")
	}
	if sftp.SessionVersion(context.Background()) != 0 || sftp.RequestName(context.Background()) != "" {
		t.Error("a session in no context")
	}
	if _, ok := sftp.RequestOf(context.Background()); ok {
		t.Error("a request in no context")
	}
	var mu sync.Mutex
	got := map[string]string{}
	for _, serial := range []bool{false, true} {
		srv := hooked(func(ctx context.Context, what, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if what == "open" && name == "/copy" && got[fmt.Sprint(serial)] == "" {
				_, ok := sftp.RequestOf(ctx)
				got[fmt.Sprint(serial)] = fmt.Sprint(sftp.SetHandle(ctx, "1") != nil, ok, sftp.RequestName(ctx))
			}
			if what == "stat" && sftp.SetHandle(ctx, "1") == nil {
				t.Error("a handle in STAT")
			}
			return nil
		})
		play(t, srv, sftp.SessionInfo{Serial: serial}, func(p *peer) {
			p.init(3)
			p.put("/f", "content")
			p.stat("/f")
			p.want("copy", sftp.CodeOK, &fxp.Extended{Name: "copy-file", Data: appendStrings("/f", "/copy", false)})
			if text := p.get("/copy"); text != "content" {
				t.Errorf("copy %q", text)
			}
		})
	}
	if got["false"] != "true false" || got["true"] != "true truecopy-file" {
		t.Errorf("beside the loop, in the loop: %v", got)
	}
}

func appendStrings(a, b string, c bool) []byte {
	m := fxp.ExtCopyFile{From: a, To: b, Overwrite: c}
	return wire.Append(nil, &m)
}

// TestOwnHandleIsNoCustomOne: the server's handles and those of the file system never collide.
func TestOwnHandleIsNoCustomOne(t *testing.T) {
	var next string
	srv := hooked(func(ctx context.Context, what, name string) error {
		if what == "open" && next != "" {
			return sftp.SetHandle(ctx, next)
		}
		return nil
	})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		const flags = fxp.OpenRead | fxp.OpenWrite | fxp.OpenCreate
		p.init(3)
		own := p.open("/a", flags)
		next = string(own)
		p.want("the handle of another", sftp.CodeFailure, openOf(p.v, "/b", flags))
		p.close(own)
		custom := p.open("/b", flags)
		if string(custom) != string(own) {
			t.Fatalf("handle %x, want %x", custom, own)
		}
		next = ""
		for range 100 { // each of them takes the slot anew
			h := p.open("/c", flags)
			if string(h) == string(custom) {
				t.Fatal("handle of an open file given out")
			}
			p.close(h)
		}
		p.close(custom)
	})
}

// TestRequestOf: what each request said, in each version, reaches the file system, also what
// the server's policies leave out.
func TestRequestOf(t *testing.T) {
	seen := map[string]sftp.Request{}
	hook := func(ctx context.Context, what, _ string) error {
		q, ok := sftp.RequestOf(ctx)
		if !ok || q.Name != sftp.RequestName(ctx) || q.Version != sftp.SessionVersion(ctx) {
			t.Errorf("%s: %+v %v", what, q, ok)
		}
		if q.Name != "OPENDIR" || what == "opendir" {
			seen[what] = q
		}
		return nil
	}
	for v := fxp.V3; v <= fxp.V6; v++ {
		srv := hooked(hook)
		srv.SetStat.Times = sftp.AttrIgnore
		var negotiated []int
		clear(seen)
		play(t, srv, sftp.SessionInfo{EveryRequest: true, Negotiated: func(v int) { negotiated = append(negotiated, v) }}, func(p *peer) {
			p.init(v)
			times := fxp.Attrs{V: v, Type: byte(sftp.TypeRegular), Flags: fxp.AttrSize, Size: 77}
			if v == fxp.V3 {
				times.Flags |= fxp.AttrACModTime
			} else {
				times.Flags |= fxp.AttrAccessTime
			}
			times.Atime.Sec = 5
			m := openOf(v, "f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate|fxp.OpenTrunc)
			m.Attrs = times
			h := p.call(m).(*fxp.Handle).Handle
			p.close(h)
			only := times
			only.Flags &^= fxp.AttrSize
			p.want("setstat", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "/f", Attrs: only})
			p.call(&fxp.Stat{V: v, T: fxp.TypeLstat, Path: "/f", Want: fxp.AttrSize})
			mk := mkdirOf(v, "sub")
			mk.Attrs.Flags, mk.Attrs.Permissions = fxp.AttrPermissions, 0o700
			p.want("mkdir", sftp.CodeOK, mk)
			p.close(p.opendir("sub"))
			p.call(&fxp.Realpath{V: v, Path: "./sub", Control: 2})
			p.want("rename", sftp.CodeOK, &fxp.Rename{V: v, Old: "f", New: "g", Flags: 1})
			p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: "g"})

			flags, access := m.Flags, m.Access
			for what, want := range map[string]sftp.Request{
				"open":     {Name: "OPEN", Path: "f", Flags: flags, Access: access},
				"setstat":  {Name: "SETSTAT", Path: "/f"},
				"stat":     {Name: "LSTAT", Path: "/f", Flags: map[bool]uint32{true: fxp.AttrSize}[v >= fxp.V4]},
				"mkdir":    {Name: "MKDIR", Path: "sub"},
				"opendir":  {Name: "OPENDIR", Path: "sub"},
				"realpath": {Name: "REALPATH", Path: "./sub", Flags: map[bool]uint32{true: 2}[v >= fxp.V6]},
				"rename":   {Name: "RENAME", Path: "f", Flags: map[bool]uint32{true: 1}[v >= fxp.V5]},
				"remove":   {Name: "REMOVE", Path: "g"},
			} {
				got, ok := seen[what]
				a := got.Attrs
				got.Attrs, got.ID, want.Version = nil, 0, int(v)
				if !ok || got != want {
					t.Errorf("version %d, %s: %+v, want %+v", v, what, got, want)
				}
				switch what {
				case "open":
					if a == nil || !a.Has(sftp.AttrSize|sftp.AttrAtime) || a.Size != 77 || a.Atime.Unix() != 5 {
						t.Errorf("version %d: attributes of OPEN %+v", v, a)
					}
				case "setstat":
					if a == nil || !a.Has(sftp.AttrAtime) || a.Atime.Unix() != 5 {
						t.Errorf("version %d: attributes of SETSTAT %+v", v, a)
					}
				case "mkdir":
					if a == nil || !a.Has(sftp.AttrMode) || a.Mode&sftp.ModePerm != 0o700 {
						t.Errorf("version %d: attributes of MKDIR %+v", v, a)
					}
				default:
					if a != nil {
						t.Errorf("version %d: attributes of %s", v, what)
					}
				}
			}
		})
		if !slices.Equal(negotiated, []int{int(v)}) {
			t.Errorf("negotiated %v, want %d", negotiated, v)
		}
	}
}

// TestPFlags: what a version 5 or 6 OPEN asks for has words of version 3, and back.
func TestPFlags(t *testing.T) {
	for flags := range sftp.PFlags(128) {
		how, err := flags.How()
		if err != nil || flags&sftp.PAppend != 0 && flags&sftp.PWrite == 0 { // APPEND is WRITE, too
			continue
		}
		again, err := how.PFlags().How()
		if err != nil || again != how {
			t.Errorf("%v became %v: %+v, want %+v", flags, how.PFlags(), again, how)
		}
		const rwa = sftp.PRead | sftp.PWrite | sftp.PAppend | sftp.PText
		if flags&(sftp.PRead|sftp.PWrite) != 0 && how.PFlags()&rwa != flags&rwa {
			t.Errorf("%v became %v", flags, how.PFlags())
		}
	}
	for d, want := range map[sftp.Disposition]sftp.PFlags{
		sftp.CreateNew: sftp.PCreate | sftp.PExcl, sftp.CreateTruncate: sftp.PCreate | sftp.PTrunc, sftp.OpenExisting: 0,
		sftp.OpenOrCreate: sftp.PCreate, sftp.TruncateExisting: sftp.PTrunc,
	} {
		how := sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: d, Flags: sftp.OpenNoFollow | sftp.OpenAppendAtomic | sftp.OpenText}
		if got := how.PFlags(); got != want|sftp.PWrite|sftp.PAppend|sftp.PText {
			t.Errorf("disposition %d is %v", d, got)
		}
	}
}

// orderFS has a file whose calls are slow now and then, and says when each begins and ends.
type orderFS struct {
	sftp.Unsupported
	say func(string)
}

type orderFile struct {
	sftp.UnsupportedFile
	say func(string)
}

func (f *orderFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return &orderFile{say: f.say}, nil
}

func (f *orderFile) slow(what string, off int64) {
	f.say(fmt.Sprint("+", what, off))
	<-time.After(time.Duration(1+off%7) * time.Millisecond)
	f.say(fmt.Sprint("-", what, off))
}

func (f *orderFile) ReadAt(p []byte, off int64) (int, error) {
	f.slow("r", off)
	if off == 3000 {
		return 10, sftp.ErrShortRead
	}
	return len(p), nil
}

func (f *orderFile) WriteAt(p []byte, off int64) (int, error) { f.slow("w", off); return len(p), nil }

func (f *orderFile) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	f.slow("s", 0)
	return &sftp.Attrs{Valid: sftp.AttrSize, Size: 1 << 20}, nil
}
func (f *orderFile) Close(error) error { return nil }

// TestSerial: with Serial nothing overlaps, however slow the storage is, and one READ is one
// call also where it takes several packets.
func TestSerial(t *testing.T) {
	var events []string
	srv := serverOf(&orderFS{say: func(s string) { events = append(events, s) }})
	for _, v := range []fxp.Version{3, 6} {
		events = nil
		play(t, srv, sftp.SessionInfo{Serial: true}, func(p *peer) {
			p.init(v)
			h, g := p.open("f", fxp.OpenRead|fxp.OpenWrite), p.open("g", fxp.OpenRead|fxp.OpenWrite)
			var batch []fxp.Message
			var want []string
			add := func(what string, off int, m fxp.Message) {
				batch = append(batch, m)
				want = append(want, fmt.Sprint("+", what, off), fmt.Sprint("-", what, off))
			}
			for i := range 100 {
				handle := [][]byte{h, g}[i%2]
				switch i % 5 {
				case 0, 1:
					add("w", i*1000, &fxp.Write{Handle: handle, Offset: uint64(i) * 1000, Data: make([]byte, 100)})
				case 2, 3:
					add("r", i*1000, &fxp.Read{Handle: handle, Offset: uint64(i) * 1000, Length: 100_000})
				default:
					add("s", 0, &fxp.Fstat{V: v, Handle: handle})
				}
			}
			first := p.sendAll(batch...)
			for i := range batch {
				id, m := p.recv()
				if id != first+uint32(i) {
					t.Fatalf("answer %d is to request %d", i, id-first)
				}
				if d, ok := m.(*fxp.Data); ok && i == 3 && (len(d.Data) != 10 || d.EOF) {
					t.Errorf("version %d: short read of %d octets, end of file %v", v, len(d.Data), d.EOF)
				} else if ok && i != 3 && len(d.Data) != 100_000 {
					t.Errorf("read %d octets", len(d.Data))
				}
			}
			if !slices.Equal(events, want) {
				t.Errorf("events %v\nwant   %v", events, want)
			}
		})
	}
	if n := packet.Live(); n != 0 {
		t.Errorf("%d Bufs are left", n)
	}
}

// dotsFS lists three names.
type dotsFS struct{ sftp.Unsupported }

type dotsDir struct{ names []string }

func (dotsFS) OpenDir(context.Context, string) (sftp.Dir, error) {
	return &dotsDir{[]string{"a", "b", "c"}}, nil
}

func (d *dotsDir) Next(context.Context, int) (list []sftp.Entry, err error) {
	for _, name := range d.names {
		a := sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime, Mode: 0o100644, Mtime: time.Date(2024, 2, 3, 4, 5, 6, 0, time.Local)}
		list = append(list, sftp.Entry{Name: name, Attrs: a})
	}
	return list, io.EOF
}

func (*dotsDir) Close(error) error { return nil }

// TestListingSettings: the entries of a reply change while a session runs, "." and ".." can be
// left out, and dates be written in another style.
func TestListingSettings(t *testing.T) {
	listing := func(srv *sftp.Server, entries func() int) (replies [][]string, line string) {
		play(t, srv, sftp.SessionInfo{ListEntries: entries}, func(p *peer) {
			p.init(3)
			h := p.opendir("/")
			for {
				m, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: h}).(*fxp.Name)
				if !ok {
					return
				}
				var names []string
				for _, e := range m.Entries {
					names = append(names, e.Name)
					line = string(e.LongName)
				}
				replies = append(replies, names)
			}
		})
		return replies, line
	}
	got, line := listing(serverOf(dotsFS{}), nil)
	if fmt.Sprint(got) != "[[. .. a b c]]" || !strings.HasSuffix(line, "Feb  3  2024 c") {
		t.Errorf("%v, last line %q", got, line)
	}
	srv := serverOf(dotsFS{})
	srv.NoDots, srv.Dates = true, sftp.DatesISO
	n := 0
	got, line = listing(srv, func() int { n++; return n })
	if fmt.Sprint(got) != "[[a] [b c]]" || !strings.HasSuffix(line, " 2024-02-03 04:05 c") {
		t.Errorf("%v, last line %q", got, line)
	}
	if got, _ := listing(srv, func() int { return -1 }); len(got) != 1 {
		t.Errorf("%v", got)
	}
	srv.Limits.ListEntries = 1
	if got, _ := listing(srv, nil); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// TestEveryStatusReachesTheClient: whatever code a file system answers, with its text, the
// client gets, in the words of its version.
func TestEveryStatusReachesTheClient(t *testing.T) {
	var code sftp.Code
	srv := hooked(func(ctx context.Context, _, name string) error {
		if name == "/x" {
			return sftp.Status(code, fmt.Sprintf("text of %d", code))
		}
		return nil
	})
	last := map[fxp.Version]sftp.Code{3: 8, 4: 13, 5: 17, 6: 31}
	for v := fxp.V3; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			for i := range 40 {
				code = sftp.Code(i)
				for _, m := range []fxp.Message{
					&fxp.Path{T: fxp.TypeRemove, Path: "/x"}, mkdirOf(v, "/x"),
					openOf(v, "/x", fxp.OpenRead), &fxp.Path{T: fxp.TypeOpendir, Path: "/x"}, &fxp.Stat{V: v, T: fxp.TypeLstat, Path: "/x"},
				} {
					st := p.call(m).(*fxp.Status)
					want := code.In(int(v))
					if m.Type() != fxp.TypeRemove && m.Type() != fxp.TypeMkdir && code == 0 {
						want = sftp.CodeFailure // OK would be no answer
					}
					if sftp.Code(st.Code) != want || st.Text != fmt.Sprintf("text of %d", code) || sftp.Code(st.Code) > last[v] {
						t.Errorf("version %d, %s, code %d: %d %q, want %d", v, m.Type(), code, st.Code, st.Text, want)
					}
					if code <= last[v] && code != 0 && code != sftp.CodeNoConnection && code != sftp.CodeConnectionLost && want != code {
						t.Errorf("version %d does not know %d", v, code)
					}
				}
			}
		})
	}
}

// TestStatusText: the text of a failure can be replaced, that of success is left.
func TestStatusText(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	text := func(code sftp.Code, text string) string { return strings.Repeat(fmt.Sprint(int(code), text, ";"), 100) }
	play(t, srv, sftp.SessionInfo{StatusText: text}, func(p *peer) {
		p.init(3)
		st := p.call(&fxp.Path{T: fxp.TypeRemove, Path: "/x"}).(*fxp.Status)
		if st.Code != 2 || !strings.HasPrefix(st.Text, "2no such file;2no such file;") || len(st.Text) != 512 {
			t.Errorf("%d %q", st.Code, st.Text)
		}
		if st := p.call(mkdirOf(3, "/d")).(*fxp.Status); st.Text != "success" && st.Text != "" && st.Text != "Success" {
			t.Errorf("%d %q", st.Code, st.Text)
		}
	})
}

// TestNegotiatedBySelection: a version that is selected later is told, too.
func TestNegotiatedBySelection(t *testing.T) {
	var told []int
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{Negotiated: func(v int) { told = append(told, v) }}, func(p *peer) {
		p.init(3)
		p.extended("version-select", &fxp.ExtText{Text: "6"})
	})
	if !slices.Equal(told, []int{3, 6}) {
		t.Errorf("told of %v", told)
	}
}

// shortFS has files that give three octets at a time.
type shortFS struct{ sftp.FileSystem }

type shortFile struct{ sftp.File }

func (f shortFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	file, err := f.FileSystem.Open(ctx, name, how)
	return shortFile{file}, err
}

func (f shortFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p[:min(3, len(p))], off)
	if err == nil && n < len(p) {
		err = sftp.ErrShortRead
	}
	return n, err
}

// TestErrShortRead: short reads are no end of the file, for READ, copies, hashes and text.
func TestErrShortRead(t *testing.T) {
	_, tree := memServer(memfs.Options{})
	for _, v := range []fxp.Version{4, 6} {
		for _, serial := range []bool{false, true} {
			srv := serverOf(shortFS{tree})
			srv.Newline = "\r\n"
			play(t, srv, sftp.SessionInfo{Serial: serial}, func(p *peer) {
				p.init(v)
				p.put("/f", "0123456789\nabc")
				h := p.open("/f", fxp.OpenRead)
				if m := p.call(&fxp.Read{Handle: h, Length: 10}).(*fxp.Data); string(m.Data) != "012" || m.EOF {
					t.Errorf("read %q, end of file %v", m.Data, m.EOF)
				}
				p.close(h)
				if got := p.get("/f"); got != "0123456789\nabc" {
					t.Errorf("read %q", got)
				}
				h = p.open("/f", fxp.OpenRead|fxp.OpenText)
				if got, _ := p.read(h, 0, 100); got != "0123456789\r\nabc" {
					t.Errorf("text %q", got)
				}
				p.close(h)
				p.want("copy", sftp.CodeOK, &fxp.Extended{Name: "copy-file", Data: appendStrings("/f", "/copy", true)})
				if got := p.get("/copy"); got != "0123456789\nabc" {
					t.Errorf("copy %q", got)
				}
				hash := p.extended("md5-hash", &fxp.ExtMD5Name{Path: "/f", MD5Range: fxp.MD5Range{Length: 14}})
				if _, ok := hash.(*fxp.ExtendedReply); !ok {
					t.Errorf("hash: %v", wire.Print(hash))
				}
			})
		}
	}
}
