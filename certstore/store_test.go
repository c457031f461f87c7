package certstore

import (
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// TestEveryFormatHasAType wants each row of the two tables used by the other.
func TestEveryFormatHasAType(t *testing.T) {
	used := map[string]bool{}
	for _, r := range types {
		if r.name == "" || r.doc == "" || r.where == 0 {
			t.Errorf("type %d is not complete", r.t)
		}
		for _, f := range r.formats {
			if findFormat(f) == nil {
				t.Errorf("%s: no format %s", r.name, f)
			}
			used[f] = true
		}
		if got, err := ParseType(r.t.String()); err != nil || got != r.t {
			t.Errorf("ParseType(%s) = %v, %v", r.t, got, err)
		}
	}
	for _, f := range formats {
		if !used[f.name] {
			t.Errorf("format %s is of no type", f.name)
		}
	}
}

func TestOpenPEM(t *testing.T) {
	k, err := keys.Generate(t.Context(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := k.Marshal(keys.PKCS8, keys.MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenBytes(Auto, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 1 || s.Format() != "PEM" {
		t.Fatalf("%d entries in %s", s.Len(), s.Format())
	}
}
