// Package fstest runs the same operations on several sftp.FileSystems and compares
// their answers: the model test of osfs and memfs, open to any other back end.
package fstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// System is a file system under test.
type System struct {
	Name string
	FS   sftp.FileSystem

	handles [maxHandles]sftp.File
}

const maxHandles = 6

// Compare runs n random operations, decided by seed alone, on all systems and fails at
// the first answer that differs from the first system's, with the seed and the operations
// that led there. It returns how often each operation answered CodeOK.
func Compare(t testing.TB, seed uint64, n int, systems ...*System) map[string]int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	var history []string
	done := make(map[string]int)
	defer func() {
		for _, s := range systems {
			for i, h := range s.handles {
				if h != nil {
					_ = h.Close(nil)
					s.handles[i] = nil
				}
			}
		}
	}()
	for i := range n {
		op := newOp(r)
		history = append(history, op.String())
		if len(history) > 15 {
			history = history[1:]
		}
		want := op.run(systems[0])
		if strings.HasPrefix(want, "SSH_FX_OK") {
			done[op.verb]++
		}
		for _, s := range systems[1:] {
			if got := op.run(s); got != want {
				t.Fatalf("seed %d, operation %d: %v\n%8s: %s\n%8s: %s\nbefore it:\n  %s",
					seed, i, op, systems[0].Name, want, s.Name, got, strings.Join(history, "\n  "))
			}
		}
		if i%500 == 499 {
			want := Tree(systems[0].FS)
			for _, s := range systems[1:] {
				if got := Tree(s.FS); got != want {
					t.Fatalf("seed %d, after operation %d the trees differ\n%s:\n%s\n%s:\n%s\nbefore it:\n  %s",
						seed, i, systems[0].Name, want, s.Name, got, strings.Join(history, "\n  "))
				}
			}
		}
	}
	return done
}

// op is one operation with all its arguments drawn beforehand, so that every system gets
// the same.
type op struct {
	verb     string
	name     string
	name2    string
	handle   int
	off      int64
	data     []byte
	how      sftp.OpenHow
	attrs    sftp.Attrs
	follow   bool
	symbolic bool
	flags    sftp.RenameFlags
	control  sftp.RealPathControl
	lock     sftp.Range
}

func (o op) String() string {
	return fmt.Sprintf("%s %.40q %.40q h%d off=%d len=%d how={%#x %d %#x} attrs={%#x %o %d} follow=%t sym=%t flags=%d control=%d lock={%d %d %#x}",
		o.verb, o.name, o.name2, o.handle, o.off, len(o.data), o.how.Access, o.how.Disposition, o.how.Flags,
		o.attrs.Valid, o.attrs.Mode, o.attrs.Size, o.follow, o.symbolic, o.flags, o.control,
		o.lock.Offset, o.lock.Length, o.lock.Mask)
}

var verbs = []string{
	"open", "open", "open", "close", "close", "read", "read", "write", "write", "write", "fstat", "fsetstat", "ftruncate",
	"stat", "stat", "setstat", "mkdir", "mkdir", "mkdir", "remove", "rmdir", "rename", "rename", "link", "symlink", "symlink",
	"readlink", "realpath", "list", "copy", "lock", "lock", "unlock",
}

var elems = []string{"a", "b", "c", "d"}

// spell draws a path: few names, so that operations meet each other, often in a
// roundabout spelling.
func spell(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(4) > 0 {
		b.WriteByte('/')
	}
	for i := range 1 + r.IntN(3) {
		if i > 0 {
			b.WriteByte('/')
		}
		switch r.IntN(30) {
		case 0:
			b.WriteString("./")
		case 1:
			b.WriteString("../")
		case 2:
			b.WriteString("x/../")
		case 3:
			b.WriteByte('/')
		}
		b.WriteString(elems[r.IntN(len(elems))])
	}
	switch r.IntN(40) {
	case 0:
		b.WriteByte('/')
	case 1:
		b.WriteString("/..")
	case 2:
		b.WriteString("/" + strings.Repeat("n", 256))
	case 3:
		b.WriteString("\x00")
	case 4:
		return []string{"", "/", ".", "..", "/..", strings.Repeat("a/", 2100)}[r.IntN(6)]
	}
	return b.String()
}

