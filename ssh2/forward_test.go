package ssh2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// serveTCP runs serve for each connection to an address of its own, and returns
// the address.
func serveTCP(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, serve)
	return l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				serve(nc)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// echoAll answers with everything it got, once it got everything.
func echoAll(nc net.Conn) {
	b, _ := io.ReadAll(nc)
	_, _ = nc.Write(b)
}

// roundTrip sends b, ends its direction and returns what comes back until the end.
func roundTrip(nc net.Conn, b []byte) ([]byte, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(b)
		if err == nil {
			err = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(nc)
	return got, errors.Join(err, <-sent)
}

// pattern returns n octets that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func forwardServer(p ForwardPolicy) *Server {
	s := testServer(shellServer)
	s.Forward = p
	return s
}

func forwardPair(t *testing.T, p ForwardPolicy) *pair {
	t.Helper()
	c := dialPair(t, forwardServer(p), testClient(), netsim.Link{}, netsim.Link{})
	t.Cleanup(func() { _ = c.close(t) })
	return c
}

func TestDialContextTCP(t *testing.T) {
	leakCheck(t)
	addr := serveTCP(t, echoAll)
	c := forwardPair(t, ForwardPolicy{PermitOpen: []string{addr}})
	nc, err := c.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.RemoteAddr().String() != addr || nc.RemoteAddr().Network() != "tcp" || nc.LocalAddr().String() != "127.0.0.1:0" {
		t.Errorf("addresses %v and %v", nc.LocalAddr(), nc.RemoteAddr())
	}
	want := pattern(3 << 20) // more than the window
	if got, err := roundTrip(nc, want); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets came back, %v", len(got), err)
	}
	for _, network := range []string{"tcp4", "tcp6", "udp"} {
		nc, err := c.DialContext(t.Context(), network, addr)
		if (err == nil) != (network == "tcp4") {
			t.Errorf("%s: %v", network, err)
		}
		if err == nil {
			_ = nc.Close()
		}
	}
	if _, err := c.DialContext(t.Context(), "tcp", "127.0.0.1"); err == nil {
		t.Error("an address without a port is dialled")
	}
}

func TestDialContextDeadline(t *testing.T) {
	leakCheck(t)
	addr := serveTCP(t, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	c := forwardPair(t, ForwardPolicy{PermitOpen: []string{addr}})
	nc, err := c.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err = nc.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v", err)
	}
	_ = nc.SetReadDeadline(time.Time{})
	if err := nc.Close(); err != nil {
		t.Error(err)
	}
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// TestDialContextRefused has what clients learn from a server about targets.
func TestDialContextRefused(t *testing.T) {
	leakCheck(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	c := forwardPair(t, ForwardPolicy{PermitOpen: []string{closed, "no.such.host.invalid:1"}})
	for _, tc := range []struct {
		addr   string
		reason OpenReason
		text   string
	}{
		{closed, OpenConnectFailed, "connection refused"},
		{"127.0.0.1:1", OpenProhibited, "not permitted"},
		{"no.such.host.invalid:1", OpenConnectFailed, "name not resolved"},
	} {
		_, err := c.DialContext(t.Context(), "tcp", tc.addr)
		var refused *OpenError
		if !errors.As(err, &refused) || refused.Reason != tc.reason || refused.Text != tc.text {
			t.Errorf("%s: %v", tc.addr, err)
		}
	}
}

// bindRows are the addresses of RFC 4254 section 7.1, with where a listener on
// them must be reached and where it must not.
var bindRows = []struct {
	host        string
	reach, miss []string
}{
	{"", []string{"127.0.0.1", "::1"}, nil},
	{"0.0.0.0", []string{"127.0.0.1"}, []string{"::1"}},
	{"::", []string{"::1"}, []string{"127.0.0.1"}},
	{"localhost", []string{"127.0.0.1", "::1"}, []string{"127.0.0.2"}},
	{"127.0.0.1", []string{"127.0.0.1"}, []string{"::1", "127.0.0.2"}},
	{"::1", []string{"::1"}, []string{"127.0.0.1"}},
}

// haveIPv6 tells whether this machine can listen on ::1.
func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func TestListenTCP(t *testing.T) {
	for _, row := range bindRows {
		t.Run("address "+strconv.Quote(row.host), func(t *testing.T) {
			if strings.Contains(row.host, ":") && !haveIPv6() {
				return // the wire is tested in TestListenAddressesAsWritten
			}
			leakCheck(t)
			c := forwardPair(t, ForwardPolicy{PermitListen: []string{"*:*"}, GatewayPorts: true})
			l, err := c.Listen(t.Context(), "tcp", net.JoinHostPort(row.host, "0"))
			if err != nil {
				t.Fatal(err)
			}
			port := l.(*Listener).Port()
			if want := net.JoinHostPort(row.host, strconv.Itoa(port)); port == 0 || l.Addr().String() != want {
				t.Errorf("address %v, want %v", l.Addr(), want)
			}
			accepted := make(chan net.Conn, 10)
			go func() {
				defer close(accepted)
				for {
					nc, err := l.Accept()
					if err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
					accepted <- nc
					go func() { echoAll(nc); _ = nc.(*forwardConn).CloseWrite() }()
				}
			}()
			for _, host := range row.reach {
				if strings.Contains(host, ":") && !haveIPv6() {
					continue
				}
				nc, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
				if err != nil {
					t.Errorf("%s does not reach it: %v", host, err)
					continue
				}
				want := pattern(100_000)
				if got, err := roundTrip(nc, want); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d octets came back, %v", host, len(got), err)
				}
				in := <-accepted
				if in.RemoteAddr().String() != nc.LocalAddr().String() || hostPort(in.LocalAddr()) != (HostPort{row.host, port}) {
					t.Errorf("addresses %v and %v, want %v and %v", in.LocalAddr(), in.RemoteAddr(), l.Addr(), nc.LocalAddr())
				}
				_ = nc.Close()
				_ = in.Close()
			}
			for _, host := range row.miss {
				if nc, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
					_ = nc.Close()
					t.Errorf("%s reaches it", host)
				}
			}
			if err := l.(*Listener).Cancel(t.Context()); err != nil {
				t.Error(err)
			}
			if _, ok := <-accepted; ok {
				t.Error("something was accepted after Cancel")
			}
			if nc, err := net.Dial("tcp", net.JoinHostPort(row.reach[0], strconv.Itoa(port))); err == nil {
				_ = nc.Close()
				t.Error("the server still listens")
			}
		})
	}
}

