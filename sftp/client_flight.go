package sftp

import (
	"sync"
	"time"
)

const (
	// firstWindow is how many octets a transfer has in flight at first.
	firstWindow = 2 << 20
	// leastWindow is what an upload to a server nearby has in flight at first: two of the
	// largest requests. There octets in flight do not wait on the way but in the server, and
	// cost processor time there the more they are: OpenSSH's sends a WINDOW_ADJUST for nearly
	// every piece that it moves on, mostly 16 KiB, while it holds many (docs/adr/0022).
	leastWindow = 512 << 10
	// nearby is the round trip from which on an upload begins with firstWindow; in less,
	// that many octets would pass at 1 GiB/s or more.
	nearby = 2 * time.Millisecond
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

// beginNear is begin for an upload: with less than firstWindow if rtt, the shortest round
// trip seen or 0, says that the server is nearby.
func (f *flight) beginNear(rtt time.Duration) {
	if f.window == 0 && rtt > 0 && rtt < nearby {
		f.window, f.since = max(leastWindow, int(int64(firstWindow)*int64(rtt)/int64(nearby))), time.Now()
	}
	f.begin()
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
