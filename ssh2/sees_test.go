package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestWhatHandlersSee: what a client says reaches the handlers of a server, whole.
func TestWhatHandlersSee(t *testing.T) {
	leakCheck(t)
	pty := &PTY{Term: "xterm-256color", Width: 132, Height: 50, WidthPx: 1320, HeightPx: 1000, Modes: []TerminalMode{{3, 127}, {53, 1}, {129, 38400}}}
	got := make(chan *PTY, 1)
	types := make(chan [2]string, 1)
	s := testServer(func(_ context.Context, s *ServerSession) {
		got <- s.PTY
		s.Exit(0)
	})
	s.AllowPTY = true
	s.Channels = map[string]ChannelHandler{"mine@example.com": func(_ context.Context, n *NewChannel) {
		ch, err := n.Accept(nil)
		if err != nil {
			return
		}
		types <- [2]string{n.Type(), ch.Type()}
		_ = ch.Close()
	}}
	var remote net.Addr
	s.OnConn = func(ctx context.Context, nc net.Conn) (context.Context, error) {
		remote = nc.RemoteAddr()
		return ctx, nil
	}
	var seen AuthAttempt
	s.Auth.Password = func(_ context.Context, a *AuthAttempt, _ string) Verdict {
		seen = *a
		return Verdict{OK: true}
	}
	cfg := testClient()
	cfg.Version = "Visitor_1.0"
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	sess, err := p.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sess.PTY = pty
	if err := sess.Run(context.Background(), "x"); err != nil {
		t.Fatal(err)
	}
	if pty := *pty; !reflect.DeepEqual(*<-got, pty) {
		t.Errorf("the terminal is not %+v", pty)
	}
	ch, err := p.Open(context.Background(), "mine@example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-types; got != [2]string{"mine@example.com", "mine@example.com"} || ch.Type() != got[0] {
		t.Errorf("types %q, %q", got, ch.Type())
	}
	if remote == nil || remote.String() != p.b.RemoteAddr().String() || seen.Meta.RemoteAddr != remote {
		t.Errorf("remote address %v, then %v", remote, seen.Meta.RemoteAddr)
	}
	if seen.User != "u" || seen.Method != MethodPassword || seen.Meta.ClientIdent != "SSH-2.0-Visitor_1.0" || seen.Meta.ServerIdent != "SSH-2.0-"+Version || len(seen.Meta.SessionID) == 0 {
		t.Errorf("attempt %+v", seen)
	}
	_ = p.close(t)
}

// TestEveryDisconnectReason: each reason arrives as the number that was sent, and has a name.
func TestEveryDisconnectReason(t *testing.T) {
	leakCheck(t)
	if len(disconnectNames) != 15 { // RFC 4253 section 11.1
		t.Errorf("%d reasons have names", len(disconnectNames))
	}
	for reason, name := range disconnectNames {
		p := dialPair(t, testServer(shellServer), testClient(), netsim.Link{}, netsim.Link{})
		_ = p.Disconnect(reason, "because")
		err := p.close(t)
		var d *DisconnectError
		switch {
		case reason == DisconnectByApplication && err != nil:
			t.Errorf("%s: %v", name, err)
		case reason != DisconnectByApplication && (!errors.As(err, &d) || !d.Remote || d.Reason != uint32(reason) || d.Text != "because"):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnknownMessagesAreAnswered: UNIMPLEMENTED names the packet, and the
// connection goes on (RFC 4253 section 11.4).
func TestUnknownMessagesAreAnswered(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	var mu sync.Mutex
	var answer, question string
	s.PacketLog = func(e *PacketEvent) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case e.Out && e.Number == msg.NumUnimplemented:
			answer += e.String()
		case !e.Out && e.Number == 150:
			question = fmt.Sprint(msg.Name(msg.NumUnimplemented), " ", e.Sequence)
		}
	}
	p := scriptClient(t, s)
	p.send(raw{150, 1, 2, 3})
	p.alive()
	_ = p.close()
	if answer != question || question == "" {
		t.Errorf("answered %q, want %q", answer, question)
	}
}
