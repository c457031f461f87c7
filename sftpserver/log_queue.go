package sftpserver

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// maxLines and maxOctets bound what waits in a queue; as much again may be
	// in delivery. A quarter is kept for what is not about packets, of which there
	// may be very many.
	maxLines  = 1024
	maxOctets = 256 << 10
	// endWait is how long the end of a connection waits for what is queued.
	endWait = 5 * time.Second

	codeNoBuffers = 10055 // in Winsock's words
)

// A LostLinesError tells how many lines of the events SSHStatus, Log and Error were dropped at this point because their
// handlers were too slow.
type LostLinesError struct {
	Lines int // how many
}

// Error says how many.
func (e *LostLinesError) Error() string { return fmt.Sprintf("%d lines lost", e.Lines) }

// lostLine is the line that stands for n others. Its number is that of buffers
// without room.
func lostLine(c *Connection, n int) line {
	return errorLine(c, &Error{Code: codeNoBuffers, Op: "log", Err: &LostLinesError{n}})
}

// An outlet is one of those in outlets.
type outlet uint8

const (
	toStatus outlet = 1 << iota
	toLog
	toError
	toLogger
)

// A queue is between what happens and those who are told of it by SSHStatus,
// Log, Error and Logger, since where it happens nobody may wait: on the goroutine
// that reads a connection, or under locks. One goroutine delivers, and exists
// only while there is something to deliver. A queue without a connection is the
// engine's own.
type queue struct {
	engine *engine
	conn   *Connection

	mu      sync.Mutex
	lines   []line // that wait
	octets  int    // what they take
	lost    int    // found no room among them
	batch   []line // in delivery
	next    int    // in batch
	running bool
	idle    chan struct{} // at the end: closed when all is delivered
	over    bool          // what comes goes to the engine's queue
	cut     bool          // the rest is not delivered

	dead outlet // whose handlers have panicked; of the goroutine that delivers
}

// push puts a line in the queue. It never waits.
func (q *queue) push(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		q.engine.lines.push(l)
		return
	}
	lines, octets := maxLines, maxOctets
	if l.packet != nil {
		lines, octets = lines-lines/4, octets-octets/4
	}
	if size := l.size(); len(q.lines) >= lines || q.octets+size > octets {
		q.lost++
	} else {
		q.lines = append(q.lines, l)
		q.octets += size
	}
	if !q.running {
		q.running = true
		go q.run() // until the queue is empty
	}
}

// run delivers what is in the queue.
func (q *queue) run() {
	done := false
	defer func() {
		if !done { // a handler called runtime.Goexit; the next goroutine goes on behind it
			go q.run()
		}
	}()
	for l := q.take(); l != nil; l = q.take() {
		q.deliver(l)
	}
	done = true
}

// take returns the next line, nil if there is none. It is good until the next
// call.
func (q *queue) take() *line {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == len(q.batch) {
		clear(q.batch)
		q.batch, q.lines = q.lines, q.batch[:0]
		q.next, q.octets = 0, 0
		if q.lost > 0 {
			q.batch = append(q.batch, lostLine(q.conn, q.lost))
			q.lost = 0
		}
	}
	if q.cut || len(q.batch) == 0 {
		q.running, q.batch, q.lines, q.next = false, nil, nil, 0
		if q.idle != nil {
			q.over = true
			close(q.idle)
			q.idle = nil
		}
		return nil
	}
	q.next++
	return &q.batch[q.next-1]
}

// end is for the end of the connection: it returns when everything is delivered,
// or when that takes too long, and then the rest is lost.
func (q *queue) end() {
	q.mu.Lock()
	if !q.running {
		q.over = true
		q.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	q.idle = idle
	q.mu.Unlock()
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case <-idle:
		return
	case <-timer.C:
	}
	q.mu.Lock()
	q.over, q.cut = true, true
	left := len(q.batch) - q.next + len(q.lines) + q.lost
	q.mu.Unlock()
	if left > 0 {
		q.engine.lines.push(lostLine(q.conn, left))
	}
}

// deliver tells everybody of one line.
func (q *queue) deliver(l *line) {
	o, ev := &q.engine.out, Event{l.conn}
	if f := o.error; f != nil && l.err != nil {
		q.call(l, toError, func() {
			f(&ErrorEvent{Event: ev, Time: l.at, Code: ErrorCode(l.err), Description: clean(l.err.Error()), Err: l.err})
		})
	}
	if f := o.status; f != nil && l.status {
		q.call(l, toStatus, func() { f(&SSHStatusEvent{Event: ev, Time: l.at, Message: l.String()}) })
	}
	if !o.logs(l.level) {
		return
	}
	if f := o.log; f != nil {
		q.call(l, toLog, func() { f(&LogEvent{Event: ev, Time: l.at, Level: l.level, Message: l.String()}) })
		for row := range l.packet.rows() {
			q.call(l, toLog, func() { f(&LogEvent{Event: ev, Time: l.at, Level: LogDebug, Message: row}) })
		}
	}
	if o.logger != nil {
		q.call(l, toLogger, func() { l.record(o.logger) })
	}
}

// call runs code of the user, one handler of a connection at a time. One that
// panics ends its connection and is told nothing more of it, least of all of the
// panic.
func (q *queue) call(l *line, to outlet, f func()) {
	if (q.dead|l.skip)&to != 0 {
		return
	}
	if c := q.conn; c != nil && to != toLogger && !q.engine.ConcurrentEvents {
		c.events.Lock()
		defer c.events.Unlock()
	}
	defer func() {
		if p := recover(); p != nil {
			err := &PanicError{Value: p, Stack: debug.Stack()}
			bad := errorLine(l.conn, err)
			l.skip |= to
			bad.skip = l.skip // or two that panic would keep each other busy for ever
			if c := q.conn; c != nil {
				q.dead |= to
				c.cut(bad.err)
			}
			q.push(bad)
		}
	}()
	f()
}
