package kex

import (
	"encoding/binary"
	"io"
	"slices"
)

// The ring of sntrup761 is R = Z[x]/(x^p - x - 1).
const (
	sntrupP = 761
	sntrupQ = 4591
	sntrupW = 286 // coefficients of a short element that are not zero

	smallSize = (sntrupP + 3) / 4 // octets of an encoded small element
)

// An element of R/q, coefficients from -(q-1)/2 to (q-1)/2.
type element [sntrupP]int16

// small is an element of R with coefficients -1, 0 and 1, which is also an
// element of R/3.
type small [sntrupP]int8

// modQ returns x reduced to the range of an element's coefficients. The product
// with 2^40/q, rounded, is exact enough for |x| < 2^25: its error stays below
// 2^-15, and the nearest that x/q comes to one half is 1/2q.
func modQ(x int64) int16 {
	const inverse = (1<<40 + sntrupQ/2) / sntrupQ
	return int16(x - (x*inverse+1<<39)>>40*sntrupQ)
}

// mod3 returns x reduced to -1, 0 or 1, for |x| < 2^25.
func mod3(x int32) int32 {
	const inverse = (1<<32 + 1) / 3
	return x - int32((int64(x)*inverse+1<<31)>>32)*3
}

// times returns e·s. This is most of the work of a server.
func (e *element) times(s *small) element {
	var f [padded]int32
	for i, x := range e {
		f[i] = int32(x)
	}
	var out element
	for i, x := range multiply(&f, s) {
		out[i] = modQ(int64(x))
	}
	return out
}

// times3 returns e·s in R/3.
func (e *small) times3(s *small) small {
	var f [padded]int32
	for i, x := range e {
		f[i] = int32(x)
	}
	var out small
	for i, x := range multiply(&f, s) {
		out[i] = int8(mod3(x))
	}
	return out
}

// A polynomial to multiply has room for padded coefficients: p rounded up to
// what can be halved twice into pieces.
const (
	piece  = 192
	padded = 4 * piece
)

// multiply returns f·s in R. For coefficients of f up to q/2, those of the
// result are below 3·p·q/2 < 2^23.
func multiply(f *[padded]int32, s *small) *[sntrupP]int32 {
	var sum [2 * padded]int32
	var t [padded]int32
	for i, x := range s {
		t[i] = int32(x)
	}
	product(sum[:], f[:], t[:])
	for i := 2*sntrupP - 2; i >= sntrupP; i-- { // x^p = x + 1
		sum[i-sntrupP] += sum[i]
		sum[i-sntrupP+1] += sum[i]
	}
	return (*[sntrupP]int32)(sum[:])
}

// product sets out to f·s, by Karatsuba's method down to pieces: three products
// of halves instead of four.
func product(out, f, s []int32) {
	n := len(f)
	if n == piece {
		pieceProduct((*[2 * piece]int32)(out), (*[piece]int32)(f), (*[piece]int32)(s))
		return
	}
	h := n / 2
	var bothF, bothS [padded / 2]int32
	for i := range h {
		bothF[i] = f[i] + f[h+i]
		bothS[i] = s[i] + s[h+i]
	}
	product(out[:n], f[:h], s[:h])
	product(out[n:], f[h:], s[h:])
	var buf [padded]int32
	middle := buf[:n]
	product(middle, bothF[:h], bothS[:h])
	for i := range middle {
		middle[i] -= out[i] + out[n+i]
	}
	for i, x := range middle {
		out[h+i] += x
	}
}

// pieceProduct sets out to f·s, two coefficients at a time: they lie in the
// halves of 64 bits, where the lower one borrows from the higher if it is
// negative, which is given back in the end. Sums stay far below 2^31: of the
// largest coefficients after two sums, 4·q/2 and 4, 192 products make 2^22.7.
func pieceProduct(out *[2 * piece]int32, f, s *[piece]int32) {
	var pairs [piece / 2]int64
	for i := range pairs {
		pairs[i] = int64(f[2*i]) + int64(f[2*i+1])<<32
	}
	var even, odd [piece]int64 // even[k] is for 2k and 2k+1, odd[k] for 2k+1 and 2k+2
	for i := 0; i < piece; i += 2 {
		a, b := int64(s[i]), int64(s[i+1])
		e, o := (*[piece / 2]int64)(even[i/2:]), (*[piece / 2]int64)(odd[i/2:])
		for j, x := range pairs {
			e[j] += x * a
			o[j] += x * b
		}
	}
	halves := func(x int64) (low, high int32) {
		low = int32(x)
		return low, int32((x - int64(low)) >> 32)
	}
	before := int32(0)
	for k := range piece {
		e0, e1 := halves(even[k])
		o0, o1 := halves(odd[k])
		out[2*k], out[2*k+1] = e0+before, e1+o0
		before = o1
	}
}

// random sets s to an element with random coefficients.
func (s *small) random(random io.Reader) error {
	var octets [4 * sntrupP]byte
	if _, err := io.ReadFull(random, octets[:]); err != nil {
		return err
	}
	for i := range s {
		x := binary.LittleEndian.Uint32(octets[4*i:])
		s[i] = int8((x&(1<<30-1))*3>>30) - 1
	}
	clear(octets[:])
	return nil
}

