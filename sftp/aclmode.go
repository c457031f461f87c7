package sftp

// Masks of the entries that stand for the bits of a mode. Data of a directory are its names.
const (
	aclRead  = AccessReadData | AccessReadNamedAttrs
	aclWrite = AccessWriteData | AccessAppendData | AccessWriteNamedAttrs
	aclExec  = AccessExecute
	// aclAlways is what POSIX allows everybody who reaches the file, and aclOwner what it
	// allows the owner whatever the mode.
	aclAlways = AccessReadAttrs | AccessReadACL | AccessSynchronize
	aclOwner  = AccessWriteAttrs | AccessWriteACL
	aclDir    = AccessDeleteChild // goes with writing
)

// aclOfBits returns the access that three bits of a mode allow.
func aclOfBits(rwx uint32, dir bool) (mask Access) {
	if rwx&4 != 0 {
		mask |= aclRead
	}
	if rwx&2 != 0 {
		mask |= aclWrite
		if dir {
			mask |= aclDir
		}
	}
	if rwx&1 != 0 {
		mask |= aclExec
	}
	return mask
}

// ACLOfMode returns the ACL that says what the permission bits of a st_mode say: an ALLOW entry for
// each of OWNER@, GROUP@ and EVERYONE@, and a DENY entry before it where the owner or the group has
// less access than the entries after it would grant. It is for file systems that have a mode and no
// ACL.
func ACLOfMode(mode uint32) *ACL {
	dir := mode&ModeType == ModeDir
	u, g, o := mode>>6&7, mode>>3&7, mode&7
	acl := &ACL{Flags: ACLControlIncluded | ACLControlPresent, Entries: make([]ACE, 0, 5)}
	add := func(typ ACEType, flags ACEFlags, mask Access, who string) {
		if mask != 0 {
			acl.Entries = append(acl.Entries, ACE{Type: typ, Flags: flags, Mask: mask, Who: who})
		}
	}
	add(ACEDeny, 0, aclOfBits((g|o)&^u, dir), WhoOwner)
	add(ACEAllow, 0, aclOfBits(u, dir)|aclAlways|aclOwner, WhoOwner)
	add(ACEDeny, ACEIdentifierGroup, aclOfBits(o&^g, dir), WhoGroup)
	add(ACEAllow, ACEIdentifierGroup, aclOfBits(g, dir)|aclAlways, WhoGroup)
	add(ACEAllow, 0, aclOfBits(o, dir)|aclAlways, WhoEveryone)
	return acl
}

// Mode returns the nine permission bits that are equivalent to a. ok is false if no mode is: if a
// has no entries, names users other than OWNER@, GROUP@ and EVERYONE@, is inherited, audits, or
// grants somebody only part of what a permission bit grants, or more than all of them do.
func (a *ACL) Mode() (mode uint32, ok bool) {
	if a == nil || len(a.Entries) == 0 || a.Flags&^ACLControlIncluded != ACLControlPresent {
		return 0, false
	}
	// For each class of users the first entry that speaks about a kind of access decides.
	var allowed, denied [3]Access
	for i := range a.Entries {
		e := &a.Entries[i]
		classes, ok := e.classes()
		if !ok {
			return 0, false
		}
		for _, class := range classes {
			open := e.Mask &^ (allowed[class] | denied[class])
			if e.Type == ACEAllow {
				allowed[class] |= open
			} else {
				denied[class] |= open
			}
		}
	}
	for class, mask := range allowed {
		may := aclAlways
		if class == 0 {
			may |= aclOwner
		}
		if denied[class]&may != 0 {
			return 0, false
		}
		var rwx uint32
		for _, bit := range [...]struct {
			rwx       uint32
			all, some Access // all of the mask, and what may be missing of it
		}{
			{4, AccessReadData, AccessReadNamedAttrs},
			{2, AccessWriteData | AccessAppendData, AccessWriteNamedAttrs | aclDir},
			{1, AccessExecute, 0},
		} {
			switch mask & bit.all {
			case bit.all:
				rwx |= bit.rwx
				may |= bit.all | bit.some
			case 0:
			default:
				return 0, false
			}
		}
		if mask&^may != 0 {
			return 0, false
		}
		mode = mode<<3 | rwx
	}
	return mode, true
}

// classes returns whom e is about: 0 the owner, 1 the group, 2 all others.
func (e *ACE) classes() ([]int, bool) {
	if e.Type > ACEDeny {
		return nil, false
	}
	switch {
	case e.Who == WhoOwner && e.Flags == 0:
		return []int{0}, true
	case e.Who == WhoGroup && e.Flags&^ACEIdentifierGroup == 0:
		return []int{1}, true
	case e.Who == WhoEveryone && e.Flags == 0:
		return []int{0, 1, 2}, true
	}
	return nil, false
}
