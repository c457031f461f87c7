package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// refused wants a FormatError that names the part of the file.
func refused(t *testing.T, what string, data []byte, where string) {
	t.Helper()
	_, err := Parse(data, testPass)
	e, ok := errors.AsType[*FormatError](err)
	if !ok || !strings.Contains(e.Error(), where) {
		t.Errorf("%s: %v, want an error about %q", what, err, where)
	}
}

// CVE list 6.12: what a file may cost its reader. Each of these would take
// hours or all memory.
func TestCVE_6_12_CostsAreCapped(t *testing.T) {
	f, _, err := detect(readFile(t, "ssh-keygen/ed25519-enc.openssh"))
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := decodeOpenSSH(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, rounds := range []uint32{0, 2049, 1<<32 - 1} {
		h.kdfOptions = wire.Append(nil, &openSSHKDF{salt: make([]byte, 16), rounds: rounds})
		data := pem.EncodeToMemory(&pem.Block{Type: f.block.Type, Bytes: wire.Append([]byte(openSSHMagic), h)})
		refused(t, "bcrypt rounds", data, "rounds")
		if _, err := Parse(data, nil); err == nil || !strings.Contains(err.Error(), "rounds") {
			t.Errorf("a passphrase is asked for before the cost is known: %v", err)
		}
	}
	ppk := string(readFile(t, "puttygen/ed25519-enc.ppk3"))
	for _, edit := range [][2]string{
		{"Argon2-Memory: 8192", "Argon2-Memory: 2147483648"},
		{"Argon2-Memory: 8192", "Argon2-Memory: 4294967295"},
		{"Argon2-Memory: 8192", "Argon2-Memory: 0"},
		{"Argon2-Memory: 8192", "Argon2-Memory: 262145"},
		{"Argon2-Passes: ", "Argon2-Passes: 214748364"},
		{"Argon2-Parallelism: 1", "Argon2-Parallelism: 256"},
		{"Argon2-Parallelism: 1", "Argon2-Parallelism: 0"},
		{"Public-Lines: 2", "Public-Lines: 4294967295"},
	} {
		if !strings.Contains(ppk, edit[0]) {
			t.Fatalf("no %s in the file", edit[0])
		}
		refused(t, edit[1], []byte(strings.Replace(ppk, edit[0], edit[1], 1)), edit[0][:strings.Index(edit[0], ":")])
	}
	// Argon2 takes 8 KiB for each lane, however little the file asks for.
	lanes := regexp.MustCompile(`Argon2-Memory: \d+\nArgon2-Passes: \d+\nArgon2-Parallelism: \d+`)
	refused(t, "many lanes", lanes.ReplaceAll([]byte(ppk), []byte("Argon2-Memory: 1\nArgon2-Passes: 4113\nArgon2-Parallelism: 255")), "Argon2-Passes")
	refused(t, "one lane", lanes.ReplaceAll([]byte(ppk), []byte("Argon2-Memory: 1\nArgon2-Passes: 1048577\nArgon2-Parallelism: 1")), "Argon2-Passes")
	var e pkcs8Encrypted
	block, _ := pem.Decode(readFile(t, "openssl/ed25519-aes-256-cbc.pkcs8"))
	if err := unmarshalDER(block.Bytes, &e); err != nil {
		t.Fatal(err)
	}
	var (
		oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
		oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
		oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	)
	type pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int `asn1:"optional"`
	}
	type scryptParams struct {
		Salt    []byte
		N, R, P int64
	}
	pkcs8 := func(kdf asn1.ObjectIdentifier, params any) []byte {
		var p struct{ KDF, Cipher pkix.AlgorithmIdentifier }
		if err := unmarshalDER(e.Algorithm.Parameters.FullBytes, &p); err != nil {
			t.Fatal(err)
		}
		p.KDF, err = pbe.Algorithm(kdf, params)
		if err != nil {
			t.Fatal(err)
		}
		a, err := pbe.Algorithm(oidPBES2, p)
		if err != nil {
			t.Fatal(err)
		}
		der, err := asn1.Marshal(pkcs8Encrypted{a, e.Data})
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
	}
	salt := make([]byte, 8)
	refused(t, "iterations", pkcs8(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: 1<<31 - 1}), "iterations")
	refused(t, "no iterations", pkcs8(oidPBKDF2, pbkdf2Params{Salt: salt}), "iterations")
	refused(t, "negative iterations", pkcs8(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: -1}), "iterations")
	refused(t, "key length", pkcs8(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: 1, KeyLength: 1 << 30}), "key derivation")
	for _, p := range []scryptParams{
		{salt, 1 << 40, 8, 1},
		{salt, 1 << 24, 8, 1},
		{salt, 1 << 14, 1 << 20, 1},
		{salt, 1 << 14, 8, 1 << 20},
		{salt, 2, 1, 1 << 24},
		{salt, 2, 1 << 23, 1 << 23},
		{salt, 0, 8, 1},
		{salt, -1, 8, 1},
	} {
		refused(t, "scrypt", pkcs8(oidScrypt, p), "key derivation")
	}
	block, _ = pem.Decode(readFile(t, "openssl/ed25519-PBE-SHA1-3DES.pkcs8"))
	if err := unmarshalDER(block.Bytes, &e); err != nil {
		t.Fatal(err)
	}
	type pbes1Params struct {
		Salt       []byte
		Iterations int
	}
	if e.Algorithm, err = pbe.Algorithm(e.Algorithm.Algorithm, pbes1Params{salt, 1<<31 - 1}); err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "an older scheme", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), "iterations")
	// A caller who knows better may allow more, or less.
	data := readFile(t, "ssh-keygen/ed25519-enc.openssh")
	h.kdfOptions = wire.Append(nil, &openSSHKDF{salt: make([]byte, 16), rounds: 4})
	four := pem.EncodeToMemory(&pem.Block{Type: f.block.Type, Bytes: wire.Append([]byte(openSSHMagic), h)})
	if _, err := ParseLimited(four, testPass, Limits{BcryptRounds: 3}); err == nil || !strings.Contains(err.Error(), "rounds") {
		t.Errorf("4 rounds where 3 are allowed: %v", err)
	}
	if _, err := ParseLimited(data, testPass, Limits{BcryptRounds: 1}); err != nil {
		t.Error(err)
	}
}

