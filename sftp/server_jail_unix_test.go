//go:build linux || darwin || freebsd

package sftp_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// outsideText is what no reply may hold.
const outsideText = "OUTSIDE-SECRET"

// jailServer serves outer/bob, which has a sibling with a longer name and links
// that lead there.
func jailServer(t *testing.T, o osfs.Options) (srv *sftp.Server, outer string) {
	t.Helper()
	outer = t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bob/d/e", "bob2/sub"} {
		must(os.MkdirAll(filepath.Join(outer, dir), 0o755))
	}
	for name, text := range map[string]string{"bob/f": "inside", "bob/d/e/f": "inside", "bob2/secret": outsideText, "bob2/sub/only-outside": outsideText, "secret": outsideText} {
		must(os.WriteFile(filepath.Join(outer, name), []byte(text), 0o644))
	}
	for link, target := range map[string]string{"out": "../bob2", "outfile": "../bob2/secret", "hostabs": filepath.Join(outer, "bob2", "secret"), "d/up": "../../bob2/secret", "chain": "out"} {
		must(os.Symlink(target, filepath.Join(outer, "bob", link)))
	}
	fsys, err := osfs.New(filepath.Join(outer, "bob"), o)
	must(err)
	t.Cleanup(func() { _ = fsys.Close() })
	return serverOf(fsys), outer
}

