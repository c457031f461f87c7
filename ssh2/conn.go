package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// A Conn is an authenticated SSH connection of either role. All methods may be
// called by any goroutine.
type Conn struct {
	t       *transport.Conn
	cfg     *Config
	log     *slog.Logger
	server  *Server // nil on clients
	auth    authResult
	windows WindowLimits
	ctx     context.Context
	stop    context.CancelCauseFunc

	prepared *prepared // by Server.Prepare, or nil

	globals   map[string]GlobalHandler
	openers   map[string]ChannelHandler
	line      requestLine   // global requests of the peer
	slots     chan struct{} // our outstanding requests and opens
	watch     *hostKeyWatch // a client that wants to know of host keys, or nil
	proofs    atomic.Pointer[hostKeyProofs]
	handlers  sync.WaitGroup
	alive     keepAlive
	idle      idle
	bindings  bindings      // what the client of this server had it listen on
	forwards  chan struct{} // a server's forwarded connections, in flight or being made
	listening listening     // what a client asked its server to listen on
	lent      lending       // what sessions of this client let the server use
	queued    atomic.Int64  // octets of all channels that wait for their consumers
	grown     ledger        // octets by which windows have grown
	rtt       atomic.Int64  // least sample, nanoseconds; 0 is none
	strays    uint64        // the reader's: messages that are nobody's

	mu             sync.Mutex
	channels       []*Channel // by our number; nil is free
	free           []uint32   // numbers that are free
	total          uint64     // channels ever opened
	counted        int        // channels of the peer that are open or have a handler running
	waiters        []*waiter  // our global requests without an answer
	onShutdown     map[*ServerSession]func()
	noMoreSessions bool
	draining       bool
	drainIdle      bool        // nothing ran at the last look
	drainTimer     *time.Timer // the next look
	ended          bool
	why            error         // why we ended it, if we did
	err            error         // how it ended, once done
	done           chan struct{} // closed when the reader has ended
}

// newConn returns a Conn over an authenticated transport. The goroutine that
// calls run is its reader.
func newConn(ctx context.Context, t *transport.Conn, cfg *Config, auth authResult) *Conn {
	c := &Conn{
		t:       t,
		cfg:     cfg,
		log:     cfg.logger(),
		auth:    auth,
		windows: cfg.Windows.withDefaults(),
		slots:   make(chan struct{}, maxOutstanding),
		done:    make(chan struct{}),
	}
	c.idle.after = max(cfg.Timeouts.Idle, 0)
	c.ctx, c.stop = context.WithCancelCause(ctx)
	c.rtt.Store(int64(t.Info().RTT))
	c.line.serve, c.line.reply = c.serveGlobal, c.replyGlobal
	return c
}

// run reads until the connection ends. It returns how it ended.
func (c *Conn) run() (err error) {
	c.alive.start(c)
	c.idle.start(c)
	defer func() {
		// A mistake of ours must end this connection and no other.
		if v := recover(); v != nil {
			err = c.panicked(v)
		}
		c.end(err)
		err = c.err
	}()
	for {
		p, err := c.t.Next()
		if err != nil {
			return err
		}
		if p[0] >= msg.NumChannelOpen && p[0] <= msg.NumChannelFailure {
			c.idle.used()
		}
		if err := dispatch[p[0]](c, p); err != nil {
			return err
		}
	}
}

// end lets everyone know that the connection is over.
func (c *Conn) end(err error) {
	c.alive.end()
	c.idle.end()
	c.mu.Lock()
	switch why := c.t.Err(); { // what came first: a keepalive, a Close, the peer
	case c.why != nil:
		err = c.why
	case why != nil:
		err = why
	}
	c.ended, c.err = true, err
	if c.drainTimer != nil {
		c.drainTimer.Stop()
	}
	channels, waiters := c.channels, c.waiters
	c.channels, c.waiters, c.free = nil, nil, nil
	c.mu.Unlock()
	_ = c.t.Close()
	c.t.ReleaseReader()
	for _, ch := range channels {
		if ch != nil {
			ch.end(c.lost())
			ch.settleGrowth()
		}
	}
	for _, w := range waiters {
		w.deliver(answer{err: c.lost()})
	}
	c.listening.end(c.lost())
	if bs := c.bindings.end(); len(bs) > 0 {
		c.goHandler(func() { closeAll(bs) }) // which may be code of the user
	}
	c.stop(err)
	close(c.done)
}

// lost is what operations fail with after the connection has ended. An end of
// the stream below is no end of a stream above.
func (c *Conn) lost() error {
	err := c.t.Err()
	c.mu.Lock()
	if c.why != nil {
		err = c.why
	}
	c.mu.Unlock()
	switch {
	case err == nil:
		return ErrClosed
	case errors.Is(err, io.EOF):
		return fmt.Errorf("ssh2: connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// goHandler runs code of the user on a goroutine of its own.
func (c *Conn) goHandler(f func()) {
	c.handlers.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				_ = c.panicked(v)
			}
		}()
		f()
	})
}

// guard runs code of the user on the calling goroutine, and returns its panic as
// an error.
func (c *Conn) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = c.panicked(v)
		}
	}()
	return f()
}

// panicked ends the connection because a handler, or this library, panicked.
func (c *Conn) panicked(v any) error {
	err := &PanicError{v, debug.Stack()}
	c.log.Error("panic", "remote", c.t.NetConn().RemoteAddr(), "panic", v, "stack", string(err.Stack))
	c.fail(err, DisconnectByApplication, "internal error")
	return err
}

