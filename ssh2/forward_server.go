package ssh2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A binding is an address or a socket that a client had the server listen on.
type binding struct {
	at   HostPort // as asked for, with the port in fact
	path string   // of a Unix socket
	l    net.Listener
}

// key tells bindings apart, as the client names them.
type bindKey struct {
	at   HostPort
	path string
}

func (b *binding) key() bindKey { return bindKey{b.at, b.path} }

// bindings has the listeners of a connection.
type bindings struct {
	mu   sync.Mutex
	all  map[bindKey]*binding
	over bool
}

// room tells whether another listener may be added, of which there is none yet.
func (g *bindings) room(most int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.over && len(g.all) < most
}

// add adds b. It reports false if the connection has ended or has such a listener
// already.
func (g *bindings) add(b *binding) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || g.all[b.key()] != nil {
		return false
	}
	if g.all == nil {
		g.all = map[bindKey]*binding{}
	}
	g.all[b.key()] = b
	return true
}

// drop closes a listener and tells whether there was one.
func (g *bindings) drop(k bindKey) bool {
	g.mu.Lock()
	b := g.all[k]
	delete(g.all, k)
	g.mu.Unlock()
	if b == nil {
		return false
	}
	_ = b.l.Close()
	return true
}

// gone closes b, whose place another listener may have taken by now.
func (g *bindings) gone(b *binding) {
	g.mu.Lock()
	if g.all[b.key()] == b {
		delete(g.all, b.key())
	}
	g.mu.Unlock()
	_ = b.l.Close()
}

// end takes out all listeners, for good. They may be of the user's making, and
// so are for the caller to close, on a goroutine that may wait.
func (g *bindings) end() []*binding {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	all := slices.Collect(maps.Values(g.all))
	g.all = nil
	return all
}

func closeAll(bs []*binding) {
	for _, b := range bs {
		_ = b.l.Close()
	}
}

// forwardHandlers returns the handlers of channels and requests with those of
// the policy added where the user has none.
func (s *Server) forwardHandlers(p *ForwardPolicy) (map[string]ChannelHandler, map[string]GlobalHandler) {
	channels, requests := map[string]ChannelHandler{}, map[string]GlobalHandler{}
	if p.DialTCP != nil {
		channels[directTCP] = p.serveDirectTCP
	}
	if p.DialUnix != nil {
		channels[directUnix] = p.serveDirectUnix
	}
	if p.ListenTCP != nil {
		requests[listenTCP], requests[cancelTCP] = p.serveListenTCP, serveCancelTCP
	}
	if p.ListenUnix != nil {
		requests[listenUnix], requests[cancelUnix] = p.serveListenUnix, serveCancelUnix
	}
	maps.Copy(channels, s.Channels)
	maps.Copy(requests, s.Requests)
	return channels, requests
}

// ---- what the client connects to

// serveDirectTCP connects a direct-tcpip channel.
func (p *ForwardPolicy) serveDirectTCP(ctx context.Context, n *NewChannel) {
	to, from, err := n.TCP()
	if err != nil {
		n.Refuse(OpenConnectFailed, "malformed")
		return
	}
	p.connect(ctx, n, to, func(ctx context.Context) (net.Conn, error) { return p.DialTCP(ctx, n.conn, to, from) })
}

// serveDirectUnix connects a direct-streamlocal@openssh.com channel.
func (p *ForwardPolicy) serveDirectUnix(ctx context.Context, n *NewChannel) {
	path, err := n.SocketPath()
	if err != nil {
		n.Refuse(OpenConnectFailed, "malformed")
		return
	}
	p.connect(ctx, n, unixAddr(path), func(ctx context.Context) (net.Conn, error) { return p.DialUnix(ctx, n.conn, path) })
}

