package transport

import (
	"context"
	"crypto/dsa" //nolint:staticcheck // for old peers
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// asHostKey tells whether err is the typed error of a host key not accepted.
func asHostKey(err error) bool {
	var e *HostKeyError
	return errors.As(err, &e)
}

// certify returns a host certificate for key, signed by ca, and its signer.
func certify(t *testing.T, key, ca gossh.Signer, kind uint32) gossh.Signer {
	t.Helper()
	cert := &gossh.Certificate{
		Key: key.PublicKey(), CertType: kind, KeyId: "host", ValidPrincipals: []string{"host"},
		ValidBefore: gossh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := gossh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shake runs a handshake between two Conns and returns their errors.
func shake(t *testing.T, cc, sc *Config) (cerr, serr error) {
	t.Helper()
	client, server := connect(t)
	c, s := New(client, cc), New(server, sc)
	done := make(chan error, 1)
	go func() { done <- s.Handshake(t.Context()) }()
	cerr = c.Handshake(t.Context())
	if cerr == nil {
		defer c.ReleaseReader()
	}
	if serr = <-done; serr == nil {
		defer s.ReleaseReader()
	}
	_, _ = c.Close(), s.Close()
	return cerr, serr
}

func TestCVE_2_22_HostCertificates(t *testing.T) {
	leaks(t)
	ca := testKeys()[0]
	for _, key := range testKeys() {
		signer := certify(t, key, ca, gossh.HostCert)
		for _, a := range hostAlgorithms {
			if a.key != signer.PublicKey().Type() {
				continue
			}
			t.Run(a.Name, func(t *testing.T) {
				cc, sc := testConfigs()
				cc.HostKeys = []string{a.Name}
				sc.Signers = func() []gossh.Signer { return []gossh.Signer{signer} }
				checker := gossh.CertChecker{IsHostAuthority: func(k gossh.PublicKey, _ string) bool {
					return string(k.Marshal()) == string(ca.PublicKey().Marshal())
				}}
				asked := 0
				cc.HostKey = func(_ context.Context, algorithm string, k gossh.PublicKey) error {
					asked++
					if algorithm != a.Name {
						t.Errorf("judged as %s", algorithm)
					}
					return checker.CheckHostKey("host:22", fakeAddr{}, k)
				}
				if cerr, serr := shake(t, cc, sc); cerr != nil || serr != nil || asked != 1 {
					t.Errorf("client %v, server %v, asked %d times", cerr, serr, asked)
				}
				checker.IsHostAuthority = func(gossh.PublicKey, string) bool { return false }
				if cerr, _ := shake(t, cc, sc); !asHostKey(cerr) {
					t.Errorf("foreign certificate: %v", cerr)
				}
			})
		}
	}
}

type fakeAddr struct{}

func (fakeAddr) Network() string { return "tcp" }
func (fakeAddr) String() string  { return "192.0.2.1:22" }

// hostKeyRefused plays a server whose reply is changed by forge.
func hostKeyRefused(t *testing.T, algorithm string, signer gossh.Signer, forge func(*msg.KexReply)) {
	t.Helper()
	hostKeyRefusedBy(t, algorithm, signer, func(_ *peer, r *msg.KexReply) {
		if forge != nil {
			forge(r)
		}
	})
}

// hostKeyRefusedBy is hostKeyRefused for who needs the exchange hash, p.lastHash.
func hostKeyRefusedBy(t *testing.T, algorithm string, signer gossh.Signer, forge func(p *peer, r *msg.KexReply)) {
	t.Helper()
	cc, _ := testConfigs()
	cc.HostKey = func(context.Context, string, gossh.PublicKey) error {
		t.Error("somebody was asked about a key that does not hold")
		return nil
	}
	script(t, cc, func(p *peer) {
		p.signer, p.forge = signer, func(r *msg.KexReply) { forge(p, r) }
		p.init.HostKeys = []string{algorithm}
		p.Idents()
		p.Exchange()
		p.WantDisconnect("host key", ReasonHostKeyNotVerifiable)
		if err := p.lastError(); !asHostKey(err) {
			p.t.Errorf("ended with %v", err)
		}
	})
}

func TestCVE_2_18_CurveOfAnotherName(t *testing.T) {
	p256, p384 := testKeys()[1], testKeys()[2]
	for _, c := range []struct {
		name          string
		signer, other gossh.Signer
	}{{"384 as 256", p256, p384}, {"256 as 384", p384, p256}} {
		t.Run(c.name, func(t *testing.T) {
			hostKeyRefused(t, c.signer.PublicKey().Type(), c.signer, func(r *msg.KexReply) {
				r.HostKey = c.other.PublicKey().Marshal()
			})
			// The type says one curve, the fields another.
			hostKeyRefused(t, c.signer.PublicKey().Type(), c.signer, func(r *msg.KexReply) {
				blob := c.other.PublicKey().Marshal()
				typ := c.other.PublicKey().Type()
				r.HostKey = wire.AppendString(nil, c.signer.PublicKey().Type())
				r.HostKey = append(r.HostKey, blob[4+len(typ):]...)
			})
		})
	}
}

func TestCVE_2_19_NestedCertificates(t *testing.T) {
	key, ca := testKeys()[0], testKeys()[1]
	inner := certify(t, key, ca, gossh.HostCert)
	signer := certify(t, key, ca, gossh.HostCert)
	nest := func(depth int) []byte {
		blob := inner.PublicKey().Marshal()
		caBlob := ca.PublicKey().Marshal()
		at := strings.LastIndex(string(blob), string(caBlob)) - 4
		head := blob[:at]
		for range depth {
			next := append([]byte(nil), head...)
			next = wire.AppendBytes(next, blob)
			blob = wire.AppendBytes(next, make([]byte, 16))
		}
		return blob
	}
	for _, depth := range []int{1, 2, 30} {
		hostKeyRefused(t, gossh.CertAlgoED25519v01, signer, func(r *msg.KexReply) { r.HostKey = nest(depth) })
	}
	if err := checkKeyBlob(nest(1000), gossh.CertAlgoED25519v01); err == nil {
		t.Error("nesting accepted")
	}
	hostKeyRefused(t, gossh.CertAlgoED25519v01, certify(t, key, ca, gossh.UserCert), nil)
}

func TestCVE_2_22_BareKeyForCertificate(t *testing.T) {
	key := testKeys()[0]
	signer := certify(t, key, testKeys()[1], gossh.HostCert)
	for name, forge := range map[string]func(*msg.KexReply){
		"bare key":  func(r *msg.KexReply) { r.HostKey = key.PublicKey().Marshal() },
		"truncated": func(r *msg.KexReply) { r.HostKey = r.HostKey[:len(r.HostKey)-30] },
		"trailing":  func(r *msg.KexReply) { r.HostKey = append(r.HostKey, 0) },
		"empty":     func(r *msg.KexReply) { r.HostKey = nil },
		"type only": func(r *msg.KexReply) { r.HostKey = wire.AppendString(nil, gossh.CertAlgoED25519v01) },
	} {
		t.Run(name, func(t *testing.T) { hostKeyRefused(t, gossh.CertAlgoED25519v01, signer, forge) })
	}
}

func TestCVE_2_11_WrongSignatures(t *testing.T) {
	key, rsaKey := testKeys()[0], testKeys()[4]
	sign := func(s gossh.Signer, data []byte) []byte {
		sig, err := s.Sign(rand.Reader, data)
		if err != nil {
			t.Fatal(err)
		}
		return gossh.Marshal(sig)
	}
	for name, forge := range map[string]func(*msg.KexReply){
		"of something else": func(r *msg.KexReply) { r.Signature = sign(key, []byte("x")) },
		"bit":               func(r *msg.KexReply) { r.Signature[len(r.Signature)-1] ^= 1 },
		"empty":             func(r *msg.KexReply) { r.Signature = nil },
		"short":             func(r *msg.KexReply) { r.Signature = r.Signature[:len(r.Signature)-1] },
		"trailing":          func(r *msg.KexReply) { r.Signature = append(r.Signature, 0) },
		"of another key":    func(r *msg.KexReply) { r.HostKey = otherEd25519(t) },
		"long":              func(r *msg.KexReply) { r.Signature = make([]byte, 30<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			hostKeyRefused(t, gossh.KeyAlgoED25519, key, forge)
		})
	}
	// cves 2.17: a good signature, by SHA-1 under the name of another algorithm.
	t.Run("ssh-rsa for rsa-sha2-256", func(t *testing.T) {
		hostKeyRefusedBy(t, gossh.KeyAlgoRSASHA256, rsaKey, func(p *peer, r *msg.KexReply) { r.Signature = sign(rsaKey, p.lastHash) })
	})
}

func otherEd25519(t *testing.T) []byte {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := gossh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return k.Marshal()
}

func TestCVE_2_23_NobodyToVerify(t *testing.T) {
	for name, judge := range map[string]func(context.Context, string, gossh.PublicKey) error{
		"nobody":  nil,
		"refused": func(context.Context, string, gossh.PublicKey) error { return errors.New("unknown host") },
	} {
		t.Run(name, func(t *testing.T) {
			cc, _ := testConfigs()
			cc.HostKey = judge
			script(t, cc, func(p *peer) {
				p.Idents()
				p.Exchange()
				p.NewKeys()
				p.WantDisconnect("unverified host", ReasonHostKeyNotVerifiable)
				if err := p.lastError(); !asHostKey(err) {
					p.t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestCVE_2_24_HostKeyChangesAtRekey(t *testing.T) {
	cc, _ := testConfigs()
	asked := 0
	cc.HostKey = func(context.Context, string, gossh.PublicKey) error { asked++; return nil }
	script(t, cc, func(p *peer) {
		p.Open()
		p.Kex()
		p.signer = testKeys()[1]
		p.init.HostKeys = []string{p.signer.PublicKey().Type()}
		p.Exchange()
		p.WantDisconnect("changed host key", ReasonHostKeyNotVerifiable)
		if err := p.lastError(); !asHostKey(err) || asked != 1 {
			p.t.Errorf("ended with %v, asked %d times", err, asked)
		}
	})
}

// TestCVE_13_5 replaces host keys while a connection lives: it keeps its own.
func TestCVE_13_5_HostKeysReplaced(t *testing.T) {
	_, sc := testConfigs()
	calls := 0
	sc.Signers = func() []gossh.Signer { calls++; return testKeys()[calls-1 : calls] }
	script(t, sc, func(p *peer) {
		p.Open()
		p.Kex() // would find no common algorithm with another key
		if calls != 1 {
			p.t.Errorf("asked for keys %d times", calls)
		}
	})
}

// A faulty signer makes signatures that do not hold.
type faulty struct {
	gossh.AlgorithmSigner
	err error
}

func (f faulty) SignWithAlgorithm(r io.Reader, data []byte, a string) (*gossh.Signature, error) {
	sig, err := f.AlgorithmSigner.SignWithAlgorithm(r, data, a)
	if f.err != nil || err != nil {
		return nil, errors.Join(f.err, err)
	}
	sig.Blob[len(sig.Blob)-1] ^= 1
	return sig, nil
}

func TestCVE_3_9_FaultyRSASignatureIsNotSent(t *testing.T) {
	key := testKeys()[4].(gossh.AlgorithmSigner)
	cert := certify(t, testKeys()[4], testKeys()[0], gossh.HostCert).(gossh.AlgorithmSigner)
	for _, s := range []faulty{{key, nil}, {cert, nil}, {key, errors.New("token removed")}} {
		_, sc := testConfigs()
		sc.Signers = func() []gossh.Signer { return []gossh.Signer{s} }
		script(t, sc, func(p *peer) {
			for _, a := range hostAlgorithms {
				if a.key == s.PublicKey().Type() {
					p.init.HostKeys = []string{a.Name}
				}
			}
			p.Idents()
			p.KexInit()
			p.Want("kex", msg.NumKexInit)
			p.Send(&msg.KexInitial{Public: append(make([]byte, 31), 9)})
			payload, err := p.Read()
			if err != nil || payload[0] != msg.NumDisconnect {
				p.t.Errorf("got %v, %v", payload, err)
			}
			p.WantClosed("faulty signer")
		})
	}
}

// onlySHA1 can make ssh-rsa signatures and nothing else.
type onlySHA1 struct{ gossh.Signer }

func TestCVE_3_12_SignerCannot(t *testing.T) {
	multi, err := gossh.NewSignerWithAlgorithms(testKeys()[4].(gossh.AlgorithmSigner), []string{gossh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []gossh.Signer{onlySHA1{testKeys()[4]}, multi} {
		cc, sc := testConfigs()
		cc.HostKeys = alg.Defaults(HostKeyAlgorithms())
		sc.HostKeys = cc.HostKeys
		sc.Signers = func() []gossh.Signer { return []gossh.Signer{s} }
		if got := New(nil, sc).hostKeyAlgorithms(); len(got) != 0 {
			t.Errorf("offers %v", got)
		}
		cerr, serr := shake(t, cc, sc)
		var c, n *alg.NegotiationError
		if !errors.As(serr, &n) || !errors.As(cerr, &c) {
			t.Errorf("client %v, server %v", cerr, serr)
		}
		// Who names it gets it.
		cc.HostKeys, sc.HostKeys = []string{gossh.KeyAlgoRSA}, []string{gossh.KeyAlgoRSA}
		if cerr, serr := shake(t, cc, sc); cerr != nil || serr != nil {
			t.Errorf("ssh-rsa by name: client %v, server %v", cerr, serr)
		}
	}
}

// What hashes with SHA-1 is for those who name it.
func TestCVE_10_6_SHA1HostKeysAreLegacy(t *testing.T) {
	for _, a := range hostAlgorithms {
		sha1 := a.signature == gossh.KeyAlgoRSA || a.signature == keyDSA || strings.HasPrefix(a.signature, "x509v3-sign-")
		if sha1 != (a.Status == alg.Legacy) {
			t.Errorf("%s has status %v", a.Name, a.Status)
		}
	}
}

// A DSA key is accepted under a name of DSA only, and in its one size.
func TestCVE_10_6_DSA(t *testing.T) {
	dsaKey := testKeys()[5]
	if dsaKey.PublicKey().Type() != keyDSA {
		t.Fatal("not the DSA key")
	}
	signer := certify(t, testKeys()[0], dsaKey, gossh.HostCert)
	cc, sc := testConfigs()
	sc.Signers = func() []gossh.Signer { return []gossh.Signer{signer} }
	if cerr, _ := shake(t, cc, sc); !asHostKey(cerr) {
		t.Errorf("certificate signed by a DSA key: %v", cerr)
	}
	// q of 256 bits beside p of 1024.
	k := dsaKey.PublicKey().(gossh.CryptoPublicKey).CryptoPublicKey().(*dsa.PublicKey)
	q := new(big.Int).Lsh(big.NewInt(1), 255)
	blob := gossh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{keyDSA, k.P, q, k.G, k.Y})
	hostKeyRefused(t, keyDSA, dsaKey, func(r *msg.KexReply) { r.HostKey = blob })
	hostKeyRefusedBy(t, keyDSA, dsaKey, func(_ *peer, r *msg.KexReply) { r.Signature[len(r.Signature)-1] ^= 1 })
}

func TestCVE_10_6_SmallRSA(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small, err := gossh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, signer := range map[string]gossh.Signer{
		"key":           small,
		"certified key": certify(t, small, testKeys()[0], gossh.HostCert),
		"authority":     certify(t, testKeys()[0], small, gossh.HostCert),
	} {
		t.Run(name, func(t *testing.T) {
			cc, sc := testConfigs()
			sc.Signers = func() []gossh.Signer { return []gossh.Signer{signer} }
			cerr, _ := shake(t, cc, sc)
			if !asHostKey(cerr) {
				t.Errorf("got %v", cerr)
			}
			cc.MinRSABits = 1024
			if cerr, _ := shake(t, cc, sc); cerr != nil {
				t.Errorf("asked for: %v", cerr)
			}
		})
	}
}

// TestCVE_4_7 sends huge RSA host keys: they are refused without work.
func TestCVE_4_7_HugeRSAHostKey(t *testing.T) {
	for _, bits := range []int{20_000, 64 << 10} {
		n := make([]byte, bits/8+1)
		_, _ = rand.Read(n[1:])
		n[1] |= 0x80
		n[len(n)-1] |= 1
		blob := wire.AppendString(nil, gossh.KeyAlgoRSA)
		blob = wire.AppendBytes(blob, []byte{1, 0, 1})
		blob = wire.AppendBytes(blob, n)
		start := time.Now()
		hostKeyRefused(t, gossh.KeyAlgoRSASHA256, testKeys()[4], func(r *msg.KexReply) { r.HostKey = blob })
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%d bits took %v", bits, d)
		}
	}
}

// TestHostKeyJudgedAtLeisure: whoever is asked about a host key, often a person,
// does not use up the time that the peer has for the exchange.
func TestHostKeyJudgedAtLeisure(t *testing.T) {
	for _, then := range []time.Duration{0, 2 * DefaultKexTimeout} {
		cc, _ := testConfigs()
		cc.HostKey = func(context.Context, string, gossh.PublicKey) error {
			<-time.After(5 * DefaultKexTimeout) // script's clock is not the real one
			return nil
		}
		script(t, cc, func(p *peer) {
			p.Idents()
			p.Exchange()
			p.WantNewKeys()
			<-time.After(then) // now it is the peer that takes its time
			p.NewKeys()
			if then == 0 {
				<-p.ready
				return
			}
			var late *TimeoutError
			if err := p.lastError(); !errors.As(err, &late) {
				p.t.Errorf("ended with %v", err)
			}
		})
	}
}
