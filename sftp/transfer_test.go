package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// linked is a client and a server with a simulated link between them.
type linked struct {
	*sftp.Client
	link *netsim.Conn
	done chan error
}

// overLink connects a client to srv. It may be used in a bubble and outside.
func overLink(t testing.TB, srv *sftp.Server, cfg *sftp.ClientConfig, up, down netsim.Link) (*linked, error) {
	t.Helper()
	a, b := netsim.Pipe(up, down)
	w := &linked{link: a, done: make(chan error, 1)}
	go func() {
		w.done <- srv.Serve(context.Background(), packet.Pipe(b), sftp.SessionInfo{User: "ann"})
		_ = b.Close()
	}()
	var err error
	if w.Client, err = sftp.NewClient(t.Context(), packet.Pipe(a), cfg); err != nil {
		_ = a.Close()
		<-w.done
		return nil, err
	}
	return w, nil
}

// visitV3 is visit in version 3 alone, which has no word for replacing a file, nor for one that
// is there.
func visitV3(t *testing.T, srv *sftp.Server, script func(t *testing.T, c *sftp.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := overLink(t, srv, &sftp.ClientConfig{MaxVersion: sftp.Version3}, netsim.Link{}, netsim.Link{})
		if err != nil {
			t.Fatal(err)
		}
		script(t, c.Client)
		c.end()
		if n := packet.Live(); n != 0 {
			t.Errorf("%d Bufs are left", n)
		}
	})
}

// end closes both ends and waits for them.
func (w *linked) end() {
	_ = w.Close()
	_ = w.Wait()
	_ = w.link.Close()
	<-w.done
}

// tap is a file system that is told of what is done to it, and may answer in its place.
type tap struct {
	sftp.FileSystem
	mu   sync.Mutex
	seen []string

	file func(name string, f sftp.File) sftp.File
	dir  func(name string) (sftp.Dir, bool)
	stat func(name string, a *sftp.Attrs)
	set  func(name string) error
	ren  func(from, to string, flags sftp.RenameFlags) error
}

func (s *tap) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, what)
}

func (s *tap) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.seen = nil }()
	return strings.Join(s.seen, " ")
}

func (s *tap) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	s.note("open")
	f, err := s.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	f = &tapFile{File: f, s: s}
	if s.file != nil {
		f = s.file(name, f)
	}
	return f, nil
}

func (s *tap) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	s.note("opendir")
	if s.dir != nil {
		if d, ok := s.dir(name); ok {
			return d, nil
		}
	}
	return s.FileSystem.OpenDir(ctx, name)
}

func (s *tap) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	s.note("stat")
	a, err := s.FileSystem.Stat(ctx, name, opt)
	if err == nil && s.stat != nil {
		s.stat(name, a)
	}
	return a, err
}

func (s *tap) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	s.note("setstat")
	if s.set != nil {
		if err := s.set(name); err != nil {
			return err
		}
	}
	return s.FileSystem.SetStat(ctx, name, a, follow)
}

func (s *tap) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	s.note("rename")
	if s.ren != nil {
		if err := s.ren(from, to, flags); err != nil {
			return err
		}
	}
	return s.FileSystem.Rename(ctx, from, to, flags)
}

type tapFile struct {
	sftp.File
	s *tap
}

func (f *tapFile) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	f.s.note("fstat")
	return f.File.Stat(ctx, want)
}

func (f *tapFile) SetStat(ctx context.Context, a *sftp.Attrs) error {
	f.s.note("fsetstat")
	if f.s.set != nil {
		if err := f.s.set(""); err != nil {
			return err
		}
	}
	return f.File.SetStat(ctx, a)
}

func (f *tapFile) Sync(ctx context.Context) error {
	f.s.note("fsync")
	return f.File.Sync(ctx)
}

func (f *tapFile) Close(cause error) error {
	f.s.note("close")
	return f.File.Close(cause)
}

