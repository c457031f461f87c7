package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// ClientConfig is how a Client works. The zero value is the best for almost every server.
type ClientConfig struct {
	// MinVersion and MaxVersion bound the protocol version, 3 to 6. 0 is 3 and the
	// highest there is. The server decides; one that has nothing in between is refused.
	MinVersion, MaxVersion int
	// ServerIdent is the SSH ident of the server, such as "SSH-2.0-OpenSSH_9.9". It
	// tells which servers need something done otherwise. Without it all are taken to
	// be like OpenSSH.
	ServerIdent string
	// SymlinkOrder is the order in which SYMLINK carries its paths in versions 3 to 5; the zero
	// value decides by ServerIdent.
	SymlinkOrder SymlinkOrder
	// InFlight bounds the octets of all files together that are asked for, or sent, and not yet
	// delivered or acknowledged: the memory of the client. 0 is 64 MiB. Each transfer starts with 2
	// MiB and takes more on links with a long round-trip time.
	InFlight int
	// Request bounds the octets of content in one READ or WRITE. 0 is what the server
	// says it takes, at most 255 KiB, and 32 KiB from one that says nothing.
	Request int
	// MaxOpenFiles bounds the files and directories that are open; opening one more
	// waits until another is closed. 0 is no bound. Some servers allow just one.
	MaxOpenFiles int
	// OneAtATime sends a READ or WRITE only after the previous one has been answered, for servers
	// that cannot handle more.
	OneAtATime bool
	// Charset is how the server writes names; nil passes them as they are, which is UTF-8
	// from version 4 on and nearly everywhere.
	Charset *Charset
	// Newline separates lines here, in files that are opened with OpenText: "\n", which
	// "" is too, "\r" or "\r\n".
	Newline string
	// Log gets a line when the session begins and when it ends, at level debug; nil logs
	// nothing.
	Log *slog.Logger
}

const (
	defaultInFlight = 64 << 20
	// plainRequest is what every server takes: a message of 34000 octets
	// (filexfer-02 section 3).
	plainRequest = 32 << 10
	// leastRequest is the least that is believed of what a server says.
	leastRequest = 1 << 10
)

// ServerLimits are what a server says about itself with limits@openssh.com. 0 means that the limit
// is not known or that there is none.
type ServerLimits struct {
	MaxPacket  uint64 // octets of a message
	MaxRead    uint64 // octets of content in one READ
	MaxWrite   uint64 // octets of content in one WRITE
	MaxHandles uint64 // files and directories open at a time
}

// Client is an SFTP session with a server. All methods may be called concurrently.
//
// Errors of the server are a [*StatusError], wrapped as package os does it, in a
// [*fs.PathError] or [*os.LinkError]: errors.Is finds fs.ErrNotExist and the like, and also
// a [Code]. When the connection ends every call gets a [*ConnectionError], or a
// [*ProtocolError] if the reason is that the server broke the protocol.
type Client struct {
	calls   *calls
	cfg     ClientConfig
	version fxp.Version
	exts    map[string]string // what VERSION announced
	info    ServerInfo        // the same, as far as it is known
	limits  ServerLimits
	quirks  quirk

	maxRead  atomic.Int64 // octets of content in one READ
	maxWrite int          // and in one WRITE
	budget   budget
	open     chan struct{} // a token for each file that may be open; nil: no bound
}

// NewClient begins a session over conn, which it owns from then on, also when it fails. ctx
// bounds the beginning only. c may be nil.
func NewClient(ctx context.Context, conn packet.Conn, c *ClientConfig) (*Client, error) {
	if c == nil {
		c = new(ClientConfig)
	}
	cl := &Client{calls: newCalls(conn), cfg: *c, quirks: serverQuirks(c.ServerIdent)}
	cl.budget.left = int64(c.InFlight)
	if c.InFlight <= 0 {
		cl.budget.left = defaultInFlight
	}
	if c.MaxOpenFiles > 0 {
		cl.open = make(chan struct{}, c.MaxOpenFiles)
	}
	cl.calls.orphan = cl.closeOrphan
	if err := cl.begin(ctx); err != nil {
		_ = cl.Close()
		return nil, err
	}
	return cl, nil
}

