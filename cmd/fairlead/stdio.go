package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	osuser "os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// stdioStreams is where "fairlead serve --stdio" finds its peer. Those of the process block
// in the kernel: waiting for them by epoll takes eight times as many calls on a socket that
// is slower than the files, and would change a description that others may share.
type stdioStreams struct {
	in  io.ReadCloser
	out io.WriteCloser
}

func processStreams() stdioStreams { return stdioStreams{os.Stdin, os.Stdout} }

// Read, Write and Close make a stream of the two.
func (s stdioStreams) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s stdioStreams) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s stdioStreams) Close() error                { return errors.Join(s.in.Close(), s.out.Close()) }

// stdioGrace is how long a session may take to finish what it is doing, when a signal ends it
// or its peer is gone.
const stdioGrace = 200 * time.Millisecond

// A signalError is the signal that ended a session.
type signalError struct{ signal os.Signal }

// Error names the signal.
func (e signalError) Error() string { return "ended by signal: " + e.signal.String() }

// status is what a shell makes of a program that a signal ended.
func (e signalError) status() int {
	if n, ok := e.signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return statusFailed
}

// await gives a session that is to end time to finish. Close does not wake a Read that
// blocks, but then there is nothing to finish.
func await(done <-chan error) {
	grace := time.NewTimer(stdioGrace)
	defer grace.Stop()
	select {
	case <-done: //nolint:errcheck // why it ends is known
	case <-grace.C:
	}
}

// errPeerGone ends the session of a peer that cannot get answers any more.
var errPeerGone = errors.New("serve: the peer is gone")

// serveStdio is "fairlead serve --stdio": what OpenSSH's sshd starts for a session
// of the subsystem sftp, as the user who logged in. It returns when the peer is gone,
// which is no error.
func serveStdio(args []string, stdout, stderr io.Writer, s stdioStreams, signals <-chan os.Signal) error {
	o, err := parseStdioFlags(args, stdout)
	if errors.Is(err, errHelp) {
		return nil
	}
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	log, err := o.newLog(stderr)
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	policy, err := o.policy()
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	me := currentAccount()
	if o.umask >= 0 {
		if err := setUmask(o.umask); err != nil {
			return usageError{fmt.Errorf("serve: --umask: %w", err)}
		}
	}
	fsys, err := o.open(me, log)
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	defer fsys.Close()
	server := &sftp.Server{
		FS:         func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return fsys, nil },
		MaxVersion: o.version,
		ReadOnly:   o.readOnly,
		Policy:     policy,
		// Clients go by the ident of the server, which is OpenSSH's.
		SymlinkOrder: sftp.SymlinkTargetFirst,
		Log:          log,
	}
	defer s.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// A session that copies or waits for a hash does not read, and so not see the end.
	defer whenGone(s.out, func() { cancel(errPeerGone) })()
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, packet.Pipe(s), me.sessionInfo()) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		await(done)
		err = errPeerGone
	case sig := <-signals:
		end := signalError{sig}
		cancel(end)
		log.Info("ended", "signal", sig.String())
		await(done)
		return end
	}
	if errors.Is(err, errPeerGone) || slices.ContainsFunc(pipeErrors[:], func(gone error) bool { return errors.Is(err, gone) }) {
		err = nil // the peer did not wait for its answers
	}
	if err != nil {
		log.Error("session failed", "error", err)
		return loggedError{err}
	}
	return nil
}

// A loggedError has been told already, in the log.
type loggedError struct{ error }

// Unwrap returns it.
func (e loggedError) Unwrap() error { return e.error }

// An account is whom the process runs as.
type account struct {
	name string
	home string // "" if not known
}

func currentAccount() account {
	a := account{name: os.Getenv("USER")}
	if u, err := osuser.Current(); err == nil {
		a = account{name: u.Username, home: u.HomeDir}
	}
	if home, err := os.UserHomeDir(); err == nil {
		a.home = home // $HOME, as sshd has set it
	}
	return a
}

