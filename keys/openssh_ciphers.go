package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // 3des-cbc and des-cbc keys of old are read
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // bcrypt is made of it
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // deprecated in favour of chacha20poly1305, whose MAC covers other octets than OpenSSH's
)

// openSSHCipher is a cipher of private keys. The sizes are in octets; what seal
// returns and open takes ends in the tag.
type openSSHCipher struct {
	name                string
	key, iv, block, tag int
	seal                func(key, iv, plain []byte) ([]byte, error)
	open                func(key, iv, sealed []byte) ([]byte, error)
}

// openSSHCiphers are all that OpenSSH can write, its default first.
var openSSHCiphers = []openSSHCipher{
	ctrCipher("aes256-ctr", 32),
	ctrCipher("aes192-ctr", 24),
	ctrCipher("aes128-ctr", 16),
	gcmCipher("aes256-gcm@openssh.com", 32),
	gcmCipher("aes128-gcm@openssh.com", 16),
	{"chacha20-poly1305@openssh.com", 64, 0, 8, poly1305.TagSize, chachaSeal, chachaOpen},
	cbcCipher("aes256-cbc", 32, aes.NewCipher),
	cbcCipher("aes192-cbc", 24, aes.NewCipher),
	cbcCipher("aes128-cbc", 16, aes.NewCipher),
	cbcCipher("3des-cbc", 24, des.NewTripleDESCipher),
}

func openSSHCipherNames() []string {
	out := make([]string, 0, len(openSSHCiphers))
	for _, c := range openSSHCiphers {
		out = append(out, c.name)
	}
	return out
}

// findOpenSSHCipher returns the row of that name, nil if there is none.
func findOpenSSHCipher(name string) *openSSHCipher {
	i := slices.IndexFunc(openSSHCiphers, func(c openSSHCipher) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &openSSHCiphers[i]
}

func ctrCipher(name string, key int) openSSHCipher {
	both := func(key, iv, p []byte) ([]byte, error) {
		b, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		out := make([]byte, len(p))
		cipher.NewCTR(b, iv).XORKeyStream(out, p)
		return out, nil
	}
	return openSSHCipher{name, key, aes.BlockSize, aes.BlockSize, 0, both, both}
}

// newBlock makes a block cipher.
type newBlock = func(key []byte) (cipher.Block, error)

func cbcCipher(name string, key int, block newBlock) openSSHCipher {
	size := aes.BlockSize
	if key == 24 && name == "3des-cbc" {
		size = des.BlockSize
	}
	return openSSHCipher{
		name, key, size, size, 0,
		func(key, iv, p []byte) ([]byte, error) { return cbc(block, cipher.NewCBCEncrypter, key, iv, p) },
		func(key, iv, p []byte) ([]byte, error) { return cbc(block, cipher.NewCBCDecrypter, key, iv, p) },
	}
}

var errLength = errors.New("not a multiple of the block size")

// cbc runs p through a block cipher in CBC mode, in either direction.
func cbc(block newBlock, mode func(cipher.Block, []byte) cipher.BlockMode, key, iv, p []byte) ([]byte, error) {
	b, err := block(key)
	if err != nil {
		return nil, err
	}
	if len(iv) != b.BlockSize() || len(p)%b.BlockSize() != 0 {
		return nil, errLength
	}
	out := make([]byte, len(p))
	mode(b, iv).CryptBlocks(out, p)
	return out, nil
}

func gcmCipher(name string, key int) openSSHCipher {
	aead := func(key []byte) (cipher.AEAD, error) {
		b, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(b)
	}
	return openSSHCipher{
		name, key, 12, aes.BlockSize, 16,
		func(key, iv, p []byte) ([]byte, error) {
			a, err := aead(key)
			if err != nil {
				return nil, err
			}
			return a.Seal(nil, iv, p, nil), nil
		},
		func(key, iv, p []byte) ([]byte, error) {
			a, err := aead(key)
			if err != nil {
				return nil, err
			}
			return a.Open(nil, iv, p, nil)
		},
	}
}

// chachaStream is the cipher of PROTOCOL.chacha20poly1305 for packet number
// zero without a length in front: of the two keys only the first is used. It
// returns the stream at block 1 and the key of the MAC, which is block 0.
func chachaStream(key []byte) (*chacha20.Cipher, *[32]byte, error) {
	var nonce [chacha20.NonceSize]byte
	s, err := chacha20.NewUnauthenticatedCipher(key[:32], nonce[:])
	if err != nil {
		return nil, nil, err
	}
	var once [32]byte
	s.XORKeyStream(once[:], once[:])
	s.SetCounter(1)
	return s, &once, nil
}

func chachaSeal(key, _, p []byte) ([]byte, error) {
	s, once, err := chachaStream(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(p), len(p)+poly1305.TagSize)
	s.XORKeyStream(out, p)
	var tag [poly1305.TagSize]byte
	poly1305.Sum(&tag, out, once)
	return append(out, tag[:]...), nil
}

var errTag = errors.New("wrong tag")

func chachaOpen(key, _, p []byte) ([]byte, error) {
	s, once, err := chachaStream(key)
	if err != nil {
		return nil, err
	}
	n := len(p) - poly1305.TagSize
	if n < 0 || !poly1305.Verify((*[poly1305.TagSize]byte)(p[n:]), p[:n], once) { // in constant time
		return nil, errTag
	}
	out := make([]byte, n)
	s.XORKeyStream(out, p[:n])
	return out, nil
}

// bcryptPBKDF is OpenSSH's key derivation: PBKDF2 over a hash made of bcrypt's
// expensive key schedule, with the octets of its blocks interleaved.
func bcryptPBKDF(pass, salt []byte, rounds, n int) ([]byte, error) {
	const size = 32
	switch {
	case len(pass) == 0 || len(salt) == 0 || len(salt) > 1<<16:
		return nil, errors.New("no passphrase, no salt or too much of it")
	case rounds < 1 || n < 1 || n > size*size:
		return nil, errors.New("out of range")
	}
	blocks := (n + size - 1) / size
	passHash := sha512.Sum512(pass)
	out := make([]byte, blocks*size)
	h := sha512.New()
	for block := range blocks {
		h.Reset()
		h.Write(salt)
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(block+1)))
		u, err := bcryptHash(passHash[:], h.Sum(nil))
		if err != nil {
			return nil, err
		}
		sum := u
		for range rounds - 1 {
			next := sha512.Sum512(u[:])
			if u, err = bcryptHash(passHash[:], next[:]); err != nil {
				return nil, err
			}
			for i := range sum {
				sum[i] ^= u[i]
			}
		}
		for i, b := range sum {
			out[i*blocks+block] = b
		}
	}
	return out[:n], nil
}

// bcryptHash is 64 rounds of the key schedule and 64 encryptions of a fixed
// text, whose words come out in little endian.
func bcryptHash(pass, salt []byte) ([32]byte, error) {
	var out [32]byte
	copy(out[:], "OxychromaticBlowfishSwatDynamite")
	c, err := blowfish.NewSaltedCipher(pass, salt)
	if err != nil {
		return out, err
	}
	for range 64 {
		blowfish.ExpandKey(salt, c)
		blowfish.ExpandKey(pass, c)
	}
	for i := 0; i < len(out); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(out[i:], out[i:])
		}
	}
	for i := 0; i < len(out); i += 4 {
		binary.LittleEndian.PutUint32(out[i:], binary.BigEndian.Uint32(out[i:]))
	}
	return out, nil
}
