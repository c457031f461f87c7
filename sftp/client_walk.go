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
		var skip bool
		e := WalkEntry{Path: root, skip: &skip}
		a, err := c.Stat(ctx, root)
		if err != nil {
			yield(&e, err)
			return
		}
		e.Attrs = a
		if !yield(&e, nil) || skip || !a.IsDir() {
			return
		}
		type dir struct {
			path  string
			depth int
		}
		// A stack, and of each directory the first on top. What is on it are names of
		// directories only.
		stack := []dir{{root, 0}}
		for len(stack) > 0 {
			d := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			first := len(stack)
			for entry, err := range c.ReadDir(ctx, d.path) {
				e = WalkEntry{Path: d.path, Depth: d.depth, skip: &skip}
				if err == nil {
					e.Path, e.Depth = joinRemote(d.path, entry.Name), d.depth+1
					e.Attrs = &entry.Attrs
					if t := entry.Attrs.Type(); t == TypeNone || t == TypeUnknown {
						if e.Attrs, err = c.Lstat(ctx, e.Path); err != nil {
							e.Attrs = nil
						}
					}
				}
				if err == nil && e.Attrs.IsDir() && e.Depth > defaultMaxDepth {
					err = pathError("walk", e.Path, errDepth)
				}
				skip = false
				if !yield(&e, err) {
					return
				}
				if err == nil && e.Attrs.IsDir() && !skip {
					stack = append(stack, dir{e.Path, e.Depth})
				}
				if err != nil && (ctx.Err() != nil || c.ended()) {
					return
				}
			}
			slices.Reverse(stack[first:])
		}
	}
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
