package sftpserver_test

import (
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

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
