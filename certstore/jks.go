package certstore

import (
	"crypto/hmac"
	"crypto/sha1" // the format names it
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

// The two formats of Java's key stores differ in their first octets, in how
// keys are encrypted, and in the secret keys that JCEKS may hold.
const (
	jksMagic   = "\xFE\xED\xFE\xED"
	jceksMagic = "\xCE\xCE\xCE\xCE"
)

func isJKS(data []byte) bool { return strings.HasPrefix(string(data), jksMagic) }

func readJKS(in *input) ([]Entry, error) { return readJavaStore(in, jksKey) }

var (
	errJKS    = errors.New("cut short, or not a key store of Java")
	oidJKSKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 17, 1, 1}
)

// javaKey opens the private key of an entry with one password.
type javaKey func(in *input, l *pbe.Limits, alias string, der []byte, pass keys.Passphrase) (*keys.PrivateKey, error)

// The kinds of entries.
const (
	javaPrivate = 1
	javaTrusted = 2
	javaSecret  = 3
)

// readJavaStore reads what both formats share. The password is needed even for
// a store of certificates alone: without it nothing tells that they are still
// those that were put there.
func readJavaStore(in *input, open javaKey) ([]Entry, error) {
	pass, err := in.needPassword()
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(in.data)
	var version, count uint32
	if len(s) < sha1.Size || !s.Skip(len(jksMagic)) || !s.ReadUint32(&version) || !s.ReadUint32(&count) {
		return nil, errJKS
	}
	if version != 1 && version != 2 {
		return nil, unsupported("", fmt.Sprintf("version %d", version))
	}
	body, sum := in.data[:len(in.data)-sha1.Size], in.data[len(in.data)-sha1.Size:]
	h := sha1.New()
	h.Write(pbe.BMP(pass))
	h.Write([]byte("Mighty Aphrodite")) // so it is written
	h.Write(body)
	if !hmac.Equal(h.Sum(nil), sum) {
		return nil, wrong("")
	}
	if count > maxEntries {
		return nil, bad("", "%d entries, at most %d are read", count, maxEntries)
	}
	if len(s) < sha1.Size {
		return nil, errJKS
	}
	s = s[:len(s)-sha1.Size]
	l := purse(in.limits)
	var out []Entry
	for n := range count {
		e, err := javaEntry(in, &s, version, l, open)
		if err != nil {
			return nil, at(fmt.Sprintf("entry %d", n+1), complete("", err))
		}
		out = append(out, e)
	}
	if !s.Empty() {
		return nil, errJKS
	}
	return out, nil
}

func javaEntry(in *input, s *cryptobyte.String, version uint32, l *pbe.Limits, open javaKey) (e Entry, err error) {
	var kind uint32
	var alias cryptobyte.String
	if !s.ReadUint32(&kind) || !s.ReadUint16LengthPrefixed(&alias) || !s.Skip(8) { // a date
		return e, errJKS
	}
	e.Alias = strings.ToValidUTF8(string(alias), "\uFFFD")
	switch kind {
	case javaPrivate:
		var count uint32
		der, ok := javaOctets(s)
		if !ok || !s.ReadUint32(&count) {
			return e, errJKS
		}
		if count > maxChain {
			return e, bad("", "%d certificates, at most %d", count, maxChain)
		}
		for i := range count {
			c, err := javaCert(s, version)
			switch {
			case err != nil:
				return e, err
			case i == 0:
				e.Cert = c.Cert
			default:
				e.Chain = append(e.Chain, c.Cert)
			}
		}
		e.Key, err = in.openKey(e.Alias, func(pass keys.Passphrase) (*keys.PrivateKey, error) { return open(in, l, e.Alias, der, pass) })
	case javaTrusted:
		var c Entry
		c, err = javaCert(s, version)
		e.Cert = c.Cert
	case javaSecret: // a serialized object, whose end only Java finds
		err = unsupported("", "a store with secret keys")
	default:
		err = bad("", "an entry of kind %d", kind)
	}
	return e, err
}

// javaOctets reads a string with its length in front.
func javaOctets(s *cryptobyte.String) (p []byte, ok bool) {
	var n uint32
	ok = s.ReadUint32(&n) && n <= maxStore && s.ReadBytes(&p, int(n))
	return p, ok
}

// javaCert reads a certificate. Version 2 says that it is one of X.509.
func javaCert(s *cryptobyte.String, version uint32) (Entry, error) {
	var kind cryptobyte.String
	if version == 2 && !s.ReadUint16LengthPrefixed(&kind) {
		return Entry{}, errJKS
	}
	if version == 2 && string(kind) != "X.509" && string(kind) != "X509" {
		return Entry{}, unsupported("", fmt.Sprintf("a certificate of type %+q", clip(string(kind))))
	}
	der, ok := javaOctets(s)
	if !ok {
		return Entry{}, errJKS
	}
	return certEntry(der)
}

// jksKey opens a key of JKS: a salt, the key under a stream of chained SHA-1,
// and a digest of it.
func jksKey(in *input, _ *pbe.Limits, alias string, der []byte, text keys.Passphrase) (*keys.PrivateKey, error) {
	a, data, err := encryptedKey(der)
	if err != nil {
		return nil, err
	}
	if !a.Algorithm.Equal(oidJKSKey) {
		return nil, unsupported("encryption", a.Algorithm.String())
	}
	if len(data) < 2*sha1.Size {
		return nil, errJKS
	}
	pass := pbe.BMP(text)
	hash := func(p []byte) []byte {
		h := sha1.New()
		h.Write(pass)
		h.Write(p)
		return h.Sum(nil)
	}
	chain, sum := data[:sha1.Size], data[len(data)-sha1.Size:]
	key := make([]byte, len(data)-2*sha1.Size)
	for out, p := key, data[sha1.Size:len(data)-sha1.Size]; len(p) > 0; {
		chain = hash(chain)
		n := subtle.XORBytes(out, p, chain)
		out, p = out[n:], p[n:]
	}
	if !hmac.Equal(hash(key), sum) {
		return nil, wrong(alias)
	}
	return in.pkcs8(key)
}
