package sftpserver

import "github.com/fairlead-ssh/fairlead/sftp"

// A DirCreateEvent tells of MKDIR.
type DirCreateEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	Attrs  sftp.Attrs // what the client wants
}

// A DirListEvent tells of OPENDIR.
type DirListEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Entries, set before, are the list; the directory itself is not looked at.
	Entries []sftp.Entry
}

// A DirRemoveEvent tells of RMDIR.
type DirRemoveEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
}

// A FileOpenEvent tells of OPEN.
type FileOpenEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
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
	Handle string // of the open file
	Offset int64  // of the first octet
	Length int    // most octets to return
	// Data is what was read; what is left in it is sent, at most Length octets. It is valid during the call.
	Data []byte
}

// A FileWriteEvent tells of WRITE.
type FileWriteEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	Handle string // of the open file
	Offset int64  // of the first octet
	Data   []byte // what the client sent; valid during the call
}

// A FileCloseEvent tells that a file or directory is closed.
type FileCloseEvent struct {
	FileEvent
	Handle string // being closed
	// Complete tells that the client closed it and that no WRITE to it had failed: an upload is whole.
	Complete bool
	Err      error // why it is not Complete
	// Dir tells that it is a directory.
	Dir bool
	// Read and Written are the octets that were read from it and written to it.
	Read, Written int64
}

// A FileRemoveEvent tells of REMOVE.
type FileRemoveEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
}

// A FileRenameEvent tells of RENAME.
type FileRenameEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before  bool
	NewPath string           // the wanted name
	Flags   sftp.RenameFlags // 0 in versions 3 and 4, except for posix-rename@openssh.com
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
	// Before is true ahead of the operation, false once it has run.
	Before bool
	Attrs  sftp.Attrs // what the client wants
}

// A ResolvePathEvent tells of REALPATH.
type ResolvePathEvent struct {
	FileEvent
	OriginalPath string               // as the client sent it
	ControlFlags sftp.RealPathControl // version 6
	// RealPath is the answer.
	RealPath string
}
