package transport

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A fed connection has everything the peer will ever say.
type fed struct{ r *bytes.Reader }

func (f fed) Read(p []byte) (int, error)       { return f.r.Read(p) }
func (fed) Write(p []byte) (int, error)        { return len(p), nil }
func (fed) Close() error                       { return nil }
func (fed) LocalAddr() net.Addr                { return fakeAddr{} }
func (fed) RemoteAddr() net.Addr               { return fakeAddr{} }
func (fed) SetDeadline(time.Time) error        { return nil }
func (fed) SetReadDeadline(t time.Time) error  { return nil }
func (fed) SetWriteDeadline(t time.Time) error { return nil }

// feed lets a Conn read input. Without knowing what we send one can finish a
// handshake with a server, whose last packet is NEWKEYS in clear, but then not
// send a single message.
func feed(t *testing.T, cfg *Config, input []byte) {
	before := packet.Live()
	c := New(fed{bytes.NewReader(input)}, cfg)
	if err := c.Handshake(t.Context()); err == nil {
		if p, err := c.Next(); err == nil || c.cfg.Role == msg.Client {
			t.Errorf("message %v, %v", p, err)
		}
		_ = c.Close()
		c.ReleaseReader()
	}
	if n := packet.Live() - before; n != 0 {
		t.Errorf("%d Bufs left", n)
	}
}

// packets frames input, each payload preceded by its length in one octet and
// a half, so that the fuzzer spends its time behind the framing.
func packets(input []byte) []byte {
	var out []byte
	for len(input) > 2 {
		n := min(int(input[0])|int(input[1]&7)<<8, len(input)-2)
		if n == 0 {
			input = input[2:]
			continue
		}
		p := &peer{sealer: seal.Plain{}}
		out = append(out, p.pack(input[2:2+n])...)
		input = input[2+n:]
	}
	return out
}

func fuzzHandshake(f *testing.F, cfg *Config, from msg.Role) {
	chunk := func(payloads ...[]byte) []byte {
		var b []byte
		for _, p := range payloads {
			b = append(append(b, byte(len(p)), byte(len(p)>>8)), p...)
		}
		return b
	}
	// Cheap methods only: the fuzzer is to look for holes, not for primes.
	cfg.Kex = []string{"curve25519-sha256", "diffie-hellman-group-exchange-sha256"}
	cfg.KexTimeout = 5 * time.Second
	init := &msg.KexInit{
		Kex: cfg.Kex[:1], HostKeys: cfg.HostKeys, CiphersOut: cfg.Ciphers, CiphersIn: cfg.Ciphers,
		MACsOut: cfg.MACs, MACsIn: cfg.MACs, CompressOut: []string{"none"}, CompressIn: []string{"none"},
	}
	public := append(make([]byte, 31), 9)
	f.Add(chunk(msg.Append(nil, init), sample(30), sample(21)))
	f.Add(chunk(msg.Append(nil, init), msg.Append(nil, &msg.KexInitial{Public: public}), sample(21)))
	f.Add(chunk(msg.Append(nil, init), msg.Append(nil, &msg.KexReply{HostKey: testKeys()[0].PublicKey().Marshal(), Public: public, Signature: []byte("x")}), sample(21)))
	init.Kex, init.Follows = []string{"x", strictClient, strictServer, cfg.Kex[1]}, true
	f.Add(chunk(msg.Append(nil, init), sample(30), msg.Append(nil, &msg.KexGEXRequest{Min: 2048, Preferred: 3072, Max: 8192})))
	f.Add(chunk(msg.Append(nil, init), sample(30), msg.Append(nil, &msg.KexGEXGroup{P: bytes.Repeat([]byte{0x7F}, 256), G: []byte{2}})))
	for n := range 256 {
		if n == 0 || n > 100 && n < 190 {
			continue
		}
		f.Add(chunk(sample(byte(n))))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 64<<10 {
			return
		}
		ident := []byte("SSH-2.0-" + from.String() + "\r\n")
		feed(t, cfg, append(ident, packets(input)...))
		feed(t, cfg, append(ident, input...))
	})
}

// FuzzServerHandshake plays a client that knows no manners.
func FuzzServerHandshake(f *testing.F) {
	_, sc := testConfigs()
	fuzzHandshake(f, sc, msg.Client)
}

// FuzzClientHandshake plays a server that knows no manners.
func FuzzClientHandshake(f *testing.F) {
	cc, _ := testConfigs()
	fuzzHandshake(f, cc, msg.Server)
}

// FuzzIdent sends anything first, to both roles.
func FuzzIdent(f *testing.F) {
	for _, s := range []string{"", "SSH-2.0-x\r\n", "SSH-1.99-x\n", "hello\r\nSSH-2.0-x\r\n", "SSH-2.0-\x00\n", "\n\n\n"} {
		f.Add([]byte(s))
	}
	cc, sc := testConfigs()
	f.Fuzz(func(t *testing.T, input []byte) {
		feed(t, cc, input)
		feed(t, sc, input)
	})
}
