package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A column is one operation of the matrix.
type column struct {
	name  string
	needs []verb
	limit time.Duration // for the large file; 0 is one minute
	run   func(c *cell) error
}

// columns are the operations each client is put through.
var columns = []column{
	{name: "password", run: func(c *cell) error { return c.login(true) }},
	{name: "publickey", run: func(c *cell) error { return c.login(false) }},
	{name: "put", needs: []verb{vPut}, run: (*cell).put},
	{name: "get", needs: []verb{vGet}, run: (*cell).get},
	{name: "checksum", needs: []verb{vPut, vGet}, run: (*cell).checksum},
	{name: "list", needs: []verb{vList}, run: (*cell).list},
	{name: "rename", needs: []verb{vRename}, run: (*cell).rename},
	{name: "reput", needs: []verb{vReput}, run: (*cell).reput},
	{name: "reget", needs: []verb{vReget}, run: (*cell).reget},
	{name: "remove", needs: []verb{vRemove}, run: (*cell).remove},
	{name: "mkdir", needs: []verb{vMkdir, vRmdir}, run: (*cell).mkdir},
	{name: "list10k", needs: []verb{vList}, run: (*cell).listMany},
	{name: "names", needs: []verb{vPut, vGet}, run: (*cell).names},
	{name: "empty", needs: []verb{vPut, vGet}, run: (*cell).empty},
	{name: "chmod", needs: []verb{vChmod}, run: (*cell).chmod},
	{name: "put times", needs: []verb{vPutKeep}, run: (*cell).putTimes},
	{name: "get times", needs: []verb{vGetKeep}, run: (*cell).getTimes},
	{name: "symlink", needs: []verb{vSymlink}, run: (*cell).symlink},
	{name: "put big", needs: []verb{vPut}, limit: 5 * time.Minute, run: (*cell).putBig},
	{name: "get big", needs: []verb{vGet}, limit: 5 * time.Minute, run: (*cell).getBig},
}

// manyEntries is the size of the large directory.
const manyEntries = 10_000

// A cell is one column of one client.
type cell struct {
	ctx    context.Context
	client *client
	server *server
	remote string // directory for this cell, as the client names it
	there  string // the same directory, in the server's file system
	here   string // local directory for this cell
	big    string // the large file
	note   string // shown in the table in place of "ok"
}

// TestMatrix puts every client through every operation and prints who can do what.
func TestMatrix(t *testing.T) {
	s := startServer(t)
	if err := makeMany(s.root); err != nil {
		t.Fatal(err)
	}
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	big := filepath.Join(s.root, "big")
	if err := writeRandom(big, size); err != nil {
		t.Fatal(err)
	}
	modest := filepath.Join(s.root, "modest")
	if err := writeRandom(modest, min(size, 64<<20)); err != nil {
		t.Fatal(err)
	}
	ident, err := s.ident()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, col := range columns {
		names = append(names, col.name)
	}
	table := newTable(fmt.Sprintf("Clients and operations: %s, large file %d MiB", ident, size>>20), names)
	start := time.Now()
	for _, c := range clients { // in parallel they would end in any order: fix the order of the rows
		table.row(c.name)
	}
	t.Run("small", func(t *testing.T) { // returns when its parallel subtests have ended
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				runRow(t, table, c, s, false, big)
			})
		}
	})
	for _, c := range clients { // alone, or the rates would be each other's
		file := big
		if c.modest {
			file = modest
		}
		t.Run("big/"+c.name, func(t *testing.T) { runRow(t, table, c, s, true, file) })
	}
	table.note("%d cells in %s. The libraries' large file has 64 MiB at most.", table.cells(), time.Since(start).Round(time.Second))
	addReport(table.String())
}

// runRow runs the columns that move the large file, or all others, of one client.
func runRow(t *testing.T, table *table, c *client, s *server, large bool, big string) {
	version, err := c.find()
	if err != nil {
		table.missing(c.name, err)
		missingPeer(t, c.name, err)
	}
	table.version(c.name, version)
	for _, col := range columns {
		if large != (col.limit > 0) {
			continue
		}
		if why := c.reason(col.name, col.needs...); why != "" {
			table.set(c.name, col.name, resultNA, why)
			continue
		}
		t.Run(col.name, func(t *testing.T) {
			table.set(c.name, col.name, resultFail, "the test did not end")
			runCell(t, table, c, col, s, big)
		})
	}
}

// missingPeer ends the test of a client that is not here: a gap in the table, or a failure where it must be here.
func missingPeer(t *testing.T, name string, err error) {
	t.Helper()
	if os.Getenv("FAIRLEAD_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s: %v", name, err)
	}
	t.Skipf("%s: %v", name, err)
}

