package ssh2

import "golang.org/x/sys/windows"

// What Winsock calls the misfortunes of connections. The numbers that package syscall
// has under the names of Unix no call returns.
const (
	errRefused     = windows.WSAECONNREFUSED
	errReset       = windows.WSAECONNRESET
	errTimedOut    = windows.WSAETIMEDOUT
	errNoHost      = windows.WSAEHOSTUNREACH
	errNoNetwork   = windows.WSAENETUNREACH
	errAddrInUse   = windows.WSAEADDRINUSE
	errAddrRefused = windows.WSAEACCES
)
