package ssh2

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// keyText is a key as it stands in files.
func keyText(k gossh.Signer) string {
	return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(k.PublicKey())))
}

func parseKnown(t testing.TB, lines ...string) *KnownHosts {
	t.Helper()
	k, err := ParseKnownHosts([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// verdictOn is how a check ended, in a word.
func verdictOn(err error) string {
	var e *KnownHostsError
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &e):
		return "certificate"
	case errors.Is(err, ErrHostUnknown):
		return "unknown"
	case errors.Is(err, ErrHostKeyChanged):
		return "changed"
	case errors.Is(err, ErrHostKeyRevoked):
		return "revoked"
	}
	return err.Error()
}

func TestKnownHostsNames(t *testing.T) {
	a, b := edKey("a"), edKey("b")
	ka, kb := keyText(a), keyText(b)
	hashed := must(KnownHostLine("hidden.example:22", a.PublicKey(), true))
	hashedPort := must(KnownHostLine("hidden.example:2222", b.PublicKey(), true))
	if strings.Contains(hashed, "hidden") {
		t.Error(hashed)
	}
	for _, tt := range []struct {
		lines []string
		addr  string
		key   gossh.Signer
		want  string
	}{
		{nil, "h:22", a, "unknown"},
		{[]string{"h " + ka}, "h:22", a, "ok"},
		{[]string{"h " + ka}, "h", a, "ok"}, // without a port
		{[]string{"h " + ka}, "H:22", a, "ok"},
		{[]string{"H.Example " + ka}, "h.example:22", a, "ok"},
		{[]string{"h " + ka}, "h:22", b, "changed"},
		{[]string{"h " + ka, "h " + kb}, "h:22", b, "ok"},
		{[]string{"other " + ka}, "h:22", a, "unknown"},
		{[]string{"x,h,y " + ka}, "h:22", a, "ok"},
		{[]string{"*.example " + ka}, "h.example:22", a, "ok"},
		{[]string{"*.example " + ka}, "example:22", a, "unknown"},
		{[]string{"h?.example " + ka}, "h1.example:22", a, "ok"},
		{[]string{"h?.example " + ka}, "h.example:22", a, "unknown"},
		{[]string{"*.example,!evil.example " + ka}, "evil.example:22", a, "unknown"},
		{[]string{"!evil.example,*.example " + ka}, "evil.example:22", a, "unknown"},
		{[]string{"*.example,!evil.example " + ka}, "h.example:22", a, "ok"},
		{[]string{"!h " + ka}, "x:22", a, "unknown"}, // nothing but negation matches nothing
		{[]string{"[h]:2222 " + ka}, "h:2222", a, "ok"},
		{[]string{"[h]:2222 " + ka}, "h:22", a, "unknown"},
		{[]string{"[h]:22 " + ka}, "h:22", a, "ok"},
		{[]string{"h " + ka}, "h:2222", a, "ok"}, // the host's key on another port
		{[]string{"h " + ka}, "h:2222", b, "unknown"},
		{[]string{"h " + ka, "[h]:2222 " + kb}, "h:2222", a, "changed"},
		{[]string{"[*.example]:2222 " + ka}, "h.example:2222", a, "ok"},
		{[]string{"::1 " + ka}, "[::1]:22", a, "ok"},
		{[]string{"[::1]:2222 " + ka}, "[::1]:2222", a, "ok"},
		{[]string{"192.0.2.1 " + ka}, "192.0.2.1:22", a, "ok"},
		{[]string{hashed}, "hidden.example:22", a, "ok"},
		{[]string{hashed}, "HIDDEN.example:22", a, "ok"},
		{[]string{hashed}, "hidden.example:22", b, "changed"},
		{[]string{hashed}, "other.example:22", a, "unknown"},
		{[]string{hashed, hashedPort}, "hidden.example:2222", b, "ok"},
		{[]string{hashed, hashedPort}, "hidden.example:2222", a, "changed"},
		{[]string{"# h " + ka, "", "  \t", "h\t" + strings.ReplaceAll(ka, " ", " \t ") + " a comment\r"}, "h:22", a, "ok"},
		{[]string{"h " + ka, "@revoked h " + ka}, "h:22", a, "revoked"},
		{[]string{"h " + ka, "@revoked other " + ka}, "h:22", a, "revoked"},
		{[]string{"h " + ka, "@revoked h " + kb}, "h:22", a, "ok"},
		{[]string{"@cert-authority h " + ka}, "h:22", a, "unknown"}, // an authority is no server
	} {
		k := parseKnown(t, tt.lines...)
		if p := k.Problems(); len(p) != 0 {
			t.Errorf("%q: %v", tt.lines, p)
		}
		err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: tt.addr, Key: tt.key.PublicKey()})
		if got := verdictOn(err); got != tt.want {
			t.Errorf("%q, %s: %s (%v), want %s", tt.lines, tt.addr, got, err, tt.want)
		}
		if cb := verdictOn(k.Callback()(tt.addr, nil, tt.key.PublicKey())); cb != tt.want {
			t.Errorf("%q, %s: callback says %s", tt.lines, tt.addr, cb)
		}
	}
	k := parseKnown(t, "192.0.2.1 "+ka)
	tcp := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	if err := k.CheckHostKey(t.Context(), &HostKeyInfo{Remote: tcp, Key: a.PublicKey()}); err != nil {
		t.Errorf("by address: %v", err)
	}
	for _, addr := range []string{"", ":22", "h\x00:22", "a b:22", strings.Repeat("h", 300)} {
		if err := parseKnown(t, "* "+ka).CheckHostKey(t.Context(), &HostKeyInfo{Addr: addr, Key: a.PublicKey()}); err == nil {
			t.Errorf("%q was accepted", addr)
		}
	}
}

