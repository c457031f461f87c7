package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// sessionRows are what a session can lend and what runs over it, with OpenSSH at the other end.
var sessionRows = []struct {
	name           string
	server, client func(*testing.T) // we are the server, we are the client
}{
	{"X11", x11OpenSSHClient, x11OpenSSHServer},
	{"agent", agentForwardingOpenSSHClient, agentForwardingOpenSSHServer},
	{"terminal", terminalOpenSSHClient, nil}, // TestOwnClientSession has our client's
	{"git", gitOverExec, nil},
	{"rsync", rsyncOverExec, nil},
	{"Ansible", ansibleOverExec, nil},
}

// TestSessionForwarding has OpenSSH, X11 programs, agents, git, rsync and Ansible use the sessions of our server, and
// our client those of OpenSSH's.
func TestSessionForwarding(t *testing.T) {
	columns := []string{"our server", "our client"}
	table := newTable("Sessions against OpenSSH, and what runs over them", columns)
	for _, row := range sessionRows {
		for i, f := range []func(*testing.T){row.server, row.client} {
			switch {
			case f == nil:
				table.set(row.name, columns[i], resultNA, "tested elsewhere, or the server's matter")
				continue
			case reference && i == 0:
				table.set(row.name, columns[i], resultNA, "our example server is not the server under test")
				continue
			}
			t.Run(row.name+", "+columns[i], func(t *testing.T) {
				table.set(row.name, columns[i], resultFail, "did not end, or a program is missing")
				f(t)
				if !t.Failed() {
					table.set(row.name, columns[i], resultOK, "")
				}
			})
		}
	}
	addReport(table.String())
}

// need ends the test unless all programs are here.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missingPeer(t, program, errMissing)
		}
	}
}

// startXvfb starts an X11 display that asks for a cookie and returns its name. DISPLAY and XAUTHORITY stand for it
// until the test is over.
func startXvfb(t *testing.T) string {
	t.Helper()
	need(t, "Xvfb", "xauth", "xdpyinfo")
	authority := filepath.Join(t.TempDir(), "authority")
	// Where the server finds its cookie; the number is not known yet, and servers do not look at it.
	cookie := strings.Repeat("5e", 16)
	xauth := func(display string) {
		if out, err := exec.Command("xauth", "-f", authority, "add", display, ssh2.MITMagicCookie, cookie).CombinedOutput(); err != nil {
			t.Fatalf("xauth: %v: %s", err, out)
		}
	}
	xauth(":0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-auth", authority, "-nolisten", "tcp", "-noreset", "-screen", "0", "640x480x24", "+extension", "SECURITY")
	cmd.ExtraFiles = []*os.File{w}
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Killed, it would leave its socket, and the next test a display without a server.
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); t.Failed() {
			t.Logf("Xvfb %v ended with %v: %s", cmd.Args, err, log.String())
		}
	})
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(r).ReadString('\n') // to the end of it: Xvfb fails when nobody reads that
	_ = r.Close()
	if err != nil {
		t.Fatalf("Xvfb: %v: %s", err, log.String())
	}
	display := ":" + strings.TrimSpace(line)
	xauth(display)
	t.Setenv("DISPLAY", display)
	t.Setenv("XAUTHORITY", authority)
	return display
}

// sshTo runs OpenSSH's client; options come before those that every job has, and so win.
func sshTo(t *testing.T, s *server, env, options []string, script string, stdin []byte) (output, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	j := s.job()
	args := append([]string{}, options...)
	args = append(args, sshArgs(j)...)
	args = append(args, "-p", strconv.Itoa(j.Port), j.User+"@"+j.Host, script)
	return command{"ssh", args, env, stdin}.run(ctx)
}

