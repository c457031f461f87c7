package sftp

import (
	"io/fs"
	"time"
)

// AttrMask says which fields of Attrs hold something. The low bits are those of
// the version 4 to 6 ATTRS flags (filexfer-13 §7.1), so a mask can be compared with
// what a peer asked for.
type AttrMask uint32

// The bits of AttrMask, each with the fields of Attrs that it makes valid.
const (
	AttrSize         AttrMask = 0x00000001 // Size
	AttrUIDGID       AttrMask = 0x00000002 // UID and GID (version 3; from 4 on they go as text)
	AttrMode         AttrMask = 0x00000004 // Mode: the permission bits; see Attrs.Mode for the type bits
	AttrAtime        AttrMask = 0x00000008 // Atime, the last access
	AttrBirth        AttrMask = 0x00000010 // Birth, the creation (version 4 and up)
	AttrMtime        AttrMask = 0x00000020 // Mtime, the last change of the content
	AttrACL          AttrMask = 0x00000040 // ACL (version 4 and up)
	AttrOwnerGroup   AttrMask = 0x00000080 // Owner and Group (version 4 and up)
	AttrSubsecond    AttrMask = 0x00000100 // the times carry nanoseconds
	AttrBitsSet      AttrMask = 0x00000200 // Bits and BitsValid (version 5 and up)
	AttrAllocation   AttrMask = 0x00000400 // Allocation (version 6)
	AttrTextHint     AttrMask = 0x00000800 // TextHint (version 6)
	AttrMIME         AttrMask = 0x00001000 // MIME (version 6)
	AttrLinks        AttrMask = 0x00002000 // Links (version 6)
	AttrUntranslated AttrMask = 0x00004000 // Untranslated (version 6)
	AttrCtime        AttrMask = 0x00008000 // Ctime, the last change of an attribute (version 6)
	AttrExtended     AttrMask = 0x80000000 // Extended

	AttrFileID AttrMask = 0x00010000 // Dev and Ino; never on the wire

	// AttrTimes are the times that version 3 has, with nanoseconds where there are any.
	AttrTimes = AttrAtime | AttrMtime | AttrSubsecond
	// AttrsBasic is what is answered when a peer does not say what it wants: what
	// version 3 can carry.
	AttrsBasic = AttrSize | AttrUIDGID | AttrMode | AttrTimes
)

// Type is a file type; values as on the wire in versions 4 to 6 (filexfer-13 §7.2).
type Type byte

// The file types. Version 3 has no type field and carries the type in the type bits of Mode.
const (
	TypeNone      Type = 0 // not said
	TypeRegular   Type = 1
	TypeDirectory Type = 2
	TypeSymlink   Type = 3 // the link itself, not its target
	TypeSpecial   Type = 4 // neither of these, but a type of its own
	TypeUnknown   Type = 5 // the server could not find out
	TypeSocket    Type = 6 // this and the following: version 5 and up
	TypeChar      Type = 7 // character device
	TypeBlock     Type = 8 // block device
	TypeFIFO      Type = 9 // named pipe
)

// POSIX st_mode bits, the same on every host as on the wire.
const (
	ModeType    uint32 = 0o170000
	ModeSocket  uint32 = 0o140000
	ModeSymlink uint32 = 0o120000
	ModeRegular uint32 = 0o100000
	ModeBlock   uint32 = 0o060000
	ModeDir     uint32 = 0o040000
	ModeChar    uint32 = 0o020000
	ModeFIFO    uint32 = 0o010000
	ModeSetUID  uint32 = 0o4000
	ModeSetGID  uint32 = 0o2000
	ModeSticky  uint32 = 0o1000
	ModePerm    uint32 = 0o7777 // all bits that a SETSTAT may name
)

// typeModes pairs the types with their st_mode bits and their letter in a long name.
var typeModes = [...]struct {
	typ    Type
	mode   uint32
	goMode fs.FileMode
	letter byte
}{
	{TypeRegular, ModeRegular, 0, '-'},
	{TypeDirectory, ModeDir, fs.ModeDir, 'd'},
	{TypeSymlink, ModeSymlink, fs.ModeSymlink, 'l'},
	{TypeSocket, ModeSocket, fs.ModeSocket, 's'},
	{TypeChar, ModeChar, fs.ModeDevice | fs.ModeCharDevice, 'c'},
	{TypeBlock, ModeBlock, fs.ModeDevice, 'b'},
	{TypeFIFO, ModeFIFO, fs.ModeNamedPipe, 'p'},
}

// TypeOfMode returns the type in the type bits of a POSIX st_mode: TypeNone without
// any, TypeSpecial for bits that have no type of their own.
func TypeOfMode(mode uint32) Type {
	for i := range typeModes {
		if typeModes[i].mode == mode&ModeType {
			return typeModes[i].typ
		}
	}
	if mode&ModeType == 0 {
		return TypeNone
	}
	return TypeSpecial
}

