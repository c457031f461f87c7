package ssh2

import (
	"context"
	"fmt"
	"net"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// DialContext connects from the server: with network "tcp" to "host:port", the
// name being resolved there (direct-tcpip, RFC 4254 section 7.2), with "unix"
// to the socket of that path (direct-streamlocal@openssh.com). Networks "tcp4"
// and "tcp6" require addr to be an IP address of that family, since only the
// server decides how a name is resolved.
//
// The connection works like one of package net, with deadlines; like a
// *net.TCPConn it has a method CloseWrite, which ends one direction. A refusal
// is an *OpenError. Cancelling ctx gives up connecting, not the connection.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.DialFrom(ctx, network, addr, HostPort{"127.0.0.1", 0})
}

// Dial is [Client.DialContext] without a context, for libraries whose dial
// hooks have this signature.
func (c *Client) Dial(network, addr string) (net.Conn, error) {
	return c.DialContext(context.Background(), network, addr)
}

// DialFrom is [Client.DialContext] with the address that the server is told the
// connection originates from, such as that of a proxy's client. Servers log it,
// and may base decisions on it. It is ignored for Unix sockets.
func (c *Client) DialFrom(ctx context.Context, network, addr string, origin net.Addr) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	case "unix":
		return c.dialUnix(ctx, addr)
	default:
		return nil, fmt.Errorf("ssh2: dial: %w", net.UnknownNetworkError(network))
	}
	to, err := ParseHostPort(addr)
	if err != nil {
		return nil, err
	}
	if err := checkFamily(network, to.Host); err != nil {
		return nil, fmt.Errorf("ssh2: dial: %w", err)
	}
	from := hostPort(origin)
	extra := wire.Append(nil, &msg.TCPChannel{Addr: to.Host, Port: uint32(to.Port), Origin: from.Host, OriginPort: uint32(from.Port)})
	ch, err := c.Open(ctx, directTCP, extra, nil)
	if err != nil {
		return nil, during("dial", err)
	}
	return &forwardConn{ch, from.addr(), to.addr()}, nil
}

func (c *Client) dialUnix(ctx context.Context, path string) (net.Conn, error) {
	if _, err := checkPath(path); err != nil {
		return nil, fmt.Errorf("ssh2: dial: %+q is no path of a socket", clip(path))
	}
	ch, err := c.Open(ctx, directUnix, wire.Append(nil, &msg.DirectUnix{Path: path}), nil)
	if err != nil {
		return nil, during("dial", err)
	}
	return &forwardConn{ch, unixAddr(""), unixAddr(path)}, nil
}

// checkFamily refuses an address of the wrong family. Names pass.
func checkFamily(network, host string) error {
	ip := net.ParseIP(host)
	if ip == nil || network == "tcp" || (ip.To4() != nil) == (network == "tcp4") {
		return nil
	}
	return &net.AddrError{Err: "no address for " + network, Addr: clip(host)}
}
