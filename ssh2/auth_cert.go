package ssh2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// caSigAlgs are the algorithms that authorities may sign certificates with,
// unless UserCAs says otherwise: everything but SHA-1 and DSA.
var caSigAlgs = []string{
	gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519,
	gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521, gossh.KeyAlgoSKECDSA256,
	gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256,
}

// Options of certificates (OpenSSH PROTOCOL.certkeys).
const (
	optForceCommand   = "force-command"
	optSourceAddress  = "source-address"
	optVerifyRequired = "verify-required"
)

// certCritical are the critical options that this library enforces. A
// certificate with any other is refused.
var certCritical = []string{optForceCommand, optSourceAddress, optVerifyRequired}

// certPermits are the extensions that grant something, and what their absence
// takes away.
var certPermits = []struct {
	name string
	deny func(*Limits)
}{
	{"permit-pty", func(l *Limits) { l.NoPTY = true }},
	{"permit-port-forwarding", func(l *Limits) { l.NoPortForwarding = true }},
	{"permit-agent-forwarding", func(l *Limits) { l.NoAgentForwarding = true }},
	{"permit-X11-forwarding", func(l *Limits) { l.NoX11Forwarding = true }},
}

// UserCAs says which OpenSSH user certificates are accepted. The library checks
// everything that PROTOCOL.certkeys asks for: that it is a user certificate,
// signed by an authority that is not itself a certificate, within its time, for
// this user, without unknown critical options; and it enforces source-address,
// force-command, verify-required and the permit extensions as [Limits]. A
// certificate without principals is refused.
type UserCAs struct {
	// Authority tells whether ca may certify users. Nil trusts nobody.
	Authority func(ca gossh.PublicKey) bool
	// Revoked tells whether a certificate, its key or its authority was
	// revoked; compare certificates by [keys.Identity]. Nil revokes nothing.
	Revoked func(cert *gossh.Certificate) bool
	// Principals returns the principals of which a certificate needs one to
	// log in as user. Nil means the user name itself.
	Principals func(user string) []string
	// Accept makes the final decision on a certificate that passed all checks.
	// Like ServerAuth.PublicKey it is called before and again after the
	// signature was verified. Its Limits apply in addition to the
	// certificate's. Nil accepts, with the *gossh.Certificate as Identity.
	Accept func(context.Context, *AuthAttempt, *gossh.Certificate) Verdict
	// SignatureAlgorithms are what an authority may have signed with; nil means
	// all that are not broken.
	SignatureAlgorithms []string
}

// check returns the limits of a certificate that may log in as user now, and
// whether its holder must be verified by the security key.
func (u *UserCAs) check(user string, cert *gossh.Certificate, now time.Time, minRSA int) (l Limits, verify bool, err error) {
	if u == nil || u.Authority == nil {
		return l, false, errors.New("certificate: no authorities configured")
	}
	if cert.CertType != gossh.UserCert {
		return l, false, fmt.Errorf("certificate: type %d is not a user certificate", cert.CertType)
	}
	if _, nested := cert.SignatureKey.(*gossh.Certificate); nested {
		return l, false, errors.New("certificate: signed by a certificate")
	}
	if err := checkRSA(cert.SignatureKey, minRSA); err != nil {
		return l, false, fmt.Errorf("certificate: authority: %w", err)
	}
	allowed := u.SignatureAlgorithms
	if allowed == nil {
		allowed = caSigAlgs
	}
	if !slices.Contains(allowed, cert.Signature.Format) {
		return l, false, fmt.Errorf("certificate: signed with %s", quoteAuth(cert.Signature.Format))
	}
	if !u.Authority(cert.SignatureKey) {
		return l, false, errors.New("certificate: authority not trusted")
	}
	if u.Revoked != nil && u.Revoked(cert) {
		return l, false, errors.New("certificate: revoked")
	}
	principal, err := u.principal(user, cert)
	if err != nil {
		return l, false, err
	}
	if err := checkValidity(cert, now); err != nil {
		return l, false, err
	}
	if l, err = certLimits(cert); err != nil {
		return l, false, err
	}
	checker := gossh.CertChecker{SupportedCriticalOptions: certCritical, Clock: func() time.Time { return now }}
	if err := checker.CheckCert(principal, cert); err != nil {
		return l, false, fmt.Errorf("certificate: %w", err)
	}
	_, verify = cert.CriticalOptions[optVerifyRequired]
	return l, verify, nil
}

