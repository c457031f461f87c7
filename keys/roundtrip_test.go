package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // one of the types
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// testKeys is one private key of each type.
var testKeys = sync.OnceValues(func() (map[string]*PrivateKey, error) {
	out := map[string]*PrivateKey{}
	for name, o := range map[string]struct {
		kind Kind
		bits int
	}{
		"rsa": {RSA, 2048}, "ecdsa256": {ECDSA, 256}, "ecdsa384": {ECDSA, 384}, "ecdsa521": {ECDSA, 521}, "ed25519": {Ed25519, 0},
	} {
		k, err := Generate(context.Background(), o.kind, GenerateOptions{Bits: o.bits, Comment: "round trip " + name})
		if err != nil {
			return nil, err
		}
		out[name] = k
	}
	return out, nil
})

// allKeys adds the DSA key, which is not made here.
func allKeys(t testing.TB) map[string]*PrivateKey {
	t.Helper()
	made, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	out := maps.Clone(made)
	d, err := Parse(readFile(t, "ssh-keygen/dsa.openssh"), nil)
	if err != nil {
		t.Fatal(err)
	}
	out["dsa"] = d
	return out
}

// hasNoForm lists the types that a format cannot hold, private and public.
var hasNoForm = map[Format][]string{
	PEM: {"ed25519"},
	JWK: {"dsa"},
	XML: {"ecdsa256", "ecdsa384", "ecdsa521", "ed25519"},
}

func rawEqual(a, b crypto.PrivateKey) bool {
	switch a := a.(type) {
	case *rsa.PrivateKey:
		return a.Equal(b)
	case *ecdsa.PrivateKey:
		return a.Equal(b)
	case ed25519.PrivateKey:
		return a.Equal(b)
	case *dsa.PrivateKey:
		o, ok := b.(*dsa.PrivateKey)
		return ok && a.X.Cmp(o.X) == 0 && a.Y.Cmp(o.Y) == 0
	}
	return false
}

