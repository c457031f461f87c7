package ssh2

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// Defaults and bounds of authentication.
const (
	// DefaultMaxTries is how many requests a client may fail with before the
	// server ends the connection (RFC 4252 section 4 recommends 20 at most).
	DefaultMaxTries = 6
	// DefaultMinFailureDelay is how long a refusal takes at least.
	DefaultMinFailureDelay = 100 * time.Millisecond
	// MaxSecret is the longest password or answer that a handler gets to see,
	// in octets. A longer one is refused unread: hashing megabytes is work
	// that a client could order for free.
	MaxSecret = 1 << 10
	// MaxUserName is the longest user name that a handler gets to see, in octets.
	MaxUserName = 1 << 10

	// maxAuthMessages bounds what a client may send before it is let in,
	// whether it failed or not: key queries, partial successes, password
	// changes and answers are not failures, and all of them cost.
	maxAuthMessages = 128
	// maxAuthRounds bounds what a client sends, and so how long a server can
	// lead it on with partial successes and questions.
	maxAuthRounds = 64
	// maxBanners bounds the banners that a client shows.
	maxBanners = 64
	// maxBannerText bounds what a server says in one banner: a packet of a size
	// that everybody takes (RFC 4253 section 6.1).
	maxBannerText = 32 << 10

	serviceUserauth   = "ssh-userauth"
	serviceConnection = "ssh-connection"
)

// Names of the authentication methods (RFC 4252, RFC 4256).
const (
	MethodNone        = "none"
	MethodPassword    = "password"
	MethodPublicKey   = "publickey"
	MethodInteractive = "keyboard-interactive"
	MethodHostBased   = "hostbased"
	MethodGSSAPI      = "gssapi-with-mic" // RFC 4462 section 3
	MethodGSSKeyex    = "gssapi-keyex"    // RFC 4462 section 4
)

// ConnMeta says which connection a decision is about. It is a copy: handlers
// may keep it.
type ConnMeta struct {
	// Addresses of the two ends, as the net.Conn reports them.
	RemoteAddr, LocalAddr net.Addr
	// Idents of the two ends, "SSH-2.0-...". The client's may be any text:
	// quote it before printing.
	ClientIdent, ServerIdent string
	// SessionID is the exchange hash of the first key exchange. Do not modify it.
	SessionID []byte
	// Strict says whether strict key exchange is in force.
	Strict bool
}

// AuthAttempt describes one authentication request to the handlers of
// [ServerAuth]. Each call gets its own copy. User, Algorithm, Language and
// Submethods are claims of the client: quote them before printing.
type AuthAttempt struct {
	// Meta is the connection that the request came on.
	Meta ConnMeta
	// User is never empty, is valid UTF-8 without control characters and has
	// at most MaxUserName octets. It may contain slashes and dots: do not make
	// a path of it.
	User string
	// Service is what is to run after success, always "ssh-connection".
	Service string
	// Method is the method of this request.
	Method string
	// Done has the methods that this user has passed on this connection, in
	// order, while more is required.
	Done []string

	// Algorithm is the public key algorithm named in the request (publickey,
	// hostbased); its Hash is what the signature is made over. The signature
	// itself and what it covers are not here: the library verifies it, see Verified.
	Algorithm string
	// Verified tells that the client proved to hold the private key, by a
	// signature over this session and this request that the library verified.
	// False means that the key is only offered, which happens with publickey
	// only.
	Verified bool
	// UserVerified tells that a security key verified the user by a PIN or a
	// fingerprint (only with publickey and Verified).
	UserVerified bool

	// Language and Submethods are hints of the client (keyboard-interactive).
	Language, Submethods string
}

// Hash returns the hash function of the signature algorithm that Algorithm
// names. It is 0 if there is no algorithm or if hashing is part of it, as with
// Ed25519.
func (a *AuthAttempt) Hash() crypto.Hash {
	if row := findKeyAlg(a.Algorithm); row != nil {
		return sigHashes[row.sig]
	}
	return 0
}

