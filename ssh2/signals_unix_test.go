//go:build unix

package ssh2

import (
	"syscall"
	"testing"
)

// TestSystemSignals: each name has a number of the system, and back.
func TestSystemSignals(t *testing.T) {
	for name := range signals {
		if sig, ok := name.Syscall(); !ok || SignalOf(sig) != name {
			t.Errorf("%s: %v, %v, %s", name, sig, ok, SignalOf(sig))
		}
	}
	if s := SignalOf(syscall.SIGBUS); s.Check() != nil {
		t.Errorf("SIGBUS is %q: %v", s, s.Check())
	}
}
