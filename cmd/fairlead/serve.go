package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// serve is "fairlead serve".
func serve(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) error {
	o, err := parseFlags(args, stdout)
	if errors.Is(err, errHelp) {
		return nil
	}
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	d, err := start(o, stderr)
	if _, ok := errors.AsType[settings.Faults](err); ok {
		lines := readLines(o.config)
		for _, fault := range faultsOf(err) {
			fmt.Fprintf(stderr, "fairlead: %s\n", plain(faultText(o.config, fault, lines)))
		}
		return usageError{loggedError{err}}
	}
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	if o.config != "" {
		var undo func()
		signals, undo = withHangups(signals)
		defer undo()
	}
	d.announce(stdout)
	return d.run(signals)
}

// A daemon is a server that runs.
type daemon struct {
	*config  // that it started with
	log      *slog.Logger
	level    *slog.LevelVar
	accounts atomic.Pointer[accounts]
	sessions sessions
	quotas   quotas
	hooks    *hooks
}

// start starts the server, so that a wrong setting is told at once.
func start(o *options, stderr io.Writer) (*daemon, error) {
	c, err := newConfig(o)
	d := newDaemon(c, stderr)
	c.notes.to(d.log)
	if err != nil {
		return nil, err
	}
	s := d.server
	if o.config != "" && !o.given["listen"] {
		return d, s.Start(context.Background())
	}
	// SSH has its own keep-alive, which sees more than TCP's.
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), "tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: %w", o.listen, bare(err))
	}
	if err := s.Serve(l); err != nil { // which closes l
		return nil, err
	}
	return d, nil
}

// newDaemon sets the server up.
func newDaemon(c *config, stderr io.Writer) *daemon {
	d := &daemon{config: c, level: new(slog.LevelVar)}
	d.level.Set(c.logLevel)
	d.log = newLog(c.logFormat, d.level, stderr)
	d.hooks = newHooks(d.log)
	d.hooks.atATime(c.uploadJobs)
	a := newAccounts(c)
	d.accounts.Store(a)
	c.server.UserAuth = d.userAuth
	d.setUp(c, a)
	return d
}

// setUp gives the settings of a reading what the command decides by itself.
func (d *daemon) setUp(c *config, a *accounts) {
	s := &c.server.Options
	s.Logger = d.log
	if c.logLevel < slog.LevelInfo {
		s.LogLevel = sftpserver.LogVerbose
	}
	s.CertPrincipals, s.WrapFileSystem = a.principals, d.wrap
	s.AuthMethods = d.authMethods()
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "Password: "}}
}

// authMethods are what clients are told to try. With a file they do not depend on its
// users, who come and go.
func (d *daemon) authMethods() []string {
	if d.flags.config != "" {
		return []string{"publickey", "password", "keyboard-interactive"}
	}
	var out []string
	for _, u := range d.users { // there is one
		for _, m := range u.methods() {
			if out = append(out, m); m == "password" {
				out = append(out, "keyboard-interactive")
			}
		}
	}
	return out
}

// openRoot returns the directory to serve. Only the default one is made: a
// directory that was named and is missing is more likely a mistake.
func openRoot(root string) (string, error) {
	if root == "" {
		root = defaultRoot
		if err := os.Mkdir(root, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("root: %w", err)
		}
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", fmt.Errorf("root: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("root: %s: is not a directory", root)
	}
	return filepath.Abs(root)
}

// inside tells whether name is a file in the tree below root, by the names given
// or by what the links in them lead to.
func inside(root, name string) bool {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return false
	}
	roots := []string{root}
	if r, err := filepath.EvalSymlinks(root); err == nil {
		roots = append(roots, r)
	}
	for _, root := range roots {
		for _, name := range []string{name, real} {
			abs, err := filepath.Abs(name)
			if err != nil {
				continue
			}
			if rel, err := filepath.Rel(root, abs); err == nil && filepath.IsLocal(rel) {
				return true
			}
		}
	}
	return false
}

// bare takes "listen tcp address:" off an error, whose place we name ourselves.
func bare(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// announce tells a person how to use the server. It goes to standard output,
// not to the log: a password made up for this run must not end up there.
func (d *daemon) announce(w io.Writer) {
	addr := d.server.Addr()
	host, port, _ := net.SplitHostPort(addr.String())
	if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var b strings.Builder
	if d.flags.config != "" {
		fmt.Fprintf(&b, "serving    %s\n%s", plain(d.summary()), fingerprints(d.hostKeys))
		fmt.Fprintf(&b, "\nlistening on %s\n", addr)
		_, _ = io.WriteString(w, b.String())
		return
	}
	u := d.users[0]
	fmt.Fprintf(&b, "serving    %s\n", d.server.RootDirectory)
	b.WriteString(fingerprints(d.hostKeys))
	if u.madeUp {
		fmt.Fprintf(&b, "user       %s\npassword   %s (for this run only)\n", u.name, u.password)
	}
	to := shellWord(u.name) + "@" + host
	if strings.ContainsAny(u.name, ":/@") || strings.HasPrefix(u.name, "-") {
		to = "-o " + shellWord("User="+u.name) + " " + host // or sftp takes it apart
	}
	fmt.Fprintf(&b, "\n    sftp -P %s %s\n\nlistening on %s\n", port, to, addr)
	_, _ = io.WriteString(w, b.String())
}

// shellWord quotes a name that a shell would take apart.
func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@=", r)
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// run serves until a signal, and drains then: sessions finish what they have
// open. A second signal does not wait for that. SIGHUP reads the configuration again.
func (d *daemon) run(signals <-chan os.Signal) error {
	stop := d.reloads(signals)
	d.log.Info("draining; once more stops at once", "signal", stop.String())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	drained := make(chan error, 1)
	go func() {
		err := d.server.Shutdown(ctx)
		d.hooks.drain(ctx) // of uploads that ended meanwhile, too
		drained <- err
	}()
	for {
		select {
		case err := <-drained:
			if err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			d.log.Info("stopped")
			return nil
		case s := <-signals:
			if s == syscall.SIGHUP {
				continue
			}
			cancel()
			if err := <-drained; err != nil {
				return fmt.Errorf("serve: %s: %w", s, err)
			}
			return nil
		}
	}
}
