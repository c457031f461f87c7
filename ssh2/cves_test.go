package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

func TestCVE_6_5_ExitStatusPayloads(t *testing.T) {
	for name, tc := range map[string]struct {
		request string
		data    []byte
		want    *ExitError // nil: no status
	}{
		"status, 0 octets":         {"exit-status", nil, nil},
		"status, 1 octet":          {"exit-status", []byte{0}, nil},
		"status, 3 octets":         {"exit-status", []byte{0, 0, 0}, nil},
		"status, 5 octets":         {"exit-status", []byte{0, 0, 0, 1, 2}, nil},
		"status 9":                 {"exit-status", []byte{0, 0, 0, 9}, &ExitError{Status: 9}},
		"signal, nothing":          {"exit-signal", nil, nil},
		"signal of 4 GiB":          {"exit-signal", []byte{0xFF, 0xFF, 0xFF, 0xFF, 'K'}, nil},
		"signal without text":      {"exit-signal", wire.AppendString(nil, "KILL"), nil},
		"signal, language missing": {"exit-signal", wire.AppendString(append(wire.AppendString(nil, "TERM"), 0), "why"), &ExitError{Signal: "TERM", Text: "why"}},
	} {
		t.Run(name, func(t *testing.T) {
			leakCheck(t)
			p, c := scriptServer(t, testClient())
			got := make(chan error, 1)
			go func() {
				s, err := c.Session(context.Background())
				if err == nil {
					err = s.Run(context.Background(), "x")
				}
				got <- err
			}()
			id := p.accept(5)
			var m msg.ChannelRequest
			p.get(&m)
			p.send(signal(msg.NumChannelSuccess, id), &msg.ChannelRequest{Recipient: id, Name: tc.request, Data: tc.data},
				signal(msg.NumChannelEOF, id), signal(msg.NumChannelClose, id))
			err := <-got
			var exit *ExitError
			switch {
			case tc.want == nil && !errors.Is(err, ErrNoExitStatus):
				t.Errorf("got %v, want no status", err)
			case tc.want != nil && (!errors.As(err, &exit) || *exit != *tc.want):
				t.Errorf("got %v, want %v", err, tc.want)
			}
			_ = c.Close()
			_ = p.close()
		})
	}
}

func TestCVE_6_6_RequestPayloads(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AllowPTY, s.AcceptEnv = true, []string{"A"}
	p := scriptClient(t, s)
	pty := func(modes []byte) []byte {
		return wire.Append(nil, &msg.PtyReq{Term: "vt100", Width: 80, Modes: modes})
	}
	bad := map[string][][]byte{
		"exec":                       {wire.AppendString(nil, "echo\x00x")},
		"subsystem":                  {wire.AppendString(nil, "echo\x00")},
		"shell":                      {},
		"env":                        {append(wire.AppendString(wire.AppendString(nil, "A"), "v"), 'x'), wire.AppendString(wire.AppendString(nil, "A"), "\x00"), wire.AppendString(nil, "A")},
		"pty-req":                    {pty([]byte{1}), pty([]byte{1, 0, 0, 0}), pty([]byte{53, 0, 0, 0, 1, 54, 0}), append(pty(nil), 0), pty(make([]byte, 5))[:20]},
		"window-change":              {make([]byte, 15), make([]byte, 16), make([]byte, 17)}, // 16: there is no terminal
		"signal":                     {wire.AppendString(nil, "TERM")},                       // nothing runs
		"break":                      {make([]byte, 4), make([]byte, 5)},
		"x11-req":                    {wire.Append(nil, &msg.X11Req{Protocol: "MIT", Cookie: "abc"})},
		"auth-agent-req@openssh.com": {},
		"exit-status":                {make([]byte, 4)},
		"nonsense":                   {},
	}
	for name, payloads := range bad {
		generic := [][]byte{{1}, {0, 0}, {0, 0, 1}, {0xFF, 0xFF, 0xFF, 0xFF}, append([]byte{0xFF, 0xFF, 0xFF, 0xF0}, make([]byte, 100)...)}
		if name != "shell" {
			generic = append(generic, nil)
		}
		for i, data := range append(payloads, generic...) {
			id := p.open(1)
			p.send(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true, Data: data})
			p.want(fmt.Sprintf("%s %d %x", name, i, data), signal(msg.NumChannelFailure, 1))
			p.send(signal(msg.NumChannelClose, id))
			p.want("close", signal(msg.NumChannelClose, 1))
		}
	}
	// Modes without TTY_OP_END, and undefined ones at the end, are taken.
	for _, modes := range [][]byte{nil, {0}, {53, 0, 0, 0, 1}, {53, 0, 0, 0, 1, 0}, {53, 0, 0, 0, 1, 200, 9}} {
		id := p.open(1)
		p.send(&msg.ChannelRequest{Recipient: id, Name: "pty-req", WantReply: true, Data: pty(modes)})
		p.want(fmt.Sprintf("modes %x", modes), signal(msg.NumChannelSuccess, 1))
		p.send(signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 1))
	}
	_ = p.close()
}

