package ssh2

import (
	"context"
	"crypto/elliptic"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

func TestClientAuthNext(t *testing.T) {
	var states []AuthState
	script := func(m ...AuthMethod) func(context.Context, *AuthState) (AuthMethod, error) {
		states = nil
		return func(_ context.Context, s *AuthState) (AuthMethod, error) {
			states = append(states, *s)
			if len(m) == 0 {
				return nil, nil //nolint:nilnil // says: no more
			}
			next := m[0]
			m = m[1:]
			return next, nil
		}
	}
	key := edKey("k")
	r := clientRun{choose: script(None(), PublicKeys(key), Password("wrong"), Password("right"))}
	out := r.run(t, failure("publickey"), pkok(key, "ssh-ed25519"), partial("password"), failure("password"), success())
	expectAuth(t, out, "alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed", "alice password wrong", "alice password right")
	if r.err != nil || !slices.Equal(r.got, []string{"publickey", "password"}) {
		t.Errorf("%v, %v", r.got, r.err)
	}
	for i, want := range []AuthState{
		{User: "alice"},
		{User: "alice", Allowed: []string{"publickey"}, Tried: []string{"none"}},
		{User: "alice", Allowed: []string{"password"}, Partial: true, Tried: []string{"none", "publickey"}, Done: []string{"publickey"}},
		{User: "alice", Allowed: []string{"password"}, Tried: []string{"none", "publickey", "password"}, Done: []string{"publickey"}},
	} {
		got := states[i]
		if got.User != want.User || !slices.Equal(got.Allowed, want.Allowed) || got.Partial != want.Partial ||
			!slices.Equal(got.Tried, want.Tried) || !slices.Equal(got.Done, want.Done) || got.Err != nil || (got.Allowed == nil) != (i == 0) {
			t.Errorf("call %d: %+v, want %+v", i, got, want)
		}
	}

	// Nothing is sent before the first choice, and nil ends it.
	r = clientRun{choose: script()}
	expectAuth(t, r.run(t), "disconnect 14")
	if ae, ok := errors.AsType[*AuthError](r.err); !ok || len(ae.Tried) != 0 {
		t.Error(r.err)
	}
	r = clientRun{choose: func(context.Context, *AuthState) (AuthMethod, error) { return nil, errTest }}
	expectAuth(t, r.run(t), "disconnect 14")
	if _, ok := errors.AsType[*AuthError](r.err); !ok || !errors.Is(r.err, errTest) {
		t.Error(r.err)
	}
	// What went wrong on our side is told.
	r = clientRun{choose: script(PublicKeysFunc(func(context.Context) ([]gossh.Signer, error) { return nil, errTest }), Password("p"))}
	expectAuth(t, r.run(t, success()), "alice password p")
	if r.err != nil || len(states) != 2 || !errors.Is(states[1].Err, errTest) {
		t.Errorf("%v, %+v", r.err, states)
	}
	// A server that lists nothing has been asked.
	r = clientRun{choose: script(None())}
	expectAuth(t, r.run(t, failure()), "alice none", "disconnect 14")
	if states[1].Allowed == nil {
		t.Error("an empty list looks like none")
	}
	// A chooser without end is cut off, also if nothing is sent meanwhile.
	for _, m := range []AuthMethod{PublicKeys(), Password("p")} {
		calls := 0
		r = clientRun{choose: func(context.Context, *AuthState) (AuthMethod, error) { calls++; return m, nil }}
		r.run(t, slices.Repeat([][]byte{failure("password")}, 1000)...)
		if _, ok := errors.AsType[*AuthError](r.err); !ok || calls > maxAuthRounds+1 {
			t.Errorf("%d calls, %v", calls, r.err)
		}
	}
	// cves 2.10: what the server grants without proof counts only if none was chosen.
	r = clientRun{choose: script(Interactive(func(context.Context, *Challenge) ([]string, error) { return nil, nil }))}
	expectAuth(t, r.run(t, success()), "alice keyboard-interactive", "disconnect 14")
	if r.err == nil {
		t.Error("let in without proof")
	}
	r = clientRun{choose: script(None())}
	r.run(t, success())
	if r.err != nil {
		t.Error(r.err)
	}
}

func TestClientAs(t *testing.T) {
	key := edKey("k")
	r := clientRun{methods: []AuthMethod{As("bob", Password("b")), Password("a")}}
	f := failure("password")
	expectAuth(t, r.run(t, f, f, success()), "alice none", "bob password b", "alice password a")
	// What bob achieved is not alice's.
	r = clientRun{methods: []AuthMethod{As("bob", PublicKeys(key)), PublicKeys(key)}}
	f = failure("publickey")
	out := r.run(t, f, pkok(key, "ssh-ed25519"), partial("publickey"), pkok(key, "ssh-ed25519"), f, pkok(key, "ssh-ed25519"), success())
	expectAuth(t, out, "alice none", "bob publickey ssh-ed25519", "bob publickey ssh-ed25519 signed",
		"alice publickey ssh-ed25519", "alice publickey ssh-ed25519 signed", "disconnect 14")
	r = clientRun{methods: []AuthMethod{As("", Password("b")), As("b\x00", Password("b"))}}
	expectAuth(t, r.run(t, failure("password")), "alice none", "disconnect 14")
	if r.err == nil || !strings.Contains(r.err.Error(), "empty user name") {
		t.Error(r.err)
	}

	leakCheck(t)
	s := testServer(nil)
	cfg := testClient()
	cfg.User, cfg.Auth = "nobody", []AuthMethod{Password("x"), As("u", Password("p"))}
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	if i := p.Info(); i.User != "u" {
		t.Errorf("logged in as %s", i.User)
	}
	_ = p.close(t)
}

// An RSA key that was refused is offered with the next algorithm, after all
// other keys (RFC 8332 section 3.3).
func TestClientNextAlgorithm(t *testing.T) {
	rsa, ed := rsaKey(), edKey("k")
	f := failure("publickey", "password")
	r := clientRun{methods: []AuthMethod{PublicKeys(rsa, ed)}}
	expectAuth(t, r.run(t, f, f, f, pkok(rsa, "rsa-sha2-256"), success()), "alice none", "alice publickey rsa-sha2-512",
		"alice publickey ssh-ed25519", "alice publickey rsa-sha2-256", "alice publickey rsa-sha2-256 signed")
	// SHA-1 only if it is allowed, and then last.
	expectAuth(t, r.run(t, f, f, f, f, f), "alice none", "alice publickey rsa-sha2-512", "alice publickey ssh-ed25519", "alice publickey rsa-sha2-256", "disconnect 14")
	r.algs = must(resolveKeyAlgs("+ssh-rsa", Modern))
	expectAuth(t, r.run(t, f, f, f, f, pkok(rsa, "ssh-rsa"), success()), "alice none", "alice publickey rsa-sha2-512",
		"alice publickey ssh-ed25519", "alice publickey rsa-sha2-256", "alice publickey ssh-rsa", "alice publickey ssh-rsa signed")
	// What the server lists is all that is tried.
	r = clientRun{methods: []AuthMethod{PublicKeys(rsa)}, listed: []string{"rsa-sha2-256"}}
	expectAuth(t, r.run(t, f, f), "alice none", "alice publickey rsa-sha2-256", "disconnect 14")
	// A refused signature is not made again: the key is known by then.
	r = clientRun{methods: []AuthMethod{PublicKeys(rsa)}}
	expectAuth(t, r.run(t, f, pkok(rsa, "rsa-sha2-512"), f), "alice none", "alice publickey rsa-sha2-512", "alice publickey rsa-sha2-512 signed", "disconnect 14")
	// Many keys leave the other methods a chance.
	r = clientRun{methods: []AuthMethod{PublicKeys(rsa, edKey("1"), edKey("2"), edKey("3")), Password("p")}}
	out := r.run(t, f, f, f, f, f, success())
	if len(out) != 6 || out[5] != "alice password p" {
		t.Errorf("%q", out)
	}
}

// OpenSSH 7.4 takes RSA with SHA-2 although its list does not say so: a client
// tries both algorithms there, and one for form's sake elsewhere.
func TestImpliesSHA2(t *testing.T) {
	for software, want := range map[string]int{"OpenSSH_7.4": 3, "OpenSSH_7.5": 2} {
		s := testServer(nil)
		s.Version = software
		s.Auth.PublicKeyAlgorithms = "ssh-ed25519"
		s.Auth.PublicKey = func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return Verdict{} }
		requests := 0
		s.PacketLog = func(e *PacketEvent) {
			if e.Number == msg.NumUserauthRequest && !e.Out {
				requests++
			}
		}
		cfg := testClient()
		cfg.Auth = []AuthMethod{PublicKeys(rsaKey())}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- s.ServeConn(context.Background(), b) }()
		if _, err := NewClient(context.Background(), a, "host:22", cfg); err == nil {
			t.Error("logged in")
		}
		<-end
		if requests != want {
			t.Errorf("%s: %d requests, want %d", software, requests, want)
		}
	}
}

