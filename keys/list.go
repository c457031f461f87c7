package keys

import (
	"bytes"
	"errors"
	"fmt"

	gossh "golang.org/x/crypto/ssh"
)

// maxListed bounds how many keys a list has.
const maxListed = 100_000

// ParseList reads a list of public keys, one line each as OpenSSH writes them, with
// empty lines and comments between: the form of its TrustedUserCAKeys and of a
// RevokedKeys that is text. A line that is no key, or has options in front, is an error with
// the number of the line: left out it would let somebody in whom the list is to keep out. Certificates are
// taken as they are. A list without a key is an error, too, and so is a KRL, OpenSSH's
// binary form, which this package does not read.
func ParseList(data []byte) ([]gossh.PublicKey, error) {
	if bytes.HasPrefix(data, []byte("SSHKRL\n")) {
		return nil, errors.New("keys: list: is a KRL, which is not supported: list the keys, a line each")
	}
	var list []gossh.PublicKey
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\uFEFF"))) { // a mark of editors, and no text
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := gossh.ParseAuthorizedKey(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("keys: list: line %d: is no public key", n)
		case len(options) > 0:
			return nil, fmt.Errorf("keys: list: line %d: has options in front, which count for nobody here", n)
		case len(list) == maxListed:
			return nil, fmt.Errorf("keys: list: more than %d keys", maxListed)
		}
		list = append(list, key)
	}
	if len(list) == 0 {
		return nil, errors.New("keys: list: no key in it")
	}
	return list, nil
}

// Identity is what a key is known by in a list, such as one of revoked keys: its wire form, that of a certificate without
// the authority's signature. Whoever has a certificate can turn an ECDSA signature into another
// one that is as good, and so must not become somebody else by that.
func Identity(key gossh.PublicKey) string {
	cert, ok := key.(*gossh.Certificate)
	if !ok {
		return string(key.Marshal())
	}
	bare := *cert
	bare.Signature = nil
	return string(bare.Marshal())
}
