package sftpserver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// authRecord keeps what UserAuth was asked, and what the Error event was told.
type authRecord struct {
	mu     sync.Mutex
	events []sftpserver.UserAuthEvent
	errs   []error
}

// recordAuth has s record its events before f handles them.
func recordAuth(s *sftpserver.Server, f func(*sftpserver.UserAuthEvent)) *authRecord {
	r := new(authRecord)
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		r.mu.Lock()
		r.events = append(r.events, *e)
		r.mu.Unlock()
		f(e)
	}
	s.Error = func(e *sftpserver.ErrorEvent) {
		r.mu.Lock()
		r.errs = append(r.errs, e.Err)
		r.mu.Unlock()
	}
	return r
}

// take returns the events so far, "method param" each, and forgets them.
func (r *authRecord) take() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		param := e.Param
		if strings.HasPrefix(param, "\x00\x00\x00") {
			param = "KEY"
		}
		out = append(out, strings.TrimSpace(e.Method+" "+param))
	}
	r.events = nil
	return out
}

func (r *authRecord) last() sftpserver.UserAuthEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[len(r.events)-1]
}

// login logs in as user, and out again; banners are what was shown meanwhile.
func login(tb testing.TB, s *sftpserver.Server, user string, auth ...ssh2.AuthMethod) (banners []string, info ssh2.ConnInfo, err error) {
	tb.Helper()
	c, err := ssh2.Dial(tb.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: user, Auth: auth, HostKey: gossh.InsecureIgnoreHostKey(), PublicKeyAlgorithms: "+x509v3-sign-rsa",
		Banner: func(text, _ string) { banners = append(banners, text) },
	})
	if err != nil {
		return banners, info, err
	}
	info = c.Info()
	_ = c.Close()
	_ = c.Wait()
	return banners, info, nil
}

// returns returns keyboard-interactive, and keeps what was asked.
func answers(asked *ssh2.Challenge, a ...string) ssh2.AuthMethod {
	return ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
		if asked != nil {
			*asked = *c
		}
		return a[:min(len(a), len(c.Prompts))], nil
	})
}

// forger has another's public key.
type forger struct {
	gossh.Signer
	victim gossh.PublicKey
}

func (f forger) PublicKey() gossh.PublicKey { return f.victim }

func expect[T comparable](tb testing.TB, what string, got []T, want ...T) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestUserAuthParameters: the event has the id, the user, the service, the method and its parameter, and finds
// nothing accepted beforehand.
func TestUserAuthParameters(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	key := newKey(t)
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method == "publickey" })
	start(t, s)
	if _, _, err := login(t, s, "alice", ssh2.Password("wrong"), ssh2.PublicKeys(key)); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	events := r.events
	r.mu.Unlock()
	blob := string(key.PublicKey().Marshal())
	want := []struct{ method, param, algorithm string }{
		{"none", "", ""}, {"password", "wrong", ""}, {"publickey", blob, "ssh-ed25519"}, {"publickey", blob, "ssh-ed25519"},
	}
	if len(events) != len(want) {
		t.Fatalf("%q", r.take())
	}
	for i, w := range want {
		e := &events[i]
		if e.ConnectionID() == "" || e.ConnectionID() != events[0].ConnectionID() || e.User != "alice" || e.Service != "ssh-connection" ||
			e.Method != w.method || e.Param != w.param || e.KeyAlgorithm != w.algorithm || e.Accept || e.PartialSuccess ||
			e.HomeDir != "" || e.RootDirectory != "" || e.RestrictToHomeDir || e.Prompts != nil {
			t.Errorf("event %d: %+v", i, e)
		}
		expect(t, "available methods", e.AvailableMethods, "password", "publickey")
	}
}

// TestUserAuthWithoutHandler: then nobody gets in, whatever the settings say.
func TestUserAuthWithoutHandler(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.AuthMethods = []string{"none", "password", "publickey", "keyboard-interactive"}
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "?"}}
	s.LocalHost, s.LocalPort, s.HostKeys = "127.0.0.1", 0, []gossh.Signer{newKey(t)}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _, err := login(t, s, "alice", ssh2.Password(""), ssh2.Password("x"), ssh2.PublicKeys(newKey(t)), answers(nil, ""))
	var ae *ssh2.AuthError
	if !errors.As(err, &ae) || len(ae.Remaining) != 0 {
		t.Errorf("login: %v", err)
	}
}

