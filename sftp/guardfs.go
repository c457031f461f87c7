package sftp

import (
	"context"
	"errors"
	"path"
	"slices"
)

// guardFS puts a policy in front of a FileSystem. It does not embed what it wraps, so
// that a method which is new to FileSystem cannot come past it unseen: it does not compile.
type guardFS struct {
	inner FileSystem
	p     *policy
}

var _ FileSystem = (*guardFS)(nil)

// judged is a name with what may be done with it.
type judged struct {
	path  string // what to hand on
	clean string // its one spelling
	perms Perm
}

// may returns the error for what at lacks of need: of a hidden name nothing is told.
func (at *judged) may(need Perm) error {
	switch {
	case at.perms.Has(need):
		return nil
	case at.perms.Has(PermStat):
		return errPolicy
	}
	return CodeNoSuchFile
}

// mayMake is may for names that are to be: whether they are is not told either way.
func (at *judged) mayMake(need Perm) error {
	if at.perms.Has(need) {
		return nil
	}
	return errPolicy
}

// at judges name. With follow it is what a final symlink leads to. Links on the way are
// always followed.
func (g *guardFS) at(ctx context.Context, name string, follow bool, check func(*judged) error) (judged, error) {
	clean, err := CleanPath(name)
	if err != nil {
		return judged{}, err
	}
	at := judged{path: name, clean: clean, perms: g.p.perms(clean)}
	// As it is written first: of a name that may not be seen nothing is asked.
	if err := check(&at); err != nil || !g.p.named {
		return at, err
	}
	real, err := realPath(ctx, g.inner, clean, follow)
	if err != nil {
		return at, err
	}
	at.path = real
	if real != clean {
		at.clean = real
		at.perms &= g.p.perms(real)
		err = check(&at)
	}
	return at, err
}

// need makes a check of permissions.
func need(p Perm) func(*judged) error { return func(at *judged) error { return at.may(p) } }

// making makes a check of permissions for a name that is to be.
func (g *guardFS) making(p Perm) func(*judged) error {
	return func(at *judged) error {
		if err := at.mayMake(p); err != nil {
			return err
		}
		return g.p.mayName(at.clean)
	}
}

// Capabilities leaves out what the policy forbids everywhere.
func (g *guardFS) Capabilities() Capabilities {
	c := g.inner.Capabilities()
	all := g.p.mask
	if g.p.ruled {
		all = 0
		for i := range g.p.rules {
			all |= g.p.rules[i].perm
		}
		all &= g.p.mask
	}
	for _, row := range [...]struct {
		anyOf Perm
		f     Features
	}{
		{PermAll &^ (PermReadOnly | PermLock), FeatureWrite},
		{PermRename, FeaturePosixRename},
		{PermHardlink, FeatureHardLink},
		{PermSetStat, FeatureLSetStat},
		{PermWrite | PermCreate, FeatureCopy | FeatureSync},
		{PermLock, FeatureRangeLock | FeatureRangeLockAdvisory | FeatureOpenLock},
		{PermRemove, FeatureDeleteOnClose},
	} {
		if all&row.anyOf == 0 {
			c.Features &^= row.f
		}
	}
	c.Extensions = slices.DeleteFunc(slices.Clone(c.Extensions), func(name string) bool { return !g.p.mayExtend(name) })
	return c
}

// Open opens a file for what is allowed. Where only one of making and overwriting is, the
// disposition is narrowed to that, so that which of the two it is gets decided by the
// file system, in one step.
func (g *guardFS) Open(ctx context.Context, name string, how *OpenHow) (File, error) {
	h := *how
	// CreateNew takes a link for a file that is there: what it leads to does not matter.
	follow := h.Flags&OpenNoFollow == 0 && h.Disposition != CreateNew
	at, err := g.at(ctx, name, follow, func(at *judged) error {
		h = *how
		return g.narrow(at, &h)
	})
	if err != nil {
		return nil, err
	}
	if h.Attrs != nil && tooLarge(h.Attrs, g.p.maxSize) {
		return nil, errPolicySize
	}
	f, err := g.inner.Open(ctx, at.path, &h)
	if err != nil {
		if h.Disposition != how.Disposition && (CodeOf(err) == CodeFileAlreadyExists || CodeOf(err) == CodeNoSuchFile) {
			err = errPolicy
		}
		return nil, err
	}
	if g.p.maxSize == 0 && at.perms.Has(PermSetStat|PermLock|PermWrite) {
		return f, nil
	}
	return &guardFile{inner: f, perms: at.perms, writes: h.Writes(), appends: h.Appends(), max: g.p.maxSize}, nil
}

// optionalAccess are rights that clients ask for without needing them; they get what is
// allowed of these.
var optionalAccess = [...]struct {
	access Access
	perm   Perm
}{
	{AccessReadAttrs | AccessReadNamedAttrs | AccessReadACL, PermStat},
	{AccessWriteAttrs | AccessWriteNamedAttrs | AccessWriteACL | AccessWriteOwner, PermSetStat},
	{AccessDelete | AccessDeleteChild, PermRemove},
}

