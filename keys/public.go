package keys

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// parseLine reads one line of OpenSSH: a public key with its comment, as in a
// .pub file, or with options in front, as in authorized_keys (sshd(8)). Empty
// lines and lines of comment around it are passed over.
func parseLine(f *file) (*PublicKey, error) {
	var found []byte
	for l := range bytes.SplitSeq(f.text, []byte("\n")) {
		l = bytes.Trim(l, " \t\r")
		if len(l) == 0 || l[0] == '#' {
			continue
		}
		if found != nil {
			return nil, bad("", "more than one line with a key")
		}
		found = l
	}
	if found == nil || !bytes.Contains(found, blobStart) {
		return nil, &FormatError{Err: errUnknown}
	}
	if k, err := parseX509Line(string(found)); k != nil || err != nil {
		return k, err
	}
	k, comment, options, _, err := gossh.ParseAuthorizedKey(found)
	if err != nil {
		return nil, err
	}
	return &PublicKey{Key: k, Comment: comment, Options: options}, nil
}

// parseX509Line reads a line of an X.509 key, which x/crypto does not know;
// none if the type is another.
func parseX509Line(l string) (*PublicKey, error) {
	typ, rest, _ := strings.Cut(l, " ")
	if findX509(typ) == nil {
		return nil, nil
	}
	text, comment, _ := strings.Cut(strings.TrimLeft(rest, " \t"), " ")
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	k, err := ParseX509Key(blob)
	if err != nil {
		return nil, err
	}
	if k.Type() != typ {
		return nil, bad("", "key of type %s in a line of type %s", k.Type(), typ)
	}
	return &PublicKey{Key: k, Comment: strings.TrimSpace(comment)}, nil
}

func marshalLine(k *PublicKey) ([]byte, error) {
	var b strings.Builder
	if len(k.Options) != 0 {
		o := strings.Join(k.Options, ",")
		if strings.ContainsAny(o, "\r\n\x00") {
			return nil, bad("options", "more than one line")
		}
		b.WriteString(o + " ")
	}
	b.WriteString(k.Type() + " " + base64.StdEncoding.EncodeToString(k.Key.Marshal()))
	if k.Comment != "" {
		b.WriteString(" " + k.Comment)
	}
	return []byte(b.String() + "\n"), nil
}

const (
	rfc4716Begin = "---- BEGIN SSH2 PUBLIC KEY ----"
	rfc4716End   = "---- END SSH2 PUBLIC KEY ----"
)

// parseRFC4716 reads a public key file (RFC 4716 section 3). Lines may be
// longer than its 72 octets, as those of some tools are.
func parseRFC4716(f *file) (*PublicKey, error) {
	k := &PublicKey{}
	var header, body strings.Builder
	ended := false
	for l := range strings.SplitSeq(string(f.text[len(rfc4716Begin):]), "\n") {
		l = strings.TrimRight(l, " \t\r")
		if l == rfc4716End {
			ended = true
			break
		}
		switch {
		case header.Len() > 0 || strings.Contains(l, ":"): // base64 has no colon
			part, more := strings.CutSuffix(l, `\`)
			header.WriteString(part)
			if !more {
				k.rfc4716Header(header.String())
				header.Reset()
			}
		default:
			body.WriteString(l)
		}
	}
	if !ended || header.Len() > 0 {
		return nil, bad("", "ends too early")
	}
	blob, err := base64.StdEncoding.DecodeString(body.String())
	if err != nil {
		return nil, &FormatError{Where: "body", Err: err}
	}
	if k.Key, err = ParseBlob(blob); err != nil {
		return nil, err
	}
	return k, nil
}

// rfc4716Header takes the comment (RFC 4716 section 3.3.2); all other headers
// must be ignored.
func (k *PublicKey) rfc4716Header(l string) {
	tag, value, _ := strings.Cut(l, ":")
	if !strings.EqualFold(strings.TrimSpace(tag), "comment") {
		return
	}
	value = strings.TrimSpace(value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	k.Comment = value
}

func marshalRFC4716(k *PublicKey) ([]byte, error) {
	const width, most = 72, 1024 // RFC 4716 sections 3.1 and 3.3
	var b strings.Builder
	b.WriteString(rfc4716Begin + "\n")
	if k.Comment != "" {
		l := fmt.Sprintf(`Comment: "%s"`, k.Comment)
		if len(l) > most {
			return nil, bad("comment", "%d octets, at most %d", len(k.Comment), most-len(`Comment: ""`))
		}
		for len(l) > width {
			b.WriteString(l[:width-1] + "\\\n")
			l = l[width-1:]
		}
		b.WriteString(l + "\n")
	}
	for _, l := range wrap(base64.StdEncoding.EncodeToString(k.Key.Marshal()), 70) {
		b.WriteString(l + "\n")
	}
	b.WriteString(rfc4716End + "\n")
	return []byte(b.String()), nil
}

func parseBlobFile(f *file) (*PublicKey, error) {
	var k gossh.PublicKey
	var err error
	if bareDER(f.data) {
		k, err = ParseX509Key(f.data)
	} else {
		k, err = ParseBlob(f.data)
	}
	if err != nil {
		return nil, err
	}
	return &PublicKey{Key: k}, nil
}

func marshalBlob(k *PublicKey) ([]byte, error) { return k.Key.Marshal(), nil }

// maxNumber bounds a number in base64, generously.
const maxNumber = maxRSABits / 4

// number is a field of JWK or XML: a big-endian number in base64.
func number(enc *base64.Encoding, name, s string) ([]byte, error) {
	if s == "" {
		return nil, bad(name, "is missing")
	}
	if len(s) > maxNumber {
		return nil, bad(name, "too long")
	}
	p, err := enc.DecodeString(s)
	if err != nil {
		return nil, &FormatError{Where: name, Err: err}
	}
	return p, nil
}
