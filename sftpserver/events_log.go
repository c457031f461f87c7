package sftpserver

import "time"

// An SSHStatusEvent tells of the progress of a secure connection: one line for
// each step, such as "keys exchanged: number 1, reason first, kex
// mlkem768x25519-sha256, ...". It is for people: its wording may change.
type SSHStatusEvent struct {
	Event
	// Time is when it happened, which may be a while ago: see Events.
	Time time.Time
	// Message is one line. Text of the client is quoted in it.
	Message string
}

// A LogEvent is a line of the log.
type LogEvent struct {
	Event
	// Time is when it happened, which may be a while ago: see Events.
	Time time.Time
	// Level is the lowest Options.LogLevel at which this line is logged.
	Level LogLevel
	// Message is one line. Text of the client is quoted in it.
	Message string
	// Type is reserved and empty.
	Type string
}

// An ErrorEvent reports a failure that no method returns: a connection that could not be accepted, a handler that
// panicked, a client that failed to log in (code 1300) or broke the protocol, a session that failed, a
// [*LostLinesError]. Conn is nil if the failure concerns no connection.
type ErrorEvent struct {
	Event
	// Time is when it happened, which may be a while ago: see Events.
	Time time.Time
	// Code is the number of the error: see ErrorCode.
	Code int
	// Description is its text, in one line.
	Description string
	// Err is the error; errors.As finds a *PanicError or *ssh2.ProtocolError in it.
	Err error
}
