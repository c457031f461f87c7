package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// said returns what VERSION says of a name, and whether it does.
func said(r *fxp.VersionReply, name string) (string, bool) {
	for _, x := range r.Extensions {
		if x.Name == name {
			return string(x.Data), true
		}
	}
	return "", false
}

// ext is an extended request.
func ext(op fxp.Op, data wire.Layouter) *fxp.Extended {
	return &fxp.Extended{Name: op.Row().Extension, Data: wire.Append(nil, data)}
}

func selectVersion(v string) *fxp.Extended {
	return ext(fxp.OpVersionSelect, &fxp.ExtText{Text: v})
}

// TestW11_VersionSelect: phpseclib always offers 3 and goes up from there, without waiting
// for the answer (filexfer-13 section 5.5).
func TestW11_VersionSelect(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	for v := fxp.V3; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			if text, ok := said(p.init(3), "versions"); !ok || text != "3,4,5,6" {
				p.t.Errorf("versions: %q", text)
			}
			p.v = v
			p.sendAll(selectVersion(fmt.Sprint(v)), openOf(v, "f", fxp.OpenWrite|fxp.OpenCreate), &fxp.Stat{V: v, T: fxp.TypeStat, Path: "f", Want: fxp.AttrSize})
			if _, m := p.recv(); p.code(m) != sftp.CodeOK {
				p.t.Fatalf("version %d: %s", v, wire.Print(m))
			}
			if _, m := p.recv(); m.(*fxp.Handle).Handle == nil {
				p.t.Errorf("version %d: %s", v, wire.Print(m))
			}
			if _, m := p.recv(); v >= fxp.V4 && m.(*fxp.AttrsReply).Attrs.Type != byte(sftp.TypeRegular) {
				p.t.Errorf("version %d: %s", v, wire.Print(m))
			}
			// What VERSION did not say is not so: the newline is CRLF, and the charset UTF-8.
			if v >= fxp.V4 {
				p.textRoundTrip("\r\n")
			}
			if v == fxp.V6 {
				p.want("charset that was not announced", sftp.CodeOpUnsupported, ext(fxp.OpFilenameTranslation, &fxp.ExtFlag{}))
			}
		})
	}
	limited, _ := memServer(memfs.Options{})
	limited.MaxVersion = sftp.Version5
	three, _ := memServer(memfs.Options{})
	three.MaxVersion = sftp.Version3
	none, _ := memServer(memfs.Options{})
	none.Extensions = []string{"limits@openssh.com"}
	for what, c := range map[string]struct {
		srv   *sftp.Server
		first []fxp.Message
		text  string
	}{
		"unknown":                         {srv, nil, "7"},
		"private":                         {srv, nil, "3@example.com"},
		"too old":                         {srv, nil, "2"},
		"above the limit":                 {limited, nil, "6"},
		"not the first request":           {srv, []fxp.Message{&fxp.Path{T: fxp.TypeStat, Path: "/"}}, "4"},
		"the second of its kind":          {srv, []fxp.Message{selectVersion("3")}, "4"},
		"of a server of one version":      {three, nil, "3"},
		"switched off":                    {none, nil, "3"},
		"after a failure of another kind": {srv, []fxp.Message{&raw{99, nil}}, "4"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, context.Background(), c.srv, sftp.SessionInfo{}, 32<<10)
			r := p.init(3)
			if text, ok := said(r, "versions"); ok && (text == "3" || c.srv == three) {
				t.Errorf("%s: versions %q", what, text)
			}
			for _, m := range c.first {
				p.call(m)
			}
			p.sendAll(selectVersion(c.text), &fxp.Path{T: fxp.TypeOpendir, Path: "/"})
			if _, m := p.recv(); p.code(m) != sftp.CodeFailure {
				t.Errorf("%s: %s", what, wire.Print(m))
			}
			if msg, err := p.next(); err == nil {
				t.Errorf("%s: the session goes on: %q", what, msg)
			}
			var violation *sftp.ProtocolError
			if err := p.end(); !errors.As(err, &violation) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
}

