package keys

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
)

// Format names a form of key files.
type Format string

// The formats. Some have a form for private keys, some for public keys, some
// for both: see [Formats].
const (
	OpenSSH Format = "openssh" // BEGIN OPENSSH PRIVATE KEY; the line "type base64 comment"
	PEM     Format = "pem"     // the traditional forms of OpenSSL: BEGIN RSA, DSA or EC PRIVATE KEY; BEGIN RSA PUBLIC KEY
	PKCS8   Format = "pkcs8"   // BEGIN PRIVATE KEY, BEGIN ENCRYPTED PRIVATE KEY; BEGIN PUBLIC KEY (RFC 5208, RFC 5280)
	PPK2    Format = "ppk2"    // PuTTY-User-Key-File-2
	PPK3    Format = "ppk3"    // PuTTY-User-Key-File-3
	RFC4716 Format = "rfc4716" // BEGIN SSH2 PUBLIC KEY
	JWK     Format = "jwk"     // JSON Web Key (RFC 7517, RFC 8037)
	XML     Format = "xml"     // RSAKeyValue and DSAKeyValue of .NET and XML signatures
	Blob    Format = "blob"    // SSH's wire form of a public key (RFC 4253 section 6.6)
)

// String returns the name, "unknown" for the zero value.
func (f Format) String() string {
	if f == "" {
		return "unknown"
	}
	return string(f)
}

// A FormatInfo tells what can be done with a format.
type FormatInfo struct {
	Format       Format   // the name to give to Marshal
	ReadPrivate  bool     // has a form for private keys that is read
	WritePrivate bool     // and one that is written
	WritePublic  bool     // public keys of every format can be read
	Ciphers      []string // that private keys can be written with, the default first
}

// Formats returns all formats in the order in which they are looked for.
func Formats() []FormatInfo {
	out := make([]FormatInfo, 0, len(formats))
	for _, r := range formats {
		out = append(out, FormatInfo{
			Format: r.format, ReadPrivate: r.parse != nil, WritePrivate: r.marshal != nil,
			WritePublic: r.marshalPublic != nil, Ciphers: slices.Clone(r.ciphers),
		})
	}
	return out
}

// formatRow is a format: what it looks like and what reads and writes it.
type formatRow struct {
	format        Format
	detect        func(*file) bool
	parse         func(*file, opener) (raw crypto.PrivateKey, comment string, err error)
	marshal       func(*PrivateKey, seal) ([]byte, error)
	parsePublic   func(*file) (*PublicKey, error) // errPrivate sends the file to parse
	marshalPublic func(*PublicKey) ([]byte, error)
	ciphers       []string
}

// formats is the table. The text formats come before those whose beginning
// tells less.
var formats []formatRow

func init() { // because detect, which the parsers reach through a file, looks into the table
	formats = []formatRow{
		{OpenSSH, blockIs("OPENSSH PRIVATE KEY"), parseOpenSSH, marshalOpenSSH, parseOpenSSHPublic, marshalLine, openSSHCipherNames()},
		{PKCS8, blockIs("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"), parsePKCS8, marshalPKCS8, parsePKIX, marshalPKIX, pbe.Sealers()},
		{PEM, blockIs("RSA PRIVATE KEY", "DSA PRIVATE KEY", "EC PRIVATE KEY", "RSA PUBLIC KEY"), parsePEM, marshalPEM, parsePKCS1Public, marshalPKCS1Public, []string{"aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"}},
		{PPK3, startsWith("PuTTY-User-Key-File-3:"), parsePPK, marshalPPK3, parsePPKPublic, nil, []string{"aes256-cbc"}},
		{PPK2, startsWith("PuTTY-User-Key-File-2:"), parsePPK, marshalPPK2, parsePPKPublic, nil, []string{"aes256-cbc"}},
		{RFC4716, startsWith("---- BEGIN SSH2 PUBLIC KEY ----"), nil, nil, parseRFC4716, marshalRFC4716, nil},
		{JWK, startsWith("{"), parseJWK, marshalJWK, parseJWKPublic, marshalJWKPublic, nil},
		{XML, startsWith("<"), parseXML, marshalXML, parseXMLPublic, marshalXMLPublic, nil},
		{Blob, isBlob, nil, nil, parseBlobFile, marshalBlob, nil},
	}
}

// line is the row of OpenSSH again, for its public form, which has no fixed
// beginning and is what remains when nothing else fits.
func line() *formatRow { return &formats[0] }

func findFormat(f Format) *formatRow {
	i := slices.IndexFunc(formats, func(r formatRow) bool { return r.format == f })
	if i < 0 {
		return nil
	}
	return &formats[i]
}

// file is a key file that is being read.
type file struct {
	data  []byte
	text  []byte     // data without a byte order mark and white space in front
	block *pem.Block // the first PEM block of a type that some format wants
}

// pemTypes are the types of PEM blocks that hold keys. Others, such as EC
// PARAMETERS in front of a key, are passed over.
var pemTypes = []string{
	"OPENSSH PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY",
	"RSA PRIVATE KEY", "DSA PRIVATE KEY", "EC PRIVATE KEY", "RSA PUBLIC KEY",
}

// blobStart is in every line of OpenSSH: the length of a key's type in base64.
var blobStart = []byte("AAAA")

