package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read, never made
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// What every format's numbers go through before they become a key: sizes first,
// since most computations on a number cost its square or more, then whether
// they belong together.

var (
	errMismatch = errors.New("the private half belongs to another public key")
	errNumber   = errors.New("a number is missing, negative or too large")
)

// sized tells whether all of the numbers are there, positive, and of at most
// that many bits.
func sized(bits int, numbers ...*big.Int) bool {
	for _, n := range numbers {
		if n == nil || n.Sign() <= 0 || n.BitLen() > bits {
			return false
		}
	}
	return true
}

func rsaPublic(n, e *big.Int) (*rsa.PublicKey, error) {
	if !sized(maxRSABits, n) || !sized(31, e) {
		return nil, errNumber
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// rsaPrivate makes a key of two primes. What is derived from them is not taken
// from the file.
func rsaPrivate(n, e, d, p, q *big.Int) (*rsa.PrivateKey, error) {
	pub, err := rsaPublic(n, e)
	if err != nil {
		return nil, err
	}
	if !sized(n.BitLen(), d, p, q) || p.BitLen() < 2 || q.BitLen() < 2 {
		return nil, errNumber
	}
	if new(big.Int).Mul(p, q).Cmp(n) != 0 {
		return nil, errMismatch
	}
	k := &rsa.PrivateKey{PublicKey: *pub, D: d, Primes: []*big.Int{p, q}}
	k.Precompute()
	return k, k.Validate()
}

func dsaPrivate(p, q, g, y, x *big.Int) (*dsa.PrivateKey, error) {
	if !sized(3072, p, q, g, y, x) {
		return nil, errNumber
	}
	k := &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: dsa.Parameters{P: p, Q: q, G: g}, Y: y}, X: x}
	if _, err := gossh.NewSignerFromKey(k); err != nil { // checks the group
		return nil, err
	}
	if x.Cmp(q) >= 0 || new(big.Int).Exp(g, x, p).Cmp(y) != 0 {
		return nil, errMismatch
	}
	return k, nil
}

// ecdsaPrivate makes a key of its number d. The point is checked unless nil.
func ecdsaPrivate(curve elliptic.Curve, point []byte, d *big.Int) (*ecdsa.PrivateKey, error) {
	size := (curve.Params().N.BitLen() + 7) / 8
	if !sized(8*size, d) {
		return nil, errNumber
	}
	k, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, size)))
	if err != nil {
		return nil, err
	}
	if got, err := k.PublicKey.Bytes(); err != nil || point != nil && !bytes.Equal(got, point) {
		return nil, errMismatch
	}
	return k, nil
}

// ed25519Private makes a key of its seed. The public key is checked unless nil.
func ed25519Private(seed, pub []byte) (ed25519.PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, errNumber
	}
	k := ed25519.NewKeyFromSeed(seed)
	if pub != nil && !bytes.Equal(k[ed25519.SeedSize:], pub) {
		return nil, errMismatch
	}
	return k, nil
}

// newPrivateKey wraps a raw key.
func newPrivateKey(raw crypto.PrivateKey) (*PrivateKey, error) {
	if k, ok := raw.(*ed25519.PrivateKey); ok {
		raw = *k
	}
	if k, ok := raw.(*rsa.PrivateKey); ok {
		if k.N.BitLen() > maxRSABits || len(k.Primes) != 2 {
			return nil, errors.ErrUnsupported
		}
		k.Precompute() // now, since later more than one may use the key
		if err := k.Validate(); err != nil {
			return nil, err
		}
	}
	s, err := gossh.NewSignerFromKey(raw)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{Signer: s, Raw: raw}, nil
}

// NewPrivateKey wraps a key made elsewhere, so that it can be written: an
// *rsa.PrivateKey of two primes, an *ecdsa.PrivateKey on a NIST curve, an
// ed25519.PrivateKey or a *dsa.PrivateKey.
func NewPrivateKey(raw crypto.PrivateKey, comment string) (*PrivateKey, error) {
	k, err := newPrivateKey(raw)
	if err != nil {
		return nil, &FormatError{Err: err}
	}
	k.Comment = comment
	return k, nil
}

// newPublicKey wraps a raw public key; parsing it again is where x/crypto
// checks exponents, groups and points.
func newPublicKey(raw crypto.PublicKey) (gossh.PublicKey, error) {
	if k, ok := raw.(*rsa.PublicKey); ok {
		if _, err := rsaPublic(k.N, big.NewInt(int64(k.E))); err != nil {
			return nil, err
		}
	}
	k, err := gossh.NewPublicKey(raw)
	if err != nil {
		return nil, err
	}
	return gossh.ParsePublicKey(k.Marshal())
}

// rawPublic returns the standard library's form of a plain public key.
func rawPublic(k gossh.PublicKey) (crypto.PublicKey, error) {
	c, ok := k.(gossh.CryptoPublicKey)
	// By type: a security key and a certificate also show a raw key, which is
	// not all of them.
	if !ok || !slices.Contains(plainTypes, k.Type()) {
		return nil, unsupported("", "a key of type "+clip(k.Type()))
	}
	return c.CryptoPublicKey(), nil
}

// plainTypes are the types of keys that are nothing but their numbers.
var plainTypes = []string{
	gossh.KeyAlgoRSA, keyAlgoDSA, gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521, gossh.KeyAlgoED25519,
}

// mpint codes a number that may not be negative (RFC 4251 section 5).
func mpint(c *wire.Coder, v **big.Int) {
	if !c.Decoding() {
		p := mpintBytes(*v)
		c.Bytes(&p)
		return
	}
	var p []byte
	c.Bytes(&p)
	switch {
	case len(p) > maxRSABits/8+1, len(p) > 0 && p[0]&0x80 != 0:
		c.Fail(errNumber)
	case c.Err() == nil:
		*v = new(big.Int).SetBytes(p)
	}
}

// mpintBytes returns the content octets of an mpint.
func mpintBytes(v *big.Int) []byte {
	p := v.Bytes()
	if len(p) > 0 && p[0]&0x80 != 0 {
		p = append([]byte{0}, p...)
	}
	return p
}

// curves are the NIST curves by their name in SSH (RFC 5656 section 10.1) and
// in JWK (RFC 7518 section 6.2.1.1).
var curves = []struct {
	curve    elliptic.Curve
	ssh, jwk string
}{
	{elliptic.P256(), "nistp256", "P-256"},
	{elliptic.P384(), "nistp384", "P-384"},
	{elliptic.P521(), "nistp521", "P-521"},
}

// curveBySSH returns the curve of a name in SSH, or nil.
func curveBySSH(name string) elliptic.Curve {
	for _, c := range curves {
		if c.ssh == name {
			return c.curve
		}
	}
	return nil
}

// blobType returns the name in front of a key in wire form, empty if there is
// none.
func blobType(blob []byte) string {
	var name string
	c := wire.Decoder(blob)
	c.String(&name)
	return name
}
