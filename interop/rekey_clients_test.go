package interop

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestRekeyClients has our server change keys again and again while each client that speaks SFTP sends a file and
// fetches it back: which messages may come between, and behind, an exchange is what implementations differ in.
func TestRekeyClients(t *testing.T) {
	if reference {
		return
	}
	const size, limit = 3 << 20, "400000"
	data := sample(size)
	for _, c := range sftpClients {
		if c.name == "MINA SSHD" || c.name == "JSch" || c.name == "sshj" {
			continue // one more start of Java each is too dear here
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.find(); err != nil {
				missingPeer(t, c.name, err)
			}
			p := &place{server: launch(t, serverOptions{commands: true, args: []string{"--rekey-bytes", limit}}), prefix: "/"}
			here := t.TempDir()
			local := filepath.Join(here, "f")
			if err := os.WriteFile(local, data, 0o644); err != nil {
				t.Fatal(err)
			}
			d, err := c.start(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(d.quit)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			x := &sftpCell{ctx: ctx, driver: d}
			err = x.all(p.connect(c.versions[0]), op{verb: "put", local: local, path: "/f"},
				op{verb: "get", path: "/f", local: local + ".back"}, op{verb: "close"})
			if err != nil {
				t.Fatal(err)
			}
			if err := wantFile(filepath.Join(p.root, "f"), data); err != nil {
				t.Error(err)
			}
			if err := wantFile(local+".back", data); err != nil {
				t.Error(err)
			}
			d.quit() // libssh's connection lasts as long as the program
			exchanges := atoi(p.waitLine(t, regexp.MustCompile(`connection ended: ([0-9]+) key exchanges`))[1])
			if exchanges < 6 {
				t.Errorf("%d key exchanges show nothing", exchanges)
			}
		})
	}
}
