package sftp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"
)

// Get writes the remote file name to w and returns the number of bytes written. It reads up to the
// end of the file, whatever size STAT reports, and never asks for attributes after OPEN, since some
// servers allow a file to be accessed only once. Options about a local file, such as Resume, are
// for GetFile. ctx is checked between writes to w; a write that blocks is not interrupted.
func (c *Client) Get(ctx context.Context, name string, w io.Writer, o TransferOptions) (int64, error) {
	if err := o.check("get", toWriter); err != nil {
		return 0, err
	}
	g := getting{c: c, o: &o, name: name, m: newMeter(o.Progress, o.ProgressInterval)}
	defer g.m.end()
	err := g.toWriter(ctx, w)
	return g.res.Transferred, err
}

// GetFile writes the remote file name to a file of this host.
//
// A Get that fails, or whose ctx ends, leaves what has come: in the file itself, or with Atomic and
// Resume in one of the same name with ".filepart" behind it. Either one is a prefix of the remote
// file without holes, and the same call with Resume continues it. Atomic without Resume leaves
// nothing. Nothing local is touched until the remote file is open.
func (c *Client) GetFile(ctx context.Context, name, file string, o TransferOptions) (TransferResult, error) {
	if err := o.check("get", 0); err != nil {
		return TransferResult{}, err
	}
	m := newMeter(o.Progress, o.ProgressInterval)
	defer m.end()
	g := getting{c: c, o: &o, name: name, m: m}
	err := g.toFile(ctx, hostFS{}, file, false)
	return g.res, err
}

// getting is one Get.
type getting struct {
	c    *Client
	o    *TransferOptions
	m    *meter
	name string
	// source is what is known of the remote file; whole tells that a tree's meter counts
	// more than this file, and that its size is known there.
	source *Attrs
	tree   bool
	closer *closer // of a tree

	hash *serverHash // what all is verified by, if by a hash
	sums *chunkSums  // for hash: of what came
	back hash.Hash   // for reading again: of what came
	res  TransferResult
}

func (g *getting) failed(step string, err error) error {
	return &TransferError{Op: "get", Step: step, Path: g.name, Err: err}
}

// size returns how long the remote file is said to be, -1 if nothing is said.
func (g *getting) size() int64 {
	switch {
	case g.o.Size > 0:
		return g.o.Size
	case g.source != nil && g.source.Has(AttrSize) && g.source.Size <= math.MaxInt64:
		return int64(g.source.Size)
	}
	return -1
}

// prepare does what comes before OPEN: it asks for the attributes, if anything needs
// them, and decides how to verify.
func (g *getting) prepare(ctx context.Context) error {
	o := g.o
	var err error
	if g.hash, err = g.c.hashFor(o); err != nil {
		return g.failed("verify", err)
	}
	// A hash is of what came, and does not tell that more was to come.
	needs := o.Preserve != 0 || o.Resume != NoResume || o.Verify != VerifyNone
	if g.source == nil && (needs && (o.Size == 0 || o.Preserve != 0) || g.m != nil && o.Size == 0) {
		a, err := g.c.Stat(ctx, g.name)
		switch {
		case err == nil:
			g.source = a
		case needs || ctx.Err() != nil:
			return g.failed("stat", err)
		default: // OPEN will tell what is wrong, and the size would only have been nice to know
		}
	}
	if !g.tree {
		g.m.begin(g.name)
		if size := g.size(); size >= 0 {
			size = max(size-o.Offset, 0)
			if o.Length > 0 {
				size = min(size, o.Length)
			}
			g.m.expect(size)
		}
	}
	return nil
}

// hashFor returns the server's hash that a transfer with options o verifies by, nil if it
// verifies by none. It fails if the options demand a hash and the server cannot make one.
func (c *Client) hashFor(o *TransferOptions) (*serverHash, error) {
	h := c.serverHash()
	switch {
	case o.Verify < VerifyBest:
		return nil, nil
	case o.Verify == VerifyHash && h == nil:
		return nil, Status(CodeOpUnsupported, "server offers neither check-file nor md5-hash")
	}
	return h, nil
}

