package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are used where a user has one
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/md5" // the old form of fingerprints
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // ssh-rsa and ssh-dss
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// fingerprintHashes are the names of ssh-keygen -E.
var fingerprintHashes = map[string]crypto.Hash{
	"sha1":   crypto.SHA1,
	"sha256": crypto.SHA256,
	"sha384": crypto.SHA384,
	"sha512": crypto.SHA512,
}

// Fingerprint returns the fingerprint of a key as ssh-keygen prints it:
// "SHA256:" and unpadded base64, also with sha1, sha384 and sha512, or for
// "md5" "MD5:" and pairs of hexadecimal digits (RFC 4716 section 4). An empty
// hash stands for sha256. The fingerprint of an OpenSSH certificate is that of
// its key, as everywhere.
func Fingerprint(k gossh.PublicKey, hash string) (string, error) {
	if c, ok := k.(*gossh.Certificate); ok {
		k = c.Key
	}
	name := strings.ToLower(hash)
	if name == "" {
		name = "sha256"
	}
	if name == "md5" {
		sum := md5.Sum(k.Marshal())
		return "MD5:" + strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"), nil
	}
	h, ok := fingerprintHashes[name]
	if !ok {
		return "", fmt.Errorf("keys: fingerprint: unknown hash %+q", clip(hash))
	}
	d := h.New()
	d.Write(k.Marshal())
	return strings.ToUpper(name) + ":" + base64.RawStdEncoding.EncodeToString(d.Sum(nil)), nil
}

// Key is anything with a public key: a *PrivateKey, a *PublicKey, a
// gossh.Signer.
type Key interface {
	// PublicKey returns the public half.
	PublicKey() gossh.PublicKey
}

// Equal tells whether two keys are the same key. Only the public halves are
// compared: a private key equals its public key, and comments, options and
// formats do not count.
func Equal(a, b Key) bool {
	return bytes.Equal(a.PublicKey().Marshal(), b.PublicKey().Marshal())
}

var errSign = errors.New("signature does not fit")

// defaultHash is what is signed with unless another is asked for: SHA-256 with
// RSA, the one of RFC 5656 section 6.2.1 with ECDSA, the only one of RFC 4253
// with DSA, and none with Ed25519, which hashes by itself.
func defaultHash(k crypto.PublicKey) crypto.Hash {
	switch k := k.(type) {
	case *dsa.PublicKey:
		return crypto.SHA1
	case *ecdsa.PublicKey:
		switch bits := k.Curve.Params().BitSize; {
		case bits > 384:
			return crypto.SHA512
		case bits > 256:
			return crypto.SHA384
		}
	case ed25519.PublicKey:
		return 0
	}
	return crypto.SHA256
}

// digest hashes data with h or the default of the key.
func digest(k crypto.PublicKey, data []byte, h crypto.Hash) ([]byte, crypto.Hash, error) {
	if _, ok := k.(ed25519.PublicKey); ok {
		if h != 0 {
			return nil, 0, fmt.Errorf("keys: sign: %s with Ed25519: %w", h, errors.ErrUnsupported)
		}
		return data, 0, nil
	}
	if h == 0 {
		h = defaultHash(k)
	}
	if h < crypto.SHA1 || h > crypto.SHA512 || !h.Available() {
		return nil, 0, fmt.Errorf("keys: sign: hash %s: %w", h, errors.ErrUnsupported)
	}
	d := h.New()
	d.Write(data)
	return d.Sum(nil), h, nil
}

// Sign signs data and returns the bare signature: that of PKCS #1 v1.5 for RSA,
// the 64 octets of Ed25519, an ASN.1 sequence of r and s for ECDSA and DSA. The
// hash is one of crypto.SHA1 to crypto.SHA512; zero stands for SHA-256 with
// RSA, for the one that goes with the curve, for SHA-1 with DSA, and is all
// that Ed25519 takes. For a signature in SSH's form use k.Signer.
func (k *PrivateKey) Sign(data []byte, hash crypto.Hash) ([]byte, error) {
	raw, err := rawPublic(k.PublicKey())
	if err != nil {
		return nil, err
	}
	sum, h, err := digest(raw, data, hash)
	if err != nil {
		return nil, err
	}
	if d, ok := k.Raw.(*dsa.PrivateKey); ok {
		n := min(len(sum), 20) // FIPS 186-3 section 4.6: the leftmost bits
		r, s, err := dsa.Sign(rand.Reader, d, sum[:n])
		if err != nil {
			return nil, fmt.Errorf("keys: sign: %w", err)
		}
		return asn1.Marshal(struct{ R, S *big.Int }{r, s})
	}
	s, ok := k.Raw.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys: sign: %T: %w", k.Raw, errors.ErrUnsupported)
	}
	sig, err := s.Sign(rand.Reader, sum, h)
	if err != nil {
		return nil, fmt.Errorf("keys: sign: %w", err)
	}
	return sig, nil
}

// Verify checks a bare signature of data as [PrivateKey.Sign] makes it, with
// the same meaning of hash. For signatures in SSH's form use k.Key.
func (k *PublicKey) Verify(data, sig []byte, hash crypto.Hash) error {
	raw, err := rawPublic(k.Key)
	if err != nil {
		return err
	}
	sum, h, err := digest(raw, data, hash)
	if err != nil {
		return err
	}
	ok := false
	switch r := raw.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(r, h, sum, sig) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(r, sum, sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(r, sum, sig)
	case *dsa.PublicKey:
		var s struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(sig, &s); err == nil && len(rest) == 0 {
			ok = dsa.Verify(r, sum[:min(len(sum), 20)], s.R, s.S)
		}
	}
	if !ok {
		return fmt.Errorf("keys: verify: %w", errSign)
	}
	return nil
}
