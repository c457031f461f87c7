package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// RemoteFile is a file that is open on a server. It works like an *os.File, and is fast without any
// tuning: Read requests data ahead of the caller, and Write does not wait for the server; both are
// bounded by ClientConfig.InFlight.
//
// So the server's error for a Write may be returned by a later Write, or by Flush, Sync or Close:
// an upload has succeeded only if Close returns nil. After such an error every later Write fails.
// All other methods see the data that the same goroutine wrote before.
//
// Read, Write, Seek, WriteTo and ReadFrom share one position and run one after the other. ReadAt
// and WriteAt do not use the position, wait for the server's reply, and may run concurrently with
// everything else.
type RemoteFile struct {
	c       *Client
	name    string
	handle  []byte
	reads   bool
	writes  bool
	appends bool
	serial  bool        // one request at a time
	most    int         // requests under way; 0 is no bound of its own
	chunk   int         // octets of content in a request; 0 is what the client decides
	meter   *meter      // counts what is acknowledged; nil counts nothing
	text    *clientText // of a file opened with OpenText; else nil

	turn chan struct{} // held by who reads or writes at the position

	// Held by turn.
	pos   int64
	ahead readAhead
	back  writeBehind

	changed atomic.Uint64 // grows with what makes content that was read ahead stale

	mu     sync.Mutex
	user   context.Context // of SetContext
	ctx    context.Context // user's, until Close
	cancel context.CancelCauseFunc
	closed bool
}

// Open opens a file for reading.
func (c *Client) Open(ctx context.Context, name string) (*RemoteFile, error) {
	return c.OpenFile(ctx, name, HowFromFlags(os.O_RDONLY))
}

// Create opens a file for writing; it is created if it does not exist and emptied if it does.
// Unlike os.Create it does not ask for read access, which servers refuse to users who may only
// upload.
func (c *Client) Create(ctx context.Context, name string) (*RemoteFile, error) {
	return c.OpenFile(ctx, name, HowFromFlags(os.O_WRONLY|os.O_CREATE|os.O_TRUNC))
}

// OpenFile opens a file. HowFromFlags makes an OpenHow of the flags of os.OpenFile, and
// ParseOpenFlags of texts such as "r+"; Attrs in it are for a file that is made. What the protocol
// version of the session cannot express is errors.ErrUnsupported.
func (c *Client) OpenFile(ctx context.Context, name string, how OpenHow) (*RemoteFile, error) {
	f, err := c.openFile(ctx, name, &how)
	return f, pathError("open", name, err)
}

func (c *Client) openFile(ctx context.Context, name string, how *OpenHow) (*RemoteFile, error) {
	if err := how.Check(); err != nil {
		return nil, err
	}
	if how.Attrs != nil {
		if err := c.canSay(how.Attrs); err != nil {
			return nil, err
		}
		own := *how
		own.Attrs = c.ownAttrs(how.Attrs)
		how = &own
	}
	m, err := wireOpen(how, c.version)
	if err != nil {
		return nil, err
	}
	var text *clientText
	if how.Flags&OpenText != 0 {
		if text, err = c.text(); err != nil {
			return nil, err
		}
	}
	m.Path = c.toWire(name)
	c.quirks.open(&m, how)
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	h, err := c.handle(ctx, &m)
	if err != nil {
		c.leave()
		return nil, err
	}
	f := &RemoteFile{
		c: c, name: name, handle: h, reads: how.Reads(), writes: how.Writes(), appends: how.Appends(),
		serial: c.cfg.OneAtATime || how.Appends() || text != nil, text: text, turn: make(chan struct{}, 1),
	}
	f.ahead.f, f.back.f = f, f
	f.setContext(context.Background())
	return f, nil
}

// Name returns the name the file was opened by.
func (f *RemoteFile) Name() string { return f.name }

// SetContext sets the context of the methods that take none (Read, Write, Close ...) for all later
// calls; calls that are running end with an error. The initial one is context.Background.
func (f *RemoteFile) SetContext(ctx context.Context) { f.setContext(ctx) }

func (f *RemoteFile) setContext(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.cancel
	if f.closed {
		return
	}
	f.user = ctx
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	if old != nil {
		old(nil)
	}
}

// context returns the context of a method that has none.
func (f *RemoteFile) context() context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ctx
}

