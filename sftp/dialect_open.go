package sftp

import "github.com/fairlead-ssh/fairlead/internal/fxp"

// openFlags turn the flags of versions 3 and 4 into access and flags; how the file comes
// to be is in dispositions.
var openFlags = [...]struct {
	flag   uint32
	since  fxp.Version
	access Access
	flags  OpenFlags
}{
	{fxp.OpenRead, fxp.V0, AccessReadData | AccessReadAttrs, 0},
	{fxp.OpenWrite, fxp.V0, AccessWriteData | AccessWriteAttrs, 0},
	{fxp.OpenAppend, fxp.V0, AccessAppendData | AccessWriteAttrs, OpenAppend},
	{fxp.OpenText, fxp.V4, 0, OpenText},
}

// dispositions are by CREAT, TRUNC and EXCL; EXCL means nothing without CREAT. The first
// row of a disposition is the one that is sent.
var dispositions = [...]struct {
	flags uint32
	how   Disposition
}{
	{0, OpenExisting},
	{fxp.OpenExcl, OpenExisting},
	{fxp.OpenTrunc, TruncateExisting},
	{fxp.OpenTrunc | fxp.OpenExcl, TruncateExisting},
	{fxp.OpenCreate, OpenOrCreate},
	{fxp.OpenCreate | fxp.OpenTrunc, CreateTruncate},
	{fxp.OpenCreate | fxp.OpenExcl, CreateNew},
	{fxp.OpenCreate | fxp.OpenTrunc | fxp.OpenExcl, CreateNew},
}

// dispositionBits are those of a Disposition in the flags of version 5 and 6.
const dispositionBits = 0x7

// openKnownIn are the flags of OPEN that a version has, beside the disposition.
func openKnownIn(v fxp.Version) OpenFlags {
	if v == fxp.V5 {
		return OpenAppend | OpenAppendAtomic | OpenText | OpenBlockRead | OpenBlockWrite | OpenBlockDelete
	}
	return openKnown
}

// openHow reads an OPEN, all but its attributes (filexfer-02 section 6.3, filexfer-13
// section 8.1.1). Flags that version 3 or 4 does not have are ignored, as by OpenSSH.
func openHow(m *fxp.Open) (h OpenHow, err error) {
	v := m.Attrs.V
	if v >= fxp.V5 {
		h = OpenHow{Access: Access(m.Access), Disposition: Disposition(m.Flags & dispositionBits), Flags: OpenFlags(m.Flags &^ dispositionBits)}
		if h.Access == 0 {
			h.Access = AccessReadAttrs // which is all that such a handle is good for
		}
		if h.Flags&^openKnownIn(v) != 0 {
			return h, Status(CodeOpUnsupported, "unknown open flag")
		}
		return h, h.Check()
	}
	for i := range openFlags {
		if row := &openFlags[i]; v >= row.since && m.Flags&row.flag != 0 {
			h.Access |= row.access
			h.Flags |= row.flags
		}
	}
	if h.Access == 0 {
		// OpenSSH opens for reading what asks for nothing.
		h.Access = AccessReadData | AccessReadAttrs
	}
	for i := range dispositions {
		if dispositions[i].flags == m.Flags&(fxp.OpenCreate|fxp.OpenTrunc|fxp.OpenExcl) {
			h.Disposition = dispositions[i].how
		}
	}
	return h, h.Check()
}

// meantAccess is what a client with the quirk zeroAccess wants of OPEN with these flags of
// version 5 or 6.
func meantAccess(flags uint32) uint32 {
	if Disposition(flags&dispositionBits) == OpenExisting {
		return uint32(AccessReadData | AccessReadAttrs)
	}
	return uint32(AccessWriteData | AccessWriteAttrs)
}

// wireOpen makes the OPEN of version v that asks for h, all but its path. What the version
// has no words for is CodeOpUnsupported.
func wireOpen(h *OpenHow, v fxp.Version) (m fxp.Open, err error) {
	if err := h.Check(); err != nil {
		return m, err
	}
	m.Attrs.V = v
	if h.Attrs != nil {
		m.Attrs = wireAttrs(h.Attrs, v)
	}
	if v >= fxp.V5 {
		if h.Flags&^openKnownIn(v) != 0 {
			return m, errOpenFlags
		}
		m.Access, m.Flags = uint32(h.Access), uint32(h.Disposition)|uint32(h.Flags)
		return m, nil
	}
	said := OpenAppend | OpenAppendAtomic // both are APPEND
	m.Flags = uint32(h.PFlags())
	if v >= fxp.V4 {
		said |= OpenText
	}
	if h.Flags&^said != 0 {
		return m, errOpenFlags
	}
	return m, nil
}

// PFlags returns the flags of versions 3 and 4 that come closest to h: what they cannot express,
// such as locks and OpenNoFollow, is left out. [PFlags.How] converts the other way. The access mask
// of versions 5 and 6 is h.Access whatever the version.
func (h *OpenHow) PFlags() (p PFlags) {
	if h.Reads() {
		p |= PRead
	}
	if h.Writes() {
		p |= PWrite
	}
	if h.Appends() {
		p |= PAppend
	}
	if h.Flags&OpenText != 0 {
		p |= PText
	}
	for i := range dispositions {
		if dispositions[i].how == h.Disposition {
			return p | PFlags(dispositions[i].flags)
		}
	}
	return p
}

var errOpenFlags = Status(CodeOpUnsupported, "protocol version has no such open flag")
