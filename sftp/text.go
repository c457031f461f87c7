package sftp

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/fairlead-ssh/fairlead/packet"
)

// canonicalNewline is the line separator on the wire unless VERSION announced another
// (filexfer-13 section 5.3).
const canonicalNewline = "\r\n"

// newline returns s if it is a line separator that text mode knows, or else LF.
func newline(s string) string {
	switch s {
	case "\r", "\r\n":
		return s
	}
	return "\n"
}

// textChunk is how much of a file is translated at a time.
const textChunk = 16 << 10

// A textReader reads a file with every line separator replaced. Only exact matches are,
// as the draft asks of clients too: a lone CR or LF passes where the separator is CRLF.
// It is a position and one small number, so it may be copied to remember a place.
type textReader struct {
	src      io.ReaderAt
	from, to string // separators: one or two octets
	pos      int64  // of the next octet of src
	part     int    // octets of to that were read already of the separator at pos
}

// Read implements io.Reader. It fills p unless the file ends or fails.
func (r *textReader) Read(p []byte) (n int, err error) {
	if r.from == r.to {
		n, err = readWhole(r.src, p, r.pos)
		r.pos += int64(n)
		return n, err
	}
	b := packet.Get(textChunk)
	defer b.Release()
	for n < len(p) && err == nil {
		// One more than needed, since a separator may be cut behind its first octet.
		buf := b.Bytes()[:min(textChunk, len(p)-n+1)]
		var m int
		m, err = readWhole(r.src, buf, r.pos)
		used, made := r.translate(p[n:], buf[:m], err != nil)
		r.pos += int64(used)
		n += made
		if used < m {
			err = nil // p is full before the end
		}
	}
	return n, err
}

// translate writes src to dst with separators replaced, and returns how much of each it
// used. At the end of src a cut separator is left for the next time unless last is true.
func (r *textReader) translate(dst, src []byte, last bool) (used, made int) {
	for used < len(src) && made < len(dst) {
		rest := src[used:]
		if bytes.HasPrefix(rest, []byte(r.from)) {
			n := copy(dst[made:], r.to[r.part:])
			made += n
			if r.part += n; r.part < len(r.to) {
				break
			}
			r.part = 0
			used += len(r.from)
			continue
		}
		r.part = 0
		if rest[0] == r.from[0] && len(rest) < len(r.from) && !last {
			break
		}
		run := len(rest)
		if i := bytes.IndexByte(rest[1:], r.from[0]); i >= 0 {
			run = 1 + i
		}
		n := copy(dst[made:], rest[:run])
		made += n
		used += n
	}
	return used, made
}

// A textWriter replaces every line separator in what is written piece by piece.
type textWriter struct {
	from, to string // separators: one or two octets
	// held is set when the first octet of a separator of two is the last that was
	// written: what comes next says what it is.
	held bool
}

// translate appends src to out with separators replaced, until src is used up or out has most
// octets, and returns both.
func (w *textWriter) translate(out, src []byte, most int) (made, rest []byte) {
	from := w.from
	for len(src) > 0 && len(out) <= most-2 {
		switch {
		case w.held && src[0] == from[1]:
			out, src, w.held = append(out, w.to...), src[1:], false
		case w.held:
			out, w.held = append(out, from[0]), false
		case src[0] == from[0] && len(from) == 1:
			out, src = append(out, w.to...), src[1:]
		case src[0] == from[0]:
			src, w.held = src[1:], true
		default:
			run := len(src)
			if i := bytes.IndexByte(src, from[0]); i >= 0 {
				run = i
			}
			run = min(run, most-len(out))
			out, src = append(out, src[:run]...), src[run:]
		}
	}
	return out, src
}

// A textFile is an open file in text mode (filexfer-13 section 8.1.1.3): READ and WRITE go
// on where the last one ended, whatever offset they carry, and separators are those of the
// wire. The session serves the requests on it one after the other, so that requests in
// parallel come out right; there are no locks here.
type textFile struct {
	File
	reader textReader // from the file's separator to that of the wire; it has the position
	writer textWriter // and back
}

func newTextFile(f File, stored, wire string) *textFile {
	return &textFile{File: f, reader: textReader{src: f, from: stored, to: wire}, writer: textWriter{from: wire, to: stored}}
}

// ReadAt reads on. off means nothing.
func (f *textFile) ReadAt(p []byte, _ int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.reader.Read(p)
}

// WriteAt writes on. off means nothing. A write that fails can be repeated, except at the
// end of a file open for append.
func (f *textFile) WriteAt(p []byte, _ int64) (int, error) {
	stored, wire := f.reader.from, f.reader.to
	f.reader.part = 0
	if stored == wire {
		n, err := f.File.WriteAt(p, f.reader.pos)
		if err == nil {
			f.reader.pos += int64(n)
		}
		return n, err
	}
	b := packet.Get(textChunk)
	defer b.Release()
	pos, writer := f.reader.pos, f.writer
	for rest := p; len(rest) > 0; {
		var out []byte
		if out, rest = writer.translate(b.Bytes()[:0], rest, textChunk); len(out) == 0 {
			break
		}
		n, err := f.File.WriteAt(out, pos)
		if err == nil && n != len(out) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return 0, err
		}
		pos += int64(n)
	}
	f.reader.pos, f.writer = pos, writer
	return len(p), nil
}

// flush writes what is held back: it was no separator.
func (f *textFile) flush() error {
	if !f.writer.held {
		return nil
	}
	f.writer.held = false
	n, err := f.File.WriteAt([]byte(f.writer.from[:1]), f.reader.pos)
	f.reader.pos += int64(n)
	return err
}

// Sync makes everything durable, also what is held back.
func (f *textFile) Sync(ctx context.Context) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(ctx)
}

// Close writes what is held back before it closes the file.
func (f *textFile) Close(cause error) error {
	err := f.flush()
	if cause == nil {
		cause = err // the upload is not complete
	}
	if cerr := f.File.Close(cause); err == nil {
		err = cerr
	}
	return err
}

// seek goes to the start of a line, the first being 0 (text-seek). A line that the file
// does not have is CodeEOF and changes nothing; the one that begins where the file ends is
// a place to append at.
func (f *textFile) seek(ctx context.Context, line uint64) error {
	if err := f.flush(); err != nil {
		return err
	}
	sep := []byte(f.reader.from)
	b := packet.Get(textChunk)
	defer b.Release()
	pos := int64(0)
	for line > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := readWhole(f.File, b.Bytes(), pos)
		buf := b.Bytes()[:n]
		at := 0
		for line > 0 {
			i := bytes.Index(buf[at:], sep)
			if i < 0 {
				break
			}
			at += i + len(sep)
			line--
		}
		switch {
		case line == 0:
			pos += int64(at)
		case errors.Is(err, io.EOF) || n == 0 && err == nil:
			return CodeEOF
		case err != nil:
			return err
		default:
			// All but what may be the first half of a separator.
			pos += int64(max(at, n-len(sep)+1))
		}
	}
	f.reader.pos, f.reader.part = pos, 0
	return nil
}
