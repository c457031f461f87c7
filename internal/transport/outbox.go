package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// The way out, in the order of the functions below:
//
//	Send, Post, Flow.Write     any goroutine: take slots in the order of the wire (one lock)
//	seal                       the same goroutine: encrypt its own slots in place (no lock)
//	write                      the writer: one system call for all that is sealed at the head
//
// A key exchange closes the gate: what is sent from then on waits, and only
// the exchange's own messages pass, through the urgent list. NEWKEYS opens it
// under the next epoch. Nothing is ever reordered, so the packets before
// NEWKEYS are sealed under the keys they were ordered with.

const (
	ringSlots = 64      // packets on their way out; a power of two
	ringBytes = 2 << 20 // octets on their way out
	// A writer gathers this much for one system call. It never waits for more:
	// with 32 KiB packets a larger batch gains nothing.
	batchSlots = 16
	batchBytes = 512 << 10
	// Slots ordered together go out together if they have less than this;
	// with more, the writer begins with the first while the rest is sealed.
	together = 8 << 10
	// maxPosted bounds what waits for room or for the end of a key exchange
	// without a sender that waits for it. A peer that makes us owe it more
	// answers than that does not read them.
	maxPosted = 1024
)

// An epoch is a set of keys for one direction, and how far it may be used.
type epoch struct {
	sealer seal.Sealer // out
	opener seal.Opener // in
	limit  limit
	strict bool // the sequence number starts again at 0
	zlib   Compression
	saved  int // octets that compression has saved since the writer last told
}

// A slot is a packet on its way out.
type slot struct {
	buf   *packet.Buf
	epoch *epoch
	nonce uint64
	seq   uint32
	size  int  // octets on the wire
	raw   bool // sent as it is
	// deflate: the writer compresses it, then frames and seals it; until then
	// size is what it takes at most.
	deflate bool
	ready   atomic.Bool // sealed, or for an ordered sealer framed
}

// An urgent message passes the gate.
type urgent struct {
	buf  *packet.Buf
	next *epoch // not nil with NEWKEYS: the keys that hold after it
	raw  bool   // not a packet: the ident
}

type outbox struct {
	c *Conn

	mu      sync.Mutex
	room    sync.Cond // the ring, the gate, a window or the error changed
	waiting int       // goroutines in room.Wait
	starved int       // those of them that wait for a window only
	moved   uint64    // pieces of channel data ordered
	slots   [ringSlots]slot
	tail    uint64 // slots ordered; the writer's head is behind
	bytes   int    // octets in the ring
	shut    bool   // the gate: a key exchange runs
	urgent  []urgent
	posted  []*packet.Buf  // a queue
	few     [8]*packet.Buf // where it begins anew once it was empty: adjusts take no memory
	epoch   *epoch
	seq     uint32
	nonce   uint64
	used    uint64 // octets under this epoch
	zlib    zlibMode
	// loggedIn: USERAUTH_SUCCESS has passed.
	loggedIn bool
	err      error
	ending   bool // DISCONNECT is on its way

	// Key exchange under way.
	kexInit  []byte        // our KEXINIT of it
	kexOurs  *msg.KexInit  // the same, decoded
	kexWhy   KexReason     // why it was sent
	kexBegan time.Time     // and when
	kexDone  chan struct{} // closed at its end
	kexTimer *time.Timer
	kexDue   time.Time // when kexTimer means it
	kexAt    uint64    // slots up to our KEXINIT; 0 once it is written
	kexSeen  uint64    // slots written when kexTimer was set
	kexAsks  bool      // somebody judges the host key, and the peer waits for us
	later    bool      // it is not the first

	head atomic.Uint64 // slots written
	idle atomic.Bool   // the writer sleeps
	wake chan struct{}
}

func (o *outbox) init(c *Conn) {
	o.c = c
	o.room.L = &o.mu
	o.posted = o.few[:0]
	o.epoch = &epoch{sealer: seal.Plain{}, limit: noLimit}
	o.shut = true // until the first NEWKEYS
	o.wake = make(chan struct{}, 1)
}

// Send sends one message, whose first octet is its number. It takes b. It waits
// while too much is on its way or our side of a key exchange runs; on return
// the message has its place in the order.
func (c *Conn) Send(b *packet.Buf) error { return c.send(context.Background(), b) }

