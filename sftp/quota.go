package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
)

// Usage is how much there is in a tree, or may be.
type Usage struct {
	Bytes int64 // of regular files, as long as they are and not as they lie on the disk
	Files int64 // names: of files, links and directories alike
}

// QuotaStore counts the usage of one Quota. NewQuota has one that counts in memory; a store shared
// by several servers keeps them all within one limit. It must be safe for concurrent use, and must
// not wait for long: it is called for every WRITE that makes a file longer.
type QuotaStore interface {
	// Charge adds delta, either part of which may be negative, unless a part that grows would
	// pass max, where 0 stands for no limit: then it changes nothing and returns
	// CodeQuotaExceeded. No part falls below zero.
	Charge(delta, max Usage) error
	// Usage returns what was charged so far.
	Usage() (Usage, error)
}

// Quota bounds what a directory tree may hold. One Quota stands for one share and may wrap the file
// systems of any number of sessions; together they stay within it. A WRITE that would exceed the
// limit is refused with SSH_FX_QUOTA_EXCEEDED before any of it is written. Overwriting octets in
// place costs nothing.
//
// Changes that bypass the wrapped file systems are noticed for a file when its last writer closes
// it, and otherwise at the next Scan. What FileSystem.Extended does is not counted.
type Quota struct {
	tree  string
	max   Usage
	store QuotaStore

	// names is held while names come and go, so that what was there before and
	// what happened to it are one step.
	names chan struct{}

	mu   sync.Mutex
	open map[objectKey]*quotaObject
}

// NewQuota makes a quota for what lies beneath tree, "" or "/" for everything. A limit of 0 means
// no limit. A nil store counts in memory and starts from zero: see Scan.
func NewQuota(tree string, max Usage, store QuotaStore) (*Quota, error) {
	clean, err := CleanPath(tree)
	switch {
	case err != nil:
		return nil, err
	case max.Bytes < 0 || max.Files < 0:
		return nil, errors.New("sftp: quota: negative limit")
	}
	if store == nil {
		store = new(memUsage)
	}
	return &Quota{tree: clean, max: max, store: store, names: make(chan struct{}, 1), open: map[objectKey]*quotaObject{}}, nil
}

// Usage returns what is used now.
func (q *Quota) Usage() (Usage, error) { return q.store.Usage() }

// Wrap returns fsys within the quota.
func (q *Quota) Wrap(fsys FileSystem) FileSystem { return &quotaFS{fsys, q} }

// Scan counts the tree and makes that the usage. More than maxNames names are an error and leave
// the usage unchanged; 0 means no limit. Call it before anything is served: changes made meanwhile
// may be missed or counted twice.
func (q *Quota) Scan(ctx context.Context, fsys FileSystem, maxNames int64) error {
	found, err := measureTree(ctx, fsys, q.tree, maxNames)
	if err != nil {
		return err
	}
	found.Files-- // the tree itself
	now, err := q.store.Usage()
	if err != nil {
		return err
	}
	return q.store.Charge(Usage{found.Bytes - now.Bytes, found.Files - now.Files}, Usage{})
}

// memUsage is the QuotaStore in memory.
type memUsage struct {
	mu sync.Mutex
	u  Usage
}

// Charge implements QuotaStore.
func (m *memUsage) Charge(delta, max Usage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, part := range [...]struct{ used, delta, max int64 }{{m.u.Bytes, delta.Bytes, max.Bytes}, {m.u.Files, delta.Files, max.Files}} {
		if part.max > 0 && part.delta > 0 && (part.used >= part.max || part.delta > part.max-part.used) {
			return CodeQuotaExceeded
		}
	}
	m.u.Bytes = max0(m.u.Bytes + delta.Bytes)
	m.u.Files = max0(m.u.Files + delta.Files)
	return nil
}

func max0(n int64) int64 { return max(n, 0) }

// Usage implements QuotaStore.
func (m *memUsage) Usage() (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.u, nil
}

// measureTree counts dir and what is beneath, without following links. A file with several
// names counts its bytes once, as far as the file system tells who is who.
func measureTree(ctx context.Context, fsys FileSystem, dir string, maxNames int64) (u Usage, err error) {
	a, err := fsys.Stat(ctx, dir, StatOpt{Want: measured})
	if err != nil {
		return u, err
	}
	seen := map[objectKey]bool{}
	count := func(a *Attrs) error {
		if u.Files++; maxNames > 0 && u.Files > maxNames {
			return fmt.Errorf("sftp: quota: more than %d names to count", maxNames)
		}
		if isFile(a) {
			if a.Has(AttrLinks|AttrFileID) && a.Links > 1 {
				key := objectKey{dev: a.Dev, ino: a.Ino}
				if seen[key] {
					return nil
				}
				seen[key] = true
			}
			u.Bytes += bytesOf(a)
		}
		return nil
	}
	if err := count(a); err != nil || !a.IsDir() {
		return u, err
	}
	for todo := []string{dir}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		subs, err := measureDir(ctx, fsys, dir, count)
		if err != nil {
			return u, err
		}
		todo = append(todo, subs...)
	}
	return u, nil
}

