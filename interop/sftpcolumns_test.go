package interop

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// An sftpColumn is one operation of the tables by version.
type sftpColumn struct {
	name string
	run  func(x *sftpCell) error
}

// sftpColumns are what each client does in each version.
var sftpColumns = []sftpColumn{
	{"list", (*sftpCell).list},
	{"list10k", (*sftpCell).list10k},
	{"stat", (*sftpCell).stat},
	{"lstat", (*sftpCell).lstat},
	{"fstat", (*sftpCell).fstat},
	{"put, get", (*sftpCell).putGet},
	{"reput", (*sftpCell).reput},
	{"reget", (*sftpCell).reget},
	{"append", (*sftpCell).appendTo},
	{"text", (*sftpCell).textMode},
	{"create", (*sftpCell).create},
	{"rename", (*sftpCell).rename},
	{"overwrite", (*sftpCell).overwrite},
	{"posix-rename", (*sftpCell).posixRename},
	{"symlink", (*sftpCell).symlink},
	{"readlink", (*sftpCell).readlink},
	{"hard link", (*sftpCell).hardLink},
	{"mkdir", (*sftpCell).mkdir},
	{"remove", (*sftpCell).remove},
	{"chmod", (*sftpCell).chmod},
	{"chown", (*sftpCell).chown},
	{"utimes", (*sftpCell).utimes},
	{"truncate", (*sftpCell).truncate},
	{"realpath", (*sftpCell).realpath},
	{"composed", (*sftpCell).composed},
	{"names", (*sftpCell).names},
	{"no file", (*sftpCell).noFile},
	{"exists", (*sftpCell).exists},
	{"not empty", (*sftpCell).notEmpty},
	{"denied", (*sftpCell).denied},
	{"locks", (*sftpCell).locks},
	{"check-file", (*sftpCell).checkFile},
	{"md5-hash", (*sftpCell).md5Hash},
	{"copy-file", (*sftpCell).copyFile},
	{"copy-data", (*sftpCell).copyData},
	{"space", (*sftpCell).space},
	{"statvfs", (*sftpCell).statvfs},
	{"limits", (*sftpCell).limits},
	{"fsync", (*sftpCell).fsync},
	{"home", (*sftpCell).home},
	{"expand", (*sftpCell).expand},
}

// The status codes of the drafts that the columns ask for.
const (
	codeNoSuchFile       = 2
	codePermissionDenied = 3
	codeFailure          = 4
	codeNoConnection     = 6 // what a client says when
	codeConnectionLost   = 7 // there is none
	codeFileExists       = 11
	codeLockConflict     = 17
	codeDirNotEmpty      = 18
	codeCannotDelete     = 22
	codeLockRefused      = 26
	codeNoMatchingLock   = 31
)

// since returns code where the version has it, and else the failure that says nothing.
func (x *sftpCell) since(version, code int) int {
	if x.version >= version {
		return code
	}
	return codeFailure
}

// do has the client do o, and fails unless it does.
func (x *sftpCell) do(o op) (answer, error) {
	a, err := x.try(o)
	if err == nil && a.has("code") {
		err = fmt.Errorf("%s: code %s: %s", o, a.text("code"), a.text("error"))
	}
	return a, err
}

// all is do of several.
func (x *sftpCell) all(ops ...op) error {
	for _, o := range ops {
		if _, err := x.do(o); err != nil {
			return err
		}
	}
	return nil
}

// refused has the client do what the server must refuse with the code.
func (x *sftpCell) refused(code int, o op) error {
	if x.code != 0 {
		code = x.code
		x.note = fmt.Sprintf("ok, code %d", code)
	}
	a, err := x.try(o)
	switch {
	case err != nil:
		return err
	case !a.has("code"):
		return fmt.Errorf("%s: done, want it refused", o)
	case a.code() != code:
		return fmt.Errorf("%s: code %s (%s), want %d", o, a.text("code"), a.text("error"), code)
	}
	return nil
}

// file writes a file on the server, past the client, and returns its name there.
func (x *sftpCell) file(name string, data []byte) error {
	there := filepath.Join(x.there, name)
	return errors.Join(os.WriteFile(there, data, 0o644), x.give(there))
}

// dir makes a directory on the server, past the client.
func (x *sftpCell) dir(name string) error {
	there := filepath.Join(x.there, name)
	return errors.Join(os.Mkdir(there, 0o755), x.give(there))
}

