package sftp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Vendor says which program a peer is, for people and for work-arounds (vendor-id).
type Vendor struct {
	Name    string // who makes it
	Product string
	Version string
	Build   uint64
}

// begin starts to speak version v.
func (s *session) begin(v fxp.Version) {
	s.version = v
	s.names.start(v)
	s.at.version.Store(uint32(v))
	if s.info.Negotiated != nil {
		s.info.Negotiated(int(v))
	}
}

// announce decides which extended requests are served, and returns what VERSION says: the
// requests of the table that the file system can do and the server offers, in the order of
// the table, those that the file system answers by itself, and what else the version has.
//
// A request may exist in a version that is selected later only (version-select), so all are
// decided on; what is said goes by the version of VERSION (fact sheet section 7).
func (s *session) announce() (list []fxp.Pair) {
	var names []string
	for _, row := range fxp.Rows() {
		if row.Extension == "" || !s.serves(&row) {
			continue
		}
		s.offered[row.Op] = true
		if s.version < row.Since {
			continue
		}
		names = append(names, row.Extension)
		said := func(p fxp.Pair) bool { return p.Name == row.AnnouncedAs }
		if row.Announce != "" && !slices.ContainsFunc(list, said) {
			list = append(list, fxp.Pair{Name: row.AnnouncedAs, Data: []byte(row.Announce)})
		}
	}
	for _, name := range s.caps.Extensions {
		if s.offers(name) && !s.srv.ReadOnly {
			names = append(names, name)
			list = append(list, fxp.Pair{Name: name})
		}
	}
	for _, a := range fxp.Announcements() {
		known := s.version >= a.Since && s.version <= a.Until || a.Name == fxp.AnnounceSupported2 && s.quirks&anySupported != 0
		if !known || !s.offers(a.Name) {
			continue
		}
		if data := s.announcement(a.Name, names); data != nil {
			list = append(list, fxp.Pair{Name: a.Name, Data: wire.Append(nil, data)})
		}
	}
	return list
}

// serves says whether an extended request is answered.
func (s *session) serves(row *fxp.Row) bool {
	switch {
	case !s.offers(row.Extension) && !s.offers(row.AnnouncedAs),
		!s.caps.Features.Has(handlers[row.Op].features),
		s.srv.ReadOnly && row.Effect == fxp.Writes,
		s.refused[row.Op]:
		return false
	}
	switch row.Op {
	case fxp.OpVersionSelect:
		return s.srv.maxVersion() > fxp.V3
	case fxp.OpGetTempFolder, fxp.OpMakeTempFolder:
		return s.srv.TempFolder != ""
	default:
		return true
	}
}

// offers says whether the server's settings let an extension through.
func (s *session) offers(name string) bool {
	return s.srv.Extensions == nil || slices.Contains(s.srv.Extensions, name)
}

// announcement makes the data of one of fxp.Announcements; nil says nothing.
func (s *session) announcement(name string, extensions []string) wire.Layouter {
	switch name {
	case fxp.AnnounceVersions:
		if s.srv.maxVersion() > fxp.V3 && !s.refused[fxp.OpVersionSelect] {
			return &fxp.Text{Text: []byte(s.srv.versions())}
		}
	case fxp.AnnounceVendorID:
		if v := s.srv.Vendor; v != (Vendor{}) {
			return &fxp.VendorID{Vendor: v.Name, Product: v.Product, Version: v.Version, Build: v.Build}
		}
	case fxp.AnnounceNewline:
		s.newline = newline(s.srv.Newline)
		if s.srv.Newline == "" {
			s.newline = newline(s.caps.Newline)
		}
		return &fxp.Text{Text: []byte(s.newline)}
	case fxp.AnnounceSupported:
		return &fxp.Supported{Masks: s.masks(), Extensions: extensions}
	case fxp.AnnounceSupported2:
		return &fxp.Supported2{
			Masks: s.masks(), OpenBlockVector: s.openBlocks(), BlockVector: s.rangeBlocks(), Extensions: extensions,
		}
	case fxp.AnnounceACLSupported:
		if s.caps.Attrs&AttrACL != 0 {
			return &fxp.ACLSupported{Capabilities: uint32(s.caps.ACL)}
		}
	case fxp.AnnounceFilenameCharset:
		if charset := s.names.announce(s.version); charset != "" {
			s.charsetSaid = true
			return &fxp.Text{Text: []byte(charset)}
		}
	}
	return nil
}

