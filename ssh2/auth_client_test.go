package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// clientRun is one client's run against a script of a server's messages.
type clientRun struct {
	methods []AuthMethod
	algs    []string
	listed  []string // server-sig-algs, nil if the server sent none
	banner  func(text, language string)
	keyex   GSSContext
	choose  func(context.Context, *AuthState) (AuthMethod, error)

	conn *clientConn
	got  []string
	err  error
}

// clientConn is a scriptConn that prints what a client sends.
type clientConn struct{ scriptConn }

func (c *clientConn) PostMessage(m msg.Message) error {
	if err := c.err(); err != nil {
		return err
	}
	text := msg.Name(m.Number())
	switch m := m.(type) {
	case *msg.ServiceRequest:
		text = "service " + m.Service
	case *msg.InfoResponse:
		text = fmt.Sprintf("answers %q", m.Answers)
	case *msg.UserauthRequest:
		text = m.User + " " + m.Method
		switch m.Method {
		case MethodPassword:
			var f msg.PasswordFields
			if err := decodeFields(m.Fields, &f); err != nil {
				return err
			}
			text += " " + string(f.Password)
			if f.Change {
				text += " to " + string(f.New)
			}
		case MethodPublicKey:
			var f msg.PublicKeyFields
			if err := decodeFields(m.Fields, &f); err != nil {
				return err
			}
			text += " " + f.Algorithm
			if f.Signed {
				text += " signed"
			}
		case MethodHostBased:
			var f msg.HostBasedFields
			if err := decodeFields(m.Fields, &f); err != nil {
				return err
			}
			text += " " + f.Algorithm + " " + f.User + "@" + f.Host
		}
	}
	c.out = append(c.out, text)
	return nil
}

// run plays the server's messages, after a SERVICE_ACCEPT, and returns what the
// client sent, without the SERVICE_REQUEST.
func (r *clientRun) run(t testing.TB, in ...[]byte) []string {
	t.Helper()
	out := r.raw(t, append([][]byte{msg.Append(nil, &msg.ServiceAccept{Service: serviceUserauth})}, in...)...)
	if out[0] != "service ssh-userauth" {
		t.Fatalf("sent %q", out)
	}
	return out[1:]
}

func (r *clientRun) raw(t testing.TB, in ...[]byte) []string {
	t.Helper()
	r.conn = &clientConn{scriptConn{in: in, gone: make(chan struct{})}}
	if r.algs == nil {
		r.algs = alg.Defaults(keyAlgs)
	}
	c := &authClient{
		t: r.conn, user: "alice", methods: r.methods, choose: r.choose, banner: r.banner, algs: r.algs,
		host: "server.example", keyex: r.keyex,
		sigAlgs: func() ([]string, bool) { return r.listed, r.listed != nil },
	}
	r.got, r.err = c.run(t.Context())
	if (r.err == nil) != (r.conn.phase == msg.Open) {
		t.Fatalf("error %v, phase %v", r.err, r.conn.phase)
	}
	return r.conn.out
}

func failure(methods ...string) []byte {
	return msg.Append(nil, &msg.UserauthFailure{Methods: methods})
}

func partial(methods ...string) []byte {
	return msg.Append(nil, &msg.UserauthFailure{Methods: methods, Partial: true})
}

func success() []byte { return msg.Append(nil, &msg.UserauthSuccess{}) }

func pkok(s gossh.Signer, algorithm string) []byte {
	return msg.Append(nil, &msg.UserauthPKOK{Algorithm: algorithm, Key: s.PublicKey().Marshal()})
}

func question(prompts ...string) []byte {
	m := msg.InfoRequest{Name: "n"}
	for _, p := range prompts {
		m.Prompts = append(m.Prompts, msg.Prompt{Text: p})
	}
	return msg.Append(nil, &m)
}

func TestClientPassword(t *testing.T) {
	r := clientRun{methods: []AuthMethod{Password("pw")}}
	expectAuth(t, r.run(t, failure("publickey", "password"), success()), "alice none", "alice password pw")
	if r.err != nil || !slices.Equal(r.got, []string{"password"}) {
		t.Errorf("%v, %v", r.got, r.err)
	}
	expectAuth(t, r.run(t, failure("publickey")), "alice none", "disconnect 14")
	expectAuth(t, r.run(t, failure("password"), failure("password")), "alice none", "alice password pw", "disconnect 14")
	var ae *AuthError
	if !errors.As(r.err, &ae) || !slices.Equal(ae.Tried, []string{"none", "password"}) || !slices.Equal(ae.Remaining, []string{"password"}) {
		t.Errorf("%v", r.err)
	}
}

