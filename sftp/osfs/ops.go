package osfs

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// settable are the attributes SetStat can change; others are refused before any change.
const settable = sftp.AttrSize | sftp.AttrUIDGID | sftp.AttrMode | sftp.AttrTimes | sftp.AttrOwnerGroup

// openFlags are the OPEN flags obeyed, or harmless to ignore: the newline of the host is
// the one announced, so text needs no translation.
const openFlags = sftp.OpenAppend | sftp.OpenAppendAtomic | sftp.OpenText | sftp.OpenNoFollow

// Stat answers STAT and LSTAT.
func (s *FS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	a := new(sftp.Attrs)
	err := s.do(ctx, "stat", name, opt.Follow, func(rel string) error {
		if err := s.lstat(rel, a); err != nil {
			return err
		}
		if opt.Follow && a.Type() == sftp.TypeSymlink {
			return errSymlink
		}
		s.linkSize(rel, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if opt.Want&sftp.AttrOwnerGroup != 0 {
		s.nameOwner(a)
	}
	return a, nil
}

// SetStat changes, in OpenSSH's order, size, mode, times, owner. If one fails the others
// are still done and the first error is answered.
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
			if c.Has(sftp.AttrSize) {
				return sftp.CodeOpUnsupported
			}
		}
		keep := func(err error) {
			if first == nil {
				first = err
			}
		}
		if c.Has(sftp.AttrSize) {
			keep(s.truncate(rel, int64(c.Size)))
		}
		if c.Has(sftp.AttrMode) {
			keep(s.chmod(rel, c.Mode, &was))
		}
		if c.Valid&(sftp.AttrAtime|sftp.AttrMtime) != 0 {
			keep(s.chtimes(rel, c))
		}
		if c.Has(sftp.AttrUIDGID) {
			keep(s.chown(rel, c.UID, c.GID))
		}
		return nil
	})
	if err == nil {
		err = hide("setstat", name, s.plain(first))
	}
	return err
}

// change checks the attributes of a SETSTAT and answers them masked by policy, with
// owner names turned into numbers (all ones: leave alone).
func (s *FS) change(a *sftp.Attrs) (*sftp.Attrs, error) {
	if s.opt.ReadOnly {
		return nil, sftp.CodeWriteProtect
	}
	if a == nil {
		return &sftp.Attrs{}, nil
	}
	if a.Valid&^settable != 0 {
		return nil, sftp.Status(sftp.CodeOpUnsupported, "attribute cannot be set")
	}
	c := *a
	if c.Has(sftp.AttrSize) && c.Size > math.MaxInt64 {
		return nil, sftp.Status(sftp.CodeInvalidParameter, "size out of range")
	}
	for _, t := range [...]struct {
		bit  sftp.AttrMask
		secs int64
	}{{sftp.AttrAtime, c.Atime.Unix()}, {sftp.AttrMtime, c.Mtime.Unix()}} {
		// Package os and the kernel interface count nanoseconds in 64 bits: 1678 to 2262.
		if c.Valid&t.bit != 0 && (t.secs <= math.MinInt64/1_000_000_000 || t.secs >= math.MaxInt64/1_000_000_000) {
			return nil, sftp.Status(sftp.CodeInvalidParameter, "time out of range")
		}
	}
	c.Mode &= s.modeMask()
	if c.Has(sftp.AttrOwnerGroup) && !c.Has(sftp.AttrUIDGID) {
		c.UID, c.GID = math.MaxUint32, math.MaxUint32
		if c.Owner != "" {
			id, ok := s.names.UID(c.Owner)
			if !ok {
				return nil, sftp.CodeOwnerInvalid
			}
			c.UID = id
		}
		if c.Group != "" {
			id, ok := s.names.GID(c.Group)
			if !ok {
				return nil, sftp.CodeGroupInvalid
			}
			c.GID = id
		}
		c.Valid |= sftp.AttrUIDGID
	}
	return &c, nil
}

