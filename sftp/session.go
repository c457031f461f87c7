package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// session is one session of a Server. One goroutine, the loop, parses the requests and
// runs all but READ, WRITE and copy-data itself, in order; see server_io.go for those.
type session struct {
	srv    *Server
	ctx    context.Context // of the operations; ends before the handles are closed
	outer  context.Context // that Serve was given
	beside context.Context // of those that run beside the loop
	cancel context.CancelCauseFunc
	fs     FileSystem
	caps   Capabilities
	conn   packet.Conn
	at     *sessionOf
	info   SessionInfo
	log    *slog.Logger // nil: no log
	trail  bool         // a line per deed and file
	debug  bool         // a line per request

	started bool
	version fxp.Version
	newline string // of text on the wire, as VERSION announced it; "" if it did not
	// charsetSaid: VERSION announced in which charset names may be asked for.
	charsetSaid bool
	over        error             // why the session ends behind this request
	offered     [fxp.OpCount]bool // the extended requests that are served
	quirks      quirk
	// startDir is where relative names start; "" is the root.
	startDir string
	names    names
	refused  [fxp.OpCount]bool // by the policies
	bounds   Limits

	in      framer
	req     request // the current one, if not READ or WRITE
	out     replies
	handles handles
	scratch []byte // the reply that is being written
	long    []byte // a long name that is being written

	io       sync.WaitGroup // all READ, WRITE and copying under way
	hashes   sync.WaitGroup // all hashing under way
	inflight atomic.Int32   // how many these are together
	pace     pace
	turns    turns
	ops      []*ioOp
	free     chan *ioOp
	hashing  chan struct{} // as many as hash something

	draining atomic.Bool
	waiting  atomic.Bool   // the loop sits in ReadPacket with nothing open and nothing owed
	arrived  atomic.Uint64 // packets, for who watches a drain
	watch    drainWatch

	start                time.Time
	requests, files      uint64
	readTotal, writTotal uint64
}

func newSession(ctx context.Context, cancel context.CancelCauseFunc, at *sessionOf, srv *Server, fsys FileSystem, conn packet.Conn, info SessionInfo) *session {
	s := &session{
		srv: srv, ctx: ctx, cancel: cancel, at: at, fs: fsys, caps: fsys.Capabilities(), conn: conn, info: info,
		log: srv.Log, in: framer{conn: conn}, out: replies{conn: conn}, bounds: srv.limitsOf(&info),
		quirks: quirksOf(info.ClientIdent), start: time.Now(),
	}
	s.beside = ctx
	if !info.Serial {
		s.beside = context.WithValue(ctx, sessionKey{}, (*sessionOf)(nil))
	}
	s.names.own = srv.Charset
	if info.Charset != nil {
		s.names.own = info.Charset
	}
	s.handles.max = s.bounds.handles()
	s.handles.total, s.handles.most = srv.maxOpen()
	if s.caps.StartDir != "/" {
		s.startDir = s.caps.StartDir
	}
	if s.log != nil {
		s.trail = s.log.Enabled(ctx, slog.LevelInfo)
		s.debug = s.log.Enabled(ctx, slog.LevelDebug)
	}
	return s
}

