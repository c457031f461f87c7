package settings

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A line is what one line of a file says.
type line struct {
	name  string // "" if the line says nothing
	value string
	given bool // a value is there, be it empty
}

// parseLine reads a line of a file:
//
//	# a comment
//	Name value up to the end  # a comment after a blank
//	Name=value
//	Name "value in quotes"    \" \\ \n \r \t and \x41 have their usual meaning
//	Name 'value in quotes'    nothing has a meaning
//
// The name may have an index, with any text in the brackets.
func parseLine(s string) (line, error) {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return line{}, &SyntaxError{"the line is not UTF-8 text; save the file as UTF-8"}
	}
	s = strings.TrimSpace(s)
	if s == "" || s[0] == '#' {
		return line{}, nil
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return line{}, &SyntaxError{fmt.Sprintf("control character %q; in quotes it can be written as \\x%02x", s[i:i+1], s[i])}
	}
	end := nameEnd(s)
	l := line{name: s[:end]}
	if l.name == "" {
		return line{}, &SyntaxError{"no name before ="}
	}
	rest := strings.TrimLeft(s[end:], blanks)
	if strings.HasPrefix(rest, "=") {
		l.given = true
		rest = strings.TrimLeft(rest[1:], blanks)
		if strings.HasPrefix(rest, "#") { // the blank before it was cut off
			rest = ""
		}
	}
	var err error
	switch {
	case rest == "" || (!l.given && rest[0] == '#'):
		return l, nil
	case rest[0] == '"':
		l.value, rest, err = doubleQuoted(rest)
	case rest[0] == '\'':
		l.value, rest, err = singleQuoted(rest)
	default:
		l.value, rest = rest, ""
		for _, mark := range []string{" #", "\t#"} {
			l.value, _, _ = strings.Cut(l.value, mark)
		}
		l.value = strings.TrimRight(l.value, blanks)
	}
	if err != nil {
		return line{}, err
	}
	if rest = strings.TrimLeft(rest, blanks); rest != "" && rest[0] != '#' {
		return line{}, &SyntaxError{"something stands behind the closing quote"} // not what: it may be half of a secret
	}
	l.given = true
	return l, nil
}

// nameEnd is where the name of a setting ends, its index included.
func nameEnd(s string) int {
	depth := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			depth = true
		case c == ']':
			depth = false
		case !depth && (c == ' ' || c == '\t' || c == '='):
			return i
		}
	}
	return len(s)
}

func singleQuoted(s string) (value, rest string, err error) {
	value, rest, ok := strings.Cut(s[1:], "'")
	if !ok {
		return "", "", &SyntaxError{"the closing ' is missing"}
	}
	return value, rest, nil
}

// escapes are the letters that have a meaning after a backslash.
var escapes = map[byte]byte{'"': '"', '\\': '\\', 'n': '\n', 'r': '\r', 't': '\t'}

func doubleQuoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
			if i == len(s) {
				return "", "", &SyntaxError{`the closing " is missing`}
			}
			if s[i] == 'x' {
				var n byte
				if i+2 >= len(s) || !hexByte(s[i+1:i+3], &n) {
					return "", "", &SyntaxError{`\x wants two hexadecimal digits`}
				}
				b.WriteByte(n)
				i += 2
				continue
			}
			e, ok := escapes[s[i]]
			if !ok {
				return "", "", &SyntaxError{fmt.Sprintf(`\%c has no meaning in double quotes; a backslash is \\, or take single quotes`, s[i])}
			}
			b.WriteByte(e)
		default:
			b.WriteByte(c)
		}
	}
	return "", "", &SyntaxError{`the closing " is missing`}
}

// hexByte reads two hexadecimal digits.
func hexByte(s string, n *byte) bool {
	*n = 0
	for i := range 2 {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if d < 0 {
			return false
		}
		*n = *n<<4 | byte(d)
	}
	return true
}

// quoteValue writes a value so that parseLine reads the same one.
func quoteValue(value string) string {
	plain := value != "" && strings.Trim(value, " ") == value && strings.IndexByte(`"'=#`, value[0]) < 0 && !strings.Contains(value, " #") && utf8.ValidString(value)
	for i := 0; plain && i < len(value); i++ {
		plain = value[i] >= ' ' && value[i] != 0x7f
	}
	// What TrimSpace takes for a blank at the end of a line may be none to us.
	if plain && strings.TrimSpace(value) == value {
		return value
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, valid := 0, utf8.ValidString(value); i < len(value); i++ {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f || (!valid && c >= 0x80):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
