package fstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

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
