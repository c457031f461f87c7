package osfs

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// nameOwner adds owner and group names to a, numbers for those without one.
func (s *FS) nameOwner(a *sftp.Attrs) {
	if !a.Has(sftp.AttrUIDGID) {
		return
	}
	if !s.opt.NumericIDs {
		a.Owner, a.Group = s.names.User(a.UID), s.names.Group(a.GID)
	}
	if a.Owner == "" {
		a.Owner = strconv.FormatUint(uint64(a.UID), 10)
	}
	if a.Group == "" {
		a.Group = strconv.FormatUint(uint64(a.GID), 10)
	}
	a.Valid |= sftp.AttrOwnerGroup
}

// modeMask is what of a client's mode is obeyed.
func (s *FS) modeMask() uint32 {
	if s.opt.AllowSetID {
		return sftp.ModePerm
	}
	return 0o777 | sftp.ModeSticky
}

// bits are the attribute bits that can be set.
func (s *FS) bits() sftp.AttrBits {
	if s.opt.SetBits {
		return hostBits
	}
	return 0
}

// more adds to a, which lstat made of rel, what of want it does not tell.
func (s *FS) more(rel string, a *sftp.Attrs, want sftp.AttrMask) error {
	if want&^sftp.AttrsBasic == 0 {
		return nil
	}
	if want&(sftp.AttrBirth|sftp.AttrBitsSet) != 0 {
		if err := s.statMore(rel, a); err != nil {
			return err
		}
	}
	if want&sftp.AttrExtended&hostXattrs != 0 && s.opt.Xattrs && (a.IsRegular() || a.IsDir()) {
		// What cannot be opened for reading shows none.
		if f, err := s.openFile(rel, os.O_RDONLY, 0); err == nil {
			readXattrs(f, a)
			_ = f.Close()
		}
	}
	s.derive(path.Base(rel), a, want)
	return nil
}

// derive adds what follows from the attributes in a and the name.
func (s *FS) derive(name string, a *sftp.Attrs, want sftp.AttrMask) {
	if want&sftp.AttrOwnerGroup != 0 {
		s.nameOwner(a)
	}
	if want&sftp.AttrACL != 0 {
		a.ACL = sftp.ACLOfMode(a.Mode)
		a.Valid |= sftp.AttrACL
	}
	if want&sftp.AttrBitsSet == 0 {
		return
	}
	a.Valid |= sftp.AttrBitsSet
	set := func(bit sftp.AttrBits, on bool) {
		a.BitsValid |= bit
		if on {
			a.Bits |= bit
		}
	}
	set(sftp.BitReadOnly, a.Mode&0o222 == 0 && a.Type() != sftp.TypeSymlink)
	set(sftp.BitHidden, len(name) > 1 && strings.HasPrefix(name, ".") && name != "..")
	if a.IsRegular() && a.Has(sftp.AttrSize|sftp.AttrAllocation) {
		set(sftp.BitSparse, a.Allocation < a.Size)
	}
}

// idOf returns what the lock table asks for: the object at rel.
func (s *FS) idOf(rel string) func() (sftp.FileID, bool) {
	return func() (sftp.FileID, bool) {
		var a sftp.Attrs
		if s.lstat(rel, &a) != nil {
			return sftp.FileID{}, false
		}
		return a.ID()
	}
}

// SetStat changes, in OpenSSH's order, size, mode, times, owner, and then what version 3 does not
// have. If the host refuses one, the others are still changed and the first error is returned.
// Errors that can be foreseen (the size of a directory, locks) are returned with nothing changed.
func (s *FS) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	c, err := s.change(a)
	if err != nil {
		return err
	}
	var first error
	err = s.do(ctx, "setstat", name, follow, func(rel string) error {
		first = nil
		var was sftp.Attrs
		if err := s.lstat(rel, &was); err != nil {
			return err
		}
		if was.Type() == sftp.TypeSymlink {
			if follow {
				return errSymlink
			}
			if c.Valid&notOfLinks != 0 {
				return sftp.CodeOpUnsupported
			}
		}
		if was.IsDir() && c.Valid&(sftp.AttrSize|sftp.AttrAllocation) != 0 {
			return sftp.CodeIsADirectory
		}
		first = s.apply(&named{s, rel, &was}, c)
		return nil
	})
	if err == nil {
		err = hide("setstat", name, s.plain(first))
	}
	return err
}

// notOfLinks are the attributes that no symlink has.
const notOfLinks = sftp.AttrSize | sftp.AttrAllocation | sftp.AttrACL | sftp.AttrBitsSet | sftp.AttrExtended

