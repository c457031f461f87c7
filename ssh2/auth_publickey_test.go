package ssh2

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// allKeys is one key of each kind that can be made here; rows of the table
// without a key are checked in TestKeyAlgTable.
func allKeys(t testing.TB) map[string]gossh.Signer {
	t.Helper()
	ca := edKey("ca")
	m := map[string]gossh.Signer{
		"ed25519": edKey("k"), "p256": ecKey(elliptic.P256()), "p384": ecKey(elliptic.P384()), "p521": ecKey(elliptic.P521()),
		"rsa": rsaKey(), "sk": newSK(skUserPresent),
	}
	for _, name := range []string{"ed25519", "p256", "p384", "p521", "rsa", "sk"} {
		m[name+" cert"] = certify(t, m[name], ca, nil)
	}
	return m
}

func anyKey(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return Verdict{OK: true} }

func anyCA(gossh.PublicKey) bool { return true }

// Every kind of key logs in with each of its algorithms that is on.
func TestAuthPublicKeyKinds(t *testing.T) { // RFC 4252 section 7, RFC 8332
	for name, key := range allKeys(t) {
		for i := range keyAlgs {
			row := &keyAlgs[i]
			if row.blob != key.PublicKey().Type() {
				continue
			}
			blob := key.PublicKey().Marshal()
			sig, err := sign(key, row, signedData(testSession, "alice", serviceConnection, row.Name, blob))
			if err != nil {
				t.Fatal(err)
			}
			l := authRun{auth: ServerAuth{PublicKey: anyKey, UserCAs: &UserCAs{Authority: anyCA}}}
			want := []string{"pkok", "success"}
			if row.Status != alg.Default {
				want = []string{"failure publickey", "failure publickey"}
			}
			if out := l.run(t, reqQuery("alice", row.Name, blob), reqSig("alice", row.Name, blob, sig)); !slices.Equal(out, want) {
				t.Errorf("%s with %s: %q", name, row.Name, out)
			}
			l.auth.PublicKeyAlgorithms = AlgList(row.Name)
			expectAuth(t, l.run(t, reqSig("alice", row.Name, blob, sig)), "success")
		}
	}
}

func TestKeyAlgTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range keyAlgs {
		k := &keyAlgs[i]
		if seen[k.Name] || k.Name == "" || k.Reference == "" || k.Status == 0 || k.blob == "" || k.sig == "" {
			t.Errorf("row %+v", k)
		}
		seen[k.Name] = true
		if findKeyAlg(k.Name) != k {
			t.Errorf("%s is not found", k.Name)
		}
		if k.isCert() != strings.Contains(k.Name, "-cert-v01@") || k.isSK() != strings.HasPrefix(k.Name, "sk-") {
			t.Errorf("%s: certificate %v, security key %v", k.Name, k.isCert(), k.isSK())
		}
	}
	got, err := sigAlgs(&ServerAuth{}, Modern)
	if err != nil || strings.Contains(string(got), "ssh-rsa,") || strings.HasSuffix(string(got), "ssh-rsa") || !strings.Contains(string(got), "rsa-sha2-512,") {
		t.Errorf("server-sig-algs %q, %v", got, err)
	}
	if got, err := sigAlgs(&ServerAuth{PublicKeyAlgorithms: "rsa-sha2-256,ssh-ed25519"}, Modern); string(got) != "rsa-sha2-256,ssh-ed25519" || err != nil {
		t.Errorf("server-sig-algs %q, %v", got, err)
	}
	wrong := ServerAuth{PublicKeyAlgorithms: "rsa-sha512"} // cves 10.8
	if _, err := sigAlgs(&wrong, Modern); err == nil {
		t.Error("unknown name taken")
	}
	var ce *ConfigError
	if _, err := newAuthServer(&wrong, nil, ConnMeta{}, nil, 0, Modern); !errors.As(err, &ce) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestCVE_2_16_UserPresence(t *testing.T) {
	for flags, want := range map[byte]string{0: "failure publickey", skUserPresent: "success", skUserVerified: "failure publickey", skUserPresent | skUserVerified: "success"} {
		l := authRun{auth: ServerAuth{PublicKey: func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey) Verdict {
			return Verdict{OK: true, Identity: a.UserVerified}
		}}}
		expectAuth(t, l.run(t, reqSigned(t, "alice", newSK(flags))), want)
		if l.res != nil && l.res.Identity != (flags&skUserVerified != 0) {
			t.Errorf("flags %d: user verified %v", flags, l.res.Identity)
		}
	}
	for flags, want := range map[byte]string{skUserPresent: "failure publickey", skUserPresent | skUserVerified: "success"} {
		c := certify(t, newSK(flags), edKey("ca"), func(c *gossh.Certificate) { c.CriticalOptions["verify-required"] = "" })
		l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA}}}
		expectAuth(t, l.run(t, reqSigned(t, "alice", c)), want)
	}
	// A key that has no flags cannot have verified anybody.
	c := certify(t, edKey("k"), edKey("ca"), func(c *gossh.Certificate) { c.CriticalOptions["verify-required"] = "" })
	l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA}}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", c)), "failure publickey")
}

