package sftp

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// copyData serves copy-data (OpenSSH PROTOCOL section 4.10), beside the loop.
func (s *session) copyData(r *request) error {
	var m fxp.ExtCopyData
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	from, err := s.handles.getFile(m.From)
	if err != nil {
		return err
	}
	to, err := s.handles.getFile(m.To)
	if err != nil {
		return err
	}
	r.path = to.name
	switch {
	case from == to:
		return Status(CodeInvalidParameter, "source and target are one handle")
	case !from.reads:
		return errNotRead
	case !to.writes:
		return errNotWrite
	case from.text != nil || to.text != nil:
		return Status(CodeInvalidParameter, "text has no offsets")
	case m.FromOffset > math.MaxInt64 || m.ToOffset > math.MaxInt64 || m.Length > math.MaxInt64:
		return errOffset
	}
	s.awaitFile(from)
	s.awaitFile(to)
	s.background(r, to, from, true, func() ([]byte, error) {
		n, err := CopyRange(s.beside, to.file, int64(m.ToOffset), from.file, int64(m.FromOffset), int64(m.Length))
		if n > 0 {
			to.written.Add(uint64(n))
			from.read.Add(uint64(n))
			to.copiedIn.Add(uint64(n))
			from.copiedOut.Add(uint64(n))
		}
		s.copied(from, to, n, err)
		if err != nil {
			to.lost.forever(err)
		}
		return nil, err
	})
	return nil
}

// copied writes the line of n octets that were copied between handles.
func (s *session) copied(from, to *handle, n int64, err error) {
	if !s.trail || n <= 0 && err != nil {
		return
	}
	attrs := []slog.Attr{slog.Int64("octets", n), slog.Bool("complete", err == nil)}
	if err != nil {
		attrs = append(attrs, slog.String("error", plain(err.Error())))
	}
	s.did(fileCopied, cmp.Or(from.path, from.name), cmp.Or(to.path, to.name), attrs...)
}

// copyFile serves copy-file, beside the loop: the content of a regular file, its mode and
// its times. What could not be copied in full is removed.
func (s *session) copyFile(r *request) error {
	var m fxp.ExtCopyFile
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	from, err := s.name(r, m.From)
	if err != nil {
		return err
	}
	to, err := s.name(r, m.To)
	switch {
	case err != nil:
		return err
	case meansDir(m.From) || meansDir(m.To):
		return CodeIsADirectory
	case s.draining.Load():
		return errDraining
	}
	// For what is asked of the same files by handles.
	src, dst := &handle{}, &handle{}
	if src.path, err = CleanPath(from); err != nil {
		return err
	}
	if dst.path, err = CleanPath(to); err != nil {
		return err
	}
	s.background(r, dst, src, true, func() ([]byte, error) {
		err := s.duplicate(src.path, dst.path, m.Overwrite)
		if err == nil {
			s.did(fileCopied, src.path, dst.path)
		}
		return nil, err
	})
	return nil
}

// duplicate copies the file from to to, both clean.
func (s *session) duplicate(from, to string, overwrite bool) (err error) {
	src, err := s.fs.Open(s.beside, from, &OpenHow{Access: AccessReadData | AccessReadAttrs, Disposition: OpenExisting})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close(err)) }()
	a, err := src.Stat(s.beside, AttrSize|AttrMode|AttrTimes|AttrFileID)
	if err != nil {
		return err
	}
	how := OpenHow{Access: AccessWriteData | AccessWriteAttrs, Disposition: CreateNew}
	if overwrite {
		// Before it is emptied: it may be the source itself.
		if b, err := s.fs.Stat(s.beside, to, StatOpt{Follow: true, Want: AttrFileID}); err == nil && (a.SameFile(b) || s.onePath(from, to)) {
			return Status(CodeInvalidParameter, "source and target are one file")
		}
		how.Disposition = CreateTruncate
	}
	// The client asked for a copy, not for attributes: what may not be set is left out.
	mode := Attrs{Valid: a.Valid & AttrMode, Mode: a.Mode & ModePerm}
	if s.srv.SetStat.apply(&mode, s.caps.Attrs, 0) == nil && mode.Valid != 0 {
		how.Attrs = &mode
	}
	dst, err := s.fs.Open(s.beside, to, &how)
	if err != nil {
		return err
	}
	made, err := s.fill(dst, src, a)
	if cerr := dst.Close(err); err == nil {
		err = cerr
	}
	if made != nil {
		s.removeCopy(to, made)
	}
	return err
}

// fill copies src with the attributes a into dst, and returns what dst is if that fails. It is
// guarded by itself, since its caller has dst to close.
func (s *session) fill(dst, src File, a *Attrs) (made *Attrs, err error) {
	defer s.guard(&err)
	if _, err = CopyRange(s.beside, dst, 0, src, 0, 0); err != nil {
		// Even if the session has ended, which may be why.
		made, _ = dst.Stat(context.WithoutCancel(s.beside), AttrFileID)
		return made, err
	}
	times := Attrs{Valid: a.Valid & AttrTimes, Atime: a.Atime, Mtime: a.Mtime}
	if s.srv.SetStat.apply(&times, s.caps.Attrs, 0) == nil && times.Valid&(AttrAtime|AttrMtime) != 0 {
		_ = dst.SetStat(s.beside, &times)
	}
	return nil, nil
}

// onePath tells whether two clean names lead to one place, for file systems that do not say
// which files are the same.
func (s *session) onePath(a, b string) bool {
	if a == b {
		return true
	}
	a, err := realPath(s.beside, s.fs, a, true)
	if err != nil {
		return false
	}
	b, err = realPath(s.beside, s.fs, b, true)
	return err == nil && a == b
}

// removeCopy removes what a copy that failed has left, unless the name has come to mean
// something else, such as a link to it.
func (s *session) removeCopy(name string, made *Attrs) {
	ctx := context.WithoutCancel(s.beside)
	if now, err := s.fs.Stat(ctx, name, StatOpt{Want: AttrFileID}); err == nil && now.SameFile(made) {
		_ = s.fs.Remove(ctx, name)
	}
}
