//go:build unix || windows

package sftpserver

import "syscall"

// errnos are the errors of the system that codeTable has numbers for. Windows has them
// for package syscall's own use, beside Winsock's.
var errnos = map[string]syscall.Errno{
	"EINTR":           syscall.EINTR,
	"EBADF":           syscall.EBADF,
	"EACCES":          syscall.EACCES,
	"EPERM":           syscall.EPERM,
	"EFAULT":          syscall.EFAULT,
	"EINVAL":          syscall.EINVAL,
	"EMFILE":          syscall.EMFILE,
	"ENFILE":          syscall.ENFILE,
	"EWOULDBLOCK":     syscall.EWOULDBLOCK,
	"EAGAIN":          syscall.EAGAIN,
	"EINPROGRESS":     syscall.EINPROGRESS,
	"EALREADY":        syscall.EALREADY,
	"ENOTSOCK":        syscall.ENOTSOCK,
	"EDESTADDRREQ":    syscall.EDESTADDRREQ,
	"EMSGSIZE":        syscall.EMSGSIZE,
	"EPROTOTYPE":      syscall.EPROTOTYPE,
	"ENOPROTOOPT":     syscall.ENOPROTOOPT,
	"EPROTONOSUPPORT": syscall.EPROTONOSUPPORT,
	"ESOCKTNOSUPPORT": syscall.ESOCKTNOSUPPORT,
	"EOPNOTSUPP":      syscall.EOPNOTSUPP,
	"EPFNOSUPPORT":    syscall.EPFNOSUPPORT,
	"EAFNOSUPPORT":    syscall.EAFNOSUPPORT,
	"EADDRINUSE":      syscall.EADDRINUSE,
	"EADDRNOTAVAIL":   syscall.EADDRNOTAVAIL,
	"ENETDOWN":        syscall.ENETDOWN,
	"ENETUNREACH":     syscall.ENETUNREACH,
	"ENETRESET":       syscall.ENETRESET,
	"ECONNABORTED":    syscall.ECONNABORTED,
	"ECONNRESET":      syscall.ECONNRESET,
	"ENOBUFS":         syscall.ENOBUFS,
	"EISCONN":         syscall.EISCONN,
	"ENOTCONN":        syscall.ENOTCONN,
	"ESHUTDOWN":       syscall.ESHUTDOWN,
	"EPIPE":           syscall.EPIPE,
	"ETOOMANYREFS":    syscall.ETOOMANYREFS,
	"ETIMEDOUT":       syscall.ETIMEDOUT,
	"ECONNREFUSED":    syscall.ECONNREFUSED,
	"ELOOP":           syscall.ELOOP,
	"ENAMETOOLONG":    syscall.ENAMETOOLONG,
	"EHOSTDOWN":       syscall.EHOSTDOWN,
	"EHOSTUNREACH":    syscall.EHOSTUNREACH,
	"ENOTEMPTY":       syscall.ENOTEMPTY,
	"EUSERS":          syscall.EUSERS,
	"EDQUOT":          syscall.EDQUOT,
	"ESTALE":          syscall.ESTALE,
	"EREMOTE":         syscall.EREMOTE,
}

// codeOfErrno is codeTable turned round.
var codeOfErrno = func() map[syscall.Errno]int {
	m := make(map[syscall.Errno]int, len(errnos))
	for _, row := range codeTable {
		for _, name := range row.errno {
			m[errnos[name]] = row.code
		}
	}
	return m
}()

func errnoCode(e syscall.Errno) int {
	if code := winsockCode(e); code != 0 {
		return code
	}
	return codeOfErrno[e]
}
