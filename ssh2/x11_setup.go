package ssh2

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// x11Setup is the first message of an X11 client: who it is to its display.
type x11Setup struct {
	order        binary.ByteOrder
	major, minor uint16
	protocol     string // of authorization, such as "MIT-MAGIC-COOKIE-1"; may be empty
	data         []byte // its argument
}

const (
	x11SetupHead = 12
	// The longest names and data of authorization protocols in use are far
	// below these, which are what we take memory for.
	maxX11Protocol = 64
	maxX11Data     = 256
)

var errX11Setup = errors.New("ssh2: x11: not an X11 connection")

// readX11Setup reads the first message of a connection, and nothing behind it.
func readX11Setup(r io.Reader) (*x11Setup, error) {
	var head [x11SetupHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("ssh2: x11: setup: %w", err)
	}
	var s x11Setup
	switch head[0] {
	case 'B':
		s.order = binary.BigEndian
	case 'l':
		s.order = binary.LittleEndian
	default:
		return nil, errX11Setup
	}
	s.major, s.minor = s.order.Uint16(head[2:]), s.order.Uint16(head[4:])
	name, data := int(s.order.Uint16(head[6:])), int(s.order.Uint16(head[8:]))
	if name > maxX11Protocol || data > maxX11Data {
		return nil, fmt.Errorf("ssh2: x11: setup: authorization of %d and %d octets is too long", name, data)
	}
	rest := make([]byte, pad4(name)+pad4(data))
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, fmt.Errorf("ssh2: x11: setup: %w", err)
	}
	s.protocol, s.data = string(rest[:name]), rest[pad4(name):][:data]
	return &s, nil
}

// message returns the message with another authorization.
func (s *x11Setup) message(protocol string, data []byte) []byte {
	letter := byte('B')
	if s.order == binary.ByteOrder(binary.LittleEndian) {
		letter = 'l'
	}
	b := make([]byte, x11SetupHead)
	b[0] = letter
	for i, v := range []int{int(s.major), int(s.minor), len(protocol), len(data)} {
		s.order.PutUint16(b[2+2*i:], uint16(v))
	}
	b = append(append(b, protocol...), make([]byte, pad4(len(protocol))-len(protocol))...)
	return append(append(b, data...), make([]byte, pad4(len(data))-len(data))...)
}

// refusal is what a display answers to a connection that it does not take.
func (s *x11Setup) refusal(reason string) []byte {
	n := pad4(len(reason))
	b := make([]byte, 8+n)
	b[1] = byte(len(reason))
	s.order.PutUint16(b[2:], s.major)
	s.order.PutUint16(b[4:], s.minor)
	s.order.PutUint16(b[6:], uint16(n/4))
	copy(b[8:], reason)
	return b
}

// shows tells whether the message has this authorization, in a time that does
// not depend on how much of the cookie is right.
func (s *x11Setup) shows(protocol string, cookie []byte) bool {
	right := subtle.ConstantTimeCompare(s.data, cookie) == 1
	return right && s.protocol == protocol
}

// pad4 rounds up to a multiple of 4.
func pad4(n int) int { return (n + 3) &^ 3 }
