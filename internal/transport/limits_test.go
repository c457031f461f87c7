package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// heap returns the octets in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// wantTimeout expects the connection to end by itself after d.
func (p *peer) wantTimeout(d time.Duration) {
	p.t.Helper()
	start := time.Now()
	<-p.ended
	if _, ok := errors.AsType[*TimeoutError](p.c.Err()); !ok {
		p.t.Errorf("ended with %v", p.c.Err())
	}
	if took := time.Since(start); took > d+flushTime || took < d-2*time.Second {
		p.t.Errorf("ended after %v, want %v", took, d)
	}
}

func TestCVE_4_2_W36_Timeouts(t *testing.T) {
	short := func(c *Config) { c.IdentTimeout, c.KexTimeout = 10*time.Second, 20*time.Second }
	for name, f := range map[string]func(*peer){
		"silent": func(p *peer) { p.wantTimeout(10 * time.Second) },
		"slow ident": func(p *peer) {
			go func() {
				for range 9 {
					p.Write([]byte("S"))
					time.Sleep(time.Second) // of the bubble's clock
				}
			}()
			p.wantTimeout(10 * time.Second)
		},
		"after ident":   func(p *peer) { p.Idents(); p.wantTimeout(20 * time.Second) },
		"after KEXINIT": func(p *peer) { p.Idents(); p.KexInit(); p.wantTimeout(20 * time.Second) },
		"before NEWKEYS": func(p *peer) {
			p.Idents()
			p.Exchange()
			p.wantTimeout(20 * time.Second)
		},
		"slow packets": func(p *peer) {
			p.strict = false
			p.Idents()
			go func() {
				for range 19 {
					p.Send(&msg.Ignore{})
					time.Sleep(time.Second) // of the bubble's clock
				}
			}()
			p.wantTimeout(20 * time.Second)
		},
		"in a later exchange": func(p *peer) { p.Open(); p.KexInit(); p.wantTimeout(20 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) { bothRoles(t, short, f) })
	}
	t.Run("open connections stay", func(t *testing.T) {
		bothRoles(t, short, func(p *peer) {
			p.Open()
			time.Sleep(59 * time.Minute) // of the bubble's clock
			if err := p.c.Err(); err != nil {
				p.t.Error(err)
			}
		})
	})
}

// No configuration makes keys serve longer than the cipher and RFC 4344 allow.
func TestRekeyLimitsAreBounds(t *testing.T) {
	cc, _ := testConfigs()
	cc.RekeyBytes, cc.RekeyPackets = 1<<60, 1<<60
	if got := New(nil, cc).limitOf(8 << 20); got != (limit{8 << 20, DefaultRekeyPackets}) {
		t.Errorf("limits %+v", got)
	}
}

func TestRekeyInterval(t *testing.T) {
	bothRoles(t, func(c *Config) { c.RekeyInterval = time.Minute }, func(p *peer) {
		p.Open()
		for range 3 {
			start := time.Now()
			p.theirInit = p.Want("rekey by time", msg.NumKexInit)
			if d := time.Since(start); d != time.Minute {
				p.t.Errorf("after %v", d)
			}
			p.Kex()
		}
	})
}