// give makes the server's user the owner.
func (x *sftpCell) give(there string) error {
	if x.root {
		return nil
	}
	return giveOrdinary(there)
}

// local writes a local file and returns its name.
func (x *sftpCell) local(name string, data []byte) (string, error) {
	here := filepath.Join(x.here, name)
	return here, os.WriteFile(here, data, 0o644)
}

func (x *sftpCell) in(name string) string { return path.Join(x.remote, name) }

func (x *sftpCell) list() error {
	err := errors.Join(
		x.file("one", []byte("1")), x.file("two.txt", make([]byte, 12345)), x.dir("three"),
		os.Symlink("one", filepath.Join(x.there, "four")))
	if err != nil {
		return err
	}
	a, err := x.do(op{verb: "list", path: x.remote})
	if err != nil {
		return err
	}
	if err := wantNames(a["name"], []string{"one", "two.txt", "three", "four"}); err != nil {
		return err
	}
	types := a.numbers()
	if len(types) == 0 {
		return nil // the client shows none
	}
	want := map[string]int{"one": 1, "two.txt": 1, "three": 2, "four": 3}
	for i, name := range a["name"] {
		if types[i] != want[name] {
			return fmt.Errorf("%s is listed with type %d, want %d", name, types[i], want[name])
		}
	}
	return nil
}

func (x *sftpCell) list10k() error {
	a, err := x.do(op{verb: "list", path: x.many})
	if err != nil {
		return err
	}
	var want []string
	for i := range manyEntries {
		want = append(want, manyName(i))
	}
	return wantNames(a["name"], want)
}

// fine is a time with a fraction that whole microseconds do not hold, so that every rounding shows.
var fine = past.Add(123_456_789 * time.Nanosecond)

// wantAttrs compares what the client tells of a file with what is there.
func (x *sftpCell) wantAttrs(a answer, typ int, name string) error {
	info, err := os.Lstat(filepath.Join(x.there, name))
	if err != nil {
		return err
	}
	system := info.Sys().(*syscall.Stat_t)
	at := info.ModTime()
	want := map[string]string{
		"type": fmt.Sprint(typ), "size": fmt.Sprint(info.Size()), "mtime": fmt.Sprint(at.Unix()),
		"mode": fmt.Sprint(uint32(info.Mode().Perm())),
		"uid":  fmt.Sprint(system.Uid), "gid": fmt.Sprint(system.Gid),
		"owner": x.owner(int(system.Uid)), "group": x.group(int(system.Gid)),
		"nlink": fmt.Sprint(system.Nlink),
	}
	must := []string{"type", "mode", "mtime"}
	if typ == 1 {
		must = append(must, "size")
	}
	if x.version >= 4 {
		must = append(must, "owner", "group")
		if !x.seconds && !x.tellsSeconds {
			must = append(must, "mtime_ns")
		}
	} else {
		must = append(must, "uid", "gid")
	}
	var errs []error
	for _, key := range must {
		if !a.has(key) && !x.coarse {
			errs = append(errs, fmt.Errorf("no %s", key))
		}
	}
	for key, value := range want {
		if a.has(key) && a.text(key) != value {
			errs = append(errs, fmt.Errorf("%s is %s, want %s", key, a.text(key), value))
		}
	}
	if a.has("mtime_ns") && x.version >= 4 && !x.seconds && !x.tellsSeconds {
		if got, want := a.text("mtime_ns"), fmt.Sprint(at.Nanosecond()); got != want {
			errs = append(errs, fmt.Errorf("mtime_ns is %s, want %s", got, want))
		}
	}
	return errors.Join(errs...)
}

// statFile makes a file that shows every attribute.
func (x *sftpCell) statFile() error {
	there := filepath.Join(x.there, "f")
	return errors.Join(
		x.file("f", make([]byte, 12345)), os.Chmod(there, 0o640),
		os.Link(there, filepath.Join(x.there, "second")), os.Chtimes(there, fine, fine),
		os.Symlink("f", filepath.Join(x.there, "link")), x.give(filepath.Join(x.there, "link")))
}

func (x *sftpCell) stat() error {
	if err := x.statFile(); err != nil {
		return err
	}
	a, err := x.do(op{verb: "stat", path: x.in("link")}) // follows
	if err == nil {
		err = x.wantAttrs(a, 1, "f")
	}
	if err != nil {
		return err
	}
	if a, err = x.do(op{verb: "stat", path: x.remote}); err != nil {
		return err
	}
	return x.wantAttrs(a, 2, ".")
}

