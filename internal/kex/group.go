package kex

import (
	"math/big"
	"sync"
)

// Limits for the groups of a group exchange, in bits of the modulus. A client
// asks for min, n, max with these values.
const (
	// MinGroupBits is the smallest modulus accepted or offered (RFC 8270).
	MinGroupBits = 2048
	// PreferredGroupBits is the size to ask for, worth about 128 bits of
	// strength (RFC 8270 §3: 3072 should be possible).
	PreferredGroupBits = 3072
	// MaxGroupBits is the largest modulus accepted or offered (RFC 4419 §3).
	// It bounds what a peer can make us compute.
	MaxGroupBits = 8192
)

// Group is a multiplicative group modulo a prime: modulus P and generator G.
// It is shared by many exchanges and must not be changed.
type Group struct {
	P, G *big.Int
}

// GroupError reports that two numbers are not a group to exchange keys in.
type GroupError struct {
	Why string
}

func (e *GroupError) Error() string { return "kex: group: " + e.Why }

// NewGroup checks a group that somebody else has chosen, as a server does in a
// group exchange, and returns it. It demands a modulus of [MinGroupBits] to
// [MaxGroupBits] without small factors and 1 < g < p-1. The error is a
// [*GroupError]. It keeps p and g, which must not be changed afterwards.
//
// It does not prove that p is a safe prime. Only the server may choose the
// group, since it signs it; a server that means harm can hand out the secret
// without any tricks, so the proof could only find a server's mistake. It would
// cost 10 ms of CPU for 2048 bits and half a second for 8192, and be spent
// before the signature is known to be good. The search for small factors finds
// most mistakes (five of six wrong odd numbers) and costs microseconds.
func NewGroup(p, g *big.Int) (*Group, error) {
	if p == nil || g == nil {
		return nil, &GroupError{"missing number"}
	}
	switch bits := p.BitLen(); {
	case p.Sign() <= 0:
		return nil, &GroupError{"modulus not positive"}
	case bits < MinGroupBits:
		return nil, &GroupError{"modulus too small"}
	case bits > MaxGroupBits:
		return nil, &GroupError{"modulus too large"}
	case p.Bit(0) == 0:
		return nil, &GroupError{"modulus even"}
	case new(big.Int).GCD(nil, nil, p, smallPrimes()).Cmp(one) != 0:
		return nil, &GroupError{"modulus not prime"}
	}
	group := &Group{P: p, G: g}
	if !group.inside(g) {
		return nil, &GroupError{"generator out of range"}
	}
	return group, nil
}

// ParseGroup is [NewGroup] for the content octets of the two mpints of
// SSH_MSG_KEX_DH_GEX_GROUP. It refuses long ones before it reads them.
func ParseGroup(p, g []byte) (*Group, error) {
	pn, why := parseMpint(p, MaxGroupBits)
	if why != "" {
		return nil, &GroupError{"modulus: " + why}
	}
	gn, why := parseMpint(g, MaxGroupBits)
	if why != "" {
		return nil, &GroupError{"generator: " + why}
	}
	return NewGroup(pn, gn)
}

// Octets returns the content octets of the mpints p and g, for the message and
// the exchange hash of a group exchange (RFC 4419 §3).
func (g *Group) Octets() (p, gen []byte) {
	return mpintContent(g.P.Bytes()), mpintContent(g.G.Bytes())
}

// Method returns a new run of Diffie-Hellman in the group.
func (g *Group) Method() Method { return &exchange{group: g} }

// inside reports whether 1 < n < p-1: neither end has an order above two.
func (g *Group) inside(n *big.Int) bool {
	return n.Cmp(one) > 0 && n.Cmp(new(big.Int).Sub(g.P, one)) < 0
}

var one = big.NewInt(1)

// smallPrimes is the product of the odd primes below 1000. One greatest common
// divisor with it replaces 167 divisions.
var smallPrimes = sync.OnceValue(func() *big.Int {
	product := big.NewInt(1)
	for n := int64(3); n < 1000; n += 2 {
		if prime := big.NewInt(n); prime.ProbablyPrime(0) { // exact below 2^64
			product.Mul(product, prime)
		}
	}
	return product
})
