package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// acceptBacklog is how many connections of one Listener wait for Accept. The
// server is told that there is no room for more.
const acceptBacklog = 128

var errNoPort = errors.New("ssh2: listen: the server did not say which port it chose")

// A Listener accepts connections that are made to the server and forwarded to
// this client. It is made by [Client.Listen]. All methods may be called by any
// goroutine.
type Listener struct {
	conn  *Conn
	unix  bool
	host  string // as asked for
	path  string // of a Unix socket
	asked int    // port asked for

	// forgetful is a server that says 0 when it was it who chose the port.
	forgetful bool

	queue chan *NewChannel // not granted yet, so that they cost the peer no window
	done  chan struct{}    // closed with err set

	// Guarded by conn.listening.mu.
	port    int // in fact
	granted bool
	over    bool
	err     error // what Accept fails with
}

// listening has the listeners of a client.
type listening struct {
	mu   sync.Mutex
	all  []*Listener // few; those that wait for the server's answer included
	over error       // the connection has ended
}

// Listen asks the server to listen: with network "tcp" at "host:port"
// (tcpip-forward, RFC 4254 section 7.1), with "unix" at a path
// (streamlocal-forward@openssh.com). The host is passed on as it is: "" means
// all addresses, "0.0.0.0" and "::" those of one family, "localhost" the
// loopback addresses of all families. Networks "tcp4" and "tcp6" turn "" into
// "0.0.0.0" and "::". Port 0 lets the server choose; Listener.Addr has its
// choice. A refusal is a *RequestError. Cancelling ctx gives up asking.
//
// The result is a *Listener. Connections accepted have the originator as their
// RemoteAddr and the address that was connected to, as far as the server says,
// as their LocalAddr. Up to 128 connections wait for Accept; more are refused.
func (c *Client) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	l := &Listener{
		conn: c.Conn, forgetful: c.t.Quirks().Has(transport.DynamicPort),
		queue: make(chan *NewChannel, acceptBacklog), done: make(chan struct{}),
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		at, err := ParseHostPort(addr)
		if err != nil {
			return nil, err
		}
		if err := checkFamily(network, at.Host); err != nil {
			return nil, fmt.Errorf("ssh2: listen: %w", err)
		}
		l.host, l.asked, l.port = at.Host, at.Port, at.Port
		switch {
		case at.Host == "" && network == "tcp4":
			l.host = "0.0.0.0"
		case at.Host == "" && network == "tcp6":
			l.host = "::"
		}
	case "unix":
		if _, err := checkPath(addr); err != nil {
			return nil, fmt.Errorf("ssh2: listen: %+q is no path of a socket", clip(addr))
		}
		l.unix, l.path = true, addr
	default:
		return nil, fmt.Errorf("ssh2: listen: %w", net.UnknownNetworkError(network))
	}
	if err := c.listening.add(l); err != nil {
		return nil, err
	}
	name, data := l.request(listenTCP, listenUnix)
	if err := c.takeSlot(ctx); err != nil {
		c.listening.remove(l)
		return nil, during("listen", err)
	}
	// The reader learns of the answer before it goes on to the connections that
	// may follow at once.
	w := &waiter{answer: make(chan answer, 1), slot: true, heard: l.heard}
	err := c.ask(&msg.GlobalRequest{Name: name, WantReply: true, Data: data}, w)
	var a answer
	if err == nil {
		a, err = c.wait(ctx, w)
	}
	switch {
	case err != nil:
		_ = l.Close() // which cancels what is granted by now, as heard does what is granted later
		return nil, during("listen", err)
	case !a.ok:
		return nil, &RequestError{name}
	}
	c.listening.mu.Lock()
	defer c.listening.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	return l, nil
}

