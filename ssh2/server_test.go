package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

func TestForcedCommand(t *testing.T) {
	leakCheck(t)
	for _, tc := range []struct{ force, kind, what, requested string }{
		{"backup --all", "exec", "backup --all", "rm -rf /"},
		{"internal-sftp", "subsystem", "sftp", "rm -rf /"},
	} {
		s := testServer(func(_ context.Context, s *ServerSession) {
			fmt.Fprintf(s, "%v|%s%s|%s", s.Kind, s.Command, s.Subsystem, s.Requested)
		})
		s.AllowPTY = true
		s.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
			return Verdict{OK: true, Limits: Limits{ForceCommand: tc.force, NoPTY: true}}
		}
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		sess, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		out, err := sess.Output(context.Background(), "rm -rf /")
		if want := tc.kind + "|" + tc.what + "|" + tc.requested; string(out) != want || err != nil {
			t.Errorf("got %q, %v, want %q", out, err, want)
		}
		if sess, err = p.Session(context.Background()); err != nil {
			t.Fatal(err)
		}
		sess.PTY = &PTY{Term: "vt100"}
		var no *RequestError
		if err := sess.Run(context.Background(), "x"); !errors.As(err, &no) || no.Name != "pty-req" {
			t.Errorf("terminal in spite of NoPTY: %v", err)
		}
		_ = p.close(t)
	}
}

// TestSizesBeforeTheHandlerDecides: a slow handler is no reason to hang up on a
// client that resizes its terminal meanwhile.
func TestSizesBeforeTheHandlerDecides(t *testing.T) {
	leakCheck(t)
	decide, size := make(chan struct{}), make(chan SessionEvent, 1)
	s := testServer(func(ctx context.Context, s *ServerSession) {
		<-decide
		e, err := s.Event(ctx)
		if err != nil {
			t.Error(err)
		}
		size <- e
	})
	s.AllowPTY = true
	p := scriptClient(t, s)
	id := p.open(1)
	p.send(&msg.ChannelRequest{Recipient: id, Name: "pty-req", WantReply: true, Data: wire.Append(nil, &msg.PtyReq{Term: "x"})})
	p.want("pty", signal(msg.NumChannelSuccess, 1))
	p.send(exec(id, "x"))
	for i := range uint32(1000) {
		p.send(&msg.ChannelRequest{Recipient: id, Name: "window-change", Data: wire.Append(nil, &msg.WindowChange{Width: i})})
	}
	p.alive()
	close(decide)
	if e := <-size; e.Width != 999 {
		t.Errorf("size %+v, want the latest", e)
	}
	p.want("refused: it was never used", signal(msg.NumChannelFailure, 1))
	_ = p.close()
}

// TestExitStatusComesBeforeCloseAndAfterData plays a client such as scp.
func TestExitStatusComesBeforeCloseAndAfterData(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.send(exec(id, "echo hello"))
	p.want("granted", signal(msg.NumChannelSuccess, 1))
	p.want("output", &msg.ChannelData{Recipient: 1, Data: []byte("hello")})
	p.want("status", &msg.ChannelRequest{Recipient: 1, Name: "exit-status", Data: []byte{0, 0, 0, 0}})
	p.want("eof", signal(msg.NumChannelEOF, 1))
	p.want("close", signal(msg.NumChannelClose, 1))
	p.send(signal(msg.NumChannelClose, id))
	p.alive()
	_ = p.close()
}

func TestServeListener(t *testing.T) {
	leakCheck(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := testServer(shellServer)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			c, err := Dial(context.Background(), "tcp", l.Addr().String(), testClient())
			if err != nil {
				t.Error(err)
				return
			}
			sess, err := c.Session(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			if out, err := sess.Output(context.Background(), "echo x"); string(out) != "x" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
			_ = c.Close()
			_ = c.Wait()
		})
	}
	wg.Wait()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Serve(l); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// TestServerClose: everything ends at once, whatever it is doing.
func TestServerClose(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	sess, err := p.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start(context.Background(), "hang"); err != nil {
		t.Fatal(err)
	}
	quiet, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(context.Background(), b) }()
	buf := make([]byte, 1)
	_, _ = quiet.Read(buf) // its ident: it is there
	_ = s.Close()
	_ = s.Close()
	<-end
	if err := sess.Wait(context.Background()); err == nil {
		t.Error("session ended well")
	}
	_ = quiet.Close()
	_ = p.close(t)
}

func TestServeConnEndsWithItsContext(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	ctx, cancel := context.WithCancel(context.Background())
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(ctx, b) }()
	c, err := NewClient(context.Background(), a, "host:22", testClient())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-end
	_ = c.Wait()
}

