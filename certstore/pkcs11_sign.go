//go:build cgo

package certstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"github.com/miekg/pkcs11"
)

// token is a token in use: sessions, of which each does one thing at a time.
type token struct {
	m        *module
	slot     uint
	home     pkcs11.SessionHandle // stays open, as the login ends with the last session
	pin      string               // for keys that want it each time
	turns    chan struct{}        // one for each session that may be in use
	stop     chan struct{}        // closed with the store
	loggedIn bool

	mu     sync.Mutex
	idle   []pkcs11.SessionHandle
	busy   int
	closed bool
}

// maxSessions bounds the sessions of a store. Tokens do one thing at a time;
// modules in a network do several.
const maxSessions = 4

var errStoreClosed = errors.New("the store is closed")

// newToken opens a token. It takes over the use of the module.
func newToken(m *module, slot uint) (*token, error) {
	home, err := m.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		_ = m.release()
		return nil, &FormatError{Where: "session", Err: err}
	}
	return &token{m: m, slot: slot, home: home, turns: make(chan struct{}, maxSessions), stop: make(chan struct{})}, nil
}

// session returns a session to use until it is handed to done. It waits while
// all are in use.
func (t *token) session() (pkcs11.SessionHandle, error) {
	select {
	case t.turns <- struct{}{}:
	case <-t.stop:
		return 0, errStoreClosed
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		<-t.turns
		return 0, errStoreClosed
	}
	t.busy++
	if n := len(t.idle); n > 0 {
		s := t.idle[n-1]
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return s, nil
	}
	t.mu.Unlock()
	s, err := t.m.ctx.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		t.done(s, err) // closing no session does nothing
		return 0, err
	}
	return s, nil
}

// done gives a session back. One that failed is closed, since nothing tells
// what it would do next.
func (t *token) done(s pkcs11.SessionHandle, failed error) {
	t.mu.Lock()
	t.busy--
	last := t.closed && t.busy == 0
	keep := failed == nil && !t.closed
	if keep {
		t.idle = append(t.idle, s)
	}
	t.mu.Unlock()
	if !keep {
		_ = t.m.ctx.CloseSession(s)
	}
	if last {
		_ = t.end()
	}
	<-t.turns
}

// close closes what is not in use, at once; a signature that is being made
// closes the rest.
func (t *token) close() error {
	t.mu.Lock()
	t.closed = true
	close(t.stop) // the store calls this once
	idle, busy := t.idle, t.busy
	t.idle = nil
	t.mu.Unlock()
	for _, s := range idle {
		_ = t.m.ctx.CloseSession(s)
	}
	if busy > 0 {
		return nil
	}
	return t.end()
}

// end logs out and gives up the module.
func (t *token) end() error {
	if t.loggedIn {
		t.m.logout(t.home, t.slot)
	}
	_ = t.m.ctx.CloseSession(t.home)
	return t.m.release()
}

// tokenKey signs with a private key that stays in its token.
type tokenKey struct {
	t      *token
	object pkcs11.ObjectHandle
	public crypto.PublicKey
	always bool // the PIN is wanted for each signature
}

var _ crypto.Signer = (*tokenKey)(nil)

// Public returns the public half.
func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// Sign signs a digest as crypto.Signer has it: PKCS#1 v1.5 with RSA, in ASN.1
// with ECDSA, and with Ed25519 the message itself. The token is the source of
// randomness.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	if hash != 0 && len(digest) != hash.Size() {
		return nil, fmt.Errorf("certstore: PKCS11: sign: %d octets are no digest of %s", len(digest), hash)
	}
	mechanism := uint(0)
	data := digest
	switch k.public.(type) {
	case *rsa.PublicKey:
		if _, pss := opts.(*rsa.PSSOptions); pss {
			return nil, fmt.Errorf("certstore: PKCS11: sign: PSS: %w", errors.ErrUnsupported)
		}
		mechanism = pkcs11.CKM_RSA_PKCS
		var err error
		if data, err = digestInfo(hash, digest); err != nil {
			return nil, err
		}
	case *ecdsa.PublicKey:
		mechanism = pkcs11.CKM_ECDSA
	case ed25519.PublicKey:
		mechanism = ckmEDDSA
		if hash != 0 {
			return nil, fmt.Errorf("certstore: PKCS11: sign: Ed25519 of a digest: %w", errors.ErrUnsupported)
		}
	}
	sig, err := k.sign(mechanism, data)
	if err != nil {
		return nil, fmt.Errorf("certstore: PKCS11: sign: %w", err)
	}
	if _, ok := k.public.(*ecdsa.PublicKey); ok {
		half := len(sig) / 2
		return encasn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
	}
	return sig, nil
}

func (k *tokenKey) sign(mechanism uint, data []byte) (sig []byte, err error) {
	s, err := k.t.session()
	if err != nil {
		return nil, err
	}
	defer func() { k.t.done(s, err) }()
	ctx := k.t.m.ctx
	if err := ctx.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, k.object); err != nil {
		return nil, err
	}
	if k.always {
		if err := ctx.Login(s, pkcs11.CKU_CONTEXT_SPECIFIC, k.t.pin); err != nil {
			return nil, err
		}
	}
	return ctx.Sign(s, data)
}

// digestOIDs are the hash functions of RFC 8017 appendix B.1 that SSH has.
var digestOIDs = map[crypto.Hash]encasn1.ObjectIdentifier{
	crypto.SHA1:   {1, 3, 14, 3, 2, 26},
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

// digestInfo is DigestInfo of RFC 8017 section 9.2, which the token does not add.
func digestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	oid, ok := digestOIDs[hash]
	if !ok {
		return nil, fmt.Errorf("certstore: PKCS11: sign: %s: %w", hash, errors.ErrUnsupported)
	}
	return encasn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: encasn1.NullRawValue}, digest})
}
