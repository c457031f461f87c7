package sftp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// ServerInfo is what a server says about itself in VERSION. What it does not say is zero.
type ServerInfo struct {
	// Vendor, Product, ProductVersion and Build name the program (vendor-id). They are text
	// of the peer.
	Vendor, Product, ProductVersion string
	Build                           uint64
	// Versions are all that the server speaks (versions).
	Versions []int
	// Newline separates the lines of text files on the wire (newline).
	Newline string
	// Charset is the charset of the server's own names, if it can send them untranslated
	// (filename-charset).
	Charset string
	// Told says whether the fields below are known: the server sent supported (version 5) or
	// supported2 (version 6).
	Told bool
	// Attrs, Bits, OpenFlags and Access are what can be set, and asked for.
	Attrs     AttrMask
	Bits      AttrBits
	OpenFlags OpenFlags
	Access    Access
	// MaxRead is the most octets that a READ is sure to answer in full.
	MaxRead uint32
	// OpenBlocks and Blocks are the combinations of block flags that OPEN and Lock take:
	// bit n is combination n of RangeRead, RangeWrite, RangeDelete and RangeAdvisory,
	// shifted right by six.
	OpenBlocks, Blocks uint16
	// AttrExtensions and Extensions are extended attributes and requests.
	AttrExtensions, Extensions []string
	// ACL says which ACLs can be kept (acl-supported).
	ACL ACLCapabilities
}

// ServerInfo returns what the server says about itself.
func (c *Client) ServerInfo() *ServerInfo {
	info := c.info
	info.Versions, info.Extensions = slices.Clone(info.Versions), slices.Clone(info.Extensions)
	info.AttrExtensions = slices.Clone(info.AttrExtensions)
	return &info
}

// announced reads VERSION, whose layouts are those of its own version. What is malformed is
// left out: none of it is needed to go on.
func (c *Client) announced(m *fxp.VersionReply) {
	c.exts = make(map[string]string, len(m.Extensions))
	i := &c.info
	for _, x := range m.Extensions {
		c.exts[x.Name] = string(x.Data)
		switch x.Name {
		case fxp.AnnounceVendorID:
			var v fxp.VendorID
			if wire.Decode(x.Data, &v) == nil {
				i.Vendor, i.Product, i.ProductVersion, i.Build = v.Vendor, v.Product, v.Version, v.Build
			}
		case fxp.AnnounceVersions:
			for text := range strings.SplitSeq(string(x.Data), ",") {
				if n, err := strconv.ParseUint(text, 10, 8); err == nil {
					i.Versions = append(i.Versions, int(n))
				}
			}
		case fxp.AnnounceNewline:
			i.Newline = string(x.Data)
		case fxp.AnnounceFilenameCharset:
			i.Charset = string(x.Data)
		case fxp.AnnounceSupported:
			var s fxp.Supported
			if wire.Decode(x.Data, &s) == nil {
				i.masks(&s.Masks)
				i.Extensions = s.Extensions
			}
		case fxp.AnnounceSupported2:
			var s fxp.Supported2
			if wire.Decode(x.Data, &s) == nil {
				i.masks(&s.Masks)
				i.OpenBlocks, i.Blocks = s.OpenBlockVector, s.BlockVector
				i.AttrExtensions, i.Extensions = s.AttrExtensions, s.Extensions
			}
		case fxp.AnnounceACLSupported:
			var s fxp.ACLSupported
			if wire.Decode(x.Data, &s) == nil {
				i.ACL = ACLCapabilities(s.Capabilities)
			}
		}
	}
	for _, name := range i.Extensions { // some servers announce them here only
		if _, ok := c.exts[name]; !ok {
			c.exts[name] = ""
		}
	}
}

func (i *ServerInfo) masks(m *fxp.Masks) {
	i.Told = true
	i.Attrs, i.Bits = AttrMask(m.Attrs), AttrBits(m.Bits)
	i.OpenFlags, i.Access, i.MaxRead = OpenFlags(m.OpenFlags), Access(m.Access), m.MaxRead
}
