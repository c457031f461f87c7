package ssh2

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestContextEndSaysWhere: a call that its context cut short says which it was, and
// errors.Is still finds the context's error, a type assertion its Timeout.
func TestContextEndSaysWhere(t *testing.T) {
	calls := []struct {
		name, want string
		call       func(context.Context, *Client) error
	}{
		{"Session", "ssh2: session: ", func(ctx context.Context, c *Client) error { _, err := c.Session(ctx); return err }},
		{"Subsystem", "ssh2: subsystem: ", func(ctx context.Context, c *Client) error { _, err := c.Subsystem(ctx, "sftp"); return err }},
		{"Open", "ssh2: channel: open: ", func(ctx context.Context, c *Client) error { _, err := c.Open(ctx, "x", nil, nil); return err }},
		{"Request", "ssh2: request: ", func(ctx context.Context, c *Client) error { _, err := c.Request(ctx, "x", true, nil); return err }},
		{"Ping", "ssh2: ping: ", func(ctx context.Context, c *Client) error { _, err := c.Ping(ctx); return err }},
		{"Rekey", "ssh2: rekey: ", func(ctx context.Context, c *Client) error { return c.Rekey(ctx) }},
		{"Dial", "ssh2: dial: ", func(ctx context.Context, c *Client) error { _, err := c.DialContext(ctx, "tcp", "h:1"); return err }},
		{"Dial unix", "ssh2: dial: ", func(ctx context.Context, c *Client) error { _, err := c.DialContext(ctx, "unix", "/s"); return err }},
		{"Listen", "ssh2: listen: ", func(ctx context.Context, c *Client) error { _, err := c.Listen(ctx, "tcp", "h:1"); return err }},
	}
	// What a session's context can cut short once it is open.
	for name, call := range map[string]func(context.Context, *Session) error{
		"Run":            func(ctx context.Context, s *Session) error { return s.Run(ctx, "x") },
		"Output":         func(ctx context.Context, s *Session) error { _, err := s.Output(ctx, "x"); return err },
		"CombinedOutput": func(ctx context.Context, s *Session) error { _, err := s.CombinedOutput(ctx, "x"); return err },
		"Start":          func(ctx context.Context, s *Session) error { return s.Start(ctx, "x") },
		"Shell":          func(ctx context.Context, s *Session) error { return s.Shell(ctx) },
	} {
		calls = append(calls, struct {
			name, want string
			call       func(context.Context, *Client) error
		}{"Session." + name, "ssh2: session: ", func(ctx context.Context, c *Client) error {
			// The link has a delay: the peer has opened the session before the call's time is up, and no more.
			s, err := c.Session(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, context.Cause(ctx))
			defer cancel()
			return call(ctx, s)
		}})
	}
	for _, c := range calls {
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			synctest.Test(t, func(t *testing.T) {
				// The session's handler never returns by itself.
				srv := testServer(func(ctx context.Context, _ *ServerSession) { <-ctx.Done() })
				p := dialPair(t, srv, testClient(), netsim.Link{Delay: time.Second}, netsim.Link{Delay: time.Second})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if strings.HasPrefix(c.name, "Session.") {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
				}
				defer cancel()
				if end == context.Canceled { //nolint:errorlint // one of two
					cancel()
				}
				err := c.call(ctx, p.Client)
				if !errors.Is(err, end) || err.Error() != c.want+end.Error() {
					t.Errorf("%s: %v, want %q", c.name, err, c.want+end.Error())
				}
				if e, ok := err.(net.Error); !ok || e.Timeout() != (end == context.DeadlineExceeded) { //nolint:errorlint // as callers of net.Conn do
					t.Errorf("%s: %v is no time-out as it should be one: %T", c.name, err, err)
				}
				_ = p.close(t)
			})
		}
	}
}

// TestContextCauseIsTheCallers: a cause that the caller gave its context is what comes back.
func TestContextCauseIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialPair(t, testServer(nil), testClient(), netsim.Link{}, netsim.Link{})
		mine := errors.New("mine")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(mine)
		if _, err := p.Session(ctx); err != mine { //nolint:errorlint // as it is
			t.Errorf("%v", err)
		}
		_ = p.close(t)
	})
}

// TestContextEndOfLogin: a dial whose context ends says how far it had come.
func TestContextEndOfLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := netsim.Pipe(netsim.Link{}, netsim.Link{})
		defer far.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := NewClient(ctx, near, "h:22", testClient()); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "ssh2: handshake: context deadline exceeded" {
			t.Errorf("of a server that says nothing: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(nil)
		srv.Auth.Password = func(ctx context.Context, _ *AuthAttempt, _ string) Verdict { <-ctx.Done(); return Verdict{} }
		near, far := netsim.Pipe(netsim.Link{}, netsim.Link{})
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.ServeConn(t.Context(), far) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := NewClient(ctx, near, "h:22", testClient()); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "ssh2: authentication: context deadline exceeded" {
			t.Errorf("of a server that thinks: %v", err)
		}
		<-served
	})
}
