package alg

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownNameError reports a name in a preference list that no row of the
// table carries. It is an error and not a warning, because a list with a
// misspelled name is weaker than what its author meant.
type UnknownNameError struct {
	Name  string   // as written, without its sign
	Known []string // the names that would have been accepted
}

func (e *UnknownNameError) Error() string {
	return fmt.Sprintf("alg: unknown algorithm %q: known are %s", e.Name, strings.Join(e.Known, ","))
}

// SpecError reports a preference list that cannot be understood or that leaves
// nothing to offer.
type SpecError struct {
	Spec string // the whole list as written
	Why  string
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("alg: algorithm list %q: %s", e.Spec, e.Why)
}

// Resolve turns a preference list as written in a setting into the names to
// offer, most preferred first. The list is one of
//
//	""        the defaults
//	"a,b"     exactly a and b
//	"+a,b"    the defaults, and a and b after them
//	"-a,b*"   the defaults without a and without what begins with b
//	"^a,b"    a and b first, then the rest of the defaults
//
// and edits may follow one another, each sign holding until the next:
// "^a,-b,+c". Patterns, with * and ? as in a shell, are for removal only: a
// pattern that adds would enable algorithms its author never read about.
// White space around names is ignored, a name given twice counts once.
//
// A name, or a pattern for removal, that fits none of known is an
// [*UnknownNameError]. An empty element, a list of names followed by edits and
// an empty result are a [*SpecError]. The arguments are not changed, and the
// result shares no memory with them.
func Resolve(spec string, known, defaults []string) ([]string, error) {
	if strings.TrimSpace(spec) == "" {
		return checkNotEmpty(spec, unique(defaults))
	}

	var list []string
	var sign byte // of the edit that runs, 0 for a list that replaces the defaults
	var front []string
	for i, elem := range strings.Split(spec, ",") {
		name := strings.TrimSpace(elem)
		if name != "" && strings.IndexByte("+-^", name[0]) >= 0 {
			if i > 0 && sign == 0 {
				return nil, &SpecError{spec, "edits cannot follow a list that replaces the defaults"}
			}
			// "^a,b" must end as a, b: names wait in front until their edit ends.
			list, front = putFirst(front, list), nil
			sign, name = name[0], strings.TrimSpace(name[1:])
		}
		if i == 0 && sign != 0 {
			list = unique(defaults)
		}
		if name == "" {
			return nil, &SpecError{spec, "empty name"}
		}

		if sign == '-' {
			fits := func(n string) bool { return match(name, n) }
			if !slices.ContainsFunc(known, fits) {
				return nil, &UnknownNameError{name, slices.Clone(known)}
			}
			list = slices.DeleteFunc(list, fits)
			continue
		}
		if !slices.Contains(known, name) {
			return nil, &UnknownNameError{name, slices.Clone(known)}
		}
		if sign == '^' {
			front = append(front, name)
		} else {
			list = append(list, name)
		}
	}
	return checkNotEmpty(spec, unique(putFirst(front, list)))
}

func checkNotEmpty(spec string, list []string) ([]string, error) {
	if len(list) == 0 {
		return nil, &SpecError{spec, "no algorithm is left"}
	}
	return list, nil
}

func putFirst(front, rest []string) []string {
	return unique(append(slices.Clone(front), rest...))
}

// unique returns a copy of list in which each name stands where it stood first.
func unique(list []string) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// match reports whether name fits the pattern, where * stands for any
// characters and ? for one. It goes back only to the last *, so its time is
// bounded by the product of the lengths, and it takes no [ and no \: path.Match
// would give a meaning to characters that may stand in a name.
func match(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // where the last * was, and where in name it was tried
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
