package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// sink is a writer that is told how it ended.
type sink struct {
	bytes.Buffer
	ended bool
	cause error
	fail  error // what finishing answers
}

func (s *sink) CloseWithError(cause error) error {
	s.ended, s.cause = true, cause
	return s.fail
}

func streamTo(w io.Writer, reorder int) sftp.File {
	return sftp.Stream(context.Background(), nil, w, reorder)
}

// TestW5_StreamWrite: blocks in any order that stays within the buffer come out as they
// belong; what does not, what overlaps and what comes twice is refused, and nothing else suffers.
func TestW5_StreamWrite(t *testing.T) {
	const n, size, window = 40, 7, 5
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		var want []byte
		order := make([]int, n)
		for i := range order {
			order[i] = i
			want = append(want, bytes.Repeat([]byte{byte('A' + i%26)}, size)...)
		}
		// No block comes more than window places early.
		for i := 0; i+window < n; i += window {
			r.Shuffle(window, func(a, b int) { order[i+a], order[i+b] = order[i+b], order[i+a] })
		}
		w := new(sink)
		f := streamTo(w, (window-1)*size)
		for _, i := range order {
			p := slices.Clone(want[i*size : (i+1)*size])
			if m, err := f.WriteAt(p, int64(i*size)); m != size || err != nil {
				t.Fatalf("seed %d, block %d: %d, %v", seed, i, m, err)
			}
			clear(p) // it is not kept
		}
		if err := f.Close(nil); err != nil || !w.ended || w.cause != nil {
			t.Fatal(err, w.ended, w.cause)
		}
		if !bytes.Equal(w.Bytes(), want) {
			t.Fatalf("seed %d: %q", seed, w.Bytes())
		}
	}

	w := new(sink)
	f := streamTo(w, 10)
	write := func(what, p string, off int64, want error) {
		t.Helper()
		n, err := f.WriteAt([]byte(p), off)
		if !errors.Is(err, want) || want == nil && n != len(p) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
	write("first", "01", 0, nil)
	write("early", "456", 4, nil)
	write("again", "56", 5, sftp.ErrOutOfOrder)
	write("half of it again", "67", 6, sftp.ErrOutOfOrder)
	write("into it", "345", 3, sftp.ErrOutOfOrder)
	write("back", "1", 1, sftp.ErrOutOfOrder)
	write("back over the end", "12", 1, sftp.ErrOutOfOrder)
	write("next, but over what is there", "234", 2, sftp.ErrOutOfOrder)
	write("too much", "01234567", 20, sftp.ErrOutOfOrder)
	write("all that fits", "7890123", 30, nil)
	write("one more", "x", 50, sftp.ErrOutOfOrder)
	write("nothing", "", 50, nil)
	write("the next always", "23", 2, nil)
	write("room again", "xyz", 50, nil)
	if w.String() != "0123456" {
		t.Errorf("%q", w.String())
	}
	if a, err := f.Stat(context.Background(), sftp.AttrSize); err != nil || a.Size != 7 || !a.IsRegular() {
		t.Error(a, err)
	}
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 0 || sftp.CodeOf(err) != sftp.CodeOpUnsupported {
		t.Error(n, err)
	}
	err := f.Close(nil)
	if !errors.Is(err, sftp.ErrGap) || !errors.Is(w.cause, sftp.ErrGap) || sftp.CodeOf(err) != sftp.CodeFailure {
		t.Errorf("a gap at the end: %v, the writer hears %v", err, w.cause)
	}
	write("after the end", "x", 7, sftp.ErrGap)
}

// TestW5_StreamBlocks: however small, only so many blocks are kept.
func TestW5_StreamBlocks(t *testing.T) {
	f := streamTo(new(sink), 1<<20)
	kept := 0
	for i := range int64(5000) {
		if _, err := f.WriteAt([]byte("x"), 2+2*i); err == nil {
			kept++
		}
	}
	if kept != 1024 {
		t.Error(kept)
	}
	if err := f.Close(errors.New("over")); err != nil {
		t.Error(err)
	}
}

