package transport

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// sample returns a well-formed message of that number with everything empty.
func sample(number byte) []byte {
	for _, r := range msg.Rows() {
		if r.Number == number {
			return msg.Append(nil, r.New())
		}
	}
	return []byte{number}
}

// connection are the messages of the connection protocol.
var connection = []byte{80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 192, 193}

func TestCVE_1_1_ConnectionMessagesBeforeAuth(t *testing.T) {
	for _, n := range connection {
		t.Run(msg.Name(n), func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Handshake()
				p.SendPayload(sample(n))
				p.WantDisconnect("before auth", ReasonProtocolError)
				if got := p.delivered(); len(got) != 0 {
					p.t.Errorf("delivered %v", got)
				}
			})
		})
	}
	t.Run("after service accept", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			if p.role == msg.Client {
				p.Send(&msg.ServiceRequest{Service: "ssh-userauth"})
			} else {
				p.Send(&msg.ServiceAccept{Service: "ssh-userauth"})
			}
			p.SendPayload(sample(msg.NumChannelOpen))
			p.WantDisconnect("after the service", ReasonProtocolError)
			if got := p.delivered(); len(got) != 1 {
				p.t.Errorf("delivered %v", got)
			}
		})
	})
}

func TestCVE_1_2_MessagesOfTheOtherRole(t *testing.T) {
	for role, numbers := range map[msg.Role][]byte{
		msg.Server: {6, 51, 52, 53, 60},
		msg.Client: {5, 50, 63, 66},
	} {
		for _, n := range numbers {
			t.Run(fmt.Sprint(role, n), func(t *testing.T) {
				cc, sc := testConfigs()
				cfg := cc
				if role == msg.Server {
					cfg = sc
				}
				script(t, cfg, func(p *peer) {
					p.Handshake()
					p.SendPayload(sample(n))
					p.SendPayload(sample(msg.NumChannelOpen))
					p.WantDisconnect("wrong role", ReasonProtocolError)
					if got := p.delivered(); len(got) != 0 {
						p.t.Errorf("delivered %v", got)
					}
				})
			})
		}
	}
}

// before are the moments before the first NEWKEYS.
var before = []struct {
	name string
	to   func(*peer)
}{
	{"after ident", (*peer).Idents},
	{"after KEXINIT", func(p *peer) { p.Idents(); p.KexInit() }},
	{"before NEWKEYS", func(p *peer) { p.Idents(); p.Exchange() }},
}

func TestCVE_1_3_AuthMessagesBeforeKeys(t *testing.T) {
	for _, when := range before {
		for _, n := range []byte{5, 6, 50, 51, 52, 53, 60, 61, 90} {
			t.Run(fmt.Sprint(when.name, " ", n), func(t *testing.T) {
				bothRoles(t, nil, func(p *peer) {
					when.to(p)
					p.SendPayload(sample(n))
					p.WantDisconnect("in clear", ReasonProtocolError)
					if got := p.delivered(); len(got) != 0 {
						p.t.Errorf("delivered %v", got)
					}
				})
			})
		}
	}
}

// TestCVE_1_4_Strict is Terrapin: (a) and (b) and (f).
func TestCVE_1_4_StrictKexAllowsNothingElse(t *testing.T) {
	for _, when := range before {
		for _, n := range []byte{2, 3, 4, 7, 192} {
			t.Run(fmt.Sprint(when.name, " ", n), func(t *testing.T) {
				bothRoles(t, nil, func(p *peer) {
					when.to(p)
					p.SendPayload(sample(n))
					if p.ourInit == nil {
						p.KexInit() // only this one says that it is strict
					}
					p.WantDisconnect("strict", ReasonProtocolError)
				})
			})
		}
	}
}

