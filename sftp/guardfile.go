package sftp

import (
	"context"
	"errors"
	"path"
	"slices"
)

// guardDir leaves hidden entries out.
type guardDir struct {
	inner         Dir
	p             *policy
	written, real string // the two paths that the directory was judged by
}

// Next implements Dir.
func (d *guardDir) Next(ctx context.Context, n int) ([]Entry, error) {
	for {
		list, err := d.inner.Next(ctx, n)
		list = slices.DeleteFunc(list, func(e Entry) bool { return !d.shows(e.Name) })
		if len(list) > 0 || err != nil {
			return list, err
		}
	}
}

func (d *guardDir) shows(name string) bool {
	return d.p.perms(path.Join(d.real, name)).Has(PermStat) &&
		(d.real == d.written || d.p.perms(path.Join(d.written, name)).Has(PermStat))
}

// Close implements Dir.
func (d *guardDir) Close(cause error) error { return d.inner.Close(cause) }

// guardFile is an open file with what its name allowed when it was opened. As guardFS it
// embeds nothing.
type guardFile struct {
	inner           File
	perms           Perm
	writes, appends bool
	max             int64 // 0: none
}

var _ File = (*guardFile)(nil)

// ReadAt implements File.
func (f *guardFile) ReadAt(p []byte, off int64) (int, error) { return f.inner.ReadAt(p, off) }

// WriteAt implements File.
func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	if f.max > 0 {
		if f.appends {
			a, err := f.inner.Stat(context.Background(), AttrSize)
			switch {
			case err != nil:
				return 0, err
			case !a.Has(AttrSize):
				return 0, errPolicySize // nobody can tell
			}
			off = int64(min(a.Size, uint64(f.max)))
		}
		if off > f.max-int64(len(p)) {
			return 0, errPolicySize
		}
	}
	return f.inner.WriteAt(p, off)
}

// Stat implements File. Who may open a file may know what it is.
func (f *guardFile) Stat(ctx context.Context, want AttrMask) (*Attrs, error) {
	return f.inner.Stat(ctx, want)
}

// SetStat implements File.
func (f *guardFile) SetStat(ctx context.Context, a *Attrs) error {
	switch {
	case a.Valid&^contentAttrs != 0 && !f.perms.Has(PermSetStat), a.Valid&contentAttrs != 0 && !f.writes:
		return errPolicy
	case tooLarge(a, f.max):
		return errPolicySize
	}
	return f.inner.SetStat(ctx, a)
}

// StatFS implements File.
func (f *guardFile) StatFS(ctx context.Context) (*FSInfo, error) { return f.inner.StatFS(ctx) }

// Sync implements File.
func (f *guardFile) Sync(ctx context.Context) error { return f.inner.Sync(ctx) }

// Lock implements File.
func (f *guardFile) Lock(ctx context.Context, r Range) error {
	if !f.perms.Has(PermLock) {
		return errPolicy
	}
	return f.inner.Lock(ctx, r)
}

// Unlock implements File.
func (f *guardFile) Unlock(ctx context.Context, r Range) error { return f.inner.Unlock(ctx, r) }

// CopyRange implements File.
func (f *guardFile) CopyRange(ctx context.Context, off int64, src File, srcOff, n int64) (int64, error) {
	if f.max > 0 {
		if f.appends {
			return 0, errors.ErrUnsupported // WriteAt knows where it goes
		}
		if n = min(n, f.max-off); n <= 0 {
			return 0, errPolicySize
		}
	}
	if g, ok := src.(*guardFile); ok {
		src = g.inner
	}
	return f.inner.CopyRange(ctx, off, src, srcOff, n)
}

// Close implements File.
func (f *guardFile) Close(cause error) error { return f.inner.Close(cause) }
