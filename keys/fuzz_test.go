package keys

import (
	"bytes"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzLimits keep one execution short; what they refuse is tested elsewhere.
var fuzzLimits = Limits{BcryptRounds: 1, PBKDF2Iterations: 4096, Memory: 1 << 20, MemoryPasses: 1 << 20}

// fuzzParse parses wrap(data): only errors of the documented types may come,
// and what is read is written and read again as the same key.
func fuzzParse(f *testing.F, seeds [][]byte, wrap func([]byte) []byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = wrap(data)
		k, err := ParseLimited(data, testPass, fuzzLimits)
		if err != nil {
			_, format := errors.AsType[*FormatError](err)
			_, pass := errors.AsType[*PassphraseError](err)
			if !format && !pass {
				t.Fatalf("error of type %T: %v", err, err)
			}
		} else if err := checkComment(OpenSSH, k.Comment); err == nil {
			again, err := k.Marshal(OpenSSH, MarshalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if k2, err := Parse(again, nil); err != nil || !rawEqual(k.Raw, k2.Raw) || k.Comment != k2.Comment {
				t.Fatalf("%v: %s", err, again)
			}
		}
		p, err := ParsePublic(data)
		if err != nil {
			return
		}
		blob, err := p.Marshal(Blob)
		if err != nil {
			return // a comment of several lines
		}
		if p2, err := ParsePublic(blob); err != nil || !Equal(p, p2) {
			t.Fatalf("%v: %x", err, blob)
		}
	})
}

func seedFiles(f *testing.F, suffixes ...string) [][]byte {
	var out [][]byte
	for _, n := range toolFiles(f) {
		for _, s := range suffixes {
			if strings.HasSuffix(n, s) {
				out = append(out, readFile(f, n))
			}
		}
	}
	if len(out) == 0 {
		f.Fatalf("no seeds for %v", suffixes)
	}
	return out
}

func asIs(p []byte) []byte { return p }

// inner returns what the PEM blocks of that type hold, and asBlock puts it back.
func inner(files [][]byte, typ string) [][]byte {
	var out [][]byte
	for _, f := range files {
		for b, rest := pem.Decode(f); b != nil; b, rest = pem.Decode(rest) {
			if b.Type == typ && len(b.Headers) == 0 {
				out = append(out, b.Bytes)
			}
		}
	}
	return out
}

func asBlock(typ string) func([]byte) []byte {
	return func(p []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: p}) }
}

func FuzzParse(f *testing.F) {
	var seeds [][]byte
	for _, n := range toolFiles(f) {
		seeds = append(seeds, readFile(f, n))
	}
	fuzzParse(f, seeds, asIs)
}

func FuzzParseOpenSSH(f *testing.F) {
	const typ = "OPENSSH PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".openssh"), typ), asBlock(typ))
}

func FuzzParseRSA(f *testing.F) {
	const typ = "RSA PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".pem"), typ), asBlock(typ))
}

func FuzzParseDSA(f *testing.F) {
	const typ = "DSA PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".pem"), typ), asBlock(typ))
}

func FuzzParseEC(f *testing.F) {
	const typ = "EC PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".pem"), typ), asBlock(typ))
}

func FuzzParsePKCS8(f *testing.F) {
	const typ = "PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".pkcs8"), typ), asBlock(typ))
}

func FuzzParsePKCS8Encrypted(f *testing.F) {
	const typ = "ENCRYPTED PRIVATE KEY"
	fuzzParse(f, inner(seedFiles(f, ".pkcs8"), typ), asBlock(typ))
}

func FuzzParsePKIX(f *testing.F) {
	const typ = "PUBLIC KEY"
	fuzzParse(f, inner(seedFiles(f, ".spki"), typ), asBlock(typ))
}

func FuzzParsePPK(f *testing.F) { fuzzParse(f, seedFiles(f, ".ppk2", ".ppk3"), asIs) }

func FuzzParseRFC4716(f *testing.F) { fuzzParse(f, seedFiles(f, ".rfc4716"), asIs) }

func FuzzParseLine(f *testing.F) {
	fuzzParse(f, append(seedFiles(f, ".pub"), []byte("restrict,from=\"*\" ssh-ed25519 AAAA x")), asIs)
}

// ownSeeds are keys in a form that no tool wrote.
func ownSeeds(f *testing.F, format Format) [][]byte {
	var out [][]byte
	for _, k := range allKeys(f) {
		if p, err := k.Marshal(format, MarshalOptions{}); err == nil {
			out = append(out, p)
		}
		if p, err := k.MarshalPublic(format); err == nil {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		f.Fatal("no seeds for ", format)
	}
	return out
}

func FuzzParseJWK(f *testing.F)  { fuzzParse(f, ownSeeds(f, JWK), asIs) }
func FuzzParseXML(f *testing.F)  { fuzzParse(f, ownSeeds(f, XML), asIs) }
func FuzzParseBlob(f *testing.F) { fuzzParse(f, ownSeeds(f, Blob), asIs) }

// Each format has a fuzz target of its own.
func TestFuzzTargets(t *testing.T) {
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, n := range names {
		all = append(all, readFile(t, "../"+n)...)
	}
	for format, target := range map[Format]string{
		OpenSSH: "FuzzParseOpenSSH(", PKCS8: "FuzzParsePKCS8(", PEM: "FuzzParseRSA(", PPK2: "FuzzParsePPK(", PPK3: "FuzzParsePPK(",
		RFC4716: "FuzzParseRFC4716(", JWK: "FuzzParseJWK(", XML: "FuzzParseXML(", Blob: "FuzzParseBlob(",
	} {
		if !bytes.Contains(all, []byte("func "+target)) {
			t.Errorf("%s has no fuzz target", format)
		}
	}
}
