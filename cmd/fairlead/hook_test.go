package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// uploadProgram is this binary as the program of OnUpload. What it does stands in the uploaded file:
// nothing, or the address of who wants to be told what it got, and says when it is to end.
func uploadProgram() int {
	data, err := os.ReadFile(os.Getenv("FAIRLEAD_FILE"))
	if err != nil {
		fmt.Println(err)
		return 3
	}
	verb, addr, _ := strings.Cut(string(data), " ")
	switch verb {
	case "say":
		fmt.Println(addr)
		return 0
	case "fail":
		fmt.Fprintln(os.Stderr, "went\x1b wrong", strings.Repeat("x", 2*maxHookOutput))
		return 7
	case "parent": // of a process that would stay
		if os.Getenv("FAIRLEAD_EVENT") == "child" {
			break
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "FAIRLEAD_EVENT=child")
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 3
		}
	case "tell":
	default:
		return 0
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		fmt.Println(err)
		return 3
	}
	in, err := io.ReadAll(os.Stdin)
	env := append(slices.Clone(os.Environ()), fmt.Sprintf("args=%d stdin=%d,%v", len(os.Args), len(in), err))
	for _, line := range env {
		fmt.Fprintf(c, "%q\n", line)
	}
	fmt.Fprintln(c, "end")
	_, _ = io.Copy(io.Discard, c) // until the test says so
	return 0
}

// A teller is where programs report.
type teller struct{ *net.TCPListener }

func newTeller(t *testing.T) teller {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	tl := l.(*net.TCPListener)
	if err := tl.SetDeadline(time.Now().Add(time.Minute)); err != nil { // for programs that never come
		t.Fatal(err)
	}
	return teller{tl}
}

// report takes what a program has to say. It ends when the connection is closed.
func (l teller) report(t *testing.T) (env map[string]string, c net.Conn) {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil { // for those that say nothing, or do not end
		t.Fatal(err)
	}
	env = map[string]string{}
	var text strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(text.String(), "end\n"); text.Write(b) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
	}
	for line := range strings.Lines(strings.TrimSuffix(text.String(), "end\n")) {
		s, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(line, err)
		}
		name, value, _ := strings.Cut(s, "=")
		env[name] = value
	}
	return env, c
}

// putText uploads a file.
func putText(t *testing.T, c *sftp.Client, name, text string) {
	t.Helper()
	if err := c.WriteFile(t.Context(), name, []byte(text), 0o644); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
}

// self is this binary, as a program in a configuration.
func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(name)
}

