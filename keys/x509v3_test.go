package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// authority is a certificate with its key, able to sign others.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials struct {
	sync.Mutex
	last int64
}

// issue makes a certificate for pub, signed by a, or by itself if a is nil.
func issue(t testing.TB, a *authority, key crypto.Signer, name string, edit func(*x509.Certificate)) *authority {
	t.Helper()
	serials.Lock()
	serials.last++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serials.last), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true,
	}
	serials.Unlock()
	if edit != nil {
		edit(tmpl)
	}
	parent, signer := tmpl, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func isCA(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

var rsaTestKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil
	}
	return k
})

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func roots(certs ...*x509.Certificate) x509.VerifyOptions {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return x509.VerifyOptions{Roots: p}
}

func pemFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	if b == nil {
		t.Fatalf("%s holds no PEM", name)
	}
	return b.Bytes
}

func certFile(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(pemFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// x509Case is a certificate, its chain and a plain signer for its key.
type x509Case struct {
	chain  []*x509.Certificate
	root   *x509.Certificate
	signer gossh.Signer
}

// x509Cases makes one case for each algorithm of the table.
func x509Cases(t testing.TB) map[string]x509Case {
	t.Helper()
	root := issue(t, nil, ecKey(t, elliptic.P256()), "root", isCA)
	inter := issue(t, root, edKey(t), "intermediate", isCA)
	dsaKey, err := gossh.ParseDSAPrivateKey(pemFile(t, "x509/dsa.key"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]x509Case{}
	for name, key := range map[string]crypto.Signer{
		"x509v3-ssh-ed25519":         edKey(t),
		"x509v3-ecdsa-sha2-nistp256": ecKey(t, elliptic.P256()),
		"x509v3-ecdsa-sha2-nistp384": ecKey(t, elliptic.P384()),
		"x509v3-ecdsa-sha2-nistp521": ecKey(t, elliptic.P521()),
		"x509v3-rsa2048-sha256":      rsaTestKey(),
		"x509v3-ssh-rsa":             rsaTestKey(),
		"x509v3-sign-rsa":            rsaTestKey(),
	} {
		under := inter
		if name == "x509v3-sign-rsa" {
			under = root // the draft has no chain
		}
		leaf := issue(t, under, key, "alice", nil)
		s, err := gossh.NewSignerFromSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = x509Case{[]*x509.Certificate{leaf.cert, under.cert}, root.cert, s}
	}
	s, err := gossh.NewSignerFromKey(dsaKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x509v3-ssh-dss", "x509v3-sign-dss"} {
		out[name] = x509Case{[]*x509.Certificate{certFile(t, "x509/dsa.pem")}, certFile(t, "x509/ca.pem"), s}
	}
	return out
}

// Every row of the table: blob, signature, verification, chain.
// RFC 6187 §2.1, §3.
func TestX509EveryAlgorithm(t *testing.T) {
	cases := x509Cases(t)
	for _, a := range X509Algorithms() {
		t.Run(a.Name, func(t *testing.T) {
			c, ok := cases[a.Name]
			if !ok || a.Reference == "" {
				t.Fatal("row without a test case or a reference")
			}
			key, err := NewX509Key(a.Name, c.chain, nil)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseX509Key(key.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			if again.Type() != a.Name || !bytes.Equal(again.Marshal(), key.Marshal()) || !again.Leaf().Equal(c.chain[0]) {
				t.Errorf("read back as %s with %v", again.Type(), again.Leaf().Subject)
			}
			if want := len(c.chain); !a.Draft && len(again.Certificates()) != want {
				t.Errorf("%d certificates, want %d", len(again.Certificates()), want)
			}
			signer, err := NewX509Signer(key, c.signer)
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Algorithms(); !slices.Equal(got, []string{a.Name}) {
				t.Errorf("algorithms %v", got)
			}
			data := []byte("session id and request")
			for _, alg := range []string{"", a.Name, a.Signature} {
				sig, err := signer.SignWithAlgorithm(rand.Reader, data, alg)
				if err != nil {
					t.Fatal(err)
				}
				if sig.Format != a.Signature {
					t.Errorf("signature format %s, want %s", sig.Format, a.Signature)
				}
				if err := again.Verify(data, sig); err != nil {
					t.Error(err)
				}
				if again.Verify([]byte("other"), sig) == nil {
					t.Error("signature verified for other data")
				}
				if again.Verify(data, &gossh.Signature{Format: a.Signature, Blob: sig.Blob, Rest: []byte{1}}) == nil {
					t.Error("signature with octets behind it verified")
				}
				if again.Verify(data, &gossh.Signature{Format: "rsa-sha2-512", Blob: sig.Blob}) == nil {
					t.Error("signature with another format name verified")
				}
			}
			if _, err := signer.SignWithAlgorithm(rand.Reader, data, "rsa-sha2-512"); err == nil {
				t.Error("signed with an algorithm of another key")
			}
			if _, err := VerifyX509(again, roots(c.root), X509Client); err != nil {
				t.Error(err)
			}
			if row, ok := FindX509Algorithm(a.Name); !ok || row.Name != again.Algorithm().Name {
				t.Errorf("found %v, %v", row, ok)
			}
			if again.CryptoPublicKey() == nil || !bytes.Equal(again.Plain().Marshal(), c.signer.PublicKey().Marshal()) {
				t.Error("the plain key is another one")
			}
		})
	}
	if len(cases) != len(X509Algorithms()) {
		t.Errorf("%d cases for %d rows", len(cases), len(X509Algorithms()))
	}
}

// The names whose signature is over SHA-1 are those that the RFC and the draft
// say, and no other.
func TestX509SHA1Rows(t *testing.T) {
	want := []string{"x509v3-ssh-rsa", "x509v3-ssh-dss", "x509v3-sign-rsa", "x509v3-sign-dss"}
	var got []string
	for _, a := range X509Algorithms() {
		if a.SHA1 {
			got = append(got, a.Name)
		}
		if a.SHA1 != (a.plain == gossh.KeyAlgoRSA || a.plain == keyAlgoDSA) {
			t.Errorf("%s signs with %s", a.Name, a.plain)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What AsyncSSH makes of each algorithm of RFC 6187.
func TestX509AsyncSSH(t *testing.T) {
	for _, a := range X509Algorithms() {
		if a.Draft {
			continue // it has none of these
		}
		k, err := ParseX509Key(readFile(t, "asyncssh/"+a.Name+".blob"))
		if err != nil {
			t.Error(err)
			continue
		}
		var sig gossh.Signature
		if err := gossh.Unmarshal(readFile(t, "asyncssh/"+a.Name+".sig"), &sig); err != nil {
			t.Fatal(err)
		}
		if err := k.Verify([]byte("data to sign"), &sig); err != nil || k.Type() != a.Name {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

// The draft left the form of the key open: three are read.
func TestX509DraftForms(t *testing.T) {
	c := x509Cases(t)
	for _, name := range []string{"x509v3-sign-rsa", "x509v3-sign-dss"} {
		leaf := c[name].chain[0]
		for what, blob := range map[string][]byte{
			"string":    wire.AppendBytes(wire.AppendString(nil, name), leaf.Raw),
			"bare tail": append(wire.AppendString(nil, name), leaf.Raw...),
			"bare":      leaf.Raw,
		} {
			k, err := ParseX509Key(blob)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			if k.Type() != name || !bytes.Equal(k.Marshal(), blob) || !k.Leaf().Equal(leaf) {
				t.Errorf("%s, %s: type %s", name, what, k.Type())
			}
		}
	}
	// A DSA signature in the draft's DER form and in the form of RFC 4253.
	k, err := NewX509Key("x509v3-sign-dss", c["x509v3-sign-dss"].chain, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c["x509v3-sign-dss"].signer.Sign(rand.Reader, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify([]byte("x"), &gossh.Signature{Format: k.Type(), Blob: raw.Blob}); err != nil {
		t.Error(err)
	}
	if err := k.Verify([]byte("x"), raw); err != nil { // format name ssh-dss
		t.Error(err)
	}
	if err := k.Verify([]byte("x"), &gossh.Signature{Format: k.Type(), Blob: []byte{0x30, 3, 2, 1}}); err == nil {
		t.Error("a broken DER signature verified")
	}
}

// RFC 6187 §2.1: each bound and each rule of the key format.
func TestX509Refused(t *testing.T) {
	c := x509Cases(t)["x509v3-ssh-ed25519"]
	leaf, inter := c.chain[0], c.chain[1]
	rsaChain := x509Cases(t)["x509v3-rsa2048-sha256"].chain
	blob := func(name string, certs [][]byte, ocsp ...[]byte) []byte {
		b := wire.AppendUint32(wire.AppendString(nil, name), uint32(len(certs)))
		for _, c := range certs {
			b = wire.AppendBytes(b, c)
		}
		b = wire.AppendUint32(b, uint32(len(ocsp)))
		for _, r := range ocsp {
			b = wire.AppendBytes(b, r)
		}
		return b
	}
	const name = "x509v3-ssh-ed25519"
	good := blob(name, [][]byte{leaf.Raw, inter.Raw}, []byte("r"))
	if _, err := ParseX509Key(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ParseX509Key(good[:n]); err == nil {
			t.Fatalf("read the first %d octets", n)
		}
	}
	for what, b := range map[string][]byte{
		"trailing octet":         append(slices.Clone(good), 0),
		"no certificate":         blob(name, nil),
		"17 certificates":        blob(name, slices.Repeat([][]byte{leaf.Raw}, 17)),
		"2^32-1 certificates":    wire.AppendUint32(wire.AppendString(nil, name), 1<<32-1),
		"more ocsp than certs":   blob(name, [][]byte{leaf.Raw}, nil, nil),
		"huge ocsp":              blob(name, [][]byte{leaf.Raw}, make([]byte, maxOCSP+1)),
		"wrong order":            blob(name, [][]byte{inter.Raw, leaf.Raw}),
		"key of another kind":    blob("x509v3-rsa2048-sha256", [][]byte{leaf.Raw}),
		"curve of another name":  blob("x509v3-ecdsa-sha2-nistp256", [][]byte{leaf.Raw}),
		"RSA under ed25519":      blob(name, [][]byte{rsaChain[0].Raw}),
		"no X.509 name":          blob("ssh-ed25519", [][]byte{leaf.Raw}),
		"not a certificate":      blob(name, [][]byte{[]byte("0123")}),
		"bare, but not of draft": leaf.Raw,
		"draft with two":         wire.AppendBytes(wire.AppendBytes(wire.AppendString(nil, "x509v3-sign-rsa"), rsaChain[0].Raw), rsaChain[0].Raw),
		"too large":              make([]byte, maxX509Blob+1),
		"empty":                  {},
	} {
		_, err := ParseX509Key(b)
		if _, ok := errors.AsType[*X509Error](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := NewX509Key("", nil, nil); err == nil {
		t.Error("a key of no certificate")
	}
	if _, err := NewX509Key("x509v3-none", c.chain, nil); err == nil {
		t.Error("a key of an unknown algorithm")
	}
	k, err := NewX509Key("", c.chain, nil)
	if err != nil || k.Type() != name {
		t.Fatal(k, err)
	}
	other, err := gossh.NewSignerFromSigner(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewX509Signer(k, other); err == nil {
		t.Error("a signer with another key")
	}
}

// CVE-2023-29409 class: the size of keys in a chain is bounded before any
// signature is checked.
func TestX509HugeRSA(t *testing.T) {
	root := issue(t, nil, ecKey(t, elliptic.P256()), "root", isCA)
	n := new(big.Int).Lsh(big.NewInt(1), maxRSABits+8)
	huge := &fakeRSA{&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}}
	leaf := issue(t, root, huge, "huge", nil)
	_, err := NewX509Key("x509v3-rsa2048-sha256", []*x509.Certificate{leaf.cert}, nil)
	if err == nil || !strings.Contains(err.Error(), "at most 16384") {
		t.Errorf("an RSA key of %d bits: %v", n.BitLen(), err)
	}
}

type fakeRSA struct{ pub *rsa.PublicKey }

func (f *fakeRSA) Public() crypto.PublicKey { return f.pub }
func (f *fakeRSA) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private half")
}

// RFC 6187 §2.2.1, §2.2.2: what the extensions allow.
func TestX509Purpose(t *testing.T) {
	root := issue(t, nil, edKey(t), "root", isCA)
	usage := func(oids ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.UnknownExtKeyUsage = oids }
	}
	client, server := SecureShellUsage(X509Client), SecureShellUsage(X509Server)
	if client.String() != "1.3.6.1.5.5.7.3.21" || server.String() != "1.3.6.1.5.5.7.3.22" {
		t.Fatal(client, server)
	}
	for _, c := range []struct {
		what           string
		inter, leaf    func(*x509.Certificate)
		client, server bool
	}{
		{"no extensions", isCA, nil, true, true},
		{"client", isCA, usage(client), true, false},
		{"server", isCA, usage(server), false, true},
		{"both", isCA, usage(client, server), true, true},
		{"any", isCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, true, true},
		{"web server", isCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false, false},
		{"digitalSignature", isCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, true, true},
		{"keyAgreement only", isCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, false, false},
		{"intermediate for clients", func(c *x509.Certificate) { isCA(c); usage(client)(c) }, nil, true, false},
		{"intermediate is no authority", nil, nil, false, false},
		{"unknown critical extension", isCA, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}, false, false},
		{"expired", isCA, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, false, false},
	} {
		inter := issue(t, root, edKey(t), "inter "+c.what, c.inter)
		leaf := issue(t, inter, edKey(t), "leaf", c.leaf)
		k, err := NewX509Key("", []*x509.Certificate{leaf.cert, inter.cert}, nil)
		if err != nil {
			t.Fatal(c.what, err)
		}
		for p, want := range map[X509Purpose]bool{X509Client: c.client, X509Server: c.server} {
			chains, err := VerifyX509(k, roots(root.cert), p)
			if (err == nil) != want || (len(chains) > 0) != want {
				t.Errorf("%s, purpose %d: %v", c.what, p, err)
			}
		}
	}
}

// What must be refused although the certificate is good.
func TestX509VerifyFailsClosed(t *testing.T) {
	root := issue(t, nil, edKey(t), "root", isCA)
	forged := issue(t, nil, edKey(t), "root", isCA) // the same name, another key
	leaf := issue(t, root, edKey(t), "leaf", func(c *x509.Certificate) { c.DNSNames = []string{"host.example"} })
	k, err := NewX509Key("", []*x509.Certificate{leaf.cert, root.cert}, nil)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) x509.VerifyOptions {
		o := roots(root.cert)
		o.DNSName = name
		return o
	}
	for what, err := range map[string]error{
		"no roots":     verifyErr(k, x509.VerifyOptions{}, X509Server),
		"empty roots":  verifyErr(k, roots(), X509Server),
		"forged root":  verifyErr(k, roots(forged.cert), X509Server),
		"no purpose":   verifyErr(k, roots(root.cert), 0),
		"other name":   verifyErr(k, named("other.example"), X509Server),
		"bad purpose":  verifyErr(k, roots(root.cert), 3),
		"time is late": verifyErr(k, x509.VerifyOptions{Roots: roots(root.cert).Roots, CurrentTime: time.Now().Add(48 * time.Hour)}, X509Server),
	} {
		if _, ok := errors.AsType[*X509Error](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := verifyErr(k, named("host.example"), X509Server); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	o := roots(root.cert)
	o.Intermediates = pool
	if err := verifyErr(k, o, X509Server); err != nil {
		t.Error(err)
	}
	if !pool.Equal(x509.NewCertPool()) {
		t.Error("the caller's pool of intermediates was changed")
	}
}

func verifyErr(k *X509PublicKey, o x509.VerifyOptions, p X509Purpose) error {
	_, err := VerifyX509(k, o, p)
	return err
}

// RFC 6187 §2.1: responses sent with the key are looked at.
func TestX509OCSP(t *testing.T) {
	root := issue(t, nil, ecKey(t, elliptic.P256()), "root", isCA)
	leaf := issue(t, root, ecKey(t, elliptic.P256()), "leaf", nil)
	other := issue(t, root, ecKey(t, elliptic.P256()), "other", nil)
	good := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	responder := issue(t, root, ecKey(t, elliptic.P256()), "responder", good)
	stranger := issue(t, nil, ecKey(t, elliptic.P256()), "stranger", isCA)
	now := time.Now()
	response := func(by *authority, edit func(*ocsp.Response)) []byte {
		r := ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.cert.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Minute)}
		if by != root {
			r.Certificate = by.cert
		}
		if edit != nil {
			edit(&r)
		}
		der, err := ocsp.CreateResponse(root.cert, by.cert, r, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, c := range []struct {
		what string
		der  []byte
		want error
	}{
		{"good", response(root, nil), nil},
		{"by a responder", response(responder, nil), nil},
		{"by a user of the same authority", response(other, nil), errOCSPSigner},
		{"by a stranger", response(stranger, nil), errOCSPForeign},
		{"revoked", response(root, func(r *ocsp.Response) { r.Status = ocsp.Revoked; r.RevokedAt = now }), errOCSPRevoked},
		{"unknown", response(root, func(r *ocsp.Response) { r.Status = ocsp.Unknown }), errOCSPUnknown},
		{"old", response(root, func(r *ocsp.Response) { r.NextUpdate = now.Add(-time.Second) }), errOCSPStale},
		{"without an end", response(root, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), nil},
		{"old, without an end", response(root, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(-25*time.Hour), time.Time{} }), errOCSPStale},
		{"of the future", response(root, func(r *ocsp.Response) { r.ThisUpdate = now.Add(time.Hour); r.NextUpdate = now.Add(2 * time.Hour) }), errOCSPStale},
		{"of another certificate", response(root, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(1 << 40) }), errOCSPForeign},
		{"noise", []byte("noise"), errOCSPForeign},
	} {
		k, err := NewX509Key("", []*x509.Certificate{leaf.cert}, [][]byte{c.der})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.OCSPResponses(); len(got) != 1 || !bytes.Equal(got[0], c.der) {
			t.Errorf("%s: %d responses", c.what, len(got))
		}
		if err := verifyErr(k, roots(root.cert), X509Client); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func FuzzParseX509Key(f *testing.F) {
	for name, c := range x509Cases(f) {
		k, err := NewX509Key(name, c.chain, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.Marshal())
		f.Add(c.chain[0].Raw)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		k, err := ParseX509Key(blob)
		if err != nil {
			if _, ok := errors.AsType[*X509Error](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if !bytes.Equal(k.Marshal(), blob) {
			t.Error("marshals to another blob")
		}
		if again, err := ParseX509Key(k.Marshal()); err != nil || again.Type() != k.Type() {
			t.Errorf("read again: %v", err)
		}
		if k.Verify(blob, &gossh.Signature{Format: k.Algorithm().Signature, Blob: blob[:min(len(blob), 64)]}) == nil {
			t.Error("a made-up signature verified")
		}
	})
}
