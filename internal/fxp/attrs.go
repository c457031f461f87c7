package fxp

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Attribute flags (filexfer-02 section 5, filexfer-13 section 7.1). Which versions have
// which is in attrFields.
const (
	AttrSize         uint32 = 0x00000001
	AttrUIDGID       uint32 = 0x00000002
	AttrPermissions  uint32 = 0x00000004
	AttrACModTime    uint32 = 0x00000008 // up to version 3: both times
	AttrAccessTime   uint32 = 0x00000008 // from version 4 on
	AttrCreateTime   uint32 = 0x00000010
	AttrModifyTime   uint32 = 0x00000020
	AttrACL          uint32 = 0x00000040
	AttrOwnerGroup   uint32 = 0x00000080
	AttrSubsecond    uint32 = 0x00000100
	AttrBits         uint32 = 0x00000200
	AttrAllocation   uint32 = 0x00000400
	AttrTextHint     uint32 = 0x00000800
	AttrMIME         uint32 = 0x00001000
	AttrLinkCount    uint32 = 0x00002000
	AttrUntranslated uint32 = 0x00004000
	AttrChangeTime   uint32 = 0x00008000
	AttrExtended     uint32 = 0x80000000
)

// File types of version 4 and up (filexfer-13 section 7.2).
const (
	fileSpecial byte = 4
	fileUnknown byte = 5
)

// attrField is one field, or two that share a flag, of Attrs.
type attrField uint8

const (
	fieldNone attrField = iota // a flag without a field of its own
	fieldSize
	fieldAllocation
	fieldIDs
	fieldOwnerGroup
	fieldPermissions
	fieldOldTimes
	fieldAtime
	fieldBirth
	fieldMtime
	fieldCtime
	fieldACL
	fieldBits
	fieldTextHint
	fieldMIME
	fieldLinks
	fieldUntranslated
	fieldExtended
)

type attrRow struct {
	flag         uint32
	since, until Version
	field        attrField
}

// attrFields are the fields in the order they have on the wire, with the versions that
// have them. A flag that a version does not have is not written, and is dropped when
// read: peers that set stray bits exist, and OpenSSH, against which they were tested,
// ignores them.
var attrFields = [...]attrRow{
	{AttrSize, V0, V6, fieldSize},
	{AttrAllocation, V6, V6, fieldAllocation},
	{AttrUIDGID, V0, V3, fieldIDs},
	{AttrOwnerGroup, V4, V6, fieldOwnerGroup},
	{AttrPermissions, V0, V6, fieldPermissions},
	{AttrACModTime, V0, V3, fieldOldTimes},
	{AttrAccessTime, V4, V6, fieldAtime},
	{AttrCreateTime, V4, V6, fieldBirth},
	{AttrModifyTime, V4, V6, fieldMtime},
	{AttrChangeTime, V6, V6, fieldCtime},
	{AttrSubsecond, V4, V6, fieldNone}, // a word behind each of the times
	{AttrACL, V4, V6, fieldACL},
	{AttrBits, V5, V6, fieldBits},
	{AttrTextHint, V6, V6, fieldTextHint},
	{AttrMIME, V6, V6, fieldMIME},
	{AttrLinkCount, V6, V6, fieldLinks},
	{AttrUntranslated, V6, V6, fieldUntranslated},
	{AttrExtended, V0, V6, fieldExtended},
}

// What attrFields says of each version: its rows with a field, and all its flags.
var (
	attrRows  [Newest + 1][]attrRow
	attrMasks [Newest + 1]uint32
)

func init() {
	for v := range attrRows {
		for _, r := range attrFields {
			if Version(v) < r.since || Version(v) > r.until {
				continue
			}
			attrMasks[v] |= r.flag
			if r.field != fieldNone {
				attrRows[v] = append(attrRows[v], r)
			}
		}
	}
}

// AttrMask returns the attribute flags that version v has.
func AttrMask(v Version) uint32 { return attrMasks[v] }

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

// Time is a time of a file. Up to version 3 it is on the wire as an unsigned number of
// 32 bits without Nsec.
type Time struct {
	Sec  int64 // since 1970
	Nsec uint32
}

// maxNsec is the most that a Nsec may be (filexfer-13 section 7.7).
const maxNsec = 999_999_999

// bitsWords says how many words BITS has in version 5, where filexfer-05 has one and
// some of the programs that speak it have two, as in version 6.
type bitsWords uint8

const (
	bitsByRest bitsWords = iota // by what is left: the attributes end the message
	bitsOne
	bitsTwo
)

// Attrs are the attributes of a file in the layout of version V. A field is on the
// wire when its flag is in Flags and V has that flag.
type Attrs struct {
	V     Version
	Flags uint32
	// Type exists from version 4 on, always. 0 is sent as 5, "unknown".
	Type  byte
	words bitsWords

	TextHint    byte
	UID, GID    uint32 // up to version 3
	Permissions uint32 // st_mode; from version 4 on without the file type
	Size        uint64
	// Owner and Group exist from version 4 on. With AttrUIDGID in Flags an empty one
	// is sent as the decimal text of its number, for principals without a name.
	Owner, Group       string
	Atime, Mtime       Time
	Birth              Time   // from version 4 on
	Ctime              Time   // version 6
	Allocation         uint64 // version 6
	ACL                []byte // from version 4 on: ACL of this package, laid out
	Bits, BitsValid    uint32 // from version 5 on, where they are only read
	Links              uint32 // version 6
	MIME, Untranslated string // version 6
	Extended           []Pair
}

