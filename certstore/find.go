package certstore

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// thumbprintPrefix is in front of a subject that is none.
const thumbprintPrefix = "Thumbprint="

// Find returns the entry that subject selects:
//
//   - "*": any entry.
//   - "Thumbprint=" and the MD5, SHA-1 or SHA-256 of the certificate in hex,
//     with or without colons. A key that has no certificate has its fingerprint.
//   - A distinguished name such as `CN=www.example.com, O="Example, Inc."`: the
//     certificate whose subject it is. Order and case of the fields do not
//     count, values with commas must be quoted, and S and ST are the same.
//     Otherwise a certificate whose subject has the text, or all the fields,
//     in it. A key that has no certificate goes by its alias or comment.
//     Otherwise the certificate that the store has under that alias, in any case.
//
// If several fit, the first with a private key is taken, or else the first. If
// none does, or subject is empty, the error is [ErrNoMatch], and says what the store
// has: subjects and aliases of up to eight entries.
func (s *Store) Find(subject string) (*Certificate, error) {
	c, err := s.find(subject)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, s.holds())
	}
	return c, nil
}

// maxNamed bounds how many entries an error names.
const maxNamed = 8

// holds says what there is to find.
func (s *Store) holds() string {
	if len(s.certs) == 0 {
		return "the store is empty"
	}
	var names []string
	for _, c := range s.certs[:min(len(s.certs), maxNamed)] {
		switch name := cmp.Or(c.Subject(), c.e.Alias); name {
		case "":
			names = append(names, "a key without a name")
		default:
			names = append(names, fmt.Sprintf("%+q", clip(name)))
		}
	}
	text := "the store has " + strings.Join(names, ", ")
	if more := len(s.certs) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (s *Store) find(subject string) (*Certificate, error) {
	subject = strings.TrimSpace(subject)
	switch {
	case subject == "":
		return nil, fmt.Errorf("certstore: find: no subject: %w", ErrNoMatch)
	case subject == "*":
		return s.first(subject, func(*Certificate) bool { return true })
	case len(subject) >= len(thumbprintPrefix) && strings.EqualFold(subject[:len(thumbprintPrefix)], thumbprintPrefix):
		return s.findThumbprint(subject[len(thumbprintPrefix):])
	}
	want, isName := parseSubject(subject)
	if c, err := s.first(subject, func(c *Certificate) bool {
		if c.e.Cert == nil {
			return c.e.Alias == subject || c.e.Comment == subject
		}
		name := parseName(c.e.Cert.RawSubject)
		return isName && len(want) == len(name) && has(name, want)
	}); err == nil {
		return c, nil
	}
	text := strings.ToLower(subject)
	c, err := s.first(subject, func(c *Certificate) bool {
		if c.e.Cert == nil {
			return strings.Contains(strings.ToLower(c.e.Alias), text) || strings.Contains(strings.ToLower(c.e.Comment), text)
		}
		return strings.Contains(strings.ToLower(c.Subject()), text) || isName && has(parseName(c.e.Cert.RawSubject), want)
	})
	if err == nil {
		return c, nil
	}
	return s.first(subject, func(c *Certificate) bool { return strings.EqualFold(c.e.Alias, subject) })
}

// first returns the first entry that fits, before it the first that can sign.
func (s *Store) first(what string, fits func(*Certificate) bool) (*Certificate, error) {
	var found *Certificate
	for _, c := range s.certs {
		if (found == nil || c.HasPrivateKey()) && fits(c) {
			if found = c; c.HasPrivateKey() {
				break
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("certstore: find %+q: %w", clip(what), ErrNoMatch)
	}
	return found, nil
}

// findThumbprint finds by the hash of a certificate in hex.
func (s *Store) findThumbprint(text string) (*Certificate, error) {
	sum, err := parseThumbprint(text)
	if err != nil {
		return nil, err
	}
	return s.first(thumbprintPrefix+text, func(c *Certificate) bool { return bytes.Equal(c.hash(sum.hash), sum.sum) })
}

type thumbprint struct {
	hash crypto.Hash
	sum  []byte
}

// thumbprintHashes are the hashes by the length of their sums.
var thumbprintHashes = map[int]crypto.Hash{16: crypto.MD5, 20: crypto.SHA1, 32: crypto.SHA256}

// parseThumbprint takes what programs print: besides colons there may be
// blanks, and what Windows puts in front of what one copies.
func parseThumbprint(text string) (thumbprint, error) {
	digits := strings.Map(func(r rune) rune {
		if r == ':' || r == ' ' || r == '-' || r == '\u200e' {
			return -1
		}
		return r
	}, text)
	sum, err := hex.DecodeString(digits)
	h, ok := thumbprintHashes[len(sum)]
	if err != nil || !ok {
		return thumbprint{}, fmt.Errorf("certstore: find: thumbprint %+q is not the MD5, SHA-1 or SHA-256 of anything: %w", clip(text), ErrNoMatch)
	}
	return thumbprint{h, sum}, nil
}

// FindFor returns the private key of the store that belongs to cert, with that
// certificate. If there is none, the error is [ErrNoMatch].
func (s *Store) FindFor(cert *x509.Certificate) (*Certificate, error) {
	if cert == nil {
		return nil, fmt.Errorf("certstore: find: no certificate: %w", ErrNoMatch)
	}
	for _, c := range s.certs {
		if c.HasPrivateKey() && c.e.Cert != nil && c.e.Cert.Equal(cert) {
			return c, nil
		}
	}
	mine, err := s.keyFor(func(c *Certificate) bool { return equalKeys(c.e.raw(), cert.PublicKey) })
	if err != nil {
		return nil, fmt.Errorf("certstore: find the key of %+q: %w", clip(printName(parseName(cert.RawSubject))), fmt.Errorf("%w: %s", err, s.holds()))
	}
	mine.e.Cert, mine.e.Chain = cert, nil
	issuers := []Entry{mine.e}
	for _, c := range s.certs {
		issuers = append(issuers, Entry{Cert: c.e.Cert, Chain: c.e.Chain})
	}
	chains(issuers)
	mine.e.Chain = issuers[0].Chain
	return mine, nil
}

// FindForSSH returns the private key of the store that belongs to a certificate
// of OpenSSH, with that certificate: what sshd has as HostKey and
// HostCertificate. If there is none, the error is [ErrNoMatch].
func (s *Store) FindForSSH(cert *gossh.Certificate) (*Certificate, error) {
	if cert == nil {
		return nil, fmt.Errorf("certstore: find: no certificate: %w", ErrNoMatch)
	}
	id := cert.Key.Marshal()
	mine, err := s.keyFor(func(c *Certificate) bool { return bytes.Equal(c.e.keyID(), id) })
	if err != nil {
		return nil, fmt.Errorf("certstore: find the key of %+q: %w", clip(cert.KeyId), fmt.Errorf("%w: %s", err, s.holds()))
	}
	mine.e.SSHCert = cert
	return mine, nil
}

// keyFor returns a copy of the first entry that can sign and fits.
func (s *Store) keyFor(fits func(*Certificate) bool) (*Certificate, error) {
	for _, c := range s.certs {
		if c.HasPrivateKey() && fits(c) {
			mine := *c
			return &mine, nil
		}
	}
	return nil, ErrNoMatch
}

// equalKeys compares public keys.
func equalKeys(a, b crypto.PublicKey) bool {
	if e, ok := a.(interface{ Equal(crypto.PublicKey) bool }); ok {
		return e.Equal(b)
	}
	id := keyID(a) // DSA
	return id != nil && bytes.Equal(id, keyID(b))
}
