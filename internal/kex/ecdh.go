package kex

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
)

// agreement is elliptic curve Diffie-Hellman: RFC 8731 (Curve25519) and RFC
// 5656 §4 (the NIST curves), which differ in nothing but the curve. Points of
// NIST curves are sent uncompressed only.
type agreement struct {
	turn
	name  string
	curve ecdh.Curve
	priv  *ecdh.PrivateKey
}

func newAgreement(name string, c ecdh.Curve) *agreement { return &agreement{name: name, curve: c} }

func (m *agreement) Init() ([]byte, error) {
	if err := m.turn.init(); err != nil {
		return nil, err
	}
	return m.generate()
}

func (m *agreement) Reply(peer []byte) (mine, secret []byte, err error) {
	if err := m.turn.reply(); err != nil {
		return nil, nil, err
	}
	pub, err := m.public(peer)
	if err != nil {
		return nil, nil, err
	}
	if mine, err = m.generate(); err != nil {
		return nil, nil, err
	}
	if secret, err = m.agree(pub); err != nil {
		return nil, nil, err
	}
	return mine, mpintContent(secret), nil
}

func (m *agreement) Finish(peer []byte) ([]byte, error) {
	if err := m.turn.finish(); err != nil {
		return nil, err
	}
	pub, err := m.public(peer)
	if err != nil {
		return nil, err
	}
	secret, err := m.agree(pub)
	if err != nil {
		return nil, err
	}
	return mpintContent(secret), nil
}

func (m *agreement) generate() ([]byte, error) {
	priv, err := m.curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("kex: %s: generate key: %w", m.name, err)
	}
	m.priv = priv
	return priv.PublicKey().Bytes(), nil
}

// public reads the peer's public key. NewPublicKey checks the length and, for
// NIST curves, that the point is on the curve, uncompressed and not the point
// at infinity.
func (m *agreement) public(peer []byte) (*ecdh.PublicKey, error) {
	pub, err := m.curve.NewPublicKey(peer)
	if err != nil {
		return nil, &PeerError{m.name, "public key of wrong length or not a point of the curve"}
	}
	return pub, nil
}

// agree returns the raw shared secret: 32 octets for Curve25519, the x
// coordinate in the field's length for a NIST curve. Any 32 octets are a
// Curve25519 key, but those of small order give zero, which ECDH refuses
// (RFC 8731 §3, RFC 7748 §6.1).
func (m *agreement) agree(pub *ecdh.PublicKey) ([]byte, error) {
	secret, err := m.priv.ECDH(pub)
	m.priv = nil
	if err != nil {
		return nil, &PeerError{m.name, "public key of small order"}
	}
	return secret, nil
}
