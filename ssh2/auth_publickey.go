package ssh2

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/keys"
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
	factor := bareKey(key).Marshal()
	cert, _ := key.(*gossh.Certificate)
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
	if err != nil || !v.accepts() {
		return v, nil, err
	}
	if _, err := s.admit(v.Limits); err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	if !f.Signed {
		// What v says of the next step is not believed yet: who only shows a key
		// must not come to where its owner would.
		return Verdict{Banner: v.Banner}, &msg.UserauthPKOK{Algorithm: f.Algorithm, Key: f.Key}, nil
	}

	// Does the client hold it?
	data := signedData(s.t.SessionID(), at.User, at.Service, f.Algorithm, f.Key)
	flags, err := row.verify(key, data, f.Signature)
	if err == nil && verify && flags&skUserVerified == 0 {
		err = errors.New("security key did not verify its user")
	}
	at.Verified, at.UserVerified = err == nil, err == nil && flags&skUserVerified != 0
	s.tellSignature(ctx, at, key, err)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}

	// It does: only from here on there is an identity.
	v, err = s.judgeKey(ctx, *at, key, terms)
	if err == nil && v.accepts() {
		s.progress.keys = append(s.progress.keys, factor)
	}
	return v, nil, err
}

// tellSignature tells the application how a signature was found.
func (s *authServer) tellSignature(ctx context.Context, at *AuthAttempt, key gossh.PublicKey, err error) {
	if s.auth.Signature != nil {
		c := *at
		s.auth.Signature(ctx, &c, key, err)
	}
}

// judgeKey asks the application about a key, or about a certificate that
// passed all checks of the library and comes with limits.
func (s *authServer) judgeKey(ctx context.Context, at AuthAttempt, key gossh.PublicKey, terms Limits) (v Verdict, err error) {
	cert, isCert := key.(*gossh.Certificate)
	if x, ok := key.(*keys.X509PublicKey); ok {
		v = s.auth.X509.judge(ctx, &at, x, s.rsa)
		if ctx.Err() != nil {
			return Verdict{}, context.Cause(ctx)
		}
		return v, nil
	}
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
	if !v.accepts() {
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
	var key gossh.PublicKey
	var err error
	if k.isX509() {
		key, err = parseX509(blob)
	} else {
		key, err = gossh.ParsePublicKey(blob)
	}
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if key.Type() != k.blob || !bytes.Equal(key.Marshal(), blob) {
		return nil, errors.New("key: not in its own encoding")
	}
	return key, checkRSA(bareKey(key), minRSA)
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
