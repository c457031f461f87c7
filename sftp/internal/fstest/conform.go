package fstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Conform runs what every FileSystem with these abilities must answer the same way, each
// test on a tree of its own, made by empty.
func Conform(t *testing.T, empty func(t *testing.T) sftp.FileSystem) {
	for _, row := range []struct {
		name string
		run  func(*tree)
	}{
		{"codes", codes},
		{"rename flags", renameFlags},
		{"realpath controls", realPathControls},
		{"links", links},
		{"no follow", noFollow},
		{"range locks", rangeLocks},
		{"share modes", shareModes},
		{"locks against removal", keptFiles},
		{"delete on close", deleteOnClose},
		{"atomic append", atomicAppend},
		{"attributes", attributes},
		{"attributes of new files", firstAttributes},
		{"refused attributes change nothing", refusedAttributes},
		{"listing meanwhile", listingMeanwhile},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(&tree{t, empty(t)}) })
	}
}

var ctx = context.Background()

// A tree is a file system under test, with verbs that fail the test.
type tree struct {
	*testing.T
	sftp.FileSystem
}

func (t *tree) want(what string, err error, want sftp.Code) {
	t.Helper()
	if got := sftp.CodeOf(err); got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

func (t *tree) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	reading = sftp.AccessReadData | sftp.AccessReadAttrs
	writing = sftp.AccessWriteData | sftp.AccessWriteAttrs
)

func (t *tree) open(name string, access sftp.Access, flags sftp.OpenFlags) sftp.File {
	t.Helper()
	f, err := t.Open(ctx, name, &sftp.OpenHow{Access: access, Disposition: sftp.OpenExisting, Flags: flags})
	t.must(err)
	return f
}

func (t *tree) code(name string, access sftp.Access, disp sftp.Disposition, flags sftp.OpenFlags) sftp.Code {
	t.Helper()
	f, err := t.Open(ctx, name, &sftp.OpenHow{Access: access, Disposition: disp, Flags: flags})
	if err == nil {
		t.must(f.Close(nil))
	}
	return sftp.CodeOf(err)
}

func (t *tree) put(name, text string) {
	t.Helper()
	f, err := t.Open(ctx, name, &sftp.OpenHow{Access: writing, Disposition: sftp.CreateTruncate})
	t.must(err)
	_, err = f.WriteAt([]byte(text), 0)
	t.must(err)
	t.must(f.Close(nil))
}

func (t *tree) get(name string) string {
	t.Helper()
	f, err := t.Open(ctx, name, &sftp.OpenHow{Access: reading, Disposition: sftp.OpenExisting})
	if err != nil {
		return sftp.CodeOf(err).String()
	}
	p, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	t.must(err)
	t.must(f.Close(nil))
	return string(p)
}

func (t *tree) lstat(name string, want sftp.AttrMask) *sftp.Attrs {
	t.Helper()
	a, err := t.Stat(ctx, name, sftp.StatOpt{Want: want})
	t.must(err)
	return a
}