func (c *Conn) send(ctx context.Context, b *packet.Buf) error {
	o := &c.out
	o.mu.Lock()
	for o.err == nil && ctx.Err() == nil && !o.canOrder() {
		o.wait()
	}
	err := o.err
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		o.mu.Unlock()
		b.Release()
		return err
	}
	from := o.tail
	o.order(b)
	to, full := o.tail, o.overLimit()
	o.mu.Unlock()
	o.seal(from, to)
	if full {
		c.startKex(kexSpent)
	}
	return nil
}

// Post is Send for the reader and for whoever must not wait: if the message
// has no place yet it is kept, and goes out as soon as there is one. Too many
// kept messages end the connection.
func (c *Conn) Post(b *packet.Buf) error {
	o := &c.out
	o.mu.Lock()
	if err := o.err; err != nil {
		o.mu.Unlock()
		b.Release()
		return err
	}
	if len(o.posted) >= maxPosted {
		o.mu.Unlock()
		b.Release()
		return c.Violation("does not read the answers it asks for")
	}
	from := o.tail
	if !o.shut && len(o.urgent) == 0 && len(o.posted) == 0 && o.hasRoom() {
		o.order(b) // nearly always; the queue would be allocated anew each time
	} else {
		o.posted = append(o.posted, b)
		from, _ = o.pump()
	}
	to, full := o.tail, o.overLimit()
	o.mu.Unlock()
	o.seal(from, to)
	if full {
		c.startKex(kexSpent)
	}
	return nil
}

// SendMessage is Send of an encoded message.
func (c *Conn) SendMessage(m msg.Message) error { return c.Send(encode(m)) }

// SendContext is SendMessage for who does not wait longer than ctx lasts. With
// an error the message was not sent.
func (c *Conn) SendContext(ctx context.Context, m msg.Message) error {
	defer context.AfterFunc(ctx, c.out.changed)()
	return c.send(ctx, encode(m))
}

// PostMessage is Post of an encoded message.
func (c *Conn) PostMessage(m msg.Message) error { return c.Post(encode(m)) }

// encode returns m in a Buf. It allocates; bulk data takes another way.
func encode(m msg.Message) *packet.Buf {
	var scratch [256]byte
	p := msg.Append(scratch[:0], m)
	b := packet.Get(len(p))
	copy(b.Bytes(), p)
	return b
}

// sendUrgent sends messages of the key exchange itself, and DISCONNECT.
func (o *outbox) sendUrgent(u ...urgent) {
	o.mu.Lock()
	if o.err != nil || o.ending {
		o.mu.Unlock()
		for _, u := range u {
			u.buf.Release()
		}
		return
	}
	o.urgent = append(o.urgent, u...)
	from, to := o.pump()
	o.mu.Unlock()
	o.seal(from, to)
}

// last sends words, DISCONNECT, and lets nothing pass after it; later sends
// fail with err, which becomes the result of the connection. The writer ends it
// when everything ordered is out, a timer if that takes too long.
func (o *outbox) last(words *packet.Buf, err error) {
	o.mu.Lock()
	if o.err != nil {
		o.mu.Unlock()
		words.Release()
		return
	}
	// Under the lock: who sees that the connection is over must also see that
	// it is still flushing, lest its Close cut the words off.
	o.c.setErr(err)
	o.err, o.ending = o.c.err, true
	if words != nil {
		o.urgent = append(o.urgent, urgent{buf: words})
	}
	for _, b := range o.posted {
		b.Release()
	}
	o.posted = nil
	from, to := o.pump()
	o.room.Broadcast()
	o.mu.Unlock()
	o.seal(from, to)
	o.poke()
	time.AfterFunc(flushTime, func() { o.c.fail(err) })
}

// fail makes every later send fail and drops what has no place yet.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.ending = false
	for _, u := range o.urgent {
		u.buf.Release()
	}
	for _, b := range o.posted {
		b.Release()
	}
	o.urgent, o.posted = nil, nil
	if o.kexDone != nil {
		close(o.kexDone)
		o.kexDone = nil
	}
	if o.kexTimer != nil {
		o.kexTimer.Stop()
	}
	o.room.Broadcast()
	o.mu.Unlock()
	o.poke()
}

// failure returns why nothing can be sent any more, or nil. It may come before
// the end of the connection, while there is something to read.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// flushing tells whether DISCONNECT is still on its way.
func (o *outbox) flushing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ending
}

