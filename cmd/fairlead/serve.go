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

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
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
	log := newLog(o, stderr)
	d, err := start(o, log)
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	defer d.fs.Close()
	d.announce(stdout)
	return d.run(signals)
}

func newLog(o *options, w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.logLevel, ReplaceAttr: addrText}
	w = escaper{w}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// A daemon is a server about to run.
type daemon struct {
	log      *slog.Logger
	root     string
	user     *user
	fs       *osfs.FS
	listener net.Listener
	ssh      *ssh2.Server
	sftp     *sftp.Server
}

// start opens everything that can fail, so that a wrong setting is told at
// once.
func start(o *options, log *slog.Logger) (*daemon, error) {
	d := &daemon{log: log}
	var err error
	if d.user, err = newUser(o); err != nil {
		return nil, err
	}
	hostKeys, err := loadHostKeys(o.hostKeys, log)
	if err != nil {
		return nil, err
	}
	if d.root, err = openRoot(o); err != nil {
		return nil, err
	}
	for _, name := range append(o.hostKeys, keptHostKeyFile(), o.passwordFile, o.authorizedKeys) {
		if name != "" && inside(d.root, name) {
			log.Warn("a file of the server's own lies in the directory that is served: clients can read it, or change it", "file", name)
		}
	}
	if d.fs, err = osfs.New(d.root, osfs.Options{ReadOnly: o.readOnly}); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	// SSH has its own keep-alive, which sees more than TCP's.
	lc := net.ListenConfig{KeepAlive: -1}
	if d.listener, err = lc.Listen(context.Background(), "tcp", o.listen); err != nil {
		d.fs.Close()
		return nil, fmt.Errorf("--listen %q: %w", o.listen, bare(err))
	}
	d.sftp = &sftp.Server{
		FS:       func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return d.fs, nil },
		ReadOnly: o.readOnly,
		Log:      log,
	}
	d.ssh = &ssh2.Server{
		Config:   ssh2.Config{Log: log, Profile: o.profile},
		HostKeys: hostKeys,
		Auth:     d.user.auth(),
		Session:  d.session,
	}
	return d, nil
}

// openRoot returns the directory to serve. Only the default one is made: a
// directory that was named and is missing is more likely a mistake.
func openRoot(o *options) (string, error) {
	root := o.root
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
	host, port, _ := net.SplitHostPort(d.listener.Addr().String())
	if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "serving    %s\n", d.root)
	b.WriteString(fingerprints(d.ssh.HostKeys))
	if d.user.madeUp {
		fmt.Fprintf(&b, "user       %s\npassword   %s (for this run only)\n", d.user.name, d.user.password)
	}
	to := shellWord(d.user.name) + "@" + host
	if strings.ContainsAny(d.user.name, ":/@") || strings.HasPrefix(d.user.name, "-") {
		to = "-o " + shellWord("User="+d.user.name) + " " + host // or sftp takes it apart
	}
	fmt.Fprintf(&b, "\n    sftp -P %s %s\n\nlistening on %s\n", port, to, d.listener.Addr())
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

// session serves the sftp subsystem and nothing else.
func (d *daemon) session(ctx context.Context, s *ssh2.ServerSession) {
	if s.Kind != ssh2.Subsystem || s.Subsystem != "sftp" {
		s.Refuse()
		return
	}
	s.Accept()
	drain, stop := context.WithCancel(ctx)
	defer stop()
	s.OnShutdown(stop)
	info := s.Conn().Info()
	err := d.sftp.Serve(ctx, s, sftp.SessionInfo{
		User:        s.User(),
		RemoteAddr:  info.RemoteAddr,
		LocalAddr:   info.LocalAddr,
		ClientIdent: info.RemoteIdent,
		SessionID:   info.SessionID,
		Identity:    s.Identity(),
		Drain:       drain,
	})
	var left *ssh2.DisconnectError
	if err != nil && !errors.As(err, &left) { // a client that leaves ends the session so
		s.Exit(1) // package sftp has logged why
	}
}

// run serves until a signal, and drains then: sessions finish what they have
// open. A second signal does not wait for that.
func (d *daemon) run(signals <-chan os.Signal) error {
	served := make(chan error, 1)
	go func() { served <- d.ssh.Serve(d.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case s := <-signals:
		d.log.Info("draining; once more stops at once", "signal", s.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- d.ssh.Shutdown(ctx) }()
	select {
	case err := <-drained:
		<-served //nolint:errcheck // it says that the server was shut down
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		d.log.Info("stopped")
		return nil
	case s := <-signals:
		cancel()
		_ = d.ssh.Close()
		err := <-drained
		<-served //nolint:errcheck // it says that the server was closed
		if err == nil {
			return nil
		}
		return fmt.Errorf("serve: %s: %w", s, err)
	}
}
