package sftp

import (
	"math"
	"strconv"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// The protocol versions, for [Server.MaxVersion], [ClientConfig] and [Code.In].
const (
	Version3 = 3 // filexfer-02: what OpenSSH speaks
	Version4 = 4 // filexfer-04: names of owners, times to the nanosecond, ACLs, text files
	Version5 = 5 // filexfer-05: access masks, attribute bits, flags of RENAME, locks
	Version6 = 6 // filexfer-13: LINK, byte-range locks, REALPATH with control, many attributes
)

// This file turns the layouts of the versions into the types of this package and back.
// Both the server and the client use it.

// wireAttrs puts a into the layout of version v. The bits of AttrMask are those of versions
// 4 to 6, and fxp leaves out what the version does not have.
func wireAttrs(a *Attrs, v fxp.Version) (w fxp.Attrs) {
	w.V = v
	layAttrs(&w, a)
	return w
}

// layAttrs is wireAttrs into w, which is empty but for V: a listing need not copy it then.
func layAttrs(w *fxp.Attrs, a *Attrs) {
	v := w.V
	w.Flags, w.Size, w.UID, w.GID, w.Permissions = uint32(a.Valid), a.Size, a.UID, a.GID, a.Mode
	if v < fxp.V4 {
		oldAttrs(w, a)
	} else {
		w.Type = byte(a.Type())
		w.Allocation = a.Allocation
		if a.Has(AttrOwnerGroup) {
			w.Owner, w.Group = a.Owner, a.Group
		}
		w.Atime, w.Birth = wireTime(a.Atime), wireTime(a.Birth)
		w.Mtime, w.Ctime = wireTime(a.Mtime), wireTime(a.Ctime)
		w.Bits, w.BitsValid = uint32(a.Bits), uint32(a.BitsValid)
		w.TextHint, w.MIME, w.Links, w.Untranslated = byte(a.TextHint), a.MIME, a.Links, a.Untranslated
		if a.Has(AttrACL) {
			w.ACL = wireACL(a.ACL, v)
		}
	}
	if a.Has(AttrExtended) && len(a.Extended) > 0 {
		for _, x := range a.Extended {
			w.Extended = append(w.Extended, fxp.Pair{Name: x.Name, Data: []byte(x.Data)})
		}
	} else {
		w.Flags &^= fxp.AttrExtended
	}
}

// oldAttrs says of version 3 what it says otherwise than its successors: the type is in
// the mode, and there are both times or none.
func oldAttrs(w *fxp.Attrs, a *Attrs) {
	if w.Permissions&ModeType == 0 {
		w.Permissions |= a.Kind.ModeBits()
	}
	if a.Valid&(AttrAtime|AttrMtime) == 0 {
		return
	}
	w.Flags |= fxp.AttrACModTime
	w.Atime.Sec, w.Mtime.Sec = wireSeconds(a.Atime.Unix()), wireSeconds(a.Mtime.Unix())
	switch {
	case !a.Has(AttrAtime):
		w.Atime = w.Mtime
	case !a.Has(AttrMtime):
		w.Mtime = w.Atime
	}
}

// wireSeconds clamps a time to what version 3 can say.
func wireSeconds(sec int64) int64 { return min(max(sec, 0), math.MaxUint32) }

func wireTime(t time.Time) fxp.Time {
	return fxp.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}

// attrsOfWire reads what a peer sent. The error says that its ACL is malformed, which the
// result is without then.
func attrsOfWire(w *fxp.Attrs) (a Attrs, err error) {
	a = Attrs{
		Valid: AttrMask(w.Flags), Size: w.Size, UID: w.UID, GID: w.GID, Mode: w.Permissions,
	}
	if w.V < fxp.V4 {
		if w.Flags&fxp.AttrACModTime != 0 {
			a.Valid |= AttrAtime | AttrMtime
			a.Atime, a.Mtime = time.Unix(w.Atime.Sec, 0), time.Unix(w.Mtime.Sec, 0)
		}
	} else {
		err = newAttrs(&a, w)
	}
	for _, x := range w.Extended {
		a.Extended = append(a.Extended, ExtAttr{Name: x.Name, Data: string(x.Data)})
	}
	return a, err
}

// newAttrs reads what version 4 and up have.
func newAttrs(a *Attrs, w *fxp.Attrs) (err error) {
	a.Kind = kindOfWire(w)
	if a.Has(AttrMode) && a.Mode&ModeType == 0 {
		a.Mode |= a.Kind.ModeBits()
	}
	a.Allocation = w.Allocation
	if a.Has(AttrOwnerGroup) {
		a.Owner, a.Group = w.Owner, w.Group
		// Principals without a name are sent as numbers.
		uid, ok1 := decimal(w.Owner)
		gid, ok2 := decimal(w.Group)
		if ok1 && ok2 {
			a.Valid |= AttrUIDGID
			a.UID, a.GID = uid, gid
		}
	}
	a.Atime, a.Birth = timeOfWire(a, AttrAtime, w.Atime), timeOfWire(a, AttrBirth, w.Birth)
	a.Mtime, a.Ctime = timeOfWire(a, AttrMtime, w.Mtime), timeOfWire(a, AttrCtime, w.Ctime)
	a.Bits, a.BitsValid = AttrBits(w.Bits), AttrBits(w.BitsValid)
	a.TextHint, a.MIME, a.Links, a.Untranslated = TextHint(w.TextHint), w.MIME, w.Links, w.Untranslated
	if a.Has(AttrACL) {
		if a.ACL, err = aclOfWire(w.ACL, w.V); err != nil {
			a.Valid &^= AttrACL
		}
	}
	return err
}

// kindOfWire is the type of a file; servers exist that say it in the mode only.
func kindOfWire(w *fxp.Attrs) Type {
	kind := Type(w.Type)
	if kind == TypeNone || kind > TypeFIFO {
		kind = TypeUnknown
	}
	if (kind == TypeUnknown || kind == TypeSpecial) && w.Flags&fxp.AttrPermissions != 0 {
		if t := TypeOfMode(w.Permissions); t != TypeNone {
			return t
		}
	}
	return kind
}

func timeOfWire(a *Attrs, bit AttrMask, t fxp.Time) time.Time {
	if !a.Has(bit) {
		return time.Time{}
	}
	return time.Unix(t.Sec, int64(t.Nsec))
}

// decimal reads an id that stands where a name should be.
func decimal(s string) (uint32, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' { // most names, without the error that Atoi makes
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// wireACL lays out an ACL in version v; nil is an empty one.
func wireACL(acl *ACL, v fxp.Version) []byte {
	m := fxp.ACL{V: v}
	if acl != nil {
		m.Flags, m.Entries = uint32(acl.Flags), make([]fxp.ACE, len(acl.Entries))
		for i, e := range acl.Entries {
			m.Entries[i] = fxp.ACE{Type: uint32(e.Type), Flags: uint32(e.Flags), Mask: uint32(e.Mask), Who: e.Who}
		}
	}
	return wire.Append(nil, &m)
}

var errBadACL = Status(CodeBadMessage, "ACL is malformed")

// aclOfWire reads the layout of an ACL in version v. Before version 6 an ACL has no flags:
// it is all there is, and replaces all.
func aclOfWire(p []byte, v fxp.Version) (*ACL, error) {
	m := fxp.ACL{V: v}
	if err := wire.Decode(p, &m); err != nil {
		return nil, errBadACL
	}
	acl := &ACL{Flags: ACLFlags(m.Flags), Entries: make([]ACE, len(m.Entries))}
	if v < fxp.V6 {
		acl.Flags = ACLControlIncluded | ACLControlPresent
	}
	for i, e := range m.Entries {
		acl.Entries[i] = ACE{Type: ACEType(e.Type), Flags: ACEFlags(e.Flags), Mask: Access(e.Mask), Who: e.Who}
		if v < fxp.V6 && (e.Type == uint32(ACEAudit) || e.Type == uint32(ACEAlarm)) {
			acl.Flags |= ACLAuditAlarmIncluded
		}
	}
	return acl, nil
}

// wireWant is the word of STAT, LSTAT and FSTAT that asks for the attributes in want; 0
// asks for AttrsBasic.
func wireWant(want AttrMask, v fxp.Version) uint32 {
	if want == 0 {
		want = AttrsBasic
	}
	if want&AttrUIDGID != 0 { // which come as the names of owner and group
		want |= AttrOwnerGroup
	}
	return uint32(want) & fxp.AttrMask(v)
}

// wantOfWire reads that word; 0 says nothing, and returns 0.
func wantOfWire(word uint32, v fxp.Version) AttrMask {
	want := AttrMask(word & fxp.AttrMask(v))
	if v >= fxp.V4 && want&AttrOwnerGroup != 0 {
		want |= AttrUIDGID // for who has no name
	}
	return want
}

// wirePrincipals are the data of a STATUS of version v.
func wirePrincipals(e *StatusError, code Code, v fxp.Version) []byte {
	if v < fxp.V5 || code != CodeUnknownPrincipal || len(e.Names) == 0 {
		return nil
	}
	return wire.Append(nil, &fxp.Principals{Names: e.Names})
}

// statusOfWire is the error that a STATUS tells; nil for OK.
func statusOfWire(m *fxp.Status) error {
	if Code(m.Code) == CodeOK {
		return nil
	}
	e := &StatusError{Code: Code(m.Code), Text: m.Text, Lang: m.Lang}
	if e.Code == CodeUnknownPrincipal {
		var p fxp.Principals
		if wire.Decode(m.Data, &p) == nil { // or else the server meant something else
			e.Names = p.Names
		}
	}
	return e
}
