package sftpserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// forger has another's public key.
type forger struct {
	gossh.Signer
	victim gossh.PublicKey
}

func (f forger) PublicKey() gossh.PublicKey { return f.victim }

// TestUserAuthPublicKeyWelcome: Accept or PartialSuccess makes a key welcome, and the server verifies the signature.
func TestUserAuthPublicKeyWelcome(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, partial := range []bool{false, true} {
		s := sftpserver.New()
		r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
			switch e.Method {
			case "publickey":
				e.Accept, e.PartialSuccess = !partial, partial
			case "password":
				e.Accept = slices.Contains(e.Done, "publickey")
			}
		})
		start(t, s)
		p := rawClient(t, s)
		p.signed("alice", forger{newKey(t), key.PublicKey()})
		p.want("failure publickey,password")
		p.password("alice", "x")
		p.want("failure publickey,password")
		expect(t, "events", r.take(), "publickey KEY", "password x")
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key), ssh2.Password("x")); err != nil {
			t.Errorf("partial %v: %v", partial, err)
		}
	}
}

// TestUserAuthKeyAlgorithm: the event says which algorithm the signature is made by, and only those of
// SSHPubKeyAuthSigAlgorithms are listened to; with others the attempt fails, not the connection.
func TestUserAuthKeyAlgorithm(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.PublicKeyAlgorithms = "rsa-sha2-512,ecdsa-sha2-nistp256"
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method == "publickey" })
	start(t, s)
	rsa, ec, ed := rsaKey(t), ecKey(t), newKey(t)
	for _, k := range []struct {
		key  gossh.Signer
		want string
	}{{rsa, "rsa-sha2-512"}, {ec, "ecdsa-sha2-nistp256"}} {
		if _, _, err := login(t, s, "alice", ssh2.PublicKeys(ed, k.key)); err != nil {
			t.Fatal(err)
		}
		if e := r.last(); e.KeyAlgorithm != k.want {
			t.Errorf("%s, want %s", e.KeyAlgorithm, k.want)
		}
	}
	r.take()
	p := rawClient(t, s)
	for _, name := range []string{"ssh-rsa", "rsa-sha2-256"} {
		p.request("alice", "ssh-connection", "publickey", &msg.PublicKeyFields{Algorithm: name, Key: rsa.PublicKey().Marshal()})
		p.want("failure publickey,password")
	}
	p.request("alice", "ssh-connection", "publickey", &msg.PublicKeyFields{Algorithm: "rsa-sha2-512", Key: rsa.PublicKey().Marshal()})
	p.want("pkok")
	expect(t, "events", r.take(), "publickey KEY")

	s2 := sftpserver.New()
	s2.PublicKeyAlgorithms = "rot13"
	s2.HostKeys, s2.LocalPort, s2.UserAuth = s.HostKeys, 0, accept
	if err := s2.Start(t.Context()); err == nil {
		t.Error("an unknown algorithm is no error")
		_ = s2.Close()
	}
}

// TestUserAuthKeyAlgorithms: every algorithm of the specification, once it is named, is seen in the event.
func TestUserAuthKeyAlgorithms(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../keys/testdata/x509/dsa.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	dsaCert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaCert := selfSigned(t, 1, private)
	curve := func(c elliptic.Curve) any {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	algorithms := []struct {
		name string
		key  any // public
	}{
		{"ssh-rsa", rsaCert.PublicKey},
		{"rsa-sha2-256", rsaCert.PublicKey},
		{"rsa-sha2-512", rsaCert.PublicKey},
		{"ssh-dss", dsaCert.PublicKey},
		{"ssh-ed25519", newKey(t).PublicKey().(gossh.CryptoPublicKey).CryptoPublicKey()},
		{"ecdsa-sha2-nistp256", curve(elliptic.P256())},
		{"ecdsa-sha2-nistp384", curve(elliptic.P384())},
		{"ecdsa-sha2-nistp521", curve(elliptic.P521())},
		{"x509v3-sign-rsa", rsaCert},
		{"x509v3-sign-dss", dsaCert},
	}
	s := sftpserver.New()
	var names []string
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	s.PublicKeyAlgorithms = ssh2.AlgList(strings.Join(names, ","))
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method == "publickey" })
	start(t, s)
	p := rawClient(t, s)
	for _, a := range algorithms {
		var key gossh.PublicKey
		if cert, ok := a.key.(*x509.Certificate); ok {
			key, err = keys.NewX509Key(a.name, []*x509.Certificate{cert}, nil)
		} else {
			key, err = gossh.NewPublicKey(a.key)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.request("alice", "ssh-connection", "publickey", &msg.PublicKeyFields{Algorithm: a.name, Key: key.Marshal()})
		p.want("pkok")
		if e := r.last(); e.KeyAlgorithm != a.name || e.Param != string(key.Marshal()) {
			t.Errorf("%s: %q", a.name, e.KeyAlgorithm)
		}
	}
}

