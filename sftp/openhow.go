package sftp

import "os"

// Access is the desired-access mask of OPEN, the ace-mask bits of versions 5 and 6
// (filexfer-13 §7.8).
type Access uint32

// The bits of Access. Rights to attributes and ACLs are checked by a FileSystem that has such
// rights; POSIX has none.
const (
	AccessReadData        Access = 0x00000001 // READ; on directories, listing
	AccessWriteData       Access = 0x00000002 // WRITE anywhere; on directories, new files
	AccessAppendData      Access = 0x00000004 // WRITE at the end; on directories, new directories
	AccessReadNamedAttrs  Access = 0x00000008 // extended attributes
	AccessWriteNamedAttrs Access = 0x00000010 // extended attributes
	AccessExecute         Access = 0x00000020 // reading in order to run the file
	AccessDeleteChild     Access = 0x00000040 // removing files from the directory
	AccessReadAttrs       Access = 0x00000080 // FSTAT
	AccessWriteAttrs      Access = 0x00000100 // FSETSTAT
	AccessDelete          Access = 0x00010000 // removing the file itself
	AccessReadACL         Access = 0x00020000 // reading the ACL
	AccessWriteACL        Access = 0x00040000 // changing mode and ACL
	AccessWriteOwner      Access = 0x00080000 // changing owner and group
	AccessSynchronize     Access = 0x00100000 // waiting on the handle (Windows)

	// The names that three of them have for directories.
	AccessListDirectory   = AccessReadData   // OPENDIR
	AccessAddFile         = AccessWriteData  // new files
	AccessAddSubdirectory = AccessAppendData // new directories
)

// Disposition says what to do about a file that exists or does not; values as on
// the wire (filexfer-13 §8.1.1.3).
type Disposition uint32

// The dispositions, all of them.
const (
	CreateNew        Disposition = 0 // it must not exist
	CreateTruncate   Disposition = 1 // make it or empty it
	OpenExisting     Disposition = 2 // it must exist
	OpenOrCreate     Disposition = 3 // as it is, or new and empty
	TruncateExisting Disposition = 4 // it must exist and is emptied
)

// OpenFlags are the flags of OPEN beside the disposition; values as on the wire.
type OpenFlags uint32

// The bits of OpenFlags (filexfer-13 §8.1.1.3). A FileSystem that cannot do what a bit promises
// refuses the OPEN with CodeOpUnsupported.
const (
	OpenAppend           OpenFlags = 0x00000008 // WRITE ignores its offset
	OpenAppendAtomic     OpenFlags = 0x00000010 // and never interleaves with others that append
	OpenText             OpenFlags = 0x00000020 // line ends are translated; offsets are ignored; see FeatureText
	OpenBlockRead        OpenFlags = 0x00000040 // no other handle reads
	OpenBlockWrite       OpenFlags = 0x00000080 // no other handle writes or appends
	OpenBlockDelete      OpenFlags = 0x00000100 // nobody removes the file
	OpenBlockAdvisory    OpenFlags = 0x00000200 // the block bits bind only those who use them
	OpenNoFollow         OpenFlags = 0x00000400 // a symlink as last element is CodeLinkLoop
	OpenDeleteOnClose    OpenFlags = 0x00000800 // removed with the last handle, or with this one
	OpenAccessAuditAlarm OpenFlags = 0x00001000 // privileges to read and change AUDIT and ALARM entries of ACLs
	OpenAccessBackup     OpenFlags = 0x00002000 // privileges to pass access checks for a backup
	OpenBackupStream     OpenFlags = 0x00004000 // content is a backup stream of the host's own format
	OpenOverrideOwner    OpenFlags = 0x00008000 // privileges to open as if one owned the file

	// OpenBlockMask are the flags that ask for a lock on the whole file.
	OpenBlockMask = OpenBlockRead | OpenBlockWrite | OpenBlockDelete | OpenBlockAdvisory
	openKnown     = 0xFFF8
)

// OpenHow is how a file is to be opened: the version 6 superset; version 3 flags are
// turned into it by the server's table. The zero value is refused by Check.
type OpenHow struct {
	Access      Access      // what the handle allows; 0 is refused
	Disposition Disposition // what to do if the file exists or does not
	Flags       OpenFlags   // bits that are not known are refused
	// Attrs are for a file that this OPEN makes; nil for none. A size in it is an
	// announcement only.
	Attrs *Attrs
}

