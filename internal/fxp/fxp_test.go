package fxp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// someAttrs has every field that version v has. In version 5 that is not BITS, which is
// only read.
func someAttrs(v Version) Attrs {
	a := Attrs{
		V: v, Flags: attrMasks[v], Type: 1, Size: 1 << 40, Allocation: 4096, Owner: "anna@example.com", Group: "users",
		Permissions: 0o644, Atime: Time{3, 0}, Mtime: Time{4, 0}, Extended: []Pair{{"user.a", []byte("x")}, {"user.b", nil}},
	}
	if v < V4 {
		a.UID, a.GID, a.Permissions = 1, 2, 0o100644
		return a
	}
	a.Atime, a.Birth, a.Mtime, a.Ctime = Time{-1, 999_999_999}, Time{1 << 40, 2}, Time{5, 0}, Time{7, 8}
	a.ACL = wire.Append(nil, someACL(v))
	a.Bits, a.BitsValid, a.TextHint, a.MIME, a.Links, a.Untranslated = 1, 3, 2, "text/plain", 4, "\xff"
	if v == V5 {
		a.Flags &^= AttrBits
	}
	return a
}

func someACL(v Version) *ACL {
	return &ACL{V: v, Flags: 3, Entries: []ACE{{0, 1, 2, "OWNER@"}, {1, 0, 1 << 20, "GROUP@"}}}
}

