package sftpserver

import (
	"context"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A UserAuthEvent is one attempt to log in (SSHUserAuthRequest). Do the same work for users that do not exist, since
// response times reveal differences, and little work for "none", which almost every client sends first.
type UserAuthEvent struct {
	Event
	ctx context.Context
	// User is the account asked for, never empty.
	User string
	// Service is what is to run afterwards, "ssh-connection".
	Service string
	// Method is "none", "password", "publickey", "keyboard-interactive-1" and so on
	// for each answer, "keyboard-interactive" once all were accepted, "sigstatus" when the signature of a
	// publickey login was checked (see Options.FireAuthRequestAfterSig), or "password-change" when a client wants to
	// replace its password. Clients may send that without being asked to.
	Method string
	// Param is the password, the public key (its wire form, see keys.ParseBlob; for an x509v3 algorithm it contains a
	// certificate that has not been verified: compare all of it, and do not trust the names in it), the answer, "" for
	// the closing call of keyboard-interactive, or "1" and "0" for a good and a bad signature.
	Param string
	// NewPassword is what is to replace the password in Param (password-change), 1 to ssh2.MaxSecret octets. A handler that
	// accepts has checked the one and stored the other: the user is in then.
	NewPassword string
	// KeyAlgorithm is the signature algorithm (publickey, sigstatus).
	KeyAlgorithm string
	// Certificate is the OpenSSH certificate that Param has the wire form of (publickey, sigstatus); nil for a bare
	// key. It has been checked: it is a user certificate of an authority in Options.TrustedUserCAKeys, valid now, for a
	// principal of this user, not revoked, and without unknown critical options; its restrictions of addresses,
	// commands and permissions are enforced. KeyId, Serial and ValidPrincipals tell whose it is. The handler still
	// decides whether that user may log in. Do not change it.
	Certificate *gossh.Certificate
	// Done has the methods that this user has passed on this connection so far, in order. The handler decides whether
	// they are enough.
	Done []string

	// Accept accepts this factor. For publickey it means that the key may log in: the server verifies the signature
	// itself. Each answer of keyboard-interactive, and the closing call, must be accepted. It is preset only for
	// "sigstatus" of a good signature, with the decision about the key; after a bad signature it has no effect.
	Accept bool
	// PartialSuccess, without Accept, accepts this factor and asks for another one. For publickey it means, like
	// Accept, that the key is good.
	PartialSuccess bool

	// ChangePassword, if not nil, asks the client for a new password with this text instead of accepting (password,
	// password-change), whatever Accept says: for a password that is right and too old, or a new one that
	// will not do. The client answers with "password-change", or gives up. Do it only once Param
	// has been checked, or anybody learns whose password is old. It counts as no failure.
	ChangePassword *ssh2.ChangeRequest

	// The fields below are preset with what earlier events for this user have left in them. They are forgotten when
	// the client asks for another user or service. From HomeDir to Policy they count if the factor was
	// accepted and, for a key, proven; those of "none", which proves nothing, count always.

	// AvailableMethods are the methods that can continue, at first those of Options.AuthMethods. They are sent back
	// with a refusal or a partial success; other methods are refused from then on, without an event. Empty changes
	// nothing. "none" may always be tried and is never listed.
	AvailableMethods []string
	// HomeDir is the directory in which the user begins, as seen from the root: an absolute path with slashes. Empty
	// means the root. The login fails if HomeDir contains "..", or a user name that has a slash in it.
	HomeDir string
	// RootDirectory, if set, is the local directory that this user sees as "/"; HomeDir is inside of it. The
	// restrictions of HomeDir apply to it too.
	RootDirectory string
	// RestrictToHomeDir confines the user to HomeDir, at first as Options.RestrictUserToHomeDir says.
	RestrictToHomeDir bool
	// Prompts, if set, are what keyboard-interactive asks on this connection; those of Options otherwise.
	Prompts []ssh2.Prompt
	// Banner, if set, is shown to the client now, once; the first event has Options.UserAuthBanner in it.
	Banner string
	// Limits restrict what the user may do. Those of all factors apply together.
	Limits ssh2.Limits
	// Policy, if set, restricts this user further than Options.Policy does.
	Policy *sftp.Policy
}

// Context ends when the time for logging in is over, or the server is closed: for handlers that
// wait for something. While a handler runs the server does not notice that the client has gone.
func (e *UserAuthEvent) Context() context.Context { return e.ctx }
