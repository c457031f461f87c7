package inflate

const (
	maxBits    = 15 // longest code
	fastBits   = 9  // codes up to this length are found with one look
	maxLits    = 286
	maxDists   = 30
	maxLengths = 19 // code lengths of code lengths
	fixedLits  = 288
	fixedDists = 32
	endOfBlock = 256
)

// A huffman is a canonical prefix code (RFC 1951 section 3.2.2).
type huffman struct {
	// fast tells symbol and length for every possible next fastBits bits, as
	// symbol<<4 | length; 0 means that the code is longer, or none.
	fast  [1 << fastBits]uint16
	count [maxBits + 1]uint16 // codes of each length
	// symbol holds all symbols that have a code, in the order of their codes.
	symbol [fixedLits]uint16
	max    uint // length of the longest code
}

// build makes the code in which symbol i has length[i] bits, 0 meaning that it
// does not occur. It returns false if that is no prefix code: if there are more
// codes than fit, or fewer, unless partial allows the two cases that writers
// produce, no code at all and a single one of one bit. What is not a code of
// such a set is found when it occurs.
func (h *huffman) build(length []uint8, partial bool) bool {
	clear(h.fast[:])
	clear(h.count[:])
	h.max = 0
	for _, n := range length {
		h.count[n]++
		h.max = max(h.max, uint(n))
	}
	h.count[0] = 0
	left := 1
	var offset, next [maxBits + 2]uint16 // by length: first place in symbol, next code
	code := uint16(0)
	for n := 1; n <= maxBits; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return false
		}
		code = (code + h.count[n-1]) << 1
		next[n] = code
		offset[n+1] = offset[n] + h.count[n]
	}
	if left > 0 && (!partial || h.max > 1) {
		return false
	}
	for s, n := range length {
		if n == 0 {
			continue
		}
		h.symbol[offset[n]] = uint16(s)
		offset[n]++
		code := next[n]
		next[n]++
		if n > fastBits {
			continue
		}
		// Codes are packed most significant bit first, everything else the
		// other way round (section 3.1.1): turn the code.
		turned := uint16(0)
		for range n {
			turned = turned<<1 | code&1
			code >>= 1
		}
		for i := int(turned); i < 1<<fastBits; i += 1 << n {
			h.fast[i] = uint16(s)<<4 | uint16(n)
		}
	}
	return true
}

// The results of look besides a symbol.
const (
	needBits = -1
	noCode   = -2
)

// look returns the symbol whose code the n bits begin with, and its length.
func (h *huffman) look(bits uint64, n uint) (symbol int, length uint) {
	if e := h.fast[bits&(1<<fastBits-1)]; e != 0 {
		if length = uint(e & 15); length <= n {
			return int(e >> 4), length
		}
		return needBits, 0
	}
	return h.lookLong(bits, n)
}

// lookLong goes through the lengths: the codes of one length are consecutive
// numbers, and so are the places of their symbols.
func (h *huffman) lookLong(bits uint64, n uint) (symbol int, length uint) {
	code, first, place := 0, 0, 0
	for length = 1; length <= h.max; length++ {
		if length > n {
			return needBits, 0
		}
		code |= int(bits & 1)
		bits >>= 1
		count := int(h.count[length])
		if code-first < count {
			return int(h.symbol[place+code-first]), length
		}
		place += count
		first = (first + count) << 1
		code <<= 1
	}
	return noCode, 0
}

// The codes of blocks of type 1 (section 3.2.6). They are read only.
var fixedLit, fixedDist = fixed()

func fixed() (lit, dist *huffman) {
	var length [fixedLits]uint8
	for i := range length {
		switch {
		case i < 144:
			length[i] = 8
		case i < 256:
			length[i] = 9
		case i < 280:
			length[i] = 7
		default:
			length[i] = 8
		}
	}
	lit, dist = new(huffman), new(huffman)
	lit.build(length[:], false)
	for i := range fixedDists {
		length[i] = 5
	}
	dist.build(length[:fixedDists], false)
	return lit, dist
}

// What length and distance symbols stand for: a base plus the number in the
// next bits (section 3.2.5).
var (
	lengthBase = [29]uint16{
		3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
	}
	lengthBits = [29]uint8{
		0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
	}
	distanceBase = [maxDists]uint16{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
		8193, 12289, 16385, 24577,
	}
	distanceBits = [maxDists]uint8{
		0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
	}
)

// lengthOrder is the order in which the lengths of the code length code come
// (section 3.2.7).
var lengthOrder = [maxLengths]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
