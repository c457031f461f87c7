package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// TCPForward is the data of tcpip-forward and cancel-tcpip-forward requests
// (RFC 4254 section 7.1).
type TCPForward struct {
	Addr string // what to listen on; not resolved
	Port uint32 // 0 lets the server choose
}

// Layout implements wire.Layouter.
func (m *TCPForward) Layout(c *wire.Coder) {
	c.String(&m.Addr)
	c.Uint32(&m.Port)
}

// BoundPort is the data of the answer to a tcpip-forward request for port 0.
type BoundPort struct{ Port uint32 }

// Layout implements wire.Layouter.
func (m *BoundPort) Layout(c *wire.Coder) { c.Uint32(&m.Port) }

// TCPChannel is what direct-tcpip and forwarded-tcpip channels add to
// CHANNEL_OPEN (RFC 4254 section 7.2).
type TCPChannel struct {
	Addr       string // where to connect to, or where a connection came in
	Port       uint32
	Origin     string // who connected
	OriginPort uint32
}

// Layout implements wire.Layouter.
func (m *TCPChannel) Layout(c *wire.Coder) {
	c.String(&m.Addr)
	c.Uint32(&m.Port)
	c.String(&m.Origin)
	c.Uint32(&m.OriginPort)
}

// DirectUnix is what direct-streamlocal@openssh.com channels add to
// CHANNEL_OPEN (OpenSSH PROTOCOL section 2.4). What is reserved is ignored.
type DirectUnix struct {
	Path         string
	Reserved     string
	ReservedPort uint32
}

// Layout implements wire.Layouter.
func (m *DirectUnix) Layout(c *wire.Coder) {
	c.String(&m.Path)
	c.String(&m.Reserved)
	c.Uint32(&m.ReservedPort)
}

// ForwardedUnix is what forwarded-streamlocal@openssh.com channels add to
// CHANNEL_OPEN (OpenSSH PROTOCOL section 2.4).
type ForwardedUnix struct{ Path, Reserved string }

// Layout implements wire.Layouter.
func (m *ForwardedUnix) Layout(c *wire.Coder) {
	c.String(&m.Path)
	c.String(&m.Reserved)
}
