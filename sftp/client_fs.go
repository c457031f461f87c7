package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"
)

// FS returns the directory that relative names start from as an [fs.FS]; fs.Sub chooses
// another one. ctx bounds everything that is done through it.
//
// It implements ReadDirFS, StatFS, ReadFileFS, GlobFS, SubFS and ReadLinkFS; its regular
// files are also io.ReaderAt, io.Seeker and io.WriterTo. Sys of a FileInfo returns the
// *Attrs. The server resolves symlinks, also out of the directory: it is no jail.
func (c *Client) FS(ctx context.Context) fs.FS { return &clientFS{c: c, ctx: ctx, dir: "."} }

// clientFS is an fs.FS of a directory of a server.
type clientFS struct {
	c   *Client
	ctx context.Context // an fs.FS has no other place for it
	dir string
}

var (
	_ fs.ReadDirFS  = (*clientFS)(nil)
	_ fs.StatFS     = (*clientFS)(nil)
	_ fs.ReadFileFS = (*clientFS)(nil)
	_ fs.GlobFS     = (*clientFS)(nil)
	_ fs.SubFS      = (*clientFS)(nil)
	_ fs.ReadLinkFS = (*clientFS)(nil)
)

// full returns the remote name.
func (f *clientFS) full(op, name string) (string, error) {
	switch {
	case !fs.ValidPath(name) || strings.IndexByte(name, 0) >= 0:
		return "", pathError(op, name, fs.ErrInvalid)
	case name == ".":
		return f.dir, nil
	}
	return joinRemote(f.dir, name), nil
}

// relative makes the name in an error the one that was asked for.
func relative(op, name string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return pathError(op, name, err)
}

// Open opens a file or directory.
func (f *clientFS) Open(name string) (fs.File, error) {
	full, err := f.full("open", name)
	if err != nil {
		return nil, err
	}
	// OPEN of a directory succeeds on some servers, so what it is comes first.
	a, err := f.c.Stat(f.ctx, full)
	if err != nil {
		return nil, relative("open", name, err)
	}
	info := fileInfo{name: path.Base(name), attrs: a}
	if a.IsDir() {
		return &fsDir{fs: f, name: name, info: info}, nil
	}
	file, err := f.c.Open(f.ctx, full)
	if err != nil {
		return nil, relative("open", name, err)
	}
	file.SetContext(f.ctx)
	return &fsFile{RemoteFile: file, ctx: f.ctx, name: name}, nil
}

// Stat follows symlinks.
func (f *clientFS) Stat(name string) (fs.FileInfo, error) {
	full, err := f.full("stat", name)
	if err != nil {
		return nil, err
	}
	a, err := f.c.Stat(f.ctx, full)
	if err != nil {
		return nil, relative("stat", name, err)
	}
	return fileInfo{name: path.Base(name), attrs: a}, nil
}

// Lstat does not follow a final symlink.
func (f *clientFS) Lstat(name string) (fs.FileInfo, error) {
	full, err := f.full("lstat", name)
	if err != nil {
		return nil, err
	}
	a, err := f.c.Lstat(f.ctx, full)
	if err != nil {
		return nil, relative("lstat", name, err)
	}
	return fileInfo{name: path.Base(name), attrs: a}, nil
}

// ReadLink returns the text of a symlink.
func (f *clientFS) ReadLink(name string) (string, error) {
	full, err := f.full("readlink", name)
	if err != nil {
		return "", err
	}
	text, err := f.c.ReadLink(f.ctx, full)
	return text, relative("readlink", name, err)
}

