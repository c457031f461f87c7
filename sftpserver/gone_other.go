//go:build !windows

package sftpserver

import "syscall"

// goneErrors are what the system calls a peer that left.
var goneErrors = [...]error{syscall.ECONNRESET, syscall.EPIPE}
