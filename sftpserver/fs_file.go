package sftpserver

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Open is FileOpen.
func (f *eventFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	path, err := sftp.CleanPath(name)
	if err != nil {
		return nil, err
	}
	file := &eventFile{fs: f, path: path, writes: how.Writes(), appends: how.Appends()}
	forClient := sftp.RequestName(ctx) == "OPEN" // or to be copied or hashed, which has no handle
	if forClient {
		if file.handle, err = f.propose(ctx); err != nil {
			return nil, err
		}
	}
	if f.FileOpen == nil {
		if file.File, err = f.FileSystem.Open(ctx, name, how); err != nil {
			return nil, err
		}
		return file.plain(), nil
	}
	ev := &FileOpenEvent{FileEvent: f.about(ctx, path), How: *how, Handle: file.handle, DesiredAccess: uint32(how.Access), Flags: uint32(how.PFlags())}
	if forClient {
		ev.raw(ctx)
	}
	typed(&ev.Attrs)
	err = twice(f, f.FileOpen, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error { return f.open(ctx, name, ev) })
	if err == nil && ev.File == nil {
		ev.File = new(noFile) // the handlers have the content
	}
	if err == nil && forClient {
		file.handle = or(ev.Handle, file.handle)
		if err = sftp.SetHandle(ctx, file.handle); err != nil {
			err = f.refuseHandle(err)
		}
	}
	if err != nil {
		if ev.File != nil {
			_ = ev.File.Close(err)
		}
		return nil, err
	}
	file.File = ev.File
	return file.plain(), nil
}

// open opens the file of ev, unless the handler did.
func (f *eventFS) open(ctx context.Context, name string, ev *FileOpenEvent) (err error) {
	if ev.File != nil {
		return nil
	}
	how := ev.How
	ev.File, err = f.FileSystem.Open(ctx, or(ev.DivertTo, name), &how)
	if err != nil {
		ev.File = nil // or an interface that holds nothing
	}
	return err
}

// raw fills in what the packet said.
func (e *FileOpenEvent) raw(ctx context.Context) {
	q, ok := sftp.RequestOf(ctx)
	if !ok {
		return
	}
	e.RawFlags = q.Flags
	if q.Version >= sftp.Version5 {
		e.DesiredAccess = q.Access
		if sftp.OpenFlags(q.Flags)&sftp.OpenText != 0 {
			e.Flags |= uint32(sftp.PText)
		}
	} else {
		e.Flags = q.Flags
	}
	if q.Attrs != nil {
		e.Attrs = *q.Attrs
	}
}

// refuseHandle tells the Error event of a handle that cannot be.
func (f *eventFS) refuseHandle(err error) error {
	f.report(f.c, err)
	return sftp.Status(sftp.CodeFailure, "server failed to name a handle")
}

// noFile is a file whose content only the handlers have.
type noFile struct{ sftp.UnsupportedFile }

// eventFile is an open file with the events that are about it. READ and WRITE are those of the file.
type eventFile struct {
	sftp.File
	fs           *eventFS
	path, handle string
	writes       bool
	appends      bool

	read, written atomic.Int64 // octets
}

// plain is what is to be used of f: as little as the handlers need.
func (f *eventFile) plain() sftp.File {
	v := &f.fs.Events
	switch {
	case v.contentObserved() || v.FileClose != nil:
		return &dataFile{f}
	case v.GetAttributes != nil || v.SetAttributes != nil:
		return f
	}
	return f.File
}

// Unwrap returns the file without the events.
func (f *eventFile) Unwrap() sftp.File { return f.File }

// Stat is GetAttributes, for FSTAT.
func (f *eventFile) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	a, err := f.File.Stat(ctx, want)
	if sftp.RequestName(ctx) != "FSTAT" {
		return a, err
	}
	return f.fs.attributes(ctx, f.path, f.handle, false, a, err)
}

// SetStat is SetAttributes, for FSETSTAT.
func (f *eventFile) SetStat(ctx context.Context, a *sftp.Attrs) error {
	return f.fs.setAttributes(ctx, f.path, f.handle, a, func(divert string) error {
		switch {
		case a.Valid == 0:
			return nil
		case divert != "":
			return f.fs.FileSystem.SetStat(ctx, divert, a, true)
		}
		return f.File.SetStat(ctx, a)
	})
}

// CopyRange copies between the files without the events.
func (f *eventFile) CopyRange(ctx context.Context, off int64, src sftp.File, srcOff, n int64) (int64, error) {
	if g, ok := src.(*eventFile); ok {
		src = g.File
	}
	return f.File.CopyRange(ctx, off, src, srcOff, n)
}

