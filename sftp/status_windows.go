package sftp

import (
	"errors"
	"syscall"
)

// errnoCodes maps Win32 error numbers (winerror.h).
var errnoCodes = map[syscall.Errno]Code{
	2:                    CodeNoSuchFile,        // ERROR_FILE_NOT_FOUND
	3:                    CodeNoSuchPath,        // ERROR_PATH_NOT_FOUND
	5:                    CodePermissionDenied,  // ERROR_ACCESS_DENIED
	6:                    CodeInvalidHandle,     // ERROR_INVALID_HANDLE
	17:                   CodeOpUnsupported,     // ERROR_NOT_SAME_DEVICE
	19:                   CodeWriteProtect,      // ERROR_WRITE_PROTECT
	21:                   CodeNoMedia,           // ERROR_NOT_READY
	32:                   CodeLockConflict,      // ERROR_SHARING_VIOLATION
	33:                   CodeRangeLockConflict, // ERROR_LOCK_VIOLATION
	38:                   CodeEOF,               // ERROR_HANDLE_EOF
	39:                   CodeNoSpace,           // ERROR_HANDLE_DISK_FULL
	50:                   CodeOpUnsupported,     // ERROR_NOT_SUPPORTED
	80:                   CodeFileAlreadyExists, // ERROR_FILE_EXISTS
	87:                   CodeInvalidParameter,  // ERROR_INVALID_PARAMETER
	112:                  CodeNoSpace,           // ERROR_DISK_FULL
	123:                  CodeInvalidFilename,   // ERROR_INVALID_NAME
	145:                  CodeDirNotEmpty,       // ERROR_DIR_NOT_EMPTY
	183:                  CodeFileAlreadyExists, // ERROR_ALREADY_EXISTS
	206:                  CodeInvalidFilename,   // ERROR_FILENAME_EXCED_RANGE
	267:                  CodeNotADirectory,     // ERROR_DIRECTORY
	303:                  CodeDeletePending,     // ERROR_DELETE_PENDING
	1112:                 CodeNoMedia,           // ERROR_NO_MEDIA_IN_DRIVE
	1295:                 CodeQuotaExceeded,     // ERROR_DISK_QUOTA_EXCEEDED
	1392:                 CodeFileCorrupt,       // ERROR_FILE_CORRUPT
	1921:                 CodeLinkLoop,          // ERROR_CANT_RESOLVE_FILENAME
	syscall.EISDIR:       CodeIsADirectory,
	syscall.ELOOP:        CodeLinkLoop,
	syscall.ENAMETOOLONG: CodeInvalidFilename,
	syscall.EINVAL:       CodeInvalidParameter,
}

func codeOfErrno(err error) (Code, bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return 0, false
	}
	c, ok := errnoCodes[errno]
	return c, ok
}
