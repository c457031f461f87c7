package seal

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/rc4"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // deprecated for new systems: old peers have nothing else
	"golang.org/x/crypto/cast5"    //nolint:staticcheck // likewise
)

// The block ciphers of RFC 4253 §6.3 beside AES. Their blocks have 64 bits: see
// smallBlockRekey.

// newTripleDES is three-key triple DES with 24 octets of key.
func newTripleDES(key []byte) (cipher.Block, error) { return des.NewTripleDESCipher(key) }

// newBlowfish is Blowfish with as many octets of key as the row says.
func newBlowfish(key []byte) (cipher.Block, error) { return blowfish.NewCipher(key) }

// newCAST128 is CAST-128 with 16 octets of key (RFC 2144).
func newCAST128(key []byte) (cipher.Block, error) { return cast5.NewCipher(key) }

// arcfour is RC4, whose keystream runs on from packet to packet, without its
// first octets: RFC 4345 §4 throws 1536 of them away, RFC 4253 §6.3 none.
func arcfour(skip int) newCrypt {
	return func(key, _ []byte, _ bool) (crypt, error) {
		s, err := rc4.NewCipher(key)
		if err != nil {
			return nil, err
		}
		drop := make([]byte, skip)
		s.XORKeyStream(drop, drop)
		return s.XORKeyStream, nil
	}
}
