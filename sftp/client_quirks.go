package sftp

import (
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// serverQuirkRows are the servers known to differ, by a part of their SSH ident.
var serverQuirkRows = []struct {
	ident  string
	quirks quirk
	why    string
}{
	{"AsyncSSH", linkFirst | controlByte, "reads the draft's order from clients that call themselves neither OpenSSH nor paramiko; REALPATH without the byte is an incomplete packet"},
	{"ssh2js", linkFirst, "node ssh2: reads the draft's order from clients that call themselves neither OpenSSH nor dropbear"},
	{"APACHE-SSHD", existingFirst | minaHashes | wrongRanges, "MINA 2.16, which is like that on both sides; it hashes as many octets as fill buffers of 8 KiB"},
	{"Erlang/", linkFirst | onlyVersion3 | writeTruncates, "OTP's ssh_sftpd: draft order, always; from version 4 on it ends the session at attributes that it cannot read, such as times with fractions; it passes the flags on to file:open, to which write alone means an empty file"},
	{"Twisted_", linkFirst, "Conch: draft order, always"},
	{"mod_sftp", wrongRanges | brokenHome, "ProFTPD 1.3.8: octets 100 to 5200 for 100 to 5100; a NAME without type, id and count"},
}

// serverQuirks returns the quirks of a server by its ident.
func serverQuirks(ident string) (q quirk) {
	for i := range serverQuirkRows {
		if strings.Contains(ident, serverQuirkRows[i].ident) {
			q |= serverQuirkRows[i].quirks
		}
	}
	return q
}

// link is LINK of version 6 as a server reads it.
func (q quirk) link(target, link string, symbolic bool) *fxp.Link {
	if q&existingFirst != 0 {
		target, link = link, target
	}
	return &fxp.Link{New: link, Target: target, Symbolic: symbolic}
}

// open adds what a server needs in order to leave what is in the file.
func (q quirk) open(m *fxp.Open, how *OpenHow) {
	if q&writeTruncates != 0 && how.Writes() && !how.Appends() && !how.Truncates() && m.Attrs.V < fxp.V5 {
		m.Flags |= fxp.OpenRead
	}
}

// hashes are those of a reply to check-file, without the lengths that some put in front of
// each. They lie in the message.
func (q quirk) hashes(m *fxp.ReplyCheckFile) ([]byte, error) {
	if q&minaHashes == 0 {
		return m.Hashes, nil
	}
	var all []byte
	for c := wire.Decoder(m.Hashes); c.More(false); {
		var sum []byte
		c.Bytes(&sum)
		if c.Err() != nil {
			return nil, violation("reply to check-file: %v", c.Err())
		}
		all = append(all, sum...)
	}
	return all, nil
}

// errRange refuses what a server would answer wrongly.
var errRange = Status(CodeOpUnsupported, "server hashes files only to their end")
