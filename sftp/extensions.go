package sftp

import (
	"crypto/rand"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// extension finds the row of an EXTENDED request and its data. What is not offered is
// as unknown as what is not known; for OpExtended the data is the whole body.
func (s *session) extension(body []byte) (fxp.Op, []byte) {
	var m extensionName
	c := wire.Decoder(body)
	m.Layout(c)
	if c.Err() != nil {
		return fxp.OpExtended, body // which finds it malformed
	}
	op := fxp.OpOfExtension(m.name, s.version)
	if op == fxp.OpExtended || op == fxp.OpNone {
		return op, body
	}
	switch {
	case s.offered[op], op == fxp.OpVersionSelect: // which ends the session if it is refused
		return op, m.data
	case slices.Contains(s.caps.Extensions, string(m.name)):
		return fxp.OpExtended, body // which the file system does itself
	}
	return fxp.OpNone, nil
}

// extensionName is fxp.Extended without a copy of the name.
type extensionName struct{ name, data []byte }

// Layout implements wire.Layouter.
func (m *extensionName) Layout(c *wire.Coder) {
	c.Bytes(&m.name)
	c.Rest(&m.data)
}

// extended passes a request that is not in the table to the file system.
func (s *session) extended(r *request) error {
	var m fxp.Extended
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	r.path = m.Name
	switch {
	case !s.offers(m.Name):
		return CodeOpUnsupported
	case !s.srv.ReadOnly:
	case slices.Contains(s.caps.Extensions, m.Name):
		return CodeWriteProtect // nobody knows what it does
	default:
		return CodeOpUnsupported
	}
	data, err := s.fs.Extended(s.ctx, m.Name, m.Data)
	if err != nil {
		return err
	}
	if len(data) > fxp.MaxData {
		return Status(CodeFailure, "reply too long")
	}
	if data != nil {
		s.finish(append(s.reply(r, fxp.TypeExtendedReply), data...))
	}
	return nil
}

// text decodes the data of an extension with one string.
func (s *session) text(r *request) (string, error) {
	var m fxp.ExtText
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return "", err
	}
	return s.peerName(r, m.Text)
}

// paths decodes the data of an extension with two names.
func (s *session) paths(r *request) (from, to string, err error) {
	var m fxp.ExtPaths
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return "", "", err
	}
	if from, err = s.peerName(r, m.Old); err != nil {
		return "", "", err
	}
	to, err = s.peerName(r, m.New)
	return from, to, err
}

// extHandle decodes the data of an extension about an open file.
func (s *session) extHandle(r *request) (*handle, error) {
	var m fxp.ExtHandle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return nil, err
	}
	return s.file(r, m.Handle)
}

// posixRename serves posix-rename@openssh.com (OpenSSH PROTOCOL section 4.3).
func (s *session) posixRename(r *request) error {
	from, to, err := s.paths(r)
	if err != nil {
		return err
	}
	return s.move(JoinPath(s.startDir, from), JoinPath(s.startDir, to), RenameOverwrite|RenameAtomic)
}

// hardlink serves hardlink@openssh.com (section 4.5).
func (s *session) hardlink(r *request) error {
	old, link, err := s.paths(r)
	if err != nil {
		return err
	}
	return s.makeLink(JoinPath(s.startDir, old), JoinPath(s.startDir, link), false)
}

// statVFS and fstatVFS serve section 4.4.
func (s *session) statVFS(r *request) error {
	name, err := s.text(r)
	if err != nil {
		return err
	}
	info, err := s.fs.StatFS(s.ctx, JoinPath(s.startDir, name))
	if err != nil {
		return err
	}
	s.replyStatVFS(r, info)
	return nil
}

func (s *session) fstatVFS(r *request) error {
	h, err := s.extHandle(r)
	if err != nil {
		return err
	}
	info, err := h.file.StatFS(s.ctx)
	if err != nil {
		return err
	}
	s.replyStatVFS(r, info)
	return nil
}

func (s *session) replyStatVFS(r *request, i *FSInfo) {
	m := fxp.ReplyStatVFS{
		BSize: i.BlockSize, FrSize: i.FragmentSize, Blocks: i.Blocks, BFree: i.Free, BAvail: i.Avail,
		Files: i.Files, FFree: i.FilesFree, FAvail: i.FilesAvail, FSID: i.ID, Flag: uint64(i.Flags), NameMax: i.NameMax,
	}
	if s.srv.ReadOnly {
		m.Flag |= uint64(FSReadOnly)
	}
	s.finish(wire.Append(s.reply(r, fxp.TypeExtendedReply), &m))
}

// fsync serves fsync@openssh.com (section 4.6).
func (s *session) fsync(r *request) error {
	h, err := s.extHandle(r)
	if err != nil {
		return err
	}
	return h.file.Sync(s.ctx)
}

