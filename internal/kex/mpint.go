package kex

import "math/big"

// mpintContent returns the content octets of the mpint (RFC 4251 §5) whose
// value is the big-endian magnitude: minimal, and with a zero octet in front
// where the first bit would make it negative. The result is fresh memory.
//
// Which octets are stripped depends on the secret, but so does the length of
// the field that is hashed: the protocol itself makes this much observable.
func mpintContent(magnitude []byte) []byte {
	for len(magnitude) > 0 && magnitude[0] == 0 {
		magnitude = magnitude[1:]
	}
	out := make([]byte, 0, len(magnitude)+1)
	if len(magnitude) > 0 && magnitude[0]&0x80 != 0 {
		out = append(out, 0)
	}
	return append(out, magnitude...)
}

// parseMpint reads the content octets of an mpint of at most maxBits bits. It
// refuses, before any arithmetic, what is longer, negative, or not minimal:
// such octets are a protocol violation, and would make the two sides hash
// different things for the same number. The text is for a [PeerError].
func parseMpint(content []byte, maxBits int) (n *big.Int, why string) {
	switch {
	case len(content) > maxBits/8+1:
		return nil, "integer too long"
	case len(content) > 0 && content[0]&0x80 != 0:
		return nil, "integer negative"
	case len(content) > 0 && content[0] == 0 && (len(content) == 1 || content[1]&0x80 == 0):
		return nil, "integer with needless leading zeros"
	}
	return new(big.Int).SetBytes(content), ""
}
