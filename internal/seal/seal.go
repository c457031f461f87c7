// Package seal protects SSH packets: it turns a packet in clear into what goes
// over the wire and back, in place, under one set of keys (RFC 4253 §6).
//
// A [Sealer] belongs to one direction of one key set, an [Opener] to the other
// end of it. Neither does I/O, keeps a packet, or takes memory per packet. The
// transport frames, numbers and transmits; see [Ciphers] and [MACs] for what
// can be negotiated.
//
// Every packet has one layout, whatever the cipher:
//
//	uint32 packet_length || byte padding_length || payload || padding || tag or MAC
package seal

import (
	"encoding/binary"
	"sync"
)

// A Sealer protects outgoing packets under one key set.
type Sealer interface {
	// Padding returns how many octets of padding a payload of n octets takes:
	// at least 4, at most 255, such that the packet is a multiple of the
	// block and not smaller than the minimum of RFC 4253 §6.
	Padding(n int) int
	// Overhead is the number of octets of tag or MAC after the packet.
	Overhead() int
	// Seal encrypts and authenticates pkt in place. pkt is the whole packet
	// with length fields and padding filled in, and ends with Overhead octets
	// of room, into which the tag or MAC goes; nothing behind it is touched.
	// nonce counts the packets under this key set from 0; seq is the packet's
	// SSH sequence number. No pair of nonce and seq may be used twice. Seal
	// is safe for concurrent use unless Ordered.
	Seal(nonce uint64, seq uint32, pkt []byte)
	// Ordered tells whether packets must be sealed one at a time and in the
	// order of the wire, because the cipher's state runs on from packet to
	// packet.
	Ordered() bool
}

// An Opener verifies and decrypts incoming packets under one key set. For each
// packet the reader calls Length once and, unless that failed, Open once. It is
// for one goroutine at a time. After an error the connection must end.
type Opener interface {
	// Head is the number of octets that must have arrived before Length can
	// be called.
	Head() int
	// Length looks at the first Head octets of a packet, which it may decrypt
	// in place, and returns the octets the whole packet takes on the wire, tag
	// or MAC included. A length that is too small, larger than MaxPacket or
	// not a multiple of the block is refused with an Error; so the result may
	// be trusted as a size of memory to take, though not yet as authentic.
	Length(nonce uint64, seq uint32, head []byte) (int, error)
	// Open verifies pkt, which is as long as Length said and starts with the
	// octets that Length left, decrypts it in place and returns the payload,
	// which aliases pkt and is never empty. Unless the tag or MAC is right it
	// returns ErrTag and no payload. Wrong padding and an empty payload are
	// refused with an Error as well.
	Open(nonce uint64, seq uint32, pkt []byte) (payload []byte, err error)
}

// A Discarder is an Opener whose ErrTag must not show at once, since from that
// moment an attacker could tell how a block was decrypted. After an ErrTag of
// Length or Open the reader reads on as if the packet were one of Discards
// octets, passes all of it that neither Length nor Open has seen to Discard, and
// acts on the error then. Should that much never arrive, it waits, as it would
// for the rest of a packet.
type Discarder interface {
	Opener
	// Discards is how many octets, counted from the first of the packet, must
	// have been read before ErrTag may show. No packet is longer.
	Discards() int
	// Discard takes as long over b as opening it would, and overwrites it. b
	// may be any part of what is discarded.
	Discard(b []byte)
}

// An Error is a reason to refuse a packet. All of them are fatal for the
// connection. The texts are constant: nothing of the packet shows in them.
type Error string

// Error returns the reason.
func (e Error) Error() string { return string(e) }

// The reasons to refuse a packet.
const (
	ErrTooShort   Error = "seal: packet: shorter than padding and one octet of payload"
	ErrTooLong    Error = "seal: packet: longer than the limit"
	ErrMisaligned Error = "seal: packet: length is not a multiple of the block"
	ErrTag        Error = "seal: packet: tag or mac is wrong"
	ErrPadding    Error = "seal: packet: padding below 4 octets or longer than the packet"
	ErrEmpty      Error = "seal: packet: payload is empty"
)

