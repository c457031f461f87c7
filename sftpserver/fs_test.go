package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// operation is a request with two events around it: what it is called, how a client does it to a path, and
// how to see that it was done.
type operation struct {
	name string
	do   func(t *testing.T, c *sftp.Client, path string) error
	done func(fs *memfs.FS, path string) bool
	// handler sets a handler of the event.
	handler func(s *sftpserver.Server, h func(e *sftpserver.FileEvent, before bool, handled *bool, divert *string))
}

func exists(fs *memfs.FS, path string) bool {
	_, err := fs.Stat(context.Background(), path, sftp.StatOpt{})
	return err == nil
}

// operations are all of them. The files "/old", "/old2" and the directories "/olddir" and "/olddir2" are there.
var operations = []operation{
	{
		"DirCreate", func(t *testing.T, c *sftp.Client, path string) error { return c.Mkdir(t.Context(), path, nil) },
		exists,
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.DirCreate = func(e *sftpserver.DirCreateEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"DirRemove", func(t *testing.T, c *sftp.Client, path string) error { return c.Rmdir(t.Context(), path) },
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.DirRemove = func(e *sftpserver.DirRemoveEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileRemove", func(t *testing.T, c *sftp.Client, path string) error { return c.Remove(t.Context(), path) },
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileRemove = func(e *sftpserver.FileRemoveEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileRename", func(t *testing.T, c *sftp.Client, path string) error {
			return c.Rename(t.Context(), path, "/renamed", 0)
		},
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileRename = func(e *sftpserver.FileRenameEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"SetAttributes", func(t *testing.T, c *sftp.Client, path string) error { return c.Chmod(t.Context(), path, 0o600) },
		func(fs *memfs.FS, path string) bool {
			a, err := fs.Stat(context.Background(), path, sftp.StatOpt{})
			return err == nil && a.Mode&sftp.ModePerm == 0o600
		},
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileOpen", func(t *testing.T, c *sftp.Client, path string) error {
			f, err := c.Create(t.Context(), path)
			if err == nil {
				f.Close()
			}
			return err
		},
		exists,
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileOpen = func(e *sftpserver.FileOpenEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"LinkCreate", func(t *testing.T, c *sftp.Client, path string) error { return c.Symlink(t.Context(), "old", path) },
		func(fs *memfs.FS, path string) bool {
			_, err := fs.ReadLink(context.Background(), path)
			return err == nil
		},
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.LinkCreate = func(e *sftpserver.LinkCreateEvent) {
				none := ""
				h(&e.FileEvent, e.Before, &e.Handled, &none)
			}
		},
	},
}

// about returns the path that the operation is done to, and another one for it.
func (o *operation) about() (path, other string) {
	switch o.name {
	case "DirCreate", "FileOpen", "LinkCreate":
		return "/new", "/new2"
	case "DirRemove":
		return "/olddir", "/olddir2"
	}
	return "/old", "/old2"
}

// eachOperation runs f for each operation on a server of its own.
func eachOperation(t *testing.T, h func(e *sftpserver.FileEvent, before bool, handled *bool, divert *string), f func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS)) {
	for i := range operations {
		o := &operations[i]
		t.Run(o.name, func(t *testing.T) {
			s := sftpserver.New()
			s.ProtocolVersion = sftp.Version6
			fs := tree(s)
			for _, name := range []string{"/old", "/old2"} {
				f, err := fs.Open(t.Context(), name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
				if err != nil {
					t.Fatal(err)
				}
				_ = f.Close(nil)
			}
			for _, name := range []string{"/olddir", "/olddir2"} {
				if err := fs.Mkdir(t.Context(), name, nil); err != nil {
					t.Fatal(err)
				}
			}
			o.handler(s, h)
			start(t, s)
			f(t, o, connect(t, s), fs)
		})
	}
}

// wantStatus checks that err is a status with a text of the server.
func wantStatus(t *testing.T, err error, code sftp.Code, text string) {
	t.Helper()
	st, ok := errors.AsType[*sftp.StatusError](err)
	if !ok || st.Code != code || st.Text != text {
		t.Errorf("the client got %v, want %v %q", err, code, text)
	}
}

// TestEventVeto: what a handler refuses before is not done, the client is told why, and there is no
// second event.
func TestEventVeto(t *testing.T) {
	var events atomic.Int32
	eachOperation(t, func(e *sftpserver.FileEvent, before bool, _ *bool, _ *string) {
		if events.Add(1); !before {
			t.Error("an event after a veto")
		}
		e.Status, e.Message = sftp.CodeQuotaExceeded, "not today"
	}, func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS) {
		events.Store(0)
		path, _ := o.about()
		wantStatus(t, o.do(t, c, path), sftp.CodeQuotaExceeded, "not today")
		if o.done(fs, path) {
			t.Error("it was done")
		}
		if n := events.Load(); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// TestEventVetoOfContent: DirList and FileWrite are refused alike.
func TestEventVetoOfContent(t *testing.T) {
	s := sftpserver.New()
	fs := tree(s)
	s.DirList = func(e *sftpserver.DirListEvent) {
		if !e.Before {
			t.Error("an event after a veto")
		}
		e.Status, e.Message = sftp.CodePermissionDenied, "no list"
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if !e.Before {
			t.Error("an event after a veto")
		}
		e.Status, e.Message = sftp.CodePermissionDenied, "no data"
	}
	start(t, s)
	c := connect(t, s)
	_, err := c.ReadDirAll(t.Context(), "/")
	wantStatus(t, err, sftp.CodePermissionDenied, "no list")
	f, err := c.Create(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("data"), 0)
	wantStatus(t, err, sftp.CodePermissionDenied, "no data")
	_ = f.Close()
	if a, err := fs.Stat(t.Context(), "/f", sftp.StatOpt{}); err != nil || a.Size != 0 {
		t.Errorf("%v %v", a, err)
	}
}

// TestEventCorrection: what a handler leaves after is what the client is told, either way.
func TestEventCorrection(t *testing.T) {
	t.Run("failure", func(t *testing.T) {
		eachOperation(t, func(e *sftpserver.FileEvent, before bool, _ *bool, _ *string) {
			if !before {
				if e.Status != sftp.CodeOK {
					t.Errorf("status %v", e.Status)
				}
				e.Status, e.Message = sftp.CodeNoMedia, "gone"
			}
		}, func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS) {
			path, _ := o.about()
			wantStatus(t, o.do(t, c, path), sftp.CodeNoMedia, "gone")
			if !o.done(fs, path) {
				t.Error("it was not done")
			}
		})
	})
	t.Run("success", func(t *testing.T) {
		eachOperation(t, func(e *sftpserver.FileEvent, before bool, _ *bool, _ *string) {
			if !before {
				if e.Status == sftp.CodeOK {
					t.Error("no failure")
				}
				e.Status = sftp.CodeOK
			}
		}, func(t *testing.T, o *operation, c *sftp.Client, _ *memfs.FS) {
			if err := o.do(t, c, "/none/there"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("text", func(t *testing.T) {
		eachOperation(t, func(e *sftpserver.FileEvent, before bool, _ *bool, _ *string) {
			if !before {
				e.Message = "of the handler"
			}
		}, func(t *testing.T, o *operation, c *sftp.Client, _ *memfs.FS) {
			err := o.do(t, c, "/none/there")
			if st, ok := errors.AsType[*sftp.StatusError](err); !ok || st.Text != "of the handler" || st.Code == sftp.CodeOK {
				t.Errorf("%v", err)
			}
		})
	})
}

// TestEventStatusCodes: a handler may answer any code, which reaches the client as its version knows it.
func TestEventStatusCodes(t *testing.T) {
	var code atomic.Uint32
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.FileRemove = func(e *sftpserver.FileRemoveEvent) {
			e.Status, e.Message = sftp.Code(code.Load()), fmt.Sprint("code ", code.Load())
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v int, _ int) {
		for n := uint32(1); n <= 31; n++ {
			code.Store(n)
			err := c.Remove(t.Context(), "/f")
			if n == uint32(sftp.CodeEOF) && errors.Is(err, io.EOF) {
				continue
			}
			wantStatus(t, err, sftp.Code(n).In(v), fmt.Sprint("code ", n))
		}
	})
}

// TestEventHandled: what a handler did itself the server does not do, and the second event tells of it.
func TestEventHandled(t *testing.T) {
	var after atomic.Int32
	eachOperation(t, func(e *sftpserver.FileEvent, before bool, handled *bool, _ *string) {
		if before {
			*handled = true
		} else if after.Add(1); e.Status != sftp.CodeOK {
			t.Errorf("status %v", e.Status)
		}
	}, func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS) {
		after.Store(0)
		path, _ := o.about()
		if err := o.do(t, c, path); err != nil {
			t.Error(err)
		}
		if o.done(fs, path) {
			t.Error("the server did it, too")
		}
		if n := after.Load(); n != 1 {
			t.Errorf("%d events after", n)
		}
	})
}

// TestEventDivertPath: a handler sends an operation to another path.
func TestEventDivertPath(t *testing.T) {
	var other string
	eachOperation(t, func(e *sftpserver.FileEvent, before bool, _ *bool, divert *string) {
		if before {
			*divert = other
		}
	}, func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS) {
		if o.name == "LinkCreate" {
			return // has no such field
		}
		path, to := o.about()
		other = to
		if err := o.do(t, c, path); err != nil {
			t.Fatal(err)
		}
		if o.done(fs, path) || !o.done(fs, other) {
			t.Errorf("done to %s: %v, to %s: %v", path, o.done(fs, path), other, o.done(fs, other))
		}
	})
	t.Run("DirList", func(t *testing.T) {
		s := sftpserver.New()
		tree(s)
		s.DirList = func(e *sftpserver.DirListEvent) { e.DivertTo = "/other" }
		s.FileRename = func(e *sftpserver.FileRenameEvent) { e.DivertNewTo = "/other/renamed" }
		start(t, s)
		c := connect(t, s)
		if err := c.Mkdir(t.Context(), "/other", nil); err != nil {
			t.Fatal(err)
		}
		put(t, c, "/f", "x")
		if err := c.Rename(t.Context(), "/f", "/g", 0); err != nil {
			t.Fatal(err)
		}
		if got := list(t, c, "/none"); got != "renamed" {
			t.Errorf("listed %s", got)
		}
	})
}

// list is what the client sees in a directory: our client leaves out "." and "..".
func list(t testing.TB, c *sftp.Client, name string) string {
	t.Helper()
	entries, err := c.ReadDirAll(t.Context(), name)
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// textFile is a file of a handler's own.
type textFile struct {
	sftp.UnsupportedFile
	text   *string
	closed chan error
}

func (f *textFile) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(*f.text).ReadAt(p, off)
}

func (f *textFile) WriteAt(p []byte, off int64) (int, error) {
	*f.text = (*f.text + strings.Repeat("\x00", int(off)))[:off] + string(p)
	return len(p), nil
}

func (f *textFile) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	var a sftp.Attrs
	a.SetSize(uint64(len(*f.text)))
	return &a, nil
}

func (f *textFile) Close(cause error) error { f.closed <- cause; return nil }

// TestFileOpenDivertFile: a handler's own file takes the place of the server's, with and without events of
// its content, and is closed in the end.
func TestFileOpenDivertFile(t *testing.T) {
	for _, content := range []bool{false, true} {
		s := sftpserver.New()
		fs := tree(s)
		text, closed := "secret text", make(chan error, 8)
		s.FileOpen = func(e *sftpserver.FileOpenEvent) {
			if e.Before && e.Path == "/own" {
				e.File = &textFile{text: &text, closed: closed}
			}
			if e.Before && e.Path == "/vetoed" {
				e.File, e.Status = &textFile{text: &text, closed: closed}, sftp.CodePermissionDenied
			}
			if !e.Before && e.Path == "/wrapped" {
				e.File = shouting{e.File}
			}
		}
		if content {
			record(s)
		}
		start(t, s)
		c := connect(t, s)
		if got, err := get(t, c, "/own", 100); got != "secret text" || err != nil {
			t.Errorf("read %q %v", got, err)
		}
		if cause := <-closed; cause != nil {
			t.Errorf("closed: %v", cause)
		}
		put(t, c, "/own", "written")
		if <-closed; text != "written" {
			t.Errorf("text %q", text)
		}
		if _, err := get(t, c, "/vetoed", 100); sftp.CodeOf(err) != sftp.CodePermissionDenied {
			t.Errorf("%v", err)
		}
		if cause := <-closed; cause == nil {
			t.Error("closed without a cause after a veto")
		}
		if exists(fs, "/own") {
			t.Error("the server has a file, too")
		}
		put(t, c, "/wrapped", "quiet")
		if got, err := get(t, c, "/wrapped", 100); got != "QUIET" || err != nil {
			t.Errorf("read %q %v", got, err)
		}
	}
}

// shouting is a file in upper case.
type shouting struct{ sftp.File }

func (f shouting) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

// TestFileOpenHandle: the handler names the handle, which later events have; what cannot be is an error.
func TestFileOpenHandle(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	long := strings.Repeat("\x00h", 128)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		switch {
		case e.Path == "/long" && e.Before:
			e.Handle = long
		case e.Path == "/late" && !e.Before:
			e.Handle = "late"
		case e.Path == "/bad":
			e.Handle = long + "x"
		case e.Path == "/none":
			e.Handle = ""
		}
	}
	errs := make(chan error, 8)
	s.Error = func(e *sftpserver.ErrorEvent) { errs <- e.Err }
	r := record(s)
	start(t, s)
	c := connect(t, s)
	for i, row := range []struct{ path, handle string }{{"/long", long}, {"/late", "late"}, {"/none", "3"}, {"/plain", "4"}} {
		put(t, c, row.path, "x")
		for _, p := range append(r.take("FileWrite"), r.take("FileClose")...) {
			if p["handle"] != row.handle {
				t.Errorf("%d: handle %q, want %q", i, p["handle"], row.handle)
			}
		}
	}
	if _, err := c.Create(t.Context(), "/bad"); sftp.CodeOf(err) != sftp.CodeFailure {
		t.Errorf("%v", err)
	}
	if _, ok := errors.AsType[*sftp.HandleError](<-errs); !ok {
		t.Error("no error is told")
	}
}

// TestFileOpenHow: what a handler takes away before is not there.
func TestFileOpenHow(t *testing.T) {
	s := sftpserver.New()
	fs := tree(s)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if e.Before {
			e.How.Disposition = sftp.OpenExisting // never empties or makes anything
		}
	}
	start(t, s)
	c := connect(t, s)
	if _, err := c.Create(t.Context(), "/f"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if exists(fs, "/f") {
		t.Error("made")
	}
}

// TestFileReadData: what the handler leaves in Data is what the client reads.
func TestFileReadData(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.FileRead = func(e *sftpserver.FileReadEvent) {
			switch e.Path {
			case "/upper":
				copy(e.Data, bytes.ToUpper(e.Data))
			case "/replaced":
				if e.Offset == 0 {
					e.Data = []byte("other")
				}
			case "/longer":
				e.Data = append(e.Data, bytes.Repeat([]byte("."), 1000)...)
			case "/append":
				e.Data = append(e.Data, '!')
			case "/short":
				e.Data = e.Data[:min(1, len(e.Data))]
			case "/denied":
				e.Status, e.Message = sftp.CodePermissionDenied, "no"
			case "/eof":
				e.Status = sftp.CodeEOF
			case "/beyond":
				if e.Status == sftp.CodeEOF && e.Offset < 20 {
					e.Data = bytes.Repeat([]byte("+"), 3)
				}
			}
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		for name, want := range map[string]string{
			"/plain": "content", "/upper": "CONTENT", "/replaced": "other", "/longer": "content" + strings.Repeat(".", 13),
			"/append": "content!", "/short": "content", "/eof": "", "/beyond": "content",
		} {
			put(t, c, name, "content")
			var got []byte
			f, err := c.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			// By offset, as clients do; a short answer is no end.
			p := make([]byte, 20)
			n, err := f.ReadAt(p, 0)
			if got = append(got, p[:n]...); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
			f.Close()
			if name == "/append" || name == "/replaced" {
				if !bytes.HasPrefix(got, []byte(want)) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			} else if name == "/beyond" {
				// In version 6 the client is told with the data that it was the last.
				if v < sftp.Version6 && !bytes.HasPrefix(got, []byte("content+++")) {
					t.Errorf("%s: %q", name, got)
				}
			} else if string(got) != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		put(t, c, "/denied", "content")
		_, err := get(t, c, "/denied", 10)
		wantStatus(t, err, sftp.CodePermissionDenied, "no")
	})
}

// TestFileWriteData: what the handler leaves in Data before is what is written, and what it handles is not.
func TestFileWriteData(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	var taken []byte
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		switch {
		case !e.Before:
		case e.Path == "/upper":
			e.Data = bytes.ToUpper(e.Data)
		case e.Path == "/longer":
			e.Data = append(slices.Clone(e.Data), e.Data...)
		case e.Path == "/taken":
			taken = append(taken, e.Data...)
			e.Handled = true
		}
	}
	start(t, s)
	c := connect(t, s)
	for name, want := range map[string]string{"/upper": "CONTENT", "/longer": "contentcontent", "/taken": "", "/plain": "content"} {
		put(t, c, name, "content")
		if got, err := get(t, c, name, 100); got != want || err != nil {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	if string(taken) != "content" {
		t.Errorf("the handler took %q", taken)
	}
}

// TestDirListEntries: a handler supplies the list, before or after, as entries or as a text, with attributes or
// without; nothing is added to it.
func TestDirListEntries(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	s.DirList = func(e *sftpserver.DirListEvent) {
		switch {
		case e.Path == "/entries" && e.Before:
			var a sftp.Attrs
			a.SetSize(5)
			a.SetMode(sftp.ModeRegular | 0o600)
			e.Entries = []sftp.Entry{{Name: "a", Attrs: a}, {Name: "b"}}
		case e.Path == "/text" && e.Before:
			if err := s.SetFileList(e.ConnectionID(), "x\r\ny\r\n\r\nz"); err != nil {
				t.Error(err)
			}
			if err := s.SetFileList("99", ""); !errors.Is(err, sftpserver.ErrUnknownConnection) {
				t.Error(err)
			}
		case e.Path == "/empty" && e.Before:
			e.Entries = []sftp.Entry{}
		case e.Path == "/late" && !e.Before:
			if e.Status != sftp.CodeNoSuchFile {
				t.Errorf("status %v", e.Status)
			}
			e.Entries, e.Status = sftpserver.FileList("late"), sftp.CodeOK
		case e.Path == "/" && !e.Before:
			e.Entries = []sftp.Entry{{Name: "instead"}}
		}
	}
	var asked []string
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		asked = append(asked, e.Path)
		if e.Path == "/entries/b" {
			e.Attrs.SetSize(77)
		}
	}
	start(t, s)
	c := connect(t, s)
	for name, want := range map[string]string{"/text": "x y z", "/empty": "", "/late": "late", "/": "instead"} {
		if got := list(t, c, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	asked = nil
	entries, err := c.ReadDirAll(t.Context(), "/entries")
	if err != nil || len(entries) != 2 || entries[0].Attrs.Size != 5 || entries[1].Attrs.Size != 77 {
		t.Errorf("%+v %v", entries, err)
	}
	if !slices.Equal(asked, []string{"/entries/b"}) {
		t.Errorf("asked for %v", asked)
	}
	for conn := range s.Connections() {
		if err := conn.SetFileList("x"); !errors.Is(err, sftpserver.ErrNoFileList) {
			t.Errorf("%v", err)
		}
	}
}

// TestGetAttributesSupplied: filling makes a success of a failure, a status a failure of a success, and
// what is left is what the client gets.
func TestGetAttributesSupplied(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
			switch e.Path {
			case "/virtual":
				e.Attrs.SetSize(1 << 40)
				e.Attrs.SetMode(sftp.ModeDir | 0o711)
				e.Attrs.SetType(sftp.TypeDirectory)
				e.Attrs.SetOwner("12", "13")
				e.Attrs.SetMillis(sftp.AttrMtime, 1_500_000_000_000)
				e.Attrs.SetMillis(sftp.AttrAtime, 1_600_000_000_000)
				if err := e.Attrs.SetOther("LinkCount=3;MIMEType=a/b"); err != nil {
					t.Error(err)
				}
			case "/hidden":
				e.Status, e.Message = sftp.CodeNoSuchFile, "what file?"
			case "/small":
				e.Attrs.SetSize(1)
			}
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		put(t, c, "/hidden", "x")
		put(t, c, "/small", "content")
		_, err := c.Stat(t.Context(), "/hidden")
		wantStatus(t, err, sftp.CodeNoSuchFile, "what file?")
		if a, err := c.Stat(t.Context(), "/small"); err != nil || a.Size != 1 {
			t.Errorf("%+v %v", a, err)
		}
		a, err := c.Lstat(t.Context(), "/virtual")
		if err != nil || a.Size != 1<<40 || !a.IsDir() || a.Mode&sftp.ModePerm != 0o711 || a.OwnerText() != "12" || a.GroupText() != "13" ||
			a.Millis(sftp.AttrMtime) != 1_500_000_000_000 || a.Millis(sftp.AttrAtime) != 1_600_000_000_000 {
			t.Errorf("%+v %v", a, err)
		}
		if v >= sftp.Version6 && a.Links != 3 {
			t.Errorf("%+v", a)
		}
		if _, err := c.Stat(t.Context(), "/none"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
}

// TestResolvePathSupplied: the handler says what a path is.
func TestResolvePathSupplied(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.ResolvePath = func(e *sftpserver.ResolvePathEvent) {
			switch e.Path {
			case "/alias", "/gone":
				e.RealPath = "/real"
			case "/secret":
				e.Status, e.Message = sftp.CodePermissionDenied, "no way"
			}
		}
		s.LinkRead = func(e *sftpserver.LinkReadEvent) {
			if e.Path == "/alias" {
				e.Target = "elsewhere"
			}
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		if got, err := c.RealPath(t.Context(), "alias"); got != "/real" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		_, err := c.RealPath(t.Context(), "/secret")
		wantStatus(t, err, sftp.CodePermissionDenied, "no way")
		if got, err := c.ReadLink(t.Context(), "alias"); got != "elsewhere" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if v >= sftp.Version6 {
			if got, _, err := c.RealPathOpt(t.Context(), "/gone", sftp.RealPathStatAlways); got != "/real" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
	})
}

// TestFileCloseStatus: the handler of an upload's end refuses it, and a list's end too.
func TestFileCloseStatus(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	s.FileClose = func(e *sftpserver.FileCloseEvent) {
		if e.Writes && e.Written < 3 {
			e.Status, e.Message = sftp.CodeFailure, "too small"
		}
	}
	start(t, s)
	c := connect(t, s)
	put(t, c, "/f", "1234")
	f, err := c.Create(t.Context(), "/g")
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.Close(), sftp.CodeFailure, "too small")
}

// TestFileCloseCutOff: an upload that the client does not finish is told from one that it does.
func TestFileCloseCutOff(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	closed := make(chan *sftpserver.FileCloseEvent, 1)
	s.FileClose = func(e *sftpserver.FileCloseEvent) { closed <- e }
	gone := make(chan struct{})
	s.Disconnected = func(*sftpserver.DisconnectedEvent) {
		if len(closed) != 1 {
			t.Error("Disconnected comes before FileClose")
		}
		close(gone)
	}
	start(t, s)
	conn := dial(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Create(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("half"), 0); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	<-gone
	e := <-closed
	if e.Complete || !errors.Is(e.Err, sftp.ErrDisconnected) || e.Written != 4 || e.Path != "/f" {
		t.Errorf("%+v", e)
	}
}

// TestFileCloseIncomplete: so is one of which a WRITE failed.
func TestFileCloseIncomplete(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	closed := make(chan *sftpserver.FileCloseEvent, 1)
	s.FileClose = func(e *sftpserver.FileCloseEvent) { closed <- e }
	s.FileWrite = func(e *sftpserver.FileWriteEvent) { e.Status = sftp.CodeNoSpace }
	start(t, s)
	c := connect(t, s)
	f, err := c.Create(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("written")
	}
	_ = f.Close()
	if e := <-closed; e.Complete || !errors.Is(e.Err, sftp.ErrIncomplete) {
		t.Errorf("%+v", e)
	}
}

// TestListDots: "." and ".." are in listings unless they are not to be.
func TestListDots(t *testing.T) {
	for _, events := range []bool{false, true} {
		for _, without := range []bool{false, true} {
			s := sftpserver.New()
			tree(s)
			s.NoDotEntries = without
			if events {
				record(s)
			}
			start(t, s)
			names, _, _ := listWire(t, s, "/")
			if got, want := strings.Join(names, " "), map[bool]string{true: "", false: ". .."}[without]; got != want {
				t.Errorf("events %v, NoDotEntries %v: %q, want %q", events, without, got, want)
			}
		}
	}
}

// TestSetErrorMessage: the text goes with the next failure, and only that.
func TestSetErrorMessage(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	start(t, s)
	c := connect(t, s)
	put(t, c, "/f", "x")
	for conn := range s.Connections() {
		conn.SetErrorMessage("for once")
	}
	if err := c.Mkdir(t.Context(), "/d", nil); err != nil {
		t.Fatal(err)
	}
	f, err := c.Open(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 4), 9); n != 0 || !errors.Is(err, io.EOF) { // takes no message
		t.Fatal(n, err)
	}
	wantStatus(t, c.Remove(t.Context(), "/none"), sftp.CodeNoSuchFile, "for once")
	wantStatus(t, c.Remove(t.Context(), "/none"), sftp.CodeNoSuchFile, "no such file")
	for conn := range s.Connections() {
		conn.SetErrorMessage("never")
		conn.SetErrorMessage("")
	}
	wantStatus(t, c.Remove(t.Context(), "/none"), sftp.CodeNoSuchFile, "no such file")
}

// TestEventLocalPath: with a root directory events know where a file is on the host.
func TestEventLocalPath(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	got := make(chan string, 8)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		p, ok := e.LocalPath()
		got <- fmt.Sprint(p, ok)
	}
	start(t, s)
	put(t, connect(t, s), "/f", "x")
	if p, want := <-got, filepath.Join(root, "f")+"true"; p != want {
		t.Errorf("%s, want %s", p, want)
	}
	s = sftpserver.New()
	tree(s)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		p, ok := e.LocalPath()
		got <- fmt.Sprint(p, ok)
	}
	start(t, s)
	put(t, connect(t, s), "/f", "x")
	<-got // of the first server, after
	if p := <-got; p != "false" {
		t.Errorf("%s", p)
	}
}

// TestEventsWithoutRoot: handlers supply everything, and what nobody answers is not supported.
func TestEventsWithoutRoot(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		files := map[string][]byte{}
		var mu sync.Mutex
		s.DirList = func(e *sftpserver.DirListEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				e.Entries = []sftp.Entry{}
				for name := range files {
					if path.Dir(name) == e.Path {
						e.Entries = append(e.Entries, sftp.Entry{Name: path.Base(name)})
					}
				}
			}
		}
		s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
			mu.Lock()
			defer mu.Unlock()
			if data, ok := files[e.Path]; ok {
				e.Attrs.SetSize(uint64(len(data)))
				e.Attrs.SetMode(sftp.ModeRegular | 0o644)
			} else {
				e.Status = sftp.CodeNoSuchFile
			}
		}
		s.FileOpen = func(e *sftpserver.FileOpenEvent) {
			mu.Lock()
			defer mu.Unlock()
			if !e.Before {
				return
			}
			_, ok := files[e.Path]
			switch {
			case !ok && e.Flags&uint32(sftp.PCreate) == 0:
				e.Status = sftp.CodeNoSuchFile
				return
			case !ok || e.Flags&uint32(sftp.PTrunc) != 0:
				files[e.Path] = nil
			}
			e.Handled = true
		}
		s.FileRead = func(e *sftpserver.FileReadEvent) {
			mu.Lock()
			defer mu.Unlock()
			data := files[e.Path]
			if e.Offset >= int64(len(data)) {
				e.Status = sftp.CodeEOF
				return
			}
			e.Data = append(e.Data, data[e.Offset:min(int64(len(data)), e.Offset+int64(e.Length))]...)
		}
		s.FileWrite = func(e *sftpserver.FileWriteEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				data := files[e.Path]
				data = append(data, make([]byte, max(0, int(e.Offset)+len(e.Data)-len(data)))...)
				copy(data[e.Offset:], e.Data)
				files[e.Path], e.Handled = data, true
			}
		}
		s.FileRemove = func(e *sftpserver.FileRemoveEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				delete(files, e.Path)
				e.Handled = true
			}
		}
		s.FileRename = func(e *sftpserver.FileRenameEvent) {
			mu.Lock()
			defer mu.Unlock()
			if !e.Before { // in the second phase as well
				files[e.NewPath] = files[e.Path]
				delete(files, e.Path)
				e.Status = sftp.CodeOK
			}
		}
		s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { e.Handled = true }
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		content := strings.Repeat("virtual ", 100_000)
		if _, err := c.Put(t.Context(), "/f", strings.NewReader(content), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), "/f", &got, sftp.TransferOptions{}); err != nil || got.String() != content {
			t.Fatalf("%d octets, %v", got.Len(), err)
		}
		if a, err := c.Stat(t.Context(), "/f"); err != nil || a.Size != uint64(len(content)) {
			t.Errorf("%+v %v", a, err)
		}
		put(t, c, "/g", "x")
		if err := c.Rename(t.Context(), "/g", "/h", 0); err != nil {
			t.Error(err)
		}
		if got := list(t, c, "/"); got != "f h" {
			t.Errorf("list %q", got)
		}
		if err := c.Remove(t.Context(), "/h"); err != nil {
			t.Error(err)
		}
		if got := list(t, c, "/"); got != "f" {
			t.Errorf("list %q", got)
		}
		a, _ := asked(v, sftp.TypeRegular)
		if err := c.SetStat(t.Context(), "/f", a); err != nil {
			t.Error(err)
		}
		if got, err := c.RealPath(t.Context(), "x/../f"); got != "/f" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if v >= sftp.Version6 {
			if _, _, err := c.RealPathOpt(t.Context(), "/none", sftp.RealPathStatAlways); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v", err)
			}
		}
		for what, err := range map[string]error{
			"MKDIR": c.Mkdir(t.Context(), "/d", nil), "RMDIR": c.Rmdir(t.Context(), "/d"), "SYMLINK": c.Symlink(t.Context(), "x", "/l"),
		} {
			if sftp.CodeOf(err) != sftp.CodeOpUnsupported {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestUnansweredWithoutRoot: without a root directory each operation whose handlers do nothing, or that
// has none, is not supported; REALPATH is.
func TestUnansweredWithoutRoot(t *testing.T) {
	for _, handlers := range []bool{false, true} {
		s := sftpserver.New()
		s.ProtocolVersion = 6
		if handlers {
			record(s)
		}
		start(t, s)
		c := connect(t, s)
		_, openErr := c.Open(t.Context(), "/f")
		_, statErr := c.Stat(t.Context(), "/f")
		_, lstatErr := c.Lstat(t.Context(), "/f")
		_, listErr := c.ReadDirAll(t.Context(), "/")
		_, linkErr := c.ReadLink(t.Context(), "/")
		_, extErr := c.Extended(t.Context(), "x@example.com", nil)
		var a sftp.Attrs
		a.SetMode(0o600)
		for what, err := range map[string]error{
			"OPEN": openErr, "STAT": statErr, "LSTAT": lstatErr, "OPENDIR": listErr, "READLINK": linkErr, "EXTENDED": extErr,
			"MKDIR": c.Mkdir(t.Context(), "/d", nil), "RMDIR": c.Rmdir(t.Context(), "/d"), "REMOVE": c.Remove(t.Context(), "/f"),
			"RENAME": c.Rename(t.Context(), "/f", "/g", 0), "SETSTAT": c.SetStat(t.Context(), "/f", &a), "SYMLINK": c.Symlink(t.Context(), "x", "/l"),
			"LINK": c.Link(t.Context(), "/x", "/l"),
		} {
			if sftp.CodeOf(err) != sftp.CodeOpUnsupported {
				t.Errorf("handlers %v: %s: %v", handlers, what, err)
			}
		}
		if got, err := c.RealPath(t.Context(), "a/../b"); got != "/b" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
}

// slowFS has slow files.
type slowFS struct{ sftp.FileSystem }

type slowFile struct{ sftp.File }

func (f slowFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	file, err := f.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return slowFile{file}, nil
}

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	<-time.After(time.Duration(500+off%1000) * time.Microsecond)
	return f.File.ReadAt(p, off)
}

func (f slowFile) WriteAt(p []byte, off int64) (int, error) {
	<-time.After(time.Duration(500+off%1000) * time.Microsecond)
	return f.File.WriteAt(p, off)
}

// TestEventOrder: the events of a connection come one at a time and in the order of the requests, however
// many are under way; ConcurrentEvents lets them overlap.
func TestEventOrder(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		s := sftpserver.New()
		fs := memfs.New(memfs.Options{})
		s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return slowFS{fs}, nil }
		s.ConcurrentEvents = concurrent
		var busy, overlaps atomic.Int32
		var mu sync.Mutex
		var reads, writes []int64
		enter := func() {
			if busy.Add(1) > 1 {
				overlaps.Add(1)
			}
			<-time.After(200 * time.Microsecond)
			busy.Add(-1)
		}
		s.FileRead = func(e *sftpserver.FileReadEvent) {
			enter()
			mu.Lock()
			defer mu.Unlock()
			if e.Status == sftp.CodeOK { // the client looks for the end twice
				reads = append(reads, e.Offset)
			}
		}
		s.FileWrite = func(e *sftpserver.FileWriteEvent) {
			enter()
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				writes = append(writes, e.Offset)
			}
		}
		start(t, s)
		c := connect(t, s)
		content := bytes.Repeat([]byte("0123456789abcdef"), 250_000)
		if _, err := c.Put(t.Context(), "/f", bytes.NewReader(content), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), "/f", &got, sftp.TransferOptions{}); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("%d octets, %v", got.Len(), err)
		}
		if !concurrent && (overlaps.Load() > 0 || !slices.IsSorted(reads) || !slices.IsSorted(writes)) {
			t.Errorf("%d events overlap; reads %v, writes %v", overlaps.Load(), reads, writes)
		}
		if concurrent && overlaps.Load() == 0 {
			t.Error("no events overlap")
		}
		if len(reads) < 8 || len(writes) < 8 {
			t.Errorf("%d reads, %d writes", len(reads), len(writes))
		}
	}
}

