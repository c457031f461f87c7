package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // RFC 6187 section 3.1 names it
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Bounds of a key blob that holds certificates. They are checked before a
// certificate is parsed.
const (
	maxX509Blob  = 128 << 10
	maxX509Certs = 16
	maxOCSP      = 16 << 10 // of one response: it may name the key that its signature is checked with
	maxRSABits   = 16384    // of every key in a chain: checking a signature costs the square of it
)

// X509Algorithm is a public key algorithm whose key blob holds X.509
// certificates.
type X509Algorithm struct {
	Name      string // in negotiation and in front of the key blob
	Signature string // format name in front of a signature
	SHA1      bool   // signs a SHA-1 digest, which is broken
	Draft     bool   // of the expired draft that came before RFC 6187: one certificate, no chain
	Reference string

	plain string // the signature algorithm that does the same without a certificate
	fits  func(crypto.PublicKey) bool
}

// x509Algorithms is the table of all of them, the best of each kind of key
// first.
var x509Algorithms = []X509Algorithm{
	{Name: "x509v3-ssh-ed25519", Signature: gossh.KeyAlgoED25519, plain: gossh.KeyAlgoED25519, fits: isEd25519, Reference: "RFC 6187 with RFC 8709, as AsyncSSH and PKIX-SSH do"},
	{Name: "x509v3-ecdsa-sha2-nistp256", Signature: gossh.KeyAlgoECDSA256, plain: gossh.KeyAlgoECDSA256, fits: onCurve(elliptic.P256()), Reference: "RFC 6187 section 3.4"},
	{Name: "x509v3-ecdsa-sha2-nistp384", Signature: gossh.KeyAlgoECDSA384, plain: gossh.KeyAlgoECDSA384, fits: onCurve(elliptic.P384()), Reference: "RFC 6187 section 3.4"},
	{Name: "x509v3-ecdsa-sha2-nistp521", Signature: gossh.KeyAlgoECDSA521, plain: gossh.KeyAlgoECDSA521, fits: onCurve(elliptic.P521()), Reference: "RFC 6187 section 3.4"},
	{Name: "x509v3-rsa2048-sha256", Signature: "rsa2048-sha256", plain: gossh.KeyAlgoRSASHA256, fits: isRSA(2048), Reference: "RFC 6187 section 3.3"},
	{Name: "x509v3-ssh-rsa", Signature: gossh.KeyAlgoRSA, plain: gossh.KeyAlgoRSA, SHA1: true, fits: isRSA(1024), Reference: "RFC 6187 section 3.2"},
	{Name: "x509v3-ssh-dss", Signature: keyAlgoDSA, plain: keyAlgoDSA, SHA1: true, fits: isDSA, Reference: "RFC 6187 section 3.1"},
	{Name: "x509v3-sign-rsa", Signature: "x509v3-sign-rsa", plain: gossh.KeyAlgoRSA, SHA1: true, Draft: true, fits: isRSA(1024), Reference: "draft-ietf-secsh-transport-12 section 4.6"},
	{Name: "x509v3-sign-dss", Signature: "x509v3-sign-dss", plain: keyAlgoDSA, SHA1: true, Draft: true, fits: isDSA, Reference: "draft-ietf-secsh-transport-12 section 4.6"},
}

// keyAlgoDSA is written out because x/crypto calls its constant deprecated.
const keyAlgoDSA = "ssh-dss"

// X509Algorithms returns all algorithms whose key is an X.509 certificate, by
// preference. The slice is the caller's.
func X509Algorithms() []X509Algorithm { return slices.Clone(x509Algorithms) }

// FindX509Algorithm returns the algorithm of that name, and whether there is
// one.
func FindX509Algorithm(name string) (X509Algorithm, bool) {
	if a := findX509(name); a != nil {
		return *a, true
	}
	return X509Algorithm{}, false
}

func findX509(name string) *X509Algorithm {
	for i := range x509Algorithms {
		if x509Algorithms[i].Name == name {
			return &x509Algorithms[i]
		}
	}
	return nil
}

func isEd25519(k crypto.PublicKey) bool { _, ok := k.(ed25519.PublicKey); return ok }

func isDSA(k crypto.PublicKey) bool { _, ok := k.(*dsa.PublicKey); return ok }

