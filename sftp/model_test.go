package sftp_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// The model says what a server answers to a request, from the drafts and the documentation
// of package sftp, with a tree as simple as can be and no look at any file system. What is
// at liberty to differ (times nobody set, sizes of directories) it does not know.

// mNode is a file, directory or symlink.
type mNode struct {
	typ   sftp.Type
	perm  uint32
	data  []byte
	text  string // symlink
	kids  map[string]*mNode
	names uint32 // links, of what is not a directory
	// mtime is as SETSTAT set it, unless something has happened since.
	mtime    time.Time
	dated    bool
	uid, gid uint32
	ranges   []mRange
}

// mRange is a byte-range lock.
type mRange struct {
	off, length uint64 // as asked for
	start, end  uint64
	mask        sftp.RangeMask
	by          *mHandle
}

func (n *mNode) size() uint64 {
	if n.typ == sftp.TypeSymlink {
		return uint64(len(n.text))
	}
	return uint64(len(n.data))
}

// mHandle is an open file.
type mHandle struct {
	node                   *mNode
	path                   string // as named
	reads, writes, appends bool
	block                  uint32 // the flags of OPEN that shut others out
	wantsGone              bool   // it may remove the file
	doomed                 bool   // CLOSE removes the file, by the name it was opened by
	dir                    *mNode // where that name is now; nil: nowhere
	elem                   string
	id                     []byte // of the server
}

const (
	mFiles    = 5
	mMaxName  = 255
	mMaxLinks = 40
)

type model struct {
	v     fxp.Version
	umask uint32
	can   sftp.Features // of the file system
	uid   uint32        // who makes files
	gid   uint32
	root  *mNode
	files [mFiles]*mHandle
}

