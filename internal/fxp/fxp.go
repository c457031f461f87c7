// Package fxp lays out every message of the SSH File Transfer Protocol and says
// in one table which versions have it, what it may change and what answers it.
//
// A message on the wire is a length, a type, a request id (all but INIT and
// VERSION) and a body. The structs here are bodies; [Append] writes all four parts.
// Bodies that differ between protocol versions carry the version in their field V,
// which whoever makes one sets before coding it; the New column of the table does.
package fxp

import (
	"encoding/binary"
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Version is a protocol version as in INIT and VERSION. Versions 0 to 2 are
// version 3 without the text of STATUS, the links and the extensions (filexfer-02
// section 10), so they come with it for nothing.
type Version uint32

// The versions that this package can code.
const (
	V0 Version = iota
	V1
	V2
	V3
	V4 // filexfer-04
	V5 // filexfer-05
	V6 // filexfer-13

	// Newest is the highest of them.
	Newest = V6
)

// Type is a message type.
type Type byte

// Message types (filexfer-02 section 3, filexfer-13 section 4.3).
const (
	TypeInit          Type = 1
	TypeVersion       Type = 2
	TypeOpen          Type = 3
	TypeClose         Type = 4
	TypeRead          Type = 5
	TypeWrite         Type = 6
	TypeLstat         Type = 7
	TypeFstat         Type = 8
	TypeSetstat       Type = 9
	TypeFsetstat      Type = 10
	TypeOpendir       Type = 11
	TypeReaddir       Type = 12
	TypeRemove        Type = 13
	TypeMkdir         Type = 14
	TypeRmdir         Type = 15
	TypeRealpath      Type = 16
	TypeStat          Type = 17
	TypeRename        Type = 18
	TypeReadlink      Type = 19
	TypeSymlink       Type = 20
	TypeLink          Type = 21
	TypeBlock         Type = 22
	TypeUnblock       Type = 23
	TypeStatus        Type = 101
	TypeHandle        Type = 102
	TypeData          Type = 103
	TypeName          Type = 104
	TypeAttrs         Type = 105
	TypeExtended      Type = 200
	TypeExtendedReply Type = 201
)

const (
	// LengthSize is the octets of the length in front of every message.
	LengthSize = 4
	// HeaderSize is the octets of length, type and request id.
	HeaderSize = LengthSize + 1 + 4
	// MaxLength is the largest value of the length field that either side
	// takes: OpenSSH's limit, which everybody lives with, but for servers with NAME.
	MaxLength = 256 << 10
	// MaxData is the most content that one READ or WRITE should move, as
	// limits@openssh.com announces it: MaxLength less 1 KiB for what is around.
	MaxData = MaxLength - 1<<10
	// MaxHandle is the longest handle in octets (filexfer-02 section 6).
	MaxHandle = 256
)

// HasID tells whether messages of type t carry a request id.
func (t Type) HasID() bool { return t != TypeInit && t != TypeVersion }

// Message is the body of one message.
type Message interface {
	wire.Layouter
	// Type is the message type on the wire.
	Type() Type
}

// Append appends m with length, type and, where its type has one, request id.
func Append(dst []byte, id uint32, m Message) []byte {
	start := len(dst)
	dst = AppendHeader(dst, m.Type(), id)
	return Finish(wire.Append(dst, m), start)
}

// AppendHeader appends a header whose length is still to be written by Finish.
func AppendHeader(dst []byte, t Type, id uint32) []byte {
	dst = append(dst, 0, 0, 0, 0, byte(t))
	if t.HasID() {
		dst = binary.BigEndian.AppendUint32(dst, id)
	}
	return dst
}

// Finish writes the length of the message that starts at dst[start] and ends dst.
func Finish(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-LengthSize))
	return dst
}

// Split takes a message, without its length, apart. The error is wire.ErrShort
// when type or request id is missing; id is 0 where the type has none.
func Split(p []byte) (t Type, id uint32, body []byte, err error) {
	if len(p) == 0 {
		return 0, 0, nil, fmt.Errorf("fxp: no type: %w", wire.ErrShort)
	}
	t, body = Type(p[0]), p[1:]
	if !t.HasID() {
		return t, 0, body, nil
	}
	if len(body) < 4 {
		return t, 0, nil, fmt.Errorf("fxp: %s without a request id: %w", t, wire.ErrShort)
	}
	return t, binary.BigEndian.Uint32(body), body[4:], nil
}

// Decode decodes p, a message without its length, into m, and returns the
// request id. It refuses another type with wire.ErrValue.
func Decode(p []byte, m Message) (id uint32, err error) {
	t, id, body, err := Split(p)
	if err != nil {
		return 0, err
	}
	if t != m.Type() {
		return id, fmt.Errorf("fxp: %s instead of %s: %w", t, m.Type(), wire.ErrValue)
	}
	if err := wire.Decode(body, m); err != nil {
		return id, fmt.Errorf("fxp: %s: %w", t, err)
	}
	return id, nil
}
