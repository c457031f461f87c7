package sftp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// CopyFile copies a file to another name on the same server: by copy-data where the server has
// that, else by copy-file, else by downloading and uploading through this client. The options are
// those of a Put, except Resume, Offset, Length and AppendTo. A file cannot be copied to itself.
func (c *Client) CopyFile(ctx context.Context, from, to string, o TransferOptions) (TransferResult, error) {
	err := o.check("copy", 0)
	switch {
	case err != nil:
	case o.Resume != NoResume || o.Offset > 0 || o.Length > 0 || o.IfExists == AppendTo:
		err = errOption("copy: Resume, Offset, Length and AppendTo are not for copies")
	}
	if err != nil {
		return TransferResult{}, err
	}
	m := newMeter(o.Progress, o.ProgressInterval)
	defer m.end()
	k := newCopying(c, from, to, &o, m)
	err = k.run(ctx)
	return k.p.res, err
}

// CopyTree copies the directory from of the server with all that is in it to the directory
// to of the same server, which is made if it is missing. Options and errors are those of
// PutTree; each file is copied as by CopyFile. to may not lie in from.
func (c *Client) CopyTree(ctx context.Context, from, to string, o TreeOptions) (*TreeResult, error) {
	err := o.check("copy", wholeFiles)
	if err == nil && o.Resume != NoResume {
		err = errOption("copy: Resume is not for copies")
	}
	if err != nil {
		return nil, err
	}
	src, dst := &remoteTree{c: c, root: from, o: &o}, &remoteTree{c: c, root: to, o: &o}
	root, at, err := src.open(ctx, "copy")
	if err != nil {
		return nil, err
	}
	made, err := dst.makeRoot(ctx, "copy")
	if err != nil {
		return nil, err
	}
	if err := src.excludes(ctx, dst); err != nil {
		if made {
			err = errors.Join(err, c.Rmdir(ctx, to))
		}
		return nil, &TransferError{Op: "copy", Step: "realpath", Path: to, Err: err}
	}
	t := tree{op: "copy", src: src, dst: dst, o: &o}
	t.file = func(ctx context.Context, rel, to string, a *Attrs) (TransferResult, error) {
		k := newCopying(c, src.path(rel), dst.path(to), &o.TransferOptions, t.meter)
		k.p.source, k.p.tree = a, true
		err := k.run(ctx)
		return k.p.res, err
	}
	return t.run(ctx, root, at, made)
}

// excludes sees that the target of a copy does not lie in its source, where it would be
// copied into itself.
func (r *remoteTree) excludes(ctx context.Context, dst *remoteTree) error {
	from, err := r.c.resolved(ctx, r.root)
	if err != nil {
		return err
	}
	to, err := r.c.resolved(ctx, dst.root)
	if err != nil {
		if r.o.DryRun { // it may not be there yet
			return nil
		}
		return err
	}
	if pathWithin(to, from) {
		return Status(CodeInvalidParameter, "target of the copy lies in its source")
	}
	return nil
}

// copying is one copy on a server: a Put whose content comes from there.
type copying struct {
	p    putting
	from string
	src  *RemoteFile
}

func newCopying(c *Client, from, to string, o *TransferOptions, m *meter) *copying {
	k := &copying{from: from}
	k.p = putting{op: "copy", c: c, o: o, name: to, m: m, size: -1, copy: k}
	return k
}

func (k *copying) run(ctx context.Context) error {
	p, c := &k.p, k.p.c
	if p.source == nil {
		a, err := c.Stat(ctx, k.from)
		if err != nil {
			return p.failed("stat", err)
		}
		p.source = a
	}
	if p.source.IsDir() {
		return p.failed("open", Status(CodeIsADirectory, ""))
	}
	if p.source.Has(AttrSize) {
		p.size = int64(min(p.source.Size, math.MaxInt64))
	}
	if p.o.Size > 0 {
		p.size = p.o.Size
	}
	if err := k.distinct(ctx); err != nil {
		return p.failed("realpath", err)
	}
	if !c.Supports("copy-data") && c.Supports("copy-file") && p.o.IfExists != SkipIfExists {
		return k.byCopyFile(ctx)
	}
	var err error
	if k.src, err = c.Open(ctx, k.from); err != nil {
		return p.failed("open", err)
	}
	k.src.SetContext(ctx)
	k.src.tune(p.o)
	defer k.src.Close()
	return p.run(ctx)
}