// Layout implements wire.Layouter.
func (a *Attrs) Layout(c *wire.Coder) {
	mask := attrMasks[a.V]
	flags := a.Flags & mask
	if a.V >= V4 && !c.Decoding() {
		if a.V == V5 {
			flags &^= AttrBits // whatever is sent, one half of the clients is out of step
		}
		if a.Flags&AttrUIDGID != 0 {
			flags |= AttrOwnerGroup
		}
	}
	c.Uint32(&flags)
	flags &= mask
	if c.Decoding() {
		a.Flags = flags
	}
	if a.V >= V4 {
		a.layoutType(c)
	}
	rows := attrRows[a.V]
	for i := range rows {
		if flags&rows[i].flag != 0 {
			a.layoutField(c, rows[i].field, flags)
		}
	}
}

// layoutType codes the type, which is always there. phpseclib and Erlang leave it out
// of attributes without any flag at the end of a message.
func (a *Attrs) layoutType(c *wire.Coder) {
	typ := a.Type
	switch {
	case c.Decoding() && !c.More(false), typ == 0:
		typ = fileUnknown
	case a.V == V4 && typ > fileUnknown:
		typ = fileSpecial // which have no types of their own there
	}
	if c.More(true) {
		c.Byte(&typ)
	}
	if c.Decoding() {
		a.Type = typ
	}
}

// layoutField codes one field. It is a switch, and not a function in the row, so that
// nothing moves to the heap.
func (a *Attrs) layoutField(c *wire.Coder, f attrField, flags uint32) {
	switch f {
	case fieldSize:
		c.Uint64(&a.Size)
	case fieldAllocation:
		c.Uint64(&a.Allocation)
	case fieldIDs:
		c.Uint32(&a.UID)
		c.Uint32(&a.GID)
	case fieldOwnerGroup:
		a.principal(c, &a.Owner, a.UID)
		a.principal(c, &a.Group, a.GID)
	case fieldPermissions:
		a.permissions(c)
	case fieldOldTimes:
		oldTime(c, &a.Atime)
		oldTime(c, &a.Mtime)
	case fieldAtime:
		a.Atime.layout(c, flags)
	case fieldBirth:
		a.Birth.layout(c, flags)
	case fieldMtime:
		a.Mtime.layout(c, flags)
	case fieldCtime:
		a.Ctime.layout(c, flags)
	case fieldACL:
		c.Bytes(&a.ACL)
	case fieldBits:
		a.bits(c, flags)
	case fieldTextHint:
		c.Byte(&a.TextHint)
	case fieldMIME:
		c.String(&a.MIME)
	case fieldLinks:
		c.Uint32(&a.Links)
	case fieldUntranslated:
		c.String(&a.Untranslated)
	case fieldExtended:
		a.extended(c)
	case fieldNone:
	}
}

func (a *Attrs) principal(c *wire.Coder, name *string, id uint32) {
	if *name != "" || a.Flags&AttrUIDGID == 0 || c.Decoding() {
		c.String(name)
		return
	}
	var tmp [10]byte
	p := strconv.AppendUint(tmp[:0], uint64(id), 10)
	c.Bytes(&p)
}

// modeBits are the permissions that version 4 and up have: those without the file type,
// which gesftpserver sends all the same.
const modeBits = 0o7777

func (a *Attrs) permissions(c *wire.Coder) {
	if a.V >= V4 && !c.Decoding() {
		bits := a.Permissions & modeBits
		c.Uint32(&bits)
		return
	}
	c.Uint32(&a.Permissions)
}

// oldTime codes a time of version 3.
func oldTime(c *wire.Coder, t *Time) {
	sec := uint32(t.Sec)
	c.Uint32(&sec)
	if c.Decoding() {
		*t = Time{Sec: int64(sec)}
	}
}

func (t *Time) layout(c *wire.Coder, flags uint32) {
	c.Int64(&t.Sec)
	if flags&AttrSubsecond == 0 {
		if c.Decoding() {
			t.Nsec = 0
		}
		return
	}
	c.Uint32(&t.Nsec)
	if c.Decoding() && t.Nsec > maxNsec {
		c.Fail(fmt.Errorf("%w: %d nanoseconds", wire.ErrValue, t.Nsec))
	}
}

// version5Bits are the attribute bits that version 5 has. One word of them speaks of all.
const version5Bits = 0x000007FF

func (a *Attrs) bits(c *wire.Coder, flags uint32) {
	c.Uint32(&a.Bits)
	if a.V == V5 && c.Decoding() {
		words := a.words
		if words == bitsByRest {
			words = bitsWordsOf(c.Buffer(), flags&AttrExtended != 0)
		}
		if words == bitsOne {
			a.BitsValid = version5Bits
			return
		}
	}
	c.Uint32(&a.BitsValid)
}

// bitsWordsOf decides by what stands behind the first word of BITS.
func bitsWordsOf(rest []byte, extended bool) bitsWords {
	if extended {
		var n uint32
		if len(rest) >= 4 {
			n, rest = binary.BigEndian.Uint32(rest), rest[4:]
		}
		for ; n > 0; n-- {
			var ok bool
			for range 2 {
				if _, rest, ok = cutString(rest); !ok {
					return bitsTwo
				}
			}
		}
	}
	if len(rest) == 0 {
		return bitsOne
	}
	return bitsTwo
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