// truncate sets the size of a regular file.
func (s *FS) truncate(rel string, size int64) error {
	f, err := s.openRegular(rel, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	return errors.Join(err, f.Close())
}

// openRegular opens rel, not following links, and refuses what is not a regular file.
func (s *FS) openRegular(rel string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := s.openFile(rel, flag, perm)
	if err != nil {
		return nil, err
	}
	var a sftp.Attrs
	if err = statFile(f, &a); err == nil {
		err = onlyRegular(&a)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func onlyRegular(a *sftp.Attrs) error {
	switch a.Type() {
	case sftp.TypeRegular:
		return nil
	case sftp.TypeDirectory:
		return sftp.CodeIsADirectory
	default:
		return sftp.Status(sftp.CodePermissionDenied, "not a regular file")
	}
}

// Mkdir makes a directory; of a only the mode counts.
func (s *FS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	perm := s.opt.DirMode
	if a != nil && a.Has(sftp.AttrMode) {
		perm = fs.FileMode(a.Mode & 0o777)
	}
	return s.do(ctx, "mkdir", name, false, func(rel string) error {
		if rel == "." {
			return sftp.CodeFileAlreadyExists
		}
		return s.mkdir(rel, perm)
	})
}

// Remove removes a file, link or other object that is not a directory.
func (s *FS) Remove(ctx context.Context, name string) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	return s.do(ctx, "remove", name, false, func(rel string) error {
		if rel == "." {
			return sftp.CodeIsADirectory
		}
		return s.unlink(rel)
	})
}

// Rmdir removes an empty directory, never the root.
func (s *FS) Rmdir(ctx context.Context, name string) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	return s.do(ctx, "rmdir", name, false, func(rel string) error {
		if rel == "." {
			return sftp.Status(sftp.CodePermissionDenied, "the root cannot be removed")
		}
		return s.rmdir(rel)
	})
}

// Rename moves from to to. Without overwriting, Linux decides "exists" and moves in one
// step; elsewhere, as in OpenSSH, a file is linked and unlinked, a directory checked
// first. A move to another device fails and is not tried by copying.
func (s *FS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	return s.do2(ctx, "rename", from, to, func(from, to string) error {
		if from == "." || to == "." {
			return sftp.Status(sftp.CodePermissionDenied, "the root cannot be renamed")
		}
		return s.rename(from, to, flags.Overwrites())
	})
}

// Link makes a hard link, or a symlink whose target text is stored as given. A relative
// target that climbs out of the root is refused.
func (s *FS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	if !symbolic {
		return s.do2(ctx, "link", target, newName, func(old, name string) error {
			if name == "." {
				return sftp.CodeFileAlreadyExists
			}
			if old == "." {
				return sftp.CodePermissionDenied
			}
			return s.link(old, name)
		})
	}
	// guarded may add two octets. Targets that would be too long then are refused in any
	// case, since only those that begin with the host's path of the root get them.
	if target == "" || len(target) >= sftp.MaxPath-2 || strings.IndexByte(target, 0) >= 0 {
		return sftp.CodeInvalidFilename
	}
	for strings.HasPrefix(target, "/./") { // kept for guarded
		target = target[2:]
	}
	return s.do(ctx, "symlink", newName, false, func(rel string) error {
		if rel == "." {
			return sftp.CodeFileAlreadyExists
		}
		if text := slashed(target); strings.Contains(text, "..") {
			// Where the link will really stand decides, not the spelling of its name.
			at, err := s.resolve(rel, false)
			if err != nil {
				return err
			}
			if rel = at; climbs(rel, text) {
				return sftp.Status(sftp.CodePermissionDenied, "symbolic link would leave the root")
			}
		}
		return s.symlink(s.guarded(target), rel)
	})
}

// climbs reports whether a relative target, read from the directory of rel, leaves the
// root by its text.
func climbs(rel, target string) bool {
	if strings.HasPrefix(target, "/") {
		return false
	}
	p := path.Join(path.Dir(rel), target)
	return p == ".." || strings.HasPrefix(p, "../")
}

// ReadLink answers the target of a symlink: relative as stored, absolute as the jail
// sees it.
func (s *FS) ReadLink(ctx context.Context, name string) (target string, err error) {
	err = s.do(ctx, "readlink", name, false, func(rel string) (err error) {
		target, err = s.readlink(rel)
		return err
	})
	if err != nil {
		return "", err
	}
	return s.shown(target), nil
}

// RealPath resolves symlinks as realpath(3) does, inside the jail; the last element may
// be missing, except with RealPathStatAlways. RealPathNoCheck only cleans the text.
func (s *FS) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	rel, err := s.rel(name)
	if err != nil {
		return "", nil, err
	}
	clean := "/"
	if rel != "." {
		clean += rel
	}
	if opt.Control == sftp.RealPathNoCheck {
		return clean, nil, nil
	}
	if err := s.enter(); err != nil {
		return "", nil, err
	}
	defer s.leave()
	at, err := s.resolve(rel, true)
	if err != nil {
		if opt.Control == sftp.RealPathStatIf && errors.Is(err, fs.ErrNotExist) {
			return clean, nil, nil
		}
		return "", nil, hide("realpath", name, s.plain(err))
	}
	resolved := "/"
	if at != "." {
		resolved += at
	}
	if opt.Control == sftp.RealPathDefault {
		return resolved, nil, nil
	}
	a := new(sftp.Attrs)
	if err := s.plain(s.lstat(at, a)); err != nil {
		if opt.Control == sftp.RealPathStatIf {
			return resolved, nil, nil
		}
		return "", nil, hide("realpath", name, err)
	}
	s.nameOwner(a)
	return resolved, a, nil
}

