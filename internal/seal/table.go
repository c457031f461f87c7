package seal

import (
	"crypto/md5"  // not broken as a MAC, but off by default
	"crypto/sha1" // likewise
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"iter"

	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // deprecated for new systems: for old peers, and unbroken as a MAC

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

// A Cipher is a row of the table of ciphers. Rows must not be changed.
type Cipher struct {
	alg.Row
	KeyLen     int    // octets of key to derive
	IVLen      int    // octets of initial IV to derive
	Block      int    // packets are a multiple of this many octets
	AEAD       bool   // authenticates by itself; the MAC negotiated is ignored
	CBC        bool   // chains blocks, which makes an Opener without EtM a [Discarder]
	RekeyBytes uint64 // octets in either direction after which to exchange keys anew

	// One of the two is set: aead for a cipher that authenticates, crypt for
	// one to be composed with a MAC.
	aead  func(key, iv []byte) (protector, error)
	crypt newCrypt
}

// A MAC is a row of the table of MACs. Rows must not be changed.
type MAC struct {
	alg.Row
	KeyLen int  // octets of key to derive
	Size   int  // octets added to each packet
	EtM    bool // covers the ciphertext, and the length travels in clear

	// One of the two is set: hash for HMAC, keyed for another kind of MAC.
	hash  func() hash.Hash
	keyed func(key []byte, size int) (authenticator, error)
}

// protector is what the constructors make. Where the cipher keeps state it
// serves one direction only.
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
	// smallBlockRekey is 2^20 blocks of 8 octets, what NIST SP 800-67 Rev. 2
	// §3.3 allows one key of triple DES. RFC 4344 §3.2 would come to 2^16, which
	// it calls too expensive itself, and then falls back on a gigabyte: 2^27,
	// where two equal blocks (2^32 by the birthday bound, CVE-2016-2183) are as
	// likely as 1 in 2^11. Here it is 1 in 2^25.
	smallBlockRekey = 1 << 20 * 8
	// arcfourRekey is the gigabyte of RFC 4253 §9. No bound would repair the
	// biases of RC4.
	arcfourRekey = 1 << 30
)

