package memfs

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// openFlags are the OPEN flags obeyed; OpenText is the server's business, and lines end
// here with what it takes them to end with.
const openFlags = sftp.OpenAppend | sftp.OpenAppendAtomic | sftp.OpenText | sftp.OpenNoFollow | sftp.OpenBlockMask |
	sftp.OpenDeleteOnClose

// writable opens every changing method.
func (s *FS) writable(ctx context.Context) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	return ctx.Err()
}

// Stat answers STAT and LSTAT.
func (s *FS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(name, opt.Follow)
	if err != nil {
		return nil, err
	}
	a := new(sftp.Attrs)
	s.attrs(p.node, a, opt.Want)
	return a, nil
}

// SetStat changes attributes of the object at name.
func (s *FS) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	c, err := s.check(a)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(name, follow)
	if err != nil {
		return err
	}
	if !p.node.isLink() && !p.node.isDir() && resizes(&c) {
		// To change the size is to open the file for writing, for a moment.
		h, err := s.locks.Open(p.node.id(), &sftp.OpenHow{Access: sftp.AccessWriteData})
		if err != nil {
			return err
		}
		defer h.Close()
		return s.change(p.node, &c, true, h)
	}
	return s.change(p.node, &c, true, nil)
}

func (s *FS) modeMask() uint32 {
	if s.opt.AllowSetID {
		return sftp.ModePerm
	}
	return 0o777 | sftp.ModeSticky
}

// put names n elem in dir; room or rename has paid for it. FS.mu is held.
func (s *FS) put(dir *node, elem string, n *node) *entry {
	e := &entry{dir: dir, name: elem, node: n}
	s.reput(e)
	return e
}

// cut takes e out of its directory and gives back what its name cost; FS.mu is held.
func (s *FS) cut(e *entry) {
	dir := e.dir
	if e.node.isDir() {
		dir.links--
	}
	dir.children.remove(e)
	e.dir = nil
	s.used.Add(-int64(nameCost + len(e.name)))
	s.touch(dir)
}

// remove is cut for the name of an object that loses it, against locks and attribute bits.
func (s *FS) remove(e *entry) error {
	switch {
	case e.node.has(sftp.BitImmutable | sftp.BitAppendOnly):
		return sftp.CodeCannotDelete
	case e.dir.has(sftp.BitImmutable | sftp.BitAppendOnly):
		return sftp.CodePermissionDenied
	}
	return s.locks.Remove(func() (sftp.FileID, bool) { return e.node.id(), true }, func() error {
		n := e.node
		s.cut(e)
		s.unlinked(n)
		return nil
	})
}

func (s *FS) touch(n *node) {
	n.mu.Lock()
	n.mtime = s.opt.Now()
	n.ctime = n.mtime
	n.mu.Unlock()
}

// vacant is walk for a name to be made; FS.mu is held.
func (s *FS) vacant(name string) (place, error) {
	p, err := s.walk(name, false)
	switch {
	case err != nil:
		return p, err
	case p.node != nil:
		return p, sftp.CodeFileAlreadyExists
	case p.dir.has(sftp.BitImmutable):
		return p, sftp.CodePermissionDenied
	}
	return p, nil
}

// Mkdir makes a directory with the attributes in a, but for its size.
func (s *FS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	first, err := s.first(a)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.vacant(name)
	if err != nil {
		return err
	}
	_, err = s.make(&p, sftp.ModeDir|0o777, &first)
	return err
}

// first checks the attributes for what is to be made: those of a without the size.
func (s *FS) first(a *sftp.Attrs) (c sftp.Attrs, err error) {
	if a != nil {
		c = *a
	}
	c.Valid &^= sftp.AttrSize
	return s.check(&c)
}

// make makes a file or directory at p, of that mode unless a has one; FS.mu is held.
func (s *FS) make(p *place, mode uint32, a *sftp.Attrs) (*entry, error) {
	if a.Has(sftp.AttrMode) {
		mode = mode&sftp.ModeType | a.Mode&0o777
	}
	rest := *a
	rest.Valid &^= sftp.AttrMode
	if perm, ok := a.ACL.Mode(); ok && a.Has(sftp.AttrACL) {
		mode = mode&sftp.ModeType | perm
		if perm&s.opt.Umask != 0 {
			rest.Valid &^= sftp.AttrACL // it is no longer what it says
		}
	}
	if err := s.room(p.elem, 0); err != nil {
		return nil, err
	}
	n := s.newNode(mode &^ s.opt.Umask)
	if n.isDir() {
		n.links = 2
	}
	if err := s.change(n, &rest, true, nil); err != nil {
		s.nodes--
		s.used.Add(-int64(nameCost+len(p.elem)) - n.data.extra)
		return nil, err
	}
	return s.put(p.dir, p.elem, n), nil
}

// Remove removes a file or link.
func (s *FS) Remove(ctx context.Context, name string) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(name, false)
	if err != nil {
		return err
	}
	if p.node.isDir() {
		return sftp.CodeIsADirectory
	}
	return s.remove(p.entry)
}

