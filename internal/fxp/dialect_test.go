package fxp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// octets reads hexadecimal digits; what is in parentheses is a remark.
func octets(t *testing.T, s string) []byte {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "(")
		b.WriteString(strings.Join(strings.Fields(line), ""))
	}
	p, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// golden holds m to octets written down by hand from the drafts, both ways.
func golden(t *testing.T, m, empty wire.Layouter, want string) {
	t.Helper()
	p := octets(t, want)
	if got := wire.Append(nil, m); !bytes.Equal(got, p) {
		t.Errorf("%T: wrote\n%x, want\n%x", m, got, p)
	}
	if err := wire.Decode(p, empty); err != nil {
		t.Errorf("%T: %v", m, err)
	} else if got, want := wire.Print(empty), wire.Print(m); got != want {
		t.Errorf("%T: read\n%s, want\n%s", m, got, want)
	}
}

// TestGoldenAttrs: every field of each version, from filexfer-02 section 5, -04 section 5,
// -05 section 5 and -13 section 7.
func TestGoldenAttrs(t *testing.T) {
	for v, want := range map[Version]string{
		V3: `8000000f        (SIZE UIDGID PERMISSIONS ACMODTIME EXTENDED)
		     0000010000000000 (size)
		     00000001 00000002 (uid, gid)
		     000081a4         (permissions)
		     00000003 00000004 (atime, mtime)
		     00000001 00000001 78 00000001 79 (one pair)`,
		V4: `800001fd        (SIZE PERMISSIONS ACCESSTIME CREATETIME MODIFYTIME ACL OWNERGROUP SUBSECOND EXTENDED)
		     01               (regular)
		     0000010000000000 (size)
		     00000004 616e6e61 00000005 7573657273 (owner, group)
		     000001a4         (permissions without the type)
		     ffffffffffffffff 1dcd6500 (atime: half a second before 1970)
		     0000000000000005 00000006 (createtime)
		     0000000000000007 00000000 (mtime)
		     00000004 00000000 (acl)
		     00000001 00000001 78 00000001 79`,
		V5: `800001fd
		     01
		     0000010000000000
		     00000004 616e6e61 00000005 7573657273
		     000001a4
		     ffffffffffffffff 1dcd6500
		     0000000000000005 00000006
		     0000000000000007 00000000
		     00000004 00000000
		     00000001 00000001 78 00000001 79`,
		V6: `8000fffd        (all)
		     01
		     0000010000000000 (size)
		     0000000000001000 (allocation-size)
		     00000004 616e6e61 00000005 7573657273
		     000001a4
		     ffffffffffffffff 1dcd6500
		     0000000000000005 00000006
		     0000000000000007 00000000
		     0000000000000008 00000009 (ctime)
		     00000004 00000000
		     00000001 00000003 (attrib-bits, attrib-bits-valid)
		     02               (text-hint)
		     00000003 612f62  (mime-type)
		     00000004         (link-count)
		     00000001 ff      (untranslated-name)
		     00000001 00000001 78 00000001 79`,
	} {
		a := Attrs{
			V: v, Flags: 0xFFFFFFFF, Type: 1, Size: 1 << 40, Allocation: 4096, UID: 1, GID: 2, Owner: "anna", Group: "users",
			Permissions: 0o100644, Atime: Time{-1, 500_000_000}, Birth: Time{5, 6}, Mtime: Time{7, 0}, Ctime: Time{8, 9},
			ACL: []byte{0, 0, 0, 0}, Bits: 1, BitsValid: 3, TextHint: 2, MIME: "a/b", Links: 4, Untranslated: "\xff",
			Extended: []Pair{{"x", []byte("y")}},
		}
		p := octets(t, want)
		if v == V3 {
			a.Atime, a.Mtime = Time{3, 0}, Time{4, 0}
		}
		if got := wire.Append(nil, &a); !bytes.Equal(got, p) {
			t.Errorf("version %d: wrote\n%x, want\n%x", v, got, p)
		}
		b := Attrs{V: v}
		if err := wire.Decode(p, &b); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if b.Flags != a.Flags&attrMasks[v]&^map[Version]uint32{V5: AttrBits}[v] {
			t.Errorf("version %d: flags %#x", v, b.Flags)
		}
		if got := wire.Append(nil, &b); !bytes.Equal(got, p) {
			t.Errorf("version %d: wrote\n%x after reading\n%x", v, got, p)
		}
		if b.Size != a.Size || b.Atime != a.Atime || b.Mtime != a.Mtime || v >= V4 && (b.Owner != "anna" || b.Group != "users" || b.Birth != a.Birth || b.Type != 1) ||
			v == V6 && (b.Ctime != a.Ctime || b.Allocation != 4096 || b.BitsValid != 3 || b.TextHint != 2 || b.MIME != "a/b" || b.Links != 4 || b.Untranslated != "\xff") {
			t.Errorf("version %d: %+v", v, b)
		}
	}
}

