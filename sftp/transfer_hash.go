package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

// transferHashes are the hashes by which contents are compared, the best first. They find
// accidents: whom they would protect from is who computes them.
var transferHashes = []string{"sha256", "sha512", "sha384", "sha224", "sha1", "md5"}

// checkChunk is how much of a file the server is asked to hash at a time, so that neither a
// limit of the server nor a cancelled transfer has to wait for a whole disk.
const checkChunk = 128 << 20

// serverHash is a server's way to hash files.
type serverHash struct {
	c    *Client
	name string
}

// make makes an instance of the same hash.
func (h *serverHash) make() hash.Hash {
	_, sum := hashByName([]string{h.name})
	return sum
}

// serverHash returns the best way of the server, nil if it has none, or none for parts of files.
func (c *Client) serverHash() *serverHash {
	if c.quirks&wrongRanges != 0 {
		return nil
	}
	list, ok := c.exts["check-file"]
	if !ok {
		list, ok = c.exts["check-file-name"]
	}
	if ok {
		known := strings.Split(list, ",")
		named := strings.Contains(list, "md5") || strings.Contains(list, "sha") // some announce a number, or nothing
		for _, name := range transferHashes {
			if !named || slices.Contains(known, name) {
				return &serverHash{c: c, name: name}
			}
		}
	}
	if _, ok := c.exts["md5-hash"]; ok {
		return &serverHash{c: c, name: "md5"}
	}
	return nil
}

// sum asks for the hash of n octets at off, n not being 0: that would mean all.
func (h *serverHash) sum(ctx context.Context, file hashed, off, n int64) ([]byte, error) {
	got, err := h.c.hash(ctx, file.name, file.handle, HashRange{Algorithms: []string{h.name}, Start: off, Length: n})
	switch {
	case err != nil:
		return nil, err
	case got.Algorithm != h.name:
		return nil, Status(CodeBadMessage, "server hashed by another algorithm than it was asked for")
	}
	return got.Sum, nil
}

// hashed is the file that a server is to hash: by its handle, or by its name.
type hashed struct {
	name   string
	handle []byte
}

// chunkSums hashes what is written to it, by the chunk.
type chunkSums struct {
	h    hash.Hash
	n    int64 // in the chunk under way
	sums [][]byte
}

// Write takes p; it never fails.
func (s *chunkSums) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		part := p[:min(int64(len(p)), checkChunk-s.n)]
		_, _ = s.h.Write(part) // a hash.Hash never fails
		s.n += int64(len(part))
		p = p[len(part):]
		if s.n == checkChunk {
			s.cut()
		}
	}
	return all, nil
}

func (s *chunkSums) cut() {
	s.sums = append(s.sums, s.h.Sum(nil))
	s.h.Reset()
	s.n = 0
}

// compare asks the server for the hashes of what was written, which begins at off of file.
func (s *chunkSums) compare(ctx context.Context, h *serverHash, file hashed, off int64) error {
	last := s.n
	if last > 0 {
		s.cut()
	} else {
		last = checkChunk
	}
	for i, sum := range s.sums {
		n := int64(checkChunk)
		if i == len(s.sums)-1 {
			n = last
		}
		theirs, err := h.sum(ctx, file, off, n)
		if err != nil {
			return err
		}
		if !bytes.Equal(theirs, sum) {
			return fmt.Errorf("%s of bytes %d to %d: %w", h.name, off, off+n, ErrMismatch)
		}
		off += n
	}
	return nil
}

// readAgain compares what was written with n octets at off of f: for servers that offer
// hashes and then refuse one, why says how.
func (s *chunkSums) readAgain(ctx context.Context, h *serverHash, f *RemoteFile, off, n int64, why error) error {
	again := &chunkSums{h: h.make()}
	if err := f.copyTo(ctx, &countWriter{ctx: ctx, w: again}, off, n, -1); err != nil {
		return fmt.Errorf("server can neither hash the file (%w) nor have it read again: %w", why, err)
	}
	if again.n > 0 {
		again.cut()
	}
	if !slices.EqualFunc(s.sums, again.sums, bytes.Equal) {
		return fmt.Errorf("read again: %w", ErrMismatch)
	}
	return nil
}

// refusedHash reports whether the server answered that it cannot hash, where another way to
// verify will do as well.
func refusedHash(o *TransferOptions, err error) bool {
	_, refused := errors.AsType[*StatusError](err)
	return refused && (o.Verify == VerifyBest || o.Verify == VerifyContent)
}

// compareByHash compares the first n octets of local with those of file, by the chunk: the
// server hashes one while we hash our own.
func compareByHash(ctx context.Context, h *serverHash, file hashed, local io.ReaderAt, n int64) error {
	type answer struct {
		sum []byte
		err error
	}
	sum := h.make()
	buf := make([]byte, min(n, copyChunk))
	for off := int64(0); off < n; off += checkChunk {
		part := min(checkChunk, n-off)
		theirs := make(chan answer, 1)
		go func() {
			s, err := h.sum(ctx, file, off, part)
			theirs <- answer{s, err}
		}()
		sum.Reset()
		_, err := io.CopyBuffer(onlyWriter{sum}, &ctxReader{ctx, io.NewSectionReader(local, off, part)}, buf)
		a := <-theirs
		switch {
		case err != nil:
			return err
		case a.err != nil:
			return a.err
		case !bytes.Equal(a.sum, sum.Sum(nil)):
			return fmt.Errorf("%s of bytes %d to %d: %w", h.name, off, off+part, ErrMismatch)
		}
	}
	return nil
}

// onlyWriter hides methods that io.CopyBuffer would prefer to its buffer.
type onlyWriter struct{ io.Writer }

// ctxReader ends with ctx.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// compareBytes compares n octets at off of two files by reading them.
func compareBytes(ctx context.Context, a, b io.ReaderAt, off, n int64) error {
	x, y := make([]byte, min(n, copyChunk)), make([]byte, min(n, copyChunk))
	for end := off + n; off < end; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		part := min(end-off, int64(len(x)))
		if err := readFullAt(a, x[:part], off); err != nil {
			return err
		}
		if err := readFullAt(b, y[:part], off); err != nil {
			return err
		}
		if !bytes.Equal(x[:part], y[:part]) {
			return fmt.Errorf("bytes %d to %d: %w", off, off+part, ErrMismatch)
		}
		off += part
	}
	return nil
}

// readFullAt fills p; a file that ends before is shorter than it was said to be.
func readFullAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("file ends at byte %d: %w", off+int64(n), ErrMismatch)
	}
	return err
}

// compareOnServer compares the first n octets of two files by the hashes that the server makes.
func compareOnServer(ctx context.Context, h *serverHash, a, b string, n int64) error {
	for off := int64(0); off < n; off += checkChunk {
		part := min(checkChunk, n-off)
		x, err := h.sum(ctx, hashed{name: a}, off, part)
		if err != nil {
			return err
		}
		y, err := h.sum(ctx, hashed{name: b}, off, part)
		if err != nil {
			return err
		}
		if !bytes.Equal(x, y) {
			return fmt.Errorf("%s of bytes %d to %d: %w", h.name, off, off+part, ErrMismatch)
		}
	}
	return nil
}
