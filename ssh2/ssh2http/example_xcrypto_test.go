package ssh2http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2http"
)

// The code of docs/coming-from-xcrypto.md stands here word for word, and runs (xcrypto_test.go).

// login connects with the keys of the user's agent and of a file, to hosts that known_hosts knows.
func login(ctx context.Context, user, addr, keyFile string) (*ssh2.Client, error) {
	pem, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := gossh.ParsePrivateKey(pem) // or keys.Parse, which knows PuTTY's files and others, too
	if err != nil {
		return nil, err
	}
	known, err := ssh2.ReadKnownHosts() // the user's files and the machine's
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // for connecting and logging in; the connection outlives it
	defer cancel()
	c, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{
		User:          user,
		Auth:          []ssh2.AuthMethod{ssh2.Agent(agent.Open("")), ssh2.PublicKeys(signer)},
		HostKeyPolicy: known,
	})
	switch {
	case errors.Is(err, ssh2.ErrHostKeyChanged):
		return nil, fmt.Errorf("somebody may be in between: %w", err) // it tells both keys, and which line has the old one
	case errors.Is(err, ssh2.ErrHostUnknown):
		return nil, fmt.Errorf("connect once with ssh and compare the fingerprint: %w", err)
	}
	return c, err
}

// run runs a command for a minute at most, and passes on what it writes as it comes.
func run(ctx context.Context, c *ssh2.Client, command string, stdout, stderr io.Writer) (status uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := c.Session(ctx)
	if err != nil {
		return 0, err
	}
	s.Stdout, s.Stderr = stdout, stderr
	err = s.Run(ctx, command) // context.DeadlineExceeded after the minute
	if exit, ok := errors.AsType[*ssh2.ExitError](err); ok && exit.Signal == "" {
		return exit.Status, nil
	}
	return 0, err
}

// upload puts a file in the place of another one, which stays as it is until the new one is whole.
func upload(ctx context.Context, c *ssh2.Client, file, name string, progress func(done, total int64)) error {
	channel, err := c.Subsystem(ctx, "sftp")
	if err != nil {
		return err
	}
	files, err := sftp.NewClient(ctx, channel, &sftp.ClientConfig{ServerIdent: c.Info().RemoteIdent})
	if err != nil {
		return err
	}
	defer files.Close()
	_, err = files.PutFile(ctx, file, name, sftp.TransferOptions{
		Atomic:   true,
		Progress: func(p sftp.Progress) { progress(p.Done, p.Total) },
	})
	return err
}

// through connects by way of another host, as ssh -J does. Closing hop ends both.
func through(ctx context.Context, hop *ssh2.Client, addr string, cfg ssh2.ClientConfig) (*ssh2.Client, error) {
	cfg.Dial = hop.DialContext
	return ssh2.Dial(ctx, "tcp", addr, &cfg)
}

// forward passes the connections of a listener of this machine on to target, which the server connects to: ssh -L.
func forward(ctx context.Context, c *ssh2.Client, l net.Listener, target string) error {
	for {
		local, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer local.Close()
			remote, err := c.DialContext(ctx, "tcp", target)
			if err != nil {
				return // an *ssh2.OpenError says why
			}
			defer remote.Close()
			go func() {
				_, _ = io.Copy(remote, local)
				_ = remote.(interface{ CloseWrite() error }).CloseWrite() // the other direction goes on
			}()
			_, _ = io.Copy(local, remote)
		}()
	}
}

// web is an HTTP client whose requests leave from the server.
func web(c *ssh2.Client) *http.Client {
	return &http.Client{Transport: ssh2http.Transport(c, ssh2http.Options{})}
}

// shell runs the user's shell on a terminal until it ends. The terminal is in raw mode, as term.MakeRaw of
// golang.org/x/term makes it, and its sizes, width and height, come by a channel.
func shell(ctx context.Context, c *ssh2.Client, terminal io.ReadWriter, sizes <-chan [2]uint32) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	first := <-sizes
	s.PTY = &ssh2.PTY{Term: os.Getenv("TERM"), Width: first[0], Height: first[1]}
	s.Stdin, s.Stdout, s.Stderr = terminal, terminal, terminal
	if err := s.Shell(ctx); err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case size := <-sizes:
				_ = s.Resize(ctx, size[0], size[1])
			case <-ended:
				return
			}
		}
	}()
	return s.Wait(ctx)
}

// pipes are the two ends of a session of another library, such as those of StdoutPipe and StdinPipe of gossh.Session once
// RequestSubsystem("sftp") was called.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// onPipes is an SFTP client that runs over another library's connection.
func onPipes(ctx context.Context, stdout io.Reader, stdin io.WriteCloser) (*sftp.Client, error) {
	return sftp.NewClient(ctx, packet.Pipe(pipes{stdout, stdin}), nil)
}
