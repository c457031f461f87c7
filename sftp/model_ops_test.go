package sftp_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// setAttrs are attributes to be set.
type setAttrs struct {
	setSize, setPerm, setMtime, setOwner bool
	size                                 uint64
	perm                                 uint32
	mtime                                time.Time
	uid, gid                             uint32
}

func (s setAttrs) wire(v fxp.Version) fxp.Attrs {
	a := fxp.Attrs{V: v}
	if s.setSize {
		a.Flags |= fxp.AttrSize
		a.Size = s.size
	}
	if s.setPerm {
		a.Flags |= fxp.AttrPermissions
		a.Permissions = s.perm
	}
	if s.setMtime {
		a.Mtime = fxp.Time{Sec: s.mtime.Unix(), Nsec: uint32(s.mtime.Nanosecond())}
		if v < fxp.V4 {
			a.Flags |= fxp.AttrACModTime
		} else {
			a.Flags |= fxp.AttrModifyTime | fxp.AttrSubsecond
		}
	}
	if s.setOwner {
		a.Flags |= fxp.AttrUIDGID // from version 4 on as text
		a.UID, a.GID = s.uid, s.gid
	}
	return a
}

// wireOp is one operation with all that is said in it drawn beforehand, so that any part of
// a run can be run again without the rest.
type wireOp struct {
	verb          string
	name, name2   string
	text          string // symlink
	slot, slot2   int    // of open files
	off, off2     uint64
	n             uint32
	data          []byte
	access, flags uint32
	attrs         setAttrs
	noFollow      bool
	overwrite     bool
	control       byte
	compose       []string
}

func (o wireOp) String() string {
	s := fmt.Sprintf("%s %.40q %.40q %q h%d h%d off=%d,%d n=%d data=%d access=%#x flags=%#x nofollow=%t overwrite=%t control=%d compose=%q",
		o.verb, o.name, o.name2, o.text, o.slot, o.slot2, o.off, o.off2, o.n, len(o.data), o.access, o.flags, o.noFollow, o.overwrite, o.control, o.compose)
	if a := o.attrs; a.setSize || a.setPerm || a.setMtime || a.setOwner {
		s += fmt.Sprintf(" attrs=%+v", a)
	}
	return s
}

// modelVerbs are as frequent as they stand here.
var modelVerbs = []string{
	"open", "open", "open", "open", "open", "open", "close", "close", "read", "read", "read", "write", "write", "write", "fstat", "fstat", "fsetstat",
	"fsetstat", "stat", "stat", "setstat", "setstat", "mkdir", "mkdir", "mkdir", "mkdir", "remove", "remove", "rmdir", "rename", "rename", "posixrename",
	"hardlink", "hardlink", "symlink", "symlink", "readlink", "readlink", "realpath", "list", "copydata", "copydata", "copyfile", "hash", "block", "block", "unblock", "unblock",
}

// The elements of names: few, so that operations meet each other. Most directories are
// called by the first two, and most of the rest by the others, or else nearly every
// operation would stop at a file where there should be a directory.
var modelElems = []string{"a", "b", "c", "d", "e"}

const modelDirs = 2

func elem(r *rand.Rand, dir bool) string {
	switch {
	case r.IntN(8) == 0:
		return modelElems[r.IntN(len(modelElems))]
	case dir:
		return modelElems[r.IntN(modelDirs)]
	}
	return modelElems[modelDirs+r.IntN(len(modelElems)-modelDirs)]
}

// spell draws a name, of a directory or something else in all probability, often spelt in a
// roundabout way.
func spell(r *rand.Rand, dir bool) string {
	var b strings.Builder
	if r.IntN(4) > 0 {
		b.WriteByte('/')
	}
	depth := 1 + r.IntN(4)/2 + r.IntN(5)/4 // 1 to 3, seldom the most
	for i := range depth {
		if i > 0 {
			b.WriteByte('/')
		}
		switch r.IntN(40) {
		case 0:
			b.WriteString("./")
		case 1:
			b.WriteString("../")
		case 2:
			b.WriteString("x/../")
		case 3:
			b.WriteByte('/')
		}
		b.WriteString(elem(r, dir || i < depth-1))
	}
	switch r.IntN(60) {
	case 0:
		b.WriteString("/..")
	case 1:
		b.WriteString("/" + strings.Repeat("n", 256))
	case 2:
		b.WriteString("\x00")
	case 3:
		return []string{"", "/", ".", "..", "/..", strings.Repeat("a/", 2100)}[r.IntN(6)]
	}
	return b.String()
}

