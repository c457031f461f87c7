package pbe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // what is encrypted with it is read
	"crypto/md5" // PBES1 names it
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rc4"  // PKCS #12 names it
	"crypto/sha1" // PBES1 and the default of PBKDF2
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"hash"
	"slices"

	"golang.org/x/crypto/scrypt"
)

// The parameters of RFC 8018 appendix A and RFC 7914 section 7.
type (
	pbes1Params struct {
		Salt       []byte
		Iterations int
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
	scryptParams struct {
		Salt      []byte
		N, R, P   int64
		KeyLength int `asn1:"optional"`
	}
)

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
)

// hmacs are the functions of PBKDF2 and of MACs (RFC 8018 appendix B.1).
var hmacs = []struct {
	name string
	oid  asn1.ObjectIdentifier
	hash func() hash.Hash
}{
	{"hmacWithSHA1", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New}, // the default of the standard
	{"hmacWithSHA224", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224},
	{"hmacWithSHA256", oidHMACSHA256, sha256.New},
	{"hmacWithSHA384", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{"hmacWithSHA512", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
	{"hmacWithSHA512-224", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 12}, sha512.New512_224},
	{"hmacWithSHA512-256", asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 13}, sha512.New512_256},
	{"hmacWithSHA3-512", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 16}, func() hash.Hash { return sha3.New512() }},
}

// HMAC returns the hash function of the HMAC that oid names, nil if unknown.
func HMAC(oid asn1.ObjectIdentifier) func() hash.Hash {
	for _, r := range hmacs {
		if r.oid.Equal(oid) {
			return r.hash
		}
	}
	return nil
}

// kdfRow derives a key.
type kdfRow struct {
	name string
	oid  asn1.ObjectIdentifier
	key  func(params []byte, n int, l *Limits, ask Ask) ([]byte, error)
}

var kdfs = []kdfRow{
	{"pbkdf2", oidPBKDF2, pbkdf2Key},
	{"scrypt", oidScrypt, scryptKey},
}

// keyLength returns n, or the length that parameters name, if that fits.
func keyLength(named, n int) (int, error) {
	const least, most = 20, 64
	switch {
	case n == LengthNamed && (named < least || named > most):
		return 0, bad(derivation, "a key of %d octets, allowed are %d to %d", named, least, most)
	case n == LengthNamed:
		return named, nil
	case named != 0 && named != n:
		return 0, bad(derivation, "a key of %d octets where %d are needed", named, n)
	}
	return n, nil
}

func pbkdf2Key(params []byte, n int, l *Limits, ask Ask) ([]byte, error) {
	var p pbkdf2Params
	if err := unmarshal(params, &p); err != nil {
		return nil, &Error{derivation, err}
	}
	prf := hmacs[0].hash
	if p.PRF.Algorithm != nil {
		if prf = HMAC(p.PRF.Algorithm); prf == nil {
			return nil, unsupported(derivation, p.PRF.Algorithm.String())
		}
	}
	n, err := keyLength(p.KeyLength, n)
	if err != nil {
		return nil, err
	}
	if err := l.Spend(p.Iterations); err != nil {
		return nil, err
	}
	pass, err := ask()
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(prf, string(pass.Text), p.Salt, p.Iterations, n)
	if err != nil {
		return nil, &Error{derivation, err}
	}
	return key, nil
}

func scryptKey(params []byte, n int, l *Limits, ask Ask) ([]byte, error) {
	var p scryptParams
	if err := unmarshal(params, &p); err != nil {
		return nil, &Error{derivation, err}
	}
	n, err := keyLength(p.KeyLength, n)
	if err != nil {
		return nil, err
	}
	if err := p.spend(l); err != nil {
		return nil, err
	}
	pass, err := ask()
	if err != nil {
		return nil, err
	}
	key, err := scrypt.Key(pass.Text, p.Salt, int(p.N), int(p.R), int(p.P), n)
	if err != nil {
		return nil, &Error{derivation, err}
	}
	return key, nil
}

// spend pays for the memory, 128·N·r octets, and the time, p times that. No
// factor is large enough for the products to overflow.
func (p *scryptParams) spend(l *Limits) error {
	const most = 1 << 24
	if p.N < 1 || p.N > most || p.R < 1 || p.R > most || p.P < 1 || p.P > most {
		return bad(derivation, "scrypt N %d, r %d, p %d, allowed are 1 to %d", p.N, p.R, p.P, most)
	}
	memory := 128 * p.N * p.R
	if memory > l.Memory || 128*p.R*p.P > l.Memory {
		return bad(derivation, "scrypt takes more memory than the allowed %d octets", l.Memory)
	}
	if p.P > l.MemoryPasses/memory {
		return bad(derivation, "scrypt p %d is too large for its memory", p.P)
	}
	l.MemoryPasses -= p.P * memory
	return nil
}

// pbes2Cipher is a cipher of PBES2. Only those with seal are written.
type pbes2Cipher struct {
	name string
	oid  asn1.ObjectIdentifier
	key  int
	open func(key, params, data []byte) ([]byte, error)
	seal func(key, data []byte) (params any, sealed []byte, err error)
}

