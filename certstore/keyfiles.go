package certstore

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

func isPPK(data []byte) bool { return starts(data, "PuTTY-User-Key-File-") }
func isXML(data []byte) bool { return starts(data, "<") }
func isJWK(data []byte) bool { return starts(data, "{") }

// readKey reads the one key that a file is, private or public.
func readKey(in *input) ([]Entry, error) {
	e, err := anyKey(in, in.data)
	if err != nil {
		return nil, err
	}
	return []Entry{e}, nil
}

// anyKey reads a private key, or the public key that is there in its place.
func anyKey(in *input, data []byte) (Entry, error) {
	e, err := keyEntry(in, data)
	if errors.Is(err, keys.ErrPublicOnly) {
		return publicEntry(data)
	}
	return e, err
}

// publicEntry reads a public key with package keys.
func publicEntry(data []byte) (Entry, error) {
	k, err := keys.ParsePublic(data)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(k), nil
}

func entryOf(k *keys.PublicKey) Entry {
	e := Entry{Public: k.Key, Comment: k.Comment}
	switch p := k.Key.(type) {
	case *gossh.Certificate:
		e.SSHCert, e.Public = p, p.Key
	case *keys.X509PublicKey:
		certs := p.Certificates()
		e.Cert, e.Chain, e.Public = certs[0], certs[1:], p.Plain()
	}
	return e
}

// isSSH detects RFC 4716, lines of OpenSSH and the wire form. A line begins
// with a type of key or has one after its options.
func isSSH(data []byte) bool {
	if starts(data, "---- BEGIN SSH2 PUBLIC KEY ----") {
		return true
	}
	if len(data) > 4 && data[0] == 0 { // the length of a name
		_, err := keys.ParseBlob(data)
		return err == nil
	}
	for l := range bytes.SplitSeq(data, []byte("\n")) {
		if l = trim(l); len(l) != 0 && l[0] != '#' {
			_, err := parseLine(l)
			return err == nil
		}
	}
	return false
}

// parseLine reads a line of OpenSSH, and not another form that fits into a line.
func parseLine(l []byte) (*keys.PublicKey, error) {
	k, err := keys.ParsePublic(l)
	if err == nil && k.Format != keys.OpenSSH {
		err = errNoLine
	}
	return k, err
}

var errNoLine = errors.New("not a line with a public key")

// readSSH reads public keys: one, or one in each line as in authorized_keys.
func readSSH(in *input) ([]Entry, error) {
	if starts(in.data, "----") || in.data[0] == 0 {
		e, err := publicEntry(in.data)
		return []Entry{e}, err
	}
	var out []Entry
	n := 0
	for l := range bytes.SplitSeq(in.data, []byte("\n")) {
		n++
		if l = trim(l); len(l) == 0 || l[0] == '#' {
			continue
		}
		k, err := parseLine(l)
		if err != nil {
			return nil, at(fmt.Sprintf("line %d", n), complete("SSH", err))
		}
		out = append(out, entryOf(k))
	}
	return out, nil
}

// readJWK reads a key or a set of keys (RFC 7517 section 5) with their
// certificates (section 4.7). The keys themselves are left to package keys.
func readJWK(in *input) ([]Entry, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(in.data, &set); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		e, err := jwkEntry(in, in.data)
		return []Entry{e}, err
	}
	var out []Entry
	for i, k := range set.Keys {
		e, err := jwkEntry(in, k)
		if err != nil {
			return nil, at(fmt.Sprintf("key %d", i+1), complete("JWK", err))
		}
		out = append(out, e)
	}
	return out, nil
}

// maxChain bounds the certificates that belong to one key.
const maxChain = 16

func jwkEntry(in *input, data []byte) (Entry, error) {
	e, err := anyKey(in, data)
	if err != nil {
		return Entry{}, err
	}
	var k struct {
		KeyID string   `json:"kid"`
		Chain []string `json:"x5c"`
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return Entry{}, err
	}
	e.Alias = k.KeyID
	if len(k.Chain) > maxChain {
		return Entry{}, bad("x5c", "%d certificates, at most %d", len(k.Chain), maxChain)
	}
	for i, text := range k.Chain {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return Entry{}, &FormatError{Where: "x5c", Err: err}
		}
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return Entry{}, &FormatError{Where: "x5c", Err: err}
		case i > 0:
			e.Chain = append(e.Chain, c)
		case !bytes.Equal(keyID(c.PublicKey), e.keyID()): // "MUST match the public key represented by other members"
			return Entry{}, bad("x5c", "the certificate is that of another key")
		default:
			e.Cert = c
		}
	}
	return e, nil
}
