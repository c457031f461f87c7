package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// params are the parameters of an event by the names that the parity list has for them.
type params map[string]string

// seen is an event that was delivered.
type seen struct {
	name string
	params
}

// recorder keeps the events of files.
type recorder struct {
	mu   sync.Mutex
	list []seen
}

func (r *recorder) add(name string, e *sftpserver.FileEvent, more ...params) {
	p := params{"connectionId": e.ConnectionID(), "user": e.User, "path": e.Path, "statusCode": fmt.Sprint(uint32(e.Status))}
	for _, m := range more {
		maps.Copy(p, m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, seen{name, p})
}

// take returns the events since the last time, of one name if there is one.
func (r *recorder) take(name string) []params {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []params
	for _, e := range r.list {
		if name == "" || e.name == name {
			list = append(list, e.params)
		}
	}
	r.list = nil
	return list
}

// names are the events since the last time, with "+" before an operation and "-" after it.
func (r *recorder) names() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.list {
		mark := map[string]string{"true": "+", "false": "-"}[e.params["beforeExec"]]
		list = append(list, mark+e.name+"("+e.params["path"]+")"+map[bool]string{true: "", false: "=" + e.params["statusCode"]}[e.params["statusCode"] == "0"])
	}
	r.list = nil
	return strings.Join(list, " ")
}

func before(b bool) params { return params{"beforeExec": fmt.Sprint(b)} }

// attrParams are the parameters that events with attributes have; those that are not valid are left out.
func attrParams(a *sftp.Attrs) params {
	p := params{"fileType": fmt.Sprint(uint8(a.Type())), "otherAttributes": a.Other()}
	for _, row := range []struct {
		name  string
		need  sftp.AttrMask
		value string
	}{
		{"fileSize", sftp.AttrSize, fmt.Sprint(a.Size)},
		{"filePermissions", sftp.AttrMode, fmt.Sprintf("%o", a.Mode&sftp.ModePerm)},
		{"fileATime", sftp.AttrAtime, fmt.Sprint(a.Millis(sftp.AttrAtime))},
		{"fileCreateTime", sftp.AttrBirth, fmt.Sprint(a.Millis(sftp.AttrBirth))},
		{"fileMTime", sftp.AttrMtime, fmt.Sprint(a.Millis(sftp.AttrMtime))},
		{"fileAttribBits", sftp.AttrBitsSet, fmt.Sprint(uint32(a.Bits))},
		{"fileAttribBitsValid", sftp.AttrBitsSet, fmt.Sprint(uint32(a.BitsValid))},
		{"FileMimeType", sftp.AttrMIME, a.MIME},
	} {
		if a.Has(row.need) {
			p[row.name] = row.value
		}
	}
	if s := a.OwnerText(); s != "" {
		p["fileOwner"] = s
	}
	if s := a.GroupText(); s != "" {
		p["fileGroup"] = s
	}
	return p
}

