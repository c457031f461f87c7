package sftp

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// localFS is the local side of a transfer: hostFS for a path that the caller chose, an
// *os.Root, which has these methods, for what lies in a tree.
type localFS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Lstat(name string) (fs.FileInfo, error)
	Stat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	Link(old, link string) error
	Symlink(text, link string) error
	Readlink(name string) (string, error)
	Chmod(name string, mode fs.FileMode) error
	Chtimes(name string, atime, mtime time.Time) error
}

var (
	_ localFS = hostFS{}
	_ localFS = (*os.Root)(nil)
)

// hostFS is the files of this host.
type hostFS struct{}

func (hostFS) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}
func (hostFS) Lstat(name string) (fs.FileInfo, error)      { return os.Lstat(name) }
func (hostFS) Stat(name string) (fs.FileInfo, error)       { return os.Stat(name) }
func (hostFS) Mkdir(name string, perm fs.FileMode) error   { return os.Mkdir(name, perm) }
func (hostFS) Rename(from, to string) error                { return os.Rename(from, to) }
func (hostFS) Remove(name string) error                    { return os.Remove(name) }
func (hostFS) Link(old, link string) error                 { return os.Link(old, link) }
func (hostFS) Symlink(text, link string) error             { return os.Symlink(text, link) }
func (hostFS) Readlink(name string) (string, error)        { return os.Readlink(name) }
func (hostFS) Chmod(name string, mode fs.FileMode) error   { return os.Chmod(name, mode) }
func (hostFS) Chtimes(name string, at, mt time.Time) error { return os.Chtimes(name, at, mt) }

// localTarget is the file that a Get writes.
type localTarget struct {
	fsys localFS
	name string // where it is to be in the end
	path string // where it is written
	f    *os.File
	o    *TransferOptions
	perm fs.FileMode // what it gets in the end, if set
	set  bool
	have int64     // of a resume: what is there
	when time.Time // and its last change
}

// errSkip says that there is a target, and that it is to be left.
var errSkip = errors.New("there already")

// openTarget opens the local file name for a Get. plain demands that it be a regular file,
// as everything in a tree is. source is the attributes of the remote file, if known.
func openTarget(fsys localFS, name string, o *TransferOptions, source *Attrs, plain bool) (*localTarget, error) {
	l := &localTarget{fsys: fsys, name: name, path: name, o: o}
	flag, perm := os.O_WRONLY|os.O_CREATE, fs.FileMode(0o666)
	if mode, ok := o.modeOf(source); ok {
		l.perm, l.set = FSMode(mode), true
		// Never wider than it will be, and its owner must be able to go on with it.
		perm = l.perm.Perm() | 0o200
	} else if source != nil && source.Has(AttrMode) {
		perm = FSMode(source.Mode).Perm() | 0o200 // less what the umask takes
	}
	if o.Atomic {
		old, err := fsys.Lstat(name)
		switch {
		case err == nil && o.IfExists == SkipIfExists:
			return nil, errSkip
		case err == nil && o.IfExists == FailIfExists:
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
		case err == nil && old.IsDir():
			return nil, &fs.PathError{Op: "open", Path: name, Err: errIsDir}
		case err == nil && !l.set && old.Mode().IsRegular():
			l.perm, l.set = old.Mode().Perm(), true
			perm = l.perm | 0o200
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		l.path = partName(name, o.Resume == NoResume)
		flag |= openNoFollow // somebody may know its name beforehand
	}
	switch {
	case o.Resume != NoResume:
		flag |= os.O_RDWR
		flag &^= os.O_WRONLY
	case o.Atomic, o.IfExists == FailIfExists, o.IfExists == SkipIfExists:
		flag |= os.O_EXCL
	case o.IfExists == AppendTo:
		flag |= os.O_APPEND
	case o.Offset == 0:
		flag |= os.O_TRUNC
	default:
	}
	if plain {
		flag |= openNonblock // a pipe somebody put there must not hold us
	}
	f, err := fsys.OpenFile(l.path, flag, perm)
	if err != nil {
		if o.IfExists == SkipIfExists && !o.Atomic && errors.Is(err, fs.ErrExist) {
			return nil, errSkip
		}
		return nil, err
	}
	l.f = f
	if plain || o.Resume != NoResume {
		info, err := f.Stat()
		if err == nil && o.Atomic {
			// A root follows symlinks in it, and other hosts have no openNoFollow.
			if named, lerr := fsys.Lstat(l.path); lerr != nil || !os.SameFile(info, named) {
				err = &fs.PathError{Op: "open", Path: l.path, Err: errIrregular}
			}
		}
		if err == nil && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "open", Path: name, Err: errIrregular}
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if o.Resume != NoResume {
			l.have, l.when = info.Size(), info.ModTime()
		}
	}
	return l, nil
}

var (
	errIsDir     = errors.New("is a directory")
	errIrregular = errors.New("not a regular file")
)

// restart drops what is there.
func (l *localTarget) restart() error {
	l.have = 0
	if _, err := l.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return l.f.Truncate(0)
}

// finish gives the file its attributes, closes it and puts it in its place. attrsErr is
// what could not be kept under BestEffortAttrs.
func (l *localTarget) finish(source *Attrs) (attrsErr, err error) {
	if l.set {
		attrsErr = l.f.Chmod(l.perm)
	}
	if l.o.Atomic && !l.o.NoSync {
		err = l.f.Sync()
	}
	if cerr := l.f.Close(); err == nil {
		err = cerr
	}
	l.f = nil
	if err != nil {
		return attrsErr, err
	}
	if l.o.Preserve&PreserveTimes != 0 {
		attrsErr = errors.Join(attrsErr, setLocalTimes(l.fsys, l.path, source))
	}
	if attrsErr != nil && !l.o.BestEffortAttrs {
		return nil, attrsErr
	}
	return attrsErr, l.place()
}

// setLocalTimes sets the times that source has.
func setLocalTimes(fsys localFS, name string, source *Attrs) error {
	if source == nil || source.Valid&(AttrAtime|AttrMtime) == 0 {
		return nil
	}
	var atime, mtime time.Time // zero: left alone
	if source.Has(AttrAtime) {
		atime = source.Atime
	}
	if source.Has(AttrMtime) {
		mtime = source.Mtime
	}
	return fsys.Chtimes(name, atime, mtime)
}

// place renames an atomic target over what there was.
func (l *localTarget) place() error {
	if !l.o.Atomic {
		return nil
	}
	if l.o.IfExists == Overwrite {
		return l.fsys.Rename(l.path, l.name)
	}
	// A hard link is the one way to take a name without taking it from somebody.
	err := l.fsys.Link(l.path, l.name)
	if err == nil {
		return l.fsys.Remove(l.path)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, serr := l.fsys.Lstat(l.name); serr == nil {
		return &fs.PathError{Op: "rename", Path: l.name, Err: fs.ErrExist}
	}
	return l.fsys.Rename(l.path, l.name)
}

// abandon closes the file after a failure. An atomic one that nobody will resume is
// removed; anything else keeps what came.
func (l *localTarget) abandon() {
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
	if l.o.Atomic && l.o.Resume == NoResume {
		_ = l.fsys.Remove(l.path)
	}
}