func newModel(v fxp.Version, umask uint32) *model {
	m := &model{v: v, umask: umask, uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
	m.root = m.node(sftp.TypeDirectory, 0)
	return m
}

// node is a new file.
func (m *model) node(typ sftp.Type, perm uint32) *mNode {
	n := &mNode{typ: typ, perm: perm, uid: m.uid, gid: m.gid}
	if typ == sftp.TypeDirectory {
		n.kids = make(map[string]*mNode)
	}
	return n
}

// mPlace is where a name leads: an element of a directory, and what is there, or nil. The
// root has no dir.
type mPlace struct {
	dir  *mNode
	elem string
	node *mNode
	path string // without links, but for the last element if that was not followed
}

// clean is the spelling of a name that counts, or "" for a name that none can have.
func clean(name string) string {
	if len(name) > sftp.MaxPath || strings.ContainsRune(name, 0) {
		return ""
	}
	return path.Clean("/" + name)
}

// walk follows name from the root. All but the last element must exist.
func (m *model) walk(name string, follow bool) (mPlace, sftp.Code) {
	name = clean(name)
	if name == "" {
		return mPlace{}, sftp.CodeInvalidFilename
	}
	at := []mPlace{{node: m.root, path: "/"}}
	todo := strings.Split(name[1:], "/")
	for links := 0; len(todo) > 0; {
		elem := todo[0]
		todo = todo[1:]
		here := at[len(at)-1]
		switch {
		case here.node.typ != sftp.TypeDirectory:
			return mPlace{}, sftp.CodeNotADirectory
		case elem == "" || elem == ".":
			continue
		case elem == "..": // only in a symlink: names were cleaned
			if len(at) == 1 {
				return mPlace{}, sftp.CodePermissionDenied
			}
			at = at[:len(at)-1]
			continue
		case len(elem) > mMaxName:
			return mPlace{}, sftp.CodeInvalidFilename
		}
		next := mPlace{dir: here.node, elem: elem, node: here.node.kids[elem], path: path.Join(here.path, elem)}
		switch {
		case next.node == nil && len(todo) > 0:
			return mPlace{}, sftp.CodeNoSuchPath
		case next.node == nil:
			return next, sftp.CodeOK
		case next.node.typ == sftp.TypeSymlink && (follow || len(todo) > 0):
			if links++; links > mMaxLinks {
				return mPlace{}, sftp.CodeLinkLoop
			}
			text := next.node.text
			if strings.HasPrefix(text, "/") { // from the root, which ".." does not leave
				at, text = at[:1], strings.TrimLeft(text, "/")
				for text == ".." || strings.HasPrefix(text, "../") {
					text = strings.TrimLeft(text[2:], "/")
				}
			}
			todo = append(strings.Split(text, "/"), todo...)
		default:
			at = append(at, next)
		}
	}
	return at[len(at)-1], sftp.CodeOK
}

// find is walk to what exists.
func (m *model) find(name string, follow bool) (mPlace, sftp.Code) {
	p, code := m.walk(name, follow)
	if code == sftp.CodeOK && p.node == nil {
		code = sftp.CodeNoSuchFile
	}
	return p, code
}

// mAttrs are the attributes that the model knows.
type mAttrs struct {
	typ   sftp.Type
	perm  uint32
	size  uint64
	links uint32
	mtime time.Time
	dated bool
	owner string // and group, as numbers
}

func (n *mNode) attrs() mAttrs {
	return mAttrs{n.typ, n.perm, n.size(), n.names, n.mtime, n.dated, fmt.Sprintf("%d:%d", n.uid, n.gid)}
}

// String is what is compared, of the attributes that version v can carry.
func (a mAttrs) String(v fxp.Version) string {
	s := fmt.Sprintf("type %d mode %o owner %s", a.typ, a.perm, a.owner)
	if a.typ != sftp.TypeDirectory {
		s += fmt.Sprintf(" size %d", a.size)
		if v >= fxp.V6 {
			s += fmt.Sprintf(" links %d", a.links)
		}
	}
	if a.dated {
		t := a.mtime
		if v < fxp.V4 {
			t = time.Unix(min(max(t.Unix(), 0), math.MaxUint32), 0)
		}
		s += fmt.Sprintf(" mtime %d.%d", t.Unix(), t.Nanosecond())
	}
	return s
}

// wireString is the same of attributes from the server, as far as the model knows them.
func wireString(w *fxp.Attrs, dated bool) string {
	a := mAttrs{typ: sftp.Type(w.Type), perm: w.Permissions & 0o7777, size: w.Size, links: w.Links, dated: dated, owner: w.Owner + ":" + w.Group}
	if w.V < fxp.V4 {
		a.typ, a.owner = sftp.TypeOfMode(w.Permissions), fmt.Sprintf("%d:%d", w.UID, w.GID)
	}
	if dated {
		a.mtime = time.Unix(w.Mtime.Sec, int64(w.Mtime.Nsec))
	}
	return a.String(w.V)
}

// answer is what the server is to say: a status, or with CodeOK what else is in it.
type answer struct {
	code  sftp.Code
	attrs *mAttrs
	data  []byte // of DATA
	isEOF bool   // the data reach the end of the file
	text  string // of NAME with one name
	dummy bool   // the name comes with attributes that say nothing
	names []string
	hash  []byte
}

func (a answer) bad() bool { return a.code != sftp.CodeOK }

func fails(code sftp.Code) answer { return answer{code: code} }

// put makes n what is called by the name at p.
func (m *model) put(p mPlace, n *mNode) {
	p.dir.kids[p.elem] = n
	p.dir.dated = false
	n.names++
}

// cut takes the name at p away.
func (m *model) cut(p mPlace) {
	delete(p.dir.kids, p.elem)
	p.dir.dated = false
	p.node.names--
	for _, h := range m.files {
		if h != nil && h.dir == p.dir && h.elem == p.elem {
			h.dir = nil
		}
	}
}

// move is cut and put of one name.
func (m *model) move(from, to mPlace) {
	var same []*mHandle
	for _, h := range m.files {
		if h != nil && h.dir == from.dir && h.elem == from.elem {
			same = append(same, h)
		}
	}
	m.cut(from)
	m.put(to, from.node)
	for _, h := range same {
		h.dir, h.elem = to.dir, to.elem
	}
}

// kept tells whether a lock forbids that n loses a name.
func (m *model) kept(n *mNode) bool {
	for _, h := range m.files {
		if h != nil && h.node == n && h.block&(blockDelete|blockAdvisory) == blockDelete {
			return true
		}
	}
	return n.kept()
}

func (n *mNode) kept() bool {
	return slices.ContainsFunc(n.ranges, func(r mRange) bool { return r.mask&(blockDelete|blockAdvisory) == blockDelete })
}

// The block bits of OPEN and BLOCK.
const (
	blockRead     = 0x40
	blockWrite    = 0x80
	blockDelete   = 0x100
	blockAdvisory = 0x200
)

// denies tells whether h shuts g out (filexfer-13 section 8.1.1.3).
func (h *mHandle) denies(g *mHandle) bool {
	if h.block&blockAdvisory != 0 && g.block == 0 {
		return false
	}
	return h.block&blockRead != 0 && g.reads || h.block&blockWrite != 0 && g.writes || h.block&blockDelete != 0 && g.wantsGone
}

// shutOut tells whether h, which is to be opened, is kept out or would shut out another.
func (m *model) shutOut(h *mHandle) bool {
	for _, g := range m.files {
		if g != nil && g.node == h.node && (g.denies(h) || h.denies(g)) {
			return true
		}
	}
	return h.wantsGone && h.node.kept()
}

// vacant is a place where nothing is.
func (m *model) vacant(name string) (mPlace, sftp.Code) {
	p, code := m.walk(name, false)
	if code == sftp.CodeOK && p.node != nil {
		code = sftp.CodeFileAlreadyExists
	}
	return p, code
}

// how is an OPEN as the drafts tell it: what it asks for, in any version.
type how struct {
	reads, writes, appends, noFollow bool
	creates, exclusive, truncates    bool
	wantsGone, doomed                bool
	block                            uint32
	nonsense                         sftp.Code
}

// howOf reads flags and access (filexfer-02 section 6.3, filexfer-13 section 8.1.1).
func (m *model) howOf(o *wireOp) (h how) {
	if m.v >= fxp.V5 {
		h.reads, h.writes = o.access&0x21 != 0, o.access&0x06 != 0
		h.appends, h.noFollow = o.flags&0x18 != 0, o.flags&0x400 != 0
		h.block, h.doomed = o.flags&0x3C0, o.flags&0x800 != 0
		h.wantsGone = h.doomed || o.access&0x10000 != 0
		switch o.flags & 7 {
		case 0:
			h.creates, h.exclusive = true, true
		case 1:
			h.creates, h.truncates = true, true
		case 2:
		case 3:
			h.creates = true
		case 4:
			h.truncates = true
			if !h.writes {
				h.nonsense = sftp.CodeInvalidParameter
			}
		default:
			h.nonsense = sftp.CodeInvalidParameter
		}
		if h.nonsense == sftp.CodeOK && (h.block != 0 && !m.can.Has(sftp.FeatureOpenLock) || h.doomed && !m.can.Has(sftp.FeatureDeleteOnClose)) {
			h.nonsense = sftp.CodeOpUnsupported
		}
		return h
	}
	h.reads, h.appends = o.flags&1 != 0, o.flags&4 != 0
	h.writes = o.flags&2 != 0 || h.appends
	h.reads = h.reads || !h.writes
	h.creates = o.flags&8 != 0
	h.exclusive = h.creates && o.flags&0x20 != 0
	h.truncates = o.flags&0x10 != 0 && !h.exclusive
	if h.truncates && !h.creates && !h.writes {
		h.nonsense = sftp.CodeInvalidParameter
	}
	return h
}

func (m *model) open(o *wireOp) answer {
	if clean(o.name) == "" {
		return fails(sftp.CodeInvalidFilename)
	}
	if strings.HasSuffix(o.name, "/") {
		return fails(sftp.CodeIsADirectory)
	}
	h := m.howOf(o)
	if h.nonsense != sftp.CodeOK {
		return fails(h.nonsense)
	}
	p, code := m.walk(o.name, !h.noFollow && !h.exclusive)
	opened := &mHandle{
		path: clean(o.name), reads: h.reads, writes: h.writes, appends: h.appends, block: h.block, wantsGone: h.wantsGone, doomed: h.doomed,
		dir: p.dir, elem: p.elem, node: p.node,
	}
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.node == nil && !h.creates:
		return fails(sftp.CodeNoSuchFile)
	case p.node == nil:
		p.node = m.node(sftp.TypeRegular, 0o666&^m.umask)
		if o.attrs.setPerm {
			p.node.perm = o.attrs.perm & 0o777 &^ m.umask
		}
		m.put(p, p.node)
	case h.exclusive:
		return fails(sftp.CodeFileAlreadyExists)
	case p.node.typ == sftp.TypeDirectory:
		return fails(sftp.CodeIsADirectory)
	case p.node.typ == sftp.TypeSymlink:
		return fails(sftp.CodeLinkLoop)
	case m.shutOut(opened):
		return fails(sftp.CodeLockConflict)
	case h.truncates && h.writes && p.node.conflict(nil, sftp.RangeWrite, 0, p.node.size()):
		return fails(sftp.CodeRangeLockConflict)
	case h.truncates && h.writes:
		p.node.data, p.node.dated = nil, false
	}
	opened.node = p.node
	m.files[o.slot] = opened
	return answer{}
}

