//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// stdioProcess starts "fairlead serve --stdio" and greets it.
func stdioProcess(t *testing.T) (cmd *exec.Cmd, in io.WriteCloser, out io.ReadCloser, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "serve", "--stdio")
	cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_MAIN=1")
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil {
		t.Fatal(err)
	}
	var version [9]byte
	if _, err := io.ReadFull(out, version[:]); err != nil || version[8] != 3 {
		t.Fatalf("% x, %v", version, err)
	}
	return cmd, in, out, stderr
}

// checkFile asks for the SHA-256 of a file.
func checkFile(name string) []byte {
	m := request(200, "check-file-name")
	for _, s := range []string{name, "sha256"} {
		m = append(binary.BigEndian.AppendUint32(m, uint32(len(s))), s...)
	}
	m = append(m, make([]byte, 8+8+4)...) // from the start to the end, one hash
	binary.BigEndian.PutUint32(m, uint32(len(m)-4))
	return m
}

// TestStdioProcess: a process ends by itself when its client is gone, in whatever way, and
// by a signal while it waits; the status tells.
func TestStdioProcess(t *testing.T) {
	home(t)
	large := filepath.Join(t.TempDir(), "large") // takes minutes to hash
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		what   string
		end    func(cmd *exec.Cmd, in io.WriteCloser, out io.ReadCloser)
		status int
	}{
		{"end of input", func(_ *exec.Cmd, in io.WriteCloser, _ io.ReadCloser) { _ = in.Close() }, 0},
		{"nobody reads", func(_ *exec.Cmd, in io.WriteCloser, out io.ReadCloser) {
			_ = out.Close()
			_, _ = in.Write(request(16, "."))
		}, 0},
		{"nobody reads, and a request waits for a hash", func(_ *exec.Cmd, in io.WriteCloser, out io.ReadCloser) {
			_, _ = in.Write(append(checkFile(large), request(13, large+".none")...))
			_ = in.Close()
			_ = out.Close()
		}, 0},
		{"SIGTERM", func(cmd *exec.Cmd, _ io.WriteCloser, _ io.ReadCloser) { _ = cmd.Process.Signal(syscall.SIGTERM) }, 143},
		{"SIGHUP", func(cmd *exec.Cmd, _ io.WriteCloser, _ io.ReadCloser) { _ = cmd.Process.Signal(syscall.SIGHUP) }, 129},
		{"half a message", func(_ *exec.Cmd, in io.WriteCloser, _ io.ReadCloser) {
			_, _ = in.Write([]byte{0, 0, 0, 9, 16})
			_ = in.Close()
		}, 1},
	} {
		cmd, in, out, stderr := stdioProcess(t)
		row.end(cmd, in, out)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != row.status || (row.status == 1) != (stderr.Len() > 0) {
			t.Errorf("%s: status %d, want %d; %q", row.what, got, row.status, stderr)
		}
		_ = in.Close()
	}
}

