package transport

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// A soak is traffic both ways at once while keys change every few KiB.
type soak struct {
	cipher, mac, compress  string
	fromClient, fromServer uint64 // octets after which they ask for new keys; 0: they do not
	calls                  int    // of Rekey, on both ends besides
	strict                 StrictKex
	link                   netsim.Link
	size                   int // octets each way
}

// run sends messages of every size both ways, half of which compress, and
// compares what arrives. It returns how often keys were exchanged.
func (s *soak) run(t *testing.T) (exchanges int) {
	leaks(t)
	cc, sc := testConfigs()
	// What a handshake costs is no concern here.
	cc.Kex, cc.HostKeys = []string{"curve25519-sha256"}, []string{"ssh-ed25519"}
	cc.Ciphers, cc.MACs, cc.Compress = []string{s.cipher}, []string{s.mac}, []string{s.compress}
	sc.Compress = cc.Compress
	cc.RekeyBytes, sc.RekeyBytes = s.fromClient, s.fromServer
	cc.Strict = s.strict
	a, b := netsim.Pipe(s.link, s.link)
	client, server := New(a, cc), New(b, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	login(t, client, server)

	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, s.size)
	for i := range data {
		if i/500%2 == 0 {
			data[i] = byte(r.Uint32())
		}
	}
	var readers, senders, seen sync.WaitGroup
	for i, c := range []*Conn{client, server} {
		seen.Add(1)
		readers.Go(func() {
			want := data
			err := drain(c, func(p []byte) {
				_, got, ok := msg.ParseChannelData(p)
				if !ok || len(want) == 0 || !bytes.HasPrefix(want, got) {
					t.Errorf("got %s of %d octets, %d before the end", msg.Name(p[0]), len(got), len(want))
					return
				}
				if want = want[len(got):]; len(want) == 0 {
					seen.Done()
				}
			})
			if len(want) > 0 {
				t.Errorf("%d octets did not come: %v", len(want), err)
				seen.Done()
			}
		})
		senders.Go(func() {
			flow := c.NewFlow(1, maxWindow, 32<<10)
			r := rand.New(rand.NewPCG(3, uint64(i)))
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(1<<(1+r.IntN(12))))
				if err := flow.Write(bufOf(rest[:n])); err != nil {
					t.Errorf("%d octets before the end: %v", len(rest), err)
					return
				}
				rest = rest[n:]
			}
		})
		senders.Go(func() {
			for range s.calls {
				if err := c.Rekey(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	seen.Wait()
	ci, si := client.Info(), server.Info()
	if ci.Strict != (s.strict == StrictOffer) || ci.Out.Compression != s.compress || ci.In.Cipher != s.cipher || ci.In != si.Out || ci.Out != si.In {
		t.Errorf("client %+v, %+v; server %+v, %+v", ci.In, ci.Out, si.In, si.Out)
	}
	_ = client.Close()
	readers.Wait()
	return ci.KeyExchanges
}

// TestW35_Soak takes every cipher through changes of keys every 4 KiB, asked
// for by the client, by the server and by both, in clear and compressed; every
// MAC and every compression method has its turn as well, and so have reads of
// one octet and sequence numbers that go on over NEWKEYS.
func TestW35_Soak(t *testing.T) {
	const every = 4 << 10
	size := 64 << 10
	if invariant.Enabled { // with the race detector all of it takes ten times as long
		size = 16 << 10
	}
	var macs []string
	for m := range seal.MACs() {
		macs = append(macs, m.Name)
	}
	initiators := []struct {
		name           string
		client, server uint64
		calls          int
	}{
		{"client", every, 0, 0}, {"server", 0, every, 0}, {"both", every, every, 0}, {"calls", 0, 0, 8},
	}
	try := func(s soak, turn int) {
		for _, i := range initiators {
			s.fromClient, s.fromServer, s.calls, s.size = i.client, i.server, i.calls, size
			if s.link = (netsim.Link{}); turn%3 == 0 {
				s.link.MaxRead = 1
			}
			if s.strict = StrictOffer; turn%2 == 1 {
				s.strict = StrictOff
			}
			turn++
			t.Run(s.cipher+" "+s.mac+" "+s.compress+" "+i.name, func(t *testing.T) {
				// What is under way when somebody asks still goes under the old
				// keys, so there are fewer than one for each 4 KiB.
				least := size / every / 4
				if i.calls > 0 {
					least = i.calls / 2 // both may be served by the same
				}
				if n := s.run(t); n < least {
					t.Errorf("%d key exchanges for %d octets each way", n, size)
				}
			})
		}
	}
	turn := 0
	for c := range seal.Ciphers() {
		for _, compress := range []string{"none", "zlib@openssh.com"} {
			try(soak{cipher: c.Name, mac: macs[turn%len(macs)], compress: compress}, turn)
			turn++
		}
	}
	for _, m := range macs {
		try(soak{cipher: "aes128-ctr", mac: m, compress: "none"}, turn)
		turn++
	}
	for _, c := range Compressions() {
		try(soak{cipher: "aes128-gcm@openssh.com", mac: macs[0], compress: c.Name}, turn)
		turn++
	}
}
