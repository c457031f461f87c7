package certstore

import (
	"crypto/hmac"
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

// isBCFKS detects two sequences, or one and a tag 0 in place of the second,
// the first of them an AlgorithmIdentifier and an octet string.
func isBCFKS(data []byte) bool {
	tags := shape(data, 3)
	signed := asn1.Tag(0).ContextSpecific().Constructed()
	if len(tags) != 2 || tags[0] != asn1.SEQUENCE || tags[1] != asn1.SEQUENCE && tags[1] != signed {
		return false
	}
	s := cryptobyte.String(data)
	var store, first cryptobyte.String
	return s.ReadASN1(&store, asn1.SEQUENCE) && store.ReadASN1Element(&first, asn1.SEQUENCE) &&
		slices.Equal(shape(first, 3), []asn1.Tag{asn1.SEQUENCE, asn1.OCTET_STRING})
}

var errBCFKS = errors.New("not as Bouncy Castle writes it")

// What keys are derived for; each goes behind the password.
const (
	bcfksStore     = "STORE_ENCRYPTION"
	bcfksIntegrity = "INTEGRITY_CHECK"
	bcfksKey       = "PRIVATE_KEY_ENCRYPTION"
)

// The kinds of ObjectData.
const (
	bcfksCertificate     = 0
	bcfksPrivateKey      = 1
	bcfksSecretKey       = 2
	bcfksProtectedKey    = 3
	bcfksProtectedSecret = 4
)

// readBCFKS reads a store of Bouncy Castle's FIPS provider, whose layout is
// ObjectStore in its package org.bouncycastle.asn1.bc; there is no other
// specification. A store that is protected by a signature is refused: there is
// nothing to check the signature with.
func readBCFKS(in *input) ([]Entry, error) {
	s := cryptobyte.String(in.data)
	var store, check, data cryptobyte.String
	switch {
	case !s.ReadASN1(&store, asn1.SEQUENCE) || !s.Empty() || !store.ReadASN1Element(&data, asn1.SEQUENCE):
		return nil, errBCFKS
	case store.PeekASN1Tag(asn1.Tag(0).ContextSpecific().Constructed()):
		return nil, unsupported("", "integrity by a signature")
	case !store.ReadASN1(&check, asn1.SEQUENCE) || !store.Empty():
		return nil, errBCFKS
	}
	pass, err := in.needPassword()
	if err != nil {
		return nil, err
	}
	l := purse(in.limits)

	// PbkdMacIntegrityCheck, before anything else is believed.
	mac, ok1 := readAlgorithm(&check)
	kdf, ok2 := readAlgorithm(&check)
	var sum cryptobyte.String
	if !ok1 || !ok2 || !check.ReadASN1(&sum, asn1.OCTET_STRING) || !check.Empty() {
		return nil, errBCFKS
	}
	b := &bcfks{in: in, purse: l}
	for {
		got, err := pbe.MAC(b.amend(kdf), mac, data, l, given(bcfksPassword(pass, bcfksIntegrity)))
		if err != nil {
			return nil, pbeError(err, "")
		}
		if hmac.Equal(got, sum) {
			break
		}
		if b.wide || !kdf.Algorithm.Equal(oidScrypt) {
			return nil, wrong("")
		}
		b.wide = true
	}

	// EncryptedObjectStoreData.
	a, sealed, err := encryptedKey(data) // the same two fields
	if err != nil {
		return nil, errBCFKS
	}
	plain, err := openPBE(b.amend(a), sealed, l, "", given(bcfksPassword(pass, bcfksStore)))
	if err != nil {
		return nil, err
	}
	return b.objects(plain)
}

// bcfks is a store of Bouncy Castle that is being read.
type bcfks struct {
	in    *input
	purse *pbe.Limits
	// wide is set for a store whose scrypt has the block size for its
	// parallelization: Bouncy Castle (1.78) writes the one and computes with the
	// other.
	wide bool
}

var (
	oidScrypt = encasn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidPBES2  = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
)

// amend returns the parameters that a key was derived with. Those it cannot
// read it leaves to be found wrong.
func (b *bcfks) amend(a pkix.AlgorithmIdentifier) pkix.AlgorithmIdentifier {
	if !b.wide {
		return a
	}
	var amended pkix.AlgorithmIdentifier
	var err error
	switch {
	case a.Algorithm.Equal(oidScrypt):
		var p struct {
			Salt      []byte
			N, R, P   int64
			KeyLength int `asn1:"optional"`
		}
		if _, err = encasn1.Unmarshal(a.Parameters.FullBytes, &p); err == nil {
			p.P = p.R
			amended, err = pbe.Algorithm(a.Algorithm, p)
		}
	case a.Algorithm.Equal(oidPBES2):
		var p struct{ KDF, Cipher pkix.AlgorithmIdentifier }
		if _, err = encasn1.Unmarshal(a.Parameters.FullBytes, &p); err == nil && p.KDF.Algorithm.Equal(oidScrypt) {
			p.KDF = b.amend(p.KDF)
			amended, err = pbe.Algorithm(a.Algorithm, p)
		}
	}
	if err != nil || amended.Algorithm == nil {
		return a
	}
	return amended
}

// bcfksPassword is a password for a purpose: PKCS#12's encoding of the one,
// zero included, and of the other behind it.
func bcfksPassword(pass []byte, purpose string) pbe.Password {
	return pbe.Password{Text: slices.Concat(pbe.Text(pass).BMP, pbe.Text([]byte(purpose)).BMP)}
}

// objects reads ObjectStoreData.
func (b *bcfks) objects(data []byte) ([]Entry, error) {
	s := cryptobyte.String(data)
	var store, objects cryptobyte.String
	if !s.ReadASN1(&store, asn1.SEQUENCE) || !s.Empty() || !store.SkipASN1(asn1.INTEGER) || !store.SkipASN1(asn1.SEQUENCE) ||
		!store.SkipASN1(asn1.GeneralizedTime) || !store.SkipASN1(asn1.GeneralizedTime) || !store.ReadASN1(&objects, asn1.SEQUENCE) {
		return nil, errBCFKS
	}
	var out []Entry
	for n := 1; !objects.Empty(); n++ {
		if n > maxEntries {
			return nil, bad("", "more than %d entries", maxEntries)
		}
		var object, name, octets cryptobyte.String
		var kind int
		if !objects.ReadASN1(&object, asn1.SEQUENCE) || !object.ReadASN1Integer(&kind) || !object.ReadASN1(&name, asn1.UTF8String) ||
			!object.SkipASN1(asn1.GeneralizedTime) || !object.SkipASN1(asn1.GeneralizedTime) || !object.ReadASN1(&octets, asn1.OCTET_STRING) {
			return nil, errBCFKS
		}
		e := Entry{Alias: strings.ToValidUTF8(string(name), "\uFFFD")}
		var err error
		switch kind {
		case bcfksCertificate:
			var c Entry
			c, err = certEntry(octets)
			e.Cert = c.Cert
		case bcfksPrivateKey, bcfksProtectedKey:
			err = b.private(&e, octets)
		case bcfksSecretKey, bcfksProtectedSecret: // no key of SSH
			continue
		default:
			err = bad("", "an entry of kind %d", kind)
		}
		if err != nil {
			return nil, at(fmt.Sprintf("entry %d", n), complete("", err))
		}
		out = append(out, e)
	}
	return out, nil
}

// private reads EncryptedPrivateKeyData: a key and its certificates.
func (b *bcfks) private(e *Entry, data []byte) error {
	s := cryptobyte.String(data)
	var seq, key, chain cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !s.Empty() || !seq.ReadASN1Element(&key, asn1.SEQUENCE) ||
		!seq.Empty() && !seq.ReadASN1(&chain, asn1.SEQUENCE) || !seq.Empty() {
		return errBCFKS
	}
	for !chain.Empty() {
		var der cryptobyte.String
		if !chain.ReadASN1Element(&der, asn1.SEQUENCE) {
			return errBCFKS
		}
		c, err := certEntry(der)
		switch {
		case err != nil:
			return err
		case e.Cert == nil:
			e.Cert = c.Cert
		case len(e.Chain) == maxChain:
			return bad("", "more than %d certificates", maxChain)
		default:
			e.Chain = append(e.Chain, c.Cert)
		}
	}
	a, sealed, err := encryptedKey(key)
	if err != nil {
		return err
	}
	e.Key, err = b.in.openKey(e.Alias, func(pass keys.Passphrase) (*keys.PrivateKey, error) {
		der, err := openPBE(b.amend(a), sealed, b.purse, e.Alias, given(bcfksPassword(pass, bcfksKey)))
		if err != nil {
			return nil, err
		}
		return b.in.pkcs8(der)
	})
	return err
}
