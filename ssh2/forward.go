package ssh2

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// The channel types and requests of forwarding (RFC 4254 section 7, OpenSSH
// PROTOCOL section 2.4).
const (
	directTCP     = "direct-tcpip"
	directUnix    = "direct-streamlocal@openssh.com"
	forwardedTCP  = "forwarded-tcpip"
	forwardedUnix = "forwarded-streamlocal@openssh.com"

	listenTCP  = "tcpip-forward"
	cancelTCP  = "cancel-tcpip-forward"
	listenUnix = "streamlocal-forward@openssh.com"
	cancelUnix = "cancel-streamlocal-forward@openssh.com"
)

// maxSocketPath bounds the path of a Unix socket. No system has longer ones.
const maxSocketPath = 1 << 10

var (
	errForward    = errors.New("ssh2: forward: malformed")
	errNotForward = errors.New("ssh2: forward: this is not about such an address")
)

// A HostPort is one end of a TCP connection as SSH messages carry it: the host
// is a name or an address, and has not been resolved. It is a net.Addr.
type HostPort struct {
	Host string // untrusted when it comes from a peer: quote before printing
	Port int    // 0 to 65535
}

// ParseHostPort reads "host:port", with an IPv6 address in brackets. The port
// must be a number.
func ParseHostPort(s string) (HostPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return HostPort{}, fmt.Errorf("ssh2: address: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return HostPort{}, fmt.Errorf("ssh2: address %+q: the port is no number from 0 to 65535", clip(s))
	}
	return HostPort{host, int(n)}, nil
}

// Network returns "tcp".
func (h HostPort) Network() string { return "tcp" }

// String returns "host:port".
func (h HostPort) String() string { return net.JoinHostPort(h.Host, strconv.Itoa(h.Port)) }

// addr returns h as code that handles TCP addresses likes it: a *net.TCPAddr if
// the host is an IP address.
func (h HostPort) addr() net.Addr {
	if ip, err := netip.ParseAddr(h.Host); err == nil {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(h.Port)))
	}
	return h
}

// hostPort returns an address of ours as SSH writes it.
func hostPort(a net.Addr) HostPort {
	switch a := a.(type) {
	case HostPort:
		return a
	case *net.TCPAddr:
		ap := a.AddrPort()
		if !ap.Addr().IsValid() {
			return HostPort{Port: int(ap.Port())}
		}
		return HostPort{ap.Addr().Unmap().String(), int(ap.Port())}
	case nil:
		return HostPort{}
	}
	h, _ := ParseHostPort(a.String()) // wrappers print like what they wrap; else there is no port to tell
	return h
}

// wirePort returns a port of the peer, of which there are fewer than numbers.
func wirePort(p uint32) (int, bool) { return int(p), p <= math.MaxUint16 }

// TCP returns the addresses of a direct-tcpip or forwarded-tcpip channel (RFC
// 4254 section 7.2): to is the target that the peer wants to connect to, or the
// peer's address that was connected to; from is where the connection
// originated. It fails for other channels and for malformed ones.
func (n *NewChannel) TCP() (to, from HostPort, err error) {
	if n.ch.typ != directTCP && n.ch.typ != forwardedTCP {
		return HostPort{}, HostPort{}, errNotForward
	}
	return parseTCPChannel(n.extra)
}

func parseTCPChannel(extra []byte) (to, from HostPort, err error) {
	var m msg.TCPChannel
	if err := wire.Decode(extra, &m); err != nil {
		return HostPort{}, HostPort{}, errForward
	}
	port, ok := wirePort(m.Port)
	originPort, originOK := wirePort(m.OriginPort)
	if !ok || !originOK {
		return HostPort{}, HostPort{}, errForward
	}
	return HostPort{m.Addr, port}, HostPort{m.Origin, originPort}, nil
}

// SocketPath returns the path that a direct-streamlocal@openssh.com or
// forwarded-streamlocal@openssh.com channel is about. It fails for other
// channels and for malformed ones.
func (n *NewChannel) SocketPath() (string, error) {
	switch n.ch.typ {
	case directUnix:
		var m msg.DirectUnix
		if wire.Decode(n.extra, &m) != nil {
			return "", errForward
		}
		return checkPath(m.Path)
	case forwardedUnix:
		return parseForwardedUnix(n.extra)
	}
	return "", errNotForward
}

func parseForwardedUnix(extra []byte) (string, error) {
	var m msg.ForwardedUnix
	if wire.Decode(extra, &m) != nil {
		return "", errForward
	}
	return checkPath(m.Path)
}

// checkPath refuses what is no path on any system.
func checkPath(path string) (string, error) {
	if path == "" || len(path) > maxSocketPath {
		return "", errForward
	}
	for i := range len(path) {
		if path[i] == 0 {
			return "", errForward
		}
	}
	return path, nil
}

// TCPBind returns the address that a tcpip-forward or cancel-tcpip-forward
// request is about (RFC 4254 section 7.1), as the client wrote it: "" means
// everywhere, "localhost" the loopback addresses of all families. Port 0 of a
// tcpip-forward lets the server choose; see PortReply. It fails for other
// requests and for malformed ones.
func (r *Request) TCPBind() (HostPort, error) {
	if r.Name != listenTCP && r.Name != cancelTCP {
		return HostPort{}, errNotForward
	}
	var m msg.TCPForward
	if wire.Decode(r.Data, &m) != nil {
		return HostPort{}, errForward
	}
	port, ok := wirePort(m.Port)
	if !ok {
		return HostPort{}, errForward
	}
	return HostPort{m.Addr, port}, nil
}

// SocketPath returns the path that a streamlocal-forward@openssh.com or
// cancel-streamlocal-forward@openssh.com request is about. It fails for other
// requests and for malformed ones.
func (r *Request) SocketPath() (string, error) {
	if r.Name != listenUnix && r.Name != cancelUnix {
		return "", errNotForward
	}
	var m msg.Text
	if wire.Decode(r.Data, &m) != nil {
		return "", errForward
	}
	return checkPath(m.Value)
}

// PortReply returns the reply of a tcpip-forward handler to a request for port
// 0: the port that the server chose. The reply to a request for a specific port
// is empty (RFC 4254 section 7.1).
func PortReply(port int) []byte { return wire.AppendUint32(nil, uint32(port)) }

// A forwardConn is a forwarded connection: a channel with the addresses of what
// it leads to.
type forwardConn struct {
	*Channel
	local, remote net.Addr
}

// LocalAddr returns where the connection came in, or comes from.
func (f *forwardConn) LocalAddr() net.Addr { return f.local }

// RemoteAddr returns what is at the other end.
func (f *forwardConn) RemoteAddr() net.Addr { return f.remote }

// unixAddr returns the address of a socket.
func unixAddr(path string) net.Addr { return &net.UnixAddr{Name: path, Net: "unix"} }