// CVE list 6.12: numbers whose size is the attack.
func TestCVE_6_12_HugeNumbers(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 1<<18)
	huge.SetBit(huge, 0, 1)
	one := big.NewInt(3)
	der := func(v any) []byte {
		p, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	block := func(typ string, p []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: p}) }
	rsaDER := der(pkcs1Key{N: huge, E: one, D: huge, P: huge, Q: huge, DP: one, DQ: one, QInv: one})
	alg, err := pbe.Algorithm(oidRSA, asn1.NullRawValue)
	if err != nil {
		t.Fatal(err)
	}
	dsaAlg, err := pbe.Algorithm(oidDSA, dsaParameters{huge, huge, huge})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString(huge.Bytes())
	url := base64.RawURLEncoding.EncodeToString(huge.Bytes())
	for what, data := range map[string][]byte{
		"RSA":       block("RSA PRIVATE KEY", rsaDER),
		"DSA":       block("DSA PRIVATE KEY", der(dsaKey{0, huge, huge, huge, huge, huge})),
		"PKCS8 RSA": block("PRIVATE KEY", der(pkcs8Key{Algorithm: alg, PrivateKey: rsaDER})),
		"PKCS8 DSA": block("PRIVATE KEY", der(pkcs8Key{Algorithm: dsaAlg, PrivateKey: der(huge)})),
		"JWK":       []byte(`{"kty":"RSA","n":"` + url + `","e":"AQAB","d":"` + url + `","p":"` + url + `","q":"` + url + `"}`),
		"XML":       []byte("<RSAKeyValue><Modulus>" + b64 + "</Modulus><Exponent>AQAB</Exponent><D>" + b64 + "</D></RSAKeyValue>"),
	} {
		if _, err := Parse(data, nil); err == nil || len(data) > maxFile {
			t.Errorf("%s of %d octets: %v", what, len(data), err)
		}
	}
	// The public forms, down to the key in a certificate.
	wireRSA := func(n *big.Int) []byte {
		b := wire.AppendBytes(wire.AppendString(nil, gossh.KeyAlgoRSA), []byte{3})
		return wire.AppendBytes(b, mpintBytes(n))
	}
	big16k := new(big.Int).SetBit(big.NewInt(1), maxRSABits-1, 1)
	large := new(big.Int).SetBit(big.NewInt(1), maxRSABits, 1)
	if _, err := ParseBlob(wireRSA(big16k)); err != nil {
		t.Error(err)
	}
	line := "ssh-rsa " + base64.StdEncoding.EncodeToString(wireRSA(large))
	for what, err := range map[string]error{
		"blob": parsePublicError(wireRSA(large)),
		"line": parsePublicError([]byte(line)),
		"PPK":  parsePublicError([]byte("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: \nPublic-Lines: 1\n" + line[8:] + "\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: 00\n")),
	} {
		if err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: %v", what, err)
		}
	}
	cert := &gossh.Certificate{Key: allKeys(t)["rsa"].PublicKey(), ValidBefore: gossh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, allKeys(t)["ed25519"].Signer); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseBlob(cert.Marshal()); err != nil {
		t.Error(err)
	}
	blob := cert.Marshal()
	n := wire.AppendBytes(nil, mpintBytes(allKeys(t)["rsa"].Raw.(*rsa.PrivateKey).N))
	blob = bytes.Replace(blob, n, wire.AppendBytes(nil, mpintBytes(large)), 1)
	if _, err := ParseBlob(blob); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("in a certificate: %v", err)
	}
	// Primes that are none, which would divide by zero.
	k := allKeys(t)["rsa"].Raw.(*rsa.PrivateKey)
	for _, p := range []int64{0, 1, 2, 3} {
		q := new(big.Int).Set(k.N)
		if p > 1 {
			q.Div(q, big.NewInt(p))
		}
		for _, n := range []*big.Int{k.N, new(big.Int).Mul(q, big.NewInt(p))} {
			if _, err := rsaPrivate(n, big.NewInt(int64(k.E)), k.D, big.NewInt(p), q); err == nil {
				t.Errorf("a key with the prime %d", p)
			}
		}
	}
	square := new(big.Int).Mul(k.Primes[0], k.Primes[0])
	if _, err := rsaPrivate(square, big.NewInt(int64(k.E)), k.D, k.Primes[0], k.Primes[0]); err == nil {
		t.Error("a key with one prime twice")
	}
	if _, err := Parse(make([]byte, maxFile+1), nil); err == nil {
		t.Error("a file of any size is read")
	}
	// Depth costs nothing.
	for _, data := range []string{
		strings.Repeat("<RSAKeyValue>", 10000), strings.Repeat("[", 100000), `{"n":` + strings.Repeat("[", 100000), "<!DOCTYPE x><RSAKeyValue/>", "<RSAKeyValue><D>" + strings.Repeat("AAAA<!-- -->", 20000),
		strings.Repeat("-----BEGIN ", 20000), strings.Repeat("-----BEGIN A-----\n", 10000), strings.Repeat("-----BEGIN A-----\nA: b\n\nAAAA\n", 6000),
	} {
		if _, err := Parse([]byte(data), nil); err == nil {
			t.Errorf("%.20s... was read", data)
		}
	}
}

