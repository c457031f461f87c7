package sftpserver_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// needSymlinks skips a test on hosts without symlinks: Windows lets only some accounts make them, and Wine makes none
// and says nothing.
func needSymlinks(t *testing.T) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "link")
	err := os.Symlink("to", name)
	if err == nil {
		_, err = os.Lstat(name)
	}
	if err == nil {
		return
	}
	if runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	t.Skipf("no symlinks can be made here: %v", err) // skip: Windows lets only some users make them
}
