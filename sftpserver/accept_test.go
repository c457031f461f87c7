package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// lives keeps what the events of connections told.
type lives struct {
	mu        sync.Mutex
	requested int
	connected map[string]int
	ended     map[string][]*sftpserver.DisconnectedEvent
	each      chan *sftpserver.DisconnectedEvent
}

// watch sets the events of connections. What is set already is called by them.
func watch(s *sftpserver.Server) *lives {
	l := &lives{connected: map[string]int{}, ended: map[string][]*sftpserver.DisconnectedEvent{}, each: make(chan *sftpserver.DisconnectedEvent, 100)}
	request, connected, ended := s.ConnectionRequest, s.Connected, s.Disconnected
	s.ConnectionRequest = func(e *sftpserver.ConnectionRequestEvent) {
		l.mu.Lock()
		l.requested++
		l.mu.Unlock()
		if request != nil {
			request(e)
		}
	}
	s.Connected = func(e *sftpserver.ConnectedEvent) {
		l.mu.Lock()
		l.connected[e.ConnectionID()]++
		l.mu.Unlock()
		if connected != nil {
			connected(e)
		}
	}
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		if ended != nil {
			ended(e)
		}
		l.mu.Lock()
		l.ended[e.ConnectionID()] = append(l.ended[e.ConnectionID()], e)
		l.mu.Unlock()
		l.each <- e
	}
	return l
}

// once checks that each Connected had one Disconnected, and that there were n.
func (l *lives) once(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.connected) != n || len(l.ended) != n {
		t.Errorf("%d connected, %d disconnected, want %d", len(l.connected), len(l.ended), n)
	}
	for id, c := range l.connected {
		if c != 1 || len(l.ended[id]) != 1 {
			t.Errorf("%s: connected %d times, disconnected %d", id, c, len(l.ended[id]))
		}
	}
}

// TestMaxConnections: the one beyond is told why, counted and reported; when one leaves there is room again.
func TestMaxConnections(t *testing.T) {
	noneLeft(t)
	s := sftpserver.New()
	s.MaxConnections = 2
	l := watch(s)
	told := make(chan error, 10)
	s.Error = func(e *sftpserver.ErrorEvent) {
		if errors.Is(e.Err, sftpserver.ErrTooManyConnections) {
			told <- e.Err
		}
	}
	start(t, s)
	one, _ := dial(t, s), dial(t, s)
	for range 3 {
		_, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{User: "alice", HostKey: gossh.InsecureIgnoreHostKey()})
		d, ok := errors.AsType[*ssh2.DisconnectError](err)
		if !ok || !d.Remote || d.Reason != uint32(ssh2.DisconnectTooManyConnections) || d.Text != "too many connections" {
			t.Errorf("the third client got %v", err)
		}
	}
	if n := s.Refused(); n != 3 {
		t.Errorf("%d refused, want 3", n)
	}
	if err := <-told; !strings.Contains(err.Error(), "1 refused") { // the others within the same second
		t.Error(err)
	}
	_ = one.Close()
	<-l.each
	for { // Disconnected comes before the place is free
		c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			_ = c.Close()
			break
		}
		if _, ok := errors.AsType[*ssh2.DisconnectError](err); !ok {
			t.Fatal(err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	l.once(t, 3)
	if l.requested != 3 {
		t.Errorf("%d were asked about", l.requested)
	}
}

// TestMaxConnectionsCrowd: thousands beyond the limit get no goroutine each, and nobody waits for them.
func TestMaxConnectionsCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sftpserver.New()
		s.MaxConnections = 1
		s.HostKeys = []gossh.Signer{newKey(t)}
		m := newMemory()
		if err := s.Serve(m); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var clients []net.Conn
		for range 3000 {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			clients = append(clients, a)
			m.conns <- b
		}
		synctest.Wait()
		if s.Refused() != 2999 {
			t.Errorf("%d refused", s.Refused())
		}
		told := 0
		for _, c := range clients[1:] {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if n, _ := c.Read(make([]byte, 1)); n > 0 {
				told++
			}
		}
		if told == 0 || told > 32 {
			t.Errorf("%d were told why", told)
		}
		time.Sleep(2 * time.Second) // those that were told have gone
	})
}

