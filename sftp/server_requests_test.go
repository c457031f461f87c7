package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestOpenOfVersions5And6: access and flags reach the file system as they are, what cannot be
// done is refused before.
func TestOpenOfVersions5And6(t *testing.T) {
	tree := newAttrsFS()
	srv := serverOf(tree)
	for v := fxp.V5; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			open := func(access sftp.Access, flags uint32) wire.Layouter {
				tree.how = sftp.OpenHow{}
				return p.call(&fxp.Open{Path: "f", Access: uint32(access), Flags: flags, Attrs: fxp.Attrs{V: v}})
			}
			for _, bit := range []sftp.Access{
				sftp.AccessReadData, sftp.AccessListDirectory, sftp.AccessWriteData, sftp.AccessAddFile, sftp.AccessAppendData, sftp.AccessAddSubdirectory,
				sftp.AccessReadNamedAttrs, sftp.AccessWriteNamedAttrs, sftp.AccessExecute, sftp.AccessDeleteChild, sftp.AccessReadAttrs, sftp.AccessWriteAttrs,
				sftp.AccessDelete, sftp.AccessReadACL, sftp.AccessWriteACL, sftp.AccessWriteOwner, sftp.AccessSynchronize, 0x1F01FF,
			} {
				m, ok := open(bit, uint32(sftp.OpenExisting)).(*fxp.Handle)
				if !ok || tree.how.Access != bit || tree.how.Disposition != sftp.OpenExisting {
					p.t.Errorf("version %d: access %#x becomes %+v", v, bit, tree.how)
					continue
				}
				h := slices.Clone(m.Handle)
				reads, writes := bit&(sftp.AccessReadData|sftp.AccessExecute) != 0, bit&(sftp.AccessWriteData|sftp.AccessAppendData) != 0
				if code := p.code(p.call(&fxp.Read{Handle: h, Length: 1})); (code == sftp.CodePermissionDenied) == reads {
					p.t.Errorf("version %d: READ with access %#x: %v", v, bit, code)
				}
				if code := p.code(p.call(&fxp.Write{Handle: h, Data: []byte("x")})); (code == sftp.CodePermissionDenied) == writes {
					p.t.Errorf("version %d: WRITE with access %#x: %v", v, bit, code)
				}
				p.close(h)
			}
			for d := sftp.CreateNew; d <= sftp.TruncateExisting; d++ {
				m, ok := open(sftp.AccessWriteData, uint32(d)).(*fxp.Handle)
				if !ok || tree.how.Disposition != d || tree.how.Flags != 0 {
					p.t.Errorf("version %d: disposition %d becomes %+v", v, d, tree.how)
					continue
				}
				p.close(slices.Clone(m.Handle))
			}
			for flag := uint32(8); flag != 0; flag <<= 1 {
				flags := sftp.OpenFlags(flag)
				m := open(0x1F01FF, uint32(sftp.OpenExisting)|flag)
				known := flags&(sftp.OpenAppend|sftp.OpenAppendAtomic|sftp.OpenText) != 0 || v == fxp.V6 && flags == sftp.OpenNoFollow
				h, ok := m.(*fxp.Handle)
				if ok != known {
					p.t.Errorf("version %d: flag %#x: %s", v, flag, wire.Print(m))
				}
				if ok {
					if tree.how.Flags != flags&^sftp.OpenText {
						p.t.Errorf("version %d: flag %#x becomes %#x", v, flag, tree.how.Flags)
					}
					p.close(slices.Clone(h.Handle))
				} else if code := p.code(m); code != sftp.CodeOpUnsupported && code != sftp.CodeInvalidParameter.In(int(v)) || tree.how.Access != 0 {
					p.t.Errorf("version %d: flag %#x: %v, and the file system was asked", v, flag, code)
				}
			}
			for what, m := range map[string]wire.Layouter{
				"no such disposition":             open(sftp.AccessReadData, 5),
				"truncation without write access": open(sftp.AccessReadData, uint32(sftp.TruncateExisting)),
			} {
				if code := p.code(m); code != sftp.CodeInvalidParameter.In(int(v)) || tree.how.Access != 0 {
					p.t.Errorf("version %d: %s: %v", v, what, code)
				}
			}
			// Access to attributes only: FSTAT, and nothing else.
			h := slices.Clone(open(0, uint32(sftp.OpenExisting)).(*fxp.Handle).Handle)
			p.want("READ without access", sftp.CodePermissionDenied, &fxp.Read{Handle: h, Length: 1})
			if _, ok := p.call(&fxp.Fstat{V: v, Handle: h}).(*fxp.AttrsReply); !ok {
				p.t.Error("no FSTAT")
			}
			p.close(h)
		})
	}
	// What the file system says it can do goes through.
	tree.caps.Features |= sftp.FeatureOpenLock | sftp.FeatureDeleteOnClose
	tree.caps.OpenFlags = sftp.OpenAccessBackup
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		r := p.init(6)
		data, _ := said(r, "supported2")
		var m fxp.Supported2
		if err := wire.Decode([]byte(data), &m); err != nil || m.OpenBlockVector != 0xFFFF || m.BlockVector != 1 ||
			sftp.OpenFlags(m.OpenFlags)&(sftp.OpenBlockMask|sftp.OpenDeleteOnClose|sftp.OpenAccessBackup) != sftp.OpenBlockMask|sftp.OpenDeleteOnClose|sftp.OpenAccessBackup {
			p.t.Errorf("%+v %v", m, err)
		}
		if caps, _ := said(r, "acl-supported"); caps != "\x00\x00\x00\x01" {
			p.t.Errorf("acl-supported %q", caps)
		}
		for _, flag := range []sftp.OpenFlags{sftp.OpenBlockRead | sftp.OpenBlockAdvisory, sftp.OpenBlockWrite, sftp.OpenBlockDelete, sftp.OpenDeleteOnClose, sftp.OpenAccessBackup} {
			h, ok := p.call(&fxp.Open{Path: "f", Access: 1, Flags: uint32(sftp.OpenExisting) | uint32(flag), Attrs: fxp.Attrs{V: 6}}).(*fxp.Handle)
			if !ok || tree.how.Flags != flag {
				p.t.Fatalf("flag %#x becomes %#x", flag, tree.how.Flags)
			}
			p.close(slices.Clone(h.Handle))
		}
	})
	// A server that is read-only refuses whatever could change something.
	srv.ReadOnly = true
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		tree.how = sftp.OpenHow{}
		for _, m := range []*fxp.Open{
			{Access: uint32(sftp.AccessWriteACL), Flags: 2},
			{Access: uint32(sftp.AccessDelete), Flags: 2},
			{Access: 1, Flags: 3},
			{Access: 1, Flags: 2 | uint32(sftp.OpenDeleteOnClose)},
			{Access: uint32(sftp.AccessWriteAttrs), Flags: 2},
		} {
			m.Path, m.Attrs = "f", fxp.Attrs{V: 6}
			p.want(wire.Print(m), sftp.CodeWriteProtect, m)
		}
		if tree.how.Access != 0 {
			p.t.Error("the file system was asked")
		}
	})
}

