package ssh2

import (
	"context"
	"errors"
	"io"

	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
)

var (
	errAgentTwice = errors.New("ssh2: agent forwarding: an agent is set already")
	errNoAgent    = errors.New("ssh2: agent forwarding: Session.AgentForward without Client.ForwardAgent")
)

// ForwardAgent sets the agent that sessions with AgentForward lend to the
// server. While such a session is open, the server may list the agent's keys
// and sign with them, and nothing else; so whoever controls the server can
// meanwhile log in elsewhere as the user. Call it once, before those sessions
// start.
func (c *Client) ForwardAgent(a sshagent.Agent) error {
	if a == nil {
		return errors.New("ssh2: agent forwarding: nil agent")
	}
	return c.lendAgent(func(ctx context.Context, n *NewChannel) {
		ch, err := n.Accept(nil)
		if err != nil {
			return
		}
		// The server's mistakes end this channel; serving logs them.
		_ = agent.Serve(ctx, ch, a, agent.Options{Log: c.log})
	})
}

// ForwardAgentTo is [Client.ForwardAgent] with an agent that dial connects to,
// once per channel, such as
//
//	func(ctx context.Context) (io.ReadWriteCloser, error) { return agent.DialConn(ctx, "") }
//
// The server's requests are passed on unfiltered: it may also add and remove
// keys.
func (c *Client) ForwardAgentTo(dial func(context.Context) (io.ReadWriteCloser, error)) error {
	if dial == nil {
		return errors.New("ssh2: agent forwarding: nil func")
	}
	return c.lendAgent(func(ctx context.Context, n *NewChannel) {
		conn, err := dial(ctx)
		if err != nil {
			c.log.Warn("agent not reached", "err", err)
			n.Refuse(OpenConnectFailed, "no agent")
			return
		}
		ch, err := n.Accept(nil)
		if err != nil {
			_ = conn.Close()
			return
		}
		defer context.AfterFunc(ctx, func() { _ = ch.Close() })() // the last session ends
		relay(ch, conn)
	})
}

func (c *Client) lendAgent(h ChannelHandler) error {
	l := &c.lent
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agent != nil {
		return errAgentTwice
	}
	l.agent = h
	return nil
}

// lendAgent asks the server to use the agent of the client.
func (s *Session) lendAgent(ctx context.Context) error {
	l := &s.ch.conn.lent
	takeBack, ok := l.lendAgent()
	if !ok {
		return errNoAgent
	}
	err := s.ch.Request(ctx, agentRequest, true, nil)
	_, refused := errors.AsType[*RequestError](err)
	l.mu.Lock()
	if err == nil {
		l.granted = true
	} else if refused && l.granted {
		// OpenSSH's server has one agent socket per connection, and says no to
		// whoever asks for it again.
		err = nil
	}
	l.mu.Unlock()
	if err != nil {
		takeBack()
		return err
	}
	context.AfterFunc(s.ch.ctx, takeBack)
	return nil
}