// TestUserAuthMethods: password and publickey are announced; "none" is asked and never listed, even if it is
// among the settings; what is not announced is refused without an event.
func TestUserAuthMethods(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	r := recordAuth(s, func(*sftpserver.UserAuthEvent) {})
	start(t, s)
	var ae *ssh2.AuthError
	if _, _, err := login(t, s, "alice"); !errors.As(err, &ae) {
		t.Fatal(err)
	}
	expect(t, "announced", ae.Remaining, "publickey", "password")
	expect(t, "events", r.take(), "none")

	s2 := sftpserver.New()
	s2.AuthMethods = []string{"none", "keyboard-interactive", "password"}
	s2.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "?"}}
	r = recordAuth(s2, func(e *sftpserver.UserAuthEvent) { e.Accept = true })
	start(t, s2)
	p := rawClient(t, s2)
	p.request("alice", "ssh-connection", "publickey", &msg.PublicKeyFields{Algorithm: "ssh-ed25519", Key: newKey(t).PublicKey().Marshal()})
	p.want("failure password,keyboard-interactive")
	p.request("alice", "ssh-connection", "gssapi-with-mic", nil)
	p.want("failure password,keyboard-interactive")
	expect(t, "events", r.take())
	p.request("alice", "ssh-connection", "none", nil) // a server for everybody
	p.want("success")
	expect(t, "events", r.take(), "none")

	s3 := sftpserver.New()
	s3.AuthMethods = []string{"pasword"}
	s3.HostKeys, s3.LocalPort = s2.HostKeys, 0
	if err := s3.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "pasword") {
		t.Errorf("unknown method: %v", err)
	}
}

// TestUserAuthAvailableMethods: what the event leaves in it is sent back, with a refusal and with a partial
// success, and holds for this user until it says something else.
func TestUserAuthAvailableMethods(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "?"}}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch {
		case e.User == "bob":
		case e.Method == "none":
			e.AvailableMethods = []string{"keyboard-interactive", "none", "rot13"}
		case e.Method == "password":
			e.AvailableMethods = []string{"publickey"}
			e.PartialSuccess = true
		case strings.HasPrefix(e.Method, "keyboard-interactive"):
			e.AvailableMethods = []string{"password"}
		}
	})
	start(t, s)
	p := rawClient(t, s)
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure keyboard-interactive")
	p.password("alice", "x")
	p.want("failure keyboard-interactive") // without an event
	p.request("alice", "ssh-connection", "keyboard-interactive", &msg.InteractiveFields{})
	p.want("ask ?")
	p.send(&msg.InfoResponse{Answers: [][]byte{[]byte("a")}})
	p.want("failure password")
	expect(t, "events", r.take(), "none", "keyboard-interactive-1 a")
	p.password("alice", "x")
	p.want("partial publickey")
	p.password("alice", "x")
	p.want("failure publickey")
	p.request("alice", "ssh-connection", "none", nil) // is always asked
	p.want("failure keyboard-interactive")
	expect(t, "events", r.take(), "password x", "none")
	p.password("bob", "x")
	p.want("failure publickey,password")
	if e := r.last(); !slices.Equal(e.AvailableMethods, []string{"password", "publickey"}) {
		t.Errorf("of another user: %v", e.AvailableMethods)
	}
}

