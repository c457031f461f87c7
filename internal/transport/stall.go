package transport

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stallLooks is how often a stall limit is looked at: a connection ends at most three such parts
// later than it should, and never earlier.
const stallLooks = 8

// A stall ends a connection whose peer takes nothing of what we owe it, or sends nothing more of a packet
// it began, for longer than the limit. Who owes nothing and is owed nothing may be silent for ever.
//
// It has a timer instead of a goroutine, and packets cost it nothing but the reader's note of
// whether it waits inside one. A write of some hundred KiB shows how far it has come only when it is
// complete; so one that is seen under way is interrupted, by a deadline in the past, and goes on
// where it was.
type stall struct {
	inside atomic.Bool // the reader waits for the rest of a packet

	mu    sync.Mutex
	limit time.Duration // 0: none
	timer *time.Timer
	over  bool
	poked bool // the write deadline is in the past, by our doing

	wire, window, packet progress
}

// A progress is what moves, or should, as seen by looking at it.
type progress struct {
	waits bool
	mark  uint64
	since time.Time // when it was first seen to wait at this mark
}

// look notes whether it waits, and how far it has come; it returns for how long it has not moved.
func (p *progress) look(waits bool, mark uint64, now time.Time) time.Duration {
	if !waits || !p.waits || mark != p.mark {
		p.since = now
	}
	p.waits, p.mark = waits, mark
	return now.Sub(p.since)
}

// SetStallTimeout bounds how long the peer may take nothing of what it is owed, or send nothing
// more of a packet it began; after that the connection ends with a *TimeoutError. 0 means
// no bound. It may be called at any time.
func (c *Conn) SetStallTimeout(d time.Duration) {
	s := &c.stall
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(d, 0)
	switch {
	case s.over:
	case d <= 0:
		if s.timer != nil {
			s.timer.Stop()
		}
	case s.timer == nil:
		s.timer = time.AfterFunc(stallLook(d), c.lookForStall)
	default:
		s.timer.Reset(stallLook(d))
	}
}

func stallLook(limit time.Duration) time.Duration { return max(limit/stallLooks, 1) }

// lookForStall runs when the timer fires.
func (c *Conn) lookForStall() {
	o, s := &c.out, &c.stall
	o.mu.Lock()
	writes, starved, moved := o.bytes > 0, o.starved > 0, o.moved
	o.mu.Unlock()
	now := time.Now()

	s.mu.Lock()
	limit := s.limit
	if s.over || limit == 0 {
		s.mu.Unlock()
		return
	}
	wire := s.wire.look(writes, c.bytesOut.Load(), now)
	window := s.window.look(starved, moved, now)
	packet := s.packet.look(s.inside.Load(), uint64(c.lastIn.Load()), now)
	if max(wire, window, packet) < limit {
		if writes {
			s.poke(c)
		}
		s.timer.Reset(stallLook(limit))
		s.mu.Unlock()
		return
	}
	s.over = true
	s.mu.Unlock()
	if packet >= limit {
		c.end(&TimeoutError{"packet"}, ReasonConnectionLost, "a packet was not completed")
		return
	}
	c.end(&TimeoutError{"output"}, ReasonConnectionLost, "nothing was taken")
}

// poke interrupts a write, with s.mu held. Only sockets of the system go on as if nothing had been: TLS would not.
func (s *stall) poke(c *Conn) {
	if _, ok := c.nc.(syscall.Conn); ok {
		s.poked = true
		_ = c.nc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// interrupted tells whether a write failed because it was poked, and may go on.
func (s *stall) interrupted(c *Conn, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.poked {
		return false // somebody else's deadline
	}
	s.poked = false
	_ = c.nc.SetWriteDeadline(time.Time{})
	return true
}

// end stops the timer for good.
func (s *stall) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
