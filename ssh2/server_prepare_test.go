package ssh2

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

type ctxKey struct{}

// What OnConn returned reaches Prepare and every handler of the connection.
func TestContextOfOnConn(t *testing.T) {
	leakCheck(t)
	var mu sync.Mutex
	seen := map[string]any{}
	see := func(ctx context.Context, where string) {
		mu.Lock()
		defer mu.Unlock()
		seen[where] = ctx.Value(ctxKey{})
	}
	s := testServer(func(ctx context.Context, _ *ServerSession) { see(ctx, "session") })
	s.OnConn = func(ctx context.Context, _ net.Conn) (context.Context, error) {
		return context.WithValue(ctx, ctxKey{}, 7), nil
	}
	s.Prepare = func(ctx context.Context, _ net.Conn, _ *ConnConfig) error { see(ctx, "prepare"); return nil }
	s.OnLogin = func(ctx context.Context, c *Conn) error { see(ctx, "login"); see(c.Context(), "conn"); return nil }
	pw := s.Auth.Password
	s.Auth.Password = func(ctx context.Context, a *AuthAttempt, p string) Verdict {
		see(ctx, "password")
		return pw(ctx, a, p)
	}
	s.Auth.None = func(ctx context.Context, _ *AuthAttempt) Verdict { see(ctx, "none"); return Verdict{} }
	s.Auth.Banner = func(ctx context.Context, _ ConnMeta) string { see(ctx, "banner"); return "" }
	s.Auth.PublicKey = func(ctx context.Context, _ *AuthAttempt, _ gossh.PublicKey) Verdict {
		see(ctx, "publickey")
		return Verdict{Partial: true}
	}
	s.Auth.Signature = func(ctx context.Context, _ *AuthAttempt, _ gossh.PublicKey, _ error) { see(ctx, "signature") }
	s.Channels = map[string]ChannelHandler{"x": func(ctx context.Context, _ *NewChannel) { see(ctx, "channel") }}
	s.Requests = map[string]GlobalHandler{"x": func(ctx context.Context, _ *Conn, _ *Request) (bool, []byte) {
		see(ctx, "request")
		return true, nil
	}}
	cfg := testClient()
	cfg.Auth = []AuthMethod{PublicKeys(edKey("a")), Password("p")}
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = sess.Run(t.Context(), "x")
	_, _ = p.Open(t.Context(), "x", nil, nil)
	_, _ = p.Request(t.Context(), "x", true, nil)
	_ = p.close(t)
	for _, where := range []string{"prepare", "none", "banner", "publickey", "signature", "password", "login", "conn", "session", "channel", "request"} {
		if seen[where] != 7 {
			t.Errorf("%s: %v", where, seen[where])
		}
	}
}

// Each connection gets its own configuration, and the server's stays as it is.
func TestPrepare(t *testing.T) {
	leakCheck(t)
	var packets, kexes atomic.Int32
	var log bytes.Buffer
	own := edKey("host key of one client")
	s := testServer(nil)
	s.NoHostKeyUpdates = false
	s.MinRSABits = 3072
	calls := 0
	s.Prepare = func(_ context.Context, nc net.Conn, c *ConnConfig) error {
		if calls++; nc == nil || c.MinRSABits != 3072 || c.HostKeys != nil || c.Auth.Password == nil {
			t.Errorf("call %d: %+v", calls, c)
		}
		if calls%2 == 0 {
			return nil
		}
		c.HostKeys = []gossh.Signer{own}
		c.Greeting = "hello"
		c.Version = "Other_1"
		c.Ciphers = "aes256-ctr"
		c.StrictKex = StrictKexOff
		c.Rekey.Bytes = 1 << 20
		c.KeepAlive.Interval = time.Hour
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.PacketLog = func(*PacketEvent) { packets.Add(1) }
		c.OnKex = func(KexInfo) { kexes.Add(1) }
		c.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict { return Verdict{OK: true, Identity: "other"} }
		c.Auth.Banner = func(context.Context, ConnMeta) string { return "banner" }
		return nil
	}
	for range 2 { // the second time as the first: nothing has stuck
		var updated atomic.Pointer[HostKeyUpdate]
		var banner string
		cfg := testClient()
		cfg.Auth = []AuthMethod{Password("whatever")}
		cfg.Banner = func(text, _ string) { banner = text }
		cfg.OnHostKeys = func(_ context.Context, u *HostKeyUpdate) { updated.Store(u) }
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		i := p.Info()
		if !bytes.Equal(i.HostKey.Marshal(), own.PublicKey().Marshal()) || i.Greeting != "hello\n" || i.Software != "Other_1" || i.In.Cipher != "aes256-ctr" || i.Strict || banner != "banner" {
			t.Errorf("connection %+v, banner %q", i, banner)
		}
		// The client hears of the keys that this connection has, and of no others.
		if !eventually(func() bool { return updated.Load() != nil }) || !bytes.Equal(updated.Load().Keys[0].Marshal(), own.PublicKey().Marshal()) || len(updated.Load().Keys) != 1 {
			t.Errorf("host keys %+v", updated.Load())
		}
		updated.Store(nil)
		if err := s.SetHostKeys(testHostKey); err != nil {
			t.Error(err)
		}
		if err := p.Rekey(t.Context()); err != nil || !bytes.Equal(p.Info().HostKey.Marshal(), own.PublicKey().Marshal()) {
			t.Errorf("rekey: %v", err)
		}
		if _, err := p.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		for c := range s.Conns() {
			if in := c.Info(); in.Identity != "other" || c.cfg.KeepAlive.Interval != time.Hour || c.cfg.Rekey.Bytes != 1<<20 {
				t.Errorf("server's end %+v, %+v", in, c.cfg)
			}
		}
		if updated.Load() != nil {
			t.Error("told of the server's keys")
		}
		_ = p.close(t)

		p = dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		if i := p.Info(); !bytes.Equal(i.HostKey.Marshal(), testHostKey.PublicKey().Marshal()) || i.Greeting != "" || i.Software != Version || !i.Strict {
			t.Errorf("connection left alone: %+v", i)
		}
		_ = p.close(t)
	}
	if packets.Load() == 0 || kexes.Load() != 4 || !strings.Contains(log.String(), "authentication success") || !strings.Contains(log.String(), "connection ended") {
		t.Errorf("%d packets, %d key exchanges, log %s", packets.Load(), kexes.Load(), log.String())
	}
}

