package certstore

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// testPass is the passphrase of every fixture that has one.
var testPass = keys.Passphrase("testing")

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keyFixture is a fixture of package keys, which has those of every tool.
func keyFixture(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("..", "keys", "testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustLoad(t testing.TB, typ Type, data []byte, subject string) *Certificate {
	t.Helper()
	c, err := LoadBytes(typ, data, testPass, subject)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf returns the certificate with every field and its key.
func leaf(t testing.TB) *Certificate {
	t.Helper()
	return mustLoad(t, PEMKeyBlob, bytes.Join([][]byte{fixture(t, "x509/leaf.key"), fixture(t, "x509/leaf.crt"), fixture(t, "x509/issuer.crt"), fixture(t, "x509/root.crt")}, nil), "*")
}

// opensslSays returns what the tools printed of the certificate, by the words
// in front.
func opensslSays(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for l := range strings.Lines(string(fixture(t, "x509/leaf.txt"))) {
		l = strings.TrimSpace(l)
		if name, value, ok := strings.Cut(l, "="); ok && !strings.HasPrefix(l, "2048 ") {
			out[name] = value
		} else if f := strings.Fields(l); len(f) > 1 {
			name, value, _ := strings.Cut(f[1], ":")
			out["key "+name] = value
		}
	}
	return out
}

func TestCertificateFields(t *testing.T) {
	zone := time.Local
	defer func() { time.Local = zone }()
	time.Local = time.FixedZone("", 3600) // the fields are in local time

	c, says := leaf(t), opensslSays(t)
	local := func(what string) string {
		at, err := time.Parse("2006-01-02 15:04:05Z", says[what])
		if err != nil {
			t.Fatal(err)
		}
		return at.Add(time.Hour).Format("02-Jan-2006 15:04:05")
	}
	plain := func(s string) string { return strings.ReplaceAll(s, ":", "") }
	for _, f := range []struct{ name, got, want string }{
		{"EffectiveDate", c.EffectiveDate(), local("notBefore")},
		{"ExpirationDate", c.ExpirationDate(), local("notAfter")},
		{"ExtendedKeyUsage", c.ExtendedKeyUsage(), "1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.22"},
		{"Fingerprint", c.FingerprintMD5(), says["key MD5"]},
		{"FingerprintBase64", c.FingerprintBase64(), "SHA256:" + says["key SHA256"]},
		{"Issuer", c.Issuer(), "CN=Test Issuer, O=Fairlead, C=US"},
		{"PrivateKeyContainer", c.PrivateKeyContainer(), ""},
		{"PrivateKey", string(c.PrivateKeyPEM()), string(fixture(t, "x509/leaf.key"))},
		{"PublicKeyAlgorithm", c.PublicKeyAlgorithm(), "RSA"},
		{"SerialNumber", c.SerialNumber(), strings.ToLower(says["serial"])},
		{"SignatureAlgorithm", c.SignatureAlgorithm(), "ECDSA-SHA256"},
		{"SubjectAltNames", c.SubjectAltNames(), "www.server.com,sftp.server.com,support@example.com,192.0.2.7,2001:db8::7,https://www.server.com/a"},
		{"ThumbprintMD5", c.ThumbprintMD5(), plain(says["md5 Fingerprint"])},
		{"ThumbprintSHA1", c.ThumbprintSHA1(), plain(says["sha1 Fingerprint"])},
		{"ThumbprintSHA256", c.ThumbprintSHA256(), plain(says["sha256 Fingerprint"])},
		{"Usage", c.Usage(), "Digital Signature,Non-Repudiation,Key Encipherment,Data Encipherment,Key Agreement,Certificate Signing,CRL Signing,Encipher Only"},
		{"Version", c.Version(), "V3"},
		{"Subject", c.Subject(), `E=support@example.com, CN=www.server.com, OU=test, O="Example, Inc.", L=Springfield, S=Illinois, C=US`},
		{"Encoded", string(c.Encoded()), string(fixture(t, "x509/leaf.crt"))},
		{"String", c.String(), c.Subject()},
	} {
		if f.got != f.want {
			t.Errorf("%s = %q, want %q", f.name, f.got, f.want)
		}
	}
	if c.UsageFlags() != 0xFF {
		t.Errorf("UsageFlags = %#x", c.UsageFlags())
	}
	if c.PublicKeyBits() != 2048 || !c.HasPrivateKey() {
		t.Errorf("%d bits, private key %v", c.PublicKeyBits(), c.HasPrivateKey())
	}
	if b, _ := pem.Decode(c.PublicKeyPEM()); b == nil || b.Type != "PUBLIC KEY" || !bytes.Equal(b.Bytes, c.X509().RawSubjectPublicKeyInfo) {
		t.Errorf("PublicKey = %s", c.PublicKeyPEM())
	}
	if chain := c.Chain(); len(chain) != 2 || chain[0].Subject.CommonName != "Test Issuer" || chain[1].Subject.CommonName != "Test Root" {
		t.Errorf("chain of %d", len(chain))
	}
	if c.StoreType() != PEMKeyBlob || c.Store() != "" {
		t.Errorf("store %s %q", c.StoreType(), c.Store())
	}
	// The long forms in hex hold what ssh-keygen says in Base64.
	for name, got := range map[string]string{"SHA1": c.FingerprintSHA1(), "SHA256": c.FingerprintSHA256()} {
		want, err := base64.RawStdEncoding.DecodeString(says["key "+name])
		if err != nil || len(want) == 0 {
			t.Fatal(err)
		}
		if got != strings.ReplaceAll(fmt.Sprintf("% x", want), " ", ":") {
			t.Errorf("Fingerprint%s = %s, want %x", name, got, want)
		}
	}
}

// TestUsageFlags wants every use under its own bit and name.
func TestUsageFlags(t *testing.T) {
	seen := byte(0)
	for _, u := range keyUsages {
		c := &Certificate{e: Entry{Cert: &x509.Certificate{KeyUsage: u.usage | x509.KeyUsageDecipherOnly}}}
		if c.UsageFlags() != u.flag || c.Usage() != u.name {
			t.Errorf("%#x: %#x %q, want %q", u.flag, c.UsageFlags(), c.Usage(), u.name)
		}
		seen |= u.flag
	}
	if seen != 0xFF {
		t.Errorf("flags %#x", seen)
	}
	two := &Certificate{e: Entry{Cert: &x509.Certificate{KeyUsage: x509.KeyUsageEncipherOnly | x509.KeyUsageDigitalSignature}}}
	if two.UsageFlags() != 0x81 || two.Usage() != "Digital Signature,Encipher Only" {
		t.Errorf("%#x %q", two.UsageFlags(), two.Usage())
	}
}

func TestCertificateVersions(t *testing.T) {
	old := mustLoad(t, PublicKeyBlob, fixture(t, "x509/old.crt"), "*")
	if old.Version() != "V1" || old.SignatureAlgorithm() != "ECDSA-SHA1" || old.SerialNumber() != "04" || old.Usage() != "" || old.ExtendedKeyUsage() != "" {
		t.Errorf("%s %s %s", old.Version(), old.SignatureAlgorithm(), old.SerialNumber())
	}
	// No tool makes version 2; the version is a field of its own in front.
	der := bytes.Clone(mustLoad(t, PublicKeyBlob, fixture(t, "x509/other.crt"), "*").X509().Raw)
	i := bytes.Index(der, []byte{0xA0, 3, 2, 1, 2})
	if i < 0 {
		t.Fatal("no version")
	}
	der[i+4] = 1
	if c, err := ParseCertificate(der); err != nil || c.Version() != "V2" {
		t.Errorf("version 2: %v, %v", c, err)
	}
}

// TestCertificateOfUnknownKey has what Go has no names for under its OID.
func TestCertificateOfUnknownKey(t *testing.T) {
	c := mustLoad(t, Auto, fixture(t, "x509/ed448.crt"), "*")
	if c.PublicKeyAlgorithm() != "1.3.101.113" || c.SignatureAlgorithm() != "1.3.101.113" {
		t.Errorf("%s, %s", c.PublicKeyAlgorithm(), c.SignatureAlgorithm())
	}
	if c.PublicKey() != nil || c.FingerprintSHA256() != "" || c.PublicKeyBits() != 0 || c.ThumbprintMD5() == "" || c.PublicKeyPEM() == nil {
		t.Error("fields of a key that SSH does not have")
	}
	if _, err := c.Signers(); err == nil {
		t.Error("signs")
	}
}

// TestZeroCertificate wants the empty certificate to have nothing and to do
// nothing.
func TestZeroCertificate(t *testing.T) {
	var c Certificate
	for name, s := range map[string]string{
		"EffectiveDate": c.EffectiveDate(), "ExpirationDate": c.ExpirationDate(), "ExtendedKeyUsage": c.ExtendedKeyUsage(), "FingerprintMD5": c.FingerprintMD5(),
		"FingerprintSHA1": c.FingerprintSHA1(), "FingerprintSHA256": c.FingerprintSHA256(), "FingerprintBase64": c.FingerprintBase64(), "Issuer": c.Issuer(),
		"PrivateKeyPEM": string(c.PrivateKeyPEM()), "PublicKeyPEM": string(c.PublicKeyPEM()), "PublicKeyAlgorithm": c.PublicKeyAlgorithm(), "SerialNumber": c.SerialNumber(),
		"SignatureAlgorithm": c.SignatureAlgorithm(), "SubjectAltNames": c.SubjectAltNames(), "ThumbprintMD5": c.ThumbprintMD5(), "ThumbprintSHA1": c.ThumbprintSHA1(),
		"ThumbprintSHA256": c.ThumbprintSHA256(), "Usage": c.Usage(), "Version": c.Version(), "Subject": c.Subject(), "Encoded": string(c.Encoded()), "Store": c.Store(), "Alias": c.Alias(),
	} {
		if s != "" {
			t.Errorf("%s = %q", name, s)
		}
	}
	if c.HasPrivateKey() || c.PublicKeyBits() != 0 || c.UsageFlags() != 0 || c.PublicKey() != nil || c.X509() != nil || c.Chain() != nil || c.Close() != nil {
		t.Error("the zero value has something")
	}
	if _, err := c.Signer(); err == nil {
		t.Error("the zero value signs")
	}
	if s := (*Certificate)(nil).String(); s != "no certificate" || c.String() != s {
		t.Errorf("%q, %q", s, c.String())
	}
}

// TestBareKeyFields has a key without a certificate, of each kind.
func TestBareKeyFields(t *testing.T) {
	for _, k := range []struct {
		file, algorithm string
		bits            int
	}{
		{"ssh-keygen/rsa.openssh", "RSA", 0},
		{"ssh-keygen/ecdsa384.openssh", "ECDSA", 384},
		{"ssh-keygen/ed25519.openssh", "Ed25519", 256},
		{"ssh-keygen/dsa.openssh", "DSA", 1024},
	} {
		c := mustLoad(t, Auto, keyFixture(t, k.file), "")
		if c.PublicKeyAlgorithm() != k.algorithm || k.bits != 0 && c.PublicKeyBits() != k.bits || c.PublicKeyBits() < 256 {
			t.Errorf("%s: %s of %d bits", k.file, c.PublicKeyAlgorithm(), c.PublicKeyBits())
		}
		if c.Subject() != "" || c.Issuer() != "" || c.EffectiveDate() != "" || c.Version() != "" || c.Encoded() != nil || c.ThumbprintSHA1() != "" {
			t.Errorf("%s: fields of a certificate", k.file)
		}
		if c.FingerprintBase64() != gossh.FingerprintSHA256(c.PublicKey()) || c.FingerprintMD5() != gossh.FingerprintLegacyMD5(c.PublicKey()) {
			t.Errorf("%s: fingerprints", k.file)
		}
		again, err := keys.Parse(c.PrivateKeyPEM(), nil)
		if err != nil || !keys.Equal(again, c.Entry().Key) {
			t.Errorf("%s: PrivateKeyPEM: %v", k.file, err)
		}
		if pub, err := keys.ParsePublic(c.PublicKeyPEM()); err != nil || !keys.Equal(pub, c.Entry().Key) {
			t.Errorf("%s: PublicKeyPEM: %v", k.file, err)
		}
	}
}

func TestSSHCertificateFields(t *testing.T) {
	c := mustLoad(t, SSHPublicKeyBlob, keyFixture(t, "ssh-keygen/ecdsa256-cert.pub"), "")
	sc := c.Entry().SSHCert
	if sc == nil {
		t.Fatal("no certificate")
	}
	if c.SubjectAltNames() != strings.Join(sc.ValidPrincipals, ",") || c.SerialNumber() == "" || c.HasPrivateKey() {
		t.Errorf("%q %q", c.SubjectAltNames(), c.SerialNumber())
	}
	// The fingerprint is that of the key, as ssh-keygen has it.
	if c.FingerprintBase64() != gossh.FingerprintSHA256(sc.Key) {
		t.Error("fingerprint of the certificate")
	}
	some := &Certificate{e: Entry{SSHCert: &gossh.Certificate{Key: sc.Key, Serial: 0x123, ValidAfter: 1, ValidBefore: gossh.CertTimeInfinity}}}
	if some.SerialNumber() != "0123" || some.NotBefore().Unix() != 1 || !some.NotAfter().IsZero() || some.ExpirationDate() != "" {
		t.Errorf("%s %v %v", some.SerialNumber(), some.NotBefore(), some.NotAfter())
	}
}
