package seal

import (
	"crypto/aes"
	"crypto/cipher"
)

// newCTR is AES in stateful counter mode (RFC 4344 §4): the counter starts at
// the derived IV and runs on from packet to packet. The same function encrypts
// and decrypts.
func newCTR(key, iv []byte) (crypt, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewCTR(block, iv).XORKeyStream, nil
}
