package sftp

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	lockReader = OpenHow{Access: AccessReadData, Disposition: OpenExisting}
	lockWriter = OpenHow{Access: AccessReadData | AccessWriteData, Disposition: OpenExisting}
)

func lockOpen(t testing.TB, table *LockTable, how OpenHow) *LockHandle {
	t.Helper()
	h, err := table.Open(FileID{1, 2}, &how)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestLockRanges: filexfer-13 §8.8.1 and §8.8.2, one rule a row, in order.
func TestLockRanges(t *testing.T) {
	const all = RangeRead | RangeWrite
	var table LockTable
	h := [2]*LockHandle{lockOpen(t, &table, lockWriter), lockOpen(t, &table, lockWriter)}
	for _, row := range []struct {
		what           string
		who            int
		unlock         bool
		offset, length uint64
		mask           RangeMask
		want           Code
	}{
		{"a range", 0, false, 10, 10, all, CodeOK},
		{"the same by the same handle", 0, false, 10, 10, all, CodeRangeLockRefused},
		{"its last octet by another", 1, false, 19, 1, all, CodeRangeLockRefused},
		{"around it", 1, false, 0, 100, RangeAdvisory | RangeRead, CodeRangeLockRefused},
		{"right before", 1, false, 0, 10, all, CodeOK},
		{"right behind, to the end (100)", 1, false, 20, 0, all, CodeOK},
		{"the octet before the end", 0, false, 99, 1, all, CodeRangeLockRefused},
		{"from the end on", 0, false, 100, 50, all, CodeOK},
		{"to the end, which is before", 0, false, 200, 0, all, CodeOK},
		{"the same again", 0, false, 200, 0, all, CodeRangeLockRefused},
		{"around what is empty", 0, false, 199, 2, all, CodeRangeLockRefused},
		{"2^63 - 1", 0, false, math.MaxInt64, 1, all, CodeOK},
		{"beyond 2^63", 0, false, 1 << 63, 1 << 62, all, CodeOK},
		{"beyond 2^64", 0, false, 1<<63 | 1<<62, math.MaxUint64, all, CodeOK},
		{"inside that", 1, false, math.MaxUint64 - 1, 1, all, CodeRangeLockRefused},
		{"no bits lock nothing but the range", 0, false, 300, 1, 0, CodeOK},
		{"unknown bits", 0, false, 400, 1, 0x400, CodeInvalidParameter},

		{"unlock by another", 1, true, 10, 10, 0, CodeNoMatchingRangeLock},
		{"unlock a part", 0, true, 10, 5, 0, CodeNoMatchingRangeLock},
		{"unlock by what a 0 came to", 1, true, 20, 80, 0, CodeNoMatchingRangeLock},
		{"unlock as asked for", 1, true, 20, 0, 0, CodeOK},
		{"unlock twice", 1, true, 20, 0, 0, CodeNoMatchingRangeLock},
		{"unlock", 0, true, 10, 10, 0, CodeOK},
		{"the range is free", 1, false, 10, 90, all, CodeOK},
	} {
		r := Range{row.offset, row.length, row.mask}
		var err error
		if row.unlock {
			err = h[row.who].Unlock(r, nil)
		} else {
			err = h[row.who].Lock(r, 100, nil)
		}
		if CodeOf(err) != row.want {
			t.Errorf("%s: %v, want %v", row.what, err, row.want)
		}
	}
	h[0].Close()
	h[0].Close()
	if err := h[1].Lock(Range{100, 1 << 40, all}, 100, nil); err != nil {
		t.Errorf("after the other's close: %v", err)
	}
	if err := h[0].Lock(Range{1 << 50, 1, all}, 0, nil); CodeOf(err) != CodeInvalidHandle {
		t.Errorf("lock by a closed handle: %v", err)
	}
	h[1].Close()
	if len(table.files) != 0 || table.keepers.Load() != 0 {
		t.Errorf("%d files, %d keepers left", len(table.files), table.keepers.Load())
	}
}

// TestLockCheck: what is bound by whose lock.
func TestLockCheck(t *testing.T) {
	for _, row := range []struct {
		mask        RangeMask
		read, write Code
	}{
		{RangeRead, CodeRangeLockConflict, CodeOK},
		{RangeWrite, CodeOK, CodeRangeLockConflict},
		{RangeRead | RangeWrite, CodeRangeLockConflict, CodeRangeLockConflict},
		{RangeRead | RangeWrite | RangeAdvisory, CodeOK, CodeOK},
		{RangeDelete, CodeOK, CodeOK},
		{0, CodeOK, CodeOK},
	} {
		var table LockTable
		holder, other := lockOpen(t, &table, lockWriter), lockOpen(t, &table, lockWriter)
		if err := holder.Lock(Range{100, 100, row.mask}, 0, nil); err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			off, n  int64
			touches bool
		}{
			{0, 100, false},
			{0, 101, true},
			{150, 1, true},
			{199, 1, true},
			{200, 1, false},
			{199, math.MaxInt64, true},
			{150, 0, false},
			{-1, 200, false},
			{math.MaxInt64, math.MaxInt64, false},
		} {
			for write, want := range map[bool]Code{false: row.read, true: row.write} {
				if !at.touches {
					want = CodeOK
				}
				if got := CodeOf(other.Check(write, at.off, at.n)); got != want {
					t.Errorf("mask %#x, write %t at %d+%d: %v, want %v", row.mask, write, at.off, at.n, got, want)
				}
				if err := holder.Check(write, at.off, at.n); err != nil {
					t.Errorf("mask %#x: against its own holder: %v", row.mask, err)
				}
			}
		}
		for _, size := range []struct {
			from, to uint64
			touches  bool
		}{{150, 150, false}, {150, 120, true}, {1000, 200, false}, {1000, 199, true}, {0, 100, false}, {0, 101, true}, {0, math.MaxUint64, true}} {
			if got := other.CheckResize(size.from, size.to); (got != nil) != (size.touches && row.write != CodeOK) {
				t.Errorf("mask %#x: size from %d to %d: %v", row.mask, size.from, size.to, got)
			}
		}
		if err := holder.Unlock(Range{Offset: 100, Length: 100}, nil); err != nil {
			t.Error(err)
		}
		if err := other.Check(true, 100, 1); err != nil {
			t.Errorf("mask %#x: after the unlock: %v", row.mask, err)
		}
	}
}

