package sftpserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"runtime"
	"slices"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

func signer(tb testing.TB, key any, err error) gossh.Signer {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := gossh.NewSignerFromKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func rsaKey(tb testing.TB) gossh.Signer {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return signer(tb, key, err)
}

func ecKey(tb testing.TB) gossh.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return signer(tb, key, err)
}

// home is what a connection says of its user.
type home struct {
	dir, root string
	restrict  bool
}

// homes has s tell what holds for each session that is opened.
func homes(s *sftpserver.Server) <-chan home {
	told := make(chan home, 10)
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		told <- home{e.Conn.HomeDir(), e.Conn.UserRootDirectory(), e.Conn.RestrictUserToHomeDir()}
	}
	return told
}

// TestUserAuthHomeDir: what the event says of directories holds after login, and is forgotten with the connection.
func TestUserAuthHomeDir(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		if accept(e); !e.Accept {
			return
		}
		switch e.User {
		case "fields":
			e.HomeDir, e.RootDirectory, e.RestrictToHomeDir = "/home/fields", "/srv/fields", true
		case "methods":
			e.HomeDir = "home/./methods/"
			if e.Conn.SetUserRootDirectory("/srv/methods") != nil || e.Conn.SetRestrictUserToHomeDir(true) != nil {
				t.Error("cannot be set")
			}
			if e.Conn.UserRootDirectory() != "/srv/methods" || !e.Conn.RestrictUserToHomeDir() {
				t.Error("was not set")
			}
		case "both":
			_ = e.Conn.SetUserRootDirectory("/srv/methods")
			e.RootDirectory = "/srv/fields" // is read last
		}
	})
	told := homes(s)
	start(t, s)
	for _, tt := range []struct {
		user string
		want home
	}{
		{"fields", home{"/home/fields", "/srv/fields", true}},
		{"methods", home{"/home/methods", "/srv/methods", true}},
		{"both", home{"/", "/srv/fields", false}},
		{"none", home{"/", "", false}}, // nothing has stuck
	} {
		if _, _, err := login(t, s, tt.user, ssh2.Password("secret")); err != nil {
			t.Fatal(err)
		}
		if got := <-told; got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.user, got, tt.want)
		}
	}

	s = sftpserver.New()
	s.RestrictUserToHomeDir = true
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		if !e.RestrictToHomeDir && e.Method == "none" {
			t.Error("not preset")
		}
		accept(e)
		e.RestrictToHomeDir = e.User != "free"
	})
	told = homes(s)
	start(t, s)
	for user, want := range map[string]bool{"alice": true, "free": false} {
		if _, _, err := login(t, s, user, ssh2.Password("secret")); err != nil {
			t.Fatal(err)
		}
		if got := <-told; got.restrict != want {
			t.Errorf("%s: %+v", user, got)
		}
	}
}

// TestUserRootDirectoryOutsideOfEvents: before the first request it holds for whoever logs in, after login nothing
// can be changed.
func TestUserRootDirectoryOutsideOfEvents(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		if e.RootDirectory != "/srv/early" {
			t.Errorf("%s: preset with %q", e.User, e.RootDirectory)
		}
		accept(e)
	})
	s.Connected = func(e *sftpserver.ConnectedEvent) { _ = e.Conn.SetUserRootDirectory("/srv/early") }
	start(t, s)
	p := rawClient(t, s)
	p.request("bob", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	p.password("alice", "secret")
	p.want("success")
	p.send(&msg.ChannelOpen{Type: "session", Window: 1 << 20, MaxPacket: 1 << 15})
	_ = p.next() // it is in
	for c := range s.Connections() {
		if err := c.SetUserRootDirectory("/srv/late"); err == nil || c.UserRootDirectory() != "/srv/early" {
			t.Errorf("%v, root %q", err, c.UserRootDirectory())
		}
	}
}

// TestCVE_2_1_HomeOfTheProvenKey: what was said of a key that was only shown, or of a password that was wrong, does
// not hold for whom another key lets in.
func TestCVE_2_1_HomeOfTheProvenKey(t *testing.T) {
	t.Parallel()
	victim, own := newKey(t), newKey(t)
	s := sftpserver.New()
	recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch {
		case e.Method == "publickey" && e.Param == string(victim.PublicKey().Marshal()):
			e.Accept, e.HomeDir, e.RootDirectory = true, "/home/victim", "/srv/victim"
		case e.Method == "publickey":
			if e.HomeDir != "/begin" || e.RootDirectory != "" {
				t.Errorf("finds %q, %q", e.HomeDir, e.RootDirectory)
			}
			e.Accept = true
		case e.Method == "password":
			e.RootDirectory = "/srv/wrong"
		case e.Method == "none":
			e.HomeDir = "/begin" // which everybody can have
		}
	})
	told := homes(s)
	start(t, s)
	p := rawClient(t, s)
	p.request("git", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	p.request("git", "ssh-connection", "publickey", &msg.PublicKeyFields{Algorithm: "ssh-ed25519", Key: victim.PublicKey().Marshal()})
	p.want("pkok")
	p.signed("git", forger{own, victim.PublicKey()})
	p.want("failure publickey,password")
	p.password("git", "x")
	p.want("failure publickey,password")
	p.signed("git", own)
	p.want("success")
	_ = p.c.Close()
	if got := <-told; got != (home{"/begin", "", false}) {
		t.Errorf("%+v", got)
	}
}