// codes: what versions 4 to 6 tell apart.
func codes(t *tree) {
	t.put("/f", "text")
	t.must(t.Mkdir(ctx, "/d", nil))
	t.put("/d/f", "text")
	t.must(t.Link(ctx, "loop", "/loop", true))
	t.must(t.Link(ctx, "nowhere/x", "/far", true))
	long := "/" + strings.Repeat("n", 256)
	stat := func(name string) error { _, err := t.Stat(ctx, name, sftp.StatOpt{Follow: true}); return err }
	list := func(name string) error { _, err := t.OpenDir(ctx, name); return err }
	read := func(name string) error { _, err := t.ReadLink(ctx, name); return err }
	for _, row := range []struct {
		what string
		err  error
		want sftp.Code
	}{
		{"stat missing", stat("/x"), sftp.CodeNoSuchFile},
		{"stat in missing", stat("/x/y"), sftp.CodeNoSuchPath},
		{"stat in missing in directory", stat("/d/x/y"), sftp.CodeNoSuchPath},
		{"stat missing in directory", stat("/d/x"), sftp.CodeNoSuchFile},
		{"stat through a file", stat("/f/x"), sftp.CodeNotADirectory},
		{"stat loop", stat("/loop"), sftp.CodeLinkLoop},
		{"stat link into nowhere", stat("/far"), sftp.CodeNoSuchPath},
		{"stat long name", stat(long), sftp.CodeInvalidFilename},
		{"stat long path", stat("/" + strings.Repeat("a/", 3000)), sftp.CodeInvalidFilename},
		{"stat NUL", stat("/a\x00"), sftp.CodeInvalidFilename},
		{"setstat in missing", t.SetStat(ctx, "/x/y", &sftp.Attrs{}, true), sftp.CodeNoSuchPath},
		{"mkdir", t.Mkdir(ctx, "/d", nil), sftp.CodeFileAlreadyExists},
		{"mkdir in missing", t.Mkdir(ctx, "/x/y", nil), sftp.CodeNoSuchPath},
		{"mkdir in file", t.Mkdir(ctx, "/f/y", nil), sftp.CodeNotADirectory},
		{"rmdir full", t.Rmdir(ctx, "/d"), sftp.CodeDirNotEmpty},
		{"rmdir file", t.Rmdir(ctx, "/f"), sftp.CodeNotADirectory},
		{"rmdir in missing", t.Rmdir(ctx, "/x/y"), sftp.CodeNoSuchPath},
		{"remove directory", t.Remove(ctx, "/d"), sftp.CodeIsADirectory},
		{"remove missing", t.Remove(ctx, "/x"), sftp.CodeNoSuchFile},
		{"remove in missing", t.Remove(ctx, "/x/y"), sftp.CodeNoSuchPath},
		{"list file", list("/f"), sftp.CodeNotADirectory},
		{"list missing", list("/x"), sftp.CodeNoSuchFile},
		{"list in missing", list("/x/y"), sftp.CodeNoSuchPath},
		{"readlink of a file", read("/f"), sftp.CodeInvalidParameter},
		{"readlink in missing", read("/x/y"), sftp.CodeNoSuchPath},
		{"rename missing", t.Rename(ctx, "/x", "/y", 0), sftp.CodeNoSuchFile},
		{"rename from missing directory", t.Rename(ctx, "/x/y", "/y", 0), sftp.CodeNoSuchPath},
		{"rename to missing directory", t.Rename(ctx, "/f", "/x/y", 0), sftp.CodeNoSuchPath},
		{"rename into itself", t.Rename(ctx, "/d", "/d/e", 0), sftp.CodeInvalidParameter},
		{"link to missing directory", t.Link(ctx, "/f", "/x/y", false), sftp.CodeNoSuchPath},
		{"link of missing", t.Link(ctx, "/x", "/y", false), sftp.CodeNoSuchFile},
		{"link over", t.Link(ctx, "/d/f", "/f", false), sftp.CodeFileAlreadyExists},
		{"link of directory", t.Link(ctx, "/d", "/y", false), sftp.CodePermissionDenied},
		{"symlink over", t.Link(ctx, "f", "/f", true), sftp.CodeFileAlreadyExists},
		{"symlink in missing", t.Link(ctx, "f", "/x/y", true), sftp.CodeNoSuchPath},
		{"symlink of nothing", t.Link(ctx, "", "/y", true), sftp.CodeInvalidFilename},
	} {
		t.want(row.what, row.err, row.want)
	}
	for _, row := range []struct {
		what, name string
		access     sftp.Access
		disp       sftp.Disposition
		flags      sftp.OpenFlags
		want       sftp.Code
	}{
		{"open missing", "/x", reading, sftp.OpenExisting, 0, sftp.CodeNoSuchFile},
		{"open missing to empty it", "/x", writing, sftp.TruncateExisting, 0, sftp.CodeNoSuchFile},
		{"open in missing", "/x/y", reading, sftp.OpenExisting, 0, sftp.CodeNoSuchPath},
		{"make in missing", "/x/y", writing, sftp.CreateTruncate, 0, sftp.CodeNoSuchPath},
		{"make what is there", "/f", writing, sftp.CreateNew, 0, sftp.CodeFileAlreadyExists},
		{"make what is a link", "/far", writing, sftp.CreateNew, 0, sftp.CodeFileAlreadyExists},
		{"open directory", "/d", reading, sftp.OpenExisting, 0, sftp.CodeIsADirectory},
		{"open directory to write", "/d", writing, sftp.OpenOrCreate, 0, sftp.CodeIsADirectory},
		{"open through a file", "/f/x", reading, sftp.OpenExisting, 0, sftp.CodeNotADirectory},
		{"open loop", "/loop", reading, sftp.OpenExisting, 0, sftp.CodeLinkLoop},
		{"open for nothing", "/f", 0, sftp.OpenExisting, 0, sftp.CodeInvalidParameter},
		{"open with an unknown flag", "/f", reading, sftp.OpenExisting, 1 << 20, sftp.CodeInvalidParameter},
		{"open as a backup stream", "/f", reading, sftp.OpenExisting, sftp.OpenBackupStream, sftp.CodeOpUnsupported},
		{"empty without writing", "/f", reading, sftp.TruncateExisting, 0, sftp.CodeInvalidParameter},
	} {
		if got := t.code(row.name, row.access, row.disp, row.flags); got != row.want {
			t.Errorf("%s: %v, want %v", row.what, got, row.want)
		}
	}
	f := t.open("/f", reading, 0)
	_, err := f.WriteAt([]byte("x"), 0)
	t.want("write on a handle for reading", err, sftp.CodePermissionDenied)
	t.want("size on a handle for reading", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize}), sftp.CodePermissionDenied)
	_, err = f.ReadAt(make([]byte, 1), -1)
	t.want("negative offset", err, sftp.CodeInvalidParameter)
	t.must(f.Close(nil))
	if got := t.get("/f"); got != "text" {
		t.Errorf("/f is %q", got)
	}
}

