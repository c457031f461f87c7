package fxp

import (
	"encoding/binary"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// The messages that move content are coded here by fixed offsets, since there are
// tens of thousands of them per second. A test holds them equal to the layouts.

// DataHeaderSize is the octets in front of the content of a DATA message.
const DataHeaderSize = HeaderSize + 4

// PutDataHeader writes the header of a DATA message with n octets of content into
// p, which has DataHeaderSize octets.
func PutDataHeader(p []byte, id uint32, n int) {
	_ = p[DataHeaderSize-1]
	binary.BigEndian.PutUint32(p, uint32(n+DataHeaderSize-LengthSize))
	p[4] = byte(TypeData)
	binary.BigEndian.PutUint32(p[5:], id)
	binary.BigEndian.PutUint32(p[9:], uint32(n))
}

// PutDataHeaderEOF is PutDataHeader for a DATA of version 6 that says that the file ends
// behind it: the octet DataEOF follows the content.
func PutDataHeaderEOF(p []byte, id uint32, n int) {
	PutDataHeader(p, id, n)
	binary.BigEndian.PutUint32(p, uint32(n+1+DataHeaderSize-LengthSize))
}

// DataEOF is what PutDataHeaderEOF announces.
const DataEOF byte = 1

// AppendRead appends a READ.
func AppendRead(dst []byte, id uint32, handle []byte, offset uint64, length uint32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(HeaderSize-LengthSize+4+len(handle)+12))
	dst = append(dst, byte(TypeRead))
	dst = binary.BigEndian.AppendUint32(dst, id)
	dst = wire.AppendBytes(dst, handle)
	dst = binary.BigEndian.AppendUint64(dst, offset)
	return binary.BigEndian.AppendUint32(dst, length)
}

// WriteHeaderSize is the octets in front of the content of a WRITE to a handle of n octets.
func WriteHeaderSize(n int) int { return HeaderSize + 4 + n + 8 + 4 }

// PutWriteHeader writes the header of a WRITE of n octets of content into p, which has
// WriteHeaderSize octets.
func PutWriteHeader(p []byte, id uint32, handle []byte, offset uint64, n int) {
	_ = p[WriteHeaderSize(len(handle))-1]
	binary.BigEndian.PutUint32(p, uint32(WriteHeaderSize(len(handle))+n-LengthSize))
	p[4] = byte(TypeWrite)
	binary.BigEndian.PutUint32(p[5:], id)
	binary.BigEndian.PutUint32(p[9:], uint32(len(handle)))
	p = p[13+copy(p[13:], handle):]
	binary.BigEndian.PutUint64(p, offset)
	binary.BigEndian.PutUint32(p[8:], uint32(n))
}

// ParseRead decodes the body of a READ. The handle aliases it. Octets behind the
// last field are let pass, as in ParseWrite.
func ParseRead(body []byte) (handle []byte, offset uint64, length uint32, err error) {
	handle, rest, ok := cutString(body)
	if !ok || len(rest) < 12 {
		return nil, 0, 0, wire.ErrShort
	}
	return handle, binary.BigEndian.Uint64(rest), binary.BigEndian.Uint32(rest[8:]), nil
}

// ParseWrite decodes the body of a WRITE. Handle and data alias it.
func ParseWrite(body []byte) (handle []byte, offset uint64, data []byte, err error) {
	handle, rest, ok := cutString(body)
	if !ok || len(rest) < 8 {
		return nil, 0, nil, wire.ErrShort
	}
	offset = binary.BigEndian.Uint64(rest)
	data, _, ok = cutString(rest[8:])
	if !ok {
		return nil, 0, nil, wire.ErrShort
	}
	return handle, offset, data, nil
}

func cutString(p []byte) (s, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return nil, nil, false
	}
	end := 4 + int(n)
	return p[4:end:end], p[end:], true
}

// okText is the text of a STATUS that says a request succeeded.
const okText = "success"

// AppendOK appends a STATUS of version v with code 0 for request id.
func AppendOK(dst []byte, v Version, id uint32) []byte {
	if v < V3 {
		dst = append(dst, 0, 0, 0, 9, byte(TypeStatus))
		dst = binary.BigEndian.AppendUint32(dst, id)
		return append(dst, 0, 0, 0, 0)
	}
	dst = append(dst, 0, 0, 0, 9+4+byte(len(okText))+4, byte(TypeStatus))
	dst = binary.BigEndian.AppendUint32(dst, id)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, byte(len(okText)))
	dst = append(dst, okText...)
	return append(dst, 0, 0, 0, 0)
}
