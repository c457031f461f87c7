package ssh2

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// Errors of the transport that callers branch on. With those below, and those
// of package net, errors.As and errors.Is tell where an error comes from:
//
//	*net.DNSError                     the name of the server was not found
//	*net.OpError, syscall errors      the connection below, when dialling or later
//	*TimeoutError, *DeadPeerError,    something took too long: all that are
//	context.DeadlineExceeded          net.Errors say so by Timeout
//	*NegotiationError, *HostKeyError  the handshake; *KnownHostsError in the latter
//	*AuthError                        the login; in it *AgentError if an agent failed
//	*DisconnectError                  one side said goodbye, for a reason
//	io.EOF                            the server went during the login, without one
//	*ProtocolError                    the peer broke the protocol
//	*ConfigError                      a setting, before anything was sent
type (
	// A ProtocolError is a violation of the protocol by the peer. It has
	// ended the connection.
	ProtocolError = transport.ProtocolError
	// A DisconnectError means that one side sent DISCONNECT; Remote says
	// whether it was the peer (RFC 4253 section 11.1).
	DisconnectError = transport.DisconnectError
	// A NegotiationError means that the two sides have no algorithm in common.
	NegotiationError = alg.NegotiationError
	// A HostKeyError means that the server's host key was not accepted.
	HostKeyError = transport.HostKeyError
	// An IdentError means that a server did not admit a client because of its
	// ident, or found no algorithms for it.
	IdentError = transport.IdentError
	// A StrictKexError means that the peer does not offer strict key exchange
	// although Config.StrictKex requires it.
	StrictKexError = transport.StrictKexError
	// A TimeoutError means that ident, key exchange or authentication took
	// longer than Timeouts allow.
	TimeoutError = transport.TimeoutError
)

var (
	// ErrClosed is the error of operations after Close of their connection.
	ErrClosed = transport.ErrClosed
	// ErrChannelClosed is the error of operations on a channel that either side
	// has closed. errors.Is finds net.ErrClosed in it, and in ErrClosed.
	ErrChannelClosed error = closedError("ssh2: channel: closed")
	// ErrWriteClosed is the error of writes after CloseWrite.
	ErrWriteClosed = errors.New("ssh2: channel: closed for writing")
	// ErrServerClosed is the error that Serve returns after Shutdown or Close.
	ErrServerClosed = errors.New("ssh2: server: closed")

	errVersion = errors.New("only printable ascii without spaces and minus is allowed")
)

// closedError is an error of operations on what is closed, for code that knows
// connections of package net.
type closedError string

func (e closedError) Error() string { return string(e) }

func (e closedError) Is(target error) bool { return target == net.ErrClosed }

// A ConfigError reports a setting that cannot be used. It is found before any
// connection is made.
type ConfigError struct {
	Setting string // which
	Err     error  // what is wrong with it
}

// Error names the setting.
func (e *ConfigError) Error() string { return "ssh2: config: " + e.Setting + ": " + e.Err.Error() }

// Unwrap returns what is wrong with it.
func (e *ConfigError) Unwrap() error { return e.Err }

// An OpenError means that the peer refused to open a channel (RFC 4254
// section 5.1). A ChannelHandler that refuses with an *OpenError chooses what
// the peer is told.
type OpenError struct {
	Reason OpenReason // for programs
	Text   string     // for people; from the peer when it refused
}

// Error quotes the text, which may come from the peer.
func (e *OpenError) Error() string {
	return fmt.Sprintf("ssh2: channel: open refused: %s: %+q", e.Reason, clip(e.Text))
}

// A RequestError means that the peer answered a request with failure.
type RequestError struct {
	Name string // of the request
}

// Error names the request.
func (e *RequestError) Error() string {
	return fmt.Sprintf("ssh2: request %q: refused by peer", e.Name)
}

// A DeadPeerError means that the peer did not respond to keepalives. The
// connection has been ended.
type DeadPeerError struct {
	Silence time.Duration // since the last packet
}

// Error says for how long.
func (e *DeadPeerError) Error() string {
	return fmt.Sprintf("ssh2: keepalive: nothing heard for %v", e.Silence.Round(time.Millisecond))
}

// Timeout says that this is a time-out, as in net.Error.
func (e *DeadPeerError) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *DeadPeerError) Temporary() bool { return false }

// A PanicError means that a handler panicked. The panic ended the handler's
// connection; others are not affected.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine
}

// Error has the value but not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("ssh2: handler: panic: %v", e.Value) }

// clip bounds text from a peer in messages of ours.
func clip(s string) string { return s[:min(len(s), 256)] }
