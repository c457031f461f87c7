package sftpserver

import (
	"errors"
	"fmt"
)

// An Error is an error with one of the numbers of the component.
type Error struct {
	Code int    // see ErrorCode
	Op   string // what was being done; may be empty
	Err  error  // why
}

func (e *Error) Error() string {
	if e.Op == "" {
		return fmt.Sprintf("sftpserver: %v", e.Err)
	}
	return fmt.Sprintf("sftpserver: %s: %v", e.Op, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Is finds errors of one number.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Op == e.Op
}

// Errors of methods.
var (
	ErrAlreadyListening  = &Error{104, "start", errors.New("listening already")}
	ErrListening         = &Error{106, "set", errors.New("cannot change while listening")}
	ErrUnknownConnection = &Error{126, "connection", errors.New("no connection of that id")}
	ErrNoHostKey         = &Error{1301, "start", errors.New("no host key, or none with its private key")}
	ErrNotLoggedIn       = errors.New("sftpserver: nobody is logged in yet")
)

// ErrorCode is the number of an error: see docs/errors.md.
func ErrorCode(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
