// Package agent finds the SSH agent of a user and connects to it, whatever kind
// of socket it has, and serves agents of your own.
//
// golang.org/x/crypto/ssh/agent has the interfaces and the client's half of the
// protocol (draft-ietf-sshm-ssh-agent); its types are used here throughout:
//
//	a, conn, err := agent.Dial(ctx, "") // SSH_AUTH_SOCK
//	...
//	defer conn.Close()
//	client, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{Auth: []ssh2.AuthMethod{ssh2.Agent(a)}, ...})
//
// [Open] gives an agent that connects anew for each call, which suits a process
// that outlives the agent's restarts. [Serve] is the other half: it answers
// requests with an agent of yours, such as [Funcs].
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"

	sshagent "golang.org/x/crypto/ssh/agent"
)

// Pageant is the address of PuTTY's agent on Windows.
const Pageant = "pageant"

// ErrNoAgent means that no address was given and SSH_AUTH_SOCK names none.
var ErrNoAgent = errors.New("agent: no address and no SSH_AUTH_SOCK")

// Dial connects to the agent at addr, which is one of
//
//	""            what SSH_AUTH_SOCK names; without it, on Windows, the pipe
//	              of OpenSSH's service if that runs, else Pageant
//	"pageant"     PuTTY's agent (Windows; elsewhere errors.ErrUnsupported)
//	`\\.\pipe\…`  a named pipe (Windows)
//	a path        a Unix socket, or the file that stands for one of Cygwin's
//
// The Closer closes the connection and ends calls that wait; it may be closed
// more than once. The agent may be used by several goroutines.
func Dial(ctx context.Context, addr string) (sshagent.ExtendedAgent, io.Closer, error) {
	conn, err := DialConn(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	return sshagent.NewClient(conn), conn, nil
}

// DialConn is [Dial] for code that speaks the agent protocol itself or forwards
// it, such as agent forwarding.
func DialConn(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	conn, err := dial(ctx, addr)
	if err != nil && !errors.Is(err, ErrNoAgent) {
		return nil, fmt.Errorf("agent: dial: %w", err)
	}
	return conn, err
}

func dial(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if addr == "" {
		addr = os.Getenv("SSH_AUTH_SOCK")
	}
	switch {
	case addr == "":
		return dialDefault(ctx)
	case addr == Pageant:
		return dialPageant(ctx)
	case strings.HasPrefix(addr, `\\.\pipe\`):
		return dialPipe(ctx, addr)
	case isCygwin(addr):
		return dialCygwin(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "unix", addr)
}

// isCygwin tells whether path is a file that stands for a socket of Cygwin's.
// What cannot be read is none: connecting to it says better why.
func isCygwin(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxCygwinFile {
		return false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	_, err = parseCygwin(data)
	return err == nil
}

// unsupported is the error of what exists elsewhere.
func unsupported(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}
