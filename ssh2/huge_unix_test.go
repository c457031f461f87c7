//go:build unix

package ssh2

import (
	"syscall"
	"testing"
)

// huge returns n octets of zeros that take no memory, which those of make do
// under the race detector.
func huge(t *testing.T, n int) []byte {
	t.Helper()
	p, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(p) })
	return p
}