// TestW17_StreamEnd: whoever takes the content learns whether it is all there.
func TestW17_StreamEnd(t *testing.T) {
	boom := errors.New("boom")
	for what, row := range map[string]struct {
		end   func(f sftp.File) error
		fail  error
		cause error // nil: finished
		err   error // of Close
	}{
		"finished":       {end: func(f sftp.File) error { return f.Close(nil) }},
		"not stored":     {end: func(f sftp.File) error { return f.Close(nil) }, fail: boom, err: boom},
		"disconnected":   {end: func(f sftp.File) error { return f.Close(sftp.ErrDisconnected) }, cause: sftp.ErrDisconnected, fail: boom},
		"closed twice":   {end: func(f sftp.File) error { return errors.Join(f.Close(nil), f.Close(boom)) }},
		"cut off, twice": {end: func(f sftp.File) error { _ = f.Close(boom); return f.Close(nil) }, cause: boom, err: boom},
	} {
		w := &sink{fail: row.fail}
		f := streamTo(w, 10)
		if _, err := f.WriteAt([]byte("content"), 0); err != nil {
			t.Fatal(err)
		}
		if err := row.end(f); !errors.Is(err, row.err) || row.err == nil && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !w.ended || !errors.Is(w.cause, row.cause) || row.cause == nil && w.cause != nil {
			t.Errorf("%s: told %v, %v", what, w.ended, w.cause)
		}
	}
	// A writer that can only be closed is closed when all is there, and not otherwise.
	for _, cause := range []error{nil, boom} {
		c := new(closer)
		f := streamTo(c, 0)
		if err := f.Close(cause); err != nil || c.closed != (cause == nil) {
			t.Error(cause, err, c.closed)
		}
		c = new(closer)
		if err := sftp.Stream(context.Background(), c, nil, 0).Close(cause); err != nil || !c.closed {
			t.Error(cause, err, c.closed)
		}
	}
	// The writer's own error is what CLOSE answers, and the writer hears it again.
	w := &failingSink{after: 3, err: boom}
	f := streamTo(w, 10)
	if _, err := f.WriteAt([]byte("34"), 3); err != nil {
		t.Error(err)
	}
	if n, err := f.WriteAt([]byte("012"), 0); n != 3 || err != nil {
		t.Error("the block itself was written", n, err)
	}
	if _, err := f.WriteAt([]byte("5"), 5); !errors.Is(err, boom) {
		t.Error(err)
	}
	if err := f.Close(nil); !errors.Is(err, boom) || !errors.Is(w.cause, boom) {
		t.Error(err, w.cause)
	}
}

type closer struct {
	strings.Reader
	closed bool
}

func (c *closer) Write(p []byte) (int, error) { return len(p), nil }
func (c *closer) Close() error                { c.closed = true; return nil }

type failingSink struct {
	sink
	after int
	err   error
}

func (s *failingSink) Write(p []byte) (int, error) {
	if s.Len()+len(p) > s.after {
		return 0, s.err
	}
	return s.sink.Write(p)
}

// TestW5_StreamBackPressure: a slow writer holds up who writes, in order, and is given up
// when the context or the file ends.
func TestW5_StreamBackPressure(t *testing.T) {
	for what, end := range map[string]func(f sftp.File, cancel context.CancelCauseFunc){
		"context": func(_ sftp.File, cancel context.CancelCauseFunc) { cancel(errors.New("gone")) },
		"close":   func(f sftp.File, _ context.CancelCauseFunc) { _ = f.Close(sftp.ErrDisconnected) },
		"finish":  func(f sftp.File, _ context.CancelCauseFunc) { _ = f.Close(nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			r, w := io.Pipe()
			f := sftp.Stream(ctx, nil, w, 100)
			var done [3]error
			var wg sync.WaitGroup
			for i := range done {
				wg.Go(func() { _, done[i] = f.WriteAt([]byte("abc"), int64(3*i)) })
				synctest.Wait() // they come in this order
			}
			p := make([]byte, 3)
			if _, err := io.ReadFull(r, p); err != nil || string(p) != "abc" {
				t.Error(err, p)
			}
			synctest.Wait()
			end(f, cancel)
			wg.Wait()
			if done[0] != nil || done[1] == nil || done[2] == nil {
				t.Error(what, done)
			}
			if n, err := r.Read(p); n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Error(what, "the reader takes it for finished:", n, err)
			}
			if err := f.Close(nil); err == nil {
				t.Error(what, "finished after all")
			}
		})
	}
}

