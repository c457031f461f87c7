package ssh2

import (
	"errors"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// Version is the software part of the ident sent when Config.Version is empty.
const Version = "Fairlead_0.1"

// An AlgList is a preference list of algorithms: "" for those of
// Config.Profile, "a,b" for exactly these, or edits of the profile's: "+a"
// appends, "-b*" removes, "^c" puts first. An unknown name is an error when the
// connection or server starts, since a list with a misspelled name may allow
// less, or more, than it seems to.
type AlgList string

// Config is what clients and servers have in common. Its zero value has safe
// defaults. It must not be changed while in use.
type Config struct {
	// The algorithms to offer, most preferred first.
	KeyExchanges, HostKeyAlgorithms, Ciphers, MACs AlgList
	// Compression lists compression methods in the same way. The default is
	// "none" alone; "zlib@openssh.com", which begins after login, and "zlib",
	// which begins with the first keys, are used when named:
	// "^zlib@openssh.com" on a client prefers it, "+zlib@openssh.com" on a
	// server allows it. It pays on slow links only, and lets an observer of
	// packet lengths draw conclusions about their content. It takes about 850
	// KiB at each end of a connection that uses it.
	Compression AlgList
	// Profile says what the lists begin with when they are empty or edits.
	Profile Profile

	// StrictKex says whether strict key exchange is offered or required. The
	// zero value offers it.
	StrictKex StrictKex
	// OnIdent is called with the peer's ident (RFC 4253 section 4.2) when it
	// has arrived, before it is acted upon; see ParseIdent. It is text of the
	// peer. The call is on the goroutine that reads the connection and must not
	// block. Nil costs nothing.
	OnIdent func(ident string)
	// OnKex is called after each key exchange, the first one included, before
	// anything that arrived under the new keys is handled. The call is on the
	// goroutine that reads the connection: it must not block, nor call methods
	// that wait for the peer. Nil costs nothing.
	OnKex func(KexInfo)

	Rekey     RekeyLimits  // when keys are exchanged anew
	Windows   WindowLimits // how much may be under way to us
	KeepAlive KeepAlive    // how dead peers are found
	Timeouts  Timeouts     // how long the phases before use may take

	// MinRSABits is the smallest RSA key accepted of the peer; 0 means 2048.
	MinRSABits int

	// Version is the software part of our ident, without "SSH-2.0-"; empty
	// means the constant Version. It must be printable ASCII without spaces and
	// minus signs (RFC 4253 section 4.2).
	Version string

	// Log receives messages for operators; nil discards them.
	Log *slog.Logger
	// PacketLog sees every packet in clear, on the goroutine that handles it.
	// Nil costs nothing. It must not block, send or close; several goroutines
	// may call it at once. Secrets are masked when an event is printed, but its
	// Payload contains them.
	PacketLog func(*PacketEvent)
}

// A PacketEvent is one packet, as Config.PacketLog sees it.
type PacketEvent = transport.PacketEvent

// RekeyLimits say when keys are exchanged anew; whatever is reached first, in
// either direction, starts a key exchange. Zero values mean as many octets as
// are safe with the cipher, 2^31 packets, and an hour (RFC 4253 section 9, RFC
// 4344 section 3).
type RekeyLimits struct {
	Bytes    uint64        // octets on the wire
	Packets  uint64        // at most 2^31 make sense
	Interval time.Duration // negative: never by time
}

// WindowLimits bound the data that a peer may send before it has been consumed
// (RFC 4254 section 5.2). A channel starts with Initial octets and doubles its
// window, up to Maximum, while the window is what limits its speed. Memory is
// used for data that has arrived and not been consumed, not for the window as
// such.
type WindowLimits struct {
	Initial uint32 // 0 means 2 MiB
	Maximum uint32 // 0 means 64 MiB; never below Initial, never above 1 GiB
	// PerConnection and PerProcess bound the octets by which windows may have
	// grown beyond Initial, summed over the channels of one connection (0
	// means 256 MiB) and of all connections that share the process (0 means
	// 1 GiB). A growth that would exceed either does not happen.
	PerConnection, PerProcess int64
}

// KeepAlive detects dead peers. When nothing at all arrived for Interval, a
// keepalive@openssh.com request is sent; after Count of them without any packet
// in return the connection ends with a *DeadPeerError. While queued output
// makes progress on a slow link, the peer counts as alive.
type KeepAlive struct {
	Interval time.Duration // 0 means 15 s, negative switches it off
	Count    int           // 0 means 3
}

// Timeouts bound the phases before a connection is usable, and how long it may
// then be stalled or idle. Zero values mean the defaults. A client's context
// applies in addition.
type Timeouts struct {
	Ident time.Duration // 0 means 30 s
	Kex   time.Duration // each key exchange, from when our KEXINIT has left; 0 means 60 s
	Auth  time.Duration // all of authentication; 0 means 2 min on servers, none on clients
	// Login bounds all of them together, on servers; 0 means no bound but theirs.
	Login time.Duration
	// Stall ends a connection, with a *TimeoutError, if for so long the peer
	// accepts none of the output that waits for it, or sends nothing more of a
	// packet that it began. It may be noticed up to half as much later. Over a
	// connection that is not a socket of the system, such as TLS, output counts
	// as accepted only in pieces of some hundred KiB. 0 means never.
	Stall time.Duration
	// Idle ends a connection, with a *TimeoutError, if for so long no data of
	// any channel has passed; keepalives and key exchanges do not count. It may
	// be noticed 1/16 later. 0 means never.
	Idle time.Duration
}

const (
	defaultInitialWindow = 2 << 20
	defaultMaximumWindow = 64 << 20
	defaultPerConnection = 256 << 20
	defaultPerProcess    = 1 << 30
	// Some peers keep windows in signed 32-bit integers, so stay well below.
	maximumWindow = 1 << 30

	defaultKeepAliveInterval = 15 * time.Second
	defaultKeepAliveCount    = 3
	defaultServerAuthTimeout = 2 * time.Minute
)

// offer is the algorithm lists of a Config, resolved.
type offer struct{ kex, hostKeys, ciphers, macs, compress []string }

// resolve turns the preference lists into names, or says which name is wrong.
// The gss- methods are known for the given mechanisms only, and then stand in
// front: who has Kerberos wants to know hosts by it.
func (c *Config) resolve(gss ...[]byte) (o offer, err error) {
	if err := c.Profile.check(); err != nil {
		return offer{}, err
	}
	worst := c.Profile.worst()
	kexRows, hostRows := kex.Rows(), transport.HostKeyAlgorithms()
	ciphers, macs, compress := slices.Collect(seal.Ciphers()), slices.Collect(seal.MACs()), transport.Compressions()
	for _, oid := range slices.Backward(gss) {
		kexRows = append(kex.GSSRows(oid), kexRows...)
	}
	for _, l := range []struct {
		what            string
		spec            AlgList
		known, defaults []string
		to              *[]string
	}{
		{"key exchanges", c.KeyExchanges, alg.Names(kexRows), alg.UpTo(worst, kexRows), &o.kex},
		{"host key algorithms", c.HostKeyAlgorithms, alg.Names(hostRows), alg.UpTo(worst, hostRows), &o.hostKeys},
		{"ciphers", c.Ciphers, alg.Names(ciphers), alg.UpTo(worst, ciphers), &o.ciphers},
		{"macs", c.MACs, alg.Names(macs), alg.UpTo(worst, macs), &o.macs},
		{"compression", c.Compression, alg.Names(compress), alg.Defaults(compress), &o.compress}, // whatever the profile
	} {
		names, err := alg.Resolve(string(l.spec), l.known, l.defaults)
		if err != nil {
			return offer{}, &ConfigError{l.what, err}
		}
		*l.to = slices.Clip(names)
	}
	return o, nil
}

// transport returns the transport's part of the configuration.
func (c *Config) transport(role msg.Role, o offer) (*transport.Config, error) {
	version := c.Version
	if version == "" {
		version = Version
	}
	for i := range len(version) {
		if version[i] <= ' ' || version[i] >= 0x7F || version[i] == '-' {
			return nil, &ConfigError{"version", errVersion}
		}
	}
	if c.StrictKex > StrictKexRequire {
		return nil, &ConfigError{"strict kex", errors.New("unknown mode")}
	}
	return &transport.Config{
		Role:          role,
		Strict:        transport.StrictKex(c.StrictKex),
		OnIdent:       c.OnIdent,
		OnKex:         c.kexListener(),
		Version:       "SSH-2.0-" + version,
		Kex:           o.kex,
		HostKeys:      o.hostKeys,
		Ciphers:       o.ciphers,
		MACs:          o.macs,
		Compress:      o.compress,
		MinRSABits:    c.MinRSABits,
		RekeyBytes:    c.Rekey.Bytes,
		RekeyPackets:  c.Rekey.Packets,
		RekeyInterval: c.Rekey.Interval,
		IdentTimeout:  c.Timeouts.Ident,
		KexTimeout:    c.Timeouts.Kex,
		StallTimeout:  max(c.Timeouts.Stall, 0),
		Log:           c.Log,
		PacketLog:     c.PacketLog,
	}, nil
}

// logger returns Log, or one that discards.
func (c *Config) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// withDefaults returns the limits with every zero replaced and nothing out of
// range.
func (w WindowLimits) withDefaults() WindowLimits {
	orDefault(&w.Initial, defaultInitialWindow)
	orDefault(&w.Maximum, defaultMaximumWindow)
	orDefault(&w.PerConnection, defaultPerConnection)
	orDefault(&w.PerProcess, defaultPerProcess)
	w.Initial = min(w.Initial, maximumWindow)
	w.Maximum = min(max(w.Maximum, w.Initial), maximumWindow)
	return w
}

func (k KeepAlive) withDefaults() KeepAlive {
	orDefault(&k.Interval, defaultKeepAliveInterval)
	orDefault(&k.Count, defaultKeepAliveCount)
	if k.Interval < 0 {
		k.Interval = math.MaxInt64
	}
	return k
}

// orDefault sets *v to d if it is zero.
func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
