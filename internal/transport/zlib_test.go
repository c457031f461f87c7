package transport

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/inflate"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A zpeer is a peer that compresses with compress/flate, or by hand.
type zpeer struct {
	*peer
	raw []byte // the last payload of the Conn as it was on the wire
	out *flate.Writer
	buf bytes.Buffer
	in  *inflate.Decoder
}

// zscript is script with compression on both sides, not yet begun.
func zscript(t *testing.T, method string, f func(*zpeer)) {
	bothRoles(t, func(c *Config) {
		c.Compress = []string{method}
		c.Ciphers = []string{"aes128-gcm@openssh.com"}
	}, func(p *peer) {
		p.init.CompressIn, p.init.CompressOut = []string{method}, []string{method}
		f(&zpeer{peer: p})
	})
}

// compress begins a stream with what we send.
func (z *zpeer) compress() {
	z.buf.Reset()
	z.buf.Write([]byte{0x78, 0x9C})
	z.out, _ = flate.NewWriter(&z.buf, flate.BestCompression)
	z.deflate = func(p []byte) []byte {
		_, _ = z.out.Write(p)
		_ = z.out.Flush()
		return bytes.Clone(z.take())
	}
}

func (z *zpeer) take() []byte {
	defer z.buf.Reset()
	return z.buf.Bytes()
}

// expand begins a stream with what the Conn sends.
func (z *zpeer) expand() {
	z.in = new(inflate.Decoder)
	z.inflate = func(p []byte) []byte {
		z.raw = p
		out := make([]byte, 1<<20)
		n, _, full, err := z.in.Decode(out, 0, p)
		if err != nil || full || n == 0 {
			z.t.Errorf("packet %x: %d octets, full %v, %v", p[:min(len(p), 20)], n, full, err)
			return []byte{0}
		}
		z.in.Keep(out[:n])
		return out[:n]
	}
}

// streams begins both after a key exchange: the Conn's NEWKEYS is still what
// it was before.
func (z *zpeer) kex() {
	z.t.Helper()
	z.Exchange()
	z.NewKeys()
	z.compress()
	z.WantNewKeys()
	z.expand()
}

// echo sends a ping and wants it back.
func (z *zpeer) echo(text string) {
	z.t.Helper()
	z.Send(&msg.Ping{Data: []byte(text)})
	var m msg.Pong
	z.check(msg.Decode(z.Want("echo of "+text, msg.NumPong), &m))
	if string(m.Data) != text {
		z.t.Errorf("echo %q, want %q", m.Data, text)
	}
}

// wantRefused expects the end with the given reason.
func (z *zpeer) wantRefused(why string, reason uint32) {
	z.t.Helper()
	z.deflate = nil // WantClosed goes on sending, whatever it is
	z.WantDisconnect(why, reason)
	var e *ProtocolError
	if err := z.lastError(); !errors.As(err, &e) || e.Reason != reason {
		z.t.Errorf("%s: ended with %v", why, err)
	}
}

// TestZlibBeginsWithNewKeys: "zlib" holds for every packet after NEWKEYS, the
// first ones before login included, and each key exchange begins new streams
// (RFC 4253 §6.2).
func TestZlibBeginsWithNewKeys(t *testing.T) {
	zscript(t, "zlib", func(z *zpeer) {
		z.Idents()
		z.kex()
		<-z.ready
		z.login()
		z.echo("one")
		first := len(z.raw)
		z.echo("one")
		if len(z.raw) >= first {
			z.t.Errorf("%d octets for what took %d before", len(z.raw), first)
		}
		for range 2 { // begun by us
			z.KexInit()
			z.kex()
			z.echo("after")
			if !bytes.HasPrefix(z.raw, []byte{0x78, 0x9C}) {
				z.t.Errorf("no new stream: %x", z.raw)
			}
		}
		done := make(chan error, 1) // begun by the Conn
		go func() { done <- z.c.Rekey(z.t.Context()) }()
		z.theirInit = z.Want("key exchange", msg.NumKexInit)
		z.kex()
		z.check(<-done)
		z.echo("again")
		if i := z.c.Info(); i.In.Compression != "zlib" || i.Out.Compression != "zlib" {
			z.t.Errorf("in %+v, out %+v", i.In, i.Out)
		}
	})
}

