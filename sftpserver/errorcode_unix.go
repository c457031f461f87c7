//go:build unix

package sftpserver

import "syscall"

// winsockCode: numbers of the system are its own.
func winsockCode(syscall.Errno) int { return 0 }