// target draws the text of a symlink.
func target(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0:
		return "../" + elems[r.IntN(len(elems))]
	case 1:
		return "../../" + elems[r.IntN(len(elems))]
	case 2:
		return "/../" + elems[r.IntN(len(elems))]
	case 3:
		return []string{"", ".", "..", "/", "a/.", "./b"}[r.IntN(6)]
	case 4, 5:
		return "/" + elems[r.IntN(len(elems))]
	}
	return elems[r.IntN(len(elems))]
}

func newOp(r *rand.Rand) op {
	o := op{
		verb: verbs[r.IntN(len(verbs))], name: spell(r), name2: spell(r), handle: r.IntN(maxHandles),
		off: int64(r.IntN(5000)), follow: r.IntN(2) == 0, symbolic: r.IntN(2) == 0,
		flags: sftp.RenameFlags(r.IntN(8)), control: sftp.RealPathControl(r.IntN(4)),
	}
	if r.IntN(20) == 0 {
		o.off += int64(r.IntN(300_000))
	}
	if r.IntN(200) == 0 {
		o.off = -1 - o.off
	}
	if two := o.verb == "rename" || o.verb == "link" || o.verb == "symlink"; two && strings.Contains(o.name+o.name2, "nnn") {
		// Which of two wrong names is found first is nobody's business.
		o.name, o.name2 = "/a", "/b"
	}
	switch o.verb {
	case "open":
		o.how.Access = []sftp.Access{
			sftp.AccessReadData, sftp.AccessWriteData, sftp.AccessReadData | sftp.AccessWriteData,
			sftp.AccessReadAttrs, sftp.AccessReadData | sftp.AccessAppendData, 0,
		}[min(r.IntN(8), 5)]
		if o.how.Access == 0 && r.IntN(3) > 0 {
			o.how.Access = sftp.AccessReadData | sftp.AccessWriteData
		}
		o.how.Disposition = sftp.Disposition(r.IntN(5))
		switch r.IntN(8) {
		case 0:
			o.how.Flags = sftp.OpenAppend
		case 1:
			o.how.Flags = sftp.OpenNoFollow
		case 2:
			o.how.Flags = sftp.OpenFlags(1 << r.IntN(18))
		case 3:
			o.how.Flags = sftp.OpenFlags(r.IntN(16)) * sftp.OpenBlockRead
		case 4:
			o.how.Flags = sftp.OpenDeleteOnClose | sftp.OpenFlags(r.IntN(2))*sftp.OpenAppendAtomic
		}
		if r.IntN(3) == 0 {
			o.how.Attrs = &sftp.Attrs{}
			drawAttrs(r, o.how.Attrs)
		}
	case "write":
		o.data = make([]byte, r.IntN(3000))
		if r.IntN(20) == 0 {
			o.data = make([]byte, r.IntN(150_000))
		}
		for i := range o.data {
			o.data[i] = byte(r.Uint32())
		}
	case "read":
		o.data = make([]byte, r.IntN(3000))
	case "symlink":
		o.name2, o.symbolic = target(r), true
	case "ftruncate":
		o.attrs = sftp.Attrs{Valid: sftp.AttrSize, Size: uint64(r.IntN(6000))}
		if r.IntN(10) == 0 {
			o.attrs.Size = uint64(r.IntN(300_000))
		}
	case "setstat", "fsetstat", "mkdir":
		drawAttrs(r, &o.attrs)
	case "lock", "unlock":
		// Few ranges, so that locks meet each other and READ and WRITE.
		o.lock = sftp.Range{Offset: uint64(r.IntN(6)) * 1000, Length: uint64(r.IntN(4)) * 500, Mask: sftp.RangeMask(r.IntN(16)) * sftp.RangeRead}
		if r.IntN(2) == 0 {
			o.lock.Offset, o.lock.Length = uint64(r.IntN(2))*2000, 500
		}
		switch r.IntN(20) {
		case 0:
			o.lock.Offset = 1<<63 - uint64(r.IntN(2000))
		case 1:
			o.lock.Offset, o.lock.Length = -uint64(r.IntN(2000)), uint64(r.IntN(4000))
		case 2:
			o.lock.Mask |= 1 << r.IntN(12)
		}
	}
	return o
}

