package seal

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// slowUMAC is RFC 4418 read aloud, with integers of any size.
type slowUMAC struct {
	size                   int
	pad                    []byte
	l1, l2, l3one, l3other []byte
}

func newSlowUMAC(key []byte, size int) *slowUMAC {
	kdf := func(index byte, n int) []byte { // §3.2.1
		b, _ := aes.NewCipher(key)
		var out []byte
		for i := byte(1); len(out) < n; i++ {
			in := make([]byte, 16)
			in[7], in[15] = index, i
			b.Encrypt(in, in)
			out = append(out, in...)
		}
		return out[:n]
	}
	n := size / 4
	return &slowUMAC{size, kdf(0, 16), kdf(1, 1024+(n-1)*16), kdf(2, n*24), kdf(3, n*64), kdf(4, n*4)}
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

func (u *slowUMAC) sum(nonce uint64, m []byte) []byte {
	var out []byte
	for i := range u.size / 4 { // §4.1
		a := u.hash1(u.l1[16*i:16*i+1024], m)
		b := append(make([]byte, 8), a...)
		if len(m) > 1024 {
			b = make([]byte, 16)
			u.hash2(u.l2[24*i:24*i+8], a).FillBytes(b)
		}
		out = append(out, u.hash3(u.l3one[64*i:64*i+64], u.l3other[4*i:4*i+4], b)...)
	}
	// §3.3.1
	var in [16]byte
	binary.BigEndian.PutUint64(in[:], nonce)
	at := 0
	if u.size <= 8 {
		at = int(in[7]) % (16 / u.size)
		in[7] -= byte(at)
	}
	c, _ := aes.NewCipher(u.pad)
	c.Encrypt(in[:], in[:])
	for i := range out {
		out[i] ^= in[at*u.size+i]
	}
	return out
}

func (u *slowUMAC) hash1(key, m []byte) []byte { // §5.2
	var out []byte
	for more := true; more; more = len(m) > 0 {
		part := bytes.Clone(m[:min(1024, len(m))])
		m = m[len(part):]
		y := uint64(8 * len(part))
		for len(part) == 0 || len(part)%32 != 0 {
			part = append(part, 0)
		}
		word := func(i int) uint32 { return binary.LittleEndian.Uint32(part[4*i:]) + binary.BigEndian.Uint32(key[4*i:]) }
		for i := 0; i < len(part)/4; i += 8 {
			for j := i; j < i+4; j++ {
				y += uint64(word(j)) * uint64(word(j+4))
			}
		}
		out = binary.BigEndian.AppendUint64(out, y)
	}
	return out
}

func (u *slowUMAC) hash2(key, m []byte) *big.Int { // §5.3
	k := number(key)
	k.And(k, number([]byte{1, 255, 255, 255, 1, 255, 255, 255}))
	y := big.NewInt(1)
	for ; len(m) > 0; m = m[8:] {
		y = slowStep(k, y, number(m[:8]))
	}
	return y
}

func slowStep(k, y, m *big.Int) *big.Int { // §5.3.2
	p := new(big.Int).SetUint64(prime64)
	step := func(y, m *big.Int) *big.Int {
		y = new(big.Int).Mul(k, y)
		return y.Mod(y.Add(y, m), p)
	}
	if m.Cmp(new(big.Int).SetUint64(1<<64-1<<32)) >= 0 {
		y = step(y, new(big.Int).Sub(p, big.NewInt(1)))
		m = new(big.Int).Sub(m, big.NewInt(59))
	}
	return step(y, m)
}

func (u *slowUMAC) hash3(one, other, m []byte) []byte { // §5.4
	y, p := new(big.Int), big.NewInt(1<<36-5)
	for i := range 8 {
		k := number(one[8*i : 8*i+8])
		y.Add(y, k.Mul(k.Mod(k, p), number(m[2*i:2*i+2])))
	}
	var out [8]byte
	y.Mod(y, p).FillBytes(out[:])
	for i := range other {
		out[4+i] ^= other[i]
	}
	return out[4:]
}

// RFC 4418, appendix, for tags of 32, 64 and 96 bits; the last 32 of 128, and
// the text of 1022 octets, are what GNU Nettle's tests have.
func TestVectorsOfUMAC(t *testing.T) {
	const key = "abcdefghijklmnop"
	nonce := binary.BigEndian.Uint64([]byte("bcdefghi"))
	for _, v := range []struct {
		text               string
		times              int
		want32, want64, to string
	}{
		{"", 0, "113145fb", "6e155fad26900be1", "32fedb100c79ad58f07ff7643cc60465"},
		{"a", 3, "3b91d102", "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc3d117d8d"},
		{"a", 1 << 10, "599b350b", "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3cbd195bcb"},
		{"a", 1 << 15, "58dcf532", "27f8ef643b0d118d", "7b136bd911e4b734286ef2be501f2c3c"},
		{"a", 1 << 20, "db6364d1", "a4477e87e9f55853", "f8acfa3ac31cfeea047f7b115b03bef5"},
		{"abc", 1, "abf3a3a0", "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf232308cba5a5"},
		{"abc", 500, "abeb3c8b", "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a62cb83aa1"},
		{"def", 340 /* and "de" */, "53ca8dd2", "2cee9784556387b3", "700513397f8a210a98938d3e7ac3bd88"},
	} {
		text := strings.Repeat(v.text, v.times)
		if v.text == "def" {
			text += "de"
		}
		for _, want := range []string{v.want32, v.want64, v.to[:24], v.to} {
			a, err := newUMAC([]byte(key), len(want)/2)
			if err != nil {
				t.Fatal(err)
			}
			if len(text) < 1<<16 {
				if got := hex.EncodeToString(newSlowUMAC([]byte(key), len(want)/2).sum(nonce, []byte(text))); got != want {
					t.Fatalf("%q times %d: the test's own UMAC says %s, want %s", v.text, v.times, got, want)
				}
			}
			for range 2 { // nothing of the first stays
				if got := hex.EncodeToString(a.(*umac).sum(nonce, []byte(text))); got != want {
					t.Errorf("%q times %d: got %s, want %s", v.text, v.times, got, want)
				}
			}
		}
	}
}

// Every length up to several pieces, and each place in the pad.
func TestUMACEveryLength(t *testing.T) {
	text := count(3*umacPiece, 0x55)
	key := count(umacKeyLen, 3)
	for _, size := range []int{4, 8, 12, 16} {
		a, _ := newUMAC(key, size)
		slow := newSlowUMAC(key, size)
		for n := range text {
			if n > 1100 && n < 2000 {
				continue
			}
			seq := uint32(0xffffff00) + uint32(n)
			if got, want := a.mac(seq, text[:n]), slow.sum(uint64(seq), text[:n]); !bytes.Equal(got, want) {
				t.Fatalf("%d octets, tag of %d: got %x, want %x", n, size, got, want)
			}
		}
	}
}

// What messages lead to the values at the edges nobody knows: one in 2^32 does.
func TestUMACFieldEdges(t *testing.T) {
	edges := []uint64{0, 1, 58, 59, 60, prime64 - 1, umacMarked - 1, umacMarked, umacMarked + 1, umacMarked + 59, prime64, prime64 + 1, 1<<64 - 1}
	toBig := func(x uint64) *big.Int { return new(big.Int).SetUint64(x) }
	for _, k := range []uint64{0, 1, 0x01ffffff01ffffff, 0x0123456701234567} {
		for _, y := range edges {
			if y >= prime64 {
				continue
			}
			for _, m := range edges {
				if got, want := umacStep(k, y, m), slowStep(toBig(k), toBig(y), toBig(m)); toBig(got).Cmp(want) != 0 {
					t.Errorf("step at %x from %x with %x: got %x, want %x", k, y, m, got, want)
				}
			}
		}
	}
	for _, r := range edges {
		for _, k := range []uint64{0, 1, prime36 - 1, 1 << 35} {
			s := umacStream{inner: [4]uint64{k, k, k, k}, mask: 0xf0f0f0f0, result: r}
			m := binary.BigEndian.AppendUint64(make([]byte, 8), r)
			one := bytes.Repeat(binary.BigEndian.AppendUint64(nil, k), 8)
			want := new(slowUMAC).hash3(one, []byte{0xf0, 0xf0, 0xf0, 0xf0}, m)
			if got := binary.BigEndian.AppendUint32(nil, s.last()); !bytes.Equal(got, want) {
				t.Errorf("last layer of %x under %x: got %x, want %x", r, k, got, want)
			}
		}
	}
}
