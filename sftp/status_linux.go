package sftp

import "syscall"

// hostErrnoCodes are errno values that POSIX does not have.
var hostErrnoCodes = map[syscall.Errno]Code{
	syscall.ENOMEDIUM:   CodeNoMedia,
	syscall.EMEDIUMTYPE: CodeNoMedia,
	syscall.EUCLEAN:     CodeFileCorrupt, // ext4, xfs: "structure needs cleaning"
	syscall.EBADMSG:     CodeFileCorrupt, // a checksum is wrong
}
