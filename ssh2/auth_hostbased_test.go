package ssh2

import (
	"bytes"
	"context"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // what hosts once had
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// dsaKey is made once: its parameters take a while.
var dsaKey = sync.OnceValue(func() gossh.Signer {
	var k dsa.PrivateKey
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		panic(err)
	}
	if err := dsa.GenerateKey(&k, rand.Reader); err != nil {
		panic(err)
	}
	return must(gossh.NewSignerFromKey(&k))
})

// reqHostBased is a request as it should be, but for what change does to it
// before it is signed.
func reqHostBased(t testing.TB, user string, s gossh.Signer, change func(*msg.HostBasedFields)) []byte {
	t.Helper()
	row := rowOf(s)
	f := msg.HostBasedFields{Algorithm: row.Name, Key: s.PublicKey().Marshal(), Host: "client.example.", User: "bob"}
	if change != nil {
		change(&f)
	}
	if f.Signature == nil {
		var err error
		if f.Signature, err = sign(s, row, hostBasedData(testSession, user, serviceConnection, &f)); err != nil {
			t.Fatal(err)
		}
	}
	return authRequest(user, serviceConnection, MethodHostBased, &f)
}

// hostCert certifies a host key for client.example.
func hostCert(t testing.TB, key, ca gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
	t.Helper()
	return certify(t, key, ca, func(c *gossh.Certificate) {
		c.CertType, c.ValidPrincipals = gossh.HostCert, []string{"client.example"}
		if change != nil {
			change(c)
		}
	})
}

// vouch accepts bob of client.example as alice, with any key.
func vouch(_ context.Context, a *AuthAttempt, c *HostBasedClaim) Verdict {
	return Verdict{OK: a.Verified && a.User == "alice" && c.Host == "client.example" && c.User == "bob", Identity: c}
}

func TestAuthHostBased(t *testing.T) { // RFC 4252 section 9
	ca := edKey("ca")
	keys := map[string]gossh.Signer{"dsa": dsaKey()}
	for name, k := range allKeys(t) {
		if strings.Contains(name, "sk") {
			continue
		}
		if strings.Contains(name, "cert") {
			k = hostCert(t, allKeys(t)[strings.TrimSuffix(name, " cert")], ca, nil)
		}
		keys[name] = k
	}
	for name, key := range keys {
		for i := range keyAlgs {
			row := &keyAlgs[i]
			if row.blob != key.PublicKey().Type() {
				continue
			}
			l := authRun{auth: ServerAuth{HostBased: vouch, HostBasedAlgorithms: AlgList(row.Name)}}
			f := msg.HostBasedFields{Algorithm: row.Name, Key: key.PublicKey().Marshal(), Host: "client.example.", User: "bob"}
			f.Signature = must(sign(key, row, hostBasedData(testSession, "alice", serviceConnection, &f)))
			expectAuth(t, l.run(t, authRequest("alice", serviceConnection, MethodHostBased, &f)), "success")
			if l.res == nil {
				t.Fatal(name, row.Name)
			}
			c := l.res.Identity.(*HostBasedClaim)
			if c.Algorithm != row.Name || !bytes.Equal(c.Key.Marshal(), key.PublicKey().Marshal()) || !slices.Equal(l.res.Methods, []string{"hostbased"}) {
				t.Errorf("%s: %+v, %v", name, c, l.res.Methods)
			}
			l.auth.HostBasedAlgorithms = AlgList("-" + row.Name)
			expectAuth(t, l.run(t, authRequest("alice", serviceConnection, MethodHostBased, &f)), "failure hostbased")
		}
	}
	var ce *ConfigError
	if _, err := newAuthServer(&ServerAuth{HostBasedAlgorithms: "ssh-rsa1"}, nil, ConnMeta{}, nil, 0, Modern); !errors.As(err, &ce) {
		t.Errorf("unknown algorithm: %v", err)
	}
}

