package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// jwk is a JSON Web Key (RFC 7517 section 4, RFC 7518 section 6, RFC 8037
// section 2). The comment travels as the key id.
type jwk struct {
	Type    string          `json:"kty"`
	KeyID   string          `json:"kid,omitempty"`
	Curve   string          `json:"crv,omitempty"`
	N       string          `json:"n,omitempty"`
	E       string          `json:"e,omitempty"`
	X       string          `json:"x,omitempty"`
	Y       string          `json:"y,omitempty"`
	D       string          `json:"d,omitempty"`
	P       string          `json:"p,omitempty"`
	Q       string          `json:"q,omitempty"`
	DP      string          `json:"dp,omitempty"`
	DQ      string          `json:"dq,omitempty"`
	QI      string          `json:"qi,omitempty"`
	Others  json.RawMessage `json:"oth,omitempty"`
	KeySet  json.RawMessage `json:"keys,omitempty"`
	Protect json.RawMessage `json:"protected,omitempty"`
}

var jwkEncoding = base64.RawURLEncoding.Strict()

func decodeJWK(f *file) (*jwk, error) {
	var k jwk
	if err := json.Unmarshal(f.text, &k); err != nil {
		return nil, err
	}
	switch {
	case k.KeySet != nil:
		return nil, unsupported("", "a set of keys")
	case k.Protect != nil:
		return nil, unsupported("", "an encrypted JSON Web Key")
	case k.Others != nil:
		return nil, unsupported("", "an RSA key of more than two primes")
	}
	return &k, nil
}

// numbers decodes several fields.
func (k *jwk) numbers(fields ...string) ([]*big.Int, error) {
	byName := map[string]string{"n": k.N, "e": k.E, "d": k.D, "p": k.P, "q": k.Q}
	var out []*big.Int
	for _, name := range fields {
		p, err := number(jwkEncoding, name, byName[name])
		if err != nil {
			return nil, err
		}
		out = append(out, new(big.Int).SetBytes(p))
	}
	return out, nil
}

// public makes the public half.
func (k *jwk) public() (crypto.PublicKey, error) {
	switch k.Type {
	case "RSA":
		v, err := k.numbers("n", "e")
		if err != nil {
			return nil, err
		}
		return rsaPublic(v[0], v[1])
	case "EC":
		for _, c := range curves {
			if c.jwk != k.Curve {
				continue
			}
			x, err := number(jwkEncoding, "x", k.X)
			if err != nil {
				return nil, err
			}
			y, err := number(jwkEncoding, "y", k.Y)
			if err != nil {
				return nil, err
			}
			size := (c.curve.Params().BitSize + 7) / 8
			if len(x) != size || len(y) != size { // RFC 7518 section 6.2.1.2
				return nil, bad("x, y", "not of %d octets", size)
			}
			return ecdsa.ParseUncompressedPublicKey(c.curve, append(append([]byte{4}, x...), y...))
		}
		return nil, unsupported("crv", clip(k.Curve))
	case "OKP":
		if k.Curve != "Ed25519" {
			return nil, unsupported("crv", clip(k.Curve))
		}
		x, err := number(jwkEncoding, "x", k.X)
		if err == nil && len(x) != ed25519.PublicKeySize {
			err = errNumber
		}
		return ed25519.PublicKey(x), err
	}
	return nil, unsupported("kty", clip(k.Type))
}

func parseJWKPublic(f *file) (*PublicKey, error) {
	k, err := decodeJWK(f)
	if err != nil {
		return nil, err
	}
	if k.D != "" {
		return nil, errPrivate
	}
	raw, err := k.public()
	if err != nil {
		return nil, err
	}
	pub, err := publicOf(raw)
	if err != nil {
		return nil, err
	}
	pub.Comment = k.KeyID
	return pub, nil
}

func parseJWK(f *file, _ opener) (crypto.PrivateKey, string, error) {
	k, err := decodeJWK(f)
	if err != nil {
		return nil, "", err
	}
	pub, err := k.public()
	if err != nil {
		return nil, "", err
	}
	if k.D == "" {
		return nil, "", ErrPublicOnly
	}
	var raw crypto.PrivateKey
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		var v []*big.Int
		if v, err = k.numbers("n", "e", "d", "p", "q"); err == nil {
			raw, err = rsaPrivate(v[0], v[1], v[2], v[3], v[4])
		}
	case *ecdsa.PublicKey:
		var d, point []byte
		if d, err = number(jwkEncoding, "d", k.D); err == nil {
			if point, err = pub.Bytes(); err == nil {
				raw, err = ecdsaPrivate(pub.Curve, point, new(big.Int).SetBytes(d))
			}
		}
	case ed25519.PublicKey:
		var d []byte
		if d, err = number(jwkEncoding, "d", k.D); err == nil {
			raw, err = ed25519Private(d, pub)
		}
	}
	return raw, k.KeyID, err
}

// jwkPublic fills in the public half.
func jwkPublic(raw crypto.PublicKey) (*jwk, error) {
	text := jwkEncoding.EncodeToString
	switch r := raw.(type) {
	case *rsa.PublicKey:
		return &jwk{Type: "RSA", N: text(r.N.Bytes()), E: text(big.NewInt(int64(r.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		p, err := r.Bytes()
		if err != nil {
			return nil, err
		}
		for _, c := range curves {
			if c.curve == r.Curve {
				half := (len(p) - 1) / 2
				return &jwk{Type: "EC", Curve: c.jwk, X: text(p[1 : 1+half]), Y: text(p[1+half:])}, nil
			}
		}
	case ed25519.PublicKey:
		return &jwk{Type: "OKP", Curve: "Ed25519", X: text(r)}, nil
	}
	return nil, errors.ErrUnsupported
}

func (k *jwk) encode() ([]byte, error) {
	p, err := json.MarshalIndent(k, "", "  ")
	return append(p, '\n'), err
}

func marshalJWKPublic(k *PublicKey) ([]byte, error) {
	raw, err := rawPublic(k.Key)
	if err != nil {
		return nil, err
	}
	j, err := jwkPublic(raw)
	if err != nil {
		return nil, err
	}
	j.KeyID = k.Comment
	return j.encode()
}

func marshalJWK(k *PrivateKey, _ seal) ([]byte, error) {
	raw, err := rawPublic(k.PublicKey())
	if err != nil {
		return nil, err
	}
	j, err := jwkPublic(raw)
	if err != nil {
		return nil, err
	}
	text := jwkEncoding.EncodeToString
	switch r := k.Raw.(type) {
	case *rsa.PrivateKey:
		r.Precompute()
		j.D, j.P, j.Q = text(r.D.Bytes()), text(r.Primes[0].Bytes()), text(r.Primes[1].Bytes())
		j.DP, j.DQ, j.QI = text(r.Precomputed.Dp.Bytes()), text(r.Precomputed.Dq.Bytes()), text(r.Precomputed.Qinv.Bytes())
	case *ecdsa.PrivateKey:
		d, err := r.Bytes()
		if err != nil {
			return nil, err
		}
		j.D = text(d)
	case ed25519.PrivateKey:
		j.D = text(r.Seed())
	}
	j.KeyID = k.Comment
	return j.encode()
}
