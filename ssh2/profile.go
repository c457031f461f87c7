package ssh2

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

// A Profile chooses the default algorithms by how old the peers may be: those
// that an empty AlgList stands for, and those that a list with "+", "-" and "^"
// edits. It decides on key exchange, host keys, ciphers, MACs and the
// signatures of users' keys, and on nothing else: key sizes are bounded by
// MinRSABits in every profile, and stronger algorithms come first in each list.
type Profile uint8

const (
	// Modern has the algorithms that are considered safe today. OpenSSH since
	// 6.7 (2014), PuTTY since 0.68 and other software of that age support
	// enough of them.
	Modern Profile = iota
	// Compatible adds algorithms that are not known to be broken but are no
	// first choice, such as the NIST curves for key exchange, for peers that
	// are configured to use only those. None of them uses SHA-1 for a signature
	// or a key exchange, a cipher with blocks of 64 bits, or RC4.
	Compatible
	// Legacy adds everything else that is implemented, weak and broken alike:
	// SHA-1 key exchanges and signatures (ssh-rsa), groups of 1024 bits, DSA,
	// CBC modes, RC4, MD5. A capable attacker on the network can read or change
	// what is sent. Use it only for devices that support nothing better, on a
	// trusted network.
	Legacy
)

// profiles says of each Profile the weakest status of an algorithm in it.
var profiles = []struct {
	name  string
	worst alg.Status
}{
	Modern:     {"modern", alg.Default},
	Compatible: {"compatible", alg.Offered},
	Legacy:     {"legacy", alg.Legacy},
}

// String returns "modern", "compatible" or "legacy".
func (p Profile) String() string {
	if int(p) >= len(profiles) {
		return fmt.Sprintf("profile %d", p)
	}
	return profiles[p].name
}

// UnmarshalText sets p from its name, as in a file of settings.
func (p *Profile) UnmarshalText(name []byte) error {
	for i := range profiles {
		if profiles[i].name == string(name) {
			*p = Profile(i)
			return nil
		}
	}
	return &ConfigError{"profile", fmt.Errorf("%q is none of modern, compatible and legacy", name)}
}

// MarshalText returns the name.
func (p Profile) MarshalText() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

func (p Profile) check() error {
	if int(p) >= len(profiles) {
		return &ConfigError{"profile", fmt.Errorf("%d is unknown", p)}
	}
	return nil
}

// worst returns the weakest status that belongs to p. An unknown profile has
// none, so that nothing is offered.
func (p Profile) worst() alg.Status {
	if int(p) >= len(profiles) {
		return 0
	}
	return profiles[p].worst
}

// profileOf returns the first profile that has algorithms of status s.
func profileOf(s alg.Status) Profile {
	for i, p := range profiles {
		if s <= p.worst {
			return Profile(i)
		}
	}
	return Legacy
}
