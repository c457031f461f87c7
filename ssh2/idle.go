package ssh2

import (
	"sync"
	"sync/atomic"
	"time"
)

// idleLooks is how often an idle time is looked at, per Timeouts.Idle: a
// connection ends at most that part later than it should.
const idleLooks = 16

// An idle ends a connection on which nothing of the user's passes. Like
// keepAlive it has a timer instead of a goroutine, and packets cost it one count
// each, and nothing where no limit is set.
type idle struct {
	after time.Duration // 0: never; not changed after newConn
	count atomic.Uint64 // messages of channels, both ways

	mu    sync.Mutex
	conn  *Conn
	timer *time.Timer
	over  bool
	seen  uint64    // count when we looked last
	since time.Time // when it last differed
}

func (i *idle) start(c *Conn) {
	if i.after == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conn, i.since = c, time.Now()
	i.timer = time.AfterFunc(i.after/idleLooks, i.look)
}

// used says that a message of a channel passes.
func (i *idle) used() {
	if i.after > 0 {
		i.count.Add(1)
	}
}

// look runs when the timer fires.
func (i *idle) look() {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := i.count.Load()
	switch {
	case i.over:
		return
	case n != i.seen:
		i.seen, i.since = n, time.Now()
	case time.Since(i.since) >= i.after:
		i.over = true
		i.conn.fail(&TimeoutError{What: "idle"}, DisconnectByApplication, "idle for too long")
		return
	}
	i.timer.Reset(i.after / idleLooks)
}

// end stops the timer for good.
func (i *idle) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	if i.timer != nil {
		i.timer.Stop()
	}
}
