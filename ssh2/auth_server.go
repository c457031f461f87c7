package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// serverMethod is how a server runs one authentication method.
type serverMethod struct {
	name string
	// configured tells whether a is able to accept anything by this method.
	configured func(a *ServerAuth) bool
	// serve judges one request. A reply is sent instead of success or failure,
	// and then the Verdict means nothing. An error ends the connection, except
	// errAborted.
	serve func(s *authServer, ctx context.Context, at *AuthAttempt, fields []byte) (v Verdict, reply msg.Message, err error)
}

// serverMethods are the methods in the order in which they are announced. Other
// methods exist; to this server they are unknown and refused like any word that
// is no method at all.
var serverMethods = []serverMethod{
	{MethodNone, func(a *ServerAuth) bool { return a.None != nil }, (*authServer).none},
	{MethodPublicKey, func(a *ServerAuth) bool {
		return a.PublicKey != nil || a.UserCAs != nil && a.UserCAs.Authority != nil || a.X509.configured()
	}, (*authServer).publicKey},
	{MethodPassword, func(a *ServerAuth) bool { return a.Password != nil }, (*authServer).password},
	{MethodInteractive, func(a *ServerAuth) bool { return a.Interactive != nil }, (*authServer).interactive},
	{MethodHostBased, func(a *ServerAuth) bool { return a.HostBased != nil }, (*authServer).hostBased},
	{MethodGSSKeyex, func(a *ServerAuth) bool { return a.GSSAPI != nil && a.GSSAPI.Allow != nil }, (*authServer).gssKeyex},
	{MethodGSSAPI, func(a *ServerAuth) bool {
		return a.GSSAPI != nil && a.GSSAPI.Allow != nil && len(a.GSSAPI.Mechanisms) > 0
	}, (*authServer).gssapi},
}

// errAborted means that the client gave an attempt up by starting another,
// which gets no answer (RFC 4252 section 5.1).
var errAborted = errors.New("abandoned by the client")

// authServer is one server's side of authentication.
type authServer struct {
	auth *ServerAuth
	t    authConn
	meta ConnMeta
	log  *slog.Logger
	rsa  int // smallest RSA key allowed, in bits

	algs, hostAlgs []string // public key algorithms allowed, of users and of their hosts

	heard              time.Time // when the last request or answer came
	messages, failures int
	asked              bool                 // some request was seen
	tried              []string             // methods
	pending            []byte               // a request that came instead of an answer
	key                gossh.PublicKey      // of the request in hand, for the log
	keyex              transport.GSSContext // of the first key exchange, if it identified the client
	keyexOID           []byte               // its mechanism
	stale              bool                 // a message of a GSS-API attempt that failed may be on its way

	progress authProgress
}

// authenticate lets a client log in, on the reader's goroutine. The owner of
// ctx closes t when ctx ends: that is what unblocks a wait for the client.
// tried tells whether the client failed to log in at least once.
func authenticate(ctx context.Context, c *Config, sa *ServerAuth, t *transport.Conn, meta ConnMeta) (res *authResult, tried bool, err error) {
	a, err := newAuthServer(sa, t, meta, c.logger(), c.MinRSABits, c.Profile)
	if err != nil {
		return nil, false, err
	}
	if gc, oid := t.GSSContext(); gc != nil && gc.State().Initiator != "" {
		a.keyex, a.keyexOID = gc, oid
	}
	res, err = a.run(ctx)
	if d, ok := errors.AsType[*DisconnectError](err); a.failures > 0 && (errors.Is(err, io.EOF) || ok && d.Remote) {
		// The client has given up before we did.
		err = &AuthError{User: a.progress.user, Tried: a.tried, Done: a.progress.done, Err: err}
	}
	return res, a.failures > 0, err
}

// newAuthServer checks the configuration.
func newAuthServer(auth *ServerAuth, t authConn, meta ConnMeta, log *slog.Logger, minRSA int, p Profile) (*authServer, error) {
	algs, err := resolveKeyAlgs(auth.PublicKeyAlgorithms, p)
	if err != nil {
		return nil, &ConfigError{"public key algorithms", err}
	}
	hostAlgs, err := resolveKeyAlgs(auth.HostBasedAlgorithms, p)
	if err != nil {
		return nil, &ConfigError{"host based algorithms", err}
	}
	orDefault(&minRSA, defaultMinRSABits)
	return &authServer{auth: auth, t: t, meta: meta, log: log, algs: algs, hostAlgs: hostAlgs, rsa: minRSA}, nil
}

