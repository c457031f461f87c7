package sftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A call is one request that waits for its reply. Calls are reused; a call belongs to
// whoever made it until it is freed or dropped.
type call struct {
	// wake gets a token when the call is done. It is the call's own, or that of all
	// requests of one transfer.
	wake chan struct{}
	own  chan struct{}
	done atomic.Bool // what follows is filled

	id      uint32
	opens   bool // its reply is a handle, to be closed if nobody waits any more
	dropped bool // nobody waits any more; under calls.mu

	t   fxp.Type
	buf *packet.Buf // the body of the reply; of DATA its content, a chain; nil of a STATUS that says OK
	n   int         // octets of content
	eof bool        // end-of-file of version 6
	err error       // the connection ended

	off  int64 // of READ and WRITE: where, and how much
	size int
	gap  bool // what a short reply left out has been asked for
	// after is what the short reply held before the gap that this READ is to fill.
	after int
}

// ok tells whether the reply is a STATUS that says OK.
func (cl *call) ok() bool { return cl.t == fxp.TypeStatus && cl.buf == nil }

const (
	// maxCalls bounds the requests without a reply. It is a power of two: an id is
	// the place of the call in the table and, above that, how often the place was used.
	maxCalls = 1 << 13
	callMask = maxCalls - 1
)

// maxStatus is the longest STATUS in octets, far beyond what a person would read: every
// WRITE under way may get one.
const maxStatus = 32 << 10

// calls is the client's side of the conversation: requests go out in the order they were
// made, on a goroutine that writes; replies find their calls on one that reads, which
// waits for nobody. So there are two goroutines, and whoever waits for a reply, or for the
// connection to take a request, can give up.
type calls struct {
	conn packet.Conn
	// feeding is held by who feeds in, which is one goroutine but for the end.
	feeding sync.Mutex
	in      inflow
	over    bool // nothing is taken any more
	// orphan gets, on the reading goroutine, the reply with a handle that nobody
	// waits for.
	orphan func(handle []byte)

	mu      sync.Mutex
	table   []*call  // by place; nil is free
	uses    []uint32 // by place: how often
	free    []uint16 // free places
	spare   []*call
	room    chan struct{} // closed when a place is free again; nil: nobody waits
	queue   *packet.Buf   // what waits to be written, a chain
	last    *packet.Buf   // of queue
	gather  *packet.Buf   // last, if small requests may be put behind what is in it
	err     error         // why it ended
	sent    atomic.Uint64 // requests
	wake    chan struct{} // for the writer
	ended   chan struct{} // closed when err is set
	running sync.WaitGroup

	rtt atomic.Int64 // the shortest time of a round trip so far, in nanoseconds
}

