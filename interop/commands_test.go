package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// commandClients can run commands.
var commandClients = []*client{
	opensshSSH, puttyPlink, paramiko, asyncssh, nodeSSH2, goClient,
	rubyNet.client(), phpseclib.client(), perlSSH2.client(), jsch.client(), sshj.client(),
}

// commandColumns are what a client is asked to run.
var commandColumns = []struct {
	name, command string
	in, want      []byte
	status        int
}{
	{name: "output", command: "echo hello; echo to stderr >&2", want: []byte("hello\n")},
	{name: "status", command: "exit 7", status: 7},
	{name: "quoting", command: `printf '%s|' "a b" 'c"d' ü`, want: []byte(`a b|c"d|ü|`)},
	{name: "stdin", command: "cat", in: sample(8<<20 + 5), want: sample(8<<20 + 5)},
	{name: "stdin then status", command: "wc -c | tr -d ' '; exit 3", in: sample(100_000), want: []byte("100000\n"), status: 3},
	{name: "stdin unread", command: "true", in: sample(3 << 20)},
}

// TestCommands runs commands through every client that can and checks output, exit status and end of input.
func TestCommands(t *testing.T) {
	s := startCommandServer(t)
	ident, err := s.ident()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, col := range commandColumns {
		names = append(names, col.name)
	}
	table := newTable("Clients and commands: "+ident, names)
	for _, c := range commandClients {
		t.Run(c.name, func(t *testing.T) {
			version, err := c.find()
			if err != nil {
				table.missing(c.name, err)
				missingPeer(t, c.name, err)
			}
			table.version(c.name, version)
			for _, col := range commandColumns {
				if why := c.reason(col.name); why != "" {
					table.set(c.name, col.name, resultNA, why)
					continue
				}
				t.Run(col.name, func(t *testing.T) {
					table.set(c.name, col.name, resultFail, "the test did not end")
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					dir := t.TempDir()
					st := step{Verb: vExec, Command: col.command, To: filepath.Join(dir, "out")}
					var err error
					if col.in != nil {
						st.Local = filepath.Join(dir, "in")
						err = os.WriteFile(st.Local, col.in, 0o600)
					}
					var out outcome
					if err == nil {
						out, err = c.run(ctx, s.job(st))
					}
					if err == nil {
						err = wantFile(st.To, col.want)
					}
					if err == nil && out.Status != col.status {
						err = fmt.Errorf("exit status %d, want %d", out.Status, col.status)
					}
					if err != nil {
						table.set(c.name, col.name, resultFail, lastLine(err.Error()))
						t.Fatal(err)
					}
					table.set(c.name, col.name, resultOK, "")
				})
			}
		})
	}
	addReport(table.String())
}
