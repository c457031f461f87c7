// Package netsim simulates network links in memory, for tests: with delay,
// rate, bounded buffers, reads in small pieces, stalls and cuts.
//
// Nothing here waits on anything but condition variables and timers, so that
// tests under testing/synctest see links at their exact speed in no time.
package netsim

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A Link says how one direction of a connection behaves. The zero Link is
// instant, with a buffer of 256 KiB.
type Link struct {
	Delay time.Duration // one way
	Rate  int64         // octets per second; 0 is unlimited
	// Buffer is how many octets may be under way or unread before writes
	// wait; 0 means 256 KiB, or what the delay needs at that rate.
	Buffer int
	// MaxRead bounds what one Read returns; 1 delivers octet by octet.
	MaxRead int
	// CutAt breaks the whole connection once that many octets have been
	// written in this direction; 0 is never.
	CutAt int64
}

// ErrCut is what both ends of a connection get after a cut.
var ErrCut = errors.New("netsim: connection cut")

// Pipe returns the two ends of a connection; ab is the link from a to b.
func Pipe(ab, ba Link) (a, b *Conn) {
	f, r := newHalf(ab), newHalf(ba)
	a = &Conn{in: r, out: f, local: addr("a"), remote: addr("b")}
	b = &Conn{in: f, out: r, local: addr("b"), remote: addr("a")}
	f.other, r.other = r, f
	return a, b
}

// A Conn is one end of a simulated connection. It is a net.Conn.
type Conn struct {
	in, out       *half
	local, remote addr
}

type addr string

func (addr) Network() string  { return "netsim" }
func (a addr) String() string { return string(a) }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements net.Conn. It returns when everything is under way.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close implements net.Conn. What was written before still arrives.
func (c *Conn) Close() error {
	c.in.end(func(h *half) { h.readerGone = true })
	c.out.end(func(h *half) { h.writerGone = true })
	return nil
}

// Cut breaks the connection as if a cable were pulled and both ends noticed.
func (c *Conn) Cut() {
	c.in.end(func(h *half) { h.cut = true })
	c.out.end(func(h *half) { h.cut = true })
}

// Stall makes this end receive nothing until Resume.
func (c *Conn) Stall() { c.in.end(func(h *half) { h.stalled = true }) }

// Resume ends a Stall.
func (c *Conn) Resume() { c.in.end(func(h *half) { h.stalled = false }) }

// Written returns how many octets this end has written.
func (c *Conn) Written() int64 {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.written
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// mark says that octets up to end may be read from at on.
type mark struct {
	end int64
	at  time.Time
}

// segment is how much arrives at a time on a link with a rate.
const segment = 4 << 10

// A half is one direction.
type half struct {
	link  Link
	other *half

	mu              sync.Mutex
	cond            sync.Cond
	ring            []byte
	written, taken  int64  // octets, since the beginning
	marks           []mark // of a link with delay or rate, oldest first
	first           int    // marks before it are done
	free            time.Time
	wake            *time.Timer // for the oldest mark
	readBy, writeBy deadline
	readerGone      bool
	writerGone      bool
	cut             bool
	stalled         bool
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf(l Link) *half {
	if l.Buffer == 0 {
		l.Buffer = 256 << 10
		switch {
		case l.Rate > 0:
			l.Buffer += int(2 * float64(l.Rate) * l.Delay.Seconds())
		case l.Delay > 0:
			l.Buffer = 128 << 20
		}
	}
	h := &half{link: l}
	h.cond.L = &h.mu
	return h
}

// end changes the state and wakes everyone.
func (h *half) end(change func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	if h.wake != nil && (h.readerGone || h.cut) {
		h.wake.Stop()
	}
	h.cond.Broadcast()
}

func (h *half) setDeadline(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, h.broadcast)
	}
	h.cond.Broadcast()
}

func (h *half) broadcast() {
	h.mu.Lock()
	h.cond.Broadcast()
	h.mu.Unlock()
}