// What is wrong with a request never reaches the handler.
func TestAuthHostBasedRefusals(t *testing.T) {
	key, ca := edKey("host"), edKey("ca")
	cert := func(change func(*gossh.Certificate)) gossh.Signer { return hostCert(t, key, ca, change) }
	sk := newSK(skUserPresent)
	for name, in := range map[string][]byte{
		"no host":         reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = "" }),
		"only a dot":      reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = "." }),
		"long host":       reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = strings.Repeat("h", 256) }),
		"NUL in host":     reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = "client.example\x00.evil" }),
		"line in host":    reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = "a\nb" }),
		"not ASCII":       reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Host = "clïent.example" }),
		"no client user":  reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.User = "" }),
		"client user":     reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.User = "b\x00b" }),
		"long user":       reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.User = strings.Repeat("b", MaxUserName+1) }),
		"algorithm":       reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Algorithm = "rsa-sha2-512" }),
		"security key":    reqHostBased(t, "alice", sk, nil),
		"garbage key":     reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Key = f.Key[:20] }),
		"empty signature": reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Signature = []byte{} }),
		"another's signature": reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) {
			f.Signature = must(sign(edKey("other"), rowOf(key), hostBasedData(testSession, "alice", serviceConnection, f)))
		}),
		"user certificate":  reqHostBased(t, "alice", certify(t, key, ca, nil), nil),
		"other host's":      reqHostBased(t, "alice", cert(func(c *gossh.Certificate) { c.ValidPrincipals = []string{"other.example"} }), nil),
		"no principals":     reqHostBased(t, "alice", cert(func(c *gossh.Certificate) { c.ValidPrincipals = nil }), nil), // cves 2.20
		"expired":           reqHostBased(t, "alice", cert(func(c *gossh.Certificate) { c.ValidBefore = 1 }), nil),
		"not yet":           reqHostBased(t, "alice", cert(func(c *gossh.Certificate) { c.ValidAfter = uint64(time.Now().Unix()) + 100 }), nil),
		"critical option":   reqHostBased(t, "alice", cert(func(c *gossh.Certificate) { c.CriticalOptions["force-command"] = "x" }), nil),
		"claimed host":      reqHostBased(t, "alice", cert(nil), func(f *msg.HostBasedFields) { f.Host = "other.example" }),
		"authority's SHA-1": reqHostBased(t, "alice", hostCert(t, key, sha1Signer{rsaKey()}, nil), nil),
	} {
		l := authRun{auth: ServerAuth{HostBased: func(_ context.Context, _ *AuthAttempt, c *HostBasedClaim) Verdict {
			t.Errorf("%s: handler heard of %+v", name, c)
			return Verdict{OK: true}
		}}}
		expectAuth(t, l.run(t, in), "failure hostbased")
	}
	// Fields of another request than the one that was signed.
	for name, change := range map[string]func(*msg.HostBasedFields){
		"host": func(f *msg.HostBasedFields) { f.Host = "server.example" },
		"user": func(f *msg.HostBasedFields) { f.User = "root" },
	} {
		in := reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) {
			f.Signature = must(sign(key, rowOf(key), hostBasedData(testSession, "alice", serviceConnection, f)))
			change(f)
		})
		l := authRun{auth: ServerAuth{HostBased: func(context.Context, *AuthAttempt, *HostBasedClaim) Verdict { return Verdict{OK: true} }}}
		if out := l.run(t, in); !slices.Equal(out, []string{"failure hostbased"}) {
			t.Errorf("%s: %q", name, out)
		}
	}
	// Every prefix of the fields is malformed.
	whole := reqHostBased(t, "alice", key, nil)
	var r msg.UserauthRequest
	if err := msg.Decode(whole, &r); err != nil {
		t.Fatal(err)
	}
	for n := range len(r.Fields) {
		l := authRun{auth: ServerAuth{HostBased: vouch}}
		short := msg.Append(nil, &msg.UserauthRequest{User: "alice", Service: serviceConnection, Method: MethodHostBased, Fields: r.Fields[:n]})
		if out := l.run(t, short); !slices.Equal(out, []string{"failure hostbased"}) {
			t.Errorf("cut to %d: %q", n, out)
		}
	}
}

