package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// A ClientConfig says how to connect and log in.
type ClientConfig struct {
	Config

	// User is the name to log in with. Required.
	User string
	// Auth has the methods to try, in this order as far as the server allows.
	Auth []AuthMethod
	// AuthNext, used instead of Auth, chooses each method, knowing which ones
	// the server accepts and what was tried before. Nothing is sent before its
	// first call: return [None] to ask the server for its methods. A nil
	// method, or an error, ends the attempt to log in with an *AuthError. It is
	// called on the connection's goroutine, at most 64 times; the server may
	// time out meanwhile.
	AuthNext func(context.Context, *AuthState) (AuthMethod, error)
	// PublicKeyAlgorithms is a preference list of the algorithms to sign with
	// for the methods publickey and hostbased, such as "+ssh-rsa".
	PublicKeyAlgorithms AlgList
	// HostKeyPolicy says whether the server's host key is trusted, and which of
	// its keys to ask for: [KnownHosts], [FixedHostKey] and others. It may ask
	// a person: the client's Timeouts do not run meanwhile, but those of the
	// server do.
	HostKeyPolicy HostKeyPolicy
	// HostKey judges the server's host key by a callback of the type that
	// x/crypto/ssh and its knownhosts package use. If both are set, both must
	// accept; if neither is, the client refuses to connect.
	HostKey gossh.HostKeyCallback
	// GSSKeyExchange offers the gss- key exchange methods for these mechanisms,
	// before all others unless KeyExchanges says something else: the server
	// then proves itself by the mechanism, and HostKey is not called. With
	// servers that have none of these methods it is called as usual. Nil offers
	// none.
	GSSKeyExchange *GSSClient
	// Greeting gets the text that the server sent before its ident, if any: at
	// most 8 KiB, each line with an LF at its end. It is sent unencrypted, so
	// anybody on the network may have written it: filter control characters
	// before showing it. Nil drops it; Conn.Info has it too.
	Greeting func(text string)
	// Banner gets text that the server wants shown before login, as it is, and
	// its language tag, usually empty (RFC 4252 section 5.4): filter control
	// characters before showing it. Nil drops it.
	Banner func(text, language string)

	// Dial makes the connection for the function Dial, in place of a zero
	// net.Dialer. Set it to the DialContext of a net.Dialer with a LocalAddr,
	// of a proxy's dialer, or of the Client of a jump host.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnHostKeys is told which host keys the server has, once the server has
	// proven to hold them, so that new keys can be learned with
	// [KnownHosts.Update] while a known one is still in use. It is called on a
	// goroutine of its own after login, and again when the keys change; never
	// for keys that were merely announced. If it is nil, the server is not
	// asked for the proof.
	OnHostKeys func(context.Context, *HostKeyUpdate)

	// Channels decides on channels that the server opens, by type. What is
	// not here is refused.
	Channels map[string]ChannelHandler
	// Requests answers global requests of the server, by name.
	Requests map[string]GlobalHandler
}

// A Client is the client's end of a connection.
type Client struct{ *Conn }

var (
	errNoConfig  = &ConfigError{"client", errors.New("ClientConfig is nil")}
	errNoHostKey = errors.New("neither ClientConfig.HostKeyPolicy nor HostKey is set: there is no way to know the server")
)

// Dial connects to addr and logs in. The context governs all of it: TCP, the
// handshake and authentication; the connection outlives it. An address without
// a port has port 22. Networks "tcp4" and "tcp6" use addresses of one family
// only. A name that cannot be resolved is a *net.DNSError, a failure to connect
// a *net.OpError, both wrapped.
func Dial(ctx context.Context, network, addr string, cfg *ClientConfig) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if network != "unix" {
		addr = withPort(addr)
	}
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("ssh2: dial: %w", err)
	}
	return NewClient(ctx, nc, addr, cfg)
}

// defaultPort is SSH's (RFC 4253 section 4.1).
const defaultPort = "22"

// withPort returns addr with a port if it has none. An IPv6 address may have
// brackets or not.
func withPort(addr string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if port != "" {
			return addr
		}
		return net.JoinHostPort(host, defaultPort)
	}
	if n := len(addr); n > 2 && addr[0] == '[' && addr[n-1] == ']' {
		addr = addr[1 : n-1]
	}
	return net.JoinHostPort(addr, defaultPort)
}