const (
	// MaxPacket is the largest packet_length that an Opener accepts, in
	// octets. RFC 4253 §6.1 demands 35000 in all; peers with large SFTP blocks
	// send channel data of 256 KiB, and 1 KiB more holds every header and the
	// longest padding around it.
	MaxPacket = 256<<10 + 1<<10

	// RekeyPackets is the number of packets, in either direction, after which
	// keys should be exchanged anew whatever the cipher (RFC 4344 §3.1). The
	// sequence number, part of every MAC and the nonce of ChaCha20, comes back
	// after twice as many: that must never happen under one key set.
	RekeyPackets = 1 << 31

	lengthSize = 4 // the packet_length field
	minPadding = 4
	// minLength is the smallest packet_length that can be legal: the padding
	// length, one octet of payload, the least padding. RFC 4253 §6 asks for 16
	// octets in all, but OpenSSH counts that without the length field under
	// chacha20 and sends its one-octet messages with a packet_length of 8. So
	// we refuse what cannot be parsed and send what the RFC says.
	minLength = 1 + 1 + minPadding
	minTotal  = 16 // smallest packet we send, without tag (RFC 4253 §6)
)

// frame is the arithmetic of packets under one pair of cipher and MAC.
type frame struct {
	block int // packets are a multiple of it: the cipher's block, but at least 8
	tag   int // octets of tag or MAC
	// aside is the number of leading octets that do not count towards a
	// multiple of the block: 4 where the length travels apart from the
	// encrypted part (AEAD, encrypt-then-MAC), else 0.
	aside int
}

// Overhead returns the octets of tag or MAC.
func (f *frame) Overhead() int { return f.tag }

// Padding returns the least padding that makes a payload of n octets a legal
// packet.
func (f *frame) Padding(n int) int {
	bare := lengthSize + 1 + n
	pad := f.block - (bare-f.aside)%f.block
	for pad < minPadding || bare+pad < minTotal {
		pad += f.block
	}
	return pad
}

// total returns the octets on the wire of a packet whose packet_length is n.
func (f *frame) total(n uint32) (int, error) {
	switch {
	case n < minLength:
		return 0, ErrTooShort
	case n > MaxPacket:
		return 0, ErrTooLong
	case (lengthSize+int(n)-f.aside)%f.block != 0:
		return 0, ErrMisaligned
	}
	return lengthSize + int(n) + f.tag, nil
}

// clearLength is Length where the length travels in clear.
func (f *frame) clearLength(head []byte) (int, error) {
	if len(head) < lengthSize {
		return 0, ErrTooShort
	}
	return f.total(binary.BigEndian.Uint32(head))
}

// split returns the end of the packet in pkt, where its tag or MAC begins.
func (f *frame) split(pkt []byte) (end int, err error) {
	end = len(pkt) - f.tag
	switch {
	case end < lengthSize+minLength:
		return 0, ErrTooShort
	case (end-f.aside)%f.block != 0: // of no size that total returns
		return 0, ErrMisaligned
	}
	return end, nil
}

// payload takes the padding off body: padding_length || payload || padding,
// decrypted and known to be authentic.
func payload(body []byte) ([]byte, error) {
	pad := int(body[0])
	end := len(body) - pad
	switch {
	case pad < minPadding || end < 1:
		return nil, ErrPadding
	case end == 1:
		return nil, ErrEmpty
	}
	return body[1:end:end], nil
}

// A nonce is what GCM and ChaCha20 of RFC 8439 take: 4 fixed octets and a
// 64-bit counter.
type nonce [12]byte

// nonces saves an allocation per packet: a nonce passed to the interface
// cipher.AEAD escapes to the heap. It cannot be a field of the Sealer, since
// several goroutines seal at once.
var nonces = sync.Pool{New: func() any { return new(nonce) }}

func takeNonce(fixed uint32, counter uint64) *nonce {
	n := nonces.Get().(*nonce)
	binary.BigEndian.PutUint32(n[:], fixed)
	binary.BigEndian.PutUint64(n[4:], counter)
	return n
}

func (n *nonce) release() { nonces.Put(n) }
