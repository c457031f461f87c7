package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A NameError reports an entry of a listing whose name is not a valid file name: it is empty or
// contains "/" or NUL. A server that sends one may be trying to have files written outside of the
// target directory. errors.Is finds fs.ErrInvalid. It concerns one entry, and the listing goes on.
type NameError struct {
	Dir  string // the directory
	Name string // what the server calls the entry
}

// Error returns the name, quoted.
func (e *NameError) Error() string {
	return "sftp: " + strconv.Quote(e.Dir) + " lists " + strconv.Quote(e.Name) + ", which is not a file name"
}

// Is matches fs.ErrInvalid.
func (e *NameError) Is(target error) bool { return target == fs.ErrInvalid }

// RemoteDir is a directory that is open on a server. Its methods may be called concurrently; calls
// of Next are served one after the other.
type RemoteDir struct {
	c      *Client
	name   string
	handle []byte
	turn   chan struct{}

	// Held by turn.
	wake   chan struct{}
	ops    []*call
	window int  // READDIRs to have under way
	ended  bool // the server has said that there is no more
	err    error

	mu     sync.Mutex
	closed bool
}

// maxReaddirs is how many READDIRs are under way at most. Each brings up to 256 KiB, as a rule (see maxNames).
const maxReaddirs = 16

// OpenDir opens a directory for listing in batches. ReadDir is easier to use.
func (c *Client) OpenDir(ctx context.Context, name string) (*RemoteDir, error) {
	if err := c.enter(ctx); err != nil {
		return nil, pathError("open", name, err)
	}
	h, err := c.handle(ctx, &fxp.Path{T: fxp.TypeOpendir, Path: c.toWire(name)})
	if err != nil {
		c.leave()
		return nil, pathError("open", name, err)
	}
	d := &RemoteDir{c: c, name: name, handle: h, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if d.window = 2; c.cfg.OneAtATime { // a small directory is one reply and the end
		d.window = 1
	}
	return d, nil
}

// Next returns the next entries, as many as came in one reply, without "." and "..". At the
// end it returns io.EOF. A *NameError comes with the entries that are in order and does not
// end the listing.
func (d *RemoteDir) Next(ctx context.Context) (list []Entry, err error) {
	for len(list) == 0 && err == nil {
		var errs []error
		err = d.each(ctx, func(e Entry, err error) bool {
			if err != nil {
				errs = append(errs, err)
			} else {
				list = append(list, e)
			}
			return true
		})
		if err == nil {
			err = errors.Join(errs...)
		}
	}
	return list, pathError("readdir", d.name, err)
}

// each passes the entries of one reply on, until yield wants no more.
func (d *RemoteDir) each(ctx context.Context, yield func(Entry, error) bool) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for d.err == nil {
		if d.isClosed() {
			return fs.ErrClosed
		}
		op, err := d.reply(ctx)
		if err != nil {
			return err
		}
		if op == nil {
			break
		}
		if op.t == fxp.TypeName {
			n, err := d.entries(op, yield)
			if n == 0 && err == nil {
				d.ended = true // as OpenSSH takes it; to ask again may go on for ever
				continue
			}
			d.window = min(2*d.window, maxReaddirs)
			if d.c.cfg.OneAtATime {
				d.window = 1
			}
			return err
		}
		err = d.c.refused(op, "READDIR")
		d.c.calls.release(op)
		d.ended = true // of what is under way the replies may still hold names
		if !errors.Is(err, io.EOF) {
			d.err = err
		}
	}
	if d.err == nil {
		d.err = io.EOF
	}
	return d.err
}

// reply asks for more and waits for the next reply; nil: there are none to come.
func (d *RemoteDir) reply(ctx context.Context) (*call, error) {
	for !d.ended && len(d.ops) < d.window {
		op := d.c.calls.call(d.wake)
		var tmp [fxp.HeaderSize + 4 + fxp.MaxHandle]byte
		p := wire.AppendBytes(fxp.AppendHeader(tmp[:0], fxp.TypeReaddir, 0), d.handle)
		if err := d.c.calls.sendSmall(ctx, op, fxp.Finish(p, 0)); err != nil {
			d.c.calls.drop(op)
			return nil, err
		}
		d.ops = append(d.ops, op)
	}
	if len(d.ops) == 0 {
		return nil, nil
	}
	op := d.ops[0]
	for !op.done.Load() {
		select {
		case <-d.wake:
			if d.isClosed() {
				return nil, fs.ErrClosed
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if op.err != nil {
		return nil, op.err
	}
	d.ops = slices.Delete(d.ops, 0, 1)
	return op, nil
}

// entries passes the names of a NAME on one by one, so that a long one takes no memory of
// its own, and releases op. It returns how many the message has.
func (d *RemoteDir) entries(op *call, yield func(Entry, error) bool) (int, error) {
	defer d.c.calls.release(op) // also if yield panics
	names := fxp.ReadNames(d.c.version, op.buf.Bytes())
	n := names.Len()
	more := true
	for e := (fxp.NameEntry{}); more && names.Next(&e); {
		if e.Name == "." || e.Name == ".." {
			continue
		}
		name := d.c.fromWire(e.Name)
		if badName(name) != "" || badName(e.Name) != "" {
			more = yield(Entry{}, &NameError{Dir: d.name, Name: name})
			continue
		}
		entry := Entry{Name: name, LongName: d.c.fromWire(string(e.LongName)), Attrs: *d.c.attrs(&e.Attrs)}
		if octets := entry.TrueName(); badName(octets) != "" {
			more = yield(Entry{}, &NameError{Dir: d.name, Name: octets})
			continue
		}
		more = yield(entry, nil)
	}
	if names.Err() != nil {
		return 0, d.c.fail(violation("NAME: %v", names.Err()))
	}
	if names.EndOfList {
		d.ended = true
	}
	return n, nil
}

func (d *RemoteDir) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// Close ends the listing. Closing again does nothing, with fs.ErrClosed.
func (d *RemoteDir) Close(ctx context.Context) error {
	d.mu.Lock()
	closed := d.closed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return pathError("close", d.name, fs.ErrClosed)
	}
	signal(d.wake) // for who waits in Next
	d.turn <- struct{}{}
	for _, op := range d.ops {
		d.c.calls.drop(op)
	}
	d.ops = nil
	<-d.turn
	return pathError("close", d.name, d.c.closeHandle(ctx, d.handle))
}

// ReadDir lists a directory, without "." and "..", in the order of the server. The next entries are
// requested while the caller looks at the earlier ones, and no more than a few replies are in
// memory, however long the listing is.
//
// An error comes with an empty Entry. After a *NameError, which is about one entry, the
// listing goes on; any other error is the last that comes.
func (c *Client) ReadDir(ctx context.Context, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d, err := c.OpenDir(ctx, name)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		stopped, over := false, false
		defer func() {
			if !over { // yield panics
				_ = d.Close(ctx)
			}
		}()
		for err == nil && !stopped {
			err = d.each(ctx, func(e Entry, err error) bool {
				stopped = !yield(e, err)
				return !stopped
			})
		}
		over = true
		closeErr := d.Close(ctx)
		switch {
		case stopped:
		case !errors.Is(err, io.EOF):
			yield(Entry{}, pathError("readdir", name, err))
		case closeErr != nil:
			yield(Entry{}, closeErr)
		}
	}
}

// ReadDirAll returns all entries of a directory, sorted by name. With an error it returns the
// entries listed before it.
func (c *Client) ReadDirAll(ctx context.Context, name string) ([]Entry, error) {
	var list []Entry
	var failed error
	for e, err := range c.ReadDir(ctx, name) {
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list, failed
}
