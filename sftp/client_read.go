package sftp

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// firstAhead is how much a first Read asks for beyond what it needs: reading on is likely,
// but not sure.
const firstAhead = 64 << 10

// maxReads is how many READs of one file are under way, or answered and not delivered, at
// most: a server that answers a few octets at a time must not fill the memory with replies.
const maxReads = maxCalls / 4

// readAhead is a run of READs of one file in the order of their offsets. Replies may come in
// any order; content is delivered in this one.
type readAhead struct {
	f    *RemoteFile
	wake chan struct{}

	ops    []*call // in order of offset; the first is what comes next
	cur    *packet.Buf
	pos    int64 // of the next octet to deliver
	next   int64 // of the next READ
	end    int64 // no READ goes beyond; 0 is no end
	expect int64 // one more than where the file is said to end; 0 is not known
	limit  int   // octets to ask for now; grows up to the flight's window
	out    int   // octets asked for
	flight flight

	changed uint64 // of the file, when all this was asked for
	short   bool   // a reply was short: others may be
}

// seek makes off the next octet to deliver. What was asked for is used if it fits.
func (r *readAhead) seek(off int64) {
	changed := r.f.changed.Load()
	if r.pos != off || r.changed != changed {
		limit, flight := r.limit, r.flight
		r.drop()
		if r.end != 0 {
			r.limit, r.flight = limit, flight
		}
	}
	r.pos, r.changed = off, changed
	if len(r.ops) == 0 && r.cur == nil {
		r.next = off
	}
}

// drop forgets everything that was asked for.
func (r *readAhead) drop() {
	for i, op := range r.ops {
		r.f.c.budget.give(op.size)
		r.f.c.calls.drop(op)
		r.ops[i] = nil
	}
	r.ops = r.ops[:0]
	r.cur.Release()
	r.cur, r.out, r.limit, r.short = nil, 0, 0, false
	r.next = r.pos
}

// ask sends READs up to the limit.
func (r *readAhead) ask(ctx context.Context) error {
	if len(r.ops) == 0 {
		r.flight.begin()
	}
	for {
		size := min(int(r.f.c.maxRead.Load()), max(r.limit, firstAhead))
		if r.f.chunk > 0 {
			size = min(size, r.f.chunk)
		}
		if r.expect > 0 {
			switch left := r.expect - 1 - r.next; {
			case left > 0:
				size = int(min(int64(size), left))
			case left < 0 && len(r.ops) > 0:
				return nil // the READ that finds the end is under way
			case left < 0:
				r.expect = 0 // it is not there
			}
		}
		if r.end != 0 {
			size = int(min(int64(size), r.end-r.next))
		}
		if size == 0 || r.next < 0 {
			return nil
		}
		must := len(r.ops) == 0
		if !must && (r.f.serial || len(r.ops) >= maxReads || r.out+size > r.limit || r.f.most > 0 && len(r.ops) >= r.f.most) || !r.f.c.budget.take(size, must) {
			return nil
		}
		op, err := r.send(ctx, r.next, size)
		if err != nil {
			return err
		}
		r.ops = append(r.ops, op)
		r.next += int64(size)
	}
}

// send sends one READ, for which the budget has been asked.
func (r *readAhead) send(ctx context.Context, off int64, size int) (*call, error) {
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	c := r.f.c
	op := c.calls.call(r.wake)
	op.off, op.size = off, size
	var tmp [fxp.HeaderSize + 4 + fxp.MaxHandle + 12]byte
	p := fxp.AppendRead(tmp[:0], 0, r.f.handle, uint64(off), uint32(size))
	if err := c.calls.sendSmall(ctx, op, p); err != nil {
		c.budget.give(size)
		c.calls.drop(op)
		return nil, err
	}
	r.out += size
	return op, nil
}

// more waits for content to deliver, which is in cur then, and asks for what follows.
func (r *readAhead) more(ctx context.Context) error {
	for r.cur == nil {
		if err := r.ask(ctx); err != nil {
			return err
		}
		if len(r.ops) == 0 {
			return io.EOF // all of a ReadAt is there
		}
		op := r.ops[0]
		if err := r.await(ctx, op); err != nil {
			return err
		}
		if op.t != fxp.TypeData || op.n == 0 {
			// DATA without content is how some servers say that the end is reached; taken for
			// anything else it would be asked for for ever (cves 12.8).
			end := io.EOF
			if op.t != fxp.TypeData {
				end = r.f.c.refused(op, "READ")
			}
			r.drop()
			return end
		}
		if op.off != r.pos {
			// The reply before was the end, and now there is more: the file grows. What lies
			// between has not been asked for.
			r.drop()
			continue
		}
		if op.after > 0 {
			// So the reply before was short although there was more: it is what the server
			// gives at most.
			r.f.c.maxRead.Store(min(r.f.c.maxRead.Load(), int64(max(op.after, leastRequest))))
		}
		if err := r.fill(ctx, 0); err != nil {
			return err
		}
		r.cur, op.buf = op.buf, nil
		r.flight.arrived(op.n, time.Duration(r.f.c.calls.rtt.Load()))
		r.pop()
	}
	return nil
}

