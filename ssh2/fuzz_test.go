package ssh2

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// FuzzServerMessages sends a server whatever messages after login. It must
// answer or hang up, and end when its client does.
func FuzzServerMessages(f *testing.F) {
	seed := func(ms ...msg.Message) {
		var in []byte
		for _, m := range ms {
			in = wire.AppendBytes(in, msg.Append(nil, m))
		}
		f.Add(in)
	}
	open := &msg.ChannelOpen{Type: "session", Sender: 1, Window: 1 << 20, MaxPacket: 1 << 15}
	seed(open, exec(0, "cat"), &msg.ChannelData{Data: []byte("x")}, signal(msg.NumChannelEOF, 0), signal(msg.NumChannelClose, 0))
	seed(open, open, &msg.WindowAdjust{Recipient: 1, Bytes: 1 << 31}, exec(1, "echo x"), exec(0, "fail y"), signal(msg.NumChannelClose, 1))
	seed(open, &msg.ChannelRequest{Name: "pty-req", WantReply: true, Data: wire.Append(nil, &msg.PtyReq{Term: "x", Modes: []byte{1, 0, 0, 0, 1, 0}})},
		&msg.ChannelRequest{Name: "shell"}, &msg.ChannelRequest{Name: "window-change", Data: make([]byte, 16)}, &msg.ChannelRequest{Name: "signal", Data: wire.AppendString(nil, "HUP")})
	seed(&msg.GlobalRequest{Name: "no-more-sessions@openssh.com", WantReply: true}, open, &msg.ChannelExtendedData{Code: 1, Data: []byte("e")})
	seed(open, &msg.ChannelRequest{Name: "x11-req", WantReply: true, Data: wire.Append(nil, &msg.X11Req{Protocol: MITMagicCookie, Cookie: "00"})},
		&msg.ChannelRequest{Name: agentRequest}, &msg.ChannelRequest{Name: "env", Data: wire.Append(nil, &msg.Env{Name: "LC_ALL", Value: "C"})}, exec(0, "hang"))
	for _, r := range msg.Rows() {
		if r.Number >= msg.NumGlobalRequest {
			seed(open, r.New())
		}
	}
	s := testServer(shellServer)
	s.AllowPTY, s.AllowX11, s.AllowAgentForwarding, s.AcceptEnv = true, true, true, []string{"A"}
	s.Policy.Env = func(_ context.Context, _ *ServerSession, name, _ string) bool { return name != "B" }
	s.Policy.Other = func(_ context.Context, _ *ServerSession, r *Request) bool { return r.Name != "" }
	f.Fuzz(func(t *testing.T, in []byte) {
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		end := make(chan error, 1)
		go func() { end <- s.ServeConn(context.Background(), b) }()
		cfg := testClient()
		tcfg, err := cfg.clientTransport("host:22", a)
		if err != nil {
			t.Fatal(err)
		}
		c := transport.New(a, tcfg)
		if _, err := cfg.login(context.Background(), c, "server:22"); err != nil {
			t.Fatal(err)
		}
		d := wire.Decoder(in)
		for {
			var m []byte
			d.Bytes(&m)
			if d.Err() != nil || len(m) == 0 {
				break
			}
			if c.SendMessage(raw(m)) != nil {
				break
			}
		}
		_ = c.Disconnect(uint32(DisconnectByApplication), "")
		_ = c.Close()
		c.ReleaseReader()
		select {
		case err := <-end:
			if p, ok := errors.AsType[*PanicError](err); ok {
				t.Fatalf("%v\n%s", p.Value, p.Stack)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("server does not end")
		}
	})
}
