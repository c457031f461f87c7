package sftp

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// draftNames are the constants of the drafts with what they are here.
var draftNames = map[string]map[string][2]uint32{
	"file type": {
		"SSH_FILEXFER_TYPE_REGULAR": {1, uint32(TypeRegular)}, "SSH_FILEXFER_TYPE_DIRECTORY": {2, uint32(TypeDirectory)},
		"SSH_FILEXFER_TYPE_SYMLINK": {3, uint32(TypeSymlink)}, "SSH_FILEXFER_TYPE_SPECIAL": {4, uint32(TypeSpecial)},
		"SSH_FILEXFER_TYPE_UNKNOWN": {5, uint32(TypeUnknown)}, "SSH_FILEXFER_TYPE_SOCKET": {6, uint32(TypeSocket)},
		"SSH_FILEXFER_TYPE_CHAR_DEVICE": {7, uint32(TypeChar)}, "SSH_FILEXFER_TYPE_BLOCK_DEVICE": {8, uint32(TypeBlock)},
		"SSH_FILEXFER_TYPE_FIFO": {9, uint32(TypeFIFO)},
	},
	"attribute bit": {
		"SSH_FILEXFER_ATTR_FLAGS_READONLY": {0x1, uint32(BitReadOnly)}, "SSH_FILEXFER_ATTR_FLAGS_SYSTEM": {0x2, uint32(BitSystem)},
		"SSH_FILEXFER_ATTR_FLAGS_HIDDEN": {0x4, uint32(BitHidden)}, "SSH_FILEXFER_ATTR_FLAGS_CASE_INSENSITIVE": {0x8, uint32(BitCaseInsensitive)},
		"SSH_FILEXFER_ATTR_FLAGS_ARCHIVE": {0x10, uint32(BitArchive)}, "SSH_FILEXFER_ATTR_FLAGS_ENCRYPTED": {0x20, uint32(BitEncrypted)},
		"SSH_FILEXFER_ATTR_FLAGS_COMPRESSED": {0x40, uint32(BitCompressed)}, "SSH_FILEXFER_ATTR_FLAGS_SPARSE": {0x80, uint32(BitSparse)},
		"SSH_FILEXFER_ATTR_FLAGS_APPEND_ONLY": {0x100, uint32(BitAppendOnly)}, "SSH_FILEXFER_ATTR_FLAGS_IMMUTABLE": {0x200, uint32(BitImmutable)},
		"SSH_FILEXFER_ATTR_FLAGS_SYNC": {0x400, uint32(BitSync)}, "SSH_FILEXFER_ATTR_FLAGS_TRANSLATION_ERR": {0x800, uint32(BitTranslationErr)},
	},
	"access": {
		"ACE4_READ_DATA": {0x1, uint32(AccessReadData)}, "ACE4_LIST_DIRECTORY": {0x1, uint32(AccessListDirectory)},
		"ACE4_WRITE_DATA": {0x2, uint32(AccessWriteData)}, "ACE4_ADD_FILE": {0x2, uint32(AccessAddFile)},
		"ACE4_APPEND_DATA": {0x4, uint32(AccessAppendData)}, "ACE4_ADD_SUBDIRECTORY": {0x4, uint32(AccessAddSubdirectory)},
		"ACE4_READ_NAMED_ATTRS": {0x8, uint32(AccessReadNamedAttrs)}, "ACE4_WRITE_NAMED_ATTRS": {0x10, uint32(AccessWriteNamedAttrs)},
		"ACE4_EXECUTE": {0x20, uint32(AccessExecute)}, "ACE4_DELETE_CHILD": {0x40, uint32(AccessDeleteChild)},
		"ACE4_READ_ATTRIBUTES": {0x80, uint32(AccessReadAttrs)}, "ACE4_WRITE_ATTRIBUTES": {0x100, uint32(AccessWriteAttrs)},
		"ACE4_DELETE": {0x10000, uint32(AccessDelete)}, "ACE4_READ_ACL": {0x20000, uint32(AccessReadACL)},
		"ACE4_WRITE_ACL": {0x40000, uint32(AccessWriteACL)}, "ACE4_WRITE_OWNER": {0x80000, uint32(AccessWriteOwner)},
		"ACE4_SYNCHRONIZE": {0x100000, uint32(AccessSynchronize)},
	},
	"ACE type": {
		"ACE4_ACCESS_ALLOWED_ACE_TYPE": {0, uint32(ACEAllow)}, "ACE4_ACCESS_DENIED_ACE_TYPE": {1, uint32(ACEDeny)},
		"ACE4_SYSTEM_AUDIT_ACE_TYPE": {2, uint32(ACEAudit)}, "ACE4_SYSTEM_ALARM_ACE_TYPE": {3, uint32(ACEAlarm)},
	},
	"ACE flag": {
		"ACE4_FILE_INHERIT_ACE": {0x1, uint32(ACEFileInherit)}, "ACE4_DIRECTORY_INHERIT_ACE": {0x2, uint32(ACEDirectoryInherit)},
		"ACE4_NO_PROPAGATE_INHERIT_ACE": {0x4, uint32(ACENoPropagateInherit)}, "ACE4_INHERIT_ONLY_ACE": {0x8, uint32(ACEInheritOnly)},
		"ACE4_SUCCESSFUL_ACCESS_ACE_FLAG": {0x10, uint32(ACESuccessfulAccess)}, "ACE4_FAILED_ACCESS_ACE_FLAG": {0x20, uint32(ACEFailedAccess)},
		"ACE4_IDENTIFIER_GROUP": {0x40, uint32(ACEIdentifierGroup)},
	},
	"ACL flag": {
		"SFX_ACL_CONTROL_INCLUDED": {0x1, uint32(ACLControlIncluded)}, "SFX_ACL_CONTROL_PRESENT": {0x2, uint32(ACLControlPresent)},
		"SFX_ACL_CONTROL_INHERITED": {0x4, uint32(ACLControlInherited)}, "SFX_ACL_AUDIT_ALARM_INCLUDED": {0x10, uint32(ACLAuditAlarmIncluded)},
		"SFX_ACL_AUDIT_ALARM_INHERITED": {0x20, uint32(ACLAuditAlarmInherited)},
	},
	"ACL capability": {
		"SSH_ACL_CAP_ALLOW": {0x1, uint32(ACLCanAllow)}, "SSH_ACL_CAP_DENY": {0x2, uint32(ACLCanDeny)}, "SSH_ACL_CAP_AUDIT": {0x4, uint32(ACLCanAudit)},
		"SSH_ACL_CAP_ALARM": {0x8, uint32(ACLCanAlarm)}, "SSH_ACL_CAP_INHERIT_ACCESS": {0x10, uint32(ACLCanInheritAccess)},
		"SSH_ACL_CAP_INHERIT_AUDIT_ALARM": {0x20, uint32(ACLCanInheritAuditAlarm)},
	},
	"text hint": {
		"SSH_FILEXFER_ATTR_KNOWN_TEXT": {0, uint32(KnownText)}, "SSH_FILEXFER_ATTR_GUESSED_TEXT": {1, uint32(GuessedText)},
		"SSH_FILEXFER_ATTR_KNOWN_BINARY": {2, uint32(KnownBinary)}, "SSH_FILEXFER_ATTR_GUESSED_BINARY": {3, uint32(GuessedBinary)},
	},
	"attribute": {
		"SSH_FILEXFER_ATTR_SIZE": {0x1, uint32(AttrSize)}, "SSH_FILEXFER_ATTR_UIDGID": {0x2, uint32(AttrUIDGID)},
		"SSH_FILEXFER_ATTR_PERMISSIONS": {0x4, uint32(AttrMode)}, "SSH_FILEXFER_ATTR_ACCESSTIME": {0x8, uint32(AttrAtime)},
		"SSH_FILEXFER_ATTR_CREATETIME": {0x10, uint32(AttrBirth)}, "SSH_FILEXFER_ATTR_MODIFYTIME": {0x20, uint32(AttrMtime)},
		"SSH_FILEXFER_ATTR_ACL": {0x40, uint32(AttrACL)}, "SSH_FILEXFER_ATTR_OWNERGROUP": {0x80, uint32(AttrOwnerGroup)},
		"SSH_FILEXFER_ATTR_SUBSECOND_TIMES": {0x100, uint32(AttrSubsecond)}, "SSH_FILEXFER_ATTR_BITS": {0x200, uint32(AttrBitsSet)},
		"SSH_FILEXFER_ATTR_ALLOCATION_SIZE": {0x400, uint32(AttrAllocation)}, "SSH_FILEXFER_ATTR_TEXT_HINT": {0x800, uint32(AttrTextHint)},
		"SSH_FILEXFER_ATTR_MIME_TYPE": {0x1000, uint32(AttrMIME)}, "SSH_FILEXFER_ATTR_LINK_COUNT": {0x2000, uint32(AttrLinks)},
		"SSH_FILEXFER_ATTR_UNTRANSLATED_NAME": {0x4000, uint32(AttrUntranslated)}, "SSH_FILEXFER_ATTR_CTIME": {0x8000, uint32(AttrCtime)},
		"SSH_FILEXFER_ATTR_EXTENDED": {0x80000000, uint32(AttrExtended)},
	},
	"open": {
		"SSH_FXF_CREATE_NEW": {0, uint32(CreateNew)}, "SSH_FXF_CREATE_TRUNCATE": {1, uint32(CreateTruncate)},
		"SSH_FXF_OPEN_EXISTING": {2, uint32(OpenExisting)}, "SSH_FXF_OPEN_OR_CREATE": {3, uint32(OpenOrCreate)},
		"SSH_FXF_TRUNCATE_EXISTING": {4, uint32(TruncateExisting)}, "SSH_FXF_APPEND_DATA": {0x8, uint32(OpenAppend)},
		"SSH_FXF_APPEND_DATA_ATOMIC": {0x10, uint32(OpenAppendAtomic)}, "SSH_FXF_TEXT_MODE": {0x20, uint32(OpenText)},
		"SSH_FXF_BLOCK_READ": {0x40, uint32(OpenBlockRead)}, "SSH_FXF_BLOCK_WRITE": {0x80, uint32(OpenBlockWrite)},
		"SSH_FXF_BLOCK_DELETE": {0x100, uint32(OpenBlockDelete)}, "SSH_FXF_BLOCK_ADVISORY": {0x200, uint32(OpenBlockAdvisory)},
		"SSH_FXF_NOFOLLOW": {0x400, uint32(OpenNoFollow)}, "SSH_FXF_DELETE_ON_CLOSE": {0x800, uint32(OpenDeleteOnClose)},
		"SSH_FXF_ACCESS_AUDIT_ALARM_INFO": {0x1000, uint32(OpenAccessAuditAlarm)}, "SSH_FXF_ACCESS_BACKUP": {0x2000, uint32(OpenAccessBackup)},
		"SSH_FXF_BACKUP_STREAM": {0x4000, uint32(OpenBackupStream)}, "SSH_FXF_OVERRIDE_OWNER": {0x8000, uint32(OpenOverrideOwner)},
	},
	"open of versions 3 and 4": {
		"SSH_FXF_READ": {0x1, fxp.OpenRead}, "SSH_FXF_WRITE": {0x2, fxp.OpenWrite}, "SSH_FXF_APPEND": {0x4, fxp.OpenAppend},
		"SSH_FXF_CREAT": {0x8, fxp.OpenCreate}, "SSH_FXF_TRUNC": {0x10, fxp.OpenTrunc}, "SSH_FXF_EXCL": {0x20, fxp.OpenExcl},
		"SSH_FXF_TEXT": {0x40, fxp.OpenText},
	},
	"rename": {
		"SSH_FXF_RENAME_OVERWRITE": {1, uint32(RenameOverwrite)}, "SSH_FXF_RENAME_ATOMIC": {2, uint32(RenameAtomic)},
		"SSH_FXF_RENAME_NATIVE": {4, uint32(RenameNative)},
	},
	"realpath": {
		"SSH_FXP_REALPATH_NO_CHECK": {1, uint32(RealPathNoCheck)}, "SSH_FXP_REALPATH_STAT_IF": {2, uint32(RealPathStatIf)},
		"SSH_FXP_REALPATH_STAT_ALWAYS": {3, uint32(RealPathStatAlways)},
	},
	"version": {"3": {3, Version3}, "4": {4, Version4}, "5": {5, Version5}, "6": {6, Version6}},
}

