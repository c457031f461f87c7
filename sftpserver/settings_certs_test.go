package sftpserver_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// pemKey makes a private key of one kind, as PEM.
func pemKey(tb testing.TB, kind string) string {
	tb.Helper()
	var key any
	var err error
	if kind == gossh.KeyAlgoED25519 {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// hostKeyOf is what kind of host key a client gets that asks for alg.
func hostKeyOf(tb testing.TB, s *sftpserver.Server, alg string) string {
	tb.Helper()
	var kind string
	c, err := ssh2.Dial(tb.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		Config: ssh2.Config{HostKeyAlgorithms: ssh2.AlgList(alg)},
		User:   "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")},
		HostKey: func(_ string, _ net.Addr, key gossh.PublicKey) error { kind = key.Type(); return nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	return kind
}

// configure carries out settings that must be taken.
func configure(tb testing.TB, s *sftpserver.Server, exprs ...string) {
	tb.Helper()
	for _, expr := range exprs {
		if _, err := s.Config(expr); err != nil {
			tb.Fatalf("%.30q: %v", expr, err)
		}
	}
}

// TestHostKeySettings: one host key by SSHCertStore, one by AltSSHCertStore, as the manual of the component has it; a
// client gets the one whose algorithm it asks for.
func TestHostKeySettings(t *testing.T) {
	s := sftpserver.New()
	s.UserAuth = accept
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	file := filepath.Join(t.TempDir(), "host.pem")
	if err := os.WriteFile(file, []byte(pemKey(t, gossh.KeyAlgoECDSA256)), 0o600); err != nil {
		t.Fatal(err)
	}
	configure(t, s, "SSHCertStoreType=6", "SSHCertStore="+file, "SSHCertSubject=*",
		"AltSSHCertCount =1", "AltSSHCertStoreType[0]=7", "AltSSHCertStore[0]="+pemKey(t, gossh.KeyAlgoED25519), "AltSSHCertSubject[0]=*")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, alg := range []string{gossh.KeyAlgoED25519, gossh.KeyAlgoECDSA256} {
		if got := hostKeyOf(t, s, alg); got != alg {
			t.Errorf("asked for %s, got %s", alg, got)
		}
	}
	for name, want := range map[string]string{
		"SSHCertStoreType": "6", "SSHCertStore": file, "SSHCertSubject": "*", "SSHCertEncoded": "", "SSHCertStorePassword": "",
		"AltSSHCertCount": "1", "AltSSHCertStoreType[0]": "7", "AltSSHCertSubject[0]": "*", "AltSSHCertStorePassword[0]": "",
	} {
		if got, err := s.Config(name); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestHostKeyFiles: SSHCert has files, whatever they hold, on one line or several.
func TestHostKeyFiles(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for name, kind := range map[string]string{one: gossh.KeyAlgoED25519, two: gossh.KeyAlgoECDSA256} {
		if err := os.WriteFile(name, []byte(pemKey(t, kind)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := sftpserver.New()
	s.UserAuth = accept
	if err := s.LoadSettings(strings.NewReader("LocalHost 127.0.0.1\nLocalPort 0\nHostKey "+one+"\nHostKey "+two+"\n"), "keys.conf"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Config("SSHCert"); got != one+","+two || err != nil {
		t.Errorf("SSHCert = %q, %v", got, err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, alg := range []string{gossh.KeyAlgoED25519, gossh.KeyAlgoECDSA256} {
		if got := hostKeyOf(t, s, alg); got != alg {
			t.Errorf("asked for %s, got %s", alg, got)
		}
	}
}

// TestHostKeySettingsLate: the order does not matter if no subject is set, and what was loaded is not used any more
// once its source changes.
func TestHostKeySettingsLate(t *testing.T) {
	s := sftpserver.New()
	s.UserAuth = accept
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	configure(t, s, "SSHCertStore="+pemKey(t, gossh.KeyAlgoECDSA256), "SSHCertSubject=*", "SSHCertStoreType=cstPEMKeyBlob", "SSHCertStore="+pemKey(t, gossh.KeyAlgoED25519))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := hostKeyOf(t, s, gossh.KeyAlgoED25519+","+gossh.KeyAlgoECDSA256); got != gossh.KeyAlgoED25519 {
		t.Errorf("host key %s", got)
	}
}

// TestHostKeySettingsFail: what cannot be loaded is an error at once, or at the latest at the start, and says no
// password.
func TestHostKeySettingsFail(t *testing.T) {
	s := sftpserver.New()
	for _, expr := range []string{"AltSSHCertStore[0]=x", "AltSSHCertSubject[0]", "SSHCertSubject=*", "SSHCert=/does/not/exist"} {
		if _, err := s.Config(expr); err == nil {
			t.Errorf("%s: no error", expr)
		}
	}
	var bad *settings.ValueError
	if _, err := s.Config("SSHCertStoreType=20"); !errors.As(err, &bad) {
		t.Error(err)
	}
	configure(t, s, "SSHCertSubject=", "AltSSHCertCount=1", "AltSSHCertStorePassword[0]=hunter2", "AltSSHCertStoreType[0]=2", "AltSSHCertStore[0]=/does/not/exist")
	if _, err := s.Config("AltSSHCertSubject[0]=*"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, sftpserver.ErrNoHostKey) || sftpserver.ErrorCode(err) != 1301 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("start: %v", err)
	}
	if got, err := s.Config("AltSSHCertStorePassword[0]"); got != "hunter2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	configure(t, s, "AltSSHCertCount=0", "SSHCertStorePassword=hunter2", "SSHCertStore=hunter3")
	var printed strings.Builder
	if err := sftpserver.Settings().Print(s, &printed); err != nil || strings.Contains(printed.String(), "hunter") {
		t.Errorf("%v: printed:\n%s", err, printed.String())
	}
	configure(t, s, "SSHCertStore=")
	if err := s.Start(t.Context()); !errors.Is(err, sftpserver.ErrNoHostKey) {
		t.Errorf("start: %v", err)
	}
}

// TestHostKeyEncoded: of two keys in a store, that of the certificate given is taken.
func TestHostKeyEncoded(t *testing.T) {
	one, two := pemKey(t, gossh.KeyAlgoED25519), pemKey(t, gossh.KeyAlgoECDSA256)
	block, _ := pem.Decode([]byte(two))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "host"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := sftpserver.New()
	s.UserAuth = accept
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	configure(t, s, "SSHCertStoreType=7", "SSHCertStore="+one+two, "SSHCertEncoded="+cert)
	if got, err := s.Config("SSHCertEncoded"); got != cert || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := hostKeyOf(t, s, gossh.KeyAlgoED25519+","+gossh.KeyAlgoECDSA256); got != gossh.KeyAlgoECDSA256 {
		t.Errorf("host key %s", got)
	}
}
