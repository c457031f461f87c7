package ssh2

import (
	"context"
	"crypto/dsa" //nolint:staticcheck // for old peers
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// offered returns what a configuration with that profile offers, by kind.
func offered(t *testing.T, p Profile) map[string][]string {
	t.Helper()
	o, err := (&Config{Profile: p}).resolve()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := resolveKeyAlgs("", p)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]string{"kex": o.kex, "host key": o.hostKeys, "cipher": o.ciphers, "mac": o.macs, "user key": keys}
}

// What the documentation of each profile says is in it, and what it says is not.
func TestW7_Profiles(t *testing.T) {
	for _, tt := range []struct {
		p            Profile
		has, hasNone []string // as kind and name; a name may end in *
	}{
		{
			Modern,
			[]string{"kex mlkem768x25519-sha256", "kex sntrup761x25519-sha512", "kex curve25519-sha256", "kex diffie-hellman-group14-sha256", "host key rsa-sha2-256", "cipher aes128-ctr", "mac hmac-sha2-256", "user key rsa-sha2-512"},
			[]string{"kex ecdh-*", "kex diffie-hellman-group15-sha512", "kex *sha1", "host key ssh-rsa", "host key ssh-dss", "cipher *-cbc", "cipher arcfour*", "mac *md5*", "user key ssh-rsa", "user key ssh-dss"},
		},
		{
			Compatible,
			[]string{"kex ecdh-sha2-nistp256", "kex ecdh-sha2-nistp384", "kex ecdh-sha2-nistp521", "kex diffie-hellman-group15-sha512", "kex diffie-hellman-group17-sha512", "kex mlkem768nistp256-sha256"},
			[]string{"kex *sha1", "host key ssh-rsa", "host key ssh-dss", "cipher 3des*", "cipher blowfish*", "cipher arcfour*", "mac *md5*", "user key ssh-rsa", "user key ssh-dss"},
		},
		{
			Legacy,
			[]string{"kex diffie-hellman-group1-sha1", "kex diffie-hellman-group14-sha1", "kex diffie-hellman-group-exchange-sha1", "host key ssh-rsa", "host key ssh-dss", "mac hmac-sha1", "user key ssh-rsa", "user key ssh-dss"},
			nil,
		},
	} {
		lists := offered(t, tt.p)
		contains := func(what string) bool {
			for kind, names := range lists {
				pattern, ok := strings.CutPrefix(what, kind+" ")
				if !ok {
					continue
				}
				// A removal that fits nothing is an error, and so this tells.
				if _, err := alg.Resolve("-"+pattern, names, append(names, "x")); err == nil {
					return true
				}
			}
			return false
		}
		for _, what := range tt.has {
			if !contains(what) {
				t.Errorf("%v lacks %s", tt.p, what)
			}
		}
		for _, what := range tt.hasNone {
			if contains(what) {
				t.Errorf("%v has %s", tt.p, what)
			}
		}
	}
}

// Each profile has all of the one before, in the same order, and Legacy all there is.
func TestW7_ProfilesContainEachOther(t *testing.T) {
	var before map[string][]string
	for p := range Profile(len(profiles)) {
		now := offered(t, p)
		for kind, names := range before {
			i := 0
			for _, n := range now[kind] {
				if i < len(names) && names[i] == n {
					i++
				}
			}
			if i != len(names) {
				t.Errorf("%v: %s: %q does not follow %q", p, kind, now[kind], names)
			}
			if len(now[kind]) > 0 && now[kind][0] != names[0] {
				t.Errorf("%v: %s: a weaker algorithm comes first: %s", p, kind, now[kind][0])
			}
		}
		before = now
	}
	if names := alg.Names(keyAlgs); !slices.Equal(before["user key"], names) {
		t.Errorf("legacy has %q of %q", before["user key"], names)
	}
	if _, err := (&Config{Profile: 9}).resolve(); err == nil {
		t.Error("an unknown profile is taken")
	}
}

// Edits begin with the profile's lists.
func TestW7_ProfileAndEdits(t *testing.T) {
	c := Config{Profile: Compatible, KeyExchanges: "^diffie-hellman-group1-sha1,-mlkem*,-sntrup*"}
	o, err := c.resolve()
	if err != nil || o.kex[0] != "diffie-hellman-group1-sha1" || !slices.Contains(o.kex, "ecdh-sha2-nistp256") || slices.Contains(o.kex, "diffie-hellman-group14-sha1") {
		t.Errorf("%q, %v", o.kex, err)
	}
	c = Config{Profile: Legacy, KeyExchanges: "curve25519-sha256"}
	if o, err = c.resolve(); err != nil || !slices.Equal(o.kex, []string{"curve25519-sha256"}) {
		t.Errorf("%q, %v", o.kex, err)
	}
}

func TestProfileText(t *testing.T) {
	for i := range profiles {
		text, err := Profile(i).MarshalText()
		var p Profile
		if err != nil || p.UnmarshalText(text) != nil || p != Profile(i) || p.String() != string(text) {
			t.Errorf("%d: %q, %v, then %v", i, text, err, p)
		}
	}
	var p Profile
	var ce *ConfigError
	if err := p.UnmarshalText([]byte("ancient")); !errors.As(err, &ce) || p != Modern {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := Profile(9).MarshalText(); err == nil {
		t.Error("an unknown profile has a name")
	}
}

// A device of long ago, with group 1, a DSA host key and DSA users' keys, talks to
// a client with the profile Legacy and to no other.
func TestW7_LegacyPeers(t *testing.T) {
	leakCheck(t)
	k := new(dsa.PrivateKey)
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(k, rand.Reader); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Profile{Modern, Compatible, Legacy} {
		s := testServer(nil)
		s.HostKeys = []gossh.Signer{signer}
		s.Config = Config{Profile: Legacy, KeyExchanges: "diffie-hellman-group1-sha1", MACs: "hmac-sha1", Ciphers: "aes128-ctr"}
		s.Auth.PublicKey = func(_ context.Context, _ *AuthAttempt, key gossh.PublicKey) Verdict {
			return Verdict{OK: key.Type() == "ssh-dss"}
		}
		cfg := testClient()
		cfg.Profile, cfg.Auth = p, []AuthMethod{PublicKeys(signer)}
		if p == Legacy {
			c := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
			if i := c.Info(); i.Kex != "diffie-hellman-group1-sha1" || i.HostKeyAlgorithm != "ssh-dss" || i.Methods[0] != "publickey" {
				t.Errorf("%+v", i)
			}
			_ = c.close(t)
			continue
		}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- s.ServeConn(context.Background(), net.Conn(b)) }()
		var ne *NegotiationError
		if _, err := NewClient(context.Background(), a, "host:22", cfg); !errors.As(err, &ne) {
			t.Errorf("%v: %v", p, err)
		}
		<-end
	}
}
