package sftp

import (
	"cmp"
	"errors"

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
	fxp.OpLink:     {run: (*session).link},
	fxp.OpBlock:    {run: (*session).block},
	fxp.OpUnblock:  {run: (*session).unblock},

	fxp.OpPosixRename:     {(*session).posixRename, FeatureWrite | FeaturePosixRename},
	fxp.OpStatVFS:         {(*session).statVFS, FeatureStatFS},
	fxp.OpFstatVFS:        {(*session).fstatVFS, FeatureStatFS},
	fxp.OpHardlink:        {(*session).hardlink, FeatureWrite | FeatureHardLink},
	fxp.OpFsync:           {(*session).fsync, FeatureWrite | FeatureSync},
	fxp.OpLsetstat:        {(*session).lsetstat, FeatureWrite | FeatureLSetStat},
	fxp.OpLimits:          {(*session).limits, 0},
	fxp.OpExpandPath:      {(*session).expandPath, FeatureHomeDir},
	fxp.OpCopyData:        {(*session).copyData, FeatureWrite | FeatureCopy},
	fxp.OpHomeDirectory:   {(*session).homeDirectory, FeatureHomeDir},
	fxp.OpUsersGroupsByID: {(*session).usersGroupsByID, FeatureLookupIDs},
	fxp.OpCheckFileName:   {(*session).checkFileName, 0},
	fxp.OpCheckFileHandle: {(*session).checkFileHandle, 0},
	fxp.OpMD5Hash:         {(*session).md5Hash, 0},
	fxp.OpMD5HashHandle:   {(*session).md5HashHandle, 0},
	fxp.OpCopyFile:        {(*session).copyFile, FeatureWrite | FeatureCopy},
	fxp.OpSpaceAvailable:  {(*session).spaceAvailable, FeatureStatFS},
	fxp.OpTextSeek:        {(*session).textSeek, 0},
	fxp.OpVersionSelect:   {(*session).versionSelect, 0},
	fxp.OpVendorID:        {(*session).vendorID, 0},
	fxp.OpGetTempFolder:   {(*session).getTempFolder, 0},
	fxp.OpMakeTempFolder:  {(*session).makeTempFolder, FeatureWrite},
	fxp.OpExtended:        {(*session).extended, 0},

	fxp.OpFilenameTranslation: {(*session).filenameTranslation, 0},
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
		s.awaitFile(h)
	}
	return h, nil
}

func (s *session) stat(r *request) error {
	m := fxp.Stat{V: s.version}
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	name, err := s.name(r, m.Path)
	if err != nil {
		return err
	}
	// "link/" is the directory that the link leads to: OpenSSH's "ls link/" asks so.
	dir := meansDir(name)
	a, err := s.fs.Stat(s.ctx, name, StatOpt{Follow: r.op == fxp.OpStat || dir, Want: s.want(m.Want)})
	if err != nil {
		return err
	}
	if dir && a.Type() != TypeNone && !a.IsDir() {
		return CodeNotADirectory
	}
	s.replyAttrs(r, a, m.Want)
	return nil
}

// commonAttrs are those that are sent to whoever does not ask for more. What few ask for,
// few can read: lftp's layout of version 6 lacks the allocation size, that of ACLs
// differs between programs.
const commonAttrs = AttrsBasic | AttrOwnerGroup | AttrBirth | AttrCtime | AttrLinks | AttrBitsSet

// told are the attribute flags that may be sent to a peer whose request has word.
func (s *session) told(word uint32) uint32 {
	if s.version < fxp.V4 {
		return fxp.AttrMask(s.version)
	}
	return word | uint32(commonAttrs)
}

// want is which attributes a request asks for. The type has no bit: it is in the mode.
func (s *session) want(word uint32) AttrMask {
	want := wantOfWire(word, s.version)
	switch {
	case want != 0:
		return want | AttrMode
	case s.version >= fxp.V4:
		return AttrsBasic | AttrOwnerGroup
	}
	return AttrsBasic
}

