//go:build unix

package fstest_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// plain is a tree as simple as can be: paths and contents, nil for directories. No links,
// no attributes.
type plain map[string][]byte

var dirMark = []byte(nil)

func (p plain) isDir(name string) bool { c, ok := p[name]; return ok && c == nil }

// lookup returns the code for reaching name's parent, and whether name exists.
func (p plain) lookup(name string) (sftp.Code, bool) {
	elems := strings.Split(name[1:], "/")
	for i := 1; i < len(elems); i++ {
		dir := "/" + strings.Join(elems[:i], "/")
		if _, ok := p[dir]; !ok {
			return sftp.CodeNoSuchPath, false
		}
		if !p.isDir(dir) {
			return sftp.CodeNotADirectory, false
		}
	}
	_, ok := p[name]
	return sftp.CodeOK, ok
}

func (p plain) children(dir string) (names []string) {
	for name := range p {
		if name != "/" && path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names
}

func (p plain) put(name string, off int, data []byte) sftp.Code {
	code, ok := p.lookup(name)
	switch {
	case code != 0:
		return code
	case ok && p.isDir(name):
		return sftp.CodeIsADirectory
	}
	c := p[name]
	if c == nil {
		c = []byte{}
	}
	if len(data) > 0 && len(c) < off+len(data) {
		c = append(c, make([]byte, off+len(data)-len(c))...)
	}
	copy(c[min(off, len(c)):], data)
	p[name] = c
	return 0
}

func (p plain) remove(name string, dir bool) sftp.Code {
	code, ok := p.lookup(name)
	switch {
	case code != 0:
		return code
	case !ok:
		return sftp.CodeNoSuchFile
	case !dir && p.isDir(name):
		return sftp.CodeIsADirectory
	case dir && !p.isDir(name):
		return sftp.CodeNotADirectory
	case dir && len(p.children(name)) > 0:
		return sftp.CodeDirNotEmpty
	}
	delete(p, name)
	return 0
}

func (p plain) mkdir(name string) sftp.Code {
	code, ok := p.lookup(name)
	switch {
	case code != 0:
		return code
	case ok:
		return sftp.CodeFileAlreadyExists
	}
	p[name] = dirMark
	return 0
}

func (p plain) rename(from, to string) sftp.Code {
	code, ok := p.lookup(from)
	if code != 0 {
		return code
	}
	code, exists := p.lookup(to)
	switch {
	case code != 0:
		return code
	case !ok:
		return sftp.CodeNoSuchFile
	case exists:
		return sftp.CodeFileAlreadyExists
	case p.isDir(from) && strings.HasPrefix(to, from+"/"):
		return sftp.CodeInvalidParameter
	}
	moved := make(plain)
	for name, c := range p {
		if name == from || strings.HasPrefix(name, from+"/") {
			moved[to+name[len(from):]] = c
			delete(p, name)
		}
	}
	maps.Copy(p, moved)
	return 0
}

// TestModelPlainTree: osfs and memfs, each against the plain tree, content and listings
// included.
func TestModelPlainTree(t *testing.T) {
	o, err := osfs.New(t.TempDir(), osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for name, fsys := range map[string]sftp.FileSystem{"osfs": o, "memfs": memfs.New(memfs.Options{})} {
		t.Run(name, func(t *testing.T) { againstPlain(t, fsys, 7, 8000) })
	}
}

func againstPlain(t *testing.T, fsys sftp.FileSystem, seed uint64, n int) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 0))
	model := plain{"/": dirMark}
	draw := func() string {
		var b strings.Builder
		for range 1 + r.IntN(3) {
			b.WriteString("/" + string("abc"[r.IntN(3)]))
		}
		return b.String()
	}
	succeeded := 0
	for i := range n {
		a, b := draw(), draw()
		var verb string
		var got error
		var want sftp.Code
		switch r.IntN(7) {
		case 0:
			verb, got, want = "mkdir", fsys.Mkdir(ctx, a, nil), model.mkdir(a)
		case 1:
			verb, got, want = "remove", fsys.Remove(ctx, a), model.remove(a, false)
		case 2:
			verb, got, want = "rmdir", fsys.Rmdir(ctx, a), model.remove(a, true)
		case 3:
			verb, got, want = "rename", fsys.Rename(ctx, a, b, 0), model.rename(a, b)
		case 4:
			off, data := r.IntN(500), bytes.Repeat([]byte{byte(i)}, r.IntN(300))
			verb, want = "put", model.put(a, off, data)
			var f sftp.File
			f, got = fsys.Open(ctx, a, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenOrCreate})
			if got == nil {
				if _, err := f.WriteAt(data, int64(off)); err != nil {
					t.Fatal(err)
				}
				got = f.Close(nil)
			}
		case 5:
			verb = "get"
			code, ok := model.lookup(a)
			switch {
			case code != 0:
				want = code
			case !ok:
				want = sftp.CodeNoSuchFile
			case model.isDir(a):
				want = sftp.CodeIsADirectory
			}
			var f sftp.File
			f, got = fsys.Open(ctx, a, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
			if got == nil {
				data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
				if err != nil || !bytes.Equal(data, model[a]) {
					t.Fatalf("seed %d, operation %d: %s holds %d bytes, want %d (%v)", seed, i, a, len(data), len(model[a]), err)
				}
				got = f.Close(nil)
			}
		case 6:
			verb = "list"
			code, ok := model.lookup(a)
			switch {
			case code != 0:
				want = code
			case !ok:
				want = sftp.CodeNoSuchFile
			case !model.isDir(a):
				want = sftp.CodeNotADirectory
			}
			var d sftp.Dir
			d, got = fsys.OpenDir(ctx, a)
			if got == nil {
				var names []string
				for {
					entries, err := d.Next(ctx, 2)
					for j := range entries {
						names = append(names, entries[j].Name)
					}
					if err != nil {
						break
					}
				}
				slices.Sort(names)
				if !slices.Equal(names, model.children(a)) {
					t.Fatalf("seed %d, operation %d: %s lists %v, want %v", seed, i, a, names, model.children(a))
				}
				got = d.Close(nil)
			}
		}
		if sftp.CodeOf(got) != want {
			t.Fatalf("seed %d, operation %d: %s %s %s: %v, want %v", seed, i, verb, a, b, got, want)
		}
		if want == 0 {
			succeeded++
		}
	}
	if succeeded < n/10 {
		t.Errorf("only %d of %d operations succeeded", succeeded, n)
	}
}
