package certstore

import (
	"bytes"
	"crypto/cipher"
	"crypto/des" // the format names it
	"crypto/md5" // and this
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

func isJCEKS(data []byte) bool { return strings.HasPrefix(string(data), jceksMagic) }

func readJCEKS(in *input) ([]Entry, error) { return readJavaStore(in, jceksKey) }

var oidJCEKSKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 19, 1}

// jceksKey opens a key of JCEKS: triple DES in CBC mode, whose key and vector
// come from MD5 over each half of the salt.
func jceksKey(in *input, l *pbe.Limits, alias string, der []byte, pass keys.Passphrase) (*keys.PrivateKey, error) {
	a, data, err := encryptedKey(der)
	if err != nil {
		return nil, err
	}
	if !a.Algorithm.Equal(oidJCEKSKey) {
		return nil, unsupported("encryption", a.Algorithm.String())
	}
	params := cryptobyte.String(a.Parameters.FullBytes)
	var seq, salt cryptobyte.String
	var iterations int
	const half = 4
	switch {
	case !params.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&salt, cbasn1.OCTET_STRING) || !seq.ReadASN1Integer(&iterations):
		return nil, errJKS
	case len(salt) != 2*half || len(data) == 0 || len(data)%des.BlockSize != 0:
		return nil, errJKS
	case bytes.Equal(salt[:half], salt[half:]): // which Java then changes, in one way or another
		return nil, unsupported("encryption", "a salt of two equal halves")
	}
	if err := l.Spend(iterations); err != nil {
		return nil, pbeError(err, alias)
	}
	if err := l.Spend(iterations); err != nil { // one time for each half
		return nil, pbeError(err, alias)
	}
	var derived []byte
	for _, sum := range [][]byte{salt[:half], salt[half:]} {
		h := md5.New()
		for range iterations {
			h.Reset()
			h.Write(sum)
			h.Write(pass)
			sum = h.Sum(nil)
		}
		derived = append(derived, sum...)
	}
	block, err := des.NewTripleDESCipher(derived[:24])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, derived[24:]).CryptBlocks(out, data)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > des.BlockSize || !bytes.Equal(out[len(out)-pad:], slices.Repeat([]byte{byte(pad)}, pad)) {
		return nil, wrong(alias)
	}
	k, err := in.pkcs8(out[:len(out)-pad])
	if byChance(err) {
		return nil, wrong(alias)
	}
	return k, err
}
