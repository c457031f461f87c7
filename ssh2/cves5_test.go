package ssh2

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

func TestCVE_5_3_RefusedAndClosedChannelsAreFreed(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	var conn *Conn
	s.OnLogin = func(_ context.Context, c *Conn) error { conn = c; return nil }
	p := scriptClient(t, s)
	for range repeat(10_000) {
		p.send(&msg.ChannelOpen{Type: "nonsense", Sender: 1, Window: 1, MaxPacket: 1})
		p.want("refusal", &msg.ChannelOpenFailure{Recipient: 1, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
	}
	for range repeat(10_000) {
		id := p.open(7)
		if id >= DefaultMaxChannels {
			t.Fatalf("channel number %d: numbers are not used again", id)
		}
		p.send(signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 7))
	}
	p.alive()
	conn.mu.Lock()
	if len(conn.channels) > DefaultMaxChannels || conn.counted != 0 {
		t.Errorf("%d channels kept, %d counted", len(conn.channels), conn.counted)
	}
	conn.mu.Unlock()
	_ = p.close()
}

// floods are messages for nobody. each gets the number of an open channel.
var floods = map[string]func(id uint32) msg.Message{
	"81":            func(uint32) msg.Message { return &msg.RequestSuccess{Data: make([]byte, 100)} },
	"82":            func(uint32) msg.Message { return &msg.RequestFailure{} },
	"99":            func(id uint32) msg.Message { return signal(msg.NumChannelSuccess, id) },
	"100":           func(id uint32) msg.Message { return signal(msg.NumChannelFailure, id) },
	"91":            func(id uint32) msg.Message { return &msg.ChannelOpenConfirmation{Recipient: id, MaxPacket: 1} },
	"92":            func(id uint32) msg.Message { return &msg.ChannelOpenFailure{Recipient: id} },
	"94 never open": func(uint32) msg.Message { return &msg.ChannelData{Recipient: 77, Data: []byte{1}} },
	"98 never open": func(uint32) msg.Message { return &msg.ChannelRequest{Recipient: 77, Name: "x"} },
	"91 never open": func(uint32) msg.Message { return &msg.ChannelOpenConfirmation{Recipient: 77, MaxPacket: 1} },
	"99 never open": func(uint32) msg.Message { return signal(msg.NumChannelSuccess, 77) },
	"93 never open": func(uint32) msg.Message { return &msg.WindowAdjust{Recipient: 1<<32 - 1, Bytes: 1} },
}

func TestCVE_5_4_MessagesForNobody(t *testing.T) {
	for name, m := range floods {
		t.Run(name, func(t *testing.T) {
			leakCheck(t)
			s := testServer(shellServer)
			s.MaxChannels = 2
			p := scriptClient(t, s)
			id := p.open(1)
			other := p.open(2)
			p.send(exec(other, "cat"))
			p.want("cat", signal(msg.NumChannelSuccess, 2))
			// A reader that waited for someone would never get through this.
			go func() {
				for range 10_000 {
					if !p.trySend(m(id)) {
						return
					}
				}
				p.trySend(&msg.ChannelData{Recipient: other, Data: []byte("moving")})
				p.trySend(signal(msg.NumChannelEOF, other))
			}()
			for {
				b, err := p.c.Next()
				if err != nil {
					var refused *ProtocolError
					if err := p.close(); !errors.As(err, &refused) {
						t.Errorf("ended with %v", err)
					}
					return
				}
				if b[0] == msg.NumChannelData {
					break // dropped, and the other channel moves
				}
			}
			_ = p.close()
		})
	}
}

func TestCVE_5_4_AFewStraysAreDropped(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.send(signal(msg.NumChannelClose, id))
	p.want("close", signal(msg.NumChannelClose, 1))
	// What a peer may have had under way when the channel closed.
	p.send(&msg.WindowAdjust{Recipient: id, Bytes: 100}, signal(msg.NumChannelEOF, id), &msg.RequestFailure{})
	p.alive()
	_ = p.close()
}

func TestCVE_5_5_SocketDiesDuringRequests(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	hold := make(chan struct{})
	s.Requests = map[string]GlobalHandler{"wait": func(context.Context, *Conn, *Request) (bool, []byte) { <-hold; return true, nil }}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	ch, err := p.Subsystem(context.Background(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = p.Client.Request(context.Background(), "wait", true, nil)
			} else {
				err = ch.Request(context.Background(), "wait", true, nil)
			}
			if err == nil {
				t.Error("a request succeeded on a dead connection")
			}
		})
		if i == 500 {
			p.a.Cut()
		}
	}
	wg.Wait()
	if _, err := ch.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reading from a dead connection: %v", err)
	}
	close(hold)
	_ = ch.Close()
	_ = p.close(t)
}

