package sftp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// Server serves SFTP. Only FS must be set. A Server may serve any number of sessions at
// once and must not be modified meanwhile.
type Server struct {
	// FS makes the file system of a session, after authentication. An error refuses
	// the session. ctx ends with the session.
	FS func(ctx context.Context, info SessionInfo) (FileSystem, error)
	// MaxVersion is the highest protocol version spoken, such as [Version3]; 0 is the
	// highest there is: [Version6].
	MaxVersion int
	// Limits bound what one session may take.
	Limits Limits
	// MaxHandles is how many files and directories all sessions together may have open. No
	// session may have more of them than are left, so that those that take what they can get leave
	// some to others. 0 is three quarters of the files that the system lets the process open, where
	// it tells, for all Servers with 0 together: a user who opens files by the thousand must not keep
	// others from connecting.
	// Negative is no bound.
	MaxHandles int
	// Extensions names the extended requests that are offered and served, and what else VERSION
	// announces, as far as the file system supports them; nil offers all.
	Extensions []string
	// ReadOnly refuses every request that would change anything before it
	// reaches the file system.
	ReadOnly bool
	// Policy says what may be done, and to which names; nil restricts nothing.
	Policy *Policy
	// SetStat says what to do with attributes that clients set.
	SetStat SetStatPolicy
	// Newline is the line separator of text files on the wire, announced to clients of
	// version 4 and up: "\n", "\r" or "\r\n". "" is the one that the files have
	// (Capabilities.Newline), with which nothing needs to be translated.
	Newline string
	// Vendor tells clients which program this is; the zero value tells them nothing.
	Vendor Vendor
	// TempFolder is the directory that get-temp-folder names, and in which
	// make-temp-folder makes directories, as clients name it; "" offers neither.
	TempFolder string
	// SymlinkOrder says how to read SYMLINK; the zero value decides by ident.
	SymlinkOrder SymlinkOrder
	// NoDots leaves "." and ".." out of listings. A Dir may then list them itself where they are
	// wanted.
	NoDots bool
	// Dates is how version 3 listings write dates in the "ls -l" lines; the zero value is the way
	// ls does. Later versions send no such lines.
	Dates DateStyle
	// Charset is how clients write names that are not UTF-8. Version 3 has no way to say: all names
	// go through it. Names are UTF-8 in versions 4 and up; version 6 announces Charset
	// (filename-charset) and lets the client switch to it. nil passes names unchanged in version 3
	// and means UTF-8 in later versions.
	Charset *Charset
	// Log gets, at level info, one line for each session, for each file that was uploaded or
	// downloaded (when it is closed), and for each file or directory that was removed, renamed,
	// made, linked or copied or whose attributes were set; READ and WRITE have no lines of their
	// own. At level debug it gets one line for each request, also for those that were refused.
	// Names of clients are quoted. nil logs nothing.
	Log *slog.Logger

	io      ioPolicy // how READ and WRITE run; for measurements
	handles atomic.Int64
}

// Limits bound what one session may take; the zero value is the default of each.
type Limits struct {
	// Handles is how many files and directories may be open; 0 is 1024. The most
	// is 65536.
	Handles int
	// Concurrency is how many READ, WRITE and copy-data requests run at a time; 0 is
	// 8. With 1, READ and WRITE are served one after the other by one goroutine: the
	// least CPU, but a slow file delays all others.
	Concurrency int
	// ListEntries is the most entries of one READDIR reply; 0 is as many as fit in 32 KiB,
	// some 200 with long names. Fewer make more round trips.
	ListEntries int
}

// limitsOf are the limits of a session.
func (s *Server) limitsOf(info *SessionInfo) Limits {
	if info.Limits != nil {
		return *info.Limits
	}
	return s.Limits
}

const (
	defaultHandles     = 1024
	defaultConcurrency = 8
)

func (l Limits) handles() int {
	if l.Handles <= 0 {
		return defaultHandles
	}
	return min(l.Handles, maxHandles)
}

func (l Limits) concurrency() int {
	if l.Concurrency <= 0 {
		return defaultConcurrency
	}
	return l.Concurrency
}