// TestLockShareModes: every pair of handles against the text of filexfer-13 §8.1.1.3.
func TestLockShareModes(t *testing.T) {
	type mode struct {
		access Access
		flags  OpenFlags
	}
	var modes []mode
	for _, access := range []Access{
		AccessReadAttrs, AccessReadData, AccessExecute, AccessWriteData, AccessAppendData, AccessReadData | AccessWriteData,
		AccessReadData | AccessDelete,
	} {
		for bits := range OpenFlags(16) {
			modes = append(modes, mode{access, bits * OpenBlockRead})
		}
		modes = append(modes, mode{access, OpenDeleteOnClose}, mode{access, OpenDeleteOnClose | OpenBlockDelete})
	}
	// excludes is the draft's text: a blocks what b does.
	excludes := func(a, b mode) bool {
		if a.flags&OpenBlockAdvisory != 0 && b.flags&OpenBlockMask == 0 {
			return false
		}
		return a.flags&OpenBlockRead != 0 && b.access&(AccessReadData|AccessExecute) != 0 ||
			a.flags&OpenBlockWrite != 0 && b.access&(AccessWriteData|AccessAppendData) != 0 ||
			a.flags&OpenBlockDelete != 0 && (b.access&AccessDelete != 0 || b.flags&OpenDeleteOnClose != 0)
	}
	refused := 0
	for _, a := range modes {
		for _, b := range modes {
			var table LockTable
			first := lockOpen(t, &table, OpenHow{Access: a.access, Flags: a.flags, Disposition: OpenExisting})
			how := OpenHow{Access: b.access, Flags: b.flags, Disposition: OpenExisting}
			second, err := table.Open(FileID{1, 2}, &how)
			if want := excludes(a, b) || excludes(b, a); want != errors.Is(err, CodeLockConflict) {
				t.Errorf("%+v, then %+v: %v", a, b, err)
			}
			if err != nil {
				refused++
			}
			if _, err := table.Open(FileID{1, 3}, &how); err != nil {
				t.Errorf("another file: %v", err)
			}
			second.Close()
			first.Close()
			if h, err := table.Open(FileID{1, 2}, &how); err != nil {
				t.Errorf("after the close: %v", err)
			} else {
				h.Close()
			}
		}
	}
	if refused == 0 {
		t.Error("nothing refused")
	}
}

