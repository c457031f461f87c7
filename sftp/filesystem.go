package sftp

import (
	"context"
	"io"
	"time"
)

// FileSystem is what a server serves: one value per session, made by the
// server's FS function after authentication. All methods may be called
// concurrently.
//
// Names arrive as the peer sent them (bytes, "/" separated, absolute or
// relative to the start directory "/"). An implementation passes every name
// through [CleanPath] before anything else, so that ".." never climbs above the
// root and every method judges the same spelling.
//
// Errors are mapped to status codes by [CodeOf]; the text of an error reaches the
// peer only if it is a [*StatusError].
//
// Implementations embed [Unsupported], wrappers embed the FileSystem they wrap.
// There are no optional side interfaces: what a back end can do is what its
// methods do, and [FileSystem.Capabilities] announces.
type FileSystem interface {
	// Capabilities tells what may be announced to the peer. It must not block.
	Capabilities() Capabilities

	// Open opens or creates a regular file. The access, disposition and flags are
	// in how (see [OpenHow.Check]); how.Attrs applies to a file made by this call
	// only. how and its Attrs are not kept.
	Open(ctx context.Context, name string, how *OpenHow) (File, error)
	// OpenDir opens a directory for listing.
	OpenDir(ctx context.Context, name string) (Dir, error)
	// Stat answers STAT (opt.Follow) and LSTAT. The result belongs to the caller.
	Stat(ctx context.Context, name string, opt StatOpt) (*Attrs, error)
	// SetStat changes the attributes in a.Valid, or fails before changing any if one
	// of them can never be changed here. Without follow a final symlink is itself
	// the object (lsetstat@openssh.com).
	SetStat(ctx context.Context, name string, a *Attrs, follow bool) error
	// Mkdir makes one directory, with the attributes in a as far as the back end can set
	// them on what is new; a may be nil.
	Mkdir(ctx context.Context, name string, a *Attrs) error
	// Remove removes anything but a directory; a symlink, not its target.
	Remove(ctx context.Context, name string) error
	// Rmdir removes an empty directory.
	Rmdir(ctx context.Context, name string) error
	// Rename moves from to to. Without RenameOverwrite an existing target is
	// [CodeFileAlreadyExists], decided in the same step as the move where the back
	// end can.
	Rename(ctx context.Context, from, to string, flags RenameFlags) error
	// Link makes newName: a hard link to the object named target (a final symlink is
	// not followed), or, with symbolic, a symlink holding the text target.
	Link(ctx context.Context, target, newName string, symbolic bool) error
	// ReadLink returns the target text of a symlink, as seen by the peer.
	ReadLink(ctx context.Context, name string) (string, error)
	// RealPath returns the absolute path of name and, if opt asks for them, its attributes (nil:
	// not known). If it returns errors.ErrUnsupported, the server answers with the cleaned name.
	RealPath(ctx context.Context, name string, opt RealPathOpt) (string, *Attrs, error)
	// StatFS answers statvfs@openssh.com and space-available.
	StatFS(ctx context.Context, name string) (*FSInfo, error)
	// HomeDir returns the home directory of user as seen by the peer ("" is the
	// session's own): home-directory, and the "~" of expand-path@openssh.com, which
	// the server builds from HomeDir and RealPath.
	HomeDir(ctx context.Context, user string) (string, error)
	// LookupIDs answers users-groups-by-id@openssh.com: names in the order of the ids,
	// "" for those without a name. users and groups have the lengths of uids and gids.
	LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error)
	// Extended answers an EXTENDED request that the server does not know itself
	// (those it knows become the methods above). data is valid during the call.
	Extended(ctx context.Context, request string, data []byte) ([]byte, error)
}