// textRoundTrip writes and reads a text file whose lines end with sep on the wire, and wants
// LF in the file.
func (p *peer) textRoundTrip(sep string) {
	p.t.Helper()
	text := strings.Join([]string{"one", "", "three", "four"}, sep)
	h := p.open("text", fxp.OpenWrite|fxp.OpenCreate|fxp.OpenTrunc|fxp.OpenText)
	// In parallel, cut anywhere, at offsets that mean nothing.
	var all []fxp.Message
	for off := 0; off < len(text); off += 4 {
		all = append(all, &fxp.Write{Handle: h, Offset: uint64(1000 - off), Data: []byte(text[off:min(off+4, len(text))])})
	}
	p.sendAll(all...)
	for range all {
		if _, m := p.recv(); p.code(m) != sftp.CodeOK {
			p.t.Fatal(wire.Print(m))
		}
	}
	p.close(h)
	if got := p.get("text"); got != "one\n\nthree\nfour" {
		p.t.Errorf("file holds %q", got)
	}
	h = p.open("text", fxp.OpenRead|fxp.OpenText)
	defer func() { p.close(h) }()
	var reads []fxp.Message
	for i := range 12 {
		reads = append(reads, &fxp.Read{Handle: h, Offset: math.MaxUint64 - uint64(i), Length: 3})
	}
	p.sendAll(reads...)
	var got strings.Builder
	for range reads {
		switch _, m := p.recv(); m := m.(type) {
		case *fxp.Data:
			got.Write(m.Data)
		default:
			if p.code(m) != sftp.CodeEOF {
				p.t.Error(wire.Print(m))
			}
		}
	}
	if got.String() != text {
		p.t.Errorf("reads %q, want %q", got.String(), text)
	}
}

func TestTextMode(t *testing.T) {
	for _, c := range []struct{ set, wire string }{{"", "\n"}, {"\n", "\n"}, {"\r\n", "\r\n"}, {"\r", "\r"}, {"nonsense", "\n"}} {
		for name, set := range policies {
			srv, _ := memServer(memfs.Options{})
			srv.Newline = c.set
			set(srv)
			for v := fxp.V4; v <= fxp.V6; v++ {
				t.Run(fmt.Sprintf("v%d/%q/%s", v, c.set, name), func(t *testing.T) {
					play(t, srv, sftp.SessionInfo{}, func(p *peer) {
						if text, _ := said(p.init(v), "newline"); text != c.wire {
							p.t.Errorf("newline %q, want %q", text, c.wire)
						}
						p.textRoundTrip(c.wire)
						p.textSeeks(c.wire)
					})
				})
			}
		}
	}
	// Version 3 has none of it.
	srv, _ := memServer(memfs.Options{})
	srv.Newline = "\r\n"
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		if _, ok := said(p.init(3), "newline"); ok {
			p.t.Error("newline is announced to version 3")
		}
		p.put("f", "a\r\nb\n")
		h := p.open("f", fxp.OpenRead|fxp.OpenText)
		if text, _ := p.read(h, 2, 100); text != "\nb\n" {
			p.t.Errorf("%q", text)
		}
		p.want("text-seek", sftp.CodeOpUnsupported, ext(fxp.OpTextSeek, &fxp.ExtTextSeek{Handle: h}))
	})
}

