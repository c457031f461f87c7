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

// Open flags of versions 3 and 4 (filexfer-02 section 6.3, filexfer-04 section 6.3).
const (
	OpenRead   uint32 = 0x01
	OpenWrite  uint32 = 0x02
	OpenAppend uint32 = 0x04
	OpenCreate uint32 = 0x08
	OpenTrunc  uint32 = 0x10
	OpenExcl   uint32 = 0x20
	OpenText   uint32 = 0x40 // version 4
)

// Open opens or creates a file (filexfer-02 section 6.3, filexfer-13 section 8.1.1).
// Attrs.V is the version of the whole.
type Open struct {
	Path   string
	Access uint32 // from version 5 on: bits of an ace-mask
	Flags  uint32 // of version 3 and 4, or of version 5 and 6
	Attrs  Attrs
}

// Type implements Message.
func (*Open) Type() Type { return TypeOpen }

// Layout implements wire.Layouter.
func (m *Open) Layout(c *wire.Coder) {
	c.String(&m.Path)
	if m.Attrs.V >= V5 {
		c.Uint32(&m.Access)
	}
	c.Uint32(&m.Flags)
	m.Attrs.Layout(c)
}

// Handle is a request about an open handle, and the reply that gives one out:
// CLOSE, READDIR, HANDLE (and FSTAT up to version 3).
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

// Path is a request about one name: OPENDIR, REMOVE, RMDIR, READLINK (and STAT and LSTAT
// up to version 3, REALPATH up to version 5).
type Path struct {
	T    Type
	Path string
}

// Type implements Message.
func (m *Path) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *Path) Layout(c *wire.Coder) { c.String(&m.Path) }

// Stat asks for attributes by name: STAT, LSTAT (filexfer-13 section 8.5). From version 4
// on it says which are wanted; 0, or a peer that leaves the word out, says nothing.
type Stat struct {
	V    Version
	T    Type
	Path string
	Want uint32
}

// Type implements Message.
func (m *Stat) Type() Type { return m.T }

// Layout implements wire.Layouter.
func (m *Stat) Layout(c *wire.Coder) {
	c.String(&m.Path)
	wanted(c, m.V, &m.Want)
}

// Fstat asks for the attributes of an open file, see Stat.
type Fstat struct {
	V      Version
	Handle []byte
	Want   uint32
}

// Type implements Message.
func (*Fstat) Type() Type { return TypeFstat }

// Layout implements wire.Layouter.
func (m *Fstat) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	wanted(c, m.V, &m.Want)
}

func wanted(c *wire.Coder, v Version, want *uint32) {
	if v >= V4 && c.More(true) {
		c.Uint32(want)
	}
}

// Rename moves Old to New. From version 5 on it has flags (filexfer-13 section 8.3).
type Rename struct {
	V        Version
	Old, New string
	Flags    uint32
}

// Type implements Message.
func (*Rename) Type() Type { return TypeRename }

// Layout implements wire.Layouter.
func (m *Rename) Layout(c *wire.Coder) {
	c.String(&m.Old)
	c.String(&m.New)
	if m.V >= V5 && c.More(true) {
		c.Uint32(&m.Flags)
	}
}

// maxCompose bounds the compose paths of REALPATH.
const maxCompose = 256

// Realpath makes a name absolute. In version 6 it may say what to look at, and name paths
// to be applied to the first one after the other (filexfer-13 section 8.9). Control 0 is
// "not said".
type Realpath struct {
	V       Version
	Path    string
	Control byte
	Compose []string
}

// Type implements Message.
func (*Realpath) Type() Type { return TypeRealpath }

// Layout implements wire.Layouter.
func (m *Realpath) Layout(c *wire.Coder) {
	c.String(&m.Path)
	if m.V < V6 || !c.More(m.Control != 0 || len(m.Compose) > 0) {
		return
	}
	c.Byte(&m.Control)
	textsToEnd(c, &m.Compose, maxCompose)
}

// Link makes a link (version 6, filexfer-13 section 8.7). Target is a name of a file, or
// with Symbolic the text that the link is to hold.
type Link struct {
	New, Target string
	Symbolic    bool
}

// Type implements Message.
func (*Link) Type() Type { return TypeLink }

// Layout implements wire.Layouter.
func (m *Link) Layout(c *wire.Coder) {
	c.String(&m.New)
	c.String(&m.Target)
	c.Bool(&m.Symbolic)
}

// Block locks a range of octets (version 6, filexfer-13 section 8.8.1).
type Block struct {
	Handle         []byte
	Offset, Length uint64
	Mask           uint32
}

// Type implements Message.
func (*Block) Type() Type { return TypeBlock }

// Layout implements wire.Layouter.
func (m *Block) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	c.Uint64(&m.Offset)
	c.Uint64(&m.Length)
	c.Uint32(&m.Mask)
}

// Unblock releases what a Block locked (version 6, filexfer-13 section 8.8.2).
type Unblock struct {
	Handle         []byte
	Offset, Length uint64
}

// Type implements Message.
func (*Unblock) Type() Type { return TypeUnblock }

// Layout implements wire.Layouter.
func (m *Unblock) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	c.Uint64(&m.Offset)
	c.Uint64(&m.Length)
}

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

// TwoPaths is a request about two names in the order they have on the wire: SYMLINK, whose
// order depends on the peer (OpenSSH PROTOCOL section 4.1), and RENAME up to version 4.
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