func TestCVE_4_3_Idents(t *testing.T) {
	long := "SSH-2.0-" + strings.Repeat("x", 300)
	edge := "SSH-2.0-" + strings.Repeat("x", 245) // 255 octets with CR LF
	for _, c := range []struct {
		name           string
		text           string
		server, client bool // accepted by it
	}{
		{"usual", "SSH-2.0-x\r\n", true, true},
		{"comment", "SSH-2.0-x y z\r\n", true, true},
		{"bare LF", "SSH-2.0-x\n", true, true},
		{"no software", "SSH-2.0-\r\n", true, true},
		{"255 octets", edge + "\r\n", true, true},
		{"256 octets", edge + "x\r\n", false, false},
		{"300 octets", long + "\r\n", false, false},
		{"no end", strings.Repeat("x", 64<<10), false, false},
		{"no end, with SSH-", "SSH-2.0-" + strings.Repeat("x", 2<<20), false, false},
		{"NUL", "SSH-2.0-x\x00y\r\n", false, false},
		{"escape", "SSH-2.0-x\x1b[2J\r\n", false, false},
		{"CR inside", "SSH-2.0-x\ry\r\n", false, false},
		{"1.5", "SSH-1.5-x\r\n", false, false},
		{"1.99", "SSH-1.99-x\r\n", false, true},
		{"HTTP", "GET / HTTP/1.1\r\n", false, true}, // goes on waiting
		{"empty line", "\r\n", false, true},
	} {
		for _, piece := range []int{0, 1} {
			t.Run(fmt.Sprint(c.name, " ", piece), func(t *testing.T) {
				bothRoles(t, nil, func(p *peer) {
					want := c.server
					if p.role == msg.Server {
						want = c.client
					}
					go func() {
						if piece == 0 || len(c.text) > 1000 {
							p.Write([]byte(c.text))
							return
						}
						for i := range len(c.text) {
							p.Write([]byte(c.text[i : i+1]))
						}
					}()
					synctest.Wait()
					if err := p.c.Err(); (err == nil) != want || err != nil && !asProtocol(err) {
						p.t.Errorf("ended with %v", err)
					}
					if err := p.c.Err(); err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\r\n") {
						p.t.Errorf("CVE 9.1: %q", err)
					}
				})
			})
		}
	}
	lines := func(n int, ok bool) {
		t.Run(fmt.Sprint(n, " lines"), func(t *testing.T) {
			cc, _ := testConfigs()
			script(t, cc, func(p *peer) {
				p.Write(bytes.Repeat([]byte("Welcome!\r\n"), n))
				if ok {
					p.Handshake()
					return
				}
				<-p.ended
				if !asProtocol(p.c.Err()) {
					p.t.Errorf("ended with %v", p.c.Err())
				}
			})
		})
	}
	lines(1024, true)
	lines(1025, false)
	lines(100_000, false)
	t.Run("10 MiB line", func(t *testing.T) {
		cc, _ := testConfigs()
		script(t, cc, func(p *peer) {
			p.Write(bytes.Repeat([]byte("x"), 10<<20))
			if !asProtocol(p.lastError()) {
				p.t.Errorf("ended with %v", p.c.Err())
			}
			if n := p.c.Info().BytesIn; n > 64<<10 {
				p.t.Errorf("%d octets read", n)
			}
		})
	})
}

func TestCVE_4_4_PacketLength(t *testing.T) {
	for _, n := range []uint32{0, 1, 4, 5, 15, 35_001, 64 << 10, 256 << 10, seal.MaxPacket + 8, 1 << 31, 1<<32 - 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Idents()
				p.Write(p.packAs(n&^7|4, 4, make([]byte, 59)))
				if n < 16 {
					p.Write(p.packAs(n, 4, make([]byte, 59)))
				}
				p.WantDisconnect("length in clear", 0)
			})
			for c := range seal.Ciphers() {
				if n >= 35_001 && n <= 256<<10 {
					continue // legal under keys
				}
				bothRoles(t, func(cfg *Config) { cfg.Ciphers = []string{c.Name} }, func(p *peer) {
					p.Handshake()
					p.WriteWrong(p.packAs(n, 4, make([]byte, 63))) // of whole blocks behind the length
					p.WantDisconnect("length under keys", ReasonMACError)
				})
			}
		})
	}
	t.Run("length of a field", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Idents()
			m := append([]byte{msg.NumKexInit}, make([]byte, 16)...)
			m = append(m, 0xFF, 0xFF, 0xFF, 0xFF)
			p.SendPayload(append(m, make([]byte, 100)...))
			p.WantDisconnect("4 GiB of names", ReasonProtocolError)
		})
	})
}

// TestCVE_5_1 starts a key exchange that the peer never answers: writers wait
// at once, and at the timeout fail.
func TestCVE_5_1_KexInitNeverAnswered(t *testing.T) {
	bothRoles(t, func(c *Config) { c.KexTimeout, c.RekeyBytes = 20*time.Second, 64<<10 }, func(p *peer) {
		p.Open()
		flow := p.c.NewFlow(0, maxWindow, 32<<10)
		var wg sync.WaitGroup
		var sent int
		wg.Go(func() {
			for {
				if err := flow.Write(packet.Get(32 << 10)); err != nil {
					return
				}
				sent += 32 << 10
			}
		})
		synctest.Wait()
		if sent > 128<<10 {
			p.t.Errorf("%d octets after the limit", sent)
		}
		p.wantTimeout(20 * time.Second)
		wg.Wait()
	})
}