// TestGoldenMessages: what differs between the versions, by hand.
func TestGoldenMessages(t *testing.T) {
	golden(t, &Open{"f", 0, OpenRead | OpenText, Attrs{V: V3}}, &Open{Attrs: Attrs{V: V3}}, `00000001 66 00000041 00000000`)
	golden(t, &Open{"f", 0, OpenRead | OpenText, Attrs{V: V4}}, &Open{Attrs: Attrs{V: V4}}, `00000001 66 00000041 00000000 05`)
	for _, v := range []Version{V5, V6} {
		golden(t, &Open{"f", 0x81, 0x0a, Attrs{V: v, Type: 1}}, &Open{Attrs: Attrs{V: v}}, `00000001 66 00000081 0000000a 00000000 01`)
	}
	two := func(v Version) *Name {
		return &Name{v, []NameEntry{{"a", []byte("-a"), Attrs{V: v, Type: 2}}, {"b", []byte("-b"), Attrs{V: v, Type: 1, Flags: AttrSize, Size: 7}}}, true}
	}
	golden(t, two(V3), &Name{V: V3}, `00000002  00000001 61 00000002 2d61 00000000  00000001 62 00000002 2d62 00000001 0000000000000007`)
	for _, v := range []Version{V4, V5} {
		golden(t, two(v), &Name{V: v}, `00000002  00000001 61 00000000 02  00000001 62 00000001 01 0000000000000007`)
	}
	golden(t, two(V6), &Name{V: V6}, `00000002  00000001 61 00000000 02  00000001 62 00000001 01 0000000000000007  01`)

	for _, typ := range []Type{TypeStat, TypeLstat} {
		golden(t, &Stat{V3, typ, "f", 0}, &Stat{V: V3, T: typ}, `00000001 66`)
		golden(t, &Stat{V4, typ, "f", 0x8d}, &Stat{V: V4, T: typ}, `00000001 66 0000008d`)
	}
	golden(t, &Fstat{V6, []byte("h"), 1}, &Fstat{V: V6}, `00000001 68 00000001`)
	golden(t, &Rename{V4, "a", "b", 0}, &Rename{V: V4}, `00000001 61 00000001 62`)
	golden(t, &Rename{V5, "a", "b", 3}, &Rename{V: V5}, `00000001 61 00000001 62 00000003`)
	golden(t, &Realpath{V: V5, Path: "a"}, &Realpath{V: V5}, `00000001 61`)
	golden(t, &Realpath{V: V6, Path: "a"}, &Realpath{V: V6}, `00000001 61`)
	golden(t, &Realpath{V6, "a", 3, []string{"..", ""}}, &Realpath{V: V6}, `00000001 61 03 00000002 2e2e 00000000`)
	golden(t, &Link{"new", "t", true}, &Link{}, `00000003 6e6577 00000001 74 01`)
	golden(t, &Block{[]byte("h"), 1, 2, 0x80}, &Block{}, `00000001 68 0000000000000001 0000000000000002 00000080`)
	golden(t, &Unblock{[]byte("h"), 1, 2}, &Unblock{}, `00000001 68 0000000000000001 0000000000000002`)
	golden(t, &Data{V5, []byte("x"), true}, &Data{V: V5, EOF: true}, `00000001 78`)
	golden(t, &Data{V6, []byte("x"), true}, &Data{V: V6}, `00000001 78 01`)
	golden(t, &Data{V6, []byte("x"), false}, &Data{V: V6}, `00000001 78`)
	golden(t, &Status{V5, 16, "no", "en", wire.Append(nil, &Principals{[]string{"x"}})}, &Status{V: V5}, `00000010 00000002 6e6f 00000002 656e 00000001 78`)

	golden(t, &ACL{V4, 0, []ACE{{1, 2, 4, "W@"}}}, &ACL{V: V4}, `00000001 00000001 00000002 00000004 00000002 5740`)
	golden(t, &ACL{V6, 3, []ACE{{1, 2, 4, "W@"}}}, &ACL{V: V6}, `00000003 00000001 00000001 00000002 00000004 00000002 5740`)
	golden(t, &Supported{Masks{1, 2, 3, 4, 5}, []string{"a", "b"}}, &Supported{}, `00000001 00000002 00000003 00000004 00000005 00000001 61 00000001 62`)
	golden(t, &Supported2{Masks{1, 2, 3, 4, 5}, 0x0c01, 1, nil, []string{"b"}}, &Supported2{},
		`00000001 00000002 00000003 00000004 00000005 0c01 0001 00000000 00000001 00000001 62`)
	golden(t, &ExtCheckName{"f", HashRange{[]string{"md5", "sha1"}, 1, 2, 256}}, &ExtCheckName{},
		`00000001 66 00000008 6d64352c73686131 0000000000000001 0000000000000002 00000100`)
	golden(t, &ReplyCheckFile{"md5", []byte{1, 2}}, &ReplyCheckFile{}, `0000000a 636865636b2d66696c65 00000003 6d6435 0102`)
	golden(t, &VendorID{"a", "b", "c", 9}, &VendorID{}, `00000001 61 00000001 62 00000001 63 0000000000000009`)
}

