package memfs

import (
	"context"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const settable = sftp.AttrSize | sftp.AttrUIDGID | sftp.AttrMode | sftp.AttrTimes | sftp.AttrOwnerGroup

const openFlags = sftp.OpenAppend | sftp.OpenAppendAtomic | sftp.OpenText | sftp.OpenNoFollow

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
	s.attrs(p.node, a)
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
	return s.change(p.node, &c, true)
}

// check refuses attributes that can never be set, and answers the others with owner
// names turned into numbers (all ones: leave alone) and the mode masked by policy.
func (s *FS) check(a *sftp.Attrs) (c sftp.Attrs, err error) {
	if a != nil {
		c = *a
	}
	if c.Valid&^settable != 0 {
		return c, sftp.Status(sftp.CodeOpUnsupported, "attribute cannot be set")
	}
	if c.Has(sftp.AttrSize) && c.Size > math.MaxInt64 {
		return c, sftp.Status(sftp.CodeInvalidParameter, "size out of range")
	}
	for _, t := range [...]struct {
		bit  sftp.AttrMask
		secs int64
	}{{sftp.AttrAtime, c.Atime.Unix()}, {sftp.AttrMtime, c.Mtime.Unix()}} {
		if c.Valid&t.bit != 0 && (t.secs <= math.MinInt64/1_000_000_000 || t.secs >= math.MaxInt64/1_000_000_000) {
			return c, sftp.Status(sftp.CodeInvalidParameter, "time out of range")
		}
	}
	c.Mode &= s.modeMask()
	if !c.Has(sftp.AttrUIDGID) {
		c.UID, c.GID = math.MaxUint32, math.MaxUint32
		if c.Has(sftp.AttrOwnerGroup) {
			var ok bool
			if c.Owner != "" {
				if c.UID, ok = s.id(c.Owner, false); !ok {
					return c, sftp.CodeOwnerInvalid
				}
			}
			if c.Group != "" {
				if c.GID, ok = s.id(c.Group, true); !ok {
					return c, sftp.CodeGroupInvalid
				}
			}
		}
	}
	return c, nil
}

// change sets the attributes in a, which check made, on n.
func (s *FS) change(n *node, a *sftp.Attrs, writes bool) error {
	if a.Has(sftp.AttrSize) && n.isLink() {
		return sftp.CodeOpUnsupported
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// From here on, as in osfs, one attribute that fails does not stop the others.
	var first error
	if a.Has(sftp.AttrSize) {
		switch {
		case n.isDir():
			first = sftp.CodeIsADirectory
		case !writes:
			first = sftp.CodePermissionDenied
		default:
			first = n.data.truncate(s, int64(a.Size))
			n.mtime = s.opt.Now()
		}
	}
	switch {
	case !a.Has(sftp.AttrMode):
	case !n.isLink():
		n.perm = a.Mode
	case first == nil:
		first = sftp.CodeOpUnsupported
	}
	if a.Has(sftp.AttrAtime) {
		n.atime = a.Atime
	}
	if a.Has(sftp.AttrMtime) {
		n.mtime = a.Mtime
	}
	if a.UID != math.MaxUint32 {
		n.uid = a.UID
	}
	if a.GID != math.MaxUint32 {
		n.gid = a.GID
	}
	n.ctime = s.opt.Now()
	return first
}

func (s *FS) id(name string, group bool) (uint32, bool) {
	names := s.opt.Names
	if names == nil {
		names = &sftp.IDNames{
			UserID:  func(string) (uint32, bool) { return 0, false },
			GroupID: func(string) (uint32, bool) { return 0, false },
		}
	}
	if group {
		return names.GID(name)
	}
	return names.UID(name)
}

func (s *FS) modeMask() uint32 {
	if s.opt.AllowSetID {
		return sftp.ModePerm
	}
	return 0o777 | sftp.ModeSticky
}

// put names n elem in dir; FS.mu is held.
func (s *FS) put(dir *node, elem string, n *node) {
	dir.children[elem] = n
	if n.isDir() {
		dir.links++
	}
	s.touch(dir)
}

// cut takes the name elem out of dir; FS.mu is held.
func (s *FS) cut(dir *node, elem string) {
	if dir.children[elem].isDir() {
		dir.links--
	}
	delete(dir.children, elem)
	s.touch(dir)
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
	case p.dir.links == 0:
		return p, sftp.CodeNoSuchFile
	}
	return p, nil
}