func TestCVE_5_2_DataAfterKexInit(t *testing.T) {
	for _, n := range connection {
		t.Run(msg.Name(n), func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Open()
				p.KexInit()
				p.SendPayload(sample(n))
				p.WantDisconnect("after KEXINIT", ReasonProtocolError)
			})
		})
	}
	t.Run("a window before it", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Open()
			p.c.startKex(KexCall)
			p.theirInit = p.Want("rekey", msg.NumKexInit)
			before := len(p.delivered())
			const packets = 2 << 20 / (32 << 10)
			for range packets { // in flight when our KEXINIT was sent
				p.Send(&msg.ChannelData{Data: make([]byte, 32<<10)})
			}
			p.Kex()
			if got := len(p.delivered()) - before; got != packets {
				p.t.Errorf("%d packets delivered", got)
			}
		})
	})
}

func TestCVE_5_7_WindowOverflow(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		flow := p.c.NewFlow(0, 0, 32<<10)
		if err := flow.Grant(maxWindow); err != nil || flow.Window() != maxWindow {
			p.t.Errorf("window %d, %v", flow.Window(), err)
		}
		if err := flow.Grant(1); !asProtocol(err) {
			p.t.Errorf("got %v", err)
		}
		p.WantDisconnect("window", ReasonProtocolError)
	})
}

// TestCVE_5_9 has a peer that grants everything and reads nothing.
func TestCVE_5_9_HugeWindowSlowReader(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		flow := p.c.NewFlow(0, maxWindow, 1<<30)
		var wg sync.WaitGroup
		var sent int
		wg.Go(func() {
			for {
				if err := flow.Write(packet.Get(64 << 10)); err != nil {
					return
				}
				sent += 64 << 10
			}
		})
		synctest.Wait()
		if sent > ringBytes+1<<20 { // the link holds 256 KiB
			p.t.Errorf("%d octets taken", sent)
		}
		_ = p.c.Close()
		wg.Wait()
	})
}

func TestCVE_5_10_TinyPackets(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		for _, size := range []uint32{0, 1} {
			flow := p.c.NewFlow(0, maxWindow, size)
			wg := sync.WaitGroup{}
			wg.Go(func() {
				b := packet.Get(1000)
				for i := range b.Bytes() {
					b.Bytes()[i] = byte(i)
				}
				if err := flow.Write(b); err != nil {
					p.t.Error(err)
				}
			})
			for i := range 1000 {
				_, data, ok := msg.ParseChannelData(p.Want("data", msg.NumChannelData))
				if !ok || len(data) != 1 || data[0] != byte(i) {
					p.t.Fatalf("octet %d: %v", i, data)
				}
			}
			wg.Wait()
		}
	})
}

// A countLog counts lines.
type countLog struct{ n int }

func (c *countLog) Write(p []byte) (int, error) { c.n++; return len(p), nil }

func TestCVE_5_14_5_15_Floods(t *testing.T) {
	var lines countLog
	change := func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	bothRoles(t, change, func(p *peer) {
		p.Open()
		start := heap()
		go func() {
			for {
				if _, err := p.Read(); err != nil {
					return
				}
			}
		}()
		for _, m := range [][]byte{
			msg.Append(nil, &msg.Ignore{}), msg.Append(nil, &msg.Debug{Text: "x\x1b\n"}),
			msg.Append(nil, &msg.Unimplemented{}), msg.Append(nil, &msg.ChannelData{Data: []byte("x")}),
		} {
			for range 20_000 {
				p.SendPayload(m)
			}
		}
		p.delivered()
		if err := p.c.Err(); err != nil {
			p.t.Error(err)
		}
		if end := heap(); end > start+1<<20 {
			p.t.Errorf("heap grew from %d to %d octets", start, end)
		}
	})
	if lines.n > 2*maxDebugs+100 {
		t.Errorf("%d lines in the log", lines.n)
	}
}

