// Package memfs is a directory tree in memory with the semantics of osfs: symlinks and hard links, modes, owners and
// times are kept, absolute links are resolved against the root, links that climb out of it are refused. It is for tests
// and examples, and for comparison with osfs in the model test. It keeps every attribute that a peer of version 6 can
// set. Modes and ACLs are stored, not enforced: there is one user, who may do everything; BitImmutable and
// BitAppendOnly bind that user too.
package memfs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const (
	defaultMaxBytes = 1 << 30
	defaultMaxNodes = 1 << 20
	maxName         = 255 // bytes of one path element, as most file systems have it
	maxLinks        = 40  // symlinks followed in one look-up
)

// Options are the settings of New; the zero value is a writable tree of at most 1 GiB.
type Options struct {
	// MaxBytes bounds the size of each file, holes included, and the total of all content, names,
	// targets of links, and attributes of variable size. 0 is 1 GiB. Beyond it operations fail with
	// sftp.CodeNoSpace.
	MaxBytes int64
	// MaxNodes bounds files, links and directories together; 0 is 2^20.
	MaxNodes int64
	// ReadOnly refuses all changes with sftp.CodeWriteProtect.
	ReadOnly bool
	// AllowSetID keeps the set-user-id and set-group-id bits that clients set.
	AllowSetID bool
	// Umask is taken from the mode of new files and directories; their modes are 0666
	// and 0777 when the client does not say.
	Umask uint32
	// UID and GID are the owner and group of new files and directories.
	UID, GID uint32
	// Names looks up names for ids and ids for names. If it is nil, a new file has numbers only,
	// and whatever name a client sets for an owner or group is kept.
	Names *sftp.IDNames
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
	// OnClose, if set, is called for every file that is closed, with the path it was opened by and
	// the cause given to Close.
	OnClose func(name string, cause error)
}

// FS is a tree in memory. All methods may be called concurrently.
type FS struct {
	sftp.Unsupported
	opt Options

	mu    sync.RWMutex // names: children of all nodes, link counts
	root  *node
	nodes int64
	ino   uint64

	used atomic.Int64 // bytes held, of Options.MaxBytes

	locks sftp.LockTable
}

var _ sftp.FileSystem = (*FS)(nil)

// New makes an empty tree.
func New(o Options) *FS {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxNodes <= 0 {
		o.MaxNodes = defaultMaxNodes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &FS{opt: o}
	s.root = s.newNode(sftp.ModeDir | 0o755)
	s.root.links = 2
	return s
}

// node is a file, directory or symlink. Its names are guarded by FS.mu, the rest by mu.
type node struct {
	ino      uint64
	kind     uint32 // type bits of st_mode; never changes
	links    uint32 // FS.mu
	children *names // FS.mu; directories
	target   string // symlinks; never changes

	mu                  sync.RWMutex
	perm                uint32 // low twelve bits
	uid, gid            uint32
	atime, mtime, ctime time.Time
	birth               time.Time
	owner, group        string // without Options.Names
	allocation          uint64 // as set
	bits                sftp.AttrBits
	mime                string
	acl                 *sftp.ACL
	extended            []sftp.ExtAttr
	data                content
}

// id is how the lock table knows n.
func (n *node) id() sftp.FileID { return sftp.FileID{Dev: 1, Ino: n.ino} }

func (n *node) isDir() bool  { return n.kind == sftp.ModeDir }
func (n *node) isLink() bool { return n.kind == sftp.ModeSymlink }

// newNode makes a node; the caller holds FS.mu, and counts it by reserve before.
func (s *FS) newNode(mode uint32) *node {
	s.ino++
	s.nodes++
	now := s.opt.Now()
	n := &node{
		ino: s.ino, kind: mode & sftp.ModeType, perm: mode & sftp.ModePerm, links: 1,
		uid: s.opt.UID, gid: s.opt.GID, atime: now, mtime: now, ctime: now, birth: now,
	}
	if n.isDir() {
		n.children = new(names)
	}
	return n
}

// room takes what one more node called elem costs, with extra octets of its own, or says
// that there is no room; FS.mu is held. put and data.extra account for it from there on.
func (s *FS) room(elem string, extra int) error {
	if s.nodes >= s.opt.MaxNodes || !s.reserve(int64(nameCost+len(elem)+extra)) {
		return sftp.CodeNoSpace
	}
	return nil
}

// unlinked drops one name of n; FS.mu is held. The content stays for open handles and
// is given back at once otherwise by the garbage collector; its bytes are counted until
// the last handle is closed.
func (s *FS) unlinked(n *node) {
	n.links--
	if n.isDir() {
		n.links--
	}
	if n.links == 0 {
		s.nodes--
		n.mu.Lock()
		n.data.orphan(s)
		n.mu.Unlock()
	}
}

// Capabilities announces everything except text translation.
func (s *FS) Capabilities() sftp.Capabilities {
	c := sftp.Capabilities{
		Features: sftp.FeatureStatFS | sftp.FeatureSymlink | sftp.FeatureHomeDir,
		Attrs:    settable | sftp.AttrCtime | sftp.AttrLinks, FixedAttrs: sftp.AttrCtime | sftp.AttrLinks,
		ACL: sftp.ACLCanAllow | sftp.ACLCanDeny | sftp.ACLCanAudit | sftp.ACLCanAlarm | sftp.ACLCanInheritAccess |
			sftp.ACLCanInheritAuditAlarm,
	}
	if s.opt.Names != nil {
		c.Features |= sftp.FeatureLookupIDs
	}
	if !s.opt.ReadOnly {
		c.Features |= sftp.FeatureWrite | sftp.FeaturePosixRename | sftp.FeatureHardLink | sftp.FeatureSync |
			sftp.FeatureLSetStat | sftp.FeatureCopy | sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory |
			sftp.FeatureOpenLock | sftp.FeatureDeleteOnClose
		c.Bits = settableBits
	}
	return c
}

// HomeDir returns "/" for the session's own user, and an error for others.
func (s *FS) HomeDir(_ context.Context, user string) (string, error) {
	if user != "" {
		return "", sftp.CodeNoSuchFile
	}
	return "/", nil
}

// LookupIDs looks names up in Options.Names.
func (s *FS) LookupIDs(_ context.Context, uids, gids []uint32) (users, groups []string, err error) {
	users, groups = make([]string, len(uids)), make([]string, len(gids))
	if s.opt.Names == nil {
		return users, groups, nil
	}
	for i, id := range uids {
		users[i] = s.opt.Names.User(id)
	}
	for i, id := range gids {
		groups[i] = s.opt.Names.Group(id)
	}
	return users, groups, nil
}