// TestSloppyPeers: what programs in the field send otherwise than the drafts say.
func TestSloppyPeers(t *testing.T) {
	read := func(m wire.Layouter, s string) error { return wire.Decode(octets(t, s), m) }

	// phpseclib and Erlang send no type in an OPEN without attributes.
	for v := V4; v <= Newest; v++ {
		o := Open{Attrs: Attrs{V: v}}
		s := `00000001 66 00000001 00000000`
		if v >= V5 {
			s = `00000001 66 00000001 00000001 00000000`
		}
		if err := read(&o, s); err != nil || o.Attrs.Type != fileUnknown {
			t.Errorf("version %d: OPEN without a type: %d %v", v, o.Attrs.Type, err)
		}
		a := Attrs{V: v}
		if err := read(&a, `00000001`); !errors.Is(err, wire.ErrShort) {
			t.Errorf("version %d: size and type missing: %v", v, err)
		}
		// gesftpserver sends the file type in the permissions.
		a = Attrs{V: v}
		if err := read(&a, `00000004 01 000081a4`); err != nil || a.Permissions != 0o100644 {
			t.Errorf("version %d: permissions with a type: %o %v", v, a.Permissions, err)
		}
		if got := wire.Append(nil, &a); !bytes.Equal(got, octets(t, `00000004 01 000001a4`)) {
			t.Errorf("version %d: sends the type bits: %x", v, got)
		}
		// UIDGID has no field any more.
		a = Attrs{V: v}
		if err := read(&a, `00000003 01 0000000000000007`); err != nil || a.Flags != AttrSize || a.Size != 7 {
			t.Errorf("version %d: stray UIDGID: %+v %v", v, a, err)
		}
		for nsec, ok := range map[string]bool{"3b9ac9ff": true, "3b9aca00": false, "ffffffff": false} {
			a = Attrs{V: v}
			if err := read(&a, `00000108 01 0000000000000001`+nsec); (err == nil) != ok || !ok && !errors.Is(err, wire.ErrValue) {
				t.Errorf("version %d: %s nanoseconds: %v", v, nsec, err)
			}
		}
		// Nanoseconds without a time are none.
		a = Attrs{V: v}
		if err := read(&a, `00000100 01`); err != nil || a.Atime != (Time{}) {
			t.Errorf("version %d: nanoseconds of no time: %v", v, err)
		}
		st := Stat{V: v, T: TypeStat, Want: 0}
		if err := read(&st, `00000001 66`); err != nil || st.Want != 0 {
			t.Errorf("version %d: STAT without flags: %v", v, err)
		}
	}
	// Version 4 has no types above 5.
	for typ, want := range map[byte]byte{0: 5, 1: 1, 3: 3, 4: 4, 5: 5, 6: 4, 9: 4} {
		if got := wire.Append(nil, &Attrs{V: V4, Type: typ}); got[4] != want {
			t.Errorf("type %d is sent as %d in version 4", typ, got[4])
		}
		if got := wire.Append(nil, &Attrs{V: V5, Type: typ}); typ != 0 && got[4] != typ {
			t.Errorf("type %d is sent as %d in version 5", typ, got[4])
		}
	}
	// Principals without a name are numbers.
	a := Attrs{V: V4, Flags: AttrUIDGID, UID: 1000, GID: 1<<32 - 1, Group: "users"}
	if got := wire.Append(nil, &a); !bytes.Equal(got, octets(t, `00000080 05 00000004 31303030 00000005 7573657273`)) {
		t.Errorf("owner and group as numbers: %x", got)
	}
	a.Flags, a.Owner, a.UID = AttrOwnerGroup, "", 0
	if got := wire.Append(nil, &a); !bytes.Equal(got, octets(t, `00000080 05 00000000 00000005 7573657273`)) {
		t.Errorf("an owner to be left alone: %x", got)
	}

	for s, want := range map[string]string{
		`00000001 61 00000001 62 00000001 63 0000000000000009`:          "direct",
		`00000017 00000001 61 00000001 62 00000001 63 0000000000000009`: "in a string",
	} {
		var m VendorID
		if err := read(&m, s); err != nil || m != (VendorID{"a", "b", "c", 9}) {
			t.Errorf("vendor-id %s: %+v %v", want, m, err)
		}
	}
	var m ReplyCheckFile
	if err := read(&m, `00000003 6d6435 0102`); err != nil || m.Algorithm != "md5" || !bytes.Equal(m.Hashes, []byte{1, 2}) {
		t.Errorf("ProFTPD's check-file: %+v %v", m, err)
	}
	var s2 Supported2
	if err := read(&s2, `00000001 00000002 00000003 00000004 00000005`); err != nil || s2.Access != 4 {
		t.Errorf("supported2 that ends early: %+v %v", s2, err)
	}
	var p Principals
	if err := read(&p, `00000001 78 0000`); !errors.Is(err, wire.ErrShort) {
		t.Errorf("half a name: %v", err)
	}
	var st Status
	st.V = V6
	if err := read(&st, `00000004`); err != nil || st.Code != 4 {
		t.Errorf("STATUS of four octets: %v", err)
	}
}

