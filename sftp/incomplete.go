package sftp

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
)

// ErrIncomplete is in the chain of the cause that File.Close gets when the peer sent CLOSE although
// it had been told that part of the content could not be written. The reason, such as
// CodeQuotaExceeded, is in the chain too.
var ErrIncomplete = errors.New("sftp: closed with content missing")

// losses remembers the content of a file that could not be written. It is safe for
// concurrent use, and costs a look at a pointer as long as all is well.
type losses struct{ first atomic.Pointer[loss] }

// loss is where content is missing; end is out of reach when no single WRITE can mend it.
type loss struct {
	off, end int64
	err      error
}

// note takes the outcome of writing n octets at off, or wherever the file puts them
// if moving says so.
func (l *losses) note(off int64, n int, moving bool, err error) {
	was := l.first.Load()
	switch {
	case err == nil && was == nil:
	case err == nil:
		// The peer tried again, as some do.
		if !moving && off <= was.off && off+int64(n) >= was.end {
			l.first.CompareAndSwap(was, nil)
		}
	case moving || was != nil:
		l.forever(err)
	default:
		if !l.first.CompareAndSwap(nil, &loss{off, off + int64(n), err}) {
			l.forever(err)
		}
	}
}

// forever notes a failure that no WRITE mends.
func (l *losses) forever(err error) {
	if was := l.first.Load(); was != nil {
		err = was.err
	}
	l.first.Store(&loss{0, math.MaxInt64, err})
}

// cause returns the cause for File.Close when the peer sends CLOSE.
func (l *losses) cause() error {
	if was := l.first.Load(); was != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, was.err)
	}
	return nil
}