// heard is the server's answer to the request to listen. It runs on the reader.
func (l *Listener) heard(a answer) {
	g := &l.conn.listening
	g.mu.Lock()
	cancel := false
	switch {
	case a.err != nil || !a.ok:
		g.drop(l, net.ErrClosed)
	case l.asked == 0 && !l.unix:
		var m msg.BoundPort
		port, ok := 0, wire.Decode(a.data, &m) == nil
		if ok {
			port, ok = wirePort(m.Port)
		}
		if !ok || port == 0 {
			g.drop(l, errNoPort)
			break
		}
		l.port, l.granted, cancel = port, true, l.over
	default:
		l.granted, cancel = true, l.over
	}
	g.mu.Unlock()
	if cancel { // nobody waits for it any more
		l.cancel()
	}
}

// request returns the name of the request that concerns l, and its data.
func (l *Listener) request(tcp, unix string) (string, []byte) {
	if l.unix {
		return unix, wire.Append(nil, &msg.Text{Value: l.path})
	}
	return tcp, wire.Append(nil, &msg.TCPForward{Addr: l.host, Port: uint32(l.port)})
}

// cancel tells the server to listen no more, and waits for nothing.
func (l *Listener) cancel() {
	name, data := l.request(cancelTCP, cancelUnix)
	m, c := &msg.GlobalRequest{Name: name, WantReply: true, Data: data}, l.conn
	select {
	case c.slots <- struct{}{}:
		_ = c.ask(m, &waiter{slot: true}) // fails with the connection, which ends the listening too
	default:
		go func() { _, _ = c.Request(c.ctx, name, true, data) }() // ends with the connection at the latest
	}
}

// Accept waits for the next connection and opens its channel. After Close it
// fails with net.ErrClosed, after the end of the connection with the reason for
// it.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.done:
			return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: l.err}
		case n := <-l.queue:
			local, remote := unixAddr(l.path), unixAddr("")
			if !l.unix {
				to, from, _ := parseTCPChannel(n.extra) // the reader has seen that it can be
				if to.Port == 0 {
					to.Port = l.port
				}
				local, remote = to.addr(), from.addr()
			}
			if ch, err := n.Accept(nil); err == nil {
				return &forwardConn{ch, local, remote}, nil
			}
			// The connection has ended, and done will be closed.
		}
	}
}

// Addr returns the address that the server listens on: the host or path as it
// was asked for, and the actual port. It is a *net.TCPAddr if the host is an IP
// address or empty, a HostPort if it is a name, else a *net.UnixAddr.
func (l *Listener) Addr() net.Addr {
	if l.unix {
		return unixAddr(l.path)
	}
	l.conn.listening.mu.Lock()
	at := HostPort{l.host, l.port}
	l.conn.listening.mu.Unlock()
	if at.Host == "" {
		return &net.TCPAddr{Port: at.Port}
	}
	return at.addr()
}

// Port returns the port that the server listens on; 0 for a Unix socket.
func (l *Listener) Port() int {
	l.conn.listening.mu.Lock()
	defer l.conn.listening.mu.Unlock()
	return l.port
}

// Close tells the server to listen no more, without waiting for it, refuses
// what Accept has not taken and makes Accept fail. Connections that were
// accepted live on. It is idempotent.
func (l *Listener) Close() error {
	if l.end() {
		l.cancel()
	}
	return nil
}

// Cancel is like Close, but waits for the server's reply, after which the
// address is free. A refusal is a *RequestError.
func (l *Listener) Cancel(ctx context.Context) error {
	if !l.end() {
		return nil
	}
	name, data := l.request(cancelTCP, cancelUnix)
	_, err := l.conn.Request(ctx, name, true, data)
	return during("listen: cancel", err)
}

// end ends the accepting. It reports true, once, if the server is to be told.
func (l *Listener) end() bool {
	g := &l.conn.listening
	g.mu.Lock()
	defer g.mu.Unlock()
	tell := l.granted && !l.over && g.over == nil
	g.drop(l, net.ErrClosed)
	return tell
}

