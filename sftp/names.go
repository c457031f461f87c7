package sftp

import "github.com/fairlead-ssh/fairlead/internal/fxp"

// names turns the names of one session from how the peer writes them to how the file
// system does, and back. The zero value leaves them alone: names are octets.
type names struct {
	charset translator // what the peer writes now; nil: as the file system
	own     *Charset   // what was set for the session; nil: nothing
}

// start chooses for a protocol version. Up to version 3 names are octets unless a charset is
// set. From version 4 on they are UTF-8, and a charset that is set is what clients get that
// turn translation off.
func (n *names) start(version fxp.Version) {
	switch {
	case version > fxp.V3:
		n.charset = utf8Names.coder()
	case n.own != nil:
		n.charset = n.own.coder()
	default:
		n.charset = nil
	}
}

// announce returns what filename-charset says, "" for not sent (filexfer-13 §6).
func (n *names) announce(version fxp.Version) string {
	if version <= fxp.V3 || n.own == nil {
		return ""
	}
	return n.own.Name()
}

// control is filename-translation-control (filexfer-13 §6): whether names are translated to
// UTF-8 from now on.
func (n *names) control(version fxp.Version, translate bool) error {
	switch {
	case n.announce(version) == "":
		return CodeOpUnsupported
	case translate:
		n.charset = utf8Names.coder()
	default:
		n.charset = n.own.coder()
	}
	return nil
}

// translator turns what a peer wrote into a name, and back. Both sides are total: what has
// no counterpart is escaped.
type translator interface {
	Decode(wire string) string
	Encode(name string) string
	// Plain tells whether a line is the same on both sides.
	Plain(line []byte) bool
}

// maxWireName is the most octets of a name in any charset: four for each of MaxPath.
const maxWireName = 4 * MaxPath

// decode takes a name from the peer.
func (n *names) decode(name string) string {
	if n.charset == nil {
		return name
	}
	return n.charset.Decode(name)
}

// encode makes a name fit for the peer.
func (n *names) encode(name string) string {
	if n.charset == nil {
		return name
	}
	return n.charset.Encode(name)
}

// entry makes an entry of a listing fit for the peer, long name and all.
func (n *names) entry(e *fxp.NameEntry) {
	if n.charset == nil {
		return
	}
	e.Name = n.charset.Encode(e.Name)
	if !n.charset.Plain(e.LongName) {
		e.LongName = []byte(n.charset.Encode(string(e.LongName)))
	}
}