func isRSA(bits int) func(crypto.PublicKey) bool {
	return func(k crypto.PublicKey) bool {
		r, ok := k.(*rsa.PublicKey)
		return ok && r.N.BitLen() >= bits
	}
}

func onCurve(c elliptic.Curve) func(crypto.PublicKey) bool {
	return func(k crypto.PublicKey) bool {
		e, ok := k.(*ecdsa.PublicKey)
		return ok && e.Curve == c
	}
}

// An X509Error says why a key that is an X.509 certificate was refused.
type X509Error struct {
	What string // what was looked at: "blob", "certificate", "chain", "purpose", "ocsp", "signature"
	Err  error  // why it was refused
}

func (e *X509Error) Error() string { return "keys: x509 " + e.What + ": " + e.Err.Error() }
func (e *X509Error) Unwrap() error { return e.Err }

func x509Error(what, format string, args ...any) error {
	return &X509Error{What: what, Err: fmt.Errorf(format, args...)}
}

// X509PublicKey is a public key conveyed in an X.509 certificate (RFC 6187). It
// is a gossh.PublicKey and a gossh.CryptoPublicKey. Possession of one proves
// nothing about its owner: see [VerifyX509]. It is immutable and may be used
// concurrently.
type X509PublicKey struct {
	alg   *X509Algorithm
	certs []*x509.Certificate // at least one, the owner's first
	ocsp  [][]byte
	plain gossh.PublicKey
	blob  []byte
}

var _ interface {
	gossh.PublicKey
	gossh.CryptoPublicKey
} = (*X509PublicKey)(nil)

// NewX509Key returns the key of chain[0] under the algorithm of that name. The
// chain goes from the owner's certificate towards the root, each certifying the
// one before it; the root itself may be left out (RFC 6187 section 2.1). The
// ocsp responses are DER, at most one for each certificate. An empty algorithm
// stands for the best one that fits the key. The algorithms of the draft carry
// chain[0] only.
func NewX509Key(algorithm string, chain []*x509.Certificate, ocsp [][]byte) (*X509PublicKey, error) {
	if len(chain) == 0 {
		return nil, x509Error("chain", "no certificate")
	}
	a := findX509(algorithm)
	if algorithm == "" {
		a = algorithmFor(chain[0].PublicKey, false)
	}
	if a == nil {
		return nil, x509Error("blob", "no algorithm %+q for a key of type %T", clip(algorithm), chain[0].PublicKey)
	}
	blob := wire.AppendString(nil, a.Name)
	if a.Draft {
		blob = wire.AppendBytes(blob, chain[0].Raw)
	} else {
		blob = wire.AppendUint32(blob, uint32(len(chain)))
		for _, c := range chain {
			blob = wire.AppendBytes(blob, c.Raw)
		}
		blob = wire.AppendUint32(blob, uint32(len(ocsp)))
		for _, r := range ocsp {
			blob = wire.AppendBytes(blob, r)
		}
	}
	return ParseX509Key(blob) // so that what we write is always something we would read
}

// algorithmFor is the first row that fits the key, of RFC 6187 or of the draft.
func algorithmFor(key crypto.PublicKey, draft bool) *X509Algorithm {
	i := slices.IndexFunc(x509Algorithms, func(a X509Algorithm) bool { return a.Draft == draft && a.fits(key) })
	if i < 0 {
		return nil
	}
	return &x509Algorithms[i]
}

