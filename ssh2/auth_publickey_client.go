package ssh2

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// PublicKeys logs in with keys or certificates, one after the other. Signatures
// are made only for keys that the server says it would accept. An RSA key that
// was refused is offered again with another algorithm when all other keys have
// been refused, if the server did not say which algorithms it takes, or said it
// takes several.
func PublicKeys(s ...gossh.Signer) AuthMethod {
	return PublicKeysFunc(func(context.Context) ([]gossh.Signer, error) { return s, nil })
}

// PublicKeysFunc is PublicKeys with keys that are looked up when they are
// needed. An error ends this method; the next one is tried then.
func PublicKeysFunc(keys func(context.Context) ([]gossh.Signer, error)) AuthMethod {
	return &publicKeyMethod{keys: keys}
}

// Agent logs in with the keys that an agent holds when they are needed,
// certificates first. What goes wrong with the agent is an *AgentError inside
// the *AuthError, if no other method succeeds.
func Agent(a agent.Agent) AuthMethod {
	return &publicKeyMethod{agent: true, keys: func(ctx context.Context) ([]gossh.Signer, error) {
		if a == nil {
			return nil, &AgentError{"list keys", errors.New("agent is nil")}
		}
		all, err := within(ctx, a.Signers)
		if err != nil {
			return nil, &AgentError{"list keys", err}
		}
		var certs, keys []gossh.Signer
		for _, s := range all {
			if strings.Contains(s.PublicKey().Type(), "-cert-v0") {
				certs = append(certs, s)
			} else {
				keys = append(keys, s)
			}
		}
		return append(certs, keys...), nil
	}}
}

// An AgentError means that an agent did not do what it was asked for.
type AgentError struct {
	Op  string // what it was to do
	Err error  // why it did not
}

// Error says what failed.
func (e *AgentError) Error() string { return "ssh2: agent: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *AgentError) Unwrap() error { return e.Err }

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
	keys  func(context.Context) ([]gossh.Signer, error)
	agent bool // that has the keys
}

// maxRetriedOffers is with how many refused offers no key is offered with a
// second algorithm any more: servers end connections after some six failures,
// and methods that come later shall have their chance.
const maxRetriedOffers = 4

func (*publicKeyMethod) name() string { return MethodPublicKey }

func (m *publicKeyMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	signers, err := m.keys(ctx)
	if ctx.Err() != nil {
		return authFailed, context.Cause(ctx)
	}
	if err != nil {
		return authFailed, c.local("public key", err)
	}
	if slices.Contains(signers, nil) {
		_ = c.local("public key", errors.New("a signer is nil"))
		signers = slices.DeleteFunc(slices.Clone(signers), func(s gossh.Signer) bool { return s == nil })
	}
	offers := make([][]*keyAlg, len(signers))
	for i, s := range signers {
		factor := factorOf(s.PublicKey())
		if c.user == c.sentAs && slices.ContainsFunc(c.passedKeys, func(k []byte) bool { return bytes.Equal(k, factor) }) {
			continue // one key is not two factors
		}
		if offers[i] = c.chooseAlgs(s); len(offers[i]) == 0 {
			_ = c.local("public key", fmt.Errorf("no algorithm for %s", quoteAuth(s.PublicKey().Type())))
		}
	}
	refused := 0
	for round := 0; ; round++ {
		more := false
		for i, s := range signers {
			if round >= len(offers[i]) || !c.possible(MethodPublicKey) || round > 0 && refused >= maxRetriedOffers {
				continue
			}
			out, dead, err := c.tryKey(ctx, s, offers[i][round], m.agent)
			if out != authFailed || err != nil {
				return out, err
			}
			if refused++; dead {
				offers[i] = nil
			}
			more = more || round+1 < len(offers[i])
		}
		if !more {
			return authFailed, nil
		}
	}
}

// factorOf is what makes a key one factor, with a certificate or without.
func factorOf(key gossh.PublicKey) []byte {
	if isX509(key.Type()) {
		return bareKey(key).Marshal()
	}
	blob := key.Marshal()
	// An agent's keys are not parsed yet.
	if parsed, err := gossh.ParsePublicKey(blob); err == nil {
		return bareKey(parsed).Marshal()
	}
	return blob
}

// tryKey asks whether a key would do, and signs if so. dead tells that there is
// no use in trying the key again with another algorithm.
func (c *authClient) tryKey(ctx context.Context, s gossh.Signer, row *keyAlg, fromAgent bool) (out authOutcome, dead bool, err error) {
	blob := s.PublicKey().Marshal()
	f := msg.PublicKeyFields{Algorithm: row.Name, Key: blob}
	if err := c.request(MethodPublicKey, &f); err != nil {
		return authFailed, true, err
	}
	p, err := c.reply(ctx)
	if err != nil {
		return authFailed, true, err
	}
	if p[0] != msg.NumUserauthPKOK {
		out, err = c.outcome(p)
		return out, false, err
	}
	var ok msg.UserauthPKOK
	if err := msg.Decode(p, &ok); err != nil {
		return authFailed, true, c.t.Violation("authentication: %v", err)
	}
	// The algorithm may come back under another name from old servers; a key
	// that was not offered may not.
	if !bytes.Equal(ok.Key, blob) {
		return authFailed, true, c.t.Violation("authentication: PK_OK for a key that was not offered")
	}

	sig, err := within(ctx, func() ([]byte, error) {
		return sign(s, row, signedData(c.t.SessionID(), c.user, serviceConnection, row.Name, blob))
	})
	if ctx.Err() != nil {
		return authFailed, true, context.Cause(ctx)
	}
	if err != nil {
		if fromAgent {
			err = &AgentError{"sign", err}
		}
		return authFailed, true, c.local("public key", err)
	}
	f.Signed, f.Signature = true, sig
	if err := c.request(MethodPublicKey, &f); err != nil {
		return authFailed, true, err
	}
	c.proof = true
	if p, err = c.reply(ctx); err != nil {
		return authFailed, true, err
	}
	out, err = c.outcome(p)
	if out == authPartial {
		c.passedKeys = append(c.passedKeys, factorOf(s.PublicKey()))
	}
	return out, true, err
}

// chooseAlgs returns the algorithms to use with a key, the best first: those
// that we allow, the signer can do, and the server says it takes (RFC 8308
// section 3.1). A server that lists none of them is tried with the first, since
// the list need not be complete, and one that lists nothing with all.
func (c *authClient) chooseAlgs(s gossh.Signer) (rows []*keyAlg) {
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
			rows = append(rows, row)
		}
		if first == nil {
			first = row
		}
	}
	if rows == nil && first != nil {
		rows = []*keyAlg{first}
	}
	return rows
}

// canSign tells whether s makes signatures of that format.
func canSign(s gossh.Signer, format string) bool {
	switch s := s.(type) {
	case gossh.MultiAlgorithmSigner:
		typ := s.PublicKey().Type()
		return slices.Contains(s.Algorithms(), format) || isX509(typ) && slices.Contains(s.Algorithms(), typ)
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
