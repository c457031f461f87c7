package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// knownHostFor starts a host that a fresh home directory knows.
func knownHostFor(t *testing.T, fsys sftp.FileSystem) *host {
	t.Helper()
	sshDir(t)
	h := newHost(t, fsys, nil)
	h.know(t, h.key.PublicKey())
	return h
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// ok runs a command that must succeed.
func (h *host) ok(t *testing.T, args ...string) ran {
	t.Helper()
	r := command(t, as(secret), h.on(args...)...)
	if r.status != statusOK {
		t.Fatalf("%q: %+v", args, r)
	}
	return r
}

// no runs a command that must fail with a status and a line.
func (h *host) no(t *testing.T, status int, say string, args ...string) {
	t.Helper()
	r := command(t, as(secret), h.on(args...)...)
	if r.status != status || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "fairlead: ") || !strings.Contains(r.stderr, say) {
		t.Errorf("%q: %+v, want status %d and %q", args, r, status, say)
	}
}

func TestGet(t *testing.T) {
	h := knownHostFor(t, nil)
	h.write(t, "/one", "first")
	h.write(t, "/two", "second")
	h.mkdir(t, "/dir")
	h.write(t, "/dir/three", "third")
	at := func(p string) string { return "127.0.0.1:" + p }
	if err := os.Mkdir("there", 0o755); err != nil {
		t.Fatal(err)
	}

	r := h.ok(t, "get", at("/one"))
	if readFile(t, "one") != "first" || r.stdout != "" || !strings.HasPrefix(r.stderr, "/one: 5 B in ") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	h.ok(t, "get", at("/one"), "there/as")
	h.ok(t, "get", at("/one"), at("/two"), "there")
	if readFile(t, "there/as")+readFile(t, "there/one")+readFile(t, "there/two") != "firstfirstsecond" {
		t.Error("content")
	}
	h.ok(t, "get", at("/one"), "there/")
	if r := h.ok(t, "get", "-q", at("/one"), at("/two"), "-"); r.stdout != "firstsecond" || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	if r := h.ok(t, "get", "-r", at("/dir")); readFile(t, "dir/three") != "third" || !strings.Contains(r.stderr, "1 files and ") {
		t.Errorf("%+v", r)
	}
	h.ok(t, "get", "-r", at("/dir"), "new")
	h.ok(t, "get", "-r", at("/dir/"), "there")
	if readFile(t, "new/three")+readFile(t, "there/dir/three") != "thirdthird" {
		t.Error("content of a tree")
	}
	if err := os.Mkdir("all", 0o755); err != nil {
		t.Fatal(err)
	}
	h.ok(t, "get", at("/*o*"), "all")
	if readFile(t, "all/one")+readFile(t, "all/two") != "firstsecond" {
		t.Error("content by wildcard")
	}
	if r := h.ok(t, "get", "-n", "-r", at("/dir"), "dry"); !strings.Contains(r.stdout, "get three\n") {
		t.Errorf("%+v", r)
	}
	if r := h.ok(t, "get", "-n", at("/one"), "dry"); r.stdout != "get /one\n" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat("dry"); err == nil {
		t.Error("a dry run made something")
	}

	h.no(t, statusFailed, "-r gets it", "get", at("/dir"))
	h.no(t, statusFailed, "/dir: is a directory, and standard output takes files", "get", "-r", at("/dir"), "-")
	h.no(t, statusUsage, "write 127.0.0.1: for the host, or host:127.0.0.1", "ls", "127.0.0.1")
	h.no(t, statusFailed, "no such file", "get", at("/none"))
	h.no(t, statusFailed, "nothing there matches", "get", at("/none*"))
	h.no(t, statusUsage, "no directory", "get", at("/one"), at("/two"), "one")
	h.no(t, statusUsage, "there is no such directory", "get", at("/one"), at("/two"), "nowhere")
	h.no(t, statusUsage, "there is no such directory", "get", at("/one"), "nowhere/")
	h.no(t, statusUsage, "names no host", "get", "one", at("/two"))
	h.no(t, statusUsage, "nothing to get", "get")
	h.no(t, statusFailed, "exist", "get", "--if-exists=fail", at("/one"), "one")
	h.no(t, statusUsage, "if-exists", "get", "--if-exists=maybe", at("/one"))
	h.write(t, "/one", "changed")
	if r := h.ok(t, "get", "--if-exists", "skip", at("/one")); readFile(t, "one") != "first" || !strings.Contains(r.stderr, "left out") {
		t.Errorf("%+v", r)
	}
	// What fails does not keep the others.
	r = command(t, as(secret), h.on("get", at("/none"), at("/one"), "there")...)
	if r.status != statusFailed || readFile(t, "there/one") != "changed" {
		t.Errorf("%+v", r)
	}
}

