package transport

import (
	"context"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// A limit says how long one set of keys may serve, in one direction.
type limit struct{ bytes, packets uint64 }

// noLimit is for the time before the first keys.
var noLimit = limit{1<<64 - 1, 1<<64 - 1}

// maxEarlyKex is how many further key exchanges a client gets before it has
// logged in. None needs any.
const maxEarlyKex = 2

// limitOf combines what was configured with what the cipher bears.
func (c *Conn) limitOf(cipherBytes uint64) limit {
	l := limit{min(or(c.cfg.RekeyBytes, cipherBytes), cipherBytes), or(c.cfg.RekeyPackets, DefaultRekeyPackets)}
	l.packets = min(l.packets, DefaultRekeyPackets)
	return l
}

// spent tells, with o.mu held, whether the present keys have served long
// enough for what we send. While an exchange is not over on the peer's side no
// other can begin, and senders wait with spent keys.
func (o *outbox) spent() bool {
	return (o.used >= o.epoch.limit.bytes || o.nonce >= o.epoch.limit.packets) && o.c.open.Load()
}

// overLimit tells, with o.mu held, that a sender has to start an exchange.
func (o *outbox) overLimit() bool { return !o.shut && o.spent() }

// checkInLimit starts a key exchange because of what we received.
func (c *Conn) checkInLimit() {
	if !c.open.Load() {
		return
	}
	switch {
	case c.inBytes >= c.inLimit.bytes:
		c.startKex(KexBytes)
	case c.inNonce >= c.inLimit.packets:
		c.startKex(KexPackets)
	}
}

// armRekeyTimer starts a key exchange when the present keys grow old.
func (c *Conn) armRekeyTimer() {
	d := or(c.cfg.RekeyInterval, DefaultRekeyInterval)
	if d < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rekeyTimer == nil {
		c.rekeyTimer = time.AfterFunc(d, func() { c.startKex(KexInterval) })
	} else {
		c.rekeyTimer.Reset(d)
	}
	if c.Err() != nil { // failed meanwhile: its stop came too early
		c.rekeyTimer.Stop()
	}
}

func (c *Conn) stopRekeyTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rekeyTimer != nil {
		c.rekeyTimer.Stop()
	}
}

// Rekey starts a key exchange, unless one runs, and waits until new keys are
// in force both ways or ctx ends; the exchange goes on then.
func (c *Conn) Rekey(ctx context.Context) error {
	select {
	case <-c.startKex(KexCall):
		return c.out.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// startKex sends our KEXINIT and closes the gate, unless that was done, and
// returns a channel that is closed at the end of the exchange. why is for the
// event of an exchange that it begins; for kexSpent the keys must still be: others
// may have exchanged them, or compression have given back what was reserved.
// What is given goes out right before KEXINIT.
func (c *Conn) startKex(why KexReason, before ...urgent) <-chan struct{} {
	o := &c.out
	o.mu.Lock()
	if o.kexDone != nil || o.err != nil || why == kexSpent && !o.spent() {
		done := o.kexDone
		o.mu.Unlock()
		for _, u := range before {
			u.buf.Release()
		}
		if done == nil {
			done = make(chan struct{})
			close(done)
		}
		return done
	}
	o.shut = true
	o.kexDone = make(chan struct{})
	done := o.kexDone
	o.beganKex(why)
	o.kexOurs = c.newKexInit(!o.later)
	o.kexInit = msg.Append(nil, o.kexOurs)
	o.later = true
	o.urgent = append(append(o.urgent, before...), urgent{buf: bufOf(o.kexInit)})
	from, to := o.pump()
	o.kexAt = o.tail + uint64(len(o.urgent))
	o.armKex(o.head.Load())
	o.mu.Unlock()
	o.seal(from, to)
	return done
}

// armKex sets the time for the key exchange, with o.mu held and written slots
// behind us. It is set anew when our KEXINIT has left: over a slow link that
// waits its turn for minutes, behind what was ordered before, and only then can
// the peer know of the exchange.
func (o *outbox) armKex(written uint64) {
	limit := or(o.c.cfg.KexTimeout, DefaultKexTimeout)
	o.kexSeen, o.kexDue = written, time.Now().Add(limit)
	if o.kexTimer == nil {
		o.kexTimer = time.AfterFunc(limit, o.kexLate)
	} else {
		o.kexTimer.Reset(limit)
	}
}

// kexLate runs when kexTimer fires, and ends the connection unless our KEXINIT
// is still on its way and what is in front of it moves, or we are the one who
// takes the time.
func (o *outbox) kexLate() {
	o.mu.Lock()
	over := o.kexDone != nil && !time.Now().Before(o.kexDue) // not stopped or set anew meanwhile
	if written := o.head.Load(); over && (o.kexAsks || o.kexAt != 0 && written > o.kexSeen) {
		over = false
		o.armKex(written)
	}
	o.mu.Unlock()
	if over {
		o.c.fail(&TimeoutError{"key exchange"})
	}
}

// asking says that somebody is asked about the host key, or has answered: from
// then on the peer has its time anew.
func (o *outbox) asking(yes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kexAsks = yes; !yes && o.kexDone != nil {
		o.armKex(o.head.Load())
	}
}

// endKex says that the exchange is over: both NEWKEYS have passed. It returns
// why and when our side of it began, since the next one may begin at once.
func (c *Conn) endKex() (why KexReason, began time.Time) {
	o := &c.out
	o.mu.Lock()
	why, began = o.kexWhy, o.kexBegan
	if o.kexTimer != nil {
		o.kexTimer.Stop()
	}
	if o.kexDone != nil {
		close(o.kexDone)
		o.kexDone = nil
	}
	o.kexInit, o.kexOurs, o.kexAt = nil, nil, 0
	o.room.Broadcast() // senders that wait with spent keys
	o.mu.Unlock()
	if c.open.Load() {
		c.armRekeyTimer()
	}
	return why, began
}

// rekey runs a later key exchange, which the peer's KEXINIT p has joined or
// begun.
func (c *Conn) rekey(p []byte) error {
	before := c.phase
	if before == msg.Auth && c.cfg.Role == msg.Server {
		// A key exchange costs a server more than the client that asks for it
		// (cves 4.1), and no keys grow old before anybody has logged in.
		if c.early++; c.early > maxEarlyKex {
			return c.Violation("too many key exchanges before login")
		}
	}
	c.phase = msg.Rekey
	err := c.exchange(context.Background(), p)
	c.phase = before
	if err != nil && !c.out.flushing() { // else DISCONNECT is on its way
		c.fail(err)
	}
	return err
}
