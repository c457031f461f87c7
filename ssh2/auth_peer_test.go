package ssh2

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// scriptConn is an authConn whose peer says what was written beforehand and
// whose own words are kept. Like a transport it ends after a violation or
// DISCONNECT, and hands out buffers that the next message overwrites.
type scriptConn struct {
	in     [][]byte
	out    []string
	phase  msg.Phase
	buf    []byte
	before func(n int) // called before the n-th message is handed out
	n      int

	mu    sync.Mutex
	ended error
	gone  chan struct{} // closed when ended
}

// end ends the connection for good.
func (c *scriptConn) end(err error, said string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.ended = err
	if said != "" {
		c.out = append(c.out, said)
	}
	close(c.gone)
}

func (c *scriptConn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

var testSession = []byte("session identifier of 32 octets.")

func (c *scriptConn) Next() ([]byte, error) {
	if c.before != nil {
		c.before(c.n)
	}
	c.n++
	clear(c.buf)
	if err := c.err(); err != nil {
		return nil, err
	}
	if len(c.in) == 0 {
		return nil, io.EOF
	}
	c.buf = append(c.buf[:0], c.in[0]...)
	c.in = c.in[1:]
	return c.buf, nil
}

func (c *scriptConn) PostMessage(m msg.Message) error {
	if err := c.err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, printMessage(msg.Append(nil, m)))
	return nil
}

func (c *scriptConn) SetPhase(p msg.Phase) { c.phase = p }
func (c *scriptConn) SessionID() []byte    { return testSession }

func (c *scriptConn) Violation(format string, a ...any) error {
	c.end(fmt.Errorf("violation: "+format, a...), "violation")
	return c.err()
}

func (c *scriptConn) Disconnect(reason uint32, text string) error {
	c.end(errors.New("disconnected: "+text), fmt.Sprintf("disconnect %d", reason))
	return nil
}

// printMessage is short for what a test expects.
func printMessage(p []byte) string {
	switch p[0] {
	case msg.NumServiceAccept:
		return "accept"
	case msg.NumUserauthSuccess:
		return "success"
	case msg.NumUserauthFailure:
		var m msg.UserauthFailure
		if err := msg.Decode(p, &m); err != nil {
			return err.Error()
		}
		if m.Partial {
			return "partial " + strings.Join(m.Methods, ",")
		}
		return "failure " + strings.Join(m.Methods, ",")
	case msg.NumUserauthBanner:
		var m msg.UserauthBanner
		if err := msg.Decode(p, &m); err != nil {
			return err.Error()
		}
		return "banner " + m.Text
	case 60:
		// Which 60 it is depends on the method; the questions of the tests
		// have a name, keys start with the algorithm, and so on.
		var q msg.InfoRequest
		if msg.Decode(p, &q) == nil && len(q.Prompts) > 0 {
			return "ask " + q.Prompts[0].Text
		}
		var k msg.UserauthPKOK
		if msg.Decode(p, &k) == nil && findKeyAlg(k.Algorithm) != nil {
			return "pkok"
		}
		var g msg.GSSResponse
		if msg.Decode(p, &g) == nil && checkMechanism(g.Mechanism) == nil {
			return "mechanism"
		}
		var c msg.PasswdChangereq
		if msg.Decode(p, &c) == nil {
			return "change " + c.Prompt
		}
		return "60?"
	}
	return msg.Name(p[0])
}

// authRun is one server's run against a script.
type authRun struct {
	auth   ServerAuth
	remote net.Addr
	log    *slog.Logger
	ctx    context.Context
	before func(n int)
	keyex  GSSContext // of the first key exchange

	conn *scriptConn
	res  *authResult
	err  error
}

// run plays the messages, after a SERVICE_REQUEST, and returns the answers,
// without that to the SERVICE_REQUEST.
func (l *authRun) run(t testing.TB, in ...[]byte) []string {
	t.Helper()
	in = append([][]byte{msg.Append(nil, &msg.ServiceRequest{Service: "ssh-userauth"})}, in...)
	out := l.raw(t, in...)
	if len(out) == 0 || out[0] != "accept" {
		t.Fatalf("no SERVICE_ACCEPT: %q", out)
	}
	return out[1:]
}

// raw plays the messages and holds what is true of every run.
func (l *authRun) raw(t testing.TB, in ...[]byte) []string {
	t.Helper()
	orDefault(&l.auth.MinFailureDelay, -1)
	if l.ctx == nil {
		l.ctx = t.Context()
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.remote == nil {
		l.remote = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}
	}
	l.conn = &scriptConn{in: in, before: l.before, gone: make(chan struct{})}
	s, err := newAuthServer(&l.auth, l.conn, ConnMeta{RemoteAddr: l.remote, SessionID: testSession}, l.log, 0, Modern)
	if err != nil {
		t.Fatal(err)
	}
	if l.keyex != nil {
		s.keyex, s.keyexOID = l.keyex, fakeOID
	}
	l.res, l.err = s.run(l.ctx)
	success := slices.Contains(l.conn.out, "success")
	if success != (l.res != nil) || success != (l.err == nil) || success != (l.conn.phase == msg.Open) {
		t.Fatalf("half a success: sent %q, result %v, error %v, phase %v", l.conn.out, l.res, l.err, l.conn.phase)
	}
	return l.conn.out
}

// expectAuth compares answers.
func expectAuth(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("answers %q\nwant    %q", got, want)
	}
}

// Requests.

func authRequest(user, service, method string, fields wire.Layouter) []byte {
	r := msg.UserauthRequest{User: user, Service: service, Method: method}
	if fields != nil {
		r.Fields = wire.Append(nil, fields)
	}
	return msg.Append(nil, &r)
}

