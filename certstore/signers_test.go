package certstore_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fullLeaf(t testing.TB) *certstore.Certificate {
	t.Helper()
	c, err := certstore.LoadBytes(certstore.Auto, slices.Concat(read(t, "testdata/x509/leaf.enc"), read(t, "testdata/x509/leaf.crt"),
		read(t, "testdata/x509/issuer.crt"), read(t, "testdata/x509/root.crt")), keys.Passphrase("testing"), "CN=www.server.com")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestServerWithCertificate runs a server on what a store holds, as a plain key
// and as an X.509 certificate that a client verifies with its chain.
func TestServerWithCertificate(t *testing.T) {
	c := fullLeaf(t)
	signers, err := c.Signers()
	if err != nil {
		t.Fatal(err)
	}
	root, err := certstore.ReadCertificateFile("testdata/x509/root.crt")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.X509())
	for _, algorithm := range []ssh2.AlgList{"rsa-sha2-256", "rsa-sha2-512", "x509v3-rsa2048-sha256"} {
		s := ssh2test.NewServer(nil)
		s.HostKeys, s.HostKeyAlgorithms = signers, algorithm
		cfg := &ssh2.ClientConfig{}
		cfg.HostKeyAlgorithms = algorithm
		if algorithm == "x509v3-rsa2048-sha256" {
			cfg.HostKeyPolicy = ssh2.X509HostKey(x509.VerifyOptions{Roots: roots, DNSName: "www.server.com"})
		} else {
			cfg.HostKey = gossh.FixedHostKey(c.PublicKey())
		}
		client := ssh2test.Connect(t, s, cfg)
		if got := client.Info().HostKeyAlgorithm; got != string(algorithm) {
			t.Errorf("%s: host key algorithm %s", algorithm, got)
		}
	}
	// By default it is the plain key, whatever else there is.
	s := ssh2test.NewServer(nil)
	s.HostKeys = signers
	if got := ssh2test.Connect(t, s, nil).Info().HostKeyAlgorithm; got != "rsa-sha2-256" && got != "rsa-sha2-512" {
		t.Errorf("by default %s", got)
	}
}

func TestSigners(t *testing.T) {
	c := fullLeaf(t)
	signers, err := c.Signers()
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, s := range signers {
		types = append(types, s.PublicKey().Type())
		data := []byte("data to sign")
		sig, err := s.Sign(rand.Reader, data)
		if err != nil {
			t.Errorf("%s: %v", s.PublicKey().Type(), err)
		} else if err := s.PublicKey().Verify(data, sig); err != nil {
			t.Errorf("%s: %v", s.PublicKey().Type(), err)
		}
		if k, ok := s.PublicKey().(*keys.X509PublicKey); ok {
			want := 2 // the leaf and its issuer, not the root
			if k.Algorithm().Draft {
				want = 1
			}
			if got := len(k.Certificates()); got != want {
				t.Errorf("%s: %d certificates", k.Type(), got)
			}
		}
	}
	if want := []string{"ssh-rsa", "x509v3-rsa2048-sha256", "x509v3-ssh-rsa", "x509v3-sign-rsa"}; !slices.Equal(types, want) {
		t.Errorf("signers %v", types)
	}

	pub, err := certstore.ReadCertificateFile("testdata/x509/leaf.crt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pub.Signers(); !errors.Is(err, certstore.ErrNoMatch) {
		t.Errorf("a certificate alone signs: %v", err)
	}
}

