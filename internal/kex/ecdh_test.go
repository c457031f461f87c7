package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Published vectors: RFC 7748 §6.1 and NIST CAVS 14.1 (ECC CDH primitive).
func TestECDHVectors(t *testing.T) {
	for _, v := range []struct {
		curve                     ecdh.Curve
		private, mine, peer, want string
	}{
		{
			ecdh.X25519(), "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
		},
		{
			ecdh.P256(), "7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534",
			"04ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230" +
				"28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141",
			"04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287" +
				"db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
			"46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b",
		},
		{
			ecdh.P384(), "3cc3122a68f0d95027ad38c067916ba0eb8c38894d22e1b15618b6818a661774ad463b205da88cf699ab4d43c9cf98a1",
			"049803807f2f6d2fd966cdd0290bd410c0190352fbec7ff6247de1302df86f25d34fe4a97bef60cff548355c015dbb3e5f" +
				"ba26ca69ec2f5b5d9dad20cc9da711383a9dbe34ea3fa5a2af75b46502629ad54dd8b7d73a8abb06a3a3be47d650cc99",
			"04a7c76b970c3b5fe8b05d2838ae04ab47697b9eaf52e764592efda27fe7513272734466b400091adbf2d68c58e0c50066" +
				"ac68f19f2e1cb879aed43a9969b91a0839c4c38a49749b661efedf243451915ed0905a32b060992b468c64766fc8437a",
			"5f9d29dc5e31a163060356213669c8ce132e22f57c9a04f40ba7fcead493b457e5621e766c40a2e3d4d6a04b25e533f1",
		},
		{
			ecdh.P521(), "017eecc07ab4b329068fba65e56a1f8890aa935e57134ae0ffcce802735151f4eac6564f6ee9974c5e6887a1fefee5743ae2241bfeb95d5ce31ddcb6f9edb4d6fc47",
			"0400602f9d0cf9e526b29e22381c203c48a886c2b0673033366314f1ffbcba240ba42f4ef38a76174635f91e6b4ed34275eb01c8467d05ca80315bf1a7bbd945f550a5" +
				"01b7c85f26f5d4b2d7355cf6b02117659943762b6d1db5ab4f1dbc44ce7b2946eb6c7de342962893fd387d1b73d7a8672d1f236961170b7eb3579953ee5cdc88cd2d",
			"0400685a48e86c79f0f0875f7bc18d25eb5fc8c0b07e5da4f4370f3a9490340854334b1e1b87fa395464c60626124a4e70d0f785601d37c09870ebf176666877a2046d" +
				"01ba52c56fc8776d9e8f5db4f0cc27636d0b741bbe05400697942e80b739884a83bde99e0f6716939e632bc8986fa18dccd443a348b6c3e522497955a4f3c302f676",
			// The x coordinate begins with a zero octet; the mpint does not.
			"5fc70477c3e63bc3954bd0df3ea0d1f41ee21746ed95fc5e1fdf90930d5e136672d72cc770742d1711c3c3a4c334a0ad9759436a4d3c5bf6e74b9578fac148c831",
		},
	} {
		priv, err := v.curve.NewPrivateKey(unhex(t, v.private))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(priv.PublicKey().Bytes()); got != v.mine {
			t.Errorf("%v: public key %s, want %s", v.curve, got, v.mine)
		}
		m := &agreement{turn: started, name: "test", curve: v.curve, priv: priv}
		got, err := m.Finish(unhex(t, v.peer))
		if err != nil || hex.EncodeToString(got) != v.want {
			t.Errorf("%v: K = %x, %v; want %s", v.curve, got, err, v.want)
		}
	}
}

func newX25519(testing.TB) Method { return newAgreement("curve25519-sha256", ecdh.X25519()) }

