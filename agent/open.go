package agent

import (
	"context"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

// openTimeout bounds the connecting of an agent from Open. Its answers may take
// as long as somebody needs to touch a token.
const openTimeout = 10 * time.Second

// Open returns the agent at addr, as [Dial] understands it, without connecting:
// each call has a connection of its own, so the agent may be restarted between
// calls, and none stays open. Signers returns signers that do the same. It may
// be used by several goroutines.
func Open(addr string) sshagent.ExtendedAgent { return opened(addr) }

type opened string

// with runs f with a connection.
func with[T any](addr opened, f func(sshagent.ExtendedAgent) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	a, conn, err := Dial(ctx, string(addr))
	if err != nil {
		var none T
		return none, err
	}
	defer conn.Close()
	return f(a)
}

func (o opened) do(f func(sshagent.ExtendedAgent) error) error {
	_, err := with(o, func(a sshagent.ExtendedAgent) (struct{}, error) { return struct{}{}, f(a) })
	return err
}

func (o opened) List() ([]*sshagent.Key, error) {
	return with(o, func(a sshagent.ExtendedAgent) ([]*sshagent.Key, error) { return a.List() })
}

func (o opened) Sign(key gossh.PublicKey, data []byte) (*gossh.Signature, error) {
	return o.SignWithFlags(key, data, 0)
}

func (o opened) SignWithFlags(key gossh.PublicKey, data []byte, flags sshagent.SignatureFlags) (*gossh.Signature, error) {
	return with(o, func(a sshagent.ExtendedAgent) (*gossh.Signature, error) { return a.SignWithFlags(key, data, flags) })
}

func (o opened) Signers() ([]gossh.Signer, error) { return signersOf(o) }

func (o opened) Add(key sshagent.AddedKey) error {
	return o.do(func(a sshagent.ExtendedAgent) error { return a.Add(key) })
}

func (o opened) Remove(key gossh.PublicKey) error {
	return o.do(func(a sshagent.ExtendedAgent) error { return a.Remove(key) })
}

func (o opened) RemoveAll() error {
	return o.do(func(a sshagent.ExtendedAgent) error { return a.RemoveAll() })
}

func (o opened) Lock(passphrase []byte) error {
	return o.do(func(a sshagent.ExtendedAgent) error { return a.Lock(passphrase) })
}

func (o opened) Unlock(passphrase []byte) error {
	return o.do(func(a sshagent.ExtendedAgent) error { return a.Unlock(passphrase) })
}

func (o opened) Extension(kind string, contents []byte) ([]byte, error) {
	return with(o, func(a sshagent.ExtendedAgent) ([]byte, error) { return a.Extension(kind, contents) })
}