func (m *model) close(o *wireOp) answer {
	h := m.files[o.slot]
	h.node.ranges = slices.DeleteFunc(h.node.ranges, func(r mRange) bool { return r.by == h })
	m.files[o.slot] = nil
	if h.doomed && h.dir != nil {
		m.cut(mPlace{dir: h.dir, elem: h.elem, node: h.node})
	}
	return answer{}
}

// conflict tells whether a lock of another handle keeps h from the octets.
func (h *mHandle) conflict(mask sftp.RangeMask, start, end uint64) bool {
	return h.node.conflict(h, mask, start, end)
}

func (n *mNode) conflict(h *mHandle, mask sftp.RangeMask, start, end uint64) bool {
	return slices.ContainsFunc(n.ranges, func(r mRange) bool {
		return r.by != h && r.mask&sftp.RangeAdvisory == 0 && r.mask&mask != 0 && r.start < r.end && r.start < end && start < r.end
	})
}

func (m *model) read(o *wireOp) answer {
	h := m.files[o.slot]
	switch {
	case !h.reads:
		return fails(sftp.CodePermissionDenied)
	case o.off > math.MaxInt64:
		return fails(sftp.CodeFailure)
	case o.n > 0 && h.conflict(sftp.RangeRead, o.off, o.off+uint64(o.n)):
		return fails(sftp.CodeRangeLockConflict)
	}
	size := uint64(len(h.node.data))
	// Less than was asked for, if that is more than a message holds.
	end := min(o.off+min(uint64(o.n), fxp.MaxData), size)
	if o.off >= end {
		return fails(sftp.CodeEOF)
	}
	return answer{data: h.node.data[o.off:end], isEOF: end == size}
}

