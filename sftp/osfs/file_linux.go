package osfs

import (
	"errors"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// lockRange takes an open file description lock: an exclusive one if others may not read,
// or if the handle can have no other.
func lockRange(f *file, start, end uint64, exclusive bool) error {
	if start > math.MaxInt64 {
		return nil // no file reaches there
	}
	lk := unix.Flock_t{Type: unix.F_RDLCK, Start: int64(start), Len: rangeLen(start, end)}
	if (exclusive || !f.reads) && f.writes {
		lk.Type = unix.F_WRLCK
	}
	err := control(f.f, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return sftp.Status(sftp.CodeRangeLockRefused, "another process holds a lock")
	}
	return nil // EBADF: no access for any; else no such locks here
}

func unlockRange(f *file, start, end uint64) {
	if start > math.MaxInt64 {
		return
	}
	lk := unix.Flock_t{Type: unix.F_UNLCK, Start: int64(start), Len: rangeLen(start, end)}
	_ = control(f.f, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
}

// rangeLen is l_len: 0 is as far as a file can reach.
func rangeLen(start, end uint64) int64 {
	if end > math.MaxInt64 {
		return 0
	}
	return int64(end - start)
}

// noAppend is set once the kernel (before 4.16) or a filter refused RWF_APPEND.
var noAppend atomic.Bool

// appendState holds the arguments and results of the call, so that none of them is
// allocated anew for each WRITE.
type appendState struct {
	raw   syscall.RawConn
	call  func(fd uintptr)
	iov   [1][]byte
	locks *sftp.LockHandle
	n     int
	err   error
}

func (e *appendState) prepare(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	e.raw = raw
	e.call = func(fd uintptr) { e.n, e.err = e.appendTo(int(fd)) }
}

// append writes all of p at the end of the file, done unless it cannot be done so.
func (e *appendState) append(p []byte, locks *sftp.LockHandle) (done bool, n int, err error) {
	if e.raw == nil || noAppend.Load() {
		return false, 0, nil
	}
	e.iov[0], e.locks = p, locks
	err = e.raw.Control(e.call)
	e.iov[0], e.locks = nil, nil
	switch {
	case err != nil:
		return true, 0, err
	case errors.Is(e.err, unix.ENOSYS), errors.Is(e.err, unix.EOPNOTSUPP), errors.Is(e.err, unix.EINVAL):
		noAppend.Store(!errors.Is(e.err, unix.EINVAL))
		return false, 0, nil
	}
	return true, e.n, e.err
}

func (e *appendState) appendTo(fd int) (n int, err error) {
	p := e.iov[0]
	// Where the end is matters for the locks only; asking is cheap beside writing.
	end, err := unix.Seek(fd, 0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if err := e.locks.Check(true, end, int64(len(p))); err != nil {
		return 0, err
	}
	for n < len(p) {
		e.iov[0] = p[n:]
		m, err := unix.Pwritev2(fd, e.iov[:], 0, unix.RWF_APPEND)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrUnexpectedEOF
		}
		n += m
	}
	return n, nil
}

// whereabouts returns where the name is by which f was opened, false if it is gone: the
// kernel keeps track of it through renames.
func (s *FS) whereabouts(f *file) (rel string, ok bool) {
	root, err := pathOf(s.base)
	if err != nil {
		return f.doomed, true // no /proc
	}
	name, err := pathOf(f.f)
	if err != nil {
		return f.doomed, true
	}
	rel, below := strings.CutPrefix(name, strings.TrimSuffix(root, "/")+"/")
	// A name that is gone ends in " (deleted)", and no file of that name is this one.
	return rel, below && rel != "" && len(rel) <= sftp.MaxPath
}

func pathOf(f *os.File) (name string, err error) {
	err = control(f, func(fd int) error {
		name, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		return err
	})
	return name, err
}
