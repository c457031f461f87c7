package ssh2

import (
	"context"
	"errors"
	"slices"
)

// An AuthState tells a client that chooses its next method what has been tried
// so far. The slices are copies.
type AuthState struct {
	// User is the name in the next request.
	User string
	// Allowed has the methods that can continue, as the server says; nil before
	// the server was asked, for which a request of method none is used. They
	// are text of the server: quote them before printing.
	Allowed []string
	// Partial tells that the last method was accepted and more is asked for.
	Partial bool
	// Tried and Done have the methods that were tried, and of them those that
	// the server accepted, in order.
	Tried, Done []string
	// Err tells why the last method failed on the client's side, such as an
	// error of the agent; it is nil if the server refused.
	Err error
}

// As uses m to log in as another user than ClientConfig.User. When the user
// name changes, the server discards the methods that had succeeded before.
func As(user string, m AuthMethod) AuthMethod { return asUser{m, user} }

type asUser struct {
	AuthMethod
	user string
}

func (m asUser) try(ctx context.Context, c *authClient) (authOutcome, error) {
	if err := checkUser(m.user); err != nil {
		return authFailed, c.local("user", err)
	}
	user := c.user
	c.user = m.user
	out, err := m.AuthMethod.try(ctx, c)
	if out != authSucceeded {
		c.user = user
	}
	return out, err
}

// runNext lets the application choose each method. Nothing is sent before it
// has chosen.
func (c *authClient) runNext(ctx context.Context) (method string, err error) {
	out := authFailed
	for range maxAuthRounds {
		s := &AuthState{
			User: c.user, Allowed: slices.Clone(c.can), Partial: out == authPartial,
			Tried: slices.Clone(c.tried), Done: slices.Clone(c.done), Err: c.lastErr,
		}
		if c.asked && s.Allowed == nil {
			s.Allowed = []string{}
		}
		c.lastErr = nil
		m, err := c.choose(ctx, s)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case err != nil:
			return "", c.giveUp(err)
		case m == nil:
			return "", c.giveUp(nil)
		}
		c.trivial = c.trivial || m.name() == MethodNone
		if out, err = c.tryMethod(ctx, m); err != nil {
			return "", err
		}
		if out == authSucceeded {
			return m.name(), nil
		}
	}
	return "", c.giveUp(errors.New("AuthNext does not come to an end"))
}
