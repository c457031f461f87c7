package sftpserver

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// filesObserved tells whether anybody wants the events of files. If nobody does there is no
// eventFS, and nothing is spent on it.
func (v *Events) filesObserved() bool {
	return v.DirCreate != nil || v.DirList != nil || v.DirRemove != nil || v.FileOpen != nil || v.contentObserved() ||
		v.FileClose != nil || v.FileRemove != nil || v.FileRename != nil || v.GetAttributes != nil || v.SetAttributes != nil ||
		v.ResolvePath != nil || v.LinkRead != nil || v.LinkCreate != nil || v.Extended != nil
}

// contentObserved tells whether READ and WRITE are events. Otherwise they are served beside
// each other, without a thought.
func (v *Events) contentObserved() bool { return v.FileRead != nil || v.FileWrite != nil }

// observeFiles is what the events need of a session.
func (e *engine) observeFiles(c *Connection, info *sftp.SessionInfo) {
	info.Serial = e.contentObserved() && !e.ConcurrentEvents
	info.EveryRequest = e.SetAttributes != nil || e.FileSystem == nil && c.localRoot() == "" // or else SETSTAT would succeed
	info.Negotiated = func(v int) { c.version.Store(int32(v)) }
	info.ListEntries = func() int {
		if n := c.listing.Load(); n > 0 {
			return int(n)
		}
		return e.sftp.Limits.ListEntries
	}
	info.StatusText = c.statusText
}

// statusText is the text of a failure: what SetErrorMessage left for it.
func (c *Connection) statusText(code sftp.Code, text string) string {
	if code != sftp.CodeEOF {
		if p := c.message.Swap(nil); p != nil {
			return *p
		}
	}
	return text
}

// SetErrorMessage sets the text that is sent with the next status of this connection other than success and end of
// file, whichever request that answers; "" leaves the text to the server. A handler sets the text of its own event's
// status by FileEvent.Message instead.
func (c *Connection) SetErrorMessage(text string) {
	if text == "" {
		c.message.Store(nil)
		return
	}
	c.message.Store(&text)
}

// ErrorMessage returns the text that SetErrorMessage set and that has not been sent yet.
func (c *Connection) ErrorMessage() string {
	if p := c.message.Load(); p != nil {
		return *p
	}
	return ""
}

// eventFS is a file system of one session that tells of what it does. Methods that have no event
// are those of the FileSystem.
type eventFS struct {
	sftp.FileSystem
	*engine
	c    *Connection
	user string
	ctx  context.Context // of the session
	// empty tells that there is no file system: handlers supply everything.
	empty bool
}

var _ sftp.FileSystem = (*eventFS)(nil)

// withEvents puts the events in front of a file system.
func (e *engine) withEvents(ctx context.Context, c *Connection, user string, fsys sftp.FileSystem) sftp.FileSystem {
	if !e.filesObserved() || fsys == nil {
		return fsys
	}
	_, empty := fsys.(sftp.Unsupported)
	return &eventFS{FileSystem: fsys, engine: e, c: c, user: user, ctx: ctx, empty: empty}
}

// errHandler is what a client learns of a handler that panicked.
var errHandler = sftp.Status(sftp.CodeFailure, "server failed")

// about is the beginning of every event.
func (f *eventFS) about(ctx context.Context, path string) FileEvent {
	return FileEvent{Event: Event{f.c}, User: f.user, Path: path, ctx: ctx}
}

// fire calls a handler. An error says that it panicked.
func fire[E any](f *eventFS, handler func(*E), ev *E) error {
	if !f.c.fire(func() { handler(ev) }) {
		return errHandler
	}
	return nil
}

// twice is the life of an event with two phases: the handler, what it allows to be done, and
// the handler again.
func twice[E any](f *eventFS, handler func(*E), ev *E, base *FileEvent, before, handled *bool, do func() error) error {
	*before = true
	if err := fire(f, handler, ev); err != nil {
		return err
	}
	if base.Status != sftp.CodeOK {
		return base.answer(sftp.CodeOK, nil)
	}
	var err error
	if !*handled {
		err = do()
	}
	*before = false
	return once(f, handler, ev, base, err)
}