// change checks the attributes of a SETSTAT and returns them masked by policy, with
// owner names turned into numbers (all ones: leave alone) and the mode that an ACL means.
func (s *FS) change(a *sftp.Attrs) (*sftp.Attrs, error) {
	if s.opt.ReadOnly {
		return nil, sftp.CodeWriteProtect
	}
	if a == nil {
		return &sftp.Attrs{}, nil
	}
	settable := sftp.AttrsBasic | sftp.AttrOwnerGroup | sftp.AttrACL | hostSettable
	if s.opt.Xattrs {
		settable |= hostXattrs
	}
	if s.opt.SetBits && hostBits != 0 {
		settable |= sftp.AttrBitsSet
	}
	if err := a.CheckSet(settable, s.bits()); err != nil {
		return nil, err
	}
	c := *a
	c.Mode &= s.modeMask()
	if c.Has(sftp.AttrACL) {
		mode, ok := c.ACL.Mode()
		if !ok {
			return nil, sftp.Status(sftp.CodeOpUnsupported, "ACL says more than a mode can")
		}
		c.Mode = c.Mode&^0o777 | mode
	}
	for _, x := range c.Extended {
		if c.Has(sftp.AttrExtended) && (!strings.HasPrefix(x.Name, "user.") || len(x.Name) == len("user.") || strings.IndexByte(x.Name, 0) >= 0) {
			return nil, sftp.Status(sftp.CodeOpUnsupported, "extended attribute cannot be set")
		}
	}
	if c.Has(sftp.AttrOwnerGroup) && !c.Has(sftp.AttrUIDGID) {
		var ok bool
		if c.UID, ok = s.id(c.Owner, s.names.UID); !ok {
			return nil, sftp.CodeOwnerInvalid
		}
		if c.GID, ok = s.id(c.Group, s.names.GID); !ok {
			return nil, sftp.CodeGroupInvalid
		}
		c.Valid |= sftp.AttrUIDGID
	}
	return &c, nil
}

// id returns the number for an owner or group; all ones for "", which leaves it alone.
func (s *FS) id(name string, find func(string) (uint32, bool)) (uint32, bool) {
	if name == "" {
		return math.MaxUint32, true
	}
	if s.opt.NumericIDs {
		n, err := strconv.ParseUint(name, 10, 32)
		return uint32(n), err == nil
	}
	return find(name)
}

// first checks the attributes for what is to be made, and returns its mode and the others.
func (s *FS) first(a *sftp.Attrs, perm fs.FileMode) (*sftp.Attrs, fs.FileMode, error) {
	if a == nil || a.Valid == 0 {
		return &sftp.Attrs{}, perm, nil
	}
	c := *a
	c.Valid &^= sftp.AttrSize // an announcement
	first, err := s.change(&c)
	if err != nil {
		return &sftp.Attrs{}, perm, err
	}
	if first.Valid&(sftp.AttrMode|sftp.AttrACL) != 0 {
		perm = fs.FileMode(first.Mode & 0o777)
	}
	first.Valid &^= sftp.AttrMode | sftp.AttrACL | sftp.AttrSubsecond
	return first, perm, nil
}

// An object is what a SETSTAT changes: a name or an open file.
type object interface {
	special() uint32 // the mode bits that no ACL speaks of
	resize(c *sftp.Attrs) error
	chmod(mode uint32) error
	chtimes(c *sftp.Attrs) error
	chown(uid, gid uint32) error
	// with calls f with the object open, for what the host has no other way.
	with(f func(*os.File) error) error
}

// apply does all that c asks for and returns the first error.
func (s *FS) apply(o object, c *sftp.Attrs) (first error) {
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if c.Has(sftp.AttrBitsSet) { // those to clear may be in the way of the rest
		keep(o.with(func(f *os.File) error { return setBits(f, 0, c.BitsValid&^c.Bits&hostBits) }))
	}
	if c.Valid&(sftp.AttrSize|sftp.AttrAllocation) != 0 {
		keep(o.resize(c))
		if code := sftp.CodeOf(first); code == sftp.CodeLockConflict || code == sftp.CodeRangeLockConflict {
			return first // known before anything was changed
		}
	}
	switch {
	case c.Has(sftp.AttrMode):
		keep(o.chmod(c.Mode))
	case c.Has(sftp.AttrACL):
		keep(o.chmod(c.Mode | o.special()))
	}
	if c.Valid&(sftp.AttrAtime|sftp.AttrMtime) != 0 {
		keep(o.chtimes(c))
	}
	if c.Has(sftp.AttrUIDGID) {
		keep(o.chown(c.UID, c.GID))
	}
	if c.Has(sftp.AttrExtended) {
		keep(o.with(func(f *os.File) error { return writeXattrs(f, c.Extended) }))
	}
	if c.Has(sftp.AttrBitsSet) {
		keep(o.with(func(f *os.File) error { return setBits(f, c.BitsValid&c.Bits, 0) }))
	}
	return first
}

// named is an object by its name, and what it was a moment ago.
type named struct {
	s   *FS
	rel string
	was *sftp.Attrs
}

func (n *named) special() uint32             { return n.was.Mode & 0o7000 & n.s.modeMask() }
func (n *named) chmod(mode uint32) error     { return n.s.chmod(n.rel, mode, n.was) }
func (n *named) chtimes(c *sftp.Attrs) error { return n.s.chtimes(n.rel, c) }
func (n *named) chown(uid, gid uint32) error { return n.s.chown(n.rel, uid, gid) }

func (n *named) with(call func(*os.File) error) error {
	if !n.was.IsRegular() && !n.was.IsDir() {
		return errors.ErrUnsupported // opening another would do something
	}
	f, err := n.s.openFile(n.rel, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(call(f), f.Close())
}

// resize opens the file for writing, for a moment, against the locks of others.
func (n *named) resize(c *sftp.Attrs) error {
	f, err := n.s.openFile(n.rel, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	o := &file{fs: n.s, f: f, writes: true}
	if err = o.take(&sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting}); err == nil {
		err = o.resize(c)
	}
	return errors.Join(err, o.Close(nil))
}