func (h *half) write(p []byte) (n int, err error) {
	n, cut, err := h.fill(p)
	if cut { // not while h.mu is held: the other direction may do the same
		h.other.end(func(h *half) { h.cut = true })
	}
	return n, err
}

// fill writes and tells whether that cut the connection.
func (h *half) fill(p []byte) (n int, cut bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n < len(p) {
		room := h.link.Buffer - int(h.written-h.taken)
		switch {
		case h.writerGone:
			return n, cut, net.ErrClosed
		case h.cut:
			return n, cut, ErrCut
		case h.readerGone:
			return n, cut, io.ErrClosedPipe
		case h.writeBy.passed():
			return n, cut, os.ErrDeadlineExceeded
		case room <= 0:
			h.cond.Wait()
			continue
		}
		m := min(len(p)-n, room)
		if h.link.Rate > 0 {
			m = min(m, segment)
		}
		if h.link.CutAt > 0 {
			m = min(m, int(h.link.CutAt-h.written))
		}
		h.put(p[n : n+m])
		n += m
		if h.link.CutAt > 0 && h.written == h.link.CutAt {
			h.cut, cut = true, true
		}
		h.cond.Broadcast()
	}
	return n, cut, nil
}

// put appends p, for which there is room, to what is under way.
func (h *half) put(p []byte) {
	n := len(p)
	if used := int(h.written - h.taken); used+len(p) > len(h.ring) {
		size := max(4<<10, len(h.ring))
		for size < used+len(p) {
			size *= 2
		}
		ring := make([]byte, size)
		for i := h.taken; i < h.written; {
			from := h.ring[i%int64(len(h.ring)):]
			from = from[:min(int64(len(from)), h.written-i)]
			to := ring[i%int64(size):]
			i += int64(copy(to, from))
		}
		h.ring = ring
	}
	for len(p) > 0 {
		m := copy(h.ring[h.written%int64(len(h.ring)):], p)
		h.written += int64(m)
		p = p[m:]
	}
	if h.link.Delay == 0 && h.link.Rate == 0 {
		return
	}
	now := time.Now()
	if h.free.Before(now) {
		h.free = now
	}
	if h.link.Rate > 0 {
		h.free = h.free.Add(time.Duration(float64(n) / float64(h.link.Rate) * float64(time.Second)))
	}
	if h.first > 0 && len(h.marks) == cap(h.marks) {
		h.marks, h.first = h.marks[:copy(h.marks, h.marks[h.first:])], 0
	}
	h.marks = append(h.marks, mark{h.written, h.free.Add(h.link.Delay)})
}

// arrived returns up to which octet may be read now.
func (h *half) arrived() int64 {
	if h.link.Delay == 0 && h.link.Rate == 0 {
		return h.written
	}
	now := time.Now()
	for ; h.first < len(h.marks); h.first++ {
		m := h.marks[h.first]
		if wait := m.at.Sub(now); wait > 0 {
			if h.wake == nil {
				h.wake = time.AfterFunc(wait, h.broadcast)
			} else {
				h.wake.Reset(wait)
			}
			break
		}
		if m.end > h.taken {
			return m.end // the mark stays until all of it is taken
		}
	}
	return h.taken
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerGone:
			return 0, net.ErrClosed
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.stalled && !h.cut:
			h.cond.Wait()
			continue
		}
		if ready := h.arrived() - h.taken; ready > 0 {
			return h.take(p, ready), nil
		}
		switch {
		case h.cut:
			return 0, ErrCut
		case h.writerGone && h.taken == h.written:
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

// take moves up to ready octets to p.
func (h *half) take(p []byte, ready int64) int {
	n := min(int64(len(p)), ready)
	if h.link.MaxRead > 0 {
		n = min(n, int64(h.link.MaxRead))
	}
	for got := int64(0); got < n; {
		m := copy(p[got:n], h.ring[h.taken%int64(len(h.ring)):])
		got += int64(m)
		h.taken += int64(m)
	}
	h.cond.Broadcast()
	return int(n)
}
