package fxp

import "github.com/fairlead-ssh/fairlead/internal/wire"

// The bodies of this file are the data of EXTENDED requests and of their replies
// (OpenSSH PROTOCOL section 4), without the name in front.

// ExtPaths is the data of posix-rename and hardlink: old, then new.
type ExtPaths struct{ Old, New string }

// Layout implements wire.Layouter.
func (m *ExtPaths) Layout(c *wire.Coder) {
	c.String(&m.Old)
	c.String(&m.New)
}

// ExtText is the data of a request with one string: statvfs, expand-path (a path)
// and home-directory (a user name).
type ExtText struct{ Text string }

// Layout implements wire.Layouter.
func (m *ExtText) Layout(c *wire.Coder) { c.String(&m.Text) }

// ExtHandle is the data of fstatvfs and fsync.
type ExtHandle struct{ Handle []byte }

// Layout implements wire.Layouter.
func (m *ExtHandle) Layout(c *wire.Coder) { c.Bytes(&m.Handle) }

// ExtSetstat is the data of lsetstat.
type ExtSetstat struct {
	Path  string
	Attrs Attrs
}

// Layout implements wire.Layouter.
func (m *ExtSetstat) Layout(c *wire.Coder) {
	c.String(&m.Path)
	m.Attrs.Layout(c)
}

// ExtNothing is the data of limits.
type ExtNothing struct{}

// Layout implements wire.Layouter.
func (*ExtNothing) Layout(*wire.Coder) {}

// ExtCopyData is the data of copy-data. Length 0 is up to the end of the file.
type ExtCopyData struct {
	From       []byte
	FromOffset uint64
	Length     uint64
	To         []byte
	ToOffset   uint64
}

// Layout implements wire.Layouter.
func (m *ExtCopyData) Layout(c *wire.Coder) {
	c.Bytes(&m.From)
	c.Uint64(&m.FromOffset)
	c.Uint64(&m.Length)
	c.Bytes(&m.To)
	c.Uint64(&m.ToOffset)
}

// ExtIDs is the data of users-groups-by-id: packed uint32s in two strings.
type ExtIDs struct{ UIDs, GIDs []uint32 }

// Layout implements wire.Layouter.
func (m *ExtIDs) Layout(c *wire.Coder) {
	packedIDs(c, &m.UIDs)
	packedIDs(c, &m.GIDs)
}

func packedIDs(c *wire.Coder, v *[]uint32) {
	if !c.Decoding() {
		var p []byte
		for _, id := range *v {
			p = wire.AppendUint32(p, id)
		}
		c.Bytes(&p)
		return
	}
	var p []byte
	c.Bytes(&p)
	if len(p)%4 != 0 {
		c.Fail(wire.ErrShort)
		return
	}
	*v = nil
	if len(p) == 0 {
		return
	}
	*v = make([]uint32, len(p)/4)
	inner := wire.Decoder(p)
	for i := range *v {
		inner.Uint32(&(*v)[i])
	}
}

// ReplyStatVFS answers statvfs and fstatvfs: the fields of POSIX statvfs.
type ReplyStatVFS struct {
	BSize, FrSize, Blocks, BFree, BAvail uint64
	Files, FFree, FAvail                 uint64
	FSID, Flag, NameMax                  uint64
}

// Layout implements wire.Layouter.
func (m *ReplyStatVFS) Layout(c *wire.Coder) {
	c.Uint64(&m.BSize)
	c.Uint64(&m.FrSize)
	c.Uint64(&m.Blocks)
	c.Uint64(&m.BFree)
	c.Uint64(&m.BAvail)
	c.Uint64(&m.Files)
	c.Uint64(&m.FFree)
	c.Uint64(&m.FAvail)
	c.Uint64(&m.FSID)
	c.Uint64(&m.Flag)
	c.Uint64(&m.NameMax)
}

// ReplyLimits answers limits. 0 is "not known".
type ReplyLimits struct{ MaxPacket, MaxRead, MaxWrite, MaxHandles uint64 }

// Layout implements wire.Layouter.
func (m *ReplyLimits) Layout(c *wire.Coder) {
	c.Uint64(&m.MaxPacket)
	c.Uint64(&m.MaxRead)
	c.Uint64(&m.MaxWrite)
	c.Uint64(&m.MaxHandles)
}

// ReplyNames answers users-groups-by-id: strings packed in two strings, in the order
// of the ids.
type ReplyNames struct{ Users, Groups []string }

// Layout implements wire.Layouter.
func (m *ReplyNames) Layout(c *wire.Coder) {
	packedNames(c, &m.Users)
	packedNames(c, &m.Groups)
}

func packedNames(c *wire.Coder, v *[]string) {
	if !c.Decoding() {
		var p []byte
		for _, s := range *v {
			p = wire.AppendString(p, s)
		}
		c.Bytes(&p)
		return
	}
	var p []byte
	c.Bytes(&p)
	*v = nil
	inner := wire.Decoder(p)
	for inner.More(false) {
		var s string
		inner.String(&s)
		*v = append(*v, s)
	}
	if err := inner.Err(); err != nil {
		c.Fail(err)
	}
}