func reqNone(user string) []byte { return authRequest(user, serviceConnection, MethodNone, nil) }

func reqPassword(user, pw string) []byte {
	return authRequest(user, serviceConnection, MethodPassword, &msg.PasswordFields{Password: []byte(pw)})
}

func reqChange(user, old, pw string) []byte {
	return authRequest(user, serviceConnection, MethodPassword, &msg.PasswordFields{Change: true, Password: []byte(old), New: []byte(pw)})
}

func reqInteractive(user string) []byte {
	return authRequest(user, serviceConnection, MethodInteractive, &msg.InteractiveFields{})
}

func infoAnswer(a ...string) []byte {
	var r msg.InfoResponse
	for _, s := range a {
		r.Answers = append(r.Answers, []byte(s))
	}
	return msg.Append(nil, &r)
}

func reqQuery(user, algorithm string, blob []byte) []byte {
	return authRequest(user, serviceConnection, MethodPublicKey, &msg.PublicKeyFields{Algorithm: algorithm, Key: blob})
}

func reqSig(user, algorithm string, blob, sig []byte) []byte {
	return authRequest(user, serviceConnection, MethodPublicKey, &msg.PublicKeyFields{Signed: true, Algorithm: algorithm, Key: blob, Signature: sig})
}

// reqSigned is a request signed as it should be.
func reqSigned(t testing.TB, user string, s gossh.Signer) []byte {
	t.Helper()
	row := rowOf(s)
	blob := s.PublicKey().Marshal()
	sig, err := sign(s, row, signedData(testSession, user, serviceConnection, row.Name, blob))
	if err != nil {
		t.Fatal(err)
	}
	return reqSig(user, row.Name, blob, sig)
}

// rowOf is the first algorithm for a key.
func rowOf(s gossh.Signer) *keyAlg {
	i := slices.IndexFunc(keyAlgs, func(k keyAlg) bool { return k.blob == s.PublicKey().Type() })
	return &keyAlgs[i]
}

// Keys.

func edKey(name string) gossh.Signer {
	seed := sha256.Sum256([]byte(name))
	return signerOf(ed25519.NewKeyFromSeed(seed[:]))
}

func signerOf(k crypto.Signer) gossh.Signer { return must(gossh.NewSignerFromSigner(k)) }

var (
	rsaPrivate = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaKey     = sync.OnceValue(func() gossh.Signer { return signerOf(rsaPrivate()) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func decodeFields(p []byte, m wire.Layouter) error { return wire.Decode(p, m) }

func newRSA(bits int) gossh.Signer { return signerOf(must(rsa.GenerateKey(rand.Reader, bits))) }

func ecKey(c elliptic.Curve) gossh.Signer { return signerOf(must(ecdsa.GenerateKey(c, rand.Reader))) }

// skKey is a security key in software, with the flags that a test wants.
type skKey struct {
	key   ed25519.PrivateKey
	flags byte
}

func newSK(flags byte) *skKey {
	seed := sha256.Sum256([]byte("security key"))
	return &skKey{ed25519.NewKeyFromSeed(seed[:]), flags}
}

func (k *skKey) PublicKey() gossh.PublicKey {
	b := wire.AppendString(nil, gossh.KeyAlgoSKED25519)
	b = wire.AppendBytes(b, k.key.Public().(ed25519.PublicKey))
	b = wire.AppendString(b, "ssh:")
	return must(gossh.ParsePublicKey(b))
}

func (k *skKey) Sign(_ io.Reader, data []byte) (*gossh.Signature, error) {
	app, sum := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := []byte{k.flags, 0, 0, 0, 9}
	m := slices.Concat(app[:], rest, sum[:])
	return &gossh.Signature{Format: gossh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.key, m), Rest: rest}, nil
}

// certify returns a signer with a certificate for alice by ca; change may spoil
// the certificate before it is signed.
func certify(t testing.TB, key, ca gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
	t.Helper()
	c := &gossh.Certificate{
		Key:             key.PublicKey(),
		CertType:        gossh.UserCert,
		KeyId:           "test",
		ValidPrincipals: []string{"alice"},
		ValidBefore:     gossh.CertTimeInfinity,
	}
	c.CriticalOptions, c.Extensions = map[string]string{}, map[string]string{}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := gossh.NewCertSigner(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Handlers.

// passwords accepts user -> password.
func passwords(m map[string]string) func(context.Context, *AuthAttempt, string) Verdict {
	return func(_ context.Context, a *AuthAttempt, pw string) Verdict {
		return Verdict{OK: CheckPassword(m[a.User], pw), Identity: "password of " + a.User}
	}
}

// keysOf accepts any of the keys for any user, with the key as identity.
func keysOf(keys ...gossh.Signer) func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict {
	return func(_ context.Context, a *AuthAttempt, k gossh.PublicKey) Verdict {
		return Verdict{OK: slices.ContainsFunc(keys, func(s gossh.Signer) bool {
			return bytes.Equal(s.PublicKey().Marshal(), k.Marshal())
		}), Identity: "key " + gossh.FingerprintSHA256(k)}
	}
}

// code asks for one code.
func code(want string) func(context.Context, *AuthAttempt, Asker) Verdict {
	return func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
		a, err := ask(ctx, &Challenge{Name: "code", Prompts: []Prompt{{Text: "Code: "}}})
		return Verdict{OK: err == nil && CheckPassword(want, a[0]), Identity: "code", Reason: err}
	}
}