// TestZlibBeginsAfterLogin: "zlib@openssh.com" begins with the packet after
// USERAUTH_SUCCESS, key exchanges before and after it notwithstanding
// (draft-miller-secsh-compression-delayed section 3).
func TestZlibBeginsAfterLogin(t *testing.T) {
	for _, early := range []int{0, 1} {
		zscript(t, "zlib@openssh.com", func(z *zpeer) {
			z.Handshake()
			for range early {
				z.KexInit()
				z.Kex()
			}
			if z.role == msg.Client {
				z.Send(&msg.UserauthRequest{User: "u", Service: "ssh-connection", Method: "none"})
				z.Want("login", msg.NumUserauthSuccess)
				z.expand()
				z.compress()
			} else {
				z.Send(&msg.UserauthSuccess{})
				z.expand()
				z.compress()
			}
			z.delivered()
			z.echo("first")
			if !bytes.HasPrefix(z.raw, []byte{0x78, 0x9C}) {
				z.t.Errorf("not the beginning of a stream: %x", z.raw)
			}
			z.KexInit()
			z.kex()
			z.echo("second")
			if !bytes.HasPrefix(z.raw, []byte{0x78, 0x9C}) {
				z.t.Errorf("no new stream: %x", z.raw)
			}
		})
	}
}

// TestZlibClientDoesNotKnowYet: what a client sends before USERAUTH_SUCCESS
// reaches it is not compressed, even a key exchange; afterwards it must be. A
// server's packets are compressed from the one after it, and no other way.
func TestZlibClientDoesNotKnowYet(t *testing.T) {
	try := func(f func(z *zpeer)) {
		zscript(t, "zlib@openssh.com", func(z *zpeer) {
			z.Open()
			z.expand()
			f(z)
		})
	}
	plain := &msg.Ignore{Data: []byte("not compressed")}
	try(func(z *zpeer) {
		z.Send(plain)
		if z.role == msg.Server {
			z.wantRefused("server without compression", ReasonCompressionError)
			return
		}
		z.Send(plain)
		z.compress()
		z.echo("compressed")
		z.deflate = nil
		z.Send(plain)
		z.wantRefused("compression switched off", ReasonCompressionError)
	})
	try(func(z *zpeer) {
		if z.role == msg.Server {
			return
		}
		z.KexInit()
		z.Exchange() // their answers are compressed, ours not yet
		z.NewKeys()
		z.WantNewKeys()
		z.expand()
		z.Send(plain)
		z.compress()
		z.echo("compressed")
	})
	try(func(z *zpeer) { // no message of an open connection comes in clear
		z.Send(&msg.GlobalRequest{Name: "x"})
		z.wantRefused("global request in clear", ReasonCompressionError)
	})
}

// TestZlibWhatIsNoStream: every message that a client may send before it knows,
// those of a key exchange included, is told from the beginning of a stream.
func TestZlibWhatIsNoStream(t *testing.T) {
	seen := 0
	for _, row := range msg.Rows() {
		if row.From&msg.Client == 0 || row.When&(msg.Rekey|msg.Open) == 0 || row.Number > msg.NumUserauthRequest {
			continue
		}
		seen++
		a, _ := connect(t)
		_, sc := testConfigs()
		c := New(a, sc)
		c.zlib = inflation{mode: zlibOn, early: true}
		p := sample(row.Number)
		if row.Number == msg.NumKexGSSGroupReq {
			p = msg.Append(nil, &msg.KexGEXRequest{Min: 2048, Preferred: 3072, Max: 8192, GSS: true})
		}
		if got, err := c.inflate(p); err != nil || !bytes.Equal(got, p) || !c.zlib.early {
			t.Errorf("%s: %x, %v", row.Name, got, err)
		}
		c.zlib.release()
	}
	if seen < 10 {
		t.Errorf("only %d messages", seen)
	}
}