// once is the one phase of the other events, and the second one of those: err is what the
// server came to, and the result what the client is told.
func once[E any](f *eventFS, handler func(*E), ev *E, base *FileEvent, err error) error {
	preset := sftp.CodeOf(err)
	base.Status, base.Message = preset, ""
	if err := fire(f, handler, ev); err != nil {
		return err
	}
	return base.answer(preset, err)
}

// answer is what is left in the event: err if the handler left what it found.
func (e *FileEvent) answer(preset sftp.Code, err error) error {
	switch {
	case e.Status == sftp.CodeOK:
		return nil
	case e.Status == preset && e.Message == "":
		return err
	}
	return sftp.Status(e.Status, e.Message)
}

// supplied is once's answer for events whose result the handler can supply: doing that makes a
// success of a failure whose Status was left alone.
func supplied(base *FileEvent, preset, err error, filled bool) error {
	if err != nil && !errors.Is(err, errHandler) && preset != nil && filled && base.Status == sftp.CodeOf(preset) {
		return nil
	}
	return err
}

// or is the path that a handler wants instead of the client's.
func or(divert, name string) string {
	if divert != "" {
		return divert
	}
	return name
}

// sent are the attributes that the current request came with; a are those left of them.
func sent(ctx context.Context, a *sftp.Attrs) sftp.Attrs {
	var all sftp.Attrs
	if q, ok := sftp.RequestOf(ctx); ok && q.Attrs != nil {
		all = *q.Attrs
	} else if a != nil {
		all = *a
	}
	typed(&all)
	return all
}

// typed says regular of what has no type: version 3 has no word for it.
func typed(a *sftp.Attrs) {
	if a.Type() == sftp.TypeNone {
		a.Kind = sftp.TypeRegular
	}
}