func (x *sftpCell) lstat() error {
	if err := x.statFile(); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		typ  int
	}{{"f", 1}, {"link", 3}} {
		a, err := x.do(op{verb: "lstat", path: x.in(f.name)})
		if err == nil {
			err = x.wantAttrs(a, f.typ, f.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *sftpCell) fstat() error {
	if err := x.statFile(); err != nil {
		return err
	}
	a, err := x.do(op{verb: "fstat", path: x.in("f")})
	if err != nil {
		return err
	}
	return x.wantAttrs(a, 1, "f")
}

func (x *sftpCell) putGet() error {
	for _, n := range []int{0, 1, 32768, 32769, 300_001, 255*1024 + 1, 2<<20 + 13} {
		name := fmt.Sprint(n)
		here, err := x.local(name, sample(n))
		if err != nil {
			return err
		}
		if err := x.all(op{verb: "put", local: here, path: x.in(name)}, op{verb: "get", path: x.in(name), local: here + ".back"}); err != nil {
			return err
		}
		if err := errors.Join(wantFile(filepath.Join(x.there, name), sample(n)), wantFile(here+".back", sample(n))); err != nil {
			return err
		}
	}
	return nil
}

// resume writes data, and a first part of it elsewhere that differs in one octet: who sends all of it again is told
// from who resumes. A client that would find out gets a true part, and must tell how much of it was kept.
func (x *sftpCell) resume(o op, first, whole func(data []byte) error, result string) error {
	data := sample(1_000_003)
	want := slices.Clone(data)
	if !x.verifies {
		want[100] ^= 0xff
	}
	if err := errors.Join(whole(data), first(want[:400_001])); err != nil {
		return err
	}
	a, err := x.do(o)
	if err != nil {
		return err
	}
	if x.verifies {
		if n := a.numbers(); len(n) != 1 || n[0] == 0 {
			return fmt.Errorf("%s: %v octets kept of 400001", o, n)
		}
		x.note = "ok, by " + a.text("text")
	}
	return wantFile(result, want)
}

func (x *sftpCell) reput() error {
	here := filepath.Join(x.here, "f")
	return x.resume(op{verb: "reput", local: here, path: x.in("f")},
		func(data []byte) error { return x.file("f", data) },
		func(data []byte) error { return os.WriteFile(here, data, 0o644) },
		filepath.Join(x.there, "f"))
}

func (x *sftpCell) reget() error {
	here := filepath.Join(x.here, "f")
	return x.resume(op{verb: "reget", path: x.in("f"), local: here},
		func(data []byte) error { return os.WriteFile(here, data, 0o644) },
		func(data []byte) error { return x.file("f", data) },
		here)
}

func (x *sftpCell) appendTo() error {
	here, err := x.local("f", []byte("more"))
	if err := errors.Join(err, x.file("f", []byte("some and "))); err != nil {
		return err
	}
	if err := x.all(op{verb: "append", local: here, path: x.in("f")}); err != nil {
		return err
	}
	return wantFile(filepath.Join(x.there, "f"), []byte("some and more"))
}

// textMode moves a text of a Unix client to a Unix server and back: nothing must change, whatever the line ends look
// like on the way.
func (x *sftpCell) textMode() error {
	text := []byte("one\ntwo\n\nfour ends without a line end: ü")
	here, err := x.local("f", text)
	if err != nil {
		return err
	}
	err = x.all(
		op{verb: "put", local: here, path: x.in("f"), args: args{"text": 1}},
		op{verb: "get", path: x.in("f"), local: here + ".back", args: args{"text": 1}})
	if err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(x.there, "f"), text), wantFile(here+".back", text))
}

func (x *sftpCell) create() error {
	if err := x.file("old", []byte("old")); err != nil {
		return err
	}
	if err := x.all(op{verb: "create", path: x.in("new")}); err != nil {
		return err
	}
	if err := x.refused(x.since(4, codeFileExists), op{verb: "create", path: x.in("old")}); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(x.there, "new"), []byte("new")), wantFile(filepath.Join(x.there, "old"), []byte("old")))
}

