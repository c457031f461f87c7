package ssh2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// AuthMethod is a way for a client to log in: [Password], [PasswordFunc],
// [PublicKeys], [PublicKeysFunc], [Agent], [Interactive], [HostBased], [None];
// [Direct] and [As] change how. A client tries its methods in the order given, as far as the server lists
// them. Methods hold no state of a connection: one may serve many at once.
type AuthMethod interface {
	// name is the method on the wire.
	name() string
	// try runs the method. An error ends the connection's authentication;
	// what only makes this method fail goes to authClient.local.
	try(ctx context.Context, c *authClient) (authOutcome, error)
}

// authOutcome is what became of a request.
type authOutcome uint8

const (
	authFailed  authOutcome = iota
	authPartial             // accepted, and more is asked for
	authSucceeded
)

// None allows the server to let the client in without any proof. A client that
// has methods but not this one refuses a server that accepts it without having
// seen a password, a signature or an answer: such a server may go on to ask for
// the secret under another pretext (CVE-2021-36369). A client without any
// method needs no None.
func None() AuthMethod { return noneMethod{} }

type noneMethod struct{}

func (noneMethod) name() string { return MethodNone }

func (noneMethod) try(ctx context.Context, c *authClient) (authOutcome, error) { return c.none(ctx) }

// Direct returns a method that, as the first of the list, tries m without asking the server
// first which methods it accepts. It saves a round trip if the server is known
// to accept m.
func Direct(m AuthMethod) AuthMethod { return direct{m} }

type direct struct{ AuthMethod }

// authClient is one client's side of authentication.
type authClient struct {
	t       authConn
	user    string
	methods []AuthMethod
	choose  func(context.Context, *AuthState) (AuthMethod, error) // instead of methods
	banner  func(text, language string)
	algs    []string // public key algorithms allowed
	// sigAlgs returns server-sig-algs, and whether the server sent it.
	sigAlgs func() ([]string, bool)

	host  string               // that was dialled, without the port
	keyex transport.GSSContext // of the first key exchange, or nil

	sent, banners int
	sentAs        string   // the user in the last request
	can           []string // methods the server would go on with
	asked         bool     // can is known
	proof         bool     // a secret, a signature or an answer was sent
	trivial       bool     // none was wanted
	passedKeys    [][]byte // without their certificates
	tried, done   []string
	errs          []error // of our own side, for the error in the end
	lastErr       error   // of the method tried last
}

// authenticate logs in, on the reader's goroutine, and returns the methods that
// succeeded. The owner of ctx closes t when ctx ends.
func (c *ClientConfig) authenticate(ctx context.Context, t *transport.Conn, addr string) (*authResult, error) {
	algs, err := resolveKeyAlgs(c.PublicKeyAlgorithms, c.Profile)
	if err != nil {
		return nil, &ConfigError{"public key algorithms", err}
	}
	a := &authClient{t: t, user: c.User, methods: c.Auth, choose: c.AuthNext, banner: c.Banner, algs: algs}
	a.host = hostOf(addr)
	a.keyex, _ = t.GSSContext()
	a.sigAlgs = func() ([]string, bool) {
		i := t.Info()
		v, ok := i.Extensions["server-sig-algs"]
		listed := strings.Split(string(v), ",")
		if ok && i.Quirks.Has(transport.ImplySHA2) {
			listed = append(listed, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256)
		}
		return listed, ok
	}
	methods, err := a.run(ctx)
	return &authResult{User: a.user, Methods: methods}, err
}

// checkAuth says what is wrong with how a client is to log in.
func (c *ClientConfig) checkAuth() error {
	if err := c.GSSKeyExchange.check(); err != nil {
		return &ConfigError{"GSS-API", err}
	}
	switch _, err := resolveKeyAlgs(c.PublicKeyAlgorithms, c.Profile); {
	case err != nil:
		return &ConfigError{"public key algorithms", err}
	case c.User == "":
		return &ConfigError{"user", errors.New("ClientConfig.User is empty")}
	case len(c.User) > MaxUserName:
		return &ConfigError{"user", errors.New("ClientConfig.User is too long")}
	case slices.Contains(c.Auth, nil):
		return &ConfigError{"auth", errors.New("a method of ClientConfig.Auth is nil")}
	case c.AuthNext != nil && len(c.Auth) > 0:
		return &ConfigError{"auth", errors.New("both ClientConfig.Auth and AuthNext are set")}
	}
	return nil
}

// run is RFC 4253 section 10 and RFC 4252 on a client. It returns the methods
// that succeeded; the phase is msg.Open then.
func (c *authClient) run(ctx context.Context) ([]string, error) {
	if err := c.service(ctx); err != nil {
		return nil, err
	}
	rounds := c.runList
	if c.choose != nil {
		rounds = c.runNext
	}
	name, err := rounds(ctx)
	if err != nil {
		return nil, err
	}
	if !c.proof && !c.trivial {
		return nil, c.giveUp(errors.New("server asked for no proof"))
	}
	c.t.SetPhase(msg.Open)
	return append(c.done, name), nil
}

// runList tries the methods in the order given. It returns the one that
// finished the job.
func (c *authClient) runList(ctx context.Context) (name string, err error) {
	methods := c.methods
	c.trivial = len(methods) == 0
	for _, m := range methods {
		c.trivial = c.trivial || m.name() == MethodNone
	}
	out := authFailed
	name = MethodNone
	if len(methods) == 0 || !isDirect(methods[0]) {
		c.tried = append(c.tried, MethodNone)
		if out, err = c.none(ctx); err != nil {
			return "", err
		}
	}
	failed := make([]bool, len(methods))
	for out != authSucceeded {
		i := c.pick(methods, failed)
		if i < 0 {
			return "", c.giveUp(nil)
		}
		name = methods[i].name()
		if out, err = c.tryMethod(ctx, methods[i]); err != nil {
			return "", err
		}
		switch out {
		case authFailed:
			failed[i] = true
		case authPartial:
			// What the server did not want before it may want now; how often
			// is bounded by what may be sent.
			clear(failed)
		case authSucceeded: // ends the loop
		}
	}
	return name, nil
}