func TestClientPublicKeyAlgorithms(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.Auth.PublicKeyAlgorithms = "+ssh-rsa,ssh-dss"
	var used string
	s.Auth.PublicKey = func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey) Verdict {
		used = a.Algorithm
		return Verdict{OK: true}
	}
	for _, tt := range []struct {
		list AlgList
		key  gossh.Signer
		want string
	}{
		{"", rsaKey(), "rsa-sha2-512"}, {"ssh-rsa", rsaKey(), "ssh-rsa"}, {"-rsa-sha2-512", rsaKey(), "rsa-sha2-256"}, {"+ssh-dss", dsaKey(), "ssh-dss"},
	} {
		cfg := testClient()
		cfg.PublicKeyAlgorithms, cfg.Auth = tt.list, []AuthMethod{PublicKeys(tt.key)}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		_ = p.close(t)
		if used != tt.want {
			t.Errorf("%q: %s", tt.list, used)
		}
	}
	// Both ends need to name what is broken.
	for _, tt := range []struct {
		server, client AlgList
		key            gossh.Signer
	}{{"", "ssh-rsa", rsaKey()}, {"", "+ssh-dss", dsaKey()}, {"+ssh-dss", "", dsaKey()}} {
		s := testServer(nil)
		s.Auth.PublicKey, s.Auth.PublicKeyAlgorithms = anyKey, tt.server
		cfg := testClient()
		cfg.Auth, cfg.PublicKeyAlgorithms = []AuthMethod{PublicKeys(tt.key)}, tt.client
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(context.Background(), b) }()
		if _, err := NewClient(t.Context(), a, "", cfg); !isAuthError(err) {
			t.Errorf("%q and %q: %v", tt.server, tt.client, err)
		}
		<-served
	}
}

