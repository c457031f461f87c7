package sftp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"
)

// Put writes the content of r to the remote file name and returns the number of bytes written. r is
// read to its end; a Read that blocks is not interrupted by ctx. After an error, the number
// returned counts only the bytes that the server has confirmed without a gap, which may be far
// fewer than have reached it. A Put that gives up closes the file, since SFTP has no other way to
// end an upload: the server cannot tell such a partial file from a complete one. Use Atomic to keep
// a partial file from getting the final name. Resume needs an r that is an io.ReadSeeker positioned
// at its beginning. Without Verify, no attributes are requested after OPEN.
func (c *Client) Put(ctx context.Context, name string, r io.Reader, o TransferOptions) (int64, error) {
	form := fromReader
	seeker, ok := r.(io.ReadSeeker)
	if !ok {
		form |= unseekable
	}
	if err := o.check("put", form); err != nil {
		return 0, err
	}
	m := newMeter(o.Progress, o.ProgressInterval)
	defer m.end()
	p := putting{op: "put", c: c, o: &o, name: name, m: m, r: r, size: sizeOf(r, &o)}
	if o.Resume != NoResume {
		p.seeker = seeker
	}
	err := p.run(ctx)
	return p.res.Transferred, err
}

// sizeOf returns how much r will give, -1 if it does not tell.
func sizeOf(r io.Reader, o *TransferOptions) int64 {
	size := int64(-1)
	switch r := r.(type) {
	case interface{ Len() int }: // bytes.Reader, strings.Reader, bytes.Buffer
		size = int64(r.Len())
	case *os.File:
		info, err := r.Stat()
		pos, serr := r.Seek(0, io.SeekCurrent)
		if err == nil && serr == nil && info.Mode().IsRegular() {
			size = max(info.Size()-pos, 0)
		}
	}
	if o.Size > 0 {
		size = o.Size
	}
	if o.Length > 0 && (size < 0 || size > o.Length) {
		size = o.Length
	}
	return size
}

// PutFile writes a file of this host to the remote file name.
//
// A Put that fails, or whose ctx ends, leaves what the server has: in the file itself, or with
// Atomic and Resume in one of the same name with ".filepart" behind it; the same call with Resume
// goes on there. Servers may write out of order, so the file that a lost connection leaves can have
// holes near its end: see TransferOptions.ResumeTail. Atomic without Resume leaves nothing, unless
// the connection itself was lost. As with Put, without Atomic the server cannot tell an abandoned
// upload from a complete one.
func (c *Client) PutFile(ctx context.Context, file, name string, o TransferOptions) (TransferResult, error) {
	if err := o.check("put", 0); err != nil {
		return TransferResult{}, err
	}
	m := newMeter(o.Progress, o.ProgressInterval)
	defer m.end()
	p := putting{op: "put", c: c, o: &o, name: name, m: m}
	err := p.fromFile(ctx, hostFS{}, file, false)
	return p.res, err
}

// putting is one Put, or a copy on the server, which is a Put from elsewhere.
type putting struct {
	op     string
	c      *Client
	o      *TransferOptions
	m      *meter
	name   string
	path   string // what is written: name, or a temporary name beside it
	r      io.Reader
	seeker io.ReadSeeker // with Resume: r
	size   int64         // of the source; -1: not known
	source *Attrs        // of the local file
	tree   bool          // a tree's meter has the size already

	mode    uint32 // what the file gets, if set
	set     bool
	carried bool // mode is that of the file to be replaced, which nobody asked for

	hash *serverHash
	sums *chunkSums
	back hash.Hash
	from int64 // where writing begins
	res  TransferResult

	copy *copying // of a copy: where the content comes from
}

func (p *putting) failed(step string, err error) error {
	return &TransferError{Op: p.op, Step: step, Path: p.name, Err: err}
}

