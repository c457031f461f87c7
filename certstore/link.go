package certstore

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	gossh "golang.org/x/crypto/ssh"
)

// maxRSABits bounds the RSA keys that anything is computed with.
const maxRSABits = 16384

// keyID returns what tells a public key from others, nil for kinds of keys that
// SSH does not have.
func keyID(k crypto.PublicKey) []byte {
	if r, ok := k.(*rsa.PublicKey); ok && r.N.BitLen() > maxRSABits {
		return nil
	}
	if k == nil {
		return nil
	}
	p, err := gossh.NewPublicKey(k)
	if err != nil {
		return nil
	}
	return p.Marshal()
}

// stated returns the public key in SSH's form that the store has as such.
func (e *Entry) stated() gossh.PublicKey {
	switch {
	case e.Key != nil:
		return e.Key.PublicKey()
	case e.Public != nil:
		return e.Public
	case e.SSHCert != nil:
		return e.SSHCert.Key
	}
	return nil
}

// raw returns the public key of an entry in the standard library's form.
func (e *Entry) raw() crypto.PublicKey {
	switch {
	case e.Cert != nil:
		return e.Cert.PublicKey
	case e.Signer != nil:
		return e.Signer.Public()
	}
	if c, ok := e.stated().(gossh.CryptoPublicKey); ok {
		return c.CryptoPublicKey()
	}
	return nil
}

// public returns the public key of an entry in SSH's form, nil if SSH has none
// for it.
func (e *Entry) public() gossh.PublicKey {
	if k := e.stated(); k != nil {
		return k
	}
	raw := e.raw()
	if keyID(raw) == nil {
		return nil
	}
	k, _ := gossh.NewPublicKey(raw)
	return k
}

func (e *Entry) keyID() []byte {
	p := e.public()
	if p == nil {
		return nil
	}
	return p.Marshal()
}

// private tells whether the entry can sign.
func (e *Entry) private() bool { return e.Key != nil || e.Signer != nil }

// link brings together what belongs together: a private key that stands alone
// joins the first certificate of the same public key, and certificates get
// their issuers. It returns what is left, in its order.
func link(entries []Entry) ([]Entry, error) {
	if len(entries) > maxEntries {
		return nil, bad("", "%d entries, at most %d", len(entries), maxEntries)
	}
	bare := map[string]int{} // keys without a certificate
	for i := range entries {
		if err := entries[i].check(); err != nil {
			return nil, at(fmt.Sprintf("entry %d", i+1), err)
		}
		if e := &entries[i]; e.private() && e.Cert == nil && e.SSHCert == nil {
			if id := e.keyID(); id != nil {
				if _, twice := bare[string(id)]; !twice {
					bare[string(id)] = i
				}
			}
		}
	}
	gone := make([]bool, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.private() || e.Cert == nil && e.SSHCert == nil || len(bare) == 0 {
			continue
		}
		id := string(e.keyID())
		at, ok := bare[id]
		if !ok {
			continue
		}
		k := &entries[at]
		e.Key, e.Signer = k.Key, k.Signer
		e.Alias, e.Comment = cmp.Or(e.Alias, k.Alias), cmp.Or(e.Comment, k.Comment)
		gone[at] = true
		delete(bare, id)
	}
	out := make([]Entry, 0, len(entries))
	for i, e := range entries {
		if !gone[i] {
			out = append(out, e)
		}
	}
	chains(out)
	return out, nil
}

// check refuses an entry whose parts belong to different keys: the certificate
// would be shown, and the other key would sign.
func (e *Entry) check() error {
	if !e.private() {
		return nil
	}
	key := Entry{Key: e.Key, Signer: e.Signer}
	if e.Cert != nil && !equalKeys(key.raw(), e.Cert.PublicKey) || e.SSHCert != nil && !bytes.Equal(key.keyID(), (&Entry{Public: e.SSHCert.Key}).keyID()) {
		return bad("", "the private key and the certificate of the entry do not belong together")
	}
	return nil
}

// chains finds the issuers of certificates whose store does not say them, by
// name, and by key identifier where both have one (RFC 5280 section 4.2.1.1).
// Signatures are not checked: that would be work that a file may ask for.
func chains(entries []Entry) {
	bySubject := map[string][]*x509.Certificate{}
	for i := range entries {
		if c := entries[i].Cert; c != nil {
			bySubject[string(c.RawSubject)] = append(bySubject[string(c.RawSubject)], c)
		}
	}
	for i := range entries {
		e := &entries[i]
		if e.Cert == nil || e.Chain != nil {
			continue
		}
		for c := e.Cert; len(e.Chain) < maxChain && !bytes.Equal(c.RawIssuer, c.RawSubject); {
			if c = issuer(c, bySubject[string(c.RawIssuer)]); c == nil || c == e.Cert || slices.Contains(e.Chain, c) {
				break
			}
			e.Chain = append(e.Chain, c)
		}
	}
}

// issuer chooses the issuer of c among certificates of its name.
func issuer(c *x509.Certificate, named []*x509.Certificate) *x509.Certificate {
	const most = 64 // of one name: a file may have thousands
	for _, p := range named[:min(len(named), most)] {
		if len(c.AuthorityKeyId) == 0 || len(p.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, p.SubjectKeyId) {
			return p
		}
	}
	return nil
}
