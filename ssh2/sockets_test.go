package ssh2

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// needUnixSockets skips a test where there are none: in Wine, and before Windows 10.
func needUnixSockets(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "windows" {
		return
	}
	dir, err := os.MkdirTemp("", "fl") //nolint:usetesting // TempDir's paths are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Skipf("no Unix sockets here: %v", err) // skip: old Windows and Wine have none
	}
	_ = l.Close()
}

// modeOf is the mode that a file of mode has: Windows has no more than whether it can be written.
func modeOf(mode os.FileMode) os.FileMode {
	if runtime.GOOS == "windows" {
		return 0o444 | mode&0o200 | mode&0o200>>3 | mode&0o200>>6
	}
	return mode
}

// leastTime is what anything takes at least: Windows' clock stands still in between.
var leastTime = func() time.Duration {
	if runtime.GOOS == "windows" {
		return 0
	}
	return 1
}()
