package transport

import (
	"bytes"
	"context"
	"crypto/dsa" //nolint:staticcheck // for old peers
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// testKeys are host keys of every kind, made once: RSA takes a second.
var testKeys = sync.OnceValue(func() []gossh.Signer {
	var keys []gossh.Signer
	add := func(k any, err error) {
		if err != nil {
			return
		}
		s, err := gossh.NewSignerFromKey(k)
		if err == nil {
			keys = append(keys, s)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add(ed, err)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(k, err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	add(r, err)
	add(generateDSA())
	return keys
})

// generateDSA returns a key of the only size that SSH has.
func generateDSA() (*dsa.PrivateKey, error) {
	k := new(dsa.PrivateKey)
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		return nil, err
	}
	return k, dsa.GenerateKey(k, rand.Reader)
}

func testConfigs() (client, server *Config) {
	var ciphers, macs []string
	for c := range seal.Ciphers() {
		ciphers = append(ciphers, c.Name)
	}
	for m := range seal.MACs() {
		macs = append(macs, m.Name)
	}
	base := Config{
		Kex:      alg.Names(kex.Rows()),
		HostKeys: alg.Names(HostKeyAlgorithms()),
		Ciphers:  ciphers, MACs: macs,
	}
	c, s := base, base
	c.Role, s.Role = msg.Client, msg.Server
	c.Version, s.Version = "SSH-2.0-client", "SSH-2.0-server"
	c.HostKey = func(context.Context, string, gossh.PublicKey) error { return nil }
	s.Signers = testKeys
	return &c, &s
}

// leaks checks at the end of a test that no Buf and no goroutine is left.
func leaks(t *testing.T) {
	t.Helper()
	bufs, routines := packet.Live(), runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(2 * time.Second)
		for packet.Live() != bufs || runtime.NumGoroutine() > routines {
			if time.Now().After(deadline) {
				t.Errorf("CVE 13.2: %d Bufs and %d goroutines left", packet.Live()-bufs, runtime.NumGoroutine()-routines)
				return
			}
			runtime.Gosched()
		}
	})
}

// pair returns two connected ends after the handshake, in phase Open. Each
// end must be read by the test.
func pair(t *testing.T, cc, sc *Config) (client, server *Conn) {
	t.Helper()
	a, b := net.Pipe()
	client, server = New(a, cc), New(b, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	cerr := client.Handshake(t.Context())
	if serr := <-errs; cerr != nil || serr != nil {
		t.Fatalf("handshake: client %v, server %v", cerr, serr)
	}
	client.SetPhase(msg.Open)
	server.SetPhase(msg.Open)
	return client, server
}

// connect returns the two ends of a connection in memory that has a buffer.
func connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// drain reads c until its end.
func drain(c *Conn, each func(payload []byte)) error {
	defer c.ReleaseReader()
	for {
		p, err := c.Next()
		if err != nil {
			_ = c.Close()
			return err
		}
		if each != nil {
			each(p)
		}
	}
}

func TestEveryAlgorithm(t *testing.T) {
	try := func(name string, change func(*Config)) {
		t.Run(name, func(t *testing.T) {
			leaks(t)
			cc, sc := testConfigs()
			change(cc)
			client, server := pair(t, cc, sc)
			var wg sync.WaitGroup
			got := make(chan string, 1)
			wg.Go(func() {
				_ = drain(server, func(p []byte) { got <- string(p) })
			})
			wg.Go(func() { _ = drain(client, nil) })
			if err := client.SendMessage(&msg.GlobalRequest{Name: "x"}); err != nil {
				t.Error(err)
			}
			if p := <-got; p[0] != msg.NumGlobalRequest {
				t.Errorf("got %q", p)
			}
			if err := client.Rekey(t.Context()); err != nil {
				t.Error(err)
			}
			if err := server.Rekey(t.Context()); err != nil {
				t.Error(err)
			}
			if err := client.SendMessage(&msg.GlobalRequest{Name: "y"}); err != nil {
				t.Error(err)
			}
			if p := <-got; p[0] != msg.NumGlobalRequest {
				t.Errorf("got %q", p)
			}
			if ci, si := client.Info(), server.Info(); !bytes.Equal(ci.SessionID, si.SessionID) || ci.KeyExchanges < 2 || ci.In != si.Out || !ci.Strict {
				t.Errorf("client: %d exchanges, %+v; server: %+v", ci.KeyExchanges, ci.In, si.Out)
			}
			_ = client.Close()
			wg.Wait()
		})
	}
	for _, r := range kex.Rows() {
		try(r.Name, func(c *Config) { c.Kex = []string{r.Name} })
	}
	suites(func(c *seal.Cipher, m *seal.MAC) {
		try(c.Name+" "+m.Name, func(cfg *Config) { cfg.Ciphers, cfg.MACs = []string{c.Name}, []string{m.Name} })
	})
	for _, a := range hostAlgorithms {
		if a.key == a.Name || a.Name == gossh.KeyAlgoRSASHA256 || a.Name == gossh.KeyAlgoRSASHA512 {
			if len(a.key) < 20 && !a.isX509() { // certificates have tests of their own
				try(a.Name, func(c *Config) { c.HostKeys = []string{a.Name} })
			}
		}
	}
}

// TestW35_RekeyUnderLoad rekeys every 64 KiB from both sides while bulk data
// flows both ways, with every cipher.
func TestW35_RekeyUnderLoad(t *testing.T) {
	for c := range seal.Ciphers() {
		t.Run(c.Name, func(t *testing.T) {
			leaks(t)
			cc, sc := testConfigs()
			cc.Ciphers = []string{c.Name}
			cc.RekeyBytes, sc.RekeyBytes = 64<<10, 96<<10
			client, server := pair(t, cc, sc)
			total := 4 << 20
			if invariant.Enabled { // the allocs stage runs all of it, without the race detector
				total = 1 << 20
			}
			var wg, seen sync.WaitGroup // seen: the ends that received everything
			run := func(self *Conn) {
				flow := self.NewFlow(1, maxWindow, 32<<10)
				seen.Add(1)
				wg.Go(func() {
					got, next := 0, byte(0)
					_ = drain(self, func(p []byte) {
						_, data, ok := msg.ParseChannelData(p)
						if !ok {
							t.Errorf("got %s", msg.Name(p[0]))
							return
						}
						for _, b := range data {
							if b != next {
								t.Errorf("octet %d is %d, want %d", got, b, next)
							}
							next++
							got++
						}
						if got == total {
							seen.Done()
						}
					})
				})
				wg.Go(func() {
					next := byte(0)
					for sent := 0; sent < total; {
						n := min(40<<10, total-sent)
						b := packet.Get(n)
						for i := range b.Bytes() {
							b.Bytes()[i] = next
							next++
						}
						if err := flow.Write(b); err != nil {
							t.Errorf("after %d octets: %v", sent, err)
							return
						}
						sent += n
					}
				})
			}
			run(client)
			run(server)
			seen.Wait()
			if n := client.Info().KeyExchanges; n < 10 {
				t.Errorf("%d key exchanges in %d octets", n, total)
			}
			_ = client.Close()
			wg.Wait()
		})
	}
}

func TestDisconnectArrives(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	client, server := pair(t, cc, sc)
	errs := make(chan error, 1)
	go func() { errs <- drain(client, nil) }()
	_ = server.Disconnect(ReasonByApplication, "bye\x1b")
	_ = server.Close()
	server.ReleaseReader()
	err := <-errs
	var d *DisconnectError
	if !errors.As(err, &d) || d.Reason != ReasonByApplication || !d.Remote {
		t.Errorf("got %v", err)
	}
	if bytes.ContainsRune([]byte(err.Error()), 0x1b) {
		t.Error("CVE 9.1: control character in the error")
	}
}

func TestCloseUnblocksEverybody(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	client, server := pair(t, cc, sc)
	flow := client.NewFlow(0, 0, 32<<10)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := flow.Write(packet.Get(10)); !errors.Is(err, ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
	wg.Go(func() {
		if err := drain(client, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("read: %v", err)
		}
	})
	wg.Go(func() {
		if err := drain(server, nil); !errors.Is(err, io.EOF) {
			t.Errorf("peer: %v", err)
		}
	})
	_ = client.Close()
	_ = client.Close()
	wg.Wait()
}
