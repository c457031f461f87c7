package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

const (
	acceptPause = 5 * time.Millisecond // after the first failure of accept; it doubles
	acceptLimit = time.Second
	// maxRefusals is how many clients beyond MaxConnections are told why at a time. Others are just
	// closed on.
	maxRefusals = 32
)

// accept takes connections until the listener is closed. Nothing here waits for a client, a handler or a look-up.
func (e *engine) accept(l net.Listener) {
	defer e.retire()
	defer close(e.accepted)
	var tooMany crowd
	for pause := acceptPause; ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			if c := e.admit(nc); c != nil {
				go e.serve(c)
				continue
			}
			e.refuse(nc)
			if n := tooMany.report(e.refused.Add(1), time.Now()); n > 0 {
				e.report(nil, fmt.Errorf("%w: %d refused", ErrTooManyConnections, n))
			}
			continue
		case e.stopped() || errors.Is(err, net.ErrClosed):
			return
		}
		// Out of descriptors, or a client that left again: others are waiting.
		e.report(nil, &Error{Code: ErrorCode(err), Op: "accept", Err: err})
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-e.stopping:
			again.Stop()
			return
		}
		pause = min(2*pause, acceptLimit)
	}
}

// A crowd sees to it that clients that are refused fill no log: it has them reported once a second.
type crowd struct {
	at   time.Time
	told uint64
}

// report returns how many to report of now, if total were refused ever.
func (c *crowd) report(total uint64, now time.Time) uint64 {
	if now.Sub(c.at) < time.Second {
		return 0
	}
	n := total - c.told
	c.at, c.told = now, total
	return n
}

// admit makes the connection known, unless there are too many.
func (e *engine) admit(nc net.Conn) *Connection {
	s := e.Server
	most := e.MaxConnections
	if most == 0 {
		most = DefaultMaxConnections
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= most {
		return nil
	}
	s.lastID++
	c := newConnection(e, strconv.FormatUint(s.lastID, 10), nc)
	if s.conns == nil {
		s.conns = make(map[string]*Connection)
	}
	s.conns[c.id] = c
	e.live++
	return c
}

// refuse tells a client that there are too many, and does not wait for it.
func (e *engine) refuse(nc net.Conn) {
	if e.refusing.Add(1) > maxRefusals {
		e.refusing.Add(-1)
		_ = nc.Close()
		return
	}
	go func() { // for a second at most
		defer e.refusing.Add(-1)
		_ = e.ssh.Refuse(nc, ssh2.DisconnectTooManyConnections, "too many connections")
	}()
}

// Refused returns how many clients were refused because of MaxConnections since the Server was created.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// serve runs a connection from its first event to its last.
func (e *engine) serve(c *Connection) {
	defer e.retire()
	defer e.forget(c)
	defer c.stop(nil)
	start := time.Now()
	if !e.request(c) {
		_ = c.nc.Close()
		c.end()
		e.note(c, "connection refused", slog.String("remote", c.RemoteAddr().String()))
		return
	}
	err := e.connected(c)
	if err == nil {
		c.step("connected", slog.String("remote", c.RemoteAddr().String()))
		err = e.ssh.ServeConn(c.ctx, c.nc)
	} else {
		_ = c.nc.Close()
	}
	c.end()
	why := c.outcome(err)
	e.over(c, start, err, why)
	c.lines.end()
	e.disconnected(c, why)
}

// request asks whether the client may connect: the lists, and then the event.
func (e *engine) request(c *Connection) bool {
	accept, err := e.clients.admit(c.ctx, c.RemoteAddr())
	if err != nil {
		e.report(c, &Error{Code: ErrorCode(err), Op: "allowed clients", Err: err})
	}
	if f := e.ConnectionRequest; f != nil {
		ev := &ConnectionRequestEvent{Address: c.RemoteHost(), Port: c.RemotePort(), Accept: accept}
		accept = c.fire(func() { f(ev) }) && ev.Accept
	}
	return accept && c.ctx.Err() == nil
}

// connected sets the socket up and tells that the connection is there. An error is why it ends here.
func (e *engine) connected(c *Connection) error {
	bad := e.setUp(c.nc)
	if f := e.Connected; f != nil {
		ev := &ConnectedEvent{Event: Event{c}, Description: "OK"}
		if bad != nil {
			ev.StatusCode, ev.Description = statusOf(bad)
		}
		c.fire(func() { f(ev) })
		if len(ev.HostKeys) > 0 {
			c.hostKeys = ev.HostKeys
		}
	}
	if bad != nil {
		return &Error{Code: ErrorCode(bad), Op: "connect", Err: bad}
	}
	return c.handOver()
}

// disconnected tells that the connection has ended, as often as Connected was fired.
func (e *engine) disconnected(c *Connection, why error) {
	f := e.Disconnected
	if f == nil {
		return
	}
	ev := &DisconnectedEvent{Event: Event{c}, Description: "OK", Err: why}
	if why != nil {
		ev.StatusCode, ev.Description = statusOf(why)
	}
	c.fire(func() { f(ev) })
}

// statusOf is the number and the text of what ended a connection. There is always a number.
func statusOf(err error) (int, string) {
	code := ErrorCode(err)
	if code == 0 {
		code = codeAborted
	}
	return code, err.Error()
}

// forget takes the connection out of Connections.
func (e *engine) forget(c *Connection) {
	s := e.Server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.id)
}

// stopped tells whether the accept loop is to end.
func (e *engine) stopped() bool {
	select {
	case <-e.stopping:
		return true
	default:
		return false
	}
}

// stopAccepting ends the accept loop and waits for that.
func (e *engine) stopAccepting() error {
	e.stopOnce.Do(func() { close(e.stopping) })
	err := e.listener.Close()
	<-e.accepted
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// retire is called by each connection, and by the accept loop, when it has ended. The last one
// gives back what the engine holds.
func (e *engine) retire() {
	s := e.Server
	s.mu.Lock()
	e.live--
	over := e.live == 0
	if over {
		for i, other := range s.engines {
			if other == e {
				s.engines = append(s.engines[:i:i], s.engines[i+1:]...)
				break
			}
		}
	}
	s.mu.Unlock()
	if over {
		e.roots.close()
		close(e.done)
	}
}

// mine are the engine's connections.
func (e *engine) mine() (all []*Connection) {
	s := e.Server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.engine == e {
			all = append(all, c)
		}
	}
	return all
}

// shutdown ends every connection as soon as nothing is being transferred on it, and all when ctx ends.
func (e *engine) shutdown(ctx context.Context) error {
	for _, c := range e.mine() {
		c.dismiss()
	}
	err := e.ssh.Shutdown(ctx)
	if err == nil { // those that ssh does not know, and handlers of Disconnected
		select {
		case <-e.done:
			return nil
		case <-ctx.Done():
			err = &ssh2.ShutdownError{Conns: len(e.mine()), Err: context.Cause(ctx)}
		}
	}
	e.cut()
	return err
}

// cut ends every connection at once.
func (e *engine) cut() {
	for _, c := range e.mine() {
		c.cut(errShutdown)
	}
	_ = e.ssh.Close()
}

var errShutdown error = &ssh2.DisconnectError{Reason: uint32(ssh2.DisconnectByApplication), Text: "server is shutting down"}