// textSeeks wants text-seek, and the hash of a text file, to count as the wire does.
func (p *peer) textSeeks(sep string) {
	p.t.Helper()
	h := p.open("text", fxp.OpenRead|fxp.OpenText)
	defer p.close(h)
	line := func(n uint64) fxp.Message { return ext(fxp.OpTextSeek, &fxp.ExtTextSeek{Handle: h, Line: n}) }
	for n, want := range map[uint64]string{0: "one", 2: "three", 3: "four"} {
		p.want("text-seek", sftp.CodeOK, line(n))
		if text, _ := p.read(h, 77, uint32(len(want))); text != want {
			p.t.Errorf("line %d: %q", n, text)
		}
	}
	p.want("text-seek behind the last line", sftp.CodeEOF, line(4))
	whole := strings.Join([]string{"one", "", "three", "four"}, sep)
	p.wantHash("md5", hashOf("md5", whole), ext(fxp.OpCheckFileHandle, &fxp.ExtCheckHandle{Handle: h, HashRange: fxp.HashRange{Algorithms: []string{"md5"}}}))
	p.wantHash("md5", hashOf("md5", whole[3:10]), ext(fxp.OpCheckFileHandle, &fxp.ExtCheckHandle{
		Handle: h, HashRange: fxp.HashRange{Algorithms: []string{"md5"}, Start: 3, Length: 7},
	}))
	p.want("hash from behind the end", sftp.CodeInvalidParameter, ext(fxp.OpCheckFileHandle, &fxp.ExtCheckHandle{
		Handle: h, HashRange: fxp.HashRange{Algorithms: []string{"md5"}, Start: 300},
	}))
	b := p.open("text", fxp.OpenRead)
	p.want("text-seek in octets", sftp.CodeOpUnsupported, ext(fxp.OpTextSeek, &fxp.ExtTextSeek{Handle: b}))
	w := p.open("copy", fxp.OpenWrite|fxp.OpenCreate)
	p.want("copy-data of text", sftp.CodeInvalidParameter, ext(fxp.OpCopyData, &fxp.ExtCopyData{From: h, To: w}))
	p.close(w)
	p.close(b)
}

// wantHash sends m and wants a check-file reply.
func (p *peer) wantHash(algorithm, sum string, m fxp.Message) {
	p.t.Helper()
	r, ok := p.call(m).(*fxp.ExtendedReply)
	if !ok {
		p.t.Fatalf("no hash")
	}
	var reply fxp.ReplyCheckFile
	if err := wire.Decode(r.Data, &reply); err != nil || reply.Algorithm != algorithm || string(reply.Hashes) != sum {
		p.t.Errorf("%v %q %x, want %s %x", err, reply.Algorithm, reply.Hashes, algorithm, sum)
	}
}

func hashOf(name, text string) string {
	_, h := sftp.HashByName([]string{name})
	_, _ = io.WriteString(h, text)
	return string(h.Sum(nil))
}