// begin is the conversation of the beginning: INIT, VERSION, limits.
func (c *Client) begin(ctx context.Context) error {
	lowest, highest, err := c.versions()
	if err != nil {
		return err
	}
	undo := after(ctx, func() { _ = c.calls.conn.Close() })
	m, err := c.hello(highest)
	undo()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.calls.in.close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("sftp: connect: %w", err)
	}
	c.version = m.Version
	c.announced(&m)
	c.calls.start()
	if err := c.selectVersion(ctx, lowest, highest); err != nil {
		return err
	}
	if err := c.askLimits(ctx); err != nil {
		return err
	}
	if log := c.cfg.Log; log != nil {
		log.LogAttrs(ctx, slog.LevelDebug, "sftp session begun", slog.Int("version", c.Version()),
			slog.Int64("read", c.maxRead.Load()), slog.Int("write", c.maxWrite))
	}
	return nil
}

// versions returns the range of versions to speak.
func (c *Client) versions() (lowest, highest fxp.Version, err error) {
	if own := c.cfg.Newline; own != "" && newline(own) != own {
		return 0, 0, fmt.Errorf("sftp: connect: newline %q: not LF, CR or CR LF", own)
	}
	lo, hi := c.cfg.MinVersion, c.cfg.MaxVersion
	if lo == 0 {
		lo = int(fxp.V3)
	}
	if hi == 0 {
		hi = max(lo, int(c.quirks.maxVersion()))
	}
	if lo < int(fxp.V3) || hi > int(fxp.Newest) || lo > hi {
		return 0, 0, fmt.Errorf("sftp: connect: versions %d to %d: not among 3 to %d", lo, hi, int(fxp.Newest))
	}
	return fxp.Version(lo), fxp.Version(hi), nil
}

// hello sends INIT and takes VERSION (filexfer-13 section 5).
func (c *Client) hello(highest fxp.Version) (m fxp.VersionReply, err error) {
	p := fxp.Append(nil, 0, &fxp.Init{Version: highest})
	b := packet.Get(len(p))
	copy(b.Bytes(), p)
	if err := c.calls.conn.WritePacket(b); err != nil {
		return m, &ConnectionError{Err: err}
	}
	seen := false
	c.calls.in.message = func(r reply) error {
		if seen || r.t != fxp.TypeVersion {
			r.data.Release()
			return violation("server sent %s for VERSION", r.t)
		}
		seen = true
		if err := wire.Decode(r.body, &m); err != nil {
			return violation("VERSION: %v", err)
		}
		for i := range m.Extensions { // which alias the message
			m.Extensions[i].Data = bytes.Clone(m.Extensions[i].Data)
		}
		return nil
	}
	for !seen {
		b, err := c.calls.conn.ReadPacket()
		if err != nil {
			return m, &ConnectionError{Err: c.calls.in.ended(err)}
		}
		if err := c.calls.in.feed(b); err != nil {
			return m, err
		}
	}
	if m.Version > highest {
		return m, violation("server wants version %d, which was not offered", uint32(m.Version))
	}
	return m, nil
}

// selectVersion sees that the version is in range, and goes to another one with
// version-select (filexfer-13 section 5.5) where the server has something better in it.
func (c *Client) selectVersion(ctx context.Context, lowest, highest fxp.Version) error {
	best := c.version
	for _, n := range c.info.Versions {
		if v := fxp.Version(n); v <= highest && v > best {
			best = v
		}
	}
	if best < lowest {
		return fmt.Errorf("sftp: connect: the server speaks version %d, and %d is the least wanted", c.version, lowest)
	}
	if best == c.version {
		return nil
	}
	data := wire.AppendString(nil, strconv.Itoa(int(best)))
	if err := c.status(ctx, &fxp.Extended{Name: "version-select", Data: data}); err != nil {
		return fmt.Errorf("sftp: connect: version-select %d: %w", best, err)
	}
	c.version = best
	return nil
}