// The dispositions, and what an existing file, a missing one, a link and a directory make of
// them.
func TestDispositions(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	for v := fxp.V5; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			ctx := context.Background()
			open := func(name string, access sftp.Access, flags uint32) fxp.Message {
				return &fxp.Open{Path: name, Access: uint32(access), Flags: flags, Attrs: fxp.Attrs{V: v}}
			}
			const rw = sftp.AccessReadData | sftp.AccessWriteData
			for d, want := range []struct {
				missing, existing sftp.Code
				left              string
			}{
				sftp.CreateNew:        {sftp.CodeOK, sftp.CodeFileAlreadyExists, "old"},
				sftp.CreateTruncate:   {sftp.CodeOK, sftp.CodeOK, ""},
				sftp.OpenExisting:     {sftp.CodeNoSuchFile, sftp.CodeOK, "old"},
				sftp.OpenOrCreate:     {sftp.CodeOK, sftp.CodeOK, "old"},
				sftp.TruncateExisting: {sftp.CodeNoSuchFile, sftp.CodeOK, ""},
			} {
				_ = tree.Remove(ctx, "missing")
				p.put("f", "old")
				for name, code := range map[string]sftp.Code{"missing": want.missing, "f": want.existing, "none/f": sftp.CodeNoSuchPath} {
					switch m := p.call(open(name, rw, uint32(d))).(type) {
					case *fxp.Handle:
						if code != sftp.CodeOK {
							p.t.Errorf("disposition %d of %s succeeds", d, name)
						}
						p.close(slices.Clone(m.Handle))
					default:
						// A missing directory may be a missing file, too (filexfer-13 section 8.1.1.3).
						if got := p.code(m); got != code && !(code == sftp.CodeNoSuchPath && got == sftp.CodeNoSuchFile) {
							p.t.Errorf("disposition %d of %s: %v, want %v", d, name, got, code)
						}
					}
				}
				if got := p.get("f"); got != want.left {
					p.t.Errorf("disposition %d leaves %q", d, got)
				}
			}
			p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: v}})
			p.want("mkdir again", sftp.CodeFileAlreadyExists, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: v}})
			p.want("OPEN of a directory", sftp.CodeIsADirectory, open("d", sftp.AccessReadData, 2))
			p.want("OPEN of what can only be one", sftp.CodeIsADirectory, open("d/", sftp.AccessReadData, 2))
			p.want("OPENDIR of a file", sftp.CodeNotADirectory, &fxp.Path{T: fxp.TypeOpendir, Path: "f"})
			p.want("REMOVE of a directory", sftp.CodeIsADirectory, &fxp.Path{T: fxp.TypeRemove, Path: "d"})
			p.put("d/f", "")
			p.want("RMDIR of one that is not empty", sftp.CodeDirNotEmpty, &fxp.Path{T: fxp.TypeRmdir, Path: "d"})
			p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "f", Second: "l"})
			if v == fxp.V6 {
				p.want("OPEN of a link that is not to be followed", sftp.CodeLinkLoop, open("l", sftp.AccessReadData, 2|uint32(sftp.OpenNoFollow)))
			}
			for _, name := range []string{"l", "d/f"} {
				p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: name})
			}
			p.want("rmdir", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "d"})
			// W13: whoever appends says no offset.
			h := p.call(open("f", rw, uint32(sftp.OpenOrCreate)|uint32(sftp.OpenAppendAtomic))).(*fxp.Handle).Handle
			h = slices.Clone(h)
			p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Offset: 1 << 63, Data: []byte("one ")})
			p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("two")})
			p.close(h)
			if got := p.get("f"); got != "one two" {
				p.t.Errorf("appended %q", got)
			}
		})
	}
}

