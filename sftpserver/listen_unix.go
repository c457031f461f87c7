//go:build unix

package sftpserver

import (
	"os"

	"golang.org/x/sys/unix"
)

// shareAddress lets other processes of the user bind the same address and port.
func shareAddress(fd uintptr, share bool) error {
	if !share {
		return nil // nobody else can: package net sets SO_REUSEADDR only, which is about addresses that were left
	}
	return reusePort(int(fd))
}

// listenBacklog makes the queue of a socket that listens n connections long.
func listenBacklog(fd uintptr, n int) error {
	return os.NewSyscallError("listen", unix.Listen(int(fd), n))
}
