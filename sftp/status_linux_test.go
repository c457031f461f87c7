package sftp

import (
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// TestErrnoCodes: what Linux says, and what a peer of version 3 and of version 6 is told, as
// the drafts and OpenSSH word it; each errno of the tables is here.
func TestErrnoCodes(t *testing.T) {
	rows := []struct {
		errno  syscall.Errno
		v6, v3 Code
	}{
		{syscall.ENOENT, CodeNoSuchFile, CodeNoSuchFile},
		{syscall.ESTALE, CodeNoSuchFile, CodeNoSuchFile},
		{syscall.EPERM, CodePermissionDenied, CodePermissionDenied},
		{syscall.EACCES, CodePermissionDenied, CodePermissionDenied},
		{syscall.EEXIST, CodeFileAlreadyExists, CodeFailure},
		{syscall.EROFS, CodeWriteProtect, CodePermissionDenied},
		{syscall.ENODEV, CodeNoMedia, CodeFailure},
		{syscall.ENXIO, CodeNoMedia, CodeFailure},
		{syscall.ENOMEDIUM, CodeNoMedia, CodeFailure},
		{syscall.EMEDIUMTYPE, CodeNoMedia, CodeFailure},
		{syscall.ENOSPC, CodeNoSpace, CodeFailure},
		{syscall.EFBIG, CodeNoSpace, CodeFailure},
		{syscall.EDQUOT, CodeQuotaExceeded, CodeFailure},
		{syscall.ENOTEMPTY, CodeDirNotEmpty, CodeFailure},
		{syscall.ENOTDIR, CodeNotADirectory, CodeNoSuchFile},
		{syscall.EISDIR, CodeIsADirectory, CodeFailure},
		{syscall.ELOOP, CodeLinkLoop, CodeNoSuchFile},
		{syscall.ENAMETOOLONG, CodeInvalidFilename, CodeBadMessage},
		{syscall.EILSEQ, CodeInvalidFilename, CodeBadMessage},
		{syscall.EINVAL, CodeInvalidParameter, CodeBadMessage},
		{syscall.EOVERFLOW, CodeInvalidParameter, CodeBadMessage},
		{syscall.EBADF, CodeInvalidHandle, CodeFailure},
		{syscall.ENOSYS, CodeOpUnsupported, CodeOpUnsupported},
		{syscall.EOPNOTSUPP, CodeOpUnsupported, CodeOpUnsupported},
		{syscall.EXDEV, CodeFailure, CodeFailure},
		{syscall.EIO, CodeFileCorrupt, CodeFailure},
		{syscall.EBUSY, CodeCannotDelete, CodeFailure},
		{syscall.ETXTBSY, CodeLockConflict, CodeFailure},
		{syscall.EAGAIN, CodeLockConflict, CodeFailure},
		{syscall.ENOLCK, CodeRangeLockRefused, CodeFailure},
		{syscall.EUCLEAN, CodeFileCorrupt, CodeFailure},
		{syscall.EBADMSG, CodeFileCorrupt, CodeFailure},
	}
	if want := len(errnoCodes) + len(hostErrnoCodes); len(rows) != want {
		t.Errorf("%d rows for %d errnos", len(rows), want)
	}
	for _, row := range rows {
		err := &fs.PathError{Op: "open", Path: "/host/secret", Err: os.NewSyscallError("open", row.errno)}
		if got := CodeOf(err); got != row.v6 || got.In(6) != row.v6 || got.In(3) != row.v3 {
			t.Errorf("%v: %v, in version 3 %v; want %v and %v", row.errno, got, got.In(3), row.v6, row.v3)
		}
	}
}
