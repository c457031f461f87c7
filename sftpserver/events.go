package sftpserver

import (
	"context"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Events are called when something happens; a nil one costs nothing. Set them
// before Start. See the package comment for the order in which they are delivered.
//
// Events with a field Before are fired twice: before the operation, when
// leaving another Status than sftp.CodeOK cancels it and becomes the answer (there is no
// second event then), and after it, when Status is its result and what is left
// in it becomes the answer. Those without it are fired once, after what the
// server did by itself; Status is the result and may be replaced.
//
// A handler that did before what the client asked for says so with Handled, one that wants it done elsewhere
// with DivertTo. Where an event has a result, such as Attrs, filling that makes a success of a failure
// whose Status was left alone. Without a root directory the server itself can do nothing, so
// what no handler handles or supplies is answered with sftp.CodeOpUnsupported; REALPATH alone is the
// cleaned name then.
//
// Paths are text: symbolic links in them are not resolved. Who forbids a name should forbid links to it, too
// (LinkCreate), or use Options.Policy, which looks at what a name leads to.
//
// SSHStatus, Log and Error tell of what has happened already: nothing waits for them, and other
// events may come in between. What cannot be kept until a handler has time is lost, which a
// *LostLinesError tells. They come before Disconnected, unless their handlers take longer
// than a few seconds then.
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
	// Error: something went wrong that no caller is told. A failed login is one, once its client
	// has gone.
	Error func(*ErrorEvent)
}

// An Event is what the events of connections have in common.
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

// A FileEvent is what the events of files and directories have in common.
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
