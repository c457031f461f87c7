package sftpserver_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// newKey makes a host key.
func newKey(tb testing.TB) gossh.Signer {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := gossh.NewSignerFromSigner(key)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// accept lets everybody in whose password is "secret".
func accept(e *sftpserver.UserAuthEvent) {
	e.Accept = e.Method == "password" && ssh2.CheckPassword("secret", e.Param)
}

// start starts s on the loopback interface with a host key and, unless there is one, a UserAuth handler. It is
// closed at the end of the test.
func start(tb testing.TB, s *sftpserver.Server) {
	tb.Helper()
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	if s.HostKeys == nil {
		s.HostKeys = []gossh.Signer{newKey(tb)}
	}
	if s.UserAuth == nil {
		s.UserAuth = accept
	}
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
}

// dial logs in to s as "alice".
func dial(tb testing.TB, s *sftpserver.Server) *ssh2.Client {
	tb.Helper()
	c, err := ssh2.Dial(tb.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// connect opens an SFTP session on s, at the highest version of both.
func connect(tb testing.TB, s *sftpserver.Server) *sftp.Client {
	tb.Helper()
	conn := dial(tb, s)
	ch, err := conn.Subsystem(tb.Context(), "sftp")
	if err != nil {
		tb.Fatal(err)
	}
	c, err := sftp.NewClient(tb.Context(), ch, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func TestServerRootDirectory(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	start(t, s)
	c := connect(t, s)
	want := []byte("content")
	if _, err := c.Put(t.Context(), "/file", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "file")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %q, %v", got, err)
	}
	f, err := c.Open(t.Context(), "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the client got %q, %v", got, err)
	}
}

func TestServerStartsAndStops(t *testing.T) {
	s := sftpserver.New()
	if err := s.Start(t.Context()); !errors.Is(err, sftpserver.ErrNoHostKey) {
		t.Errorf("start without a host key: %v", err)
	}
	s.RootDirectory = t.TempDir()
	start(t, s)
	if err := s.Start(t.Context()); !errors.Is(err, sftpserver.ErrAlreadyListening) {
		t.Errorf("second start: %v", err)
	}
	if err := s.Reset(); !errors.Is(err, sftpserver.ErrListening) {
		t.Errorf("reset while listening: %v", err)
	}
	c := connect(t, s)
	if err := s.StopListening(); err != nil {
		t.Fatal(err)
	}
	if s.Listening() {
		t.Error("listens after StopListening")
	}
	if _, err := c.RealPath(t.Context(), "."); err != nil {
		t.Errorf("the connection that was there: %v", err)
	}
	start(t, s)
	n := 0
	for conn := range s.Connections() {
		n++
		if conn.User() != "alice" || conn.RemoteHost() != "127.0.0.1" || !conn.Connected() {
			t.Errorf("connection %s: user %q from %s", conn.ID(), conn.User(), conn.RemoteHost())
		}
	}
	if n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil || s.LocalPort != 22 || s.RootDirectory != "" {
		t.Errorf("reset: %v; port %d, root %q", err, s.LocalPort, s.RootDirectory)
	}
}

// TestDoEvents: programs with a message loop keep it.
func TestDoEvents(t *testing.T) {
	s := sftpserver.New()
	s.DoEvents()
	s.RootDirectory = t.TempDir()
	start(t, s)
	c := connect(t, s)
	s.DoEvents()
	if _, err := c.RealPath(t.Context(), "."); err != nil {
		t.Error(err)
	}
}

// TestPrompts: SSHPrompt is ssh2.Prompt; what clients are shown has its text and echo.
func TestPrompts(t *testing.T) {
	s := sftpserver.New()
	s.AuthMethods = []string{"keyboard-interactive"}
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "Name: ", Echo: true}, {Text: "Code: "}}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method != "none" }
	start(t, s)
	var got []ssh2.Prompt
	c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", HostKey: gossh.InsecureIgnoreHostKey(),
		Auth: []ssh2.AuthMethod{ssh2.Interactive(func(_ context.Context, ch *ssh2.Challenge) ([]string, error) {
			got = append(got, ch.Prompts...)
			return make([]string, len(ch.Prompts)), nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !slices.Equal(got, s.KeyboardInteractivePrompts) {
		t.Errorf("the client was shown %+v", got)
	}
}

// TestMaxStartups: connections without a login are bounded apart from the others.
func TestMaxStartups(t *testing.T) {
	s := sftpserver.New()
	s.MaxStartups = 2
	s.RootDirectory = t.TempDir()
	codes := make(chan int, 100)
	s.Error = func(e *sftpserver.ErrorEvent) { codes <- e.Code }
	lines := make(chan string, 1000)
	s.Log = func(e *sftpserver.LogEvent) { lines <- e.Message }
	start(t, s)
	in := connect(t, s) // does not count
	refused := false
	for range 20 { // with two it is certain, with one a matter of chance
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Read(make([]byte, 1)); err != nil { // no ident
			refused = true
			break
		}
	}
	if !refused {
		t.Error("20 connections without a login were taken")
	} else if code := <-codes; code != 10053 { // as Disconnected has it
		t.Errorf("the error has the number %d", code)
	}
	if _, err := in.RealPath(t.Context(), "."); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for len(lines) > 0 {
		if line := <-lines; strings.HasPrefix(line, "connection refused") {
			t.Errorf("the refusal has a line of ssh2's besides: %q", line)
		}
	}
}

// TestSettingsOfLeftConnections: what is set between StopListening and the next Start is not for the connections
// that are still there.
func TestSettingsOfLeftConnections(t *testing.T) {
	old, next := t.TempDir(), t.TempDir()
	for _, dir := range []string{old, next} {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(dir), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := sftpserver.New()
	s.RootDirectory, s.DirListBufferSize = old, 7
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "One"}}
	s.FileOpen = func(*sftpserver.FileOpenEvent) {}
	start(t, s)
	conn := dial(t, s)
	if _, err := conn.Ping(t.Context()); err != nil { // the server knows of the login, too
		t.Fatal(err)
	}
	c, ok := s.Connection("1")
	if !ok {
		t.Fatal("no connection")
	}
	if err := s.StopListening(); err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	files, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	done := make(chan error, 1)
	go func() { // while requests of the connection are served
		for range 50 {
			if got, err := get(t, files, "/f", 1000); err != nil || got != old {
				done <- fmt.Errorf("%q, %w", got, err)
				return
			}
		}
		done <- nil
	}()
	for _, expr := range []string{"KeyboardInteractivePromptPrompt[0]=Two", "DirListBufferSize=9", "RootDirectory=" + next, "DefaultTimeout=5"} {
		if _, err := s.Config(expr); err != nil {
			t.Error(err)
		}
	}
	s.ConcurrentEvents = true
	s.FileOpen = func(*sftpserver.FileOpenEvent) { t.Error("a handler of later") }
	if err := <-done; err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"DirListBufferSize": "7", "UserRootDirectory": old, "KeyboardInteractivePrompts": "One,echo=False", "SFTPConnectionTimeout": "60"} {
		if got, err := s.Config(name + "[1]"); got != want || err != nil {
			t.Errorf("%s of the connection: %q, %v, want %q", name, got, err, want)
		}
	}
	if c.SetTimeout(0); c.Timeout() != sftpserver.DefaultIOTimeout {
		t.Errorf("time-out %v", c.Timeout())
	}
	s.FileOpen = nil
	start(t, s)
	if got, err := get(t, connect(t, s), "/f", 1000); got != next || err != nil {
		t.Errorf("after the next start: %q, %v", got, err)
	}
}

// TestResetWhileStarting: the settings do not change under a Start.
func TestResetWhileStarting(t *testing.T) {
	s := sftpserver.New()
	for range 20 {
		began := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			close(began)
			_ = s.Reset() // which may be first, or not be possible any more
		}()
		<-began
		err := s.Serve(newMemory())
		if err != nil && !errors.Is(err, sftpserver.ErrNoHostKey) {
			t.Error(err)
		}
		<-done
		_ = s.Close()
	}
}