// TestCVE_6_10_LengthOfConnectionMessages: messages of the connection protocol with an
// octet too many, or one too few, break the connection; those that end with a
// free field have none too many.
func TestCVE_6_10_LengthOfConnectionMessages(t *testing.T) {
	free := map[byte]bool{msg.NumGlobalRequest: true, msg.NumChannelOpen: true, msg.NumChannelOpenOK: true, msg.NumChannelRequest: true, msg.NumRequestSuccess: true}
	for _, r := range msg.Rows() {
		if r.Number < msg.NumGlobalRequest || r.Number >= msg.NumPing {
			continue
		}
		for _, change := range []int{-1, 1} {
			if free[r.Number] && (change == 1 || r.Number == msg.NumRequestSuccess) {
				continue
			}
			if r.Number == msg.NumRequestFailure {
				continue // it answers nothing here, and so nobody looks at it
			}
			t.Run(fmt.Sprintf("%s%+d", r.Name, change), func(t *testing.T) {
				leakCheck(t)
				p := scriptClient(t, testServer(shellServer))
				p.open(0)
				m := r.New()
				b := msg.Append(nil, m)
				if change > 0 {
					b = append(b, 0)
				} else {
					b = b[:len(b)-1]
				}
				p.trySend(raw(b))
				p.wantViolation()
			})
		}
	}
}

// raw is a message as it is.
type raw []byte

func (r raw) Number() byte { return r[0] }

func (r raw) Layout(c *wire.Coder) {
	rest := []byte(r[1:])
	c.Rest(&rest)
}

func TestCVE_11_1_ServerOpensChannelsUnasked(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	types := []string{
		"auth-agent@openssh.com", "auth-agent", "x11", "session", "direct-tcpip", "direct-streamlocal@openssh.com",
		"tun@openssh.com", "forwarded-tcpip", "forwarded-streamlocal@openssh.com", "", strings.Repeat("x", 10_000),
	}
	refuse := func() {
		t.Helper()
		for _, typ := range types {
			p.send(&msg.ChannelOpen{Type: typ, Sender: 8, Window: 1, MaxPacket: 1, Extra: []byte{1, 2, 3}})
			p.want(typ, &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
		}
	}
	refuse()
	go func() { // and with a session open it is the same
		s, err := c.Session(context.Background())
		if err == nil {
			_ = s.Run(context.Background(), "x")
		}
	}()
	id := p.accept(1)
	var m msg.ChannelRequest
	p.get(&m)
	p.send(signal(msg.NumChannelSuccess, id))
	p.want("no input", signal(msg.NumChannelEOF, 1))
	refuse()
	_ = c.Close()
	_ = p.close()
}

func TestCVE_11_2_UnaskedForwardedTCPIP(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	data := wire.AppendUint32(wire.AppendString(nil, "127.0.0.1"), 22)
	data = wire.AppendUint32(wire.AppendString(data, "10.0.0.1"), 4711)
	p.send(&msg.ChannelOpen{Type: "forwarded-tcpip", Sender: 8, Window: 1, MaxPacket: 1, Extra: data})
	p.want("refused", &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
	_ = c.Close()
	_ = p.close()
}

func TestCVE_11_3_NothingIsForwardedByDefault(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	for _, typ := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "x11", "forwarded-tcpip", "auth-agent@openssh.com"} {
		p.send(&msg.ChannelOpen{Type: typ, Sender: 8, Window: 1, MaxPacket: 1})
		p.want(typ, &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
	}
	for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "hostkeys-prove-00@openssh.com"} {
		p.send(&msg.GlobalRequest{Name: name, WantReply: true, Data: wire.AppendUint32(wire.AppendString(nil, ""), 0)})
		p.want(name, &msg.RequestFailure{})
	}
	id := p.open(1)
	for _, name := range []string{"x11-req", "auth-agent-req@openssh.com", "pty-req"} {
		p.send(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true, Data: wire.Append(nil, &msg.PtyReq{Term: "x"})})
		p.want(name, signal(msg.NumChannelFailure, 1))
	}
	_ = p.close()
}

