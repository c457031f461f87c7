// Package inflate decompresses zlib streams (RFC 1950, RFC 1951) that arrive
// packet by packet, as in SSH (RFC 4253 section 6.2).
//
// After each packet the writer of such a stream makes a partial flush: all
// data can be decoded, but the stream may stop in the middle of an octet, of a
// block header or of an end-of-block code, whose rest begins the next packet.
// A [Decoder] therefore stops wherever its input does, keeps its state, and
// hands out all it has. The reader of compress/flate does not: at the end of
// the input it waits for more or fails.
package inflate

import "encoding/binary"

// An Error is a reason to refuse a stream. The texts are constant: nothing of
// the stream shows in them.
type Error string

// Error returns the reason.
func (e Error) Error() string { return string(e) }

// The reasons to refuse a stream.
const (
	ErrHeader     Error = "inflate: not a zlib header"
	ErrDictionary Error = "inflate: stream wants a preset dictionary"
	ErrFinal      Error = "inflate: stream ends with a final block"
	ErrBlock      Error = "inflate: unknown type of block"
	ErrStored     Error = "inflate: stored block with wrong length"
	ErrCodes      Error = "inflate: code lengths are no prefix code"
	ErrSymbol     Error = "inflate: not a code"
	ErrDistance   Error = "inflate: distance before the beginning"
)

const (
	windowSize = 32 << 10
	windowMask = windowSize - 1
)

// Begins tells whether p begins with the two octets that a stream does (RFC
// 1950 section 2.2), whatever a [Decoder] makes of the rest.
func Begins(p []byte) bool {
	return len(p) >= 2 && p[0]&15 == 8 && p[0]>>4 <= 7 && (int(p[0])<<8|int(p[1]))%31 == 0
}

// state is what is expected next.
type state uint8

const (
	zlibHeader state = iota
	blockHeader
	storedLength
	storedData
	codeCounts
	codeLengths // of the code lengths
	symbolLengths
	litSymbol
	litRoom // a literal that found no room
	lengthExtra
	distSymbol
	distExtra
	match
)

// A Decoder is one stream. The zero value is at the beginning of one. It is
// for one goroutine at a time. It takes about 40 KiB, once.
type Decoder struct {
	state state
	bits  uint64 // taken from the input and not used yet, the next one lowest
	n     uint   // how many; the others are 0
	err   error

	left     int // of a stored block; literal of litRoom
	length   int // of the match
	distance int // of the match
	symbol   int // length or distance symbol whose extra bits are due

	lits, dists, codes, have int // counts of a dynamic block, and lengths read
	lens                     [maxLits + maxDists]uint8
	lit, dist                *huffman // of the block
	dynLit, dynDist          huffman  // what they point to in a dynamic block

	window [windowSize]byte // the end of all packets before this one
	at     int              // where the next octet goes
	filled int              // octets in it
}

// Reset goes back to the beginning of a stream.
func (d *Decoder) Reset() {
	d.state, d.bits, d.n, d.err = zlibHeader, 0, 0, nil
	d.at, d.filled = 0, 0
}

// Decode decompresses the octets of src behind out[:done], which earlier calls
// for the same packet have produced, and never writes beyond out. It returns
// how long the packet is now, what is left of src, and whether it stopped for
// lack of room: then there is more, and it is to be called again with that rest
// and a longer out that begins with the same octets. Once full is false the
// packet is complete, and [Decoder.Keep] must be called with it.
//
// An error, an [Error], is final: so are all later calls.
func (d *Decoder) Decode(out []byte, done int, src []byte) (now int, rest []byte, full bool, err error) {
	if d.err != nil {
		return done, src, false, d.err
	}
	now, rest, full, d.err = d.run(out, done, src)
	return now, rest, full, d.err
}

// Keep remembers the packet for matches in later ones.
func (d *Decoder) Keep(packet []byte) {
	if len(packet) > windowSize {
		packet = packet[len(packet)-windowSize:]
	}
	n := copy(d.window[d.at:], packet)
	copy(d.window[:], packet[n:])
	d.at = (d.at + len(packet)) & windowMask
	d.filled = min(d.filled+len(packet), windowSize)
}

