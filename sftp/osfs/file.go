package osfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// file is an open regular file. Everything acts on the descriptor.
type file struct {
	sftp.UnsupportedFile
	fs                     *FS
	f                      *os.File
	name                   string // as the peer gave it, for errors
	locks                  *sftp.LockHandle
	end                    *appender // of a file opened for append
	doomed                 string    // below the root, what Close removes; "": nothing
	reads, writes, appends bool
}

// take makes f what how says, once it is known to be a regular file: it enters it in the
// lock table, and then empties it if that is asked for.
func (f *file) take(how *sftp.OpenHow) error {
	var a sftp.Attrs
	if err := statFile(f.f, &a); err != nil {
		return err
	}
	if err := onlyRegular(&a); err != nil {
		return err
	}
	if id, ok := a.ID(); ok {
		var err error
		if f.locks, err = f.fs.locks.Open(id, how); err != nil {
			return err
		}
		if how.Flags&(sftp.OpenBlockRead|sftp.OpenBlockWrite) != 0 && !f.fs.opt.NoHostLocks {
			// The locks of the host are coarser than the bits, so handles that go
			// together here may not there.
			if err := flock(f.f, how.Flags&sftp.OpenBlockRead != 0); err != nil && f.locks.Alone() {
				return err
			}
		}
	}
	if f.appends {
		f.end = newAppender(f.f, &f.fs.appends[a.Ino%uint64(len(f.fs.appends))])
	}
	if !how.Truncates() || !f.writes {
		return nil // CreateTruncate without write access has neither meaning nor effect
	}
	if age := time.Since(a.Mtime); a.Size == 0 && age >= 0 && age < 10*time.Millisecond {
		// Empty and of now, as most that come here have just been made: nothing would
		// change, and ext4 takes 5 µs for it.
		return nil
	}
	if err := f.locks.CheckResize(a.Size, 0); err != nil {
		return err
	}
	return f.f.Truncate(0)
}

// init gives a new file its attributes.
func (f *file) init(first *sftp.Attrs) error {
	if first.Has(sftp.AttrAllocation) {
		if err := allocate(f.f, int64(first.Allocation)); err != nil {
			return err
		}
	}
	rest := *first
	rest.Valid &^= sftp.AttrAllocation
	_ = f.fs.apply(f, &rest)
	return nil
}

// ReadAt is pread into p.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if !f.reads {
		return 0, sftp.CodePermissionDenied
	}
	if off < 0 {
		return 0, sftp.CodeInvalidParameter
	}
	if err := f.locks.Check(false, off, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := f.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = hide("read", f.name, err)
	}
	return n, err
}

// WriteAt is pwrite from p, at the end of the file in append mode. O_APPEND is not used,
// since such a descriptor ignores the offsets that copy-data and resuming clients need.
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	if !f.writes {
		return 0, sftp.CodePermissionDenied
	}
	if f.appends {
		n, err = f.end.write(p, f.locks)
	} else {
		if off < 0 || off > math.MaxInt64-int64(len(p)) {
			return 0, sftp.CodeInvalidParameter
		}
		if err := f.locks.Check(true, off, int64(len(p))); err != nil {
			return 0, err
		}
		n, err = f.f.WriteAt(p, off)
	}
	if err != nil {
		err = hide("write", f.name, err)
	}
	return n, err
}

// An appender writes at the end of a file: on Linux in one step, whatever other processes
// do meanwhile, and elsewhere in one step among the handles of an FS.
type appender struct {
	f  *os.File
	mu *sync.Mutex
	appendState
}

func newAppender(f *os.File, mu *sync.Mutex) *appender {
	e := &appender{f: f, mu: mu}
	e.prepare(f)
	return e
}

func (e *appender) write(p []byte, locks *sftp.LockHandle) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if done, n, err := e.append(p, locks); done {
		return n, err
	}
	end, err := e.f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if end > math.MaxInt64-int64(len(p)) {
		return 0, sftp.CodeInvalidParameter
	}
	if err := locks.Check(true, end, int64(len(p))); err != nil {
		return 0, err
	}
	return e.f.WriteAt(p, end)
}

// Stat answers FSTAT.
func (f *file) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := new(sftp.Attrs)
	if err := statFile(f.f, a); err != nil {
		return nil, hide("stat", f.name, err)
	}
	if want&^sftp.AttrsBasic == 0 {
		return a, nil
	}
	if want&(sftp.AttrBirth|sftp.AttrBitsSet) != 0 {
		if err := statMoreFile(f.f, a); err != nil {
			return nil, hide("stat", f.name, err)
		}
	}
	if want&sftp.AttrExtended&hostXattrs != 0 && f.fs.opt.Xattrs {
		readXattrs(f.f, a)
	}
	f.fs.derive(path.Base(f.name), a, want)
	return a, nil
}

