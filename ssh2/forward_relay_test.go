package ssh2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// A target is what a server of these tests connects forwarded connections to:
// two streams with a bound, each of which can be closed.
type target struct {
	in, out *half // in is what the client sends
	half    bool  // the server's end has CloseWrite
	once    sync.Once
	closed  chan struct{} // the server has closed its end
}

// half is a bounded stream.
type half struct {
	mu   sync.Mutex
	cond *sync.Cond
	buf  []byte
	end  error // of reading, once buf is empty
	dead error // of writing
}

const halfSize = 64 << 10

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 && h.end == nil {
		h.cond.Wait()
	}
	if len(h.buf) == 0 {
		return 0, h.end
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.cond.Broadcast()
	return n, nil
}

func (h *half) Write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		for len(h.buf) == halfSize && h.dead == nil {
			h.cond.Wait()
		}
		if h.dead != nil {
			return n, h.dead
		}
		m := min(len(p), halfSize-len(h.buf))
		h.buf = append(h.buf, p[:m]...)
		p, n = p[m:], n+m
		h.cond.Broadcast()
	}
	return n, nil
}

// stop ends the reading and the writing.
func (h *half) stop(end, dead error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end == nil {
		h.end = end
	}
	if h.dead == nil {
		h.dead = dead
	}
	h.cond.Broadcast()
}

func newTarget(half bool) *target {
	return &target{in: newHalf(), out: newHalf(), half: half, closed: make(chan struct{})}
}

// conn is the server's end.
func (g *target) conn() net.Conn {
	a, b := net.Pipe() // for what nobody calls here
	_ = b.Close()
	c := &targetConn{a, g}
	if g.half {
		return &halfConn{c}
	}
	return c
}

type targetConn struct {
	net.Conn
	g *target
}

func (c *targetConn) Read(p []byte) (int, error)  { return c.g.out.Read(p) }
func (c *targetConn) Write(p []byte) (int, error) { return c.g.in.Write(p) }
func (c *targetConn) Close() error {
	c.g.once.Do(func() {
		c.g.in.stop(io.EOF, net.ErrClosed)
		c.g.out.stop(net.ErrClosed, net.ErrClosed)
		close(c.g.closed)
	})
	return nil
}

type halfConn struct{ *targetConn }

func (c *halfConn) CloseWrite() error { c.g.in.stop(io.EOF, net.ErrClosed); return nil }

// reset is what the other side's crash looks like to the server.
func (g *target) reset() {
	g.in.stop(errTest, errTest)
	g.out.stop(errTest, errTest)
}

// relayTest runs body with a connection forwarded to g.
func relayTest(t *testing.T, half bool, body func(t *testing.T, p *pair, nc *forwardConn, g *target)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		leakCheck(t)
		g := newTarget(half)
		s := forwardServer(ForwardPolicy{DialTCP: func(context.Context, *Conn, HostPort, HostPort) (net.Conn, error) { return g.conn(), nil }})
		link := netsim.Link{Delay: 10 * time.Millisecond}
		p := dialPair(t, s, testClient(), link, link)
		nc, err := p.DialContext(t.Context(), "tcp", "h:1")
		if err != nil {
			t.Fatal(err)
		}
		body(t, p, nc.(*forwardConn), g)
		<-g.closed
		_ = p.close(t)
	})
}

// TestRelayClientEndsFirst: the client says all it has to say, then listens.
func TestRelayClientEndsFirst(t *testing.T) {
	relayTest(t, true, func(t *testing.T, _ *pair, nc *forwardConn, g *target) {
		want := pattern(300_000)
		go func() { _, _ = nc.Write(want); _ = nc.CloseWrite() }()
		got, err := io.ReadAll(g.in)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets arrived, %v", len(got), err)
		}
		time.Sleep(time.Hour) // the other direction may be quiet for as long as it likes
		go func() { _, _ = g.out.Write(want); g.out.stop(io.EOF, nil) }()
		if got, err := io.ReadAll(nc); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets came back, %v", len(got), err)
		}
		_ = nc.Close()
	})
}

