package sftpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestErrorMessageSetting: the text goes with the next failure, and with that one only.
func TestErrorMessageSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	c := connect(t, s)
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	configure(t, s, "SFTPErrorMessage["+id+"]=the harbour is closed")
	if got, err := s.Config("SFTPConnectionErrorMessage[" + id + "]"); got != "the harbour is closed" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for i, told := range []bool{true, false} {
		if _, err := c.Stat(t.Context(), "/none"); err == nil || strings.Contains(err.Error(), "the harbour is closed") != told {
			t.Errorf("failure %d: %v", i, err)
		}
	}
	if got, err := s.Config("SFTPErrorMessage[" + id + "]"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFileDataSetting: handlers of FileRead and FileWrite see and change the data by the setting.
func TestFileDataSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	var seen []string
	config := func(expr string) {
		got, err := s.Config(expr)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, got)
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		config("SFTPConnectionFileData[" + e.ConnectionID() + "]")
		config("SFTPConnectionFileData[" + e.ConnectionID() + "]=READ")
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if e.Before {
			config("SFTPConnectionFileData[" + e.ConnectionID() + "]")
			config("SFTPConnectionFileData[" + e.ConnectionID() + "]=written")
		}
	}
	start(t, s)
	c := connect(t, s)
	if _, err := c.Put(t.Context(), "/f", strings.NewReader("content"), sftp.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := c.Open(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 4)
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, []byte("READ")) {
		t.Errorf("%q, %v", got, err)
	}
	if len(seen) < 4 || seen[0] != "content" || seen[2] != "written" {
		t.Errorf("%q", seen)
	}
	id, _ := s.Config("ConnectionUID[0]")
	if got, err := s.Config("SFTPConnectionFileData[" + id + "]"); got != "" || err != nil {
		t.Errorf("outside of events: %q, %v", got, err)
	}
	if _, err := s.Config("SFTPConnectionFileData[" + id + "]=x"); err == nil {
		t.Error("data is set outside of events")
	}
	if _, err := s.Config("SFTPConnectionFileData[none]"); !errors.Is(err, sftpserver.ErrUnknownConnection) {
		t.Error(err)
	}
}

// TestDirListBufferSizeSetting: a listing of ten takes as many READDIRs as the setting makes it, for all and for one
// connection.
func TestDirListBufferSizeSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	configure(t, s, "DirListBufferSize=4", "ListDotEntries=False")
	start(t, s)
	c := connect(t, s)
	for _, name := range "abcdefgh" {
		if err := c.Mkdir(t.Context(), "/"+string(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ set, most int }{{0, 4}, {2, 2}, {50, 8}} {
		if step.set != 0 {
			configure(t, s, fmt.Sprintf("DirListBufferSize[%s]=%d", id, step.set))
		}
		d, err := c.OpenDir(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		most, all := 0, 0
		for {
			list, err := d.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			most, all = max(most, len(list)), all+len(list)
		}
		if err := d.Close(t.Context()); err != nil || most != step.most || all != 8 {
			t.Errorf("DirListBufferSize[id]=%d: %d entries, at most %d in one reply, want %d; %v", step.set, all, most, step.most, err)
		}
	}
}

// TestCodePageSetting: with a code page, clients of version 3 write names in it, and files here have them in UTF-8.
func TestCodePageSetting(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	configure(t, s, "RootDirectory="+root, "CodePage=1252")
	start(t, s)
	if err := connect(t, s).Mkdir(t.Context(), "/gr\xfc\xdfe", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "grüße")); err != nil {
		t.Error(err)
	}
	bad := sftpserver.New()
	bad.CodePage, bad.HostKeys = 1, s.HostKeys
	if err := bad.Start(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("code page 1: %v", err)
	}
}
