package kex

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"
)

// A drbg is the generator that makes the known answers of NIST's competition:
// AES-256 in counter mode, rekeyed after each call (SP 800-90A without a
// derivation function).
type drbg struct{ key, v []byte }

func newDRBG(seed []byte) *drbg {
	d := &drbg{make([]byte, 32), make([]byte, 16)}
	d.update(seed)
	return d
}

func (d *drbg) next(n int) []byte {
	block, err := aes.NewCipher(d.key)
	if err != nil {
		panic(err)
	}
	var out []byte
	for len(out) < n {
		for i := len(d.v) - 1; i >= 0; i-- {
			if d.v[i]++; d.v[i] != 0 {
				break
			}
		}
		var b [16]byte
		block.Encrypt(b[:], d.v)
		out = append(out, b[:]...)
	}
	return out[:n]
}

func (d *drbg) update(seed []byte) {
	b := d.next(48)
	for i := range seed {
		b[i] ^= seed[i]
	}
	d.key, d.v = b[:32], b[32:]
}

func (d *drbg) fill(p []byte) {
	copy(p, d.next(len(p)))
	d.update(nil)
}

func (d *drbg) Read(p []byte) (int, error) {
	d.fill(p)
	return len(p), nil
}

// byWord draws numbers of 32 bits in a call each, as the implementation
// submitted to NIST does. Later ones draw a polynomial's at once.
type byWord struct{ *drbg }

func (d byWord) Read(p []byte) (int, error) {
	if len(p) != 4*sntrupP {
		d.fill(p)
		return len(p), nil
	}
	for q := range slices.Chunk(p, 4) {
		d.fill(q)
	}
	return len(p), nil
}

// answer returns an entry of a file of known answers, with a key, text and
// secret made from random.
func answer(t *testing.T, count int, seed []byte, random io.Reader) string {
	t.Helper()
	k, err := newSntrup(random)
	if err != nil {
		t.Fatal(err)
	}
	secret, text, err := sntrupSeal(random, k.public)
	if err != nil || len(k.public) != sntrupKey || len(text) != sntrupText {
		t.Fatal(len(k.public), len(text), err)
	}
	if got := k.open(text); !bytes.Equal(got, secret) {
		t.Fatalf("%d: opens to %x, not to %x", count, got, secret)
	}
	private := slices.Concat(k.f.encode(), k.ginv.encode(), k.public, k.rho, sntrupSum(4, k.public))
	return fmt.Sprintf("count = %d\nseed = %X\npk = %X\nsk = %X\nct = %X\nss = %X\n", count, seed, k.public, private, text, secret)
}

// The known answers of the submission to NIST: 100 keys, texts and secrets,
// compared by the SHA-512 of the file that they make, as CIRCL states it; and
// the first of them with SUPERCOP's way to draw, by the SHA-256 that PQClean
// states.
func TestSntrupKnownAnswers(t *testing.T) {
	const (
		wantAll   = "1a687f42261c47fe4421b35c5d9faf035433fcb2101458680c66c8d54caafec5fb767ea7725d6681ab100912ef06c38d88862a5d2d86786af2989b7dad33813a"
		wantFirst = "afc42c3a5b10f4ef69654250097ebda9b9564570f4086744b24a6daf2bd1f89a"
	)
	seed := make([]byte, 48)
	for i := range seed {
		seed[i] = byte(i)
	}
	outer := newDRBG(seed)
	file := sha512.New()
	fmt.Fprint(file, "# kem/sntrup761\n\n")
	for count := range 100 {
		outer.fill(seed)
		if count == 0 {
			first := sha256.Sum256([]byte(answer(t, 0, seed, newDRBG(seed))))
			if got := hex.EncodeToString(first[:]); got != wantFirst {
				t.Errorf("the first answer differs: %s", got)
			}
		}
		fmt.Fprint(file, answer(t, count, seed, byWord{newDRBG(seed)}), "\n")
	}
	if got := hex.EncodeToString(file.Sum(nil)); got != wantAll {
		t.Errorf("the answers differ: %s", got)
	}
}

// rejected is the secret of a text that is not valid.
func (k *sntrupSecret) rejected(text []byte) []byte {
	return sntrupSum(0, sntrupSum(3, k.rho), text)
}

// A changed text opens to another secret, always the same one for the same text.
func TestSntrupImplicitRejection(t *testing.T) {
	k, err := newSntrup(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, text, err := sntrupSeal(rand.Reader, k.public)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 500, sntrupRounded - 1, sntrupRounded, sntrupText - 1} {
		bad := bytes.Clone(text)
		bad[at] ^= 1
		got := k.open(bad)
		if bytes.Equal(got, secret) || !bytes.Equal(got, k.rejected(bad)) {
			t.Errorf("octet %d changed: %x", at, got)
		}
	}
	// What was hidden must be short: a text made of something else decrypts to
	// it and encrypts to the same text again.
	for _, weight := range []int{0, 1, sntrupW - 1, sntrupW + 1, sntrupP} {
		var r small
		for i := range weight {
			r[i] = int8(1 - i%2*2)
		}
		_, bad := sntrupHide(&r, k.public)
		if got := k.open(bad); !bytes.Equal(got, k.rejected(bad)) {
			t.Errorf("weight %d: %x", weight, got)
		}
	}
	for _, fill := range []byte{0, 0xFF} { // not what an encoder writes
		b := bytes.Repeat([]byte{fill}, sntrupText)
		if got := k.open(b); len(got) != sntrupHash || bytes.Equal(got, secret) {
			t.Errorf("text of %x: %x", fill, got)
		}
		if _, _, err := sntrupSeal(rand.Reader, bytes.Repeat([]byte{fill}, sntrupKey)); err != nil {
			t.Errorf("key of %x: %v", fill, err)
		}
	}
}

