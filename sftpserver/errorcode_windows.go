package sftpserver

import "syscall"

// winsockCode: what Winsock returns is the number already.
func winsockCode(e syscall.Errno) int {
	if e >= 10004 && e <= 11004 {
		return int(e)
	}
	return 0
}
