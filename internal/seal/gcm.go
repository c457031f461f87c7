package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// gcm is AES in Galois/counter mode (RFC 5647 §7). The length travels in clear
// and is authenticated as associated data. The state never changes, so one
// value could seal and open, and does so from any number of goroutines.
type gcm struct {
	frame
	aead    cipher.AEAD
	fixed   uint32 // first 4 octets of the derived IV
	counter uint64 // the invocation counter of the first packet: the other 8
}

func newGCM(key, iv []byte) (protector, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &gcm{
		frame:   frame{block: aes.BlockSize, tag: aead.Overhead(), aside: lengthSize},
		aead:    aead,
		fixed:   binary.BigEndian.Uint32(iv),
		counter: binary.BigEndian.Uint64(iv[4:]),
	}, nil
}

// nonce returns the nonce of packet n. RFC 5647 §7.1 treats the invocation
// counter as a 64-bit integer: it starts anywhere, so it wraps as uint64 does,
// and the fixed octets take no carry.
func (g *gcm) nonce(n uint64) *nonce { return takeNonce(g.fixed, g.counter+n) }

func (g *gcm) Ordered() bool { return false }

func (g *gcm) Seal(n uint64, _ uint32, pkt []byte) {
	end := len(pkt) - g.tag
	invariant.Check(end >= lengthSize+minLength, "seal: packet without room for its tag")
	iv := g.nonce(n)
	g.aead.Seal(pkt[lengthSize:lengthSize:len(pkt)], iv[:], pkt[lengthSize:end], pkt[:lengthSize])
	iv.release()
}

func (g *gcm) Head() int { return lengthSize }

func (g *gcm) Length(_ uint64, _ uint32, head []byte) (int, error) { return g.clearLength(head) }

func (g *gcm) Open(n uint64, _ uint32, pkt []byte) ([]byte, error) {
	if _, err := g.split(pkt); err != nil {
		return nil, err
	}
	iv := g.nonce(n)
	body, err := g.aead.Open(pkt[lengthSize:lengthSize], iv[:], pkt[lengthSize:], pkt[:lengthSize])
	iv.release()
	if err != nil {
		return nil, ErrTag
	}
	return payload(body)
}
