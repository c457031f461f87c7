package ssh2

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestCVE_5_4_LongRequestNames: the name of a request that waits counts like
// its data.
func TestCVE_5_4_LongRequestNames(t *testing.T) {
	leakCheck(t)
	s := testServer(func(ctx context.Context, _ *ServerSession) { <-ctx.Done() }) // decides on nothing
	p := scriptClient(t, s)
	id := p.open(0)
	p.send(exec(id, "x"))
	name := strings.Repeat("n", 200<<10)
	for range 3 {
		if !p.trySend(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true}) {
			break
		}
	}
	p.wantViolation()
}

// TestCVE_5_3_DataOfSessionsNeverStarted: what was sent to a session that runs
// nothing goes with it.
func TestCVE_5_3_DataOfSessionsNeverStarted(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	var conn *Conn
	s.OnLogin = func(_ context.Context, c *Conn) error { conn = c; return nil }
	p := scriptClient(t, s)
	id := p.open(0)
	p.send(&msg.ChannelData{Recipient: id, Data: make([]byte, 20<<10)}, signal(msg.NumChannelClose, id))
	p.want("close", signal(msg.NumChannelClose, 0))
	p.alive()
	if n := conn.Info().Queued; n != 0 {
		t.Errorf("%d octets are still queued", n)
	}
	id = p.open(0)
	p.send(&msg.ChannelData{Recipient: id, Data: make([]byte, 20<<10)})
	p.alive()
	_ = p.close()
	if n := conn.Info().Queued; n != 0 {
		t.Errorf("%d octets are still queued after the end", n)
	}
}

// TestCVE_13_6_HookPanics: a panic in a hook ends its connection and nothing else.
func TestCVE_13_6_HookPanics(t *testing.T) {
	leakCheck(t)
	for name, set := range map[string]func(*Server){
		"login": func(s *Server) { s.OnLogin = func(context.Context, *Conn) error { panic("login") } },
		"end":   func(s *Server) { s.OnEnd = func(*Conn, error) { panic("end") } },
	} {
		s := testServer(shellServer)
		set(s)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- s.ServeConn(context.Background(), b) }()
		if c, err := NewClient(context.Background(), a, "host:22", testClient()); err == nil {
			_ = c.Close()
			_ = c.Wait()
		}
		var pe *PanicError
		if err := <-end; !errors.As(err, &pe) || pe.Value != name || len(pe.Stack) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCVE_2_4_ForwardingLimits: who may not forward ports cannot reach a
// handler that would.
func TestCVE_2_4_ForwardingLimits(t *testing.T) {
	leakCheck(t)
	for _, forbidden := range []bool{false, true} {
		s := testServer(shellServer)
		s.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
			return Verdict{OK: true, Limits: Limits{NoPortForwarding: forbidden}}
		}
		s.Channels = map[string]ChannelHandler{}
		s.Requests = map[string]GlobalHandler{}
		types := []string{"direct-tcpip", "direct-streamlocal@openssh.com"}
		names := []string{"tcpip-forward", "streamlocal-forward@openssh.com"}
		for _, typ := range types {
			s.Channels[typ] = func(_ context.Context, n *NewChannel) { n.Refuse(OpenConnectFailed, "reached") }
		}
		for _, name := range names {
			s.Requests[name] = func(context.Context, *Conn, *Request) (bool, []byte) { return true, nil }
		}
		s.OnLogin = func(_ context.Context, c *Conn) error {
			if got := c.Info().Limits.NoPortForwarding; got != forbidden {
				t.Errorf("forbidden %v: limits say %v", forbidden, got)
			}
			return nil
		}
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		want := OpenConnectFailed
		if forbidden {
			want = OpenProhibited
		}
		for _, typ := range types {
			var no *OpenError
			if _, err := p.Open(context.Background(), typ, nil, nil); !errors.As(err, &no) || no.Reason != want {
				t.Errorf("forbidden %v: %s: %v", forbidden, typ, err)
			}
		}
		for _, name := range names {
			if _, err := p.Client.Request(context.Background(), name, true, nil); (err != nil) != forbidden {
				t.Errorf("forbidden %v: %s: %v", forbidden, name, err)
			}
		}
		_ = p.close(t)
	}
}

