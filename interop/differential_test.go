package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDifferential sends the same random requests of version 3 to OpenSSH's sftp-server and to ours, as the users of
// Subsystem lines start them, and compares every answer and, in the end, both directories.
func TestDifferential(t *testing.T) {
	theirs, err := findSFTPServer()
	if err != nil {
		missingPeer(t, "OpenSSH sftp-server", err)
	}
	ours, err := fairleadBinary()
	if err != nil {
		t.Fatal(err)
	}
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	seen := make(map[string]int)
	for i := range rounds {
		differential(t, rand.New(rand.NewPCG(4, uint64(i))), theirs, ours, seen) //nolint:gosec // every run sends the same
	}
	var kinds []string
	for what, n := range seen {
		kinds = append(kinds, fmt.Sprintf("%5d %s", n, what))
	}
	slices.Sort(kinds)
	slices.Reverse(kinds)
	t.Logf("%d rounds of up to %d requests:\n%s", rounds, roundRequests, strings.Join(kinds, "\n"))
}

const roundRequests = 200

// differential runs one round with empty directories.
func differential(t *testing.T, random *rand.Rand, theirs, ours string, seen map[string]int) {
	t.Helper()
	a := startRaw(t, "sftp-server", theirs, "-e", "-l", "FATAL")
	defer a.end(t)
	b := startRaw(t, "fairlead", ours, "serve", "--stdio")
	defer b.end(t)
	var said []string
	for range roundRequests {
		q := randomRequest(random, len(a.handles))
		closed := q.handle >= 0 && a.handles[q.handle] == ""
		x, y := a.answer(t, q), b.answer(t, q)
		seen[q.name]++
		said = append(said, fmt.Sprintf("%s: %.60s", q, x))
		if x == y {
			continue
		}
		if len(a.handles) > len(b.handles) { // then neither is to have it
			a.answer(t, rawRequest{typ: 4, handle: len(b.handles)})
			b.handles = append(b.handles, "")
		}
		why := knownDifference(q, closed, x, y)
		if why == "" {
			t.Errorf("%s\nsftp-server: %s\nfairlead:    %s\nafter\n%s", q, x, y, strings.Join(said, "\n"))
			return
		}
		seen["known: "+why]++
		if x == "STATUS 0" && !q.none { // from here on the directories differ
			return
		}
	}
	if x, y := treeOf(t, a.dir), treeOf(t, b.dir); x != y {
		t.Errorf("in the end sftp-server has\n%s\nfairlead has\n%s\nafter\n%s", x, y, strings.Join(said, "\n"))
	}
}

// findSFTPServer looks where distributions put it.
func findSFTPServer() (string, error) {
	for _, name := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server"} {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", errMissing
}

// A rawServer is an SFTP server at the other end of two pipes.
type rawServer struct {
	dir     string
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	handles []string // "" once closed
	id      uint32
}

// startRaw starts a server in a directory of its own, as an ordinary user, and exchanges versions.
func startRaw(t *testing.T, name, program string, args ...string) *rawServer {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "raw-") //nolint:usetesting // not where TempDir is
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{name: name, dir: filepath.Join(dir, "root")}
	if err := errors.Join(openForOthers(dir), os.Mkdir(s.dir, 0o755), giveOrdinary(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.cmd = ordinarily(exec.Command(program, append(args, "-d", s.dir)...))
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.send(t, []byte{1, 0, 0, 0, 3})
	if m := s.receive(t); len(m) < 5 || m[0] != 2 || binary.BigEndian.Uint32(m[1:]) != 3 {
		t.Fatalf("%s: % x, want VERSION 3", name, m)
	}
	return s
}

// end lets the server go.
func (s *rawServer) end(t *testing.T) {
	t.Helper()
	s.in.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	if err := os.RemoveAll(filepath.Dir(s.dir)); err != nil {
		t.Error(err)
	}
}

func (s *rawServer) send(t *testing.T, m []byte) {
	t.Helper()
	if _, err := s.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)); err != nil {
		t.Fatal(err)
	}
}