// askLimits decides on the size of requests.
func (c *Client) askLimits(ctx context.Context) error {
	read, write := plainRequest, plainRequest
	if n := c.info.MaxRead; n > plainRequest {
		read = believable(uint64(n), fxp.MaxLength)
	}
	if c.supports(fxp.OpLimits) {
		var m fxp.ReplyLimits
		err := c.extended(ctx, fxp.OpLimits, &fxp.ExtNothing{}, &m)
		if _, refused := errors.AsType[*StatusError](err); err != nil && !refused {
			return fmt.Errorf("sftp: connect: %w", err)
		}
		c.limits = ServerLimits{MaxPacket: m.MaxPacket, MaxRead: m.MaxRead, MaxWrite: m.MaxWrite, MaxHandles: m.MaxHandles}
		read, write = believable(m.MaxRead, m.MaxPacket), believable(m.MaxWrite, m.MaxPacket)
	}
	if n := c.cfg.Request; n > 0 {
		n = max(n, leastRequest)
		read, write = min(read, n), min(write, n)
	}
	c.maxRead.Store(int64(read))
	c.maxWrite = write
	return nil
}

// believable returns the content of one request by what a server says about it: servers
// have said 0, 1 and 2^63 (cves 12.10).
func believable(n, message uint64) int {
	if message >= leastRequest*2 {
		n = min(n, message-leastRequest) // for what is around the content
	}
	if n < leastRequest {
		return plainRequest
	}
	return int(min(n, fxp.MaxData))
}

// Version returns the protocol version that is spoken.
func (c *Client) Version() int { return int(c.version) }

// Extensions returns what the server announced, by name. The caller owns the map.
func (c *Client) Extensions() map[string]string { return maps.Clone(c.exts) }

// Supports tells whether the server announced an extension by that name, in the version
// that this package knows, if it knows the name.
func (c *Client) Supports(name string) bool {
	data, ok := c.exts[name]
	if !ok {
		return false
	}
	// OpenSSH's convention is a number, which grows with what would not be understood.
	if op := fxp.OpOfExtension([]byte(name), c.version); op != fxp.OpExtended && op != fxp.OpNone && strings.HasSuffix(name, "@openssh.com") {
		return op.Row().Announce == data || data == ""
	}
	return true
}

// supports tells whether the server has the request of row op.
func (c *Client) supports(op fxp.Op) bool {
	row := op.Row()
	return c.version >= row.Since && c.Supports(row.AnnouncedAs)
}

// Limits returns what the server says about its limits. All is 0 if it says nothing.
func (c *Client) Limits() ServerLimits { return c.limits }

// RequestSizes returns how many octets of content one READ and one WRITE carry.
func (c *Client) RequestSizes() (read, write int) { return int(c.maxRead.Load()), c.maxWrite }

// Close ends the session. Calls that still wait get ErrClientClosed. Data that was written to a
// file and has not been acknowledged may be lost, so close files first. Close may be called more
// than once.
func (c *Client) Close() error {
	c.calls.fail(ErrClientClosed)
	return nil
}

// Wait waits until the session has ended and returns why: nil after Close, else a
// *ConnectionError or a *ProtocolError.
func (c *Client) Wait() error {
	<-c.calls.ended
	c.calls.running.Wait()
	if err := c.calls.failure(); !errors.Is(err, ErrClientClosed) {
		return err
	}
	return nil
}

// Done is closed when the session has ended, for whatever reason.
func (c *Client) Done() <-chan struct{} { return c.calls.ended }

// ---- conversations of one request

// fail ends the session because of what the server did.
func (c *Client) fail(err error) error {
	c.calls.fail(err)
	return err
}

// wrong ends the session because of a reply that nobody asked for.
func (c *Client) wrong(m fxp.Message, cl *call) error {
	return c.fail(violation("%s answers %s", cl.t, m.Type()))
}