func runCell(t *testing.T, table *table, c *client, col column, s *server, big string) {
	limit := col.limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	dir := strings.NewReplacer(" ", "-", "/", "-").Replace(c.name + "-" + col.name)
	x := &cell{
		ctx: ctx, client: c, server: s, remote: "/" + dir, there: filepath.Join(s.root, dir),
		here: filepath.Join(scratch, dir), big: big,
	}
	if err := errors.Join(os.Mkdir(x.there, 0o755), os.Mkdir(x.here, 0o755)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(x.there)
	defer os.RemoveAll(x.here)
	if err := col.run(x); err != nil {
		table.set(c.name, col.name, resultFail, lastLine(err.Error()))
		t.Error(err)
		return
	}
	table.set(c.name, col.name, resultOK, x.note)
}

// lastLine is where programs say what went wrong.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// do has the client take the steps, in one connection where it can.
func (c *cell) do(steps ...step) (outcome, error) {
	return c.client.run(c.ctx, c.server.job(steps...))
}

// in returns a path in the cell's directory as the client names it.
func (c *cell) in(name string) string { return path.Join(c.remote, name) }

func (c *cell) login(password bool) error {
	j := c.server.job()
	if password {
		j.Password = c.server.keys.password
	}
	if c.client.reason("", vList) == "" {
		j.Steps = []step{{Verb: vList, Remote: c.remote}}
	} else { // a program that only copies must be given something to copy
		if err := os.WriteFile(filepath.Join(c.there, "f"), []byte("x"), 0o644); err != nil {
			return err
		}
		j.Steps = []step{{Verb: vGet, Remote: c.in("f"), Local: filepath.Join(c.here, "f")}}
	}
	if _, err := c.client.run(c.ctx, j); err != nil || !password {
		return err
	}
	// A wrong password must not do.
	j.Password = "not " + j.Password
	if _, err := c.client.run(c.ctx, j); err == nil {
		return errors.New("logged in with a wrong password")
	}
	return nil
}

// sample returns n bytes that no one else has.
func sample(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(data)
	return data
}

func (c *cell) put() error {
	data := sample(300_001)
	local := filepath.Join(c.here, "f")
	if err := os.WriteFile(local, data, 0o644); err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vPut, Local: local, Remote: c.in("f")}); err != nil {
		return err
	}
	return wantFile(filepath.Join(c.there, "f"), data)
}

func (c *cell) get() error {
	data := sample(300_001)
	if err := os.WriteFile(filepath.Join(c.there, "f"), data, 0o644); err != nil {
		return err
	}
	local := filepath.Join(c.here, "f")
	if _, err := c.do(step{Verb: vGet, Remote: c.in("f"), Local: local}); err != nil {
		return err
	}
	return wantFile(local, data)
}

