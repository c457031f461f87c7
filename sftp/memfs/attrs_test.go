package memfs

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// everything are all attributes that can be set, and everyWant asks for all there are.
func everything() *sftp.Attrs {
	return &sftp.Attrs{
		Valid: settable, Mode: 0o640, Size: 7, Allocation: 5000, UID: 12, GID: 13,
		Atime: time.Unix(1, 2), Mtime: time.Unix(3, 4), Birth: time.Unix(-5, 6),
		Bits: sftp.BitHidden | sftp.BitArchive, BitsValid: sftp.BitHidden | sftp.BitArchive | sftp.BitSystem,
		MIME: "text/plain", ACL: &sftp.ACL{Flags: 3, Entries: []sftp.ACE{{Mask: 1, Who: "ann@corp"}}},
		Extended: []sftp.ExtAttr{{Name: "note@example.org", Data: "a\x00b"}, {Name: "other", Data: ""}},
	}
}

const everyWant = ^sftp.AttrMask(0)

// TestKeepsEveryAttribute: by name, by handle, and for what OPEN and MKDIR make.
func TestKeepsEveryAttribute(t *testing.T) {
	s := New(Options{AllowSetID: true})
	f := open(t, s, "/f")
	if err := s.SetStat(ctx, "/f", everything(), true); err != nil {
		t.Fatal(err)
	}
	if err := open(t, s, "/g").SetStat(ctx, everything()); err != nil {
		t.Fatal(err)
	}
	h := writing
	h.Attrs = everything()
	if _, err := s.Open(ctx, "/h", &h); err != nil {
		t.Fatal(err)
	}
	a := everything()
	a.Valid &^= sftp.AttrAllocation // a directory has none
	if err := s.Mkdir(ctx, "/d", a); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]bool{"/f": false, "/g": false, "/h": false, "/d": true} {
		got, err := s.Stat(ctx, name, sftp.StatOpt{Want: everyWant})
		if err != nil {
			t.Fatal(err)
		}
		want := everything()
		if got.Mode&0o777 != want.Mode || got.UID != want.UID || got.GID != want.GID || got.Owner != "12" || got.Group != "13" ||
			!got.Atime.Equal(want.Atime) || !got.Mtime.Equal(want.Mtime) || !got.Birth.Equal(want.Birth) || got.Bits != want.Bits ||
			got.MIME != want.MIME || !reflect.DeepEqual(got.ACL, want.ACL) || !reflect.DeepEqual(got.Extended, want.Extended) {
			t.Errorf("%s: %+v", name, got)
		}
		if !dir && got.Allocation < want.Allocation {
			t.Errorf("%s: allocation %d", name, got.Allocation)
		}
		if name == "/h" && got.Size != 0 || (name == "/f" || name == "/g") && got.Size != 7 {
			t.Errorf("%s: size %d", name, got.Size)
		}
	}
	got, err := f.Stat(ctx, everyWant)
	if err != nil || got.MIME != "text/plain" || len(got.Extended) != 2 {
		t.Errorf("FSTAT: %+v %v", got, err)
	}
	if got, _ := s.Stat(ctx, "/f", sftp.StatOpt{}); got.Valid&(sftp.AttrACL|sftp.AttrExtended) != 0 {
		t.Errorf("not asked for: %#x", got.Valid)
	}
	if caps := s.Capabilities(); caps.Attrs&settable != settable || caps.Bits&everything().Bits != everything().Bits {
		t.Errorf("announced: %+v", caps)
	}

	// A mode takes the place of the ACL, a pair that of its like.
	if err := s.SetStat(ctx, "/f", &sftp.Attrs{
		Valid: sftp.AttrMode | sftp.AttrExtended | sftp.AttrBitsSet, Mode: 0o600, Extended: []sftp.ExtAttr{{Name: "other", Data: "x"}},
		BitsValid: sftp.BitHidden,
	}, true); err != nil {
		t.Fatal(err)
	}
	got, _ = s.Stat(ctx, "/f", sftp.StatOpt{Want: everyWant})
	if mode, ok := got.ACL.Mode(); !ok || mode != 0o600 || len(got.Extended) != 2 || got.Extended[1].Data != "x" || got.Bits != sftp.BitArchive {
		t.Errorf("%+v", got)
	}
	// What was answered belongs to the caller.
	got.Extended[0].Data, got.ACL.Entries[0].Who = "changed", "changed"
	if again, _ := s.Stat(ctx, "/f", sftp.StatOpt{Want: everyWant}); again.Extended[0].Data == "changed" || again.ACL.Entries[0].Who == "changed" {
		t.Error("a caller changed the tree")
	}
}