// TestEventSequence: what one client does is told in that order.
func TestEventSequence(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		r.take("")
		put(t, c, "/f", "x")
		if _, err := get(t, c, "/f", 1); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), "/f"); err != nil {
			t.Fatal(err)
		}
		const want = "+FileOpen(/f) -FileOpen(/f) +FileWrite(/f) -FileWrite(/f) FileClose(/f) " +
			"+FileOpen(/f) -FileOpen(/f) FileRead(/f) FileClose(/f) +FileRemove(/f) -FileRemove(/f)"
		if got := r.names(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// TestHandlerPanics: a handler that panics ends its own connection, with a word to the Error event, and
// no other.
func TestHandlerPanics(t *testing.T) {
	for _, name := range []string{"DirCreate", "DirList", "FileOpen", "FileRead", "FileWrite", "FileClose", "GetAttributes", "SetAttributes", "ResolvePath", "FileRename", "FileRemove", "DirRemove", "LinkRead", "LinkCreate", "Extended"} {
		t.Run(name, func(t *testing.T) {
			s := sftpserver.New()
			fs := tree(s)
			if f, err := fs.Open(t.Context(), "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew}); err == nil {
				_ = f.Close(nil)
			}
			armed := new(atomic.Bool)
			boom := func(e *sftpserver.FileEvent) {
				if armed.Load() && e.ConnectionID() == "1" {
					panic("boom")
				}
			}
			s.DirCreate = func(e *sftpserver.DirCreateEvent) { boom(&e.FileEvent) }
			s.DirList = func(e *sftpserver.DirListEvent) { boom(&e.FileEvent) }
			s.DirRemove = func(e *sftpserver.DirRemoveEvent) { boom(&e.FileEvent) }
			s.FileOpen = func(e *sftpserver.FileOpenEvent) { boom(&e.FileEvent) }
			s.FileRead = func(e *sftpserver.FileReadEvent) { boom(&e.FileEvent) }
			s.FileWrite = func(e *sftpserver.FileWriteEvent) { boom(&e.FileEvent) }
			s.FileClose = func(e *sftpserver.FileCloseEvent) { boom(&e.FileEvent) }
			s.FileRemove = func(e *sftpserver.FileRemoveEvent) { boom(&e.FileEvent) }
			s.FileRename = func(e *sftpserver.FileRenameEvent) { boom(&e.FileEvent) }
			s.GetAttributes = func(e *sftpserver.GetAttributesEvent) { boom(&e.FileEvent) }
			s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { boom(&e.FileEvent) }
			s.ResolvePath = func(e *sftpserver.ResolvePathEvent) { boom(&e.FileEvent) }
			s.LinkRead = func(e *sftpserver.LinkReadEvent) { boom(&e.FileEvent) }
			s.LinkCreate = func(e *sftpserver.LinkCreateEvent) { boom(&e.FileEvent) }
			s.Extended = func(e *sftpserver.ExtendedEvent) { boom(&e.FileEvent) }
			told, gone := make(chan error, 8), make(chan string, 2)
			s.Error = func(e *sftpserver.ErrorEvent) { told <- e.Err }
			s.Disconnected = func(e *sftpserver.DisconnectedEvent) { gone <- e.ConnectionID() }
			start(t, s)
			c, other := connect(t, s), connect(t, s)
			f, err := c.OpenFile(t.Context(), "/f", sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenExisting})
			if err != nil {
				t.Fatal(err)
			}
			armed.Store(true)
			var a sftp.Attrs
			a.SetMode(0o600)
			switch name {
			case "DirCreate":
				err = c.Mkdir(t.Context(), "/d", nil)
			case "DirList":
				_, err = c.ReadDirAll(t.Context(), "/")
			case "DirRemove":
				err = c.Rmdir(t.Context(), "/d")
			case "FileOpen":
				_, err = c.Open(t.Context(), "/f")
			case "FileRead":
				_, err = f.ReadAt(make([]byte, 1), 0)
			case "FileWrite":
				_, err = f.WriteAt(make([]byte, 1), 0)
			case "FileClose":
				err = f.Close()
			case "FileRemove":
				err = c.Remove(t.Context(), "/f")
			case "FileRename":
				err = c.Rename(t.Context(), "/f", "/g", 0)
			case "GetAttributes":
				_, err = c.Stat(t.Context(), "/f")
			case "SetAttributes":
				err = c.SetStat(t.Context(), "/f", &a)
			case "ResolvePath":
				_, err = c.RealPath(t.Context(), "/f")
			case "LinkRead":
				_, err = c.ReadLink(t.Context(), "/f")
			case "LinkCreate":
				err = c.Symlink(t.Context(), "x", "/l")
			case "Extended":
				_, err = c.Extended(t.Context(), "x@example.com", nil)
			}
			if err == nil {
				t.Error("the client is told that all is well")
			}
			if id := <-gone; id != "1" {
				t.Errorf("connection %s ended", id)
			}
			if p, ok := errors.AsType[*sftpserver.PanicError](<-told); !ok || p.Value != "boom" || len(p.Stack) == 0 {
				t.Error("nobody is told of the panic")
			}
			if _, err := other.ReadDirAll(t.Context(), "/"); err != nil {
				t.Errorf("the other connection: %v", err)
			}
			put(t, other, "/other", "x")
		})
	}
}

