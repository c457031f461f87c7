package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// operatingBlocks are the blocks of one language in docs/operating.md.
func operatingBlocks(t *testing.T, language string) []string {
	t.Helper()
	data, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(strings.ReplaceAll(string(data), "\r\n", "\n"), -1) {
		out = append(out, m[1])
	}
	return out
}

// TestOperatingPartners runs the partners of docs/operating.md.
func TestOperatingPartners(t *testing.T) {
	blocks := operatingBlocks(t, "conf")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	dir := home(t)
	for _, name := range []string{"acme/in", "bolt/in", "crane/out"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fetched := filepath.Join(dir, "crane", "out", "file")
	if err := os.WriteFile(fetched, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	if err := makeHostKey(key); err != nil { // a key for all
		t.Fatal(err)
	}
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "fairlead.conf")
	text := strings.ReplaceAll(blocks[1], "/srv/sftp/", filepath.ToSlash(dir)+"/")
	text = regexp.MustCompile(`/etc/fairlead/\w+\.pub`).ReplaceAllLiteralString(text, filepath.ToSlash(key)+".pub")
	text = strings.Replace(text, "192.0.2.0/24", "127.0.0.0/8", 1)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(key+".pub", gossh.MarshalAuthorizedKey(signer.PublicKey()), 0o644)); err != nil {
		t.Fatal(err)
	}
	r := launch(t, "--config", file)
	defer r.stop(t)
	session := func(user string) *sftp.Client {
		conn, err := dial(t, r, user, ssh2.PublicKeys(signer))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c, err := session3(t, conn)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx := t.Context()
	refused := func(what string, err error) {
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}

	acme := session("acme")
	if err := acme.WriteFile(ctx, "/in/a", []byte("content"), 0); err != nil {
		t.Error("acme sends:", err)
	}
	if a, err := acme.Stat(ctx, "/in/a"); err != nil || a.Size != 7 {
		t.Error("acme looks:", err)
	}
	_, err = acme.ReadFile(ctx, "/in/a")
	refused("acme reads", err)
	refused("acme replaces", acme.WriteFile(ctx, "/in/a", nil, 0))
	refused("acme removes", acme.Remove(ctx, "/in/a"))
	refused("acme renames", acme.Rename(ctx, "/in/a", "/in/b", 0))
	refused("acme sends elsewhere", acme.WriteFile(ctx, "/a", nil, 0))

	bolt := session("bolt")
	for range 2 { // the second one replaces the first
		if _, err := bolt.PutFile(ctx, fetched, "/in/b", sftp.TransferOptions{Resume: sftp.ResumeOrRestart}); err != nil {
			t.Error("bolt sends:", err)
		}
		if err := bolt.Chmod(ctx, "/in/b", 0o600); err != nil {
			t.Error("bolt sets attributes:", err)
		}
	}
	if _, err := bolt.Put(ctx, "/in/c", bytes.NewReader([]byte("content")), sftp.TransferOptions{Atomic: true}); err != nil {
		t.Error("bolt sends in one step:", err)
	}
	refused("bolt sends a program", bolt.WriteFile(ctx, "/in/b.EXE", nil, 0))
	_, err = bolt.ReadFile(ctx, "/in/b")
	refused("bolt reads", err)

	crane := session("crane")
	if got, err := crane.ReadFile(ctx, "/out/file"); err != nil || string(got) != "content" {
		t.Error("crane fetches:", err)
	}
	refused("crane sends", crane.WriteFile(ctx, "/out/x", nil, 0))
	if err := crane.Remove(ctx, "/out/file"); err != nil {
		t.Error("crane removes:", err)
	}
}

// TestOperatingUploadProgram: the program of docs/operating.md hands on what has arrived, by its last name.
func TestOperatingUploadProgram(t *testing.T) {
	blocks := operatingBlocks(t, "sh")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	if runtime.GOOS == "windows" {
		return // has no sh
	}
	program := filepath.Join(t.TempDir(), "arrived")
	text := strings.Replace(blocks[0], "exec /usr/local/bin/import", "printf '%s,'", 1)
	if text == blocks[0] {
		t.Fatal("the program does something else")
	}
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+program+"\nUser alice\nPasswordHash HASH\n")
	c, _ := s.files(t, "alice", password)
	putText(t, c, "/-x $(id).part", "content")
	s.stderr.await(t, `"upload program ended" .*event=upload`)
	if err := c.Rename(t.Context(), "/-x $(id).part", "/-x $(id)", 0); err != nil {
		t.Fatal(err)
	}
	line := s.stderr.await(t, `"upload program ended" .*event=rename .*output=(.*)`)
	if want := strconv.Quote("--partner,alice,--," + filepath.Join(s.dir, "one", "-x $(id)") + ","); line[1] != want {
		t.Errorf("%s, want %s", line[1], want)
	}
	s.stop(t)
	if n := strings.Count(s.stderr.String(), " output="); n != 1 {
		t.Errorf("%d of two programs said something", n)
	}
}

// TestOperatingFilter: the filter of docs/operating.md for fail2ban finds a client that does not get in, once, by its address, in both
// formats of the log; not one that gets in at last, and not what a client would have it find.
func TestOperatingFilter(t *testing.T) {
	blocks := operatingBlocks(t, "ini")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	_, rules, _ := strings.Cut(blocks[1], "failregex = ")
	rules, _, _ = strings.Cut(rules, "journalmatch")
	for i, format := range []string{"text", "json"} {
		rule := strings.Split(strings.TrimSpace(rules), "\n")[i]
		find := regexp.MustCompile("(?m)" + strings.ReplaceAll(strings.TrimSpace(rule), "<HOST>", `\[?([0-9a-fA-F:.]+)\]?`))
		s := newSite(t, "RootDirectory DIR/one\nUser ann\nPublicKey KEY0\n", "--log-format", format)
		if _, err := dial(t, s.running, "ann", ssh2.PublicKeys(s.keys[1]), ssh2.PublicKeys(s.keys[0])); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"ann", `x" connection=1 remote=6.6.6.6:1 code=1300`, `x","connection":"1","remote":"6.6.6.6:1","code":1300}`, "x\ny"} {
			if _, err := dial(t, s.running, name, ssh2.PublicKeys(s.keys[1]), ssh2.Password("wrong")); err == nil {
				t.Error("let in")
			}
		}
		s.stop(t)
		log := s.stderr.String()
		found := find.FindAllStringSubmatch(log, -1)
		if len(found) != 4 {
			t.Errorf("%s: found %d clients in\n%s", format, len(found), log)
		}
		for _, m := range found {
			if m[1] != "127.0.0.1" {
				t.Errorf("%s: found %s in %q", format, m[1], m[0])
			}
		}
	}
}
