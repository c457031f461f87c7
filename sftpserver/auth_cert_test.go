package sftpserver_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// keyFile writes public keys into a file, a line each.
func keyFile(tb testing.TB, list ...gossh.PublicKey) string {
	tb.Helper()
	text := []byte("# keys\n")
	for _, key := range list {
		text = append(text, gossh.MarshalAuthorizedKey(key)...)
	}
	name := filepath.Join(tb.TempDir(), "keys")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// certify makes a user certificate for alice that is good for an hour, unless change makes something else of it.
func certify(tb testing.TB, key, authority gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
	tb.Helper()
	now := uint64(time.Now().Unix())
	c := &gossh.Certificate{
		Key: key.PublicKey(), Serial: 7, CertType: gossh.UserCert, KeyId: "alice@laptop", ValidPrincipals: []string{"alice"},
		ValidAfter: now - 60, ValidBefore: now + 3600,
	}
	c.CriticalOptions, c.Extensions = map[string]string{}, map[string]string{"permit-pty": ""}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		tb.Fatal(err)
	}
	s, err := gossh.NewCertSigner(c, key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// acceptKeys accepts every key that it is asked about.
func acceptKeys(e *sftpserver.UserAuthEvent) {
	e.Accept = e.Method == "publickey" || e.Method == sftpserver.MethodSigStatus && e.Accept
}

// TestUserCertificate: the event sees what a good certificate says, and has the last word.
func TestUserCertificate(t *testing.T) {
	t.Parallel()
	ca, key := newKey(t), newKey(t)
	cert := certify(t, key, ca, nil)
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	s.TrustedUserCAKeys = []gossh.PublicKey{newKey(t).PublicKey(), ca.PublicKey()}
	s.FireAuthRequestAfterSig = true
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		acceptKeys(e)
		if e.Certificate != nil && e.Certificate.Serial == 8 {
			e.Accept = false
		}
	})
	start(t, s)
	_, info, err := login(t, s, "alice", ssh2.PublicKeys(cert))
	if err != nil {
		t.Fatal(err)
	}
	e := r.last()
	if c := e.Certificate; c == nil || c.KeyId != "alice@laptop" || c.Serial != 7 || len(c.ValidPrincipals) != 1 || c.ValidPrincipals[0] != "alice" {
		t.Errorf("%+v", c)
	}
	if e.Method != sftpserver.MethodSigStatus || e.KeyAlgorithm != gossh.CertAlgoED25519v01 || info.User != "alice" {
		t.Errorf("%+v", e)
	}
	expect(t, "events", r.take(), "none", "publickey KEY", "publickey KEY", "sigstatus 1")
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(certify(t, key, ca, func(c *gossh.Certificate) { c.Serial = 8 }))); err == nil {
		t.Error("let in although the handler said no")
	}
	expect(t, "events of the one that was vetoed", r.take(), "none", "publickey KEY")
	// Who has the certificate and not the key.
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(forger{newKey(t), cert.PublicKey()})); err == nil {
		t.Error("let in without the key")
	}
	if events := r.take(); len(events) > 0 && events[len(events)-1] == "sigstatus 1" {
		t.Errorf("%q", events)
	}
	// The key alone is a key like others.
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err != nil {
		t.Error(err)
	}
	if c := r.last().Certificate; c != nil {
		t.Errorf("a bare key has the certificate %+v", c)
	}
}