func TestClientPasswordFunc(t *testing.T) { // RFC 4252 section 8
	var prompts []PasswordPrompt
	ask := func(_ context.Context, p *PasswordPrompt) (string, error) {
		prompts = append(prompts, *p)
		return fmt.Sprint("pw", len(prompts)), nil
	}
	r := clientRun{methods: []AuthMethod{PasswordFunc(ask)}}
	change := msg.Append(nil, &msg.PasswdChangereq{Prompt: "expired"})
	expectAuth(t, r.run(t, failure("password"), failure("password"), change, change, success()),
		"alice none", "alice password pw1", "alice password pw2", "alice password pw2 to pw3", "alice password pw2 to pw4")
	want := []PasswordPrompt{{User: "alice", Try: 1}, {User: "alice", Try: 2}, {User: "alice", Try: 2, Change: true, Text: "expired"}, {User: "alice", Try: 2, Change: true, Text: "expired"}}
	if !slices.Equal(prompts, want) {
		t.Errorf("%+v", prompts)
	}
	f := failure("password")
	expectAuth(t, r.run(t, f, f, f, f, f), "alice none", "alice password pw5", "alice password pw6", "alice password pw7", "disconnect 14")

	// A fixed password is not changed.
	r.methods = []AuthMethod{Password("pw")}
	expectAuth(t, r.run(t, f, change), "alice none", "alice password pw", "disconnect 14")
	if r.err == nil || !strings.Contains(r.err.Error(), "expired") {
		t.Errorf("%v", r.err)
	}
}

func TestClientPublicKeys(t *testing.T) { // RFC 4252 section 7
	k1, k2 := edKey("1"), edKey("2")
	r := clientRun{methods: []AuthMethod{PublicKeys(k1, k2)}}
	f := failure("publickey")
	expectAuth(t, r.run(t, f, f, pkok(k2, "ssh-ed25519"), success()),
		"alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed")
	if r.err != nil {
		t.Error(r.err)
	}
	// A server that wants no more keys is not offered any.
	expectAuth(t, r.run(t, f, failure("password")), "alice none", "alice publickey ssh-ed25519", "disconnect 14")
	// A key that was not offered is not signed with.
	expectAuth(t, r.run(t, f, pkok(k2, "ssh-ed25519")), "alice none", "alice publickey ssh-ed25519", "violation")
}

