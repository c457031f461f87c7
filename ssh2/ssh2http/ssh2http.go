// Package ssh2http sends HTTP requests through SSH connections: the SSH server
// resolves the host name and connects to the web server.
//
//	c, err := ssh2.Dial(ctx, "tcp", "gateway:22", cfg)
//	...
//	web := &http.Client{Transport: ssh2http.Transport(c, ssh2http.Options{})}
//	resp, err := web.Get("http://intranet/")
//
// Each function returns an ordinary http.Transport. Its fields may be changed
// before its first use; it does TLS, HTTP/2, idle connections and timeouts as
// usual.
package ssh2http

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// Options of a transport. The zero value is usual.
type Options struct {
	// Origin is the address that the server is told the connections come from
	// (RFC 4254 section 7.2); nil means 127.0.0.1 and port 0. Most servers only
	// log it.
	Origin net.Addr
}

// Transport returns a transport that sends requests through c, with a channel
// for each HTTP connection. The caller closes c, after CloseIdleConnections;
// requests fail from then on. A server that does not forward gives an
// *ssh2.OpenError.
func Transport(c *ssh2.Client, o Options) *http.Transport {
	return transport(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return o.dial(ctx, c, network, addr)
	})
}

func (o Options) dial(ctx context.Context, c *ssh2.Client, network, addr string) (net.Conn, error) {
	if o.Origin == nil {
		return c.DialContext(ctx, network, addr)
	}
	return c.DialFrom(ctx, network, addr, o.Origin)
}

// UnixTransport returns a transport that sends all requests to the Unix socket
// at path on the server (direct-streamlocal@openssh.com), whatever host their
// URLs name.
func UnixTransport(c *ssh2.Client, path string) *http.Transport {
	return transport(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.DialContext(ctx, "unix", path)
	})
}

// DialTransport returns a transport that uses an SSH connection of its own for
// each HTTP connection: connect makes it, and it is closed with the HTTP
// connection, also when that was idle for too long. Each one costs a login, but
// the transport does not depend on a single SSH connection.
func DialTransport(connect func(context.Context) (*ssh2.Client, error), o Options) *http.Transport {
	return transport(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		nc, err := o.dial(ctx, c, network, addr)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		return &owner{Conn: nc, ssh: c}, nil
	})
}

// transport is the default transport of net/http but for how it connects.
func transport(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		t = t.Clone()
	} else { // somebody replaced it
		t = &http.Transport{ForceAttemptHTTP2: true}
	}
	t.DialContext = dial
	// Somebody may have set these, and they would lead past the SSH connection.
	t.Dial, t.DialTLS, t.DialTLSContext = nil, nil, nil //nolint:staticcheck // of no use but in effect
	t.Proxy = nil                                       // one for this machine says nothing about the server's network
	return t
}

// An owner closes the SSH connection along with the only channel in it.
type owner struct {
	net.Conn
	ssh  *ssh2.Client
	once sync.Once
	err  error
}

// Close closes both, once.
func (c *owner) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		_ = c.ssh.Close()
	})
	return c.err
}
