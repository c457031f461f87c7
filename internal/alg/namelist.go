package alg

import (
	"fmt"
	"strings"
)

// MaxNameLen is the longest algorithm name allowed, in octets (RFC 4251 §6).
const MaxNameLen = 64

// NameListError reports a name-list of a peer that breaks RFC 4251 §6. The
// text quotes the offending name, so it can be logged as it is.
type NameListError struct {
	Name string // the offending name, cut to [MaxNameLen] octets
	Why  string
}

func (e *NameListError) Error() string {
	return fmt.Sprintf("alg: name-list: %q: %s", e.Name, e.Why)
}

// ParseNameList splits the content of a name-list (RFC 4251 §5) into names.
//
// The empty list is legal and has no names. Empty names ("a,,b", "a,") are not
// legal, but some peers send them and they stand for nothing, so they are
// skipped. A name that is longer than [MaxNameLen] octets or has an octet
// outside printable US-ASCII is refused with a [*NameListError]: it could only
// be an attempt on whoever prints it.
//
// The cost is linear in the length of s, and memory is taken once.
func ParseNameList(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	names := make([]string, 0, strings.Count(s, ",")+1)
	for name := range strings.SplitSeq(s, ",") {
		if name == "" {
			continue
		}
		if len(name) > MaxNameLen {
			return nil, &NameListError{name[:MaxNameLen], "longer than 64 octets"}
		}
		for i := range len(name) {
			if name[i] <= ' ' || name[i] > '~' {
				return nil, &NameListError{name, "octet outside printable US-ASCII"}
			}
		}
		names = append(names, name)
	}
	return names, nil
}

// IsPseudo reports whether name is a flag that travels in the key exchange
// list without being an algorithm: the extension indicators of RFC 8308 §2.1
// and the strict key exchange markers of OpenSSH. They are never chosen and
// never the first name of a list, wherever they stand in it.
func IsPseudo(name string) bool {
	return name == "ext-info-c" || name == "ext-info-s" || strings.HasPrefix(name, "kex-strict-")
}
