package ssh2

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestW1_WindowsReachTheRate uploads over links whose bandwidth times delay is
// far beyond the initial window.
func TestW1_WindowsReachTheRate(t *testing.T) {
	for name, tc := range map[string]struct {
		delay time.Duration // one way
		rate  int64
		total int
	}{
		"LAN":           {0, 0, 64 << 20},
		"50 ms round":   {25 * time.Millisecond, 100 << 20, 400 << 20},
		"150 ms round":  {75 * time.Millisecond, 50 << 20, 400 << 20},
		"fixed, 150 ms": {75 * time.Millisecond, 50 << 20, 100 << 20},
	} {
		if raceEnabled && name != "fixed, 150 ms" {
			continue // the same code with more data
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fixed := name == "fixed, 150 ms"
				s := testServer(sink)
				if fixed {
					s.Windows.Maximum = 2 << 20
				}
				p := dialPair(t, s, testClient(), netsim.Link{Delay: tc.delay, Rate: tc.rate}, netsim.Link{Delay: tc.delay})
				ch, err := p.Subsystem(context.Background(), "sink")
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				upload(t, ch, tc.total)
				took := time.Since(start)
				if tc.rate > 0 {
					reached := float64(tc.total) / took.Seconds() / float64(tc.rate)
					t.Logf("%.0f %% of the rate in %v", 100*reached, took)
					if !fixed && reached < 0.85 {
						t.Errorf("only %.0f %% of the rate", 100*reached)
					}
					if fixed && reached > 0.35 { // 2 MiB per 150 ms are 27 %
						t.Errorf("a window of 2 MiB gave %.0f %% of the rate: this test tests nothing", 100*reached)
					}
				}
				_ = ch.Close()
				_ = p.close(t)
				if n := process.used.Load(); n != 0 {
					t.Errorf("ledger has %d octets left", n)
				}
			})
		})
	}
}

// sink reads until EOF.
func sink(_ context.Context, s *ServerSession) {
	for {
		b, err := s.ReadPacket()
		if err != nil {
			return
		}
		b.Release()
	}
}

// upload writes n octets and waits until the server has read them.
func upload(t *testing.T, ch *Channel, n int) {
	t.Helper()
	for ; n > 0; n -= 32 << 10 {
		if err := ch.WritePacket(packet.Get(min(n, 32<<10))); err != nil {
			t.Error(err)
			return
		}
	}
	_ = ch.CloseWrite()
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{ch}); err != nil {
		t.Error(err)
	}
}

// TestW1_GrowthStaysWithinTheLedgers: a window grows only while connection and
// process have room.
func TestW1_GrowthStaysWithinTheLedgers(t *testing.T) {
	for name, limit := range map[string]WindowLimits{
		"connection": {PerConnection: 6 << 20},
		"process":    {PerProcess: 6 << 20},
		"maximum":    {Maximum: 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ch *Channel
				s := testServer(func(ctx context.Context, s *ServerSession) { ch = s.ch; sink(ctx, s) })
				s.Windows = limit
				delay := netsim.Link{Delay: 100 * time.Millisecond}
				p := dialPair(t, s, testClient(), delay, delay)
				c, err := p.Subsystem(context.Background(), "sink")
				if err != nil {
					t.Fatal(err)
				}
				upload(t, c, 64<<20)
				ch.mu.Lock()
				size := ch.window.size
				ch.mu.Unlock()
				if size != 8<<20 {
					t.Errorf("window grew to %d, want 8 MiB", size)
				}
				_ = c.Close()
				_ = p.close(t)
			})
		})
	}
}

