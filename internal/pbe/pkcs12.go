package pbe

import (
	"bytes"
	"hash"
	"math/big"
	"slices"
)

// What PKCS #12's function derives (RFC 7292 appendix B.3).
const (
	ForKey byte = 1
	ForIV  byte = 2
	ForMAC byte = 3
)

// PKCS12Key derives n octets by the function of RFC 7292 appendix B.2. The
// caller has paid for the iterations; the password is in [Password.BMP].
func PKCS12Key(newHash func() hash.Hash, id byte, n int, bmp, salt []byte, iterations int) []byte {
	h := newHash()
	v := h.BlockSize()
	fill := func(p []byte) []byte { // repeats p up to a multiple of v
		if len(p) == 0 {
			return nil
		}
		size := (len(p) + v - 1) / v * v
		return bytes.Repeat(p, size/len(p)+1)[:size]
	}
	diversifier := bytes.Repeat([]byte{id}, v)
	block := slices.Concat(fill(salt), fill(bmp))
	one := big.NewInt(1)
	var out, a []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(block)
		a = h.Sum(a[:0])
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if out = append(out, a...); len(out) >= n {
			return out[:n]
		}
		b := new(big.Int).SetBytes(fill(a)[:v])
		b.Add(b, one)
		for j := 0; j < len(block); j += v {
			sum := new(big.Int).SetBytes(block[j : j+v])
			sum.Add(sum, b)
			sum.SetBit(sum, 8*v, 0) // modulo 2^8v
			sum.FillBytes(block[j : j+v])
		}
	}
}
