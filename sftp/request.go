package sftp

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// sessionOf is what the context of a session leads to.
type sessionOf struct {
	version atomic.Uint32
	s       atomic.Pointer[session]
}

type sessionKey struct{}

// serving returns the session whose loop runs a request with ctx; nil if none does.
func serving(ctx context.Context) *session {
	at, _ := ctx.Value(sessionKey{}).(*sessionOf)
	if at == nil {
		return nil
	}
	if s := at.s.Load(); s != nil && s.req.serving {
		return s
	}
	return nil
}

// Request is what a client's request said on the wire.
type Request struct {
	// Name is that of the packet type, such as "OPEN", or of the extended request, such as
	// "posix-rename@openssh.com".
	Name string
	// ID is the request id.
	ID uint32
	// Version is the protocol version of the session.
	Version int
	// Path is the first name of the request as the client wrote it, in UTF-8; a request
	// about a handle has none.
	Path string
	// Flags are those of OPEN and RENAME, the attributes wanted of STAT, LSTAT and FSTAT,
	// and the control octet of REALPATH, in the numbers of Version: 0 where it has none.
	Flags uint32
	// Access is the desired access of OPEN; 0 before version 5.
	Access uint32
	// Attrs are those that OPEN, MKDIR, SETSTAT, FSETSTAT and lsetstat@openssh.com carry,
	// all of them, whatever the server's settings make of them; nil for other requests.
	Attrs *Attrs
}

// RequestOf returns the client's request on whose behalf a method of a [FileSystem], or a method of
// a [File] that takes a context, was called. ctx is the context of that call or one derived from
// it. ok is false if no request is behind the call, as for copies and hashes that run in the
// background. Call it on the goroutine of that call, before the call returns.
//
// It decodes the packet again, so it costs nothing unless it is called.
func RequestOf(ctx context.Context) (q Request, ok bool) {
	s := serving(ctx)
	if s == nil {
		return Request{}, false
	}
	return s.asked(), true
}

// RequestName returns the Name that [RequestOf] would, or "" if ctx belongs to no request. It does
// not allocate.
func RequestName(ctx context.Context) string {
	if s := serving(ctx); s != nil {
		return s.req.op.String()
	}
	return ""
}

// SessionVersion returns the protocol version of the session that ctx belongs to: 3 to 6, or
// 0 for none, or one that has not begun. Any goroutine may call it.
func SessionVersion(ctx context.Context) int {
	at, _ := ctx.Value(sessionKey{}).(*sessionOf)
	if at == nil {
		return 0
	}
	return int(at.version.Load())
}

// MaxHandle is the most octets of a handle (filexfer-02 section 6.2).
const MaxHandle = 256

// A HandleError says why [SetHandle] refused a handle.
type HandleError struct {
	Handle string // any octets
	Why    string
}

// Error returns "sftp: handle ...".
func (e *HandleError) Error() string { return fmt.Sprintf("sftp: handle %.64q: %s", e.Handle, e.Why) }

// SetHandle says, in FileSystem.Open or OpenDir, which handle the client is to have for what
// is being opened: 1 to [MaxHandle] octets of any value that no other open handle of the
// session has. Otherwise it returns a [*HandleError] and changes nothing. The last of several
// calls counts; without any the server makes a handle of its own.
//
// ctx is that of Open or OpenDir, or made of it. SetHandle is for the goroutine that they were
// called on, before they return. It is an error where nothing is opened for a handle, as for
// copy-file and hashes.
func SetHandle(ctx context.Context, handle string) error {
	s := serving(ctx)
	switch {
	case s == nil || !s.req.opening:
		return &HandleError{handle, "nothing is being opened"}
	case handle == "":
		return &HandleError{handle, "empty"}
	case len(handle) > MaxHandle:
		return &HandleError{handle, "longer than 256 octets"}
	}
	if h, err := s.handles.get([]byte(handle)); err == nil && h != nil {
		return &HandleError{handle, "open already"}
	}
	s.req.handle = handle
	return nil
}

// asked reads the current request.
func (s *session) asked() Request {
	r := &s.req
	q := Request{Name: r.op.String(), ID: r.id, Version: int(s.version)}
	c := wire.Decoder(r.body)
	attrs := func(w *fxp.Attrs) {
		if a, err := attrsOfWire(w); err == nil {
			q.Attrs = &a
		}
	}
	switch r.op {
	case fxp.OpOpen:
		m := fxp.Open{Attrs: fxp.Attrs{V: s.version}}
		m.Layout(c)
		q.Path, q.Flags, q.Access = m.Path, m.Flags, m.Access
		attrs(&m.Attrs)
	case fxp.OpMkdir, fxp.OpSetstat:
		m := fxp.PathAttrs{Attrs: fxp.Attrs{V: s.version}}
		m.Layout(c)
		q.Path = m.Path
		attrs(&m.Attrs)
	case fxp.OpFsetstat:
		m := fxp.Fsetstat{Attrs: fxp.Attrs{V: s.version}}
		m.Layout(c)
		attrs(&m.Attrs)
	case fxp.OpLsetstat:
		m := fxp.ExtSetstat{Attrs: fxp.Attrs{V: s.version}}
		m.Layout(c)
		q.Path = m.Path
		attrs(&m.Attrs)
	case fxp.OpStat, fxp.OpLstat:
		m := fxp.Stat{V: s.version}
		m.Layout(c)
		q.Path, q.Flags = m.Path, m.Want
	case fxp.OpFstat:
		m := fxp.Fstat{V: s.version}
		m.Layout(c)
		q.Flags = m.Want
	case fxp.OpRename:
		m := fxp.Rename{V: s.version}
		m.Layout(c)
		q.Path, q.Flags = m.Old, m.Flags
	case fxp.OpRealpath:
		m := fxp.Realpath{V: s.version}
		m.Layout(c)
		q.Path, q.Flags = m.Path, uint32(m.Control)
	case fxp.OpOpendir, fxp.OpRemove, fxp.OpRmdir, fxp.OpReadlink:
		var m fxp.Path
		m.Layout(c)
		q.Path = m.Path
	default: // r.path has the first name
		q.Path = r.path
		return q
	}
	q.Path = s.names.decode(q.Path)
	return q
}
