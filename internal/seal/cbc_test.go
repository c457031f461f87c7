package seal

import (
	"bytes"
	"errors"
	"testing"
)

// counted counts the octets that are decrypted and that a MAC is computed of.
type counted struct {
	authenticator
	decrypted, hashed int
}

func (c *counted) mac(seq uint32, b []byte) []byte {
	c.hashed += len(b)
	return c.authenticator.mac(seq, b)
}

func (c *counted) wrap(f crypt) crypt {
	return func(dst, src []byte) {
		c.decrypted += len(src)
		f(dst, src)
	}
}

// CVE-2008-5161, row 7.6: a length that cannot be and a wrong MAC give the same
// error after the same number of octets, and cost the same work. What the reader
// does with this is shown by the test of this name in package transport.
func TestCVE_7_6_CBCLengthDoesNotShow(t *testing.T) {
	for _, m := range modes() {
		if m.cipher == nil || !m.cipher.CBC {
			continue
		}
		_, hides := m.opener(t).(Discarder)
		if hides == m.mac.EtM {
			t.Errorf("%v: hides its length: %v", m, hides)
		}
		if !hides {
			continue
		}
		for _, length := range []uint32{0, 13, MaxPacket + 1, 1 << 31, 28, 32<<10 - 4, MaxPacket/16*16 - 4} {
			o := m.opener(t).(*cbcAndMAC)
			work := &counted{authenticator: o.auth}
			o.auth, o.crypt = work, work.wrap(o.crypt)

			clear := make([]byte, 64)
			clear[0], clear[1], clear[2], clear[3] = byte(length>>24), byte(length>>16), byte(length>>8), byte(length)
			wire := append(sealed(m.sealer(t), 0, 0, clear)[:o.Head()], bytes.Repeat([]byte{0xcc}, o.Discards())...)[:o.Discards()]
			seen := o.Head()
			total, err := o.Length(0, 0, wire[:seen])
			if err == nil {
				seen = total
				_, err = o.Open(0, 0, wire[:total])
			}
			if !errors.Is(err, ErrTag) {
				t.Fatalf("%v: length %d: %v", m, length, err)
			}
			for rest := wire[seen:]; len(rest) > 0; { // in such pieces as a socket gives
				n := min(len(rest), 1460)
				o.Discard(rest[:n])
				rest = rest[n:]
			}
			// What the head and the ends of the pieces lack is under a block each.
			if slack := 64 + m.cipher.Block*(1+o.Discards()/1460); o.Discards()-work.decrypted > slack || o.Discards()-work.hashed > slack {
				t.Errorf("%v: length %d: %d octets decrypted and %d in a MAC, of %d", m, length, work.decrypted, work.hashed, o.Discards())
			}
		}
	}
}
