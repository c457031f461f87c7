package codepage

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPages walks the table: every page is either found by number and name and can say all
// of ASCII that a path may hold, or is refused by its number.
func TestPages(t *testing.T) {
	const ascii = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
	seen := map[uint32]bool{}
	supported := 0
	for i := range All() {
		p := &All()[i]
		if seen[p.Number] || p.About == "" {
			t.Errorf("%d: twice, or nothing said about it", p.Number)
		}
		seen[p.Number] = true
		got, err := Find(p.Number)
		if !p.Supported() {
			if !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), p.About) {
				t.Errorf("%d: %v", p.Number, err)
			}
			continue
		}
		supported++
		if got != p || err != nil || p.Name == "" {
			t.Errorf("%d: found %v, %v", p.Number, got, err)
		}
		if by, err := FindName(p.Name); err != nil || by.Name != p.Name {
			t.Errorf("%d: %q is not found: %v", p.Number, p.Name, err)
		}
		wire, err := p.Encoding().NewEncoder().String(ascii)
		if err != nil {
			t.Errorf("%d: %v", p.Number, err)
			continue
		}
		if text, err := p.Encoding().NewDecoder().String(wire); err != nil || text != ascii {
			t.Errorf("%d: ASCII comes back as %q, %v", p.Number, text, err)
		}
	}
	if len(seen) != 150 || supported != 72 {
		t.Errorf("%d pages, %d supported", len(seen), supported)
	}
}

// TestOwnTables checks the pages that are ours character by character: every octet that is
// one comes back, and what is known of each from elsewhere is so.
func TestOwnTables(t *testing.T) {
	known := map[uint32]map[byte]rune{
		500: {0xC1: 'A', 0x4A: '[', 0x4F: '!'}, 720: {0x82: 'é', 0x98: 'ء', 0x9F: 'ا'}, 737: {0x80: 'Α', 0x98: 'α'},
		775: {0x80: 'Ć', 0xD3: 'ė'}, 857: {0x98: 'İ', 0x8D: 'ı', 0x9F: 'ş'}, 861: {0x8B: 'Ð', 0x8D: 'Þ'},
		869: {0x86: 'Ά', 0xD6: 'α'}, 10006: {0xE1: 'α', 0xB0: 'Α'}, 10010: {0xAF: 'Ș', 0xDE: 'Ț'},
		10029: {0x87: 'á', 0xB8: 'ł'}, 10079: {0xDC: 'Ð', 0xDE: 'Þ'}, 10081: {0xDA: 'Ğ', 0xDD: 'ı'}, 10082: {0xA9: 'Š', 0xE6: 'ć'},
	}
	for i := range All() {
		p := &All()[i]
		if !p.Supported() {
			continue
		}
		s, ok := p.Encoding().(single)
		if !ok {
			continue
		}
		if want := known[p.Number]; want == nil && p.Number != 20127 {
			t.Errorf("%d: nothing is known of it", p.Number)
		}
		if n := utf8.RuneCountInString(s.table); n != 0 && n != 128 && n != 256 {
			t.Errorf("%d: %d characters", p.Number, n)
		}
		for b := range 256 {
			text, err := s.NewDecoder().String(string([]byte{byte(b)}))
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := known[p.Number][byte(b)]; ok && text != string(want) {
				t.Errorf("%d: %#x is %q, not %q", p.Number, b, text, want)
			}
			wire, err := s.NewEncoder().String(text)
			switch {
			case text == "\uFFFD":
				if !errors.Is(err, errRepertoire) {
					t.Errorf("%d: U+FFFD encodes as %q, %v", p.Number, wire, err)
				}
			case err != nil || wire != string([]byte{byte(b)}):
				t.Errorf("%d: %#x is %q, which encodes as %q, %v", p.Number, b, text, wire, err)
			}
		}
	}
	long := strings.Repeat("Ά", 10000)
	wire, err := single{table869}.NewEncoder().String(long)
	if err != nil || len(wire) != 10000 {
		t.Fatal(len(wire), err)
	}
	if text, err := (single{table869}).NewDecoder().String(wire); err != nil || text != long {
		t.Error(err)
	}
}

// TestApple: Apple's numbers are refused, with the number to use where there is one.
func TestApple(t *testing.T) {
	for _, a := range apples {
		_, err := Find(a.number)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), a.name) || strings.Contains(err.Error(), "use") != (a.use != 0) {
			t.Errorf("%d: %v", a.number, err)
		}
		if a.use != 0 {
			if _, err := Find(a.use); err != nil {
				t.Errorf("%d: %v", a.number, err)
			}
		}
	}
	if _, err := Find(4); err == nil || err.Error() != "codepage: 0x4 is Apple's number of UTF8, use 65001: code page is not supported: unsupported operation" {
		t.Error(err)
	}
}

// TestFindName: names, numbers and aliases, in any case.
func TestFindName(t *testing.T) {
	for name, want := range map[string]uint32{
		"ISO-8859-15": 28605, "iso-8859-15": 28605, "cp1252": 1252, "CP437": 437, "1251": 1251, "windows-1250": 1250,
		"IBM850": 850, "utf-8": 65001, "UTF8": 65001, "Shift_JIS": 932, "latin1": 28591, "GBK": 936, "gb2312": 20936,
	} {
		if p, err := FindName(name); err != nil || p.Number != want {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	for _, a := range aliases {
		if p, err := FindName(a.name); err != nil || p.Number != a.number {
			t.Errorf("%s: %v, %v", a.name, p, err)
		}
	}
	for _, name := range []string{"", "cp", "windows-", "cp1361", "klingon", "-1", "99999999999", strings.Repeat("x", 1000)} {
		if p, err := FindName(name); !errors.Is(err, ErrUnsupported) || p != nil {
			t.Errorf("%s: %v, %v", name, p, err)
		} else if len(err.Error()) > 200 {
			t.Errorf("error of %d octets", len(err.Error()))
		}
	}
}