// TestDraftNames: every constant of the drafts has its value here. The status codes are
// those of TestStatusTable.
func TestDraftNames(t *testing.T) {
	for kind, names := range draftNames {
		for name, c := range names {
			if c[0] != c[1] {
				t.Errorf("%s: %s is %#x, want %#x", kind, name, c[1], c[0])
			}
		}
	}
	for i, name := range []string{
		"OK", "EOF", "NO_SUCH_FILE", "PERMISSION_DENIED", "FAILURE", "BAD_MESSAGE", "NO_CONNECTION", "CONNECTION_LOST", "OP_UNSUPPORTED",
		"INVALID_HANDLE", "NO_SUCH_PATH", "FILE_ALREADY_EXISTS", "WRITE_PROTECT", "NO_MEDIA", "NO_SPACE_ON_FILESYSTEM", "QUOTA_EXCEEDED",
		"UNKNOWN_PRINCIPAL", "LOCK_CONFLICT", "DIR_NOT_EMPTY", "NOT_A_DIRECTORY", "INVALID_FILENAME", "LINK_LOOP", "CANNOT_DELETE",
		"INVALID_PARAMETER", "FILE_IS_A_DIRECTORY", "BYTE_RANGE_LOCK_CONFLICT", "BYTE_RANGE_LOCK_REFUSED", "DELETE_PENDING", "FILE_CORRUPT",
		"OWNER_INVALID", "GROUP_INVALID", "NO_MATCHING_BYTE_RANGE_LOCK",
	} {
		if Code(i).String() != "SSH_FX_"+name {
			t.Errorf("code %d is %v, want %s", i, Code(i), name)
		}
	}
	// The words of WANT and of Attrs.Flags are taken for one another.
	for v := fxp.V4; v <= fxp.V6; v++ {
		if AttrMask(fxp.AttrMask(v))&AttrFileID != 0 {
			t.Errorf("version %d has the bit of AttrFileID", v)
		}
	}
}

