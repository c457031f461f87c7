package certstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// A Certificate is an X.509 certificate with or without its private key, or a
// key alone, together with what else the store says about it. The zero value is
// empty and cannot sign. A Certificate is immutable and may be used
// concurrently; what it returns by reference is shared and must not be changed.
type Certificate struct {
	e        Entry
	typ      Type
	location string
	store    *Store // to be closed with it
}

// NewCertificate makes a Certificate from parts that come from elsewhere, such
// as a crypto.Signer of a key service. It fails if the private key does not
// belong to the certificate.
func NewCertificate(e Entry) (*Certificate, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return &Certificate{e: e, typ: Auto}, nil
}

// Entry returns what the store holds.
func (c *Certificate) Entry() Entry { return c.e }

// StoreType returns the type that its store was opened as.
func (c *Certificate) StoreType() Type { return c.typ }

// Store returns the path or the name of its store, empty for one in memory.
func (c *Certificate) Store() string { return c.location }

// Alias returns the name of the entry in its store.
func (c *Certificate) Alias() string { return c.e.Alias }

// X509 returns the X.509 certificate, or nil.
func (c *Certificate) X509() *x509.Certificate { return c.e.Cert }

// Chain returns the issuers of the certificate that its store has, the nearest
// first. None of them is verified.
func (c *Certificate) Chain() []*x509.Certificate { return slices.Clone(c.e.Chain) }

// PublicKey returns the public key, or nil if there is none or SSH has no such
// kind of key.
func (c *Certificate) PublicKey() gossh.PublicKey { return c.e.public() }

// HasPrivateKey tells whether a private key is there, and so whether the
// certificate can be a server's key (PrivateKeyAvailable of SFTPServer).
func (c *Certificate) HasPrivateKey() bool { return c.e.private() }

// Close releases what a Certificate from Load or LoadFor holds open, such as a
// session with a token; it cannot sign afterwards. On a Certificate of a Store
// it does nothing. It may be called more than once.
func (c *Certificate) Close() error {
	if c.store == nil {
		return nil
	}
	return c.store.Close()
}

// String returns the subject, or type and fingerprint of a key that has none.
// Nothing in it is secret.
func (c *Certificate) String() string {
	if c == nil {
		return "no certificate"
	}
	if s := c.Subject(); s != "" {
		return s
	}
	k := c.PublicKey()
	if k == nil {
		return "no certificate"
	}
	return k.Type() + " " + gossh.FingerprintSHA256(k)
}

// Format prints what String returns, with every verb.
func (c Certificate) Format(s fmt.State, verb rune) {
	if verb != 's' && verb != 'q' {
		verb = 'v'
	}
	_, _ = fmt.Fprintf(s, "%"+string(verb), c.String())
}

// LogValue is String for log/slog.
func (c *Certificate) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Signer returns a signer for the private key as a plain SSH key, without its certificate. It is
// also a gossh.MultiAlgorithmSigner. Without a private key the error is [ErrNoMatch].
func (c *Certificate) Signer() (gossh.Signer, error) {
	switch {
	case c.e.Key != nil:
		return c.e.Key.Signer, nil
	case c.e.Signer != nil:
		s, err := gossh.NewSignerFromSigner(c.e.Signer)
		if err != nil {
			return nil, fmt.Errorf("certstore: signer: %w", err)
		}
		return s, nil
	}
	return nil, fmt.Errorf("certstore: signer: no private key: %w", ErrNoMatch)
}

// Signers returns a signer for each form in which the key can be a server's host key, for ssh2.Server.HostKeys: the
// plain key, then its certificate of OpenSSH, then its X.509 certificate with the chain, under every algorithm of RFC
// 6187 and of the draft before it that fits the key. The server's list of host key algorithms decides which of them it
// offers; by default it does not offer those of X.509.
func (c *Certificate) Signers() ([]gossh.Signer, error) {
	plain, err := c.Signer()
	if err != nil {
		return nil, err
	}
	out := []gossh.Signer{plain}
	if c.e.SSHCert != nil {
		s, err := gossh.NewCertSigner(c.e.SSHCert, plain)
		if err != nil {
			return nil, fmt.Errorf("certstore: signer: %w", err)
		}
		out = append(out, s)
	}
	if c.e.Cert == nil {
		return out, nil
	}
	for _, a := range keys.X509Algorithms() {
		k, err := keys.NewX509Key(a.Name, c.sent(), nil)
		if err != nil { // a chain may be too long; the certificate alone is allowed
			if k, err = keys.NewX509Key(a.Name, []*x509.Certificate{c.e.Cert}, nil); err != nil {
				continue // an algorithm for other keys
			}
		}
		s, err := keys.NewX509Signer(k, plain)
		if err != nil {
			return nil, fmt.Errorf("certstore: signer: %w", err)
		}
		out = append(out, s)
	}
	return out, nil
}

// sent is the chain as it is sent: without the root, which a peer that does not
// have it would not believe (RFC 6187 section 2.1).
func (c *Certificate) sent() []*x509.Certificate {
	out := []*x509.Certificate{c.e.Cert}
	for _, p := range c.e.Chain {
		if !bytes.Equal(p.RawSubject, p.RawIssuer) {
			out = append(out, p)
		}
	}
	return out
}

// hash returns the hash of the certificate, or of the key if there is none.
func (c *Certificate) hash(h crypto.Hash) []byte {
	if c.e.Cert != nil {
		return sum(h, c.e.Cert.Raw)
	}
	return c.keyHash(h)
}

// keyHash returns the hash of the public key, nil if SSH has none for it.
func (c *Certificate) keyHash(h crypto.Hash) []byte {
	id := c.e.keyID()
	if id == nil {
		return nil
	}
	return sum(h, id)
}

func sum(h crypto.Hash, p []byte) []byte {
	d := h.New()
	d.Write(p)
	return d.Sum(nil)
}