func TestAnnouncements(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.Vendor = sftp.Vendor{Name: "Harbour", Product: "Mole", Version: "1.2", Build: 7}
	srv.Charset, _ = sftp.CharsetOf("ISO-8859-15")
	since := map[string][2]fxp.Version{ // first and last version; all others are of all versions
		"newline": {4, 6}, "text-seek": {4, 6}, "supported": {5, 5}, "supported2": {6, 6}, "acl-supported": {6, 6}, "filename-charset": {6, 6},
	}
	var first []string
	for v := fxp.V3; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			r := p.init(v)
			got := names(r)
			if v == fxp.V3 {
				first = got
				for _, name := range []string{"posix-rename@openssh.com", "check-file", "md5-hash", "copy-file", "space-available", "versions", "vendor-id"} {
					if !slices.Contains(got, name) {
						p.t.Errorf("version 3 lacks %s", name)
					}
				}
			}
			for name, span := range since {
				_, ok := said(r, name)
				if want := v >= span[0] && v <= span[1]; ok != want && name != "acl-supported" {
					p.t.Errorf("version %d: %s announced: %v", v, name, ok)
				}
			}
			rest := slices.DeleteFunc(slices.Clone(got), func(s string) bool { _, ok := since[s]; return ok })
			if !slices.Equal(rest, first) {
				p.t.Errorf("version %d: %q, version 3: %q", v, rest, first)
			}
			if sorted := slices.Sorted(slices.Values(got)); len(slices.Compact(sorted)) != len(got) {
				p.t.Errorf("version %d: something twice in %q", v, got)
			}
			data, _ := said(r, "vendor-id")
			var vendor fxp.VendorID
			if err := wire.Decode([]byte(data), &vendor); err != nil || vendor != (fxp.VendorID{Vendor: "Harbour", Product: "Mole", Version: "1.2", Build: 7}) {
				p.t.Errorf("vendor-id %q: %+v %v", data, vendor, err)
			}
			// The string of the pair is the structure: AsyncSSH reads no other around it.
			if !strings.HasPrefix(data, "\x00\x00\x00\x07Harbour") {
				p.t.Errorf("vendor-id is %q", data)
			}
			p.want("vendor-id of the client", sftp.CodeOK, ext(fxp.OpVendorID, &vendor))
			if v == fxp.V5 {
				data, _ := said(r, "supported")
				var m fxp.Supported
				if err := wire.Decode([]byte(data), &m); err != nil {
					p.t.Fatal(err)
				}
				checkMasks(p.t, v, &m.Masks, m.Extensions)
			}
			if v == fxp.V6 {
				data, _ := said(r, "supported2")
				var m fxp.Supported2
				if err := wire.Decode([]byte(data), &m); err != nil {
					p.t.Fatal(err)
				}
				checkMasks(p.t, v, &m.Masks, m.Extensions)
				if m.OpenBlockVector&1 == 0 || m.BlockVector&1 == 0 {
					p.t.Errorf("block vectors %#x %#x", m.OpenBlockVector, m.BlockVector)
				}
				if charset, _ := said(r, "filename-charset"); charset != "ISO-8859-15" {
					p.t.Errorf("filename-charset %q", charset)
				}
				p.want("filename-translation-control", sftp.CodeOK, ext(fxp.OpFilenameTranslation, &fxp.ExtFlag{On: true}))
			}
		})
	}
	// The list of what is offered rules here, too.
	srv.Extensions = []string{"versions", "check-file-name", "copy-file"}
	everyVersion(t, srv, func(p *peer) {
		p.want("listed", sftp.CodeNoSuchFile, ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: "none", To: "f"}))
		for _, op := range []fxp.Op{fxp.OpVendorID, fxp.OpSpaceAvailable, fxp.OpCheckFileHandle, fxp.OpMD5Hash, fxp.OpFsync} {
			p.want("not listed: "+op.String(), sftp.CodeOpUnsupported, ext(op, &fxp.ExtNothing{}))
		}
	})
	for v := fxp.V3; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			if got := names(p.init(v)); !slices.Equal(got, []string{"check-file", "copy-file", "versions"}) {
				p.t.Errorf("version %d: %q", v, got)
			}
		})
	}
}

func checkMasks(t testing.TB, v fxp.Version, m *fxp.Masks, extensions []string) {
	t.Helper()
	const want = fxp.AttrSize | fxp.AttrOwnerGroup | fxp.AttrPermissions | fxp.AttrAccessTime | fxp.AttrModifyTime | fxp.AttrSubsecond
	if m.Attrs&want != want || m.Attrs&^fxp.AttrMask(v) != 0 || m.Attrs&(fxp.AttrLinkCount|fxp.AttrTextHint|fxp.AttrUntranslated|fxp.AttrChangeTime) != 0 {
		t.Errorf("attributes %#x", m.Attrs)
	}
	for _, flag := range []sftp.OpenFlags{0x7, sftp.OpenAppend, sftp.OpenAppendAtomic, sftp.OpenText, sftp.OpenNoFollow} {
		if has := m.OpenFlags&uint32(flag) == uint32(flag); has != (v >= fxp.V6 || flag < sftp.OpenNoFollow) {
			t.Errorf("open flags %#x: %#x", m.OpenFlags, flag)
		}
	}
	if m.OpenFlags&uint32(sftp.OpenAccessBackup|sftp.OpenBackupStream|sftp.OpenOverrideOwner) != 0 || m.Access != 0x1F01FF || m.MaxRead != fxp.MaxData {
		t.Errorf("%+v", m)
	}
	for _, name := range []string{"text-seek", "version-select", "check-file-name", "check-file-handle", "vendor-id", "space-available"} {
		if !slices.Contains(extensions, name) {
			t.Errorf("extensions lack %s: %q", name, extensions)
		}
	}
	if slices.Contains(extensions, "get-temp-folder") {
		t.Error("temporary folders are offered")
	}
}