// TestUserAuthPartialSuccess: each factor is recorded and another asked for, until one is accepted.
func TestUserAuthPartialSuccess(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	key := newKey(t)
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "code"}}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch e.Method {
		case "none":
			e.AvailableMethods = []string{"publickey"}
		case "publickey":
			e.PartialSuccess, e.AvailableMethods = true, []string{"password"}
		case "password":
			e.PartialSuccess, e.AvailableMethods = e.Param == "secret", []string{"keyboard-interactive"}
		case "keyboard-interactive-1":
			e.Accept = e.Param == "1"
		case "keyboard-interactive":
			e.Accept = slices.Equal(e.Done, []string{"publickey", "password"})
		}
	})
	start(t, s)
	_, info, err := login(t, s, "alice", answers(nil, "1"), ssh2.Password("secret"), ssh2.PublicKeys(key))
	if err != nil || !slices.Equal(info.Methods, []string{"publickey", "password", "keyboard-interactive"}) {
		t.Errorf("login: %v, by %v", err, info.Methods)
	}
	expect(t, "events", r.take(), "none", "publickey KEY", "publickey KEY", "password secret", "keyboard-interactive-1 1", "keyboard-interactive")
	// Two of three, in any order, are not enough.
	for _, auth := range [][]ssh2.AuthMethod{
		{ssh2.Password("secret"), answers(nil, "1")},
		{ssh2.PublicKeys(key), answers(nil, "1")},
		{ssh2.PublicKeys(key), ssh2.Password("secret")},
		{ssh2.PublicKeys(key), ssh2.Password("secret"), answers(nil, "2")},
		{ssh2.PublicKeys(key), ssh2.Password("wrong"), answers(nil, "1")},
	} {
		if _, _, err := login(t, s, "alice", auth...); err == nil {
			t.Error("let in by less than all")
		}
	}
}

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

// TestUserAuthKeyboardInteractive: one event per answer and a closing one; all must be accepted.
func TestUserAuthKeyboardInteractive(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.AuthMethods = []string{"keyboard-interactive"}
	s.KeyboardInteractiveMessage = "Two questions."
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "Name of your dog: ", Echo: true}, {Text: "Code: "}}
	closing := true
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch e.Method {
		case "keyboard-interactive-1":
			e.Accept = e.Param == "Rex"
		case "keyboard-interactive-2":
			e.Accept = e.Param == "42"
		case "keyboard-interactive":
			e.Accept = closing
		}
	})
	start(t, s)
	var asked ssh2.Challenge
	if _, _, err := login(t, s, "alice", answers(&asked, "Rex", "42")); err != nil {
		t.Error(err)
	}
	expect(t, "events", r.take(), "none", "keyboard-interactive-1 Rex", "keyboard-interactive-2 42", "keyboard-interactive")
	if asked.Instruction != s.KeyboardInteractiveMessage || !slices.Equal(asked.Prompts, s.KeyboardInteractivePrompts) {
		t.Errorf("asked %+v", asked)
	}
	for _, tt := range []struct {
		answers []string
		closing bool
		events  []string
	}{
		{[]string{"", "42"}, true, []string{"none", "keyboard-interactive-1"}},
		{[]string{"Rex", "41"}, true, []string{"none", "keyboard-interactive-1 Rex", "keyboard-interactive-2 41"}},
		{[]string{"Rex", "42"}, false, []string{"none", "keyboard-interactive-1 Rex", "keyboard-interactive-2 42", "keyboard-interactive"}},
	} {
		closing = tt.closing
		if _, _, err := login(t, s, "alice", answers(nil, tt.answers...)); err == nil {
			t.Errorf("%q: let in", tt.answers)
		}
		expect(t, "events", r.take(), tt.events...)
	}
}

// TestUserAuthKeyboardInteractivePartial: an answer that is only partly enough makes the whole only a partial
// success.
func TestUserAuthKeyboardInteractivePartial(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.AuthMethods = []string{"keyboard-interactive"}
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "a"}, {Text: "b"}}
	half := "1"
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch n := strings.TrimPrefix(e.Method, "keyboard-interactive"); {
		case e.Method == "none":
		case strings.TrimPrefix(n, "-") == half:
			e.PartialSuccess = true
		default:
			e.Accept = true
		}
	})
	start(t, s)
	p := rawClient(t, s)
	for _, half = range []string{"1", "2", ""} {
		p.request("alice", "ssh-connection", "keyboard-interactive", &msg.InteractiveFields{})
		p.want("ask a,b")
		p.send(&msg.InfoResponse{Answers: [][]byte{nil, nil}})
		p.want("partial keyboard-interactive")
	}
}