// lock takes the turn.
func (f *RemoteFile) lock(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case f.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unlock lets the turn go. Of a file that was closed meanwhile it throws away what nobody
// wants any more.
func (f *RemoteFile) unlock() {
	<-f.turn
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if !closed {
		return
	}
	select {
	case f.turn <- struct{}{}:
		f.ahead.drop()
		f.back.drop()
		<-f.turn
	default: // whoever has it now does that
	}
}

// stale makes that nothing which was read ahead is used any more.
func (f *RemoteFile) stale() { f.changed.Add(1) }

var (
	errNotOpenRead  = Status(CodePermissionDenied, "file is not open for reading")
	errNotOpenWrite = Status(CodePermissionDenied, "file is not open for writing")
)

// Read reads up to len(p) octets at the position. At the end of the file it returns io.EOF.
func (f *RemoteFile) Read(p []byte) (int, error) {
	n, err := f.read(p)
	return n, pathError("read", f.name, err)
}

func (f *RemoteFile) read(p []byte) (int, error) {
	switch {
	case !f.reads:
		return 0, errNotOpenRead
	case len(p) == 0:
		return 0, nil
	}
	ctx := f.context()
	if err := f.lock(ctx); err != nil {
		return 0, err
	}
	defer f.unlock()
	if f.text != nil {
		return f.readText(ctx, p)
	}
	if err := f.back.settle(ctx); err != nil {
		return 0, err
	}
	f.ahead.seek(f.pos)
	n, err := f.ahead.read(ctx, p)
	f.pos += int64(n)
	return n, err
}

// begin locks f for a call at the position, whose context it returns. ok is whether f was
// opened for it, and refused what to say if not.
func (f *RemoteFile) begin(ok bool, refused error) (context.Context, error) {
	if !ok {
		return nil, refused
	}
	ctx := f.context()
	return ctx, f.lock(ctx)
}

// WriteTo writes the file from the position to its end to w, straight from the packets it
// comes in.
func (f *RemoteFile) WriteTo(w io.Writer) (int64, error) {
	n, err := f.writeTo(w)
	return n, pathError("read", f.name, err)
}

func (f *RemoteFile) writeTo(w io.Writer) (int64, error) {
	ctx, err := f.begin(f.reads, errNotOpenRead)
	if err != nil {
		return 0, err
	}
	defer f.unlock()
	if f.text != nil {
		return f.writeTextTo(ctx, w)
	}
	if err := f.back.settle(ctx); err != nil {
		return 0, err
	}
	f.ahead.seek(f.pos)
	n, err := f.ahead.writeTo(ctx, w)
	f.pos += n
	return n, err
}

// Write writes p at the position. It returns when p is on its way; see RemoteFile for errors.
// p is not kept.
func (f *RemoteFile) Write(p []byte) (int, error) {
	n, err := f.write(p)
	return n, pathError("write", f.name, err)
}

func (f *RemoteFile) write(p []byte) (int, error) {
	ctx, err := f.begin(f.writes, errNotOpenWrite)
	if err != nil {
		return 0, err
	}
	defer f.unlock()
	if f.text != nil {
		return f.writeText(ctx, p)
	}
	if err := f.appendAt(ctx); err != nil {
		return 0, err
	}
	if err := checkOffset(f.pos, len(p)); err != nil {
		return 0, err
	}
	f.stale()
	n, err := f.back.write(ctx, p, f.pos)
	f.pos += int64(n)
	return n, err
}

// ReadFrom writes the content of r at the position, reading it straight into the packets that carry
// it. It returns how many octets were sent; see RemoteFile for errors.
func (f *RemoteFile) ReadFrom(r io.Reader) (int64, error) {
	n, err := f.readFrom(r)
	return n, pathError("write", f.name, err)
}

func (f *RemoteFile) readFrom(r io.Reader) (int64, error) {
	ctx, err := f.begin(f.writes, errNotOpenWrite)
	if err != nil {
		return 0, err
	}
	defer f.unlock()
	if f.text != nil {
		return f.readTextFrom(ctx, r)
	}
	if err := f.appendAt(ctx); err != nil {
		return 0, err
	}
	f.stale()
	n, err := f.back.readFrom(ctx, r, f.pos)
	f.pos += n
	f.stale()
	return n, err
}

// appendAt puts the position of a file that is open for appending at its end: servers exist
// that heed the offset of a WRITE all the same (W13).
func (f *RemoteFile) appendAt(ctx context.Context) error {
	if !f.appends {
		return nil
	}
	if err := f.back.settle(ctx); err != nil {
		return err
	}
	a, err := f.askStat(ctx)
	switch {
	case err == nil && a.Has(AttrSize):
		f.pos = int64(min(a.Size, 1<<63-1))
	case err != nil:
		if _, refused := errors.AsType[*StatusError](err); !refused {
			return err
		}
	}
	return nil
}

// ReadAt reads len(p) octets at off, fewer only with an error, which is io.EOF at the end of
// the file.
func (f *RemoteFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.readAt(p, off)
	return n, pathError("read", f.name, err)
}

func (f *RemoteFile) readAt(p []byte, off int64) (int, error) {
	switch {
	case !f.reads:
		return 0, errNotOpenRead
	case f.text != nil:
		return 0, errTextOffset
	}
	if err := checkOffset(off, len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	ctx := f.context()
	if err := f.settle(ctx); err != nil {
		return 0, err
	}
	r := readAhead{f: f, limit: firstWindow, end: off + int64(len(p))}
	r.seek(off)
	defer r.drop()
	n := 0
	for n < len(p) {
		m, err := r.read(ctx, p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// WriteAt writes p at off and waits until the server has it. A file that is open for
// appending refuses it.
func (f *RemoteFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.writeAt(p, off)
	return n, pathError("write", f.name, err)
}

func (f *RemoteFile) writeAt(p []byte, off int64) (int, error) {
	switch {
	case !f.writes:
		return 0, errNotOpenWrite
	case f.text != nil:
		return 0, errTextOffset
	case f.appends:
		return 0, Status(CodeInvalidParameter, "file is open for appending")
	}
	if err := checkOffset(off, len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	ctx := f.context()
	if err := f.settle(ctx); err != nil {
		return 0, err
	}
	f.stale()
	defer f.stale()
	w := writeBehind{f: f}
	defer w.drop()
	n, err := w.write(ctx, p, off)
	if err == nil {
		err = w.flush(ctx)
	}
	if err != nil {
		// How much of it is there nobody knows but for what was acknowledged in order.
		n = min(n, int(w.acked))
	}
	return n, err
}

// Seek sets the position, as io.Seeker. io.SeekEnd asks the server for the size.
func (f *RemoteFile) Seek(offset int64, whence int) (int64, error) {
	n, err := f.seek(offset, whence)
	return n, pathError("seek", f.name, err)
}

func (f *RemoteFile) seek(offset int64, whence int) (int64, error) {
	ctx := f.context()
	if err := f.lock(ctx); err != nil {
		return 0, err
	}
	defer f.unlock()
	if f.text != nil {
		if offset != 0 || whence != io.SeekStart {
			return 0, errTextOffset
		}
		return 0, f.seekText(ctx, 0)
	}
	base := int64(0)
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		base = f.pos
	case io.SeekEnd:
		if err := f.back.settle(ctx); err != nil {
			return f.pos, err
		}
		a, err := f.askStat(ctx)
		switch {
		case err != nil:
			return f.pos, err
		case !a.Has(AttrSize):
			return f.pos, Status(CodeOpUnsupported, "server does not say how long the file is")
		}
		base = int64(min(a.Size, 1<<63-1))
	default:
		return f.pos, Status(CodeInvalidParameter, "unknown whence")
	}
	to := base + offset
	if to < 0 || offset > 0 && to < base {
		return f.pos, Status(CodeInvalidParameter, "position out of range")
	}
	f.pos = to
	return to, nil
}

// Flush waits until the server has everything that was written, and returns the first error.
// It does not make it durable, as Sync does.
func (f *RemoteFile) Flush(ctx context.Context) error {
	return pathError("write", f.name, f.flush(ctx))
}

func (f *RemoteFile) flush(ctx context.Context) error {
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	return f.flushed(ctx)
}

// flushed is flush for whoever has the turn.
func (f *RemoteFile) flushed(ctx context.Context) error {
	if f.text != nil {
		return f.flushText(ctx)
	}
	return f.back.flush(ctx)
}

// Acked returns how many octets of Write and ReadFrom the server has acknowledged, as of the last
// Write, ReadFrom or Flush.
func (f *RemoteFile) Acked() int64 { return f.back.total.Load() }

// settle waits for what was written before, since servers exist that do not wait for it
// themselves, unless somebody is writing right now, so that there is no before.
func (f *RemoteFile) settle(ctx context.Context) error {
	if !f.writes {
		return nil
	}
	select {
	case f.turn <- struct{}{}:
		defer f.unlock()
		return f.back.settle(ctx)
	default:
		return nil
	}
}

// Sync waits until the server has everything that was written and has made it durable
// (fsync@openssh.com). Without that extension the error is errors.ErrUnsupported, although the
// server has everything that was written.
func (f *RemoteFile) Sync(ctx context.Context) error {
	err := f.flush(ctx)
	if err == nil {
		err = f.extended(ctx, fxp.OpFsync, nil)
	}
	return pathError("sync", f.name, err)
}

func (f *RemoteFile) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Close waits until the server has everything that was written, closes the file, and returns
// the first error of all that. A Read, Write, ReadFrom or WriteTo that still runs ends with
// fs.ErrClosed. Closing again does nothing, with fs.ErrClosed.
//
// The context of SetContext bounds it; the file is closed in any case. SFTP has no other way to end
// the use of a file than CLOSE: to the server, an upload that was given up looks like a complete
// one.
func (f *RemoteFile) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	ctx, cancel := f.user, f.cancel
	f.mu.Unlock()
	cancel(fs.ErrClosed)
	var err error
	select {
	case f.turn <- struct{}{}:
		// Only after the last WRITE is acknowledged: servers exist whose CLOSE overtakes it.
		f.ahead.drop()
		err = f.flushed(ctx)
		f.back.drop()
		f.unlock()
	default: // somebody is inside, and cleans up on the way out
	}
	if closeErr := f.c.closeHandle(ctx, f.handle); err == nil {
		err = closeErr
	}
	return pathError("close", f.name, err)
}

// closeHandle sends CLOSE, also if ctx has ended already, and waits for the reply if it has
// not.
func (c *Client) closeHandle(ctx context.Context, handle []byte) error {
	defer c.leave()
	if ctx.Err() != nil {
		c.closeOrphan(handle)
		return context.Cause(ctx)
	}
	return c.status(ctx, &fxp.Handle{T: fxp.TypeClose, Handle: handle})
}
