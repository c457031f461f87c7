package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/packet"
)

// rawPeer is a peer with a real transport that says what a test wants.
type rawPeer struct {
	*transport.Conn
	t   *testing.T
	end chan error // what became of the other end
}

// rawClient connects to a server and does the first key exchange.
func rawClient(t *testing.T, s *Server) *rawPeer {
	t.Helper()
	cfg := testClient()
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	tcfg, err := cfg.clientTransport("host:22", a)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{transport.New(a, tcfg), t, make(chan error, 1)}
	go func() { p.end <- s.ServeConn(context.Background(), b) }()
	if err := p.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// say sends a message as it is.
func (p *rawPeer) say(m ...[]byte) {
	for _, m := range m {
		b := packet.Get(len(m))
		copy(b.Bytes(), m)
		_ = p.Send(b) // the other end may be gone already, which is for hear to find out
	}
}

// hear returns the names of the messages that came, until n of them or the end.
func (p *rawPeer) hear(n int) (names []string, err error) {
	for len(names) < n {
		m, err := p.Next()
		if err != nil {
			return names, err
		}
		names = append(names, msg.Name(m[0]))
	}
	return names, nil
}

// over checks that the other end is gone, and lets go of this one.
func (p *rawPeer) over() error {
	p.t.Helper()
	_ = p.Close()
	p.ReleaseReader()
	return <-p.end
}

var serviceRequest = msg.Append(nil, &msg.ServiceRequest{Service: serviceUserauth})

// forbiddenServer fails the test if anything happens that needs a login.
func forbiddenServer(t *testing.T) *Server {
	s := testServer(func(context.Context, *ServerSession) { t.Error("session handler called") })
	s.OnLogin = func(context.Context, *Conn) error { t.Error("logged in"); return nil }
	s.Requests = map[string]GlobalHandler{"tcpip-forward": func(context.Context, *Conn, *Request) (bool, []byte) {
		t.Error("global handler called")
		return true, nil
	}}
	return s
}

func TestCVE_1_1_ConnectionMessagesBeforeLogin(t *testing.T) { // and 1.2, 1.13
	leakCheck(t)
	messages := []msg.Message{
		&msg.GlobalRequest{Name: "tcpip-forward", WantReply: true},
		&msg.RequestSuccess{}, &msg.RequestFailure{},
		&msg.ChannelOpen{Type: "session", Window: 1 << 20, MaxPacket: 1 << 15},
		&msg.WindowAdjust{}, &msg.ChannelData{}, &msg.ChannelExtendedData{},
		&msg.ChannelSignal{Num: msg.NumChannelEOF}, &msg.ChannelSignal{Num: msg.NumChannelClose},
		&msg.ChannelRequest{Name: "exec", WantReply: true},
		&msg.UserauthSuccess{}, &msg.UserauthFailure{}, &msg.UserauthPKOK{}, &msg.UserauthBanner{}, &msg.ServiceAccept{}, &msg.InfoResponse{},
	}
	wrong := reqPassword("u", "wrong")
	for stage, before := range map[string][][]byte{
		"after NEWKEYS": nil, "after SERVICE_ACCEPT": {serviceRequest}, "between failures": {serviceRequest, wrong, wrong},
	} {
		for _, m := range messages {
			p := rawClient(t, forbiddenServer(t))
			p.say(before...)
			if names, err := p.hear(len(before)); err != nil {
				t.Fatalf("%s: %q, %v", stage, names, err)
			}
			p.say(msg.Append(nil, m))
			names, err := p.hear(1)
			var d *DisconnectError
			if !errors.As(err, &d) || !d.Remote || d.Reason != uint32(DisconnectProtocolError) || len(names) != 0 {
				t.Errorf("%s, %s: heard %q, %v", stage, msg.Name(m.Number()), names, err)
			}
			if err := p.over(); err == nil {
				t.Errorf("%s, %s: no error", stage, msg.Name(m.Number()))
			}

			// What follows the mistake is right, and must not be heard.
			p = rawClient(t, forbiddenServer(t))
			p.say(before...)
			if names, err := p.hear(len(before)); err != nil {
				t.Fatalf("%s: %q, %v", stage, names, err)
			}
			p.say(msg.Append(nil, m), serviceRequest, reqPassword("u", "p"), msg.Append(nil, &msg.ChannelOpen{Type: "session"}))
			if names, err := p.hear(1); err == nil {
				t.Errorf("%s, %s and more: heard %q", stage, msg.Name(m.Number()), names)
			}
			if err := p.over(); err == nil {
				t.Errorf("%s, %s: no error", stage, msg.Name(m.Number()))
			}
		}
	}
}

// Requests after success are ignored (RFC 4252 section 5.3).
func TestAuthRequestsAfterSuccess(t *testing.T) {
	leakCheck(t)
	p := rawClient(t, testServer(nil))
	p.say(serviceRequest, reqPassword("u", "p"), reqPassword("u", "wrong"), reqNone("other"), reqPassword("other", "x"),
		msg.Append(nil, &msg.GlobalRequest{Name: "unknown", WantReply: true}))
	if names, err := p.hear(2); err != nil || !slices.Equal(names, []string{"SERVICE_ACCEPT", "USERAUTH_SUCCESS"}) {
		t.Errorf("%q, %v", names, err)
	}
	p.SetPhase(msg.Open)
	if names, err := p.hear(1); err != nil || !slices.Equal(names, []string{"REQUEST_FAILURE"}) {
		t.Errorf("%q, %v", names, err)
	}
	_ = p.over()
}

// Twisted asks for the service anew after each key exchange. Who is logged in is told, as by OpenSSH, that there is no
// such message any more, and stays.
func TestServiceRequestAfterSuccess(t *testing.T) {
	leakCheck(t)
	p := rawClient(t, testServer(nil))
	p.say(serviceRequest, reqPassword("u", "p"))
	if names, err := p.hear(2); err != nil || !slices.Equal(names, []string{"SERVICE_ACCEPT", "USERAUTH_SUCCESS"}) {
		t.Errorf("%q, %v", names, err)
	}
	p.SetPhase(msg.Open)
	p.say(serviceRequest, serviceRequest, msg.Append(nil, &msg.GlobalRequest{Name: "unknown", WantReply: true}))
	if names, err := p.hear(1); err != nil || !slices.Equal(names, []string{"REQUEST_FAILURE"}) {
		t.Errorf("%q, %v", names, err)
	}
	_ = p.over()
}

// A client that stops at any point of authentication is gone in time.
func TestCVE_4_2_ParkedInAuthentication(t *testing.T) {
	key := edKey("k")
	for name, say := range map[string][][]byte{
		"silent": nil, "service": {serviceRequest}, "failure": {serviceRequest, reqNone("u")},
		"PK_OK":    {serviceRequest, reqQuery("u", "ssh-ed25519", key.PublicKey().Marshal())},
		"question": {serviceRequest, reqInteractive("u")},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := testServer(nil)
			s.Auth.PublicKey, s.Auth.Interactive = anyKey, code("1")
			s.Timeouts.Auth = 20 * time.Second
			start := time.Now()
			p := rawClient(t, s)
			p.say(say...)
			if names, err := p.hear(len(say)); err != nil {
				t.Fatalf("%s: %q, %v", name, names, err)
			}
			if names, err := p.hear(1); err == nil {
				t.Errorf("%s: heard %q", name, names)
			}
			var timeout *TimeoutError
			if err := p.over(); !errors.As(err, &timeout) {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(start); d != 20*time.Second {
				t.Errorf("%s: after %v", name, d)
			}
		})
	}
}