// renameFlags: without any an existing target is safe, with each it is not.
func renameFlags(t *tree) {
	for _, flags := range []sftp.RenameFlags{0, sftp.RenameOverwrite, sftp.RenameAtomic, sftp.RenameNative, 7} {
		t.put("/a", "a")
		t.put("/b", "b")
		t.must(t.Mkdir(ctx, "/dir", nil))
		t.must(t.Mkdir(ctx, "/empty", nil))
		want, left := sftp.CodeOK, "a"
		if flags == 0 {
			want, left = sftp.CodeFileAlreadyExists, "b"
		}
		t.want(fmt.Sprintf("flags %d over a file", flags), t.Rename(ctx, "/a", "/b", flags), want)
		if got := t.get("/b"); got != left {
			t.Errorf("flags %d: the target is %q", flags, got)
		}
		t.want(fmt.Sprintf("flags %d over an empty directory", flags), t.Rename(ctx, "/dir", "/empty", flags), want)
		t.put("/new", "new")
		t.want(fmt.Sprintf("flags %d to a new name", flags), t.Rename(ctx, "/new", "/newer", flags), sftp.CodeOK)
		for _, name := range []string{"/a", "/b", "/newer"} {
			_ = t.Remove(ctx, name)
		}
		for _, name := range []string{"/dir", "/empty"} {
			_ = t.Rmdir(ctx, name)
		}
	}
}

// realPathControls: filexfer-13 §8.9.
func realPathControls(t *tree) {
	t.must(t.Mkdir(ctx, "/d", nil))
	t.put("/d/f", "text")
	t.must(t.Link(ctx, "d", "/l", true))
	t.must(t.Link(ctx, "/d/../d/f", "/lf", true))
	for _, row := range []struct {
		name    string
		control sftp.RealPathControl
		path    string
		size    int // -1: no attributes
		want    sftp.Code
	}{
		{"/l/./f/", sftp.RealPathNoCheck, "/l/f", -1, 0},
		{"/x/../y/z", sftp.RealPathNoCheck, "/y/z", -1, 0},
		{"../..", sftp.RealPathNoCheck, "/", -1, 0},
		{"", sftp.RealPathNoCheck, "/", -1, 0},
		{"/l/f", sftp.RealPathDefault, "/d/f", -1, 0},
		{"/l/x", sftp.RealPathDefault, "/d/x", -1, 0},
		{"/x/y", sftp.RealPathDefault, "", -1, sftp.CodeNoSuchPath},
		{"/l/f", sftp.RealPathStatIf, "/d/f", 4, 0},
		{"/lf", sftp.RealPathStatIf, "/d/f", 4, 0},
		{"/l/x", sftp.RealPathStatIf, "/d/x", -1, 0},
		{"/x/y", sftp.RealPathStatIf, "/x/y", -1, 0},
		{"/lf", sftp.RealPathStatAlways, "/d/f", 4, 0},
		{"/l/x", sftp.RealPathStatAlways, "", -1, sftp.CodeNoSuchFile},
		{"/x/y", sftp.RealPathStatAlways, "", -1, sftp.CodeNoSuchPath},
	} {
		p, a, err := t.RealPath(ctx, row.name, sftp.RealPathOpt{Control: row.control, Want: sftp.AttrsBasic | sftp.AttrOwnerGroup})
		size := -1
		if a != nil {
			size = int(a.Size)
			if !a.Has(sftp.AttrOwnerGroup) || a.Owner == "" {
				t.Errorf("%q control %d: no owner", row.name, row.control)
			}
		}
		if p != row.path || size != row.size || sftp.CodeOf(err) != row.want {
			t.Errorf("%q control %d: %q size %d, %v", row.name, row.control, p, size, err)
		}
	}
}