// TestCVE_2_3_HomeOfAnotherUser: factors, methods, prompts and directories are forgotten when the user or the service
// changes.
func TestCVE_2_3_HomeOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.MaxAuthAttempts = 20
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "of all"}}
	r := recordAuth(s, func(e *sftpserver.UserAuthEvent) {
		switch e.Method {
		case "password":
			if e.User == "alice" {
				e.PartialSuccess, e.AvailableMethods = true, []string{"keyboard-interactive"}
				e.HomeDir, e.RootDirectory, e.RestrictToHomeDir = "/home/alice", "/srv/alice", true
				e.Prompts = []ssh2.Prompt{{Text: "alice's"}}
			} else {
				e.Accept = true
			}
		case "keyboard-interactive-1", "keyboard-interactive":
			e.Accept = true
		}
	})
	told := homes(s)
	start(t, s)
	fresh := func(what string) {
		t.Helper()
		if e := r.last(); len(e.Done) > 0 || e.HomeDir != "" || e.RootDirectory != "" || e.RestrictToHomeDir || e.Prompts != nil ||
			!slices.Equal(e.AvailableMethods, []string{"password", "publickey"}) {
			t.Errorf("%s: %+v", what, e)
		}
	}
	p := rawClient(t, s)
	p.password("alice", "x")
	p.want("partial keyboard-interactive")
	p.request("bob", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	fresh("bob")
	p.request("alice", "ssh-connection", "keyboard-interactive", &msg.InteractiveFields{})
	p.want("failure publickey,password") // which is not among the methods any more
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	fresh("alice again")
	p.password("alice", "x")
	p.want("partial keyboard-interactive")
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure keyboard-interactive")
	if e := r.last(); !slices.Equal(e.Done, []string{"password"}) || e.HomeDir != "/home/alice" {
		t.Errorf("after a factor: %+v", e)
	}
	p.request("alice", "other", "none", nil) // without an event
	p.want("failure publickey,password")
	p.request("alice", "ssh-connection", "none", nil)
	p.want("failure publickey,password")
	fresh("after another service")
	p.password("alice", "x")
	p.want("partial keyboard-interactive")
	p.password("bob", "x")
	p.want("success")
	_ = p.c.Close()
	if got := <-told; got != (home{"/", "", false}) {
		t.Errorf("bob has %+v", got)
	}

	// What both factors say holds together.
	p = rawClient(t, s)
	p.password("alice", "x")
	p.want("partial keyboard-interactive")
	p.request("alice", "ssh-connection", "keyboard-interactive", &msg.InteractiveFields{})
	p.want("ask alice's")
	p.send(&msg.InfoResponse{Answers: [][]byte{nil}})
	p.want("success")
	if e := r.last(); e.HomeDir != "/home/alice" || e.RootDirectory != "/srv/alice" || !e.RestrictToHomeDir {
		t.Errorf("the second factor finds %+v", e)
	}
	_ = p.c.Close()
	if got := <-told; got != (home{"/home/alice", "/srv/alice", true}) {
		t.Errorf("alice has %+v", got)
	}
}

// TestCVE_2_26_UserNamesInPaths: a user's name does not lead out of where the handler put it.
func TestCVE_2_26_UserNamesInPaths(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*sftpserver.UserAuthEvent){
		"home":   func(e *sftpserver.UserAuthEvent) { e.HomeDir = "/home/" + e.User },
		"root":   func(e *sftpserver.UserAuthEvent) { e.RootDirectory = "/srv/" + e.User },
		"method": func(e *sftpserver.UserAuthEvent) { _ = e.Conn.SetUserRootDirectory("/srv/" + e.User) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sftpserver.New()
			r := recordAuth(s, func(e *sftpserver.UserAuthEvent) { accept(e); set(e) })
			told := homes(s)
			start(t, s)
			windows := runtime.GOOS == "windows"
			for user, ok := range map[string]bool{
				"alice.": !windows, "alice ": !windows, "alice:x": !windows, "CON": !windows, "nul.txt": !windows, // others there
				"alice": true, "a.b": true, "..a": true, "../root": false, "..": false, "a/b": false, "a/../../b": false,
				`..\root`: false, `dom\alice`: false, "/": false,
			} {
				p := rawClient(t, s)
				p.password(user, "secret")
				if got := p.next(); (got == "success") != ok {
					t.Errorf("user %q: %s", user, got)
				}
				_ = p.c.Close()
				<-told // and the Error event was before
				r.mu.Lock()
				if !ok && (len(r.errs) == 0 || sftpserver.ErrorCode(r.errs[0]) != sftpserver.CodeInvalidPath) {
					t.Errorf("user %q: told of %v", user, r.errs)
				}
				r.errs = nil
				r.mu.Unlock()
			}
		})
	}
	// A name with a slash is fine where nothing is made of it.
	s := sftpserver.New()
	recordAuth(s, func(e *sftpserver.UserAuthEvent) { accept(e); e.HomeDir = "/shared" })
	start(t, s)
	if _, _, err := login(t, s, `dom\alice`, ssh2.Password("secret")); err != nil {
		t.Error(err)
	}
}
