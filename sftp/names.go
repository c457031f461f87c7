package sftp

import "github.com/fairlead-ssh/fairlead/internal/fxp"

// names turns the names of one session from how the peer writes them to how the file
// system does, and back. The zero value leaves them alone: names are octets.
type names struct {
	charset translator // what the peer writes; nil: as the file system
}

// translator turns what a peer wrote into a name, and back. Both sides are total: what has
// no counterpart is escaped.
type translator interface {
	Decode(wire string) string
	Encode(name string) string
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
	e.LongName = []byte(n.charset.Encode(string(e.LongName)))
}