// TestLimit: get and put take the time that a limit makes them take, and a limit that is no rate is told.
func TestLimit(t *testing.T) {
	h := knownHostFor(t, nil)
	text := strings.Repeat("x", 300<<10)
	h.write(t, "/f", text)
	if err := os.WriteFile("g", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get", "--limit", "250k", "127.0.0.1:/f", "f"}, {"put", "-l300k", "g", "127.0.0.1:/g"}} {
		began := time.Now()
		h.ok(t, args...)
		if d := time.Since(began); d < 900*time.Millisecond { // more is possible, on a busy machine
			t.Errorf("%q in %v", args, d)
		}
	}
	if readFile(t, "f") != text {
		t.Error("content")
	}
	for _, rate := range []string{"0", "-1", "fast", "1.5M"} {
		h.no(t, statusUsage, "a second", "get", "--limit="+rate, "127.0.0.1:/f")
	}
}

func TestPut(t *testing.T) {
	h := knownHostFor(t, nil)
	h.mkdir(t, "/dir")
	writeFile(t, "one", "first", 0o600)
	writeFile(t, "two", "second", 0o600)
	if err := os.MkdirAll("tree/in", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "tree/in/three", "third", 0o600)
	at := func(p string) string { return "127.0.0.1:" + p }

	if r := h.ok(t, "put", "one", at("")); h.read(t, "/one") != "first" || !strings.HasPrefix(r.stderr, "one: 5 B in ") {
		t.Errorf("%+v", r)
	}
	h.ok(t, "put", "one", at("/as"))
	h.ok(t, "put", "one", "two", at("/dir"))
	h.ok(t, "put", "-r", "tree", at("/dir"))
	h.ok(t, "put", "-r", "tree/", at("/new"))
	for name, want := range map[string]string{
		"/as": "first", "/dir/one": "first", "/dir/two": "second", "/dir/tree/in/three": "third", "/new/in/three": "third",
	} {
		if got := h.read(t, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	r := commandWith(t, as(secret), strings.NewReader("from a pipe"), nil, h.on("put", "-", at("/pipe"))...)
	if r.status != statusOK || h.read(t, "/pipe") != "from a pipe" {
		t.Errorf("%+v", r)
	}
	if r := h.ok(t, "put", "--verify", "two", at("/as")); h.read(t, "/as") != "second" || !strings.Contains(r.stderr, "verified by ") {
		t.Errorf("%+v", r)
	}
	h.no(t, statusFailed, "-r puts it", "put", "tree", at(""))
	h.no(t, statusFailed, "fairlead: none: ", "put", "none", at("")) // and the host's words
	h.no(t, statusFailed, "no such directory", "put", "one", "two", at("/nowhere"))
	h.no(t, statusFailed, "no directory", "put", "one", "two", at("/as"))
	h.no(t, statusFailed, "no such directory", "put", "one", at("/nowhere/"))
	h.no(t, statusUsage, "names no host", "put", "one", "two")
	h.no(t, statusUsage, "what, and where to", "put", "one")
	h.no(t, statusUsage, "is on a host", "put", at("one"), at("two"))
	h.no(t, statusUsage, "goes alone", "put", "-", "one", at(""))
}

func TestPreserve(t *testing.T) {
	h := knownHostFor(t, nil)
	h.write(t, "/old", "x")
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	h.setTime(t, "/old", when)
	h.ok(t, "get", "-p", "127.0.0.1:/old")
	info, err := os.Stat("old")
	if err != nil || !info.ModTime().Equal(when) {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
	h.ok(t, "put", "-p", "old", "127.0.0.1:/back")
	if a, err := h.fs.Stat(t.Context(), "/back", sftp.StatOpt{}); err != nil || !a.Mtime.Equal(when) {
		t.Errorf("%v, %v", a, err)
	}
}

// TestVersions: each version that is asked for is spoken.
func TestVersions(t *testing.T) {
	h := knownHostFor(t, nil)
	h.write(t, "/one", "first")
	for _, v := range []string{"3", "4", "5", "6"} {
		if r := h.ok(t, "get", "-q", "--sftp-version", v, "127.0.0.1:/one", "-"); r.stdout != "first" {
			t.Errorf("version %s: %+v", v, r)
		}
	}
}

// interrupted is a file system that tells when a file is read or written beyond a point,
// and does not go on from there until it may.
type interrupted struct {
	sftp.FileSystem
	at   int64
	once sync.Once
	hit  func()
	gate chan struct{}
}

func (f *interrupted) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	file, err := f.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return &interruptedFile{file, f}, nil
}

type interruptedFile struct {
	sftp.File
	f *interrupted
}

func (f *interruptedFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.f.at {
		f.f.once.Do(f.f.hit)
		<-f.f.gate
	}
	return f.File.ReadAt(p, off)
}

// TestInterruptAndResume: Ctrl-C leaves what has come, says so, and the same command goes
// on there.
func TestInterruptAndResume(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	signals := make(chan os.Signal, 1)
	slow := &interrupted{FileSystem: tree, at: 3 << 20, gate: make(chan struct{}), hit: func() { signals <- os.Interrupt }}
	h := knownHostFor(t, slow)
	content := strings.Repeat("0123456789abcdef", 4<<20/16)
	h.fs = tree
	h.write(t, "/big", content)
	h.fs = slow

	r := commandWith(t, as(secret), nil, signals, h.on("get", "127.0.0.1:/big")...)
	close(slow.gate)
	if r.status != 128+int(syscall.SIGINT) || r.stderr != "fairlead: stopped; the same command goes on where this one was\n" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat("big"); err == nil {
		t.Error("half a file in the place of a whole one")
	}
	part, err := os.Stat("big.filepart")
	if err != nil || part.Size() == 0 {
		t.Fatalf("%v, %v", part, err)
	}
	r = h.ok(t, "get", "127.0.0.1:/big")
	if readFile(t, "big") != content || !strings.Contains(r.stderr, "were there") {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat("big.filepart"); err == nil {
		t.Error("the part is still there")
	}
}

// TestInterruptedTree: a tree that became its target would go into that the next time, so
// the command that is told to go on says what is in the tree.
func TestInterruptedTree(t *testing.T) {
	for _, c := range []struct{ args, again, text string }{
		{"-r 127.0.0.1:/d new", "-r 127.0.0.1:/d/. new", "the same command with /d/. for /d goes on where this one was"},
		{"-r 127.0.0.1:/d/. new", "-r 127.0.0.1:/d/. new", "the same command goes on where this one was"},
		{"-r 127.0.0.1:/d/. .", "-r 127.0.0.1:/d/. .", "the same command goes on where this one was"},
	} {
		tree := memfs.New(memfs.Options{})
		signals := make(chan os.Signal, 1)
		slow := &interrupted{FileSystem: tree, at: 3 << 20, gate: make(chan struct{}), hit: func() { signals <- os.Interrupt }}
		h := knownHostFor(t, slow)
		content := strings.Repeat("0123456789abcdef", 4<<20/16)
		h.fs = tree
		h.mkdir(t, "/d")
		h.write(t, "/d/big", content)
		h.fs = slow

		r := commandWith(t, as(secret), nil, signals, h.on(append([]string{"get"}, strings.Fields(c.args)...)...)...)
		close(slow.gate)
		if r.status != 128+int(syscall.SIGINT) || !strings.HasSuffix(r.stderr, "fairlead: stopped; "+c.text+"\n") {
			t.Errorf("%s: %+v", c.args, r)
		}
		h.ok(t, append([]string{"get"}, strings.Fields(c.again)...)...)
		dir := c.again[strings.LastIndexByte(c.again, ' ')+1:]
		if readFile(t, filepath.Join(dir, "big")) != content {
			t.Errorf("%s: not what it should be", c.args)
		}
		for _, name := range []string{"d", "big.filepart"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s: %s is there", c.args, name)
			}
		}
	}
}

// TestCVE_9_2_NamesArePlain: what a server calls its files does nothing to a terminal, in
// listings, progress and errors.
func TestCVE_9_2_NamesArePlain(t *testing.T) {
	h := knownHostFor(t, nil)
	bad := "a\x1b[2Jb\nc\u202ed\x7f\u009b"
	h.write(t, "/"+bad, "x")
	h.mkdir(t, "/dir")
	h.write(t, "/dir/"+bad, "y")
	for _, args := range [][]string{
		{"ls", "127.0.0.1:/"},
		{"ls", "-l", "127.0.0.1:/"},
		{"ls", "--json", "127.0.0.1:/"},
		{"ls", "127.0.0.1:/" + bad},
		{"get", "-v", "127.0.0.1:/" + bad, "here"},
		{"get", "-rn", "127.0.0.1:/dir", "dry"},
		{"get", "127.0.0.1:/" + bad + "none"},
		{"put", "here", "127.0.0.1:/none/" + bad},
	} {
		r := command(t, as(secret), h.on(args...)...)
		if strings.ContainsAny(r.stdout+r.stderr, "\x1b\u202e\x7f\u009b") || strings.Contains(r.stdout+r.stderr, "b\nc") {
			t.Errorf("%q: %+v", args, r)
		}
		if !strings.Contains(r.stdout+r.stderr, "[2Jb") {
			t.Errorf("%q: %+v names nothing", args, r)
		}
	}
	var b bytes.Buffer
	d := newDisplay(&b, false, false)
	d.update(sftp.Progress{Name: bad, Time: lineEvery, Total: -1})
	if strings.ContainsAny(b.String(), "\x1b\u202e\x7f\u009b") || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("progress %q", b.String())
	}
}

// TestCVE_8_10_GlobbedNamesStayHere: the name of a match, which the server chose, is one
// name and no path.
func TestCVE_8_10_GlobbedNamesStayHere(t *testing.T) {
	for name, good := range map[string]bool{"a": true, "a b": true, ".a": true, "": false, ".": true, "..": false, "a/b": false, "/a": false, "a\x00": false, "../a": false} {
		if why := noLocalName(name); (why == "") != good {
			t.Errorf("%q: %q", name, why)
		}
	}
	if os.PathSeparator == '\\' {
		for _, name := range []string{`a\b`, `C:x`, `NUL`, `..\a`} {
			if noLocalName(name) == "" {
				t.Errorf("%q", name)
			}
		}
	}
	_ = filepath.Separator
}

// endless is a file system whose directory has names without end.
type endless struct{ sftp.FileSystem }

func (f endless) OpenDir(context.Context, string) (sftp.Dir, error) { return &endlessDir{}, nil }

type endlessDir struct{ n int }

func (d *endlessDir) Next(ctx context.Context, n int) (list []sftp.Entry, err error) {
	for range n {
		d.n++
		list = append(list, sftp.Entry{Name: fmt.Sprintf("f%d", d.n)})
	}
	return list, ctx.Err()
}

func (d *endlessDir) Close(error) error { return nil }

// A host that lists without end does not fill the memory of who sorts the names, or of who
// looks for those that match.
func TestEndlessListing(t *testing.T) {
	h := knownHostFor(t, endless{memfs.New(memfs.Options{})})
	for _, args := range [][]string{{"ls", "127.0.0.1:/"}, {"ls", "-l", "127.0.0.1:/"}, {"ls", "127.0.0.1:/*"}, {"get", "127.0.0.1:/f*", t.TempDir()}} {
		r := (&process{room: 1 << 16}).test(t, as(secret), h.on(args...)...)
		if r.status != 1 || !strings.Contains(r.stderr, "more names than can be kept") {
			t.Errorf("%q: status %d, %.300q", args, r.status, r.stderr)
		}
	}
}

func TestList(t *testing.T) {
	h := knownHostFor(t, nil)
	at := func(p string) string { return "127.0.0.1:" + p }
	h.write(t, "/b", "xx")
	h.write(t, "/a", strings.Repeat("x", 2000))
	h.write(t, "/.dot", "")
	h.mkdir(t, "/dir")
	h.write(t, "/dir/in", "")
	if err := h.fs.Link(t.Context(), "b", "/link", true); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	h.setTime(t, "/b", old)
	h.setTime(t, "/dir", old.Add(time.Hour))
	t.Setenv("TZ", "UTC")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"/"}, "a\nb\ndir\nlink\n"},
		{[]string{"-a", "/"}, ".dot\na\nb\ndir\nlink\n"},
		{[]string{"-r", "/"}, "link\ndir\nb\na\n"},
		{[]string{"-S", "/[ab]"}, "/a\n/b\n"},
		{[]string{"-Sr", "/[ab]"}, "/b\n/a\n"},
		{[]string{"-d", "/dir"}, "/dir\n"},
		{[]string{"/dir"}, "in\n"},
		{[]string{"/a", "/dir"}, "/a\n\n127.0.0.1:/dir:\nin\n"},
		{[]string{"-U", "/dir"}, "in\n"},
	} {
		args := []string{"ls"}
		for _, a := range row.args {
			if a[0] == '/' {
				a = at(a)
			}
			args = append(args, a)
		}
		if r := h.ok(t, args...); r.stdout != row.want || r.stderr != "" {
			t.Errorf("%q: %+v, want %q", row.args, r, row.want)
		}
	}
	r := h.ok(t, "ls", "-lhn", at("/"))
	lines := strings.Split(r.stdout, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "-rw-rw-rw- 1 0 0 1.95 KiB ") || !strings.Contains(lines[1], "      2 B Feb  3  2001 b") ||
		!strings.HasPrefix(lines[2], "drwxrwxrwx ") || !strings.HasSuffix(lines[3], " link -> b") {
		t.Errorf("%q", r.stdout)
	}
	r = h.ok(t, "ls", "--json", at("/b"))
	if r.stdout != `{"name":"/b","type":"file","size":2,"mode":"0666","uid":0,"gid":0,"links":1,"mtime":"2001-02-03T04:05:06Z","atime":"2001-02-03T04:05:06Z"}`+"\n" {
		t.Errorf("%q", r.stdout)
	}
	h.no(t, statusFailed, "no such file", "ls", at("/none"))
	r = command(t, as(secret), h.on("ls", at("/none"), at("/a"))...)
	if r.status != statusFailed || r.stdout != "/a\n" {
		t.Errorf("%+v", r)
	}
}

func TestSizesAndTimes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 10240: "10.0 KiB", 102400: "100 KiB", 1023 << 10: "1.00 MiB", 999 << 10: "999 KiB",
		5 << 30: "5.00 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := humanSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0:00", 1500 * time.Millisecond: "0:02", 61 * time.Second: "1:01", 3661 * time.Second: "1:01:01"} {
		if got := clock(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestSecondSignal: the second one does not wait.
func TestSecondSignal(t *testing.T) {
	signals := make(chan os.Signal, 2)
	slow := &interrupted{FileSystem: memfs.New(memfs.Options{}), gate: make(chan struct{}), hit: func() {}}
	defer close(slow.gate)
	h := knownHostFor(t, slow)
	r, w := io.Pipe() // standard input that never comes
	defer w.Close()
	signals <- os.Interrupt
	signals <- os.Interrupt
	got := commandWith(t, as(secret), r, signals, h.on("put", "-", "127.0.0.1:/x")...)
	if got.status != 128+int(syscall.SIGINT) {
		t.Errorf("%+v", got)
	}
}
