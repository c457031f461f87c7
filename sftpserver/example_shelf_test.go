package sftpserver_test

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// The two ways to a file system of one's own in docs/embedding.md, word for word.

// A shelf is a tree of files that is in this program only.
type shelf struct {
	mu    sync.Mutex       // connections share it
	items map[string]*item // by their paths
}

// An item is a file or directory of a shelf. It is an sftp.File, too.
type item struct {
	sftp.UnsupportedFile // what has no method here is refused
	shelf                *shelf
	dir                  bool
	content              []byte
	changed              time.Time
}

const maxItem = 64 << 20 // where a WRITE goes is what the client says

func newShelf() *shelf {
	s := &shelf{items: map[string]*item{}}
	s.items["/"] = &item{shelf: s, dir: true, changed: time.Now()}
	return s
}

func (i *item) attrs() sftp.Attrs {
	a := sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrSize | sftp.AttrAtime | sftp.AttrMtime, Mode: sftp.ModeRegular | 0o644}
	if i.dir {
		a.Mode = sftp.ModeDir | 0o755
	}
	a.Size, a.Atime, a.Mtime = uint64(len(i.content)), i.changed, i.changed
	return a
}

func (i *item) resize(n uint64) error {
	if n > maxItem {
		return sftp.CodeNoSpace
	}
	i.content = append(i.content, make([]byte, max(int(n)-len(i.content), 0))...)[:n]
	return nil
}

func (i *item) ReadAt(p []byte, off int64) (int, error) {
	i.shelf.mu.Lock()
	defer i.shelf.mu.Unlock()
	return bytes.NewReader(i.content).ReadAt(p, off)
}

func (i *item) WriteAt(p []byte, off int64) (int, error) {
	i.shelf.mu.Lock()
	defer i.shelf.mu.Unlock()
	if err := i.resize(max(uint64(len(i.content)), uint64(off)+uint64(len(p)))); err != nil {
		return 0, err
	}
	i.changed = time.Now()
	return copy(i.content[off:], p), nil
}

func (i *item) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	i.shelf.mu.Lock()
	defer i.shelf.mu.Unlock()
	a := i.attrs()
	return &a, nil
}

func (i *item) SetStat(_ context.Context, a *sftp.Attrs) error {
	i.shelf.mu.Lock()
	defer i.shelf.mu.Unlock()
	if a.Has(sftp.AttrMtime) {
		i.changed = a.Mtime
	}
	if a.Has(sftp.AttrSize) && !i.dir {
		return i.resize(a.Size)
	}
	return nil // whoever may do what is not kept here
}

// An appendix writes at the end of its item, as those want who open a file for appending.
type appendix struct{ *item }

func (a appendix) WriteAt(p []byte, _ int64) (int, error) {
	a.shelf.mu.Lock()
	defer a.shelf.mu.Unlock()
	if len(a.content)+len(p) > maxItem {
		return 0, sftp.CodeNoSpace
	}
	a.content, a.changed = append(a.content, p...), time.Now()
	return len(p), nil
}

// find returns the item of a path.
func (s *shelf) find(name string) (*item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.items[name]; i != nil {
		return i, nil
	}
	return nil, fs.ErrNotExist // clients get the code that fits
}

// add makes an item where there is none.
func (s *shelf) add(name string, dir bool) (*item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[name] != nil {
		return nil, fs.ErrExist
	}
	if in := s.items[path.Dir(name)]; in == nil || !in.dir {
		return nil, fs.ErrNotExist
	}
	s.items[name] = &item{shelf: s, dir: dir, changed: time.Now()}
	return s.items[name], nil
}

// open opens a file, or makes it.
func (s *shelf) open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	i, err := s.find(name)
	switch {
	case err != nil && how.Creates():
		i, err = s.add(name, false)
	case err == nil && i.dir:
		err = sftp.CodeIsADirectory
	case err == nil && how.Disposition == sftp.CreateNew:
		err = fs.ErrExist
	case err == nil && how.Truncates():
		err = i.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize})
	}
	if err != nil {
		return nil, err
	}
	if how.Appends() {
		return appendix{i}, nil
	}
	return i, nil
}

// list returns what is in a directory.
func (s *shelf) list(name string) ([]sftp.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.items[name]; in == nil {
		return nil, fs.ErrNotExist
	} else if !in.dir {
		return nil, sftp.CodeNotADirectory
	}
	entries := []sftp.Entry{}
	for at, i := range s.items {
		if at != "/" && path.Dir(at) == name {
			entries = append(entries, sftp.Entry{Name: path.Base(at), Attrs: i.attrs()})
		}
	}
	return entries, nil
}

// remove removes a file, or a directory that is empty.
func (s *shelf) remove(name string, dir bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch i := s.items[name]; {
	case i == nil:
		return fs.ErrNotExist
	case dir && !i.dir:
		return sftp.CodeNotADirectory
	case !dir && i.dir:
		return sftp.CodeIsADirectory
	}
	for at := range s.items {
		if at != "/" && path.Dir(at) == name || name == "/" {
			return sftp.CodeDirNotEmpty
		}
	}
	delete(s.items, name)
	return nil
}

