package pbe

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sealed is EncryptedPrivateKeyInfo of RFC 5208 section 6.
type sealed struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readSealed(t testing.TB, name string) sealed {
	t.Helper()
	var s sealed
	if err := unmarshal(readFile(t, name), &s); err != nil {
		t.Fatal(name, err)
	}
	return s
}

func limits() *Limits { return &Limits{Iterations: 1 << 20, Memory: 1 << 26, MemoryPasses: 1 << 30} }

func text(s string) Ask { return func() (Password, error) { return Text([]byte(s)), nil } }

// Every row of the tables opens what OpenSSL made with it.
func TestOpenSSLFiles(t *testing.T) {
	plain := readFile(t, "plain.der")
	names := []string{"aes-256-cbc", "aes-192-cbc", "aes-128-cbc", "des-ede3-cbc", "des-cbc", "scrypt"}
	for _, s := range pbes1Schemes {
		names = append(names, s.name)
	}
	for _, h := range hmacs {
		if h.name != "hmacWithSHA3-512" { // which OpenSSL does not write; the stores of Bouncy Castle have it
			names = append(names, h.name)
		}
	}
	for _, n := range names {
		s := readSealed(t, n+".der")
		got, err := Open(s.Algorithm, s.Data, limits(), text("testing"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", n, err)
		}
		if got, err := Open(s.Algorithm, s.Data, limits(), text("Testing")); bytes.Equal(got, plain) || err != nil && !errors.Is(err, ErrPassword) {
			t.Errorf("%s with a wrong password: %v", n, err)
		}
		for end := range s.Data {
			if got, err := Open(s.Algorithm, s.Data[:end], &Limits{Iterations: 2048, Memory: 1 << 26, MemoryPasses: 1 << 30}, text("testing")); err == nil && bytes.Equal(got, plain) {
				t.Errorf("%s opens after %d octets", n, end)
			}
			if end > 20 {
				break // each costs a derivation, and beyond the first blocks they are alike
			}
		}
	}
}

// The modes that Bouncy Castle's stores use, against its own engines.
func TestBouncyCastleVectors(t *testing.T) {
	count := map[string]int{}
	for l := range strings.Lines(string(readFile(t, "aes.txt"))) {
		f := strings.Fields(l)
		bin := func(i int) []byte {
			p, err := hex.DecodeString(strings.TrimSuffix(f[i], "-"))
			if err != nil {
				t.Fatal(l, err)
			}
			return p
		}
		key, want, data := bin(1), bin(4), bin(5)
		var open func([]byte) ([]byte, error)
		switch f[0] {
		case "ccm":
			tag, err := strconv.Atoi(f[3])
			if err != nil {
				t.Fatal(err)
			}
			params, err := asn1.Marshal(ccmParams{bin(2), tag})
			if err != nil {
				t.Fatal(err)
			}
			open = func(p []byte) ([]byte, error) { return openCCM(key, params, p) }
		case "wrap":
			open = func(p []byte) ([]byte, error) { return openKeyWrap(key, nil, p) }
		}
		count[f[0]]++
		if got, err := open(data); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%.60s: %x, %v", l, got, err)
		}
		for i := range data {
			data[i] ^= 1
			if _, err := open(data); !errors.Is(err, ErrPassword) {
				t.Fatalf("%.60s: octet %d changed: %v", l, i, err)
			}
			data[i] ^= 1
			if _, err := open(data[:i]); err == nil {
				t.Fatalf("%.60s: %d octets: no error", l, i)
			}
		}
	}
	if count["ccm"] < 20 || count["wrap"] < 7 {
		t.Errorf("vectors: %v", count)
	}
}

// RFC 5649 section 6.
func TestKeyWrapVectors(t *testing.T) {
	key, _ := hex.DecodeString("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for text, wrapped := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		p, _ := hex.DecodeString(wrapped)
		if got, err := openKeyWrap(key, nil, p); err != nil || hex.EncodeToString(got) != text {
			t.Errorf("%x, %v, want %s", got, err, text)
		}
	}
}

// RFC 2268 section 5, where the effective bits are those of the key.
func TestRC2Vectors(t *testing.T) {
	for _, v := range [][3]string{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(v[0])
		c, err := newRC2(key)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := hex.DecodeString(v[1])
		got := make([]byte, 8)
		c.Encrypt(got, p)
		if hex.EncodeToString(got) != v[2] {
			t.Errorf("%s: %x, want %s", v[0], got, v[2])
		}
		c.Decrypt(got, got)
		if !bytes.Equal(got, p) {
			t.Errorf("%s: decrypted to %x", v[0], got)
		}
	}
	for _, n := range []int{0, 129} {
		if _, err := newRC2(make([]byte, n)); err == nil {
			t.Errorf("a key of %d octets", n)
		}
	}
}

