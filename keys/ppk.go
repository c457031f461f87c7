package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // version 2 is defined with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// PuTTY's key files: appendix C of PuTTY's manual.

// ppk is a file as it is written.
type ppk struct {
	version    int
	algorithm  string
	encryption string
	comment    string
	public     []byte
	kdf        string // version 3 with encryption
	memory     uint32 // KiB
	passes     uint32
	lanes      uint32
	salt       []byte
	private    []byte
	mac        []byte
}

// ppkLines reads "Name: value" lines.
type ppkLines struct {
	rest []byte
	err  error
}

func (l *ppkLines) next() string {
	if l.err == nil && len(l.rest) == 0 {
		l.err = bad("", "ends too early")
	}
	if l.err != nil {
		return ""
	}
	line, rest, _ := bytes.Cut(l.rest, []byte("\n"))
	l.rest = rest
	return strings.TrimRight(string(line), "\r")
}

// field reads the line of that name.
func (l *ppkLines) field(name string) string {
	line := l.next()
	v, ok := strings.CutPrefix(line, name+": ")
	if !ok {
		if v, ok = strings.CutPrefix(line, name+":"); !ok || v != "" {
			if l.err == nil {
				l.err = bad(name, "line is missing")
			}
			return ""
		}
	}
	return v
}

func (l *ppkLines) fail(where string, err error) {
	if l.err == nil && err != nil {
		l.err = &FormatError{Where: where, Err: err}
	}
}

func (l *ppkLines) number(name string, most uint64) uint32 {
	n, err := strconv.ParseUint(l.field(name), 10, 32)
	if err == nil && n > most {
		err = errNumber
	}
	l.fail(name, err)
	return uint32(n)
}

func (l *ppkLines) hex(name string) []byte {
	p, err := hex.DecodeString(l.field(name))
	l.fail(name, err)
	return p
}

// blob reads a count and as many lines of base64.
func (l *ppkLines) blob(name string) []byte {
	var b strings.Builder
	for range l.number(name+"-Lines", maxFile/64) {
		if l.err != nil {
			return nil
		}
		b.WriteString(l.next())
	}
	p, err := base64.StdEncoding.DecodeString(b.String())
	l.fail(name+"-Lines", err)
	return p
}

func decodePPK(f *file) (*ppk, gossh.PublicKey, error) {
	l := &ppkLines{rest: f.text}
	k := &ppk{version: 3}
	if startsWith("PuTTY-User-Key-File-2:")(f) {
		k.version = 2
	}
	k.algorithm = l.field("PuTTY-User-Key-File-" + strconv.Itoa(k.version))
	k.encryption = l.field("Encryption")
	k.comment = l.field("Comment")
	k.public = l.blob("Public")
	if k.version == 3 && k.encryption != "none" && l.err == nil {
		k.kdf = l.field("Key-Derivation")
		k.memory = l.number("Argon2-Memory", 1<<31)
		k.passes = l.number("Argon2-Passes", 1<<31)
		k.lanes = l.number("Argon2-Parallelism", 255)
		k.salt = l.hex("Argon2-Salt")
	}
	k.private = l.blob("Private")
	k.mac = l.hex("Private-MAC")
	if l.err != nil {
		return nil, nil, l.err
	}
	if k.encryption != "none" && k.encryption != "aes256-cbc" {
		return nil, nil, unsupported("Encryption", clip(k.encryption))
	}
	pub, err := gossh.ParsePublicKey(k.public)
	if err == nil && pub.Type() != k.algorithm {
		err = fmt.Errorf("key of type %s in a file of type %+q", pub.Type(), clip(k.algorithm))
	}
	if err != nil {
		return nil, nil, &FormatError{Where: "Public-Lines", Err: err}
	}
	return k, pub, nil
}

