package certstore

import (
	"crypto"
	"crypto/x509"
	"fmt"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// An Entry is one thing in a store, as the reader of its format found it. All
// fields may be empty; the parts that are there belong to one key.
type Entry struct {
	// Alias is the name that the store gives the entry.
	Alias string
	// Cert is the X.509 certificate.
	Cert *x509.Certificate
	// Chain holds the issuers of Cert as far as the store has them, the nearest
	// first. Nothing in it is verified.
	Chain []*x509.Certificate
	// Key is the private key, where the store gives it out.
	Key *keys.PrivateKey
	// Signer is the private key where the store only signs with it: a token, or
	// a key that the system does not export.
	Signer crypto.Signer
	// Public is the public key, for entries that have nothing else.
	Public gossh.PublicKey
	// SSHCert is a certificate of OpenSSH.
	SSHCert *gossh.Certificate
	// Comment is what a key file says about the key.
	Comment string
}

// Format prints an entry like [Certificate.String], with every verb: a Signer
// may be the octets of a private key.
func (e Entry) Format(s fmt.State, verb rune) { (&Certificate{e: e}).Format(s, verb) }