// x11OpenSSHClient has programs that our server runs draw on the display of OpenSSH's client.
func x11OpenSSHClient(t *testing.T) {
	need(t, "ssh")
	display := startXvfb(t)
	env := []string{"DISPLAY=" + display}
	s := launch(t, serverOptions{commands: true, args: []string{"--x11"}})
	for name, flag := range map[string]string{"trusted": "-Y", "untrusted": "-X"} {
		t.Run(name, func(t *testing.T) {
			out, err := sshTo(t, s, env, []string{flag}, "echo $DISPLAY; xdpyinfo | grep dimensions; xdpyinfo | grep 'vendor string'", nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out.stdout, "localhost:1") || !strings.Contains(out.stdout, "640x480 pixels") || strings.Count(out.stdout, "\n") != 3 {
				t.Errorf("output %q, errors %q", out.stdout, out.stderr)
			}
		})
	}
	t.Run("with another cookie", func(t *testing.T) {
		out, err := sshTo(t, s, env, []string{"-Y"}, "xauth add $DISPLAY MIT-MAGIC-COOKIE-1 "+strings.Repeat("00", 16)+"; xdpyinfo", nil)
		if err == nil || strings.Contains(out.stdout, "dimensions") {
			t.Errorf("%v, output %q", err, out.stdout)
		}
	})
	t.Run("refused by the server", func(t *testing.T) {
		s := launch(t, serverOptions{commands: true})
		if out, err := sshTo(t, s, env, []string{"-Y"}, `echo "[$XAUTHORITY]"`, nil); err != nil || strings.Contains(out.stdout, "ssh-x11") {
			t.Errorf("%q, %v", out.stdout, err)
		}
	})
}

// x11OpenSSHServer has programs that sshd runs draw on the display of our client.
func x11OpenSSHServer(t *testing.T) {
	display := startXvfb(t)
	authority := filepath.Join(t.TempDir(), "of-the-server")
	s := launch(t, serverOptions{sshd: &sshd{settings: []string{"X11Forwarding yes", "SetEnv XAUTHORITY=" + authority}}})
	client := s.dialOurs(t, s.ourConfig(t))
	run := func(t *testing.T, x *ssh2.X11, command string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := session(t, client)
		c.X11 = x
		out, err := c.CombinedOutput(ctx, command)
		return string(out), err
	}
	if out, err := run(t, &ssh2.X11{}, "xdpyinfo"); err != nil || !strings.Contains(out, "640x480 pixels") {
		t.Errorf("%v: %s", err, tail(out))
	}
	var exit *ssh2.ExitError
	if out, err := run(t, &ssh2.X11{Single: true}, "xdpyinfo >/dev/null && echo first; xdpyinfo"); !errors.As(err, &exit) || !strings.Contains(out, "first\n") || strings.Contains(out, "pixels") {
		t.Errorf("single connection: %v: %s", err, tail(out))
	}
	if out, err := run(t, nil, "xdpyinfo"); !errors.As(err, &exit) {
		t.Errorf("without X11: %v: %s", err, tail(out))
	}
	wrong := "xauth add $DISPLAY MIT-MAGIC-COOKIE-1 " + strings.Repeat("00", 16) + "; xdpyinfo"
	if out, err := run(t, &ssh2.X11{}, wrong); !errors.As(err, &exit) || strings.Contains(out, "pixels") {
		t.Errorf("with another cookie: %v: %s", err, tail(out))
	}
	d, err := ssh2.FindX11Display(display)
	if err != nil || len(d.Cookie) != 16 {
		t.Fatalf("%+v, %v", d, err)
	}
	if bytes.Contains(must(os.ReadFile(authority)), d.Cookie) {
		t.Error("the server knows the cookie of the display")
	}
}

// agentWithKey is an agent that knows the user's key.
func agentWithKey(t *testing.T, keys *keyring) sshagent.Agent {
	t.Helper()
	key, err := gossh.ParseRawPrivateKey(must(os.ReadFile(keys.userKey)))
	if err != nil {
		t.Fatal(err)
	}
	a := sshagent.NewKeyring()
	if err := a.Add(sshagent.AddedKey{PrivateKey: key, Comment: "lent"}); err != nil {
		t.Fatal(err)
	}
	return a
}