// TestNoFirstWordsNoRoom: OnConn and OnLogin may refuse.
func TestHooksRefuse(t *testing.T) {
	leakCheck(t)
	for name, set := range map[string]func(*Server){
		"conn": func(s *Server) {
			s.OnConn = func(context.Context, net.Conn) (context.Context, error) { return nil, errTest }
		},
		"login": func(s *Server) { s.OnLogin = func(context.Context, *Conn) error { return errTest } },
	} {
		s := testServer(shellServer)
		set(s)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- s.ServeConn(context.Background(), b) }()
		if c, err := NewClient(context.Background(), a, "host:22", testClient()); err == nil {
			_ = c.Wait()
		}
		if err := <-end; !errors.Is(err, errTest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCustomChannelsAndRequests(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.Requests = map[string]GlobalHandler{
		"double": func(_ context.Context, _ *Conn, r *Request) (bool, []byte) { return true, append(r.Data, r.Data...) },
	}
	s.Channels = map[string]ChannelHandler{
		"refuse": func(_ context.Context, n *NewChannel) { n.Refuse(OpenConnectFailed, "no route to "+string(n.Extra())) },
		"forget": func(context.Context, *NewChannel) {},
		"echo": func(_ context.Context, n *NewChannel) {
			ch, err := n.Accept(func(_ context.Context, r *Request) (bool, []byte) { return r.Name == "yes", nil })
			if err != nil {
				return
			}
			n.Refuse(OpenProhibited, "too late") // does nothing
			_, _ = io.Copy(ch, struct{ io.Reader }{ch})
			_ = ch.Close()
		},
	}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	ctx := context.Background()
	if b, err := p.Client.Request(ctx, "double", true, []byte("ab")); string(b) != "abab" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	var no *OpenError
	if _, err := p.Open(ctx, "refuse", []byte("mars"), nil); !errors.As(err, &no) || no.Reason != OpenConnectFailed || no.Text != "no route to mars" {
		t.Errorf("%v", err)
	}
	if _, err := p.Open(ctx, "forget", nil, nil); !errors.As(err, &no) || no.Reason != OpenProhibited {
		t.Errorf("%v", err)
	}
	ch, err := p.Open(ctx, "echo", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var refused *RequestError
	if err := ch.Request(ctx, "yes", true, nil); err != nil {
		t.Error(err)
	}
	if err := ch.Request(ctx, "no", true, nil); !errors.As(err, &refused) {
		t.Error(err)
	}
	_, _ = ch.Write([]byte("hello"))
	_ = ch.CloseWrite()
	if b, err := io.ReadAll(struct{ io.Reader }{ch}); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	_ = ch.Close()
	_ = p.close(t)
}

// TestCVE_13_1_Storms does everything to many channels at once, in random
// order, and looks for what is left.
func TestCVE_13_1_Storms(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.MaxChannels = 50
	p := dialPair(t, s, testClient(), netsim.Link{MaxRead: 700}, netsim.Link{MaxRead: 700})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(w, 5))
			for range repeat(600) {
				short, stop := context.WithCancel(ctx)
				if r.IntN(4) == 0 {
					stop() // before anything
				} else if r.IntN(4) == 0 {
					go stop() // at any point
				}
				storm(short, r, p.Client)
				stop()
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatal("stuck")
	}
	if !eventually(func() bool { return p.Info().Channels == 0 }) {
		t.Errorf("%d channels are left", p.Info().Channels)
	}
	if q := p.Info().Queued; q != 0 {
		t.Errorf("%d octets are left", q)
	}
	if len(p.slots) != 0 {
		t.Errorf("%d slots are taken", len(p.slots))
	}
	if err := p.Context().Err(); err != nil {
		t.Errorf("connection ended: %v", p.Client.Wait())
	}
	_ = p.close(t)
}

// storm uses one channel in a random way.
func storm(ctx context.Context, r *rand.Rand, c *Client) {
	kind := []string{"echo", "nothing"}[r.IntN(2)]
	ch, err := c.Subsystem(ctx, kind)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	for range r.IntN(6) {
		var f func()
		switch r.IntN(6) {
		case 0:
			f = func() { _, _ = ch.Write(make([]byte, 3000)) }
		case 1:
			f = func() { _, _ = ch.Read(make([]byte, 10)) }
		case 2:
			f = func() { _ = ch.Request(ctx, "env", true, nil) }
		case 3:
			f = func() { _ = ch.Request(ctx, "signal", false, wire.AppendString(nil, "HUP")) }
		case 4:
			f = func() { _ = ch.CloseWrite() }
		case 5:
			f = func() { _ = ch.Close() }
		}
		wg.Go(f)
	}
	if r.IntN(2) == 0 {
		_ = ch.SetReadDeadline(time.Now().Add(time.Millisecond))
		wg.Wait()
	}
	_ = ch.Close()
	wg.Wait()
}
