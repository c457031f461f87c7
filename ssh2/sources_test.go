package ssh2

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// fromConn is a connection that comes from somewhere.
type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 4711))
}

// loginFrom logs in from an address and out again. It returns how the server
// saw it end.
func loginFrom(t *testing.T, s *Server, from, password string) error {
	t.Helper()
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(context.Background(), fromConn{b, from}) }()
	cfg := testClient()
	cfg.Auth = []AuthMethod{Password(password)}
	c, err := NewClient(t.Context(), a, "host:22", cfg)
	if err == nil {
		_ = c.Close()
		_ = c.Wait()
	}
	return <-served
}

func TestCVE_4_12_Penalties(t *testing.T) { // W27
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		s := testServer(nil)
		s.Sources.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
		failures := func(from string) (n int) {
			for range 20 {
				if err := loginFrom(t, s, from, "wrong"); err == nil {
					t.Fatal("let in")
				} else if !errors.Is(err, errPenalty) {
					n++
				}
			}
			return n
		}
		if n := failures("198.51.100.7"); n != 3 { // of 5 s each, until 15
			t.Errorf("%d failures were listened to", n)
		}
		if err := loginFrom(t, s, "198.51.100.7", "p"); !errors.Is(err, errPenalty) {
			t.Errorf("right password of a source with a penalty: %v", err)
		}
		if err := loginFrom(t, s, "198.51.100.8", "p"); err != nil {
			t.Errorf("neighbour: %v", err)
		}
		if err := loginFrom(t, s, "::ffff:198.51.100.7", "p"); !errors.Is(err, errPenalty) {
			t.Errorf("the same, written as IPv6: %v", err)
		}
		// A whole IPv6 network is one source.
		if n := failures("2001:db8::1"); n != 3 {
			t.Errorf("%d failures were listened to", n)
		}
		if err := loginFrom(t, s, "2001:db8::ffff:1:2", "p"); !errors.Is(err, errPenalty) {
			t.Errorf("other address of the network: %v", err)
		}
		if err := loginFrom(t, s, "2001:db8:0:1::1", "p"); err != nil {
			t.Errorf("other network: %v", err)
		}
		// Those who are listed fail for free, and so does success.
		if n := failures("192.0.2.3"); n != 20 {
			t.Errorf("exempt: %d failures were listened to", n)
		}
		for range 20 {
			if err := loginFrom(t, s, "203.0.113.1", "p"); err != nil {
				t.Fatal(err)
			}
		}
		// It passes.
		time.Sleep(16 * time.Second)
		if err := loginFrom(t, s, "198.51.100.7", "p"); err != nil {
			t.Errorf("after the penalty: %v", err)
		}
		if n := failures("198.51.100.7"); n != 3 {
			t.Errorf("anew: %d", n)
		}
	})
}

