package sftp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"github.com/fairlead-ssh/fairlead/internal/codepage"
)

// A Charset is how a peer writes names: a code page. Names of a FileSystem are UTF-8 as far
// as they are text at all, and any octets otherwise.
//
// The translation loses nothing and never fails. What one side cannot express is escaped in
// characters that all code pages have:
//
//	%{20AC}   the character U+20AC, which the code page lacks
//	%{=E9}    octet 0xE9 of a name of the file system that is not UTF-8
//	%{25}{    the two characters "%{" themselves
//
// and in names of the file system
//
//	%{x81}    octet 0x81 from the peer, which is nothing in the code page
//
// so that Decode(Encode(name)) is name, whatever name holds. Escapes never stand for "/",
// for visible ASCII other than "%", or for NUL. A Charset is immutable and safe for
// concurrent use.
type Charset struct {
	page *codepage.Page
	enc  encoding.Encoding // nil: UTF-8
	// ascii tells that ASCII is written as itself, in one octet each, and means nothing else.
	ascii bool
}

// ErrUnsupportedCodePage is in the chain of the errors of CodePage and CharsetOf, as
// errors.ErrUnsupported is.
var ErrUnsupportedCodePage = codepage.ErrUnsupported

// CodePage returns the charset with a number in the numbering of Windows, such as 1252 or
// 65001, which is UTF-8. Apple's numbers are refused with an error that names the one to use.
func CodePage(number uint32) (*Charset, error) {
	p, err := codepage.Find(number)
	return charsetOf(p, err)
}

// CharsetOf returns the charset with a name such as "ISO-8859-15" or "cp1252", or with a
// number in text.
func CharsetOf(name string) (*Charset, error) {
	p, err := codepage.FindName(name)
	return charsetOf(p, err)
}

func charsetOf(p *codepage.Page, err error) (*Charset, error) {
	if err != nil {
		return nil, fmt.Errorf("sftp: charset: %w", err)
	}
	c := &Charset{page: p, ascii: true}
	if p.Number == codepage.UTF8 {
		return c, nil
	}
	c.enc = p.Encoding()
	if p.Stateful {
		c.ascii = false
		return c, nil
	}
	var all [utf8.RuneSelf]byte
	for i := range all {
		all[i] = byte(i)
	}
	text, err := c.enc.NewDecoder().Bytes(all[:])
	c.ascii = err == nil && string(text) == string(all[:])
	return c, nil
}

// utf8Names is what versions 4 and up have when nothing else is said (filexfer-04 section 6.2).
var utf8Names = &Charset{ascii: true}

// Name returns the name of the charset in the registry of IANA where it has one.
func (c *Charset) Name() string {
	if c.page == nil {
		return "UTF-8"
	}
	return c.page.Name
}

// Number returns the number of the code page.
func (c *Charset) Number() uint32 {
	if c.page == nil {
		return codepage.UTF8
	}
	return c.page.Number
}

// Decode turns a name, or a path, that a peer wrote into one for a FileSystem.
func (c *Charset) Decode(wire string) string { return c.coder().Decode(wire) }

// Encode turns a name, or a path, of a FileSystem into what the peer writes.
func (c *Charset) Encode(name string) string { return c.coder().Encode(name) }

// coder makes what translates for one goroutine.
func (c *Charset) coder() *nameCoder {
	n := &nameCoder{c: c}
	if c.enc != nil {
		n.dec, n.enc = c.enc.NewDecoder(), c.enc.NewEncoder()
	}
	return n
}

// nameCoder is a Charset with the state that translating takes. Its methods are for one
// goroutine at a time.
type nameCoder struct {
	c   *Charset
	dec *encoding.Decoder // nil: UTF-8
	enc *encoding.Encoder
}

const (
	escape    = "%{"
	escapeEnd = '}'
	hexDigits = "0123456789ABCDEF"
)

// sameText tells whether a name is the same on both sides.
func sameText[T string | []byte](n *nameCoder, s T) bool {
	if !n.c.ascii {
		return false
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] == escape[1] && i > 0 && s[i-1] == escape[0] {
			return false
		}
	}
	return true
}

