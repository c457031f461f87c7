package kex

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"io"
	"slices"
)

// Sizes of sntrup761, in octets.
const (
	sntrupKey     = 1158 // a public key: an element of R/q
	sntrupRounded = 1007 // an element of R/q whose coefficients are multiples of 3
	sntrupHash    = 32   // the first half of a SHA-512
	sntrupText    = sntrupRounded + sntrupHash
)

// sntrup761 is Streamlined NTRU Prime, the version of round 3 of NIST's
// competition (RFC 9941 §2 says how SSH uses it). Nothing in it branches on a
// secret or takes one as an index, and divisions are of public numbers only.
// All texts and keys of the right length are valid: what does not decrypt opens
// to a secret nobody knows, as with ML-KEM.
var sntrup761 = &kem{
	keySize:  sntrupKey,
	textSize: sntrupText,
	generate: func() ([]byte, func([]byte) ([]byte, error), error) {
		k, err := newSntrup(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return k.public, func(text []byte) ([]byte, error) { return k.open(text), nil }, nil
	},
	encapsulate: func(public []byte) ([]byte, []byte, error) { return sntrupSeal(rand.Reader, public) },
}

// sntrupSecret is the secret key: the names are those of the specification,
// where the public key is h = g/3f.
type sntrupSecret struct {
	public []byte
	f      small
	ginv   small  // 1/g in R/3
	rho    []byte // stands for the plaintext of a text that is not valid
}

func newSntrup(random io.Reader) (*sntrupSecret, error) {
	k := &sntrupSecret{rho: make([]byte, smallSize)}
	var g small
	for invertible := false; !invertible; { // says nothing of the g that is kept
		if err := g.random(random); err != nil {
			return nil, err
		}
		k.ginv, invertible = g.inverse()
	}
	if err := k.f.randomShort(random); err != nil {
		return nil, err
	}
	h := k.f.inverseOf3()
	h = h.times(&g)
	k.public = h.encode()
	_, err := io.ReadFull(random, k.rho)
	return k, err
}

// sntrupSeal makes a secret and the text that gives it to the owner of public.
func sntrupSeal(random io.Reader, public []byte) (secret, text []byte, err error) {
	var r small
	if err := r.randomShort(random); err != nil {
		return nil, nil, err
	}
	plain, text := sntrupHide(&r, public)
	return sntrupSession(1, plain, text), text, nil
}

// open returns the secret in a text of the right length.
func (k *sntrupSecret) open(text []byte) []byte {
	c := decodeRounded(text)
	r := k.decrypt(&c)
	plain, again := sntrupHide(&r, k.public)
	same := subtle.ConstantTimeCompare(again, text)
	subtle.ConstantTimeCopy(1-same, plain, k.rho)
	return sntrupSession(byte(same), plain, text)
}

// decrypt returns the small r with c = Round(h·r), or something of the right
// weight if there is none.
func (k *sntrupSecret) decrypt(c *element) small {
	cf := c.times(&k.f)
	var e small
	for i, x := range cf {
		e[i] = int8(mod3(int32(modQ(3 * int64(x)))))
	}
	r := e.times3(&k.ginv)
	weight := 0
	for _, x := range r {
		weight += int(x & 1)
	}
	good := int8(-subtle.ConstantTimeEq(int32(weight), sntrupW))
	for i := range r {
		instead := int8(0)
		if i < sntrupW {
			instead = 1
		}
		r[i] = instead ^ good&(r[i]^instead)
	}
	return r
}

// sntrupHide encrypts r. It returns r's octets and the text: the rounded h·r
// and a hash that confirms it.
func sntrupHide(r *small, public []byte) (plain, text []byte) {
	h := decodeElement(public)
	c := h.times(r)
	plain = r.encode()
	text = c.encodeRounded()
	confirm := sntrupSum(2, sntrupSum(3, plain), sntrupSum(4, public))
	return plain, append(text, confirm...)
}

// sntrupSession is the secret that belongs to a text; valid is 1 for one that
// decrypts and 0 otherwise.
func sntrupSession(valid byte, plain, text []byte) []byte {
	return sntrupSum(valid, sntrupSum(3, plain), text)
}

func sntrupSum(prefix byte, parts ...[]byte) []byte {
	h := sha512.New()
	h.Write([]byte{prefix})
	h.Write(slices.Concat(parts...))
	return h.Sum(nil)[:sntrupHash]
}
