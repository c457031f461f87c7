package sftp

import (
	"sync"
	"time"
)

const (
	// firstWindow is how many octets a transfer has in flight at first.
	firstWindow = 2 << 20
	// maxWindow is the most, however long the way is.
	maxWindow = 64 << 20
)

// A flight decides how many octets one transfer may have in flight. The right number is
// what the way holds: rate times round-trip time. If a window's worth takes hardly longer
// than a bare round trip, then the window is what holds the transfer back, and it doubles;
// once octets queue up on the way, it stays.
type flight struct {
	window int
	moved  int       // octets since
	since  time.Time // a window's worth ago
}

// begin is called when nothing is in flight, and something is about to be.
func (f *flight) begin() {
	if f.window == 0 {
		f.window, f.since = firstWindow, time.Now()
	}
}

// arrived notes that n octets were delivered or acknowledged. rtt is the shortest round trip
// seen.
func (f *flight) arrived(n int, rtt time.Duration) {
	f.moved += n
	if f.moved < f.window/4*3 { // a window is rarely a whole number of requests
		return
	}
	now := time.Now()
	if now.Sub(f.since) < 2*rtt && f.window < maxWindow {
		f.window *= 2
	}
	f.moved, f.since = 0, now
}

// A budget bounds the octets in flight of all transfers of a client.
type budget struct {
	mu   sync.Mutex
	left int64
}

// take takes n octets. Without must it does only if there are as many.
func (b *budget) take(n int, must bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < int64(n) && !must {
		return false
	}
	b.left -= int64(n)
	return true
}

// has tells whether there are n octets, to be taken by who may do without.
func (b *budget) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left >= int64(n)
}

func (b *budget) give(n int) {
	b.mu.Lock()
	b.left += int64(n)
	b.mu.Unlock()
}
