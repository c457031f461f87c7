//go:build linux || darwin || freebsd

package osfs

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// hostFeatures are what the host's calls add.
const hostFeatures = sftp.FeatureStatFS | lockFeatures

// The primitives of this file work on the last element of rel, relative to the
// descriptor of its parent directory, and follow no link. A link among the parents
// is errSymlink.

// parent is an open parent directory and the one element below it.
type parent struct {
	fd   int
	elem string
	f    *os.File // from os.Root
	own  bool     // fd is to be closed
}

func (p *parent) close() {
	switch {
	case p.f != nil:
		_ = p.f.Close()
	case p.own:
		_ = unix.Close(p.fd)
	}
}

// parent opens the directory that holds the last element of rel. The caller is
// between enter and leave.
func (s *FS) parent(rel string) (parent, error) {
	i := strings.LastIndexByte(rel, '/')
	if i < 0 {
		return parent{fd: int(s.base.Fd()), elem: rel}, nil
	}
	p, err := s.openParent(rel[:i])
	p.elem = rel[i+1:]
	return p, err
}

// rootParent opens a directory through os.Root, the way where the kernel has none
// of its own.
func (s *FS) rootParent(rel string) (parent, error) {
	f, err := s.root.OpenFile(rel, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return parent{}, s.plain(err)
	}
	return parent{fd: int(f.Fd()), f: f}, nil
}

func retry(op func() error) error {
	for {
		if err := op(); err != unix.EINTR {
			return err
		}
	}
}

func (s *FS) lstat(rel string, a *sftp.Attrs) error {
	var st unix.Stat_t
	if done, err := s.lstatBeneath(rel, &st); done {
		if err != nil {
			return err
		}
		attrsOf(a, &st)
		return nil
	}
	p, err := s.parent(rel)
	if err != nil {
		return err
	}
	defer p.close()
	if err := retry(func() error { return unix.Fstatat(p.fd, p.elem, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return err
	}
	attrsOf(a, &st)
	return nil
}

// attrsOf fills a from st.
func attrsOf(a *sftp.Attrs, st *unix.Stat_t) {
	*a = sftp.Attrs{
		Valid: sftp.AttrsBasic | sftp.AttrCtime | sftp.AttrLinks | sftp.AttrAllocation | sftp.AttrFileID,
		Mode:  uint32(st.Mode),
		Size:  uint64(max(st.Size, 0)),
		UID:   st.Uid,
		GID:   st.Gid,
		Atime: timeOf(st.Atim),
		Mtime: timeOf(st.Mtim),
		Ctime: timeOf(st.Ctim),
		Links: uint32(st.Nlink),
		// POSIX leaves the unit to the system; all that Go runs on count 512 bytes.
		Allocation: uint64(max(st.Blocks, 0)) * 512,
		Dev:        uint64(st.Dev),
		Ino:        uint64(st.Ino),
	}
	addHost(a, st)
}

func (s *FS) readlink(rel string) (string, error) {
	p, err := s.parent(rel)
	if err != nil {
		return "", err
	}
	defer p.close()
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(p.fd, p.elem, buf)
		switch {
		case err == unix.EINTR:
			size /= 2
		case err != nil:
			return "", err
		case n < size:
			return string(buf[:n]), nil
		case size > 4*sftp.MaxPath:
			return "", unix.ENAMETOOLONG
		}
	}
}

// openFile opens the last element; a link there is errSymlink. O_NONBLOCK keeps the open
// of a FIFO or device from blocking and means nothing for regular files.
func (s *FS) openFile(rel string, flag int, perm fs.FileMode) (*os.File, error) {
	flag |= unix.O_NONBLOCK | unix.O_NOCTTY
	if fd, done, err := s.openBeneath(rel, flag, uint32(perm)); done {
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), rel), nil
	}
	p, err := s.parent(rel)
	if err != nil {
		return nil, err
	}
	defer p.close()
	fd, err := openat(p.fd, p.elem, flag, uint32(perm))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.elem), nil
}

// openat opens without following a link as last element.
func openat(dirfd int, elem string, flag int, perm uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dirfd, elem, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		return err
	})
	switch err {
	case nil:
		return fd, nil
	case unix.ELOOP, unix.EMLINK, unix.ENOTDIR: // EMLINK: FreeBSD; ENOTDIR: with O_DIRECTORY
		var st unix.Stat_t
		if e := unix.Fstatat(dirfd, elem, &st, unix.AT_SYMLINK_NOFOLLOW); e == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return -1, errSymlink
		}
	}
	return -1, err
}

