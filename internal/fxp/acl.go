package fxp

import "github.com/fairlead-ssh/fairlead/internal/wire"

// ACL is what the string of Attrs.ACL holds (filexfer-13 section 7.8).
type ACL struct {
	V       Version
	Flags   uint32 // version 6
	Entries []ACE
}

// ACE is one entry of an ACL.
type ACE struct {
	Type, Flags, Mask uint32
	Who               string
}

const (
	aceSize = 16 // the least that an ACE takes on the wire
	maxACEs = 4096
)

// Layout implements wire.Layouter.
func (m *ACL) Layout(c *wire.Coder) {
	if m.V >= V6 {
		c.Uint32(&m.Flags)
	}
	n := uint32(len(m.Entries))
	c.Uint32(&n)
	if c.Decoding() {
		m.Entries = makeCounted[ACE](c, n, aceSize, maxACEs)
	}
	for i := range m.Entries {
		m.Entries[i].layout(c)
	}
}

func (e *ACE) layout(c *wire.Coder) {
	c.Uint32(&e.Type)
	c.Uint32(&e.Flags)
	c.Uint32(&e.Mask)
	c.String(&e.Who)
}
