package sftpserver

import (
	"net"

	gossh "golang.org/x/crypto/ssh"
)

// A ConnectionRequestEvent asks whether a client may connect.
type ConnectionRequestEvent struct {
	// Address and Port are the client's.
	Address string
	Port    int // the client's
	// Accept is preset from Options.AllowedClients and BlockedClients. Its value after the handler has returned
	// decides.
	Accept bool
}

// A ConnectedEvent tells of a new connection, before anything was read from it or sent. If a large object is kept in
// Conn.Value, clear it when the connection ends.
type ConnectedEvent struct {
	Event
	// StatusCode is 0 and Description "OK", or the number and the text of what went wrong
	// while the connection was set up. See ErrorCode.
	StatusCode  int
	Description string // see StatusCode
	// HostKeys, if not empty, take the place of Options.HostKeys for this connection.
	HostKeys []gossh.Signer
}

// A DisconnectedEvent tells that a connection has ended, whether or not its client had logged in.
type DisconnectedEvent struct {
	Event
	// StatusCode is 0 and Description "OK", or the number and text of Err. See ErrorCode.
	StatusCode  int
	Description string // see StatusCode
	// Err is why the connection ended; nil if the client left or the server disconnected it on purpose.
	Err error
}

// splitAddr takes an address apart; the port is 0 and the host the whole text if it is no TCP address.
func splitAddr(a net.Addr) (host string, port int) {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().String(), t.Port
	}
	if a == nil {
		return "", 0
	}
	return a.String(), 0
}
