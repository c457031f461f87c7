package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// umac is UMAC (RFC 4418) on AES-128, as OpenSSH uses it: the nonce is the
// sequence number as a uint64, and the message is the packet, without the
// number in front of it (draft-miller-secsh-umac-01 §3).
//
// A tag is one word of 32 bits per stream. A stream hashes the message in three
// layers under keys of its own: pieces of 1 KiB to 64 bits each, these to one
// value of 64 bits, that to 32 bits. No branch and no address depends on
// anything but the message's length.
type umac struct {
	streams []umacStream
	// nh is the key of the first layer, in words: every stream starts 4 words
	// behind the one before and takes 256.
	nh []uint32
	// pad is what makes the words a tag: they are covered with a block of it.
	pad      cipher.Block
	in, out  [aes.BlockSize]byte
	tag      []byte
	lastPart [umacGroup]byte
}

// umacStream holds the keys of the upper layers.
type umacStream struct {
	poly   uint64
	inner  [4]uint64
	mask   uint32
	result uint64 // of the middle layer, so far
}

const (
	umacKeyLen = 16
	umacPiece  = 1024 // octets of message under one use of the first key
	umacGroup  = 32   // octets that the first layer takes at a time
	umacShift  = 4    // words between the first keys of two streams
	// umacMax is where the middle layer would have to go over to 128 bits (RFC
	// 4418 §5.3). No packet comes near.
	umacMax = 1 << 24

	prime36 = 1<<36 - 5
	prime64 = 1<<64 - 59
	gap64   = 59 // from prime64 to 2^64
	// umacMarked is where values begin that the middle layer hashes as two.
	umacMarked = 1<<64 - 1<<32
)

// newUMAC makes tags of size octets: 4, 8, 12 or 16.
func newUMAC(key []byte, size int) (authenticator, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	n := size / 4
	u := &umac{streams: make([]umacStream, n), tag: make([]byte, size)}
	// The numbers of the keys are those of RFC 4418 §3.2.1, §4.1 and §5.1.
	if u.pad, err = aes.NewCipher(umacKDF(block, 0, umacKeyLen)); err != nil {
		return nil, err
	}
	words := umacKDF(block, 1, umacPiece+(n-1)*4*umacShift)
	poly := umacKDF(block, 2, n*24)
	inner := umacKDF(block, 3, n*64)
	masks := umacKDF(block, 4, n*4)
	u.nh = make([]uint32, len(words)/4)
	for i := range u.nh {
		u.nh[i] = binary.BigEndian.Uint32(words[4*i:])
	}
	for i := range u.streams {
		s := &u.streams[i]
		// The other 16 of 24 octets are for messages above umacMax.
		s.poly = binary.BigEndian.Uint64(poly[24*i:]) & 0x01ffffff01ffffff
		// The last layer takes 128 bits, the first half of which is zero below
		// umacMax, and so are the products with the first 4 of its 8 keys.
		for j := range s.inner {
			s.inner[j] = binary.BigEndian.Uint64(inner[64*i+32+8*j:]) % prime36
		}
		s.mask = binary.BigEndian.Uint32(masks[4*i:])
	}
	return u, nil
}

// umacKDF derives n octets of key (RFC 4418 §3.2).
func umacKDF(block cipher.Block, index byte, n int) []byte {
	var out []byte
	for i := uint64(1); len(out) < n; i++ {
		b := make([]byte, aes.BlockSize)
		b[7] = index
		binary.BigEndian.PutUint64(b[8:], i)
		block.Encrypt(b, b)
		out = append(out, b...)
	}
	return out[:n]
}

func (u *umac) mac(seq uint32, b []byte) []byte { return u.sum(uint64(seq), b) }

// sum returns the tag of b under a nonce of 8 octets (RFC 4418 §4.2).
func (u *umac) sum(nonce uint64, b []byte) []byte {
	u.hash(b)
	// A block of pad serves as many nonces as tags fit into it: the low bits
	// of the nonce choose the tag's place (RFC 4418 §3.3).
	place := nonce % uint64(len(u.out)/len(u.tag))
	binary.BigEndian.PutUint64(u.in[:], nonce-place)
	u.pad.Encrypt(u.out[:], u.in[:])
	pad := u.out[int(place)*len(u.tag):]
	for i := range u.streams {
		s := &u.streams[i]
		binary.BigEndian.PutUint32(u.tag[4*i:], s.last()^binary.BigEndian.Uint32(pad[4*i:]))
	}
	return u.tag
}