// Plain implements translator.
func (n *nameCoder) Plain(line []byte) bool { return sameText(n, line) }

// Decode implements translator.
func (n *nameCoder) Decode(wire string) string {
	if sameText(n, wire) {
		return wire
	}
	return unescape(n.text(wire))
}

// text is Decode without what escapes stand for.
func (n *nameCoder) text(wire string) string {
	if n.dec == nil {
		return wire
	}
	if text, ok := n.decode(wire); ok {
		return text
	}
	var b strings.Builder
	if n.c.page.Stateful {
		// Where a mistake is it is not known what the rest means either.
		for i := range len(wire) {
			if wire[i] >= ' ' && wire[i] < 0x7f {
				b.WriteByte(wire[i])
			} else {
				writePeerOctet(&b, wire[i])
			}
		}
		return b.String()
	}
	for len(wire) > 0 {
		text, size := n.first(wire)
		if size == 0 {
			writePeerOctet(&b, wire[0])
			size = 1
		}
		b.WriteString(text)
		wire = wire[size:]
	}
	return b.String()
}

// maxSequence is the most octets that any code page has for one character.
const maxSequence = 4

// first decodes the first character of wire and returns its octets, 0 if it is none.
func (n *nameCoder) first(wire string) (text string, size int) {
	for k := 1; k <= min(maxSequence, len(wire)); k++ {
		if text, ok := n.decode(wire[:k]); ok && utf8.RuneCountInString(text) <= 2 && text != "" {
			return text, k
		}
	}
	return "", 0
}

// decode decodes all of wire; ok is false if any of it is no character.
func (n *nameCoder) decode(wire string) (text string, ok bool) {
	text, err := n.dec.String(wire)
	if err != nil {
		return "", false
	}
	if strings.ContainsRune(text, utf8.RuneError) {
		// It may be the character itself, in pages that have it.
		again, err := n.enc.String(text)
		return text, err == nil && again == wire
	}
	return text, true
}

// Encode implements translator.
func (n *nameCoder) Encode(name string) string {
	if sameText(n, name) {
		return name
	}
	var b strings.Builder
	for i, elem := range strings.Split(name, "/") {
		if i > 0 {
			b.WriteString(n.ascii("/"))
		}
		b.WriteString(n.element(elem))
	}
	return b.String()
}

// element encodes one element of a path. The first of ever safer ways that Decode undoes is
// taken: all characters as they are, all that can be, none beyond ASCII.
func (n *nameCoder) element(elem string) string {
	if elem == "" {
		return ""
	}
	if !strings.Contains(elem, escape) && utf8.ValidString(elem) {
		if out, ok := n.encode(elem); ok && n.undoes(out, elem) {
			return out
		}
	}
	if out := n.escaped(elem, true, true); n.undoes(out, elem) {
		return out
	}
	if out := n.escaped(elem, false, true); n.undoes(out, elem) {
		return out
	}
	return n.escaped(elem, false, false)
}

// undoes tells whether wire, an element, is read as elem, also in front of another one.
func (n *nameCoder) undoes(wire, elem string) bool {
	return n.Decode(wire) == elem && n.Decode(wire+n.ascii("/")) == elem+"/"
}

// encode encodes text; ok is false if the page lacks any of it. The slash brings a page that
// has states back to where it starts.
func (n *nameCoder) encode(text string) (wire string, ok bool) {
	if n.enc == nil {
		return text, utf8.ValidString(text)
	}
	wire, err := n.enc.String(text + "/")
	if err != nil {
		return "", false
	}
	return strings.TrimSuffix(wire, n.ascii("/")), true
}

// ascii encodes ASCII, which every page has.
func (n *nameCoder) ascii(s string) string {
	if n.c.ascii || n.enc == nil {
		return s
	}
	wire, _ := n.enc.String(s)
	return wire
}

