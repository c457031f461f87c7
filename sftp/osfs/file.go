package osfs

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// file is an open regular file. Everything acts on the descriptor.
type file struct {
	sftp.UnsupportedFile
	fs                     *FS
	f                      *os.File
	name                   string // as the peer gave it, for errors
	lock                   *sync.Mutex
	reads, writes, appends bool
}

// ReadAt is pread into p.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if !f.reads {
		return 0, sftp.CodePermissionDenied
	}
	if off < 0 {
		return 0, sftp.CodeInvalidParameter
	}
	n, err := f.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = hide("read", f.name, err)
	}
	return n, err
}

// WriteAt is pwrite from p, at the end of the file in append mode. O_APPEND is not used,
// since such a descriptor ignores the offsets that copy-data and resuming clients need;
// appends by other processes may therefore interleave, those of one FS do not.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if !f.writes {
		return 0, sftp.CodePermissionDenied
	}
	if f.appends {
		f.lock.Lock()
		defer f.lock.Unlock()
		end, err := f.f.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, hide("write", f.name, err)
		}
		off = end
	}
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, sftp.CodeInvalidParameter
	}
	n, err := f.f.WriteAt(p, off)
	if err != nil {
		err = hide("write", f.name, err)
	}
	return n, err
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
	if want&sftp.AttrOwnerGroup != 0 {
		f.fs.nameOwner(a)
	}
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
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if c.Has(sftp.AttrSize) {
		if f.writes {
			keep(f.f.Truncate(int64(c.Size)))
		} else {
			keep(sftp.CodePermissionDenied)
		}
	}
	if c.Has(sftp.AttrMode) {
		keep(f.f.Chmod(sftp.FSMode(c.Mode)))
	}
	if c.Valid&(sftp.AttrAtime|sftp.AttrMtime) != 0 {
		keep(timesFile(f.f, c))
	}
	if c.Has(sftp.AttrUIDGID) {
		keep(f.f.Chown(int(int32(c.UID)), int(int32(c.GID))))
	}
	return hide("setstat", f.name, first)
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
	done, err := copyFile(f.f, off, from.f, srcOff, n)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		err = hide("copy", f.name, err)
	}
	return done, err
}

// Close closes the descriptor. The cause changes nothing here: what was written stays,
// as with OpenSSH; wrappers that delete or quarantine cut uploads look at it.
func (f *file) Close(error) error { return hide("close", f.name, f.f.Close()) }
