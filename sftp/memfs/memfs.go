// Package memfs is a directory tree in memory with the semantics of osfs: symlinks and
// hard links, modes, owners and times are kept, absolute links are resolved against
// the root, links that climb out of it are refused. It serves tests and examples, and is
// one of the two sides of the model test. Modes are stored, not enforced: there is one
// user, who may do everything.
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
	// MaxBytes bounds the content held and the size of each file, holes included;
	// 0 is 1 GiB. Beyond it writes answer sftp.CodeNoSpace.
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
	// UID and GID own what is made.
	UID, GID uint32
	// Names answers names for ids; nil: numbers only.
	Names *sftp.IDNames
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnClose, if set, is told of every file closed, with the path it was opened by.
	OnClose func(name string, cause error)
}

// FS is the tree. All methods may be called concurrently.
type FS struct {
	sftp.Unsupported
	opt Options

	mu    sync.RWMutex // names: children of all nodes, link counts
	root  *node
	nodes int64
	ino   uint64

	used atomic.Int64 // bytes of content held
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
	kind     uint32           // type bits of st_mode; never changes
	links    uint32           // FS.mu
	children map[string]*node // FS.mu; directories
	target   string           // symlinks; never changes

	mu                  sync.RWMutex
	perm                uint32 // low twelve bits
	uid, gid            uint32
	atime, mtime, ctime time.Time
	birth               time.Time
	data                content
}

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
		n.children = make(map[string]*node)
	}
	return n
}

// room says whether one more node is allowed; FS.mu is held.
func (s *FS) room() error {
	if s.nodes >= s.opt.MaxNodes {
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

// attrs fills a; FS.mu is held for reading (link count).
func (s *FS) attrs(n *node, a *sftp.Attrs) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	*a = sftp.Attrs{
		Valid: sftp.AttrsBasic | sftp.AttrCtime | sftp.AttrBirth | sftp.AttrLinks | sftp.AttrAllocation | sftp.AttrFileID,
		Mode:  n.kind | n.perm, UID: n.uid, GID: n.gid, Links: n.links,
		Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime, Birth: n.birth,
		Size: uint64(n.data.size), Allocation: uint64(n.data.held), Dev: 1, Ino: n.ino,
	}
	if n.isLink() {
		a.Size = uint64(len(n.target))
	}
	if s.opt.Names != nil {
		a.Owner, a.Group = s.opt.Names.User(n.uid), s.opt.Names.Group(n.gid)
		a.Valid |= sftp.AttrOwnerGroup
	}
}

// Capabilities announces all but locks and text translation.
func (s *FS) Capabilities() sftp.Capabilities {
	c := sftp.Capabilities{
		Features: sftp.FeatureStatFS | sftp.FeatureSymlink | sftp.FeatureHomeDir,
		Attrs:    sftp.AttrsBasic | sftp.AttrCtime | sftp.AttrBirth | sftp.AttrLinks | sftp.AttrAllocation,
	}
	if s.opt.Names != nil {
		c.Features |= sftp.FeatureLookupIDs
		c.Attrs |= sftp.AttrOwnerGroup
	}
	if !s.opt.ReadOnly {
		c.Features |= sftp.FeatureWrite | sftp.FeaturePosixRename | sftp.FeatureHardLink | sftp.FeatureSync |
			sftp.FeatureLSetStat | sftp.FeatureCopy
	}
	return c
}

// HomeDir is "/" for the session's own user, and nothing for others.
func (s *FS) HomeDir(_ context.Context, user string) (string, error) {
	if user != "" {
		return "", sftp.CodeNoSuchFile
	}
	return "/", nil
}

// LookupIDs answers by Options.Names.
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
