package ssh2

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// X509Users says which users log in with a key inside an X.509 certificate (RFC
// 6187). The zero value lets nobody in.
type X509Users struct {
	// Options are what certificates are verified by: Roots are required and
	// nobody is trusted without, not even whom the system trusts.
	// See [keys.VerifyX509], which also checks that the certificate is meant for
	// users.
	Options x509.VerifyOptions
	// Accept says whether the certificate, which passed all checks, is this
	// user's: SSH has no rule for that. chains lead from it to a root. Like
	// ServerAuth.PublicKey it is asked before and again after the signature was
	// verified. Nil refuses.
	//
	// With Unverified chains is nil.
	Accept func(ctx context.Context, a *AuthAttempt, key *keys.X509PublicKey, chains [][]*x509.Certificate) Verdict
	// Unverified has Accept asked about certificates that nobody verified, without
	// a look at Options. It must then know the very certificate, by its octets or a
	// fingerprint: the names and times in it are whatever its holder wrote.
	Unverified bool
}

// configured tells whether anybody could be let in.
func (u *X509Users) configured() bool {
	return u != nil && (u.Options.Roots != nil || u.Unverified) && u.Accept != nil
}

// judge verifies a certificate and asks whose it is.
func (u *X509Users) judge(ctx context.Context, at *AuthAttempt, key *keys.X509PublicKey, minRSA int) Verdict {
	if !u.configured() {
		return refused("X.509 certificates are not accepted")
	}
	if u.Unverified {
		return u.Accept(ctx, at, key, nil)
	}
	chains, err := verifyX509(key, u.Options, keys.X509Client, minRSA)
	if err != nil {
		return Verdict{Reason: err}
	}
	return u.Accept(ctx, at, key, chains)
}

// verifyX509 is keys.VerifyX509 without the chains that have a small RSA key
// in them, wherever it is (cves 10.6).
func verifyX509(key *keys.X509PublicKey, o x509.VerifyOptions, p keys.X509Purpose, minRSA int) ([][]*x509.Certificate, error) {
	chains, err := keys.VerifyX509(key, o, p)
	if err != nil {
		return nil, err
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			r, ok := c.PublicKey.(*rsa.PublicKey)
			return ok && r.N.BitLen() < minRSA
		})
	})
	if len(chains) == 0 {
		return nil, errors.New("certificate: made by an authority with a small RSA key")
	}
	return chains, nil
}

// parseX509 keeps a nil pointer from becoming an interface that is not nil.
func parseX509(blob []byte) (gossh.PublicKey, error) {
	key, err := keys.ParseX509Key(blob)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// X509HostKey trusts servers whose host key is inside an X.509 certificate that
// o.Roots lead to, is meant for servers, and is for the name or address given
// to Dial; o.DNSName, if set, is that name instead. Other keys are refused, and
// so are chains with an RSA key below 2048 bits. Without Roots everything is
// refused. The algorithms must be named in HostKeyAlgorithms, such as
// "^x509v3-*".
func X509HostKey(o x509.VerifyOptions) HostKeyPolicy {
	return HostKeyFunc(func(_ context.Context, k *HostKeyInfo) error {
		key, ok := k.Key.(*keys.X509PublicKey)
		if !ok {
			return errors.New("not an X.509 certificate")
		}
		o := o
		if o.DNSName == "" {
			if o.DNSName, _ = splitAddr(k.Addr); o.DNSName == "" {
				return errors.New("no name to look for in the certificate")
			}
		}
		_, err := verifyX509(key, o, keys.X509Server, defaultMinRSABits)
		return err
	})
}