// Verdict is a handler's answer. The zero Verdict refuses.
type Verdict struct {
	// OK accepts this factor. Whether the user is let in also depends on
	// Limits and on ServerAuth.Require.
	OK bool
	// Partial accepts this factor and asks for more, whatever OK says: the
	// client is told of a partial success (RFC 4252 section 5.1), and the
	// factor is in AuthAttempt.Done from then on. With it handlers can decide
	// step by step which methods are enough. ServerAuth.Require applies as
	// well: the user is let in by a Verdict that is OK and not Partial once one
	// of its lists is fulfilled too.
	Partial bool
	// Methods names the methods that may follow, which the client is told
	// unless it is let in; others are refused without being tried. They apply
	// to this user and service until another Verdict names others. Methods that
	// are not configured, or that ServerAuth.Require does not allow, are left
	// out. Empty changes nothing: the initial ones are those of
	// ServerAuth.Methods. The Verdict on a key that is merely offered counts
	// for this only if it refuses, since acceptance proves nothing yet.
	Methods []string
	// Banner, if not empty, is shown before the answer (RFC 4252 section 5.4).
	// Lines end with CR LF. More than 32 KiB are cut off.
	Banner string
	// Identity is any value that the application wants to attach to the user.
	// After success, the Identity of the factor that succeeded last becomes
	// that of the connection.
	Identity any
	// Limits restrict what the user may do. Those of all factors that succeeded
	// apply together, the stricter winning.
	Limits Limits
	// Change, if not nil, asks for a new password instead of accepting this
	// one, whatever OK says: an expired password never lets anyone in (RFC 4252
	// section 8). It needs ServerAuth.PasswordChange and counts for passwords only.
	Change *ChangeRequest
	// Reason is logged. The client never learns it.
	Reason error
}

// ChangeRequest is the text for a user who must choose a new password.
type ChangeRequest struct {
	Prompt   string // UTF-8
	Language string // RFC 3066 tag, usually empty
}

// Challenge is one round of questions (RFC 4256 section 3.2). Received ones are
// text of the server: filter control characters before showing them.
type Challenge struct {
	// Name is a title, Instruction what to show below it, Language their
	// RFC 3066 tag. Each may be empty.
	Name, Instruction, Language string
	Prompts                     []Prompt // at most 32, may be empty
}

// Prompt is one question of a Challenge.
type Prompt struct {
	Text string // not empty
	Echo bool   // the answer may be shown while it is typed
}

// Asker puts a Challenge to the user and returns one answer for each prompt,
// each at most MaxSecret octets and without NUL. It belongs to one call of
// ServerAuth.Interactive: call it from one goroutine at a time, and not after
// that call has returned. Once it has failed, the attempt has failed too:
// further calls fail and the Verdict does not count. If ctx ends before the
// answer has come, the connection ends.
type Asker func(ctx context.Context, c *Challenge) (answers []string, err error)

