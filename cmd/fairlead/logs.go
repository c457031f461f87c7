package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// addrText makes the text of a network address its value in the log, which in
// JSON would be an object with parts.
func addrText(_ []string, a slog.Attr) slog.Attr {
	if addr, ok := a.Value.Any().(net.Addr); ok {
		a.Value = slog.StringValue(addr.String())
	}
	return a
}

// An escaper passes lines of a log on with everything escaped that is not for
// printing. In JSON slog escapes little but what is below U+0020, and in text it
// leaves DEL; a terminal that shows the log obeys U+009B as it does ESC [, or turns
// the text round (cves 9.1). JSON means the same as before.
type escaper struct{ w io.Writer }

// Write takes whole lines, as a slog.Handler writes them.
func (e escaper) Write(line []byte) (int, error) {
	var out []byte // nil as long as all is plain
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		switch {
		case r == '\n' || unicode.IsPrint(r):
			if out != nil {
				out = append(out, line[i:i+n]...)
			}
		default:
			if out == nil {
				out = append(make([]byte, 0, len(line)+16), line[:i]...)
			}
			if r1, r2 := utf16.EncodeRune(r); r1 != unicode.ReplacementChar {
				out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
		}
		i += n
	}
	if out == nil {
		return e.w.Write(line)
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
