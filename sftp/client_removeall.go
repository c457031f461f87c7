package sftp

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"sync"
)

// How RemoveAll works: so many REMOVEs are under way at a time, and so often a directory is listed. More than once it is
// when names were removed from it and it is not empty: servers may pass over names while others go.
const (
	removeWorkers = 16
	removeRounds  = 4
)

// RemoveAll removes name and, if it is a directory, all that is in it. A name that does not exist is no error. Symlinks are
// removed, and not followed: but what somebody puts in the place of a directory meanwhile is the server's to resolve.
//
// What cannot be removed does not keep the rest: the error is the first of all, unless ctx or the connection have ended.
// Directories more than 256 deep are errors.
func (c *Client) RemoveAll(ctx context.Context, name string) error {
	a, err := c.Lstat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := remover{c: c, free: make(chan struct{}, removeWorkers)}
	if !a.IsDir() {
		r.failed(c.Remove(ctx, name))
		return r.err
	}
	r.stack = []removal{{path: name}}
	for len(r.stack) > 0 && ctx.Err() == nil && !c.ended() {
		r.step(ctx)
	}
	if err := context.Cause(ctx); err != nil {
		return pathError("remove", name, err)
	}
	return r.err
}

// remover is a RemoveAll that is under way.
type remover struct {
	c     *Client
	stack []removal     // directories; those inside of one are above it
	free  chan struct{} // has an element for each REMOVE that is under way

	mu     sync.Mutex
	err    error // the first
	errors int
}

// removal is a directory that is to go.
type removal struct {
	path   string
	depth  int
	rounds int  // how often it was listed
	failed int  // how much had failed before the last time
	found  bool // there was something in it then
}

// step lists the directory on top of the stack, or removes it once nothing in it is left to do.
func (r *remover) step(ctx context.Context) {
	top := len(r.stack) - 1
	d := &r.stack[top]
	if d.rounds > 0 {
		err := r.c.Rmdir(ctx, d.path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			r.stack = r.stack[:top]
			return
		}
		if !d.found || d.failed != r.failures() || d.rounds == removeRounds {
			r.failed(err)
			r.stack = r.stack[:top]
			return
		}
	}
	d.rounds++
	d.failed, d.found = r.failures(), false
	dir, depth := d.path, d.depth
	var under sync.WaitGroup
	for e, err := range r.c.ReadDir(ctx, dir) {
		if err != nil {
			r.failed(err)
			if ctx.Err() != nil || r.c.ended() {
				break
			}
			continue
		}
		r.stack[top].found = true
		name := joinRemote(dir, e.Name)
		isDir := e.Attrs.IsDir()
		if t := e.Attrs.Type(); t == TypeNone || t == TypeUnknown {
			a, err := r.c.Lstat(ctx, name)
			isDir = err == nil && a.IsDir() // or REMOVE tells what is wrong
		}
		switch {
		case isDir && depth == defaultMaxDepth:
			r.failed(pathError("remove", name, errDepth))
		case isDir:
			r.stack = append(r.stack, removal{path: name, depth: depth + 1})
		default:
			r.free <- struct{}{}
			under.Go(func() {
				defer func() { <-r.free }()
				if err := r.c.Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					r.failed(err)
				}
			})
		}
	}
	under.Wait()
}

// failed keeps the first error, and counts; nil is none.
func (r *remover) failed(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors++
	r.err = cmp.Or(r.err, err)
}

// failures is how much has failed.
func (r *remover) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errors
}