// sessionInfo is what the environment that sshd makes tells of the session.
func (a account) sessionInfo() sftp.SessionInfo {
	info := sftp.SessionInfo{User: a.name}
	// "client-ip client-port server-ip server-port" (ssh(1), ENVIRONMENT)
	if f := strings.Fields(os.Getenv("SSH_CONNECTION")); len(f) == 4 {
		info.RemoteAddr, info.LocalAddr = tcpAddr(f[0], f[1]), tcpAddr(f[2], f[3])
	}
	return info
}

func tcpAddr(host, port string) net.Addr {
	ip, err := netip.ParseAddr(host)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(n)))
}

// expand replaces the tokens of sftp-server(8): %d and %h are the home directory, %u
// the name of the user, %% is %.
func (a account) expand(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case i == len(s):
			return "", fmt.Errorf("%q ends with %%", s)
		case s[i] == '%':
			b.WriteByte('%')
		case s[i] == 'u':
			if a.name == "" || a.name == "." || a.name == ".." || strings.ContainsAny(a.name, "/\\\x00") {
				return "", fmt.Errorf("%q: the user's name %q is no name of a file", s, a.name)
			}
			b.WriteString(a.name)
		case s[i] == 'd' || s[i] == 'h':
			if a.home == "" {
				return "", fmt.Errorf("%q: no home directory is known", s)
			}
			b.WriteString(a.home)
		default:
			return "", fmt.Errorf("%q: %%%c is not one of %%d, %%h, %%u and %%%%", s, s[i])
		}
	}
	return b.String(), nil
}

// open opens the tree that is served.
func (o *stdioOptions) open(me account, log *slog.Logger) (*stdioFS, error) {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = me.home
	}
	root, jailed := string(filepath.Separator), o.root != ""
	if v := filepath.VolumeName(cwd); v != "" {
		root = v + root // Windows: the drive of the working directory
	}
	if jailed {
		if root, err = me.expand(o.root); err != nil {
			return nil, fmt.Errorf("--root: %w", err)
		}
	}
	f := &stdioFS{me: me}
	start := inTree(root, cwd)
	f.home = inTree(root, me.home)
	// Below the root of the host clients may do what they could in a shell.
	if f.FS, err = osfs.New(root, osfs.Options{ReadOnly: o.readOnly, Home: start, AllowSetID: !jailed}); err != nil {
		return nil, fmt.Errorf("--root: %w", err)
	}
	if o.startDir == "" {
		return f, nil
	}
	dir, err := me.expand(o.startDir)
	if err != nil {
		return nil, fmt.Errorf("-d: %w", err)
	}
	dir = filepath.ToSlash(strings.TrimPrefix(dir, filepath.VolumeName(dir)))
	if !path.IsAbs(dir) {
		dir = path.Join(start, dir)
	}
	// As with sftp-server, a directory that is missing locks nobody out.
	a, err := f.Stat(context.Background(), dir, sftp.StatOpt{Follow: true})
	switch {
	case err != nil:
		log.Error("start directory", "dir", dir, "error", err)
	case a.Type() != sftp.TypeDirectory:
		log.Error("start directory", "dir", dir, "error", "not a directory")
	default:
		f.start = dir
	}
	return f, nil
}

// inTree returns where the host's directory dir is in the tree below root, "/" if it
// is not there.
func inTree(root, dir string) string {
	abs, err := filepath.Abs(root)
	if err != nil || dir == "" {
		return "/"
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	for _, d := range []string{dir, evalSymlinks(dir)} {
		if rel, err := filepath.Rel(abs, d); err == nil && filepath.IsLocal(rel) {
			return path.Join("/", filepath.ToSlash(rel))
		}
	}
	return "/"
}

func evalSymlinks(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// stdioFS is the tree with the start and home directories of an account of the host.
type stdioFS struct {
	*osfs.FS
	me    account
	start string // "": that of FS
	home  string
}

// Capabilities has the start directory.
func (f *stdioFS) Capabilities() sftp.Capabilities {
	c := f.FS.Capabilities()
	if f.start != "" {
		c.StartDir = f.start
	}
	return c
}

// HomeDir returns that of the account, which is not where the session starts if -d or
// sshd's ForceCommand said so.
func (f *stdioFS) HomeDir(_ context.Context, name string) (string, error) {
	if name != "" && name != f.me.name {
		return "", sftp.CodeNoSuchFile
	}
	return f.home, nil
}
