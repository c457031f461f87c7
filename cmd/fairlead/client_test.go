package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// host is a server for a test of the client commands: a tree in memory, the user "me"
// with the password "secret word".
type host struct {
	addr, port string
	key        gossh.Signer
	fs         sftp.FileSystem
	logins     []string // methods that let somebody in
	ssh        *ssh2.Server
	mu         sync.Mutex
}

const secret = "secret word"

func newKey(t *testing.T) (gossh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

// newHost starts a host; set may change it before.
func newHost(t *testing.T, fsys sftp.FileSystem, set func(h *host, s *ssh2.Server, f *sftp.Server)) *host {
	t.Helper()
	h := &host{fs: fsys}
	if fsys == nil {
		h.fs = memfs.New(memfs.Options{})
	}
	h.key, _ = newKey(t)
	f := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return h.fs, nil }}
	h.ssh = &ssh2.Server{
		HostKeys: []gossh.Signer{h.key},
		Auth: ssh2.ServerAuth{
			Password: func(_ context.Context, a *ssh2.AuthAttempt, pw string) ssh2.Verdict {
				return ssh2.Verdict{OK: h.login("password", a.User == "me" && pw == secret)}
			},
		},
		Session: func(ctx context.Context, s *ssh2.ServerSession) {
			if s.Kind != ssh2.Subsystem || s.Subsystem != "sftp" {
				s.Refuse()
				return
			}
			s.Accept()
			_ = f.Serve(ctx, s, sftp.SessionInfo{User: s.User(), ClientIdent: s.Conn().Info().RemoteIdent})
		},
	}
	if set != nil {
		set(h, h.ssh, f)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	_, h.port, _ = net.SplitHostPort(h.addr)
	go func() { _ = h.ssh.Serve(l) }()
	t.Cleanup(func() { _ = h.ssh.Close() })
	return h
}

func (h *host) login(method string, ok bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		h.logins = append(h.logins, method)
	}
	return ok
}

// know writes the host's key into the known_hosts of the test's home directory.
func (h *host) know(t *testing.T, key gossh.PublicKey) {
	t.Helper()
	if err := ssh2.AddKnownHost(filepath.Join(os.Getenv("HOME"), ".ssh", "known_hosts"), h.addr, key, false); err != nil {
		t.Fatal(err)
	}
}

// person is a terminal with somebody who answers by a list: a part of each prompt, in
// order, and what to type.
type person struct {
	mu      sync.Mutex
	answers [][2]string
	seen    strings.Builder // what the terminal has shown
	hidden  int             // answers that were not shown
}

func (p *person) tell(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.WriteString(text)
}

func (p *person) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.WriteString(prompt)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if len(p.answers) == 0 || !strings.Contains(prompt, p.answers[0][0]) {
		return "", errors.New("unexpected question")
	}
	a := p.answers[0][1]
	p.answers = p.answers[1:]
	if echo {
		p.seen.WriteString(a + "\n")
	} else {
		p.hidden++
	}
	return a, nil
}

func (p *person) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// ran is what a command did.
type ran struct {
	status         int
	stdout, stderr string
}

// command runs one as a process would, in the test's home directory. who may be nil.
func command(t *testing.T, who *person, args ...string) ran {
	t.Helper()
	return commandWith(t, who, nil, nil, args...)
}

func commandWith(t *testing.T, who *person, stdin io.Reader, signals <-chan os.Signal, args ...string) ran {
	t.Helper()
	return (&process{stdin: stdin, signals: signals}).test(t, who, args...)
}

// test runs a command in the process, whose other fields it sets.
func (p *process) test(t *testing.T, who *person, args ...string) ran {
	t.Helper()
	stdout, stderr := newOutput(), newOutput() // which the command of a proxy may write to, too
	p.stdout, p.stderr = stdout, stderr
	p.account = func() account { return account{name: "me", home: os.Getenv("HOME")} }
	p.terminal = func() terminal {
		if who == nil {
			return nil
		}
		return who
	}
	status := p.run(args)
	return ran{status, stdout.String(), stderr.String()}
}

// as returns the password.
func as(password string) *person { return &person{answers: [][2]string{{"password: ", password}}} }

// on are flags to reach h.
func (h *host) on(args ...string) []string {
	return append([]string{args[0], "-P", h.port, "-o", "ConnectTimeout=20"}, args[1:]...)
}

// write makes a file of h.
func (h *host) write(t *testing.T, name, content string) {
	t.Helper()
	ctx := t.Context()
	f, err := h.fs.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(nil); err != nil {
		t.Fatal(err)
	}
}

// read is the content of a file of h, "" if there is none.
func (h *host) read(t *testing.T, name string) string {
	t.Helper()
	f, err := h.fs.Open(t.Context(), name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close(nil)
	return string(b)
}

func (h *host) mkdir(t *testing.T, name string) {
	t.Helper()
	if err := h.fs.Mkdir(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
}

func (h *host) setTime(t *testing.T, name string, when time.Time) {
	t.Helper()
	a := &sftp.Attrs{Valid: sftp.AttrAtime | sftp.AttrMtime, Atime: when, Mtime: when}
	if err := h.fs.SetStat(t.Context(), name, a, true); err != nil {
		t.Fatal(err)
	}
}