// TestW1_SlowConsumersKeepTheirWindow: what limits the speed is not the window.
func TestW1_SlowConsumersKeepTheirWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch *Channel
		s := testServer(func(_ context.Context, s *ServerSession) {
			ch = s.ch
			for {
				b, err := s.ReadPacket()
				if err != nil {
					return
				}
				b.Release()
				time.Sleep(10 * time.Millisecond)
			}
		})
		delay := netsim.Link{Delay: 10 * time.Millisecond}
		p := dialPair(t, s, testClient(), delay, delay)
		c, err := p.Subsystem(context.Background(), "sink")
		if err != nil {
			t.Fatal(err)
		}
		upload(t, c, 16<<20)
		if size := ch.window.size; size != defaultInitialWindow {
			t.Errorf("window grew to %d", size)
		}
		_ = c.Close()
		_ = p.close(t)
	})
}

// TestW4_NoReadingNoCredit: a handler that does not read gets no more than the
// window, and the client waits.
func TestW4_NoReadingNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
		s, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(context.Background(), "hang"); err != nil {
			t.Fatal(err)
		}
		// start sent EOF, so ask for another that takes input.
		_ = s.Close()
		if s, err = p.Session(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.Stdin = endless{}
		if err := s.Start(context.Background(), "hang"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.server.mu.Lock()
		var queued int64
		for sv := range p.server.conns {
			queued = sv.conn.Info().Queued
		}
		p.server.mu.Unlock()
		if queued == 0 || queued > defaultInitialWindow {
			t.Errorf("%d octets queued", queued)
		}
		_ = s.Close()
		_ = p.close(t)
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestW6_SmallPacketsPinLittle: memory follows what was sent, not how it was cut.
func TestW6_SmallPacketsPinLittle(t *testing.T) {
	var s stream
	sent, bufs := 0, 0
	for i := range 100_000 {
		n := 1 + i%100
		s.pushCopy(make([]byte, n))
		sent += n
	}
	for _, b := range s.bufs[s.head:] {
		bufs += b.Head() + b.Len() + b.Tail()
	}
	if bufs > 2*sent {
		t.Errorf("%d octets take %d of memory", sent, bufs)
	}
	s.purge()
	// The worst a peer can do: large packets, each followed by one octet.
	sent, bufs = 0, 0
	for range 100 {
		big := packet.Get(takeFrom)
		s.push(big)
		s.pushCopy([]byte{1})
		sent += takeFrom + 1
	}
	for _, b := range s.bufs[s.head:] {
		bufs += b.Head() + b.Len() + b.Tail()
	}
	if bufs > 5*sent {
		t.Errorf("%d octets take %d of memory", sent, bufs)
	}
	s.purge()
}

func TestW33_ShutdownLetsSessionsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(ctx context.Context, s *ServerSession) {
			if s.Command == "work" {
				time.Sleep(10 * time.Second)
				_, _ = s.Write([]byte("done"))
				return
			}
			stop := make(chan struct{})
			s.OnShutdown(func() { close(stop) })
			s.Accept()
			<-stop
		})
		work := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		idle := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		told := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		out := make(chan string, 1)
		go func() {
			sess, err := work.Session(context.Background())
			if err != nil {
				t.Error(err)
			}
			b, err := sess.Output(context.Background(), "work")
			if err != nil {
				t.Error(err)
			}
			out <- string(b)
		}()
		sess, err := told.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := sess.Start(context.Background(), "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		go func() {
			synctest.Wait()
			var no *OpenError
			if _, err := work.Session(context.Background()); !errors.As(err, &no) || no.Reason != OpenProhibited {
				t.Errorf("session during shutdown: %v", err)
			}
			var bye *DisconnectError
			for _, p := range []*pair{idle, told} {
				if err := p.Client.Wait(); !errors.As(err, &bye) || !bye.Remote || bye.Reason != uint32(DisconnectByApplication) {
					t.Errorf("idle client: %v", err)
				}
			}
			if time.Since(start) != 0 {
				t.Errorf("idle clients were told after %v", time.Since(start))
			}
		}()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		if got := <-out; got != "done" {
			t.Errorf("cut off: %q", got)
		}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		if err := s.ServeConn(context.Background(), b); !errors.Is(err, ErrServerClosed) {
			t.Errorf("connection after shutdown: %v", err)
		}
		_ = a.Close()
		for _, p := range []*pair{work, idle, told} {
			_ = p.close(t)
		}
	})
}