// TestCVE_2_6_NoPromptsNoLogin: without a question nothing is proven, even if the closing call is accepted.
func TestCVE_2_6_NoPromptsNoLogin(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.AuthMethods = []string{"keyboard-interactive"}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method != "none" })
	start(t, s)
	if _, _, err := login(t, s, "alice", answers(nil)); err == nil {
		t.Error("let in without a question")
	}
	expect(t, "events", r.take(), "none")
}

// TestUserAuthPrompts: prompts set in the event, or by the connection's method in it, take the place of the
// property's, for this user.
func TestUserAuthPrompts(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.AuthMethods = []string{"keyboard-interactive"}
	s.MaxAuthAttempts = 20
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "of all"}}
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		if e.Method != "none" {
			return
		}
		switch e.User {
		case "alice":
			e.Prompts = []ssh2.Prompt{{Text: "alice's", Echo: true}, {Text: "two"}}
		case "bob":
			if _, err := s.Config("KeyboardInteractivePrompts[" + e.ConnectionID() + "]=bob's,echo=true;and more"); err != nil {
				t.Error(err)
			}
			if got := e.Conn.KeyboardInteractivePrompts(); !slices.Equal(got, []ssh2.Prompt{{Text: "bob's", Echo: true}, {Text: "and more"}}) {
				t.Errorf("prompts in the event: %v", got)
			}
		case "dave":
			if err := e.Conn.SetKeyboardInteractivePrompts([]ssh2.Prompt{{}}); err == nil {
				t.Error("an empty prompt is no error")
			}
		}
	})
	start(t, s)
	p := rawClient(t, s)
	for _, tt := range []struct{ user, want string }{{"alice", "ask alice's,two"}, {"carol", "ask of all"}, {"bob", "ask bob's,and more"}, {"dave", "ask of all"}} {
		p.request(tt.user, "ssh-connection", "none", nil)
		p.want("failure keyboard-interactive")
		p.request(tt.user, "ssh-connection", "keyboard-interactive", &msg.InteractiveFields{})
		p.want(tt.want)
		// Abandoned by the next request: no answer.
	}
}

// TestUserAuthPromptsChecked: what cannot be asked is found at the start.
func TestUserAuthPromptsChecked(t *testing.T) {
	t.Parallel()
	for name, prompts := range map[string][]ssh2.Prompt{"empty": {{}}, "many": slices.Repeat([]ssh2.Prompt{{Text: "?"}}, 33)} {
		s := sftpserver.New()
		s.KeyboardInteractivePrompts = prompts
		s.LocalPort, s.HostKeys, s.UserAuth = 0, []gossh.Signer{newKey(t)}, accept
		if err := s.Start(t.Context()); err == nil {
			t.Errorf("%s: started", name)
			_ = s.Close()
		}
	}
}

// TestUserAuthBanner: the server's banner is shown once, unless the event has another; one that the event sets is
// shown with that answer, and only to that connection.
func TestUserAuthBanner(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.UserAuthBanner = "of all\r\n"
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch {
		case e.User == "alice" && e.Method == "none":
			if e.Banner != s.UserAuthBanner || e.Conn.UserAuthBanner() != s.UserAuthBanner {
				t.Errorf("preset with %q", e.Banner)
			}
		case e.User == "bob" && e.Method == "none":
			e.Banner = "for bob\r\n"
		case e.User == "carol" && e.Method == "none":
			e.Banner = ""
		case e.User == "dave" && e.Method == "none":
			if _, err := s.Config("UserAuthBanner[" + e.ConnectionID() + "]=for dave"); err != nil || e.Conn.UserAuthBanner() != "for dave" {
				t.Error(err)
			}
		default:
			if e.Banner != "" {
				t.Errorf("%s %s: preset with %q", e.User, e.Method, e.Banner)
			}
			e.Banner = "welcome " + e.User + "\r\n"
			e.Accept = true
		}
	})
	s.Connected = func(e *sftpserver.ConnectedEvent) {
		if err := e.Conn.SetUserAuthBanner("too early"); err == nil {
			t.Error("a banner outside of the event is no error")
		}
	}
	start(t, s)
	for user, want := range map[string][]string{
		"alice": {"of all\r\n", "welcome alice\r\n"},
		"bob":   {"for bob\r\n", "welcome bob\r\n"},
		"carol": {"welcome carol\r\n"},
		"dave":  {"for dave", "welcome dave\r\n"},
	} {
		banners, _, err := login(t, s, user, ssh2.Password("x"))
		if err != nil {
			t.Error(err)
		}
		expect(t, "banners of "+user, banners, want...)
	}
}

