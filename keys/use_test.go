package keys

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// The fingerprints are those that ssh-keygen prints.
func TestFingerprint(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(readFile(t, "fingerprints.txt"))), "\n")
	if len(lines) != 20 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		f := strings.Fields(l)
		k, err := ParsePublic(readFile(t, "ssh-keygen/"+f[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Fingerprint(k.Key, f[1]); err != nil || got != f[2] {
			t.Errorf("%s with %s: %s, %v, want %s", f[0], f[1], got, err, f[2])
		}
		if f[1] == "sha256" {
			if got, err := Fingerprint(k.Key, ""); err != nil || got != f[2] {
				t.Errorf("%s by default: %s, %v", f[0], got, err)
			}
		}
		if _, err := Fingerprint(k.Key, "crc32"); err == nil {
			t.Error("a fingerprint with crc32")
		}
	}
}

// A private key equals its public half, whatever the comments.
func TestEqual(t *testing.T) {
	ks := allKeys(t)
	for a, ka := range ks {
		pub := &PublicKey{Key: ka.PublicKey(), Comment: "another"}
		if !Equal(ka, pub) || !Equal(pub, ka) || !Equal(ka.Signer, ka) || !Equal(ka.Public(), ka) {
			t.Errorf("%s does not equal its public half", a)
		}
		for b, kb := range ks {
			if Equal(ka, kb) != (a == b) {
				t.Errorf("%s equals %s: %v", a, b, a != b)
			}
		}
	}
}

// Every type signs and verifies with every hash that it can have.
func TestSignVerify(t *testing.T) {
	data := []byte("data to be signed")
	hashes := []crypto.Hash{0, crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	for name, k := range allKeys(t) {
		for _, h := range hashes {
			sig, err := k.Sign(data, h)
			if name == "ed25519" && h != 0 {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s with %v: %v", name, h, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s with %v: %v", name, h, err)
				continue
			}
			if err := k.Public().Verify(data, sig, h); err != nil {
				t.Errorf("%s with %v: %v", name, h, err)
			}
			if k.Public().Verify([]byte("other data"), sig, h) == nil {
				t.Errorf("%s with %v verifies other data", name, h)
			}
			sig[len(sig)/2] ^= 1
			if k.Public().Verify(data, sig, h) == nil {
				t.Errorf("%s with %v verifies a changed signature", name, h)
			}
			if k.Public().Verify(data, nil, h) == nil {
				t.Errorf("%s with %v verifies nothing", name, h)
			}
		}
		if _, err := k.Sign(data, crypto.MD5); err == nil && name != "ed25519" {
			t.Errorf("%s signed with MD5", name)
		}
		// The default is what the name of the key says in SSH.
		alg := map[string]string{"rsa": gossh.KeyAlgoRSASHA256}[name]
		if alg == "" {
			alg = k.Type()
		}
		if name == "rsa" || name == "ed25519" { // the others have another form in SSH
			sig, err := k.Sign(data, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.PublicKey().Verify(data, &gossh.Signature{Format: alg, Blob: sig}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestGenerate(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		kind Kind
		bits int
		typ  string
	}{
		{RSA, 2048, gossh.KeyAlgoRSA},
		{ECDSA, 0, gossh.KeyAlgoECDSA256},
		{ECDSA, 384, gossh.KeyAlgoECDSA384},
		{ECDSA, 521, gossh.KeyAlgoECDSA521},
		{Ed25519, 0, gossh.KeyAlgoED25519},
		{Ed25519, 256, gossh.KeyAlgoED25519},
	} {
		k, err := Generate(ctx, c.kind, GenerateOptions{Bits: c.bits, Comment: "c"})
		if err != nil || k.Type() != c.typ || k.Comment != "c" {
			t.Errorf("%s %d: %v", c.kind, c.bits, err)
		}
	}
	// 10.6 of the CVE list: no small keys are made.
	for _, c := range []struct {
		kind Kind
		bits int
	}{{RSA, 1}, {RSA, 1024}, {RSA, 2047}, {RSA, 2049}, {RSA, 16385}, {RSA, -1}, {ECDSA, 255}, {ECDSA, 512}, {Ed25519, 448}, {"dsa", 1024}, {"", 0}} {
		if _, err := Generate(ctx, c.kind, GenerateOptions{Bits: c.bits}); err == nil {
			t.Errorf("%s %d was made", c.kind, c.bits)
		}
	}
	if kinds[RSA].def < 3072 {
		t.Error("RSA keys are small by default")
	}
}

// A context ends the wait for a key that takes long.
func TestGenerateContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	started := make(chan struct{})
	slow := kinds[Ed25519]
	slow.make = func(int) (crypto.PrivateKey, error) {
		close(started)
		<-release
		return nil, errors.New("nobody waits")
	}
	kinds["slow"] = slow
	defer delete(kinds, "slow")
	defer close(release)
	go func() { <-started; cancel() }()
	if _, err := Generate(ctx, "slow", GenerateOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Generate(ctx, Ed25519, GenerateOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// The options of generateKeyPair: comment, format, passphrase, cipher, rounds.
func TestGeneratePair(t *testing.T) {
	for _, c := range []struct {
		o      GenerateOptions
		format Format
	}{
		{GenerateOptions{}, OpenSSH},
		{GenerateOptions{Comment: "me", MarshalOptions: MarshalOptions{Passphrase: testPass, Rounds: 1}}, OpenSSH},
		{GenerateOptions{Comment: "me", MarshalOptions: MarshalOptions{Passphrase: testPass, Cipher: "aes256-gcm@openssh.com", Rounds: 2}}, OpenSSH},
		{GenerateOptions{Comment: "me", Format: PPK3}, PPK3},
		{GenerateOptions{Format: PKCS8, MarshalOptions: MarshalOptions{Passphrase: testPass, Rounds: 10}}, PKCS8},
	} {
		private, public, err := GeneratePair(t.Context(), Ed25519, c.o)
		if err != nil {
			t.Fatal(err)
		}
		k, err := Parse(private, c.o.Passphrase)
		if err != nil || k.Comment != c.o.Comment || k.Format != c.format {
			t.Errorf("%+v: %v", c.o, err)
			continue
		}
		p, err := ParsePublic(public)
		if err != nil || !Equal(p, k) || p.Comment != c.o.Comment || p.Format != OpenSSH {
			t.Errorf("%+v: public %s, %v", c.o, public, err)
		}
		if c.o.Rounds == 2 {
			f, _, err := detect(private)
			if err != nil {
				t.Fatal(err)
			}
			h, _, err := decodeOpenSSH(f)
			if err != nil || h.cipher != c.o.Cipher || !bytes.HasSuffix(h.kdfOptions, []byte{0, 0, 0, 2}) {
				t.Errorf("cipher %s, kdf %x, %v", h.cipher, h.kdfOptions, err)
			}
		}
	}
	for what, o := range map[string]GenerateOptions{
		"cipher without passphrase": {MarshalOptions: MarshalOptions{Cipher: "aes256-ctr"}},
		"format for public keys":    {Format: RFC4716},
		"comment of two lines":      {Comment: "a\nb"},
	} {
		if _, _, err := GeneratePair(t.Context(), Ed25519, o); err == nil {
			t.Error(what)
		}
	}
}

// A passphrase does not show up in what is printed or logged.
func TestPassphraseNeverPrints(t *testing.T) {
	p := Passphrase("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pass", p, "options", MarshalOptions{Passphrase: p})
	out := log.String() + p.LogValue().String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		out += fmt.Sprintf(verb, p) + fmt.Sprintf(verb, MarshalOptions{Passphrase: p})
	}
	for _, secret := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), "104 117 110"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is in the output", secret)
		}
	}
}

// A private key that ends up in a log shows what can be seen of it anyway.
func TestPrivateKeyNeverPrintsItself(t *testing.T) {
	for _, kind := range []Kind{Ed25519, ECDSA} {
		k, err := Generate(t.Context(), kind, GenerateOptions{Comment: "c"})
		if err != nil {
			t.Fatal(err)
		}
		f, err := Fingerprint(k.PublicKey(), "")
		if err != nil {
			t.Fatal(err)
		}
		want := k.Type() + " " + f
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
		for _, got := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprint(*k), fmt.Sprint([]*PrivateKey{k})} {
			if strings.Trim(got, "[]") != want {
				t.Errorf("%s prints as %s", want, got)
			}
		}
		if !strings.Contains(log.String(), `"key":"`+want+`"`) {
			t.Errorf("%s logs as %s", want, log.String())
		}
	}
}