func TestProxyCommand(t *testing.T) {
	h := knownHostFor(t, nil)
	h.write(t, "/file", "x")
	t.Setenv("SHELL", "/bin/sh")
	proxy := "ProxyCommand=FAIRLEAD_TEST_CONNECT=%h:%p exec " + shellWord(os.Args[0])
	if r := command(t, as(secret), h.on("ls", "-o", proxy, "127.0.0.1:")...); r.status != statusOK || r.stdout != "file\n" {
		t.Errorf("%+v", r)
	}
	if r := command(t, as(secret), h.on("ls", "-o", "ProxyCommand=exit 1", "127.0.0.1:")...); r.status != statusConnect || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	if r := command(t, as(secret), h.on("ls", "-o", "ProxyCommand=none", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
}

// TestServerCommand is -s: another subsystem, or a command.
func TestServerCommand(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, func(h *host, s *ssh2.Server, f *sftp.Server) {
		s.Session = func(ctx context.Context, s *ssh2.ServerSession) {
			if s.Command != "sudo /usr/lib/sftp-server" && s.Subsystem != "other" {
				s.Refuse()
				return
			}
			s.Accept()
			_ = f.Serve(ctx, s, sftp.SessionInfo{})
		}
	})
	h.know(t, h.key.PublicKey())
	h.write(t, "/file", "x")
	for server, status := range map[string]int{"sudo /usr/lib/sftp-server": statusOK, "other": statusOK, "sftp": statusConnect} {
		if r := command(t, as(secret), h.on("ls", "-s", server, "127.0.0.1:")...); r.status != status {
			t.Errorf("%s: %+v", server, r)
		}
	}
}

// TestConfigThatOthersCanWrite: a file whose commands would be run is trusted only if it is
// the user's own.
func TestConfigThatOthersCanWrite(t *testing.T) {
	dir := sshDir(t)
	writeFile(t, dir+"/config", "User x\n", 0o600)
	for mode, status := range map[os.FileMode]int{0o600: statusConnect, 0o644: statusConnect, 0o664: statusUsage, 0o606: statusUsage} {
		if err := os.Chmod(dir+"/config", mode); err != nil {
			t.Fatal(err)
		}
		if r := command(t, nil, "ls", "-P", "1", "127.0.0.1:"); r.status != status {
			t.Errorf("%v: %+v", mode, r)
		}
	}
}

// TestServeProcess: a process with a configuration reads it again at SIGHUP and drains at SIGTERM; one
// without ends at SIGHUP, as always.
func TestServeProcess(t *testing.T) {
	dir := home(t)
	file := filepath.Join(dir, "f.conf")
	if err := os.Mkdir("root", 0o700); err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) (*exec.Cmd, *running) {
		r := &running{stdout: newOutput(), stderr: newOutput()}
		cmd := exec.Command(os.Args[0], append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_MAIN=1")
		cmd.Stdout, cmd.Stderr = r.stdout, r.stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		r.addr = r.stdout.await(t, `(?m)^listening on (\S+)$`)[1]
		return cmd, r
	}
	writeFile(t, file, "RootDirectory root\nUser alice\nPasswordHash "+goodHash+"\n", 0o600)
	cmd, r := start("--config", file)
	c, err := dial(t, r, "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	f, err := session3(t, c)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, "RootDirectory root\nUser bob\nPasswordHash "+goodHash+"\n", 0o600)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.stderr.await(t, read)
	if _, err := f.Stat(t.Context(), "/"); err != nil {
		t.Errorf("the session did not stay: %v", err)
	}
	b, err := dial(t, r, "bob", password)
	if err != nil {
		t.Error(err)
	} else {
		_ = b.Close()
	}
	_ = c.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, r.stderr)
	}

	cmd, _ = start("root")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGHUP {
		t.Errorf("without a configuration SIGHUP is not the end: %v", cmd.ProcessState)
	}
}

// TestW24_HangupsUnderLogins: a process that gets SIGHUP again and again while clients log in, also with a file that
// is at fault, lets in whoever every reading has, nobody else, and ends in the end.
func TestW24_HangupsUnderLogins(t *testing.T) {
	file := filepath.Join(home(t), "f.conf")
	if err := os.Mkdir("root", 0o700); err != nil {
		t.Fatal(err)
	}
	const common = "RootDirectory root\nUser alice\nPasswordHash " + goodHash + "\n"
	texts := []string{common + "User bob\nPasswordHash " + goodHash + "\n", common, common + "Nonsense\n"}
	wants := []string{read, read, "everything stays as it was"} // in the log
	writeFile(t, file, texts[0], 0o600)
	r := &running{stdout: newOutput(), stderr: newOutput()}
	cmd := exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--config", file)
	cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_MAIN=1")
	cmd.Stdout, cmd.Stderr = r.stdout, r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	r.addr = r.stdout.await(t, `(?m)^listening on (\S+)$`)[1]
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, user := range []string{"alice", "alice", "mallory"} {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					if n == 0 {
						t.Errorf("%s never tried", user)
					}
					return
				default:
				}
				c, err := dial(t, r, user, password)
				if (err == nil) != (user == "alice") {
					t.Errorf("%s: %v", user, err)
				}
				if err == nil {
					if _, err := session3(t, c); err != nil {
						t.Errorf("%s: %v", user, err)
					}
					_ = c.Close()
				}
			}
		})
	}
	for i := range 12 {
		text, want := texts[(i+1)%3], wants[(i+1)%3]
		n := strings.Count(r.stderr.String(), want)
		writeFile(t, file, text, 0o600)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		r.stderr.awaitTimes(t, want, n+1)
	}
	if c, err := dial(t, r, "bob", password); err != nil { // the last reading has him
		t.Error(err)
	} else {
		_ = c.Close()
	}
	close(stop)
	clients.Wait()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%.2000s", err, r.stderr)
	}
}