// ServerAuth says who may log in. The zero value lets nobody in: a method whose
// handler is nil is neither offered nor ever run.
//
// Handlers of one connection are called one at a time, on its goroutine; those
// of different connections concurrently. A handler may take its time: only its
// own connection waits. It must return soon after ctx ends, which happens when
// the time for logging in is over. Its result no longer counts then.
//
// Refusals look the same from outside, whatever the cause. Handlers help by
// doing the same work for users that do not exist.
type ServerAuth struct {
	// None lets users in without any proof (RFC 4252 section 5.2).
	None func(context.Context, *AuthAttempt) Verdict
	// Password checks a password, 1 to MaxSecret octets without NUL. Use
	// CheckPassword to compare.
	Password func(context.Context, *AuthAttempt, string) Verdict
	// PasswordChange checks the old password and replaces it with the new one.
	// A Verdict with Change finds the new one wanting. Nil refuses changes.
	PasswordChange func(ctx context.Context, a *AuthAttempt, old, new string) Verdict
	// PublicKey says whether a key, which is never a certificate, may log in.
	// It is called with Verified false when the key is offered, and again with
	// Verified true after the library has verified the client's signature. Only
	// the Identity of this last Verdict counts.
	PublicKey func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict
	// UserCAs accepts OpenSSH certificates. Nil refuses them.
	UserCAs *UserCAs
	// Signature is called with the result of each signature check (publickey,
	// hostbased), before the final Verdict is asked for: if the signature is
	// valid, err is nil and AuthAttempt.Verified true. It only observes: an
	// invalid signature is refused in any case. Signatures of keys that were
	// not accepted when offered are not checked.
	Signature func(ctx context.Context, a *AuthAttempt, key gossh.PublicKey, err error)
	// X509 accepts keys inside X.509 certificates. Nil refuses them. Their
	// algorithms must be named in PublicKeyAlgorithms besides.
	X509 *X509Users
	// Interactive asks the user questions (RFC 4256), in as many rounds as it
	// wants.
	Interactive func(context.Context, *AuthAttempt, Asker) Verdict
	// HostBased lets users in whom another host vouches for (RFC 4252 section
	// 9). It is asked once the host's signature over this very request was
	// verified, and must itself find out whether the key is that host's: see
	// HostBasedClaim. It is never implied by PublicKey.
	HostBased func(context.Context, *AuthAttempt, *HostBasedClaim) Verdict

	// GSSAPI lets users in whom a GSS-API mechanism, such as Kerberos, knows
	// (RFC 4462). Nil refuses them.
	GSSAPI *GSSServer

	// Require returns, for a user, alternative lists of methods. A user is let
	// in who has passed all methods of one list, in any order: {{"publickey",
	// "password"}, {"publickey", "publickey"}} asks for a key and then a
	// password or another key. A method that is in none of the lists is refused
	// without being tried. No list at all keeps the user out, so return the
	// same for users that do not exist. A nil Require makes each configured
	// method enough.
	Require func(user string) [][]string

	// Methods restricts the methods that a client may start with; nil means all
	// that are configured. None, if configured, may be tried in addition. A
	// Verdict may name others for the next steps.
	Methods []string

	// Banner returns text to show before login, empty for none. Lines end with CR LF.
	Banner func(context.Context, ConnMeta) string

	// MaxTries is the number of failures that ends the connection; 0 means
	// DefaultMaxTries. A first "none", with which clients ask what is possible,
	// is free.
	MaxTries int
	// MinFailureDelay is how long a refusal takes at least, by any method, from
	// the arrival of the request or the last answer; if a handler takes longer,
	// the delay is doubled until it is longer than the handler, to reveal as
	// little as possible of its timing. Choose a value above the time that
	// checking a password takes. 0 means DefaultMinFailureDelay, negative none.
	MinFailureDelay time.Duration
	// MinProbeDelay is the same for the "none" with which clients begin, if
	// None or Require is set. It delays every login; a short one is enough for
	// handlers that do the same work for all names. 0 means MinFailureDelay,
	// negative none.
	MinProbeDelay time.Duration
	// PublicKeyAlgorithms is a preference list such as "" for those of
	// Config.Profile, "+ssh-rsa", or names. It is announced in server-sig-algs, and what is not
	// in it is refused before the key is looked at.
	PublicKeyAlgorithms AlgList
	// HostBasedAlgorithms is the same for the keys of hosts that vouch for
	// their users; it cannot contain algorithms of security keys and X.509
	// certificates. It is not announced.
	HostBasedAlgorithms AlgList
	// HideKeys accepts every key that is offered without a signature, so that
	// only who holds a key can find out whether it may log in. Clients with
	// many keys then run out of tries earlier.
	HideKeys bool
}

// authResult is what authentication established.
type authResult struct {
	User     string
	Methods  []string // that succeeded, in order
	Identity any
	Limits   Limits
}

// AuthError means that authentication failed. On a server it means that the
// client used up its tries, or left after a failed one; on a client, that no
// method was left to try.
type AuthError struct {
	User      string   // the name in the last request
	Tried     []string // methods, in order, without repetition
	Done      []string // those that succeeded, while the server asked for more
	Remaining []string // what the server would still listen to (client)
	Err       error    // why, if there is more to say
}

// Error quotes what the peer said.
func (e *AuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ssh2: authentication: %s not accepted", quoteAuth(e.User))
	for _, l := range []struct {
		what string
		list []string
	}{{"tried", e.Tried}, {"passed", e.Done}, {"possible", e.Remaining}} {
		if len(l.list) > 0 {
			fmt.Fprintf(&b, "; %s %s", l.what, quoteAuth(strings.Join(l.list, ",")))
		}
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *AuthError) Unwrap() error { return e.Err }

// CheckPassword tells whether got is the password want. The time it takes
// depends neither on the content nor on the length of the two. An empty want
// matches nothing, so that an account without a password is not open to
// everybody.
func CheckPassword(want, got string) bool {
	// Equal lengths are what ConstantTimeCompare needs; digests have them.
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1 && want != ""
}

// authConn is the part of transport.Conn that authentication uses, all of it
// on the reader's goroutine except Disconnect.
type authConn interface {
	Next() ([]byte, error)
	PostMessage(m msg.Message) error
	SetPhase(p msg.Phase)
	SessionID() []byte
	Violation(format string, a ...any) error
	Disconnect(reason uint32, text string) error
}
