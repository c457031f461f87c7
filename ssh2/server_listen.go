package ssh2

import (
	"context"
	"fmt"
	"iter"
	"net"
)

// ListenAndServe listens on addr and serves connections until Shutdown, Close,
// a permanent error of the listener, or the end of ctx, which ends every
// connection as Close does. A port 0 lets the system choose: see Addrs. It
// returns ErrServerClosed unless the listener failed.
func (s *Server) ListenAndServe(ctx context.Context, network, addr string) error {
	if err := s.prepare(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return fmt.Errorf("ssh2: server: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	return s.Serve(l)
}

// Addrs returns the addresses that Serve and ListenAndServe listen on now.
func (s *Server) Addrs() []net.Addr {
	_ = s.prepare()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]net.Addr, 0, len(s.listeners))
	for l := range s.listeners {
		all = append(all, l.Addr())
	}
	return all
}

// NumConns returns the number of connections, including those that are not
// authenticated yet.
func (s *Server) NumConns() int {
	_ = s.prepare()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Conns returns the connections that are authenticated now, in no order. Others
// may come and go while they are looked at.
func (s *Server) Conns() iter.Seq[*Conn] {
	_ = s.prepare()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Conn
	for sv := range s.conns {
		if sv.conn != nil {
			all = append(all, sv.conn)
		}
	}
	return func(yield func(*Conn) bool) {
		for _, c := range all {
			if !yield(c) {
				return
			}
		}
	}
}
