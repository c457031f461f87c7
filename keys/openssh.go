package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // ssh-dss keys are read and written as they are
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// openSSHMagic begins a private key of OpenSSH (PROTOCOL.key section 1).
const openSSHMagic = "openssh-key-v1\x00"

// openSSHFile is the outer layout (PROTOCOL.key sections 1 and 2).
type openSSHFile struct {
	cipher, kdf string
	kdfOptions  []byte
	keys        uint32
	public      []byte
	private     []byte
	tag         []byte // of an AEAD, behind the last string
}

// Layout codes what follows the magic.
func (f *openSSHFile) Layout(c *wire.Coder) {
	c.String(&f.cipher)
	c.String(&f.kdf)
	c.Bytes(&f.kdfOptions)
	c.Uint32(&f.keys)
	if c.Decoding() && c.Err() == nil && f.keys != 1 {
		c.Fail(errors.New("not exactly one key"))
	}
	c.Bytes(&f.public)
	c.Secret(&f.private)
	c.Rest(&f.tag)
}

// openSSHKDF is the layout of the options of bcrypt.
type openSSHKDF struct {
	salt   []byte
	rounds uint32
}

// Layout codes the options.
func (k *openSSHKDF) Layout(c *wire.Coder) {
	c.Bytes(&k.salt)
	c.Uint32(&k.rounds)
}

// openSSHKey is the private section (PROTOCOL.key section 3): the numbers of
// one type of key.
type openSSHKey struct {
	check1, check2        uint32
	typ                   string
	n, e, d, u, p, q      *big.Int // RSA, u is the inverse of q
	dp, dq, dg, dy, dx    *big.Int // DSA
	curve                 string
	point                 []byte
	scalar                *big.Int // ECDSA
	edPublic, edPrivate   []byte   // Ed25519
	comment               string
	padding               []byte
	unsupported, mismatch bool
}

// Layout codes the section.
func (k *openSSHKey) Layout(c *wire.Coder) {
	c.Uint32(&k.check1)
	c.Uint32(&k.check2)
	if c.Decoding() && k.check1 != k.check2 {
		k.mismatch = true
		c.Fail(errMismatch)
		return
	}
	c.String(&k.typ)
	switch k.typ {
	case gossh.KeyAlgoRSA:
		for _, v := range []**big.Int{&k.n, &k.e, &k.d, &k.u, &k.p, &k.q} {
			mpint(c, v)
		}
	case keyAlgoDSA:
		for _, v := range []**big.Int{&k.dp, &k.dq, &k.dg, &k.dy, &k.dx} {
			mpint(c, v)
		}
	case gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521:
		c.String(&k.curve)
		c.Bytes(&k.point)
		mpint(c, &k.scalar)
	case gossh.KeyAlgoED25519:
		c.Bytes(&k.edPublic)
		c.Secret(&k.edPrivate)
	default:
		k.unsupported = true
		c.Fail(errors.ErrUnsupported)
	}
	c.String(&k.comment)
	c.SecretRest(&k.padding)
}

// raw makes a key of the numbers.
func (k *openSSHKey) raw() (crypto.PrivateKey, error) {
	switch k.typ {
	case gossh.KeyAlgoRSA:
		return rsaPrivate(k.n, k.e, k.d, k.p, k.q)
	case keyAlgoDSA:
		return dsaPrivate(k.dp, k.dq, k.dg, k.dy, k.dx)
	case gossh.KeyAlgoED25519:
		if len(k.edPrivate) != ed25519.PrivateKeySize || !bytes.Equal(k.edPrivate[ed25519.SeedSize:], k.edPublic) {
			return nil, errMismatch
		}
		return ed25519Private(k.edPrivate[:ed25519.SeedSize], k.edPublic)
	}
	curve := curveBySSH(k.curve)
	if curve == nil || k.typ != "ecdsa-sha2-"+k.curve {
		return nil, errors.New("curve and type differ")
	}
	return ecdsaPrivate(curve, k.point, k.scalar)
}

// fill takes the numbers out of a key.
func (k *openSSHKey) fill(raw crypto.PrivateKey) error {
	switch r := raw.(type) {
	case *rsa.PrivateKey:
		k.n, k.e, k.d, k.p, k.q = r.N, big.NewInt(int64(r.E)), r.D, r.Primes[0], r.Primes[1]
		k.u = new(big.Int).ModInverse(k.q, k.p)
	case *dsa.PrivateKey:
		k.dp, k.dq, k.dg, k.dy, k.dx = r.P, r.Q, r.G, r.Y, r.X
	case ed25519.PrivateKey:
		k.edPublic, k.edPrivate = r[ed25519.SeedSize:], r
	case *ecdsa.PrivateKey:
		point, err := r.PublicKey.Bytes()
		if err != nil {
			return err
		}
		d, err := r.Bytes()
		if err != nil {
			return err
		}
		k.curve, k.point, k.scalar = strings.TrimPrefix(k.typ, "ecdsa-sha2-"), point, new(big.Int).SetBytes(d)
	default:
		return errors.ErrUnsupported
	}
	return nil
}

// decodeOpenSSH reads what is not encrypted.
func decodeOpenSSH(f *file) (*openSSHFile, gossh.PublicKey, error) {
	rest, ok := bytes.CutPrefix(f.block.Bytes, []byte(openSSHMagic))
	if !ok {
		return nil, nil, bad("header", "not of version 1")
	}
	var o openSSHFile
	if err := wire.Decode(rest, &o); err != nil {
		return nil, nil, &FormatError{Where: "header", Err: err}
	}
	pub, err := ParseBlob(o.public)
	if err != nil {
		return nil, nil, &FormatError{Where: "public key", Err: err}
	}
	return &o, pub, nil
}

