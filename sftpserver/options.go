package sftpserver

import (
	"context"
	"log/slog"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// Options are the settings of a Server. The zero value of each field is its default, except where New sets another. Set
// them before Start and do not change them while the server listens: [Server.Update] changes them then, for connections
// that come later. Each field can also be set by name, with [Server.Config].
type Options struct {
	// LocalHost is the address to listen on; empty means all addresses of IPFamily.
	// Prefer addresses to names.
	LocalHost string
	// LocalPort is the TCP port to listen on; 0 lets the system choose (see
	// Server.Addr). New sets 22.
	LocalPort int
	// IPFamily says which version of IP to listen on.
	IPFamily IPFamily
	// ConnectionBacklog is how many connections the operating system queues that are established but not accepted yet;
	// 0 means the most that it allows. It may use another number; on Windows this setting has no effect.
	ConnectionBacklog int
	// ShareAddress lets other processes of this user bind the same address and port if they set it too (SO_REUSEPORT;
	// on Windows SO_REUSEADDR, while without it SO_EXCLUSIVEADDRUSE is set). Where the system does not support that,
	// Start fails.
	ShareAddress bool
	// MaxConnections is the most connections at a time, at most 100000; 0 means DefaultMaxConnections. A client beyond
	// that gets DISCONNECT "too many connections", is counted by Server.Refused, and is reported as
	// ErrTooManyConnections, at most once a second.
	MaxConnections int
	// MaxStartups is the most of them whose users have not logged in yet, at most 100000; 0 means
	// ssh2.DefaultMaxStartups. From half of it on, some new connections are refused at random, so that an attacker who
	// keeps connections open cannot lock everybody out.
	MaxStartups int
	// AllowedClients are who may connect: addresses, networks ("10.0.0.0/8"), host names, with "*" for any text. Empty
	// means everybody. Names cost a reverse look-up for each connection, which takes up to 5 s; if it fails, the client
	// is refused, and a name counts only if it resolves to the address again. Prefer addresses. The ConnectionRequest
	// event makes the final decision.
	AllowedClients []string
	// BlockedClients are refused even if AllowedClients has them. A client without a name, or whose look-up fails, is
	// not blocked by host names: the owner of an address controls its name, so refusing would not stop an attacker, but
	// would lock everybody out while name servers are unreachable. The failure is reported by the Error event. Block by
	// addresses what must be kept out.
	BlockedClients []string
	// InBufferSize and OutBufferSize are the sizes of each socket's buffers in octets; 0 leaves them to the system,
	// which may also use other sizes than those given here.
	InBufferSize, OutBufferSize int
	// KeepAliveTime is the silence before the first TCP keep-alive probe, KeepAliveInterval the time between probes,
	// KeepAliveRetryCount how many go unanswered before the client counts as gone; 0 means 15 s, 15 s and 9, the
	// defaults of package net; negative leaves the system's settings. Times are rounded up to seconds.
	KeepAliveTime, KeepAliveInterval time.Duration
	KeepAliveRetryCount              int
	// Nagle lets TCP gather small packets (TCP_NODELAY off).
	Nagle bool

	// DefaultTimeout is for how long a client may accept no output that waits for it, or send nothing more of a packet
	// that it began; 0 means DefaultIOTimeout, negative no limit. It may be noticed up to half as much later. It does
	// not apply to idle clients: see DefaultIdleTimeout. See also Connection.SetTimeout.
	DefaultTimeout time.Duration
	// DefaultIdleTimeout ends a connection on which nothing has passed for so long; 0 means never.
	DefaultIdleTimeout time.Duration
	// LoginTimeout is how long a client may take to log in, from the Connected event on; 0 means the
	// defaults of ssh2.Timeouts for each step.
	LoginTimeout time.Duration

	// UploadRate and DownloadRate are the most octets of SFTP that a connection moves in a second, to the server and from it; 0
	// means no limit. See also Connection.SetRates.
	UploadRate, DownloadRate int64
	// TotalUploadRate and TotalDownloadRate are the same for all connections together, which share them evenly.
	TotalUploadRate, TotalDownloadRate int64

	// HostKeys sign key exchanges: one per algorithm. At least one is needed,
	// from here, from SSHCert or from the Connected event.
	HostKeys []gossh.Signer
	// Profile chooses the default lists of algorithms.
	Profile ssh2.Profile
	// The algorithms to offer, most preferred first; "" means those of Profile.
	Ciphers, MACs, KeyExchanges, HostKeyAlgorithms, Compression ssh2.AlgList
	// PublicKeyAlgorithms are the signature algorithms taken from users; "" means those of Profile.
	PublicKeyAlgorithms ssh2.AlgList
	// StrictKex says whether strict key exchange is offered or required.
	StrictKex ssh2.StrictKex
	// KeyRenegotiationThreshold is how many octets pass in a direction before keys are
	// exchanged anew; 0 means DefaultRekey.
	KeyRenegotiationThreshold uint64
	// SSHKeepAliveInterval is the silence after which the server sends a keep-alive request; 0 sends none.
	// SSHKeepAliveCountMax is how many may go unanswered before the client counts as gone; 0 means 3.
	SSHKeepAliveInterval time.Duration
	SSHKeepAliveCountMax int
	// ServerVersion is the ident sent to clients, beginning with "SSH-2.0-"; empty means ssh2's own.
	ServerVersion string
	// ClientVersionPatterns are patterns, with "*" for any text, one of which a client's ident must match; empty means
	// DefaultClientVersionPatterns.
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
	// TrustedUserCAKeys are the authorities whose OpenSSH certificates let users in; without any, all certificates are
	// refused. The UserAuth event is fired for those that are valid: see UserAuthEvent.Certificate.
	TrustedUserCAKeys []gossh.PublicKey
	// CertPrincipals returns the principals of which a certificate must have one to log in as user; if it returns none,
	// no certificate is accepted for that user. It is called also for users that do not exist, by any goroutine. Nil
	// means the user name itself.
	CertPrincipals func(user string) []string
	// RevokedKeys are refused: keys, bare or in a certificate, authorities, and single certificates.
	RevokedKeys []gossh.PublicKey
	// UserAuthBanner is shown to clients before they log in; empty is none.
	UserAuthBanner string

	// RootDirectory is the local directory that clients see as "/". The server then does everything itself, and event
	// handlers observe, veto and correct. If it is empty and FileSystem is nil, the handlers have to supply everything.
	RootDirectory string
	// FileSystem, if not nil, makes the file system of a session in place of RootDirectory.
	FileSystem func(context.Context, *Connection) (sftp.FileSystem, error)
	// WrapFileSystem, if not nil, is given the file system of each session when the session begins, and returns the one
	// to use in its place, such as one with a quota. An error refuses the session. The context ends with the session.
	// An error of it ends the session and is logged, as a warning if its ErrorCode is 10053: the user's own doing.
	WrapFileSystem func(context.Context, *Connection, sftp.FileSystem) (sftp.FileSystem, error)
	// RestrictUserToHomeDir confines users to their home directory and what is below. Paths
	// stay as seen from the root.
	RestrictUserToHomeDir bool
	// ReadOnly refuses every request that would change anything.
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
	// PlainDates writes the dates in long names as 2006-01-02 15:04 instead of the way ls does.
	PlainDates bool
	// NoDotEntries leaves "." and ".." out of listings.
	NoDotEntries bool
	// CodePage is the Windows code page of file names; 0 means UTF-8.
	CodePage int
	// Limits bound what one session may take.
	Limits sftp.Limits
	// Extensions are the extended requests offered; nil offers all, see sftp.Server.
	Extensions []string

	// ConcurrentEvents lets the events of one connection be delivered concurrently. That is faster with slow storage,
	// but handlers then need locks and see requests in any order.
	ConcurrentEvents bool

	// LogLevel says what the Log event and Logger get. New sets LogInfo.
	LogLevel LogLevel
	// Logger, if not nil, gets the same lines as the Log event, as records with the attributes connection, user and
	// remote: LogInfo's at slog.LevelInfo and above, those that LogVerbose adds at slog.LevelDebug, those that LogDebug
	// adds at slog.LevelDebug-4. It is called in the same way as events: see Events.
	Logger *slog.Logger
	// LogSecrets includes in the octets of LogDebug what is otherwise masked: passwords, answers of
	// keyboard-interactive, X11 cookies and environment variables. Leave it off.
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

// The levels. Each one includes those before it.
const (
	LogNone    LogLevel = 0 // nothing
	LogInfo    LogLevel = 1 // what happens: connections, logins, key exchanges
	LogVerbose LogLevel = 2 // each packet and each request, one line each, without content of files
	LogDebug   LogLevel = 3 // the first DumpLimit octets of each packet, secrets masked
)
