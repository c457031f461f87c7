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

// Status is how a request ended (filexfer-02 section 7). Text and Lang exist from
// version 3 on, and may be missing there when read: servers exist that leave
// them out.
type Status struct {
	V          Version
	Code       uint32
	Text, Lang string
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
}

// Data is content (filexfer-02 section 7).
type Data struct{ Data []byte }

// Type implements Message.
func (*Data) Type() Type { return TypeData }

// Layout implements wire.Layouter.
func (m *Data) Layout(c *wire.Coder) { c.Bytes(&m.Data) }

// NameEntry is one name of a Name reply.
type NameEntry struct {
	Name     string
	LongName []byte // the line of "ls -l"
	Attrs    Attrs
}

// nameEntrySize is the least that an entry takes on the wire.
const nameEntrySize = 12

// Layout implements wire.Layouter.
func (e *NameEntry) Layout(c *wire.Coder) {
	c.String(&e.Name)
	c.Bytes(&e.LongName)
	e.Attrs.Layout(c)
}

// Name answers READDIR, REALPATH and READLINK (filexfer-02 section 7).
type Name struct {
	V       Version
	Entries []NameEntry
}

// Type implements Message.
func (*Name) Type() Type { return TypeName }

// Layout implements wire.Layouter.
func (m *Name) Layout(c *wire.Coder) {
	n := uint32(len(m.Entries))
	c.Uint32(&n)
	if c.Decoding() {
		m.Entries = makeCounted[NameEntry](c, n, nameEntrySize, math.MaxInt32)
		for i := range m.Entries {
			m.Entries[i].Attrs.V = m.V
		}
	}
	for i := range m.Entries {
		if c.Err() != nil {
			return // a long list need not be walked to its end
		}
		m.Entries[i].Layout(c)
	}
}

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