// A pattern made to be slow is not.
func TestWildcardIsLinear(t *testing.T) {
	p, s := strings.Repeat("*a", 2000)+"b", strings.Repeat("a", 4000)
	if wildcard(p, s) || !wildcard("**", s) || !wildcard("*a*", s) || wildcard("", "a") || !wildcard("*", "") || wildcard("a*b*c", "abcd") || !wildcard("a*b*c", "axxbxbxc") {
		t.Error("wrong match")
	}
}

// The errors say what is known instead, for those who have to decide.
func TestKnownHostsErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	a, b := edKey("a"), ecKey(elliptic.P256())
	if err := os.WriteFile(file, []byte("# first\nh "+keyText(a)+"\nh "+keyText(b)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := ReadKnownHosts(file, filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Fatal(err)
	}
	var e *KnownHostsError
	err = k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "h:22", Key: edKey("new").PublicKey()})
	if !errors.As(err, &e) || e.Host != "h" || len(e.Known) != 2 || e.Known[0].File != file || e.Known[0].Line != 2 || e.Known[1].Line != 3 ||
		!bytes.Equal(e.Known[0].Key.Marshal(), a.PublicKey().Marshal()) {
		t.Errorf("%+v", err)
	}
	for _, part := range []string{"ssh2: known hosts: host key has changed", file + ":2", gossh.FingerprintSHA256(a.PublicKey()), gossh.FingerprintSHA256(edKey("new").PublicKey())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if _, err := ReadKnownHosts(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

func TestCVE_2_21_RevokedKeys(t *testing.T) {
	key, ca := edKey("host"), edKey("ca")
	cert := hostCert(t, key, ca, nil).PublicKey()
	trust := "@cert-authority *.example " + keyText(ca)
	for name, tt := range map[string]struct {
		line string
		key  gossh.PublicKey
		want string
	}{
		"nothing":          {"", cert, "ok"},
		"authority":        {"@revoked * " + keyText(ca), cert, "revoked"},
		"authority, host":  {"@revoked client.example " + keyText(ca), cert, "revoked"},
		"key in it":        {"@revoked * " + keyText(key), cert, "revoked"},
		"plain key":        {"client.example " + keyText(key) + "\n@revoked client.example " + keyText(key), key.PublicKey(), "revoked"},
		"certificate":      {"@revoked * " + cert.Type() + " " + base64.StdEncoding.EncodeToString(cert.Marshal()), cert, "revoked"},
		"under other type": {"@revoked * ssh-rsa " + strings.Fields(keyText(ca))[1], cert, "revoked"},
		"another":          {"@revoked * " + keyText(edKey("x")), cert, "ok"},
	} {
		k := parseKnown(t, trust, tt.line)
		if got := verdictOn(k.check("client.example:22", tt.key)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	// What is revoked and cannot be read must not be overlooked.
	for _, line := range []string{"@revoked * ssh-ed25519", "@revoked", "@revoked * ssh-ed25519 !!!", "@revoked @cert-authority * " + keyText(ca), "@revoked , " + keyText(ca)} {
		if _, err := ParseKnownHosts([]byte(trust + "\n" + line)); err == nil || !strings.Contains(err.Error(), ":2: revoked") {
			t.Errorf("%q: %v", line, err)
		}
	}
	// Nor is one asked about.
	k := parseKnown(t, "@revoked * "+keyText(key))
	k.Unknown = func(context.Context, *HostKeyInfo) error { t.Error("asked about a revoked key"); return nil }
	if err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "h:22", Key: key.PublicKey()}); !errors.Is(err, ErrHostKeyRevoked) {
		t.Error(err)
	}
	if err := k.Add("h:22", key.PublicKey(), false); !errors.Is(err, ErrHostKeyRevoked) {
		t.Errorf("added: %v", err)
	}
}

func TestCVE_2_22_NoFallBackFromCertificates(t *testing.T) {
	key, ca := edKey("host"), edKey("ca")
	trust := "@cert-authority *.example " + keyText(ca)
	bare := "client.example " + keyText(key) // the key itself is even known
	for name, tt := range map[string]struct {
		cert gossh.Signer
		want string
	}{
		"good":              {hostCert(t, key, ca, nil), "ok"},
		"foreign":           {hostCert(t, key, edKey("other"), nil), "unknown"},
		"expired":           {hostCert(t, key, ca, func(c *gossh.Certificate) { c.ValidBefore = 1 }), "certificate"},
		"user's":            {certify(t, key, ca, nil), "certificate"},
		"other host's":      {hostCert(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"x.example"} }), "certificate"},
		"everybody's":       {hostCert(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = nil }), "certificate"}, // 2.20
		"wildcard":          {hostCert(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"x", "*.example"} }), "ok"},
		"empty name":        {hostCert(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{""} }), "certificate"},
		"critical option":   {hostCert(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["x"] = "" }), "certificate"},
		"authority's SHA-1": {hostCert(t, key, sha1Signer{rsaKey()}, nil), "unknown"},
	} {
		k := parseKnown(t, trust, bare)
		k.Unknown = func(context.Context, *HostKeyInfo) error { t.Errorf("%s: asked about a certificate", name); return nil }
		err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "client.example:22", Key: tt.cert.PublicKey()})
		if got := verdictOn(err); got != tt.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, tt.want)
		}
		if err := k.CheckHost("client.example", tt.cert.PublicKey()); (err == nil) != (tt.want == "ok") {
			t.Errorf("%s: CheckHost says %v", name, err)
		}
	}
	k := parseKnown(t, "@cert-authority *.example "+keyText(rsaKey()))
	if err := k.check("client.example:22", hostCert(t, key, sha1Signer{rsaKey()}, nil).PublicKey()); verdictOn(err) != "certificate" {
		t.Errorf("signed with SHA-1: %v", err)
	}
}