// fail ends the connection with an error of ours. The peer is told, in case it
// can hear.
func (c *Conn) fail(err error, reason DisconnectReason, text string) {
	c.mu.Lock()
	if c.why == nil && c.t.Err() == nil {
		c.why = err
	}
	c.mu.Unlock()
	_ = c.t.Disconnect(uint32(reason), text)
}

// growth asks the ledgers for n octets of window.
func (c *Conn) growth(n int64) bool {
	if !c.grown.take(n, c.windows.PerConnection) {
		return false
	}
	if !process.take(n, c.windows.PerProcess) {
		c.grown.give(n)
		return false
	}
	return true
}

// sampleRTT notes an upper bound of the round trip.
func (c *Conn) sampleRTT(d time.Duration) {
	for {
		old := c.rtt.Load()
		if old != 0 && old <= int64(d) || c.rtt.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// RTT returns the shortest round trip measured so far, or 0 if none has been
// measured.
func (c *Conn) RTT() time.Duration { return time.Duration(c.rtt.Load()) }

// SetNoDelay says whether the operating system sends small packets at once
// (true, Go's default for TCP) or may delay them to send several together
// (Nagle's algorithm). It fails with errors.ErrUnsupported if the connection
// below is not TCP.
func (c *Conn) SetNoDelay(off bool) error {
	if tcp, ok := c.t.NetConn().(interface{ SetNoDelay(bool) error }); ok {
		return tcp.SetNoDelay(off)
	}
	return fmt.Errorf("ssh2: no delay: %w", errors.ErrUnsupported)
}

// SetStallTimeout changes Timeouts.Stall of this connection; 0 means never.
func (c *Conn) SetStallTimeout(d time.Duration) { c.t.SetStallTimeout(d) }

// User returns the name that the client logged in with.
func (c *Conn) User() string { return c.auth.User }

// Rekey starts a new key exchange and waits until the new keys are in use.
func (c *Conn) Rekey(ctx context.Context) error { return during("rekey", c.t.Rekey(ctx)) }

// Ping measures a round trip: with ping@openssh.com if the peer knows it, else
// with a keepalive request.
func (c *Conn) Ping(ctx context.Context) (time.Duration, error) {
	d, err := c.t.Ping(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		start := time.Now()
		_, err = c.Request(ctx, keepAliveName, true, nil)
		if _, ok := errors.AsType[*RequestError](err); ok {
			err = nil // a no is an answer too
		}
		d = time.Since(start)
	}
	if err != nil {
		return 0, during("ping", err)
	}
	c.sampleRTT(max(d, 1))
	return d, nil
}

// Disconnect tells the peer why (RFC 4253 section 11.1) and ends the connection.
func (c *Conn) Disconnect(reason DisconnectReason, text string) error {
	_ = c.t.Disconnect(uint32(reason), text)
	return c.t.Close()
}

// Close ends the connection at once: everything that waits on it fails. It is
// idempotent.
func (c *Conn) Close() error { return c.t.Close() }

// Wait waits for the end of the connection and returns the reason: ErrClosed
// after Close, a *DisconnectError, io.EOF if the peer closed the connection
// without DISCONNECT, and so on.
func (c *Conn) Wait() error {
	<-c.done
	return c.err
}

// Context ends with the connection, the cause being what Wait returns.
func (c *Conn) Context() context.Context { return c.ctx }

// newChannel makes a channel with a number of ours.
func (c *Conn) newChannel(typ string) (*Channel, error) {
	ch := &Channel{conn: c, typ: typ}
	ch.cond.L = &ch.mu
	ch.window.init(c.windows)
	ch.ctx, ch.stop = context.WithCancelCause(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrClosed
	}
	c.total++
	if n := len(c.free); n > 0 {
		ch.id = c.free[n-1]
		c.free = c.free[:n-1]
		c.channels[ch.id] = ch
		return ch, nil
	}
	ch.id = uint32(len(c.channels))
	c.channels = append(c.channels, ch)
	return ch, nil
}

// channel returns the channel with that number of ours, or nil.
func (c *Conn) channel(id uint32) *Channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uint64(id) >= uint64(len(c.channels)) {
		return nil
	}
	return c.channels[id]
}

// remove frees the number of a channel that both sides have closed.
func (c *Conn) remove(ch *Channel) {
	c.mu.Lock()
	if uint64(ch.id) < uint64(len(c.channels)) && c.channels[ch.id] == ch {
		c.channels[ch.id] = nil
		c.free = append(c.free, ch.id)
	}
	c.mu.Unlock()
	ch.settleGrowth()
	ch.uncount(removed)
}

// uncount notes that the channel was removed, or that its handler has returned;
// after both it counts no longer against MaxChannels.
func (ch *Channel) uncount(what channelState) {
	ch.mu.Lock()
	if what == removed {
		ch.state |= removed
	} else {
		ch.busy--
	}
	over := ch.counted && ch.has(removed) && ch.busy == 0
	if over {
		ch.counted = false
	}
	ch.mu.Unlock()
	switch c := ch.conn; {
	case over && c.isForward(ch.typ):
		c.giveForward()
	case over:
		c.mu.Lock()
		c.counted--
		c.mu.Unlock()
		c.leaveIfIdle()
	}
}

// settleGrowth gives the ledgers back what the window had grown by.
func (ch *Channel) settleGrowth() {
	ch.mu.Lock()
	n := ch.window.grown
	ch.window.grown = 0
	ch.mu.Unlock()
	ch.conn.grown.give(n)
	process.give(n)
}
