package sftpserver

// A LinkReadEvent tells of READLINK. Filling Target turns a failure into a success.
type LinkReadEvent struct {
	FileEvent
	// Target is the answer.
	Target string
}

// A LinkCreateEvent tells of SYMLINK, LINK and hardlink@openssh.com. Path is the link.
type LinkCreateEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// Symbolic is true for a symbolic link, whose Target is any text, and false for a hard link, whose Target is the
	// path of a file.
	Symbolic bool
	Target   string // what the link leads to
}

// An ExtendedEvent tells of an EXTENDED request that the server does not know. Filling Reply turns a failure into a
// success; so does setting Status to sftp.CodeOK, for requests whose answer has no data.
type ExtendedEvent struct {
	FileEvent
	Request string // its name, such as "example@example.com"
	Data    []byte // of the request; valid during the call
	// Reply is the data of the answer.
	Reply []byte
}
