package ssh2

import (
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestAllocsPerPacket moves 32 KiB packets through a channel both ways, with
// everything below it real but the wire.
func TestAllocsPerPacket(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	ch, err := p.Subsystem(context.Background(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	const size = 32 << 10
	round := func() {
		// Some packets at a time, so that batches, adjusts and windows take part.
		for range 8 {
			b := packet.Get(size)
			b.Bytes()[0] = 1
			if err := ch.WritePacket(b); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 8*size; {
			b, err := ch.ReadPacket()
			if err != nil {
				t.Fatal(err)
			}
			n += b.Len()
			b.Release()
		}
	}
	rounds := 200
	if raceEnabled {
		rounds = 10 // to see that it works; the count means nothing then
	}
	for range rounds / 4 {
		round() // fill the pools
	}
	// 32 packets make a round: 8 out and 8 back, each sent and received.
	if n := testing.AllocsPerRun(rounds, round); n >= 1 && !raceEnabled {
		t.Errorf("%v allocations for 32 packets", n)
	}
}

// TestTwoGoroutinesPerIdleConnection counts both ends of idle connections with
// an open channel.
func TestTwoGoroutinesPerIdleConnection(t *testing.T) {
	leakCheck(t)
	idle := make(chan struct{})
	s := testServer(func(_ context.Context, s *ServerSession) { <-idle })
	s.Channels = map[string]ChannelHandler{"idle": func(_ context.Context, n *NewChannel) { _, _ = n.Accept(nil) }}
	const conns = 20
	before := runtime.NumGoroutine()
	var mem [2]runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem[0])
	var pairs []*pair
	for range conns {
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		if _, err := p.Open(context.Background(), "idle", nil, nil); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	if !eventually(func() bool { return runtime.NumGoroutine()-before <= 4*conns }) { // handlers that accepted return
		t.Errorf("%d goroutines for %d connections, both ends: more than 4 each", runtime.NumGoroutine()-before, conns)
	}
	runtime.GC()
	runtime.GC() // what pools held is free only after a second one
	runtime.ReadMemStats(&mem[1])
	per := (int64(mem[1].HeapAlloc) - int64(mem[0].HeapAlloc) + int64(mem[1].StackInuse) - int64(mem[0].StackInuse)) / conns
	t.Logf("%d octets per idle connection with a channel, both ends and the simulated link together", per)
	if limit := int64(96 << 10); per > limit && !raceEnabled {
		t.Errorf("%d octets per idle connection, both ends: more than %d", per, limit)
	}
	close(idle)
	for _, p := range pairs {
		_ = p.close(t)
	}
}

// BenchmarkPut measures one direction with both ends in this process.
func BenchmarkPut(b *testing.B) {
	s := testServer(func(_ context.Context, s *ServerSession) {
		for {
			buf, err := s.ReadPacket()
			if err != nil {
				return
			}
			buf.Release()
		}
	})
	a, z := netsim.Pipe(netsim.Link{}, netsim.Link{})
	go func() { _ = s.ServeConn(context.Background(), z) }()
	c, err := NewClient(context.Background(), a, "host:22", testClient())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Subsystem(context.Background(), "sink")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(32 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if err := ch.WritePacket(packet.Get(32 << 10)); err != nil {
			b.Fatal(err)
		}
	}
	_ = ch.CloseWrite()
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{ch})
}
