package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
	ctrIV, cbcIV := bytes.Repeat([]byte{0xff}, 16), count(16, 0x80)
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
		{
			"aes128-cbc", "hmac-md5", cbcIV[:16],
			"5a84f1f2689c58be957e323f67dd120a6bb34001183136baae14442a04509c115f90acab1477420c4b6b3eed6f642e3c3b9172f5c8de42eb211329a17cedd8aa",
			"9adacd394dc7ffec82f26e9dfdb253561773b80591bcd2c0ffa01b54737df02a",
		},
		{
			"aes256-cbc", "hmac-sha2-256-96-etm@openssh.com", cbcIV[:16],
			"000000206d89b2fba5281494fd101072132f125b68720904ca8eb6e921fb82b959deaad642f5d89bac88cf5e2307ecb9",
			"c3fa95aeb631ed306b3b7aaa1415c2a3b7b33c2aebfb1a57c8521f48062ce65c",
		},
		{
			"3des-cbc", "hmac-sha1-96", cbcIV[:8],
			"00dc6239fb508c4e7a4420b418a6015532e633ccb7a8507311c19477c506d4214b9f5bce986445131474383bb3f8c57960566d1c",
			"e7c685dafec9d6de01753c7de975c047b02cec6c5d8d81db9ae27b670ed90e7e",
		},
		{
			"blowfish-cbc", "hmac-ripemd160", cbcIV[:8],
			"020486ccb9a64744a190e9784db63258ebfb7003d67ca421c6439b2647645b544da5558ceb694e9fbe3277e5ffcb8d35fe7e1daddda83c10be4b36ae",
			"821f1bfe6a116347a0628e2ff5f20f414d058534075f8176c395b895492b762d",
		},
		{
			"cast128-cbc", "hmac-md5-96", cbcIV[:8],
			"869e6d79f5cdc36e92a300f8c224e922b2e2eda43c946435b5c4542c771b20eac3c1ea65474cc943b473d54cd56d7cf336e8b25e",
			"ddbdef1427dea760cdfb3a03a32fed52c9abaf758ebb945c0fa69257294e2fc3",
		},
		{
			"3des-ctr", "hmac-sha2-512-96", ctrIV[:8],
			"06d8b3cd21cbce85aec420a9acd4f36713b4ed7f88878428096ff6fa66f15bf9254a9902d0260c89849c3fc30e00c99c114626b0",
			"19365d310d47a2d0a4482f47031bea60fcee05168bae33f600a795a4c680a60c",
		},
		{
			"blowfish-ctr", "hmac-md5-etm@openssh.com", ctrIV[:8],
			"00000020cd9f02320d8d326566a8aeb10a6f54e4bf71a978608c029e7fbce0c833222790a0d5d45fc2ecf79118c44832c90d976b",
			"8d62837c4984f8ca983b841b17cd8dc01b0d18d91c6d3c5cf15aa90128b22673",
		},
		{
			"arcfour", "hmac-md5", nil,
			"9ac7ccbe6ac37896dbe144fcac803bf4333ab6fcf567321a0fe9ef9469699e1d099ee7e15326a8b6b473d54cd56d7cf336e8b25e36e804ea",
			"c49dcd6e37af22d616c3c0a4dfb934349186878d4bbcfbab781c5e2238ad9549",
		},
		{
			"arcfour128", "hmac-sha1-96-etm@openssh.com", nil,
			"00000020f9fed3750d0cac2a026298f1cf1463e86b91a425eb13839ef26cd23e9ee31e63a18b37cea5ce8ce9b3289b26",
			"708f7a5d4855c19fc6f130dfe188067d7a40487f673ce3bd4ade0f400bc1ebd7",
		},
		{
			"arcfour256", "hmac-ripemd160-etm@openssh.com", nil,
			"00000020386a753d10a96d6761125632ae54421a3af2b87cd670e5520878c404878346c614d86df4e726593e2f6154069be1779ee5bf158b",
			"028b18fab95353950906cf652a982b4a668e7a2c2dfa416bb6f43c4b70baef63",
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

// NIST SP 800-38A F.2 and F.5: encrypt-and-MAC encrypts a packet from its
// first octet on, whatever that is, so the standard's blocks pass for one. Two
// packets of two blocks show that the counter, or the chain, runs on.
func TestVectorsOfSP800_38A(t *testing.T) {
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	ctrIV := unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
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
		{
			"aes128-cbc", "2b7e151628aed2a6abf7158809cf4f3c",
			"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2" +
				"73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
		},
		{
			"aes192-cbc", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
			"4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a" +
				"571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
		},
		{
			"aes256-cbc", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
			"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" +
				"39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
		},
	} {
		t.Run(v.cipher, func(t *testing.T) {
			iv := ctrIV
			if strings.HasSuffix(v.cipher, "-cbc") {
				iv = count(16, 0)
			}
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

// RFC 6229: the keystream, and where each name begins in it.
func TestVectorsOfRC4(t *testing.T) {
	for _, v := range []struct {
		cipher string
		key    []byte
		want   string
	}{
		{"arcfour", count(16, 1), "9ac7cc9a609d1ef7b2932899cde41b97"},
		{"arcfour128", count(16, 1), "ffa0b514647ec04f6306b892ae661181"},
		{"arcfour256", count(32, 1), "3e34135c79db010200767651cf263073"},
	} {
		s, err := NewSealer(v.cipher, "hmac-sha1", v.key, nil, make([]byte, 20))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sealed(s, 0, 0, make([]byte, 16))[:16]); got != v.want {
			t.Errorf("%s: got %s, want %s", v.cipher, got, v.want)
		}
	}
}

// RFC 2202, RFC 2286 and RFC 4231, test case 1: the text "Hi There" is a sequence
// number of four letters and a packet of four.
func TestVectorsOfHMAC(t *testing.T) {
	want := map[string]string{
		"hmac-md5":       "9294727a3638bb1c13f48ef8158bfc9d",
		"hmac-ripemd160": "24cb4bd67d20fc1a5d2ed7732dcc39377f0a5668",
		"hmac-sha1":      "b617318655057264e28bc0b6fb378c8ef146be00",
		"hmac-sha2-256":  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		"hmac-sha2-512":  "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
	}
	for m := range MACs() {
		if m.hash == nil {
			continue // see TestVectorsOfUMAC
		}
		name, _, _ := strings.Cut(m.Name, "@")
		name, etm := strings.CutSuffix(name, "-etm")
		name, short := strings.CutSuffix(name, "-96")
		full := unhex(t, want[name])
		if short {
			full = full[:96/8]
		}
		if etm != m.EtM || len(full) != m.Size {
			t.Errorf("%s: %d octets, EtM %v", m.Name, m.Size, m.EtM)
		}
		// Only MD5's case has a key of 16 octets.
		a, err := newAuthenticator(m, bytes.Repeat([]byte{0x0b}, min(20, max(m.KeyLen, 16))))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // and again, from the state kept
			if got := a.mac(0x48692054, []byte("here")); !bytes.Equal(got, full) {
				t.Errorf("%s: got %x, want %x", m.Name, got, full)
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
