package sftp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/packet"
)

const (
	// gatherRoom is how many octets of small replies leave together at most: the
	// payload of a small Buf.
	gatherRoom = 4<<10 - packet.HeadRoom - packet.TailRoom
	// gatherTime is how long a reply waits for others at most while requests are at
	// hand that take their time.
	gatherTime = 2 * time.Millisecond
)

// replies sends the answers of a session. Small ones that are produced while more
// requests are in memory leave in one packet; none waits while the session waits. It
// is safe for concurrent use.
type replies struct {
	conn packet.Conn

	mu    sync.Mutex // never held across a write
	buf   *packet.Buf
	since time.Time // when the first reply came into buf
	quiet bool      // the session's loop waits: nobody else will flush
	err   error     // the first write that failed
	turns turns     // the order of writes; taken under mu

	written atomic.Uint64 // packets, for who watches a drain
	writing atomic.Int32  // goroutines that write, or wait for their turn
}

// add sends p, one or more whole messages, which is copied.
func (r *replies) add(p []byte) {
	var out *packet.Buf
	r.mu.Lock()
	if r.buf != nil && r.buf.Tail()-packet.TailRoom < len(p) {
		out, r.buf = r.buf, nil
	}
	switch {
	case r.buf == nil:
		r.buf = packet.Get(max(len(p), gatherRoom))
		r.buf.Trim(0)
		if !r.quiet {
			r.since = time.Now()
		}
		copy(r.buf.Extend(len(p)), p)
	default:
		copy(r.buf.Extend(len(p)), p)
		if time.Since(r.since) > gatherTime {
			out = chain(out, r.pending())
		}
	}
	if r.quiet {
		out = chain(out, r.pending())
	}
	r.write(out)
}

// send sends the chain b, which it owns, behind the small replies so far: some clients
// expect answers in order where nothing forces another one.
func (r *replies) send(b *packet.Buf) {
	r.mu.Lock()
	r.write(chain(r.pending(), b))
}

// wait is called by the session's loop before it waits for anything, and work when it
// goes on: in between every reply leaves at once.
func (r *replies) wait() {
	r.mu.Lock()
	r.quiet = true
	r.write(r.pending())
}

func (r *replies) work() {
	r.mu.Lock()
	r.quiet = false
	r.mu.Unlock()
}

// failed returns the first error of a write.
func (r *replies) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// pending takes what was gathered; mu is held.
func (r *replies) pending() *packet.Buf {
	b := r.buf
	r.buf = nil
	return b
}

// chain links b behind a, either of which may be nil.
func chain(a, b *packet.Buf) *packet.Buf {
	if a == nil {
		return b
	}
	if b != nil {
		a.Link(b)
	}
	return a
}

// write unlocks mu, which is held, and writes b after everything that was taken before.
func (r *replies) write(b *packet.Buf) {
	if b == nil {
		r.mu.Unlock()
		return
	}
	turn := r.turns.take()
	r.mu.Unlock()
	r.writing.Add(1)
	r.turns.await(turn)
	err := r.conn.WritePacket(b)
	r.turns.end()
	r.writing.Add(-1)
	if err == nil {
		r.written.Add(1)
		return
	}
	r.mu.Lock()
	first := r.err == nil
	if first {
		r.err = err
	}
	r.mu.Unlock()
	if first {
		// The loop may sit in ReadPacket of a connection that is half dead.
		_ = r.conn.Close()
	}
}