// TestHandlerCallsBack: handlers call the server's methods, also to end their own connection.
func TestHandlerCallsBack(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	gone := make(chan struct{})
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		if e.ConnectionID() == "1" {
			close(gone)
		}
	}
	s.DirCreate = func(e *sftpserver.DirCreateEvent) {
		if !e.Before {
			return
		}
		n := 0
		for conn := range s.Connections() {
			n++
			_, _, _ = conn.User(), conn.Info(), conn.ProtocolVersion()
			conn.SetDirListBufferSize(5)
		}
		if _, ok := s.Connection(e.ConnectionID()); !ok || n != 2 && e.Path != "/other" || !s.Listening() {
			t.Errorf("%d connections", n)
		}
		e.Conn.SetValue("seen")
		if e.Path == "/bye" {
			if err := s.Disconnect(e.ConnectionID()); err != nil {
				t.Error(err)
			}
			select {
			case <-e.Context().Done():
			case <-time.After(10 * time.Second):
				t.Error("the context of the event does not end")
			}
		}
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		if e.Path == "/slow" {
			<-time.After(50 * time.Millisecond)
		}
	}
	start(t, s)
	c, other := connect(t, s), connect(t, s)
	put(t, c, "/slow", "x")
	if got, err := get(t, c, "/slow", 1); got != "x" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if err := c.Mkdir(t.Context(), "/d", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Mkdir(t.Context(), "/bye", nil); err == nil {
		t.Error("an answer on a connection that has ended")
	}
	<-gone
	if err := other.Mkdir(t.Context(), "/other", nil); err != nil {
		t.Error(err)
	}
}