// ParseX509Key reads a key blob of one of the [X509Algorithms]. At most 16
// certificates and 128 KiB are read, and no RSA key above 16384 bits. It
// checks the form and that each certificate names the next as its issuer, but
// trusts nothing: see [VerifyX509]. Errors are of type [*X509Error].
//
// For the names of the draft, which did not settle the form of the key, three
// are read that are in use: the name and the certificate as a string, the name
// and the bare certificate, and the bare certificate alone. The key marshals to
// the form that it was read from.
func ParseX509Key(blob []byte) (*X509PublicKey, error) {
	if len(blob) > maxX509Blob {
		return nil, x509Error("blob", "%d octets, at most %d are read", len(blob), maxX509Blob)
	}
	k := &X509PublicKey{blob: bytes.Clone(blob)}
	var ders [][]byte
	if bareDER(blob) {
		ders = [][]byte{k.blob}
	} else {
		var name string
		c := wire.Decoder(k.blob)
		c.String(&name)
		if c.Err() != nil {
			return nil, x509Error("blob", "too short")
		}
		if k.alg = findX509(name); k.alg == nil {
			return nil, x509Error("blob", "type %+q is not one of X.509", clip(name))
		}
		var err error
		if k.alg.Draft {
			ders, err = draftBody(c)
		} else {
			ders, k.ocsp, err = rfc6187Body(c)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := k.parseChain(ders); err != nil {
		return nil, err
	}
	if k.alg == nil {
		if k.alg = algorithmFor(k.Leaf().PublicKey, true); k.alg == nil {
			return nil, x509Error("certificate", "a bare certificate with a key of type %T", k.Leaf().PublicKey)
		}
	}
	if !k.alg.fits(k.Leaf().PublicKey) {
		return nil, x509Error("certificate", "its key does not fit %s", k.alg.Name)
	}
	plain, err := gossh.NewPublicKey(k.Leaf().PublicKey)
	if err == nil { // parsing is where x/crypto checks exponents, groups and points
		plain, err = gossh.ParsePublicKey(plain.Marshal())
	}
	if err != nil {
		return nil, &X509Error{What: "certificate", Err: err}
	}
	k.plain = plain
	return k, nil
}

// bareDER tells whether p starts like a DER sequence. A blob with a name starts
// with its length, whose first octet is zero.
func bareDER(p []byte) bool { return len(p) > 0 && p[0] == 0x30 }

// rfc6187Body reads what follows the name (RFC 6187 section 2.1).
func rfc6187Body(c *wire.Coder) (certs, ocsp [][]byte, err error) {
	if certs, err = strings32(c, "certificate", maxX509Certs); err != nil {
		return nil, nil, err
	}
	if len(certs) == 0 {
		return nil, nil, x509Error("blob", "no certificate")
	}
	// "The number of OCSP responses MUST NOT exceed the number of certificates."
	if ocsp, err = strings32(c, "ocsp response", len(certs)); err != nil {
		return nil, nil, err
	}
	if c.End() != nil {
		return nil, nil, x509Error("blob", "octets after the last field")
	}
	for _, r := range ocsp {
		if len(r) > maxOCSP {
			return nil, nil, x509Error("blob", "ocsp response of %d octets, at most %d", len(r), maxOCSP)
		}
	}
	return certs, ocsp, nil
}

// strings32 reads a count and as many strings.
func strings32(c *wire.Coder, what string, most int) ([][]byte, error) {
	var n uint32
	c.Uint32(&n)
	if c.Err() == nil && uint64(n) > uint64(most) {
		return nil, x509Error("blob", "%s count %d, at most %d", what, n, most)
	}
	var out [][]byte
	for range n {
		var p []byte
		c.Bytes(&p)
		out = append(out, p)
	}
	if c.Err() != nil {
		return nil, x509Error("blob", "ends inside a %s", what)
	}
	return out, nil
}

// draftBody reads the certificate behind a name of the draft: draft 12 of the
// transport says "byte[n]", later practice is a string.
func draftBody(c *wire.Coder) ([][]byte, error) {
	var der []byte
	if bareDER(c.Buffer()) {
		c.Rest(&der)
	} else {
		c.Bytes(&der)
	}
	if c.End() != nil {
		return nil, x509Error("blob", "not one certificate")
	}
	return [][]byte{der}, nil
}

func (k *X509PublicKey) parseChain(ders [][]byte) error {
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return &X509Error{What: "certificate", Err: err}
		}
		if r, ok := cert.PublicKey.(*rsa.PublicKey); ok && r.N.BitLen() > maxRSABits {
			return x509Error("certificate", "RSA key of %d bits, at most %d", r.N.BitLen(), maxRSABits)
		}
		if i > 0 && !bytes.Equal(k.certs[i-1].RawIssuer, cert.RawSubject) {
			return x509Error("chain", "certificate %d does not certify the one before it", i+1)
		}
		k.certs = append(k.certs, cert)
	}
	return nil
}

// Type returns the name of the algorithm, such as "x509v3-rsa2048-sha256".
func (k *X509PublicKey) Type() string { return k.alg.Name }

// Marshal returns the key blob in a slice that is the caller's.
func (k *X509PublicKey) Marshal() []byte { return bytes.Clone(k.blob) }

