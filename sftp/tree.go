package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
)

const (
	defaultParallel = 16
	defaultMaxDepth = 256
	keptErrors      = 100 // of a tree; the rest is counted
)

// treeSource is where a tree comes from. Paths are relative to the root, "" being the root.
type treeSource interface {
	list(ctx context.Context, rel string) iter.Seq2[Entry, error]
	lstat(ctx context.Context, rel string) (*Attrs, error)
	readLink(ctx context.Context, rel string) (string, error)
	// follow returns what a symlink leads to, and where that is; errOutside if not inside.
	follow(ctx context.Context, rel string) (*Attrs, place, error)
	// place returns where the directory name in a directory at parent is.
	place(parent place, rel, name string) place
}

// place tells directories apart, so that one is not followed into itself.
type place interface{ same(place) bool }

// treeTarget is where a tree goes to. Its paths are made of what spell returns.
type treeTarget interface {
	// spell returns how the target calls an entry, and badName what is wrong with that.
	spell(e *Entry) string
	badName(name string) string
	// mkdir makes a directory that may be there already, but not as a symlink.
	mkdir(ctx context.Context, rel string, mode uint32, hasMode bool) error
	symlink(ctx context.Context, rel, text string) error
	// linkStays reports whether a symlink may be made.
	linkStays(rel, text string) bool
	// setDir sets mode and times of a directory of which all content is there.
	setDir(ctx context.Context, rel string, a *Attrs) error
}

var errOutside = errors.New("symlink leads out of the tree")

// tree is a transfer of a tree. Workers, all alike, take files and directories to list from
// two stacks. Directories are taken last in first out and files before directories, so the
// transfer goes deep before it goes wide. Nothing here recurses: how deep the directories
// lie in one another is the source's choice.
type tree struct {
	op     string
	src    treeSource
	dst    treeTarget
	file   func(ctx context.Context, rel, to string, a *Attrs) (TransferResult, error)
	o      *TreeOptions
	filter filter
	meter  *meter

	ctx    context.Context
	cancel context.CancelCauseFunc
	// stopped says that an entry has failed and nothing goes on.
	stopped atomic.Bool

	mu    sync.Mutex
	more  sync.Cond // something was put on a stack, or all is done
	dirs  []*treeDir
	files []treeFile // at most maxFiles
	busy  int        // workers that work

	out    sync.Mutex // result, errors, Report
	result TreeResult
	errs   []error
}

// treeDir is a directory that is to be listed or of which something is still under way.
type treeDir struct {
	rel    string // in the source
	to     string // in the target, which may spell names otherwise
	parent *treeDir
	depth  int
	place  place
	attrs  Attrs
	set    bool         // gets mode and times when it is done
	left   atomic.Int64 // children under way, and itself
}

type treeFile struct {
	dir   *treeDir
	rel   string
	to    string
	attrs Attrs
}

// run transfers the tree. root is the root's attributes; setRoot says that it gets them.
func (t *tree) run(ctx context.Context, root *Attrs, at place, setRoot bool) (*TreeResult, error) {
	var err error
	if t.filter, err = newFilter(t.o.Include, t.o.Exclude); err != nil {
		return nil, err
	}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	defer t.cancel(nil)
	t.more.L = &t.mu
	stop := after(t.ctx, t.wake)
	t.meter = newMeter(t.o.Progress, t.o.ProgressInterval)
	top := &treeDir{place: at, attrs: *root, set: setRoot}
	top.left.Store(1)
	t.dirs = append(t.dirs, top)
	n := t.o.Parallel
	if n <= 0 {
		n = defaultParallel
	}
	var workers sync.WaitGroup
	for range n {
		workers.Go(t.work)
	}
	workers.Wait()
	err = context.Cause(t.ctx)
	t.cancel(nil)
	stop()
	t.meter.end()
	if err == nil && len(t.errs) > 0 {
		err = &TreeError{Failed: t.result.Failed, Errors: t.errs}
	}
	return &t.result, err
}

// wake makes waiting workers look again. The lock keeps it from falling between a worker's
// look and its wait.
func (t *tree) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.more.Broadcast()
}

// work does what there is to do until nothing is left.
func (t *tree) work() {
	for {
		f, d := t.take()
		switch {
		case d != nil:
			t.list(d)
			t.leave(d)
		case f.dir != nil:
			t.copy(&f)
		default:
			return
		}
		t.mu.Lock()
		t.busy--
		if t.busy == 0 {
			t.more.Broadcast() // perhaps for the last time
		}
		t.mu.Unlock()
	}
}