func TestCVE_2_17_AlgorithmOfTheSignature(t *testing.T) {
	key := rsaKey()
	blob := key.PublicKey().Marshal()
	for _, claimed := range []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"} {
		for _, made := range []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"} {
			sig, err := key.(gossh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, signedData(testSession, "alice", serviceConnection, claimed, blob), made)
			if err != nil {
				t.Fatal(err)
			}
			for _, allowed := range []AlgList{"rsa-sha2-512", "rsa-sha2-256", "+ssh-rsa"} {
				l := authRun{auth: ServerAuth{PublicKey: anyKey, PublicKeyAlgorithms: allowed}}
				want := "failure publickey"
				if claimed == made && (allowed == "+ssh-rsa" || claimed == string(allowed)) {
					want = "success"
				}
				if out := l.run(t, reqSig("alice", claimed, blob, gossh.Marshal(sig))); out[0] != want {
					t.Errorf("allowed %s, claimed %s, made %s: %q", allowed, claimed, made, out)
				}
			}
		}
	}
	l := authRun{auth: ServerAuth{PublicKey: anyKey, PublicKeyAlgorithms: "ecdsa-sha2-nistp521"}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", ecKey(elliptic.P256())), reqSigned(t, "alice", ecKey(elliptic.P521()))), "failure publickey", "success")
}

func TestCVE_2_18_CurveOfTheBlob(t *testing.T) {
	p256, p384 := ecKey(elliptic.P256()), ecKey(elliptic.P384())
	point := func(s gossh.Signer) (p []byte) {
		var skip string
		d := wire.Decoder(s.PublicKey().Marshal())
		d.String(&skip)
		d.String(&skip)
		d.Bytes(&p)
		return p
	}
	blob := func(name, curve string, p []byte) []byte {
		return wire.AppendBytes(wire.AppendString(wire.AppendString(nil, name), curve), p)
	}
	l := authRun{auth: ServerAuth{PublicKey: anyKey, MaxTries: 100}}
	for _, b := range [][]byte{
		blob("ecdsa-sha2-nistp256", "nistp256", point(p384)),
		blob("ecdsa-sha2-nistp256", "nistp384", point(p384)),
		blob("ecdsa-sha2-nistp384", "nistp384", point(p384)),
		blob("ecdsa-sha2-nistp256", "nistp521", point(p256)),
		blob("ecdsa-sha2-nistp256", "nistp256", point(p256)[1:]),
		blob("ecdsa-sha2-nistp256", "nistp256", []byte{0}),
		ed25519Blob(32),
	} {
		expectAuth(t, l.run(t, reqQuery("alice", "ecdsa-sha2-nistp256", b)), "failure publickey")
	}
	expectAuth(t, l.run(t, reqQuery("alice", "ecdsa-sha2-nistp256", blob("ecdsa-sha2-nistp256", "nistp256", point(p256)))), "pkok")
}

