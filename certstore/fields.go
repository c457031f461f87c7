package certstore

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // certificates may have such keys
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // thumbprints and fingerprints in the old form
	"crypto/rsa"
	_ "crypto/sha1" // the same
	_ "crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math"
	"strconv"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// What SFTPServer's Certificate type shows, most of it as text. All of it is
// empty where there is nothing to show: a bare key has no issuer.

// Subject returns the subject's name: CN=www.example.com, O="Example, Inc.",
// C=US. The part that a certificate has last comes first.
func (c *Certificate) Subject() string {
	if c.e.Cert == nil {
		return ""
	}
	return printName(parseName(c.e.Cert.RawSubject))
}

// Issuer returns the issuer's name in the form of [Certificate.Subject].
func (c *Certificate) Issuer() string {
	if c.e.Cert == nil {
		return ""
	}
	return printName(parseName(c.e.Cert.RawIssuer))
}

// dateForm is that of SFTPServer: 23-Jan-2000 15:00:00.
const dateForm = "02-Jan-2006 15:04:05"

// EffectiveDate returns the start of validity in local time, such as
// "23-Jan-2000 15:00:00".
func (c *Certificate) EffectiveDate() string { return date(c.NotBefore()) }

// ExpirationDate returns the end of validity in the form of
// [Certificate.EffectiveDate].
func (c *Certificate) ExpirationDate() string { return date(c.NotAfter()) }

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(dateForm)
}

// NotBefore returns the start of validity of the certificate, of OpenSSH too.
// It is zero if there is none.
func (c *Certificate) NotBefore() time.Time {
	switch {
	case c.e.Cert != nil:
		return c.e.Cert.NotBefore
	case c.e.SSHCert != nil:
		return sshTime(c.e.SSHCert.ValidAfter)
	}
	return time.Time{}
}

// NotAfter returns the end of validity of the certificate, of OpenSSH too. It is
// zero if there is none.
func (c *Certificate) NotAfter() time.Time {
	switch {
	case c.e.Cert != nil:
		return c.e.Cert.NotAfter
	case c.e.SSHCert != nil:
		return sshTime(c.e.SSHCert.ValidBefore)
	}
	return time.Time{}
}

// sshTime is a time of an OpenSSH certificate, whose ends may be open.
func sshTime(seconds uint64) time.Time {
	if seconds == 0 || seconds > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// SerialNumber returns the serial number in hex, two digits for each octet.
func (c *Certificate) SerialNumber() string {
	switch {
	case c.e.Cert != nil:
		if n := c.e.Cert.SerialNumber; n.Sign() != 0 {
			return hex.EncodeToString(n.Bytes())
		}
		return "00"
	case c.e.SSHCert != nil:
		s := strconv.FormatUint(c.e.SSHCert.Serial, 16)
		return strings.Repeat("0", len(s)%2) + s
	}
	return ""
}

// Version returns "V1", "V2" or "V3".
func (c *Certificate) Version() string {
	if c.e.Cert == nil {
		return ""
	}
	return "V" + strconv.Itoa(c.e.Cert.Version)
}

// SignatureAlgorithm returns the name of the algorithm that the issuer signed
// with, such as "SHA256-RSA", or its OID if the name is not known.
func (c *Certificate) SignatureAlgorithm() string {
	if c.e.Cert == nil {
		return ""
	}
	if a := c.e.Cert.SignatureAlgorithm; a != x509.UnknownSignatureAlgorithm {
		return a.String()
	}
	var cert struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.e.Cert.Raw, &cert); err != nil {
		return "" // not after crypto/x509 has read it
	}
	return cert.Algorithm.Algorithm.String()
}

