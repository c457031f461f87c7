package sftp

import (
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
	return s.name(r, m.Path)
}

// twoPaths decodes a request about two names.
func (s *session) twoPaths(r *request) (first, second string, err error) {
	var m fxp.TwoPaths
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return "", "", err
	}
	if first, err = s.peerName(r, m.First); err != nil {
		return "", "", err
	}
	second, err = s.peerName(r, m.Second)
	return first, second, err
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
	// "link/" is the directory that the link leads to: OpenSSH's "ls link/" asks so.
	dir := meansDir(name)
	a, err := s.fs.Stat(s.ctx, name, StatOpt{Follow: r.op == fxp.OpStat || dir})
	if err != nil {
		return err
	}
	if dir && a.Type() != TypeNone && !a.IsDir() {
		return CodeNotADirectory
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
	name, err := s.name(r, name)
	if err != nil {
		return err
	}
	a, err := attrsOfWire(w)
	if err != nil {
		return err
	}
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
	a, err := attrsOfWire(&m.Attrs)
	if err != nil {
		return err
	}
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
	name, err := s.name(r, m.Path)
	if err != nil {
		return err
	}
	a, err := attrsOfWire(&m.Attrs)
	if err != nil {
		return err
	}
	if err := s.srv.SetStat.apply(&a, s.caps.Attrs); err != nil {
		return err
	}
	if a.Valid == 0 {
		return s.fs.Mkdir(s.ctx, name, nil)
	}
	return s.fs.Mkdir(s.ctx, name, &a)
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
	return s.fs.Rename(s.ctx, JoinPath(s.startDir, from), JoinPath(s.startDir, to), 0)
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
	return s.fs.Link(s.ctx, target, JoinPath(s.startDir, link), true)
}
