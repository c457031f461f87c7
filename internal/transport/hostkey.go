package transport

import (
	"bytes"
	"context"
	"crypto/dsa" //nolint:staticcheck // for old peers, by name only
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/keys"
)

// A hostAlgorithm is one name that a host key can be negotiated by.
type hostAlgorithm struct {
	alg.Row
	key       string // key type of the blob
	signature string // signature format
}

// hostAlgorithms is in order of preference: certificates before bare keys,
// short keys before RSA, and SHA-1 last of all but X.509, of which nothing is
// offered unless it is named.
var hostAlgorithms = append([]hostAlgorithm{
	certificate(gossh.CertAlgoED25519v01, gossh.CertAlgoED25519v01, gossh.KeyAlgoED25519),
	certificate(gossh.CertAlgoECDSA256v01, gossh.CertAlgoECDSA256v01, gossh.KeyAlgoECDSA256),
	certificate(gossh.CertAlgoECDSA384v01, gossh.CertAlgoECDSA384v01, gossh.KeyAlgoECDSA384),
	certificate(gossh.CertAlgoECDSA521v01, gossh.CertAlgoECDSA521v01, gossh.KeyAlgoECDSA521),
	certificate(gossh.CertAlgoRSASHA512v01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSASHA512),
	certificate(gossh.CertAlgoRSASHA256v01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSASHA256),
	bare(gossh.KeyAlgoED25519, gossh.KeyAlgoED25519, "RFC 8709"),
	bare(gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA256, "RFC 5656"),
	bare(gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA384, "RFC 5656"),
	bare(gossh.KeyAlgoECDSA521, gossh.KeyAlgoECDSA521, "RFC 5656"),
	bare(gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSA, "RFC 8332"),
	bare(gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSA, "RFC 8332"),
	legacy(certificate(gossh.CertAlgoRSAv01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSA)),
	legacy(bare(gossh.KeyAlgoRSA, gossh.KeyAlgoRSA, "RFC 4253")),
	legacy(certificate(certDSA, certDSA, keyDSA)),
	legacy(bare(keyDSA, keyDSA, "RFC 4253")),
}, x509Algorithms()...)

// x509Algorithms are the rows of keys inside X.509 certificates (RFC 6187).
// Whether a certificate is to be trusted is for Config.HostKey to say.
func x509Algorithms() (rows []hostAlgorithm) {
	for _, x := range keys.X509Algorithms() {
		a := bare(x.Name, x.Name, x.Reference)
		a.signature, a.Status = x.Signature, alg.Offered
		if x.SHA1 {
			a.Status = alg.Legacy
		}
		rows = append(rows, a)
	}
	return rows
}

// isX509 tells whether keys of the algorithm are X.509 certificates.
func (a hostAlgorithm) isX509() bool { return strings.HasPrefix(a.key, "x509v3-") }

// DSA keys have 1024 bits, their signatures twice 160 (RFC 4253 section 6.6).
const (
	keyDSA  = "ssh-dss"
	certDSA = "ssh-dss-cert-v01@openssh.com"
)

// legacy marks a row whose signatures are of SHA-1, for which somebody with
// much money finds two texts to sign at once.
func legacy(a hostAlgorithm) hostAlgorithm {
	a.Status = alg.Legacy
	return a
}

// certificate is the row of a name for keys of type key that a certificate
// vouches for.
func certificate(name, key, signature string) hostAlgorithm {
	return hostAlgorithm{
		Row: alg.Row{Name: name, Status: alg.Default, Reference: "OpenSSH PROTOCOL.certkeys"},
		key: key, signature: signature,
	}
}

// bare is the row of a name for keys of type key by themselves.
func bare(name, key, reference string) hostAlgorithm {
	return hostAlgorithm{Row: alg.Row{Name: name, Status: alg.Default, Reference: reference}, key: key, signature: name}
}