// record sets all handlers of s that it has none for.
func record(s *sftpserver.Server) *recorder {
	r := new(recorder)
	set(&s.DirCreate, func(e *sftpserver.DirCreateEvent) {
		r.add("DirCreate", &e.FileEvent, before(e.Before), attrParams(&e.Attrs))
	})
	set(&s.DirList, func(e *sftpserver.DirListEvent) { r.add("DirList", &e.FileEvent, before(e.Before)) })
	set(&s.DirRemove, func(e *sftpserver.DirRemoveEvent) { r.add("DirRemove", &e.FileEvent, before(e.Before)) })
	set(&s.FileOpen, func(e *sftpserver.FileOpenEvent) {
		r.add("FileOpen", &e.FileEvent, before(e.Before), attrParams(&e.Attrs), params{
			"desiredAccess": fmt.Sprint(e.DesiredAccess), "flags": fmt.Sprint(e.Flags), "rawFlags": fmt.Sprint(e.RawFlags), "handle": e.Handle,
		})
	})
	set(&s.FileRead, func(e *sftpserver.FileReadEvent) {
		r.add("FileRead", &e.FileEvent, params{"handle": e.Handle, "fileOffset": fmt.Sprint(e.Offset), "length": fmt.Sprint(e.Length), "data": string(e.Data)})
	})
	set(&s.FileWrite, func(e *sftpserver.FileWriteEvent) {
		r.add("FileWrite", &e.FileEvent, before(e.Before), params{"handle": e.Handle, "fileOffset": fmt.Sprint(e.Offset), "data": string(e.Data)})
	})
	set(&s.FileClose, func(e *sftpserver.FileCloseEvent) {
		r.add("FileClose", &e.FileEvent, params{
			"handle": e.Handle, "complete": fmt.Sprint(e.Complete), "dir": fmt.Sprint(e.Dir), "read": fmt.Sprint(e.Read), "written": fmt.Sprint(e.Written),
			"writes": fmt.Sprint(e.Writes),
		})
	})
	set(&s.FileRemove, func(e *sftpserver.FileRemoveEvent) { r.add("FileRemove", &e.FileEvent, before(e.Before)) })
	set(&s.FileRename, func(e *sftpserver.FileRenameEvent) {
		r.add("FileRename", &e.FileEvent, before(e.Before), params{"newPath": e.NewPath, "flags": fmt.Sprint(uint32(e.Flags))})
	})
	set(&s.GetAttributes, func(e *sftpserver.GetAttributesEvent) {
		r.add("GetAttributes", &e.FileEvent, attrParams(&e.Attrs), params{"flags": fmt.Sprint(uint32(e.Flags)), "link": fmt.Sprint(e.Link)})
	})
	set(&s.SetAttributes, func(e *sftpserver.SetAttributesEvent) {
		r.add("SetAttributes", &e.FileEvent, before(e.Before), attrParams(&e.Attrs))
	})
	set(&s.ResolvePath, func(e *sftpserver.ResolvePathEvent) {
		r.add("ResolvePath", &e.FileEvent, params{"originalPath": e.OriginalPath, "controlFlags": fmt.Sprint(uint8(e.ControlFlags)), "realPath": e.RealPath})
	})
	set(&s.LinkRead, func(e *sftpserver.LinkReadEvent) { r.add("LinkRead", &e.FileEvent, params{"target": e.Target}) })
	set(&s.LinkCreate, func(e *sftpserver.LinkCreateEvent) {
		r.add("LinkCreate", &e.FileEvent, before(e.Before), params{"target": e.Target, "symbolic": fmt.Sprint(e.Symbolic)})
	})
	set(&s.Extended, func(e *sftpserver.ExtendedEvent) {
		r.add("Extended", &e.FileEvent, params{"request": e.Request, "data": string(e.Data)})
	})
	return r
}

func set[F any](field *func(F), f func(F)) {
	if *field == nil {
		*field = f
	}
}

// tree makes s serve a tree in memory, which has all attributes.
func tree(s *sftpserver.Server) *memfs.FS {
	t := memfs.New(memfs.Options{})
	s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return t, nil }
	return t
}

// eachVersion runs f with a server for each version of the protocol, a client of it, and what prepare answered
// before it started.
func eachVersion[T any](t *testing.T, prepare func(*sftpserver.Server) T, f func(t *testing.T, c *sftp.Client, v int, x T)) {
	for v := sftp.Version3; v <= sftp.Version6; v++ {
		t.Run(strconv.Itoa(v), func(t *testing.T) {
			s := sftpserver.New()
			s.ProtocolVersion = v
			x := prepare(s)
			start(t, s)
			c := connect(t, s)
			if c.Version() != v {
				t.Fatalf("version %d, want %d", c.Version(), v)
			}
			f(t, c, v, x)
		})
	}
}

// observed is a prepare that records everything.
func observed(s *sftpserver.Server) *recorder {
	tree(s)
	return record(s)
}

// check compares events with what is wanted of them, parameter by parameter, both ways but for those in any.
func check(t *testing.T, got []params, want ...params) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %v", len(got), len(want), got)
	}
	for i := range got {
		w := params{"connectionId": "1", "user": "alice", "statusCode": "0"}
		maps.Copy(w, want[i])
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if g, ok := got[i][name]; w[name] != "*" && (g != w[name] || !ok) {
				t.Errorf("event %d: %s is %q, want %q", i, name, g, w[name])
			}
		}
		for name := range got[i] {
			if _, ok := w[name]; !ok && got[i][name] != "" {
				t.Errorf("event %d: %s is %q, and is not to be", i, name, got[i][name])
			}
		}
	}
}

