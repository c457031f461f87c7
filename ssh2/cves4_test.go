package ssh2

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// TestCVE_4_1_ExchangesBeforeLogin: who has not logged in makes a server do the
// mathematics of a handful of key exchanges per connection and no more, and has
// at most MaxStartups connections to do it on.
func TestCVE_4_1_ExchangesBeforeLogin(t *testing.T) {
	for _, method := range []string{"curve25519-sha256", "diffie-hellman-group14-sha256", "diffie-hellman-group-exchange-sha256"} {
		t.Run(method, func(t *testing.T) {
			leakCheck(t)
			s := testServer(shellServer)
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			end := make(chan error, 1)
			go func() { end <- s.ServeConn(context.Background(), b) }()
			cfg := testClient()
			cfg.KeyExchanges = AlgList(method)
			tcfg, err := cfg.clientTransport("host:22", a)
			if err != nil {
				t.Fatal(err)
			}
			c := transport.New(a, tcfg)
			if err := c.Handshake(context.Background()); err != nil {
				t.Fatal(err)
			}
			read := make(chan struct{})
			go func() {
				defer close(read)
				for {
					if _, err := c.Next(); err != nil {
						_ = c.Close()
						c.ReleaseReader()
						return
					}
				}
			}()
			exchanges := 0
			for ; exchanges < 100 && c.Rekey(context.Background()) == nil; exchanges++ {
			}
			if exchanges > 4 {
				t.Errorf("%d key exchanges without a login", exchanges)
			}
			<-read
			var refused *ProtocolError
			if err := <-end; !errors.As(err, &refused) {
				t.Errorf("ended with %v", err)
			}
		})
	}
	t.Run("startups", func(t *testing.T) {
		leakCheck(t)
		s := testServer(shellServer)
		var at, most atomic.Int32
		s.MaxStartups = 4
		s.OnConn = func(ctx context.Context, _ net.Conn) (context.Context, error) {
			n := at.Add(1)
			for {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					return ctx, nil
				}
			}
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
				wg.Go(func() {
					_, _ = io.Copy(io.Discard, a)
					_ = a.Close()
				})
				_, _ = a.Write([]byte("SSH-2.0-x\r\nnot a key exchange, and so the end"))
				if err := s.ServeConn(context.Background(), b); !strings.Contains(err.Error(), "too many") {
					at.Add(-1)
				}
			})
		}
		wg.Wait()
		if most.Load() > 4 {
			t.Errorf("%d at once", most.Load())
		}
	})
}

// TestCVE_4_6_GSSAPIMechanismCount: a count of mechanisms is no reason to take
// memory, and the method is refused whatever it says.
func TestCVE_4_6_GSSAPIMechanismCount(t *testing.T) {
	for _, n := range []uint32{0, 1, 1 << 16, 1<<32 - 1} {
		for _, method := range []string{"gssapi-with-mic", "gssapi-keyex", "gssapi"} {
			fields := append(binary.BigEndian.AppendUint32(nil, n), make([]byte, 20)...)
			p := msg.Append(nil, &msg.UserauthRequest{User: "alice", Service: serviceConnection, Method: method, Fields: fields})
			l := authRun{auth: ServerAuth{Password: alicePassword}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			expectAuth(t, l.run(t, p), "failure password")
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 {
				t.Errorf("%s with %d mechanisms: %d octets allocated", method, n, took)
			}
		}
	}
}

// TestCVE_4_10_NoCompressionBeforeLogin: neither end offers compression, and a
// peer that insists on it gets no further than KEXINIT.
func TestCVE_4_10_NoCompressionBeforeLogin(t *testing.T) {
	for _, theirs := range [][]string{{"zlib"}, {"zlib@openssh.com"}, {"zlib", "zlib@openssh.com"}} {
		leakCheck(t)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- testServer(shellServer).ServeConn(context.Background(), b) }()
		in := bufio.NewReader(a)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(in, body); err != nil {
			t.Fatal(err)
		}
		var init msg.KexInit
		if err := msg.Decode(body[:len(body)-int(head[4])], &init); err != nil {
			t.Fatal(err)
		}
		for _, names := range [][]string{init.CompressOut, init.CompressIn} {
			if !slices.Equal(names, []string{"none"}) {
				t.Errorf("offers compression %q", names)
			}
		}
		init.CompressOut, init.CompressIn = theirs, theirs
		payload := msg.Append(nil, &init)
		padding := 8 - (5+len(payload))%8 + 8
		packet := binary.BigEndian.AppendUint32([]byte("SSH-2.0-x\r\n"), uint32(1+len(payload)+padding))
		packet = append(append(append(packet, byte(padding)), payload...), make([]byte, padding)...)
		if _, err := a.Write(packet); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(in) // DISCONNECT, and nothing of a key exchange
		if len(rest) < 6 || rest[5] != msg.NumDisconnect {
			t.Errorf("%q: answered %x", theirs, rest)
		}
		var negotiation *NegotiationError
		if err := <-end; !errors.As(err, &negotiation) {
			t.Errorf("%q: ended with %v", theirs, err)
		}
		_ = a.Close()
	}
}