// TestBitsOfVersion5: the draft has one word, AsyncSSH two; never sent.
func TestBitsOfVersion5(t *testing.T) {
	for name, c := range map[string]struct {
		s           string
		bits, valid uint32
	}{
		"one":                    {`00000200 01 00000005`, 5, version5Bits},
		"two":                    {`00000200 01 00000005 00000007`, 5, 7},
		"one and no extended":    {`80000200 01 00000005 00000000`, 5, version5Bits},
		"two and no extended":    {`80000200 01 00000005 00000007 00000000`, 5, 7},
		"one and a pair":         {`80000200 01 00000005 00000001 00000001 78 00000000`, 5, version5Bits},
		"two and a pair":         {`80000200 01 00000005 00000001 00000001 00000001 78 00000000`, 5, 1},
		"two, all bits, no pair": {`80000200 01 00000005 ffffffff 00000000`, 5, 1<<32 - 1},
	} {
		a := Attrs{V: V5}
		if err := wire.Decode(octets(t, c.s), &a); err != nil || a.Bits != c.bits || a.BitsValid != c.valid {
			t.Errorf("%s: %#x %#x %v", name, a.Bits, a.BitsValid, err)
		}
		if a.Flags &= AttrBits; len(wire.Append(nil, &a)) != 5 {
			t.Errorf("%s: sends BITS in version 5", name)
		}
	}
	for words, want := range map[string]uint32{`00000005`: version5Bits, `00000005 00000007`: 7} {
		body := octets(t, `00000002 00000001 61 00000200 01 `+words+` 00000001 62 00000201 01 0000000000000001 `+words)
		m := Name{V: V5}
		if err := wire.Decode(body, &m); err != nil || len(m.Entries) != 2 {
			t.Fatal(words, err)
		}
		n := ReadNames(V5, body)
		var e NameEntry
		for i := 0; n.Next(&e); i++ {
			if e.Attrs.Bits != 5 || e.Attrs.BitsValid != want || m.Entries[i].Attrs.BitsValid != want || e.Name != m.Entries[i].Name {
				t.Errorf("%s: %+v, %+v", words, e, m.Entries[i])
			}
		}
		if n.Err() != nil {
			t.Error(n.Err())
		}
	}
}