// take waits for a file or a directory; neither means the end.
func (t *tree) take() (f treeFile, d *treeDir) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.ctx.Err() == nil {
		if n := len(t.files); n > 0 {
			f, t.files = t.files[n-1], t.files[:n-1]
			t.busy++
			return f, nil
		}
		if n := len(t.dirs); n > 0 {
			d, t.dirs[n-1] = t.dirs[n-1], nil
			t.dirs = t.dirs[:n-1]
			t.busy++
			return f, d
		}
		if t.busy == 0 {
			if t.meter != nil {
				t.meter.listed.Store(true)
			}
			return f, nil
		}
		t.more.Wait()
	}
	return f, nil
}

// maxFiles bounds the files that wait for a worker. Who finds more transfers them itself.
const maxFiles = 256

// push puts a file up for the workers, or returns false if there are enough of them.
func (t *tree) push(f treeFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.files) >= maxFiles {
		return false
	}
	t.files = append(t.files, f)
	t.more.Signal()
	return true
}

// maxDirs bounds the directories that wait to be listed, which the source could make up
// faster than they are made here.
const maxDirs = 1 << 18

func (t *tree) pushDir(d *treeDir) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) >= maxDirs {
		return false
	}
	t.dirs = append(t.dirs, d)
	t.more.Signal()
	return true
}

// list makes a directory and hands out what is in it.
func (t *tree) list(d *treeDir) {
	if !t.o.DryRun && d.parent != nil {
		mode, ok := t.o.modeOf(&d.attrs)
		if t.o.Mode != 0 { // is about files
			mode, ok = 0, false
		}
		// Its owner needs all rights until everything is in it.
		if err := t.dst.mkdir(t.ctx, d.to, mode|0o700, ok); err != nil {
			d.set = false
			t.failed(d.rel, "mkdir", err)
			return
		}
	}
	t.done(&TreeEvent{Path: d.rel, Action: DirMade, Attrs: &d.attrs})
	for e, err := range t.src.list(t.ctx, d.rel) {
		if t.ctx.Err() != nil {
			return
		}
		if _, ok := errors.AsType[*NameError](err); ok {
			t.failed(d.rel, "name", err) // of one entry
			continue
		}
		if err != nil {
			t.failed(d.rel, "list", err)
			return
		}
		t.entry(d, &e)
	}
}

