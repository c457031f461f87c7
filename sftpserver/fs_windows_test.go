package sftpserver_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestCVE_8_2_LocalPathOnWindows: a handler gets no path outside the root, nor a device, from what a client calls a file.
func TestCVE_8_2_LocalPathOnWindows(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	paths := map[string]string{}
	s.Events.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if p, ok := e.LocalPath(); ok {
			paths[e.Path] = p
		}
	}
	start(t, s)
	c := connect(t, s)
	for _, name := range []string{`/..\..\x`, `/\Windows\win.ini`, `/C:\x`, "/C:x", "/f:stream", "/NUL", "/d/con", "/f.", `/d\..\..\x`} {
		if _, err := get(t, c, name, 1); err == nil {
			t.Errorf("%s is open", name)
		}
		if p, ok := paths[name]; ok {
			t.Errorf("%s is %s", name, p)
		}
	}
	put(t, c, "/good name.txt", "x")
	if p := paths["/good name.txt"]; p != filepath.Join(root, "good name.txt") || !strings.HasPrefix(p, root) {
		t.Errorf("a good one is %q", p)
	}
}
