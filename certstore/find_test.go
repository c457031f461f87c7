package certstore

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// everything returns a store of issuers, two certificates with their keys, and
// a certificate without one, in this order.
func everything(t testing.TB) *Store {
	t.Helper()
	var all []byte
	for _, f := range []string{"root.crt", "issuer.crt", "leaf.crt", "leaf.key", "other.key", "other.crt", "ed448.crt"} {
		all = append(all, fixture(t, "x509/"+f)...)
	}
	s, err := OpenBytes(Auto, all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	leafName  = `E=support@example.com, CN=www.server.com, OU=test, O="Example, Inc.", L=Springfield, S=Illinois, C=US`
	otherName = `O=Second, SERIALNUMBER=17 + CN=other.server.com`
)

func TestStoreOrder(t *testing.T) {
	s := everything(t)
	var got []string
	for i, c := range s.All() {
		if i != len(got) {
			t.Errorf("entry %d is counted as %d", len(got), i)
		}
		got = append(got, c.Subject())
	}
	want := []string{"CN=Test Root, O=Fairlead, C=US", "CN=Test Issuer, O=Fairlead, C=US", leafName, otherName, "CN=ed448"}
	if !slices.Equal(got, want) || s.Len() != len(want) {
		t.Errorf("%q", got)
	}
}

func TestFindSubject(t *testing.T) {
	s := everything(t)
	for _, q := range []struct{ query, want string }{
		{"*", leafName}, // the first with a key, though issuers are in front of it
		{" * ", leafName},

		// Exact: any order, any case, S and ST, blanks, every kind of quoting.
		{leafName, leafName},
		{`C=US, ST=Illinois, L=Springfield, O="Example, Inc.", OU=test, CN=www.server.com, emailAddress=support@example.com`, leafName},
		{`cn=WWW.Server.com,ou=Test,o=Example\, Inc.,l=springfield,s=illinois,c=us,e=support@example.com`, leafName},
		{`CN=www.server.com; OU=test; O="Example,  Inc."; L=Springfield; S=Illinois; C=US; E=support@example.com`, leafName},
		{`2.5.4.3=www.server.com, OU=test, O=Example\2C Inc., L=Springfield, OID.2.5.4.8=Illinois, C=US, E=support@example.com`, leafName},
		{"CN=other.server.com+SERIALNUMBER=17, O=Second", otherName},

		// An exact match comes before the text of an earlier one.
		{"CN=ed448", "CN=ed448"},
		{"CN=Test Root, O=Fairlead, C=US", "CN=Test Root, O=Fairlead, C=US"},

		// Parts: of the text, or of the fields in any order.
		{"www.server.com", leafName},
		{"server", leafName},
		{"OTHER.SERVER", otherName},
		{"CN=www.server.com", leafName},
		{"CN=www", leafName},
		{"L=Springfield, OU=test", leafName},
		{`O="Example, Inc.", E=support@example.com`, leafName},
		{"Test Issuer", "CN=Test Issuer, O=Fairlead, C=US"},
		{"Fairlead", "CN=Test Root, O=Fairlead, C=US"}, // neither has a key: the first
	} {
		c, err := s.Find(q.query)
		if err != nil {
			t.Errorf("%s: %v", q.query, err)
		} else if c.Subject() != q.want {
			t.Errorf("%s found %s", q.query, c.Subject())
		}
	}
	for _, q := range []string{"", " ", "CN=nobody", "nobody", "O=Example, Inc., CN=www.server.com, C=DE", "CN=www.server.com, CN=www.server.com", "**"} {
		if c, err := s.Find(q); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%q: %v, %v", q, c, err)
		}
	}
}

// TestFindIsReproducible wants "*" to be the first, each time.
func TestFindIsReproducible(t *testing.T) {
	one, two := newKey(t), newKey(t)
	data := append(pemOf(t, one), pemOf(t, two)...)
	for range 20 {
		if c := mustLoad(t, Auto, data, "*"); !keys.Equal(c.Entry().Key, one) {
			t.Fatal("not the first")
		}
	}
	if c := mustLoad(t, Auto, slices.Concat(fixture(t, "x509/root.crt"), fixture(t, "x509/issuer.crt")), "*"); c.X509().Subject.CommonName != "Test Root" {
		t.Errorf("first certificate: %s", c)
	}
}

