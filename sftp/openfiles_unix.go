//go:build unix

package sftp

import (
	"math"
	"sync"
	"syscall"
)

// openFiles is how many files the process may have open, 0 if there is no bound.
var openFiles = sync.OnceValue(func() int64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || uint64(l.Cur) > math.MaxInt64 { //nolint:unconvert // it has a sign on FreeBSD
		return 0
	}
	return int64(l.Cur)
})
