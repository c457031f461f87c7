package osfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// openFlags are the OPEN flags obeyed, or harmless to ignore: the newline of the host is
// the one announced, so text needs no translation.
const openFlags = sftp.OpenAppend | sftp.OpenAppendAtomic | sftp.OpenText | sftp.OpenNoFollow | sftp.OpenDeleteOnClose

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
		return s.more(rel, a, opt.Want)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
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

// Mkdir makes a directory with the attributes in a, except its size. Attributes other than the mode
// that the host refuses are ignored.
func (s *FS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	first, perm, err := s.first(a, s.opt.DirMode)
	if err != nil {
		return err
	}
	return s.do(ctx, "mkdir", name, false, func(rel string) error {
		if rel == "." {
			return sftp.CodeFileAlreadyExists
		}
		if err := s.mkdir(rel, perm); err != nil || first.Valid == 0 {
			return err
		}
		var was sftp.Attrs
		if s.lstat(rel, &was) == nil && was.IsDir() {
			_ = s.apply(&named{s, rel, &was}, first)
		}
		return nil
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
		return s.locks.Remove(s.idOf(rel), func() error { return s.unlink(rel) })
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

// Rename moves the file from to the name to. Without RenameOverwrite, Linux checks for an existing
// target and moves in one step; elsewhere, as in OpenSSH, a file is linked and unlinked, and the
// target of a directory is checked first. A move to another device fails; it is not done by
// copying.
func (s *FS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if s.opt.ReadOnly {
		return sftp.CodeWriteProtect
	}
	return s.do2(ctx, "rename", from, to, func(from, to string) error {
		if from == "." || to == "." {
			return sftp.Status(sftp.CodePermissionDenied, "the root cannot be renamed")
		}
		if !flags.Overwrites() {
			return s.rename(from, to, false)
		}
		target := func() (sftp.FileID, bool) {
			var a sftp.Attrs
			if s.lstat(from, &a) != nil {
				return sftp.FileID{}, false // for which rename has the word
			}
			return s.idOf(to)()
		}
		return s.locks.Remove(target, func() error { return s.rename(from, to, true) })
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
	if err := checkLinkText(target); err != nil {
		return err
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

// ReadLink returns the target of a symlink: relative as stored, absolute as the jail
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
	at, err := s.resolve(rel, !opt.NoFollow)
	if err == nil {
		at, err = s.spelled(at)
	}
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
	if err := s.more(at, a, opt.Want); err != nil {
		return "", nil, hide("realpath", name, s.plain(err))
	}
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

// Open opens or creates a regular file. Attributes for a new file, other than mode and allocation,
// are ignored if the host refuses them.
func (s *FS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if err := how.Check(); err != nil {
		return nil, err
	}
	if s.opt.ReadOnly && how.Modifies() {
		return nil, sftp.CodeWriteProtect
	}
	flags := openFlags
	if hostFeatures.Has(sftp.FeatureOpenLock) && !s.opt.ReadOnly {
		flags |= sftp.OpenBlockMask
	}
	if how.Flags&^flags != 0 {
		return nil, sftp.Status(sftp.CodeOpUnsupported, "open flag not supported")
	}
	first, perm, err := s.first(how.Attrs, s.opt.FileMode)
	if err != nil && how.Creates() {
		return nil, err
	}
	noFollow := how.Flags&sftp.OpenNoFollow != 0
	out := &file{fs: s, reads: how.Reads(), writes: how.Writes(), appends: how.Appends()}
	// A link as last element is an existing file to CreateNew, even a dangling one: never
	// followed, as with O_EXCL.
	follow := !noFollow && how.Disposition != sftp.CreateNew
	err = s.do(ctx, "open", name, follow, func(rel string) error {
		if rel == "." {
			if how.Disposition == sftp.CreateNew {
				return sftp.CodeFileAlreadyExists
			}
			return sftp.CodeIsADirectory
		}
		f, made, err := s.openOrMake(rel, how, perm, first.Valid != 0)
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
		out.f = f
		if err = out.take(how); err == nil && made {
			err = out.init(first)
			if err != nil {
				_ = s.unlink(rel)
			}
		}
		if err != nil {
			_ = out.Close(nil)
			return err
		}
		if how.Flags&sftp.OpenDeleteOnClose != 0 {
			out.doomed = rel
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.name = name
	return out, nil
}

// openOrMake opens rel as how says, but does not empty it: the locks of others are asked
// first. With know it finds out whether the file was made by this call.
func (s *FS) openOrMake(rel string, how *sftp.OpenHow, perm fs.FileMode, know bool) (f *os.File, made bool, err error) {
	flag := how.OSFlags() &^ os.O_TRUNC
	if !know || !how.Creates() {
		f, err = s.openFile(rel, flag, perm)
		return f, false, err
	}
	for range maxRaces {
		f, err = s.openFile(rel, flag|os.O_EXCL, perm)
		if how.Disposition == sftp.CreateNew || !errors.Is(err, fs.ErrExist) {
			return f, err == nil, err
		}
		f, err = s.openFile(rel, flag&^os.O_CREATE, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, false, err
		}
	}
	return nil, false, err
}
