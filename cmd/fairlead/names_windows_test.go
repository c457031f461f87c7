package main

import (
	"path/filepath"
	"testing"
)

// TestCVE_8_11_WindowsNames: what a server calls a file of a wildcard becomes no drive, stream, device or other file here.
func TestCVE_8_11_WindowsNames(t *testing.T) {
	for _, name := range []string{`..\x`, `a\b`, "C:x", "C:", "f:stream", "f::$DATA", "NUL", "con.txt", "COM1", "f.", "f ", "f*", "", "..", "a/b"} {
		if noLocalName(name) == "" {
			t.Errorf("%q is a name", name)
		}
	}
	for _, name := range []string{"f", "größe", "a b.txt", ".hidden", "~1"} {
		if why := noLocalName(name); why != "" {
			t.Errorf("%q: %s", name, why)
		}
	}
}

// TestConfigPathsOfWindows: names of files in the configuration start at its directory, or at the root of its drive.
func TestConfigPathsOfWindows(t *testing.T) {
	c := &config{dir: `D:\etc\fairlead`}
	for name, want := range map[string]string{
		"keys": `D:\etc\fairlead\keys`, "../x": `D:\etc\x`, "/srv/files": `D:\srv\files`, `\srv`: `D:\srv`, "E:/srv": `E:\srv`, `\\host\share\x`: `\\host\share\x`,
	} {
		if got := c.path(name); got != filepath.Clean(want) {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}
