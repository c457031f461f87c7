package keys

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
)

// The structures of RFC 5208.
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
)

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidDSA = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
)

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
	l := pbe.Limits{Iterations: o.limits.PBKDF2Iterations, Memory: o.limits.Memory, MemoryPasses: o.limits.MemoryPasses}
	der, err := pbe.Open(e.Algorithm, e.Data, &l, func() (pbe.Password, error) {
		pass, err := o.need(nil)
		return pbe.Text(pass), err
	})
	if errors.Is(err, pbe.ErrPassword) {
		return nil, wrong(nil)
	}
	if e, ok := errors.AsType[*pbe.Error](err); ok {
		return nil, &FormatError{Where: e.Where, Err: e.Err}
	}
	return der, err
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
	iterations := pbkdf2Iterations
	if s.rounds > 0 {
		if err := within("iterations", s.rounds, Limits{}.OrDefault().PBKDF2Iterations); err != nil {
			return nil, err
		}
		iterations = s.rounds
	}
	scheme, data, err := pbe.Seal(s.cipher, s.pass, iterations, der)
	if err != nil {
		return nil, err
	}
	out, err := asn1.Marshal(pkcs8Encrypted{scheme, data})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: out}), nil
}

// marshalPKCS8Key writes what crypto/x509 does, and DSA keys, which it does not
// (RFC 3279 section 2.3.2).
func marshalPKCS8Key(raw crypto.PrivateKey) ([]byte, error) {
	k, ok := raw.(*dsa.PrivateKey)
	if !ok {
		return x509.MarshalPKCS8PrivateKey(raw)
	}
	alg, err := pbe.Algorithm(oidDSA, dsaParameters{k.P, k.Q, k.G})
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
	alg, err := pbe.Algorithm(oidDSA, dsaParameters{k.P, k.Q, k.G})
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