// TestConnectionRequest: address, port, and accept, preset by the lists; the handler has the last word. Who is refused has neither Connected nor Disconnected.
func TestConnectionRequest(t *testing.T) {
	for _, tt := range []struct {
		name             string
		allowed, blocked []string
		handler          func(*sftpserver.ConnectionRequestEvent)
		preset, ok       bool
	}{
		{"nothing set", nil, nil, nil, true, true},
		{"vetoed", nil, nil, func(e *sftpserver.ConnectionRequestEvent) { e.Accept = false }, true, false},
		{"AllowedClients has it", []string{"127.0.0.0/8"}, nil, nil, true, true},
		{"AllowedClients lacks it", []string{"192.0.2.*"}, nil, nil, false, false},
		{"AllowedClients lacks it, the handler accepts", []string{"192.0.2.*"}, nil, func(e *sftpserver.ConnectionRequestEvent) { e.Accept = true }, false, true},
		{"BlockedClients has it", nil, []string{"127.*"}, nil, false, false},
		{"BlockedClients wins", []string{"127.0.0.1"}, []string{"127.0.0.1"}, nil, false, false},
		{"the handler panics", nil, nil, func(*sftpserver.ConnectionRequestEvent) { panic("a mistake") }, true, false},
	} {
		noneLeft(t)
		s := sftpserver.New()
		s.AllowedClients, s.BlockedClients = tt.allowed, tt.blocked
		var addr string
		s.ConnectionRequest = func(e *sftpserver.ConnectionRequestEvent) {
			addr = (&net.TCPAddr{IP: net.ParseIP(e.Address), Port: e.Port}).String()
			if e.Accept != tt.preset {
				t.Errorf("%s: preset %v", tt.name, e.Accept)
			}
			if tt.handler != nil {
				tt.handler(e)
			}
		}
		l := watch(s)
		start(t, s)
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := nc.Read(make([]byte, 1))
		if (n == 1) != tt.ok || n == 0 && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: read %d, %v", tt.name, n, err)
		}
		_ = nc.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if addr != nc.LocalAddr().String() {
			t.Errorf("%s: asked about %s, not %s", tt.name, addr, nc.LocalAddr())
		}
		want := 0
		if tt.ok {
			want = 1
		}
		l.once(t, want)
	}
}

