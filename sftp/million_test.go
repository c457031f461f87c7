package sftp_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// overPackets runs script with a client of this version at a server of fsys.
func overPackets(t *testing.T, fsys sftp.FileSystem, v int, script func(c *sftp.Client)) {
	t.Helper()
	a, b := newPair(32 << 10)
	done := make(chan error, 1)
	go func() { done <- serverOf(fsys).Serve(context.WithoutCancel(t.Context()), b, sftp.SessionInfo{}) }()
	c, err := sftp.NewClient(t.Context(), a, &sftp.ClientConfig{MaxVersion: v})
	if err != nil {
		t.Fatal(err)
	}
	if c.Version() != v {
		t.Errorf("version %d, asked for was %d", c.Version(), v)
	}
	script(c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-done // what it answers is how the pipe ended
}

// heap is what is in use once garbage is gone, that in pools included.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestW18_MillionEntriesOverTheWire: a client lists a directory of a million entries, and
// neither it nor the server, which are both of this process, holds more at its end than at its
// beginning.
func TestW18_MillionEntriesOverTheWire(t *testing.T) {
	n := 1_000_000
	const most = 1 << 20
	if testing.Short() || invariant.Enabled {
		n = 100_000 // what would be kept of each would still show: most is 10 octets of each
	}
	for _, v := range []int{sftp.Version3, sftp.Version6} {
		overPackets(t, &manyFS{n: n, names: &sftp.IDNames{
			LookupUser: func(id uint32) string { return fmt.Sprint("user", id) }, LookupGroup: func(uint32) string { return "users" },
		}}, v, func(c *sftp.Client) {
			var used []int64
			i, start := 0, time.Now()
			for e, err := range c.ReadDir(t.Context(), "/") {
				if err != nil {
					t.Fatal(err)
				}
				i++
				if e.Attrs.Size != uint64(i) || e.Name != fileNames[i%len(fileNames)] {
					t.Fatalf("version %d: entry %d is %q of %d octets", v, i, e.Name, e.Attrs.Size)
				}
				if i == n/100 || i%(n/4) == 0 {
					used = append(used, heap())
				}
			}
			if i != n || len(used) != 5 {
				t.Fatalf("version %d: %d entries, %d measurements", v, i, len(used))
			}
			if grown := slices.Max(used) - used[0]; grown > most {
				t.Errorf("version %d: the heap grew by %d octets: %d", v, grown, used)
			}
			t.Logf("version %d: %d entries in %v, heap in use at 1%% and each quarter: %d", v, n, time.Since(start).Round(time.Millisecond), used)
		})
	}
}

// TestW18_EveryEntryOnce: of a large directory of memfs and of osfs each name comes once.
func TestW18_EveryEntryOnce(t *testing.T) {
	n := 20_000
	if testing.Short() || invariant.Enabled {
		n = 5_000
	}
	mem, dir := memfs.New(memfs.Options{MaxNodes: int64(2 * n)}), t.TempDir()
	for i := range n {
		name := fmt.Sprintf("%06d", i)
		f, err := mem.Open(t.Context(), "/"+name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
		if err == nil {
			err = f.Close(nil)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	disk, err := osfs.New(dir, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	for what, fsys := range map[string]sftp.FileSystem{"memfs": mem, "osfs": disk} {
		for _, v := range []int{sftp.Version3, sftp.Version6} {
			overPackets(t, fsys, v, func(c *sftp.Client) {
				names := make([]string, 0, n)
				for e, err := range c.ReadDir(t.Context(), "/") {
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, e.Name)
				}
				slices.Sort(names)
				if names = slices.Compact(names); len(names) != n || names[n-1] != fmt.Sprintf("%06d", n-1) {
					t.Errorf("%s, version %d: %d names", what, v, len(names))
				}
			})
		}
	}
}