// ppkKeys derives cipher key, vector and MAC key.
func (k *ppk) keys(pass []byte, l Limits) (key, iv, mac []byte, err error) {
	if k.version == 2 {
		m := sha1.Sum(slices.Concat([]byte("putty-private-key-file-mac-key"), pass))
		k0 := sha1.Sum(slices.Concat([]byte{0, 0, 0, 0}, pass))
		k1 := sha1.Sum(slices.Concat([]byte{0, 0, 0, 1}, pass))
		return slices.Concat(k0[:], k1[:])[:32], make([]byte, aes.BlockSize), m[:], nil
	}
	if k.encryption == "none" {
		return nil, nil, nil, nil
	}
	derive := argon2.IDKey
	switch k.kdf {
	case "Argon2id":
	case "Argon2i":
		derive = argon2.Key
	default: // Argon2d is not in x/crypto
		return nil, nil, nil, unsupported("Key-Derivation", clip(k.kdf))
	}
	if err := within("Argon2-Parallelism", k.lanes, 255); err != nil {
		return nil, nil, nil, err
	}
	if err := within("Argon2-Memory", k.memory, 1<<31); err != nil {
		return nil, nil, nil, err
	}
	// Less than 8 KiB for each lane is not what is taken (RFC 9106 section 3.2).
	octets := max(int64(k.memory), 8*int64(k.lanes)) << 10
	if err := within("Argon2-Memory in octets", octets, l.Memory); err != nil {
		return nil, nil, nil, err
	}
	if err := within("Argon2-Passes", int64(k.passes), l.MemoryPasses/octets); err != nil {
		return nil, nil, nil, err
	}
	out := derive(pass, k.salt, k.passes, k.memory, uint8(k.lanes), 80)
	return out[:32], out[32:48], out[48:], nil
}

// sum is the MAC over everything in the file that matters.
func (k *ppk) sum(macKey, plain []byte) []byte {
	h := map[int]func() hash.Hash{2: sha1.New, 3: sha256.New}[k.version]
	m := hmac.New(h, macKey)
	p := wire.AppendString(nil, k.algorithm)
	p = wire.AppendString(p, k.encryption)
	p = wire.AppendString(p, k.comment)
	p = wire.AppendBytes(p, k.public)
	p = wire.AppendBytes(p, plain)
	m.Write(p)
	return m.Sum(nil)
}

func parsePPK(f *file, o opener) (crypto.PrivateKey, string, error) {
	k, pub, err := decodePPK(f)
	if err != nil {
		return nil, "", err
	}
	encrypted := k.encryption != "none"
	var pass []byte
	if encrypted {
		if pass, err = o.need(pub); err != nil {
			return nil, "", err
		}
	}
	key, iv, macKey, err := k.keys(pass, o.limits)
	if err != nil {
		return nil, "", err
	}
	plain := k.private
	if encrypted {
		if plain, err = cbc(aes.NewCipher, cipher.NewCBCDecrypter, key, iv, k.private); err != nil {
			return nil, "", &FormatError{Where: "Private-Lines", Err: err}
		}
	}
	if !hmac.Equal(k.sum(macKey, plain), k.mac) { // in constant time
		if encrypted {
			return nil, "", wrong(pub)
		}
		return nil, "", bad("Private-MAC", "does not fit the file")
	}
	raw, err := ppkPrivate(pub, plain)
	if err == nil {
		err = samePublic(raw, pub)
	}
	if err != nil {
		return nil, "", &FormatError{Where: "Private-Lines", Err: err}
	}
	return raw, k.comment, nil
}

// ppkNumbers is the private section: the numbers that the public key lacks.
type ppkNumbers struct{ list []**big.Int }

// Layout codes the numbers. What follows is padding.
func (n *ppkNumbers) Layout(c *wire.Coder) {
	for _, v := range n.list {
		mpint(c, v)
	}
	if c.Decoding() {
		var padding []byte
		c.Rest(&padding)
	}
}

func ppkPrivate(pub gossh.PublicKey, plain []byte) (crypto.PrivateKey, error) {
	raw, err := rawPublic(pub)
	if err != nil {
		return nil, err
	}
	switch r := raw.(type) {
	case *rsa.PublicKey:
		var d, p, q, u *big.Int
		if err := wire.Decode(plain, &ppkNumbers{[]**big.Int{&d, &p, &q, &u}}); err != nil {
			return nil, err
		}
		return rsaPrivate(r.N, big.NewInt(int64(r.E)), d, p, q)
	case *dsa.PublicKey:
		var x *big.Int
		if err := wire.Decode(plain, &ppkNumbers{[]**big.Int{&x}}); err != nil {
			return nil, err
		}
		return dsaPrivate(r.P, r.Q, r.G, r.Y, x)
	case *ecdsa.PublicKey:
		var d *big.Int
		if err := wire.Decode(plain, &ppkNumbers{[]**big.Int{&d}}); err != nil {
			return nil, err
		}
		return ecdsaPrivate(r.Curve, nil, d)
	case ed25519.PublicKey:
		// A number in little endian, so zeros at the end may be missing.
		var seed []byte
		c := wire.Decoder(plain)
		c.Bytes(&seed)
		if c.Err() != nil || len(seed) > ed25519.SeedSize {
			return nil, errNumber
		}
		return ed25519Private(append(bytes.Clone(seed), make([]byte, ed25519.SeedSize-len(seed))...), r)
	}
	return nil, unsupported("", "a key of type "+pub.Type())
}

