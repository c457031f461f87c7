package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serverKind says which server the tests run against.
var serverKind = func() string {
	if kind := os.Getenv("FAIRLEAD_INTEROP_SERVER"); kind != "" {
		return kind
	}
	return "fairlead"
}()

// reference is true when the tests measure the clients, not us.
var reference = serverKind == "openssh"

// A server is a running process that serves root as "/".
type server struct {
	kind         string
	keys         *keyring
	root         string
	host         string
	port         int
	knownHosts   string
	hostKeyFiles []string
	cmd          *exec.Cmd
	log          *lockedBuffer
}

// startServer starts the server under test with a fresh root directory; the test's cleanup stops it and fails
// the test if it does not leave with status 0 on SIGTERM.
func startServer(t *testing.T) *server {
	t.Helper()
	return startServerWith(t)
}

// startServerWith is startServer with only some of the host keys, by name in hostKeyKinds; without names, all.
func startServerWith(t *testing.T, kinds ...string) *server {
	t.Helper()
	return launch(t, serverOptions{hostKeys: kinds})
}

// startCommandServer starts a server that runs commands: sshd, or our example server.
func startCommandServer(t *testing.T) *server {
	t.Helper()
	return launch(t, serverOptions{commands: true})
}

// serverOptions say which server to start.
type serverOptions struct {
	commands bool     // one that runs commands
	hostKeys []string // by name in hostKeyKinds; none means all
	args     []string // more arguments for our example server
	sshd     *sshd    // OpenSSH's server, whatever the one under test is, with these settings
}

func launch(t *testing.T, o serverOptions) *server {
	t.Helper()
	s := &server{kind: serverKind, keys: keysOf(t), host: "127.0.0.1", log: new(lockedBuffer)}
	for i, kind := range hostKeyKinds {
		if len(o.hostKeys) == 0 || slices.Contains(o.hostKeys, kind.name) {
			s.hostKeyFiles = append(s.hostKeyFiles, s.keys.hostKeyFiles[i])
		}
	}
	dir, err := os.MkdirTemp(scratch, "server-") //nolint:usetesting // not where TempDir is
	if err != nil {
		t.Fatal(err)
	}
	s.root = filepath.Join(dir, "root")
	if err := os.Mkdir(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if o.sshd != nil {
		s.kind = "openssh"
	}
	switch s.kind {
	case "fairlead":
		s.startFairlead(t, o)
	case "openssh":
		if o.sshd == nil {
			o.sshd = &sshd{jail: !o.commands}
		}
		s.startOpenSSH(t, dir, o.sshd)
	default:
		t.Fatalf("FAIRLEAD_INTEROP_SERVER=%s: want fairlead or openssh", serverKind)
	}
	s.knownHosts = filepath.Join(dir, "known_hosts")
	if err := s.keys.knownHosts(s.knownHosts, s.host, s.port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop(t)
		os.RemoveAll(dir)
	})
	return s
}

// Our own programs, each built once per test run.
var (
	fairleadBinary   = sync.OnceValues(func() (string, error) { return build("..", "./cmd/fairlead") })
	execserverBinary = sync.OnceValues(func() (string, error) { return build(".", "./cmd/execserver") })
)

func build(dir, pkg string) (string, error) {
	name := filepath.Join(scratch, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", name, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return name, nil
}

var listeningLine = regexp.MustCompile(`listening on ([0-9.]+):([0-9]+)`)

func (s *server) startFairlead(t *testing.T, o serverOptions) {
	t.Helper()
	binary, args := fairleadBinary, []string{"serve", "--root", s.root, "--log-level", "info"}
	if o.commands {
		binary, args = execserverBinary, append([]string{"--root", s.root}, o.args...)
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "--listen", "127.0.0.1:0", "--user", userName,
		"--password-file", s.keys.passwordFile, "--authorized-keys", s.keys.authorizedKeys)
	for _, file := range s.hostKeyFiles {
		args = append(args, "--host-key", file)
	}
	s.start(t, exec.Command(program, args...))
	match := s.waitLine(t, listeningLine)
	if s.port, err = strconv.Atoi(match[2]); err != nil {
		t.Fatal(err)
	}
}

// start runs cmd with both outputs kept in s.log.
func (s *server) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd = cmd
}

// waitLine waits for the first line of the log that matches.
func (s *server) waitLine(t *testing.T, want *regexp.Regexp) []string {
	t.Helper()
	return s.waitLineAfter(t, 0, want)
}

// waitLineAfter is waitLine without the first octets of the log.
func (s *server) waitLineAfter(t *testing.T, octets int, want *regexp.Regexp) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		grew := s.log.grew() // taken first: a line written after the look at the log must wake us
		if match := want.FindStringSubmatch(s.log.String()[octets:]); match != nil {
			return match
		}
		select {
		case <-grew:
		case <-ctx.Done():
			s.cmd.Process.Kill()
			t.Fatalf("server did not print %q:\n%s", want, s.log.String())
		}
	}
}

// waitIdent waits until the server answers with an SSH identification line.
func (s *server) waitIdent(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := s.ident()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.cmd.Process.Kill()
			t.Fatalf("server does not answer: %v\n%s", err, s.log.String())
		}
		<-time.After(20 * time.Millisecond) // polling another process: there is nothing to wait on
	}
}

func (s *server) addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// ident returns the server's identification line.
func (s *server) ident() (string, error) {
	conn, err := net.DialTimeout("tcp", s.addr(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if t.Failed() {
		text := s.log.String()
		t.Logf("end of the server's log:\n%s", text[max(0, len(text)-4000):])
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		// sshd reports death by signal as status 255; only our own promise is checked.
		if err != nil && s.kind == "fairlead" {
			t.Errorf("server after SIGTERM: %v, want exit status 0", err)
		}
	case <-time.After(30 * time.Second):
		s.cmd.Process.Kill()
		<-done
		t.Error("server did not leave within 30 s of SIGTERM")
	}
}

// job returns a job for this server with publickey authentication.
func (s *server) job(steps ...step) job {
	return job{
		Host: s.host, Port: s.port, User: userName, Key: s.keys.userKey, PPK: s.keys.userPPK,
		KnownHosts: s.knownHosts, HostKeys: s.keys.hostKeyLines(), Steps: steps,
	}
}

// lockedBuffer keeps what a process writes and tells who waits for more.
type lockedBuffer struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

var _ io.Writer = (*lockedBuffer)(nil)

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// grew returns a channel that is closed at the next Write.
func (b *lockedBuffer) grew() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return b.more
}