func newKey(t testing.TB) *keys.PrivateKey {
	t.Helper()
	k, err := keys.Generate(t.Context(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pemOf(t testing.TB, k *keys.PrivateKey) []byte {
	t.Helper()
	p, err := k.Marshal(keys.OpenSSH, keys.MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFindThumbprint(t *testing.T) {
	s := everything(t)
	says := opensslSays(t)
	for _, what := range []string{"md5 Fingerprint", "sha1 Fingerprint", "sha256 Fingerprint"} {
		sum := says[what]
		for _, form := range []string{sum, strings.ToLower(sum), strings.ReplaceAll(sum, ":", ""), strings.ReplaceAll(sum, ":", " "), "\u200e" + strings.ToLower(strings.ReplaceAll(sum, ":", ""))} {
			for _, prefix := range []string{"Thumbprint=", "thumbprint="} {
				if c, err := s.Find(prefix + form); err != nil || c.Subject() != leafName {
					t.Errorf("%s%s: %v, %v", prefix, form, c, err)
				}
			}
		}
	}
	for _, q := range []string{"Thumbprint=", "Thumbprint=00", "Thumbprint=xx", "Thumbprint=" + strings.Repeat("00", 20), "Thumbprint=" + strings.Repeat("00", 33)} {
		if c, err := s.Find(q); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s: %v, %v", q, c, err)
		}
	}
	// A key without a certificate goes by its fingerprint.
	k := mustLoad(t, Auto, keyFixture(t, "ssh-keygen/ed25519.openssh"), "")
	for _, sum := range []string{k.FingerprintMD5(), k.FingerprintSHA1(), k.FingerprintSHA256()} {
		if c := mustLoad(t, Auto, keyFixture(t, "ssh-keygen/ed25519.openssh"), "Thumbprint="+sum); !keys.Equal(c.Entry().Key, k.Entry().Key) {
			t.Errorf("%s: %s", sum, c)
		}
	}
}

// TestFindBareKey goes by comment, alias or kid.
func TestFindBareKey(t *testing.T) {
	one, two := newKey(t), newKey(t)
	one.Comment, two.Comment = "backup of alice", "alice"
	s, err := OpenBytes(Auto, append(pemOf(t, one), pemOf(t, two)...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]*keys.PrivateKey{"alice": two, "backup": one, "ALICE": one} {
		if c, err := s.Find(q); err != nil || !keys.Equal(c.Entry().Key, want) {
			t.Errorf("%s: %v, %v", q, c, err)
		}
	}
}

func TestFindFor(t *testing.T) {
	leafCert := mustLoad(t, PublicKeyBlob, fixture(t, "x509/leaf.crt"), "*").X509()
	s := everything(t)
	c, err := s.FindFor(leafCert)
	if err != nil || c.Subject() != leafName || !c.HasPrivateKey() || len(c.Chain()) != 2 {
		t.Fatalf("%v, %v", c, err)
	}
	// A key that stands alone gets the certificate that it is asked for.
	alone, err := OpenBytes(Auto, slices.Concat(fixture(t, "x509/other.key"), fixture(t, "x509/leaf.key")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = alone.FindFor(leafCert); err != nil || c.Subject() != leafName || !c.HasPrivateKey() || len(c.Chain()) != 0 {
		t.Fatalf("%v, %v", c, err)
	}
	// One key may have several certificates: it gets the one of the question.
	old := mustLoad(t, PublicKeyBlob, fixture(t, "x509/old.crt"), "*").X509()
	if c, err = s.FindFor(old); err != nil || c.Subject() != "CN=old" || !c.HasPrivateKey() || len(c.Chain()) != 2 {
		t.Fatalf("%v, %v", c, err)
	}
	if c, err := s.Find("other"); err != nil || c.Subject() != otherName {
		t.Fatalf("the store changed: %v, %v", c, err)
	}
	root := mustLoad(t, PublicKeyBlob, fixture(t, "x509/root.crt"), "*").X509()
	for _, cert := range []*x509.Certificate{root, nil} {
		if c, err := s.FindFor(cert); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%v, %v", c, err)
		}
	}
	dsa := mustLoad(t, Auto, keyFixture(t, "ssh-keygen/dsa.openssh"), "")
	if !equalKeys(dsa.e.raw(), dsa.e.raw()) || equalKeys(dsa.e.raw(), leafCert.PublicKey) {
		t.Error("DSA keys are not compared")
	}
}

// TestChainsEnd has certificates that name each other as issuers.
func TestChainsEnd(t *testing.T) {
	a := &x509.Certificate{RawSubject: []byte("a"), RawIssuer: []byte("b")}
	b := &x509.Certificate{RawSubject: []byte("b"), RawIssuer: []byte("a")}
	e := []Entry{{Cert: a}, {Cert: b}}
	chains(e)
	if len(e[0].Chain) != 1 || len(e[1].Chain) != 1 {
		t.Errorf("chains of %d and %d", len(e[0].Chain), len(e[1].Chain))
	}
	var long []Entry
	for i := range byte(100) {
		long = append(long, Entry{Cert: &x509.Certificate{RawSubject: []byte{i}, RawIssuer: []byte{i + 1}}})
	}
	chains(long)
	if len(long[0].Chain) != maxChain {
		t.Errorf("chain of %d", len(long[0].Chain))
	}
	// Of two issuers of one name, the key identifier chooses.
	right := &x509.Certificate{RawSubject: []byte("i"), SubjectKeyId: []byte{2}}
	pair := []Entry{{Cert: &x509.Certificate{RawIssuer: []byte("i"), RawSubject: []byte("s"), AuthorityKeyId: []byte{2}}}, {Cert: &x509.Certificate{RawSubject: []byte("i"), SubjectKeyId: []byte{1}}}, {Cert: right}}
	chains(pair)
	if len(pair[0].Chain) != 1 || pair[0].Chain[0] != right {
		t.Error("the wrong issuer")
	}
}

// TestEntryOfTwoKeys refuses a certificate with the key of another.
func TestEntryOfTwoKeys(t *testing.T) {
	k := newKey(t)
	cert := mustLoad(t, PublicKeyBlob, fixture(t, "x509/leaf.crt"), "*").X509()
	_, err := link([]Entry{{}, {Cert: cert, Key: k}})
	if fe, ok := errors.AsType[*FormatError](err); !ok || fe.Where != "entry 2" {
		t.Errorf("%v", err)
	}
}

func TestSubjectText(t *testing.T) {
	for _, s := range []struct{ value, want string }{
		{"plain", "CN=plain"},
		{"a, b", `CN="a, b"`},
		{`say "hi"`, `CN="say \"hi\""`},
		{" edge ", `CN=" edge "`},
		{"", `CN=""`},
		{"a\nb", `CN="a\0Ab"`},
		{`back\slash`, `CN="back\\slash"`},
		{"a+b=c", `CN="a+b=c"`},
		{"\xff", `CN="\FF"`},
		{"Größe", "CN=Größe"},
	} {
		name := []attribute{{"2.5.4.3", s.value, false}}
		got := printName(name)
		if got != s.want {
			t.Errorf("%q prints as %s, want %s", s.value, got, s.want)
		}
		if back, ok := parseSubject(got); !ok || !slices.Equal(back, name) {
			t.Errorf("%s reads as %v", got, back)
		}
	}
	// Doubled quotes are SFTPServer's own way.
	if n, ok := parseSubject(`O="the ""big"" one", CN=C++ users`); !ok || n[0].value != `the "big" one` || n[1].value != "C++ users" {
		t.Errorf("%v", n)
	}
	for _, s := range []string{"", "x", "CN", "=x", "CN=a,", "CN=a,,C=b", `CN="a`, `CN="a"b`, `CN=a\`, "X=a", "2=a", "OID.=a"} {
		if n, ok := parseSubject(s); ok {
			t.Errorf("%s reads as %v", s, n)
		}
	}
}

// TestNamesThatAreNotText prints values of other types as RFC 4514 section 2.4.
func TestNamesThatAreNotText(t *testing.T) {
	der, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 45}, Value: asn1.BitString{Bytes: []byte{0xA5}, BitLength: 8}}}, {{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := printName(parseName(der)); got != `CN=x, OID.2.5.4.45="#030200a5"` {
		t.Errorf("%s", got)
	}
	if nameValue(nil) != "#" || !strings.HasPrefix(nameValue(struct{ C chan int }{}), "{") || parseName([]byte{1}) != nil {
		t.Error("values that cannot be coded")
	}
}

// TestSubjectFields finds by each field and each of its names.
func TestSubjectFields(t *testing.T) {
	for i, f := range subjectFields {
		if f.doc == "" {
			t.Errorf("%s has no description", f.names[0])
		}
		for _, n := range f.names {
			got, ok := parseSubject(strings.ToLower(n) + "=x")
			if !ok || got[0].oid != f.oid {
				t.Errorf("%s reads as %v", n, got)
			}
			for _, other := range subjectFields[i+1:] {
				if slices.Contains(other.names, n) || other.oid == f.oid {
					t.Errorf("%s is there twice", n)
				}
			}
		}
	}
	s := everything(t)
	for _, q := range []string{"CN=www.server.com", `O="Example, Inc."`, "OU=test", "L=Springfield", "S=Illinois", "ST=Illinois", "C=US, OU=test", "E=support@example.com"} {
		if c, err := s.Find(q); err != nil || c.Subject() != leafName {
			t.Errorf("%s: %v, %v", q, c, err)
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add(leafName)
	f.Add(otherName)
	f.Add(`O="the ""big"" one", CN=C++ users, X.Y=\2C\`)
	f.Add("CN=+,1.2=;OID.3.4=#0500")
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseSubject(s)
		if !ok {
			return
		}
		text := printName(n)
		back, ok := parseSubject(text)
		if !ok || printName(back) != text || len(back) != len(n) || !has(back, n) || !has(n, back) {
			t.Fatalf("%q prints as %q, which reads as %v", s, text, back)
		}
		if bytes.ContainsAny([]byte(text), "\n\r\x00") {
			t.Fatalf("%q prints as %q", s, text)
		}
	})
}