func (g *getting) toWriter(ctx context.Context, w io.Writer) error {
	if err := g.prepare(ctx); err != nil {
		return err
	}
	f, err := g.c.Open(ctx, g.name)
	if err != nil {
		return g.failed("open", err)
	}
	f.SetContext(ctx)
	f.tune(g.o)
	defer g.closer.close(f)
	if err := g.content(ctx, f, w, g.o.Offset); err != nil {
		return err
	}
	return g.verify(ctx, f, g.o.Offset)
}

// toFile gets the file into file. plain demands that it be a regular one.
func (g *getting) toFile(ctx context.Context, fsys localFS, file string, plain bool) error {
	if g.o.IfExists == SkipIfExists {
		if _, err := fsys.Lstat(file); err == nil {
			g.res.Skipped = true
			return nil
		}
	}
	if err := g.prepare(ctx); err != nil {
		return err
	}
	f, err := g.c.Open(ctx, g.name)
	if err != nil {
		return g.failed("open", err)
	}
	f.SetContext(ctx)
	f.tune(g.o)
	defer g.closer.close(f)
	l, err := openTarget(fsys, file, g.o, g.source, plain)
	switch {
	case errors.Is(err, errSkip):
		g.res.Skipped = true
		return nil
	case err != nil:
		return g.failed("local open", err)
	}
	if err := g.fill(ctx, f, l); err != nil {
		l.abandon()
		return err
	}
	g.res.AttrsErr, err = l.finish(g.source)
	if err != nil {
		l.abandon()
		return g.failed("local finish", err)
	}
	return nil
}

// fill brings the content into l and verifies it.
func (g *getting) fill(ctx context.Context, f *RemoteFile, l *localTarget) error {
	from := g.o.Offset
	if l.have > 0 {
		if err := g.keep(ctx, f, l); err != nil {
			if !errors.Is(err, ErrMismatch) || g.o.Resume == ResumeOrFail {
				return g.failed("resume", err)
			}
			g.res.Kept = CheckNone
			if err := l.restart(); err != nil {
				return g.failed("local truncate", err)
			}
		}
		from, g.res.Resumed = l.have, l.have
		g.m.foundThere(l.have)
	}
	if g.o.Resume != NoResume || g.o.Offset > 0 {
		at := from
		if g.o.Offset > 0 { // into a file that has the bytes at their own places
			at = g.o.Offset
		}
		if _, err := l.f.Seek(at, io.SeekStart); err != nil {
			return g.failed("local seek", err)
		}
	}
	if err := g.content(ctx, f, l.f, from); err != nil {
		return err
	}
	return g.verify(ctx, f, from)
}

// keep compares what is there with the beginning of the remote file.
func (g *getting) keep(ctx context.Context, f *RemoteFile, l *localTarget) error {
	if size := g.size(); size >= 0 && l.have > size {
		return fmt.Errorf("%d bytes are there, and %d are the whole: %w", l.have, size, ErrMismatch)
	}
	g.m.enter(PhaseCheck)
	defer g.m.enter(PhaseTransfer)
	if h := g.c.serverHash(); h != nil {
		g.res.Kept, g.res.Hash = CheckHash, h.name
		err := compareByHash(ctx, h, hashed{name: g.name, handle: f.handle}, l.f, l.have)
		if _, refused := errors.AsType[*StatusError](err); !refused {
			return err
		}
		g.res.Hash = "" // announced, and yet it cannot: the tail must do
	}
	tail := g.o.ResumeTail
	if tail == 0 {
		tail = defaultGetTail
	}
	tail = min(tail, l.have)
	g.res.Kept = CheckTail
	if g.o.Verify == VerifyContent || changedSince(g.source, l.when) {
		tail, g.res.Kept = l.have, CheckContent
	}
	return compareBytes(ctx, l.f, f, l.have-tail, tail)
}