// TestW5_StreamPanic: a writer that panics leaves nobody behind.
func TestW5_StreamPanic(t *testing.T) {
	w := &panicWriter{}
	f := streamTo(w, 0)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = f.WriteAt([]byte("x"), 0)
	}()
	if _, err := f.WriteAt([]byte("x"), 1); err == nil {
		t.Error("goes on")
	}
	if err := f.Close(nil); err == nil {
		t.Error("finished")
	}
}

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("boom") }

// TestW5_StreamRead: in order, with steps back and forth within the window.
func TestW5_StreamRead(t *testing.T) {
	content := make([]byte, 1<<16)
	for i := range content {
		content[i] = byte(i * 7)
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 6))
		const window = 1000
		f := sftp.Stream(context.Background(), bytes.NewReader(content), nil, window)
		read := int64(0)
		for read < int64(len(content)) {
			off := max(0, read+r.Int64N(2*window)-window)
			p := make([]byte, 1+r.IntN(300))
			n, err := f.ReadAt(p, off)
			if off >= int64(len(content)) {
				if n != 0 || !errors.Is(err, io.EOF) {
					t.Fatal("at the end:", n, err)
				}
				break
			}
			if want := content[off:min(int(off)+len(p), len(content))]; !bytes.Equal(p[:n], want) || err != nil && !errors.Is(err, io.EOF) || len(want) < len(p) && !errors.Is(err, io.EOF) {
				t.Fatalf("seed %d, at %d: %d of %d, %v", seed, off, n, len(want), err)
			}
			read = max(read, off+int64(n))
		}
		if err := f.Close(nil); err != nil {
			t.Fatal(err)
		}
	}
	f := sftp.Stream(context.Background(), bytes.NewReader(content), nil, 10)
	p := make([]byte, 100)
	if n, err := f.ReadAt(p, 0); n != 100 || err != nil {
		t.Error(n, err)
	}
	for _, off := range []int64{0, 89, 111, 1 << 40} {
		if _, err := f.ReadAt(p, off); !errors.Is(err, sftp.ErrOutOfOrder) {
			t.Errorf("at %d: %v", off, err)
		}
	}
	for _, off := range []int64{90, 200} {
		if n, err := f.ReadAt(p, off); n != 100 || !bytes.Equal(p, content[off:off+100]) {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
	if _, err := f.WriteAt(p, 0); sftp.CodeOf(err) != sftp.CodeOpUnsupported {
		t.Error(err)
	}
	if a, err := f.Stat(context.Background(), sftp.AttrSize); err != nil || a.Has(sftp.AttrSize) {
		t.Error("says how long it is", a, err)
	}
	// A reader that never says anything, one that counts wrongly, one that fails.
	for _, r := range []io.Reader{readerFunc(func([]byte) (int, error) { return 0, nil }), readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }), readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })} {
		f := sftp.Stream(context.Background(), r, nil, 0)
		for range 2 {
			if n, err := f.ReadAt(p, 0); n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Error(n, err)
			}
		}
	}
	// Closing gives up a reader that waits.
	synctest.Test(t, func(t *testing.T) {
		r, _ := io.Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		f := sftp.Stream(ctx, r, nil, 0)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
					t.Error("read something")
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// streamFS hands out streams: uploads to sinks, downloads of content.
type streamFS struct {
	sftp.Unsupported
	reorder int
	content string
	mu      sync.Mutex
	sinks   map[string]*sink
}

func (s *streamFS) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Features: sftp.FeatureWrite}
}