// allAttrs has every field.
func allAttrs() Attrs {
	return Attrs{
		Valid: 0x8000FFFF, Kind: TypeRegular, Mode: ModeRegular | 0o640, Size: 1 << 40, UID: 1000, GID: 100, Owner: "anna", Group: "users@example.com",
		Atime: time.Unix(-1, 500), Mtime: time.Unix(1<<33, 0), Ctime: time.Unix(5, 6), Birth: time.Unix(7, 8), Links: 2, TextHint: GuessedBinary,
		Bits: BitHidden, BitsValid: BitHidden | BitSystem, Allocation: 4096, MIME: "text/plain", Untranslated: "\xff",
		ACL: &ACL{Flags: ACLControlIncluded | ACLControlPresent, Entries: []ACE{
			{ACEAllow, ACEIdentifierGroup, AccessReadData | AccessSynchronize, "users"}, {ACEDeny, 0, AccessDelete, WhoEveryone},
		}},
		Extended: []ExtAttr{{"user.a", "x"}, {"user.b", ""}},
	}
}

// overTheWire is what the other end makes of a.
func overTheWire(t *testing.T, a *Attrs, v fxp.Version) Attrs {
	t.Helper()
	w := wireAttrs(a, v)
	again := fxp.Attrs{V: v}
	if err := wire.Decode(wire.Append(nil, &w), &again); err != nil {
		t.Fatal(err)
	}
	out, err := attrsOfWire(&again)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAttrsOverTheWire: what each version carries of the attributes.
func TestAttrsOverTheWire(t *testing.T) {
	// Version 3: no more than it has, and times that it can say.
	a := allAttrs()
	want := Attrs{
		Valid: AttrSize | AttrUIDGID | AttrMode | AttrAtime | AttrMtime | AttrExtended, Mode: a.Mode, Size: a.Size, UID: 1000, GID: 100,
		Atime: time.Unix(0, 0), Mtime: time.Unix(1<<32-1, 0), Extended: a.Extended,
	}
	if got := overTheWire(t, &a, fxp.V3); !reflect.DeepEqual(got, want) {
		t.Errorf("version 3:\n%+v, want\n%+v", got, want)
	}
	// Version 6: all but the numbers that stand for names.
	want = a
	want.Valid &^= AttrUIDGID
	want.UID, want.GID = 0, 0
	if got := overTheWire(t, &a, fxp.V6); !reflect.DeepEqual(got, want) {
		t.Errorf("version 6:\n%+v, want\n%+v", got, want)
	}
	// Version 4, and 5, which reads bits but does not send them.
	want.Valid &^= AttrAllocation | AttrTextHint | AttrMIME | AttrLinks | AttrUntranslated | AttrCtime | AttrBitsSet
	want.Allocation, want.TextHint, want.MIME, want.Links, want.Untranslated, want.Ctime = 0, 0, "", 0, "", time.Time{}
	want.Bits, want.BitsValid = 0, 0
	for _, v := range []fxp.Version{fxp.V4, fxp.V5} {
		if got := overTheWire(t, &a, v); !reflect.DeepEqual(got, want) {
			t.Errorf("version %d:\n%+v, want\n%+v", v, got, want)
		}
	}
	// Without nanoseconds there are none.
	a.Valid &^= AttrSubsecond
	if got := overTheWire(t, &a, fxp.V6); !got.Atime.Equal(time.Unix(-1, 0)) || got.Has(AttrSubsecond) {
		t.Errorf("time with nanoseconds that are not valid: %v", got.Atime)
	}
	// One time alone: version 3 has both or none.
	for v := fxp.V3; v <= fxp.V6; v++ {
		one := Attrs{Valid: AttrMtime, Mtime: time.Unix(9, 0)}
		got := overTheWire(t, &one, v)
		if got.Has(AttrAtime) != (v == fxp.V3) || !got.Mtime.Equal(one.Mtime) || v == fxp.V3 && !got.Atime.Equal(one.Mtime) {
			t.Errorf("version %d: mtime alone became %+v", v, got)
		}
		if got := overTheWire(t, &Attrs{}, v); got.Valid != 0 || got.Kind != (map[bool]Type{true: TypeUnknown})[v >= fxp.V4] {
			t.Errorf("version %d: no attributes became %+v", v, got)
		}
	}
}

// TestOwnersOverTheWire: numeric text when there is no name, and the numbers back from it.
func TestOwnersOverTheWire(t *testing.T) {
	for v := fxp.V4; v <= fxp.V6; v++ {
		for name, c := range map[string]struct{ in, out Attrs }{
			"numbers": {
				Attrs{Valid: AttrUIDGID, UID: 1000, GID: 1<<32 - 1},
				Attrs{Valid: AttrUIDGID | AttrOwnerGroup, UID: 1000, GID: 1<<32 - 1, Owner: "1000", Group: "4294967295"},
			},
			"root by number": {
				Attrs{Valid: AttrUIDGID},
				Attrs{Valid: AttrUIDGID | AttrOwnerGroup, Owner: "0", Group: "0"},
			},
			"a group without a name": {
				Attrs{Valid: AttrUIDGID | AttrOwnerGroup, UID: 5, GID: 6, Owner: "anna"},
				Attrs{Valid: AttrOwnerGroup, Owner: "anna", Group: "6"},
			},
			"an owner to be left alone": {
				Attrs{Valid: AttrOwnerGroup, UID: 5, GID: 6, Group: "users"},
				Attrs{Valid: AttrOwnerGroup, Group: "users"},
			},
			"no numbers at all": {
				Attrs{Valid: AttrOwnerGroup, Owner: "4294967296", Group: "-1"},
				Attrs{Valid: AttrOwnerGroup, Owner: "4294967296", Group: "-1"},
			},
			"names that begin with digits": {
				Attrs{Valid: AttrOwnerGroup, Owner: "1st", Group: "2@example.com"},
				Attrs{Valid: AttrOwnerGroup, Owner: "1st", Group: "2@example.com"},
			},
			"names that are not valid": {
				Attrs{Valid: AttrUIDGID, UID: 5, GID: 6, Owner: "anna", Group: "users"},
				Attrs{Valid: AttrUIDGID | AttrOwnerGroup, UID: 5, GID: 6, Owner: "5", Group: "6"},
			},
		} {
			c.out.Kind = TypeUnknown
			if got := overTheWire(t, &c.in, v); !reflect.DeepEqual(got, c.out) {
				t.Errorf("version %d: %s: %+v, want %+v", v, name, got, c.out)
			}
		}
	}
}

// TestKindOfWire: the type is in the type byte, or where servers put it.
func TestKindOfWire(t *testing.T) {
	for v := fxp.V4; v <= fxp.V6; v++ {
		for typ := TypeRegular; typ <= TypeFIFO; typ++ {
			a := Attrs{Kind: typ, Valid: AttrMode, Mode: 0o600}
			got := overTheWire(t, &a, v)
			want := typ
			if v == fxp.V4 && typ > TypeUnknown {
				want = TypeSpecial // and what it is cannot be said
			}
			if got.Type() != want || got.Mode != 0o600|want.ModeBits() {
				t.Errorf("version %d: %v became %v, mode %o", v, typ, got.Type(), got.Mode)
			}
		}
		// From the mode of a real file.
		a := Attrs{Valid: AttrMode, Mode: ModeDir | 0o755}
		if got := overTheWire(t, &a, v); got.Kind != TypeDirectory || got.Mode != a.Mode {
			t.Errorf("version %d: %+v", v, got)
		}
		for typ, want := range map[byte]Type{0: TypeFIFO, 4: TypeFIFO, 5: TypeFIFO, 10: TypeFIFO, 255: TypeFIFO, 1: TypeRegular} {
			w := fxp.Attrs{V: v, Type: typ, Flags: fxp.AttrPermissions, Permissions: ModeFIFO | 0o600}
			if got, _ := attrsOfWire(&w); got.Kind != want {
				t.Errorf("version %d: type %d with the mode of a FIFO is %v", v, typ, got.Kind)
			}
		}
		w := fxp.Attrs{V: v, Type: 77}
		if got, _ := attrsOfWire(&w); got.Kind != TypeUnknown {
			t.Errorf("version %d: type 77 is %v", v, got.Kind)
		}
	}
}

// TestACLOverTheWire: both layouts, empty ones, malformed ones.
func TestACLOverTheWire(t *testing.T) {
	audit := &ACL{Flags: ACLAuditAlarmInherited, Entries: []ACE{{ACEAlarm, ACEFailedAccess, AccessExecute, WhoAnonymous}}}
	for v := fxp.V4; v <= fxp.V6; v++ {
		for _, acl := range []*ACL{nil, {}, audit} {
			got, err := aclOfWire(wireACL(acl, v), v)
			want := &ACL{Entries: []ACE{}}
			if acl != nil {
				want.Flags, want.Entries = acl.Flags, append(want.Entries, acl.Entries...)
			}
			if v < fxp.V6 {
				want.Flags = ACLControlIncluded | ACLControlPresent
				if acl == audit {
					want.Flags |= ACLAuditAlarmIncluded
				}
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("version %d: %+v %v, want %+v", v, got, err, want)
			}
		}
		w := fxp.Attrs{V: v, Flags: fxp.AttrACL | fxp.AttrSize, Size: 7, ACL: []byte{0, 0, 0, 1, 0}}
		a, err := attrsOfWire(&w)
		if CodeOf(err) != CodeBadMessage || a.Valid != AttrSize || a.ACL != nil || a.Size != 7 {
			t.Errorf("version %d: malformed ACL: %+v %v", v, a, err)
		}
	}
}

// TestOpenOverTheWire: what is asked for is what arrives, in every version that can say it.
func TestOpenOverTheWire(t *testing.T) {
	const rw = AccessReadData | AccessReadAttrs | AccessWriteData | AccessWriteAttrs
	for v := fxp.V3; v <= fxp.V6; v++ {
		for how := CreateNew; how <= TruncateExisting; how++ {
			for _, access := range []Access{AccessReadData | AccessReadAttrs, AccessWriteData | AccessWriteAttrs, rw, rw | AccessAppendData} {
				for bit := OpenFlags(4); bit <= OpenOverrideOwner; bit <<= 1 {
					h := OpenHow{Access: access, Disposition: how, Flags: bit &^ 4}
					if bit == OpenOverrideOwner {
						h.Access |= AccessWriteOwner
					}
					if how == TruncateExisting && !h.Writes() {
						continue
					}
					since := map[bool]fxp.Version{true: fxp.V6}[bit >= OpenBlockAdvisory]
					switch {
					case bit == OpenText:
						since = fxp.V4
					case bit >= OpenBlockRead && bit <= OpenBlockDelete:
						since = fxp.V5
					}
					m, err := wireOpen(&h, v)
					if v < since {
						if CodeOf(err) != CodeOpUnsupported {
							t.Errorf("version %d: flags %#x: %v", v, bit, err)
						}
						continue
					}
					if err != nil {
						t.Errorf("version %d: %+v: %v", v, h, err)
						continue
					}
					again := fxp.Open{Attrs: fxp.Attrs{V: v}}
					if err := wire.Decode(wire.Append(nil, &m), &again); err != nil {
						t.Fatal(err)
					}
					got, err := openHow(&again)
					want := h
					if v < fxp.V5 {
						// There is no telling atomic append from the other, and append is write access.
						if h.Appends() {
							want.Flags, want.Access = h.Flags&^OpenAppendAtomic|OpenAppend, h.Access|AccessAppendData|AccessWriteAttrs
						} else {
							want.Access &^= AccessAppendData
						}
					}
					if err != nil || got != want {
						t.Errorf("version %d: %+v became %+v %v", v, want, got, err)
					}
				}
			}
		}
		// Bits of all kinds, as clients in the field send them.
		if v >= fxp.V5 {
			open := func(access, flags uint32) (OpenHow, error) {
				return openHow(&fxp.Open{Access: access, Flags: flags, Attrs: fxp.Attrs{V: v}})
			}
			if h, err := open(1<<32-1, 2); err != nil || !h.Reads() || !h.Writes() || h.Disposition != OpenExisting {
				t.Errorf("version %d: all access: %+v %v", v, h, err)
			}
			if h, err := open(0, 2); err != nil || h.Reads() || h.Writes() {
				t.Errorf("version %d: no access: %+v %v", v, h, err)
			}
			if h, err := open(uint32(AccessExecute), 2); err != nil || !h.Reads() {
				t.Errorf("version %d: execute: %+v %v", v, h, err)
			}
			if _, err := open(1, 5); CodeOf(err) != CodeInvalidParameter {
				t.Errorf("version %d: disposition 5: %v", v, err)
			}
			if _, err := open(1, 2|1<<16); CodeOf(err) != CodeOpUnsupported {
				t.Errorf("version %d: unknown flag: %v", v, err)
			}
			if _, err := open(1, 2|0x400); (err != nil) != (v == fxp.V5) {
				t.Errorf("version %d: NOFOLLOW: %v", v, err)
			}
			if _, err := open(1, 2|0x8000); err == nil {
				t.Errorf("version %d: OVERRIDE_OWNER without WRITE_OWNER", v)
			}
		}
		if _, err := wireOpen(&OpenHow{}, v); CodeOf(err) != CodeInvalidParameter {
			t.Errorf("version %d: the zero value: %v", v, err)
		}
		// The attributes go along.
		m, err := wireOpen(&OpenHow{Access: AccessWriteData, Attrs: &Attrs{Valid: AttrMode, Mode: 0o600}}, v)
		if err != nil || m.Attrs.Flags != fxp.AttrPermissions || m.Attrs.Permissions != 0o600 || m.Attrs.V != v {
			t.Errorf("version %d: attributes: %+v %v", v, m.Attrs, err)
		}
	}
	// TEXT is a flag of version 4, and none of version 3.
	if h, err := openHow(&fxp.Open{Flags: fxp.OpenRead | fxp.OpenText, Attrs: fxp.Attrs{V: fxp.V4}}); err != nil || h.Flags != OpenText {
		t.Errorf("TEXT in version 4: %+v %v", h, err)
	}
}

// TestWantOverTheWire: numbers of owners are asked for by asking for their names.
func TestWantOverTheWire(t *testing.T) {
	if w := wireWant(0, fxp.V4); w != fxp.AttrSize|fxp.AttrOwnerGroup|fxp.AttrPermissions|fxp.AttrAccessTime|fxp.AttrModifyTime|fxp.AttrSubsecond {
		t.Errorf("by default: %#x", w)
	}
	for v := fxp.V4; v <= fxp.V6; v++ {
		if w := wireWant(0xFFFFFFFF, v); w != fxp.AttrMask(v) {
			t.Errorf("version %d: all: %#x", v, w)
		}
		if w := wantOfWire(0xFFFFFFFF, v); uint32(w) != fxp.AttrMask(v)|fxp.AttrUIDGID {
			t.Errorf("version %d: all: %#x", v, w)
		}
		if w := wantOfWire(0, v); w != 0 {
			t.Errorf("version %d: nothing said: %#x", v, w)
		}
		if w := wantOfWire(wireWant(AttrUIDGID|AttrSize, v), v); !w.has(AttrUIDGID | AttrOwnerGroup | AttrSize) {
			t.Errorf("version %d: numbers: %#x", v, w)
		}
	}
}

func (m AttrMask) has(n AttrMask) bool { return m&n == n }

// TestUnknownPrincipals: the names go along in versions 5 and 6.
func TestUnknownPrincipals(t *testing.T) {
	e := Status(CodeUnknownPrincipal, "who?")
	e.Names = []string{"anna", "bert@example.com"}
	for v := fxp.V3; v <= fxp.V6; v++ {
		code := e.Code.In(int(v))
		m := fxp.Status{V: v, Code: uint32(code), Text: e.Text, Lang: e.Lang, Data: wirePrincipals(e, code, v)}
		again := fxp.Status{V: v}
		if err := wire.Decode(wire.Append(nil, &m), &again); err != nil {
			t.Fatal(err)
		}
		got, ok := errors.AsType[*StatusError](statusOfWire(&again))
		if !ok || got.Code != code || got.Text != e.Text || (v >= fxp.V5) != reflect.DeepEqual(got.Names, e.Names) {
			t.Errorf("version %d: %+v", v, got)
		}
	}
	if statusOfWire(&fxp.Status{}) != nil {
		t.Error("OK is an error")
	}
	odd := statusOfWire(&fxp.Status{V: fxp.V6, Code: 16, Data: []byte("odd")})
	if !errors.Is(odd, CodeUnknownPrincipal) {
		t.Errorf("data of another kind: %v", odd)
	}
	for code, want := range statusOf5 {
		if code.In(Version5) != want || want.Since() != Version5 || code.In(Version6) != code || code.In(Version4) != statusTable[code].older {
			t.Errorf("%v in version 5 is %v", code, code.In(Version5))
		}
	}
	if CodeOwnerInvalid.In(Version3) != CodePermissionDenied || CodeGroupInvalid.In(Version4) != CodePermissionDenied {
		t.Error("owner and group in old versions")
	}
}

// TestAllocsDialects: an entry of a listing, or a STAT, takes no memory in any version.
func TestAllocsDialects(t *testing.T) {
	a := allAttrs()
	a.Valid &^= AttrACL | AttrExtended | AttrOwnerGroup // so that the owner is a number
	dst := make([]byte, 0, 1024)
	for v := fxp.V3; v <= fxp.V6; v++ {
		if n := testing.AllocsPerRun(100, func() {
			e := fxp.NameEntry{Name: "name", Attrs: wireAttrs(&a, v)}
			dst = wire.Append(dst[:0], &e)
			w := wireAttrs(&a, v)
			dst = wire.Append(dst, &w)
			_, _ = attrsOfWire(&w)
		}); n != 0 {
			t.Errorf("version %d: %v allocations", v, n)
		}
	}
}

// FuzzAttrs: what any peer sends can be answered with.
func FuzzAttrs(f *testing.F) {
	a := allAttrs()
	for v := fxp.V3; v <= fxp.V6; v++ {
		w := wireAttrs(&a, v)
		f.Add(byte(v), wire.Append(nil, &w))
	}
	f.Fuzz(func(t *testing.T, version byte, p []byte) {
		v := fxp.V3 + fxp.Version(version%4)
		w := fxp.Attrs{V: v}
		if wire.Decode(p, &w) != nil {
			return
		}
		a, err := attrsOfWire(&w)
		if err != nil && (a.Has(AttrACL) || CodeOf(err) != CodeBadMessage) {
			t.Fatalf("%+v %v", a, err)
		}
		if strings.ContainsRune(a.Owner, 0) && a.Has(AttrUIDGID) && v >= fxp.V4 {
			t.Fatalf("a number with a NUL: %q", a.Owner)
		}
		b := overTheWire(t, &a, v)
		if c := overTheWire(t, &b, v); !reflect.DeepEqual(b, c) {
			t.Fatalf("version %d: %+v became %+v", v, b, c)
		}
	})
}