// TestW33_ShutdownOfIdleSessions: a client that lives, answers and does nothing
// does not hold a server for ever, whether it has not begun or not closed.
func TestW33_ShutdownOfIdleSessions(t *testing.T) {
	for name, begin := range map[string]func(p *script){
		"not begun": func(p *script) { p.open(1) },
		"not closed": func(p *script) {
			p.send(exec(p.open(1), "echo x"))
			p.want("exec", signal(msg.NumChannelSuccess, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testServer(shellServer)
				p := scriptClient(t, s)
				begin(p)
				bye := make(chan error, 1)
				go func() {
					for {
						b, err := p.c.Next()
						if err != nil {
							bye <- err
							return
						}
						var m msg.GlobalRequest
						if msg.Decode(b, &m) == nil && m.WantReply {
							p.trySend(&msg.RequestFailure{})
						}
					}
				}()
				start := time.Now()
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < time.Minute || took > 3*time.Minute {
					t.Errorf("took %v", took)
				}
				var d *DisconnectError
				if err := <-bye; !errors.As(err, &d) || d.Reason != uint32(DisconnectByApplication) {
					t.Errorf("the client hears %v", err)
				}
				_ = p.close()
			})
		})
	}
}

func TestW33_ShutdownWithAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		sess, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := sess.Start(context.Background(), "hang"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var cut *ShutdownError
		if err := s.Shutdown(ctx); !errors.As(err, &cut) || cut.Conns != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		_ = p.close(t)
		_ = sess.Close()
	})
}

// TestW36_ContextGovernsEverything: a server that stops answering at any point
// of the handshake does not hold up a client beyond its context.
func TestW36_ContextGovernsEverything(t *testing.T) {
	for _, octets := range []int64{0, 1, 10, 30, 100, 600, 1200, 1500, 2000} {
		synctest.Test(t, func(t *testing.T) {
			s := testServer(shellServer)
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			end := make(chan error, 1)
			go func() { end <- s.ServeConn(context.Background(), &muteConn{Conn: b, after: octets}) }()
			ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
			defer cancel()
			start := time.Now()
			c, err := NewClient(ctx, a, "host:22", testClient())
			if err == nil { // so far it was enough
				_, err = c.Session(ctx)
				_ = c.Close()
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("mute after %d octets: %v", octets, err)
			}
			if took := time.Since(start); took < 7*time.Second || took > 9*time.Second {
				t.Errorf("mute after %d octets: %v", octets, took)
			}
			_ = b.Close()
			<-end
		})
	}
}

// muteConn swallows what is written beyond so many octets.
type muteConn struct {
	net.Conn
	after int64
	n     atomic.Int64
}

func (m *muteConn) Write(p []byte) (int, error) {
	left := m.after - m.n.Add(int64(len(p))) + int64(len(p))
	if left > 0 {
		if _, err := m.Conn.Write(p[:min(left, int64(len(p)))]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// TestW36_ServerTimeouts: a silent client is gone after the time for its phase.
func TestW36_ServerTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		s.Timeouts = Timeouts{Ident: 3 * time.Second, Kex: 5 * time.Second, Auth: 7 * time.Second}
		serve := func() (*netsim.Conn, chan error) {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			end := make(chan error, 1)
			go func() { end <- s.ServeConn(context.Background(), b) }()
			return a, end
		}
		check := func(what string, end chan error, want time.Duration) {
			t.Helper()
			start := time.Now()
			err := <-end
			var late *TimeoutError
			if took := time.Since(start); !errors.As(err, &late) || took < want || took > want+time.Second {
				t.Errorf("%s: %v after %v, want %v", what, err, took, want)
			}
		}
		a, end := serve()
		check("ident", end, 3*time.Second)
		_ = a.Close()
		a, end = serve()
		_, _ = a.Write([]byte("SSH-2.0-x\r\n"))
		synctest.Wait()
		check("kex", end, 5*time.Second)
		_ = a.Close()
		a, end = serve()
		cfg := testClient()
		cfg.Auth = []AuthMethod{PasswordFunc(func(ctx context.Context, _ *PasswordPrompt) (string, error) {
			<-ctx.Done() // a user who went for coffee
			return "", ctx.Err()
		})}
		ctx, cancel := context.WithCancel(context.Background())
		gone := make(chan struct{})
		go func() {
			_, _ = NewClient(ctx, a, "host:22", cfg)
			close(gone)
		}()
		check("auth", end, 7*time.Second)
		cancel()
		<-gone
	})
}