// store puts data at off of a file.
func (n *mNode) store(off uint64, data []byte) {
	n.resize(max(uint64(len(n.data)), off+uint64(len(data))))
	copy(n.data[off:], data)
}

func (n *mNode) resize(size uint64) {
	n.dated = false
	if size <= uint64(len(n.data)) {
		// A new array: what was cut off is zeros when it grows again.
		n.data = slices.Clone(n.data[:size])
		return
	}
	n.data = append(n.data, make([]byte, size-uint64(len(n.data)))...)
}

func (m *model) write(o *wireOp) answer {
	h := m.files[o.slot]
	off := o.off
	switch {
	case !h.writes:
		return fails(sftp.CodePermissionDenied)
	case h.appends:
		off = uint64(len(h.node.data))
	case off > math.MaxInt64-uint64(len(o.data)):
		return fails(sftp.CodeFailure)
	}
	if len(o.data) == 0 {
		return answer{}
	}
	if h.conflict(sftp.RangeWrite, off, off+uint64(len(o.data))) {
		return fails(sftp.CodeRangeLockConflict)
	}
	h.node.store(off, o.data)
	return answer{}
}

// change sets attributes; writes says whether the size may be set. What can be set is set
// although something else cannot, but for what is known beforehand.
func (m *model) change(n *mNode, s setAttrs, writes bool, h *mHandle) (code sftp.Code) {
	if s.setSize && n.typ == sftp.TypeSymlink {
		return sftp.CodeOpUnsupported
	}
	if s.setSize {
		size := n.size()
		if h == nil && n.typ == sftp.TypeRegular && m.shutOut(&mHandle{node: n, writes: true}) {
			return sftp.CodeLockConflict // to set the size is to open the file for a moment
		}
		switch {
		case n.typ == sftp.TypeDirectory:
			return sftp.CodeIsADirectory // before anything is changed, like the next two
		case !writes:
			return sftp.CodePermissionDenied
		case n.conflict(h, sftp.RangeWrite, min(size, s.size), max(size, s.size)):
			return sftp.CodeRangeLockConflict
		default:
			n.resize(s.size)
		}
	}
	if s.setPerm {
		if n.typ == sftp.TypeSymlink {
			if code == sftp.CodeOK {
				code = sftp.CodeOpUnsupported
			}
		} else {
			n.perm = s.perm & 0o1777 // no set-id bits from a client
		}
	}
	if s.setMtime {
		n.mtime, n.dated = s.mtime, true
		if m.v < fxp.V4 {
			n.mtime = time.Unix(int64(uint32(s.mtime.Unix())), 0)
		}
	}
	if s.setOwner {
		n.uid, n.gid = s.uid, s.gid
	}
	return code
}

