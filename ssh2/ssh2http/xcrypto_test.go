package ssh2http_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// newcomer is a server on the loopback for the code of docs/coming-from-xcrypto.md, and the home of its user.
type newcomer struct {
	addr, home, keyFile string
	hostKey             gossh.PublicKey
	tree                *memfs.FS
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{home: t.TempDir(), tree: memfs.New(memfs.Options{})}
	t.Setenv("HOME", n.home)
	t.Setenv("SSH_AUTH_SOCK", "") // there is no agent, which is no reason to fail
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private) // one key for both ends
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	n.hostKey, n.keyFile = signer.PublicKey(), filepath.Join(n.home, "id")
	if err := errors.Join(os.Mkdir(filepath.Join(n.home, ".ssh"), 0o700), os.WriteFile(n.keyFile, pem.EncodeToMemory(block), 0o600)); err != nil {
		t.Fatal(err)
	}
	files := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return n.tree, nil }}
	s := &ssh2.Server{
		HostKeys: []gossh.Signer{signer},
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == "ann" && bytes.Equal(key.Marshal(), n.hostKey.Marshal())}
		}},
		AllowPTY: true,
		Forward:  ssh2.ForwardPolicy{PermitOpen: []string{"127.0.0.1:*"}},
		Session: func(ctx context.Context, s *ssh2.ServerSession) {
			switch {
			case s.Subsystem == "sftp":
				_ = files.Serve(ctx, s, sftp.SessionInfo{User: s.User()})
			case s.Kind == ssh2.Exec:
				fmt.Fprint(s, s.Command)
				fmt.Fprint(s.Stderr(), "oops")
				s.Exit(3)
			case s.Kind == ssh2.Shell:
				fmt.Fprintf(s, "%s %dx%d\n", s.PTY.Term, s.PTY.Width, s.PTY.Height)
				if e, err := s.Event(ctx); err == nil && e.Resize {
					fmt.Fprintf(s, "now %dx%d\n", e.Width, e.Height)
				}
				s.Exit(0)
			}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	n.addr = l.Addr().String()
	return n
}

// known writes the user's known_hosts.
func (n *newcomer) known(t *testing.T, key gossh.PublicKey) {
	t.Helper()
	file := filepath.Join(n.home, ".ssh", "known_hosts")
	_ = os.Remove(file)
	if err := ssh2.AddKnownHost(file, n.addr, key, false); err != nil {
		t.Fatal(err)
	}
}

// TestComingFromXCrypto runs the code of docs/coming-from-xcrypto.md.
func TestComingFromXCrypto(t *testing.T) {
	n := newNewcomer(t)
	ctx := t.Context()
	if _, err := login(ctx, "ann", n.addr, n.keyFile); !errors.Is(err, ssh2.ErrHostUnknown) || !strings.Contains(err.Error(), "fingerprint") {
		t.Error(err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := gossh.NewPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	n.known(t, otherKey)
	if _, err := login(ctx, "ann", n.addr, n.keyFile); !errors.Is(err, ssh2.ErrHostKeyChanged) || !strings.Contains(err.Error(), "known_hosts:1") {
		t.Error(err)
	}
	n.known(t, n.hostKey)
	c, err := login(ctx, "ann", n.addr, n.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	var stdout, stderr bytes.Buffer
	if status, err := run(ctx, c, "command", &stdout, &stderr); status != 3 || err != nil || stdout.String()+stderr.String() != "commandoops" {
		t.Error(status, err, stdout.String(), stderr.String())
	}

	var last int64
	if err := upload(ctx, c, n.keyFile, "/new", func(done, total int64) { last = total - done }); err != nil || last != 0 {
		t.Error(last, err)
	}

	pem, err := os.ReadFile(n.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := through(ctx, c, n.addr, ssh2.ClientConfig{User: "ann", Auth: []ssh2.AuthMethod{ssh2.PublicKeys(signer)}, HostKey: gossh.FixedHostKey(n.hostKey)})
	if err != nil {
		t.Fatal(err)
	}
	channel, err := inner.Subsystem(ctx, "sftp")
	if err != nil {
		t.Fatal(err)
	}
	files, err := onPipes(ctx, channel, channel) // as if it were another library's
	if err != nil {
		t.Fatal(err)
	}
	if got, err := files.ReadFile(ctx, "/new"); err != nil || !bytes.Equal(got, pem) {
		t.Errorf("%q, %v", got, err)
	}
	if err := errors.Join(files.Close(), inner.Close()); err != nil {
		t.Error(err)
	}

	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer site.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	forwarded := make(chan error, 1)
	go func() { forwarded <- forward(ctx, c, l, site.Listener.Addr().String()) }()
	for name, client := range map[string]*http.Client{
		"http://" + l.Addr().String(): {Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}},
		site.URL:                      web(c),
	} {
		response, err := client.Get(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if text, err := io.ReadAll(response.Body); string(text) != "hello" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		_ = response.Body.Close()
		client.CloseIdleConnections()
	}
	_ = l.Close()
	if err := <-forwarded; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}

	sizes := make(chan [2]uint32, 2)
	sizes <- [2]uint32{80, 24}
	sizes <- [2]uint32{132, 43}
	t.Setenv("TERM", "xterm")
	var screen bytes.Buffer
	terminal := struct {
		io.Reader
		io.Writer
	}{strings.NewReader(""), &screen}
	if err := shell(ctx, c, terminal, sizes); err != nil || screen.String() != "xterm 80x24\nnow 132x43\n" {
		t.Errorf("%q, %v", screen.String(), err)
	}
}
