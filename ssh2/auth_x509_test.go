package ssh2

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/keys"
)

// An authority that makes X.509 certificates.
type x509CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newX509CA(t testing.TB) *x509CA {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))
	return &x509CA{must(x509.ParseCertificate(der)), key}
}

func (ca *x509CA) roots() x509.VerifyOptions {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return x509.VerifyOptions{Roots: pool}
}

// signer is a key with a certificate for alice, and for the host of that name.
func (ca *x509CA) signer(t testing.TB, algorithm string, key crypto.Signer, change func(*x509.Certificate)) gossh.Signer {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"host"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(tmpl)
	}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key))
	k := must(keys.NewX509Key(algorithm, []*x509.Certificate{must(x509.ParseCertificate(der))}, nil))
	return must(keys.NewX509Signer(k, must(gossh.NewSignerFromSigner(key))))
}

func x509Signers(t testing.TB, ca *x509CA) map[string]gossh.Signer {
	t.Helper()
	out := map[string]gossh.Signer{}
	for _, a := range keys.X509Algorithms() {
		var key crypto.Signer
		switch {
		case strings.HasSuffix(a.Name, "dss"):
			continue // crypto/x509 makes no certificates of DSA keys; keys has their tests
		case strings.Contains(a.Name, "rsa"):
			key = rsaPrivate()
		case strings.HasSuffix(a.Name, "ed25519"):
			key = newSK(0).key
		default:
			key = must(ecdsa.GenerateKey(map[string]elliptic.Curve{"256": elliptic.P256(), "384": elliptic.P384(), "521": elliptic.P521()}[a.Name[len(a.Name)-3:]], rand.Reader))
		}
		out[a.Name] = ca.signer(t, a.Name, key, nil)
	}
	return out
}

// aliceByX509 lets alice in by the name in her certificate.
func aliceByX509(_ context.Context, a *AuthAttempt, k *keys.X509PublicKey, chains [][]*x509.Certificate) Verdict {
	return Verdict{OK: len(chains) > 0 && k.Leaf().Subject.CommonName == a.User, Identity: k.Leaf().Subject.CommonName}
}

