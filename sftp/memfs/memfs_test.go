package memfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
)

var (
	ctx     = context.Background()
	writing = sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenOrCreate}
)

func open(t *testing.T, s *FS, name string) sftp.File {
	t.Helper()
	f, err := s.Open(ctx, name, &writing)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSparseWritesTakeNoMemory: lengths and offsets are judged before anything is
// allocated.
func TestSparseWritesTakeNoMemory(t *testing.T) {
	s := New(Options{})
	f := open(t, s, "/f")
	for _, off := range []int64{1 << 62, math.MaxInt64, math.MaxInt64 - 1, defaultMaxBytes, defaultMaxBytes + 1} {
		if n, err := f.WriteAt([]byte("x"), off); n != 0 || !errors.Is(err, sftp.CodeNoSpace) {
			t.Errorf("write at %d: %d %v", off, n, err)
		}
		if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: uint64(off) + 2}); err == nil {
			t.Errorf("truncate to %d", off)
		}
	}
	if _, err := f.WriteAt([]byte("x"), -1); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
		t.Errorf("negative offset: %v", err)
	}
	if used := s.used.Load(); used != nameCost+1 {
		t.Errorf("%d bytes taken", used)
	}
	if _, err := f.WriteAt([]byte("x"), defaultMaxBytes-1); err != nil {
		t.Error(err)
	}
	if used := s.used.Load(); used > chunkSize+nameCost+1 {
		t.Errorf("%d bytes for one in a hole", used)
	}
	p := make([]byte, 100)
	if n, err := f.ReadAt(p, 1<<29); n != 100 || err != nil || !bytes.Equal(p, make([]byte, 100)) {
		t.Errorf("hole: %d %v %x", n, err, p)
	}
}

// TestHolesTakeNoMemory: one octet far out costs a piece and not a place for every piece
// before it, of which a million files would take more than any host has.
func TestHolesTakeNoMemory(t *testing.T) {
	s := New(Options{})
	var files [64]sftp.File
	for i := range files {
		files[i] = open(t, s, "/f"+strconv.Itoa(i))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, f := range files {
		if _, err := f.WriteAt([]byte("x"), defaultMaxBytes-chunkSize); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / uint64(len(files)); per > 4<<10 {
		t.Errorf("%d octets allocated per file, %d counted", per, s.used.Load()/int64(len(files)))
	}
}

// TestBudget: content counts once, is given back when the last name and handle are gone,
// and a full tree refuses.
func TestBudget(t *testing.T) {
	s := New(Options{MaxBytes: 1<<20 + minChunk, MaxNodes: 4}) // the names take less than that
	f := open(t, s, "/f")
	block := make([]byte, 1<<18)
	for i := range 4 {
		if _, err := f.WriteAt(block, int64(i)<<18); err != nil {
			t.Fatal(err)
		}
	}
	g := open(t, s, "/g")
	if _, err := g.WriteAt([]byte("x"), 0); !errors.Is(err, sftp.CodeNoSpace) {
		t.Errorf("over the budget: %v", err)
	}
	if err := s.Remove(ctx, "/f"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(block, 0); err != nil {
		t.Errorf("reading a removed file: %v", err)
	}
	if err := f.Close(nil); err != nil {
		t.Fatal(err)
	}
	if used := s.used.Load(); used != nameCost+1 { // of g
		t.Errorf("%d bytes after the last handle", used)
	}
	if _, err := g.WriteAt([]byte("x"), 0); err != nil {
		t.Error(err)
	}
	for i := range 5 {
		err := s.Mkdir(ctx, "/d"+strconv.Itoa(i), nil)
		if want := i >= 2; want != errors.Is(err, sftp.CodeNoSpace) {
			t.Errorf("directory %d: %v", i, err)
		}
	}
	if info, err := s.StatFS(ctx, "/"); err != nil || info.FilesFree != 0 || info.Blocks*info.FragmentSize != 1<<20+minChunk {
		t.Errorf("%+v %v", info, err)
	}
}

// TestContentAgainstBytes: random writes, truncations and reads against a plain slice.
func TestContentAgainstBytes(t *testing.T) {
	s := New(Options{})
	f := open(t, s, "/f")
	var model []byte
	r := rand.New(rand.NewPCG(1, 2))
	grow := func(n int) {
		if n > len(model) {
			model = append(model, make([]byte, n-len(model))...)
		}
	}
	for range 3000 {
		off, n := r.IntN(5*chunkSize), r.IntN(2*chunkSize)
		if r.IntN(2) == 0 {
			off, n = r.IntN(2000), r.IntN(2000)
		}
		switch r.IntN(4) {
		case 0:
			if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: uint64(off)}); err != nil {
				t.Fatal(err)
			}
			grow(off)
			model = model[:off:off]
		case 1:
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32()) | 1
			}
			if m, err := f.WriteAt(p, int64(off)); m != n || err != nil {
				t.Fatal(m, err)
			}
			if n > 0 {
				grow(off + n)
				copy(model[off:], p)
			}
		default:
			p := bytes.Repeat([]byte{0xAA}, n)
			m, err := f.ReadAt(p, int64(off))
			want := model[min(off, len(model)):min(off+n, len(model))]
			if !bytes.Equal(p[:m], want) || (m < n) != errors.Is(err, io.EOF) {
				t.Fatalf("read %d at %d of %d: %d %v", n, off, len(model), m, err)
			}
		}
	}
	var held int64
	for _, piece := range f.(*file).node.data.pieces {
		held += int64(cap(piece))
	}
	if held != s.used.Load()-nameCost-1 || held != f.(*file).node.data.held {
		t.Errorf("%d bytes held, %d counted", held, s.used.Load())
	}
}