func linkText(r *rand.Rand) string {
	to := elem(r, r.IntN(3) == 0)
	switch r.IntN(8) {
	case 0:
		return "../" + to
	case 1:
		return "../../" + to
	case 2:
		return "/../" + to
	case 3:
		return []string{"", ".", "..", "/", "a/.", "./b"}[r.IntN(6)]
	case 4, 5:
		return "/" + to
	}
	return to
}

// drawOps draws n operations for version v.
func drawOps(seed uint64, v fxp.Version, n int) []wireOp {
	r := rand.New(rand.NewPCG(seed, uint64(v)))
	ops := make([]wireOp, n)
	locked := 0 // the last operation that locks, if any
	for i := range ops {
		o := drawOp(r, v)
		switch before := &ops[locked]; {
		case o.verb == "block":
			locked = i
		case o.verb == "unblock" && before.verb == "block" && r.IntN(2) == 0:
			o.slot, o.off, o.n = before.slot, before.off, before.n // by chance alone it would seldom be a lock that there is
		}
		ops[i] = o
	}
	return ops
}

func drawOp(r *rand.Rand, v fxp.Version) wireOp {
	verb := modelVerbs[r.IntN(len(modelVerbs))]
	for v < fxp.V6 && (verb == "block" || verb == "unblock") {
		verb = modelVerbs[r.IntN(len(modelVerbs))]
	}
	dir := verb == "mkdir" || verb == "rmdir" || verb == "list" || r.IntN(6) == 0 && verb != "open"
	o := wireOp{
		verb: verb, name: spell(r, dir), name2: spell(r, dir), slot: r.IntN(mFiles), slot2: r.IntN(mFiles),
		off: uint64(r.IntN(5000)), off2: uint64(r.IntN(5000)), noFollow: r.IntN(3) == 0, overwrite: r.IntN(2) == 0,
	}
	if strings.Contains(o.name+o.name2, "nnn") || len(o.name)+len(o.name2) > 4000 || strings.Contains(o.name+o.name2, "\x00") {
		o.name2 = "/b" // which of two wrong names is found first is nobody's business
		if o.verb == "rename" || o.verb == "posixrename" || o.verb == "hardlink" || o.verb == "copyfile" {
			o.name = "/a"
		}
	}
	switch o.verb {
	case "open":
		drawOpen(r, v, &o)
	case "read":
		o.n, o.off = uint32(r.IntN(4000)), uint64(r.IntN(2000))
		if r.IntN(50) == 0 {
			o.n, o.off = 1<<32-1, 0
		}
		o.off = oddOffset(r, o.off)
	case "write":
		o.data = make([]byte, r.IntN(3000))
		if r.IntN(30) == 0 {
			o.data = make([]byte, r.IntN(150_000))
		}
		fill := byte(r.IntN(256))
		for i := range o.data {
			o.data[i] = fill + byte(i>>4)
		}
		o.off = oddOffset(r, o.off)
	case "stat":
		if r.IntN(15) == 0 && o.name != "" {
			o.name += "/"
		}
	case "symlink":
		o.text = linkText(r)
	case "fsetstat", "setstat", "mkdir":
		o.attrs = drawAttrs(r, v)
		if o.verb == "mkdir" {
			o.attrs.setSize, o.attrs.setMtime, o.attrs.setOwner = false, false, false
		}
	case "rename":
		if v >= fxp.V5 {
			o.flags = uint32(r.IntN(8))
		}
	case "realpath":
		o.control = byte(r.IntN(4))
		for o.control > 0 && r.IntN(3) == 0 {
			o.compose = append(o.compose, []string{"a", "..", "", "/b", "b/c", "../../a"}[r.IntN(6)])
		}
	case "copydata":
		o.n = uint32(r.IntN(3000))
	case "block", "unblock":
		o.off, o.n = uint64(r.IntN(4)*300), uint32(r.IntN(3)*200)
		o.flags = []uint32{0x40, 0x80, 0xC0, 0x100, 0x1C0, 0x240, 0x280, 0x2C0}[r.IntN(8)]
	}
	return o
}

// oddOffset is now and then one far out.
func oddOffset(r *rand.Rand, off uint64) uint64 {
	switch r.IntN(100) {
	case 0:
		return off + 1<<63
	case 1, 2, 3:
		return off + uint64(r.IntN(200_000))
	}
	return off
}