func TestCVE_5_6_WriteOfMoreThan4GiB(t *testing.T) {
	if bits.UintSize < 64 {
		return // there are no such slices
	}
	leakCheck(t)
	p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{CutAt: 8 << 20}, netsim.Link{})
	ch, err := p.Subsystem(context.Background(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{ch}) }()
	size := int64(1<<32 + 1) // a variable: as a constant it does not compile where an int has 32 bits
	if n, err := ch.Write(huge(t, int(size))); err == nil || n < 4<<20 || n > 16<<20 {
		t.Errorf("wrote %d octets, %v", n, err)
	}
	_ = ch.Close()
	_ = p.close(t)
}

func TestCVE_5_7_WindowWraps(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.send(&msg.WindowAdjust{Recipient: id, Bytes: 1<<32 - 1 - 1<<20}) // exactly full is legal
	p.alive()
	p.send(&msg.WindowAdjust{Recipient: id, Bytes: 1})
	p.wantViolation()
}

func TestCVE_5_8_DataBeyondTheWindow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		over   int
		refuse bool
	}{{"exact", 0, false}, {"one octet", 1, false}, {"1 MiB", 1 << 20, true}} {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			s := testServer(shellServer)
			s.Windows.Initial = 64 << 10
			p := scriptClient(t, s)
			id := p.open(1)
			p.send(exec(id, "hang")) // never reads
			p.want("exec", signal(msg.NumChannelSuccess, 1))
			for left := 64<<10 + tc.over; left > 0; {
				n := min(left, 32<<10)
				left -= n
				if !p.trySend(&msg.ChannelData{Recipient: id, Data: make([]byte, n)}) {
					break
				}
			}
			if tc.refuse {
				p.wantViolation()
				return
			}
			p.alive()
			_ = p.close()
		})
	}
}

func TestCVE_5_8_PacketLargerThanAnnounced(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.trySend(&msg.ChannelData{Recipient: id, Data: make([]byte, maxPacket+1)})
	p.wantViolation()
}

func TestCVE_5_8_DataAfterEOF(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	id := p.open(1)
	p.send(signal(msg.NumChannelEOF, id))
	p.trySend(&msg.ChannelData{Recipient: id, Data: []byte{1}})
	p.wantViolation()
}

func TestCVE_5_9_HugeWindowOfAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written int
		s := testServer(func(_ context.Context, s *ServerSession) {
			buf := make([]byte, 32<<10)
			for {
				n, err := s.Write(buf)
				written += n
				if err != nil {
					return
				}
			}
		})
		p := scriptClient(t, s)
		p.send(&msg.ChannelOpen{Type: "session", Sender: 1, Window: 1<<32 - 1, MaxPacket: 1<<32 - 1})
		var ok msg.ChannelOpenConfirmation
		p.get(&ok)
		p.nc.Stall()
		p.send(exec(ok.Sender, "fill"))
		synctest.Wait() // the writer waits
		if written == 0 || written > 4<<20 {
			t.Errorf("%d octets written to a peer that reads none", written)
		}
		_ = p.nc.Close()
		_ = p.close()
	})
}

func TestCVE_5_10_MaximumPacketSize(t *testing.T) {
	leakCheck(t)
	s := testServer(func(_ context.Context, s *ServerSession) {
		_, _ = s.Write(make([]byte, 5000))
		_, _ = s.Stderr().Write(make([]byte, 3))
	})
	p := scriptClient(t, s)
	p.send(&msg.ChannelOpen{Type: "session", Sender: 3, Window: 100, MaxPacket: 0})
	p.want("0 is refused", &msg.ChannelOpenFailure{Recipient: 3, Reason: uint32(OpenConnectFailed), Text: "maximum packet size 0"})
	for _, size := range []uint32{1, 2, 1<<32 - 1} {
		p.send(&msg.ChannelOpen{Type: "session", Sender: 1, Window: 1 << 20, MaxPacket: size})
		var ok msg.ChannelOpenConfirmation
		p.get(&ok)
		p.send(exec(ok.Sender, "x"))
		p.want("exec", signal(msg.NumChannelSuccess, 1))
		for out, errOut := 0, 0; out < 5000 || errOut < 3; {
			b := p.next()
			if b[0] == msg.NumChannelExtData {
				var m msg.ChannelExtendedData
				if err := msg.Decode(b, &m); err != nil || len(m.Data) > int(min(size, 1<<20)) {
					t.Fatalf("%v, %d octets", err, len(m.Data))
				}
				errOut += len(m.Data)
				continue
			}
			_, data, ok := msg.ParseChannelData(b)
			if !ok || len(data) == 0 || len(data) > int(min(size, 1<<20)) {
				t.Fatalf("%s with maximum packet size %d", describe(b), size)
			}
			out += len(data)
		}
		var exit msg.ChannelRequest
		p.get(&exit)
		p.want("eof", signal(msg.NumChannelEOF, 1))
		p.want("close", signal(msg.NumChannelClose, 1))
		p.send(signal(msg.NumChannelClose, ok.Sender))
	}
	_ = p.close()
}