// tapped is a server of a tree in memory with a tap.
func tapped() (*sftp.Server, *tap) {
	_, tree := memServer(memfs.Options{})
	s := &tap{FileSystem: tree}
	return serverOf(s), s
}

// without is a server that does not have some extensions.
func without(srv *sftp.Server, names ...string) *sftp.Server {
	all := []string{
		"posix-rename@openssh.com", "fsync@openssh.com", "limits@openssh.com", "check-file-name", "check-file-handle",
		"check-file", "md5-hash", "md5-hash-handle", "copy-data", "copy-file", "hardlink@openssh.com",
	}
	srv.Extensions = []string{}
	for _, name := range all {
		keep := true
		for _, n := range names {
			keep = keep && !strings.HasPrefix(name, n)
		}
		if keep {
			srv.Extensions = append(srv.Extensions, name)
		}
	}
	return srv
}

func readLocal(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func writeLocal(t testing.TB, name string, p []byte) {
	t.Helper()
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
}

// localNames lists a directory.
func localNames(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// remoteNames lists a remote directory.
func remoteNames(t testing.TB, c *sftp.Client, dir string) string {
	t.Helper()
	list, err := c.ReadDirAll(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func TestGetAndPut(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		for _, n := range []int{0, 1, 32 << 10, 261120, 3_000_001} {
			want := noise(n)
			if m, err := c.Put(ctx, "/a", bytes.NewReader(want), sftp.TransferOptions{}); m != int64(n) || err != nil {
				t.Fatal(m, err)
			}
			var got bytes.Buffer
			if m, err := c.Get(ctx, "/a", &got, sftp.TransferOptions{}); m != int64(n) || err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("%d octets: got %d, %v", n, m, err)
			}
			for _, o := range []sftp.TransferOptions{
				{},
				{Atomic: true},
				{Verify: sftp.VerifySize, Size: int64(n)},
				{Verify: sftp.VerifyHash},
				{Verify: sftp.VerifyContent, Atomic: true, NoSync: true},
				{Resume: sftp.ResumeOrRestart},
				{Resume: sftp.ResumeOrFail, Atomic: true, Verify: sftp.VerifyBest},
				{Concurrency: 1, ChunkSize: 5000},
				{Concurrency: 3, ChunkSize: 10 << 20},
				{Preserve: sftp.PreserveTimes | sftp.PreserveMode},
			} {
				local := filepath.Join(dir, "x")
				writeLocal(t, local, want)
				r, err := c.PutFile(ctx, local, "/b", o)
				if err != nil || r.Transferred+r.Resumed != int64(n) {
					t.Fatalf("put %+v: %+v %v", o, r, err)
				}
				back := filepath.Join(dir, "y")
				r, err = c.GetFile(ctx, "/b", back, o)
				if err != nil || r.Transferred+r.Resumed != int64(n) {
					t.Fatalf("get %+v: %+v %v", o, r, err)
				}
				if !bytes.Equal(readLocal(t, back), want) {
					t.Fatalf("%+v: other content", o)
				}
				if o.Verify == sftp.VerifyHash && n > 0 && (r.Verified != sftp.CheckHash || r.Hash != "sha256") {
					t.Errorf("verified by %v %q", r.Verified, r.Hash)
				}
			}
		}
		if got := remoteNames(t, c, "/"); got != "a b" {
			t.Error("left on the server:", got)
		}
		if got := localNames(t, dir); got != "x y" {
			t.Error("left here:", got)
		}
	})
}

// Offset and Length, and what the size is said to be.
func TestGetAndPutAPart(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, want := t.Context(), noise(100_000)
		if err := c.WriteFile(ctx, "/f", want, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ off, n, from, to int }{
			{0, 10, 0, 10}, {5, 10, 5, 15}, {99_990, 100, 99_990, 100_000}, {100_000, 0, 100_000, 100_000}, {200_000, 7, 0, 0},
		} {
			var got bytes.Buffer
			_, err := c.Get(ctx, "/f", &got, sftp.TransferOptions{Offset: int64(tt.off), Length: int64(tt.n), Verify: sftp.VerifyBest})
			if tt.off > len(want) {
				if !errors.Is(err, sftp.ErrMismatch) && err != nil {
					t.Error(err)
				}
				continue
			}
			if err != nil || !bytes.Equal(got.Bytes(), want[tt.from:tt.to]) {
				t.Errorf("%+v: %d octets, %v", tt, got.Len(), err)
			}
		}
		if n, err := c.Put(ctx, "/f", strings.NewReader("0123456789"), sftp.TransferOptions{Offset: 50, Length: 4}); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		copy(want[50:], "0123")
		if got, err := c.ReadFile(ctx, "/f"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a part was put: %v", err)
		}
		if _, err := c.Put(ctx, "/f", strings.NewReader("xyz"), sftp.TransferOptions{IfExists: sftp.AppendTo}); err != nil {
			t.Fatal(err)
		}
		if got, err := c.ReadFile(ctx, "/f"); err != nil || !bytes.Equal(got, append(want, "xyz"...)) {
			t.Errorf("appended: %v", err)
		}
	})
}

