package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The packets below were composed with Python's cryptography (OpenSSL) and hmac,
// so that no code is shared with what they test: keys count from 1, MAC keys
// from 9, padding from 0. Two packets each: a small one in hex, and the SHA-256
// of one with 32 KiB + 9 octets of payload.
func TestVectorsOfOpenSSL(t *testing.T) {
	small := []byte("\x5efairlead carries packets")
	large := make([]byte, 32<<10+9)
	for i := range large {
		large[i] = byte(i*7 + i/251)
	}
	gcmIV := append(count(4, 0x80), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe) // wraps before nonce 3
	ctrIV := bytes.Repeat([]byte{0xff}, 16)
	for _, v := range []struct {
		cipher, mac string
		iv          []byte
		small, sum  string
	}{
		{
			"chacha20-poly1305@openssh.com", "", nil,
			"5a2d44013c3cb58b579293abc2b713cfea6efd49348c5ffaf5e3b6f593fbda109b484036d4a0dbefe9914f95a7e4b933953e5145",
			"85a8dab5af3d29ea9e24e7378ec7454d82d3f8c8a87d8f0f8dee6649dea8de86",
		},
		{
			"aes128-gcm@openssh.com", "", gcmIV,
			"00000020533f97947d2d7ee01be9f1c394f4c33efa688c475ebf0216d61f8cc0d59b87da72e705684da37f8234f12060eb8a308f",
			"980fb441c2dea9621e61ebbcfa4ac831522f3829ad9047a1ed3700acf260be2e",
		},
		{
			"aes256-gcm@openssh.com", "", gcmIV,
			"00000020a0b69ab1b142774af44c6ea583a2b47086165f06d1da35fd2b738034f219d94b38f83c7e6e4bd692041c83b9993ecaf1",
			"6967d57ae9081c4d3943d302c7b04545b64365d46d20e03cee06b75a2d41ba26",
		},
		{
			"aes192-ctr", "hmac-sha2-256-etm@openssh.com", ctrIV,
			"000000205adec435db905614677c582a7dd2877ed82b6c1bad30fecf937ce42943cfbd10f0d0f3b74270f47e60fd878e446e7ea0d9192bb020c94976f9336b2174bb0b28",
			"5335b7d95b43e21b52578352f1d1396e2b403a857b01c1de0ebe8ce95983b87e",
		},
		{
			"aes256-ctr", "hmac-sha2-512", ctrIV,
			"924193cd5b26fcaa3425c505ca8a85c0c64e271f03085b33c359f4bc44c6465c1d6b1397a1c30f3290eafbaec8782992860e2b3e38f7c90d4fa27a1e3bc0f585594e46eb57c29690a75619fc73030b84fbadc0c076f1f79d7b06ef5ad8c84d69fae074804b870f744c652dc1084f8ac1",
			"dd2f49243296e61152928feddaf5ac0564ba78783034948e0e04774da50e9b2d",
		},
	} {
		t.Run(v.cipher, func(t *testing.T) {
			c, _ := FindCipher(v.cipher)
			var macKey []byte
			if m, ok := FindMAC(v.mac); ok {
				macKey = count(m.KeyLen, 9)
			}
			seal := func(payload []byte) []byte {
				s, err := NewSealer(v.cipher, v.mac, count(c.KeyLen, 1), v.iv, macKey)
				if err != nil {
					t.Fatal(err)
				}
				return sealed(s, 3, 0xfffffffe, framed(payload, s.Padding(len(payload))))
			}
			if got := hex.EncodeToString(seal(small)); got != v.small {
				t.Errorf("small packet:\n got %s\nwant %s", got, v.small)
			}
			sum := sha256.Sum256(seal(large))
			if got := hex.EncodeToString(sum[:]); got != v.sum {
				t.Errorf("large packet: SHA-256 %s, want %s", got, v.sum)
			}
		})
	}
}

// NIST SP 800-38A F.5: encrypt-and-MAC under CTR encrypts a packet from its
// first octet on, whatever that is, so the standard's blocks pass for one. Two
// packets of two blocks show that the counter runs on.
func TestVectorsOfSP800_38A(t *testing.T) {
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	iv := unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
	for _, v := range []struct{ cipher, key, want string }{
		{
			"aes128-ctr", "2b7e151628aed2a6abf7158809cf4f3c",
			"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff" +
				"5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
		},
		{
			"aes192-ctr", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
			"1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94" +
				"1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
		},
		{
			"aes256-ctr", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
			"601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" +
				"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
		},
	} {
		t.Run(v.cipher, func(t *testing.T) {
			s, err := NewSealer(v.cipher, "hmac-sha1", unhex(t, v.key), iv, make([]byte, 20))
			if err != nil {
				t.Fatal(err)
			}
			got := append(sealed(s, 0, 0, plain[:32])[:32], sealed(s, 1, 1, plain[32:])[:32]...)
			if want := unhex(t, v.want); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

// RFC 2202 and RFC 4231, test case 1: the text "Hi There" is a sequence number
// of four letters and a packet of four.
func TestVectorsOfHMAC(t *testing.T) {
	want := map[string]string{
		"hmac-sha1":     "b617318655057264e28bc0b6fb378c8ef146be00",
		"hmac-sha2-256": "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		"hmac-sha2-512": "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
	}
	for m := range MACs() {
		name := m.Name
		if m.EtM {
			name = name[:len(name)-len("-etm@openssh.com")]
		}
		a := newAuthenticator(m, bytes.Repeat([]byte{0x0b}, 20))
		for range 3 { // and again, from the state kept
			if got := hex.EncodeToString(a.mac(0x48692054, []byte("here"))); got != want[name] {
				t.Errorf("%s: got %s, want %s", m.Name, got, want[name])
			}
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
