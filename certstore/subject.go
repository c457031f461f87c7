package certstore

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// subjectFields are the attributes of distinguished names by the names that
// they have in text: first the one that is printed. SFTPServer's seven come
// first.
var subjectFields = []struct {
	oid   string
	names []string
	doc   string
}{
	{"2.5.4.3", []string{"CN"}, "common name"},
	{"2.5.4.10", []string{"O"}, "organization"},
	{"2.5.4.11", []string{"OU"}, "organizational unit"},
	{"2.5.4.7", []string{"L"}, "locality"},
	{"2.5.4.8", []string{"S", "ST", "SP"}, "state or province"},
	{"2.5.4.6", []string{"C"}, "country"},
	{"1.2.840.113549.1.9.1", []string{"E", "EMAILADDRESS", "EMAIL"}, "e-mail address"},
	{"2.5.4.5", []string{"SERIALNUMBER"}, "serial number of a person or device"},
	{"2.5.4.9", []string{"STREET"}, "street"},
	{"2.5.4.17", []string{"POSTALCODE"}, "postal code"},
	{"2.5.4.12", []string{"T", "TITLE"}, "title"},
	{"2.5.4.4", []string{"SN", "SURNAME"}, "surname"},
	{"2.5.4.42", []string{"G", "GN", "GIVENNAME"}, "given name"},
	{"0.9.2342.19200300.100.1.25", []string{"DC"}, "part of a domain"},
	{"0.9.2342.19200300.100.1.1", []string{"UID"}, "user id"},
}

// attribute is a part of a distinguished name.
type attribute struct {
	oid   string // dotted
	value string
	more  bool // stands in one relative name with the one before it
}

// fieldOID returns the OID of an attribute's name in text, which may be one
// itself.
func fieldOID(name string) (string, bool) {
	name = strings.ToUpper(strings.TrimSpace(name))
	for _, f := range subjectFields {
		if slices.Contains(f.names, name) {
			return f.oid, true
		}
	}
	dotted := strings.TrimPrefix(name, "OID.")
	if dotted == "" || strings.Trim(dotted, "0123456789.") != "" || !strings.Contains(dotted, ".") {
		return "", false
	}
	return dotted, true
}

// parseName reads the distinguished name of a certificate, the last attribute
// first, as RFC 4514 section 2.1 prints them.
func parseName(der []byte) []attribute {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return nil // not after crypto/x509 has read it
	}
	var out []attribute
	for _, rdn := range slices.Backward(rdns) {
		for i, a := range rdn {
			out = append(out, attribute{a.Type.String(), nameValue(a.Value), i > 0})
		}
	}
	return out
}

// nameValue prints what is not a string as in RFC 4514 section 2.4.
func nameValue(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if v == nil {
		return "#"
	}
	der, err := asn1.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return "#" + hex.EncodeToString(der)
}

// printName is the text of a name: CN=www.example.com, O="Example, Inc.", C=US.
func printName(name []attribute) string {
	var b strings.Builder
	for i, a := range name {
		switch {
		case a.more:
			b.WriteString(" + ")
		case i > 0:
			b.WriteString(", ")
		}
		field := "OID." + a.oid
		for _, f := range subjectFields {
			if f.oid == a.oid {
				field = f.names[0]
			}
		}
		b.WriteString(field + "=" + quoteValue(a.value))
	}
	return b.String()
}

// quoteValue puts a value into quotes if it has characters that mean something
// in a name. In quotes, those that would end them or the line are escaped.
func quoteValue(v string) string {
	special := func(r rune) bool {
		return strings.ContainsRune(`,+="<>#;\`, r) || r < ' ' || r == 0x7F || r == utf8.RuneError
	}
	if v != "" && strings.TrimSpace(v) == v && !strings.ContainsFunc(v, special) {
		return v
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRuneInString(v[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + v[i:i+n])
		case r < ' ' || r == 0x7F || r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\%02X`, v[i])
		default:
			b.WriteString(v[i : i+n])
		}
		i += n
	}
	return b.String() + `"`
}

// parseSubject reads the text of a name or of a part of one: fields separated
// by commas (semicolons, or plus signs in front of another field), values with
// commas in quotes, a quote in quotes doubled, and the escapes of RFC 4514
// section 2.4. It fails on anything else.
func parseSubject(s string) ([]attribute, bool) {
	var out []attribute
	more := false
	for {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, false
		}
		oid, ok := fieldOID(name)
		if !ok {
			return nil, false
		}
		value, rest, ok := subjectValue(rest)
		if !ok {
			return nil, false
		}
		out = append(out, attribute{oid, value, more})
		if rest == "" {
			return out, true
		}
		more, s = rest[0] == '+', rest[1:]
	}
}

// subjectValue reads a value and returns what follows it: nothing, or a
// separator and more.
func subjectValue(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	quoted := strings.HasPrefix(s, `"`)
	i := 0
	if quoted {
		i++
	}
	var b []byte
	kept := 0 // octets of b that are no blanks at its end
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			var n int
			if c, n = unescape(s[i+1:]); n == 0 {
				return "", "", false
			}
			i += n
			b = append(b, c)
			kept = len(b)
			continue
		case c == '"' && quoted:
			if strings.HasPrefix(s[i+1:], `"`) {
				i++
				break
			}
			rest = strings.TrimLeft(s[i+1:], " ")
			return string(b), rest, rest == "" || separates(rest)
		case !quoted && separates(s[i:]):
			return string(b[:kept]), s[i:], true
		}
		b = append(b, c)
		if c != ' ' || quoted {
			kept = len(b)
		}
	}
	return string(b[:kept]), "", !quoted
}

// unescape reads what follows a backslash: two digits, or a character.
func unescape(s string) (byte, int) {
	if len(s) >= 2 {
		if p, err := hex.DecodeString(s[:2]); err == nil {
			return p[0], 2
		}
	}
	if s == "" {
		return 0, 0
	}
	return s[0], 1
}

// separates tells whether s begins with a separator. A plus sign is one only in
// front of a field, since values have it without quotes.
func separates(s string) bool {
	switch s[0] {
	case ',', ';':
		return true
	case '+':
		name, _, ok := strings.Cut(s[1:], "=")
		const longest = 64 // keeps a value of plus signs from being read once for each
		if !ok || len(name) > longest {
			return false
		}
		_, ok = fieldOID(name)
		return ok
	}
	return false
}

// has tells whether every attribute of want is in name. Upper and lower case
// and blanks do not count (RFC 5280 section 7.1), nor does the order, of which
// there are two in use.
func has(name, want []attribute) bool {
	left := slices.Clone(name)
	for _, w := range want {
		i := slices.IndexFunc(left, func(a attribute) bool { return a.oid == w.oid && strings.EqualFold(blanks(a.value), blanks(w.value)) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

func blanks(s string) string { return strings.Join(strings.Fields(s), " ") }
