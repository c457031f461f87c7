package sftpserver

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// ErrNoFileList says that no client waits for a list of files.
var ErrNoFileList = errors.New("sftpserver: no DirList event is being delivered on this connection")

// FileList makes an entry of each line of names; lines end with CRLF or LF. The GetAttributes event supplies the
// attributes. The result is never nil.
func FileList(names string) []sftp.Entry {
	list := []sftp.Entry{}
	for line := range strings.Lines(names) {
		if name := strings.TrimRight(line, "\r\n"); name != "" {
			list = append(list, sftp.Entry{Name: name})
		}
	}
	return list
}

// SetFileList sets the Entries of the DirList event that is being delivered on this connection, from a text that
// [FileList] understands. If no DirList event is being delivered it returns ErrNoFileList.
func (c *Connection) SetFileList(names string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirList == nil {
		return ErrNoFileList
	}
	c.dirList.Entries = FileList(names)
	return nil
}

// SetFileList is [Connection.SetFileList] of the connection with that id. It returns ErrUnknownConnection if there is
// none.
func (s *Server) SetFileList(id, names string) error {
	c, ok := s.Connection(id)
	if !ok {
		return ErrUnknownConnection
	}
	return c.SetFileList(names)
}

// asking lets SetFileList find ev while f runs.
func (c *Connection) asking(ev *DirListEvent, f func(*DirListEvent)) {
	set := func(v *DirListEvent) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.dirList = v
	}
	set(ev)
	defer set(nil)
	f(ev)
}

// OpenDir is DirList.
func (f *eventFS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	path, err := sftp.CleanPath(name)
	if err != nil {
		return nil, err
	}
	d := &eventDir{fs: f, path: path}
	if sftp.RequestName(ctx) == "OPENDIR" {
		if d.handle, err = f.propose(ctx); err != nil {
			return nil, err
		}
	}
	if f.DirList == nil {
		return d.open(ctx, name)
	}
	ev := &DirListEvent{FileEvent: f.about(ctx, path)}
	handled := false
	var dir sftp.Dir
	err = twice(f, func(ev *DirListEvent) { f.c.asking(ev, f.DirList) }, ev, &ev.FileEvent, &ev.Before, &handled, func() (err error) {
		if ev.Entries == nil {
			dir, err = d.open(ctx, or(ev.DivertTo, name))
		}
		return err
	})
	switch {
	case err != nil:
	case ev.Entries != nil:
		return &listDir{eventDir: d, left: ev.Entries}, nil
	case dir != nil:
		return dir, nil
	default: // a success without a list
		return &listDir{eventDir: d}, nil
	}
	if dir != nil {
		d.abandon(dir, err)
	}
	return nil, err
}

// eventDir is an open directory with the event of its end.
type eventDir struct {
	sftp.Dir
	fs           *eventFS
	path, handle string
	dots         []sftp.Entry // "." and ".." as far as they are still to be listed
}

// open opens the directory name of the file system.
func (d *eventDir) open(ctx context.Context, name string) (sftp.Dir, error) {
	f := d.fs
	dir, err := f.FileSystem.OpenDir(ctx, name)
	if err != nil {
		return nil, err
	}
	d.Dir = dir
	if f.NoDotEntries {
		return d, nil
	}
	for _, dot := range [...]string{".", ".."} {
		e := sftp.Entry{Name: dot, Attrs: sftp.Attrs{Valid: sftp.AttrMode, Mode: sftp.ModeDir | 0o755}}
		if a, err := f.FileSystem.Stat(ctx, sftp.JoinPath(name, dot), sftp.StatOpt{Want: listedAttrs}); err == nil {
			e.Attrs = *a
		}
		d.dots = append(d.dots, e)
	}
	return d, nil
}

// listedAttrs are what a listing shows.
const listedAttrs = sftp.AttrsBasic | sftp.AttrOwnerGroup | sftp.AttrBirth | sftp.AttrCtime | sftp.AttrLinks | sftp.AttrBitsSet

// abandon closes a directory that the client does not get.
func (*eventDir) abandon(dir sftp.Dir, cause error) {
	if d, ok := dir.(*eventDir); ok {
		dir = d.Dir
	}
	_ = dir.Close(cause)
}

// Next returns "." and ".." ahead of what is in the directory.
func (d *eventDir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if dots := d.dots; len(dots) > 0 {
		d.dots = nil
		return dots, nil
	}
	return d.Dir.Next(ctx, n)
}

// Close is FileClose.
func (d *eventDir) Close(cause error) error {
	f := d.fs
	var err error
	if d.Dir != nil {
		err = d.Dir.Close(cause)
	}
	if f.FileClose == nil {
		return err
	}
	return f.closed(&FileCloseEvent{FileEvent: f.about(f.ctx, d.path), Handle: d.handle, Dir: true}, cause, err)
}

// listDir is a list that a handler supplied.
type listDir struct {
	*eventDir
	left []sftp.Entry
}

// Next asks GetAttributes for what the handler did not say.
func (l *listDir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if len(l.left) == 0 {
		return nil, io.EOF
	}
	list := l.left[:min(max(n, 1), len(l.left))]
	l.left = l.left[len(list):]
	f := l.fs
	for i := range list {
		e := &list[i]
		if e.Attrs.Valid != 0 || e.Attrs.Kind != sftp.TypeNone {
			continue
		}
		path, err := sftp.CleanPath(l.path + "/" + e.Name)
		if err != nil {
			continue
		}
		a, err := f.FileSystem.Stat(ctx, path, sftp.StatOpt{Want: listedAttrs})
		if a, err = f.attributes(ctx, path, "", true, a, err); err == nil && a != nil {
			e.Attrs = *a
		}
	}
	return list, nil
}
