package ssh2

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// testKeyring is an agent with one key.
func testKeyring(t *testing.T) sshagent.Agent {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := sshagent.NewKeyring()
	if err := k.Add(sshagent.AddedKey{PrivateKey: key, Comment: "mine"}); err != nil {
		t.Fatal(err)
	}
	return k
}

// agentServer has sessions that hand themselves on and hang.
func agentServer(sessions chan<- *ServerSession) *Server {
	s := x11Server(sessions)
	s.AllowAgentForwarding = true
	return s
}

// startAgent starts a session that lends the agent and returns both ends.
func startAgent(t *testing.T, p *pair, sessions <-chan *ServerSession) (*Session, *ServerSession) {
	t.Helper()
	s, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.AgentForward = true
	if err := s.Start(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	return s, <-sessions
}

// useAgent signs something with the first key of an agent.
func useAgent(t *testing.T, a sshagent.Agent) {
	t.Helper()
	keys, err := a.List()
	if err != nil || len(keys) != 1 || keys[0].Comment != "mine" {
		t.Fatalf("keys %v, %v", keys, err)
	}
	data := []byte("to be signed")
	sig, err := a.Sign(keys[0], data)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := gossh.ParsePublicKey(keys[0].Blob); err != nil || key.Verify(data, sig) != nil {
		t.Errorf("signature: %v", err)
	}
}

// TestAgentForwarding: a server signs with the keys of the client's agent, in
// process and through the socket for its children, as long as the session lasts,
// and cannot change the agent.
func TestAgentForwarding(t *testing.T) {
	needUnixSockets(t)
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	keyring := testKeyring(t)
	if err := p.ForwardAgent(keyring); err != nil {
		t.Fatal(err)
	}
	if err := p.ForwardAgent(keyring); !errors.Is(err, errAgentTwice) {
		t.Errorf("second agent: %v", err)
	}
	sess, ss := startAgent(t, p, sessions)
	a, err := ss.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	useAgent(t, a)
	if err := a.RemoveAll(); err == nil {
		t.Error("the server removed the keys")
	}
	useAgent(t, a)
	_ = a.Close()
	if _, err := a.List(); err == nil {
		t.Error("closed agent answers")
	}
	l, err := ss.ListenAgent(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{l.Path(): 0o600 | os.ModeSocket, filepath.Dir(l.Path()): 0o700 | os.ModeDir} {
		if i, err := os.Stat(path); err != nil || i.Mode() != want {
			t.Errorf("%s: %v, %v", path, i, err)
		}
	}
	if env := l.Env(); len(env) != 1 || env[0] != "SSH_AUTH_SOCK="+l.Path() {
		t.Errorf("environment %q", env)
	}
	for range 3 {
		local, conn, err := agent.Dial(t.Context(), l.Path())
		if err != nil {
			t.Fatal(err)
		}
		useAgent(t, local)
		_ = conn.Close()
	}
	a, err = ss.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = sess.Close()
	<-l.done
	if _, err := os.Stat(filepath.Dir(l.Path())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory of the socket: %v", err)
	}
	<-a.ch.Context().Done()
	if _, err := a.List(); err == nil {
		t.Error("the agent answers after the session")
	}
	if _, err := ss.Agent(t.Context()); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("after the session: %v", err)
	}
	_ = l.Close()
}

// TestAgentForwardingToASocket: what the server sends goes to the agent as it is.
func TestAgentForwardingToASocket(t *testing.T) {
	needUnixSockets(t)
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	keyring := testKeyring(t)
	down := true
	if err := p.ForwardAgentTo(func(ctx context.Context) (io.ReadWriteCloser, error) {
		if down {
			return nil, errTest
		}
		a, b := net.Pipe()
		go func() { _ = agent.Serve(ctx, b, keyring, agent.Options{Manage: true}) }()
		return a, nil
	}); err != nil {
		t.Fatal(err)
	}
	_, ss := startAgent(t, p, sessions)
	var no *OpenError
	if _, err := ss.Agent(t.Context()); !errors.As(err, &no) || no.Reason != OpenConnectFailed {
		t.Errorf("agent out of reach: %v", err)
	}
	down = false
	a, err := ss.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	useAgent(t, a)
	if err := a.RemoveAll(); err != nil {
		t.Error(err)
	}
	if keys, err := keyring.List(); len(keys) != 0 {
		t.Errorf("%d keys are left, %v", len(keys), err)
	}
	_ = a.Close()
}

// TestCVE_11_1_AgentOnlyWhileAsked: agent channels are refused before a session
// asks, when the server refused, and when the session is over.
func TestCVE_11_1_AgentOnlyWhileAsked(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	s := agentServer(sessions)
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	refused := func(ss *ServerSession, when string) {
		t.Helper()
		var no *OpenError
		if _, err := ss.Conn().Open(t.Context(), agentChannel, nil, nil); !errors.As(err, &no) || no.Reason != OpenUnknownType {
			t.Errorf("%s: %v", when, err)
		}
	}
	start := func(lend bool) (*Session, *ServerSession, error) {
		t.Helper()
		sess, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sess.AgentForward = lend
		if err := sess.Start(t.Context(), "x"); err != nil {
			return nil, nil, err
		}
		return sess, <-sessions, nil
	}
	if _, _, err := start(true); !errors.Is(err, errNoAgent) {
		t.Errorf("without an agent: %v", err)
	}
	if p.ForwardAgent(nil) == nil || p.ForwardAgentTo(nil) == nil {
		t.Error("nil is an agent")
	}
	if err := p.ForwardAgent(testKeyring(t)); err != nil {
		t.Fatal(err)
	}
	_, plain, err := start(false)
	if err != nil {
		t.Fatal(err)
	}
	refused(plain, "before any session asked")
	if _, err := plain.Agent(t.Context()); !errors.Is(err, errNoAgentForward) {
		t.Errorf("Agent: %v", err)
	}
	if _, err := plain.ListenAgent(""); !errors.Is(err, errNoAgentForward) {
		t.Errorf("ListenAgent: %v", err)
	}
	s.AllowAgentForwarding = false
	var no *RequestError
	if _, _, err := start(true); !errors.As(err, &no) || no.Name != agentRequest {
		t.Errorf("refused: %v", err)
	}
	refused(plain, "after the server refused")
	s.AllowAgentForwarding = true
	first, ss, err := start(true)
	if err != nil {
		t.Fatal(err)
	}
	s.AllowAgentForwarding = false
	second, _, err := start(true) // as with sshd, which grants it once per connection
	if err != nil {
		t.Errorf("refused to the second session: %v", err)
	}
	_ = first.Close()
	<-ss.Context().Done()
	ch, err := ss.Conn().Open(t.Context(), agentChannel, nil, nil)
	if err != nil {
		t.Fatalf("while the second session lasts: %v", err)
	}
	_ = ch.Close()
	_ = second.Close()
	if !eventually(func() bool { return p.lent.opener(agentChannel) == nil }) {
		t.Error("lent for ever")
	}
	refused(plain, "after the sessions")
	if _, err := p.Open(t.Context(), agentChannel, nil, nil); err == nil {
		t.Error("a server takes agent channels")
	}
}

// TestCVE_6_9_FramesOfForwardedAgents: what a server sends instead of requests
// ends the agent channel, and what a client sends instead of answers is an error.
func TestCVE_6_9_FramesOfForwardedAgents(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	if err := p.ForwardAgent(testKeyring(t)); err != nil {
		t.Fatal(err)
	}
	_, ss := startAgent(t, p, sessions)
	for _, bad := range [][]byte{{0, 0, 0, 0}, {0xFF, 0xFF, 0xFF, 0xFF}, binary.BigEndian.AppendUint32(nil, agent.MaxRequest+1)} {
		ch, err := ss.OpenAgent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write(bad)
		if all, err := io.ReadAll(struct{ io.Reader }{ch}); len(all) != 0 || err != nil {
			t.Errorf("%x: %q, %v", bad, all, err)
		}
		_ = ch.Close()
	}
	for _, bad := range []string{"\x06", "", "\x0c", "\x0c\xff\xff\xff\xff", "\x0c\x00\x00\x00\x01\xff\xff\xff\xff"} {
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(bad))), bad...)
		p2 := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
		_ = p2.ForwardAgentTo(func(context.Context) (io.ReadWriteCloser, error) {
			a, b := net.Pipe()
			go func() {
				_, _ = io.ReadFull(b, make([]byte, 5))
				_, _ = b.Write(frame)
				_ = b.Close()
			}()
			return a, nil
		})
		_, ss := startAgent(t, p2, sessions)
		a, err := ss.Agent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := a.List(); err == nil {
			t.Errorf("%x: %v", frame, keys)
		}
		_ = p2.close(t)
	}
}