// run is RFC 4253 section 10 and RFC 4252 from the first message to success. On
// success USERAUTH_SUCCESS is ordered and the phase is msg.Open.
func (s *authServer) run(ctx context.Context) (*authResult, error) {
	service := false
	for {
		p, err := s.next(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case p[0] == msg.NumServiceRequest:
			if err := s.serviceRequest(p); err != nil {
				return nil, err
			}
			service = true
		case p[0] == msg.NumUserauthRequest && service:
			s.stale = false
			res, err := s.userauthRequest(ctx, p)
			if res != nil || err != nil {
				return res, err
			}
		case s.stale && endsGSS(p[0]):
			s.stale = false
		default:
			return nil, s.t.Violation("authentication: %s out of place", msg.Name(p[0]))
		}
	}
}

// next returns the next message, within the bound on all of them.
func (s *authServer) next(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if p := s.pending; p != nil {
		s.pending = nil
		return p, nil
	}
	if s.messages++; s.messages > maxAuthMessages {
		return nil, s.enough("too many requests")
	}
	p, err := s.t.Next()
	if err == nil && len(p) == 0 {
		err = s.t.Violation("authentication: empty message")
	}
	return p, err
}

// serviceRequest is RFC 4253 section 10. Before authentication there is no
// service but authentication.
func (s *authServer) serviceRequest(p []byte) error {
	var r msg.ServiceRequest
	if err := msg.Decode(p, &r); err != nil {
		return s.t.Violation("authentication: %v", err)
	}
	if r.Service != serviceUserauth {
		_ = s.t.Disconnect(uint32(DisconnectServiceNotAvailable), "service not available")
		return fmt.Errorf("ssh2: authentication: client asked for service %s first", quoteAuth(r.Service))
	}
	return s.t.PostMessage(&msg.ServiceAccept{Service: serviceUserauth})
}

// userauthRequest handles one request (RFC 4252 section 5) to its end. It
// returns a result only on success.
func (s *authServer) userauthRequest(ctx context.Context, p []byte) (*authResult, error) {
	s.heard = time.Now()
	var r msg.UserauthRequest
	if err := msg.Decode(p, &r); err != nil {
		return nil, s.t.Violation("authentication: %v", err)
	}
	probe := !s.asked && r.Method == MethodNone
	if !s.asked || r.User != s.progress.user || r.Service != s.progress.service {
		s.flush(r.User, r.Service)
	}
	if err := s.banner(ctx); err != nil {
		return nil, err
	}
	s.asked, s.key = true, nil

	at := AuthAttempt{Meta: s.meta, User: r.User, Service: r.Service, Method: r.Method, Done: slices.Clone(s.progress.done)}
	v, reply, err := s.attempt(ctx, &at, r.Fields)
	switch {
	case errors.Is(err, errAborted):
		// Not answered, but counted: or answers could be tried without end by
		// abandoning each attempt before its verdict (CVE-2015-5600).
		s.failures++
		s.audit(ctx, slog.LevelInfo, "authentication abandoned", &at, nil)
		if s.failures >= s.maxTries() {
			return nil, s.enough("too many authentication failures")
		}
		return nil, nil
	case err != nil:
		return nil, err
	case ctx.Err() != nil: // a verdict that comes too late is none
		return nil, context.Cause(ctx)
	case reply != nil:
		if err := s.say(v.Banner); err != nil {
			return nil, err
		}
		return nil, s.t.PostMessage(reply)
	case !v.accepts():
		return nil, s.refuse(ctx, probe, &at, v)
	}
	limits, err := s.admit(v.Limits)
	if err != nil {
		return nil, s.refuse(ctx, probe, &at, Verdict{Reason: err})
	}
	return s.accept(ctx, &at, v, limits)
}

// offers tells whether a method is able to accept anything on this connection.
func (s *authServer) offers(m *serverMethod) bool {
	return m.configured(s.auth) && (m.name != MethodGSSKeyex || s.keyex != nil)
}

// method returns the configured method of that name, or nil.
func (s *authServer) method(name string) *serverMethod {
	for i := range serverMethods {
		if m := &serverMethods[i]; m.name == name && s.offers(m) {
			return m
		}
	}
	return nil
}

// attempt judges one request by its method. Everything that is refused without
// a handler's word is refused here or in the methods.
func (s *authServer) attempt(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	if !slices.Contains(s.tried, at.Method) && len(s.tried) < len(serverMethods) && len(at.Method) <= 64 {
		s.tried = append(s.tried, at.Method)
	}
	if at.Service != serviceConnection {
		return refused("no such service"), nil, nil
	}
	if err := s.progress.userErr; err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	m := s.method(at.Method)
	if m == nil {
		return refused("no such method"), nil, nil
	}
	if open, _ := s.progress.open(); !slices.Contains(open, at.Method) {
		return refused("method does not lead on for this user"), nil, nil
	}
	return m.serve(s, ctx, at, fields)
}

// refused is a Verdict with a reason of our own.
func refused(why string) Verdict { return Verdict{Reason: errors.New(why)} }

// accepts tells whether the factor itself was good, be it enough or not.
func (v *Verdict) accepts() bool { return v.OK || v.Partial }

