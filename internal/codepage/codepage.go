// Package codepage finds the character encoding of a code page by its Windows number
// or its name.
package codepage

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
)

// Page is one code page.
type Page struct {
	Number uint32 // as Windows counts
	Name   string // of the IANA registry, or what WHATWG or Windows call it; "" if not supported
	About  string // for people
	// Stateful says that octets mean different things depending on those before them.
	Stateful bool

	open func() encoding.Encoding
}

// ErrUnsupported is in the chain of every error of this package. It is errors.ErrUnsupported, too.
var ErrUnsupported = fmt.Errorf("code page is not supported: %w", errors.ErrUnsupported)

// UTF8 is the number of the page that needs no translation.
const UTF8 = 65001

// Encoding returns the encoding of p, which is one of those that Find answered.
func (p *Page) Encoding() encoding.Encoding { return p.open() }

// All returns every page that has a number, supported or not. Do not modify it.
func All() []Page { return pages }

// Supported tells whether Find returns p.
func (p *Page) Supported() bool { return p.open != nil }

// Find returns the page with a number. That of an Apple encoding is refused with the number
// to use in its place.
func Find(number uint32) (*Page, error) {
	for i := range pages {
		switch p := &pages[i]; {
		case p.Number != number:
		case p.Supported():
			return p, nil
		default:
			return nil, fmt.Errorf("codepage: %d (%s): %w", number, p.About, ErrUnsupported)
		}
	}
	for _, a := range apples {
		switch {
		case a.number != number:
		case a.use == 0:
			return nil, fmt.Errorf("codepage: %#x is Apple's number of %s: %w", number, a.name, ErrUnsupported)
		default:
			return nil, fmt.Errorf("codepage: %#x is Apple's number of %s, use %d: %w", number, a.name, a.use, ErrUnsupported)
		}
	}
	return nil, fmt.Errorf("codepage: %d: %w", number, ErrUnsupported)
}

// FindName returns the page with a name, such as "ISO-8859-1" or "cp1252", or a number in
// text. Case does not matter.
func FindName(name string) (*Page, error) {
	digits := name
	for _, prefix := range [...]string{"cp", "ibm", "windows-"} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			digits = name[len(prefix):]
		}
	}
	for i := range pages {
		if p := &pages[i]; p.Supported() && strings.EqualFold(p.Name, name) {
			return p, nil
		}
	}
	for _, a := range aliases {
		if strings.EqualFold(a.name, name) {
			return Find(a.number)
		}
	}
	if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
		return Find(uint32(n))
	}
	return nil, fmt.Errorf("codepage: %.40q: %w", name, ErrUnsupported)
}

// aliases are names in wide use beside those of the table.
var aliases = []struct {
	name   string
	number uint32
}{
	{"ascii", 20127},
	{"big5-hkscs", 950},
	{"euckr", 51949},
	{"eucjp", 51932},
	{"latin1", 28591},
	{"latin2", 28592},
	{"latin9", 28605},
	{"shift_jis", 932},
	{"sjis", 932},
	{"utf8", UTF8},
}

// apples are the numbers that Apple's systems give to encodings, and those of Windows.
var apples = []struct {
	number uint32
	name   string
	use    uint32
}{
	{1, "ASCII", 20127},
	{2, "NEXTSTEP", 0},
	{3, "JapaneseEUC", 51932},
	{4, "UTF8", UTF8},
	{5, "ISOLatin1", 28591},
	{6, "Symbol", 0},
	{7, "NonLossyASCII", 0},
	{8, "ShiftJIS", 932},
	{9, "ISOLatin2", 28592},
	{10, "Unicode and UTF16String", 1200},
	{11, "WindowsCP1251", 1251},
	{12, "WindowsCP1252", 1252},
	{13, "WindowsCP1253", 1253},
	{14, "WindowsCP1254", 1254},
	{15, "WindowsCP1250", 1250},
	{21, "ISO2022JP", 50220},
	{30, "MacOSRoman", 10000},
	{65536, "Proprietary", 0},
	{0x8c000100, "UTF32String", 12000},
	{0x90000100, "UTF16BigEndian", 1201},
	{0x94000100, "UTF16LittleEndian", 1200},
	{0x98000100, "UTF32BigEndian", 12001},
	{0x9c000100, "UTF32LittleEndian", 12000},
}
