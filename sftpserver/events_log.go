package sftpserver

// An SSHStatusEvent tells of the progress of a secure connection.
type SSHStatusEvent struct {
	Event
	Message string
}

// A LogEvent is a line of the log.
type LogEvent struct {
	Event
	Level   LogLevel
	Message string
	// Type is reserved and empty.
	Type string
}

// An ErrorEvent is something that went wrong and that no caller is told.
type ErrorEvent struct {
	Event
	Code        int // see ErrorCode
	Description string
	Err         error
}
