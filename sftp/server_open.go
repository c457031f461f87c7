package sftp

import (
	"cmp"
	"log/slog"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

var errDraining = Status(CodeFailure, "server is shutting down")

// roomForHandle says whether OPEN and OPENDIR may go on.
func (s *session) roomForHandle() error {
	if s.draining.Load() {
		return errDraining
	}
	return s.handles.room()
}

func (s *session) open(r *request) error {
	m := fxp.Open{Attrs: fxp.Attrs{V: s.version}}
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	name, err := s.name(r, m.Path)
	if err != nil {
		return err
	}
	if meansDir(name) {
		// Or else "put file dir/" would make a file dir, where there is no such directory.
		return CodeIsADirectory
	}
	if m.Access == 0 && s.quirks&zeroAccess != 0 {
		m.Access = meantAccess(m.Flags)
	}
	how, err := openHow(&m)
	if err != nil {
		return err
	}
	if how.Flags&^s.openFlags(s.version) != 0 {
		return Status(CodeOpUnsupported, "open flag is not supported")
	}
	if s.srv.ReadOnly && how.Modifies() {
		return CodeWriteProtect
	}
	if err := s.roomForHandle(); err != nil {
		return err
	}
	if how.Creates() {
		if how.Attrs, err = s.initial(&m.Attrs); err != nil {
			return err
		}
	}
	if how.Truncates() {
		s.awaitHashes()
	}
	serial := how.Flags&OpenText != 0
	text := serial && !s.caps.Features.Has(FeatureText)
	if text {
		how.Flags &^= OpenText // done here
	}
	r.opening = true
	f, err := s.fs.Open(s.ctx, name, &how)
	r.opening = false
	if err != nil {
		return unknownNames(err, how.Attrs)
	}
	path, _ := CleanPath(name)
	h := &handle{
		name: r.path, path: path, file: f, reads: how.Reads(), writes: how.Writes(), appends: how.Appends(),
		makes: how.Writes() && (how.Creates() || how.Truncates()), deletes: how.Flags&OpenDeleteOnClose != 0, inOrder: inOrder(f), serial: serial,
	}
	if text {
		h.text = s.asText(f)
		h.file = h.text
	}
	s.files++
	s.addHandle(r, h)
	if s.debug {
		s.log.LogAttrs(s.ctx, slog.LevelDebug, "sftp open", slog.String("user", plain(s.info.User)), slog.String("path", plain(h.name)),
			slog.Bool("read", h.reads), slog.Bool("write", h.writes))
	}
	return nil
}

// asText is f in text mode.
func (s *session) asText(f File) *textFile {
	wire := s.newline
	if wire == "" {
		wire = canonicalNewline
	}
	return newTextFile(f, newline(s.caps.Newline), wire)
}

// textSeek serves text-seek (filexfer-13 section 8.1.1.3), beside the loop: the lines have
// to be counted.
func (s *session) textSeek(r *request) error {
	var m fxp.ExtTextSeek
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.file(r, m.Handle)
	switch {
	case err != nil:
		return err
	case h.text == nil:
		return Status(CodeOpUnsupported, "handle is not one of text")
	}
	s.background(r, h, nil, true, func() ([]byte, error) { return nil, h.text.seek(s.beside, m.Line) })
	return nil
}

// addHandle gives h an id and answers with it.
func (s *session) addHandle(r *request, h *handle) {
	h.custom = r.handle
	s.handles.add(h)
	p := s.reply(r, fxp.TypeHandle)
	if h.custom != "" {
		s.finish(wire.AppendString(p, h.custom))
		return
	}
	p = wire.AppendUint32(p, handleSize)
	s.finish(wire.AppendUint32(p, h.id))
}

func (s *session) close(r *request) error {
	var m fxp.Handle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.handles.get(m.Handle)
	if err != nil {
		return err
	}
	r.path = h.name
	if h.dir == nil {
		s.awaitFile(h) // also of other handles, which its locks may bind
	}
	return s.closeHandle(h, h.lost.cause())
}

// closeHandle closes h, on which nothing runs any more, for the reason given.
func (s *session) closeHandle(h *handle, cause error) error {
	s.handles.remove(h)
	err := s.closeBackEnd(h, cause)
	if h.dir != nil {
		return err
	}
	read, written := h.read.Load(), h.written.Load()
	s.readTotal += read
	s.writTotal += written
	if cause == nil {
		cause = err
	}
	s.transferred(h, cause)
	if h.deletes && err == nil {
		s.did(fileRemoved, cmp.Or(h.path, h.name), "")
	}
	if s.debug {
		s.log.LogAttrs(s.ctx, slog.LevelDebug, "sftp close", slog.String("user", plain(s.info.User)), slog.String("path", plain(h.name)),
			slog.Uint64("read", read), slog.Uint64("written", written), slog.Any("error", cause))
	}
	return err
}

// closeBackEnd closes the file or directory of h.
func (s *session) closeBackEnd(h *handle, cause error) (err error) {
	defer s.guard(&err)
	if h.dir != nil {
		return h.dir.Close(cause)
	}
	return h.file.Close(cause)
}
