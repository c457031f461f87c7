package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// twoVoices repeats its input on standard output, and in upper case on standard
// error.
func twoVoices(_ context.Context, s *ServerSession) {
	all, err := io.ReadAll(struct{ io.Reader }{s})
	if err != nil {
		return
	}
	_, _ = s.Write(all)
	_, _ = s.Stderr().Write(bytes.ToUpper(all))
	s.Exit(uint32(s.Kind))
}

// TestSessionPipes: what is written to the pipe of a session's input comes back
// from those of its outputs.
func TestSessionPipes(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(twoVoices), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	for kind, start := range map[SessionKind]func(*Session) error{
		Exec:      func(s *Session) error { return s.Start(t.Context(), "x") },
		Shell:     func(s *Session) error { return s.Shell(t.Context()) },
		Subsystem: func(s *Session) error { return s.Subsystem(t.Context(), "x") },
	} {
		s, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, err1 := s.StdinPipe()
		out, err2 := s.StdoutPipe()
		errs, err3 := s.StderrPipe()
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if s.Kind() != 0 {
			t.Errorf("kind %v before the start", s.Kind())
		}
		if err := start(s); err != nil {
			t.Fatal(err)
		}
		if s.Kind() != kind || s.Channel().Type() != "session" {
			t.Errorf("kind %v, channel %q", s.Kind(), s.Channel().Type())
		}
		text := strings.Repeat("words and ", 30_000)
		if n, err := io.WriteString(in, text); n != len(text) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if err := errors.Join(in.Close(), in.Close()); err != nil {
			t.Error(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if all, err := io.ReadAll(errs); string(all) != strings.ToUpper(text) || err != nil {
				t.Errorf("standard error: %d octets, %v", len(all), err)
			}
		})
		if all, err := io.ReadAll(out); string(all) != text || err != nil {
			t.Errorf("standard output: %d octets, %v", len(all), err)
		}
		wg.Wait()
		var exit *ExitError
		if err := s.Wait(t.Context()); !errors.As(err, &exit) || exit.Status != uint32(kind) {
			t.Errorf("ended with %v", err)
		}
		if err := errors.Join(out.Close(), errs.Close()); err != nil {
			t.Error(err)
		}
		if _, err := s.StdinPipe(); !errors.Is(err, errStarted) {
			t.Errorf("pipe after the start: %v", err)
		}
	}
}

// TestPipesAndFieldsExclude: a stream has a field or a pipe, once.
func TestPipesAndFieldsExclude(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(twoVoices), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	s, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(""), io.Discard, io.Discard
	for range 2 {
		_, err1 := s.StdinPipe()
		_, err2 := s.StdoutPipe()
		_, err3 := s.StderrPipe()
		if err1 == nil || err2 == nil || err3 == nil {
			t.Error(err1, err2, err3)
		}
		_, err1 = s.Output(t.Context(), "x")
		_, err2 = s.CombinedOutput(t.Context(), "x")
		if err1 == nil || err2 == nil {
			t.Error(err1, err2)
		}
		s.Stdin, s.Stdout, s.Stderr = nil, nil, nil
		_, _ = s.StdinPipe()
		_, _ = s.StdoutPipe()
		_, _ = s.StderrPipe()
		s.Stdout = io.Discard
	}
	_ = s.Close()
}

func TestCombinedOutput(t *testing.T) {
	leakCheck(t)
	p := dialPair(t, testServer(twoVoices), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	s, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin = strings.NewReader("abc")
	out, err := s.CombinedOutput(t.Context(), "x")
	var exit *ExitError
	if got := string(out); got != "abcABC" && got != "ABCabc" || !errors.As(err, &exit) || exit.Status != uint32(Exec) {
		t.Errorf("%q, %v", out, err)
	}
}

// TestClosedPipeEndsTheOutput: a command that writes without end ends when nobody
// reads, since the server is told (eow@openssh.com).
func TestClosedPipeEndsTheOutput(t *testing.T) {
	leakCheck(t)
	s := testServer(func(_ context.Context, s *ServerSession) {
		var err error
		for err == nil {
			_, err = fmt.Fprintln(s, "y")
		}
		s.Exit(7)
	})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	for _, pipe := range []bool{true, false} {
		s, err := p.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out io.ReadCloser
		if pipe {
			out, err = s.StdoutPipe()
		} else {
			s.Stdout = &fewOctets{n: 100}
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context(), "yes"); err != nil {
			t.Fatal(err)
		}
		if pipe {
			if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
				t.Error(err)
			}
			_ = out.Close()
		}
		var exit *ExitError
		if err := s.Wait(t.Context()); !errors.As(err, &exit) || exit.Status != 7 {
			t.Errorf("pipe %v: %v", pipe, err)
		}
	}
}