// TestSignersOfSSHCertificate has a key that an authority of OpenSSH certified.
func TestSignersOfSSHCertificate(t *testing.T) {
	k, err := keys.Generate(t.Context(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cert := &gossh.Certificate{Key: k.PublicKey(), CertType: gossh.HostCert, ValidBefore: gossh.CertTimeInfinity, ValidPrincipals: []string{"host"}}
	if err := cert.SignCert(rand.Reader, k.Signer); err != nil {
		t.Fatal(err)
	}
	if _, err := certstore.NewCertificate(certstore.Entry{Key: k, SSHCert: &gossh.Certificate{Key: cert.SignatureKey, Nonce: []byte{1}}}); err != nil {
		t.Errorf("the same key: %v", err)
	}
	c, err := certstore.NewCertificate(certstore.Entry{Key: k, SSHCert: cert})
	if err != nil {
		t.Fatal(err)
	}
	signers, err := c.Signers()
	if err != nil || len(signers) != 2 || signers[1].PublicKey().Type() != gossh.CertAlgoED25519v01 {
		t.Errorf("%d signers, %v", len(signers), err)
	}
	// From the two files that sshd has.
	key, err := k.Marshal(keys.OpenSSH, keys.MarshalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err = certstore.LoadBytesFor(certstore.Auto, slices.Concat(read(t, "testdata/x509/other.key"), key), nil, gossh.MarshalAuthorizedKey(cert))
	if err != nil || c.SubjectAltNames() != "host" || !c.HasPrivateKey() {
		t.Fatalf("%v, %v", c, err)
	}
	s := ssh2test.NewServer(nil)
	if s.HostKeys, err = c.Signers(); err != nil {
		t.Fatal(err)
	}
	s.HostKeyAlgorithms = gossh.CertAlgoED25519v01
	cfg := &ssh2.ClientConfig{HostKey: func(_ string, _ net.Addr, k gossh.PublicKey) error {
		if !bytes.Equal(k.Marshal(), cert.Marshal()) {
			return errors.New("another key")
		}
		return nil
	}}
	cfg.HostKeyAlgorithms = gossh.CertAlgoED25519v01
	ssh2test.Connect(t, s, cfg)
	if c, err := certstore.LoadBytesFor(certstore.Auto, read(t, "testdata/x509/other.key"), nil, gossh.MarshalAuthorizedKey(cert)); !errors.Is(err, certstore.ErrNoMatch) {
		t.Errorf("%v, %v", c, err)
	}
	if c, err := certstore.LoadBytesFor(certstore.Auto, key, nil, gossh.MarshalAuthorizedKey(k.PublicKey())); err == nil {
		t.Errorf("a key for a certificate: %v", c)
	}

	other, err := keys.Generate(t.Context(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certstore.NewCertificate(certstore.Entry{Key: other, SSHCert: cert}); err == nil {
		t.Error("the certificate of another key")
	}
}

// TestSignerOfToken has a key that can only be signed with.
func TestSignerOfToken(t *testing.T) {
	inner := fullLeaf(t)
	token, ok := inner.Entry().Key.Raw.(crypto.Signer)
	if !ok {
		t.Fatal("no signer")
	}
	c, err := certstore.NewCertificate(certstore.Entry{Signer: token, Cert: inner.X509(), Chain: inner.Chain()})
	if err != nil {
		t.Fatal(err)
	}
	if !c.HasPrivateKey() || c.PrivateKeyPEM() != nil || c.FingerprintSHA256() != inner.FingerprintSHA256() || c.PublicKeyBits() != 2048 {
		t.Error("fields")
	}
	signers, err := c.Signers()
	if err != nil || len(signers) != 4 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	s := ssh2test.NewServer(nil)
	s.HostKeys = signers
	client := ssh2test.Connect(t, s, &ssh2.ClientConfig{HostKey: gossh.FixedHostKey(inner.PublicKey())})
	if err := client.Rekey(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestConstructors(t *testing.T) {
	const leafName = `E=support@example.com, CN=www.server.com, OU=test, O="Example, Inc.", L=Springfield, S=Illinois, C=US`
	path := filepath.Join(t.TempDir(), "store.pem")
	data := slices.Concat(read(t, "testdata/x509/root.crt"), read(t, "testdata/x509/other.key"), read(t, "testdata/x509/other.crt"), read(t, "testdata/x509/leaf.enc"), read(t, "testdata/x509/leaf.crt"))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	der, pem := read(t, "testdata/x509/leaf.der"), read(t, "testdata/x509/leaf.crt")
	encoded, err := certstore.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pass := keys.Passphrase("testing")
	thumbprint := "Thumbprint=" + encoded.ThumbprintSHA256()
	config := "PersistPFXKey=False\r\nUseInternalSecurityAPI=true\r\n\r\n" + thumbprint + "\r\n"
	const file, blob = certstore.PEMKeyFile, certstore.PEMKeyBlob
	for name, c := range map[string]struct {
		load    func() (*certstore.Certificate, error)
		private bool
	}{
		"file":        {func() (*certstore.Certificate, error) { return certstore.ReadCertificateFile("testdata/x509/leaf.crt") }, false},
		"file in DER": {func() (*certstore.Certificate, error) { return certstore.ReadCertificateFile("testdata/x509/leaf.der") }, false},
		"file with a key": {func() (*certstore.Certificate, error) {
			return certstore.ParseCertificate(slices.Concat(read(t, "testdata/x509/leaf.enc"), pem))
		}, false},
		"encoded":        {func() (*certstore.Certificate, error) { return certstore.ParseCertificate(pem) }, false},
		"encoded in DER": {func() (*certstore.Certificate, error) { return certstore.ParseCertificate(der) }, false},
		"store":          {func() (*certstore.Certificate, error) { return certstore.Load(file, path, pass, "www.server.com") }, true},
		"thumbprint":     {func() (*certstore.Certificate, error) { return certstore.Load(file, path, pass, thumbprint) }, true},
		"store for":      {func() (*certstore.Certificate, error) { return certstore.LoadFor(file, path, pass, pem) }, true},
		"bytes":          {func() (*certstore.Certificate, error) { return certstore.LoadBytes(blob, data, pass, leafName) }, true},
		"bytes for":      {func() (*certstore.Certificate, error) { return certstore.LoadBytesFor(blob, data, pass, der) }, true},
		"config": {func() (*certstore.Certificate, error) {
			return certstore.Source{Type: file, Store: path, Password: pass, Subject: "other", Config: config}.Load()
		}, true},
		"bytes and config": {func() (*certstore.Certificate, error) {
			return certstore.Source{Type: blob, StoreB: data, Password: pass, Config: config}.Load()
		}, true},
		"auto": {func() (*certstore.Certificate, error) {
			return certstore.Source{Store: path, Password: pass, Subject: "OU=test"}.Load()
		}, true},
		"text": {func() (*certstore.Certificate, error) {
			return certstore.Source{Store: string(data), Password: pass, Subject: "OU=test"}.Load()
		}, true},
		"encoded with its key": {func() (*certstore.Certificate, error) {
			return certstore.Source{Encoded: slices.Concat(pem, read(t, "testdata/x509/leaf.enc")), Password: pass}.Load()
		}, true},
		"key password": {func() (*certstore.Certificate, error) {
			return certstore.Source{Store: path, Password: []byte("of the store"), KeyPassword: pass, Subject: "OU=test"}.Load()
		}, true},
	} {
		got, err := c.load()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Subject() != leafName || got.HasPrivateKey() != c.private || !bytes.Equal(got.Encoded(), pem) {
			t.Errorf("%s: %s, private key %v", name, got, got.HasPrivateKey())
		}
		if err := errors.Join(got.Close(), got.Close()); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
	// Without a subject it is the first with a key.
	if c, err := certstore.Load(file, path, pass, ""); err != nil || c.SerialNumber() != "03" || c.Store() != path || c.StoreType() != file {
		t.Errorf("%v, %v", c, err)
	}

	for name, s := range map[string]certstore.Source{
		"no such subject":      {Type: file, Store: path, Password: pass, Subject: "nobody"},
		"key that is not here": {Type: blob, StoreB: read(t, "testdata/x509/other.key"), Encoded: pem},
		"thumbprint":           {Type: file, Store: path, Password: pass, Config: "Thumbprint=" + encoded.ThumbprintMD5()[2:] + "00"},
	} {
		if c, err := s.Load(); !errors.Is(err, certstore.ErrNoMatch) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	for _, config := range []string{"Thumbprint=zz", "Thumbprint", "PersistPFXKey=perhaps", "Unknown=1", "=", "x"} {
		if c, err := (certstore.Source{Store: path, Password: pass, Config: config}).Load(); err == nil {
			t.Errorf("config %q: %v", config, c)
		}
	}
	// What is empty is not what was not given.
	if c, err := certstore.LoadFor(file, path, pass, nil); err == nil {
		t.Errorf("no certificate: %v", c)
	}
	if c, err := certstore.LoadBytes(blob, nil, pass, "*"); err == nil {
		t.Errorf("no store: %v", c)
	}
	for _, data := range [][]byte{nil, []byte("x"), read(t, "testdata/x509/leaf.key"), der[:100], []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")} {
		if c, err := certstore.ParseCertificate(data); err == nil {
			t.Errorf("a certificate: %v", c)
		} else if _, ok := errors.AsType[*certstore.FormatError](err); !ok {
			t.Errorf("%T: %v", err, err)
		}
	}
}
