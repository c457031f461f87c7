package main

import (
	"bytes"
	"context"
	"crypto/dsa" //nolint:staticcheck // to see it refused
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// output collects what a server prints and tells when a line has come.
type output struct {
	mu   sync.Mutex
	cond sync.Cond
	buf  bytes.Buffer
	over bool
}

func newOutput() *output {
	o := new(output)
	o.cond.L = &o.mu
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	o.cond.Broadcast()
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) end() {
	o.mu.Lock()
	o.over = true
	o.cond.Broadcast()
	o.mu.Unlock()
}

// await returns the submatches of the first match of re.
func (o *output) await(t *testing.T, re string) []string {
	t.Helper()
	r := regexp.MustCompile(re)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if m := r.FindStringSubmatch(o.buf.String()); m != nil {
			return m
		}
		if o.over {
			t.Fatalf("no %q in %q", re, o.buf.String())
		}
		o.cond.Wait()
	}
}

// awaitTimes waits until text, which is no pattern, stands there n times. Each time it looks only at what is new: servers
// write faster than a pattern is looked for in all they ever wrote.
func (o *output) awaitTimes(t *testing.T, text string, n int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for from := 0; ; o.cond.Wait() {
		for {
			i := bytes.Index(o.buf.Bytes()[from:], []byte(text))
			if i < 0 {
				from = max(from, o.buf.Len()-len(text)+1)
				break
			}
			from += i + len(text)
			if n--; n == 0 {
				return
			}
		}
		if o.over {
			t.Fatalf("%q stands %d times too few in %q", text, n, o.buf.String())
		}
	}
}

// running is a server started by a test.
type running struct {
	stdout, stderr *output
	signals        chan os.Signal
	status         chan int
	addr           string
}

// launch starts "fairlead serve" with args on a free port.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{stdout: newOutput(), stderr: newOutput(), signals: make(chan os.Signal, 2), status: make(chan int, 1)}
	go func() {
		status := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), r.stdout, r.stderr, r.signals)
		r.stdout.end()
		r.stderr.end()
		r.status <- status
	}()
	r.addr = r.stdout.await(t, `(?m)^listening on (\S+)$`)[1]
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.signals <- syscall.SIGTERM
	if s := <-r.status; s != statusOK {
		t.Errorf("status %d after SIGTERM; log:\n%s", s, r.stderr)
	}
}

// home gives a test a home directory and a working directory of its own.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir) // which is HOME on Windows
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("AppData", filepath.Join(dir, "config"))
	t.Chdir(dir)
	return dir
}

// dial logs in to r and checks the host key against the fingerprint it printed.
func dial(t *testing.T, r *running, user string, auth ...ssh2.AuthMethod) (*ssh2.Client, error) {
	t.Helper()
	fingerprint := r.stdout.await(t, `host key   \S+ (SHA256:\S+)`)[1]
	return ssh2.Dial(t.Context(), "tcp", r.addr, &ssh2.ClientConfig{
		User: user, Auth: auth,
		HostKey: func(_ string, _ net.Addr, key gossh.PublicKey) error {
			if got := gossh.FingerprintSHA256(key); got != fingerprint {
				return errors.New("host key " + got)
			}
			return nil
		},
	})
}