// HostKeyAlgorithms describes all host key algorithms, the preferred ones
// first. The slice is the caller's.
func HostKeyAlgorithms() []alg.Row {
	rows := make([]alg.Row, len(hostAlgorithms))
	for i, a := range hostAlgorithms {
		rows[i] = a.Row
	}
	return rows
}

func findHostAlgorithm(name string) (hostAlgorithm, bool) {
	i := slices.IndexFunc(hostAlgorithms, func(a hostAlgorithm) bool { return a.Name == name })
	if i < 0 {
		return hostAlgorithm{}, false
	}
	return hostAlgorithms[i], true
}

// canSign tells whether s can make signatures of the algorithm.
func canSign(s gossh.Signer, a hostAlgorithm) bool {
	if s.PublicKey().Type() != a.key {
		return false
	}
	if m, ok := s.(gossh.MultiAlgorithmSigner); ok {
		return slices.Contains(m.Algorithms(), a.signature) || a.isX509() && slices.Contains(m.Algorithms(), a.Name)
	}
	if _, ok := s.(gossh.AlgorithmSigner); ok {
		return true
	}
	// A bare Signer chooses its format itself: for RSA that is SHA-1.
	return a.signature != gossh.KeyAlgoRSASHA256 && a.signature != gossh.KeyAlgoRSASHA512
}

// hostKeyAlgorithms returns the names to offer: on a server those it can sign
// for, so that a name is never negotiated that then fails (CVE-2022-27191).
func (c *Conn) hostKeyAlgorithms() []string {
	if c.cfg.Role == msg.Client {
		return c.cfg.HostKeys
	}
	return Signable(c.cfg.HostKeys, c.signers)
}

// Signable returns those of the host key algorithms that one of the keys can sign by.
func Signable(algorithms []string, keys []gossh.Signer) []string {
	var names []string
	for _, name := range algorithms {
		a, ok := findHostAlgorithm(name)
		if ok && slices.ContainsFunc(keys, func(s gossh.Signer) bool { return canSign(s, a) }) {
			names = append(names, name)
		}
	}
	return names
}

// A hostSigner signs with one host key by one algorithm.
type hostSigner struct {
	gossh.Signer
	a hostAlgorithm
}

func (c *Conn) signerFor(name string) (*hostSigner, error) {
	a, ok := findHostAlgorithm(name)
	if ok {
		for _, s := range c.signers {
			if canSign(s, a) {
				return &hostSigner{s, a}, nil
			}
		}
	}
	return nil, fmt.Errorf("host key: no key for %s", name)
}