// SessionInfo tells a Server about the session it is to serve. All fields may be empty.
type SessionInfo struct {
	// User is the name that was authenticated.
	User string
	// RemoteAddr and LocalAddr are the ends of the connection.
	RemoteAddr, LocalAddr net.Addr
	// ClientIdent is the SSH ident of the client, such as "SSH-2.0-OpenSSH_9.9". It
	// decides how some requests are read.
	ClientIdent string
	// SessionID is the SSH session identifier (RFC 4253 section 7.2).
	SessionID []byte
	// Identity is whatever authentication attached to the user.
	Identity any
	// Limits, if not nil, take the place of the Server's for this session.
	Limits *Limits
	// Policy, if not nil, restricts this session further than the Server's does.
	Policy *Policy
	// Charset, if not nil, takes the place of the Server's for this session.
	Charset *Charset
	// Serial runs all requests of the session strictly one after the other, in the order in which
	// they came: READ, WRITE, copies and hashes, too, however slow the storage is. One READ is one
	// call of File.ReadAt then, whatever the size of the packets. It is for file systems that
	// report each operation to somebody, in order; transfers over slow storage take longer.
	Serial bool
	// EveryRequest passes SETSTAT and similar requests on to the file system even if the server's
	// settings drop all of their attributes; Valid is then 0. See [RequestOf] for what the client
	// asked for.
	EveryRequest bool
	// Negotiated, if not nil, is called once the version of the protocol is known, before
	// the first request, and again if the client selects another (version-select). It must
	// not wait.
	Negotiated func(version int)
	// ListEntries, if not nil, is asked at each READDIR for the most entries of the reply,
	// in place of Limits.ListEntries; 0 is as many as fit.
	ListEntries func() int
	// StatusText, if not nil, returns the text of each STATUS other than OK; text is what would be
	// sent without it. It may be called by several goroutines.
	StatusText func(code Code, text string) string
	// Drain, if not nil, ends when no new transfers are wanted: from then on OPEN and OPENDIR are
	// refused, and Serve closes the Conn and returns nil once nothing is open any more. A session
	// that still has something open, but sends and receives nothing for a minute, then ends with an
	// error.
	Drain context.Context
}

// ErrDisconnected is in the chain of the cause that File.Close and Dir.Close get when
// the session ended before the peer's CLOSE.
var ErrDisconnected = errors.New("sftp: session ended before CLOSE")

var errNoFS = errors.New("sftp: serve: no file system")

// Serve serves one session over conn until the peer ends the stream, which returns nil,
// or something fails. When it returns, everything that the session opened is closed,
// and nothing of it runs any more. ctx ends the session early; make it end with the
// connection, since a session that waits for a slow file does not read.
//
// Serve leaves conn open when the stream has ended, so that an exit status can be
// sent; otherwise it may have closed conn. The caller closes it in any case.
func (s *Server) Serve(ctx context.Context, conn packet.Conn, info SessionInfo) error {
	if s.FS == nil {
		return errNoFS
	}
	at := &sessionOf{}
	ops, cancel := context.WithCancelCause(context.WithValue(ctx, sessionKey{}, at))
	defer cancel(nil)
	fsys, err := s.FS(ops, info)
	switch {
	case err != nil:
		return err
	case fsys == nil:
		return errNoFS
	}
	fsys, refused, err := guardAll(fsys, s.Policy, info.Policy)
	if err != nil {
		return err
	}
	ss := newSession(ops, cancel, at, s, fsys, conn, info)
	at.s.Store(ss)
	ss.refused, ss.outer = refused, ctx
	undo := after(ctx, func() { _ = conn.Close() })
	undrain := func() {}
	if info.Drain != nil {
		undrain = after(info.Drain, ss.drain)
	}
	err = ss.run()
	undrain()
	ss.watch.end()
	undo()
	return err
}

// after runs f when ctx ends, until undo is called, which waits for an f that runs.
func after(ctx context.Context, f func()) (undo func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// maxVersion is the highest version to answer INIT with.
func (s *Server) maxVersion() fxp.Version {
	if s.MaxVersion <= 0 || s.MaxVersion > int(fxp.Newest) {
		return fxp.Newest
	}
	return fxp.Version(s.MaxVersion)
}