// What a connection costs depends on what it did.
func TestCVE_4_12_CostOfConnections(t *testing.T) {
	leakCheck(t)
	for name, tt := range map[string]struct {
		play func(*netsim.Conn) // the client
		cost time.Duration
	}{
		"probe":       {func(*netsim.Conn) {}, 0}, // W26: nothing was said
		"ident only":  {func(c *netsim.Conn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n")) }, time.Second},
		"no protocol": {func(c *netsim.Conn) { _, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, 10 * time.Second},
		"garbage":     {func(c *netsim.Conn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n" + strings.Repeat("\xff", 64))) }, 10 * time.Second},
		"too slow":    {func(*netsim.Conn) { time.Sleep(time.Hour) }, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := testServer(nil)
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				tt.play(a)
				synctest.Wait()
				_ = a.Close()
			}()
			if err := s.ServeConn(context.Background(), fromConn{b, "198.51.100.7"}); err == nil {
				t.Errorf("%s: no error", name)
			}
			got := time.Duration(0)
			if e := s.sources.v4.order.Front(); e != nil {
				got = time.Until(e.Value.(*penalty).until)
			}
			if got != tt.cost {
				t.Errorf("%s costs %v, want %v", name, got, tt.cost)
			}
			<-done
		})
	}
	// What we end ourselves costs nothing.
	synctest.Test(t, func(t *testing.T) {
		s := testServer(nil)
		s.OnConn = func(context.Context, net.Conn) (context.Context, error) { return nil, errTest }
		if err := loginFrom(t, s, "198.51.100.7", "p"); !errors.Is(err, errTest) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s2 := testServer(nil)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		go func() { _, _ = a.Write([]byte("SSH-2.0-x\r\n")); synctest.Wait(); cancel() }()
		_ = s2.ServeConn(ctx, fromConn{b, "198.51.100.7"})
		_ = a.Close()
		if s.sources.v4.order.Len() != 0 || s2.sources.v4.order.Len() != 0 {
			t.Error("penalty for nothing")
		}
	})
}

// The table has a bound, whatever comes.
func TestCVE_4_12_BoundedTable(t *testing.T) {
	s := newSources(SourceLimits{Entries: 1000}.withDefaults(100))
	now := time.Unix(1e9, 0)
	first := netip.MustParsePrefix("2001:db8::/64")
	n := repeat(1_000_000)
	for i := range n {
		ip := [16]byte{0x20, 0x01, byte(i >> 16), byte(i >> 8), byte(i), 1}
		s.penalize(netip.PrefixFrom(netip.AddrFrom16(ip), 64), time.Second, now)
		if i%500 == 0 { // who goes on is not forgotten
			s.penalize(first, 5*time.Second, now)
		}
	}
	if len(s.v6.entries) != 1000 || s.v6.order.Len() != 1000 || len(s.v4.entries) != 0 {
		t.Errorf("%d entries, %d in order, %d of IPv4", len(s.v6.entries), s.v6.order.Len(), len(s.v4.entries))
	}
	if !s.v6.refuses(first, now) {
		t.Error("the worst of all was forgotten")
	}
	// However much it is, it ends, and what has ended is forgotten.
	if s.v6.refuses(first, now.Add(defaultPenaltyLongest)) || s.v6.entries[first] != nil {
		t.Error("penalty without end")
	}
	none := newSources(SourceLimits{Entries: 1, Failed: -1}.withDefaults(100))
	none.penalize(first, none.limits.Failed, now)
	if len(none.v6.entries) != 0 {
		t.Error("negative penalty was kept")
	}
}

func TestCVE_4_1_StartupsOfOneSource(t *testing.T) { // and 4.2
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		s := testServer(nil)
		s.MaxStartups = 10
		var parked []*netsim.Conn
		ends := make(chan error, 100)
		park := func(from string) {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			parked = append(parked, a)
			go func() { ends <- s.ServeConn(context.Background(), fromConn{b, from}) }()
			synctest.Wait()
		}
		for range 5 {
			park("198.51.100.7")
		}
		if len(ends) != 0 {
			t.Errorf("%v", <-ends)
		}
		for range 3 { // half of all places is taken by one
			park("198.51.100.7")
			if err := <-ends; !errors.Is(err, errSource) {
				t.Error(err)
			}
		}
		if err := loginFrom(t, s, "198.51.100.8", "p"); err != nil {
			t.Errorf("another source: %v", err)
		}
		for _, c := range parked {
			_ = c.Close()
		}
		for range 5 {
			<-ends
		}
		for range 10 { // what is over, or logged in, takes no place
			if err := loginFrom(t, s, "198.51.100.7", "p"); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.sources.startups) != 0 || s.startups != 0 {
			t.Errorf("%v, %d start-ups left", s.sources.startups, s.startups)
		}
	})
}

func TestCVE_4_2_EarlyDrop(t *testing.T) {
	rate := func(d EarlyDrop, startups, limit int) (percent int) {
		const n = 20_000
		dropped := 0
		for range n {
			if d.dropEarly(startups, limit) {
				dropped++
			}
		}
		return (dropped*100 + n/2) / n
	}
	for _, tt := range []struct {
		d               EarlyDrop
		startups, limit int
		least, most     int
	}{
		{EarlyDrop{}, 49, 100, 0, 0},
		{EarlyDrop{}, 50, 100, 28, 32},
		{EarlyDrop{}, 75, 100, 63, 67},
		{EarlyDrop{}, 99, 100, 97, 100},
		{EarlyDrop{Begin: 10, Percent: 30}, 9, 100, 0, 0},
		{EarlyDrop{Begin: 10, Percent: 30}, 10, 100, 28, 32},
		{EarlyDrop{Begin: 10, Percent: 30}, 55, 100, 63, 67},
		{EarlyDrop{Begin: 10, Percent: 100}, 10, 100, 100, 100},
		{EarlyDrop{Begin: -1}, 99, 100, 0, 0},
		{EarlyDrop{Begin: 100}, 99, 100, 0, 0},
		{EarlyDrop{}, 0, 1, 0, 0}, // a single place is not given by chance
	} {
		if got := rate(tt.d, tt.startups, tt.limit); got < tt.least || got > tt.most {
			t.Errorf("%+v at %d of %d: %d percent", tt.d, tt.startups, tt.limit, got)
		}
	}
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		s := testServer(nil)
		s.MaxStartups, s.EarlyDrop = 10, EarlyDrop{Begin: 1, Percent: 100}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		parked := make(chan error, 1)
		go func() { parked <- s.ServeConn(context.Background(), b) }()
		synctest.Wait()
		if err := loginFrom(t, s, "198.51.100.7", "p"); !errors.Is(err, errEarlyDrop) {
			t.Error(err)
		}
		_ = a.Close()
		<-parked
		if err := loginFrom(t, s, "198.51.100.7", "p"); err != nil {
			t.Error(err)
		}
	})
}