// TestConnectedHostKeys: a connection can be shown another host key; the server then needs none of its own.
func TestConnectedHostKeys(t *testing.T) {
	own, other := newKey(t), ecKey(t)
	for _, tt := range []struct{ server, event, want gossh.Signer }{{own, nil, own}, {own, other, other}, {nil, other, other}} {
		s := sftpserver.New()
		s.LocalHost, s.LocalPort, s.UserAuth = "127.0.0.1", 0, accept
		if tt.server != nil {
			s.HostKeys = []gossh.Signer{tt.server}
		}
		s.Connected = func(e *sftpserver.ConnectedEvent) {
			if e.StatusCode != 0 || e.Description != "OK" || e.ConnectionID() != "1" || e.Conn.User() != "" {
				t.Errorf("%+v", e)
			}
			if tt.event != nil {
				e.HostKeys = []gossh.Signer{tt.event}
			}
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := dial(t, s)
		if got := string(c.Info().HostKey.Marshal()); got != string(tt.want.PublicKey().Marshal()) {
			t.Errorf("the client saw %q", got)
		}
		_ = s.Close()
	}
}

// brokenSocket is a connection whose socket takes no option.
type brokenSocket struct{ *netsim.Conn }

func (brokenSocket) SetNoDelay(bool) error                        { return syscall.EINVAL }
func (brokenSocket) SetReadBuffer(int) error                      { return syscall.ENOBUFS }
func (brokenSocket) SetWriteBuffer(int) error                     { return nil }
func (brokenSocket) SetKeepAliveConfig(net.KeepAliveConfig) error { return nil }

// TestConnectedSetUpFails: Connected has the number of what failed, and so has Disconnected.
func TestConnectedSetUpFails(t *testing.T) {
	noneLeft(t)
	s := sftpserver.New()
	s.HostKeys = []gossh.Signer{newKey(t)}
	s.InBufferSize = 1 << 20
	s.Connected = func(e *sftpserver.ConnectedEvent) {
		if e.StatusCode != 10055 || e.Description == "OK" {
			t.Errorf("%+v", e)
		}
	}
	l := watch(s)
	m := newMemory()
	if err := s.Serve(m); err != nil {
		t.Fatal(err)
	}
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	m.conns <- brokenSocket{b}
	if e := <-l.each; e.StatusCode != 10055 || sftpserver.ErrorCode(e.Err) != 10055 || e.Description == "OK" {
		t.Errorf("%+v", e)
	}
	if got, err := io.ReadAll(a); len(got) > 0 || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	_ = s.Close()
	l.once(t, 1)
}

// TestDisconnected: once for each Connected; 0 and OK if the client left or was sent away, number and text otherwise.
func TestDisconnected(t *testing.T) {
	noneLeft(t)
	s := sftpserver.New()
	tree(s)
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		if e.User == "panic" && e.Method == "password" {
			panic("a mistake")
		}
		accept(e)
	}
	l := watch(s)
	s.SSHKeepAliveInterval = -1
	start(t, s)
	tcp := func() *net.TCPConn {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return nc.(*net.TCPConn)
	}
	n := 0
	for _, tt := range []struct {
		name string
		end  func()
		code int
		err  func(error) bool
	}{
		{"the client closes", func() { _ = dial(t, s).Close() }, 0, nil},
		{"the client says goodbye", func() { _ = dial(t, s).Disconnect(ssh2.DisconnectByApplication, "bye") }, 0, nil},
		{"the client gives up", func() { _ = dial(t, s).Disconnect(ssh2.DisconnectAuthCancelled, "bye") }, 0, nil},
		{"the client finds fault", func() { _ = dial(t, s).Disconnect(ssh2.DisconnectMACError, "what is that") }, 10054, func(err error) bool {
			d, ok := errors.AsType[*ssh2.DisconnectError](err)
			return ok && d.Remote
		}},
		{"the client goes before its ident", func() { _ = tcp().Close() }, -1, nil}, // with or without a reset
		{"the client resets", func() {
			nc := tcp()
			_, _ = fmt.Fprintf(nc, "SSH-2.0-x\r\n")
			_ = nc.SetLinger(0)
			_ = nc.Close()
		}, -1, nil},
		{"no ident", func() {
			nc := tcp()
			_, _ = fmt.Fprintf(nc, "GET / HTTP/1.1\r\n")
			_, _ = io.ReadAll(nc)
			_ = nc.Close()
		}, 10053, func(err error) bool { _, ok := errors.AsType[*ssh2.ProtocolError](err); return ok }},
		{"not logged in", func() { _, _, _ = login(t, s, "alice", ssh2.Password("wrong")) }, 1300, func(err error) bool {
			return errors.Is(err, &sftpserver.Error{Code: sftpserver.CodeAuth})
		}},
		{"a handler panics", func() { _, _, _ = login(t, s, "panic", ssh2.Password("secret")) }, 10053, func(err error) bool {
			_, ok := errors.AsType[*sftpserver.PanicError](err)
			return ok
		}},
		{"sent away", func() {
			_ = dial(t, s)
			for c := range s.Connections() {
				_ = s.Disconnect(c.ID())
			}
		}, 0, nil},
		{"sent away by a setting", func() {
			_ = dial(t, s)
			for c := range s.Connections() {
				_, _ = s.Config("SFTPConnectionConnected[" + c.ID() + "]=False")
			}
		}, 0, nil},
	} {
		tt.end()
		n++
		e := <-l.each
		switch {
		case tt.code == -1:
			if e.StatusCode != 0 && e.StatusCode != 10054 {
				t.Errorf("%s: %d %s", tt.name, e.StatusCode, e.Description)
			}
		case e.StatusCode != tt.code || (e.Err == nil) != (tt.code == 0) || (e.Description == "OK") != (tt.code == 0) || tt.err != nil && !tt.err(e.Err):
			t.Errorf("%s: %d %s, %v", tt.name, e.StatusCode, e.Description, e.Err)
		}
		if e.Conn.Connected() {
			t.Errorf("%s: still connected", tt.name)
		}
	}
	if err := s.Disconnect("1"); !errors.Is(err, sftpserver.ErrUnknownConnection) {
		t.Errorf("disconnect of one that has left: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	l.once(t, n)
}

// TestAcceptFails: the loop goes on after failures, more and more slowly, and Close does not wait for it.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sftpserver.New()
		s.HostKeys = []gossh.Signer{newKey(t)}
		var told atomic.Int32
		s.Error = func(e *sftpserver.ErrorEvent) {
			told.Add(1)
			if e.Code != 10024 || e.Conn != nil {
				t.Errorf("told %+v", e)
			}
		}
		l := watch(s)
		m := newMemory()
		for range 20 {
			m.conns <- error(&net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		if err := s.Serve(m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if n := told.Load(); n < 5 || n > 12 {
			t.Errorf("%d failures in 3 s", n)
		}
		began := time.Now()
		if err := s.Close(); err != nil || s.Listening() || time.Since(began) > 0 {
			t.Errorf("closed after %v: %v", time.Since(began), err)
		}
		l.once(t, 0)
	})
}

// TestSlowHandlers: a handler that takes its time holds up its own connection and nobody else.
func TestSlowHandlers(t *testing.T) {
	noneLeft(t)
	for _, slow := range []string{"ConnectionRequest", "Connected", "Disconnected", "Error"} {
		s := sftpserver.New()
		tree(s)
		hold, held := make(chan struct{}), make(chan struct{}, 10)
		var first atomic.Bool
		wait := func(what string) {
			if what == slow && first.CompareAndSwap(false, true) {
				held <- struct{}{}
				<-hold
			}
		}
		s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { wait("ConnectionRequest") }
		s.Connected = func(*sftpserver.ConnectedEvent) { wait("Connected") }
		s.Disconnected = func(*sftpserver.DisconnectedEvent) { wait("Disconnected") }
		s.Error = func(*sftpserver.ErrorEvent) { wait("Error") }
		start(t, s)
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(nc, "no ident at all\r\n") // an error that is told
		_ = nc.(*net.TCPConn).CloseWrite()
		<-held
		c := connect(t, s)
		if _, err := c.RealPath(t.Context(), "."); err != nil {
			t.Errorf("%s: %v", slow, err)
		}
		if err := s.StopListening(); err != nil {
			t.Errorf("%s: %v", slow, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", slow, err)
		}
		close(hold)
		_ = nc.Close()
	}
}
