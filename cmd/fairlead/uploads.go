package main

import (
	"context"
	"path/filepath"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// uploadFS tells of the files of a session that a client has written and closed, and of those that it then gives
// another name. Sessions of users for whom nothing is to be run have none.
type uploadFS struct {
	sftp.FileSystem
	ctx  context.Context // of the session
	root string          // the local directory that is "/"
	tell func(upload)
}

// An upload is a file that has arrived.
type upload struct {
	event string // "upload", or "rename" of a file that may have been one
	path  string // as the client sees it
	from  string // of a rename
	file  string // on the host, with the links that the path goes through resolved; empty if err is not nil
	size  int64
	err   error // why the file cannot be told
}

const (
	eventUpload = "upload"
	eventRename = "rename"
)

// Open watches what a client opens to write it.
func (s *uploadFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f, err := s.FileSystem.Open(ctx, name, how)
	if err != nil || !how.Writes() || sftp.RequestName(ctx) != "OPEN" { // files are also opened to be copied to by name
		return f, err
	}
	path, err := sftp.CleanPath(name)
	if err != nil {
		return f, nil //nolint:nilerr // cannot be: the file system took the name
	}
	u := &uploadFile{File: f, fs: s, path: path}
	// An empty file that is made has arrived, too.
	u.changed.Store(how.Truncates() || how.Disposition == sftp.CreateNew)
	return u, nil
}

// Rename tells of files, not of directories and links.
func (s *uploadFS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if err := s.FileSystem.Rename(ctx, from, to, flags); err != nil {
		return err
	}
	src, err1 := sftp.CleanPath(from)
	dst, err2 := sftp.CleanPath(to)
	a, err := s.Stat(ctx, to, sftp.StatOpt{Want: sftp.AttrSize | sftp.AttrMode})
	if err1 != nil || err2 != nil || err == nil && a.Type() != sftp.TypeRegular || src == dst {
		return nil //nolint:nilerr // the rename was done, and there is nothing to tell of
	}
	u := upload{event: eventRename, path: dst, from: src, err: err}
	if err == nil {
		u.size = int64(min(a.Size, 1<<63-1))
	}
	s.locate(ctx, &u)
	return nil
}

// locate finds the file on the host, and tells. Links are resolved as the session's file system does it: what it takes for
// an absolute one begins at the user's root, and would lead a program on the host to another file.
func (s *uploadFS) locate(ctx context.Context, u *upload) {
	if u.err == nil {
		var real string
		if real, _, u.err = s.RealPath(ctx, u.path, sftp.RealPathOpt{}); u.err == nil {
			u.file = filepath.Join(s.root, filepath.FromSlash(real))
		}
	}
	s.tell(*u)
}

// uploadFile is a file that a client writes.
type uploadFile struct {
	sftp.File
	fs      *uploadFS
	path    string
	changed atomic.Bool
}

// Unwrap returns the file that is watched.
func (f *uploadFile) Unwrap() sftp.File { return f.File }

// WriteAt notes that something was written.
func (f *uploadFile) WriteAt(p []byte, off int64) (int, error) {
	f.change()
	return f.File.WriteAt(p, off)
}

// CopyRange is writing, too.
func (f *uploadFile) CopyRange(ctx context.Context, off int64, src sftp.File, srcOff, n int64) (int64, error) {
	if g, ok := src.(*uploadFile); ok {
		src = g.File
	}
	f.change()
	return f.File.CopyRange(ctx, off, src, srcOff, n)
}

// change only reads once it has been said: many write at the same time.
func (f *uploadFile) change() {
	if !f.changed.Load() {
		f.changed.Store(true)
	}
}

// Close tells of the file if all of it arrived, as far as the protocol can tell.
func (f *uploadFile) Close(cause error) error {
	u := upload{event: eventUpload, path: f.path}
	told := cause == nil && f.changed.Load()
	if told {
		if a, err := f.File.Stat(f.fs.ctx, sftp.AttrSize); err != nil {
			u.err = err
		} else {
			u.size = int64(min(a.Size, 1<<63-1))
		}
	}
	err := f.File.Close(cause)
	if told && err == nil {
		f.fs.locate(f.fs.ctx, &u)
	}
	return err
}
