package seal

import (
	"crypto/sha1" // not broken as a MAC, but off by default
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"iter"
)

// Status says who may use an algorithm. The zero value is the strictest.
type Status uint8

// The statuses, from off to on.
const (
	Legacy  Status = iota // weak or broken: only if asked for by name
	Offered               // sound, yet only on request or in a wide profile
	Default               // on unless switched off
)

// String returns the status as documentation spells it.
func (s Status) String() string {
	switch s {
	case Default:
		return "default"
	case Offered:
		return "offered"
	}
	return "legacy"
}

// A Cipher is a row of the table of ciphers. Rows must not be changed.
type Cipher struct {
	Name       string // as negotiated
	KeyLen     int    // octets of key to derive
	IVLen      int    // octets of initial IV to derive
	Block      int    // packets are a multiple of this many octets
	AEAD       bool   // authenticates by itself; the MAC negotiated is ignored
	Status     Status
	RekeyBytes uint64 // octets in either direction after which to exchange keys anew
	Reference  string // where it is specified

	// One of the two is set: aead for a cipher that authenticates, crypt for
	// one to be composed with a MAC.
	aead  func(key, iv []byte) (protector, error)
	crypt func(key, iv []byte) (crypt, error)
}

// A MAC is a row of the table of MACs. Rows must not be changed.
type MAC struct {
	Name      string // as negotiated
	KeyLen    int    // octets of key to derive
	Size      int    // octets added to each packet
	EtM       bool   // covers the ciphertext, and the length travels in clear
	Status    Status
	Reference string // where it is specified

	hash func() hash.Hash
}

// protector is an AEAD: its state is the same for both directions.
type protector interface {
	Sealer
	Opener
}

const (
	// aesRekey is 2^32 blocks of 16 octets: RFC 4344 §3.2 allows 2^(L/4) blocks
	// of L bits.
	aesRekey = 1 << 32 * 16
	// chachaRekey is the gigabyte of RFC 4253 §9. ChaCha20 as a keystream has
	// no bound of its own below 2^32 packets, but its specification leans on
	// this one.
	chachaRekey = 1 << 30
)

// ciphers is in the order of preference for machines with AES instructions.
var ciphers = []Cipher{
	{Name: "aes128-gcm@openssh.com", KeyLen: 16, IVLen: 12, Block: 16, AEAD: true, Status: Default, RekeyBytes: aesRekey, Reference: "RFC 5647; OpenSSH PROTOCOL §1.6", aead: newGCM},
	{Name: "aes256-gcm@openssh.com", KeyLen: 32, IVLen: 12, Block: 16, AEAD: true, Status: Default, RekeyBytes: aesRekey, Reference: "RFC 5647; OpenSSH PROTOCOL §1.6", aead: newGCM},
	{Name: "chacha20-poly1305@openssh.com", KeyLen: 64, Block: 8, AEAD: true, Status: Default, RekeyBytes: chachaRekey, Reference: "OpenSSH PROTOCOL.chacha20poly1305", aead: newChaCha},
	{Name: "aes128-ctr", KeyLen: 16, IVLen: 16, Block: 16, Status: Default, RekeyBytes: aesRekey, Reference: "RFC 4344 §4", crypt: newCTR},
	{Name: "aes192-ctr", KeyLen: 24, IVLen: 16, Block: 16, Status: Default, RekeyBytes: aesRekey, Reference: "RFC 4344 §4", crypt: newCTR},
	{Name: "aes256-ctr", KeyLen: 32, IVLen: 16, Block: 16, Status: Default, RekeyBytes: aesRekey, Reference: "RFC 4344 §4", crypt: newCTR},
}

