package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

var (
	// ErrOutOfOrder is in the chain of the error of a READ or WRITE that a Stream cannot serve: it
	// goes back further than the Stream remembers, or skips ahead further than it can buffer.
	ErrOutOfOrder = errors.New("sftp: stream: offset is out of order")
	// ErrGap is in the chain of the cause that the writer of a Stream gets, and of the error that
	// CLOSE is answered with, when the peer closed an upload although part of its middle never
	// came.
	ErrGap = errors.New("sftp: stream: part of the content never came")
)

var (
	errStreamBack = &streamError{Status(CodeFailure, "file is a stream: what was written cannot be written again"), ErrOutOfOrder}
	errStreamLap  = &streamError{Status(CodeFailure, "file is a stream: blocks overlap"), ErrOutOfOrder}
	errStreamFar  = &streamError{Status(CodeFailure, "file is a stream: too much is out of order"), ErrOutOfOrder}
	errStreamSeek = &streamError{Status(CodeFailure, "file is a stream: cannot seek so far"), ErrOutOfOrder}
)

// streamError is a status for the peer and an error for errors.Is.
type streamError struct {
	status *StatusError
	is     error
}

func (e *streamError) Error() string   { return e.status.Error() }
func (e *streamError) Unwrap() []error { return []error{e.status, e.is} }

// maxHeld is the most blocks out of order that are kept, however small they are.
const maxHeld = 1024

// Stream makes a File of a reader, a writer, or both, for back ends that can only take or give
// content from front to back, such as object stores and generated files. Either may be nil. ctx is
// the one that FileSystem.Open got: when it ends, calls that wait for the reader or writer return
// an error.
//
// Clients send and ask for content in order, but not all of them strictly. WRITE requests that
// come early are kept, up to reorder bytes, until those before them came; beyond that,
// and for content that is written twice, WRITE fails. READ requests may skip and
// go back within the last reorder bytes. Memory is taken when it is needed. 256 KiB is plenty
// for clients with 32 KiB requests; with 0 all must be in order.
//
// WriteAt returns when the writer took the block, so that a slow writer slows the peer
// down, or when a block that came early is kept. An error of the reader or writer is final.
//
// Stat knows the size of what was written and nothing else. A program that looks at open
// files, as fs.FS does, sees more if the File is embedded in one with a Stat of its own.
//
// Close tells reader and writer how the use ended, so that an upload that was cut off is never
// taken for a finished one:
//
//   - finished, which is a CLOSE of the peer with all content there: CloseWithError(nil) if
//     the writer has that method, as *io.PipeWriter does, or else Close, if it has that. What
//     they answer is the answer to the peer's CLOSE: wait there until the content is stored.
//   - cut off: CloseWithError(cause), with ErrDisconnected, ErrGap or the writer's own first
//     error in the chain of cause. A writer without that method is not closed: its
//     Close would signal success.
//
// Whether an upload is finished is the peer's word: SFTP cannot express that a client gave up, so
// one that stops in the middle and closes the file properly looks like one that is done. Clients
// that upload under a temporary name rename the file at the end.
//
// CloseWithError may be called while Write runs, which it should end. The reader is closed
// in the same ways, but by Close also when cut off.
func Stream(ctx context.Context, r io.Reader, w io.Writer, reorder int) File {
	s := &stream{r: r, w: w, room: max(reorder, 0), turn: make(chan struct{}, 1), over: make(chan struct{}), done: make(chan struct{})}
	s.moved.L = &s.mu
	s.mu.Lock() // ctx may be over
	defer s.mu.Unlock()
	s.unhook = context.AfterFunc(ctx, func() { _ = s.Close(disconnectCause(context.Cause(ctx))) })
	return s
}

// disconnectCause is err as the reason of an end before CLOSE.
func disconnectCause(err error) error {
	switch {
	case err == nil:
		return ErrDisconnected
	case errors.Is(err, ErrDisconnected):
		return err
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, err)
}

