package ssh2

import (
	"context"
	"slices"
	"sync"
)

const (
	x11Channel   = "x11"                    // RFC 4254 section 6.3.2
	agentChannel = "auth-agent@openssh.com" // OpenSSH PROTOCOL
	agentRequest = "auth-agent-req@openssh.com"

	// maxServerChannels is how many channels a server may have open at a time on
	// a connection of a client: one for each window of a desktop, and then some.
	maxServerChannels = 128
)

// lending is what the sessions of a client let its server use: the display and
// the agent. A channel is taken only while a session is open that asked for it
// (cves 11.1), and one to the agent ends with the last such session.
type lending struct {
	mu       sync.Mutex
	agent    ChannelHandler     // serves agent channels; nil before Client.ForwardAgent
	sessions int                // sessions that lend the agent
	until    context.Context    // ends with the last of them; nil without any
	end      context.CancelFunc // ends until
	granted  bool               // the server agreed to one of them
	displays []*x11Lease
}

// opener returns what decides on channels of that type, or nil if no session
// asked for any.
func (l *lending) opener(typ string) ChannelHandler {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case typ == agentChannel && l.sessions > 0:
		h, until := l.agent, l.until
		return func(ctx context.Context, n *NewChannel) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(until, cancel)()
			h(ctx, n)
		}
	case typ == x11Channel && len(l.displays) > 0:
		return l.serveX11
	}
	return nil
}

// lendAgent notes a session that lends the agent, until it is taken back.
func (l *lending) lendAgent() (takeBack func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agent == nil {
		return nil, false
	}
	if l.sessions++; l.sessions == 1 {
		l.until, l.end = context.WithCancel(context.Background())
	}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sessions--; l.sessions == 0 {
			l.end()
			l.until, l.end = nil, nil
		}
	}), true
}

// lendDisplay notes a session that lends a display, until it is taken back.
func (l *lending) lendDisplay(x *x11Lease) (takeBack func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.displays = append(l.displays, x)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.displays = slices.DeleteFunc(l.displays, func(o *x11Lease) bool { return o == x })
	}
}