// TestHandlersOfManyConnections: handlers of different connections run at the same time.
func TestHandlersOfManyConnections(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	var wait sync.WaitGroup
	wait.Add(2)
	s.DirCreate = func(e *sftpserver.DirCreateEvent) {
		if e.Before {
			wait.Done()
			wait.Wait() // for the other one
		}
	}
	start(t, s)
	one, two := connect(t, s), connect(t, s)
	done := make(chan error, 2)
	go func() { done <- one.Mkdir(t.Context(), "/one", nil) }()
	go func() { done <- two.Mkdir(t.Context(), "/two", nil) }()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestEventsOfCopies: copy-file and hashes read and write content, so FileOpen has its say.
func TestEventsOfCopies(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		s := sftpserver.New()
		s.ProtocolVersion = 6
		tree(s)
		s.ConcurrentEvents = concurrent
		s.FileOpen = func(e *sftpserver.FileOpenEvent) {
			if e.Path == "/secret" && e.Before && e.How.Reads() {
				e.Status = sftp.CodePermissionDenied
			}
			if e.Before && (e.Handle == "") != (e.RawFlags == 0) {
				t.Errorf("handle %q, raw flags %x", e.Handle, e.RawFlags)
			}
		}
		r := record(s)
		start(t, s)
		c := connect(t, s)
		put(t, c, "/secret", "content")
		put(t, c, "/f", "content")
		if _, err := c.Hash(t.Context(), "/secret", sftp.HashRange{}); sftp.CodeOf(err) != sftp.CodePermissionDenied {
			t.Errorf("hash: %v", err)
		}
		r.take("")
		if _, err := c.Hash(t.Context(), "/f", sftp.HashRange{}); err != nil {
			t.Errorf("hash: %v", err)
		}
		if got := r.take("FileRead"); len(got) == 0 || got[0]["data"] != "content" {
			t.Errorf("%v", got)
		}
	}
}

