package ssh2

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestAgentEndsWithItsSessions: a server that keeps an agent channel open cannot
// use the agent when the last session that lent it has ended.
func TestAgentEndsWithItsSessions(t *testing.T) {
	leakCheck(t)
	for name, lend := range map[string]func(*testing.T, *pair) error{
		"agent": func(t *testing.T, p *pair) error { return p.ForwardAgent(testKeyring(t)) },
		"conn": func(_ *testing.T, p *pair) error {
			return p.ForwardAgentTo(func(context.Context) (io.ReadWriteCloser, error) {
				ours, theirs := net.Pipe()
				go func() { _, _ = io.Copy(theirs, theirs) }() // ends with ours
				return ours, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := make(chan *ServerSession, 1)
			p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
			defer p.close(t)
			if err := lend(t, p); err != nil {
				t.Fatal(err)
			}
			first, _ := startAgent(t, p, sessions)
			second, ss := startAgent(t, p, sessions)
			// By hand, since ServerSession.OpenAgent closes it itself.
			ch, err := ss.Conn().Open(t.Context(), agentChannel, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ch.Close()
			_ = second.Close()
			if _, err := ch.Write([]byte{0, 0, 0, 1, 11}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(ch, make([]byte, 5)); err != nil {
				t.Fatalf("with a session left: %v", err)
			}
			_ = first.Close()
			_ = ch.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, ch); errors.Is(err, context.DeadlineExceeded) || ch.Context().Err() == nil {
				t.Errorf("the agent is still there: %v", err)
			}
		})
	}
}

// TestX11DisplayOnBothFamilies: programs may try either address of localhost, and
// must not find somebody else there, who would see the cookie.
func TestX11DisplayOnBothFamilies(t *testing.T) {
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here, so there is one family only: %v", err)
		l, _, err := listenX11(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return
	}
	_ = probe.Close()
	l, number, err := listenX11(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, host := range []string{"127.0.0.1", "::1"} {
		nc, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(x11Port+number)))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = nc.Close()
		if nc, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	// Somebody has the one address of the next number that is free.
	var other net.Listener
	taken := number + 1
	for ; ; taken++ {
		if other, err = net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(x11Port+taken))); err == nil {
			break
		}
	}
	defer other.Close()
	next, got, err := listenX11(t.Context(), taken)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got == taken {
		t.Errorf("display %d, half of which is somebody else's", got)
	}
}

// TestClosedIsNetErrClosed: what works with net.Conns knows what happened.
func TestClosedIsNetErrClosed(t *testing.T) {
	for _, err := range []error{ErrChannelClosed, ErrClosed} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v is not net.ErrClosed", err)
		}
	}
	if errors.Is(ErrChannelClosed, ErrClosed) || errors.Is(ErrClosed, ErrChannelClosed) {
		t.Error("two errors are one")
	}
}

// TestReadDeadlineIsMonotonic: the timer that wakes a reader and the look at the
// clock that follows go by one clock, or the reader might find that it is too
// early and sleep for ever.
func TestReadDeadlineIsMonotonic(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	s, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Round(0).Add(time.Hour)
	_ = s.ch.SetReadDeadline(at)
	s.ch.mu.Lock()
	got := s.ch.deadline
	s.ch.mu.Unlock()
	if !strings.Contains(got.String(), " m=") || got.Sub(at).Abs() > time.Minute {
		t.Errorf("deadline %v, want %v with a monotonic clock", got, at)
	}
}

// TestOriginWithoutAddress: an address without an IP is told as none.
func TestOriginWithoutAddress(t *testing.T) {
	for _, a := range []*net.TCPAddr{{Port: 7}, nil} {
		want := HostPort{}
		if a != nil {
			want.Port = a.Port
		}
		if got := hostPort(a); got != want {
			t.Errorf("%v is told as %+v, want %+v", a, got, want)
		}
	}
}

// TestCVE_11_8_CloudAddresses: more of those by which clouds tell a machine its
// secrets.
func TestCVE_11_8_CloudAddresses(t *testing.T) {
	for _, ip := range []string{"168.63.129.16", "fd20:ce::254", "fd00:42::42"} {
		if !isSpecial(netip.MustParseAddr(ip)) {
			t.Errorf("* means %s", ip)
		}
	}
}

// brokenListener fails some times before it is closed.
type brokenListener struct {
	net.Listener
	fails int
}

type passing struct{ error }

func (passing) Temporary() bool { return true }
func (passing) Timeout() bool   { return false }

func (l *brokenListener) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, &net.OpError{Op: "accept", Err: passing{errTest}}
	}
	return l.Listener.Accept()
}

// TestSessionListenersBearFaults: a lack of descriptors that passes does not take
// the agent or the display from a session for good.
func TestSessionListenersBearFaults(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	if err := p.ForwardAgent(testKeyring(t)); err != nil {
		t.Fatal(err)
	}
	_, ss := startAgent(t, p, sessions)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sl := ss.listen(&brokenListener{l, 3}, 1, func(net.Conn) (*Channel, error) { return ss.OpenAgent(t.Context()) }, func() {})
	defer sl.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write([]byte{0, 0, 0, 1, 11}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 5)); err != nil {
		t.Errorf("after faults: %v", err)
	}
}

// textOf collects the values of a log as they are handed over.
type textOf struct{ got chan<- string }

func (textOf) Enabled(context.Context, slog.Level) bool { return true }
func (h textOf) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		h.got <- a.Value.String()
	}
	return h
}
func (h textOf) WithGroup(string) slog.Handler { return h }
func (h textOf) Handle(_ context.Context, r slog.Record) error {
	h.got <- r.Message
	r.Attrs(func(a slog.Attr) bool { h.got <- a.Value.String(); return true })
	return nil
}

// TestForwardLogsAreQuoted: what a client names does not get into logs as it is,
// not by way of errors either.
func TestForwardLogsAreQuoted(t *testing.T) {
	leakCheck(t)
	got := make(chan string, 1000)
	s := testServer(nil)
	s.Log = slog.New(textOf{got})
	s.Forward.DialTCP = func(_ context.Context, _ *Conn, to, _ HostPort) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: to.Host}
	}
	s.Forward.ListenUnix = func(_ context.Context, _ *Conn, path string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Addr: unixAddr(path), Err: errTest}
	}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	if _, err := p.Dial("tcp", "evil\nroot logged in:80"); err == nil {
		t.Error("connected")
	}
	if _, err := p.Listen(t.Context(), "unix", "/evil\nroot logged in"); err == nil {
		t.Error("listens")
	}
	p.close(t)
	close(got)
	evil := 0
	for s := range got {
		if strings.Contains(s, "evil") {
			evil++
		}
		if strings.Contains(s, "\n") {
			t.Errorf("logged: %q", s)
		}
	}
	if evil < 2 {
		t.Errorf("%d mentions: the test sees nothing", evil)
	}
}