func TestCVE_5_10_ConfirmationWithMaximumPacketSize0(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Session(context.Background())
		failed <- err
	}()
	var m msg.ChannelOpen
	p.get(&m)
	p.send(&msg.ChannelOpenConfirmation{Recipient: m.Sender, Window: 1})
	p.wantViolation()
	if err := <-failed; err == nil {
		t.Error("session opened")
	}
}

func TestCVE_5_11_InitialWindow0(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	p := scriptClient(t, s)
	p.send(&msg.ChannelOpen{Type: "session", Sender: 1, Window: 0, MaxPacket: 100})
	var ok msg.ChannelOpenConfirmation
	p.get(&ok)
	p.send(exec(ok.Sender, "echo hello"))
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	p.alive() // nothing was sent meanwhile: alive would have skipped it, the next want not
	p.send(&msg.WindowAdjust{Recipient: ok.Sender, Bytes: 2})
	p.want("as much as the window", &msg.ChannelData{Recipient: 1, Data: []byte("he")})
	p.send(&msg.WindowAdjust{Recipient: ok.Sender, Bytes: 3})
	p.want("the rest", &msg.ChannelData{Recipient: 1, Data: []byte("llo")})
	_ = p.close()
}

func TestCVE_5_12_ExtendedDataIsDroppedWithCredit(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.Windows.Initial = 64 << 10
	s.Windows.Maximum = 64 << 10
	p := scriptClient(t, s)
	id := p.open(1)
	p.send(exec(id, "cat"))
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	// Many windows full: without credit this would be a violation soon.
	window := 64 << 10
	for range 100 {
		const n = 16 << 10
		for window < n {
			var m msg.WindowAdjust
			p.get(&m)
			window += int(m.Bytes)
		}
		p.send(&msg.ChannelExtendedData{Recipient: id, Code: 1, Data: make([]byte, n)})
		window -= n
	}
	p.send(&msg.ChannelData{Recipient: id, Data: []byte("main")})
	for {
		if b := p.next(); b[0] == msg.NumChannelData {
			if _, data, _ := msg.ParseChannelData(b); string(data) != "main" {
				t.Errorf("main stream has %q", data)
			}
			break
		}
	}
	p.send(&msg.ChannelExtendedData{Recipient: id, Code: 7, Data: []byte{1}})
	p.wantViolation()
}

func TestCVE_5_13_ChannelsPerConnection(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.MaxChannels = 3
	p := scriptClient(t, s)
	var ids []uint32
	for i := range uint32(3) {
		ids = append(ids, p.open(i))
	}
	for range 1000 {
		p.send(&msg.ChannelOpen{Type: "session", Sender: 9, Window: 1, MaxPacket: 1})
		p.want("refused", &msg.ChannelOpenFailure{Recipient: 9, Reason: uint32(OpenResourceShortage), Text: "too many channels"})
	}
	p.send(signal(msg.NumChannelClose, ids[0]))
	p.want("closed", signal(msg.NumChannelClose, 0))
	p.open(4)
	_ = p.close()
}

// A channel counts as long as its handler runs, or closing channels whose
// handlers hang would make as many goroutines as a client likes.
func TestCVE_5_13_HandlersThatHangCount(t *testing.T) {
	leakCheck(t)
	release := make(chan struct{})
	s := testServer(func(_ context.Context, s *ServerSession) {
		s.Accept()
		<-release
	})
	s.MaxChannels = 2
	p := scriptClient(t, s)
	for range 2 {
		id := p.open(1)
		p.send(exec(id, "x"))
		p.want("exec", signal(msg.NumChannelSuccess, 1))
		p.send(signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 1))
	}
	p.send(&msg.ChannelOpen{Type: "session", Sender: 1, Window: 1, MaxPacket: 1})
	p.want("refused", &msg.ChannelOpenFailure{Recipient: 1, Reason: uint32(OpenResourceShortage), Text: "too many channels"})
	close(release)
	_ = p.close()
}

