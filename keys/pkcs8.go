package keys

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // keys encrypted with it are read
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/md5" // PBES1 names it
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" // PBES1 and the default of PBKDF2
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"hash"
	"math/big"
	"slices"

	"golang.org/x/crypto/scrypt"
)

// The structures of RFC 5208 and RFC 8018.
type (
	pkcs8Key struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
		PublicKey  asn1.RawValue `asn1:"optional,tag:1"` // RFC 5958
	}
	pkcs8Encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct {
		KDF, Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	scryptParams struct { // RFC 7914 section 7
		Salt      []byte
		N, R, P   int64
		KeyLength int `asn1:"optional"`
	}
	pbes1Params struct {
		Salt       []byte
		Iterations int
	}
)

var (
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidDSA    = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
)

// prfs are the functions of PBKDF2 (RFC 8018 appendix B.1.2).
var prfs = []struct {
	name string
	oid  asn1.ObjectIdentifier
	hash func() hash.Hash
}{
	{"hmacWithSHA1", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New}, // the default of the standard
	{"hmacWithSHA224", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224},
	{"hmacWithSHA256", oidSHA256, sha256.New},
	{"hmacWithSHA384", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{"hmacWithSHA512", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
	{"hmacWithSHA512-224", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 12}, sha512.New512_224},
	{"hmacWithSHA512-256", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 13}, sha512.New512_256},
}