// fill takes input until there are more than 48 bits or there is no more.
func (d *Decoder) fill(src []byte) []byte {
	if len(src) >= 8 {
		n := (63 - d.n) / 8
		d.bits |= binary.LittleEndian.Uint64(src) << d.n
		d.n += 8 * n
		d.bits &= 1<<d.n - 1
		return src[n:]
	}
	for d.n <= 48 && len(src) > 0 {
		d.bits |= uint64(src[0]) << d.n
		d.n += 8
		src = src[1:]
	}
	return src
}

// take returns the next n bits, which must be there.
func (d *Decoder) take(n uint) int {
	v := d.bits & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return int(v)
}

// run decodes one step after the other. Each takes all its bits or none, and
// stops for want of them: no step needs more than the 48 that fill provides.
func (d *Decoder) run(out []byte, done int, src []byte) (now int, rest []byte, full bool, err error) {
	for {
		if d.n <= 48 {
			src = d.fill(src)
		}
		switch d.state {
		case zlibHeader: // RFC 1950 section 2.2
			if d.n < 16 {
				return done, src, false, nil
			}
			cmf, flags := byte(d.take(8)), byte(d.take(8))
			if !Begins([]byte{cmf, flags}) {
				return done, src, false, ErrHeader
			}
			if flags&0x20 != 0 {
				return done, src, false, ErrDictionary
			}
			d.state = blockHeader

		case blockHeader: // RFC 1951 section 3.2.3
			if d.n < 3 {
				return done, src, false, nil
			}
			if d.take(1) != 0 {
				// A connection's stream has no end; what follows one has no meaning.
				return done, src, false, ErrFinal
			}
			switch d.take(2) {
			case 0:
				d.take(d.n & 7)
				d.state = storedLength
			case 1:
				d.lit, d.dist = fixedLit, fixedDist
				d.state = litSymbol
			case 2:
				d.state = codeCounts
			default:
				return done, src, false, ErrBlock
			}

		case storedLength: // section 3.2.4
			if d.n < 32 {
				return done, src, false, nil
			}
			d.left = d.take(16)
			if d.take(16) != d.left^0xFFFF {
				return done, src, false, ErrStored
			}
			d.state = storedData

		case storedData:
			for d.left > 0 && d.n > 0 { // whole octets
				if done == len(out) {
					return done, src, true, nil
				}
				out[done] = byte(d.take(8))
				done++
				d.left--
			}
			n := copy(out[done:], src[:min(d.left, len(src))])
			done, src, d.left = done+n, src[n:], d.left-n
			if d.left > 0 {
				return done, src, len(src) > 0, nil
			}
			d.state = blockHeader

		case codeCounts: // section 3.2.7
			if d.n < 14 {
				return done, src, false, nil
			}
			d.lits, d.dists, d.codes = d.take(5)+257, d.take(5)+1, d.take(4)+4
			if d.lits > maxLits || d.dists > maxDists {
				return done, src, false, ErrCodes
			}
			d.have = 0
			clear(d.lens[:maxLengths])
			d.state = codeLengths

		case codeLengths:
			for ; d.have < d.codes && d.n >= 3; d.have++ {
				d.lens[lengthOrder[d.have]] = uint8(d.take(3))
			}
			if d.have < d.codes {
				if len(src) > 0 {
					continue
				}
				return done, src, false, nil
			}
			if !d.dynLit.build(d.lens[:maxLengths], false) {
				return done, src, false, ErrCodes
			}
			d.have = 0
			d.state = symbolLengths

		case symbolLengths:
			if d.have < d.lits+d.dists {
				if ok, err := d.symbolLength(); !ok {
					return done, src, false, err
				}
				continue
			}
			// Without an end of block there is no valid stream.
			if d.lens[endOfBlock] == 0 || !d.dynLit.build(d.lens[:d.lits], true) || !d.dynDist.build(d.lens[d.lits:d.have], true) {
				return done, src, false, ErrCodes
			}
			d.lit, d.dist = &d.dynLit, &d.dynDist
			d.state = litSymbol

		case litSymbol: // section 3.2.5, and so are the next
			done = d.literals(out, done)
			if d.n <= 48 && len(src) > 0 {
				continue // the step may want all of its bits
			}
			symbol, n := d.lit.look(d.bits, d.n)
			switch {
			case symbol == needBits:
				return done, src, false, nil
			case symbol == noCode:
				return done, src, false, ErrSymbol
			}
			d.bits >>= n
			d.n -= n
			switch {
			case symbol < endOfBlock:
				if done == len(out) {
					d.left, d.state = symbol, litRoom
					return done, src, true, nil
				}
				out[done] = byte(symbol)
				done++
			case symbol == endOfBlock:
				d.state = blockHeader
			case symbol-endOfBlock > len(lengthBase):
				return done, src, false, ErrSymbol
			default:
				d.symbol, d.state = symbol-endOfBlock-1, lengthExtra
			}

		case litRoom:
			if done == len(out) {
				return done, src, true, nil
			}
			out[done] = byte(d.left)
			done++
			d.state = litSymbol

		case lengthExtra:
			n := uint(lengthBits[d.symbol])
			if d.n < n {
				return done, src, false, nil
			}
			d.length, d.state = int(lengthBase[d.symbol])+d.take(n), distSymbol

		case distSymbol:
			symbol, n := d.dist.look(d.bits, d.n)
			switch {
			case symbol == needBits:
				return done, src, false, nil
			case symbol == noCode || symbol >= len(distanceBase):
				return done, src, false, ErrSymbol
			}
			d.bits >>= n
			d.n -= n
			d.symbol, d.state = symbol, distExtra

		case distExtra:
			n := uint(distanceBits[d.symbol])
			if d.n < n {
				return done, src, false, nil
			}
			d.distance = int(distanceBase[d.symbol]) + d.take(n)
			if d.distance > d.filled+done {
				return done, src, false, ErrDistance
			}
			d.state = match

		case match:
			done = d.copyMatch(out, done)
			if d.length > 0 {
				return done, src, true, nil
			}
			d.state = litSymbol
		}
	}
}

