package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

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