func TestSourceLimitsConfig(t *testing.T) {
	for _, l := range []SourceLimits{{IPv4Bits: 33}, {IPv6Bits: 129}, {IPv4Bits: -1}, {IPv6Bits: -1}, {Entries: -1}} {
		s := testServer(nil)
		s.Sources = l
		var ce *ConfigError
		if err := s.prepare(); !errors.As(err, &ce) || ce.Setting != "sources" {
			t.Errorf("%+v: %v", l, err)
		}
	}
	s := newSources(SourceLimits{}.withDefaults(100))
	for addr, want := range map[string]string{
		"127.0.0.1": "", "127.9.9.9": "", "::1": "", "::ffff:127.0.0.1": "", "192.0.2.1": "192.0.2.1/32", "2001:db8::1:2": "2001:db8::/64", "fe80::1%eth0": "fe80::/64",
	} {
		got := ""
		if p := s.of(fromConn{nil, addr}.RemoteAddr()); p.IsValid() {
			got = p.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if s.of(&net.UnixAddr{Name: "x"}).IsValid() || s.of(nil).IsValid() {
		t.Error("no IP address, and a source")
	}
}

// slowAddr is a connection that has to be read to tell where it comes from, as
// wrappers of PROXY protocol do.
type slowAddr struct {
	fromConn
	told chan struct{}
}

func (c slowAddr) RemoteAddr() net.Addr {
	<-c.told
	return c.fromConn.RemoteAddr()
}

// Who is slow to tell where he comes from holds up nobody else, and is bounded
// as any other start-up.
func TestCVE_4_2_SlowRemoteAddr(t *testing.T) { // and W26
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		s := testServer(nil)
		s.MaxStartups = 2
		told, ends := make(chan struct{}), make(chan error, 3)
		var peers []*netsim.Conn
		for range 2 {
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			peers = append(peers, a)
			go func() { ends <- s.ServeConn(context.Background(), slowAddr{fromConn{b, "198.51.100.7"}, told}) }()
			synctest.Wait()
			if !s.mu.TryLock() {
				t.Error("the server waits for one client")
				break
			}
			s.mu.Unlock()
		}
		if err := loginFrom(t, s, "198.51.100.8", "p"); !errors.Is(err, errStartups) {
			t.Errorf("not counted: %v", err)
		}
		close(told)
		// One start-up is all that one source has of two.
		if err := <-ends; !errors.Is(err, errSource) {
			t.Error(err)
		}
		for _, c := range peers {
			_ = c.Close()
		}
		<-ends
		if s.NumConns() != 0 || s.startups != 0 || len(s.sources.startups) != 0 {
			t.Errorf("%d connections, %d and %d start-ups left", s.NumConns(), s.startups, len(s.sources.startups))
		}
	})
}
