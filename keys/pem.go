package keys

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
)

// pkcs1Key is RSAPrivateKey of RFC 8017 appendix A.1.2. It is not read with
// crypto/x509, which computes with the numbers before their size can be seen.
type pkcs1Key struct {
	Version             int
	N, E, D, P, Q       *big.Int
	DP, DQ, QInv        *big.Int
	AdditionalPrimeInfo []asn1.RawValue `asn1:"optional,omitempty"`
}

func parsePKCS1(der []byte) (crypto.PrivateKey, error) {
	var k pkcs1Key
	if err := unmarshalDER(der, &k); err != nil {
		return nil, err
	}
	if k.Version != 0 || len(k.AdditionalPrimeInfo) != 0 {
		return nil, unsupported("", "an RSA key of more than two primes")
	}
	return rsaPrivate(k.N, k.E, k.D, k.P, k.Q)
}

// dsaKey is the form OpenSSL gave DSA keys, described in no standard.
type dsaKey struct {
	Version       int
	P, Q, G, Y, X *big.Int
}

func parseDSA(der []byte) (crypto.PrivateKey, error) {
	var k dsaKey
	if err := unmarshalDER(der, &k); err != nil {
		return nil, err
	}
	return dsaPrivate(k.P, k.Q, k.G, k.Y, k.X)
}

func parseSEC1(der []byte) (crypto.PrivateKey, error) { return x509.ParseECPrivateKey(der) }

var errTrailing = errors.New("octets after the end")

// unmarshalDER reads der, all of it.
func unmarshalDER(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) != 0 {
		err = errTrailing
	}
	return err
}

// traditional are the types of PEM blocks of OpenSSL.
var traditional = map[string]func(der []byte) (crypto.PrivateKey, error){
	"RSA PRIVATE KEY": parsePKCS1,
	"DSA PRIVATE KEY": parseDSA,
	"EC PRIVATE KEY":  parseSEC1,
}

// dekNames are the ciphers of DEK-Info (RFC 1421 section 4.6.1.3) by their
// names here. DES-CBC is read as well, but not written.
var dekNames = map[string]x509.PEMCipher{
	"aes256-cbc": x509.PEMCipherAES256,
	"aes192-cbc": x509.PEMCipherAES192,
	"aes128-cbc": x509.PEMCipherAES128,
	"3des-cbc":   x509.PEMCipher3DES,
}

func parsePEM(f *file, o opener) (crypto.PrivateKey, string, error) {
	parse := traditional[f.block.Type]
	if parse == nil {
		return nil, "", ErrPublicOnly
	}
	encrypted := strings.Contains(f.block.Headers["Proc-Type"], "ENCRYPTED")
	if !encrypted {
		raw, err := parse(f.block.Bytes)
		return raw, "", err
	}
	pass, err := o.need(nil)
	if err != nil {
		return nil, "", err
	}
	// The form is weak, one MD5 and no check of integrity, which is why the
	// function is deprecated; but files that have it must be read.
	der, err := x509.DecryptPEMBlock(f.block, pass) //nolint:staticcheck // see above
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, "", wrong(nil)
	}
	if err != nil {
		return nil, "", &FormatError{Where: "DEK-Info", Err: err}
	}
	raw, err := parse(der)
	if err != nil {
		// A wrong passphrase that happens to give good padding gives noise.
		return nil, "", wrong(nil)
	}
	return raw, "", nil
}

func marshalPEM(k *PrivateKey, s seal) ([]byte, error) {
	b := &pem.Block{}
	var err error
	switch r := k.Raw.(type) {
	case *rsa.PrivateKey:
		b.Type, b.Bytes = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)
	case *dsa.PrivateKey:
		b.Type = "DSA PRIVATE KEY"
		b.Bytes, err = asn1.Marshal(dsaKey{0, r.P, r.Q, r.G, r.Y, r.X})
	case *ecdsa.PrivateKey:
		b.Type = "EC PRIVATE KEY"
		b.Bytes, err = x509.MarshalECPrivateKey(r)
	default:
		return nil, unsupported("", "a key of type "+k.Type())
	}
	if err != nil {
		return nil, err
	}
	if len(s.pass) != 0 {
		if b, err = x509.EncryptPEMBlock(rand.Reader, b.Type, b.Bytes, s.pass, dekNames[s.cipher]); err != nil { //nolint:staticcheck // asked for by name, see parsePEM
			return nil, err
		}
	}
	return pem.EncodeToMemory(b), nil
}

func parsePKCS1Public(f *file) (*PublicKey, error) {
	if f.block.Type != "RSA PUBLIC KEY" {
		return nil, errPrivate
	}
	r, err := x509.ParsePKCS1PublicKey(f.block.Bytes)
	if err != nil {
		return nil, err
	}
	return publicOf(r)
}

// publicOf wraps a raw public key.
func publicOf(raw crypto.PublicKey) (*PublicKey, error) {
	k, err := newPublicKey(raw)
	if err != nil {
		return nil, err
	}
	return &PublicKey{Key: k}, nil
}

func marshalPKCS1Public(k *PublicKey) ([]byte, error) {
	raw, err := rawPublic(k.Key)
	if err != nil {
		return nil, err
	}
	r, ok := raw.(*rsa.PublicKey)
	if !ok {
		return nil, unsupported("", "a key of type "+k.Type())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(r)}), nil
}

// dsaParameters is Dss-Parms of RFC 3279 section 2.3.2.
type dsaParameters struct{ P, Q, G *big.Int }

func parsePKIX(f *file) (*PublicKey, error) {
	if f.block.Type != "PUBLIC KEY" {
		return nil, errPrivate
	}
	raw, err := x509.ParsePKIXPublicKey(f.block.Bytes)
	if err != nil {
		return nil, err
	}
	return publicOf(raw)
}

func marshalPKIX(k *PublicKey) ([]byte, error) {
	raw, err := rawPublic(k.Key)
	if err != nil {
		return nil, err
	}
	var der []byte
	switch r := raw.(type) {
	case *dsa.PublicKey: // which crypto/x509 reads but does not write
		der, err = marshalDSAPublic(r)
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		der, err = x509.MarshalPKIXPublicKey(raw)
	default:
		return nil, unsupported("", "a key of type "+k.Type())
	}
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