// dataFile is an eventFile whose content is told of: READ, WRITE, or how much of both there was.
type dataFile struct{ *eventFile }

// holdData lets SFTPConnectionFileData find data until the function that it returns is called: while the
// handler runs, and no longer. Of events at the same time there is no telling whose data is meant.
func (c *Connection) holdData(data *[]byte) (let func()) {
	if c.engine.ConcurrentEvents {
		return func() {}
	}
	c.fileData.Store(data)
	return func() { c.fileData.Store(nil) }
}

// ReadAt is FileRead.
func (d *dataFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.File.ReadAt(p, off)
	if d.fs.FileRead != nil {
		n, err = d.observeRead(p, off, n, err)
	}
	d.read.Add(int64(max(n, 0)))
	return n, err
}

// observeRead tells the handler of the n octets in p, and returns what it left.
func (d *dataFile) observeRead(p []byte, off int64, n int, err error) (int, error) {
	for n >= 0 && n < len(p) && err == nil { // a file that answers less without an error
		var m int
		m, err = d.File.ReadAt(p[n:], off+int64(n))
		if m <= 0 && err == nil {
			err = io.ErrNoProgress
		}
		n += m
	}
	n = min(max(n, 0), len(p))
	result := err
	if n > 0 && (errors.Is(err, io.EOF) || errors.Is(err, sftp.ErrShortRead)) {
		result = nil // which the client sees as less data
	} else if err != nil {
		n = 0
	}
	f := d.fs
	ev := &FileReadEvent{FileEvent: f.about(f.ctx, d.path), Handle: d.handle, Offset: off, Length: len(p), Data: p[:n:len(p)]}
	end := once(f, func(ev *FileReadEvent) {
		defer f.c.holdData(&ev.Data)()
		f.FileRead(ev)
	}, ev, &ev.FileEvent, result)
	if end = supplied(&ev.FileEvent, result, end, len(ev.Data) > 0); end != nil {
		return 0, end
	}
	m := copy(p, ev.Data) // nothing happens where it is p already
	switch {
	case m == len(p):
		return m, nil
	case m == 0:
		return 0, io.EOF
	case m == n && errors.Is(err, io.EOF):
		return m, io.EOF
	}
	return m, sftp.ErrShortRead
}

// WriteAt is FileWrite.
func (d *dataFile) WriteAt(p []byte, off int64) (int, error) {
	var n int
	var err error
	if d.fs.FileWrite == nil {
		n, err = d.File.WriteAt(p, off)
	} else {
		n, err = d.observeWrite(p, off)
	}
	d.written.Add(int64(max(n, 0)))
	return n, err
}

func (d *dataFile) observeWrite(p []byte, off int64) (int, error) {
	f := d.fs
	ev := &FileWriteEvent{FileEvent: f.about(f.ctx, d.path), Handle: d.handle, Offset: off, Appends: d.appends, Data: p}
	handler := func(ev *FileWriteEvent) {
		defer f.c.holdData(&ev.Data)()
		f.FileWrite(ev)
	}
	err := twice(f, handler, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		if len(ev.Data) == 0 {
			return nil
		}
		n, err := d.File.WriteAt(ev.Data, off)
		if err == nil && n != len(ev.Data) {
			err = io.ErrShortWrite
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// CopyRange leaves it to READ and WRITE if those are told of.
func (d *dataFile) CopyRange(ctx context.Context, off int64, src sftp.File, srcOff, n int64) (int64, error) {
	if d.fs.contentObserved() {
		return 0, errors.ErrUnsupported
	}
	g, ok := src.(*dataFile)
	if ok {
		src = g.File
	}
	m, err := d.File.CopyRange(ctx, off, src, srcOff, n)
	d.written.Add(max(m, 0))
	if ok {
		g.read.Add(max(m, 0))
	}
	return m, err
}

// Close is FileClose.
func (d *dataFile) Close(cause error) error {
	f := d.fs
	err := d.File.Close(cause)
	if f.FileClose == nil {
		return err
	}
	ev := &FileCloseEvent{
		FileEvent: f.about(f.ctx, d.path), Handle: d.handle, Writes: d.writes, Read: d.read.Load(), Written: d.written.Load(),
	}
	return f.closed(ev, cause, err)
}

// closed tells of the end of a file or directory that was closed for cause, with the result err.
func (f *eventFS) closed(ev *FileCloseEvent, cause, err error) error {
	if ev.Err = cause; cause == nil {
		ev.Err = err
	}
	ev.Complete = ev.Err == nil
	return once(f, f.FileClose, ev, &ev.FileEvent, err)
}