// A signature of one method is none of the other, in both directions, and a
// server with one of them does not run the other.
func TestCVE_2_12_HostBasedIsNotPublicKey(t *testing.T) {
	key := edKey("k")
	row, blob := rowOf(key), key.PublicKey().Marshal()
	both := ServerAuth{PublicKey: anyKey, HostBased: func(context.Context, *AuthAttempt, *HostBasedClaim) Verdict { return Verdict{OK: true} }}
	asKey := must(sign(key, row, signedData(testSession, "alice", serviceConnection, row.Name, blob)))
	l := authRun{auth: both}
	expectAuth(t, l.run(t, reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Signature = asKey })), "failure publickey,hostbased")
	f := msg.HostBasedFields{Algorithm: row.Name, Key: blob, Host: "client.example.", User: "bob"}
	asHost := must(sign(key, row, hostBasedData(testSession, "alice", serviceConnection, &f)))
	expectAuth(t, l.run(t, reqSig("alice", row.Name, blob, asHost)), "failure publickey,hostbased")

	l.auth = ServerAuth{PublicKey: anyKey}
	expectAuth(t, l.run(t, reqHostBased(t, "alice", key, nil)), "failure publickey")
	l.auth = ServerAuth{HostBased: both.HostBased}
	expectAuth(t, l.run(t, reqSigned(t, "alice", key)), "failure hostbased")
	l.auth = ServerAuth{} // CVE: dispatched although not configured
	expectAuth(t, l.run(t, reqHostBased(t, "alice", key, nil)), "failure ")

	// One key is one factor, whatever it is called.
	l.auth = both
	l.auth.Require = func(string) [][]string { return [][]string{{"publickey", "hostbased"}} }
	expectAuth(t, l.run(t, reqSigned(t, "alice", key), reqHostBased(t, "alice", key, nil), reqHostBased(t, "alice", edKey("host"), nil)),
		"partial hostbased", "failure hostbased", "success")
	expectAuth(t, l.run(t, reqHostBased(t, "alice", hostCert(t, key, edKey("ca"), nil), nil), reqSigned(t, "alice", key), reqSigned(t, "alice", edKey("2"))),
		"partial publickey", "failure publickey", "success")
}

// Replays under another session, user or service fail (RFC 4252 section 9).
func TestCVE_2_2_HostBasedReplay(t *testing.T) {
	key := edKey("host")
	for name, data := range map[string]func(*msg.HostBasedFields) []byte{
		"session": func(f *msg.HostBasedFields) []byte {
			return hostBasedData([]byte("another session"), "alice", serviceConnection, f)
		},
		"user":    func(f *msg.HostBasedFields) []byte { return hostBasedData(testSession, "bob", serviceConnection, f) },
		"service": func(f *msg.HostBasedFields) []byte { return hostBasedData(testSession, "alice", "other", f) },
	} {
		l := authRun{auth: ServerAuth{HostBased: vouch}}
		out := l.run(t, reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Signature = must(sign(key, rowOf(key), data(f))) }))
		if !slices.Equal(out, []string{"failure hostbased"}) {
			t.Errorf("%s: %q", name, out)
		}
	}
	l := authRun{auth: ServerAuth{HostBased: vouch, MaxTries: 3}}
	bad := reqHostBased(t, "alice", key, func(f *msg.HostBasedFields) { f.Signature = []byte("no") })
	expectAuth(t, l.run(t, bad, bad, bad, reqHostBased(t, "alice", key, nil)), "failure hostbased", "failure hostbased", "disconnect 14") // cves 2.14
}

func TestClientHostBased(t *testing.T) {
	key := edKey("host")
	r := clientRun{methods: []AuthMethod{HostBased(key, "client.example.", "bob")}}
	expectAuth(t, r.run(t, failure("hostbased"), success()), "alice none", "alice hostbased ssh-ed25519 bob@client.example.")
	if r.err != nil || !slices.Equal(r.got, []string{"hostbased"}) {
		t.Errorf("%v, %v", r.got, r.err)
	}
	expectAuth(t, r.run(t, failure("publickey")), "alice none", "disconnect 14")
	// An RSA key is tried with each of its algorithms.
	r = clientRun{methods: []AuthMethod{HostBased(rsaKey(), "h", "u")}}
	f := failure("hostbased")
	expectAuth(t, r.run(t, f, f, success()), "alice none", "alice hostbased rsa-sha2-512 u@h", "alice hostbased rsa-sha2-256 u@h")
	r = clientRun{methods: []AuthMethod{HostBased(sha1Signer{rsaKey()}, "h", "u")}}
	expectAuth(t, r.run(t, f), "alice none", "disconnect 14")
	if r.err == nil || !strings.Contains(r.err.Error(), "no algorithm for") {
		t.Error(r.err)
	}
	r = clientRun{methods: []AuthMethod{HostBased(faultySigner{edKey("k"), func(*gossh.Signature) (*gossh.Signature, error) { return nil, errTest }}, "h", "u")}}
	expectAuth(t, r.run(t, f), "alice none", "disconnect 14")
	if !errors.Is(r.err, errTest) {
		t.Error(r.err)
	}
	// The server answers something else.
	r = clientRun{methods: []AuthMethod{HostBased(key, "h", "u")}}
	expectAuth(t, r.run(t, f, pkok(key, "ssh-ed25519")), "alice none", "alice hostbased ssh-ed25519 u@h", "violation")
}