// TestCVE_1_4_c_Deleted loses or adds a packet under the first keys.
func TestCVE_1_4_c_PacketDeletedOrInjected(t *testing.T) {
	for _, cipher := range []string{"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr"} {
		for name, f := range map[string]func(*peer){
			"deleted": func(p *peer) { _ = p.pack(sample(msg.NumIgnore)) },
			"injected": func(p *peer) {
				p.Write(slices.Repeat([]byte{0, 0, 0, 16}, 16)[:20+p.sealer.Overhead()])
			},
		} {
			t.Run(cipher+" "+name, func(t *testing.T) {
				bothRoles(t, func(c *Config) { c.Ciphers, c.MACs = []string{cipher}, []string{"hmac-sha2-256-etm@openssh.com"} }, func(p *peer) {
					p.Handshake()
					f(p)
					p.SendPayload(sample(msg.NumIgnore))
					p.Send(&msg.UserauthRequest{})
					p.WantDisconnect("sequence", ReasonMACError)
				})
			})
		}
	}
}

// TestCVE_1_4_d runs with and without the reset of sequence numbers, under a
// cipher that depends on them; (e) is that later KEXINITs lack the marker.
func TestCVE_1_4_d_SequenceNumbers(t *testing.T) {
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			bothRoles(t, func(c *Config) { c.Ciphers = []string{"chacha20-poly1305@openssh.com"} }, func(p *peer) {
				p.strict = strict
				p.Open()
				for range 3 {
					p.Send(&msg.Ignore{})
					p.Kex()
					p.Send(&msg.Ping{Data: []byte("x")})
					p.Want("echo", msg.NumPong)
				}
				if p.strict && p.inSeq > 3 || p.c.Info().Strict != strict {
					p.t.Errorf("sequence number %d, strict %v", p.inSeq, p.c.Info().Strict)
				}
			})
		})
	}
}

func TestCVE_1_4_e_MarkerInLaterKexInit(t *testing.T) {
	bothRoles(t, func(c *Config) { c.Ciphers = []string{"chacha20-poly1305@openssh.com"} }, func(p *peer) {
		p.strict = false
		p.Open()
		p.init.Kex = append(p.init.Kex, strictClient, strictServer)
		p.Kex() // not strict: sequence numbers run on
		p.Send(&msg.Ping{Data: []byte("x")})
		p.Want("echo", msg.NumPong)
		for _, name := range []string{strictClient, strictServer, extInfoClient, extInfoServer} {
			p.KexInit()
			p.theirInit = p.Want("rekey", msg.NumKexInit)
			var m msg.KexInit
			p.check(msg.Decode(p.theirInit, &m))
			if slices.Contains(m.Kex, name) {
				p.t.Errorf("%s in a later KEXINIT", name)
			}
			p.Kex()
		}
	})
}

func TestCVE_1_5_ExtInfoPlaces(t *testing.T) {
	ext := &msg.ExtInfo{Extensions: []msg.Extension{{Name: "x", Value: []byte("y")}}}
	for _, when := range before {
		t.Run(when.name, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.strict = false
				when.to(p)
				p.Send(ext)
				p.WantDisconnect("EXT_INFO before NEWKEYS", ReasonProtocolError)
			})
		})
	}
	t.Run("late", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			p.Send(&msg.Ignore{})
			p.Send(ext)
			p.Send(&msg.Debug{})
			p.SendPayload(sample(5 + byte(p.role/msg.Server)))
			p.WantDisconnect("EXT_INFO out of place", ReasonProtocolError)
		})
	})
	t.Run("after success", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Open()
			p.Send(ext)
			p.WantDisconnect("EXT_INFO out of place", ReasonProtocolError)
		})
	})
	t.Run("right", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			p.Send(ext)
			if p.role == msg.Server { // a second time before success
				p.Send(&msg.UserauthFailure{})
				p.Send(ext)
				p.Send(&msg.UserauthSuccess{})
			}
			p.delivered()
			if got := p.c.Info().Extensions["x"]; string(got) != "y" || p.c.Err() != nil {
				p.t.Errorf("extensions %v, %v", p.c.Info().Extensions, p.c.Err())
			}
		})
	})
}

