package sftp

import (
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// serverQuirkRows are the servers known to differ, by a part of their SSH ident.
var serverQuirkRows = []struct {
	ident  string
	quirks quirk
	why    string
}{
	{"AsyncSSH", linkFirst, "reads the draft's order from clients that call themselves neither OpenSSH nor paramiko"},
	{"ssh2js", linkFirst, "node ssh2: reads the draft's order from clients that call themselves neither OpenSSH nor dropbear"},
}

// serverQuirks answers the quirks of a server by its ident.
func serverQuirks(ident string) (q quirk) {
	for i := range serverQuirkRows {
		if strings.Contains(ident, serverQuirkRows[i].ident) {
			q |= serverQuirkRows[i].quirks
		}
	}
	return q
}

// maxVersion is the highest version to offer.
func (q quirk) maxVersion() int { return int(fxp.Newest) }
