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