func (m *model) setstat(o *wireOp) answer {
	p, code := m.find(o.name, !o.noFollow)
	if code == sftp.CodeOK {
		code = m.change(p.node, o.attrs, true, nil)
	}
	return fails(code)
}

func (m *model) mkdir(o *wireOp) answer {
	p, code := m.vacant(o.name)
	if code != sftp.CodeOK {
		return fails(code)
	}
	n := m.node(sftp.TypeDirectory, 0o777&^m.umask)
	if o.attrs.setPerm {
		n.perm = o.attrs.perm & 0o777 &^ m.umask
	}
	m.put(p, n)
	return answer{}
}

func (m *model) remove(o *wireOp) answer {
	p, code := m.find(o.name, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.node.typ == sftp.TypeDirectory:
		return fails(sftp.CodeIsADirectory)
	case m.kept(p.node):
		return fails(sftp.CodeLockConflict)
	}
	m.cut(p)
	return answer{}
}

func (m *model) rmdir(o *wireOp) answer {
	p, code := m.find(o.name, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.dir == nil:
		return fails(sftp.CodePermissionDenied)
	case p.node.typ != sftp.TypeDirectory:
		return fails(sftp.CodeNotADirectory)
	case len(p.node.kids) > 0:
		return fails(sftp.CodeDirNotEmpty)
	}
	m.cut(p)
	return answer{}
}

// rename moves name to name2; replace says whether over something.
func (m *model) rename(o *wireOp, replace bool) answer {
	if clean(o.name) == "/" || clean(o.name2) == "/" {
		return fails(sftp.CodePermissionDenied)
	}
	from, code := m.walk(o.name, false)
	if code != sftp.CodeOK {
		return fails(code)
	}
	to, code := m.walk(o.name2, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case from.node == nil:
		return fails(sftp.CodeNoSuchFile)
	case to.node != nil && !replace:
		return fails(sftp.CodeFileAlreadyExists)
	case to.node != nil && m.kept(to.node):
		return fails(sftp.CodeLockConflict)
	case from.node.typ == sftp.TypeDirectory && strings.HasPrefix(to.path, from.path+"/"):
		return fails(sftp.CodeInvalidParameter) // into itself
	case strings.HasPrefix(from.path, to.path+"/"):
		return fails(sftp.CodeDirNotEmpty) // over what it is in
	case from.node == to.node:
		return answer{} // two names of one file: rename(2) leaves both
	}
	if to.node != nil {
		switch isDir := to.node.typ == sftp.TypeDirectory; {
		case from.node.typ == sftp.TypeDirectory && !isDir:
			return fails(sftp.CodeNotADirectory)
		case from.node.typ != sftp.TypeDirectory && isDir:
			return fails(sftp.CodeIsADirectory)
		case len(to.node.kids) > 0:
			return fails(sftp.CodeDirNotEmpty)
		}
		m.cut(to)
	}
	m.move(from, to)
	return answer{}
}