// literals takes the short codes of literals that come next, which are most of
// what does not compress well, without the ceremony around each step.
func (d *Decoder) literals(out []byte, done int) int {
	bits, n, fast := d.bits, d.n, &d.lit.fast
	for done < len(out) {
		e := fast[bits&(1<<fastBits-1)]
		length := uint(e & 15)
		if e == 0 || e>>4 >= endOfBlock || length > n {
			break
		}
		out[done] = byte(e >> 4)
		done++
		bits >>= length
		n -= length
	}
	d.bits, d.n = bits, n
	return done
}

// symbolLength reads one length, or one that is repeated (section 3.2.7). It
// returns false for want of bits, or with an error.
func (d *Decoder) symbolLength() (bool, error) {
	symbol, n := d.dynLit.look(d.bits, d.n)
	switch {
	case symbol == needBits:
		return false, nil
	case symbol == noCode:
		return false, ErrSymbol
	}
	value, times, more := uint8(symbol), 1, uint(0)
	switch symbol {
	case 16:
		if d.have == 0 {
			return false, ErrCodes
		}
		value, times, more = d.lens[d.have-1], 3, 2
	case 17:
		value, times, more = 0, 3, 3
	case 18:
		value, times, more = 0, 11, 7
	}
	if d.n < n+more {
		return false, nil
	}
	d.take(n)
	times += d.take(more)
	if d.have+times > d.lits+d.dists {
		return false, ErrCodes
	}
	for range times {
		d.lens[d.have] = value
		d.have++
	}
	return true, nil
}

// copyMatch copies as much of the match as there is room for.
func (d *Decoder) copyMatch(out []byte, done int) int {
	end := min(done+d.length, len(out))
	d.length -= end - done
	// What lies before this packet is in the window.
	for back := d.distance - done; back > 0 && done < end; back = d.distance - done {
		from := (d.at - back) & windowMask
		done += copy(out[done:min(end, done+back)], d.window[from:])
	}
	// A match may overlap what it produces: each turn doubles what can be copied.
	for from := done - d.distance; done < end; {
		done += copy(out[done:end], out[from:done])
	}
	return done
}