func (s *FS) openDir(rel string) (*os.File, error) {
	p, err := s.parent(rel)
	if err != nil {
		return nil, err
	}
	defer p.close()
	fd, err := openat(p.fd, p.elem, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.elem), nil
}

func (s *FS) mkdir(rel string, perm fs.FileMode) error {
	return s.at(rel, func(fd int, elem string) error { return unix.Mkdirat(fd, elem, uint32(perm)) })
}

func (s *FS) unlink(rel string) error {
	return s.at(rel, func(fd int, elem string) error {
		err := unix.Unlinkat(fd, elem, 0)
		if err == unix.EPERM && runtime.GOOS != "linux" {
			// POSIX says EPERM for directories, as the BSDs do.
			var st unix.Stat_t
			if e := unix.Fstatat(fd, elem, &st, unix.AT_SYMLINK_NOFOLLOW); e == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
				return unix.EISDIR
			}
		}
		return err
	})
}

func (s *FS) rmdir(rel string) error {
	return s.at(rel, func(fd int, elem string) error {
		err := unix.Unlinkat(fd, elem, unix.AT_REMOVEDIR)
		if err == unix.EEXIST { // some systems' word for not empty
			return unix.ENOTEMPTY
		}
		return err
	})
}

func (s *FS) symlink(target, rel string) error {
	return s.at(rel, func(fd int, elem string) error { return unix.Symlinkat(target, fd, elem) })
}

func (s *FS) link(old, rel string) error {
	return s.at2(old, rel, func(fd1 int, elem1 string, fd2 int, elem2 string) error {
		return unix.Linkat(fd1, elem1, fd2, elem2, 0)
	})
}

func (s *FS) rename(from, to string, overwrite bool) error {
	return s.at2(from, to, func(fd1 int, elem1 string, fd2 int, elem2 string) error {
		if overwrite {
			return unix.Renameat(fd1, elem1, fd2, elem2)
		}
		err := renameNew(fd1, elem1, fd2, elem2)
		if err != errNoRenameNew {
			return err
		}
		// As OpenSSH: a hard link fails if the target exists; what cannot be linked
		// is looked at and then moved.
		var st unix.Stat_t
		if err := unix.Fstatat(fd1, elem1, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			err := unix.Linkat(fd1, elem1, fd2, elem2, 0)
			switch err {
			case nil:
				if err := unix.Unlinkat(fd1, elem1, 0); err != nil {
					_ = unix.Unlinkat(fd2, elem2, 0)
					return err
				}
				return nil
			case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.EMLINK: // no hard links here
			default:
				return err
			}
		}
		if err := unix.Fstatat(fd2, elem2, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			return unix.EEXIST
		}
		return unix.Renameat(fd1, elem1, fd2, elem2)
	})
}