// TestLockAgainstRemoval: by OPEN, by BLOCK, and the two against DELETE_ON_CLOSE.
func TestLockAgainstRemoval(t *testing.T) {
	var table LockTable
	removed := 0
	remove := func() Code {
		return CodeOf(table.Remove(func() (FileID, bool) { return FileID{1, 2}, true }, func() error { removed++; return nil }))
	}
	h := lockOpen(t, &table, lockReader)
	if got := remove(); got != CodeOK || removed != 1 {
		t.Errorf("with an open handle: %v", got)
	}
	if err := h.Lock(Range{5, 1, RangeDelete | RangeAdvisory}, 0, nil); err != nil || remove() != CodeOK {
		t.Errorf("advisory: %v", err)
	}
	if err := h.Lock(Range{0, 1, RangeDelete}, 0, nil); err != nil || remove() != CodeLockConflict {
		t.Errorf("mandatory: %v", err)
	}
	if _, err := table.Open(FileID{1, 2}, &OpenHow{Access: AccessReadData, Flags: OpenDeleteOnClose}); CodeOf(err) != CodeLockConflict {
		t.Errorf("delete on close of a kept file: %v", err)
	}
	if got := CodeOf(table.Remove(func() (FileID, bool) { return FileID{}, false }, func() error { return nil })); got != CodeOK {
		t.Errorf("removing what nobody locks: %v", got)
	}
	h.Close()
	if got := remove(); got != CodeOK {
		t.Errorf("after the close: %v", got)
	}
	doomed := lockOpen(t, &table, OpenHow{Access: AccessReadData, Flags: OpenDeleteOnClose})
	if err := lockOpen(t, &table, lockReader).Lock(Range{0, 1, RangeDelete}, 0, nil); CodeOf(err) != CodeRangeLockRefused {
		t.Errorf("keeping a doomed file: %v", err)
	}
	doomed.Close()
	keeper := lockOpen(t, &table, OpenHow{Access: AccessReadData, Flags: OpenBlockDelete})
	if got := remove(); got != CodeLockConflict {
		t.Errorf("of a file opened with BLOCK_DELETE: %v", got)
	}
	keeper.Close()
	if got := remove(); got != CodeOK || table.keepers.Load() != 0 {
		t.Errorf("at last: %v", got)
	}
}

// TestLockLimits: a peer's locks are bounded per handle and per file.
func TestLockLimits(t *testing.T) {
	table := LockTable{PerHandle: 3, PerFile: 5}
	a, b := lockOpen(t, &table, lockWriter), lockOpen(t, &table, lockWriter)
	for i, row := range []struct {
		h    *LockHandle
		want Code
	}{{a, 0}, {a, 0}, {a, 0}, {a, CodeRangeLockRefused}, {b, 0}, {b, 0}, {b, CodeRangeLockRefused}} {
		if got := CodeOf(row.h.Lock(Range{uint64(i), 1, RangeWrite}, 0, nil)); got != row.want {
			t.Errorf("lock %d: %v, want %v", i, got, row.want)
		}
	}
}

// TestLockHost: the host's refusal is ours, its locks are given back, and nothing is asked
// of it in vain.
func TestLockHost(t *testing.T) {
	var table LockTable
	h := lockOpen(t, &table, lockWriter)
	busy := errors.New("busy")
	if err := h.Lock(Range{1, 2, RangeWrite}, 0, func(start, end uint64) error { return busy }); !errors.Is(err, busy) {
		t.Error(err)
	}
	var got string
	host := func(start, end uint64) error {
		got = strconv.FormatUint(start, 10) + "-" + strconv.FormatUint(end, 10)
		return nil
	}
	if err := h.Lock(Range{1, 0, RangeWrite}, 7, host); err != nil || got != "1-7" {
		t.Errorf("%v %s", err, got)
	}
	got = ""
	if err := h.Lock(Range{0, 2, RangeWrite}, 7, host); err == nil || got != "" {
		t.Errorf("the host was asked for an overlap: %v %s", err, got)
	}
	if err := h.Unlock(Range{1, 0, 0}, func(start, end uint64) { _ = host(start, end) }); err != nil || got != "1-7" {
		t.Errorf("%v %s", err, got)
	}
}