func (m *model) symlink(o *wireOp) answer {
	if o.text == "" {
		return fails(sftp.CodeInvalidFilename)
	}
	p, code := m.walk(o.name, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.dir == nil:
		return fails(sftp.CodeFileAlreadyExists)
	}
	if !strings.HasPrefix(o.text, "/") {
		if at := path.Join(path.Dir(p.path)[1:], o.text); at == ".." || strings.HasPrefix(at, "../") {
			return fails(sftp.CodePermissionDenied) // it would leave the root
		}
	}
	if p.node != nil {
		return fails(sftp.CodeFileAlreadyExists)
	}
	n := m.node(sftp.TypeSymlink, 0o777)
	n.text = o.text
	m.put(p, n)
	return answer{}
}

// hardlink makes name2 another name of what name is.
func (m *model) hardlink(o *wireOp) answer {
	switch {
	case clean(o.name2) == "/":
		return fails(sftp.CodeFileAlreadyExists)
	case clean(o.name) == "/":
		return fails(sftp.CodePermissionDenied)
	}
	old, code := m.walk(o.name, false)
	if code != sftp.CodeOK {
		return fails(code)
	}
	p, code := m.walk(o.name2, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case old.node == nil:
		return fails(sftp.CodeNoSuchFile)
	case p.node != nil:
		return fails(sftp.CodeFileAlreadyExists)
	case old.node.typ == sftp.TypeDirectory:
		return fails(sftp.CodePermissionDenied)
	}
	m.put(p, old.node)
	return answer{}
}

func (m *model) readlink(o *wireOp) answer {
	p, code := m.find(o.name, false)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.node.typ != sftp.TypeSymlink:
		return fails(sftp.CodeInvalidParameter)
	}
	return answer{text: p.node.text, dummy: true}
}

func (m *model) realpath(o *wireOp) answer {
	name := o.name
	if clean(name) == "" {
		return fails(sftp.CodeInvalidFilename)
	}
	control := sftp.RealPathDefault
	if m.v >= fxp.V6 {
		for _, elem := range o.compose {
			switch {
			case strings.HasPrefix(elem, "/"):
				name = elem
			case elem != "":
				name = clean(name) + "/" + elem
			}
		}
		control = max(sftp.RealPathControl(o.control), sftp.RealPathNoCheck)
	}
	if control == sftp.RealPathNoCheck {
		return answer{text: clean(name), dummy: true}
	}
	p, code := m.walk(name, true)
	switch {
	case code != sftp.CodeOK && control == sftp.RealPathStatIf && code != sftp.CodeInvalidFilename:
		return answer{text: clean(name), dummy: true}
	case code != sftp.CodeOK:
		return fails(code)
	case control == sftp.RealPathDefault || p.node == nil && control == sftp.RealPathStatIf:
		return answer{text: p.path, dummy: true}
	case p.node == nil:
		return fails(sftp.CodeNoSuchFile)
	}
	a := p.node.attrs()
	return answer{text: p.path, attrs: &a}
}

func (m *model) stat(o *wireOp) answer {
	dir := strings.HasSuffix(o.name, "/")
	p, code := m.find(o.name, !o.noFollow || dir)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case dir && p.node.typ != sftp.TypeDirectory:
		return fails(sftp.CodeNotADirectory)
	}
	a := p.node.attrs()
	return answer{attrs: &a}
}

func (m *model) fstat(o *wireOp) answer {
	a := m.files[o.slot].node.attrs()
	return answer{attrs: &a}
}

func (m *model) list(o *wireOp) answer {
	p, code := m.find(o.name, true)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case p.node.typ != sftp.TypeDirectory:
		return fails(sftp.CodeNotADirectory)
	}
	names := []string{}
	for name, n := range p.node.kids {
		a := n.attrs()
		a.dated = false
		names = append(names, name+": "+a.String(m.v))
	}
	slices.Sort(names)
	return answer{names: names}
}

// copyData copies within or between open files.
func (m *model) copyData(o *wireOp) answer {
	from, to := m.files[o.slot], m.files[o.slot2]
	switch {
	case from == to:
		return fails(sftp.CodeInvalidParameter)
	case !from.reads || !to.writes:
		return fails(sftp.CodePermissionDenied)
	}
	size := uint64(len(from.node.data))
	if o.off >= size {
		return answer{}
	}
	n := min(uint64(o.n), size-o.off)
	if o.n == 0 {
		n = size - o.off
	}
	if from.node == to.node && o.off < o.off2+n && o.off2 < o.off+n {
		return fails(sftp.CodeInvalidParameter)
	}
	if from.conflict(sftp.RangeRead, o.off, o.off+n) || to.conflict(sftp.RangeWrite, o.off2, o.off2+n) {
		return fails(sftp.CodeRangeLockConflict)
	}
	data := bytes.Clone(from.node.data[o.off : o.off+n])
	off := o.off2
	if to.appends {
		off = uint64(len(to.node.data))
	}
	to.node.store(off, data)
	return answer{}
}