// accept notes a factor that succeeded, and lets the user in when it was the last.
func (s *authServer) accept(ctx context.Context, at *AuthAttempt, v Verdict, limits Limits) (*authResult, error) {
	pr := &s.progress
	pr.done = append(pr.done, at.Method)
	pr.identity, pr.limits = v.Identity, limits
	pr.partial = pr.partial || v.Partial
	pr.restrict(v.Methods)
	if err := s.say(v.Banner); err != nil {
		return nil, err
	}
	open, complete := pr.open()
	if v.Partial || !complete {
		if len(open) == 0 {
			s.log.Warn("authentication: no method leads on for this user", "user", plainAuth(at.User), "remote", s.remote())
		}
		s.audit(ctx, slog.LevelInfo, "authentication partial", at, nil)
		return nil, s.t.PostMessage(&msg.UserauthFailure{Methods: announced(open), Partial: true})
	}
	if err := s.t.PostMessage(&msg.UserauthSuccess{}); err != nil {
		return nil, err
	}
	s.t.SetPhase(msg.Open)
	s.audit(ctx, slog.LevelInfo, "authentication success", at, nil)
	return &authResult{User: pr.user, Methods: pr.done, Identity: pr.identity, Limits: pr.limits}, nil
}

// refuse answers a request that failed: always the same way, whatever the
// reason is.
func (s *authServer) refuse(ctx context.Context, probe bool, at *AuthAttempt, v Verdict) error {
	level := slog.LevelInfo
	if probe {
		level = slog.LevelDebug // every client asks first what is possible
	} else {
		s.failures++
	}
	s.audit(ctx, level, "authentication failure", at, v.Reason)
	// A probe that no handler saw tells nothing by its time.
	if !probe || s.auth.None != nil || s.auth.Require != nil {
		if err := s.delay(ctx, probe); err != nil {
			return err
		}
	}
	if s.failures >= s.maxTries() {
		return s.enough("too many authentication failures")
	}
	if err := s.say(v.Banner); err != nil {
		return err
	}
	s.progress.restrict(v.Methods)
	open, _ := s.progress.open()
	return s.t.PostMessage(&msg.UserauthFailure{Methods: announced(open)})
}

// announced leaves out "none", which must not be listed (RFC 4252 section 5.2).
func announced(methods []string) []string {
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == MethodNone })
}

// delay waits until the minimum time of a failure is over. Only this
// connection waits.
func (s *authServer) delay(ctx context.Context, probe bool) error {
	least := s.auth.MinFailureDelay
	if probe && s.auth.MinProbeDelay != 0 {
		least = s.auth.MinProbeDelay
	}
	orDefault(&least, DefaultMinFailureDelay)
	if least < 0 {
		return nil
	}
	spent := time.Since(s.heard)
	for least < spent && least < time.Minute {
		least *= 2
	}
	timer := time.NewTimer(least - spent)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *authServer) maxTries() int {
	if s.auth.MaxTries <= 0 {
		return DefaultMaxTries
	}
	return s.auth.MaxTries
}

// enough ends the connection because the client tried too much.
func (s *authServer) enough(text string) error {
	_ = s.t.Disconnect(uint32(DisconnectNoMoreAuthMethods), text)
	return &AuthError{User: s.progress.user, Tried: s.tried, Done: s.progress.done, Err: errors.New(text)}
}

// banner sends the banner before the first answer (RFC 4252 section 5.4).
func (s *authServer) banner(ctx context.Context) error {
	if s.asked || s.auth.Banner == nil {
		return nil
	}
	return s.say(s.auth.Banner(ctx, s.meta))
}

// say sends a banner, if there is something to say.
func (s *authServer) say(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxBannerText {
		text = strings.ToValidUTF8(text[:maxBannerText], "") // of a character cut in two nothing stays
	}
	return s.t.PostMessage(&msg.UserauthBanner{Text: text})
}

// none is RFC 4252 section 5.2.
func (s *authServer) none(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	if len(fields) != 0 {
		return refused("malformed"), nil, nil
	}
	c := *at
	return s.auth.None(ctx, &c), nil, nil
}

// checkUser says why a user name cannot be one. Handlers do not get to see it
// then: what a NUL, a line end or half a character does behind them is not
// worth finding out.
func checkUser(user string) error {
	switch {
	case user == "":
		return errors.New("empty user name")
	case len(user) > MaxUserName:
		return errors.New("user name too long")
	case !utf8.ValidString(user):
		return errors.New("user name is not UTF-8")
	case strings.ContainsFunc(user, unicode.IsControl):
		return errors.New("control character in user name")
	}
	return nil
}

// checkSecret says why a password or answer is not to be looked at.
func checkSecret[T string | []byte](secret T, what string) error {
	if len(secret) > MaxSecret {
		return errors.New(what + " too long")
	}
	if strings.IndexByte(string(secret), 0) >= 0 {
		return errors.New("NUL in " + what)
	}
	return nil
}
