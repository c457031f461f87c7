package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// reason is an error in one line that is fit for a terminal: of which file, and what.
func reason(err error) string {
	text, _ := told(err)
	return plain(strings.ReplaceAll(text, "\n", " "))
}

// told is the text of an error. What the library says of a file, and the system of the same
// once more, is said once, with the name that lies nearest to what went wrong: that is the
// file to look at. named tells whether the text begins with one.
func told(err error) (text string, named bool) {
	switch e := err.(type) { //nolint:errorlint // goes down by itself, one wrapper after the other
	case *sftp.TransferError:
		return of(e.Path, strings.TrimPrefix(e.Step, "local "), e.Err)
	case *fs.PathError:
		return of(e.Path, e.Op, e.Err)
	case advised:
		text, named = told(e.error)
		return text + "; " + e.advice, named
	case usageError:
		return told(e.error)
	}
	return strings.TrimPrefix(err.Error(), "sftp: "), false
}

// of tells what went wrong with a file in a step.
func of(name, step string, err error) (text string, named bool) {
	if link, ok := err.(*os.LinkError); ok { //nolint:errorlint // as in told
		err = link.Err // step and name say the rest
	}
	text, named = told(err)
	switch {
	case named:
		return text, true
	case name == "":
		return text, false
	case !plainSteps[step]:
		text = step + ": " + text
	}
	return name + ": " + text, true
}

// plainSteps say nothing that name and reason do not.
var plainSteps = map[string]bool{
	"open": true, "read": true, "write": true, "close": true, "stat": true, "lstat": true, "mkdir": true,
	"openat": true, "mkdirat": true, "statat": true, "lstatat": true, // of an os.Root
	"list": true, "readdir": true, "name": true, "symlink": true, "readlink": true, "follow": true, "enter": true, "finish": true,
}

// advised is an error with what can be done about it.
type advised struct {
	error
	advice string
}

// Unwrap returns the error.
func (a advised) Unwrap() error { return a.error }

// isVerify reports whether err is that of comparing what was sent.
func isVerify(err error) bool {
	e, ok := errors.AsType[*sftp.TransferError](err)
	return ok && e.Op == "put" && e.Step == "verify"
}

// isRename reports whether err is that of a rename which the host does not offer.
func isRename(err error) bool {
	e, ok := errors.AsType[*sftp.TransferError](err)
	return ok && e.Step == "rename" && errors.Is(err, errors.ErrUnsupported)
}