func (x *sftpCell) rename() error {
	if err := errors.Join(x.file("old", []byte("data")), x.file("other", []byte("other"))); err != nil {
		return err
	}
	if err := x.all(op{verb: "rename", path: x.in("old"), to: x.in("new")}); err != nil {
		return err
	}
	if err := errors.Join(wantFile(filepath.Join(x.there, "new"), []byte("data")), wantGone(filepath.Join(x.there, "old"))); err != nil {
		return err
	}
	if err := x.refused(x.since(4, codeFileExists), op{verb: "rename", path: x.in("new"), to: x.in("other")}); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(x.there, "new"), []byte("data")), wantFile(filepath.Join(x.there, "other"), []byte("other")))
}

func (x *sftpCell) overwrite() error {
	return x.over(op{verb: "rename", path: x.in("old"), to: x.in("other"), args: args{"overwrite": 1}})
}

func (x *sftpCell) posixRename() error {
	return x.over(op{verb: "posixrename", path: x.in("old"), to: x.in("other")})
}

func (x *sftpCell) over(o op) error {
	if err := errors.Join(x.file("old", []byte("data")), x.file("other", []byte("other"))); err != nil {
		return err
	}
	if err := x.all(o); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(x.there, "other"), []byte("data")), wantGone(filepath.Join(x.there, "old")))
}

// symlink looks at the link itself: which of the two names is which is what servers get wrong.
func (x *sftpCell) symlink() error {
	if err := x.file("target", []byte("x")); err != nil {
		return err
	}
	if err := x.all(op{verb: "symlink", path: x.in("link"), to: "target"}); err != nil {
		return err
	}
	to, err := os.Readlink(filepath.Join(x.there, "link"))
	if err == nil && to != "target" {
		err = fmt.Errorf("link points to %q, want %q", to, "target")
	}
	return err
}

func (x *sftpCell) readlink() error {
	if err := os.Symlink("no such/target", filepath.Join(x.there, "link")); err != nil {
		return err
	}
	return x.wantText("no such/target", op{verb: "readlink", path: x.in("link")})
}

func (x *sftpCell) wantText(want string, o op) error {
	a, err := x.do(o)
	if err == nil && a.text("text") != want {
		err = fmt.Errorf("%s: %q, want %q", o, a.text("text"), want)
	}
	return err
}

func (x *sftpCell) hardLink() error {
	if err := x.file("old", []byte("x")); err != nil {
		return err
	}
	if err := x.all(op{verb: "link", path: x.in("new"), to: x.in("old")}); err != nil {
		return err
	}
	a, err := os.Stat(filepath.Join(x.there, "old"))
	if err != nil {
		return err
	}
	b, err := os.Lstat(filepath.Join(x.there, "new"))
	if err == nil && !os.SameFile(a, b) {
		err = errors.New("the new name is another file")
	}
	return err
}

func (x *sftpCell) mkdir() error {
	if err := x.all(op{verb: "mkdir", path: x.in("d"), args: args{"mode": 0o750}}); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(x.there, "d"))
	if err != nil {
		return err
	}
	if want := os.ModeDir | 0o750; info.Mode() != want && !x.coarse {
		return fmt.Errorf("the directory is %v, want %v", info.Mode(), want)
	}
	if err := x.all(op{verb: "rmdir", path: x.in("d")}); err != nil {
		return err
	}
	return wantGone(filepath.Join(x.there, "d"))
}

func (x *sftpCell) remove() error {
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	if err := x.all(op{verb: "remove", path: x.in("f")}); err != nil {
		return err
	}
	return wantGone(filepath.Join(x.there, "f"))
}

func (x *sftpCell) chmod() error {
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	if err := x.all(op{verb: "chmod", path: x.in("f"), args: args{"mode": 0o751}}); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(x.there, "f"))
	if err == nil && info.Mode() != 0o751 {
		err = fmt.Errorf("mode is %v, want 0751", info.Mode())
	}
	return err
}

// chown gives a file to whom it belongs, which everybody may do, and to root, which nobody may.
func (x *sftpCell) chown() error {
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(x.there, "f"))
	if err != nil {
		return err
	}
	system := info.Sys().(*syscall.Stat_t)
	to := func(uid, gid int) op {
		return op{verb: "chown", path: x.in("f"), args: args{"uid": uid, "gid": gid, "owner": x.owner(uid), "group": x.group(gid)}}
	}
	if err := x.all(to(int(system.Uid), int(system.Gid))); err != nil {
		return err
	}
	if system.Uid == 0 {
		return nil
	}
	return x.refused(codePermissionDenied, to(0, 0))
}