// TestExchangeKeys: new keys are in use when the method returns, and an unknown connection is told so.
func TestExchangeKeys(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	client := dial(t, s)
	if _, err := client.Subsystem(t.Context(), "sftp"); err != nil { // and the server knows of the login
		t.Fatal(err)
	}
	c, ok := s.Connection("1")
	if !ok {
		t.Fatal("no connection 1")
	}
	before := c.Info().KeyExchanges
	if err := s.ExchangeKeys(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if n := c.Info().KeyExchanges; n != before+1 {
		t.Errorf("%d key exchanges, before %d", n, before)
	}
	for _, err := range []error{s.ExchangeKeys(t.Context(), "7"), s.Disconnect("7")} {
		if !errors.Is(err, sftpserver.ErrUnknownConnection) || sftpserver.ErrorCode(err) != 126 {
			t.Errorf("of a connection that is not there: %v", err)
		}
	}
}

// TestUserAuthContext: the context of a login ends when its time is over, and when the server is closed.
func TestUserAuthContext(t *testing.T) {
	for _, closed := range []bool{false, true} {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		if !closed {
			s.LoginTimeout = 200 * time.Millisecond
		}
		waiting, ended := make(chan struct{}), make(chan struct{})
		s.UserAuth = func(e *sftpserver.UserAuthEvent) {
			if e.Method == "password" {
				close(waiting)
				<-e.Context().Done() // a look-up that takes for ever
				close(ended)
			}
		}
		start(t, s)
		if closed {
			go func() {
				<-waiting
				_ = s.Close()
			}()
		}
		if c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		}); err == nil {
			_ = c.Close()
			t.Error("got in")
		}
		<-ended
	}
}
