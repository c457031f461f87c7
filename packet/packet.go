// Package packet provides the buffers that carry packets through Fairlead
// without being copied: pooled, with room in front for headers and behind for
// padding and tags, and with exactly one owner at a time.
//
// # Ownership
//
// A [Buf] has one owner. Passing it to a function that takes ownership, such as [Conn].WritePacket,
// ends the caller's right to touch it, even when that function fails. Whoever owns a Buf and does
// not pass it on calls [Buf.Release] exactly once. There are no reference counts. In builds with
// the race detector a released Buf is overwritten and a second release panics.
package packet

import (
	"io"
	"sync"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

const (
	// HeadRoom is the number of octets that Get leaves free in front of the
	// payload: an SSH packet and CHANNEL_DATA header (14) and an SFTP DATA
	// header (13) fit.
	HeadRoom = 32
	// TailRoom is the number of octets that Get leaves free behind the
	// payload: the largest random padding this library writes and the largest MAC fit.
	TailRoom = 96
	// MaxPayload is the largest payload that comes from a pool; larger Bufs
	// are allocated and left to the garbage collector.
	MaxPayload = largeSize - HeadRoom - TailRoom

	smallSize  = 4 << 10   // control messages and small requests
	mediumSize = 36 << 10  // one channel packet of 32 KiB with everything around it
	largeSize  = 260 << 10 // the largest packet either side may send
)

// A Buf is one packet in memory: a payload with room in front and behind.
// It is not safe for concurrent use; it has one owner.
type Buf struct {
	mem      []byte
	off, end int
	next     *Buf
	pool     *sync.Pool
	released invariant.Once
}

var (
	smallPool, mediumPool, largePool sync.Pool
	live                             invariant.Counter
)

// Get returns a Buf whose payload is n octets of unspecified content, with
// HeadRoom in front and at least TailRoom behind. The caller owns it. Check n
// against a limit before calling: Get takes the memory asked for.
func Get(n int) *Buf {
	need := n + HeadRoom + TailRoom
	switch {
	case need <= smallSize:
		return get(&smallPool, smallSize, n)
	case need <= mediumSize:
		return get(&mediumPool, mediumSize, n)
	case need <= largeSize:
		return get(&largePool, largeSize, n)
	}
	return get(nil, need, n)
}

func get(pool *sync.Pool, size, n int) *Buf {
	live.Add(1)
	var b *Buf
	if pool != nil {
		b, _ = pool.Get().(*Buf)
	}
	if b == nil {
		b = &Buf{mem: make([]byte, size), pool: pool}
	}
	b.off, b.end = HeadRoom, HeadRoom+n
	b.released.Reset()
	return b
}

// Live returns the number of Bufs that were taken and not released. It counts
// only in race builds (0 otherwise) and exists for tests.
func Live() int64 { return live.Load() }

// Bytes returns the payload. It stays valid until the Buf is passed on or
// released.
func (b *Buf) Bytes() []byte { return b.mem[b.off:b.end:b.end] }

// Len returns the length of the payload in octets.
func (b *Buf) Len() int { return b.end - b.off }

// Trim keeps the first n octets of the payload and drops the rest. n must not exceed Len.
func (b *Buf) Trim(n int) {
	invariant.Check(n >= 0 && n <= b.Len(), "packet: trim beyond the payload")
	b.end = b.off + n
}

// Skip drops the first n octets of the payload. n must not exceed Len.
func (b *Buf) Skip(n int) {
	invariant.Check(n >= 0 && n <= b.Len(), "packet: skip beyond the payload")
	b.off += n
}

// Prepend grows the payload by n octets in front and returns the new octets.
// n must not exceed Head.
func (b *Buf) Prepend(n int) []byte {
	invariant.Check(n >= 0 && n <= b.off, "packet: prepend beyond the head room")
	b.off -= n
	return b.mem[b.off : b.off+n : b.off+n]
}

// Extend grows the payload by n octets behind and returns the new octets.
// n must not exceed Tail.
func (b *Buf) Extend(n int) []byte {
	invariant.Check(n >= 0 && n <= len(b.mem)-b.end, "packet: extend beyond the tail room")
	b.end += n
	return b.mem[b.end-n : b.end : b.end]
}

// Head returns the octets free in front of the payload.
func (b *Buf) Head() int { return b.off }

// Tail returns the octets free behind the payload.
func (b *Buf) Tail() int { return len(b.mem) - b.end }

// Room returns the octets free behind the payload, for a read to fill; Extend
// makes what was filled part of the payload.
func (b *Buf) Room() []byte { return b.mem[b.end:] }

// Compact moves the payload to the front, so that all free octets lie behind
// it. An empty Buf costs nothing to compact.
func (b *Buf) Compact() {
	if b.off == b.end {
		b.off, b.end = 0, 0
		return
	}
	b.end = copy(b.mem, b.mem[b.off:b.end])
	b.off = 0
}

// Fill makes a copy of p the whole payload of b, at the very front. p must fit
// Cap and may not alias b.
func (b *Buf) Fill(p []byte) {
	invariant.Check(len(p) <= len(b.mem), "packet: fill beyond the memory")
	b.off, b.end = 0, copy(b.mem, p)
}

// Cap returns the size of the memory behind b: the largest payload that fits
// after Compact, with no room left.
func (b *Buf) Cap() int { return len(b.mem) }

// Link makes next the continuation of b, which owns it from then on: the
// payloads of a chain are one message that goes out in one piece, without
// anything of another writer in between. Link on a Buf that has a
// continuation already appends at the end of the chain.
func (b *Buf) Link(next *Buf) {
	for b.next != nil {
		b = b.next
	}
	b.next = next
}

// Unlink separates b from its continuation and returns that, or nil. The
// caller owns both.
func (b *Buf) Unlink() *Buf {
	n := b.next
	b.next = nil
	return n
}

// Total returns the length of the payload with all of its continuations, in octets.
func (b *Buf) Total() (n int) {
	for ; b != nil; b = b.next {
		n += b.Len()
	}
	return n
}

// Release gives b, and its continuation if it has one, back. Neither may be
// touched afterwards. Release of a nil Buf does nothing.
func (b *Buf) Release() {
	for b != nil {
		next := b.next
		b.next = nil
		b.released.Mark("packet: release")
		invariant.Poison(b.mem)
		live.Add(-1)
		if b.pool != nil {
			b.pool.Put(b)
		}
		b = next
	}
}

// A Conn is a duplex stream of octets that moves in Bufs. An *ssh2.Channel is
// one; [Pipe] makes one of anything else. A Conn does not keep boundaries: a
// message written as one Buf may arrive as several and the other way round.
//
// One goroutine may read while others write; Close may be called by any.
type Conn interface {
	// ReadPacket returns the next octets of the stream, at least one. The
	// caller owns the Buf. At the end of the stream it returns io.EOF.
	ReadPacket() (*Buf, error)
	// WritePacket sends b and its continuations in one piece. It takes
	// ownership of b, also when it fails. It may be called concurrently.
	WritePacket(b *Buf) error
	// MaxPacket is the largest payload that leaves in one piece on the wire.
	// Longer ones work but are cut and partly copied, so a writer of bulk
	// data builds chains of Bufs of this length.
	MaxPacket() int
	// Close ends the stream in both directions and unblocks all pending calls.
	Close() error
}

// A Deliverer is a Conn that can hand over arriving data at once, on the goroutine that reads the
// connection, which saves waking another goroutine. An *ssh2.Channel is one. It is an optimization:
// code that uses it must also work with a plain Conn.
type Deliverer interface {
	// Deliver registers f to be called with everything that arrives from now on, in order; what has
	// arrived already is passed to f before Deliver returns. f owns each Buf, must not block, and
	// must not call Deliver. From then on ReadPacket only waits for the end of the stream.
	Deliver(f func(b *Buf))
}

// pipeRead is how much Pipe asks its stream for at a time.
const pipeRead = 32 << 10

// Pipe returns a Conn over rwc, for standard input and output, a socket, or a
// session of another SSH implementation. Close closes rwc.
func Pipe(rwc io.ReadWriteCloser) Conn { return &pipe{rwc: rwc} }

type pipe struct {
	rwc io.ReadWriteCloser
	mu  sync.Mutex // one message at a time
}

func (p *pipe) ReadPacket() (*Buf, error) {
	b := Get(pipeRead)
	for {
		n, err := p.rwc.Read(b.Bytes())
		if n > 0 {
			b.Trim(n)
			return b, nil
		}
		if err != nil {
			b.Release()
			return nil, err
		}
	}
}

func (p *pipe) WritePacket(b *Buf) error {
	defer b.Release()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := b; c != nil; c = c.next {
		if _, err := p.rwc.Write(c.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipe) MaxPacket() int { return MaxPayload }

func (p *pipe) Close() error { return p.rwc.Close() }
