package sftp

import (
	"slices"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// AttrPolicy says what the server does with an attribute that a client wants to set.
type AttrPolicy uint8

const (
	// AttrApply sets it, and tells the client when that fails. Mode, owner and times are
	// ignored if the file system cannot keep them at all (Capabilities.Attrs).
	AttrApply AttrPolicy = iota
	// AttrIgnore leaves the file as it is and reports success: many clients consider an upload
	// failed when they cannot set its time or mode.
	AttrIgnore
	// AttrRefuse answers permission denied, with nothing changed.
	AttrRefuse
)

// SetStatPolicy holds an AttrPolicy for each kind of attribute in SETSTAT, FSETSTAT and
// lsetstat@openssh.com, and in OPEN and MKDIR for new files and directories. The size is always
// applied.
type SetStatPolicy struct {
	// Mode is for the permission bits.
	Mode AttrPolicy
	// Owner is for owner and group.
	Owner AttrPolicy
	// Times is for the times.
	Times AttrPolicy
	// Extended is for extended attributes. With AttrApply, one that the file system does
	// not keep is refused from version 4 on (CodeOpUnsupported).
	Extended AttrPolicy
	// Other is for what versions 4 to 6 add: ACL, attribute bits, MIME type and allocation
	// size. With AttrApply, one that the file system does not keep is refused
	// (CodeOpUnsupported): who sets an ACL relies on it.
	Other AttrPolicy
}

// otherAttrs are those that SetStatPolicy.Other is for.
const otherAttrs = AttrACL | AttrBitsSet | AttrMIME | AttrAllocation

var errAttrUnsupported = Status(CodeOpUnsupported, "attribute is not supported")

// apply takes what is to be ignored out of a, or refuses. Attributes in strict that are not
// in kept are refused, others ignored.
func (p *SetStatPolicy) apply(a *Attrs, kept, strict AttrMask) error {
	for _, row := range [...]struct {
		mask   AttrMask
		policy AttrPolicy
	}{
		{AttrMode, p.Mode},
		{AttrUIDGID | AttrOwnerGroup, p.Owner},
		{AttrAtime | AttrMtime | AttrBirth | AttrCtime, p.Times},
		{AttrExtended, p.Extended},
		{otherAttrs, p.Other},
	} {
		switch there := a.Valid & row.mask; {
		case there == 0:
		case row.policy == AttrRefuse:
			return Status(CodePermissionDenied, "attribute may not be set")
		case row.policy == AttrIgnore:
			a.Valid &^= row.mask
		case there&strict&^kept != 0:
			return errAttrUnsupported
		default:
			a.Valid &^= row.mask &^ kept
		}
	}
	if a.Valid&(AttrAtime|AttrMtime|AttrBirth|AttrCtime) == 0 {
		a.Valid &^= AttrSubsecond
	}
	return nil
}

// strictAttrs are those that are refused, and not ignored, when the file system does not
// keep them. Version 3 has only one of them, which was always ignored.
func (s *session) strictAttrs() AttrMask {
	if s.version < fxp.V4 {
		return 0
	}
	return AttrExtended | otherAttrs
}

// settable reads the attributes of a SETSTAT and the like: what may be set of them, once the
// policy has had its say.
func (s *session) settable(w *fxp.Attrs) (a Attrs, err error) {
	if a, err = attrsOfWire(w); err != nil {
		return a, err
	}
	switch {
	case a.Valid&(AttrLinks|AttrTextHint|AttrUntranslated) != 0:
		return a, Status(CodeInvalidParameter, "attribute cannot be set")
	case a.Has(AttrSize|AttrAllocation) && a.Allocation < a.Size:
		return a, Status(CodeInvalidParameter, "allocation smaller than the size")
	case a.Has(AttrBitsSet) && a.Bits&a.BitsValid&^s.caps.Bits != 0 && s.srv.SetStat.Other == AttrApply:
		return a, errAttrUnsupported
	}
	// The time of the last change of an attribute is that of this one.
	return a, s.srv.SetStat.apply(&a, s.caps.Attrs&^(AttrCtime|s.caps.FixedAttrs), s.strictAttrs())
}

// initial reads the attributes of what OPEN and MKDIR make; nil for none. What is nonsense
// there, or an announcement only, is left out: nothing hangs on it.
func (s *session) initial(w *fxp.Attrs) (*Attrs, error) {
	w.Flags &^= fxp.AttrSize
	if w.V >= fxp.V4 {
		w.Flags &^= uint32(neverSet)
	}
	a, err := s.settable(w)
	if err != nil || a.Valid == 0 {
		return nil, err
	}
	return &a, nil
}

// unknownNames adds to err, if it is about owner or group in a, who that is.
func unknownNames(err error, a *Attrs) error {
	if err == nil || a == nil || !a.Has(AttrOwnerGroup) {
		return err
	}
	var names []string
	switch code := CodeOf(err); code {
	case CodeOwnerInvalid:
		names = []string{a.Owner}
	case CodeGroupInvalid:
		names = []string{a.Group}
	case CodeUnknownPrincipal:
		names = []string{a.Owner, a.Group}
	default:
		return err
	}
	st := ToStatus(err)
	if len(st.Names) == 0 {
		st.Names = slices.DeleteFunc(names, func(s string) bool { return s == "" })
	}
	return &st
}