func (s *streamFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if !how.Writes() {
		return sftp.Stream(ctx, strings.NewReader(s.content), nil, s.reorder), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := new(sink)
	s.sinks[name] = w
	return sftp.Stream(ctx, nil, w, s.reorder), nil
}

// TestW5_StreamNextBlock: with the buffer full of later blocks the next one always gets
// through, wherever requests run and however many may at a time; also through a quota and a policy.
func TestW5_StreamNextBlock(t *testing.T) {
	const size, blocks = 1000, 8
	for _, policy := range []func(*sftp.Server){
		func(s *sftp.Server) { s.SetIO(sftp.IOInline) }, func(s *sftp.Server) { s.SetIO(sftp.IOSpawn) },
		func(s *sftp.Server) { s.SetIO(sftp.IOSpawn); s.Limits.Concurrency = 2 }, func(s *sftp.Server) { s.Limits.Concurrency = 1 },
	} {
		for _, full := range []bool{false, true} {
			fsys := &streamFS{reorder: (blocks - 1) * size, sinks: map[string]*sink{}}
			if full {
				fsys.reorder = 3 * size
			}
			srv := serverOf(newQuota(t, "/", 1<<20, 0).Wrap(fsys))
			srv.Policy = &sftp.Policy{MaxFileSize: 1 << 20}
			policy(srv)
			play(t, srv, sftp.SessionInfo{}, func(p *peer) {
				p.init(3)
				h := p.open("/f", fxp.OpenWrite|fxp.OpenCreate)
				var ms []fxp.Message
				for i := 1; i < blocks; i++ {
					ms = append(ms, &fxp.Write{Handle: h, Offset: uint64(i * size), Data: bytes.Repeat([]byte{byte(i)}, size)})
				}
				ms = append(ms, &fxp.Write{Handle: h, Data: make([]byte, size)})
				first := p.sendAll(ms...)
				for i := range ms {
					id, m := p.recv()
					want := sftp.CodeOK
					if full && i >= 3 && i < blocks-1 {
						want = sftp.CodeFailure // beyond the buffer
					}
					if id != first+uint32(i) || p.code(m) != want {
						t.Errorf("block %d: %d %v", i, id-first, p.code(m))
					}
				}
				p.close(h)
			})
			w := fsys.sinks["/f"]
			want := blocks * size
			if full {
				want = 4 * size
			}
			if w.Len() != want || errors.Is(w.cause, sftp.ErrIncomplete) != full || !w.ended {
				t.Errorf("full %v: %d octets, %v", full, w.Len(), w.cause)
			}
			for i, b := range w.Bytes() {
				if int(b) != i/size {
					t.Fatalf("octet %d is %d", i, b)
				}
			}
		}
	}
}

// TestW5_StreamServer: a client that sends in order needs no buffer at all, although WRITEs run
// beside each other; nor does one that reads so.
func TestW5_StreamServer(t *testing.T) {
	for range 20 {
		fsys := &streamFS{sinks: map[string]*sink{}, content: strings.Repeat("0123456789", 5000)}
		srv := serverOf(fsys)
		srv.SetIO(sftp.IOSpawn)
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(3)
			h := p.open("/f", fxp.OpenWrite|fxp.OpenCreate)
			g := p.open("/g", fxp.OpenRead)
			var ms []fxp.Message
			for i := range 50 {
				ms = append(ms, &fxp.Write{Handle: h, Offset: uint64(i * 10), Data: fmt.Appendf(nil, "block%05d", i)})
				ms = append(ms, &fxp.Read{Handle: g, Offset: uint64(i * 1000), Length: 1000})
			}
			p.sendAll(ms...)
			for i := range 50 {
				if _, m := p.recv(); p.code(m) != sftp.CodeOK {
					t.Fatalf("block %d: %v", i, p.code(m))
				}
				_, m := p.recv()
				if d, ok := m.(*fxp.Data); !ok || string(d.Data) != fsys.content[i*1000:(i+1)*1000] {
					t.Fatalf("read %d: %v", i, m)
				}
			}
			p.close(h)
			p.close(g)
		})
		if w := fsys.sinks["/f"]; w.Len() != 500 || !strings.HasSuffix(w.String(), "block00049") || w.cause != nil {
			t.Errorf("%d octets, %v", w.Len(), w.cause)
		}
	}
}