func (p *ForwardPolicy) connect(ctx context.Context, n *NewChannel, to net.Addr, dial func(context.Context) (net.Conn, error)) {
	timed, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	nc, err := dial(timed)
	if err == nil && nc == nil {
		err = errNotPermitted
	}
	log := n.conn.log.With("user", plainAuth(n.conn.auth.User), "to", plainAuth(to.String()))
	if err != nil {
		no := refusal(err)
		log.Info("forwarding refused", "reason", no.Reason, "err", plainAuth(err.Error()))
		n.Refuse(no.Reason, no.Text)
		return
	}
	ch, err := n.Accept(nil)
	if err != nil {
		_ = nc.Close()
		return
	}
	log.Debug("forwarding")
	relay(ch, nc)
}

// ---- what the client has us listen on

// serveListenTCP answers tcpip-forward.
func (p *ForwardPolicy) serveListenTCP(ctx context.Context, c *Conn, r *Request) (bool, []byte) {
	at, err := r.TCPBind()
	if err != nil {
		return false, nil
	}
	l := p.listen(c, at, func() (net.Listener, error) { return p.ListenTCP(ctx, c, at) })
	if l == nil {
		return false, nil
	}
	var reply []byte
	if at.Port == 0 {
		if at.Port = hostPort(l.Addr()).Port; at.Port == 0 {
			_ = l.Close()
			c.log.Error("forwarding refused: the listener does not say its port", "addr", l.Addr())
			return false, nil
		}
		reply = PortReply(at.Port)
	}
	return p.bind(c, r, &binding{at: at, l: l}), reply
}

// serveListenUnix answers streamlocal-forward@openssh.com.
func (p *ForwardPolicy) serveListenUnix(ctx context.Context, c *Conn, r *Request) (bool, []byte) {
	path, err := r.SocketPath()
	if err != nil {
		return false, nil
	}
	l := p.listen(c, unixAddr(path), func() (net.Listener, error) { return p.ListenUnix(ctx, c, path) })
	return l != nil && p.bind(c, r, &binding{path: path, l: l}), nil
}

// listen returns a listener, or nil.
func (p *ForwardPolicy) listen(c *Conn, at net.Addr, listen func() (net.Listener, error)) net.Listener {
	log := c.log.With("user", plainAuth(c.auth.User), "at", plainAuth(at.String()))
	if !c.bindings.room(p.MaxListeners) {
		log.Info("listening refused", "err", "too many listeners")
		return nil
	}
	l, err := listen()
	if err == nil && l == nil {
		err = errNotPermitted
	}
	if err != nil {
		log.Info("listening refused", "err", plainAuth(err.Error())) // it may have what the client named
		return nil
	}
	log.Debug("listening")
	return l
}

// bind has connections forwarded once the client knows of the listener: one that
// let the server choose a port could not tell what they belong to.
func (p *ForwardPolicy) bind(c *Conn, r *Request, b *binding) bool {
	if !c.bindings.add(b) {
		_ = b.l.Close()
		return false
	}
	r.AfterReply(func() { c.goHandler(func() { p.accept(c, b) }) })
	return true
}

func serveCancelTCP(_ context.Context, c *Conn, r *Request) (bool, []byte) {
	at, err := r.TCPBind()
	return err == nil && c.bindings.drop(bindKey{at: at}), nil
}

func serveCancelUnix(_ context.Context, c *Conn, r *Request) (bool, []byte) {
	path, err := r.SocketPath()
	return err == nil && c.bindings.drop(bindKey{path: path}), nil
}

// accept forwards the connections that come in at b, until it is closed.
func (p *ForwardPolicy) accept(c *Conn, b *binding) {
	defer c.bindings.gone(b)
	var pause time.Duration
	for {
		nc, err := b.l.Accept()
		if err != nil {
			if pause = acceptAgain(c.ctx, err, pause); pause == 0 {
				return
			}
			continue
		}
		pause = 0
		select {
		case c.forwards <- struct{}{}:
		case <-c.ctx.Done():
			_ = nc.Close()
			return
		}
		c.goHandler(func() {
			defer c.giveForward()
			p.deliver(c, b, nc)
		})
	}
}