// NoMoreSessions tells the server to refuse any further session on this
// connection, so that somebody who takes over the connection cannot open one
// (no-more-sessions@openssh.com). A server that does not support it refuses
// with a *RequestError.
func (c *Client) NoMoreSessions(ctx context.Context) error {
	_, err := c.Request(ctx, noMoreSessionsName, true, nil)
	return err
}

// NewClient logs in over nc, which it owns and closes if it fails. addr, as
// "host:port", is the address that ClientConfig.HostKeyPolicy gets. The context
// governs handshake and authentication.
func NewClient(ctx context.Context, nc net.Conn, addr string, cfg *ClientConfig) (*Client, error) {
	tcfg, err := cfg.clientTransport(addr, nc)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	t := transport.New(nc, tcfg)
	auth, err := cfg.login(ctx, t, addr)
	if err != nil {
		_ = t.Close()
		t.ReleaseReader()
		return nil, err
	}
	c := newConn(context.WithoutCancel(ctx), t, &cfg.Config, *auth)
	c.openers, c.globals = cfg.Channels, cfg.Requests
	if cfg.OnHostKeys != nil {
		c.watch = &hostKeyWatch{tell: cfg.OnHostKeys, addr: addr, offered: tcfg.HostKeys, minRSA: cfg.MinRSABits}
		orDefault(&c.watch.minRSA, defaultMinRSABits)
	}
	go func() { _ = c.run() }() // the reader; it ends with the connection, Wait returns its error
	return &Client{c}, nil
}

// check fails if nothing could come of connecting with cfg.
func (cfg *ClientConfig) check() error {
	switch {
	case cfg == nil:
		return errNoConfig
	case cfg.knowsNobody():
		return &ConfigError{"host key", errNoHostKey}
	}
	return cfg.checkAuth()
}

func (cfg *ClientConfig) clientTransport(addr string, nc net.Conn) (*transport.Config, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	o, err := cfg.resolve(cfg.GSSKeyExchange.oids()...)
	if err != nil {
		return nil, err
	}
	if cfg.HostKeyPolicy != nil {
		o.hostKeys = reorder(o.hostKeys, cfg.HostKeyPolicy.Prefer(addr, slices.Clone(o.hostKeys)))
	}
	tcfg, err := cfg.transport(msg.Client, o)
	if err != nil {
		return nil, err
	}
	tcfg.HostKey = func(ctx context.Context, algorithm string, key gossh.PublicKey) error {
		return cfg.checkHostKey(ctx, &HostKeyInfo{Addr: addr, Remote: nc.RemoteAddr(), Algorithm: algorithm, Key: key})
	}
	tcfg.GSS = cfg.GSSKeyExchange.transport(addr)
	tcfg.Greeted = cfg.Greeting
	tcfg.Extensions = []msg.Extension{{Name: "ping@openssh.com", Value: []byte("0")}}
	return tcfg, nil
}

// login does handshake and authentication.
func (cfg *ClientConfig) login(ctx context.Context, t *transport.Conn, addr string) (*authResult, error) {
	if err := t.Handshake(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, during("handshake", context.Cause(ctx))
		}
		return nil, hungUp(t, "handshake", err)
	}
	if cfg.Timeouts.Auth > 0 {
		timed, cancel := context.WithTimeoutCause(ctx, cfg.Timeouts.Auth, &TimeoutError{What: "authentication"})
		defer cancel()
		ctx = timed
	}
	defer context.AfterFunc(ctx, func() { _ = t.Close() })()
	auth, err := cfg.authenticate(ctx, t, addr)
	if err != nil && ctx.Err() != nil {
		return nil, during("authentication", context.Cause(ctx))
	}
	return auth, hungUp(t, "authentication", err)
}

// hungUp makes an error of a stream that ended say when and, as far as the
// server said so before its ident, why. It still is an io.EOF.
func hungUp(t *transport.Conn, when string, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if i := t.Info(); i.RemoteIdent == "" {
		when = "ident"
		if i.Greeting != "" {
			when += fmt.Sprintf(": after %+q", clip(i.Greeting))
		}
	}
	return fmt.Errorf("ssh2: %s: server closed the connection: %w", when, err)
}
