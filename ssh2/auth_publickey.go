package ssh2

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

const (
	// maxKeyBlob bounds the public keys that are parsed. The largest RSA key
	// takes 2 KiB; the rest is for certificates with many principals.
	maxKeyBlob = 64 << 10

	// defaultMinRSABits is the smallest RSA key that is taken.
	defaultMinRSABits = 2048

	// Flags of a signature by a security key (PROTOCOL.u2f).
	skUserPresent  = 1 << 0
	skUserVerified = 1 << 2
)

// publicKey is RFC 4252 section 7 on a server. Whose key it is counts only when
// it comes with a signature over this very request; what was offered earlier is
// not remembered at all.
func (s *authServer) publicKey(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	var f msg.PublicKeyFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	at.Algorithm = f.Algorithm
	// The algorithm first: the parsers of forbidden ones are not even reached.
	row := findKeyAlg(f.Algorithm)
	if row == nil || !slices.Contains(s.algs, row.Name) {
		return refused("algorithm not allowed"), nil, nil
	}
	key, err := row.parse(f.Key, s.rsa)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	s.key = key
	factor := key.Marshal()
	cert, _ := key.(*gossh.Certificate)
	if cert != nil {
		factor = cert.Key.Marshal()
	}
	if slices.ContainsFunc(s.progress.keys, func(k []byte) bool { return bytes.Equal(k, factor) }) {
		return refused("key was used already"), nil, nil
	}

	if s.auth.HideKeys && !f.Signed {
		return Verdict{}, &msg.UserauthPKOK{Algorithm: f.Algorithm, Key: f.Key}, nil
	}

	// May this key log in at all?
	var terms Limits
	verify := false
	if cert != nil {
		if terms, verify, err = s.auth.UserCAs.check(at.User, cert, time.Now(), s.rsa); err != nil {
			return Verdict{Reason: err}, nil, nil
		}
	}
	v, err := s.judgeKey(ctx, *at, key, terms)
	if err != nil || !v.OK {
		return v, nil, err
	}
	if _, err := s.admit(v.Limits); err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	if !f.Signed {
		return Verdict{}, &msg.UserauthPKOK{Algorithm: f.Algorithm, Key: f.Key}, nil
	}

	// Does the client hold it?
	data := signedData(s.t.SessionID(), at.User, at.Service, f.Algorithm, f.Key)
	flags, err := row.verify(key, data, f.Signature)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	if verify && flags&skUserVerified == 0 {
		return refused("security key did not verify its user"), nil, nil
	}

	// It does: only from here on there is an identity.
	at.Verified, at.UserVerified = true, flags&skUserVerified != 0
	v, err = s.judgeKey(ctx, *at, key, terms)
	if err == nil && v.OK {
		s.progress.keys = append(s.progress.keys, factor)
	}
	return v, nil, err
}

// judgeKey asks the application about a key, or about a certificate that
// passed all checks of the library and comes with limits.
func (s *authServer) judgeKey(ctx context.Context, at AuthAttempt, key gossh.PublicKey, terms Limits) (v Verdict, err error) {
	cert, isCert := key.(*gossh.Certificate)
	switch {
	case !isCert && s.auth.PublicKey == nil:
		return refused("only certificates are accepted"), nil
	case !isCert:
		v = s.auth.PublicKey(ctx, &at, key)
	case s.auth.UserCAs.Accept == nil:
		v = Verdict{OK: true, Identity: cert}
	default:
		v = s.auth.UserCAs.Accept(ctx, &at, cert)
	}
	if ctx.Err() != nil {
		return Verdict{}, context.Cause(ctx)
	}
	if !v.OK {
		return v, nil
	}
	if v.Limits, err = terms.merge(v.Limits); err != nil {
		return Verdict{Reason: err}, nil
	}
	return v, nil
}

// signedData is what the signature of a request covers (RFC 4252 section 7).
func signedData(sessionID []byte, user, service, algorithm string, key []byte) []byte {
	b := wire.AppendBytes(make([]byte, 0, 128+len(sessionID)+len(key)), sessionID)
	b = append(b, msg.NumUserauthRequest)
	b = wire.AppendString(b, user)
	b = wire.AppendString(b, service)
	b = wire.AppendString(b, MethodPublicKey)
	b = append(b, 1)
	b = wire.AppendString(b, algorithm)
	return wire.AppendBytes(b, key)
}

// parse reads a key blob of the type that goes with the algorithm. Only the one
// encoding that the key itself would have is taken, so that two blobs are never
// one key to somebody and two to somebody else.
func (k *keyAlg) parse(blob []byte, minRSA int) (gossh.PublicKey, error) {
	if len(blob) > maxKeyBlob {
		return nil, errors.New("key: too long")
	}
	var typ string
	d := wire.Decoder(blob)
	d.String(&typ)
	if d.Err() != nil || typ != k.blob {
		return nil, errors.New("key: not of the type that the algorithm asks for")
	}
	// Certificates in certificates are refused inside, before they are parsed:
	// the depth of recursion is not the client's to choose (cves 2.19).
	key, err := gossh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if key.Type() != k.blob || !bytes.Equal(key.Marshal(), blob) {
		return nil, errors.New("key: not in its own encoding")
	}
	bare := key
	if cert, ok := key.(*gossh.Certificate); ok {
		bare = cert.Key
	}
	return key, checkRSA(bare, minRSA)
}

// checkRSA refuses RSA keys that are too small; x/crypto/ssh has refused those
// that are too large.
func checkRSA(key gossh.PublicKey, minBits int) error {
	c, ok := key.(gossh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minBits {
		return fmt.Errorf("RSA key of %d bits is too small", r.N.BitLen())
	}
	return nil
}

// verify checks a signature, which must be of the very format that the
// algorithm asks for, and returns the flags of a security key.
func (k *keyAlg) verify(key gossh.PublicKey, data, signature []byte) (flags byte, err error) {
	var sig gossh.Signature
	d := wire.Decoder(signature)
	d.String(&sig.Format)
	d.Bytes(&sig.Blob)
	if k.isSK() {
		d.Rest(&sig.Rest)
	}
	if err := d.End(); err != nil {
		return 0, errors.New("signature: malformed")
	}
	if sig.Format != k.sig {
		return 0, fmt.Errorf("signature: made with %s, not as announced", quoteAuth(sig.Format))
	}
	if k.isSK() {
		if len(sig.Rest) != 5 { // flags and counter
			return 0, errors.New("signature: malformed")
		}
		if flags = sig.Rest[0]; flags&skUserPresent == 0 {
			return 0, errors.New("signature: security key was not touched")
		}
	}
	if err := key.Verify(data, &sig); err != nil {
		return 0, errors.New("signature: wrong")
	}
	return flags, nil
}

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
	return PublicKeysFunc(func(context.Context) ([]gossh.Signer, error) {
		s, err := a.Signers()
		if err != nil {
			return nil, fmt.Errorf("agent: %w", err)
		}
		return s, nil
	})
}

type publicKeyMethod struct {
	keys func(context.Context) ([]gossh.Signer, error)
}

func (*publicKeyMethod) name() string { return MethodPublicKey }

func (m *publicKeyMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	signers, err := m.keys(ctx)
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

	sig, err := sign(s, row, signedData(c.t.SessionID(), c.user, serviceConnection, row.Name, blob))
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