func (s *rawServer) receive(t *testing.T) []byte {
	t.Helper()
	var n [4]byte
	if _, err := io.ReadFull(s.out, n[:]); err != nil {
		t.Fatalf("the server is gone: %v", err)
	}
	m := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(s.out, m); err != nil {
		t.Fatalf("the server is gone: %v", err)
	}
	return m
}

// A rawRequest is a request but for its id and its handles, which servers choose.
type rawRequest struct {
	typ    byte
	name   string
	ext    string // with EXTENDED
	handle int    // index of the handle that comes first, or -1
	body   []byte // what follows
	told   string
	none   bool // attributes without any are in it
	paths  int
}

func (q rawRequest) String() string { return q.name + " " + q.told }

// answer sends a request and returns what came back, as text without what servers may choose. Directories are read to
// their end at once, as the entries come in any order and number.
func (s *rawServer) answer(t *testing.T, q rawRequest) string {
	t.Helper()
	s.id++
	m := binary.BigEndian.AppendUint32([]byte{q.typ}, s.id)
	if q.ext != "" {
		m = appendText(m, q.ext)
	}
	if q.handle >= 0 {
		m = appendText(m, s.handles[q.handle])
	}
	s.send(t, append(m, q.body...))
	r := &rawReader{b: s.receive(t)}
	typ := r.byte()
	if id := r.uint32(); id != s.id {
		t.Fatalf("answer to request %d, want %d", id, s.id)
	}
	switch typ {
	case 101:
		code := r.uint32()
		if q.typ == 4 && code == 0 {
			s.handles[q.handle] = ""
		}
		return fmt.Sprint("STATUS ", code)
	case 102:
		s.handles = append(s.handles, r.text())
		return "HANDLE"
	case 103:
		return fmt.Sprintf("DATA %q", r.text())
	case 104:
		var names []string
		for range r.uint32() {
			name := strings.ReplaceAll(r.text(), s.dir, "")
			r.text() // the long name
			names = append(names, name+" "+r.attrs())
		}
		if q.typ == 12 {
			for { // the rest of the directory
				s.id++
				m := binary.BigEndian.AppendUint32([]byte{12}, s.id)
				s.send(t, appendText(m, s.handles[q.handle]))
				r := &rawReader{b: s.receive(t)}
				if typ := r.byte(); typ != 104 {
					break
				}
				r.uint32()
				for range r.uint32() {
					name := r.text()
					r.text()
					names = append(names, name+" "+r.attrs())
				}
			}
			// Both find out about the directory itself by its name, which may be another's by now.
			names = slices.DeleteFunc(names, func(s string) bool { return strings.HasPrefix(s, ". ") || strings.HasPrefix(s, ".. ") })
			slices.Sort(names)
		}
		return "NAME " + strings.Join(names, ", ")
	case 105:
		return "ATTRS " + r.attrs()
	case 201:
		return "EXTENDED_REPLY"
	}
	return fmt.Sprint("type ", typ)
}

// A rawReader takes a message apart.
type rawReader struct{ b []byte }