// links: hard ones share the object, symbolic ones keep their text.
func links(t *tree) {
	t.put("/f", "one")
	t.must(t.Link(ctx, "/f", "/g", false))
	t.put("/f", "two")
	if a := t.lstat("/g", 0); t.get("/g") != "two" || a.Links != 2 || !a.SameFile(t.lstat("/f", 0)) {
		t.Errorf("hard link: %q %+v", t.get("/g"), a)
	}
	t.must(t.Link(ctx, "no/such/thing", "/s", true))
	if text, err := t.ReadLink(ctx, "/s"); text != "no/such/thing" || err != nil {
		t.Errorf("symbolic link: %q %v", text, err)
	}
	// A hard link to a symbolic one is one to the link itself.
	t.must(t.Link(ctx, "/s", "/s2", false))
	if a := t.lstat("/s2", 0); a.Type() != sftp.TypeSymlink || a.Links != 2 {
		t.Errorf("hard link to a symbolic one: %+v", a)
	}
}

// noFollow: a link as last element is no file, one on the way is a way.
func noFollow(t *tree) {
	t.must(t.Mkdir(ctx, "/d", nil))
	t.put("/d/f", "text")
	t.must(t.Link(ctx, "d", "/l", true))
	t.must(t.Link(ctx, "f", "/d/l", true))
	t.must(t.Link(ctx, "nowhere", "/dangling", true))
	for name, want := range map[string]sftp.Code{
		"/d/f": sftp.CodeOK, "/l/f": sftp.CodeOK, "/d/l": sftp.CodeLinkLoop, "/l/l": sftp.CodeLinkLoop, "/dangling": sftp.CodeLinkLoop,
	} {
		for _, disp := range []sftp.Disposition{sftp.OpenExisting, sftp.OpenOrCreate, sftp.CreateTruncate, sftp.TruncateExisting} {
			if got := t.code(name, reading|writing, disp, sftp.OpenNoFollow); got != want {
				t.Errorf("%s, disposition %d: %v, want %v", name, disp, got, want)
			}
		}
	}
	if _, err := t.Stat(ctx, "/nowhere", sftp.StatOpt{}); err == nil {
		t.Error("a link was followed to make a file")
	}
}

// rangeLocks: BLOCK and UNBLOCK on two handles, which are two sessions' as well as one's.
func rangeLocks(t *tree) {
	t.put("/f", strings.Repeat("x", 100))
	t.must(t.Link(ctx, "/f", "/g", false))
	a, b := t.open("/f", reading|writing, 0), t.open("/g", reading|writing, 0)
	const mandatory = sftp.RangeRead | sftp.RangeWrite
	t.want("lock", a.Lock(ctx, sftp.Range{Offset: 10, Length: 10, Mask: mandatory}), sftp.CodeOK)
	t.want("overlap", b.Lock(ctx, sftp.Range{Offset: 19, Length: 10, Mask: sftp.RangeRead}), sftp.CodeRangeLockRefused)
	t.want("own overlap", a.Lock(ctx, sftp.Range{Offset: 0, Mask: mandatory}), sftp.CodeRangeLockRefused)
	t.want("to the end", b.Lock(ctx, sftp.Range{Offset: 50, Mask: sftp.RangeWrite}), sftp.CodeOK)
	t.want("behind the end", a.Lock(ctx, sftp.Range{Offset: 100, Length: 1 << 63, Mask: mandatory}), sftp.CodeOK)
	p := make([]byte, 5)
	_, err := b.ReadAt(p, 8)
	t.want("read into the lock", err, sftp.CodeRangeLockConflict)
	_, err = b.ReadAt(p, 5)
	t.want("read before it", err, sftp.CodeOK)
	_, err = b.WriteAt(p, 19)
	t.want("write into it", err, sftp.CodeRangeLockConflict)
	_, err = a.WriteAt(p, 12)
	t.want("write by its holder", err, sftp.CodeOK)
	_, err = a.WriteAt(p, 60)
	t.want("write into the other's", err, sftp.CodeRangeLockConflict)
	_, err = a.ReadAt(p, 60)
	t.want("read it", err, sftp.CodeOK)
	t.want("cut it", a.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 70}), sftp.CodeRangeLockConflict)
	t.want("grow into it", b.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 200}), sftp.CodeRangeLockConflict)
	t.want("cut by name", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode, Mode: 0o600}, true), sftp.CodeRangeLockConflict)
	if got := t.code("/f", writing, sftp.CreateTruncate, 0); got != sftp.CodeRangeLockConflict {
		t.Errorf("emptied by OPEN: %v", got)
	}
	if size := t.lstat("/f", 0); size.Size != 100 || size.Mode&0o777 == 0o600 {
		t.Errorf("changed: %+v", size)
	}
	app := t.open("/f", writing, sftp.OpenAppend)
	_, err = app.WriteAt(p, 0)
	t.want("append into the lock behind the end", err, sftp.CodeRangeLockConflict)
	t.must(app.Close(nil))
	t.want("unlock of a part", a.Unlock(ctx, sftp.Range{Offset: 10, Length: 5}), sftp.CodeNoMatchingRangeLock)
	t.want("unlock of another's", a.Unlock(ctx, sftp.Range{Offset: 50}), sftp.CodeNoMatchingRangeLock)
	t.want("unlock", a.Unlock(ctx, sftp.Range{Offset: 10, Length: 10}), sftp.CodeOK)
	_, err = b.WriteAt(p, 12)
	t.want("write where the lock was", err, sftp.CodeOK)
	t.must(a.Close(nil))
	t.want("the locks of a closed handle", b.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 200}), sftp.CodeOK)
	t.want("advisory", b.Lock(ctx, sftp.Range{Offset: 0, Length: 10, Mask: mandatory | sftp.RangeAdvisory}), sftp.CodeOK)
	c := t.open("/f", reading|writing, 0)
	_, err = c.WriteAt(p, 0)
	t.want("write into an advisory lock", err, sftp.CodeOK)
	t.want("lock into one", c.Lock(ctx, sftp.Range{Offset: 5, Length: 10, Mask: sftp.RangeAdvisory}), sftp.CodeRangeLockRefused)
	_, err = sftp.CopyRange(ctx, c, 300, b, 55, 5)
	t.want("copy by the holder's handle", err, sftp.CodeOK)
	_, err = sftp.CopyRange(ctx, c, 60, c, 0, 5)
	t.want("copy into a lock", err, sftp.CodeRangeLockConflict)
	t.must(b.Close(nil))
	t.must(c.Close(nil))
}