func drawOpen(r *rand.Rand, v fxp.Version, o *wireOp) {
	if r.IntN(40) == 0 && o.name != "" {
		o.name += "/"
	}
	if r.IntN(3) == 0 {
		o.attrs.setPerm, o.attrs.perm = true, drawPerm(r)
	}
	switch plain := r.IntN(2) == 0; {
	case plain && v < fxp.V5:
		o.flags = fxp.OpenRead | fxp.OpenWrite | fxp.OpenCreate
		return
	case plain:
		o.access, o.flags = 0x183, 3
		return
	}
	if v < fxp.V5 {
		o.flags = uint32(r.IntN(64))
		if r.IntN(3) > 0 {
			o.flags |= fxp.OpenRead | fxp.OpenWrite
		}
		return
	}
	o.access = []uint32{0x81, 0x102, 0x183, 0x183, 0x183, 0x80, 0x20, 0x87, 0, 1<<32 - 1}[r.IntN(10)]
	o.flags = uint32(r.IntN(5))
	if r.IntN(6) == 0 {
		o.flags |= uint32(1+r.IntN(7)) << 6
		if v >= fxp.V6 && r.IntN(3) == 0 {
			o.flags |= blockAdvisory
		}
	}
	switch r.IntN(12) {
	case 0:
		o.flags = 5 + uint32(r.IntN(3))
	case 1:
		o.flags |= 0x08
	case 2:
		o.flags |= 0x10
	case 3:
		if v >= fxp.V6 {
			o.flags |= 0x400
		}
	case 4:
		// Elsewhere what was opened is not found again once it was moved.
		if v >= fxp.V6 && runtime.GOOS == "linux" {
			o.flags |= 0x800
		}
	}
}

// drawPerm keeps what the tree needs to be walked by who is not root.
func drawPerm(r *rand.Rand) uint32 {
	perm := uint32(r.IntN(0o10000))
	if os.Getuid() != 0 {
		perm |= 0o700
	}
	return perm
}

func drawAttrs(r *rand.Rand, v fxp.Version) (s setAttrs) {
	if r.IntN(2) == 0 {
		s.setPerm, s.perm = true, drawPerm(r)
	}
	if r.IntN(2) == 0 {
		s.setMtime, s.mtime = true, time.Unix(r.Int64N(1<<31), int64(r.IntN(1e9)))
		if v >= fxp.V4 && r.IntN(4) == 0 {
			s.mtime = s.mtime.AddDate(-60, 0, 0) // before 1970
		}
	}
	if r.IntN(3) == 0 {
		s.setSize, s.size = true, uint64(r.IntN(9000))
		if r.IntN(20) == 0 {
			s.size = uint64(r.IntN(300_000))
		}
	}
	if os.Getuid() == 0 && r.IntN(8) == 0 {
		// The user stays: hosts have rules of their own about the links of others.
		s.setOwner, s.uid, s.gid = true, uint32(os.Getuid()), uint32(r.IntN(3)*100)
	}
	return s
}

// onHandle are the operations about open files.
func (o *wireOp) onHandle() bool {
	switch o.verb {
	case "close", "read", "write", "fstat", "fsetstat", "copydata", "block", "unblock":
		return true
	}
	return false
}

// handle returns the id of an open file, or one that nobody gave out.
func (m *model) handle(slot int) []byte {
	if h := m.files[slot]; h != nil {
		return h.id
	}
	return []byte("bad")
}

func extMessage(op fxp.Op, data wire.Layouter) fxp.Message {
	return &fxp.Extended{Name: op.Row().Extension, Data: wire.Append(nil, data)}
}