// sign returns the encoded signature of the exchange hash.
func (s *hostSigner) sign(hash []byte) ([]byte, error) {
	var sig *gossh.Signature
	var err error
	if as, ok := s.Signer.(gossh.AlgorithmSigner); ok {
		sig, err = as.SignWithAlgorithm(rand.Reader, hash, s.a.signature)
	} else {
		sig, err = s.Sign(rand.Reader, hash)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	if sig == nil || sig.Format != s.a.signature {
		return nil, fmt.Errorf("host key: signer made another signature than %s", s.a.signature)
	}
	// A faulty RSA signature gives the private key away (cves 3.9). Checking
	// one costs a hundredth of making it.
	if s.a.key == gossh.KeyAlgoRSA || s.a.key == gossh.CertAlgoRSAv01 || s.a.isX509() {
		if err := s.PublicKey().Verify(hash, sig); err != nil {
			return nil, errors.New("host key: signer made a wrong signature")
		}
	}
	return gossh.Marshal(sig), nil
}

// maxHostKey bounds the blob of a host key before it is parsed: an RSA key of
// 16384 bits in a certificate with many principals is far below.
const maxHostKey = 64 << 10

// verifyHostKey parses the server's host key and verifies its signature of
// the exchange hash by the negotiated algorithm and no other.
func (c *Conn) verifyHostKey(name string, blob, hash, signature []byte) (gossh.PublicKey, error) {
	key, base, a, err := c.parseHostKey(name, blob)
	if err != nil {
		return nil, err
	}
	if len(signature) > maxHostKey {
		return nil, errors.New("key or signature too long")
	}
	var sig gossh.Signature
	if err := gossh.Unmarshal(signature, &sig); err != nil || len(sig.Rest) != 0 {
		return nil, errors.New("signature is malformed")
	}
	if sig.Format != a.signature {
		return nil, fmt.Errorf("signature is %+q, negotiated was %s", clip(sig.Format, 64), a.signature)
	}
	if err := base.Verify(hash, &sig); err != nil {
		return nil, errors.New("signature is wrong")
	}
	return key, nil
}

// parseHostKey parses a host key of the negotiated algorithm. base is the bare
// key, for a certificate the one it is about.
func (c *Conn) parseHostKey(name string, blob []byte) (key, base gossh.PublicKey, a hostAlgorithm, err error) {
	a, ok := findHostAlgorithm(name)
	if !ok {
		return nil, nil, a, fmt.Errorf("algorithm %q is not implemented", name)
	}
	if len(blob) > maxHostKey {
		return nil, nil, a, errors.New("key or signature too long")
	}
	if err := checkKeyBlob(blob, a.key); err != nil {
		return nil, nil, a, err
	}
	if a.isX509() {
		key, err = parseX509(blob)
	} else {
		key, err = gossh.ParsePublicKey(blob)
	}
	if err != nil {
		return nil, nil, a, fmt.Errorf("key: %w", err)
	}
	if key.Type() != a.key {
		return nil, nil, a, fmt.Errorf("key is of type %+q, negotiated was %s", clip(key.Type(), 64), a.key)
	}
	base = key
	if cert, ok := key.(*gossh.Certificate); ok {
		if cert.CertType != gossh.HostCert {
			return nil, nil, a, errors.New("certificate: not for a host")
		}
		if err := c.checkStrength(cert.SignatureKey, a); err != nil {
			return nil, nil, a, fmt.Errorf("certificate: signed by: %w", err)
		}
		base = cert.Key
	}
	return key, base, a, c.checkStrength(base, a)
}

// parseX509 keeps a nil pointer from becoming an interface that is not nil.
func parseX509(blob []byte) (gossh.PublicKey, error) {
	key, err := keys.ParseX509Key(blob)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// checkStrength refuses keys that are too small, and DSA unless the algorithm
// negotiated is of DSA.
func (c *Conn) checkStrength(key gossh.PublicKey, a hostAlgorithm) error {
	cp, ok := key.(gossh.CryptoPublicKey)
	if !ok {
		return nil
	}
	switch k := cp.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		if least := or(c.cfg.MinRSABits, DefaultMinRSABits); k.N.BitLen() < least {
			return fmt.Errorf("RSA key of %d bits, %d are the least", k.N.BitLen(), least)
		}
	case *dsa.PublicKey:
		if a.signature != keyDSA && a.signature != "x509v3-sign-dss" {
			return errors.New("DSA keys are not accepted")
		}
		if k.P.BitLen() != 1024 || k.Q.BitLen() != 160 {
			return fmt.Errorf("DSA key of %d and %d bits, not 1024 and 160", k.P.BitLen(), k.Q.BitLen())
		}
	}
	return nil
}

// judgeHostKey asks the user of the connection about the key the first time,
// and insists on the same key afterwards.
func (c *Conn) judgeHostKey(ctx context.Context, x *run) error {
	// A server known by GSS-API may not have shown a key so far.
	if !c.first && c.hostBlob != nil {
		if !bytes.Equal(c.hostBlob, x.blob) {
			return errors.New("server shows another key than at the start")
		}
		return nil
	}
	if c.cfg.HostKey == nil {
		return errors.New("nothing is configured to verify it with")
	}
	c.out.asking(true)
	defer c.out.asking(false)
	return c.cfg.HostKey(ctx, x.chosen.HostKey, x.hostKey)
}