// randomShort sets s to a random element of weight w: w random signs and p-w
// zeros, shuffled by sorting them along with random numbers above them.
func (s *small) randomShort(random io.Reader) error {
	var octets [4 * sntrupP]byte
	if _, err := io.ReadFull(random, octets[:]); err != nil {
		return err
	}
	var list [sntrupP]uint32
	for i := range list {
		x := binary.LittleEndian.Uint32(octets[4*i:])
		if i < sntrupW {
			list[i] = x &^ 1 // 0 or 2
		} else {
			list[i] = x&^3 | 1
		}
	}
	sortConstantTime(&list)
	for i, x := range list {
		s[i] = int8(x&3) - 1
	}
	clear(octets[:])
	clear(list[:])
	return nil
}

// sortConstantTime is Batcher's merge exchange sort: which places are compared
// does not depend on what is there.
func sortConstantTime(list *[sntrupP]uint32) {
	for p := 1; p < len(list); p *= 2 {
		for k := p; k >= 1; k /= 2 {
			for j := k % p; j+k < len(list); j += 2 * k {
				for i := j; i < j+k && i+k < len(list); i++ {
					if i/(2*p) != (i+k)/(2*p) {
						continue
					}
					a, b := list[i], list[i+k]
					swap := uint32((uint64(b)-uint64(a))>>32) & (a ^ b) // all ones if b < a
					list[i], list[i+k] = a^swap, b^swap
				}
			}
		}
	}
}

// encode packs four coefficients into an octet.
func (s *small) encode() []byte {
	out := make([]byte, smallSize)
	for i, c := range s {
		out[i/4] |= byte(c+1) << (i % 4 * 2)
	}
	return out
}

func (e *element) encode() []byte {
	var digits [sntrupP]uint16
	for i, x := range e {
		digits[i] = uint16(x + sntrupQ/2)
	}
	return encodeDigits(digits[:], sntrupQ)
}

func decodeElement(b []byte) (e element) {
	for i, d := range decodeDigits(b, sntrupQ) {
		e[i] = int16(d) - sntrupQ/2
	}
	return e
}

// sntrupThirds is how many multiples of 3 there are among the coefficients.
const sntrupThirds = (sntrupQ + 2) / 3

// encodeRounded rounds each coefficient to the nearest multiple of 3 and
// encodes what that is a multiple by.
func (e *element) encodeRounded() []byte {
	var digits [sntrupP]uint16
	for i, x := range e {
		third := int32(x) - mod3(int32(x)) + sntrupQ/2 // from 0 to q-1, divisible by 3
		digits[i] = uint16(third * 10923 >> 15)        // divided by 3, exactly below 2^14
	}
	return encodeDigits(digits[:], sntrupThirds)
}

func decodeRounded(b []byte) (e element) {
	for i, d := range decodeDigits(b[:sntrupRounded], sntrupThirds) {
		e[i] = int16(d)*3 - sntrupQ/2
	}
	return e
}

// encodeDigits writes a number with digits below radix, the lowest first, in
// octets. Neighbours are joined to one digit of a larger radix, and what that
// has beyond 14 bits goes out, until one digit is left. Radices depend on places
// only; there is no division here, since the digits may be secret.
func encodeDigits(digits []uint16, radix uint32) []byte {
	radices := make([]uint32, len(digits))
	for i := range radices {
		radices[i] = radix
	}
	var out []byte
	for len(digits) > 1 {
		n := 0
		for i := 0; i < len(digits); i += 2 {
			d, m := uint32(digits[i]), radices[i]
			if i+1 < len(digits) {
				d += uint32(digits[i+1]) * m
				for m *= radices[i+1]; m >= 1<<14; m = (m + 255) >> 8 {
					out = append(out, byte(d))
					d >>= 8
				}
			}
			digits[n], radices[n] = uint16(d), m
			n++
		}
		digits, radices = digits[:n], radices[:n]
	}
	d := digits[0]
	for m := radices[0]; m > 1; m = (m + 255) >> 8 {
		out = append(out, byte(d))
		d >>= 8
	}
	return out
}

// decodeDigits reads what encodeDigits wrote for p digits. Octets that it does
// not write give digits in range all the same. The octets are public: keys and
// texts that went over the wire.
func decodeDigits(b []byte, radix uint32) []uint16 {
	// First down: which radices there are in each round, and the octets that
	// went out of each digit.
	type joint struct{ low, lowRadix uint32 }
	var rounds [][]uint32
	var lows [][]joint
	radices := make([]uint32, sntrupP)
	for i := range radices {
		radices[i] = radix
	}
	for len(radices) > 1 {
		var next []uint32
		var low []joint
		for i := 0; i < len(radices); i += 2 {
			m, l := radices[i], joint{0, 1}
			if i+1 < len(radices) {
				for m *= radices[i+1]; m >= 1<<14; m = (m + 255) >> 8 {
					l.low += uint32(b[0]) * l.lowRadix
					l.lowRadix <<= 8
					b = b[1:]
				}
			}
			next, low = append(next, m), append(low, l)
		}
		rounds, lows = append(rounds, radices), append(lows, low)
		radices = next
	}
	top, shift := uint32(0), 0
	for m := radices[0]; m > 1; m = (m + 255) >> 8 {
		top |= uint32(b[0]) << shift
		shift += 8
		b = b[1:]
	}
	// Then up again: take the digits apart.
	digits := []uint16{uint16(top % radices[0])}
	for r, radices := range slices.Backward(rounds) {
		below := make([]uint16, len(radices))
		for i, d := range digits {
			x := lows[r][i].low + lows[r][i].lowRadix*uint32(d)
			if 2*i+1 == len(radices) {
				below[2*i] = uint16(x)
				continue
			}
			below[2*i] = uint16(x % radices[2*i])
			below[2*i+1] = uint16(x / radices[2*i] % radices[2*i+1])
		}
		digits = below
	}
	return digits
}