// TestW17_StreamDisconnect: a peer that goes away while the writer is stuck ends the session,
// and the writer hears of it.
func TestW17_StreamDisconnect(t *testing.T) {
	for _, io := range []func(*sftp.Server){func(s *sftp.Server) { s.SetIO(sftp.IOInline) }, func(s *sftp.Server) { s.SetIO(sftp.IOSpawn) }} {
		synctest.Test(t, func(t *testing.T) {
			stuck := &stuckWriter{told: make(chan error, 1)}
			srv := serverOf(openFuncFS{memfs.New(memfs.Options{}), func(ctx context.Context) sftp.File { return sftp.Stream(ctx, nil, stuck, 0) }})
			io(srv)
			ctx, cancel := context.WithCancelCause(context.Background())
			p := newPeer(t, ctx, srv, sftp.SessionInfo{}, 32<<10)
			p.init(3)
			h := p.open("/f", fxp.OpenWrite|fxp.OpenCreate)
			p.send(&fxp.Write{Handle: h, Data: []byte("x")})
			synctest.Wait()
			gone := errors.New("gone")
			cancel(gone)
			synctest.Wait()
			if err := p.end(); !errors.Is(err, gone) {
				t.Error(err)
			}
			if !errors.Is(stuck.cause, gone) || !errors.Is(stuck.cause, sftp.ErrDisconnected) {
				t.Error(stuck.cause)
			}
		})
	}
}

type stuckWriter struct {
	told  chan error
	cause error
}

func (s *stuckWriter) Write([]byte) (int, error) { return 0, <-s.told }
func (s *stuckWriter) CloseWithError(cause error) error {
	s.cause = cause
	s.told <- cause
	return nil
}

// openFuncFS makes the files of a file system.
type openFuncFS struct {
	sftp.FileSystem
	open func(context.Context) sftp.File
}

func (f openFuncFS) Open(ctx context.Context, _ string, _ *sftp.OpenHow) (sftp.File, error) {
	return f.open(ctx), nil
}

func FuzzStream(f *testing.F) {
	f.Add(uint8(8), []byte{0, 4, 8, 4, 4, 4})
	f.Add(uint8(0), []byte{0, 1, 1, 1, 0, 1})
	f.Add(uint8(255), []byte{9, 9, 0, 255, 3, 3})
	f.Fuzz(func(t *testing.T, room uint8, ops []byte) {
		w := new(sink)
		s := streamTo(w, int(room))
		have := map[int64]bool{}
		at := func(off int64) byte { return byte(off*31 + 7) }
		for i := 0; i+1 < len(ops); i += 2 {
			off := int64(ops[i])
			p := make([]byte, ops[i+1]%32)
			for j := range p {
				p[j] = at(off + int64(j))
			}
			n, err := s.WriteAt(p, off)
			if err != nil && !errors.Is(err, sftp.ErrOutOfOrder) || err == nil && n != len(p) {
				t.Fatal(n, err)
			}
			for j := range p {
				if err == nil && have[off+int64(j)] {
					t.Fatalf("octet %d was taken twice", off+int64(j))
				}
				if err == nil {
					have[off+int64(j)] = true
				}
			}
			if err != nil && len(p) > 0 && off == int64(w.Len()) {
				free := true
				for j := range p {
					free = free && !have[off+int64(j)]
				}
				if free {
					t.Fatal("the next block was refused:", err)
				}
			}
		}
		err := s.Close(nil)
		if gap := len(have) > w.Len(); gap != errors.Is(err, sftp.ErrGap) || gap == (err == nil) {
			t.Fatalf("%d octets of %d, %v", w.Len(), len(have), err)
		}
		for i, b := range w.Bytes() {
			if b != at(int64(i)) || !have[int64(i)] {
				t.Fatalf("octet %d", i)
			}
		}
	})
}
