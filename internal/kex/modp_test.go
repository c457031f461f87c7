package kex

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
)

func fixedGroup(t testing.TB, bits int) *Group {
	t.Helper()
	if bits == oakleyBits {
		return oakley()
	}
	m, err := rfc3526()
	if err != nil {
		t.Fatal(err)
	}
	return m.bySize[bits][0]
}

// Known answers, computed with another implementation (Python's pow): the
// SHA-256 of the octets of e, f and K for two given exponents.
func TestModpKnownAnswers(t *testing.T) {
	exponent := func(seed string) *big.Int {
		h := sha512.Sum512([]byte(seed))
		h[0] |= 0x80
		return new(big.Int).SetBytes(h[:])
	}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	for _, v := range []struct {
		bits    int
		e, f, k string
	}{
		{
			2048, "54d9e424206cfd3cb382ae7d4a887b94464215279e406a0928ec31a779e9f6ae",
			"df74e0e2590ee75c0998575140ac1f731e5597f36387767e35d59fcc88adebb6",
			"7bd6cf3b0c2d559b4a9dff8c5a2cb125837bda41826a19955970b74f8e26a72d",
		},
		{
			3072, "d0be1e2953b2fe9af4c586175cf6a431139c867a7b7c884cd3ef2945b74626c6",
			"487d7ad915cad111d01348f0062bbab63d893677147de5658739e789b9049df1",
			"540290f96abe46dda7acf786e67ce07346ee9aef17280461c4d66012b1e06800",
		},
		{
			4096, "5943965849fdc4b1bb2812b9edf985ef137231c2adf10dde432c573843ce3dfe",
			"c2b0bafa536ab19eed066843776493395e598c2f1aa8249ea618612005a1acb9",
			"85d1339b6b86e5db36d84561c10525cdc9317f5facabdee8acc05f4ea5870c44",
		},
		{
			6144, "d73c3a6d8ea6a81d83b35f7ae335caf4e9f9c9895f7952cde9980698be9cf142",
			"4d69ed808a6f9aee54b7928657eb5b7f4a864119dc6b08a29ae597b10e304c77",
			"1bb39240c5bfc607cacc0fbc725ca318729aececb10cb25f84bf3bf21d8641bf",
		},
		{
			8192, "17028fd1e277f3c56798a17d928bdc868dfec59d3b80133b27cb5d9d35d34792",
			"5b431c87c0de11d66a2d747718372f2a53061f24eca3145ea355a55fc9eac24e",
			"ae56d0f5ec63a0ae7641d5d15115e3b449533445e7e60839a50e1e725ba2d481",
		},
	} {
		g := fixedGroup(t, v.bits)
		client := &exchange{turn: started, group: g, x: exponent("client exponent")}
		server := &exchange{turn: started, group: g, x: exponent("server exponent")}
		e, f := client.share(), server.share()
		if sum(e) != v.e || sum(f) != v.f {
			t.Errorf("%d bits: e or f differ", v.bits)
		}
		for _, side := range []struct {
			m    *exchange
			peer []byte
		}{{client, f}, {server, e}} {
			if k, err := side.m.Finish(side.peer); err != nil || sum(k) != v.k {
				t.Errorf("%d bits: K differs (err %v)", v.bits, err)
			}
		}
	}
}

func TestCVE_3_1_DHPublicRange(t *testing.T) {
	for _, bits := range []int{oakleyBits, 2048, 4096, 8192} {
		g := fixedGroup(t, bits)
		newMethod := func(testing.TB) Method { return g.Method() }
		content := func(n *big.Int) []byte { return mpintContent(n.Bytes()) }
		plus := func(n int64) []byte { return content(new(big.Int).Add(g.P, big.NewInt(n))) }
		long := bytes.Repeat([]byte{0x7f}, bits/8+2)
		for what, peer := range map[string][]byte{
			"0":                     {},
			"0 with an octet":       {0},
			"1":                     {1},
			"p-1":                   plus(-1),
			"p":                     plus(0),
			"p+1":                   plus(1),
			"p+2":                   plus(2), // K would be in range
			"2p":                    content(new(big.Int).Lsh(g.P, 1)),
			"-1":                    {0xff},
			"-2":                    {0xfe},
			"-128":                  {0x80},
			"negative, full length": bytes.Repeat([]byte{0xff}, bits/8),
			"p without its zero":    g.P.Bytes(),
			"needless zeros":        {0, 0, 0, 2},
			"2 with a zero":         {0, 2},
			"too long":              long,
			"very long":             make([]byte, 1<<20),
		} {
			refuse(t, newMethod, what, peer)
		}
	}
	// The first and last numbers inside are fine.
	g := fixedGroup(t, 2048)
	for _, n := range []*big.Int{big.NewInt(2), new(big.Int).Sub(g.P, big.NewInt(2))} {
		if _, _, err := g.Method().Reply(mpintContent(n.Bytes())); err != nil {
			t.Errorf("a public value just inside the range: %v", err)
		}
	}
}

// A modulus that is no safe prime can have elements of small order inside the
// range; then K can be 1, which RFC 4419 §3 has us refuse.
func TestCVE_3_1_SmallSecretRefused(t *testing.T) {
	// Modulo 2^1024 + 1 - not prime, but a group does not check that here - the
	// order of 2^512 is 4: an exponent that is a multiple of it gives 1.
	p := new(big.Int).Lsh(big.NewInt(1), 1024)
	p.Add(p, big.NewInt(1))
	y := new(big.Int).Lsh(big.NewInt(1), 512)
	m := &exchange{turn: started, group: &Group{P: p, G: big.NewInt(2)}, x: big.NewInt(1 << 20)}
	var pe *PeerError
	if secret, err := m.Finish(mpintContent(y.Bytes())); !errors.As(err, &pe) || secret != nil {
		t.Errorf("K = 1: %x, %v; want a PeerError", secret, err)
	}
}

func TestTinyGroupRefused(t *testing.T) {
	m := (&Group{P: big.NewInt(23), G: big.NewInt(5)}).Method()
	var ge *GroupError
	if _, err := m.Init(); !errors.As(err, &ge) {
		t.Errorf("Init in a group of 23: %v", err)
	}
}

// Exponents have exactly the length they should, in bits and not in octets, and
// all bits below the first are random.
func TestCVE_3_6_ExponentLength(t *testing.T) {
	if exponentBits != 512 {
		t.Errorf("exponentBits = %d", exponentBits)
	}
	g := fixedGroup(t, 2048)
	// Count only the making of exponents: the group does not matter for it.
	checkUniform(t, exponentBits, exponentBits-1, func() *big.Int {
		m := &exchange{group: g}
		if _, err := m.Init(); err != nil {
			t.Fatal(err)
		}
		if m.x.BitLen() != exponentBits {
			t.Fatalf("exponent of %d bits", m.x.BitLen())
		}
		return m.x
	})
}

// checkUniform takes 1,000 numbers of at most bits bits and checks that each of
// the free low bits is set about half of the time (500 ± 100 is more than six
// standard deviations: about one false alarm in a million runs).
func checkUniform(t *testing.T, bits, free int, next func() *big.Int) {
	t.Helper()
	set := make([]int, bits)
	seen := make(map[string]bool)
	for range 1000 {
		n := next()
		if n.BitLen() > bits || seen[n.String()] {
			t.Fatalf("%d bits, or the same number again", n.BitLen())
		}
		seen[n.String()] = true
		for i := range bits {
			set[i] += int(n.Bit(i))
		}
	}
	for i, n := range set[:free] {
		if n < 400 || n > 600 {
			t.Errorf("bit %d is set in %d of 1000", i, n)
		}
	}
}
