package ssh2

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// eventServer hands on what a client tells a running session.
func eventServer(events chan<- SessionEvent) *Server {
	s := testServer(func(ctx context.Context, s *ServerSession) {
		s.Accept()
		for {
			e, err := s.Event(ctx)
			if err != nil {
				return
			}
			events <- e
			if e.Signal == SIGKILL {
				s.ExitAs(&ExitError{Signal: SIGKILL, CoreDumped: true, Text: "getötet", Language: "de"})
				return
			}
		}
	})
	s.AllowPTY = true
	return s
}

// TestSessionEventsArriveWhole: signals, breaks and sizes reach the handler with
// every field, and the way a session ended reaches the client so too.
func TestSessionEventsArriveWhole(t *testing.T) {
	leakCheck(t)
	events := make(chan SessionEvent, 1)
	p := dialPair(t, eventServer(events), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	ctx := t.Context()
	s, err := p.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.PTY = &PTY{}
	if err := s.Shell(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error, want SessionEvent) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := <-events; got != want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for name := range signals {
		if name != SIGKILL {
			check("signal", s.Signal(ctx, name), SessionEvent{Signal: name})
			check("signal with SIG", s.Signal(ctx, "SIG"+name), SessionEvent{Signal: name})
		}
	}
	check("own signal", s.Signal(ctx, "INFO@openssh.com"), SessionEvent{Signal: "INFO@openssh.com"})
	check("size", s.Resize(ctx, 132, 43), SessionEvent{Resize: true, Width: 132, Height: 43})
	check("size", s.ResizePx(ctx, 1, 2, 3, 4), SessionEvent{Resize: true, Width: 1, Height: 2, WidthPx: 3, HeightPx: 4})
	check("break", s.Break(ctx, 1500*time.Millisecond), SessionEvent{Break: true, Length: 1500 * time.Millisecond})
	check("break", s.Break(ctx, 0), SessionEvent{Break: true})
	for _, bad := range []Signal{"", "WINCH", "9", "@", "x@", "@example.com", "a b@example.com", "a@b@c", "kill", Signal("x@" + strings.Repeat("y", 70))} {
		if err := s.Signal(ctx, bad); err == nil {
			t.Errorf("signal %q was sent", bad)
		}
	}
	check("kill", s.Signal(ctx, SIGKILL), SessionEvent{Signal: SIGKILL})
	var exit *ExitError
	if err := s.Wait(ctx); !errors.As(err, &exit) || *exit != (ExitError{Signal: SIGKILL, CoreDumped: true, Text: "getötet", Language: "de"}) {
		t.Errorf("ended with %#v", err)
	}
}

// TestSignalNamesAreChecked: a server hands on only names that can be one (RFC
// 4254 section 6.9).
func TestSignalNamesAreChecked(t *testing.T) {
	leakCheck(t)
	events := make(chan SessionEvent, 1)
	p := scriptClient(t, eventServer(events))
	id := p.open(1)
	p.send(exec(id, "x"))
	p.want("exec", signal(msg.NumChannelSuccess, 1))
	ask := func(name string, want byte) {
		t.Helper()
		p.send(&msg.ChannelRequest{Recipient: id, Name: "signal", WantReply: true, Data: wire.AppendString(nil, name)})
		p.want("signal "+name, signal(want, 1))
	}
	for _, bad := range []string{"", "STOP", "9", "x@", "KILL\x00", "a\n@example.com", strings.Repeat("x", 100) + "@y"} {
		ask(bad, msg.NumChannelFailure)
	}
	for name, want := range map[string]Signal{"INT": SIGINT, "SIGUSR1": SIGUSR1, "x@example.com": "x@example.com"} {
		ask(name, msg.NumChannelSuccess)
		if got := <-events; got.Signal != want {
			t.Errorf("%q arrived as %+v", name, got)
		}
	}
	_ = p.close()
}

// TestExitSignals: the forms in which servers say that a signal ended a session,
// that from before the RFC included.
func TestExitSignals(t *testing.T) {
	num := func(n uint32, more ...string) []byte {
		b := wire.AppendUint32(nil, n)
		for _, s := range more {
			b = wire.AppendString(b, s)
		}
		return b
	}
	for in, want := range map[string]*ExitError{
		string(wire.Append(nil, &msg.ExitSignal{Signal: "TERM", CoreDumped: true, Text: "t", Language: "l"})): {Signal: SIGTERM, CoreDumped: true, Text: "t", Language: "l"},
		string(wire.Append(nil, &msg.ExitSignal{Signal: "SIGHUP"})):                                           {Signal: SIGHUP},
		string(wire.Append(nil, &msg.ExitSignal{Signal: "BUS"})):                                              {Signal: "BUS"},
		string(num(9)):                   {Signal: SIGKILL},
		string(num(15, "bye")):           {Signal: SIGTERM, Text: "bye"},
		string(num(1, "b", "en")):        {Signal: SIGHUP, Text: "b", Language: "en"},
		string(num(5, "", "")):           {Signal: "5@unknown"},
		string(num(9, "longer words")):   {Signal: SIGKILL, Text: "longer words"},
		"":                               nil,
		"\x00\x00\x00":                   nil,
		string(num(1<<31)) + "x":         nil,
		string(num(9, "text", "l", "x")): nil,
	} {
		got := exitSignal([]byte(in))
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %+v", in, got)
		}
	}
	for name, n := range signals {
		if n != 0 && numberedSignal(n) != name {
			t.Errorf("%s is %d, which is %s", name, n, numberedSignal(n))
		}
	}
}

func FuzzExitSignal(f *testing.F) {
	f.Add(wire.Append(nil, &msg.ExitSignal{Signal: "TERM"}))
	f.Add([]byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		if e := exitSignal(in); e != nil && e.Signal == "" {
			t.Errorf("%x: no signal", in)
		}
	})
}
