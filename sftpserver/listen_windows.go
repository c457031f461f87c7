package sftpserver

import (
	"os"

	"golang.org/x/sys/windows"
)

// soExclusiveAddrUse is SO_EXCLUSIVEADDRUSE, the complement of SO_REUSEADDR.
const soExclusiveAddrUse = ^windows.SO_REUSEADDR

// shareAddress lets other processes bind the same address and port, or keeps them from it: on
// Windows who asks to share takes an address from who has not said no.
func shareAddress(fd uintptr, share bool) error {
	option := soExclusiveAddrUse
	if share {
		option = windows.SO_REUSEADDR
	}
	return os.NewSyscallError("setsockopt", windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, option, 1))
}

// listenBacklog does nothing: Windows does not take another length once a socket listens.
func listenBacklog(uintptr, int) error { return nil }