// TestCVE_11_3_NoSessions: a server without a handler runs nothing.
func TestCVE_11_3_NoSessions(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(nil))
	p.send(&msg.ChannelOpen{Type: "session", Sender: 8, Window: 1, MaxPacket: 1})
	p.want("session", &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenProhibited), Text: "no sessions"})
	_ = p.close()
}

func TestCVE_11_9_NoMoreSessions(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.send(&msg.GlobalRequest{Name: "no-more-sessions@openssh.com", WantReply: true})
	p.want("agreed", &msg.RequestSuccess{})
	p.send(&msg.ChannelOpen{Type: "session", Sender: 8, Window: 1, MaxPacket: 1})
	p.want("refused", &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenProhibited), Text: "no more sessions were announced"})
	p.send(exec(id, "echo x")) // the one that is open goes on
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	p.want("output", &msg.ChannelData{Recipient: 1, Data: []byte("x")})
	_ = p.close()
}

func TestCVE_11_10_Environment(t *testing.T) {
	leakCheck(t)
	env := make(chan []string, 1)
	s := testServer(func(_ context.Context, s *ServerSession) { env <- s.Env; s.Exit(0) })
	s.AcceptEnv = []string{"LANG"}
	p := scriptClient(t, s)
	id := p.open(1)
	set := func(name, value string, num byte) {
		t.Helper()
		p.send(&msg.ChannelRequest{Recipient: id, Name: "env", WantReply: true, Data: wire.Append(nil, &msg.Env{Name: name, Value: value})})
		p.want(name, signal(num, 1))
	}
	set("LD_PRELOAD", "/evil.so", msg.NumChannelFailure)
	set("LANG*", "x", msg.NumChannelFailure)
	set("LANG=x", "x", msg.NumChannelFailure)
	set("lang", "x", msg.NumChannelFailure)
	set("LANG", "C", msg.NumChannelSuccess)
	set("LANG", strings.Repeat("x", maxEnvOctets), msg.NumChannelFailure)
	p.send(exec(id, "x"))
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	if got := <-env; len(got) != 1 || got[0] != "LANG=C" {
		t.Errorf("environment %q", got)
	}
	_ = p.close()
}

