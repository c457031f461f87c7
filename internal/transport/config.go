// Package transport runs the SSH transport protocol (RFC 4253) for both roles
// with the same code: ident, key exchange, framing, encryption, rekeying and
// disconnection.
//
// One goroutine reads: it calls [Conn.Handshake] and then [Conn.Next] until an
// error. A second one, owned by the Conn, writes. Everyone may send; senders
// order their packets under one lock and seal them themselves, so that sealing
// uses as many cores as there are senders. Key exchange runs inline on the
// reader, which never waits for output.
//
// See docs/data-path.md for a picture.
package transport

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// Defaults of Config.
const (
	// DefaultIdentTimeout bounds the exchange of idents.
	DefaultIdentTimeout = 30 * time.Second
	// DefaultKexTimeout bounds one key exchange.
	DefaultKexTimeout = 60 * time.Second
	// DefaultRekeyInterval is the hour of RFC 4253 section 9.
	DefaultRekeyInterval = time.Hour
	// DefaultRekeyPackets keeps sequence numbers from repeating under one key
	// with a wide margin (RFC 4344 section 3.1 asks for 2^31).
	DefaultRekeyPackets = 1 << 31
	// DefaultMinRSABits is the smallest RSA key accepted.
	DefaultMinRSABits = 2048

	// maxKeyPackets is the hard end of a key: no packet goes out or is taken
	// under one key beyond it, since sequence numbers have 32 bits.
	maxKeyPackets = 1 << 32
	// flushTime is how long the last words of a connection may take.
	flushTime = time.Second
)

// Config says how a connection behaves. It must not be changed while in use.
// Lists of names are resolved: in order of preference, every name known.
type Config struct {
	// Role says which end this is. Required.
	Role msg.Role
	// Version is our ident without CR and LF, such as "SSH-2.0-Fairlead_0.1".
	Version string

	Kex      []string
	HostKeys []string // host key algorithms
	Ciphers  []string
	MACs     []string
	Compress []string // nil means "none"

	// Signers returns the host keys of a server. It is asked once for each
	// connection, by New, so that keys can be replaced while the server runs
	// and a connection still shows the same key whenever it exchanges keys.
	Signers func() []gossh.Signer
	// HostKey judges the server's host key on a client, once, in the first
	// key exchange; later exchanges must show the same key. Nil refuses. It may
	// ask a person: KexTimeout does not run meanwhile.
	HostKey func(ctx context.Context, algorithm string, key gossh.PublicKey) error
	// GSS has the mechanisms for the gss- methods in Kex.
	GSS []GSSMechanism
	// MinRSABits is the smallest RSA host key a client accepts; 0 means
	// DefaultMinRSABits.
	MinRSABits int
	// Moduli are the groups a server offers in group exchange; nil means the
	// built-in ones.
	Moduli *kex.Moduli

	// A key exchange starts when any of these is reached in either direction;
	// 0 means the default: what the cipher bears, DefaultRekeyPackets,
	// DefaultRekeyInterval. A negative interval switches the timer off.
	RekeyBytes    uint64
	RekeyPackets  uint64
	RekeyInterval time.Duration

	IdentTimeout time.Duration // 0 means DefaultIdentTimeout
	KexTimeout   time.Duration // 0 means DefaultKexTimeout
	StallTimeout time.Duration // see Conn.SetStallTimeout; 0 means none

	// Strict says what is made of strict key exchange.
	Strict StrictKex
	// OnKex is told of each key exchange that is over, on the reader's goroutine:
	// it must not block. Nil costs nothing.
	OnKex func(*KexEvent)

	// OnIdent is told of the peer's ident before it is judged, on the reader's
	// goroutine: it must not block. Nil costs nothing.
	OnIdent func(ident string)

	// Greeting is what a server says before its ident: whole lines.
	Greeting string
	// Greeted gets what the server said before its ident, on the reader's
	// goroutine: at most 8 KiB of it, lines that end in LF. It is text of the
	// peer, with whatever control characters are in it.
	Greeted func(string)
	// Admit judges the client's ident on a server.
	Admit func(ident string) error
	// Choose returns the algorithms to offer to a client with that ident. Our
	// KEXINIT then waits for the ident, instead of going along with our own.
	Choose func(ident string) (*Algorithms, error)

	// Extensions are announced in EXT_INFO (RFC 8308) to peers that ask.
	Extensions []msg.Extension

	// Log receives debug lines; nil discards them.
	Log *slog.Logger
	// PacketLog sees every packet in clear, on the goroutine that handles it;
	// nil costs nothing. Secrets are masked when a packet is printed. It may be
	// called by several goroutines at once and must neither send nor close:
	// others wait for the packet in its hands.
	PacketLog func(*PacketEvent)
}

// Algorithms are the lists of a Config that can be chosen for a client.
type Algorithms struct {
	Kex, HostKeys, Ciphers, MACs, Compress []string
}

// choose sets the algorithms for the client with that ident.
func (c *Conn) choose(ident string) error {
	a, err := c.cfg.Choose(ident)
	if err != nil || a == nil {
		return err
	}
	c.cfg.Kex, c.cfg.HostKeys, c.cfg.Ciphers, c.cfg.MACs, c.cfg.Compress = a.Kex, a.HostKeys, a.Ciphers, a.MACs, a.Compress
	return c.checkConfig()
}

// checkConfig refuses names of algorithms that nobody knows, before anything
// is sent: leaving them out could leave the weaker ones.
func (c *Conn) checkConfig() error {
	for _, l := range []struct {
		what  string
		names []string
		known func(string) bool
	}{
		{"key exchange", c.cfg.Kex, func(n string) bool { _, _, ok := c.findMethod(n); return ok }},
		{"host key algorithm", c.cfg.HostKeys, func(n string) bool { _, ok := findHostAlgorithm(n); return ok }},
		{"cipher", c.cfg.Ciphers, func(n string) bool { _, ok := seal.FindCipher(n); return ok }},
		{"MAC", c.cfg.MACs, func(n string) bool { _, ok := seal.FindMAC(n); return ok }},
		{"compression", c.cfg.Compress, func(n string) bool { _, ok := findCompression(n); return ok }},
	} {
		for _, n := range l.names {
			if !l.known(n) {
				return fmt.Errorf("ssh2: config: %s %+q: unknown", l.what, n)
			}
		}
	}
	return nil
}

// or returns v unless it is zero, and d then.
func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
