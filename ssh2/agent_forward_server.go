package ssh2

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
)

var errNoAgentForward = errors.New("ssh2: agent forwarding: the client does not lend its agent to this session")

func (s *ServerSession) onAgent(r *Request) verdict {
	c := s.ch.conn
	if s.started() || s.AgentForward || c.auth.Limits.NoAgentForwarding || len(r.Data) != 0 {
		return refuse
	}
	take := func() { s.AgentForward = true }
	if c.server.AllowAgentForwarding {
		take()
		return accept
	}
	if allow := c.server.Policy.Agent; allow != nil {
		return s.ask(r, func(ctx context.Context) bool { return allow(ctx, s) }, take)
	}
	return refuse
}

// An AgentConn is a connection to the agent that a client lends. Its answers
// come from the client, which may take its time: a person may have to confirm.
// Close ends calls that wait.
type AgentConn struct {
	sshagent.ExtendedAgent
	ch *Channel
}

// Close ends the connection.
func (a *AgentConn) Close() error { return a.ch.Close() }

// Agent connects to the agent that the client lends to the session. The
// connection ends with the session at the latest; ctx governs its opening only.
func (s *ServerSession) Agent(ctx context.Context) (*AgentConn, error) {
	ch, err := s.OpenAgent(ctx)
	if err != nil {
		return nil, err
	}
	return &AgentConn{sshagent.NewClient(ch), ch}, nil
}

// OpenAgent opens an auth-agent@openssh.com channel (OpenSSH PROTOCOL). It is
// like Agent, for code that implements the agent protocol itself.
func (s *ServerSession) OpenAgent(ctx context.Context) (*Channel, error) {
	if !s.AgentForward {
		return nil, errNoAgentForward
	}
	ch, err := s.openToClient(ctx, agentChannel, nil)
	if err == nil {
		context.AfterFunc(s.ch.ctx, func() { _ = ch.Close() })
	}
	return ch, err
}

// openToClient opens a channel for what runs in the session, while it does.
func (s *ServerSession) openToClient(ctx context.Context, typ string, extra []byte) (*Channel, error) {
	if s.ch.ctx.Err() != nil {
		return nil, ErrChannelClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ch.ctx, func() { cancel(ErrChannelClosed) })()
	return s.ch.conn.Open(ctx, typ, extra, nil)
}

// An AgentListener is a Unix socket by which processes of a session reach the
// client's agent.
type AgentListener struct {
	*sessionListener
	path string
}

// Path returns the path of the socket.
func (l *AgentListener) Path() string { return l.path }

// Env returns the environment variable that names the socket:
// "SSH_AUTH_SOCK=…".
func (l *AgentListener) Env() []string { return []string{"SSH_AUTH_SOCK=" + l.path} }

// ListenAgent makes a Unix socket for processes of the session to reach the
// client's agent. It lies, readable for nobody else, in a directory of its own
// that only the user of this process may enter, under dir or, if that is empty,
// the system's directory of temporary files. Both are removed by Close and at
// the end of the session. Paths of Unix sockets are short, at most about 100
// octets.
func (s *ServerSession) ListenAgent(dir string) (*AgentListener, error) {
	if !s.AgentForward {
		return nil, errNoAgentForward
	}
	dir, err := os.MkdirTemp(dir, "ssh-") // 0700
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "agent")
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		if l != nil {
			_ = l.Close()
		}
		_ = os.RemoveAll(dir)
		return nil, err
	}
	sl := s.listen(l, agent.MaxConns, func(nc net.Conn) (*Channel, error) {
		ctx, cancel := context.WithTimeout(s.ch.ctx, openTimeout)
		defer cancel()
		return s.OpenAgent(ctx)
	}, func() { _ = os.RemoveAll(dir) })
	return &AgentListener{sl, path}, nil
}

// openTimeout bounds how long a client may take to open a channel for a process
// that connected to a listener of a session.
const openTimeout = 30 * time.Second

// A sessionListener forwards what it accepts to the client of a session.
type sessionListener struct {
	l     net.Listener
	close func()
	done  chan struct{}
}

// listen serves l until it is closed or the session ends. At most limit
// connections are forwarded at a time; more are closed at once. open opens the
// channel for one; clean removes what l leaves behind.
func (s *ServerSession) listen(l net.Listener, limit int, open func(net.Conn) (*Channel, error), clean func()) *sessionListener {
	sl := &sessionListener{l: l, done: make(chan struct{})}
	sl.close = sync.OnceFunc(func() {
		_ = l.Close()
		clean()
	})
	stop := context.AfterFunc(s.ch.ctx, sl.close)
	c := s.ch.conn
	c.goHandler(func() {
		defer close(sl.done)
		defer stop()
		defer sl.close()
		slots := make(chan struct{}, limit)
		var pause time.Duration
		for {
			nc, err := l.Accept()
			if err != nil {
				if pause = acceptAgain(s.ch.ctx, err, pause); pause == 0 {
					return
				}
				continue
			}
			pause = 0
			select {
			case slots <- struct{}{}:
			default:
				_ = nc.Close()
				continue
			}
			c.goHandler(func() {
				defer func() { <-slots }()
				ch, err := open(nc)
				if err != nil {
					c.log.Debug("connection of a session not forwarded", "err", err)
					_ = nc.Close()
					return
				}
				relay(ch, nc)
			})
		}
	})
	return sl
}

// Close stops listening and removes what was made for it. Connections that were
// forwarded go on. It is idempotent.
func (l *sessionListener) Close() error {
	l.close()
	<-l.done
	return nil
}

var _ io.Closer = (*AgentListener)(nil)