func TestCVE_1_6_KexMessagesOutOfSequence(t *testing.T) {
	newKeys := sample(msg.NumNewKeys)
	for name, f := range map[string]func(*peer){
		"NEWKEYS first":  func(p *peer) { p.Idents(); p.SendPayload(newKeys) },
		"NEWKEYS early":  func(p *peer) { p.Idents(); p.KexInit(); p.SendPayload(newKeys) },
		"NEWKEYS twice":  func(p *peer) { p.Handshake(); p.SendPayload(newKeys) },
		"NEWKEYS longer": func(p *peer) { p.Idents(); p.Exchange(); p.SendPayload(append(newKeys, 0)) },
		"own message before KEXINIT": func(p *peer) {
			p.Idents()
			p.SendPayload(sample(30 + byte(p.role/msg.Server))) // 30 of a client, 31 of a server
		},
		"message of the other role": func(p *peer) {
			p.Idents()
			p.KexInit()
			p.SendPayload(sample(31 - byte(p.role/msg.Server)))
		},
		"exchange twice": func(p *peer) {
			p.Idents()
			p.Exchange()
			p.SendPayload(sample(30 + byte(p.role/msg.Server)))
		},
		"KEXINIT twice":                func(p *peer) { p.Idents(); p.KexInit(); p.KexInit() },
		"KEXINIT before NEWKEYS":       func(p *peer) { p.Idents(); p.Exchange(); p.KexInit() },
		"kex message after the end":    func(p *peer) { p.Open(); p.SendPayload(sample(30 + byte(p.role/msg.Server))) },
		"KEXINIT twice later":          func(p *peer) { p.Open(); p.KexInit(); p.KexInit() },
		"NEWKEYS early later":          func(p *peer) { p.Open(); p.KexInit(); p.SendPayload(newKeys) },
		"truncated KEXINIT":            func(p *peer) { p.Idents(); p.SendPayload(append([]byte{20}, make([]byte, 18)...)) },
		"unknown number in the middle": func(p *peer) { p.Idents(); p.KexInit(); p.SendPayload([]byte{49}) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, strict := range []bool{true, false} {
				bothRoles(t, nil, func(p *peer) {
					p.strict = strict
					f(p)
					p.WantDisconnect(name, ReasonProtocolError)
				})
			}
		})
	}
}

func TestCVE_1_7_GroupExchangeOfTheOtherRole(t *testing.T) {
	const method = "diffie-hellman-group-exchange-sha256"
	group, err := (*kex.Moduli)(nil).Choose(8192, 8192, 8192)
	if err != nil {
		t.Fatal(err)
	}
	prime, gen := group.Octets()
	run := func(cfg *Config, messages ...msg.Message) {
		for _, m := range messages {
			t.Run(fmt.Sprint(cfg.Role, m.Number()), func(t *testing.T) {
				script(t, cfg, func(p *peer) {
					p.init.Kex = []string{method}
					p.Idents()
					p.KexInit()
					p.Want("kex", msg.NumKexInit)
					start := time.Now()
					p.Send(m)
					p.WantDisconnect("wrong role", ReasonProtocolError)
					if time.Since(start) > 0 { // of the bubble's clock: nobody waited
						p.t.Error("took its time")
					}
				})
			})
		}
	}
	cc, sc := testConfigs()
	run(sc, &msg.KexGEXGroup{P: prime, G: gen}, &msg.KexReply{GEX: true}, &msg.KexInitial{GEX: true}, &msg.KexInitial{})
	run(cc, &msg.KexInitial{}, &msg.KexInitial{GEX: true}, &msg.KexGEXRequest{Min: 2048, Preferred: 2048, Max: 8192}, &msg.KexReply{GEX: true})
}

