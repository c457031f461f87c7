package sftp

import (
	"context"
	"errors"
	"math"
	"path"
	"strings"
)

// quotaFS is a FileSystem within a Quota.
type quotaFS struct {
	FileSystem
	q *Quota
}

// Capabilities adds that of telling how much is free, and takes away what cannot be counted:
// space reserved beyond the size, and files that remove themselves.
func (s *quotaFS) Capabilities() Capabilities {
	c := s.FileSystem.Capabilities()
	c.FixedAttrs |= AttrAllocation & c.Attrs
	c.Features &^= FeatureDeleteOnClose
	if s.q.max != (Usage{}) {
		c.Features |= FeatureStatFS
	}
	return c
}

var errUncounted = Status(CodeOpUnsupported, "not within a quota")

// where returns the path of a name and whether it lies in the tree.
func (s *quotaFS) where(ctx context.Context, name string, follow bool) (clean string, inside bool, err error) {
	clean, err = CleanPath(name)
	if err != nil || s.q.tree == "/" {
		return clean, err == nil, err
	}
	real, err := realPath(ctx, s.FileSystem, clean, follow)
	if err != nil {
		return clean, false, err
	}
	return real, strings.HasPrefix(real, s.q.tree+"/"), nil
}

// look returns what a name stands for, nil for nothing, or if the file system does not tell:
// then every file that is written is taken for a new one.
func (s *quotaFS) look(ctx context.Context, name string, follow bool) (*Attrs, error) {
	a, err := s.FileSystem.Stat(ctx, name, StatOpt{Follow: follow, Want: measured})
	if missing(err) || CodeOf(err) == CodeOpUnsupported {
		return nil, nil
	}
	return a, err
}

// path returns what a is known by where it has no identity: one path, whatever links lead
// there. It is asked before the name changes.
func (s *quotaFS) path(ctx context.Context, a *Attrs, clean string, follow bool) string {
	if a != nil && a.Has(AttrFileID) || s.q.tree != "/" {
		return clean
	}
	real, err := realPath(ctx, s.FileSystem, clean, follow)
	if err != nil {
		return clean
	}
	return real
}

// Open counts a file that it makes, and what one that it empties gives back.
func (s *quotaFS) Open(ctx context.Context, name string, how *OpenHow) (File, error) {
	if how.Flags&OpenDeleteOnClose != 0 || how.Attrs != nil && how.Attrs.Has(AttrAllocation) {
		return nil, errUncounted
	}
	follow := how.Flags&OpenNoFollow == 0
	clean, inside, err := s.where(ctx, name, follow)
	switch {
	case err != nil:
		return nil, err
	case !inside:
		return s.FileSystem.Open(ctx, name, how)
	case !how.Writes() && !how.Creates() && !how.Truncates():
		f, err := s.FileSystem.Open(ctx, name, how)
		if err != nil {
			return nil, err
		}
		return &quotaFile{File: f, q: s.q}, nil
	}
	if err := s.q.lock(ctx); err != nil {
		return nil, err
	}
	defer s.q.unlock()
	before, err := s.look(ctx, name, follow)
	if err != nil {
		return nil, err
	}
	made := before == nil && how.Creates()
	if made {
		if err := s.q.take(0, 1); err != nil {
			return nil, err
		}
	}
	f, err := s.FileSystem.Open(ctx, name, how)
	if err != nil {
		if made {
			s.q.give(0, 1)
		}
		return nil, err
	}
	after, err := f.Stat(ctx, measured)
	if err != nil {
		after = &Attrs{}
	}
	var had int64
	if before != nil {
		had = bytesOf(before)
	}
	o := s.q.object(keyOf(after, s.path(ctx, after, clean, follow)), had)
	if how.Truncates() {
		o.mu.Lock()
		s.q.give(max0(o.size-bytesOf(after)), 0)
		o.size = min(o.size, bytesOf(after))
		o.mu.Unlock()
	}
	return &quotaFile{File: f, q: s.q, o: o, appends: how.Appends()}, nil
}

// SetStat counts what setting the size adds or gives back.
func (s *quotaFS) SetStat(ctx context.Context, name string, a *Attrs, follow bool) error {
	if a.Has(AttrAllocation) {
		return errUncounted
	}
	if !a.Has(AttrSize) {
		return s.FileSystem.SetStat(ctx, name, a, follow)
	}
	clean, inside, err := s.where(ctx, name, follow)
	if err != nil {
		return err
	}
	if !inside {
		return s.FileSystem.SetStat(ctx, name, a, follow)
	}
	if err := s.q.lock(ctx); err != nil {
		return err
	}
	defer s.q.unlock()
	now, err := s.look(ctx, name, follow)
	if err != nil {
		return err
	}
	if now == nil {
		return s.FileSystem.SetStat(ctx, name, a, follow)
	}
	o := s.q.object(keyOf(now, s.path(ctx, now, clean, follow)), bytesOf(now))
	defer s.q.drop(o, 0, false)
	return s.q.resize(o, a, func() error { return s.FileSystem.SetStat(ctx, name, a, follow) })
}