// File is an open file. ReadAt, WriteAt and Stat may be called concurrently; the
// server calls Close once, after every other call has returned. A File acts on the
// object it opened, never on a path again: a rename or a replaced path does not
// redirect it.
//
// Implementations embed UnsupportedFile, wrappers the File they wrap. A wrapper of a [Stream]
// has a method "Unwrap() File", by which the server knows that requests go in order.
type File interface {
	// ReadAt fills p, the payload of the packet to be sent. p is not kept. A count
	// below len(p) comes with an error, io.EOF at the end of the file, ErrShortRead elsewhere.
	io.ReaderAt
	// WriteAt writes p, the payload of the packet received, all of it or an error.
	// p is not kept. A file opened for append ignores off and writes at its end.
	io.WriterAt

	// Stat answers FSTAT with at least the attributes in want that are known.
	Stat(ctx context.Context, want AttrMask) (*Attrs, error)
	// SetStat answers FSETSTAT, see FileSystem.SetStat.
	SetStat(ctx context.Context, a *Attrs) error
	// StatFS answers fstatvfs@openssh.com.
	StatFS(ctx context.Context) (*FSInfo, error)
	// Sync makes the content durable (fsync@openssh.com).
	Sync(ctx context.Context) error
	// Lock and Unlock are BLOCK and UNBLOCK of version 6. They do not wait. [LockTable]
	// keeps the rules of both, and of the block bits of OPEN.
	Lock(ctx context.Context, r Range) error
	Unlock(ctx context.Context, r Range) error
	// CopyRange writes up to n bytes of src at srcOff into this file at off without bringing them
	// to user space, and returns how many. After errors.ErrUnsupported (also for a src of another
	// implementation) the caller falls back to ReadAt and WriteAt: the function [CopyRange] does
	// so, and keeps the rules of copy-data.
	CopyRange(ctx context.Context, off int64, src File, srcOff, n int64) (int64, error)
	// Close ends the use. cause is nil after the peer's CLOSE; otherwise it says
	// why the content is not to be trusted: ErrDisconnected and the reason if the file is
	// closed for the peer (disconnect, timeout, shutdown, a panic), ErrIncomplete and the
	// reason if the peer closes it although a WRITE failed (a quota, a full disk). An
	// upload is complete only when cause is nil and Close returns nil.
	Close(cause error) error
}

// Dir is an open directory. Calls are serial.
type Dir interface {
	// Next returns up to n more entries, without "." and "..", and io.EOF with the
	// last ones or after them. The slice is valid until the next call on the Dir.
	// Attributes hold what a listing needs: type, mode, size, times, link count, owner
	// and group both as numbers and as names; an entry that vanished meanwhile is left out.
	Next(ctx context.Context, n int) ([]Entry, error)
	// Close ends the listing; cause as in File.
	Close(cause error) error
}

// Entry is one name of a directory.
type Entry struct {
	Name  string // one path element
	Attrs Attrs
	// LongName replaces the "ls -l" line of version 3 when not empty; otherwise the
	// server writes one with [AppendLongName].
	LongName string
}

// TrueName returns the octets of the name in the server's file system. Versions 4 to 6 list a name
// that is not UTF-8 as a text that stands for it, and version 6 adds the octets themselves: they
// are Attrs.Untranslated, marked by BitTranslationErr. For every other entry TrueName returns Name.
// Use it to name a local file; the server knows the remote one by Name. A client's listings report
// a [*NameError] for an entry whose TrueName cannot be an element of a path.
func (e *Entry) TrueName() string {
	if a := &e.Attrs; a.Has(AttrUntranslated) && a.Bits&a.BitsValid&BitTranslationErr != 0 {
		return a.Untranslated
	}
	return e.Name
}

// StatOpt are the options of Stat.
type StatOpt struct {
	Follow bool     // STAT: the target of a final symlink
	Want   AttrMask // a hint: what the peer asked for; 0 is AttrsBasic
}

// RenameFlags of versions 5 and 6; values as on the wire (filexfer-13 §8.3).
type RenameFlags uint32

// The bits of RenameFlags; without any, an existing target is an error.
const (
	RenameOverwrite RenameFlags = 1 << iota // replace an existing target
	RenameAtomic                            // no moment without the target's name; implies RenameOverwrite
	RenameNative                            // whatever the back end's own rename does
)

// Overwrites reports whether an existing target may be replaced.
func (f RenameFlags) Overwrites() bool { return f != 0 }

// RealPathControl is the control byte of version 6 REALPATH; values as on the wire
// (filexfer-13 §8.9).
type RealPathControl byte

// The values of RealPathControl.
const (
	// RealPathDefault is what versions 3 to 5 do in the field: symlinks are resolved
	// and every element but the last must exist.
	RealPathDefault    RealPathControl = 0
	RealPathNoCheck    RealPathControl = 1 // text only: nothing needs to exist, no link is resolved
	RealPathStatIf     RealPathControl = 2 // attributes if it exists
	RealPathStatAlways RealPathControl = 3 // fail if it does not exist
)

