package sftp

import (
	"context"
	"io/fs"
	"math"
	"slices"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// HashRange says what of a file a server is to hash (check-file).
type HashRange struct {
	// Algorithms in order of preference: md5, sha1, sha224, sha256, sha384, sha512,
	// crc32. nil is sha256, then sha512, sha1 and md5.
	Algorithms []string
	// Start and Length are the octets; Length 0 is up to the end of the file.
	Start, Length int64
	// BlockSize asks for a hash of each block of as many octets, at least 256; 0 is one
	// hash over all.
	BlockSize uint32
}

// Hashes is the result of a check-file request: the algorithm and the hashes, one after the other.
type Hashes struct {
	// Algorithm is the draft's name of one of those that were asked for.
	Algorithm string
	// Sum is the hash of one block after the other, all of the same length.
	Sum []byte
}

// Hash has the server hash a file (check-file-name, or md5-hash where there is only that and md5
// is among the algorithms).
func (c *Client) Hash(ctx context.Context, name string, r HashRange) (*Hashes, error) {
	h, err := c.hash(ctx, name, nil, r)
	return h, pathError("hash", name, err)
}

// Hash has the server hash the file, with all that was written to it before
// (check-file-handle, md5-hash-handle).
func (f *RemoteFile) Hash(ctx context.Context, r HashRange) (*Hashes, error) {
	err := f.flush(ctx)
	var h *Hashes
	if err == nil {
		h, err = f.c.hash(ctx, f.name, f.handle, r)
	}
	return h, pathError("hash", f.name, err)
}

func (c *Client) hash(ctx context.Context, name string, handle []byte, r HashRange) (*Hashes, error) {
	if r.Start < 0 || r.Length < 0 || r.BlockSize > 0 && r.BlockSize < minHashBlock {
		return nil, CodeInvalidParameter
	}
	if r.Algorithms == nil {
		r.Algorithms = []string{"sha256", "sha512", "sha1", "md5"}
	}
	if !c.supports(fxp.OpCheckFileName) && !c.Supports("check-file-name") {
		return c.md5(ctx, name, handle, r)
	}
	if c.quirks&wrongRanges != 0 && r.Length != 0 {
		return nil, errRange
	}
	w := fxp.HashRange{Algorithms: r.Algorithms, Start: uint64(r.Start), Length: uint64(r.Length), BlockSize: r.BlockSize}
	var m fxp.ReplyCheckFile
	var err error
	if handle != nil {
		err = c.request(ctx, fxp.OpCheckFileHandle, &fxp.ExtCheckHandle{Handle: handle, HashRange: w}, &m)
	} else {
		err = c.request(ctx, fxp.OpCheckFileName, &fxp.ExtCheckName{Path: c.toWire(name), HashRange: w}, &m)
	}
	if err != nil {
		return nil, err
	}
	sum, err := c.quirks.hashes(&m)
	if err != nil {
		return nil, c.fail(err)
	}
	return &Hashes{Algorithm: m.Algorithm, Sum: sum}, nil
}

// md5 asks for the one hash that the drafts themselves have (filexfer-05 section 8.1).
func (c *Client) md5(ctx context.Context, name string, handle []byte, r HashRange) (*Hashes, error) {
	if r.BlockSize != 0 || !slices.Contains(r.Algorithms, "md5") {
		return nil, unannounced(fxp.OpCheckFileName.Row().AnnouncedAs)
	}
	w := fxp.MD5Range{Start: uint64(r.Start), Length: uint64(r.Length)}
	if r.Length == 0 && r.Start > 0 {
		w.Length = math.MaxInt64 - w.Start // 0 alone is the whole file
	}
	var m fxp.ReplyMD5
	var err error
	if handle != nil {
		err = c.extended(ctx, fxp.OpMD5HashHandle, &fxp.ExtMD5Handle{Handle: handle, MD5Range: w}, &m)
	} else {
		err = c.extended(ctx, fxp.OpMD5Hash, &fxp.ExtMD5Name{Path: c.toWire(name), MD5Range: w}, &m)
	}
	if err != nil {
		return nil, err
	}
	return &Hashes{Algorithm: "md5", Sum: m.Hash}, nil
}

// Space tells how large a file system is and how much of it is free, in octets (space-available).
type Space struct {
	Total, Free         uint64 // of the device
	UserTotal, UserFree uint64 // of what the user may have; 0 is not known
	Unit                uint32 // of allocation
}

// SpaceAvailable returns how much space the file system of name has (space-available).
func (c *Client) SpaceAvailable(ctx context.Context, name string) (*Space, error) {
	var m fxp.ReplySpace
	if err := c.extended(ctx, fxp.OpSpaceAvailable, &fxp.ExtText{Text: c.toWire(name)}, &m); err != nil {
		return nil, pathError("space-available", name, err)
	}
	return &Space{Total: m.Device, Free: m.DeviceFree, UserTotal: m.User, UserFree: m.UserFree, Unit: m.Unit}, nil
}

// TempFolder returns a directory for temporary files: the server's common one (get-temp-folder), or
// with own a new one made for the caller (make-temp-folder).
func (c *Client) TempFolder(ctx context.Context, own bool) (string, error) {
	op := fxp.OpGetTempFolder
	if own {
		op = fxp.OpMakeTempFolder
	}
	p, err := c.named(ctx, op, &fxp.ExtNothing{})
	return p, during(op, err)
}

// TranslateNames says whether the server shall translate names to UTF-8, as it does initially, or
// send them in its own charset, which is ServerInfo.Charset (filename-translation-control of
// version 6).
func (c *Client) TranslateNames(ctx context.Context, on bool) error {
	return during(fxp.OpFilenameTranslation, c.extended(ctx, fxp.OpFilenameTranslation, &fxp.ExtFlag{On: on}, nil))
}

// SendVendor tells the server which program this is (vendor-id), if the server announced that
// extension.
func (c *Client) SendVendor(ctx context.Context, vendor, product, version string, build uint64) error {
	m := fxp.VendorID{Vendor: vendor, Product: product, Version: version, Build: build}
	return during(fxp.OpVendorID, c.extended(ctx, fxp.OpVendorID, &m, nil))
}

// Lock locks a range of octets (BLOCK of version 6). An overlap with another lock, even one's
// own, is CodeRangeLockRefused.
func (f *RemoteFile) Lock(ctx context.Context, r Range) error {
	err := f.locks(ctx)
	if err == nil {
		err = f.c.status(ctx, &fxp.Block{Handle: f.handle, Offset: r.Offset, Length: r.Length, Mask: uint32(r.Mask)})
	}
	return pathError("lock", f.name, err)
}

// Unlock unlocks a range that Lock locked with the same offset and length (UNBLOCK of version
// 6). Closing the file unlocks all.
func (f *RemoteFile) Unlock(ctx context.Context, r Range) error {
	err := f.locks(ctx)
	if err == nil {
		err = f.flush(ctx) // what was written under the lock
	}
	if err == nil {
		err = f.c.status(ctx, &fxp.Unblock{Handle: f.handle, Offset: r.Offset, Length: r.Length})
	}
	return pathError("unlock", f.name, err)
}

// locks says whether there are locks at all.
func (f *RemoteFile) locks(ctx context.Context) error {
	switch {
	case f.c.version < fxp.V6:
		return Status(CodeOpUnsupported, "protocol version has no locks")
	case f.isClosed():
		return fs.ErrClosed
	}
	f.stale() // others may have written what was read ahead
	return ctx.Err()
}