// resize runs set, which makes o as long as a says.
func (q *Quota) resize(o *quotaObject, a *Attrs, set func() error) error {
	if a.Size > math.MaxInt64 {
		return Status(CodeInvalidParameter, "size out of range")
	}
	size := int64(a.Size)
	o.mu.Lock()
	was := o.size
	err := q.grow(o, size)
	o.mu.Unlock()
	if err != nil {
		return err
	}
	err = set()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil && size < o.size:
		q.give(o.size-size, 0)
		o.size = size
	case err != nil && o.size == size && size > was:
		q.give(size-was, 0) // if part of it came about, closing tells
		o.size = was
	}
	return err
}

// one counts a name that op makes.
func (s *quotaFS) one(ctx context.Context, name string, bytes int64, op func() error) error {
	_, inside, err := s.where(ctx, name, false)
	if err != nil {
		return err
	}
	if !inside {
		return op()
	}
	if err := s.q.take(bytes, 1); err != nil {
		return err
	}
	if err := op(); err != nil {
		s.q.give(bytes, 1)
		return err
	}
	return nil
}

// Mkdir counts a directory.
func (s *quotaFS) Mkdir(ctx context.Context, name string, a *Attrs) error {
	return s.one(ctx, name, 0, func() error { return s.FileSystem.Mkdir(ctx, name, a) })
}

// Link counts a name, and the bytes of what comes into the tree.
func (s *quotaFS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	var bytes int64
	if !symbolic {
		_, inside, err := s.where(ctx, target, false)
		if err != nil {
			return err
		}
		if !inside {
			a, err := s.look(ctx, target, false)
			if err != nil {
				return err
			}
			if a != nil {
				bytes = bytesOf(a)
			}
		}
	}
	return s.one(ctx, newName, bytes, func() error { return s.FileSystem.Link(ctx, target, newName, symbolic) })
}

// gone takes back what a name was charged for that op removes.
func (s *quotaFS) gone(ctx context.Context, name string, op func() error) error {
	clean, inside, err := s.where(ctx, name, false)
	if err != nil {
		return err
	}
	if !inside {
		return op()
	}
	if err := s.q.lock(ctx); err != nil {
		return err
	}
	defer s.q.unlock()
	a, err := s.look(ctx, name, false)
	if err != nil {
		return err
	}
	known := s.path(ctx, a, clean, false)
	if err := op(); err != nil {
		return err
	}
	if a != nil {
		s.q.removed(a, known)
	}
	return nil
}

// Remove takes back what a file or link was charged for.
func (s *quotaFS) Remove(ctx context.Context, name string) error {
	return s.gone(ctx, name, func() error { return s.FileSystem.Remove(ctx, name) })
}

// Rmdir takes back a directory.
func (s *quotaFS) Rmdir(ctx context.Context, name string) error {
	return s.gone(ctx, name, func() error { return s.FileSystem.Rmdir(ctx, name) })
}

// maxMoved is the most names of a directory that is moved into or out of the tree: each
// is looked at.
const maxMoved = 1 << 20

// Rename takes back what is replaced, and counts what comes into the tree or leaves it.
func (s *quotaFS) Rename(ctx context.Context, from, to string, flags RenameFlags) error {
	src, srcIn, err := s.where(ctx, from, false)
	if err != nil {
		return err
	}
	dst, dstIn, err := s.where(ctx, to, false)
	if err != nil {
		return err
	}
	if !srcIn && !dstIn {
		return s.FileSystem.Rename(ctx, from, to, flags)
	}
	if err := s.q.lock(ctx); err != nil {
		return err
	}
	defer s.q.unlock()
	old, err := s.look(ctx, from, false)
	if err != nil {
		return err
	}
	over, err := s.look(ctx, to, false)
	if err != nil {
		return err
	}
	src, dst = s.path(ctx, old, src, false), s.path(ctx, old, dst, false)
	if src == dst || old == nil || over != nil && old.SameFile(over) {
		return s.FileSystem.Rename(ctx, from, to, flags) // which moves nothing
	}
	var moved Usage
	if srcIn != dstIn {
		if moved, err = measureTree(ctx, s.FileSystem, from, maxMoved); err != nil {
			return err
		}
	}
	if dstIn && !srcIn {
		if err := s.q.take(moved.Bytes, moved.Files); err != nil {
			return err
		}
	}
	if err := s.FileSystem.Rename(ctx, from, to, flags); err != nil {
		if dstIn && !srcIn {
			s.q.give(moved.Bytes, moved.Files)
		}
		return err
	}
	if over != nil && dstIn {
		s.q.removed(over, dst)
	}
	if srcIn && !dstIn {
		s.q.give(moved.Bytes, moved.Files)
	}
	s.q.renamed(src, dst)
	return nil
}