// add registers l before the server is asked.
func (g *listening) add(l *Listener) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over != nil {
		return g.over
	}
	for _, o := range g.all {
		// Connections could not be told apart.
		if o.unix == l.unix && o.path == l.path && o.host == l.host && o.asked == l.asked && (l.unix || l.asked != 0) {
			return fmt.Errorf("ssh2: listen: %+q is listened on already", clip(o.path+HostPort{o.host, o.port}.String()))
		}
	}
	g.all = append(g.all, l)
	return nil
}

func (g *listening) remove(l *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(l, net.ErrClosed)
}

// drop takes l out, with what Accept fails with from now on, and refuses what
// waits. It is called with g.mu held.
func (g *listening) drop(l *Listener, err error) {
	if l.over {
		return
	}
	l.over, l.err = true, err
	for i, o := range g.all {
		if o == l {
			g.all = append(g.all[:i], g.all[i+1:]...)
			break
		}
	}
	close(l.done)
	for {
		select {
		case n := <-l.queue:
			n.Refuse(OpenConnectFailed, "no longer listening")
		default:
			return
		}
	}
}

// end drops all listeners, as the connection has ended.
func (g *listening) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = err
	for len(g.all) > 0 {
		g.drop(g.all[0], err)
	}
}

// offer gives a channel that the server opens to the listener it is for, or
// refuses it for lack of room. It reports false if there is none: then it is for
// others to decide on. Only the reader calls it.
func (g *listening) offer(c *Conn, m *msg.ChannelOpen) (taken bool, err error) {
	if c.server != nil || m.Type != forwardedTCP && m.Type != forwardedUnix {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.find(m)
	switch {
	case l == nil:
		return false, nil
	case m.MaxPacket == 0:
		return true, c.refuseOpen(m.Sender, errPacketSize0)
	case len(l.queue) == cap(l.queue): // and only the reader, with g.mu held, fills it
		return true, c.refuseOpen(m.Sender, &OpenError{OpenResourceShortage, "too many connections wait"})
	}
	ch, err := c.newChannel(m.Type)
	if err != nil {
		return true, err
	}
	l.queue <- c.incoming(ch, m)
	return true, nil
}

// find returns the listener that a forwarded channel is for, or nil. Servers
// that write the address in another way than they were asked, as some do with ""
// and "localhost", are recognized by the port. It is called with g.mu held.
func (g *listening) find(m *msg.ChannelOpen) *Listener {
	if m.Type == forwardedUnix {
		path, err := parseForwardedUnix(m.Extra)
		for _, l := range g.all {
			if err == nil && l.unix && l.granted && l.path == path {
				return l
			}
		}
		return nil
	}
	to, _, err := parseTCPChannel(m.Extra)
	if err != nil {
		return nil
	}
	var best *Listener
	most, several := 0, false
	for _, l := range g.all {
		if l.unix || !l.granted || l.port != to.Port && !(to.Port == 0 && l.asked == 0 && l.forgetful) {
			continue
		}
		switch likeness := hostLikeness(l.host, to.Host); {
		case likeness > most:
			best, most, several = l, likeness, false
		case likeness == most:
			several = true
		}
	}
	if several && most < sameHost { // a guess between two could be wrong
		return nil
	}
	return best
}

// sameHost is the likeness of a host with itself.
const sameHost = 4

// hostLikeness tells how well an address that a server reports fits one that it
// was asked for, from 1 up.
func hostLikeness(asked, said string) int {
	if strings.EqualFold(asked, said) {
		return sameHost
	}
	a, b := hostKind(asked), hostKind(said)
	switch {
	case a == b && a != "":
		return 3
	case a == "any": // what came in on one address of all
		return 2
	}
	return 1
}

// hostKind is "any" for an address that means all, "loopback" for one of this
// machine alone, else empty.
func hostKind(host string) string {
	if host == "" || host == "*" {
		return "any"
	}
	if strings.EqualFold(host, "localhost") {
		return "loopback"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return ""
	case ip.IsUnspecified():
		return "any"
	case ip.IsLoopback():
		return "loopback"
	}
	return ""
}

var _ net.Listener = (*Listener)(nil)