// fill gives a body fields worth coding.
func fill(m wire.Layouter) {
	hashes := HashRange{[]string{"sha256", "md5"}, 1, 2, 256}
	md5 := MD5Range{1, 2, []byte("0123456789abcdef")}
	switch m := m.(type) {
	case *Init:
		*m = Init{3, []Pair{{"a", []byte("1")}}}
	case *VersionReply:
		*m = VersionReply{3, []Pair{{"a", []byte("1")}, {"b", []byte("2")}}}
	case *Open:
		*m = Open{"name", 0x81, OpenRead | OpenCreate, someAttrs(m.Attrs.V)}
	case *Handle:
		m.Handle = []byte("hand")
	case *Read:
		*m = Read{[]byte("hand"), 1 << 40, 32768}
	case *Write:
		*m = Write{[]byte("hand"), 1 << 40, []byte("content")}
	case *Path:
		m.Path = "name"
	case *Stat:
		m.Path, m.Want = "name", AttrSize
	case *Fstat:
		m.Handle, m.Want = []byte("hand"), AttrSize
	case *PathAttrs:
		m.Path, m.Attrs = "name", someAttrs(m.Attrs.V)
	case *Fsetstat:
		*m = Fsetstat{[]byte("hand"), someAttrs(m.Attrs.V)}
	case *TwoPaths:
		m.First, m.Second = "first", "second"
	case *Rename:
		m.Old, m.New, m.Flags = "old", "new", 2
	case *Realpath:
		m.Path, m.Control, m.Compose = "name", 2, []string{"..", "", "/x"}
	case *Link:
		*m = Link{"new", "target", true}
	case *Block:
		*m = Block{[]byte("hand"), 1 << 40, 1 << 41, 0x240}
	case *Unblock:
		*m = Unblock{[]byte("hand"), 1 << 40, 1 << 41}
	case *Extended:
		*m = Extended{"name@example.com", []byte("data")}
	case *Status:
		m.Code, m.Text, m.Lang, m.Data = 16, "failure", "en", wire.Append(nil, &Principals{[]string{"anna"}})
	case *Data:
		m.Data, m.EOF = []byte("content"), true
	case *Name:
		m.Entries = []NameEntry{{"a", []byte("-rw a"), someAttrs(m.V)}, {"b", []byte("-rw b"), Attrs{V: m.V}}}
		m.EndOfList = true
	case *AttrsReply:
		m.Attrs = someAttrs(m.Attrs.V)
	case *ExtendedReply:
		m.Data = []byte("data")
	case *ExtPaths:
		*m = ExtPaths{"old", "new"}
	case *ExtText:
		m.Text = "text"
	case *ExtHandle:
		m.Handle = []byte("hand")
	case *ExtSetstat:
		*m = ExtSetstat{"name", someAttrs(m.Attrs.V)}
	case *ExtCopyData:
		*m = ExtCopyData{[]byte("from"), 1, 2, []byte("to"), 3}
	case *ExtIDs:
		*m = ExtIDs{[]uint32{0, 1000}, []uint32{5}}
	case *ExtCheckName:
		*m = ExtCheckName{"name", hashes}
	case *ExtCheckHandle:
		*m = ExtCheckHandle{[]byte("hand"), hashes}
	case *ExtMD5Name:
		*m = ExtMD5Name{"name", md5}
	case *ExtMD5Handle:
		*m = ExtMD5Handle{[]byte("hand"), md5}
	case *ExtCopyFile:
		*m = ExtCopyFile{"from", "to", true}
	case *ExtTextSeek:
		*m = ExtTextSeek{[]byte("hand"), 1 << 40}
	case *ExtFlag:
		m.On = true
	case *VendorID:
		*m = VendorID{"vendor", "product", "1.0", 1 << 40}
	case *ReplyStatVFS:
		*m = ReplyStatVFS{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	case *ReplyLimits:
		*m = ReplyLimits{1, 2, 3, 4}
	case *ReplyNames:
		*m = ReplyNames{[]string{"root", ""}, []string{"users"}}
	case *ReplyCheckFile:
		*m = ReplyCheckFile{"md5", []byte("0123456789abcdef")}
	case *ReplyMD5:
		m.Hash = []byte("0123456789abcdef")
	case *ReplySpace:
		*m = ReplySpace{1, 2, 3, 4, 5}
	case *Text:
		m.Text = []byte("3,4,5,6")
	case *Supported:
		*m = Supported{Masks{1, 2, 3, 4, 5}, []string{"a", "b@example.com"}}
	case *Supported2:
		*m = Supported2{Masks{1, 2, 3, 4, 5}, 0x0c01, 0x8001, []string{"user.a"}, []string{"a", "b@example.com"}}
	case *ACLSupported:
		m.Capabilities = 0x3F
	case *ACL:
		*m = *someACL(m.V)
	case *Principals:
		m.Names = []string{"anna", "bert"}
	case *ExtNothing:
	default:
		panic("nothing to fill in")
	}
}

// mayEnd are the bodies that may end early at some octets, endsFree those that take any
// tail, with the first version in which they do.
var (
	mayEnd = map[string]Version{
		"INIT": V0, "VERSION": V0, "STATUS": V0, "EXTENDED": V0, "EXTENDED_REPLY": V0,
		"STAT": V4, "LSTAT": V4, "FSTAT": V4, "RENAME": V5, "REALPATH": V6, "DATA": V6, "NAME": V4,
		"versions": V0, "newline": V0, "filename-charset": V0, "supported": V0, "supported2": V0, "principals": V0,
		"check-file-name reply": V0, "check-file-handle reply": V0,
	}
	endsFree = map[string]Version{
		"EXTENDED": V0, "EXTENDED_REPLY": V0, "STATUS": V5, "versions": V0, "newline": V0, "filename-charset": V0,
		"check-file-name reply": V0, "check-file-handle reply": V0,
	}
)

func is(in map[string]Version, name string, v Version) bool {
	since, ok := in[name]
	return ok && v >= since
}

// bodies calls f for every body of the tables, in every version that has it.
func bodies(f func(name string, v Version, make func() wire.Layouter)) {
	for v := V0; v <= Newest; v++ {
		for _, r := range Rows()[1:] {
			if r.Op.in(v) == OpNone {
				continue
			}
			f(r.Name, v, func() wire.Layouter { return r.New(v) })
			if r.NewReply != nil {
				f(r.Name+" reply", v, r.NewReply)
			}
		}
		for _, a := range Announcements() {
			if v >= a.Since && v <= a.Until {
				f(a.Name, v, a.New)
			}
		}
		if v >= V4 {
			f("acl", v, func() wire.Layouter { return &ACL{V: v} })
			f("principals", v, func() wire.Layouter { return new(Principals) })
		}
	}
}

func TestEveryBody(t *testing.T) {
	bodies(func(name string, v Version, make func() wire.Layouter) {
		t.Run(fmt.Sprintf("%s/%d", name, v), func(t *testing.T) {
			m := make()
			fill(m)
			p := wire.Append(nil, m)
			again := make()
			if err := wire.Decode(p, again); err != nil {
				t.Fatal(err)
			}
			if got := wire.Append(nil, again); !bytes.Equal(got, p) {
				t.Errorf("does not round-trip: %x, want %x", got, p)
			}
			if got, want := wire.Print(again), wire.Print(m); got != want {
				t.Errorf("prints %q, want %q", got, want)
			}
			for n := range p {
				err := wire.Decode(p[:n:n], make())
				if err == nil && !is(mayEnd, name, v) {
					t.Errorf("cut at %d: accepted", n)
				}
				if err != nil && !errors.Is(err, wire.ErrShort) && !errors.Is(err, wire.ErrValue) {
					t.Errorf("cut at %d: %v", n, err)
				}
			}
			err := wire.Decode(append(slices.Clip(p), 0), make())
			if (err == nil) != is(endsFree, name, v) {
				t.Errorf("one octet more: %v", err)
			}
		})
	})
}

func TestTable(t *testing.T) {
	for op, r := range Rows() {
		if op == int(OpNone) {
			continue
		}
		if r.Op != Op(op) || r.Name == "" || r.New == nil || r.Type == 0 || r.Until == 0 {
			t.Errorf("row %d: %+v", op, r)
		}
		if m, ok := r.New(Newest).(Message); ok {
			if m.Type() != r.Type {
				t.Errorf("%s: message says %s", r.Name, m.Type())
			}
			if got := OpOf(r.Type, Newest); got != r.Op {
				t.Errorf("%s: type leads to %s", r.Name, got)
			}
		} else if r.Extension == "" {
			t.Errorf("%s: no Message and no extension", r.Name)
		}
		if r.Since > r.Until || r.Until > Newest {
			t.Errorf("%s: versions %d to %d", r.Name, r.Since, r.Until)
		}
		if r.Extension != "" {
			if got := OpOfExtension([]byte(r.Extension), r.Since); got != r.Op {
				t.Errorf("%s: name leads to %s", r.Name, got)
			}
			if got := OpOfExtension([]byte(r.Extension), V2); got != OpNone {
				t.Errorf("%s: exists in version 2", r.Name)
			}
			announced := slices.ContainsFunc(Announcements(), func(a Announcement) bool { return a.Name == r.AnnouncedAs })
			if r.AnnouncedAs == "" || (r.Announce == "") != announced {
				t.Errorf("%s: announced as %q with %q", r.Name, r.AnnouncedAs, r.Announce)
			}
		}
		if (r.NewReply != nil) != (r.Reply == TypeExtendedReply && r.Extension != "") {
			t.Errorf("%s: reply %s and its data do not match", r.Name, r.Reply)
		}
	}
	if OpOfExtension([]byte("nobody@example.com"), V3) != OpExtended || OpOf(77, V3) != OpNone || OpOf(TypeReadlink, V2) != OpNone {
		t.Error("unknown names, types or versions lead somewhere")
	}
	if Type(77).String() != "type 77" || TypeRead.String() != "READ" {
		t.Error("names of types")
	}
}

func TestFastPathsMatchLayout(t *testing.T) {
	for _, handle := range []string{"", "hand", "a longer handle"} {
		for _, content := range []string{"", "x", "some content"} {
			w := wire.Append(nil, &Write{[]byte(handle), 1<<63 + 5, []byte(content)})
			h, off, data, err := ParseWrite(w)
			if err != nil || string(h) != handle || off != 1<<63+5 || string(data) != content {
				t.Errorf("WRITE: %q %d %q %v", h, off, data, err)
			}
			if _, _, _, err := ParseWrite(append(slices.Clip(w), 1)); err != nil {
				t.Errorf("WRITE with a tail: %v", err)
			}
			for n := range w {
				if _, _, _, err := ParseWrite(w[:n:n]); !errors.Is(err, wire.ErrShort) {
					t.Errorf("WRITE cut at %d: %v", n, err)
				}
			}

			want := Append(nil, 7, &Data{Data: []byte(content)})
			got := make([]byte, DataHeaderSize)
			PutDataHeader(got, 7, len(content))
			if got = append(got, content...); !bytes.Equal(got, want) {
				t.Errorf("DATA %x, want %x", got, want)
			}
		}
		r := wire.Append(nil, &Read{[]byte(handle), 1<<63 + 5, 1<<32 - 1})
		h, off, n, err := ParseRead(r)
		if err != nil || string(h) != handle || off != 1<<63+5 || n != 1<<32-1 {
			t.Errorf("READ: %q %d %d %v", h, off, n, err)
		}
		for n := range r {
			if _, _, _, err := ParseRead(r[:n:n]); !errors.Is(err, wire.ErrShort) {
				t.Errorf("READ cut at %d: %v", n, err)
			}
		}
	}
	for v := V0; v <= Newest; v++ {
		want := Append(nil, 9, &Status{V: v, Text: okText})
		if got := AppendOK(nil, v, 9); !bytes.Equal(got, want) {
			t.Errorf("version %d: STATUS %x, want %x", v, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	p := Append(nil, 5, &Path{T: TypeStat, Path: "x"})[LengthSize:]
	if typ, id, body, err := Split(p); typ != TypeStat || id != 5 || len(body) != 5 || err != nil {
		t.Errorf("%s %d %x %v", typ, id, body, err)
	}
	for n := range 5 {
		if _, _, _, err := Split(p[:n]); !errors.Is(err, wire.ErrShort) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := Decode(p, &Data{}); !errors.Is(err, wire.ErrValue) {
		t.Errorf("STAT as DATA: %v", err)
	}
	if id, err := Decode(p, &Path{T: TypeStat}); id != 5 || err != nil {
		t.Errorf("%d %v", id, err)
	}
	if _, err := Decode(p[:7], &Path{T: TypeStat}); !errors.Is(err, wire.ErrShort) {
		t.Errorf("short STAT: %v", err)
	}
	if _, err := Decode(nil, &Path{T: TypeStat}); !errors.Is(err, wire.ErrShort) {
		t.Errorf("nothing: %v", err)
	}
}

func TestCVE_12_3_CountsAreNotTrusted(t *testing.T) {
	huge := []byte{0xFF, 0xFF, 0xFF, 0xFF}
	var a Attrs
	a.V = V3
	if err := wire.Decode(append([]byte{0x80, 0, 0, 0}, huge...), &a); err == nil || a.Extended != nil {
		t.Errorf("extended_count 2^32-1: %v", err)
	}
	n := Name{V: V3}
	if err := wire.Decode(huge, &n); err == nil || n.Entries != nil {
		t.Errorf("NAME count 2^32-1: %v", err)
	}
	var pairs []byte
	for range 1_000_000 {
		pairs = append(pairs, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	v := VersionReply{}
	if err := wire.Decode(append([]byte{0, 0, 0, 3}, pairs...), &v); err == nil || len(v.Extensions) > maxExtensions {
		t.Errorf("a million extensions: %v", err)
	}
	if err := wire.Decode([]byte{0, 0, 0, 3, 0, 0, 0, 1, 'x'}, &v); !errors.Is(err, wire.ErrShort) {
		t.Errorf("unpaired extension: %v", err)
	}
	var ids ExtIDs
	if err := wire.Decode([]byte{0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0}, &ids); !errors.Is(err, wire.ErrShort) {
		t.Errorf("ids of 3 octets: %v", err)
	}
	var names ReplyNames
	if err := wire.Decode([]byte{0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0}, &names); !errors.Is(err, wire.ErrShort) {
		t.Errorf("packed name beyond its string: %v", err)
	}
}

func TestUnknownAttrFlagsAreDropped(t *testing.T) {
	a := Attrs{V: V3}
	if err := wire.Decode([]byte{0, 0, 0x40, 0x04, 0, 0, 0, 7}, &a); err != nil || a.Flags != AttrPermissions || a.Permissions != 7 {
		t.Errorf("%+v %v", a, err)
	}
	a = Attrs{V: V3, Flags: 0x4000}
	if got := wire.Append(nil, &a); !bytes.Equal(got, []byte{0, 0, 0, 0}) {
		t.Errorf("wrote %x", got)
	}
}

func TestStatusOfOlderVersionsAndSloppyServers(t *testing.T) {
	if got := wire.Append(nil, &Status{V: V2, Code: 4, Text: "x"}); len(got) != 4 {
		t.Errorf("version 2: %x", got)
	}
	for _, p := range [][]byte{{0, 0, 0, 4}, {0, 0, 0, 4, 0, 0, 0, 1, 'x'}} {
		m := Status{V: V3}
		if err := wire.Decode(p, &m); err != nil || m.Code != 4 {
			t.Errorf("short STATUS %x: %+v %v", p, m, err)
		}
	}
}

func TestCodingAllocs(t *testing.T) {
	body := wire.Append(nil, &Write{[]byte("hand"), 1, make([]byte, 100)})
	dst := make([]byte, 0, 1024)
	for v := V3; v <= Newest; v++ {
		a := someAttrs(v)
		a.Owner, a.UID, a.Flags = "", 1<<31, a.Flags|AttrUIDGID
		e := NameEntry{Name: "name", Attrs: a}
		if n := testing.AllocsPerRun(100, func() {
			_, _, _, _ = ParseWrite(body)
			dst = AppendOK(dst[:0], v, 1)
			dst = wire.Append(dst, &a)
			dst = wire.Append(dst, &e)
		}); n != 0 {
			t.Errorf("version %d: %v allocations", v, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	bodies(func(_ string, _ Version, make func() wire.Layouter) {
		m := make()
		fill(m)
		f.Add(wire.Append(nil, m))
	})
	f.Fuzz(func(t *testing.T, p []byte) {
		bodies(func(name string, v Version, make func() wire.Layouter) {
			m := make()
			if wire.Decode(p, m) != nil {
				return
			}
			once := wire.Append(nil, m)
			again := make()
			if err := wire.Decode(once, again); err != nil {
				t.Fatalf("%s in version %d: own encoding refused: %v", name, v, err)
			}
			if twice := wire.Append(nil, again); !bytes.Equal(once, twice) {
				t.Fatalf("%s in version %d: %x, then %x", name, v, once, twice)
			}
			wire.Print(m)
		})
		_, _, _, _ = Split(p)
	})
}
