package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// clientTextChunk is how much text of an open file is translated at a time, at most.
const clientTextChunk = 64 << 10

// clientText is what a RemoteFile that was opened with OpenText has beside (filexfer-13
// section 8.1.1.3). Only the server knows the position in such a file: READ and WRITE go on
// where the last one ended. So there is one request at a time, in the order of the calls, and
// what was read ahead must be used up. All of it is held by the file's turn.
type clientText struct {
	in   textReader // from the wire's separators to ours; only translate is used
	out  textWriter // and back
	buf  []byte     // as it came, or as it goes
	have []byte     // of buf: read and not delivered
	used bool       // the position may be another than the beginning
	lost bool       // nobody knows the position: a seek was given up
}

var (
	errTextOffset = Status(CodeOpUnsupported, "file is open as text, which has no offsets")
	errTextAhead  = Status(CodeInvalidParameter, "more of the text was read ahead: seek before writing")
	errTextLost   = Status(CodeFailure, "position in the text is not known since a seek was given up")
)

// text makes what a file opened with OpenText has beside.
func (c *Client) text() (*clientText, error) {
	wire, own := c.info.Newline, newline(c.cfg.Newline)
	if wire == "" {
		wire = canonicalNewline
	}
	if len(wire) > 2 {
		return nil, Status(CodeOpUnsupported, fmt.Sprintf("server has a newline of %d octets", len(wire)))
	}
	return &clientText{in: textReader{from: wire, to: own}, out: textWriter{from: own, to: wire}}, nil
}

// readText reads up to len(p) octets, at least one but for an error.
func (f *RemoteFile) readText(ctx context.Context, p []byte) (int, error) {
	t := f.text
	if t.lost {
		return 0, errTextLost
	}
	if err := f.flushText(ctx); err != nil {
		return 0, err
	}
	t.used = true
	if t.buf == nil {
		t.buf = make([]byte, clientTextChunk)
	}
	for {
		used, made := t.in.translate(p, t.have, false)
		t.have = t.have[used:]
		if made > 0 {
			return made, nil
		}
		rest := copy(t.buf, t.have) // the first octet of a separator, or nothing
		n, err := f.ahead.read(ctx, t.buf[rest:])
		t.have = t.buf[:rest+n]
		f.pos = f.ahead.pos
		if err == io.EOF && rest > 0 { //nolint:errorlint // our own; no separator after all, and the end comes again
			used, made = t.in.translate(p, t.have, true)
			t.have = t.have[used:]
			return made, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// writeText writes p.
func (f *RemoteFile) writeText(ctx context.Context, p []byte) (n int, err error) {
	t := f.text
	switch {
	case t.lost:
		return 0, errTextLost
	case len(t.have) > 0 || f.ahead.cur != nil || len(f.ahead.ops) > 0:
		return 0, errTextAhead
	}
	t.used = true
	if t.buf == nil {
		t.buf = make([]byte, clientTextChunk)
	}
	for n < len(p) {
		out := t.out // to be forgotten if this fails
		made, rest := out.translate(t.buf[:0], p[n:], min(f.back.size(), len(t.buf)))
		m, err := f.back.write(ctx, made, f.pos)
		f.pos += int64(m)
		if err != nil {
			return n, err
		}
		t.out = out
		n = len(p) - len(rest)
	}
	return n, nil
}

// flushText sends what is held back, which was no separator, and waits for all WRITEs.
func (f *RemoteFile) flushText(ctx context.Context) error {
	if t := f.text; t.out.held {
		n, err := f.back.write(ctx, []byte(t.out.from[:1]), f.pos)
		f.pos += int64(n)
		if err != nil {
			return err
		}
		t.out.held = false
	}
	return f.back.flush(ctx)
}

// writeTextTo writes the rest of the text to w.
func (f *RemoteFile) writeTextTo(ctx context.Context, w io.Writer) (total int64, err error) {
	p := make([]byte, clientTextChunk)
	for {
		n, err := f.readText(ctx, p)
		if n > 0 {
			m, werr := w.Write(p[:n])
			if m < 0 || m > n {
				return total, errBadWrite
			}
			total += int64(m)
			if werr == nil && m < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return total, werr
			}
		}
		switch {
		case err == io.EOF: //nolint:errorlint // our own
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// readTextFrom writes what r has.
func (f *RemoteFile) readTextFrom(ctx context.Context, r io.Reader) (total int64, err error) {
	p := make([]byte, clientTextChunk)
	for empty := 0; ; {
		n, readErr := r.Read(p)
		if n < 0 || n > len(p) {
			return total, errBadRead
		}
		m, err := f.writeText(ctx, p[:n])
		total += int64(m)
		switch {
		case err != nil:
			return total, err
		case errors.Is(readErr, io.EOF):
			return total, nil
		case readErr != nil:
			return total, readErr
		case n > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return total, io.ErrNoProgress
			}
		}
	}
}

// seekText goes to the start of a line. A line that is not there changes nothing.
func (f *RemoteFile) seekText(ctx context.Context, line uint64) error {
	t := f.text
	if line == 0 && !t.used {
		return nil // which servers without text-seek can do too
	}
	if err := f.flushText(ctx); err != nil {
		return err
	}
	err := f.c.extended(ctx, fxp.OpTextSeek, &fxp.ExtTextSeek{Handle: f.handle, Line: line}, nil)
	if err != nil {
		if _, refused := errors.AsType[*StatusError](err); !refused {
			t.lost = true
		}
		return eof(err)
	}
	f.ahead.drop()
	f.pos, f.ahead.pos, f.ahead.next = 0, 0, 0
	t.have, t.in.part, t.lost, t.used = nil, 0, false, line != 0
	return nil
}

// SeekLine moves the position of a file opened with OpenText to the beginning of a line, the
// first being 0 (text-seek). Beyond the last line it is io.EOF, and the position stays. Other
// files have no lines.
func (f *RemoteFile) SeekLine(ctx context.Context, line uint64) error {
	return pathError("seek", f.name, f.seekLine(ctx, line))
}

func (f *RemoteFile) seekLine(ctx context.Context, line uint64) error {
	if f.text == nil {
		return Status(CodeInvalidParameter, "file is not open as text")
	}
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	if f.isClosed() {
		return fs.ErrClosed
	}
	return f.seekText(ctx, line)
}
