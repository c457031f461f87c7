package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// ourSFTP is our client as a row of the tables.
var ourSFTP = &sftpClient{
	name: "Fairlead", versions: allVersions, find: func() (string, error) { return "this tree", nil },
	start: func(*testing.T) (driver, error) { return new(ourDriver), nil }, verifies: true,
}

// An ourDriver is our client.
type ourDriver struct {
	ssh  *ssh2.Client
	sftp *sftp.Client
}

func (d *ourDriver) quit() {
	if d.ssh != nil {
		d.ssh.Close()
	}
}

func (d *ourDriver) do(ctx context.Context, o op) (answer, error) {
	do := ourVerbs[o.verb]
	if do == nil {
		return nil, fmt.Errorf("our driver has no verb %s", o.verb)
	}
	a, err := do(d, ctx, o)
	var status *sftp.StatusError
	var code sftp.Code
	var refused *notApplicableError
	switch {
	case err == nil:
		return a, nil
	case errors.As(err, &refused):
		return notApplicable(refused.why), nil
	case errors.As(err, &status) && lacks.MatchString(status.Text): // it has not even been asked
		return notApplicable(status.Text), nil
	case errors.As(err, &code):
		return told("code", uint32(code), "error", err), nil
	case errors.As(err, &status):
		return told("code", uint32(status.Code), "error", err), nil
	case errors.Is(err, errors.ErrUnsupported):
		return notApplicable(strings.ReplaceAll(err.Error(), o.path, "...")), nil
	}
	return told("code", -1, "error", err), nil
}

// lacks is how our client says that a session has no way to do something.
var lacks = regexp.MustCompile(`^server does not offer|^protocol version has no|^server hashes files only`)

// number returns a numeric argument, 0 without.
func (o op) number(key string) int64 {
	if o.args[key] == nil {
		return 0
	}
	n, err := strconv.ParseInt(fmt.Sprint(o.args[key]), 10, 64)
	if err != nil {
		panic(err) // the columns say nothing else
	}
	return n
}

func (o op) word(key string) string {
	if o.args[key] == nil {
		return ""
	}
	return fmt.Sprint(o.args[key])
}

func (o op) time(key string) time.Time { return time.Unix(o.number(key), o.number(key+"_ns")) }

type ourVerb = func(d *ourDriver, ctx context.Context, o op) (answer, error)

// just wraps what has no answer.
func just(do func(d *ourDriver, ctx context.Context, o op) error) ourVerb {
	return func(d *ourDriver, ctx context.Context, o op) (answer, error) { return told(), do(d, ctx, o) }
}

// text wraps what answers a name.
func text(do func(d *ourDriver, ctx context.Context, o op) (string, error)) ourVerb {
	return func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		s, err := do(d, ctx, o)
		return told("text", s), err
	}
}

