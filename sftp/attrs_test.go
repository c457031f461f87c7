package sftp

import (
	"io/fs"
	"os"
	"testing"
)

// TestModes: every row of the type table, both ways.
func TestModes(t *testing.T) {
	for _, row := range typeModes {
		mode := row.mode | ModeSetUID | ModeSticky | 0o754
		if TypeOfMode(mode) != row.typ || row.typ.ModeBits() != row.mode {
			t.Errorf("%v", row)
		}
		if m := FSMode(mode); m.Type() != row.goMode || ModeFromFS(m) != mode {
			t.Errorf("%o became %v and %o", mode, m, ModeFromFS(m))
		}
		a := Attrs{Kind: row.typ}
		if a.FSMode().Type() != row.goMode || a.Type() != row.typ {
			t.Errorf("%v: %v", row.typ, a.FSMode())
		}
	}
	if TypeOfMode(0o644) != TypeNone || TypeOfMode(0o160000) != TypeSpecial || FSMode(0o160000)&fs.ModeIrregular == 0 {
		t.Error("types without a row")
	}
	if (&Attrs{Mode: ModeDir}).Type() != TypeNone {
		t.Error("a mode that is not valid tells a type")
	}
}

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", ".": "/", "/": "/", "..": "/", "/..": "/", "a": "/a", "/a/../../b": "/b", "a//b/./c/": "/a/b/c", "/a/b": "/a/b", `a\..\b`: `/a\..\b`,
	} {
		if got, err := CleanPath(in); got != want || err != nil {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"a\x00", string(make([]byte, MaxPath+1))} {
		if got, err := CleanPath(bad); CodeOf(err) != CodeInvalidFilename || got != "" {
			t.Errorf("%.9q: %.9q %v", bad, got, err)
		}
	}
	for _, row := range [][3]string{{"/a", "b", "/a/b"}, {"/a", "/b", "/b"}, {"", "b", "b"}, {"/a", "", "/a"}} {
		if got := JoinPath(row[0], row[1]); got != row[2] {
			t.Errorf("%q", row)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	f.Add("/a/../b")
	f.Fuzz(func(t *testing.T, name string) {
		p, err := CleanPath(name)
		if err != nil {
			return
		}
		if p[0] != '/' || !fs.ValidPath(p[1:]) && p != "/" && validUTF8(p) {
			t.Errorf("%q became %q", name, p)
		}
		if again, err := CleanPath(p); err == nil && again != p {
			t.Errorf("%q became %q, then %q", name, p, again)
		}
	})
}

func validUTF8(s string) bool { return string([]rune(s)) == s }

// TestOpenHow: the zero value is refused, and what may change something is said to.
func TestOpenHow(t *testing.T) {
	var zero OpenHow
	if zero.Check() == nil || (*OpenHow)(nil).Check() == nil {
		t.Error("the zero value is accepted")
	}
	for _, bad := range []OpenHow{
		{Access: AccessReadData, Disposition: 5}, {Access: AccessReadData, Flags: 1 << 16}, {Access: AccessReadData, Disposition: TruncateExisting},
	} {
		if CodeOf(bad.Check()) != CodeInvalidParameter {
			t.Errorf("%+v is accepted", bad)
		}
	}
	for flag, modifies := range map[int]bool{
		os.O_RDONLY: false, os.O_WRONLY: true, os.O_RDWR: true, os.O_RDONLY | os.O_CREATE: true, os.O_RDONLY | os.O_TRUNC: true,
		os.O_RDONLY | os.O_APPEND: true, os.O_RDWR | os.O_CREATE | os.O_EXCL: true, os.O_WRONLY | os.O_CREATE | os.O_TRUNC: true,
		os.O_WRONLY | os.O_TRUNC: true,
	} {
		h := HowFromFlags(flag)
		if h.Modifies() != modifies {
			t.Errorf("flags %#x: modifies %t", flag, h.Modifies())
		}
		if flag&os.O_APPEND == 0 && h.OSFlags() != flag {
			t.Errorf("flags %#x came back as %#x", flag, h.OSFlags())
		}
		if h.Appends() != (flag&os.O_APPEND != 0) {
			t.Errorf("flags %#x: appends %t", flag, h.Appends())
		}
	}
}
