package transport

import (
	"regexp"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// Quirks are faults of a peer, known by its ident, that we work around. Each is
// a bit.
type Quirks uint32

// The quirks, by the names that other implementations have for them.
const (
	// BadDHGEX: group exchange does not work, and is not offered.
	BadDHGEX Quirks = 1 << iota
	// DHGEXLarge: group exchange fails for groups of more than 4096 bits; the
	// largest asked for is of that size.
	DHGEXLarge
	// OldExit: exit-signal has a number for the signal instead of its name.
	OldExit
	// DynamicPort: channels for a forwarding to port 0 say that they are for
	// port 0 and not for the port that was chosen.
	DynamicPort
	// ImplySHA2: rsa-sha2-256 and -512 are taken although server-sig-algs does
	// not list them.
	ImplySHA2
	// GSSHostKey: the host key that a server may show in a GSS-API key exchange
	// ends the connection, and is not shown.
	GSSHostKey
)

// quirks says which idents have which faults. A pattern is for the software
// part of the ident, see Ident.
var quirks = []struct {
	bit      Quirks
	name     string
	role     msg.Role // of the peer with the fault
	software *regexp.Regexp
	reason   string
}{
	{BadDHGEX, "BAD_DHGEX", msg.Server, regexp.MustCompile(`^Cisco-1\.25$`), "ends the connection on group exchange"},
	{DHGEXLarge, "BUG_DHGEX_LARGE", msg.Server, regexp.MustCompile(`^Cisco-1\.`), "does not answer requests for groups above 4096 bits"},
	{OldExit, "OLD_EXIT", msg.Server, regexp.MustCompile(`^[0-9.]+$`), "versions of ssh.com before 3 follow a draft of RFC 4254"},
	{DynamicPort, "DYN_RPORT_BUG", msg.Server, regexp.MustCompile(`^OpenSSH_5\.[0-9]`), "fixed in OpenSSH 6.0"},
	{ImplySHA2, "IMPLY_RSA_SHA2_SIGALGS", msg.Server, regexp.MustCompile(`^OpenSSH_7\.4($|[^0-9])`), "lists its algorithms under wrong names"},
	{GSSHostKey, "GSS_HOSTKEY", msg.Client, regexp.MustCompile(`^OpenSSH_`), "distributions' patch: cannot read the packet after KEXGSS_HOSTKEY"},
}

// quirksOf returns the quirks of a peer.
func quirksOf(role msg.Role, ident string) Quirks {
	var q Quirks
	software := ParseIdent(ident).Software
	for _, row := range quirks {
		if row.role == role && row.software.MatchString(software) {
			q |= row.bit
		}
	}
	return q
}

// Has tells whether all of bits are among q.
func (q Quirks) Has(bits Quirks) bool { return q&bits == bits }

// Names returns the names of the quirks, such as "BAD_DHGEX".
func (q Quirks) Names() []string {
	var names []string
	for _, row := range quirks {
		if q.Has(row.bit) {
			names = append(names, row.name)
		}
	}
	return names
}

// Ident is an ident line taken apart (RFC 4253 section 4.2).
type Ident struct {
	Protocol string // "2.0" or "1.99"
	Software string // up to the first space
	Comments string // after it; often empty
}

// ParseIdent takes an ident apart. What does not begin like one is all Comments.
func ParseIdent(line string) Ident {
	rest, ok := strings.CutPrefix(line, "SSH-")
	protocol, rest, found := strings.Cut(rest, "-")
	if !ok || !found {
		return Ident{Comments: line}
	}
	software, comments, _ := strings.Cut(rest, " ")
	return Ident{protocol, software, comments}
}
