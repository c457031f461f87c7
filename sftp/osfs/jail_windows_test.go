package osfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const secret = "OUTSIDE-SECRET"

// windowsJail makes outer\bob, the root, with a file and a directory, and secrets beside it.
func windowsJail(t *testing.T, o Options) (s *FS, outer string) {
	t.Helper()
	outer = t.TempDir()
	for _, dir := range []string{"bob/d", "bob2"} {
		if err := os.MkdirAll(filepath.Join(outer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"bob/f": "inside", "bob/d/f": "inside", "secret": secret, "bob2/secret": secret} {
		if err := os.WriteFile(filepath.Join(outer, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(filepath.Join(outer, "bob"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, outer
}

// tree is all that is below dir, with contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		b.WriteString(p + " " + info.Mode().String())
		if !e.IsDir() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b.WriteString(" " + info.ModTime().String() + " " + string(text))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// refusedNames are those that Windows would take for something else than a file of that name
// in that directory.
func refusedNames(outer string) []string {
	names := []string{
		`..\secret`, `d\..\..\secret`, `..\bob2\secret`, `d\f`, `\`, `\Windows`, `\\?\C:\Windows`, `\\.\C:`, `\??\C:\Windows`,
		"C:", "C:f", "c:/Windows", `C:\Windows\win.ini`, "C:/Windows/win.ini", "/C:/Windows", "d/C:", "z:", "1:",
		"//server/share/f:x", `\\server\share\f`, `\\localhost\C$`, `\Device\NamedPipe\x`, `\\.\pipe\x`, `//./pipe/x:`,
		"f:stream", "f:stream:$DATA", "f::$DATA", "d:$I30:$INDEX_ALLOCATION", "d::$INDEX_ALLOCATION/f", ":x", "new:stream",
		"CON", "con", "NUL", "nul.txt", "d/NUL", "NUL/f", "AUX", "PRN", "COM1", "com9.log", "LPT1", "COM¹", "LPT³", "CONIN$", "CONOUT$", "d/COM1 ", "aux .txt", "NUL:",
		"f.", "f ", "f...", "f. .", "d./f", "d /f", " . ", "...", "d/...", "d/.. ./secret", ".. /secret", "...\\secret", "f.\t",
		"f*", "*", "?", "f?", "<", `d/>"`, "\"f", "a|b", "a\x01b", "a\x1f", "f\n",
		"a\xff", "\xed\xa0\x80\xed\xb0\x80", "\xc0\xaf", "d\xc0\xaf..", "f\x00", "f\x00.txt",
	}
	abs := filepath.Join(outer, "secret")
	return append(names, abs, filepath.ToSlash(abs), `\\?\`+abs, `\\.\`+abs, strings.Replace(abs, ":", "$", 1)+`\..\secret`)
}

// TestCVE_8_2_WindowsNames: no method takes a name for a drive, a share, a device, a stream or another name, with "/" or
// without in front; nothing outside changes, nothing inside either, and nothing outside is told.
func TestCVE_8_2_WindowsNames(t *testing.T) {
	s, outer := windowsJail(t, Options{AllowSetID: true, SetBits: true, Xattrs: true})
	before := tree(t, outer)
	ctx := t.Context()
	past := time.Unix(1e9, 0)
	for _, name := range refusedNames(outer) {
		for _, name := range []string{name, "/" + name, "d/../" + name} {
			opened := func(f sftp.File, err error) error {
				if err == nil {
					p := make([]byte, 64)
					n, rerr := f.ReadAt(p, 0)
					t.Errorf("%q is open: %q, %v", name, p[:n], rerr)
					_ = f.Close(nil)
				}
				return err
			}
			_, statErr := s.Stat(ctx, name, sftp.StatOpt{Follow: true, Want: math.MaxUint32})
			_, lstatErr := s.Stat(ctx, name, sftp.StatOpt{})
			_, linkErr := s.ReadLink(ctx, name)
			_, fsErr := s.StatFS(ctx, name)
			real, _, realErr := s.RealPath(ctx, name, sftp.RealPathOpt{})
			text, _, textErr := s.RealPath(ctx, name, sftp.RealPathOpt{Control: sftp.RealPathNoCheck})
			sub, subErr := s.Sub(name, Options{})
			if subErr == nil {
				_ = sub.Close()
			}
			d, dirErr := s.OpenDir(ctx, name)
			if dirErr == nil {
				_ = d.Close(nil)
			}
			var read, write, create error
			read = opened(s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting}))
			write = opened(s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate, Attrs: &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}}))
			create = opened(s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.CreateNew}))
			for what, err := range map[string]error{
				"stat": statErr, "lstat": lstatErr, "readlink": linkErr, "statvfs": fsErr, "realpath": realErr, "realpath text": textErr, "sub": subErr, "opendir": dirErr,
				"open": read, "create": write, "create new": create,
				"mkdir": s.Mkdir(ctx, name, nil), "rmdir": s.Rmdir(ctx, name), "remove": s.Remove(ctx, name),
				"rename from": s.Rename(ctx, name, "/moved", 0), "rename to": s.Rename(ctx, "/f", name, 0), "overwrite": s.Rename(ctx, "/f", name, sftp.RenameOverwrite),
				"link from": s.Link(ctx, name, "/linked", false), "link to": s.Link(ctx, "/f", name, false), "symlink at": s.Link(ctx, "f", name, true),
				"setstat": s.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrMtime | sftp.AttrSize, Mtime: past}, true),
			} {
				if err == nil {
					t.Errorf("%s of %q is done (%q, %q)", what, name, real, text)
				} else if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(filepath.Base(outer))) && !strings.Contains(name, filepath.Base(outer)) {
					t.Errorf("%s of %q tells %v", what, name, err)
				}
			}
			if after := tree(t, outer); after != before {
				t.Fatalf("%q changed\n%s\nto\n%s", name, before, after)
			}
		}
	}
}

// TestCVE_8_4_WindowsLinkTexts: no symlink can be made that names a drive, a share or a device; the working directory of
// the process on a drive is not told either.
func TestCVE_8_4_WindowsLinkTexts(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	for _, text := range []string{
		"C:", "C:x", `C:\Windows`, "C:/Windows", "c:../x", `\\server\share`, "//server/share", `/\server\share`, `\/server\share`, `\\?\C:\Windows`, `\??\C:\Windows`, `\\.\pipe\x`, "//./C:",
		`..\secret`, "../secret", `d\..\..\secret`, `..\..\Windows`, "f:stream",
	} {
		if err := s.Link(t.Context(), text, "/l", true); err == nil {
			t.Errorf("%q is a target", text)
		}
		if _, err := os.Lstat(filepath.Join(outer, "bob", "l")); err == nil {
			t.Fatalf("%q left something", text)
		}
	}
}

// TestCVE_8_5_WindowsRootInAnyLetters: the path of the root is cut off texts of links in whatever letters the host wrote it.
func TestCVE_8_5_WindowsRootInAnyLetters(t *testing.T) {
	s := &FS{hostRoots: []string{"C:/Jail/Bob"}}
	for text, want := range map[string]string{
		`C:\Jail\Bob\x`: "/x", "c:/jail/BOB": "/", "C:/jail/bob2/x": "C:/jail/bob2/x", "x": "x", "C:/Jail": "C:/Jail",
	} {
		if got := s.shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func write(t *testing.T, s *FS, name, text string) {
	t.Helper()
	f, err := s.Open(t.Context(), name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(text), 0)
	if err = errors.Join(err, f.Close(nil)); err != nil {
		t.Fatal(err)
	}
}

// names are those of the directory of the host that the jail shows as dir.
func names(t *testing.T, outer, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(outer, "bob", dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return list
}

// TestW22_LetterCase: names are found in any letters, RealPath tells the stored ones, and a rename can change them.
func TestW22_LetterCase(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	ctx := t.Context()
	write(t, s, "/d/Read Me.txt", "hello")
	for _, name := range []string{"/D/READ ME.TXT", "/d/read me.txt", "/D/Read Me.txt"} {
		real, a, err := s.RealPath(ctx, name, sftp.RealPathOpt{Control: sftp.RealPathStatAlways})
		if err != nil || real != "/d/Read Me.txt" || a.Size != 5 {
			t.Errorf("%s is %q, %v, %v", name, real, a, err)
		}
		if real, _, err = s.RealPath(ctx, name, sftp.RealPathOpt{NoFollow: true}); err != nil || real != "/d/Read Me.txt" {
			t.Errorf("%s, not followed, is %q, %v", name, real, err)
		}
	}
	for name, want := range map[string]string{"/D/New": "/d/New", "/New": "/New", "/D": "/d", "/": "/"} {
		if real, _, err := s.RealPath(ctx, name, sftp.RealPathOpt{}); err != nil || real != want {
			t.Errorf("%s is %q, %v, want %q", name, real, err, want)
		}
	}
	if _, _, err := s.RealPath(ctx, "/none/x", sftp.RealPathOpt{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("below nothing: %v", err)
	}
	for _, c := range []struct {
		from, to string
		flags    sftp.RenameFlags
		want     sftp.Code
	}{
		{"/d/read me.txt", "/D/README.txt", 0, sftp.CodeOK},
		{"/d/readme.txt", "/d/ReadMe.TXT", 0, sftp.CodeOK}, // other letters alone
		{"/d/ReadMe.TXT", "/d/F", 0, sftp.CodeFileAlreadyExists},
		{"/d/ReadMe.TXT", "/d/readme.txt", sftp.RenameOverwrite, sftp.CodeOK},
		{"/d", "/Dir", 0, sftp.CodeOK},
		{"/dir", "/DIR", 0, sftp.CodeOK},
		{"/dir", "/f", 0, sftp.CodeFileAlreadyExists},
		{"/none", "/x", 0, sftp.CodeNoSuchFile},
	} {
		if err := s.Rename(ctx, c.from, c.to, c.flags); sftp.CodeOf(err) != c.want {
			t.Errorf("rename %s to %s: %v, want %v", c.from, c.to, err, c.want)
		}
	}
	equal := slices.Equal[[]string]
	if !renamesLetters(t) {
		equal = func(a, b []string) bool { return slices.EqualFunc(a, b, strings.EqualFold) }
	}
	if got := names(t, outer, ""); !equal(got, []string{"DIR", "f"}) {
		t.Errorf("the root has %q", got)
	}
	if got := names(t, outer, "DIR"); !equal(got, []string{"f", "readme.txt"}) {
		t.Errorf("the directory has %q", got)
	}
}

// TestW22_OpenFiles: a file that is open can be renamed, overwritten by a rename, removed and read on.
func TestW22_OpenFiles(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	ctx := t.Context()
	write(t, s, "/new", "new")
	f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	read := func() string {
		p := make([]byte, 16)
		n, _ := f.ReadAt(p, 0)
		return string(p[:n])
	}
	if err := s.Rename(ctx, "/f", "/moved", 0); err != nil || read() != "inside" {
		t.Errorf("rename of an open file: %v, %q", err, read())
	}
	want, moved := sftp.CodeOK, "new"
	if !replacesOpen(t) { // then nothing may have changed
		want, moved = sftp.CodePermissionDenied, "inside"
	}
	if err := s.Rename(ctx, "/new", "/moved", sftp.RenameOverwrite|sftp.RenameAtomic); sftp.CodeOf(err) != want || read() != "inside" {
		t.Errorf("rename over an open file: %v, %q", err, read())
	}
	if text, err := os.ReadFile(filepath.Join(outer, "bob", "moved")); err != nil || string(text) != moved {
		t.Errorf("it is %q, %v", text, err)
	}
	g, err := s.Open(ctx, "/moved", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, "/moved"); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(ctx, "/moved", sftp.StatOpt{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its removal, open: %v", err)
	}
	if err := errors.Join(f.Close(nil), g.Close(nil)); err != nil {
		t.Error(err)
	}
	left := []string{"d"}
	if want != sftp.CodeOK {
		left = append(left, "new")
	}
	if got := names(t, outer, ""); !slices.Equal(got, left) {
		t.Errorf("the root has %q", got)
	}
}

// TestW22_TimesAndModes: times by name and by handle, also of a handle for reading; the write bits are the read-only
// attribute, with which a file can still be removed.
func TestW22_TimesAndModes(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	ctx := t.Context()
	at, mt := time.Unix(1e9, 0), time.Unix(1.1e9, 0)
	check := func(what string, wantA, wantM time.Time) {
		t.Helper()
		// By the host, and first: looking through the jail opens the file, which Wine takes for an access.
		info, err := os.Lstat(filepath.Join(outer, "bob", "f"))
		if err != nil {
			t.Fatal(err)
		}
		got := time.Unix(0, info.Sys().(*syscall.Win32FileAttributeData).LastAccessTime.Nanoseconds())
		if !wantA.IsZero() && !got.Equal(wantA) {
			t.Errorf("%s: accessed %v, want %v", what, got, wantA)
		}
		a, err := s.Stat(ctx, "/f", sftp.StatOpt{})
		if err != nil || !a.Mtime.Equal(wantM) {
			t.Errorf("%s: %v, want %v, %v", what, a.Mtime, wantM, err)
		}
	}
	both := sftp.AttrAtime | sftp.AttrMtime
	if err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: both, Atime: at, Mtime: mt}, true); err != nil {
		t.Fatal(err)
	}
	check("by name", at, mt)
	for i, access := range []sftp.Access{sftp.AccessReadData, sftp.AccessWriteData} {
		f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: access, Disposition: sftp.OpenExisting})
		if err != nil {
			t.Fatal(err)
		}
		at, mt := at.AddDate(0, 0, 1+i), mt.AddDate(0, 0, 1+i)
		if err := f.SetStat(ctx, &sftp.Attrs{Valid: both, Atime: at, Mtime: mt}); err != nil {
			t.Errorf("handle %d: %v", i, err)
		}
		check("by handle", at, mt)
		if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrMtime, Mtime: mt.Add(time.Hour)}); err != nil {
			t.Errorf("handle %d: %v", i, err)
		}
		check("one of them", time.Time{}, mt.Add(time.Hour))
		for _, bad := range []time.Time{time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(math.MinInt64/4, 0)} {
			if err := f.SetStat(ctx, &sftp.Attrs{Valid: both, Atime: bad, Mtime: bad}); err == nil {
				t.Errorf("%v was set", bad)
			}
			if err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrMtime, Mtime: bad}, false); err == nil {
				t.Errorf("%v was set", bad)
			}
		}
		check("after those", time.Time{}, mt.Add(time.Hour))
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
	}
	for _, mode := range []uint32{0o444, 0o644, 0o400} {
		if err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrMode, Mode: mode}, true); err != nil {
			t.Fatal(err)
		}
		a, err := s.Stat(ctx, "/f", sftp.StatOpt{Want: sftp.AttrsBasic | sftp.AttrBitsSet})
		readOnly := mode&0o200 == 0
		if err != nil || a.Mode&0o200 == 0 != readOnly || a.Bits&sftp.BitReadOnly != 0 != readOnly {
			t.Errorf("mode %o: %o, bits %x, %v", mode, a.Mode, a.Bits, err)
		}
	}
	want := sftp.CodePermissionDenied
	if f, err := os.OpenFile(filepath.Join(outer, "bob", "f"), os.O_WRONLY, 0); err == nil { // Wine, if root runs it
		_ = f.Close()
		want = sftp.CodeOK
	}
	f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting})
	if sftp.CodeOf(err) != want {
		t.Errorf("a read-only file opened for writing: %v, want %v", err, want)
	}
	if err == nil {
		_ = f.Close(nil)
	}
	f, err = s.Open(ctx, "/made", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew, Attrs: &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o444}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Errorf("to a new file that is read-only: %v", err)
	}
	if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o644}); err != nil {
		t.Errorf("by handle: %v", err)
	}
	_ = f.Close(nil)
	for _, name := range []string{"/f", "/made"} {
		if err := s.Remove(ctx, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(t, outer, ""); !slices.Equal(got, []string{"d"}) {
		t.Errorf("the root has %q", got)
	}
}

// TestW22_StatFS: room on the volume, by name and by handle.
func TestW22_StatFS(t *testing.T) {
	s, _ := windowsJail(t, Options{})
	for _, name := range []string{"/", "/d", "/f"} {
		info, err := s.StatFS(t.Context(), name)
		if err != nil || info.Blocks == 0 || info.Free > info.Blocks || info.FragmentSize == 0 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if _, err := s.StatFS(t.Context(), "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	f, err := s.Open(t.Context(), "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.StatFS(t.Context()); err != nil || info.Blocks == 0 {
		t.Errorf("by handle: %+v, %v", info, err)
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
}

// TestW22_Contents: reading, writing at any place, appending, cutting, listing; what another process has open for itself is
// a conflict.
func TestW22_Contents(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	ctx := t.Context()
	f, err := s.Open(ctx, "/größe 大.bin", &sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.CreateNew})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("tail"), 100_000)
	if err == nil {
		_, err = f.WriteAt(bytes.Repeat([]byte{1}, 40_000), 10)
	}
	if err = errors.Join(err, f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 100_002})); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	if n, _ := f.ReadAt(p, 100_000); string(p[:n]) != "ta" {
		t.Errorf("read %q", p[:n])
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
	for range 2 {
		f, err := s.Open(ctx, "/d/log", &sftp.OpenHow{Access: sftp.AccessAppendData | sftp.AccessWriteData, Disposition: sftp.OpenOrCreate, Flags: sftp.OpenAppend})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("line\n"), 0); err != nil {
			t.Error(err)
		}
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(outer, "bob", "d", "log")); err != nil || string(text) != "line\nline\n" {
		t.Errorf("the log is %q, %v", text, err)
	}
	d, err := s.OpenDir(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		list, err := d.Next(ctx, 2)
		for i := range list {
			got = append(got, list[i].Name)
			if list[i].Name == "größe 大.bin" && list[i].Attrs.Size != 100_002 {
				t.Errorf("%+v", list[i].Attrs)
			}
		}
		if err != nil {
			break
		}
	}
	_ = d.Close(nil)
	slices.Sort(got)
	if !slices.Equal(got, []string{"d", "f", "größe 大.bin"}) {
		t.Errorf("listed %q", got)
	}
	for what, c := range map[string]struct {
		err  error
		want sftp.Code
	}{
		"rmdir of a full directory": {s.Rmdir(ctx, "/d"), sftp.CodeDirNotEmpty}, "remove of a directory": {s.Remove(ctx, "/d"), sftp.CodeIsADirectory},
		"rmdir of a file": {s.Rmdir(ctx, "/f"), sftp.CodeNotADirectory}, "mkdir of what is there": {s.Mkdir(ctx, "/D", nil), sftp.CodeFileAlreadyExists},
		"below nothing": {s.Mkdir(ctx, "/no/d", nil), sftp.CodeNoSuchPath},
	} {
		if sftp.CodeOf(c.err) != c.want {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
	alone := openAlone(t, filepath.Join(outer, "bob", "f"))
	if _, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting}); sftp.CodeOf(err) != sftp.CodeLockConflict {
		t.Errorf("what another has for itself: %v", err)
	}
	alone()
}

// TestHardLinks: a second name of a file, and no overwriting by a rename that lost the race to a name.
func TestHardLinks(t *testing.T) {
	s, outer := windowsJail(t, Options{})
	ctx := t.Context()
	if err := s.Link(ctx, "/f", "/d/second", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(ctx, "/f", "/d/second", 0); sftp.CodeOf(err) != sftp.CodeFileAlreadyExists {
		t.Errorf("onto another name of itself: %v", err)
	}
	if err := s.Link(ctx, "/f", "/d/f", false); sftp.CodeOf(err) != sftp.CodeFileAlreadyExists {
		t.Errorf("onto what is there: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(outer, "bob", "d", "second")); err != nil || string(text) != "inside" {
		t.Errorf("%q, %v", text, err)
	}
}
