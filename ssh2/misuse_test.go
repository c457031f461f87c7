package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestHungUp: a server that goes during the login is told from all else, and what it said before is not lost.
func TestHungUp(t *testing.T) {
	for _, tc := range []struct{ said, want string }{
		{"", "ssh2: ident: server closed the connection: EOF"},
		{"Exceeded MaxStartups\r\n", `ssh2: ident: after "Exceeded MaxStartups\n": server closed the connection: EOF`},
		{"HTTP/1.1 400 Bad Request\r\n\r\nno \x1b", `ssh2: ident: after "HTTP/1.1 400 Bad Request\n\n": server closed the connection: EOF`},
		{"SSH-2.0-x\r\n", "ssh2: handshake: server closed the connection: EOF"},
	} {
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		go func() {
			_, _ = io.WriteString(b, tc.said)
			_ = b.Close()
		}()
		_, err := NewClient(t.Context(), a, "host:22", testClient())
		if !errors.Is(err, io.EOF) || err.Error() != tc.want {
			t.Errorf("after %q: %v, want %s", tc.said, err, tc.want)
		}
		_ = b.Close()
	}
}

// TestClientConfigNil: what was forgotten is an error, not a panic.
func TestClientConfigNil(t *testing.T) {
	var ce *ConfigError
	if _, err := Dial(t.Context(), "tcp", "host", nil); !errors.As(err, &ce) {
		t.Errorf("Dial without a config: %v", err)
	}
	nc, _ := net.Pipe()
	if _, err := NewClient(t.Context(), nc, "host:22", nil); !errors.As(err, &ce) {
		t.Errorf("NewClient without a config: %v", err)
	}
	cfg := testClient()
	cfg.Auth = []AuthMethod{Password("p"), nil}
	if _, err := Dial(t.Context(), "tcp", "host", cfg); !errors.As(err, &ce) || ce.Setting != "auth" {
		t.Errorf("a method that is nil: %v", err)
	}
}

// TestAuthNilKeys: a signer or an agent that is nil fails its method; the next one is tried.
func TestAuthNilKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		m    AuthMethod
		want string
	}{
		"signer": {PublicKeys(nil), "public key: a signer is nil"},
		"agent":  {Agent(nil), "public key: ssh2: agent: list keys: agent is nil"},
	} {
		s := testServer(nil)
		s.Auth.PublicKey = func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return Verdict{} }
		for _, others := range [][]AuthMethod{nil, {Password("p")}} {
			cfg := testClient()
			cfg.Auth = append([]AuthMethod{tc.m}, others...)
			a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
			done := make(chan error, 1)
			go func() { done <- s.ServeConn(context.Background(), b) }()
			c, err := NewClient(t.Context(), a, "host:22", cfg)
			if err == nil {
				_ = c.Close()
			}
			if len(others) > 0 && err != nil || len(others) == 0 && (!errors.As(err, new(*AuthError)) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s, %d others: %v", name, len(others), err)
			}
			_ = a.Close()
			<-done
		}
	}
}

// oneAtATime fails if it is written to while it is written to.
type oneAtATime struct {
	t    *testing.T
	busy chan struct{}
	n    int // no lock: the race detector watches
}

func (w *oneAtATime) Write(p []byte) (int, error) {
	select {
	case w.busy <- struct{}{}:
	default:
		w.t.Error("two writes at a time")
	}
	w.n += len(p)
	<-w.busy
	return len(p), nil
}

// manyWriters cannot be compared.
type manyWriters []io.Writer

func (m manyWriters) Write(p []byte) (int, error) { return m[0].Write(p) }

// TestSessionSameWriter: as with os/exec, one writer may be both Stdout and Stderr.
func TestSessionSameWriter(t *testing.T) {
	const size = 1 << 20
	p := dialPair(t, testServer(func(_ context.Context, s *ServerSession) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.Stderr().Write(make([]byte, size))
		}()
		_, _ = s.Write(make([]byte, size))
		<-done
	}), testClient(), netsim.Link{}, netsim.Link{})
	defer func() { _ = p.close(t) }()
	s := must(p.Session(t.Context()))
	w := &oneAtATime{t: t, busy: make(chan struct{}, 1)}
	s.Stdout, s.Stderr = w, w
	if err := s.Run(t.Context(), "x"); err != nil || w.n != 2*size {
		t.Errorf("%d octets, %v", w.n, err)
	}
	s = must(p.Session(t.Context()))
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = manyWriters{&out}, manyWriters{&errs}
	if err := s.Run(t.Context(), "x"); err != nil || out.Len() != size || errs.Len() != size {
		t.Errorf("writers that cannot be compared: %d and %d octets, %v", out.Len(), errs.Len(), err)
	}
}

// TestSessionOutputPiped: Output would return nothing of what goes to a pipe.
func TestSessionOutputPiped(t *testing.T) {
	p := dialPair(t, testServer(func(_ context.Context, s *ServerSession) { fmt.Fprint(s, "x") }), testClient(), netsim.Link{}, netsim.Link{})
	defer func() { _ = p.close(t) }()
	for _, pipe := range []func(*Session) (io.ReadCloser, error){(*Session).StdoutPipe, (*Session).StderrPipe} {
		s := must(p.Session(t.Context()))
		must(pipe(s))
		if out, err := s.CombinedOutput(t.Context(), "x"); err == nil {
			t.Errorf("CombinedOutput: %q without an error", out)
		}
		_ = s.Close()
	}
	s := must(p.Session(t.Context()))
	must(s.StdoutPipe())
	if out, err := s.Output(t.Context(), "x"); err == nil {
		t.Errorf("Output: %q without an error", out)
	}
	_ = s.Close()
}
