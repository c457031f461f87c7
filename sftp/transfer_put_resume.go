package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// resume finds what is there and decides where to go on.
func (p *putting) resume(ctx context.Context) error {
	old, err := p.c.Stat(ctx, p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p.rewind()
	case errors.Is(err, errors.ErrUnsupported) && p.o.Resume == ResumeOrRestart:
		return p.rewind() // a place to leave files in, which tells nothing
	case err != nil:
		return p.failed("stat", err)
	case !old.Has(AttrSize) || old.Size == 0:
		return p.rewind()
	}
	p.m.enter(PhaseCheck)
	defer p.m.enter(PhaseTransfer)
	from, err := p.keep(ctx, int64(min(old.Size, math.MaxInt64)), old.Has(AttrMtime) && changedSince(p.source, old.Mtime))
	switch {
	case err == nil:
		p.from, p.res.Resumed = from, from
		p.m.foundThere(from)
		if from == 0 {
			p.res.Kept, p.res.Hash = CheckNone, ""
		}
	case !errors.Is(err, ErrMismatch) || p.o.Resume == ResumeOrFail:
		return p.failed("resume", err)
	default:
		p.res.Kept, p.res.Hash = CheckNone, ""
	}
	return p.rewind()
}

// rewind goes to where the source is read from.
func (p *putting) rewind() error {
	if _, err := p.seeker.Seek(p.from, io.SeekStart); err != nil {
		return p.failed("local seek", err)
	}
	return nil
}

// keep compares the have bytes that are there with the beginning of the source, and returns
// how many of them can stay. changed says that the source is younger than they are.
func (p *putting) keep(ctx context.Context, have int64, changed bool) (int64, error) {
	end, err := p.seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if have > end {
		return 0, fmt.Errorf("%d bytes are there, and %d are the whole: %w", have, end, ErrMismatch)
	}
	local := seekerAt{p.seeker}
	if h := p.c.serverHash(); h != nil {
		p.res.Kept, p.res.Hash = CheckHash, h.name
		err := compareByHash(ctx, h, hashed{name: p.path}, local, have)
		if _, refused := errors.AsType[*StatusError](err); !refused {
			return have, err
		}
		p.res.Hash = ""
	}
	tail := p.o.ResumeTail
	if tail == 0 {
		tail = defaultPutTail
	}
	from := max(have-tail, 0)
	if from == 0 {
		return 0, nil
	}
	n := min(from, defaultGetTail)
	p.res.Kept = CheckTail
	if p.o.Verify == VerifyContent || changed {
		n, p.res.Kept = from, CheckContent
	}
	f, err := p.c.Open(ctx, p.path)
	if err != nil {
		// A place to leave files in: nothing there can be read.
		return 0, fmt.Errorf("%w: what is there cannot be read: %w", ErrMismatch, err)
	}
	f.SetContext(ctx)
	defer f.Close()
	return from, compareBytes(ctx, local, f, from-n, n)
}

// seekerAt reads an io.ReadSeeker at offsets; not concurrently.
type seekerAt struct{ r io.ReadSeeker }

func (s seekerAt) ReadAt(p []byte, off int64) (int, error) {
	if r, ok := s.r.(io.ReaderAt); ok {
		return r.ReadAt(p, off)
	}
	if _, err := s.r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
