package ssh2

import "github.com/fairlead-ssh/fairlead/packet"

// Deliver makes f get what the peer sends from now on, as it arrives: on the goroutine that
// reads the connection, which f must not hold up. What has arrived already f gets before
// Deliver returns. Each Buf is f's, and counts as consumed with that: what bounds the memory
// is that the peer sends what it was asked for. ReadPacket then waits for the end of the
// stream. Deliver is for a protocol's own reader, which is spared being woken for every
// packet; see packet.Deliverer.
func (ch *Channel) Deliver(f func(b *packet.Buf)) {
	for {
		ch.mu.Lock()
		n := ch.in.handed
		ch.in.handed = 0
		if ch.in.size == 0 || ch.has(closed) {
			ch.to = f
			if n > 0 {
				ch.consume(n)
			}
			ch.mu.Unlock()
			return
		}
		b := ch.in.pop()
		ch.consume(n + b.Len())
		ch.mu.Unlock()
		f(b)
	}
}

// taken is the data of the current packet in a Buf of its own.
func (ch *Channel) taken(data []byte, header int) *packet.Buf {
	if len(data) >= takeFrom {
		b := ch.conn.t.Take()
		b.Skip(header)
		return b
	}
	b := packet.Get(len(data))
	copy(b.Bytes(), data)
	return b
}
