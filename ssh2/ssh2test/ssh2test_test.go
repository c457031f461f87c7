package ssh2test_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

func hello(_ context.Context, s *ssh2.ServerSession) {
	fmt.Fprintf(s, "hello %s, you asked for %s %q", s.User(), s.Kind, s.Command)
}

func TestW42_ConnectInMemory(t *testing.T) {
	c := ssh2test.Connect(t, ssh2test.NewServer(hello), nil)
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(t.Context(), "uptime")
	if want := `hello test, you asked for exec "uptime"`; string(out) != want || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestW42_LatencyAndCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := ssh2test.Link{Delay: 50 * time.Millisecond}
		c := ssh2test.ConnectOver(t, ssh2test.NewServer(hello), nil, slow, slow)
		start := time.Now()
		if _, err := c.Session(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("a round trip took %v", took)
		}
		torn := ssh2test.ConnectOver(t, ssh2test.NewServer(func(_ context.Context, s *ssh2.ServerSession) {
			_, _ = io.Copy(io.Discard, struct{ io.Reader }{s})
		}), nil, ssh2test.Link{CutAt: 100_000}, ssh2test.Link{})
		s, err := torn.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Stdin = zeros{}
		if err := s.Run(t.Context(), "x"); err == nil {
			t.Error("a command ran to its end over a torn link")
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
