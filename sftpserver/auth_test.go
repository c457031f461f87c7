package sftpserver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
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