// listWire lists a directory as it is on the wire, "." and ".." included: the names, the long names and how many came
// in each reply.
func listWire(t testing.TB, s *sftpserver.Server, name string) (names, long []string, counts []int) {
	t.Helper()
	ch, err := dial(t, s).Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	return rawList(t, ch, name)
}

// TestDirListBufferSize: how many entries a reply has, for the server and for one connection while it lives.
func TestDirListBufferSize(t *testing.T) {
	s := sftpserver.New()
	fs := tree(s)
	for i := range 250 {
		if err := fs.Mkdir(t.Context(), fmt.Sprint("/", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	start(t, s)
	if _, _, counts := listWire(t, s, "/"); fmt.Sprint(counts) != "[100 100 52]" {
		t.Errorf("replies of %v", counts)
	}
	conn := dial(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	for c := range s.Connections() {
		c.SetDirListBufferSize(126)
	}
	if _, _, counts := rawList(t, ch, "/"); fmt.Sprint(counts) != "[126 126]" {
		t.Errorf("replies of %v", counts)
	}
	s = sftpserver.New()
	s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return fs, nil }
	s.DirListBufferSize = 200
	start(t, s)
	if _, _, counts := listWire(t, s, "/"); fmt.Sprint(counts) != "[200 52]" {
		t.Errorf("replies of %v", counts)
	}
}

// TestPlainDates: dates of long names are written as ls does, or plainly.
func TestPlainDates(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s := sftpserver.New()
		fs := tree(s)
		s.NoDotEntries, s.PlainDates = true, plain
		if err := fs.Mkdir(t.Context(), "/d", nil); err != nil {
			t.Fatal(err)
		}
		var a sftp.Attrs
		at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.Local)
		a.SetMillis(sftp.AttrMtime, at.UnixMilli())
		a.SetMillis(sftp.AttrAtime, at.UnixMilli())
		if err := fs.SetStat(t.Context(), "/d", &a, true); err != nil {
			t.Fatal(err)
		}
		start(t, s)
		_, long, _ := listWire(t, s, "/")
		want := map[bool]string{false: " Feb  3  2020 d", true: " 2020-02-03 04:05 d"}[plain]
		if len(long) != 1 || !strings.HasSuffix(long[0], want) {
			t.Errorf("%q, want %q", long, want)
		}
	}
}

// TestProtocolVersionOfConnection: the version agreed on, which is 3 unless more is set.
func TestProtocolVersionOfConnection(t *testing.T) {
	for set, want := range map[int]int{0: 3, 3: 3, 4: 4, 5: 5, 6: 6} {
		s := sftpserver.New()
		s.ProtocolVersion = set
		tree(s)
		start(t, s)
		c := connect(t, s)
		for conn := range s.Connections() {
			if conn.ProtocolVersion() != want || c.Version() != want {
				t.Errorf("version %d, the client's %d, want %d", conn.ProtocolVersion(), c.Version(), want)
			}
		}
	}
}

// TestHomeDirWithoutRoot: relative names begin in the home directory also where handlers have all the files.
func TestHomeDirWithoutRoot(t *testing.T) {
	s := sftpserver.New()
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		if accept(e); e.Accept {
			e.HomeDir = "/home/" + e.User
		}
	}
	r := record(s)
	start(t, s)
	c := connect(t, s)
	r.take("")
	if got, err := c.RealPath(t.Context(), "."); got != "/home/alice" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	check(t, r.take("ResolvePath"), params{"path": "/home/alice", "originalPath": ".", "realPath": "/home/alice", "controlFlags": "0"})
	if _, err := c.Stat(t.Context(), "x"); err == nil {
		t.Error("there")
	}
	if got := r.take("GetAttributes"); len(got) != 1 || got[0]["path"] != "/home/alice/x" {
		t.Errorf("%v", got)
	}
}

