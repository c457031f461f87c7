package kex

import (
	"bytes"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// builtinGroups are the groups that this package carries.
var builtinGroups *Moduli

// The RFC gives its primes as a formula in pi, beside the digits: compute them
// from that (RFC 3526 §3 to §7).
func TestFixedGroupsFromPi(t *testing.T) {
	const precision = 8192 + 128
	pi := machin(precision)
	for bits, add := range map[uint]int64{2048: 124476, 3072: 1690314, 4096: 240904, 6144: 929484, 8192: 4743158, oakleyBits: 129093} {
		// 2^n - 2^(n-64) - 1 + 2^64 * ( [2^(n-130) pi] + add )
		want := new(big.Int).Rsh(pi, precision-(bits-130))
		want.Add(want, big.NewInt(add))
		want.Lsh(want, 64)
		want.Add(want, new(big.Int).Lsh(one, bits))
		want.Sub(want, new(big.Int).Lsh(one, bits-64))
		want.Sub(want, one)
		g := fixedGroup(t, int(bits))
		if g.P.Cmp(want) != 0 || g.G.Cmp(big.NewInt(2)) != 0 {
			t.Errorf("the group of %d bits is not RFC 3526's", bits)
		}
	}
	m, err := rfc3526()
	if err != nil || len(m.bySize) != 5 {
		t.Errorf("%v sizes, %v; want 5", sizes(m), err)
	}
}

// machin returns pi * 2^bits, rounded down: pi = 16 arctan(1/5) - 4 arctan(1/239).
func machin(bits uint) *big.Int {
	const guard = 64
	arctan := func(n int64) *big.Int {
		term := new(big.Int).Lsh(one, bits+guard)
		term.Quo(term, big.NewInt(n))
		sum := new(big.Int).Set(term)
		for k := int64(3); term.Sign() != 0; k += 2 {
			term.Quo(term, big.NewInt(-n*n))
			sum.Add(sum, new(big.Int).Quo(term, big.NewInt(k)))
		}
		return sum
	}
	a, b := arctan(5), arctan(239)
	a.Mul(a, big.NewInt(16))
	return a.Sub(a, b.Mul(b, big.NewInt(4))).Rsh(a, guard)
}

func sizes(m *Moduli) []int { return slices.Sorted(maps.Keys(m.bySize)) }

func TestCVE_3_5_ClientRefusesWeakGroups(t *testing.T) {
	good := fixedGroup(t, 2048)
	p := good.P
	sub := func(a *big.Int, n int64) *big.Int { return new(big.Int).Sub(a, big.NewInt(n)) }
	shift := func(n uint) *big.Int { return sub(new(big.Int).Lsh(one, n), 1) } // n bits, odd
	two := big.NewInt(2)
	for _, tt := range []struct {
		what string
		p, g *big.Int
	}{
		{"512 bits", shift(512), two},
		{"1024 bits", shift(1024), two},
		{"2047 bits", shift(2047), two},
		{"8193 bits", shift(8193), two},
		{"even p", sub(p, 1), two},
		{"p = 0", big.NewInt(0), two},
		{"p = 1", one, two},
		{"negative p", new(big.Int).Neg(p), two},
		{"p = 2^2048 - 1, a multiple of 3", shift(2048), two},
		{"p a multiple of 997", new(big.Int).Mul(big.NewInt(997), shift(2047)), two},
		{"g = 0", p, big.NewInt(0)},
		{"g = 1", p, one},
		{"g = -1", p, big.NewInt(-1)},
		{"g = p-1", p, sub(p, 1)},
		{"g = p", p, p},
		{"g = p+1", p, sub(p, -1)},
		{"no p", nil, two},
		{"no g", p, nil},
	} {
		g, err := NewGroup(tt.p, tt.g)
		var ge *GroupError
		if !errors.As(err, &ge) || g != nil {
			t.Errorf("%s: %v, %v; want a GroupError", tt.what, g, err)
		}
	}
	for _, bits := range []int{2048, 3072, 4096, 6144, 8192} {
		g := fixedGroup(t, bits)
		for _, gen := range []*big.Int{two, big.NewInt(5), sub(g.P, 2)} {
			if _, err := NewGroup(g.P, gen); err != nil {
				t.Errorf("%d bits: %v", bits, err)
			}
		}
	}
}

func TestParseGroup(t *testing.T) {
	want := fixedGroup(t, 8192)
	p, gen := want.Octets()
	if len(p) != 1025 || p[0] != 0 || !bytes.Equal(gen, []byte{2}) {
		t.Errorf("Octets: %d octets and %x", len(p), gen)
	}
	got, err := ParseGroup(p, gen)
	if err != nil || got.P.Cmp(want.P) != 0 || got.G.Cmp(want.G) != 0 {
		t.Errorf("ParseGroup(Octets()) = %v", err)
	}
	for what, pair := range map[string][2][]byte{
		"empty":              {nil, nil},
		"empty generator":    {p, nil},
		"negative modulus":   {p[1:], gen},
		"padded modulus":     {append([]byte{0}, p...), gen},
		"padded generator":   {p, []byte{0, 2}},
		"huge modulus":       {bytes.Repeat([]byte{0x7f}, 1<<20), gen},
		"huge generator":     {p, bytes.Repeat([]byte{0x7f}, 1<<20)},
		"swapped":            {gen, p},
		"negative generator": {p, []byte{0xff}},
	} {
		g, err := ParseGroup(pair[0], pair[1])
		var ge *GroupError
		if !errors.As(err, &ge) || g != nil {
			t.Errorf("%s: %v; want a GroupError", what, err)
		}
	}
}

// Every group this package can hand out has a safe prime, and its generator
// generates the large subgroup.
func TestBuiltinGroupsAreSafePrimes(t *testing.T) {
	m, err := builtin()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ParseModuli(bytes.NewReader(ownModuli))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, bits := range sizes(m) {
		for _, g := range m.bySize[bits] {
			q := new(big.Int).Rsh(g.P, 1)
			// Baillie-PSW has no known counterexample; the largest two would
			// take seconds each and are computed from pi by another test.
			if bits <= 4096 && !(g.P.ProbablyPrime(0) && q.ProbablyPrime(0)) {
				t.Errorf("%d bits: not a safe prime: %x...", bits, g.P.Bytes()[:8])
			}
			if new(big.Int).Exp(g.G, q, g.P).Cmp(one) != 0 {
				t.Errorf("%d bits: the generator's order is not (p-1)/2", bits)
			}
			if seen[g.P.String()] {
				t.Errorf("%d bits: a modulus occurs twice", bits)
			}
			seen[g.P.String()] = true
		}
	}
	if n := len(own.bySize[2048]); n < 6 {
		t.Errorf("%d moduli of 2048 bits of our own, want several", n)
	}
	if n := len(own.bySize[3072]); n < 3 {
		t.Errorf("%d moduli of 3072 bits of our own, want several", n)
	}
	for bits, groups := range own.bySize {
		for _, g := range groups {
			if fixed, _ := rfc3526(); len(fixed.bySize[bits]) > 0 && fixed.bySize[bits][0].P.Cmp(g.P) == 0 {
				t.Errorf("%d bits: a modulus of our own is RFC 3526's", bits)
			}
		}
	}
}

// Both sides of a group exchange, as a driver does it, with the default sizes.
func TestGroupExchange(t *testing.T) {
	chosen, err := builtinGroups.Choose(MinGroupBits, PreferredGroupBits, MaxGroupBits)
	if err != nil {
		t.Fatal(err)
	}
	if chosen.P.BitLen() != PreferredGroupBits {
		t.Errorf("group of %d bits, want %d", chosen.P.BitLen(), PreferredGroupBits)
	}
	received, err := ParseGroup(chosen.Octets())
	if err != nil {
		t.Fatal(err)
	}
	client, server := received.Method(), chosen.Method()
	e, err := client.Init()
	if err != nil {
		t.Fatal(err)
	}
	f, serverK, err := server.Reply(e)
	if err != nil {
		t.Fatal(err)
	}
	clientK, err := client.Finish(f)
	if err != nil || !bytes.Equal(clientK, serverK) {
		t.Errorf("secrets differ (err %v)", err)
	}
}

func TestCVE_3_5_ServerAnswersOddRequests(t *testing.T) {
	const most = 1<<32 - 1
	for _, tt := range []struct {
		min, n, max uint32
		want        int // bits; 0: refused
	}{
		{2048, 2048, 8192, 2048},
		{2048, 3072, 8192, 3072},
		{2048, 4096, 8192, 4096},
		{1024, 1024, 8192, 2048}, // RFC 8270: never below 2048
		{1024, 2048, 2048, 2048},
		{2048, 2049, 8192, 3072}, // the next larger
		{2048, 7680, 8192, 8192}, // OpenSSH's request for 256-bit ciphers
		{2048, 7680, 8000, 6144}, // nothing larger within max: the largest below
		{2048, 0, 8192, 2048},    // n = 0
		{0, 0, most, 2048},
		{0, most, most, 8192},
		{0, 0, 1 << 31, 2048},
		{2048, 1 << 31, 1 << 31, 8192},
		{2048, 1024, 8192, 2048}, // n below min
		{2048, 8192, 3072, 3072}, // n above max
		{8192, 8192, 8192, 8192},
		{4096, 2048, 2048, 0}, // min above max
		{most, 0, 0, 0},
		{0, 0, 0, 0},
		{512, 1024, 1024, 0}, // max below what we allow
		{1024, 2048, 2047, 0},
		{8193, 8193, 10_000, 0}, // min above what we have
		{most, most, most, 0},
		{2049, 2500, 3071, 0}, // no group in between
	} {
		g, err := builtinGroups.Choose(tt.min, tt.n, tt.max)
		if tt.want == 0 {
			var pe *PeerError
			if !errors.As(err, &pe) || g != nil {
				t.Errorf("%d %d %d: %v, %v; want a PeerError", tt.min, tt.n, tt.max, g, err)
			}
			continue
		}
		if err != nil || g.P.BitLen() != tt.want {
			t.Errorf("%d %d %d: %v, %v; want %d bits", tt.min, tt.n, tt.max, g, err, tt.want)
		}
	}
}

// A request must not keep the server busy, whatever it asks for.
func TestCVE_3_13_RequestsOutsideTheTableAreQuick(t *testing.T) {
	if _, err := builtinGroups.Choose(2048, 2048, 8192); err != nil { // reads the table
		t.Fatal(err)
	}
	start := time.Now()
	requests := 0
	for _, lo := range []uint32{0, 1, 2047, 2048, 2049, 3000, 5000, 8192, 8193, 1 << 31, 1<<32 - 1} {
		for n := uint32(0); n < 9000; n += 97 {
			for _, hi := range []uint32{0, 2048, 2049, 5000, 8192, 1 << 31, 1<<32 - 1} {
				g, err := builtinGroups.Choose(lo, n, hi)
				if (g == nil) == (err == nil) {
					t.Fatalf("%d %d %d: %v, %v", lo, n, hi, g, err)
				}
				if g != nil && (uint32(g.P.BitLen()) < lo || uint32(g.P.BitLen()) > hi || g.P.BitLen() < MinGroupBits) {
					t.Fatalf("%d %d %d: group of %d bits", lo, n, hi, g.P.BitLen())
				}
				requests++
			}
		}
	}
	if each := time.Since(start) / time.Duration(requests); each > 5*time.Millisecond {
		t.Errorf("a request takes %v", each)
	}
}

// Groups of one size are all chosen, at random.
func TestChooseSpreads(t *testing.T) {
	m, err := builtin()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for range 1000 {
		g, err := builtinGroups.Choose(2048, 2048, 2048)
		if err != nil {
			t.Fatal(err)
		}
		seen[g.P.String()]++
	}
	if len(seen) != len(m.bySize[2048]) {
		t.Errorf("%d of %d groups were chosen: %v", len(seen), len(m.bySize[2048]), seen)
	}
}

// line returns a moduli line for the RFC 3526 group of 2048 bits, with some
// fields replaced.
func line(t testing.TB, replace map[int]string) string {
	g := fixedGroup(t, 2048)
	f := []string{"20260101000000", "2", "6", "100", "2047", "2", strings.ToUpper(g.P.Text(16))}
	for i, s := range replace {
		f[i] = s
	}
	return strings.Join(f, " ")
}

func TestParseModuli(t *testing.T) {
	good := line(t, nil)
	big8192 := fixedGroup(t, 8192)
	text := strings.Join([]string{
		"# comment",
		"",
		"   ",
		good,
		"  " + strings.ReplaceAll(strings.ToLower(good), " ", "\t") + " \r",
		line(t, map[int]string{5: "5"}),
		"20260101000000 2 6 100 8191 2 " + big8192.P.Text(16),
		// Well-formed, but not for us:
		line(t, map[int]string{1: "1"}),                               // type unstructured
		line(t, map[int]string{2: "0"}),                               // untested
		line(t, map[int]string{2: "7"}),                               // composite
		line(t, map[int]string{4: "1535"}),                            // too small to look at
		"20260101000000 2 6 100 16383 2 " + strings.Repeat("F", 2048), // too large
	}, "\n")
	m, err := ParseModuli(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.bySize) != 2 || len(m.bySize[2048]) != 3 || len(m.bySize[8192]) != 1 {
		t.Errorf("sizes %v, %d of 2048 bits", sizes(m), len(m.bySize[2048]))
	}
	if g := m.bySize[2048][2]; g.G.Int64() != 5 {
		t.Errorf("generator %v, want 5", g.G)
	}
	if g, err := m.Choose(2048, 3072, 8192); err != nil || g.P.BitLen() != 8192 {
		t.Errorf("Choose: %v, %v", g, err)
	}
}

func TestParseModuliErrors(t *testing.T) {
	good := line(t, nil)
	for what, bad := range map[string]string{
		"six fields":        good[:strings.LastIndex(good, " ")],
		"eight fields":      good + " x",
		"word for a number": line(t, map[int]string{3: "many"}),
		"negative number":   line(t, map[int]string{4: "-2047"}),
		"huge number":       line(t, map[int]string{4: "99999999999999999999"}),
		"wrong size":        line(t, map[int]string{4: "2048"}),
		"not hexadecimal":   line(t, map[int]string{6: strings.Repeat("G", 512)}),
		"sign in modulus":   line(t, map[int]string{6: "-" + strings.Repeat("F", 512)}),
		"underscore":        line(t, map[int]string{6: "F_" + strings.Repeat("F", 511)}),
		"prefix":            line(t, map[int]string{6: "0x" + strings.Repeat("F", 512)}),
		"even modulus":      line(t, map[int]string{6: strings.Repeat("F", 511) + "E"}),
		"multiple of 3":     line(t, map[int]string{6: strings.Repeat("F", 512)}),
		"generator 0":       line(t, map[int]string{5: "0"}),
		"generator 1":       line(t, map[int]string{5: "1"}),
		"generator not hex": line(t, map[int]string{5: "g"}),
		"line without end":  strings.Repeat("F", 100_000),
	} {
		m, err := ParseModuli(strings.NewReader(good + "\n" + bad + "\n"))
		if err == nil || m != nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, none := range []string{"", "# nothing\n", line(t, map[int]string{1: "1"})} {
		if _, err := ParseModuli(strings.NewReader(none)); !errors.Is(err, ErrNoModuli) {
			t.Errorf("no groups: %v", err)
		}
	}
	if _, err := ParseModuli(strings.NewReader(strings.Repeat(good+"\n", maxModuli+1))); err == nil {
		t.Error("too many groups: no error")
	}
}

func FuzzParseModuli(f *testing.F) {
	f.Add([]byte(line(f, nil)))
	f.Add([]byte(line(f, map[int]string{5: "0"})))
	f.Add([]byte("# c\n\n1 2 3 4 5 6 7\n"))
	f.Add(ownModuli)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseModuli(bytes.NewReader(data))
		if (m == nil) == (err == nil) {
			t.Fatalf("%v, %v", m, err)
		}
		if m == nil {
			return
		}
		g, err := m.Choose(0, 0, 1<<32-1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewGroup(g.P, g.G); err != nil {
			t.Fatalf("handed out a group that a client would refuse: %v", err)
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	p, g := fixedGroup(f, 2048).Octets()
	f.Add(p, g)
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0x80}, []byte{0, 2})
	f.Fuzz(func(t *testing.T, p, gen []byte) {
		g, err := ParseGroup(p, gen)
		if err != nil {
			return
		}
		p2, gen2 := g.Octets()
		if !bytes.Equal(p, p2) || !bytes.Equal(gen, gen2) {
			t.Fatalf("%x %x is written as %x %x", p, gen, p2, gen2)
		}
		if _, err := g.Method().Init(); err != nil {
			t.Fatal(err)
		}
	})
}
