package sftpserver

import "github.com/fairlead-ssh/fairlead/sftp"

// A DirCreateEvent tells of MKDIR.
type DirCreateEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// DivertTo, set before, is the directory to create instead.
	DivertTo string
	Attrs    sftp.Attrs // what the client wants, all that it said
}

// A DirListEvent tells of OPENDIR.
type DirListEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// DivertTo, set before, is the directory to list instead.
	DivertTo string
	// Entries, if not nil, are the listing. If they are set before, the directory itself is not read; if set after,
	// they replace its content. Nothing is added to them, and the GetAttributes event is fired for entries without
	// attributes. See also SetFileList.
	Entries []sftp.Entry
}

// A DirRemoveEvent tells of RMDIR.
type DirRemoveEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// DivertTo, set before, is the directory to remove instead.
	DivertTo string
}

// A FileOpenEvent tells of OPEN, and of files that are opened to be copied or hashed by name: use it to decide who may
// read and write what.
type FileOpenEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler provides the content: the server opens nothing, and the events
	// FileRead and FileWrite serve READ and WRITE, GetAttributes and SetAttributes serve FSTAT and FSETSTAT.
	Handled bool
	// DesiredAccess is the access mask of versions 5 and 6; made of Flags in versions 3 and 4.
	DesiredAccess uint32
	// Flags are the flags in the words of version 3; RawFlags those of the request.
	Flags, RawFlags uint32
	// How is how the server opens its own file. Before, it may be changed; access beyond what the client asked for is
	// not granted to the client.
	How sftp.OpenHow
	// Attrs are the attributes that the client wants for a new file, all that it sent.
	Attrs sftp.Attrs
	// Handle is the handle that the client gets: 1 to 256 octets that no other open handle of the session has, preset
	// with an increasing number. It is empty if the file is opened for another purpose, such as hashing.
	Handle string
	// DivertTo, set before, is the path to open instead.
	DivertTo string
	// File, set before, takes the place of the server's own file: all further requests go to it, and it is closed in
	// the end, even if the handler refuses the OPEN after all. After, it is the file that was opened, and the handler
	// may replace it by a wrapper.
	File sftp.File
}

// A FileReadEvent tells of READ. Filling Data turns a failure into a success.
type FileReadEvent struct {
	FileEvent
	Handle string // of the open file
	Offset int64  // of the first octet
	Length int    // most octets to return
	// Data is what was read. What the handler leaves in it is sent, at most Length octets. It is valid during the call,
	// and its capacity is at least Length.
	Data []byte
}

// A FileWriteEvent tells of WRITE.
type FileWriteEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler took the data: the server writes nothing.
	Handled bool
	Handle  string // of the open file
	// Offset is that of the first octet, as the client says. It means nothing if Appends.
	Offset int64
	// Appends tells that the file was opened for appending: Data goes to its end, whatever Offset is.
	Appends bool
	// Data is what the client sent, valid during the call. In the event before the operation the handler may change it;
	// what is in it then is written.
	Data []byte
}

// A FileCloseEvent tells that a file or directory is closed.
type FileCloseEvent struct {
	FileEvent
	Handle string // being closed
	// Complete tells that the client closed the file and that no WRITE to it failed, so an upload is complete as far as
	// the protocol can tell.
	Complete bool
	Err      error // why it is not Complete
	// Dir tells that it is a directory.
	Dir bool
	// Read and Written are the octets that were read from it and written to it.
	Read, Written int64
	// Writes tells that it was opened for writing.
	Writes bool
}

// A FileRemoveEvent tells of REMOVE.
type FileRemoveEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// DivertTo, set before, is the file to remove instead.
	DivertTo string
}

// A FileRenameEvent tells of RENAME and posix-rename@openssh.com.
type FileRenameEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// DivertTo and DivertNewTo, set before, take the place of Path and NewPath.
	DivertTo, DivertNewTo string
	NewPath               string           // the wanted name
	Flags                 sftp.RenameFlags // 0 in versions 3 and 4, except for posix-rename@openssh.com
}

// A GetAttributesEvent tells of STAT, LSTAT and FSTAT, and asks for what an entry of DirListEvent.Entries lacks.
// Filling Attrs turns a failure into a success.
type GetAttributesEvent struct {
	FileEvent
	// Handle is that of the open file for FSTAT, whose Path is what it was opened by; otherwise empty.
	Handle string
	Link   bool          // LSTAT: a symbolic link itself
	Flags  sftp.AttrMask // what the client wants to know; 0 in version 3
	// Attrs is the answer: the attributes whose bits are set in Attrs.Valid.
	Attrs sftp.Attrs
}

// A SetAttributesEvent tells of SETSTAT, FSETSTAT and lsetstat@openssh.com.
type SetAttributesEvent struct {
	FileEvent
	// Before is true ahead of the operation, false once it has run.
	Before bool
	// Handled, set before, says that the handler did it: the server does not.
	Handled bool
	// Handle is that of the open file for FSETSTAT, whose Path is what it was opened by; otherwise empty.
	Handle string
	// DivertTo, set before, is the path whose attributes to set instead.
	DivertTo string
	Attrs    sftp.Attrs // what the client wants, all that it said
}

// A ResolvePathEvent tells of REALPATH. Filling RealPath turns a failure into a success.
type ResolvePathEvent struct {
	FileEvent
	OriginalPath string               // as the client sent it
	ControlFlags sftp.RealPathControl // version 6; 0 if the client does not say, and in others
	// RealPath is the answer, absolute and as clients see it.
	RealPath string
}
