package keys

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// What is known to exist and is not read says so; what no key of SSH can be is
// refused.
func TestUnsupportedFiles(t *testing.T) {
	// The private file of a security key holds a handle and no key.
	sk := wire.AppendString(nil, gossh.KeyAlgoSKED25519)
	sk = wire.AppendBytes(sk, make([]byte, 32))
	sk = wire.AppendString(sk, "ssh:")
	section := append(make([]byte, 8), sk...)
	h := openSSHFile{cipher: "none", kdf: "none", keys: 1, public: sk, private: append(section, make([]byte, 64)...)}
	skFile := pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: wire.Append([]byte(openSSHMagic), &h)})

	dh, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dhDER, err := x509.MarshalPKCS8PrivateKey(dh)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	smallDER, err := x509.MarshalECPrivateKey(small)
	if err != nil {
		t.Fatal(err)
	}
	one := big.NewInt(1)
	multi, err := asn1.Marshal(pkcs1Key{Version: 1, N: one, E: one, D: one, P: one, Q: one, DP: one, DQ: one, QInv: one, AdditionalPrimeInfo: []asn1.RawValue{asn1.NullRawValue}})
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}) }
	for what, c := range map[string]struct {
		data  []byte
		known bool
	}{
		"security key":        {skFile, true},
		"RSA of three primes": {block("RSA PRIVATE KEY", multi), true},
		"JWK set":             {[]byte(`{"keys":[]}`), true},
		"JWE":                 {[]byte(`{"protected":"eyJ"}`), true},
		"JWK oct":             {[]byte(`{"kty":"oct","k":"AAAA"}`), true},
		"JWK secp256k1":       {[]byte(`{"kty":"EC","crv":"secp256k1"}`), true},
		"JWK X25519":          {[]byte(`{"kty":"OKP","crv":"X25519"}`), true},
		"XML of another kind": {[]byte(`<ECKeyValue/>`), true},
		"PPK of version 1":    {[]byte("PuTTY-User-Key-File-1: ssh-rsa"), true},
		"PPK cipher":          {[]byte("PuTTY-User-Key-File-2: ssh-rsa\nEncryption: rot13\nComment: \nPublic-Lines: 0\nPrivate-Lines: 0\nPrivate-MAC: \n"), true},
		"ssh.com":             {[]byte("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"), true},
		"SSH 1":               {[]byte("SSH PRIVATE KEY FILE FORMAT 1.1\n\x00"), true},
		"X25519":              {block("PRIVATE KEY", dhDER), false},
		"P-224":               {block("EC PRIVATE KEY", smallDER), false},
		"JSON without a key":  {[]byte(`{}`), true},
		"XML without a key":   {[]byte(`<a/>`), true},
	} {
		_, err := Parse(c.data, nil)
		if _, ok := errors.AsType[*FormatError](err); !ok || c.known != errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	pub, err := ParsePublic(sk)
	if err != nil || pub.Type() != gossh.KeyAlgoSKED25519 {
		t.Fatal(err)
	}
	for _, f := range []Format{PKCS8, PEM, JWK, XML} { // which would lose that it is one
		if _, err := pub.Marshal(f); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a security key as %s: %v", f, err)
		}
	}
	if line, err := pub.Marshal(OpenSSH); err != nil || len(line) == 0 {
		t.Error(err)
	}
	if _, err := NewPrivateKey(dh, ""); err == nil {
		t.Error("an X25519 key was wrapped")
	}
}
