package ssh2

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/packet"
)

// maxPacket is the largest payload of channel data that we take: a 32 KiB SFTP
// WRITE with its header fits, and so does a packet of that size, with
// everything around it, in one Buf.
const maxPacket = 34 << 10

// extendedStderr is the only code of extended data there is (RFC 4254 section 5.2).
const extendedStderr = 1

// A Channel is a duplex stream within a connection (RFC 4254 section 5). It
// works like a net.Conn, and also as a packet.Conn, which moves data in Bufs
// without copying it. One goroutine may read while others write; every method
// may be called by any goroutine. Reading lets the peer send more: the Buf that
// ReadPacket returned counts as consumed when ReadPacket is called again.
type Channel struct {
	conn *Conn
	typ  string
	id   uint32 // ours, which the peer sends
	peer uint32 // the peer's, which we send
	flow *transport.Flow
	line requestLine // requests of the peer
	ctx  context.Context
	stop context.CancelCauseFunc // ends ctx

	mu       sync.Mutex
	cond     sync.Cond // data arrived or something ended
	in       stream
	stderr   stream
	window   window
	waiters  []*waiter // our requests that have no answer yet, and first our open
	deadline time.Time
	timer    *time.Timer // wakes readers at deadline
	err      error       // what reads return once the queue is empty; nil while open
	state    channelState
	telling  int               // requests without an answer being sent
	closeDue bool              // CLOSE waits for them
	to       func(*packet.Buf) // of Deliver; nil: queue what arrives
	discard  bool              // drop what arrives, with credit
	hear     bool              // someone reads stderr
	theirs   bool              // opened by the peer
	counted  bool              // and so counted against MaxChannels
	busy     int               // handlers that run and belong to the channel
	unread   bool              // a session that runs nothing: nobody reads or closes it
}

// channelState is a set of what has happened to a channel.
type channelState uint8

const (
	confirmed channelState = 1 << iota // both ends know their numbers
	abandoned                          // we lost interest before the peer confirmed
	sentEOF
	sentClose
	gotEOF
	gotClose
	closed  // Close was called
	removed // its number is free again
)

// has tells whether any of s has happened. The caller holds ch.mu.
func (ch *Channel) has(s channelState) bool { return ch.state&s != 0 }

// Conn returns the connection that the channel is part of.
func (ch *Channel) Conn() *Conn { return ch.conn }

// Type returns the type the channel was opened with.
func (ch *Channel) Type() string { return ch.typ }

// Context ends when the channel is closed by either side or the connection ends.
func (ch *Channel) Context() context.Context { return ch.ctx }

// ---- reading

// ReadPacket returns the next octets of the stream; the caller owns the Buf.
// At the peer's EOF it returns io.EOF. See packet.Conn.
func (ch *Channel) ReadPacket() (*packet.Buf, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s := &ch.in
	if s.handed > 0 {
		n := s.handed
		s.handed = 0
		ch.consume(n)
	}
	if err := ch.await(s); err != nil {
		return nil, err
	}
	b := s.pop()
	s.handed = b.Len()
	return b, nil
}

// Read copies octets of the stream to p, as io.Reader.
func (ch *Channel) Read(p []byte) (int, error) { return ch.read(&ch.in, p) }

func (ch *Channel) read(s *stream, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err := ch.await(s); err != nil {
		return 0, err
	}
	n := s.read(p)
	ch.consume(n)
	return n, nil
}

// await waits until s has something; it is called with ch.mu held.
func (ch *Channel) await(s *stream) error {
	for {
		switch {
		case ch.has(closed):
			return ErrChannelClosed
		case !ch.deadline.IsZero() && !time.Now().Before(ch.deadline):
			return os.ErrDeadlineExceeded
		case s.size > 0:
			return nil
		case ch.has(gotEOF | gotClose):
			return io.EOF
		case ch.err != nil:
			return ch.err
		}
		ch.cond.Wait()
	}
}

// consume gives n octets of the window back, with an adjust if it is time for
// one; it is called with ch.mu held, so that no adjust can follow our CLOSE.
func (ch *Channel) consume(n int) {
	ch.conn.queued.Add(int64(-n))
	if ch.err != nil || ch.has(gotEOF|gotClose|sentClose) {
		return
	}
	raise := ch.window.consume(n, ch.conn.RTT(), ch.conn.growth)
	if raise == 0 {
		return
	}
	// By hand, since this may run for every few packets and must not allocate.
	b := packet.Get(9)
	p := b.Bytes()
	p[0] = msg.NumWindowAdjust
	putUint32(p[1:], ch.peer)
	putUint32(p[5:], raise)
	_ = ch.conn.t.Post(b) // an error ends the connection
}

