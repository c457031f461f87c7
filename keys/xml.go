package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/rsa"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"strings"
)

// xmlKey is the element RSAKeyValue or DSAKeyValue (XML Signature sections
// 4.5.2.1 and 4.5.2.2) with the elements that .NET adds for a private key, by
// name.
type xmlKey struct {
	root   string
	values map[string]string
}

// decodeXML reads the one level of elements that there may be, so that depth
// costs nothing.
func decodeXML(f *file) (*xmlKey, error) {
	k := &xmlKey{values: map[string]string{}}
	d := xml.NewDecoder(bytes.NewReader(f.text))
	depth, name := 0, ""
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && k.root == "":
				k.root = t.Name.Local
			case depth == 2:
				name = t.Name.Local
				if _, ok := k.values[name]; ok {
					return nil, bad(clip(name), "is there twice")
				}
				k.values[name] = ""
			default:
				return nil, bad(clip(t.Name.Local), "element where none may be")
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 2 {
				v := k.values[name] + strings.Join(strings.Fields(string(t)), "")
				if len(v) > maxNumber { // here, since comments may cut it into many pieces
					return nil, bad(clip(name), "too long")
				}
				k.values[name] = v
			}
		case xml.Directive:
			return nil, bad("", "a document type")
		}
	}
	if k.root != "RSAKeyValue" && k.root != "DSAKeyValue" {
		return nil, unsupported("", "element "+clip(k.root))
	}
	return k, nil
}

func (k *xmlKey) numbers(names ...string) ([]*big.Int, error) {
	var out []*big.Int
	for _, name := range names {
		p, err := number(base64.StdEncoding, name, k.values[name])
		if err != nil {
			return nil, err
		}
		out = append(out, new(big.Int).SetBytes(p))
	}
	return out, nil
}

// secret names the element that only a private key has.
func (k *xmlKey) secret() string {
	if k.root == "RSAKeyValue" {
		return "D"
	}
	return "X"
}

func parseXMLPublic(f *file) (*PublicKey, error) {
	k, err := decodeXML(f)
	if err != nil {
		return nil, err
	}
	if k.values[k.secret()] != "" {
		return nil, errPrivate
	}
	if k.root == "RSAKeyValue" {
		v, err := k.numbers("Modulus", "Exponent")
		if err != nil {
			return nil, err
		}
		r, err := rsaPublic(v[0], v[1])
		if err != nil {
			return nil, err
		}
		return publicOf(r)
	}
	v, err := k.numbers("P", "Q", "G", "Y")
	if err != nil {
		return nil, err
	}
	return publicOf(&dsa.PublicKey{Parameters: dsa.Parameters{P: v[0], Q: v[1], G: v[2]}, Y: v[3]})
}

func parseXML(f *file, _ opener) (crypto.PrivateKey, string, error) {
	k, err := decodeXML(f)
	if err != nil {
		return nil, "", err
	}
	if k.values[k.secret()] == "" {
		return nil, "", ErrPublicOnly
	}
	if k.root == "RSAKeyValue" {
		v, err := k.numbers("Modulus", "Exponent", "D", "P", "Q")
		if err != nil {
			return nil, "", err
		}
		raw, err := rsaPrivate(v[0], v[1], v[2], v[3], v[4])
		return raw, "", err
	}
	v, err := k.numbers("P", "Q", "G", "Y", "X")
	if err != nil {
		return nil, "", err
	}
	raw, err := dsaPrivate(v[0], v[1], v[2], v[3], v[4])
	return raw, "", err
}

// xmlField is an element and its number, in octets of that length at least.
type xmlField struct {
	name  string
	value *big.Int
	size  int
}

func encodeXML(root string, fields []xmlField) []byte {
	var b strings.Builder
	b.WriteString("<" + root + ">")
	for _, f := range fields {
		size := max(f.size, (f.value.BitLen()+7)/8)
		b.WriteString("<" + f.name + ">" + base64.StdEncoding.EncodeToString(f.value.FillBytes(make([]byte, size))) + "</" + f.name + ">")
	}
	b.WriteString("</" + root + ">\n")
	return []byte(b.String())
}

func xmlPublic(raw crypto.PublicKey) (root string, fields []xmlField, err error) {
	switch r := raw.(type) {
	case *rsa.PublicKey:
		return "RSAKeyValue", []xmlField{{"Modulus", r.N, 0}, {"Exponent", big.NewInt(int64(r.E)), 0}}, nil
	case *dsa.PublicKey:
		return "DSAKeyValue", []xmlField{{"P", r.P, 0}, {"Q", r.Q, 0}, {"G", r.G, r.P.BitLen() / 8}, {"Y", r.Y, r.P.BitLen() / 8}}, nil
	}
	return "", nil, unsupported("", "a key that is neither RSA nor DSA")
}

func marshalXMLPublic(k *PublicKey) ([]byte, error) {
	raw, err := rawPublic(k.Key)
	if err != nil {
		return nil, err
	}
	root, fields, err := xmlPublic(raw)
	if err != nil {
		return nil, err
	}
	return encodeXML(root, fields), nil
}

func marshalXML(k *PrivateKey, _ seal) ([]byte, error) {
	raw, err := rawPublic(k.PublicKey())
	if err != nil {
		return nil, err
	}
	root, fields, err := xmlPublic(raw)
	if err != nil {
		return nil, err
	}
	switch r := k.Raw.(type) {
	case *rsa.PrivateKey:
		// .NET wants every number at the full length of the modulus, or of half of it.
		full := (r.N.BitLen() + 7) / 8
		half := (full + 1) / 2
		r.Precompute()
		pre := r.Precomputed
		fields = append(fields, xmlField{"P", r.Primes[0], half}, xmlField{"Q", r.Primes[1], half}, xmlField{"DP", pre.Dp, half},
			xmlField{"DQ", pre.Dq, half}, xmlField{"InverseQ", pre.Qinv, half}, xmlField{"D", r.D, full})
	case *dsa.PrivateKey:
		fields = append(fields, xmlField{"X", r.X, 20})
	}
	return encodeXML(root, fields), nil
}