// A sliver is a connection that takes 1 KiB at a time.
type sliver struct{ *netsim.Conn }

func (s sliver) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = s.Conn.Write(p[n:min(len(p), n+1<<10)])
		n += m
		runtime.Gosched()
	}
	return n, err
}

func TestCVE_5_17_PartialWritesAndRekey(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	cc.RekeyBytes, sc.RekeyBytes = 64<<10, 64<<10
	a, b := netsim.Pipe(netsim.Link{Buffer: 2 << 10, MaxRead: 700}, netsim.Link{Buffer: 2 << 10})
	client, server := New(sliver{a}, cc), New(sliver{b}, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	const total = 2 << 20
	var wg, seen sync.WaitGroup
	for _, c := range []*Conn{client, server} {
		c.SetPhase(msg.Open)
		seen.Add(1)
		got := 0
		wg.Go(func() {
			_ = drain(c, func(p []byte) {
				if _, data, ok := msg.ParseChannelData(p); ok {
					if got += len(data); got == total {
						seen.Done()
					}
				}
			})
		})
		wg.Go(func() {
			flow := c.NewFlow(1, maxWindow, 32<<10)
			for range total / (32 << 10) {
				if err := flow.Write(packet.Get(32 << 10)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen.Wait()
	_ = client.Close()
	wg.Wait()
}

func TestCVE_6_1_6_2_Padding(t *testing.T) {
	suites(func(c *seal.Cipher, m *seal.MAC) {
		change := func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{c.Name}, []string{m.Name} }
		t.Run(c.Name+" "+m.Name, func(t *testing.T) {
			bad := func(length uint32, pad byte, size int) {
				t.Helper()
				bothRoles(t, change, func(p *peer) {
					p.Handshake()
					body := make([]byte, size)
					body[0] = msg.NumIgnore
					p.WriteWrong(p.packAs(length, pad, body))
					p.WantDisconnect(fmt.Sprint("length ", length, " padding ", pad), ReasonMACError)
				})
			}
			// A packet of 32 octets suits ciphers whose length stands aside, one of
			// 28 the others.
			n := uint32(32)
			if !c.AEAD && !m.EtM {
				n = 28
			}
			for _, pad := range []byte{0, 1, 2, 3, byte(n) - 1, byte(n), byte(n) + 1, 255} {
				bad(n, pad, int(n)-1)
			}
			for _, length := range []uint32{0, 1, 2, 5, 7, 15, n + 1, n + 3, 1<<32 - 1, 1 << 31} {
				bad(length, 4, int(n)+31)
			}
		})
	})
}

func TestCVE_6_7_DisconnectAndDebugTruncated(t *testing.T) {
	disconnect := msg.Append(nil, &msg.Disconnect{Reason: 11, Text: "text", Language: "en"})
	debug := msg.Append(nil, &msg.Debug{Display: true, Text: "text", Language: "en"})
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		p.SendPayload(debug[:len(debug)-6]) // no language tag
		p.delivered()
		if err := p.c.Err(); err != nil {
			p.t.Error(err)
		}
		p.SendPayload(disconnect[:len(disconnect)-6])
		var d *DisconnectError
		if err := p.lastError(); !errors.As(err, &d) || d.Text != "text" {
			p.t.Errorf("ended with %v", err)
		}
	})
	for n := 1; n < len(disconnect); n++ {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			p.SendPayload(disconnect[:n])
			var d *DisconnectError
			if err := p.lastError(); !errors.As(err, &d) || !d.Remote {
				p.t.Errorf("%d octets: ended with %v", n, err)
			}
		})
	}
	for n := 1; n < len(debug)-6; n++ {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			p.SendPayload(debug[:n])
			p.WantDisconnect("truncated DEBUG", ReasonProtocolError)
		})
	}
}

