package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/throttle"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A process is what a command has of the process around it.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	// terminal returns the person at the terminal, nil if there is none.
	terminal func() terminal
	account  func() account
	// room is how many octets of names and attributes that a host lists are kept at a time;
	// 0 means maxListed.
	room int
}

func thisProcess(stdout, stderr io.Writer, signals <-chan os.Signal) *process {
	return &process{
		stdin: os.Stdin, stdout: stdout, stderr: stderr, signals: signals, account: currentAccount,
		terminal: func() terminal {
			if t := openTerminal(); t != nil {
				return t
			}
			return nil
		},
	}
}

// A client is a command that talks to hosts.
type client struct {
	*process
	o        *clientOptions
	conn     *connector
	sessions []session
}

// session is an SFTP session that several targets may share.
type session struct {
	t *target
	*sftp.Client
}

// errConnect is in the chain of errors of reaching a host.
var errConnect = errors.New("no connection")

// A connectError is a host that could not be reached or logged in to.
type connectError struct{ error }

// Unwrap returns why.
func (e connectError) Unwrap() []error { return []error{e.error, errConnect} }

// missing tells that an identity file is not there, nor the public key of one that an agent may have. What ssh_config would
// expand is not looked at.
func missing(file string) bool {
	if strings.EqualFold(file, "none") || strings.HasPrefix(file, "~") || strings.ContainsAny(file, "%$") {
		return false
	}
	_, err := os.Stat(file)
	_, noPublic := os.Stat(file + ".pub")
	return errors.Is(err, fs.ErrNotExist) && errors.Is(noPublic, fs.ErrNotExist)
}

// withClient runs a command until it is done or a signal comes; a second signal does not
// wait for it to stop by itself.
func (p *process) withClient(o *clientOptions, run func(context.Context, *client) error) error {
	config, err := o.sshConfig(p.account())
	if err != nil {
		return usageError{err}
	}
	for _, file := range o.identities { // those of a configuration need not be there
		if missing(file) {
			fmt.Fprintf(p.stderr, "fairlead: identity file: %s: no such file\n", plain(file))
		}
	}
	c := &client{process: p, o: o}
	c.conn = &connector{config: config, notes: p.stderr, log: o.logger(p.stderr), quiet: o.quiet}
	if !o.batch {
		c.conn.term = p.terminal()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		err := run(ctx, c)
		c.close(ctx)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case s := <-p.signals:
		end := signalError{s}
		cancel(end)
		select {
		case err := <-done:
			// What was stopped says so by another error, most likely.
			if err != nil {
				return stoppedError{end, err}
			}
			return nil
		case <-p.signals:
			return end
		}
	}
}

// A stoppedError is what a signal did.
type stoppedError struct {
	signalError
	err error
}

// Unwrap returns both.
func (e stoppedError) Unwrap() []error { return []error{e.signalError, e.err} }

// closeTimeout is how long a connection may take to say goodbye.
const closeTimeout = 2 * time.Second

func (c *client) close(ctx context.Context) {
	undo := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer undo()
	late := time.AfterFunc(closeTimeout, func() { _ = c.conn.Close() })
	defer late.Stop()
	for _, s := range c.sessions {
		_ = s.Close()
	}
	if ctx.Err() == nil {
		c.conn.leave()
	}
	_ = c.conn.Close()
}

// session opens an SFTP session with the host of t, or takes one that is there.
func (c *client) session(ctx context.Context, t *target) (*sftp.Client, error) {
	for _, s := range c.sessions {
		if s.t.sameLogin(t) {
			return s.Client, nil
		}
	}
	ssh, h, err := c.conn.connect(ctx, t)
	if err != nil {
		return nil, connectError{err}
	}
	info := ssh.Info()
	conn, err := c.subsystem(ctx, ssh)
	if err == nil {
		if c.o.limit > 0 {
			conn = throttle.Conn(ctx, conn, throttle.NewLane(throttle.New(c.o.limit)), throttle.NewLane(throttle.New(c.o.limit)))
		}
		var s *sftp.Client
		s, err = sftp.NewClient(ctx, conn, &sftp.ClientConfig{
			MinVersion: c.o.version, MaxVersion: c.o.version, ServerIdent: info.RemoteIdent, Log: c.conn.log,
		})
		if err == nil {
			c.sessions = append(c.sessions, session{t, s})
			return s, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ssh2: "), "sftp: ")
	return nil, connectError{fmt.Errorf("%s: no SFTP there: %s", plain(h.hostName), plain(text))}
}

// subsystem starts the server's side: the subsystem sftp, or what -s names.
func (c *client) subsystem(ctx context.Context, ssh *ssh2.Client) (packet.Conn, error) {
	name := c.o.server
	if name == "" {
		name = "sftp"
	}
	if !strings.ContainsAny(name, "/ ") {
		return ssh.Subsystem(ctx, name)
	}
	s, err := ssh.Session(ctx)
	if err != nil {
		return nil, err
	}
	s.Stderr = escaper{c.stderr}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx, name); err != nil {
		_ = s.Close()
		return nil, err
	}
	return packet.Pipe(remoteCommand{out, in, s}), nil
}

// remoteCommand is the standard input and output of a command of the host.
type remoteCommand struct {
	io.Reader
	io.Writer
	io.Closer
}

// failed tells of one of several things that went wrong.
func (c *client) failed(err error) { fmt.Fprintf(c.stderr, "fairlead: %s\n", reason(err)) }

// someFailed is the error of a command that has told of each failure.
type someFailed struct{ n int }

// Error tells how many.
func (e someFailed) Error() string { return fmt.Sprintf("%d failed", e.n) }
