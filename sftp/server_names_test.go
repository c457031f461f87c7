package sftp_test

import (
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// homed is a tree whose sessions start in a directory of their own.
type homed struct {
	*memfs.FS
	start string
}

func (h homed) Capabilities() sftp.Capabilities {
	c := h.FS.Capabilities()
	c.StartDir = h.start
	return c
}

// nameOf returns the one name of a NAME reply.
func nameOf(t *testing.T, m wire.Layouter) string {
	t.Helper()
	n, ok := m.(*fxp.Name)
	if !ok || len(n.Entries) != 1 {
		t.Fatalf("answer is %T %s, not one name", m, wire.Print(m))
	}
	return n.Entries[0].Name
}

// TestRelativeNamesStartInTheStartDirectory: every request that takes a name.
func TestRelativeNamesStartInTheStartDirectory(t *testing.T) {
	for _, start := range []string{"/home/anna", "/", ""} {
		_, tree := memServer(memfs.Options{})
		play(t, serverOf(homed{tree, start}), sftp.SessionInfo{}, func(p *peer) {
			p.init(3)
			for _, dir := range []string{"/home", "/home/anna"} {
				p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: dir})
			}
			base := start
			if base == "/" {
				base = ""
			}
			for name, want := range map[string]string{".": start, "": start, "x/../y": base + "/y", "..": "/home", "/": "/"} {
				if start != base || base == "" { // the root has nothing above it
					want = map[string]string{".": "/", "": "/", "x/../y": "/y", "..": "/", "/": "/"}[name]
				}
				if got := nameOf(t, p.call(&fxp.Path{T: fxp.TypeRealpath, Path: name})); got != want {
					t.Errorf("start %q: REALPATH %q is %q, want %q", start, name, got, want)
				}
			}
			// Made by relative names, seen by absolute ones.
			p.put("f", "content")
			p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d"})
			p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "f", Second: "l"})
			if m := p.extended("hardlink@openssh.com", &fxp.ExtPaths{Old: "f", New: "h"}); p.code(m) != sftp.CodeOK {
				t.Errorf("hardlink: %s", wire.Print(m))
			}
			for _, name := range []string{"/f", "/d", "/l", "/h"} {
				p.stat(base + name)
			}
			if got := nameOf(t, p.call(&fxp.Path{T: fxp.TypeReadlink, Path: "l"})); got != "f" {
				t.Errorf("target %q: it is stored as given", got)
			}
			p.want("setstat", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrSize, Size: 3}})
			if a := p.stat("f"); a.Size != 3 {
				t.Errorf("size %d", a.Size)
			}
			p.close(p.opendir("d"))
			p.want("rename", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: "f", Second: "d/f"})
			if m := p.extended("posix-rename@openssh.com", &fxp.ExtPaths{Old: "d/f", New: "g"}); p.code(m) != sftp.CodeOK {
				t.Errorf("posix-rename: %s", wire.Print(m))
			}
			p.stat(base + "/g")
			for _, name := range []string{"g", "l", "h"} {
				p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: name})
			}
			p.want("rmdir", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "d"})
		})
	}
}

// TestTrailingSlash: a name that ends in a slash is that of a directory. "put file new/"
// must not make a file new, and "ls link/" lists what the link leads to.
func TestTrailingSlash(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "content")
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d/"})
		p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "d", Second: "l"})
		for _, name := range []string{"new/", "f/", "d/"} {
			p.want("open "+name, sftp.CodeFailure, &fxp.Open{Path: name, Flags: fxp.OpenWrite | fxp.OpenCreate | fxp.OpenTrunc, Attrs: fxp.Attrs{V: 3}})
		}
		if got := p.get("f"); got != "content" {
			t.Errorf("f holds %q", got)
		}
		p.want("stat new", sftp.CodeNoSuchFile, &fxp.Path{T: fxp.TypeStat, Path: "new"})
		p.want("stat f/", sftp.CodeNoSuchFile, &fxp.Path{T: fxp.TypeStat, Path: "f/"})
		for name, typ := range map[string]uint32{"l": sftp.ModeSymlink, "l/": sftp.ModeDir, "d/": sftp.ModeDir, "/": sftp.ModeDir} {
			if a := p.stat(name); a.Permissions&sftp.ModeType != typ {
				t.Errorf("lstat %s: mode %o", name, a.Permissions)
			}
		}
	})
}
