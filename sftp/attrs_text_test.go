package sftp

import (
	"reflect"
	"testing"
	"time"
)

// TestOtherAttributes: each attribute by name, and all of them, there and back.
func TestOtherAttributes(t *testing.T) {
	full := Attrs{
		Valid: AttrAtime | AttrMtime | AttrBirth | AttrSubsecond | AttrMIME | AttrAllocation | AttrTextHint | AttrLinks | AttrUntranslated,
		MIME:  "text/plain; charset=utf-8", Allocation: 1 << 40, Atime: time.Unix(1, 11), Birth: time.Unix(2, 22), Mtime: time.Unix(3, 33),
		TextHint: GuessedBinary, Links: 7, Untranslated: "100% \xff\n",
	}
	const want = "MIMEType=text/plain%3B charset=utf-8;AllocationSize=1099511627776;ATimeNS=11;CreateTimeNS=22;MTimeNS=33;" +
		"TextHint=3;LinkCount=7;UntranslatedName=100%25 \xff%0A"
	if got := full.Other(); got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
	back := Attrs{Valid: AttrAtime | AttrMtime | AttrBirth, Atime: time.Unix(1, 0), Birth: time.Unix(2, 0), Mtime: time.Unix(3, 0)}
	if err := back.SetOther(want); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("%v: %+v, want %+v", err, back, full)
	}
	if (&Attrs{}).Other() != "" {
		t.Error("attributes of nothing")
	}
	var a Attrs
	if err := a.SetOther(" linkcount=2 ; TEXTHINT=1;"); err != nil || a.Links != 2 || a.TextHint != GuessedText || a.Valid != AttrLinks|AttrTextHint {
		t.Errorf("%v: %+v", err, a)
	}
	for _, bad := range []string{
		"LinkCount", "LinkCount=x", "LinkCount=4294967296", "TextHint=256", "Colour=red", "MIMEType=%", "MIMEType=%zz", "ATimeNS=5",
		"AllocationSize=-1", "LinkCount=3;ATimeNS=1000000000",
	} {
		was := a
		if err := a.SetOther(bad); err == nil || !reflect.DeepEqual(a, was) {
			t.Errorf("%q: %v %+v", bad, err, a)
		}
	}
}

// TestAttrSetters: each setter says that its field is valid.
func TestAttrSetters(t *testing.T) {
	var a Attrs
	a.SetSize(5)
	a.SetMode(0o644)
	a.SetType(TypeDirectory)
	a.SetOwner("alice", "100")
	if a.OwnerText() != "alice" || a.GroupText() != "100" || a.Has(AttrUIDGID) {
		t.Errorf("%+v", a)
	}
	a.SetOwner("7", "8")
	a.SetBits(BitHidden|BitSystem, BitHidden)
	a.SetMillis(AttrMtime, 1234)
	a.SetMillis(AttrBirth, -1000)
	a.SetMillis(AttrSize, 9)
	want := Attrs{
		Valid: AttrSize | AttrMode | AttrOwnerGroup | AttrUIDGID | AttrBitsSet | AttrMtime | AttrBirth | AttrSubsecond,
		Size:  5, Mode: 0o040644, Kind: TypeDirectory, Owner: "7", Group: "8", UID: 7, GID: 8, Bits: BitHidden, BitsValid: BitHidden,
		Mtime: time.UnixMilli(1234), Birth: time.Unix(-1, 0),
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v, want %+v", a, want)
	}
	if a.Millis(AttrMtime) != 1234 || a.Millis(AttrBirth) != -1000 || a.Millis(AttrAtime) != 0 || a.Millis(AttrSize) != 0 {
		t.Error("milliseconds")
	}
	a.SetMillis(AttrAtime, 2000)
	a.SetMillis(AttrCtime, 3000)
	if a.Atime.Unix() != 2 || a.Ctime.Unix() != 3 {
		t.Error("milliseconds")
	}
	if b := (Attrs{Valid: AttrUIDGID, UID: 4, GID: 5}); b.OwnerText() != "4" || b.GroupText() != "5" || (&Attrs{}).OwnerText() != "" {
		t.Error("owner as text")
	}
}

// FuzzSetOther: whatever is taken prints as what is taken again.
func FuzzSetOther(f *testing.F) {
	for _, s := range []string{"", "MIMEType=a%3Bb;LinkCount=3", "TextHint=3;UntranslatedName=\xff", "ATimeNS=1", "=", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := Attrs{Valid: AttrAtime | AttrMtime | AttrBirth}
		b := a
		if a.SetOther(text) != nil {
			return
		}
		if err := b.SetOther(a.Other()); err != nil || b.Other() != a.Other() {
			t.Fatalf("%q became %q: %v", text, a.Other(), err)
		}
	})
}