// TestOwners: with names, both ways and nothing else; without, whatever is given.
func TestOwners(t *testing.T) {
	find := func(name string) (uint32, bool) { return 7, name == "ann" }
	look := func(id uint32) string { return map[uint32]string{7: "ann"}[id] }
	s := New(Options{Names: &sftp.IDNames{UserID: find, GroupID: find, LookupUser: look, LookupGroup: look}})
	set := func(s *FS, owner, group string) (*sftp.Attrs, error) {
		err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrOwnerGroup | sftp.AttrMode, Mode: 0o600, Owner: owner, Group: group}, true)
		a, _ := s.Stat(ctx, "/f", sftp.StatOpt{})
		return a, err
	}
	open(t, s, "/f")
	for _, row := range []struct {
		owner, group string
		err          error
		want         string // owner, group, mode
	}{
		{"bob", "", sftp.CodeOwnerInvalid, "0 0 666"},
		{"ann", "bob", sftp.CodeGroupInvalid, "0 0 666"},
		{"ann@corp", "", nil, "ann 0 600"},
		{"", "5", nil, "ann 5 600"},
		{"5", "ann", nil, "5 ann 600"},
	} {
		a, err := set(s, row.owner, row.group)
		got := a.Owner + " " + a.Group + map[uint32]string{0o666: " 666", 0o600: " 600"}[a.Mode&0o777]
		if !errors.Is(err, row.err) || got != row.want {
			t.Errorf("%q %q: %v, %s, want %s", row.owner, row.group, err, got, row.want)
		}
	}
	s = New(Options{})
	open(t, s, "/f")
	if a, err := set(s, "bob@x", "wheel"); err != nil || a.Owner != "bob@x" || a.Group != "wheel" || a.UID != 0 {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := set(s, "", "9"); err != nil || a.Owner != "bob@x" || a.Group != "9" || a.GID != 9 {
		t.Errorf("%+v %v", a, err)
	}
	if err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrUIDGID, UID: 3, GID: 4}, true); err != nil {
		t.Error(err)
	}
	if a, _ := s.Stat(ctx, "/f", sftp.StatOpt{}); a.Owner != "3" || a.Group != "4" {
		t.Errorf("%+v", a)
	}
}

// TestImmutableAndAppendOnly: the two bits that bind.
func TestImmutableAndAppendOnly(t *testing.T) {
	for _, bit := range []sftp.AttrBits{sftp.BitImmutable, sftp.BitAppendOnly} {
		s := New(Options{})
		if err := s.Mkdir(ctx, "/d", nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"/d/f", "/g"} {
			_ = open(t, s, name).Close(nil)
		}
		if err := s.SetStat(ctx, "/d/f", &sftp.Attrs{Valid: sftp.AttrBitsSet | sftp.AttrMode, Mode: 0o600, Bits: bit, BitsValid: bit}, true); err != nil {
			t.Fatal(err)
		}
		try := func(how sftp.OpenHow) error {
			f, err := s.Open(ctx, "/d/f", &how)
			if err == nil {
				err = f.Close(nil)
			}
			return err
		}
		appends := sftp.CodeOK
		if bit == sftp.BitImmutable {
			appends = sftp.CodePermissionDenied
		}
		for _, row := range []struct {
			what string
			err  error
			want sftp.Code
		}{
			{"read", try(sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting}), sftp.CodeOK},
			{"write", try(writing), sftp.CodePermissionDenied},
			{"append", try(sftp.OpenHow{Access: sftp.AccessAppendData, Disposition: sftp.OpenExisting, Flags: sftp.OpenAppend}), appends},
			{"append and empty", try(sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.TruncateExisting, Flags: sftp.OpenAppend}), sftp.CodePermissionDenied},
			{"remove", s.Remove(ctx, "/d/f"), sftp.CodeCannotDelete},
			{"rename", s.Rename(ctx, "/d/f", "/d/x", 0), sftp.CodePermissionDenied},
			{"rename over", s.Rename(ctx, "/g", "/d/f", sftp.RenameOverwrite), sftp.CodeCannotDelete},
			{"link", s.Link(ctx, "/d/f", "/d/x", false), sftp.CodePermissionDenied},
			{"mode", s.SetStat(ctx, "/d/f", &sftp.Attrs{Valid: sftp.AttrMode}, true), sftp.CodePermissionDenied},
			{"mode with the bit cleared", s.SetStat(ctx, "/d/f", &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrBitsSet, BitsValid: bit}, true), sftp.CodeOK},
			{"remove at last", s.Remove(ctx, "/d/f"), sftp.CodeOK},
		} {
			if got := sftp.CodeOf(row.err); got != row.want {
				t.Errorf("bit %#x, %s: %v, want %v", bit, row.what, got, row.want)
			}
		}
		if err := s.SetStat(ctx, "/d", &sftp.Attrs{Valid: sftp.AttrBitsSet, Bits: sftp.BitImmutable, BitsValid: sftp.BitImmutable}, true); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"open": func() error { _, err := s.Open(ctx, "/d/new", &writing); return err }(), "mkdir": s.Mkdir(ctx, "/d/new", nil),
			"rename": s.Rename(ctx, "/g", "/d/new", 0), "link": s.Link(ctx, "/g", "/d/new", false), "symlink": s.Link(ctx, "g", "/d/new", true),
		} {
			if sftp.CodeOf(err) != sftp.CodePermissionDenied {
				t.Errorf("%s in an immutable directory: %v", what, err)
			}
		}
	}
}

