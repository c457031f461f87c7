package ssh2

import (
	"context"
	"errors"
	"slices"
)

// An AuthState is how far a client has come when it chooses what to try next.
// The slices are copies.
type AuthState struct {
	// User is the name in the next request.
	User string
	// Allowed has the methods that the server would go on with; nil before it
	// was asked, which a request of method none does. They are the server's
	// words: quote them before printing.
	Allowed []string
	// Partial tells that the last method was accepted and more is asked for.
	Partial bool
	// Tried and Done have the methods that were tried, and of them those that
	// the server accepted, in order.
	Tried, Done []string
	// Err is why the last method came to nothing on our side, such as an agent
	// that failed; nil if it was the server that refused.
	Err error
}

// As is m for another user than ClientConfig.User. A server forgets what was
// achieved for the one when it hears of the other.
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
