package certstore

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/keys"
)

// A Source is a place to load a [Certificate] from, as settings give it. The
// zero value refuses.
type Source struct {
	// Type is the kind of store. The zero value finds it by looking: see [User].
	Type Type
	// Store is the path of a file, the text of a store in memory, or a name: see
	// [Open].
	Store string
	// StoreB, if not nil, is the store itself; Store is then not used.
	StoreB []byte
	// Password opens the store.
	Password keys.Passphrase
	// KeyPassword opens the private key, where it has another password.
	KeyPassword keys.Passphrase
	// Subject selects: see [Store.Find]. Empty, it stands for "*".
	Subject string
	// Encoded, if not nil, is a certificate of X.509 or of OpenSSH, and selects
	// its private key: see [Store.FindFor] and [Store.FindForSSH]. Subject is
	// then not used. It needs no store if the key is in it as well.
	Encoded []byte
	// Config holds lines of "Name=Value": Thumbprint, which selects in place of
	// Subject, and PersistPFXKey and UseInternalSecurityAPI, which mean something
	// on other platforms only and change nothing.
	Config string
	// Ask and Limits are those of [Options].
	Ask    func(alias string) (keys.Passphrase, error)
	Limits keys.Limits
}

// Load opens the store and finds the certificate that s selects. What a token
// holds open stays so until [Certificate.Close].
func (s Source) Load() (*Certificate, error) {
	config, err := parseConfig(s.Config)
	if err != nil {
		return nil, err
	}
	o := Options{Password: s.Password, KeyPassword: s.KeyPassword, Ask: s.Ask, Limits: s.Limits}
	var find func(*Store) (*Certificate, error)
	switch {
	case s.Encoded != nil: // before the store asks for a password
		if find, err = findEncoded(s.Encoded); err != nil {
			return nil, err
		}
	case config.thumbprint != "":
		find = func(st *Store) (*Certificate, error) { return st.findThumbprint(config.thumbprint) }
	default:
		find = func(st *Store) (*Certificate, error) { return st.Find(cmp.Or(s.Subject, "*")) }
	}
	var st *Store
	switch {
	case s.StoreB != nil:
		st, err = OpenBytes(s.Type, s.StoreB, o)
	case s.Store == "" && holdsKey(s.Encoded):
		st, err = OpenBytes(PEMKeyBlob, s.Encoded, o)
	default:
		st, err = Open(s.Type, s.Store, o)
	}
	if err != nil {
		return nil, err
	}
	c, err := find(st)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	c.store = st
	return c, nil
}

// findEncoded returns what finds the key of a certificate.
func findEncoded(data []byte) (func(*Store) (*Certificate, error), error) {
	c, err := ParseCertificate(data)
	if err == nil {
		return func(st *Store) (*Certificate, error) { return st.FindFor(c.e.Cert) }, nil
	}
	if k, keyErr := keys.ParsePublic(data); keyErr == nil {
		if cert := entryOf(k).SSHCert; cert != nil {
			return func(st *Store) (*Certificate, error) { return st.FindForSSH(cert) }, nil
		}
	}
	return nil, err
}

// holdsKey tells whether a certificate comes with a private key, which only PEM
// allows.
func holdsKey(data []byte) bool {
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		if strings.HasSuffix(b.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}

// sourceConfig is what Source.Config says.
type sourceConfig struct{ thumbprint string }

// configFields are the names that Source.Config may have.
var configFields = []struct {
	name string
	set  func(c *sourceConfig, value string) error
}{
	{"Thumbprint", func(c *sourceConfig, value string) error {
		c.thumbprint = value
		_, err := parseThumbprint(value)
		return err
	}},
	{"PersistPFXKey", noop},
	{"UseInternalSecurityAPI", noop},
}

// noop checks a switch that means something to the libraries of other
// platforms only.
func noop(_ *sourceConfig, value string) error {
	_, err := strconv.ParseBool(strings.ToLower(value))
	return err
}

// parseConfig reads lines of "Name=Value". A name that there is not is an
// error, as it would otherwise select what was not meant.
func parseConfig(text string) (sourceConfig, error) {
	var c sourceConfig
	for l := range strings.SplitSeq(text, "\n") {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		name, value, _ := strings.Cut(l, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		known := false
		for _, f := range configFields {
			if !strings.EqualFold(f.name, name) {
				continue
			}
			known = true
			if err := f.set(&c, value); err != nil {
				return c, fmt.Errorf("certstore: config: %s: %w", f.name, err)
			}
		}
		if !known {
			return c, fmt.Errorf("certstore: config: no setting %+q", clip(name))
		}
	}
	return c, nil
}

// Load opens a store and finds the certificate or key of subject in it: see
// [Open] and [Store.Find]. An empty subject stands for "*".
func Load(t Type, store string, password keys.Passphrase, subject string) (*Certificate, error) {
	return Source{Type: t, Store: store, Password: password, Subject: subject}.Load()
}

// LoadFor opens a store and finds the private key that belongs to a certificate
// in PEM, DER or Base64: see [Store.FindFor].
func LoadFor(t Type, store string, password keys.Passphrase, encoded []byte) (*Certificate, error) {
	return Source{Type: t, Store: store, Password: password, Encoded: notNil(encoded)}.Load()
}

// LoadBytes is [Load] with a store that is in memory.
func LoadBytes(t Type, store []byte, password keys.Passphrase, subject string) (*Certificate, error) {
	return Source{Type: t, StoreB: notNil(store), Password: password, Subject: subject}.Load()
}

// LoadBytesFor is [LoadFor] with a store that is in memory.
func LoadBytesFor(t Type, store []byte, password keys.Passphrase, encoded []byte) (*Certificate, error) {
	return Source{Type: t, StoreB: notNil(store), Password: password, Encoded: notNil(encoded)}.Load()
}

// notNil keeps what is empty from being taken for what was not given.
func notNil(p []byte) []byte {
	if p == nil {
		return []byte{}
	}
	return p
}

// ReadCertificateFile reads a file as an X.509 certificate in PEM, DER or
// Base64; of several the first. A private key in the file is not read.
func ReadCertificateFile(path string) (*Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c, err := ParseCertificate(data)
	if err == nil {
		c.typ, c.location = PublicKeyFile, path
	}
	return c, err
}

// ParseCertificate is [ReadCertificateFile] with the contents of the file.
func ParseCertificate(data []byte) (*Certificate, error) {
	if len(data) > maxStore {
		return nil, bad("", "more than %d octets", maxStore)
	}
	for _, p := range wrapped(data) {
		cert, err := firstCertificate(p)
		if err != nil {
			return nil, complete("X509", err)
		}
		if cert != nil {
			return &Certificate{e: Entry{Cert: cert}, typ: PublicKeyBlob}, nil
		}
	}
	return nil, &FormatError{Format: "X509", Err: errNoCertificate}
}

// firstCertificate returns the first certificate of a PEM or DER file, nil if
// it is neither.
func firstCertificate(data []byte) (*x509.Certificate, error) {
	if isX509(data) {
		certs, err := x509.ParseCertificates(data)
		if err != nil {
			return nil, err
		}
		return certs[0], nil
	}
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		if strings.HasSuffix(b.Type, "CERTIFICATE") && pemBlocks[b.Type] != nil {
			e, err := pemBlocks[b.Type](nil, b)
			return e.Cert, err
		}
	}
	return nil, nil
}

var errNoCertificate = errors.New("not a certificate in PEM or DER")