// outside is everything beside the jail: names, modes, times and content.
func outside(t *testing.T, outer string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(outer, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == filepath.Join(outer, "bob") {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %v", p, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", data)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// waysOut are names that lead out of a careless jail.
var waysOut = []string{
	"../bob2/secret", "/../bob2/secret", "../bob2", "/../bob2/sub", "d/../../bob2/secret", "/d/e/../../../bob2/secret", "//../bob2/secret", "/./../bob2/secret",
	"a/../../bob2/secret", "../secret", "out/secret", "out/sub", "out/new", "outfile", "hostabs", "d/up", "chain/secret", "chain/sub/only-outside",
	"../bob2/secret/", "../bob2/secret ", "../bob2/secret.", `..\bob2\secret`, "..\xc0\xaf../bob2/secret", "%2e%2e/bob2/secret", "\uff0e\uff0e/bob2/secret",
}

// TestCVE_8_1_8_2_EveryRequestStaysInside sends each request that takes a name,
// with each name, in each place; and the replies and the disk are looked at.
func TestCVE_8_1_8_2_EveryRequestStaysInside(t *testing.T) {
	for i := range 4 * len(waysOut) {
		name, v := waysOut[i/4], fxp.V3+fxp.Version(i%4)
		srv, outer := jailServer(t, osfs.Options{})
		before := outside(t, outer)
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			look := func(what string, m fxp.Message) {
				p.t.Helper()
				r := p.call(m)
				// A link that the host's owner made to somewhere else is shown as it is.
				if text := wire.Print(r); strings.Contains(text, filepath.Join(outer, "bob")+"/") {
					p.t.Errorf("%q: %s names the root's path: %s", name, what, text)
				}
				h, ok := r.(*fxp.Handle)
				if !ok {
					return
				}
				handle := slices.Clone(h.Handle)
				for _, m := range []fxp.Message{
					&fxp.Read{Handle: handle, Length: 100}, &fxp.Handle{T: fxp.TypeReaddir, Handle: handle},
					&fxp.Write{Handle: handle, Data: []byte("overwritten")},
					&fxp.Fsetstat{Handle: handle, Attrs: fxp.Attrs{V: v, Flags: fxp.AttrSize | fxp.AttrPermissions, Permissions: 0o777}},
				} {
					switch r := p.call(m).(type) {
					case *fxp.Data:
						if strings.Contains(string(r.Data), "OUTSIDE") {
							p.t.Errorf("%q: %s reads an outside file", name, what)
						}
					case *fxp.Name:
						if text := wire.Print(r); strings.Contains(text, "secret") || strings.Contains(text, "only-outside") {
							p.t.Errorf("%q: %s lists an outside directory: %s", name, what, text)
						}
					}
				}
				p.close(handle)
			}
			for _, m := range named(p.v, name) {
				if m.Type() != fxp.TypeRename && m.Type() != fxp.TypeRemove {
					look(fmt.Sprintf("%T %s", m, m.Type()), m)
				}
			}
			for flags := range uint32(64) {
				m := openOf(v, name, flags)
				m.Attrs.Flags, m.Attrs.Permissions = fxp.AttrPermissions, 0o777
				look(fmt.Sprintf("OPEN %#x", flags), m)
			}
			look("SYMLINK to it", &fxp.TwoPaths{T: fxp.TypeSymlink, First: name, Second: "fresh"})
			look("OPEN through the link", openOf(v, "fresh", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate))
			look("OPENDIR through the link", &fxp.Path{T: fxp.TypeOpendir, Path: "fresh"})
			rename := func(from, to string) fxp.Message {
				return &fxp.Rename{V: v, Old: from, New: to, Flags: uint32(sftp.RenameOverwrite)}
			}
			look("RENAME to it", rename("d/e/f", name))
			for _, name2 := range []string{"posix-rename@openssh.com", "hardlink@openssh.com"} {
				look(name2+" to it", &fxp.Extended{Name: name2, Data: wire.Append(nil, &fxp.ExtPaths{Old: "f", New: name})})
				look(name2+" of it", &fxp.Extended{Name: name2, Data: wire.Append(nil, &fxp.ExtPaths{Old: name, New: "taken"})})
				look("OPEN of what "+name2+" took", openOf(v, "taken", fxp.OpenRead))
			}
			for _, over := range []bool{false, true} {
				look("copy-file to it", ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "f", To: name, Overwrite: over}))
				look("copy-file of it", ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: name, To: "copied", Overwrite: over}))
				look("OPEN of what copy-file took", openOf(v, "copied", fxp.OpenRead))
				if v >= fxp.V6 {
					look("LINK to it", &fxp.Link{New: "linked", Target: name, Symbolic: over})
					look("OPEN of the link", openOf(v, "linked", fxp.OpenRead|fxp.OpenWrite))
					look("REALPATH of it", &fxp.Realpath{V: v, Path: name, Control: byte(sftp.RealPathStatAlways)})
					look("REALPATH, composed", &fxp.Realpath{V: v, Path: "d", Control: byte(sftp.RealPathStatIf), Compose: []string{"..", name, "."}})
				}
			}
			look("RENAME of it", rename(name, "taken2"))
			look("OPEN of what RENAME took", openOf(v, "taken2", fxp.OpenRead))
			look("REMOVE", &fxp.Path{T: fxp.TypeRemove, Path: name})
		})
		if after := outside(t, outer); after != before {
			t.Errorf("%q: the outside was\n%s\nand is\n%s", name, before, after)
		}
	}
}

