package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// dialling records what a ClientConfig.Dial is asked for.
func dialling(network, addr *string) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, n, a string) (net.Conn, error) {
		*network, *addr = n, a
		return nil, errTest
	}
}

func TestDialDefaultPort(t *testing.T) {
	for _, tc := range [][3]string{
		{"tcp", "host", "host:22"},
		{"tcp4", "host:", "host:22"},
		{"tcp6", "::1", "[::1]:22"},
		{"tcp", "[::1]", "[::1]:22"},
		{"tcp", "[::1]:2022", "[::1]:2022"},
		{"tcp", "192.0.2.1", "192.0.2.1:22"},
		{"tcp", "host:ssh", "host:ssh"},
		{"unix", "/run/ssh.sock", "/run/ssh.sock"},
	} {
		var network, addr string
		cfg := testClient()
		cfg.Dial = dialling(&network, &addr)
		if _, err := Dial(t.Context(), tc[0], tc[1], cfg); !errors.Is(err, errTest) || network != tc[0] || addr != tc[2] {
			t.Errorf("%s %s: dialled %s %s, %v", tc[0], tc[1], network, addr, err)
		}
	}
}

// listening runs s on an address of its own until the test ends.
func listenFor(t *testing.T, s *Server, network, addr string) net.Addr {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ListenAndServe(ctx, network, addr) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Errorf("ListenAndServe: %v", err)
		}
	})
	if !eventually(func() bool { return len(s.Addrs()) == 1 || len(done) > 0 }) || len(done) > 0 {
		t.Fatal("the server does not listen")
	}
	return s.Addrs()[0]
}

// connsOf returns the n connections of a server, the last of which its client may
// know to be there before the server does.
func connsOf(t *testing.T, s *Server, n int) (all []*Conn) {
	t.Helper()
	if !eventually(func() bool { all = slices.Collect(s.Conns()); return len(all) == n }) {
		t.Fatalf("%d connections, want %d", len(all), n)
	}
	return all
}

