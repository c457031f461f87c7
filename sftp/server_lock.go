package sftp

import (
	"math"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// block and unblock serve BLOCK and UNBLOCK (filexfer-13 section 8.8). Which locks exclude
// each other, and that CLOSE ends them, is for the file system.
func (s *session) block(r *request) error {
	var m fxp.Block
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.lockable(r, m.Handle)
	if err != nil {
		return err
	}
	mask := RangeMask(m.Mask)
	switch {
	case mask&^RangeMask(OpenBlockMask) != 0 || mask&^RangeAdvisory == 0:
		return Status(CodeInvalidParameter, "unknown lock mask")
	case m.Length > math.MaxUint64-m.Offset:
		return Status(CodeInvalidParameter, "lock range out of bounds")
	case s.rangeBlocks()&(1<<(mask>>6)) == 0:
		return Status(CodeOpUnsupported, "no such locks")
	}
	return h.file.Lock(s.ctx, Range{Offset: m.Offset, Length: m.Length, Mask: mask})
}

func (s *session) unblock(r *request) error {
	var m fxp.Unblock
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.lockable(r, m.Handle)
	switch {
	case err != nil:
		return err
	case s.rangeBlocks() == noBlocks:
		return Status(CodeOpUnsupported, "no such locks")
	}
	return h.file.Unlock(s.ctx, Range{Offset: m.Offset, Length: m.Length})
}

// lockable returns the handle of a file; a directory has no octets to lock.
func (s *session) lockable(r *request, id []byte) (*handle, error) {
	if h, err := s.handles.getDir(id); err == nil {
		r.path = h.name
		return nil, Status(CodeOpUnsupported, "directories have no locks")
	}
	return s.file(r, id)
}