// The reductions against the division of the machine, for all numbers that occur.
func TestSntrupReductions(t *testing.T) {
	for x := int64(-3 * sntrupP * sntrupQ / 2); x <= 3*sntrupP*sntrupQ/2; x++ {
		got := int64(modQ(x))
		if (x-got)%sntrupQ != 0 || got < -(sntrupQ-1)/2 || got > (sntrupQ-1)/2 {
			t.Fatalf("modQ(%d) = %d", x, got)
		}
		three := int64(mod3(int32(x)))
		if (x-three)%3 != 0 || three < -1 || three > 1 {
			t.Fatalf("mod3(%d) = %d", x, three)
		}
	}
	const most = (sntrupQ - 1) / 2
	for _, x := range []int64{2 * most * most, -2 * most * most, 3 * most, -3 * most} {
		if got := int64(modQ(x)); (x-got)%sntrupQ != 0 || got < -most || got > most {
			t.Errorf("modQ(%d) = %d", x, got)
		}
	}
	for a := int16(1); a <= most; a++ {
		if modQ(int64(a)*int64(inverseModQ(a))) != 1 {
			t.Fatalf("inverse of %d", a)
		}
	}
}

// Products against the rule learned at school, with the largest coefficients
// among others.
func TestSntrupProducts(t *testing.T) {
	const most = (sntrupQ - 1) / 2
	for round := range 20 {
		var e element
		var s small
		if err := s.random(rand.Reader); err != nil {
			t.Fatal(err)
		}
		var signs small
		if err := signs.random(rand.Reader); err != nil {
			t.Fatal(err)
		}
		for i := range e {
			e[i] = int16(signs[i]) * most
			if round%2 == 0 {
				e[i] = modQ(int64(e[i]) * int64(i*i+round))
			}
			if round == 1 {
				e[i], s[i] = most, 1
			}
			if round == 3 {
				e[i], s[i] = -most, 1
			}
		}
		var sum [2 * sntrupP]int64
		for i, x := range e {
			for j, y := range s {
				sum[i+j] += int64(x) * int64(y)
			}
		}
		for i := 2*sntrupP - 1; i >= sntrupP; i-- {
			sum[i-sntrupP] += sum[i]
			sum[i-sntrupP+1] += sum[i]
		}
		got := e.times(&s)
		for i := range got {
			if got[i] != modQ(sum[i]) {
				t.Fatalf("round %d: coefficient %d is %d, not %d", round, i, got[i], modQ(sum[i]))
			}
		}
	}
}

// Inverses times what they are the inverse of is one.
func TestSntrupInverses(t *testing.T) {
	invertible := 0
	for range 50 {
		var s small
		if err := s.random(rand.Reader); err != nil {
			t.Fatal(err)
		}
		if inv, ok := s.inverse(); ok {
			invertible++
			if got := inv.times3(&s); got != (small{1}) {
				t.Fatal("R/3: s/s is not 1")
			}
		}
		if err := s.randomShort(rand.Reader); err != nil {
			t.Fatal(err)
		}
		weight := 0
		for _, c := range s {
			weight += int(c * c)
		}
		if weight != sntrupW {
			t.Fatalf("short element of weight %d", weight)
		}
		third := s.inverseOf3()
		if got := third.times(&s); got != (element{modQ(int64(inverseModQ(3)))}) {
			t.Fatal("R/q: 3s/s is not 3")
		}
	}
	if invertible == 0 {
		t.Error("nothing has an inverse in R/3")
	}
	if _, ok := (&small{}).inverse(); ok {
		t.Error("zero has an inverse")
	}
}

func TestSntrupSort(t *testing.T) {
	for range 100 {
		var list [sntrupP]uint32
		for i := range list {
			n, err := rand.Int(rand.Reader, big.NewInt(1<<32))
			if err != nil {
				t.Fatal(err)
			}
			list[i] = uint32(n.Uint64()) >> (i % 30) // with repetitions
		}
		want := slices.Sorted(slices.Values(list[:]))
		sortConstantTime(&list)
		if !slices.Equal(list[:], want) {
			t.Fatal("not sorted")
		}
	}
}

// A source of randomness that fails makes no key and no text.
func TestSntrupNoRandomness(t *testing.T) {
	public := make([]byte, sntrupKey)
	for _, n := range []int64{0, 10, 4*sntrupP - 1} {
		if _, _, err := sntrupSeal(io.LimitReader(rand.Reader, n), public); err == nil {
			t.Errorf("a text from %d octets", n)
		}
		if _, err := newSntrup(io.LimitReader(rand.Reader, n)); err == nil {
			t.Errorf("a key from %d octets", n)
		}
	}
}

func BenchmarkSntrup(b *testing.B) {
	k, err := newSntrup(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	_, text, err := sntrupSeal(rand.Reader, k.public)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("generate", func(b *testing.B) {
		for b.Loop() {
			_, _ = newSntrup(rand.Reader)
		}
	})
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			_, _, _ = sntrupSeal(rand.Reader, k.public)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			k.open(text)
		}
	})
}