// TestDialLocalAddr: connecting from an address and a port of one's own is a
// matter of ClientConfig.Dial.
func TestDialLocalAddr(t *testing.T) {
	s := testServer(shellServer)
	addr := listenFor(t, s, "tcp", "127.0.0.1:0")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	cfg := testClient()
	cfg.Dial = (&net.Dialer{LocalAddr: from}).DialContext
	c, err := Dial(t.Context(), "tcp", addr.String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, conn := range connsOf(t, s, 1) {
		if got := conn.Info().RemoteAddr.String(); got != from.String() {
			t.Errorf("the server sees %s, want %s", got, from)
		}
	}
	if got := c.Info().LocalAddr.String(); got != from.String() {
		t.Errorf("connected from %s, want %s", got, from)
	}
}

// TestDialFamilies: networks tcp4 and tcp6 leave one family of addresses.
func TestDialFamilies(t *testing.T) {
	addr := listenFor(t, testServer(shellServer), "tcp", "127.0.0.1:0").String()
	_, port, _ := net.SplitHostPort(addr)
	c, err := Dial(t.Context(), "tcp4", "localhost:"+port, testClient())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	for network, host := range map[string]string{"tcp6": "127.0.0.1", "tcp4": "::1"} {
		_, err := Dial(t.Context(), network, net.JoinHostPort(host, port), testClient())
		if _, ok := errors.AsType[*net.OpError](err); !ok {
			t.Errorf("%s to %s: %v", network, host, err)
		}
	}
}

// TestDialErrors has the kinds of errors of not even getting to SSH.
func TestDialErrors(t *testing.T) {
	_, err := Dial(t.Context(), "tcp", "no.such.host.invalid", testClient())
	if e, ok := errors.AsType[*net.DNSError](err); !ok || e.Name != "no.such.host.invalid" {
		t.Errorf("a name that does not exist: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	cfg := testClient()
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	if _, err := Dial(ctx, "tcp", "host", cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a host that does not answer: %v", err)
	}
	// One that answers and then says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg = testClient()
	cfg.Timeouts.Ident = time.Millisecond
	_, err = Dial(t.Context(), "tcp", l.Addr().String(), cfg)
	if e, ok := errors.AsType[*TimeoutError](err); !ok {
		t.Errorf("a host that says nothing: %v, %v", err, e)
	}
}

func TestNoMoreSessions(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	if p.Info().NoMoreSessions {
		t.Error("announced by whom?")
	}
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.NoMoreSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	var no *OpenError
	if _, err := p.Session(t.Context()); !errors.As(err, &no) || no.Reason != OpenProhibited {
		t.Errorf("another session: %v", err)
	}
	if out, err := sess.Output(t.Context(), "echo x"); string(out) != "x" || err != nil {
		t.Errorf("the one that was open: %q, %v", out, err)
	}
	_ = p.close(t)
}

// TestNoMoreSessionsUnknown: not every server knows the request.
func TestNoMoreSessionsUnknown(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	got := make(chan error, 1)
	go func() { got <- c.NoMoreSessions(context.Background()) }()
	p.want("no more sessions", &msg.GlobalRequest{Name: "no-more-sessions@openssh.com", WantReply: true})
	p.send(&msg.RequestFailure{})
	if _, ok := errors.AsType[*RequestError](<-got); !ok {
		t.Error("no RequestError")
	}
	_ = c.Close()
	_ = p.close()
}

// noDelayConn is a connection that has the option.
type noDelayConn struct {
	net.Conn
	set []bool
}

func (c *noDelayConn) SetNoDelay(v bool) error { c.set = append(c.set, v); return nil }

func TestSetNoDelay(t *testing.T) {
	leakCheck(t)
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	s := testServer(shellServer)
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(context.Background(), b) }()
	nc := &noDelayConn{Conn: a}
	c, err := NewClient(t.Context(), nc, "host:22", testClient())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.SetNoDelay(false), c.SetNoDelay(true)); err != nil || !slices.Equal(nc.set, []bool{false, true}) {
		t.Errorf("%v, %v", nc.set, err)
	}
	for _, conn := range connsOf(t, s, 1) { // the server's end is no TCP
		if err := conn.SetNoDelay(true); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
	_ = c.Close()
	_ = c.Wait()
	<-end
}

func TestListenAndServe(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	if s.NumConns() != 0 || len(s.Addrs()) != 0 {
		t.Error("a server that has not started has something")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	path := filepath.Join(shortDir(t), "s")
	go func() { done <- s.ListenAndServe(ctx, "unix", path) }()
	if !eventually(func() bool { return len(s.Addrs()) == 1 }) || s.Addrs()[0].String() != path {
		t.Fatalf("listens at %v", s.Addrs())
	}
	var clients []*Client
	for range 3 {
		c, err := Dial(t.Context(), "unix", path, testClient())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	var users []string
	for _, c := range connsOf(t, s, 3) {
		users = append(users, c.User())
	}
	if s.NumConns() != 3 || strings.Join(users, "") != "uuu" {
		t.Errorf("%d connections, of %q", s.NumConns(), users)
	}
	for range s.Conns() {
		break // as one may
	}
	_ = clients[0].Close()
	if !eventually(func() bool { return s.NumConns() == 2 }) {
		t.Errorf("%d connections left", s.NumConns())
	}
	cancel()
	if err := <-done; !errors.Is(err, ErrServerClosed) {
		t.Errorf("ListenAndServe: %v", err)
	}
	for _, c := range clients {
		_ = c.Wait()
	}
	if !eventually(func() bool { return s.NumConns() == 0 }) || len(s.Addrs()) != 0 {
		t.Errorf("%d connections, %v", s.NumConns(), s.Addrs())
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
	if err := testServer(nil).ListenAndServe(t.Context(), "tcp", "no.such.host.invalid:1"); err == nil || errors.Is(err, ErrServerClosed) {
		t.Errorf("where nobody can listen: %v", err)
	}
}

// TestJumpHosts: a connection through two hosts on the way, each of which sees
// only what is encrypted for the next.
func TestJumpHosts(t *testing.T) {
	leakCheck(t)
	addrs := make([]string, 3)
	for i, name := range []string{"target", "second", "first"} {
		s := testServer(func(ctx context.Context, s *ServerSession) { fmt.Fprintf(s, "%s: ", name); shellServer(ctx, s) })
		if i > 0 {
			s.Forward.PermitOpen = addrs[i-1 : i]
		}
		addrs[i] = listenFor(t, s, "tcp", "127.0.0.1:0").String()
	}
	cfg := testClient()
	var c *Client
	for i := 2; i >= 0; i-- {
		next := *cfg
		if c != nil {
			next.Dial = c.DialContext
		}
		var err error
		var seen string
		next.HostKey = testHostKeySeen(&seen)
		if c, err = Dial(t.Context(), "tcp", addrs[i], &next); err != nil {
			t.Fatal(err)
		}
		if seen != addrs[i] {
			t.Errorf("the host key is asked for as %q", seen)
		}
		defer func(c *Client) { _ = c.Close(); _ = c.Wait() }(c)
	}
	sess, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := sess.Output(t.Context(), "echo hello"); string(out) != "target: hello" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if got := c.Info().RemoteAddr.String(); got != addrs[0] {
		t.Errorf("connected to %s", got)
	}
	if err := c.Rekey(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestJumpHostDeadline: the time limits of a connection hold when it runs through
// another.
func TestJumpHostDeadline(t *testing.T) {
	leakCheck(t)
	addr := serveTCP(t, func(nc net.Conn) { _, _ = nc.Read(make([]byte, 1)); <-t.Context().Done() }) // never says who it is
	hop := forwardPair(t, ForwardPolicy{PermitOpen: []string{addr}})
	cfg := testClient()
	cfg.Dial = hop.DialContext
	cfg.Timeouts.Ident = 10 * time.Millisecond
	_, err := Dial(t.Context(), "tcp", addr, cfg)
	if _, ok := errors.AsType[*TimeoutError](err); !ok {
		t.Errorf("%v, want a TimeoutError", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	cfg.Timeouts.Ident = 0
	if _, err := Dial(ctx, "tcp", addr, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's", err)
	}
}
