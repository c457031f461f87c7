package sftpserver

// An SSHStatusEvent tells of the progress of a secure connection.
type SSHStatusEvent struct {
	Event
	Message string // one line
}

// A LogEvent is a line of the log.
type LogEvent struct {
	Event
	Level   LogLevel // of this line, LogInfo to LogDebug
	Message string   // one line; text of the client is quoted
	// Type is reserved and empty.
	Type string
}

// An ErrorEvent is something that went wrong and that no caller is told.
type ErrorEvent struct {
	Event
	Code        int    // see ErrorCode
	Description string // the text of Err
	Err         error  // what went wrong
}