// agentForwardingOpenSSHClient: a program that our server runs uses the agent of OpenSSH's client.
func agentForwardingOpenSSHClient(t *testing.T) {
	need(t, "ssh", "ssh-agent", "ssh-add")
	s := launch(t, serverOptions{commands: true, args: []string{"--agent"}})
	path := filepath.Join(t.TempDir(), "a")
	cmd := exec.Command("ssh-agent", "-D", "-a", path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	add := func() (out []byte, err error) {
		for range 200 { // until it listens
			add := exec.Command("ssh-add", s.keys.userKey)
			add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+path)
			if out, err = add.CombinedOutput(); err == nil {
				return out, nil
			}
			<-time.After(20 * time.Millisecond) // polling another process
		}
		return out, err
	}
	if out, err := add(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	env := []string{"SSH_AUTH_SOCK=" + path}
	out, err := sshTo(t, s, env, []string{"-A", "-o", "IdentityAgent=SSH_AUTH_SOCK"}, "ssh-add -l && ssh-add -T "+s.keys.userKey+".pub && echo signs; echo $SSH_AUTH_SOCK", nil)
	if err != nil || !strings.Contains(out.stdout, gossh.FingerprintSHA256(s.keys.user.PublicKey())) || !strings.Contains(out.stdout, "signs") {
		t.Fatalf("%v: %q, %q", err, out.stdout, out.stderr)
	}
	lines := strings.Fields(out.stdout)
	if _, err := os.Stat(lines[len(lines)-1]); lines[len(lines)-1] == path || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket %s after the session: %v", lines[len(lines)-1], err)
	}
	s = launch(t, serverOptions{commands: true})
	if out, err := sshTo(t, s, env, []string{"-A", "-o", "IdentityAgent=SSH_AUTH_SOCK"}, "env | grep -c SSH_AUTH_SOCK.*ssh-", nil); err == nil {
		t.Errorf("refused, and yet: %q", out.stdout)
	}
}

// agentForwardingOpenSSHServer: a program that sshd runs uses the agent of our client, in each session that
// lends it.
func agentForwardingOpenSSHServer(t *testing.T) {
	need(t, "ssh-add")
	s := launch(t, serverOptions{sshd: &sshd{}})
	want := gossh.FingerprintSHA256(s.keys.user.PublicKey())
	lent := agentWithKey(t, s.keys)
	for name, lend := range map[string]func(*ssh2.Client) error{
		"agent": func(c *ssh2.Client) error { return c.ForwardAgent(lent) },
		"stream": func(c *ssh2.Client) error {
			return c.ForwardAgentTo(func(ctx context.Context) (io.ReadWriteCloser, error) {
				a, b := socketPair(t)
				go func() { _ = agent.Serve(ctx, b, lent, agent.Options{}) }()
				return a, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.dialOurs(t, s.ourConfig(t))
			if err := lend(client); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				c := session(t, client)
				c.AgentForward = true
				out, err := c.CombinedOutput(t.Context(), "ssh-add -l && ssh-add -T "+s.keys.userKey+".pub && echo signs; ssh-add -D")
				if !strings.Contains(string(out), want) || !strings.Contains(string(out), "signs") {
					t.Errorf("session %d: %v: %s", i, err, out)
				}
			}
			if keys, err := lent.List(); err != nil || len(keys) != 1 {
				t.Errorf("%d keys are left, %v", len(keys), err)
			}
			if out, err := session(t, client).CombinedOutput(t.Context(), "ssh-add -l"); err == nil && strings.Contains(string(out), want) {
				t.Error("used after the sessions that lent it")
			}
		})
	}
}

// socketPair returns both ends of a connection.
func socketPair(t *testing.T) (io.ReadWriteCloser, io.ReadWriteCloser) {
	t.Helper()
	ar, bw := io.Pipe()
	br, aw := io.Pipe()
	return end{ar, aw}, end{br, bw}
}

type end struct {
	*io.PipeReader
	w *io.PipeWriter
}

func (e end) Write(p []byte) (int, error) { return e.w.Write(p) }
func (e end) Close() error                { return errors.Join(e.PipeReader.Close(), e.w.Close()) }

// terminalOpenSSHClient has OpenSSH's client ask our server for a terminal.
func terminalOpenSSHClient(t *testing.T) {
	need(t, "ssh", "stty")
	s := launch(t, serverOptions{commands: true, args: []string{"--terminals", "--env", "LC_*"}})
	out, err := sshTo(t, s, []string{"TERM=vt220"}, []string{"-tt", "-o", "SetEnv=LC_MINE=hello", "-o", "SetEnv=OTHER=x"}, `tty >/dev/null && echo "$TERM,$LC_MINE,$OTHER"; kill -TERM $$`, nil)
	if out.stdout != "vt220,hello,\r\n" || err == nil {
		t.Errorf("output %q, %v", out.stdout, err)
	}
	s = launch(t, serverOptions{commands: true})
	if out, err := sshTo(t, s, nil, []string{"-tt"}, "tty", nil); err == nil && strings.Contains(out.stdout, "/dev/pts") {
		t.Errorf("refused, and yet: %q", out.stdout)
	}
}

