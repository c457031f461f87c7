package sftpserver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// operation is a request with two events around it: what it is called, how a client does it to a path, and
// how to see that it was done.
type operation struct {
	name string
	do   func(t *testing.T, c *sftp.Client, path string) error
	done func(fs *memfs.FS, path string) bool
	// handler sets a handler of the event.
	handler func(s *sftpserver.Server, h func(e *sftpserver.FileEvent, before bool, handled *bool, divert *string))
}

func exists(fs *memfs.FS, path string) bool {
	_, err := fs.Stat(context.Background(), path, sftp.StatOpt{})
	return err == nil
}

// operations are all of them. The files "/old", "/old2" and the directories "/olddir" and "/olddir2" are there.
var operations = []operation{
	{
		"DirCreate", func(t *testing.T, c *sftp.Client, path string) error { return c.Mkdir(t.Context(), path, nil) },
		exists,
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.DirCreate = func(e *sftpserver.DirCreateEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"DirRemove", func(t *testing.T, c *sftp.Client, path string) error { return c.Rmdir(t.Context(), path) },
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.DirRemove = func(e *sftpserver.DirRemoveEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileRemove", func(t *testing.T, c *sftp.Client, path string) error { return c.Remove(t.Context(), path) },
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileRemove = func(e *sftpserver.FileRemoveEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileRename", func(t *testing.T, c *sftp.Client, path string) error {
			return c.Rename(t.Context(), path, "/renamed", 0)
		},
		func(fs *memfs.FS, path string) bool { return !exists(fs, path) },
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileRename = func(e *sftpserver.FileRenameEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"SetAttributes", func(t *testing.T, c *sftp.Client, path string) error { return c.Chmod(t.Context(), path, 0o600) },
		func(fs *memfs.FS, path string) bool {
			a, err := fs.Stat(context.Background(), path, sftp.StatOpt{})
			return err == nil && a.Mode&sftp.ModePerm == 0o600
		},
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"FileOpen", func(t *testing.T, c *sftp.Client, path string) error {
			f, err := c.Create(t.Context(), path)
			if err == nil {
				f.Close()
			}
			return err
		},
		exists,
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.FileOpen = func(e *sftpserver.FileOpenEvent) { h(&e.FileEvent, e.Before, &e.Handled, &e.DivertTo) }
		},
	},
	{
		"LinkCreate", func(t *testing.T, c *sftp.Client, path string) error { return c.Symlink(t.Context(), "old", path) },
		func(fs *memfs.FS, path string) bool {
			_, err := fs.ReadLink(context.Background(), path)
			return err == nil
		},
		func(s *sftpserver.Server, h func(*sftpserver.FileEvent, bool, *bool, *string)) {
			s.LinkCreate = func(e *sftpserver.LinkCreateEvent) {
				none := ""
				h(&e.FileEvent, e.Before, &e.Handled, &none)
			}
		},
	},
}

// about returns the path that the operation is done to, and another one for it.
func (o *operation) about() (path, other string) {
	switch o.name {
	case "DirCreate", "FileOpen", "LinkCreate":
		return "/new", "/new2"
	case "DirRemove":
		return "/olddir", "/olddir2"
	}
	return "/old", "/old2"
}

// eachOperation runs f for each operation on a server of its own.
func eachOperation(t *testing.T, h func(e *sftpserver.FileEvent, before bool, handled *bool, divert *string), f func(t *testing.T, o *operation, c *sftp.Client, fs *memfs.FS)) {
	for i := range operations {
		o := &operations[i]
		t.Run(o.name, func(t *testing.T) {
			s := sftpserver.New()
			s.ProtocolVersion = sftp.Version6
			fs := tree(s)
			for _, name := range []string{"/old", "/old2"} {
				f, err := fs.Open(t.Context(), name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
				if err != nil {
					t.Fatal(err)
				}
				_ = f.Close(nil)
			}
			for _, name := range []string{"/olddir", "/olddir2"} {
				if err := fs.Mkdir(t.Context(), name, nil); err != nil {
					t.Fatal(err)
				}
			}
			o.handler(s, h)
			start(t, s)
			f(t, o, connect(t, s), fs)
		})
	}
}

// wantStatus checks that err is a status with a text of the server.
func wantStatus(t *testing.T, err error, code sftp.Code, text string) {
	t.Helper()
	st, ok := errors.AsType[*sftp.StatusError](err)
	if !ok || st.Code != code || st.Text != text {
		t.Errorf("the client got %v, want %v %q", err, code, text)
	}
}

// list is what the client sees in a directory: our client leaves out "." and "..".
func list(t testing.TB, c *sftp.Client, name string) string {
	t.Helper()
	entries, err := c.ReadDirAll(t.Context(), name)
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
