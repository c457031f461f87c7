//go:build !unix && !windows

package sftpserver

import "syscall"

// errnos: systems without sockets have no numbers worth translating.
var errnos map[string]syscall.Errno

func errnoCode(syscall.Errno) int { return 0 }