// Both ends of a real connection, with keys and certificates of hosts.
func TestHostBasedBothEnds(t *testing.T) {
	leakCheck(t)
	ca := edKey("ca")
	for name, key := range map[string]gossh.Signer{"ed25519": edKey("h"), "rsa": rsaKey(), "certificate": hostCert(t, edKey("h"), ca, nil)} {
		s := testServer(nil)
		s.Auth.Password = nil
		s.Auth.HostBased = vouch
		cfg := testClient()
		cfg.User, cfg.Auth = "alice", []AuthMethod{HostBased(key, "client.example", "bob")}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if i := p.Info(); !slices.Equal(i.Methods, []string{"hostbased"}) || i.User != "alice" {
			t.Errorf("%s: %v %s", name, i.Methods, i.User)
		}
		_ = p.close(t)
	}
}

func FuzzHostBased(f *testing.F) {
	key := edKey("host")
	for _, in := range [][]byte{
		reqHostBased(f, "alice", key, nil), reqHostBased(f, "alice", hostCert(f, key, edKey("ca"), nil), nil),
		reqHostBased(f, "alice", key, func(h *msg.HostBasedFields) { h.Host = "x" }), reqHostBased(f, "bob", rsaKey(), nil),
	} {
		var r msg.UserauthRequest
		if err := msg.Decode(in, &r); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(r.Fields))
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		l := authRun{auth: ServerAuth{HostBased: func(_ context.Context, a *AuthAttempt, c *HostBasedClaim) Verdict {
			// What the handler is told must be what was signed.
			var h msg.HostBasedFields
			if err := wire.Decode(fields, &h); err != nil || strings.TrimSuffix(h.Host, ".") != c.Host || h.User != c.User || !a.Verified {
				t.Errorf("claim %+v of %x", c, fields)
			}
			return Verdict{}
		}}}
		out := l.run(t, msg.Append(nil, &msg.UserauthRequest{User: "alice", Service: serviceConnection, Method: MethodHostBased, Fields: fields}))
		if !slices.Equal(out, []string{"failure hostbased"}) {
			t.Error(fmt.Sprint(out))
		}
	})
}

// AuthContext of the handlers: what was asked for, hashed how.
func TestAuthAttemptHash(t *testing.T) {
	seen := map[string]bool{}
	for i := range keyAlgs {
		row := &keyAlgs[i]
		a := AuthAttempt{Algorithm: row.Name}
		h := a.Hash()
		seen[row.sig] = true
		if noHash := strings.Contains(row.sig, "ed25519"); (h == 0) != noHash || h != 0 && !strings.Contains("sha1 sha256 sha384 sha512", strings.ToLower(strings.ReplaceAll(h.String(), "-", ""))) {
			t.Errorf("%s: %v", row.Name, h)
		}
	}
	for format := range sigHashes {
		if !seen[format] {
			t.Errorf("%s is no format of a row", format)
		}
	}
	if (&AuthAttempt{Algorithm: "x"}).Hash() != 0 || (&AuthAttempt{Algorithm: "rsa-sha2-256"}).Hash() != crypto.SHA256 {
		t.Error("wrong hash")
	}
}

// What the client prefers in keyboard-interactive arrives (RFC 4256 section 3.1).
func TestAuthSubmethods(t *testing.T) {
	var got *AuthAttempt
	l := authRun{auth: ServerAuth{Interactive: func(_ context.Context, a *AuthAttempt, _ Asker) Verdict { got = a; return Verdict{OK: true} }}}
	expectAuth(t, l.run(t, authRequest("alice", serviceConnection, MethodInteractive, &msg.InteractiveFields{Language: "de", Submethods: "pam,otp"})), "success")
	if got.Submethods != "pam,otp" || got.Language != "de" {
		t.Errorf("%+v", got)
	}
}