// acceptAgain waits if accepting has failed for a reason that passes, longer than
// the time before. It returns how long it was, or 0 if there is nothing to accept
// any more.
func acceptAgain(ctx context.Context, err error, before time.Duration) time.Duration {
	var temporary interface{ Temporary() bool }
	if !errors.As(err, &temporary) || !temporary.Temporary() {
		return 0
	}
	// Out of descriptors, or someone who left again.
	pause := min(max(2*before, 5*time.Millisecond), time.Second)
	select {
	case <-time.After(pause):
		return pause
	case <-ctx.Done():
		return 0
	}
}

// deliver forwards one connection to the client.
func (p *ForwardPolicy) deliver(c *Conn, b *binding, nc net.Conn) {
	ctx, cancel := context.WithTimeout(c.ctx, p.Timeout)
	var ch *Channel
	var err error
	if b.path != "" {
		ch, err = c.openForwardedUnix(ctx, b.path)
	} else {
		ch, err = c.openForwardedTCP(ctx, b.at, nc.RemoteAddr())
	}
	cancel()
	if err != nil {
		c.log.Debug("forwarded connection refused by the client", "user", plainAuth(c.auth.User), "err", err)
		_ = nc.Close()
		return
	}
	relay(ch, nc)
}

// giveForward lets another connection be forwarded.
func (c *Conn) giveForward() {
	<-c.forwards
	c.leaveIfIdle()
}

// ---- by hand

var errNotServer = errors.New("ssh2: forward: only servers forward connections to clients")

var errNoForwarding = errors.New("ssh2: forward: the user's limits forbid forwarding")

// OpenForwardedTCP opens a forwarded-tcpip channel to the client (RFC 4254
// section 7.2), on a server that answers tcpip-forward by its own handler in
// Server.Requests. bound is the address that the client asked for, with the
// actual port; it tells the client which of its listeners the connection is
// for. origin is who connected. Do not call it before the client has the reply
// to its request, see Request.AfterReply. A refusal is an *OpenError.
func (c *Conn) OpenForwardedTCP(ctx context.Context, bound HostPort, origin net.Addr) (net.Conn, error) {
	ch, err := c.openForwardedTCP(ctx, bound, origin)
	if err != nil {
		return nil, err
	}
	return &forwardConn{ch, bound.addr(), hostPort(origin).addr()}, nil
}

// OpenForwardedUnix opens a forwarded-streamlocal@openssh.com channel to the
// client, for a path that it asked for by streamlocal-forward@openssh.com. See
// OpenForwardedTCP.
func (c *Conn) OpenForwardedUnix(ctx context.Context, path string) (net.Conn, error) {
	ch, err := c.openForwardedUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	return &forwardConn{ch, unixAddr(path), unixAddr("")}, nil
}

func (c *Conn) openForwardedTCP(ctx context.Context, bound HostPort, origin net.Addr) (*Channel, error) {
	from := hostPort(origin)
	return c.openForwarded(ctx, forwardedTCP, &msg.TCPChannel{Addr: bound.Host, Port: uint32(bound.Port), Origin: from.Host, OriginPort: uint32(from.Port)})
}

func (c *Conn) openForwardedUnix(ctx context.Context, path string) (*Channel, error) {
	return c.openForwarded(ctx, forwardedUnix, &msg.ForwardedUnix{Path: path})
}

func (c *Conn) openForwarded(ctx context.Context, typ string, extra wire.Layouter) (*Channel, error) {
	switch {
	case c.server == nil:
		return nil, errNotServer
	case c.auth.Limits.NoPortForwarding:
		return nil, errNoForwarding
	}
	ch, err := c.Open(ctx, typ, wire.Append(nil, extra), nil)
	if err != nil {
		return nil, fmt.Errorf("ssh2: forward: %w", err)
	}
	return ch, nil
}
