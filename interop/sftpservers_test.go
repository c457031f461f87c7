package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// foreigns are the servers that our client is put through its versions against.
var foreigns = []*foreign{
	{
		name: "OpenSSH", versions: []int{3}, find: findOpenSSHServer,
		start: func(t *testing.T) *place { return sshdPlace(t, "") },
	},
	{
		name: "ProFTPD", versions: allVersions, find: findProFTPD, start: proftpdPlace, login: userName, seconds: true,
		codes: map[string]int{"rename 3": codeFileExists, "copy-file 5": codePermissionDenied, "copy-file 6": codePermissionDenied},
		deviates: map[string]string{
			"lstat":     "ProFTPD answers LSTAT in part with what the link leads to",
			"symlink 6": "ProFTPD makes the target of a LINK absolute, from the directory where it runs",
			"readlink":  "ProFTPD makes the target absolute in its answer",
			"composed":  "ProFTPD ignores what a path is composed of",
			"utimes 4":  "ProFTPD sets the time of the last access to now when it sets that of the last change",
			"utimes 5":  "ProFTPD sets the time of the last access to now when it sets that of the last change",
			"utimes 6":  "ProFTPD sets the time of the last access to now when it sets that of the last change",
			"locks 6":   "ProFTPD grants a lock inside another, and ends the session when what is unlocked is not locked",
		},
	},
	{
		name: "AsyncSSH", versions: allVersions, find: findPython("asyncssh"), start: asyncsshPlace,
		codes: map[string]int{"chown": codeFailure},
		deviates: map[string]string{
			"text 5":   "AsyncSSH's server has no text mode from version 5 on, says its documentation of open56",
			"text 6":   "AsyncSSH's server has no text mode from version 5 on, says its documentation of open56",
			"readlink": "AsyncSSH's server with a root of its own says of a link that leads nowhere that it is not there",
			"locks":    "AsyncSSH's SFTPServer leaves locks to its user",
		},
	},
	{
		name: "MINA SSHD", versions: allVersions, find: findMinaSFTP, start: minaPlace, tellsSeconds: true,
		codes: map[string]int{
			"create 3": codeFileExists, "rename 3": codeFileExists, "exists 3": codeFileExists,
			"not empty": codeDirNotEmpty, "chown": codeFailure, "locks": codeLockConflict,
		},
		deviates: map[string]string{
			"truncate": "MINA's server makes no file longer by its size",
			"space":    "MINA's server does not say what is there for the user, nor the unit",
		},
	},
	{name: "node ssh2", versions: []int{3}, find: findNode, start: nodePlace},
	{
		name: "pkg sftp", versions: []int{3}, find: goClient.find, start: pkgPlace,
		deviates: map[string]string{
			"rename":  "pkg/sftp's server renames over what exists",
			"symlink": "pkg/sftp's server with a directory of its own makes the target absolute",
			"mkdir":   "pkg/sftp's server ignores the mode of MKDIR",
		},
	},
	{
		name: "Erlang", versions: []int{3}, find: findErlang, start: erlangPlace,
		codes: map[string]int{
			"rename": codeFileExists, "exists": codeFileExists, "not empty": codeFileExists, "chown": codeCannotDelete,
		},
		deviates: map[string]string{
			"create":    "ssh_sftpd ignores that a file must be a new one",
			"copy-file": "ssh_sftpd ignores that a file must be a new one",
			"symlink":   "ssh_sftpd with a root of its own makes the target absolute",
			"truncate":  "ssh_sftpd ignores a size among the attributes to set",
			"names":     "ssh_sftpd dies of a name beyond Latin-1 in READDIR; OpenSSH's client loses it as well",
		},
	},
	{
		name: "Conch", versions: []int{3}, find: findConch, start: conchPlace,
		codes: map[string]int{"create": codeFileExists, "exists": codeFileExists, "chown": codeFailure},
		deviates: map[string]string{
			"rename":   "Conch's server renames over what exists",
			"symlink":  "Conch's server makes the target absolute",
			"truncate": "Conch's server ignores a size among the attributes to set",
			"names":    "Conch's server takes names in ASCII only",
		},
	},
	{name: "Fairlead", versions: allVersions, find: ourSFTP.find, start: fairleadPlace},
}

// findOpenSSHServer is the version of sshd's SFTP server.
func findOpenSSHServer() (string, error) {
	if _, err := sshdHere(); err != nil {
		return "", err
	}
	return opensshVersion()
}

// TestSFTPServers puts our client through every operation in every version, against servers that no one here wrote,
// and against ours.
func TestSFTPServers(t *testing.T) {
	table := newVersionsTable("Our SFTP client by server and version")
	start := time.Now()
	row := func(f *foreign, v int) string { return fmt.Sprintf("%s v%d", strings.ReplaceAll(f.name, " ", "-"), v) }
	for _, f := range foreigns {
		for _, v := range f.versions {
			table.row(row(f, v))
		}
	}
	t.Run("servers", func(t *testing.T) {
		for _, f := range foreigns {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				version, err := f.find()
				if err != nil {
					for _, v := range f.versions {
						table.missing(row(f, v), err)
					}
					missingPeer(t, f.name, err)
				}
				p := f.start(t)
				d := driver(new(ourDriver))
				defer func() { d.quit() }()
				for _, v := range f.versions {
					t.Run(fmt.Sprint("version ", v), func(t *testing.T) {
						table.version(row(f, v), version)
						q := &pairing{
							row: row(f, v), client: ourSFTP, place: p, version: v,
							cannot: []map[string]string{f.cannot}, against: []map[string]string{f.deviates}, codes: f.codes,
							login: f.login, numeric: f.numeric, seconds: f.seconds, tellsSeconds: f.tellsSeconds,
						}
						d = q.run(t, table, d)
					})
				}
			})
		}
	})
	table.note("%d cells in %s", table.cells(), time.Since(start).Round(time.Second))
	addReport(table.String())
}
