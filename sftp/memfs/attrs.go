package memfs

import (
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// settable are the attributes that SETSTAT can change.
const settable = sftp.AttrsBasic | sftp.AttrBirth | sftp.AttrACL | sftp.AttrOwnerGroup | sftp.AttrBitsSet |
	sftp.AttrAllocation | sftp.AttrMIME | sftp.AttrExtended

// settableBits are kept; two of them are obeyed.
const settableBits = sftp.BitReadOnly | sftp.BitSystem | sftp.BitHidden | sftp.BitArchive | sftp.BitEncrypted |
	sftp.BitCompressed | sftp.BitSparse | sftp.BitAppendOnly | sftp.BitImmutable | sftp.BitSync

// has reports whether one of the bits is set.
func (n *node) has(bits sftp.AttrBits) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.bits&bits != 0
}

// attrs fills a; FS.mu is held for reading (link count).
func (s *FS) attrs(n *node, a *sftp.Attrs, want sftp.AttrMask) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	*a = sftp.Attrs{
		Valid: sftp.AttrsBasic | sftp.AttrCtime | sftp.AttrBirth | sftp.AttrLinks | sftp.AttrAllocation | sftp.AttrFileID |
			sftp.AttrOwnerGroup | sftp.AttrBitsSet,
		Mode: n.kind | n.perm, UID: n.uid, GID: n.gid, Links: n.links, Owner: n.owner, Group: n.group,
		Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime, Birth: n.birth, Bits: n.bits, BitsValid: settableBits,
		Size: uint64(n.data.size), Allocation: max(uint64(n.data.held), n.allocation), Dev: 1, Ino: n.ino,
	}
	if n.isLink() {
		a.Size = uint64(len(n.target))
	}
	if s.opt.Names != nil {
		a.Owner, a.Group = s.opt.Names.User(n.uid), s.opt.Names.Group(n.gid)
	}
	if a.Owner == "" {
		a.Owner = strconv.FormatUint(uint64(n.uid), 10)
	}
	if a.Group == "" {
		a.Group = strconv.FormatUint(uint64(n.gid), 10)
	}
	if n.mime != "" {
		a.MIME = n.mime
		a.Valid |= sftp.AttrMIME
	}
	if want&sftp.AttrACL != 0 {
		if a.ACL = cloneACL(n.acl); a.ACL == nil {
			a.ACL = sftp.ACLOfMode(a.Mode)
		}
		a.Valid |= sftp.AttrACL
	}
	if want&sftp.AttrExtended != 0 {
		a.Extended = slices.Clone(n.extended)
		a.Valid |= sftp.AttrExtended
	}
}

func cloneACL(acl *sftp.ACL) *sftp.ACL {
	if acl == nil {
		return nil
	}
	return &sftp.ACL{Flags: acl.Flags, Entries: slices.Clone(acl.Entries)}
}

// check refuses attributes that can never be set, and returns the others with owner
// names turned into numbers (all ones: leave alone) and the mode masked by policy.
func (s *FS) check(a *sftp.Attrs) (c sftp.Attrs, err error) {
	if a != nil {
		c = *a
	}
	if err := c.CheckSet(settable, settableBits); err != nil {
		return c, err
	}
	c.Mode &= s.modeMask()
	if c.Has(sftp.AttrUIDGID) {
		c.Valid &^= sftp.AttrOwnerGroup // the same in words
		return c, nil
	}
	c.UID, c.GID = math.MaxUint32, math.MaxUint32
	if !c.Has(sftp.AttrOwnerGroup) {
		return c, nil
	}
	names := s.opt.Names
	if names == nil {
		// Without names those given are kept; only numbers mean something else.
		names = &sftp.IDNames{
			UserID:  func(string) (uint32, bool) { return 0, false },
			GroupID: func(string) (uint32, bool) { return 0, false },
		}
	}
	if c.Owner != "" {
		id, ok := names.UID(c.Owner)
		switch {
		case ok:
			c.UID, c.Owner = id, ""
		case s.opt.Names != nil:
			return c, sftp.CodeOwnerInvalid
		}
	}
	if c.Group != "" {
		id, ok := names.GID(c.Group)
		switch {
		case ok:
			c.GID, c.Group = id, ""
		case s.opt.Names != nil:
			return c, sftp.CodeGroupInvalid
		}
	}
	return c, nil
}

// notOfLinks are the attributes that no symlink has, as with osfs.
const notOfLinks = sftp.AttrSize | sftp.AttrAllocation | sftp.AttrACL | sftp.AttrBitsSet | sftp.AttrExtended

// resizes reports whether a may change the size of a file.
func resizes(a *sftp.Attrs) bool { return a.Valid&(sftp.AttrSize|sftp.AttrAllocation) != 0 }

