package interop

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/keys"
)

// Key files: what package keys writes must be read by the tools whose formats these are, as the same key. That what
// the tools write is read by us is shown by the files in keys/testdata.

const filePass = "interop passphrase"

// A keyTool reads a key file and gives the public key in any form that we read.
type keyTool struct {
	name    string
	formats []keys.Format
	args    func(file, passFile string, encrypted bool) []string
}

// opensslPass is for files in the clear as well: the tool asks on a terminal unless it is given something.
func opensslPass(encrypted bool) string {
	if encrypted {
		return "pass:" + filePass
	}
	return "pass:"
}

var privateReaders = []keyTool{
	{"ssh-keygen", []keys.Format{keys.OpenSSH, keys.PEM, keys.PKCS8}, func(file, _ string, encrypted bool) []string {
		pass := ""
		if encrypted {
			pass = filePass
		}
		return []string{"-y", "-P", pass, "-f", file}
	}},
	{"puttygen", []keys.Format{keys.PPK2, keys.PPK3, keys.OpenSSH}, func(file, passFile string, encrypted bool) []string {
		args := []string{file, "-O", "public-openssh"}
		if encrypted {
			args = append(args, "--old-passphrase", passFile)
		}
		return args
	}},
	{"openssl", []keys.Format{keys.PEM, keys.PKCS8}, func(file, _ string, encrypted bool) []string {
		return []string{"pkey", "-in", file, "-passin", opensslPass(encrypted), "-pubout"}
	}},
}

// toolLacks are forms that a tool does not know although it knows the format.
var toolLacks = map[string]func(f keys.Format, cipher, typ string) bool{
	// libcrypto has Ed25519 but OpenSSH 9.2 reads it in its own format only.
	"ssh-keygen": func(f keys.Format, _, typ string) bool { return f == keys.PKCS8 && typ == "ssh-ed25519" },
	// PuTTY reads OpenSSH's files with the cipher that OpenSSH writes by default and the one before it.
	"puttygen": func(f keys.Format, cipher, _ string) bool {
		return f == keys.OpenSSH && !slices.Contains([]string{"", "aes256-ctr", "aes256-cbc"}, cipher)
	},
}