func TestCVE_1_8_PseudoNamesAreNotMethods(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.init.Kex = []string{extInfoClient, extInfoServer, strictClient, strictServer, "unknown"}
		p.strict = false
		p.Idents()
		p.KexInit()
		p.WantDisconnect("nothing in common", ReasonKexFailed)
		if _, ok := errors.AsType[*alg.NegotiationError](p.lastError()); !ok {
			p.t.Errorf("ended with %v", p.lastError())
		}
	})
}

func TestCVE_1_9_FirstKexPacketFollows(t *testing.T) {
	t.Run("wrong", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.init.Follows = true
			// The peer prefers something we do not have.
			p.init.Kex = []string{"unknown", "curve25519-sha256"}
			guess := func() {
				p.KexInit()
				p.SendPayload(append([]byte{30 + byte(p.role/msg.Server)}, "whatever"...))
			}
			p.Idents()
			guess()
			p.Kex()
			<-p.ready
			p.login() // before it there are few
			var start runtime.MemStats
			for i := range 300 {
				if i == 50 {
					runtime.GC()
					runtime.ReadMemStats(&start)
				}
				guess()
				p.Kex()
			}
			var end runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&end)
			if end.HeapAlloc > start.HeapAlloc+256<<10 {
				p.t.Errorf("heap grew from %d to %d octets in 250 exchanges", start.HeapAlloc, end.HeapAlloc)
			}
		})
	})
	t.Run("wrong, then two", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.init.Follows = true
			p.init.Kex = []string{"unknown", "curve25519-sha256"}
			p.Idents()
			p.KexInit()
			for range 2 { // the second one is not skipped
				p.SendPayload([]byte{30 + byte(p.role/msg.Server), 0, 0, 0, 1, 0})
			}
			p.WantDisconnect("second guess", 0)
		})
	})
	t.Run("wrong, then something else", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.init.Follows = true
			p.init.Kex = []string{"unknown", "curve25519-sha256"}
			p.Idents()
			p.KexInit()
			p.SendPayload(sample(msg.NumIgnore))
			p.WantDisconnect("not a guess", ReasonProtocolError)
		})
	})
	t.Run("right", func(t *testing.T) {
		// Only a client has something to guess with in these methods.
		_, sc := testConfigs()
		sc.Kex, sc.HostKeys = []string{"curve25519-sha256"}, []string{"ssh-ed25519"}
		script(t, sc, func(p *peer) {
			p.init.Follows = true
			p.Idents()
			p.KexInit()
			row, _ := kex.Find("curve25519-sha256")
			method, err := row.New()
			p.check(err)
			public, err := method.Init()
			p.check(err)
			p.Send(&msg.KexInitial{Public: public})
			p.theirInit = p.Want("kex", msg.NumKexInit)
			var m msg.KexReply
			p.check(msg.Decode(p.Want("reply to the guess", msg.NumKexECDHReply), &m))
			secret, err := method.Finish(m.Public)
			p.check(err)
			chosen, _ := p.negotiate()
			p.derive(chosen, row, public, m.Public, secret, m.HostKey)
			p.NewKeys()
			p.WantNewKeys()
			<-p.ready
		})
	})
}

func TestCVE_1_10_ManyKexInits(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.strict = false
		p.Idents()
		for range 1000 {
			p.KexInit()
		}
		p.WantDisconnect("second KEXINIT", ReasonProtocolError)
		if n := p.c.Info().PacketsIn; n != 2 {
			p.t.Errorf("%d packets read", n)
		}
	})
}