func TestW37_KeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		time.Sleep(10 * time.Minute) // idle connections stay
		if err := p.Context().Err(); err != nil {
			t.Fatal(err)
		}
		if n := p.Info().PacketsIn; n > 200 {
			t.Errorf("%d packets in ten idle minutes", n)
		}
		p.b.Stall() // the server hears nothing more; the client still does
		start := time.Now()
		var dead *DeadPeerError
		err := <-p.end
		if took := time.Since(start); !errors.As(err, &dead) || took < 45*time.Second || took > 65*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		p.end <- nil
		_ = p.close(t)
	})
}

// TestW37_AnyPacketCounts: a peer that never answers keepalives but sends
// something is not dead, and keepalives are not sent while it does.
func TestW37_AnyPacketCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		p := scriptClient(t, s)
		go func() {
			for range 60 {
				time.Sleep(10 * time.Second)
				p.send(&msg.GlobalRequest{Name: "noise"})
			}
			p.send(&msg.GlobalRequest{Name: "last", WantReply: true})
		}()
		p.want("nothing but the last answer", &msg.RequestFailure{})
		_ = p.close()
	})
}

// TestW39_NothingHasToBeDrained: output, stderr, requests and events that
// nobody takes hold up nobody.
func TestW39_NothingHasToBeDrained(t *testing.T) {
	leakCheck(t)
	s := testServer(func(_ context.Context, s *ServerSession) {
		chunk := make([]byte, 1<<20)
		for range 10 {
			if _, err := s.Write(chunk); err != nil {
				return
			}
			if _, err := s.Stderr().Write(chunk); err != nil {
				return
			}
		}
		s.Exit(4)
	})
	s.AllowPTY = true
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	sess, err := p.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sess.PTY = &PTY{Term: "vt100"}
	if err := sess.Start(context.Background(), "x"); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(1000) {
		if sess.Signal(context.Background(), "USR1") != nil || sess.Resize(context.Background(), i, i) != nil {
			break // it has ended by now
		}
	}
	var exit *ExitError
	if err := sess.Wait(context.Background()); !errors.As(err, &exit) || exit.Status != 4 {
		t.Errorf("%v", err)
	}
	_ = p.close(t)
}

