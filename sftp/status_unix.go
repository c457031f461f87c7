//go:build unix

package sftp

import (
	"errors"
	"syscall"
)

// errnoCodes maps errno values. What is not here is asked of errors.Is and ends as
// CodeFailure.
var errnoCodes = map[syscall.Errno]Code{
	syscall.ENOENT:       CodeNoSuchFile,
	syscall.EPERM:        CodePermissionDenied,
	syscall.EACCES:       CodePermissionDenied,
	syscall.EEXIST:       CodeFileAlreadyExists,
	syscall.EROFS:        CodeWriteProtect,
	syscall.ENODEV:       CodeNoMedia,
	syscall.ENXIO:        CodeNoMedia,
	syscall.ENOSPC:       CodeNoSpace,
	syscall.EDQUOT:       CodeQuotaExceeded,
	syscall.EFBIG:        CodeNoSpace,
	syscall.ENOTEMPTY:    CodeDirNotEmpty,
	syscall.ENOTDIR:      CodeNotADirectory,
	syscall.EISDIR:       CodeIsADirectory,
	syscall.ELOOP:        CodeLinkLoop,
	syscall.ENAMETOOLONG: CodeInvalidFilename,
	syscall.EILSEQ:       CodeInvalidFilename,
	syscall.EINVAL:       CodeInvalidParameter,
	syscall.EBADF:        CodeInvalidHandle,
	syscall.ENOSYS:       CodeOpUnsupported,
	syscall.EOPNOTSUPP:   CodeOpUnsupported,
	syscall.EOVERFLOW:    CodeInvalidParameter,
	syscall.ENOLCK:       CodeRangeLockRefused,
	syscall.ESTALE:       CodeNoSuchFile,
	syscall.EXDEV:        CodeFailure,
	syscall.EBUSY:        CodeCannotDelete,
	syscall.ETXTBSY:      CodeLockConflict,
	syscall.EAGAIN:       CodeLockConflict,
	syscall.EIO:          CodeFileCorrupt,
}

func codeOfErrno(err error) (Code, bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return 0, false
	}
	c, ok := errnoCodes[errno]
	if !ok {
		c, ok = hostErrnoCodes[errno]
	}
	return c, ok
}
