package fxp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

var someAttrs = Attrs{
	V: V3, Flags: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime | AttrExtended,
	Size: 1 << 40, UID: 1, GID: 2, Permissions: 0o100644, Atime: 3, Mtime: 4,
	Extended: []Pair{{"user.a", []byte("x")}, {"user.b", nil}},
}

// fill gives a body fields worth coding.
func fill(m wire.Layouter) {
	switch m := m.(type) {
	case *Init:
		*m = Init{3, []Pair{{"a", []byte("1")}}}
	case *VersionReply:
		*m = VersionReply{3, []Pair{{"a", []byte("1")}, {"b", []byte("2")}}}
	case *Open:
		*m = Open{"name", OpenRead | OpenCreate, someAttrs}
	case *Handle:
		m.Handle = []byte("hand")
	case *Read:
		*m = Read{[]byte("hand"), 1 << 40, 32768}
	case *Write:
		*m = Write{[]byte("hand"), 1 << 40, []byte("content")}
	case *Path:
		m.Path = "name"
	case *PathAttrs:
		m.Path, m.Attrs = "name", someAttrs
	case *Fsetstat:
		*m = Fsetstat{[]byte("hand"), someAttrs}
	case *TwoPaths:
		m.First, m.Second = "first", "second"
	case *Extended:
		*m = Extended{"name@example.com", []byte("data")}
	case *Status:
		m.Code, m.Text, m.Lang = 4, "failure", "en"
	case *Data:
		m.Data = []byte("content")
	case *Name:
		m.Entries = []NameEntry{{"a", []byte("-rw a"), someAttrs}, {"b", []byte("-rw b"), Attrs{V: V3}}}
	case *AttrsReply:
		m.Attrs = someAttrs
	case *ExtendedReply:
		m.Data = []byte("data")
	case *ExtPaths:
		*m = ExtPaths{"old", "new"}
	case *ExtText:
		m.Text = "text"
	case *ExtHandle:
		m.Handle = []byte("hand")
	case *ExtSetstat:
		*m = ExtSetstat{"name", someAttrs}
	case *ExtCopyData:
		*m = ExtCopyData{[]byte("from"), 1, 2, []byte("to"), 3}
	case *ExtIDs:
		*m = ExtIDs{[]uint32{0, 1000}, []uint32{5}}
	case *ReplyStatVFS:
		*m = ReplyStatVFS{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	case *ReplyLimits:
		*m = ReplyLimits{1, 2, 3, 4}
	case *ReplyNames:
		*m = ReplyNames{[]string{"root", ""}, []string{"users"}}
	}
}

// mayEnd are the bodies that may end early at some octets, endsFree those that take any tail.
var (
	mayEnd   = map[string]bool{"INIT": true, "VERSION": true, "STATUS": true, "EXTENDED": true, "EXTENDED_REPLY": true}
	endsFree = map[string]bool{"EXTENDED": true, "EXTENDED_REPLY": true}
)

// bodies calls f for every body of the table.
func bodies(f func(name string, make func() wire.Layouter)) {
	for _, r := range Rows()[1:] {
		f(r.Name, func() wire.Layouter { return r.New(Newest) })
		if r.NewReply != nil {
			f(r.Name+" reply", r.NewReply)
		}
	}
}

func TestEveryBody(t *testing.T) {
	bodies(func(name string, make func() wire.Layouter) {
		t.Run(name, func(t *testing.T) {
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
				if err == nil && !mayEnd[name] {
					t.Errorf("cut at %d: accepted", n)
				}
				if err != nil && !errors.Is(err, wire.ErrShort) && !errors.Is(err, wire.ErrValue) {
					t.Errorf("cut at %d: %v", n, err)
				}
			}
			err := wire.Decode(append(slices.Clip(p), 0), make())
			if (err == nil) != endsFree[name] {
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
		if r.Extension != "" {
			if got := OpOfExtension([]byte(r.Extension), V3); got != r.Op {
				t.Errorf("%s: name leads to %s", r.Name, got)
			}
			if got := OpOfExtension([]byte(r.Extension), V2); got != OpNone {
				t.Errorf("%s: exists in version 2", r.Name)
			}
			if r.Announce == "" {
				t.Errorf("%s: announces nothing", r.Name)
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

			want := Append(nil, 7, &Data{[]byte(content)})
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
	dst := make([]byte, 0, 256)
	a := Attrs{V: V3, Flags: AttrSize | AttrPermissions, Size: 1, Permissions: 2}
	if n := testing.AllocsPerRun(100, func() {
		_, _, _, _ = ParseWrite(body)
		dst = AppendOK(dst[:0], V3, 1)
		dst = wire.Append(dst, &a)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	bodies(func(_ string, make func() wire.Layouter) {
		m := make()
		fill(m)
		f.Add(wire.Append(nil, m))
	})
	f.Fuzz(func(t *testing.T, p []byte) {
		bodies(func(name string, make func() wire.Layouter) {
			m := make()
			if wire.Decode(p, m) != nil {
				return
			}
			once := wire.Append(nil, m)
			again := make()
			if err := wire.Decode(once, again); err != nil {
				t.Fatalf("%s: own encoding refused: %v", name, err)
			}
			if twice := wire.Append(nil, again); !bytes.Equal(once, twice) {
				t.Fatalf("%s: %x, then %x", name, once, twice)
			}
			wire.Print(m)
		})
		_, _, _, _ = Split(p)
	})
}
