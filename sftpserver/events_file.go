package sftpserver

import "github.com/fairlead-ssh/fairlead/sftp"

// A DirCreateEvent tells of MKDIR.
type DirCreateEvent struct {
	FileEvent
	Before bool
	Attrs  sftp.Attrs // what the client wants
}

// A DirListEvent tells of OPENDIR.
type DirListEvent struct {
	FileEvent
	Before bool
	// Entries, set before, are the list; the directory itself is not looked at.
	Entries []sftp.Entry
}

// A DirRemoveEvent tells of RMDIR.
type DirRemoveEvent struct {
	FileEvent
	Before bool
}

// A FileOpenEvent tells of OPEN.
type FileOpenEvent struct {
	FileEvent
	Before bool
	// DesiredAccess is the access mask of versions 5 and 6, made of Flags below.
	DesiredAccess uint32
	// Flags are the flags in the words of version 3; RawFlags those of the request.
	Flags, RawFlags uint32
	// How is all that the client wants.
	How sftp.OpenHow
	// Attrs are for a file that is made by this.
	Attrs sftp.Attrs
	// Handle is what the client gets, at most 256 octets; preset with a number.
	Handle string
	// DivertTo, set before, is the path to open instead.
	DivertTo string
	// File, set before, takes the place of the server's own file: all that follows goes to it.
	File sftp.File
}

// A FileReadEvent tells of READ.
type FileReadEvent struct {
	FileEvent
	Handle string
	Offset int64
	Length int // most octets to return
	// Data is what was read; what is left in it is sent, at most Length octets. It is valid during the call.
	Data []byte
}

// A FileWriteEvent tells of WRITE.
type FileWriteEvent struct {
	FileEvent
	Before bool
	Handle string
	Offset int64
	Data   []byte // what the client sent; valid during the call
}

// A FileCloseEvent tells that a file or directory is closed.
type FileCloseEvent struct {
	FileEvent
	Handle string
	// Complete tells that the client closed it and nothing had failed before; otherwise Err is why.
	Complete bool
	Err      error
}

// A FileRemoveEvent tells of REMOVE.
type FileRemoveEvent struct {
	FileEvent
	Before bool
}

// A FileRenameEvent tells of RENAME.
type FileRenameEvent struct {
	FileEvent
	Before  bool
	NewPath string
	Flags   sftp.RenameFlags
}

// A GetAttributesEvent tells of STAT, LSTAT and FSTAT.
type GetAttributesEvent struct {
	FileEvent
	Link  bool          // LSTAT
	Flags sftp.AttrMask // what the client wants to know; 0 in version 3
	// Attrs is the answer.
	Attrs sftp.Attrs
}

// A SetAttributesEvent tells of SETSTAT and FSETSTAT.
type SetAttributesEvent struct {
	FileEvent
	Before bool
	Attrs  sftp.Attrs // what the client wants
}

// A ResolvePathEvent tells of REALPATH.
type ResolvePathEvent struct {
	FileEvent
	OriginalPath string
	ControlFlags sftp.RealPathControl // version 6
	// RealPath is the answer.
	RealPath string
}