// shareModes: the block bits of OPEN.
func shareModes(t *tree) {
	t.put("/f", "text")
	reader := t.open("/f", reading, 0)
	if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenBlockRead); got != sftp.CodeLockConflict {
		t.Errorf("block reading while there is a reader: %v", got)
	}
	if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenBlockRead|sftp.OpenBlockAdvisory); got != sftp.CodeOK {
		t.Errorf("block reading, advisory: %v", got)
	}
	blocker := t.open("/f", writing, sftp.OpenBlockWrite)
	if got := t.code("/f", writing, sftp.CreateTruncate, 0); got != sftp.CodeLockConflict || t.get("/f") != "text" {
		t.Errorf("emptied behind a lock: %v %q", got, t.get("/f"))
	}
	t.want("size behind a lock", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrSize}, true), sftp.CodeLockConflict)
	if got := t.code("/f", sftp.AccessReadAttrs, sftp.OpenExisting, 0); got != sftp.CodeOK {
		t.Errorf("open for attributes: %v", got)
	}
	_, err := reader.ReadAt(make([]byte, 4), 0)
	t.want("read beside a writer", err, sftp.CodeOK)
	t.must(reader.Close(nil))
	t.must(blocker.Close(nil))
	if got := t.code("/f", writing, sftp.TruncateExisting, sftp.OpenBlockRead|sftp.OpenBlockWrite|sftp.OpenBlockDelete); got != sftp.CodeOK {
		t.Errorf("alone: %v", got)
	}
}

// keptFiles: BLOCK_DELETE, by OPEN and by BLOCK.
func keptFiles(t *tree) {
	t.put("/f", "text")
	t.put("/g", "other")
	lock := func() sftp.File { return t.open("/f", reading, sftp.OpenBlockDelete) }
	block := func() sftp.File {
		f := t.open("/f", reading, 0)
		t.must(f.Lock(ctx, sftp.Range{Length: 1, Mask: sftp.RangeDelete}))
		return f
	}
	for what, take := range map[string]func() sftp.File{"OPEN": lock, "BLOCK": block} {
		f := take()
		t.want(what+": remove", t.Remove(ctx, "/f"), sftp.CodeLockConflict)
		t.want(what+": rename over it", t.Rename(ctx, "/g", "/f", sftp.RenameAtomic), sftp.CodeLockConflict)
		if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenDeleteOnClose); got != sftp.CodeLockConflict {
			t.Errorf("%s: delete on close: %v", what, got)
		}
		t.want(what+": rename it", t.Rename(ctx, "/f", "/moved", 0), sftp.CodeOK)
		t.want(what+": remove it there", t.Remove(ctx, "/moved"), sftp.CodeLockConflict)
		t.want(what+": back", t.Rename(ctx, "/moved", "/f", 0), sftp.CodeOK)
		t.must(f.Close(nil))
	}
	t.want("remove at last", t.Remove(ctx, "/f"), sftp.CodeOK)
}

