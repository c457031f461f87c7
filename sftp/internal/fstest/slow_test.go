package fstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/internal/fstest"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestSlowFailsAlike: two trees under one plan, one of them with delays, give the same
// answers; a tree without the plan would not.
func TestSlowFailsAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		quick := &fstest.System{Name: "memfs", FS: fstest.Slow(memfs.New(memfs.Options{}), fstest.SeededPlan(1, 0, 0, 20))}
		slow := &fstest.System{Name: "slow", FS: fstest.Slow(memfs.New(memfs.Options{}), fstest.SeededPlan(1, 5, time.Second, 20))}
		done := fstest.Compare(t, 9, 3000, quick, slow)
		if done["open"] == 0 || done["write"] == 0 || time.Since(start) < time.Minute {
			t.Errorf("%v in %v", done, time.Since(start))
		}
	})
}

// TestSlowPlan: a fault comes before anything is done, an ended context ends a delay, and a
// file is closed even if the plan fails that.
func TestSlowPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		faults := map[string]fstest.Fault{"Mkdir": {Err: broken}, "Stat": {Delay: time.Hour}, "File.Close": {Err: broken}}
		closed := 0
		tree := memfs.New(memfs.Options{OnClose: func(string, error) { closed++ }})
		s := fstest.Slow(tree, func(method string, n uint64) fstest.Fault {
			if n > 0 {
				return fstest.Fault{}
			}
			return faults[method]
		})
		ctx := t.Context()
		if err := s.Mkdir(ctx, "/d", nil); !errors.Is(err, broken) {
			t.Error(err)
		}
		if _, err := tree.Stat(ctx, "/d", sftp.StatOpt{}); err == nil {
			t.Error("a failed Mkdir made a directory")
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := s.Stat(short, "/", sftp.StatOpt{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(nil); !errors.Is(err, broken) || closed != 1 {
			t.Errorf("%v, closed %d times", err, closed)
		}
	})
}
