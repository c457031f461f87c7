package kex

import (
	"crypto"
	"crypto/ecdh"
	"slices"
)

// hybrid runs a post-quantum key encapsulation beside elliptic curve
// Diffie-Hellman: an attacker has to break both. Either side's octets are the
// post-quantum part followed by the classical part, and the secret is the
// hash of the two secrets in the same order. That is already uniform octets,
// so K is a string and not an mpint.
type hybrid struct {
	turn
	name        string
	hash        crypto.Hash
	kem         *kem
	classical   *agreement
	decapsulate func(text []byte) ([]byte, error)
}

// kem is a key encapsulation mechanism. The sizes are checked before its
// functions are called.
type kem struct {
	keySize, textSize int // octets of a public key and of an encapsulated secret
	// generate returns a new public key and what opens texts made for it.
	generate func() (public []byte, decapsulate func(text []byte) ([]byte, error), err error)
	// encapsulate makes a secret for the owner of public, and fails if public
	// is not a valid key.
	encapsulate func(public []byte) (secret, text []byte, err error)
}

func newHybrid(name string, h crypto.Hash, k *kem, c ecdh.Curve) *hybrid {
	return &hybrid{name: name, hash: h, kem: k, classical: newAgreement(name, c)}
}

func (m *hybrid) Init() ([]byte, error) {
	if err := m.turn.init(); err != nil {
		return nil, err
	}
	public, decapsulate, err := m.kem.generate()
	if err != nil {
		return nil, err
	}
	m.decapsulate = decapsulate
	share, err := m.classical.generate()
	if err != nil {
		return nil, err
	}
	return slices.Concat(public, share), nil
}

func (m *hybrid) Reply(peer []byte) (mine, secret []byte, err error) {
	if err := m.turn.reply(); err != nil {
		return nil, nil, err
	}
	if len(peer) < m.kem.keySize {
		return nil, nil, &PeerError{m.name, "client's octets too short"}
	}
	pub, err := m.classical.public(peer[m.kem.keySize:]) // of exactly the rest
	if err != nil {
		return nil, nil, err
	}
	quantum, text, err := m.kem.encapsulate(peer[:m.kem.keySize])
	if err != nil {
		return nil, nil, &PeerError{m.name, "invalid encapsulation key"}
	}
	if mine, err = m.classical.generate(); err != nil {
		return nil, nil, err
	}
	classical, err := m.classical.agree(pub)
	if err != nil {
		return nil, nil, err
	}
	return slices.Concat(text, mine), m.combine(quantum, classical), nil
}

func (m *hybrid) Finish(peer []byte) ([]byte, error) {
	if err := m.turn.finish(); err != nil {
		return nil, err
	}
	if len(peer) < m.kem.textSize {
		return nil, &PeerError{m.name, "server's octets too short"}
	}
	pub, err := m.classical.public(peer[m.kem.textSize:]) // of exactly the rest
	if err != nil {
		return nil, err
	}
	classical, err := m.classical.agree(pub)
	if err != nil {
		return nil, err
	}
	quantum, err := m.decapsulate(peer[:m.kem.textSize])
	m.decapsulate = nil
	if err != nil {
		return nil, &PeerError{m.name, "invalid encapsulated secret"}
	}
	return m.combine(quantum, classical), nil
}

func (m *hybrid) combine(quantum, classical []byte) []byte {
	h := m.hash.New()
	h.Write(quantum)
	h.Write(classical)
	return h.Sum(nil)
}
