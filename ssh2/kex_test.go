package ssh2

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// refusedBoth connects both and returns how each end failed.
func refusedBoth(t *testing.T, s *Server, cfg *ClientConfig) (client, server error) {
	t.Helper()
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(context.Background(), b) }()
	c, client := NewClient(context.Background(), a, "host:22", cfg)
	if client == nil {
		_ = c.Close()
	}
	return client, <-end
}

// What is configured reaches the wire, and Info says what came of it.
func TestCVE_1_4_StrictKexConfig(t *testing.T) {
	leakCheck(t)
	const chacha, gcm = "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"
	for _, tt := range []struct {
		client, server           StrictKex
		cipher                   AlgList
		strict                   bool
		clientFails, serverFails bool
	}{
		{StrictKexOffer, StrictKexOffer, chacha, true, false, false},
		{StrictKexOff, StrictKexOffer, chacha, false, false, false},
		{StrictKexOffer, StrictKexOff, gcm, false, false, false},
		{StrictKexOrSafe, StrictKexRequire, chacha, true, false, false},
		{StrictKexOrSafe, StrictKexOff, gcm, false, false, false},
		{StrictKexOrSafe, StrictKexOff, chacha, false, true, false},
		{StrictKexOff, StrictKexOrSafe, chacha, false, false, true},
		{StrictKexOff, StrictKexRequire, gcm, false, false, true},
		{StrictKexRequire, StrictKexOff, gcm, false, true, false},
	} {
		login := make(chan *Conn, 1)
		s := testServer(nil)
		s.StrictKex = tt.server
		s.OnLogin = func(_ context.Context, c *Conn) error { login <- c; return nil }
		cfg := testClient()
		cfg.StrictKex, cfg.Ciphers = tt.client, tt.cipher
		if !tt.clientFails && !tt.serverFails {
			p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
			if p.Info().Strict != tt.strict || (<-login).Info().Strict != tt.strict {
				t.Errorf("%v with %v: client %v", tt.client, tt.server, p.Info().Strict)
			}
			_ = p.close(t)
			continue
		}
		cerr, serr := refusedBoth(t, s, cfg)
		var e *StrictKexError
		if cerr == nil || serr == nil || errors.As(cerr, &e) != tt.clientFails || errors.As(serr, &e) != tt.serverFails {
			t.Errorf("%v with %v: client %v, server %v", tt.client, tt.server, cerr, serr)
		}
	}
	var ce *ConfigError
	cfg := testClient()
	cfg.StrictKex = 9
	if cerr, _ := refusedBoth(t, testServer(nil), cfg); !errors.As(cerr, &ce) {
		t.Errorf("unknown mode: %v", cerr)
	}
}

// Both sides hear of each key exchange, in order, and why it was.
func TestOnKex(t *testing.T) {
	leakCheck(t)
	type log struct {
		sync.Mutex
		all []KexInfo
	}
	var client, server log
	note := func(l *log) func(KexInfo) {
		return func(k KexInfo) {
			l.Lock()
			l.all = append(l.all, k)
			l.Unlock()
		}
	}
	s := testServer(nil)
	s.OnKex = note(&server)
	cfg := testClient()
	cfg.OnKex, cfg.Rekey.Bytes = note(&client), 100<<10
	login := make(chan *Conn, 1)
	s.OnLogin = func(_ context.Context, c *Conn) error { login <- c; return nil }
	s.Requests = map[string]GlobalHandler{"x": func(context.Context, *Conn, *Request) (bool, []byte) { return true, nil }}
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	reasons := func(l *log) (r []KexReason) {
		l.Lock()
		defer l.Unlock()
		for _, k := range l.all {
			r = append(r, k.Reason)
		}
		return r
	}
	if err := p.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The server is done with it a moment later.
	eventually(func() bool { return len(reasons(&server)) == 2 })
	conn := <-login
	if err := conn.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := p.Request(t.Context(), "x", true, make([]byte, 12<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if !eventually(func() bool { return len(reasons(&client)) == 4 && len(reasons(&server)) == 4 }) {
		t.Errorf("client %v, server %v", reasons(&client), reasons(&server))
	}
	_ = p.close(t)
	if got := reasons(&client); !slices.Equal(got, []KexReason{KexFirst, KexCall, KexPeer, KexBytes}) {
		t.Errorf("client %v", got)
	}
	if got := reasons(&server); !slices.Equal(got, []KexReason{KexFirst, KexPeer, KexCall, KexPeer}) {
		t.Errorf("server %v", got)
	}
	info := p.Info()
	for i, k := range client.all {
		if k.Number != i+1 || k.Kex != info.Kex || k.HostKeyAlgorithm != info.HostKeyAlgorithm || k.In != info.In || k.Out != info.Out || !k.Strict || k.Duration < leastTime {
			t.Errorf("%+v", k)
		}
	}
}

func TestKexNames(t *testing.T) {
	for r, want := range map[KexReason]string{0: "unknown", KexFirst: "first", KexPeer: "peer", KexCall: "call", KexBytes: "bytes", KexPackets: "packets", KexInterval: "interval"} {
		if r.String() != want {
			t.Errorf("reason %d is %q", r, r)
		}
	}
	for s, want := range map[StrictKex]string{StrictKexOffer: "offer", StrictKexOff: "off", StrictKexOrSafe: "or-safe", StrictKexRequire: "require", 9: "unknown"} {
		if s.String() != want {
			t.Errorf("mode %d is %q", s, s)
		}
	}
}