// TestUserAuthMaxAttempts: the number of refusals ends the connection; the opening "none" and keys that are
// welcome are no refusals.
func TestUserAuthMaxAttempts(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	s := sftpserver.New()
	s.MaxAuthAttempts = 2
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Method == "publickey" && e.Param == string(key.PublicKey().Marshal())
	})
	start(t, s)
	offer := func(k gossh.Signer) wire.Layouter {
		return &msg.PublicKeyFields{Algorithm: "ssh-ed25519", Key: k.PublicKey().Marshal()}
	}
	p := rawClient(t, s)
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	for range 20 {
		p.request("alice", "ssh-connection", "publickey", offer(key))
		p.want("pkok")
	}
	p.request("alice", "ssh-connection", "publickey", offer(other))
	p.want("failure publickey,password")
	p.password("alice", "x")
	p.want("disconnect 14")
}

// TestUserAuthError1300: the Error event and Disconnected tell of a client that could not be authenticated,
// and of no other.
func TestUserAuthError1300(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.MaxAuthAttempts = 2
	r := recordAuth(s, accept)
	ended := make(chan *sftpserver.DisconnectedEvent, 10)
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) { ended <- e }
	start(t, s)
	for name, f := range map[string]func(){
		"too many": func() {
			p := rawClient(t, s)
			p.password("alice", "x")
			p.want("failure publickey,password")
			p.password("alice", "x")
			p.want("disconnect 14")
		},
		"gives up": func() { _, _, _ = login(t, s, "alice", ssh2.Password("x")) },
		"no event": func() { _, _, _ = login(t, s, "alice", ssh2.Password("")) },
	} {
		f()
		e := <-ended
		r.mu.Lock()
		errs := r.errs
		r.errs = nil
		r.mu.Unlock()
		if len(errs) != 1 || sftpserver.ErrorCode(errs[0]) != 1300 || e.StatusCode != 1300 || !strings.Contains(e.Description, `"alice"`) {
			t.Errorf("%s: %v, then %d %s", name, errs, e.StatusCode, e.Description)
		}
		if e.Conn.Connected() {
			t.Errorf("%s: still connected", name)
		}
	}
	for name, f := range map[string]func(){
		"logs in":  func() { _, _, _ = login(t, s, "alice", ssh2.Password("secret")) },
		"asks":     func() { _, _, _ = login(t, s, "alice") },
		"no ident": func() { nc := dialTCP(t, s); _ = nc.Close() },
	} {
		f()
		if e := <-ended; e.StatusCode == 1300 {
			t.Errorf("%s: %+v", name, e)
		}
		if len(r.errs) != 0 {
			t.Errorf("%s: %v", name, r.errs)
		}
	}
}

// TestCVE_2_9_EmptyUserAndPassword: they fail before any event.
func TestCVE_2_9_EmptyUserAndPassword(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method != "none" })
	s.MaxAuthAttempts = 20
	start(t, s)
	p := rawClient(t, s)
	for _, u := range []string{"", "a\x00b", "a\nb", "\xff"} {
		p.password(u, "x")
		p.want("failure publickey,password")
	}
	for _, pw := range []string{"", "\x00", "a\x00b", strings.Repeat("x", 1025)} {
		p.password("alice", pw)
		p.want("failure publickey,password")
	}
	p.request("alice", "ssh-userauth", "password", &msg.PasswordFields{Password: []byte("x")})
	p.want("failure publickey,password")
	expect(t, "events", r.take())
}

