package sftp

import "math"

// CheckSet is for a file system that can set the attributes in settable and the attribute bits in
// bits. It refuses what can never be set there, so that a SetStat can fail before anything is
// changed: CodeOpUnsupported for other attributes and bits, CodeInvalidParameter for values out of
// range and for an allocation below the size (filexfer-13 §7.4). Clearing a bit that cannot be set
// is no error.
func (a *Attrs) CheckSet(settable AttrMask, bits AttrBits) error {
	switch {
	case a.Valid&^(settable|AttrSubsecond) != 0:
		return Status(CodeOpUnsupported, "attribute cannot be set")
	case a.Has(AttrBitsSet) && a.Bits&a.BitsValid&^bits != 0:
		return Status(CodeOpUnsupported, "attribute bit cannot be set")
	case a.Has(AttrSize) && a.Size > math.MaxInt64, a.Has(AttrAllocation) && a.Allocation > math.MaxInt64:
		return Status(CodeInvalidParameter, "size out of range")
	case a.Has(AttrSize|AttrAllocation) && a.Allocation < a.Size:
		return Status(CodeInvalidParameter, "allocation is smaller than size")
	}
	for _, t := range [...]struct {
		bit  AttrMask
		secs int64
	}{{AttrAtime, a.Atime.Unix()}, {AttrMtime, a.Mtime.Unix()}, {AttrBirth, a.Birth.Unix()}} {
		// Package os and most systems count nanoseconds in 64 bits: 1678 to 2262.
		if a.Has(t.bit) && (t.secs <= math.MinInt64/1_000_000_000 || t.secs >= math.MaxInt64/1_000_000_000) {
			return Status(CodeInvalidParameter, "time out of range")
		}
	}
	return nil
}