// Every algorithm of RFC 6187 as a user's key and as a host's, when both name it.
func TestX509BothEnds(t *testing.T) {
	leakCheck(t)
	ca := newX509CA(t)
	for name, key := range x509Signers(t, ca) {
		s := testServer(nil)
		s.Auth.X509, s.Auth.PublicKeyAlgorithms = &X509Users{Options: ca.roots(), Accept: aliceByX509}, AlgList(name)
		s.HostKeys, s.HostKeyAlgorithms = []gossh.Signer{key}, AlgList(name)
		cfg := testClient()
		cfg.User, cfg.Auth, cfg.PublicKeyAlgorithms = "alice", []AuthMethod{PublicKeys(key)}, AlgList(name)
		cfg.HostKey, cfg.HostKeyPolicy, cfg.HostKeyAlgorithms = nil, X509HostKey(ca.roots()), AlgList("^"+name)
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if i := p.Info(); i.HostKeyAlgorithm != name || !slices.Equal(i.Methods, []string{"publickey"}) {
			t.Errorf("%s: %s, %v", name, i.HostKeyAlgorithm, i.Methods)
		}
		if err := p.Rekey(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = p.close(t)
	}
}

// A certificate is refused unless it is named, verified, meant for users and
// somebody says whose it is.
func TestX509UsersRefused(t *testing.T) {
	ca, other := newX509CA(t), newX509CA(t)
	const name = "x509v3-ecdsa-sha2-nistp256"
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	good := ca.signer(t, name, key, nil)
	all := &X509Users{Options: ca.roots(), Accept: aliceByX509}
	for what, tt := range map[string]struct {
		auth ServerAuth
		key  gossh.Signer
		user string
		ok   bool
	}{
		"good":        {ServerAuth{X509: all, PublicKeyAlgorithms: name}, good, "alice", true},
		"not named":   {ServerAuth{X509: all}, good, "alice", false},
		"no policy":   {ServerAuth{PublicKey: anyKey, PublicKeyAlgorithms: name}, good, "alice", false},
		"no roots":    {ServerAuth{PublicKey: anyKey, X509: &X509Users{Accept: aliceByX509}, PublicKeyAlgorithms: name}, good, "alice", false},
		"nobody asks": {ServerAuth{PublicKey: anyKey, X509: &X509Users{Options: ca.roots()}, PublicKeyAlgorithms: name}, good, "alice", false},
		"foreign":     {ServerAuth{X509: &X509Users{Options: other.roots(), Accept: aliceByX509}, PublicKeyAlgorithms: name}, good, "alice", false},
		"other user":  {ServerAuth{X509: all, PublicKeyAlgorithms: name}, good, "bob", false},
		"expired": {ServerAuth{X509: all, PublicKeyAlgorithms: name}, ca.signer(t, name, key, func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}), "alice", false},
		"a server's": {ServerAuth{X509: all, PublicKeyAlgorithms: name}, ca.signer(t, name, key, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "alice", false},
	} {
		l := authRun{auth: tt.auth}
		out := l.run(t, reqSigned(t, tt.user, tt.key))
		if (out[len(out)-1] == "success") != tt.ok {
			t.Errorf("%s: %q", what, out)
		}
		if tt.ok && l.res.Identity != "alice" {
			t.Errorf("identity %v", l.res.Identity)
		}
	}
	// The same key, with its certificate and without, is one factor.
	l := authRun{auth: ServerAuth{
		X509: all, PublicKey: anyKey, PublicKeyAlgorithms: "+" + name,
		Require: func(string) [][]string { return [][]string{{"publickey", "publickey"}} },
	}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", good), reqSigned(t, "alice", signerOf(key))), "partial publickey", "failure publickey")
	// Hosts do not vouch with them.
	l = authRun{auth: ServerAuth{HostBased: vouch, HostBasedAlgorithms: name}}
	expectAuth(t, l.run(t, reqHostBased(t, "alice", good, nil)), "failure hostbased")
}

func TestX509HostKeyRefused(t *testing.T) {
	ca, other := newX509CA(t), newX509CA(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	good := ca.signer(t, "", key, nil).PublicKey()
	for what, tt := range map[string]struct {
		policy HostKeyPolicy
		addr   string
		key    gossh.PublicKey
		ok     bool
	}{
		"good":        {X509HostKey(ca.roots()), "host:22", good, true},
		"upper case":  {X509HostKey(ca.roots()), "HOST:2222", good, true},
		"by address":  {X509HostKey(ca.roots()), "192.0.2.1:22", good, true},
		"other name":  {X509HostKey(ca.roots()), "other:22", good, false},
		"no name":     {X509HostKey(ca.roots()), "", good, false},
		"foreign":     {X509HostKey(other.roots()), "host:22", good, false},
		"no roots":    {X509HostKey(x509.VerifyOptions{}), "host:22", good, false},
		"fixed name":  {X509HostKey(x509.VerifyOptions{Roots: ca.roots().Roots, DNSName: "host"}), "other:22", good, true},
		"no X.509":    {X509HostKey(ca.roots()), "host:22", edKey("k").PublicKey(), false},
		"known hosts": {parseKnown(t, "host "+keyText(signerOf(key))), "host:22", good, false},
		"revoked key": {parseKnown(t, "@revoked * "+keyText(signerOf(key))), "host:22", good, false},
	} {
		err := tt.policy.CheckHostKey(t.Context(), &HostKeyInfo{Addr: tt.addr, Key: tt.key})
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	k := parseKnown(t)
	k.Unknown = func(context.Context, *HostKeyInfo) error { t.Error("asked about a certificate"); return nil }
	if err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "host:22", Key: good}); !errors.Is(err, ErrHostUnknown) {
		t.Error(err)
	}
	if err := k.Add("host:22", good, false); err == nil {
		t.Error("a certificate was added")
	}
	var e *keys.X509Error
	if err := X509HostKey(other.roots()).CheckHostKey(t.Context(), &HostKeyInfo{Addr: "host:22", Key: good}); !errors.As(err, &e) {
		t.Errorf("error is %v, want an X509Error", err)
	}
}

// An authority with a small RSA key vouches for nobody.
func TestCVE_10_6_X509SmallAuthority(t *testing.T) {
	ca := newX509CA(t)
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	tmpl := *ca.cert
	tmpl.SignatureAlgorithm, tmpl.PublicKeyAlgorithm, tmpl.PublicKey = x509.SHA256WithRSA, x509.RSA, weak.Public()
	der := must(x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, weak.Public(), weak))
	small := &x509CA{must(x509.ParseCertificate(der)), weak}
	const name = "x509v3-ecdsa-sha2-nistp256"
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, ca := range []*x509CA{ca, small} {
		ok := ca != small
		l := authRun{auth: ServerAuth{X509: &X509Users{Options: ca.roots(), Accept: aliceByX509}, PublicKeyAlgorithms: name}}
		out := l.run(t, reqSigned(t, "alice", ca.signer(t, name, key, nil)))
		if (out[len(out)-1] == "success") != ok {
			t.Errorf("user, %t: %q", ok, out)
		}
		err := X509HostKey(ca.roots()).CheckHostKey(t.Context(), &HostKeyInfo{Addr: "host:22", Key: ca.signer(t, name, key, nil).PublicKey()})
		if (err == nil) != ok {
			t.Errorf("host, %t: %v", ok, err)
		}
	}
}

// Unverified leaves it to Accept which certificates it knows; the signature is verified all the same.
func TestX509Unverified(t *testing.T) {
	ca := newX509CA(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	known := ca.signer(t, "x509v3-ecdsa-sha2-nistp256", key, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	other := ca.signer(t, "x509v3-ecdsa-sha2-nistp256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), nil)
	users := &X509Users{Unverified: true, Accept: func(_ context.Context, _ *AuthAttempt, k *keys.X509PublicKey, chains [][]*x509.Certificate) Verdict {
		if chains != nil {
			t.Error("chains of what nobody verified")
		}
		return Verdict{OK: string(k.Marshal()) == string(known.PublicKey().Marshal())}
	}}
	l := authRun{auth: ServerAuth{X509: users, PublicKeyAlgorithms: "+x509v3-ecdsa-sha2-nistp256"}}
	forged := must(sign(other, rowOf(other), signedData(testSession, "alice", serviceConnection, "x509v3-ecdsa-sha2-nistp256", known.PublicKey().Marshal())))
	expectAuth(t, l.run(t, reqSigned(t, "alice", other), reqSig("alice", "x509v3-ecdsa-sha2-nistp256", known.PublicKey().Marshal(), forged), reqSigned(t, "alice", known)),
		"failure publickey", "failure publickey", "success")
	users.Unverified = false
	expectAuth(t, l.run(t, reqSigned(t, "alice", known)), "failure ")
	*users = X509Users{Unverified: true}
	expectAuth(t, l.run(t, reqSigned(t, "alice", known)), "failure ")
}
