package keys

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// testPass opens every encrypted file below testdata.
var testPass = Passphrase("testing")

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// toolFiles returns all key files that ssh-keygen, puttygen and openssl made.
func toolFiles(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, tool := range []string{"ssh-keygen", "puttygen", "openssl"} {
		names, err := filepath.Glob(filepath.Join("testdata", tool, "*"))
		if err != nil || len(names) < 10 {
			t.Fatalf("%s: %d files, %v", tool, len(names), err)
		}
		for _, n := range names {
			out = append(out, tool+"/"+filepath.Base(n))
		}
	}
	return out
}

// formatOfName is what the extension of a file below testdata says.
var formatOfName = map[string]struct {
	format  Format
	private bool
	comment bool
}{
	".openssh": {OpenSSH, true, true}, ".pub": {OpenSSH, false, true}, ".rfc4716": {RFC4716, false, true},
	".pem": {PEM, true, false}, ".pkcs1pub": {PEM, false, false}, ".pkcs8": {PKCS8, true, false}, ".spki": {PKCS8, false, false},
	".ppk2": {PPK2, true, true}, ".ppk3": {PPK3, true, true},
}

// toolPublic is the public key that a file was made of, if a file says so.
func toolPublic(t *testing.T, name string) gossh.PublicKey {
	t.Helper()
	tool, base, _ := strings.Cut(name, "/")
	kind, _, _ := strings.Cut(strings.SplitN(base, ".", 2)[0], "-")
	path := "ssh-keygen/" + kind + ".pub"
	switch {
	case name == "openssl/dsa-enc.pkcs8":
	case tool == "openssl" && (kind == "rsa" || kind == "ed25519"):
		path = "openssl/" + kind + ".spki"
	case tool == "openssl", strings.HasPrefix(base, "ed25519-") && tool == "ssh-keygen" && base != "ed25519-enc.openssh":
		return nil // keys of their own
	}
	k, err := ParsePublic(readFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return k.Key
}

// Every file of every tool is read: format, key and comment.
func TestToolFiles(t *testing.T) {
	count := map[Format]int{}
	for _, name := range toolFiles(t) {
		t.Run(name, func(t *testing.T) {
			data := readFile(t, name)
			want, ok := formatOfName[filepath.Ext(name)]
			if !ok {
				t.Fatal("no format for this extension")
			}
			count[want.format]++
			var key gossh.PublicKey
			var comment string
			if want.private {
				k, err := Parse(data, testPass)
				if strings.Contains(name, "argon2d") {
					if !errors.Is(err, errors.ErrUnsupported) {
						t.Fatalf("Argon2d: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if k.Format != want.format {
					t.Errorf("format %s, want %s", k.Format, want.format)
				}
				sig, err := k.Signer.Sign(nil, []byte("data"))
				if err != nil {
					t.Fatal(err)
				}
				if err := k.PublicKey().Verify([]byte("data"), sig); err != nil {
					t.Error(err)
				}
				key, comment = k.PublicKey(), k.Comment
			} else {
				k, err := ParsePublic(data)
				if err != nil {
					t.Fatal(err)
				}
				if k.Format != want.format {
					t.Errorf("format %s, want %s", k.Format, want.format)
				}
				if _, err := Parse(data, nil); !errors.Is(err, ErrPublicOnly) {
					t.Errorf("as a private key: %v", err)
				}
				key, comment = k.Key, k.Comment
			}
			if strings.HasSuffix(name, "-cert.pub") {
				if _, ok := key.(*gossh.Certificate); !ok {
					t.Errorf("a certificate is read as %T", key)
				}
				return
			}
			if pub := toolPublic(t, name); pub != nil && !bytes.Equal(pub.Marshal(), key.Marshal()) {
				t.Errorf("another key than that of the .pub file: %s", key.Type())
			}
			if want.comment && !strings.Contains(comment, "test") {
				t.Errorf("comment %q", comment)
			}
			if !want.comment && comment != "" {
				t.Errorf("comment %q", comment)
			}
		})
	}
	for _, f := range []Format{OpenSSH, PEM, PKCS8, PPK2, PPK3, RFC4716} {
		if count[f] == 0 {
			t.Errorf("no file of format %s", f)
		}
	}
}

// encryptedFiles are those of toolFiles that need a passphrase.
func encryptedFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range toolFiles(t) {
		_, err := Parse(readFile(t, name), nil)
		if e, ok := errors.AsType[*PassphraseError](err); ok && !e.Wrong {
			out = append(out, name)
		}
	}
	return out
}

// No passphrase and a wrong one give errors that tell which, in every format
// and with every cipher.
func TestPassphraseErrors(t *testing.T) {
	names := encryptedFiles(t)
	if len(names) < 40 {
		t.Errorf("only %d encrypted files", len(names))
	}
	for _, name := range names {
		data := readFile(t, name)
		_, err := Parse(data, nil)
		needed, _ := errors.AsType[*PassphraseError](err)
		shows := strings.HasPrefix(name, "puttygen/") || strings.HasSuffix(name, ".openssh")
		if (needed.PublicKey != nil) != shows || needed.Format != formatOfName[filepath.Ext(name)].format || !strings.Contains(needed.Error(), "needed") {
			t.Errorf("%s: %v, public key %v", name, needed, needed.PublicKey)
		}
		_, err = Parse(data, Passphrase("wrong"))
		if e, ok := errors.AsType[*PassphraseError](err); !strings.Contains(name, "argon2d") && (!ok || !e.Wrong || !strings.Contains(e.Error(), "wrong")) {
			t.Errorf("%s, wrong passphrase: %v", name, err)
		}
		k, err := ParsePublic(data)
		if shows != (err == nil) {
			t.Errorf("%s: public half without a passphrase: %v", name, err)
		} else if shows && !bytes.Equal(k.Key.Marshal(), needed.PublicKey.Marshal()) {
			t.Errorf("%s: another public half", name)
		}
	}
}

// TestParseText: text that is no key is not taken for a public key.
func TestParseText(t *testing.T) {
	for _, text := range []string{"junk", "Host example.org\n\tPort 22\n", "{}"} {
		if _, err := Parse([]byte(text), nil); err == nil || strings.Contains(err.Error(), "public") {
			t.Errorf("Parse(%q): %v", text, err)
		}
		if _, err := ParsePublic([]byte(text)); !errors.As(err, new(*FormatError)) {
			t.Errorf("ParsePublic(%q): %v", text, err)
		}
	}
	if _, err := Parse([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBs9PDCKhS1kvTmhOtEhwTBqHqLZKIdHeuTnSTTMTCKJ x\n"), nil); err == nil || !strings.Contains(err.Error(), "public key only") {
		t.Errorf("a public key: %v", err)
	}
}
