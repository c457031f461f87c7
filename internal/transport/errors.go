package transport

import (
	"fmt"
	"net"
)

// Disconnect reasons (RFC 4253 section 11.1).
const (
	ReasonHostNotAllowed       = 1
	ReasonProtocolError        = 2
	ReasonKexFailed            = 3
	ReasonMACError             = 5
	ReasonCompressionError     = 6
	ReasonServiceNotAvailable  = 7
	ReasonVersionNotSupported  = 8
	ReasonHostKeyNotVerifiable = 9
	ReasonConnectionLost       = 10
	ReasonByApplication        = 11
	ReasonTooManyConnections   = 12
	ReasonAuthCancelled        = 13
	ReasonNoMoreAuthMethods    = 14
	ReasonIllegalUserName      = 15
)

// ErrClosed is what calls fail with after Close. It is a net.ErrClosed too.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "ssh2: connection: closed" }

func (closedError) Is(target error) bool { return target == net.ErrClosed }

// A ProtocolError is a violation of the protocol by the peer. It has ended the
// connection; Reason is what the peer was told in DISCONNECT.
type ProtocolError struct {
	Reason uint32
	Text   string
}

// Error returns the text, in which everything from the peer is quoted.
func (e *ProtocolError) Error() string { return "ssh2: protocol: " + e.Text }

// A DisconnectError means that one end sent DISCONNECT.
type DisconnectError struct {
	Reason uint32
	Text   string
	Remote bool // the peer sent it
}

// Error quotes the text, which may come from the peer.
func (e *DisconnectError) Error() string {
	who := "us"
	if e.Remote {
		who = "peer"
	}
	return fmt.Sprintf("ssh2: disconnected by %s: reason %d: %+q", who, e.Reason, clip(e.Text, 256))
}

// An IdentError means that a client was not admitted because of its ident, or
// no algorithms were chosen for it.
type IdentError struct {
	Ident string // the client's, as it is
	Err   error  // why
}

// Error quotes the ident.
func (e *IdentError) Error() string {
	return fmt.Sprintf("ssh2: ident: %+q: %v", clip(e.Ident, maxIdent), e.Err)
}

// Unwrap returns why.
func (e *IdentError) Unwrap() error { return e.Err }

// A HostKeyError means that a server's host key was not accepted.
type HostKeyError struct {
	Algorithm string
	Err       error
}

// Error says why.
func (e *HostKeyError) Error() string { return "ssh2: host key: " + e.Err.Error() }

// Unwrap returns the verdict of Config.HostKey, among others.
func (e *HostKeyError) Unwrap() error { return e.Err }

// A TimeoutError means that a phase took longer than it may.
type TimeoutError struct{ What string }

// Error names the phase.
func (e *TimeoutError) Error() string { return "ssh2: " + e.What + ": timed out" }

// Timeout makes it a net.Error in spirit.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *TimeoutError) Temporary() bool { return false }

// clip bounds text of a peer.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
