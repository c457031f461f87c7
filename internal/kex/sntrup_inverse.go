package kex

// Inverses in R/3 and R/q, by the division steps of Bernstein and Yang ("Fast
// constant-time gcd computation and modular inversion", 2019): 2p-1 steps of a
// gcd of the modulus and the reversed input, each of which shifts, and swaps by
// a mask. How many coefficients a step has to touch depends on its number only.

const divisionSteps = 2*sntrupP - 1

// words hold the p+1 coefficients of a polynomial of degree p, a bit each.
const words = (sntrupP + 1 + 63) / 64

// A trits is a polynomial over F3, of which a coefficient is a bit of each:
// low says that it is not zero, high that it is -1.
type trits struct{ low, high [words]uint64 }

func (t *trits) set(i int, c int8) {
	t.low[i/64] |= uint64(c&1) << (i % 64)
	t.high[i/64] |= uint64(c>>1&1) << (i % 64)
}

func (t *trits) get(i int) int8 {
	low, high := int8(t.low[i/64]>>(i%64)&1), int8(t.high[i/64]>>(i%64)&1)
	return low - 2*high
}

// up multiplies by x.
func (t *trits) up() {
	for i := words - 1; i > 0; i-- {
		t.low[i] = t.low[i]<<1 | t.low[i-1]>>63
		t.high[i] = t.high[i]<<1 | t.high[i-1]>>63
	}
	t.low[0] <<= 1
	t.high[0] <<= 1
}

// down divides by x what has no constant term.
func (t *trits) down() {
	for i := range words - 1 {
		t.low[i] = t.low[i]>>1 | t.low[i+1]<<63
		t.high[i] = t.high[i]>>1 | t.high[i+1]<<63
	}
	t.low[words-1] >>= 1
	t.high[words-1] >>= 1
}

// swapTrits exchanges a and b where mask is all ones.
func swapTrits(a, b *trits, mask uint64) {
	for i := range words {
		l, h := mask&(a.low[i]^b.low[i]), mask&(a.high[i]^b.high[i])
		a.low[i], b.low[i] = a.low[i]^l, b.low[i]^l
		a.high[i], b.high[i] = a.high[i]^h, b.high[i]^h
	}
}

// add adds s·b to t, where s is 0, 1 or -1: used has all bits set unless it is
// 0, and minus if it is -1.
func (t *trits) add(b *trits, used, minus uint64) {
	for i := range words {
		al, ah := t.low[i], t.high[i]
		bl := b.low[i] & used
		bh := (b.high[i] ^ minus) & bl // the sign turned, where there is one
		// Both are 1, or both -1: the sum is of the other sign. One of each: 0.
		both := al & bl
		differ := ah ^ bh
		low := (al ^ bl) | both&^differ
		high := (ah^bh)&^both | both&^differ&^ah
		t.low[i], t.high[i] = low, high&low
	}
}

// inverse returns 1/s in R/3, and whether there is one.
func (s *small) inverse() (small, bool) {
	var f, g, v, r trits
	r.set(0, 1)
	f.set(0, 1)
	f.set(sntrupP-1, -1)
	f.set(sntrupP, -1)
	for i, c := range s {
		g.set(sntrupP-1-i, c)
	}
	delta := int64(1)
	for range divisionSteps {
		v.up()
		swap := positive(delta) & -(g.low[0] & 1)
		delta = step(delta, swap)
		swapTrits(&f, &g, swap)
		swapTrits(&v, &r, swap)
		// g - (g0/f0)·f loses its constant term; in F3 1/f0 is f0, and f0 is
		// never 0.
		used := -(g.low[0] & 1)
		minus := -(^(f.high[0] ^ g.high[0]) & 1)
		g.add(&f, used, minus)
		r.add(&v, used, minus)
		g.down()
	}
	sign := f.get(0)
	var out small
	for i := range out {
		out[i] = sign * v.get(sntrupP-1-i)
	}
	return out, delta == 0
}

// positive returns all ones if delta > 0.
func positive(delta int64) uint64 { return uint64(-delta >> 63) }

// step is how delta goes on after a step that swapped or not.
func step(delta int64, swap uint64) int64 {
	m := int64(swap)
	return (delta ^ m) - m + 1
}

// inverseOf3 returns 1/3s in R/q, where every short element but 0 has one.
func (s *small) inverseOf3() element {
	var f, g, v, r [sntrupP + 1]int16
	r[0] = inverseModQ(3)
	f[0], f[sntrupP-1], f[sntrupP] = 1, -1, -1
	for i, c := range s {
		g[sntrupP-1-i] = int16(c)
	}
	delta := int64(1)
	for n := range divisionSteps {
		// What is above these cannot reach a constant term anymore, and has not
		// been reached yet.
		fg, vr := min(sntrupP+1, divisionSteps-n), min(sntrupP+1, n+2)
		copy(v[1:vr], v[:vr-1])
		v[0] = 0
		notZero := uint64(int64(g[0])|-int64(g[0])) >> 63
		swap := positive(delta) & -notZero
		delta = step(delta, swap)
		swapElements(f[:fg], g[:fg], int16(swap))
		swapElements(v[:vr], r[:vr], int16(swap))
		f0, g0 := int64(f[0]), int64(g[0])
		for i := 1; i < fg; i++ {
			g[i-1] = modQ(f0*int64(g[i]) - g0*int64(f[i]))
		}
		g[fg-1] = 0
		for i := range r[:vr] {
			r[i] = modQ(f0*int64(r[i]) - g0*int64(v[i]))
		}
	}
	scale := int64(inverseModQ(f[0]))
	var out element
	for i := range out {
		out[i] = modQ(scale * int64(v[sntrupP-1-i]))
	}
	return out
}

func swapElements(a, b []int16, mask int16) {
	b = b[:len(a)]
	for i := range a {
		x := mask & (a[i] ^ b[i])
		a[i], b[i] = a[i]^x, b[i]^x
	}
}

// inverseModQ returns a^(q-2), which is 1/a.
func inverseModQ(a int16) int16 {
	out := int64(1)
	for bit := 12; bit >= 0; bit-- { // q-2 has 13 bits
		out = int64(modQ(out * out))
		if (sntrupQ-2)>>bit&1 == 1 { // public
			out = int64(modQ(out * int64(a)))
		}
	}
	return int16(out)
}
