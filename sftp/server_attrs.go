package sftp

import (
	"math"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// wireAttrs puts a into the layout of version v.
func wireAttrs(a *Attrs, v fxp.Version) fxp.Attrs {
	w := fxp.Attrs{V: v}
	if a.Has(AttrSize) {
		w.Flags |= fxp.AttrSize
		w.Size = a.Size
	}
	if a.Has(AttrUIDGID) {
		w.Flags |= fxp.AttrUIDGID
		w.UID, w.GID = a.UID, a.GID
	}
	if a.Has(AttrMode) {
		w.Flags |= fxp.AttrPermissions
		w.Permissions = a.Mode
		if w.Permissions&ModeType == 0 {
			w.Permissions |= a.Kind.ModeBits()
		}
	}
	if a.Valid&(AttrAtime|AttrMtime) != 0 {
		// Version 3 has both times or none.
		w.Flags |= fxp.AttrACModTime
		w.Atime, w.Mtime = wireSeconds(a.Atime.Unix()), wireSeconds(a.Mtime.Unix())
		switch {
		case !a.Has(AttrAtime):
			w.Atime = w.Mtime
		case !a.Has(AttrMtime):
			w.Mtime = w.Atime
		}
	}
	if a.Has(AttrExtended) && len(a.Extended) > 0 {
		w.Flags |= fxp.AttrExtended
		for _, x := range a.Extended {
			w.Extended = append(w.Extended, fxp.Pair{Name: x.Name, Data: []byte(x.Data)})
		}
	}
	return w
}

// wireSeconds clamps a time to what version 3 can say.
func wireSeconds(sec int64) uint32 { return uint32(min(max(sec, 0), math.MaxUint32)) }

// attrsOfWire reads what a peer sent.
func attrsOfWire(w *fxp.Attrs) (a Attrs) {
	if w.Flags&fxp.AttrSize != 0 {
		a.Valid |= AttrSize
		a.Size = w.Size
	}
	if w.Flags&fxp.AttrUIDGID != 0 {
		a.Valid |= AttrUIDGID
		a.UID, a.GID = w.UID, w.GID
	}
	if w.Flags&fxp.AttrPermissions != 0 {
		a.Valid |= AttrMode
		a.Mode = w.Permissions
	}
	if w.Flags&fxp.AttrACModTime != 0 {
		a.Valid |= AttrAtime | AttrMtime
		a.Atime, a.Mtime = time.Unix(int64(w.Atime), 0), time.Unix(int64(w.Mtime), 0)
	}
	if w.Flags&fxp.AttrExtended != 0 {
		a.Valid |= AttrExtended
		for _, x := range w.Extended {
			a.Extended = append(a.Extended, ExtAttr{Name: x.Name, Data: string(x.Data)})
		}
	}
	return a
}

// AttrPolicy says what becomes of an attribute that a client sets.
type AttrPolicy uint8

const (
	// AttrApply sets it, and tells the client when that fails. Attributes that the
	// file system cannot keep at all (Capabilities.Attrs) are ignored.
	AttrApply AttrPolicy = iota
	// AttrIgnore leaves the file as it is and answers that all is well: many clients
	// take an upload for failed when they cannot set its time or mode (W10).
	AttrIgnore
	// AttrRefuse answers permission denied, with nothing changed.
	AttrRefuse
)

// SetStatPolicy is the AttrPolicy of each kind of attribute in SETSTAT, FSETSTAT,
// lsetstat@openssh.com, and in OPEN and MKDIR for what they make. The size is always
// applied.
type SetStatPolicy struct {
	// Mode is for the permission bits.
	Mode AttrPolicy
	// Owner is for owner and group.
	Owner AttrPolicy
	// Times is for the times of last access and change.
	Times AttrPolicy
	// Extended is for extended attributes.
	Extended AttrPolicy
}

// apply takes what is to be ignored out of a, or refuses.
func (p *SetStatPolicy) apply(a *Attrs, kept AttrMask) error {
	for _, row := range [...]struct {
		mask   AttrMask
		policy AttrPolicy
	}{
		{AttrMode, p.Mode},
		{AttrUIDGID | AttrOwnerGroup, p.Owner},
		{AttrAtime | AttrMtime, p.Times},
		{AttrExtended, p.Extended},
	} {
		switch {
		case a.Valid&row.mask == 0:
		case row.policy == AttrRefuse:
			return Status(CodePermissionDenied, "attribute may not be set")
		case row.policy == AttrIgnore:
			a.Valid &^= row.mask
		default:
			a.Valid &^= row.mask &^ kept
		}
	}
	return nil
}