func (r *rawReader) take(n int) []byte {
	if n > len(r.b) {
		n = len(r.b)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return append(slices.Clip(p), make([]byte, 8)...) // a cut message reads as zeros
}

func (r *rawReader) byte() byte     { return r.take(1)[0] }
func (r *rawReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *rawReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *rawReader) text() string {
	n := int(r.uint32())
	return string(r.take(n)[:n])
}

// attrs tells attributes but for what is by chance: times of today, and the size of a directory and when it was read.
func (r *rawReader) attrs() string {
	flags := r.uint32()
	var size uint64
	var b strings.Builder
	fmt.Fprintf(&b, "flags %x", flags)
	if flags&1 != 0 {
		size = r.uint64()
	}
	if flags&2 != 0 {
		fmt.Fprintf(&b, " owner %d:%d", r.uint32(), r.uint32())
	}
	dir := false
	if flags&4 != 0 {
		mode := r.uint32()
		dir = mode>>12 == 4
		fmt.Fprintf(&b, " mode %o", mode)
	}
	if flags&1 != 0 && !dir {
		fmt.Fprintf(&b, " size %d", size)
	}
	if flags&8 != 0 {
		if at := r.uint32(); at < 1_500_000_000 && !dir {
			fmt.Fprintf(&b, " atime %d", at)
		}
		if at := r.uint32(); at < 1_500_000_000 {
			fmt.Fprintf(&b, " mtime %d", at)
		}
	}
	return b.String()
}

func appendText(m []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(m, uint32(len(s))), s...)
}

// rawNames are few, so that requests meet. None goes through what may be missing and back, such as d/../b: ours
// takes that for b as it stands, by design.
var rawNames = []string{
	"a", "b", "c", "d", "d/x", "d/y", "d/e", "d/e/z", "l", "a/z", "none/z", "./a", "l/x", ".//b",
	strings.Repeat("n", 255), "ü ☃",
}

// randomRequest makes a request up; handles is how many there have been.
func randomRequest(r *rand.Rand, handles int) rawRequest {
	name := func() string { return rawNames[r.IntN(len(rawNames))] }
	short := func(s string) string {
		if len(s) > 40 {
			return fmt.Sprintf("%.10q... (%d octets)", s, len(s))
		}
		return fmt.Sprintf("%q", s)
	}
	q := rawRequest{handle: -1}
	path := func() {
		s := name()
		q.body = appendText(q.body, s)
		q.told += short(s) + " "
		q.paths++
	}
	number32 := func(n uint32) {
		q.body = binary.BigEndian.AppendUint32(q.body, n)
		q.told += fmt.Sprintf("%#x ", n)
	}
	number64 := func(n uint64) {
		q.body = binary.BigEndian.AppendUint64(q.body, n)
		q.told += fmt.Sprintf("%d ", n)
	}
	attrsOf := func(kinds ...uint32) {
		flags := kinds[r.IntN(len(kinds))]
		number32(flags)
		q.none = flags == 0
		if flags&1 != 0 {
			number64(uint64(r.IntN(5000)))
		}
		if flags&4 != 0 {
			number32([]uint32{0o644, 0o600, 0o755, 0o700, 0, 0o100644}[r.IntN(6)])
		}
		if flags&8 != 0 {
			number32(1_000_000_000 + r.Uint32N(1000))
			number32(1_000_000_000 + r.Uint32N(1000))
		}
	}
	// A size goes alone: where it is refused (a directory, a handle for reading) sftp-server still sets the rest, ours nothing.
	attrs := func() { attrsOf(0, 1, 4, 8, 12) }
	type kind struct {
		typ    byte
		name   string
		ext    string
		handle bool
		make   func()
	}
	kinds := []kind{
		{3, "OPEN", "", false, func() {
			path()
			number32([]uint32{1, 2, 3, 0x0A, 0x1A, 0x2A, 0x0E, 0x1B, 0x3B, 0, 0x12, 0x22, 6}[r.IntN(13)])
			attrsOf(0, 4) // sftp-server ignores what else there is
		}},
		{4, "CLOSE", "", true, func() {}},
		{4, "CLOSE", "", true, func() {}},
		{5, "READ", "", true, func() { number64(uint64(r.IntN(3000))); number32(uint32(r.IntN(4000))) }},
		{5, "READ", "", true, func() { number64([]uint64{0, 1 << 40, 1 << 62}[r.IntN(3)]); number32(100) }},
		{6, "WRITE", "", true, func() {
			number64(uint64(r.IntN(3000)))
			s := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(2000))
			q.body = appendText(q.body, s)
			q.told += fmt.Sprintf("%d octets", len(s))
		}},
		{7, "LSTAT", "", false, path},
		{8, "FSTAT", "", true, func() {}},
		{9, "SETSTAT", "", false, func() { path(); attrs() }},
		{10, "FSETSTAT", "", true, attrs},
		{11, "OPENDIR", "", false, path},
		{12, "READDIR", "", true, func() {}},
		{13, "REMOVE", "", false, path},
		{14, "MKDIR", "", false, func() { path(); attrsOf(0, 4) }}, // as OPEN
		{15, "RMDIR", "", false, path},
		{16, "REALPATH", "", false, path},
		{17, "STAT", "", false, path},
		{18, "RENAME", "", false, func() { path(); path() }},
		{19, "READLINK", "", false, path},
		{20, "SYMLINK", "", false, func() { path(); path() }},
		{200, "posix-rename", "posix-rename@openssh.com", false, func() { path(); path() }},
		{200, "hardlink", "hardlink@openssh.com", false, func() { path(); path() }},
		{200, "lsetstat", "lsetstat@openssh.com", false, func() { path(); attrsOf(0, 4, 8) }}, // sftp-server sets no size there
		{200, "statvfs", "statvfs@openssh.com", false, path},
		{200, "expand-path", "expand-path@openssh.com", false, path},
		{200, "unknown", "none@example.com", false, path},
		{200, "fsync", "fsync@openssh.com", true, func() {}},
		{200, "fstatvfs", "fstatvfs@openssh.com", true, func() {}},
	}
	k := kinds[r.IntN(len(kinds))]
	for k.handle && handles == 0 {
		k = kinds[r.IntN(len(kinds))]
	}
	q.typ, q.name, q.ext = k.typ, k.name, k.ext
	if k.handle {
		q.handle = max(0, handles-1-r.IntN(8)) // closed ones among them
		q.told = fmt.Sprintf("handle %d ", q.handle)
	}
	k.make()
	return q
}