// stream is the File of Stream.
type stream struct {
	UnsupportedFile
	r    io.Reader
	w    io.Writer
	room int // bytes to keep, each way

	unhook func() bool
	over   chan struct{} // closed when Close begins
	done   chan struct{} // and when it has told everybody

	turn chan struct{} // held by who reads
	back []byte        // the last bytes read, those behind at first
	at   int           // where the next byte goes in back
	read int64         // bytes read so far
	rerr error         // of the reader, for good

	mu      sync.Mutex
	moved   sync.Cond // written, werr or closed changed
	claimed int64     // up to here it was written, or somebody is about to
	written int64
	held    []block // behind claimed, by offset, none touching claimed
	size    int     // bytes of held
	werr    error   // why nothing can be written any more
	closed  bool
	ended   error // why, if it was not finished
}

// block is content that came early.
type block struct {
	off  int64
	data []byte
}

// WriteAt implements File.
func (s *stream) WriteAt(p []byte, off int64) (int, error) {
	if s.w == nil {
		return 0, errors.ErrUnsupported
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.werr != nil {
		return 0, s.werr
	}
	i, _ := slices.BinarySearchFunc(s.held, off, func(b block, off int64) int { return int(min(max(b.off-off, -1), 1)) })
	end := off + int64(len(p))
	switch {
	case off < s.claimed:
		return 0, errStreamBack
	case i < len(s.held) && s.held[i].off < end, i > 0 && s.held[i-1].end() > off:
		return 0, errStreamLap
	case off > s.claimed:
		if len(p) > s.room-s.size || len(s.held) == maxHeld {
			return 0, errStreamFar
		}
		s.held = slices.Insert(s.held, i, block{off, slices.Clone(p)})
		s.size += len(p)
		return len(p), nil
	}
	// This is the next block, and with it the turn of those kept that follow without a gap.
	n := 0
	s.claimed = end
	for n < len(s.held) && s.held[n].off == s.claimed {
		s.claimed = s.held[n].end()
		n++
	}
	follow := slices.Clone(s.held[:n])
	s.held = slices.Delete(s.held, 0, n)
	// Whoever is before writes, or failed; nobody waits for what is yet to come.
	for s.written != off && s.werr == nil {
		s.moved.Wait()
	}
	if s.werr != nil {
		return 0, s.werr
	}
	if err := s.put(p); err != nil {
		return 0, err
	}
	for _, b := range follow {
		if err := s.put(b.data); err != nil {
			break // who sent b has its answer; the next one hears of it
		}
		s.size -= len(b.data)
	}
	return len(p), nil
}

func (b *block) end() int64 { return b.off + int64(len(b.data)) }

// put gives p to the writer. mu is held, but not meanwhile.
func (s *stream) put(p []byte) error {
	n, err := s.write(p)
	switch {
	case s.werr != nil: // Close, in the meantime
	case err != nil:
		s.werr = err
	case n != len(p):
		s.werr = io.ErrShortWrite
	default:
		s.written += int64(n)
	}
	s.moved.Broadcast()
	return s.werr
}

// write calls the writer. If that panics nobody is left waiting for it.
func (s *stream) write(p []byte) (n int, err error) {
	returned := false
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		if !returned && s.werr == nil {
			s.werr = errStreamPanic
			s.moved.Broadcast()
		}
	}()
	n, err = s.w.Write(p)
	returned = true
	return n, err
}

