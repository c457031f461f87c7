package ssh2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// yesPolicy fails the test when it is asked.
func yesPolicy(t *testing.T) SessionPolicy {
	t.Helper()
	yes := func() bool { t.Error("the policy was asked"); return true }
	return SessionPolicy{
		Env:   func(context.Context, *ServerSession, string, string) bool { return yes() },
		PTY:   func(context.Context, *ServerSession, *PTY) bool { return yes() },
		X11:   func(context.Context, *ServerSession, *X11Request) bool { return yes() },
		Agent: func(context.Context, *ServerSession) bool { return yes() },
	}
}

// sessionAsks are requests that Limits may forbid.
func sessionAsks() map[string][]byte {
	return map[string][]byte{
		"pty-req":    wire.Append(nil, &msg.PtyReq{Term: "x"}),
		"x11-req":    wire.Append(nil, &msg.X11Req{Protocol: MITMagicCookie, Cookie: "00"}),
		agentRequest: nil,
	}
}

// TestSessionPolicy: each func decides on its requests, with the details, for
// what the settings do not allow everybody.
func TestSessionPolicy(t *testing.T) {
	leakCheck(t)
	var asked []string
	ask := func(allow bool, format string, args ...any) bool {
		asked = append(asked, fmt.Sprintf(format, args...))
		return allow
	}
	got := make(chan *ServerSession, 1)
	s := testServer(func(_ context.Context, s *ServerSession) {
		got <- s
		s.Exit(0)
	})
	for _, allow := range []bool{false, true} {
		s.AcceptEnv = []string{"LANG", "LC_*"}
		s.Policy = SessionPolicy{
			Env: func(_ context.Context, s *ServerSession, name, value string) bool {
				return ask(allow, "%s env %s=%s", s.User(), name, value)
			},
			PTY: func(_ context.Context, s *ServerSession, p *PTY) bool {
				return ask(allow, "%s pty %s %v", s.User(), p.Term, p.Modes)
			},
			X11:   func(_ context.Context, _ *ServerSession, x *X11Request) bool { return ask(allow, "x11 %x", x.Cookie) },
			Agent: func(_ context.Context, s *ServerSession) bool { return ask(allow, "agent, %d env", len(s.Env)) },
			Other: func(_ context.Context, s *ServerSession, r *Request) bool {
				return ask(allow, "%s %s %v", r.Name, r.Data, s.Kind)
			},
		}
		asked = nil
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		if err := p.ForwardAgent(testKeyring(t)); err != nil {
			t.Fatal(err)
		}
		sess, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sess.Env = []string{"LANG=C", "LC_ALL=de", "EDITOR=vi", "BAD NAME=x", "=x", "1=x"}
		verdicts := []error{sess.Channel().Request(t.Context(), "own@example.com", true, []byte("data"))}
		if allow {
			sess.PTY, sess.X11, sess.AgentForward = &PTY{Modes: TerminalModes{{ECHO, 0}}}, &X11{Cookie: []byte{1, 2}, Dial: testDisplay(nil)}, true
		} else {
			for name, data := range sessionAsks() {
				verdicts = append(verdicts, sess.Channel().Request(t.Context(), name, true, data))
			}
		}
		if err := sess.Run(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		ss := <-got
		want := []string{"own@example.com data none", "u env EDITOR=vi"}
		env := []string{"LANG=C", "LC_ALL=de"}
		if allow {
			want = append(want, "x11 0102", "agent, 3 env", "u pty vt100 ECHO=0")
			env = append(env, "EDITOR=vi")
		} else {
			want = append(want, "x11 00", "agent, 0 env", "u pty x ")
		}
		slices.Sort(asked)
		slices.Sort(want)
		if !slices.Equal(asked, want) {
			t.Errorf("allow %v: asked %q\nwant %q", allow, asked, want)
		}
		if !slices.Equal(ss.Env, env) || (ss.PTY != nil) != allow || (ss.X11 != nil) != allow || ss.AgentForward != allow {
			t.Errorf("allow %v: %v, %v, %v, %v", allow, ss.Env, ss.PTY, ss.X11, ss.AgentForward)
		}
		for _, err := range verdicts {
			var no *RequestError
			if (err == nil) != allow || err != nil && !errors.As(err, &no) {
				t.Errorf("allow %v: %v", allow, err)
			}
		}
		_ = p.close(t)
	}
	s.AllowPTY, s.AllowX11, s.AllowAgentForwarding = true, true, true
	s.Policy = yesPolicy(t) // which is not asked for what everybody may
	p := scriptClient(t, s)
	id := p.open(1)
	for name, data := range sessionAsks() {
		p.send(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true, Data: data})
		p.want(name, signal(msg.NumChannelSuccess, 1))
	}
	_ = p.close()
}