// deleteOnClose: the object that was opened goes, and nothing else.
func deleteOnClose(t *tree) {
	gone := func(name string) {
		t.Helper()
		if _, err := t.Stat(ctx, name, sftp.StatOpt{}); sftp.CodeOf(err).In(3) != sftp.CodeNoSuchFile {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	// Plainly, though the connection was cut, and while another handle is open.
	f, err := t.Open(ctx, "/tmp", &sftp.OpenHow{Access: writing, Disposition: sftp.CreateNew, Flags: sftp.OpenDeleteOnClose})
	t.must(err)
	other := t.open("/tmp", reading, 0)
	_, err = f.WriteAt([]byte("text"), 0)
	t.must(err)
	t.must(f.Close(errors.New("cut")))
	gone("/tmp")
	p := make([]byte, 4)
	_, err = other.ReadAt(p, 0)
	t.want("the other handle", err, sftp.CodeOK)
	t.must(other.Close(nil))

	// Another object in its place stays.
	t.put("/f", "first")
	f = t.open("/f", reading, sftp.OpenDeleteOnClose)
	t.put("/new", "second")
	t.must(t.Rename(ctx, "/new", "/f", sftp.RenameAtomic))
	t.must(f.Close(nil))
	if got := t.get("/f"); got != "second" {
		t.Errorf("the wrong file went: %q", got)
	}

	// It may have gone already.
	f = t.open("/f", reading, sftp.OpenDeleteOnClose)
	t.must(t.Remove(ctx, "/f"))
	t.want("close of what is gone", f.Close(nil), sftp.CodeOK)
}

// atomicAppend: two handles that append lose nothing of each other's.
func atomicAppend(t *tree) {
	t.put("/log", "")
	for _, flags := range []sftp.OpenFlags{sftp.OpenAppend, sftp.OpenAppendAtomic, sftp.OpenAppend | sftp.OpenAppendAtomic} {
		t.put("/log", "")
		var wg sync.WaitGroup
		for w := range 4 {
			f := t.open("/log", writing, flags)
			line := bytes.Repeat([]byte(strconv.Itoa(w)), 1000)
			line[999] = '\n'
			wg.Go(func() {
				for range 50 {
					if _, err := f.WriteAt(line, 7); err != nil {
						t.Error(err)
					}
				}
				if err := f.Close(nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		text := t.get("/log")
		if len(text) != 4*50*1000 {
			t.Fatalf("flags %#x: %d octets", flags, len(text))
		}
		for line := range strings.Lines(text) {
			if line != strings.Repeat(line[:1], 999)+"\n" {
				t.Fatalf("flags %#x: torn line %q", flags, line)
			}
		}
	}
}

// attributes: what SETSTAT and FSETSTAT set comes back, to the nanosecond.
func attributes(t *tree) {
	t.put("/f", "0123456789")
	t.must(t.Mkdir(ctx, "/d", nil))
	me := t.lstat("/f", sftp.AttrOwnerGroup)
	if me.Owner == "" || me.Group == "" || !me.Has(sftp.AttrOwnerGroup) {
		t.Errorf("no owner: %+v", me)
	}
	now, then := time.Unix(1_700_000_000, 123_456_789), time.Unix(-5, 999_999_999)
	a := sftp.Attrs{
		Valid: sftp.AttrSize | sftp.AttrMode | sftp.AttrTimes | sftp.AttrOwnerGroup, Size: 4, Mode: 0o444,
		Mtime: now, Atime: then, Owner: me.Owner, Group: strconv.FormatUint(uint64(me.GID), 10) + "@example.org",
	}
	t.want("SETSTAT", t.SetStat(ctx, "/f", &a, true), sftp.CodeOK)
	got := t.lstat("/f", ^sftp.AttrMask(0))
	if got.Size != 4 || got.Mode != sftp.ModeRegular|0o444 || !got.Mtime.Equal(now) || !got.Atime.Equal(then) || got.UID != me.UID || got.GID != me.GID {
		t.Errorf("%+v", got)
	}
	if got.Links != 1 || !got.Has(sftp.AttrCtime|sftp.AttrLinks|sftp.AttrAllocation|sftp.AttrSubsecond) || got.Ctime.Before(now) {
		t.Errorf("%+v", got)
	}
	a.Valid, a.Mode, a.Mtime = sftp.AttrMode|sftp.AttrMtime, 0o640, then
	f := t.open("/f", reading, 0)
	t.want("FSETSTAT", f.SetStat(ctx, &a), sftp.CodeOK)
	got, err := f.Stat(ctx, ^sftp.AttrMask(0))
	t.must(err)
	if got.Mode != sftp.ModeRegular|0o640 || !got.Mtime.Equal(then) || !got.Atime.Equal(then) || got.Owner != me.Owner {
		t.Errorf("%+v", got)
	}
	t.must(f.Close(nil))

	// The ACL says what the mode says, and sets it.
	for _, name := range []string{"/f", "/d"} {
		got = t.lstat(name, sftp.AttrACL)
		if mode, ok := got.ACL.Mode(); !ok || !got.Has(sftp.AttrACL) || mode != got.Mode&0o777 {
			t.Errorf("%s: ACL %+v of mode %o", name, got.ACL, got.Mode)
		}
		t.want("set ACL", t.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrACL, ACL: sftp.ACLOfMode(0o705)}, true), sftp.CodeOK)
		if got = t.lstat(name, 0); got.Mode&0o777 != 0o705 {
			t.Errorf("%s: mode %o after the ACL", name, got.Mode)
		}
	}

	// An allocation below the size cuts, one above leaves it.
	if t.Capabilities().Attrs&sftp.AttrAllocation != 0 {
		t.put("/f", "0123456789")
		err := t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 100_000}, true)
		if got = t.lstat("/f", 0); err == nil && (got.Allocation < 100_000 || got.Size != 10) {
			t.Errorf("allocated: %+v", got)
		}
		if !errors.Is(err, errors.ErrUnsupported) { // not on every host
			t.want("allocate", err, sftp.CodeOK)
			t.want("cut", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 3}, true), sftp.CodeOK)
			if text := t.get("/f"); text != "012" {
				t.Errorf("cut to %q", text)
			}
		}
	}
}