func TestRenameFlags(t *testing.T) {
	tree := newAttrsFS()
	everyVersion(t, serverOf(tree), func(p *peer) {
		for _, flags := range []sftp.RenameFlags{0, sftp.RenameOverwrite, sftp.RenameAtomic, sftp.RenameNative, 7} {
			p.want("rename", sftp.CodeOK, &fxp.Rename{V: p.v, Old: "f", New: "g", Flags: uint32(flags)})
			want := flags
			if p.v < fxp.V5 {
				want = 0 // has none, and never replaces
			}
			if tree.flags != want {
				p.t.Errorf("flags %d become %d", flags, tree.flags)
			}
		}
		if p.v < fxp.V5 {
			return
		}
		p.want("a flag that nobody knows", sftp.CodeOpUnsupported, &fxp.Rename{V: p.v, Old: "f", New: "g", Flags: 8})
		p.want("no flags at all", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: "f", Second: "g"})
	})
	tree.caps.Features &^= sftp.FeaturePosixRename
	play(t, serverOf(tree), sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		p.want("atomic, which cannot be", sftp.CodeOpUnsupported, &fxp.Rename{V: 6, Old: "f", New: "g", Flags: uint32(sftp.RenameAtomic | sftp.RenameOverwrite)})
		p.want("native", sftp.CodeOK, &fxp.Rename{V: 6, Old: "f", New: "g", Flags: uint32(sftp.RenameAtomic | sftp.RenameNative)})
	})
	// And for real.
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		p.put("f", "new")
		p.put("g", "old")
		p.want("onto what exists", sftp.CodeFileAlreadyExists, &fxp.Rename{V: p.v, Old: "f", New: "g"})
		if p.v >= fxp.V5 {
			p.want("onto what may be replaced", sftp.CodeOK, &fxp.Rename{V: p.v, Old: "f", New: "g", Flags: uint32(sftp.RenameOverwrite)})
			if got := p.get("g"); got != "new" {
				p.t.Errorf("%q", got)
			}
		}
	})
}

func TestRealpathControl(t *testing.T) {
	tree := newAttrsFS()
	tree.caps.StartDir = "/home/anna"
	play(t, serverOf(tree), sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		ask := func(m *fxp.Realpath) *fxp.NameEntry {
			p.t.Helper()
			m.V = 6
			r, ok := p.call(m).(*fxp.Name)
			if !ok || len(r.Entries) != 1 || r.EndOfList {
				p.t.Fatalf("%+v: %+v", m, r)
			}
			return &r.Entries[0]
		}
		for control, want := range []sftp.RealPathControl{sftp.RealPathNoCheck, sftp.RealPathNoCheck, sftp.RealPathStatIf, sftp.RealPathStatAlways} {
			e := ask(&fxp.Realpath{Path: "/x", Control: byte(control), Compose: []string{}})
			if tree.real.Control != want || tree.real.Want&sftp.AttrsBasic != sftp.AttrsBasic {
				p.t.Errorf("control %d becomes %+v", control, tree.real)
			}
			if has := e.Attrs.Flags&fxp.AttrSize != 0; has != (want >= sftp.RealPathStatIf) || (e.Attrs.Type == byte(sftp.TypeUnknown)) == has {
				p.t.Errorf("control %d: attributes %+v", control, e.Attrs)
			}
		}
		for _, c := range []struct {
			path    string
			compose []string
			want    string
		}{
			{"", nil, "/home/anna"},
			{".", nil, "/home/anna/."},
			{"x", nil, "/home/anna/x"},
			{"/a/b", []string{".."}, "/a"},
			{"/a/b", []string{"", "c", "", "../d"}, "/a/b/d"},
			{"/a/b", []string{"c", "/e", "f"}, "/e/f"},
			{"x", []string{"../../../../../etc"}, "/etc"},
		} {
			if e := ask(&fxp.Realpath{Path: c.path, Control: 1, Compose: c.compose}); e.Name != c.want {
				p.t.Errorf("%q with %q: %q", c.path, c.compose, e.Name)
			}
		}
		p.want("unknown control", sftp.CodeInvalidParameter, &fxp.Realpath{V: 6, Path: "x", Control: 4})
		p.want("too many paths", sftp.CodeBadMessage, &fxp.Realpath{V: 6, Path: "x", Control: 1, Compose: make([]string, 300)})
		p.want("paths that grow", sftp.CodeInvalidFilename, &fxp.Realpath{V: 6, Path: "x", Control: 1, Compose: slices.Repeat([]string{strings.Repeat("x", 100)}, 50)})
	})
	// Older versions know nothing of it, whatever stands there.
	for v := fxp.V3; v < fxp.V6; v++ {
		play(t, serverOf(tree), sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			r, ok := p.call(&raw{fxp.TypeRealpath, append(wire.AppendString(nil, "/x"), 3)}).(*fxp.Name)
			if !ok || r.Entries[0].Name != "/x" || tree.real.Control != sftp.RealPathDefault {
				p.t.Errorf("version %d: %+v, control %d", v, r, tree.real.Control)
			}
		})
	}
	// And for real.
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		p.put("f", "content")
		p.want("link", sftp.CodeOK, &fxp.Link{New: "l", Target: "f", Symbolic: true})
		for _, c := range []struct {
			name    string
			control sftp.RealPathControl
			want    string
			kind    sftp.Type
			code    sftp.Code
		}{
			{"l", sftp.RealPathNoCheck, "/l", sftp.TypeUnknown, 0},
			{"none/x", sftp.RealPathNoCheck, "/none/x", sftp.TypeUnknown, 0},
			{"f", sftp.RealPathStatIf, "/f", sftp.TypeRegular, 0},
			{"none/x", sftp.RealPathStatIf, "/none/x", sftp.TypeUnknown, 0},
			{"f", sftp.RealPathStatAlways, "/f", sftp.TypeRegular, 0},
			{"none", sftp.RealPathStatAlways, "", 0, sftp.CodeNoSuchFile},
		} {
			m := p.call(&fxp.Realpath{V: 6, Path: c.name, Control: byte(c.control)})
			if c.code != 0 {
				if code := p.code(m); code != c.code {
					p.t.Errorf("%+v: %v", c, code)
				}
				continue
			}
			if e := m.(*fxp.Name).Entries[0]; e.Name != c.want || e.Attrs.Type != byte(c.kind) {
				p.t.Errorf("%+v: %q %+v", c, e.Name, e.Attrs)
			}
		}
	})
}