func newCalls(conn packet.Conn) *calls {
	return &calls{conn: conn, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// start begins to read and write.
func (c *calls) start() {
	c.in.message = c.deliver
	c.running.Go(c.read)
	c.running.Go(c.write)
}

// read takes the replies until the stream ends. A Conn that can hands them over on its own
// goroutine: that saves waking this one for every packet.
func (c *calls) read() {
	if d, ok := c.conn.(packet.Deliverer); ok {
		d.Deliver(c.feed)
	}
	for {
		b, err := c.conn.ReadPacket()
		if err != nil {
			c.feeding.Lock()
			c.fail(c.in.ended(err))
			c.in.close()
			c.over = true
			c.feeding.Unlock()
			return
		}
		c.feed(b)
	}
}

// feed takes the next octets of the stream.
func (c *calls) feed(b *packet.Buf) {
	c.feeding.Lock()
	defer c.feeding.Unlock()
	if c.over {
		b.Release()
		return
	}
	if err := c.in.feed(b); err != nil {
		c.over = true
		c.in.close()
		c.fail(err)
	}
}

// deliver hands a reply to its call.
func (c *calls) deliver(r reply) error {
	var buf *packet.Buf
	switch r.t {
	case fxp.TypeData:
		buf = r.data
		if buf != nil && buf.Len() == r.n && buf.Cap() > gatherSize && sparse(buf) {
			buf = packet.Get(r.n) // which may have to wait long for its turn
			copy(buf.Bytes(), r.data.Bytes())
			r.data.Release()
		}
	case fxp.TypeStatus, fxp.TypeHandle, fxp.TypeName, fxp.TypeAttrs, fxp.TypeExtendedReply:
		if r.t == fxp.TypeStatus && len(r.body) >= 4 && binary.BigEndian.Uint32(r.body) == uint32(CodeOK) {
			break
		}
		if r.t == fxp.TypeStatus && len(r.body) > maxStatus {
			return violation("STATUS of %d octets", len(r.body))
		}
		buf = packet.Get(len(r.body))
		copy(buf.Bytes(), r.body)
	default:
		return violation("server sent %s", r.t)
	}
	c.mu.Lock()
	place := r.id & callMask
	if uint64(place) >= uint64(len(c.table)) || c.table[place] == nil || c.table[place].id != r.id {
		c.mu.Unlock()
		buf.Release()
		return violation("reply to request %d, which has none coming", r.id)
	}
	cl := c.table[place]
	if r.n > cl.size { // the size of whatever is no READ or WRITE is 0
		c.mu.Unlock()
		buf.Release()
		return violation("DATA of %d octets, asked for were %d", r.n, cl.size)
	}
	c.table[place] = nil
	c.free = append(c.free, uint16(place))
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	if cl.dropped {
		opens := cl.opens
		c.recycle(cl)
		c.mu.Unlock()
		if opens && r.t == fxp.TypeHandle {
			c.orphaned(buf)
		}
		buf.Release()
		return nil
	}
	cl.t, cl.buf, cl.n, cl.eof = r.t, buf, r.n, r.eof
	wake := cl.wake
	cl.done.Store(true)
	c.mu.Unlock()
	signal(wake)
	return nil
}

// orphaned passes on the handle in a reply that nobody waits for.
func (c *calls) orphaned(buf *packet.Buf) {
	if h, err := handleOfBody(buf.Bytes()); err == nil && c.orphan != nil {
		c.orphan(h)
	}
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// write sends what is queued until the conversation ends.
func (c *calls) write() {
	defer func() {
		c.mu.Lock()
		b := c.queue
		c.queue, c.last, c.gather = nil, nil, nil
		c.mu.Unlock()
		b.Release()
	}()
	for {
		c.mu.Lock()
		b := c.queue
		c.queue, c.last, c.gather = nil, nil, nil
		err := c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			b.Release()
			return
		case b == nil:
			select {
			case <-c.wake:
			case <-c.ended:
			}
			continue
		}
		if err := c.conn.WritePacket(b); err != nil {
			c.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

// fail ends the conversation for the reason given and wakes everyone who waits.
func (c *calls) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if p, ok := errors.AsType[*ProtocolError](err); ok {
		err = p
	} else if !errors.Is(err, ErrClientClosed) {
		err = &ConnectionError{Err: err}
	}
	c.err = err
	var wakes []chan struct{}
	for place, cl := range c.table {
		if cl == nil {
			continue
		}
		c.table[place] = nil
		if cl.dropped {
			c.recycle(cl)
			continue
		}
		cl.err = err
		wakes = append(wakes, cl.wake)
		cl.done.Store(true)
	}
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	close(c.ended)
	c.mu.Unlock()
	for _, w := range wakes {
		signal(w)
	}
	_ = c.conn.Close()
}

// failure returns why the conversation ended, nil if it has not.
func (c *calls) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// call returns a call to fill. wake is the channel of a transfer, or nil.
func (c *calls) call(wake chan struct{}) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var cl *call
	if n := len(c.spare); n > 0 {
		cl, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		cl = new(call)
	}
	if wake == nil {
		if cl.own == nil {
			cl.own = make(chan struct{}, 1)
		}
		wake = cl.own
	}
	cl.wake = wake
	return cl
}

// recycle makes cl ready for the next use; mu is held.
func (c *calls) recycle(cl *call) {
	own := cl.own
	cl.done.Store(false)
	cl.wake, cl.buf, cl.err = nil, nil, nil
	cl.id, cl.t, cl.n, cl.size, cl.off, cl.after = 0, 0, 0, 0, 0, 0
	cl.opens, cl.dropped, cl.eof, cl.gap = false, false, false, false
	cl.own = own
	if len(c.spare) < maxCalls {
		c.spare = append(c.spare, cl)
	}
}

// send queues b, a request whose id is still to be filled in, for cl. It owns b. It waits
// for a place in the table only.
func (c *calls) send(ctx context.Context, cl *call, b *packet.Buf) error {
	c.mu.Lock()
	if err := c.place(ctx, cl); err != nil {
		c.mu.Unlock()
		b.Release()
		return err
	}
	binary.BigEndian.PutUint32(b.Bytes()[fxp.LengthSize+1:], cl.id)
	idle := c.queue == nil
	c.enqueue(b)
	c.mu.Unlock()
	if idle {
		signal(c.wake)
	}
	return nil
}

// sendSmall is send for a request that is copied, so that several leave in one packet.
func (c *calls) sendSmall(ctx context.Context, cl *call, p []byte) error {
	c.mu.Lock()
	if err := c.place(ctx, cl); err != nil {
		c.mu.Unlock()
		return err
	}
	idle := c.queue == nil
	if c.gather == nil || c.gather.Tail()-packet.TailRoom < len(p) {
		b := packet.Get(max(len(p), gatherRoom))
		b.Trim(0)
		c.enqueue(b)
		c.gather = b
	}
	q := c.gather.Extend(len(p))
	copy(q, p)
	binary.BigEndian.PutUint32(q[fxp.LengthSize+1:], cl.id)
	c.mu.Unlock()
	if idle {
		signal(c.wake)
	}
	return nil
}

// enqueue puts the chain b behind what is to be written; mu is held.
func (c *calls) enqueue(b *packet.Buf) {
	if c.queue == nil {
		c.queue = b
	} else {
		c.last.Link(b)
	}
	c.last, c.gather = b, nil // Link walks from here to the end of the chain
}

// place gives cl an id; mu is held, and let go while it waits.
func (c *calls) place(ctx context.Context, cl *call) error {
	for {
		switch {
		case c.err != nil:
			return c.err
		case len(c.free) > 0:
			place := c.free[len(c.free)-1]
			c.free = c.free[:len(c.free)-1]
			c.assign(cl, int(place))
			return nil
		case len(c.table) < maxCalls:
			c.table = append(c.table, nil)
			c.uses = append(c.uses, 0)
			c.assign(cl, len(c.table)-1)
			return nil
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}

func (c *calls) assign(cl *call, place int) {
	for cl.id = 0; cl.id == 0; { // which says that there is none
		c.uses[place]++
		cl.id = c.uses[place]*maxCalls | uint32(place)
	}
	c.table[place] = cl
	c.sent.Add(1)
}

// await waits until cl is done. On an error of ctx the caller still owns cl, and drops it.
func (c *calls) await(ctx context.Context, cl *call) error {
	for !cl.done.Load() {
		select {
		case <-cl.wake:
		case <-ctx.Done():
			if !cl.done.Load() {
				return context.Cause(ctx)
			}
		}
	}
	return cl.err
}

// drop gives up cl, whose reply is thrown away when it comes.
func (c *calls) drop(cl *call) {
	c.mu.Lock()
	if !cl.done.Load() && cl.id != 0 {
		cl.dropped = true
		c.mu.Unlock()
		return
	}
	opens, buf := cl.opens && cl.t == fxp.TypeHandle, cl.buf
	c.recycle(cl)
	c.mu.Unlock()
	if opens {
		c.orphaned(buf)
	}
	buf.Release()
}

// release is the end of a call that is done.
func (c *calls) release(cl *call) {
	buf := cl.buf
	c.mu.Lock()
	c.recycle(cl)
	c.mu.Unlock()
	buf.Release()
}

// measured notes the time of a round trip.
func (c *calls) measured(d time.Duration) {
	for {
		old := c.rtt.Load()
		if old != 0 && old <= int64(d) {
			return
		}
		if c.rtt.CompareAndSwap(old, max(int64(d), 1)) {
			return
		}
	}
}

// roundTrip sends m and returns the call with its reply, to be released.
func (c *calls) roundTrip(ctx context.Context, m fxp.Message, opens bool) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	begin := time.Now()
	cl := c.call(nil)
	cl.opens = opens
	var tmp [256]byte
	p := fxp.Append(tmp[:0], 0, m)
	if len(p)-fxp.LengthSize > fxp.MaxLength {
		c.drop(cl)
		return nil, errTooLong
	}
	if err := c.sendSmall(ctx, cl, p); err != nil {
		c.drop(cl)
		return nil, err
	}
	if err := c.await(ctx, cl); err != nil {
		c.drop(cl)
		return nil, err
	}
	c.measured(time.Since(begin))
	return cl, nil
}

var errTooLong = Status(CodeBadMessage, "request is longer than a message may be")

// handleOfBody decodes the body of a HANDLE.
func handleOfBody(body []byte) ([]byte, error) {
	if len(body) < 4 {
		return nil, violation("HANDLE without a handle")
	}
	n := binary.BigEndian.Uint32(body)
	if n > fxp.MaxHandle || uint64(n) > uint64(len(body)-4) {
		return nil, violation("handle of %d octets", n)
	}
	return append([]byte(nil), body[4:4+n]...), nil
}

// ErrClientClosed is the error of calls on a [Client] that its owner has closed.
var ErrClientClosed = errors.New("sftp: client closed")

// ConnectionError is the error of every call after the connection below a Client has ended: the
// server closed it, or it broke. errors.Is finds CodeConnectionLost in it.
type ConnectionError struct {
	Err error // what the connection said; io.EOF: the server ended the session
}

// Error returns "sftp: connection lost: why".
func (e *ConnectionError) Error() string {
	if errors.Is(e.Err, io.EOF) {
		return "sftp: connection lost: the server ended the session"
	}
	return "sftp: connection lost: " + e.Err.Error()
}

// Unwrap returns what the connection said, but for io.EOF: the end of a connection must not
// be taken for that of a file.
func (e *ConnectionError) Unwrap() error {
	if errors.Is(e.Err, io.EOF) {
		return nil
	}
	return e.Err
}

// Is matches CodeConnectionLost and io.ErrUnexpectedEOF.
func (e *ConnectionError) Is(target error) bool {
	return CodeConnectionLost == target || CodeConnectionLost.Is(target)
}