// changed wakes everyone who waits.
func (o *outbox) changed() {
	o.mu.Lock()
	o.room.Broadcast()
	o.mu.Unlock()
}

// wait waits for a change, with o.mu held.
func (o *outbox) wait() {
	o.waiting++
	o.room.Wait()
	o.waiting--
}

// canOrder tells whether a packet may be ordered now, with o.mu held. What was
// posted goes first.
func (o *outbox) canOrder() bool {
	return !o.shut && o.hasRoom() && len(o.posted) == 0 && (o.kexDone == nil || !o.spent())
}

func (o *outbox) hasRoom() bool {
	return o.tail-o.head.Load() < ringSlots && o.bytes < ringBytes
}

// pump gives places to kept messages as far as there are any, with o.mu held.
// The caller seals the slots [from, to) after unlocking.
func (o *outbox) pump() (from, to uint64) {
	from = o.tail
	for len(o.urgent) > 0 && o.hasRoom() {
		u := o.urgent[0]
		o.urgent[0] = urgent{}
		if o.urgent = o.urgent[1:]; len(o.urgent) == 0 {
			o.urgent = nil
		}
		if u.raw {
			o.orderRaw(u.buf)
			continue
		}
		o.order(u.buf)
		if u.next != nil {
			o.epoch, o.nonce, o.used = u.next, 0, 0
			o.zlib = u.next.zlib.mode(o.loggedIn)
			if u.next.strict {
				o.seq = 0
			}
			o.shut = false
			o.room.Broadcast()
		}
	}
	for len(o.posted) > 0 && !o.shut && o.err == nil && o.hasRoom() {
		b := o.posted[0]
		o.posted[0] = nil
		o.posted = o.posted[1:]
		if len(o.posted) == 0 {
			o.posted = o.few[:0]
			o.room.Broadcast()
		}
		o.order(b)
	}
	return from, o.tail
}

// order gives b the next place on the wire, with o.mu held and room in the
// ring. From here on the ring owns b.
func (o *outbox) order(b *packet.Buf) {
	s := &o.slots[o.tail%ringSlots]
	s.buf, s.epoch, s.nonce, s.seq, s.raw, s.deflate = b, o.epoch, o.nonce, o.seq, false, false
	n := b.Len()
	if o.zlib != zlibOff || !o.loggedIn {
		n = o.reserve(s, b)
	}
	s.size = payloadAt + n + o.epoch.sealer.Padding(n) + o.epoch.sealer.Overhead()
	o.nonce++
	o.seq++
	o.used += uint64(s.size)
	o.bytes += s.size
	o.tail++
}

// orderRaw is order for what is not a packet.
func (o *outbox) orderRaw(b *packet.Buf) {
	s := &o.slots[o.tail%ringSlots]
	s.buf, s.epoch, s.size, s.raw, s.deflate = b, o.epoch, b.Len(), true, false
	o.bytes += s.size
	o.tail++
}

// seal frames and encrypts the slots [from, to), which the caller has ordered.
func (o *outbox) seal(from, to uint64) {
	if log := o.c.cfg.PacketLog; log != nil {
		for i := from; i < to; i++ {
			if s := &o.slots[i%ringSlots]; !s.raw {
				p := s.buf.Bytes()
				log(&PacketEvent{Out: true, Number: p[0], Sequence: s.seq, Length: len(p), payload: p})
			}
		}
	}
	small := 0
	for i := from; i < to && small < together; i++ {
		small += o.slots[i%ringSlots].size
	}
	if small >= together {
		for i := from; i < to; i++ {
			o.sealSlot(i)
		}
		return
	}
	// From the back, so that the writer, which the first slot wakes, finds all
	// of them ready and sends them in one piece.
	for i := to; i > from; i-- {
		o.sealSlot(i - 1)
	}
}

func (o *outbox) sealSlot(i uint64) {
	s := &o.slots[i%ringSlots]
	if !s.raw && !s.deflate {
		o.frame(s)
		if !s.epoch.sealer.Ordered() {
			s.epoch.sealer.Seal(s.nonce, s.seq, s.buf.Bytes())
		}
	}
	s.ready.Store(true)
	// The writer sets idle, then looks at the head once more; we set ready,
	// then look at idle. Whoever comes second sees the other.
	if i == o.head.Load() {
		o.poke()
	}
}

