package seal

import (
	"crypto/aes"
	"crypto/cipher"
)

// newBlock is the constructor of a block cipher.
type newBlock func(key []byte) (cipher.Block, error)

// ctr is a block cipher in stateful counter mode (RFC 4344 §4): the counter
// starts at the derived IV and runs on from packet to packet. The same function
// encrypts and decrypts.
func ctr(block newBlock) newCrypt {
	return func(key, iv []byte, _ bool) (crypt, error) {
		b, err := block(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewCTR(b, iv).XORKeyStream, nil
	}
}

// newAES is AES with 16, 24 or 32 octets of key.
func newAES(key []byte) (cipher.Block, error) { return aes.NewCipher(key) }
