package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// Stat returns the attributes of a file; if name is a symlink, those of its target.
func (c *Client) Stat(ctx context.Context, name string) (*Attrs, error) {
	return c.stat(ctx, fxp.TypeStat, "stat", name)
}

// Lstat returns the attributes of a file; if name is a symlink, those of the symlink itself.
func (c *Client) Lstat(ctx context.Context, name string) (*Attrs, error) {
	return c.stat(ctx, fxp.TypeLstat, "lstat", name)
}

func (c *Client) stat(ctx context.Context, t fxp.Type, op, name string) (*Attrs, error) {
	var m fxp.AttrsReply
	m.Attrs.V = c.version
	ask := fxp.Stat{V: c.version, T: t, Path: c.toWire(name), Want: wireWant(attrsWanted, c.version)}
	if err := c.ask(ctx, &ask, &m); err != nil {
		return nil, pathError(op, name, err)
	}
	return c.attrs(&m.Attrs), nil
}

// Exists tells whether STAT finds name. Any error other than "no such file" is returned, with
// false.
func (c *Client) Exists(ctx context.Context, name string) (bool, error) {
	_, err := c.Stat(ctx, name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// SetStat changes the attributes in a.Valid; if name is a symlink, those of its target. Attributes
// that the protocol version cannot carry are errors.ErrUnsupported, and nothing is sent. Version 3
// loses precision in two cases without an error: times are truncated to seconds, and of an owner
// given by number and name only the number is sent.
func (c *Client) SetStat(ctx context.Context, name string, a *Attrs) error {
	if err := c.canSay(a); err != nil {
		return pathError("setstat", name, err)
	}
	m := fxp.PathAttrs{T: fxp.TypeSetstat, Path: c.toWire(name), Attrs: c.wireAttrs(a)}
	return pathError("setstat", name, c.status(ctx, &m))
}

// LSetStat is SetStat of a symlink itself, where the server has lsetstat@openssh.com.
func (c *Client) LSetStat(ctx context.Context, name string, a *Attrs) error {
	if err := c.canSay(a); err != nil {
		return pathError("lsetstat", name, err)
	}
	m := fxp.ExtSetstat{Path: c.toWire(name), Attrs: c.wireAttrs(a)}
	return pathError("lsetstat", name, c.extended(ctx, fxp.OpLsetstat, &m, nil))
}

// Chmod sets the permission bits, setuid, setgid and sticky among them.
func (c *Client) Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return c.SetStat(ctx, name, modeAttrs(mode))
}

// Chown sets owner and group by number; versions 4 to 6 carry the numbers as text.
func (c *Client) Chown(ctx context.Context, name string, uid, gid uint32) error {
	return c.SetStat(ctx, name, ownerAttrs(uid, gid))
}

// Chtimes sets the times of last access and change. A zero time stays as it is, as far as
// the version can leave one out: version 3 sets both to the one that is given.
func (c *Client) Chtimes(ctx context.Context, name string, atime, mtime time.Time) error {
	return c.SetStat(ctx, name, timeAttrs(atime, mtime))
}

// Truncate makes a file size octets long.
func (c *Client) Truncate(ctx context.Context, name string, size int64) error {
	if size < 0 {
		return pathError("truncate", name, fs.ErrInvalid)
	}
	return c.SetStat(ctx, name, &Attrs{Valid: AttrSize, Size: uint64(size)})
}

func modeAttrs(mode fs.FileMode) *Attrs {
	return &Attrs{Valid: AttrMode, Mode: ModeFromFS(mode) & ModePerm}
}

func ownerAttrs(uid, gid uint32) *Attrs {
	return &Attrs{Valid: AttrUIDGID, UID: uid, GID: gid}
}

func timeAttrs(atime, mtime time.Time) *Attrs {
	a := &Attrs{Atime: atime, Mtime: mtime}
	if !atime.IsZero() {
		a.Valid |= AttrAtime | AttrSubsecond
	}
	if !mtime.IsZero() {
		a.Valid |= AttrMtime | AttrSubsecond
	}
	return a
}

// Mkdir makes a directory with the attributes in a, which may be nil.
func (c *Client) Mkdir(ctx context.Context, name string, a *Attrs) error {
	if err := c.canSay(a); err != nil {
		return pathError("mkdir", name, err)
	}
	m := fxp.PathAttrs{T: fxp.TypeMkdir, Path: c.toWire(name), Attrs: c.wireAttrs(a)}
	return pathError("mkdir", name, c.status(ctx, &m))
}

// MkdirAll makes a directory and its missing parents. It is no error if the directory exists
// already.
func (c *Client) MkdirAll(ctx context.Context, name string, a *Attrs) error {
	if st, err := c.Stat(ctx, name); err == nil {
		if st.Type() == TypeDirectory || st.Type() == TypeNone {
			return nil
		}
		return pathError("mkdir", name, CodeNotADirectory)
	} else if _, ok := errors.AsType[*StatusError](err); !ok {
		return err
	}
	if above := path.Dir(path.Clean(name)); above != "." && above != "/" && above != name {
		if err := c.MkdirAll(ctx, above, a); err != nil {
			return err
		}
	}
	err := c.Mkdir(ctx, name, a)
	if err != nil {
		// Somebody else may have made it meanwhile, and version 3 has no word for that.
		if st, statErr := c.Stat(ctx, name); statErr == nil && st.IsDir() {
			return nil
		}
	}
	return err
}

// Remove removes a file or symlink, not a directory.
func (c *Client) Remove(ctx context.Context, name string) error {
	return pathError("remove", name, c.status(ctx, &fxp.Path{T: fxp.TypeRemove, Path: c.toWire(name)}))
}

// Rmdir removes an empty directory.
func (c *Client) Rmdir(ctx context.Context, name string) error {
	return pathError("rmdir", name, c.status(ctx, &fxp.Path{T: fxp.TypeRmdir, Path: c.toWire(name)}))
}

// Rename moves the file from to the name to. Without flags an existing target is an error. With
// them it is replaced: by the flags of versions 5 and 6, or else by posix-rename@openssh.com; the
// error is errors.ErrUnsupported where the server has neither.
func (c *Client) Rename(ctx context.Context, from, to string, flags RenameFlags) error {
	return linkError("rename", from, to, c.rename(ctx, from, to, flags))
}

func (c *Client) rename(ctx context.Context, from, to string, flags RenameFlags) error {
	old, target := c.toWire(from), c.toWire(to)
	switch {
	case flags.Overwrites() && (c.version < fxp.V5 || flags == RenameOverwrite|RenameAtomic && c.supports(fxp.OpPosixRename)):
		// Which is just that, and the better known of the two ways to say it.
		return c.extended(ctx, fxp.OpPosixRename, &fxp.ExtPaths{Old: old, New: target}, nil)
	case c.version < fxp.V5:
		return c.status(ctx, &fxp.Rename{V: c.version, Old: old, New: target})
	}
	return c.status(ctx, &fxp.Rename{V: c.version, Old: old, New: target, Flags: uint32(flags)})
}

// Link makes newName a second name of the file target (LINK of version 6, or
// hardlink@openssh.com).
func (c *Client) Link(ctx context.Context, target, newName string) error {
	old, link := c.toWire(target), c.toWire(newName)
	var err error
	if c.version >= fxp.V6 {
		err = c.status(ctx, c.quirks.link(old, link, false))
	} else {
		err = c.extended(ctx, fxp.OpHardlink, &fxp.ExtPaths{Old: old, New: link}, nil)
	}
	return linkError("link", target, newName, err)
}

// Symlink makes newName a symlink with the text target.
func (c *Client) Symlink(ctx context.Context, target, newName string) error {
	old, link := c.toWire(target), c.toWire(newName)
	var m fxp.Message
	switch {
	case c.version >= fxp.V6:
		m = c.quirks.link(old, link, true)
	case c.linkFirst():
		m = &fxp.TwoPaths{T: fxp.TypeSymlink, First: link, Second: old}
	default:
		m = &fxp.TwoPaths{T: fxp.TypeSymlink, First: old, Second: link}
	}
	return linkError("symlink", target, newName, c.status(ctx, m))
}

// linkFirst tells whether SYMLINK carries the link first, as in the drafts.
func (c *Client) linkFirst() bool {
	switch c.cfg.SymlinkOrder {
	case SymlinkLinkFirst:
		return true
	case SymlinkTargetFirst:
		return false
	case SymlinkByIdent:
	}
	return c.quirks&linkFirst != 0
}

// ReadLink returns the text of a symlink.
func (c *Client) ReadLink(ctx context.Context, name string) (string, error) {
	to, _, err := c.name(ctx, &fxp.Path{T: fxp.TypeReadlink, Path: c.toWire(name)})
	return to, pathError("readlink", name, err)
}

// RealPath returns the absolute path of name as the server has it.
func (c *Client) RealPath(ctx context.Context, name string) (string, error) {
	p, _, err := c.RealPathOpt(ctx, name, RealPathDefault)
	return p, err
}

// RealPathOpt is RealPath with what version 6 can say: what must exist, and paths that are
// applied to name one after the other. The attributes are nil unless control asks for them
// and the file exists. Before version 6 paths are joined here, and any control but
// RealPathDefault is errors.ErrUnsupported.
func (c *Client) RealPathOpt(ctx context.Context, name string, control RealPathControl, compose ...string) (string, *Attrs, error) {
	p, a, err := c.realPath(ctx, name, control, compose)
	return p, a, pathError("realpath", name, err)
}

func (c *Client) realPath(ctx context.Context, name string, control RealPathControl, compose []string) (string, *Attrs, error) {
	m := fxp.Realpath{V: c.version, Path: c.toWire(name), Control: byte(control)}
	switch {
	case c.version >= fxp.V6:
		for _, p := range compose {
			m.Compose = append(m.Compose, c.toWire(p))
		}
		if (len(compose) > 0 || c.quirks&controlByte != 0) && control == RealPathDefault {
			m.Control = byte(RealPathNoCheck) // its place cannot be left out; this is what that means
		}
	case control != RealPathDefault:
		return "", nil, Status(CodeOpUnsupported, "protocol version has no such REALPATH")
	default:
		for _, p := range compose {
			name = JoinPath(name, p)
		}
		m.Path = c.toWire(name)
	}
	p, a, err := c.name(ctx, &m)
	if err != nil || control < RealPathStatIf || a.Kind == TypeUnknown && a.Valid == 0 {
		return p, nil, err
	}
	return p, a, nil
}

// Getwd returns the directory that relative names start from.
func (c *Client) Getwd(ctx context.Context) (string, error) { return c.RealPath(ctx, ".") }

// ---- what goes over the wire otherwise than it is here

// attrsWanted are what Stat and its kin ask servers of version 4 and up for: all that costs
// them nothing.
const attrsWanted = AttrsBasic | AttrOwnerGroup | AttrBirth | AttrCtime | AttrLinks | AttrBitsSet | AttrAllocation

// toWire writes a name as the server does, and fromWire reads one.
func (c *Client) toWire(name string) string {
	if c.cfg.Charset == nil {
		return name
	}
	return c.cfg.Charset.Encode(name)
}

func (c *Client) fromWire(name string) string {
	if c.cfg.Charset == nil {
		return name
	}
	return c.cfg.Charset.Decode(name)
}

// attrs reads what a server sent. An ACL that is malformed is left out.
func (c *Client) attrs(w *fxp.Attrs) *Attrs {
	a, _ := attrsOfWire(w)
	return &a
}

// ownAttrs puts attributes as the version has them: from 4 on, numbers of owner and group go
// as text.
func (c *Client) ownAttrs(a *Attrs) *Attrs {
	if c.version < fxp.V4 || !a.Has(AttrUIDGID) || a.Has(AttrOwnerGroup) {
		return a
	}
	own := *a
	own.Valid |= AttrOwnerGroup
	own.Owner, own.Group = strconv.FormatUint(uint64(a.UID), 10), strconv.FormatUint(uint64(a.GID), 10)
	return &own
}

// canSay refuses attributes that the version cannot carry at all.
func (c *Client) canSay(a *Attrs) error {
	if a == nil {
		return nil
	}
	can := AttrMask(fxp.AttrMask(c.version)) | AttrSubsecond | AttrFileID | AttrUIDGID | AttrExtended
	if c.version < fxp.V4 {
		can |= AttrMtime // in one field with Atime
		if a.Has(AttrUIDGID) {
			can |= AttrOwnerGroup
		}
	}
	if no := a.Valid &^ can; no != 0 {
		return Status(CodeOpUnsupported, fmt.Sprintf("protocol version %d cannot carry attributes 0x%x", c.version, uint32(no)))
	}
	return nil
}

func (c *Client) wireAttrs(a *Attrs) fxp.Attrs {
	if a == nil {
		a = new(Attrs)
	}
	return wireAttrs(c.ownAttrs(a), c.version)
}