func isAuthError(err error) bool { _, ok := errors.AsType[*AuthError](err); return ok }

func TestClientAuthConfig(t *testing.T) {
	next := func(context.Context, *AuthState) (AuthMethod, error) { return nil, nil } //nolint:nilnil // never called
	for setting, change := range map[string]func(*ClientConfig){
		"user":                  func(c *ClientConfig) { c.User = "" },
		"user ":                 func(c *ClientConfig) { c.User = strings.Repeat("u", MaxUserName+1) },
		"public key algorithms": func(c *ClientConfig) { c.PublicKeyAlgorithms = "rsa-sha512" },
		"auth":                  func(c *ClientConfig) { c.AuthNext = next },
		"host key":              func(c *ClientConfig) { c.HostKey = nil },
	} {
		cfg := testClient()
		change(cfg)
		a, b := net.Pipe()
		for _, err := range []error{
			second(Dial(t.Context(), "tcp", "192.0.2.1:1", cfg)), second(NewClient(t.Context(), a, "", cfg)),
		} {
			var ce *ConfigError
			if !errors.As(err, &ce) || ce.Setting != strings.TrimSpace(setting) {
				t.Errorf("%s: %v", setting, err)
			}
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: connection used: %v", setting, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestClientBannerLanguage(t *testing.T) { // RFC 4252 section 5.4
	var got []string
	r := clientRun{methods: []AuthMethod{Password("p")}, banner: func(text, language string) { got = append(got, text, language) }}
	r.run(t, msg.Append(nil, &msg.UserauthBanner{Text: "guten Tag", Language: "de"}), failure("password"), success())
	if !slices.Equal(got, []string{"guten Tag", "de"}) {
		t.Errorf("%q", got)
	}
}

// softAgent is an agent with keys of any type, behind the agent's protocol.
type softAgent struct {
	agent.Agent
	keys []gossh.Signer
	fail func(op string) error
}

func (a *softAgent) List() ([]*agent.Key, error) {
	if err := a.fail("list"); err != nil {
		return nil, err
	}
	var out []*agent.Key
	for _, k := range a.keys {
		out = append(out, &agent.Key{Format: k.PublicKey().Type(), Blob: k.PublicKey().Marshal()})
	}
	return out, nil
}

func (a *softAgent) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}

func (a *softAgent) Sign(key gossh.PublicKey, data []byte) (*gossh.Signature, error) {
	return a.SignWithFlags(key, data, 0)
}

func (a *softAgent) SignWithFlags(key gossh.PublicKey, data []byte, flags agent.SignatureFlags) (*gossh.Signature, error) {
	if err := a.fail("sign"); err != nil {
		return nil, err
	}
	for _, k := range a.keys {
		if string(k.PublicKey().Marshal()) != string(key.Marshal()) {
			continue
		}
		switch {
		case flags&agent.SignatureFlagRsaSha512 != 0:
			return k.(gossh.AlgorithmSigner).SignWithAlgorithm(nil, data, gossh.KeyAlgoRSASHA512)
		case flags&agent.SignatureFlagRsaSha256 != 0:
			return k.(gossh.AlgorithmSigner).SignWithAlgorithm(nil, data, gossh.KeyAlgoRSASHA256)
		}
		return k.Sign(nil, data)
	}
	return nil, errors.New("no such key")
}

// dialAgent serves a over a pipe and returns a client of it.
func dialAgent(t *testing.T, a *softAgent) agent.ExtendedAgent {
	t.Helper()
	if a.fail == nil {
		a.fail = func(string) error { return nil }
	}
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); _ = agent.ServeAgent(a, far) }()
	t.Cleanup(func() { _ = near.Close(); <-done })
	return agent.NewClient(near)
}

