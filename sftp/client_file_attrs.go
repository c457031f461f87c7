package sftp

import (
	"context"
	"io/fs"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// Stat returns the attributes of the file, including the effect of what was written before.
func (f *RemoteFile) Stat(ctx context.Context) (*Attrs, error) {
	a, err := f.stat(ctx)
	return a, pathError("stat", f.name, err)
}

func (f *RemoteFile) stat(ctx context.Context) (*Attrs, error) {
	if err := f.settle(ctx); err != nil {
		return nil, err
	}
	return f.askStat(ctx)
}

func (f *RemoteFile) askStat(ctx context.Context) (*Attrs, error) {
	if f.isClosed() {
		return nil, fs.ErrClosed
	}
	var m fxp.AttrsReply
	m.Attrs.V = f.c.version
	if err := f.c.ask(ctx, &fxp.Fstat{V: f.c.version, Handle: f.handle, Want: wireWant(attrsWanted, f.c.version)}, &m); err != nil {
		return nil, err
	}
	return f.c.attrs(&m.Attrs), nil
}

// SetStat changes the attributes in a.Valid; see Client.SetStat.
func (f *RemoteFile) SetStat(ctx context.Context, a *Attrs) error {
	if f.isClosed() {
		return pathError("setstat", f.name, fs.ErrClosed)
	}
	if err := f.c.canSay(a); err != nil {
		return pathError("setstat", f.name, err)
	}
	if err := f.settle(ctx); err != nil {
		return pathError("setstat", f.name, err)
	}
	f.stale()
	defer f.stale() // of what was asked for meanwhile, too
	m := fxp.Fsetstat{Handle: f.handle, Attrs: f.c.wireAttrs(a)}
	return pathError("setstat", f.name, f.c.status(ctx, &m))
}

// Chmod sets the permission bits.
func (f *RemoteFile) Chmod(ctx context.Context, mode fs.FileMode) error {
	return f.SetStat(ctx, modeAttrs(mode))
}

// Chown sets owner and group; see Client.Chown.
func (f *RemoteFile) Chown(ctx context.Context, uid, gid uint32) error {
	return f.SetStat(ctx, ownerAttrs(uid, gid))
}

// Chtimes sets the times of last access and change; see Client.Chtimes.
func (f *RemoteFile) Chtimes(ctx context.Context, atime, mtime time.Time) error {
	return f.SetStat(ctx, timeAttrs(atime, mtime))
}

// Truncate makes the file size octets long. The position stays.
func (f *RemoteFile) Truncate(ctx context.Context, size int64) error {
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	return f.SetStat(ctx, &Attrs{Valid: AttrSize, Size: uint64(size)})
}

// StatFS describes the file system that the file is on (fstatvfs@openssh.com).
func (f *RemoteFile) StatFS(ctx context.Context) (*FSInfo, error) {
	var m fxp.ReplyStatVFS
	if err := f.extended(ctx, fxp.OpFstatVFS, &m); err != nil {
		return nil, pathError("statvfs", f.name, err)
	}
	return fsInfo(&m), nil
}

// extended sends an extension whose data is the handle. reply may be nil.
func (f *RemoteFile) extended(ctx context.Context, op fxp.Op, reply *fxp.ReplyStatVFS) error {
	if f.isClosed() {
		return fs.ErrClosed
	}
	m := fxp.ExtHandle{Handle: f.handle}
	if reply == nil {
		return f.c.extended(ctx, op, &m, nil)
	}
	return f.c.extended(ctx, op, &m, reply)
}