// Check refuses combinations that mean nothing: no access at all, an unknown
// disposition or flag, truncation without write access, OpenOverrideOwner without
// AccessWriteOwner.
func (h *OpenHow) Check() error {
	switch {
	case h == nil || h.Access == 0:
		return Status(CodeInvalidParameter, "no access asked for")
	case h.Disposition > TruncateExisting:
		return Status(CodeInvalidParameter, "unknown disposition")
	case h.Flags&^openKnown != 0:
		return Status(CodeInvalidParameter, "unknown open flag")
	case h.Disposition == TruncateExisting && !h.Writes():
		return Status(CodeInvalidParameter, "truncation without write access")
	case h.Flags&OpenOverrideOwner != 0 && h.Access&AccessWriteOwner == 0:
		return Status(CodeInvalidParameter, "override of the owner without access to the owner")
	}
	return nil
}

// Reads reports whether content will be read.
func (h *OpenHow) Reads() bool { return h.Access&(AccessReadData|AccessExecute) != 0 }

// Writes reports whether content will be written.
func (h *OpenHow) Writes() bool {
	return h.Access&(AccessWriteData|AccessAppendData) != 0
}

// Appends reports whether WRITE goes to the end of the file whatever its offset.
func (h *OpenHow) Appends() bool { return h.Flags&(OpenAppend|OpenAppendAtomic) != 0 }

// Creates reports whether a missing file is made.
func (h *OpenHow) Creates() bool {
	return h.Disposition == CreateNew || h.Disposition == CreateTruncate || h.Disposition == OpenOrCreate
}

// Truncates reports whether an existing file is emptied.
func (h *OpenHow) Truncates() bool {
	return h.Disposition == CreateTruncate || h.Disposition == TruncateExisting
}

// Modifies reports whether this OPEN, or what its handle allows, can change anything.
// It is the one question that read-only servers ask.
func (h *OpenHow) Modifies() bool {
	const change = AccessWriteData | AccessAppendData | AccessWriteNamedAttrs | AccessDeleteChild |
		AccessWriteAttrs | AccessDelete | AccessWriteACL | AccessWriteOwner
	return h.Access&change != 0 || h.Disposition != OpenExisting || h.Flags&(OpenDeleteOnClose|OpenOverrideOwner) != 0 || h.Appends()
}

// HowFromFlags makes an OpenHow from the flags of os.OpenFile.
func HowFromFlags(flag int) OpenHow {
	const (
		reading = AccessReadData | AccessReadAttrs
		writing = AccessWriteData | AccessWriteAttrs
	)
	var h OpenHow
	switch flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_RDONLY:
		h.Access = reading
	case os.O_WRONLY:
		h.Access = writing
	case os.O_RDWR:
		h.Access = reading | writing
	}
	if flag&os.O_APPEND != 0 {
		h.Access |= AccessAppendData
		h.Flags |= OpenAppend
	}
	switch creat, trunc, excl := flag&os.O_CREATE != 0, flag&os.O_TRUNC != 0, flag&os.O_EXCL != 0; {
	case creat && excl:
		h.Disposition = CreateNew
	case creat && trunc:
		h.Disposition = CreateTruncate
	case creat:
		h.Disposition = OpenOrCreate
	case trunc:
		h.Disposition = TruncateExisting
	default:
		h.Disposition = OpenExisting
	}
	return h
}

// OSFlags returns the flags of os.OpenFile for h, without O_APPEND: append is done
// by the file, since an O_APPEND descriptor cannot write at an offset.
func (h *OpenHow) OSFlags() int {
	flag := os.O_RDONLY
	switch {
	case h.Reads() && h.Writes():
		flag = os.O_RDWR
	case h.Writes():
		flag = os.O_WRONLY
	}
	switch h.Disposition {
	case CreateNew:
		flag |= os.O_CREATE | os.O_EXCL
	case CreateTruncate:
		flag |= os.O_CREATE | os.O_TRUNC
	case OpenOrCreate:
		flag |= os.O_CREATE
	case TruncateExisting:
		flag |= os.O_TRUNC
	case OpenExisting:
	}
	return flag
}