// fromFile puts a local file. plain demands that it be a regular one.
func (p *putting) fromFile(ctx context.Context, fsys localFS, file string, plain bool) error {
	flag := os.O_RDONLY
	if plain {
		flag |= openNonblock
	}
	f, err := fsys.OpenFile(file, flag, 0)
	if err != nil {
		return p.failed("local open", err)
	}
	defer f.Close()
	before, err := f.Stat()
	switch {
	case err != nil:
		return p.failed("local stat", err)
	case before.IsDir():
		return p.failed("local open", &fs.PathError{Op: "open", Path: file, Err: errIsDir})
	case plain && !before.Mode().IsRegular():
		return p.failed("local open", &fs.PathError{Op: "open", Path: file, Err: errIrregular})
	}
	a := attrsOfInfo(before)
	p.source, p.size, p.r = &a, -1, f
	if before.Mode().IsRegular() {
		p.size = sizeOf(f, p.o)
	}
	if p.o.Resume != NoResume {
		p.seeker = f
	}
	unchanged := func() error {
		after, err := f.Stat()
		if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
			err = ErrChanged
		}
		return err
	}
	if p.o.Verify == VerifyNone || !before.Mode().IsRegular() {
		unchanged = nil
	}
	return p.runChecked(ctx, unchanged)
}

func (p *putting) run(ctx context.Context) error { return p.runChecked(ctx, nil) }

// runChecked is the Put. unchanged, if set, tells whether the source is still what it was.
func (p *putting) runChecked(ctx context.Context, unchanged func() error) error {
	if err := p.prepare(ctx); err != nil || p.res.Skipped {
		return err
	}
	f, err := p.open(ctx)
	if err != nil || p.res.Skipped {
		return err
	}
	err = p.content(ctx, f)
	if err == nil {
		err = p.attributes(ctx, f)
	}
	if err == nil && p.o.Atomic && !p.o.NoSync {
		if err = f.Sync(ctx); errors.Is(err, errors.ErrUnsupported) {
			err = nil
		} else if err != nil {
			err = p.failed("sync", err)
		}
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err = p.failed("close", cerr)
	}
	if err == nil && unchanged != nil {
		if uerr := unchanged(); uerr != nil {
			err = p.failed("local read", uerr)
		}
	}
	return p.conclude(ctx, err)
}

// conclude ends a Put whose content is complete, or has failed with err: it verifies the
// file and gives it its name, or else abandons it.
func (p *putting) conclude(ctx context.Context, err error) error {
	if err == nil {
		err = p.verify(ctx)
	}
	if err == nil && p.o.Atomic {
		if err = p.replace(ctx); err != nil {
			err = p.failed("rename", err)
		}
	}
	if err != nil {
		p.abandon(ctx)
	}
	return err
}

// prepare does what comes before OPEN.
func (p *putting) prepare(ctx context.Context) error {
	o := p.o
	var err error
	if p.hash, err = p.c.hashFor(o); err != nil {
		return p.failed("verify", err)
	}
	if !p.tree {
		p.m.begin(p.name)
		if p.size >= 0 {
			p.m.expect(p.size)
		}
	}
	p.path, p.from = p.name, o.Offset
	p.mode, p.set = o.modeOf(p.source)
	if o.Atomic {
		p.path = partName(p.name, o.Resume == NoResume)
	}
	if o.Atomic || o.IfExists == SkipIfExists {
		if err := p.look(ctx); err != nil || p.res.Skipped {
			return err
		}
	}
	if o.Resume != NoResume {
		return p.resume(ctx)
	}
	return nil
}

// look finds out about a target that is there.
func (p *putting) look(ctx context.Context) error {
	old, err := p.c.Lstat(ctx, p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		if _, refused := errors.AsType[*StatusError](err); refused {
			return nil // a server that tells nothing; the rest will show
		}
		return p.failed("stat", err)
	case p.o.IfExists == SkipIfExists:
		p.res.Skipped = true
		return nil
	case p.o.IfExists == FailIfExists:
		return p.failed("open", Status(CodeFileAlreadyExists, ""))
	case old.IsDir():
		return p.failed("open", Status(CodeIsADirectory, ""))
	case !p.set && old.IsRegular() && old.Has(AttrMode):
		p.mode, p.set, p.carried = old.Mode&0o777, true, true
	}
	return nil
}