// selfSigned makes a certificate of an RSA key.
func selfSigned(tb testing.TB, serial int64, key *rsa.PrivateKey) *x509.Certificate {
	tb.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// TestUserAuthX509: a key inside an X.509 certificate is for the handler to know, once its algorithm is named.
func TestUserAuthX509(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	plain := signer(t, key, err)
	var keysOf []gossh.Signer
	for i := range int64(2) {
		public, err := keys.NewX509Key("x509v3-sign-rsa", []*x509.Certificate{selfSigned(t, i, key)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := keys.NewX509Signer(public, plain)
		if err != nil {
			t.Fatal(err)
		}
		keysOf = append(keysOf, s)
	}
	s := sftpserver.New()
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Method == "publickey" && e.Param == string(keysOf[0].PublicKey().Marshal())
	})
	s.PublicKeyAlgorithms = "+x509v3-sign-rsa"
	start(t, s)
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(keysOf[0])); err != nil {
		t.Error(err)
	}
	if e := r.last(); e.KeyAlgorithm != "x509v3-sign-rsa" || e.Method != "publickey" {
		t.Errorf("%+v", e)
	}
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(keysOf[1])); err == nil {
		t.Error("let in by another certificate of the same key")
	}
	s = sftpserver.New()
	r = recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method == "publickey" })
	start(t, s)
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(keysOf[0])); err == nil {
		t.Error("let in by an algorithm that was not named")
	}
	expect(t, "events", r.take(), "none")
}

// TestUserAuthSigStatus: with FireAuthRequestAfterSig the event is fired once more with 1 or 0. A bad signature is
// refused whatever the handler says; of a good one it has the last word.
func TestUserAuthSigStatus(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	var sig func(*sftpserver.UserAuthEvent)
	serve := func(on bool) (*sftpserver.Server, *authRecord) {
		s := sftpserver.New()
		s.FireAuthRequestAfterSig = on
		r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
			switch e.Method {
			case "publickey":
				e.Accept = true
			case "sigstatus":
				sig(e)
			}
		})
		start(t, s)
		return s, r
	}
	s, r := serve(true)
	bad := func() {
		p := rawClient(t, s)
		p.signed("alice", forger{newKey(t), key.PublicKey()})
		p.want("failure publickey,password")
	}
	sig = func(e *sftpserver.UserAuthEvent) {
		if e.Accept || e.PartialSuccess || e.KeyAlgorithm != "ssh-ed25519" {
			t.Errorf("bad signature: %+v", e)
		}
		e.Accept, e.PartialSuccess = true, true
	}
	bad()
	expect(t, "events", r.take(), "publickey KEY", "sigstatus 0")

	sig = func(e *sftpserver.UserAuthEvent) {
		if !e.Accept || e.PartialSuccess {
			t.Errorf("good signature: %+v", e)
		}
	}
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err != nil {
		t.Error(err)
	}
	expect(t, "events", r.take(), "none", "publickey KEY", "publickey KEY", "sigstatus 1")

	sig = func(e *sftpserver.UserAuthEvent) { e.Accept = false }
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err == nil {
		t.Error("let in though the handler changed its mind")
	}

	s, r = serve(false)
	bad()
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(key)); err != nil {
		t.Error(err)
	}
	expect(t, "events", r.take(), "publickey KEY", "none", "publickey KEY", "publickey KEY")
}