// measureDir counts the entries of one directory and returns those that are directories.
func measureDir(ctx context.Context, fsys FileSystem, dir string, count func(*Attrs) error) (subs []string, err error) {
	d, err := fsys.OpenDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	for err == nil {
		var list []Entry
		list, err = d.Next(ctx, nameBatch)
		for i := range list {
			full := path.Join(dir, list[i].Name)
			a := &list[i].Attrs
			if isFile(a) && a.Has(AttrLinks) && a.Links > 1 && !a.Has(AttrFileID) {
				if b, err := fsys.Stat(ctx, full, StatOpt{Want: measured}); err == nil {
					a = b
				}
			}
			if err := count(a); err != nil {
				return nil, errors.Join(err, d.Close(err))
			}
			if a.IsDir() {
				subs = append(subs, full)
			}
		}
		if len(list) == 0 && err == nil {
			err = io.EOF
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return subs, errors.Join(err, d.Close(err))
}

// measured is what counting needs to know.
const measured = AttrSize | AttrMode | AttrLinks | AttrFileID

func isFile(a *Attrs) bool { return a.IsRegular() || a.Type() == TypeNone }

// bytesOf returns the bytes that a counts.
func bytesOf(a *Attrs) int64 {
	if !isFile(a) || !a.Has(AttrSize) {
		return 0
	}
	return int64(min(a.Size, 1<<62))
}

// objectKey is what a file is known by: its identity where there is one, or else its path.
type objectKey struct {
	dev, ino uint64
	path     string
}

func keyOf(a *Attrs, clean string) objectKey {
	if a != nil && a.Has(AttrFileID) {
		return objectKey{dev: a.Dev, ino: a.Ino}
	}
	return objectKey{path: clean}
}

// quotaObject is a file that is open for writing, by however many handles.
type quotaObject struct {
	key  objectKey
	refs int  // under Quota.mu
	gone bool // its last name was removed; under Quota.mu

	mu   sync.Mutex
	size int64 // what it is charged for
}

// lock takes the names. ctx ends the wait.
func (q *Quota) lock(ctx context.Context) error {
	select {
	case q.names <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (q *Quota) unlock() { <-q.names }

// take charges for what is to be added; give takes back what is not there any more, and
// settle corrects either way.
func (q *Quota) take(bytes, files int64) error {
	if bytes <= 0 && files <= 0 {
		return nil
	}
	return q.store.Charge(Usage{bytes, files}, q.max)
}

func (q *Quota) give(bytes, files int64) { q.settle(-bytes, -files) }

func (q *Quota) settle(bytes, files int64) {
	if bytes != 0 || files != 0 {
		_ = q.store.Charge(Usage{bytes, files}, Usage{}) // no limit, nothing to refuse
	}
}

// object returns the open file with a key, made with a size if there is none yet.
func (q *Quota) object(key objectKey, size int64) *quotaObject {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.open[key]
	if o == nil {
		o = &quotaObject{key: key, size: size}
		q.open[key] = o
	}
	o.refs++
	return o
}

// drop ends a use of o. With the last one the charge becomes what the file has come to be,
// actual, if that is known; a file without a name goes for good.
func (q *Quota) drop(o *quotaObject, actual int64, known bool) {
	q.mu.Lock()
	o.refs--
	last, gone := o.refs == 0, o.gone
	if last && q.open[o.key] == o {
		delete(q.open, o.key)
	}
	q.mu.Unlock()
	switch {
	case !last: // and nobody but the last changes it any more
	case gone:
		q.give(o.size, 0)
	case known:
		q.settle(actual-o.size, 0)
	}
}

// removed takes back what a name was charged for that is gone, a being what it named.
func (q *Quota) removed(a *Attrs, clean string) {
	if !isFile(a) || a.Has(AttrLinks) && a.Links > 1 {
		q.give(0, 1)
		return
	}
	key := keyOf(a, clean)
	q.mu.Lock()
	o := q.open[key]
	if o != nil {
		o.gone = true // who has it open goes on using it
		delete(q.open, key)
	}
	q.mu.Unlock()
	if o != nil {
		q.give(0, 1)
		return
	}
	q.give(bytesOf(a), 1)
}

// renamed follows open files that are known by their paths.
func (q *Quota) renamed(from, to string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, o := range q.open {
		rest, ok := strings.CutPrefix(key.path, from)
		if key.path == "" || !ok || rest != "" && rest[0] != '/' {
			continue
		}
		delete(q.open, key)
		o.key.path = to + rest
		q.open[o.key] = o
	}
}

// grow charges for o, whose mu is held, becoming size long, if that is more than it was.
func (q *Quota) grow(o *quotaObject, size int64) error {
	if size <= o.size {
		return nil
	}
	if err := q.take(size-o.size, 0); err != nil {
		return err
	}
	o.size = size
	return nil
}
