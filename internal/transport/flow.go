package transport

import (
	"encoding/binary"
	"os"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/packet"
)

// maxWindow is the largest window (RFC 4254 section 5.2).
const maxWindow = 1<<32 - 1

// maxPiece is the most data we put into one packet however large the peer's
// maximum is: with everything around it the packet stays below the 256 KiB
// at which OpenSSH, and we ourselves, draw the line.
const maxPiece = 256<<10 - 1<<10

// A Flow is the sending half of a channel: the peer's window and packet size.
// It lives in the outbox, because window, ring and order are one decision
// under one lock. All methods are safe for concurrent use.
type Flow struct {
	c         *Conn
	recipient uint32
	piece     int // largest data of one packet

	// Under outbox.mu.
	window   uint64
	busy     bool // a message is half ordered; others wait for its end
	err      error
	deadline time.Time
	timer    *time.Timer
}

// NewFlow returns a Flow to the peer's channel recipient with the window and
// maximum packet size it announced. A maxPacket of 0 is to be refused by the
// caller; it is taken as 1 here, so that at least nothing spins.
func (c *Conn) NewFlow(recipient, window, maxPacket uint32) *Flow {
	return &Flow{c: c, recipient: recipient, window: uint64(window), piece: int(min(max(maxPacket, 1), maxPiece))}
}

// MaxPacket returns the most data that leaves in one packet.
func (f *Flow) MaxPacket() int { return f.piece }

// Write sends the chain b as channel data, in one piece as far as the channel
// is concerned. It takes b. It waits for window, for room on the way out, and
// for key exchanges; on return everything has its place in the order.
func (f *Flow) Write(b *packet.Buf) error { return f.write(b, 0) }

// WriteExtended is Write for a stream other than the main one; code 1 is
// stderr.
func (f *Flow) WriteExtended(code uint32, b *packet.Buf) error { return f.write(b, code) }

func (f *Flow) write(b *packet.Buf, code uint32) error {
	o := &f.c.out
	mine := false // we hold the turn
	for b != nil {
		if b.Len() == 0 {
			next := b.Unlink()
			b.Release()
			b = next
			continue
		}
		o.mu.Lock()
		for o.err == nil && f.err == nil && (f.busy && !mine || f.window == 0 || !o.canOrder()) && !f.late() {
			if f.window == 0 {
				o.starved++
				o.wait()
				o.starved--
			} else {
				o.wait()
			}
		}
		err := o.err
		if err == nil {
			err = f.err
		}
		if err == nil && f.late() {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			f.release(mine)
			o.mu.Unlock()
			b.Release()
			return err
		}
		from := o.tail
		for b != nil && f.window > 0 && o.canOrder() {
			if b.Len() == 0 {
				break
			}
			b = f.order(b, code)
		}
		if b != nil {
			mine, f.busy = true, true
		} else {
			f.release(mine)
			mine = false // the next turn is somebody else's to end
		}
		to, full := o.tail, o.overLimit()
		o.mu.Unlock()
		// Sealing comes before the next wait: the writer waits for these slots.
		o.seal(from, to)
		if full {
			f.c.startKex(kexSpent)
		}
	}
	if mine {
		o.mu.Lock()
		f.release(true)
		o.mu.Unlock()
	}
	return nil
}

// release ends the turn, with outbox.mu held.
func (f *Flow) release(mine bool) {
	if mine {
		f.busy = false
		f.c.out.room.Broadcast()
	}
}

func (f *Flow) late() bool { return !f.deadline.IsZero() && !time.Now().Before(f.deadline) }

// order orders the front of b and returns what is left of the chain, with
// outbox.mu held.
func (f *Flow) order(b *packet.Buf, code uint32) *packet.Buf {
	n := min(b.Len(), f.piece, int(min(f.window, maxPiece)))
	rest := b.Unlink()
	if over := b.Len() - n; over > 0 {
		// The smaller part is the one that is copied, so that a peer with a
		// tiny packet size costs no more than the data is long.
		if over < n {
			tail := packet.Get(over)
			copy(tail.Bytes(), b.Bytes()[n:])
			b.Trim(n)
			if rest != nil {
				tail.Link(rest)
			}
			rest = tail
		} else {
			front := packet.Get(n)
			copy(front.Bytes(), b.Bytes())
			b.Skip(n)
			if rest != nil {
				b.Link(rest)
			}
			b, rest = front, b
		}
	}
	header := msg.ChannelDataHeader
	if code != 0 {
		header += 4
	}
	if b.Head() < header+payloadAt {
		roomy := packet.Get(n)
		copy(roomy.Bytes(), b.Bytes())
		b.Release()
		b = roomy
	}
	h := b.Prepend(header)
	if code == 0 {
		msg.PutChannelData(h, f.recipient, n)
	} else {
		h[0] = msg.NumChannelExtData
		binary.BigEndian.PutUint32(h[1:], f.recipient)
		binary.BigEndian.PutUint32(h[5:], code)
		binary.BigEndian.PutUint32(h[9:], uint32(n))
	}
	f.window -= uint64(n)
	f.c.out.moved++
	f.c.out.order(b)
	return rest
}

// Grant adds to the window what a WINDOW_ADJUST said. A window beyond 2^32-1 is
// a violation and ends the connection.
func (f *Flow) Grant(n uint32) error {
	o := &f.c.out
	o.mu.Lock()
	over := f.window+uint64(n) > maxWindow
	if !over {
		f.window += uint64(n)
		if o.waiting > 0 {
			o.room.Broadcast()
		}
	}
	o.mu.Unlock()
	if over {
		return f.c.Violation("window beyond 2^32-1")
	}
	return nil
}

// Window returns how much may be sent at the moment.
func (f *Flow) Window() uint32 {
	f.c.out.mu.Lock()
	defer f.c.out.mu.Unlock()
	return uint32(f.window)
}

// Close makes blocked and later Writes fail with err.
func (f *Flow) Close(err error) {
	o := &f.c.out
	o.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	o.room.Broadcast()
	o.mu.Unlock()
}

// SetDeadline makes Writes that wait at t, or later, fail with
// os.ErrDeadlineExceeded. The zero time means no deadline.
func (f *Flow) SetDeadline(t time.Time) {
	o := &f.c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	f.deadline = t
	if !t.IsZero() {
		// By the clock of the timer: whoever it wakes must find that it is time.
		f.deadline = time.Now().Add(time.Until(t))
	}
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if !t.IsZero() && f.err == nil {
		f.timer = time.AfterFunc(time.Until(t), o.changed)
	}
	o.room.Broadcast()
}
