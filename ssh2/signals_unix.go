//go:build unix

package ssh2

import (
	"strconv"
	"syscall"
)

// unixSignals has the numbers that this system gives to the signals of RFC 4254
// section 6.10.
var unixSignals = map[Signal]syscall.Signal{
	SIGABRT: syscall.SIGABRT, SIGALRM: syscall.SIGALRM, SIGFPE: syscall.SIGFPE, SIGHUP: syscall.SIGHUP,
	SIGILL: syscall.SIGILL, SIGINT: syscall.SIGINT, SIGKILL: syscall.SIGKILL, SIGPIPE: syscall.SIGPIPE,
	SIGQUIT: syscall.SIGQUIT, SIGSEGV: syscall.SIGSEGV, SIGTERM: syscall.SIGTERM,
	SIGUSR1: syscall.SIGUSR1, SIGUSR2: syscall.SIGUSR2,
}

// Syscall returns the signal as this system knows it, and whether it does. It
// exists on Unix only.
func (s Signal) Syscall() (syscall.Signal, bool) {
	sig, ok := unixSignals[s]
	return sig, ok
}

// SignalOf names a signal of this system. One that RFC 4254 has no name for
// becomes "NUMBER@unix". It exists on Unix only.
func SignalOf(sig syscall.Signal) Signal {
	for name, s := range unixSignals {
		if s == sig {
			return name
		}
	}
	return Signal(strconv.Itoa(int(sig)) + "@unix")
}
