package ssh2

import (
	"context"
	"fmt"
)

// A ShutdownError tells how many connections Shutdown had to close.
type ShutdownError struct {
	Conns int   // connections that were still busy
	Err   error // why it did not wait any longer
}

// Error says how many.
func (e *ShutdownError) Error() string {
	return fmt.Sprintf("ssh2: shutdown: %d connections cut off: %v", e.Conns, e.Err)
}

// Unwrap returns Err.
func (e *ShutdownError) Unwrap() error { return e.Err }

// Shutdown stops accepting connections and channels, and lets running sessions
// finish (see ServerSession.OnShutdown). A connection is ended with DISCONNECT
// when it has no channel left, or when for a minute or two nothing has been
// running in the sessions that are left. If ctx ends first, Shutdown closes the
// remaining connections and returns a *ShutdownError.
func (s *Server) Shutdown(ctx context.Context) error {
	_ = s.prepare() // a server that cannot run can still be shut down
	var drain []*Conn
	s.mu.Lock()
	s.stopAccepting()
	for sv := range s.conns {
		if sv.conn != nil {
			drain = append(drain, sv.conn)
		} else {
			_ = sv.t.Disconnect(uint32(DisconnectByApplication), "server is shutting down")
		}
	}
	s.mu.Unlock()
	for _, c := range drain {
		c.drain()
	}
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		if ctx.Err() != nil {
			cut := len(s.conns)
			s.closeAll()
			return &ShutdownError{cut, context.Cause(ctx)}
		}
		s.cond.Wait()
	}
	return nil
}

// Close stops accepting and ends every connection at once. It does not wait
// for handlers; their contexts end.
func (s *Server) Close() error {
	_ = s.prepare()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAccepting()
	s.closeAll()
	return nil
}

// stopAccepting is called with s.mu held.
func (s *Server) stopAccepting() {
	s.over = true
	for l := range s.listeners {
		_ = l.Close()
	}
}

// closeAll is called with s.mu held.
func (s *Server) closeAll() {
	for sv := range s.conns {
		// The reader of each cleans up; nobody waits for that here.
		_ = sv.t.NetConn().Close()
	}
}
