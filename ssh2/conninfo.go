package ssh2

import (
	"net"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// ConnInfo describes a connection, as Conn.Info found it. It shares no memory
// with the connection except what is said to be shared.
type ConnInfo struct {
	LocalAddr, RemoteAddr net.Addr // of the connection below

	// LocalIdent and RemoteIdent are the idents that were exchanged, without
	// line ends, such as "SSH-2.0-OpenSSH_9.9 Debian"; see ParseIdent.
	LocalIdent, RemoteIdent string
	// Protocol, Software and Comments are the parts of RemoteIdent: "2.0",
	// "OpenSSH_9.9" and "Debian" (RFC 4253 section 4.2).
	Protocol, Software, Comments string
	// Greeting is what a server said before its ident, at most 8 KiB; on a client
	// only. Filter control characters before showing it.
	Greeting string
	// Quirks names the faults of the peer, as known by its ident, that are
	// worked around, such as "BAD_DHGEX".
	Quirks []string

	// SessionID is the exchange hash of the first key exchange (RFC 4253 section
	// 7.2). It must not be changed.
	SessionID []byte
	// Kex and HostKeyAlgorithm are what the last key exchange was done with.
	Kex, HostKeyAlgorithm string
	// HostKey is the server's host key, in either role. It is nil after a
	// GSS-API key exchange that needs none.
	HostKey gossh.PublicKey
	// In and Out are the algorithms for what we receive and send.
	In, Out Direction
	// Strict says whether strict key exchange is in force. Without it, an
	// attacker may have removed packets at the start of the connection
	// (CVE-2023-48795).
	Strict bool
	// Extensions are what the peer announced in EXT_INFO (RFC 8308), by name.
	// Map and values must not be changed.
	Extensions map[string][]byte
	// KeyExchanges counts them, the first included.
	KeyExchanges int

	User     string   // as logged in
	Methods  []string // authentication methods that succeeded, in order
	Identity any      // what the server's verdict said of the user
	// Limits are what the user may do, on a server. The library holds the user to
	// them, except for channel types and requests that only handlers know.
	Limits Limits

	// RTT is the shortest round trip measured so far; 0 is unknown.
	RTT time.Duration
	// Octets on the wire and packets, by direction.
	BytesIn, BytesOut     uint64
	PacketsIn, PacketsOut uint64
	Channels              int // open ones
	// NoMoreSessions says, on a server, that the client announced not to open
	// any more sessions. Further ones are refused.
	NoMoreSessions bool
	// Queued is the memory, in octets, that data received and not consumed
	// takes on all channels.
	Queued int64
}

// Direction has the algorithms for one direction of a connection.
type Direction struct {
	Cipher      string // as named in KEXINIT
	MAC         string // empty if the cipher authenticates by itself
	Compression string // "none" without
}

// Info returns a snapshot.
func (c *Conn) Info() ConnInfo {
	t, nc := c.t.Info(), c.t.NetConn()
	remote := ParseIdent(t.RemoteIdent)
	i := ConnInfo{
		LocalAddr:        nc.LocalAddr(),
		RemoteAddr:       nc.RemoteAddr(),
		LocalIdent:       t.LocalIdent,
		RemoteIdent:      t.RemoteIdent,
		Protocol:         remote.Protocol,
		Software:         remote.Software,
		Comments:         remote.Comments,
		Greeting:         t.Greeting,
		Quirks:           t.Quirks.Names(),
		SessionID:        t.SessionID,
		Kex:              t.Kex,
		HostKeyAlgorithm: t.HostKeyAlgorithm,
		HostKey:          t.HostKey,
		In:               Direction(t.In),
		Out:              Direction(t.Out),
		Strict:           t.Strict,
		Extensions:       t.Extensions,
		KeyExchanges:     t.KeyExchanges,
		User:             c.auth.User,
		Methods:          c.auth.Methods,
		Identity:         c.auth.Identity,
		Limits:           c.auth.Limits,
		RTT:              c.RTT(),
		BytesIn:          t.BytesIn,
		BytesOut:         t.BytesOut,
		PacketsIn:        t.PacketsIn,
		PacketsOut:       t.PacketsOut,
		Queued:           c.queued.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i.NoMoreSessions = c.noMoreSessions
	for _, ch := range c.channels {
		if ch != nil {
			i.Channels++
		}
	}
	return i
}

// An Ident is a parsed ident line (RFC 4253 section 4.2).
type Ident struct {
	Protocol string // "2.0" or "1.99"
	Software string // name and version, up to the first space
	Comments string // after it; often empty
}

// ParseIdent splits an ident such as ConnMeta.ClientIdent into its parts. If
// line is no ident, all of it is Comments. It is text of the peer: quote it in
// logs.
func ParseIdent(line string) Ident { return Ident(transport.ParseIdent(line)) }