// RealPathOpt are the options of RealPath. Compose paths are joined to the name by
// the server ([JoinPath]) before the call.
type RealPathOpt struct {
	Control RealPathControl // what must exist and what is told about it
	Want    AttrMask        // attributes wanted with StatIf and StatAlways; 0 is AttrsBasic
	// NoFollow leaves a symlink alone that is the last element. The server sets it for a
	// FileSystem with FeatureFoldedNames only.
	NoFollow bool
}

// FSInfo describes a file system: the fields of POSIX statvfs, which
// statvfs@openssh.com sends in this order.
type FSInfo struct {
	BlockSize    uint64 // f_bsize
	FragmentSize uint64 // f_frsize: the unit of Blocks, Free and Avail
	Blocks       uint64
	Free         uint64
	Avail        uint64 // free for unprivileged users
	Files        uint64
	FilesFree    uint64
	FilesAvail   uint64
	ID           uint64
	Flags        FSFlags
	NameMax      uint64 // longest name in bytes
}

// FSFlags are the f_flag bits of statvfs@openssh.com.
type FSFlags uint64

// The bits of FSFlags.
const (
	FSReadOnly FSFlags = 1 // ST_RDONLY
	FSNoSUID   FSFlags = 2 // ST_NOSUID
)

// RangeMask says what a byte-range lock blocks; values as on the wire
// (filexfer-13 §8.12, the block bits of OPEN).
type RangeMask uint32

// The bits of RangeMask.
const (
	RangeRead     RangeMask = 0x40  // nobody else reads the range
	RangeWrite    RangeMask = 0x80  // nobody else writes it
	RangeDelete   RangeMask = 0x100 // nobody removes the file
	RangeAdvisory RangeMask = 0x200 // binds only those who lock, too
)

// Range is a byte range to lock. Length 0 reaches to the current end of the file.
type Range struct {
	Offset, Length uint64    // bytes
	Mask           RangeMask // what it blocks
}

// Features are the optional abilities of a FileSystem.
type Features uint32

// The bits of Features. The server neither announces nor calls what is missing.
const (
	FeatureWrite             Features = 1 << iota // anything can be changed at all
	FeaturePosixRename                            // Rename with RenameAtomic
	FeatureHardLink                               // Link, not symbolic
	FeatureSymlink                                // Link, symbolic; ReadLink
	FeatureStatFS                                 // FileSystem.StatFS and File.StatFS
	FeatureSync                                   // File.Sync
	FeatureLSetStat                               // SetStat without follow
	FeatureCopy                                   // copy-data makes sense (files are readable and writable at random)
	FeatureLookupIDs                              // LookupIDs
	FeatureHomeDir                                // HomeDir
	FeatureRangeLock                              // File.Lock, mandatory
	FeatureRangeLockAdvisory                      // File.Lock, advisory
	FeatureOpenLock                               // the block bits of OPEN
	FeatureText                                   // OpenText is done by the files; without it, the server translates
	FeatureDeleteOnClose                          // OpenHow.DeleteOnClose
	FeatureFoldedNames                            // an object has several names (any letter case, short names): RealPath answers the stored one, and obeys NoFollow
)

// Has reports whether all of g are there.
func (f Features) Has(g Features) bool { return f&g == g }

// Capabilities is what a FileSystem can do, for announcements in VERSION.
type Capabilities struct {
	Features Features // what of this interface works
	Attrs    AttrMask // attributes that can be set or are answered
	// FixedAttrs are those of Attrs that are answered and cannot be set.
	FixedAttrs AttrMask
	Bits       AttrBits // attribute bits that can be set
	// OpenFlags are the flags of OPEN that work beside those for appending, text and
	// NOFOLLOW, which every back end obeys, and those that Features tells of.
	OpenFlags  OpenFlags
	ACL        ACLCapabilities // what ACLs can say, with AttrACL in Attrs
	Newline    string          // line separator of text files; "" is "\n"
	Extensions []string        // requests that Extended answers, announced with empty data
	// StartDir is the directory relative names start from; "" is "/".
	StartDir string
	// Granularity of stored times; 0 is one nanosecond.
	TimeUnit time.Duration
}
