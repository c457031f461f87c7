package seal

import (
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // deprecated in favour of chacha20poly1305, whose MAC covers other octets than OpenSSH's

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// chacha is chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305 of
// OpenSSH). One key encrypts the length alone, so that reading it early tells
// an attacker nothing about the rest; the other encrypts the rest from block 1
// on and, with block 0, makes the Poly1305 key of the packet. The tag covers
// the encrypted length and the ciphertext. The nonce is the sequence number.
// Like gcm it never changes.
//
// The keystream comes from the AEAD of RFC 8439. Its ChaCha20 is ours bit for
// bit: a 64-bit nonce and 64-bit block counter are a 96-bit nonce that starts
// with four zeros and a 32-bit counter as long as a packet is below 256 GiB,
// and it too leaves block 0 to Poly1305. Its tag is not ours (it covers padding
// and lengths), so we compute our own and throw the other away. That pays
// because x/crypto has vector code for the AEAD on amd64 but none for ChaCha20
// alone: see docs/adr/0008-chacha20-through-the-aead.md.
//
// The AEAD writes its tag behind the text. Both ways that place is the
// packet's own tag: when sealing, ours is written over it afterwards; when
// opening, ours has been verified by then and is not needed any more. XOR with
// a keystream is its own inverse, so Seal decrypts, too.
type chacha struct {
	frame
	rest   cipher.AEAD // keyed with K_2
	restK  [chacha20.KeySize]byte
	length [chacha20.KeySize]byte // K_1
}

func newChaCha(key, _ []byte) (protector, error) {
	c := &chacha{frame: frame{block: 8, tag: poly1305.TagSize, aside: lengthSize}}
	copy(c.restK[:], key)
	copy(c.length[:], key[chacha20.KeySize:])
	var err error
	c.rest, err = chacha20poly1305.New(c.restK[:])
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *chacha) nonce(seq uint32) *nonce { return takeNonce(0, uint64(seq)) }

// block0 fills dst with the first octets of the keystream of key.
func block0(dst []byte, key *[chacha20.KeySize]byte, n *nonce) {
	// Neither size can be wrong, hence neither can the call.
	s, err := chacha20.NewUnauthenticatedCipher(key[:], n[:])
	invariant.Check(err == nil, "seal: chacha20 key or nonce size")
	s.XORKeyStream(dst, dst)
}

func (c *chacha) Ordered() bool { return false }

func (c *chacha) Seal(_ uint64, seq uint32, pkt []byte) {
	end := len(pkt) - c.tag
	invariant.Check(end >= lengthSize+minLength, "seal: packet without room for its tag")
	n := c.nonce(seq)
	block0(pkt[:lengthSize], &c.length, n)
	c.rest.Seal(pkt[lengthSize:lengthSize:len(pkt)], n[:], pkt[lengthSize:end], nil)
	var once [32]byte
	block0(once[:], &c.restK, n)
	n.release()
	poly1305.Sum((*[poly1305.TagSize]byte)(pkt[end:]), pkt[:end], &once)
}

func (c *chacha) Head() int { return lengthSize }

// Length leaves head encrypted, as the tag covers it that way.
func (c *chacha) Length(_ uint64, seq uint32, head []byte) (int, error) {
	if len(head) < lengthSize {
		return 0, ErrTooShort
	}
	var b [lengthSize]byte
	copy(b[:], head)
	n := c.nonce(seq)
	block0(b[:], &c.length, n)
	n.release()
	return c.total(binary.BigEndian.Uint32(b[:]))
}

func (c *chacha) Open(_ uint64, seq uint32, pkt []byte) ([]byte, error) {
	end, err := c.split(pkt)
	if err != nil {
		return nil, err
	}
	n := c.nonce(seq)
	defer n.release()
	var once [32]byte
	block0(once[:], &c.restK, n)
	if !poly1305.Verify((*[poly1305.TagSize]byte)(pkt[end:]), pkt[:end], &once) {
		return nil, ErrTag
	}
	c.rest.Seal(pkt[lengthSize:lengthSize:len(pkt)], n[:], pkt[lengthSize:end], nil)
	return payload(pkt[lengthSize:end])
}
