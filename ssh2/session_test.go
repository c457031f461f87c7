package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// shellServer does what the tests' commands say.
func shellServer(_ context.Context, s *ServerSession) {
	verb, arg, _ := strings.Cut(s.Command, " ")
	switch {
	case s.Kind == Subsystem && s.Subsystem == "echo":
		for {
			b, err := s.ReadPacket()
			if err != nil {
				return
			}
			if s.WritePacket(b) != nil {
				return
			}
		}
	case s.Kind == Subsystem:
		return // refused
	case s.Kind == Shell:
		fmt.Fprintf(s, "shell of %s, %v, %v", s.User(), s.Identity(), s.Env)
	case verb == "echo":
		fmt.Fprint(s, arg)
	case verb == "cat":
		_, _ = io.Copy(s, struct{ io.Reader }{s})
	case verb == "fail":
		fmt.Fprint(s.Stderr(), arg)
		s.Exit(3)
	case verb == "die":
		s.ExitSignal("KILL", true, "killed")
	case verb == "hang":
		s.Accept()
		<-s.Context().Done()
	case verb == "panic":
		s.Accept()
		panic("on purpose")
	}
}

func TestSessionRuns(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AcceptEnv = []string{"LANG"}
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	ctx := context.Background()
	run := func(cmd string, prepare func(*Session)) (string, string, error) {
		t.Helper()
		s, err := p.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		s.Stdout, s.Stderr = &out, &errOut
		if prepare != nil {
			prepare(s)
		}
		if cmd == "" {
			if err = s.Shell(ctx); err == nil {
				err = s.Wait(ctx)
			}
		} else {
			err = s.Run(ctx, cmd)
		}
		return out.String(), errOut.String(), err
	}
	if out, _, err := run("echo hello", nil); out != "hello" || err != nil {
		t.Errorf("echo: %q, %v", out, err)
	}
	big := strings.Repeat("0123456789", 500_000)
	if out, _, err := run("cat", func(s *Session) { s.Stdin = strings.NewReader(big) }); out != big || err != nil {
		t.Errorf("cat: %d octets, %v", len(out), err)
	}
	_, errOut, err := run("fail oops", nil)
	var exit *ExitError
	if errOut != "oops" || !errors.As(err, &exit) || exit.Status != 3 {
		t.Errorf("fail: %q, %v", errOut, err)
	}
	if _, _, err = run("die", nil); !errors.As(err, &exit) || exit.Signal != "KILL" || !exit.CoreDumped || exit.Text != "killed" {
		t.Errorf("die: %v", err)
	}
	var refused *RequestError
	if _, _, err = run("unknown", nil); !errors.As(err, &refused) {
		t.Errorf("unknown: %v", err)
	}
	out, _, err := run("", func(s *Session) { s.Env = []string{"LANG=C", "PATH=/evil"} })
	if want := "shell of u, identity of u, [LANG=C]"; out != want || err != nil {
		t.Errorf("shell: %q, %v", out, err)
	}
	if _, err := p.Subsystem(ctx, "nothing"); !errors.As(err, &refused) {
		t.Errorf("subsystem: %v", err)
	}
	if p.Info().Channels > 10 || p.Info().User != "u" {
		t.Errorf("%+v", p.Info())
	}
}

func TestSubsystemPackets(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	ch, err := p.Subsystem(context.Background(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{1, 4000, 4096, 16 << 10, 32<<10 - 1, 34 << 10, 34<<10 + 1, 100_000, 250_000}
	go func() {
		for i, n := range sizes {
			b := packet.Get(n)
			for j := range b.Bytes() {
				b.Bytes()[j] = byte(i + j)
			}
			if err := ch.WritePacket(b); err != nil {
				t.Error(err)
			}
		}
		_ = ch.CloseWrite()
	}()
	for i, n := range sizes {
		got := make([]byte, n)
		if _, err := io.ReadFull(ch, got); err != nil {
			t.Fatal(err)
		}
		for j := range got {
			if got[j] != byte(i+j) {
				t.Fatalf("packet %d differs at %d", i, j)
			}
		}
	}
	if n, err := ch.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	_ = ch.Close()
}

// TestW36_WriterThatIsStuck: Wait returns soon after its context ends, whatever the user's writer does.
func TestW36_WriterThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
		x, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		free := make(chan struct{})
		x.Stdout = writerFunc(func(b []byte) (int, error) { <-free; return len(b), nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := x.Run(ctx, "echo fine"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took > time.Minute+2*writeDelay {
			t.Errorf("took %v", took)
		}
		close(free)
		_ = p.close(t)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