func TestSessionEvents(t *testing.T) {
	leakCheck(t)
	ready, got := make(chan struct{}), make(chan []SessionEvent, 1)
	s := testServer(func(ctx context.Context, s *ServerSession) {
		s.Accept()
		<-ready
		var all []SessionEvent
		for range 4 {
			e, err := s.Event(ctx)
			if err != nil {
				t.Error(err)
			}
			all = append(all, e)
		}
		short, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Event(short); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		got <- all
		if _, err := s.Event(context.Background()); !errors.Is(err, ErrChannelClosed) {
			t.Errorf("at the end: %v", err)
		}
	})
	s.AllowPTY = true
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	ctx := context.Background()
	sess, err := p.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sess.PTY = &PTY{Term: "vt100", Width: 80, Height: 24, Modes: []TerminalMode{{53, 1}}}
	if err := sess.Start(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []error{
		sess.Signal(ctx, "TERM"), sess.Signal(ctx, "HUP"), sess.Signal(ctx, "TERM"),
		sess.Resize(ctx, 1, 2), sess.Resize(ctx, 100, 50), sess.ch.Request(ctx, "break", true, []byte{0, 0, 1, 0}),
	} {
		if f != nil {
			t.Fatal(f)
		}
	}
	close(ready)
	want := []SessionEvent{{Signal: "TERM"}, {Signal: "HUP"}, {Break: true, Length: 256 * time.Millisecond}, {Resize: true, Width: 100, Height: 50}}
	for i, e := range <-got {
		if e != want[i] {
			t.Errorf("event %d: %+v, want %+v", i, e, want[i])
		}
	}
	_ = sess.Close()
	_ = p.close(t)
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
		ch, err := p.Subsystem(context.Background(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_ = ch.SetDeadline(start.Add(time.Second))
		if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := ch.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		_ = ch.SetDeadline(time.Time{})
		if _, err := ch.Write([]byte{7}); err != nil {
			t.Error(err)
		}
		b := make([]byte, 1)
		if _, err := ch.Read(b); err != nil || b[0] != 7 {
			t.Errorf("%v, %v", b, err)
		}
		_ = ch.Close()
		_ = p.close(t)
	})
}

func TestConfigMistakesAreErrors(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"kex":         func(c *Config) { c.KeyExchanges = "curve25519-sha265" },
		"cipher":      func(c *Config) { c.Ciphers = "+rot13" },
		"mac":         func(c *Config) { c.MACs = "-hmac-nothing" },
		"host key":    func(c *Config) { c.HostKeyAlgorithms = "^ssh-dsa" },
		"compression": func(c *Config) { c.Compression = "+gzip" },
		"version":     func(c *Config) { c.Version = "two words" },
		"minus":       func(c *Config) { c.Version = "two-words" }, // RFC 4253 section 4.2
		"newline":     func(c *Config) { c.Version = "x\r\nSSH-2.0-y" },
	} {
		s := testServer(nil)
		set(&s.Config)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		var bad *ConfigError
		if err := s.ServeConn(context.Background(), b); !errors.As(err, &bad) {
			t.Errorf("server, %s: %v", name, err)
		}
		cfg := testClient()
		set(&cfg.Config)
		if _, err := NewClient(context.Background(), a, "host:22", cfg); !errors.As(err, &bad) {
			t.Errorf("client, %s: %v", name, err)
		}
	}
	var bad *ConfigError
	if err := (&Server{}).ServeConn(context.Background(), &net.TCPConn{}); !errors.As(err, &bad) {
		t.Errorf("zero server: %v", err)
	}
	if _, err := Dial(context.Background(), "tcp", "127.0.0.1:1", &ClientConfig{}); !errors.As(err, &bad) {
		t.Errorf("client without host key callback: %v", err)
	}
	cfg := testClient()
	cfg.HostKey = func(string, net.Addr, gossh.PublicKey) error { return errTest }
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	go func() { _ = testServer(nil).ServeConn(context.Background(), b) }()
	var hk *HostKeyError
	if _, err := NewClient(context.Background(), a, "host:22", cfg); !errors.As(err, &hk) || !errors.Is(err, errTest) {
		t.Errorf("host key refused: %v", err)
	}
}

func TestRekeyAndPingWhileTrafficFlows(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
	ch, err := p.Subsystem(context.Background(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				_ = ch.CloseWrite()
				return
			default:
				if _, err := ch.Write(make([]byte, 10_000)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	wg.Go(func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{ch}) })
	for range 10 {
		if err := p.Rekey(context.Background()); err != nil {
			t.Fatal(err)
		}
		if d, err := p.Ping(context.Background()); err != nil || d < leastTime {
			t.Fatalf("%v, %v", d, err)
		}
	}
	close(stop)
	wg.Wait()
	if n := p.Info().KeyExchanges; n < 11 {
		t.Errorf("%d key exchanges", n)
	}
	if p.RTT() <= 0 {
		t.Error("no round trip was measured")
	}
	_ = ch.Close()
	_ = p.close(t)
}
