package fxp

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Attribute flags of version 3 and below (filexfer-02 section 5).
const (
	AttrSize        uint32 = 0x00000001
	AttrUIDGID      uint32 = 0x00000002
	AttrPermissions uint32 = 0x00000004
	AttrACModTime   uint32 = 0x00000008
	AttrExtended    uint32 = 0x80000000
)

// attrMasks has the attribute flags of each version. A flag that is not in it is
// not written, and is dropped when read: peers that set stray bits exist, and
// OpenSSH, against which they were tested, ignores them.
var attrMasks = [Newest + 1]uint32{
	V0: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime | AttrExtended,
	V1: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime | AttrExtended,
	V2: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime | AttrExtended,
	V3: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime | AttrExtended,
}

// maxAttrExtended bounds the extended attributes of one file: more than any file
// system keeps, and few enough to parse for every message.
const maxAttrExtended = 1024

// Pair is a name with its data: an extended attribute or an extension.
type Pair struct {
	Name string
	Data []byte
}

func (p *Pair) layout(c *wire.Coder) {
	c.String(&p.Name)
	c.Bytes(&p.Data)
}

// pairSize is the least that a Pair takes on the wire.
const pairSize = 8

// Attrs are the attributes of a file in the layout of version V. A field is on the
// wire when its flag is in Flags and V has that flag.
type Attrs struct {
	V            Version
	Flags        uint32
	Size         uint64
	UID, GID     uint32
	Permissions  uint32 // st_mode
	Atime, Mtime uint32 // seconds since 1970
	Extended     []Pair
}

// Layout implements wire.Layouter.
func (a *Attrs) Layout(c *wire.Coder) {
	flags := a.Flags & attrMasks[a.V]
	c.Uint32(&flags)
	flags &= attrMasks[a.V]
	if c.Decoding() {
		a.Flags = flags
	}
	if flags&AttrSize != 0 {
		c.Uint64(&a.Size)
	}
	if flags&AttrUIDGID != 0 {
		c.Uint32(&a.UID)
		c.Uint32(&a.GID)
	}
	if flags&AttrPermissions != 0 {
		c.Uint32(&a.Permissions)
	}
	if flags&AttrACModTime != 0 {
		c.Uint32(&a.Atime)
		c.Uint32(&a.Mtime)
	}
	if flags&AttrExtended != 0 {
		a.extended(c)
	}
}

func (a *Attrs) extended(c *wire.Coder) {
	n := uint32(len(a.Extended))
	c.Uint32(&n)
	if c.Decoding() {
		a.Extended = makeCounted[Pair](c, n, pairSize, maxAttrExtended)
	}
	for i := range a.Extended {
		a.Extended[i].layout(c)
	}
}

// makeCounted returns the slice that a decoded count asks for. A count that the
// octets left cannot hold, or above limit, fails the walk before memory is taken.
func makeCounted[T any](c *wire.Coder, n uint32, size, limit int) []T {
	switch {
	case c.Err() != nil || n == 0:
		return nil
	case int64(n) > int64(limit):
		c.Fail(fmt.Errorf("%w: count %d", wire.ErrValue, n))
		return nil
	case int64(n)*int64(size) > int64(len(c.Buffer())):
		c.Fail(wire.ErrShort)
		return nil
	}
	return make([]T, n)
}