// A server that deletes a file with the first STAT after OPEN, and one that knows no
// attributes, get what they want.
func TestW9_GetAsksNothingAfterOpen(t *testing.T) {
	srv, s := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, local := t.Context(), filepath.Join(t.TempDir(), "x")
		if _, err := c.Put(ctx, "/f", strings.NewReader("content"), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := s.log(); got != "open close" {
			t.Error("put:", got)
		}
		if _, err := c.Get(ctx, "/f", io.Discard, sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := s.log(); got != "open close" {
			t.Error("get:", got)
		}
		for _, o := range []sftp.TransferOptions{
			{Progress: func(sftp.Progress) {}},
			{Verify: sftp.VerifySize},
			{Verify: sftp.VerifySize, Preserve: sftp.PreserveTimes | sftp.PreserveMode, Atomic: true},
		} {
			if _, err := c.GetFile(ctx, "/f", local, o); err != nil {
				t.Fatal(err)
			}
			if got := s.log(); got != "stat open close" {
				t.Errorf("get %+v: %s", o, got)
			}
			o.Size, o.Preserve = 7, 0
			if _, err := c.GetFile(ctx, "/f", local, o); err != nil {
				t.Fatal(err)
			}
			if got := s.log(); got != "open close" {
				t.Errorf("get %+v: %s", o, got)
			}
		}
	})
}

// Files that say they are empty, as in /proc, or that are longer or shorter than they say.
func TestGetBelievesTheEndOfTheFile(t *testing.T) {
	srv, s := tapped()
	size := uint64(0)
	s.stat = func(name string, a *sftp.Attrs) {
		if name == "/f" {
			a.Size = size
		}
	}
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, want := t.Context(), noise(700_000)
		if _, err := c.Put(ctx, "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, size = range []uint64{0, 1, 1000, 699_999, 700_000, 700_001, 10_000_000} {
			var got bytes.Buffer
			o := sftp.TransferOptions{Progress: func(sftp.Progress) {}}
			if _, err := c.Get(ctx, "/f", &got, o); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("size %d: %d octets, %v", size, got.Len(), err)
			}
			o.Verify = sftp.VerifySize
			if _, err := c.Get(ctx, "/f", io.Discard, o); errors.Is(err, sftp.ErrMismatch) != (size > 700_000) {
				t.Errorf("size %d: %v", size, err)
			}
		}
	})
}