// TestCVE_13_3_PanicInUserAuth: it refuses and ends its own connection, and no other.
func TestCVE_13_3_PanicInUserAuth(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	s.FireAuthRequestAfterSig = true
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "?"}}
	s.AuthMethods = []string{"password", "publickey", "keyboard-interactive"}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Method != "none"
		if e.Method == e.User {
			panic("a mistake in the handler")
		}
	})
	start(t, s)
	other := connect(t, s)
	for _, user := range []string{"none", "password", "publickey", "sigstatus", "keyboard-interactive-1", "keyboard-interactive"} {
		var auth ssh2.AuthMethod = answers(nil, "x")
		switch user {
		case "password":
			auth = ssh2.Password("x")
		case "publickey", "sigstatus":
			auth = ssh2.PublicKeys(newKey(t))
		}
		if _, _, err := login(t, s, user, auth); err == nil {
			t.Errorf("%s: let in", user)
		}
		if _, err := other.RealPath(t.Context(), "."); err != nil {
			t.Errorf("%s: the other connection: %v", user, err)
		}
	}
	_ = other.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	panics := 0
	for _, err := range r.errs {
		if _, ok := errors.AsType[*sftpserver.PanicError](err); ok {
			panics++
		}
	}
	if panics != 6 {
		t.Errorf("told of %v", r.errs)
	}
}

// TestSSHVersionPattern: "*" stands for any text, one pattern of the list must match the whole ident.
func TestSSHVersionPattern(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		patterns []string
		version  string
		ok       bool
	}{
		{nil, "Any_1", true},
		{sftpserver.DefaultClientVersionPatterns, "Any_1", true},
		{[]string{"*SSH-1.99-*", "*SSH-2.99-*"}, "Any_1", false},
		{[]string{"*OpenSSH_*", "*PuTTY*"}, "OpenSSH_9.9", true},
		{[]string{"*OpenSSH_*", "*PuTTY*"}, "PuTTY_Release", true},
		{[]string{"*OpenSSH_*", "*PuTTY*"}, "AsyncSSH_2", false},
		{[]string{"SSH-2.0-Any"}, "Any_1", false},
		{[]string{"Any*"}, "Any_1", false},
		{[]string{"SSH-2.0-Any.1"}, "Any_1", false},
		{[]string{"SSH-2.0-Any_1"}, "Any_1", true},
	} {
		s := sftpserver.New()
		s.ClientVersionPatterns = tt.patterns
		start(t, s)
		c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			Config: ssh2.Config{Version: tt.version},
			User:   "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if (err == nil) != tt.ok {
			t.Errorf("%q for %s: %v", tt.patterns, tt.version, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
	s := sftpserver.New()
	s.ClientVersionPatterns = []string{""}
	s.HostKeys = []gossh.Signer{newKey(t)}
	if err := s.Start(t.Context()); err == nil {
		t.Error("started with an empty pattern")
	}
}

// TestClientSSHVersionString: it can be read in the authentication event and later.
func TestClientSSHVersionString(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	var mu sync.Mutex
	var seen []string
	see := func(ident string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, ident)
	}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		got, err := s.Config("ClientSSHVersionString[" + e.ConnectionID() + "]")
		if err != nil || got != e.Conn.ClientVersion() {
			t.Errorf("%q, %v", got, err)
		}
		see(got)
		accept(e)
	})
	s.Connected = func(e *sftpserver.ConnectedEvent) { see(e.Conn.ClientVersion()) }
	start(t, s)
	c := dial(t, s)
	want := c.Info().LocalIdent
	mu.Lock()
	defer mu.Unlock()
	expect(t, "idents", seen, "", want, want)
	expect(t, "events", r.take(), "none", "password secret")
	for conn := range s.Connections() {
		if conn.ClientVersion() != want {
			t.Errorf("%q", conn.ClientVersion())
		}
	}
}

// TestDisconnectBeforeLogin: the client is told, and it is no failed login.
func TestDisconnectBeforeLogin(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		e.Accept = true // too late
		if err := s.Disconnect(e.ConnectionID()); err != nil {
			t.Error(err)
		}
	})
	ended := make(chan *sftpserver.DisconnectedEvent, 2)
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) { ended <- e }
	start(t, s)
	p := rawClient(t, s)
	p.password("alice", "x")
	p.want("disconnect 11")
	p = rawClient(t, s)
	for c := range s.Connections() {
		if c.Connected() {
			_ = c.Disconnect()
		}
	}
	p.want("disconnect 11")
	for range 2 {
		if e := <-ended; e.Conn.Connected() || e.StatusCode == 1300 {
			t.Errorf("%+v", e)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) != 0 {
		t.Errorf("told of %v", r.errs)
	}
}