// ourVerbs are the verbs as our client's users write them.
var ourVerbs = map[string]ourVerb{
	"connect": (*ourDriver).connect,
	"close": just(func(d *ourDriver, _ context.Context, _ op) error {
		if d.ssh == nil {
			return nil
		}
		err := errors.Join(d.sftp.Close(), d.ssh.Close())
		d.ssh, d.sftp = nil, nil
		return err
	}),
	"list": (*ourDriver).list,
	"stat": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		return tellAttrs(d.sftp.Stat(ctx, o.path))
	},
	"lstat": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		return tellAttrs(d.sftp.Lstat(ctx, o.path))
	},
	"fstat": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		f, err := d.sftp.Open(ctx, o.path)
		if err != nil {
			return nil, err
		}
		a, err := tellAttrs(f.Stat(ctx))
		return a, errors.Join(err, f.Close())
	},
	"put": just((*ourDriver).put),
	"get": just((*ourDriver).get),
	"reput": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		return resumed(d.sftp.PutFile(ctx, o.local, o.path, sftp.TransferOptions{Resume: sftp.ResumeOrFail, ResumeTail: 64 << 10, Verify: sftp.VerifyBest}))
	},
	"reget": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		return resumed(d.sftp.GetFile(ctx, o.path, o.local, sftp.TransferOptions{Resume: sftp.ResumeOrFail, Verify: sftp.VerifyBest}))
	},
	"append": just(func(d *ourDriver, ctx context.Context, o op) error {
		data, err := os.ReadFile(o.local)
		if err != nil {
			return err
		}
		return d.sftp.AppendFile(ctx, o.path, data, 0)
	}),
	"create": just(func(d *ourDriver, ctx context.Context, o op) error {
		f, err := d.sftp.OpenFile(ctx, o.path, sftp.HowFromFlags(os.O_WRONLY|os.O_CREATE|os.O_EXCL))
		if err != nil {
			return err
		}
		_, err = f.Write([]byte("new"))
		return errors.Join(err, f.Close())
	}),
	"rename": just(func(d *ourDriver, ctx context.Context, o op) error {
		var flags sftp.RenameFlags
		if o.args["overwrite"] != nil {
			flags = sftp.RenameOverwrite
		}
		return d.sftp.Rename(ctx, o.path, o.to, flags)
	}),
	"posixrename": just(func(d *ourDriver, ctx context.Context, o op) error {
		if d.sftp.Version() > 4 {
			return &notApplicableError{"our client renames by the flags of version 5 where it has them"}
		}
		return d.sftp.Rename(ctx, o.path, o.to, sftp.RenameOverwrite)
	}),
	"symlink":  just(func(d *ourDriver, ctx context.Context, o op) error { return d.sftp.Symlink(ctx, o.to, o.path) }),
	"readlink": text(func(d *ourDriver, ctx context.Context, o op) (string, error) { return d.sftp.ReadLink(ctx, o.path) }),
	"link":     just(func(d *ourDriver, ctx context.Context, o op) error { return d.sftp.Link(ctx, o.to, o.path) }),
	"mkdir": just(func(d *ourDriver, ctx context.Context, o op) error {
		return d.sftp.Mkdir(ctx, o.path, &sftp.Attrs{Valid: sftp.AttrMode, Mode: uint32(o.number("mode"))})
	}),
	"rmdir":  just(func(d *ourDriver, ctx context.Context, o op) error { return d.sftp.Rmdir(ctx, o.path) }),
	"remove": just(func(d *ourDriver, ctx context.Context, o op) error { return d.sftp.Remove(ctx, o.path) }),
	"chmod": just(func(d *ourDriver, ctx context.Context, o op) error {
		return d.sftp.Chmod(ctx, o.path, os.FileMode(o.number("mode")))
	}),
	"chown": just(func(d *ourDriver, ctx context.Context, o op) error {
		if d.sftp.Version() == 3 {
			return d.sftp.Chown(ctx, o.path, uint32(o.number("uid")), uint32(o.number("gid")))
		}
		return d.sftp.SetStat(ctx, o.path, &sftp.Attrs{Valid: sftp.AttrOwnerGroup, Owner: o.word("owner"), Group: o.word("group")})
	}),
	"utimes": just(func(d *ourDriver, ctx context.Context, o op) error {
		return d.sftp.Chtimes(ctx, o.path, o.time("atime"), o.time("mtime"))
	}),
	"truncate": just(func(d *ourDriver, ctx context.Context, o op) error {
		return d.sftp.Truncate(ctx, o.path, o.number("size"))
	}),
	"realpath": text(func(d *ourDriver, ctx context.Context, o op) (string, error) { return d.sftp.RealPath(ctx, o.path) }),
	"composed": text(func(d *ourDriver, ctx context.Context, o op) (string, error) {
		s, _, err := d.sftp.RealPathOpt(ctx, o.path, sftp.RealPathNoCheck, strings.Split(o.to, "|")...)
		return s, err
	}),
	"lock": (*ourDriver).lock,
	"hash": text(func(d *ourDriver, ctx context.Context, o op) (string, error) {
		return d.hash(ctx, o, strings.Split(o.word("algorithm"), ","), "%[1]s %[2]x")
	}),
	// Hash asks for an MD5 by check-file where the server has that, and else by md5-hash.
	"md5": text(func(d *ourDriver, ctx context.Context, o op) (string, error) {
		return d.hash(ctx, o, []string{"md5"}, "%[2]x")
	}),
	"copyfile": just(func(d *ourDriver, ctx context.Context, o op) error {
		options := sftp.TransferOptions{IfExists: sftp.FailIfExists}
		if o.args["overwrite"] != nil {
			options.IfExists = sftp.Overwrite
		}
		_, err := d.sftp.CopyFile(ctx, o.path, o.to, options)
		if errors.Is(err, fs.ErrExist) { // which the client may have seen for itself
			err = sftp.CodeFileAlreadyExists.In(d.sftp.Version())
		}
		return err
	}),
	"space": func(d *ourDriver, ctx context.Context, o op) (answer, error) {
		s, err := d.sftp.SpaceAvailable(ctx, o.path)
		if err != nil {
			return nil, err
		}
		return told("n", s.Total, "n", s.Free, "n", s.UserTotal, "n", s.UserFree, "n", s.Unit), nil
	},
	"copydata": just((*ourDriver).copyData),
	"statvfs":  (*ourDriver).statvfs,
	"limits": func(d *ourDriver, _ context.Context, _ op) (answer, error) {
		l := d.sftp.Limits()
		read, write := d.sftp.RequestSizes()
		return told("n", l.MaxPacket, "n", read, "n", write, "n", l.MaxHandles), nil
	},
	"fsync": just(func(d *ourDriver, ctx context.Context, o op) error {
		f, err := d.sftp.OpenFile(ctx, o.path, sftp.HowFromFlags(os.O_RDWR))
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(ctx), f.Close())
	}),
	"home":   text(func(d *ourDriver, ctx context.Context, _ op) (string, error) { return d.sftp.HomeDir(ctx, "") }),
	"expand": text(func(d *ourDriver, ctx context.Context, o op) (string, error) { return d.sftp.ExpandPath(ctx, o.path) }),
}

