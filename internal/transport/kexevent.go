package transport

import (
	"time"

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

// KexReason says why a key exchange began.
type KexReason uint8

// The reasons.
const (
	KexFirst    KexReason = iota + 1 // the connection began
	KexPeer                          // the peer began it
	KexCall                          // Rekey was called
	KexBytes                         // the keys have served for as many octets as they may
	KexPackets                       // or packets
	KexInterval                      // or as long

	// kexSpent is KexBytes or KexPackets, whichever it is of what we send.
	kexSpent
)

// A KexEvent is a key exchange that is over.
type KexEvent struct {
	Number           int // 1 for the first of the connection
	Reason           KexReason
	Kex              string
	HostKeyAlgorithm string
	In, Out          alg.Direction
	Strict           bool
	// Duration is from our KEXINIT to the second NEWKEYS.
	Duration time.Duration
}

// beganKex notes, with o.mu held, why and when our KEXINIT goes out.
func (o *outbox) beganKex(why KexReason) {
	if why == kexSpent {
		why = KexPackets
		if o.used >= o.epoch.limit.bytes {
			why = KexBytes
		}
	}
	o.kexWhy, o.kexBegan = why, time.Now()
}

// tellKex hands the event to whoever wants it.
func (c *Conn) tellKex(why KexReason, began time.Time) {
	if c.cfg.OnKex == nil {
		return
	}
	c.mu.Lock()
	e := &KexEvent{
		Number: c.info.KeyExchanges, Reason: why,
		Kex: c.info.Kex, HostKeyAlgorithm: c.info.HostKeyAlgorithm,
		In: c.info.In, Out: c.info.Out, Strict: c.info.Strict,
		Duration: time.Since(began),
	}
	c.mu.Unlock()
	c.cfg.OnKex(e)
}
