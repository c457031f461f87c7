package sftpserver

import (
	"context"
	"log/slog"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// Options are the settings of a Server. The zero value of each field is its
// default, except where [New] says otherwise. Set them before Start and leave
// them alone afterwards; what can be changed while the server listens is changed
// by methods. Each field is also reached by name, through Server.Config.
type Options struct {
	// LocalHost is the address to listen on; empty means all addresses of IPFamily.
	// Prefer addresses to names.
	LocalHost string
	// LocalPort is the TCP port to listen on; 0 lets the system choose (see
	// Server.Addr). New sets 22.
	LocalPort int
	// IPFamily says which version of IP to listen on.
	IPFamily IPFamily
	// ConnectionBacklog is how many connections the system keeps that are established and not accepted
	// yet; 0 means the most the system allows, and it may take another number. On Windows this is a
	// hint that is not taken.
	ConnectionBacklog int
	// ShareAddress lets other processes of this user bind the same address and port, if they want
	// that too (SO_REUSEPORT; on Windows SO_REUSEADDR, and SO_EXCLUSIVEADDRUSE without). Where the system
	// cannot do that, Start fails.
	ShareAddress bool
	// MaxConnections is the most connections at a time, at most 100000; 0 means
	// DefaultMaxConnections. The client beyond is told DISCONNECT "too many connections", counted by
	// Server.Refused, and reported as ErrTooManyConnections, at most once a second.
	MaxConnections int
	// MaxStartups is the most of them whose users have not logged in yet, at most 100000; 0 means
	// ssh2.DefaultMaxStartups. From half of it on some of those that come are refused at random, so that
	// whoever fills it up keeps nobody out for good.
	MaxStartups int
	// AllowedClients are who may connect: addresses, networks ("10.0.0.0/8"), host names,
	// with "*" for any text. Empty means everybody. Names cost a reverse look-up for
	// each connection, which takes up to 5 s and ends in a refusal if it fails, and count if the
	// name leads back to the address; prefer addresses. The ConnectionRequest event has the last word.
	AllowedClients []string
	// BlockedClients are who may not, even if AllowedClients has them. A client that has no
	// name, or whose look-up fails, is not blocked by names: whoever has the address decides what the
	// look-up gives, so that to refuse would stop no attacker, but everybody else while name servers are out
	// of reach. The failure is reported to the Error event. What must be kept out is blocked by its addresses.
	BlockedClients []string
	// InBufferSize and OutBufferSize are the sizes of each socket's buffers in octets; 0
	// means what the system has, which may also take another number.
	InBufferSize, OutBufferSize int
	// KeepAliveTime is the silence before the first TCP keep-alive probe,
	// KeepAliveInterval the time between probes, KeepAliveRetryCount how many go
	// unanswered before the client counts as gone; 0 means 15 s, 15 s and 9, as package net has
	// them, negative what the system has. Times are rounded up to seconds.
	KeepAliveTime, KeepAliveInterval time.Duration
	KeepAliveRetryCount              int
	// Nagle lets TCP gather small packets (TCP_NODELAY off).
	Nagle bool

	// DefaultTimeout is how long a client may keep output waiting without taking any of
	// it, and a packet that it began without sending more of it; 0 means DefaultIOTimeout, negative
	// no limit. It may be noticed half as much later. A client that owes nothing may be silent. See also
	// Connection.SetTimeout.
	DefaultTimeout time.Duration
	// DefaultIdleTimeout ends a connection on which nothing has passed for so long; 0 means never.
	DefaultIdleTimeout time.Duration
	// LoginTimeout is how long a client may take to log in, from the Connected event on; 0 means the
	// defaults of ssh2.Timeouts for each step.
	LoginTimeout time.Duration

	// HostKeys sign key exchanges: one per algorithm. At least one is needed,
	// from here, from SSHCert or from the Connected event.
	HostKeys []gossh.Signer
	// Profile says what the lists of algorithms begin with.
	Profile ssh2.Profile
	// The algorithms to offer, most preferred first; "" means those of Profile.
	Ciphers, MACs, KeyExchanges, HostKeyAlgorithms, Compression ssh2.AlgList
	// PublicKeyAlgorithms are the signature algorithms taken from users; "" means those of Profile.
	PublicKeyAlgorithms ssh2.AlgList
	// StrictKex says what is made of strict key exchange.
	StrictKex ssh2.StrictKex
	// KeyRenegotiationThreshold is how many octets pass in a direction before keys are
	// exchanged anew; 0 means DefaultRekey.
	KeyRenegotiationThreshold uint64
	// SSHKeepAliveInterval is the silence after which a client is asked for a sign of life; 0
	// asks none. SSHKeepAliveCountMax is how many may go unanswered; 0 means 3.
	SSHKeepAliveInterval time.Duration
	SSHKeepAliveCountMax int
	// ServerVersion is the ident sent to clients, beginning with "SSH-2.0-"; empty means ssh2's own.
	ServerVersion string
	// ClientVersionPatterns are what a client's ident must match one of, with "*" for
	// any text; empty admits all.
	ClientVersionPatterns []string

	// AuthMethods are announced to clients; nil means password and publickey.
	AuthMethods []string
	// KeyboardInteractiveMessage is shown above the prompts of keyboard-interactive.
	KeyboardInteractiveMessage string
	// KeyboardInteractivePrompts are what keyboard-interactive asks, unless the UserAuth
	// event sets others for its connection.
	KeyboardInteractivePrompts []ssh2.Prompt
	// MaxAuthAttempts is how many refusals end a connection; 0 means ssh2.DefaultMaxTries. The "none"
	// with which clients begin and keys that are merely offered do not count.
	MaxAuthAttempts int
	// FireAuthRequestAfterSig fires UserAuth once more, with the method "sigstatus", when the signature of
	// a publickey login was checked.
	FireAuthRequestAfterSig bool
	// TrustedUserCAKeys are the authorities whose OpenSSH certificates let users in; without any, all certificates are refused. The
	// UserAuth event is asked about those that are good: see UserAuthEvent.Certificate.
	TrustedUserCAKeys []gossh.PublicKey
	// CertPrincipals returns the principals of which a certificate needs one to log in as user; none keeps
	// certificates out. It is called for names that do not exist, too, by any goroutine. Nil stands for the name itself.
	CertPrincipals func(user string) []string
	// RevokedKeys let nobody in any more: keys, bare or in a certificate, authorities, and single certificates.
	RevokedKeys []gossh.PublicKey
	// UserAuthBanner is shown to clients before they log in; empty is none.
	UserAuthBanner string

	// RootDirectory is the local directory that clients see as "/". The server then does
	// everything itself, and events observe, veto and correct. Empty, and without a
	// FileSystem, the handlers have to supply everything.
	RootDirectory string
	// FileSystem, if not nil, makes the file system of a session in place of RootDirectory.
	FileSystem func(context.Context, *Connection) (sftp.FileSystem, error)
	// WrapFileSystem, if not nil, is given the file system of each session when the session begins, and
	// returns what is used in its place: within a quota, with a log, or not at all. An error
	// refuses the session, whose end is that of the context.
	WrapFileSystem func(context.Context, *Connection, sftp.FileSystem) (sftp.FileSystem, error)
	// RestrictUserToHomeDir confines users to their home directory and what is below. Paths
	// stay as seen from the root.
	RestrictUserToHomeDir bool
	// ReadOnly refuses whatever would change anything.
	ReadOnly bool
	// Policy says what may be done, and to which names; nil restricts nothing.
	Policy *sftp.Policy
	// ProtocolVersion is the highest version of SFTP spoken, 3 to 6; 0 means 3.
	ProtocolVersion int
	// ServerEOL is the line end of text files, announced from version 4 on: "\n", "\r\n" or
	// "\r"; empty means "\n".
	ServerEOL string
	// DirListBufferSize is how many entries one READDIR reply has at most; 0 means 100.
	DirListBufferSize int
	// PlainDates writes dates of long names as 2006-01-02 15:04 instead of the way of ls.
	PlainDates bool
	// NoDotEntries leaves "." and ".." out of listings.
	NoDotEntries bool
	// CodePage is the Windows code page of file names; 0 means UTF-8.
	CodePage int
	// Limits bound what one session may take.
	Limits sftp.Limits
	// Extensions are the extended requests offered; nil offers all, see sftp.Server.
	Extensions []string

	// ConcurrentEvents lets the events of one connection be delivered at the same time:
	// faster with slow storage, but handlers then need locks and see requests in any order.
	ConcurrentEvents bool

	// LogLevel says what the Log event and Logger get. New sets LogInfo.
	LogLevel LogLevel
	// Logger also gets what the Log event gets, as records with the attributes connection, user and
	// remote: of slog.LevelInfo and above what LogInfo has, of slog.LevelDebug what LogVerbose adds,
	// of slog.LevelDebug-4 what LogDebug adds. Nil gets nothing. It is called as events are: see Events.
	Logger *slog.Logger
	// LogSecrets shows in the octets of LogDebug what is masked otherwise: passwords, answers of
	// keyboard-interactive, cookies of X11 and environment variables. Leave it off.
	LogSecrets bool
}

// Defaults of settings whose zero value means one.
const (
	DefaultMaxConnections = 1000
	DefaultIOTimeout      = 60 * time.Second
	DefaultRekey          = 1 << 30 // octets
	defaultVersion        = 3
	defaultListEntries    = 100
)

// IPFamily says which versions of IP to use (UseIPv6).
type IPFamily int

// The families.
const (
	IPv4     IPFamily = 0
	IPv6     IPFamily = 1
	IPv4And6 IPFamily = 2
)

// network is the name of the family for package net.
func (f IPFamily) network() string {
	switch f {
	case IPv6:
		return "tcp6"
	case IPv4And6:
		return "tcp"
	default:
		return "tcp4"
	}
}

// LogLevel says how much is logged.
type LogLevel int

// The levels; each has what those before it have.
const (
	LogNone    LogLevel = 0 // nothing
	LogInfo    LogLevel = 1 // what happens: connections, logins, key exchanges
	LogVerbose LogLevel = 2 // each packet and each request, one line each, without content of files
	LogDebug   LogLevel = 3 // the first DumpLimit octets of each packet, secrets masked
)