// TestCVE_6_10 appends an octet to what the transport itself reads.
func TestCVE_6_10_TrailingOctets(t *testing.T) {
	with := func(m msg.Message) []byte { return append(msg.Append(nil, m), 0) }
	t.Run("KEXINIT", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Idents()
			p.SendPayload(with(&p.init))
			p.WantDisconnect("KEXINIT", ReasonProtocolError)
		})
	})
	t.Run("kex", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Idents()
			p.KexInit()
			if p.role == msg.Client {
				p.SendPayload(with(&msg.KexInitial{Public: make([]byte, 32)}))
			} else {
				p.SendPayload(with(&msg.KexReply{}))
			}
			p.WantDisconnect("kex", ReasonProtocolError)
		})
	})
	for _, m := range []msg.Message{&msg.ExtInfo{}, &msg.Debug{Language: "x"}} {
		t.Run(msg.Name(m.Number()), func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Handshake()
				p.SendPayload(with(m))
				p.WantDisconnect("trailing octet", ReasonProtocolError)
			})
		})
	}
	for _, m := range []msg.Message{&msg.Ping{}, &msg.Pong{}} {
		t.Run(msg.Name(m.Number()), func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Open()
				p.SendPayload(with(m))
				p.WantDisconnect("trailing octet", ReasonProtocolError)
			})
		})
	}
}

// TestCVE_7_6 is the recovery of plaintext from CBC (CVE-2008-5161): whatever
// length a block decrypts to, and whatever the MAC says, as many octets are taken
// before the connection ends, and it ends in the same way.
func TestCVE_7_6_CBCLengthDoesNotShow(t *testing.T) {
	const bad = "ssh2: protocol: packet: seal: packet: tag or mac is wrong"
	for c := range seal.Ciphers() {
		if !c.CBC {
			continue
		}
		for _, mac := range []string{"hmac-sha2-256", "umac-64@openssh.com"} {
			change := func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{c.Name}, []string{mac} }
			m, _ := seal.FindMAC(mac)
			all := 4 + seal.MaxPacket + m.Size
			largest := uint32(seal.MaxPacket/c.Block*c.Block - 4)
			for _, length := range []uint32{0, 5, 29, seal.MaxPacket + 4, 1<<32 - 4 /* cannot be; and can: */, 28, 32<<10 - 4, largest} {
				t.Run(fmt.Sprint(c.Name, " ", mac, " ", length), func(t *testing.T) {
					bothRoles(t, change, func(p *peer) {
						p.Handshake()
						first := p.packAs(length, 4, make([]byte, 59))[:c.Block]
						p.Write(append(first, make([]byte, all-1-len(first))...))
						synctest.Wait()
						if err := p.c.Err(); err != nil {
							p.t.Errorf("one octet too early: %v", err)
						}
						p.Write([]byte{0})
						p.WantDisconnect("all octets", ReasonMACError)
						if err := p.lastError(); err.Error() != bad {
							p.t.Errorf("ended with %v", err)
						}
					})
				})
			}
		}
		// Where the MAC comes first there is nothing to hide.
		t.Run(c.Name+" encrypt-then-MAC", func(t *testing.T) {
			bothRoles(t, func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{c.Name}, []string{"hmac-sha2-256-etm@openssh.com"} }, func(p *peer) {
				p.Handshake()
				pkt := p.pack([]byte{msg.NumIgnore, 0, 0, 0, 0})
				pkt[len(pkt)-1] ^= 1
				p.Write(pkt)
				p.WantDisconnect("wrong MAC", ReasonMACError)
			})
		})
	}
}

// A hider counts what a CBC opener is given to work on.
type hider struct {
	seal.Discarder
	seen int
}

func (h *hider) Open(nonce uint64, seq uint32, pkt []byte) ([]byte, error) {
	h.seen += len(pkt)
	return h.Discarder.Open(nonce, seq, pkt)
}

func (h *hider) Discard(b []byte) {
	h.seen += len(b)
	h.Discarder.Discard(b)
}