// and puts parameters together.
func and(list ...params) params {
	all := params{}
	for _, p := range list {
		maps.Copy(all, p)
	}
	return all
}

// asked are attributes that a client of version v can set, and what events say of them.
func asked(v int, typ sftp.Type) (*sftp.Attrs, params) {
	var a sftp.Attrs
	a.SetMode(0o640)
	a.SetMillis(sftp.AttrAtime, 1_000_000_000_000)
	a.SetMillis(sftp.AttrMtime, 1_100_000_000_000)
	a.SetOwner("7", "8")
	a.SetSize(123)
	want := params{"fileSize": "123", "fileType": "1", "filePermissions": "640", "fileATime": "1000000000000", "fileMTime": "1100000000000", "fileOwner": "7", "fileGroup": "8"}
	if v == sftp.Version3 {
		return &a, want
	}
	a.SetType(typ)
	a.SetMillis(sftp.AttrBirth, 900_000_000_000)
	a.Atime = a.Atime.Add(5)
	a.Valid |= sftp.AttrSubsecond
	want["fileType"] = fmt.Sprint(uint8(typ))
	want["fileCreateTime"], want["otherAttributes"] = "900000000000", "ATimeNS=5;CreateTimeNS=0;MTimeNS=0"
	if v >= sftp.Version6 { // in version 5 our client sends no bits, since servers differ on how
		a.SetBits(sftp.BitHidden, sftp.BitHidden|sftp.BitArchive)
		want["fileAttribBits"], want["fileAttribBitsValid"] = "4", "20"
		a.MIME, a.Allocation, a.Valid = "text/x-test", 1<<20, a.Valid|sftp.AttrMIME|sftp.AttrAllocation
		want["FileMimeType"], want["otherAttributes"] = "text/x-test", "MIMEType=text/x-test;AllocationSize=1048576;"+want["otherAttributes"]
	}
	return &a, want
}

// untyped is the type of a file of which the client says nothing: unknown, for which version 3 has no word.
func untyped(v int) string { return map[bool]string{true: "1", false: "5"}[v == sftp.Version3] }

func TestDirCreateEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		a, want := asked(v, sftp.TypeDirectory)
		if v >= sftp.Version6 {
			a.Valid &^= sftp.AttrAllocation // which directories have not
			want["otherAttributes"] = strings.Replace(want["otherAttributes"], "AllocationSize=1048576;", "", 1)
		}
		if err := c.Mkdir(t.Context(), "/a/../dir", a); err != nil {
			t.Fatal(err)
		}
		want["path"] = "/dir"
		check(t, r.take("DirCreate"), and(want, before(true)), and(want, before(false)))
		if err := c.Mkdir(t.Context(), "dir", nil); err == nil {
			t.Fatal("made twice")
		}
		code := fmt.Sprint(uint32(sftp.CodeFileAlreadyExists))
		typ := untyped(v)
		check(t, r.take("DirCreate"), params{"path": "/dir", "beforeExec": "true", "fileType": typ},
			params{"path": "/dir", "beforeExec": "false", "fileType": typ, "statusCode": code})
	})
}

func TestDirListEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		if err := c.Mkdir(t.Context(), "/dir", nil); err != nil {
			t.Fatal(err)
		}
		r.take("")
		if _, err := c.ReadDirAll(t.Context(), "/dir/."); err != nil {
			t.Fatal(err)
		}
		if got, want := r.names(), "+DirList(/dir) -DirList(/dir) FileClose(/dir)"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if _, err := c.ReadDirAll(t.Context(), "/none"); err == nil {
			t.Fatal("listed")
		}
		check(t, r.take("DirList"), params{"path": "/none", "beforeExec": "true"}, params{"path": "/none", "beforeExec": "false", "statusCode": "2"})
	})
}

func TestDirRemoveEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		if err := c.Mkdir(t.Context(), "/dir", nil); err != nil {
			t.Fatal(err)
		}
		r.take("")
		if err := c.Rmdir(t.Context(), "/dir"); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("DirRemove"), params{"path": "/dir", "beforeExec": "true"}, params{"path": "/dir", "beforeExec": "false"})
		if err := c.Rmdir(t.Context(), "/dir"); err == nil {
			t.Fatal("removed twice")
		}
		check(t, r.take("DirRemove"), params{"path": "/dir", "beforeExec": "true"}, params{"path": "/dir", "beforeExec": "false", "statusCode": "2"})
	})
}

func TestFileRemoveEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		put(t, c, "/f", "x")
		r.take("")
		if err := c.Remove(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("FileRemove"), params{"path": "/f", "beforeExec": "true"}, params{"path": "/f", "beforeExec": "false"})
		if err := c.Remove(t.Context(), "/f"); err == nil {
			t.Fatal("removed twice")
		}
		check(t, r.take("FileRemove"), params{"path": "/f", "beforeExec": "true"}, params{"path": "/f", "beforeExec": "false", "statusCode": "2"})
	})
}

// put writes a file in one piece, with one OPEN, one WRITE and one CLOSE.
func put(t testing.TB, c *sftp.Client, name, content string) {
	t.Helper()
	f, err := c.OpenFile(t.Context(), name, sftp.OpenHow{Access: sftp.AccessWriteData | sftp.AccessWriteAttrs, Disposition: sftp.CreateTruncate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// get reads up to n octets of a file.
func get(t testing.TB, c *sftp.Client, name string, n int) (string, error) {
	t.Helper()
	f, err := c.Open(t.Context(), name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p := make([]byte, n)
	m, err := f.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(p[:m]), err
}

func TestFileOpenEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		a, want := asked(v, sftp.TypeRegular)
		how := sftp.OpenHow{Access: sftp.AccessWriteData | sftp.AccessReadData, Disposition: sftp.CreateTruncate, Attrs: a}
		f, err := c.OpenFile(t.Context(), "/d/../f", how)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const flags = sftp.PRead | sftp.PWrite | sftp.PCreate | sftp.PTrunc
		want = and(want, params{"path": "/f", "handle": "1", "flags": fmt.Sprint(uint32(flags))})
		if v >= sftp.Version5 {
			want["desiredAccess"], want["rawFlags"] = "3", "1" // CREATE_TRUNCATE
		} else {
			want["desiredAccess"], want["rawFlags"] = fmt.Sprint(0x183), want["flags"]
		}
		check(t, r.take("FileOpen"), and(want, before(true)), and(want, before(false)))

		// Appending and creating, by every version's words.
		how = sftp.OpenHow{Access: sftp.AccessAppendData | sftp.AccessWriteData, Disposition: sftp.CreateNew, Flags: sftp.OpenAppend}
		if _, err = c.OpenFile(t.Context(), "/f", how); err == nil {
			t.Fatal("made twice")
		}
		const appending = sftp.PWrite | sftp.PAppend | sftp.PCreate | sftp.PExcl
		want = params{"path": "/f", "handle": "2", "flags": fmt.Sprint(uint32(appending)), "fileType": untyped(v), "desiredAccess": "*", "rawFlags": "*"}
		failed := fmt.Sprint(uint32(sftp.CodeFileAlreadyExists))
		check(t, r.take("FileOpen"), and(want, before(true)), and(want, before(false), params{"statusCode": failed}))
	})
}

func TestFileReadEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		put(t, c, "/f", "0123456789")
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r.take("")
		if _, err := f.ReadAt(make([]byte, 4), 3); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("FileRead"), params{"path": "/f", "handle": "2", "fileOffset": "3", "length": "4", "data": "3456"})
		if n, err := f.ReadAt(make([]byte, 5), 20); n != 0 || !errors.Is(err, io.EOF) {
			t.Fatal(n, err)
		}
		check(t, r.take("FileRead"), params{"path": "/f", "handle": "2", "fileOffset": "20", "length": "5", "statusCode": "1"})
	})
}

func TestFileWriteEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		f, err := c.Create(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("data"), 5); err != nil {
			t.Fatal(err)
		}
		want := params{"path": "/f", "handle": "1", "fileOffset": "5", "data": "data"}
		check(t, r.take("FileWrite"), and(want, before(true)), and(want, before(false)))
	})
}

func TestFileCloseEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		put(t, c, "/f", "0123456789")
		check(t, r.take("FileClose"), params{
			"path": "/f", "handle": "1", "complete": "true", "dir": "false", "read": "0", "written": "10", "writes": "true",
		})
		if got, err := get(t, c, "/f", 4); got != "0123" || err != nil {
			t.Fatal(got, err)
		}
		check(t, r.take("FileClose"), params{
			"path": "/f", "handle": "2", "complete": "true", "dir": "false", "read": "4", "written": "0", "writes": "false",
		})
		if _, err := c.ReadDirAll(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("FileClose"), params{
			"path": "/", "handle": "3", "complete": "true", "dir": "true", "read": "0", "written": "0", "writes": "false",
		})
	})
}

func TestFileRenameEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		put(t, c, "/f", "x")
		r.take("")
		if err := c.Rename(t.Context(), "/f", "x/../g", 0); err != nil {
			t.Fatal(err)
		}
		want := params{"path": "/f", "newPath": "/g", "flags": "0"}
		check(t, r.take("FileRename"), and(want, before(true)), and(want, before(false)))
		put(t, c, "/f", "x")
		r.take("")
		flags := sftp.RenameOverwrite | sftp.RenameAtomic // posix-rename@openssh.com in versions 3 and 4
		if err := c.Rename(t.Context(), "/f", "/g", flags); err != nil {
			t.Fatal(err)
		}
		want["flags"] = "3"
		check(t, r.take("FileRename"), and(want, before(true)), and(want, before(false)))
		if v >= sftp.Version5 {
			put(t, c, "/f", "x")
			r.take("")
			if err := c.Rename(t.Context(), "/f", "/g", sftp.RenameNative); err != nil {
				t.Fatal(err)
			}
			want["flags"] = "4"
			check(t, r.take("FileRename"), and(want, before(true)), and(want, before(false)))
		}
	})
}

func TestGetAttributesEvent(t *testing.T) {
	var served *memfs.FS
	eachVersion(t, func(s *sftpserver.Server) *recorder {
		served = tree(s)
		return record(s)
	}, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		put(t, c, "/f", "0123")
		// Prefilled is all that the file system says, whatever the client's version.
		a, _ := asked(sftp.Version6, sftp.TypeRegular)
		a.Valid &^= sftp.AttrAllocation
		if err := served.SetStat(t.Context(), "/f", a, true); err != nil {
			t.Fatal(err)
		}
		a, err := served.Stat(t.Context(), "/f", sftp.StatOpt{})
		if err != nil {
			t.Fatal(err)
		}
		want := and(attrParams(a), params{"path": "/f", "link": "false", "flags": "*"})
		for name, value := range map[string]string{
			"fileType": "1", "fileSize": "123", "fileOwner": "7", "fileGroup": "8", "filePermissions": "640", "fileATime": "1000000000000",
			"fileCreateTime": "900000000000", "fileMTime": "1100000000000", "fileAttribBits": "4", "FileMimeType": "text/x-test",
		} {
			if want[name] != value {
				t.Fatalf("%s of the file is %q, want %q", name, want[name], value)
			}
		}
		r.take("")
		if _, err := c.Stat(t.Context(), "/./f"); err != nil {
			t.Fatal(err)
		}
		got := r.take("GetAttributes")
		check(t, got, want)
		if flags := got[0]["flags"]; (flags == "0") != (v == sftp.Version3) {
			t.Errorf("flags %s in version %d", flags, v)
		}
		if other := got[0]["otherAttributes"]; !strings.Contains(other, "LinkCount=1") || !strings.Contains(other, "ATimeNS=") {
			t.Errorf("otherAttributes %q", other)
		}
		if _, err := c.Lstat(t.Context(), "/f"); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("GetAttributes"), and(want, params{"link": "true"}))
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Stat(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("GetAttributes"), want)
		if _, err := c.Stat(t.Context(), "/none"); err == nil {
			t.Fatal("there")
		}
		check(t, r.take("GetAttributes"), params{"path": "/none", "statusCode": "2", "fileType": "0", "flags": "*", "link": "false"})
	})
}

func TestSetAttributesEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		put(t, c, "/f", "x")
		a, want := asked(v, sftp.TypeUnknown)
		want["path"] = "/f"
		if v > sftp.Version3 {
			want["fileType"] = "*"
		}
		r.take("")
		if err := c.SetStat(t.Context(), "/f", a); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("SetAttributes"), and(want, before(true)), and(want, before(false)))
		f, err := c.OpenFile(t.Context(), "/f", sftp.OpenHow{Access: sftp.AccessWriteData | sftp.AccessWriteAttrs, Disposition: sftp.OpenExisting})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r.take("")
		if err := f.SetStat(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("SetAttributes"), and(want, before(true)), and(want, before(false)))
		if err := c.SetStat(t.Context(), "/none", a); err == nil {
			t.Fatal("there")
		}
		want["path"] = "/none"
		check(t, r.take("SetAttributes"), and(want, before(true)), and(want, before(false), params{"statusCode": "2"}))
	})
}

func TestResolvePathEvent(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, v int, r *recorder) {
		if err := c.Mkdir(t.Context(), "/dir", nil); err != nil {
			t.Fatal(err)
		}
		r.take("")
		if _, err := c.RealPath(t.Context(), "./dir/x/.."); err != nil {
			t.Fatal(err)
		}
		check(t, r.take("ResolvePath"), params{"path": "/dir", "originalPath": "./dir/x/..", "realPath": "/dir", "controlFlags": "*"})
		if v < sftp.Version6 {
			return
		}
		for control := sftp.RealPathNoCheck; control <= sftp.RealPathStatAlways; control++ {
			if _, _, err := c.RealPathOpt(t.Context(), "/dir", control); err != nil {
				t.Fatal(err)
			}
			check(t, r.take("ResolvePath"), params{"path": "/dir", "originalPath": "/dir", "realPath": "/dir", "controlFlags": fmt.Sprint(uint8(control))})
		}
		if _, _, err := c.RealPathOpt(t.Context(), "/none", sftp.RealPathStatAlways); err == nil {
			t.Fatal("there")
		}
		check(t, r.take("ResolvePath"), params{"path": "/none", "originalPath": "/none", "controlFlags": "3", "statusCode": "2"})
	})
}

func TestLinkEvents(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		put(t, c, "/f", "x")
		r.take("")
		if err := c.Symlink(t.Context(), "x/../f", "/d/../l"); err != nil {
			t.Fatal(err)
		}
		want := params{"path": "/l", "target": "x/../f", "symbolic": "true"}
		check(t, r.take("LinkCreate"), and(want, before(true)), and(want, before(false)))
		if target, err := c.ReadLink(t.Context(), "/l"); target != "x/../f" || err != nil {
			t.Fatal(target, err)
		}
		check(t, r.take("LinkRead"), params{"path": "/l", "target": "x/../f"})
		if err := c.Link(t.Context(), "/f", "/h"); err != nil {
			t.Fatal(err)
		}
		want = params{"path": "/h", "target": "/f", "symbolic": "false"}
		check(t, r.take("LinkCreate"), and(want, before(true)), and(want, before(false)))
		if _, err := c.ReadLink(t.Context(), "/f"); err == nil {
			t.Fatal("a link")
		}
		if got := r.take("LinkRead"); len(got) != 1 || got[0]["statusCode"] == "0" {
			t.Errorf("%v", got)
		}
	})
}

func TestExtendedEvent(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) *recorder {
		tree(s)
		s.Extended = func(e *sftpserver.ExtendedEvent) {
			switch {
			case e.Status != sftp.CodeOpUnsupported:
				t.Errorf("status %v", e.Status)
			case e.Request == "echo@example.com":
				e.Reply = append([]byte("reply to "), e.Data...)
			case e.Request == "ok@example.com":
				e.Status = sftp.CodeOK
			}
		}
		return record(s)
	}, func(t *testing.T, c *sftp.Client, _ int, _ *recorder) {
		if got, err := c.Extended(t.Context(), "echo@example.com", []byte("data")); string(got) != "reply to data" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if got, err := c.Extended(t.Context(), "ok@example.com", nil); len(got) != 0 || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if _, err := c.Extended(t.Context(), "other@example.com", nil); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
			t.Errorf("%v", err)
		}
	})
}