// distinct sees that a file is not copied to itself, which would empty it before it is read.
// With Atomic there is no such danger.
func (k *copying) distinct(ctx context.Context) error {
	if k.p.o.Atomic || k.p.o.IfExists != Overwrite || k.p.tree {
		return nil
	}
	from, err := k.p.c.resolved(ctx, k.from)
	if err != nil {
		return err
	}
	to, err := k.p.c.resolved(ctx, k.p.name)
	if _, refused := errors.AsType[*StatusError](err); refused {
		return nil // it is not there yet
	}
	if err == nil && from == to {
		return Status(CodeInvalidParameter, "source and target are one file")
	}
	return err
}

// byCopyFile has the server do all of it in one request.
func (k *copying) byCopyFile(ctx context.Context) error {
	p, c := &k.p, k.p.c
	if err := p.prepare(ctx); err != nil {
		return err
	}
	err := c.extended(ctx, fxp.OpCopyFile, &fxp.ExtCopyFile{
		From: c.toWire(k.from), To: c.toWire(p.path), Overwrite: !p.o.Atomic && p.o.IfExists == Overwrite,
	}, nil)
	if err != nil {
		return p.failed("copy-file", err)
	}
	if p.size > 0 {
		p.res.Transferred = p.size
		p.m.add(p.size)
	}
	if a, ok := p.attrs(); ok {
		err = p.attrsErr(&a, c.SetStat(ctx, p.path, &a))
	}
	return p.conclude(ctx, err)
}

const (
	firstCopy = 4 << 20     // octets of the first copy-data
	mostCopy  = 1 << 30     // octets of one copy-data
	copyPace  = time.Second // how long one should take, for progress and cancelling
)

// content copies into f.
func (k *copying) content(ctx context.Context, f *RemoteFile) error {
	p := &k.p
	if p.c.Supports("copy-data") && p.size >= 0 {
		err := k.byCopyData(ctx, f)
		_, refused := errors.AsType[*StatusError](err)
		if !refused || p.res.Transferred > 0 {
			return err
		}
		// Announced, and yet it cannot: the file may be of a kind that it is not for.
	}
	f.meter = p.m
	cr := &countReader{ctx: ctx, r: k.src}
	_, err := f.ReadFrom(cr)
	if err == nil {
		err = f.Flush(ctx)
	}
	p.res.Transferred = cr.n
	switch {
	case err == nil:
		return nil
	case cr.err != nil && errors.Is(err, cr.err):
		return p.failed("read", cr.err)
	}
	p.res.Transferred = f.Acked()
	return p.failed("write", err)
}

// byCopyData copies as much as the file is said to have, in pieces that each take about a
// second.
func (k *copying) byCopyData(ctx context.Context, f *RemoteFile) error {
	p := &k.p
	piece := int64(firstCopy)
	for off := int64(0); off < p.size; {
		n := min(piece, p.size-off)
		begin := time.Now()
		if err := p.c.CopyData(ctx, k.src, off, n, f, off); err != nil {
			return p.failed("copy-data", err)
		}
		off += n
		p.res.Transferred = off
		p.m.add(n)
		switch d := time.Since(begin); {
		case d < copyPace/2:
			piece = min(2*piece, mostCopy)
		case d > 2*copyPace:
			piece = max(piece/2, firstCopy)
		}
	}
	return nil
}

// verify compares source and target, whose sizes are known to be right.
func (k *copying) verify(ctx context.Context) error {
	p := &k.p
	switch {
	case p.hash != nil:
		err := compareOnServer(ctx, p.hash, k.from, p.path, p.res.Transferred)
		if refusedHash(p.o, err) {
			p.hash = nil
			return k.verify(ctx) // in another way
		}
		if err != nil {
			return p.failed("verify", err)
		}
		p.res.Verified, p.res.Hash = CheckHash, p.hash.name
	case p.o.Verify == VerifyContent:
		a, err := p.c.Open(ctx, k.from)
		if err != nil {
			return p.failed("verify", err)
		}
		a.SetContext(ctx)
		defer a.Close()
		b, err := p.c.Open(ctx, p.path)
		if err != nil {
			return p.failed("verify", err)
		}
		b.SetContext(ctx)
		defer b.Close()
		if err := compareBytes(ctx, a, b, 0, p.res.Transferred); err != nil {
			return p.failed("verify", fmt.Errorf("read back: %w", err))
		}
		p.res.Verified = CheckContent
	}
	return nil
}
