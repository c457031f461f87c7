package osfs

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// noOpenat2 is set once the kernel (before 5.6) or a seccomp filter refused openat2.
var noOpenat2 atomic.Bool

// openParent opens directory rel in one call: the kernel walks it beneath the root and
// stops at any link. O_PATH asks for no permission on the directory but to pass.
func (s *FS) openParent(rel string) (parent, error) {
	if !noOpenat2.Load() {
		how := unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		}
		for range 4 {
			fd, err := unix.Openat2(int(s.base.Fd()), rel, &how)
			switch err {
			case nil:
				return parent{fd: fd, own: true}, nil
			case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename raced with the walk
				continue
			case unix.ELOOP:
				return parent{}, errSymlink
			case unix.ENOSYS, unix.EPERM, unix.E2BIG:
				noOpenat2.Store(true)
			default:
				return parent{}, err
			}
			break
		}
	}
	return s.rootParent(rel)
}

// openBeneath opens rel as openFile does, in one call instead of three. It returns
// done = false, whatever happened, if openFile has to look step by step.
func (s *FS) openBeneath(rel string, flag int, perm uint32) (fd int, done bool, err error) {
	if noOpenat2.Load() {
		return -1, false, nil
	}
	how := unix.OpenHow{
		Flags:   uint64(flag | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flag&unix.O_CREAT != 0 { // or else the kernel refuses a mode
		how.Mode = uint64(perm)
	}
	switch fd, err = unix.Openat2(int(s.base.Fd()), rel, &how); err {
	case nil:
		return fd, true, nil
	case unix.ENOENT, unix.EEXIST, unix.EACCES:
		return -1, true, err
	}
	return -1, false, nil
}

// lstatBeneath is lstat for a name with directories in it. The file itself is opened
// instead of its parent, without access to it, since asking a descriptor costs less than
// looking a name up again. done is as for openBeneath.
func (s *FS) lstatBeneath(rel string, st *unix.Stat_t) (done bool, err error) {
	if noOpenat2.Load() || !strings.Contains(rel, "/") {
		return false, nil
	}
	// O_PATH with O_NOFOLLOW makes an exception for a link as last element.
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(int(s.base.Fd()), rel, &how)
	switch err {
	case nil:
	case unix.ENOENT, unix.EACCES:
		return true, err
	default:
		return false, nil
	}
	err = unix.Fstat(fd, st)
	// Closing a descriptor of O_PATH has nothing to wait for, so the scheduler
	// need not hear of it.
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return err == nil, err
}

// errNoRenameNew says that the kernel or file system has no such rename.
var errNoRenameNew = errors.New("osfs: no exclusive rename")

// renameNew renames unless the target exists, in one step.
func renameNew(fd1 int, from string, fd2 int, to string) error {
	err := unix.Renameat2(fd1, from, fd2, to, unix.RENAME_NOREPLACE)
	if err == unix.ENOSYS {
		return errNoRenameNew
	}
	if err == unix.EINVAL {
		// Either the file system does not know the flag, or a directory is to move
		// into itself; the fallback fails again in the second case.
		return errNoRenameNew
	}
	return err
}

func timeOf(ts unix.Timespec) time.Time { return time.Unix(int64(ts.Sec), int64(ts.Nsec)) }

// addHost does nothing: the stat calls of Linux tell no more, see statMore.
func addHost(*sftp.Attrs, *unix.Stat_t) {}

func omitTimes(ts *[2]unix.Timespec, _ func(*unix.Stat_t) error) error {
	ts[0].Nsec, ts[1].Nsec = unix.UTIME_OMIT, unix.UTIME_OMIT
	return nil
}

func futimes(fd int, ts *[2]unix.Timespec) error {
	err := unix.UtimesNanoAt(fd, "", ts[:], unix.AT_EMPTY_PATH)
	if err == unix.EINVAL || err == unix.ENOENT { // before Linux 5.8
		return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), ts[:], 0)
	}
	return err
}

func fillFSInfo(info *sftp.FSInfo, st *unix.Statfs_t) {
	frag := uint64(st.Frsize)
	if frag == 0 {
		frag = uint64(st.Bsize)
	}
	*info = sftp.FSInfo{
		BlockSize: uint64(st.Bsize), FragmentSize: frag,
		Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, FilesAvail: st.Ffree,
		ID:      uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		NameMax: uint64(st.Namelen),
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		info.Flags |= sftp.FSReadOnly
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		info.Flags |= sftp.FSNoSUID
	}
}

// copyFile copies with copy_file_range, which shares blocks where the file system can.
func copyFile(dst *os.File, off int64, src *os.File, srcOff, n int64) (done int64, err error) {
	err = control(src, func(in int) error {
		return control(dst, func(out int) error {
			for done < n {
				from, to := srcOff+done, off+done
				m, err := unix.CopyFileRange(in, &from, out, &to, int(min(n-done, 1<<30)), 0)
				switch {
				case err == unix.EINTR:
					continue
				case err == unix.EXDEV || err == unix.ENOSYS || err == unix.EINVAL || err == unix.EOPNOTSUPP || err == unix.EPERM:
					if done == 0 {
						return errors.ErrUnsupported
					}
					return nil
				case err != nil:
					return err
				case m <= 0:
					return nil
				}
				done += int64(m)
			}
			return nil
		})
	})
	return done, err
}
