package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// ProtocolError is a violation of the protocol by the peer. It ends the session.
type ProtocolError struct {
	Text string // what was violated, for people
}

// Error returns "sftp: text".
func (e *ProtocolError) Error() string { return "sftp: " + e.Text }

func violation(format string, args ...any) error {
	return &ProtocolError{Text: fmt.Sprintf(format, args...)}
}

// framer cuts the stream of a Conn into messages. A message that lies in one received
// Buf is used there. One that is cut is completed in the Buf of its head, if what is
// missing fits behind it (the few octets by which a 32 KiB WRITE exceeds a 32 KiB
// channel packet do), and otherwise assembled in a Buf of its own: one copy.
//
// At most one message is current: next ends the one before.
type framer struct {
	conn packet.Conn

	in   *packet.Buf // received and not yet parsed; nil when there is nothing
	size int         // of the current message at the start of in, with its length field; 0: it is in own
	own  *packet.Buf // the current message, if it has a Buf to itself

	part *packet.Buf // a message under assembly, without its length field
	have int         // octets of part that are there

	head  [fxp.LengthSize]byte // a length field under assembly
	nHead int
}

// next ends the current message and returns the next one, without its length field, if
// it is in memory; ok is false if fill must be called first. The message is valid until
// the next call, or longer for whoever calls take.
func (f *framer) next() (msg []byte, ok bool, err error) {
	f.end()
	if f.part == nil {
		if f.in == nil {
			return nil, false, nil
		}
		p := f.in.Bytes()
		if f.nHead > 0 || len(p) < fxp.LengthSize {
			n := copy(f.head[f.nHead:], p)
			f.nHead += n
			f.drop(n)
			if f.nHead < fxp.LengthSize {
				return nil, false, nil
			}
			f.nHead = 0
			n, err := checkLength(f.head[:], fxp.MaxLength)
			if err != nil {
				return nil, false, err
			}
			f.part, f.have = packet.Get(n), 0
		} else {
			n, err := checkLength(p, fxp.MaxLength)
			if err != nil {
				return nil, false, err
			}
			missing := fxp.LengthSize + n - len(p)
			if missing <= 0 {
				f.size = fxp.LengthSize + n
				return p[fxp.LengthSize:f.size:f.size], true, nil
			}
			if missing <= f.in.Tail() {
				f.part, f.in = f.in, nil
				f.part.Skip(fxp.LengthSize)
				f.have = f.part.Len()
				f.part.Extend(missing)
			} else {
				f.part = packet.Get(n)
				f.have = copy(f.part.Bytes(), p[fxp.LengthSize:])
				f.drop(len(p))
			}
		}
	}
	if f.in != nil {
		n := copy(f.part.Bytes()[f.have:], f.in.Bytes())
		f.have += n
		f.drop(n)
	}
	if f.have < f.part.Len() {
		return nil, false, nil
	}
	f.own, f.part = f.part, nil
	return f.own.Bytes(), true, nil
}

// checkLength reads a length field and refuses what no message may have, before any
// memory is taken for it (cves 12.2).
func checkLength(p []byte, most uint32) (int, error) {
	n := binary.BigEndian.Uint32(p)
	if n == 0 || n > most {
		return 0, violation("message length %d", n)
	}
	return int(n), nil
}

// fill waits for more octets. It may be called only after next has found no message.
// At the end of the stream it returns io.EOF, or io.ErrUnexpectedEOF inside a message.
func (f *framer) fill() error {
	b, err := f.conn.ReadPacket()
	if err != nil {
		if errors.Is(err, io.EOF) && (f.part != nil || f.nHead > 0) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if b.Len() == 0 {
		b.Release()
		return nil
	}
	f.in = b
	return nil
}

// more tells whether another whole message is in memory behind the current one.
func (f *framer) more() bool {
	if f.in == nil {
		return false
	}
	p := f.in.Bytes()[f.size:]
	if len(p) < fxp.LengthSize {
		return false
	}
	return uint64(binary.BigEndian.Uint32(p)) <= uint64(len(p)-fxp.LengthSize)
}

// take gives the Buf with the current message away. The message is in it at
// msg, which may differ from what next answered: if more octets follow the message than
// it has itself, the message is copied and not they.
func (f *framer) take() (b *packet.Buf, msg []byte) {
	if f.own != nil {
		b, f.own = f.own, nil
		return b, b.Bytes()
	}
	p := f.in.Bytes()
	msg, rest := p[fxp.LengthSize:f.size:f.size], p[f.size:]
	if len(rest) > len(msg) {
		b = packet.Get(len(msg))
		copy(b.Bytes(), msg)
		f.end()
		return b, b.Bytes()
	}
	b, f.in, f.size = f.in, nil, 0
	if len(rest) > 0 {
		f.in = packet.Get(len(rest))
		copy(f.in.Bytes(), rest)
	}
	return b, msg
}

// end releases the current message.
func (f *framer) end() {
	if f.own != nil {
		f.own.Release()
		f.own = nil
	}
	if f.size > 0 {
		f.drop(f.size)
		f.size = 0
	}
}

// drop skips n octets of in.
func (f *framer) drop(n int) {
	f.in.Skip(n)
	if f.in.Len() == 0 {
		f.in.Release()
		f.in = nil
	}
}

// close releases everything.
func (f *framer) close() {
	f.in.Release()
	f.own.Release()
	f.part.Release()
	f.in, f.own, f.part, f.size = nil, nil, nil, 0
}
