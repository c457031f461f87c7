package sftpserver

import (
	"context"
	"net"
	"strconv"
)

// listen opens the listener that the settings describe.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, s.IPFamily.network(), net.JoinHostPort(s.LocalHost, strconv.Itoa(s.LocalPort)))
}

// request asks whether the client may connect.
func (e *engine) request(c *Connection) bool {
	f := e.ConnectionRequest
	if f == nil {
		return true
	}
	ev := &ConnectionRequestEvent{Address: c.RemoteHost(), Port: c.RemotePort(), Accept: true}
	return c.fire(func() { f(ev) }) && ev.Accept
}

// connected sets the socket up and tells that it is there.
func (e *engine) connected(c *Connection) error {
	f := e.Connected
	if f == nil {
		return nil
	}
	ev := &ConnectedEvent{Event: Event{c}, Description: "OK"}
	if !c.fire(func() { f(ev) }) {
		return net.ErrClosed
	}
	return nil
}