func TestClientServerSigAlgs(t *testing.T) { // RFC 8308 section 3.1, RFC 8332
	key := rsaKey()
	ca := edKey("ca")
	limited, err := gossh.NewSignerWithAlgorithms(key.(gossh.AlgorithmSigner), []string{"rsa-sha2-256"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		key    gossh.Signer
		listed []string
		algs   []string
		want   string // algorithm, "" for none
	}{
		{"no list", key, nil, nil, "rsa-sha2-512"},
		{"both", key, []string{"rsa-sha2-256", "rsa-sha2-512"}, nil, "rsa-sha2-512"},
		{"256 only", key, []string{"ssh-rsa", "rsa-sha2-256"}, nil, "rsa-sha2-256"},
		{"ssh-rsa only", key, []string{"ssh-rsa"}, nil, "rsa-sha2-512"},
		{"empty list", key, []string{""}, nil, "rsa-sha2-512"},
		{"limited signer", limited, []string{"rsa-sha2-512"}, nil, "rsa-sha2-256"},
		{"ssh-rsa allowed", key, []string{"ssh-rsa"}, []string{"rsa-sha2-512", "ssh-rsa"}, "ssh-rsa"},
		{"signer of SHA-1", sha1Signer{key}, nil, nil, ""},
		{"signer of SHA-1 allowed", sha1Signer{key}, nil, []string{"ssh-rsa"}, "ssh-rsa"},
		{"certificate", certify(t, key, ca, nil), []string{"rsa-sha2-256"}, nil, "rsa-sha2-256-cert-v01@openssh.com"},
		{"certificate by name", certify(t, key, ca, nil), []string{"rsa-sha2-256-cert-v01@openssh.com"}, nil, "rsa-sha2-256-cert-v01@openssh.com"},
		{"ed25519", edKey("k"), []string{"x"}, nil, "ssh-ed25519"},
		{"security key", newSK(skUserPresent), nil, nil, "sk-ssh-ed25519@openssh.com"},
	} {
		r := clientRun{methods: []AuthMethod{PublicKeys(tt.key)}, listed: tt.listed, algs: tt.algs}
		want := []string{"alice none", "alice publickey " + tt.want, "alice publickey " + tt.want + " signed"}
		if tt.want == "" {
			want = []string{"alice none", "disconnect 14"}
		}
		if out := r.run(t, failure("publickey"), pkok(tt.key, tt.want), success()); !slices.Equal(out, want) {
			t.Errorf("%s: %q, %v", tt.name, out, r.err)
		}
	}
}

// faultySigner fails in the way a test wants.
type faultySigner struct {
	gossh.Signer
	fault func(*gossh.Signature) (*gossh.Signature, error)
}

func (s faultySigner) Sign(r io.Reader, data []byte) (*gossh.Signature, error) {
	sig, err := s.Signer.Sign(r, data)
	if err != nil {
		return nil, err
	}
	return s.fault(sig)
}

func TestCVE_2_11_FaultySigners(t *testing.T) { // and 3.9
	for name, fault := range map[string]func(*gossh.Signature) (*gossh.Signature, error){
		"error":   func(*gossh.Signature) (*gossh.Signature, error) { return nil, errors.New("token removed") },
		"nothing": func(*gossh.Signature) (*gossh.Signature, error) { return nil, nil },
		"format":  func(s *gossh.Signature) (*gossh.Signature, error) { s.Format = "ssh-rsa"; return s, nil },
		"bits":    func(s *gossh.Signature) (*gossh.Signature, error) { s.Blob[3] ^= 1; return s, nil },
	} {
		bad, good := faultySigner{edKey("bad"), fault}, edKey("good")
		r := clientRun{methods: []AuthMethod{PublicKeys(bad, good)}}
		out := r.run(t, failure("publickey"), pkok(bad, "ssh-ed25519"), pkok(good, "ssh-ed25519"), success())
		want := []string{"alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed"}
		if !slices.Equal(out, want) || r.err != nil {
			t.Errorf("%s: %q, %v", name, out, r.err)
		}
	}
}

// weakSigner signs with SHA-1 when asked for something better.
type weakSigner struct{ gossh.AlgorithmSigner }

func (s weakSigner) SignWithAlgorithm(r io.Reader, data []byte, _ string) (*gossh.Signature, error) {
	return s.AlgorithmSigner.SignWithAlgorithm(r, data, gossh.KeyAlgoRSA)
}

func TestCVE_2_17_ClientSendsWhatItAnnounced(t *testing.T) {
	key := rsaKey()
	r := clientRun{methods: []AuthMethod{PublicKeys(weakSigner{key.(gossh.AlgorithmSigner)})}}
	expectAuth(t, r.run(t, failure("publickey"), pkok(key, "rsa-sha2-512"), success()), "alice none", "alice publickey rsa-sha2-512", "disconnect 14")
}

func TestClientInteractive(t *testing.T) { // RFC 4256
	rounds := 0
	r := clientRun{methods: []AuthMethod{Interactive(func(_ context.Context, c *Challenge) ([]string, error) {
		rounds++
		var a []string
		for i := range c.Prompts {
			a = append(a, fmt.Sprint(rounds, i))
		}
		return a, nil
	})}}
	k := MethodInteractive
	expectAuth(t, r.run(t, failure(k), question("a", "b"), question(), msg.Append(nil, &msg.InfoRequest{}), question("c"), success()),
		"alice none", "alice "+k, `answers ["1 0" "1 1"]`, `answers []`, `answers []`, `answers ["3 0"]`)
	if r.err != nil || rounds != 3 {
		t.Errorf("%d rounds, %v", rounds, r.err)
	}
	// Wrong number of answers: nothing is sent, the next method is tried.
	r.methods = []AuthMethod{Interactive(func(context.Context, *Challenge) ([]string, error) { return []string{"1", "2"}, nil }), Password("pw")}
	expectAuth(t, r.run(t, failure(k, "password"), question("a"), success()), "alice none", "alice "+k, "alice password pw")
}

func TestClientPartialSuccess(t *testing.T) { // RFC 4252 section 5.1
	key := edKey("k")
	r := clientRun{methods: []AuthMethod{Password("pw"), PublicKeys(key)}}
	expectAuth(t, r.run(t, failure("publickey", "password"), failure("publickey", "password"), pkok(key, "ssh-ed25519"), partial("password"), success()),
		"alice none", "alice password pw", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed", "alice password pw")
	if !slices.Equal(r.got, []string{"publickey", "password"}) {
		t.Errorf("%v, %v", r.got, r.err)
	}
	// Two keys: the one that was taken is not offered again.
	k2 := edKey("2")
	r.methods = []AuthMethod{PublicKeys(key, k2)}
	expectAuth(t, r.run(t, failure("publickey"), pkok(key, "ssh-ed25519"), partial("publickey"), pkok(k2, "ssh-ed25519"), success()),
		"alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed")
	if !slices.Equal(r.got, []string{"publickey", "publickey"}) {
		t.Errorf("%v, %v", r.got, r.err)
	}
}

func TestClientDirect(t *testing.T) {
	r := clientRun{methods: []AuthMethod{Direct(Password("pw"))}}
	expectAuth(t, r.run(t, success()), "alice password pw")
	key := edKey("k")
	r.methods = []AuthMethod{Direct(PublicKeys(key)), Password("pw")}
	expectAuth(t, r.run(t, failure("password"), success()), "alice publickey ssh-ed25519", "alice password pw")
}

func TestClientBanner(t *testing.T) { // RFC 4252 section 5.4
	var banners []string
	r := clientRun{methods: []AuthMethod{Password("pw")}, banner: func(s, _ string) { banners = append(banners, s) }}
	b := msg.Append(nil, &msg.UserauthBanner{Text: "hello\x1b\r\n"})
	expectAuth(t, r.run(t, b, failure("password"), b, success()), "alice none", "alice password pw")
	if !slices.Equal(banners, []string{"hello\x1b\r\n", "hello\x1b\r\n"}) { // raw: cves 9.7
		t.Errorf("%q", banners)
	}
	expectAuth(t, r.run(t, slices.Repeat([][]byte{b}, 1000)...), "alice none", "violation")
	// Cut at each octet, and without language tag (cves 6.7).
	for n := 1; n < len(b); n++ {
		out := r.run(t, b[:n], failure("password"), success())
		if noTag := n == len(b)-4; noTag != (r.err == nil) {
			t.Errorf("cut to %d of %d: %q, %v", n, len(b), out, r.err)
		}
	}
}

func TestCVE_1_3_ClientOutOfOrder(t *testing.T) {
	accept := msg.Append(nil, &msg.ServiceAccept{Service: serviceUserauth})
	key := edKey("k")
	pw := []AuthMethod{Password("pw"), PublicKeys(key)}
	// Instead of SERVICE_ACCEPT: nothing of authentication leaves.
	for _, p := range [][]byte{success(), failure("password"), pkok(key, "ssh-ed25519"), msg.Append(nil, &msg.UserauthBanner{}), msg.Append(nil, &msg.ServiceAccept{Service: "x"}), {}} {
		r := clientRun{methods: pw}
		expectAuth(t, r.raw(t, p, accept, failure("password"), success()), "service ssh-userauth", "violation")
	}
	// Later: what does not answer the request.
	for _, p := range [][]byte{accept, pkok(key, "ssh-ed25519"), question("a"), msg.Append(nil, &msg.InfoResponse{}), reqNone("alice"), msg.Append(nil, &msg.ChannelOpen{}), {52, 0}, {51}, {}} {
		r := clientRun{methods: pw}
		expectAuth(t, r.run(t, p, success()), "alice none", "violation")
		r = clientRun{methods: []AuthMethod{PublicKeys(key)}}
		expectAuth(t, r.run(t, failure("publickey"), pkok(key, "ssh-ed25519"), p), "alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed", "violation")
	}
	// The password is no answer to a question that came in its place.
	r := clientRun{methods: pw}
	expectAuth(t, r.run(t, failure("password"), msg.Append(nil, &msg.UserauthPKOK{Algorithm: "x", Key: []byte{0xFF}})), "alice none", "alice password pw", "disconnect 14")
}

func TestCVE_2_10_TrivialAuthentication(t *testing.T) {
	key := edKey("k")
	yes := func(_ context.Context, c *Challenge) ([]string, error) { return make([]string, len(c.Prompts)), nil }
	for _, tt := range []struct {
		name    string
		methods []AuthMethod
		in      [][]byte
		ok      bool
	}{
		{"none", []AuthMethod{PublicKeys(key)}, [][]byte{success()}, false},
		{"none, agreed", []AuthMethod{PublicKeys(key), None()}, [][]byte{success()}, true},
		{"none, nothing else to try", nil, [][]byte{success()}, true},
		{"no signature", []AuthMethod{PublicKeys(key)}, [][]byte{failure("publickey"), success()}, false},
		{"signature", []AuthMethod{PublicKeys(key)}, [][]byte{failure("publickey"), pkok(key, "ssh-ed25519"), success()}, true},
		{"no question", []AuthMethod{Interactive(yes)}, [][]byte{failure(MethodInteractive), success()}, false},
		{"questions without prompts", []AuthMethod{Interactive(yes)}, [][]byte{failure(MethodInteractive), question(), question(), success()}, false},
		{"question", []AuthMethod{Interactive(yes)}, [][]byte{failure(MethodInteractive), question("a"), success()}, true},
		{"password", []AuthMethod{Password("pw")}, [][]byte{failure("password"), success()}, true},
	} {
		r := clientRun{methods: tt.methods}
		out := r.run(t, tt.in...)
		if (r.err == nil) != tt.ok || tt.ok && len(r.got) != 1 {
			t.Errorf("%s: sent %q, methods %v, %v", tt.name, out, r.got, r.err)
		}
	}
}

func TestCVE_4_5_ClientQuestionCounts(t *testing.T) {
	r := clientRun{methods: []AuthMethod{Interactive(func(context.Context, *Challenge) ([]string, error) {
		t.Error("asked")
		return nil, nil
	})}}
	for _, n := range []uint32{1<<32 - 1, 33, 1} {
		p := msg.Append(nil, &msg.InfoRequest{})
		p[len(p)-4], p[len(p)-3], p[len(p)-2], p[len(p)-1] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		expectAuth(t, r.run(t, failure(MethodInteractive), p), "alice none", "alice keyboard-interactive", "violation")
	}
}

func TestCVE_4_11_EndlessServers(t *testing.T) {
	keys := make([]gossh.Signer, 300)
	for i := range keys {
		keys[i] = edKey(fmt.Sprint(i))
	}
	yes := func(_ context.Context, c *Challenge) ([]string, error) { return make([]string, len(c.Prompts)), nil }
	change := msg.Append(nil, &msg.PasswdChangereq{})
	newPassword := PasswordFunc(func(context.Context, *PasswordPrompt) (string, error) { return "pw", nil })
	all := []string{"none", "publickey", "password", "keyboard-interactive"}
	for name, tt := range map[string]struct {
		methods []AuthMethod
		answer  []byte
	}{
		"failure":          {[]AuthMethod{PublicKeys(keys...)}, failure(all...)},
		"partial keys":     {[]AuthMethod{PublicKeys(keys...)}, partial(all...)},
		"partial password": {[]AuthMethod{Password("pw")}, partial(all...)},
		"partial none":     {[]AuthMethod{None()}, partial(all...)},
		"partial all":      {[]AuthMethod{None(), Interactive(yes), Password("pw"), PublicKeys(keys...)}, partial(all...)},
		"change":           {[]AuthMethod{Direct(newPassword)}, change},
		"questions":        {[]AuthMethod{Direct(Interactive(yes))}, question("a")},
		"empty questions":  {[]AuthMethod{Direct(Interactive(yes))}, question()},
	} {
		r := clientRun{methods: tt.methods}
		out := r.run(t, slices.Repeat([][]byte{tt.answer}, 1000)...)
		if n := len(out); n > maxAuthRounds+1 || out[n-1] != "disconnect 14" {
			t.Errorf("%s: %d messages, the last %q", name, n, out[n-1])
		}
		if _, ok := errors.AsType[*AuthError](r.err); !ok {
			t.Errorf("%s: %v", name, r.err)
		}
	}
}

// pairConn is one end of an authConn in memory.
type pairConn struct {
	in    <-chan []byte
	out   chan<- []byte
	phase msg.Phase
	once  *sync.Once
	gone  chan struct{}
}

func newPair() (client, server *pairConn) {
	a, b, gone, once := make(chan []byte, 1024), make(chan []byte, 1024), make(chan struct{}), new(sync.Once)
	return &pairConn{in: a, out: b, gone: gone, once: once}, &pairConn{in: b, out: a, gone: gone, once: once}
}

func (c *pairConn) Next() ([]byte, error) {
	select {
	case p := <-c.in:
		return p, nil
	default:
	}
	select {
	case p := <-c.in:
		return p, nil
	case <-c.gone:
		return nil, io.EOF
	}
}

func (c *pairConn) PostMessage(m msg.Message) error { c.out <- msg.Append(nil, m); return nil }
func (c *pairConn) SetPhase(p msg.Phase)            { c.phase = p }
func (c *pairConn) SessionID() []byte               { return testSession }

func (c *pairConn) Violation(format string, a ...any) error {
	c.once.Do(func() { close(c.gone) })
	return fmt.Errorf(format, a...)
}

func (c *pairConn) Disconnect(uint32, string) error {
	c.once.Do(func() { close(c.gone) })
	return nil
}

// together lets a client log in to a server, both ours.
func together(t *testing.T, auth ServerAuth, listed []string, methods ...AuthMethod) (res *authResult, done []string, clientErr error) {
	t.Helper()
	orDefault(&auth.MinFailureDelay, -1)
	cc, sc := newPair()
	s, err := newAuthServer(&auth, sc, ConnMeta{RemoteAddr: pipeAddr{}}, (&Config{}).logger(), 0, Modern)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { res, _ = s.run(t.Context()) })
	c := &authClient{t: cc, user: "alice", methods: methods, algs: alg.Defaults(keyAlgs), sigAlgs: func() ([]string, bool) { return listed, listed != nil }}
	done, clientErr = c.run(t.Context())
	wg.Wait()
	if (res != nil) != (clientErr == nil) || cc.phase != sc.phase {
		t.Fatalf("server %+v, client %v", res, clientErr)
	}
	return res, done, clientErr
}

func TestAuthBothEnds(t *testing.T) {
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: rsaPrivate()}); err != nil {
		t.Fatal(err)
	}
	listed := strings.Split(string(must(sigAlgs(&ServerAuth{}, Modern))), ",")
	ask := Interactive(func(context.Context, *Challenge) ([]string, error) { return []string{"42"}, nil })
	mfa := ServerAuth{
		PublicKey: keysOf(rsaKey(), edKey("k")), Password: alicePassword, Interactive: code("42"),
		Require: func(string) [][]string { return [][]string{{"publickey", "password", "keyboard-interactive"}} },
	}
	for _, methods := range [][]AuthMethod{
		{Agent(ring), Password("secret"), ask},
		{Password("secret"), ask, PublicKeys(edKey("wrong"), edKey("k"))},
		{ask, Direct(Agent(ring)), Password("secret")},
		{Direct(ask), PublicKeys(edKey("k")), Password("secret")},
	} {
		res, done, err := together(t, mfa, listed, methods...)
		if err != nil || !slices.Equal(done, res.Methods) || len(done) != 3 {
			t.Errorf("%v, %+v, %v", done, res, err)
		}
	}
	for name, key := range allKeys(t) {
		res, _, err := together(t, ServerAuth{PublicKey: anyKey, UserCAs: &UserCAs{Authority: anyCA}}, listed, PublicKeys(key))
		if err != nil || res.User != "alice" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := together(t, mfa, nil, PublicKeys(edKey("k")), Password("secret")); err == nil {
		t.Error("two of three factors are enough")
	} else if ae := new(AuthError); !errors.As(err, &ae) || !slices.Equal(ae.Done, []string{"publickey", "password"}) || !slices.Equal(ae.Remaining, []string{MethodInteractive}) {
		t.Errorf("%v", err)
	}
}

// An agent that is not there is one method less, not the end.
func TestClientAgentFails(t *testing.T) {
	broken := agent.NewClient(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(nil), io.Discard})
	res, done, err := together(t, ServerAuth{PublicKey: anyKey, Password: alicePassword}, nil, Agent(broken), Password("secret"))
	if err != nil || res == nil || !slices.Equal(done, []string{"password"}) {
		t.Errorf("%v, %v", done, err)
	}
}
