package ssh2

import "github.com/fairlead-ssh/fairlead/packet"

// A stream is the queue of what arrived on a channel and was not taken yet. It
// is bounded by the channel's window and guarded by its mutex.
type stream struct {
	bufs   []*packet.Buf // from head on
	head   int
	size   int // octets queued
	handed int // octets of the Buf that ReadPacket returned last: consumed when it is called again
}

const (
	// takeFrom is the payload from which a packet's own Buf is queued. What is
	// smaller is copied behind what is queued already, so that a peer cannot
	// pin a large Buf with a few octets.
	takeFrom = 16 << 10
	// gather is the size of the Bufs that collect small packets once the
	// consumer has fallen behind.
	gather = 32 << 10
)

// push queues b, which it owns from then on.
func (s *stream) push(b *packet.Buf) {
	if s.head > 0 && len(s.bufs) == cap(s.bufs) {
		// Move down instead of growing for ever.
		n := copy(s.bufs, s.bufs[s.head:])
		clear(s.bufs[n:])
		s.bufs, s.head = s.bufs[:n], 0
	}
	s.bufs = append(s.bufs, b)
	s.size += b.Len()
}

// pushCopy queues a copy of p.
func (s *stream) pushCopy(p []byte) {
	if last := len(s.bufs) - 1; last >= s.head && s.bufs[last].Tail() >= len(p) {
		copy(s.bufs[last].Extend(len(p)), p)
		s.size += len(p)
		return
	}
	n := len(p)
	if s.size > 0 {
		n = max(n, gather)
	}
	b := packet.Get(n)
	b.Trim(copy(b.Bytes(), p))
	s.push(b)
}

// pop takes the oldest Buf out of the queue, which must not be empty.
func (s *stream) pop() *packet.Buf {
	b := s.bufs[s.head]
	s.bufs[s.head] = nil
	s.head++
	if s.head == len(s.bufs) {
		s.bufs, s.head = s.bufs[:0], 0
	}
	s.size -= b.Len()
	return b
}

// read copies queued octets to p.
func (s *stream) read(p []byte) (n int) {
	for n < len(p) && s.size > 0 {
		b := s.bufs[s.head]
		m := copy(p[n:], b.Bytes())
		n += m
		if m == b.Len() {
			s.pop().Release()
			continue
		}
		b.Skip(m)
		s.size -= m
	}
	return n
}

// purge releases everything that is queued.
func (s *stream) purge() {
	for s.size > 0 || s.head < len(s.bufs) {
		s.pop().Release()
	}
	s.bufs = nil
}
