package pbe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// ccmParams are CCMParameters of RFC 5084 section 3.1.
type ccmParams struct {
	Nonce []byte
	Tag   int `asn1:"optional,default:12"`
}

// openCCM decrypts with AES in CCM mode (RFC 3610), without additional data.
func openCCM(key, params, data []byte) ([]byte, error) {
	var p ccmParams
	if err := unmarshal(params, &p); err != nil {
		return nil, &Error{encryption, err}
	}
	size := 15 - len(p.Nonce) // of the length field
	switch {
	case size < 2 || size > 8:
		return nil, bad(encryption, "a nonce of %d octets, CCM takes 7 to 13", len(p.Nonce))
	case p.Tag < 8 || p.Tag > 16 || p.Tag%2 != 0: // RFC 5084 has shorter ones; they protect nothing
		return nil, bad(encryption, "a tag of %d octets, taken are 8 to 16", p.Tag)
	case len(data) < p.Tag || size < 8 && uint64(len(data)-p.Tag)>>(8*size) != 0:
		return nil, bad(encryption, "data of a wrong length")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &Error{encryption, err}
	}
	text, tag := data[:len(data)-p.Tag], data[len(data)-p.Tag:]

	// Counter block 0 hides the tag, the text begins with block 1 (section 2.3).
	var ctr [aes.BlockSize]byte
	ctr[0] = byte(size - 1)
	copy(ctr[1:], p.Nonce)
	stream := cipher.NewCTR(block, ctr[:])
	var mask [aes.BlockSize]byte
	stream.XORKeyStream(mask[:], mask[:])
	out := make([]byte, len(text))
	stream.XORKeyStream(out, text)

	// The tag is a CBC-MAC over a block of flags, nonce and length, and the
	// text with zeros behind it (section 2.2).
	var mac [aes.BlockSize]byte
	binary.BigEndian.PutUint64(mac[8:], uint64(len(out)))
	mac[0] = byte((p.Tag-2)/2<<3 | (size - 1))
	copy(mac[1:], p.Nonce)
	block.Encrypt(mac[:], mac[:])
	for rest := out; len(rest) > 0; {
		n := subtle.XORBytes(mac[:], mac[:], rest)
		rest = rest[n:]
		block.Encrypt(mac[:], mac[:])
	}
	subtle.XORBytes(mac[:], mac[:], mask[:])
	if subtle.ConstantTimeCompare(mac[:p.Tag], tag) != 1 {
		return nil, ErrPassword
	}
	return out, nil
}
