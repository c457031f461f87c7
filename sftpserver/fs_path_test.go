package sftpserver_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestGetAttributesSupplied: filling makes a success of a failure, a status a failure of a success, and
// what is left is what the client gets.
func TestGetAttributesSupplied(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
			switch e.Path {
			case "/virtual":
				e.Attrs.SetSize(1 << 40)
				e.Attrs.SetMode(sftp.ModeDir | 0o711)
				e.Attrs.SetType(sftp.TypeDirectory)
				e.Attrs.SetOwner("12", "13")
				e.Attrs.SetMillis(sftp.AttrMtime, 1_500_000_000_000)
				e.Attrs.SetMillis(sftp.AttrAtime, 1_600_000_000_000)
				if err := e.Attrs.SetOther("LinkCount=3;MIMEType=a/b"); err != nil {
					t.Error(err)
				}
			case "/hidden":
				e.Status, e.Message = sftp.CodeNoSuchFile, "what file?"
			case "/small":
				e.Attrs.SetSize(1)
			}
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		put(t, c, "/hidden", "x")
		put(t, c, "/small", "content")
		_, err := c.Stat(t.Context(), "/hidden")
		wantStatus(t, err, sftp.CodeNoSuchFile, "what file?")
		if a, err := c.Stat(t.Context(), "/small"); err != nil || a.Size != 1 {
			t.Errorf("%+v %v", a, err)
		}
		a, err := c.Lstat(t.Context(), "/virtual")
		if err != nil || a.Size != 1<<40 || !a.IsDir() || a.Mode&sftp.ModePerm != 0o711 || a.OwnerText() != "12" || a.GroupText() != "13" ||
			a.Millis(sftp.AttrMtime) != 1_500_000_000_000 || a.Millis(sftp.AttrAtime) != 1_600_000_000_000 {
			t.Errorf("%+v %v", a, err)
		}
		if v >= sftp.Version6 && a.Links != 3 {
			t.Errorf("%+v", a)
		}
		if _, err := c.Stat(t.Context(), "/none"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
}

// TestResolvePathSupplied: the handler says what a path is.
func TestResolvePathSupplied(t *testing.T) {
	eachVersion(t, func(s *sftpserver.Server) int {
		tree(s)
		s.ResolvePath = func(e *sftpserver.ResolvePathEvent) {
			switch e.Path {
			case "/alias", "/gone":
				e.RealPath = "/real"
			case "/secret":
				e.Status, e.Message = sftp.CodePermissionDenied, "no way"
			}
		}
		s.LinkRead = func(e *sftpserver.LinkReadEvent) {
			if e.Path == "/alias" {
				e.Target = "elsewhere"
			}
		}
		return 0
	}, func(t *testing.T, c *sftp.Client, v, _ int) {
		if got, err := c.RealPath(t.Context(), "alias"); got != "/real" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		_, err := c.RealPath(t.Context(), "/secret")
		wantStatus(t, err, sftp.CodePermissionDenied, "no way")
		if got, err := c.ReadLink(t.Context(), "alias"); got != "elsewhere" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if v >= sftp.Version6 {
			if got, _, err := c.RealPathOpt(t.Context(), "/gone", sftp.RealPathStatAlways); got != "/real" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
	})
}

// TestEventLocalPath: with a root directory events know where a file is on the host.
func TestEventLocalPath(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	got := make(chan string, 8)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		p, ok := e.LocalPath()
		got <- fmt.Sprint(p, ok)
	}
	start(t, s)
	put(t, connect(t, s), "/f", "x")
	if p, want := <-got, filepath.Join(root, "f")+"true"; p != want {
		t.Errorf("%s, want %s", p, want)
	}
	s = sftpserver.New()
	tree(s)
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		p, ok := e.LocalPath()
		got <- fmt.Sprint(p, ok)
	}
	start(t, s)
	put(t, connect(t, s), "/f", "x")
	<-got // of the first server, after
	if p := <-got; p != "false" {
		t.Errorf("%s", p)
	}
}