func (d *ourDriver) connect(ctx context.Context, o op) (answer, error) {
	known, err := knownhosts.New(o.word("known_hosts"))
	if err != nil {
		return nil, err
	}
	cfg := &ssh2.ClientConfig{User: o.word("user"), Auth: []ssh2.AuthMethod{ssh2.Password(o.word("password"))}, HostKey: known}
	if d.ssh, err = ssh2.Dial(ctx, "tcp", net.JoinHostPort(o.word("host"), o.word("port")), cfg); err != nil {
		return nil, err
	}
	ch, err := d.ssh.Subsystem(ctx, "sftp")
	if err != nil {
		return nil, err
	}
	v := int(o.number("version"))
	if d.sftp, err = sftp.NewClient(ctx, ch, &sftp.ClientConfig{MinVersion: v, MaxVersion: v, ServerIdent: d.ssh.Info().RemoteIdent}); err != nil {
		return nil, err
	}
	return told("n", d.sftp.Version()), nil
}

func (d *ourDriver) list(ctx context.Context, o op) (answer, error) {
	var pairs []any
	for e, err := range d.sftp.ReadDir(ctx, o.path) {
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, "name", e.Name, "n", byte(e.Attrs.Type()))
	}
	return told(pairs...), nil
}

// tellAttrs tells what is valid of attributes.
func tellAttrs(a *sftp.Attrs, err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	pairs := []any{"type", byte(a.Type())}
	add := func(m sftp.AttrMask, more ...any) {
		if a.Has(m) {
			pairs = append(pairs, more...)
		}
	}
	add(sftp.AttrSize, "size", a.Size)
	add(sftp.AttrUIDGID, "uid", a.UID, "gid", a.GID)
	add(sftp.AttrOwnerGroup, "owner", a.Owner, "group", a.Group)
	add(sftp.AttrMode, "mode", a.Mode&0o7777)
	add(sftp.AttrAtime, "atime", a.Atime.Unix())
	add(sftp.AttrMtime, "mtime", a.Mtime.Unix())
	add(sftp.AttrSubsecond, "atime_ns", a.Atime.Nanosecond(), "mtime_ns", a.Mtime.Nanosecond())
	add(sftp.AttrLinks, "nlink", a.Links)
	return told(pairs...), nil
}

