package fxp

import (
	"strconv"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Op is a row of the message table: a message type, or an EXTENDED request by name.
// It is what servers and clients dispatch on.
type Op uint8

// The rows of the table. OpNone is none.
const (
	OpNone Op = iota
	OpInit
	OpOpen
	OpClose
	OpRead
	OpWrite
	OpLstat
	OpFstat
	OpSetstat
	OpFsetstat
	OpOpendir
	OpReaddir
	OpRemove
	OpMkdir
	OpRmdir
	OpRealpath
	OpStat
	OpRename
	OpReadlink
	OpSymlink
	OpLink
	OpBlock
	OpUnblock

	OpPosixRename
	OpStatVFS
	OpFstatVFS
	OpHardlink
	OpFsync
	OpLsetstat
	OpLimits
	OpExpandPath
	OpCopyData
	OpHomeDirectory
	OpUsersGroupsByID
	OpCheckFileName
	OpCheckFileHandle
	OpMD5Hash
	OpMD5HashHandle
	OpCopyFile
	OpSpaceAvailable
	OpTextSeek
	OpVersionSelect
	OpVendorID
	OpFilenameTranslation
	OpGetTempFolder
	OpMakeTempFolder
	OpExtended // any other name

	OpVersion
	OpStatus
	OpHandle
	OpData
	OpName
	OpAttrs
	OpExtendedReply

	OpCount
)

// Effect says whether a request changes anything: the gate in front of every
// operation of a read-only server reads it.
type Effect uint8

const (
	// Reads changes nothing.
	Reads Effect = iota
	// Writes changes something.
	Writes
	// MayWrite depends on the fields: OPEN by its flags, unknown extensions by
	// what they are.
	MayWrite
)

// Barrier says what must have ended before a request may run, so that requests on one
// file behave as if done in the order sent (filexfer-02 section 6.1).
type Barrier uint8

const (
	// NoBarrier waits for nothing.
	NoBarrier Barrier = iota
	// HandleBarrier waits for the I/O under way on the file of the handle named.
	HandleBarrier
	// SessionBarrier waits for all I/O of the session: the name given may be
	// that of any open file.
	SessionBarrier
	// RangeBarrier waits for I/O on the same file that overlaps.
	RangeBarrier
)

// Row describes one message.
type Row struct {
	Op   Op
	Name string
	Type Type
	// Extension is the name of the EXTENDED request. VERSION announces it by
	// AnnouncedAs, which is the same name if it is empty, and says Announce beside it
	// unless whoever serves it says something else.
	Extension, AnnouncedAs, Announce string
	Since, Until                     Version
	Effect                           Effect
	Barrier                          Barrier
	// Reply is the type of the answer on success; 0 for what is a reply itself.
	Reply Type
	// New makes an empty body of the given version. That of an extension is the
	// data behind its name.
	New func(Version) wire.Layouter
	// NewReply makes the data of an EXTENDED_REPLY; nil for other replies.
	NewReply func() wire.Layouter
}

func handleOf(t Type) func(Version) wire.Layouter {
	return func(Version) wire.Layouter { return &Handle{T: t} }
}

func pathOf(t Type) func(Version) wire.Layouter {
	return func(Version) wire.Layouter { return &Path{T: t} }
}

func pathAttrsOf(t Type) func(Version) wire.Layouter {
	return func(v Version) wire.Layouter { return &PathAttrs{T: t, Attrs: Attrs{V: v}} }
}

func statOf(t Type) func(Version) wire.Layouter {
	return func(v Version) wire.Layouter { return &Stat{V: v, T: t} }
}

// checkFileHashes are the algorithms of check-file that programs in the field know.
const checkFileHashes = "sha256,sha512,sha384,sha224,sha1,md5,crc32"

var rows = [OpCount]Row{
	OpInit:     {Name: "INIT", Type: TypeInit, Reply: TypeVersion, New: func(Version) wire.Layouter { return new(Init) }},
	OpOpen:     {Name: "OPEN", Type: TypeOpen, Effect: MayWrite, Barrier: SessionBarrier, Reply: TypeHandle, New: func(v Version) wire.Layouter { return &Open{Attrs: Attrs{V: v}} }},
	OpClose:    {Name: "CLOSE", Type: TypeClose, Barrier: HandleBarrier, Reply: TypeStatus, New: handleOf(TypeClose)},
	OpRead:     {Name: "READ", Type: TypeRead, Barrier: RangeBarrier, Reply: TypeData, New: func(Version) wire.Layouter { return new(Read) }},
	OpWrite:    {Name: "WRITE", Type: TypeWrite, Effect: Writes, Barrier: RangeBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(Write) }},
	OpLstat:    {Name: "LSTAT", Type: TypeLstat, Barrier: SessionBarrier, Reply: TypeAttrs, New: statOf(TypeLstat)},
	OpFstat:    {Name: "FSTAT", Type: TypeFstat, Barrier: HandleBarrier, Reply: TypeAttrs, New: func(v Version) wire.Layouter { return &Fstat{V: v} }},
	OpSetstat:  {Name: "SETSTAT", Type: TypeSetstat, Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: pathAttrsOf(TypeSetstat)},
	OpFsetstat: {Name: "FSETSTAT", Type: TypeFsetstat, Effect: Writes, Barrier: HandleBarrier, Reply: TypeStatus, New: func(v Version) wire.Layouter { return &Fsetstat{Attrs: Attrs{V: v}} }},
	OpOpendir:  {Name: "OPENDIR", Type: TypeOpendir, Reply: TypeHandle, New: pathOf(TypeOpendir)},
	OpReaddir:  {Name: "READDIR", Type: TypeReaddir, Reply: TypeName, New: handleOf(TypeReaddir)},
	OpRemove:   {Name: "REMOVE", Type: TypeRemove, Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: pathOf(TypeRemove)},
	OpMkdir:    {Name: "MKDIR", Type: TypeMkdir, Effect: Writes, Reply: TypeStatus, New: pathAttrsOf(TypeMkdir)},
	OpRmdir:    {Name: "RMDIR", Type: TypeRmdir, Effect: Writes, Reply: TypeStatus, New: pathOf(TypeRmdir)},
	OpRealpath: {Name: "REALPATH", Type: TypeRealpath, Reply: TypeName, New: func(v Version) wire.Layouter { return &Realpath{V: v} }},
	OpStat:     {Name: "STAT", Type: TypeStat, Barrier: SessionBarrier, Reply: TypeAttrs, New: statOf(TypeStat)},
	OpRename:   {Name: "RENAME", Type: TypeRename, Since: V2, Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: func(v Version) wire.Layouter { return &Rename{V: v} }},
	OpReadlink: {Name: "READLINK", Type: TypeReadlink, Since: V3, Reply: TypeName, New: pathOf(TypeReadlink)},
	// Version 6 has LINK in its place, but it costs nothing to understand both.
	OpSymlink: {Name: "SYMLINK", Type: TypeSymlink, Since: V3, Effect: Writes, Reply: TypeStatus, New: func(Version) wire.Layouter { return &TwoPaths{T: TypeSymlink} }},
	OpLink:    {Name: "LINK", Type: TypeLink, Since: V6, Effect: Writes, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(Link) }},
	// A lock keeps others from writing, but changes nothing itself.
	OpBlock:   {Name: "BLOCK", Type: TypeBlock, Since: V6, Barrier: HandleBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(Block) }},
	OpUnblock: {Name: "UNBLOCK", Type: TypeUnblock, Since: V6, Barrier: HandleBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(Unblock) }},

	OpPosixRename:     {Extension: "posix-rename@openssh.com", Announce: "1", Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtPaths) }},
	OpStatVFS:         {Extension: "statvfs@openssh.com", Announce: "2", Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtText) }, NewReply: func() wire.Layouter { return new(ReplyStatVFS) }},
	OpFstatVFS:        {Extension: "fstatvfs@openssh.com", Announce: "2", Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtHandle) }, NewReply: func() wire.Layouter { return new(ReplyStatVFS) }},
	OpHardlink:        {Extension: "hardlink@openssh.com", Announce: "1", Effect: Writes, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtPaths) }},
	OpFsync:           {Extension: "fsync@openssh.com", Announce: "1", Effect: Writes, Barrier: HandleBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtHandle) }},
	OpLsetstat:        {Extension: "lsetstat@openssh.com", Announce: "1", Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: func(v Version) wire.Layouter { return &ExtSetstat{Attrs: Attrs{V: v}} }},
	OpLimits:          {Extension: "limits@openssh.com", Announce: "1", Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtNothing) }, NewReply: func() wire.Layouter { return new(ReplyLimits) }},
	OpExpandPath:      {Extension: "expand-path@openssh.com", Announce: "1", Reply: TypeName, New: func(Version) wire.Layouter { return new(ExtText) }},
	OpCopyData:        {Extension: "copy-data", Announce: "1", Effect: Writes, Barrier: RangeBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtCopyData) }},
	OpHomeDirectory:   {Extension: "home-directory", Announce: "1", Reply: TypeName, New: func(Version) wire.Layouter { return new(ExtText) }},
	OpUsersGroupsByID: {Extension: "users-groups-by-id@openssh.com", Announce: "1", Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtIDs) }, NewReply: func() wire.Layouter { return new(ReplyNames) }},
	OpCheckFileName:   {Extension: "check-file-name", AnnouncedAs: "check-file", Announce: checkFileHashes, Barrier: SessionBarrier, Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtCheckName) }, NewReply: func() wire.Layouter { return new(ReplyCheckFile) }},
	OpCheckFileHandle: {Extension: "check-file-handle", AnnouncedAs: "check-file", Announce: checkFileHashes, Barrier: HandleBarrier, Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtCheckHandle) }, NewReply: func() wire.Layouter { return new(ReplyCheckFile) }},
	OpMD5Hash:         {Extension: "md5-hash", Announce: "1", Barrier: SessionBarrier, Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtMD5Name) }, NewReply: func() wire.Layouter { return new(ReplyMD5) }},
	OpMD5HashHandle:   {Extension: "md5-hash-handle", Announce: "1", Barrier: HandleBarrier, Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtMD5Handle) }, NewReply: func() wire.Layouter { return new(ReplyMD5) }},
	OpCopyFile:        {Extension: "copy-file", Announce: "1", Effect: Writes, Barrier: SessionBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtCopyFile) }},
	OpSpaceAvailable:  {Extension: "space-available", Announce: "1", Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(ExtText) }, NewReply: func() wire.Layouter { return new(ReplySpace) }},
	OpTextSeek:        {Extension: "text-seek", Announce: "1", Since: V4, Barrier: HandleBarrier, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtTextSeek) }},
	// The next three are announced by the data that they are about.
	OpVersionSelect:       {Extension: "version-select", AnnouncedAs: AnnounceVersions, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtText) }},
	OpVendorID:            {Extension: "vendor-id", AnnouncedAs: AnnounceVendorID, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(VendorID) }},
	OpFilenameTranslation: {Extension: "filename-translation-control", AnnouncedAs: AnnounceFilenameCharset, Since: V6, Reply: TypeStatus, New: func(Version) wire.Layouter { return new(ExtFlag) }},
	OpGetTempFolder:       {Extension: "get-temp-folder", Announce: "1", Reply: TypeName, New: func(Version) wire.Layouter { return new(ExtNothing) }},
	OpMakeTempFolder:      {Extension: "make-temp-folder", Announce: "1", Effect: Writes, Reply: TypeName, New: func(Version) wire.Layouter { return new(ExtNothing) }},
	OpExtended:            {Name: "EXTENDED", Type: TypeExtended, Since: V3, Effect: MayWrite, Barrier: SessionBarrier, Reply: TypeExtendedReply, New: func(Version) wire.Layouter { return new(Extended) }},

	OpVersion:       {Name: "VERSION", Type: TypeVersion, New: func(Version) wire.Layouter { return new(VersionReply) }},
	OpStatus:        {Name: "STATUS", Type: TypeStatus, New: func(v Version) wire.Layouter { return &Status{V: v} }},
	OpHandle:        {Name: "HANDLE", Type: TypeHandle, New: handleOf(TypeHandle)},
	OpData:          {Name: "DATA", Type: TypeData, New: func(v Version) wire.Layouter { return &Data{V: v} }},
	OpName:          {Name: "NAME", Type: TypeName, New: func(v Version) wire.Layouter { return &Name{V: v} }},
	OpAttrs:         {Name: "ATTRS", Type: TypeAttrs, New: func(v Version) wire.Layouter { return &AttrsReply{Attrs{V: v}} }},
	OpExtendedReply: {Name: "EXTENDED_REPLY", Type: TypeExtendedReply, Since: V3, New: func(Version) wire.Layouter { return new(ExtendedReply) }},
}