// TestOpenAccessOfPhpseclib: its get and put ask for no access in versions 5 and 6, and READ and WRITE follow all the same.
// To others such a handle gives the attributes only.
func TestOpenAccessOfPhpseclib(t *testing.T) {
	for ident, means := range map[string]bool{"SSH-2.0-phpseclib_3.0 (openssl)": true, "SSH-2.0-OpenSSH_9.9": false} {
		for v := fxp.V5; v <= fxp.V6; v++ {
			srv, _ := memServer(memfs.Options{})
			play(t, srv, sftp.SessionInfo{ClientIdent: ident}, func(p *peer) {
				p.init(v)
				open := func(d sftp.Disposition) []byte {
					m, ok := p.call(&fxp.Open{Path: "f", Flags: uint32(d), Attrs: fxp.Attrs{V: v}}).(*fxp.Handle)
					if !ok {
						p.t.Fatalf("%s version %d: disposition %d refused", ident, v, d)
					}
					return slices.Clone(m.Handle)
				}
				code := func(granted bool) sftp.Code {
					if granted && means {
						return sftp.CodeOK
					}
					return sftp.CodePermissionDenied
				}
				for _, d := range []sftp.Disposition{sftp.CreateTruncate, sftp.OpenOrCreate} {
					h := open(d)
					p.want("write", code(true), &fxp.Write{Handle: h, Data: []byte("x")})
					if _, got := p.read(h, 0, 1); got != sftp.CodePermissionDenied {
						p.t.Errorf("%s version %d: READ after disposition %d: %v", ident, v, d, got)
					}
					p.close(h)
				}
				h := open(sftp.OpenExisting)
				if _, got := p.read(h, 0, 1); got != code(true) {
					p.t.Errorf("%s version %d: READ: %v", ident, v, got)
				}
				p.want("write", code(false), &fxp.Write{Handle: h, Data: []byte("x")})
				p.close(h)
			})
		}
	}
}

// TestW21_LinkOfVersion6: the new name first, as the draft says, but for MINA.
func TestW21_LinkOfVersion6(t *testing.T) {
	tree := newAttrsFS()
	tree.caps.StartDir = "/home"
	for ident, swapped := range map[string]bool{"SSH-2.0-AsyncSSH_2.24.0": false, "SSH-2.0-OpenSSH_9.9": false, "SSH-2.0-APACHE-SSHD-2.16.0": true} {
		play(t, serverOf(tree), sftp.SessionInfo{ClientIdent: ident}, func(p *peer) {
			p.init(6)
			for _, symbolic := range []bool{false, true} {
				m := &fxp.Link{New: "new", Target: "old", Symbolic: symbolic}
				if swapped {
					m.New, m.Target = m.Target, m.New
				}
				p.want("link", sftp.CodeOK, m)
				want := "/home/old"
				if symbolic {
					want = "old (symbolic)"
				}
				if tree.path != "/home/new" || tree.target != want {
					p.t.Errorf("%s: %q to %q", ident, tree.path, tree.target)
				}
			}
			// SYMLINK is gone, but who sends it gets what it means (section 9 of the facts).
			p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "x", Second: "x"})
		})
	}
	tree.caps.Features &^= sftp.FeatureHardLink | sftp.FeatureSymlink
	everyVersion(t, serverOf(tree), func(p *peer) {
		want := sftp.CodeOpUnsupported
		p.want("hard link", want, &fxp.Link{New: "new", Target: "old"})
		p.want("symbolic link", want, &fxp.Link{New: "new", Target: "old", Symbolic: true})
	})
}