// everything is a file with all attributes that there are.
var everything = sftp.Attrs{
	Valid: 0xFFFF | sftp.AttrExtended | sftp.AttrFileID, Mode: sftp.ModeRegular | 0o4755, Size: 1 << 40, UID: 1, GID: 2,
	Owner: "anna", Group: "staff@example.com", Atime: time.Unix(-1, 5e8), Mtime: time.Unix(1e10, 1), Ctime: time.Unix(3, 3), Birth: time.Unix(4, 999_999_999),
	Links: 7, TextHint: sftp.GuessedBinary, Bits: sftp.BitHidden | sftp.BitArchive, BitsValid: 0xFFF, Allocation: 1 << 41, MIME: "text/plain",
	ACL:      &sftp.ACL{Flags: sftp.ACLControlIncluded | sftp.ACLControlPresent, Entries: []sftp.ACE{{Type: sftp.ACEAllow, Mask: sftp.AccessReadData, Who: sftp.WhoEveryone}}},
	Extended: []sftp.ExtAttr{{Name: "user.x", Data: "y"}},
}

// attrsFS has one file, and notes what is wanted of it and done to it.
type attrsFS struct {
	*memfs.FS
	attrs  sftp.Attrs
	want   sftp.AttrMask
	set    sftp.Attrs
	err    error
	flags  sftp.RenameFlags
	how    sftp.OpenHow
	caps   sftp.Capabilities
	path   string
	target string
	real   sftp.RealPathOpt
}

func (f *attrsFS) Capabilities() sftp.Capabilities { return f.caps }

func (f *attrsFS) Stat(_ context.Context, _ string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	f.want = opt.Want
	a := f.attrs
	return &a, f.err
}

func (f *attrsFS) SetStat(_ context.Context, _ string, a *sftp.Attrs, _ bool) error {
	f.set = *a
	return f.err
}

func (f *attrsFS) Mkdir(_ context.Context, _ string, a *sftp.Attrs) error {
	f.set = sftp.Attrs{}
	if a != nil {
		f.set = *a
	}
	return f.err
}

func (f *attrsFS) Rename(_ context.Context, from, to string, flags sftp.RenameFlags) error {
	f.flags, f.path, f.target = flags, from, to
	return f.err
}

func (f *attrsFS) Link(_ context.Context, target, name string, symbolic bool) error {
	f.path, f.target = name, target
	if symbolic {
		f.target += " (symbolic)"
	}
	return f.err
}

func (f *attrsFS) Open(_ context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f.how, f.path = *how, name
	return attrsFile{fs: f}, f.err
}

func (f *attrsFS) RealPath(_ context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	f.path, f.real = name, opt
	if opt.Control < sftp.RealPathStatIf {
		return name, nil, f.err
	}
	a := f.attrs
	return name, &a, f.err
}

type attrsFile struct {
	sftp.UnsupportedFile
	fs *attrsFS
}

func (f attrsFile) Stat(_ context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	f.fs.want = want
	a := f.fs.attrs
	return &a, f.fs.err
}

func (f attrsFile) SetStat(_ context.Context, a *sftp.Attrs) error {
	f.fs.set = *a
	return f.fs.err
}

func newAttrsFS() *attrsFS {
	return &attrsFS{FS: memfs.New(memfs.Options{}), attrs: everything, caps: sftp.Capabilities{
		Features: sftp.FeatureWrite | sftp.FeaturePosixRename | sftp.FeatureHardLink | sftp.FeatureSymlink | sftp.FeatureLSetStat,
		Attrs:    0xFFFF | sftp.AttrExtended, Bits: sftp.BitHidden | sftp.BitArchive, ACL: sftp.ACLCanAllow,
	}}
}