func TestCVE_13_2_CloseEndsEverything(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
	ctx := context.Background()
	ch, err := p.Subsystem(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	sess, err := p.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start(ctx, "hang"); err != nil {
		t.Fatal(err)
	}
	full, err := p.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := full.Start(ctx, "hang"); err != nil {
		t.Fatal(err)
	}
	// Everything that can wait, waits.
	var wg sync.WaitGroup
	waits := []func() error{
		func() error { _, err := ch.Read(make([]byte, 1)); return err },
		func() error { _, err := ch.Stderr().Read(make([]byte, 1)); return err },
		func() error { _, err := ch.ReadPacket(); return err },
		func() error { return sess.Wait(ctx) },
		func() error { return p.Client.Wait() },
		func() error { <-p.Context().Done(); return context.Cause(p.Context()) },
		func() error { // hang does not read
			buf := make([]byte, 1<<20)
			for {
				if _, err := full.ch.Write(buf); err != nil {
					return err
				}
			}
		},
	}
	started := make(chan struct{}, len(waits))
	for i, f := range waits {
		wg.Go(func() {
			started <- struct{}{}
			if err := f(); err == nil {
				t.Errorf("wait %d ended without an error", i)
			}
		})
	}
	for range waits {
		<-started
	}
	for range 3 {
		_ = p.Client.Close()
	}
	wg.Wait()
	if _, err := p.Session(ctx); err == nil {
		t.Error("session on a closed connection")
	}
	if _, err := p.Client.Request(ctx, "x", true, nil); err == nil {
		t.Error("request on a closed connection")
	}
	if err := p.Rekey(ctx); err == nil {
		t.Error("rekey on a closed connection")
	}
	if _, err := p.Ping(ctx); err == nil {
		t.Error("ping on a closed connection")
	}
	_ = ch.Close()
	_ = ch.Close()
	_ = sess.Close()
	_ = full.Close()
	_ = p.close(t)
}

func TestCVE_13_3_HandlerSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(ctx context.Context, s *ServerSession) {
			if s.Command == "sleep" {
				time.Sleep(time.Minute)
			}
			shellServer(ctx, s)
		})
		s.Requests = map[string]GlobalHandler{"sleep": func(context.Context, *Conn, *Request) (bool, []byte) { time.Sleep(time.Minute); return true, nil }}
		s.Channels = map[string]ChannelHandler{"sleep": func(_ context.Context, n *NewChannel) { time.Sleep(time.Minute) }}
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if sess, err := p.Session(context.Background()); err == nil {
					_ = sess.Run(ctx, "sleep")
				}
			})
		}
		wg.Go(func() { _, _ = p.Client.Request(ctx, "sleep", true, nil) })
		wg.Go(func() { _, _ = p.Open(ctx, "sleep", nil, nil) })
		synctest.Wait()
		start := time.Now()
		sess, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := sess.Output(context.Background(), "echo moving"); string(out) != "moving" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("another session waited %v", took)
		}
		wg.Wait()
		_ = p.close(t) // returns when the handlers have
	})
}

func TestCVE_13_3_HandlerPanics(t *testing.T) {
	leakCheck(t)
	boom := func() { panic("on purpose") }
	for name, use := range map[string]func(*pair) error{
		"session": func(p *pair) error {
			s, err := p.Session(context.Background())
			if err != nil {
				return err
			}
			return s.Run(context.Background(), "panic")
		},
		"global": func(p *pair) error { _, err := p.Client.Request(context.Background(), "boom", true, nil); return err },
		"open":   func(p *pair) error { _, err := p.Open(context.Background(), "boom", nil, nil); return err },
		"channel": func(p *pair) error {
			ch, err := p.Open(context.Background(), "ok", nil, nil)
			if err != nil {
				return err
			}
			return ch.Request(context.Background(), "x", true, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(shellServer)
			s.Requests = map[string]GlobalHandler{"boom": func(context.Context, *Conn, *Request) (bool, []byte) { boom(); return true, nil }}
			s.Channels = map[string]ChannelHandler{
				"boom": func(context.Context, *NewChannel) { boom() },
				"ok": func(_ context.Context, n *NewChannel) {
					_, _ = n.Accept(func(context.Context, *Request) (bool, []byte) { boom(); return true, nil })
				},
			}
			bad := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
			good := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
			if err := use(bad); err == nil {
				t.Error("no error from a handler that panicked")
			}
			var pe *PanicError
			if err := <-bad.end; !errors.As(err, &pe) || pe.Value != "on purpose" || len(pe.Stack) == 0 {
				t.Errorf("connection ended with %v", err)
			}
			bad.end <- nil
			_ = bad.close(t)
			sess, err := good.Session(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if out, err := sess.Output(context.Background(), "echo fine"); string(out) != "fine" || err != nil {
				t.Errorf("the other connection: %q, %v", out, err)
			}
			_ = good.close(t)
		})
	}
}

func TestCVE_13_6_AuthHandlerPanics(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict { panic("on purpose") }
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(context.Background(), b) }()
	if _, err := NewClient(context.Background(), a, "host:22", testClient()); err == nil {
		t.Error("logged in")
	}
	var pe *PanicError
	if err := <-end; !errors.As(err, &pe) {
		t.Errorf("ended with %v", err)
	}
}

