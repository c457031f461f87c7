// Package pbe opens what is encrypted under a password in the ways of PKCS #5
// (RFC 8018) and PKCS #12 (RFC 7292 appendices B and C), and seals in the
// modern one. The files of package keys and the stores of package certstore
// stand on it.
//
// What deriving a key may cost is the file's wish, and the file may be hostile:
// every derivation is paid for from [Limits] before it begins.
package pbe

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrPassword means that a password does not open the data, or that the data is
// damaged: for most schemes here these look the same.
var ErrPassword = errors.New("wrong password, or damaged data")

// An Error is something of the parameters or of the data that is not as it
// should be. Err is errors.ErrUnsupported where a scheme is not known.
type Error struct {
	Where string // "encryption" or "key derivation"
	Err   error
}

func (e *Error) Error() string { return e.Where + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func bad(where, format string, args ...any) error {
	return &Error{where, fmt.Errorf(format, args...)}
}

func unsupported(where, what string) error {
	return &Error{where, fmt.Errorf("%s: %w", what, errors.ErrUnsupported)}
}

const (
	encryption = "encryption"
	derivation = "key derivation"
)

// Limits is what all derivations together may cost. It is spent as they are
// made, so that a file of a thousand keys cannot ask a thousand times for the
// most; it must not be used concurrently.
type Limits struct {
	Iterations   int   // of PBKDF1, PBKDF2 and PKCS #12's function
	Memory       int64 // octets that scrypt may take at a time
	MemoryPasses int64 // the same times the passes over it
}

// Spend takes n iterations, at least one.
func (l *Limits) Spend(n int) error {
	if n < 1 || n > l.Iterations {
		return bad(derivation, "iterations %d, allowed are 1 to %d", n, l.Iterations)
	}
	l.Iterations -= n
	return nil
}

// A Password is one password in the two encodings that schemes want.
type Password struct {
	Text []byte // PBKDF2, scrypt and PBKDF1: as it is, usually UTF-8
	BMP  []byte // PKCS #12's function: UTF-16, with or without a zero behind it
}

// Text makes a Password of a text in UTF-8, with the zero that RFC 7292
// appendix B.1 asks for.
func Text(text []byte) Password {
	return Password{Text: text, BMP: append(BMP(text), 0, 0)}
}

// BMP encodes a text as UTF-16, big end first. As with OpenSSL and Java, what is
// beyond the basic plane becomes two units, although BMPString has no such; and
// as with OpenSSL, octets that are not UTF-8 are taken for Latin 1.
func BMP(text []byte) []byte {
	var units []uint16
	if utf8.Valid(text) {
		units = utf16.Encode([]rune(string(text)))
	} else {
		for _, c := range text {
			units = append(units, uint16(c))
		}
	}
	out := make([]byte, 0, 2*len(units)+2)
	for _, u := range units {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

// An Ask returns the password. It is called only after the costs were found
// allowed; its error is returned as it is.
type Ask = func() (Password, error)

// Open decrypts data with the scheme and the parameters that a names. Errors
// are of type [*Error], [ErrPassword], or from ask.
func Open(a pkix.AlgorithmIdentifier, data []byte, l *Limits, ask Ask) ([]byte, error) {
	if a.Algorithm.Equal(oidPBES2) {
		return openPBES2(a, data, l, ask)
	}
	i := slices.IndexFunc(pbes1Schemes, func(s pbes1Scheme) bool { return a.Algorithm.Equal(s.oid) })
	if i < 0 {
		return nil, unsupported(encryption, a.Algorithm.String())
	}
	s := pbes1Schemes[i]
	var p pbes1Params
	if err := unmarshal(a.Parameters.FullBytes, &p); err != nil {
		return nil, &Error{encryption, err}
	}
	if err := l.Spend(p.Iterations); err != nil {
		return nil, err
	}
	pass, err := ask()
	if err != nil {
		return nil, err
	}
	key, iv := s.derive(pass, p.Salt, p.Iterations)
	return s.open(key, iv, data)
}

func openPBES2(a pkix.AlgorithmIdentifier, data []byte, l *Limits, ask Ask) ([]byte, error) {
	var p pbes2Params
	if err := unmarshal(a.Parameters.FullBytes, &p); err != nil {
		return nil, &Error{encryption, err}
	}
	i := slices.IndexFunc(pbes2Ciphers, func(c pbes2Cipher) bool { return p.Cipher.Algorithm.Equal(c.oid) })
	if i < 0 {
		return nil, unsupported(encryption, "cipher "+p.Cipher.Algorithm.String())
	}
	key, err := Key(p.KDF, pbes2Ciphers[i].key, l, ask)
	if err != nil {
		return nil, err
	}
	return pbes2Ciphers[i].open(key, p.Cipher.Parameters.FullBytes, data)
}

// Key derives a key of n octets with PBKDF2 or scrypt. A length in the
// parameters must be the same. With [LengthNamed] for n they must have one.
func Key(kdf pkix.AlgorithmIdentifier, n int, l *Limits, ask Ask) ([]byte, error) {
	i := slices.IndexFunc(kdfs, func(r kdfRow) bool { return kdf.Algorithm.Equal(r.oid) })
	if i < 0 {
		return nil, unsupported(derivation, kdf.Algorithm.String())
	}
	return kdfs[i].key(kdf.Parameters.FullBytes, n, l, ask)
}

// LengthNamed stands for a length that the parameters name, from 20 to 64 octets
// as RFC 9579 section 4 has it for the keys of MACs.
const LengthNamed = -1

// MAC computes PBMAC1 (RFC 8018 section 7.1): an HMAC under a derived key.
func MAC(kdf, mac pkix.AlgorithmIdentifier, data []byte, l *Limits, ask Ask) ([]byte, error) {
	h := HMAC(mac.Algorithm)
	if h == nil {
		return nil, unsupported("MAC", mac.Algorithm.String())
	}
	key, err := Key(kdf, LengthNamed, l, ask)
	if err != nil {
		return nil, err
	}
	m := hmac.New(h, key)
	m.Write(data)
	return m.Sum(nil), nil
}

// Sealers are the ciphers of [Seal], the default first.
func Sealers() []string {
	var out []string
	for _, c := range pbes2Ciphers {
		if c.seal != nil {
			out = append(out, c.name)
		}
	}
	return out
}

// saltSize is what RFC 8018 section 4.1 calls for twice over.
const saltSize = 16

// Seal encrypts with PBES2: PBKDF2 with HMAC-SHA-256 and one of [Sealers].
func Seal(name string, text []byte, iterations int, data []byte) (pkix.AlgorithmIdentifier, []byte, error) {
	var none pkix.AlgorithmIdentifier
	i := slices.IndexFunc(pbes2Ciphers, func(c pbes2Cipher) bool { return c.name == name && c.seal != nil })
	if i < 0 {
		return none, nil, unsupported(encryption, name)
	}
	c := pbes2Ciphers[i]
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, string(text), salt, iterations, c.key)
	if err != nil {
		return none, nil, &Error{derivation, err}
	}
	params, out, err := c.seal(key, data)
	if err != nil {
		return none, nil, &Error{encryption, err}
	}
	kdf, err := Algorithm(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: iterations, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}})
	if err != nil {
		return none, nil, &Error{derivation, err}
	}
	enc, err := Algorithm(c.oid, params)
	if err != nil {
		return none, nil, &Error{encryption, err}
	}
	a, err := Algorithm(oidPBES2, pbes2Params{kdf, enc})
	return a, out, err
}

// Algorithm encodes an AlgorithmIdentifier.
func Algorithm(oid asn1.ObjectIdentifier, parameters any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(parameters)
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, err
}

var errTrailing = errors.New("octets after the end")

// unmarshal reads der, all of it.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) != 0 {
		err = errTrailing
	}
	return err
}