func TestCVE_2_23_NothingBeforeTheHostKeyIsKnown(t *testing.T) {
	leakCheck(t)
	for name, judge := range map[string]gossh.HostKeyCallback{
		"nil": nil, "refusing": func(string, net.Addr, gossh.PublicKey) error { return errTest },
	} {
		cfg := testClient()
		cfg.HostKey = judge
		s := &Server{HostKeys: []gossh.Signer{testHostKey}}
		if err := s.prepare(); err != nil {
			t.Fatal(err)
		}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		p := &rawPeer{transport.New(b, s.tcfg), t, make(chan error, 1)}
		go func() {
			_, err := NewClient(context.Background(), a, "host:22", cfg)
			p.end <- err
		}()
		if err := p.Handshake(t.Context()); err == nil {
			if names, err := p.hear(1); err == nil {
				t.Errorf("%s: client said %q", name, names)
			}
		}
		var ce *ConfigError
		var he *HostKeyError
		if err := p.over(); judge == nil && !errors.As(err, &ce) || judge != nil && (!errors.As(err, &he) || !errors.Is(err, errTest)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Logins of different users at once, each failing as another one first, over
// real connections.
func TestCVE_2_27_ParallelConnections(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.Auth.Password = func(_ context.Context, a *AuthAttempt, pw string) Verdict {
		return Verdict{OK: pw == "pw of "+a.User, Identity: a.User}
	}
	var mu sync.Mutex
	seen := map[string]any{}
	s.OnLogin = func(_ context.Context, c *Conn) error {
		mu.Lock()
		defer mu.Unlock()
		seen[c.User()] = c.Info().Identity
		return nil
	}
	n := repeat(200)
	s.MaxStartups = n // row 4.2 is not what this is about
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p := rawClient(t, s)
			user := fmt.Sprint("user", i)
			p.say(serviceRequest, reqPassword(fmt.Sprint("user", i+1), "pw of "+user), reqPassword(user, "pw of "+user))
			names, err := p.hear(3)
			if err != nil || !slices.Equal(names, []string{"SERVICE_ACCEPT", "USERAUTH_FAILURE", "USERAUTH_SUCCESS"}) {
				t.Errorf("%s: %q, %v", user, names, err)
			}
			_ = p.over()
		})
	}
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d logins of %d", len(seen), n)
	}
	for user, identity := range seen {
		if user != identity {
			t.Errorf("%s has the identity of %v", user, identity)
		}
	}
}

// Keys and certificates over a real session identifier and server-sig-algs.
func TestAuthOverTheWire(t *testing.T) {
	leakCheck(t)
	for name, key := range allKeys(t) {
		s := testServer(nil)
		s.Auth.PublicKey = anyKey
		s.Auth.UserCAs = &UserCAs{Authority: anyCA}
		cfg := testClient()
		cfg.User, cfg.Auth = "alice", []AuthMethod{PublicKeys(key)}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if got := p.Info(); !slices.Equal(got.Methods, []string{"publickey"}) || len(got.Extensions["server-sig-algs"]) == 0 {
			t.Errorf("%s: %v, server-sig-algs %q", name, got.Methods, got.Extensions["server-sig-algs"])
		}
		_ = p.close(t)
	}
}