// TestNames: a listing walked is the same as one decoded, wherever it is cut.
func TestNames(t *testing.T) {
	for v := V0; v <= Newest; v++ {
		m := Name{V: v}
		fill(&m)
		body := wire.Append(nil, &m)
		for n := range len(body) + 1 {
			whole := Name{V: v}
			err := wire.Decode(body[:n], &whole)
			walk := ReadNames(v, body[:n:n])
			var e NameEntry
			i := 0
			for ; walk.Next(&e); i++ {
				if err == nil && wire.Print(&e) != wire.Print(&whole.Entries[i]) {
					t.Errorf("version %d: %s, want %s", v, wire.Print(&e), wire.Print(&whole.Entries[i]))
				}
			}
			if (walk.Err() == nil) != (err == nil) || err == nil && (i != len(m.Entries) || walk.Len() != 0 || walk.EndOfList != whole.EndOfList) {
				t.Errorf("version %d: cut at %d: %v, %v", v, n, walk.Err(), err)
			}
		}
		// A count that the message cannot hold costs nothing.
		huge := ReadNames(v, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0})
		if huge.Next(new(NameEntry)) || !errors.Is(huge.Err(), wire.ErrShort) {
			t.Errorf("version %d: 2^32-1 entries: %v", v, huge.Err())
		}
	}
	// What is the same again is not copied again.
	a := Attrs{V: V6, Flags: AttrOwnerGroup, Owner: "anna", Group: "users"}
	list := Name{V: V6}
	for range 100 {
		list.Entries = append(list.Entries, NameEntry{Name: "f", Attrs: a})
	}
	body := wire.Append(nil, &list)
	if n := testing.AllocsPerRun(10, func() {
		walk := ReadNames(V6, body)
		var e NameEntry
		for walk.Next(&e) {
		}
	}); n > 10 {
		t.Errorf("%v allocations for a hundred names of one owner", n)
	}
}

