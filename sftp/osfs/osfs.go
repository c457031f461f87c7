// Package osfs serves a directory tree of this host over SFTP, jailed: no name, no
// link and no race reaches a file outside the root.
//
// # The jail
//
// Every name is first made clean and absolute ([sftp.CleanPath]): ".." is taken
// lexically and stops at the root. Parent directories are then opened by the kernel
// (openat2 with RESOLVE_BENEATH on Linux) or by [os.Root], and the operation itself is
// done on the last element only, relative to that descriptor and without following a
// link. Symlinks are resolved here, one at a time and at most 40 of them, and the result
// goes the same way again: a link swapped in between makes the operation fail or start
// over, never escape.
//
// An absolute symlink is resolved against the root of the jail, as in a chroot, never against the
// host. A relative one that climbs out of the root is refused. A link that was made on the host and
// names the root directory by its host path is taken, and shown, as the path inside. SYMLINK stores
// its target as given, so that READLINK returns the same. Programs outside the jail resolve
// absolute links against their own root, so do not let them follow links in a tree that untrusted
// users can write to.
//
// # Windows
//
// A name that Windows reads as something else than a plain name is refused: drives, shares,
// devices (CON, COM1), alternate streams (file:stream), backslashes, wildcards, dots and
// blanks at the end. Junctions and mount points are not gone through, nor can symlinks be
// made that name a drive or another host. Letters of either case and short names (PROGRA~1)
// lead to the same object, as everywhere there; RealPath answers the stored spelling, by
// which an sftp.Policy judges. One volume is served, that of the root. Modes are the
// read-only attribute.
//
// # Policy
//
// With ReadOnly nothing changes, whatever the request. Set-user-id and set-group-id bits
// are dropped unless AllowSetID. Only regular files and directories are opened: a FIFO or
// device is refused without blocking.
//
// # Locks
//
// Byte-range locks (BLOCK) and the block bits of OPEN bind all handles of the FS, and of those that
// share its Options.Locks. Other processes are not forced to obey them, since no Unix does that,
// but processes that use locks see ours, and we see theirs: ranges are open file description locks
// on Linux, which Samba, NFS servers and fcntl users honour, and block bits are flock on every
// Unix. A range that blocks reading, or that is locked by a handle without reading access, is a
// write lock, for which the kernel wants a handle with writing access; the others are read locks.
// If the kernel or file system refuses a lock, it holds only among these handles.
//
// OpenDeleteOnClose removes the name when that very handle is closed, whatever the cause: the
// name by which the file was opened, wherever it was moved to inside (Linux; elsewhere only
// if it is where it was), and only if it still is that file. Appends never interleave among
// the handles of an FS, and on Linux neither with those of other processes.
//
// # Attributes
//
// Attributes beyond those of version 3 cost extra system calls and are returned only when
// requested: creation time, attribute bits, extended attributes. The ACL is derived from the mode,
// and setting an ACL sets the mode; an ACL that no mode can express is refused. Of the attribute
// bits, BitReadOnly says that nobody may write, BitHidden that the name begins with a dot,
// BitSparse that the file takes less than its size.
package osfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Options are the settings of New; the zero value is a writable tree with the defaults
// written at each field.
type Options struct {
	// ReadOnly refuses everything that changes anything, with sftp.CodeWriteProtect.
	ReadOnly bool
	// AllowSetID lets clients set the set-user-id and set-group-id bits.
	AllowSetID bool
	// FileMode and DirMode are for new files and directories when the client does not say; 0 means
	// 0666 and 0777. The umask of the process applies in any case.
	FileMode, DirMode fs.FileMode
	// Home is the start directory of the session as seen by the peer; "" is "/".
	Home string
	// Names looks up the names of owners and groups; nil means sftp.SystemNames.
	Names *sftp.IDNames
	// NumericIDs makes owners and groups plain numbers, so that nothing of the host's accounts is
	// revealed.
	NumericIDs bool
	// Xattrs lets clients read and set the extended attributes user.* of files and
	// directories, under these names (Linux).
	Xattrs bool
	// SetBits lets clients set BitImmutable, BitAppendOnly and BitCompressed as far as the kernel
	// lets this process (Linux). An immutable file can only be removed by a privileged process.
	SetBits bool
	// Locks, if not nil, is shared with other file systems over the same files, so that
	// their handles see each other's locks.
	Locks *sftp.LockTable
	// NoHostLocks keeps locks inside this process: other processes neither see nor obstruct them.
	NoHostLocks bool
}

// FS is a jailed directory tree. It may be shared by any number of sessions.
type FS struct {
	sftp.Unsupported
	opt   Options
	names *sftp.IDNames
	root  *os.Root
	base  *os.File // the root directory itself, for the at-calls
	// hostRoots are the host's spellings of the root directory, see readLink.
	hostRoots []string
	escapes   error // what os.Root says of a path that leaves it
	locks     *sftp.LockTable

	// users counts operations under way; Close waits for none but the last one out
	// closes the descriptors, so that no operation ever uses a recycled number.
	users  atomic.Int64
	closed atomic.Bool
	once   sync.Once

	// appends serialise writes in append mode per object (by inode): the end of the
	// file is found and written in one step.
	appends [64]sync.Mutex
}

