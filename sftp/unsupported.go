package sftp

import (
	"context"
	"errors"
)

// Unsupported is a FileSystem that can do nothing: every method returns
// errors.ErrUnsupported. Embed it, so that methods added later do not break you. For files to
// be read, Stat, Open and OpenDir are enough; see [Capabilities] for what changes anything, and
// [UnsupportedFile] for what Open returns.
type Unsupported struct{}

var _ FileSystem = Unsupported{}

// Capabilities returns none.
func (Unsupported) Capabilities() Capabilities { return Capabilities{} }

// Open is not supported.
func (Unsupported) Open(context.Context, string, *OpenHow) (File, error) {
	return nil, errors.ErrUnsupported
}

// OpenDir is not supported.
func (Unsupported) OpenDir(context.Context, string) (Dir, error) { return nil, errors.ErrUnsupported }

// Stat is not supported.
func (Unsupported) Stat(context.Context, string, StatOpt) (*Attrs, error) {
	return nil, errors.ErrUnsupported
}

// SetStat is not supported.
func (Unsupported) SetStat(context.Context, string, *Attrs, bool) error { return errors.ErrUnsupported }

// Mkdir is not supported.
func (Unsupported) Mkdir(context.Context, string, *Attrs) error { return errors.ErrUnsupported }

// Remove is not supported.
func (Unsupported) Remove(context.Context, string) error { return errors.ErrUnsupported }

// Rmdir is not supported.
func (Unsupported) Rmdir(context.Context, string) error { return errors.ErrUnsupported }

// Rename is not supported.
func (Unsupported) Rename(context.Context, string, string, RenameFlags) error {
	return errors.ErrUnsupported
}

// Link is not supported.
func (Unsupported) Link(context.Context, string, string, bool) error { return errors.ErrUnsupported }

// ReadLink is not supported.
func (Unsupported) ReadLink(context.Context, string) (string, error) {
	return "", errors.ErrUnsupported
}

// RealPath is not supported; the server answers REALPATH with the cleaned name then.
func (Unsupported) RealPath(context.Context, string, RealPathOpt) (string, *Attrs, error) {
	return "", nil, errors.ErrUnsupported
}

// StatFS is not supported.
func (Unsupported) StatFS(context.Context, string) (*FSInfo, error) {
	return nil, errors.ErrUnsupported
}

// HomeDir is not supported.
func (Unsupported) HomeDir(context.Context, string) (string, error) {
	return "", errors.ErrUnsupported
}

// LookupIDs is not supported.
func (Unsupported) LookupIDs(context.Context, []uint32, []uint32) ([]string, []string, error) {
	return nil, nil, errors.ErrUnsupported
}

// Extended is not supported.
func (Unsupported) Extended(context.Context, string, []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// UnsupportedFile is a File that can do nothing, as Unsupported is a FileSystem; embed it. Close
// returns nil. A file that is read needs a ReadAt, and a Stat for its size.
type UnsupportedFile struct{}

var _ File = UnsupportedFile{}

// ReadAt is not supported.
func (UnsupportedFile) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// WriteAt is not supported.
func (UnsupportedFile) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Stat is not supported.
func (UnsupportedFile) Stat(context.Context, AttrMask) (*Attrs, error) {
	return nil, errors.ErrUnsupported
}

// SetStat is not supported.
func (UnsupportedFile) SetStat(context.Context, *Attrs) error { return errors.ErrUnsupported }

// StatFS is not supported.
func (UnsupportedFile) StatFS(context.Context) (*FSInfo, error) { return nil, errors.ErrUnsupported }

// Sync is not supported.
func (UnsupportedFile) Sync(context.Context) error { return errors.ErrUnsupported }

// Lock is not supported.
func (UnsupportedFile) Lock(context.Context, Range) error { return errors.ErrUnsupported }

// Unlock is not supported.
func (UnsupportedFile) Unlock(context.Context, Range) error { return errors.ErrUnsupported }

// CopyRange is not supported.
func (UnsupportedFile) CopyRange(context.Context, int64, File, int64, int64) (int64, error) {
	return 0, errors.ErrUnsupported
}

// Close does nothing.
func (UnsupportedFile) Close(error) error { return nil }

// UnsupportedDir is a Dir that can do nothing; embed it. Close returns nil.
type UnsupportedDir struct{}

var _ Dir = UnsupportedDir{}

// Next is not supported.
func (UnsupportedDir) Next(context.Context, int) ([]Entry, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (UnsupportedDir) Close(error) error { return nil }
