package ssh2

import (
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// A Signal is the name of a signal, without "SIG" (RFC 4254 section 6.10): one
// of those below, or a private one of the form name@domain.
type Signal string

// The signals of RFC 4254 section 6.10.
const (
	SIGABRT Signal = "ABRT"
	SIGALRM Signal = "ALRM"
	SIGFPE  Signal = "FPE"
	SIGHUP  Signal = "HUP"
	SIGILL  Signal = "ILL"
	SIGINT  Signal = "INT"
	SIGKILL Signal = "KILL"
	SIGPIPE Signal = "PIPE"
	SIGQUIT Signal = "QUIT"
	SIGSEGV Signal = "SEGV"
	SIGTERM Signal = "TERM"
	SIGUSR1 Signal = "USR1"
	SIGUSR2 Signal = "USR2"
)

// signals has the names of RFC 4254 section 6.10, with the numbers that peers
// from before the RFC use in exit-signal, which are those of early Unix; 0 is
// none.
var signals = map[Signal]uint32{
	SIGABRT: 6, SIGALRM: 14, SIGFPE: 8, SIGHUP: 1, SIGILL: 4, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGQUIT: 3,
	SIGSEGV: 11, SIGTERM: 15, SIGUSR1: 0, SIGUSR2: 0,
}

// maxSignalName bounds names with a domain, as RFC 4251 section 6 does.
const maxSignalName = 64

// Check returns an error unless s is a name of RFC 4254 section 6.10 or one of
// the form name@domain (RFC 4251 section 6).
func (s Signal) Check() error {
	if _, ok := signals[s]; ok {
		return nil
	}
	name, domain, own := strings.Cut(string(s), "@")
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7F || r == ',' || r == '@' }
	if !own || name == "" || domain == "" || len(s) > maxSignalName || strings.ContainsFunc(name+domain, bad) {
		return fmt.Errorf("ssh2: signal %+q: unknown and without a domain", clip(string(s)))
	}
	return nil
}

// plain returns s without the "SIG" that some peers put in front.
func (s Signal) plain() Signal {
	if p := Signal(strings.TrimPrefix(string(s), "SIG")); p.Check() == nil {
		return p
	}
	return s
}

// numberedSignal names a signal that came as a number.
func numberedSignal(n uint32) Signal {
	for s, number := range signals {
		if n == number && n != 0 {
			return s
		}
	}
	return Signal(fmt.Sprintf("%d@unknown", n))
}

// exitSignal reads the data of exit-signal (RFC 4254 section 6.10), or returns
// nil. Implementations from before the RFC send the number of the signal instead
// of its name and of whether there is a core; read by the RFC, that is a name
// that begins with NUL, if it is anything, so the two cannot be confused.
func exitSignal(p []byte) *ExitError {
	var m msg.ExitSignal
	if decodeData(p, &m) && m.Signal != "" && m.Signal[0] != 0 {
		return &ExitError{Signal: Signal(m.Signal).plain(), CoreDumped: m.CoreDumped, Text: m.Text, Language: m.Language}
	}
	var old msg.OldExitSignal
	if decodeData(p, &old) {
		return &ExitError{Signal: numberedSignal(old.Signal), Text: old.Text, Language: old.Language}
	}
	return nil
}