// The pattern and AlgorithmsFor go with what Prepare made of the rest.
func TestPrepareIdentAndAlgorithms(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.Prepare = func(_ context.Context, _ net.Conn, c *ConnConfig) error {
		c.VersionPattern = regexp.MustCompile("Good")
		c.Version = "Mine_1"
		return nil
	}
	s.AlgorithmsFor = func(m ConnMeta) (*AlgorithmLists, error) {
		if m.ServerIdent != "SSH-2.0-Mine_1" {
			t.Errorf("asked for %+v", m)
		}
		return &AlgorithmLists{Ciphers: "aes256-ctr"}, nil
	}
	cfg := testClient()
	cfg.Version = "Good_1"
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	if i := p.Info(); i.In.Cipher != "aes256-ctr" || i.Software != "Mine_1" {
		t.Errorf("%+v", i)
	}
	_ = p.close(t)
	cfg.Version = "Bad_1"
	var e *IdentError
	if _, err := refusedBoth(t, s, cfg); !errors.As(err, &e) {
		t.Error(err)
	}
}

// A connection that Prepare does not want, or spoils, ends before a word is
// said; others go on, and the client is not to blame.
func TestPrepareRefuses(t *testing.T) {
	leakCheck(t)
	var pe *PanicError
	var ce *ConfigError
	for name, tt := range map[string]struct {
		prepare func(*ConnConfig) error
		is      func(error) bool
	}{
		"error":     {func(*ConnConfig) error { return errTest }, func(err error) bool { return errors.Is(err, errTest) }},
		"panic":     {func(*ConnConfig) error { panic("a mistake in the hook") }, func(err error) bool { return errors.As(err, &pe) }},
		"algorithm": {func(c *ConnConfig) error { c.Ciphers = "rot13"; return nil }, func(err error) bool { return errors.As(err, &ce) }},
		"keys":      {func(c *ConnConfig) error { c.HostKeys = []gossh.Signer{}; return nil }, func(err error) bool { return errors.As(err, &ce) }},
		"nil key":   {func(c *ConnConfig) error { c.HostKeys = []gossh.Signer{nil}; return nil }, func(err error) bool { return errors.As(err, &ce) }},
		"greeting":  {func(c *ConnConfig) error { c.Greeting = "SSH-2.0-x"; return nil }, func(err error) bool { return errors.As(err, &ce) }},
		"user keys": {func(c *ConnConfig) error { c.Auth.PublicKeyAlgorithms = "rot13"; return nil }, func(err error) bool { return errors.As(err, &ce) }},
	} {
		s := testServer(nil)
		s.Sources.Exempt = []netip.Prefix{}
		bad := true
		s.Prepare = func(_ context.Context, _ net.Conn, c *ConnConfig) error {
			if !bad {
				return nil
			}
			return tt.prepare(c)
		}
		for range 5 {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			end := make(chan error, 1)
			go func() { end <- s.ServeConn(context.Background(), fromConn{b, "198.51.100.7"}) }()
			if n, err := a.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("%s: %d octets, %v", name, n, err)
			}
			if err := <-end; !tt.is(err) {
				t.Errorf("%s: %v", name, err)
			}
			_ = a.Close()
		}
		bad = false
		if err := loginFrom(t, s, "198.51.100.7", "p"); err != nil {
			t.Errorf("%s: the next: %v", name, err)
		}
	}
}

