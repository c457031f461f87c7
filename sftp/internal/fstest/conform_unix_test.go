//go:build unix

package fstest_test

import (
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/internal/fstest"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// TestConformOSFS: what versions 4 to 6 ask of a file system, on a directory of this host.
func TestConformOSFS(t *testing.T) {
	fstest.Conform(t, func(t *testing.T) sftp.FileSystem {
		s, err := osfs.New(t.TempDir(), osfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

// TestConformMemFS: the same in memory, and behind a wrapper that does nothing.
func TestConformMemFS(t *testing.T) {
	empty := func(*testing.T) sftp.FileSystem { return memfs.New(memfs.Options{Names: sftp.SystemNames}) }
	fstest.Conform(t, empty)
	t.Run("wrapped", func(t *testing.T) {
		fstest.Conform(t, func(t *testing.T) sftp.FileSystem { return fstest.Slow(empty(t), fstest.SeededPlan(0, 0, 0, 0)) })
	})
}