// A file that grows while it is read is read to the end it has then.
func TestGetOfAFileThatGrows(t *testing.T) {
	srv, s := tapped()
	grown := false
	s.file = func(name string, f sftp.File) sftp.File {
		return &growing{File: f, once: func() {
			if name == "/f" && !grown {
				grown = true
				_, _ = f.WriteAt([]byte("more"), 300_000)
			}
		}}
	}
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, want := t.Context(), noise(300_000)
		grown = true
		if _, err := c.Put(ctx, "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		grown = false
		var got bytes.Buffer
		f, err := c.OpenFile(ctx, "/f", sftp.HowFromFlags(os.O_RDWR))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if _, err := c.Get(ctx, "/f", &got, sftp.TransferOptions{Verify: sftp.VerifySize}); err != nil {
			t.Fatal(err)
		}
		if got.Len() != 300_000 && got.Len() != 300_004 || !bytes.HasPrefix(got.Bytes(), want) {
			t.Error(got.Len())
		}
	})
}

type growing struct {
	sftp.File
	once func()
}

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		g.once()
	}
	return g.File.ReadAt(p, off)
}

func TestTransferIfExists(t *testing.T) {
	srv, s := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		local := filepath.Join(dir, "x")
		for _, version := range []bool{false, true} { // atomic
			writeLocal(t, local, []byte("new"))
			if err := c.WriteFile(ctx, "/f", []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{IfExists: sftp.FailIfExists, Atomic: version})
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("put: %v", err)
			}
			r, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{IfExists: sftp.SkipIfExists, Atomic: version})
			if err != nil || !r.Skipped {
				t.Errorf("put: %+v %v", r, err)
			}
			if got, _ := c.ReadFile(ctx, "/f"); string(got) != "old" {
				t.Errorf("put: %q is there", got)
			}
			if _, err := c.PutFile(ctx, local, "/g", sftp.TransferOptions{IfExists: sftp.FailIfExists, Atomic: version}); err != nil {
				t.Error(err)
			}
			if err := c.Remove(ctx, "/g"); err != nil {
				t.Error(err)
			}

			_, err = c.GetFile(ctx, "/f", local, sftp.TransferOptions{IfExists: sftp.FailIfExists, Atomic: version})
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("get: %v", err)
			}
			s.log()
			r, err = c.GetFile(ctx, "/f", local, sftp.TransferOptions{IfExists: sftp.SkipIfExists, Atomic: version})
			if err != nil || !r.Skipped {
				t.Errorf("get: %+v %v", r, err)
			}
			if got := s.log(); got != "" {
				t.Error("asked the server:", got)
			}
			if got := readLocal(t, local); string(got) != "new" {
				t.Errorf("get: %q is there", got)
			}
			if _, err := c.GetFile(ctx, "/f", local+"2", sftp.TransferOptions{IfExists: sftp.FailIfExists, Atomic: version}); err != nil {
				t.Error(err)
			}
			if err := os.Remove(local + "2"); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.GetFile(ctx, "/f", local, sftp.TransferOptions{IfExists: sftp.AppendTo}); err != nil {
			t.Error(err)
		}
		if got := readLocal(t, local); string(got) != "newold" {
			t.Errorf("appended: %q", got)
		}
	})
}

// A Get of a file that is not there touches nothing here.
func TestGetOfNothing(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		local := filepath.Join(t.TempDir(), "x")
		writeLocal(t, local, []byte("old"))
		_, err := c.GetFile(t.Context(), "/f", local, sftp.TransferOptions{Progress: func(sftp.Progress) {}})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if te, ok := errors.AsType[*sftp.TransferError](err); !ok || te.Op != "get" || te.Step != "open" || te.Path != "/f" {
			t.Errorf("%#v", err)
		}
		if got := readLocal(t, local); string(got) != "old" {
			t.Errorf("%q is there", got)
		}
	})
}

