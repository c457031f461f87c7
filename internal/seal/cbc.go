package seal

import "crypto/cipher"

// cbc is a block cipher in cipher block chaining mode (RFC 4253 §6.3): the IV
// of a packet is the last block of the one before.
func cbc(block newBlock) newCrypt {
	return func(key, iv []byte, opening bool) (crypt, error) {
		b, err := block(key)
		if err != nil {
			return nil, err
		}
		if opening {
			return cipher.NewCBCDecrypter(b, iv).CryptBlocks, nil
		}
		return cipher.NewCBCEncrypter(b, iv).CryptBlocks, nil
	}
}

// cbcAndMAC is encryptAndMAC under CBC, where the order is dangerous: whoever
// lets a block that he has seen come first in a packet makes us decrypt its
// first 32 bits as a length. From how many octets we take before we complain,
// he learns them (CVE-2008-5161). So a length that cannot be is no different
// from a wrong MAC, and neither shows before the largest packet has been read
// and worked on: see [Discarder].
type cbcAndMAC struct{ encryptAndMAC }

// Length says ErrTag of every length that cannot be.
func (c *cbcAndMAC) Length(nonce uint64, seq uint32, head []byte) (int, error) {
	if len(head) < c.block {
		return 0, ErrTooShort // the caller's mistake: nothing was decrypted
	}
	n, err := c.encryptAndMAC.Length(nonce, seq, head)
	if err != nil {
		return 0, ErrTag
	}
	return n, nil
}

// Discards is the largest packet there can be.
func (c *cbcAndMAC) Discards() int { return lengthSize + MaxPacket + c.tag }

// Discard decrypts b and computes its MAC, since their time, too, would tell
// where the packet was thought to end. The results are worth nothing.
func (c *cbcAndMAC) Discard(b []byte) {
	whole := b[:len(b)-len(b)%c.block]
	c.crypt(whole, whole)
	c.auth.mac(0, b)
}