func (s *session) fstat(r *request) error {
	m := fxp.Fstat{V: s.version}
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.fileOrDir(r, m.Handle)
	if err != nil {
		return err
	}
	var a *Attrs
	if h.dir != nil {
		a, err = s.fs.Stat(s.ctx, h.name, StatOpt{Follow: true, Want: s.want(m.Want)})
	} else {
		a, err = h.file.Stat(s.ctx, s.want(m.Want))
	}
	if err != nil {
		return err
	}
	s.replyAttrs(r, a, m.Want)
	return nil
}

// fileOrDir is file for requests that version 6 has for open directories, too.
func (s *session) fileOrDir(r *request, id []byte) (*handle, error) {
	if s.version >= fxp.V6 {
		if h, err := s.handles.getDir(id); err == nil {
			r.path = h.name
			return h, nil
		}
	}
	return s.file(r, id)
}

func (s *session) replyAttrs(r *request, a *Attrs, word uint32) {
	w := wireAttrs(a, s.version)
	w.Flags &= s.told(word)
	p := wire.Append(s.reply(r, fxp.TypeAttrs), &w)
	if len(p) > fxp.MaxData {
		// Somebody has set more than fits a message: none of it, rather than one that ends
		// the session of whoever asks.
		w.Flags &^= fxp.AttrExtended | fxp.AttrACL | fxp.AttrMIME
		p = wire.Append(s.reply(r, fxp.TypeAttrs), &w)
	}
	s.finish(p)
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
	a, err := s.settable(w)
	if err != nil || a.Valid == 0 && w.Flags != 0 && !s.info.EveryRequest {
		return err
	}
	if err = s.fs.SetStat(s.ctx, name, &a, follow); err == nil {
		s.setAttrs(name, &a)
	}
	return unknownNames(err, &a)
}

func (s *session) fsetstat(r *request) error {
	var m fxp.Fsetstat
	m.Attrs.V = s.version
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.fileOrDir(r, m.Handle)
	if err != nil {
		return err
	}
	a, err := s.settable(&m.Attrs)
	switch {
	case err != nil || a.Valid == 0 && !s.info.EveryRequest:
		return err
	case h.dir != nil:
		err = s.fs.SetStat(s.ctx, h.name, &a, true)
	default:
		err = h.file.SetStat(s.ctx, &a)
	}
	if err == nil {
		s.setAttrs(cmp.Or(h.path, h.name), &a)
	}
	return unknownNames(err, &a)
}

func (s *session) remove(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	if err = s.fs.Remove(s.ctx, name); err == nil {
		s.did(fileRemoved, name, "")
	}
	return err
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
	a, err := s.initial(&m.Attrs)
	if err != nil {
		return err
	}
	if err = s.fs.Mkdir(s.ctx, name, a); err == nil {
		s.did(dirMade, name, "")
	}
	return unknownNames(err, a)
}

func (s *session) rmdir(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	if err = s.fs.Rmdir(s.ctx, name); err == nil {
		s.did(dirRemoved, name, "")
	}
	return err
}

// realpath serves REALPATH. From version 6 on it says what to look at, and composes paths
// (filexfer-13 section 8.9).
func (s *session) realpath(r *request) error {
	m := fxp.Realpath{V: s.version}
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	name, err := s.name(r, m.Path)
	if err != nil {
		return err
	}
	for _, elem := range m.Compose {
		if elem, err = s.peerName(r, elem); err != nil {
			return err
		}
		// Cleaned at each step, so that it stays as short as a name may be.
		if name, err = CleanPath(JoinPath(name, elem)); err != nil {
			return err
		}
	}
	control := RealPathControl(m.Control)
	switch {
	case s.version < fxp.V6:
	case control > RealPathStatAlways:
		return Status(CodeInvalidParameter, "unknown control of REALPATH")
	case control == RealPathDefault:
		control = RealPathNoCheck
	}
	if control < RealPathStatIf || s.version < fxp.V6 {
		return s.replyPath(r, name, RealPathOpt{Control: control, Want: s.want(0)})
	}
	s.awaitAll() // as STAT does: the attributes may be those of any open file
	err = s.replyPath(r, name, RealPathOpt{Control: control, Want: s.want(0)})
	if control == RealPathStatIf && notThere(err) {
		if name, err = CleanPath(name); err == nil {
			s.replyName(r, name, nil)
		}
	}
	return err
}

