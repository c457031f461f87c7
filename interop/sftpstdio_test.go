package interop

import (
	"os"
	"testing"
	"time"
)

// stdioCommand is the line of sshd's configuration that makes ours its SFTP server, alone with the directory that the
// fixture mounts.
func stdioCommand(t *testing.T) string {
	t.Helper()
	program, err := fairleadBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(scratch, 0o711); err != nil { // an ordinary user starts it
		t.Fatal(err)
	}
	return program + " serve --stdio --root /mnt"
}

// TestStdioMatrix puts OpenSSH's clients through the operations of TestMatrix against OpenSSH's sshd with our SFTP
// server as its subsystem.
func TestStdioMatrix(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{sftp: stdioCommand(t)}})
	if err := makeMany(s.root); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, col := range columns {
		if col.limit == 0 {
			names = append(names, col.name)
		}
	}
	table := newTable("OpenSSH's clients and sshd with Subsystem sftp fairlead serve --stdio", names)
	start := time.Now()
	theirs := []*client{opensshSFTP, opensshSCP, sshfs}
	for _, c := range theirs {
		table.row(c.name)
	}
	t.Run("clients", func(t *testing.T) {
		for _, c := range theirs {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				runRow(t, table, c, s, false, "")
			})
		}
	})
	table.note("%d cells in %s", table.cells(), time.Since(start).Round(time.Second))
	addReport(table.String())
}

// TestStdioVersions is TestSFTPClients by way of OpenSSH's sshd. Our server does not learn there who the client is, so
// it cannot allow for its ways.
func TestStdioVersions(t *testing.T) {
	p := sshdPlace(t, stdioCommand(t))
	p.prefix, p.blind = "/", true
	const (
		draft   = "the client sends the link first, the rest of the world the target, and sshd does not tell who is there"
		link    = "AsyncSSH's client sends the link first in versions 4 and 5, the rest of the world the target, and sshd does not tell who is there"
		mina    = "MINA's client has the paths of LINK the wrong way round, and sshd does not tell who is there"
		lengths = "MINA's client wants each hash with its length, which no draft has, and sshd does not tell who is there"
		access  = "phpseclib opens files without asking for any access in versions 5 and 6, and sshd does not tell who is there"
		name    = "MINA's client wants the reply by another name than the draft's, and sshd does not tell who is there"
	)
	runSFTPClients(t, p, "SFTP clients by version and sshd with Subsystem sftp fairlead serve --stdio", map[string]map[string]string{
		"Erlang":         {"symlink": draft},
		"Conch":          {"symlink": draft},
		"Ruby Net::SFTP": {"symlink 3": draft, "symlink 4": draft, "symlink 5": draft},
		"phpseclib": {
			"put, get 5": access, "reput 5": access, "reget 5": access, "append 5": access, "names 5": access,
			"put, get 6": access, "reput 6": access, "reget 6": access, "append 6": access, "names 6": access,
		},
		"AsyncSSH":  {"symlink 4": link, "symlink 5": link},
		"MINA SSHD": {"symlink 6": mina, "hard link 6": mina, "check-file 5": lengths, "check-file 6": lengths, "md5-hash 5": name, "md5-hash 6": name},
	})
}
