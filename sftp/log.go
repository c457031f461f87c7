package sftp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// plain makes text of a peer fit for an attribute of a log line: quoted if it
// has anything that does not print, such as controls, escapes and marks that
// turn the direction of writing. Handlers of log/slog let some of these pass.
func plain(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}
