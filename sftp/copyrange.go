package sftp

import (
	"context"
	"errors"
	"io"
	"math"
)

// copyChunk is the buffer of a copy through user space, and the most that is copied
// between two looks at the context.
const copyChunk = 256 << 10

// CopyRange is copy-data: n bytes of src at srcOff to dst at off, n 0 meaning up to the
// end of src *as it is now*. It asks dst.CopyRange first and copies by ReadAt and
// WriteAt otherwise. If src and dst are one object the ranges must not overlap
// (CodeInvalidParameter); that is known by AttrFileID. Without it n still is fixed before
// the first byte, so a file copied onto its own end cannot grow for ever.
// written is what was copied also when err is not nil; a source that ends early is
// not an error.
func CopyRange(ctx context.Context, dst File, off int64, src File, srcOff, n int64) (written int64, err error) {
	if off < 0 || srcOff < 0 || n < 0 || n > math.MaxInt64-off || n > math.MaxInt64-srcOff {
		return 0, Status(CodeInvalidParameter, "copy range out of bounds")
	}
	from, err := src.Stat(ctx, AttrSize|AttrFileID)
	if err != nil {
		return 0, err
	}
	to, err := dst.Stat(ctx, AttrSize|AttrFileID)
	if err != nil {
		return 0, err
	}
	if from.Has(AttrSize) {
		left := int64(min(from.Size, math.MaxInt64)) - srcOff
		if left <= 0 {
			return 0, nil
		}
		if n == 0 || n > left {
			n = left
		}
	} else if n == 0 {
		return 0, Status(CodeInvalidParameter, "size of the source is not known")
	}
	if n > math.MaxInt64-off {
		return 0, Status(CodeInvalidParameter, "copy range out of bounds")
	}
	if from.SameFile(to) && srcOff < off+n && off < srcOff+n {
		return 0, Status(CodeInvalidParameter, "ranges of one file overlap")
	}

	var buf []byte
	native := true
	for written < n {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		left := n - written
		if native {
			m, err := dst.CopyRange(ctx, off+written, src, srcOff+written, min(left, 64*copyChunk))
			written += m
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				native = false
			case err != nil:
				return written, err
			case m == 0:
				return written, nil
			}
			continue
		}
		if buf == nil {
			buf = make([]byte, min(left, copyChunk))
		}
		m, rerr := src.ReadAt(buf[:min(left, int64(len(buf)))], srcOff+written)
		if m > 0 {
			w, err := dst.WriteAt(buf[:m], off+written)
			written += int64(w)
			if err != nil {
				return written, err
			}
		}
		if errors.Is(rerr, ErrShortRead) {
			rerr = nil
		}
		if rerr != nil && !errors.Is(rerr, io.EOF) {
			return written, rerr
		}
		if m == 0 || errors.Is(rerr, io.EOF) {
			return written, nil
		}
	}
	return written, nil
}
