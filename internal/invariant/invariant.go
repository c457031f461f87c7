// Package invariant holds the checks that run only in race builds: poisoned
// buffers, released-once and closed-once state, and counts of live objects.
//
// A release build pays nothing for them: Enabled is a constant, so guarded
// code is removed by the compiler. Only this package may panic.
package invariant

import "sync/atomic"

// Check panics with what when ok is false, in race builds only. It is for
// mistakes of this library's own code, never for input from a peer.
func Check(ok bool, what string) {
	if Enabled && !ok {
		panic("fairlead: invariant broken: " + what)
	}
}

// poison is an octet that makes reuse of released memory visible: it is an
// implausible length, message number and character.
const poison = 0xCC

// Poison overwrites b, in race builds only, so that whoever still reads it
// fails loudly instead of seeing data that happens to be right.
func Poison(b []byte) {
	if !Enabled {
		return
	}
	for i := range b {
		b[i] = poison
	}
}

// Counter counts live objects in race builds and is always zero otherwise.
// It is safe for concurrent use.
type Counter struct{ n atomic.Int64 }

// Add changes the count by d.
func (c *Counter) Add(d int64) {
	if Enabled {
		c.n.Add(d)
	}
}

// Load returns the count.
func (c *Counter) Load() int64 { return c.n.Load() }

// Once notes that something which may happen once happened. Its zero value is
// ready; it is safe for concurrent use.
type Once struct{ done atomic.Bool }

// Mark panics with what, in race builds only, when called a second time
// without a Reset in between.
func (o *Once) Mark(what string) {
	if Enabled && o.done.Swap(true) {
		panic("fairlead: invariant broken: twice: " + what)
	}
}

// Reset makes Mark legal again.
func (o *Once) Reset() {
	if Enabled {
		o.done.Store(false)
	}
}
