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

// limitOf combines what was configured with what the cipher bears.
func (c *Conn) limitOf(cipherBytes uint64) limit {
	l := limit{min(or(c.cfg.RekeyBytes, cipherBytes), cipherBytes), or(c.cfg.RekeyPackets, DefaultRekeyPackets)}
	l.packets = min(l.packets, DefaultRekeyPackets)
	return l
}

// overLimit tells, with o.mu held, whether it is time for new keys because of
// what we sent.
func (o *outbox) overLimit() bool {
	return !o.shut && (o.used >= o.epoch.limit.bytes || o.nonce >= o.epoch.limit.packets) && o.c.open.Load()
}

// checkInLimit starts a key exchange because of what we received.
func (c *Conn) checkInLimit() error {
	if (c.inBytes >= c.inLimit.bytes || c.inNonce >= c.inLimit.packets) && c.open.Load() {
		c.startKex()
	}
	return nil
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
		c.rekeyTimer = time.AfterFunc(d, func() { c.startKex() })
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
	case <-c.startKex():
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// startKex sends our KEXINIT and closes the gate, unless that was done, and
// returns a channel that is closed at the end of the exchange.
func (c *Conn) startKex() <-chan struct{} {
	o := &c.out
	o.mu.Lock()
	if o.kexDone != nil || o.err != nil {
		done := o.kexDone
		o.mu.Unlock()
		if done == nil {
			done = make(chan struct{})
			close(done)
		}
		return done
	}
	o.shut = true
	o.kexDone = make(chan struct{})
	done := o.kexDone
	init := c.newKexInit(!o.later)
	o.later = true
	o.kexInit = init
	o.kexTimer = c.deadline(or(c.cfg.KexTimeout, DefaultKexTimeout), "key exchange")
	o.urgent = append(o.urgent, urgent{buf: bufOf(init)})
	from, to := o.pump()
	o.mu.Unlock()
	o.seal(from, to)
	return done
}

// endKex says that the exchange is over: both NEWKEYS have passed.
func (c *Conn) endKex() {
	o := &c.out
	o.mu.Lock()
	if o.kexTimer != nil {
		o.kexTimer.Stop()
	}
	if o.kexDone != nil {
		close(o.kexDone)
		o.kexDone = nil
	}
	o.kexInit = nil
	o.mu.Unlock()
	if c.open.Load() {
		c.armRekeyTimer()
	}
}

// rekey runs a later key exchange, which the peer's KEXINIT p has joined or
// begun.
func (c *Conn) rekey(p []byte) error {
	before := c.phase
	c.phase = msg.Rekey
	err := c.exchange(context.Background(), p)
	c.phase = before
	if err != nil && !c.out.flushing() { // else DISCONNECT is on its way
		c.fail(err)
	}
	return err
}
