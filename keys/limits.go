package keys

import (
	"cmp"

	gossh "golang.org/x/crypto/ssh"
)

// Limits bounds the work that an encrypted file may demand for deriving the key
// from the passphrase. A zero field stands for the default, which allows a
// hundred times what the usual tools write; that takes seconds, with bcrypt up
// to half a minute.
type Limits struct {
	BcryptRounds     int   // OpenSSH, where 16 to 24 are usual; 2048 by default
	PBKDF2Iterations int   // PKCS#8, the older PBES1 schemes as well; 10 million by default
	Memory           int64 // octets that Argon2 (PPK 3) or scrypt (PKCS#8) may take; 256 MiB by default
	MemoryPasses     int64 // the same times the passes over it; 8 GiB by default
}

// OrDefault returns the limits that are in force: l with the defaults in place
// of zero fields.
func (l Limits) OrDefault() Limits {
	return Limits{
		BcryptRounds:     cmp.Or(l.BcryptRounds, 2048),
		PBKDF2Iterations: cmp.Or(l.PBKDF2Iterations, 10_000_000),
		Memory:           cmp.Or(l.Memory, 256<<20),
		MemoryPasses:     cmp.Or(l.MemoryPasses, 8<<30),
	}
}

// opener is what a parser opens an encrypted key with.
type opener struct {
	pass   Passphrase
	limits Limits
}

// need returns the passphrase, or the error that says it is missing. The public
// key is nil if the format does not show it.
func (o opener) need(k gossh.PublicKey) (Passphrase, error) {
	if len(o.pass) == 0 {
		return nil, &PassphraseError{PublicKey: k}
	}
	return o.pass, nil
}

// wrong is the error of a key that did not open.
func wrong(k gossh.PublicKey) error { return &PassphraseError{Wrong: true, PublicKey: k} }

// within checks a cost from a file.
func within[T int | int64 | uint32](what string, v, most T) error {
	if v < 1 || v > most {
		return bad("key derivation", "%s %d, allowed are 1 to %d", what, v, most)
	}
	return nil
}
