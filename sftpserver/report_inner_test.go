package sftpserver

import (
	"io"
	"io/fs"
	"log/slog"
	"testing"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestReasonOfLeaving: a client that takes its leave is logged as one that just goes; complaints are told.
func TestReasonOfLeaving(t *testing.T) {
	bye := uint32(ssh2.DisconnectByApplication)
	for want, err := range map[string]error{
		"the client left": &ssh2.DisconnectError{Reason: bye, Text: "disconnected by user", Remote: true},
		`ssh2: disconnected by peer: reason 2: "bad"`: &ssh2.DisconnectError{Reason: 2, Text: "bad", Remote: true},
		"closed": nil,
	} {
		if got := reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := reason(io.EOF); got != "the client left" {
		t.Errorf("%q", got)
	}
}

// TestGradesOfErrors: what any client can bring about is a warning. An error is for somebody to look at.
func TestGradesOfErrors(t *testing.T) {
	for want, errs := range map[slog.Level][]error{
		slog.LevelWarn: {
			&ssh2.AuthError{}, &ssh2.NegotiationError{}, &ssh2.IdentError{}, &ssh2.ProtocolError{}, &ssh2.TimeoutError{}, io.ErrUnexpectedEOF,
			&Error{Code: codeAborted, Op: "connection", Err: io.ErrNoProgress}, &LostLinesError{1},
		},
		slog.LevelError: {&PanicError{}, &ssh2.PanicError{}, ErrNoHostKey, fs.ErrPermission, io.ErrNoProgress},
	} {
		for _, err := range errs {
			if got := errorLine(nil, err).grade; got != want {
				t.Errorf("%T: %v, want %v", err, got, want)
			}
		}
	}
}
