package sftpserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// sshSettings are those of the SSH connection before and below logins.
var sshSettings = []row{
	{
		Name: "Profile", Default: "modern", Choices: []settings.Choice{{Value: "modern"}, {Value: "compatible"}, {Value: "legacy", Doc: "weak algorithms too, for old devices"}},
		Field: func(s *Server) any { return &s.Profile },
		Doc:   "Which algorithms the lists start from when they are empty or edits.",
	},
	{
		Name: "SSHEncryptionAlgorithms", GoName: "Ciphers", Aliases: []string{"Ciphers"}, Valid: validList(ssh2.Cipher),
		Field: func(s *Server) any { return (*string)(&s.Ciphers) },
		Doc:   "The ciphers to offer, most preferred first. " + listDoc,
	},
	{
		Name: "SSHMacAlgorithms", GoName: "MACs", Aliases: []string{"MACs"}, Valid: validList(ssh2.MAC),
		Field: func(s *Server) any { return (*string)(&s.MACs) },
		Doc:   "The message authentication codes to offer, most preferred first. " + listDoc,
	},
	{
		Name: "SSHKeyExchangeAlgorithms", GoName: "KeyExchanges", Aliases: []string{"KeyExchanges"}, Valid: validList(ssh2.KeyExchange),
		Field: func(s *Server) any { return (*string)(&s.KeyExchanges) },
		Doc:   "The key exchange methods to offer, most preferred first. " + listDoc,
	},
	{
		Name: "SSHPublicKeyAlgorithms", GoName: "HostKeyAlgorithms", Aliases: []string{"HostKeyAlgorithms"}, Valid: validList(ssh2.HostKeyAlgorithm),
		Field: func(s *Server) any { return (*string)(&s.HostKeyAlgorithms) },
		Doc:   "The host key algorithms to offer, as far as there are keys for them, most preferred first. " + listDoc,
	},
	{
		Name: "SSHCompressionAlgorithms", GoName: "Compression", Aliases: []string{"Compression"}, Valid: validList(ssh2.Compression),
		Field: func(s *Server) any { return (*string)(&s.Compression) },
		Doc:   "The compression methods to offer. Empty is none alone; +zlib@openssh.com and +zlib allow them.",
	},
	{
		Name: "UseStrictKeyExchange", GoName: "StrictKex", Aliases: []string{"StrictKex"}, Default: "1",
		Choices: []settings.Choice{
			{Value: "0", Word: "off", Doc: "not offered"},
			{Value: "1", Word: "offer", Doc: "used with clients that offer it too"},
			{Value: "2", Word: "or-safe", Doc: "with clients that do not, no algorithms that Terrapin breaks"},
			{Value: "3", Word: "require", Doc: "clients without it are refused"},
		},
		Field: func(s *Server) any { return (*strictKex)(&s.StrictKex) },
		Doc:   "Whether strict key exchange, the protection against the Terrapin attack, is offered or required.",
	},
	{
		Name: "KeyRenegotiationThreshold", Default: "1073741824", Range: "1..", Unit: settings.Bytes, ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.KeyRenegotiationThreshold },
		Doc:   "How much data may pass in one direction before new keys are exchanged. The limit of the cipher applies as well.",
	},
	{
		Name: "SSHKeepAliveInterval", Default: "0", Range: "0..", Unit: settings.Seconds,
		Field: func(s *Server) any { return &s.SSHKeepAliveInterval },
		Doc:   "The silence after which the server sends a keep-alive request; 0 sends none.",
	},
	{
		Name: "SSHKeepAliveCountMax", Default: "3", Range: "1..1000", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.SSHKeepAliveCountMax },
		Doc:   "How many keep-alive requests may go unanswered before the client counts as gone.",
	},
	{
		Name: "ServerSSHVersionString", GoName: "ServerVersion", Aliases: []string{"ServerVersion"}, Default: identPrefix + ssh2.Version, ZeroIsDefault: true, Valid: validIdent,
		Field: func(s *Server) any { return &s.ServerVersion },
		Doc:   "What the server calls itself, beginning with " + identPrefix + ".",
	},
	{
		Name: "SSHVersionPattern", GoName: "ClientVersionPatterns", Aliases: []string{"ClientVersionPatterns"}, Repeat: true, Default: "*SSH-1.99-*,*SSH-2.0-*,*SSH-2.99-*", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.ClientVersionPatterns },
		Doc:   "What a client may call itself, with * for any text.",
	},
}

// listDoc is what lists of algorithms have in common.
const listDoc = "Empty is those of Profile, and +a, -b* and ^c append to them, remove from them and put first."

// validList checks the names in a list of algorithms of a kind.
func validList(kind ssh2.AlgorithmKind) func(string) error {
	return func(value string) error {
		var known []string
		for _, a := range ssh2.Algorithms() {
			if a.Kind == kind {
				known = append(known, a.Name)
			}
		}
		_, err := alg.Resolve(value, known, known)
		if unknown := new(alg.UnknownNameError); errors.As(err, &unknown) && kind == ssh2.KeyExchange && strings.HasPrefix(unknown.Name, "gss-") {
			return fmt.Errorf("sftpserver: %q needs a Kerberos acceptor, which the component has not: use ssh2.Server with package gssapi", unknown.Name)
		}
		return err
	}
}

// identPrefix is how idents begin (RFC 4253 section 4.2).
const identPrefix = "SSH-2.0-"

// validIdent checks what a server may call itself (RFC 4253 section 4.2).
func validIdent(value string) error {
	software, ok := strings.CutPrefix(value, identPrefix)
	if !ok || software == "" {
		return fmt.Errorf("sftpserver: does not begin with %s, or ends there", identPrefix)
	}
	if strings.ContainsFunc(software, func(r rune) bool { return r <= ' ' || r > '~' || r == '-' }) || len(value) > 253 {
		return errors.New("sftpserver: an ident has at most 253 characters, of printable ASCII without blanks, and no - behind " + identPrefix)
	}
	return nil
}

// strictKex gives ssh2.StrictKex its text.
type strictKex ssh2.StrictKex

var strictKexes = []ssh2.StrictKex{ssh2.StrictKexOff, ssh2.StrictKexOffer, ssh2.StrictKexOrSafe, ssh2.StrictKexRequire}

func (k *strictKex) MarshalText() ([]byte, error) { return []byte(ssh2.StrictKex(*k).String()), nil }

func (k *strictKex) UnmarshalText(text []byte) error {
	for _, s := range strictKexes {
		if s.String() == string(text) {
			*k = strictKex(s)
			return nil
		}
	}
	return errors.New("sftpserver: no such mode of strict key exchange")
}
