package certstore

import (
	"bytes"
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

// purse returns what all derivations of one store together may cost. That a
// store of many keys is held to what one key may cost is deliberate: usual
// stores spend a thousandth of it on each.
func purse(l keys.Limits) *pbe.Limits {
	return &pbe.Limits{Iterations: l.PBKDF2Iterations, Memory: l.Memory, MemoryPasses: l.MemoryPasses}
}

// readAlgorithm reads an AlgorithmIdentifier (RFC 5280 section 4.1.1.2).
func readAlgorithm(s *cryptobyte.String) (a pkix.AlgorithmIdentifier, ok bool) {
	var seq cryptobyte.String
	ok = s.ReadASN1(&seq, asn1.SEQUENCE) && seq.ReadASN1ObjectIdentifier(&a.Algorithm)
	if ok && !seq.Empty() {
		var p cryptobyte.String
		ok = seq.ReadAnyASN1Element(&p, new(asn1.Tag)) && seq.Empty()
		a.Parameters = encasn1.RawValue{FullBytes: p}
	}
	return a, ok
}

// openPBE decrypts. A wrong password is reported as that of the entry.
func openPBE(a pkix.AlgorithmIdentifier, data []byte, l *pbe.Limits, alias string, ask pbe.Ask) ([]byte, error) {
	out, err := pbe.Open(a, data, l, ask)
	return out, pbeError(err, alias)
}

func pbeError(err error, alias string) error {
	if errors.Is(err, pbe.ErrPassword) {
		return wrong(alias)
	}
	if e, ok := errors.AsType[*pbe.Error](err); ok {
		return &FormatError{Where: e.Where, Err: e.Err}
	}
	return err
}

// given returns a function that asks for nothing.
func given(p pbe.Password) pbe.Ask { return func() (pbe.Password, error) { return p, nil } }

// needPassword is the password of the store, which must be there.
func (in *input) needPassword() (keys.Passphrase, error) {
	p, err := in.password()
	if err == nil && len(p) == 0 {
		err = needed("")
	}
	return p, err
}

// openKey opens the private key of an entry with the passwords that were given,
// that for keys first, and, if none is right, with the one that is asked for.
// It is called for keys that are encrypted, and only for them.
func (in *input) openKey(alias string, open func(keys.Passphrase) (*keys.PrivateKey, error)) (*keys.PrivateKey, error) {
	if in.opened++; in.opened > maxEncrypted {
		return nil, bad("", "more than %d encrypted keys", maxEncrypted)
	}
	err := needed(alias)
	for _, pass := range []keys.Passphrase{in.opts.KeyPassword, in.opts.Password} {
		if len(pass) == 0 {
			continue
		}
		var k *keys.PrivateKey
		if k, err = open(pass); !isPassword(err) {
			return k, err
		}
		if bytes.Equal(in.opts.KeyPassword, in.opts.Password) {
			break
		}
	}
	pass, askErr := in.ask(alias)
	switch {
	case askErr != nil:
		return nil, askErr
	case len(pass) == 0:
		return nil, err
	}
	return open(pass)
}

func isPassword(err error) bool {
	_, ok := errors.AsType[*PasswordError](err)
	return ok
}

// encryptedKey reads EncryptedPrivateKeyInfo (RFC 5208 section 6).
func encryptedKey(der []byte) (a pkix.AlgorithmIdentifier, data []byte, err error) {
	s := cryptobyte.String(der)
	var seq, octets cryptobyte.String
	ok := s.ReadASN1(&seq, asn1.SEQUENCE) && s.Empty()
	if ok {
		a, ok = readAlgorithm(&seq)
	}
	if !ok || !seq.ReadASN1(&octets, asn1.OCTET_STRING) || !seq.Empty() {
		return a, nil, errors.New("not an encrypted private key")
	}
	return a, octets, nil
}

// byChance tells whether what came out of a decryption was no key: where
// nothing but padding tells a wrong password, one in 256 gives that.
func byChance(err error) bool {
	return err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, errPrivate)
}

// pkcs8 leaves a private key in the clear to package keys, which checks its
// numbers before anything is computed with them.
func (in *input) pkcs8(der []byte) (*keys.PrivateKey, error) {
	if err := in.charge(len(der)); err != nil {
		return nil, err
	}
	return keys.Parse(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
}