// frame puts length and padding around the payload and makes room for the tag.
func (o *outbox) frame(s *slot) {
	b := s.buf
	n := b.Len()
	overhead := s.epoch.sealer.Overhead()
	pad := s.size - payloadAt - n - overhead
	if b.Head() < payloadAt || b.Tail() < pad+overhead {
		// A Buf that somebody made without the usual room, or one received.
		roomy := packet.Get(n)
		copy(roomy.Bytes(), b.Bytes())
		b.Release()
		b, s.buf = roomy, roomy
	}
	head := b.Prepend(payloadAt)
	binary.BigEndian.PutUint32(head, uint32(1+n+pad))
	head[4] = byte(pad)
	_, _ = rand.Read(b.Extend(pad)) // never fails (crypto/rand)
	b.Extend(overhead)
}

// poke wakes the writer if it sleeps.
func (o *outbox) poke() {
	if o.idle.Load() && o.idle.CompareAndSwap(true, false) {
		select {
		case o.wake <- struct{}{}:
		default: // woken already
		}
	}
}

// write is the writer goroutine. It ends when the connection has failed and
// everything ordered has been released.
func (o *outbox) write() {
	defer close(o.c.written)
	var (
		vec   [batchSlots][]byte
		batch net.Buffers // in a variable of its own, lest each call allocate one
		head  uint64
		dead  bool // writing failed; what is left is only released
		zlib  deflater
	)
	for {
		n, size, packets := 0, 0, 0
		for n < batchSlots && size < batchBytes {
			s := &o.slots[(head+uint64(n))%ringSlots]
			if !s.ready.Load() {
				break
			}
			size += s.size
			if !s.raw && !dead {
				if s.deflate {
					o.compress(&zlib, s)
					o.frame(s)
				}
				if s.deflate || s.epoch.sealer.Ordered() {
					s.epoch.sealer.Seal(s.nonce, s.seq, s.buf.Bytes())
				}
			}
			vec[n] = s.buf.Bytes()
			n++
			if !s.raw {
				packets++
			}
		}
		if n == 0 {
			if o.sleep(head) {
				continue
			}
			return
		}
		if !dead {
			batch = vec[:n]
			if err := o.put(&batch); err != nil {
				dead = true
				o.c.writeFailed(o.c.ioError(err))
			}
			o.c.packetsOut.Add(uint64(packets))
		}
		for i := range n {
			s := &o.slots[(head+uint64(i))%ringSlots]
			s.buf.Release()
			s.buf, vec[i] = nil, nil
			s.ready.Store(false)
		}
		head += uint64(n)
		o.mu.Lock()
		o.head.Store(head)
		o.bytes -= size
		o.used -= uint64(o.epoch.saved) // of older keys nobody counts anymore
		o.epoch.saved = 0
		if o.kexAt != 0 && head >= o.kexAt {
			o.kexAt = 0
			o.armKex(head)
		}
		from, to := o.pump()
		if o.waiting > 0 {
			o.room.Broadcast()
		}
		o.mu.Unlock()
		o.seal(from, to)
	}
}

// put writes a batch, in as many goes as stall.poke makes of it.
func (o *outbox) put(batch *net.Buffers) error {
	for {
		var n int64
		var err error
		if b := *batch; len(b) == 1 {
			var k int
			k, err = o.c.nc.Write(b[0])
			n, b[0] = int64(k), b[0][k:]
		} else {
			n, err = batch.WriteTo(o.c.nc)
		}
		o.c.bytesOut.Add(uint64(n))
		if err == nil || !o.c.stall.interrupted(o.c, err) {
			return err
		}
	}
}

// sleep waits until the slot at head may be ready. It returns false when there
// will be none anymore.
func (o *outbox) sleep(head uint64) bool {
	o.idle.Store(true)
	ready := o.slots[head%ringSlots].ready.Load()
	if !ready {
		o.mu.Lock()
		flushed := o.ending && len(o.urgent) == 0 && head == o.tail
		over := o.err != nil && !o.ending && head == o.tail
		o.mu.Unlock()
		if flushed {
			o.idle.Store(false)
			o.c.fail(o.c.Err()) // the last words are out
			return true
		}
		if over {
			return false
		}
		<-o.wake
		return true
	}
	if !o.idle.CompareAndSwap(true, false) {
		<-o.wake // somebody is about to wake us
	}
	return true
}