func (x *sftpCell) utimes() error {
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	read, written := fine.Add(time.Hour), fine
	if err := x.all(op{verb: "utimes", path: x.in("f"), args: args{
		"atime": read.Unix(), "atime_ns": read.Nanosecond(), "mtime": written.Unix(), "mtime_ns": written.Nanosecond(),
	}}); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(x.there, "f"))
	if err != nil {
		return err
	}
	system := info.Sys().(*syscall.Stat_t)
	for _, t := range []struct {
		name      string
		got, want time.Time
	}{
		{"read", time.Unix(system.Atim.Unix()), read}, {"written", info.ModTime(), written},
	} {
		if x.version < 4 || x.seconds {
			t.want = t.want.Truncate(time.Second)
		}
		if !t.got.Equal(t.want) {
			err = errors.Join(err, fmt.Errorf("%s at %v, want %v", t.name, t.got.UTC(), t.want.UTC()))
		}
	}
	return err
}

func (x *sftpCell) truncate() error {
	if err := x.file("f", []byte("0123456789")); err != nil {
		return err
	}
	size := func(n int) op { return op{verb: "truncate", path: x.in("f"), args: args{"size": n}} }
	if err := x.all(size(4)); err != nil {
		return err
	}
	if err := wantFile(filepath.Join(x.there, "f"), []byte("0123")); err != nil {
		return err
	}
	if err := x.all(size(6)); err != nil {
		return err
	}
	return wantFile(filepath.Join(x.there, "f"), []byte("0123\x00\x00"))
}

func (x *sftpCell) realpath() error {
	if err := x.dir("d"); err != nil {
		return err
	}
	return x.wantText(x.in("d"), op{verb: "realpath", path: x.remote + "/./d/../d/"})
}

func (x *sftpCell) composed() error {
	if err := x.dir("d"); err != nil {
		return err
	}
	return x.wantText(x.in("d/e"), op{verb: "composed", path: x.remote, to: "x|../d|e"})
}

func (x *sftpCell) names() error {
	dir := "Übung 1"
	if err := x.dir(dir); err != nil {
		return err
	}
	names := []string{"a name with  spaces.txt", "Grüße aus Köln.txt", "日本語 ☃ Ελλάδα.txt", "it's & so on;$x.txt"}
	for i, name := range names {
		here, err := x.local(name, sample(1000+i))
		if err != nil {
			return err
		}
		remote := x.in(path.Join(dir, name))
		if err := x.all(op{verb: "put", local: here, path: remote}, op{verb: "get", path: remote, local: here + ".back"}); err != nil {
			return err
		}
		if err := errors.Join(wantFile(filepath.Join(x.there, dir, name), sample(1000+i)), wantFile(here+".back", sample(1000+i))); err != nil {
			return err
		}
	}
	a, err := x.do(op{verb: "list", path: x.in(dir)})
	if err != nil {
		return err
	}
	return wantNames(a["name"], names)
}

func (x *sftpCell) noFile() error {
	return x.refused(codeNoSuchFile, op{verb: "remove", path: x.in("none")})
}

func (x *sftpCell) exists() error {
	if err := x.dir("d"); err != nil {
		return err
	}
	return x.refused(x.since(4, codeFileExists), op{verb: "mkdir", path: x.in("d"), args: args{"mode": 0o755}})
}

func (x *sftpCell) notEmpty() error {
	if err := errors.Join(x.dir("d"), x.file("d/f", nil)); err != nil {
		return err
	}
	return x.refused(x.since(6, codeDirNotEmpty), op{verb: "rmdir", path: x.in("d")})
}

func (x *sftpCell) denied() error {
	if x.root {
		return &notApplicableError{"the server's user is root, who is denied nothing"}
	}
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(x.there, "f"), 0); err != nil {
		return err
	}
	return x.refused(codePermissionDenied, op{verb: "get", path: x.in("f"), local: filepath.Join(x.here, "f")})
}

// owner and group are what a server calls a user and a group in version 4 and later.
func (x *sftpCell) owner(uid int) string {
	if uid == ordinaryID && x.login != "" {
		return x.login
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil || x.numeric {
		return strconv.Itoa(uid)
	}
	return u.Username
}

func (x *sftpCell) group(gid int) string {
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil || x.numeric {
		return strconv.Itoa(gid)
	}
	return g.Name
}
