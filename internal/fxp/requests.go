package fxp

import "github.com/fairlead-ssh/fairlead/internal/wire"

// Init opens the session (filexfer-02 section 4).
type Init struct {
	Version    Version
	Extensions []Pair
}

// Type implements Message.
func (*Init) Type() Type { return TypeInit }

// Layout implements wire.Layouter.
func (m *Init) Layout(c *wire.Coder) {
	c.Uint32((*uint32)(&m.Version))
	extensions(c, &m.Extensions)
}

// maxExtensions bounds the extension pairs of INIT and VERSION.
const maxExtensions = 1024

// extensions codes pairs up to the end of the message.
func extensions(c *wire.Coder, v *[]Pair) {
	if c.Decoding() {
		*v = nil
		for c.More(false) {
			if len(*v) == maxExtensions {
				c.Fail(wire.ErrValue)
				return
			}
			var p Pair
			p.layout(c)
			*v = append(*v, p)
		}
		return
	}
	for i := range *v {
		(*v)[i].layout(c)
	}
}

// Open flags of versions 3 and 4 (filexfer-02 section 6.3).
const (
	OpenRead   uint32 = 0x01
	OpenWrite  uint32 = 0x02
	OpenAppend uint32 = 0x04
	OpenCreate uint32 = 0x08
	OpenTrunc  uint32 = 0x10
	OpenExcl   uint32 = 0x20
)

// Open opens or creates a file (filexfer-02 section 6.3).
type Open struct {
	Path  string
	Flags uint32
	Attrs Attrs
}

// Type implements Message.
func (*Open) Type() Type { return TypeOpen }

// Layout implements wire.Layouter.
func (m *Open) Layout(c *wire.Coder) {
	c.String(&m.Path)
	c.Uint32(&m.Flags)
	m.Attrs.Layout(c)
}

// Handle is a request about an open handle, and the reply that gives one out:
// CLOSE, FSTAT, READDIR, HANDLE.
type Handle struct {
	T      Type
	Handle []byte
}

// Type implements Message.
func (m *Handle) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *Handle) Layout(c *wire.Coder) { c.Bytes(&m.Handle) }

// Read asks for Length octets at Offset (filexfer-02 section 6.4).
type Read struct {
	Handle []byte
	Offset uint64
	Length uint32
}

// Type implements Message.
func (*Read) Type() Type { return TypeRead }

// Layout implements wire.Layouter.
func (m *Read) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	c.Uint64(&m.Offset)
	c.Uint32(&m.Length)
}

// Write stores Data at Offset (filexfer-02 section 6.4).
type Write struct {
	Handle []byte
	Offset uint64
	Data   []byte
}

// Type implements Message.
func (*Write) Type() Type { return TypeWrite }

// Layout implements wire.Layouter.
func (m *Write) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	c.Uint64(&m.Offset)
	c.Bytes(&m.Data)
}

// Path is a request about one name: STAT, LSTAT, OPENDIR, REMOVE, RMDIR, REALPATH,
// READLINK.
type Path struct {
	T    Type
	Path string
}

// Type implements Message.
func (m *Path) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *Path) Layout(c *wire.Coder) { c.String(&m.Path) }

// PathAttrs sets attributes by name: SETSTAT, MKDIR.
type PathAttrs struct {
	T     Type
	Path  string
	Attrs Attrs
}

// Type implements Message.
func (m *PathAttrs) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *PathAttrs) Layout(c *wire.Coder) {
	c.String(&m.Path)
	m.Attrs.Layout(c)
}

// Fsetstat sets attributes of an open file (filexfer-02 section 6.9).
type Fsetstat struct {
	Handle []byte
	Attrs  Attrs
}

// Type implements Message.
func (*Fsetstat) Type() Type { return TypeFsetstat }

// Layout implements wire.Layouter.
func (m *Fsetstat) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	m.Attrs.Layout(c)
}

// TwoPaths is a request about two names in the order they have on the wire: RENAME
// (old, new) and SYMLINK, whose order depends on the peer (OpenSSH PROTOCOL
// section 4.1).
type TwoPaths struct {
	T             Type
	First, Second string
}

// Type implements Message.
func (m *TwoPaths) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *TwoPaths) Layout(c *wire.Coder) {
	c.String(&m.First)
	c.String(&m.Second)
}

// Extended is a request by name (filexfer-02 section 8). Data is laid out as one of
// the bodies in this package, if the name is known.
type Extended struct {
	Name string
	Data []byte
}

// Type implements Message.
func (*Extended) Type() Type { return TypeExtended }

// Layout implements wire.Layouter.
func (m *Extended) Layout(c *wire.Coder) {
	c.String(&m.Name)
	c.Rest(&m.Data)
}
