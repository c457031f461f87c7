package transport

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/packet"
)

// loopback returns n pairs of connected ends over TCP, after the handshake,
// in phase Open.
func loopback(t testing.TB, n int, cc, sc *Config) (clients, servers []*Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range n {
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		client, server := New(a, cc), New(b, sc)
		errs := make(chan error, 1)
		go func() { errs <- server.Handshake(t.Context()) }()
		if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
			t.Fatal(err)
		}
		client.SetPhase(msg.Open)
		server.SetPhase(msg.Open)
		clients, servers = append(clients, client), append(servers, server)
	}
	return clients, servers
}

// TestGateNoAllocations counts heap allocations for each packet of 32 KiB that
// goes from Flow.Write of one end to Next and Take of the other.
func TestGateNoAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Log("sync.Pool drops objects at random in race builds: nothing to count")
		return
	}
	for _, cipher := range []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"} {
		t.Run(cipher, func(t *testing.T) {
			cc, sc := testConfigs()
			cc.Ciphers = []string{cipher}
			clients, servers := loopback(t, 1, cc, sc)
			client, server := clients[0], servers[0]
			var wg sync.WaitGroup
			seen := make(chan struct{})
			wg.Go(func() {
				defer server.ReleaseReader()
				for {
					p, err := server.Next()
					if err != nil {
						_ = server.Close()
						return
					}
					if p[0] == msg.NumChannelData {
						server.Take().Release()
						seen <- struct{}{}
					}
				}
			})
			wg.Go(func() { _ = drain(client, nil) })
			flow := client.NewFlow(0, maxWindow, 32<<10)
			once := func() {
				if err := flow.Write(packet.Get(32 << 10)); err != nil {
					t.Error(err)
				}
				<-seen
			}
			for range 100 {
				once()
			}
			n := testing.AllocsPerRun(3000, once)
			t.Logf("%v allocations per packet, both ends", n)
			if n != 0 {
				t.Errorf("%v allocations per packet", n)
			}
			_ = client.Close()
			wg.Wait()
		})
	}
}

// TestGateIdle measures what an idle connection costs.
func TestGateIdle(t *testing.T) {
	const n = 100
	cc, sc := testConfigs()
	testKeys()
	measure := func() (octets uint64, routines int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the second one empties the pools
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
	}
	before, routines := measure()
	clients, servers := loopback(t, n, cc, sc)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _ = drain(clients[i], nil) })
		wg.Go(func() { _ = drain(servers[i], nil) })
	}
	// Readers that wait hold their small buffers once a small message came.
	for i := range n {
		_ = clients[i].SendMessage(&msg.Ignore{})
		_ = servers[i].SendMessage(&msg.Ignore{})
	}
	for i := range n {
		for clients[i].Info().PacketsIn < servers[i].Info().PacketsOut || servers[i].Info().PacketsIn < clients[i].Info().PacketsOut || clients[i].Info().PacketsOut == 0 {
			runtime.Gosched()
		}
	}
	after, now := measure()
	each := (after - before) / (2 * n)
	t.Logf("idle: %d octets per end, heap and stacks, socket included", each)
	if each > 24<<10 && !invariant.Enabled {
		t.Errorf("an idle end holds %d octets", each)
	}
	if got := now - routines; got != 4*n {
		t.Errorf("%d goroutines for %d ends", got, 2*n)
	}
	for i := range n {
		_ = clients[i].Close()
	}
	wg.Wait()
}