// TestSetStatRules: filexfer-13 sections 7.4, 7.5, 7.10, 7.12 and 7.14.
func TestSetStatRules(t *testing.T) {
	tree := newAttrsFS()
	srv := serverOf(tree)
	everyVersion(t, srv, func(p *peer) {
		h := p.open("f", fxp.OpenWrite)
		set := func(why string, code sftp.Code, a fxp.Attrs) {
			p.t.Helper()
			a.V = p.v
			requests := []fxp.Message{&fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: a}, &fxp.Fsetstat{Handle: h, Attrs: a}, ext(fxp.OpLsetstat, &fxp.ExtSetstat{Path: "f", Attrs: a})}
			for _, m := range requests {
				tree.set = sftp.Attrs{}
				p.want(why, code, m)
				if code != sftp.CodeOK && tree.err == nil && tree.set.Valid != 0 {
					p.t.Errorf("%s: %#x was set all the same", why, tree.set.Valid)
				}
			}
		}
		has := func(bits sftp.AttrMask) {
			p.t.Helper()
			if tree.set.Valid != bits {
				p.t.Errorf("set %#x, want %#x", tree.set.Valid, bits)
			}
		}
		set("mode", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrPermissions, Permissions: 0o600})
		if tree.set.Mode&sftp.ModePerm != 0o600 {
			p.t.Errorf("mode %o", tree.set.Mode)
		}
		set("extended", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrExtended, Extended: []fxp.Pair{{Name: "user.x", Data: []byte("y")}}})
		has(sftp.AttrExtended)
		if p.v == fxp.V3 {
			return
		}
		set("times", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrModifyTime | fxp.AttrSubsecond, Mtime: fxp.Time{Sec: -5, Nsec: 7}})
		has(sftp.AttrMtime | sftp.AttrSubsecond)
		if !tree.set.Mtime.Equal(time.Unix(-5, 7)) {
			p.t.Errorf("mtime %v", tree.set.Mtime)
		}
		set("owner", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrOwnerGroup, Owner: "anna"})
		has(sftp.AttrOwnerGroup)
		if tree.set.Owner != "anna" || tree.set.Group != "" {
			p.t.Errorf("owner %q %q", tree.set.Owner, tree.set.Group)
		}
		set("owner by number", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrOwnerGroup, Owner: "12", Group: "13"})
		if !tree.set.Has(sftp.AttrUIDGID) || tree.set.UID != 12 || tree.set.GID != 13 {
			p.t.Errorf("%+v", tree.set)
		}
		set("ACL", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrACL, ACL: wire.Append(nil, &fxp.ACL{V: p.v, Entries: []fxp.ACE{{Who: "OWNER@"}}})})
		if tree.set.ACL == nil || tree.set.ACL.Entries[0].Who != sftp.WhoOwner {
			p.t.Errorf("%+v", tree.set)
		}
		set("ACL that is none", sftp.CodeBadMessage, fxp.Attrs{Flags: fxp.AttrACL, ACL: []byte{1, 2, 3}})
		set("birth", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrCreateTime, Birth: fxp.Time{Sec: 9}})
		has(sftp.AttrBirth)
		for code, want := range map[sftp.Code]string{sftp.CodeOwnerInvalid: "anna", sftp.CodeGroupInvalid: "staff", sftp.CodeUnknownPrincipal: "anna staff"} {
			tree.err = code
			a := fxp.Attrs{V: p.v, Flags: fxp.AttrOwnerGroup, Owner: "anna", Group: "staff"}
			set("unknown owner", code, a)
			st := p.call(&fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: a}).(*fxp.Status)
			var who fxp.Principals
			if e := wire.Decode(st.Data, &who); e != nil || (sftp.Code(st.Code) == sftp.CodeUnknownPrincipal) != (strings.Join(who.Names, " ") == want) {
				p.t.Errorf("%v: %d tells %q", code, st.Code, who.Names)
			}
		}
		tree.err = nil
		if p.v == fxp.V5 {
			// One word of bits, as in the draft, and two, as AsyncSSH sends them.
			for _, words := range [][]byte{{0, 0, 0, 4}, {0, 0, 0, 4, 0, 0, 0, 4}} {
				body := append(wire.AppendString(nil, "f"), append([]byte{0, 0, 2, 0, byte(sftp.TypeRegular)}, words...)...)
				tree.set = sftp.Attrs{}
				m := p.call(&raw{fxp.TypeSetstat, body})
				if p.code(m) != sftp.CodeOK || tree.set.Bits != sftp.BitHidden || tree.set.BitsValid&sftp.BitHidden == 0 {
					p.t.Errorf("%d octets of bits: %s, %+v", len(words), wire.Print(m), tree.set)
				}
			}
		}
		if p.v < fxp.V6 {
			return
		}
		set("bits", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrBits, Bits: 0xFFF, BitsValid: uint32(sftp.BitHidden)})
		if tree.set.BitsValid != sftp.BitHidden {
			p.t.Errorf("bits %+v", tree.set)
		}
		set("ctime, which nobody can set", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrChangeTime | fxp.AttrModifyTime, Mtime: fxp.Time{Sec: 1}})
		has(sftp.AttrMtime)
		set("bits that cannot be", sftp.CodeOpUnsupported, fxp.Attrs{Flags: fxp.AttrBits, Bits: uint32(sftp.BitImmutable), BitsValid: uint32(sftp.BitImmutable)})
		set("link count", sftp.CodeInvalidParameter, fxp.Attrs{Flags: fxp.AttrLinkCount | fxp.AttrPermissions, Links: 2})
		set("text hint", sftp.CodeInvalidParameter, fxp.Attrs{Flags: fxp.AttrTextHint})
		set("untranslated name", sftp.CodeInvalidParameter, fxp.Attrs{Flags: fxp.AttrUntranslated, Untranslated: "x"})
		set("allocation below the size", sftp.CodeInvalidParameter, fxp.Attrs{Flags: fxp.AttrSize | fxp.AttrAllocation, Size: 2, Allocation: 1})
		set("allocation", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrSize | fxp.AttrAllocation, Size: 2, Allocation: 2})
		has(sftp.AttrSize | sftp.AttrAllocation)
		set("MIME type", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrMIME, MIME: "text/plain"})
		has(sftp.AttrMIME)
		// In OPEN and MKDIR what is nonsense is no reason to fail, and a size an announcement.
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{
			V: 6, Flags: fxp.AttrSize | fxp.AttrLinkCount | fxp.AttrTextHint | fxp.AttrPermissions, Permissions: 0o700,
		}})
		has(sftp.AttrMode)
	})

	// A file system that keeps next to nothing.
	tree.caps.Attrs = sftp.AttrSize | sftp.AttrMode | sftp.AttrMtime
	tree.caps.Bits = 0
	everyVersion(t, srv, func(p *peer) {
		set := func(why string, code sftp.Code, a fxp.Attrs) {
			p.t.Helper()
			a.V = p.v
			tree.set = sftp.Attrs{}
			p.want(why, code, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: a})
			if tree.set.Valid&^tree.caps.Attrs != 0 || code != sftp.CodeOK && tree.set.Valid != 0 {
				p.t.Errorf("%s: %#x was set all the same", why, tree.set.Valid)
			}
		}
		strict := sftp.CodeOpUnsupported
		if p.v == fxp.V3 {
			strict = sftp.CodeOK // always was
		}
		extended := fxp.Attrs{Flags: fxp.AttrExtended | fxp.AttrPermissions, Extended: []fxp.Pair{{Name: "user.x"}}}
		set("extended", strict, extended)
		set("W10: owner and times, as every upload has them", sftp.CodeOK, fxp.Attrs{
			Flags: fxp.AttrOwnerGroup | fxp.AttrUIDGID | fxp.AttrAccessTime | fxp.AttrCreateTime | fxp.AttrModifyTime | fxp.AttrPermissions, Owner: "anna",
		})
		if p.v >= fxp.V4 {
			set("ACL", strict, fxp.Attrs{Flags: fxp.AttrACL, ACL: wire.Append(nil, &fxp.ACL{V: p.v})})
		}
		if p.v == fxp.V6 {
			set("MIME type", strict, fxp.Attrs{Flags: fxp.AttrMIME})
			srv.SetStat.Other, srv.SetStat.Extended = sftp.AttrIgnore, sftp.AttrIgnore
			set("MIME type, ignored", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrMIME})
			set("bits, ignored", sftp.CodeOK, fxp.Attrs{Flags: fxp.AttrBits, Bits: 1, BitsValid: 1})
			set("extended, ignored", sftp.CodeOK, extended)
			srv.SetStat.Other = sftp.AttrRefuse
			set("MIME type, refused", sftp.CodePermissionDenied, fxp.Attrs{Flags: fxp.AttrMIME})
			srv.SetStat = sftp.SetStatPolicy{}
		}
	})
}

