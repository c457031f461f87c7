package sftpserver

import "net"

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
