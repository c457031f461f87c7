package certstore

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

func storeFile(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", "stores", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// toolStore is a store that another program made, and what is in it: alias,
// key, subject, number of issuers.
type toolStore struct {
	name     string // glob
	format   string
	password string
	want     []string
}

var (
	ecEntries   = []string{"ec key|ec|ec.example.com|2", "||Fairlead test issuer|1", "||Fairlead test CA|0"}
	rsaEntries  = []string{"rsa key|rsa|rsa.example.com|2", "||Fairlead test issuer|1", "||Fairlead test CA|0"}
	javaEntries = []string{"root||Fairlead test CA|0", "ec|ec|ec.example.com|2", "rsa|rsa|rsa.example.com|2"}
)

var toolStores = []toolStore{
	{"pfx/PBE-*.p12", "PFX", "testing", ecEntries},
	{"pfx/mac-*.p12", "PFX", "testing", ecEntries},
	{"pfx/in-clear*.p12", "PFX", "testing", ecEntries},
	{"pfx/aes128-sha1.p12", "PFX", "testing", ecEntries},
	{"pfx/csp.p12", "PFX", "testing", ecEntries},
	{"pfx/modern-ec.p12", "PFX", "testing", ecEntries},
	{"pfx/no-mac.p12", "PFX", "testing", ecEntries},
	{"pfx/modern.p12", "PFX", "testing", rsaEntries},
	{"pfx/legacy.p12", "PFX", "testing", rsaEntries},
	{"pfx/modern-ed.p12", "PFX", "testing", []string{"ed key|ed|ed.example.com|2", "||Fairlead test issuer|1", "||Fairlead test CA|0"}},
	{"pfx/dsa.p12", "PFX", "testing", []string{"dsa key|dsa|dsa.example.com|2", "||Fairlead test issuer|1", "||Fairlead test CA|0"}},
	{"pfx/certificates-only.p12", "PFX", "testing", []string{"||Fairlead test CA|0", "||Fairlead test issuer|1"}},
	{"pfx/key-only.p12", "PFX", "testing", []string{"|ec||0"}},
	{"pfx/empty-password.p12", "PFX", "", []string{"empty password|ec|ec.example.com|0"}},
	{"pfx/unicode-password.p12", "PFX", "gr\u00fc\u00dfe", []string{"umlaut|ec|ec.example.com|0"}},
	{"pfx/emoji-password.p12", "PFX", "\U0001F511", []string{"beyond|ec|ec.example.com|0"}},
	{"pfx/latin1-password.p12", "PFX", "\xe9t\xe9", []string{"latin 1|ec|ec.example.com|0"}},
	{"pfx/java*.p12", "PFX", "testing", []string{
		"rsa|rsa|rsa.example.com|2", "CN=Fairlead test issuer||Fairlead test issuer|1", "CN=Fairlead test CA||Fairlead test CA|0",
		"ec|ec|ec.example.com|2", "CN=Fairlead test issuer||Fairlead test issuer|1", "CN=Fairlead test CA||Fairlead test CA|0", "root||Fairlead test CA|0",
	}},
	{"pfx/nss.p12", "PFX", "testing", []string{"Fairlead test issuer||Fairlead test issuer|1", "Fairlead test CA||Fairlead test CA|0", "rsa key|rsa|rsa.example.com|2"}},
	{"pfx/bouncy-castle.p12", "PFX", "testing", []string{"ec|ec|ec.example.com|2", "rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "||Fairlead test issuer|1"}},
	{"pfx/rfc9579-a[123].p12", "PFX", "1234", []string{"|ssh-rsa|tt|0"}},
	{"p7b/certs.p*", "P7B", "", []string{"||ec.example.com|2", "||Fairlead test issuer|1", "||Fairlead test CA|0"}},
	{"p7b/signed*.p7b", "P7B", "", []string{"||Fairlead test issuer|1", "||Fairlead test CA|0", "||rsa.example.com|2"}},
	{"p7b/with-crl.p7b", "P7B", "", []string{"||Fairlead test CA|0"}},
	{"jks/two-keys.jks", "JKS", "testing", javaEntries},
	{"jks/certificate-only.jks", "JKS", "testing", []string{"root||Fairlead test CA|0"}},
	{"jks/two-keys.jceks", "JCEKS", "testing", javaEntries},
	{"jks/certificate-only.jceks", "JCEKS", "testing", []string{"root||Fairlead test CA|0"}},
	{"bcfks/default.bcfks", "BCFKS", "testing", []string{"rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "ec|ec|ec.example.com|2"}},
	{"bcfks/ccm-sha512.bcfks", "BCFKS", "testing", []string{"rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "ec|ec|ec.example.com|2"}},
	{"bcfks/kwp-sha3.bcfks", "BCFKS", "testing", []string{"rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "ec|ec|ec.example.com|2"}},
	{"bcfks/scrypt.bcfks", "BCFKS", "testing", []string{"rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "ec|ec|ec.example.com|2"}},
	{"bcfks/secret-key.bcfks", "BCFKS", "testing", []string{"rsa|rsa|rsa.example.com|2", "root||Fairlead test CA|0", "ec|ec|ec.example.com|2"}},
	{"bcfks/fips.bcfks", "BCFKS", "testing", []string{"ec|ec|ec.example.com|1", "issuer||Fairlead test issuer|0"}},
}

// contents says what is in a store; keys are known by the files they came from.
func contents(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for _, c := range s.All() {
		e := c.Entry()
		key, subject := "", ""
		if e.Key != nil {
			key = e.Key.Type()
			for _, name := range []string{"rsa", "ec", "ed", "dsa"} {
				k, err := new(input).pkcs8(storeFile(t, name+".pkcs8"))
				if err != nil {
					t.Fatal(err)
				}
				if keys.Equal(k.Public(), e.Key.Public()) {
					key = name
				}
			}
		}
		if e.Cert != nil {
			subject = e.Cert.Subject.CommonName
			if e.Key != nil && !bytes.Equal(keyID(e.Cert.PublicKey), e.keyID()) {
				t.Errorf("%s: key and certificate do not belong together", subject)
			}
			c := e.Cert
			for _, issuer := range e.Chain {
				if err := c.CheckSignatureFrom(issuer); err != nil {
					t.Errorf("%s: issuer %s: %v", subject, issuer.Subject, err)
				}
				c = issuer
			}
		}
		out = append(out, fmt.Sprintf("%s|%s|%s|%d", e.Alias, key, subject, len(e.Chain)))
	}
	return out
}

// eachStore calls f for each store in the table.
func eachStore(t *testing.T, f func(t *testing.T, r toolStore, name string, data []byte)) {
	for _, r := range toolStores {
		names, err := filepath.Glob(filepath.Join("testdata", "stores", r.name))
		if err != nil || len(names) == 0 {
			t.Errorf("no file %s", r.name)
		}
		for _, n := range names {
			n = filepath.ToSlash(strings.TrimPrefix(n, filepath.Join("testdata", "stores")+string(filepath.Separator)))
			t.Run(strings.ReplaceAll(n, "/", "-"), func(t *testing.T) { f(t, r, n, storeFile(t, n)) })
		}
	}
}

// What other programs wrote is read as it is, found by looking.
func TestToolStores(t *testing.T) {
	eachStore(t, func(t *testing.T, r toolStore, _ string, data []byte) {
		s, err := OpenBytes(Auto, data, Options{Password: keys.Passphrase(r.password)})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, s); !slices.Equal(got, r.want) || s.Format() != r.format {
			t.Errorf("%s: %q\nwant %s: %q", s.Format(), got, r.format, r.want)
		}
	})
}

// A wrong password, and none, are errors of a type of their own.
func TestStorePasswords(t *testing.T) {
	eachStore(t, func(t *testing.T, r toolStore, name string, data []byte) {
		if r.format == "P7B" || name == "pfx/in-clear.p12" {
			return // protected by nothing
		}
		for _, pass := range []string{"", "Testing", "testing ", "\u00e4\U0001F600\xff"} {
			if pass == r.password || name == "pfx/nss.p12" && strings.HasSuffix(pass, "\xff") {
				continue // the latter: 600000 iterations each time
			}
			_, err := OpenBytes(Auto, data, Options{Password: keys.Passphrase(pass)})
			e, ok := errors.AsType[*PasswordError](err)
			if !ok || e.Format != r.format || e.Wrong != (pass != "") {
				t.Errorf("password %+q: %v", pass, err)
			}
		}
	})
}

// What is known to exist and cannot be read says so.
func TestUnsupportedStores(t *testing.T) {
	for name, pass := range map[string]string{
		"p7b/enveloped.p7b": "", "bcfks/signed.bcfks": "testing", "jks/secret-key.jceks": "testing",
	} {
		_, err := OpenBytes(Auto, storeFile(t, name), Options{Password: keys.Passphrase(pass)})
		if e, ok := errors.AsType[*FormatError](err); !ok || !errors.Is(e, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// RFC 9579 appendix A.4 to A.6: a MAC computed in a wrong way, and a key
	// whose length is missing.
	for name, want := range map[string]error{"a4": new(PasswordError), "a5": new(PasswordError), "a6": new(FormatError)} {
		_, err := OpenBytes(PFXFile, storeFile(t, "pfx/rfc9579-"+name+".p12"), Options{Password: keys.Passphrase("1234")})
		if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key may have a password of its own; then that is tried first, and asked for
// by its alias if it was not given.
func TestKeyPasswords(t *testing.T) {
	for _, name := range []string{"jks/key-password.jks", "jks/key-password.jceks", "bcfks/key-password.bcfks"} {
		data := storeFile(t, name)
		o := Options{Password: keys.Passphrase("testing")}
		_, err := OpenBytes(Auto, data, o)
		if e, ok := errors.AsType[*PasswordError](err); !ok || e.Alias != "rsa" || !e.Wrong {
			t.Errorf("%s without the password of the key: %v", name, err)
		}
		two := func(o Options) {
			t.Helper()
			s, err := OpenBytes(Auto, data, o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			n := 0
			for _, c := range s.All() {
				if c.Entry().Key != nil {
					n++
				}
			}
			if n != 2 {
				t.Errorf("%s: %d keys", name, n)
			}
		}
		o.KeyPassword = keys.Passphrase("other-one")
		two(o)
		var asked []string
		two(Options{Ask: func(alias string) (keys.Passphrase, error) {
			asked = append(asked, alias)
			return keys.Passphrase(map[string]string{"": "testing", "rsa": "other-one"}[alias]), nil
		}})
		if !slices.Equal(asked, []string{"", "rsa"}) {
			t.Errorf("%s: asked for %q", name, asked)
		}
		enough := errors.New("enough")
		o = Options{Password: keys.Passphrase("testing"), Ask: func(string) (keys.Passphrase, error) { return nil, enough }}
		if _, err := OpenBytes(Auto, data, o); !errors.Is(err, enough) {
			t.Errorf("%s: %v, want the error of Ask", name, err)
		}
	}
}

// The types of these forms: a path, the octets, Base64 with line ends, armour.
func TestStoreFilesAndBlobs(t *testing.T) {
	for _, r := range []struct {
		file, blob Type
		name       string
		armour     string
		entries    int
	}{
		{PFXFile, PFXBlob, "pfx/modern.p12", "PKCS12", 3},
		{PFXFile, PFXBlob, "pfx/bouncy-castle.p12", "", 4}, // BER, as nss.p12, whose 600000 iterations take seconds each time
		{JKSFile, JKSBlob, "jks/two-keys.jks", "", 3},
		{JKSFile, JKSBlob, "jks/two-keys.jceks", "", 3},
		{JKSFile, JKSBlob, "pfx/java-legacy.p12", "", 7},
		{P7BFile, P7BBlob, "p7b/certs.p7b", "PKCS7", 3},
		{P7BFile, P7BBlob, "p7b/certs.pem", "", 3},
		{BCFKSFile, BCFKSBlob, "bcfks/fips.bcfks", "", 2},
	} {
		o := Options{Password: testPass}
		data := storeFile(t, r.name)
		path := filepath.Join("testdata", "stores", filepath.FromSlash(r.name))
		text := base64.StdEncoding.EncodeToString(data)
		opens := map[string]func() (*Store, error){
			"path":           func() (*Store, error) { return Open(r.file, path, o) },
			"path, by look":  func() (*Store, error) { return Open(Auto, path, o) },
			"zero type":      func() (*Store, error) { return Open(0, path, o) },
			"octets":         func() (*Store, error) { return Open(r.blob, string(data), o) },
			"octets as file": func() (*Store, error) { return OpenBytes(r.file, data, o) },
			"Base64":         func() (*Store, error) { return Open(r.blob, text[:64]+"\r\n"+text[64:]+"\n", o) },
			"Base64 by look": func() (*Store, error) { return Open(Auto, text, o) },
		}
		if r.armour != "" {
			opens["armour"] = func() (*Store, error) {
				return OpenBytes(r.blob, pem.EncodeToMemory(&pem.Block{Type: r.armour, Bytes: data}), o)
			}
		}
		if strings.HasSuffix(r.name, ".pem") { // is text already
			delete(opens, "Base64")
			delete(opens, "Base64 by look")
		}
		for what, open := range opens {
			s, err := open()
			if err != nil {
				t.Errorf("%s: %s: %v", r.name, what, err)
			} else if s.Len() != r.entries {
				t.Errorf("%s: %s: %d entries, want %d", r.name, what, s.Len(), r.entries)
			}
		}
		for _, other := range []Type{PFXFile, P7BFile, BCFKSFile, PEMKeyFile, PPKFile, SSHPublicKeyFile} {
			if other == r.file || other == PFXFile && strings.HasPrefix(r.name, "pfx/") {
				continue
			}
			if _, err := Open(other, path, o); err == nil {
				t.Errorf("%s is opened as %s", r.name, other)
			} else {
				typed(t, r.name, err)
			}
		}
	}
}

// Keys out of each form sign, with their certificates beside them.
func TestStoreKeysSign(t *testing.T) {
	for name, subject := range map[string]string{
		"pfx/modern.p12": "CN=rsa.example.com", "pfx/legacy.p12": "*", "pfx/modern-ec.p12": "CN=ec.example.com", "pfx/modern-ed.p12": "CN=ed.example.com",
		"pfx/dsa.p12": "CN=dsa.example.com", "jks/two-keys.jks": "CN=rsa.example.com", "jks/two-keys.jceks": "CN=ec.example.com",
		"bcfks/default.bcfks": "CN=ec.example.com", "bcfks/fips.bcfks": "*",
	} {
		c, err := Load(Auto, filepath.Join("testdata", "stores", filepath.FromSlash(name)), testPass, subject)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		signers, err := c.Signers()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(signers) < 2 {
			t.Errorf("%s: %d kinds of signers, want those of X.509 too", name, len(signers))
		}
		sig, err := signers[0].Sign(rand.Reader, []byte("data"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := signers[0].PublicKey().Verify([]byte("data"), sig); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Text that is no store may be a secret all the same, and stays out of errors.
func TestContentsStayOutOfErrors(t *testing.T) {
	secret := strings.Repeat("c2VjcmV0", 100)
	for _, typ := range []Type{Auto, User, PFXFile, PFXBlob} {
		if _, err := Open(typ, secret, Options{}); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", typ, err)
		}
	}
}
