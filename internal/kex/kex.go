// Package kex implements the key exchange methods of SSH as values that know
// neither messages nor connections: octets in, octets and a secret out.
//
// A driver owns the messages, the exchange hash and the host key signature
// (RFC 4253 §8); it is the same for all methods, because each is two messages:
//
//	row, ok := kex.Find(name)
//	m, err := row.New()                  // or group.Method() after a group exchange
//	mine, err := m.Init()                // client: e, Q_C or C_INIT
//	mine, secret, err := m.Reply(peer)   // server: f, Q_S or S_REPLY, and K
//	secret, err := m.Finish(peer)        // client: K
//	key := kex.DeriveKey(row.Hash, secret, H, sessionID, 'A', 32)
//
// All octet strings are the content of the field on the wire, which a uint32
// length precedes there. For a field that is an mpint (e, f, and the K of the
// classical methods) this is the minimal two's complement form, with a zero
// octet in front where the value would read as negative. So one rule serves
// the messages, the exchange hash and key derivation: length, then content.
package kex

import (
	"errors"
	"fmt"
)

// Method is one run of a key exchange of two messages. The client calls Init
// and then Finish, the server calls Reply. A value serves one run and is then
// used up, so that no secret exponent or key serves twice; it is not for
// concurrent use.
//
// Octets of the peer that break the method's rules give a [*PeerError], for
// which RFC 4253 asks to disconnect with KEY_EXCHANGE_FAILED. No secret is
// returned along with an error. The results share no memory with the arguments.
type Method interface {
	// Init makes the client's ephemeral key and returns its public part.
	Init() (mine []byte, err error)
	// Reply makes the server's ephemeral key or encapsulation for the client's
	// public part and returns what to send together with the shared secret.
	Reply(peer []byte) (mine, secret []byte, err error)
	// Finish returns the shared secret, given what the server sent.
	Finish(peer []byte) (secret []byte, err error)
}

// PeerError reports that the peer sent octets the method must refuse.
type PeerError struct {
	Method string // the method, or its family
	Why    string // without any of the peer's octets
}

func (e *PeerError) Error() string { return fmt.Sprintf("kex: %s: %s", e.Method, e.Why) }

// ErrUsed reports that a Method was called twice or out of order.
var ErrUsed = errors.New("kex: method value used twice or out of order")

// turn tells how far a run is. Methods embed it.
type turn uint8

const (
	fresh   turn = iota
	started      // Init was called, Finish may come
	used
)

// init, reply and finish admit the call of the same name, once. The turn is
// over even if the call fails: there is no second guess at a secret.
func (t *turn) init() error   { return t.step(fresh, started) }
func (t *turn) reply() error  { return t.step(fresh, used) }
func (t *turn) finish() error { return t.step(started, used) }

func (t *turn) step(from, to turn) error {
	if *t != from {
		*t = used
		return ErrUsed
	}
	*t = to
	return nil
}