// Rmdir removes an empty directory, never the root.
func (s *FS) Rmdir(ctx context.Context, name string) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(name, false)
	switch {
	case err != nil:
		return err
	case p.dir == nil:
		return sftp.Status(sftp.CodePermissionDenied, "the root cannot be removed")
	case !p.node.isDir():
		return sftp.CodeNotADirectory
	case p.node.children.len() > 0:
		return sftp.CodeDirNotEmpty
	}
	return s.remove(p.entry)
}

// Rename moves from to to in one step.
func (s *FS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	to, err := sftp.CleanPath(to)
	if err != nil {
		return err
	}
	if from, err = sftp.CleanPath(from); err != nil {
		return err
	}
	if from == "/" || to == "/" {
		return sftp.Status(sftp.CodePermissionDenied, "the root cannot be renamed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	src, err := s.walk(from, false)
	if err != nil {
		return err
	}
	dst, err := s.walk(to, false)
	if err != nil {
		return err
	}
	switch {
	case src.node == nil:
		return sftp.CodeNoSuchFile
	case dst.node != nil && !flags.Overwrites():
		return sftp.CodeFileAlreadyExists
	}
	if dst.node != nil {
		nothing := func() error { return nil }
		if err := s.locks.Remove(func() (sftp.FileID, bool) { return dst.node.id(), true }, nothing); err != nil {
			return err
		}
	}
	switch {
	case src.node.isDir() && strings.HasPrefix(dst.path, src.path+"/"):
		return sftp.CodeInvalidParameter
	case strings.HasPrefix(src.path, dst.path+"/"):
		return sftp.CodeDirNotEmpty
	case dst.node == src.node: // two names of one file: POSIX leaves both
		return nil
	case src.node.has(sftp.BitImmutable | sftp.BitAppendOnly), src.dir.has(sftp.BitImmutable | sftp.BitAppendOnly),
		dst.dir.has(sftp.BitImmutable):
		return sftp.CodePermissionDenied
	}
	if dst.node != nil {
		switch {
		case src.node.isDir() && !dst.node.isDir():
			return sftp.CodeNotADirectory
		case !src.node.isDir() && dst.node.isDir():
			return sftp.CodeIsADirectory
		case dst.node.children.len() > 0:
			return sftp.CodeDirNotEmpty
		}
	}
	if !s.reserve(int64(nameCost + len(dst.elem))) {
		return sftp.CodeNoSpace
	}
	if dst.node != nil {
		if err := s.remove(dst.entry); err != nil {
			s.used.Add(-int64(nameCost + len(dst.elem)))
			return err
		}
	}
	s.cut(src.entry)
	*src.entry = entry{dir: dst.dir, name: dst.elem, node: src.node}
	s.reput(src.entry)
	return nil
}

// reput puts back an entry that was cut, in its new place.
func (s *FS) reput(e *entry) {
	e.dir.children.add(e)
	if e.node.isDir() {
		e.dir.links++
	}
	s.touch(e.dir)
}

// Link makes a hard link or a symlink; a relative target that climbs out is refused.
func (s *FS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	if symbolic && (target == "" || len(target) >= sftp.MaxPath-2 || strings.IndexByte(target, 0) >= 0) {
		return sftp.CodeInvalidFilename
	}
	if !symbolic {
		return s.hardLink(target, newName)
	}
	for strings.HasPrefix(target, "/./") { // as osfs
		target = target[2:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.walk(newName, false)
	switch {
	case err != nil:
		return err
	case p.dir == nil:
		return sftp.CodeFileAlreadyExists
	}
	if !strings.HasPrefix(target, "/") {
		if at := path.Join(path.Dir(p.path)[1:], target); at == ".." || strings.HasPrefix(at, "../") {
			return sftp.Status(sftp.CodePermissionDenied, "symbolic link would leave the root")
		}
	}
	switch {
	case p.node != nil:
		return sftp.CodeFileAlreadyExists
	case p.dir.has(sftp.BitImmutable):
		return sftp.CodePermissionDenied
	}
	if err := s.room(p.elem, len(target)); err != nil {
		return err
	}
	n := s.newNode(sftp.ModeSymlink | 0o777)
	n.target = target
	n.data.extra = int64(len(target))
	s.put(p.dir, p.elem, n)
	return nil
}

func (s *FS) hardLink(target, newName string) error {
	newName, err := sftp.CleanPath(newName)
	if err != nil {
		return err
	}
	if target, err = sftp.CleanPath(target); err != nil {
		return err
	}
	switch {
	case newName == "/":
		return sftp.CodeFileAlreadyExists
	case target == "/":
		return sftp.CodePermissionDenied
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.walk(target, false)
	if err != nil {
		return err
	}
	p, err := s.walk(newName, false)
	switch {
	case err != nil:
		return err
	case old.node == nil:
		return sftp.CodeNoSuchFile
	case p.node != nil:
		return sftp.CodeFileAlreadyExists
	case old.node.isDir(), old.node.has(sftp.BitImmutable | sftp.BitAppendOnly), p.dir.has(sftp.BitImmutable):
		return sftp.CodePermissionDenied
	case !s.reserve(int64(nameCost + len(p.elem))):
		return sftp.CodeNoSpace
	}
	old.node.links++
	s.put(p.dir, p.elem, old.node)
	return nil
}

// ReadLink returns the target of a symlink as stored.
func (s *FS) ReadLink(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(name, false)
	if err != nil {
		return "", err
	}
	if !p.node.isLink() {
		return "", sftp.CodeInvalidParameter
	}
	return p.node.target, nil
}

// RealPath resolves links; see sftp.RealPathControl.
func (s *FS) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	clean, err := sftp.CleanPath(name)
	if err != nil || opt.Control == sftp.RealPathNoCheck {
		return clean, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.walk(clean, true)
	switch {
	case err != nil:
		if opt.Control == sftp.RealPathStatIf && errors.Is(err, fs.ErrNotExist) {
			return clean, nil, nil
		}
		return "", nil, err
	case opt.Control == sftp.RealPathDefault:
		return p.path, nil, nil
	case p.node == nil && opt.Control == sftp.RealPathStatAlways:
		return "", nil, sftp.CodeNoSuchFile
	case p.node == nil:
		return p.path, nil, nil
	}
	a := new(sftp.Attrs)
	s.attrs(p.node, a, opt.Want)
	return p.path, a, nil
}

// StatFS returns the limits of the tree and how much is left of them.
func (s *FS) StatFS(ctx context.Context, name string) (*sftp.FSInfo, error) {
	if _, err := s.Stat(ctx, name, sftp.StatOpt{Follow: true}); err != nil {
		return nil, err
	}
	return s.info(), nil
}

func (s *FS) info() *sftp.FSInfo {
	s.mu.RLock()
	nodes := s.nodes
	s.mu.RUnlock()
	free := uint64(max(s.opt.MaxBytes-s.used.Load(), 0)) / minChunk
	left := uint64(max(s.opt.MaxNodes-nodes, 0))
	i := &sftp.FSInfo{
		BlockSize: chunkSize, FragmentSize: minChunk,
		Blocks: uint64(s.opt.MaxBytes) / minChunk, Free: free, Avail: free,
		Files: uint64(s.opt.MaxNodes), FilesFree: left, FilesAvail: left, ID: 1, NameMax: maxName,
	}
	if s.opt.ReadOnly {
		i.Flags |= sftp.FSReadOnly
	}
	return i
}

// Open opens or creates a file.
func (s *FS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if err := how.Check(); err != nil {
		return nil, err
	}
	if s.opt.ReadOnly && how.Modifies() {
		return nil, sftp.CodeWriteProtect
	}
	if how.Flags&^openFlags != 0 || s.opt.ReadOnly && how.Flags&sftp.OpenBlockMask != 0 {
		return nil, sftp.Status(sftp.CodeOpUnsupported, "open flag not supported")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	first, err := s.first(how.Attrs)
	if err != nil && how.Creates() {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	noFollow := how.Flags&sftp.OpenNoFollow != 0
	p, err := s.walk(name, !noFollow && how.Disposition != sftp.CreateNew)
	if err != nil {
		return nil, err
	}
	e := p.entry
	switch n := p.node; {
	case n == nil && !how.Creates():
		return nil, sftp.CodeNoSuchFile
	case n == nil && p.dir.has(sftp.BitImmutable):
		return nil, sftp.CodePermissionDenied
	case n == nil:
		if e, err = s.make(&p, sftp.ModeRegular|0o666, &first); err != nil {
			return nil, err
		}
	case how.Disposition == sftp.CreateNew:
		return nil, sftp.CodeFileAlreadyExists
	case n.isDir():
		return nil, sftp.CodeIsADirectory
	case n.isLink():
		return nil, sftp.CodeLinkLoop
	case how.Writes() && n.has(sftp.BitImmutable), how.Writes() && n.has(sftp.BitAppendOnly) && (!how.Appends() || how.Truncates()):
		return nil, sftp.CodePermissionDenied
	}
	n := e.node
	locks, err := s.locks.Open(n.id(), how)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if how.Truncates() && how.Writes() && p.node != nil {
		if err := locks.CheckResize(uint64(n.data.size), 0); err != nil {
			locks.Close()
			return nil, err
		}
		_ = n.data.truncate(s, 0)
		n.mtime = s.opt.Now()
		n.ctime = n.mtime
	}
	n.data.open++
	f := &file{fs: s, node: n, name: name, locks: locks, reads: how.Reads(), writes: how.Writes(), appends: how.Appends()}
	if how.Flags&sftp.OpenDeleteOnClose != 0 {
		f.doomed = e
	}
	return f, nil
}