// SetStat answers FSETSTAT in the order of FS.SetStat; the size needs write access.
func (f *file) SetStat(ctx context.Context, a *sftp.Attrs) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := f.fs.change(a)
	if err != nil {
		return err
	}
	if !f.writes && c.Valid&(sftp.AttrSize|sftp.AttrAllocation) != 0 {
		return sftp.CodePermissionDenied // before anything is changed
	}
	return hide("setstat", f.name, f.fs.apply(f, c))
}

func (f *file) special() uint32 {
	var a sftp.Attrs
	if statFile(f.f, &a) != nil {
		return 0
	}
	return a.Mode & 0o7000 & f.fs.modeMask()
}

func (f *file) chmod(mode uint32) error              { return f.f.Chmod(sftp.FSMode(mode)) }
func (f *file) chtimes(c *sftp.Attrs) error          { return timesFile(f.f, c) }
func (f *file) chown(uid, gid uint32) error          { return f.f.Chown(int(int32(uid)), int(int32(gid))) }
func (f *file) with(call func(*os.File) error) error { return call(f.f) }

// resize sets size and allocation; an allocation below the size cuts the file.
func (f *file) resize(c *sftp.Attrs) error {
	var a sftp.Attrs
	if err := statFile(f.f, &a); err != nil {
		return err
	}
	if !c.Has(sftp.AttrSize) {
		if c.Allocation >= a.Size {
			return allocate(f.f, int64(c.Allocation))
		}
		c = &sftp.Attrs{Valid: sftp.AttrSize, Size: c.Allocation}
	}
	if err := f.locks.CheckResize(a.Size, c.Size); err != nil {
		return err
	}
	if err := f.f.Truncate(int64(c.Size)); err != nil || !c.Has(sftp.AttrAllocation) {
		return err
	}
	return allocate(f.f, int64(c.Allocation))
}

// Lock locks a range, at the host too where it can. It waits for nobody; what READ and
// WRITE have begun before is not stopped.
func (f *file) Lock(ctx context.Context, r sftp.Range) error {
	if err := f.lockable(ctx); err != nil {
		return err
	}
	var size uint64
	if r.Length == 0 {
		var a sftp.Attrs
		if err := statFile(f.f, &a); err != nil {
			return hide("lock", f.name, err)
		}
		size = a.Size
	}
	return f.locks.Lock(r, size, func(start, end uint64) error {
		if f.fs.opt.NoHostLocks {
			return nil
		}
		return lockRange(f, start, end, r.Mask&sftp.RangeRead != 0)
	})
}

// Unlock gives a range back.
func (f *file) Unlock(ctx context.Context, r sftp.Range) error {
	if err := f.lockable(ctx); err != nil {
		return err
	}
	return f.locks.Unlock(r, func(start, end uint64) {
		if !f.fs.opt.NoHostLocks {
			unlockRange(f, start, end)
		}
	})
}

func (f *file) lockable(ctx context.Context) error {
	if f.fs.opt.ReadOnly || !hostFeatures.Has(sftp.FeatureRangeLock) {
		return sftp.CodeOpUnsupported
	}
	return ctx.Err()
}

// StatFS describes the file system of the file.
func (f *file) StatFS(ctx context.Context) (*sftp.FSInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info := new(sftp.FSInfo)
	if err := statfsFile(f.f, info); err != nil {
		return nil, hide("statvfs", f.name, err)
	}
	return info, nil
}

// Sync is fsync.
func (f *file) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return hide("fsync", f.name, f.f.Sync())
}

// CopyRange copies inside the kernel between files of this package.
func (f *file) CopyRange(ctx context.Context, off int64, src sftp.File, srcOff, n int64) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	from, ok := src.(*file)
	if !ok || f.appends {
		return 0, errors.ErrUnsupported
	}
	if !f.writes || !from.reads {
		return 0, sftp.CodePermissionDenied
	}
	if err := from.locks.Check(false, srcOff, n); err != nil {
		return 0, err
	}
	if err := f.locks.Check(true, off, n); err != nil {
		return 0, err
	}
	done, err := copyFile(f.f, off, from.f, srcOff, n)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		err = hide("copy", f.name, err)
	}
	return done, err
}

// Close closes the descriptor, and removes the file if it was opened so. The cause changes
// nothing here: what was written stays, as with OpenSSH; wrappers that delete or quarantine
// cut uploads look at it.
func (f *file) Close(error) error {
	var err error
	if f.doomed != "" {
		err = f.remove()
	}
	err = errors.Join(err, f.f.Close())
	// The locks of the host ended right before, so whoever is granted one here gets it there.
	f.locks.Close()
	return hide("close", f.name, err)
}

// remove takes away the name that f was opened by, wherever it was moved to since where the
// host tells; never that of another object. Looking and removing are two steps.
func (f *file) remove() error {
	s := f.fs
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	same, err := identity(f.f)
	if err != nil {
		return err
	}
	rel, ok := s.whereabouts(f)
	if !ok {
		return nil
	}
	if is, err := same(s, rel); err != nil || !is {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(s.plain(err), errSymlink) {
			err = nil // it has gone, or its directory has
		}
		return err
	}
	return s.unlink(rel)
}
