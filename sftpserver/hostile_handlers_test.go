package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// allEvents does what fires each event that a client can cause. It stops at the first failure of the connection.
func allEvents(ctx context.Context, addr string) {
	for _, secret := range []string{"wrong", "secret"} {
		client, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{
			User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password(secret)}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			continue // the first is to fail
		}
		defer client.Close()
		ch, err := client.Subsystem(ctx, "sftp")
		if err != nil {
			return
		}
		c, err := sftp.NewClient(ctx, ch, nil)
		if err != nil {
			return
		}
		_ = c.Mkdir(ctx, "/dir", nil)
		_, _ = c.ReadDirAll(ctx, "/dir")
		_ = c.Rmdir(ctx, "/dir")
		if f, err := c.Create(ctx, "/file"); err == nil {
			_, _ = f.Write([]byte("content"))
			_ = f.Close()
		}
		if f, err := c.Open(ctx, "/file"); err == nil {
			_, _ = f.ReadAt(make([]byte, 7), 0)
			_ = f.Close()
		}
		_, _ = c.Stat(ctx, "/file")
		_ = c.Chmod(ctx, "/file", 0o600)
		_, _ = c.RealPath(ctx, ".")
		_ = c.Symlink(ctx, "file", "/link")
		_, _ = c.ReadLink(ctx, "/link")
		_, _ = c.Extended(ctx, "none@example.com", nil)
		_ = c.Rename(ctx, "/file", "/new", 0)
		_ = c.Remove(ctx, "/new")
	}
}

// atEach has f called by each event of s, with its name.
func atEach(s *sftpserver.Server, f func(event string)) (events []string) {
	each := func(name string) string { events = append(events, name); return name }
	on := func(name string) func() { each(name); return func() { f(name) } }
	request, connected, gone, auth := on("ConnectionRequest"), on("Connected"), on("Disconnected"), on("UserAuth")
	s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { request() }
	s.Connected = func(*sftpserver.ConnectedEvent) { connected() }
	s.Disconnected = func(*sftpserver.DisconnectedEvent) { gone() }
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { auth(); accept(e) }
	mkdir, list, rmdir := on("DirCreate"), on("DirList"), on("DirRemove")
	s.DirCreate = func(*sftpserver.DirCreateEvent) { mkdir() }
	s.DirList = func(*sftpserver.DirListEvent) { list() }
	s.DirRemove = func(*sftpserver.DirRemoveEvent) { rmdir() }
	open, read, write, closed := on("FileOpen"), on("FileRead"), on("FileWrite"), on("FileClose")
	s.FileOpen = func(*sftpserver.FileOpenEvent) { open() }
	s.FileRead = func(*sftpserver.FileReadEvent) { read() }
	s.FileWrite = func(*sftpserver.FileWriteEvent) { write() }
	s.FileClose = func(*sftpserver.FileCloseEvent) { closed() }
	remove, rename, get, setAttrs := on("FileRemove"), on("FileRename"), on("GetAttributes"), on("SetAttributes")
	s.FileRemove = func(*sftpserver.FileRemoveEvent) { remove() }
	s.FileRename = func(*sftpserver.FileRenameEvent) { rename() }
	s.GetAttributes = func(*sftpserver.GetAttributesEvent) { get() }
	s.SetAttributes = func(*sftpserver.SetAttributesEvent) { setAttrs() }
	resolve, readLink, link, extended := on("ResolvePath"), on("LinkRead"), on("LinkCreate"), on("Extended")
	s.ResolvePath = func(*sftpserver.ResolvePathEvent) { resolve() }
	s.LinkRead = func(*sftpserver.LinkReadEvent) { readLink() }
	s.LinkCreate = func(*sftpserver.LinkCreateEvent) { link() }
	s.Extended = func(*sftpserver.ExtendedEvent) { extended() }
	status, log, bad := on("SSHStatus"), on("Log"), on("Error")
	s.SSHStatus = func(*sftpserver.SSHStatusEvent) { status() }
	s.Log = func(*sftpserver.LogEvent) { log() }
	s.Error = func(*sftpserver.ErrorEvent) { bad() }
	return events
}