// StatFS describes the file system that holds name.
func (s *FS) StatFS(ctx context.Context, name string) (*sftp.FSInfo, error) {
	info := new(sftp.FSInfo)
	err := s.do(ctx, "statvfs", name, true, func(rel string) error { return s.statfs(rel, info) })
	if err != nil {
		return nil, err
	}
	return info, nil
}

// Open opens or creates a regular file.
func (s *FS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if err := how.Check(); err != nil {
		return nil, err
	}
	if how.Flags&^openFlags != 0 {
		return nil, sftp.Status(sftp.CodeOpUnsupported, "open flag not supported")
	}
	if s.opt.ReadOnly && how.Modifies() {
		return nil, sftp.CodeWriteProtect
	}
	perm := s.opt.FileMode
	if how.Attrs != nil && how.Attrs.Has(sftp.AttrMode) {
		perm = fs.FileMode(how.Attrs.Mode & 0o777)
	}
	// O_TRUNC is left to the file system only together with O_CREATE or write access;
	// CreateTruncate without write access has neither meaning nor effect.
	flag := how.OSFlags()
	if !how.Writes() {
		flag &^= os.O_TRUNC
	}
	noFollow := how.Flags&sftp.OpenNoFollow != 0
	out := &file{fs: s, reads: how.Reads(), writes: how.Writes(), appends: how.Appends()}
	// A link as last element is an existing file to CreateNew, even a dangling one: never
	// followed, as with O_EXCL.
	follow := !noFollow && how.Disposition != sftp.CreateNew
	err := s.do(ctx, "open", name, follow, func(rel string) error {
		if rel == "." {
			if how.Disposition == sftp.CreateNew {
				return sftp.CodeFileAlreadyExists
			}
			return sftp.CodeIsADirectory
		}
		f, err := s.openFile(rel, flag, perm)
		if err != nil {
			if noFollow && errors.Is(err, errSymlink) {
				// The link is either the last element, which is the answer, or a
				// parent, which do resolves.
				var a sftp.Attrs
				if s.lstat(rel, &a) == nil && a.Type() == sftp.TypeSymlink {
					return sftp.CodeLinkLoop
				}
			}
			return err
		}
		var a sftp.Attrs
		if err = statFile(f, &a); err == nil {
			err = onlyRegular(&a)
		}
		if err != nil {
			_ = f.Close()
			return err
		}
		out.f, out.lock = f, &s.appends[a.Ino%uint64(len(s.appends))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.name = name
	return out, nil
}