func TestCVE_5_14_GlobalRequestFlood(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	n := repeat(50_000)
	ahead := make(chan struct{}, 500) // who is further ahead than 1024 answers is cut off
	go func() {
		for i := range n {
			if i%2 == 0 {
				ahead <- struct{}{}
			}
			if !p.trySend(&msg.GlobalRequest{Name: "flood", WantReply: i%2 == 0}) {
				return
			}
		}
	}()
	for range n / 2 {
		p.want("each is answered once", &msg.RequestFailure{})
		<-ahead
	}
	p.alive()
	_ = p.close()
}

func TestCVE_5_14_FloodOfAPeerThatDoesNotRead(t *testing.T) {
	leakCheck(t)
	p := scriptClient(t, testServer(shellServer))
	p.nc.Stall()
	for p.trySend(&msg.GlobalRequest{Name: "flood", WantReply: true}) {
	}
	p.over = true // its own reader never ran
	p.c.ReleaseReader()
	if err := p.close(); err == nil {
		t.Error("ended without an error")
	}
}

func TestCVE_5_15_OneOctetPackets(t *testing.T) {
	leakCheck(t)
	got := make(chan int, 1)
	var conn *Conn
	s := testServer(func(_ context.Context, s *ServerSession) {
		conn = s.Conn()
		n, _ := io.Copy(io.Discard, struct{ io.Reader }{s})
		got <- int(n)
		_ = s.Close()
	})
	n := repeat(300_000) // more than a quarter of the window, less than two
	s.Windows.Initial = uint32(n / 2 * 7)
	s.Windows.Maximum = s.Windows.Initial
	p := scriptClient(t, s)
	id := p.open(1)
	p.send(exec(id, "x"))
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	go func() {
		for range n {
			if !p.trySend(&msg.ChannelData{Recipient: id, Data: []byte{1}}) {
				t.Error("hung up")
				return
			}
		}
		p.trySend(signal(msg.NumChannelEOF, id))
	}()
	adjusts := 0
	for {
		b := p.next()
		if b[0] == msg.NumChannelClose {
			break
		}
		if b[0] == msg.NumWindowAdjust {
			adjusts++
		}
	}
	if m := <-got; m != n {
		t.Errorf("%d octets instead of %d", m, n)
	}
	if adjusts != 1 {
		t.Errorf("%d window adjusts, want 1", adjusts)
	}
	if q := conn.Info().Queued; q != 0 {
		t.Errorf("%d octets still count as queued", q)
	}
	_ = p.close()
}

func TestCVE_5_16_CloseWhileEverythingIsInFlight(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.MaxChannels = 100
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	ctx := context.Background()
	rounds := repeat(500)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range rounds {
				ch, err := p.Subsystem(ctx, "echo")
				if err != nil {
					t.Error(err)
					return
				}
				var inner sync.WaitGroup
				inner.Go(func() { _, _ = ch.Write(make([]byte, 10_000)) })
				inner.Go(func() { _, _ = ch.Read(make([]byte, 100)) })
				inner.Go(func() { _ = ch.Request(ctx, "env", true, nil) })
				inner.Go(func() { _ = ch.CloseWrite() })
				if (i+w)%2 == 0 {
					_ = ch.Close()
				} else {
					inner.Go(func() { _ = ch.Close() })
				}
				inner.Wait()
			}
		})
	}
	wg.Wait()
	_ = p.close(t)
}

func TestCVE_5_17_SlowPeerAndRekey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(shellServer)
		s.Rekey.Bytes = 64 << 10
		cfg := testClient()
		cfg.Rekey.Bytes = 64 << 10
		slow := netsim.Link{Buffer: 1 << 10, MaxRead: 1000}
		p := dialPair(t, s, cfg, slow, slow)
		ch, err := p.Subsystem(context.Background(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		const total = 2 << 20
		go func() {
			for n := 0; n < total; n += 16 << 10 {
				if err := ch.WritePacket(packet.Get(16 << 10)); err != nil {
					t.Error(err)
					return
				}
			}
			_ = ch.CloseWrite()
		}()
		start := time.Now()
		n, err := io.Copy(io.Discard, struct{ io.Reader }{ch})
		if n != total || err != nil {
			t.Errorf("%d octets, %v", n, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("stood still for %v", took)
		}
		if k := p.Info().KeyExchanges; k < 3 {
			t.Errorf("only %d key exchanges", k)
		}
		_ = ch.Close()
		_ = p.close(t)
	})
}