// sshCommand is OpenSSH's client as other programs start it, and how they name the user of s.
func (s *server) sshCommand() (ssh, at string) {
	j := s.job()
	return "ssh " + strings.Join(sshArgs(j), " ") + " -p " + strconv.Itoa(j.Port), j.User + "@" + j.Host
}

// runIn runs a program in a directory and returns what it printed.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := command{"env", append([]string{"-C", dir, name}, args...), env, nil}.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return out.stdout
}

// gitOverExec clones and pushes.
func gitOverExec(t *testing.T) {
	s := launch(t, serverOptions{commands: true})
	ssh, at := s.sshCommand()
	need(t, "git")
	dir := t.TempDir()
	env := []string{"GIT_SSH_COMMAND=" + ssh, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}
	git := func(in string, args ...string) string {
		return runIn(t, in, env, "git", append([]string{"-c", "user.name=n", "-c", "user.email=e@example.com"}, args...)...)
	}
	git(dir, "init", "-q", "--bare", "bare.git")
	remote := "ssh://" + at + dir + "/bare.git"
	git(dir, "clone", "-q", remote, "one")
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	big := sample(3 << 20)
	if err := os.WriteFile(filepath.Join(one, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	git(one, "add", ".")
	git(one, "commit", "-q", "-m", "first")
	git(one, "push", "-q", "origin", "HEAD:refs/heads/main")
	git(dir, "clone", "-q", "-b", "main", remote, "two")
	if err := wantFile(filepath.Join(two, "big"), big); err != nil {
		t.Error(err)
	}
}

// rsyncOverExec copies a directory there and back.
func rsyncOverExec(t *testing.T) {
	s := launch(t, serverOptions{commands: true})
	ssh, at := s.sshCommand()
	need(t, "rsync")
	dir := t.TempDir()
	here, there, back := filepath.Join(dir, "here"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
	if err := os.MkdirAll(filepath.Join(here, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(here, "sub", fmt.Sprint(i)), sample(i*50_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runIn(t, dir, nil, "rsync", "-a", "-e", ssh, here+"/", at+":"+there)
	runIn(t, dir, nil, "rsync", "-a", "-e", ssh, at+":"+there+"/", back)
	for i := range 20 {
		if err := wantFile(filepath.Join(back, "sub", fmt.Sprint(i)), sample(i*50_000)); err != nil {
			t.Error(err)
		}
	}
}

// ansibleOverExec runs modules, and a command on a terminal.
func ansibleOverExec(t *testing.T) {
	s := launch(t, serverOptions{commands: true, args: []string{"--terminals"}})
	j := s.job()
	need(t, "ansible", "python3")
	dir := t.TempDir()
	config := filepath.Join(dir, "ansible.cfg")
	text := fmt.Sprintf("[defaults]\nhost_key_checking = True\nlocal_tmp = %[1]s/local\nremote_tmp = %[1]s/remote\ninterpreter_python = auto_silent\n[ssh_connection]\nssh_args = %[2]s -o ControlMaster=no\ntransfer_method = piped\n", dir, strings.Join(sshArgs(j), " "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inventory := filepath.Join(dir, "hosts")
	if err := os.WriteFile(inventory, fmt.Appendf(nil, "ours ansible_host=%s ansible_port=%d ansible_user=%s\n", j.Host, j.Port, j.User), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"ANSIBLE_CONFIG=" + config, "ANSIBLE_HOME=" + dir}
	for name, args := range map[string][]string{
		"ping":    {"-m", "ping"},
		"raw":     {"-m", "raw", "-a", "echo '\"pong\"'"}, // on a terminal
		"command": {"-m", "command", "-a", "echo '\"pong\"'"},
	} {
		if out := runIn(t, dir, env, "ansible", append([]string{"-i", inventory, "all"}, args...)...); !strings.Contains(out, "pong") {
			t.Errorf("%s: %s", name, out)
		}
	}
}