// TestLockAgainstList: random locks against a plain list of them.
func TestLockAgainstList(t *testing.T) {
	type held struct {
		start, end, length uint64
		by                 int
	}
	r := rand.New(rand.NewPCG(4, 6))
	table := LockTable{PerHandle: 1 << 20, PerFile: 1 << 20}
	h := [3]*LockHandle{lockOpen(t, &table, lockWriter), lockOpen(t, &table, lockWriter), lockOpen(t, &table, lockWriter)}
	var list []held
	granted, freed, hit := 0, 0, 0
	for range 20_000 {
		who, off, n, size := r.IntN(3), uint64(r.IntN(300)), uint64(r.IntN(12)), uint64(r.IntN(300))
		switch r.IntN(3) {
		case 0:
			end := off + n
			if n == 0 {
				end = max(off, size)
			}
			free := true
			for _, l := range list {
				same := l.start == off && l.end == end
				free = free && !same && !(off < l.end && l.start < end)
			}
			err := h[who].Lock(Range{off, n, RangeRead | RangeWrite}, size, nil)
			if free != (err == nil) {
				t.Fatalf("lock %d-%d of %v: %v", off, end, list, err)
			}
			if free {
				granted++
				list = append(list, held{off, end, n, who})
			}
		case 1:
			if len(list) > 0 && r.IntN(2) == 0 {
				l := list[r.IntN(len(list))]
				off, n, who = l.start, l.length, l.by
			}
			found := -1
			for i, l := range list {
				if l.start == off && l.length == n && l.by == who {
					found = i
				}
			}
			if err := h[who].Unlock(Range{Offset: off, Length: n}, nil); (found >= 0) != (err == nil) {
				t.Fatalf("unlock %d+%d of %v: %v", off, n, list, err)
			}
			if found >= 0 {
				freed++
				list = append(list[:found], list[found+1:]...)
			}
		case 2:
			want := false
			for _, l := range list {
				want = want || n > 0 && l.by != who && l.start < l.end && off < l.end && l.start < off+n
			}
			if err := h[who].Check(r.IntN(2) == 0, int64(off), int64(n)); want != (err != nil) {
				t.Fatalf("check %d+%d of %v: %v", off, n, list, err)
			}
			if want {
				hit++
			}
		}
	}
	if granted < 100 || freed < 100 || hit < 100 {
		t.Errorf("%d granted, %d freed, %d conflicts", granted, freed, hit)
	}
}

// TestLockConcurrently: one octet is never locked twice; run with -race.
func TestLockConcurrently(t *testing.T) {
	var table LockTable
	var owners [8]atomic.Int32
	var wg sync.WaitGroup
	for w := range 8 {
		r := rand.New(rand.NewPCG(uint64(w), 1))
		wg.Go(func() {
			for range 300 {
				h, err := table.Open(FileID{Ino: uint64(r.IntN(2))}, &lockWriter)
				if err != nil {
					t.Error(err)
					return
				}
				at := uint64(r.IntN(4))
				owner := &owners[h.file.id.Ino*4+at]
				mask := []RangeMask{RangeWrite, RangeDelete | RangeRead}[r.IntN(2)]
				if h.Lock(Range{at, 1, mask}, 0, nil) == nil {
					if owner.Add(1) != 1 {
						t.Error("locked twice")
					}
					owner.Add(-1)
					if r.IntN(2) == 0 {
						if err := h.Unlock(Range{at, 1, mask}, nil); err != nil {
							t.Error(err)
						}
					}
				}
				_ = h.Check(true, 0, 4)
				_ = table.Remove(func() (FileID, bool) { return h.file.id, true }, func() error { return nil })
				h.Close()
			}
		})
	}
	wg.Wait()
	if len(table.files) != 0 || table.keepers.Load() != 0 {
		t.Errorf("%d files, %d keepers left", len(table.files), table.keepers.Load())
	}
}

// TestNilLockHandle: a file system without locks has them by leaving them out.
func TestNilLockHandle(t *testing.T) {
	var h *LockHandle
	if h.Check(true, 0, 1) != nil || CodeOf(h.Lock(Range{}, 0, nil)) != CodeOpUnsupported || CodeOf(h.Unlock(Range{}, nil)) != CodeOpUnsupported {
		t.Error("a nil handle locks")
	}
	h.Close()
}

// BenchmarkLockCheck: what READ and WRITE pay.
func BenchmarkLockCheck(b *testing.B) {
	for _, locks := range []int{0, 1, 4096} {
		b.Run(strconv.Itoa(locks)+" locks", func(b *testing.B) {
			table := LockTable{PerHandle: 1 << 20}
			holder, other := lockOpen(b, &table, lockWriter), lockOpen(b, &table, lockWriter)
			for i := range locks {
				if err := holder.Lock(Range{uint64(2 * i), 1, RangeWrite}, 0, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := other.Check(true, 1<<40, 32<<10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
