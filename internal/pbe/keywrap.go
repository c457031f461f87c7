package pbe

import (
	"crypto/aes"
	"encoding/binary"
)

// openKeyWrap is AES key wrapping with padding, RFC 5649 section 4.2, whose
// parameters are absent.
func openKeyWrap(key, params, data []byte) ([]byte, error) {
	if len(params) != 0 {
		return nil, bad(encryption, "key wrapping has no parameters")
	}
	if len(data) < 16 || len(data)%8 != 0 {
		return nil, bad(encryption, "data of a wrong length")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &Error{encryption, err}
	}
	var b [aes.BlockSize]byte // the register A and one block of the text
	out := make([]byte, len(data)-8)
	if n := len(out) / 8; n == 1 {
		block.Decrypt(b[:], data)
		copy(out, b[8:])
	} else { // RFC 3394 section 2.2.2
		copy(b[:8], data)
		copy(out, data[8:])
		for t := 6 * n; t > 0; t-- {
			part := out[(t-1)%n*8:][:8]
			binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(t))
			copy(b[8:], part)
			block.Decrypt(b[:], b[:])
			copy(part, b[8:])
		}
	}
	size := int64(binary.BigEndian.Uint32(b[4:]))
	pad := int64(len(out)) - size
	if binary.BigEndian.Uint32(b[:]) != 0xa65959a6 || pad < 0 || pad > 7 {
		return nil, ErrPassword
	}
	for _, c := range out[size:] {
		if c != 0 {
			return nil, ErrPassword
		}
	}
	return out[:size], nil
}
