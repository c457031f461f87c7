package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// remoteTree is a directory of a server as source or target of a tree.
type remoteTree struct {
	c    *Client
	root string
	real string // the root's absolute path; only with FollowLinks
	o    *TreeOptions
}

func (r *remoteTree) path(rel string) string {
	if rel == "" {
		return r.root
	}
	return joinRemote(r.root, rel)
}

func (r *remoteTree) list(ctx context.Context, rel string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { r.c.listing(ctx, r.path(rel), yield) }
}

func (r *remoteTree) lstat(ctx context.Context, rel string) (*Attrs, error) {
	return r.c.Lstat(ctx, r.path(rel))
}

func (r *remoteTree) readLink(ctx context.Context, rel string) (string, error) {
	return r.c.ReadLink(ctx, r.path(rel))
}

// remotePlace is the absolute path of a directory of a server.
type remotePlace string

func (p remotePlace) same(other place) bool { return p == other }

// follow asks the server where a link leads to, and believes it: the server chooses what it
// sends in any case.
func (r *remoteTree) follow(ctx context.Context, rel string) (*Attrs, place, error) {
	real, err := r.c.resolved(ctx, r.path(rel))
	if err != nil {
		return nil, nil, err
	}
	if !pathWithin(real, r.real) {
		return nil, nil, errOutside
	}
	a, err := r.c.Stat(ctx, r.path(rel))
	if err != nil {
		return nil, nil, err
	}
	return a, remotePlace(real), nil
}

// resolved is RealPath with all symlinks resolved, of something that is there. Version 6
// does that on request only; what others do about a missing last element differs.
func (c *Client) resolved(ctx context.Context, name string) (string, error) {
	control := RealPathDefault
	if c.version >= fxp.V6 {
		control = RealPathStatAlways
	}
	real, _, err := c.RealPathOpt(ctx, name, control)
	return real, err
}

// pathWithin reports whether a clean absolute path is root or lies below it.
func pathWithin(name, root string) bool {
	return name == root || strings.HasPrefix(name, strings.TrimSuffix(root, "/")+"/")
}

func (r *remoteTree) place(parent place, _, name string) place {
	p, ok := parent.(remotePlace)
	if !ok {
		return nil
	}
	return remotePlace(strings.TrimSuffix(string(p), "/") + "/" + name)
}

// spell is the server's own way, or what is in a name of this host.
func (r *remoteTree) spell(e *Entry) string { return e.Name }

func (r *remoteTree) badName(name string) string { return badName(name) }

func (r *remoteTree) linkStays(rel, text string) bool { return linkStaysInside(rel, text, false) }

func (r *remoteTree) mkdir(ctx context.Context, rel string, mode uint32, hasMode bool) error {
	var a *Attrs
	if hasMode {
		a = &Attrs{Valid: AttrMode, Mode: mode & 0o777, Kind: TypeDirectory}
	}
	name := r.path(rel)
	err := r.c.Mkdir(ctx, name, a)
	if err == nil {
		return nil
	}
	if _, refused := errors.AsType[*StatusError](err); !refused {
		return err
	}
	// Version 3 has no word for a directory that is there. A symlink to one is not good
	// enough: it may lead out of the tree.
	st, serr := r.c.Lstat(ctx, name)
	switch {
	case serr != nil:
		return err
	case !st.IsDir():
		return &fs.PathError{Op: "mkdir", Path: name, Err: errNotDir}
	}
	return nil
}

func (r *remoteTree) symlink(ctx context.Context, rel, text string) error {
	name := r.path(rel)
	err := r.c.Symlink(ctx, text, name)
	if _, refused := errors.AsType[*StatusError](err); !refused {
		return err
	}
	st, serr := r.c.Lstat(ctx, name)
	switch {
	case serr != nil:
		return err
	case r.o.IfExists != Overwrite || st.IsDir():
		return &fs.PathError{Op: "symlink", Path: name, Err: fs.ErrExist}
	}
	if err := r.c.Remove(ctx, name); err != nil {
		return err
	}
	return r.c.Symlink(ctx, text, name)
}

func (r *remoteTree) setDir(ctx context.Context, rel string, a *Attrs) error {
	var set Attrs
	if mask := r.o.modeMask(); mask != 0 && a.Has(AttrMode) {
		set.Valid, set.Mode = AttrMode, a.Mode&mask
	}
	if r.o.Preserve&PreserveTimes != 0 {
		set.Valid |= a.Valid & AttrTimes
		set.Atime, set.Mtime = a.Atime, a.Mtime
	}
	if set.Valid == 0 {
		return nil
	}
	return r.c.SetStat(ctx, r.path(rel), &set)
}
