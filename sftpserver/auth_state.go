package sftpserver

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// login is what the UserAuth event said of the user.
type login struct {
	home, root string
	restrict   bool
	policy     *sftp.Policy
	// What is asked for while logging in.
	methods []string
	prompts []ssh2.Prompt
}

// check says why the user cannot have these directories. A name such as "../root" in what a handler put together
// would lead elsewhere. Once path.Join did that there is nothing left to be seen of ".." in the result: such
// names have no directories at all.
func (g *login) check(user string) error {
	slashed := strings.ReplaceAll(user, `\`, "/")
	lost := slices.ContainsFunc(strings.Split(slashed, "/"), func(e string) bool { return e == "" || e == "." || e == ".." })
	for _, d := range []struct{ what, dir string }{{"home directory", g.home}, {"root directory", filepath.ToSlash(g.root)}} {
		var why string
		switch {
		case strings.ContainsRune(d.dir, 0):
			why = "NUL"
		case slices.Contains(strings.Split(d.dir, "/"), ".."):
			why = `".."`
		case lost && d.dir != "":
			why = "a user's name that path.Join would lose"
		case strings.ContainsAny(user, `/\`) && (strings.Contains(d.dir, user) || strings.Contains(d.dir, filepath.ToSlash(user))):
			why = "a user's name with a slash"
		case onWindows && user != "" && otherOnWindows(user) && strings.Contains(d.dir, user):
			why = "a user's name that is another one on Windows"
		default:
			continue
		}
		return &Error{Code: CodeInvalidPath, Op: "login", Err: fmt.Errorf("%s %q of user %q: has %s in it", d.what, d.dir, user, why)}
	}
	return nil
}

const onWindows = runtime.GOOS == "windows"

// otherOnWindows tells whether Windows takes a name for another or for something else than a name: dots and blanks at
// the end are lost there, so that "bob." would have bob's directory, "bob:x" is a part of bob, and CON is a device.
func otherOnWindows(user string) bool {
	return strings.ContainsAny(user, `:*?"<>|`) || strings.HasSuffix(user, ".") || strings.HasSuffix(user, " ") || !filepath.IsLocal(user)
}

// clean returns what is to hold for a session.
func (g login) clean() login {
	if g.home != "" {
		g.home = path.Clean("/" + g.home)
	}
	return g
}

// authState is what authentication knows of one connection. All but the methods that lock it are called by the
// goroutine that authenticates.
type authState struct {
	user, service string
	done          int    // factors that are proven
	now           login  // what holds for this user: of factors that are proven, and of "none"
	good          login  // of the last factor that was accepted, until it is known to be proven
	offer         *offer // a key whose signature was not checked yet

	mu    sync.Mutex
	base  login     // what was set outside of events
	event *decision // of the event that is being handled
}

// request begins a request: what belongs to another user or service is forgotten, as the factors themselves are.
func (s *authState) request(l *logins, a *ssh2.AuthAttempt) *decision {
	s.offer = nil
	d := new(decision)
	if s.user == "" {
		d.banner = l.UserAuthBanner // shown once, unless the event has another
	}
	switch {
	case a.User != s.user || a.Service != s.service || len(a.Done) < s.done:
		s.user, s.service, s.done = a.User, a.Service, 0
		s.mu.Lock()
		s.now = s.base
		s.mu.Unlock()
		s.now.methods = l.methods
	case len(a.Done) > s.done:
		s.now, s.done = s.good, len(a.Done)
	}
	d.login = s.now
	return d
}

// judged ends a request. Directories and the like count when a factor was proven: of a key that is only shown, or a
// wrong password, nothing may stay. "none" has nothing to prove.
func (s *authState) judged(a *ssh2.AuthAttempt, d *decision) {
	switch {
	case d.good():
		s.good = d.login
	case a.Method == ssh2.MethodNone:
		s.now = d.login
	default:
		s.now.methods, s.now.prompts = d.login.methods, d.login.prompts // which only say what to ask
	}
}

// begin and finish enclose the handling of an event.
func (s *authState) begin(d *decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := *d
	s.event = &held
}

func (s *authState) finish(d *decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.login, d.banner = s.event.login, s.event.banner
	s.event = nil
}

// change changes what holds for the user whose UserAuth event is being handled, or for all on this connection.
func (s *authState) change(f func(*login)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.event != nil {
		f(&s.event.login)
		return
	}
	f(&s.base)
}

// holds is what a getter shows.
func (c *Connection) holds() login {
	c.mu.Lock()
	in, g := c.ssh != nil, c.login
	c.mu.Unlock()
	if in {
		return g
	}
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if c.auth.event != nil {
		return c.auth.event.login
	}
	return c.auth.base
}

// HomeDir returns the directory in which the user's sessions start, as seen from the root: "/" unless the UserAuth
// event set another one.
func (c *Connection) HomeDir() string {
	if home := c.holds().home; home != "" {
		return path.Clean("/" + home)
	}
	return "/"
}

// UserRootDirectory returns the local directory that the user sees as "/"; empty means the server's.
func (c *Connection) UserRootDirectory() string { return c.holds().root }

// SetUserRootDirectory sets UserRootDirectory. Called by a handler of UserAuth it is like setting
// UserAuthEvent.RootDirectory. Called earlier, it applies to the user who logs in on this connection. After the login
// it returns an error.
func (c *Connection) SetUserRootDirectory(dir string) error {
	return c.set(func(g *login) { g.root = dir })
}

// RestrictUserToHomeDir tells whether the user is confined to HomeDir.
func (c *Connection) RestrictUserToHomeDir() bool { return c.holds().restrict }

// SetRestrictUserToHomeDir sets UserAuthEvent.RestrictToHomeDir, under the rules of [Connection.SetUserRootDirectory].
func (c *Connection) SetRestrictUserToHomeDir(on bool) error {
	return c.set(func(g *login) { g.restrict = on })
}

// KeyboardInteractivePrompts are what keyboard-interactive asks on this connection; nil means those of Options.
func (c *Connection) KeyboardInteractivePrompts() []ssh2.Prompt {
	return slices.Clone(c.holds().prompts)
}

// SetKeyboardInteractivePrompts sets UserAuthEvent.Prompts, under the rules of [Connection.SetUserRootDirectory]. The
// prompts apply from the client's next request on.
func (c *Connection) SetKeyboardInteractivePrompts(prompts []ssh2.Prompt) error {
	if err := checkPrompts(prompts); err != nil {
		return err
	}
	prompts = slices.Clone(prompts)
	return c.set(func(g *login) { g.prompts = prompts })
}

var (
	errLoggedIn  = errors.New("sftpserver: set: the user has logged in already")
	errNoRequest = errors.New("sftpserver: set: has an effect in the UserAuth event only")
)

func (c *Connection) set(f func(*login)) error {
	if c.conn() != nil {
		return errLoggedIn
	}
	c.auth.change(f)
	return nil
}

// UserAuthBanner returns the banner that SetUserAuthBanner set for the UserAuth event that is being handled, or else
// the server's.
func (c *Connection) UserAuthBanner() string {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if c.auth.event != nil {
		return c.auth.event.banner
	}
	return c.engine.UserAuthBanner
}

// SetUserAuthBanner is like setting UserAuthEvent.Banner. Outside of a UserAuth event it has no effect and returns an error.
func (c *Connection) SetUserAuthBanner(text string) error {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if c.auth.event == nil {
		return errNoRequest
	}
	c.auth.event.banner = text
	return nil
}

// checkPrompts says why prompts cannot be asked.
func checkPrompts(prompts []ssh2.Prompt) error {
	if len(prompts) > promptLimit {
		return fmt.Errorf("sftpserver: prompts: %d are more than %d", len(prompts), promptLimit)
	}
	for _, p := range prompts {
		if p.Text == "" {
			return errors.New("sftpserver: prompts: one without a text")
		}
	}
	return nil
}