// StatFS returns what is left of the quota, or of the file system if that is less.
func (s *quotaFS) StatFS(ctx context.Context, name string) (*FSInfo, error) {
	_, inside, err := s.where(ctx, name, true)
	if err != nil {
		return nil, err
	}
	info, err := s.FileSystem.StatFS(ctx, name)
	if !inside && path.Clean("/"+name) != s.q.tree {
		return info, err
	}
	return s.q.statFS(info, err)
}

// statFS narrows what a file system says of itself. If it says nothing, the quota is all
// there is.
func (q *Quota) statFS(info *FSInfo, err error) (*FSInfo, error) {
	if q.max == (Usage{}) {
		return info, err
	}
	u, uerr := q.store.Usage()
	if uerr != nil {
		return nil, uerr
	}
	switch {
	case err == nil:
	case CodeOf(err) == CodeOpUnsupported:
		const most = math.MaxInt64 / 4096
		info = &FSInfo{
			BlockSize: 4096, FragmentSize: 4096, Blocks: most, Free: most, Avail: most,
			Files: most, FilesFree: most, FilesAvail: most, NameMax: 255,
		}
	default:
		return nil, err
	}
	out := *info
	if out.FragmentSize == 0 {
		out.FragmentSize = max(out.BlockSize, 1)
	}
	if q.max.Bytes > 0 {
		left := uint64(max0(q.max.Bytes-u.Bytes)) / out.FragmentSize
		out.Blocks = min(out.Blocks, uint64(q.max.Bytes)/out.FragmentSize)
		out.Free, out.Avail = min(out.Free, left), min(out.Avail, left)
	}
	if q.max.Files > 0 {
		left := uint64(max0(q.max.Files - u.Files))
		out.Files = min(out.Files, uint64(q.max.Files))
		out.FilesFree, out.FilesAvail = min(out.FilesFree, left), min(out.FilesAvail, left)
	}
	return &out, nil
}

// quotaFile is an open file of the tree.
type quotaFile struct {
	File
	q       *Quota
	o       *quotaObject // nil: open for reading
	appends bool
}

// WriteAt charges for what makes the file longer first. If it then fails, the charge stays
// until the file is closed, when its length tells what came of it.
func (f *quotaFile) WriteAt(p []byte, off int64) (int, error) {
	if f.o == nil {
		return f.File.WriteAt(p, off)
	}
	if err := f.charge(off, int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *quotaFile) charge(off, n int64) error {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	if f.appends {
		off = f.o.size
	}
	if off < 0 || n > math.MaxInt64-off {
		return errOffset
	}
	return f.q.grow(f.o, off+n)
}

// CopyRange charges as WriteAt does.
func (f *quotaFile) CopyRange(ctx context.Context, off int64, src File, srcOff, n int64) (int64, error) {
	if f.o != nil && f.appends {
		return 0, errors.ErrUnsupported // WriteAt knows where it goes, and counts it once
	}
	if g, ok := src.(*quotaFile); ok {
		src = g.File
	}
	if f.o != nil {
		if err := f.charge(off, n); err != nil {
			return 0, err
		}
	}
	return f.File.CopyRange(ctx, off, src, srcOff, n)
}

// SetStat counts what setting the size adds or gives back.
func (f *quotaFile) SetStat(ctx context.Context, a *Attrs) error {
	if a.Has(AttrAllocation) {
		return errUncounted
	}
	if f.o == nil || !a.Has(AttrSize) {
		return f.File.SetStat(ctx, a)
	}
	return f.q.resize(f.o, a, func() error { return f.File.SetStat(ctx, a) })
}

// StatFS is that of the tree.
func (f *quotaFile) StatFS(ctx context.Context) (*FSInfo, error) {
	info, err := f.File.StatFS(ctx)
	return f.q.statFS(info, err)
}

// Close settles what the file was charged for with what it has become.
func (f *quotaFile) Close(cause error) error {
	if f.o == nil {
		return f.File.Close(cause)
	}
	// The context of the session has ended if there is a cause.
	a, err := f.File.Stat(context.Background(), AttrSize)
	known := err == nil && a.Has(AttrSize)
	var size int64
	if known {
		size = bytesOf(a)
	}
	cerr := f.File.Close(cause)
	f.q.drop(f.o, size, known)
	f.o = nil
	return cerr
}

// realPath returns where a clean path leads, or that path itself if the file system cannot
// tell. Without follow a final symlink is itself meant.
func realPath(ctx context.Context, fsys FileSystem, clean string, follow bool) (string, error) {
	if clean == "/" {
		return clean, nil
	}
	dir, base, opt := clean, "", RealPathOpt{}
	switch {
	case follow:
	case fsys.Capabilities().Features.Has(FeatureFoldedNames): // the last element is to be spelled as well
		opt.NoFollow = true
	default:
		dir, base = path.Split(clean)
	}
	real, _, err := fsys.RealPath(ctx, dir, opt)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return clean, nil
	case err != nil:
		return "", err
	}
	return CleanPath(JoinPath(real, base))
}