// fileKeys is one key of each type; a DSA key is not made by us, so it comes from ssh-keygen.
func fileKeys(t *testing.T) map[string]*keys.PrivateKey {
	t.Helper()
	out := map[string]*keys.PrivateKey{}
	for name, o := range map[string]struct {
		kind keys.Kind
		bits int
	}{"rsa": {keys.RSA, 2048}, "ecdsa256": {keys.ECDSA, 256}, "ecdsa384": {keys.ECDSA, 384}, "ecdsa521": {keys.ECDSA, 521}, "ed25519": {keys.Ed25519, 0}} {
		k, err := keys.Generate(t.Context(), o.kind, keys.GenerateOptions{Bits: o.bits, Comment: "key files " + name})
		if err != nil {
			t.Fatal(err)
		}
		out[name] = k
	}
	file := filepath.Join(t.TempDir(), "dsa")
	if msg, err := exec.Command("ssh-keygen", "-q", "-t", "dsa", "-N", "", "-C", "key files dsa", "-f", file).CombinedOutput(); err != nil {
		t.Logf("no DSA key: %v: %s", err, msg) // OpenSSH 10 has none
		return out
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out["dsa"], err = keys.Parse(data, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// runTool runs a program that is done in no time.
func runTool(t *testing.T, name string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Logf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out, err
}

// TestKeyFilesPrivate writes every key in every format with every cipher, and has it read by every tool.
func TestKeyFilesPrivate(t *testing.T) {
	dir := t.TempDir()
	passFile := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(passFile, []byte(filePass+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := fileKeys(t)
	for _, tool := range privateReaders {
		t.Run(tool.name, func(t *testing.T) {
			if _, err := exec.LookPath(tool.name); err != nil {
				missingPeer(t, tool.name, err)
			}
			read := 0
			for _, f := range keys.Formats() {
				if !slices.Contains(tool.formats, f.Format) {
					continue
				}
				for name, k := range all {
					ciphers := append([]string{""}, f.Ciphers...)
					if name != "ecdsa256" && name != "rsa" { // every cipher with two types, every type with one cipher
						ciphers = ciphers[:2]
					}
					for _, cipher := range ciphers {
						o := keys.MarshalOptions{Cipher: cipher, Rounds: 8}
						if cipher != "" {
							o.Passphrase = keys.Passphrase(filePass)
						}
						data, err := k.Marshal(f.Format, o)
						if f.Format == keys.PEM && name == "ed25519" {
							continue // there is no such form
						}
						if err != nil {
							t.Error(f.Format, name, cipher, err)
							continue
						}
						if lacks := toolLacks[tool.name]; lacks != nil && lacks(f.Format, cipher, k.Type()) {
							continue
						}
						file := filepath.Join(dir, "key")
						if err := os.WriteFile(file, data, 0o600); err != nil {
							t.Fatal(err)
						}
						out, err := runTool(t, tool.name, tool.args(file, passFile, cipher != "")...)
						if err != nil {
							t.Errorf("%s does not read %s, %s, %s", tool.name, f.Format, name, cipher)
							continue
						}
						pub, err := keys.ParsePublic(out)
						if err != nil || !keys.Equal(pub, k) {
							t.Errorf("%s reads %s, %s, %s as another key: %v\n%s", tool.name, f.Format, name, cipher, err, out)
							continue
						}
						read++
					}
				}
			}
			if read < 20 {
				t.Errorf("only %d files were read", read)
			}
			t.Logf("%d files read", read)
		})
	}
}

// TestKeyFilesPublic does the same with public keys.
func TestKeyFilesPublic(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		missingPeer(t, "ssh-keygen", err)
	}
	file := filepath.Join(t.TempDir(), "key.pub")
	for name, k := range fileKeys(t) {
		for f, args := range map[keys.Format][]string{
			keys.RFC4716: {"-i", "-m", "RFC4716", "-f", file},
			keys.PKCS8:   {"-i", "-m", "PKCS8", "-f", file},
			keys.PEM:     {"-i", "-m", "PEM", "-f", file},
			keys.OpenSSH: {"-e", "-m", "RFC4716", "-f", file},
		} {
			if name == "ed25519" && f == keys.PKCS8 || name != "rsa" && f == keys.PEM {
				continue // ssh-keygen has no such form
			}
			data, err := k.MarshalPublic(f)
			if err != nil {
				t.Fatal(name, f, err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := runTool(t, "ssh-keygen", args...)
			if err != nil {
				t.Errorf("ssh-keygen does not read %s, %s", f, name)
				continue
			}
			if pub, err := keys.ParsePublic(out); err != nil || !keys.Equal(pub, k) {
				t.Errorf("ssh-keygen reads %s, %s as another key: %v", f, name, err)
			}
		}
		data, err := k.MarshalPublic(keys.OpenSSH)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, hash := range []string{"md5", "sha256", "sha512"} {
			out, err := runTool(t, "ssh-keygen", "-l", "-E", hash, "-f", file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := keys.Fingerprint(k.PublicKey(), hash)
			if err != nil || !strings.Contains(string(out), " "+want+" ") {
				t.Errorf("%s: ssh-keygen says %s, we say %s, %v", name, out, want, err)
			}
		}
	}
}

// TestKeyFilesSignature has openssl check the bare signatures that package keys makes, and the other way round.
func TestKeyFilesSignature(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		missingPeer(t, "openssl", err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(at(name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	data := []byte("data to sign")
	write("data", data, nil)
	for name, k := range fileKeys(t) {
		if name == "ed25519" {
			continue // openssl dgst has no raw mode
		}
		hash := map[string]string{"dsa": "-sha1", "ecdsa384": "-sha384", "ecdsa521": "-sha512"}[name]
		if hash == "" {
			hash = "-sha256"
		}
		sig, err := k.Sign(data, 0)
		write("sig", sig, err)
		pub, err := k.MarshalPublic(keys.PKCS8)
		write("pub", pub, err)
		private, err := k.Marshal(keys.PKCS8, keys.MarshalOptions{})
		write("private", private, err)
		if _, err := runTool(t, "openssl", "dgst", hash, "-verify", at("pub"), "-signature", at("sig"), at("data")); err != nil {
			t.Errorf("%s: openssl does not verify our signature", name)
		}
		if _, err := runTool(t, "openssl", "dgst", hash, "-sign", at("private"), "-out", at("theirs"), at("data")); err != nil {
			t.Errorf("%s: openssl does not sign with our key", name)
			continue
		}
		theirs, err := os.ReadFile(at("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Public().Verify(data, theirs, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