// nestedCert is an ed25519 certificate signed by a certificate, that deep. It is
// built by hand, from outside to inside: no library signs such a thing.
func nestedCert(depth int) []byte {
	head := wire.AppendString(nil, gossh.CertAlgoED25519v01)
	head = wire.AppendString(head, "nonce")
	head = wire.AppendBytes(head, make([]byte, ed25519.PublicKeySize))
	head = append(head, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) // serial, type
	head = wire.AppendString(head, "id")
	head = wire.AppendBytes(head, wire.AppendString(nil, "alice"))
	head = append(head, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
	head = append(head, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // options, extensions, reserved
	tail := wire.AppendBytes(nil, wire.AppendBytes(wire.AppendString(nil, gossh.KeyAlgoED25519), make([]byte, 64)))
	ca := edKey("ca").PublicKey().Marshal()

	var b []byte
	for level := depth; level > 0; level-- {
		b = append(b, head...)
		b = wire.AppendUint32(b, uint32(len(ca)+(level-1)*(len(head)+4+len(tail))))
	}
	b = append(b, ca...)
	return append(b, bytes.Repeat(tail, depth)...)
}

func TestCVE_2_19_NestedCertificates(t *testing.T) {
	l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA}, MaxTries: 100}}
	for _, depth := range []int{2, 3, 300} {
		b := nestedCert(depth)
		if len(b) > maxKeyBlob && depth < 300 {
			t.Fatal("the certificate is too long to be parsed")
		}
		expectAuth(t, l.run(t, reqQuery("alice", gossh.CertAlgoED25519v01, b)), "failure publickey")
	}
	// Without the bound on its length, parsing does not recurse either: this
	// holds the library below to it.
	if _, err := gossh.ParsePublicKey(nestedCert(10_000)); err == nil {
		t.Error("nested certificate parsed")
	}
	// One level parses, and fails only for its signature.
	if _, err := gossh.ParsePublicKey(nestedCert(1)); err != nil {
		t.Errorf("the test's certificates are broken: %v", err)
	}
}

func TestCVE_2_20_EmptyPrincipals(t *testing.T) {
	key, ca := edKey("k"), edKey("ca")
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, "failure publickey"},
		{[]string{""}, "failure publickey"},
		{[]string{"*"}, "failure publickey"},
		{[]string{"bob"}, "failure publickey"},
		{[]string{"bob", "alice"}, "success"},
	} {
		c := certify(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = tt.names })
		l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA}}}
		if out := l.run(t, reqSigned(t, "alice", c)); out[0] != tt.want {
			t.Errorf("principals %q: %q", tt.names, out)
		}
	}
	// Other names than the user's, and no name at all.
	c := certify(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"admins"} })
	for _, names := range [][]string{{"admins"}, {""}, nil} {
		l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA, Principals: func(string) []string { return names }}}}
		if out := l.run(t, reqSigned(t, "alice", c)); (out[0] == "success") != slices.Contains(names, "admins") {
			t.Errorf("wanted %q: %q", names, out)
		}
	}
}

// The empty name is nobody's, whoever asks for it.
func TestCVE_2_20_EmptyNameAsPrincipal(t *testing.T) {
	c := certify(t, edKey("k"), edKey("ca"), func(c *gossh.Certificate) { c.ValidPrincipals = []string{""} })
	l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA, Principals: func(string) []string { return []string{""} }}}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", c)), "failure publickey")
}