func TestCVE_2_25_KnownHostsLines(t *testing.T) {
	key, cert := keyText(edKey("k")), hostCert(t, edKey("k"), edKey("ca"), nil).PublicKey()
	blob := strings.Fields(key)[1]
	for name, line := range map[string]string{
		"wrong type":         "h ssh-rsa " + blob,
		"two markers":        "@cert-authority @cert-authority h " + key,
		"marker and revoked": "@cert-authority @revoked h " + key,
		"unknown marker":     "@trusted h " + key,
		"marker only":        "@cert-authority",
		"NBSP between":       "h\u00a0" + key,
		"option for type":    "h no-pty " + key,
		"two fields":         "h ssh-ed25519",
		"one field":          "h",
		"not base64":         "h ssh-ed25519 ****",
		"cut key":            "h ssh-ed25519 " + blob[:20],
		"certificate":        "h " + cert.Type() + " " + base64.StdEncoding.EncodeToString(cert.Marshal()),
		"old hash":           "|2|AAAA|AAAA " + key,
		"short hash":         "|1|AAAA|AAAA " + key,
		"no salt":            "|1|!|AAAA " + key,
		"hash and name":      "|1|AAAA|AAAA,h " + key,
		"empty name":         "h,,x " + key,
		"bare negation":      "h,! " + key,
		"SSH 1":              "h 1024 35 1234567",
	} {
		k := parseKnown(t, "good "+key, line, "also "+key)
		if len(k.Problems()) != 1 || !strings.Contains(k.Problems()[0].Error(), ":2: ") {
			t.Errorf("%s: %v", name, k.Problems())
		}
		if verdictOn(k.check("h:22", edKey("k").PublicKey())) == "ok" {
			t.Errorf("%s: line counts", name)
		}
		if verdictOn(k.check("good:22", edKey("k").PublicKey())) != "ok" || verdictOn(k.check("also:22", edKey("k").PublicKey())) != "ok" {
			t.Errorf("%s: the lines around do not count", name)
		}
	}
}

