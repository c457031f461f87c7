package sftpserver

import (
	"context"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A UserAuthEvent is one attempt to log in (SSHUserAuthRequest). Do the same work for users that do not
// exist, and little for "none", which is asked by everybody: the time it takes shows.
type UserAuthEvent struct {
	Event
	ctx context.Context
	// User is the account asked for, never empty.
	User string
	// Service is what is to run afterwards, "ssh-connection".
	Service string
	// Method is "none", "password", "publickey", "keyboard-interactive-1" and so on
	// for each answer, "keyboard-interactive" once all were accepted, or "sigstatus" when the signature of a
	// publickey login was checked (see Options.FireAuthRequestAfterSig).
	Method string
	// Param is the password, the public key (its wire form, see keys.ParseBlob; for an x509v3 algorithm it has a
	// certificate that nobody verified: compare the whole, believe no name in it), the answer, "" for the
	// closing call of keyboard-interactive, or "1" and "0" for a good and a bad signature.
	Param string
	// KeyAlgorithm is the signature algorithm (publickey, sigstatus).
	KeyAlgorithm string
	// Certificate is the OpenSSH certificate that Param has the wire form of (publickey, sigstatus); nil for a bare key.
	// It was checked: it is one of a user, of an authority of Options.TrustedUserCAKeys, within its time, for a principal of
	// this user, not revoked, without critical options that nobody knows; what it says of addresses, commands and permissions is
	// enforced. KeyId, Serial and ValidPrincipals tell who it is. Whether that user may come in is still for the handler to say.
	// Do not change it.
	Certificate *gossh.Certificate
	// Done has the methods that this user has passed on this connection so far, in
	// order; what a handler requires besides is for it to decide.
	Done []string

	// Accept lets the user in, as far as this factor goes. For publickey it means that
	// the key is welcome: the server verifies the signature itself. All answers of
	// keyboard-interactive, and the closing call, must be accepted. It is preset for a good "sigstatus"
	// alone, with what was said of the key; of a bad one nothing is accepted.
	Accept bool
	// PartialSuccess, without Accept, records the factor and asks for another. For publickey it makes
	// the key welcome too.
	PartialSuccess bool

	// The fields below are preset with what earlier events for this user have left in them. They are forgotten when
	// the client asks for another user or service. From HomeDir to Policy they count if the factor was
	// accepted and, for a key, proven; those of "none", which proves nothing, count always.

	// AvailableMethods are the methods that can continue, at first those of Options.AuthMethods. They are sent
	// back with a refusal or a partial success; other methods are refused from then on, without an event. Empty leaves
	// them as they were.
	// "none" is always possible and never listed.
	AvailableMethods []string
	// HomeDir is the directory in which the user begins, as seen from the root: an absolute path with slashes. Empty
	// means the root. It must not have ".." in it, nor a user's name with a slash: that login is refused.
	HomeDir string
	// RootDirectory, if set, is the local directory that this user sees as "/"; HomeDir is inside of it. What must not
	// be in HomeDir must not be in it either.
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