// open opens what is written.
func (p *putting) open(ctx context.Context) (*RemoteFile, error) {
	o := p.o
	how := OpenHow{Access: AccessWriteData | AccessWriteAttrs, Disposition: CreateTruncate}
	switch {
	case o.Resume != NoResume && p.from > 0:
		how.Disposition = OpenExisting
	case o.Resume != NoResume:
	case o.Atomic || o.IfExists == FailIfExists || o.IfExists == SkipIfExists:
		how.Disposition = CreateNew
	case o.IfExists == AppendTo:
		how.Disposition = OpenOrCreate
		how.Access |= AccessAppendData
		how.Flags |= OpenAppend
	case o.Offset > 0:
		how.Disposition = OpenOrCreate
	}
	switch {
	case p.set:
		how.Attrs = &Attrs{Valid: AttrMode, Mode: p.mode | 0o200, Kind: TypeRegular}
	case p.source != nil && p.source.Has(AttrMode):
		// What only its owner may read must not come to be open to all on the way.
		how.Attrs = &Attrs{Valid: AttrMode, Mode: p.source.Mode&0o777 | 0o200, Kind: TypeRegular}
	}
	f, err := p.c.OpenFile(ctx, p.path, how)
	if err != nil && how.Disposition == CreateNew && !o.Atomic && errors.Is(err, CodeFailure) {
		// Version 3 has no word for a file that is there.
		if _, serr := p.c.Lstat(ctx, p.path); serr == nil {
			err = fmt.Errorf("%w: %w", err, fs.ErrExist)
		}
	}
	switch {
	case err == nil:
		f.SetContext(ctx)
		return f, nil
	case o.IfExists == SkipIfExists && !o.Atomic && errors.Is(err, fs.ErrExist):
		p.res.Skipped = true
		return nil, nil
	}
	return nil, p.failed("open", err)
}

// content copies the source into f.
func (p *putting) content(ctx context.Context, f *RemoteFile) error {
	if p.copy != nil {
		return p.copy.content(ctx, f)
	}
	r := p.r
	if p.o.Length > 0 {
		r = io.LimitReader(r, p.o.Length)
	}
	switch {
	case p.hash != nil:
		p.sums = &chunkSums{h: p.hash.make()}
		r = io.TeeReader(r, p.sums)
	case p.o.Verify == VerifyContent:
		p.back = sha256.New()
		r = io.TeeReader(r, p.back)
	}
	if p.from > 0 {
		if _, err := f.Seek(p.from, io.SeekStart); err != nil {
			return p.failed("seek", err)
		}
	}
	f.tune(p.o)
	f.meter = p.m
	cr := &countReader{ctx: ctx, r: r}
	_, err := f.ReadFrom(cr)
	if err == nil {
		err = f.Flush(ctx)
	}
	p.res.Transferred = cr.n
	switch {
	case err == nil:
		return nil
	case cr.err != nil && errors.Is(err, cr.err):
		err = p.failed("local read", cr.err)
	default:
		err = p.failed("write", err)
	}
	p.res.Transferred = f.Acked()
	return err
}

// attributes sets what OPEN could not: modes are masked there, and times change with writes.
func (p *putting) attributes(ctx context.Context, f *RemoteFile) error {
	a, ok := p.attrs()
	if !ok {
		return nil
	}
	return p.attrsErr(&a, f.SetStat(ctx, &a))
}

// attrs returns the attributes that the target is to get, if any.
func (p *putting) attrs() (a Attrs, ok bool) {
	if p.set {
		a.Valid, a.Mode = AttrMode, p.mode
	}
	if p.o.Preserve&PreserveTimes != 0 && p.source != nil {
		a.Valid |= p.source.Valid & AttrTimes
		a.Atime, a.Mtime = p.source.Atime, p.source.Mtime
	}
	return a, a.Valid != 0
}

// attrsErr is the error of a SETSTAT, unless it is one to pass over.
func (p *putting) attrsErr(a *Attrs, err error) error {
	if err == nil {
		return nil
	}
	if _, refused := errors.AsType[*StatusError](err); refused && (p.o.BestEffortAttrs || p.carried && a.Valid == AttrMode) {
		p.res.AttrsErr = err
		return nil
	}
	return p.failed("attributes", err)
}

