package sftpserver

import "golang.org/x/sys/windows"

// goneErrors are what Winsock calls a peer that left. The numbers that package syscall has
// under the names of Unix no call returns.
var goneErrors = [...]error{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.ERROR_BROKEN_PIPE, windows.ERROR_NETNAME_DELETED}
