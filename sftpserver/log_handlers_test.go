package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The handlers of one connection are called one at a time, those that tell of
// what has happened too; so what they share needs no lock, which -race sees.
func TestReportsOneAtATime(t *testing.T) {
	type state struct {
		calls map[string]int
		busy  atomic.Bool
	}
	var mu sync.Mutex
	var all []*state
	enter := func(c *sftpserver.Connection, what string) {
		s, _ := c.Value().(*state)
		if s == nil {
			s = &state{calls: map[string]int{}}
			c.SetValue(s)
			mu.Lock()
			all = append(all, s)
			mu.Unlock()
		}
		if s.busy.Swap(true) {
			t.Errorf("%s while another handler runs", what)
		}
		s.calls[what]++
		s.busy.Store(false)
	}
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogVerbose
	s.Connected = func(e *sftpserver.ConnectedEvent) { enter(e.Conn, "connected") }
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { enter(e.Conn, "auth"); accept(e) }
	s.SSHStatus = func(e *sftpserver.SSHStatusEvent) { enter(e.Conn, "status") }
	s.Log = func(e *sftpserver.LogEvent) { enter(e.Conn, "log") }
	var over sync.WaitGroup
	const n = 4
	over.Add(n)
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) { enter(e.Conn, "disconnected"); over.Done() }
	start(t, s)
	var clients sync.WaitGroup
	for i := range n {
		c := connect(t, s)
		clients.Go(func() {
			if _, err := c.Put(t.Context(), fmt.Sprint("/", i), strings.NewReader(strings.Repeat("x", 1<<20)), sftp.TransferOptions{}); err != nil {
				t.Error(err)
			}
			_ = c.Close()
		})
	}
	clients.Wait()
	_ = s.Shutdown(t.Context())
	over.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, s := range all {
		if s.calls["connected"] != 1 || s.calls["disconnected"] != 1 || s.calls["status"] < 6 || s.calls["log"] < 50 {
			t.Errorf("calls: %v", s.calls)
		}
	}
	if len(all) != n {
		t.Errorf("%d connections", len(all))
	}
}

// With ConcurrentEvents what has happened is told while other handlers run.
func TestReportsConcurrently(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.ConcurrentEvents = t.TempDir(), true
	l := listen(s)
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		l.wait(t, func(x told) bool { return x.event == "status" && strings.HasPrefix(x.text, "keys exchanged") })
		accept(e)
	}
	start(t, s)
	dial(t, s)
}

// A handler that is told of something may call back: its connection goes on meanwhile.
func TestReportsCallBack(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogDebug
	l := listen(s)
	status, log := s.SSHStatus, s.Log
	rekeyed := make(chan error, 1)
	s.SSHStatus = func(e *sftpserver.SSHStatusEvent) {
		status(e)
		if !strings.HasPrefix(e.Message, "subsystem opened") {
			return
		}
		rekeyed <- e.Conn.ExchangeKeys(context.Background())
		n := 0
		for c := range s.Connections() {
			_ = c.Info()
			n++
		}
		if n != 1 || e.Conn.User() != "alice" {
			t.Errorf("%d connections, user %q", n, e.Conn.User())
		}
	}
	s.Log = func(e *sftpserver.LogEvent) {
		log(e)
		if strings.HasPrefix(e.Message, "keys exchanged again") {
			if err := s.Disconnect(e.ConnectionID()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil { // and ends the server
				t.Error(err)
			}
		}
	}
	start(t, s)
	c := dial(t, s)
	_, _ = c.Subsystem(t.Context(), "sftp") // which may hear of the end
	if err := <-rekeyed; err != nil {
		t.Error(err)
	}
	all := l.end(t, "1")
	if !slices.ContainsFunc(of("status", all), func(s string) bool { return strings.HasPrefix(s, "disconnected: user alice") }) {
		t.Errorf("told %q", of("status", all))
	}
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("after its end by a handler: %v", err)
	}
}

// A Log handler that panics ends the connection that the line was about and no
// other; the Error handler hears of it once.
func TestLogHandlerPanics(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	l := listen(s)
	log := s.Log
	s.Log = func(e *sftpserver.LogEvent) {
		log(e)
		if e.ConnectionID() == "2" && strings.HasPrefix(e.Message, "subsystem opened") {
			panic("handler")
		}
	}
	start(t, s)
	one := connect(t, s)
	two := dial(t, s)
	_, _ = two.Subsystem(t.Context(), "sftp")
	all := l.end(t, "2")
	_ = two.Wait()
	errs := 0
	for i, x := range all {
		if p, ok := errors.AsType[*sftpserver.PanicError](x.err); ok && x.event == "error" {
			if errs++; x.conn != "2" || p.Value != "handler" || len(p.Stack) == 0 {
				t.Errorf("%d: told %+v", i, x)
			}
		}
	}
	if errs != 1 {
		t.Errorf("%d errors: %v", errs, all)
	}
	for i, x := range all {
		after := all[i+1:]
		if strings.HasPrefix(x.text, "subsystem opened") && x.event == "log" && x.conn == "2" &&
			slices.ContainsFunc(after, func(x told) bool { return x.conn == "2" && x.event == "log" }) {
			t.Errorf("Log was called again: %v", after)
		}
	}
	if p, ok := errors.AsType[*sftpserver.PanicError](all[len(all)-1].err); !ok || p.Value != "handler" {
		t.Errorf("Disconnected was told %+v", all[len(all)-1])
	}
	if _, err := one.Stat(t.Context(), "/"); err != nil {
		t.Errorf("the other connection: %v", err)
	}
}

// The log of a busy connection is bounded: what its handler cannot take in time
// is lost, is told to be, and the connection is no slower for it.
func TestLogOverflow(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogVerbose
	l := listen(s)
	log := s.Log
	wake := make(chan bool)
	s.ConcurrentEvents = true // or the handler that sleeps would hold up UserAuth
	s.Log = func(e *sftpserver.LogEvent) { <-wake; log(e) }
	start(t, s)
	c := dial(t, s)
	for range 3000 {
		if _, err := c.Request(t.Context(), "nothing@example.com", true, nil); err != nil {
			if _, no := errors.AsType[*ssh2.RequestError](err); !no {
				t.Fatal(err)
			}
		}
	}
	close(wake)
	_ = s.Disconnect("1")
	all := l.end(t, "1")
	lost := 0
	for _, x := range all {
		if e, ok := errors.AsType[*sftpserver.LostLinesError](x.err); ok && x.event == "error" {
			if lost += e.Lines; x.code != 10055 || x.conn != "1" {
				t.Errorf("told %+v", x)
			}
		}
	}
	if n := len(of("log", all)); lost < 4000 || n > 2000 || n < 700 {
		t.Errorf("%d lines, %d lost", n, lost)
	}
	if !slices.ContainsFunc(of("log", all), func(s string) bool { return strings.HasPrefix(s, "disconnected") }) {
		t.Errorf("the end is not in the log")
	}
}