// TestStatusOfEveryVersion: no version gets a code that it does not have.
func TestStatusOfEveryVersion(t *testing.T) {
	tree := newAttrsFS()
	everyVersion(t, serverOf(tree), func(p *peer) {
		last := map[fxp.Version]sftp.Code{3: 8, 4: 13, 5: 17, 6: 31}[p.v]
		for code := sftp.CodeOK + 1; code < 40; code++ {
			for _, err := range []error{code, sftp.Status(code, "said"), fmt.Errorf("wrapped: %w", code)} {
				tree.err = err
				st, ok := p.call(&fxp.Stat{V: p.v, T: fxp.TypeStat, Path: "f"}).(*fxp.Status)
				got := sftp.Code(st.Code)
				if !ok || got > last || got == sftp.CodeNoConnection || got == sftp.CodeConnectionLost || got == sftp.CodeOK {
					p.t.Errorf("%v: %s", err, wire.Print(st))
				}
				if code <= last && code != sftp.CodeNoConnection && code != sftp.CodeConnectionLost && got != code {
					p.t.Errorf("%v becomes %v", code, got)
				}
				if st.Lang != "en" || st.Text == "" {
					p.t.Errorf("%v: %+v", code, st)
				}
			}
		}
		for err, code := range map[error]sftp.Code{fs.ErrNotExist: sftp.CodeNoSuchFile, fs.ErrExist: sftp.CodeFileAlreadyExists, errors.New("disk melted"): sftp.CodeFailure} {
			tree.err = err
			p.want(err.Error(), code, &fxp.Stat{V: p.v, T: fxp.TypeStat, Path: "f"})
		}
		tree.err = nil
	})
}