// firstAttributes: OPEN and MKDIR give what they make its attributes; an existing file
// keeps its own.
func firstAttributes(t *tree) {
	when := time.Unix(1_000_000_000, 5)
	a := &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime | sftp.AttrSize, Mode: 0o700, Mtime: when, Size: 1 << 40}
	for i, disp := range []sftp.Disposition{sftp.CreateNew, sftp.CreateTruncate, sftp.OpenOrCreate} {
		name := "/f" + strconv.Itoa(i)
		for pass := range 2 {
			f, err := t.Open(ctx, name, &sftp.OpenHow{Access: reading | writing, Disposition: disp, Attrs: a})
			if pass == 1 && disp == sftp.CreateNew {
				t.want("again", err, sftp.CodeFileAlreadyExists)
				break
			}
			t.must(err)
			got, err := f.Stat(ctx, 0)
			t.must(err)
			if is := got.Mode == sftp.ModeRegular|0o700 && got.Mtime.Equal(when); got.Size != 0 || is != (pass == 0) {
				t.Errorf("disposition %d, pass %d: %+v", disp, pass, got)
			}
			t.must(f.Close(nil))
			t.must(t.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}, true))
		}
	}
	t.must(t.Mkdir(ctx, "/d", a))
	if got := t.lstat("/d", 0); got.Mode != sftp.ModeDir|0o700 || !got.Mtime.Equal(when) {
		t.Errorf("%+v", got)
	}
	bad := &sftp.Attrs{Valid: sftp.AttrLinks, Links: 7}
	t.want("MKDIR with links", t.Mkdir(ctx, "/x", bad), sftp.CodeOpUnsupported)
	_, err := t.Open(ctx, "/x", &sftp.OpenHow{Access: writing, Disposition: sftp.CreateNew, Attrs: bad})
	t.want("OPEN with links", err, sftp.CodeOpUnsupported)
	if _, err := t.Stat(ctx, "/x", sftp.StatOpt{}); err == nil {
		t.Error("it was made")
	}
	f, err := t.Open(ctx, "/f0", &sftp.OpenHow{Access: reading, Disposition: sftp.OpenExisting, Attrs: bad})
	t.want("OPEN of what is there, with attributes that do not count", err, sftp.CodeOK)
	if err == nil {
		t.must(f.Close(nil))
	}
}

