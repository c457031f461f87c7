//go:build !linux && !darwin && !freebsd

package osfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// The primitives of this file are those of sys_unix.go by means of os.Root alone, for
// Windows and other systems. os.Root follows links that stay inside by itself and
// returns the escape error for the others, which becomes errSymlink. "Exists" and
// "is a directory" are looked at before the operation: not in one step, but inside the
// jail in any case.

func (s *FS) lstat(rel string, a *sftp.Attrs) error {
	fi, err := s.root.Lstat(local(rel))
	if err != nil {
		return s.plain(err)
	}
	attrsOfInfo(a, fi)
	return nil
}

func attrsOfInfo(a *sftp.Attrs, fi fs.FileInfo) {
	*a = sftp.Attrs{
		Valid: sftp.AttrSize | sftp.AttrMode | sftp.AttrTimes | sftp.AttrUIDGID,
		Mode:  sftp.ModeFromFS(fi.Mode()),
		Size:  uint64(max(fi.Size(), 0)),
		Atime: fi.ModTime(), Mtime: fi.ModTime(),
	}
	if fi.Mode()&fs.ModeIrregular != 0 {
		a.Kind = sftp.TypeSpecial
	}
	addHost(a, fi)
}

func (s *FS) readlink(rel string) (string, error) {
	t, err := s.root.Readlink(local(rel))
	return slashed(t), s.plain(err)
}

func (s *FS) openFile(rel string, flag int, perm fs.FileMode) (*os.File, error) {
	var a sftp.Attrs
	if err := s.lstat(rel, &a); err == nil {
		switch a.Type() {
		case sftp.TypeSymlink:
			if flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL {
				return nil, fs.ErrExist
			}
			return nil, errSymlink
		case sftp.TypeRegular:
		case sftp.TypeDirectory:
			if flag&os.O_EXCL != 0 {
				return nil, fs.ErrExist
			}
			return nil, sftp.CodeIsADirectory
		default: // opening a pipe or device might block
			return nil, sftp.CodePermissionDenied
		}
	}
	f, err := s.root.OpenFile(local(rel), flag, perm)
	return f, s.plain(err)
}

func (s *FS) openDir(rel string) (*os.File, error) {
	var a sftp.Attrs
	if err := s.lstat(rel, &a); err != nil {
		return nil, err
	}
	switch a.Type() {
	case sftp.TypeSymlink:
		return nil, errSymlink
	case sftp.TypeDirectory:
	default:
		return nil, sftp.CodeNotADirectory
	}
	f, err := s.root.Open(local(rel))
	return f, s.plain(err)
}

func (s *FS) mkdir(rel string, perm fs.FileMode) error {
	return s.plain(s.root.Mkdir(local(rel), perm))
}

func (s *FS) unlink(rel string) error {
	var a sftp.Attrs
	if err := s.lstat(rel, &a); err != nil {
		return err
	}
	if a.IsDir() {
		return sftp.CodeIsADirectory
	}
	return s.plain(s.root.Remove(local(rel)))
}

func (s *FS) rmdir(rel string) error {
	var a sftp.Attrs
	if err := s.lstat(rel, &a); err != nil {
		return err
	}
	if !a.IsDir() {
		return sftp.CodeNotADirectory
	}
	return s.plain(s.root.Remove(local(rel)))
}

func (s *FS) symlink(target, rel string) error {
	return s.plain(s.root.Symlink(local(target), local(rel)))
}

func (s *FS) link(old, rel string) error { return s.plain(s.root.Link(local(old), local(rel))) }

func (s *FS) rename(from, to string, overwrite bool) error {
	if !overwrite {
		was, err := s.root.Lstat(local(from))
		if err != nil {
			return s.plain(err)
		}
		is, err := s.root.Lstat(local(to))
		switch {
		case err == nil && os.SameFile(was, is) && from != to && strings.EqualFold(from, to):
			// The same name in other letters, where that is no other name.
		case err == nil:
			return sftp.CodeFileAlreadyExists
		case was.Mode().IsRegular():
			// As OpenSSH: a hard link fails if the target exists by now.
			err := s.root.Link(local(from), local(to))
			if err == nil {
				if err = s.root.Remove(local(from)); err != nil {
					_ = s.root.Remove(local(to))
				}
				return s.plain(err)
			}
			if errors.Is(err, fs.ErrExist) {
				return sftp.CodeFileAlreadyExists
			}
			// No hard links here, or another reason, which Rename will say.
		}
	}
	return s.plain(s.root.Rename(local(from), local(to)))
}

