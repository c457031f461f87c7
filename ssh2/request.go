package ssh2

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// A Request is a global request (RFC 4254 section 4) or one of a channel
// (section 5.4). The library answers it with what the handler returns.
type Request struct {
	Name      string // untrusted: quote before printing
	WantReply bool   // the peer waits for the answer
	Data      []byte // what follows the common fields; the handler may keep it

	afterReply func()
}

// AfterReply makes the library call f once the reply to a global request has
// been queued, if the request succeeded, so that what f sends arrives after the
// reply. A handler calls AfterReply before it returns; f must not wait. It is
// for handlers of tcpip-forward, whose client learns the port from the reply.
func (r *Request) AfterReply(f func()) { r.afterReply = f }

// size is what the peer makes us keep.
func (r *Request) size() int { return len(r.Name) + len(r.Data) }

// A RequestHandler answers requests of one channel. Calls are serial, on a
// goroutine of their own; further requests of the channel wait meanwhile. The
// context ends with the channel. A nil handler refuses everything. reply is
// sent only in answer to global requests.
type RequestHandler func(ctx context.Context, r *Request) (ok bool, reply []byte)

// A GlobalHandler answers global requests of one name. It is called like a
// RequestHandler; the calls for one connection are serial.
type GlobalHandler func(ctx context.Context, c *Conn, r *Request) (ok bool, reply []byte)

const (
	// maxQueuedRequests and maxQueuedOctets bound the requests of one channel,
	// or global ones of a connection, that wait for a handler. A peer that has
	// more of them outstanding breaks the connection.
	maxQueuedRequests = 256
	maxQueuedOctets   = 256 << 10
	// maxOutstanding bounds our own requests and opens without an answer, so
	// that they fit the outbox of a peer that has stopped reading.
	maxOutstanding = 128
)

// noMoreSessionsName is OpenSSH's request (PROTOCOL section 2.2).
const noMoreSessionsName = "no-more-sessions@openssh.com"

// A verdict is what serving a request came to.
type verdict uint8

const (
	refuse verdict = iota
	accept
	pending // a goroutine decides and calls settle
)

// A requestLine serves requests one at a time, in order, since replies have
// nothing but their order to be told apart by.
type requestLine struct {
	serve func(*Request) verdict              // on the goroutine that owns the line; never waits
	reply func(r *Request, ok bool, d []byte) // sends the answer if one is wanted; never waits
	// overtake names the requests that, if they want no answer, pass while one
	// is pending; nil is none. serve must bear that they come from the reader
	// while another goroutine owns the line, and must not leave them pending.
	overtake func(name string) bool

	mu     sync.Mutex
	queue  []*Request
	octets int
	busy   bool // someone owns the line
}

// push adds a request and serves it if the line is free. It reports false when
// the peer has too many requests outstanding. Only the reader may call it.
func (l *requestLine) push(r *Request) bool {
	l.mu.Lock()
	if l.busy && !r.WantReply && l.overtake != nil && l.overtake(r.Name) {
		l.mu.Unlock()
		l.serve(r)
		return true
	}
	if len(l.queue) >= maxQueuedRequests || len(l.queue) > 0 && l.octets+r.size() > maxQueuedOctets {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, r)
	l.octets += r.size()
	mine := !l.busy
	l.busy = true
	l.mu.Unlock()
	if mine {
		l.run()
	}
	return true
}

// run serves until the line is empty or a request is pending.
func (l *requestLine) run() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.queue, l.busy = nil, false
			l.mu.Unlock()
			return
		}
		r := l.queue[0]
		l.queue[0], l.queue = nil, l.queue[1:]
		l.octets -= r.size()
		l.mu.Unlock()
		switch l.serve(r) {
		case pending:
			return
		case accept:
			l.reply(r, true, nil)
		default:
			l.reply(r, false, nil)
		}
	}
}

// settle answers the pending request and goes on with the next.
func (l *requestLine) settle(r *Request, ok bool, data []byte) {
	l.reply(r, ok, data)
	l.run()
}

