package sftpserver_test

import (
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

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