// Every format that can be written, with every type of key and every cipher,
// is read back as it was.
func TestRoundTripPrivate(t *testing.T) {
	written := map[Format]int{}
	for _, f := range Formats() {
		if !f.WritePrivate {
			continue
		}
		for name, k := range allKeys(t) {
			ciphers := append([]string{""}, f.Ciphers...)
			if name != "ecdsa256" { // every cipher with one type, every type with one cipher
				ciphers = ciphers[:min(2, len(ciphers))]
			}
			for _, cipher := range ciphers {
				what := f.Format.String() + "/" + name + "/" + cipher
				o := MarshalOptions{Cipher: cipher, Rounds: 1}
				if cipher != "" {
					o.Passphrase = testPass
				}
				data, err := k.Marshal(f.Format, o)
				if slices.Contains(hasNoForm[f.Format], name) {
					if !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("%s: %v, want unsupported", what, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				written[f.Format]++
				if cipher != "" {
					if _, err := Parse(data, nil); !isPassphraseError(err, false) {
						t.Errorf("%s: without the passphrase: %v", what, err)
					}
					if _, err := Parse(data, Passphrase("other")); !isPassphraseError(err, true) {
						t.Errorf("%s: with another passphrase: %v", what, err)
					}
				}
				forms := map[string][]byte{"": data}
				if cipher == "" {
					forms["CRLF"] = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
					forms["BOM"] = append([]byte("\xEF\xBB\xBF\n"), data...)
				}
				for form, data := range forms {
					got, err := Parse(data, o.Passphrase)
					if err != nil {
						t.Errorf("%s %s: %v", what, form, err)
						continue
					}
					comment := k.Comment
					if f.Format == PEM || f.Format == PKCS8 || f.Format == XML {
						comment = ""
					}
					if !rawEqual(got.Raw, k.Raw) || got.Comment != comment || got.Format != f.Format || got.Type() != k.Type() {
						t.Errorf("%s %s: %s key of format %s with comment %q", what, form, got.Type(), got.Format, got.Comment)
					}
				}
			}
		}
	}
	for _, f := range []Format{OpenSSH, PEM, PKCS8, PPK2, PPK3, JWK, XML} {
		if written[f] == 0 {
			t.Errorf("nothing was written as %s", f)
		}
	}
}

func isPassphraseError(err error, wrong bool) bool {
	e, ok := errors.AsType[*PassphraseError](err)
	return ok && e.Wrong == wrong
}

// The same for public keys.
func TestRoundTripPublic(t *testing.T) {
	written := map[Format]int{}
	for _, f := range Formats() {
		for name, k := range allKeys(t) {
			data, err := k.MarshalPublic(f.Format)
			noForm := slices.Contains(hasNoForm[f.Format], name) || f.Format == PEM && name != "rsa"
			if !f.WritePublic || noForm {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s, %s: %v, want unsupported", f.Format, name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", f.Format, name, err)
				continue
			}
			written[f.Format]++
			got, err := ParsePublic(data)
			if err != nil {
				t.Errorf("%s, %s: %v", f.Format, name, err)
				continue
			}
			comment := k.Comment
			if f.Format == PEM || f.Format == PKCS8 || f.Format == XML || f.Format == Blob {
				comment = ""
			}
			if !Equal(got, k) || got.Comment != comment || got.Format != f.Format {
				t.Errorf("%s, %s: %s of format %s, comment %q", f.Format, name, got.Type(), got.Format, got.Comment)
			}
			if _, err := Parse(data, nil); !errors.Is(err, ErrPublicOnly) {
				t.Errorf("%s, %s, as a private key: %v", f.Format, name, err)
			}
		}
	}
	for _, f := range []Format{OpenSSH, PEM, PKCS8, RFC4716, JWK, XML, Blob} {
		if written[f] == 0 {
			t.Errorf("nothing was written as %s", f)
		}
	}
}

// The public half of every private form is read without asking for the private
// one, and long comments survive.
func TestPublicHalves(t *testing.T) {
	k := *allKeys(t)["ed25519"]
	k.Comment = strings.Repeat("a long comment, ", 20) + "ÄÖÜ"
	for _, f := range []Format{OpenSSH, PPK2, PPK3, JWK, RFC4716} {
		var data []byte
		var err error
		if findFormat(f).marshal != nil {
			data, err = k.Marshal(f, MarshalOptions{})
		} else {
			data, err = k.MarshalPublic(f)
		}
		if err != nil {
			t.Fatal(f, err)
		}
		pub, err := ParsePublic(data)
		if err != nil || !Equal(pub, &k) || pub.Comment != k.Comment {
			t.Errorf("%s: %v, %+v", f, err, pub)
		}
		if f == RFC4716 {
			for l := range strings.SplitSeq(string(data), "\n") {
				if len(l) > 72 {
					t.Errorf("line of %d octets", len(l))
				}
			}
		}
	}
	k.Comment = "two\nlines"
	for _, f := range Formats() {
		if _, err := k.Marshal(f.Format, MarshalOptions{}); err == nil {
			t.Errorf("%s: a comment of two lines was written", f.Format)
		}
		if _, err := k.MarshalPublic(f.Format); err == nil {
			t.Errorf("%s: a comment of two lines was written with the public key", f.Format)
		}
	}
	k.Comment = strings.Repeat("x", 2000)
	if _, err := k.MarshalPublic(RFC4716); err == nil {
		t.Error("a header longer than RFC 4716 allows was written")
	}
}

// Nothing is ever written in the clear that was to be encrypted.
func TestMarshalOptions(t *testing.T) {
	k := allKeys(t)["rsa"]
	for what, c := range map[string]struct {
		f Format
		o MarshalOptions
	}{
		"JWK cannot encrypt":       {JWK, MarshalOptions{Passphrase: testPass}},
		"XML cannot encrypt":       {XML, MarshalOptions{Passphrase: testPass}},
		"cipher without a phrase":  {OpenSSH, MarshalOptions{Cipher: "aes256-ctr"}},
		"unknown cipher":           {OpenSSH, MarshalOptions{Passphrase: testPass, Cipher: "arcfour"}},
		"cipher of another format": {PKCS8, MarshalOptions{Passphrase: testPass, Cipher: "aes256-ctr"}},
		"too many rounds":          {OpenSSH, MarshalOptions{Passphrase: testPass, Rounds: 1 << 20}},
		"too many iterations":      {PKCS8, MarshalOptions{Passphrase: testPass, Rounds: 1 << 30}},
		"too many passes":          {PPK3, MarshalOptions{Passphrase: testPass, Rounds: 1 << 30}},
		"no private form":          {RFC4716, MarshalOptions{}},
		"no such format":           {"none", MarshalOptions{}},
	} {
		data, err := k.Marshal(c.f, c.o)
		if _, ok := errors.AsType[*FormatError](err); !ok || data != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	data, err := k.Marshal(OpenSSH, MarshalOptions{Passphrase: testPass, Rounds: -1})
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := detect(data)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := decodeOpenSSH(f)
	if err != nil || h.cipher != "aes256-ctr" || !bytes.HasSuffix(h.kdfOptions, []byte{0, 0, 0, 16}) {
		t.Errorf("by default %v %+v", err, h)
	}
}

// X.509 keys and OpenSSH certificates as public key files.
func TestCertificateFiles(t *testing.T) {
	c := x509Cases(t)
	for name, c := range c {
		k, err := NewX509Key(name, c.chain, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []Format{OpenSSH, RFC4716, Blob} {
			data, err := (&PublicKey{Key: k, Comment: "of " + name}).Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParsePublic(data)
			if err != nil || !Equal(got, &PublicKey{Key: k}) || got.Type() != name {
				t.Errorf("%s, %s: %v", name, f, err)
			}
			if f != Blob && err == nil && got.Comment != "of "+name {
				t.Errorf("%s, %s: comment %q", name, f, got.Comment)
			}
		}
		for _, f := range []Format{PKCS8, JWK, XML, PEM} {
			if _, err := (&PublicKey{Key: k}).Marshal(f); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s, %s: %v", name, f, err)
			}
		}
	}
	if k, err := ParsePublic(c["x509v3-sign-rsa"].chain[0].Raw); err != nil || k.Type() != "x509v3-sign-rsa" {
		t.Errorf("a bare certificate: %v", err)
	}
	cert, err := ParsePublic(readFile(t, "ssh-keygen/ecdsa256-cert.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if got := cert.Key.(*gossh.Certificate).KeyId; got != "test id" {
		t.Errorf("key id %q", got)
	}
	for _, f := range []Format{OpenSSH, RFC4716, Blob} {
		data, err := cert.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParsePublic(data); err != nil || !Equal(got, cert) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Options of an authorized_keys line are kept with the key.
func TestAuthorizedKeyOptions(t *testing.T) {
	pub := readFile(t, "ssh-keygen/ed25519.pub")
	k, err := ParsePublic(append([]byte("# who\n\nrestrict,command=\"echo a, b\" "), pub...))
	if err != nil || !slices.Equal(k.Options, []string{"restrict", `command="echo a, b"`}) {
		t.Fatal(err, k)
	}
	data, err := k.Marshal(OpenSSH)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParsePublic(data); err != nil || !slices.Equal(again.Options, k.Options) {
		t.Error(err, again)
	}
	k.Options = []string{"restrict\ncommand=x"}
	if _, err := k.Marshal(OpenSSH); err == nil {
		t.Error("options of two lines were written")
	}
}
