package sftp

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// GetTree downloads the remote directory dir and everything in it into the local directory target,
// which is created if it does not exist.
//
// Whatever the server sends, nothing outside target is touched: names from listings are checked,
// symlinks are made only if they stay inside, and all local work is done through an [os.Root], so
// that a symlink that somebody puts there meanwhile leads nowhere either. What is not a file,
// directory or symlink is left out and reported. Names that are not UTF-8 are written as
// [Entry.TrueName] returns them, where this host allows such names; patterns, events and errors use
// the server's spelling.
//
// The error is that of the first entry that failed, or with KeepGoing a [*TreeError].
func (c *Client) GetTree(ctx context.Context, dir, target string, o TreeOptions) (*TreeResult, error) {
	if err := o.check("get", wholeFiles); err != nil {
		return nil, err
	}
	src := &remoteTree{c: c, root: dir, o: &o}
	root, at, err := src.open(ctx, "get")
	if err != nil {
		return nil, err
	}
	made := false
	if !o.DryRun {
		if made, err = makeLocalRoot(target); err != nil {
			return nil, &TransferError{Op: "get", Step: "local mkdir", Path: target, Err: err}
		}
	}
	dst := &localTree{o: &o}
	if dst.root, err = os.OpenRoot(target); err != nil && !(o.DryRun && errors.Is(err, fs.ErrNotExist)) {
		return nil, &TransferError{Op: "get", Step: "local open", Path: target, Err: err}
	}
	if dst.root != nil {
		defer dst.root.Close()
	}
	closing := &closer{slots: make(chan struct{}, maxClosing)}
	t := tree{op: "get", src: src, dst: dst, o: &o}
	t.file = func(ctx context.Context, rel, to string, a *Attrs) (TransferResult, error) {
		g := getting{c: c, o: &o.TransferOptions, m: t.meter, name: src.path(rel), source: a, tree: true, closer: closing}
		err := g.toFile(ctx, dst.root, local(to), true)
		return g.res, err
	}
	res, err := t.run(ctx, root, at, made)
	closing.wait()
	return res, err
}

// makeLocalRoot makes the directory of a tree, and tells whether it did.
func makeLocalRoot(name string) (made bool, err error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return false, nil
	}
	return true, os.MkdirAll(name, 0o777)
}

// PutTree uploads the local directory dir and everything in it into the remote directory target,
// which is created if it does not exist; its parent directory must exist.
//
// dir is read through an [os.Root]: with FollowLinks nothing outside it is read. On the
// server, a symlink in the place of a directory of the tree is an error; what else happens
// there is up to the server.
//
// The error is that of the first entry that failed, or with KeepGoing a [*TreeError].
func (c *Client) PutTree(ctx context.Context, dir, target string, o TreeOptions) (*TreeResult, error) {
	if err := o.check("put", wholeFiles); err != nil {
		return nil, err
	}
	failed := func(step string, err error) (*TreeResult, error) {
		return nil, &TransferError{Op: "put", Step: step, Path: dir, Err: err}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return failed("local open", err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return failed("local stat", err)
	}
	src, dst := &localTree{root: root, o: &o}, &remoteTree{c: c, root: target, o: &o}
	made, err := dst.makeRoot(ctx, "put")
	if err != nil {
		return nil, err
	}
	t := tree{op: "put", src: src, dst: dst, o: &o}
	t.file = func(ctx context.Context, rel, to string, _ *Attrs) (TransferResult, error) {
		p := putting{op: "put", c: c, o: &o.TransferOptions, m: t.meter, name: dst.path(to), tree: true}
		err := p.fromFile(ctx, root, local(rel), true)
		return p.res, err
	}
	a := attrsOfInfo(info)
	return t.run(ctx, &a, localPlace{info}, made)
}

// open finds out about the root of a tree that is read.
func (r *remoteTree) open(ctx context.Context, op string) (*Attrs, place, error) {
	failed := func(step string, err error) (*Attrs, place, error) {
		return nil, nil, &TransferError{Op: op, Step: step, Path: r.root, Err: err}
	}
	a, err := r.c.Stat(ctx, r.root)
	if err != nil {
		return failed("stat", err)
	}
	if typ := a.Type(); typ != TypeDirectory && typ != TypeNone && typ != TypeUnknown {
		return failed("stat", Status(CodeNotADirectory, ""))
	}
	if r.o.Links != FollowLinks {
		return a, nil, nil
	}
	if r.real, err = r.c.resolved(ctx, r.root); err != nil {
		return failed("realpath", err)
	}
	return a, remotePlace(r.real), nil
}

// makeRoot makes the root of a tree that is written, and tells whether it did. Unlike what
// is below it, it may be a symlink to a directory: the caller named it.
func (r *remoteTree) makeRoot(ctx context.Context, op string) (made bool, err error) {
	a, err := r.c.Stat(ctx, r.root)
	switch {
	case err == nil && (a.IsDir() || a.Type() == TypeNone || a.Type() == TypeUnknown):
		return false, nil
	case err == nil:
		err = Status(CodeNotADirectory, "")
	case errors.Is(err, fs.ErrNotExist):
		if r.o.DryRun {
			return false, nil
		}
		if err = r.c.Mkdir(ctx, r.root, nil); err == nil {
			return true, nil
		}
	}
	return false, &TransferError{Op: op, Step: "mkdir", Path: r.root, Err: err}
}