// run is the session from the first octet to the last handle closed.
func (s *session) run() error {
	err := s.loop()
	// The Conn failed because it was closed for one of these. The caller's context may have ended
	// without ours having learned of that yet.
	if err != nil && s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	} else if err != nil && s.outer.Err() != nil {
		err = context.Cause(s.outer)
	}
	cause := err
	switch {
	case cause == nil:
		cause = ErrDisconnected
	case !errors.Is(cause, ErrDisconnected):
		cause = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	s.cancel(cause)
	s.out.wait() // what is still under way answers on its own
	s.io.Wait()
	s.hashes.Wait()
	s.out.wait()
	// Nobody is left to be told that closing failed.
	s.handles.all(func(h *handle) {
		if p, ok := errors.AsType[*PanicError](s.closeHandle(h, cause)); ok && err == nil {
			err = p
		}
	})
	s.in.close()
	if s.log != nil {
		attrs := []slog.Attr{
			slog.String("user", plain(s.info.User)), slog.Uint64("requests", s.requests),
			slog.Uint64("files", s.files), slog.Uint64("read", s.readTotal), slog.Uint64("written", s.writTotal),
			slog.Duration("time", time.Since(s.start)), slog.Uint64("version", uint64(s.version)),
		}
		if s.info.RemoteAddr != nil {
			attrs = append(attrs, slog.String("remote", s.info.RemoteAddr.String()))
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		s.log.LogAttrs(s.ctx, slog.LevelInfo, "sftp session ended", attrs...)
	}
	return err
}

// loop serves requests until the stream ends.
func (s *session) loop() error {
	for {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		msg, ok, err := s.in.next()
		if err != nil {
			return err
		}
		if !ok {
			s.out.wait()
			if s.drained() {
				return nil
			}
			err := s.in.fill()
			s.waiting.Store(false)
			s.out.work()
			if err == nil {
				s.arrived.Add(1)
				continue
			}
			switch {
			case s.draining.Load() && s.handles.open == 0:
				return nil
			case s.out.failed() != nil:
				return fmt.Errorf("sftp: write: %w", s.out.failed())
			case errors.Is(err, io.EOF):
				return nil
			}
			return fmt.Errorf("sftp: read: %w", err)
		}
		if err := s.serve(msg); err != nil {
			return err
		}
	}
}

// request is one request other than READ and WRITE while it is served.
type request struct {
	id       uint32
	op       fxp.Op
	body     []byte // of an extension: its data
	path     string // what it is about, for the log
	answered bool
	serving  bool   // a handler runs, and may be asked what it serves
	opening  bool   // in FileSystem.Open or OpenDir
	handle   string // what SetHandle wants what is opened called
}

// serve serves one message. An error ends the session.
func (s *session) serve(msg []byte) error {
	t, id, body, err := fxp.Split(msg)
	if err != nil {
		return violation("%s without a request id", t)
	}
	if !s.started {
		if t != fxp.TypeInit {
			return violation("%s before INIT", t)
		}
		return s.init(body)
	}
	s.requests++
	switch t {
	case fxp.TypeRead:
		s.read(id, body)
		return nil
	case fxp.TypeWrite:
		s.write(id, body)
		return nil
	case fxp.TypeInit:
		// INIT has its version where others have the request id.
		var m fxp.Init
		_ = wire.Decode(body, &m)
		s.status(uint32(m.Version), Status(CodeFailure, "session is initialised already"))
		return nil
	default: // by the table of operations, below
	}
	r := &s.req
	*r = request{id: id, op: fxp.OpOf(t, s.version), body: body, serving: true}
	if r.op == fxp.OpExtended {
		r.op, r.body = s.extension(body)
	}
	err = s.request(r)
	r.serving = false
	if err != nil || !r.answered {
		s.status(id, err)
	}
	if s.debug {
		s.log.LogAttrs(s.ctx, slog.LevelDebug, "sftp request", slog.String("op", r.op.String()), slog.Uint64("id", uint64(id)),
			slog.String("path", plain(r.path)), slog.String("status", CodeOf(err).String()))
	}
	return s.over
}

// request runs r. An error, or nil without an answer given, becomes a STATUS.
func (s *session) request(r *request) (err error) {
	defer s.guard(&err)
	h := &handlers[r.op]
	if h.run == nil {
		return CodeOpUnsupported
	}
	if s.refused[r.op] {
		return errPolicy
	}
	row := r.op.Row()
	if s.srv.ReadOnly && row.Effect == fxp.Writes {
		return CodeWriteProtect
	}
	if row.Barrier == fxp.SessionBarrier {
		s.awaitAll()
		if row.Effect != fxp.Reads && r.op != fxp.OpOpen { // which looks at its flags first
			s.awaitHashes()
		}
	}
	if err = h.run(s, r); row.Reply != fxp.TypeStatus && r.op != fxp.OpExtended { // whose reply may be either
		err = notOK(err)
	}
	return err
}

// notOK is err for requests that succeed with another message than STATUS: there OK would be
// no answer that a client knows.
func notOK(err error) error {
	if err != nil && CodeOf(err) == CodeOK {
		return Status(CodeFailure, ToStatus(err).Text)
	}
	return err
}

// init returns INIT (filexfer-02 section 4).
func (s *session) init(body []byte) error {
	var m fxp.Init
	if err := wire.Decode(body, &m); err != nil {
		return violation("INIT: %v", err)
	}
	s.started = true
	s.begin(min(m.Version, s.srv.maxVersion(), s.quirks.maxVersion()))
	reply := fxp.VersionReply{Version: s.version}
	if s.version >= fxp.V3 {
		reply.Extensions = s.announce()
	}
	s.out.add(fxp.Append(s.scratch[:0], 0, &reply))
	return nil
}

// malformed returns what to say of a request that c decoded. Octets behind the last field
// are let pass: OpenSSH does, and later versions of messages have them. (Layout is called
// by name everywhere, and not through wire.Decode, so that nothing moves to the heap.)
func malformed(c *wire.Coder) error {
	if c.Err() != nil {
		return errBadMessage
	}
	return nil
}

var errBadMessage = Status(CodeBadMessage, "message is malformed")

// status answers request id with the status of err, nil being OK. It may be called by any
// goroutine of the session.
func (s *session) status(id uint32, err error) {
	if err == nil {
		var tmp [64]byte
		s.out.add(fxp.AppendOK(tmp[:0], s.version, id))
		return
	}
	st := ToStatus(err)
	if s.info.StatusText != nil && st.Code != CodeOK {
		st.Text = cutText(s.info.StatusText(st.Code, st.Text))
	}
	code := st.Code.In(int(max(s.version, fxp.V3)))
	m := fxp.Status{V: s.version, Code: uint32(code), Text: st.Text, Lang: st.Lang, Data: wirePrincipals(&st, code, s.version)}
	s.out.add(fxp.Append(nil, id, &m))
}

// reply starts a reply to r in the scratch buffer; finish sends it.
func (s *session) reply(r *request, t fxp.Type) []byte {
	r.answered = true
	return fxp.AppendHeader(s.scratch[:0], t, r.id)
}

func (s *session) finish(p []byte) {
	s.out.add(fxp.Finish(p, 0))
	if cap(p) <= maxScratch {
		s.scratch = p
	}
}

// maxScratch is the most memory a session keeps for writing small replies.
const maxScratch = 4 << 10

// replyName answers with one name that is its own long name, as REALPATH and READLINK do.
// a may be nil.
func (s *session) replyName(r *request, name string, a *Attrs) {
	name = s.names.encode(name)
	p := wire.AppendUint32(s.reply(r, fxp.TypeName), 1)
	e := fxp.NameEntry{Name: name, Attrs: fxp.Attrs{V: s.version}}
	if a != nil {
		e.Attrs = wireAttrs(a, s.version)
		e.Attrs.Flags &= s.told(0)
	}
	s.long = append(s.long[:0], name...)
	e.LongName = s.long
	s.finish(wire.Append(p, &e))
}

// name takes a name of the peer for the file system: what is refused for every request
// alike is, and a relative one starts at the start directory.
func (s *session) name(r *request, name string) (string, error) {
	name, err := s.peerName(r, name)
	if err != nil {
		return "", err
	}
	return JoinPath(s.startDir, name), nil
}

// peerName takes a name as the peer wrote it: translated, then checked. Every name in a
// request comes through here, or through name.
func (s *session) peerName(r *request, name string) (string, error) {
	if len(name) > maxWireName {
		return "", errLongPath
	}
	name = s.names.decode(name)
	return name, checkName(r, name)
}

// meansDir tells whether a name can only be that of a directory (POSIX, Pathname
// Resolution). CleanPath drops the slash, so this comes first where it matters.
func meansDir(name string) bool { return strings.HasSuffix(name, "/") }

// checkName refuses what no name may be, for every request alike (cves 8.2, 12.5).
func checkName(r *request, name string) error {
	if r.path == "" {
		r.path = name
	}
	if len(name) <= MaxPath {
		for i := range len(name) {
			if name[i] == 0 {
				return Status(CodeInvalidFilename, "path holds a NUL byte")
			}
		}
		return nil
	}
	return errLongPath
}

var errLongPath = Status(CodeInvalidFilename, "path too long")