// hash runs the lower two layers of every stream over b (RFC 4418 §5.2, §5.3).
func (u *umac) hash(b []byte) {
	invariant.Check(len(b) <= umacMax, "seal: umac of too long a message")
	single := len(b) <= umacPiece
	for i := range u.streams {
		u.streams[i].result = 1
	}
	for first := true; first || len(b) > 0; first = false {
		piece := b[:min(len(b), umacPiece)]
		b = b[len(piece):]
		length := uint64(len(piece)) * 8
		whole := len(piece) &^ (umacGroup - 1)
		// What is left is filled up with zeros; so is nothing at all.
		var rest []byte
		if whole < len(piece) || whole == 0 {
			u.lastPart = [umacGroup]byte{}
			copy(u.lastPart[:], piece[whole:])
			rest = u.lastPart[:]
		}
		for i := range u.streams {
			s, key := &u.streams[i], u.nh[umacShift*i:]
			h := nh(key, piece[:whole]) + nh(key[whole/4:], rest) + length
			if single {
				s.result = h // no middle layer
			} else {
				s.result = umacStep(s.poly, s.result, h)
			}
		}
	}
}

// nh is the hash NH (RFC 4418 §5.2.2) of whole groups.
func nh(key []uint32, m []byte) (y uint64) {
	for len(m) >= umacGroup && len(key) >= 8 {
		k, w := key[:8:8], m[:umacGroup:umacGroup]
		y += uint64(k[0]+binary.LittleEndian.Uint32(w)) * uint64(k[4]+binary.LittleEndian.Uint32(w[16:]))
		y += uint64(k[1]+binary.LittleEndian.Uint32(w[4:])) * uint64(k[5]+binary.LittleEndian.Uint32(w[20:]))
		y += uint64(k[2]+binary.LittleEndian.Uint32(w[8:])) * uint64(k[6]+binary.LittleEndian.Uint32(w[24:]))
		y += uint64(k[3]+binary.LittleEndian.Uint32(w[12:])) * uint64(k[7]+binary.LittleEndian.Uint32(w[28:]))
		key, m = key[8:], m[umacGroup:]
	}
	return y
}

// umacStep takes m into the polynomial y at the point k (RFC 4418 §5.3.2). A
// value that does not fit the field counts as a marker and a smaller value: both
// ways are computed and one is taken, as what m is depends on the key.
func umacStep(k, y, m uint64) uint64 {
	plain := mulAdd(k, y, m)
	marked := mulAdd(k, mulAdd(k, y, prime64-1), m-gap64)
	_, fits := bits.Sub64(m, umacMarked, 0)
	return marked ^ (plain^marked)&-fits
}

// mulAdd returns k*y + m modulo prime64, for k < 2^57 and y < prime64.
func mulAdd(k, y, m uint64) uint64 {
	hi, lo := bits.Mul64(k, y)
	// 2^64 is gap64 in this field; hi < 2^57, so the product fits, and after a
	// carry the sum is below 2^63.
	s, carry := bits.Add64(lo, hi*gap64, 0)
	s = reduce(s+carry*gap64, prime64)
	s, carry = bits.Add64(s, m, 0)
	return reduce(s+carry*gap64, prime64)
}

// reduce subtracts p from x once, unless x is below p.
func reduce(x, p uint64) uint64 {
	_, below := bits.Sub64(x, p, 0)
	return x - p&(below-1)
}

// last is the third layer (RFC 4418 §5.4).
func (s *umacStream) last() uint32 {
	r := s.result
	// Four products of 16 and 36 bits.
	sum := r>>48*s.inner[0] + r>>32&0xffff*s.inner[1] + r>>16&0xffff*s.inner[2] + r&0xffff*s.inner[3]
	// 2^36 is 5 in this field.
	return uint32(reduce(sum&(1<<36-1)+sum>>36*5, prime36)) ^ s.mask
}
