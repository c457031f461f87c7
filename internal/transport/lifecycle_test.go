package transport

import (
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestCVE_13_1_EndFromEverywhere ends a connection under load in several ways
// at once.
func TestCVE_13_1_EndFromEverywhere(t *testing.T) {
	for range 20 {
		leaks(t)
		cc, sc := testConfigs()
		cc.RekeyBytes, sc.RekeyBytes = 64<<10, 64<<10
		client, server := pair(t, cc, sc)
		var wg sync.WaitGroup
		for _, c := range []*Conn{client, server} {
			wg.Go(func() { _ = drain(c, nil) })
			for range 2 {
				wg.Go(func() {
					flow := c.NewFlow(0, maxWindow, 32<<10)
					for flow.Write(packet.Get(40<<10)) == nil {
					}
				})
				wg.Go(func() {
					for c.SendMessage(&msg.Ignore{}) == nil && c.PostMessage(&msg.Ignore{}) == nil {
					}
				})
				wg.Go(func() {
					for c.Rekey(t.Context()) == nil {
					}
				})
			}
		}
		for client.Info().KeyExchanges < 3 && client.Err() == nil {
			_ = client.SendMessage(&msg.Ignore{})
		}
		if err := client.Err(); err != nil && !errors.As(err, new(*ProtocolError)) {
			t.Error(err)
		}
		for i := range 6 {
			wg.Go(func() {
				switch i % 3 {
				case 0:
					_ = client.Close()
				case 1:
					_ = server.Disconnect(ReasonByApplication, "bye")
				case 2:
					_ = server.Close()
				}
			})
		}
		wg.Wait()
		if client.Err() == nil || server.Err() == nil {
			t.Error("an end has no error")
		}
		if err := client.SendMessage(&msg.Ignore{}); err == nil {
			t.Error("send after the end")
		}
	}
}

func TestCloseBeforeHandshake(t *testing.T) {
	leaks(t)
	cc, _ := testConfigs()
	a, _ := connect(t)
	c := New(a, cc)
	_ = c.Close()
	if err := c.Handshake(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	a, _ = connect(t)
	c = New(a, cc)
	_ = c.Disconnect(ReasonByApplication, "changed our mind")
	if err := c.SendMessage(&msg.Ignore{}); err == nil {
		t.Error("sent")
	}
	if err := c.Handshake(t.Context()); err == nil {
		t.Error("handshake after Disconnect")
	}
}

func TestFlowDeadlineAndClose(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		flow := p.c.NewFlow(0, 10, 32<<10)
		start := time.Now()
		flow.SetDeadline(start.Add(time.Second))
		if err := flow.Write(packet.Get(20)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			p.t.Errorf("got %v after %v", err, time.Since(start))
		}
		flow.SetDeadline(time.Time{})
		var wg sync.WaitGroup
		stop := errors.New("stop")
		for range 3 {
			wg.Go(func() {
				if err := flow.Write(packet.Get(20)); !errors.Is(err, stop) {
					p.t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		flow.Close(stop)
		wg.Wait()
	})
}

// TestFlowKeepsChains writes chains from several goroutines through a small
// window: none is torn apart by another.
func TestFlowKeepsChains(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		flow := p.c.NewFlow(0, 0, 7)
		var wg sync.WaitGroup
		const each = 1000
		for i := range byte(4) {
			wg.Go(func() {
				b := packet.Get(0)
				for n := 0; n < each; n += 100 {
					next := packet.Get(100)
					for j := range next.Bytes() {
						next.Bytes()[j] = i
					}
					b.Link(next)
				}
				if err := flow.Write(b); err != nil {
					p.t.Error(err)
				}
			})
		}
		run, last := each, byte(0xFF)
		for got := 0; got < 4*each; {
			if err := flow.Grant(5); err != nil {
				p.t.Fatal(err)
			}
			for left := 5; left > 0; {
				_, data, _ := msg.ParseChannelData(p.Want("data", msg.NumChannelData))
				if len(data) == 0 || len(data) > left {
					p.t.Fatalf("%d octets in a window of %d", len(data), left)
				}
				left -= len(data)
				got += len(data)
				for _, b := range data {
					if b != last && run != each {
						p.t.Fatalf("chain %d cut after %d octets", last, run)
					}
					if b != last {
						last, run = b, 0
					}
					run++
				}
			}
		}
		wg.Wait()
	})
}

func TestPing(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Handshake()
		if _, err := p.c.Ping(p.t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			p.t.Errorf("got %v", err)
		}
		p.Send(&msg.ExtInfo{Extensions: []msg.Extension{{Name: PingExtension, Value: []byte("0")}}})
		if p.role == msg.Client {
			p.Send(&msg.UserauthRequest{})
			p.Want("success", msg.NumUserauthSuccess)
		} else {
			p.Send(&msg.UserauthSuccess{})
		}
		p.delivered()
		var wg sync.WaitGroup
		wg.Go(func() {
			if d, err := p.c.Ping(p.t.Context()); err != nil || d != time.Second {
				p.t.Errorf("%v, %v", d, err)
			}
		})
		var m msg.Ping
		p.check(msg.Decode(p.Want("ping", msg.NumPing), &m))
		p.Send(&msg.Pong{Data: []byte("unasked")})
		time.Sleep(time.Second) // of the bubble's clock
		p.Send(&msg.Pong{Data: m.Data})
		wg.Wait()
	})
}