// A cause that says goodbye reaches the client, whatever phase the connection
// is in.
func TestFarewell(t *testing.T) {
	leakCheck(t)
	for _, phase := range []string{"ident", "kex", "auth", "session"} {
		synctest.Test(t, func(t *testing.T) {
			var cancel atomic.Pointer[context.CancelCauseFunc]
			end := func() {
				(*cancel.Load())(&DisconnectError{Reason: uint32(DisconnectTooManyConnections), Text: "not you"})
			}
			s := testServer(nil)
			s.Sources.Exempt = []netip.Prefix{}
			s.OnConn = func(ctx context.Context, _ net.Conn) (context.Context, error) {
				ctx, stop := context.WithCancelCause(ctx)
				cancel.Store(&stop)
				return ctx, nil
			}
			s.Auth.Password = func(ctx context.Context, _ *AuthAttempt, _ string) Verdict {
				if phase != "session" {
					end()
					<-ctx.Done()
				}
				return Verdict{OK: true}
			}
			for range 5 { // no penalty: it was our wish
				a, b := netsim.Pipe(netsim.Link{Delay: time.Second}, netsim.Link{Delay: time.Second})
				served := make(chan error, 1)
				go func() { served <- s.ServeConn(context.Background(), fromConn{b, "198.51.100.7"}) }()
				switch phase {
				case "ident":
					time.AfterFunc(time.Second/2, func() { end() })
				case "kex":
					time.AfterFunc(3*time.Second/2, func() { end() })
				}
				c, err := NewClient(t.Context(), a, "host:22", testClient())
				if err == nil {
					end()
					err = c.Wait()
				}
				var d *DisconnectError
				if !errors.As(err, &d) || !d.Remote || d.Reason != uint32(DisconnectTooManyConnections) || d.Text != "not you" {
					t.Errorf("%s: client %v", phase, err)
				}
				if err := <-served; !errors.As(err, &d) || d.Remote || d.Text != "not you" {
					t.Errorf("%s: server %v", phase, err)
				}
				_ = a.Close()
			}
			if n := s.NumConns(); n != 0 {
				t.Errorf("%s: %d connections left", phase, n)
			}
		})
	}
}

// What some peer said elsewhere is not passed on, and other causes say nothing.
func TestFarewellOfOthers(t *testing.T) {
	leakCheck(t)
	for _, cause := range []error{&DisconnectError{Reason: 2, Text: "secret", Remote: true}, errTest} {
		synctest.Test(t, func(t *testing.T) {
			s := testServer(nil)
			s.OnConn = func(ctx context.Context, _ net.Conn) (context.Context, error) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(time.Second, func() { cancel(cause) })
				return ctx, nil
			}
			cfg := testClient()
			cfg.Auth = []AuthMethod{PasswordFunc(func(context.Context, *PasswordPrompt) (string, error) { time.Sleep(time.Minute); return "p", nil })}
			cerr, serr := refusedBoth(t, s, cfg)
			if strings.Contains(cerr.Error(), "secret") || !errors.Is(serr, cause) {
				t.Errorf("client %v, server %v", cerr, serr)
			}
		})
	}
}

// Host keys may come with each connection; without any it is refused.
func TestPrepareBringsHostKeys(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.HostKeys = nil
	if err := s.Check(); err == nil {
		t.Error("a server without host keys is fine")
	}
	s = testServer(nil)
	s.HostKeys = nil
	bring := true
	s.Prepare = func(_ context.Context, _ net.Conn, c *ConnConfig) error {
		if bring {
			c.HostKeys = []gossh.Signer{testHostKey}
		}
		return nil
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	_ = p.close(t)
	bring = false
	var ce *ConfigError
	if _, err := refusedBoth(t, s, testClient()); !errors.As(err, &ce) {
		t.Error(err)
	}
	s = testServer(nil)
	s.HostKeys, s.Prepare, s.Ciphers = nil, func(context.Context, net.Conn, *ConnConfig) error { return nil }, "rot13"
	if err := s.Check(); !errors.As(err, &ce) {
		t.Error(err)
	}
}

// Host keys that sign by none of the algorithms named are a fault of the configuration: nobody could
// connect.
func TestHostKeysFitAlgorithms(t *testing.T) {
	s := testServer(nil) // its key is of type ssh-ed25519
	s.HostKeyAlgorithms = "rsa-sha2-512,rsa-sha2-256"
	var ce *ConfigError
	if err := s.Check(); !errors.As(err, &ce) {
		t.Errorf("%v", err)
	}
	s = testServer(nil)
	s.HostKeyAlgorithms = "rsa-sha2-512,ssh-ed25519"
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s = testServer(nil)
	s.HostKeyAlgorithms = "rsa-sha2-512"
	s.AlgorithmsFor = func(ConnMeta) (*AlgorithmLists, error) { return nil, nil } // may name others
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
