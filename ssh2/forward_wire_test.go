package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// The tests in this file play the peer: what is on the wire, and what comes of
// what peers may send.

func listenMsg(host string, port uint32) *msg.GlobalRequest {
	return &msg.GlobalRequest{Name: "tcpip-forward", WantReply: true, Data: wire.Append(nil, &msg.TCPForward{Addr: host, Port: port})}
}

func cancelMsg(host string, port uint32) *msg.GlobalRequest {
	return &msg.GlobalRequest{Name: "cancel-tcpip-forward", WantReply: true, Data: wire.Append(nil, &msg.TCPForward{Addr: host, Port: port})}
}

func forwardedMsg(id uint32, host string, port uint32) *msg.ChannelOpen {
	return &msg.ChannelOpen{
		Type: "forwarded-tcpip", Sender: id, Window: 1 << 20, MaxPacket: 32 << 10,
		Extra: wire.Append(nil, &msg.TCPChannel{Addr: host, Port: port, Origin: "192.0.2.9", OriginPort: 999}),
	}
}

// listenScript has the client listen at addr while the script answers.
func listenScript(t *testing.T, p *script, c *Client, network, addr string, answer msg.Message, want msg.Message) *Listener {
	t.Helper()
	got := make(chan net.Listener, 1)
	go func() {
		l, err := c.Listen(context.Background(), network, addr)
		if err != nil {
			t.Errorf("listen %s: %v", addr, err)
			close(got)
			return
		}
		got <- l
	}()
	p.want("listen "+addr, want)
	p.send(answer)
	l, ok := <-got
	if !ok {
		t.FailNow()
	}
	return l.(*Listener)
}

// TestListenAddressesAsWritten: the address goes out as the user wrote it, and so
// does it in the cancellation (RFC 4254 section 7.1).
func TestListenAddressesAsWritten(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	for i, host := range []string{"", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1", "host.example.org"} {
		for _, asked := range []uint32{uint32(8000 + i), 0} {
			t.Run(fmt.Sprintf("%q port %d", host, asked), func(t *testing.T) {
				port, answer := asked, &msg.RequestSuccess{}
				if asked == 0 {
					port, answer = 40000, &msg.RequestSuccess{Data: []byte{0, 0, 0x9C, 0x40}}
				}
				l := listenScript(t, p, c, "tcp", HostPort{host, int(asked)}.String(), answer, listenMsg(host, asked))
				if l.Port() != int(port) {
					t.Errorf("port %d", l.Port())
				}
				p.send(forwardedMsg(7, host, port))
				nc, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if hostPort(nc.LocalAddr()) != (HostPort{host, int(port)}) || nc.RemoteAddr().String() != "192.0.2.9:999" {
					t.Errorf("addresses %v and %v", nc.LocalAddr(), nc.RemoteAddr())
				}
				var ok msg.ChannelOpenConfirmation
				p.get(&ok)
				_ = nc.Close()
				p.want("close", signal(msg.NumChannelClose, 7))
				p.send(signal(msg.NumChannelClose, ok.Sender))
				_ = l.Close()
				p.want("cancel", cancelMsg(host, port))
				p.send(&msg.RequestSuccess{})
			})
		}
	}
	for network, host := range map[string]string{"tcp4": "0.0.0.0", "tcp6": "::"} {
		l := listenScript(t, p, c, network, ":90", &msg.RequestSuccess{}, listenMsg(host, 90))
		_ = l.Close()
		p.want("cancel", cancelMsg(host, 90))
		p.send(&msg.RequestSuccess{})
	}
	_ = c.Close()
	_ = p.close()
}