// ciphers is in the order of preference for machines with AES instructions.
var ciphers = []Cipher{
	{Row: alg.Row{Name: "aes128-gcm@openssh.com", Status: alg.Default, Reference: "RFC 5647; OpenSSH PROTOCOL §1.6"}, KeyLen: 16, IVLen: 12, Block: 16, AEAD: true, RekeyBytes: aesRekey, aead: newGCM},
	{Row: alg.Row{Name: "aes256-gcm@openssh.com", Status: alg.Default, Reference: "RFC 5647; OpenSSH PROTOCOL §1.6"}, KeyLen: 32, IVLen: 12, Block: 16, AEAD: true, RekeyBytes: aesRekey, aead: newGCM},
	{Row: alg.Row{Name: "chacha20-poly1305@openssh.com", Status: alg.Default, Reference: "OpenSSH PROTOCOL.chacha20poly1305"}, KeyLen: 64, Block: 8, AEAD: true, RekeyBytes: chachaRekey, aead: newChaCha},
	{Row: alg.Row{Name: "aes128-ctr", Status: alg.Default, Reference: "RFC 4344 §4"}, KeyLen: 16, IVLen: 16, Block: 16, RekeyBytes: aesRekey, crypt: ctr(newAES)},
	{Row: alg.Row{Name: "aes192-ctr", Status: alg.Default, Reference: "RFC 4344 §4"}, KeyLen: 24, IVLen: 16, Block: 16, RekeyBytes: aesRekey, crypt: ctr(newAES)},
	{Row: alg.Row{Name: "aes256-ctr", Status: alg.Default, Reference: "RFC 4344 §4"}, KeyLen: 32, IVLen: 16, Block: 16, RekeyBytes: aesRekey, crypt: ctr(newAES)},
	// The name of RFC 5647's cipher that some peers have negotiated in OpenSSH's way.
	{Row: alg.Row{Name: "aes128-gcm", Aliases: []string{"aes128-gcm@openssh.com"}, Status: alg.Offered, Reference: "RFC 5647; negotiated as in OpenSSH PROTOCOL §1.6"}, KeyLen: 16, IVLen: 12, Block: 16, AEAD: true, RekeyBytes: aesRekey, aead: newGCM},
	{Row: alg.Row{Name: "aes256-gcm", Aliases: []string{"aes256-gcm@openssh.com"}, Status: alg.Offered, Reference: "RFC 5647; negotiated as in OpenSSH PROTOCOL §1.6"}, KeyLen: 32, IVLen: 12, Block: 16, AEAD: true, RekeyBytes: aesRekey, aead: newGCM},
	{Row: alg.Row{Name: "aes128-cbc", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 16, IVLen: 16, Block: 16, CBC: true, RekeyBytes: aesRekey, crypt: cbc(newAES)},
	{Row: alg.Row{Name: "aes192-cbc", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 24, IVLen: 16, Block: 16, CBC: true, RekeyBytes: aesRekey, crypt: cbc(newAES)},
	{Row: alg.Row{Name: "aes256-cbc", Aliases: []string{"rijndael-cbc@lysator.liu.se"}, Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 32, IVLen: 16, Block: 16, CBC: true, RekeyBytes: aesRekey, crypt: cbc(newAES)},
	{Row: alg.Row{Name: "rijndael-cbc@lysator.liu.se", Aliases: []string{"aes256-cbc"}, Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 32, IVLen: 16, Block: 16, CBC: true, RekeyBytes: aesRekey, crypt: cbc(newAES)},
	{Row: alg.Row{Name: "3des-ctr", Status: alg.Legacy, Reference: "RFC 4344 §4"}, KeyLen: 24, IVLen: 8, Block: 8, RekeyBytes: smallBlockRekey, crypt: ctr(newTripleDES)},
	{Row: alg.Row{Name: "blowfish-ctr", Status: alg.Legacy, Reference: "RFC 4344 §4"}, KeyLen: 32, IVLen: 8, Block: 8, RekeyBytes: smallBlockRekey, crypt: ctr(newBlowfish)},
	{Row: alg.Row{Name: "3des-cbc", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 24, IVLen: 8, Block: 8, CBC: true, RekeyBytes: smallBlockRekey, crypt: cbc(newTripleDES)},
	{Row: alg.Row{Name: "blowfish-cbc", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 16, IVLen: 8, Block: 8, CBC: true, RekeyBytes: smallBlockRekey, crypt: cbc(newBlowfish)},
	{Row: alg.Row{Name: "cast128-cbc", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 16, IVLen: 8, Block: 8, CBC: true, RekeyBytes: smallBlockRekey, crypt: cbc(newCAST128)},
	{Row: alg.Row{Name: "arcfour256", Status: alg.Legacy, Reference: "RFC 4345 §4"}, KeyLen: 32, IVLen: 0, Block: 8, RekeyBytes: arcfourRekey, crypt: arcfour(1536)},
	{Row: alg.Row{Name: "arcfour128", Status: alg.Legacy, Reference: "RFC 4345 §4"}, KeyLen: 16, IVLen: 0, Block: 8, RekeyBytes: arcfourRekey, crypt: arcfour(1536)},
	{Row: alg.Row{Name: "arcfour", Status: alg.Legacy, Reference: "RFC 4253 §6.3"}, KeyLen: 16, IVLen: 0, Block: 8, RekeyBytes: arcfourRekey, crypt: arcfour(0)},
}

// macs is in the order of preference.
var macs = []MAC{
	{Row: alg.Row{Name: "hmac-sha2-256-etm@openssh.com", Status: alg.Default, Reference: "RFC 6668; OpenSSH PROTOCOL §1.5"}, KeyLen: 32, Size: 32, EtM: true, hash: sha256.New},
	{Row: alg.Row{Name: "hmac-sha2-512-etm@openssh.com", Status: alg.Default, Reference: "RFC 6668; OpenSSH PROTOCOL §1.5"}, KeyLen: 64, Size: 64, EtM: true, hash: sha512.New},
	{Row: alg.Row{Name: "hmac-sha2-256", Status: alg.Default, Reference: "RFC 6668"}, KeyLen: 32, Size: 32, hash: sha256.New},
	{Row: alg.Row{Name: "hmac-sha2-512", Status: alg.Default, Reference: "RFC 6668"}, KeyLen: 64, Size: 64, hash: sha512.New},
	{Row: alg.Row{Name: "hmac-sha1-etm@openssh.com", Status: alg.Legacy, Reference: "RFC 4253 §6.4; OpenSSH PROTOCOL §1.5"}, KeyLen: 20, Size: 20, EtM: true, hash: sha1.New},
	{Row: alg.Row{Name: "hmac-sha1", Status: alg.Legacy, Reference: "RFC 4253 §6.4"}, KeyLen: 20, Size: 20, hash: sha1.New},
	{Row: alg.Row{Name: "umac-128-etm@openssh.com", Status: alg.Offered, Reference: "draft-miller-secsh-umac-01; RFC 4418; OpenSSH PROTOCOL §1.5"}, KeyLen: 16, Size: 16, EtM: true, keyed: newUMAC},
	{Row: alg.Row{Name: "umac-128@openssh.com", Status: alg.Offered, Reference: "draft-miller-secsh-umac-01; RFC 4418"}, KeyLen: 16, Size: 16, keyed: newUMAC},
	{Row: alg.Row{Name: "umac-64-etm@openssh.com", Status: alg.Offered, Reference: "draft-miller-secsh-umac-01; RFC 4418; OpenSSH PROTOCOL §1.5"}, KeyLen: 16, Size: 8, EtM: true, keyed: newUMAC},
	{Row: alg.Row{Name: "umac-64@openssh.com", Status: alg.Offered, Reference: "draft-miller-secsh-umac-01; RFC 4418"}, KeyLen: 16, Size: 8, keyed: newUMAC},
	{Row: alg.Row{Name: "hmac-sha2-256-96-etm@openssh.com", Status: alg.Offered, Reference: "draft-dbider-sha2-mac-for-ssh; OpenSSH PROTOCOL §1.5"}, KeyLen: 32, Size: 12, EtM: true, hash: sha256.New},
	{Row: alg.Row{Name: "hmac-sha2-256-96", Status: alg.Offered, Reference: "draft-dbider-sha2-mac-for-ssh"}, KeyLen: 32, Size: 12, hash: sha256.New},
	{Row: alg.Row{Name: "hmac-sha2-512-96-etm@openssh.com", Status: alg.Offered, Reference: "draft-dbider-sha2-mac-for-ssh; OpenSSH PROTOCOL §1.5"}, KeyLen: 64, Size: 12, EtM: true, hash: sha512.New},
	{Row: alg.Row{Name: "hmac-sha2-512-96", Status: alg.Offered, Reference: "draft-dbider-sha2-mac-for-ssh"}, KeyLen: 64, Size: 12, hash: sha512.New},
	{Row: alg.Row{Name: "hmac-sha1-96-etm@openssh.com", Status: alg.Legacy, Reference: "RFC 4253 §6.4; OpenSSH PROTOCOL §1.5"}, KeyLen: 20, Size: 12, EtM: true, hash: sha1.New},
	{Row: alg.Row{Name: "hmac-sha1-96", Status: alg.Legacy, Reference: "RFC 4253 §6.4"}, KeyLen: 20, Size: 12, hash: sha1.New},
	{Row: alg.Row{Name: "hmac-ripemd160-etm@openssh.com", Status: alg.Legacy, Reference: "RFC 2286; named after RFC 4253 §6.4; OpenSSH PROTOCOL §1.5"}, KeyLen: 20, Size: 20, EtM: true, hash: ripemd160.New},
	{Row: alg.Row{Name: "hmac-ripemd160", Status: alg.Legacy, Reference: "RFC 2286; named after RFC 4253 §6.4"}, KeyLen: 20, Size: 20, hash: ripemd160.New},
	{Row: alg.Row{Name: "hmac-ripemd160@openssh.com", Aliases: []string{"hmac-ripemd160"}, Status: alg.Legacy, Reference: "RFC 2286; named after RFC 4253 §6.4"}, KeyLen: 20, Size: 20, hash: ripemd160.New},
	{Row: alg.Row{Name: "hmac-ripemd160-96", Status: alg.Legacy, Reference: "RFC 2286; named after RFC 4253 §6.4"}, KeyLen: 20, Size: 12, hash: ripemd160.New},
	{Row: alg.Row{Name: "hmac-md5-etm@openssh.com", Status: alg.Legacy, Reference: "RFC 4253 §6.4; OpenSSH PROTOCOL §1.5"}, KeyLen: 16, Size: 16, EtM: true, hash: md5.New},
	{Row: alg.Row{Name: "hmac-md5", Status: alg.Legacy, Reference: "RFC 4253 §6.4"}, KeyLen: 16, Size: 16, hash: md5.New},
	{Row: alg.Row{Name: "hmac-md5-96-etm@openssh.com", Status: alg.Legacy, Reference: "RFC 4253 §6.4; OpenSSH PROTOCOL §1.5"}, KeyLen: 16, Size: 12, EtM: true, hash: md5.New},
	{Row: alg.Row{Name: "hmac-md5-96", Status: alg.Legacy, Reference: "RFC 4253 §6.4"}, KeyLen: 16, Size: 12, hash: md5.New},
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
	return build(cipher, mac, key, iv, macKey, false)
}

// NewOpener returns an Opener for what NewSealer, given the same arguments,
// seals.
func NewOpener(cipher, mac string, key, iv, macKey []byte) (Opener, error) {
	return build(cipher, mac, key, iv, macKey, true)
}

func build(cipher, mac string, key, iv, macKey []byte, opening bool) (protector, error) {
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
	f, err := c.crypt(key, iv, opening)
	if err != nil {
		return nil, fmt.Errorf("seal: %s: %w", c.Name, err)
	}
	auth, err := newAuthenticator(m, macKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %s: %w", m.Name, err)
	}
	if m.EtM {
		return &encryptThenMAC{frame{block: c.Block, tag: m.Size, aside: lengthSize}, auth, f}, nil
	}
	e := encryptAndMAC{frame{block: c.Block, tag: m.Size}, auth, f}
	if c.CBC {
		return &cbcAndMAC{e}, nil
	}
	return &e, nil
}
