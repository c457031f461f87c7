package ssh2

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// brokenConn is a connection whose socket fails.
type brokenConn struct{ net.Conn }

var errSocket = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNABORTED}

func (brokenConn) Read([]byte) (int, error) { return 0, errSocket }

// Where an error comes from can be told by its type, at whichever call it
// appears: errors.go lists them.
func TestErrorLevels(t *testing.T) {
	leakCheck(t)
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	dial := func(change func(*ClientConfig)) error {
		cfg := testClient()
		change(cfg)
		_, err := Dial(t.Context(), "tcp", "192.0.2.1:22", cfg)
		return err
	}
	connect := func(s *Server, change func(*ClientConfig)) error {
		cfg := testClient()
		change(cfg)
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(context.Background(), b) }()
		c, err := NewClient(t.Context(), a, "host:22", cfg)
		if err == nil {
			_ = c.Close()
			_ = c.Wait()
		}
		<-served
		return err
	}
	for _, tt := range []struct {
		level string
		make  func() error
		is    func(error) bool
	}{
		{"client-dns", func() error {
			none := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errTest }}
			return dial(func(c *ClientConfig) {
				c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{Resolver: none}).DialContext(ctx, network, "nowhere.invalid:22")
				}
			})
		}, func(err error) bool { _, ok := errors.AsType[*net.DNSError](err); return ok }},
		{"client-socket", func() error {
			return dial(func(c *ClientConfig) {
				c.Dial = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
				}
			})
		}, func(err error) bool {
			_, op := errors.AsType[*net.OpError](err)
			_, dns := errors.AsType[*net.DNSError](err)
			return op && !dns && errors.Is(err, syscall.ECONNREFUSED)
		}},
		{"client-socket, later", func() error {
			a, b := net.Pipe()
			go func() { _, _ = b.Read(make([]byte, 4096)); _ = b.Close() }()
			_, err := NewClient(t.Context(), brokenConn{a}, "host:22", testClient())
			return err
		}, is(syscall.ECONNABORTED)},
		{"socket", func() error {
			a, b := net.Pipe()
			go func() { _, _ = b.Read(make([]byte, 4096)); _ = b.Close() }()
			return testServer(nil).ServeConn(t.Context(), brokenConn{a})
		}, is(syscall.ECONNABORTED)},
		{"client-ssh", func() error {
			p, c := scriptServer(t, testClient())
			_ = p.c.Disconnect(uint32(DisconnectByApplication), "bye")
			err := c.Wait()
			_ = p.close()
			return err
		}, func(err error) bool {
			d, ok := errors.AsType[*DisconnectError](err)
			return ok && d.Remote && d.Text == "bye"
		}},
		{"client-timeout", func() (err error) {
			synctest.Test(t, func(t *testing.T) {
				a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
				cfg := testClient()
				cfg.Timeouts.Ident = time.Second
				_, err = NewClient(t.Context(), a, "host:22", cfg)
				_ = b.Close()
			})
			return err
		}, func(err error) bool {
			e, ok := errors.AsType[net.Error](err)
			_, typed := errors.AsType[*TimeoutError](err)
			return ok && e.Timeout() && typed
		}},
		{"client-authentication", func() error {
			return connect(testServer(nil), func(c *ClientConfig) { c.Auth = []AuthMethod{Password("x")} })
		}, isAuthError},
		{"agent", func() error {
			s := testServer(nil)
			s.Auth.PublicKey = anyKey
			broken := dialAgent(t, &softAgent{keys: []gossh.Signer{edKey("k")}, fail: func(string) error { return errTest }})
			return connect(s, func(c *ClientConfig) { c.Auth = []AuthMethod{Agent(broken)} })
		}, func(err error) bool {
			_, ok := errors.AsType[*AgentError](err)
			return ok && isAuthError(err)
		}},
		{"handshake: nothing in common", func() error {
			return connect(testServer(nil), func(c *ClientConfig) { c.HostKeyAlgorithms = "rsa-sha2-512" })
		}, func(err error) bool { _, ok := errors.AsType[*NegotiationError](err); return ok }},
		{"handshake: host key", func() error {
			return connect(testServer(nil), func(c *ClientConfig) { c.HostKey, c.HostKeyPolicy = nil, parseKnown(t) })
		}, func(err error) bool {
			_, ok := errors.AsType[*HostKeyError](err)
			return ok && errors.Is(err, ErrHostUnknown)
		}},
		{"protocol", func() error {
			p, c := scriptServer(t, testClient())
			p.send(&msg.ChannelData{Recipient: 99})
			err := c.Wait()
			_ = p.close()
			return err
		}, func(err error) bool { _, ok := errors.AsType[*ProtocolError](err); return ok }},
		{"settings", func() error {
			return dial(func(c *ClientConfig) { c.HostKey = nil })
		}, func(err error) bool { _, ok := errors.AsType[*ConfigError](err); return ok }},
	} {
		if err := tt.make(); err == nil || !tt.is(err) {
			t.Errorf("%s: %T %v", tt.level, err, err)
		}
	}
}