// TestOnUpload: the program gets what it needs in its environment, names untouched, and nothing else.
func TestOnUpload(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "x")
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nUser alice\nPasswordHash HASH\n")
	l := newTeller(t)
	c, _ := s.files(t, "alice", password)
	names := []string{"/plain", "/home/-rf", "/$(touch x)", "/`id`;|&*", "/ lead and trail ", "/%s%n", "/é"}
	if runtime.GOOS != "windows" {
		names = append(names, "/new\nline\nFAIRLEAD_USER=root", "/q\"uote'", "/\xff\xfe", "/back\\slash")
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return strings.ContainsAny(n, "|*") || strings.HasSuffix(n, " ") })
	}
	text := "tell " + l.Addr().String()
	for _, name := range names {
		putText(t, c, name, text)
		env, conn := l.report(t)
		_ = conn.Close()
		want := map[string]string{
			"FAIRLEAD_EVENT": "upload", "FAIRLEAD_USER": "alice", "FAIRLEAD_PATH": name, "FAIRLEAD_SIZE": strconv.Itoa(len(text)),
			"FAIRLEAD_FILE": filepath.Join(s.dir, "one", filepath.FromSlash(name)), "FAIRLEAD_REMOTE": "127.0.0.1",
			"FAIRLEAD_CONNECTION": env["FAIRLEAD_CONNECTION"], "PATH": os.Getenv("PATH"), "args": "1 stdin=0,<nil>",
		}
		if env["FAIRLEAD_CONNECTION"] == "" {
			t.Error("no connection")
		}
		for k, v := range want {
			if env[k] != v {
				t.Errorf("%q: %s is %q, want %q", name, k, env[k], v)
			}
			delete(env, k)
		}
		for k := range env {
			if runtime.GOOS != "windows" || !strings.EqualFold(k, "SYSTEMROOT") && !strings.EqualFold(k, "PATH") {
				t.Errorf("%q: %s is passed on", name, k)
			}
		}
	}

	// A rename is another event, with both names. That of a directory is none.
	if err := c.Mkdir(t.Context(), "/dir", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename(t.Context(), "/dir", "/dir2", 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename(t.Context(), "/plain", "/dir2/final", 0); err != nil {
		t.Fatal(err)
	}
	env, conn := l.report(t)
	_ = conn.Close()
	if env["FAIRLEAD_EVENT"] != "rename" || env["FAIRLEAD_FROM"] != "/plain" || env["FAIRLEAD_PATH"] != "/dir2/final" ||
		env["FAIRLEAD_FILE"] != filepath.Join(s.dir, "one", "dir2", "final") || env["FAIRLEAD_SIZE"] != strconv.Itoa(len(text)) {
		t.Errorf("%q", env)
	}

	// Neither reading is an upload, nor opening to write without doing it.
	if _, err := c.ReadFile(t.Context(), "/dir2/final"); err != nil {
		t.Fatal(err)
	}
	f, err := c.OpenFile(t.Context(), "/dir2/final", sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// An empty file that is made is one.
	putText(t, c, "/empty", "")
	s.stderr.await(t, `msg="upload program ended" .*path=/empty`)
	s.stop(t)
	if n := strings.Count(s.stderr.String(), "upload program ended"); n != len(names)+2 {
		t.Errorf("%d programs ran, want %d:\n%s", n, len(names)+2, s.stderr)
	}
}

// TestOnUploadUnfinished: no program runs for a file that the client did not finish.
func TestOnUploadUnfinished(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nUser alice\nPasswordHash HASH\nQuota 1 MiB\n")
	c, conn := s.files(t, "alice", password)
	f, err := c.Create(t.Context(), "/half")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("half"), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFile(t.Context(), "/big", make([]byte, 2<<20), 0o644); err == nil {
		t.Error("the quota was not kept")
	}
	_ = conn.Close()
	s.stderr.await(t, `msg="file uploaded" .*path=/half .*complete=false`)
	s.stop(t)
	if log := s.stderr.String(); strings.Contains(log, "upload program") {
		t.Error(log)
	}
}

// TestOnUploadLinks: the file on the host is the one that was written, wherever links led. An absolute one begins at the user's root,
// and would lead a program to a file of the host.
func TestOnUploadLinks(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nUser alice\nPasswordHash HASH\n")
	l := newTeller(t)
	c, _ := s.files(t, "alice", password)
	if err := c.Mkdir(t.Context(), "/etc", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Symlink(t.Context(), "/etc", "/in"); err != nil {
		if runtime.GOOS == "windows" {
			return // takes a right that tests do not have
		}
		t.Fatal(err)
	}
	putText(t, c, "/in/passwd", "tell "+l.Addr().String())
	env, conn := l.report(t)
	_ = conn.Close()
	if got := env["FAIRLEAD_FILE"]; got != filepath.Join(s.dir, "one", "etc", "passwd") || env["FAIRLEAD_PATH"] != "/in/passwd" {
		t.Errorf("%q", env)
	}
	s.stop(t)
}

// TestOnUploadUsers: a block's program, or none, counts before the one for all, and by SIGHUP another one does.
func TestOnUploadUsers(t *testing.T) {
	text := "RootDirectory DIR/one\nOnUpload " + self(t) + "\nUser alice\nPasswordHash HASH\nUser bob\nPasswordHash HASH\nOnUpload none\n"
	s := newSite(t, text)
	a, _ := s.files(t, "alice", password)
	b, _ := s.files(t, "bob", password)
	putText(t, b, "/of bob", "say it")
	putText(t, a, "/of alice", "say it")
	s.stderr.await(t, `msg="upload program ended" .*user=alice path="/of alice" .*output=it`)
	s.reload(t, strings.Replace(strings.Replace(text, "OnUpload none\n", "", 1), "OnUpload", "OnUploadJobs 2\nOnUpload", 1), "configuration read")
	b2, _ := s.files(t, "bob", password)
	putText(t, b2, "/of bob 2", "say it")
	s.stderr.await(t, `msg="upload program ended" .*user=bob path="/of bob 2" .*output=it`)
	s.stop(t)
	if log := s.stderr.String(); strings.Contains(log, `path="/of bob" `) && regexp.MustCompile(`upload program .*path="/of bob" `).MatchString(log) {
		t.Error("a program ran for who has none")
	}
}

// TestOnUploadFails: what a program writes is logged in one line, cut, and its status.
func TestOnUploadFails(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nUser alice\nPasswordHash HASH\n")
	c, _ := s.files(t, "alice", password)
	putText(t, c, "/f", "fail")
	line := s.stderr.await(t, `(?m)^.*level=WARN msg="upload program failed".*$`)[0]
	if !strings.Contains(line, "exit status 7") || !strings.Contains(line, `went\\x1b wrong xxx`) || !strings.Contains(line, "octets more") || len(line) > 2*maxHookOutput {
		t.Error(line)
	}
	s.stop(t)
}

// TestOnUploadTimeout: a program that takes too long is killed, with what it has started.
func TestOnUploadTimeout(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("the end of a program is its own only")
		return
	}
	s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nOnUploadTimeout 1\nUser alice\nPasswordHash HASH\n")
	l := newTeller(t)
	c, _ := s.files(t, "alice", password)
	putText(t, c, "/f", "parent "+l.Addr().String())
	_, one := l.report(t)
	_, two := l.report(t)
	for _, conn := range []net.Conn{one, two} {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	}
	s.stderr.await(t, `level=WARN msg="upload program failed" .*OnUploadTimeout`)
	s.stop(t)
}

// TestOnUploadShutdown: a server that drains waits for its programs, a second signal does not.
func TestOnUploadShutdown(t *testing.T) {
	for _, twice := range []bool{false, true} {
		s := newSite(t, "RootDirectory DIR/one\nOnUpload "+self(t)+"\nOnUploadJobs 1\nUser alice\nPasswordHash HASH\n")
		l := newTeller(t)
		c, conn := s.files(t, "alice", password)
		putText(t, c, "/first", "tell "+l.Addr().String())
		_, first := l.report(t)
		putText(t, c, "/second", "say done")
		_ = conn.Close()
		s.signals <- syscall.SIGTERM
		s.stderr.await(t, `msg="waiting for upload programs" programs=2`)
		if twice {
			s.signals <- syscall.SIGTERM
			s.stderr.await(t, `level=WARN msg="upload program not run" .*path=/second .*stops at once`)
			s.stderr.await(t, `level=WARN msg="upload program failed" .*path=/first .*killed, since the server stops`)
		} else {
			_ = first.Close()
			s.stderr.await(t, `msg="upload program ended" .*path=/second .*output=done`)
		}
		if status := <-s.status; status != statusOK {
			t.Errorf("status %d:\n%s", status, s.stderr)
		}
	}
}

// TestOnUploadQueue: too many are told and not run, and nobody waits: of one user fewer than of all.
func TestOnUploadQueue(t *testing.T) {
	log := newOutput()
	h := newHooks(slog.New(slog.NewTextHandler(log, nil)))
	h.most = 0 // nothing runs
	c := &config{uploadTimeout: time.Minute}
	add := func(user string, n int) {
		for i := range n {
			h.add(newHook("program", c, user, "192.0.2.1", "1", &upload{event: eventUpload, path: fmt.Sprintf("/%s %d\n", user, i)}))
		}
	}
	add("a", maxUserHooks+1)
	if m := log.await(t, `level=WARN msg="upload program not run" (.*)`); !strings.Contains(m[1], fmt.Sprintf(`/a %d\\x0a`, maxUserHooks)) || !strings.Contains(m[1], "others of the user wait") {
		t.Error(m)
	}
	add("b", maxUserHooks)
	add("c", maxUserHooks)
	add("d", maxUserHooks)
	if n := strings.Count(log.String(), "not run"); n != 1 || len(h.queue) != maxHooks {
		t.Errorf("%d not run, %d wait", n, len(h.queue))
	}
	add("e", 1)
	log.await(t, `not run.*/e 0.*1000 others wait`)
	h.queue, h.waiting = nil, nil
	h.drain(context.Background())
	add("f", 1)
	log.await(t, `not run.*/f 0.*the server stops`)
}

// TestOnUploadCheck: what cannot be run is found before it is needed.
func TestOnUploadCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		"missing":           "missing: ",
		".":                 "is not a program",
		"text":              "is not executable",
		"/bin/missing it 1": "which gets no arguments",
	} {
		if program == "text" && runtime.GOOS == "windows" {
			continue // there any file may be one
		}
		for _, text := range []string{"OnUpload %s\nRootDirectory DIR\nUser a\nPasswordHash HASH\n", "RootDirectory DIR\nUser a\nPasswordHash HASH\nOnUpload %s\n"} {
			file := filepath.Join(dir, "f.conf")
			text = strings.NewReplacer("DIR", filepath.ToSlash(dir), "HASH", goodHash, "%s", program).Replace(text)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := command(t, nil, "check", file); r.status != statusFailed || !strings.Contains(r.stderr, "OnUpload: ") || !strings.Contains(r.stderr, want) {
				t.Errorf("%s: %+v", program, r)
			}
		}
	}
	for name, want := range map[string]bool{"a.bat": true, `c:\x.CMD`: true, "x.cmd. ": true, "a.exe": false, "bat": false} {
		if isBatch(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

// TestOnUploadCopy: what copy-data writes into an open file is an upload; a copy by name is not.
func TestOnUploadCopy(t *testing.T) {
	var told []upload
	fsys := &uploadFS{FileSystem: memfs.New(memfs.Options{}), ctx: t.Context(), root: "/srv", tell: func(u upload) { told = append(told, u) }}
	f, err := fsys.Open(t.Context(), "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
	if err != nil {
		t.Fatal(err)
	}
	if _, watched := f.(*uploadFile); watched {
		t.Error("a file is watched that no OPEN opened")
	}
	u := &uploadFile{File: f, fs: fsys, path: "/f"}
	if _, err := u.CopyRange(t.Context(), 0, u, 0, 0); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := u.Close(nil); err != nil || len(told) != 1 || told[0].file != filepath.FromSlash("/srv/f") {
		t.Errorf("%+v, %v", told, err)
	}
}
