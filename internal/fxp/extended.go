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

// textsToEnd codes strings up to the end of the message, at most limit of them.
func textsToEnd(c *wire.Coder, v *[]string, limit int) {
	if !c.Decoding() {
		for i := range *v {
			c.String(&(*v)[i])
		}
		return
	}
	*v = nil
	for c.More(false) {
		if len(*v) == limit {
			c.Fail(wire.ErrValue)
			return
		}
		var s string
		c.String(&s)
		*v = append(*v, s)
	}
}

// HashRange is what the requests for hashes of a part of a file share: the algorithms in
// order of preference, and the octets; Length 0 is up to the end of the file. BlockSize 0
// asks for one hash over all, another for one of each block (filexfer-extensions-00).
type HashRange struct {
	Algorithms    []string
	Start, Length uint64
	BlockSize     uint32
}

func (m *HashRange) layout(c *wire.Coder) {
	c.Names(&m.Algorithms)
	c.Uint64(&m.Start)
	c.Uint64(&m.Length)
	c.Uint32(&m.BlockSize)
}

// ExtCheckName is the data of check-file-name.
type ExtCheckName struct {
	Path string
	HashRange
}

// Layout implements wire.Layouter.
func (m *ExtCheckName) Layout(c *wire.Coder) {
	c.String(&m.Path)
	m.layout(c)
}

// ExtCheckHandle is the data of check-file-handle.
type ExtCheckHandle struct {
	Handle []byte
	HashRange
}

// Layout implements wire.Layouter.
func (m *ExtCheckHandle) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	m.layout(c)
}

// checkFile is the text in front of the reply to check-file-name and check-file-handle.
const checkFile = "check-file"

// ReplyCheckFile answers check-file-name and check-file-handle: the hashes one behind the
// other. ProFTPD leaves the text in front out.
type ReplyCheckFile struct {
	Algorithm string
	Hashes    []byte
}

// Layout implements wire.Layouter.
func (m *ReplyCheckFile) Layout(c *wire.Coder) {
	first := checkFile
	c.String(&first)
	if c.Decoding() && first != checkFile {
		m.Algorithm = first
	} else {
		c.String(&m.Algorithm)
	}
	c.Rest(&m.Hashes)
}

// MD5Range is what md5-hash and md5-hash-handle share (filexfer-05 section 8.1). Start and
// Length 0 are the whole file. QuickCheck is the hash of the first 2048 octets of it, if the
// client knows one.
type MD5Range struct {
	Start, Length uint64
	QuickCheck    []byte
}

func (m *MD5Range) layout(c *wire.Coder) {
	c.Uint64(&m.Start)
	c.Uint64(&m.Length)
	c.Bytes(&m.QuickCheck)
}

// ExtMD5Name is the data of md5-hash.
type ExtMD5Name struct {
	Path string
	MD5Range
}

// Layout implements wire.Layouter.
func (m *ExtMD5Name) Layout(c *wire.Coder) {
	c.String(&m.Path)
	m.layout(c)
}

// ExtMD5Handle is the data of md5-hash-handle.
type ExtMD5Handle struct {
	Handle []byte
	MD5Range
}

// Layout implements wire.Layouter.
func (m *ExtMD5Handle) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	m.layout(c)
}

// ReplyMD5 answers md5-hash and md5-hash-handle. An empty Hash says that QuickCheck differed.
type ReplyMD5 struct {
	// Name is "md5-hash" for both, as in the draft, but for MINA: the name of the request.
	// An empty one is sent as the draft says.
	Name string
	Hash []byte
}

// md5Hash and md5HashHandle are the texts in front of it.
const md5Hash, md5HashHandle = "md5-hash", "md5-hash-handle"

// Layout implements wire.Layouter.
func (m *ReplyMD5) Layout(c *wire.Coder) {
	name := m.Name
	if name == "" {
		name = md5Hash
	}
	c.String(&name)
	c.Bytes(&m.Hash)
	if !c.Decoding() {
		return
	}
	if m.Name = name; name != md5Hash && name != md5HashHandle {
		c.Fail(wire.ErrValue)
	}
}

// ExtCopyFile is the data of copy-file.
type ExtCopyFile struct {
	From, To  string
	Overwrite bool
}

// Layout implements wire.Layouter.
func (m *ExtCopyFile) Layout(c *wire.Coder) {
	c.String(&m.From)
	c.String(&m.To)
	c.Bool(&m.Overwrite)
}

// ReplySpace answers space-available, in octets.
type ReplySpace struct {
	Device, DeviceFree uint64
	User, UserFree     uint64
	Unit               uint32 // of allocation
}

// Layout implements wire.Layouter.
func (m *ReplySpace) Layout(c *wire.Coder) {
	c.Uint64(&m.Device)
	c.Uint64(&m.DeviceFree)
	c.Uint64(&m.User)
	c.Uint64(&m.UserFree)
	c.Uint32(&m.Unit)
}

// ExtTextSeek is the data of text-seek (filexfer-13 section 8.1.1.3). The first line is 0.
type ExtTextSeek struct {
	Handle []byte
	Line   uint64
}

// Layout implements wire.Layouter.
func (m *ExtTextSeek) Layout(c *wire.Coder) {
	c.Bytes(&m.Handle)
	c.Uint64(&m.Line)
}

// ExtFlag is the data of filename-translation-control: whether to translate.
type ExtFlag struct{ On bool }

// Layout implements wire.Layouter.
func (m *ExtFlag) Layout(c *wire.Coder) { c.Bool(&m.On) }

// VendorID says which program a peer is. It is data of VERSION, and of the request
// vendor-id: there the fields are in one string by the draft, and ProFTPD wants them
// without it. Both are read, the latter is written.
type VendorID struct {
	Vendor, Product, Version string
	Build                    uint64
}

// Layout implements wire.Layouter.
func (m *VendorID) Layout(c *wire.Coder) {
	if c.Decoding() {
		// What is one string from end to end has no three fields behind the first.
		var inner []byte
		if whole := wire.Decoder(c.Buffer()); c.Err() == nil {
			if whole.Bytes(&inner); whole.End() == nil {
				c.Bytes(&inner)
				if err := wire.Decode(inner, (*vendorFields)(m)); err != nil {
					c.Fail(err)
				}
				return
			}
		}
	}
	(*vendorFields)(m).Layout(c)
}

// vendorFields are a VendorID without a string around them.
type vendorFields VendorID

// Layout implements wire.Layouter.
func (m *vendorFields) Layout(c *wire.Coder) {
	c.String(&m.Vendor)
	c.String(&m.Product)
	c.String(&m.Version)
	c.Uint64(&m.Build)
}