// drawAttrs draws attributes that both a mode and more can say.
func drawAttrs(r *rand.Rand, a *sftp.Attrs) {
	if r.IntN(2) == 0 {
		a.Valid |= sftp.AttrMode
		a.Mode = uint32(r.IntN(0o10000))
	}
	if r.IntN(2) == 0 {
		a.Valid |= sftp.AttrMtime
		a.Mtime = time.Unix(r.Int64N(1<<32)-1<<30, r.Int64N(1e9))
	}
	if r.IntN(3) == 0 {
		a.Valid |= sftp.AttrAtime
		a.Atime = time.Unix(int64(r.Int32()), r.Int64N(1e9))
	}
	if r.IntN(3) == 0 {
		a.Valid |= sftp.AttrSize
		a.Size = uint64(r.IntN(9000))
	}
	switch r.IntN(40) {
	case 0:
		a.Valid |= sftp.AttrACL
		a.ACL = sftp.ACLOfMode(uint32(r.IntN(0o1000)))
	case 1:
		a.Valid |= sftp.AttrOwnerGroup
		a.Owner = []string{"", strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getuid()) + "@host", "no-such-user@host"}[r.IntN(4)]
		a.Group = []string{"", strconv.Itoa(os.Getgid()), "no-such-group"}[r.IntN(3)]
	case 2:
		a.Valid |= []sftp.AttrMask{sftp.AttrLinks, sftp.AttrTextHint, sftp.AttrCtime, sftp.AttrUntranslated}[r.IntN(4)]
	}
}

// run performs the operation and returns all that must be the same everywhere.
func (o op) run(s *System) string {
	ctx := context.Background()
	fsys := s.FS
	h := s.handles[o.handle]
	switch o.verb {
	case "open":
		if h != nil {
			return "busy"
		}
		f, err := fsys.Open(ctx, o.name, &o.how)
		if err != nil {
			return code(err)
		}
		s.handles[o.handle] = f
		return code(nil) + fstat(f)
	case "mkdir":
		return code(fsys.Mkdir(ctx, o.name, &o.attrs)) + lstat(fsys, o.name)
	case "stat":
		a, err := fsys.Stat(ctx, o.name, sftp.StatOpt{Follow: o.follow})
		return code(err) + show(a)
	case "setstat":
		err := fsys.SetStat(ctx, o.name, &o.attrs, o.follow)
		a, err2 := fsys.Stat(ctx, o.name, sftp.StatOpt{Follow: o.follow})
		return code(err) + code(err2) + show(a) + times(a, o.attrs.Valid, err)
	case "remove":
		return code(fsys.Remove(ctx, o.name))
	case "rmdir":
		return code(fsys.Rmdir(ctx, o.name))
	case "rename":
		return code(fsys.Rename(ctx, o.name, o.name2, o.flags))
	case "link", "symlink":
		if o.symbolic {
			return code(fsys.Link(ctx, o.name2, o.name, true)) + lstat(fsys, o.name)
		}
		return code(fsys.Link(ctx, o.name2, o.name, false)) + lstat(fsys, o.name)
	case "readlink":
		target, err := fsys.ReadLink(ctx, o.name)
		return code(err) + target
	case "realpath":
		p, a, err := fsys.RealPath(ctx, o.name, sftp.RealPathOpt{Control: o.control})
		return code(err) + p + show(a)
	case "list":
		return list(fsys, o.name)
	}
	if h == nil {
		return "no handle"
	}
	switch o.verb {
	case "close":
		s.handles[o.handle] = nil
		return code(h.Close(nil))
	case "read":
		p := slices.Clone(o.data)
		n, err := h.ReadAt(p, o.off)
		return fmt.Sprintf("%s %d %x", code(err), n, p[:n])
	case "write":
		n, err := h.WriteAt(o.data, o.off)
		return fmt.Sprintf("%s %d", code(err), n)
	case "fstat":
		return fstat(h)
	case "fsetstat", "ftruncate":
		err := h.SetStat(ctx, &o.attrs)
		a, err2 := h.Stat(ctx, 0)
		return code(err) + code(err2) + show(a) + times(a, o.attrs.Valid, err)
	case "lock":
		return code(h.Lock(ctx, o.lock))
	case "unlock":
		return code(h.Unlock(ctx, o.lock))
	case "copy":
		src := s.handles[(o.handle+1)%maxHandles]
		if o.symbolic {
			src = h
		}
		if src == nil {
			return "no source"
		}
		n, err := sftp.CopyRange(ctx, h, o.off, src, int64(len(o.name))*7, int64(len(o.name2))*11)
		return fmt.Sprintf("%s %d", code(err), n) + fstat(h)
	}
	return "unknown " + o.verb
}

