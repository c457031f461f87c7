package sftpserver

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// Values of UserAuthEvent.Method that are no names of methods.
const (
	MethodSigStatus      = "sigstatus"       // a signature was checked
	MethodPasswordChange = "password-change" // a client wants to replace a password (RFC 4252 section 8)
)

// defaultAuthMethods are announced if Options.AuthMethods is nil.
var defaultAuthMethods = []string{ssh2.MethodPassword, ssh2.MethodPublicKey}

// probeDelay is the least time of the answer to "none", with which every login begins: less than what
// other refusals take, or all logins were slow.
const probeDelay = 4 * time.Millisecond

// logins asks the UserAuth event who may log in.
type logins struct {
	*engine
	ask     func(*UserAuthEvent)
	methods []string
	revoked keySet
}

// newAuth makes the authentication that asks the UserAuth event. Without one nobody gets in.
func (e *engine) newAuth() (ssh2.ServerAuth, error) {
	l := &logins{engine: e, ask: e.UserAuth, methods: e.AuthMethods}
	if l.methods == nil {
		l.methods = defaultAuthMethods
	}
	for _, m := range l.methods {
		switch m {
		case ssh2.MethodNone, ssh2.MethodPassword, ssh2.MethodPublicKey, ssh2.MethodInteractive:
		default:
			return ssh2.ServerAuth{}, fmt.Errorf("sftpserver: authentication methods: %q: none, password, publickey and keyboard-interactive are possible", m)
		}
	}
	if err := checkPrompts(e.KeyboardInteractivePrompts); err != nil {
		return ssh2.ServerAuth{}, err
	}
	var err error
	if l.revoked, err = newKeySet("RevokedKeys", e.revokedKeys, true); err != nil {
		return ssh2.ServerAuth{}, err
	}
	authorities, err := l.userCAs()
	if err != nil {
		return ssh2.ServerAuth{}, err
	}
	if l.ask == nil {
		return ssh2.ServerAuth{}, nil
	}
	a := ssh2.ServerAuth{
		MaxTries:            e.MaxAuthAttempts,
		MinProbeDelay:       probeDelay,
		PublicKeyAlgorithms: e.PublicKeyAlgorithms,
		Methods:             l.methods,
		None:                func(ctx context.Context, a *ssh2.AuthAttempt) ssh2.Verdict { return l.once(ctx, a, "") },
		Password:            l.once,
		PasswordChange:      l.passwordChange,
		PublicKey:           l.publicKey,
		UserCAs:             authorities,
		Interactive:         l.interactive,
		// Listened to if its algorithms are named. Like a bare key it is the handler's to know.
		X509: &ssh2.X509Users{Unverified: true, Accept: func(ctx context.Context, a *ssh2.AuthAttempt, key *keys.X509PublicKey, _ [][]*x509.Certificate) ssh2.Verdict {
			return l.publicKey(ctx, a, key)
		}},
	}
	if e.FireAuthRequestAfterSig {
		a.Signature = l.signature
	}
	return a, nil
}

// A decision is what the events of one request have come to so far.
type decision struct {
	accept, partial bool
	login           login
	banner          string
	limits          ssh2.Limits
	certificate     *gossh.Certificate // that is shown; nil for none
	newPassword     string
	change          *ssh2.ChangeRequest // what is asked for; nil for nothing
}

// good tells whether the factor counts.
func (d *decision) good() bool { return d.accept || d.partial }

// fire asks the event, which finds what earlier events left, and takes over what is left in it.
func (l *logins) fire(ctx context.Context, c *Connection, a *ssh2.AuthAttempt, d *decision, method, param string) {
	before, banner := d.login, d.banner
	e := &UserAuthEvent{
		Event: Event{c}, ctx: ctx,
		User: a.User, Service: a.Service, Method: method, Param: param, KeyAlgorithm: a.Algorithm, Certificate: d.certificate, NewPassword: d.newPassword, Done: a.Done,
		Accept: d.accept, PartialSuccess: d.partial,
		AvailableMethods: slices.Clone(before.methods),
		HomeDir:          before.home, RootDirectory: before.root, RestrictToHomeDir: before.restrict,
		Prompts: slices.Clone(before.prompts), Banner: banner,
		Limits: d.limits, Policy: before.policy,
	}
	c.auth.begin(d)
	ok := c.fire(func() { l.ask(e) })
	c.auth.finish(d)
	// A setting that was made by a method of the connection holds unless the
	// event says something else.
	take(&d.login.home, before.home, e.HomeDir)
	take(&d.login.root, before.root, e.RootDirectory)
	take(&d.login.restrict, before.restrict, e.RestrictToHomeDir)
	take(&d.login.policy, before.policy, e.Policy)
	if !slices.Equal(before.prompts, e.Prompts) {
		d.login.prompts = e.Prompts
	}
	if len(e.AvailableMethods) > 0 {
		d.login.methods = e.AvailableMethods
	}
	take(&d.banner, banner, e.Banner)
	d.limits = e.Limits
	d.accept, d.partial = ok && e.Accept, ok && e.PartialSuccess && !e.Accept
	if ok && e.ChangePassword != nil && a.Method == ssh2.MethodPassword {
		d.change, d.accept, d.partial = e.ChangePassword, false, false // the old one lets nobody in
	}
	if err := d.login.check(a.User); d.good() && err != nil {
		d.accept, d.partial = false, false
		c.engine.report(c, err)
	}
}