// What we write, x/crypto's package reads, and the other way round.
func TestKnownHostsFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ssh", "known_hosts")
	k, err := ReadKnownHosts(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := edKey("a"), rsaKey()
	for i, addr := range []string{"h.example:22", "h.example:2222", "[::1]:22", "[2001:db8::1]:2222", "192.0.2.1"} {
		if err := k.Add(addr, a.PublicKey(), i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if err := k.Add(addr, a.PublicKey(), false); err != nil { // known already
			t.Fatal(err)
		}
		if err := k.check(addr, a.PublicKey()); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil || bytes.Count(data, []byte("\n")) != 5 {
		t.Errorf("%v:\n%s", err, data)
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != modeOf(0o600) {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	theirs, err := knownhosts.New(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"h.example:22", "h.example:2222", "[2001:db8::1]:2222", "192.0.2.1:22"} {
		if err := theirs(addr, &net.TCPAddr{IP: net.IPv4zero, Port: 22}, a.PublicKey()); err != nil {
			t.Errorf("x/crypto: %s: %v", addr, err)
		}
	}
	// A file without line end at its end.
	if err := os.WriteFile(file, []byte(knownhosts.Line([]string{"x:22", "y:2222"}, b.PublicKey())+"\n"+knownhosts.HashHostname("z")+" "+keyText(a)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := AddKnownHost(file, "new:22", a.PublicKey(), false); err != nil {
		t.Fatal(err)
	}
	k, err = ReadKnownHosts(file)
	if err != nil || len(k.Problems()) != 0 {
		t.Fatal(err, k.Problems())
	}
	for addr, key := range map[string]gossh.Signer{"x:22": b, "y:2222": b, "z:22": a, "new:22": a} {
		if err := k.check(addr, key.PublicKey()); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	// No names that would be something else in the file.
	for _, addr := range []string{"*:22", "a,b:22", "!a:22", "@revoked:22", "#a:22", "|1|a|b:22", "a b:22", "a\nb:22", "", "h:22\nx", "[h]:2?"} {
		if err := AddKnownHost(file, addr, a.PublicKey(), false); err == nil {
			t.Errorf("%q was written", addr)
		}
	}
	if err := AddKnownHost(file, "h:22", hostCert(t, a, b, nil).PublicKey(), false); err == nil {
		t.Error("a certificate was written")
	}
	if err := AddKnownHost(dir, "h:22", a.PublicKey(), false); err == nil {
		t.Error("written to a directory")
	}
}

func TestKnownHostsUpdate(t *testing.T) { // W32
	file := filepath.Join(t.TempDir(), "known_hosts")
	old, used, next, other := edKey("old"), edKey("used"), edKey("next"), edKey("other")
	hidden := must(KnownHostLine("h:2222", old.PublicKey(), true))
	if err := os.WriteFile(file, []byte("# kept\n\nh "+keyText(used)+"\nh "+keyText(old)+"\nh,other "+keyText(old)+"\n*.x "+keyText(old)+"\nother "+keyText(other)+"\nbroken line\n"+
		hidden+"\n[h]:2222 "+keyText(used)), 0o640); err != nil {
		t.Fatal(err)
	}
	k, err := ReadKnownHosts(file)
	if err != nil {
		t.Fatal(err)
	}
	pubs := []gossh.PublicKey{used.PublicKey(), next.PublicKey()}
	added, removed, err := k.Update("h:22", pubs)
	if err != nil || len(added) != 1 || len(removed) != 1 || !bytes.Equal(added[0].Marshal(), pubs[1].Marshal()) {
		t.Fatal(added, removed, err)
	}
	want := "# kept\n\nh " + keyText(used) + "\nh,other " + keyText(old) + "\n*.x " + keyText(old) + "\nother " + keyText(other) + "\nbroken line\n" +
		hidden + "\n[h]:2222 " + keyText(used) + "\nh " + keyText(next) + "\n"
	data, err := os.ReadFile(file)
	if err != nil || string(data) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, data, want)
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != modeOf(0o640) {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	again, err := ReadKnownHosts(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*KnownHosts{"in memory": k, "in the file": again} {
		for _, key := range pubs {
			if err := k.check("h:22", key); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// The line of two names still knows the old one.
		if err := k.check("other:22", old.PublicKey()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, r, err := k.Update("h:22", pubs); err != nil || a != nil || r != nil {
		t.Errorf("nothing to do: %v %v %v", a, r, err)
	}
	// Hashed stays hashed.
	if _, _, err := k.Update("h:2222", pubs); err != nil {
		t.Fatal(err)
	}
	data, _ = os.ReadFile(file)
	if bytes.Contains(data, []byte(hidden)) || bytes.Count(data, []byte("|1|")) != 1 {
		t.Errorf("%s", data)
	}
	// Nobody makes himself known.
	var e *KnownHostsError
	for _, keys := range [][]gossh.PublicKey{{edKey("evil").PublicKey()}, {}} {
		if _, _, err := k.Update("h:22", keys); err == nil || len(keys) > 0 && !errors.As(err, &e) {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
	if _, _, err := parseKnown(t, "h "+keyText(used), "@revoked * "+keyText(next)).Update("h:22", pubs); !errors.Is(err, ErrHostKeyRevoked) {
		t.Error(err)
	}
	after, _ := os.ReadFile(file)
	if !bytes.Equal(after, data) {
		t.Error("file changed")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".known*")); len(left) != 0 {
		t.Error(left)
	}
}

// A server with several keys is asked for those that are known of it.
func TestKnownHostsPrefer(t *testing.T) {
	leakCheck(t)
	ed, rsa, ec, ca := edKey("ed"), rsaKey(), ecKey(elliptic.P256()), edKey("ca")
	certified := hostCert(t, ed, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"host"} })
	for name, tt := range map[string]struct {
		lines []string
		want  string // algorithm negotiated
		ok    bool
	}{
		"rsa only":          {[]string{"host " + keyText(rsa)}, "rsa-sha2-512", true},
		"ecdsa only":        {[]string{"host " + keyText(ec)}, "ecdsa-sha2-nistp256", true},
		"both":              {[]string{"host " + keyText(rsa), "host " + keyText(ec)}, "ecdsa-sha2-nistp256", true},
		"ed25519":           {[]string{"host " + keyText(ed)}, "ssh-ed25519", true},
		"authority":         {[]string{"@cert-authority host " + keyText(ca)}, "ssh-ed25519-cert-v01@openssh.com", true},
		"authority and key": {[]string{"@cert-authority host " + keyText(ca), "host " + keyText(rsa)}, "ssh-ed25519-cert-v01@openssh.com", true},
		"nothing":           {nil, "ssh-ed25519", false},
		"other type":        {[]string{"host " + keyText(ecKey(elliptic.P384()))}, "ssh-ed25519", false},
	} {
		s := testServer(nil)
		s.HostKeys = []gossh.Signer{certified, ed, rsa, ec}
		var seen *HostKeyInfo
		known := parseKnown(t, tt.lines...)
		known.Unknown = func(_ context.Context, k *HostKeyInfo) error { return errTest }
		cfg := testClient()
		cfg.HostKey = nil
		cfg.HostKeyPolicy = spyPolicy{known, &seen}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(context.Background(), b) }()
		c, err := NewClient(t.Context(), a, "host:22", cfg)
		if (err == nil) != tt.ok || seen == nil || seen.Algorithm != tt.want || seen.Addr != "host:22" || seen.Remote == nil {
			t.Errorf("%s: %v, %+v", name, err, seen)
		}
		if err != nil {
			if _, ok := errors.AsType[*HostKeyError](err); !ok || !errors.Is(err, errTest) && !errors.Is(err, ErrHostKeyChanged) {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			_ = c.Close()
			_ = c.Wait()
		}
		<-served
	}
}

// spyPolicy notes what it was asked.
type spyPolicy struct {
	HostKeyPolicy
	seen **HostKeyInfo
}

func (s spyPolicy) CheckHostKey(ctx context.Context, k *HostKeyInfo) error {
	*s.seen = k
	return s.HostKeyPolicy.CheckHostKey(ctx, k)
}

func TestHostKeyPolicies(t *testing.T) {
	a, b := edKey("a").PublicKey(), rsaKey().PublicKey()
	cert := hostCert(t, edKey("a"), edKey("ca"), nil).PublicKey()
	fp := gossh.FingerprintSHA256(a)
	for name, tt := range map[string]struct {
		policy  HostKeyPolicy
		a, b, c bool // accepts
	}{
		"fixed":           {FixedHostKey(a), true, false, false},
		"fixed, both":     {FixedHostKey(a, b), true, true, false},
		"fixed, none":     {FixedHostKey(), false, false, false},
		"fixed, cert":     {FixedHostKey(cert), false, false, true},
		"fingerprint":     {HostKeyFingerprint(fp), true, false, false},
		"padded":          {HostKeyFingerprint(fp + "="), true, false, false},
		"fingerprints":    {HostKeyFingerprint(fp, gossh.FingerprintSHA256(b)), true, true, false},
		"no fingerprint":  {HostKeyFingerprint(), false, false, false},
		"MD5":             {HostKeyFingerprint(gossh.FingerprintLegacyMD5(a)), false, false, false},
		"cut fingerprint": {HostKeyFingerprint(fp[:20]), false, false, false},
		"no prefix":       {HostKeyFingerprint(strings.TrimPrefix(fp, "SHA256:")), false, false, false},
		"function":        {HostKeyFunc(func(_ context.Context, k *HostKeyInfo) error { return errIf(k.Key.Type() != b.Type()) }), false, true, false},
		"nil function":    {HostKeyFunc(nil), false, false, false},
		"ignored":         {InsecureIgnoreHostKey(), true, true, true},
	} {
		for i, key := range []gossh.PublicKey{a, b, cert} {
			err := tt.policy.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "h:22", Key: key})
			if (err == nil) != []bool{tt.a, tt.b, tt.c}[i] {
				t.Errorf("%s: %s: %v", name, key.Type(), err)
			}
		}
	}
	var ce *ConfigError
	if err := HostKeyFingerprint("sha256").CheckHostKey(t.Context(), &HostKeyInfo{Key: a}); !errors.As(err, &ce) {
		t.Error(err)
	}
	offered := []string{"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"}
	if got := reorder(offered, FixedHostKey(b).Prefer("h:22", offered)); !slices.Equal(got, []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"}) {
		t.Error(got)
	}
	// A policy can neither add nor drop.
	if got := reorder(offered, []string{"none", "rsa-sha2-256", "rsa-sha2-256"}); !slices.Equal(got, []string{"rsa-sha2-256", offered[0], offered[1], offered[2]}) {
		t.Error(got)
	}
	k := &HostKeyInfo{Key: cert}
	if k.Fingerprint() != fp || k.Digest(crypto.MD4) != "" || len(k.Digest(crypto.SHA256)) != 64 || fmt.Sprintf("%x", must(base64.RawStdEncoding.DecodeString(fp[7:]))) != (&HostKeyInfo{Key: a}).Digest(crypto.SHA256) {
		t.Error("wrong digests")
	}
}

func errIf(bad bool) error {
	if bad {
		return errTest
	}
	return nil
}

// The callback and the policy must both accept.
func TestHostKeyBoth(t *testing.T) {
	yes, no := acceptHostKey, func(string, net.Addr, gossh.PublicKey) error { return errTest }
	for i, tt := range []struct {
		policy HostKeyPolicy
		cb     gossh.HostKeyCallback
		ok     bool
	}{
		{nil, nil, false},
		{InsecureIgnoreHostKey(), nil, true},
		{nil, yes, true},
		{InsecureIgnoreHostKey(), yes, true},
		{InsecureIgnoreHostKey(), no, false},
		{FixedHostKey(), yes, false},
		{FixedHostKey(), nil, false},
	} {
		cfg := &ClientConfig{HostKeyPolicy: tt.policy, HostKey: tt.cb}
		if err := cfg.checkHostKey(t.Context(), &HostKeyInfo{Key: edKey("k").PublicKey()}); (err == nil) != tt.ok {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// The one who asks can remember.
func TestKnownHostsUnknown(t *testing.T) {
	k := parseKnown(t)
	asked := 0
	k.Unknown = func(_ context.Context, h *HostKeyInfo) error {
		asked++
		return k.Add(h.Addr, h.Key, true)
	}
	for range 2 {
		if err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "h:2222", Key: edKey("a").PublicKey()}); err != nil {
			t.Error(err)
		}
	}
	if err := k.CheckHostKey(t.Context(), &HostKeyInfo{Addr: "h:2222", Key: edKey("b").PublicKey()}); !errors.Is(err, ErrHostKeyChanged) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func FuzzKnownHosts(f *testing.F) {
	key, ca := edKey("k"), edKey("ca")
	for _, s := range []string{
		"h " + keyText(key), "@revoked * " + keyText(key), "@cert-authority *.x,!y " + keyText(ca),
		must(KnownHostLine("h:22", key.PublicKey(), true)), "# c\n\n[h]:2222\t" + keyText(rsaKey()) + " comment", "|1|AAAA|AAAA x y", "@revoked",
	} {
		f.Add(s, "h:22")
	}
	cert := hostCert(f, key, ca, nil).PublicKey()
	f.Fuzz(func(t *testing.T, file, addr string) {
		k, err := ParseKnownHosts([]byte(file))
		if err != nil {
			return
		}
		for _, pub := range []gossh.PublicKey{key.PublicKey(), cert} {
			blob := base64.StdEncoding.EncodeToString(pub.Marshal())
			if c, ok := pub.(*gossh.Certificate); ok {
				blob = base64.StdEncoding.EncodeToString(c.SignatureKey.Marshal())
			}
			if k.check(addr, pub) == nil && !strings.Contains(file, strings.TrimRight(blob, "=")[:40]) {
				t.Errorf("accepted by %q", file)
			}
		}
		_ = k.Prefer(addr, []string{"ssh-ed25519"})
		if line, err := KnownHostLine(addr, key.PublicKey(), false); err == nil {
			again, err := ParseKnownHosts([]byte(line))
			if err != nil || again.check(addr, key.PublicKey()) != nil {
				t.Errorf("%q is not known by %q: %v", addr, line, err)
			}
		}
	})
}

// Of two connections to an unknown host, of which one may be to somebody else,
// the first decides.
func TestKnownHostsUnknownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := parseKnown(t)
		var asked atomic.Int32
		answer := make(chan struct{})
		k.Unknown = func(_ context.Context, h *HostKeyInfo) error {
			asked.Add(1)
			<-answer
			return k.Add(h.Addr, h.Key, true)
		}
		verdicts := make(chan error, 3)
		check := func(ctx context.Context, addr, key string) {
			go func() {
				verdicts <- k.CheckHostKey(ctx, &HostKeyInfo{Addr: addr, Key: edKey(key).PublicKey()})
			}()
			synctest.Wait()
		}
		check(t.Context(), "h:2222", "a")
		check(t.Context(), "H:2222", "b")
		if asked.Load() != 1 {
			t.Errorf("asked %d times about one host", asked.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		check(ctx, "h:2222", "c")
		cancel() // who waits can give up
		if err := <-verdicts; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		check(t.Context(), "other:22", "a") // is not held up
		if asked.Load() != 2 {
			t.Errorf("asked %d times about two hosts", asked.Load())
		}
		close(answer)
		changed := 0
		for range 3 {
			if err := <-verdicts; errors.Is(err, ErrHostKeyChanged) {
				changed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if changed != 1 || asked.Load() != 2 || len(k.asking) != 0 {
			t.Errorf("%d changed, asked %d times, %d are asked about", changed, asked.Load(), len(k.asking))
		}
	})
}

// Hosts that become known at the same time do not undo each other.
func TestKnownHostsAddAndUpdateAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := AddKnownHost(file, "h:22", edKey("h").PublicKey(), false); err != nil {
		t.Fatal(err)
	}
	k := must(ReadKnownHosts(file))
	var wg sync.WaitGroup
	const n = 100
	for i := range n {
		wg.Go(func() {
			if err := k.Add(fmt.Sprintf("host%d:22", i/2), edKey("x").PublicKey(), false); err != nil { // each twice
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, _, err := k.Update("h:22", []gossh.PublicKey{edKey("h").PublicKey(), edKey(fmt.Sprint(i)).PublicKey()}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	data := must(os.ReadFile(file))
	for i := range n / 2 {
		if got := bytes.Count(data, fmt.Appendf(nil, "host%d ", i)); got != 1 {
			t.Errorf("host%d stands in the file %d times", i, got)
		}
	}
	if got := bytes.Count(data, []byte("\nh ")) + 1; got != 2 {
		t.Errorf("%d keys of h", got)
	}
}

// Keys that only another file knows are taken over into the first, which need
// not be there yet.
func TestKnownHostsUpdateMakesTheFile(t *testing.T) {
	dir := t.TempDir()
	file, system := filepath.Join(dir, "new", "known_hosts"), filepath.Join(dir, "system")
	if err := AddKnownHost(system, "h:22", edKey("h").PublicKey(), false); err != nil {
		t.Fatal(err)
	}
	k := must(ReadKnownHosts(file, system))
	added, removed, err := k.Update("h:22", []gossh.PublicKey{edKey("h").PublicKey(), edKey("next").PublicKey()})
	if err != nil || len(added) != 1 || len(removed) != 0 {
		t.Fatal(added, removed, err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "h "+keyText(edKey("next"))+"\n" {
		t.Errorf("%q, %v", data, err)
	}
}
