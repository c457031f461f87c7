package sftpserver

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/fairlead-ssh/fairlead/settings"
)

// Numbers of errors that the component itself has. Those of the system are Winsock's,
// from 10004 to 11004, on every platform: see ErrorCode. Numbers that are reserved
// belong to components that connect, and a server never raises them.
const (
	CodeRemotePort        = 100  // reserved
	CodeRemoteHost        = 101  // reserved
	CodeRemoteHostZero    = 102  // reserved
	CodeAlreadyListening  = 104  // Start of a server that listens
	CodeLocalPort         = 106  // LocalPort, and what has no number of its own, cannot change while listening
	CodeLocalHost         = 107  // LocalHost cannot
	CodeMaxConnections    = 108  // MaxConnections cannot
	CodeMaxLineLength     = 112  // reserved
	CodeRemotePortZero    = 116  // reserved
	CodeFirewall          = 118  // reserved
	CodeUnknownConnection = 126  // no connection of that id
	CodeWouldBlock        = 135  // reserved: nothing here fails because it would have to wait
	CodeForward           = 1201 // a channel, such as a forwarded connection, could not be opened
	CodeForwardData       = 1202 // data of a channel could not be passed on
	CodeAuth              = 1300 // the client could not be authenticated
	CodeNoHostKey         = 1301 // no host key, or none with its private key
	CodeInvalidPath       = 2001 // a path is invalid
	CodeIO                = 2002 // reading, writing or another operation on files
	CodeSetAttributes     = 2003 // attributes could not be set

	codeInvalid  = 10022
	codeAborted  = 10053 // what we broke off
	codeReset    = 10054 // what the peer broke off
	codeTimedOut = 10060
	codeNotFound = 11001
	codeTryAgain = 11002
	codeResolver = 11003
	codeNoData   = 11004
)

// ErrorCode returns the number of an error, 0 for nil and for errors without a number. The number of an [*Error] is its
// Code; docs/errors.md lists those of other errors: of system calls (Winsock's numbers on every platform), name
// look-ups, package ssh2 and file systems. In a chain of errors, the outermost one that has a number counts.
func ErrorCode(err error) int {
	if err == nil {
		return 0
	}
	if code := chainCode(err); code != 0 {
		return code
	}
	for i := range codeTable {
		for _, s := range codeTable[i].is {
			if errors.Is(err, s) { // by a method Is
				return codeTable[i].code
			}
		}
	}
	var late interface{ Timeout() bool }
	if errors.As(err, &late) && late.Timeout() {
		return codeTimedOut
	}
	if isSetting(err) {
		return codeInvalid
	}
	return 0
}

// isSetting tells errors of package settings: names and values that cannot be. What is wrong with a
// value may have a number of its own, such as that of a file that does not exist, which comes first.
func isSetting(err error) bool {
	_, name := errors.AsType[*settings.NameError](err)
	_, index := errors.AsType[*settings.IndexError](err)
	_, value := errors.AsType[*settings.ValueError](err)
	_, access := errors.AsType[*settings.ReadOnlyError](err)
	_, syntax := errors.AsType[*settings.SyntaxError](err)
	return name || index || value || access || syntax
}

// chainCode goes through what err wraps, outermost first.
func chainCode(err error) int {
	for err != nil {
		if code := nodeCode(err); code != 0 {
			return code
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if code := chainCode(e); code != 0 {
					return code
				}
			}
			return 0
		default:
			return 0
		}
	}
	return 0
}

// nodeCode is the number of one error of a chain, whatever it wraps.
func nodeCode(err error) int {
	switch e := err.(type) {
	case *Error:
		return e.Code
	case syscall.Errno:
		return errnoCode(e)
	}
	for i := range codeTable {
		row := &codeTable[i]
		if row.match != nil && row.match(err) || slices.Contains(row.is, err) {
			return row.code
		}
	}
	return 0
}

// CodeText returns, in a few words, what an error of that number means; for an unknown number it says so.
func CodeText(code int) string {
	i, ok := slices.BinarySearchFunc(codeTable, code, func(r codeRow, code int) int { return r.code - code })
	if !ok {
		return "unknown error"
	}
	return codeTable[i].text
}

// setsAttributes tells the operations of package os that change attributes, by Op of their errors.
func setsAttributes(op string) bool {
	return strings.Contains(op, "chmod") || strings.Contains(op, "chown") || strings.Contains(op, "chtimes") || strings.Contains(op, "truncate") || strings.Contains(op, "utimes")
}
