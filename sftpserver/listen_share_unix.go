//go:build unix && !solaris

package sftpserver

import (
	"os"

	"golang.org/x/sys/unix"
)

func reusePort(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