// block and unblock (filexfer-13 section 8.8).
func (m *model) block(o *wireOp) answer {
	if !m.can.Has(sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory) {
		return fails(sftp.CodeOpUnsupported)
	}
	h := m.files[o.slot]
	r := mRange{off: o.off, length: uint64(o.n), start: o.off, end: o.off + uint64(o.n), mask: sftp.RangeMask(o.flags), by: h}
	if o.n == 0 {
		r.end = max(o.off, uint64(len(h.node.data)))
	}
	for _, old := range h.node.ranges {
		// A lock of nothing overlaps what it lies inside of, and its like.
		if r.start < old.end && old.start < r.end || r.start == old.start && r.end == old.end {
			return fails(sftp.CodeRangeLockRefused)
		}
	}
	if r.mask&(blockDelete|blockAdvisory) == blockDelete {
		for _, g := range m.files {
			if g != nil && g.node == h.node && g.wantsGone {
				return fails(sftp.CodeRangeLockRefused)
			}
		}
	}
	h.node.ranges = append(h.node.ranges, r)
	return answer{}
}

func (m *model) unblock(o *wireOp) answer {
	if !m.can.Has(sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory) {
		return fails(sftp.CodeOpUnsupported)
	}
	h := m.files[o.slot]
	for i, r := range h.node.ranges {
		if r.by == h && r.off == o.off && r.length == uint64(o.n) {
			h.node.ranges = slices.Delete(h.node.ranges, i, i+1)
			return answer{}
		}
	}
	return fails(sftp.CodeNoMatchingRangeLock)
}

// content is the content of a regular file, by name.
func (m *model) content(name string) (*mNode, sftp.Code) {
	if strings.HasSuffix(name, "/") && clean(name) != "" {
		return nil, sftp.CodeIsADirectory
	}
	p, code := m.find(name, true)
	if code == sftp.CodeOK && p.node.typ == sftp.TypeDirectory {
		code = sftp.CodeIsADirectory
	}
	return p.node, code
}

func (m *model) checkFile(o *wireOp) answer {
	n, code := m.content(o.name)
	if code != sftp.CodeOK {
		return fails(code)
	}
	if m.shutOut(&mHandle{node: n, reads: true}) {
		return fails(sftp.CodeLockConflict)
	}
	if n.conflict(nil, sftp.RangeRead, 0, n.size()) {
		return fails(sftp.CodeRangeLockConflict)
	}
	sum := sha256.Sum256(n.data)
	return answer{hash: sum[:]}
}

// copyFile copies a file with its mode and times.
func (m *model) copyFile(o *wireOp) answer {
	switch {
	case clean(o.name) == "" || clean(o.name2) == "":
		return fails(sftp.CodeInvalidFilename)
	case strings.HasSuffix(o.name, "/") || strings.HasSuffix(o.name2, "/"):
		return fails(sftp.CodeIsADirectory)
	}
	src, code := m.content(o.name)
	if code != sftp.CodeOK {
		return fails(code)
	}
	if p, code := m.find(o.name2, true); o.overwrite && code == sftp.CodeOK && p.node == src {
		return fails(sftp.CodeInvalidParameter)
	}
	to, code := m.walk(o.name2, o.overwrite)
	switch {
	case code != sftp.CodeOK:
		return fails(code)
	case to.node == nil:
		to.node = m.node(sftp.TypeRegular, src.perm&0o777&^m.umask)
		m.put(to, to.node)
	case !o.overwrite:
		return fails(sftp.CodeFileAlreadyExists)
	case to.node.typ == sftp.TypeDirectory:
		return fails(sftp.CodeIsADirectory)
	}
	to.node.data, to.node.mtime, to.node.dated = bytes.Clone(src.data), src.mtime, src.dated
	return answer{}
}
