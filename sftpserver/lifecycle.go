package sftpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// prepare tells ssh2 what is special about this connection.
func (c *Connection) prepare(cfg *ssh2.ConnConfig) {
	cfg.HostKeys = c.hostKeys // nil: the server's
	cfg.Timeouts.Stall = c.stallTimeout()
}

// handOver says that ssh2 gets the connection, unless it was ended meanwhile.
func (c *Connection) handOver() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	c.inSSH = true
	return nil
}

// dismiss ends the connection if ssh2 does not have it.
func (c *Connection) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inSSH {
		c.stop(errShutdown)
	}
}

// cut ends the connection at once. The first cause counts.
func (c *Connection) cut(cause error) {
	c.stop(cause)
	_ = c.nc.Close()
}

// outcome is why the connection ended, for Disconnected: nil if the client left or was sent
// away. err is what ServeConn returned.
func (c *Connection) outcome(err error) error {
	conn := c.conn()
	cause := context.Cause(c.ctx)
	_, refused := errors.AsType[*ssh2.AuthError](err)
	switch {
	case cause != nil:
		err = cause
	case conn != nil:
		err = conn.Wait() // has ended; ServeConn keeps some reasons to itself
	case err != nil && (refused || c.refusals.Load() > 0):
		return &Error{Code: CodeAuth, Op: "login", Err: err}
	}
	if leaves(err) {
		return nil
	}
	return err
}

// farewells are what clients say, and what we say, when nothing is wrong.
var farewells = []ssh2.DisconnectReason{
	ssh2.DisconnectByApplication, ssh2.DisconnectAuthCancelled, ssh2.DisconnectNoMoreAuthMethods,
}

// leaves tells whether a connection ended because one side wanted it to.
func leaves(err error) bool {
	if d, ok := errors.AsType[*ssh2.DisconnectError](err); ok {
		return slices.Contains(farewells, ssh2.DisconnectReason(d.Reason)) && (d.Remote || d.Reason == uint32(ssh2.DisconnectByApplication))
	}
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, ssh2.ErrServerClosed)
}