func code(err error) string { return sftp.CodeOf(err).String() + " " }

func fstat(f sftp.File) string {
	a, err := f.Stat(context.Background(), 0)
	return code(err) + show(a)
}

func lstat(fsys sftp.FileSystem, name string) string {
	a, err := fsys.Stat(context.Background(), name, sftp.StatOpt{})
	return code(err) + show(a)
}

// show writes the attributes that must agree: not the size and links of directories,
// not owners, not times.
func show(a *sftp.Attrs) string {
	if a == nil {
		return ""
	}
	if a.IsDir() {
		return fmt.Sprintf(" %o", a.Mode)
	}
	return fmt.Sprintf(" %o size=%d links=%d", a.Mode, a.Size, a.Links)
}

func times(a *sftp.Attrs, set sftp.AttrMask, err error) string {
	var out string
	if a == nil || err != nil {
		return out
	}
	if set&sftp.AttrMtime != 0 {
		out += fmt.Sprintf(" m=%d", a.Mtime.UnixNano())
	}
	// Reading a link on the way to anything touches its time of access.
	if set&sftp.AttrAtime != 0 && a.Type() != sftp.TypeSymlink {
		out += fmt.Sprintf(" a=%d", a.Atime.UnixNano())
	}
	return out
}

// list returns a directory, sorted.
func list(fsys sftp.FileSystem, name string) string {
	ctx := context.Background()
	d, err := fsys.OpenDir(ctx, name)
	if err != nil {
		return code(err)
	}
	var lines []string
	for {
		entries, err := d.Next(ctx, 3)
		for i := range entries {
			lines = append(lines, entries[i].Name+show(&entries[i].Attrs))
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				lines = append(lines, code(err))
			}
			break
		}
	}
	slices.Sort(lines)
	return code(nil) + strings.Join(lines, ";") + code(d.Close(nil))
}

// Tree returns the whole tree: names, attributes, content, link targets. It is iterative.
func Tree(fsys sftp.FileSystem) string {
	ctx := context.Background()
	var lines []string
	todo := []string{"/"}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		d, err := fsys.OpenDir(ctx, dir)
		if err != nil {
			lines = append(lines, dir+": "+code(err))
			continue
		}
		for {
			entries, err := d.Next(ctx, 0)
			for i := range entries {
				e := &entries[i]
				name := strings.TrimSuffix(dir, "/") + "/" + e.Name
				line := name + show(&e.Attrs)
				switch e.Attrs.Type() {
				case sftp.TypeDirectory:
					todo = append(todo, name)
				case sftp.TypeSymlink:
					t, err := fsys.ReadLink(ctx, name)
					line += " -> " + t + " " + code(err)
				case sftp.TypeRegular:
					line += " " + sum(fsys, name)
				default: // has neither content nor target
				}
				lines = append(lines, line)
			}
			if err != nil {
				break
			}
		}
		_ = d.Close(nil)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// sum returns a checksum of a file's content.
func sum(fsys sftp.FileSystem, name string) string {
	f, err := fsys.Open(context.Background(), name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		return code(err)
	}
	defer f.Close(nil)
	h := uint64(14695981039346656037) // FNV-1a
	var n int64
	p := make([]byte, 32<<10)
	for {
		m, err := f.ReadAt(p, n)
		for _, c := range p[:m] {
			h = (h ^ uint64(c)) * 1099511628211
		}
		n += int64(m)
		if err != nil {
			return fmt.Sprintf("%d:%x %s", n, h, code(err))
		}
	}
}
