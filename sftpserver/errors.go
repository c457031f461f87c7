package sftpserver

import (
	"errors"
	"fmt"
)

// An Error is an error with one of the numbers of the component: see docs/errors.md.
type Error struct {
	Code int    // one of the constants, or a number of the system: see ErrorCode
	Op   string // what was being done; may be empty
	Err  error  // why; nil stands for the text of the number
}

// Error says what went wrong, and in which operation.
func (e *Error) Error() string {
	why := CodeText(e.Code)
	if e.Err != nil {
		why = e.Err.Error()
	}
	if e.Op == "" {
		return "sftpserver: " + why
	}
	return fmt.Sprintf("sftpserver: %s: %s", e.Op, why)
}

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is find an error of the same number, whatever operation it is about.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && e.Code != 0
}

// Errors of methods, and of Disconnected and Error events. Compare with errors.Is: those that are
// returned may say more.
var (
	// ErrAlreadyListening: Start of a Server that listens.
	ErrAlreadyListening = &Error{Code: CodeAlreadyListening, Op: "start"}
	// ErrListening: what cannot change while the server listens. The numbers for the port, the host and the
	// number of connections differ; all three wrap this one.
	ErrListening = &Error{Code: CodeLocalPort, Op: "set", Err: errors.New("cannot change while listening")}
	// ErrUnknownConnection: no connection has that id, or none any more.
	ErrUnknownConnection = &Error{Code: CodeUnknownConnection, Op: "connection"}
	// ErrNoHostKey: there is nothing to sign key exchanges with.
	ErrNoHostKey = &Error{Code: CodeNoHostKey, Op: "start"}
	// ErrTooManyConnections: a client was refused because of Options.MaxConnections.
	ErrTooManyConnections = &Error{Code: codeAborted, Op: "accept", Err: errors.New("too many connections")}
	// ErrNotLoggedIn: what needs a user, before there is one.
	ErrNotLoggedIn = errors.New("sftpserver: nobody is logged in yet")
)
