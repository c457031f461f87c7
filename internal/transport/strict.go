package transport

import (
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// StrictKex says what is made of strict key exchange (OpenSSH PROTOCOL 1.10),
// the answer to CVE-2023-48795.
type StrictKex uint8

const (
	// StrictOffer offers it and uses it if the peer offers it too.
	StrictOffer StrictKex = iota
	// StrictOff does not offer it.
	StrictOff
	// StrictOrSafe is StrictOffer; but without it only algorithms that the
	// attack does not work against may be agreed on.
	StrictOrSafe
	// StrictRequire demands it.
	StrictRequire
)

// A StrictKexError means that the peer does not offer strict key exchange and
// the configuration does not do without: at all, or with these algorithms.
type StrictKexError struct {
	Cipher, MAC string // what is not safe without; empty if it is required
}

// Error says which.
func (e *StrictKexError) Error() string {
	if e.Cipher == "" {
		return "ssh2: strict key exchange: peer does not offer it"
	}
	return strings.TrimSpace(fmt.Sprintf("ssh2: strict key exchange: peer does not offer it, and it is not safe to do without for %s %s", e.Cipher, e.MAC))
}

// checkStrict ends the connection if strict key exchange is not in force and
// must be.
func (c *Conn) checkStrict(chosen *alg.Chosen) error {
	if c.strict {
		return nil
	}
	var err *StrictKexError
	switch c.cfg.Strict {
	case StrictOffer, StrictOff:
	case StrictRequire:
		err = &StrictKexError{}
	case StrictOrSafe:
		for _, d := range []alg.Direction{chosen.C2S, chosen.S2C} {
			if truncatable(d) {
				err = &StrictKexError{d.Cipher, d.MAC}
			}
		}
	}
	if err == nil {
		return nil
	}
	c.end(err, ReasonKexFailed, "strict key exchange is required")
	return err
}

// truncatable tells whether packets at the start of a direction can be cut off
// unseen: where no packet depends on those before it but by its sequence number,
// and a changed one still decrypts to something.
func truncatable(d alg.Direction) bool {
	if d.Cipher == "chacha20-poly1305@openssh.com" {
		return true
	}
	cipher, ok := seal.FindCipher(d.Cipher)
	if !ok || !cipher.CBC {
		return false
	}
	mac, ok := seal.FindMAC(d.MAC)
	return ok && mac.EtM
}
