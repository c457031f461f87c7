package certstore

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// TestStoreTypes wants the numbers and names of SFTPServer, and each row of the
// two tables used by the other.
func TestStoreTypes(t *testing.T) {
	want := map[Type]string{
		0: "cstUser", 1: "cstMachine", 2: "cstPFXFile", 3: "cstPFXBlob", 4: "cstJKSFile", 5: "cstJKSBlob", 6: "cstPEMKeyFile", 7: "cstPEMKeyBlob",
		8: "cstPublicKeyFile", 9: "cstPublicKeyBlob", 10: "cstSSHPublicKeyBlob", 11: "cstP7BFile", 12: "cstP7BBlob", 13: "cstSSHPublicKeyFile",
		14: "cstPPKFile", 15: "cstPPKBlob", 16: "cstXMLFile", 17: "cstXMLBlob", 18: "cstJWKFile", 19: "cstJWKBlob", 21: "cstBCFKSFile",
		22: "cstBCFKSBlob", 23: "cstPKCS11", 99: "cstAuto",
	}
	used := map[string]bool{}
	for _, r := range Types() {
		if want[r.Type] != r.Name || r.Doc == "" {
			t.Errorf("%d is %s", r.Type, r.Name)
		}
		delete(want, r.Type)
		for _, f := range r.Type.row().formats {
			if findFormat(f) == nil {
				t.Errorf("%s: no format %s", r.Type, f)
			}
			used[f] = true
		}
		for _, s := range []string{r.Name, strings.ToUpper(r.Name), r.Name[3:], strconv.Itoa(int(r.Type)), " " + r.Name + " "} {
			var got Type
			if err := got.UnmarshalText([]byte(s)); err != nil || got != r.Type {
				t.Errorf("%q is %v, %v", s, got, err)
			}
		}
		if p, err := r.Type.MarshalText(); err != nil || string(p) != r.Name {
			t.Errorf("%s is written %s", r.Name, p)
		}
		if r.InFile != strings.HasSuffix(r.Name, "File") {
			t.Errorf("%s in a file: %v", r.Name, r.InFile)
		}
	}
	if len(want) != 0 {
		t.Errorf("no types %v", want)
	}
	for _, f := range formats {
		if !used[f.name] || f.read == nil {
			t.Errorf("format %s is of no type", f.name)
		}
	}
	for _, s := range []string{"", "20", "100", "-1", "cst", "PEM", "cstcstAuto"} {
		if got, err := ParseType(s); err == nil {
			t.Errorf("%q is %s", s, got)
		}
	}
	for _, bad := range []Type{20, 24, -1, 100} {
		if _, err := Open(bad, "x", Options{}); err == nil || !strings.Contains(err.Error(), "store type "+strconv.Itoa(int(bad))) {
			t.Errorf("type %d opens: %v", bad, err)
		}
		if _, err := OpenBytes(bad, []byte("x"), Options{}); err == nil {
			t.Errorf("type %d opens", bad)
		}
	}
}

