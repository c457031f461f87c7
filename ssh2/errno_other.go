//go:build !windows

package ssh2

import "syscall"

// What the system calls the misfortunes of connections.
const (
	errRefused     = syscall.ECONNREFUSED
	errReset       = syscall.ECONNRESET
	errTimedOut    = syscall.ETIMEDOUT
	errNoHost      = syscall.EHOSTUNREACH
	errNoNetwork   = syscall.ENETUNREACH
	errAddrInUse   = syscall.EADDRINUSE
	errAddrRefused = syscall.EACCES
)