// checksum sends files whose sizes lie round the edges of packets, windows and READ limits, and fetches them back.
func (c *cell) checksum() error {
	sizes := []int{1, 32767, 32768, 32769, 65535, 65536, 255*1024 - 1, 255 * 1024, 255*1024 + 1, 262144, 2<<20 + 13}
	var steps []step
	for _, n := range sizes {
		name := fmt.Sprint(n)
		local := filepath.Join(c.here, name)
		if err := os.WriteFile(local, sample(n), 0o644); err != nil {
			return err
		}
		steps = append(steps,
			step{Verb: vPut, Local: local, Remote: c.in(name)},
			step{Verb: vGet, Remote: c.in(name), Local: local + ".back"})
	}
	if _, err := c.do(steps...); err != nil {
		return err
	}
	for _, n := range sizes {
		name := fmt.Sprint(n)
		if err := wantFile(filepath.Join(c.there, name), sample(n)); err != nil {
			return err
		}
		if err := wantFile(filepath.Join(c.here, name+".back"), sample(n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cell) list() error {
	err := errors.Join(
		os.WriteFile(filepath.Join(c.there, "one"), []byte("1"), 0o644),
		os.WriteFile(filepath.Join(c.there, "two.txt"), make([]byte, 12345), 0o600),
		os.Mkdir(filepath.Join(c.there, "three"), 0o755))
	if err != nil {
		return err
	}
	out, err := c.do(step{Verb: vList, Remote: c.remote})
	if err != nil {
		return err
	}
	return wantNames(out.Listed, []string{"one", "three", "two.txt"})
}

func (c *cell) listMany() error {
	out, err := c.do(step{Verb: vList, Remote: "/many"})
	if err != nil {
		return err
	}
	var want []string
	for i := range manyEntries {
		want = append(want, manyName(i))
	}
	return wantNames(out.Listed, want)
}

// makeMany makes the large directory.
func makeMany(root string) error {
	many := filepath.Join(root, "many")
	if err := os.Mkdir(many, 0o755); err != nil {
		return err
	}
	for i := range manyEntries {
		if err := os.WriteFile(filepath.Join(many, manyName(i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func manyName(i int) string { return fmt.Sprintf("entry-%05d.dat", i) }

func (c *cell) rename() error {
	data := sample(1000)
	if err := os.WriteFile(filepath.Join(c.there, "old"), data, 0o644); err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vRename, Remote: c.in("old"), To: c.in("new")}); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(c.there, "new"), data), wantGone(filepath.Join(c.there, "old")))
}

// reput starts from a first part that differs from the source in one byte, so that a client which sends the whole
// file again is told from one that resumes.
func (c *cell) reput() error {
	data := sample(1_000_003)
	local := filepath.Join(c.here, "f")
	marked := slices.Clone(data)
	marked[100] ^= 0xff
	err := errors.Join(
		os.WriteFile(local, data, 0o644),
		os.WriteFile(filepath.Join(c.there, "f"), marked[:400_001], 0o644))
	if err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vReput, Local: local, Remote: c.in("f")}); err != nil {
		return err
	}
	return wantFile(filepath.Join(c.there, "f"), marked)
}

func (c *cell) reget() error {
	data := sample(1_000_003)
	local := filepath.Join(c.here, "f")
	marked := slices.Clone(data)
	marked[100] ^= 0xff
	err := errors.Join(
		os.WriteFile(local, marked[:400_001], 0o644),
		os.WriteFile(filepath.Join(c.there, "f"), data, 0o644))
	if err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vReget, Remote: c.in("f"), Local: local}); err != nil {
		return err
	}
	return wantFile(local, marked)
}

func (c *cell) remove() error {
	if err := os.WriteFile(filepath.Join(c.there, "f"), []byte("x"), 0o644); err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vRemove, Remote: c.in("f")}); err != nil {
		return err
	}
	return wantGone(filepath.Join(c.there, "f"))
}

func (c *cell) mkdir() error {
	if _, err := c.do(step{Verb: vMkdir, Remote: c.in("d")}); err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Join(c.there, "d")); err != nil {
		return fmt.Errorf("mkdir made nothing: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("mkdir made no directory: %v", info.Mode())
	}
	if _, err := c.do(step{Verb: vRmdir, Remote: c.in("d")}); err != nil {
		return err
	}
	return wantGone(filepath.Join(c.there, "d"))
}

// names uses names with spaces, quotes and letters beyond ASCII, in a directory of the same kind.
func (c *cell) names() error {
	names := []string{"a name with  spaces.txt", "Grüße aus Köln.txt", "日本語 ☃ Ελλάδα.txt", "it's & so on;$x.txt"}
	dir := "Übung 1"
	if err := os.Mkdir(filepath.Join(c.there, dir), 0o755); err != nil {
		return err
	}
	var steps []step
	for i, name := range names {
		local := filepath.Join(c.here, name)
		if err := os.WriteFile(local, sample(1000+i), 0o644); err != nil {
			return err
		}
		remote := c.in(path.Join(dir, name))
		steps = append(steps,
			step{Verb: vPut, Local: local, Remote: remote},
			step{Verb: vGet, Remote: remote, Local: local + ".back"})
	}
	if c.client.reason("", vList) == "" {
		steps = append(steps, step{Verb: vList, Remote: c.in(dir)})
	}
	out, err := c.do(steps...)
	if err != nil {
		return err
	}
	for i, name := range names {
		if err := wantFile(filepath.Join(c.there, dir, name), sample(1000+i)); err != nil {
			return err
		}
		if err := wantFile(filepath.Join(c.here, name+".back"), sample(1000+i)); err != nil {
			return err
		}
	}
	if c.client.reason("", vList) == "" {
		return wantNames(out.Listed, names)
	}
	return nil
}

func (c *cell) empty() error {
	local, back := filepath.Join(c.here, "f"), filepath.Join(c.here, "back")
	if err := os.WriteFile(local, nil, 0o644); err != nil {
		return err
	}
	_, err := c.do(
		step{Verb: vPut, Local: local, Remote: c.in("f")},
		step{Verb: vGet, Remote: c.in("f"), Local: back})
	if err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(c.there, "f"), nil), wantFile(back, nil))
}

