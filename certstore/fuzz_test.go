package certstore

import (
	"path/filepath"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// fuzzLimits keep one execution short; what they refuse is tested elsewhere.
var fuzzLimits = keys.Limits{PBKDF2Iterations: 2100, Memory: 1 << 20, MemoryPasses: 1 << 21}

// seedStores adds the files that match, without what is behind the first n
// octets from the end.
func seedStores(f *testing.F, tail int, patterns ...string) {
	f.Helper()
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", "stores", p))
		if err != nil || len(names) == 0 {
			f.Fatal("no seeds ", p)
		}
		for _, n := range names {
			data := storeFile(f, filepath.Join(filepath.Base(filepath.Dir(n)), filepath.Base(n)))
			f.Add(data[:len(data)-tail])
		}
	}
}

// fuzzOpen opens what wrap makes of the octets: only errors of this package
// may come of it.
func fuzzOpen(f *testing.F, typ Type, wrap func(testing.TB, []byte) []byte) {
	f.Helper()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := OpenBytes(typ, wrap(t, data), Options{Password: testPass, Limits: fuzzLimits})
		if err != nil {
			typed(t, "open", err)
			return
		}
		for _, c := range s.All() {
			e := c.Entry()
			_ = e.public()
		}
	})
}

func asIs(_ testing.TB, p []byte) []byte { return p }

func FuzzPFX(f *testing.F) {
	seedStores(f, 0, "pfx/*.p12")
	fuzzOpen(f, PFXBlob, asIs)
}

// FuzzPFXSafe is what a MAC protects.
func FuzzPFXSafe(f *testing.F) {
	names, err := filepath.Glob("testdata/stores/pfx/*.p12")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds")
	}
	for _, n := range names {
		s, err := sequence(storeFile(f, "pfx/"+filepath.Base(n)))
		if err != nil {
			f.Fatal(err)
		}
		s.SkipASN1(2)
		_, content, ok := contentInfo(&s)
		if !ok {
			f.Fatal(n)
		}
		f.Add([]byte(content)[4:])
	}
	fuzzOpen(f, PFXBlob, func(t testing.TB, p []byte) []byte { return pfxOf(t, p, nil) })
}

func FuzzP7B(f *testing.F) {
	seedStores(f, 0, "p7b/*.p7b")
	fuzzOpen(f, P7BBlob, asIs)
}

// The digest of Java's stores is made right, or nothing would be behind it.
func FuzzJKS(f *testing.F) {
	seedStores(f, 20, "jks/*.jks")
	fuzzOpen(f, JKSBlob, func(_ testing.TB, p []byte) []byte { return resealJava(p) })
}

func FuzzJCEKS(f *testing.F) {
	seedStores(f, 20, "jks/*.jceks")
	fuzzOpen(f, JKSBlob, func(_ testing.TB, p []byte) []byte { return resealJava(p) })
}

func FuzzBCFKS(f *testing.F) {
	seedStores(f, 0, "bcfks/*.bcfks")
	fuzzOpen(f, BCFKSBlob, asIs)
}

// FuzzBCFKSObjects is what the encryption of a store protects.
func FuzzBCFKSObjects(f *testing.F) {
	f.Add(bcfksPlain(f, "bcfks/fips.bcfks"))
	f.Add(bcfksPlain(f, "bcfks/secret-key.bcfks"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &input{opts: Options{Password: testPass}, limits: fuzzLimits.OrDefault()}
		b := &bcfks{in: in, purse: purse(in.limits)}
		if _, err := b.objects(data); err != nil {
			typed(t, "objects", complete("BCFKS", err))
		}
	})
}

func FuzzToDER(f *testing.F) {
	seedStores(f, 0, "pfx/nss.p12", "pfx/bouncy-castle.p12", "p7b/*.p7b")
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := toDER(data)
		if err != nil {
			return
		}
		if again, err := toDER(p); err != nil || string(again) != string(p) || len(p) > len(data)+len(data)/2+8 {
			t.Fatalf("%x becomes %x becomes %x: %v", data, p, again, err)
		}
	})
}
