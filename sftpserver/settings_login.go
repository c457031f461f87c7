package sftpserver

import (
	"errors"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// promptLimit bounds the prompts of keyboard-interactive, which are asked all at once: what ssh2 asks in one round.
const promptLimit = 32

// loginSettings are those of authentication.
var loginSettings = []row{
	{
		Name: "DefaultAuthMethods", GoName: "AuthMethods", Aliases: []string{"AuthMethods"}, Default: "password,publickey", ZeroIsDefault: true,
		Choices: []settings.Choice{{Value: "none"}, {Value: "password"}, {Value: "publickey"}, {Value: "keyboard-interactive"}},
		Field:   func(s *Server) any { return &s.AuthMethods },
		Doc:     "The methods announced to clients, as a list.",
	},
	{
		Name: "SSHPubKeyAuthSigAlgorithms", GoName: "PublicKeyAlgorithms", Aliases: []string{"PublicKeyAlgorithms"}, Valid: validList(ssh2.UserKeyAlgorithm),
		Field: func(s *Server) any { return (*string)(&s.PublicKeyAlgorithms) },
		Doc:   "The signature algorithms taken from users. " + listDoc,
	},
	{
		Name: "TrustedUserCAKeys", Repeat: true, Valid: validFiles,
		Field: func(s *Server) any { return &s.stash.userCAFiles },
		Doc:   "Files with the public keys of authorities whose OpenSSH certificates let users in, a line each. Without any, certificates are refused.",
	},
	{
		Name: "RevokedKeys", Repeat: true, Valid: validFiles,
		Field: func(s *Server) any { return &s.stash.revokedFiles },
		Doc:   "Files with public keys that are refused, a line each: of users, of authorities, or whole certificates.",
	},
	{
		Name: "MaxAuthAttempts", Default: strconv.Itoa(ssh2.DefaultMaxTries), Range: "1..1000", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.MaxAuthAttempts },
		Doc:   "How many refusals end a connection. The first none, and keys that are only offered, do not count.",
	},
	{
		Name: "FireAuthRequestAfterSig", Default: "False",
		Field: func(s *Server) any { return &s.FireAuthRequestAfterSig },
		Doc:   "Fires the UserAuth event once more, with the method sigstatus, when a signature was checked.",
	},
	{
		Name: "DefaultConnectionTimeout", GoName: "LoginTimeout", Aliases: []string{"LoginTimeout"}, Default: "0", Range: "0..", Unit: settings.Seconds,
		Field: func(s *Server) any { return &s.LoginTimeout },
		Doc:   "How long a client may take to log in; 0 is 30 seconds for its ident, 60 for the key exchange and two minutes for the login.",
	},
	{
		Name:  "UserAuthBanner",
		Field: func(s *Server) any { return &s.UserAuthBanner },
		Doc:   "Shown to clients before they log in; empty is none. No line end is added: in files it is written \"...\\n\".",
	},
	{
		Name:  "KeyboardInteractiveMessage",
		Field: func(s *Server) any { return &s.KeyboardInteractiveMessage },
		Doc:   "Shown above the prompts of keyboard-interactive.",
	},
	{
		Name:  "KeyboardInteractivePrompts",
		Field: func(s *Server) any { return (*promptList)(&s.KeyboardInteractivePrompts) },
		Doc:   "What keyboard-interactive asks: " + promptDoc,
	},
	{
		Name: "KeyboardInteractivePromptCount", Default: "0", Range: "0.." + strconv.Itoa(promptLimit), Type: "number",
		Get: func(s *Server, _ string) (string, error) { return strconv.Itoa(len(s.KeyboardInteractivePrompts)), nil },
		Set: func(s *Server, _, value string) error {
			var n int
			if err := settings.Scan(&n, settings.NoUnit, value); err != nil {
				return err
			}
			s.KeyboardInteractivePrompts = resize(s.KeyboardInteractivePrompts, n)
			return nil
		},
		Doc: "How many prompts there are, counted from 0; setting it cuts the list, or makes room at its end.",
	},
	{
		Name: "KeyboardInteractivePromptPrompt", Index: "number", Type: "text",
		Item: func(s *Server, index string) (any, error) {
			p, err := item(s.KeyboardInteractivePrompts, index, "KeyboardInteractivePromptCount")
			if err != nil {
				return nil, err
			}
			return &p.Text, nil
		},
		Doc: "The text of a prompt.",
	},
	{
		Name: "KeyboardInteractivePromptEcho", Index: "number", Default: "False", Type: "True or False",
		Item: func(s *Server, index string) (any, error) {
			p, err := item(s.KeyboardInteractivePrompts, index, "KeyboardInteractivePromptCount")
			if err != nil {
				return nil, err
			}
			return &p.Echo, nil
		},
		Doc: "Whether the answer may be shown while it is typed.",
	},
}

// validFiles checks that the files of a list have public keys.
func validFiles(value string) error {
	var files []string
	if err := settings.Scan(&files, settings.NoUnit, value); err != nil {
		return err
	}
	return validKeyFiles(files)
}

const promptDoc = "text,echo=True or text,echo=False for each prompt, with ; between them. A text cannot have ; in it."

// A promptList is prompts as one text.
type promptList []ssh2.Prompt

// MarshalText writes text,echo=True;text,echo=False and so on.
func (l *promptList) MarshalText() ([]byte, error) {
	parts := make([]string, len(*l))
	for i, p := range *l {
		parts[i] = p.Text + ",echo=" + settings.Print(&p.Echo, settings.NoUnit)
	}
	return []byte(strings.Join(parts, ";")), nil
}

// UnmarshalText reads them. Without echo the answer is not shown.
func (l *promptList) UnmarshalText(text []byte) error {
	var list []ssh2.Prompt
	for part := range strings.SplitSeq(string(text), ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		p := ssh2.Prompt{Text: part}
		if i := strings.LastIndexByte(part, ','); i >= 0 {
			name, value, _ := strings.Cut(part[i+1:], "=")
			if strings.EqualFold(strings.TrimSpace(name), "echo") {
				if err := settings.Scan(&p.Echo, settings.NoUnit, value); err != nil {
					return errors.New("sftpserver: echo is True or False")
				}
				p.Text = part[:i]
			}
		}
		if strings.TrimSpace(p.Text) == "" {
			return errors.New("sftpserver: a prompt needs a text")
		}
		if list = append(list, p); len(list) > promptLimit {
			return errors.New("sftpserver: too many prompts")
		}
	}
	*l = list
	return nil
}