// narrow judges h, and makes it what is allowed.
func (g *guardFS) narrow(at *judged, h *OpenHow) error {
	if h.Reads() && !at.perms.Has(PermRead) {
		return at.may(PermRead)
	}
	if h.Flags&OpenBlockMask != 0 {
		if err := at.may(PermLock); err != nil {
			return err
		}
	}
	if h.Flags&OpenDeleteOnClose != 0 {
		if err := at.may(PermRemove); err != nil {
			return err
		}
	}
	creates, writes := at.perms.Has(PermCreate), at.perms.Has(PermWrite)
	switch {
	case h.Creates():
		if err := g.p.mayName(at.clean); err != nil {
			return err
		}
		changes := h.Writes() || h.Truncates()
		switch {
		case !creates && (!writes || h.Disposition == CreateNew):
			return at.mayMake(PermCreate)
		case !creates && h.Disposition == CreateTruncate:
			h.Disposition = TruncateExisting
		case !creates:
			h.Disposition = OpenExisting
		case changes && !writes:
			h.Disposition = CreateNew
		}
	case h.Writes() || h.Truncates():
		if err := at.may(PermWrite); err != nil {
			return err
		}
		if err := g.p.mayOverwrite(at.clean); err != nil {
			return err
		}
	}
	asked := h.Access
	for _, row := range optionalAccess {
		if !at.perms.Has(row.perm) {
			h.Access &^= row.access
		}
	}
	if h.Access == 0 {
		return at.may(needOf(asked))
	}
	if h.Attrs != nil && !at.perms.Has(PermSetStat) {
		a := *h.Attrs
		a.Valid &^= AttrUIDGID | AttrOwnerGroup | AttrACL
		h.Attrs = &a
	}
	return nil
}

// needOf returns what would have allowed an access that has nothing optional left.
func needOf(a Access) (p Perm) {
	for _, row := range optionalAccess {
		if a&row.access != 0 {
			p |= row.perm
		}
	}
	return max(p, PermStat)
}

// OpenDir opens a directory whose hidden entries are left out.
func (g *guardFS) OpenDir(ctx context.Context, name string) (Dir, error) {
	at, err := g.at(ctx, name, true, need(PermList))
	if err != nil {
		return nil, err
	}
	d, err := g.inner.OpenDir(ctx, at.path)
	if err != nil || !g.p.ruled {
		return d, err
	}
	clean, err := CleanPath(name)
	if err != nil {
		return nil, errors.Join(err, d.Close(err))
	}
	return &guardDir{inner: d, p: g.p, written: clean, real: at.clean}, nil
}

// Stat returns attributes of what may be seen.
func (g *guardFS) Stat(ctx context.Context, name string, opt StatOpt) (*Attrs, error) {
	at, err := g.at(ctx, name, opt.Follow, need(PermStat))
	if err != nil {
		return nil, err
	}
	return g.inner.Stat(ctx, at.path, opt)
}

// SetStat sets attributes; setting the size is writing.
func (g *guardFS) SetStat(ctx context.Context, name string, a *Attrs, follow bool) error {
	at, err := g.at(ctx, name, follow, func(at *judged) error {
		var p Perm
		if a.Valid&contentAttrs != 0 {
			p |= PermWrite
		}
		if a.Valid&^contentAttrs != 0 || p == 0 {
			p |= PermSetStat
		}
		if err := at.may(p); err != nil || !p.Has(PermWrite) {
			return err
		}
		return g.p.mayOverwrite(at.clean)
	})
	switch {
	case err != nil:
		return err
	case tooLarge(a, g.p.maxSize):
		return errPolicySize
	}
	return g.inner.SetStat(ctx, at.path, a, follow)
}

// contentAttrs are attributes that change the content or the room it takes.
const contentAttrs = AttrSize | AttrAllocation

// tooLarge tells whether a asks for more than limit, which is none if 0.
func tooLarge(a *Attrs, limit int64) bool {
	return limit > 0 && (a.Has(AttrSize) && a.Size > uint64(limit) || a.Has(AttrAllocation) && a.Allocation > uint64(limit))
}

// Mkdir makes a directory.
func (g *guardFS) Mkdir(ctx context.Context, name string, a *Attrs) error {
	at, err := g.at(ctx, name, false, g.making(PermMkdir))
	if err != nil {
		return err
	}
	return g.inner.Mkdir(ctx, at.path, a)
}

// Remove removes a file.
func (g *guardFS) Remove(ctx context.Context, name string) error {
	at, err := g.at(ctx, name, false, need(PermRemove))
	if err != nil {
		return err
	}
	return g.inner.Remove(ctx, at.path)
}

// Rmdir removes a directory.
func (g *guardFS) Rmdir(ctx context.Context, name string) error {
	at, err := g.at(ctx, name, false, need(PermRmdir))
	if err != nil {
		return err
	}
	return g.inner.Rmdir(ctx, at.path)
}

