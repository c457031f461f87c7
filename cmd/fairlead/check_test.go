package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/pwhash"
)

// TestCheck: every fault is a line with its place, and nothing of it is served or made.
func TestCheck(t *testing.T) {
	dir := home(t)
	file := filepath.Join(dir, "f.conf")
	write := func(text string) {
		writeFile(t, file, strings.ReplaceAll(text, "DIR", filepath.ToSlash(dir)), 0o600)
	}
	if err := makeHostKey("hk"); err != nil {
		t.Fatal(err)
	}
	write("RootDirectory DIR\nHostKeyFile hk\nUser alice\n  PasswordHash " + goodHash + "\n  Quota 5M\n  SourceAddress 10.0.0.0/8\nUser bob\n  Disabled yes\n")
	if err := os.Mkdir("root", 0o700); err != nil {
		t.Fatal(err)
	}
	r := command(t, nil, "check", file)
	for _, want := range []string{"f.conf is good\n", "listens on 127.0.0.1:2022\n", "host key   ssh-ed25519 SHA256:", "user       alice: password, ", "from [10.0.0.0/8], quota\n", "user       bob: disabled\n"} {
		if r.status != statusOK || !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in %+v", want, r)
		}
	}
	if !strings.Contains(r.stderr, "a file of the server's own lies in the directory that is served") {
		t.Errorf("no warning in %q", r.stderr)
	}
	if r := command(t, nil, "check", "-q", file); r.status != statusOK || r.stdout+r.stderr != "" {
		t.Errorf("%+v", r)
	}

	write("RootDirectory DIR/missing\nHostKeyFile none\nMaxConection 5\nLocalPort 70000\nProtocolVersion  7\nUser alice\nPasswordHash secret\nPublicKey ssh-rsa AAAA\nUser alice\nUser bob\n")
	r = command(t, nil, "check", file)
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	want := []string{
		":1: RootDirectory: ", ":2: HostKeyFile: host key: " + filepath.Join(filepath.Dir(file), "none") + ": no such file; without this line one is made", `:3:1: unknown setting "MaxConection"; did you mean MaxConnections?`, ":4:11: LocalPort: bad value \"70000\"",
		":5:18: ProtocolVersion: bad value", ":7: PasswordHash: not a hash", ":8: PublicKey: ", `:9: user "alice" has a block already, at line 6`, `:10: user "bob" cannot log in`,
	}
	if r.status != statusFailed || r.stdout != "" || len(lines) != len(want) {
		t.Fatalf("%+v", r)
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, file+want[i]) {
			t.Errorf("%q, want %q", l, want[i])
		}
	}
	if strings.Contains(r.stderr, "secret") {
		t.Error("a value that may be a password is shown")
	}

	// What the component finds, whose listener is closed by then.
	write("RootDirectory DIR\nHostKeyFile hk\nSSHPublicKeyAlgorithms rsa-sha2-256\nUser alice\n  PasswordHash " + goodHash + "\n")
	for _, args := range [][]string{{"check", file}, {"serve", "--config", file, "--listen", "127.0.0.1:0"}} {
		r := command(t, nil, args...)
		if r.status == statusOK || !strings.Contains(r.stderr, "no host key signs by any of them") || strings.Contains(r.stderr, "closed") {
			t.Errorf("%v: %+v", args, r)
		}
	}

	// A file that is not there.
	none := filepath.Join(dir, "nope.conf")
	if r := command(t, nil, "check", none); r.status != statusFailed || strings.Count(r.stderr, "nope.conf") != 1 || strings.Contains(r.stderr, "--config") ||
		!strings.HasPrefix(r.stderr, none+": ") {
		t.Errorf("%+v", r)
	}
	if r := command(t, nil, "check", dir); r.status != statusFailed || strings.Count(r.stderr, dir) != 1 || strings.Contains(r.stderr, "--config") {
		t.Errorf("%+v", r)
	}

	// What only the whole can tell.
	write("RootDirectory DIR\nHostKeyFile hk\n")
	if r := command(t, nil, "check", file); r.status != statusFailed || !strings.Contains(r.stderr, "nobody could log in") {
		t.Errorf("%+v", r)
	}
	if r := command(t, nil, "check", filepath.Join(dir, "none")); r.status != statusFailed || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"check"}, {"check", "a", "b"}, {"check", "--nonsense", "a"}, {"check", ""}} {
		if r := command(t, nil, args...); r.status != statusUsage {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// TestCheckWarnsOfModes: files that others may write or read.
func TestCheckWarnsOfModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // modes say nothing there
	}
	dir := home(t)
	for _, name := range []string{"f.conf", "keys", "hk"} {
		switch name {
		case "hk":
			if err := makeHostKey(name); err != nil {
				t.Fatal(err)
			}
		case "keys":
			writeFile(t, name, goodKey+"\n", 0o644)
		default:
			writeFile(t, name, "RootDirectory root\nHostKeyFile hk\nUser a\nAuthorizedKeysFile keys\n", 0o600)
		}
	}
	if err := os.Mkdir("root", 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f.conf")
	if r := command(t, nil, "check", file); r.status != statusOK || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	for _, row := range []struct {
		name string
		mode os.FileMode
		say  string
	}{
		{"f.conf", 0o666, "others can change this file"},
		{"f.conf", 0o644, "others can read this file and the hashes in it"},
		{"keys", 0o664, "others can change this file"},
		{"hk", 0o640, "host key can be read by others"},
	} {
		info, err := os.Stat(row.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(row.name, row.mode); err != nil {
			t.Fatal(err)
		}
		r := command(t, nil, "check", file)
		if r.status != statusOK || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, file+": warning: ") || !strings.Contains(r.stderr, row.say) || !strings.Contains(r.stderr, row.name) {
			t.Errorf("%v: %+v", row, r)
		}
		if err := os.Chmod(row.name, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPasswd(t *testing.T) {
	ask := func(a ...string) *person {
		return &person{answers: [][2]string{{"Password: ", a[0]}, {"Once more: ", a[1]}}}
	}
	r := command(t, ask("größe", "größe"), "passwd")
	line, ok := strings.CutPrefix(strings.TrimSuffix(r.stdout, "\n"), "PasswordHash ")
	if !ok || r.status != statusOK || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	h, err := pwhash.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := h.Check(t.Context(), "größe"); !is || err != nil {
		t.Errorf("%v, %v", is, err)
	}
	if _, err := loadText("RootDirectory /srv\nUser a\n"+r.stdout, nil); err != nil {
		t.Errorf("its output is no line of a file: %v", err)
	}
	for _, row := range []struct {
		who  *person
		in   string
		args []string
		say  string
	}{
		{ask("one", "two"), "", nil, "the two are different"},
		{ask("", ""), "", nil, "empty"},
		{nil, "", nil, "no answer"},
		{nil, "\n", nil, "empty"},
		{nil, strings.Repeat("x", 1025) + "\n", nil, "longer"},
		{nil, "a\x00b\n", nil, "octet 0"},
		{nil, "x\n", []string{"hunter2"}, "takes no arguments"},
		{nil, "x\n", []string{"--check", "$1$a$b"}, "not supported"},
		{nil, "wrong\n", []string{"--check", goodHash}, "another password"},
	} {
		r := commandIn(t, row.who, row.in, append([]string{"passwd"}, row.args...)...)
		if r.status == statusOK || r.stdout != "" || !strings.Contains(r.stderr, row.say) || strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%+v: %+v", row, r)
		}
	}
	if r := commandIn(t, nil, "\uFEFFgröße\r\nnot this\n", "passwd", "--check", line); r.status != statusOK {
		t.Errorf("%+v", r)
	}
	if r := commandIn(t, nil, "password", "passwd", "--check", "PasswordHash "+goodHash); r.status != statusOK {
		t.Errorf("%+v", r)
	}
}

// commandIn is command with standard input, none if there is a person.
func commandIn(t *testing.T, who *person, in string, args ...string) ran {
	t.Helper()
	if who != nil || in == "" {
		return command(t, who, args...)
	}
	return commandWith(t, who, strings.NewReader(in), nil, args...)
}
