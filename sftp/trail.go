package sftp

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// A deed is what a client has done to files, for the log: a row of deeds.
type deed uint8

const (
	fileRemoved deed = iota
	dirMade
	dirRemoved
	fileRenamed
	symlinkMade
	hardLinkMade
	attrsSet
	fileCopied
	deedCount
)

// deeds are the lines of the log about deeds: what happened, and what its one or two
// operands are called.
var deeds = [deedCount]struct {
	text, path, other string
	named             bool // other is the name of a file, too
}{
	fileRemoved:  {text: "file removed", path: "path"},
	dirMade:      {text: "directory made", path: "path"},
	dirRemoved:   {text: "directory removed", path: "path"},
	fileRenamed:  {text: "file renamed", path: "from", other: "to", named: true},
	symlinkMade:  {text: "symbolic link made", path: "path", other: "target"},
	hardLinkMade: {text: "hard link made", path: "path", other: "target", named: true},
	attrsSet:     {text: "attributes set", path: "path", other: "attributes"},
	fileCopied:   {text: "file copied", path: "from", other: "to", named: true},
}

// did writes the line of a deed. Any goroutine of the session may call it.
func (s *session) did(d deed, path, other string, more ...slog.Attr) {
	if !s.trail {
		return
	}
	row := &deeds[d]
	attrs := append(make([]slog.Attr, 0, 8), slog.String("user", plain(s.info.User)), slog.String(row.path, plain(realName(path))))
	if row.other != "" {
		if row.named {
			other = realName(other)
		}
		attrs = append(attrs, slog.String(row.other, plain(other)))
	}
	s.line(s.ctx, row.text, append(attrs, more...))
}

// line writes a line of level info, with the peer's address.
func (s *session) line(ctx context.Context, text string, attrs []slog.Attr) {
	if s.info.RemoteAddr != nil {
		attrs = append(attrs, slog.String("remote", s.info.RemoteAddr.String()))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, text, attrs...)
}

// realName is what a name means, in the log: "put x" and "rm ./x" are about one file there.
func realName(name string) string {
	if clean, err := CleanPath(name); err == nil {
		return clean
	}
	return name
}

// setAttrs writes the line of attributes that were set, if there are any.
func (s *session) setAttrs(path string, a *Attrs) {
	if s.trail && a.Valid != 0 {
		s.did(attrsSet, path, attrsLine(a))
	}
}

// attrsLine says which attributes are valid, and of those that decide who can do what, their
// values.
func attrsLine(a *Attrs) string {
	var b strings.Builder
	for _, row := range [...]struct {
		mask AttrMask
		text func() string
	}{
		{AttrSize, func() string { return fmt.Sprintf("size=%d", a.Size) }},
		{AttrMode, func() string { return fmt.Sprintf("mode=%04o", a.Mode&ModePerm) }},
		{AttrUIDGID, func() string { return fmt.Sprintf("uid=%d gid=%d", a.UID, a.GID) }},
		{AttrOwnerGroup, func() string { return fmt.Sprintf("owner=%q group=%q", a.Owner, a.Group) }},
		{AttrAtime | AttrMtime | AttrBirth, func() string { return "times" }},
		{AttrACL, func() string { return "acl" }},
		{AttrBitsSet, func() string { return fmt.Sprintf("bits=%#x/%#x", uint32(a.Bits), uint32(a.BitsValid)) }},
		{AttrAllocation | AttrMIME | AttrExtended, func() string { return "others" }},
	} {
		if a.Valid&row.mask == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(row.text())
	}
	return b.String()
}

// transferred writes the line of a file that is closed: what went which way, and for an
// upload whether it is whole. A handle by which nothing went, such as of who only locks the
// file, has none.
func (s *session) transferred(h *handle, cause error) {
	if !s.trail {
		return
	}
	// Copies have lines of their own.
	sent, received := h.read.Load()-h.copiedOut.Load(), h.written.Load()-h.copiedIn.Load()
	path := h.path
	if path == "" {
		path = h.name
	}
	attrs := append(make([]slog.Attr, 0, 8), slog.String("user", plain(s.info.User)), slog.String("path", plain(path)))
	var text string
	switch {
	case received > 0 || h.makes && h.copiedIn.Load() == 0:
		text = "file uploaded"
		attrs = append(attrs, slog.Uint64("octets", received))
		if sent > 0 {
			attrs = append(attrs, slog.Uint64("read", sent))
		}
		attrs = append(attrs, slog.Bool("complete", cause == nil))
	case sent > 0 || !h.writes && h.copiedOut.Load() == 0:
		text = "file downloaded"
		attrs = append(attrs, slog.Uint64("octets", sent))
	default:
		return
	}
	if cause != nil {
		attrs = append(attrs, slog.String("error", plain(cause.Error())))
	}
	s.line(s.ctx, text, attrs)
}