// TestCVE_9_1_NamesOfThePeerInLogs: user names that a handler lets in and what
// clients ask for are text of the peer, whatever becomes of them.
func TestCVE_9_1_NamesOfThePeerInLogs(t *testing.T) {
	leakCheck(t)
	evil := "x\x1b[2J\r\n\u202eevil\u2066\u009b\x7f%s%n"
	for _, handler := range []func(io.Writer) slog.Handler{
		func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		var log bytes.Buffer
		s := testServer(shellServer)
		s.Log = slog.New(handler(&log))
		s.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict { return Verdict{OK: true} }
		cfg := testClient()
		cfg.User = "\u202eevil\u2066%s%n" // what has controls is refused
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		_, _ = p.Open(context.Background(), evil, []byte(evil), nil)
		_, _ = p.Client.Request(context.Background(), evil, true, []byte(evil))
		if _, err := p.Subsystem(context.Background(), evil); err == nil {
			t.Error("subsystem granted")
		}
		_ = p.Disconnect(DisconnectProtocolError, evil)
		_ = p.close(t)
		if log.Len() == 0 {
			t.Error("nothing is logged")
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(log.String(), "\n"), "\n") {
			if !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "time=") {
				t.Errorf("a line of its own: %q", line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("not quoted: %q", line)
			}
		}
	}
}

// TestCVE_4_2_ManyParked: while connections wait at every stage, and up to
// MaxStartups, others log in; all that wait are closed in time.
func TestCVE_4_2_ManyParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		s.MaxStartups = 101
		s.Timeouts = Timeouts{Ident: 10 * time.Second, Kex: 20 * time.Second, Auth: 40 * time.Second}
		var all sync.WaitGroup
		stages := []func(a *netsim.Conn){
			func(*netsim.Conn) {},
			func(a *netsim.Conn) { // an octet a second
				for _, c := range []byte("SSH-2.0-" + strings.Repeat("x", 200)) {
					if _, err := a.Write([]byte{c}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			},
			func(a *netsim.Conn) { _, _ = a.Write([]byte("SSH-2.0-x\r\n")) },
			func(a *netsim.Conn) {
				_, _ = a.Write([]byte("SSH-2.0-x\r\n\x00\x00\x00\xFF")) // a packet that does not end
			},
			func(a *netsim.Conn) { // after NEWKEYS
				tcfg, err := testClient().clientTransport("host:22", a)
				if err != nil {
					t.Error(err)
					return
				}
				c := transport.New(a, tcfg)
				if err := c.Handshake(context.Background()); err != nil {
					t.Error(err)
					return
				}
				_, _ = c.Next()
				_ = c.Close()
				c.ReleaseReader()
			},
		}
		start := time.Now()
		for i := range 100 {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			all.Go(func() { _ = s.ServeConn(context.Background(), b) })
			all.Go(func() {
				stages[i%len(stages)](a)
				_, _ = io.Copy(io.Discard, a)
				_ = a.Close()
			})
		}
		time.Sleep(5 * time.Second)
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		if _, err := p.Session(context.Background()); err != nil {
			t.Error(err)
		}
		_ = p.close(t)
		all.Wait()
		if took := time.Since(start); took > 42*time.Second {
			t.Errorf("all gone after %v", took)
		}
	})
}