func (c *cell) chmod() error {
	there := filepath.Join(c.there, "f")
	if err := os.WriteFile(there, []byte("x"), 0o644); err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vChmod, Remote: c.in("f"), Mode: 0o751}); err != nil {
		return err
	}
	info, err := os.Stat(there)
	if err != nil {
		return err
	}
	if info.Mode() != 0o751 {
		return fmt.Errorf("mode is %v, want 0751", info.Mode())
	}
	return nil
}

// past is a time that no fresh file has.
var past = time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)

func (c *cell) putTimes() error {
	local := filepath.Join(c.here, "f")
	err := errors.Join(os.WriteFile(local, sample(5000), 0o644), os.Chtimes(local, past, past))
	if err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vPutKeep, Local: local, Remote: c.in("f")}); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(c.there, "f"), sample(5000)), wantTime(filepath.Join(c.there, "f"), past))
}

func (c *cell) getTimes() error {
	there, local := filepath.Join(c.there, "f"), filepath.Join(c.here, "f")
	err := errors.Join(os.WriteFile(there, sample(5000), 0o644), os.Chtimes(there, past, past))
	if err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vGetKeep, Remote: c.in("f"), Local: local}); err != nil {
		return err
	}
	return errors.Join(wantFile(local, sample(5000)), wantTime(local, past))
}

// symlink checks the link itself: which of the two names is which is what servers get wrong.
func (c *cell) symlink() error {
	if err := os.WriteFile(filepath.Join(c.there, "target"), []byte("x"), 0o644); err != nil {
		return err
	}
	if _, err := c.do(step{Verb: vSymlink, Remote: c.in("link"), To: "target"}); err != nil {
		return err
	}
	to, err := os.Readlink(filepath.Join(c.there, "link"))
	if err != nil {
		return err
	}
	if to != "target" {
		return fmt.Errorf("link points to %q, want %q", to, "target")
	}
	return nil
}

func (c *cell) putBig() error {
	start := time.Now()
	if _, err := c.do(step{Verb: vPut, Local: c.big, Remote: c.in("big")}); err != nil {
		return err
	}
	c.rate(start)
	return sameFiles(filepath.Join(c.there, "big"), c.big)
}

func (c *cell) getBig() error {
	start := time.Now()
	local := filepath.Join(c.here, "big")
	if _, err := c.do(step{Verb: vGet, Remote: "/" + filepath.Base(c.big), Local: local}); err != nil {
		return err
	}
	c.rate(start)
	return sameFiles(local, c.big)
}

// rate notes the speed, as a hint only: the client's own start is in it.
func (c *cell) rate(start time.Time) {
	if info, err := os.Stat(c.big); err == nil {
		c.note = fmt.Sprintf("%.0f MB/s", float64(info.Size())/1e6/time.Since(start).Seconds())
	}
}

// writeRandom writes n bytes that do not compress and do not repeat.
func writeRandom(name string, n int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), n)
	return errors.Join(err, f.Close())
}

func wantFile(name string, want []byte) error {
	got, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("%s: %d bytes, want %d; first difference at %d", filepath.Base(name), len(got), len(want), at)
}

func wantGone(name string) error {
	switch _, err := os.Lstat(name); {
	case err == nil:
		return fmt.Errorf("%s is still there", filepath.Base(name))
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("is %s still there: %w", filepath.Base(name), err)
	}
	return nil
}

func wantTime(name string, want time.Time) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if got := info.ModTime(); !got.Equal(want) {
		return fmt.Errorf("%s: modified at %v, want %v", filepath.Base(name), got.UTC(), want)
	}
	return nil
}

// wantNames compares names without regard to order; "." and ".." and a trailing slash do not matter.
func wantNames(got, want []string) error {
	var names []string
	for _, name := range got {
		if name = strings.TrimSuffix(name, "/"); name != "." && name != ".." {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	want = slices.Sorted(slices.Values(want))
	if slices.Equal(names, want) {
		return nil
	}
	if len(names) > 20 || len(want) > 20 {
		return fmt.Errorf("%d names listed, want %d", len(names), len(want))
	}
	return fmt.Errorf("listed %q, want %q", names, want)
}

func sameFiles(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	const block = 1 << 20
	ba, bb := make([]byte, block), make([]byte, block)
	for at := int64(0); ; at += block {
		na, erra := io.ReadFull(fa, ba)
		nb, errb := io.ReadFull(fb, bb)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return fmt.Errorf("%s and %s differ after byte %d", a, b, at)
		}
		if erra != nil || errb != nil {
			if (erra == io.EOF || erra == io.ErrUnexpectedEOF) && (errb == io.EOF || errb == io.ErrUnexpectedEOF) {
				return nil
			}
			return errors.Join(erra, errb)
		}
	}
}