var (
	byType      [256]Op
	byExtension = map[string]Op{}
)

// The rows say each thing once; what follows from it is filled in here.
func init() {
	for op := OpNone + 1; op < OpCount; op++ {
		r := &rows[op]
		r.Op = op
		if r.Until == 0 {
			r.Until = Newest
		}
		if r.Extension != "" {
			r.Name, r.Type, r.Since = r.Extension, TypeExtended, max(r.Since, V3)
			if r.AnnouncedAs == "" {
				r.AnnouncedAs = r.Extension
			}
			byExtension[r.Extension] = op
			continue
		}
		byType[r.Type] = op
	}
}

// Rows returns the table. Rows()[0] is empty. Do not modify it.
func Rows() []Row { return rows[:] }

// Row returns the row of o.
func (o Op) Row() *Row { return &rows[o] }

// String returns the name of the message, or of the extension.
func (o Op) String() string { return rows[o].Name }

// OpOf returns the row of a message type, OpNone if there is none in version v.
func OpOf(t Type, v Version) Op { return byType[t].in(v) }

// OpOfExtension returns the row of an EXTENDED request by name, OpExtended if
// the name is not known, and OpNone if version v has no extensions at all.
func OpOfExtension(name []byte, v Version) Op {
	op, ok := byExtension[string(name)]
	if !ok {
		op = OpExtended
	}
	return op.in(v)
}

func (o Op) in(v Version) Op {
	if r := &rows[o]; v < r.Since || v > r.Until {
		return OpNone
	}
	return o
}

// String returns the name of the type, such as READ.
func (t Type) String() string {
	if op := byType[t]; op != OpNone {
		return rows[op].Name
	}
	return "type " + strconv.Itoa(int(t))
}