// macs is in the order of preference.
var macs = []MAC{
	{Name: "hmac-sha2-256-etm@openssh.com", KeyLen: 32, Size: 32, EtM: true, Status: Default, Reference: "RFC 6668; OpenSSH PROTOCOL §1.5", hash: sha256.New},
	{Name: "hmac-sha2-512-etm@openssh.com", KeyLen: 64, Size: 64, EtM: true, Status: Default, Reference: "RFC 6668; OpenSSH PROTOCOL §1.5", hash: sha512.New},
	{Name: "hmac-sha2-256", KeyLen: 32, Size: 32, Status: Default, Reference: "RFC 6668", hash: sha256.New},
	{Name: "hmac-sha2-512", KeyLen: 64, Size: 64, Status: Default, Reference: "RFC 6668", hash: sha512.New},
	{Name: "hmac-sha1-etm@openssh.com", KeyLen: 20, Size: 20, EtM: true, Status: Legacy, Reference: "RFC 4253 §6.4; OpenSSH PROTOCOL §1.5", hash: sha1.New},
	{Name: "hmac-sha1", KeyLen: 20, Size: 20, Status: Legacy, Reference: "RFC 4253 §6.4", hash: sha1.New},
}

// Ciphers iterates over the ciphers, the preferred ones first.
func Ciphers() iter.Seq[*Cipher] { return rows(ciphers) }

// MACs iterates over the MACs, the preferred ones first.
func MACs() iter.Seq[*MAC] { return rows(macs) }

// FindCipher returns the row of the cipher called name.
func FindCipher(name string) (*Cipher, bool) {
	for c := range Ciphers() {
		if c.Name == name {
			return c, true
		}
	}
	return nil, false
}

// FindMAC returns the row of the MAC called name.
func FindMAC(name string) (*MAC, bool) {
	for m := range MACs() {
		if m.Name == name {
			return m, true
		}
	}
	return nil, false
}

func rows[T any](table []T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range table {
			if !yield(&table[i]) {
				return
			}
		}
	}
}

// NewSealer returns a Sealer for one direction under newly derived keys (RFC
// 4253 §7.2). key, iv and macKey must be exactly as long as the rows of cipher
// and mac say, and are copied. With an AEAD cipher, mac and macKey are ignored.
func NewSealer(cipher, mac string, key, iv, macKey []byte) (Sealer, error) {
	return build(cipher, mac, key, iv, macKey)
}

// NewOpener returns an Opener for what NewSealer, given the same arguments,
// seals.
func NewOpener(cipher, mac string, key, iv, macKey []byte) (Opener, error) {
	return build(cipher, mac, key, iv, macKey)
}

func build(cipher, mac string, key, iv, macKey []byte) (protector, error) {
	c, ok := FindCipher(cipher)
	if !ok {
		return nil, fmt.Errorf("seal: cipher %q: unknown", cipher)
	}
	if len(key) != c.KeyLen || len(iv) != c.IVLen {
		return nil, fmt.Errorf("seal: %s: key and iv of %d and %d octets: want %d and %d", c.Name, len(key), len(iv), c.KeyLen, c.IVLen)
	}
	if c.AEAD {
		p, err := c.aead(key, iv)
		if err != nil {
			return nil, fmt.Errorf("seal: %s: %w", c.Name, err)
		}
		return p, nil
	}
	m, ok := FindMAC(mac)
	if !ok {
		return nil, fmt.Errorf("seal: mac %q: unknown", mac)
	}
	if len(macKey) != m.KeyLen {
		return nil, fmt.Errorf("seal: %s: key of %d octets: want %d", m.Name, len(macKey), m.KeyLen)
	}
	f, err := c.crypt(key, iv)
	if err != nil {
		return nil, fmt.Errorf("seal: %s: %w", c.Name, err)
	}
	auth := newAuthenticator(m, macKey)
	if m.EtM {
		return &encryptThenMAC{frame{block: c.Block, tag: m.Size, aside: lengthSize}, auth, f}, nil
	}
	return &encryptAndMAC{frame{block: c.Block, tag: m.Size}, auth, f}, nil
}
