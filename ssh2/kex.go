package ssh2

import (
	"time"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// StrictKex says whether strict key exchange (OpenSSH's PROTOCOL, section 1.10)
// is offered or required. Without it an attacker on the network can remove
// packets from the start of a connection (CVE-2023-48795, "Terrapin").
type StrictKex uint8

const (
	// StrictKexOffer offers it, and uses it if the peer offers it too.
	StrictKexOffer = StrictKex(transport.StrictOffer)
	// StrictKexOff does not offer it. For tests, and for peers that fail when
	// it is offered.
	StrictKexOff = StrictKex(transport.StrictOff)
	// StrictKexOrSafe is StrictKexOffer; but with a peer that does not offer it
	// neither chacha20-poly1305 nor a CBC cipher with an ETM MAC may be agreed on.
	// If the lists of both sides lead there, the connection ends with a
	// *StrictKexError: put the AES-GCM and CTR ciphers first.
	StrictKexOrSafe = StrictKex(transport.StrictOrSafe)
	// StrictKexRequire ends the connection with a *StrictKexError if the peer
	// does not offer it.
	StrictKexRequire = StrictKex(transport.StrictRequire)
)

// String returns "offer", "off", "or-safe" or "require".
func (s StrictKex) String() string {
	switch s {
	case StrictKexOffer:
		return "offer"
	case StrictKexOff:
		return "off"
	case StrictKexOrSafe:
		return "or-safe"
	case StrictKexRequire:
		return "require"
	}
	return "unknown"
}

// KexReason says why a key exchange began.
type KexReason uint8

// The reasons. The limits are those of RekeyLimits.
const (
	KexFirst    = KexReason(transport.KexFirst)    // the connection began
	KexPeer     = KexReason(transport.KexPeer)     // the peer began it
	KexCall     = KexReason(transport.KexCall)     // Conn.Rekey was called
	KexBytes    = KexReason(transport.KexBytes)    // RekeyLimits.Bytes, or what the cipher bears
	KexPackets  = KexReason(transport.KexPackets)  // RekeyLimits.Packets
	KexInterval = KexReason(transport.KexInterval) // RekeyLimits.Interval
)

// String returns "first", "peer", "call", "bytes", "packets" or "interval".
func (r KexReason) String() string {
	switch r {
	case KexFirst:
		return "first"
	case KexPeer:
		return "peer"
	case KexCall:
		return "call"
	case KexBytes:
		return "bytes"
	case KexPackets:
		return "packets"
	case KexInterval:
		return "interval"
	}
	return "unknown"
}

// KexInfo describes a completed key exchange (RFC 4253 sections 7 to 9).
type KexInfo struct {
	// Number counts the exchanges of the connection: 1 is the first, all later
	// ones are rekeyings.
	Number int
	// Reason says why it began, and whether the peer began it.
	Reason KexReason

	Kex              string    // the method
	HostKeyAlgorithm string    // what the server signed by
	In, Out          Direction // the algorithms for what we receive and send
	Strict           bool      // strict key exchange is in force
	// Duration is the time from when our side queued its KEXINIT until the new
	// keys were in use in both directions.
	Duration time.Duration
}

// kexListener returns what calls OnKex, nil if nobody listens.
func (c *Config) kexListener() func(*transport.KexEvent) {
	if c.OnKex == nil {
		return nil
	}
	return func(e *transport.KexEvent) {
		c.OnKex(KexInfo{
			Number: e.Number, Reason: KexReason(e.Reason),
			Kex: e.Kex, HostKeyAlgorithm: e.HostKeyAlgorithm,
			In: Direction(e.In), Out: Direction(e.Out),
			Strict: e.Strict, Duration: e.Duration,
		})
	}
}