// A raw client says what it likes while it authenticates.
type raw struct {
	t  testing.TB
	c  *transport.Conn
	nc net.Conn
}

func dialTCP(tb testing.TB, s *sftpserver.Server) net.Conn {
	tb.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return nc
}

// rawClient has keys exchanged and asked for ssh-userauth.
func rawClient(tb testing.TB, s *sftpserver.Server) *raw {
	tb.Helper()
	p := &raw{t: tb, nc: dialTCP(tb, s)}
	p.c = transport.New(p.nc, &transport.Config{
		Role: msg.Client, Version: "SSH-2.0-raw", Kex: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"},
		Ciphers: []string{"aes128-gcm@openssh.com"},
		HostKey: func(context.Context, string, gossh.PublicKey) error { return nil },
	})
	if err := p.c.Handshake(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.c.Close(); p.c.ReleaseReader() })
	p.send(&msg.ServiceRequest{Service: "ssh-userauth"})
	p.want("accept")
	return p
}

func (p *raw) send(m msg.Message) {
	p.t.Helper()
	if err := p.c.SendMessage(m); err != nil {
		p.t.Fatal(err)
	}
}

func (p *raw) request(user, service, method string, fields wire.Layouter) {
	p.t.Helper()
	r := &msg.UserauthRequest{User: user, Service: service, Method: method}
	if fields != nil {
		r.Fields = wire.Append(nil, fields)
	}
	p.send(r)
}

func (p *raw) password(user, pw string) {
	p.t.Helper()
	p.request(user, "ssh-connection", "password", &msg.PasswordFields{Password: []byte(pw)})
}

// want reads one answer, banners apart.
func (p *raw) want(want string) {
	p.t.Helper()
	if got := p.next(); got != want {
		p.t.Fatalf("answer %q, want %q", got, want)
	}
}

func (p *raw) next() string {
	b, err := p.c.Next()
	var d *transport.DisconnectError
	switch {
	case errors.As(err, &d):
		return fmt.Sprint("disconnect ", d.Reason)
	case errors.Is(err, io.EOF):
		return "end"
	case err != nil:
		return err.Error()
	}
	switch b[0] {
	case msg.NumUserauthBanner:
		return p.next()
	case msg.NumServiceAccept:
		return "accept"
	case msg.NumUserauthSuccess:
		return "success"
	case msg.NumUserauthFailure:
		var m msg.UserauthFailure
		if err := msg.Decode(b, &m); err != nil {
			return err.Error()
		}
		if m.Partial {
			return "partial " + strings.Join(m.Methods, ",")
		}
		return "failure " + strings.Join(m.Methods, ",")
	case 60:
		var q msg.InfoRequest
		if msg.Decode(b, &q) == nil && len(q.Prompts) > 0 {
			var texts []string
			for _, prompt := range q.Prompts {
				texts = append(texts, prompt.Text)
			}
			return "ask " + strings.Join(texts, ",")
		}
		return "pkok"
	}
	return msg.Name(b[0])
}

// signed is a publickey request with a signature by s.
func (p *raw) signed(user string, s gossh.Signer) {
	p.t.Helper()
	blob := s.PublicKey().Marshal()
	var b []byte
	b = wire.AppendBytes(b, p.c.SessionID())
	b = append(b, msg.NumUserauthRequest)
	b = wire.AppendString(b, user)
	b = wire.AppendString(b, "ssh-connection")
	b = wire.AppendString(b, "publickey")
	b = append(b, 1)
	b = wire.AppendString(b, "ssh-ed25519")
	b = wire.AppendBytes(b, blob)
	sig, err := s.Sign(bytes.NewReader(nil), b)
	if err != nil {
		p.t.Fatal(err)
	}
	p.request(user, "ssh-connection", "publickey", &msg.PublicKeyFields{Signed: true, Algorithm: "ssh-ed25519", Key: blob, Signature: gossh.Marshal(sig)})
}