// ModeBits returns the st_mode type bits of t, 0 if it has none.
func (t Type) ModeBits() uint32 {
	for i := range typeModes {
		if typeModes[i].typ == t {
			return typeModes[i].mode
		}
	}
	return 0
}

// ModeFromFS turns Go's mode bits into a POSIX st_mode with type bits.
func ModeFromFS(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for i := range typeModes {
		if typeModes[i].goMode == m.Type() {
			mode |= typeModes[i].mode
		}
	}
	if m&fs.ModeSetuid != 0 {
		mode |= ModeSetUID
	}
	if m&fs.ModeSetgid != 0 {
		mode |= ModeSetGID
	}
	if m&fs.ModeSticky != 0 {
		mode |= ModeSticky
	}
	return mode
}

// FSMode turns a POSIX st_mode into Go's mode bits.
func FSMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for i := range typeModes {
		if typeModes[i].mode == mode&ModeType {
			m |= typeModes[i].goMode
		}
	}
	if TypeOfMode(mode) == TypeSpecial {
		m |= fs.ModeIrregular
	}
	if mode&ModeSetUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&ModeSetGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&ModeSticky != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// AttrBits are the attrib-bits of versions 5 and 6 (filexfer-13 §7.9).
type AttrBits uint32

// The attribute bits. Capabilities.Bits says which of them can be set.
const (
	BitReadOnly        AttrBits = 1 << iota // advice not to write; not an access right
	BitSystem                               // belongs to the operating system
	BitHidden                               // shown only on request
	BitCaseInsensitive                      // directories: names differ by more than case; cannot be set
	BitArchive                              // wanted in backups
	BitEncrypted                            // encrypted where it is stored, in clear here
	BitCompressed                           // compressed where it is stored, plain here
	BitSparse                               // holes take no space
	BitAppendOnly                           // only opens with OpenAppend or OpenAppendAtomic succeed
	BitImmutable                            // no write, rename, removal or hard link, even by a superuser
	BitSync                                 // changes reach the disk before they are answered
	BitTranslationErr                       // listings: the name would not translate; see Attrs.Untranslated
)

// TextHint says whether a file is text (filexfer-13 §7.10); values as on the wire. It cannot
// be set.
type TextHint byte

// The text hints.
const (
	KnownText     TextHint = 0 // to be opened with OpenText
	GuessedText   TextHint = 1 // the same, by its content or name
	KnownBinary   TextHint = 2 // not to be opened with OpenText
	GuessedBinary TextHint = 3 // the same, by its content or name
)

// ExtAttr is one extended attribute pair (filexfer-13 §7.14).
type ExtAttr struct {
	Name string // with @domain unless the drafts define it
	Data string // any octets; what they mean depends on Name
}

// Attrs are the attributes of a file: the superset of versions 3 to 6. A field means
// something only if its bit is in Valid (and Type unless it is TypeNone).
type Attrs struct {
	Valid AttrMask // the fields that hold something
	// Mode is the POSIX st_mode. Whoever fills Attrs from a real file includes the
	// type bits; in a SETSTAT, OPEN or MKDIR only the low twelve bits count.
	Mode uint32
	// Kind is the type of version 4 to 6 peers; TypeNone: see Mode. Use Type().
	Kind       Type
	Size       uint64 // bytes
	UID, GID   uint32
	Owner      string // "user" or "user@domain"; "" leaves the owner alone
	Group      string
	Atime      time.Time
	Mtime      time.Time
	Ctime      time.Time
	Birth      time.Time // creation
	Links      uint32
	TextHint   TextHint
	Bits       AttrBits
	BitsValid  AttrBits // which of Bits count
	Allocation uint64   // bytes
	ACL        *ACL     // nil is one without entries
	MIME       string
	// Untranslated is the name before a charset translation that lost something.
	Untranslated string
	Extended     []ExtAttr
	Dev, Ino     uint64 // identity of the object, AttrFileID; local only
}

// Has reports whether all of m are valid.
func (a *Attrs) Has(m AttrMask) bool { return a.Valid&m == m }

// Type returns the file type from Kind or else the type bits of Mode.
func (a *Attrs) Type() Type {
	if a.Kind != TypeNone {
		return a.Kind
	}
	if a.Valid&AttrMode != 0 {
		return TypeOfMode(a.Mode)
	}
	return TypeNone
}

// IsDir reports whether the type is a directory.
func (a *Attrs) IsDir() bool { return a.Type() == TypeDirectory }

// IsRegular reports whether the type is a regular file.
func (a *Attrs) IsRegular() bool { return a.Type() == TypeRegular }

// FSMode returns the mode as Go's mode bits, including the type.
func (a *Attrs) FSMode() fs.FileMode {
	mode := a.Mode
	if mode&ModeType == 0 {
		mode |= a.Type().ModeBits()
	}
	return FSMode(mode)
}

// SameFile reports whether a and b are known to describe one object.
func (a *Attrs) SameFile(b *Attrs) bool {
	return a.Has(AttrFileID) && b.Has(AttrFileID) && a.Dev == b.Dev && a.Ino == b.Ino
}