// TestAttributesAreCounted: names, targets and attributes are paid for and given back.
func TestAttributesAreCounted(t *testing.T) {
	s := New(Options{MaxBytes: 4000})
	f := open(t, s, "/f")
	big := &sftp.Attrs{Valid: sftp.AttrExtended | sftp.AttrMode, Mode: 0o600, Extended: []sftp.ExtAttr{{Name: "x", Data: string(make([]byte, 4000))}}}
	for what, err := range map[string]error{
		"pair": f.SetStat(ctx, big), "link": s.Link(ctx, string(append(make([]byte, 0, 3900), bytesOf('t', 3900)...)), "/l", true),
		"mkdir": s.Mkdir(ctx, "/d", big),
		"MIME":  s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrMIME, MIME: string(bytesOf('m', 4000))}, true),
	} {
		if !errors.Is(err, sftp.CodeNoSpace) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if a, _ := s.Stat(ctx, "/f", sftp.StatOpt{}); a.Mode&0o777 != 0o666 || s.used.Load() != nameCost+1 || s.nodes != 2 {
		t.Errorf("mode %o, %d bytes, %d nodes", a.Mode, s.used.Load(), s.nodes)
	}
	big.Extended[0].Data = "small"
	for what, err := range map[string]error{
		"pair": f.SetStat(ctx, big), "link": s.Link(ctx, string(bytesOf('t', 500)), "/l", true), "mkdir": s.Mkdir(ctx, "/d", big),
		"hard": s.Link(ctx, "/f", "/"+string(bytesOf('h', 250)), false), "long": s.Rename(ctx, "/f", "/"+string(bytesOf('i', 255)), 0),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	names := 0
	for i := 0; ; i++ {
		if err := s.Link(ctx, "/l", "/"+string(rune('A'+i)), false); err != nil {
			if !errors.Is(err, sftp.CodeNoSpace) || i == 0 {
				t.Errorf("hard link %d: %v", i, err)
			}
			break
		}
		names++
	}
	if err := s.Rename(ctx, "/l", "/"+string(bytesOf('l', 255)), 0); !errors.Is(err, sftp.CodeNoSpace) {
		t.Errorf("rename to a longer name: %v", err)
	}
	for i := range names {
		_ = s.Remove(ctx, "/"+string(rune('A'+i)))
	}
	for _, name := range []string{"/l", "/" + string(bytesOf('h', 250)), "/" + string(bytesOf('i', 255))} {
		if err := s.Remove(ctx, name); err != nil {
			t.Errorf("%.5s: %v", name, err)
		}
	}
	if err := s.Rmdir(ctx, "/d"); err != nil {
		t.Error(err)
	}
	if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrMIME, MIME: "a/b"}); err != nil {
		t.Error(err)
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
	if s.used.Load() != 0 || s.nodes != 1 {
		t.Errorf("%d bytes and %d nodes left", s.used.Load(), s.nodes)
	}
}

func bytesOf(c byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = c
	}
	return p
}

// TestReadOnlyLocksNothing: a reader cannot keep a writer out by a tree that is read-only.
func TestReadOnlyLocksNothing(t *testing.T) {
	s := New(Options{})
	_ = open(t, s, "/f").Close(nil)
	s.opt.ReadOnly = true
	f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Lock(ctx, sftp.Range{Length: 1}); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
		t.Errorf("lock: %v", err)
	}
	if _, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting, Flags: sftp.OpenBlockWrite}); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
		t.Errorf("block bits: %v", err)
	}
	if c := s.Capabilities(); c.Features&(sftp.FeatureRangeLock|sftp.FeatureOpenLock|sftp.FeatureDeleteOnClose) != 0 || c.Bits != 0 {
		t.Errorf("announced: %+v", c)
	}
}

// TestKeepsEveryBit: each attribute bit that a client can set comes back alone.
func TestKeepsEveryBit(t *testing.T) {
	s := New(Options{})
	f := open(t, s, "/f")
	for bit := sftp.BitReadOnly; bit <= sftp.BitTranslationErr; bit <<= 1 {
		err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrBitsSet, Bits: bit, BitsValid: ^sftp.AttrBits(0)})
		if settable := s.Capabilities().Bits&bit != 0; settable != (err == nil) || !settable && sftp.CodeOf(err) != sftp.CodeOpUnsupported {
			t.Errorf("bit %#x: %v", bit, err)
		}
		if a, _ := f.Stat(ctx, sftp.AttrBitsSet); err == nil && a.Bits != bit {
			t.Errorf("bit %#x: %#x", bit, a.Bits)
		}
	}
}