// TestCVE_11_10_EnvNames: patterns match names from their beginning, and only
// names that a shell can have.
func TestCVE_11_10_EnvNames(t *testing.T) {
	list := []string{"LANG", "LC_*", "*", "A*B"}
	for name, want := range map[string]bool{
		"LANG": true, "LC_ALL": true, "LC_": true,
		"LANGUAGE": false, "XLC_ALL": false, "LC": false, "PATH": false, "AxB": false, "": false,
	} {
		if got := matchEnv(list, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	for name, want := range map[string]bool{
		"A": true, "_": true, "a1_Z": true,
		"": false, "1A": false, "A=B": false, "A B": false, "LC_ALL=x\nPATH": false, "LC_\x00": false, "LC_é": false, "LC_-": false, "BASH_FUNC_x%%": false,
	} {
		if got := envName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestManyVariables: a burst of variables that want no answer gets through a
// policy that takes its time, and what follows waits for it.
func TestManyVariables(t *testing.T) {
	leakCheck(t)
	release := make(chan struct{})
	var env []string
	s := testServer(func(_ context.Context, s *ServerSession) {
		env = s.Env
		s.Exit(0)
	})
	s.Policy.Env = func(context.Context, *ServerSession, string, string) bool { <-release; return true }
	p := scriptClient(t, s)
	id := p.open(1)
	for i := range maxEnvNames + 10 {
		p.send(&msg.ChannelRequest{Recipient: id, Name: "env", Data: wire.Append(nil, &msg.Env{Name: fmt.Sprint("V", i), Value: "x"})})
	}
	p.send(&msg.ChannelRequest{Recipient: id, Name: "shell"}) // without an answer, and yet not before them
	p.alive()
	close(release)
	p.want("exit", &msg.ChannelRequest{Recipient: 1, Name: "exit-status", Data: make([]byte, 4)})
	_ = p.close()
	if len(env) != maxEnvNames || env[0] != "V0=x" || env[maxEnvNames-1] != fmt.Sprintf("V%d=x", maxEnvNames-1) {
		t.Errorf("%d variables: %v", len(env), env)
	}
}

// TestCVE_13_1_PoliciesKeepTheirRoom: closing a session while its policy thinks
// does not make room for another, and nothing is started in it afterwards.
func TestCVE_13_1_PoliciesKeepTheirRoom(t *testing.T) {
	leakCheck(t)
	release := make(chan struct{})
	var started atomic.Bool
	s := testServer(func(context.Context, *ServerSession) { started.Store(true) })
	s.MaxChannels = 3
	s.Policy.PTY = func(context.Context, *ServerSession, *PTY) bool { <-release; return true }
	p := scriptClient(t, s)
	for range 3 {
		id := p.open(1)
		p.send(&msg.ChannelRequest{Recipient: id, Name: "pty-req", WantReply: true, Data: wire.Append(nil, &msg.PtyReq{})}, exec(id, "x"))
		p.send(signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 1))
	}
	p.send(&msg.ChannelOpen{Type: "session", Sender: 8, Window: 1, MaxPacket: 1})
	p.want("refused", &msg.ChannelOpenFailure{Recipient: 8, Reason: uint32(OpenResourceShortage), Text: "too many channels"})
	close(release)
	if !eventually(func() bool {
		p.send(&msg.ChannelOpen{Type: "session", Sender: 8, Window: 1, MaxPacket: 1})
		return p.next()[0] == msg.NumChannelOpenOK
	}) {
		t.Error("no room afterwards")
	}
	_ = p.close()
	if started.Load() {
		t.Error("a closed session was started")
	}
}

// TestStrictEnv: a variable that the server refuses is an error if that matters.
func TestStrictEnv(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AcceptEnv = []string{"LANG"}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	for env, ok := range map[string]bool{"LANG=C": true, "PATH=/evil": false} {
		sess, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sess.Env, sess.StrictEnv = []string{env}, true
		var no *RequestError
		if err := sess.Run(t.Context(), "echo x"); (err == nil) != ok || err != nil && (!errors.As(err, &no) || !strings.Contains(err.Error(), "env")) {
			t.Errorf("%s: %v", env, err)
		}
	}
}