func (s *FS) chmod(rel string, mode uint32, was *sftp.Attrs) error {
	if was.Type() == sftp.TypeSymlink {
		return errors.ErrUnsupported
	}
	return s.root.Chmod(local(rel), sftp.FSMode(mode))
}

func (s *FS) chown(rel string, uid, gid uint32) error {
	return s.root.Lchown(local(rel), int(int32(uid)), int(int32(gid)))
}

func (s *FS) chtimes(rel string, a *sftp.Attrs) error {
	var was sftp.Attrs
	if err := s.lstat(rel, &was); err != nil {
		return err
	}
	if was.Type() == sftp.TypeSymlink {
		return errors.ErrUnsupported
	}
	if err := checkTimes(a); err != nil {
		return err
	}
	at, mt := a.Atime, a.Mtime
	if !a.Has(sftp.AttrAtime) {
		at = was.Atime
	}
	if !a.Has(sftp.AttrMtime) {
		mt = was.Mtime
	}
	return s.root.Chtimes(local(rel), at, mt)
}

func statFile(f *os.File, a *sftp.Attrs) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	attrsOfInfo(a, fi)
	return nil
}

// statEntries adds the entries of names to d. os.File has no listing of names with
// attributes by descriptor outside Unix, so the names go through the jail again.
func statEntries(d *dir, names []string) error {
	var a sftp.Attrs
	for _, name := range names {
		switch err := d.fs.lstat(path.Join(d.rel, name), &a); {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			continue
		default:
			a = sftp.Attrs{Kind: sftp.TypeUnknown}
		}
		d.add(name, &a)
	}
	return nil
}

func copyFile(*os.File, int64, *os.File, int64, int64) (int64, error) {
	return 0, errors.ErrUnsupported
}

// local turns "/" into the host's separator.
func local(rel string) string { return filepath.FromSlash(rel) }

func slashed(target string) string { return filepath.ToSlash(target) }

const (
	// hostAttrs are answered beyond version 3's; none of them can be set.
	hostSettable = sftp.AttrMask(0)
	hostXattrs   = sftp.AttrMask(0)
	hostBits     = sftp.AttrBits(0)
)

func (s *FS) statMore(string, *sftp.Attrs) error { return nil }

func statMoreFile(*os.File, *sftp.Attrs) error { return nil }

func setBits(*os.File, sftp.AttrBits, sftp.AttrBits) error { return errors.ErrUnsupported }

func readXattrs(*os.File, *sftp.Attrs) {}

func writeXattrs(*os.File, []sftp.ExtAttr) error { return errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// There are no locks: the lock table knows files by numbers that package os does not tell.
func flock(*os.File, bool) error { return errors.ErrUnsupported }

func lockRange(*file, uint64, uint64, bool) error { return errors.ErrUnsupported }

func unlockRange(*file, uint64, uint64) {}

// appendState: there is no append at a descriptor opened without O_APPEND.
type appendState struct{}

func (appendState) prepare(*os.File) {}

func (appendState) append([]byte, *sftp.LockHandle) (done bool, n int, err error) {
	return false, 0, nil
}

// whereabouts: the name is where it was, or it is lost.
func (s *FS) whereabouts(f *file) (rel string, ok bool) { return f.doomed, true }

// identity returns a function that tells whether rel names the object of f.
func identity(f *os.File) (func(s *FS, rel string) (bool, error), error) {
	was, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return func(s *FS, rel string) (bool, error) {
		is, err := s.root.Lstat(local(rel))
		return err == nil && os.SameFile(was, is), err
	}, nil
}
