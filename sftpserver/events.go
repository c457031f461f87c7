package sftpserver

import (
	"context"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Events are called when something happens; a nil one costs nothing. Set them
// before Start. See the package comment for the order in which they are delivered.
//
// Events with a field Before are fired twice. In the event before the operation, setting Status to anything but
// sftp.CodeOK cancels the operation and is sent to the client; there is no second event then. In the event after it,
// Status is the result, and the value that the handler leaves in it is sent. Events without Before are fired once,
// after what the server did by itself; Status is the result and may be replaced.
//
// A handler that performs the operation itself, in the event before it, sets Handled; one that redirects it to another
// path sets DivertTo. If an event has a result field, such as Attrs, filling it turns a failure into a success, unless
// the handler also changes Status. Without a root directory the server itself can do nothing, so requests that no
// handler handles are answered with sftp.CodeOpUnsupported; only REALPATH then returns the cleaned name.
//
// Paths are plain text: symbolic links in them are not resolved. A handler that forbids a name should also forbid links
// to it (LinkCreate); or use Options.Policy, which checks what a name leads to.
//
// SSHStatus, Log and Error report what has happened already: nothing waits for their handlers, and other events may be
// delivered meanwhile. If their queue is full, lines are dropped, and a [*LostLinesError] reports how many. They are
// delivered before Disconnected, unless their handlers then take longer than a few seconds.
type Events struct {
	// ConnectionRequest: a client wants to connect.
	ConnectionRequest func(*ConnectionRequestEvent)
	// Connected: a connection is there; SSH has not begun.
	Connected func(*ConnectedEvent)
	// Disconnected: a connection has ended.
	Disconnected func(*DisconnectedEvent)
	// UserAuth: a client tries to log in (SSHUserAuthRequest).
	UserAuth func(*UserAuthEvent)

	// DirCreate: MKDIR. Twice.
	DirCreate func(*DirCreateEvent)
	// DirList: OPENDIR. Twice; before, the handler may supply the list.
	DirList func(*DirListEvent)
	// DirRemove: RMDIR. Twice.
	DirRemove func(*DirRemoveEvent)
	// FileOpen: OPEN. Twice; before, the handler may supply another path or its own file.
	FileOpen func(*FileOpenEvent)
	// FileRead: READ. Once; Data is what was read, or to be filled.
	FileRead func(*FileReadEvent)
	// FileWrite: WRITE. Twice.
	FileWrite func(*FileWriteEvent)
	// FileClose: CLOSE of a file or directory, or the end of the session with it open.
	FileClose func(*FileCloseEvent)
	// FileRemove: REMOVE. Twice.
	FileRemove func(*FileRemoveEvent)
	// FileRename: RENAME. Twice.
	FileRename func(*FileRenameEvent)
	// GetAttributes: STAT, LSTAT, FSTAT, and REALPATH with attributes. Once.
	GetAttributes func(*GetAttributesEvent)
	// SetAttributes: SETSTAT and FSETSTAT. Twice.
	SetAttributes func(*SetAttributesEvent)
	// ResolvePath: REALPATH and expand-path@openssh.com. Once.
	ResolvePath func(*ResolvePathEvent)
	// LinkRead: READLINK. Once.
	LinkRead func(*LinkReadEvent)
	// LinkCreate: SYMLINK, LINK and hardlink@openssh.com. Twice.
	LinkCreate func(*LinkCreateEvent)
	// Extended: an EXTENDED request that the server does not know. Once.
	Extended func(*ExtendedEvent)

	// SSHStatus: progress of the secure connection.
	SSHStatus func(*SSHStatusEvent)
	// Log: a line of the log, by Options.LogLevel.
	Log func(*LogEvent)
	// Error: something failed that no method returns. A failed login is reported once its client has disconnected.
	Error func(*ErrorEvent)
}

// An Event has the fields that all events of connections have in common.
type Event struct {
	// Conn is the connection; nil for errors of no connection.
	Conn *Connection
}

// ConnectionID is the id of the connection: unique for the server's life, "" for none.
func (e *Event) ConnectionID() string {
	if e.Conn == nil {
		return ""
	}
	return e.Conn.ID()
}

// A FileEvent has the fields that all events of files and directories have in common.
type FileEvent struct {
	Event
	// User is who logged in.
	User string
	// Path is the name that the client gave, clean and absolute, seen from the user's root.
	Path string
	// Status is the answer: see Events.
	Status sftp.Code
	// Message is the text sent to the client with Status; empty means the code's own.
	Message string

	ctx context.Context
}

// Context ends when the session of the client does.
func (e *FileEvent) Context() context.Context { return e.ctx }
