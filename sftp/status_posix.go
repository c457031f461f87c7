//go:build unix && !linux

package sftp

import "syscall"

// hostErrnoCodes has no values of its own here.
var hostErrnoCodes = map[syscall.Errno]Code{}
