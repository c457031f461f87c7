package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// stdioPeer is a client of "fairlead serve --stdio".
type stdioPeer struct {
	t       *testing.T
	conn    net.Conn
	stderr  *output
	signals chan os.Signal
	status  chan int
}

// startStdio starts a session and greets it with INIT.
func startStdio(t *testing.T, args ...string) *stdioPeer {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &stdioPeer{t: t, conn: ours, stderr: newOutput(), signals: make(chan os.Signal, 1), status: make(chan int, 1)}
	go func() {
		err := serveStdio(args, io.Discard, p.stderr, stdioStreams{theirs, theirs}, p.signals)
		_ = theirs.Close() // as the end of the process does
		p.stderr.end()
		p.status <- conclude(err, p.stderr)
	}()
	t.Cleanup(func() { _ = ours.Close() })
	p.send([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
	if m := p.reply(); len(m) < 5 || m[0] != 2 || m[4] != 3 {
		t.Fatalf("VERSION % x", m)
	}
	return p
}

func (p *stdioPeer) send(m []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(m); err != nil {
		p.t.Fatal(err)
	}
}

// reply reads a message without its length.
func (p *stdioPeer) reply() []byte {
	p.t.Helper()
	var n [4]byte
	if _, err := io.ReadFull(p.conn, n[:]); err != nil {
		p.t.Fatal(err)
	}
	m := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(p.conn, m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// realPath asks for the absolute path of name.
func (p *stdioPeer) realPath(name string) string {
	p.t.Helper()
	p.send(request(16, name))
	m := p.reply()
	if m[0] != 104 {
		p.t.Fatalf("REALPATH %q: % x", name, m)
	}
	n := binary.BigEndian.Uint32(m[9:])
	return string(m[13 : 13+n])
}

// code sends a request that is answered with STATUS.
func (p *stdioPeer) code(m []byte) uint32 {
	p.t.Helper()
	p.send(m)
	r := p.reply()
	if r[0] != 101 {
		p.t.Fatalf("% x is no STATUS", r)
	}
	return binary.BigEndian.Uint32(r[5:])
}

func (p *stdioPeer) end(want int) {
	p.t.Helper()
	_ = p.conn.Close()
	if s := <-p.status; s != want {
		p.t.Errorf("status %d, want %d; log %q", s, want, p.stderr)
	}
}

// hostPath is name as a session of the whole host sees it.
func hostPath(name string) string {
	return filepath.ToSlash(strings.TrimPrefix(name, filepath.VolumeName(name)))
}

// realHome is home without symlinks, as the working directory of a process is.
func realHome(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(home(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return dir
}

// TestStdioStartsWhereSSHDPutIt: relative names start at the working directory, and
// absolute ones are the host's, as with sftp-server.
func TestStdioStartsWhereSSHDPutIt(t *testing.T) {
	dir := realHome(t)
	p := startStdio(t)
	if got := p.realPath("."); got != hostPath(dir) {
		t.Errorf("starts at %q, want %q", got, hostPath(dir))
	}
	if got := p.realPath("/"); got != "/" {
		t.Errorf("root is %q", got)
	}
	if c := p.code(mkdir("made")); c != 0 {
		t.Errorf("MKDIR: status %d", c)
	}
	if info, err := os.Stat("made"); err != nil || !info.IsDir() {
		t.Errorf("made: %v", err)
	}
	p.end(statusOK)
}

// mkdir is MKDIR without attributes.
func mkdir(name string) []byte {
	m := append(request(14, name), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(m, uint32(len(m)-4))
	return m
}

// TestStdioStartDirectory is -d: with tokens, relative to where sshd put the session, and
// one that is missing locks nobody out.
func TestStdioStartDirectory(t *testing.T) {
	dir := realHome(t)
	for _, name := range []string{"up", filepath.Join("up", "in")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := hostPath(dir)
	for _, row := range []struct{ d, want, log string }{
		{"up", at + "/up", ""},
		{filepath.Join(dir, "up", "in"), at + "/up/in", ""},
		{"none", at, "start directory"},
		{"file", at, "not a directory"},
	} {
		p := startStdio(t, "-d", row.d)
		if got := p.realPath("."); got != row.want {
			t.Errorf("-d %q starts at %q, want %q", row.d, got, row.want)
		}
		p.end(statusOK)
		if got := p.stderr.String(); !strings.Contains(got, row.log) || row.log == "" && got != "" {
			t.Errorf("-d %q: log %q, want %q", row.d, got, row.log)
		}
	}
}

// TestStdioTokens: tokens are those of sftp-server, and a name that is a path is none.
func TestStdioTokens(t *testing.T) {
	me := account{name: "anna", home: "/home/anna"}
	for in, want := range map[string]string{
		"/srv/%u": "/srv/anna", "%d/in": "/home/anna/in", "%h": "/home/anna", "100%%": "100%", "%%u": "%u", "plain": "plain",
	} {
		if got, err := me.expand(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"%", "a%", "%x", "%U"} {
		if got, err := me.expand(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestCVE_2_26_StdioTokensAreNoPaths: a user name with a path in it does not get out of
// the directory that %u stands below.
func TestCVE_2_26_StdioTokensAreNoPaths(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a\x00"} {
		if got, err := (account{name: name}).expand("/srv/%u"); err == nil {
			t.Errorf("user %q: %q", name, got)
		}
	}
}

// TestStdioRoot: with --root the tree below it is all there is.
func TestStdioRoot(t *testing.T) {
	dir := realHome(t)
	root := filepath.Join(dir, "jail")
	if err := os.MkdirAll(filepath.Join(root, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := startStdio(t, "--root", "%d/jail")
	for in, want := range map[string]string{".": "/", "..": "/", "../../..": "/", "in": "/in"} {
		if got := p.realPath(in); got != want {
			t.Errorf("REALPATH %q is %q, want %q", in, got, want)
		}
	}
	if c := p.code(mkdir("/../made")); c != 0 {
		t.Errorf("MKDIR: status %d", c)
	}
	p.end(statusOK)
	if _, err := os.Stat(filepath.Join(root, "made")); err != nil {
		t.Error(err)
	}
	t.Chdir(filepath.Join(root, "in"))
	p = startStdio(t, "--root", root)
	if got := p.realPath("."); got != "/in" {
		t.Errorf("starts at %q, want /in, the working directory", got)
	}
	p.end(statusOK)
}

// TestCVE_8_3_StdioReadOnly: -R, as sftp-server's, lets nothing change.
func TestCVE_8_3_StdioReadOnly(t *testing.T) {
	home(t)
	for _, flag := range []string{"-R", "--read-only"} {
		p := startStdio(t, flag)
		if c := p.code(mkdir("made")); c == 0 {
			t.Errorf("%s: MKDIR succeeds", flag)
		}
		p.end(statusOK)
		if _, err := os.Stat("made"); err == nil {
			t.Errorf("%s: made", flag)
		}
	}
}

// TestStdioHomeDirectory: "~" is the home directory also where the session starts elsewhere.
func TestStdioHomeDirectory(t *testing.T) {
	dir := realHome(t)
	if runtime.GOOS == "windows" {
		t.Setenv("USERPROFILE", dir)
	}
	if err := os.Mkdir("up", 0o755); err != nil {
		t.Fatal(err)
	}
	p := startStdio(t, "-d", "up")
	p.send(request(200, "expand-path@openssh.com", "~/x"))
	m := p.reply()
	if want := hostPath(dir) + "/x"; m[0] != 104 || !bytes.Contains(m, []byte(want)) {
		t.Errorf("~/x is % x, want %q", m, want)
	}
	p.end(statusOK)
}

// TestStdioEnds: a client that leaves is no error, a violation is one, a signal is told
// in the status, and what is open does not keep the session.
func TestStdioEnds(t *testing.T) {
	home(t)
	startStdio(t).end(statusOK)

	p := startStdio(t)
	p.send([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	if s := <-p.status; s != statusFailed {
		t.Errorf("status %d after a violation", s)
	}
	if log := p.stderr.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "message length") {
		t.Errorf("log %q", log)
	}

	p = startStdio(t)
	open := append(request(3, "x"), 0, 0, 0, 0x0A, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(open, uint32(len(open)-4))
	p.send(open)
	if m := p.reply(); m[0] != 102 {
		t.Fatalf("OPEN: % x", m)
	}
	p.signals <- syscall.SIGHUP
	if s := <-p.status; s != 128+int(syscall.SIGHUP) {
		t.Errorf("status %d after SIGHUP", s)
	}
	if p.stderr.String() != "" {
		t.Errorf("log %q", p.stderr)
	}
}

// TestStdioFlags: those of sftp-server are understood, and what is wrong is said in one line.
func TestStdioFlags(t *testing.T) {
	home(t)
	o, err := parseStdioFlags([]string{"-e", "-l", "VERBOSE", "-u", "027", "-R", "-f", "AUTHPRIV", "--sftp-version", "3"}, io.Discard)
	if err != nil || o.logLevel.Level != slog.LevelInfo || o.umask != 0o027 || !o.readOnly || o.facility != "" || o.version != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseStdioFlags(nil, io.Discard); err != nil || o.logLevel.Level != slog.LevelError || o.umask != -1 || o.readOnly {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, row := range []struct {
		say  string
		args []string
	}{
		{"--root /srv serves only that", []string{"/srv"}},
		{"octal", []string{"-u", "8"}},
		{"octal", []string{"--umask", "1000"}},
		{"quiet", []string{"-l", "LOUD"}},
		{"-d: is empty", []string{"-d", ""}},
		{"-root: is empty", []string{"--root="}},
		{"log-format", []string{"--log-format", "xml"}},
		{"-listen", []string{"--listen", ":22"}},
		{"-Q requests", []string{"-p", "open,none"}},
		{"-Q requests", []string{"-P", "OPEN"}},
		{"cannot be denied", []string{"-P", "close"}},
		{"-Q", []string{"-Q", "all"}},
		{"-p: is empty", []string{"-p", ""}},
		{"-d:", []string{"-d", "%x"}},
		{"--root:", []string{"--root", "missing"}},
		{"--root:", []string{"--root", "%q"}},
	} {
		var stderr bytes.Buffer
		err := serveStdio(row.args, io.Discard, &stderr, stdioStreams{}, nil)
		status := conclude(err, &stderr)
		if text := stderr.String(); status != statusUsage || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "fairlead: serve: ") || !strings.Contains(text, row.say) {
			t.Errorf("%q: status %d, says %q, want %q", row.args, status, text, row.say)
		}
	}
	var out bytes.Buffer
	if status := run([]string{"serve", "--stdio", "-h"}, &out, io.Discard, nil); status != statusOK || !strings.Contains(out.String(), "Subsystem sftp") {
		t.Errorf("help: status %d, %q", status, out.String())
	}
	if _, stdio := cutStdio([]string{"serve", "--", "--stdio"}); stdio {
		t.Error("--stdio behind -- is a directory")
	}
}

// TestCVE_8_3_StdioRequests: -p and -P as sftp-server's: each row allows and denies
// something, and what is denied is so by other names as well.
func TestCVE_8_3_StdioRequests(t *testing.T) {
	for _, row := range requestRows {
		o := &stdioOptions{allow: "open,read," + row.name}
		if _, err := o.policy(); err != nil {
			t.Errorf("-p %s: %v", row.name, err)
		}
		o = &stdioOptions{deny: row.name}
		if p, err := o.policy(); row.name != "close" && (err != nil || len(p.Deny) == 0) {
			t.Errorf("-P %s: %+v, %v", row.name, p, err)
		}
	}
	home(t)
	if err := os.WriteFile("file", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name string, flags byte) []byte {
		m := append(request(3, name), 0, 0, 0, flags, 0, 0, 0, 0)
		binary.BigEndian.PutUint32(m, uint32(len(m)-4))
		return m
	}
	const denied, ok = 3, 0
	for _, c := range []struct {
		args []string
		m    []byte
		want uint32
	}{
		{[]string{"-P", "mkdir"}, mkdir("d1"), denied},
		{[]string{"-P", "rmdir"}, mkdir("d1"), ok},
		{[]string{"-p", "mkdir,realpath"}, mkdir("d2"), ok},
		{[]string{"-p", "open,read"}, mkdir("d3"), denied},
		{[]string{"-P", "open"}, open("file", 1), denied},
		{[]string{"-p", "read,stat"}, open("file", 1), denied},
		{[]string{"-P", "write"}, open("new", 0x0A), denied},
		{[]string{"-p", "open,read"}, open("new", 0x0A), denied},
		{[]string{"-P", "rename"}, request(200, "posix-rename@openssh.com", "file", "other"), denied},
		{[]string{"-P", "posix-rename"}, request(18, "file", "other"), ok},
		{[]string{"-p", "rename", "-P", "rename"}, request(18, "other", "file"), denied},
	} {
		p := startStdio(t, c.args...)
		got := p.code(c.m)
		if denies := got == denied || got == 8; denies != (c.want == denied) || c.want == ok && got != ok {
			t.Errorf("%q: % x answers %d, want %d", c.args, c.m[4:9], got, c.want)
		}
		p.end(statusOK)
	}
	p := startStdio(t, "-p", "open,read")
	p.send(open("other", 1)) // renamed above
	if m := p.reply(); m[0] != 102 {
		t.Errorf("OPEN to read: % x", m)
	}
	p.end(statusOK)
	var out bytes.Buffer
	if status := run([]string{"serve", "--stdio", "-Q", "requests"}, &out, io.Discard, nil); status != statusOK || !strings.HasPrefix(out.String(), "open\nclose\n") {
		t.Errorf("-Q: %d, %q", status, out.String())
	}
}