// TestCVE_8_3_ReadOnlyTree: neither the server's nor the storage's read-only
// lets any request change the disk.
func TestCVE_8_3_ReadOnlyTree(t *testing.T) {
	for what, set := range map[string]func(*sftp.Server) osfs.Options{
		"server":  func(*sftp.Server) osfs.Options { return osfs.Options{} },
		"storage": func(*sftp.Server) osfs.Options { return osfs.Options{ReadOnly: true} },
	} {
		t.Run(what, func(t *testing.T) {
			srv, outer := jailServer(t, set(nil))
			srv.ReadOnly = what == "server"
			tree := func() string {
				var b strings.Builder
				err := filepath.WalkDir(outer, func(p string, e fs.DirEntry, err error) error {
					if err != nil {
						return err
					}
					info, err := e.Info()
					fmt.Fprintln(&b, p, info.Mode(), info.Size(), info.ModTime())
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return b.String()
			}
			before := tree()
			everyVersion(t, srv, func(p *peer) {
				for _, name := range []string{"f", "new", "d", "d/e/f"} {
					for flags := range uint32(64) {
						if h, ok := p.call(openOf(p.v, name, flags)).(*fxp.Handle); ok {
							handle := slices.Clone(h.Handle)
							p.call(&fxp.Write{Handle: handle, Data: []byte("written")})
							p.call(&fxp.Fsetstat{Handle: handle, Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrSize | fxp.AttrPermissions | fxp.AttrACModTime}})
							p.close(handle)
						}
					}
					p.call(ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "f", To: name, Overwrite: true}))
					p.call(ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "f", To: "fresh"}))
					for _, m := range named(p.v, name) {
						if h, ok := p.call(m).(*fxp.Handle); ok {
							p.close(slices.Clone(h.Handle))
						}
					}
				}
			})
			if after := tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// TestCVE_8_4_SwapWhileServing: a directory and a link to the outside change
// places all the time while requests go through them. No bubble: files are real.
func TestCVE_8_4_SwapWhileServing(t *testing.T) {
	srv, outer := jailServer(t, osfs.Options{})
	at := func(name string) string { return filepath.Join(outer, "bob", name) }
	if err := os.MkdirAll(at("real/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("real/secret"), []byte("inside"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := outside(t, outer)
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"real", "out"} {
				_ = os.Rename(at(name), at("swap"))
				_ = os.Rename(at("swap"), at(name))
			}
		}
	})
	p := newPeer(t, t.Context(), srv, sftp.SessionInfo{}, 32<<10)
	p.init(3)
	inside, refused := 0, 0
	for i := 0; i < 5000 || (inside == 0 || refused == 0) && i < 200_000; i++ {
		m := p.call(&fxp.Open{Path: []string{"swap/secret", "/swap/sub/../secret"}[i%2], Flags: fxp.OpenRead, Attrs: fxp.Attrs{V: 3}})
		h, ok := m.(*fxp.Handle)
		if !ok {
			refused++
		} else {
			handle := slices.Clone(h.Handle)
			if text, _ := p.read(handle, 0, 100); text != "inside" {
				t.Fatalf("read %q", text)
			}
			inside++
			p.close(handle)
		}
		switch i % 6 {
		case 0:
			if h, ok := p.call(&fxp.Open{Path: "swap/new", Flags: fxp.OpenWrite | fxp.OpenCreate | fxp.OpenTrunc, Attrs: fxp.Attrs{V: 3}}).(*fxp.Handle); ok {
				p.close(slices.Clone(h.Handle))
			}
		case 1:
			p.call(&fxp.PathAttrs{T: fxp.TypeSetstat, Path: "swap/sub", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrPermissions | fxp.AttrACModTime, Permissions: 0o711}})
		case 2:
			p.call(&fxp.PathAttrs{T: fxp.TypeMkdir, Path: "swap/dir", Attrs: fxp.Attrs{V: 3}})
		case 3:
			p.call(&fxp.Extended{Name: "posix-rename@openssh.com", Data: wire.Append(nil, &fxp.ExtPaths{Old: "f", New: "swap/f"})})
			p.call(&fxp.Extended{Name: "posix-rename@openssh.com", Data: wire.Append(nil, &fxp.ExtPaths{Old: "swap/f", New: "f"})})
		case 4:
			p.call(&fxp.Path{T: fxp.TypeRmdir, Path: "swap/dir"})
			p.call(&fxp.TwoPaths{T: fxp.TypeSymlink, First: "f", Second: "swap/link"})
		}
	}
	close(stop)
	swapping.Wait()
	if err := p.end(); err != nil {
		t.Error(err)
	}
	if inside == 0 || refused == 0 {
		t.Errorf("the swap was not met: %d inside, %d refused", inside, refused)
	}
	if after := outside(t, outer); after != before {
		t.Errorf("the outside was\n%s\nand is\n%s", before, after)
	}
}
