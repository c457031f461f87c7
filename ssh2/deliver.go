package ssh2

import "github.com/fairlead-ssh/fairlead/packet"

// Deliver makes the channel call f with everything that the peer sends from now
// on, as it arrives, on the goroutine that reads the connection: f must not
// block. What has arrived already is passed to f before Deliver returns. f owns
// each Buf, and the window is opened again at once, so memory is bounded only
// if the peer sends no more than it was asked for. ReadPacket then waits for
// the end of the stream. Deliver saves a protocol implementation from waking a
// goroutine for every packet; see [packet.Deliverer].
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