// TestReaddirOfEveryVersion: no long names from version 4 on, and the end is told in version 6.
func TestReaddirOfEveryVersion(t *testing.T) {
	a := everything
	tree := &listFS{entries: []sftp.Entry{{Name: "a", Attrs: a, LongName: "long"}, {Name: "\xFF\xFE", Attrs: a}}}
	for range 1000 {
		tree.entries = append(tree.entries, sftp.Entry{Name: "b", Attrs: a})
	}
	everyVersion(t, serverOf(tree), func(p *peer) {
		h := p.opendir("/")
		var all []fxp.NameEntry
		ended := false
		for {
			m, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: h}).(*fxp.Name)
			if !ok {
				break
			}
			if ended {
				p.t.Error("goes on behind the end")
			}
			ended = m.EndOfList
			all = append(all, m.Entries...)
		}
		if len(all) != len(tree.entries)+2 || ended != (p.v == fxp.V6) {
			p.t.Fatalf("%d entries, end told: %v", len(all), ended)
		}
		if all[0].Name != "." || all[1].Name != ".." || all[2].Name != "a" {
			p.t.Errorf("%q %q %q", all[0].Name, all[1].Name, all[2].Name)
		}
		if (p.v == fxp.V3) != (string(all[2].LongName) == "long") {
			p.t.Errorf("long name %q", all[2].LongName)
		}
		got := all[2].Attrs
		if p.v >= fxp.V4 && (got.Owner != "anna" || got.Type != byte(sftp.TypeRegular) || got.Flags&(fxp.AttrACL|fxp.AttrAllocation|fxp.AttrMIME|fxp.AttrExtended) != 0) {
			p.t.Errorf("%+v", got)
		}
		// Section 7.13: what is not UTF-8 is escaped, and told as it is.
		switch odd := all[3]; {
		case p.v == fxp.V6:
			if odd.Attrs.Untranslated != "\xFF\xFE" || odd.Attrs.Bits&uint32(sftp.BitTranslationErr) == 0 || odd.Attrs.BitsValid&uint32(sftp.BitTranslationErr) == 0 {
				p.t.Errorf("%+v", odd)
			}
			fallthrough
		case p.v >= fxp.V4:
			if !strings.HasPrefix(odd.Name, "%{") || all[4].Attrs.Flags&fxp.AttrUntranslated != 0 {
				p.t.Errorf("%q", odd.Name)
			}
		default:
			if odd.Name != "\xFF\xFE" {
				p.t.Errorf("%q", odd.Name)
			}
		}
		p.close(h)
	})
}

// TestEndOfFileIsNotToldToPhpseclib, which would write it into the file.
func TestEndOfFileIsNotToldToPhpseclib(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{ClientIdent: "SSH-2.0-phpseclib_3.0 (openssl)"}, func(p *peer) {
		p.init(6)
		p.put("f", "abc")
		h := p.open("f", fxp.OpenRead)
		if m := p.call(&fxp.Read{Handle: h, Length: 32 << 10}).(*fxp.Data); string(m.Data) != "abc" || m.EOF {
			p.t.Errorf("read %q, end of file %v", m.Data, m.EOF)
		}
		p.close(h)
	})
}

// TestEndOfFileIsTold: filexfer-13 section 9.3.
func TestEndOfFileIsTold(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	for name, set := range policies {
		set(srv)
		everyVersion(t, srv, func(p *peer) {
			for _, size := range []int{1, 100, 1024, 1025, 32 << 10, 100_000} {
				p.put("f", strings.Repeat("x", size))
				h := p.open("f", fxp.OpenRead)
				for _, n := range []int{size - 1, size, size + 1, size + 40_000} {
					if n == 0 {
						continue
					}
					m := p.call(&fxp.Read{Handle: h, Length: uint32(n)}).(*fxp.Data)
					if len(m.Data) != min(n, size) || m.EOF != (p.v == fxp.V6 && n > size) {
						p.t.Errorf("%s: %d of %d octets: got %d, end %v", name, n, size, len(m.Data), m.EOF)
					}
				}
				p.want("behind the end", sftp.CodeEOF, &fxp.Read{Handle: h, Offset: uint64(size), Length: 1})
				p.close(h)
			}
		})
	}
}