// TestListenCloseLeavesConnections: Close ends the accepting, not what was accepted.
func TestListenCloseLeavesConnections(t *testing.T) {
	leakCheck(t)
	c := forwardPair(t, ForwardPolicy{PermitListen: []string{"localhost:*"}})
	l, err := c.Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", l.(*Listener).Port())
	out, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		failed <- err
	}()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	go func() { echoAll(in); _ = in.(*forwardConn).CloseWrite() }()
	if got, err := roundTrip(out, []byte("still here")); string(got) != "still here" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	again, err := c.Listen(t.Context(), "tcp", "localhost:"+strconv.Itoa(l.(*Listener).Port()))
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	_ = again.Close()
}

func TestUnixBothWays(t *testing.T) {
	needUnixSockets(t)
	leakCheck(t)
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	c := forwardPair(t, ForwardPolicy{PermitSockets: []string{path}, Sockets: SocketDir{Path: dir}})
	l, err := c.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if a := l.Addr(); a.Network() != "unix" || a.String() != path {
		t.Errorf("listens at %v", a)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if nc.LocalAddr().String() != path || nc.LocalAddr().Network() != "unix" {
				t.Errorf("came in at %v", nc.LocalAddr())
			}
			go func() { defer nc.Close(); echoAll(nc) }()
		}
	}()
	nc, err := c.DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a := nc.RemoteAddr(); a.Network() != "unix" || a.String() != path {
		t.Errorf("connected to %v", a)
	}
	want := pattern(1 << 20)
	if got, err := roundTrip(nc, want); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets came back, %v", len(got), err)
	}
	if err := l.(*Listener).Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	var refused *RequestError
	if _, err := c.Listen(t.Context(), "unix", filepath.Join(dir, "..", "s")); !errors.As(err, &refused) {
		t.Errorf("outside of the directory: %v", err)
	}
	var open *OpenError
	if _, err := c.DialContext(t.Context(), "unix", filepath.Join(dir, "other")); !errors.As(err, &open) || open.Reason != OpenProhibited {
		t.Errorf("another socket: %v", err)
	}
}

// TestForwardEndsWithTheConnection: no listener, goroutine or socket stays.
func TestForwardEndsWithTheConnection(t *testing.T) {
	needUnixSockets(t)
	leakCheck(t)
	dir := shortDir(t)
	addr := serveTCP(t, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	s := forwardServer(ForwardPolicy{PermitOpen: []string{addr}, PermitListen: []string{"localhost:*"}, Sockets: SocketDir{Path: dir}})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	l, err := p.Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := p.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.(*Listener).Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	p.a.Cut()
	if err := <-p.end; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Log(err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.(*Listener).Port())); err == nil {
		_ = nc.Close()
		t.Error("the server still listens")
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read from a connection that was cut off: %v", err)
	}
	for _, l := range []net.Listener{l, u} {
		if _, err := l.Accept(); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after the connection has ended: %v", err)
		}
		_ = l.Close()
	}
	if _, err := p.Listen(t.Context(), "tcp", "localhost:0"); err == nil {
		t.Error("Listen on a connection that has ended")
	}
	_ = p.Client.Close()
	_ = p.Client.Wait()
}
