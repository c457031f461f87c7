package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A Conn is one SSH connection as far as RFC 4253 goes.
type Conn struct {
	cfg Config
	nc  net.Conn
	log *slog.Logger

	// The reader's own.
	in       *packet.Buf // what was read and not yet handed on
	took     int         // octets of the packet handed out by Next, still in front of in
	payload  []byte      // its payload, until Take
	small    bool        // the last packet was small: the next wait needs a small Buf
	opener   seal.Opener
	inSeq    uint32
	inNonce  uint64
	inBytes  uint64
	inLimit  limit
	phase    msg.Phase
	first    bool // the first key exchange is not over
	strict   bool
	extNow   bool // EXT_INFO may come as the next message
	extLast  bool // EXT_INFO came: USERAUTH_SUCCESS must be next
	hostBlob []byte
	gss      GSSContext // of the first key exchange
	gssOID   []byte
	debugs   int  // DEBUG messages logged
	early    int  // key exchanges after the first and before login
	peerExt  bool // the peer takes EXT_INFO
	zlib     inflation

	out   outbox
	stall stall

	signers []gossh.Signer // a server's host keys; not changed after Handshake began

	quirks atomic.Uint32 // those of the peer, once its ident is known

	open     atomic.Bool // authentication is over: limits may start a key exchange
	keyKnown atomic.Bool // the server has shown a host key

	mu         sync.Mutex // guards what follows
	info       Info
	pings      map[uint64]chan struct{}
	pingN      uint64
	rekeyTimer *time.Timer

	bytesIn, bytesOut     atomic.Uint64
	packetsIn, packetsOut atomic.Uint64
	lastIn                atomic.Int64 // unix nanoseconds

	failOnce sync.Once
	err      error // valid once done is closed
	done     chan struct{}
	written  chan struct{} // closed when the writer has ended
	started  atomic.Bool
}

// Info describes a connection.
type Info struct {
	LocalIdent, RemoteIdent string
	// Greeting is what a server said before its ident, at most 8 KiB.
	Greeting string
	// Quirks are the faults of the peer that are worked around.
	Quirks           Quirks
	SessionID        []byte // exchange hash of the first key exchange
	Kex              string
	HostKeyAlgorithm string
	HostKey          gossh.PublicKey // the server's; nil if it showed none (GSS-API)
	In, Out          alg.Direction
	Strict           bool // strict key exchange is in force
	// Extensions are what the peer announced in EXT_INFO.
	Extensions map[string][]byte
	// RTT is the round trip as the first key exchange saw it: an upper bound.
	RTT time.Duration
	// KeyExchanges counts them, the first included.
	KeyExchanges int
	// Octets on the wire and packets, by direction.
	BytesIn, BytesOut     uint64
	PacketsIn, PacketsOut uint64
}

// New returns a Conn over nc, which it owns from then on. It starts nothing;
// call Handshake.
func New(nc net.Conn, cfg *Config) *Conn {
	c := &Conn{
		nc:      nc,
		opener:  seal.Plain{},
		phase:   msg.FirstKex,
		first:   true,
		small:   true, // who says nothing shall hold little
		done:    make(chan struct{}),
		written: make(chan struct{}),
	}
	c.lastIn.Store(time.Now().UnixNano())
	c.out.init(c)
	c.Configure(cfg)
	return c
}

// Configure replaces the configuration, before Handshake and on the goroutine
// that is going to call it.
func (c *Conn) Configure(cfg *Config) {
	c.cfg, c.log, c.signers = *cfg, cfg.Log, nil
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Signers != nil && cfg.Role == msg.Server {
		c.signers = cfg.Signers()
	}
	c.mu.Lock()
	c.info.LocalIdent = cfg.Version
	c.mu.Unlock()
}

// Handshake exchanges idents and does the first key exchange. The calling
// goroutine is the reader from then on. Cancelling ctx ends the connection
// during the handshake, not later; see Abort. After an error the Conn is closed.
func (c *Conn) Handshake(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.Abort(context.Cause(ctx)) })
	defer stop()
	c.in = packet.Get(1)
	c.in.Trim(0)
	c.in.Compact()
	c.started.Store(true)
	go c.out.write()
	c.SetStallTimeout(c.cfg.StallTimeout)
	ident := c.deadline(or(c.cfg.IdentTimeout, DefaultIdentTimeout), "ident")
	err := c.checkConfig()
	if err == nil {
		err = c.exchangeIdents()
	}
	ident.Stop()
	if err == nil {
		err = c.firstExchange(ctx)
	}
	if err != nil {
		if !c.out.flushing() {
			c.fail(err)
		}
		_ = c.Close()
		c.ReleaseReader()
		return c.Err()
	}
	return nil
}

// deadline ends the connection after d unless stopped.
func (c *Conn) deadline(d time.Duration, what string) *time.Timer {
	return time.AfterFunc(d, func() { c.fail(&TimeoutError{what}) })
}

