package kex

import (
	"crypto"
	"encoding/binary"
)

// DeriveKey returns n octets of key material (RFC 4253 §7.2). secret is the
// shared secret K as a [Method] returns it, exchangeHash is H of this exchange,
// sessionID is H of the connection's first exchange. letter says what for:
//
//	'A' initial IV client to server    'B' initial IV server to client
//	'C' encryption key client to server 'D' encryption key server to client
//	'E' integrity key client to server  'F' integrity key server to client
//
// The hash is that of the method ([Row].Hash). For n <= 0 the result is empty.
func DeriveKey(h crypto.Hash, secret, exchangeHash, sessionID []byte, letter byte, n int) []byte {
	if n <= 0 {
		return nil
	}
	d := h.New()
	// K is hashed as in the exchange hash, length first.
	common := func() {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(secret)))
		d.Write(length[:])
		d.Write(secret)
		d.Write(exchangeHash)
	}
	common()
	d.Write([]byte{letter})
	d.Write(sessionID)
	key := d.Sum(make([]byte, 0, n+d.Size()))
	for len(key) < n {
		d.Reset()
		common()
		d.Write(key) // all octets so far: K1 || K2 || ...
		key = d.Sum(key)
	}
	return key[:n:n]
}
