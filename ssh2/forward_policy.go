package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Defaults of ForwardPolicy.
const (
	// DefaultMaxForwards is how many forwarded connections one SSH connection
	// may have at a time. Each may take up to WindowLimits.Initial of memory
	// while its target is slow.
	DefaultMaxForwards = 128
	// DefaultMaxListeners is how many addresses and sockets a client may have
	// the server listen on.
	DefaultMaxListeners = 32

	defaultForwardTimeout = 30 * time.Second
)

// A ForwardPolicy says what a server forwards. The zero value forwards nothing,
// and neither does a server for users whose Limits have NoPortForwarding.
//
// For TCP there are rules, which a server checks when it starts, and functions
// for what rules cannot express; only one of the two may be set. Either way
// connections and listeners are made with the rights of the server's process,
// not of the user who asks: forwarding to a Unix socket that only root may use
// opens it to every client that may forward to it.
type ForwardPolicy struct {
	// PermitOpen has the targets of direct-tcpip channels (ssh -L, -D, -W, -J),
	// as ParseOpenRules reads them: "db.internal:5432", "10.1.0.0/16:*", "*:443".
	PermitOpen []string
	// PermitListen has the addresses that clients may have the server listen on
	// (ssh -R), as ParseListenRules reads them: "localhost:8080", "*:8000-8999".
	PermitListen []string
	// GatewayPorts allows listeners on other than loopback addresses, as far as
	// PermitListen permits them. Without it every listener is on loopback
	// addresses, whatever the client asks for.
	GatewayPorts bool
	// PermitSockets has the exact paths of Unix sockets that clients may connect
	// to (direct-streamlocal@openssh.com).
	PermitSockets []string
	// Sockets is where clients may have the server listen on Unix sockets
	// (streamlocal-forward@openssh.com).
	Sockets SocketDir

	// DialTCP connects for direct-tcpip in place of PermitOpen. An *OpenError
	// is sent to the client as it is; of any other error the client learns only
	// the kind. The context ends with the channel or after Timeout. If the
	// result has a method CloseWrite, it is called at the end of what the
	// client sends; otherwise the connection is closed then. from is the
	// client's claim of where the connection originates.
	DialTCP func(ctx context.Context, c *Conn, to, from HostPort) (net.Conn, error)
	// DialUnix connects for direct-streamlocal@openssh.com in place of PermitSockets.
	DialUnix func(ctx context.Context, c *Conn, path string) (net.Conn, error)
	// ListenTCP listens for tcpip-forward in place of PermitListen. Port 0 asks
	// for any port; Addr of the result must say which. The context is the
	// connection's.
	ListenTCP func(ctx context.Context, c *Conn, at HostPort) (net.Listener, error)
	// ListenUnix listens for streamlocal-forward@openssh.com in place of Sockets.
	ListenUnix func(ctx context.Context, c *Conn, path string) (net.Listener, error)

	// MaxConns bounds the forwarded connections of one SSH connection at a time,
	// in both directions and including those that are being made; 0 means
	// DefaultMaxForwards. They do not count against Server.MaxChannels. Channels
	// beyond it are refused; listeners wait.
	MaxConns int
	// MaxListeners bounds the listeners of one SSH connection; 0 means
	// DefaultMaxListeners.
	MaxListeners int
	// Timeout bounds the making of a forwarded connection; 0 means 30 s.
	Timeout time.Duration
}

// refusals are the errors of dialling whose kind clients are told. Everything
// else of them, such as the addresses behind a name, stays here.
var refusals = []struct {
	is   func(error) bool
	text string
}{
	{func(err error) bool { return errors.Is(err, errRefused) }, "connection refused"},
	{func(err error) bool {
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	}, "timed out"},
	{func(err error) bool { return errors.Is(err, errTimedOut) }, "timed out"},
	{func(err error) bool {
		return errors.Is(err, errNoHost) || errors.Is(err, errNoNetwork)
	}, "unreachable"},
	{func(err error) bool { _, ok := errors.AsType[*net.DNSError](err); return ok }, "name not resolved"},
}

// refusal returns what the client is told of an error.
func refusal(err error) *OpenError {
	if o, ok := errors.AsType[*OpenError](err); ok {
		return o
	}
	for _, r := range refusals {
		if r.is(err) {
			return &OpenError{OpenConnectFailed, r.text}
		}
	}
	return &OpenError{OpenConnectFailed, "connect failed"}
}

var (
	errBoth         = errors.New("rules and a function at once")
	errNotPermitted = &OpenError{OpenProhibited, "not permitted"}
)

// prepare checks the policy and turns rules into functions.
func (p ForwardPolicy) prepare() (ForwardPolicy, error) {
	fail := func(what string, err error) (ForwardPolicy, error) {
		return ForwardPolicy{}, &ConfigError{"forward: " + what, err}
	}
	if len(p.PermitOpen) > 0 {
		rules, err := ParseOpenRules(p.PermitOpen...)
		switch {
		case err != nil:
			return ForwardPolicy{}, err
		case p.DialTCP != nil:
			return fail("permit open", errBoth)
		}
		p.DialTCP = func(ctx context.Context, _ *Conn, to, _ HostPort) (net.Conn, error) { return rules.Dial(ctx, to) }
	}
	if len(p.PermitListen) > 0 {
		rules, err := ParseListenRules(p.GatewayPorts, p.PermitListen...)
		switch {
		case err != nil:
			return ForwardPolicy{}, err
		case p.ListenTCP != nil:
			return fail("permit listen", errBoth)
		}
		p.ListenTCP = func(ctx context.Context, _ *Conn, at HostPort) (net.Listener, error) { return rules.Listen(ctx, at) }
	}
	if len(p.PermitSockets) > 0 {
		if p.DialUnix != nil {
			return fail("permit sockets", errBoth)
		}
		paths := map[string]bool{}
		for _, s := range p.PermitSockets {
			if _, err := checkPath(s); err != nil {
				return fail("permit sockets", fmt.Errorf("%q is no path", s))
			}
			paths[s] = true
		}
		p.DialUnix = func(ctx context.Context, _ *Conn, path string) (net.Conn, error) {
			if !paths[path] {
				return nil, errNotPermitted
			}
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	}
	if p.Sockets != (SocketDir{}) {
		switch {
		case p.Sockets.Path == "":
			return fail("sockets", errors.New("no path"))
		case p.ListenUnix != nil:
			return fail("sockets", errBoth)
		}
		p.ListenUnix = func(ctx context.Context, _ *Conn, path string) (net.Listener, error) {
			return p.Sockets.Listen(ctx, path)
		}
	}
	orDefault(&p.MaxConns, DefaultMaxForwards)
	orDefault(&p.MaxListeners, DefaultMaxListeners)
	orDefault(&p.Timeout, defaultForwardTimeout)
	return p, nil
}