// change sets the attributes in a, which check made, on n. The size needs writes, and
// that the locks of others allow it to h.
func (s *FS) change(n *node, a *sftp.Attrs, writes bool, h *sftp.LockHandle) error {
	if n.isLink() && a.Valid&notOfLinks != 0 {
		return sftp.CodeOpUnsupported
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	bits := n.bits
	if a.Has(sftp.AttrBitsSet) {
		change := a.BitsValid & settableBits
		bits = bits&^change | a.Bits&change
	}
	// As on Linux; a bit that this very request clears is in nobody's way.
	if n.bits&bits&(sftp.BitImmutable|sftp.BitAppendOnly) != 0 && a.Valid&^(sftp.AttrBitsSet|sftp.AttrSubsecond) != 0 {
		return sftp.CodePermissionDenied
	}
	if resizes(a) && n.isDir() {
		return sftp.CodeIsADirectory
	}
	if resizes(a) && !writes {
		return sftp.CodePermissionDenied
	}
	if size := resized(n, a); size >= 0 {
		if err := h.CheckResize(uint64(n.data.size), uint64(size)); err != nil {
			return err
		}
	}
	if err := s.keep(n, a); err != nil {
		return err
	}
	n.bits = bits
	// From here on, as in osfs, one attribute that fails does not stop the others.
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if resizes(a) {
		keep(s.resize(n, a))
	}
	if a.Has(sftp.AttrMode) {
		if n.isLink() {
			keep(sftp.CodeOpUnsupported)
		} else {
			n.perm = a.Mode
		}
	}
	if a.Has(sftp.AttrACL) {
		if mode, ok := a.ACL.Mode(); ok {
			n.perm = n.perm&^0o777 | mode
		}
	}
	if a.Has(sftp.AttrAtime) {
		n.atime = a.Atime
	}
	if a.Has(sftp.AttrBirth) {
		n.birth = a.Birth
	}
	if a.Has(sftp.AttrMtime) {
		n.mtime = a.Mtime
	}
	if a.UID != math.MaxUint32 && a.Valid&(sftp.AttrUIDGID|sftp.AttrOwnerGroup) != 0 {
		n.uid = a.UID
	}
	if a.GID != math.MaxUint32 && a.Valid&(sftp.AttrUIDGID|sftp.AttrOwnerGroup) != 0 {
		n.gid = a.GID
	}
	n.ctime = s.opt.Now()
	return first
}

// resized returns the size that a makes n have, -1 if it stays: an allocation below the
// size cuts the file.
func resized(n *node, a *sftp.Attrs) int64 {
	switch {
	case a.Has(sftp.AttrSize):
		return int64(a.Size)
	case a.Has(sftp.AttrAllocation) && a.Allocation < uint64(n.data.size):
		return int64(a.Allocation)
	}
	return -1
}

// resize sets size and allocation.
func (s *FS) resize(n *node, a *sftp.Attrs) error {
	if a.Has(sftp.AttrAllocation) && a.Allocation > uint64(s.opt.MaxBytes) {
		return sftp.CodeNoSpace
	}
	if size := resized(n, a); size >= 0 {
		err := n.data.truncate(s, size)
		n.mtime = s.opt.Now()
		if err != nil {
			return err
		}
	}
	if a.Has(sftp.AttrAllocation) {
		n.allocation = a.Allocation
	}
	return nil
}

// keep sets the attributes of no fixed size, all or none: they are paid for.
func (s *FS) keep(n *node, a *sftp.Attrs) error {
	owner, group, mime, acl, extended := n.owner, n.group, n.mime, n.acl, n.extended
	if a.Has(sftp.AttrOwnerGroup) || a.Has(sftp.AttrUIDGID) {
		if a.Owner != "" || a.UID != math.MaxUint32 {
			owner = a.Owner
		}
		if a.Group != "" || a.GID != math.MaxUint32 {
			group = a.Group
		}
		if a.Has(sftp.AttrUIDGID) {
			owner, group = "", ""
		}
	}
	if a.Has(sftp.AttrMIME) {
		mime = a.MIME
	}
	switch {
	case a.Has(sftp.AttrACL):
		acl = cloneACL(a.ACL)
	case a.Has(sftp.AttrMode):
		acl = nil // the mode says it now
	}
	if a.Has(sftp.AttrExtended) {
		extended = slices.Clone(extended)
		for _, x := range a.Extended {
			i := slices.IndexFunc(extended, func(y sftp.ExtAttr) bool { return x.Name == y.Name })
			if i < 0 {
				extended = append(extended, x)
			} else {
				extended[i] = x
			}
		}
	}
	const each = 32
	extra := int64(len(n.target) + len(owner) + len(group) + len(mime))
	if acl != nil {
		for i := range acl.Entries {
			extra += int64(each + len(acl.Entries[i].Who))
		}
	}
	for i := range extended {
		extra += int64(each + len(extended[i].Name) + len(extended[i].Data))
	}
	if !s.reserve(extra - n.data.extra) {
		return sftp.CodeNoSpace
	}
	n.data.extra = extra
	n.owner, n.group, n.mime, n.acl, n.extended = owner, group, mime, acl, extended
	return nil
}