func TestSeal(t *testing.T) {
	for _, name := range Sealers() {
		for n := range 40 {
			data := bytes.Repeat([]byte{9}, n)
			a, out, err := Seal(name, []byte("pw"), 2, data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Open(a, out, limits(), text("pw")); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d octets: %x, %v", name, n, got, err)
			}
		}
	}
	if _, _, err := Seal("des-cbc", []byte("pw"), 2, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("des-cbc: %v", err)
	}
}

// CVE list 6.12: what a derivation may cost, also when there are many.
func TestCVE_6_12_DerivationsAreCapped(t *testing.T) {
	salt := make([]byte, 8)
	asked := func() (Password, error) {
		t.Error("the password is asked for before the cost is known")
		return Password{}, nil
	}
	refused := func(what string, oid asn1.ObjectIdentifier, params any) {
		t.Helper()
		a, err := Algorithm(oid, params)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := kdfOf(oid); ok {
			_, err = Key(a, 32, limits(), asked)
		} else {
			_, err = Open(a, make([]byte, 16), limits(), asked)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Where != derivation {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, n := range []int{1<<31 - 1, 1<<20 + 1, 0, -1} {
		refused("pbkdf2", oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: n})
		for _, s := range pbes1Schemes {
			refused(s.name, s.oid, pbes1Params{salt, n})
		}
	}
	refused("length", oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: 1, KeyLength: 1 << 30})
	for _, p := range []scryptParams{
		{salt, 1 << 40, 8, 1, 0},
		{salt, 1 << 24, 8, 1, 0},
		{salt, 1 << 14, 1 << 20, 1, 0},
		{salt, 1 << 14, 8, 1 << 20, 0},
		{salt, 2, 1, 1 << 24, 0},
		{salt, 2, 1 << 23, 1 << 23, 0},
		{salt, 0, 8, 1, 0},
		{salt, -1, 8, 1, 0},
		{salt, 16, 8, 1, 1 << 30},
	} {
		refused("scrypt", oidScrypt, p)
	}
	// One purse for all.
	l := &Limits{Iterations: 5000, Memory: 1 << 26, MemoryPasses: 3 << 20}
	s := readSealed(t, "PBE-SHA1-3DES.der") // 2048 iterations
	for i := range 3 {
		_, err := Open(s.Algorithm, s.Data, l, text("testing"))
		if e, ok := errors.AsType[*Error](err); (i == 2) != (ok && e.Where == derivation) {
			t.Errorf("derivation %d: %v", i, err)
		}
	}
	s = readSealed(t, "scrypt.der") // 1 MiB
	for i := range 4 {
		_, err := Open(s.Algorithm, s.Data, l, text("testing"))
		if e, ok := errors.AsType[*Error](err); (i == 3) != (ok && e.Where == derivation) {
			t.Errorf("derivation %d: %v", i, err)
		}
	}
}

func kdfOf(oid asn1.ObjectIdentifier) (string, bool) {
	for _, r := range kdfs {
		if r.oid.Equal(oid) {
			return r.name, true
		}
	}
	return "", false
}

// The function of PKCS #12 where it needs more than one block, against a
// written-out second block.
func TestPKCS12KeyLength(t *testing.T) {
	long := PKCS12Key(sha256.New, ForMAC, 100, Text([]byte("pw")).BMP, []byte("salt"), 3)
	short := PKCS12Key(sha256.New, ForMAC, 32, Text([]byte("pw")).BMP, []byte("salt"), 3)
	if len(long) != 100 || !bytes.Equal(long[:32], short) || bytes.Equal(long[32:64], short) {
		t.Errorf("%x and %x", long, short)
	}
	if got := PKCS12Key(sha256.New, ForMAC, 32, nil, nil, 1); len(got) != 32 {
		t.Errorf("without password and salt: %x", got)
	}
}

func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/*.der")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, n := range files {
		f.Add(readFile(f, filepath.Base(n)))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var s sealed
		if unmarshal(der, &s) != nil {
			return
		}
		_, err := Open(s.Algorithm, s.Data, &Limits{Iterations: 4096, Memory: 1 << 20, MemoryPasses: 1 << 21}, text("testing"))
		if _, ok := errors.AsType[*Error](err); err != nil && !ok && !errors.Is(err, ErrPassword) {
			t.Errorf("error of type %T: %v", err, err)
		}
	})
}
