package sftpserver_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

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