func TestW31_Certificates(t *testing.T) {
	key, ca := edKey("k"), edKey("ca")
	now := uint64(time.Now().Unix())
	trusted := func(k gossh.PublicKey) bool { return bytes.Equal(k.Marshal(), ca.PublicKey().Marshal()) }
	for _, tt := range []struct {
		name string
		cert gossh.Signer
		cas  UserCAs
		want string
	}{
		{"good", certify(t, key, ca, nil), UserCAs{Authority: trusted}, "success"},
		{"other authority", certify(t, key, edKey("other"), nil), UserCAs{Authority: trusted}, "failure"},
		{"self-signed", certify(t, key, key, nil), UserCAs{Authority: trusted}, "failure"},
		{"host certificate", certify(t, key, ca, func(c *gossh.Certificate) { c.CertType = gossh.HostCert }), UserCAs{Authority: trusted}, "failure"},
		{"type 0", certify(t, key, ca, func(c *gossh.Certificate) { c.CertType = 0 }), UserCAs{Authority: trusted}, "failure"},
		{"expired", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidBefore = now - 1 }), UserCAs{Authority: trusted}, "failure"},
		{"expired long ago", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidBefore = 0 }), UserCAs{Authority: trusted}, "failure"},
		{"not yet", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidAfter = now + 1000 }), UserCAs{Authority: trusted}, "failure"},
		{"not in this universe", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidAfter = 1 << 63 }), UserCAs{Authority: trusted}, "failure"},
		{"now", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidAfter, c.ValidBefore = now-1, now+1000 }), UserCAs{Authority: trusted}, "success"},
		{"unknown critical option", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["x@example.com"] = "" }), UserCAs{Authority: trusted}, "failure"},
		{"unknown extension", certify(t, key, ca, func(c *gossh.Certificate) { c.Extensions["x@example.com"] = "1" }), UserCAs{Authority: trusted}, "success"},
		{"empty forced command", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["force-command"] = "" }), UserCAs{Authority: trusted}, "failure"},
		{"broken source-address", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["source-address"] = "192.0.2.0/24,x" }), UserCAs{Authority: trusted}, "failure"},
		{
			"revoked", certify(t, key, ca, func(c *gossh.Certificate) { c.Serial = 7 }),
			UserCAs{Authority: trusted, Revoked: func(c *gossh.Certificate) bool { return c.Serial == 7 }},
			"failure",
		}, // cves 2.21
		{"not accepted", certify(t, key, ca, nil), UserCAs{Authority: trusted, Accept: func(context.Context, *AuthAttempt, *gossh.Certificate) Verdict { return Verdict{} }}, "failure"},
		{"RSA authority with SHA-1", certify(t, key, sha1Signer{rsaKey()}, nil), UserCAs{Authority: anyCA}, "failure"},
		{"RSA authority with SHA-1, allowed", certify(t, key, sha1Signer{rsaKey()}, nil), UserCAs{Authority: anyCA, SignatureAlgorithms: []string{"ssh-rsa"}}, "success"},
		{"RSA authority", certify(t, key, rsaKey(), nil), UserCAs{Authority: anyCA}, "success"},
		{"security key as authority, untouched", certify(t, key, newSK(0), nil), UserCAs{Authority: anyCA}, "success"},
	} {
		l := authRun{auth: ServerAuth{UserCAs: &tt.cas, PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict {
			t.Errorf("%s: certificate given to the handler of keys", tt.name)
			return Verdict{OK: true}
		}}}
		if out := l.run(t, reqSigned(t, "alice", tt.cert)); !strings.HasPrefix(out[0], tt.want) {
			t.Errorf("%s: %q", tt.name, out)
		}
	}

	// What the certificate says becomes identity and limits.
	c := certify(t, key, ca, func(c *gossh.Certificate) {
		c.ValidBefore = now + 1000
		c.CriticalOptions["force-command"] = "backup"
		c.CriticalOptions["source-address"] = "192.0.2.0/24"
		c.Extensions["permit-pty"] = ""
	})
	l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: trusted}}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", c)), "success")
	got := l.res.Limits
	if id, ok := l.res.Identity.(*gossh.Certificate); !ok || id.KeyId != "test" {
		t.Errorf("identity %v", l.res.Identity)
	}
	if got.ForceCommand != "backup" || len(got.SourceAddress) != 1 || got.NoPTY || !got.NoPortForwarding || !got.NoAgentForwarding || !got.NoX11Forwarding ||
		!got.ValidBefore.Equal(time.Unix(int64(now+1000), 0)) {
		t.Errorf("limits %+v", got)
	}

	// One octet changed anywhere makes it another certificate, which nobody signed.
	blob := c.PublicKey().Marshal()
	row := rowOf(c)
	for i := range blob {
		spoilt := bytes.Clone(blob)
		spoilt[i] ^= 1
		sig, err := sign(key, rowOf(key), signedData(testSession, "alice", serviceConnection, row.Name, spoilt))
		if err != nil {
			t.Fatal(err)
		}
		if out := l.run(t, reqSig("alice", row.Name, spoilt, sig)); out[0] == "success" {
			t.Errorf("octet %d of %d changed: success", i, len(blob))
		}
	}
}

