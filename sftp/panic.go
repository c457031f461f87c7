package sftp

import (
	"fmt"
	"runtime/debug"
)

// A PanicError is what Serve returns when a FileSystem, File or Dir panicked. The panic ends that
// session and closes everything open in it; other sessions are not affected.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine that panicked
}

// Error says what panicked with, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("sftp: back end panicked: %v", e.Value) }

// guard is deferred around every call of a back end. A panic becomes the error of that
// call and the cause of the end of the session: what the back end holds locked or half
// done is unknown, so nothing more is asked of it but to close. The peer learns no more
// than from any other failure.
func (s *session) guard(err *error) {
	v := recover()
	if v == nil {
		return
	}
	p := &PanicError{v, debug.Stack()}
	*err = p
	if s.log != nil {
		s.log.ErrorContext(s.ctx, "sftp panic", "panic", plain(fmt.Sprint(v)), "stack", string(p.Stack))
	}
	s.cancel(p)
	_ = s.conn.Close() // the loop may wait in ReadPacket
}
