package keys_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/keys"
)

// The format is found by looking; a missing passphrase has an error of its own.
func ExampleParse() {
	data, err := os.ReadFile("testdata/puttygen/ed25519-enc.ppk2")
	if err != nil {
		fmt.Println(err)
		return
	}
	k, err := keys.Parse(data, nil)
	if e, ok := errors.AsType[*keys.PassphraseError](err); ok {
		f, _ := keys.Fingerprint(e.PublicKey, "sha256")
		fmt.Println("passphrase of", f)
		k, err = keys.Parse(data, keys.Passphrase("testing")) // ask the user
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.Type(), k.Format, k.Comment)
	// Output:
	// passphrase of SHA256:D7w5SUyTO1FT1VxMrNE3wIiTV5f2HYflyzrPAmxjpwI
	// ssh-ed25519 ppk2 test ed25519
}

// Any form becomes any other.
func ExamplePrivateKey_Marshal() {
	data, err := os.ReadFile("testdata/puttygen/ecdsa256.ppk3")
	if err != nil {
		fmt.Println(err)
		return
	}
	k, err := keys.Parse(data, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := k.Marshal(keys.OpenSSH, keys.MarshalOptions{Passphrase: keys.Passphrase("secret"), Cipher: "aes256-gcm@openssh.com", Rounds: 24})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, _, _ := strings.Cut(string(out), "\n")
	fmt.Println(first)
	// Output: -----BEGIN OPENSSH PRIVATE KEY-----
}

// A new key, as the two files that ssh-keygen would write.
func ExampleGeneratePair() {
	private, public, err := keys.GeneratePair(context.Background(), keys.Ed25519, keys.GenerateOptions{Comment: "alice@example.org"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(string(private), "-----BEGIN OPENSSH PRIVATE KEY-----"))
	fields := strings.Fields(string(public))
	fmt.Println(fields[0], fields[2])
	// Output:
	// true
	// ssh-ed25519 alice@example.org
}

// A certificate that was sent as a key is worth what its chain is worth.
func ExampleVerifyX509() {
	blob, err := os.ReadFile("testdata/asyncssh/x509v3-ssh-ed25519.blob")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := keys.ParseX509Key(blob)
	if err != nil {
		fmt.Println(err)
		return
	}
	trusted := x509.NewCertPool() // fill in who may name users
	_, err = keys.VerifyX509(key, x509.VerifyOptions{Roots: trusted}, keys.X509Client)
	fmt.Println(key.Type(), key.Leaf().Subject.CommonName, err != nil)
	// Output: x509v3-ssh-ed25519 alice true
}
