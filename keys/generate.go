package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
)

// Kind is a kind of key that can be made.
type Kind string

// The kinds. DSA keys are read and used, but not made.
const (
	RSA     Kind = "rsa"
	ECDSA   Kind = "ecdsa"
	Ed25519 Kind = "ed25519"
)

// GenerateOptions says what key to make and how to write it.
type GenerateOptions struct {
	// Bits is the size: 2048 to 16384 for RSA (3072 by default), 256, 384 or
	// 521 for ECDSA (256 by default), and none for Ed25519.
	Bits int
	// Comment goes into both files.
	Comment string
	// Format is the form of the private key that [GeneratePair] writes, by
	// default [OpenSSH].
	Format Format
	// MarshalOptions holds passphrase, cipher and rounds for [GeneratePair].
	MarshalOptions
}

// kinds is the table of what can be made.
var kinds = map[Kind]struct {
	bits func(int) bool
	def  int
	make func(bits int) (crypto.PrivateKey, error)
}{
	RSA: {func(b int) bool { return b >= 2048 && b <= maxRSABits && b%8 == 0 }, 3072, func(bits int) (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }},
	ECDSA: {func(b int) bool { return b == 256 || b == 384 || b == 521 }, 256, func(bits int) (crypto.PrivateKey, error) {
		return ecdsa.GenerateKey(curveBySSH(fmt.Sprint("nistp", bits)), rand.Reader)
	}},
	Ed25519: {func(b int) bool { return b == 256 }, 256, func(int) (crypto.PrivateKey, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }},
}

// Generate makes a new key. A large RSA key takes its time, minutes for 16384
// bits; when ctx ends, Generate returns its error at once, while the search for
// primes, which cannot be interrupted, runs to its end in a goroutine of its
// own and is then forgotten.
func Generate(ctx context.Context, kind Kind, o GenerateOptions) (*PrivateKey, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("keys: generate: unknown kind %+q", clip(string(kind)))
	}
	bits := o.Bits
	if bits == 0 {
		bits = k.def
	}
	if !k.bits(bits) {
		return nil, fmt.Errorf("keys: generate: no %s key of %d bits", kind, bits)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("keys: generate: %w", err)
	}
	type result struct {
		raw crypto.PrivateKey
		err error
	}
	done := make(chan result, 1)
	go func() {
		raw, err := k.make(bits)
		done <- result{raw, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("keys: generate: %w", r.err)
		}
		p, err := newPrivateKey(r.raw)
		if err != nil {
			return nil, fmt.Errorf("keys: generate: %w", err)
		}
		p.Comment, p.Format = o.Comment, o.Format
		return p, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("keys: generate: %w", ctx.Err())
	}
}

// GeneratePair makes a new key and returns two files: the private key in
// o.Format and the public key as a line of OpenSSH. Options that do not go
// together are an error before any work is done.
func GeneratePair(ctx context.Context, kind Kind, o GenerateOptions) (private, public []byte, err error) {
	if o.Format == "" {
		o.Format = OpenSSH
	}
	if _, err := o.check(o.Format); err != nil {
		return nil, nil, err
	}
	if err := checkComment(o.Format, o.Comment); err != nil {
		return nil, nil, err
	}
	k, err := Generate(ctx, kind, o)
	if err != nil {
		return nil, nil, err
	}
	if private, err = k.Marshal(o.Format, o.MarshalOptions); err != nil {
		return nil, nil, err
	}
	if public, err = k.MarshalPublic(OpenSSH); err != nil {
		return nil, nil, err
	}
	return private, public, nil
}
