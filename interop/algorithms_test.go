package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// wanted are the algorithms a default server offers, or with optional may offer.
var wanted = []struct {
	kind, name string
	optional   bool
}{
	{kind: "kex", name: "mlkem768x25519-sha256"},
	{kind: "kex", name: "sntrup761x25519-sha512"},
	{kind: "kex", name: "sntrup761x25519-sha512@openssh.com"},
	{kind: "kex", name: "curve25519-sha256"},
	{kind: "kex", name: "curve25519-sha256@libssh.org"},
	{kind: "kex", name: "ecdh-sha2-nistp256", optional: true},
	{kind: "kex", name: "ecdh-sha2-nistp384", optional: true},
	{kind: "kex", name: "ecdh-sha2-nistp521", optional: true},
	{kind: "kex", name: "diffie-hellman-group-exchange-sha256"},
	{kind: "kex", name: "diffie-hellman-group14-sha256"},
	{kind: "kex", name: "diffie-hellman-group16-sha512"},
	{kind: "kex", name: "diffie-hellman-group18-sha512"},
	{kind: "hostkey", name: "ssh-ed25519"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp256"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp384"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp521"},
	{kind: "hostkey", name: "rsa-sha2-256"},
	{kind: "hostkey", name: "rsa-sha2-512"},
	{kind: "hostkey", name: "ssh-ed25519-cert-v01@openssh.com"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp256-cert-v01@openssh.com"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp384-cert-v01@openssh.com"},
	{kind: "hostkey", name: "ecdsa-sha2-nistp521-cert-v01@openssh.com"},
	{kind: "hostkey", name: "rsa-sha2-256-cert-v01@openssh.com"},
	{kind: "hostkey", name: "rsa-sha2-512-cert-v01@openssh.com"},
	{kind: "cipher", name: "aes128-gcm@openssh.com"},
	{kind: "cipher", name: "aes256-gcm@openssh.com"},
	{kind: "cipher", name: "chacha20-poly1305@openssh.com"},
	{kind: "cipher", name: "aes128-ctr"},
	{kind: "cipher", name: "aes192-ctr"},
	{kind: "cipher", name: "aes256-ctr"},
	{kind: "mac", name: "hmac-sha2-256-etm@openssh.com"},
	{kind: "mac", name: "hmac-sha2-512-etm@openssh.com"},
	{kind: "mac", name: "hmac-sha2-256"},
	{kind: "mac", name: "hmac-sha2-512"},
	{kind: "mac", name: "hmac-sha1-etm@openssh.com", optional: true},
	{kind: "mac", name: "hmac-sha1", optional: true},
}

// algorithmClients can be told which algorithms to offer, and asked which they know.
var algorithmClients = []struct {
	*client
	knows func() (map[string][]string, error)
}{
	{opensshSFTP, knownToOpenSSH},
	{asyncssh, func() (map[string][]string, error) { return knownToScript(python(), "asyncssh_client.py", nil) }},
	{paramiko, func() (map[string][]string, error) { return knownToScript(python(), "paramiko_client.py", nil) }},
	{nodeSSH2, func() (map[string][]string, error) { return knownToScript("node", "ssh2_client.js", nodeEnv()) }},
	{goClient, knownToGo},
}

// rekeyBytes is how often the algorithm and rekey tests ask for new keys.
const rekeyBytes = 1 << 20

// TestAlgorithms uses every algorithm that the server offers with every client that knows it: a file each way with
// new keys every MiB. What no client could exercise is a failure.
func TestAlgorithms(t *testing.T) {
	s := startServer(t)
	offer, err := readKexinit(s.addr())
	if err != nil {
		t.Fatal(err)
	}
	// What is not on by default is tried with a second server that has everything on.
	all, allOffer := s, offer
	if !reference {
		all = startEverything(t)
		if allOffer, err = readKexinit(all.addr()); err != nil {
			t.Fatal(err)
		}
	}
	ident, err := s.ident()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range algorithmClients {
		names = append(names, c.name)
	}
	table := newTable("Algorithms, with new keys every MiB (key exchanges after the first): "+ident, names)
	local := filepath.Join(s.root, "algorithms")
	if err := os.WriteFile(local, sample(3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	knows := make(map[*client]map[string][]string)
	for _, c := range algorithmClients {
		if _, err := c.find(); err != nil {
			table.note("%s is missing: %v", c.name, err)
			if os.Getenv("FAIRLEAD_REQUIRE_PEERS") == "1" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if knows[c.client], err = c.knows(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var labels []string                // rows that the server offers
	t.Run("each", func(t *testing.T) { // returns when its parallel subtests have ended
		for _, row := range algorithmRows(allOffer) {
			s, label := s, row.name
			if !slices.Contains(offer.offers(row.kind), row.name) {
				if !row.optional && !reference {
					t.Errorf("%s %s is not offered by default", row.kind, row.name)
				}
				s, label = all, row.name+" (off by default)"
				if !slices.Contains(allOffer.offers(row.kind), row.name) {
					for _, c := range algorithmClients {
						table.set(label, c.name, resultNA, "the server does not offer it")
					}
					continue
				}
			}
			labels = append(labels, label)
			table.row(label)
			for _, c := range algorithmClients {
				if knows[c.client] == nil {
					table.set(label, c.name, resultNA, "the client is missing")
					continue
				}
				if !slices.Contains(knows[c.client][row.kind], row.name) {
					table.set(label, c.name, resultNA, "the client does not know it")
					continue
				}
				t.Run(row.name+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					table.set(label, c.name, resultFail, "the test did not end")
					rekeys, err := useAlgorithm(t, s, c.client, row.kind, row.name, local)
					if err != nil {
						table.set(label, c.name, resultFail, lastLine(err.Error()))
						t.Error(err)
						return
					}
					table.set(label, c.name, resultOK, fmt.Sprintf("ok (%d)", rekeys))
				})
			}
		}
	})
	for _, label := range labels {
		has := func(r result) bool {
			return slices.ContainsFunc(names, func(c string) bool { return table.result(label, c) == r })
		}
		if !has(resultOK) && !has(resultNone) { // not tried at all: left out with -run
			t.Errorf("%s is offered, but no client exercised it", label)
		}
	}
	addReport(table.String())
}

// startEverything starts our example server with every wanted algorithm on.
func startEverything(t *testing.T) *server {
	t.Helper()
	list := make(map[string][]string)
	for _, w := range wanted {
		list[w.kind] = append(list[w.kind], w.name)
	}
	return launch(t, serverOptions{commands: true, args: []string{
		"--kex", strings.Join(list["kex"], ","), "--host-key-algorithms", strings.Join(list["hostkey"], ","),
		"--ciphers", strings.Join(list["cipher"], ","), "--macs", strings.Join(list["mac"], ","),
	}})
}

type algorithmRow struct {
	kind, name string
	optional   bool
}

// algorithmRows are the wanted algorithms and then whatever else the server offers.
func algorithmRows(offer *kexinit) []algorithmRow {
	var rows []algorithmRow
	for _, w := range wanted {
		rows = append(rows, algorithmRow(w))
	}
	for _, kind := range kinds {
		for _, name := range offer.offers(kind) {
			known := slices.ContainsFunc(rows, func(r algorithmRow) bool { return r.kind == kind && r.name == name })
			if !known {
				rows = append(rows, algorithmRow{kind: kind, name: name})
			}
		}
	}
	return rows
}

// useAlgorithm sends local and fetches it back with one algorithm and returns how often the keys were changed.
func useAlgorithm(t *testing.T, s *server, c *client, kind, name, local string) (int, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	remote := strings.NewReplacer("/", "-", " ", "-").Replace("/" + name + "-" + c.name)
	remote = "/" + remote[1:]
	back := t.TempDir() + "/back"
	j := s.job(step{Verb: vPut, Local: local, Remote: remote}, step{Verb: vGet, Remote: remote, Local: back})
	j.RekeyBytes = rekeyBytes
	switch kind {
	case "kex":
		j.Algorithms.Kex = name
	case "hostkey":
		j.Algorithms.HostKey = name
	case "cipher":
		j.Algorithms.Cipher = name
	case "mac":
		j.Algorithms.MAC = name
		j.Algorithms.Cipher = "aes128-ctr" // an authenticated cipher would leave the MAC unused
	}
	out, err := c.run(ctx, j)
	if err != nil {
		return 0, err
	}
	there := filepath.Join(s.root, remote)
	defer os.Remove(there)
	if err := errors.Join(sameFiles(there, local), sameFiles(back, local)); err != nil {
		return 0, err
	}
	if out.Rekeys < 2 {
		return 0, fmt.Errorf("%d key exchanges after the first, want at least 2", out.Rekeys)
	}
	return out.Rekeys, nil
}

// rekeyClients can change keys while files move.
var rekeyClients = []struct {
	*client
	silent  bool // does not say how often it did
	never   verb // never asks for new keys in this direction
	because string
}{
	{client: opensshSFTP},
	{client: opensshSCP},
	{client: puttyPSFTP, silent: true},
	{client: asyncssh, never: vGet, because: "AsyncSSH counts only the bytes it sends"},
	{client: paramiko},
	{client: nodeSSH2},
	{client: goClient},
	{client: jsch.client()},
}

// TestRekey moves 32 MiB each way and changes the keys every MiB while it does.
func TestRekey(t *testing.T) {
	s := startServer(t)
	local := filepath.Join(s.root, "rekey")
	if err := writeRandom(local, 32<<20); err != nil {
		t.Fatal(err)
	}
	ident, err := s.ident()
	if err != nil {
		t.Fatal(err)
	}
	table := newTable("New keys every MiB while 32 MiB move (key exchanges after the first): "+ident, []string{"put", "get"})
	for _, c := range rekeyClients {
		for _, v := range []verb{vPut, vGet} {
			t.Run(c.name+"/"+string(v), func(t *testing.T) {
				if _, err := c.find(); err != nil {
					table.missing(c.name, err)
					missingPeer(t, c.name, err)
				}
				if v == c.never {
					table.set(c.name, string(v), resultNA, c.because)
					return
				}
				table.set(c.name, string(v), resultFail, "the test did not end")
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				st := step{Verb: v, Local: local, Remote: "/rekey-copy"}
				copied := filepath.Join(s.root, "rekey-copy")
				if v == vGet {
					copied = t.TempDir() + "/back"
					st = step{Verb: v, Local: copied, Remote: "/rekey"}
				}
				j := s.job(st)
				j.RekeyBytes = rekeyBytes
				out, err := c.run(ctx, j)
				if err == nil {
					err = sameFiles(copied, local)
				}
				text := "ok"
				if !c.silent {
					text = fmt.Sprintf("ok (%d)", out.Rekeys)
					if err == nil && out.Rekeys < 4 {
						err = fmt.Errorf("%d key exchanges after the first, want at least 4", out.Rekeys)
					}
				}
				if err != nil {
					table.set(c.name, string(v), resultFail, lastLine(err.Error()))
					t.Fatal(err)
				}
				table.set(c.name, string(v), resultOK, text)
			})
		}
	}
	addReport(table.String())
}

// TestServerRekey moves 32 MiB each way while the server, and not the client, asks for new keys every MiB.
func TestServerRekey(t *testing.T) {
	if reference { // its own way to do this is in TestOwnClient
		return
	}
	s := launch(t, serverOptions{commands: true, args: []string{"--rekey-bytes", strconv.Itoa(rekeyBytes)}})
	local := filepath.Join(s.root, "rekey")
	if err := writeRandom(local, 32<<20); err != nil {
		t.Fatal(err)
	}
	ident, err := s.ident()
	if err != nil {
		t.Fatal(err)
	}
	table := newTable("The server asks for new keys every MiB while 32 MiB move (key exchanges after the first): "+ident, []string{"put", "get"})
	for _, c := range rekeyClients {
		for _, v := range []verb{vPut, vGet} {
			t.Run(c.name+"/"+string(v), func(t *testing.T) {
				if _, err := c.find(); err != nil {
					table.missing(c.name, err)
					missingPeer(t, c.name, err)
				}
				table.set(c.name, string(v), resultFail, "the test did not end")
				rekeys, err := serverRekeys(t, s, c.client, v, local)
				if err != nil {
					table.set(c.name, string(v), resultFail, lastLine(err.Error()))
					t.Fatal(err)
				}
				table.set(c.name, string(v), resultOK, fmt.Sprintf("ok (%d)", rekeys))
			})
		}
	}
	addReport(table.String())
}

// connectionEnded is what our example server prints of each connection.
var connectionEnded = regexp.MustCompile(`connection ended: ([0-9]+) key exchanges`)

// serverRekeys has the client move the file and returns how many key exchanges after the first the server counted.
func serverRekeys(t *testing.T, s *server, c *client, v verb, local string) (int, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	st := step{Verb: v, Local: local, Remote: "/rekey-copy"}
	copied := filepath.Join(s.root, "rekey-copy")
	if v == vGet {
		copied = t.TempDir() + "/back"
		st = step{Verb: v, Local: copied, Remote: "/rekey"}
	}
	before := len(s.log.String())
	if _, err := c.run(ctx, s.job(st)); err != nil {
		return 0, err
	}
	if err := sameFiles(copied, local); err != nil {
		return 0, err
	}
	match := s.waitLineAfter(t, before, connectionEnded)
	exchanges, err := strconv.Atoi(match[1])
	// Fewer than 32: a client goes on sending until it has seen that the server asked.
	if err == nil && exchanges < 5 {
		err = fmt.Errorf("%d key exchanges, want at least 5", exchanges)
	}
	return exchanges - 1, err
}

func knownToOpenSSH() (map[string][]string, error) {
	known := make(map[string][]string)
	for kind, query := range map[string]string{"kex": "kex", "hostkey": "HostKeyAlgorithms", "cipher": "cipher", "mac": "mac"} {
		out, err := exec.Command("ssh", "-Q", query).Output()
		if err != nil {
			return nil, err
		}
		known[kind] = strings.Fields(string(out))
	}
	return known, nil
}

func knownToScript(interpreter, script string, env []string) (map[string][]string, error) {
	cmd := exec.Command(interpreter, filepath.Join("testdata", script), "--algorithms")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var known map[string][]string
	return known, json.Unmarshal(out, &known)
}

func knownToGo() (map[string][]string, error) {
	known := make(map[string][]string)
	for _, set := range []gossh.Algorithms{gossh.SupportedAlgorithms(), gossh.InsecureAlgorithms()} {
		known["kex"] = append(known["kex"], set.KeyExchanges...)
		known["hostkey"] = append(known["hostkey"], set.HostKeys...)
		known["cipher"] = append(known["cipher"], set.Ciphers...)
		known["mac"] = append(known["mac"], set.MACs...)
	}
	known["kex"] = append(known["kex"], "curve25519-sha256@libssh.org") // known, but not listed
	return known, nil
}