// knownDifference says why two different answers are both right.
func knownDifference(q rawRequest, closed bool, theirs, ours string) string {
	both := theirs + ", " + ours
	refused := strings.HasPrefix(theirs, "STATUS") && strings.HasPrefix(ours, "STATUS") && theirs != "STATUS 0" && ours != "STATUS 0"
	switch {
	case closed && both == "STATUS 2, STATUS 4":
		return "sftp-server calls a handle that is not open NO_SUCH_FILE"
	case q.typ == 3 && both == "HANDLE, STATUS 4":
		return "sftp-server opens directories for reading"
	case q.none && theirs == "STATUS 0":
		return "sftp-server does not look for the file when no attribute is to be set"
	case q.ext == "fsync@openssh.com" && both == "STATUS 2, STATUS 4":
		return "sftp-server calls it NO_SUCH_FILE that a handle is a directory's"
	case (q.typ == 5 || q.typ == 6) && both == "STATUS 2, STATUS 3":
		return "sftp-server calls it NO_SUCH_FILE that a handle is not for reading or writing"
	case q.typ == 12 && theirs == "STATUS 1" && strings.HasPrefix(ours, "NAME "):
		return "sftp-server lists by path: nothing of a directory that is gone or elsewhere, no names that it cannot stat"
	case q.typ == 18 && both == "STATUS 0, STATUS 4":
		return "sftp-server renames over a link that leads nowhere"
	case q.ext == "lsetstat@openssh.com" && both == "STATUS 4, STATUS 8":
		return "sftp-server calls it FAILURE that links have no modes"
	case q.paths == 2 && refused:
		return "of two paths that are both wrong each server tells another"
	}
	return ""
}

// treeOf tells the names, modes and contents below dir.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		short, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&b, "%.40s %v", short, info.Mode())
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", data)
		case info.Mode().Type() == os.ModeSymlink:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %s", to)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
