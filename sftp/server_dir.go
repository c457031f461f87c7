package sftp

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

const (
	// nameReply is the most octets of a NAME reply: one packet for nearly every
	// peer, and below the 34000 that all must take.
	nameReply = 32 << 10
	// nameSlack is room for the entry that turns out to be too much.
	nameSlack = 3 << 10
	// nameBatch is how many entries are asked of the back end at a time. A listing
	// holds as many until the next READDIR, and a peer may open a thousand.
	nameBatch = 64
)

// listing is where a READDIR goes on.
type listing struct {
	dots    []Entry // "." and ".." as far as they are still to be sent
	entries []Entry // of the last Dir.Next, as far as they are still to be sent
	err     error   // to be answered once everything before it was sent
}

// peek returns the next entry. It is valid until peek is called for the one after.
func (s *session) peek(h *handle) (*Entry, error) {
	l := &h.listing
	if len(l.dots) > 0 {
		return &l.dots[0], nil
	}
	for len(l.entries) == 0 {
		if l.err != nil {
			return nil, l.err
		}
		l.entries, l.err = s.next(h.dir)
		if len(l.entries) == 0 && l.err == nil {
			l.err = io.EOF // a Dir that has nothing more to say
		}
	}
	return &l.entries[0], nil
}

// next is guarded by itself, since its caller holds a Buf.
func (s *session) next(d Dir) (entries []Entry, err error) {
	defer s.guard(&err)
	return d.Next(s.ctx, nameBatch)
}

func (l *listing) pop() {
	if len(l.dots) > 0 {
		l.dots = l.dots[1:]
		return
	}
	l.entries = l.entries[1:]
}

func (s *session) opendir(r *request) error {
	name, err := s.path(r)
	if err != nil {
		return err
	}
	if err := s.roomForHandle(); err != nil {
		return err
	}
	r.opening = true
	d, err := s.fs.OpenDir(s.ctx, name)
	r.opening = false
	if err != nil {
		return err
	}
	h := &handle{name: name, dir: d}
	if !s.srv.NoDots {
		if h.listing.dots, err = s.dots(name); err != nil {
			_ = d.Close(err)
			return err
		}
	}
	s.addHandle(r, h)
	return nil
}

// dots returns "." and "..", which are customary in all versions. They describe what OPENDIR
// saw, so that READDIR need not go by the name again. It is guarded by itself, since its
// caller holds a Dir; no other error comes of it.
func (s *session) dots(name string) (list []Entry, err error) {
	defer s.guard(&err)
	for _, dot := range [...]string{".", ".."} {
		e := Entry{Name: dot}
		if a, err := s.fs.Stat(s.ctx, JoinPath(name, dot), StatOpt{Want: commonAttrs}); err == nil {
			e.Attrs = *a
		} else {
			e.Attrs = Attrs{Valid: AttrMode, Mode: ModeDir | 0o755}
		}
		list = append(list, e)
	}
	return list, nil
}

func (s *session) readdir(r *request) error {
	var m fxp.Handle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	h, err := s.handles.getDir(m.Handle)
	if err != nil {
		return err
	}
	r.path = h.name
	return s.list(r, h)
}

// list fills one NAME reply from the listing of h.
func (s *session) list(r *request, h *handle) error {
	e, err := s.peek(h)
	if err != nil {
		return err
	}
	b := packet.Get(nameReply + nameSlack)
	p := fxp.AppendHeader(b.Bytes()[:0], fxp.TypeName, r.id)
	countAt := len(p)
	p = wire.AppendUint32(p, 0)
	count, now := uint32(0), time.Now()
	most := s.listEntries()
	for ; err == nil && (most == 0 || count < most); e, err = s.peek(h) {
		w := fxp.NameEntry{Name: e.Name, Attrs: fxp.Attrs{V: s.version}}
		layAttrs(&w.Attrs, &e.Attrs)
		w.Attrs.Flags &= s.told(0)
		if s.version < fxp.V4 {
			w.LongName = s.longName(e, now)
		}
		if s.version >= fxp.V6 && !utf8.ValidString(e.Name) {
			// What the client gets is an escape (filexfer-13 section 7.13).
			w.Attrs.Flags |= fxp.AttrUntranslated | fxp.AttrBits
			w.Attrs.Untranslated = e.Name
			w.Attrs.Bits |= uint32(BitTranslationErr)
			w.Attrs.BitsValid |= uint32(BitTranslationErr)
		}
		s.names.entry(&w)
		before := len(p)
		p = wire.Append(p, &w)
		if len(p) > nameReply {
			p = p[:before:before] // it may have grown out of b
			if count > 0 {
				break
			}
			// A name that no reply can hold cannot be asked for either.
			h.listing.pop()
			continue
		}
		h.listing.pop()
		count++
	}
	if count == 0 {
		b.Release()
		return err
	}
	if s.version >= fxp.V6 && errors.Is(err, io.EOF) {
		p = append(p, endOfList) // filexfer-13 section 9.4: saves asking once more
	}
	b.Trim(copy(b.Bytes(), p)) // moves octets only if p grew out of b
	p = fxp.Finish(b.Bytes(), 0)
	binary.BigEndian.PutUint32(p[countAt:], count)
	r.answered = true
	s.out.send(b)
	return nil
}

// listEntries is the most entries of a reply; 0 is as many as fit.
func (s *session) listEntries() uint32 {
	n := s.bounds.ListEntries
	if s.info.ListEntries != nil {
		n = s.info.ListEntries()
	}
	return uint32(min(max(n, 0), nameReply))
}

// endOfList is the boolean behind the entries of a NAME.
const endOfList byte = 1

// longName is the "ls -l" line of e, valid until the next one.
func (s *session) longName(e *Entry, now time.Time) []byte {
	if e.LongName != "" {
		s.long = append(s.long[:0], e.LongName...)
	} else {
		s.long = s.srv.Dates.AppendLongName(s.long[:0], e.Name, &e.Attrs, now, e.Attrs.Owner, e.Attrs.Group)
	}
	return s.long
}
