package fxp

import (
	"math"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// VersionReply answers Init (filexfer-02 section 4).
type VersionReply struct {
	Version    Version
	Extensions []Pair
}

// Type implements Message.
func (*VersionReply) Type() Type { return TypeVersion }

// Layout implements wire.Layouter.
func (m *VersionReply) Layout(c *wire.Coder) {
	c.Uint32((*uint32)(&m.Version))
	extensions(c, &m.Extensions)
}

// Status is how a request ended (filexfer-02 section 7, filexfer-13 section 9.1). Text and
// Lang exist from version 3 on, and may be missing there when read: servers exist that
// leave them out. Data exists from version 5 on; what it holds depends on Code.
type Status struct {
	V          Version
	Code       uint32
	Text, Lang string
	Data       []byte
}

// Type implements Message.
func (*Status) Type() Type { return TypeStatus }

// Layout implements wire.Layouter.
func (m *Status) Layout(c *wire.Coder) {
	c.Uint32(&m.Code)
	if !c.More(m.V >= V3) {
		return
	}
	c.String(&m.Text)
	if c.More(true) {
		c.String(&m.Lang)
	}
	if m.V >= V5 {
		c.Rest(&m.Data)
	}
}

// StatusUnknownPrincipal is the one status code with data of its own: Principals.
const StatusUnknownPrincipal = 16

// maxPrincipals bounds the names in a STATUS.
const maxPrincipals = 256

// Principals are the users and groups that a server does not know, in Status.Data.
type Principals struct{ Names []string }

// Layout implements wire.Layouter.
func (m *Principals) Layout(c *wire.Coder) { textsToEnd(c, &m.Names, maxPrincipals) }

// Data is content (filexfer-02 section 7). In version 6 it may say that the file ends
// behind it (filexfer-13 section 9.3).
type Data struct {
	V    Version
	Data []byte
	EOF  bool
}

// Type implements Message.
func (*Data) Type() Type { return TypeData }

// Layout implements wire.Layouter.
func (m *Data) Layout(c *wire.Coder) {
	c.Bytes(&m.Data)
	if m.V >= V6 && c.More(m.EOF) {
		c.Bool(&m.EOF)
	}
}

// NameEntry is one name of a Name reply. Attrs.V is the version of the whole.
type NameEntry struct {
	Name     string
	LongName []byte // the line of "ls -l", up to version 3
	Attrs    Attrs
}

// Layout implements wire.Layouter.
func (e *NameEntry) Layout(c *wire.Coder) {
	c.String(&e.Name)
	if e.Attrs.V < V4 {
		c.Bytes(&e.LongName)
	}
	e.Attrs.Layout(c)
}

// nameEntrySize is the least that an entry takes on the wire: two strings and flags up
// to version 3, a string and flags from then on.
func nameEntrySize(v Version) int {
	if v < V4 {
		return 12
	}
	return 8
}

// Name answers READDIR, REALPATH and READLINK (filexfer-02 section 7). In version 6 it may
// say that the list ends with it (filexfer-13 section 9.4). Clients that list directories
// read it with Names instead, which needs no memory for the whole.
type Name struct {
	V         Version
	Entries   []NameEntry
	EndOfList bool
}

// Type implements Message.
func (*Name) Type() Type { return TypeName }

// Layout implements wire.Layouter.
func (m *Name) Layout(c *wire.Coder) {
	words := bitsByRest
	if c.Decoding() && m.V == V5 {
		words = bitsWordsOfNames(c.Buffer())
	}
	n := uint32(len(m.Entries))
	c.Uint32(&n)
	if c.Decoding() {
		m.Entries = makeCounted[NameEntry](c, n, nameEntrySize(m.V), math.MaxInt32)
		for i := range m.Entries {
			m.Entries[i].Attrs.V, m.Entries[i].Attrs.words = m.V, words
		}
	}
	for i := range m.Entries {
		if c.Err() != nil {
			return // a long list need not be walked to its end
		}
		m.Entries[i].Layout(c)
	}
	if m.V >= V6 && c.More(m.EndOfList) {
		c.Bool(&m.EndOfList)
	}
}

// bitsWordsOfNames decides for all entries of a NAME of version 5: one word, as in the
// draft, unless the message does not come out even with that.
func bitsWordsOfNames(body []byte) bitsWords {
	c := wire.Decoder(body)
	var n uint32
	var e NameEntry
	seen := false
	for c.Uint32(&n); n > 0 && c.Err() == nil; n-- {
		e.Attrs = Attrs{V: V5, words: bitsOne}
		e.Layout(c)
		seen = seen || e.Attrs.Flags&AttrBits != 0
	}
	if seen && c.End() != nil {
		return bitsTwo
	}
	return bitsOne
}

// Names walks the entries of a NAME reply one by one.
type Names struct {
	// EndOfList is set by the last Next: the list ends with this reply (version 6).
	EndOfList bool

	v     Version
	c     *wire.Coder
	left  uint32
	words bitsWords
}

// ReadNames starts to walk the body of a NAME.
func ReadNames(v Version, body []byte) *Names {
	n := &Names{v: v, c: wire.Decoder(body)}
	if v == V5 {
		n.words = bitsWordsOfNames(body)
	}
	n.c.Uint32(&n.left)
	if int64(n.left)*int64(nameEntrySize(v)) > int64(len(n.c.Buffer())) {
		n.c.Fail(wire.ErrShort)
	}
	return n
}

// Len returns how many entries are left.
func (n *Names) Len() int { return int(n.left) }

// Next decodes an entry into e; what it held before is not looked at, but a string that is
// the same again is kept. It returns false behind the last entry and after an error.
func (n *Names) Next(e *NameEntry) bool {
	if n.c.Err() != nil {
		return false
	}
	if n.left == 0 {
		if n.v >= V6 && n.c.More(false) {
			n.c.Bool(&n.EndOfList)
		}
		return false
	}
	n.left--
	e.LongName = nil
	a := &e.Attrs
	*a = Attrs{V: n.v, words: n.words, Owner: a.Owner, Group: a.Group}
	e.Layout(n.c)
	if a.Flags&AttrOwnerGroup == 0 {
		a.Owner, a.Group = "", ""
	}
	return n.c.Err() == nil
}

// Err returns what is wrong with the message. Octets behind it are let pass.
func (n *Names) Err() error { return n.c.Err() }

// AttrsReply answers STAT, LSTAT and FSTAT (filexfer-02 section 7).
type AttrsReply struct{ Attrs Attrs }

// Type implements Message.
func (*AttrsReply) Type() Type { return TypeAttrs }

// Layout implements wire.Layouter.
func (m *AttrsReply) Layout(c *wire.Coder) { m.Attrs.Layout(c) }

// ExtendedReply answers Extended (filexfer-02 section 8).
type ExtendedReply struct{ Data []byte }

// Type implements Message.
func (*ExtendedReply) Type() Type { return TypeExtendedReply }

// Layout implements wire.Layouter.
func (m *ExtendedReply) Layout(c *wire.Coder) { c.Rest(&m.Data) }
