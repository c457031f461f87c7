package sftp

import (
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// quirk is a set of ways in which a peer differs from what the draft, or the field, says.
type quirk uint16

const (
	// linkFirst: SYMLINK carries the link's path first, as in the draft, and not
	// the target first, as OpenSSH and after it the field does.
	linkFirst quirk = 1 << iota
	// existingFirst: LINK of version 6 carries the existing path, or the target, first,
	// and not the new name, as the draft says and the others do.
	existingFirst
	// minaHashes: hashes of check-file are strings with a length, and the reply of
	// md5-hash-handle begins with its own name.
	minaHashes
	// anySupported: reads in supported2 which extensions there are, in every version.
	anySupported
	// controlByte: REALPATH of version 6 must have the byte that the draft lets out.
	controlByte
	// wrongRanges: check-file hashes other octets than it is asked for, unless they reach to
	// the end of the file.
	wrongRanges
	// brokenHome: the answer to home-directory is no message, and ends the session.
	brokenHome
	// zeroAccess: OPEN of versions 5 and 6 asks for no access and means what its disposition is
	// good for: reading what exists, or else writing.
	zeroAccess
	// bareData: the end-of-file of DATA in version 6 is taken for one more octet of the file.
	bareData
	// onlyVersion3: it asks for later versions and cannot read, or write, what is in them.
	onlyVersion3
	// writeTruncates: OPEN for writing alone empties the file, asked or not.
	writeTruncates
)

// quirkRows are the clients known to differ, by a part of their SSH ident.
var quirkRows = []struct {
	ident  string
	quirks quirk
	why    string
}{
	{"AsyncSSH", linkFirst, "draft order unless the server's ident has OpenSSH in it"},
	{"phpseclib", linkFirst | zeroAccess | bareData, "3.0: draft order unless the server's ident begins with OpenSSH; get and put of versions 5 and 6"},
	{"libssh_", linkFirst, "draft order unless the server's ident has OpenSSH in it; libssh2_ is another library"},
	{"ssh2js", linkFirst, "node ssh2 1.17: draft order unless the server's ident begins with OpenSSH or dropbear"},
	{"APACHE-SSHD", existingFirst | minaHashes | anySupported, "MINA 2.16, which is like that on both sides"},
	{"Erlang/", linkFirst | onlyVersion3, "OTP's ssh_sftp: draft order, always; asks for version 6 unless told otherwise, and dies of times with fractions and of what versions 4 and 6 brought"},
	{"Twisted_", linkFirst, "Conch: draft order, always"},
	{"Ruby/Net::SSH", linkFirst, "symlink! sends its arguments in the draft's order, always"},
}

// quirksOf returns the quirks of a client by its ident.
func quirksOf(ident string) (q quirk) {
	for i := range quirkRows {
		if strings.Contains(ident, quirkRows[i].ident) {
			q |= quirkRows[i].quirks
		}
	}
	return q
}

// maxVersion is the highest version to speak with the peer.
func (q quirk) maxVersion() fxp.Version {
	if q&onlyVersion3 != 0 {
		return fxp.V3
	}
	return fxp.Newest
}

// SymlinkOrder says how to read the two paths of SYMLINK, which implementations send in
// either order (OpenSSH PROTOCOL section 4.1).
type SymlinkOrder uint8

const (
	// SymlinkByIdent decides by the client's SSH ident: target first, but for the
	// clients that are known to send the link first.
	SymlinkByIdent SymlinkOrder = iota
	// SymlinkTargetFirst is what OpenSSH does.
	SymlinkTargetFirst
	// SymlinkLinkFirst is what the drafts say.
	SymlinkLinkFirst
)
