package sftp

import (
	"log/slog"
	"math"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// handlers has how each request is served, and what the file system must be able to do for
// an extended one to be offered. READ and WRITE are served in server_io.go.
var handlers = [fxp.OpCount]struct {
	run      func(*session, *request) error
	features Features
}{
	fxp.OpOpen:     {run: (*session).open},
	fxp.OpClose:    {run: (*session).close},
	fxp.OpLstat:    {run: (*session).stat},
	fxp.OpFstat:    {run: (*session).fstat},
	fxp.OpSetstat:  {run: (*session).setstat},
	fxp.OpFsetstat: {run: (*session).fsetstat},
	fxp.OpOpendir:  {run: (*session).opendir},
	fxp.OpReaddir:  {run: (*session).readdir},
	fxp.OpRemove:   {run: (*session).remove},
	fxp.OpMkdir:    {run: (*session).mkdir},
	fxp.OpRmdir:    {run: (*session).rmdir},
	fxp.OpRealpath: {run: (*session).realpath},
	fxp.OpStat:     {run: (*session).stat},
	fxp.OpRename:   {run: (*session).rename},
	fxp.OpReadlink: {run: (*session).readlink},
	fxp.OpSymlink:  {run: (*session).symlink},

	fxp.OpPosixRename:     {(*session).posixRename, FeatureWrite | FeaturePosixRename},
	fxp.OpStatVFS:         {(*session).statVFS, FeatureStatFS},
	fxp.OpFstatVFS:        {(*session).fstatVFS, FeatureStatFS},
	fxp.OpHardlink:        {(*session).hardlink, FeatureWrite | FeatureHardLink},
	fxp.OpFsync:           {(*session).fsync, FeatureWrite | FeatureSync},
	fxp.OpLsetstat:        {(*session).lsetstat, FeatureWrite | FeatureLSetStat},
	fxp.OpLimits:          {(*session).limits, 0},
	fxp.OpExpandPath:      {(*session).expandPath, FeatureHomeDir},
	fxp.OpCopyData:        {(*session).copyDataRequest, FeatureWrite | FeatureCopy},
	fxp.OpHomeDirectory:   {(*session).homeDirectory, FeatureHomeDir},
	fxp.OpUsersGroupsByID: {(*session).usersGroupsByID, FeatureLookupIDs},
	fxp.OpExtended:        {(*session).extended, 0},
}

// path decodes a request about one name.
func (s *session) path(r *request) (string, error) {
	var m fxp.Path
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return "", err
	}
	return m.Path, checkName(r, m.Path)
}

// twoPaths decodes a request about two names.
func (s *session) twoPaths(r *request) (first, second string, err error) {
	var m fxp.TwoPaths
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return "", "", err
	}
	if err := checkName(r, m.First); err != nil {
		return "", "", err
	}
	return m.First, m.Second, checkName(r, m.Second)
}

// file decodes a request about an open file, and waits for its I/O if the row says so.
func (s *session) file(r *request, id []byte) (*handle, error) {
	h, err := s.handles.getFile(id)
	if err != nil {
		return nil, err
	}
	r.path = h.name
	if r.op.Row().Barrier == fxp.HandleBarrier {
		s.awaitHandle(h)
	}
	return h, nil
}

func (s *session) stat(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	a, err := s.fs.Stat(s.ctx, name, StatOpt{Follow: r.op == fxp.OpStat})
	if err != nil {
		return err
	}
	s.replyAttrs(r, a)
	return nil
}

func (s *session) fstat(r *request) error {
	var m fxp.Handle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.file(r, m.Handle)
	if err != nil {
		return err
	}
	a, err := h.file.Stat(s.ctx, AttrsBasic)
	if err != nil {
		return err
	}
	s.replyAttrs(r, a)
	return nil
}

