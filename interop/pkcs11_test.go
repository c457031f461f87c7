package interop

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// softHSM is SoftHSM with tokens of its own.
type softHSM struct {
	library string
	conf    string
}

const (
	tokenPIN = "1234"
	tokenSO  = "12345678"
)

// newSoftHSM needs SoftHSM and OpenSC's pkcs11-tool (Debian: softhsm2, opensc).
func newSoftHSM(t *testing.T) *softHSM {
	t.Helper()
	h := &softHSM{}
	for _, p := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(p); err == nil {
			h.library = p
			break
		}
	}
	if h.library == "" {
		missingPeer(t, "SoftHSM", errors.New("no libsofthsm2.so"))
	}
	for _, tool := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingPeer(t, "SoftHSM", err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.conf = filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(h.conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", h.conf)
	return h
}

func (h *softHSM) run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func (h *softHSM) initToken(t *testing.T, label string) {
	t.Helper()
	h.run(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", tokenPIN, "--so-pin", tokenSO)
}

func (h *softHSM) tool(t *testing.T, label string, args ...string) {
	t.Helper()
	h.run(t, "pkcs11-tool", append([]string{"--module", h.library, "--token-label", label, "--login", "--pin", tokenPIN}, args...)...)
}

// uri is a location with the PIN in it; extra are further path attributes.
func (h *softHSM) uri(label, extra string) string {
	return "pkcs11:token=" + url.PathEscape(label) + extra + "?module-path=" + h.library + "&pin-value=" + tokenPIN
}

// tokenKeys are the keys that the token makes.
var tokenKeys = []struct{ label, id, kind, algorithm string }{
	{"rsa", "01", "rsa:2048", gossh.KeyAlgoRSA},
	{"p256", "02", "EC:prime256v1", gossh.KeyAlgoECDSA256},
	{"p384", "03", "EC:secp384r1", gossh.KeyAlgoECDSA384},
	{"p521", "04", "EC:secp521r1", gossh.KeyAlgoECDSA521},
	{"ed25519", "05", "EC:edwards25519", gossh.KeyAlgoED25519},
}

func openToken(t *testing.T, location string, o certstore.Options) *certstore.Store {
	t.Helper()
	s, err := certstore.Open(certstore.PKCS11, location, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// verifies makes a signature in SSH's form and checks it with x/crypto.
func verifies(k gossh.Signer) error {
	data := []byte("what is signed")
	algorithms := []string{k.PublicKey().Type()}
	if algorithms[0] == gossh.KeyAlgoRSA {
		algorithms = []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSA}
	}
	for _, a := range algorithms {
		s, ok := k.(gossh.AlgorithmSigner)
		if !ok {
			return fmt.Errorf("%T signs with no algorithm", k)
		}
		sig, err := s.SignWithAlgorithm(rand.Reader, data, a)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		if err := k.PublicKey().Verify(data, sig); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	return nil
}

func TestSoftHSM(t *testing.T) {
	h := newSoftHSM(t)
	const label = "Fairlead token"
	h.initToken(t, label)
	for _, k := range tokenKeys {
		h.tool(t, label, "--keypairgen", "--key-type", k.kind, "--label", k.label, "--id", k.id, "--usage-sign")
	}

	t.Run("keys", func(t *testing.T) {
		s := openToken(t, h.library, certstore.Options{Password: keys.Passphrase(tokenPIN)}) // the path alone
		if s.Len() != len(tokenKeys) || s.Format() != "PKCS11" {
			t.Errorf("%d entries in %s, want %d", s.Len(), s.Format(), len(tokenKeys))
		}
		for _, k := range tokenKeys {
			c, err := s.Find(k.label)
			if err != nil {
				t.Error(err)
				continue
			}
			signer, err := c.Signer()
			if err != nil {
				t.Error(err)
				continue
			}
			if got := signer.PublicKey().Type(); got != k.algorithm {
				t.Errorf("%s is a key of type %s", k.label, got)
			}
			if err := verifies(signer); err != nil {
				t.Errorf("%s: %v", k.label, err)
			}
			if c.Entry().Key != nil {
				t.Errorf("%s: the private key came out of the token", k.label)
			}
		}
	})

	t.Run("selection", func(t *testing.T) {
		for extra, n := range map[string]int{
			"": len(tokenKeys), ";object=p256": 1, ";id=%01": 1, ";id=%01;object=p256": 0, ";type=private": len(tokenKeys), ";type=cert": 0,
			";type=public": len(tokenKeys), ";manufacturer=SoftHSM%20project;model=SoftHSM%20v2": len(tokenKeys), ";library-manufacturer=SoftHSM": len(tokenKeys),
		} {
			s := openToken(t, h.uri(label, extra), certstore.Options{})
			if s.Len() != n {
				t.Errorf("%q: %d entries, want %d", extra, s.Len(), n)
			}
			for _, c := range s.All() {
				if strings.Contains(c.Store(), tokenPIN) {
					t.Errorf("the place of a key has the PIN in it: %s", c.Store())
				}
			}
			if err := s.Close(); err != nil {
				t.Errorf("%q: close: %v", extra, err)
			}
		}
		for _, extra := range []string{";serial=none", ";slot-id=4711", ";library-version=99", ";slot-description=none"} {
			if _, err := certstore.Open(certstore.PKCS11, h.uri(label, extra), certstore.Options{}); !errors.Is(err, certstore.ErrNoMatch) {
				t.Errorf("%q: %v", extra, err)
			}
		}
		if _, err := certstore.Open(certstore.PKCS11, h.uri("another", ""), certstore.Options{}); !errors.Is(err, certstore.ErrNoMatch) {
			t.Errorf("a token that is not there: %v", err)
		}
	})

	t.Run("pin", func(t *testing.T) {
		without := strings.TrimSuffix(h.uri(label, ""), "&pin-value="+tokenPIN)
		refused := func(what, location string, o certstore.Options, wrong bool) {
			t.Helper()
			_, err := certstore.Open(certstore.PKCS11, location, o)
			if e, ok := errors.AsType[*certstore.PasswordError](err); !ok || e.Wrong != wrong || e.Format != "PKCS11" {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("no PIN", without, certstore.Options{}, false)
		refused("a wrong PIN", without, certstore.Options{Password: keys.Passphrase("4321")}, true)
		refused("a wrong PIN in place of the URI's", h.uri(label, ""), certstore.Options{Password: keys.Passphrase("4321")}, true)
		file := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(file, []byte(tokenPIN+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		openToken(t, without+"&pin-source=file:"+file, certstore.Options{})
		asked := 0
		s := openToken(t, without, certstore.Options{Ask: func(alias string) (keys.Passphrase, error) {
			asked++
			return keys.Passphrase(tokenPIN), nil
		}})
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		// A token that is logged in does not look at the PIN again. We do.
		refused("a wrong PIN while logged in", without, certstore.Options{Password: keys.Passphrase("4321")}, true)
		c, err := s.Find("rsa")
		if err != nil {
			t.Fatal(err)
		}
		if signer, err := c.Signer(); err != nil {
			t.Error(err)
		} else if err := verifies(signer); err != nil {
			t.Errorf("after another's wrong PIN: %v", err)
		}
	})

	t.Run("close", func(t *testing.T) {
		signer := func(s *certstore.Store) gossh.Signer {
			t.Helper()
			c, err := s.Find("p256")
			if err != nil {
				t.Fatal(err)
			}
			k, err := c.Signer()
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		one, two := openToken(t, h.uri(label, ""), certstore.Options{}), openToken(t, h.uri(label, ""), certstore.Options{})
		k1, k2 := signer(one), signer(two)
		if err := errors.Join(verifies(k1), verifies(k2)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(one.Close(), one.Close()); err != nil {
			t.Error(err)
		}
		if err := verifies(k1); err == nil {
			t.Error("the key of a closed store signs")
		}
		if err := verifies(k2); err != nil {
			t.Errorf("the other store: %v", err)
		}
		// A failed signature ends its session and nothing else.
		c, err := two.Find("p256")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Entry().Signer.Sign(nil, make([]byte, 7), crypto.SHA256); err == nil {
			t.Error("seven octets are signed as a digest")
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if err := verifies(k2); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		// Closed in the midst of signatures: each is made or refused.
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					if verifies(k2) != nil {
						return
					}
				}
				t.Error("the key still signs")
			})
		}
		if err := two.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := verifies(signer(openToken(t, h.uri(label, ""), certstore.Options{}))); err != nil {
			t.Errorf("opened again: %v", err)
		}
	})

	t.Run("host key", func(t *testing.T) {
		s := openToken(t, h.uri(label, ""), certstore.Options{})
		for _, k := range tokenKeys {
			c, err := s.Find(k.label)
			if err != nil {
				t.Error(err)
				continue
			}
			signer, err := c.Signer()
			if err != nil {
				t.Error(err)
				continue
			}
			addr := serveOurs(t, &ssh2.Server{HostKeys: []gossh.Signer{signer}, Session: whoami, Auth: ssh2.ServerAuth{}})
			seen := false
			_, err = gossh.Dial("tcp", addr.String(), &gossh.ClientConfig{User: userName, HostKeyCallback: func(_ string, _ net.Addr, got gossh.PublicKey) error {
				seen = got.Type() == k.algorithm && string(got.Marshal()) == string(signer.PublicKey().Marshal())
				return nil
			}})
			if !seen {
				t.Errorf("%s: %v", k.label, err)
			}
		}
	})

	t.Run("certificate", func(t *testing.T) {
		s := openToken(t, h.uri(label, ";object=p384"), certstore.Options{})
		c, err := s.Find("*")
		if err != nil {
			t.Fatal(err)
		}
		k := c.Entry().Signer
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "token.example.com"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "cert.der")
		if err := os.WriteFile(file, der, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		h.tool(t, label, "--write-object", file, "--type", "cert", "--id", "03", "--label", "the certificate")
		s = openToken(t, h.uri(label, ";id=%03"), certstore.Options{})
		if s.Len() != 1 {
			t.Fatalf("%d entries, want key and certificate as one", s.Len())
		}
		c, err = s.Find("CN=token.example.com")
		if err != nil {
			t.Fatal(err)
		}
		signers, err := c.Signers()
		if err != nil {
			t.Fatal(err)
		}
		if err := verifies(signers[0]); err != nil {
			t.Error(err)
		}
		if len(signers) < 2 {
			t.Errorf("%d kinds of host keys, want those of X.509 too", len(signers))
		}
	})

	t.Run("two tokens", func(t *testing.T) {
		h.initToken(t, "Another token")
		_, err := certstore.Open(certstore.PKCS11, h.library, certstore.Options{Password: keys.Passphrase(tokenPIN)})
		if e, ok := errors.AsType[*certstore.FormatError](err); !ok || !strings.Contains(e.Error(), label) || !strings.Contains(e.Error(), "Another token") {
			t.Errorf("%v, want the names of both", err)
		}
		openToken(t, h.uri("Another token", ""), certstore.Options{})
	})

	t.Run("PIN each time", func(t *testing.T) {
		h.tool(t, label, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "always", "--id", "0a", "--usage-sign", "--always-auth")
		s := openToken(t, h.uri(label, ";object=always"), certstore.Options{})
		c, err := s.Find("*")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := c.Signer()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := verifies(signer); err != nil {
				t.Error(err)
			}
		}
	})
}