// Mkdir makes a directory; of a only the mode counts.
func (s *FS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	perm := uint32(0o777)
	if a != nil && a.Has(sftp.AttrMode) {
		perm = a.Mode & 0o777
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.vacant(name)
	if err != nil {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	n := s.newNode(sftp.ModeDir | perm&^s.opt.Umask)
	n.links = 2
	s.put(p.dir, p.elem, n)
	return nil
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
	s.cut(p.dir, p.elem)
	s.unlinked(p.node)
	return nil
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
	case len(p.node.children) > 0:
		return sftp.CodeDirNotEmpty
	}
	s.cut(p.dir, p.elem)
	s.unlinked(p.node)
	return nil
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
	case src.node.isDir() && strings.HasPrefix(dst.path, src.path+"/"):
		return sftp.CodeInvalidParameter
	case strings.HasPrefix(src.path, dst.path+"/"):
		return sftp.CodeDirNotEmpty
	case dst.node == src.node: // two names of one file: POSIX leaves both
		return nil
	}
	if dst.node != nil {
		switch {
		case src.node.isDir() && !dst.node.isDir():
			return sftp.CodeNotADirectory
		case !src.node.isDir() && dst.node.isDir():
			return sftp.CodeIsADirectory
		case len(dst.node.children) > 0:
			return sftp.CodeDirNotEmpty
		}
		s.cut(dst.dir, dst.elem)
		s.unlinked(dst.node)
	}
	s.cut(src.dir, src.elem)
	s.put(dst.dir, dst.elem, src.node)
	return nil
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
	if p.node != nil {
		return sftp.CodeFileAlreadyExists
	}
	if err := s.room(); err != nil {
		return err
	}
	n := s.newNode(sftp.ModeSymlink | 0o777)
	n.target = target
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
	case old.node.isDir():
		return sftp.CodePermissionDenied
	}
	old.node.links++
	s.put(p.dir, p.elem, old.node)
	return nil
}

// ReadLink answers the target of a symlink as stored.
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
		if opt.Control == sftp.RealPathStatIf && sftp.CodeOf(err) == sftp.CodeNoSuchFile {
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
	s.attrs(p.node, a)
	return p.path, a, nil
}

// StatFS answers the limits of the tree and what is left.
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
	if how.Flags&^openFlags != 0 {
		return nil, sftp.Status(sftp.CodeOpUnsupported, "open flag not supported")
	}
	if s.opt.ReadOnly && how.Modifies() {
		return nil, sftp.CodeWriteProtect
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	perm := uint32(0o666)
	if how.Attrs != nil && how.Attrs.Has(sftp.AttrMode) {
		perm = how.Attrs.Mode & 0o777
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	noFollow := how.Flags&sftp.OpenNoFollow != 0
	p, err := s.walk(name, !noFollow && how.Disposition != sftp.CreateNew)
	if err != nil {
		return nil, err
	}
	n := p.node
	switch {
	case n == nil && !how.Creates():
		return nil, sftp.CodeNoSuchFile
	case n == nil:
		if p.dir.links == 0 {
			return nil, sftp.CodeNoSuchFile
		}
		if err := s.room(); err != nil {
			return nil, err
		}
		n = s.newNode(sftp.ModeRegular | perm&^s.opt.Umask)
		s.put(p.dir, p.elem, n)
	case how.Disposition == sftp.CreateNew:
		return nil, sftp.CodeFileAlreadyExists
	case n.isDir():
		return nil, sftp.CodeIsADirectory
	case n.isLink():
		return nil, sftp.CodeLinkLoop
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if how.Truncates() && how.Writes() {
		_ = n.data.truncate(s, 0)
		n.mtime = s.opt.Now()
		n.ctime = n.mtime
	}
	n.data.open++
	return &file{fs: s, node: n, name: name, reads: how.Reads(), writes: how.Writes(), appends: how.Appends()}, nil
}

// OpenDir opens a directory; the listing is what it holds now, sorted.
func (s *FS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(name, true)
	if err != nil {
		return nil, err
	}
	if !p.node.isDir() {
		return nil, sftp.CodeNotADirectory
	}
	d := &dir{fs: s, node: p.node, names: make([]string, 0, len(p.node.children))}
	for name := range p.node.children {
		d.names = append(d.names, name)
	}
	slices.Sort(d.names)
	return d, nil
}

type dir struct {
	fs      *FS
	node    *node
	names   []string
	entries []sftp.Entry
}

// Next answers up to n entries, but those removed since.
func (d *dir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n <= 0 {
		n = 1024
	}
	d.fs.mu.RLock()
	defer d.fs.mu.RUnlock()
	d.entries = d.entries[:0]
	for len(d.names) > 0 && len(d.entries) < n {
		name := d.names[0]
		d.names = d.names[1:]
		if child := d.node.children[name]; child != nil {
			d.entries = append(d.entries, sftp.Entry{Name: name})
			d.fs.attrs(child, &d.entries[len(d.entries)-1].Attrs)
		}
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	return d.entries, nil
}

// Close does nothing.
func (d *dir) Close(error) error { return nil }