var _ sftp.FileSystem = (*FS)(nil)

// New opens the tree below dir, which must be a directory.
func New(dir string, o Options) (*FS, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return newFS(root, abs, o)
}

// Sub opens a directory of the tree as a tree of its own, from which nothing above it can be
// reached. The path to dir cannot lead out of s. The result stays usable when s is closed.
func (s *FS) Sub(dir string, o Options) (*FS, error) {
	rel, err := s.rel(dir)
	if err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	root, err := s.root.OpenRoot(rel)
	if err != nil {
		return nil, err
	}
	return newFS(root, filepath.Join(s.root.Name(), filepath.FromSlash(rel)), o)
}

// newFS owns root, whose name on the host is abs.
func newFS(root *os.Root, abs string, o Options) (*FS, error) {
	base, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	if o.FileMode == 0 {
		o.FileMode = 0o666
	}
	if o.DirMode == 0 {
		o.DirMode = 0o777
	}
	s := &FS{opt: o, names: o.Names, root: root, base: base, locks: o.Locks}
	if s.locks == nil {
		s.locks = new(sftp.LockTable)
	}
	if s.names == nil {
		s.names = sftp.SystemNames
	}
	s.addHostRoot(abs)
	if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
		s.addHostRoot(real)
	}
	// os does not export the error for escaping paths, so ask for one.
	_, err = root.Lstat("..")
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		s.escapes = pe.Err
	}
	return s, nil
}

func (s *FS) addHostRoot(dir string) {
	if dir = filepath.ToSlash(dir); dir != "/" {
		s.hostRoots = append(s.hostRoots, strings.TrimSuffix(dir, "/"))
	}
}

// Close releases the root directory. Operations under way finish, later ones answer
// fs.ErrClosed; open files stay usable.
func (s *FS) Close() error {
	if s.closed.CompareAndSwap(false, true) && s.users.Load() == 0 {
		s.shut()
	}
	return nil
}

// enter and leave bracket every use of the root's descriptors.
func (s *FS) enter() error {
	s.users.Add(1)
	if s.closed.Load() {
		s.leave()
		return fs.ErrClosed
	}
	return nil
}

func (s *FS) leave() {
	if s.users.Add(-1) == 0 && s.closed.Load() {
		s.shut()
	}
}

func (s *FS) shut() {
	s.once.Do(func() {
		_ = s.base.Close()
		_ = s.root.Close()
	})
}

// Capabilities announces what the host can do.
func (s *FS) Capabilities() sftp.Capabilities {
	c := sftp.Capabilities{
		Features: hostFeatures&^lockFeatures | sftp.FeatureSymlink | sftp.FeatureHomeDir | sftp.FeatureLookupIDs,
		Attrs:    sftp.AttrsBasic | sftp.AttrOwnerGroup | sftp.AttrACL | sftp.AttrBitsSet | hostAttrs,
		ACL:      sftp.ACLCanAllow | sftp.ACLCanDeny,
		StartDir: s.home(),
	}
	c.FixedAttrs = hostAttrs &^ hostSettable
	if s.opt.Xattrs {
		c.Attrs |= hostXattrs
	}
	if s.bits() == 0 {
		c.FixedAttrs |= sftp.AttrBitsSet
	}
	if !s.opt.ReadOnly {
		c.Features |= hostFeatures&lockFeatures | sftp.FeatureWrite | sftp.FeaturePosixRename | sftp.FeatureHardLink |
			sftp.FeatureSync | sftp.FeatureLSetStat | sftp.FeatureCopy | sftp.FeatureDeleteOnClose
		c.Bits = s.bits()
	}
	return c
}

// lockFeatures are those that a read-only tree has no use for.
const lockFeatures = sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory | sftp.FeatureOpenLock

// HomeDir returns Options.Home for the session's own user (""), and an error for other users.
func (s *FS) HomeDir(_ context.Context, user string) (string, error) {
	if user != "" {
		return "", sftp.CodeNoSuchFile
	}
	return s.home(), nil
}

func (s *FS) home() string {
	home, err := sftp.CleanPath(s.opt.Home)
	if err != nil {
		return "/"
	}
	return home
}

// LookupIDs looks names up in Options.Names. With NumericIDs there are none.
func (s *FS) LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	users, groups = make([]string, len(uids)), make([]string, len(gids))
	if s.opt.NumericIDs {
		return users, groups, nil
	}
	for i, id := range uids {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		users[i] = s.names.User(id)
	}
	for i, id := range gids {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		groups[i] = s.names.Group(id)
	}
	return users, groups, nil
}
