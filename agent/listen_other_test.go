//go:build !windows

package agent

import (
	"net"
	"path/filepath"
	"testing"
)

// localListener listens where an agent of this host would.
func localListener(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l, path
}
