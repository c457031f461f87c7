package sftpserver_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// typed answers prompts for passwords one after the other, and keeps the prompts.
func typed(asked *[]ssh2.PasswordPrompt, passwords ...string) ssh2.AuthMethod {
	return ssh2.PasswordFunc(func(_ context.Context, p *ssh2.PasswordPrompt) (string, error) {
		*asked = append(*asked, *p)
		if len(passwords) == 0 {
			return "", context.Canceled
		}
		next := passwords[0]
		passwords = passwords[1:]
		return next, nil
	})
}

// TestPasswordChange: the handler demands a new password, finds a bad one wanting, and lets in who gave a good one; the old
// one opens nothing by itself.
func TestPasswordChange(t *testing.T) { // RFC 4252 section 8
	t.Parallel()
	var mu sync.Mutex
	now, old := "spring", true
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		mu.Lock()
		defer mu.Unlock()
		switch right := ssh2.CheckPassword(now, e.Param); {
		case !right:
		case e.Method == "password":
			e.Accept = true
			if old {
				e.ChangePassword = &ssh2.ChangeRequest{Prompt: "Your password is a year old."}
			}
		case e.Method == sftpserver.MethodPasswordChange && len(e.NewPassword) < 6:
			e.ChangePassword = &ssh2.ChangeRequest{Prompt: "Too short."}
		case e.Method == sftpserver.MethodPasswordChange:
			now, old = e.NewPassword, false
			e.Accept = true
		}
	})
	start(t, s)
	// Who cannot choose another one stays out, although the password is right.
	if _, _, err := login(t, s, "alice", ssh2.Password("spring")); err == nil {
		t.Error("in by an old password")
	}
	r.take()
	var asked []ssh2.PasswordPrompt
	if _, _, err := login(t, s, "alice", typed(&asked, "spring", "short", "summer")); err != nil {
		t.Fatal(err)
	}
	expect(t, "prompts", asked, ssh2.PasswordPrompt{User: "alice", Try: 1},
		ssh2.PasswordPrompt{User: "alice", Try: 1, Change: true, Text: "Your password is a year old."}, ssh2.PasswordPrompt{User: "alice", Try: 1, Change: true, Text: "Too short."})
	if e := r.last(); e.NewPassword != "summer" || e.Param != "spring" {
		t.Errorf("%+v", e)
	}
	expect(t, "events", r.take(), "none", "password spring", "password-change spring", "password-change spring")
	for password, want := range map[string]bool{"spring": false, "summer": true} {
		if _, _, err := login(t, s, "alice", ssh2.Password(password)); (err == nil) != want {
			t.Errorf("%s: %v", password, err)
		}
	}
	// A wrong old one changes nothing, and is a failure like others.
	asked = nil
	mu.Lock()
	old = true
	mu.Unlock()
	r.take()
	if _, _, err := login(t, s, "alice", typed(&asked, "summer")); err == nil {
		t.Error("in without a new password")
	}
	expect(t, "events of who gave up", r.take(), "none", "password summer")
}

// TestPasswordChangeUnasked: a handler that knows nothing of changes takes none for a login; what it demands of other methods
// does not count; and with the factor goes what it said of the user.
func TestPasswordChangeUnasked(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		accept(e)
		if e.Method != "password" {
			e.ChangePassword = &ssh2.ChangeRequest{Prompt: "?"}
		}
	})
	start(t, s)
	p := rawClient(t, s)
	change := &msg.PasswordFields{Change: true, Password: []byte("secret"), New: []byte("other")}
	p.request("alice", "ssh-connection", "password", change)
	p.want("pkok") // a message 60, PASSWD_CHANGEREQ here
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	p.request("alice", "ssh-connection", "password", &msg.PasswordFields{Change: true, Password: []byte("secret"), New: nil})
	p.want("failure publickey,password")
	p.password("alice", "secret")
	p.want("success")
	expect(t, "events", r.take(), "password-change secret", "none", "password secret")

	plain := sftpserver.New()
	r = recordAuth(plain, accept)
	start(t, plain)
	p = rawClient(t, plain)
	p.request("alice", "ssh-connection", "password", change)
	if got := p.next(); !strings.HasPrefix(got, "failure") {
		t.Errorf("%s for a change that nobody made", got)
	}
	expect(t, "events", r.take(), "password-change secret")

	without := sftpserver.New()
	without.AuthMethods = []string{"publickey"}
	r = recordAuth(without, accept)
	start(t, without)
	p = rawClient(t, without)
	p.request("alice", "ssh-connection", "password", change)
	p.want("failure publickey")
	expect(t, "events without the method", r.take())
}

// TestEmbeddingRenewal runs the change of passwords of docs/embedding.md.
func TestEmbeddingRenewal(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := "spring"
	s := sftpserver.New()
	renewal(s, func(user, password string) (right, old bool) {
		mu.Lock()
		defer mu.Unlock()
		return user == "alice" && ssh2.CheckPassword(now, password), now == "spring"
	}, func(_, password string) error {
		mu.Lock()
		defer mu.Unlock()
		now = password
		return nil
	})
	start(t, s)
	var asked []ssh2.PasswordPrompt
	if _, _, err := login(t, s, "alice", typed(&asked, "spring", "summer", "summer of 2026")); err != nil {
		t.Error(err)
	}
	for password, want := range map[string]bool{"spring": false, "summer": false, "summer of 2026": true} {
		if _, _, err := login(t, s, "alice", ssh2.Password(password)); (err == nil) != want {
			t.Errorf("%s: %v", password, err)
		}
	}
}
