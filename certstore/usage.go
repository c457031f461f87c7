package certstore

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
)

// keyUsages are the purposes of the KeyUsage extension (RFC 5280 section
// 4.2.1.3). SFTPServer numbers the bits from the other end than Go.
var keyUsages = []struct {
	flag  byte
	usage x509.KeyUsage
	name  string
}{
	{0x80, x509.KeyUsageDigitalSignature, "Digital Signature"},
	{0x40, x509.KeyUsageContentCommitment, "Non-Repudiation"},
	{0x20, x509.KeyUsageKeyEncipherment, "Key Encipherment"},
	{0x10, x509.KeyUsageDataEncipherment, "Data Encipherment"},
	{0x08, x509.KeyUsageKeyAgreement, "Key Agreement"},
	{0x04, x509.KeyUsageCertSign, "Certificate Signing"},
	{0x02, x509.KeyUsageCRLSign, "CRL Signing"},
	{0x01, x509.KeyUsageEncipherOnly, "Encipher Only"},
}

// KeyUsage returns what the certificate may be used for, in Go's numbering,
// which unlike [Certificate.UsageFlags] includes DecipherOnly.
func (c *Certificate) KeyUsage() x509.KeyUsage {
	if c.e.Cert == nil {
		return 0
	}
	return c.e.Cert.KeyUsage
}

// Usage returns the names of the uses with commas between them, such as
// "Digital Signature,Key Encipherment".
func (c *Certificate) Usage() string {
	var names []string
	for _, u := range keyUsages {
		if c.KeyUsage()&u.usage != 0 {
			names = append(names, u.name)
		}
	}
	return strings.Join(names, ",")
}

// UsageFlags returns the uses in SFTPServer's numbering: 0x80 Digital Signature,
// 0x40 Non-Repudiation, 0x20 Key Encipherment, 0x10 Data Encipherment, 0x08 Key
// Agreement, 0x04 Certificate Signing, 0x02 CRL Signing, 0x01 Encipher Only.
func (c *Certificate) UsageFlags() byte {
	var flags byte
	for _, u := range keyUsages {
		if c.KeyUsage()&u.usage != 0 {
			flags |= u.flag
		}
	}
	return flags
}

var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// extension returns the value of an extension, nil if the certificate has none.
func (c *Certificate) extension(oid asn1.ObjectIdentifier) []byte {
	if c.e.Cert == nil {
		return nil
	}
	for _, x := range c.e.Cert.Extensions {
		if x.Id.Equal(oid) {
			return x.Value
		}
	}
	return nil
}

// ExtKeyUsageOIDs returns the OIDs of the ExtendedKeyUsage extension (RFC 5280
// section 4.2.1.12) in the order of the certificate.
func (c *Certificate) ExtKeyUsageOIDs() []asn1.ObjectIdentifier {
	var oids []asn1.ObjectIdentifier
	if p := c.extension(oidExtKeyUsage); p != nil {
		if _, err := asn1.Unmarshal(p, &oids); err != nil {
			return nil // not after crypto/x509 has read it
		}
	}
	return oids
}

// ExtendedKeyUsage returns the OIDs with commas between them.
func (c *Certificate) ExtendedKeyUsage() string {
	var b strings.Builder
	for i, oid := range c.ExtKeyUsageOIDs() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(oid.String())
	}
	return b.String()
}

// AltNames returns the alternative names of the subject (RFC 5280 section
// 4.2.1.6) that are names of hosts, mail addresses, network addresses or URIs,
// and the principals of an OpenSSH certificate.
func (c *Certificate) AltNames() []string {
	var out []string
	if c.e.Cert != nil {
		out = append(out, c.e.Cert.DNSNames...)
		out = append(out, c.e.Cert.EmailAddresses...)
		for _, ip := range c.e.Cert.IPAddresses {
			out = append(out, ip.String())
		}
		for _, u := range c.e.Cert.URIs {
			out = append(out, u.String())
		}
	} else if c.e.SSHCert != nil {
		out = append(out, c.e.SSHCert.ValidPrincipals...)
	}
	return out
}

// SubjectAltNames returns [Certificate.AltNames] with commas between them.
func (c *Certificate) SubjectAltNames() string { return strings.Join(c.AltNames(), ",") }
