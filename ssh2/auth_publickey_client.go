package ssh2

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// PublicKeys logs in with keys or certificates, one after the other. Signatures
// are made only for keys that the server says it would accept.
func PublicKeys(s ...gossh.Signer) AuthMethod {
	return PublicKeysFunc(func(context.Context) ([]gossh.Signer, error) { return s, nil })
}

// PublicKeysFunc is PublicKeys with keys that are looked up when they are
// needed. An error ends this method; the next one is tried then.
func PublicKeysFunc(keys func(context.Context) ([]gossh.Signer, error)) AuthMethod {
	return &publicKeyMethod{keys}
}

// Agent logs in with the keys that an agent holds when they are needed.
func Agent(a agent.Agent) AuthMethod {
	return PublicKeysFunc(func(ctx context.Context) ([]gossh.Signer, error) {
		s, err := within(ctx, a.Signers)
		if err != nil {
			return nil, fmt.Errorf("agent: %w", err)
		}
		return s, nil
	})
}

// within runs f, which takes no context, and does not wait for it longer than
// until ctx ends: an agent or a token may never answer. What runs then is on
// its own until it does, and its result is dropped.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

type publicKeyMethod struct {
	keys func(context.Context) ([]gossh.Signer, error)
}

func (*publicKeyMethod) name() string { return MethodPublicKey }

func (m *publicKeyMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	signers, err := m.keys(ctx)
	if ctx.Err() != nil {
		return authFailed, context.Cause(ctx)
	}
	if err != nil {
		return authFailed, c.local("public key", err)
	}
	for _, s := range signers {
		if !c.possible(MethodPublicKey) {
			break
		}
		out, err := c.tryKey(ctx, s)
		if out != authFailed || err != nil {
			return out, err
		}
	}
	return authFailed, nil
}

// tryKey asks whether a key would do, and signs if so.
func (c *authClient) tryKey(ctx context.Context, s gossh.Signer) (authOutcome, error) {
	pub := s.PublicKey()
	blob := pub.Marshal()
	if slices.ContainsFunc(c.passedKeys, func(k []byte) bool { return bytes.Equal(k, blob) }) {
		return authFailed, nil // one key is not two factors
	}
	row := c.chooseAlg(s)
	if row == nil {
		return authFailed, c.local("public key", fmt.Errorf("no algorithm for %s", quoteAuth(pub.Type())))
	}

	f := msg.PublicKeyFields{Algorithm: row.Name, Key: blob}
	if err := c.request(MethodPublicKey, &f); err != nil {
		return authFailed, err
	}
	p, err := c.reply(ctx)
	if err != nil {
		return authFailed, err
	}
	if p[0] != msg.NumUserauthPKOK {
		return c.outcome(p)
	}
	var ok msg.UserauthPKOK
	if err := msg.Decode(p, &ok); err != nil {
		return authFailed, c.t.Violation("authentication: %v", err)
	}
	// The algorithm may come back under another name from old servers; a key
	// that was not offered may not.
	if !bytes.Equal(ok.Key, blob) {
		return authFailed, c.t.Violation("authentication: PK_OK for a key that was not offered")
	}

	sig, err := within(ctx, func() ([]byte, error) {
		return sign(s, row, signedData(c.t.SessionID(), c.user, serviceConnection, row.Name, blob))
	})
	if ctx.Err() != nil {
		return authFailed, context.Cause(ctx)
	}
	if err != nil {
		return authFailed, c.local("public key", err)
	}
	f.Signed, f.Signature = true, sig
	if err := c.request(MethodPublicKey, &f); err != nil {
		return authFailed, err
	}
	c.proof = true
	if p, err = c.reply(ctx); err != nil {
		return authFailed, err
	}
	out, err := c.outcome(p)
	if out == authPartial {
		c.passedKeys = append(c.passedKeys, blob)
	}
	return out, err
}

// chooseAlg returns the algorithm to use with a key: the first that we allow,
// the signer can do, and the server says it takes (RFC 8308 section 3.1). A
// server that does not list any of them is tried with the first: the list need
// not be complete, and not every server sends one.
func (c *authClient) chooseAlg(s gossh.Signer) *keyAlg {
	typ := s.PublicKey().Type()
	listed, known := c.sigAlgs()
	var first *keyAlg
	for i := range keyAlgs {
		row := &keyAlgs[i]
		if row.blob != typ || !slices.Contains(c.algs, row.Name) || !canSign(s, row.sig) {
			continue
		}
		// Servers list certificate algorithms by their own name or not at all.
		if !known || slices.Contains(listed, row.Name) || slices.Contains(listed, row.sig) {
			return row
		}
		if first == nil {
			first = row
		}
	}
	return first
}

// canSign tells whether s makes signatures of that format.
func canSign(s gossh.Signer, format string) bool {
	switch s := s.(type) {
	case gossh.MultiAlgorithmSigner:
		return slices.Contains(s.Algorithms(), format)
	case gossh.AlgorithmSigner:
		return true
	}
	return signsByDefault(s.PublicKey(), format)
}

// signsByDefault tells whether format is what a bare Sign with this key makes.
func signsByDefault(key gossh.PublicKey, format string) bool {
	if cert, ok := key.(*gossh.Certificate); ok {
		key = cert.Key
	}
	return key.Type() == format
}

// sign makes a signature of the row's format, or fails.
func sign(s gossh.Signer, row *keyAlg, data []byte) ([]byte, error) {
	var sig *gossh.Signature
	var err error
	if as, ok := s.(gossh.AlgorithmSigner); ok {
		sig, err = as.SignWithAlgorithm(rand.Reader, data, row.sig)
	} else {
		sig, err = s.Sign(rand.Reader, data)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("signing: %w", err)
	case sig == nil:
		return nil, errors.New("signing: no signature")
	case sig.Format != row.sig:
		return nil, fmt.Errorf("signing: signature is %s instead of %s", quoteAuth(sig.Format), row.sig)
	case row.isSK() && len(sig.Rest) != 5:
		return nil, errors.New("signing: security key gave no flags")
	}
	// A faulty RSA signature can give the private key away (cves 3.9), so none
	// leaves unchecked. Signatures of untouched security keys do not verify
	// here although a server may take them.
	if !row.isSK() {
		if err := s.PublicKey().Verify(data, sig); err != nil {
			return nil, errors.New("signing: signature does not verify")
		}
	}
	out := wire.AppendString(nil, sig.Format)
	out = wire.AppendBytes(out, sig.Blob)
	return append(out, sig.Rest...), nil
}