func TestCVE_1_11_Pings(t *testing.T) {
	t.Run("before auth", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Handshake()
			p.Send(&msg.Ping{})
			p.WantDisconnect("PING before auth", ReasonProtocolError)
		})
	})
	t.Run("after KEXINIT", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Open()
			p.KexInit()
			p.Send(&msg.Ping{})
			p.WantDisconnect("PING in a key exchange", ReasonProtocolError)
		})
	})
	t.Run("before KEXINIT", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Open()
			p.c.startKex(KexCall)
			p.Want("rekey", msg.NumKexInit)
			go func() { // until the connection is closed
				for range 100_000 {
					p.Send(&msg.Ping{Data: make([]byte, 1000)})
				}
			}()
			payload, err := p.Read()
			if err != nil || payload[0] != msg.NumDisconnect {
				p.t.Errorf("got %v, %v", payload, err)
			}
			if n := p.c.Info().PacketsIn; n > maxPosted+100 {
				p.t.Errorf("%d packets taken", n)
			}
		})
	})
	t.Run("too long", func(t *testing.T) {
		bothRoles(t, nil, func(p *peer) {
			p.Open()
			p.Send(&msg.Ping{Data: make([]byte, maxPing+1)})
			p.WantDisconnect("long PING", ReasonProtocolError)
		})
	})
}

func TestCVE_1_14_EmptyPayload(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Idents()
		p.Write(p.packAs(12, 11, make([]byte, 11)))
		p.WantDisconnect("in clear", ReasonProtocolError)
	})
	for c := range seal.Ciphers() {
		t.Run(c.Name, func(t *testing.T) {
			bothRoles(t, func(cfg *Config) { cfg.Ciphers = []string{c.Name} }, func(p *peer) {
				p.Handshake()
				const n = 32 // a multiple of every block; the length stands aside
				p.Write(p.packAs(n, n-1, make([]byte, n-1)))
				p.WantDisconnect("empty", ReasonMACError)
			})
		})
	}
}

func TestCVE_1_15_NameLists(t *testing.T) {
	raw := func(p *peer, kexNames string, languages string) []byte {
		m := p.init
		_, _ = rand.Read(m.Cookie[:])
		m.Kex = []string{"KEX"}
		m.LanguagesOut = []string{"LANG"}
		if p.strict {
			kexNames += "," + map[msg.Role]string{msg.Client: strictClient, msg.Server: strictServer}[p.role]
		}
		b := msg.Append(nil, &m)
		b = bytes.Replace(b, []byte("\x00\x00\x00\x03KEX"), append([]byte{0, 0, 0, byte(len(kexNames))}, kexNames...), 1)
		return bytes.Replace(b, []byte("\x00\x00\x00\x04LANG"), append([]byte{0, 0, 0, byte(len(languages))}, languages...), 1)
	}
	for _, names := range []string{"unknown,,curve25519-sha256", "curve25519-sha256,", ",curve25519-sha256,,,"} {
		t.Run(names, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.Idents()
				p.ourInit = raw(p, names, "")
				p.SendPayload(p.ourInit)
				p.Kex()
				<-p.ready
			})
		})
	}
	for _, names := range []string{"", ",", ",,,"} {
		t.Run("none:"+names, func(t *testing.T) {
			bothRoles(t, nil, func(p *peer) {
				p.strict = false
				p.Idents()
				p.SendPayload(raw(p, names, "en,,"))
				p.WantDisconnect("no method", ReasonKexFailed)
			})
		})
	}
}

// TestCVE_1_13 is a part of WantDisconnect: every refusal above is followed by
// more packets. Here the refusal comes from the layers above.
func TestCVE_1_13_NothingAfterTheEnd(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		_ = p.c.Violation("says the layer above")
		p.WantDisconnect("violation", ReasonProtocolError)
	})
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		_ = p.c.Disconnect(ReasonByApplication, "bye")
		p.Send(&msg.GlobalRequest{Name: "x", WantReply: true})
		p.WantDisconnect("own end", ReasonByApplication)
		if got := p.delivered(); bytes.IndexByte(got, msg.NumGlobalRequest) >= 0 {
			p.t.Errorf("delivered %v after our DISCONNECT", got)
		}
	})
}

// TestEndOfStream tells an end between packets from nothing else: both are
// io.EOF, for whoever waits as well.
func TestEndOfStream(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		p.Write(p.pack(sample(msg.NumIgnore))[:7])
		_ = p.nc.Close()
		if err := p.lastError(); !errors.Is(err, io.EOF) {
			p.t.Errorf("ended with %v", err)
		}
	})
}
