package keys

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"

	gossh "golang.org/x/crypto/ssh"
)

// maxFile bounds a key file. The largest that a key of 16384 bits makes is a
// tenth of it.
const maxFile = 256 << 10

// A Passphrase protects a private key. Package fmt and log/slog print a
// placeholder for it.
type Passphrase []byte

// Format writes a placeholder for every verb.
func (Passphrase) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(passphrase)") }

// LogValue hides the passphrase from log/slog.
func (Passphrase) LogValue() slog.Value { return slog.StringValue("(passphrase)") }

// A PrivateKey is a private key with what its file says of it. Do not change it
// while it is in use; its methods may be called concurrently.
type PrivateKey struct {
	// Signer signs in SSH's form and knows the public key. It is also a
	// gossh.MultiAlgorithmSigner.
	Signer gossh.Signer
	// Raw is the same key as *rsa.PrivateKey, *ecdsa.PrivateKey,
	// ed25519.PrivateKey or *dsa.PrivateKey. All but the last are a
	// crypto.Signer.
	Raw crypto.PrivateKey
	// Comment is empty for formats that have none.
	Comment string
	// Format is what the key was read from; [Format.String] names it.
	Format Format
}

// PublicKey returns the public half.
func (k *PrivateKey) PublicKey() gossh.PublicKey { return k.Signer.PublicKey() }

// Public returns the public half with the comment.
func (k *PrivateKey) Public() *PublicKey {
	return &PublicKey{Key: k.Signer.PublicKey(), Comment: k.Comment, Format: k.Format}
}

// String returns type and fingerprint, and nothing that is secret.
func (k PrivateKey) String() string {
	if k.Signer == nil {
		return "no key"
	}
	return k.Type() + " " + gossh.FingerprintSHA256(k.Signer.PublicKey())
}

// GoString is String: no verb of fmt for text prints the key itself.
func (k PrivateKey) GoString() string { return k.String() }

// LogValue is String for log/slog.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Type returns the full key type, such as "ssh-ed25519".
func (k *PrivateKey) Type() string { return k.Signer.PublicKey().Type() }

// A PublicKey is a public key with what its file says of it.
type PublicKey struct {
	// Key may also be a *gossh.Certificate or an *X509PublicKey.
	Key gossh.PublicKey
	// Comment is empty for formats that have none.
	Comment string
	// Options are those in front of an authorized_keys line.
	Options []string
	// Format is what the key was read from.
	Format Format
}

// PublicKey returns the key itself.
func (k *PublicKey) PublicKey() gossh.PublicKey { return k.Key }

// Type returns the full key type, such as "ssh-ed25519".
func (k *PublicKey) Type() string { return k.Key.Type() }

// A PassphraseError means that a key is encrypted and that no passphrase was
// given, or a wrong one.
type PassphraseError struct {
	Format    Format          // of the file
	Wrong     bool            // a passphrase was given, but not this key's
	PublicKey gossh.PublicKey // whose passphrase to ask for, if the format shows it
}

func (e *PassphraseError) Error() string {
	if e.Wrong {
		return "keys: " + e.Format.String() + ": wrong passphrase, or a damaged file"
	}
	return "keys: " + e.Format.String() + ": passphrase needed"
}

// A FormatError means that data is not a key, or that the key cannot be read or
// written in that format. Err is errors.ErrUnsupported for formats that exist
// but are not supported.
type FormatError struct {
	Format Format // empty when the format was not recognised
	Where  string // the part of the file, such as "private section"
	Err    error
}

func (e *FormatError) Error() string {
	s := "keys: "
	if e.Format != "" {
		s += e.Format.String() + ": "
	}
	if e.Where != "" {
		s += e.Where + ": "
	}
	return s + e.Err.Error()
}

func (e *FormatError) Unwrap() error { return e.Err }

// bad is the error of a part of a file; the format is filled in by the table.
func bad(where, format string, args ...any) error {
	return &FormatError{Where: where, Err: fmt.Errorf(format, args...)}
}

// unsupported is the error of what exists but is not read or written.
func unsupported(where, what string) error {
	return &FormatError{Where: where, Err: fmt.Errorf("%s: %w", what, errors.ErrUnsupported)}
}

// in fills in the format of an error that a row of the table returned.
func in(f Format, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*FormatError](err); ok {
		e.Format = f
		return e
	}
	if e, ok := errors.AsType[*PassphraseError](err); ok {
		e.Format = f
		return e
	}
	return &FormatError{Format: f, Err: err}
}

// Parse reads a private key in any of the [Formats]. The format is found by
// looking. A passphrase that is not needed is not an error. Errors are of type
// [*PassphraseError] or [*FormatError]; neither holds anything secret.
//
// A file may name what deriving its key shall cost. Parse refuses more than
// the defaults of [Limits]; see [ParseLimited].
func Parse(data []byte, pass Passphrase) (*PrivateKey, error) {
	return ParseLimited(data, pass, Limits{})
}

// ParseLimited is [Parse] with other limits.
func ParseLimited(data []byte, pass Passphrase, l Limits) (*PrivateKey, error) {
	f, r, err := detect(data)
	if err != nil {
		return nil, err
	}
	if r.parse == nil {
		return nil, in(r.format, ErrPublicOnly)
	}
	raw, comment, err := r.parse(f, opener{pass, l.OrDefault()})
	if err != nil {
		return nil, in(r.format, err)
	}
	k, err := newPrivateKey(raw)
	if err != nil {
		return nil, in(r.format, err)
	}
	k.Comment, k.Format = comment, r.format
	return k, nil
}

// ParsePublic reads a public key in any of the [Formats]: a file or a wire
// blob, that holds one key. From a file of a private key it reads the public
// half, if that is not encrypted. An OpenSSH certificate comes as
// *gossh.Certificate, an X.509 one as [*X509PublicKey]. Errors are of type
// [*FormatError], [*PassphraseError] or [*X509Error].
func ParsePublic(data []byte) (*PublicKey, error) {
	f, r, err := detect(data)
	if err != nil {
		return nil, err
	}
	k, err := r.parsePublic(f)
	if errors.Is(err, errPrivate) {
		k, err := Parse(data, nil)
		if err != nil {
			return nil, err
		}
		return k.Public(), nil
	}
	if _, ok := errors.AsType[*X509Error](err); ok {
		return nil, err
	}
	if err != nil {
		return nil, in(r.format, err)
	}
	k.Format = r.format
	return k, nil
}

// ErrPublicOnly is the reason of a [*FormatError] from [Parse] when what was
// read is a public key, which [ParsePublic] reads.
var ErrPublicOnly = errors.New("holds a public key only")

var errPrivate = errors.New("holds a private key")

// maxBlob bounds a key in wire form that is not an X.509 chain.
const maxBlob = 64 << 10

// ParseBlob reads a public key in SSH's wire form (RFC 4253 section 6.6),
// X.509 keys and certificates included. Errors are of type [*FormatError] or
// [*X509Error].
func ParseBlob(blob []byte) (gossh.PublicKey, error) {
	if findX509(blobType(blob)) != nil {
		return ParseX509Key(blob)
	}
	if len(blob) > maxBlob {
		return nil, in(Blob, bad("", "%d octets, at most %d are read", len(blob), maxBlob))
	}
	k, err := gossh.ParsePublicKey(blob)
	if err != nil {
		return nil, in(Blob, err)
	}
	return k, nil
}