// TestListenMatchesSpellings: servers report addresses as they like. What fits
// one listener goes there; what could be another's, or nobody's, is refused.
func TestListenMatchesSpellings(t *testing.T) {
	for _, tc := range []struct {
		name   string
		listen []string // in order; port 0 becomes 40000 and up
		said   string
		port   uint32
		want   int // index in listen; -1 is refused
	}{
		{"as asked", []string{"localhost:80", ":81"}, "localhost", 80, 0},
		{"any as 0.0.0.0", []string{":80"}, "0.0.0.0", 80, 0},
		{"any as ::", []string{"0.0.0.0:80"}, "::", 80, 0},
		{"any as the address", []string{":80", "localhost:80"}, "192.0.2.1", 80, 0},
		{"localhost as 127.0.0.1", []string{"localhost:80", ":80"}, "127.0.0.1", 80, 0},
		{"127.0.0.1 as localhost", []string{"127.0.0.1:80", "192.0.2.1:80"}, "localhost", 80, 0},
		{"name as address", []string{"host.example.org:80"}, "192.0.2.1", 80, 0},
		{"upper case", []string{"localhost:80", "127.0.0.1:80"}, "LOCALHOST", 80, 0},
		{"two that fit alike", []string{"127.0.0.1:80", "127.0.0.2:80"}, "localhost", 80, -1},
		{"old server's port 0", []string{"localhost:0", ":80"}, "localhost", 0, 0},
		{"old server's port 0, the other host", []string{"localhost:0", ":0"}, "", 0, 1},
		{"old server's port 0, not asked for", []string{":80"}, "", 0, -1},
		{"port 0 of others", []string{":0"}, "", 0, -1},
		{"another port", []string{":80"}, "", 81, -1},
		{"no port", []string{":80"}, "", 80 + 1<<16, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leakCheck(t)
			version := ""
			if strings.HasPrefix(tc.name, "old") {
				version = "OpenSSH_5.9"
			}
			p, c := scriptServerAs(t, testClient(), version)
			var ls []*Listener
			for i, addr := range tc.listen {
				at, err := ParseHostPort(addr)
				if err != nil {
					t.Fatal(err)
				}
				answer := &msg.RequestSuccess{}
				if at.Port == 0 {
					answer.Data = PortReply(40000 + i)
				}
				ls = append(ls, listenScript(t, p, c, "tcp", addr, answer, listenMsg(at.Host, uint32(at.Port))))
			}
			p.send(forwardedMsg(7, tc.said, tc.port))
			if tc.want < 0 {
				p.want("refused", &msg.ChannelOpenFailure{Recipient: 7, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
			} else {
				nc, err := ls[tc.want].Accept()
				if err != nil {
					t.Fatal(err)
				}
				if a := hostPort(nc.LocalAddr()); a.Host != tc.said || a.Port == 0 {
					t.Errorf("came in at %v", nc.LocalAddr())
				}
			}
			_ = c.Close()
			_ = p.close()
		})
	}
}

// TestCVE_11_2_UnsolicitedForwardedChannels: a server opens channels for what
// nobody listens on.
func TestCVE_11_2_UnsolicitedForwardedChannels(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	unix := func(path string) *msg.ChannelOpen {
		return &msg.ChannelOpen{Type: "forwarded-streamlocal@openssh.com", Sender: 7, Window: 1, MaxPacket: 1, Extra: wire.Append(nil, &msg.ForwardedUnix{Path: path})}
	}
	refused := func(why string, m msg.Message) {
		t.Helper()
		p.send(m)
		p.want(why, &msg.ChannelOpenFailure{Recipient: 7, Reason: uint32(OpenUnknownType), Text: "unknown channel type"})
	}
	refused("nothing listens", forwardedMsg(7, "", 80))
	refused("nothing listens", unix("/s"))
	tcp := listenScript(t, p, c, "tcp", "localhost:80", &msg.RequestSuccess{}, listenMsg("localhost", 80))
	sock := listenScript(t, p, c, "unix", "/s", &msg.RequestSuccess{}, &msg.GlobalRequest{Name: "streamlocal-forward@openssh.com", WantReply: true, Data: wire.AppendString(nil, "/s")})
	refused("another port", forwardedMsg(7, "localhost", 81))
	refused("no port", forwardedMsg(7, "localhost", 80+1<<16))
	refused("another path", unix("/s/"))
	refused("no path", unix(""))
	m := forwardedMsg(7, "localhost", 80)
	m.Extra = append(m.Extra, 0)
	refused("trailing octets", m)
	m = forwardedMsg(7, "localhost", 80)
	m.Extra = m.Extra[:len(m.Extra)-1]
	refused("truncated", m)
	m = forwardedMsg(7, "localhost", 80)
	m.Type = "direct-tcpip"
	refused("another type", m)
	m = forwardedMsg(7, "localhost", 80)
	m.MaxPacket = 0
	p.send(m)
	p.want("maximum packet size 0", &msg.ChannelOpenFailure{Recipient: 7, Reason: uint32(OpenConnectFailed), Text: "maximum packet size 0"})
	_ = tcp.Close()
	p.want("cancel", cancelMsg("localhost", 80))
	refused("no longer listened on", forwardedMsg(7, "localhost", 80))
	_ = sock.Close()
	p.want("cancel", &msg.GlobalRequest{Name: "cancel-streamlocal-forward@openssh.com", WantReply: true, Data: wire.AppendString(nil, "/s")})
	refused("no longer listened on", unix("/s"))
	// The server is still listening until it has answered, and whatever it
	// answers, we are not.
	p.send(&msg.RequestFailure{}, &msg.RequestFailure{})
	p.alive()
	_ = c.Close()
	_ = p.close()
}

// TestListenBacklog: connections that nobody accepts wait, up to a bound; Close
// refuses them, and nothing must be drained meanwhile.
func TestListenBacklog(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	l := listenScript(t, p, c, "tcp", ":80", &msg.RequestSuccess{}, listenMsg("", 80))
	for i := range uint32(acceptBacklog) {
		p.send(forwardedMsg(i, "", 80))
	}
	p.send(forwardedMsg(1000, "", 80))
	p.want("one too many", &msg.ChannelOpenFailure{Recipient: 1000, Reason: uint32(OpenResourceShortage), Text: "too many connections wait"})
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var ok msg.ChannelOpenConfirmation
	p.get(&ok)
	if ok.Recipient != 0 {
		t.Errorf("confirmed %d first", ok.Recipient)
	}
	_ = l.Close()
	for i := range uint32(acceptBacklog - 1) {
		p.want("refused", &msg.ChannelOpenFailure{Recipient: i + 1, Reason: uint32(OpenConnectFailed), Text: "no longer listening"})
	}
	p.want("cancel", cancelMsg("", 80))
	if i := c.Info(); i.Channels != 1 {
		t.Errorf("%d channels left", i.Channels)
	}
	_ = nc.Close()
	_ = c.Close()
	_ = p.close()
}

// TestListenAnswers has the ways in which a server can answer a request to listen.
func TestListenAnswers(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	listen := func(ctx context.Context, addr string) chan error {
		got := make(chan error, 1)
		go func() {
			_, err := c.Listen(ctx, "tcp", addr)
			got <- err
		}()
		return got
	}
	got := listen(t.Context(), ":80")
	p.want("listen", listenMsg("", 80))
	p.send(&msg.RequestFailure{})
	var refused *RequestError
	if err := <-got; !errors.As(err, &refused) || refused.Name != "tcpip-forward" {
		t.Errorf("refused: %v", err)
	}
	for _, data := range [][]byte{nil, {0, 0, 1}, {0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 1, 0}} {
		got = listen(t.Context(), ":0")
		p.want("listen", listenMsg("", 0))
		p.send(&msg.RequestSuccess{Data: data})
		if err := <-got; err == nil {
			t.Errorf("a port is found in %x", data)
		}
	}
	// Who gave up is not left with a server that listens: late answers are taken back.
	for _, port := range []uint32{80, 0} {
		ctx, cancel := context.WithCancelCause(t.Context())
		got = listen(ctx, HostPort{"", int(port)}.String())
		p.want("listen", listenMsg("", port))
		cancel(errTest)
		if err := <-got; !errors.Is(err, errTest) {
			t.Errorf("given up: %v", err)
		}
		answer := &msg.RequestSuccess{}
		if port == 0 {
			answer.Data, port = PortReply(40000), 40000
		}
		p.send(answer)
		p.want("cancel", cancelMsg("", port))
		p.send(&msg.RequestSuccess{})
	}
	// Of two listeners for the same address connections could not be told apart.
	_ = listenScript(t, p, c, "tcp", ":80", &msg.RequestSuccess{}, listenMsg("", 80))
	if _, err := c.Listen(t.Context(), "tcp", ":80"); err == nil {
		t.Error("listening twice at one address")
	}
	for _, addr := range []string{"", "x", ":x", ":65536", ":-1", "::1:80"} {
		if _, err := c.Listen(t.Context(), "tcp", addr); err == nil {
			t.Errorf("%q is listened on", addr)
		}
	}
	for _, path := range []string{"", "a\x00b", string(make([]byte, maxSocketPath+1))} {
		if _, err := c.Listen(t.Context(), "unix", path); err == nil {
			t.Errorf("%.10q is listened on", path)
		}
	}
	p.alive()
	_ = c.Close()
	_ = p.close()
}

// TestListenBeforeTheUsersHandler: what no Listener is for goes to the handler of
// the type that the user set.
func TestListenBeforeTheUsersHandler(t *testing.T) {
	leakCheck(t)
	cfg := testClient()
	type ends struct{ to, from HostPort }
	seen := make(chan ends, 1)
	cfg.Channels = map[string]ChannelHandler{"forwarded-tcpip": func(_ context.Context, n *NewChannel) {
		to, from, err := n.TCP()
		if err != nil {
			t.Error(err)
		}
		seen <- ends{to, from}
	}}
	p, c := scriptServer(t, cfg)
	l := listenScript(t, p, c, "tcp", ":80", &msg.RequestSuccess{}, listenMsg("", 80))
	p.send(forwardedMsg(7, "", 81))
	p.want("refused by the handler", &msg.ChannelOpenFailure{Recipient: 7, Reason: uint32(OpenProhibited), Text: "not accepted"})
	if got := <-seen; got != (ends{HostPort{"", 81}, HostPort{"192.0.2.9", 999}}) {
		t.Errorf("the handler saw %v", got)
	}
	p.send(forwardedMsg(8, "", 80))
	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	_ = p.close()
}

// TestDialAsWritten has what DialContext and DialFrom send (RFC 4254 section 7.2,
// OpenSSH PROTOCOL section 2.4).
func TestDialAsWritten(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	for _, tc := range []struct {
		network, addr string
		from          net.Addr
		typ           string
		extra         wire.Layouter
		local, remote string
	}{
		{"tcp", "db.example.org:5432", HostPort{"192.0.2.7", 1234}, "direct-tcpip", &msg.TCPChannel{Addr: "db.example.org", Port: 5432, Origin: "192.0.2.7", OriginPort: 1234}, "192.0.2.7:1234", "db.example.org:5432"},
		{"tcp6", "[2001:db8::1]:22", &net.TCPAddr{IP: net.ParseIP("192.0.2.8"), Port: 9}, "direct-tcpip", &msg.TCPChannel{Addr: "2001:db8::1", Port: 22, Origin: "192.0.2.8", OriginPort: 9}, "192.0.2.8:9", "[2001:db8::1]:22"},
		{"tcp", "h:1", nil, "direct-tcpip", &msg.TCPChannel{Addr: "h", Port: 1}, ":0", "h:1"},
		{"unix", "/run/x", nil, "direct-streamlocal@openssh.com", &msg.DirectUnix{Path: "/run/x"}, "", "/run/x"},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			nc, err := c.DialFrom(context.Background(), tc.network, tc.addr, tc.from)
			if err != nil {
				t.Error(err)
				return
			}
			if nc.LocalAddr().String() != tc.local || nc.RemoteAddr().String() != tc.remote {
				t.Errorf("%s: addresses %v and %v", tc.addr, nc.LocalAddr(), nc.RemoteAddr())
			}
			_ = nc.Close()
		}()
		p.want(tc.addr, &msg.ChannelOpen{Type: tc.typ, Window: defaultInitialWindow, MaxPacket: maxPacket, Extra: wire.Append(nil, tc.extra)})
		p.send(&msg.ChannelOpenConfirmation{Recipient: 0, Sender: 5, Window: 1, MaxPacket: 1000})
		p.want("close", signal(msg.NumChannelClose, 5))
		p.send(signal(msg.NumChannelClose, 0))
		<-done
		p.alive() // the number is free again
	}
	_ = c.Close()
	_ = p.close()
}

// TestDialGivenUp: a connection that is granted after the caller gave up is closed.
func TestDialGivenUp(t *testing.T) {
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := c.DialContext(ctx, "tcp", "h:1")
		got <- err
	}()
	var m msg.ChannelOpen
	p.get(&m)
	cancel(errTest)
	if err := <-got; !errors.Is(err, errTest) {
		t.Error(err)
	}
	p.send(&msg.ChannelOpenConfirmation{Recipient: m.Sender, Sender: 5, Window: 1, MaxPacket: 1000})
	p.want("close", signal(msg.NumChannelClose, 5))
	_ = c.Close()
	_ = p.close()
}