// changedSince reports whether a source changed after what is there of its copy was written,
// as far as the clocks agree: its last bytes tell little then.
func changedSince(source *Attrs, written time.Time) bool {
	return source != nil && source.Has(AttrMtime) && source.Mtime.After(written)
}

// errNoSize is a size that was to be verified and that the server does not tell.
var errNoSize = Status(CodeOpUnsupported, "server does not say how long the file is")

const (
	defaultGetTail = 32 << 10
	defaultPutTail = 4 << 20
)

// content copies f from off on to w.
func (g *getting) content(ctx context.Context, f *RemoteFile, w io.Writer, off int64) error {
	switch {
	case g.hash != nil:
		g.sums = &chunkSums{h: g.hash.make()}
		w = teeWriter{w, g.sums}
	case g.o.Verify == VerifyContent:
		g.back = sha256.New()
		w = teeWriter{w, g.back}
	}
	cw := &countWriter{ctx: ctx, w: w, m: g.m}
	err := f.copyTo(ctx, cw, off, g.o.Length, g.size())
	g.res.Transferred = cw.n
	if err != nil {
		return g.failed("read", err)
	}
	return nil
}

// verify compares what came, which began at from, with the remote file.
func (g *getting) verify(ctx context.Context, f *RemoteFile, from int64) error {
	if g.o.Verify == VerifyNone {
		return nil
	}
	g.m.enter(PhaseCheck)
	defer g.m.enter(PhaseTransfer)
	end, size := from+g.res.Transferred, g.size()
	if g.o.Length > 0 {
		size = min(size, g.o.Offset+g.o.Length)
	}
	switch {
	case size < 0 && g.o.Verify == VerifySize:
		return g.failed("verify", errNoSize)
	case end < size:
		return g.failed("verify", fmt.Errorf("the last byte that came is %d, and STAT said %d: %w", end, size, ErrMismatch))
	case size >= 0:
		g.res.Verified = CheckSize
	}
	switch {
	case g.sums != nil && g.res.Transferred > 0:
		err := g.sums.compare(ctx, g.hash, hashed{name: g.name, handle: f.handle}, from)
		switch {
		case err == nil:
			g.res.Verified, g.res.Hash = CheckHash, g.hash.name
		case !refusedHash(g.o, err):
			return g.failed("verify", err)
		case g.o.Verify == VerifyContent:
			if err := g.sums.readAgain(ctx, g.hash, f, from, g.res.Transferred, err); err != nil {
				return g.failed("verify", err)
			}
			g.res.Verified = CheckContent
		default:
			return g.verifySize(ctx, end)
		}
	case g.back != nil && g.res.Transferred > 0:
		again := sha256.New()
		if err := f.copyTo(ctx, &countWriter{ctx: ctx, w: again}, from, g.res.Transferred, -1); err != nil {
			return g.failed("verify", err)
		}
		if !bytes.Equal(again.Sum(nil), g.back.Sum(nil)) {
			return g.failed("verify", fmt.Errorf("read again: %w", ErrMismatch))
		}
		g.res.Verified = CheckContent
	}
	return nil
}

// verifySize compares the end of what came with the size, which nobody has asked for where
// there was to be a hash.
func (g *getting) verifySize(ctx context.Context, end int64) error {
	if g.size() >= 0 {
		return nil // compared already
	}
	a, err := g.c.Stat(ctx, g.name)
	switch {
	case err != nil:
		return g.failed("verify", err)
	case !a.Has(AttrSize):
		g.res.Verified = CheckNone
	case g.o.Length == 0 && uint64(end) < a.Size:
		return g.failed("verify", fmt.Errorf("%d bytes came, and STAT said %d: %w", end, a.Size, ErrMismatch))
	}
	return nil
}

// teeWriter writes to w, and what w took to also, which never fails.
type teeWriter struct{ w, also io.Writer }

func (t teeWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	_, _ = t.also.Write(p[:n])
	return n, err
}
