package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// badPublic sends public values that a method must refuse, in both roles.
func badPublic(t *testing.T, method string, values map[string][]byte) {
	t.Helper()
	for name, public := range values {
		t.Run(name, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.init.Kex = []string{method}
				p.Idents()
				p.KexInit()
				p.Want("kex", msg.NumKexInit)
				if p.role == msg.Client {
					p.Send(&msg.KexInitial{Public: public})
				} else {
					p.Want("kex", msg.NumKexECDHInit)
					p.Send(&msg.KexReply{HostKey: p.signer.PublicKey().Marshal(), Public: public, Signature: []byte("x")})
				}
				p.WantDisconnect("public value", ReasonKexFailed)
				if !asProtocol(p.lastError()) {
					p.t.Errorf("ended with %v", p.lastError())
				}
			})
		})
	}
}

func TestCVE_3_1_DHPublicRange(t *testing.T) {
	group, err := (*kex.Moduli)(nil).Choose(2048, 2048, 2048)
	if err != nil {
		t.Fatal(err)
	}
	prime, _ := group.Octets() // some number of 2048 bits, above which nothing is in range
	values := map[string][]byte{
		"0": nil, "1": {1}, "negative": {0xFF}, "above": append([]byte{0x7F}, prime...),
		"minimal form": append([]byte{0, 0}, 5),
		"all ones":     append([]byte{0}, bytes.Repeat([]byte{0xFF}, 256)...),
	}
	badPublic(t, "diffie-hellman-group14-sha256", values)
}

func TestCVE_3_2_X25519SmallOrder(t *testing.T) {
	values := map[string][]byte{
		"31": bytes.Repeat([]byte{9}, 31), "33": bytes.Repeat([]byte{9}, 33), "0": {},
		"zero": make([]byte, 32),
		"one":  append([]byte{1}, make([]byte, 31)...),
		"p-1":  append(append([]byte{0xEC}, bytes.Repeat([]byte{0xFF}, 30)...), 0x7F),
		"p":    append(append([]byte{0xED}, bytes.Repeat([]byte{0xFF}, 30)...), 0x7F),
	}
	badPublic(t, "curve25519-sha256", values)
}

func TestCVE_3_4_PointsOffTheCurve(t *testing.T) {
	off := append([]byte{4}, make([]byte, 64)...)
	off[64] = 1
	badPublic(t, "ecdh-sha2-nistp256", map[string][]byte{
		"off": off, "compressed": append([]byte{2}, off[1:33]...), "infinity": {0}, "empty": nil,
	})
}

// TestCVE_3_11 changes from a short hash to a long one and back, with every
// cipher, so that nothing is sized by the first.
func TestCVE_3_11_RekeyToAnotherHash(t *testing.T) {
	methods := []string{"curve25519-sha256", "ecdh-sha2-nistp521", "ecdh-sha2-nistp384", "curve25519-sha256"}
	suites(func(c *seal.Cipher, m *seal.MAC) {
		t.Run(c.Name+" "+m.Name, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.init.CiphersIn, p.init.CiphersOut = []string{c.Name}, []string{c.Name}
				p.init.MACsIn, p.init.MACsOut = []string{m.Name}, []string{m.Name}
				p.Open()
				for _, method := range methods {
					p.init.Kex = []string{method}
					p.Kex()
					data := bytes.Repeat([]byte("x"), 1000)
					p.Send(&msg.Ping{Data: data})
					if got := p.Want("echo", msg.NumPong); !bytes.HasSuffix(got, data) {
						p.t.Errorf("after %s: echo %q", method, got)
					}
					if !bytes.Equal(p.c.SessionID(), p.sessionID) {
						p.t.Error("session id changed")
					}
				}
			})
		})
	})
}

func TestCVE_10_4_NoneCipher(t *testing.T) {
	none := []string{"none"}
	for name, change := range map[string]func(*msg.KexInit){
		"cipher": func(m *msg.KexInit) { m.CiphersIn, m.CiphersOut = none, none },
		"MAC": func(m *msg.KexInit) {
			m.CiphersIn, m.CiphersOut = []string{"aes128-ctr"}, []string{"aes128-ctr"}
			m.MACsIn, m.MACsOut = none, none
		},
		"method":      func(m *msg.KexInit) { m.Kex = none },
		"host key":    func(m *msg.KexInit) { m.HostKeys = none },
		"compression": func(m *msg.KexInit) { m.CompressIn = []string{"zlib"} },
	} {
		t.Run(name, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				change(&p.init)
				p.Idents()
				p.KexInit()
				p.WantDisconnect(name, ReasonKexFailed)
				if _, ok := errors.AsType[*alg.NegotiationError](p.lastError()); !ok {
					p.t.Errorf("ended with %v", p.lastError())
				}
			})
		})
	}
}

func TestCVE_10_7_MACListsDisjointUnderAEAD(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.init.MACsIn, p.init.MACsOut = []string{"unknown"}, nil
		p.Open()
	})
}