// await waits for the first of ops.
func (r *readAhead) await(ctx context.Context, op *call) error {
	for !op.done.Load() {
		select {
		case <-r.wake:
			if r.short {
				for i := 1; i < len(r.ops); i++ {
					if err := r.fill(ctx, i); err != nil {
						return err
					}
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return op.err
}

// short reports whether c is a READ that was answered with less than it asked for, although
// it did not reach the end of the file.
func (c *call) short() bool {
	return c.done.Load() && c.err == nil && c.t == fxp.TypeData && c.n > 0 && c.n < c.size && !c.eof
}

// fill asks for what the reply to the i-th of ops left out, if it did.
func (r *readAhead) fill(ctx context.Context, i int) error {
	op := r.ops[i]
	if r.f.text != nil {
		r.next = op.off + int64(op.n) // the only one under way; the server goes on where it ended
		return nil
	}
	if op.gap || !op.short() {
		return nil
	}
	if i > 0 && len(r.ops) >= maxReads {
		return nil // in its turn
	}
	rest := op.size - op.n
	r.f.c.budget.take(rest, true)
	gap, err := r.send(ctx, op.off+int64(op.n), rest)
	if err != nil {
		return err
	}
	op.gap, r.short = true, true
	gap.after = op.n
	r.ops = append(r.ops, nil)
	copy(r.ops[i+2:], r.ops[i+1:])
	r.ops[i+1] = gap
	return nil
}

// pop ends the first of ops.
func (r *readAhead) pop() {
	op := r.ops[0]
	r.out -= op.size
	r.f.c.budget.give(op.size)
	r.f.c.calls.release(op)
	n := copy(r.ops, r.ops[1:])
	r.ops[n] = nil
	r.ops = r.ops[:n]
}

// read copies to p what is there, and waits for something if there is nothing.
func (r *readAhead) read(ctx context.Context, p []byte) (n int, err error) {
	for n < len(p) {
		if r.cur == nil {
			if n > 0 && (len(r.ops) == 0 || !r.ops[0].done.Load()) {
				return n, nil
			}
			r.grow(len(p) - n)
			if err := r.more(ctx); err != nil {
				if n > 0 {
					return n, nil // the error comes again
				}
				return 0, err
			}
		}
		m := copy(p[n:], r.cur.Bytes())
		n += m
		r.delivered(m)
	}
	return n, nil
}

// grow raises the limit: who reads on is likely to read further on.
func (r *readAhead) grow(need int) {
	window := max(r.flight.window, firstWindow)
	switch {
	case r.limit == 0:
		r.limit = firstAhead
	default:
		r.limit *= 8
	}
	r.limit = min(max(r.limit, need), window)
}

// delivered drops the first n octets of cur.
func (r *readAhead) delivered(n int) {
	r.pos += int64(n)
	r.cur.Skip(n)
	if r.cur.Len() == 0 {
		next := r.cur.Unlink()
		r.cur.Release()
		r.cur = next
	}
}

// writeTo writes everything to w.
func (r *readAhead) writeTo(ctx context.Context, w io.Writer) (total int64, err error) {
	for {
		r.limit = max(r.flight.window, firstWindow)
		if err := r.more(ctx); err != nil {
			if err == io.EOF { //nolint:errorlint // our own
				err = nil
			}
			return total, err
		}
		r.limit = r.flight.window
		if err := r.ask(ctx); err != nil { // the server works while w does
			return total, err
		}
		for r.cur != nil {
			p := r.cur.Bytes()
			n, err := w.Write(p)
			if n < 0 || n > len(p) {
				return total, errBadWrite
			}
			if n < len(p) && err == nil {
				err = io.ErrShortWrite
			}
			total += int64(n)
			r.delivered(n)
			if err != nil {
				return total, err
			}
		}
	}
}

var errBadWrite = Status(CodeFailure, "writer answers with an impossible count")

// refused is the error in a reply to a READ or WRITE that is not what was hoped for.
func (c *Client) refused(op *call, what string) error {
	if op.t != fxp.TypeStatus || op.ok() {
		return c.fail(violation("%s answers %s", op.t, what))
	}
	return eof(c.statusOf(op))
}

// eof is err, or plain io.EOF for a status that says so: that is what readers compare with.
func eof(err error) error {
	if st, ok := errors.AsType[*StatusError](err); ok && st.Code == CodeEOF {
		return io.EOF
	}
	return err
}
