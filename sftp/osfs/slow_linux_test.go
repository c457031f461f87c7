package osfs

import "testing"

// slowWalk makes the rest of the test do without openat2.
func slowWalk(t *testing.T) {
	was := noOpenat2.Swap(true)
	t.Cleanup(func() { noOpenat2.Store(was) })
}