// TestW31_UserCertificateRefusals: what is not good is refused before the event is asked.
func TestW31_UserCertificateRefusals(t *testing.T) {
	t.Parallel()
	ca, key, gone, lost := newKey(t), newKey(t), newKey(t), newKey(t)
	lostCA := newKey(t)
	now := uint64(time.Now().Unix())
	one := certify(t, key, ca, func(c *gossh.Certificate) { c.Serial = 99 })
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	s.TrustedUserCAKeys = []gossh.PublicKey{ca.PublicKey(), lostCA.PublicKey()}
	s.RevokedKeys = []gossh.PublicKey{gone.PublicKey(), lostCA.PublicKey(), one.PublicKey()}
	r := recordAuth(s, acceptKeys)
	start(t, s)
	for _, c := range []struct {
		what string
		key  gossh.Signer
		user string
	}{
		{"expired", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidBefore = now - 1 }), "alice"},
		{"not yet valid", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidAfter = now + 600 }), "alice"},
		{"another's", certify(t, key, ca, nil), "bob"},
		{"without principals", certify(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = nil }), "alice"},
		{"of another authority", certify(t, key, newKey(t), nil), "alice"},
		{"signed by itself", certify(t, key, key, nil), "alice"},
		{"of a host", certify(t, key, ca, func(c *gossh.Certificate) { c.CertType = gossh.HostCert }), "alice"},
		{"from elsewhere", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["source-address"] = "192.0.2.0/24" }), "alice"},
		{"with an unknown critical option", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["x@example.com"] = "" }), "alice"},
		{"with an empty command", certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["force-command"] = "" }), "alice"},
		{"of a revoked key", certify(t, gone, ca, nil), "alice"},
		{"of a revoked authority", certify(t, key, lostCA, nil), "alice"},
		{"revoked itself", one, "alice"},
		{"a revoked key", gone, "alice"},
	} {
		if _, _, err := login(t, s, c.user, ssh2.PublicKeys(c.key)); err == nil {
			t.Errorf("%s: let in", c.what)
		}
		if c.what == "from elsewhere" { // which the event may narrow, and so comes after it
			r.take()
			continue
		}
		expect(t, c.what, r.take(), "none")
	}
	for what, key := range map[string]gossh.Signer{
		"from here":   certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["source-address"] = "127.0.0.0/8" }),
		"another key": lost,
	} {
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	without := sftpserver.New()
	r = recordAuth(without, acceptKeys)
	start(t, without)
	if _, _, err := login(t, without, "alice", ssh2.PublicKeys(certify(t, key, ca, nil))); err == nil {
		t.Error("let in by a server without authorities")
	}
	expect(t, "events of a server without authorities", r.take(), "none")
}

