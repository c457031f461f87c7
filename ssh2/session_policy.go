package ssh2

import (
	"context"
	"slices"
	"strings"
)

// A SessionPolicy decides on requests of sessions that the server's settings
// AcceptEnv, AllowPTY, AllowX11 and AllowAgentForwarding do not allow for
// everybody already. A nil func refuses. The user's Limits come first: what
// they forbid is refused without asking the policy.
//
// The funcs run on a goroutine of their own, in the order of the requests;
// further requests of the session wait meanwhile. The context ends with the
// session. The session has not begun; its fields show what has been granted so
// far.
type SessionPolicy struct {
	// Env decides on a variable. The name is one that a shell can have; the
	// value has no NUL, and is untrusted apart from that.
	Env func(ctx context.Context, s *ServerSession, name, value string) bool
	// PTY decides on a terminal.
	PTY func(ctx context.Context, s *ServerSession, pty *PTY) bool
	// X11 decides on X11 forwarding.
	X11 func(ctx context.Context, s *ServerSession, x *X11Request) bool
	// Agent decides on the use of the client's agent.
	Agent func(ctx context.Context, s *ServerSession) bool
	// Other answers requests that this library does not know, before the session
	// begins and while it runs.
	Other func(ctx context.Context, s *ServerSession, r *Request) bool
}

// ask lets code of the user decide on r; take, if not nil, notes what was
// granted. The goroutine owns the session's line until then.
func (s *ServerSession) ask(r *Request, f func(context.Context) bool, take func()) verdict {
	s.ch.mu.Lock()
	s.ch.busy++ // who closes the session meanwhile does not get room for another
	s.ch.mu.Unlock()
	s.ch.conn.goHandler(func() {
		defer s.ch.uncount(0)
		ok := f(s.ch.ctx)
		if ok && take != nil {
			take()
		}
		s.ch.line.settle(r, ok, nil)
	})
	return pending
}

// envName tells whether a shell can have a variable of that name. Anything else
// serves nobody but who wants to get past a list of names.
func envName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// matchEnv tells whether a name is in a list, whose elements may end in "*".
func matchEnv(list []string, name string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == name || wild && prefix != "" && strings.HasPrefix(name, prefix)
	})
}
