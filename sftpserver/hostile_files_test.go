package sftpserver_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// snapshot is what is in a tree: names, modes, sizes and content.
func snapshot(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(data)
		}
		out = append(out, fmt.Sprintf("%s %v %d %q", strings.TrimPrefix(name, dir), info.Mode(), info.ModTime().UnixNano(), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCVE_8_3_NothingPassesTheEvents: handlers that refuse everything see every request that changes something or
// reads a file: what is refused by all of them is not done, by whatever name a client asks for it.
func TestCVE_8_3_NothingPassesTheEvents(t *testing.T) {
	t.Parallel()
	for _, version := range []int{3, 4, 5, 6} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			dir := hostTree(t, "file", "other", "dir/in", "empty/")
			if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			var deny, allowOpen atomic.Bool
			s := sftpserver.New()
			s.RootDirectory, s.ProtocolVersion = dir, version
			no := func(e *sftpserver.FileEvent) {
				if deny.Load() {
					e.Status = sftp.CodePermissionDenied
				}
			}
			s.DirCreate = func(e *sftpserver.DirCreateEvent) { no(&e.FileEvent) }
			s.DirList = func(e *sftpserver.DirListEvent) { no(&e.FileEvent) }
			s.DirRemove = func(e *sftpserver.DirRemoveEvent) { no(&e.FileEvent) }
			s.FileOpen = func(e *sftpserver.FileOpenEvent) {
				if !allowOpen.Load() {
					no(&e.FileEvent)
				}
			}
			s.FileRead = func(e *sftpserver.FileReadEvent) { no(&e.FileEvent) }
			s.FileWrite = func(e *sftpserver.FileWriteEvent) { no(&e.FileEvent) }
			s.FileRemove = func(e *sftpserver.FileRemoveEvent) { no(&e.FileEvent) }
			s.FileRename = func(e *sftpserver.FileRenameEvent) { no(&e.FileEvent) }
			s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { no(&e.FileEvent) }
			s.GetAttributes = func(e *sftpserver.GetAttributesEvent) { no(&e.FileEvent) }
			s.LinkCreate = func(e *sftpserver.LinkCreateEvent) { no(&e.FileEvent) }
			s.LinkRead = func(e *sftpserver.LinkReadEvent) { no(&e.FileEvent) }
			start(t, s)
			c := connect(t, s)
			ctx := t.Context()
			read, err := c.Open(ctx, "/file")
			if err != nil {
				t.Fatal(err)
			}
			write, err := c.OpenFile(ctx, "/other", sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData | sftp.AccessReadAttrs | sftp.AccessWriteAttrs, Disposition: sftp.OpenExisting})
			if err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			deny.Store(true)
			mode := &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}
			open := func(a sftp.Access, d sftp.Disposition) error {
				f, err := c.OpenFile(ctx, "/file", sftp.OpenHow{Access: a, Disposition: d})
				if err == nil {
					_ = f.Close()
				}
				return err
			}
			all := map[string]func() error{
				"mkdir":       func() error { return c.Mkdir(ctx, "/new", nil) },
				"rmdir":       func() error { return c.Rmdir(ctx, "/empty") },
				"remove":      func() error { return c.Remove(ctx, "/file") },
				"rename":      func() error { return c.Rename(ctx, "/file", "/new", 0) },
				"rename over": func() error { return c.Rename(ctx, "/file", "/other", sftp.RenameOverwrite) },
				"link":        func() error { return c.Link(ctx, "/file", "/new") },
				"symlink":     func() error { return c.Symlink(ctx, "file", "/new") },
				"readlink":    func() error { _, err := c.ReadLink(ctx, "/link"); return err },
				"stat":        func() error { _, err := c.Stat(ctx, "/file"); return err },
				"lstat":       func() error { _, err := c.Lstat(ctx, "/file"); return err },
				"fstat":       func() error { _, err := read.Stat(ctx); return err },
				"setstat":     func() error { return c.SetStat(ctx, "/file", mode) },
				"lsetstat": func() error {
					return c.LSetStat(ctx, "/link", &sftp.Attrs{Valid: sftp.AttrTimes, Atime: time.Unix(1, 0), Mtime: time.Unix(1, 0)})
				},
				"truncate":         func() error { return c.Truncate(ctx, "/file", 0) },
				"fsetstat":         func() error { return write.SetStat(ctx, mode) },
				"ftruncate":        func() error { return write.Truncate(ctx, 0) },
				"hash":             func() error { _, err := c.Hash(ctx, "/file", sftp.HashRange{}); return err },
				"hash of a handle": func() error { _, err := read.Hash(ctx, sftp.HashRange{}); return err },
				"copy-data":        func() error { return c.CopyData(ctx, read, 0, 0, write, 0) },
				"read":             func() error { _, err := read.ReadAt(make([]byte, 4), 0); return err },
				"write":            func() error { _, err := write.WriteAt([]byte("x"), 0); return err },
				"copy":             func() error { _, err := c.CopyFile(ctx, "/file", "/new", sftp.TransferOptions{}); return err },
				"copy over":        func() error { _, err := c.CopyFile(ctx, "/file", "/other", sftp.TransferOptions{}); return err },
				"list":             func() error { _, err := c.ReadDirAll(ctx, "/dir"); return err },
				"open":             func() error { return open(sftp.AccessReadData, sftp.OpenExisting) },
				"open to empty":    func() error { return open(sftp.AccessWriteData, sftp.CreateTruncate) },
				"open and empty":   func() error { return open(sftp.AccessWriteData, sftp.TruncateExisting) },
			}
			for name, do := range all {
				if err := do(); err == nil {
					t.Errorf("%s is done", name)
				}
				if after := snapshot(t, dir); !slices.Equal(before, after) {
					t.Fatalf("after %s:\n%s\nwant\n%s", name, strings.Join(after, "\n"), strings.Join(before, "\n"))
				}
			}
			// With files that may be opened the content stays where it is.
			allowOpen.Store(true)
			for _, name := range []string{"hash", "hash of a handle", "copy-data", "read", "write", "copy"} {
				if err := all[name](); err == nil {
					t.Errorf("%s is done by way of an open", name)
				}
			}
			if data, err := os.ReadFile(filepath.Join(dir, "new")); err == nil && len(data) > 0 {
				t.Errorf("the copy has %q", data)
			}
			if data, err := os.ReadFile(filepath.Join(dir, "other")); err != nil || string(data) != "other" {
				t.Errorf("the other file has %q, %v", data, err)
			}
		})
	}
}
