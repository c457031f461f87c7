package sftpserver

import (
	"context"
	"fmt"
	"sync"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// roots are the local directories that are served. That of the server is open as long as
// the server is, those of users while they have sessions, which share them: there may be
// more users than a process can have directories open.
type roots struct {
	readOnly bool
	locks    *sftp.LockTable

	mu sync.Mutex
	by map[rootKey]*root
}

// rootKey is a directory of the host, and one inside of it that is confined to.
type rootKey struct{ dir, home string }

type root struct {
	*osfs.FS
	users int
}

func newRoots(o *Options, locks *sftp.LockTable) (*roots, error) {
	r := &roots{readOnly: o.ReadOnly, locks: locks, by: make(map[rootKey]*root)}
	if o.RootDirectory != "" {
		if _, err := r.open(rootKey{dir: o.RootDirectory}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// open opens a root, or takes one that is open. Whoever asks calls leave.
func (r *roots) open(key rootKey) (*osfs.FS, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.by[key]
	if f == nil {
		made, err := r.make(key)
		if err != nil {
			return nil, fmt.Errorf("sftpserver: root directory: %w", err)
		}
		f = &root{FS: made}
		r.by[key] = f
	}
	f.users++
	return f.FS, nil
}

func (r *roots) make(key rootKey) (*osfs.FS, error) {
	o := osfs.Options{ReadOnly: r.readOnly, Locks: r.locks}
	f, err := osfs.New(key.dir, o)
	if err != nil || key.home == "" {
		return f, err
	}
	defer f.Close()
	return f.Sub(key.home, o)
}

func (r *roots) leave(key rootKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.by[key]; f != nil {
		if f.users--; f.users == 0 {
			_ = f.Close()
			delete(r.by, key)
		}
	}
}

func (r *roots) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.by {
		_ = f.Close()
	}
	clear(r.by)
}

// A hold has the roots that a session uses.
type hold struct {
	roots *roots
	keys  []rootKey
}

type holdKey struct{}

// hold lets a session open roots, until done.
func (r *roots) hold(ctx context.Context) (_ context.Context, done func()) {
	h := &hold{roots: r}
	return context.WithValue(ctx, holdKey{}, h), func() {
		for _, key := range h.keys {
			r.leave(key)
		}
	}
}

func (h *hold) open(key rootKey) (*osfs.FS, error) {
	f, err := h.roots.open(key)
	if err == nil {
		h.keys = append(h.keys, key)
	}
	return f, err
}

// fileSystem is what the user of c sees. With a root of the user's own, the home
// directory is one inside of that.
func (e *engine) fileSystem(ctx context.Context, c *Connection) (sftp.FileSystem, error) {
	home, confined := c.HomeDir(), c.RestrictUserToHomeDir()
	confined = confined && home != "/"
	if e.FileSystem != nil {
		fsys, err := e.FileSystem(ctx, c)
		if err != nil || fsys == nil || home == "/" && !confined {
			return fsys, err
		}
		if confined {
			return nil, errConfined
		}
		return &startFS{fsys, home}, nil
	}
	dir := c.localRoot()
	if dir == "" {
		return sftp.Unsupported{}, nil
	}
	h, ok := ctx.Value(holdKey{}).(*hold)
	if !ok {
		return nil, errNoHold
	}
	key := rootKey{dir: dir}
	if confined {
		key.home = home
	}
	f, err := h.open(key)
	switch {
	case err != nil:
		return nil, err
	case confined:
		return &homeFS{f, home}, nil
	case home != "/":
		return &startFS{f, home}, nil
	}
	return f, nil
}
