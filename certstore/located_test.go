package certstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// TestErrorsNameTheFile: of several stores it is told which one could not be opened, and of what is there under
// another type, what it is.
func TestErrorsNameTheFile(t *testing.T) {
	jks := filepath.Join("testdata", "stores", "jks", "two-keys.jks")
	for _, row := range []struct {
		typ      Type
		password string
		say      string
	}{
		{JKSFile, "wrong", "certstore: " + jks + ": JKS: wrong password"},
		{PFXFile, "testing", "certstore: " + jks + ": PFX: not a store of type cstPFXFile: it is of the form JKS, which cstAuto finds"},
	} {
		_, err := Open(row.typ, jks, Options{Password: keys.Passphrase(row.password)})
		if err == nil || !strings.HasPrefix(err.Error(), row.say) {
			t.Errorf("%v\nwant %s", err, row.say)
		}
	}
	if _, err := OpenBytes(JKSBlob, storeFile(t, "jks/two-keys.jks"), Options{Password: keys.Passphrase("wrong")}); err == nil || strings.Contains(err.Error(), "testdata") {
		t.Errorf("of no file: %v", err)
	}
}

// TestFindAlias: keytool knows its entries by alias, in any case. Names come first.
func TestFindAlias(t *testing.T) {
	s, err := OpenBytes(JKSFile, storeFile(t, "jks/two-keys.jks"), Options{Password: keys.Passphrase("testing")})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range s.All() {
		if c.Alias() == "" || c.X509() == nil {
			t.Fatalf("entry %d: alias %q", i, c.Alias())
		}
		for _, alias := range []string{c.Alias(), strings.ToUpper(c.Alias())} {
			if got, err := s.Find(alias); err != nil || got != c {
				t.Errorf("%q: %v, %v", alias, got, err)
			}
		}
	}
	if _, err := s.Find("none"); !errors.Is(err, ErrNoMatch) {
		t.Errorf("%v", err)
	}
}

// TestNoMatchSaysWhatIsThere: up to eight entries, by subject or alias, quoted and cut.
func TestNoMatchSaysWhatIsThere(t *testing.T) {
	s, err := OpenBytes(JKSFile, storeFile(t, "jks/two-keys.jks"), Options{Password: keys.Passphrase("testing")})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"none", "", "Thumbprint=00112233445566778899aabbccddeeff", "Thumbprint=xyz"} {
		_, err = s.Find(q)
		if !errors.Is(err, ErrNoMatch) {
			t.Fatal(err)
		}
		for _, c := range s.All() {
			if text := fmt.Sprintf("%+q", clip(c.Subject())); !strings.Contains(err.Error(), text) {
				t.Errorf("%q: no %s in %q", q, text, err)
			}
		}
	}
	many := &Store{}
	for i := range 20 {
		many.certs = append(many.certs, &Certificate{e: Entry{Alias: fmt.Sprintf("%d\n%s", i, strings.Repeat("x", 100))}})
	}
	many.certs[1].e.Alias = ""
	_, err = many.Find("none")
	if text := err.Error(); strings.Count(text, "xxx\"") != 7 || !strings.Contains(text, `"0\nxx`) || !strings.Contains(text, `"7\nxx`) ||
		!strings.Contains(text, "and 12 more") || strings.Contains(text, "\n") || len(text) > 1000 {
		t.Errorf("%q", text)
	}
	if _, err := (&Store{}).Find("none"); !errors.Is(err, ErrNoMatch) || !strings.HasSuffix(err.Error(), "the store is empty") {
		t.Errorf("%v", err)
	}
}
