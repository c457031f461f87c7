package sftp

import (
	"errors"
	"sync"
	"time"
)

// drainStall is how long a session that drains may hold things open while nothing
// comes or goes.
const drainStall = time.Minute

var errStalled = errors.New("sftp: drain: nothing came or went for a minute")

// drained notes that the loop is about to wait, and tells whether it should end instead.
func (s *session) drained() bool {
	if s.handles.open > 0 || s.inflight.Load() > 0 {
		return false
	}
	s.waiting.Store(true)
	return s.draining.Load()
}

// drain is called, on another goroutine, when no new transfers are wanted.
func (s *session) drain() {
	s.draining.Store(true)
	if s.waiting.Load() {
		_ = s.conn.Close()
		return
	}
	s.watch.start(s)
}

// A drainWatch ends a session whose peer neither goes on nor leaves. A peer that lives
// answers keepalives for ever, so what counts are the packets of the session itself.
type drainWatch struct {
	mu    sync.Mutex
	timer *time.Timer
	seen  uint64 // what had moved when the timer was set
	over  bool
}

func (w *drainWatch) start(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = s.moved()
	w.timer = time.AfterFunc(drainStall, func() { w.look(s) })
}

func (w *drainWatch) look(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	moved := s.moved()
	// Storage that works on something for a peer that waits is not the peer's fault.
	if moved != w.seen || s.inflight.Load() > 0 && s.out.writing.Load() == 0 {
		w.seen = moved
		w.timer.Reset(drainStall)
		return
	}
	s.cancel(errStalled)
	_ = s.conn.Close()
}

// end stops watching; the Conn is left alone from then on.
func (w *drainWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// moved counts the packets that came and went, and on a Conn with a limit of bandwidth the octets that it let pass, for which a
// packet may wait longer than drainStall.
func (s *session) moved() uint64 {
	n := s.arrived.Load() + s.out.written.Load()
	if limited, ok := s.conn.(interface{ Passed() uint64 }); ok {
		n += limited.Passed()
	}
	return n
}
