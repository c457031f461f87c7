package sftp

import (
	"context"
	"iter"
	"slices"
)

// WalkEntry is one entry that Walk comes to.
type WalkEntry struct {
	Path  string // the root that Walk was given, and below it what the listings say
	Depth int    // 0 is the root
	Attrs *Attrs // of a symlink itself, but for the root

	skip *bool
}

// SkipDir keeps Walk from listing this directory. It has no effect on anything else, nor
// after the iteration has moved on.
func (e *WalkEntry) SkipDir() { *e.skip = true }

// Walk visits the tree at root: root itself, then everything in it, each directory before its
// content, one directory at a time in the order in which the server lists it. Symlinks are not
// followed, except root itself. The entry is valid until the next one.
//
// An error comes with an entry that has only its path, and the walk continues elsewhere, unless ctx
// or the connection has ended. Directories nested more than 256 deep are errors. The number of
// entries is up to the server; bound it yourself if that matters.
func (c *Client) Walk(ctx context.Context, root string) iter.Seq2[*WalkEntry, error] {
	return func(yield func(*WalkEntry, error) bool) {
		w := walk{c: c, ctx: ctx, yield: yield}
		a, err := c.Stat(ctx, root)
		if !w.visit(WalkEntry{Path: root, Attrs: a}, err) {
			return
		}
		for len(w.todo) > 0 {
			last := len(w.todo) - 1
			dir := w.todo[last]
			w.todo = w.todo[:last]
			if !w.list(dir) {
				return
			}
			slices.Reverse(w.todo[last:])
		}
	}
}

// walk is the state of one Walk.
type walk struct {
	c     *Client
	ctx   context.Context
	yield func(*WalkEntry, error) bool
	entry WalkEntry // the one that is visited
	skip  bool      // SkipDir was called for it
	todo  []walkDir // directories to list, the next one last
}

// A walkDir is a directory that is still to be listed.
type walkDir struct {
	path  string
	depth int
}

// list visits the entries of a directory. It returns false when the walk is over.
func (w *walk) list(d walkDir) bool {
	for entry, err := range w.c.ReadDir(w.ctx, d.path) {
		e := WalkEntry{Path: d.path, Depth: d.depth}
		if err == nil {
			e = WalkEntry{Path: joinRemote(d.path, entry.Name), Depth: d.depth + 1, Attrs: &entry.Attrs}
			if t := entry.Attrs.Type(); t == TypeNone || t == TypeUnknown {
				e.Attrs, err = w.c.Lstat(w.ctx, e.Path)
			}
		}
		if err == nil && e.Attrs.IsDir() && e.Depth > defaultMaxDepth {
			err = pathError("walk", e.Path, errDepth)
		}
		if !w.visit(e, err) {
			return false
		}
		if err != nil && (w.ctx.Err() != nil || w.c.ended()) {
			return false
		}
	}
	return true
}

// visit hands out an entry and, if it is a directory, puts it on the list of those to do.
// It returns false when the walk is over.
func (w *walk) visit(e WalkEntry, err error) bool {
	w.entry, w.skip = e, false
	w.entry.skip = &w.skip
	if !w.yield(&w.entry, err) {
		return false
	}
	if err == nil && e.Attrs.IsDir() && !w.skip {
		w.todo = append(w.todo, walkDir{e.Path, e.Depth})
	}
	return true
}

// ended reports whether the session is over.
func (c *Client) ended() bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