func TestServeWithoutConfiguration(t *testing.T) {
	dir := home(t)
	r := launch(t)
	m := r.stdout.await(t, `(?s)user       (\S+)\npassword   (\S+) .*sftp -P (\d+) (\S+)@127.0.0.1`)
	if m[1] != defaultUser || m[4] != defaultUser || !strings.HasSuffix(r.addr, ":"+m[3]) {
		t.Errorf("announced %q", m)
	}
	if len(m[2]) < 20 {
		t.Errorf("password %q is too short", m[2])
	}
	if info, err := os.Stat(filepath.Join(dir, defaultRoot)); err != nil || !info.IsDir() {
		t.Errorf("default root: %v", err)
	}
	key := r.stdout.await(t, `SHA256:\S+`)[0]

	c, err := dial(t, r, defaultUser, ssh2.Password(m[2]))
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil { // INIT 3
		t.Fatal(err)
	}
	var version [9]byte
	if _, err := io.ReadFull(ch, version[:]); err != nil || version[4] != 2 || version[8] != 3 {
		t.Errorf("VERSION % x, %v", version, err)
	}
	_ = c.Close()

	if _, err := dial(t, r, defaultUser, ssh2.Password("wrong")); err == nil {
		t.Error("wrong password accepted")
	}
	if _, err := dial(t, r, "root", ssh2.Password(m[2])); err == nil {
		t.Error("wrong user accepted")
	}
	if strings.Contains(r.stderr.String(), m[2]) {
		t.Error("CVE 9.6: the password is in the log")
	}
	r.stop(t)

	again := launch(t)
	if got := again.stdout.await(t, `SHA256:\S+`)[0]; got != key {
		t.Errorf("host key changed from %s to %s", key, got)
	}
	if got := again.stdout.await(t, `password   (\S+)`)[1]; got == m[2] {
		t.Error("the one-time password came twice")
	}
	again.stop(t)
}

func TestCVE_8_16_HostKeyFileMode(t *testing.T) {
	home(t)
	launch(t).stop(t)
	info, err := os.Stat(keptHostKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	if m := info.Mode().Perm(); m&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("mode %v", m)
	}
}