// Rename moves what gains nothing by it. Where nothing may be overwritten, nothing is.
func (g *guardFS) Rename(ctx context.Context, from, to string, flags RenameFlags) error {
	src, err := g.at(ctx, from, false, need(PermRename))
	if err != nil {
		return err
	}
	dst, err := g.at(ctx, to, false, g.making(PermRename))
	if err != nil {
		return err
	}
	if g.p.ruled {
		a, err := g.inner.Stat(ctx, src.path, StatOpt{})
		if err != nil && CodeOf(err) != CodeOpUnsupported {
			return err
		}
		dir := a == nil || a.IsDir() || a.Type() == TypeNone || a.Type() == TypeUnknown
		if !g.p.mayMove(src.clean, dst.clean, dir) {
			return errPolicy
		}
	}
	narrowed := flags.Overwrites() && !dst.perms.Has(PermWrite)
	if narrowed {
		flags = 0
	}
	err = g.inner.Rename(ctx, src.path, dst.path, flags)
	if narrowed && CodeOf(err) == CodeFileAlreadyExists {
		err = errPolicy
	}
	return err
}

// Link makes links: hard ones that gain nothing, symbolic ones to what may be seen.
func (g *guardFS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	if symbolic {
		link, err := g.at(ctx, newName, false, g.making(PermSymlink))
		if err != nil {
			return err
		}
		if err := g.target(ctx, JoinPath(path.Dir(link.clean), target)); err != nil {
			return err
		}
		return g.inner.Link(ctx, target, link.path, true)
	}
	old, err := g.at(ctx, target, false, need(PermHardlink))
	if err != nil {
		return err
	}
	link, err := g.at(ctx, newName, false, g.making(PermHardlink))
	if err != nil {
		return err
	}
	if !g.p.mayMove(old.clean, link.clean, false) {
		return errPolicy
	}
	return g.inner.Link(ctx, old.path, link.path, false)
}

// missing tells whether err says that something is not there.
func missing(err error) bool {
	code := CodeOf(err)
	return code == CodeNoSuchFile || code == CodeNoSuchPath || code == CodeNotADirectory
}

// target judges what a symlink is to lead to, which need not be there. What it comes to
// lead to later is judged whenever it is followed.
func (g *guardFS) target(ctx context.Context, name string) error {
	_, err := g.at(ctx, name, true, need(PermStat))
	clean, bad := CleanPath(name)
	if bad != nil || !g.p.ruled || !missing(err) || !g.p.perms(clean).Has(PermStat) {
		return err
	}
	// As far up as there is something, so that a link on the way leads nowhere else.
	for dir := path.Dir(clean); ; dir = path.Dir(dir) {
		real, err := realPath(ctx, g.inner, dir, true)
		switch {
		case err == nil:
			if !g.p.perms(path.Join(real, clean[len(dir):])).Has(PermStat) {
				return CodeNoSuchFile
			}
			return nil
		case !missing(err) || dir == "/":
			return err
		}
	}
}

// ReadLink returns the text of a link that may be seen.
func (g *guardFS) ReadLink(ctx context.Context, name string) (string, error) {
	at, err := g.at(ctx, name, false, need(PermStat))
	if err != nil {
		return "", err
	}
	return g.inner.ReadLink(ctx, at.path)
}

// RealPath resolves what may be seen. A hidden name is answered as it was given, cleaned,
// whether anything is there or not: clients ask about directories above their own first.
func (g *guardFS) RealPath(ctx context.Context, name string, opt RealPathOpt) (string, *Attrs, error) {
	clean, err := CleanPath(name)
	if err != nil {
		return "", nil, err
	}
	if g.p.perms(clean).Has(PermStat) {
		real, a, err := g.inner.RealPath(ctx, name, opt)
		if err != nil || g.p.perms(real).Has(PermStat) {
			return real, a, err
		}
	}
	if opt.Control == RealPathStatAlways {
		return "", nil, CodeNoSuchFile
	}
	return clean, nil, nil
}

// StatFS answers for what may be seen.
func (g *guardFS) StatFS(ctx context.Context, name string) (*FSInfo, error) {
	at, err := g.at(ctx, name, true, need(PermStat))
	if err != nil {
		return nil, err
	}
	return g.inner.StatFS(ctx, at.path)
}

// HomeDir is not about files.
func (g *guardFS) HomeDir(ctx context.Context, user string) (string, error) {
	return g.inner.HomeDir(ctx, user)
}

// LookupIDs is not about files.
func (g *guardFS) LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	return g.inner.LookupIDs(ctx, uids, gids)
}

// Extended passes the requests that were named.
func (g *guardFS) Extended(ctx context.Context, request string, data []byte) ([]byte, error) {
	if !g.p.mayExtend(request) {
		return nil, errPolicy
	}
	return g.inner.Extended(ctx, request, data)
}
