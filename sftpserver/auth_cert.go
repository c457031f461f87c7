package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// keySet is public keys by their identity.
type keySet map[string]bool

// newKeySet makes one of the keys of a setting.
func newKeySet(setting string, list []gossh.PublicKey, certificates bool) (keySet, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // has no key, and is asked all the same
	}
	s := make(keySet, len(list))
	for _, key := range list {
		if key == nil {
			return nil, fmt.Errorf("sftpserver: %s: one is nil", setting)
		}
		if _, is := key.(*gossh.Certificate); is && !certificates {
			return nil, fmt.Errorf("sftpserver: %s: one is a certificate, where a key is wanted", setting)
		}
		s[keys.Identity(key)] = true
	}
	return s, nil
}

// has tells whether the key is one of the set.
func (s keySet) has(key gossh.PublicKey) bool { return len(s) > 0 && s[keys.Identity(key)] }

// hasAny tells whether a key, or what stands behind it if it is a certificate, is one of the set.
func (s keySet) hasAny(key gossh.PublicKey) bool {
	switch key := key.(type) {
	case *gossh.Certificate:
		return s.has(key) || s.has(key.Key) || s.has(key.SignatureKey)
	case *keys.X509PublicKey:
		return s.has(key) || s.has(key.Plain())
	default:
		return s.has(key)
	}
}

// errRevoked is why a key is refused that Options.RevokedKeys has.
var errRevoked = errors.New("key: revoked")

// userCAs says which certificates of users are looked at; nil refuses all of them.
func (l *logins) userCAs() (*ssh2.UserCAs, error) {
	trusted, err := newKeySet("TrustedUserCAKeys", l.trustedKeys, false)
	if err != nil || len(trusted) == 0 {
		return nil, err
	}
	return &ssh2.UserCAs{
		Authority:  trusted.has,
		Revoked:    func(cert *gossh.Certificate) bool { return l.revoked.hasAny(cert) },
		Principals: l.CertPrincipals,
		Accept: func(ctx context.Context, a *ssh2.AuthAttempt, cert *gossh.Certificate) ssh2.Verdict {
			return l.publicKey(ctx, a, cert)
		},
	}, nil
}

// PublicKeyFile reads a list of public keys from a file, one line each as OpenSSH writes them, for
// Options.TrustedUserCAKeys and RevokedKeys: see [keys.ParseList].
func PublicKeyFile(name string) ([]gossh.PublicKey, error) {
	data, err := readKeyFile(name, maxKeyList)
	if err != nil {
		return nil, fmt.Errorf("sftpserver: public keys: %w", err)
	}
	list, err := keys.ParseList(data)
	if err != nil {
		return nil, fmt.Errorf("sftpserver: public keys: %s: %w", name, err)
	}
	return list, nil
}

// maxKeyList is the most that a file with public keys may have, in octets.
const maxKeyList = 16 << 20

// publicKeys are those of an option and those of the files of a setting, which are read now.
func publicKeys(option []gossh.PublicKey, files []string) ([]gossh.PublicKey, error) {
	all := slices.Clip(option)
	for _, name := range files {
		list, err := PublicKeyFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// validKeyFiles checks that files have keys.
func validKeyFiles(names []string) error {
	for _, name := range names {
		if _, err := PublicKeyFile(name); err != nil {
			if cause, ok := errors.AsType[*os.PathError](err); ok {
				return cause
			}
			return err
		}
	}
	return nil
}