func (d *ourDriver) put(ctx context.Context, o op) error {
	if o.args["text"] == nil {
		_, err := d.sftp.PutFile(ctx, o.local, o.path, sftp.TransferOptions{})
		return err
	}
	how, err := d.textHow(os.O_WRONLY | os.O_CREATE | os.O_TRUNC)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(o.local)
	if err != nil {
		return err
	}
	f, err := d.sftp.OpenFile(ctx, o.path, how)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (d *ourDriver) get(ctx context.Context, o op) error {
	if o.args["text"] == nil {
		_, err := d.sftp.GetFile(ctx, o.path, o.local, sftp.TransferOptions{})
		return err
	}
	how, err := d.textHow(os.O_RDONLY)
	if err != nil {
		return err
	}
	f, err := d.sftp.OpenFile(ctx, o.path, how)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	return errors.Join(err, f.Close(), os.WriteFile(o.local, data, 0o644))
}

// textHow is how to open a file in text mode.
func (d *ourDriver) textHow(flag int) (sftp.OpenHow, error) {
	how := sftp.HowFromFlags(flag)
	how.Flags |= sftp.OpenText
	if d.sftp.Version() < 4 {
		return how, &notApplicableError{"version 3 has no text mode"}
	}
	return how, nil
}

// resumed tells where a transfer that verifies what is there has gone on.
func resumed(r sftp.TransferResult, err error) (answer, error) {
	return told("n", r.Resumed, "text", r.Kept), err
}

// lock does with locks what the column asks for.
func (d *ourDriver) lock(ctx context.Context, o op) (answer, error) {
	if d.sftp.Version() < 6 {
		return nil, &notApplicableError{"byte-range locks came with version 6"}
	}
	f, err := d.sftp.OpenFile(ctx, o.path, sftp.HowFromFlags(os.O_RDWR))
	if err != nil {
		return nil, err
	}
	var pairs []any
	for _, step := range []struct {
		do             func(context.Context, sftp.Range) error
		offset, length uint64
	}{{f.Lock, 100, 50}, {f.Lock, 120, 10}, {f.Unlock, 100, 49}, {f.Unlock, 100, 50}} {
		err := step.do(ctx, sftp.Range{Offset: step.offset, Length: step.length, Mask: sftp.RangeWrite | sftp.RangeAdvisory})
		pairs = append(pairs, "n", uint32(sftp.CodeOf(err)))
	}
	return told(pairs...), f.Close()
}

// hash has the server hash a file, by its name or by a handle.
func (d *ourDriver) hash(ctx context.Context, o op, algorithms []string, format string) (string, error) {
	r := sftp.HashRange{
		Algorithms: algorithms, Start: o.number("offset"), Length: o.number("length"), BlockSize: uint32(o.number("block")),
	}
	h, err := d.sftp.Hash(ctx, o.path, r)
	if o.args["handle"] != nil {
		f, open := d.sftp.Open(ctx, o.path)
		if open != nil {
			return "", open
		}
		h, err = f.Hash(ctx, r)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(format, h.Algorithm, h.Sum), nil
}

func (d *ourDriver) copyData(ctx context.Context, o op) error {
	from, err := d.sftp.Open(ctx, o.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := d.sftp.Create(ctx, o.to)
	if err != nil {
		return err
	}
	err = d.sftp.CopyData(ctx, from, o.number("offset"), o.number("length"), to, o.number("at"))
	return errors.Join(err, to.Close())
}

func (d *ourDriver) statvfs(ctx context.Context, o op) (answer, error) {
	s, err := d.sftp.StatFS(ctx, o.path)
	if err != nil {
		return nil, err
	}
	return told("n", s.BlockSize, "n", s.FragmentSize, "n", s.Blocks, "n", s.Free, "n", s.Avail), nil
}