// LocalPath returns the path on this host that Path stands for if the server serves a local directory; ok is false for
// other file systems, and on Windows for names that are none there. It is computed from the text alone: symbolic links on the way may lead elsewhere, so do not open
// it on behalf of a client.
func (e *FileEvent) LocalPath() (path string, ok bool) {
	root := e.Conn.localRoot()
	if root == "" {
		return "", false
	}
	rel := strings.TrimPrefix(e.Path, "/")
	if rel == "" {
		return root, true
	}
	// On Windows a name can be a path for the text alone.
	if onWindows && (otherOnWindows(rel) || strings.Contains(rel, `\`)) {
		return "", false
	}
	return filepath.Join(root, filepath.FromSlash(rel)), true
}

// localRoot is the directory that the user sees as "/"; "" if it is no local one.
func (c *Connection) localRoot() string {
	if c.engine.FileSystem != nil {
		return ""
	}
	return or(c.UserRootDirectory(), c.engine.RootDirectory)
}

// everyAttr are the attributes that a client can set, and everyBit the attribute bits.
const (
	everyAttr = sftp.AttrsBasic | sftp.AttrBirth | sftp.AttrACL | sftp.AttrOwnerGroup | sftp.AttrBitsSet | sftp.AttrAllocation |
		sftp.AttrMIME | sftp.AttrExtended
	everyBit = sftp.BitTranslationErr - 1
)

// Capabilities are those of the file system. Where there is none they are those of the handlers.
func (f *eventFS) Capabilities() sftp.Capabilities {
	caps := f.FileSystem.Capabilities()
	if !f.empty {
		return caps
	}
	caps.StartDir = f.c.HomeDir()
	caps.Features |= sftp.FeatureWrite
	caps.Attrs, caps.Bits = everyAttr, everyBit
	for _, row := range [...]struct {
		there bool
		f     sftp.Features
	}{
		{f.FileRename != nil, sftp.FeaturePosixRename},
		{f.LinkCreate != nil, sftp.FeatureSymlink | sftp.FeatureHardLink},
		{f.SetAttributes != nil, sftp.FeatureLSetStat},
	} {
		if row.there {
			caps.Features |= row.f
		}
	}
	return caps
}

// Mkdir is DirCreate.
func (f *eventFS) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	path, err := sftp.CleanPath(name)
	if f.DirCreate == nil || err != nil {
		return f.FileSystem.Mkdir(ctx, name, a)
	}
	ev := &DirCreateEvent{FileEvent: f.about(ctx, path), Attrs: sent(ctx, a)}
	return twice(f, f.DirCreate, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		return f.FileSystem.Mkdir(ctx, or(ev.DivertTo, name), a)
	})
}

// Rmdir is DirRemove.
func (f *eventFS) Rmdir(ctx context.Context, name string) error {
	path, err := sftp.CleanPath(name)
	if f.DirRemove == nil || err != nil {
		return f.FileSystem.Rmdir(ctx, name)
	}
	ev := &DirRemoveEvent{FileEvent: f.about(ctx, path)}
	return twice(f, f.DirRemove, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		return f.FileSystem.Rmdir(ctx, or(ev.DivertTo, name))
	})
}

// Remove is FileRemove.
func (f *eventFS) Remove(ctx context.Context, name string) error {
	path, err := sftp.CleanPath(name)
	if f.FileRemove == nil || err != nil {
		return f.FileSystem.Remove(ctx, name)
	}
	ev := &FileRemoveEvent{FileEvent: f.about(ctx, path)}
	return twice(f, f.FileRemove, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		return f.FileSystem.Remove(ctx, or(ev.DivertTo, name))
	})
}

// Rename is FileRename.
func (f *eventFS) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	path, err := sftp.CleanPath(from)
	newPath, err2 := sftp.CleanPath(to)
	if f.FileRename == nil || err != nil || err2 != nil {
		return f.FileSystem.Rename(ctx, from, to, flags)
	}
	ev := &FileRenameEvent{FileEvent: f.about(ctx, path), NewPath: newPath, Flags: flags}
	return twice(f, f.FileRename, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		return f.FileSystem.Rename(ctx, or(ev.DivertTo, from), or(ev.DivertNewTo, to), flags)
	})
}

// Link is LinkCreate.
func (f *eventFS) Link(ctx context.Context, target, newName string, symbolic bool) error {
	path, err := sftp.CleanPath(newName)
	clean := target
	if err == nil && !symbolic {
		clean, err = sftp.CleanPath(target)
	}
	if f.LinkCreate == nil || err != nil {
		return f.FileSystem.Link(ctx, target, newName, symbolic) // says by itself which name is wrong
	}
	target = clean
	ev := &LinkCreateEvent{FileEvent: f.about(ctx, path), Symbolic: symbolic, Target: target}
	return twice(f, f.LinkCreate, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error {
		return f.FileSystem.Link(ctx, target, newName, symbolic)
	})
}

// ReadLink is LinkRead.
func (f *eventFS) ReadLink(ctx context.Context, name string) (string, error) {
	target, err := f.FileSystem.ReadLink(ctx, name)
	path, bad := sftp.CleanPath(name)
	if f.LinkRead == nil || bad != nil {
		return target, err
	}
	ev := &LinkReadEvent{FileEvent: f.about(ctx, path), Target: target}
	end := once(f, f.LinkRead, ev, &ev.FileEvent, err)
	return ev.Target, supplied(&ev.FileEvent, err, end, ev.Target != target)
}

// Stat is GetAttributes, if a client asks: the server looks for itself, too.
func (f *eventFS) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	a, err := f.FileSystem.Stat(ctx, name, opt)
	switch sftp.RequestName(ctx) {
	case "STAT", "LSTAT", "FSTAT":
		if path, bad := sftp.CleanPath(name); bad == nil {
			return f.attributes(ctx, path, "", !opt.Follow, a, err)
		}
	}
	return a, err
}

// attributes asks the handler what to make of a and err.
func (f *eventFS) attributes(ctx context.Context, path, handle string, link bool, a *sftp.Attrs, err error) (*sftp.Attrs, error) {
	if f.GetAttributes == nil {
		return a, err
	}
	ev := &GetAttributesEvent{FileEvent: f.about(ctx, path), Handle: handle, Link: link}
	if q, ok := sftp.RequestOf(ctx); ok && q.Version > sftp.Version3 {
		ev.Flags = sftp.AttrMask(q.Flags)
	}
	if a != nil && err == nil {
		ev.Attrs = *a
		typed(&ev.Attrs)
	}
	end := once(f, f.GetAttributes, ev, &ev.FileEvent, err)
	if end = supplied(&ev.FileEvent, err, end, ev.Attrs.Valid != 0 || ev.Attrs.Kind != sftp.TypeNone); end != nil {
		return nil, end
	}
	return &ev.Attrs, nil
}

// SetStat is SetAttributes.
func (f *eventFS) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	path, err := sftp.CleanPath(name)
	set := func(divert string) error {
		if a.Valid == 0 && !f.empty {
			return nil // the server's settings left nothing of it
		}
		return f.FileSystem.SetStat(ctx, or(divert, name), a, follow)
	}
	if err != nil {
		return err
	}
	return f.setAttributes(ctx, path, "", a, set)
}

// setAttributes is the event round set, which gets the path to set them of instead.
func (f *eventFS) setAttributes(ctx context.Context, path, handle string, a *sftp.Attrs, set func(divert string) error) error {
	if f.SetAttributes == nil {
		return set("")
	}
	switch sftp.RequestName(ctx) {
	case "SETSTAT", "FSETSTAT", "lsetstat@openssh.com":
	default: // a copy gets the times of its source
		return set("")
	}
	ev := &SetAttributesEvent{FileEvent: f.about(ctx, path), Handle: handle, Attrs: sent(ctx, a)}
	return twice(f, f.SetAttributes, ev, &ev.FileEvent, &ev.Before, &ev.Handled, func() error { return set(ev.DivertTo) })
}

// RealPath is ResolvePath. Without a file system it is the cleaned name: clients begin with it.
func (f *eventFS) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	path, bad := sftp.CleanPath(name)
	real, a, err := f.FileSystem.RealPath(ctx, name, opt)
	if f.empty && bad == nil {
		real, err = path, nil
		if opt.Control >= sftp.RealPathStatIf {
			a, err = f.attributes(ctx, path, "", false, nil, errors.ErrUnsupported)
		}
		if opt.Control == sftp.RealPathStatIf {
			err = nil
		}
	}
	if bad != nil {
		return real, a, err
	}
	if !f.empty && a != nil && err == nil {
		// The attributes are as much those of the name as if they had been asked for by STAT.
		if a, err = f.attributes(ctx, path, "", false, a, nil); opt.Control == sftp.RealPathStatIf {
			err = nil
		}
	}
	switch sftp.RequestName(ctx) {
	case "REALPATH", "expand-path@openssh.com":
	default:
		return real, a, err
	}
	if f.ResolvePath == nil {
		return real, a, err
	}
	ev := &ResolvePathEvent{FileEvent: f.about(ctx, path), RealPath: real}
	if q, ok := sftp.RequestOf(ctx); ok {
		ev.OriginalPath, ev.ControlFlags = q.Path, sftp.RealPathControl(q.Flags)
	}
	end := once(f, f.ResolvePath, ev, &ev.FileEvent, err)
	if end = supplied(&ev.FileEvent, err, end, ev.RealPath != real); end != nil {
		return "", nil, end
	}
	if ev.RealPath != real {
		a = nil // of something else
	}
	return ev.RealPath, a, nil
}

// Extended is the event of that name.
func (f *eventFS) Extended(ctx context.Context, request string, data []byte) ([]byte, error) {
	reply, err := f.FileSystem.Extended(ctx, request, data)
	if f.Events.Extended == nil {
		return reply, err
	}
	ev := &ExtendedEvent{FileEvent: f.about(ctx, ""), Request: request, Data: data, Reply: reply}
	end := once(f, f.Events.Extended, ev, &ev.FileEvent, err)
	return ev.Reply, supplied(&ev.FileEvent, err, end, len(ev.Reply) > 0)
}

// propose gives what is being opened a handle: a number that grows on each connection, without those that
// handlers have given out.
func (f *eventFS) propose(ctx context.Context) (handle string, err error) {
	for range 1 << 16 { // more are never open
		handle = strconv.FormatUint(f.c.handles.Add(1), 10)
		if err = sftp.SetHandle(ctx, handle); err == nil {
			return handle, nil
		}
	}
	return "", f.refuseHandle(err)
}
