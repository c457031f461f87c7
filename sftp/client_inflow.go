package sftp

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// inflow cuts the stream of a server into messages, as it comes. The content of a DATA
// message stays in the Bufs it came in, as a chain; any other message is brought together if
// it was cut.
type inflow struct {
	// message takes each message. An error ends the stream.
	message func(reply) error

	in   *packet.Buf // received and not yet used; nil when there is nothing
	own  *packet.Buf // a message that is brought together
	have int         // octets of own that are there
	want int         // octets of the whole message: more than own holds, if it is long

	data   bool // inside a DATA message: r
	ending bool // behind its content
	r      reply
	last   *packet.Buf // of r.data
	left   int         // octets of content to come
	extra  int         // octets to come behind the content
}

// maxNames is the largest value of the length field of NAME. A client can ask for less
// content than fits a message, but not for fewer names, and there are servers that send a
// directory as one message: 8 MiB are some 70 000 files.
const maxNames = 8 << 20

// reply is one message of a server.
type reply struct {
	t  fxp.Type
	id uint32
	// body is what follows the request id. It is valid during the call.
	body []byte
	// data is the content of a DATA message, n octets of it, which whoever gets it owns;
	// nil when there is none. eof is the end-of-file of version 6.
	data *packet.Buf
	n    int
	eof  bool
}

// feed takes the next octets of the stream, and b.
func (f *inflow) feed(b *packet.Buf) error {
	f.join(b)
	for f.in != nil {
		var err error
		wait := false
		switch {
		case f.own != nil:
			err = f.gather()
		case f.data:
			err = f.content()
		default:
			wait, err = f.begin()
		}
		if err != nil || wait {
			return err
		}
	}
	return nil
}

// ended is err, which ended the stream: io.ErrUnexpectedEOF for io.EOF inside a message.
func (f *inflow) ended(err error) error {
	if errors.Is(err, io.EOF) && (f.in != nil || f.own != nil || f.data) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// join puts b behind in, of which a few octets are left at most.
func (f *inflow) join(b *packet.Buf) {
	rest := f.in
	switch {
	case b.Len() == 0:
		b.Release()
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
}

// begin begins the message at the start of in; wait says that this needs more octets.
func (f *inflow) begin() (wait bool, err error) {
	const header = fxp.DataHeaderSize - fxp.LengthSize
	p := f.in.Bytes()
	if len(p) < fxp.LengthSize {
		return true, nil
	}
	n, err := checkLength(p, maxNames)
	if err != nil || len(p) == fxp.LengthSize {
		return true, err
	}
	t := fxp.Type(p[fxp.LengthSize])
	if t != fxp.TypeName {
		if _, err := checkLength(p, fxp.MaxLength); err != nil {
			return true, err
		}
	}
	switch {
	case t == fxp.TypeData && n < header:
		return false, violation("DATA of %d octets", n)
	case t == fxp.TypeData && len(p) < fxp.DataHeaderSize:
		return true, nil
	case t == fxp.TypeData:
		length := binary.BigEndian.Uint32(p[fxp.HeaderSize:])
		if uint64(length) > uint64(n-header) {
			return false, violation("DATA of %d octets with %d of content", n, length)
		}
		f.r = reply{t: t, id: binary.BigEndian.Uint32(p[fxp.LengthSize+1:]), n: int(length)}
		f.data, f.left, f.extra = true, f.r.n, n-header-f.r.n
		f.drop(fxp.DataHeaderSize)
		if f.left+f.extra == 0 {
			return false, f.finish()
		}
	case len(p) >= fxp.LengthSize+n:
		err = f.whole(p[fxp.LengthSize : fxp.LengthSize+n])
		f.drop(fxp.LengthSize + n)
	default:
		f.own, f.have, f.want = packet.Get(min(n, fxp.MaxLength)), 0, n
		f.drop(fxp.LengthSize)
	}
	return false, err
}

// whole passes a message other than DATA on.
func (f *inflow) whole(msg []byte) error {
	t, id, body, err := fxp.Split(msg)
	if err != nil {
		return violation("%s without a request id", t)
	}
	return f.message(reply{t: t, id: id, body: body})
}

// gather brings a message together. Memory is taken for as much as has come, at most twice
// over, and not for what a length promises.
func (f *inflow) gather() error {
	m := copy(f.own.Bytes()[f.have:], f.in.Bytes())
	f.have += m
	f.drop(m)
	if f.have < f.own.Len() {
		return nil
	}
	if f.have < f.want {
		b := packet.Get(min(f.want, 2*f.have))
		copy(b.Bytes(), f.own.Bytes())
		f.own.Release()
		f.own = b
		return nil
	}
	err := f.whole(f.own.Bytes())
	f.own.Release()
	f.own = nil
	return err
}

// content takes octets of a DATA message.
func (f *inflow) content() error {
	if f.left > 0 {
		b := f.take(f.left)
		f.left -= b.Len()
		f.add(b)
	} else if f.extra > 0 {
		// The end-of-file of version 6, and behind it nothing that is known.
		if !f.ending {
			f.ending, f.r.eof = true, f.in.Bytes()[0] != 0
		}
		m := min(f.extra, f.in.Len())
		f.extra -= m
		f.drop(m)
	}
	if f.left+f.extra > 0 {
		return nil
	}
	return f.finish()
}

// finish passes a DATA message on.
func (f *inflow) finish() error {
	r := f.r
	f.data, f.ending, f.last, f.r = false, false, nil, reply{}
	return f.message(r)
}

// add puts b behind the content so far.
func (f *inflow) add(b *packet.Buf) {
	switch {
	case f.r.data == nil:
		f.r.data, f.last = b, b
	case sparse(b) && f.last.Tail() >= b.Len():
		copy(f.last.Extend(b.Len()), b.Bytes())
		b.Release()
	default:
		if sparse(b) {
			// A server that sends octet by octet must not fill a Buf with each.
			room := packet.Get(max(min(f.left+b.Len(), gatherSize), b.Len()))
			room.Trim(copy(room.Bytes(), b.Bytes()))
			b.Release()
			b = room
		}
		f.last.Link(b)
		f.last = b
	}
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
	f.r.data.Release()
	f.in, f.own, f.last, f.data, f.ending, f.r = nil, nil, nil, false, false, reply{}
}