// TestAttributesKept: what a client sets it finds again, each attribute bit and every other
// attribute that a version has, on a tree that keeps them all.
func TestAttributesKept(t *testing.T) {
	srv, _ := memServer(memfs.Options{Names: namesOf("anna", "staff")})
	everyVersion(t, srv, func(p *peer) {
		p.put("f", "content")
		all := fxp.Attrs{
			V: p.v, Permissions: 0o640, Owner: "anna", Group: "staff", UID: 1, GID: 1,
			Atime: fxp.Time{Sec: 1_000_000_001, Nsec: 5}, Mtime: fxp.Time{Sec: 1_000_000_002, Nsec: 999_999_999}, Birth: fxp.Time{Sec: -3, Nsec: 7},
			MIME: "text/x-log", Allocation: 1 << 16, ACL: wire.Append(nil, &fxp.ACL{V: p.v, Flags: 3, Entries: []fxp.ACE{{Type: 1, Mask: 2, Who: "EVERYONE@"}}}),
		}
		for flag, check := range map[uint32]func(*fxp.Attrs) bool{
			fxp.AttrPermissions:                    func(a *fxp.Attrs) bool { return a.Permissions&0o7777 == all.Permissions },
			fxp.AttrAccessTime | fxp.AttrSubsecond: func(a *fxp.Attrs) bool { return a.Atime == all.Atime },
			fxp.AttrModifyTime | fxp.AttrSubsecond: func(a *fxp.Attrs) bool { return a.Mtime == all.Mtime },
			fxp.AttrCreateTime | fxp.AttrSubsecond: func(a *fxp.Attrs) bool { return a.Birth == all.Birth },
			fxp.AttrOwnerGroup:                     func(a *fxp.Attrs) bool { return a.Owner == "anna" && a.Group == "staff" },
			fxp.AttrACL:                            func(a *fxp.Attrs) bool { return string(a.ACL) == string(all.ACL) },
			fxp.AttrMIME:                           func(a *fxp.Attrs) bool { return a.MIME == all.MIME },
			fxp.AttrAllocation:                     func(a *fxp.Attrs) bool { return a.Allocation >= all.Allocation },
		} {
			if flag&^fxp.AttrMask(p.v) != 0 || p.v == fxp.V3 && flag == fxp.AttrAccessTime|fxp.AttrSubsecond {
				continue
			}
			set := all
			set.Flags = flag
			p.want(fmt.Sprintf("set %#x", flag), sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: set})
			got := p.call(&fxp.Stat{V: p.v, T: fxp.TypeStat, Path: "f", Want: flag}).(*fxp.AttrsReply)
			if got.Attrs.Flags&flag != flag || !check(&got.Attrs) {
				p.t.Errorf("set %#x, and found %+v", flag, got.Attrs)
			}
		}
		if p.v < fxp.V6 {
			return // version 5 has bits, too, but no two programs agree on them
		}
		for bit := sftp.BitReadOnly; bit <= sftp.BitTranslationErr; bit <<= 1 {
			set := func(on bool) fxp.Message {
				a := fxp.Attrs{V: p.v, Flags: fxp.AttrBits, BitsValid: uint32(bit)}
				if on {
					a.Bits = uint32(bit)
				}
				return &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: a}
			}
			if bit == sftp.BitCaseInsensitive || bit == sftp.BitTranslationErr { // servers' only
				p.want(fmt.Sprintf("bit %#x", bit), sftp.CodeOpUnsupported, set(true))
				continue
			}
			p.want(fmt.Sprintf("bit %#x", bit), sftp.CodeOK, set(true))
			if a := p.stat("f"); a.Bits&uint32(bit) == 0 || a.BitsValid&uint32(bit) == 0 {
				p.t.Errorf("bit %#x is lost: %#x of %#x", bit, a.Bits, a.BitsValid)
			}
			p.want(fmt.Sprintf("bit %#x off", bit), sftp.CodeOK, set(false))
			if a := p.stat("f"); a.Bits&uint32(bit) != 0 {
				p.t.Errorf("bit %#x stays", bit)
			}
		}
		h := p.call(&fxp.Open{Path: "gone", Access: 2, Flags: uint32(sftp.CreateNew) | uint32(sftp.OpenDeleteOnClose), Attrs: fxp.Attrs{V: 6}}).(*fxp.Handle)
		p.close(slices.Clone(h.Handle))
		p.want("deleted on close", sftp.CodeNoSuchFile, &fxp.Stat{V: p.v, T: fxp.TypeStat, Path: "gone"})
		// Share modes: LOCK_CONFLICT at OPEN.
		o := func(access sftp.Access, flags sftp.OpenFlags) fxp.Message {
			return &fxp.Open{Path: "f", Access: uint32(access), Flags: uint32(sftp.OpenExisting) | uint32(flags), Attrs: fxp.Attrs{V: 6}}
		}
		first := slices.Clone(p.call(o(sftp.AccessReadData, sftp.OpenBlockWrite)).(*fxp.Handle).Handle)
		p.want("OPEN against a lock", sftp.CodeLockConflict, o(sftp.AccessWriteData, 0))
		p.close(first)
		p.close(slices.Clone(p.call(o(sftp.AccessWriteData, 0)).(*fxp.Handle).Handle))
	})
}

// namesOf knows one user and one group, of number 1.
func namesOf(user, group string) *sftp.IDNames {
	name := func(s string) func(uint32) string {
		return func(id uint32) string {
			if id == 1 {
				return s
			}
			return ""
		}
	}
	id := func(s string) func(string) (uint32, bool) {
		return func(name string) (uint32, bool) { return 1, name == s }
	}
	return &sftp.IDNames{LookupUser: name(user), LookupGroup: name(group), UserID: id(user), GroupID: id(group)}
}
