package ssh2

import "context"

// A cutShort is the end of the caller's context, with what it cut short. Of the two errors
// that contexts have by themselves one could not tell where they come from; a cause that the caller gave
// the context speaks for itself, and is returned as it is.
type cutShort struct {
	what string
	err  error // context.Canceled or context.DeadlineExceeded
}

func (e *cutShort) Error() string { return "ssh2: " + e.what + ": " + e.err.Error() }

func (e *cutShort) Unwrap() error { return e.err }

// Timeout and Temporary implement net.Error, as context.DeadlineExceeded does: callers
// of DialContext look for it with a type assertion.
func (e *cutShort) Timeout() bool { return e.err == context.DeadlineExceeded } //nolint:errorlint // one of two

func (e *cutShort) Temporary() bool { return e.Timeout() }

// during says of an error that is nothing but the end of a context what was going on. The
// outermost, which is nearest to what the caller called, counts.
func during(what string, err error) error {
	switch e := err.(type) { //nolint:errorlint // what is wrapped says where it is from
	case *cutShort:
		return &cutShort{what, e.err}
	default:
		if err == context.Canceled || err == context.DeadlineExceeded { //nolint:errorlint // as above
			return &cutShort{what, err}
		}
	}
	return err
}
