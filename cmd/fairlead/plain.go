package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes text of a server fit for a terminal: what does not print is escaped, so
// that no name moves the cursor, forges a line, or turns one around (cves 9.1, 9.7).
func plain(s string) string { return escape(s, func(r rune) bool { return unicode.IsPrint(r) }) }

// plainLines is plain for text of several lines, which it keeps apart.
func plainLines(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return escape(s, func(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\t' })
}

func escape(s string, keep func(rune) bool) string {
	at := 0 // up to here all is kept
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		if r == utf8.RuneError && n == 1 || !keep(r) {
			break
		}
		at += n
	}
	if at == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[at])
		case keep(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xFFFF:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		at += n
	}
	return b.String()
}
