// Package wire codes the primitive types of SSH and SFTP (RFC 4251 section 5).
//
// A message states its fields once, in a Layout method that walks a [Coder];
// the Coder's mode makes the same walk encode, decode or print:
//
//	func (m *ChannelOpen) Layout(c *wire.Coder) {
//		c.String(&m.Type)
//		c.Uint32(&m.Sender)
//		c.Rest(&m.Extra)
//	}
//
// Errors stick: after the first one every further field is left alone. Byte
// slices that are decoded alias the packet; strings are copies.
package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Layouter is a message whose fields are coded in order by one method.
type Layouter interface{ Layout(c *Coder) }

var (
	// ErrShort means that a message ended inside a field.
	ErrShort = errors.New("wire: message too short")
	// ErrTrailing means that octets followed the last field.
	ErrTrailing = errors.New("wire: octets after the last field")
	// ErrValue means that a field had a value that its type cannot have.
	ErrValue = errors.New("wire: field out of range")
)

type mode uint8

const (
	encoding mode = iota
	decoding
	printing
)

// A Coder walks the fields of one message. It is not safe for concurrent use.
type Coder struct {
	mode mode
	buf  []byte // encoding: what was written; decoding: what is left
	out  strings.Builder
	err  error
}

// Append encodes m behind dst and returns the extended slice.
func Append(dst []byte, m Layouter) []byte {
	c := Coder{buf: dst}
	m.Layout(&c)
	return c.buf
}

// Decode decodes p into m. Byte slices in m alias p. It returns ErrShort,
// ErrTrailing or ErrValue, possibly wrapped, and leaves m half filled then.
func Decode(p []byte, m Layouter) error {
	c := Coder{mode: decoding, buf: p}
	m.Layout(&c)
	return c.End()
}

// Print returns the fields of m in order, for logs and tests. Text from the
// peer is quoted and secrets are left out.
func Print(m Layouter) string {
	c := Coder{mode: printing}
	m.Layout(&c)
	return c.out.String()
}

// Decoder returns a Coder that decodes p field by field, for formats whose
// next field depends on an earlier one. Finish with End or Err.
func Decoder(p []byte) *Coder { return &Coder{mode: decoding, buf: p} }

// Err returns the first error.
func (c *Coder) Err() error { return c.err }

// Fail makes err the error of the walk unless there is one already. Layouts
// use it to refuse a value.
func (c *Coder) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// End returns the first error, or ErrTrailing if decoding left octets over.
func (c *Coder) End() error {
	if c.err == nil && c.mode == decoding && len(c.buf) != 0 {
		c.err = ErrTrailing
	}
	return c.err
}

// Buffer returns what was encoded so far, or what is left to decode.
func (c *Coder) Buffer() []byte { return c.buf }

// Decoding tells whether this walk decodes.
func (c *Coder) Decoding() bool { return c.mode == decoding }

// More tells whether an optional field should be walked: when decoding,
// whether octets are left; otherwise whether has is true.
func (c *Coder) More(has bool) bool {
	if c.mode == decoding {
		return c.err == nil && len(c.buf) > 0
	}
	return has
}

// take returns the next n octets while decoding, or nil after an error.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.buf) < n {
		c.err = ErrShort
		return nil
	}
	p := c.buf[:n:n]
	c.buf = c.buf[n:]
	return p
}

// field starts a printed field.
func (c *Coder) field(s string) {
	if c.out.Len() > 0 {
		c.out.WriteByte(' ')
	}
	c.out.WriteString(s)
}

// Byte codes one octet.
func (c *Coder) Byte(v *byte) {
	switch c.mode {
	case encoding:
		c.buf = append(c.buf, *v)
	case decoding:
		if p := c.take(1); p != nil {
			*v = p[0]
		}
	default:
		c.field(strconv.Itoa(int(*v)))
	}
}

// Bool codes a boolean; any octet but zero decodes as true.
func (c *Coder) Bool(v *bool) {
	switch c.mode {
	case encoding:
		b := byte(0)
		if *v {
			b = 1
		}
		c.buf = append(c.buf, b)
	case decoding:
		if p := c.take(1); p != nil {
			*v = p[0] != 0
		}
	default:
		c.field(strconv.FormatBool(*v))
	}
}

// Uint32 codes a uint32.
func (c *Coder) Uint32(v *uint32) {
	switch c.mode {
	case encoding:
		c.buf = binary.BigEndian.AppendUint32(c.buf, *v)
	case decoding:
		if p := c.take(4); p != nil {
			*v = binary.BigEndian.Uint32(p)
		}
	default:
		c.field(strconv.FormatUint(uint64(*v), 10))
	}
}