func ppkPlain(raw crypto.PrivateKey) ([]byte, error) {
	var n ppkNumbers
	switch r := raw.(type) {
	case *rsa.PrivateKey:
		u := new(big.Int).ModInverse(r.Primes[1], r.Primes[0])
		n.list = []**big.Int{&r.D, &r.Primes[0], &r.Primes[1], &u}
	case *dsa.PrivateKey:
		n.list = []**big.Int{&r.X}
	case *ecdsa.PrivateKey:
		p, err := r.Bytes()
		if err != nil {
			return nil, err
		}
		d := new(big.Int).SetBytes(p)
		n.list = []**big.Int{&d}
	case ed25519.PrivateKey:
		seed := bytes.TrimRight(r.Seed(), "\x00")
		return wire.AppendBytes(nil, seed), nil
	default:
		return nil, errors.ErrUnsupported
	}
	return wire.Append(nil, &n), nil
}

// argonMemory and argonPasses are near what puttygen chooses.
const (
	argonMemory = 8192
	argonPasses = 13
)

func marshalPPK2(k *PrivateKey, s seal) ([]byte, error) { return marshalPPK(k, s, 2) }
func marshalPPK3(k *PrivateKey, s seal) ([]byte, error) { return marshalPPK(k, s, 3) }

func marshalPPK(k *PrivateKey, s seal, version int) ([]byte, error) {
	plain, err := ppkPlain(k.Raw)
	if err != nil {
		return nil, err
	}
	f := &ppk{version: version, algorithm: k.Type(), encryption: "none", comment: k.Comment, public: k.PublicKey().Marshal()}
	if len(s.pass) != 0 {
		f.encryption = s.cipher
		if version == 3 {
			f.kdf, f.memory, f.passes, f.lanes = "Argon2id", argonMemory, argonPasses, 1
			if s.rounds > 0 {
				f.passes = uint32(min(int64(s.rounds), 1<<31)) // keys refuses far less
			}
			f.salt = make([]byte, saltSize)
			_, _ = rand.Read(f.salt)
		}
		// As PuTTY pads, so that the last block is not known.
		sum := sha1.Sum(plain)
		plain = append(plain, sum[:(aes.BlockSize-len(plain)%aes.BlockSize)%aes.BlockSize]...)
	}
	key, iv, macKey, err := f.keys(s.pass, Limits{}.OrDefault())
	if err != nil {
		return nil, err
	}
	f.mac = f.sum(macKey, plain)
	f.private = plain
	if f.encryption != "none" {
		if f.private, err = cbc(aes.NewCipher, cipher.NewCBCEncrypter, key, iv, plain); err != nil {
			return nil, err
		}
	}
	return f.encode(), nil
}

func (k *ppk) encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "PuTTY-User-Key-File-%d: %s\nEncryption: %s\nComment: %s\n", k.version, k.algorithm, k.encryption, k.comment)
	ppkBlob(&b, "Public", k.public)
	if k.kdf != "" {
		fmt.Fprintf(&b, "Key-Derivation: %s\nArgon2-Memory: %d\nArgon2-Passes: %d\nArgon2-Parallelism: %d\nArgon2-Salt: %x\n", k.kdf, k.memory, k.passes, k.lanes, k.salt)
	}
	ppkBlob(&b, "Private", k.private)
	fmt.Fprintf(&b, "Private-MAC: %x\n", k.mac)
	return []byte(b.String())
}

func ppkBlob(b *strings.Builder, name string, p []byte) {
	lines := wrap(base64.StdEncoding.EncodeToString(p), 64)
	fmt.Fprintf(b, "%s-Lines: %d\n", name, len(lines))
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
}

// wrap cuts text into lines of at most n octets.
func wrap(s string, n int) []string {
	var out []string
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}

// parsePPKPublic reads the public half, which is never encrypted, but also not
// protected without the passphrase.
func parsePPKPublic(f *file) (*PublicKey, error) {
	k, pub, err := decodePPK(f)
	if err != nil {
		return nil, err
	}
	return &PublicKey{Key: pub, Comment: k.comment}, nil
}