// chmod changes the mode of what is not a link.
func (s *FS) chmod(rel string, mode uint32, was *sftp.Attrs) error {
	if was.Type() == sftp.TypeSymlink && runtime.GOOS == "linux" {
		return unix.EOPNOTSUPP
	}
	err := s.at(rel, func(fd int, elem string) error {
		return unix.Fchmodat(fd, elem, mode, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		// No fchmodat2 (before Linux 6.6): os.Root knows the way round.
		return s.root.Chmod(rel, sftp.FSMode(mode))
	}
	return err
}

func (s *FS) chown(rel string, uid, gid uint32) error {
	return s.at(rel, func(fd int, elem string) error {
		return unix.Fchownat(fd, elem, int(int32(uid)), int(int32(gid)), unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (s *FS) chtimes(rel string, a *sftp.Attrs) error {
	return s.at(rel, func(fd int, elem string) error {
		ts, err := timesOf(a, func(st *unix.Stat_t) error {
			return unix.Fstatat(fd, elem, st, unix.AT_SYMLINK_NOFOLLOW)
		})
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(fd, elem, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	})
}

// timesOf returns both times to set; the one that stays is UTIME_OMIT where there is
// such a thing and read back where not.
func timesOf(a *sftp.Attrs, stat func(*unix.Stat_t) error) (ts [2]unix.Timespec, err error) {
	if !a.Has(sftp.AttrAtime) || !a.Has(sftp.AttrMtime) {
		if err := omitTimes(&ts, stat); err != nil {
			return ts, err
		}
	}
	if a.Has(sftp.AttrAtime) {
		ts[0] = unix.NsecToTimespec(a.Atime.UnixNano())
	}
	if a.Has(sftp.AttrMtime) {
		ts[1] = unix.NsecToTimespec(a.Mtime.UnixNano())
	}
	return ts, nil
}

func (s *FS) statfs(rel string, info *sftp.FSInfo) error {
	// The last element may be a file without read permission: ask its directory,
	// unless it is a directory, which may be a mount point.
	f, err := s.openDir(rel)
	switch {
	case err == nil:
		defer f.Close()
		return statfsFile(f, info)
	case err == unix.ENOTDIR || err == unix.EACCES:
	default:
		return err
	}
	// Not being allowed to open it is no reason to speak of what may not be there, or
	// of what may not even be looked for.
	if err := s.lstat(rel, new(sftp.Attrs)); err != nil {
		return err
	}
	f, err = s.openDir(dirOf(rel))
	if err != nil {
		return err
	}
	defer f.Close()
	return statfsFile(f, info)
}

func dirOf(rel string) string {
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i]
	}
	return "."
}

// at runs a call on the parent descriptor and last element of rel.
func (s *FS) at(rel string, call func(fd int, elem string) error) error {
	p, err := s.parent(rel)
	if err != nil {
		return err
	}
	defer p.close()
	return retry(func() error { return call(p.fd, p.elem) })
}

func (s *FS) at2(one, two string, call func(fd1 int, elem1 string, fd2 int, elem2 string) error) error {
	p, err := s.parent(one)
	if err != nil {
		return err
	}
	defer p.close()
	q, err := s.parent(two)
	if err != nil {
		return err
	}
	defer q.close()
	return retry(func() error { return call(p.fd, p.elem, q.fd, q.elem) })
}

// control runs call with the descriptor of f, which cannot be closed meanwhile.
func control(f *os.File, call func(fd int) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = retry(func() error { return call(int(fd)) }) }); err != nil {
		return err
	}
	return inner
}

func statFile(f *os.File, a *sftp.Attrs) error {
	var st unix.Stat_t
	if err := control(f, func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	attrsOf(a, &st)
	return nil
}

func statfsFile(f *os.File, info *sftp.FSInfo) error {
	return control(f, func(fd int) error {
		var st unix.Statfs_t
		if err := unix.Fstatfs(fd, &st); err != nil {
			return err
		}
		fillFSInfo(info, &st)
		return nil
	})
}

func timesFile(f *os.File, a *sftp.Attrs) error {
	return control(f, func(fd int) error {
		ts, err := timesOf(a, func(st *unix.Stat_t) error { return unix.Fstat(fd, st) })
		if err != nil {
			return err
		}
		return futimes(fd, &ts)
	})
}

// statEntries adds the entries of names to d, but those that are gone.
func statEntries(d *dir, names []string) error {
	rc, err := d.f.SyscallConn()
	if err != nil {
		return err
	}
	var a sftp.Attrs
	var st unix.Stat_t
	return rc.Control(func(fd uintptr) {
		for _, name := range names {
			err := unix.Fstatat(int(fd), name, &st, unix.AT_SYMLINK_NOFOLLOW)
			for err == unix.EINTR {
				err = unix.Fstatat(int(fd), name, &st, unix.AT_SYMLINK_NOFOLLOW)
			}
			switch err {
			case nil:
				attrsOf(&a, &st)
			case unix.ENOENT:
				continue
			default: // the name is there, its attributes are not to be had
				a = sftp.Attrs{Kind: sftp.TypeUnknown}
			}
			d.add(name, &a)
		}
	})
}

// checkHostName accepts every clean path: any bytes but "/" and NUL make a name.
func checkHostName(string) error { return nil }

// checkLinkText accepts every text.
func checkLinkText(string) error { return nil }

// cutRoot cuts the directory root off path.
func cutRoot(path, root string) (rest string, ok bool) { return strings.CutPrefix(path, root) }

// spelled answers rel: a name has one spelling.
func (s *FS) spelled(rel string) (string, error) { return rel, nil }

// slashed returns a link target with "/" as separator.
func slashed(target string) string { return target }

// flock is the lock of the host for the block bits of OPEN: exclusive if others may not
// read. Where there is none the file goes without.
func flock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	err := control(f, func(fd int) error { return unix.Flock(fd, how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return sftp.CodeLockConflict
	}
	return nil
}

// identity returns a function that tells whether rel names the object of f.
func identity(f *os.File) (func(s *FS, rel string) (bool, error), error) {
	var a sftp.Attrs
	if err := statFile(f, &a); err != nil {
		return nil, err
	}
	return func(s *FS, rel string) (bool, error) {
		var b sftp.Attrs
		err := s.lstat(rel, &b)
		return err == nil && a.SameFile(&b), err
	}, nil
}