// versions lists what version-select takes, as "3,4,5,6".
func (s *Server) versions() string {
	var list []string
	for v := fxp.V3; v <= s.maxVersion(); v++ {
		list = append(list, strconv.Itoa(int(v)))
	}
	return strings.Join(list, ",")
}

// neverSet are the attributes that only servers send.
const neverSet = AttrLinks | AttrTextHint | AttrUntranslated | AttrCtime

// everyAccess are all bits of Access.
const everyAccess = AccessReadData | AccessWriteData | AccessAppendData | AccessReadNamedAttrs | AccessWriteNamedAttrs |
	AccessExecute | AccessDeleteChild | AccessReadAttrs | AccessWriteAttrs | AccessDelete | AccessReadACL | AccessWriteACL |
	AccessWriteOwner | AccessSynchronize

// masks are what supported and supported2 have in common.
func (s *session) masks() fxp.Masks {
	attrs := s.caps.Attrs &^ (neverSet | s.caps.FixedAttrs)
	if attrs&AttrUIDGID != 0 {
		attrs |= AttrOwnerGroup // the numbers, as text
	}
	return fxp.Masks{
		Attrs: uint32(attrs) & fxp.AttrMask(s.version), Bits: uint32(s.caps.Bits),
		OpenFlags: dispositionBits | uint32(s.openFlags(s.version)), Access: uint32(everyAccess), MaxRead: fxp.MaxData,
	}
}

// openFlags are the flags of OPEN in version v that the server and the file system obey.
func (s *session) openFlags(v fxp.Version) OpenFlags {
	f := OpenAppend | OpenAppendAtomic | OpenText | OpenNoFollow
	if s.caps.Features.Has(FeatureOpenLock) {
		f |= OpenBlockMask
	}
	if s.caps.Features.Has(FeatureDeleteOnClose) {
		f |= OpenDeleteOnClose
	}
	return (f | s.caps.OpenFlags) & openKnownIn(v)
}

// The vectors of supported2 have a bit for each combination of the block bits, shifted so
// that the first of them is the lowest; the combination of none is there always.
const (
	noBlocks        = 0x0001
	mandatoryBlocks = 0x00FF // every combination without ADVISORY
	advisoryBlocks  = 0xFF00
)

func (s *session) openBlocks() uint16 {
	if s.caps.Features.Has(FeatureOpenLock) {
		return mandatoryBlocks | advisoryBlocks
	}
	return noBlocks
}

func (s *session) rangeBlocks() uint16 {
	blocks := uint16(noBlocks)
	if s.caps.Features.Has(FeatureRangeLock) {
		blocks |= mandatoryBlocks
	}
	if s.caps.Features&(FeatureRangeLock|FeatureRangeLockAdvisory) != 0 {
		blocks |= advisoryBlocks // which a mandatory lock is, too
	}
	return blocks
}

// versionSelect serves version-select (filexfer-13 section 5.5), which must be the first
// request. Whatever else comes ends the session, since the client goes on in the version
// that it asked for without waiting.
func (s *session) versionSelect(r *request) error {
	text, err := s.text(r)
	if err == nil && s.requests == 1 && s.offered[fxp.OpVersionSelect] {
		for v := fxp.V3; v <= s.srv.maxVersion(); v++ {
			if text == strconv.Itoa(int(v)) {
				s.begin(v)
				return nil
			}
		}
	}
	if err == nil {
		err = Status(CodeFailure, "version cannot be selected")
	}
	s.over = violation("version-select of %q as request %d", text, s.requests)
	return err
}

// vendorID serves vendor-id: what the client is changes nothing here.
func (s *session) vendorID(r *request) error {
	var m fxp.VendorID
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	r.path = m.Product
	return nil
}
