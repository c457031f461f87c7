package sftp

import (
	"path"
	"strconv"
	"strings"
)

// anyDirs is the pattern element for any number of directories, also none.
const anyDirs = "**"

// splitPattern cuts a pattern into its elements and checks each: path.ErrBadPattern.
func splitPattern(pattern string) ([]string, error) {
	var elems []string
	for elem := range strings.SplitSeq(pattern, "/") {
		if elem == "" || elem == anyDirs && len(elems) > 0 && elems[len(elems)-1] == anyDirs {
			continue
		}
		if _, err := path.Match(elem, ""); err != nil {
			return nil, err
		}
		elems = append(elems, elem)
	}
	return elems, nil
}

// literal returns the one name that a pattern element matches, if it is one.
func literal(elem string) (name string, ok bool) {
	if !strings.ContainsAny(elem, `*?[\`) {
		return elem, true
	}
	var b strings.Builder
	for i := 0; i < len(elem); i++ {
		switch elem[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			i++ // the pattern is known to be good, so something follows
		}
		b.WriteByte(elem[i])
	}
	return b.String(), true
}

// matchElem is path.Match of one element whose pattern is known to be good.
func matchElem(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

// matchElems reports whether a path matches a pattern, both in elements. It takes time in
// the product of the two lengths, however many "**" there are, since a later "**" that
// fails need never be tried again from an earlier one.
func matchElems(pattern, elems []string) bool {
	p, e := 0, 0
	backP, backE := -1, 0 // where to go on when a match fails: behind the last "**", one element later
	for e < len(elems) {
		switch {
		case p < len(pattern) && pattern[p] == anyDirs:
			p++
			backP, backE = p, e
		case p < len(pattern) && matchElem(pattern[p], elems[e]):
			p++
			e++
		case backP >= 0:
			backE++
			p, e = backP, backE
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyDirs {
		p++
	}
	return p == len(pattern)
}

// filter is the include and exclude patterns of a tree.
type filter struct{ include, exclude []wildcard }

// wildcard is one pattern of a filter.
type wildcard struct {
	elems []string
	base  bool // without a slash: about the last element alone
}

func newFilter(include, exclude []string) (f filter, err error) {
	if f.include, err = wildcards(include); err != nil {
		return f, err
	}
	f.exclude, err = wildcards(exclude)
	return f, err
}

func wildcards(patterns []string) ([]wildcard, error) {
	list := make([]wildcard, 0, len(patterns))
	for _, p := range patterns {
		elems, err := splitPattern(p)
		if err != nil || len(elems) == 0 {
			return nil, errOption("pattern " + strconv.Quote(p) + ": " + path.ErrBadPattern.Error())
		}
		list = append(list, wildcard{elems: elems, base: !strings.Contains(p, "/")})
	}
	return list, nil
}

func (w *wildcard) match(elems []string) bool {
	if w.base {
		elems = elems[len(elems)-1:]
	}
	return matchElems(w.elems, elems)
}

// takes reports whether the entry at the slash-separated path rel is wanted. Directories
// need not match an include pattern, since what is in them may.
func (f *filter) takes(rel string, dir bool) bool {
	if len(f.include)+len(f.exclude) == 0 {
		return true
	}
	elems := strings.Split(rel, "/")
	for i := range f.exclude {
		if f.exclude[i].match(elems) {
			return false
		}
	}
	if dir || len(f.include) == 0 {
		return true
	}
	for i := range f.include {
		if f.include[i].match(elems) {
			return true
		}
	}
	return false
}