// verify compares what is there with what was sent.
func (p *putting) verify(ctx context.Context) error {
	if p.o.Verify == VerifyNone {
		return nil
	}
	p.m.enter(PhaseCheck)
	defer p.m.enter(PhaseTransfer)
	a, err := p.c.Stat(ctx, p.path)
	if err != nil {
		return p.failed("verify", err)
	}
	end := p.from + p.res.Transferred
	switch {
	case !a.Has(AttrSize) && p.o.Verify == VerifySize:
		return p.failed("verify", errNoSize)
	case !a.Has(AttrSize):
	case a.Size < uint64(end) || a.Size != uint64(end) && p.o.Offset == 0:
		return p.failed("verify", fmt.Errorf("%d bytes were sent, and the server has %d: %w", end, a.Size, ErrMismatch))
	default:
		p.res.Verified = CheckSize
	}
	switch {
	case p.res.Transferred == 0:
	case p.copy != nil:
		return p.copy.verify(ctx)
	case p.sums != nil:
		err := p.sums.compare(ctx, p.hash, hashed{name: p.path}, p.from)
		switch {
		case err == nil:
			p.res.Verified, p.res.Hash = CheckHash, p.hash.name
		case !refusedHash(p.o, err):
			return p.failed("verify", err)
		case p.o.Verify == VerifyContent:
			f, oerr := p.c.Open(ctx, p.path)
			if oerr != nil {
				return p.failed("verify", oerr)
			}
			defer f.Close()
			f.tune(p.o)
			if err := p.sums.readAgain(ctx, p.hash, f, p.from, p.res.Transferred, err); err != nil {
				return p.failed("verify", err)
			}
			p.res.Verified = CheckContent
		}
	case p.back != nil:
		f, err := p.c.Open(ctx, p.path)
		if err != nil {
			return p.failed("verify", err)
		}
		defer f.Close()
		f.tune(p.o)
		again := sha256.New()
		if err := f.copyTo(ctx, &countWriter{ctx: ctx, w: again}, p.from, p.res.Transferred, -1); err != nil {
			return p.failed("verify", err)
		}
		if !bytes.Equal(again.Sum(nil), p.back.Sum(nil)) {
			return p.failed("verify", fmt.Errorf("read back: %w", ErrMismatch))
		}
		p.res.Verified = CheckContent
	}
	return nil
}

// replace puts the temporary file in the place of the target.
func (p *putting) replace(ctx context.Context) error {
	if p.o.IfExists != Overwrite {
		return p.c.Rename(ctx, p.path, p.name, 0)
	}
	var err error
	for _, flags := range [...]RenameFlags{RenameOverwrite | RenameAtomic, RenameOverwrite, 0} {
		err = p.c.Rename(ctx, p.path, p.name, flags)
		if err == nil {
			return nil
		}
		if flags != 0 && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	// The server cannot replace. Without a flag it refuses because of the file that is
	// there, or for a reason of its own.
	if _, serr := p.c.Lstat(ctx, p.name); serr != nil {
		return err
	}
	if !p.o.MoveAside {
		return fmt.Errorf("%w: the server cannot replace a file in one step, see MoveAside", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// From here on the name is missing for a moment, which must not last because ctx ends.
	ctx, cancel := detached(ctx)
	defer cancel()
	aside := partName(p.name, true)
	if err := p.c.Rename(ctx, p.name, aside, 0); err != nil {
		return err
	}
	if err := p.c.Rename(ctx, p.path, p.name, 0); err != nil {
		if uerr := p.c.Rename(ctx, aside, p.name, 0); uerr != nil {
			err = fmt.Errorf("%w; the old file is %q now: %w", err, aside, uerr)
		}
		return err
	}
	return p.c.Remove(ctx, aside)
}

// tidyTime bounds what is put in order after a transfer that failed or was given up.
const tidyTime = 10 * time.Second

// detached returns a context for putting things in order, which goes on when ctx has ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
}

// abandon removes a temporary file that nobody will resume.
func (p *putting) abandon(ctx context.Context) {
	if !p.o.Atomic || p.o.Resume != NoResume {
		return
	}
	undo, cancel := detached(ctx)
	defer cancel()
	_ = p.c.Remove(undo, p.path)
}