// PublicKeyAlgorithm returns the kind of the public key: "RSA", "DSA", "ECDSA",
// "Ed25519", the OID of an X.509 key of another kind, or the type of an SSH key
// of another kind.
func (c *Certificate) PublicKeyAlgorithm() string {
	switch c.e.raw().(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *dsa.PublicKey:
		return "DSA"
	case *ecdsa.PublicKey:
		return "ECDSA"
	case ed25519.PublicKey:
		return "Ed25519"
	}
	if c.e.Cert != nil {
		var info struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(c.e.Cert.RawSubjectPublicKeyInfo, &info); err != nil {
			return ""
		}
		return info.Algorithm.Algorithm.String()
	}
	if k := c.PublicKey(); k != nil {
		return k.Type()
	}
	return ""
}

// PublicKeyBits returns the size of the public key in bits (PublicKeyLength of
// SFTPServer), 0 for kinds that are not known.
func (c *Certificate) PublicKeyBits() int {
	switch k := c.e.raw().(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *dsa.PublicKey:
		return k.P.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return 8 * len(k)
	}
	return 0
}

// PublicKeyPEM returns the public key as the PEM block PUBLIC KEY.
func (c *Certificate) PublicKeyPEM() []byte {
	if c.e.Cert != nil {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.e.Cert.RawSubjectPublicKeyInfo})
	}
	k := c.PublicKey()
	if k == nil {
		return nil
	}
	p, err := (&keys.PublicKey{Key: k}).Marshal(keys.PKCS8)
	if err != nil {
		return nil // a security key, say, which has no such form
	}
	return p
}

// PrivateKeyPEM returns the private key in the clear, as the PEM block PRIVATE
// KEY; nil if there is none or if the store does not give it out.
func (c *Certificate) PrivateKeyPEM() []byte {
	if c.e.Key == nil {
		return nil
	}
	k := *c.e.Key
	k.Comment = "" // for which the form has no place
	p, err := k.Marshal(keys.PKCS8, keys.MarshalOptions{})
	if err != nil {
		return nil
	}
	return p
}

// PrivateKeyContainer would return the name of the key's container on Windows.
// It is not looked up: the result is always empty.
func (c *Certificate) PrivateKeyContainer() string { return "" }

// Encoded returns the X.509 certificate as PEM.
func (c *Certificate) Encoded() []byte {
	if c.e.Cert == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.e.Cert.Raw})
}

// FingerprintMD5 returns the MD5 of the public key in SSH's form as 16 octets in
// hex with colons, as ssh-keygen -E md5 does.
func (c *Certificate) FingerprintMD5() string { return colons(c.keyHash(crypto.MD5)) }

// FingerprintSHA1 returns the SHA-1 in the form of [Certificate.FingerprintMD5].
func (c *Certificate) FingerprintSHA1() string { return colons(c.keyHash(crypto.SHA1)) }

// FingerprintSHA256 returns the SHA-256 in the form of
// [Certificate.FingerprintMD5].
func (c *Certificate) FingerprintSHA256() string { return colons(c.keyHash(crypto.SHA256)) }

// FingerprintBase64 returns "SHA256:" and the SHA-256 of the public key in
// Base64, the form that OpenSSH shows.
func (c *Certificate) FingerprintBase64() string {
	k := c.PublicKey()
	if k == nil {
		return ""
	}
	return gossh.FingerprintSHA256(k)
}

// colons prints octets in hex with colons between them.
func colons(p []byte) string {
	var b strings.Builder
	for i, v := range p {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex.EncodeToString([]byte{v}))
	}
	return b.String()
}

// ThumbprintMD5 returns the MD5 of the X.509 certificate in DER, in upper-case
// hex without colons.
func (c *Certificate) ThumbprintMD5() string { return c.thumbprint(crypto.MD5) }

// ThumbprintSHA1 returns the SHA-1 in the form of [Certificate.ThumbprintMD5].
func (c *Certificate) ThumbprintSHA1() string { return c.thumbprint(crypto.SHA1) }

// ThumbprintSHA256 returns the SHA-256 in the form of
// [Certificate.ThumbprintMD5].
func (c *Certificate) ThumbprintSHA256() string { return c.thumbprint(crypto.SHA256) }

func (c *Certificate) thumbprint(h crypto.Hash) string {
	if c.e.Cert == nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(c.hash(h)))
}
