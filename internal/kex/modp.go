package kex

import (
	"crypto/rand"
	"math/big"
)

// exponentBits is the length of a secret exponent. RFC 4419 §6.2 asks for at
// least twice the key material taken from the secret; the longest keys of our
// ciphers have 256 bits, which is also the strength of SHA-512, the strongest
// hash in use here. Twice that is more than what the groups themselves can
// give: the largest, of 8192 bits, is worth about 200 bits. A full-length
// exponent would add no strength and cost up to 16 times the time, at the
// request of anybody who connects. Short exponents are sound because the groups
// we choose have safe primes: there is no small subgroup to learn them from.
const exponentBits = 512

// exchange is Diffie-Hellman modulo a prime (RFC 4253 §8).
//
// math/big is not written for constant time, and the standard library exports
// nothing that is and takes any modulus. What it leaks is bounded here: each
// exponent has the same length (its first bit is set), serves one exchange and
// is never used again, so an observer gets one measurement of each.
type exchange struct {
	turn
	group *Group
	x     *big.Int
}

const modpName = "diffie-hellman"

func (m *exchange) Init() ([]byte, error) {
	if err := m.turn.init(); err != nil {
		return nil, err
	}
	return m.generate()
}

func (m *exchange) Reply(peer []byte) (mine, secret []byte, err error) {
	if err := m.turn.reply(); err != nil {
		return nil, nil, err
	}
	// Refuse before paying for the first of two exponentiations.
	e, err := m.public(peer)
	if err != nil {
		return nil, nil, err
	}
	if mine, err = m.generate(); err != nil {
		return nil, nil, err
	}
	if secret, err = m.agree(e); err != nil {
		return nil, nil, err
	}
	return mine, secret, nil
}

func (m *exchange) Finish(peer []byte) ([]byte, error) {
	if err := m.turn.finish(); err != nil {
		return nil, err
	}
	f, err := m.public(peer)
	if err != nil {
		return nil, err
	}
	return m.agree(f)
}

// generate chooses x and returns g^x mod p.
func (m *exchange) generate() ([]byte, error) {
	// A group this small cannot come from this package; its exponents would be
	// longer than its order.
	if m.group.P.BitLen() <= exponentBits {
		return nil, &GroupError{"modulus too small"}
	}
	var x [exponentBits / 8]byte
	rand.Read(x[:]) // never fails: the runtime ends the process instead
	x[0] |= 0x80
	m.x = new(big.Int).SetBytes(x[:])
	clear(x[:])
	return m.share(), nil
}

// share returns the public value that belongs to x.
func (m *exchange) share() []byte {
	return mpintContent(new(big.Int).Exp(m.group.G, m.x, m.group.P).Bytes())
}

// public reads the peer's public value. RFC 4253 §8 demands 1 <= e <= p-1; the
// ends of that range give a secret that anybody knows, and RFC 8268 §4 excludes
// them: 1 < e < p-1.
func (m *exchange) public(content []byte) (*big.Int, error) {
	y, why := parseMpint(content, m.group.P.BitLen())
	if why != "" {
		return nil, &PeerError{modpName, "public value: " + why}
	}
	if !m.group.inside(y) {
		return nil, &PeerError{modpName, "public value out of range"}
	}
	return y, nil
}

func (m *exchange) agree(peer *big.Int) ([]byte, error) {
	k := new(big.Int).Exp(peer, m.x, m.group.P)
	m.x = nil
	// RFC 4419 §3 demands this check of K too. With a safe prime it cannot fail
	// for a value in range, but a server may have given us another modulus.
	if !m.group.inside(k) {
		return nil, &PeerError{modpName, "public value of small order"}
	}
	return mpintContent(k.Bytes()), nil
}