// TestEventsFromRequestToDisconnected: the events of a connection come in the order in which things happen.
func TestEventsFromRequestToDisconnected(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	var mu sync.Mutex
	var names []string
	add := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
	}
	gone := make(chan struct{})
	s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { add("ConnectionRequest") }
	s.Connected = func(*sftpserver.ConnectedEvent) { add("Connected") }
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { accept(e); add("UserAuth " + e.Method) }
	s.FileOpen = func(e *sftpserver.FileOpenEvent) { add("FileOpen") }
	s.FileClose = func(e *sftpserver.FileCloseEvent) { add("FileClose") }
	s.Disconnected = func(*sftpserver.DisconnectedEvent) { add("Disconnected"); close(gone) }
	start(t, s)
	conn := dial(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "/f", "x")
	_ = conn.Close()
	<-gone
	want := "ConnectionRequest Connected UserAuth none UserAuth password FileOpen FileOpen FileClose Disconnected"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestEventsWithRootDirectory: the server does it all, and events see paths from its root, never those of the host.
func TestEventsWithRootDirectory(t *testing.T) {
	needSymlinks(t)
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	r := record(s)
	start(t, s)
	c := connect(t, s)
	r.take("")
	if err := c.Mkdir(t.Context(), "/d", nil); err != nil {
		t.Fatal(err)
	}
	put(t, c, "/d/f", "content")
	if err := c.Rename(t.Context(), "/d/f", "../d/g", 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Chmod(t.Context(), "/d/g", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, "/link/../../link/g", 3); got != "con" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := c.Lstat(t.Context(), "/d/none"); err == nil {
		t.Error("there")
	}
	if got := list(t, c, "/d"); got != "g" {
		t.Errorf("list %q", got)
	}
	if err := c.Remove(t.Context(), "/d/g"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rmdir(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
	const want = "+DirCreate(/d) -DirCreate(/d) " +
		"+FileOpen(/d/f) -FileOpen(/d/f) +FileWrite(/d/f) -FileWrite(/d/f) FileClose(/d/f) " +
		"+FileRename(/d/f) -FileRename(/d/f) +SetAttributes(/d/g) -SetAttributes(/d/g) " +
		"+FileOpen(/link/g) -FileOpen(/link/g) FileRead(/link/g) FileClose(/link/g) GetAttributes(/d/none)=2 " +
		"+DirList(/d) -DirList(/d) FileClose(/d) +FileRemove(/d/g) -FileRemove(/d/g) +DirRemove(/d) -DirRemove(/d)"
	if got := r.names(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// TestFileOpenHandleProposed: the server proposes no handle that a handler has given to what is open.
func TestFileOpenHandleProposed(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if e.Path == "/first" {
			e.Handle = "3"
		}
	}
	r := record(s)
	start(t, s)
	c := connect(t, s)
	for _, name := range []string{"/first", "/second", "/third"} {
		f, err := c.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	var handles []string
	for _, p := range r.take("FileWrite") {
		handles = append(handles, p["handle"])
	}
	if got := strings.Join(handles, " "); got != "3 3 2 2 4 4" {
		t.Errorf("handles %s", got)
	}
}
