package ssh2

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A script plays one end of a connection by hand, from after authentication
// on. The test's goroutine is its reader.
type script struct {
	*testing.T
	c    *transport.Conn
	nc   *netsim.Conn
	end  chan error // how our end under test ended
	over bool
}

// scriptClient plays a client of s.
func scriptClient(t *testing.T, s *Server) *script {
	t.Helper()
	p := &script{T: t, end: make(chan error, 1)}
	var nc *netsim.Conn
	p.nc, nc = netsim.Pipe(netsim.Link{}, netsim.Link{})
	go func() { p.end <- s.ServeConn(context.Background(), nc) }()
	cfg := testClient()
	tcfg, err := cfg.clientTransport("host:22", p.nc)
	if err != nil {
		t.Fatal(err)
	}
	p.c = transport.New(p.nc, tcfg)
	if _, err := cfg.login(context.Background(), p.c, "server:22"); err != nil {
		t.Fatal(err)
	}
	return p
}

// scriptServer plays a server for a client with that configuration.
func scriptServer(t *testing.T, cfg *ClientConfig) (*script, *Client) {
	t.Helper()
	return scriptServerAs(t, cfg, "")
}

// scriptServerAs is scriptServer with that software version.
func scriptServerAs(t *testing.T, cfg *ClientConfig, version string) (*script, *Client) {
	t.Helper()
	p := &script{T: t, end: make(chan error, 1)}
	var nc *netsim.Conn
	nc, p.nc = netsim.Pipe(netsim.Link{}, netsim.Link{})
	got := make(chan *Client, 1)
	go func() {
		c, err := NewClient(context.Background(), nc, "host:22", cfg)
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		got <- c
		p.end <- c.Wait()
	}()
	s := testServer(nil)
	s.Version = version
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	p.c = transport.New(p.nc, s.tcfg)
	if err := p.c.Handshake(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := authenticate(context.Background(), &s.Config, &s.Auth, p.c, ConnMeta{}); err != nil {
		t.Fatal(err)
	}
	c := <-got
	if c == nil {
		t.FailNow()
	}
	return p, c
}

// close ends the script and returns how the end under test ended.
func (p *script) close() error {
	_ = p.c.Close()
	if !p.over {
		p.over = true
		p.c.ReleaseReader()
	}
	return <-p.end
}

// send sends messages in order.
func (p *script) send(ms ...msg.Message) {
	p.Helper()
	for _, m := range ms {
		if err := p.c.SendMessage(m); err != nil {
			p.Fatalf("send %s: %v", msg.Name(m.Number()), err)
		}
	}
}

// trySend is send to an end that may have hung up by now.
func (p *script) trySend(m msg.Message) bool { return p.c.SendMessage(m) == nil }

// next returns the next message.
func (p *script) next() []byte {
	p.Helper()
	b, err := p.c.Next()
	if err != nil {
		p.Fatalf("next: %v", err)
	}
	return bytes.Clone(b)
}

// want reads the next message and compares it.
func (p *script) want(why string, m msg.Message) {
	p.Helper()
	got := p.next()
	if want := msg.Append(nil, m); !bytes.Equal(got, want) {
		p.Fatalf("%s: got %s, want %s", why, describe(got), describe(want))
	}
}

// get reads the next message into m, which it must fit.
func (p *script) get(m msg.Message) {
	p.Helper()
	if err := msg.Decode(p.next(), m); err != nil {
		p.Fatal(err)
	}
}

func describe(b []byte) string {
	for _, r := range msg.Rows() {
		if r.Number == b[0] {
			m := r.New()
			if msg.Decode(b, m) == nil {
				return r.Name + " " + wire.Print(m)
			}
		}
	}
	return msg.Name(b[0])
}

// wantViolation reads until the end under test hangs up over a violation.
func (p *script) wantViolation() {
	p.Helper()
	for {
		_, err := p.c.Next()
		if err == nil {
			continue
		}
		// Who still writes when the other end hangs up may learn of that first.
		var d *DisconnectError
		if errors.As(err, &d) && d.Reason != uint32(DisconnectProtocolError) {
			p.Errorf("ended with %v, not with a protocol error", err)
		}
		var pe *ProtocolError
		if got := p.close(); !errors.As(got, &pe) {
			p.Errorf("its end says %v, not a protocol error", got)
		}
		return
	}
}

// alive checks that the end under test still answers.
func (p *script) alive() {
	p.Helper()
	p.send(&msg.GlobalRequest{Name: "alive?", WantReply: true})
	for {
		if b := p.next(); b[0] == msg.NumRequestFailure {
			return
		}
	}
}

// open opens a session as number id and returns the server's number.
func (p *script) open(id uint32) uint32 {
	p.Helper()
	p.send(&msg.ChannelOpen{Type: "session", Sender: id, Window: 1 << 20, MaxPacket: 32 << 10})
	var ok msg.ChannelOpenConfirmation
	p.get(&ok)
	if ok.Recipient != id {
		p.Fatalf("confirmed %d instead of %d", ok.Recipient, id)
	}
	return ok.Sender
}

// accept takes the channel that the client under test opens, as number id, and
// returns the client's.
func (p *script) accept(id uint32) uint32 {
	p.Helper()
	var m msg.ChannelOpen
	p.get(&m)
	p.send(&msg.ChannelOpenConfirmation{Recipient: m.Sender, Sender: id, Window: 1 << 20, MaxPacket: 32 << 10})
	return m.Sender
}

func signal(num byte, id uint32) *msg.ChannelSignal {
	return &msg.ChannelSignal{Num: num, Recipient: id}
}

func exec(id uint32, cmd string) *msg.ChannelRequest {
	return &msg.ChannelRequest{Recipient: id, Name: "exec", WantReply: true, Data: wire.AppendString(nil, cmd)}
}
