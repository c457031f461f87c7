package sftp

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestACLOfMode: every mode comes back, and says the same to each class of users.
func TestACLOfMode(t *testing.T) {
	for mode := range uint32(0o1000) {
		for _, typ := range []uint32{ModeRegular, ModeDir} {
			acl := ACLOfMode(typ | mode)
			if got, ok := acl.Mode(); !ok || got != mode {
				t.Errorf("%o: %o %t: %+v", typ|mode, got, ok, acl.Entries)
			}
			if u, g, o := mode>>6, mode>>3&7, mode&7; len(acl.Entries) != 3 && (g|o)&^u == 0 && o&^g == 0 {
				t.Errorf("%o: %d entries", mode, len(acl.Entries))
			}
		}
	}
	if got := fmt.Sprintf("%+v", ACLOfMode(ModeRegular|0o640).Entries); got !=
		"[{Type:0 Flags:0 Mask:1442207 Who:OWNER@} {Type:0 Flags:64 Mask:1179785 Who:GROUP@} {Type:0 Flags:0 Mask:1179776 Who:EVERYONE@}]" {
		t.Error(got)
	}
}

// TestACLMode: what no mode says is refused, and what clients leave out is not missed.
func TestACLMode(t *testing.T) {
	entry := func(typ ACEType, flags ACEFlags, mask Access, who string) ACE { return ACE{typ, flags, mask, who} }
	const rw = AccessReadData | AccessWriteData | AccessAppendData
	for _, row := range []struct {
		what    string
		flags   ACLFlags
		entries []ACE
		want    int // -1: refused
	}{
		{"bare bits", 3, []ACE{entry(0, 0, rw, WhoOwner), entry(0, 0, 1, WhoGroup)}, 0o640},
		{"everyone is the owner too", 3, []ACE{entry(0, 0, 1, WhoEveryone)}, 0o444},
		{"deny comes first", 3, []ACE{entry(1, 0, 1, WhoGroup), entry(0, 0, 1, WhoEveryone)}, 0o404},
		{"deny comes too late", 3, []ACE{entry(0, 0, 1, WhoEveryone), entry(1, 0, 1, WhoGroup)}, 0o444},
		{"no flags: not the entries are meant", 0, []ACE{entry(0, 0, 1, WhoOwner)}, -1},
		{"present only", 2, []ACE{entry(0, 0, 1, WhoOwner)}, 0o400},
		{"inherited list", 7, []ACE{entry(0, 0, 1, WhoOwner)}, -1},
		{"no entries", 3, nil, -1},
		{"a user", 3, []ACE{entry(0, 0, 1, "ann")}, -1},
		{"another special name", 3, []ACE{entry(0, 0, 1, WhoNetwork)}, -1},
		{"audit", 3, []ACE{entry(2, 0, 1, WhoOwner)}, -1},
		{"inherit", 3, []ACE{entry(0, ACEFileInherit, 1, WhoOwner)}, -1},
		{"append without write", 3, []ACE{entry(0, 0, AccessAppendData, WhoOwner)}, -1},
		{"write owner", 3, []ACE{entry(0, 0, AccessWriteOwner, WhoOwner)}, -1},
		{"mode for all", 3, []ACE{entry(0, 0, AccessWriteACL, WhoEveryone)}, -1},
		{"no stat", 3, []ACE{entry(1, 0, AccessReadAttrs, WhoEveryone)}, -1},
		{"named attributes alone", 3, []ACE{entry(0, 0, AccessReadNamedAttrs, WhoOwner)}, -1},
	} {
		mode, ok := (&ACL{Flags: row.flags, Entries: row.entries}).Mode()
		if ok != (row.want >= 0) || ok && int(mode) != row.want {
			t.Errorf("%s: %o %t, want %o", row.what, mode, ok, row.want)
		}
	}
	if _, ok := (*ACL)(nil).Mode(); ok {
		t.Error("no list has a mode")
	}
}

// TestCheckSet: what can never be set is refused by the right code.
func TestCheckSet(t *testing.T) {
	const settable = AttrSize | AttrMode | AttrAtime | AttrAllocation | AttrBitsSet
	for _, row := range []struct {
		what string
		a    Attrs
		want Code
	}{
		{"nothing", Attrs{}, CodeOK},
		{"all that is allowed", Attrs{Valid: settable | AttrSubsecond, Atime: time.Unix(0, 5)}, CodeOK},
		{"links", Attrs{Valid: AttrMode | AttrLinks}, CodeOpUnsupported},
		{"text hint", Attrs{Valid: AttrTextHint}, CodeOpUnsupported},
		{"a bit", Attrs{Valid: AttrBitsSet, Bits: BitHidden, BitsValid: BitHidden}, CodeOK},
		{"another bit", Attrs{Valid: AttrBitsSet, Bits: BitHidden | BitSystem, BitsValid: BitSystem}, CodeOpUnsupported},
		{"a bit that does not count", Attrs{Valid: AttrBitsSet, Bits: BitSystem, BitsValid: BitHidden}, CodeOK},
		{"a bit to clear", Attrs{Valid: AttrBitsSet, BitsValid: BitSystem}, CodeOK},
		{"size", Attrs{Valid: AttrSize, Size: 1 << 63}, CodeInvalidParameter},
		{"allocation", Attrs{Valid: AttrAllocation, Allocation: 1 << 63}, CodeInvalidParameter},
		{"allocation below size", Attrs{Valid: AttrSize | AttrAllocation, Size: 2, Allocation: 1}, CodeInvalidParameter},
		{"allocation of size", Attrs{Valid: AttrSize | AttrAllocation, Size: 2, Allocation: 2}, CodeOK},
		{"time", Attrs{Valid: AttrAtime, Atime: time.Unix(math.MaxInt64/1_000_000_000, 0)}, CodeInvalidParameter},
		{"time before all", Attrs{Valid: AttrAtime, Atime: time.Unix(math.MinInt64/1_000_000_000, 0)}, CodeInvalidParameter},
	} {
		if got := CodeOf(row.a.CheckSet(settable, BitHidden)); got != row.want {
			t.Errorf("%s: %v, want %v", row.what, got, row.want)
		}
	}
}
