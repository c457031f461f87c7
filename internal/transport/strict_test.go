package transport

import (
	"errors"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// asStrict tells whether err is the typed refusal.
func asStrict(err error) bool {
	var e *StrictKexError
	return errors.As(err, &e)
}

// Each mode with a peer that offers strict key exchange and with one that does
// not, in both roles, under a cipher that needs it and one that does not.
func TestCVE_1_4_StrictKexModes(t *testing.T) {
	const chacha, gcm = "chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"
	for _, tt := range []struct {
		name           string
		mode           StrictKex
		peer           bool // offers it
		cipher         string
		strict, refuse bool
	}{
		{"off, offered", StrictOff, true, chacha, false, false},
		{"off, not offered", StrictOff, false, chacha, false, false},
		{"offer, offered", StrictOffer, true, chacha, true, false},
		{"offer, not offered", StrictOffer, false, chacha, false, false},
		{"or safe, offered", StrictOrSafe, true, chacha, true, false},
		{"or safe, not offered, not safe", StrictOrSafe, false, chacha, false, true},
		{"or safe, not offered, safe", StrictOrSafe, false, gcm, false, false},
		{"require, offered", StrictRequire, true, gcm, true, false},
		{"require, not offered", StrictRequire, false, gcm, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothRoles(t, func(c *Config) { c.Strict = tt.mode }, func(p *peer) {
				p.init.CiphersIn, p.init.CiphersOut = []string{tt.cipher}, []string{tt.cipher}
				marker := strictClient
				if p.role == msg.Server {
					marker = strictServer
				}
				if p.strict = tt.strict; tt.peer && !tt.strict { // offered in vain
					p.init.Kex = append(p.init.Kex, marker)
				}
				p.Idents()
				if tt.refuse {
					p.KexInit()
					p.WantDisconnect("no strict key exchange", ReasonKexFailed)
					if err := p.lastError(); !asStrict(err) {
						p.t.Errorf("ended with %v", err)
					}
					return
				}
				p.KexInit()
				p.theirInit = p.Want("offer", msg.NumKexInit)
				var m msg.KexInit
				p.check(msg.Decode(p.theirInit, &m))
				offers := slices.Contains(m.Kex, strictClient) || slices.Contains(m.Kex, strictServer)
				if offers != (tt.mode != StrictOff) {
					p.t.Errorf("offers %q", m.Kex)
				}
				p.Kex()
				<-p.ready
				p.login()
				p.init.Kex = slices.DeleteFunc(slices.Clone(p.init.Kex), func(n string) bool { return n == marker })
				p.Kex() // sequence numbers restart, or do not
				p.Send(&msg.Ping{Data: []byte("x")})
				p.Want("echo", msg.NumPong)
				if got := p.c.Info().Strict; got != tt.strict {
					p.t.Errorf("strict: %v", got)
				}
			})
		})
	}
}

// Without strict key exchange a later exchange cannot fall back on what is not safe.
func TestCVE_1_4_NotSafeAtRekey(t *testing.T) {
	bothRoles(t, func(c *Config) { c.Strict = StrictOrSafe }, func(p *peer) {
		p.strict = false
		p.init.CiphersIn, p.init.CiphersOut = []string{"aes128-gcm@openssh.com"}, []string{"aes128-gcm@openssh.com"}
		p.Open()
		p.init.CiphersIn = []string{"chacha20-poly1305@openssh.com"}
		p.KexInit()
		p.WantDisconnect("not safe at rekey", ReasonKexFailed)
		if err := p.lastError(); !asStrict(err) {
			p.t.Errorf("ended with %v", err)
		}
	})
}

// Which pairs of the tables the attack works against.
func TestCVE_1_4_TruncatablePairs(t *testing.T) {
	for c := range seal.Ciphers() {
		for m := range seal.MACs() {
			cbc := len(c.Name) > 4 && (c.Name[len(c.Name)-4:] == "-cbc" || c.Name == "rijndael-cbc@lysator.liu.se")
			want := c.Name == "chacha20-poly1305@openssh.com" || cbc && m.EtM
			if got := truncatable(alg.Direction{Cipher: c.Name, MAC: m.Name}); got != want {
				t.Errorf("%s with %s: %v", c.Name, m.Name, got)
			}
		}
	}
	for _, d := range []alg.Direction{{Cipher: "aes128-cbc", MAC: "hmac-sha2-256-etm@openssh.com"}, {Cipher: "chacha20-poly1305@openssh.com"}} {
		if !truncatable(d) {
			t.Errorf("%+v is taken for safe", d)
		}
	}
}