// TestHandlerNeverReturns: a handler of any event that blocks holds up its own connection only: others
// work, new ones come in, Shutdown returns with its context and Close at once.
func TestHandlerNeverReturns(t *testing.T) {
	const soon = 20 * time.Second // a busy machine's, and far from for ever
	for _, event := range atEach(sftpserver.New(), nil) {
		for _, how := range []string{"Shutdown", "Close"} {
			t.Run(event+"/"+how, func(t *testing.T) {
				noneLeft(t)
				s := sftpserver.New()
				s.LogLevel = sftpserver.LogInfo
				tree(s)
				var armed atomic.Bool
				hold, reached := make(chan struct{}), make(chan struct{})
				atEach(s, func(e string) {
					if e == event && armed.CompareAndSwap(true, false) {
						close(reached)
						<-hold
					}
				})
				start(t, s)
				other := connect(t, s)
				put(t, other, "/other", "kept")
				armed.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
				defer cancel()
				var victim sync.WaitGroup
				victim.Go(func() { allEvents(ctx, s.Addr().String()) })
				released := sync.OnceFunc(func() { close(hold) })
				defer released()
				select {
				case <-reached:
				case <-ctx.Done():
					t.Fatal("the event was never fired")
				}
				if got, err := get(t, other, "/other", 4); got != "kept" || err != nil {
					t.Errorf("another connection reads %q, %v", got, err)
				}
				if _, err := connect(t, s).Stat(ctx, "/other"); err != nil {
					t.Errorf("a new connection: %v", err)
				}
				began := time.Now()
				if how == "Close" {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				} else {
					short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
					err := s.Shutdown(short)
					cancel()
					if _, cut := errors.AsType[*ssh2.ShutdownError](err); err != nil && !cut {
						t.Errorf("Shutdown: %v", err)
					}
				}
				if took := time.Since(began); took > soon {
					t.Errorf("%s took %v", how, took)
				}
				select {
				case <-other.Done():
				case <-time.After(soon):
					t.Error("another connection did not end")
				}
				released()
				if err := s.Shutdown(ctx); err != nil { // all handlers have returned then
					t.Error(err)
				}
				victim.Wait()
			})
		}
	}
}

// TestDataKeptAfterReturn: handlers of FileRead and FileWrite that keep Data, append to it and hand it
// to others see octets that mean nothing any more, and harm no other request.
func TestDataKeptAfterReturn(t *testing.T) {
	noneLeft(t)
	const size = 1 << 20
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i>>12) + byte(i) // nowhere the octet of poison for long
	}
	s := sftpserver.New()
	tree(s)
	var mu sync.Mutex
	var kept, was [][]byte
	keep := func(data []byte) {
		mu.Lock()
		defer mu.Unlock()
		kept, was = append(kept, data), append(was, bytes.Clone(data))
		_ = append(data, "what does not fit"...) // in memory of its own, or in what nobody else has
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		if len(e.Data) > 0 {
			keep(e.Data)
		}
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if e.Before {
			keep(e.Data)
			if cap(e.Data) != len(e.Data) {
				t.Errorf("room for %d octets behind what was sent", cap(e.Data)-len(e.Data))
			}
		}
	}
	start(t, s)
	var clients sync.WaitGroup
	for _, name := range []string{"/a", "/b", "/c"} {
		c := connect(t, s)
		clients.Go(func() {
			f, err := c.Create(t.Context(), name)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
				t.Error(err)
			}
			_ = f.Close()
			if f, err = c.Open(t.Context(), name); err != nil {
				t.Error(err)
				return
			}
			var got bytes.Buffer
			if _, err := f.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%s: %d octets, %v; or others than were written", name, got.Len(), err)
			}
			_ = f.Close()
			_ = c.Close()
		})
	}
	clients.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(0)
	stale := 0
	for i, data := range kept {
		if bytes.Equal(data, was[i]) {
			stale++
		}
	}
	if len(kept) < 6 || invariant.Enabled && stale > 0 {
		t.Errorf("%d of %d pieces still have what they had: they are not poisoned", stale, len(kept))
	}
}