// sha1Signer signs with SHA-1 whatever is asked for.
type sha1Signer struct{ s gossh.Signer }

func (s sha1Signer) PublicKey() gossh.PublicKey { return s.s.PublicKey() }

func (s sha1Signer) Sign(r io.Reader, data []byte) (*gossh.Signature, error) {
	return s.s.(gossh.AlgorithmSigner).SignWithAlgorithm(r, data, gossh.KeyAlgoRSA)
}

func TestCVE_6_8_NoAuthorityNoCall(t *testing.T) {
	c := certify(t, edKey("k"), edKey("ca"), nil)
	for _, auth := range []ServerAuth{
		{PublicKey: anyKey},
		{PublicKey: anyKey, UserCAs: &UserCAs{}},
		{PublicKey: anyKey, UserCAs: &UserCAs{Accept: func(context.Context, *AuthAttempt, *gossh.Certificate) Verdict { return Verdict{OK: true} }}},
	} {
		l := authRun{auth: auth}
		expectAuth(t, l.run(t, reqQuery("alice", gossh.CertAlgoED25519v01, c.PublicKey().Marshal()), reqSigned(t, "alice", c)), "failure publickey", "failure publickey")
	}
	// And the other way round: authorities configured, but no handler for keys.
	l := authRun{auth: ServerAuth{UserCAs: &UserCAs{Authority: anyCA}}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", edKey("k")), reqSigned(t, "alice", c)), "failure publickey", "success")
}

func rsaBlob(e, n *big.Int) []byte {
	mpint := func(b []byte, v *big.Int) []byte {
		p := v.Bytes()
		if p[0]&0x80 != 0 {
			p = append([]byte{0}, p...)
		}
		return wire.AppendBytes(b, p)
	}
	return mpint(mpint(wire.AppendString(nil, "ssh-rsa"), e), n)
}

func TestCVE_4_7_HugeRSA(t *testing.T) {
	ones := func(bits uint) *big.Int {
		return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1))
	}
	l := authRun{auth: ServerAuth{PublicKey: anyKey, MaxTries: 100}}
	for _, tt := range []struct {
		e, n *big.Int
		want string
	}{
		{big.NewInt(65537), ones(1 << 16), "failure publickey"},
		{ones(64), ones(2048), "failure publickey"},
		{big.NewInt(65537), ones(16385), "failure publickey"},
		{big.NewInt(65537), ones(16384), "pkok"},
		{big.NewInt(65537), ones(2048), "pkok"},
		{big.NewInt(65537), ones(2047), "failure publickey"}, // cves 10.6
		{big.NewInt(2), ones(2048), "failure publickey"},
	} {
		expectAuth(t, l.run(t, reqQuery("alice", "rsa-sha2-512", rsaBlob(tt.e, tt.n))), tt.want)
	}
}