// TestCVE_11_3_LimitsForbidSessionRequests: what a user's Limits forbid is refused
// whatever the settings and policies of the server say.
func TestCVE_11_3_LimitsForbidSessionRequests(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AllowPTY, s.AllowX11, s.AllowAgentForwarding = true, true, true
	s.Policy = yesPolicy(t)
	s.Auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
		return Verdict{OK: true, Limits: Limits{NoPTY: true, NoX11Forwarding: true, NoAgentForwarding: true}}
	}
	p := scriptClient(t, s)
	id := p.open(1)
	for name, data := range sessionAsks() {
		p.send(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true, Data: data})
		p.want(name, signal(msg.NumChannelFailure, 1))
	}
	_ = p.close()
}

// TestAgentRequestIsEmpty: auth-agent-req has no data (OpenSSH PROTOCOL).
func TestAgentRequestIsEmpty(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AllowAgentForwarding = true
	p := scriptClient(t, s)
	id := p.open(1)
	for _, step := range []struct {
		data string
		want byte
	}{{"x", msg.NumChannelFailure}, {"", msg.NumChannelSuccess}, {"", msg.NumChannelFailure}} {
		p.send(&msg.ChannelRequest{Recipient: id, Name: agentRequest, WantReply: true, Data: []byte(step.data)})
		p.want("auth-agent-req "+step.data, signal(step.want, 1))
	}
	_ = p.close()
}

// TestSocketPathsTooLong: a directory in which no socket fits leaves nothing.
func TestSocketPathsTooLong(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, agentServer(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	if err := p.ForwardAgent(testKeyring(t)); err != nil {
		t.Fatal(err)
	}
	_, ss := startAgent(t, p, sessions)
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 150))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if l, err := ss.ListenAgent(dir); err == nil {
		t.Errorf("listens at %s", l.Path())
	}
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}
