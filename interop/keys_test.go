package interop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// hostKeyKinds are the host keys every server under test is given; each also gets a certificate, beside it as
// FILE-cert.pub.
var hostKeyKinds = []hostKeyKind{
	{"ed25519", func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }},
	{"ecdsa256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"ecdsa384", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }},
	{"ecdsa521", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) }},
	{"rsa", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) }},
}

type hostKeyKind struct {
	name string
	make func() (crypto.Signer, error)
}

// A keyring is the key material of one test run.
type keyring struct {
	dir            string
	hostKeyFiles   []string          // private host keys, in the order of hostKeyKinds
	hostKeys       []gossh.PublicKey // the same, public
	hostCA         gossh.PublicKey
	userKey        string // private key file of the user
	userPPK        string // the same in PuTTY's format; empty without puttygen
	user           gossh.Signer
	authorizedKeys string
	password       string
	passwordFile   string
}

// userName is who all clients log in as.
const userName = "interop"

var sharedKeys = sync.OnceValues(func() (*keyring, error) { return makeKeyring(filepath.Join(scratch, "keys")) })

func keysOf(t *testing.T) *keyring {
	t.Helper()
	k, err := sharedKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func makeKeyring(dir string) (*keyring, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	k := &keyring{dir: dir, password: rand.Text()}
	_, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, err := gossh.NewSignerFromSigner(caKey)
	if err != nil {
		return nil, err
	}
	k.hostCA = ca.PublicKey()
	for _, kind := range hostKeyKinds {
		signer, file, err := writeKey(dir, "host_"+kind.name, kind.make)
		if err != nil {
			return nil, err
		}
		if err := certify(ca, signer.PublicKey(), file+"-cert.pub"); err != nil {
			return nil, err
		}
		k.hostKeyFiles = append(k.hostKeyFiles, file)
		k.hostKeys = append(k.hostKeys, signer.PublicKey())
	}
	if k.user, k.userKey, err = writeKey(dir, "user", hostKeyKinds[0].make); err != nil {
		return nil, err
	}
	k.authorizedKeys = filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(k.authorizedKeys, gossh.MarshalAuthorizedKey(k.user.PublicKey()), 0o600); err != nil {
		return nil, err
	}
	k.passwordFile = filepath.Join(dir, "password")
	if err := os.WriteFile(k.passwordFile, []byte(k.password+"\n"), 0o600); err != nil {
		return nil, err
	}
	if puttygen, err := exec.LookPath("puttygen"); err == nil {
		k.userPPK = k.userKey + ".ppk"
		if out, err := exec.Command(puttygen, k.userKey, "-O", "private", "-o", k.userPPK).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("puttygen: %w: %s", err, out)
		}
	}
	return k, nil
}

// writeKey makes a key and writes it and its public half as NAME and NAME.pub.
func writeKey(dir, name string, generate func() (crypto.Signer, error)) (gossh.Signer, string, error) {
	key, err := generate()
	if err != nil {
		return nil, "", err
	}
	block, err := gossh.MarshalPrivateKey(key, name)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, "", err
	}
	signer, err := gossh.NewSignerFromSigner(key)
	if err != nil {
		return nil, "", err
	}
	return signer, file, os.WriteFile(file+".pub", gossh.MarshalAuthorizedKey(signer.PublicKey()), 0o644)
}

// certify writes a host certificate for key, valid for every name the tests dial.
func certify(ca gossh.Signer, key gossh.PublicKey, file string) error {
	cert := &gossh.Certificate{
		Key: key, Serial: 1, CertType: gossh.HostCert, KeyId: "interop host",
		ValidPrincipals: []string{"127.0.0.1", "localhost"}, ValidBefore: gossh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		return err
	}
	return os.WriteFile(file, gossh.MarshalAuthorizedKey(cert), 0o644)
}

// knownHosts writes the known_hosts file for a server at host:port: every plain key, and the CA.
func (k *keyring) knownHosts(file, host string, port int) error {
	var b bytes.Buffer
	at := fmt.Sprintf("[%s]:%d", host, port)
	for _, key := range k.hostKeys {
		fmt.Fprintf(&b, "%s %s", at, gossh.MarshalAuthorizedKey(key))
	}
	fmt.Fprintf(&b, "@cert-authority %s %s", at, gossh.MarshalAuthorizedKey(k.hostCA))
	return os.WriteFile(file, b.Bytes(), 0o600)
}

// hostKeyLines returns the plain host keys, one authorized_keys line each.
func (k *keyring) hostKeyLines() []string {
	var lines []string
	for _, key := range k.hostKeys {
		lines = append(lines, strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))))
	}
	return lines
}
