package sftp

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	locksPerHandle = 256
	locksPerFile   = 4096
)

// FileID identifies an object independently of its names.
type FileID struct {
	Dev uint64 // Attrs.Dev
	Ino uint64 // Attrs.Ino
}

// ID returns the identity in a, and whether it holds one (AttrFileID).
func (a *Attrs) ID() (FileID, bool) { return FileID{Dev: a.Dev, Ino: a.Ino}, a.Has(AttrFileID) }

// A LockTable keeps the locks of a file system: the ranges of BLOCK and the block bits of
// OPEN (filexfer-13 §8.8, §8.1.1.3). It is for authors of a FileSystem, which has one
// for all its sessions and enters every file it opens:
//
//	File.Lock, Unlock, Close       LockHandle.Lock, Unlock, Close
//	File.ReadAt, WriteAt, SetStat  LockHandle.Check, before anything is done
//	FileSystem.Open                LockTable.Open, before an existing file is emptied
//	Remove, Rename onto a file     LockTable.Remove
//
// The zero value is ready. All methods may be called concurrently.
type LockTable struct {
	// PerHandle and PerFile bound the ranges that are locked at a time; 0 is 256 and 4096.
	// Set them before first use.
	PerHandle, PerFile int

	mu    sync.Mutex
	files map[FileID]*lockedFile
	// removal is held for reading while a name is taken away, and for writing while a
	// lock that forbids it is granted.
	removal sync.RWMutex
	keepers atomic.Int64 // locks that forbid removal
}

// lockedFile is an object with open handles.
type lockedFile struct {
	id      FileID
	handles []*LockHandle // LockTable.mu

	// binding counts the mandatory ranges: while it is 0, which is nearly always, it is
	// all that READ and WRITE look at.
	binding atomic.Int32
	mu      sync.RWMutex
	ranges  []lockedRange // sorted, and none overlaps another
}

// lockedRange is a granted BLOCK: the octets from start up to but not including end.
type lockedRange struct {
	start, end uint64
	length     uint64 // as asked for: UNBLOCK names it
	mask       RangeMask
	by         *LockHandle
}

// mandatory reports whether l keeps anybody from anything but locking.
func (l *lockedRange) mandatory() bool {
	return l.mask&RangeAdvisory == 0 && l.mask&(RangeRead|RangeWrite) != 0
}

// A LockHandle is an open file in a LockTable. A nil *LockHandle has no locks and grants none.
type LockHandle struct {
	table  *LockTable
	file   *lockedFile
	reads  bool
	writes bool
	dooms  bool // may remove the file
	block  OpenFlags
	ranges int  // lockedFile.mu
	closed bool // lockedFile.mu
}

// Open enters a handle that is being opened as how says, or refuses it with CodeLockConflict:
// because its own block bits conflict with other handles, because of another handle's block bits,
// or because of a range that forbids removal. Call it before an existing file is emptied.
func (t *LockTable) Open(id FileID, how *OpenHow) (*LockHandle, error) {
	h := &LockHandle{
		table: t, reads: how.Reads(), writes: how.Writes(), block: how.Flags & OpenBlockMask,
		dooms: how.Access&AccessDelete != 0 || how.Flags&OpenDeleteOnClose != 0,
	}
	switch { // a range that forbids removal, and a handle that wants it, come one after the other
	case h.keeps():
		t.removal.Lock()
		defer t.removal.Unlock()
	case h.dooms:
		t.removal.RLock()
		defer t.removal.RUnlock()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[id]
	if f == nil {
		f = &lockedFile{id: id}
	}
	for _, g := range f.handles {
		if h.denies(g) || g.denies(h) {
			return nil, CodeLockConflict
		}
	}
	if h.dooms && f.keeps() {
		return nil, CodeLockConflict
	}
	if t.files == nil {
		t.files = make(map[FileID]*lockedFile)
	}
	t.files[id] = f
	h.file = f
	f.handles = append(f.handles, h)
	if h.keeps() {
		t.keepers.Add(1)
	}
	return h, nil
}

// keeps reports whether h's block bits forbid removal.
func (h *LockHandle) keeps() bool {
	return h.block&(OpenBlockDelete|OpenBlockAdvisory) == OpenBlockDelete
}

// denies reports whether h's block bits exclude g.
func (h *LockHandle) denies(g *LockHandle) bool {
	if h.block&OpenBlockAdvisory != 0 && g.block == 0 {
		return false
	}
	return h.block&OpenBlockRead != 0 && g.reads ||
		h.block&OpenBlockWrite != 0 && g.writes ||
		h.block&OpenBlockDelete != 0 && g.dooms
}

// Alone reports whether no other handle of the file has block bits. A lock of the host that
// is refused then is another process's.
func (h *LockHandle) Alone() bool {
	if h == nil {
		return true
	}
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	return !slices.ContainsFunc(h.file.handles, func(g *LockHandle) bool { return g != h && g.block != 0 })
}

// keeps reports whether a range forbids the removal of f.
func (f *lockedFile) keeps() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.ContainsFunc(f.ranges, func(l lockedRange) bool { return l.keeps() })
}