// Stderr returns the second stream of a session: a client reads it, a server
// writes it. Until Stderr is called, what arrives on it is discarded, so call
// it before starting a command. Both streams share the channel's window: once
// you have called Stderr, read it, or the channel stalls.
func (ch *Channel) Stderr() io.ReadWriter {
	ch.mu.Lock()
	ch.hear = true
	ch.mu.Unlock()
	return (*stderr)(ch)
}

type stderr Channel

func (s *stderr) Read(p []byte) (int, error) {
	ch := (*Channel)(s)
	return ch.read(&ch.stderr, p)
}

func (s *stderr) Write(p []byte) (int, error) {
	return (*Channel)(s).write(p, func(b *packet.Buf) error { return s.flow.WriteExtended(extendedStderr, b) })
}

// ---- writing

// WritePacket sends b and its continuations in one piece. It takes ownership of
// b even if it fails, and waits while the peer's window is used up. See
// packet.Conn.
func (ch *Channel) WritePacket(b *packet.Buf) error {
	ch.conn.idle.used()
	return ch.flow.Write(b)
}

// MaxPacket is the largest payload that leaves in one piece. See packet.Conn.
func (ch *Channel) MaxPacket() int {
	// A peer may announce 1. Nobody gains if Bufs are made that small: larger
	// ones are cut on their way.
	return max(ch.flow.MaxPacket(), 1<<10)
}

// Write sends a copy of p, as io.Writer.
func (ch *Channel) Write(p []byte) (int, error) { return ch.write(p, ch.flow.Write) }

func (ch *Channel) write(p []byte, send func(*packet.Buf) error) (int, error) {
	ch.conn.idle.used()
	piece := min(ch.MaxPacket(), 32<<10)
	for n := 0; n < len(p); {
		b := packet.Get(min(len(p)-n, piece))
		m := copy(b.Bytes(), p[n:])
		if err := send(b); err != nil {
			return n, err
		}
		n += m
	}
	return len(p), nil
}

// CloseWrite sends EOF: the peer reads no more data after it, while this side
// can go on reading.
func (ch *Channel) CloseWrite() error {
	ch.flow.Close(ErrWriteClosed)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.postEOF()
}

// postEOF orders EOF once; it is called with ch.mu held and the flow closed.
func (ch *Channel) postEOF() error {
	if ch.err != nil {
		return ch.err
	}
	if ch.has(sentEOF | sentClose) {
		return nil
	}
	ch.state |= sentEOF
	return ch.conn.t.PostMessage(&msg.ChannelSignal{Num: msg.NumChannelEOF, Recipient: ch.peer})
}

// Close closes the channel both ways at once and unblocks everyone. What
// arrived and was not read is dropped. It never waits.
func (ch *Channel) Close() error {
	ch.flow.Close(ErrChannelClosed)
	ch.mu.Lock()
	if ch.has(closed) {
		ch.mu.Unlock()
		return nil
	}
	ch.state |= closed
	ch.purge()
	ch.postClose()
	for _, w := range ch.waiters {
		w.deliver(answer{err: ErrChannelClosed})
	}
	ch.disarm()
	ch.cond.Broadcast()
	ch.mu.Unlock()
	ch.stop(ErrChannelClosed)
	return nil
}

// purge drops what is queued; it is called with ch.mu held.
func (ch *Channel) purge() {
	ch.conn.queued.Add(-int64(ch.in.size + ch.stderr.size + ch.in.handed))
	ch.in.handed = 0
	ch.in.purge()
	ch.stderr.purge()
}

// postClose orders CLOSE once; it is called with ch.mu held.
func (ch *Channel) postClose() {
	if ch.err == nil && !ch.has(sentClose) {
		ch.state |= sentClose
		if ch.telling > 0 {
			ch.closeDue = true
			return
		}
		_ = ch.conn.t.PostMessage(&msg.ChannelSignal{Num: msg.NumChannelClose, Recipient: ch.peer})
	}
}

// ---- deadlines and addresses

// SetDeadline sets the deadline of reads and writes, as net.Conn.
func (ch *Channel) SetDeadline(t time.Time) error {
	_ = ch.SetWriteDeadline(t)
	return ch.SetReadDeadline(t)
}

