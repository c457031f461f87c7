package sftpserver

import (
	"context"

	"github.com/fairlead-ssh/fairlead/internal/throttle"
	"github.com/fairlead-ssh/fairlead/packet"
)

// lanes are the two directions of a connection whose sessions are limited.
type lanes struct{ up, down *throttle.Lane }

// throttled is the connection of a session, held back where a limit says so. Who has none gets the session itself.
func (e *engine) throttled(ctx context.Context, c *Connection, session packet.Conn) packet.Conn {
	s := e.Server
	if c.up.Limit()|c.down.Limit()|s.up.Limit()|s.down.Limit() == 0 {
		return session
	}
	c.mu.Lock()
	if c.lanes == nil {
		c.lanes = &lanes{throttle.NewLane(&c.up, &s.up), throttle.NewLane(&c.down, &s.down)}
	}
	l := c.lanes
	c.mu.Unlock()
	return throttle.Conn(ctx, session, l.up, l.down)
}

// setRates has all connections together go by the settings of an engine.
func (s *Server) setRates(e *engine) {
	s.up.Set(e.TotalUploadRate)
	s.down.Set(e.TotalDownloadRate)
}

// Rates are the limits of this connection in octets a second, to the server and from it; 0 is none.
func (c *Connection) Rates() (up, down int64) { return c.up.Limit(), c.down.Limit() }

// SetRates changes Options.UploadRate and DownloadRate for this connection, all of its sessions together; 0 or less means no
// limit. Sessions that began while there was no limit at all, of the connection or of the server, stay
// without one: set it in the UserAuth event, or before. There set it for every user who is accepted, also back to
// Options: the event may have been fired for another user before, whose key was merely shown.
func (c *Connection) SetRates(up, down int64) {
	c.up.Set(up)
	c.down.Set(down)
}