// pbes2Ciphers are the ciphers of PBES2 (RFC 8018 appendix B.2). Only those
// that MarshalOptions may name are written.
var pbes2Ciphers = []struct {
	name  string
	oid   asn1.ObjectIdentifier
	key   int
	block newBlock
}{
	{"aes128-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{"aes192-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{"aes256-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{"3des-cbc", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
	{"des-cbc", asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, 8, des.NewCipher},
}

// pbes1Schemes are the older schemes, which are read and not written: those of
// RFC 8018 appendix A.3 and those of RFC 7292 appendix C.
var pbes1Schemes = []struct {
	name   string
	oid    asn1.ObjectIdentifier
	block  newBlock
	derive func(pass, salt []byte, iterations int) (key, iv []byte)
}{
	{"PBE-MD5-DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3}, des.NewCipher, pbkdf1(md5.New)},
	{"PBE-SHA1-DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 10}, des.NewCipher, pbkdf1(sha1.New)},
	{"PBE-SHA1-3DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, des.NewTripleDESCipher, pkcs12KDF(24)},
	{"PBE-SHA1-2DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 4}, des.NewTripleDESCipher, pkcs12KDF(16)},
}

func parsePKCS8(f *file, o opener) (crypto.PrivateKey, string, error) {
	switch f.block.Type {
	case "PUBLIC KEY":
		return nil, "", ErrPublicOnly
	case "PRIVATE KEY":
		raw, err := parsePKCS8Key(f.block.Bytes)
		return raw, "", err
	}
	var e pkcs8Encrypted
	if err := unmarshalDER(f.block.Bytes, &e); err != nil {
		return nil, "", err
	}
	der, err := pkcs8Open(&e, o)
	if err != nil {
		return nil, "", err
	}
	raw, err := parsePKCS8Key(der)
	if err != nil {
		if fe, ok := errors.AsType[*FormatError](err); ok && errors.Is(fe, errors.ErrUnsupported) {
			return nil, "", err
		}
		return nil, "", wrong(nil) // the padding fitted by chance
	}
	return raw, "", nil
}

func parsePKCS8Key(der []byte) (crypto.PrivateKey, error) {
	var k pkcs8Key
	if err := unmarshalDER(der, &k); err != nil {
		return nil, err
	}
	switch {
	case k.Algorithm.Algorithm.Equal(oidRSA): // not by crypto/x509, see pkcs1Key
		return parsePKCS1(k.PrivateKey)
	case k.Algorithm.Algorithm.Equal(oidDSA): // which crypto/x509 does not read
		var p dsaParameters
		var x *big.Int
		if err := unmarshalDER(k.Algorithm.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if err := unmarshalDER(k.PrivateKey, &x); err != nil {
			return nil, err
		}
		if !sized(1024, p.P, p.Q, p.G, x) {
			return nil, errNumber
		}
		return dsaPrivate(p.P, p.Q, p.G, new(big.Int).Exp(p.G, x, p.P), x)
	}
	return x509.ParsePKCS8PrivateKey(der)
}

// pkcs8Open decrypts.
func pkcs8Open(e *pkcs8Encrypted, o opener) ([]byte, error) {
	if e.Algorithm.Algorithm.Equal(oidPBES2) {
		return pbes2Open(e, o)
	}
	for _, s := range pbes1Schemes {
		if !e.Algorithm.Algorithm.Equal(s.oid) {
			continue
		}
		var p pbes1Params
		if err := unmarshalDER(e.Algorithm.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if err := within("iterations", p.Iterations, o.limits.PBKDF2Iterations); err != nil {
			return nil, err
		}
		pass, err := o.need(nil)
		if err != nil {
			return nil, err
		}
		key, iv := s.derive(pass, p.Salt, p.Iterations)
		return cbcUnpad(s.block, key, iv, e.Data)
	}
	return nil, unsupported("encryption", e.Algorithm.Algorithm.String())
}

func pbes2Open(e *pkcs8Encrypted, o opener) ([]byte, error) {
	var p pbes2Params
	if err := unmarshalDER(e.Algorithm.Parameters.FullBytes, &p); err != nil {
		return nil, err
	}
	for _, c := range pbes2Ciphers {
		if !p.Cipher.Algorithm.Equal(c.oid) {
			continue
		}
		var iv []byte
		if err := unmarshalDER(p.Cipher.Parameters.FullBytes, &iv); err != nil {
			return nil, err
		}
		key, err := pbes2Key(p.KDF, c.key, o)
		if err != nil {
			return nil, err
		}
		return cbcUnpad(c.block, key, iv, e.Data)
	}
	return nil, unsupported("encryption", "cipher "+p.Cipher.Algorithm.String())
}

// pbes2Key derives a key of n octets.
func pbes2Key(kdf pkix.AlgorithmIdentifier, n int, o opener) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Params
		if err := unmarshalDER(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		prf := 0
		if p.PRF.Algorithm != nil {
			for prf < len(prfs) && !p.PRF.Algorithm.Equal(prfs[prf].oid) {
				prf++
			}
		}
		if prf == len(prfs) {
			return nil, unsupported("key derivation", p.PRF.Algorithm.String())
		}
		if p.KeyLength != 0 && p.KeyLength != n {
			return nil, bad("key derivation", "a key of %d octets for a cipher that takes %d", p.KeyLength, n)
		}
		if err := within("iterations", p.Iterations, o.limits.PBKDF2Iterations); err != nil {
			return nil, err
		}
		pass, err := o.need(nil)
		if err != nil {
			return nil, err
		}
		return pbkdf2.Key(prfs[prf].hash, string(pass), p.Salt, p.Iterations, n)
	case kdf.Algorithm.Equal(oidScrypt):
		var p scryptParams
		if err := unmarshalDER(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if p.KeyLength != 0 && p.KeyLength != n {
			return nil, bad("key derivation", "a key of %d octets for a cipher that takes %d", p.KeyLength, n)
		}
		if err := scryptCost(p, o.limits); err != nil {
			return nil, err
		}
		pass, err := o.need(nil)
		if err != nil {
			return nil, err
		}
		return scrypt.Key(pass, p.Salt, int(p.N), int(p.R), int(p.P), n)
	}
	return nil, unsupported("key derivation", kdf.Algorithm.String())
}

// scryptCost checks the memory, 128·N·r octets, and the time, p times that. No
// factor is large enough for the products to overflow.
func scryptCost(p scryptParams, l Limits) error {
	const most = 1 << 24
	for _, v := range []struct {
		name string
		v    int64
	}{{"N", p.N}, {"r", p.R}, {"p", p.P}} {
		if err := within("scrypt "+v.name, v.v, most); err != nil {
			return err
		}
	}
	if err := within("memory", 128*p.N*p.R, l.Memory); err != nil {
		return err
	}
	if p.P > l.MemoryPasses/(128*p.N*p.R) {
		return bad("key derivation", "scrypt p %d is too large for its memory", p.P)
	}
	return within("memory of p", 128*p.R*p.P, l.Memory)
}

// cbcUnpad decrypts and takes off the padding of RFC 8018 section 6.1.1. That
// the padding is wrong is how a wrong passphrase shows; there is no one to be
// an oracle for.
func cbcUnpad(block newBlock, key, iv, data []byte) ([]byte, error) {
	p, err := cbc(block, cipher.NewCBCDecrypter, key, iv, data)
	if err != nil || len(p) == 0 {
		return nil, bad("encryption", "data or initialization vector of a wrong length")
	}
	n := int(p[len(p)-1])
	if n < 1 || n > len(iv) || n > len(p) {
		return nil, wrong(nil)
	}
	for _, b := range p[len(p)-n:] {
		if int(b) != n {
			return nil, wrong(nil)
		}
	}
	return p[:len(p)-n], nil
}

// pbkdf1 derives key and vector of DES (RFC 8018 section 6.1.1).
func pbkdf1(h func() hash.Hash) func(pass, salt []byte, iterations int) (key, iv []byte) {
	return func(pass, salt []byte, iterations int) (key, iv []byte) {
		sum := slices.Concat(pass, salt)
		for range iterations {
			d := h()
			d.Write(sum)
			sum = d.Sum(nil)
		}
		return sum[:8], sum[8:16]
	}
}

// pkcs12KDF derives a key of n octets for triple DES, and its vector (RFC 7292
// appendix B.2).
func pkcs12KDF(n int) func(pass, salt []byte, iterations int) (key, iv []byte) {
	return func(pass, salt []byte, iterations int) (key, iv []byte) {
		text := bmpString(pass)
		key = pkcs12Derive(1, n, text, salt, iterations)
		if n == 16 { // two keys: the third is the first again
			key = append(key, key[:8]...)
		}
		return key, pkcs12Derive(2, des.BlockSize, text, salt, iterations)
	}
}

// bmpString is UTF-16 with a zero behind it.
func bmpString(pass []byte) []byte {
	var out []byte
	for _, r := range string(pass) {
		out = append(out, byte(r>>8), byte(r)) // beyond the basic plane nothing is defined
	}
	return append(out, 0, 0)
}

func pkcs12Derive(id byte, n int, pass, salt []byte, iterations int) []byte {
	const v = sha1.BlockSize
	fill := func(p []byte) []byte {
		if len(p) == 0 {
			return nil
		}
		out := make([]byte, (len(p)+v-1)/v*v)
		for i := range out {
			out[i] = p[i%len(p)]
		}
		return out
	}
	i := slices.Concat(fill(salt), fill(pass))
	one := big.NewInt(1)
	var out []byte
	for len(out) < n {
		h := sha1.New()
		for range v {
			h.Write([]byte{id})
		}
		h.Write(i)
		a := h.Sum(nil)
		for range iterations - 1 {
			s := sha1.Sum(a)
			a = s[:]
		}
		out = append(out, a...)
		b := new(big.Int).SetBytes(fill(a)[:v])
		b.Add(b, one)
		for j := 0; j < len(i); j += v {
			sum := new(big.Int).SetBytes(i[j : j+v])
			sum.Add(sum, b)
			sum.SetBit(sum, 8*v, 0) // modulo 2^8v
			sum.FillBytes(i[j : j+v])
		}
	}
	return out[:n]
}

// pbkdf2Iterations is what OWASP asks for with SHA-256.
const pbkdf2Iterations = 600_000

func marshalPKCS8(k *PrivateKey, s seal) ([]byte, error) {
	der, err := marshalPKCS8Key(k.Raw)
	if err != nil {
		return nil, err
	}
	if len(s.pass) == 0 {
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	i := 0
	for pbes2Ciphers[i].name != s.cipher {
		i++ // the table of formats names no other
	}
	c := pbes2Ciphers[i]
	iterations := pbkdf2Iterations
	if s.rounds > 0 {
		if err := within("iterations", s.rounds, Limits{}.OrDefault().PBKDF2Iterations); err != nil {
			return nil, err
		}
		iterations = s.rounds
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, string(s.pass), salt, iterations, c.key)
	if err != nil {
		return nil, err
	}
	block, err := c.block(key)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, block.BlockSize())
	_, _ = rand.Read(iv)
	pad := len(iv) - len(der)%len(iv)
	der = append(der, slices.Repeat([]byte{byte(pad)}, pad)...)
	data, err := cbc(c.block, cipher.NewCBCEncrypter, key, iv, der)
	if err != nil {
		return nil, err
	}
	kdf, err := algorithm(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: iterations, PRF: pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}})
	if err != nil {
		return nil, err
	}
	enc, err := algorithm(c.oid, iv)
	if err != nil {
		return nil, err
	}
	scheme, err := algorithm(oidPBES2, pbes2Params{kdf, enc})
	if err != nil {
		return nil, err
	}
	out, err := asn1.Marshal(pkcs8Encrypted{scheme, data})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: out}), nil
}

// algorithm encodes an AlgorithmIdentifier.
func algorithm(oid asn1.ObjectIdentifier, parameters any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(parameters)
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, err
}

// marshalPKCS8Key writes what crypto/x509 does, and DSA keys, which it does not
// (RFC 3279 section 2.3.2).
func marshalPKCS8Key(raw crypto.PrivateKey) ([]byte, error) {
	k, ok := raw.(*dsa.PrivateKey)
	if !ok {
		return x509.MarshalPKCS8PrivateKey(raw)
	}
	alg, err := algorithm(oidDSA, dsaParameters{k.P, k.Q, k.G})
	if err != nil {
		return nil, err
	}
	x, err := asn1.Marshal(k.X)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}{0, alg, x})
}

func marshalDSAPublic(k *dsa.PublicKey) ([]byte, error) {
	alg, err := algorithm(oidDSA, dsaParameters{k.P, k.Q, k.G})
	if err != nil {
		return nil, err
	}
	y, err := asn1.Marshal(k.Y)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{alg, asn1.BitString{Bytes: y, BitLength: 8 * len(y)}})
}