// escaped encodes elem a character at a time: octets of the peer as what they were if
// octets says so, characters beyond ASCII as themselves where they can be if chars says so,
// and all others as escapes.
func (n *nameCoder) escaped(elem string, octets, chars bool) string {
	var b strings.Builder
	write := func(kind string, v uint32, digits int) {
		var tmp [16]byte
		out := append(tmp[:0], escape...)
		out = append(out, kind...)
		hex := strings.ToUpper(strconv.FormatUint(uint64(v), 16))
		for range digits - len(hex) {
			out = append(out, '0')
		}
		out = append(append(out, hex...), escapeEnd)
		b.WriteString(n.ascii(string(out)))
	}
	for len(elem) > 0 {
		if strings.HasPrefix(elem, escape) {
			if octet, size := peerOctet(elem); octets && size > 0 && n.enc != nil {
				b.WriteByte(octet)
				elem = elem[size:]
				continue
			}
			write("", '%', 0)
			elem = elem[1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(elem)
		switch wire, ok := n.encode(elem[:size]); {
		case r == utf8.RuneError && size == 1:
			write("=", uint32(elem[0]), 2)
		case ok && (chars || r < utf8.RuneSelf) && n.text(wire) == elem[:size]:
			b.WriteString(wire)
		case escapable(r):
			write("", uint32(r), 0)
		default:
			b.WriteString(wire)
		}
		elem = elem[size:]
	}
	return b.String()
}

// escapable tells what %{...} may stand for: never what paths are made of.
func escapable(r rune) bool {
	return r >= utf8.RuneSelf || r == '%' || r == 0x7f || r > 0 && r < ' '
}

// writePeerOctet writes the escape of an octet that is nothing in the code page.
func writePeerOctet(b *strings.Builder, octet byte) {
	b.WriteString(escape)
	b.WriteByte('x')
	b.WriteByte(hexDigits[octet>>4])
	b.WriteByte(hexDigits[octet&15])
	b.WriteByte(escapeEnd)
}

// peerOctet reads such an escape at the start of s; size is 0 if there is none.
func peerOctet(s string) (octet byte, size int) {
	body, size, ok := escapeBody(s)
	if !ok || len(body) != 3 || body[0] != 'x' {
		return 0, 0
	}
	v, ok := parseHex(body[1:])
	if !ok {
		return 0, 0
	}
	return byte(v), size
}

// escapeBody returns what is between the braces of an escape at the start of s.
func escapeBody(s string) (body string, size int, ok bool) {
	if !strings.HasPrefix(s, escape) {
		return "", 0, false
	}
	const most = 6 // digits of a character
	for i := len(escape); i < min(len(s), len(escape)+most+1); i++ {
		if s[i] == escapeEnd {
			return s[len(escape):i], i + 1, true
		}
	}
	return "", 0, false
}

// parseHex takes capital digits only, so that there is one escape for each thing.
func parseHex(s string) (v uint32, ok bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		d := strings.IndexByte(hexDigits, s[i])
		if d < 0 {
			return 0, false
		}
		v = v<<4 | uint32(d)
	}
	return v, true
}

// unescape puts back what the escapes of Encode stand for. What is no such escape stays.
func unescape(text string) string {
	at := strings.Index(text, escape)
	if at < 0 {
		return text
	}
	var b strings.Builder
	for ; at >= 0; at = strings.Index(text, escape) {
		b.WriteString(text[:at])
		text = text[at:]
		body, size, ok := escapeBody(text)
		switch {
		case ok && len(body) == 3 && body[0] == '=':
			if v, ok := parseHex(body[1:]); ok && v >= utf8.RuneSelf {
				b.WriteByte(byte(v))
				text = text[size:]
				continue
			}
		case ok && body != "" && body[0] != '0':
			if v, ok := parseHex(body); ok && utf8.ValidRune(rune(v)) && escapable(rune(v)) {
				b.WriteRune(rune(v))
				text = text[size:]
				continue
			}
		}
		b.WriteString(escape)
		text = text[len(escape):]
	}
	b.WriteString(text)
	return b.String()
}
