package sftpserver

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

var (
	errConfined = errors.New("sftpserver: users of Options.FileSystem are confined by it, and not by RestrictUserToHomeDir")
	errNoHold   = errors.New("sftpserver: a root was asked for outside of a session")
)

// A startFS begins in the home directory.
type startFS struct {
	sftp.FileSystem
	home string
}

// Capabilities are those of the file system, from another directory.
func (f *startFS) Capabilities() sftp.Capabilities {
	c := f.FileSystem.Capabilities()
	c.StartDir = f.home
	c.Features |= sftp.FeatureHomeDir
	return c
}

// HomeDir knows that of the user.
func (f *startFS) HomeDir(ctx context.Context, user string) (string, error) {
	if user == "" {
		return f.home, nil
	}
	return f.FileSystem.HomeDir(ctx, user)
}

// A homeFS is a tree that has nothing but the home directory in it, where it is seen from the
// root, and the directories on the way there. The tree below is opened as one of its own, so
// that neither links nor races lead out of it. What is above home is not what the host has
// there: it has one name in it each, and cannot be changed.
type homeFS struct {
	inner sftp.FileSystem // home is its root
	home  string          // clean, not "/"
}

var _ sftp.FileSystem = (*homeFS)(nil)

var (
	errAbove   = sftp.Status(sftp.CodePermissionDenied, "outside of the home directory")
	errOutside = sftp.CodeNoSuchFile
)

// in is a name as inner has it. Of what is above home, and is asked for to be changed
// or opened, it says that it may not be, of what is beside it that it is not there.
func (f *homeFS) in(name string) (string, error) {
	clean, err := sftp.CleanPath(name)
	if err != nil {
		return "", err
	}
	if clean == f.home {
		return "/", nil
	}
	if rest, ok := strings.CutPrefix(clean, f.home+"/"); ok {
		return "/" + rest, nil
	}
	if _, above := f.next(clean); above {
		return "", errAbove
	}
	return "", errOutside
}

// next is the one name in a clean directory above home.
func (f *homeFS) next(clean string) (name string, above bool) {
	rest, ok := strings.CutPrefix(f.home, strings.TrimSuffix(clean, "/")+"/")
	if !ok {
		return "", false
	}
	name, _, _ = strings.Cut(rest, "/")
	return name, true
}

// out is a name of inner as users see it.
func (f *homeFS) out(name string) string { return path.Join(f.home, name) }

// aboveAttrs are those of the directories on the way.
func aboveAttrs() sftp.Attrs {
	return sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o040555, Kind: sftp.TypeDirectory}
}

// Capabilities are those of the tree below.
func (f *homeFS) Capabilities() sftp.Capabilities {
	c := f.inner.Capabilities()
	c.StartDir = f.home
	c.Features |= sftp.FeatureHomeDir
	return c
}

// HomeDir knows that of the user and no other.
func (f *homeFS) HomeDir(_ context.Context, user string) (string, error) {
	if user == "" {
		return f.home, nil
	}
	return "", sftp.CodeNoSuchFile
}

// Open opens what is below home.
func (f *homeFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	in, err := f.in(name)
	if err != nil {
		return nil, err
	}
	return f.inner.Open(ctx, in, how)
}

// OpenDir lists what is below home, and on the way there.
func (f *homeFS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if clean, err := sftp.CleanPath(name); err == nil {
		if next, above := f.next(clean); above {
			return &wayDir{name: next}, nil
		}
	}
	in, err := f.in(name)
	if err != nil {
		return nil, err
	}
	return f.inner.OpenDir(ctx, in)
}

// Stat knows the directories on the way, too.
func (f *homeFS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	in, err := f.in(name)
	if errors.Is(err, errAbove) {
		a := aboveAttrs()
		return &a, nil
	}
	if err != nil {
		return nil, err
	}
	return f.inner.Stat(ctx, in, opt)
}

// RealPath returns names as users see them.
func (f *homeFS) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	in, err := f.in(name)
	if errors.Is(err, errAbove) {
		clean, err := sftp.CleanPath(name)
		a := aboveAttrs()
		return clean, &a, err
	}
	if err != nil {
		return "", nil, err
	}
	real, a, err := f.inner.RealPath(ctx, in, opt)
	if err != nil {
		return "", nil, err
	}
	return f.out(real), a, nil
}

// SetStat changes what is below home.
func (f *homeFS) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	in, err := f.in(name)
	if err != nil {
		return err
	}
	return f.inner.SetStat(ctx, in, a, follow)
}

// Mkdir makes directories below home.
func (f *homeFS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	in, err := f.in(name)
	if err != nil {
		return err
	}
	return f.inner.Mkdir(ctx, in, a)
}

// Remove removes what is below home.
func (f *homeFS) Remove(ctx context.Context, name string) error {
	in, err := f.in(name)
	if err != nil {
		return err
	}
	return f.inner.Remove(ctx, in)
}

// Rmdir removes directories below home, which itself stays.
func (f *homeFS) Rmdir(ctx context.Context, name string) error {
	in, err := f.in(name)
	if err != nil {
		return err
	}
	if in == "/" {
		return errAbove
	}
	return f.inner.Rmdir(ctx, in)
}

// Rename keeps both names below home, which itself stays.
func (f *homeFS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	in, err := f.in(from)
	if err != nil {
		return err
	}
	there, err := f.in(to)
	if err != nil {
		return err
	}
	if in == "/" || there == "/" {
		return errAbove
	}
	return f.inner.Rename(ctx, in, there, flags)
}

// Link makes links from below home to below home. An absolute target is stored as seen from
// home: it means the same to whoever is confined there, and nothing to others.
func (f *homeFS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	in, err := f.in(newName)
	if err != nil {
		return err
	}
	if !symbolic || path.IsAbs(target) {
		if target, err = f.in(target); err != nil {
			return err
		}
	}
	return f.inner.Link(ctx, target, in, symbolic)
}

// ReadLink returns absolute targets as users see them.
func (f *homeFS) ReadLink(ctx context.Context, name string) (string, error) {
	in, err := f.in(name)
	if err != nil {
		return "", err
	}
	target, err := f.inner.ReadLink(ctx, in)
	if err == nil && path.IsAbs(target) {
		target = f.out(target)
	}
	return target, err
}

// StatFS is about the file system that home is on.
func (f *homeFS) StatFS(ctx context.Context, name string) (*sftp.FSInfo, error) {
	in, err := f.in(name)
	if errors.Is(err, errAbove) {
		in, err = "/", nil
	}
	if err != nil {
		return nil, err
	}
	return f.inner.StatFS(ctx, in)
}

// LookupIDs is not about files.
func (f *homeFS) LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	return f.inner.LookupIDs(ctx, uids, gids)
}

// Extended is refused: there may be names in data.
func (f *homeFS) Extended(context.Context, string, []byte) ([]byte, error) {
	return nil, sftp.CodeOpUnsupported
}

// A wayDir is the listing of a directory on the way home.
type wayDir struct{ name string }

// Next returns the one name.
func (d *wayDir) Next(_ context.Context, n int) ([]sftp.Entry, error) {
	if n <= 0 || d.name == "" {
		return nil, io.EOF
	}
	e := sftp.Entry{Name: d.name, Attrs: aboveAttrs()}
	d.name = ""
	return []sftp.Entry{e}, io.EOF
}

// Close has nothing to do.
func (d *wayDir) Close(error) error { return nil }
