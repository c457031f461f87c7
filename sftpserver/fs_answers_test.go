package sftpserver_test

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

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
