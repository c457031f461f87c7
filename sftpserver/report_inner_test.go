package sftpserver

import (
	"io"
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