// tryMethod runs one method and notes what came of it.
func (c *authClient) tryMethod(ctx context.Context, m AuthMethod) (authOutcome, error) {
	if !slices.Contains(c.tried, m.name()) {
		c.tried = append(c.tried, m.name())
	}
	out, err := m.try(ctx, c)
	if out == authPartial && err == nil {
		c.done = append(c.done, m.name())
	}
	return out, err
}

// service is RFC 4253 section 10.
func (c *authClient) service(ctx context.Context) error {
	if err := c.t.PostMessage(&msg.ServiceRequest{Service: serviceUserauth}); err != nil {
		return err
	}
	p, err := c.next(ctx)
	if err != nil {
		return err
	}
	var a msg.ServiceAccept
	if err := msg.Decode(p, &a); err != nil {
		return c.t.Violation("authentication: %v", err)
	}
	if a.Service != serviceUserauth && a.Service != "" {
		return c.t.Violation("authentication: accepted service %s", quoteAuth(a.Service))
	}
	return nil
}

// none is RFC 4252 section 5.2.
func (c *authClient) none(ctx context.Context) (authOutcome, error) {
	if err := c.request(MethodNone, nil); err != nil {
		return authFailed, err
	}
	p, err := c.reply(ctx)
	if err != nil {
		return authFailed, err
	}
	return c.outcome(p)
}

// pick returns the first method that did not fail and that the server lists,
// -1 if there is none.
func (c *authClient) pick(methods []AuthMethod, failed []bool) int {
	for i, m := range methods {
		// The none request was the first of all, unless it was left out.
		if m.name() == MethodNone && c.asked {
			continue
		}
		if !failed[i] && (c.possible(m.name()) || m.name() == MethodNone) {
			return i
		}
	}
	return -1
}

// possible tells whether the server would listen to a method, as far as is known.
func (c *authClient) possible(method string) bool {
	return !c.asked || slices.Contains(c.can, method)
}

func isDirect(m AuthMethod) bool {
	_, ok := m.(direct)
	return ok
}

// request sends a request, with fields of its method or none.
func (c *authClient) request(method string, fields wire.Layouter) error {
	if c.user != c.sentAs { // what was achieved for another is lost
		c.sentAs, c.done, c.passedKeys = c.user, nil, nil
	}
	r := msg.UserauthRequest{User: c.user, Service: serviceConnection, Method: method}
	if fields != nil {
		r.Fields = wire.Append(nil, fields)
		defer clear(r.Fields) // there may be a password in it
	}
	return c.post(&r)
}

// post sends one message of the many that are allowed.
func (c *authClient) post(m msg.Message) error {
	if c.sent++; c.sent > maxAuthRounds {
		return c.giveUp(fmt.Errorf("no end after %d messages", maxAuthRounds))
	}
	return c.t.PostMessage(m)
}

// reply returns the answer to a request: any message of authentication but a
// banner. Which of the messages it may be is for the caller to say.
func (c *authClient) reply(ctx context.Context) ([]byte, error) {
	for {
		p, err := c.next(ctx)
		if err != nil || p[0] != msg.NumUserauthBanner {
			return p, err
		}
		var b msg.UserauthBanner
		if err := msg.Decode(p, &b); err != nil {
			return nil, c.t.Violation("authentication: %v", err)
		}
		if c.banners++; c.banners > maxBanners {
			return nil, c.t.Violation("authentication: too many banners")
		}
		if c.banner != nil {
			c.banner(b.Text, b.Language)
		}
	}
}

func (c *authClient) next(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, err := c.t.Next()
	if err == nil && len(p) == 0 {
		err = c.t.Violation("authentication: empty message")
	}
	return p, err
}

// outcome reads USERAUTH_SUCCESS or USERAUTH_FAILURE. Everything else is out of place.
func (c *authClient) outcome(p []byte) (authOutcome, error) {
	switch p[0] {
	case msg.NumUserauthSuccess:
		if err := msg.Decode(p, &msg.UserauthSuccess{}); err != nil {
			return authFailed, c.t.Violation("authentication: %v", err)
		}
		return authSucceeded, nil
	case msg.NumUserauthFailure:
		var f msg.UserauthFailure
		if err := msg.Decode(p, &f); err != nil {
			return authFailed, c.t.Violation("authentication: %v", err)
		}
		c.can, c.asked = f.Methods, true
		if f.Partial {
			return authPartial, nil
		}
		return authFailed, nil
	}
	return authFailed, c.t.Violation("authentication: %s out of place", msg.Name(p[0]))
}

// local notes why a method failed on our side, which does not end the others.
// It returns an error only if there is no going on.
func (c *authClient) local(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	c.lastErr = fmt.Errorf("%s: %w", what, err)
	c.errs = append(c.errs, c.lastErr)
	return nil
}

// giveUp ends the connection, with all that is known about why.
func (c *authClient) giveUp(err error) error {
	_ = c.t.Disconnect(uint32(DisconnectNoMoreAuthMethods), "no more authentication methods")
	return &AuthError{User: c.user, Tried: c.tried, Done: c.done, Remaining: c.can, Err: errors.Join(append(c.errs, err)...)}
}
