package sftp

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// writeBehind is a run of WRITEs of one file, sent in the order of their offsets.
type writeBehind struct {
	f    *RemoteFile
	wake chan struct{}

	ops    []*call // not acknowledged, in the order sent
	out    int     // octets of ops
	acked  int64   // octets acknowledged, of those without a gap
	total  atomic.Int64
	flight flight
	err    error // the first; nothing is sent any more
	next   int64 // behind the last WRITE sent
}

// A writeBuf is a WRITE that is being filled: a chain of Bufs that each leave in one packet.
type writeBuf struct {
	first, last *packet.Buf
	n, max      int // octets of content, and the most
	fits        int // of last, in all
}

// size is how many octets of content a WRITE carries at most.
func (w *writeBehind) size() int {
	if w.f.chunk > 0 {
		return min(w.f.c.maxWrite, w.f.chunk)
	}
	return w.f.c.maxWrite
}

// begin begins a WRITE of at most size octets.
func (w *writeBehind) begin(size int) writeBuf {
	h := fxp.WriteHeaderSize(len(w.f.handle))
	b := writeBuf{max: size, fits: min(h+size, max(w.f.c.calls.conn.MaxPacket(), h+1), packet.MaxPayload)}
	b.first = packet.Get(b.fits)
	b.first.Trim(h)
	b.last = b.first
	return b
}

// room is where the next octets of content go; none when the WRITE is full.
func (b *writeBuf) room(maxPacket int) []byte {
	if b.n == b.max {
		return nil
	}
	if b.last.Len() == b.fits {
		b.fits = min(b.max-b.n, maxPacket, packet.MaxPayload)
		next := packet.Get(b.fits)
		next.Trim(0)
		b.last.Link(next)
		b.last = next
	}
	return b.last.Room()[:min(b.fits-b.last.Len(), b.max-b.n)]
}

// added says that n octets were put into room.
func (b *writeBuf) added(n int) {
	b.last.Extend(n)
	b.n += n
}

// send sends b as a WRITE at off.
func (w *writeBehind) send(ctx context.Context, b *writeBuf, off int64) error {
	if w.wake == nil {
		w.wake = make(chan struct{}, 1)
	}
	if len(w.ops) == 0 {
		w.flight.beginNear(time.Duration(w.f.c.calls.rtt.Load()))
	}
	c := w.f.c
	h := fxp.WriteHeaderSize(len(w.f.handle))
	fxp.PutWriteHeader(b.first.Bytes()[:h], 0, w.f.handle, uint64(off), b.n)
	op := c.calls.call(w.wake)
	op.off, op.size = off, b.n
	c.budget.take(b.n, true)
	if err := c.calls.send(ctx, op, b.first); err != nil {
		c.budget.give(b.n)
		c.calls.drop(op)
		return err
	}
	w.ops = append(w.ops, op)
	w.out += b.n
	w.next = off + int64(b.n)
	return nil
}

// write sends p as WRITEs at off and on.
func (w *writeBehind) write(ctx context.Context, p []byte, off int64) (n int, err error) {
	if err := w.order(ctx, off); err != nil {
		return 0, err
	}
	maxPacket := max(w.f.c.calls.conn.MaxPacket(), 1)
	for len(p) > 0 {
		size := min(len(p), w.size())
		if err := w.room(ctx, size); err != nil {
			return n, err
		}
		b := w.begin(size)
		for room := b.room(maxPacket); room != nil; room = b.room(maxPacket) {
			m := copy(room, p)
			b.added(m)
			p = p[m:]
		}
		if err := w.send(ctx, &b, off); err != nil {
			return n, err
		}
		n += size
		off += int64(size)
	}
	return n, nil
}