// pbes2Ciphers are those of RFC 8018 appendix B.2 and, for the stores of Bouncy
// Castle, CCM (RFC 5084) and key wrapping (RFC 5649).
var pbes2Ciphers = []pbes2Cipher{
	{"aes256-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, openCBC(aes.NewCipher), sealCBC(aes.NewCipher)},
	{"aes192-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, openCBC(aes.NewCipher), sealCBC(aes.NewCipher)},
	{"aes128-cbc", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, openCBC(aes.NewCipher), sealCBC(aes.NewCipher)},
	{"3des-cbc", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, openCBC(des.NewTripleDESCipher), sealCBC(des.NewTripleDESCipher)},
	{"des-cbc", asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, 8, openCBC(des.NewCipher), nil},
	{"aes256-ccm", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 47}, 32, openCCM, nil},
	{"aes256-wrap-pad", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 48}, 32, openKeyWrap, nil},
}

// newBlock makes a block cipher.
type newBlock = func(key []byte) (cipher.Block, error)

func openCBC(block newBlock) func(key, params, data []byte) ([]byte, error) {
	return func(key, params, data []byte) ([]byte, error) {
		var iv []byte
		if err := unmarshal(params, &iv); err != nil {
			return nil, &Error{encryption, err}
		}
		return cbcUnpad(block, key, iv, data)
	}
}

func sealCBC(block newBlock) func(key, data []byte) (any, []byte, error) {
	return func(key, data []byte) (any, []byte, error) {
		b, err := block(key)
		if err != nil {
			return nil, nil, err
		}
		iv := make([]byte, b.BlockSize())
		_, _ = rand.Read(iv)
		pad := len(iv) - len(data)%len(iv)
		out := slices.Concat(data, slices.Repeat([]byte{byte(pad)}, pad))
		cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, out)
		return iv, out, nil
	}
}

// cbcUnpad decrypts and takes off the padding of RFC 8018 section 6.1.1. That
// the padding is wrong is how a wrong password shows; there is no one to be an
// oracle for.
func cbcUnpad(block newBlock, key, iv, data []byte) ([]byte, error) {
	b, err := block(key)
	if err != nil || len(iv) != b.BlockSize() || len(data) == 0 || len(data)%len(iv) != 0 {
		return nil, bad(encryption, "data or initialization vector of a wrong length")
	}
	p := make([]byte, len(data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(p, data)
	n := int(p[len(p)-1])
	if n < 1 || n > len(iv) {
		return nil, ErrPassword
	}
	for _, c := range p[len(p)-n:] {
		if int(c) != n {
			return nil, ErrPassword
		}
	}
	return p[:len(p)-n], nil
}

// pbes1Scheme is an older scheme: function and cipher come together. They are
// read and not written.
type pbes1Scheme struct {
	name   string
	oid    asn1.ObjectIdentifier
	derive func(pass Password, salt []byte, iterations int) (key, iv []byte)
	open   func(key, iv, data []byte) ([]byte, error)
}

// pbes1Schemes are those of RFC 8018 appendix A.3 and RFC 7292 appendix C.
var pbes1Schemes = []pbes1Scheme{
	{"PBE-MD5-DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3}, pbkdf1(md5.New), openBlocks(des.NewCipher)},
	{"PBE-MD5-RC2-64", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 6}, pbkdf1(md5.New), openBlocks(newRC2)},
	{"PBE-SHA1-DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 10}, pbkdf1(sha1.New), openBlocks(des.NewCipher)},
	{"PBE-SHA1-RC2-64", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 11}, pbkdf1(sha1.New), openBlocks(newRC2)},
	{"PBE-SHA1-RC4-128", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 1}, pkcs12KDF(16), openRC4},
	{"PBE-SHA1-RC4-40", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 2}, pkcs12KDF(5), openRC4},
	{"PBE-SHA1-3DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, pkcs12KDF(24), openBlocks(des.NewTripleDESCipher)},
	{"PBE-SHA1-2DES", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 4}, pkcs12KDF(16), openBlocks(newTwoKeyDES)},
	{"PBE-SHA1-RC2-128", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}, pkcs12KDF(16), openBlocks(newRC2)},
	{"PBE-SHA1-RC2-40", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}, pkcs12KDF(5), openBlocks(newRC2)},
}

func openBlocks(block newBlock) func(key, iv, data []byte) ([]byte, error) {
	return func(key, iv, data []byte) ([]byte, error) { return cbcUnpad(block, key, iv, data) }
}

// openRC4 has nothing to tell a wrong password by; what is inside has to.
func openRC4(key, _, data []byte) ([]byte, error) {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return nil, &Error{encryption, err}
	}
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out, nil
}

// newTwoKeyDES is triple DES whose third key is the first again.
func newTwoKeyDES(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(slices.Concat(key, key[:8]))
}

// pbkdf1 derives key and vector of a cipher of 64 bits (RFC 8018 section 6.1.1).
func pbkdf1(h func() hash.Hash) func(pass Password, salt []byte, iterations int) (key, iv []byte) {
	return func(pass Password, salt []byte, iterations int) (key, iv []byte) {
		d := h()
		sum := slices.Concat(pass.Text, salt)
		for range iterations {
			d.Reset()
			d.Write(sum)
			sum = d.Sum(sum[:0])
		}
		return sum[:8], sum[8:16]
	}
}

// pkcs12KDF derives a key of n octets, and a vector of eight.
func pkcs12KDF(n int) func(pass Password, salt []byte, iterations int) (key, iv []byte) {
	return func(pass Password, salt []byte, iterations int) (key, iv []byte) {
		return PKCS12Key(sha1.New, ForKey, n, pass.BMP, salt, iterations), PKCS12Key(sha1.New, ForIV, des.BlockSize, pass.BMP, salt, iterations)
	}
}