func TestTransferModesAndTimes(t *testing.T) {
	_, tree := memServer(memfs.Options{AllowSetID: true, Umask: 0o022})
	srv := serverOf(tree)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		local := filepath.Join(dir, "x")
		writeLocal(t, local, []byte("content"))
		if err := errors.Join(os.Chmod(local, 0o640), os.Chtimes(local, when, when)); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			o    sftp.TransferOptions
			mode uint32
			time bool
		}{
			{sftp.TransferOptions{}, 0o640, false},
			{sftp.TransferOptions{Mode: 0o777}, 0o777, false},
			{sftp.TransferOptions{Mode: 0o400}, 0o400, false},
			{sftp.TransferOptions{Preserve: sftp.PreserveMode}, 0o640, false},
			{sftp.TransferOptions{Preserve: sftp.PreserveTimes}, 0o640, true},
			{sftp.TransferOptions{Preserve: sftp.PreserveTimes | sftp.PreserveMode, Atomic: true}, 0o640, true},
		} {
			_ = c.Remove(ctx, "/f")
			if _, err := c.PutFile(ctx, local, "/f", tt.o); err != nil {
				t.Fatal(err)
			}
			a, err := c.Stat(ctx, "/f")
			if err != nil || a.Mode&0o7777 != tt.mode || a.Mtime.Equal(when) != tt.time {
				t.Errorf("put %+v: %o %v %v", tt.o, a.Mode, a.Mtime, err)
			}
		}
		// An atomic Put keeps what the old file had.
		if err := c.Chmod(ctx, "/f", 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{Atomic: true}); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Stat(ctx, "/f"); err != nil || a.Mode&0o7777 != 0o600 {
			t.Errorf("replaced: %o %v", a.Mode, err)
		}
		if err := c.Chtimes(ctx, "/f", when, when); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			o    sftp.TransferOptions
			mode fs.FileMode
			time bool
		}{
			{sftp.TransferOptions{Mode: 0o640}, 0o640, false},
			{sftp.TransferOptions{Mode: 0o400}, 0o400, false},
			{sftp.TransferOptions{Verify: sftp.VerifySize}, 0o600, false}, // the attributes are known
			{sftp.TransferOptions{Preserve: sftp.PreserveMode}, 0o600, false},
			{sftp.TransferOptions{Preserve: sftp.PreserveMode | sftp.PreserveTimes, Atomic: true}, 0o600, true},
		} {
			_ = os.Remove(local)
			if _, err := c.GetFile(ctx, "/f", local, tt.o); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(local)
			if err != nil || info.Mode().Perm() != tt.mode || info.ModTime().Equal(when) != tt.time {
				t.Errorf("get %+v: %v %v %v", tt.o, info.Mode(), info.ModTime(), err)
			}
		}
	})
}

// Bits that give rights away do not come along unless they are asked for.
func TestCVE_8_15_SetIDBitsAreNotKept(t *testing.T) {
	_, tree := memServer(memfs.Options{AllowSetID: true})
	visit(t, serverOf(tree), nil, func(t *testing.T, c *sftp.Client) {
		ctx, local := t.Context(), filepath.Join(t.TempDir(), "x")
		if err := c.WriteFile(ctx, "/f", nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o4755}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			keep sftp.Preserve
			want fs.FileMode
		}{
			{0, 0o644},
			{sftp.PreserveMode, 0o755},
			{sftp.PreserveMode | sftp.PreserveSetID, 0o755 | fs.ModeSetuid},
		} {
			_ = os.Remove(local)
			if _, err := c.GetFile(ctx, "/f", local, sftp.TransferOptions{Preserve: tt.keep}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(local)
			if err != nil || info.Mode()&^0o022 != tt.want&^0o022 {
				t.Errorf("%v: %v %v", tt.keep, info.Mode(), err)
			}
		}
	})
}

