package sftp

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// inflow cuts the stream of a server into messages. The content of a DATA message stays in
// the Bufs it came in, as a chain; any other message is brought together if it was cut.
type inflow struct {
	conn packet.Conn
	in   *packet.Buf // received and not yet used; nil when there is nothing
	size int         // octets of in that the current message takes
	own  *packet.Buf // the current message, if it had to be brought together
}

// reply is one message of a server.
type reply struct {
	t  fxp.Type
	id uint32
	// body is what follows the request id. It is valid until the next message.
	body []byte
	// data is the content of a DATA message, n octets of it, which whoever gets it owns;
	// nil when there is none. eof is the end-of-file of version 6.
	data *packet.Buf
	n    int
	eof  bool
}

// next returns the next message. At the end of the stream it returns io.EOF, or
// io.ErrUnexpectedEOF inside a message.
func (f *inflow) next() (r reply, err error) {
	f.end()
	if err := f.ensure(fxp.LengthSize + 1); err != nil {
		return r, err
	}
	p := f.in.Bytes()
	n, err := checkLength(p)
	if err != nil {
		return r, err
	}
	r.t = fxp.Type(p[fxp.LengthSize])
	if r.t == fxp.TypeData {
		return r, inside(f.data(&r, n))
	}
	msg, err := f.whole(n)
	if err != nil {
		return r, inside(err)
	}
	if _, r.id, r.body, err = fxp.Split(msg); err != nil {
		return r, violation("%s without a request id", r.t)
	}
	return r, nil
}

// inside is err of a read inside a message.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ensure waits until the first n octets, a dozen at most, lie in one piece in in.
func (f *inflow) ensure(n int) error {
	for f.in == nil || f.in.Len() < n {
		b, err := f.conn.ReadPacket()
		if err != nil {
			if errors.Is(err, io.EOF) && f.in != nil {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		switch rest := f.in; {
		case rest == nil:
			f.in = b
		case b.Head() >= rest.Len():
			copy(b.Prepend(rest.Len()), rest.Bytes())
			rest.Release()
			f.in = b
		default:
			f.in = packet.Get(rest.Len() + b.Len())
			copy(f.in.Bytes()[copy(f.in.Bytes(), rest.Bytes()):], b.Bytes())
			rest.Release()
			b.Release()
		}
		if f.in.Len() == 0 {
			f.in.Release()
			f.in = nil
		}
	}
	return nil
}

// whole returns the message of n octets behind its length field, in one piece.
func (f *inflow) whole(n int) ([]byte, error) {
	if p := f.in.Bytes(); len(p) >= fxp.LengthSize+n {
		f.size = fxp.LengthSize + n
		return p[fxp.LengthSize:f.size:f.size], nil
	}
	f.in.Skip(fxp.LengthSize)
	f.own = packet.Get(n)
	for have := 0; have < n; {
		if err := f.ensure(1); err != nil {
			return nil, err
		}
		m := copy(f.own.Bytes()[have:], f.in.Bytes())
		have += m
		f.drop(m)
	}
	return f.own.Bytes(), nil
}

// data reads a DATA message of n octets behind its length field.
func (f *inflow) data(r *reply, n int) error {
	const header = fxp.DataHeaderSize - fxp.LengthSize
	if n < header {
		return violation("DATA of %d octets", n)
	}
	if err := f.ensure(fxp.DataHeaderSize); err != nil {
		return err
	}
	p := f.in.Bytes()
	r.id = binary.BigEndian.Uint32(p[fxp.LengthSize+1:])
	length := binary.BigEndian.Uint32(p[fxp.HeaderSize:])
	if uint64(length) > uint64(n-header) {
		return violation("DATA of %d octets with %d of content", n, length)
	}
	r.n = int(length)
	f.drop(fxp.DataHeaderSize)
	if err := f.content(r); err != nil {
		r.data.Release()
		r.data = nil
		return err
	}
	// Behind the content comes the end-of-file of version 6, and nothing that is known.
	for left := n - header - r.n; left > 0; {
		if err := f.ensure(1); err != nil {
			r.data.Release()
			r.data = nil
			return err
		}
		if left == n-header-r.n {
			r.eof = f.in.Bytes()[0] != 0
		}
		m := min(left, f.in.Len())
		f.drop(m)
		left -= m
	}
	return nil
}

// content takes r.n octets as a chain of Bufs.
func (f *inflow) content(r *reply) error {
	var last *packet.Buf
	for left := r.n; left > 0; {
		if err := f.ensure(1); err != nil {
			return err
		}
		b := f.take(left)
		left -= b.Len()
		switch {
		case r.data == nil:
			r.data, last = b, b
		case sparse(b) && last.Tail() >= b.Len():
			copy(last.Extend(b.Len()), b.Bytes())
			b.Release()
		default:
			if sparse(b) {
				// A server that sends octet by octet must not fill a Buf with each.
				room := packet.Get(min(left+b.Len(), gatherSize))
				room.Trim(copy(room.Bytes(), b.Bytes()))
				b.Release()
				b = room
			}
			last.Link(b)
			last = b
		}
	}
	return nil
}

// gatherSize is how many octets that came in small pieces share a Buf: what fits one for a
// packet of a channel.
const gatherSize = 32 << 10

// sparse tells whether b holds much less than it takes.
func sparse(b *packet.Buf) bool { return b.Len() < b.Cap()/4 }

// take takes up to n octets, as many as in has. Of what shares a Buf with something else the
// smaller part is copied.
func (f *inflow) take(n int) *packet.Buf {
	b := f.in
	over := b.Len() - n
	if over <= 0 {
		f.in = nil
		return b
	}
	if over < n {
		f.in = packet.Get(over)
		copy(f.in.Bytes(), b.Bytes()[n:])
		b.Trim(n)
		return b
	}
	front := packet.Get(n)
	copy(front.Bytes(), b.Bytes())
	b.Skip(n)
	return front
}

// end ends the current message.
func (f *inflow) end() {
	f.own.Release()
	f.own = nil
	if f.size > 0 {
		f.drop(f.size)
		f.size = 0
	}
}

// drop skips n octets of in.
func (f *inflow) drop(n int) {
	f.in.Skip(n)
	if f.in.Len() == 0 {
		f.in.Release()
		f.in = nil
	}
}

// close releases everything.
func (f *inflow) close() {
	f.in.Release()
	f.own.Release()
	f.in, f.own, f.size = nil, nil, 0
}