func TestCVE_10_8_UnknownNamesInConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"kex":      func(c *Config) { c.Kex = append(c.Kex, "curve25519-sha265") },
		"host key": func(c *Config) { c.HostKeys = append(c.HostKeys, "ssh-ed25591") },
		"cipher":   func(c *Config) { c.Ciphers = append(c.Ciphers, "none") },
		"mac":      func(c *Config) { c.MACs = append(c.MACs, "none") },
		"ident":    func(c *Config) { c.Version = "SSH-2.0-\n" },
	} {
		t.Run(name, func(t *testing.T) {
			bothRoles(t, change, func(p *peer) {
				if _, err := p.r.ReadByte(); err == nil {
					p.t.Error("something was sent")
				}
				if err := p.lastError(); err == nil || asProtocol(err) {
					p.t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// TestCVE_10_5_PacketLimit forces a small limit of packets: keys are exchanged
// in time, both ways, and no nonce serves twice.
// TestCVE_10_5_SpentKey: no packet is taken beyond 2^32 under one key.
func TestCVE_10_5_SpentKey(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		synctest.Wait() // the reader waits for a packet
		p.c.inNonce = maxKeyPackets
		p.Send(&msg.Ignore{})
		p.WantDisconnect("spent key", ReasonProtocolError)
	})
}

func TestCVE_10_5_PacketLimit(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	cc.RekeyPackets, sc.RekeyPackets = 64, 1000
	cc.Ciphers = []string{"aes128-gcm@openssh.com"}
	seen := 0
	sc.PacketLog = func(e *PacketEvent) { // what comes in, in the order of the wire
		if e.Out {
			return
		}
		if seen++; e.Number == msg.NumNewKeys {
			seen = 0
		}
		if seen > 64+4 { // the exchange's own messages come on top
			t.Errorf("%d packets under one key", seen)
		}
	}
	client, server := pair(t, cc, sc)
	var wg sync.WaitGroup
	wg.Go(func() { _ = drain(client, nil) })
	wg.Go(func() { _ = drain(server, nil) })
	for range 2000 {
		if err := client.SendMessage(&msg.Ignore{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := client.Info().KeyExchanges; n < 25 {
		t.Errorf("%d key exchanges in 2000 packets", n)
	}
	_ = client.Close()
	wg.Wait()
}

// TestCVE_10_5_GCMNonces seals with the keys of two key exchanges and compares
// what the same packet looks like: no key and nonce comes again.
func TestCVE_10_5_GCMNonces(t *testing.T) {
	bothRoles(t, func(c *Config) { c.Ciphers = []string{"aes128-gcm@openssh.com"} }, func(p *peer) {
		p.Open()
		tags := map[uint64]bool{}
		for range 20 {
			p.Kex()
			for i := range uint64(20) {
				pkt := make([]byte, 4+16+16)
				p.nextOut.Seal(i, 0, pkt)
				tag := binary.BigEndian.Uint64(pkt[20:])
				if tags[tag] {
					p.t.Errorf("nonce %d came again", i)
				}
				tags[tag] = true
			}
		}
	})
}

// TestRekeyFromEverywhere starts key exchanges from both ends and several
// goroutines at once.
func TestRekeyFromEverywhere(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	client, server := pair(t, cc, sc)
	var readers, wg sync.WaitGroup
	readers.Go(func() { _ = drain(client, nil) })
	readers.Go(func() { _ = drain(server, nil) })
	for i := range 8 {
		c := []*Conn{client, server}[i%2]
		wg.Go(func() {
			for range 10 {
				if err := c.Rekey(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.SendMessage(&msg.Ignore{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_ = client.Rekey(cancelled)
	_ = client.Close()
	readers.Wait()
	if err := client.Rekey(t.Context()); err == nil {
		t.Error("Rekey of a closed connection")
	}
}

// TestCVE_3_5_GroupExchangeSizes asks for impossible groups, and offers bad ones.
func TestCVE_3_5_GroupExchangeSizes(t *testing.T) {
	for _, ask := range []msg.KexGEXRequest{
		{Min: 8192, Preferred: 1024, Max: 2048},
		{Min: 0, Preferred: 0, Max: 0},
		{Min: 9000, Preferred: 9000, Max: 10000},
		{Min: 1024, Preferred: 1024, Max: 1024},
	} {
		t.Run(fmt.Sprint(ask), func(t *testing.T) {
			_, sc := testConfigs()
			script(t, sc, func(p *peer) {
				p.init.Kex = []string{"diffie-hellman-group-exchange-sha256"}
				p.Idents()
				p.KexInit()
				p.Want("kex", msg.NumKexInit)
				p.Send(&ask)
				payload, err := p.Read()
				if err != nil || !slices.Contains([]byte{msg.NumDisconnect, msg.NumKexGEXGroup}, payload[0]) {
					p.t.Errorf("got %v, %v", payload, err)
				}
			})
		})
	}
	for name, m := range map[string]*msg.KexGEXGroup{
		"small": {P: bytes.Repeat([]byte{0x7F}, 128), G: []byte{2}},
		"even":  {P: append(bytes.Repeat([]byte{0x7F}, 255), 0x7E), G: []byte{2}},
		"long":  {P: bytes.Repeat([]byte{0x7F}, 2048), G: []byte{2}},
		"empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			cc, _ := testConfigs()
			script(t, cc, func(p *peer) {
				p.init.Kex = []string{"diffie-hellman-group-exchange-sha256"}
				p.Idents()
				p.KexInit()
				p.Want("kex", msg.NumKexInit)
				p.Want("request", msg.NumKexGEXRequest)
				p.Send(m)
				p.WantDisconnect("group", ReasonKexFailed)
			})
		})
	}
}