// fewOctets is full after n octets.
type fewOctets struct{ n int }

func (f *fewOctets) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errTest
	}
	return len(p), nil
}

// TestServerTakesNoMoreInput: a client that writes without end hears that the
// command has closed its input.
func TestServerTakesNoMoreInput(t *testing.T) {
	leakCheck(t)
	s := testServer(func(_ context.Context, s *ServerSession) {
		_, _ = io.ReadFull(s, make([]byte, 10))
		_ = s.CloseRead()
		_, _ = io.Copy(io.Discard, s) // until the client's end of input
		s.Exit(0)
	})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, err := sess.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start(t.Context(), "head"); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = in.Write(make([]byte, 1000))
	}
	if !errors.Is(err, ErrWriteClosed) {
		t.Errorf("writing ended with %v", err)
	}
	_ = in.Close()
	if err := sess.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEOWOnlyToThoseWhoKnowIt: other servers than OpenSSH and ours do not get it.
func TestEOWOnlyToThoseWhoKnowIt(t *testing.T) {
	for version, told := range map[string]bool{"OpenSSH_9.9": true, "Cisco_1.25": false} {
		leakCheck(t)
		s := testServer(func(_ context.Context, s *ServerSession) { _, _ = io.Copy(io.Discard, s) })
		s.Version = version
		var mu sync.Mutex
		var seen bool
		s.PacketLog = func(e *PacketEvent) {
			mu.Lock()
			defer mu.Unlock()
			seen = seen || !e.Out && strings.Contains(e.String(), "eow@openssh.com")
		}
		p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
		ch, err := p.Subsystem(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		_ = ch.CloseRead()
		_ = ch.CloseWrite()
		<-ch.Context().Done()
		_ = ch.Close()
		_ = p.close(t)
		mu.Lock()
		if seen != told {
			t.Errorf("%s: told %v", version, seen)
		}
		mu.Unlock()
	}
}

// TestRequestsOfTheServer: a session hears about flow control, and its handler
// answers what the library does not know; the exit status comes through while it
// thinks.
func TestRequestsOfTheServer(t *testing.T) {
	leakCheck(t)
	s := testServer(func(ctx context.Context, s *ServerSession) {
		s.Accept()
		for _, can := range []bool{true, false} {
			if err := s.FlowControl(ctx, can); err != nil {
				t.Error(err)
			}
		}
		var no *RequestError
		if err := s.Request(ctx, "own@example.com", true, []byte("yes")); err != nil {
			t.Error(err)
		}
		if err := s.Request(ctx, "own@example.com", true, []byte("no")); !errors.As(err, &no) {
			t.Error(err)
		}
		_ = s.Request(ctx, "own@example.com", false, []byte("wait"))
		s.Exit(9)
	})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var flow []bool
	sess.FlowControl = func(can bool) { flow = append(flow, can) }
	sess.Requests = func(ctx context.Context, r *Request) (bool, []byte) {
		if string(r.Data) == "wait" {
			<-ctx.Done()
		}
		return string(r.Data) == "yes", nil
	}
	var exit *ExitError
	if err := sess.Run(t.Context(), "x"); !errors.As(err, &exit) || exit.Status != 9 {
		t.Errorf("ended with %v", err)
	}
	if len(flow) != 2 || !flow[0] || flow[1] {
		t.Errorf("flow control %v", flow)
	}
}

// TestRequestsOfTheServerAreRefused: without handlers, before the start, and when
// malformed.
func TestRequestsOfTheServerAreRefused(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	opened := make(chan *Session, 1)
	go func() {
		s, err := c.Session(context.Background())
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	id := p.accept(1)
	s := <-opened
	ask := func(name string, data []byte, want byte) {
		t.Helper()
		p.send(&msg.ChannelRequest{Recipient: id, Name: name, WantReply: true, Data: data})
		p.want(name, signal(want, 1))
	}
	s.FlowControl = func(bool) {}
	ask("xon-xoff", []byte{1}, msg.NumChannelFailure) // not started
	ask("own@example.com", nil, msg.NumChannelFailure)
	done := make(chan error, 1)
	go func() { done <- s.Start(context.Background(), "x") }()
	p.want("exec", exec(1, "x"))
	p.send(signal(msg.NumChannelSuccess, id))
	p.want("no input", signal(msg.NumChannelEOF, 1))
	if err := <-done; err != nil {
		t.Error(err)
	}
	ask("xon-xoff", []byte{1}, msg.NumChannelSuccess)
	ask("xon-xoff", nil, msg.NumChannelFailure)
	ask("xon-xoff", []byte{1, 2}, msg.NumChannelFailure)
	ask("own@example.com", nil, msg.NumChannelFailure)
	ask("signal", wire.AppendString(nil, "TERM"), msg.NumChannelFailure) // that is for servers
	_ = p.close()
}
