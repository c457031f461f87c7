package sftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// bytesFile is a File of octets in memory.
type bytesFile struct {
	UnsupportedFile
	data    []byte
	fail    error // of the next call
	appends bool
	synced  int
	cause   error
}

func (f *bytesFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fail; err != nil {
		return 0, err
	}
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *bytesFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fail; err != nil {
		f.fail = nil
		return 0, err
	}
	if f.appends {
		off = int64(len(f.data))
	}
	if grow := int(off) + len(p) - len(f.data); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	return copy(f.data[off:], p), nil
}

func (f *bytesFile) Sync(context.Context) error { f.synced = len(f.data); return nil }

func (f *bytesFile) Close(cause error) error { f.cause = cause; return nil }

var separators = []string{"\n", "\r", "\r\n"}

// checkText reads and writes text in pieces of random sizes, with every pair of separators,
// and compares with what replacing them in one go returns.
func checkText(t *testing.T, text []byte, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, stored := range separators {
		for _, wire := range separators {
			f := newTextFile(&bytesFile{data: text}, stored, wire)
			want := strings.ReplaceAll(string(text), stored, wire)
			var got []byte
			for {
				p := make([]byte, 1+rnd.IntN(1+min(3*textChunk, 2*len(text))))
				n, err := f.ReadAt(p, rnd.Int64())
				got = append(got, p[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil || n != len(p) {
					t.Fatalf("read: %d of %d, %v", n, len(p), err)
				}
			}
			if string(got) != want {
				t.Fatalf("%q as %q reads %q, want %q", stored, wire, got, want)
			}
			to := &bytesFile{appends: seed%2 == 0}
			f = newTextFile(to, stored, wire)
			for rest := text; len(rest) > 0; {
				n := 1 + rnd.IntN(len(rest))
				if m, err := f.WriteAt(rest[:n], rnd.Int64()); err != nil || m != n {
					t.Fatalf("write: %d of %d, %v", m, n, err)
				}
				rest = rest[n:]
			}
			if err := f.Close(nil); err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(string(text), wire, stored); string(to.data) != want {
				t.Fatalf("%q as %q writes %q, want %q", stored, wire, to.data, want)
			}
		}
	}
}

func TestTextTranslation(t *testing.T) {
	for _, text := range []string{"", "a", "\n", "\r", "\r\n", "\r\r\n\n", "a\r", "a\r\nb\nc\rd", "\n\n\n", "\r\n\r\n\r"} {
		for seed := range uint64(20) {
			checkText(t, []byte(text), seed)
		}
	}
	rnd := rand.New(rand.NewPCG(4, 2))
	for seed := range uint64(10) {
		text := make([]byte, rnd.IntN(5*textChunk))
		for i := range text {
			text[i] = "\r\n\nab"[rnd.IntN(5)]
		}
		checkText(t, text, seed)
	}
	// A separator cut by the end of a chunk.
	for cut := textChunk - 3; cut < textChunk+3; cut++ {
		checkText(t, []byte(strings.Repeat("x", cut)+"\r\n"+strings.Repeat("y", textChunk)+"\r"), uint64(cut))
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a\r\nb\nc\r"), uint64(1))
	f.Add([]byte("\r\r\n\n\r"), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) { checkText(t, text, seed) })
}

func TestTextSeek(t *testing.T) {
	ctx := context.Background()
	for _, sep := range separators {
		lines := []string{"first", "", "third", strings.Repeat("x", textChunk-len(sep)), strings.Repeat("y", 2*textChunk), "last"}
		for _, end := range []string{"", sep} {
			text := strings.Join(lines, sep) + end
			f := newTextFile(&bytesFile{data: []byte(text)}, sep, "\n")
			for i := range slices.Backward(lines) {
				if err := f.seek(ctx, uint64(i)); err != nil {
					t.Fatalf("line %d: %v", i, err)
				}
				p := make([]byte, len(lines[i])+1)
				n, err := f.ReadAt(p, 0)
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if got := strings.TrimSuffix(string(p[:n]), "\n"); got != lines[i] {
					t.Errorf("%q: line %d is %.20q", sep, i, got)
				}
			}
			at := f.reader.pos
			for _, line := range []uint64{uint64(len(lines) + 1), 1 << 40, 1<<64 - 1} {
				if err := f.seek(ctx, line); !errors.Is(err, CodeEOF) || f.reader.pos != at {
					t.Errorf("%q: line %d: %v", sep, line, err)
				}
			}
			// The line behind the last separator is where an upload goes on.
			if err := f.seek(ctx, uint64(len(lines))); (err == nil) != (end != "") {
				t.Errorf("%q: the end: %v", sep, err)
			}
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := newTextFile(&bytesFile{data: []byte("a\nb")}, "\n", "\n").seek(gone, 1); !errors.Is(err, context.Canceled) {
		t.Error("a search that nobody waits for goes on:", err)
	}
}

// What is held back reaches the file before anything that could miss it.
func TestTextHeld(t *testing.T) {
	fails := errors.New("disk full")
	b := &bytesFile{}
	f := newTextFile(b, "\n", "\r\n")
	write := func(s string, want error) {
		t.Helper()
		if _, err := f.WriteAt([]byte(s), 0); !errors.Is(err, want) {
			t.Fatalf("write %q: %v", s, err)
		}
	}
	write("a\r", nil)
	if string(b.data) != "a" {
		t.Errorf("%q", b.data)
	}
	b.fail = fails
	write("\nb", fails)
	write("\nb", nil) // again, as if the failure had never been
	if string(b.data) != "a\nb" {
		t.Errorf("%q", b.data)
	}
	write("\r", nil)
	if err := f.Sync(context.Background()); err != nil || b.synced != 4 {
		t.Error("not synced:", b.synced, err)
	}
	write("\r", nil)
	b.fail = fails
	if err := f.Close(nil); !errors.Is(err, fails) || !errors.Is(b.cause, fails) {
		t.Errorf("close: %v, and the file heard %v", err, b.cause)
	}
}