// rename moves an item and what is beneath.
func (s *shelf) rename(from, to string, flags sftp.RenameFlags) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, there := s.items[path.Dir(to)], s.items[to]
	switch {
	case s.items[from] == nil || in == nil || !in.dir:
		return fs.ErrNotExist
	case there != nil && (there.dir || !flags.Overwrites()):
		return fs.ErrExist
	case from == "/" || strings.HasPrefix(to+"/", from+"/"):
		return sftp.CodeFailure // into itself
	}
	for at, i := range s.items {
		if at == from || strings.HasPrefix(at, from+"/") {
			delete(s.items, at)
			s.items[to+strings.TrimPrefix(at, from)] = i
		}
	}
	return nil
}

// handle has the events of a server answered by s.
func (s *shelf) handle(v *sftpserver.Events) {
	v.DirList = func(e *sftpserver.DirListEvent) {
		if e.Before {
			var err error
			e.Entries, err = s.list(e.Path)
			e.Status = sftp.CodeOf(err)
		}
	}
	v.DirCreate = func(e *sftpserver.DirCreateEvent) {
		if e.Before {
			_, err := s.add(e.Path, true)
			e.Handled, e.Status = true, sftp.CodeOf(err)
		}
	}
	v.DirRemove = func(e *sftpserver.DirRemoveEvent) {
		if e.Before {
			e.Handled, e.Status = true, sftp.CodeOf(s.remove(e.Path, true))
		}
	}
	v.FileRemove = func(e *sftpserver.FileRemoveEvent) {
		if e.Before {
			e.Handled, e.Status = true, sftp.CodeOf(s.remove(e.Path, false))
		}
	}
	v.FileRename = func(e *sftpserver.FileRenameEvent) {
		if e.Before {
			e.Handled, e.Status = true, sftp.CodeOf(s.rename(e.Path, e.NewPath, e.Flags))
		}
	}
	v.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if e.Before {
			var err error
			e.File, err = s.open(e.Context(), e.Path, &e.How) // READ, WRITE, FSTAT and FSETSTAT go to it
			e.Status = sftp.CodeOf(err)
		}
	}
	v.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		if e.Handle == "" { // or the file has answered
			i, err := s.find(e.Path)
			if e.Status = sftp.CodeOf(err); err == nil {
				a, _ := i.Stat(e.Context(), 0)
				e.Attrs = *a
			}
		}
	}
	v.SetAttributes = func(e *sftpserver.SetAttributesEvent) {
		if e.Before && e.Handle == "" {
			i, err := s.find(e.Path)
			if err == nil {
				err = i.SetStat(e.Context(), &e.Attrs)
			}
			e.Handled, e.Status = true, sftp.CodeOf(err)
		}
	}
}

// shelfFS is a shelf as a file system.
type shelfFS struct {
	sftp.Unsupported // what has no method here is refused
	shelf            *shelf
}

func (f shelfFS) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Features: sftp.FeatureWrite | sftp.FeaturePosixRename, Attrs: sftp.AttrSize | sftp.AttrMode | sftp.AttrTimes}
}

func (f shelfFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	name, err := sftp.CleanPath(name) // always first: absolute, and no ".." leads out
	if err != nil {
		return nil, err
	}
	return f.shelf.open(ctx, name, how)
}

func (f shelfFS) OpenDir(_ context.Context, name string) (sftp.Dir, error) {
	name, err := sftp.CleanPath(name)
	if err != nil {
		return nil, err
	}
	entries, err := f.shelf.list(name)
	if err != nil {
		return nil, err
	}
	return sftp.Listing(entries), nil
}

func (f shelfFS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	name, err := sftp.CleanPath(name)
	if err != nil {
		return nil, err
	}
	i, err := f.shelf.find(name)
	if err != nil {
		return nil, err
	}
	return i.Stat(ctx, opt.Want)
}

func (f shelfFS) Remove(_ context.Context, name string) error {
	name, err := sftp.CleanPath(name)
	if err != nil {
		return err
	}
	return f.shelf.remove(name, false)
}

func (f shelfFS) Mkdir(_ context.Context, name string, _ *sftp.Attrs) error {
	name, err := sftp.CleanPath(name)
	if err == nil {
		_, err = f.shelf.add(name, true)
	}
	return err
}

func (f shelfFS) Rmdir(_ context.Context, name string) error {
	name, err := sftp.CleanPath(name)
	if err != nil {
		return err
	}
	return f.shelf.remove(name, true)
}

func (f shelfFS) Rename(_ context.Context, from, to string, flags sftp.RenameFlags) error {
	from, err := sftp.CleanPath(from)
	if err != nil {
		return err
	}
	if to, err = sftp.CleanPath(to); err != nil {
		return err
	}
	return f.shelf.rename(from, to, flags)
}

func (f shelfFS) SetStat(ctx context.Context, name string, a *sftp.Attrs, _ bool) error {
	name, err := sftp.CleanPath(name)
	if err != nil {
		return err
	}
	i, err := f.shelf.find(name)
	if err != nil {
		return err
	}
	return i.SetStat(ctx, a)
}