// ReadAt implements File. A READ that skips reads what it skips, so that the
// requests in between find it.
func (s *stream) ReadAt(p []byte, off int64) (n int, err error) {
	if s.r == nil {
		return 0, errors.ErrUnsupported
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.over:
		return 0, s.cause()
	}
	defer func() { <-s.turn }()
	switch {
	case off-s.read > int64(s.room), s.read-off > int64(len(s.back)):
		return 0, errStreamSeek
	}
	for skip := off - s.read; skip > 0; {
		m, err := s.next(make([]byte, min(skip, 32<<10)))
		if skip -= int64(m); err != nil {
			return 0, err
		}
	}
	if back := int(s.read - off); back > 0 {
		n = s.remembered(p, back)
	}
	for n < len(p) && err == nil {
		var m int
		m, err = s.next(p[n:])
		n += m
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// next reads on, and remembers what it read.
func (s *stream) next(p []byte) (n int, err error) {
	if s.rerr != nil {
		return 0, s.rerr
	}
	for range maxIdle {
		if n, err = s.r.Read(p); n != 0 || err != nil {
			break
		}
	}
	switch {
	case n < 0 || n > len(p):
		n, err = 0, errBadCount
	case n == 0 && err == nil:
		err = io.ErrNoProgress
	}
	s.rerr = err
	s.read += int64(n)
	s.remember(p[:n])
	return n, err
}

// maxIdle is how often a reader may answer nothing at all in a row.
const maxIdle = 100

// remember keeps the end of p, in a ring of room bytes.
func (s *stream) remember(p []byte) {
	if len(p) > s.room {
		p = p[len(p)-s.room:]
	}
	if fit := min(s.room-len(s.back), len(p)); fit > 0 {
		s.back = append(s.back, p[:fit]...)
		p = p[fit:]
	}
	for len(p) > 0 {
		n := copy(s.back[s.at:], p)
		s.at = (s.at + n) % s.room
		p = p[n:]
	}
}

// remembered copies to p from the last back bytes.
func (s *stream) remembered(p []byte, back int) int {
	from := (s.at + len(s.back) - back) % len(s.back)
	n := copy(p[:min(len(p), back)], s.back[from:])
	return n + copy(p[n:min(len(p), back)], s.back)
}

// Stat implements File. How long a stream is that is read nobody knows.
func (s *stream) Stat(context.Context, AttrMask) (*Attrs, error) {
	a := &Attrs{Kind: TypeRegular}
	if s.w != nil {
		s.mu.Lock()
		a.Valid, a.Size = AttrSize, uint64(s.claimed)
		s.mu.Unlock()
	}
	return a, nil
}

// Sync implements File. Nothing is stored before the stream ends.
func (s *stream) Sync(context.Context) error { return errors.ErrUnsupported }

// cause returns why nothing goes on after Close.
func (s *stream) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.werr
}

var (
	errStreamClosed = &streamError{Status(CodeInvalidHandle, "stream is closed"), ErrDisconnected}
	errStreamPanic  = &streamError{Status(CodeFailure, "back end failed"), ErrDisconnected}
)

// Close implements File. It does not wait for a Write or Read under way, but ends it
// if the writer or reader can be told.
func (s *stream) Close(cause error) (err error) {
	s.mu.Lock()
	if s.closed {
		err = s.ended
		s.mu.Unlock()
		<-s.done
		return err
	}
	s.closed = true
	if cause == nil && s.w != nil {
		switch {
		case s.werr != nil:
			err = s.werr
		case len(s.held) > 0:
			err = &streamError{Status(CodeFailure, fmt.Sprintf("nothing came for offset %d", s.claimed)), ErrGap}
		case s.written != s.claimed:
			err = errStreamClosed // a caller that does not wait for its own WriteAt
		}
		cause = err
	}
	switch {
	case s.werr != nil:
	case cause != nil:
		s.werr = cause
	default:
		s.werr = errStreamClosed
	}
	s.held, s.size, s.ended = nil, 0, cause
	s.moved.Broadcast()
	unhook := s.unhook
	s.mu.Unlock()
	defer close(s.done)
	close(s.over)
	unhook()
	if s.w != nil {
		err = errors.Join(err, endOf(s.w, cause, cause == nil))
	}
	if s.r != nil {
		err = errors.Join(err, endOf(s.r, cause, true))
	}
	return err
}

// endOf tells x how it ended. orClose allows its Close where it cannot be told more.
func endOf(x any, cause error, orClose bool) error {
	switch c := x.(type) {
	case interface{ CloseWithError(err error) error }:
		if err := c.CloseWithError(cause); cause == nil {
			return err // else it was told to fail, and says so
		}
	case io.Closer:
		if orClose {
			return c.Close()
		}
	}
	return nil
}

// inOrder tells whether f takes content in order only, so that the requests on it are not
// worth running beside each other.
func inOrder(f File) bool {
	for {
		switch w := f.(type) {
		case *stream:
			return true
		case *guardFile:
			f = w.inner
		case *quotaFile:
			f = w.File
		case interface{ Unwrap() File }:
			f = w.Unwrap()
		default:
			return false
		}
	}
}
