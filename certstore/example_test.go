package certstore_test

import (
	"errors"
	"fmt"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A server takes its key from a store, whatever its form is.
func ExampleLoad() {
	c, err := certstore.Load(certstore.Auto, "testdata/x509/leaf.crt", nil, "CN=www.server.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Subject())
	fmt.Println(c.PublicKeyAlgorithm(), c.PublicKeyBits(), c.HasPrivateKey())

	// It has no private key; that is in another file.
	c, err = certstore.LoadFor(certstore.Auto, "testdata/x509/leaf.enc", keys.Passphrase("testing"), c.Encoded())
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &ssh2.Server{}
	s.HostKeys, err = c.Signers()
	fmt.Println(c.HasPrivateKey(), len(s.HostKeys), err)
	// Output:
	// E=support@example.com, CN=www.server.com, OU=test, O="Example, Inc.", L=Springfield, S=Illinois, C=US
	// RSA 2048 false
	// true 4 <nil>
}

// A store lists what it holds, in its order.
func ExampleStore_All() {
	s, err := certstore.Open(certstore.Auto, "testdata/x509/other.key", certstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for i, c := range s.All() {
		fmt.Println(i, s.Format(), c)
	}
	_, err = s.Find("CN=somebody else")
	fmt.Println(errors.Is(err, certstore.ErrNoMatch))
	// Output:
	// 0 PEM ecdsa-sha2-nistp256 SHA256:WEKyKGO+iQnetpZ9eL+Wuozp13kkSvNajRIpVYk3F5M
	// true
}