// Every octet that is taken costs work, whatever the length was.
func TestCVE_7_6_CBCWorkDoesNotShow(t *testing.T) {
	change := func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{"aes128-cbc"}, []string{"hmac-sha2-256"} }
	for _, length := range []uint32{5, 28, 32<<10 - 4} {
		bothRoles(t, change, func(p *peer) {
			p.Handshake()
			synctest.Wait() // for the reader to wait
			h := &hider{Discarder: p.c.opener.(seal.Discarder)}
			p.c.opener = h
			p.WriteWrong(p.packAs(length, 4, make([]byte, 59)))
			p.WantDisconnect("wrong", ReasonMACError)
			<-p.ended
			if want := h.Discards(); h.seen != want && h.seen != want-16 { // without the head
				p.t.Errorf("length %d: work for %d octets of %d", length, h.seen, want)
			}
		})
	}
}

// The connection may also be lost while octets are discarded, or be closed here.
func TestCVE_7_6_EndWhileDiscarding(t *testing.T) {
	change := func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{"aes128-cbc"}, []string{"hmac-sha2-256"} }
	for name, end := range map[string]func(*peer) error{
		"by the peer": func(p *peer) error { _ = p.nc.Close(); return io.EOF },
		"by us":       func(p *peer) error { _ = p.c.Close(); return ErrClosed },
	} {
		t.Run(name, func(t *testing.T) {
			bothRoles(t, change, func(p *peer) {
				p.Handshake()
				p.Write(append(p.packAs(5, 4, make([]byte, 59)), make([]byte, 10_000)...))
				synctest.Wait()
				want := end(p)
				if err := p.lastError(); !errors.Is(err, want) {
					p.t.Errorf("ended with %v, want %v", err, want)
				}
			})
		})
	}
}

// TestCVE_6_14 flips bits of sealed packets: nothing of them is delivered.
func TestCVE_6_14_TamperedPackets(t *testing.T) {
	step := 7
	if invariant.Enabled { // the allocs stage runs it without the race detector, too
		step = 61
	}
	for c := range seal.Ciphers() {
		for _, mac := range []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"} {
			if c.AEAD && mac != "hmac-sha2-512" {
				continue
			}
			t.Run(c.Name+" "+mac, func(t *testing.T) {
				_, sc := testConfigs()
				sc.Ciphers, sc.MACs = []string{c.Name}, []string{mac}
				size := 1
				for bit := 0; bit < size*8; bit += step {
					script(t, sc, func(p *peer) {
						p.Handshake()
						pkt := p.pack(sample(msg.NumUserauthRequest))
						size = len(pkt)
						pkt[bit/8] ^= 1 << (bit % 8)
						// A length that grew waits for more.
						pkt = append(pkt, make([]byte, seal.MaxPacket+100)...)
						p.Write(pkt)
						p.WantDisconnect("tampered", ReasonMACError)
						if got := p.delivered(); len(got) != 0 {
							p.t.Errorf("bit %d: delivered %v", bit, got)
						}
					})
				}
			})
		}
	}
}

func TestCVE_9_1_ControlCharacters(t *testing.T) {
	const bad = "a\x1b[2J\r\nb\x00\u202e"
	var out bytes.Buffer
	change := func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.PacketLog = func(e *PacketEvent) {
			if s := e.String(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s prints as %q", e.Name(), s)
			}
		}
	}
	bothRoles(t, change, func(p *peer) {
		p.Open()
		p.Send(&msg.Debug{Text: bad, Language: bad})
		p.Send(&msg.GlobalRequest{Name: bad})
		p.Send(&msg.Disconnect{Reason: 2, Text: bad})
		if s := fmt.Sprint(p.lastError()); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			p.t.Errorf("error %q", s)
		}
	})
	if bytes.ContainsAny(bytes.TrimSpace(slices.Concat(out.Bytes())), "\x1b\x00\r\u202e") {
		t.Errorf("log %q", out.Bytes())
	}
	bothRoles(t, nil, func(p *peer) {
		p.strict = false
		p.Idents()
		m := p.init
		m.Kex = []string{"KEX"}
		p.SendPayload(bytes.Replace(msg.Append(nil, &m), []byte("\x00\x00\x00\x03KEX"), wire.AppendString(nil, bad), 1))
		_, _ = io.Copy(io.Discard, p.r)
		if s := fmt.Sprint(p.lastError()); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			p.t.Errorf("error %q", s)
		}
	})
}