// TestUserCertificateRevokedTwin: an ECDSA signature has a twin that is as good, which everybody can compute; a certificate with it
// is the one that was revoked all the same.
func TestUserCertificateRevokedTwin(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	cert, _ := certify(t, key, ca, nil).PublicKey().(*gossh.Certificate)
	var sig struct{ R, S *big.Int }
	if err := gossh.Unmarshal(cert.Signature.Blob, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(elliptic.P256().Params().N, sig.S)
	other := *cert
	other.Signature = &gossh.Signature{Format: cert.Signature.Format, Blob: gossh.Marshal(sig)}
	twin, err := gossh.NewCertSigner(&other, key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(other.Marshal(), cert.Marshal()) {
		t.Fatal("the same certificate")
	}
	for _, revoked := range []bool{false, true} {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		s.TrustedUserCAKeys = []gossh.PublicKey{ca.PublicKey()}
		if revoked {
			s.RevokedKeys = []gossh.PublicKey{cert}
		}
		s.UserAuth = acceptKeys
		start(t, s)
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(twin)); (err != nil) != revoked {
			t.Errorf("revoked %v: %v", revoked, err)
		}
	}
}

// TestRevokedKeyInX509: a key that was revoked is none in an X.509 certificate either.
func TestRevokedKeyInX509(t *testing.T) {
	t.Parallel()
	for _, revoked := range []bool{false, true} {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		plain := signer(t, private, err)
		public, err := keys.NewX509Key("x509v3-sign-rsa", []*x509.Certificate{selfSigned(t, 1, private)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		key, err := keys.NewX509Signer(public, plain)
		if err != nil {
			t.Fatal(err)
		}
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		s.PublicKeyAlgorithms = "x509v3-sign-rsa"
		if revoked {
			s.RevokedKeys = []gossh.PublicKey{public.Plain()}
		}
		s.UserAuth = acceptKeys
		start(t, s)
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); (err != nil) != revoked {
			t.Errorf("revoked %v: %v", revoked, err)
		}
	}
}

// TestUserCertificatePrincipals: CertPrincipals says who a certificate is for, in place of the name.
func TestUserCertificatePrincipals(t *testing.T) {
	t.Parallel()
	ca, key := newKey(t), newKey(t)
	s := sftpserver.New()
	s.TrustedUserCAKeys = []gossh.PublicKey{ca.PublicKey()}
	s.CertPrincipals = func(user string) []string {
		return map[string][]string{"backup": {"ops", "night"}}[user]
	}
	recordAuth(s, acceptKeys)
	start(t, s)
	for user, want := range map[string]bool{"backup": true, "alice": false, "night": false} {
		cert := certify(t, key, ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"alice", "night"} })
		if _, _, err := login(t, s, user, ssh2.PublicKeys(cert)); (err == nil) != want {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// TestUserCertificateCommand: a forced command leaves nothing but itself, and internal-sftp is what is served.
func TestUserCertificateCommand(t *testing.T) {
	t.Parallel()
	ca, key := newKey(t), newKey(t)
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	s.TrustedUserCAKeys = []gossh.PublicKey{ca.PublicKey()}
	s.UserAuth = acceptKeys
	start(t, s)
	for command, want := range map[string]bool{"internal-sftp": true, "internal-sftp -R": false, "/bin/date": false} {
		cert := certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["force-command"] = command })
		c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			User: "alice", Auth: []ssh2.AuthMethod{ssh2.PublicKeys(cert)}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch, err := c.Subsystem(t.Context(), "sftp")
		if err == nil {
			_, err = sftp.NewClient(t.Context(), ch, nil)
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestUserCertificateSettings: files have the keys, by name; what is wrong with them is told when they are named, and at Start.
func TestUserCertificateSettings(t *testing.T) {
	t.Parallel()
	ca, key, gone := newKey(t), newKey(t), newKey(t)
	s := sftpserver.New()
	list := keyFile(t, newKey(t).PublicKey(), ca.PublicKey())
	for _, expr := range []string{"TrustedUserCAKeys=" + list, "RevokedKeys=" + keyFile(t, gone.PublicKey())} {
		if _, err := s.Config(expr); err != nil {
			t.Fatal(err)
		}
	}
	s.UserAuth = acceptKeys
	start(t, s)
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(certify(t, key, ca, nil))); err != nil {
		t.Error(err)
	}
	for what, key := range map[string]gossh.Signer{"a revoked key": gone, "its certificate": certify(t, gone, ca, nil)} {
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err == nil {
			t.Errorf("%s: let in", what)
		}
	}

	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := sftpserver.New()
	for _, name := range []string{"TrustedUserCAKeys", "RevokedKeys"} {
		if _, err := other.Config(name + "=" + bad); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := other.Config(name + "=" + bad + ".missing"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := other.Config("RevokedKeys=" + list); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other.LocalHost, other.LocalPort, other.HostKeys = "127.0.0.1", 0, []gossh.Signer{newKey(t)}
	if err := other.Start(t.Context()); err == nil {
		t.Error("started with an empty list")
		_ = other.Close()
	}
	other = sftpserver.New()
	other.UserAuth = acceptKeys
	for what, list := range map[string][]gossh.PublicKey{"nil": {nil}, "certificate": {certify(t, key, ca, nil).PublicKey()}} {
		other.TrustedUserCAKeys = list
		other.LocalHost, other.LocalPort, other.HostKeys = "127.0.0.1", 0, []gossh.Signer{newKey(t)}
		if err := other.Start(t.Context()); err == nil {
			t.Errorf("%s: started", what)
			_ = other.Close()
		}
	}
}

// TestEmbeddingCertificates runs the certificates of docs/embedding.md.
func TestEmbeddingCertificates(t *testing.T) {
	t.Parallel()
	ca, key := newKey(t), newKey(t)
	s := sftpserver.New()
	certificates(s, ca.PublicKey(), map[uint64]bool{8: true})
	start(t, s)
	for serial, want := range map[uint64]bool{7: true, 8: false} {
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(certify(t, key, ca, func(c *gossh.Certificate) { c.Serial = serial }))); (err == nil) != want {
			t.Errorf("serial %d: %v", serial, err)
		}
	}
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err == nil {
		t.Error("let in without a certificate")
	}
}
