package sftpserver_test

import (
	"bytes"
	"errors"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestEventsWithoutRoot: handlers supply everything, and what nobody answers is not supported.
func TestEventsWithoutRoot(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		files := map[string][]byte{}
		var mu sync.Mutex
		s.DirList = func(e *sftpserver.DirListEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				e.Entries = []sftp.Entry{}
				for name := range files {
					if path.Dir(name) == e.Path {
						e.Entries = append(e.Entries, sftp.Entry{Name: path.Base(name)})
					}
				}
			}
		}
		s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
			mu.Lock()
			defer mu.Unlock()
			if data, ok := files[e.Path]; ok {
				e.Attrs.SetSize(uint64(len(data)))
				e.Attrs.SetMode(sftp.ModeRegular | 0o644)
			} else {
				e.Status = sftp.CodeNoSuchFile
			}
		}
		s.FileOpen = func(e *sftpserver.FileOpenEvent) {
			mu.Lock()
			defer mu.Unlock()
			if !e.Before {
				return
			}
			_, ok := files[e.Path]
			switch {
			case !ok && e.Flags&uint32(sftp.PCreate) == 0:
				e.Status = sftp.CodeNoSuchFile
				return
			case !ok || e.Flags&uint32(sftp.PTrunc) != 0:
				files[e.Path] = nil
			}
			e.Handled = true
		}
		s.FileRead = func(e *sftpserver.FileReadEvent) {
			mu.Lock()
			defer mu.Unlock()
			data := files[e.Path]
			if e.Offset >= int64(len(data)) {
				e.Status = sftp.CodeEOF
				return
			}
			e.Data = append(e.Data, data[e.Offset:min(int64(len(data)), e.Offset+int64(e.Length))]...)
		}
		s.FileWrite = func(e *sftpserver.FileWriteEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				data := files[e.Path]
				data = append(data, make([]byte, max(0, int(e.Offset)+len(e.Data)-len(data)))...)
				copy(data[e.Offset:], e.Data)
				files[e.Path], e.Handled = data, true
			}
		}
		s.FileRemove = func(e *sftpserver.FileRemoveEvent) {
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				delete(files, e.Path)
				e.Handled = true
			}
		}
		s.FileRename = func(e *sftpserver.FileRenameEvent) {
			mu.Lock()
			defer mu.Unlock()
			if !e.Before { // in the second phase as well
				files[e.NewPath] = files[e.Path]
				delete(files, e.Path)
				e.Status = sftp.CodeOK
			}
		}
		s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { e.Handled = true }
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		content := strings.Repeat("virtual ", 100_000)
		if _, err := c.Put(t.Context(), "/f", strings.NewReader(content), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), "/f", &got, sftp.TransferOptions{}); err != nil || got.String() != content {
			t.Fatalf("%d octets, %v", got.Len(), err)
		}
		if a, err := c.Stat(t.Context(), "/f"); err != nil || a.Size != uint64(len(content)) {
			t.Errorf("%+v %v", a, err)
		}
		put(t, c, "/g", "x")
		if err := c.Rename(t.Context(), "/g", "/h", 0); err != nil {
			t.Error(err)
		}
		if got := list(t, c, "/"); got != "f h" {
			t.Errorf("list %q", got)
		}
		if err := c.Remove(t.Context(), "/h"); err != nil {
			t.Error(err)
		}
		if got := list(t, c, "/"); got != "f" {
			t.Errorf("list %q", got)
		}
		a, _ := asked(v, sftp.TypeRegular)
		if err := c.SetStat(t.Context(), "/f", a); err != nil {
			t.Error(err)
		}
		if got, err := c.RealPath(t.Context(), "x/../f"); got != "/f" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if v >= sftp.Version6 {
			if _, _, err := c.RealPathOpt(t.Context(), "/none", sftp.RealPathStatAlways); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v", err)
			}
		}
		for what, err := range map[string]error{
			"MKDIR": c.Mkdir(t.Context(), "/d", nil), "RMDIR": c.Rmdir(t.Context(), "/d"), "SYMLINK": c.Symlink(t.Context(), "x", "/l"),
		} {
			if sftp.CodeOf(err) != sftp.CodeOpUnsupported {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestUnansweredWithoutRoot: without a root directory each operation whose handlers do nothing, or that
// has none, is not supported; REALPATH is.
func TestUnansweredWithoutRoot(t *testing.T) {
	for _, handlers := range []bool{false, true} {
		s := sftpserver.New()
		s.ProtocolVersion = 6
		if handlers {
			record(s)
		}
		start(t, s)
		c := connect(t, s)
		_, openErr := c.Open(t.Context(), "/f")
		_, statErr := c.Stat(t.Context(), "/f")
		_, lstatErr := c.Lstat(t.Context(), "/f")
		_, listErr := c.ReadDirAll(t.Context(), "/")
		_, linkErr := c.ReadLink(t.Context(), "/")
		_, extErr := c.Extended(t.Context(), "x@example.com", nil)
		var a sftp.Attrs
		a.SetMode(0o600)
		for what, err := range map[string]error{
			"OPEN": openErr, "STAT": statErr, "LSTAT": lstatErr, "OPENDIR": listErr, "READLINK": linkErr, "EXTENDED": extErr,
			"MKDIR": c.Mkdir(t.Context(), "/d", nil), "RMDIR": c.Rmdir(t.Context(), "/d"), "REMOVE": c.Remove(t.Context(), "/f"),
			"RENAME": c.Rename(t.Context(), "/f", "/g", 0), "SETSTAT": c.SetStat(t.Context(), "/f", &a), "SYMLINK": c.Symlink(t.Context(), "x", "/l"),
			"LINK": c.Link(t.Context(), "/x", "/l"),
		} {
			if sftp.CodeOf(err) != sftp.CodeOpUnsupported {
				t.Errorf("handlers %v: %s: %v", handlers, what, err)
			}
		}
		if got, err := c.RealPath(t.Context(), "a/../b"); got != "/b" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
}

// TestHomeDirWithoutRoot: relative names begin in the home directory also where handlers have all the files.
func TestHomeDirWithoutRoot(t *testing.T) {
	s := sftpserver.New()
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		if accept(e); e.Accept {
			e.HomeDir = "/home/" + e.User
		}
	}
	r := record(s)
	start(t, s)
	c := connect(t, s)
	r.take("")
	if got, err := c.RealPath(t.Context(), "."); got != "/home/alice" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	check(t, r.take("ResolvePath"), params{"path": "/home/alice", "originalPath": ".", "realPath": "/home/alice", "controlFlags": "0"})
	if _, err := c.Stat(t.Context(), "x"); err == nil {
		t.Error("there")
	}
	if got := r.take("GetAttributes"); len(got) != 1 || got[0]["path"] != "/home/alice/x" {
		t.Errorf("%v", got)
	}
}