// lsetstat serves lsetstat@openssh.com (section 4.7).
func (s *session) lsetstat(r *request) error {
	var m fxp.ExtSetstat
	m.Attrs.V = s.version
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	return s.setName(r, m.Path, &m.Attrs, false)
}

// limits serves limits@openssh.com (section 4.8).
func (s *session) limits(r *request) error {
	m := fxp.ReplyLimits{
		MaxPacket: fxp.MaxLength, MaxRead: fxp.MaxData, MaxWrite: fxp.MaxData,
		MaxHandles: uint64(s.handles.max),
	}
	s.finish(wire.Append(s.reply(r, fxp.TypeExtendedReply), &m))
	return nil
}

// expandPath serves expand-path@openssh.com (section 4.9): "~", "~/x", "~user" and
// "~user/x", and everything else as REALPATH.
func (s *session) expandPath(r *request) error {
	name, err := s.text(r)
	if err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(name, "~"); ok {
		user, rest, _ := strings.Cut(rest, "/")
		home, err := s.home(user)
		if err != nil {
			return err
		}
		name = home
		if rest != "" {
			name += "/" + rest
		}
		if err := checkName(r, name); err != nil {
			return err
		}
	}
	return s.replyPath(r, JoinPath(s.startDir, name), RealPathOpt{})
}

// homeDirectory serves home-directory (section 4.11).
func (s *session) homeDirectory(r *request) error {
	user, err := s.text(r)
	if err != nil {
		return err
	}
	home, err := s.home(user)
	if err != nil {
		return err
	}
	s.replyName(r, home, nil)
	return nil
}

// home returns the home directory of a user. The session's own user may be named.
func (s *session) home(user string) (string, error) {
	if user == s.info.User {
		user = ""
	}
	return s.fs.HomeDir(s.ctx, user)
}

// maxIDs bounds users-groups-by-id: each may cost a look-up in a directory service.
const maxIDs = 4096

// usersGroupsByID serves users-groups-by-id@openssh.com (section 4.12).
func (s *session) usersGroupsByID(r *request) error {
	var m fxp.ExtIDs
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	if len(m.UIDs)+len(m.GIDs) > maxIDs {
		return Status(CodeFailure, "too many ids")
	}
	users, groups, err := s.fs.LookupIDs(s.ctx, m.UIDs, m.GIDs)
	if err != nil {
		return err
	}
	if len(users) != len(m.UIDs) || len(groups) != len(m.GIDs) {
		return errBadCount
	}
	names := fxp.ReplyNames{Users: users, Groups: groups}
	p := wire.Append(s.reply(r, fxp.TypeExtendedReply), &names)
	if len(p) > fxp.MaxData {
		r.answered = false
		return Status(CodeFailure, "reply too long")
	}
	s.finish(p)
	return nil
}

// spaceAvailable serves space-available (filexfer-extensions-00). What a quota leaves, and
// what is kept for the system, is told apart by Avail.
func (s *session) spaceAvailable(r *request) error {
	name, err := s.text(r)
	if err != nil {
		return err
	}
	i, err := s.fs.StatFS(s.ctx, JoinPath(s.startDir, name))
	if err != nil {
		return err
	}
	unit := i.FragmentSize
	if unit == 0 {
		unit = max(i.BlockSize, 1)
	}
	m := fxp.ReplySpace{
		Device: octets(i.Blocks, unit), DeviceFree: octets(i.Free, unit),
		User: octets(i.Blocks-min(i.Blocks, i.Free-min(i.Free, i.Avail)), unit), UserFree: octets(i.Avail, unit),
		Unit: uint32(min(unit, math.MaxUint32)),
	}
	s.finish(wire.Append(s.reply(r, fxp.TypeExtendedReply), &m))
	return nil
}

// octets are those of n blocks, as far as 64 bits hold them.
func octets(n, unit uint64) uint64 {
	if n > math.MaxUint64/unit {
		return math.MaxUint64
	}
	return n * unit
}

// getTempFolder and makeTempFolder serve the requests for a place for temporary files
// (filexfer-extensions-00).
func (s *session) getTempFolder(r *request) error {
	return s.replyPath(r, JoinPath(s.startDir, s.srv.TempFolder), RealPathOpt{})
}

func (s *session) makeTempFolder(r *request) error {
	name := JoinPath(s.startDir, s.srv.TempFolder) + "/" + rand.Text()
	if err := s.fs.Mkdir(s.ctx, name, &Attrs{Valid: AttrMode & s.caps.Attrs, Mode: 0o700}); err != nil {
		return err
	}
	s.did(dirMade, name, "")
	r.path = name
	return s.replyPath(r, name, RealPathOpt{})
}

// filenameTranslation serves filename-translation-control (filexfer-13 section 6).
func (s *session) filenameTranslation(r *request) error {
	var m fxp.ExtFlag
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	if !s.charsetSaid {
		return CodeOpUnsupported
	}
	return s.names.control(s.version, m.On)
}
