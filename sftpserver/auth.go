package sftpserver

import (
	"context"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// newAuth makes the authentication that asks the UserAuth event.
func (s *Server) newAuth() (ssh2.ServerAuth, error) {
	f := s.UserAuth
	if f == nil {
		return ssh2.ServerAuth{}, nil
	}
	ask := func(ctx context.Context, a *ssh2.AuthAttempt, param string) ssh2.Verdict {
		c := connectionOf(ctx)
		ev := &UserAuthEvent{Event: Event{c}, User: a.User, Service: a.Service, Method: a.Method, Param: param, KeyAlgorithm: a.Algorithm, Done: a.Done}
		ok := c.fire(func() { f(ev) }) && ev.Accept
		ev.complete()
		if ok {
			c.restrict(ev.Policy)
		}
		return ssh2.Verdict{OK: ok}
	}
	return ssh2.ServerAuth{
		MaxTries: s.MaxAuthAttempts,
		Password: ask,
		PublicKey: func(ctx context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ask(ctx, a, string(key.Marshal()))
		},
	}, nil
}