func TestCVE_10_6_SmallRSA(t *testing.T) {
	small, ca := newRSA(1024), edKey("ca")
	for name, key := range map[string]gossh.Signer{"key": small, "certified key": certify(t, small, ca, nil), "authority": certify(t, edKey("k"), small, nil)} {
		l := authRun{auth: ServerAuth{PublicKey: anyKey, UserCAs: &UserCAs{Authority: anyCA}}}
		if out := l.run(t, reqSigned(t, "alice", key)); out[0] != "failure publickey" {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestCVE_4_8_AlgorithmBeforeTheKey(t *testing.T) {
	// A key of 250 KiB that claims to be of an algorithm that is off: neither
	// its parser nor the handler may see it. What parsing takes is memory.
	huge := append(rsaBlob(big.NewInt(65537), new(big.Int).Lsh(big.NewInt(1), 500_000)), bytes.Repeat([]byte{0}, 100<<10)...)
	l := authRun{auth: ServerAuth{PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict {
		t.Error("handler called")
		return Verdict{OK: true}
	}}}
	for _, name := range []string{"ssh-rsa", "ssh-dss", "unknown", ""} {
		in := reqQuery("alice", name, huge)
		expectAuth(t, l.run(t, in, reqSig("alice", name, huge, huge)), "failure publickey", "failure publickey")
	}
	if key, err := findKeyAlg("ssh-rsa").parse(huge, 2048); err == nil {
		t.Errorf("parsed %v", key)
	}
	good := rsaKey()
	if out := l.run(t, reqQuery("alice", "ssh-rsa", good.PublicKey().Marshal())); out[0] != "failure publickey" {
		t.Errorf("%q", out)
	}
}

func TestCVE_4_4_LengthsInsideKeys(t *testing.T) {
	// Fields that claim 4 GiB inside a small key.
	l := authRun{auth: ServerAuth{PublicKey: anyKey, UserCAs: &UserCAs{Authority: anyCA}, MaxTries: 1000}}
	before := new(runtime.MemStats)
	runtime.ReadMemStats(before)
	for i := range keyAlgs {
		b := append(wire.AppendString(nil, keyAlgs[i].blob), 0xFF, 0xFF, 0xFF, 0xFF, 1)
		l.run(t, reqQuery("alice", keyAlgs[i].Name, b), reqSig("alice", keyAlgs[i].Name, b, []byte{0xFF, 0xFF, 0xFF, 0xFF}))
	}
	after := new(runtime.MemStats)
	runtime.ReadMemStats(after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d octets allocated", n)
	}
}

func TestCVE_4_9_GarbageKeyIsOneFailure(t *testing.T) {
	key := edKey("k")
	l := authRun{auth: ServerAuth{PublicKey: keysOf(key)}}
	expectAuth(t, l.run(t, reqQuery("alice", "ssh-ed25519", []byte("garbage")), reqSig("alice", "rsa-sha2-512", nil, nil), reqSigned(t, "alice", key)),
		"failure publickey", "failure publickey", "success")
}

// ed25519Blob is a key of that many octets.
func ed25519Blob(n int) []byte {
	return wire.AppendBytes(wire.AppendString(nil, "ssh-ed25519"), make([]byte, n))
}

func TestCVE_6_3_ShortKeys(t *testing.T) {
	l := authRun{auth: ServerAuth{PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict {
		t.Error("handler called")
		return Verdict{}
	}, UserCAs: &UserCAs{Authority: anyCA}, MaxTries: 1000}}
	for _, n := range []int{0, 1, 31, 33, 64} {
		for _, name := range []string{"ssh-ed25519", "sk-ssh-ed25519@openssh.com"} {
			b := wire.AppendBytes(wire.AppendString(nil, name), make([]byte, n))
			if name != "ssh-ed25519" {
				b = wire.AppendString(b, "ssh:")
			}
			expectAuth(t, l.run(t, reqQuery("alice", name, b), reqSig("alice", name, b, b)), "failure publickey", "failure publickey")
		}
	}
	// Every key and certificate, cut at every octet.
	for name, key := range allKeys(t) {
		blob, row := key.PublicKey().Marshal(), rowOf(key)
		for n := range blob {
			if _, err := row.parse(blob[:n], 2048); err == nil {
				t.Errorf("%s cut to %d parsed", name, n)
			}
		}
		if _, err := row.parse(append(blob, 0), 2048); err == nil {
			t.Errorf("%s with a trailing octet parsed", name)
		}
	}
}

func TestCVE_6_4_SignaturesOfEveryType(t *testing.T) {
	data := []byte("data")
	keys := allKeys(t)
	sigs := map[string][]byte{}
	for name, key := range keys {
		sig, err := sign(key, rowOf(key), data)
		if err != nil {
			t.Fatal(err)
		}
		sigs[name] = sig
	}
	for name, key := range keys {
		row := rowOf(key)
		if _, err := row.verify(key.PublicKey(), data, sigs[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for other, sig := range sigs {
			base := strings.TrimSuffix(name, " cert")
			if strings.TrimSuffix(other, " cert") != base {
				if _, err := row.verify(key.PublicKey(), data, sig); err == nil {
					t.Errorf("%s takes the signature of %s", name, other)
				}
				continue
			}
			for n := range sig {
				if _, err := row.verify(key.PublicKey(), data, sig[:n]); err == nil {
					t.Errorf("%s takes a signature cut to %d", name, n)
				}
			}
			if _, err := row.verify(key.PublicKey(), data, append(bytes.Clone(sig), 0)); err == nil {
				t.Errorf("%s takes a signature with a trailing octet", name)
			}
		}
		for _, sig := range [][]byte{
			nil,
			{0, 0, 0, 0},
			wire.AppendBytes(wire.AppendString(nil, row.sig), nil),
			wire.AppendBytes(wire.AppendString(nil, row.sig), bytes.Repeat([]byte{0xFF}, 4096)),
		} {
			if _, err := row.verify(key.PublicKey(), data, sig); err == nil {
				t.Errorf("%s takes %x", name, sig)
			}
		}
	}
}

// Other encodings of one and the same number are not other keys.
func TestAuthKeyEncodings(t *testing.T) {
	n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2048), big.NewInt(1))
	b := wire.AppendBytes(wire.AppendString(nil, "ssh-rsa"), []byte{0, 0, 1, 0, 1}) // a zero too many
	b = wire.AppendBytes(b, append([]byte{0}, n.Bytes()...))
	if _, err := findKeyAlg("rsa-sha2-512").parse(b, 2048); err == nil {
		t.Error("parsed")
	}
}

func TestCVE_7_4_HiddenKeys(t *testing.T) {
	known, unknown := edKey("known"), edKey("unknown")
	asked := 0
	inner := keysOf(known)
	l := authRun{auth: ServerAuth{HideKeys: true, PublicKey: func(ctx context.Context, a *AuthAttempt, k gossh.PublicKey) Verdict {
		asked++
		return inner(ctx, a, k)
	}}}
	expectAuth(t, l.run(t, reqQuery("alice", "ssh-ed25519", known.PublicKey().Marshal()), reqQuery("alice", "ssh-ed25519", unknown.PublicKey().Marshal())), "pkok", "pkok")
	if asked != 0 {
		t.Errorf("handler asked %d times", asked)
	}
	expectAuth(t, l.run(t, reqSigned(t, "alice", unknown), reqSigned(t, "alice", known)), "failure publickey", "success")
}

func TestLimitsMergeIsStricter(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16"},
		{"10.1.0.0/16", "10.0.0.0/8", "10.1.0.0/16"},
		{"10.0.0.0/8,2001:db8::/32", "2001:db8:1::/48,10.0.0.0/8", "10.0.0.0/8,2001:db8:1::/48"},
		{"10.0.0.0/8", "11.0.0.0/8", ""},
		{"", "11.0.0.0/8", ""},
		{"::ffff:10.0.0.0/104", "10.1.0.0/16,::ffff:192.0.2.1", "10.1.0.0/16"}, // in IPv6 notation, and yet of IPv4
	} {
		var l [2]Limits
		for i, s := range []string{tt.a, tt.b} {
			p, err := parseSources(s)
			if err != nil {
				t.Fatal(err)
			}
			l[i].SourceAddress = p
		}
		for _, order := range [][2]Limits{l, {l[1], l[0]}} {
			got, err := order[0].merge(order[1])
			var names []string
			for _, p := range got.SourceAddress {
				names = append(names, p.String())
			}
			slices.Sort(names)
			if err != nil || got.SourceAddress == nil || strings.Join(names, ",") != tt.want {
				t.Errorf("%s and %s: %v, %v", tt.a, tt.b, got.SourceAddress, err)
			}
		}
	}
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, l := range [][2]Limits{{{ValidBefore: early}, {ValidBefore: late}}, {{ValidBefore: late}, {ValidBefore: early}}, {{}, {ValidBefore: early}}, {{ValidBefore: early}, {}}} {
		if got, err := l[0].merge(l[1]); err != nil || !got.ValidBefore.Equal(early) {
			t.Errorf("%v, %v", got.ValidBefore, err)
		}
	}
}
