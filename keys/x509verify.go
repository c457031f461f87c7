package keys

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// X509Purpose is what a certificate is presented for. The zero value allows
// nothing.
type X509Purpose int

// The purposes of RFC 6187 section 2.2.2.
const (
	X509Client X509Purpose = 1 // id-kp-secureShellClient: a user, or the host of a hostbased login
	X509Server X509Purpose = 2 // id-kp-secureShellServer: a host key
)

// Object identifiers of RFC 6187 section 2.2.2 and RFC 5280 section 4.2.1.12.
var (
	oidSecureShellClient = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 21}
	oidSecureShellServer = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 22}
	oidKeyUsage          = asn1.ObjectIdentifier{2, 5, 29, 15}
)

// purposes maps a purpose to its key purpose id.
var purposes = map[X509Purpose]asn1.ObjectIdentifier{
	X509Client: oidSecureShellClient,
	X509Server: oidSecureShellServer,
}

// SecureShellUsage returns the key purpose id of a purpose, for
// x509.Certificate.UnknownExtKeyUsage when a certificate is made; nil for an
// unknown purpose.
func SecureShellUsage(p X509Purpose) asn1.ObjectIdentifier { return slices.Clone(purposes[p]) }

// VerifyX509 decides whether the certificate of key may be used for purpose
// under the roots of opts, and returns the chains that say so, never none
// without an error. Errors are of type [*X509Error].
//
// The path is validated as in RFC 5280 section 6.1 by crypto/x509, which
// refuses SHA-1 and MD5 in it. The certificates sent with the key are
// intermediates besides those of opts. Opts.Roots must be set: that the
// system's web authorities may name users is never assumed. Opts.DNSName, if
// set, must be a name of the certificate. Opts.KeyUsages is not used; in its
// place the rules of RFC 6187 section 2.2 hold: a KeyUsage extension must have
// digitalSignature, and an ExtendedKeyUsage extension, in the certificate or in
// an intermediate, must have the purpose or anyExtendedKeyUsage.
//
// OCSP responses that were sent must each speak of a certificate of the chain,
// be signed by its issuer or by a responder that the issuer authorized, be
// current (a day old at most if they do not say how long they are good), and
// say "good". If none were sent, that is no error: a caller who requires one
// checks X509PublicKey.OCSPResponses.
func VerifyX509(key *X509PublicKey, opts x509.VerifyOptions, purpose X509Purpose) ([][]*x509.Certificate, error) {
	oid := purposes[purpose]
	switch {
	case oid == nil:
		return nil, x509Error("purpose", "none given")
	case opts.Roots == nil:
		return nil, x509Error("chain", "no roots to trust")
	}
	leaf := key.Leaf()
	if hasExtension(leaf, oidKeyUsage) && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, x509Error("purpose", "KeyUsage without digitalSignature")
	}
	if opts.Intermediates == nil {
		opts.Intermediates = x509.NewCertPool()
	} else {
		opts.Intermediates = opts.Intermediates.Clone()
	}
	for _, c := range key.certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} // crypto/x509 has no name for ours
	chains, err := leaf.Verify(opts)
	if err != nil {
		return nil, &X509Error{What: "chain", Err: err}
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool { return !chainAllows(chain, oid) })
	if len(chains) == 0 {
		return nil, x509Error("purpose", "ExtendedKeyUsage does not allow %s", oid)
	}
	now := opts.CurrentTime
	if now.IsZero() {
		now = time.Now()
	}
	for _, resp := range key.ocsp {
		if err := checkOCSP(resp, chains, now); err != nil {
			return nil, &X509Error{What: "ocsp", Err: err}
		}
	}
	return chains, nil
}

func hasExtension(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return true
		}
	}
	return false
}

// chainAllows applies ExtendedKeyUsage to the leaf and, as crypto/x509 and
// everyone else does, to each intermediate. A root is trusted as it is.
func chainAllows(chain []*x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for i, c := range chain {
		if i > 0 && i == len(chain)-1 {
			break
		}
		if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
			continue
		}
		if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) && !slices.ContainsFunc(c.UnknownExtKeyUsage, oid.Equal) {
			return false
		}
	}
	return true
}

var (
	errOCSPRevoked = errors.New("certificate is revoked")
	errOCSPUnknown = errors.New("responder does not know the certificate")
	errOCSPStale   = errors.New("response is not current")
	errOCSPForeign = errors.New("response is of no certificate of the chain, or its signature is wrong")
	errOCSPSigner  = errors.New("response is signed by one who may not")
)

// maxOCSPAge is how old a response may be that does not say how long it is good:
// who was revoked would else go on with what was said of him before.
const maxOCSPAge = 24 * time.Hour

// checkOCSP judges one response by the chains that were found (RFC 6960 section
// 3.2).
func checkOCSP(der []byte, chains [][]*x509.Certificate, now time.Time) error {
	for _, chain := range chains {
		for i, c := range chain[:len(chain)-1] {
			issuer := chain[i+1]
			// ParseResponseForCert checks the signature, but not what the one
			// who signed was certified for.
			r, err := ocsp.ParseResponseForCert(der, c, issuer)
			if err != nil {
				continue
			}
			if s := r.Certificate; s != nil && !s.Equal(issuer) &&
				(!slices.Contains(s.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.Before(s.NotBefore) || now.After(s.NotAfter)) {
				return errOCSPSigner
			}
			until := r.NextUpdate
			if until.IsZero() { // newer ones can be had at any time (RFC 6960 section 2.4)
				until = r.ThisUpdate.Add(maxOCSPAge)
			}
			switch {
			case r.Status == ocsp.Revoked:
				return errOCSPRevoked
			case r.Status != ocsp.Good:
				return errOCSPUnknown
			case now.Before(r.ThisUpdate), now.After(until):
				return errOCSPStale
			}
			return nil
		}
	}
	return errOCSPForeign
}

var errDSS = errors.New("malformed DSA signature")

// dssFromDER turns the ASN.1 form of a DSA signature into the 40 octets of RFC
// 4253 section 6.6.
func dssFromDER(der []byte) ([]byte, error) {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) != 0 || s.R.Sign() <= 0 || s.S.Sign() <= 0 || s.R.BitLen() > 160 || s.S.BitLen() > 160 {
		return nil, errDSS
	}
	out := make([]byte, 40)
	s.R.FillBytes(out[:20])
	s.S.FillBytes(out[20:])
	return out, nil
}

func dssToDER(raw []byte) ([]byte, error) {
	if len(raw) != 40 {
		return nil, errDSS
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:20]), new(big.Int).SetBytes(raw[20:])})
}