// A waiter waits for the answer to one request of ours.
type waiter struct {
	answer chan answer  // nil: nobody cares
	slot   bool         // the answer frees a slot of Conn.slots
	sent   time.Time    // not zero: the answer shows a round trip
	heard  func(answer) // if not nil, runs on the reader before it reads on; never waits
}

type answer struct {
	ok   bool
	data []byte
	err  error
}

// deliver gives the waiter its answer, the first of which counts.
func (w *waiter) deliver(a answer) {
	if w.heard != nil {
		w.heard(a)
	}
	if w.answer == nil {
		return
	}
	select {
	case w.answer <- a:
	default:
	}
}

// Request sends a global request (RFC 4254 section 4). With wantReply it waits
// for the answer and returns its data, or a *RequestError if it was refused.
// Cancelling ctx stops the waiting; a request that was sent is not taken back.
// At most 128 requests and channel opens are outstanding; further ones wait.
func (c *Conn) Request(ctx context.Context, name string, wantReply bool, data []byte) ([]byte, error) {
	m := &msg.GlobalRequest{Name: name, WantReply: wantReply, Data: data}
	if !wantReply {
		return nil, during("request", c.t.SendContext(ctx, m))
	}
	if err := c.takeSlot(ctx); err != nil {
		return nil, during("request", err)
	}
	w := &waiter{answer: make(chan answer, 1), slot: true}
	if err := c.ask(m, w); err != nil {
		return nil, err
	}
	a, err := c.wait(ctx, w)
	if err != nil {
		return nil, during("request", err)
	}
	if !a.ok {
		return nil, &RequestError{name}
	}
	return a.data, nil
}

// ask sends a request with w waiting for its answer, in the slot that the caller
// took.
func (c *Conn) ask(m *msg.GlobalRequest, w *waiter) error {
	c.mu.Lock()
	// In one critical section, so that waiters queue up in wire order.
	err := c.t.PostMessage(m)
	if err == nil {
		c.waiters = append(c.waiters, w)
	}
	c.mu.Unlock()
	if err != nil {
		c.giveSlot()
	}
	return err
}

// wait waits for an answer, the end of ctx or of the connection.
func (c *Conn) wait(ctx context.Context, w *waiter) (answer, error) {
	select {
	case a := <-w.answer:
		return a, a.err
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case <-c.t.Done():
		select { // an answer that came before the end still counts
		case a := <-w.answer:
			return a, a.err
		default:
			return answer{}, c.lost()
		}
	}
}

// takeSlot waits until another request may be outstanding.
func (c *Conn) takeSlot(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.t.Done():
		return c.lost()
	}
}

func (c *Conn) giveSlot() { <-c.slots }

// answered takes the oldest waiter for a global request, or nil.
func (c *Conn) answered() *waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiters) == 0 {
		return nil
	}
	w := c.waiters[0]
	c.waiters[0], c.waiters = nil, c.waiters[1:]
	return w
}

// serveGlobal serves one global request.
func (c *Conn) serveGlobal(r *Request) verdict {
	switch {
	case r.Name == noMoreSessionsName && c.server != nil:
		if len(r.Data) != 0 {
			return refuse
		}
		c.mu.Lock()
		c.noMoreSessions = true
		c.mu.Unlock()
		return accept
	case r.Name == hostKeysProveName && c.server != nil:
		return c.serveProve(r)
	case r.Name == hostKeysName && c.watch != nil:
		c.serveHostKeys(r)
		return accept
	case c.auth.Limits.NoPortForwarding && forwardsPorts(r.Name):
		return refuse
	case c.globals[r.Name] != nil:
		h := c.globals[r.Name]
		c.goHandler(func() {
			ok, reply := h(c.ctx, c, r)
			c.line.settle(r, ok, reply)
		})
		return pending
	}
	return refuse
}

// replyGlobal returns a global request.
func (c *Conn) replyGlobal(r *Request, ok bool, data []byte) {
	switch {
	case !r.WantReply:
	case ok:
		_ = c.t.PostMessage(&msg.RequestSuccess{Data: data}) // an error ends the connection, and so this
	default:
		_ = c.t.PostMessage(&msg.RequestFailure{})
	}
	if ok && r.afterReply != nil {
		r.afterReply()
	}
}
