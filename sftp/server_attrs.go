package sftp

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