// K as an mpint, against an independent computation and encoding: raw X25519,
// read as a big-endian number (RFC 8731 §3.1).
func TestCVE_3_2_SecretEncoding1000Rounds(t *testing.T) {
	high := 0
	for range 1000 {
		peer, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		mine, k, err := newX25519(t).Reply(peer.PublicKey().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		pub, err := ecdh.X25519().NewPublicKey(mine)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := peer.ECDH(pub)
		if err != nil {
			t.Fatal(err)
		}
		checkMpint(t, k)
		if new(big.Int).SetBytes(k).Cmp(new(big.Int).SetBytes(raw)) != 0 {
			t.Fatalf("K = %x, raw %x", k, raw)
		}
		if len(k) == 33 {
			high++
		}
	}
	if high < 300 || high > 700 {
		t.Errorf("%d of 1000 secrets have their first bit set, want about half", high)
	}
}

func TestMpintContent(t *testing.T) { // RFC 4251 §5
	for in, want := range map[string]string{
		"":           "",
		"00":         "",
		"0000":       "",
		"01":         "01",
		"7f":         "7f",
		"80":         "0080",
		"ff":         "00ff",
		"0080":       "0080",
		"00007f":     "7f",
		"000000ff01": "00ff01",
	} {
		got := mpintContent(unhex(t, in))
		if hex.EncodeToString(got) != want {
			t.Errorf("mpintContent(%s) = %x, want %s", in, got, want)
		}
		n, why := parseMpint(got, 64)
		if why != "" || n.Cmp(new(big.Int).SetBytes(unhex(t, in))) != 0 {
			t.Errorf("parseMpint(%x) = %v, %s", got, n, why)
		}
	}
	for _, bad := range []string{"00", "0000", "007f", "000080", "80", "ff", "ffffffffffffffff", "010000000000000000ff"} {
		if n, why := parseMpint(unhex(t, bad), 64); why == "" {
			t.Errorf("parseMpint(%s) = %v, want a refusal", bad, n)
		}
	}
}

// The points of small order, in all their encodings: RFC 7748 masks the first
// bit, and numbers from p up are read modulo p.
func TestCVE_3_2_X25519SmallOrderAndLength(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	add := func(n int64) *big.Int { return new(big.Int).Add(p, big.NewInt(n)) }
	fromLE := func(s string) *big.Int {
		b := unhex(t, s)
		slices.Reverse(b)
		return new(big.Int).SetBytes(b)
	}
	points := []*big.Int{
		big.NewInt(0), big.NewInt(1), add(-1), add(0), add(1),
		fromLE("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), // order 8
		fromLE("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), // order 8
	}
	for _, u := range points {
		for _, masked := range []bool{false, true} {
			enc := u.FillBytes(make([]byte, 32))
			slices.Reverse(enc)
			if masked {
				enc[31] |= 0x80
			}
			refuse(t, newX25519, hex.EncodeToString(enc), enc)
		}
	}
	good, _ := newX25519(t).Init()
	for _, bad := range [][]byte{nil, {}, good[:31], append(bytes.Clone(good), 0), append([]byte{0}, good...), make([]byte, 64)} {
		refuse(t, newX25519, "wrong length", bad)
	}
	// The hybrid must be as careful with its second half.
	row, _ := Find("mlkem768x25519-sha256")
	hybrid := func(t testing.TB) Method { m, _ := row.New(); return m }
	client := hybrid(t)
	hello, _ := client.Init()
	for _, u := range points {
		enc := u.FillBytes(make([]byte, 32))
		slices.Reverse(enc)
		peer := append(bytes.Clone(hello[:len(hello)-32]), enc...)
		var pe *PeerError
		if _, secret, err := hybrid(t).Reply(peer); !errors.As(err, &pe) || secret != nil {
			t.Errorf("hybrid with small order %x: %v", enc, err)
		}
	}
}

func TestCVE_3_4_InvalidPoints(t *testing.T) {
	for _, c := range []struct {
		name  string
		curve ecdh.Curve
		size  int // octets of a coordinate
	}{
		{"ecdh-sha2-nistp256", ecdh.P256(), 32},
		{"ecdh-sha2-nistp384", ecdh.P384(), 48},
		{"ecdh-sha2-nistp521", ecdh.P521(), 66},
	} {
		t.Run(c.name, func(t *testing.T) {
			newMethod := func(testing.TB) Method { return newAgreement(c.name, c.curve) }
			good, err := newMethod(t).Init()
			if err != nil || len(good) != 1+2*c.size || good[0] != 4 {
				t.Fatalf("public key %x, %v: want an uncompressed point", good, err)
			}
			if _, _, err := newMethod(t).Reply(good); err != nil {
				t.Fatal(err)
			}
			x, y := good[1:1+c.size], good[1+c.size:]
			offCurve := bytes.Clone(good)
			offCurve[len(offCurve)-1] ^= 1
			tooLarge := slices.Concat([]byte{4}, bytes.Repeat([]byte{0xff}, c.size), y)
			hybridForm := bytes.Clone(good)
			hybridForm[0] = 6 + y[c.size-1]&1
			for what, peer := range map[string][]byte{
				"off the curve":           offCurve,
				"zero point":              append([]byte{4}, make([]byte, 2*c.size)...),
				"coordinate above p":      tooLarge,
				"compressed":              append([]byte{2 + y[c.size-1]&1}, x...),
				"compressed, other root":  append([]byte{2 + 1 - y[c.size-1]&1}, x...),
				"hybrid form":             hybridForm,
				"infinity":                {0},
				"infinity in full length": make([]byte, 1+2*c.size),
				"no form octet":           good[1:],
				"only a form octet":       {4},
				"short":                   good[:len(good)-1],
				"long":                    append(bytes.Clone(good), 0),
				"empty":                   {},
			} {
				refuse(t, newMethod, what, peer)
			}
		})
	}
	// A point of another curve.
	p256, _ := newAgreement("p256", ecdh.P256()).Init()
	refuse(t, func(testing.TB) Method { return newAgreement("p384", ecdh.P384()) }, "point of P-256", p256)
}

// The scalar of X25519 has the full 256 bits of randomness before clamping.
func TestCVE_3_6_X25519ScalarLength(t *testing.T) {
	checkUniform(t, 256, 256, func() *big.Int {
		m := newAgreement("x", ecdh.X25519())
		if _, err := m.Init(); err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(m.priv.Bytes())
	})
}
