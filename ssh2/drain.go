package ssh2

import (
	"slices"
	"time"
)

// drainLook is how often a connection that drains looks whether anything of it
// is still worth waiting for.
const drainLook = time.Minute

// drain refuses channels from now on and calls what OnShutdown registered.
func (c *Conn) drain() {
	c.mu.Lock()
	c.draining = true
	if !c.ended { // handlers are waited for from then on
		for _, f := range c.onShutdown {
			c.goHandler(f)
		}
		c.drainTimer = time.AfterFunc(drainLook, c.lookAtDrain)
	}
	c.onShutdown = nil
	c.mu.Unlock()
	closeAll(c.bindings.end())
	c.leaveIfIdle()
}

// leaveIfIdle says goodbye once a draining connection has nothing left to do.
func (c *Conn) leaveIfIdle() {
	c.mu.Lock()
	leave := c.draining && c.counted == 0 && len(c.forwards) == 0
	c.mu.Unlock()
	if leave {
		c.goodbye()
	}
}

func (c *Conn) goodbye() {
	_ = c.t.Disconnect(uint32(DisconnectByApplication), "server is shutting down")
}

// lookAtDrain ends a connection whose channels were at two looks only sessions
// that nothing runs in: the client never asked for anything, or has not closed
// what is over. It may answer keepalives for ever.
func (c *Conn) lookAtDrain() {
	c.mu.Lock()
	channels := slices.Clone(c.channels)
	c.mu.Unlock()
	busy := len(c.forwards) > 0 || slices.ContainsFunc(channels, func(ch *Channel) bool {
		if ch == nil {
			return false
		}
		ch.mu.Lock()
		defer ch.mu.Unlock()
		// What runs on other channels is not ours to see.
		return ch.counted && (ch.busy > 0 || ch.typ != "session")
	})
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	leave := !busy && c.drainIdle
	c.drainIdle = !busy
	c.drainTimer.Reset(drainLook)
	c.mu.Unlock()
	if leave {
		c.goodbye()
	}
}
