package memfs

import (
	"context"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// file is an open file.
type file struct {
	sftp.UnsupportedFile
	fs                     *FS
	node                   *node
	name                   string
	locks                  *sftp.LockHandle
	doomed                 *entry // what Close removes; nil: nothing
	reads, writes, appends bool
	closed                 atomic.Bool
}

// ReadAt reads; holes are zeros.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, sftp.CodeInvalidHandle
	case !f.reads:
		return 0, sftp.CodePermissionDenied
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if err := f.locks.Check(false, off, int64(len(p))); err != nil {
		return 0, err
	}
	return f.node.data.readAt(p, off)
}

// WriteAt writes all of p or nothing, at the end in append mode.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, sftp.CodeInvalidHandle
	case !f.writes:
		return 0, sftp.CodePermissionDenied
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if f.appends {
		off = f.node.data.size
	}
	if err := f.locks.Check(true, off, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := f.node.data.writeAt(f.fs, p, off)
	if n > 0 {
		f.node.mtime = f.fs.opt.Now()
		f.node.ctime = f.node.mtime
	}
	return n, err
}

// Stat answers FSTAT.
func (f *file) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	a := new(sftp.Attrs)
	f.fs.attrs(f.node, a, want)
	return a, nil
}

// SetStat answers FSETSTAT.
func (f *file) SetStat(ctx context.Context, a *sftp.Attrs) error {
	if err := f.fs.writable(ctx); err != nil {
		return err
	}
	c, err := f.fs.check(a)
	if err != nil {
		return err
	}
	return f.fs.change(f.node, &c, f.writes, f.locks)
}

// StatFS answers fstatvfs.
func (f *file) StatFS(ctx context.Context) (*sftp.FSInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.fs.info(), nil
}

// Sync has nothing to do.
func (f *file) Sync(ctx context.Context) error { return ctx.Err() }

// Lock locks a range. What READ and WRITE have begun is done before.
func (f *file) Lock(ctx context.Context, r sftp.Range) error {
	if err := f.lockable(ctx); err != nil {
		return err
	}
	f.fs.mu.RLock() // no name is taken away meanwhile
	defer f.fs.mu.RUnlock()
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	return f.locks.Lock(r, uint64(f.node.data.size), nil)
}

// Unlock gives a range back.
func (f *file) Unlock(ctx context.Context, r sftp.Range) error {
	if err := f.lockable(ctx); err != nil {
		return err
	}
	return f.locks.Unlock(r, nil)
}

func (f *file) lockable(ctx context.Context) error {
	switch {
	case f.closed.Load():
		return sftp.CodeInvalidHandle
	case f.fs.opt.ReadOnly:
		return sftp.CodeOpUnsupported
	}
	return ctx.Err()
}

// Close gives the handle back, removes the file if it was opened so, and tells
// Options.OnClose.
func (f *file) Close(cause error) error {
	if !f.closed.CompareAndSwap(false, true) {
		return sftp.CodeInvalidHandle
	}
	f.locks.Close()
	var err error
	if f.doomed != nil {
		err = f.remove()
	}
	f.node.mu.Lock()
	f.node.data.open--
	f.node.data.free(f.fs)
	f.node.mu.Unlock()
	if hook := f.fs.opt.OnClose; hook != nil {
		hook(f.name, cause)
	}
	return err
}

// remove takes away the name that f was opened by, wherever it was moved to since.
func (f *file) remove() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.doomed.dir == nil {
		return nil // somebody else did
	}
	return f.fs.remove(f.doomed)
}