// message is the request that o is in version v.
func (m *model) message(o *wireOp) fxp.Message {
	v, h := m.v, m.handle(o.slot)
	switch o.verb {
	case "open":
		return &fxp.Open{Path: o.name, Access: o.access, Flags: o.flags, Attrs: o.attrs.wire(v)}
	case "close":
		return &fxp.Handle{T: fxp.TypeClose, Handle: h}
	case "read":
		return &fxp.Read{Handle: h, Offset: o.off, Length: o.n}
	case "write":
		return &fxp.Write{Handle: h, Offset: o.off, Data: o.data}
	case "fstat":
		return &fxp.Fstat{V: v, Handle: h, Want: fxp.AttrMask(v)}
	case "fsetstat":
		return &fxp.Fsetstat{Handle: h, Attrs: o.attrs.wire(v)}
	case "stat":
		t := fxp.TypeStat
		if o.noFollow {
			t = fxp.TypeLstat
		}
		return &fxp.Stat{V: v, T: t, Path: o.name, Want: fxp.AttrMask(v)}
	case "setstat":
		if o.noFollow {
			return extMessage(fxp.OpLsetstat, &fxp.ExtSetstat{Path: o.name, Attrs: o.attrs.wire(v)})
		}
		return &fxp.PathAttrs{T: fxp.TypeSetstat, Path: o.name, Attrs: o.attrs.wire(v)}
	case "mkdir":
		return &fxp.PathAttrs{T: fxp.TypeMkdir, Path: o.name, Attrs: o.attrs.wire(v)}
	case "remove":
		return &fxp.Path{T: fxp.TypeRemove, Path: o.name}
	case "rmdir":
		return &fxp.Path{T: fxp.TypeRmdir, Path: o.name}
	case "rename":
		return &fxp.Rename{V: v, Old: o.name, New: o.name2, Flags: o.flags}
	case "posixrename":
		return extMessage(fxp.OpPosixRename, &fxp.ExtPaths{Old: o.name, New: o.name2})
	case "hardlink":
		if v >= fxp.V6 && o.overwrite {
			return &fxp.Link{New: o.name2, Target: o.name}
		}
		return extMessage(fxp.OpHardlink, &fxp.ExtPaths{Old: o.name, New: o.name2})
	case "symlink":
		if v >= fxp.V6 && o.overwrite {
			return &fxp.Link{New: o.name, Target: o.text, Symbolic: true}
		}
		return &fxp.TwoPaths{T: fxp.TypeSymlink, First: o.text, Second: o.name}
	case "readlink":
		return &fxp.Path{T: fxp.TypeReadlink, Path: o.name}
	case "realpath":
		return &fxp.Realpath{V: v, Path: o.name, Control: o.control, Compose: o.compose}
	case "list":
		return &fxp.Path{T: fxp.TypeOpendir, Path: o.name}
	case "copydata":
		return extMessage(fxp.OpCopyData, &fxp.ExtCopyData{From: h, FromOffset: o.off, Length: uint64(o.n), To: m.handle(o.slot2), ToOffset: o.off2})
	case "copyfile":
		return extMessage(fxp.OpCopyFile, &fxp.ExtCopyFile{From: o.name, To: o.name2, Overwrite: o.overwrite})
	case "hash":
		return extMessage(fxp.OpCheckFileName, &fxp.ExtCheckName{Path: o.name, HashRange: fxp.HashRange{Algorithms: []string{"sha256"}}})
	case "block":
		return &fxp.Block{Handle: h, Offset: o.off, Length: uint64(o.n), Mask: o.flags}
	case "unblock":
		return &fxp.Unblock{Handle: h, Offset: o.off, Length: uint64(o.n)}
	}
	return nil
}

// skips are operations whose outcome is at liberty: a copy that fails half way.
func (m *model) skips(o *wireOp) bool {
	locked := func(name string) bool {
		p, code := m.walk(name, true)
		if code != sftp.CodeOK || p.node == nil {
			return false
		}
		return len(p.node.ranges) > 0 || slices.ContainsFunc(m.files[:], func(h *mHandle) bool { return h != nil && h.node == p.node && h.block != 0 })
	}
	return o.verb == "copyfile" && (locked(o.name) || locked(o.name2))
}

// answer is what the server is to say to o, which is then done in the model.
func (m *model) answer(o *wireOp) answer {
	if o.onHandle() && (m.files[o.slot] == nil || o.verb == "copydata" && m.files[o.slot2] == nil) {
		return fails(sftp.CodeInvalidHandle)
	}
	switch o.verb {
	case "open":
		return m.open(o)
	case "close":
		return m.close(o)
	case "read":
		return m.read(o)
	case "write":
		return m.write(o)
	case "fstat":
		return m.fstat(o)
	case "fsetstat":
		h := m.files[o.slot]
		return fails(m.change(h.node, o.attrs, h.writes, h))
	case "stat":
		return m.stat(o)
	case "setstat":
		return m.setstat(o)
	case "mkdir":
		return m.mkdir(o)
	case "remove":
		return m.remove(o)
	case "rmdir":
		return m.rmdir(o)
	case "rename":
		return m.rename(o, o.flags != 0)
	case "posixrename":
		return m.rename(o, true)
	case "hardlink":
		return m.hardlink(o)
	case "symlink":
		return m.symlink(o)
	case "readlink":
		return m.readlink(o)
	case "realpath":
		return m.realpath(o)
	case "list":
		return m.list(o)
	case "copydata":
		return m.copyData(o)
	case "copyfile":
		return m.copyFile(o)
	case "hash":
		return m.checkFile(o)
	case "block":
		return m.block(o)
	case "unblock":
		return m.unblock(o)
	}
	panic("no such operation")
}