// stores are contents for the types that package keys and crypto/x509 read.
func stores(t testing.TB) []storeCase {
	der := func(name string) []byte {
		b, _ := pem.Decode(keyFixture(t, name))
		return b.Bytes
	}
	blob := func() []byte {
		k, err := keys.ParsePublic(keyFixture(t, "ssh-keygen/ed25519.pub"))
		if err != nil {
			t.Fatal(err)
		}
		return k.Key.Marshal()
	}
	lines := slices.Concat([]byte("# two keys\n\n"), keyFixture(t, "ssh-keygen/ed25519.pub"), []byte("restrict,from=\"*\" "), keyFixture(t, "ssh-keygen/rsa.pub"))
	marshal := func(name string, f keys.Format, public bool) []byte {
		k, err := keys.Parse(keyFixture(t, name), testPass)
		if err != nil {
			t.Fatal(err)
		}
		p, err := k.Marshal(f, keys.MarshalOptions{})
		if public {
			p, err = k.MarshalPublic(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	set := `{"keys":[` + string(marshal("ssh-keygen/rsa.openssh", keys.JWK, false)) + `,` + string(marshal("ssh-keygen/ecdsa256.openssh", keys.JWK, true)) + `]}`
	return []storeCase{
		{"PKCS#8", PEMKeyFile, PEMKeyBlob, keyFixture(t, "ssh-keygen/rsa.pkcs8"), "PEM", 1, true},
		{"PKCS#8 encrypted", PEMKeyFile, PEMKeyBlob, keyFixture(t, "openssl/ed25519-aes-256-cbc.pkcs8"), "PEM", 1, true},
		{"PKCS#1", PEMKeyFile, PEMKeyBlob, keyFixture(t, "ssh-keygen/rsa.pem"), "PEM", 1, true},
		{"PKCS#1 encrypted", PEMKeyFile, PEMKeyBlob, keyFixture(t, "openssl/rsa-aes256.pem"), "PEM", 1, true},
		{"SEC 1 with parameters", PEMKeyFile, PEMKeyBlob, keyFixture(t, "openssl/ecdsa256-params.pem"), "PEM", 1, true},
		{"DSA", PEMKeyFile, PEMKeyBlob, keyFixture(t, "ssh-keygen/dsa.pem"), "PEM", 1, true},
		{"OpenSSH", PEMKeyFile, PEMKeyBlob, keyFixture(t, "ssh-keygen/ecdsa521.openssh"), "PEM", 1, true},
		{"key and certificates", PEMKeyFile, PEMKeyBlob, slices.Concat(fixture(t, "x509/leaf.enc"), fixture(t, "x509/leaf.crt"), fixture(t, "x509/issuer.crt")), "PEM", 2, true},
		{"text in front", PEMKeyFile, PEMKeyBlob, slices.Concat([]byte("Bag Attributes\n    friendlyName: x\n"), fixture(t, "x509/leaf.key")), "PEM", 1, true},
		{"PKCS#8 in DER", PEMKeyFile, PEMKeyBlob, der("ssh-keygen/rsa.pkcs8"), "DER", 1, true},
		{"PKCS#8 encrypted in DER", PEMKeyFile, PEMKeyBlob, der("openssl/ed25519-aes-256-cbc.pkcs8"), "DER", 1, true},
		{"PKCS#1 in DER", PEMKeyFile, PEMKeyBlob, der("ssh-keygen/rsa.pem"), "DER", 1, true},
		{"SEC 1 in DER", PEMKeyFile, PEMKeyBlob, der("ssh-keygen/ecdsa384.pem"), "DER", 1, true},

		{"certificate", PublicKeyFile, PublicKeyBlob, fixture(t, "x509/leaf.crt"), "PEM", 1, false},
		{"certificate in DER", PublicKeyFile, PublicKeyBlob, fixture(t, "x509/leaf.der"), "X509", 1, false},
		{"trusted certificate", PublicKeyFile, PublicKeyBlob, fixture(t, "x509/leaf.trusted"), "PEM", 1, false},
		{"certificates in DER", PublicKeyFile, PublicKeyBlob, slices.Concat(fixture(t, "x509/leaf.der"), fixture(t, "x509/leaf.der")), "X509", 2, false},
		{"public key", PublicKeyFile, PublicKeyBlob, keyFixture(t, "openssl/ed25519.spki"), "PEM", 1, false},
		{"public key in DER", PublicKeyFile, PublicKeyBlob, der("openssl/rsa.spki"), "DER", 1, false},

		{"line", SSHPublicKeyFile, SSHPublicKeyBlob, keyFixture(t, "ssh-keygen/ecdsa256.pub"), "SSH", 1, false},
		{"lines", SSHPublicKeyFile, SSHPublicKeyBlob, lines, "SSH", 2, false},
		{"certificate of OpenSSH", SSHPublicKeyFile, SSHPublicKeyBlob, keyFixture(t, "ssh-keygen/ecdsa256-cert.pub"), "SSH", 1, false},
		{"RFC 4716", SSHPublicKeyFile, SSHPublicKeyBlob, keyFixture(t, "ssh-keygen/ecdsa256.rfc4716"), "SSH", 1, false},
		{"wire form", SSHPublicKeyFile, SSHPublicKeyBlob, blob(), "SSH", 1, false},

		{"PPK 2", PPKFile, PPKBlob, keyFixture(t, "puttygen/rsa.ppk2"), "PPK", 1, true},
		{"PPK 2 encrypted", PPKFile, PPKBlob, keyFixture(t, "puttygen/ecdsa256-enc.ppk2"), "PPK", 1, true},
		{"PPK 3", PPKFile, PPKBlob, keyFixture(t, "puttygen/ed25519.ppk3"), "PPK", 1, true},
		{"PPK 3 encrypted", PPKFile, PPKBlob, keyFixture(t, "puttygen/ed25519-enc.ppk3"), "PPK", 1, true},

		{"RSAKeyValue", XMLFile, XMLBlob, marshal("ssh-keygen/rsa.openssh", keys.XML, false), "XML", 1, true},
		{"public RSAKeyValue", XMLFile, XMLBlob, marshal("ssh-keygen/rsa.openssh", keys.XML, true), "XML", 1, false},
		{"DSAKeyValue", XMLFile, XMLBlob, marshal("ssh-keygen/dsa.openssh", keys.XML, false), "XML", 1, true},

		{"JWK RSA", JWKFile, JWKBlob, marshal("ssh-keygen/rsa.openssh", keys.JWK, false), "JWK", 1, true},
		{"JWK EC", JWKFile, JWKBlob, marshal("ssh-keygen/ecdsa521.openssh", keys.JWK, false), "JWK", 1, true},
		{"JWK OKP", JWKFile, JWKBlob, marshal("ssh-keygen/ed25519.openssh", keys.JWK, false), "JWK", 1, true},
		{"public JWK", JWKFile, JWKBlob, marshal("ssh-keygen/ed25519.openssh", keys.JWK, true), "JWK", 1, false},
		{"set of JWK", JWKFile, JWKBlob, []byte(set), "JWK", 2, true},
	}
}

// TestJWKWithChain has the certificates of RFC 7517 section 4.7.
func TestJWKWithChain(t *testing.T) {
	k, err := keys.Parse(fixture(t, "x509/leaf.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	k.Comment = "the kid"
	plain, err := k.Marshal(keys.JWK, keys.MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cert := func(name string) string {
		b, _ := pem.Decode(fixture(t, name))
		return `"` + base64.StdEncoding.EncodeToString(b.Bytes) + `"`
	}
	with := func(certs ...string) []byte {
		return []byte(strings.TrimSuffix(strings.TrimSpace(string(plain)), "}") + `,"x5c":[` + strings.Join(certs, ",") + `]}`)
	}
	c := mustLoad(t, JWKBlob, with(cert("x509/leaf.crt"), cert("x509/issuer.crt")), "CN=www.server.com")
	if c.Subject() != leafName || len(c.Chain()) != 1 || !c.HasPrivateKey() || c.Alias() != "the kid" {
		t.Errorf("%s with %d issuers, %q", c, len(c.Chain()), c.Alias())
	}
	for name, data := range map[string][]byte{
		"of another key": with(cert("x509/other.crt")),
		"no Base64":      with(`"!"`),
		"no certificate": with(`"AAAA"`),
		"damaged issuer": with(cert("x509/leaf.crt"), `"AAAA"`),
		"too many":       with(slices.Repeat([]string{cert("x509/leaf.crt")}, maxChain+1)...),
	} {
		_, err := OpenBytes(JWKBlob, data, Options{})
		if fe, ok := errors.AsType[*FormatError](err); !ok || fe.Where != "x5c" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestX509KeyOfSSH has certificates inside a key of SSH (RFC 6187).
func TestX509KeyOfSSH(t *testing.T) {
	c := mustLoad(t, Auto, keyFixture(t, "asyncssh/x509v3-rsa2048-sha256.blob"), "*")
	if c.X509() == nil || c.Subject() == "" || c.PublicKey() == nil || c.PublicKey().Type() != "ssh-rsa" || c.HasPrivateKey() {
		t.Errorf("%s, %v", c, c.PublicKey())
	}
}

type storeCase struct {
	name         string
	inFile, blob Type
	data         []byte
	format       string
	entries      int
	private      bool
}

// TestOpenStores opens each of the stores as a file and in memory, by its type
// and by looking, as it is and in Base64.
func TestOpenStores(t *testing.T) {
	used := map[Type]bool{}
	for _, c := range stores(t) {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			inBase64 := base64.StdEncoding.EncodeToString(c.data)
			for i := 64; i < len(inBase64); i += 65 {
				inBase64 = inBase64[:i] + "\n" + inBase64[i:]
			}
			o := Options{Password: testPass}
			for _, open := range []struct {
				how string
				f   func() (*Store, error)
			}{
				{"file", func() (*Store, error) { return Open(c.inFile, path, o) }},
				{"blob", func() (*Store, error) { return OpenBytes(c.blob, c.data, o) }},
				{"text", func() (*Store, error) { return Open(c.blob, string(c.data), o) }},
				{"base64", func() (*Store, error) { return Open(c.blob, inBase64, o) }},
				{"file by looking", func() (*Store, error) { return Open(Auto, path, o) }},
				{"blob by looking", func() (*Store, error) { return OpenBytes(Auto, c.data, o) }},
				{"text by looking", func() (*Store, error) { return Open(Auto, string(c.data), o) }},
				{"base64 by looking", func() (*Store, error) { return Open(Auto, inBase64, o) }},
				{"file without a type", func() (*Store, error) { return Open(0, path, o) }},
				{"blob without a type", func() (*Store, error) { return OpenBytes(0, c.data, o) }},
			} {
				s, err := open.f()
				if err != nil {
					t.Errorf("%s: %v", open.how, err)
					continue
				}
				if s.Format() != c.format || s.Len() != c.entries {
					t.Errorf("%s: %d entries in %s, want %d in %s", open.how, s.Len(), s.Format(), c.entries, c.format)
				}
				got, err := s.Find("*")
				if err != nil || got.HasPrivateKey() != c.private || got.PublicKey() == nil {
					t.Errorf("%s: %v, %v", open.how, got, err)
					continue
				}
				if _, err := got.Signers(); (err == nil) != c.private {
					t.Errorf("%s: signers: %v", open.how, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("%s: close: %v", open.how, err)
				}
			}
			used[c.inFile], used[c.blob] = true, true
		})
	}
	elsewhere := []string{"PFX", "JKS", "P7B", "BCFKS", "PKCS11", "SYSTEM"}
	for _, r := range types {
		if !used[r.t] && r.t != Auto && !slices.Contains(elsewhere, r.formats[0]) {
			t.Errorf("%s is not tried", r.t)
		}
	}
}

// TestOpenAsAnotherType wants an explicit type to be kept to.
func TestOpenAsAnotherType(t *testing.T) {
	all := stores(t)
	for _, c := range all {
		for _, r := range types {
			if r.where != inMemory || slices.Contains(r.formats, c.format) {
				continue
			}
			_, err := OpenBytes(r.t, c.data, Options{Password: testPass})
			if fe, ok := errors.AsType[*FormatError](err); !ok || fe.Format != r.formats[0] {
				t.Errorf("%s as %s: %v", c.name, r.t, err)
			}
		}
	}
}

// TestSystemStores wants the stores of Windows to say what to use elsewhere.
func TestSystemStores(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	for _, name := range []string{"MY", "CA", "ROOT", "", "my"} {
		for _, typ := range []Type{User, Machine} {
			_, err := Open(typ, name, Options{})
			pe, ok := errors.AsType[*PlatformError](err)
			if !ok || pe.Type != typ || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(pe.Hint, "PFX or PEM") {
				t.Errorf("%s %q: %v", typ, name, err)
			}
		}
	}
	if _, err := OpenBytes(Machine, []byte("x"), Options{}); err == nil {
		t.Error("a store of the machine in memory")
	}
	if _, err := (Source{}).Load(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("zero source: %v", err)
	}
}

// TestStoreClose has a store that holds something open.
func TestStoreClose(t *testing.T) {
	var closed []string
	in := &input{}
	gone := errors.New("gone")
	in.closeWith(func() error { closed = append(closed, "library"); return gone })
	in.closeWith(func() error { closed = append(closed, "session"); return nil })
	s := newStore(Auto.row(), "PEM", in)
	if s.Type() != Auto {
		t.Error(s.Type())
	}
	c := &Certificate{store: s}
	if err := c.Close(); !errors.Is(err, gone) {
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, gone) || !slices.Equal(closed, []string{"session", "library"}) {
		t.Errorf("%v, %v", closed, err)
	}
}

// TestNothingSecretIsPrinted prints what has keys and passwords with many verbs.
func TestNothingSecretIsPrinted(t *testing.T) {
	k := newKey(t)
	seed := k.Raw.(ed25519.PrivateKey)
	c, err := NewCertificate(Entry{Signer: seed, Alias: "x"})
	if err != nil {
		t.Fatal(err)
	}
	src := Source{Store: "x", Password: []byte("secret word"), KeyPassword: []byte("secret word")}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("loaded", "cert", c, "password", src.Password)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, strings.Repeat(verb+"\n", 5), c, *c, c.Entry(), src.Password, struct{ C *Certificate }{c})
	}
	for _, secret := range []string{"secret", fmt.Sprintf("%x", seed[:8]), fmt.Sprint([]byte(seed[:3]))[1:6], fmt.Sprintf("%#x", seed[0]) + ", " + fmt.Sprintf("%#x", seed[1])} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s in %s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), "ssh-ed25519 SHA256:") {
		t.Error(log.String())
	}
}

func TestErrorTexts(t *testing.T) {
	for err, want := range map[error]string{
		&PasswordError{Format: "PFX"}:                              "certstore: PFX: password needed",
		&PasswordError{Format: "JKS", Alias: "a\nb", Wrong: true}:  `certstore: JKS: key "a\nb": wrong password, or a damaged store`,
		&FormatError{Format: "P7B", Where: "octet 3", Err: io.EOF}: "certstore: P7B: octet 3: EOF",
		&FormatError{Err: io.EOF}:                                  "certstore: EOF",
		&PlatformError{Machine, "use a PEM file"}:                  "certstore: cstMachine: not on this platform: use a PEM file",
	} {
		if err.Error() != want {
			t.Errorf("%s, want %s", err, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	enc := fixture(t, "x509/leaf.enc")
	ppk := keyFixture(t, "puttygen/ed25519-enc.ppk3")
	for _, data := range [][]byte{enc, ppk, keyFixture(t, "openssl/ed25519-aes-256-cbc.pkcs8")} {
		_, err := OpenBytes(Auto, data, Options{})
		if pe, ok := errors.AsType[*PasswordError](err); !ok || pe.Wrong {
			t.Errorf("without: %v", err)
		}
		_, err = OpenBytes(Auto, data, Options{Password: []byte("secret word")})
		if pe, ok := errors.AsType[*PasswordError](err); !ok || !pe.Wrong || strings.Contains(err.Error(), "secret") {
			t.Errorf("wrong: %v", err)
		}
		// The password of the key goes before that of the store, and empty it is that.
		if _, err = OpenBytes(Auto, data, Options{Password: []byte("store"), KeyPassword: testPass}); err != nil {
			t.Errorf("of the key: %v", err)
		}
		if _, err = OpenBytes(Auto, data, Options{Password: testPass, KeyPassword: []byte{}}); err != nil {
			t.Errorf("of the store: %v", err)
		}
		asked := 0
		ask := func(string) (keys.Passphrase, error) { asked++; return testPass, nil }
		if _, err = OpenBytes(Auto, data, Options{Ask: ask}); err != nil || asked != 1 {
			t.Errorf("asked %d times: %v", asked, err)
		}
		gone := errors.New("no one there")
		if _, err = OpenBytes(Auto, data, Options{Ask: func(string) (keys.Passphrase, error) { return nil, gone }}); !errors.Is(err, gone) {
			t.Errorf("ask failed: %v", err)
		}
	}
	never := func(string) (keys.Passphrase, error) { t.Error("asked in vain"); return nil, nil }
	if _, err := OpenBytes(Auto, fixture(t, "x509/leaf.key"), Options{Ask: never}); err != nil {
		t.Error(err)
	}
}

func TestHostileStores(t *testing.T) {
	cert, key := fixture(t, "x509/leaf.crt"), fixture(t, "x509/leaf.key")
	block := func(typ string, p []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: p}) }
	for _, c := range []struct {
		name  string
		data  []byte
		where string
	}{
		{"nothing", nil, ""},
		{"noise", []byte("hello"), ""},
		{"binary noise", []byte{0, 1, 2, 3, 0x30}, ""},
		{"no blocks", []byte("-----BEGIN NOTHING-----\n-----END NOTHING-----\n"), ""},
		{"damaged certificate", slices.Concat(key, block("CERTIFICATE", []byte{0x30, 0})), "entry 2"},
		{"damaged key", slices.Concat(cert, block("PRIVATE KEY", []byte{0x30, 0})), "entry 2"},
		{"damaged trusted certificate", block("TRUSTED CERTIFICATE", []byte{0x30, 0x80}), "entry 1"},
		{"damaged JWK", []byte(`{"kty":`), ""},
		{"JWK in a set", []byte(`{"keys":[{"kty":"oct","k":"AA"}]}`), "key 1"},
		{"deep JWK", []byte(`{"keys":` + strings.Repeat("[", 1<<20)), ""},
		{"deep XML", []byte(strings.Repeat("<a>", 1<<16)), ""},
		{"line", slices.Concat(keyFixture(t, "ssh-keygen/ed25519.pub"), []byte("ssh-rsa AAAA\n")), "line 2"},
		{"too large", make([]byte, maxStore+1), ""},
		{"cut DER", fixture(t, "x509/leaf.der")[:500], ""},
	} {
		_, err := OpenBytes(Auto, c.data, Options{})
		if fe, ok := errors.AsType[*FormatError](err); !ok || c.where != "" && !strings.HasPrefix(fe.Where, c.where) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A file that is too large is not read to its end.
	big := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(big)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Auto, big, Options{}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("big: %v", err)
	}
	if _, err := ReadCertificateFile(big); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("big: %v", err)
	}
	// What it costs to open keys has limits, and so has their number.
	enc := slices.Repeat(keyFixture(t, "openssl/ed25519-aes-256-cbc.pkcs8"), maxEncrypted+1)
	if _, err := OpenBytes(Auto, enc, Options{Password: testPass}); err == nil || !strings.Contains(err.Error(), "encrypted keys") {
		t.Errorf("keys: %v", err)
	}
	many := slices.Repeat([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), 3)
	if _, err := OpenBytes(Auto, many, Options{}); err == nil {
		t.Error("empty certificates open")
	}
	if _, err := link(make([]Entry, maxEntries+1)); err == nil {
		t.Error("entries have no limit")
	}
	if _, err := OpenBytes(Auto, keyFixture(t, "openssl/ed25519-aes-256-cbc.pkcs8"), Options{Password: testPass, Limits: keys.Limits{PBKDF2Iterations: 1}}); err == nil || !strings.Contains(err.Error(), "iterations") {
		t.Errorf("limits: %v", err)
	}
}

// TestOpenNoFile wants the path in the error, and nothing of a key that stands
// where a path should.
func TestOpenNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.pem")
	for _, typ := range []Type{Auto, PEMKeyFile, User} {
		if _, err := Open(typ, path, Options{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.pem") {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for _, typ := range []Type{Auto, PEMKeyFile} {
		if _, err := Open(typ, "", Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	key := string(fixture(t, "x509/leaf.key"))
	for _, text := range []string{key, base64.StdEncoding.EncodeToString([]byte(key))} {
		if _, err := Open(PEMKeyFile, text, Options{}); err == nil || strings.Contains(err.Error(), text[40:60]) {
			t.Errorf("%v", err)
		}
	}
	if _, err := Open(Auto, t.TempDir(), Options{}); err == nil {
		t.Error("a directory opens")
	}
}

func FuzzOpen(f *testing.F) {
	for _, c := range stores(f) {
		f.Add(c.data)
	}
	f.Add([]byte(base64.StdEncoding.EncodeToString(fixture(f, "x509/leaf.der"))))
	o := Options{Password: testPass, Limits: keys.Limits{BcryptRounds: 1, PBKDF2Iterations: 4096, Memory: 1 << 20, MemoryPasses: 1 << 20}}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := OpenBytes(Auto, data, o)
		if err != nil {
			_, format := errors.AsType[*FormatError](err)
			_, pass := errors.AsType[*PasswordError](err)
			if !format && !pass {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		for _, c := range s.All() {
			if c.HasPrivateKey() && c.PublicKey() != nil {
				if _, err := c.Signers(); err != nil && c.e.SSHCert == nil {
					t.Fatal(err)
				}
			}
			_ = strings.Join([]string{c.String(), c.Issuer(), c.Usage(), c.ExtendedKeyUsage(), c.SignatureAlgorithm(), c.PublicKeyAlgorithm(), c.SerialNumber(), c.FingerprintSHA256(), c.EffectiveDate()}, "")
			if text := c.Subject(); c.X509() != nil && len(text) > 0 {
				if bytes.ContainsAny([]byte(text), "\n\r\x00") {
					t.Fatalf("subject %q", text)
				}
				found, err := s.Find(text)
				if err != nil || found.Subject() == "" {
					t.Fatalf("%q is not found: %v", text, err)
				}
			}
		}
	})
}
