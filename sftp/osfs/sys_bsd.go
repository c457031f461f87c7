//go:build darwin || freebsd

package osfs

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// openParent opens directory rel through os.Root, which follows relative links that
// stay inside by itself.
func (s *FS) openParent(rel string) (parent, error) { return s.rootParent(rel) }

// openBeneath leaves everything to openFile.
func (s *FS) openBeneath(string, int, uint32) (fd int, done bool, err error) { return -1, false, nil }

// lstatBeneath leaves everything to lstat.
func (s *FS) lstatBeneath(string, *unix.Stat_t) (done bool, err error) { return false, nil }

// errNoRenameNew says that there is no rename that fails if the target exists.
var errNoRenameNew = errors.New("osfs: no exclusive rename")

func timeOf(ts unix.Timespec) time.Time { return time.Unix(int64(ts.Sec), int64(ts.Nsec)) }

// omitTimes reads both times back, since UTIME_OMIT is not everywhere.
func omitTimes(ts *[2]unix.Timespec, stat func(*unix.Stat_t) error) error {
	var st unix.Stat_t
	if err := stat(&st); err != nil {
		return err
	}
	ts[0], ts[1] = st.Atim, st.Mtim
	return nil
}

func futimes(fd int, ts *[2]unix.Timespec) error {
	return unix.Futimes(fd, []unix.Timeval{
		unix.NsecToTimeval(unix.TimespecToNsec(ts[0])),
		unix.NsecToTimeval(unix.TimespecToNsec(ts[1])),
	})
}

// copyFile leaves the work to the caller.
func copyFile(*os.File, int64, *os.File, int64, int64) (int64, error) {
	return 0, errors.ErrUnsupported
}

func fsFlags(readOnly, noSUID bool) (f sftp.FSFlags) {
	if readOnly {
		f |= sftp.FSReadOnly
	}
	if noSUID {
		f |= sftp.FSNoSUID
	}
	return f
}

const (
	// hostAttrs are answered beyond version 3's; none of them can be set.
	hostAttrs    = sftp.AttrCtime | sftp.AttrBirth | sftp.AttrLinks | sftp.AttrAllocation
	hostSettable = sftp.AttrMask(0)
	hostXattrs   = sftp.AttrMask(0)
	hostBits     = sftp.AttrBits(0)
)

// attrBits are attribute bits as st_flags has them, the user's and the superuser's.
var attrBits = [...]struct {
	bit   sftp.AttrBits
	flags uint32
}{
	{sftp.BitImmutable, 0x00020002},  // SF_IMMUTABLE, UF_IMMUTABLE
	{sftp.BitAppendOnly, 0x00040004}, // SF_APPEND, UF_APPEND
}

// addHost adds what these systems tell with every stat.
func addHost(a *sftp.Attrs, st *unix.Stat_t) {
	a.Birth = timeOf(st.Btim)
	a.Valid |= sftp.AttrBirth | sftp.AttrBitsSet
	for _, b := range attrBits {
		a.BitsValid |= b.bit
		if st.Flags&b.flags != 0 {
			a.Bits |= b.bit
		}
	}
}

func (s *FS) statMore(string, *sftp.Attrs) error { return nil }

func statMoreFile(*os.File, *sftp.Attrs) error { return nil }

func setBits(*os.File, sftp.AttrBits, sftp.AttrBits) error { return errors.ErrUnsupported }

func readXattrs(*os.File, *sftp.Attrs) {}

func writeXattrs(*os.File, []sftp.ExtAttr) error { return errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// There are no locks of ranges that belong to a descriptor: those of POSIX belong to the
// process, and end when it closes any descriptor of the file.
func lockRange(*file, uint64, uint64, bool) error { return nil }

func unlockRange(*file, uint64, uint64) {}

// appendState: there is no append at a descriptor opened without O_APPEND.
type appendState struct{}

func (appendState) prepare(*os.File) {}

func (appendState) append([]byte, *sftp.LockHandle) (done bool, n int, err error) {
	return false, 0, nil
}

// whereabouts: the name is where it was, or it is lost.
func (s *FS) whereabouts(f *file) (rel string, ok bool) { return f.doomed, true }
