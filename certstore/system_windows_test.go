package certstore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"
	"unsafe" // Windows takes memory by its address

	"golang.org/x/sys/windows"
)

// TestSystemStore: the certificates of a store of Windows, by its name, and no others.
func TestSystemStore(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := "fairlead-test-" + rand.Text()
	if s, err := Open(Machine, name, Options{}); err == nil {
		_ = s.Close()
		t.Error("a store that is not there is open")
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	open := func() windows.Handle {
		h, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE|windows.CERT_STORE_MAXIMUM_ALLOWED_FLAG, uintptr(unsafe.Pointer(text)))
		if err != nil {
			t.Fatal(err) // an administrator has to run this
		}
		return h
	}
	h := open()
	var want [][]byte
	for i := range 3 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "user " + string(rune('a'+i))}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, der)
		c, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
		if err != nil {
			t.Fatal(err)
		}
		if err := windows.CertAddCertificateContextToStore(h, c, windows.CERT_STORE_ADD_NEW, nil); err != nil {
			t.Fatal(err)
		}
		_ = windows.CertFreeCertificateContext(c)
	}
	if err := windows.CertCloseStore(h, 0); err != nil { // Wine writes them down now
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h := open()
		for {
			c, err := windows.CertEnumCertificatesInStore(h, nil)
			if err != nil {
				break
			}
			if windows.CertDeleteCertificateFromStore(c) != nil {
				break
			}
		}
		_ = windows.CertCloseStore(h, 0)
	})
	s, err := Open(Machine, name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for _, c := range s.All() {
		if !slices.ContainsFunc(want, func(der []byte) bool { return bytes.Equal(der, c.X509().Raw) }) {
			t.Errorf("%v is none of them", c.X509().Subject)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d certificates, want %d", n, len(want))
	}
}
