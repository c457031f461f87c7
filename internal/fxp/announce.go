package fxp

import "github.com/fairlead-ssh/fairlead/internal/wire"

// Names of what VERSION announces beside extended requests.
const (
	AnnounceNewline         = "newline"          // the line separator of text files: Text
	AnnounceVersions        = "versions"         // more versions, separated by commas: Text
	AnnounceVendorID        = "vendor-id"        // VendorID
	AnnounceSupported       = "supported"        // Supported
	AnnounceSupported2      = "supported2"       // Supported2
	AnnounceACLSupported    = "acl-supported"    // ACLSupported
	AnnounceFilenameCharset = "filename-charset" // of names that do not become UTF-8: Text
)

// Announcement is a row of the table of what VERSION may say beside extended requests.
type Announcement struct {
	Name         string
	Since, Until Version
	// New makes its empty data.
	New func() wire.Layouter
}

var announcements = [...]Announcement{
	{AnnounceVersions, V3, V6, func() wire.Layouter { return new(Text) }},
	{AnnounceVendorID, V3, V6, func() wire.Layouter { return new(VendorID) }},
	{AnnounceNewline, V4, V6, func() wire.Layouter { return new(Text) }},
	{AnnounceSupported, V5, V5, func() wire.Layouter { return new(Supported) }},
	{AnnounceSupported2, V6, V6, func() wire.Layouter { return new(Supported2) }},
	{AnnounceACLSupported, V6, V6, func() wire.Layouter { return new(ACLSupported) }},
	{AnnounceFilenameCharset, V6, V6, func() wire.Layouter { return new(Text) }},
}

// Announcements returns the table. Do not modify it.
func Announcements() []Announcement { return announcements[:] }

// Text is data that is text as it stands.
type Text struct{ Text []byte }

// Layout implements wire.Layouter.
func (m *Text) Layout(c *wire.Coder) { c.Rest(&m.Text) }

// Masks are what both Supported and Supported2 begin with: what may be set of Attrs.Flags,
// of Attrs.Bits and of Open.Flags, the access that ACLs can speak of, and the most octets
// that a READ is sure to answer in full (0: not known).
type Masks struct {
	Attrs, Bits, OpenFlags, Access, MaxRead uint32
}

func (m *Masks) layout(c *wire.Coder) {
	c.Uint32(&m.Attrs)
	c.Uint32(&m.Bits)
	c.Uint32(&m.OpenFlags)
	c.Uint32(&m.Access)
	c.Uint32(&m.MaxRead)
}

// Supported says what a server of version 5 can do (filexfer-05 section 4.4).
type Supported struct {
	Masks
	Extensions []string
}

// Layout implements wire.Layouter.
func (m *Supported) Layout(c *wire.Coder) {
	m.layout(c)
	textsToEnd(c, &m.Extensions, maxExtensions)
}

// Supported2 says what a server of version 6 can do (filexfer-13 section 5.4). Bit n of a
// block vector is the combination n of the block flags, shifted right by 6. What is missing
// at the end is read as absent.
type Supported2 struct {
	Masks
	OpenBlockVector, BlockVector uint16
	AttrExtensions               []string
	Extensions                   []string
}

// Layout implements wire.Layouter.
func (m *Supported2) Layout(c *wire.Coder) {
	m.layout(c)
	if c.More(true) {
		uint16Field(c, &m.OpenBlockVector)
		uint16Field(c, &m.BlockVector)
	}
	for _, list := range [...]*[]string{&m.AttrExtensions, &m.Extensions} {
		if c.More(true) {
			countedTexts(c, list)
		}
	}
}

func uint16Field(c *wire.Coder, v *uint16) {
	hi, lo := byte(*v>>8), byte(*v)
	c.Byte(&hi)
	c.Byte(&lo)
	if c.Decoding() {
		*v = uint16(hi)<<8 | uint16(lo)
	}
}

func countedTexts(c *wire.Coder, v *[]string) {
	n := uint32(len(*v))
	c.Uint32(&n)
	if c.Decoding() {
		*v = makeCounted[string](c, n, 4, maxExtensions)
	}
	for i := range *v {
		c.String(&(*v)[i])
	}
}

// ACLSupported says which ACLs a server of version 6 can keep (filexfer-13 section 5.4).
type ACLSupported struct{ Capabilities uint32 }

// Layout implements wire.Layouter.
func (m *ACLSupported) Layout(c *wire.Coder) { c.Uint32(&m.Capabilities) }