// statusOf is the error in a STATUS; nil is OK.
func (c *Client) statusOf(cl *call) error {
	if cl.buf == nil {
		return nil
	}
	m := fxp.Status{V: c.version}
	d := wire.Decoder(cl.buf.Bytes())
	m.Layout(d)
	if d.Err() != nil {
		return c.fail(violation("STATUS: %v", d.Err()))
	}
	m.Text = m.Text[:min(len(m.Text), maxStatusText)]
	m.Lang = m.Lang[:min(len(m.Lang), maxStatusText)]
	return statusOfWire(&m)
}

// status sends m, which a STATUS answers.
func (c *Client) status(ctx context.Context, m fxp.Message) error {
	cl, err := c.calls.roundTrip(ctx, m, false)
	if err != nil {
		return err
	}
	defer c.calls.release(cl)
	if cl.t != fxp.TypeStatus {
		return c.wrong(m, cl)
	}
	return c.statusOf(cl)
}

// ask sends m, which a message of the type of into answers.
func (c *Client) ask(ctx context.Context, m, into fxp.Message) error {
	cl, err := c.calls.roundTrip(ctx, m, false)
	if err != nil {
		return err
	}
	defer c.calls.release(cl)
	return c.answer(m, cl, into)
}

// answer decodes the reply to m.
func (c *Client) answer(m fxp.Message, cl *call, into fxp.Message) error {
	switch {
	case cl.t == into.Type():
		d := wire.Decoder(bytes.Clone(cl.buf.Bytes())) // which slices in into alias
		into.Layout(d)
		if d.Err() != nil {
			return c.fail(violation("%s: %v", cl.t, d.Err()))
		}
		return nil
	case cl.t != fxp.TypeStatus || cl.ok():
		return c.wrong(m, cl)
	}
	return c.statusOf(cl)
}

// handle sends m, which a HANDLE answers.
func (c *Client) handle(ctx context.Context, m fxp.Message) ([]byte, error) {
	cl, err := c.calls.roundTrip(ctx, m, true)
	if err != nil {
		return nil, err
	}
	defer c.calls.release(cl)
	switch {
	case cl.t == fxp.TypeHandle:
		h, err := handleOfBody(cl.buf.Bytes())
		if err != nil {
			return nil, c.fail(err)
		}
		return h, nil
	case cl.t != fxp.TypeStatus || cl.ok():
		return nil, c.wrong(m, cl)
	}
	return nil, c.statusOf(cl)
}

// name sends m, which a NAME with one name answers.
func (c *Client) name(ctx context.Context, m fxp.Message) (string, *Attrs, error) {
	list := fxp.Name{V: c.version}
	if err := c.ask(ctx, m, &list); err != nil {
		return "", nil, err
	}
	if len(list.Entries) != 1 {
		// One too many, or none, is no reason to end the session (cves 12.9).
		return "", nil, Status(CodeBadMessage, fmt.Sprintf("server answers with %d names", len(list.Entries)))
	}
	e := &list.Entries[0]
	return c.fromWire(e.Name), c.attrs(&e.Attrs), nil
}

// closeOrphan closes a handle that came when nobody waited for it any more. It does not
// wait, since the goroutine that reads calls it.
func (c *Client) closeOrphan(handle []byte) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	cl := c.calls.call(nil)
	// An error is a full table, or the end.
	_ = c.calls.sendSmall(now, cl, fxp.Append(nil, 0, &fxp.Handle{T: fxp.TypeClose, Handle: handle}))
	c.calls.drop(cl)
}

// enter waits until one more file may be open, and leave lets the next one in.
func (c *Client) enter(ctx context.Context) error {
	if c.open == nil {
		return nil
	}
	select {
	case c.open <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.open <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.calls.ended:
		return c.calls.failure()
	}
}

func (c *Client) leave() {
	if c.open != nil {
		<-c.open
	}
}

// ---- errors as os has them

func pathError(op, name string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func linkError(op, from, to string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: from, New: to, Err: err}
}

// checkOffset refuses what no offset can be.
func checkOffset(off int64, n int) error {
	if off < 0 || int64(n) > math.MaxInt64-off {
		return Status(CodeInvalidParameter, "offset out of range")
	}
	return nil
}