// refusedAttributes: one field that can never be set keeps the others from being set.
func refusedAttributes(t *tree) {
	t.put("/f", "text")
	before := *t.lstat("/f", 0)
	f := t.open("/f", reading|writing, 0)
	base := sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode | sftp.AttrMtime, Size: 1, Mode: 0o600, Mtime: time.Unix(1, 0)}
	for _, row := range []struct {
		what string
		set  func(*sftp.Attrs)
		want sftp.Code
	}{
		{"links", func(a *sftp.Attrs) { a.Valid |= sftp.AttrLinks }, sftp.CodeOpUnsupported},
		{"text hint", func(a *sftp.Attrs) { a.Valid |= sftp.AttrTextHint }, sftp.CodeOpUnsupported},
		{"untranslated name", func(a *sftp.Attrs) { a.Valid |= sftp.AttrUntranslated }, sftp.CodeOpUnsupported},
		{"ctime", func(a *sftp.Attrs) { a.Valid |= sftp.AttrCtime }, sftp.CodeOpUnsupported},
		{"a bit of directories", func(a *sftp.Attrs) {
			a.Valid |= sftp.AttrBitsSet
			a.Bits, a.BitsValid = sftp.BitCaseInsensitive, sftp.BitCaseInsensitive
		}, sftp.CodeOpUnsupported},
		{"unknown owner", func(a *sftp.Attrs) { a.Valid |= sftp.AttrOwnerGroup; a.Owner = "no such user" }, sftp.CodeOwnerInvalid},
		{"unknown group", func(a *sftp.Attrs) { a.Valid |= sftp.AttrOwnerGroup; a.Group = "no such group@x" }, sftp.CodeGroupInvalid},
		{"time", func(a *sftp.Attrs) { a.Valid |= sftp.AttrAtime; a.Atime = time.Unix(1<<60, 0) }, sftp.CodeInvalidParameter},
		{"size", func(a *sftp.Attrs) { a.Size = 1 << 63 }, sftp.CodeInvalidParameter},
		{"allocation below size", func(a *sftp.Attrs) { a.Valid |= sftp.AttrAllocation; a.Size = 3; a.Allocation = 2 }, sftp.CodeInvalidParameter},
	} {
		a := base
		row.set(&a)
		err := t.SetStat(ctx, "/f", &a, true)
		if row.what == "allocation below size" && errors.Is(err, errors.ErrUnsupported) {
			continue // a host without allocation
		}
		t.want("SETSTAT "+row.what, err, row.want)
		t.want("FSETSTAT "+row.what, f.SetStat(ctx, &a), row.want)
		if after := t.lstat("/f", 0); after.Size != before.Size || after.Mode != before.Mode || !after.Mtime.Equal(before.Mtime) {
			t.Errorf("%s changed it: %+v", row.what, after)
		}
	}
	t.must(f.Close(nil))

	// A size where there can be none.
	t.must(t.Mkdir(ctx, "/d", nil))
	f = t.open("/f", reading, 0)
	defer func() { t.must(f.Close(nil)) }()
	for _, valid := range []sftp.AttrMask{sftp.AttrSize, sftp.AttrAllocation} {
		a := base
		a.Valid = a.Valid&^sftp.AttrSize | valid
		a.Allocation = 1
		for _, row := range []struct {
			what, name string
			set        func() error
			want       sftp.Code
		}{
			{"directory", "/d", func() error { return t.SetStat(ctx, "/d", &a, true) }, sftp.CodeIsADirectory},
			{"directory, no follow", "/d", func() error { return t.SetStat(ctx, "/d", &a, false) }, sftp.CodeIsADirectory},
			{"handle for reading", "/f", func() error { return f.SetStat(ctx, &a) }, sftp.CodePermissionDenied},
		} {
			before := *t.lstat(row.name, 0)
			err := row.set()
			if valid == sftp.AttrAllocation && errors.Is(err, errors.ErrUnsupported) {
				continue // a host without allocation
			}
			t.want("size of a "+row.what, err, row.want)
			if after := t.lstat(row.name, 0); after.Mode != before.Mode || !after.Mtime.Equal(before.Mtime) {
				t.Errorf("size of a %s changed it: %+v", row.what, after)
			}
		}
	}
}

// listingMeanwhile: what stays is listed once, whatever comes and goes.
func listingMeanwhile(t *tree) {
	t.must(t.Mkdir(ctx, "/d", nil))
	const n = 500
	name := func(i int) string { return fmt.Sprintf("/d/%03d", i) }
	for i := range n {
		t.put(name(i), "")
	}
	d, err := t.OpenDir(ctx, "/d")
	t.must(err)
	var seen []string
	for i := 0; ; i++ {
		entries, err := d.Next(ctx, 7)
		for j := range entries {
			seen = append(seen, entries[j].Name)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		t.must(err)
		// Odd names come off, and names between the others come in.
		if k := 2*i + 1; k < n {
			t.must(t.Remove(ctx, name(k)))
			t.put(name(k)+"-new", "")
		}
	}
	t.must(d.Close(nil))
	slices.Sort(seen)
	if len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("listed twice: %q", seen)
	}
	for i := 0; i < n; i += 2 {
		if _, ok := slices.BinarySearch(seen, name(i)[3:]); !ok {
			t.Errorf("%s is missing", name(i))
		}
	}
}