// TestRelayTargetEndsFirst: the other way round.
func TestRelayTargetEndsFirst(t *testing.T) {
	relayTest(t, true, func(t *testing.T, _ *pair, nc *forwardConn, g *target) {
		want := pattern(300_000)
		go func() { _, _ = g.out.Write(want); g.out.stop(io.EOF, nil) }()
		if got, err := io.ReadAll(nc); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets arrived, %v", len(got), err)
		}
		time.Sleep(time.Hour)
		go func() { _, _ = nc.Write(want); _ = nc.CloseWrite() }()
		if got, err := io.ReadAll(g.in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets came back, %v", len(got), err)
		}
	})
}

// TestRelayCloseLosesNothing: a client that writes and closes has written. The
// other side's end is closed at most a second after it has taken everything.
func TestRelayCloseLosesNothing(t *testing.T) {
	relayTest(t, true, func(t *testing.T, _ *pair, nc *forwardConn, g *target) {
		want := pattern(1 << 20)
		if _, err := nc.Write(want); err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
		time.Sleep(time.Minute) // slow, but not dead
		start := time.Now()
		if got, err := io.ReadAll(g.in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets arrived, %v", len(got), err)
		}
		<-g.closed
		if d := time.Since(start); d > linger {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestRelayWithoutHalfClose: a target that has no half-close learns of the
// client's end by being closed.
func TestRelayWithoutHalfClose(t *testing.T) {
	relayTest(t, false, func(t *testing.T, _ *pair, nc *forwardConn, g *target) {
		_, _ = nc.Write([]byte("x"))
		_ = nc.CloseWrite()
		if got, err := io.ReadAll(g.in); err != nil || string(got) != "x" {
			t.Errorf("%q, %v", got, err)
		}
		<-g.closed
		_, _ = nc.Read(make([]byte, 1))
		_ = nc.Close()
	})
}

// TestRelayTargetDies: the client learns that its connection is broken, and does
// not wait for a window that nobody opens.
func TestRelayTargetDies(t *testing.T) {
	relayTest(t, true, func(t *testing.T, _ *pair, nc *forwardConn, g *target) {
		written := make(chan error, 1)
		go func() {
			for {
				if _, err := nc.Write(make([]byte, 1<<20)); err != nil {
					written <- err
					return
				}
			}
		}()
		time.Sleep(time.Second) // the window is used up
		g.reset()
		if err := <-written; !errors.Is(err, ErrChannelClosed) {
			t.Errorf("write: %v", err)
		}
		_ = nc.Close()
	})
}

// TestRelayBackPressure: what nobody takes is not read.
func TestRelayBackPressure(t *testing.T) {
	relayTest(t, true, func(t *testing.T, p *pair, nc *forwardConn, g *target) {
		var sent int
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				n, err := g.out.Write(make([]byte, 32<<10))
				sent += n
				if err != nil {
					return
				}
				time.Sleep(time.Millisecond) // or else no time would pass while all is discarded
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if sent > defaultInitialWindow+halfSize+(64<<10) {
			t.Errorf("%d octets taken for a client that reads none", sent)
		}
		if q := p.Info().Queued; q > defaultInitialWindow+grace {
			t.Errorf("%d octets wait", q)
		}
		_ = nc.Close()
		<-ended
	})
}

// TestRelayConnectionEnds: what came before the end of the SSH connection still
// goes out, and a target that does not take it is left after a second.
func TestRelayConnectionEnds(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		relayTest(t, true, func(t *testing.T, p *pair, nc *forwardConn, g *target) {
			want := pattern(200_000)
			if _, err := nc.Write(want); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			_ = p.Client.Disconnect(DisconnectByApplication, "bye")
			start := time.Now()
			if !stuck {
				if got, err := io.ReadAll(g.in); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d octets arrived, %v", len(got), err)
				}
			}
			<-g.closed
			if d := time.Since(start); d > linger+time.Second || !stuck && d > 100*time.Millisecond {
				t.Errorf("stuck %v: closed after %v", stuck, d)
			}
			_ = nc.Close()
		})
	}
}

// TestRelayDialTakesTooLong: a dial that does not come to an end is given up.
func TestRelayDialTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leakCheck(t)
		s := forwardServer(ForwardPolicy{Timeout: time.Minute, DialTCP: func(ctx context.Context, _ *Conn, _, _ HostPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		start := time.Now()
		var no *OpenError
		if _, err := p.DialContext(t.Context(), "tcp", "h:1"); !errors.As(err, &no) || no.Text != "timed out" || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// And it ends with the connection.
		failed := make(chan error, 1)
		go func() {
			_, err := p.DialContext(t.Context(), "tcp", "h:1")
			failed <- err
		}()
		synctest.Wait()
		start = time.Now()
		_ = p.close(t)
		if err := <-failed; err == nil || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestShutdownWaitsForForwards: connections that are forwarded come to their end,
// nothing new is listened for or accepted.
func TestShutdownWaitsForForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leakCheck(t)
		g := newTarget(true)
		l := &oneConn{addr: HostPort{"127.0.0.1", 40001}, next: make(chan net.Conn), done: make(chan struct{})}
		s := forwardServer(ForwardPolicy{
			DialTCP:   func(context.Context, *Conn, HostPort, HostPort) (net.Conn, error) { return g.conn(), nil },
			ListenTCP: func(context.Context, *Conn, HostPort) (net.Listener, error) { return l, nil },
		})
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		nc, err := p.DialContext(t.Context(), "tcp", "h:1")
		if err != nil {
			t.Fatal(err)
		}
		lc, err := p.Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		g2 := newTarget(true)
		l.next <- g2.conn()
		in, err := lc.Accept()
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		<-l.done
		if _, err := p.DialContext(t.Context(), "tcp", "h:1"); err == nil {
			t.Error("a draining server forwards")
		}
		if _, err := p.Listen(t.Context(), "tcp", ":0"); err == nil {
			t.Error("a draining server listens")
		}
		time.Sleep(time.Hour)
		select {
		case err := <-over:
			t.Errorf("cut off: %v", err)
		default:
		}
		go func() { _, _ = nc.Write([]byte("x")); _ = nc.(*forwardConn).CloseWrite() }()
		if got, err := io.ReadAll(g.in); string(got) != "x" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		g.out.stop(io.EOF, nil)
		_, _ = io.ReadAll(nc)
		_ = nc.Close()
		time.Sleep(time.Hour)
		select {
		case err := <-over:
			t.Errorf("cut off: %v", err)
		default:
		}
		_ = in.Close()
		if err := <-over; err != nil {
			t.Error(err)
		}
		_ = p.close(t)
	})
}

// TestForwardedChannelClosedByClientAtOnce: the script closes what the server has
// just opened to it, with octets on their way.
func TestForwardedChannelClosedByClientAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leakCheck(t)
		g := newTarget(true)
		l := &oneConn{addr: HostPort{"127.0.0.1", 40001}, next: make(chan net.Conn, 1), done: make(chan struct{})}
		l.next <- g.conn()
		p := scriptClient(t, forwardServer(ForwardPolicy{ListenTCP: func(context.Context, *Conn, HostPort) (net.Listener, error) { return l, nil }}))
		p.send(listenMsg("", 0))
		p.want("port", &msg.RequestSuccess{Data: PortReply(40001)})
		id := p.accept(9)
		_, _ = g.out.Write([]byte("hello"))
		p.want("hello", &msg.ChannelData{Recipient: 9, Data: []byte("hello")})
		p.send(&msg.ChannelData{Recipient: id, Data: []byte("bye")}, signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 9))
		if got, err := io.ReadAll(g.in); string(got) != "bye" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		// It goes on talking, which resets nothing, and is cut off in the end.
		for {
			if _, err := g.out.Write(make([]byte, 1000)); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		<-g.closed
		_ = p.close()
	})
}

// TestRelayTargetStuck: a target that takes nothing is given up some time after the client has closed the channel; one
// that takes something now and then gets all.
func TestRelayTargetStuck(t *testing.T) {
	for _, slow := range []bool{false, true} {
		relayTest(t, true, func(t *testing.T, p *pair, nc *forwardConn, g *target) {
			want := pattern(500_000)
			if _, err := nc.Write(want); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // it has arrived
			_ = nc.Close()
			start := time.Now()
			if slow {
				var got []byte
				for {
					time.Sleep(stuckTime * 2 / 3)
					b := make([]byte, 32<<10)
					n, err := g.in.Read(b)
					got = append(got, b[:n]...)
					if err != nil {
						break
					}
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d of %d octets arrived", len(got), len(want))
				}
				return
			}
			<-g.closed
			if d := time.Since(start); d < stuckTime || d > stuckTime+time.Second {
				t.Errorf("closed after %v", d)
			}
		})
	}
}
