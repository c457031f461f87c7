package sftp

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// unannounced is the error of an extension that the server did not announce. It is not sent:
// some servers end the session over one that they do not know.
func unannounced(name string) error {
	return Status(CodeOpUnsupported, "server does not offer "+name)
}

// extended sends the request of row op. reply takes the data of an EXTENDED_REPLY; without
// it a STATUS answers.
func (c *Client) extended(ctx context.Context, op fxp.Op, data wire.Layouter, reply wire.Layouter) error {
	if !c.supports(op) {
		return unannounced(op.Row().Extension)
	}
	return c.request(ctx, op, data, reply)
}

// request is extended whether it is announced or not.
func (c *Client) request(ctx context.Context, op fxp.Op, data wire.Layouter, reply wire.Layouter) error {
	name := op.Row().Extension
	m := fxp.Extended{Name: name, Data: wire.Append(nil, data)}
	if reply == nil {
		return c.status(ctx, &m)
	}
	var got fxp.ExtendedReply
	if err := c.ask(ctx, &m, &got); err != nil {
		return err
	}
	d := wire.Decoder(got.Data)
	reply.Layout(d)
	if d.Err() != nil {
		return c.fail(violation("reply to %s: %v", name, d.Err()))
	}
	return nil
}

// Extended sends an EXTENDED request by name, announced or not, and returns the data of the
// EXTENDED_REPLY, or nil if a STATUS says that all is well. If the reply is of another type,
// everything behind its request id is returned.
func (c *Client) Extended(ctx context.Context, name string, data []byte) ([]byte, error) {
	m := fxp.Extended{Name: name, Data: data}
	cl, err := c.calls.roundTrip(ctx, &m, false)
	if err != nil {
		return nil, fmt.Errorf("sftp: %s: %w", plain(name), err)
	}
	defer c.calls.release(cl)
	if cl.t == fxp.TypeStatus {
		if err := c.statusOf(cl); err != nil {
			return nil, fmt.Errorf("sftp: %s: %w", plain(name), err)
		}
		return nil, nil
	}
	var out []byte
	for b := cl.buf; b != nil; {
		out = append(out, b.Bytes()...)
		next := b.Unlink()
		b.Release()
		b = next
	}
	cl.buf = nil
	return out, nil
}

// during says of the end of a context which extension it cut short, where no name of a file
// does. What the server says, and this package, speaks for itself.
func during(op fxp.Op, err error) error {
	if err == context.Canceled || err == context.DeadlineExceeded { //nolint:errorlint // what is wrapped says where it is from
		return fmt.Errorf("sftp: %s: %w", op.Row().Extension, err)
	}
	return err
}

// named sends an extension that a NAME answers.
func (c *Client) named(ctx context.Context, op fxp.Op, data wire.Layouter) (string, error) {
	name := op.Row().Extension
	if !c.supports(op) {
		return "", unannounced(name)
	}
	p, _, err := c.name(ctx, &fxp.Extended{Name: name, Data: wire.Append(nil, data)})
	return p, err
}

// ExpandPath is RealPath of a name that may begin with "~" or "~user"
// (expand-path@openssh.com).
func (c *Client) ExpandPath(ctx context.Context, name string) (string, error) {
	p, err := c.named(ctx, fxp.OpExpandPath, &fxp.ExtText{Text: c.toWire(name)})
	return p, pathError("expand-path", name, err)
}

// HomeDir returns the home directory of a user, or of the session's own user for "". It uses the
// extension home-directory and, for the own user, falls back to expand-path@openssh.com.
func (c *Client) HomeDir(ctx context.Context, user string) (string, error) {
	p, err := c.homeDir(ctx, user)
	return p, pathError("home-directory", user, err)
}

func (c *Client) homeDir(ctx context.Context, user string) (string, error) {
	var p string
	err := unannounced(fxp.OpHomeDirectory.Row().Extension)
	if c.quirks&brokenHome == 0 {
		p, err = c.named(ctx, fxp.OpHomeDirectory, &fxp.ExtText{Text: user})
	}
	var refused *StatusError
	if user == "" && errors.As(err, &refused) && c.supports(fxp.OpExpandPath) {
		return c.named(ctx, fxp.OpExpandPath, &fxp.ExtText{Text: "~"}) // OpenSSH looks for a user with no name
	}
	return p, err
}

// StatFS describes the file system that name is on (statvfs@openssh.com).
func (c *Client) StatFS(ctx context.Context, name string) (*FSInfo, error) {
	var m fxp.ReplyStatVFS
	if err := c.extended(ctx, fxp.OpStatVFS, &fxp.ExtText{Text: c.toWire(name)}, &m); err != nil {
		return nil, pathError("statvfs", name, err)
	}
	return fsInfo(&m), nil
}

func fsInfo(m *fxp.ReplyStatVFS) *FSInfo {
	return &FSInfo{
		BlockSize: m.BSize, FragmentSize: m.FrSize, Blocks: m.Blocks, Free: m.BFree, Avail: m.BAvail,
		Files: m.Files, FilesFree: m.FFree, FilesAvail: m.FAvail, ID: m.FSID, Flags: FSFlags(m.Flag), NameMax: m.NameMax,
	}
}

// LookupIDs returns the names of users and groups by number, "" for those without one
// (users-groups-by-id@openssh.com).
func (c *Client) LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	var m fxp.ReplyNames
	if err := c.extended(ctx, fxp.OpUsersGroupsByID, &fxp.ExtIDs{UIDs: uids, GIDs: gids}, &m); err != nil {
		return nil, nil, during(fxp.OpUsersGroupsByID, err)
	}
	if len(m.Users) != len(uids) || len(m.Groups) != len(gids) {
		return nil, nil, Status(CodeBadMessage, "server answers with another number of names")
	}
	return m.Users, m.Groups, nil
}

// CopyData has the server copy n octets from one open file to another (copy-data); n 0 means up to
// the end of the source. What was written to the file from before is copied as well, even if the
// server has not acknowledged it yet.
func (c *Client) CopyData(ctx context.Context, from *RemoteFile, fromOff, n int64, to *RemoteFile, toOff int64) error {
	if fromOff < 0 || n < 0 || toOff < 0 {
		return linkError("copy-data", from.name, to.name, CodeInvalidParameter)
	}
	to.stale()
	err := from.Flush(ctx)
	if err == nil {
		err = to.Flush(ctx)
	}
	if err == nil {
		err = c.extended(ctx, fxp.OpCopyData, &fxp.ExtCopyData{
			From: from.handle, FromOffset: uint64(fromOff), Length: uint64(n), To: to.handle, ToOffset: uint64(toOff),
		}, nil)
	}
	return linkError("copy-data", from.name, to.name, err)
}