func TestCVE_13_3_HandlerClosesItsConnection(t *testing.T) {
	leakCheck(t)
	s := testServer(func(_ context.Context, s *ServerSession) {
		s.Accept()
		_ = s.Conn().Close()
		_ = s.Conn().Wait()
		_, _ = s.Write([]byte("x"))
	})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	sess, err := p.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Run(context.Background(), "x"); err == nil {
		t.Error("no error")
	}
	_ = p.close(t)
}

func TestCVE_13_7_ParallelOpensAtTheLimit(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.MaxChannels = 1
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := p.Session(context.Background())
			var no *OpenError
			switch {
			case err == nil:
				won.Add(1)
			case !errors.As(err, &no) || no.Reason != OpenResourceShortage:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 100 won", won.Load())
	}
	_ = p.close(t)
}

// TestCVE_13_7_ParallelConnectionsAtTheLimit: neither MaxConns nor MaxStartups
// can be beaten by being quick.
func TestCVE_13_7_ParallelConnectionsAtTheLimit(t *testing.T) {
	for name, set := range map[string]func(*Server){
		"conns":    func(s *Server) { s.MaxConns = 1 },
		"startups": func(s *Server) { s.MaxStartups = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			leakCheck(t)
			s := testServer(shellServer)
			set(s)
			var entered atomic.Int32
			s.OnConn = func(ctx context.Context, _ net.Conn) (context.Context, error) { entered.Add(1); return ctx, nil }
			var wg sync.WaitGroup
			var ends []*netsim.Conn
			var mu sync.Mutex
			var out atomic.Int32
			for range 100 {
				wg.Go(func() {
					a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
					mu.Lock()
					ends = append(ends, a)
					mu.Unlock()
					_ = s.ServeConn(context.Background(), b)
					out.Add(1)
				})
			}
			if !eventually(func() bool { return out.Load() == 99 }) {
				t.Errorf("%d refused", out.Load())
			}
			if entered.Load() != 1 {
				t.Errorf("%d entered", entered.Load())
			}
			mu.Lock()
			for _, a := range ends {
				_ = a.Close()
			}
			mu.Unlock()
			wg.Wait()
		})
	}
}

// TestCVE_13_8_LateAnswers: what was given up on does no harm when it comes.
func TestCVE_13_8_LateAnswers(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	go func() { _, err := c.Session(ctx); done <- err }()
	var open msg.ChannelOpen
	p.get(&open)
	go func() { _, err := c.Request(ctx, "a", true, nil); done <- err }()
	var g msg.GlobalRequest
	p.get(&g)
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	// The answer to a is not taken for that to b.
	type reply struct {
		data []byte
		err  error
	}
	got := make(chan reply, 1)
	go func() {
		d, err := c.Request(context.Background(), "b", true, nil)
		got <- reply{d, err}
	}()
	p.get(&g)
	p.send(&msg.RequestSuccess{Data: []byte("for a")}, &msg.RequestSuccess{Data: []byte("for b")})
	if r := <-got; string(r.data) != "for b" || r.err != nil {
		t.Errorf("%q, %v", r.data, r.err)
	}
	// The channel that nobody waits for is closed again.
	p.send(&msg.ChannelOpenConfirmation{Recipient: open.Sender, Sender: 4, Window: 1, MaxPacket: 1})
	p.want("closed", signal(msg.NumChannelClose, 4))
	p.send(signal(msg.NumChannelClose, open.Sender))
	p.alive()
	if n := c.Info().Channels; n != 0 {
		t.Errorf("%d channels", n)
	}
	_ = c.Close()
	_ = p.close()
}