func TestServeFlags(t *testing.T) {
	dir := home(t)
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if err := makeHostKey(filepath.Join(dir, "hk")); err != nil {
		t.Fatal(err)
	}
	if err := makeHostKey(filepath.Join(dir, "uk")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "uk"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "srv")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := launch(t, "--host-key", filepath.Join(dir, "hk"), "--user", "alice", "--log-format", "json",
		"--password-file", write("pw", "s3cret word\r\nignored"),
		"--authorized-keys", write("ak", "# mine\n\nrestrict,from=\"127.0.0.0/8\" "+string(gossh.MarshalAuthorizedKey(signer.PublicKey()))), root)
	for _, auth := range []ssh2.AuthMethod{ssh2.Password("s3cret word"), ssh2.PublicKeys(signer)} {
		c, err := dial(t, r, "alice", auth)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if strings.Contains(r.stdout.String(), "password") {
		t.Error("prints a password although one was given")
	}
	r.stderr.await(t, `"user":"alice"`)
	r.stop(t)
}

// TestServeRefusals holds that whatever is wrong is said in one line, with
// status 2.
func TestServeRefusals(t *testing.T) {
	dir := home(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("\nnot a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	weak := filepath.Join(dir, "weak")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(weak, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(small)}), 0o600); err != nil {
		t.Fatal(err)
	}
	inUse := "in use"
	if runtime.GOOS == "windows" { // which has other words for it
		inUse = "bind: "
	}
	for _, tt := range []struct {
		say  string
		args []string
	}{
		{"weak: RSA key of 1024 bits", []string{"serve", "--host-key", weak}},
		{"--listen: is empty", []string{"serve", "--listen", ""}},
		{"--root: is empty", []string{"serve", "--root", ""}},
		{"--password-file: is empty", []string{"serve", "--password-file", ""}},
		{"--authorized-keys: is empty", []string{"serve", "--authorized-keys="}},
		{"is empty", []string{"serve", "--host-key", ""}},
		{"log-format", []string{"serve", dir, "--log-format", "xml"}},
		{"more than one directory", []string{"serve", "--", dir, "--read-only"}},
		{"not a command", []string{"srve"}},
		{"no command", nil},
		{"-nonsense", []string{"serve", "--nonsense"}},
		{"modern, compatible and legacy", []string{"serve", "--profile", "old"}},
		{"log-level", []string{"serve", "--log-level", "loud"}},
		{"log-format", []string{"serve", "--log-format", "xml"}},
		{"two directories", []string{"serve", "--root", dir, file}},
		{"more than one directory", []string{"serve", dir, dir}},
		{"--user: is empty", []string{"serve", "--user", ""}},
		{"control character", []string{"serve", "--user", "a\nb"}},
		{"missing", []string{"serve", filepath.Join(dir, "missing")}},
		{"not a directory", []string{"serve", file}},
		{"host key", []string{"serve", "--host-key", filepath.Join(dir, "none")}},
		{"host key", []string{"serve", "--host-key", file}},
		{"host key", []string{"serve", "--host-key", dir}},
		{"first line is empty", []string{"serve", "--password-file", file}},
		{"password file", []string{"serve", "--password-file", filepath.Join(dir, "none")}},
		{"line 2", []string{"serve", "--authorized-keys", file}},
		{"authorized keys", []string{"serve", "--authorized-keys", filepath.Join(dir, "none")}},
		{inUse, []string{"serve", "--listen", busy.Addr().String()}},
		{"--listen", []string{"serve", "--listen", "nowhere"}},
		{"--listen", []string{"serve", "--listen", "127.0.0.1:99999"}},
	} {
		var stdout, stderr bytes.Buffer
		status := run(tt.args, &stdout, &stderr, nil)
		text := strings.TrimSuffix(stderr.String(), "\n")
		// What made a host key may be logged before.
		lines := strings.Split(text, "\n")
		last := lines[len(lines)-1]
		if status != statusUsage || !strings.HasPrefix(last, "fairlead: ") || !strings.Contains(last, tt.say) {
			t.Errorf("%q: status %d, says %q", tt.args, status, text)
		}
		for _, l := range lines[:len(lines)-1] {
			if !strings.HasPrefix(l, "time=") {
				t.Errorf("%q: more than one line: %q", tt.args, text)
			}
		}
	}
	var out bytes.Buffer
	if status := run([]string{"serve", "-h"}, &out, io.Discard, nil); status != statusOK || !strings.Contains(out.String(), "-authorized-keys") {
		t.Errorf("help: status %d, %q", status, out.String())
	}
	for _, command := range []string{"get", "serve", "passwd"} {
		var of, by bytes.Buffer
		if status := run([]string{"help", command}, &of, io.Discard, nil) + run([]string{command, "--help"}, &by, io.Discard, nil); status != statusOK || of.String() != by.String() {
			t.Errorf("help %s: status %d, %q", command, status, of.String())
		}
	}
}

func TestAuthorizedKeyOptions(t *testing.T) {
	if err := makeHostKey(filepath.Join(t.TempDir(), "k")); err != nil {
		t.Fatal(err)
	}
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	for line, ok := range map[string]bool{
		key: true, "restrict " + key: true, `from="10.0.0.0/8,::1" ` + key: true,
		`from="*.example.com" ` + key: false, `command="id" ` + key: false, "garbage": false, "": false, "no-such-option " + key: false,
	} {
		if _, err := parseAuthorizedKeys([]byte(line + "\n")); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestW33_SecondSignalStopsAtOnce has a session that never ends by itself.
func TestW33_SecondSignalStopsAtOnce(t *testing.T) {
	home(t)
	r := launch(t)
	c, err := dial(t, r, defaultUser, ssh2.Password(r.stdout.await(t, `password   (\S+)`)[1]))
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	// INIT, then OPEN "x" to write and create: an open file keeps the session.
	open := []byte{0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 0, 18, 3, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0x0A, 0, 0, 0, 0}
	if _, err := ch.Write(open); err != nil {
		t.Fatal(err)
	}
	var length [4]byte
	for range 2 { // VERSION, HANDLE
		if _, err := io.ReadFull(ch, length[:]); err != nil {
			t.Fatal(err)
		}
		n := int(length[2])<<8 | int(length[3])
		if _, err := io.CopyN(io.Discard, ch, int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	r.signals <- syscall.SIGTERM
	r.stderr.await(t, "draining")
	select {
	case s := <-r.status:
		t.Fatalf("ended with status %d although a file is open", s)
	default:
	}
	r.signals <- syscall.SIGTERM
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	select {
	case s := <-r.status:
		if s != statusFailed {
			t.Errorf("status %d after cutting a session off", s)
		}
	case <-ctx.Done():
		t.Fatal("still running 5 s after the second signal")
	}
	_ = c.Close()
}

// TestCheckKey: keys with which nobody could log in are refused at the start.
func TestCheckKey(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var old dsa.PrivateKey
	if err := dsa.GenerateParameters(&old.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&old, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		key any
		say string
	}{{&good.PublicKey, ""}, {&weak.PublicKey, "1024 bits"}, {&old.PublicKey, "DSA"}} {
		key, err := gossh.NewPublicKey(row.key)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{checkKey(key), func() error {
			_, err := parseAuthorizedKeys(append([]byte("\n"), gossh.MarshalAuthorizedKey(key)...))
			return err
		}()} {
			switch {
			case row.say == "" && err != nil:
				t.Errorf("%T: %v", row.key, err)
			case row.say != "" && (err == nil || !strings.Contains(err.Error(), row.say)):
				t.Errorf("%T: %v, want %q", row.key, err, row.say)
			}
		}
	}
}

// TestFilesOfWindows: a byte order mark and CR LF are no part of a password or key.
func TestFilesOfWindows(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(name, []byte("\uFEFFs3cret word \r\nnot this\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := newUser(&options{passwordFile: name})
	if err != nil || u.password != "s3cret word " {
		t.Errorf("%+v, %v", u, err)
	}
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	if keys, err := parseAuthorizedKeys([]byte("\uFEFF" + key + "\r\n")); err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestFlagsBehindTheDirectory: the order of flags and directory does not matter.
func TestFlagsBehindTheDirectory(t *testing.T) {
	o, err := parseFlags([]string{"--user", "anna", "dir", "--read-only", "--listen", ":0"}, io.Discard)
	if err != nil || o.root != "dir" || !o.readOnly || o.user != "anna" || o.listen != ":0" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseFlags([]string{"--", "-dir"}, io.Discard); err != nil || o.root != "-dir" {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestSecretsInTheRoot: the operator is told of key and password files that are
// served, also through links.
func TestSecretsInTheRoot(t *testing.T) {
	dir := home(t)
	root := filepath.Join(dir, "srv")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "pw"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][2]string{{"srv/pw", "srv"}, {"link", "srv"}, {filepath.Join(root, "pw"), "alias"}} {
		_ = os.Symlink("srv/pw", "link")
		_ = os.Symlink("srv", "alias")
		if _, err := os.Stat(args[0]); err != nil {
			continue // no links on this host
		}
		if _, err := os.Stat(args[1]); err != nil {
			continue
		}
		r := launch(t, "--password-file", args[0], args[1])
		r.stop(t)
		if !strings.Contains(r.stderr.String(), `level=WARN msg="a file of the server's own`) {
			t.Errorf("%q: no warning in %q", args, r.stderr)
		}
	}
}

// TestCVE_8_3_ServeReadOnly: with --read-only no OPEN that writes succeeds, and nothing
// is made.
func TestCVE_8_3_ServeReadOnly(t *testing.T) {
	dir := home(t)
	r := launch(t, "--read-only")
	c, err := dial(t, r, defaultUser, ssh2.Password(r.stdout.await(t, `password   (\S+)`)[1]))
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	// INIT, then OPEN "x" to write and create, then MKDIR "y".
	if _, err := ch.Write([]byte{
		0, 0, 0, 5, 1, 0, 0, 0, 3,
		0, 0, 0, 18, 3, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0x0A, 0, 0, 0, 0,
		0, 0, 0, 14, 14, 0, 0, 0, 2, 0, 0, 0, 1, 'y', 0, 0, 0, 0,
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // VERSION, STATUS, STATUS
		var length [4]byte
		if _, err := io.ReadFull(ch, length[:]); err != nil {
			t.Fatal(err)
		}
		msg := make([]byte, int(length[2])<<8|int(length[3]))
		if _, err := io.ReadFull(ch, msg); err != nil {
			t.Fatal(err)
		}
		if i > 0 && (msg[0] != 101 || msg[8] != 3) {
			t.Errorf("answer %d: % x, want STATUS with permission denied", i, msg)
		}
	}
	_ = c.Close()
	r.stop(t)
	if left, err := os.ReadDir(filepath.Join(dir, defaultRoot)); err != nil || len(left) != 0 {
		t.Errorf("the root holds %v, %v", left, err)
	}
}

// TestServeLogins: what lets the user in and what does not, by every method.
func TestServeLogins(t *testing.T) {
	dir := home(t)
	signer := func(name string) gossh.Signer {
		if err := makeHostKey(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := gossh.ParsePrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	here, elsewhere, stranger := signer("here"), signer("elsewhere"), signer("stranger")
	answer := func(a string) ssh2.AuthMethod {
		return ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
			return slices.Repeat([]string{a}, len(c.Prompts)), nil
		})
	}
	lines := `from="127.0.0.0/8,::1" ` + string(gossh.MarshalAuthorizedKey(here.PublicKey())) +
		`from="192.0.2.0/24" ` + string(gossh.MarshalAuthorizedKey(elsewhere.PublicKey()))
	for name, text := range map[string]string{"ak": lines, "pw": "secret\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := launch(t, "--authorized-keys", "ak", "--password-file", "pw")
	for name, row := range map[string]struct {
		user string
		auth ssh2.AuthMethod
		ok   bool
	}{
		"key":                         {defaultUser, ssh2.PublicKeys(here), true},
		"key from another address":    {defaultUser, ssh2.PublicKeys(elsewhere), false},
		"key of a stranger":           {defaultUser, ssh2.PublicKeys(stranger), false},
		"key, other user":             {"root", ssh2.PublicKeys(here), false},
		"interactive":                 {defaultUser, answer("secret"), true},
		"interactive, wrong":          {defaultUser, answer("Secret"), false},
		"interactive, empty":          {defaultUser, answer(""), false},
		"interactive, other user":     {"root", answer("secret"), false},
		"password with a line's end":  {defaultUser, ssh2.Password("secret\n"), false},
		"password, beginning of it":   {defaultUser, ssh2.Password("secre"), false},
		"password, empty, other user": {"", ssh2.Password("secret"), false},
	} {
		c, err := dial(t, r, row.user, row.auth)
		if (err == nil) != row.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
	r.stop(t)
}

// TestServeProfile: old devices get in when they are meant to, and not otherwise.
func TestServeProfile(t *testing.T) {
	for _, c := range []struct {
		args []string
		in   bool
	}{{nil, false}, {[]string{"--profile", "compatible"}, false}, {[]string{"--profile", "legacy"}, true}} {
		home(t)
		r := launch(t, c.args...)
		client, err := ssh2.Dial(t.Context(), "tcp", r.addr, &ssh2.ClientConfig{
			Config:  ssh2.Config{KeyExchanges: "diffie-hellman-group14-sha1", Ciphers: "aes128-cbc", MACs: "hmac-sha1"},
			User:    defaultUser,
			Auth:    []ssh2.AuthMethod{ssh2.Password(r.stdout.await(t, `password   (\S+)`)[1])},
			HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if (err == nil) != c.in {
			t.Errorf("%q: %v", c.args, err)
		}
		if err == nil {
			_ = client.Close()
		}
		r.stop(t)
	}
}

// TestServeTrail: without any flag, operators see what became of files.
func TestServeTrail(t *testing.T) {
	home(t)
	r := launch(t)
	conn, err := dial(t, r, defaultUser, ssh2.Password(r.password(t)))
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, logged := "/a\x1b", `\S*a\S*x1b\S*`
	if runtime.GOOS == "windows" { // where no file has such a name
		name, logged = "/a", "/a"
	}
	_, err = c.Put(t.Context(), name, strings.NewReader("abc"), sftp.TransferOptions{})
	if err = errors.Join(err, c.Rename(t.Context(), name, "/b", 0), c.Remove(t.Context(), "/b")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Disconnect(ssh2.DisconnectByApplication, "bye")
	r.stderr.await(t, `msg=disconnected .* reason="the client left"`)
	r.stop(t)
	log := r.stderr.String()
	for _, want := range []string{
		`msg="file uploaded" connection=1 remote=127\.0\.0\.1:\d+ user=fairlead path=` + logged + ` octets=3 complete=true\n`,
		`msg="file renamed" connection=1 remote=127\.0\.0\.1:\d+ user=fairlead from=` + logged + ` to=/b\n`,
		`msg="file removed" connection=1 remote=127\.0\.0\.1:\d+ user=fairlead path=/b\n`,
	} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("no %s in:\n%s", want, log)
		}
	}
	if strings.Contains(log, "\x1b") {
		t.Error("an escape is in the log")
	}
}
