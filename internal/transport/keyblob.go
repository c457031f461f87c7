package transport

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// checkKeyBlob looks at the type of an encoded public key before it is parsed,
// and refuses a certificate signed by a certificate, which parsing would
// otherwise follow to any depth that the peer likes (cves 2.19).
func checkKeyBlob(blob []byte, want string) error {
	c := wire.Decoder(blob)
	var typ string
	c.String(&typ)
	if c.Err() != nil {
		return errors.New("key: too short")
	}
	if typ != want {
		return fmt.Errorf("key is of type %+q, negotiated was %s", clip(typ, 64), want)
	}
	if !strings.Contains(typ, "-cert-v0") {
		return nil
	}
	signer, err := certSignerType(blob)
	if err != nil {
		return err
	}
	if strings.Contains(signer, "-cert-v0") {
		return errors.New("certificate: signed by a certificate")
	}
	return nil
}

// certFields is the number of strings between the nonce and the serial number
// of a certificate, by key type (OpenSSH PROTOCOL.certkeys).
func certFields(typ string) int {
	switch {
	case strings.HasPrefix(typ, "ssh-rsa-"):
		return 2 // e, n
	case strings.HasPrefix(typ, "ssh-dss-"):
		return 4 // p, q, g, y
	case strings.HasPrefix(typ, "ecdsa-"):
		return 2 // curve, point
	case strings.HasPrefix(typ, "ssh-ed25519-"):
		return 1 // point
	}
	return -1
}

// certSignerType returns the type of the key that signed a certificate.
func certSignerType(blob []byte) (string, error) {
	var (
		typ, signer  string
		skip, key    []byte
		kind         uint32
		serial, time uint64
	)
	c := wire.Decoder(blob)
	c.String(&typ)
	n := certFields(typ)
	if n < 0 {
		return "", errors.New("certificate: of an unknown type")
	}
	for range 1 + n { // nonce, key
		c.Bytes(&skip)
	}
	c.Uint64(&serial)
	c.Uint32(&kind)
	c.Bytes(&skip)  // key id
	c.Bytes(&skip)  // principals
	c.Uint64(&time) // valid after
	c.Uint64(&time) // valid before
	for range 3 {   // critical options, extensions, reserved
		c.Bytes(&skip)
	}
	c.Bytes(&key)
	if c.Err() != nil {
		return "", errors.New("certificate: too short")
	}
	c = wire.Decoder(key)
	c.String(&signer)
	if c.Err() != nil {
		return "", errors.New("certificate: signing key is malformed")
	}
	return signer, nil
}