func (s *session) replyAttrs(r *request, a *Attrs) {
	w := wireAttrs(a, s.version)
	s.finish(wire.Append(s.reply(r, fxp.TypeAttrs), &w))
}

func (s *session) setstat(r *request) error {
	var m fxp.PathAttrs
	m.Attrs.V = s.version
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	return s.setName(r, m.Path, &m.Attrs, true)
}

// setName sets attributes by name, as far as the policy lets them through.
func (s *session) setName(r *request, name string, w *fxp.Attrs, follow bool) error {
	if err := checkName(r, name); err != nil {
		return err
	}
	a := attrsOfWire(w)
	all := a.Valid == 0
	if err := s.srv.SetStat.apply(&a, s.caps.Attrs); err != nil {
		return err
	}
	if a.Valid == 0 && !all {
		return nil
	}
	return s.fs.SetStat(s.ctx, name, &a, follow)
}

func (s *session) fsetstat(r *request) error {
	var m fxp.Fsetstat
	m.Attrs.V = s.version
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.file(r, m.Handle)
	if err != nil {
		return err
	}
	a := attrsOfWire(&m.Attrs)
	if err := s.srv.SetStat.apply(&a, s.caps.Attrs); err != nil || a.Valid == 0 {
		return err
	}
	return h.file.SetStat(s.ctx, &a)
}

func (s *session) remove(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	return s.fs.Remove(s.ctx, name)
}

func (s *session) mkdir(r *request) error {
	var m fxp.PathAttrs
	m.Attrs.V = s.version
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	if err := checkName(r, m.Path); err != nil {
		return err
	}
	a := attrsOfWire(&m.Attrs)
	if err := s.srv.SetStat.apply(&a, s.caps.Attrs); err != nil {
		return err
	}
	if a.Valid == 0 {
		return s.fs.Mkdir(s.ctx, m.Path, nil)
	}
	return s.fs.Mkdir(s.ctx, m.Path, &a)
}

func (s *session) rmdir(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	return s.fs.Rmdir(s.ctx, name)
}

func (s *session) realpath(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	return s.replyPath(r, name)
}

// replyPath answers with the real path of name.
func (s *session) replyPath(r *request, name string) error {
	real, _, err := s.fs.RealPath(s.ctx, name, RealPathOpt{})
	if err != nil {
		return err
	}
	s.replyName(r, real)
	return nil
}

func (s *session) rename(r *request) error {
	from, to, err := s.twoPaths(r)
	if err != nil {
		return err
	}
	return s.fs.Rename(s.ctx, from, to, 0)
}

func (s *session) readlink(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	target, err := s.fs.ReadLink(s.ctx, name)
	if err != nil {
		return err
	}
	s.replyName(r, target)
	return nil
}

func (s *session) symlink(r *request) error {
	target, link, err := s.twoPaths(r)
	if err != nil {
		return err
	}
	switch s.srv.SymlinkOrder {
	case SymlinkByIdent:
		if s.quirks&linkFirst != 0 {
			target, link = link, target
		}
	case SymlinkLinkFirst:
		target, link = link, target
	case SymlinkTargetFirst:
	}
	return s.fs.Link(s.ctx, target, link, true)
}

// openFlags turn the flags of version 3 into access and flags; how the file comes to be is
// in dispositions.
var openFlags = []struct {
	flag   uint32
	access Access
	flags  OpenFlags
}{
	{fxp.OpenRead, AccessReadData | AccessReadAttrs, 0},
	{fxp.OpenWrite, AccessWriteData | AccessWriteAttrs, 0},
	{fxp.OpenAppend, AccessAppendData | AccessWriteAttrs, OpenAppend},
}