// SetPhase tells which messages may come from now on: msg.Auth, which
// Handshake sets, or msg.Open. Only the reader may call it.
func (c *Conn) SetPhase(p msg.Phase) {
	c.phase = p
	if p == msg.Open && c.cfg.Role == msg.Server {
		c.zlib.login(true)
	}
	if p == msg.Open && !c.open.Swap(true) {
		c.armRekeyTimer()
	}
}

// SessionID returns the exchange hash of the first key exchange. It must not
// be modified.
func (c *Conn) SessionID() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info.SessionID
}

// Info returns a snapshot.
func (c *Conn) Info() Info {
	c.mu.Lock()
	i := c.info
	c.mu.Unlock()
	i.Quirks = c.Quirks()
	i.BytesIn, i.BytesOut = c.bytesIn.Load(), c.bytesOut.Load()
	i.PacketsIn, i.PacketsOut = c.packetsIn.Load(), c.packetsOut.Load()
	return i
}

// Quirks returns the faults of the peer that its ident tells of.
func (c *Conn) Quirks() Quirks { return Quirks(c.quirks.Load()) }

// Output returns how many octets were written so far, and whether more are on
// their way: while they move, a peer takes them. A write of some hundred KiB
// shows when it is complete.
func (c *Conn) Output() (written uint64, more bool) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.bytesOut.Load(), c.out.bytes > 0
}

// LastReceived returns when the peer was last heard of.
func (c *Conn) LastReceived() time.Time { return time.Unix(0, c.lastIn.Load()) }

// NetConn returns the connection below, for addresses and socket options.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Done is closed when the connection has ended, for whatever reason.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, or nil while it has not.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// fail ends the connection at once. The first error is the one that counts.
func (c *Conn) fail(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.setErr(err)
	c.out.fail(c.err)
	_ = c.nc.Close()
	c.stopRekeyTimer()
	c.stall.end()
}

// Close ends the connection, unblocks everyone and waits for the writer to
// end, which takes at most a second if DISCONNECT is on its way. It may be
// called by any goroutine, any number of times. The reader must call it last.
func (c *Conn) Close() error {
	if !c.out.flushing() {
		c.fail(ErrClosed)
	}
	if c.started.Load() {
		<-c.written
	}
	c.fail(ErrClosed)
	return nil
}

// ReleaseReader gives the reader's buffer back. Only the reader may call it,
// after its last Next.
func (c *Conn) ReleaseReader() {
	c.in.Release()
	c.zlib.release()
	c.in, c.payload, c.took = nil, nil, 0
}

// Disconnect sends DISCONNECT with a reason of RFC 4253 section 11.1 and closes
// the connection once that is on its way, or after a second. It does not wait
// for that; Close does.
func (c *Conn) Disconnect(reason uint32, text string) error {
	c.end(&DisconnectError{Reason: reason, Text: text}, reason, text)
	return nil
}

// Abort ends the connection for that cause: at once, unless the cause is a
// DisconnectError that did not come from a peer, which is sent then.
func (c *Conn) Abort(cause error) {
	if d, ok := errors.AsType[*DisconnectError](cause); ok && !d.Remote {
		c.end(cause, d.Reason, d.Text)
		return
	}
	c.fail(cause)
}

// Violation ends the connection because the peer broke the protocol, and
// returns the *ProtocolError. It never waits.
func (c *Conn) Violation(format string, a ...any) error {
	return c.violation(ReasonProtocolError, format, a...)
}

func (c *Conn) violation(reason uint32, format string, a ...any) error {
	err := &ProtocolError{reason, fmt.Sprintf(format, a...)}
	// The peer learns what kind of mistake it was, not our reasons in detail.
	c.end(err, reason, "protocol error")
	return err
}

// end sends DISCONNECT as the last packet and makes err the result.
func (c *Conn) end(err error, reason uint32, text string) {
	if !c.started.Load() {
		c.fail(err)
		return
	}
	c.out.last(encode(&msg.Disconnect{Reason: reason, Text: text}), err)
}

// writeFailed ends the sending half. A peer that has closed may have said why,
// and that is still to be read: the reader has a moment to find it.
func (c *Conn) writeFailed(err error) {
	c.out.fail(err)
	time.AfterFunc(flushTime, func() { c.fail(err) })
}

// endAfterFlush makes err the result and closes once what is ordered is out.
func (c *Conn) endAfterFlush(err error) {
	c.out.last(nil, err)
}

func (c *Conn) setErr(err error) {
	c.failOnce.Do(func() {
		c.err = err
		close(c.done)
	})
}

// ioError tells an end of the stream from what our own Close caused.
func (c *Conn) ioError(err error) error {
	if e := c.Err(); e != nil {
		return e
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("ssh2: connection: %w", err)
}