// TestCVE_12_3_CountsOfNewVersions: counts and lists of versions 4 to 6 are bounded before
// they take memory.
func TestCVE_12_3_CountsOfNewVersions(t *testing.T) {
	huge := []byte{0xFF, 0xFF, 0xFF, 0xFF}
	for v := V4; v <= Newest; v++ {
		acl := ACL{V: v}
		p := huge
		if v >= V6 {
			p = append([]byte{0, 0, 0, 0}, huge...)
		}
		if err := wire.Decode(p, &acl); err == nil || acl.Entries != nil {
			t.Errorf("version %d: 2^32-1 ACEs: %v", v, err)
		}
		n := Name{V: v}
		if err := wire.Decode(huge, &n); err == nil || n.Entries != nil {
			t.Errorf("version %d: 2^32-1 names: %v", v, err)
		}
	}
	many := make([]byte, 4*100_000) // empty strings
	for what, m := range map[string]wire.Layouter{
		"compose paths": &Realpath{V: V6}, "principals": &Principals{}, "ACEs": &ACL{V: V4},
	} {
		p := many
		if what == "compose paths" {
			p = append([]byte{0, 0, 0, 0, 1}, many...)
		}
		if what == "ACEs" {
			p = append([]byte{0, 0, 0x20, 0}, many...)
		}
		if err := wire.Decode(p, m); !errors.Is(err, wire.ErrValue) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := wire.Decode(append(make([]byte, 20), many...), &Supported{}); !errors.Is(err, wire.ErrValue) {
		t.Errorf("supported: %v", err)
	}
	if err := wire.Decode(append(make([]byte, 24), huge...), &Supported2{}); err == nil {
		t.Error("supported2 with 2^32-1 names")
	}
}

// TestClientFastPathsMatchLayout holds what a client codes by offsets to the layouts.
func TestClientFastPathsMatchLayout(t *testing.T) {
	for _, handle := range []string{"", "hand", strings.Repeat("h", MaxHandle)} {
		want := Append(nil, 7, &Read{[]byte(handle), 1<<63 + 5, 1<<32 - 1})
		if got := AppendRead([]byte("x"), 7, []byte(handle), 1<<63+5, 1<<32-1); string(got) != "x"+string(want) {
			t.Errorf("READ %x, want %x", got[1:], want)
		}
		for _, content := range []string{"", "x", "some content"} {
			want := Append(nil, 7, &Write{[]byte(handle), 1<<63 + 5, []byte(content)})
			got := make([]byte, WriteHeaderSize(len(handle)))
			PutWriteHeader(got, 7, []byte(handle), 1<<63+5, len(content))
			if got = append(got, content...); !bytes.Equal(got, want) {
				t.Errorf("WRITE %x, want %x", got, want)
			}
		}
	}
	for v := V0; v <= Newest; v++ {
		for _, content := range []string{"", "x", "some content"} {
			for _, eof := range []bool{false, true} {
				m := Data{V: v, Data: []byte(content), EOF: eof}
				got := make([]byte, DataHeaderSize)
				if eof && v >= V6 {
					PutDataHeaderEOF(got, 9, len(content))
					got = append(append(got, content...), DataEOF)
				} else {
					PutDataHeader(got, 9, len(content))
					got = append(got, content...)
				}
				if want := Append(nil, 9, &m); !bytes.Equal(got, want) {
					t.Errorf("version %d: DATA %x, want %x", v, got, want)
				}
			}
		}
	}
	dst, head, handle := make([]byte, 0, 64), make([]byte, 64), []byte("hand")
	if n := testing.AllocsPerRun(100, func() {
		dst = AppendRead(dst[:0], 1, handle, 2, 3)
		PutWriteHeader(head, 1, handle, 2, 3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAttrTable: the rows are in order and cover all flags.
func TestAttrTable(t *testing.T) {
	for v := V0; v <= Newest; v++ {
		want := uint32(0x8000000F)
		switch {
		case v == V4:
			want = 0x800001FD
		case v == V5:
			want = 0x800003FD
		case v == V6:
			want = 0x8000FFFD
		}
		if AttrMask(v) != want {
			t.Errorf("version %d has flags %#x, want %#x", v, AttrMask(v), want)
		}
	}
	// Each field is on the wire by its own flag, and by it only.
	for v := V0; v <= Newest; v++ {
		for _, r := range attrRows[v] {
			a := someAttrs(v)
			a.Flags = r.flag
			b := Attrs{V: v}
			if err := wire.Decode(wire.Append(nil, &a), &b); err != nil {
				t.Errorf("version %d, flag %#x: %v", v, r.flag, err)
			}
			if want := r.flag; b.Flags != want && (v != V5 || r.field != fieldBits) {
				t.Errorf("version %d: flag %#x became %#x", v, want, b.Flags)
			}
		}
	}
}

func BenchmarkAttrs(b *testing.B) {
	for _, v := range []Version{V3, V6} {
		b.Run(fmt.Sprint(v), func(b *testing.B) {
			a := Attrs{V: v, Flags: AttrSize | AttrUIDGID | AttrPermissions | 0x28, Type: 1, Size: 1, UID: 1000, GID: 1000, Owner: "anna", Group: "users"}
			dst := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				dst = wire.Append(dst[:0], &a)
			}
		})
	}
}
