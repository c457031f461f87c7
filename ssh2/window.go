package ssh2

import (
	"sync/atomic"
	"time"
)

// A window is the receiving side of a channel's flow control (RFC 4254 section
// 5.2). Its fields are guarded by the channel's mutex.
//
// It is given back when a quarter of it has been consumed, never per packet,
// and doubles while it is what limits the peer: when more than half of it was
// consumed in less time than four round trips take to move that share.
//
// The round trip is measured without extra traffic. The first octet beyond an
// old limit can be sent only after the adjust that raised it has arrived, so
// the time between the two is a round trip if the peer was waiting for it, and
// longer if it was not. The least of all samples is what counts, and the least
// is right exactly for the peers that wait.
type window struct {
	size, maximum uint32 // size: what the peer may have outstanding
	left          int64  // what it may still send; below 0 it used some of the grace
	used          uint32 // consumed and not given back yet
	grown         int64  // what the ledgers were charged with

	got, granted uint64    // sums over the life of the channel
	probing      bool      // waiting for an octet beyond probeLimit
	probeLimit   uint64    // granted before the adjust of probeTime
	probeTime    time.Time // when that adjust went out
	epoch        time.Time // growth is decided per epoch; zero before the first octet
	epochUsed    uint32    // consumed in this epoch
}

// grace is how far beyond its window a peer may go before that counts as a
// violation: one packet, for peers that count something slightly differently.
const grace = maxPacket

func (w *window) init(l WindowLimits) {
	w.size, w.maximum, w.left, w.granted = l.Initial, l.Maximum, int64(l.Initial), uint64(l.Initial)
}

// receive takes n octets off the window and reports whether the peer was
// allowed to send them. rtt is a sample of the round trip, or 0.
func (w *window) receive(n int) (ok bool, rtt time.Duration) {
	if w.left-int64(n) < -grace {
		return false, 0
	}
	w.left -= int64(n)
	w.got += uint64(n)
	if w.epoch.IsZero() {
		w.epoch = time.Now()
	}
	if w.probing && w.got > w.probeLimit {
		w.probing = false
		rtt = time.Since(w.probeTime)
	}
	return true, rtt
}

// consume notes n octets as consumed and returns by how much the window is to
// be raised now; 0 is not yet. more asks the ledgers for growth.
func (w *window) consume(n int, rtt time.Duration, more func(int64) bool) uint32 {
	w.used += uint32(n)
	w.epochUsed += uint32(n)
	if w.used < w.size/4 || w.used == 0 {
		return 0
	}
	raise := w.used + w.grow(rtt, more)
	w.used = 0
	if !w.probing {
		w.probing, w.probeLimit, w.probeTime = true, w.granted, time.Now()
	}
	w.left += int64(raise)
	w.granted += uint64(raise)
	return raise
}

// grow doubles the window if that would help, and returns by how much it grew.
func (w *window) grow(rtt time.Duration, more func(int64) bool) uint32 {
	if w.epochUsed <= w.size/2 {
		return 0
	}
	share := float64(w.epochUsed) / float64(w.size)
	fast := float64(time.Since(w.epoch)) < 4*share*float64(rtt)
	w.epoch, w.epochUsed = time.Now(), 0
	step := min(w.size, w.maximum-w.size)
	if !fast || step == 0 || !more(int64(step)) {
		return 0
	}
	w.size += step
	w.grown += int64(step)
	return step
}

// A ledger counts octets against a limit. It is safe for concurrent use.
type ledger struct{ used atomic.Int64 }

// process is the ledger that all connections share.
var process ledger

// take charges n octets unless that would exceed limit.
func (l *ledger) take(n, limit int64) bool {
	if l.used.Add(n) > limit {
		l.used.Add(-n)
		return false
	}
	return true
}

func (l *ledger) give(n int64) { l.used.Add(-n) }
