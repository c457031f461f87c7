//go:build unix

package fstest_test

import (
	"os"
	"path/filepath"
	"testing"
)

// umask returns the umask of this process without changing it.
func umask(t *testing.T) uint32 {
	name := filepath.Join(t.TempDir(), "x")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return 0o777 &^ uint32(fi.Mode().Perm())
}