// below returns the path of name in dir, which may be the root.
func below(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// entry decides about one entry of d.
func (t *tree) entry(d *treeDir, e *Entry) {
	name := t.dst.spell(e)
	rel, to := below(d.rel, e.Name), below(d.to, name)
	if why := t.dst.badName(name); why != "" {
		t.failed(rel, "name", Status(CodeInvalidFilename, why))
		return
	}
	if max(len(rel), len(to)) > MaxPath {
		t.failed(rel, "name", Status(CodeInvalidFilename, "path too long"))
		return
	}
	a := e.Attrs
	if typ := a.Type(); typ == TypeNone || typ == TypeUnknown {
		p, err := t.src.lstat(t.ctx, rel)
		if err != nil {
			t.failed(rel, "stat", err)
			return
		}
		a = *p
	}
	if !t.filter.takes(rel, a.IsDir()) || t.o.Filter != nil && !t.o.Filter(rel, &a) {
		return
	}
	at := place(nil)
	if a.Type() == TypeSymlink {
		switch t.o.Links {
		case CopyLinks:
			t.link(rel, to, &a)
			return
		case FollowLinks:
			p, where, err := t.src.follow(t.ctx, rel)
			if err != nil {
				t.failed(rel, "follow", err)
				return
			}
			a, at = *p, where
		default:
			t.skipped(rel, &a, "symlink")
			return
		}
	}
	switch a.Type() {
	case TypeDirectory:
		if at == nil {
			at = t.src.place(d.place, rel, e.Name)
		}
		t.enter(d, rel, to, &a, at)
	case TypeRegular:
		t.found(&a)
		d.left.Add(1)
		if f := (treeFile{dir: d, rel: rel, to: to, attrs: a}); !t.push(f) {
			t.copy(&f)
		}
	default:
		t.skipped(rel, &a, "not a file or directory")
	}
}

// enter puts a subdirectory on the stack.
func (t *tree) enter(d *treeDir, rel, to string, a *Attrs, at place) {
	limit := t.o.MaxDepth
	if limit <= 0 {
		limit = defaultMaxDepth
	}
	if d.depth+1 > limit {
		t.failed(rel, "enter", errDepth)
		return
	}
	if at != nil {
		for up := d; up != nil; up = up.parent {
			if up.place != nil && at.same(up.place) {
				t.failed(rel, "enter", errCycle)
				return
			}
		}
	}
	sub := &treeDir{rel: rel, to: to, parent: d, depth: d.depth + 1, place: at, attrs: *a, set: true}
	sub.left.Store(1)
	d.left.Add(1)
	if !t.pushDir(sub) {
		t.failed(rel, "enter", errWidth)
		t.leave(d)
	}
}

var (
	errDepth = Status(CodeFailure, "directories lie too deep in one another")
	errWidth = Status(CodeFailure, "too many directories")
	errCycle = Status(CodeLinkLoop, "symlink leads to a directory that it lies in")
)

// found counts a file that is to be transferred.
func (t *tree) found(a *Attrs) {
	if t.meter == nil {
		return
	}
	t.meter.filesT.Add(1)
	if a.Has(AttrSize) {
		t.meter.expect(int64(min(a.Size, 1<<62)))
	}
}

// copy transfers one file.
func (t *tree) copy(f *treeFile) {
	defer t.leave(f.dir)
	if t.ctx.Err() != nil {
		return
	}
	var r TransferResult
	if !t.o.DryRun {
		t.meter.begin(f.rel)
		var err error
		r, err = t.file(t.ctx, f.rel, f.to, &f.attrs)
		if err != nil {
			t.failed(f.rel, t.op, err)
			return
		}
	}
	if t.meter != nil {
		t.meter.files.Add(1)
	}
	if r.Skipped {
		t.skipped(f.rel, &f.attrs, "there already")
		return
	}
	t.done(&TreeEvent{Path: f.rel, Action: FileCopied, Attrs: &f.attrs, Result: r})
}

// link makes a symlink like that at rel.
func (t *tree) link(rel, to string, a *Attrs) {
	text, err := t.src.readLink(t.ctx, rel)
	if err != nil {
		t.failed(rel, "readlink", err)
		return
	}
	if !t.dst.linkStays(to, text) {
		t.failed(rel, "symlink", errOutside)
		return
	}
	if !t.o.DryRun {
		if err := t.dst.symlink(t.ctx, to, text); err != nil {
			if errors.Is(err, fs.ErrExist) && t.o.IfExists == SkipIfExists {
				t.skipped(rel, a, "there already")
				return
			}
			t.failed(rel, "symlink", err)
			return
		}
	}
	t.done(&TreeEvent{Path: rel, Action: LinkMade, Attrs: a})
}

// leave notes that one thing in d is over. Who is last finishes the directory, and that may
// finish its parent.
func (t *tree) leave(d *treeDir) {
	for ; d != nil && d.left.Add(-1) == 0; d = d.parent {
		if !d.set || t.o.DryRun || t.o.Preserve == 0 || t.ctx.Err() != nil {
			continue
		}
		if err := t.dst.setDir(t.ctx, d.to, &d.attrs); err != nil && !t.o.BestEffortAttrs {
			t.failed(d.rel, "attributes", err)
		}
	}
}

// done, skipped and failed keep the result and report.
func (t *tree) done(e *TreeEvent) {
	t.out.Lock()
	defer t.out.Unlock()
	switch e.Action {
	case FileCopied:
		t.result.Files++
		t.result.Transferred += e.Result.Transferred
		t.result.Resumed += e.Result.Resumed
	case DirMade:
		t.result.Dirs++
	case LinkMade:
		t.result.Links++
	case EntrySkipped:
		t.result.Skipped++
	case EntryFailed:
		t.result.Failed++
		if len(t.errs) < keptErrors {
			t.errs = append(t.errs, e.Err)
		}
	}
	if t.o.Report != nil {
		t.o.Report(e)
	}
}

func (t *tree) skipped(rel string, a *Attrs, why string) {
	t.done(&TreeEvent{Path: rel, Action: EntrySkipped, Attrs: a, Why: why})
}

func (t *tree) failed(rel, step string, err error) {
	if t.ctx.Err() != nil {
		return // what fails because all is over is not the reason
	}
	te, ok := errors.AsType[*TransferError](err)
	if !ok {
		te = &TransferError{Op: t.op, Step: step, Path: rel, Err: err}
	}
	if !t.o.KeepGoing {
		if t.stopped.Swap(true) {
			return // one failure is enough
		}
		defer t.cancel(te)
	}
	t.done(&TreeEvent{Path: rel, Action: EntryFailed, Err: te})
}