// Keys of every type log in through an agent, security keys among them, and a
// certificate is offered before the bare keys.
func TestAgentKeys(t *testing.T) {
	leakCheck(t)
	for name, key := range allKeys(t) {
		s := testServer(nil)
		s.Auth.PublicKey, s.Auth.UserCAs = anyKey, &UserCAs{Authority: anyCA}
		cfg := testClient()
		cfg.User, cfg.Auth = "alice", []AuthMethod{Agent(dialAgent(t, &softAgent{keys: []gossh.Signer{key}}))}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if !slices.Equal(p.Info().Methods, []string{"publickey"}) {
			t.Errorf("%s: %v", name, p.Info().Methods)
		}
		_ = p.close(t)
	}
	plain, certified := ecKey(elliptic.P256()), certify(t, edKey("k"), edKey("ca"), nil)
	r := clientRun{methods: []AuthMethod{Agent(dialAgent(t, &softAgent{keys: []gossh.Signer{plain, edKey("k"), certified}}))}}
	f := failure("publickey")
	expectAuth(t, r.run(t, f, f, f, f), "alice none", "alice publickey ssh-ed25519-cert-v01@openssh.com",
		"alice publickey ecdsa-sha2-nistp256", "alice publickey ssh-ed25519", "disconnect 14")
	// With its certificate accepted, the key is no second factor.
	r.methods = append(r.methods, Password("p"))
	out := r.run(t, f, pkok(certified, certified.PublicKey().Type()), partial("publickey", "password"), f, failure("password"), success())
	expectAuth(t, out, "alice none", "alice publickey ssh-ed25519-cert-v01@openssh.com", "alice publickey ssh-ed25519-cert-v01@openssh.com signed",
		"alice publickey ecdsa-sha2-nistp256", "disconnect 14")
}

// An agent that fails costs its own method, whenever it fails.
func TestAgentFailsMidway(t *testing.T) {
	key, other := edKey("k"), edKey("o")
	for _, op := range []string{"list", "sign"} {
		a := dialAgent(t, &softAgent{keys: []gossh.Signer{key, other}, fail: func(o string) error {
			if o == op {
				return errTest
			}
			return nil
		}})
		r := clientRun{methods: []AuthMethod{Agent(a), Password("p")}}
		f := failure("publickey", "password")
		in, want := [][]byte{f, success()}, []string{"alice none", "alice password p"}
		if op == "sign" {
			in = [][]byte{f, pkok(key, "ssh-ed25519"), pkok(other, "ssh-ed25519"), success()}
			want = []string{"alice none", "alice publickey ssh-ed25519", "alice publickey ssh-ed25519", "alice password p"}
		}
		expectAuth(t, r.run(t, in...), want...)
		if r.err != nil {
			t.Error(r.err)
		}
		// Without another method, the error says what it was.
		r.methods = r.methods[:1]
		r.run(t, in[:len(in)-1]...)
		ae, ok := errors.AsType[*AgentError](r.err)
		if !ok || !isAuthError(r.err) || !strings.HasPrefix(ae.Op, op) || errors.Unwrap(ae) == nil {
			t.Errorf("%s: %v", op, r.err)
		}
	}
}
