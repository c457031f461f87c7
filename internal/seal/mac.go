package seal

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// A crypt encrypts, or decrypts, whole blocks from src to dst, which may be the
// same, and remembers where it stopped.
type crypt func(dst, src []byte)

// newCrypt makes a crypt under a key and an IV, which it copies: the one that
// decrypts, if opening.
type newCrypt func(key, iv []byte, opening bool) (crypt, error)

// An authenticator computes the MAC of packets (RFC 4253 §6.4), one at a time.
type authenticator interface {
	// mac returns the MAC of the packet b with the number seq. It is valid
	// until the next call.
	mac(seq uint32, b []byte) []byte
}

// verify compares tag with the MAC of b, in constant time.
func verify(a authenticator, seq uint32, b, tag []byte) bool {
	return subtle.ConstantTimeCompare(a.mac(seq, b), tag) == 1
}

func newAuthenticator(m *MAC, key []byte) (authenticator, error) {
	if m.keyed != nil {
		return m.keyed(key, m.Size)
	}
	return newHMAC(m.hash, key, m.Size), nil
}

// hashMAC is HMAC (RFC 2104) of seq || b, cut to n octets.
type hashMAC struct {
	hash hash.Hash
	// Both would escape to the heap through the interface if they were local.
	seq [4]byte
	sum []byte
	n   int // octets of sum that are sent
}

func newHMAC(of func() hash.Hash, key []byte, size int) *hashMAC {
	a := &hashMAC{hash: hmac.New(of, key), n: size}
	a.sum = make([]byte, 0, a.hash.Size())
	// The first Reset keeps a copy of the keyed state, which later ones
	// return to: take its memory and time here, not with a packet.
	a.hash.Reset()
	return a
}

func (a *hashMAC) mac(seq uint32, b []byte) []byte {
	binary.BigEndian.PutUint32(a.seq[:], seq)
	a.hash.Reset()
	a.hash.Write(a.seq[:])
	a.hash.Write(b)
	a.sum = a.hash.Sum(a.sum[:0])
	return a.sum[:a.n]
}

// encryptThenMAC is the order of OpenSSH's -etm MACs (PROTOCOL §1.5): the
// length travels in clear, the MAC covers it and the ciphertext.
type encryptThenMAC struct {
	frame
	auth  authenticator
	crypt crypt
}

func (e *encryptThenMAC) Ordered() bool { return true }

func (e *encryptThenMAC) Seal(_ uint64, seq uint32, pkt []byte) {
	end := len(pkt) - e.tag
	invariant.Check(end >= lengthSize+minLength, "seal: packet without room for its mac")
	body := pkt[lengthSize:end]
	e.crypt(body, body)
	copy(pkt[end:], e.auth.mac(seq, pkt[:end]))
}

func (e *encryptThenMAC) Head() int { return lengthSize }

func (e *encryptThenMAC) Length(_ uint64, _ uint32, head []byte) (int, error) {
	return e.clearLength(head)
}

func (e *encryptThenMAC) Open(_ uint64, seq uint32, pkt []byte) ([]byte, error) {
	end, err := e.split(pkt)
	if err != nil {
		return nil, err
	}
	if !verify(e.auth, seq, pkt[:end], pkt[end:]) {
		return nil, ErrTag
	}
	body := pkt[lengthSize:end]
	e.crypt(body, body)
	return payload(body)
}

// encryptAndMAC is the order of RFC 4253 §6.3 and §6.4: everything but the MAC
// is encrypted, the length too, and the MAC covers the packet in clear. So the
// first block is decrypted to find the length, and the rest before the MAC can
// be checked. Under CBC that needs more care: see cbcAndMAC.
type encryptAndMAC struct {
	frame
	auth  authenticator
	crypt crypt
}

func (e *encryptAndMAC) Ordered() bool { return true }

func (e *encryptAndMAC) Seal(_ uint64, seq uint32, pkt []byte) {
	end := len(pkt) - e.tag
	invariant.Check(end >= lengthSize+minLength, "seal: packet without room for its mac")
	copy(pkt[end:], e.auth.mac(seq, pkt[:end]))
	e.crypt(pkt[:end], pkt[:end])
}

func (e *encryptAndMAC) Head() int { return e.block }

// Length decrypts head in place.
func (e *encryptAndMAC) Length(_ uint64, _ uint32, head []byte) (int, error) {
	if len(head) < e.block {
		return 0, ErrTooShort
	}
	head = head[:e.block]
	e.crypt(head, head)
	return e.clearLength(head)
}

// Open decrypts what Length left.
func (e *encryptAndMAC) Open(_ uint64, seq uint32, pkt []byte) ([]byte, error) {
	end, err := e.split(pkt)
	if err != nil {
		return nil, err
	}
	rest := pkt[e.block:end]
	e.crypt(rest, rest)
	if !verify(e.auth, seq, pkt[:end], pkt[end:]) {
		return nil, ErrTag
	}
	return payload(pkt[lengthSize:end])
}
