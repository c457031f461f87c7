package memfs

import (
	"io"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// chunkSize is the piece a file grows by: growing never copies more than one piece, and
// pieces never written are holes.
const chunkSize = 64 << 10

// minChunk is the first size of a piece, so that small files stay small.
const minChunk = 512

// content is the bytes of a file. Pieces are up to chunkSize long; those that are missing
// are holes, and what lies behind a piece's length and before the size is zero. A map holds
// them, since a slice would cost its length in memory for one octet at a far offset.
type content struct {
	size     int64
	held     int64 // sum of the capacities of pieces
	extra    int64 // what the node holds besides: target, attributes
	pieces   map[int][]byte
	open     int // handles
	nameless bool
}

func (c *content) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, sftp.CodeInvalidParameter
	}
	if off >= c.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	var err error
	if left := c.size - off; int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	n := 0
	for n < len(p) {
		i, at := int((off+int64(n))/chunkSize), int((off+int64(n))%chunkSize)
		want := min(len(p)-n, chunkSize-at)
		part := p[n : n+want]
		m := 0
		if piece := c.pieces[i]; at < len(piece) {
			m = copy(part, piece[at:])
		}
		clear(part[m:])
		n += want
	}
	return n, err
}

// writeAt writes all of p or nothing. limit is checked before any memory is taken.
func (c *content) writeAt(s *FS, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, sftp.CodeInvalidParameter
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off > s.opt.MaxBytes-int64(len(p)) {
		return 0, sftp.CodeNoSpace
	}
	end := off + int64(len(p))
	first, last := int(off/chunkSize), int((end-1)/chunkSize)
	var more int64
	for i := first; i <= last; i++ {
		more += int64(pieceCap(c.pieceUse(i, end)) - c.pieceCap(i))
	}
	if !s.reserve(more) {
		return 0, sftp.CodeNoSpace
	}
	c.held += more
	if c.pieces == nil {
		c.pieces = make(map[int][]byte)
	}
	n := 0
	for i := first; i <= last; i++ {
		use := c.pieceUse(i, end)
		piece := c.pieces[i]
		if want := pieceCap(use); want > cap(piece) {
			grown := make([]byte, len(piece), want)
			copy(grown, piece)
			piece = grown
		}
		at := int(off+int64(n)) % chunkSize
		stop := min(at+len(p)-n, chunkSize)
		if len(piece) < stop {
			old := len(piece)
			piece = piece[:stop]
			if old < at {
				clear(piece[old:at])
			}
		}
		n += copy(piece[at:stop], p[n:])
		c.pieces[i] = piece
	}
	c.size = max(c.size, end)
	return n, nil
}

// pieceUse returns how long piece i must be once the content reaches end, pieceCap (the
// method) what it holds now.
func (c *content) pieceUse(i int, end int64) int {
	use := int(min(end-int64(i)*chunkSize, chunkSize))
	return max(use, c.pieceCap(i))
}

func (c *content) pieceCap(i int) int { return cap(c.pieces[i]) }

// pieceCap rounds up to a power of two, so that appending small writes copies each
// byte about once.
func pieceCap(use int) int {
	n := minChunk
	for n < use {
		n *= 2
	}
	return n
}

// truncate sets the size; growing makes a hole.
func (c *content) truncate(s *FS, size int64) error {
	if size < 0 || size > s.opt.MaxBytes {
		return sftp.CodeNoSpace
	}
	if size < c.size {
		c.cut(s, size)
	}
	c.size = size
	return nil
}

// cut drops what lies at size and behind. The map is made anew, since one that had many
// pieces keeps their places.
func (c *content) cut(s *FS, size int64) {
	var kept map[int][]byte
	for i, piece := range c.pieces {
		left := size - int64(i)*chunkSize
		if left <= 0 {
			n := int64(cap(piece))
			c.held -= n
			s.used.Add(-n)
			continue
		}
		if int64(len(piece)) > left {
			piece = piece[:left]
		}
		if kept == nil {
			kept = make(map[int][]byte)
		}
		kept[i] = piece
	}
	c.pieces = kept
}

// orphan marks content whose last name is gone; it is freed with its last handle.
func (c *content) orphan(s *FS) {
	c.nameless = true
	c.free(s)
}

func (c *content) free(s *FS) {
	if c.nameless && c.open == 0 {
		s.used.Add(-c.held - c.extra)
		*c = content{nameless: true}
	}
}

// reserve takes n bytes from the budget.
func (s *FS) reserve(n int64) bool {
	for {
		used := s.used.Load()
		if n > s.opt.MaxBytes-used {
			return false
		}
		if s.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}