// readFrom sends what r has as WRITEs at off and on.
func (w *writeBehind) readFrom(ctx context.Context, r io.Reader, off int64) (total int64, err error) {
	if err := w.order(ctx, off); err != nil {
		return 0, err
	}
	maxPacket := max(w.f.c.calls.conn.MaxPacket(), 1)
	empty := 0
	for {
		size := w.size()
		if err := w.room(ctx, size); err != nil {
			return total, err
		}
		b := w.begin(size)
		var readErr error
		for room := b.room(maxPacket); room != nil && readErr == nil; room = b.room(maxPacket) {
			var m int
			m, readErr = r.Read(room)
			if m < 0 || m > len(room) {
				b.first.Release()
				return total, errBadRead
			}
			b.added(m)
			switch {
			case m > 0:
				empty = 0
			case readErr == nil:
				if empty++; empty == 100 {
					readErr = io.ErrNoProgress
				}
			}
			if m < len(room) && b.n > 0 && readErr == nil && w.idle() {
				break // r has no more for now, and the server has nothing to do
			}
		}
		if b.n == 0 {
			b.first.Release()
		} else {
			if err := checkOffset(off, b.n); err != nil {
				b.first.Release()
				return total, err
			}
			if err := w.send(ctx, &b, off); err != nil {
				return total, err
			}
			total += int64(b.n)
			off += int64(b.n)
		}
		if readErr != nil {
			if readErr == io.EOF { // io.Reader says so; a cut connection may wrap it
				return total, nil
			}
			return total, readErr
		}
	}
}

var errBadRead = Status(CodeFailure, "reader answers with an impossible count")

// idle tells whether nothing is under way.
func (w *writeBehind) idle() bool {
	w.reap()
	return len(w.ops) == 0
}

// room waits until size more octets may be under way.
func (w *writeBehind) room(ctx context.Context, size int) error {
	for {
		w.reap()
		switch {
		case w.err != nil:
			return w.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case len(w.ops) == 0:
			return nil
		case !w.f.serial && (w.f.most == 0 || len(w.ops) < w.f.most) && w.out+size <= max(w.flight.window, 2*size) && len(w.ops) < maxCalls/2 && w.f.c.budget.has(size):
			return nil
		}
		if err := w.await(ctx); err != nil {
			return err
		}
	}
}

// flush waits until nothing is under way.
func (w *writeBehind) flush(ctx context.Context) error {
	for {
		w.reap()
		if w.err != nil || len(w.ops) == 0 {
			return w.err
		}
		if err := w.await(ctx); err != nil {
			return err
		}
	}
}

// order waits before a WRITE that goes back, maybe over one that is under way: servers exist
// that do several at a time, in no order.
func (w *writeBehind) order(ctx context.Context, off int64) error {
	if len(w.ops) == 0 || off >= w.next {
		return nil
	}
	return w.settle(ctx)
}

// settle waits until nothing is under way, whatever came of it.
func (w *writeBehind) settle(ctx context.Context) error {
	for w.reap(); len(w.ops) > 0; w.reap() {
		if err := w.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the first of ops.
func (w *writeBehind) await(ctx context.Context) error {
	for op := w.ops[0]; !op.done.Load(); {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// reap takes the replies that are there, in order.
func (w *writeBehind) reap() {
	for len(w.ops) > 0 && w.ops[0].done.Load() {
		op := w.ops[0]
		switch {
		case op.err != nil:
			w.failed(op.err)
		case !op.ok():
			err := w.f.c.refused(op, "WRITE")
			if errors.Is(err, io.EOF) {
				err = CodeFailure // it has no end
			}
			w.failed(err)
		case w.err == nil:
			w.acked += int64(op.size)
			w.total.Add(int64(op.size))
			w.f.meter.add(int64(op.size))
		}
		w.flight.arrived(op.size, time.Duration(w.f.c.calls.rtt.Load()))
		w.out -= op.size
		w.f.c.budget.give(op.size)
		w.f.c.calls.release(op)
		n := copy(w.ops, w.ops[1:])
		w.ops[n] = nil
		w.ops = w.ops[:n]
	}
}

func (w *writeBehind) failed(err error) {
	if w.err == nil {
		w.err = err
	}
}

// drop forgets what is under way.
func (w *writeBehind) drop() {
	for i, op := range w.ops {
		w.f.c.budget.give(op.size)
		w.f.c.calls.drop(op)
		w.ops[i] = nil
	}
	w.ops, w.out = w.ops[:0], 0
}
