package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestDirListEntries: a handler supplies the list, before or after, as entries or as a text, with attributes or
// without; nothing is added to it.
func TestDirListEntries(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	s.DirList = func(e *sftpserver.DirListEvent) {
		switch {
		case e.Path == "/entries" && e.Before:
			var a sftp.Attrs
			a.SetSize(5)
			a.SetMode(sftp.ModeRegular | 0o600)
			e.Entries = []sftp.Entry{{Name: "a", Attrs: a}, {Name: "b"}}
		case e.Path == "/text" && e.Before:
			if err := s.SetFileList(e.ConnectionID(), "x\r\ny\r\n\r\nz"); err != nil {
				t.Error(err)
			}
			if err := s.SetFileList("99", ""); !errors.Is(err, sftpserver.ErrUnknownConnection) {
				t.Error(err)
			}
		case e.Path == "/empty" && e.Before:
			e.Entries = []sftp.Entry{}
		case e.Path == "/late" && !e.Before:
			if e.Status != sftp.CodeNoSuchFile {
				t.Errorf("status %v", e.Status)
			}
			e.Entries, e.Status = sftpserver.FileList("late"), sftp.CodeOK
		case e.Path == "/" && !e.Before:
			e.Entries = []sftp.Entry{{Name: "instead"}}
		}
	}
	var asked []string
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		asked = append(asked, e.Path)
		if e.Path == "/entries/b" {
			e.Attrs.SetSize(77)
		}
	}
	start(t, s)
	c := connect(t, s)
	for name, want := range map[string]string{"/text": "x y z", "/empty": "", "/late": "late", "/": "instead"} {
		if got := list(t, c, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	asked = nil
	entries, err := c.ReadDirAll(t.Context(), "/entries")
	if err != nil || len(entries) != 2 || entries[0].Attrs.Size != 5 || entries[1].Attrs.Size != 77 {
		t.Errorf("%+v %v", entries, err)
	}
	if !slices.Equal(asked, []string{"/entries/b"}) {
		t.Errorf("asked for %v", asked)
	}
	for conn := range s.Connections() {
		if err := conn.SetFileList("x"); !errors.Is(err, sftpserver.ErrNoFileList) {
			t.Errorf("%v", err)
		}
	}
}

// TestListDots: "." and ".." are in listings unless they are not to be.
func TestListDots(t *testing.T) {
	for _, events := range []bool{false, true} {
		for _, without := range []bool{false, true} {
			s := sftpserver.New()
			tree(s)
			s.NoDotEntries = without
			if events {
				record(s)
			}
			start(t, s)
			names, _, _ := listWire(t, s, "/")
			if got, want := strings.Join(names, " "), map[bool]string{true: "", false: ". .."}[without]; got != want {
				t.Errorf("events %v, NoDotEntries %v: %q, want %q", events, without, got, want)
			}
		}
	}
}

// listWire lists a directory as it is on the wire, "." and ".." included: the names, the long names and how many came
// in each reply.
func listWire(t testing.TB, s *sftpserver.Server, name string) (names, long []string, counts []int) {
	t.Helper()
	ch, err := dial(t, s).Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	return rawList(t, ch, name)
}

// TestDirListBufferSize: how many entries a reply has, for the server and for one connection while it lives.
func TestDirListBufferSize(t *testing.T) {
	s := sftpserver.New()
	fs := tree(s)
	for i := range 250 {
		if err := fs.Mkdir(t.Context(), fmt.Sprint("/", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	start(t, s)
	if _, _, counts := listWire(t, s, "/"); fmt.Sprint(counts) != "[100 100 52]" {
		t.Errorf("replies of %v", counts)
	}
	conn := dial(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	for c := range s.Connections() {
		c.SetDirListBufferSize(126)
	}
	if _, _, counts := rawList(t, ch, "/"); fmt.Sprint(counts) != "[126 126]" {
		t.Errorf("replies of %v", counts)
	}
	s = sftpserver.New()
	s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return fs, nil }
	s.DirListBufferSize = 200
	start(t, s)
	if _, _, counts := listWire(t, s, "/"); fmt.Sprint(counts) != "[200 52]" {
		t.Errorf("replies of %v", counts)
	}
}

// TestPlainDates: dates of long names are written as ls does, or plainly.
func TestPlainDates(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s := sftpserver.New()
		fs := tree(s)
		s.NoDotEntries, s.PlainDates = true, plain
		if err := fs.Mkdir(t.Context(), "/d", nil); err != nil {
			t.Fatal(err)
		}
		var a sftp.Attrs
		at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.Local)
		a.SetMillis(sftp.AttrMtime, at.UnixMilli())
		a.SetMillis(sftp.AttrAtime, at.UnixMilli())
		if err := fs.SetStat(t.Context(), "/d", &a, true); err != nil {
			t.Fatal(err)
		}
		start(t, s)
		_, long, _ := listWire(t, s, "/")
		want := map[bool]string{false: " Feb  3  2020 d", true: " 2020-02-03 04:05 d"}[plain]
		if len(long) != 1 || !strings.HasSuffix(long[0], want) {
			t.Errorf("%q, want %q", long, want)
		}
	}
}
