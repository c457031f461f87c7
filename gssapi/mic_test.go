package gssapi

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The checksums of the library are those of RFC 8009 appendix A.
func TestChecksumVectors(t *testing.T) {
	text := make([]byte, 21)
	for i := range text {
		text[i] = byte(i)
	}
	for kind, v := range map[int32]struct{ key, sum string }{
		etypeID.AES128_CTS_HMAC_SHA256_128: {
			"37 05 D9 60 80 C1 77 28 A0 E8 00 EA B6 E0 D2 3C",
			"D7 83 67 18 66 43 D6 7B 41 1C BA 91 39 FC 1D EE",
		},
		etypeID.AES256_CTS_HMAC_SHA384_192: {
			"6D 40 4D 37 FA F7 9F 9D F0 D3 35 68 D3 20 66 98 00 EB 48 36 47 2E A8 A0 26 D1 6B 71 82 46 0C 52",
			"45 EE 79 15 67 EE FC A3 7F 4A C1 E0 22 2D E8 0D 43 C3 BF A0 66 99 67 2A",
		},
	} {
		et, err := encryption(types.EncryptionKey{KeyType: kind, KeyValue: unhex(t, v.key)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := et.GetChecksumHash(unhex(t, v.key), text, 2)
		if err != nil || !bytes.Equal(got, unhex(t, v.sum)) {
			t.Errorf("type %d: % X, %v", kind, got, err)
		}
	}
}

// The fields of a MIC token are where RFC 4121 has them.
func TestMICToken(t *testing.T) { // RFC 4121 section 4.2.6.1
	key := types.EncryptionKey{KeyType: etypeID.AES256_CTS_HMAC_SHA1_96, KeyValue: make([]byte, 32)}
	for _, tt := range []struct {
		s    sealing
		want string
	}{
		{sealing{key: key, sequence: 0x01020304}, "0404 00 FFFFFFFFFF 0000000001020304"},
		{sealing{key: key, acceptor: true}, "0404 01 FFFFFFFFFF 0000000000000000"},
		{sealing{key: key, acceptorSubkey: true}, "0404 04 FFFFFFFFFF 0000000000000000"},
		{sealing{key: key, acceptor: true, acceptorSubkey: true, sequence: 7}, "0404 05 FFFFFFFFFF 0000000000000007"},
	} {
		first, err := tt.s.mic([]byte("m"))
		if err != nil || !bytes.Equal(first[:16], unhex(t, tt.want)) || len(first) != 16+12 {
			t.Errorf("% x, %v, want %s", first, err, tt.want)
		}
		second, err := tt.s.mic([]byte("m"))
		if err != nil || second[15] != first[15]+1 || bytes.Equal(second[16:], first[16:]) {
			t.Errorf("the second: % x, %v", second, err)
		}
	}
	// A subkey of the acceptor is used by both or by none.
	with, without := sealing{key: key, acceptorSubkey: true}, sealing{key: key, acceptor: true}
	token, err := with.mic([]byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	if without.verify([]byte("m"), token) == nil {
		t.Error("a token under the acceptor's subkey is accepted where there is none")
	}
}