// checkHostCert checks what a certificate of a host says by itself: that it is
// one, of this host, now, signed by a bare key with an algorithm that is not
// broken, without a critical option, of which hosts know none. Whether its
// authority is to be trusted is another question. A certificate without
// principals is good for no host; those it has may have wildcards, as in
// OpenSSH.
func checkHostCert(cert *gossh.Certificate, host string, now time.Time, minRSA int) error {
	if cert.CertType != gossh.HostCert {
		return fmt.Errorf("certificate: type %d is not a host certificate", cert.CertType)
	}
	if _, nested := cert.SignatureKey.(*gossh.Certificate); nested {
		return errors.New("certificate: signed by a certificate")
	}
	if err := checkRSA(cert.SignatureKey, minRSA); err != nil {
		return fmt.Errorf("certificate: authority: %w", err)
	}
	if !slices.Contains(caSigAlgs, cert.Signature.Format) {
		return fmt.Errorf("certificate: signed with %s", quoteAuth(cert.Signature.Format))
	}
	if err := checkValidity(cert, now); err != nil {
		return err
	}
	host = strings.ToLower(host)
	i := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return p != "" && wildcard(strings.ToLower(p), host) })
	if i < 0 {
		return errors.New("certificate: not for this host")
	}
	checker := gossh.CertChecker{Clock: func() time.Time { return now }}
	if err := checker.CheckCert(cert.ValidPrincipals[i], cert); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return nil
}

// checkValidity compares the times of a certificate on the full range of the
// fields: read as signed numbers, times beyond 2^63 would be in the past.
func checkValidity(cert *gossh.Certificate, now time.Time) error {
	unix := uint64(max(now.Unix(), 0))
	if unix < cert.ValidAfter || unix >= cert.ValidBefore && cert.ValidBefore != gossh.CertTimeInfinity {
		return errors.New("certificate: outside its validity")
	}
	return nil
}

// principal returns the one that makes cert good for user.
func (u *UserCAs) principal(user string, cert *gossh.Certificate) (string, error) {
	wanted := []string{user}
	if u.Principals != nil {
		wanted = u.Principals(user)
	}
	for _, p := range wanted {
		if p != "" && slices.Contains(cert.ValidPrincipals, p) {
			return p, nil
		}
	}
	return "", errors.New("certificate: not for this user")
}

// certLimits turns the options and extensions of a certificate into limits.
func certLimits(cert *gossh.Certificate) (l Limits, err error) {
	for name, value := range cert.CriticalOptions {
		switch name {
		case optSourceAddress:
			if l.SourceAddress, err = parseSources(value); err != nil {
				return Limits{}, fmt.Errorf("certificate: %w", err)
			}
		case optForceCommand:
			if value == "" {
				return Limits{}, errors.New("certificate: forced command is empty")
			}
			l.ForceCommand = value
		case optVerifyRequired:
			if value != "" {
				return Limits{}, errors.New("certificate: verify-required has a value")
			}
		default:
			return Limits{}, fmt.Errorf("certificate: unknown critical option %s", quoteAuth(name))
		}
	}
	for _, p := range certPermits {
		if _, ok := cert.Extensions[p.name]; !ok {
			p.deny(&l)
		}
	}
	if cert.ValidBefore <= 1<<62 { // later times are beyond time.Time, and everyone's care
		l.ValidBefore = time.Unix(int64(cert.ValidBefore), 0)
	}
	return l, nil
}