// Uint64 codes a uint64.
func (c *Coder) Uint64(v *uint64) {
	switch c.mode {
	case encoding:
		c.buf = binary.BigEndian.AppendUint64(c.buf, *v)
	case decoding:
		if p := c.take(8); p != nil {
			*v = binary.BigEndian.Uint64(p)
		}
	default:
		c.field(strconv.FormatUint(*v, 10))
	}
}

// Int64 codes a signed 64-bit integer in two's complement.
func (c *Coder) Int64(v *int64) {
	if c.mode == printing {
		c.field(strconv.FormatInt(*v, 10))
		return
	}
	u := uint64(*v)
	c.Uint64(&u)
	*v = int64(u)
}

// Fixed codes exactly len(p) octets without a length, such as a cookie.
func (c *Coder) Fixed(p []byte) {
	switch c.mode {
	case encoding:
		c.buf = append(c.buf, p...)
	case decoding:
		copy(p, c.take(len(p)))
	default:
		c.field(fmt.Sprintf("%x", p))
	}
}

// Bytes codes a string of octets; when decoded it aliases the packet. An
// mpint is coded the same way, by its content octets.
func (c *Coder) Bytes(v *[]byte) {
	switch c.mode {
	case encoding:
		c.buf = AppendBytes(c.buf, *v)
	case decoding:
		if p := c.take(4); p != nil {
			*v = c.block(p)
		}
	default:
		c.field(printBytes(*v))
	}
}

// block takes the octets that a decoded length announces.
func (c *Coder) block(length []byte) []byte {
	n := binary.BigEndian.Uint32(length)
	if uint64(n) > uint64(len(c.buf)) { // compared unsigned: int may have 32 bits
		c.err = ErrShort
		return nil
	}
	return c.take(int(n))
}

// Secret is Bytes for what must never be printed.
func (c *Coder) Secret(v *[]byte) {
	if c.mode == printing {
		c.field("(secret)")
		return
	}
	c.Bytes(v)
}

// String codes a string. Decoding copies it, unless *v holds the same already, as one
// does who decodes a list into one variable.
func (c *Coder) String(v *string) {
	switch c.mode {
	case encoding:
		c.buf = AppendString(c.buf, *v)
	case decoding:
		if p := c.take(4); p != nil {
			if s := c.block(p); string(s) != *v {
				*v = string(s)
			}
		}
	default:
		c.field(printString(*v))
	}
}

// Names codes a name-list (RFC 4251 section 5): comma-separated names in one
// string. An empty list is an empty string.
//
// Decoding skips empty names, which RFC 4251 forbids and which peers that end
// a list in a comma send. An octet outside printable US-ASCII is refused with
// ErrValue. A name longer than the 64 octets of RFC 4251 section 6 is kept:
// none of ours is as long, so it is only one more unknown name, which RFC 4253
// section 7.1 wants ignored; leaving it out would move the names behind it up
// and change which one the peer guesses by (RFC 4253 section 7). The memory
// taken is a small multiple of the packet's.
func (c *Coder) Names(v *[]string) {
	if c.mode != decoding {
		s := strings.Join(*v, ",")
		c.String(&s)
		return
	}
	var p []byte
	c.Bytes(&p)
	*v = nil
	if c.err != nil || len(p) == 0 {
		return
	}
	for _, b := range p {
		if b <= ' ' || b >= 0x7F {
			c.err = fmt.Errorf("%w: name-list with octet %#x", ErrValue, b)
			return
		}
	}
	for name := range strings.SplitSeq(string(p), ",") {
		if name != "" {
			*v = append(*v, name)
		}
	}
}

// Rest codes everything up to the end of the message.
func (c *Coder) Rest(v *[]byte) {
	switch c.mode {
	case encoding:
		c.buf = append(c.buf, *v...)
	case decoding:
		if c.err == nil {
			*v = c.take(len(c.buf))
		}
	default:
		c.field(printBytes(*v))
	}
}

// SecretRest is Rest for what must never be printed.
func (c *Coder) SecretRest(v *[]byte) {
	if c.mode == printing {
		c.field("(secret)")
		return
	}
	c.Rest(v)
}

// AppendUint32 appends v to dst.
func AppendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendBytes appends p to dst as a string.
func AppendBytes(dst, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(p))), p...)
}

// AppendString appends s to dst as a string.
func AppendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// printLimit keeps a printed field from flooding a log line.
const printLimit = 128

func printBytes(p []byte) string {
	// Not with fmt, or else whatever is coded would move to the heap.
	if len(p) > printLimit {
		return hex.EncodeToString(p[:16]) + "..(" + strconv.Itoa(len(p)) + " octets)"
	}
	return hex.EncodeToString(p)
}

func printString(s string) string {
	if len(s) > printLimit {
		return fmt.Sprintf("%+q..(%d octets)", s[:printLimit], len(s))
	}
	// ASCII quoting shows control, bidirectional and look-alike characters as
	// escapes, so that peer text cannot rewrite a terminal or a log line.
	return strconv.QuoteToASCII(s)
}