// take sets to to what an event has now, if that is not what it had before.
func take[T comparable](to *T, before, now T) {
	if now != before {
		*to = now
	}
}

// verdict ends a request.
func (l *logins) verdict(c *Connection, a *ssh2.AuthAttempt, d *decision) ssh2.Verdict {
	c.auth.judged(a, d)
	login := d.login
	return ssh2.Verdict{
		OK: d.accept, Partial: d.partial,
		// "none" can always be asked again: that is how clients find out.
		Methods:  append(slices.Clone(login.methods), ssh2.MethodNone),
		Banner:   d.banner,
		Limits:   d.limits,
		Change:   d.change,
		Identity: &login, // of the factor that succeeds last, once all have
	}
}

// begin begins a request.
func (l *logins) begin(c *Connection, a *ssh2.AuthAttempt) *decision {
	c.mu.Lock()
	c.ident, c.strict = a.Meta.ClientIdent, a.Meta.Strict
	c.mu.Unlock()
	return c.auth.request(l, a)
}

// once is a request that takes one event.
func (l *logins) once(ctx context.Context, a *ssh2.AuthAttempt, param string) ssh2.Verdict {
	c := connectionOf(ctx)
	d := l.begin(c, a)
	l.fire(ctx, c, a, d, a.Method, param)
	return l.verdict(c, a, d)
}

// passwordChange is a request to replace a password: one event, of its own method, so that nobody takes it for a login by the
// old one.
func (l *logins) passwordChange(ctx context.Context, a *ssh2.AuthAttempt, old, password string) ssh2.Verdict {
	c := connectionOf(ctx)
	d := l.begin(c, a)
	d.newPassword = password
	l.fire(ctx, c, a, d, MethodPasswordChange, old)
	return l.verdict(c, a, d)
}

// An offer is what was said of a key whose signature is still to be checked.
type offer struct {
	user string
	key  []byte
	decision
}

// publicKey is asked once for a key that is offered, and twice for one with a signature, before and after that
// was checked; the event is fired at the first of these.
func (l *logins) publicKey(ctx context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
	c := connectionOf(ctx)
	blob := key.Marshal()
	if o := c.auth.offer; a.Verified && o != nil && o.user == a.User && bytes.Equal(o.key, blob) {
		c.auth.offer = nil
		return l.verdict(c, a, &o.decision)
	}
	if l.revoked.hasAny(key) {
		return ssh2.Verdict{Reason: errRevoked}
	}
	d := l.begin(c, a)
	d.certificate, _ = key.(*gossh.Certificate)
	l.fire(ctx, c, a, d, a.Method, string(blob))
	c.auth.offer = &offer{a.User, blob, *d}
	return l.verdict(c, a, d)
}

// signature tells how a signature was found. A good one leaves the last word to the handler, which finds its first
// word in the event; a bad one is refused.
func (l *logins) signature(ctx context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey, err error) {
	c := connectionOf(ctx)
	o := c.auth.offer
	if o == nil {
		return
	}
	if err != nil {
		c.auth.offer = nil
		d := o.decision
		d.accept, d.partial = false, false
		l.fire(ctx, c, a, &d, MethodSigStatus, "0")
		return
	}
	l.fire(ctx, c, a, &o.decision, MethodSigStatus, "1")
}

// interactive asks all prompts at once, and then the event about one answer at a time. It stops at the first that
// is not accepted.
func (l *logins) interactive(ctx context.Context, a *ssh2.AuthAttempt, ask ssh2.Asker) ssh2.Verdict {
	c := connectionOf(ctx)
	d := l.begin(c, a)
	prompts := d.login.prompts
	if len(prompts) == 0 {
		prompts = l.KeyboardInteractivePrompts
	}
	if len(prompts) == 0 {
		// Nothing asked is nothing proven, whatever a handler makes of the closing call.
		v := l.verdict(c, a, d)
		v.Reason = errors.New("no prompts")
		return v
	}
	answers, err := ask(ctx, &ssh2.Challenge{Instruction: l.KeyboardInteractiveMessage, Prompts: prompts})
	if err != nil {
		return ssh2.Verdict{Reason: err} // which does not count any more
	}
	half := false
	for i := range len(answers) + 1 {
		method, param := ssh2.MethodInteractive, ""
		if i < len(answers) {
			method, param = method+"-"+strconv.Itoa(i+1), answers[i]
		}
		d.accept, d.partial = false, false
		if l.fire(ctx, c, a, d, method, param); !d.good() {
			break
		}
		half = half || d.partial
	}
	if d.good() && half {
		d.accept, d.partial = false, true
	}
	return l.verdict(c, a, d)
}
