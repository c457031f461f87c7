package sftpserver

import (
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A UserAuthEvent is one attempt to log in (SSHUserAuthRequest).
type UserAuthEvent struct {
	Event
	// User is the account asked for, never empty.
	User string
	// Service is what is to run afterwards, "ssh-connection".
	Service string
	// Method is "none", "password", "publickey", "keyboard-interactive-1" and so on
	// for each answer, "keyboard-interactive" once all were given, or "sigstatus".
	Method string
	// Param is the password, the public key (its wire form), the answer, "" for the
	// closing call of keyboard-interactive, or "1" and "0" for a good and a bad signature.
	Param string
	// KeyAlgorithm is the signature algorithm (publickey, sigstatus).
	KeyAlgorithm string
	// Done has the methods that this user has passed on this connection so far, in
	// order; what a handler requires besides is for it to decide.
	Done []string

	// Accept lets the user in, as far as this factor goes. For publickey it means that
	// the key is welcome: the server verifies the signature itself. All answers of
	// keyboard-interactive, and the closing call, must be accepted.
	Accept bool
	// PartialSuccess, without Accept, records the factor and asks for another.
	PartialSuccess bool
	// AvailableMethods are the methods that can continue, preset with Options.AuthMethods.
	AvailableMethods []string
	// HomeDir is the directory in which the user begins, as seen from the root.
	HomeDir string
	// RootDirectory, if set, is the local directory that this user sees as "/".
	RootDirectory string
	// RestrictToHomeDir confines the user to HomeDir; preset with Options.RestrictUserToHomeDir.
	RestrictToHomeDir bool
	// Prompts, if set, are what keyboard-interactive asks on this connection.
	Prompts []ssh2.Prompt
	// Banner, if set, is shown to the client now.
	Banner string
	// Limits restrict what the user may do. Those of all factors apply together.
	Limits ssh2.Limits
	// Policy, if set, restricts this user further than Options.Policy does.
	Policy *sftp.Policy
}