func parsePublicError(data []byte) error {
	_, err := ParsePublic(data)
	return err
}

// Every file of every tool, cut short at any octet, is an error and nothing
// worse; and so is every file with one octet changed, unless the change does
// not matter.
func TestTruncatedFiles(t *testing.T) {
	small := Limits{BcryptRounds: 1, PBKDF2Iterations: 1, Memory: 1, MemoryPasses: 1} // costs are not the point here
	for _, name := range toolFiles(t) {
		data := bytes.TrimRight(readFile(t, name), "\n")
		for n := range data[:len(data)-1] {
			k, err := ParseLimited(data[:n], testPass, small)
			if err == nil {
				t.Errorf("%s: a key of type %s in the first %d of %d octets", name, k.Type(), n, len(data))
				break
			}
		}
	}
}

// CVE list 7.5: any change to a PPK file's MAC, or to what it covers, is seen.
func TestCVE_7_5_PPKMAC(t *testing.T) {
	for _, name := range []string{"ed25519.ppk2", "ed25519.ppk3", "ed25519-enc.ppk2"} {
		data := readFile(t, "puttygen/"+name)
		mac := bytes.Index(data, []byte("Private-MAC: ")) + len("Private-MAC: ")
		for i := mac; i < len(bytes.TrimSpace(data)); i++ {
			changed := bytes.Clone(data)
			changed[i] = "0123456789abcdef"[(bytes.IndexByte([]byte("0123456789abcdef"), changed[i])+1)%16]
			if _, err := Parse(changed, testPass); err == nil {
				t.Fatalf("%s: digit %d of the MAC does not matter", name, i-mac)
			}
		}
		for _, edit := range []string{"Comment: test", "Encryption: none"} {
			changed := bytes.Replace(data, []byte(edit), []byte(edit[:len(edit)-1]+"x"), 1)
			if _, err := Parse(changed, testPass); err == nil && !bytes.Equal(changed, data) {
				t.Errorf("%s: %q does not matter", name, edit)
			}
		}
	}
	source, err := os.ReadFile("ppk.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(source, []byte("hmac.Equal(k.sum(")) || bytes.Contains(source, []byte("bytes.Equal(k.sum")) {
		t.Error("the MAC is not compared in constant time")
	}
}

// A private section under the public key of someone else.
func TestSwappedHalves(t *testing.T) {
	a, b := allKeys(t)["ecdsa256"], allKeys(t)["ed25519"]
	data, err := a.Marshal(OpenSSH, MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := detect(data)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := decodeOpenSSH(f)
	if err != nil {
		t.Fatal(err)
	}
	h.public = b.PublicKey().Marshal()
	refused(t, "OpenSSH", pem.EncodeToMemory(&pem.Block{Type: f.block.Type, Bytes: wire.Append([]byte(openSSHMagic), h)}), errMismatch.Error())

	// JWK: the point of another key beside d.
	other, err := Generate(t.Context(), Ed25519, GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := b.Marshal(JWK, MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.MarshalPublic(JWK)
	if err != nil {
		t.Fatal(err)
	}
	x := func(p []byte) []byte {
		i := bytes.Index(p, []byte(`"x": "`))
		return p[i : i+len(`"x": "`)+43]
	}
	refused(t, "JWK", bytes.Replace(mine, x(mine), x(theirs), 1), errMismatch.Error())
}

// CVE list 2.19: a certificate signed by a certificate, to any depth.
func TestCVE_2_19_NestedCertificates(t *testing.T) {
	blob := allKeys(t)["ed25519"].PublicKey().Marshal()
	for depth := 1; len(blob) < maxBlob; depth++ {
		b := wire.AppendString(nil, gossh.CertAlgoED25519v01)
		b = wire.AppendString(b, "nonce")
		b = wire.AppendBytes(b, make([]byte, 32))
		b = append(b, make([]byte, 8)...) // serial
		b = wire.AppendUint32(b, gossh.UserCert)
		b = wire.AppendString(b, "id")
		b = wire.AppendString(b, "")
		b = append(b, make([]byte, 16)...) // validity
		b = wire.AppendString(b, "")
		b = wire.AppendString(b, "")
		b = wire.AppendString(b, "")
		b = wire.AppendBytes(b, blob)
		sig := wire.AppendBytes(wire.AppendString(nil, gossh.KeyAlgoED25519), make([]byte, 64))
		blob = wire.AppendBytes(b, sig)
		_, err := ParseBlob(blob)
		if (err == nil) != (depth == 1) {
			t.Fatalf("depth %d: %v", depth, err)
		}
	}
	if _, err := ParseBlob(make([]byte, maxBlob+1)); err == nil {
		t.Error("a blob of any size is read")
	}
}

// CVE list 6.3: Ed25519 keys of the wrong length.
func TestCVE_6_3_ShortEd25519(t *testing.T) {
	for n := range 70 {
		blob := wire.AppendBytes(wire.AppendString(nil, gossh.KeyAlgoED25519), make([]byte, n))
		for what, parse := range map[string]func([]byte) error{
			"blob": func(b []byte) error { _, err := ParseBlob(b); return err },
			"file": func(b []byte) error { _, err := ParsePublic(b); return err },
			"line": func(b []byte) error {
				_, err := ParsePublic([]byte("ssh-ed25519 " + base64.StdEncoding.EncodeToString(b)))
				return err
			},
		} {
			if err := parse(blob); (err == nil) != (n == 32) {
				t.Errorf("%s with %d octets: %v", what, n, err)
			}
		}
	}
}

// CVE list 2.25: lines that are parsed more loosely than OpenSSH does.
func TestCVE_2_25_StrictLines(t *testing.T) {
	line := strings.TrimSpace(string(readFile(t, "ssh-keygen/ed25519.pub")))
	rest := strings.TrimPrefix(line, "ssh-ed25519 ")
	for what, l := range map[string]string{
		"another type declared":   "ssh-rsa " + rest,
		"NBSP between":            "ssh-ed25519\u00a0" + rest,
		"two keys":                line + "\n" + line,
		"known_hosts marker":      "@revoked host " + line,
		"a file that holds none":  "hello world AAAA",
		"only a comment":          "# " + line,
		"X.509 type, plain blob":  "x509v3-ssh-ed25519 " + rest,
		"unclosed quote":          `command="x ` + line,
		"PuTTY key of version 1":  "PuTTY-User-Key-File-1: ssh-rsa",
		"private key of ssh.com":  "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
		"a certificate request":   "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
		"nothing":                 "",
		"RFC 4716 without an end": "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA",
	} {
		k, err := ParsePublic([]byte(l))
		if err == nil {
			t.Errorf("%s: read as %s %q", what, k.Type(), k.Options)
		}
	}
	// An option is never lost.
	if k, err := ParsePublic([]byte("restrict " + line)); err != nil || len(k.Options) != 1 || k.Options[0] != "restrict" {
		t.Errorf("%v, %+v", err, k)
	}
}

// The seed of an Ed25519 key is a number in PuTTY's files: zeros at its end are
// left out.
func TestPPKShortSeed(t *testing.T) {
	for _, zeros := range []int{0, 1, 2, 32} {
		seed := bytes.Repeat([]byte{7}, 32)
		copy(seed[32-zeros:], make([]byte, zeros))
		raw, err := ed25519Private(seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := NewPrivateKey(raw, "")
		if err != nil {
			t.Fatal(err)
		}
		data, err := k.Marshal(PPK3, MarshalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(data, nil)
		if err != nil || !rawEqual(got.Raw, raw) {
			t.Errorf("%d zeros: %v", zeros, err)
		}
	}
}

// Every row of the tables of ciphers and functions has a file that uses it.
func TestTablesHaveFiles(t *testing.T) {
	uses := func(dir, name string) bool {
		found, err := filepath.Glob(filepath.Join("testdata", dir, "*"+name+"*"))
		return err == nil && len(found) > 0
	}
	for _, c := range openSSHCiphers {
		if n, _, _ := strings.Cut(c.name, "@"); !uses("ssh-keygen", n) {
			t.Errorf("no file with %s", c.name)
		}
	}
	for _, c := range []string{"aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des-ede3-cbc", "des-cbc", "scrypt", "hmacWithSHA1", "PBE-SHA1-3DES"} {
		if !uses("openssl", c) {
			t.Errorf("no file with %s", c)
		}
	}
}
