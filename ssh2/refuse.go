package ssh2

import (
	"io"
	"net"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

const (
	refuseTime  = time.Second // that a client has to hear why
	refuseTaken = 64 << 10    // octets of it that are thrown away meanwhile
)

// Refuse tells a client why it is not served, by a DISCONNECT in place of a key
// exchange, and closes the connection once the client has left, or after a
// second. It owns nc.
func (s *Server) Refuse(nc net.Conn, reason DisconnectReason, text string) error {
	defer nc.Close()
	if err := s.prepare(); err != nil {
		return err
	}
	if err := nc.SetDeadline(time.Now().Add(refuseTime)); err != nil {
		return err
	}
	if _, err := nc.Write(transport.Refusal(s.tcfg.Version, uint32(reason), text)); err != nil {
		return err
	}
	// To close while the client's ident is on its way would have the system reset the connection, and
	// the client might not read what was sent.
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, nc, refuseTaken)
	return nil
}