// notThere tells whether err says that a file does not exist or cannot be looked at, which
// does not fail REALPATH with STAT_IF.
func notThere(err error) bool {
	switch CodeOf(err) {
	case CodeNoSuchFile, CodeNoSuchPath, CodeNotADirectory, CodePermissionDenied, CodeLinkLoop:
		return err != nil
	default:
		return false
	}
}

// replyPath answers with the real path of name. A file system without RealPath has no links
// that lead elsewhere, as far as anybody knows: then it is the cleaned name. It cannot be
// refused, since most clients begin with REALPATH of "." and give up without an answer.
func (s *session) replyPath(r *request, name string, opt RealPathOpt) error {
	real, a, err := s.fs.RealPath(s.ctx, name, opt)
	if errors.Is(err, errors.ErrUnsupported) {
		if real, err = CleanPath(name); err == nil && opt.Control >= RealPathStatIf {
			a, err = s.fs.Stat(s.ctx, real, StatOpt{Want: opt.Want})
		}
	}
	if err != nil {
		return err
	}
	s.replyName(r, real, a)
	return nil
}

// rename serves RENAME. Flags exist from version 5 on (filexfer-13 section 8.3).
func (s *session) rename(r *request) error {
	m := fxp.Rename{V: s.version}
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	from, err := s.name(r, m.Old)
	if err != nil {
		return err
	}
	to, err := s.name(r, m.New)
	if err != nil {
		return err
	}
	flags := RenameFlags(m.Flags)
	switch {
	case flags&^(RenameOverwrite|RenameAtomic|RenameNative) != 0:
		return Status(CodeOpUnsupported, "unknown rename flag")
	case flags&RenameNative != 0: // the others are wishes then
	case flags&RenameAtomic != 0 && !s.caps.Features.Has(FeaturePosixRename):
		return Status(CodeOpUnsupported, "cannot replace atomically")
	}
	return s.move(from, to, flags)
}

// move renames, also in what is known of open files.
func (s *session) move(from, to string, flags RenameFlags) error {
	if err := s.fs.Rename(s.ctx, from, to, flags); err != nil {
		return err
	}
	s.did(fileRenamed, from, to)
	// What has no clean form was still renamed: the file system knows better.
	from, err := CleanPath(from)
	to, err2 := CleanPath(to)
	if err == nil && err2 == nil {
		s.handles.moved(from, to)
	}
	return nil
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
	s.replyName(r, target, nil)
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
	return s.makeLink(target, JoinPath(s.startDir, link), true)
}

// link serves LINK, which takes the place of SYMLINK in version 6 (filexfer-13 section 8.7).
func (s *session) link(r *request) error {
	var m fxp.Link
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	if s.quirks&existingFirst != 0 {
		m.New, m.Target = m.Target, m.New
	}
	link, err := s.name(r, m.New)
	if err != nil {
		return err
	}
	target, err := s.peerName(r, m.Target)
	if err != nil {
		return err
	}
	need := FeatureSymlink
	if !m.Symbolic {
		need, target = FeatureHardLink, JoinPath(s.startDir, target)
	}
	if !s.caps.Features.Has(need) {
		return CodeOpUnsupported
	}
	return s.makeLink(target, link, m.Symbolic)
}

// makeLink makes a link of either kind.
func (s *session) makeLink(target, link string, symbolic bool) error {
	if err := s.fs.Link(s.ctx, target, link, symbolic); err != nil {
		return err
	}
	if symbolic {
		s.did(symlinkMade, link, target)
	} else {
		s.did(hardLinkMade, link, target)
	}
	return nil
}
