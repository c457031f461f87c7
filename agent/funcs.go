package agent

import (
	"errors"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

// Funcs is an agent of your own: what it holds and how it signs. The zero value
// holds nothing and signs nothing; adding, removing and locking are refused. It
// may be used by several goroutines if the functions may.
type Funcs struct {
	// Keys lists the keys: Blob and Comment are sent. Nil means none.
	Keys func() ([]*sshagent.Key, error)
	// SignFunc signs data with key, which the client names and which need not
	// be one of Keys: refuse any other. flags ask for SHA-256 or SHA-512 with
	// RSA keys. data is valid only until SignFunc returns. A nil SignFunc
	// refuses.
	SignFunc func(key gossh.PublicKey, data []byte, flags sshagent.SignatureFlags) (*gossh.Signature, error)
}

var (
	_ sshagent.ExtendedAgent = (*Funcs)(nil)

	errRefused = errors.New("agent: refused")
)

// List returns what Keys does.
func (f *Funcs) List() ([]*sshagent.Key, error) {
	if f.Keys == nil {
		return nil, nil
	}
	return f.Keys()
}

// Sign is SignWithFlags without flags.
func (f *Funcs) Sign(key gossh.PublicKey, data []byte) (*gossh.Signature, error) {
	return f.SignWithFlags(key, data, 0)
}

// SignWithFlags returns what SignFunc does.
func (f *Funcs) SignWithFlags(key gossh.PublicKey, data []byte, flags sshagent.SignatureFlags) (*gossh.Signature, error) {
	if f.SignFunc == nil {
		return nil, errRefused
	}
	return f.SignFunc(key, data, flags)
}

// Signers returns a signer for each of Keys.
func (f *Funcs) Signers() ([]gossh.Signer, error) { return signersOf(f) }

// Add refuses.
func (f *Funcs) Add(sshagent.AddedKey) error { return errRefused }

// Remove refuses.
func (f *Funcs) Remove(gossh.PublicKey) error { return errRefused }

// RemoveAll refuses.
func (f *Funcs) RemoveAll() error { return errRefused }

// Lock refuses.
func (f *Funcs) Lock([]byte) error { return errRefused }

// Unlock refuses.
func (f *Funcs) Unlock([]byte) error { return errRefused }

// Extension refuses.
func (f *Funcs) Extension(string, []byte) ([]byte, error) {
	return nil, sshagent.ErrExtensionUnsupported
}