// TestZlibOneDirection: the directions have nothing to do with each other
// (RFC 4253 §6.2).
func TestZlibOneDirection(t *testing.T) {
	for _, to := range []bool{true, false} {
		bothRoles(t, func(c *Config) { c.Compress = []string{"none", "zlib"} }, func(p *peer) {
			names := func(zlib bool) []string {
				if zlib {
					return []string{"zlib"}
				}
				return []string{"none"}
			}
			// CompressOut is client to server, whoever says it.
			p.init.CompressOut, p.init.CompressIn = names(to), names(!to)
			z := &zpeer{peer: p}
			z.Idents()
			z.Exchange()
			z.NewKeys()
			if to == (p.role == msg.Client) {
				z.compress()
				z.WantNewKeys()
			} else {
				z.WantNewKeys()
				z.expand()
			}
			<-z.ready
			z.login()
			z.echo("hello")
			z.echo("hello")
		})
	}
}

// TestCVE_4_10_Bombs: a packet that inflates beyond the largest packet is
// refused with COMPRESSION_ERROR, with no more memory than one such packet
// takes; one that just fits is delivered; nothing at all is refused, and does
// not spin.
func TestCVE_4_10_Bombs(t *testing.T) {
	open := func(z *zpeer) {
		z.Idents()
		z.kex()
		<-z.ready
		z.login()
	}
	zeros := func(n int) []byte { return append([]byte{msg.NumIgnore}, make([]byte, n-1)...) }
	for _, n := range []int{seal.MaxPacket + 1, 1 << 20, 32 << 20} {
		zscript(t, "zlib", func(z *zpeer) {
			open(z)
			bomb := z.pack(z.deflate(zeros(n)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			z.Write(bomb)
			synctest.Wait()
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
				z.t.Errorf("%d octets in %d took %d of memory", n, len(bomb), took)
			}
			z.wantRefused(fmt.Sprintf("%d octets in %d", n, len(bomb)), ReasonCompressionError)
		})
	}
	zscript(t, "zlib", func(z *zpeer) {
		open(z)
		for _, n := range []int{1, 2, 4 << 10, 32 << 10, readBuf - 1, readBuf, readBuf + 1, 256 << 10, seal.MaxPacket} {
			z.SendPayload(append([]byte{msg.NumGlobalRequest}, zeros(n)[1:]...))
		}
		if got := len(z.delivered()); got < 9 {
			z.t.Errorf("%d packets delivered, %v", got, z.c.Err())
		}
	})
	for name, nothing := range map[string][]byte{
		"beginning": {0x78, 0x9C}, "part of it": {0x78}, "empty blocks": append([]byte{0x78, 0x9C}, bytes.Repeat([]byte{0, 0, 0, 0xFF, 0xFF}, 50_000)...),
	} {
		zscript(t, "zlib", func(z *zpeer) {
			z.Idents()
			z.kex()
			<-z.ready
			z.Write(z.pack(nothing))
			z.wantRefused(name, ReasonCompressionError)
		})
	}
}

// TestCVE_4_13_CompressionBeforeLogin: "zlib" is decompressed before anybody
// has logged in, within the same bounds; nobody gets it without asking, and a
// stream that is none ends the connection.
func TestCVE_4_13_CompressionBeforeLogin(t *testing.T) {
	for name, payload := range map[string][]byte{
		"in clear":         msg.Append(nil, &msg.Ignore{Data: []byte("x")}),
		"preset":           {0x78, 0xBB, 0, 0, 0, 0},
		"final block":      {0x78, 0x9C, 3, 0, 0, 0, 0, 1},
		"distance too far": {0x78, 0x9C, 0x02, 0x02, 0xFF},
		"block type":       {0x78, 0x9C, 6, 0, 0},
		"bomb":             nil,
	} {
		zscript(t, "zlib", func(z *zpeer) {
			z.Idents()
			z.kex()
			<-z.ready
			if payload == nil {
				payload = z.deflate(append([]byte{msg.NumIgnore}, make([]byte, 16<<20)...))
			}
			z.Write(z.pack(payload))
			z.wantRefused(name, ReasonCompressionError)
		})
	}
	for _, c := range Compressions() {
		if (c.Status == alg.Default) != (c.Name == "none") {
			t.Errorf("%s is %v", c.Name, c.Status)
		}
	}
}

// TestZlibPartialFlush plays a peer whose zlib makes a partial flush: packets
// end inside an octet, which the next one continues (RFC 4253 §6.2).
func TestZlibPartialFlush(t *testing.T) {
	zscript(t, "zlib", func(z *zpeer) {
		z.Idents()
		z.kex()
		var bits uint64
		var n uint
		buf := []byte{0x78, 0x9C}
		put := func(v uint64, l uint) {
			bits |= v << n
			for n += l; n >= 8; n -= 8 {
				buf = append(buf, byte(bits))
				bits >>= 8
			}
		}
		code := func(v uint64, l uint) {
			for ; l > 0; l-- {
				put(v>>(l-1)&1, 1)
			}
		}
		ends := map[uint]bool{}
		z.deflate = func(p []byte) []byte {
			put(0b010, 3) // fixed codes
			for _, b := range p {
				if b < 144 {
					code(uint64(b)+0x30, 8)
				} else {
					code(uint64(b)-144+0x190, 9)
				}
			}
			put(0, 7)
			put(0b010, 3) // an empty block, whose last bits stay behind
			put(0, 7)
			ends[n] = true
			out := buf
			buf = nil
			return out
		}
		<-z.ready
		z.login()
		for i := range 40 {
			z.echo(strings.Repeat("\xF0", i%9) + "text")
		}
		if len(ends) != 8 {
			z.t.Errorf("packets end with %v bits left over", ends)
		}
	})
}

// login does what authentication does for compression, for two Conns.
func login(t *testing.T, client, server *Conn) {
	t.Helper()
	client.SetPhase(msg.Auth)
	server.SetPhase(msg.Auth)
	done := make(chan error, 1)
	go func() { done <- server.PostMessage(&msg.UserauthSuccess{}) }()
	if p, err := client.Next(); err != nil || p[0] != msg.NumUserauthSuccess {
		t.Fatalf("%x, %v", p, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	client.SetPhase(msg.Open)
	server.SetPhase(msg.Open)
}

// TestZlibSizes sends payloads of every kind and size through a connection:
// what does not compress does not grow beyond what packets may have, up to the
// largest packets there are.
func TestZlibSizes(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	cc.Compress, sc.Compress = []string{"zlib"}, []string{"zlib"}
	a, b := connect(t)
	client, server := New(a, cc), New(b, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	client.SetPhase(msg.Open)
	server.SetPhase(msg.Open)
	r := rand.New(rand.NewPCG(1, 2))
	var all []byte
	var pieces []int
	for kind := range kinds {
		for _, n := range []int{1, 2, 100, deflatePiece - 10, deflatePiece - 9, deflatePiece, 32 << 10, 36 << 10, 100_000, maxPiece, maxPiece + 1, 300_000} {
			all = append(all, kinds[kind](r, n)...)
			pieces = append(pieces, n)
		}
	}
	var wg sync.WaitGroup
	seen := make(chan struct{})
	wg.Go(func() {
		defer server.ReleaseReader()
		var got []byte
		for {
			p, err := server.Next()
			if err != nil {
				_ = server.Close()
				return
			}
			if _, _, ok := msg.ParseChannelData(p); !ok {
				t.Errorf("got %s", msg.Name(p[0]))
				continue
			}
			if len(got)%3 == 0 { // both ways to have it
				b := server.Take()
				_, data, _ := msg.ParseChannelData(b.Bytes())
				got = append(got, data...)
				b.Release()
			} else {
				_, data, _ := msg.ParseChannelData(p)
				got = append(got, data...)
			}
			if len(got) == len(all) {
				if !bytes.Equal(got, all) {
					t.Error("other octets came out")
				}
				close(seen)
			}
		}
	})
	wg.Go(func() { _ = drain(client, nil) })
	flow := client.NewFlow(1, maxWindow, 1<<30)
	rest := all
	for _, n := range pieces {
		if err := flow.Write(bufOf(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	select {
	case <-seen:
	case <-server.Done():
		t.Errorf("ended with %v", server.Err())
	}
	_ = client.Close()
	wg.Wait()
	if ci, si := client.Info(), server.Info(); ci.BytesOut != si.BytesIn || ci.PacketsOut != si.PacketsIn {
		t.Errorf("wrote %d octets in %d packets; read %d in %d", ci.BytesOut, ci.PacketsOut, si.BytesIn, si.PacketsIn)
	}
}

// kinds are payloads that compress more or less.
var kinds = []func(r *rand.Rand, n int) []byte{
	func(_ *rand.Rand, n int) []byte { return make([]byte, n) },
	func(r *rand.Rand, n int) []byte { // nothing to be had
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	},
	func(r *rand.Rand, n int) []byte { // text
		p := make([]byte, n)
		for i := range p {
			p[i] = "etaoin shrdlu\n"[r.IntN(14)]
		}
		return p
	},
	func(r *rand.Rand, n int) []byte { // short matches between what does not compress
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		for i := 5000; i+4 < n; i += 8 {
			copy(p[i:i+4], p[i-1-r.IntN(5000-8):])
		}
		return p
	},
	func(r *rand.Rand, n int) []byte { // little to be had, after much
		p := make([]byte, n)
		for i := n / 3; i < n; i++ {
			p[i] = byte(r.Uint32())
		}
		return p
	},
}

// TestZlibGrowth: deflateBound holds for every kind of payload, at every place
// of the compressor's window.
func TestZlibGrowth(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var d deflater
	e := new(epoch)
	most := -1 << 30
	for i := range 300 {
		n := 1 + r.IntN(1<<(1+r.IntN(18)))
		if i%3 == 0 {
			n = 32<<10 + msg.ChannelDataHeader
		}
		n = min(n, maxPiece)
		s := &slot{buf: bufOf(kinds[r.IntN(len(kinds))](r, n)), epoch: e}
		d.pack(s)
		got := s.buf.Len()
		most = max(most, got-n)
		if got > deflateBound(n) || got > seal.MaxPacket-300 {
			t.Errorf("%d octets became %d", n, got)
		}
		if s.buf.Head() != packet.HeadRoom || s.buf.Tail() < packet.TailRoom {
			t.Errorf("head %d, tail %d", s.buf.Head(), s.buf.Tail())
		}
		s.buf.Release()
	}
	t.Logf("no more than %d octets were added", most)

	// Should it ever not hold, memory grows.
	d.buf = packet.Get(10)
	d.buf.Trim(0)
	for range 10 {
		_, _ = d.Write(bytes.Repeat([]byte("x"), 1000))
	}
	if !bytes.Equal(d.buf.Bytes(), bytes.Repeat([]byte("x"), 10_000)) {
		t.Errorf("%d octets", d.buf.Len())
	}
	d.buf.Release()
}

// TestZlibRekeyLimit: limits of keys count what goes over the wire, not what
// it was before.
func TestZlibRekeyLimit(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	cc.Compress, sc.Compress = []string{"zlib"}, []string{"zlib"}
	cc.RekeyBytes = 4 << 20 // more than the ring reserves
	client, server := pair(t, cc, sc)
	var wg sync.WaitGroup
	seen := make(chan int, 1)
	wg.Go(func() {
		got := 0
		_ = drain(server, func(p []byte) {
			if _, data, ok := msg.ParseChannelData(p); ok {
				got += len(data)
				if got == 16<<20 || got == 32<<20 {
					seen <- got
				}
			}
		})
	})
	wg.Go(func() { _ = drain(client, nil) })
	flow := client.NewFlow(1, maxWindow, 32<<10)
	r := rand.New(rand.NewPCG(5, 6))
	for i, kind := range kinds[:2] {
		for range 512 {
			if err := flow.Write(bufOf(kind(r, 32<<10))); err != nil {
				t.Error(err)
			}
		}
		<-seen
		n := client.Info().KeyExchanges
		if i == 0 && n != 1 || i == 1 && n < 4 {
			t.Errorf("kind %d: %d key exchanges", i, n)
		}
	}
	_ = client.Close()
	wg.Wait()
}

// TestZlibPacketLog: the log shows packets in clear, with their true length.
func TestZlibPacketLog(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	cc.Compress, sc.Compress = []string{"none", "zlib"}, []string{"zlib"} // the client's order, among what both have
	var mu sync.Mutex
	lines := map[bool][]string{}
	cc.PacketLog = func(e *PacketEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Number == msg.NumGlobalRequest {
			lines[e.Out] = append(lines[e.Out], fmt.Sprint(e.Length, e))
		}
	}
	client, server := pair(t, cc, sc)
	var wg, seen sync.WaitGroup
	seen.Add(2)
	for _, c := range []*Conn{client, server} {
		wg.Go(func() { _ = drain(c, func([]byte) { seen.Done() }) })
	}
	for _, c := range []*Conn{client, server} {
		if err := c.SendMessage(&msg.GlobalRequest{Name: "hello"}); err != nil {
			t.Error(err)
		}
	}
	seen.Wait()
	_ = client.Close()
	wg.Wait()
	if len(lines[true]) != 1 || !slices.Equal(lines[true], lines[false]) || !strings.Contains(lines[true][0], "hello") {
		t.Errorf("logged %q and %q", lines[true], lines[false])
	}
}

// TestZlibCloseInMidTraffic ends connections while packets wait to be
// compressed: none of them is forgotten.
func TestZlibCloseInMidTraffic(t *testing.T) {
	for i := range 20 {
		leaks(t)
		cc, sc := testConfigs()
		cc.Compress, sc.Compress = []string{"zlib"}, []string{"zlib"}
		client, server := pair(t, cc, sc)
		var wg sync.WaitGroup
		for _, c := range []*Conn{client, server} {
			seen := 0
			wg.Go(func() {
				_ = drain(c, func([]byte) {
					if seen++; seen == i {
						_ = c.Close()
					}
				})
			})
			for range 4 {
				wg.Go(func() {
					flow := c.NewFlow(1, maxWindow, 32<<10)
					for flow.Write(packet.Get(100<<10)) == nil { // until the end
					}
				})
			}
		}
		if i == 0 {
			_ = server.Disconnect(ReasonByApplication, "bye")
		}
		wg.Wait()
	}
}

// TestZlibNotOffered: without the name the list is "none", and unknown names
// are mistakes.
func TestZlibNotOffered(t *testing.T) {
	cc, _ := testConfigs()
	c := New(nil, cc)
	if m := c.newKexInit(true); !slices.Equal(m.CompressIn, []string{"none"}) || !slices.Equal(m.CompressOut, []string{"none"}) {
		t.Errorf("offers %q and %q", m.CompressIn, m.CompressOut)
	}
	cc.Compress = []string{"zlib@openssh.com", "zlib", "none"}
	c = New(nil, cc)
	if m := c.newKexInit(true); !slices.Equal(m.CompressIn, cc.Compress) || !slices.Equal(m.CompressOut, cc.Compress) {
		t.Errorf("offers %q and %q", m.CompressIn, m.CompressOut)
	}
	cc.Compress = []string{"gzip"}
	if err := New(nil, cc).checkConfig(); err == nil || !strings.Contains(err.Error(), `compression "gzip"`) {
		t.Errorf("gzip: %v", err)
	}
}

// TestGateZlibNoAllocations: neither way takes memory for a packet.
func TestGateZlibNoAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Log("sync.Pool drops objects at random in race builds: nothing to count")
		return
	}
	cc, sc := testConfigs()
	cc.Compress, sc.Compress = []string{"zlib"}, []string{"zlib"}
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
	r := rand.New(rand.NewPCG(7, 8))
	data := kinds[2](r, 32<<10)
	once := func() {
		b := packet.Get(32 << 10)
		copy(b.Bytes(), data)
		if err := flow.Write(b); err != nil {
			t.Error(err)
		}
		<-seen
	}
	for range 50 {
		once()
	}
	n := testing.AllocsPerRun(500, once)
	t.Logf("%v allocations per packet, both ends", n)
	if n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	_ = client.Close()
	wg.Wait()
}
