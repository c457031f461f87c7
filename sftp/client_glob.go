package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
)

// Glob returns the names that match a pattern: path.Match for each element, and "**" as an
// element for any number of directories, also none. Only directories that can hold a match
// are listed, each once. An element without a wildcard may name a symlink, "*" goes through
// symlinks to directories, and "**" does not. Names come in the order of the server.
//
// A pattern that is malformed is path.ErrBadPattern before anything is asked. A directory
// that cannot be read is an error that comes with an empty name; matches elsewhere still
// come, unless ctx or the connection have ended.
func (c *Client) Glob(ctx context.Context, pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		elems, err := splitPattern(pattern)
		if err != nil {
			yield("", pathError("glob", pattern, err))
			return
		}
		g := globbing{c: c, ctx: ctx, elems: elems, yield: yield}
		first := globStep{at: g.closure([]int{0})}
		if strings.HasPrefix(pattern, "/") {
			first.path = "/"
		}
		if len(elems) > 0 {
			// "**" at the beginning matches the start directory, too, which has no name.
			first.at, _ = g.accepts(first.at)
		}
		g.stack = []globStep{first}
		for len(g.stack) > 0 {
			s := g.stack[len(g.stack)-1]
			g.stack = g.stack[:len(g.stack)-1]
			if !g.step(s) || ctx.Err() != nil || c.ended() {
				return
			}
		}
	}
}

// globbing is one Glob. The pattern is a machine whose states say how many of its elements
// are matched; a directory is visited once, with all the states it can be in, so that
// several "**" neither list anything twice nor answer a name twice.
type globbing struct {
	c     *Client
	ctx   context.Context
	elems []string
	yield func(string, error) bool
	stack []globStep
}

// globStep is a name and the states that it is in.
type globStep struct {
	path  string
	at    []int
	depth int
	isDir bool // known from a listing
}

// closure adds the states in which a "**" has matched no directory, or enough.
func (g *globbing) closure(at []int) []int {
	for i := 0; i < len(at); i++ {
		if p := at[i]; p < len(g.elems) && g.elems[p] == anyDirs && !slices.Contains(at, p+1) {
			at = append(at, p+1)
		}
	}
	return at
}

// accepts tells whether one of the states is the last one, and returns the others.
func (g *globbing) accepts(at []int) (others []int, ok bool) {
	others = slices.DeleteFunc(at, func(p int) bool { return p == len(g.elems) })
	return others, len(others) < len(at)
}

// step goes on from s. It returns false when the caller wants no more.
func (g *globbing) step(s globStep) bool {
	// Elements that name one thing need no listing.
	for len(s.at) == 1 && s.at[0] < len(g.elems) {
		elem, ok := literal(g.elems[s.at[0]])
		if !ok {
			break
		}
		s.path = joinRemote(s.path, elem)
		s.at, s.isDir = g.closure([]int{s.at[0] + 1}), false
	}
	var match bool
	if s.at, match = g.accepts(s.at); match && s.path != "" {
		if _, err := g.c.Lstat(g.ctx, s.path); err != nil {
			return noMatch(err) || g.yield("", err)
		}
		if !g.yield(s.path, nil) {
			return false
		}
	}
	if len(s.at) == 0 {
		return true
	}
	if s.path != "" && !s.isDir {
		// Version 3 cannot say "not a directory", so that is asked for, not tried out.
		a, err := g.c.Stat(g.ctx, s.path)
		switch {
		case err != nil:
			return noMatch(err) || g.yield("", err)
		case !mayBeDir(a):
			return true
		}
	}
	return g.list(s)
}

// noMatch reports whether err says that there is nothing by a name, which for a pattern is
// no error.
func noMatch(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func mayBeDir(a *Attrs) bool {
	t := a.Type()
	return t == TypeDirectory || t == TypeNone || t == TypeUnknown
}

// isDir tells whether an entry is a directory; some listings do not say.
// What cannot be looked at holds nothing that matches.
func (g *globbing) isDir(name string, a *Attrs) bool {
	if t := a.Type(); t != TypeNone && t != TypeUnknown {
		return t == TypeDirectory
	}
	a, err := g.c.Lstat(g.ctx, name)
	return err == nil && a.IsDir()
}

// list matches what is in the directory s.
func (g *globbing) list(s globStep) bool {
	dir := s.path
	if dir == "" {
		dir = "."
	}
	first := len(g.stack)
	for e, err := range g.c.ReadDir(g.ctx, dir) {
		if err != nil {
			if !noMatch(err) && !g.yield("", err) {
				return false
			}
			continue
		}
		var next, through []int // through: not by a "**", which follows no symlinks
		for _, p := range s.at {
			switch {
			case g.elems[p] == anyDirs:
				next = append(next, p)
			case matchElem(g.elems[p], e.Name):
				through = append(through, p+1)
			}
		}
		for _, p := range through {
			if !slices.Contains(next, p) {
				next = append(next, p)
			}
		}
		if len(next) == 0 {
			continue
		}
		name := joinRemote(s.path, e.Name)
		next, match := g.accepts(g.closure(next))
		if match && !g.yield(name, nil) {
			return false
		}
		isDir := g.isDir(name, &e.Attrs)
		if e.Attrs.Type() == TypeSymlink {
			next, _ = g.accepts(g.closure(through))
			if isDir = false; len(next) > 0 {
				a, err := g.c.Stat(g.ctx, name)
				isDir = err == nil && mayBeDir(a)
			}
		}
		if !isDir || len(next) == 0 {
			continue
		}
		if s.depth >= defaultMaxDepth {
			if !g.yield("", pathError("glob", name, errDepth)) {
				return false
			}
			continue
		}
		g.stack = append(g.stack, globStep{path: name, at: next, depth: s.depth + 1, isDir: true})
	}
	slices.Reverse(g.stack[first:])
	return true
}