func TestTransferOptionsThatContradict(t *testing.T) {
	srv, s := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		for _, o := range []sftp.TransferOptions{
			{Offset: -1},
			{Length: -1},
			{Offset: 1, Resume: sftp.ResumeOrFail},
			{Offset: 1, Atomic: true},
			{IfExists: sftp.AppendTo, Atomic: true},
			{IfExists: sftp.AppendTo, Verify: sftp.VerifySize},
			{IfExists: 99},
			{Preserve: sftp.PreserveSetID},
			{Resume: sftp.ResumeOrFail, Length: 1},
		} {
			if _, err := c.GetFile(ctx, "/f", "/nonexistent/x", o); !errors.Is(err, sftp.CodeInvalidParameter) {
				t.Errorf("get %+v: %v", o, err)
			}
			if _, err := c.PutFile(ctx, "/nonexistent/x", "/f", o); !errors.Is(err, sftp.CodeInvalidParameter) {
				t.Errorf("put %+v: %v", o, err)
			}
		}
		for _, o := range []sftp.TransferOptions{{Atomic: true}, {Resume: sftp.ResumeOrFail}, {Mode: 0o600}} {
			if _, err := c.Get(ctx, "/f", io.Discard, o); !errors.Is(err, sftp.CodeInvalidParameter) {
				t.Errorf("get %+v: %v", o, err)
			}
		}
		if _, err := c.Put(ctx, "/f", io.LimitReader(nil, 0), sftp.TransferOptions{Resume: sftp.ResumeOrFail}); !errors.Is(err, sftp.CodeInvalidParameter) {
			t.Errorf("put from what cannot seek: %v", err)
		}
		if _, err := c.GetTree(ctx, "/", t.TempDir(), sftp.TreeOptions{TransferOptions: sftp.TransferOptions{Offset: 1}}); !errors.Is(err, sftp.CodeInvalidParameter) {
			t.Errorf("tree: %v", err)
		}
		if got := s.log(); got != "" {
			t.Error("the server was asked:", got)
		}
	})
}

// Concurrency and ChunkSize: how many requests there are at a time, by how many round trips
// they take, and how large they are.
func TestTransferConcurrencyAndChunkSize(t *testing.T) {
	for _, tt := range []struct {
		concurrency, chunk, size int
		trips                    int // of READs, the one that finds the end included, or of WRITEs
	}{
		{1, 1000, 10_000, 11},
		{5, 1000, 10_000, 3},
		{1, 10_000, 10_000, 2},
		{0, 1000, 10_000, 1},
		{0, 0, 10_000, 1},
	} {
		for _, put := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				srv, s := tapped()
				largest, requests := 0, 0
				s.file = func(_ string, f sftp.File) sftp.File {
					return &measured{File: f, largest: &largest, requests: &requests}
				}
				link := netsim.Link{Delay: 50 * time.Millisecond}
				c, err := overLink(t, srv, nil, link, link)
				if err != nil {
					t.Fatal(err)
				}
				defer c.end()
				want := noise(tt.size)
				if !put {
					if _, err := c.Put(t.Context(), "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				largest, requests = 0, 0
				o := sftp.TransferOptions{Concurrency: tt.concurrency, ChunkSize: tt.chunk, Size: int64(tt.size)}
				begin := time.Now()
				if put {
					_, err = c.Put(t.Context(), "/g", bytes.NewReader(want), o)
				} else {
					_, err = c.Get(t.Context(), "/f", io.Discard, o)
				}
				if err != nil {
					t.Fatal(err)
				}
				trips := int((time.Since(begin)+time.Millisecond)/(100*time.Millisecond)) - 2 // OPEN and CLOSE
				expect := tt.trips
				if put && expect > 1 {
					expect-- // no WRITE looks for the end
				}
				if trips != expect {
					t.Errorf("%+v put %v: %d round trips", tt, put, trips)
				}
				if tt.chunk > 0 && largest > tt.chunk {
					t.Errorf("%+v put %v: %d octets in a request", tt, put, largest)
				}
				if !put && tt.chunk == 0 && requests != 2 {
					t.Errorf("%d READs for a small file of known size", requests)
				}
			})
		}
	}
}

// measured is a file that remembers how it was read and written.
type measured struct {
	sftp.File
	mu                sync.Mutex
	largest, requests *int
}

func (m *measured) note(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*m.largest = max(*m.largest, n)
	*m.requests++
}

func (m *measured) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.File.ReadAt(p, off)
	m.note(n)
	return n, err
}

func (m *measured) WriteAt(p []byte, off int64) (int, error) {
	m.note(len(p))
	return m.File.WriteAt(p, off)
}