// Algorithm returns the row of the key's algorithm.
func (k *X509PublicKey) Algorithm() X509Algorithm { return *k.alg }

// Leaf returns the certificate of the key's owner.
func (k *X509PublicKey) Leaf() *x509.Certificate { return k.certs[0] }

// Certificates returns the chain as it was sent, the owner's certificate first.
// None of it is verified.
func (k *X509PublicKey) Certificates() []*x509.Certificate { return slices.Clone(k.certs) }

// OCSPResponses returns the OCSP responses as they were sent, in DER. None of
// them is verified.
func (k *X509PublicKey) OCSPResponses() [][]byte { return slices.Clone(k.ocsp) }

// Plain returns the same public key without its certificate.
func (k *X509PublicKey) Plain() gossh.PublicKey { return k.plain }

// CryptoPublicKey returns the public key of the certificate.
func (k *X509PublicKey) CryptoPublicKey() crypto.PublicKey { return k.certs[0].PublicKey }

// Verify checks a signature of data under the key (RFC 6187 section 3). It
// does not look at the certificate: see [VerifyX509].
func (k *X509PublicKey) Verify(data []byte, sig *gossh.Signature) error {
	if sig.Format != k.alg.Signature && (!k.alg.Draft || sig.Format != k.alg.plain) {
		return x509Error("signature", "format %+q with a key of type %s", clip(sig.Format), k.alg.Name)
	}
	if len(sig.Rest) != 0 {
		return x509Error("signature", "octets after the last field")
	}
	blob := sig.Blob
	if k.alg.Draft && k.alg.plain == keyAlgoDSA && bareDER(blob) && len(blob) != 40 {
		var err error
		if blob, err = dssFromDER(blob); err != nil {
			return &X509Error{What: "signature", Err: err}
		}
	}
	if err := k.plain.Verify(data, &gossh.Signature{Format: k.alg.plain, Blob: blob}); err != nil {
		return &X509Error{What: "signature", Err: err}
	}
	return nil
}

// x509Signer signs with a plain key in the name of its certificate.
type x509Signer struct {
	key   *X509PublicKey
	inner gossh.Signer
}

// NewX509Signer returns a signer that presents key and signs with s, which
// holds the private half of the certificate's key: one of [Parse], of an agent,
// or of gossh.NewSignerFromSigner. Its only algorithm is that of key.
func NewX509Signer(key *X509PublicKey, s gossh.Signer) (gossh.MultiAlgorithmSigner, error) {
	if !bytes.Equal(s.PublicKey().Marshal(), key.plain.Marshal()) {
		return nil, x509Error("certificate", "the signer has another key than the certificate")
	}
	return &x509Signer{key, s}, nil
}

func (s *x509Signer) PublicKey() gossh.PublicKey { return s.key }
func (s *x509Signer) Algorithms() []string       { return []string{s.key.alg.Name} }

var errSignature = errors.New("the signer gave a signature of another algorithm")

func (s *x509Signer) Sign(rand io.Reader, data []byte) (*gossh.Signature, error) {
	a := s.key.alg
	var sig *gossh.Signature
	var err error
	if as, ok := s.inner.(gossh.AlgorithmSigner); ok {
		sig, err = as.SignWithAlgorithm(rand, data, a.plain)
	} else {
		sig, err = s.inner.Sign(rand, data)
	}
	if err != nil {
		return nil, err
	}
	if sig.Format != a.plain || len(sig.Rest) != 0 {
		return nil, &X509Error{What: "signature", Err: errSignature}
	}
	blob := sig.Blob
	if a.Draft && a.plain == keyAlgoDSA {
		// The draft wants "X.509v3 compatible DER-encoded format".
		if blob, err = dssToDER(blob); err != nil {
			return nil, &X509Error{What: "signature", Err: err}
		}
	}
	return &gossh.Signature{Format: a.Signature, Blob: blob}, nil
}

// SignWithAlgorithm takes the name of the key's algorithm, the format name of
// its signatures, or nothing.
func (s *x509Signer) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*gossh.Signature, error) {
	if a := s.key.alg; algorithm != "" && algorithm != a.Name && algorithm != a.Signature {
		return nil, x509Error("signature", "algorithm %+q with a key of type %s", clip(algorithm), a.Name)
	}
	return s.Sign(rand, data)
}

// clip shortens a name from outside for an error text.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
