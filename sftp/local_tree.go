package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
)

// localTree is a directory of this host as source or target of a tree. All goes through
// an os.Root, so that no symlink, whoever put it there and whenever, leads out of it.
type localTree struct {
	root *os.Root
	o    *TreeOptions
}

func (l *localTree) Close() error { return l.root.Close() }

// local returns rel as a path of the root.
func local(rel string) string {
	if rel == "" {
		return "."
	}
	return filepath.FromSlash(rel)
}

// listBatch is how many names of a local directory are read at a time.
const listBatch = 512

func (l *localTree) list(ctx context.Context, rel string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d, err := l.root.Open(local(rel))
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer d.Close()
		for {
			names, err := d.Readdirnames(listBatch)
			for _, name := range names {
				if ctx.Err() != nil {
					return
				}
				// By the root and not by the directory's handle, whose path could lead
				// elsewhere by now.
				info, err := l.root.Lstat(local(path.Join(rel, name)))
				if errors.Is(err, fs.ErrNotExist) {
					continue // gone meanwhile
				}
				e := Entry{Name: name}
				if err == nil {
					e.Attrs = attrsOfInfo(info)
				} else {
					e.Attrs.Kind = TypeUnknown
				}
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(Entry{}, err)
				}
				return
			}
		}
	}
}

// attrsOfInfo returns what any host knows of a file.
func attrsOfInfo(info fs.FileInfo) Attrs {
	return Attrs{
		Valid: AttrSize | AttrMode | AttrTimes,
		Mode:  ModeFromFS(info.Mode()), Size: uint64(max(info.Size(), 0)), Atime: atimeOf(info), Mtime: info.ModTime(),
	}
}

func (l *localTree) lstat(_ context.Context, rel string) (*Attrs, error) {
	info, err := l.root.Lstat(local(rel))
	if err != nil {
		return nil, err
	}
	a := attrsOfInfo(info)
	return &a, nil
}

func (l *localTree) readLink(_ context.Context, rel string) (string, error) {
	text, err := l.root.Readlink(local(rel))
	return filepath.ToSlash(text), err
}

// localPlace is a directory of this host.
type localPlace struct{ info fs.FileInfo }

func (p localPlace) same(other place) bool {
	o, ok := other.(localPlace)
	return ok && os.SameFile(p.info, o.info)
}

func (l *localTree) follow(_ context.Context, rel string) (*Attrs, place, error) {
	info, err := l.root.Stat(local(rel)) // which refuses what leads out
	if err != nil {
		return nil, nil, err
	}
	a := attrsOfInfo(info)
	return &a, localPlace{info}, nil
}

func (l *localTree) place(_ place, rel, _ string) place {
	if l.o.Links != FollowLinks {
		return nil
	}
	info, err := l.root.Lstat(local(rel))
	if err != nil {
		return nil // listing it will say so
	}
	return localPlace{info}
}

func (l *localTree) spell(e *Entry) string {
	if onlyText {
		return e.Name
	}
	return e.TrueName()
}

func (l *localTree) badName(name string) string { return badLocalName(name, onWindows) }

func (l *localTree) linkStays(rel, text string) bool { return linkStaysInside(rel, text, onWindows) }

func (l *localTree) mkdir(_ context.Context, rel string, mode uint32, hasMode bool) error {
	perm := fs.FileMode(0o777)
	if hasMode {
		perm = fs.FileMode(mode & 0o777)
	}
	err := l.root.Mkdir(local(rel), perm)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, serr := l.root.Lstat(local(rel))
	if serr != nil {
		return serr
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: rel, Err: errNotDir}
	}
	return nil
}

var errNotDir = errors.New("something else is there that is not a directory")

func (l *localTree) symlink(_ context.Context, rel, text string) error {
	name := local(rel)
	err := l.root.Symlink(filepath.FromSlash(text), name)
	if err == nil || !errors.Is(err, fs.ErrExist) || l.o.IfExists != Overwrite {
		return err
	}
	info, serr := l.root.Lstat(name)
	if serr != nil || info.IsDir() {
		return err
	}
	if rerr := l.root.Remove(name); rerr != nil {
		return rerr
	}
	return l.root.Symlink(filepath.FromSlash(text), name)
}

func (l *localTree) setDir(_ context.Context, rel string, a *Attrs) error {
	name := local(rel)
	var err error
	if mask := l.o.modeMask(); mask != 0 && a.Has(AttrMode) {
		err = l.root.Chmod(name, FSMode(a.Mode&mask))
	}
	if l.o.Preserve&PreserveTimes != 0 {
		err = errors.Join(err, setLocalTimes(l.root, name, a))
	}
	return err
}