// ReadDir returns the whole of a directory, sorted by name.
func (f *clientFS) ReadDir(name string) ([]fs.DirEntry, error) {
	full, err := f.full("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := f.c.ReadDirAll(f.ctx, full)
	list := make([]fs.DirEntry, len(entries))
	for i := range entries {
		list[i] = fileInfo{name: entries[i].Name, attrs: &entries[i].Attrs}
	}
	return list, relative("readdir", name, err)
}

// ReadFile returns the whole of a file.
func (f *clientFS) ReadFile(name string) ([]byte, error) {
	full, err := f.full("read", name)
	if err != nil {
		return nil, err
	}
	file, err := f.c.Open(f.ctx, full)
	if err != nil {
		return nil, relative("open", name, err)
	}
	defer file.Close()
	file.SetContext(f.ctx)
	data, err := io.ReadAll(file)
	return data, relative("read", name, err)
}

// Glob returns the names that match, as fs.Glob: without "**", errors but for a malformed
// pattern passed over, and sorted.
func (f *clientFS) Glob(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	if pattern == "." {
		return []string{"."}, nil
	}
	if !fs.ValidPath(pattern) {
		return nil, nil // which no name of this tree matches
	}
	prefix := ""
	if f.dir != "." {
		prefix = globQuote(f.dir) + "/"
	}
	// What "**" means here is what "*" does.
	for strings.Contains(pattern, "**") {
		pattern = strings.ReplaceAll(pattern, "**", "*")
	}
	var names []string
	for name, err := range f.c.Glob(f.ctx, prefix+pattern) {
		if err != nil {
			if f.ctx.Err() != nil || f.c.ended() {
				return names, err
			}
			continue
		}
		if f.dir != "." {
			name = strings.TrimPrefix(name, f.dir+"/")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// globQuote makes a pattern that matches name alone.
func globQuote(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if strings.IndexByte(`*?[\`, name[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// Sub returns the tree below a directory.
func (f *clientFS) Sub(dir string) (fs.FS, error) {
	full, err := f.full("sub", dir)
	if err != nil {
		return nil, err
	}
	return &clientFS{c: f.c, ctx: f.ctx, dir: full}, nil
}

// fsFile is a regular file of an fs.FS.
type fsFile struct {
	*RemoteFile
	ctx  context.Context
	name string
}

// Stat implements fs.File.
func (f *fsFile) Stat() (fs.FileInfo, error) {
	a, err := f.RemoteFile.Stat(f.ctx)
	if err != nil {
		return nil, relative("stat", f.name, err)
	}
	return fileInfo{name: path.Base(f.name), attrs: a}, nil
}

// fsDir is a directory of an fs.FS.
type fsDir struct {
	fs     *clientFS
	name   string
	info   fileInfo
	next   func() (Entry, error, bool)
	stop   func()
	err    error // that ended the listing
	closed bool
}

func (d *fsDir) Stat() (fs.FileInfo, error) {
	if d.closed {
		return nil, pathError("stat", d.name, fs.ErrClosed)
	}
	return d.info, nil
}

func (d *fsDir) Read([]byte) (int, error) {
	return 0, pathError("read", d.name, Status(CodeIsADirectory, ""))
}

// ReadDir implements fs.ReadDirFile.
func (d *fsDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.closed {
		return nil, pathError("readdir", d.name, fs.ErrClosed)
	}
	if d.next == nil {
		full, _ := d.fs.full("readdir", d.name)
		d.next, d.stop = iter.Pull2(d.fs.c.ReadDir(d.fs.ctx, full))
	}
	var list []fs.DirEntry
	for d.err == nil && (n <= 0 || len(list) < n) {
		e, err, ok := d.next()
		switch _, badName := errors.AsType[*NameError](err); {
		case !ok:
			d.err = io.EOF
		case badName: // of one entry, which nobody can open
		case err != nil:
			d.err = relative("readdir", d.name, err)
		default:
			list = append(list, fileInfo{name: e.Name, attrs: &e.Attrs})
		}
	}
	if n > 0 && len(list) > 0 || n <= 0 && errors.Is(d.err, io.EOF) {
		return list, nil
	}
	return list, d.err
}

func (d *fsDir) Close() error {
	if d.closed {
		return pathError("close", d.name, fs.ErrClosed)
	}
	d.closed = true
	if d.stop != nil {
		d.stop()
	}
	return nil
}

// fileInfo is Attrs with a name: an fs.FileInfo and an fs.DirEntry.
type fileInfo struct {
	name  string
	attrs *Attrs
}

var (
	_ fs.FileInfo = fileInfo{}
	_ fs.DirEntry = fileInfo{}
)

func (i fileInfo) Name() string               { return i.name }
func (i fileInfo) Size() int64                { return int64(min(i.attrs.Size, 1<<63-1)) }
func (i fileInfo) Mode() fs.FileMode          { return i.attrs.FSMode() }
func (i fileInfo) Type() fs.FileMode          { return i.attrs.FSMode().Type() }
func (i fileInfo) ModTime() time.Time         { return i.attrs.Mtime }
func (i fileInfo) IsDir() bool                { return i.attrs.IsDir() }
func (i fileInfo) Sys() any                   { return i.attrs }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i fileInfo) String() string             { return fs.FormatFileInfo(i) }
