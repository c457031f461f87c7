//go:build unix

package fstest_test

import (
	"flag"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/internal/fstest"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

var (
	seed = flag.Uint64("fstest.seed", 0, "run the model test with this seed only")
	ops  = flag.Int("fstest.ops", 5000, "operations per seed")
)

// TestModelOSFSAgainstMemFS: the same random operations, the same answers.
func TestModelOSFSAgainstMemFS(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if *seed != 0 {
		seeds = []uint64{*seed}
	}
	total := make(map[string]int)
	for _, seed := range seeds {
		o, err := osfs.New(t.TempDir(), osfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := memfs.New(memfs.Options{Umask: umask(t), Names: sftp.SystemNames})
		for verb, n := range fstest.Compare(t, seed, *ops,
			&fstest.System{Name: "osfs", FS: o}, &fstest.System{Name: "memfs", FS: m}) {
			total[verb] += n
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	// A model test in which an operation never succeeds tests nothing.
	for _, verb := range []string{
		"open", "close", "read", "write", "fstat", "fsetstat", "ftruncate", "stat", "setstat", "mkdir", "remove", "rmdir",
		"rename", "link", "symlink", "readlink", "realpath", "list", "copy", "lock", "unlock",
	} {
		if total[verb] == 0 {
			t.Errorf("operation %s never succeeded", verb)
		}
	}
	t.Logf("succeeded: %v", total)
}
