package ssh2

import (
	"context"
	"errors"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// password is RFC 4252 section 8 on a server.
func (s *authServer) password(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	// The packet's buffer is used again, by whomever: nothing of it may remain.
	defer clear(fields)
	var f msg.PasswordFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	if err := checkPassword(f.Password); err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	var v Verdict
	c := *at
	if !f.Change {
		v = s.auth.Password(ctx, &c, string(f.Password))
	} else {
		if err := checkPassword(f.New); err != nil {
			return Verdict{Reason: err}, nil, nil
		}
		if s.auth.PasswordChange == nil {
			return refused("passwords cannot be changed here"), nil, nil
		}
		v = s.auth.PasswordChange(ctx, &c, string(f.Password), string(f.New))
	}
	if v.Change == nil {
		return v, nil, nil
	}
	if s.auth.PasswordChange == nil {
		return refused("password expired and cannot be changed here"), nil, nil
	}
	if _, err := s.admit(v.Limits); err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	return Verdict{Banner: v.Banner}, &msg.PasswdChangereq{Prompt: v.Change.Prompt, Language: v.Change.Language}, nil
}

// checkPassword says why a password is refused unheard.
func checkPassword(p []byte) error {
	if len(p) == 0 {
		return errors.New("empty password")
	}
	return checkSecret(p, "password")
}

// PasswordPrompt tells the function given to [PasswordFunc] which password is
// asked for.
type PasswordPrompt struct {
	// User is whose password is asked for.
	User string
	// Try counts from 1; it grows when the server refused the last answer.
	Try int
	// Change asks for a new password in place of the one given before. Text is
	// what the server says about it: filter control characters before showing it.
	Change   bool
	Text     string
	Language string
}

// maxPasswordTries is how often a client asks for a password anew.
const maxPasswordTries = 3

// Password logs in with a password that is known beforehand. If the server
// wants it changed, it fails.
func Password(pw string) AuthMethod {
	return &passwordMethod{tries: 1, ask: func(_ context.Context, p *PasswordPrompt) (string, error) {
		if p.Change {
			return "", errors.New("password expired")
		}
		return pw, nil
	}}
}

// PasswordFunc logs in with passwords that ask returns: it is called up to
// three times until the server accepts one, and for a new one when the server
// wants the password changed (RFC 4252 section 8). An error ends this method;
// the next one is tried then. ask is called on the connection's goroutine, and
// the server may lose patience meanwhile.
func PasswordFunc(ask func(context.Context, *PasswordPrompt) (string, error)) AuthMethod {
	return &passwordMethod{tries: maxPasswordTries, ask: ask}
}

type passwordMethod struct {
	tries int
	ask   func(context.Context, *PasswordPrompt) (string, error)
}

func (*passwordMethod) name() string { return MethodPassword }

func (m *passwordMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	prompt := PasswordPrompt{User: c.user}
	for prompt.Try < m.tries && c.possible(MethodPassword) {
		prompt.Try++
		prompt.Change, prompt.Text, prompt.Language = false, "", ""
		ask := prompt
		pw, err := m.ask(ctx, &ask)
		if err != nil {
			return authFailed, c.local("password", err)
		}
		req := msg.PasswordFields{Password: []byte(pw)}
		for {
			if err := c.request(MethodPassword, &req); err != nil {
				return authFailed, err
			}
			c.proof = true
			p, err := c.reply(ctx)
			if err != nil {
				return authFailed, err
			}
			if p[0] != msg.NumPasswdChangereq {
				out, err := c.outcome(p)
				if out != authFailed || err != nil {
					return out, err
				}
				break
			}
			var change msg.PasswdChangereq
			if err := msg.Decode(p, &change); err != nil {
				return authFailed, c.t.Violation("authentication: %v", err)
			}
			prompt.Change, prompt.Text, prompt.Language = true, change.Prompt, change.Language
			ask := prompt
			next, err := m.ask(ctx, &ask)
			if err != nil {
				return authFailed, c.local("password change", err)
			}
			req = msg.PasswordFields{Change: true, Password: []byte(pw), New: []byte(next)}
		}
	}
	return authFailed, nil
}