func (l *lockedRange) keeps() bool { return l.mask&(RangeDelete|RangeAdvisory) == RangeDelete }

// Bounds returns the octets of r in a file of that size: from start up to but not
// including end. They are none (start equals end) if Length is 0 and Offset is at the end
// of the file or behind it. What lies behind 2^64 is cut off.
func (r Range) Bounds(size uint64) (start, end uint64) {
	switch {
	case r.Length == 0:
		return r.Offset, max(r.Offset, size)
	case r.Length > math.MaxUint64-r.Offset:
		return r.Offset, math.MaxUint64
	}
	return r.Offset, r.Offset + r.Length
}

var (
	errRangeMask  = Status(CodeInvalidParameter, "unknown lock bit")
	errRangeLimit = Status(CodeRangeLockRefused, "too many locks")
)

// Lock grants r or refuses it with CodeRangeLockRefused: if it overlaps a granted range, even one
// of h itself, if it forbids the removal of a file that is to be removed on close, or if there are
// too many locks. size is the current size of the file, which a Length of 0 needs. host, if not
// nil, takes the lock of the host on the octets from start to end, and may refuse: it must not
// wait.
func (h *LockHandle) Lock(r Range, size uint64, host func(start, end uint64) error) error {
	switch {
	case h == nil:
		return CodeOpUnsupported
	case r.Mask&^(RangeRead|RangeWrite|RangeDelete|RangeAdvisory) != 0:
		return errRangeMask
	}
	t, f := h.table, h.file
	l := lockedRange{length: r.Length, mask: r.Mask, by: h}
	l.start, l.end = r.Bounds(size)
	if l.keeps() {
		t.removal.Lock()
		defer t.removal.Unlock()
		t.mu.Lock()
		doomed := slices.ContainsFunc(f.handles, func(g *LockHandle) bool { return g.dooms })
		t.mu.Unlock()
		if doomed {
			return CodeRangeLockRefused
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i, free := f.place(&l)
	switch {
	case h.closed:
		return CodeInvalidHandle
	case !free:
		return CodeRangeLockRefused
	case h.ranges >= orDefault(t.PerHandle, locksPerHandle), len(f.ranges) >= orDefault(t.PerFile, locksPerFile):
		return errRangeLimit
	}
	if host != nil && l.start < l.end {
		if err := host(l.start, l.end); err != nil {
			return err
		}
	}
	f.ranges = slices.Insert(f.ranges, i, l)
	h.ranges++
	f.count(&l, 1)
	if l.keeps() {
		t.keepers.Add(1)
	}
	return nil
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// count keeps binding; f.mu is held.
func (f *lockedFile) count(l *lockedRange, n int32) {
	if l.mandatory() {
		f.binding.Add(n)
	}
}

// place returns where l belongs in f.ranges, and whether nothing there overlaps it. An
// empty range overlaps what it lies inside of, and its like; f.mu is held.
func (f *lockedFile) place(l *lockedRange) (i int, free bool) {
	i, same := slices.BinarySearchFunc(f.ranges, l, compareRanges)
	if same || i > 0 && f.ranges[i-1].end > l.start {
		return i, false
	}
	return i, i == len(f.ranges) || f.ranges[i].start >= l.end
}

// compareRanges orders by start, an empty range before one that begins where it is.
func compareRanges(a lockedRange, b *lockedRange) int {
	switch {
	case a.start < b.start:
		return -1
	case a.start > b.start:
		return 1
	case a.end == b.end, a.start < a.end && b.start < b.end:
		return 0
	case a.start == a.end:
		return -1
	}
	return 1
}

// Unlock gives back a range of h that Lock was asked for with the same offset and length,
// or returns CodeNoMatchingRangeLock. host, if not nil, gives back the host's lock.
func (h *LockHandle) Unlock(r Range, host func(start, end uint64)) error {
	if h == nil {
		return CodeOpUnsupported
	}
	f := h.file
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ranges {
		l := f.ranges[i]
		if l.by != h || l.start != r.Offset || l.length != r.Length {
			continue
		}
		if host != nil && l.start < l.end {
			host(l.start, l.end)
		}
		f.ranges = slices.Delete(f.ranges, i, i+1)
		h.drop(&l)
		return nil
	}
	return CodeNoMatchingRangeLock
}

// drop takes l, which is no longer in f.ranges, out of the counts; f.mu is held.
func (h *LockHandle) drop(l *lockedRange) {
	h.ranges--
	h.file.count(l, -1)
	if l.keeps() {
		h.table.keepers.Add(-1)
	}
}

// Check returns CodeRangeLockConflict if the n octets at off may not be read, or written, by h
// because of another handle's mandatory lock. It costs one atomic load while nobody has such a lock
// on the file. An operation that began before a lock was granted is not stopped by it; a file
// system that must rule this out calls Check and Lock under a mutex of its own.
func (h *LockHandle) Check(write bool, off, n int64) error {
	if h == nil || h.file.binding.Load() == 0 {
		return nil
	}
	return h.check(write, off, n)
}

func (h *LockHandle) check(write bool, off, n int64) error {
	if off < 0 || n <= 0 {
		return nil
	}
	mask := RangeRead
	if write {
		mask = RangeWrite
	}
	start, end := Range{Offset: uint64(off), Length: uint64(n)}.Bounds(0)
	f := h.file
	f.mu.RLock()
	defer f.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(f.ranges, start, func(l lockedRange, start uint64) int {
		if l.end <= start {
			return -1
		}
		return 1
	})
	for ; i < len(f.ranges) && f.ranges[i].start < end; i++ {
		if l := &f.ranges[i]; l.by != h && l.mandatory() && l.mask&mask != 0 && l.start < l.end {
			return CodeRangeLockConflict
		}
	}
	return nil
}

// CheckResize is Check for a change of size from from to to: the octets that come or go.
func (h *LockHandle) CheckResize(from, to uint64) error {
	from, to = min(from, math.MaxInt64), min(to, math.MaxInt64)
	if from > to {
		from, to = to, from
	}
	return h.Check(true, int64(from), int64(to-from))
}

// Close ends all locks of h; the host's end with the host's descriptor. It may be called
// more than once.
func (h *LockHandle) Close() {
	if h == nil {
		return
	}
	t, f := h.table, h.file
	t.mu.Lock()
	defer t.mu.Unlock()
	f.mu.Lock()
	if h.closed {
		f.mu.Unlock()
		return
	}
	h.closed = true
	if h.ranges > 0 {
		f.ranges = slices.DeleteFunc(f.ranges, func(l lockedRange) bool {
			if l.by == h {
				h.drop(&l)
			}
			return l.by == h
		})
	}
	f.mu.Unlock()
	if h.keeps() {
		t.keepers.Add(-1)
	}
	f.handles = slices.DeleteFunc(f.handles, func(g *LockHandle) bool { return g == h })
	if len(f.handles) == 0 {
		delete(t.files, f.id)
	}
}

// Remove runs remove, which takes away a name of an object, or returns CodeLockConflict if a lock
// forbids that. No such lock is granted meanwhile. id returns the identity of the object, false if
// there is none; it is called only while any such lock exists.
func (t *LockTable) Remove(id func() (FileID, bool), remove func() error) error {
	t.removal.RLock()
	defer t.removal.RUnlock()
	if t.keepers.Load() > 0 {
		if file, ok := id(); ok && t.kept(file) {
			return Status(CodeLockConflict, "file is locked against removal")
		}
	}
	return remove()
}

// kept reports whether a lock forbids the removal of the object.
func (t *LockTable) kept(id FileID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[id]
	return f != nil && (f.keeps() || slices.ContainsFunc(f.handles, (*LockHandle).keeps))
}