// SetWriteDeadline makes writes that wait at t fail with
// os.ErrDeadlineExceeded. The zero time means never.
func (ch *Channel) SetWriteDeadline(t time.Time) error {
	ch.flow.SetDeadline(t)
	return nil
}

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded from t on. The
// zero time means never.
func (ch *Channel) SetReadDeadline(t time.Time) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.disarm()
	ch.deadline = t
	wait := time.Until(t)
	if !t.IsZero() {
		// By the clock of the timer: whoever it wakes must find that it is time.
		ch.deadline = time.Now().Add(wait)
	}
	if !t.IsZero() && wait > 0 && !ch.has(closed) {
		ch.timer = time.AfterFunc(wait, func() {
			ch.mu.Lock()
			ch.cond.Broadcast()
			ch.mu.Unlock()
		})
	}
	ch.cond.Broadcast()
	return nil
}

// disarm stops the deadline's timer; it is called with ch.mu held.
func (ch *Channel) disarm() {
	if ch.timer != nil {
		ch.timer.Stop()
		ch.timer = nil
	}
}

// LocalAddr returns the connection's local address.
func (ch *Channel) LocalAddr() net.Addr { return ch.conn.t.NetConn().LocalAddr() }

// RemoteAddr returns the connection's remote address.
func (ch *Channel) RemoteAddr() net.Addr { return ch.conn.t.NetConn().RemoteAddr() }

// ---- what the reader does

// receive queues the data of a packet, delivers it, or drops it with credit.
func (ch *Channel) receive(s *stream, data []byte, header int) error {
	b, err := ch.accept(s, data, header)
	if b != nil {
		ch.to(b) // which nobody changes any more
	}
	return err
}

// accept does all of receive but for what is to be delivered, which it returns.
func (ch *Channel) accept(s *stream, data []byte, header int) (*packet.Buf, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	n := len(data)
	switch {
	case !ch.has(confirmed) || ch.has(gotEOF|gotClose):
		return nil, ch.conn.t.Violation("channel data before open or after eof")
	case n > maxPacket:
		return nil, ch.conn.t.Violation("channel data of %d octets, more than %d", n, maxPacket)
	}
	ok, rtt := ch.window.receive(n)
	if !ok {
		return nil, ch.conn.t.Violation("channel data beyond the window")
	}
	if rtt > 0 {
		ch.conn.sampleRTT(rtt)
	}
	switch {
	case n == 0 || ch.has(sentClose|closed):
		// In flight while we closed: nobody wants it, and no more may come.
		return nil, nil
	case ch.discard || s == &ch.stderr && !ch.hear:
		ch.conn.queued.Add(int64(n))
		ch.consume(n)
		return nil, nil
	case ch.to != nil && s == &ch.in:
		ch.conn.queued.Add(int64(n))
		ch.consume(n)
		return ch.taken(data, header), nil
	case n >= takeFrom:
		s.push(ch.taken(data, header))
	default:
		s.pushCopy(data)
	}
	ch.conn.queued.Add(int64(n))
	ch.cond.Broadcast()
	return nil, nil
}

// end records that nothing comes any more: the peer closed the channel (err is
// ErrChannelClosed) or the connection is over.
func (ch *Channel) end(err error) {
	if ch.flow != nil {
		ch.flow.Close(err)
	}
	ch.mu.Lock()
	if ch.err == nil {
		ch.err = err
	}
	for _, w := range ch.waiters {
		w.deliver(answer{err: err})
		if w.slot {
			ch.conn.giveSlot()
		}
	}
	ch.waiters = nil
	if ch.unread {
		ch.purge()
	}
	ch.disarm()
	ch.cond.Broadcast()
	ch.mu.Unlock()
	ch.stop(err)
}

// answered takes the oldest waiter, or nil.
func (ch *Channel) answered() *waiter {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if len(ch.waiters) == 0 {
		return nil
	}
	w := ch.waiters[0]
	ch.waiters[0], ch.waiters = nil, ch.waiters[1:]
	return w
}

func putUint32(p []byte, v uint32) {
	_ = p[3]
	p[0], p[1], p[2], p[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

var (
	_ net.Conn    = (*Channel)(nil)
	_ packet.Conn = (*Channel)(nil)
)

// isClosed tells whether err is what our own closing of a channel caused.
func isClosed(err error) bool {
	return errors.Is(err, ErrChannelClosed) || errors.Is(err, ErrWriteClosed) || errors.Is(err, ErrClosed)
}