// TestW36_ContextOfWhatHasNoAnswer: requests and pings that cannot leave, since
// the peer reads nothing, end with their context.
func TestW36_ContextOfWhatHasNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(ctx context.Context, s *ServerSession) { s.Accept(); <-ctx.Done() })
		s.KeepAlive.Interval = -1
		cfg := testClient()
		cfg.KeepAlive.Interval = -1
		p := dialPair(t, s, cfg, netsim.Link{Buffer: 64 << 10}, netsim.Link{})
		sess, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := sess.Start(context.Background(), "x"); err != nil {
			t.Fatal(err)
		}
		p.b.Stall()
		full := make(chan struct{})
		go func() {
			for p.Client.t.SendMessage(&msg.Ignore{Data: make([]byte, 30<<10)}) == nil {
			}
			close(full)
		}()
		synctest.Wait()
		for name, f := range map[string]func(context.Context) error{
			"global": func(ctx context.Context) error { _, err := p.Client.Request(ctx, "x", false, nil); return err },
			"signal": func(ctx context.Context) error { return sess.Signal(ctx, "INT") },
			"ping":   func(ctx context.Context) error { _, err := p.Ping(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			done := make(chan error, 1)
			go func() { done <- f(ctx) }()
			select {
			case err := <-done:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(time.Minute):
				t.Errorf("%s: still waits a minute later", name)
			}
			cancel()
		}
		_ = p.Client.Close()
		<-full
		p.b.Resume()
		_ = sess.Close()
		_ = p.close(t)
	})
}

// TestCVE_5_9_LargeBufsAreNotPinned: data in the wake of a much larger packet
// does not keep the memory that packet took.
func TestCVE_5_9_LargeBufsAreNotPinned(t *testing.T) {
	leakCheck(t)
	opened := make(chan *Channel, 1)
	release := make(chan struct{})
	s := testServer(func(_ context.Context, s *ServerSession) { s.Accept(); opened <- s.ch; <-release })
	p := scriptClient(t, s)
	id := p.open(0)
	p.send(exec(id, "x"))
	ch := <-opened
	const n = 20
	for range n {
		p.send(&msg.Ignore{Data: make([]byte, 250<<10)}, &msg.ChannelData{Recipient: id, Data: make([]byte, takeFrom)})
	}
	p.send(&msg.GlobalRequest{Name: "x", WantReply: true})
	p.alive()
	memory := 0
	ch.mu.Lock()
	for _, b := range ch.in.bufs[ch.in.head:] {
		memory += b.Cap()
	}
	ch.mu.Unlock()
	if memory > 5*n*takeFrom {
		t.Errorf("%d octets of data take %d of memory", n*takeFrom, memory)
	}
	close(release)
	_ = p.close()
}

// TestCVE_5_3_AbandonedOpensAreOutstanding: a peer that decides on nothing does
// not make us keep more channels than may be outstanding, however often the
// caller gives up.
func TestCVE_5_3_AbandonedOpensAreOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testClient()
		cfg.KeepAlive.Interval = -1
		p, c := scriptServer(t, cfg)
		for range maxOutstanding + 10 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			if _, err := c.Open(ctx, "x", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		if n := c.Info().Channels; n > maxOutstanding {
			t.Errorf("%d channels wait for an answer", n)
		}
		// What is answered after all makes room.
		for range maxOutstanding {
			var m msg.ChannelOpen
			p.get(&m)
			p.send(&msg.ChannelOpenFailure{Recipient: m.Sender, Reason: uint32(OpenProhibited)})
		}
		synctest.Wait()
		if n, slots := c.Info().Channels, len(c.slots); n != 0 || slots != 0 {
			t.Errorf("%d channels and %d slots left", n, slots)
		}
		_ = p.close()
	})
}