// TestConcurrentUse: many users of one tree; run with -race.
func TestConcurrentUse(t *testing.T) {
	s := New(Options{})
	var wg sync.WaitGroup
	for w := range 8 {
		r := rand.New(rand.NewPCG(uint64(w), 0))
		wg.Go(func() {
			name := func() string { return "/" + strconv.Itoa(r.IntN(4)) + "/" + strconv.Itoa(r.IntN(4)) }
			for range 500 {
				_ = s.Mkdir(ctx, "/"+strconv.Itoa(r.IntN(4)), nil)
				if f, err := s.Open(ctx, name(), &writing); err == nil {
					_, _ = f.WriteAt([]byte("text"), int64(r.IntN(100)))
					_, _ = f.ReadAt(make([]byte, 10), 0)
					_, _ = f.Stat(ctx, 0)
					_ = f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrSize, Size: 3})
					_ = f.Close(nil)
				}
				_ = s.Rename(ctx, name(), name(), sftp.RenameFlags(r.IntN(2)))
				_ = s.Link(ctx, name(), name(), r.IntN(2) == 0)
				_ = s.Remove(ctx, name())
				_, _ = s.Stat(ctx, name(), sftp.StatOpt{Follow: true})
				if d, err := s.OpenDir(ctx, "/0"); err == nil {
					_, _ = d.Next(ctx, 10)
				}
			}
		})
	}
	wg.Wait()
	// Taking it all apart again must lead back to nothing.
	for i := range 4 {
		for j := range 4 {
			_ = s.Remove(ctx, "/"+strconv.Itoa(i)+"/"+strconv.Itoa(j))
			_ = s.Rmdir(ctx, "/"+strconv.Itoa(i)+"/"+strconv.Itoa(j))
		}
		_ = s.Rmdir(ctx, "/"+strconv.Itoa(i))
	}
	if s.root.children.len() != 0 || s.nodes != 1 || s.used.Load() != 0 || s.root.links != 2 {
		t.Errorf("%d names, %d nodes, %d bytes, %d links left", s.root.children.len(), s.nodes, s.used.Load(), s.root.links)
	}
}

// TestW17_CloseCause: a clean CLOSE and a cut connection look different.
func TestW17_CloseCause(t *testing.T) {
	var causes []error
	s := New(Options{OnClose: func(name string, cause error) {
		if name != "/f" {
			t.Errorf("closed %q", name)
		}
		causes = append(causes, cause)
	}})
	cut := errors.New("connection lost")
	for _, cause := range []error{nil, cut} {
		f := open(t, s, "/f")
		if err := f.Close(cause); err != nil {
			t.Error(err)
		}
		if err := f.Close(cause); sftp.CodeOf(err) != sftp.CodeInvalidHandle {
			t.Errorf("second close: %v", err)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); sftp.CodeOf(err) != sftp.CodeInvalidHandle {
			t.Errorf("read after close: %v", err)
		}
	}
	if len(causes) != 2 || causes[0] != nil || !errors.Is(causes[1], cut) {
		t.Errorf("%v", causes)
	}
}

// TestCVE_8_3_ReadOnly: nothing changes a read-only tree.
func TestCVE_8_3_ReadOnly(t *testing.T) {
	s := New(Options{})
	f := open(t, s, "/f")
	_, _ = f.WriteAt([]byte("text"), 0)
	_ = f.Close(nil)
	s.opt.ReadOnly = true
	for access := range sftp.Access(0x200) {
		for disp := sftp.CreateNew; disp <= sftp.TruncateExisting; disp++ {
			for _, name := range []string{"/f", "/new"} {
				if f, err := s.Open(ctx, name, &sftp.OpenHow{Access: access, Disposition: disp}); err == nil {
					if _, err := f.WriteAt([]byte("x"), 0); err == nil {
						t.Errorf("%#x %d wrote", access, disp)
					}
					if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize}); sftp.CodeOf(err) != sftp.CodeWriteProtect {
						t.Errorf("%#x %d FSETSTAT: %v", access, disp, err)
					}
				}
			}
		}
	}
	for verb, err := range map[string]error{
		"setstat": s.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrMode}, true), "mkdir": s.Mkdir(ctx, "/d", nil),
		"remove": s.Remove(ctx, "/f"), "rmdir": s.Rmdir(ctx, "/f"), "rename": s.Rename(ctx, "/f", "/g", 0),
		"link": s.Link(ctx, "/f", "/g", false), "symlink": s.Link(ctx, "/f", "/g", true),
	} {
		if sftp.CodeOf(err) != sftp.CodeWriteProtect {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if a, err := s.Stat(ctx, "/f", sftp.StatOpt{}); err != nil || a.Size != 4 || s.root.children.len() != 1 {
		t.Errorf("changed: %+v %v", a, err)
	}
}

func TestNoAllocsPerPacket(t *testing.T) {
	f := open(t, New(Options{}), "/f")
	p := make([]byte, 32<<10)
	if n := testing.AllocsPerRun(50, func() {
		if _, err := f.WriteAt(p, 0); err != nil {
			t.Error(err)
		}
		if _, err := f.ReadAt(p, 0); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