// dispositions are by CREAT, TRUNC and EXCL; EXCL means nothing without CREAT.
var dispositions = [...]struct {
	flags uint32
	how   Disposition
}{
	{0, OpenExisting},
	{fxp.OpenExcl, OpenExisting},
	{fxp.OpenTrunc, TruncateExisting},
	{fxp.OpenTrunc | fxp.OpenExcl, TruncateExisting},
	{fxp.OpenCreate, OpenOrCreate},
	{fxp.OpenCreate | fxp.OpenTrunc, CreateTruncate},
	{fxp.OpenCreate | fxp.OpenExcl, CreateNew},
	{fxp.OpenCreate | fxp.OpenTrunc | fxp.OpenExcl, CreateNew},
}

// openHow reads the flags of a version 3 OPEN (filexfer-02 section 6.3).
func openHow(flags uint32) (h OpenHow, err error) {
	const known = fxp.OpenRead | fxp.OpenWrite | fxp.OpenAppend | fxp.OpenCreate | fxp.OpenTrunc | fxp.OpenExcl
	if flags&^known != 0 {
		return h, Status(CodeInvalidParameter, "unknown open flag")
	}
	for i := range openFlags {
		if flags&openFlags[i].flag != 0 {
			h.Access |= openFlags[i].access
			h.Flags |= openFlags[i].flags
		}
	}
	if h.Access == 0 {
		// OpenSSH opens for reading what asks for nothing.
		h.Access = AccessReadData | AccessReadAttrs
	}
	for i := range dispositions {
		if dispositions[i].flags == flags&(fxp.OpenCreate|fxp.OpenTrunc|fxp.OpenExcl) {
			h.Disposition = dispositions[i].how
		}
	}
	return h, h.Check()
}

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
	if err := checkName(r, m.Path); err != nil {
		return err
	}
	how, err := openHow(m.Flags)
	if err != nil {
		return err
	}
	if s.srv.ReadOnly && how.Modifies() {
		return CodeWriteProtect
	}
	if err := s.roomForHandle(); err != nil {
		return err
	}
	var a Attrs
	if how.Creates() {
		a = attrsOfWire(&m.Attrs)
		a.Valid &^= AttrSize // an announcement
		if err := s.srv.SetStat.apply(&a, s.caps.Attrs); err != nil {
			return err
		}
		if a.Valid != 0 {
			how.Attrs = &a
		}
	}
	f, err := s.fs.Open(s.ctx, m.Path, &how)
	if err != nil {
		return err
	}
	path, _ := CleanPath(m.Path)
	h := &handle{name: m.Path, path: path, file: f, reads: how.Reads(), writes: how.Writes(), appends: how.Appends()}
	s.files++
	s.addHandle(r, h)
	if s.log != nil {
		s.log.LogAttrs(s.ctx, slog.LevelDebug, "sftp open", slog.String("user", s.info.User), slog.String("path", h.name),
			slog.Bool("read", h.reads), slog.Bool("write", h.writes))
	}
	return nil
}

// addHandle gives h an id and answers with it.
func (s *session) addHandle(r *request, h *handle) {
	s.handles.add(h)
	p := wire.AppendUint32(s.reply(r, fxp.TypeHandle), handleSize)
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
	s.awaitHandle(h)
	return s.closeHandle(h, nil)
}

// closeHandle closes h, on which nothing runs any more, for the reason given.
func (s *session) closeHandle(h *handle, cause error) (err error) {
	s.handles.remove(h)
	if h.dir != nil {
		return h.dir.Close(cause)
	}
	err = h.file.Close(cause)
	read, written := h.read.Load(), h.written.Load()
	s.readTotal += read
	s.writTotal += written
	if s.log != nil {
		if cause == nil {
			cause = err
		}
		s.log.LogAttrs(s.ctx, slog.LevelDebug, "sftp close", slog.String("user", s.info.User), slog.String("path", h.name),
			slog.Uint64("read", read), slog.Uint64("written", written), slog.Any("error", cause))
	}
	return err
}

// wireSeconds clamps a time to what version 3 can say.
func wireSeconds(sec int64) uint32 { return uint32(min(max(sec, 0), math.MaxUint32)) }
