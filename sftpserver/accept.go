package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
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

// An acceptor takes the connections of one Start, each for the engine whose settings hold then.
type acceptor struct {
	server   *Server
	listener net.Listener
	stopping chan struct{} // closed when it is to end
	stopOnce sync.Once
	accepted chan struct{} // closed when it has ended
	done     chan struct{} // closed when all its connections have ended as well

	engine  *engine // for those that come; under Server.mu
	engines int     // that are not over; under Server.mu
}

func newAcceptor(s *Server, l net.Listener, e *engine) *acceptor {
	a := &acceptor{
		server: s, listener: l, engine: e, engines: 1,
		stopping: make(chan struct{}), accepted: make(chan struct{}), done: make(chan struct{}),
	}
	e.acceptor = a
	return a
}

// run takes connections until the listener is closed. Nothing here waits for a client, a handler or a look-up.
func (a *acceptor) run() {
	defer a.end()
	var tooMany crowd
	for pause := acceptPause; ; {
		nc, err := a.listener.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			e, c := a.admit(nc)
			if c != nil {
				go e.serve(c)
				continue
			}
			e.refuse(nc)
			if n := tooMany.report(a.server.refused.Add(1), time.Now()); n > 0 {
				e.report(nil, fmt.Errorf("%w: %d refused", ErrTooManyConnections, n))
			}
			continue
		case a.stopped() || errors.Is(err, net.ErrClosed):
			return
		}
		// Out of descriptors, or a client that left again: others are waiting.
		a.current().report(nil, &Error{Code: ErrorCode(err), Op: "accept", Err: err})
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-a.stopping:
			again.Stop()
			return
		}
		pause = min(2*pause, acceptLimit)
	}
}

// end is the end of run: no engine takes the place of this one any more.
func (a *acceptor) end() {
	s := a.server
	s.mu.Lock()
	close(a.accepted)
	e := a.engine
	s.mu.Unlock()
	e.retire()
}

func (a *acceptor) current() *engine {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	return a.engine
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

// admit makes the connection known, with the engine that serves it; nil if there are too many.
func (a *acceptor) admit(nc net.Conn) (*engine, *Connection) {
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	e := a.engine
	most := e.MaxConnections
	if most == 0 {
		most = DefaultMaxConnections
	}
	if len(s.conns) >= most {
		return e, nil
	}
	s.lastID++
	c := newConnection(e, strconv.FormatUint(s.lastID, 10), nc)
	if s.conns == nil {
		s.conns = make(map[string]*Connection)
	}
	s.conns[c.id] = c
	e.live++
	return e, c
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

// stopped tells whether the acceptor is to end.
func (a *acceptor) stopped() bool {
	select {
	case <-a.stopping:
		return true
	default:
		return false
	}
}

// stop ends the acceptor and waits for that.
func (a *acceptor) stop() error {
	a.stopOnce.Do(func() { close(a.stopping) })
	err := a.listener.Close()
	<-a.accepted
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// retire is called by each connection, and for the acceptor when it turns to another engine or ends. The last call
// gives back what the engine holds.
func (e *engine) retire() {
	s := e.Server
	s.mu.Lock()
	e.live--
	over := e.live == 0
	last := false
	if over {
		for i, other := range s.engines {
			if other == e {
				s.engines = append(s.engines[:i:i], s.engines[i+1:]...)
				break
			}
		}
		e.acceptor.engines--
		last = e.acceptor.engines == 0
	}
	s.mu.Unlock()
	if over {
		e.release()
		close(e.done)
	}
	if last {
		close(e.acceptor.done)
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