// TestAttrsOfEveryVersion: what is asked for is passed on as a wish and answered, what is not
// asked for and not common is left out.
func TestAttrsOfEveryVersion(t *testing.T) {
	tree := newAttrsFS()
	everyVersion(t, serverOf(tree), func(p *peer) {
		h := p.open("f", fxp.OpenRead)
		ask := func(want uint32) []*fxp.Attrs {
			var out []*fxp.Attrs
			for _, m := range []fxp.Message{
				&fxp.Stat{V: p.v, T: fxp.TypeStat, Path: "f", Want: want}, &fxp.Stat{V: p.v, T: fxp.TypeLstat, Path: "f", Want: want}, &fxp.Fstat{V: p.v, Handle: h, Want: want},
			} {
				tree.want = 0
				out = append(out, &p.call(m).(*fxp.AttrsReply).Attrs)
				if p.v >= fxp.V4 && want != 0 && uint32(tree.want)&(want&fxp.AttrMask(p.v)) != want&fxp.AttrMask(p.v) || tree.want&sftp.AttrMode == 0 {
					p.t.Errorf("%#x is passed on as %#x", want, tree.want)
				}
			}
			return out
		}
		for _, a := range ask(0) {
			common := fxp.AttrSize | fxp.AttrOwnerGroup | fxp.AttrPermissions | fxp.AttrAccessTime | fxp.AttrCreateTime | fxp.AttrModifyTime |
				fxp.AttrSubsecond | fxp.AttrChangeTime | fxp.AttrLinkCount | fxp.AttrBits
			if p.v == fxp.V3 {
				common = fxp.AttrSize | fxp.AttrUIDGID | fxp.AttrPermissions | fxp.AttrACModTime | fxp.AttrExtended
			}
			if p.v == fxp.V5 {
				common &^= fxp.AttrBits // nobody agrees on its layout
			}
			if want := common & fxp.AttrMask(p.v); a.Flags != want {
				p.t.Errorf("%#x, want %#x", a.Flags, want)
			}
		}
		for _, a := range ask(0xFFFFFFFF) {
			all := fxp.AttrMask(p.v)
			if p.v == fxp.V5 {
				all &^= fxp.AttrBits
			}
			if a.Flags != all {
				p.t.Errorf("asked for all: %#x, want %#x", a.Flags, all)
			}
			if p.v == fxp.V3 {
				if a.Permissions != 0o104755 || a.UID != 1 || a.GID != 2 || a.Atime.Sec != 0 || a.Mtime.Sec != math.MaxUint32 {
					p.t.Errorf("%+v", a)
				}
				continue
			}
			if a.Type != byte(sftp.TypeRegular) || a.Permissions != 0o4755 || a.Owner != "anna" || a.Group != "staff@example.com" ||
				a.Atime != (fxp.Time{Sec: -1, Nsec: 5e8}) || a.Mtime != (fxp.Time{Sec: 1e10, Nsec: 1}) || a.Birth.Nsec != 999_999_999 {
				p.t.Errorf("%+v", a)
			}
			if p.v == fxp.V6 && (a.Allocation != 1<<41 || a.MIME != "text/plain" || a.Links != 7 || a.TextHint != 3 || a.Bits != 0x14 || a.Ctime.Sec != 3) {
				p.t.Errorf("%+v", a)
			}
		}
	})
}

// TestTypesOfEveryVersion: what version 4 has no word for is special there.
func TestTypesOfEveryVersion(t *testing.T) {
	modes := map[sftp.Type]uint32{
		sftp.TypeRegular: sftp.ModeRegular, sftp.TypeDirectory: sftp.ModeDir, sftp.TypeSymlink: sftp.ModeSymlink, sftp.TypeSocket: sftp.ModeSocket,
		sftp.TypeChar: sftp.ModeChar, sftp.TypeBlock: sftp.ModeBlock, sftp.TypeFIFO: sftp.ModeFIFO,
		sftp.TypeSpecial: 0o150000, sftp.TypeUnknown: 0,
	}
	tree := newAttrsFS()
	everyVersion(t, serverOf(tree), func(p *peer) {
		for kind, mode := range modes {
			tree.attrs = sftp.Attrs{Valid: sftp.AttrMode, Mode: mode | 0o644}
			a := p.stat("f")
			switch want := kind; {
			case p.v == fxp.V3:
				if a.Permissions != mode|0o644 {
					p.t.Errorf("mode %o", a.Permissions)
				}
			case p.v == fxp.V4 && kind > sftp.TypeUnknown:
				want = sftp.TypeSpecial
				fallthrough
			default:
				if a.Type != byte(want) || a.Permissions != 0o644 {
					p.t.Errorf("type %d of mode %o is %d %o", kind, mode, a.Type, a.Permissions)
				}
			}
		}
	})
}
