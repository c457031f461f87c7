package transport

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// events collects what a configuration is told of key exchanges.
type events struct {
	mu  sync.Mutex
	all []KexEvent
}

func (e *events) listen(c *Config) {
	c.OnKex = func(k *KexEvent) {
		e.mu.Lock()
		e.all = append(e.all, *k)
		e.mu.Unlock()
	}
}

func (e *events) reasons() (r []KexReason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.all {
		r = append(r, k.Reason)
	}
	return r
}

// Whatever begins a key exchange, both sides are told of it, with the reason on
// the side that has it.
func TestKexEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(began *Config) // of the side that begins
		begin  func(t *testing.T, began, other *Conn)
		want   KexReason
	}{
		"call": {nil, func(t *testing.T, began, _ *Conn) {
			t.Helper()
			if err := began.Rekey(t.Context()); err != nil {
				t.Error(err)
			}
		}, KexCall},
		"bytes sent": {func(c *Config) { c.RekeyBytes = 10_000 }, func(_ *testing.T, began, _ *Conn) {
			_ = began.SendMessage(&msg.GlobalRequest{Name: string(make([]byte, 12_000))})
		}, KexBytes},
		"bytes received": {func(c *Config) { c.RekeyBytes = 10_000 }, func(_ *testing.T, _, other *Conn) {
			_ = other.SendMessage(&msg.GlobalRequest{Name: string(make([]byte, 12_000))})
		}, KexBytes},
		"packets sent": {func(c *Config) { c.RekeyPackets = 50 }, func(_ *testing.T, began, _ *Conn) {
			for range 50 {
				_ = began.SendMessage(&msg.Ignore{})
			}
		}, KexPackets},
		"packets received": {func(c *Config) { c.RekeyPackets = 50 }, func(_ *testing.T, _, other *Conn) {
			for range 50 {
				_ = other.SendMessage(&msg.Ignore{})
			}
		}, KexPackets},
		"interval": {func(c *Config) { c.RekeyInterval = time.Minute }, func(*testing.T, *Conn, *Conn) {
			time.Sleep(90 * time.Second) // of the bubble
		}, KexInterval},
	} {
		for _, role := range []msg.Role{msg.Client, msg.Server} {
			t.Run(fmt.Sprint(name, " ", role), func(t *testing.T) {
				testKeys()
				synctest.Test(t, func(t *testing.T) {
					cc, sc := testConfigs()
					var ce, se events
					ce.listen(cc)
					se.listen(sc)
					beganCfg := cc
					if role == msg.Server {
						beganCfg = sc
					}
					if tt.change != nil {
						tt.change(beganCfg)
					}
					// A link with a delay, so that exchanges take time.
					link := netsim.Link{Delay: 10 * time.Millisecond}
					a, b := netsim.Pipe(link, link)
					client, server := New(a, cc), New(b, sc)
					var wg sync.WaitGroup
					for _, c := range []*Conn{client, server} {
						wg.Go(func() {
							if err := c.Handshake(t.Context()); err != nil {
								t.Error(err)
								return
							}
							c.SetPhase(msg.Open)
							_ = drain(c, nil)
						})
					}
					synctest.Wait()
					time.Sleep(time.Second)
					began, other, be, oe := client, server, &ce, &se
					if role == msg.Server {
						began, other, be, oe = server, client, &se, &ce
					}
					tt.begin(t, began, other)
					time.Sleep(time.Second)
					if got := be.reasons(); !slices.Equal(got, []KexReason{KexFirst, tt.want}) {
						t.Errorf("who began was told %v", got)
					}
					if got := oe.reasons(); !slices.Equal(got, []KexReason{KexFirst, KexPeer}) {
						t.Errorf("the other was told %v", got)
					}
					for i := range min(len(ce.all), len(se.all)) {
						c, s := ce.all[i], se.all[i]
						if c.Number != i+1 || s.Number != i+1 || c.Kex != s.Kex || c.In != s.Out || c.Out != s.In || !c.Strict || !s.Strict || c.HostKeyAlgorithm != s.HostKeyAlgorithm {
							t.Errorf("client %+v, server %+v", c, s)
						}
						if c.Duration < 20*time.Millisecond || c.Duration > time.Second || c.In.Cipher == "" {
							t.Errorf("event %+v", c)
						}
					}
					_ = client.Close()
					wg.Wait()
				})
			})
		}
	}
}

// A sender that found the keys spent comes too late when others have exchanged
// them by then, or compression has given back what was reserved.
func TestKexNotBegunWithFreshKeys(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		<-p.c.startKex(kexSpent)
		p.Send(&msg.Ping{Data: []byte("x")})
		p.Want("echo and no KEXINIT", msg.NumPong)
	})
}

// What is told of an exchange is not what somebody has begun since, who waited
// for its end: a time below a round trip would be.
func TestKexEventIsOfTheExchangeThatEnded(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		cc, sc := testConfigs()
		var told events
		told.listen(cc)
		cc.Kex, cc.HostKeys = []string{"curve25519-sha256"}, []string{"ssh-ed25519"} // the cheapest
		link := netsim.Link{Delay: 10 * time.Millisecond}
		a, b := netsim.Pipe(link, link)
		client, server := New(a, cc), New(b, sc)
		var wg sync.WaitGroup
		for _, c := range []*Conn{client, server} {
			wg.Go(func() {
				if err := c.Handshake(t.Context()); err != nil {
					t.Error(err)
					return
				}
				c.SetPhase(msg.Open)
				_ = drain(c, nil)
			})
		}
		time.Sleep(time.Second)
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for range 100 {
					if err := client.Rekey(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		for _, e := range told.all {
			if e.Duration < 2*link.Delay {
				t.Errorf("exchange %d took %v", e.Number, e.Duration)
			}
		}
		_ = client.Close()
		wg.Wait()
	})
}