var errUnknown = errors.New("not a key in any known form")

// detect finds the row of a file.
func detect(data []byte) (*file, *formatRow, error) {
	if len(data) > maxFile {
		return nil, nil, bad("", "%d octets, at most %d are read", len(data), maxFile)
	}
	f := &file{data: data, text: bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")), " \t\r\n")}
	for b, rest := pem.Decode(f.text); b != nil; b, rest = pem.Decode(rest) {
		if slices.Contains(pemTypes, b.Type) {
			f.block = b
			break
		}
	}
	for i := range formats {
		if formats[i].detect(f) {
			return f, &formats[i], nil
		}
	}
	switch {
	case startsWith("PuTTY-User-Key-File-1:")(f):
		return nil, nil, unsupported("", "PuTTY key files of version 1")
	case startsWith("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY")(f):
		return nil, nil, unsupported("", "private keys of ssh.com")
	case startsWith("SSH PRIVATE KEY FILE FORMAT 1.1")(f):
		return nil, nil, unsupported("", "keys of SSH 1")
	case len(f.text) == 0, startsWith("-----BEGIN")(f), !bytes.Contains(f.text, blobStart):
		return nil, nil, &FormatError{Err: errUnknown}
	}
	return f, line(), nil
}

// blockIs detects by the type of the PEM block.
func blockIs(types ...string) func(*file) bool {
	return func(f *file) bool { return f.block != nil && slices.Contains(types, f.block.Type) }
}

// startsWith detects by the beginning of the text.
func startsWith(prefix string) func(*file) bool {
	return func(f *file) bool { return bytes.HasPrefix(f.text, []byte(prefix)) }
}

// isBlob detects the wire form by the length of the name in front, whose first
// octet no text has, or a bare certificate by its outermost sequence.
func isBlob(f *file) bool {
	return len(f.data) > 4 && (f.data[0] == 0 || bareDER(f.data) && f.data[1] == 0x82)
}

// MarshalOptions says how a private key is written.
type MarshalOptions struct {
	// Passphrase encrypts the key. Without one the key is written in the clear.
	// A format that cannot encrypt refuses one.
	Passphrase Passphrase
	// Cipher is one of FormatInfo.Ciphers, by default the first. Without a
	// passphrase it is refused.
	Cipher string
	// Rounds is the cost of deriving the key from the passphrase: rounds of
	// bcrypt (OpenSSH, 16 by default), iterations of PBKDF2 (PKCS#8, 600000),
	// passes of Argon2id over 8 MiB (PPK 3, 13). PEM and PPK 2 have no such
	// number. Values below 1 stand for the default; more than the defaults of
	// [Limits] allow is refused.
	Rounds int
}

// seal is MarshalOptions after the checks that all formats share.
type seal struct {
	pass   Passphrase // empty: in the clear
	cipher string
	rounds int // 0: the default
}

// check refuses options that the format cannot follow.
func (o *MarshalOptions) check(f Format) (*formatRow, error) {
	r := findFormat(f)
	switch {
	case r == nil || r.marshal == nil:
		return nil, in(f, unsupported("", "writing private keys"))
	case len(o.Passphrase) == 0 && o.Cipher != "":
		return nil, in(f, bad("", "a cipher but no passphrase"))
	case len(o.Passphrase) != 0 && len(r.ciphers) == 0:
		return nil, in(f, unsupported("", "encryption"))
	case o.Cipher != "" && !slices.Contains(r.ciphers, o.Cipher):
		return nil, in(f, unsupported("", "cipher "+clip(o.Cipher)))
	}
	return r, nil
}

// checkComment refuses what would become another line of a file.
func checkComment(f Format, comment string) error {
	if strings.ContainsAny(comment, "\r\n\x00") {
		return in(f, bad("comment", "more than one line"))
	}
	return nil
}

// Marshal writes the key in the form of f with its comment. Errors are of type
// [*FormatError]: not every format has a form for every type of key.
func (k *PrivateKey) Marshal(f Format, o MarshalOptions) ([]byte, error) {
	r, err := o.check(f)
	if err != nil {
		return nil, err
	}
	if err := checkComment(f, k.Comment); err != nil {
		return nil, err
	}
	s := seal{pass: o.Passphrase, cipher: o.Cipher, rounds: max(o.Rounds, 0)}
	if len(s.pass) != 0 && s.cipher == "" {
		s.cipher = r.ciphers[0]
	}
	out, err := r.marshal(k, s)
	return out, in(f, err)
}

// Marshal writes the key in the form of f, with its comment where the form has
// one. Options of authorized_keys are written by [OpenSSH] only. Errors are of
// type [*FormatError].
func (k *PublicKey) Marshal(f Format) ([]byte, error) {
	r := findFormat(f)
	if r == nil || r.marshalPublic == nil {
		return nil, in(f, unsupported("", "writing public keys"))
	}
	if err := checkComment(f, k.Comment); err != nil {
		return nil, err
	}
	out, err := r.marshalPublic(k)
	return out, in(f, err)
}

// MarshalPublic writes the public half in the form of f.
func (k *PrivateKey) MarshalPublic(f Format) ([]byte, error) { return k.Public().Marshal(f) }
