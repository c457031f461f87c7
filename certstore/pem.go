package certstore

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"github.com/fairlead-ssh/fairlead/keys"
)

// pemBlocks are the types of PEM blocks that hold something for a store. Other
// blocks, such as EC PARAMETERS and X509 CRL, are passed over.
var pemBlocks = map[string]func(in *input, b *pem.Block) (Entry, error){
	"CERTIFICATE":         certBlock,
	"X509 CERTIFICATE":    certBlock,
	"TRUSTED CERTIFICATE": trustedBlock,

	"OPENSSH PRIVATE KEY":   keyBlock,
	"PRIVATE KEY":           keyBlock,
	"ENCRYPTED PRIVATE KEY": keyBlock,
	"RSA PRIVATE KEY":       keyBlock,
	"DSA PRIVATE KEY":       keyBlock,
	"EC PRIVATE KEY":        keyBlock,

	"PUBLIC KEY":     publicBlock,
	"RSA PUBLIC KEY": publicBlock,
}

// isPEM looks at the blocks, since a file may have any text in front of them.
func isPEM(data []byte) bool {
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		if pemBlocks[b.Type] != nil {
			return true
		}
	}
	return false
}

// readPEM reads keys and certificates in the order of the file.
func readPEM(in *input) ([]Entry, error) {
	var out []Entry
	for b, rest := pem.Decode(in.data); b != nil; b, rest = pem.Decode(rest) {
		read := pemBlocks[b.Type]
		if read == nil {
			continue
		}
		e, err := read(in, b)
		if err != nil {
			return nil, at(fmt.Sprintf("entry %d", len(out)+1), complete("PEM", err))
		}
		out = append(out, e)
	}
	return out, nil
}

// at says where in a store a format error was found.
func at(where string, err error) error {
	if e, ok := err.(*FormatError); ok { //nolint:errorlint // what complete returns is not wrapped
		if e.Where != "" {
			where += ", " + e.Where
		}
		e.Where = where
	}
	return err
}

func certBlock(_ *input, b *pem.Block) (Entry, error) { return certEntry(b.Bytes) }

// trustedBlock reads OpenSSL's form, a certificate with what it is trusted for
// behind it, which is not used.
func trustedBlock(_ *input, b *pem.Block) (Entry, error) {
	var cert asn1.RawValue
	if _, err := asn1.Unmarshal(b.Bytes, &cert); err != nil {
		return Entry{}, err
	}
	return certEntry(cert.FullBytes)
}

// certEntry parses a certificate in DER.
func certEntry(der []byte) (Entry, error) {
	c, err := x509.ParseCertificate(der)
	return Entry{Cert: c}, err
}

// keyBlock leaves the block to package keys, alone, as that reads the first.
func keyBlock(in *input, b *pem.Block) (Entry, error) { return keyEntry(in, pem.EncodeToMemory(b)) }

func publicBlock(_ *input, b *pem.Block) (Entry, error) { return publicEntry(pem.EncodeToMemory(b)) }

// keyEntry reads a private key with package keys. The password is looked for
// only if the key is encrypted.
func keyEntry(in *input, data []byte) (Entry, error) {
	k, err := keys.ParseLimited(data, nil, in.limits)
	if _, ok := err.(*keys.PassphraseError); ok { //nolint:errorlint // as documented
		pass, askErr := in.keyPassword("")
		if askErr != nil {
			return Entry{}, askErr
		}
		k, err = keys.ParseLimited(data, pass, in.share())
	}
	if err == nil {
		err = in.charge(len(data))
	}
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: k, Comment: k.Comment}, nil
}
