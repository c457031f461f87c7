package sftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"sync/atomic"
)

// ReadOptions are the options of OpenReader and RemoteFile.Reader.
type ReadOptions struct {
	// Start is the first octet to read.
	Start int64
	// Length bounds the octets to read; 0 is all there are.
	Length int64
	// How opens the file; the zero value is for reading.
	How OpenHow
	// KeepOpen leaves the file open when the stream is closed.
	KeepOpen bool
}

// WriteOptions are the options of OpenWriter and RemoteFile.Writer.
type WriteOptions struct {
	// Start is where to write; a file opened for appending is written at its end.
	Start int64
	// How opens the file; the zero value is for writing, made or emptied.
	How OpenHow
	// Mode, if not 0, becomes the mode of the file, whatever the server would have made
	// of it: it is sent with OPEN and, since a umask may be applied to that, once more.
	Mode fs.FileMode
	// KeepOpen leaves the file open when the stream is closed.
	KeepOpen bool
}

// Reader reads a file as a stream. It is for one goroutine at a time, except Close and Octets,
// which any goroutine may call.
type Reader struct {
	f    *RemoteFile
	left int64
	keep bool
	n    atomic.Int64
}

// OpenReader opens a file as a stream. ctx applies to the whole stream, until Close. The file is
// read ahead, as [RemoteFile] describes.
func (c *Client) OpenReader(ctx context.Context, name string, o ReadOptions) (*Reader, error) {
	if o.How.Access == 0 {
		o.How = HowFromFlags(os.O_RDONLY)
	}
	if o.Start < 0 || o.Length < 0 {
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	f, err := c.OpenFile(ctx, name, o.How)
	if err != nil {
		return nil, err
	}
	f.SetContext(ctx)
	r, err := f.Reader(o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// Reader returns a stream out of an open file, from o.Start. It moves the file's position.
func (f *RemoteFile) Reader(o ReadOptions) (*Reader, error) {
	if _, err := f.Seek(o.Start, io.SeekStart); err != nil {
		return nil, err
	}
	if o.Length <= 0 {
		o.Length = math.MaxInt64
	}
	return &Reader{f: f, left: o.Length, keep: o.KeepOpen}, nil
}

// File returns the file that the stream is of.
func (r *Reader) File() *RemoteFile { return r.f }

// Octets returns how many were read so far.
func (r *Reader) Octets() int64 { return r.n.Load() }

// Read reads the next octets of the stream.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.n.Add(int64(n))
	return n, err
}

// WriteTo writes the rest of the stream to w, straight from the packets it comes in if it
// goes to the end of the file.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.left != math.MaxInt64 {
		return io.Copy(w, struct{ io.Reader }{r})
	}
	n, err := r.f.WriteTo(w)
	r.n.Add(n)
	return n, err
}

// Close ends the stream, and closes the file unless it is kept open.
func (r *Reader) Close() error {
	if r.keep {
		return nil
	}
	return r.f.Close()
}

// Writer is a stream into a file. It may be used by one goroutine at a time, but for Octets.
type Writer struct {
	f    *RemoteFile
	keep bool
	n    atomic.Int64
}

// OpenWriter opens a file as a stream to write to. ctx applies to the whole stream, until Close,
// whose error tells whether everything has arrived.
func (c *Client) OpenWriter(ctx context.Context, name string, o WriteOptions) (*Writer, error) {
	if o.How.Access == 0 {
		o.How = HowFromFlags(os.O_WRONLY | os.O_CREATE | os.O_TRUNC)
	}
	if o.Start < 0 {
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	if o.Mode != 0 && o.How.Attrs == nil {
		o.How.Attrs = modeAttrs(o.Mode)
	}
	f, err := c.OpenFile(ctx, name, o.How)
	if err != nil {
		return nil, err
	}
	f.SetContext(ctx)
	if o.Mode != 0 {
		if err = f.Chmod(ctx, o.Mode); err != nil {
			err = c.Chmod(ctx, name, o.Mode) // servers exist that can do it by name only
		}
	}
	var w *Writer
	if err == nil {
		w, err = f.Writer(o)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// Writer returns a stream into an open file, from o.Start. It moves the file's position.
func (f *RemoteFile) Writer(o WriteOptions) (*Writer, error) {
	if _, err := f.Seek(o.Start, io.SeekStart); err != nil {
		return nil, err
	}
	return &Writer{f: f, keep: o.KeepOpen}, nil
}

// File returns the file that the stream is of.
func (w *Writer) File() *RemoteFile { return w.f }

// Octets returns how many were written so far, though not all need have arrived.
func (w *Writer) Octets() int64 { return w.n.Load() }

// Write writes p; see RemoteFile.Write.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// ReadFrom writes what r has; see RemoteFile.ReadFrom.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.f.ReadFrom(r)
	w.n.Add(n)
	return n, err
}

// Close waits until everything has arrived, and closes the file unless it is kept open.
func (w *Writer) Close() error {
	if w.keep {
		return w.f.Flush(w.f.context())
	}
	return w.f.Close()
}

// ReadFile returns the content of a file.
func (c *Client) ReadFile(ctx context.Context, name string) ([]byte, error) {
	f, err := c.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	f.SetContext(ctx)
	var b bytes.Buffer
	_, err = f.WriteTo(&b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// WriteFile writes data to a file, which is created if it does not exist and emptied if it does.
// mode is requested for a new file; 0 leaves it to the server.
func (c *Client) WriteFile(ctx context.Context, name string, data []byte, mode fs.FileMode) error {
	return c.putFile(ctx, name, data, mode, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
}

// AppendFile writes data at the end of a file, which is created with mode if it does not exist.
func (c *Client) AppendFile(ctx context.Context, name string, data []byte, mode fs.FileMode) error {
	return c.putFile(ctx, name, data, mode, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func (c *Client) putFile(ctx context.Context, name string, data []byte, mode fs.FileMode, flags int) error {
	how := HowFromFlags(flags)
	if mode != 0 {
		how.Attrs = modeAttrs(mode)
	}
	f, err := c.OpenFile(ctx, name, how)
	if err != nil {
		return err
	}
	f.SetContext(ctx)
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