func parseOpenSSH(f *file, o opener) (crypto.PrivateKey, string, error) {
	if f.block == nil {
		return nil, "", ErrPublicOnly
	}
	h, pub, err := decodeOpenSSH(f)
	if err != nil {
		return nil, "", err
	}
	plain, block, err := h.open(pub, o)
	if err != nil {
		return nil, "", err
	}
	var k openSSHKey
	if err := wire.Decode(plain, &k); err != nil {
		switch {
		case k.mismatch && h.cipher != "none":
			return nil, "", wrong(pub)
		case k.unsupported:
			return nil, "", unsupported("private section", "a key of type "+clip(k.typ))
		}
		return nil, "", &FormatError{Where: "private section", Err: err}
	}
	if len(k.padding) >= block {
		return nil, "", bad("private section", "%d octets behind the key", len(k.padding))
	}
	for i, b := range k.padding {
		if b != byte(i+1) {
			return nil, "", bad("private section", "wrong padding")
		}
	}
	raw, err := k.raw()
	if err == nil {
		err = samePublic(raw, pub)
	}
	if err != nil {
		return nil, "", &FormatError{Where: "private section", Err: err}
	}
	return raw, k.comment, nil
}

// samePublic refuses a private key that is not that of the public one beside it.
func samePublic(raw crypto.PrivateKey, pub gossh.PublicKey) error {
	s, err := gossh.NewSignerFromKey(raw)
	if err != nil {
		return err
	}
	if !bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
		return errMismatch
	}
	return nil
}

// open decrypts the private section and returns the block size of its padding.
func (f *openSSHFile) open(pub gossh.PublicKey, o opener) (plain []byte, block int, err error) {
	if f.cipher == "none" {
		if f.kdf != "none" || len(f.kdfOptions) != 0 || len(f.tag) != 0 {
			return nil, 0, bad("header", "key derivation without a cipher")
		}
		return f.private, 8, nil
	}
	row := findOpenSSHCipher(f.cipher)
	if row == nil {
		return nil, 0, unsupported("header", "cipher "+clip(f.cipher))
	}
	if f.kdf != "bcrypt" {
		return nil, 0, unsupported("header", "key derivation "+clip(f.kdf))
	}
	var kdf openSSHKDF
	if err := wire.Decode(f.kdfOptions, &kdf); err != nil {
		return nil, 0, &FormatError{Where: "key derivation", Err: err}
	}
	if len(f.tag) != row.tag || len(f.private)%row.block != 0 || len(f.private) == 0 {
		return nil, 0, bad("private section", "length does not fit %s", row.name)
	}
	if err := within("rounds", int64(kdf.rounds), int64(o.limits.BcryptRounds)); err != nil {
		return nil, 0, err
	}
	pass, err := o.need(pub)
	if err != nil {
		return nil, 0, err
	}
	derived, err := bcryptPBKDF(pass, kdf.salt, int(kdf.rounds), row.key+row.iv)
	if err != nil {
		return nil, 0, &FormatError{Where: "key derivation", Err: err}
	}
	plain, err = row.open(derived[:row.key], derived[row.key:], append(bytes.Clone(f.private), f.tag...))
	if err != nil {
		return nil, 0, wrong(pub)
	}
	return plain, row.block, nil
}

// saltSize is that of OpenSSH and of PuTTY.
const saltSize = 16

func marshalOpenSSH(k *PrivateKey, s seal) ([]byte, error) {
	f := openSSHFile{cipher: "none", kdf: "none", keys: 1, public: k.PublicKey().Marshal()}
	var check [4]byte
	_, _ = rand.Read(check[:])
	sec := openSSHKey{typ: k.Type(), comment: k.Comment}
	sec.check1 = binary.BigEndian.Uint32(check[:])
	sec.check2 = sec.check1
	if err := sec.fill(k.Raw); err != nil {
		return nil, err
	}
	row := findOpenSSHCipher(s.cipher)
	block := 8
	if row != nil {
		block = row.block
	}
	plain := wire.Append(nil, &sec)
	for i := byte(1); len(plain)%block != 0; i++ {
		plain = append(plain, i)
	}
	f.private = plain
	if row != nil {
		kdf := openSSHKDF{salt: make([]byte, saltSize), rounds: 16}
		_, _ = rand.Read(kdf.salt)
		if s.rounds > 0 {
			if err := within("rounds", s.rounds, Limits{}.OrDefault().BcryptRounds); err != nil {
				return nil, err
			}
			kdf.rounds = uint32(s.rounds)
		}
		derived, err := bcryptPBKDF(s.pass, kdf.salt, int(kdf.rounds), row.key+row.iv)
		if err != nil {
			return nil, err
		}
		sealed, err := row.seal(derived[:row.key], derived[row.key:], plain)
		if err != nil {
			return nil, err
		}
		f.cipher, f.kdf, f.kdfOptions = row.name, "bcrypt", wire.Append(nil, &kdf)
		f.private, f.tag = sealed[:len(plain)], sealed[len(plain):]
	}
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: wire.Append([]byte(openSSHMagic), &f)}), nil
}

// parseOpenSSHPublic reads the line, or the public half of a private key, which
// is never encrypted.
func parseOpenSSHPublic(f *file) (*PublicKey, error) {
	if f.block == nil {
		return parseLine(f)
	}
	h, pub, err := decodeOpenSSH(f)
	if err != nil {
		return nil, err
	}
	if h.cipher == "none" {
		return nil, errPrivate // which has the comment
	}
	return &PublicKey{Key: pub}, nil
}
