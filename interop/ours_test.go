package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The tests in this file and the next turn the tables: our client, ssh2.Dial, against foreign servers.

// ourConfig logs in with the user's key and knows the server's host keys.
func (s *server) ourConfig(t *testing.T) *ssh2.ClientConfig {
	t.Helper()
	known, err := knownhosts.New(s.knownHosts)
	if err != nil {
		t.Fatal(err)
	}
	return &ssh2.ClientConfig{User: userName, Auth: []ssh2.AuthMethod{ssh2.PublicKeys(s.keys.user)}, HostKey: known}
}

// dialOurs connects our client; the test's end closes it.
func (s *server) dialOurs(t *testing.T, cfg *ssh2.ClientConfig) *ssh2.Client {
	t.Helper()
	c, err := s.tryOurs(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *server) tryOurs(t *testing.T, cfg *ssh2.ClientConfig) (*ssh2.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := ssh2.Dial(ctx, "tcp", s.addr(), cfg)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// session opens a session on a connection of our client.
func session(t *testing.T, c *ssh2.Client) *ssh2.Session {
	t.Helper()
	x, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestOwnClientAuth logs our client in to OpenSSH with each method.
func TestOwnClientAuth(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true}})
	answer := func(reply string) ssh2.AuthMethod {
		return ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
			return slices.Repeat([]string{reply}, len(c.Prompts)), nil
		})
	}
	stranger, err := gossh.NewSignerFromSigner(must(hostKeyKinds[0].make()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		method string // "" if the server refuses
		auth   []ssh2.AuthMethod
	}{
		{"password", "password", []ssh2.AuthMethod{ssh2.Password(s.keys.password)}},
		{"wrong password", "", []ssh2.AuthMethod{ssh2.Password("not " + s.keys.password)}},
		{"interactive", "keyboard-interactive", []ssh2.AuthMethod{answer(s.keys.password)}},
		{"wrong answer", "", []ssh2.AuthMethod{answer("not " + s.keys.password)}},
		{"key", "publickey", []ssh2.AuthMethod{ssh2.PublicKeys(s.keys.user)}},
		{"direct", "publickey", []ssh2.AuthMethod{ssh2.Direct(ssh2.PublicKeys(s.keys.user))}},
		{"second key", "publickey", []ssh2.AuthMethod{ssh2.PublicKeys(stranger, s.keys.user)}},
		{"unknown key", "", []ssh2.AuthMethod{ssh2.PublicKeys(stranger)}},
		{"key, then password", "password", []ssh2.AuthMethod{ssh2.PublicKeys(stranger), ssh2.Password(s.keys.password)}},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := s.ourConfig(t)
			cfg.Auth = c.auth
			client, err := s.tryOurs(t, cfg)
			if c.method == "" {
				if _, ok := errors.AsType[*ssh2.AuthError](err); !ok {
					t.Fatalf("error is %v, want an AuthError", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := client.Info().Methods; !slices.Equal(got, []string{c.method}) {
				t.Errorf("logged in by %q, want %q", got, c.method)
			}
			if out, err := session(t, client).Output(t.Context(), "echo in"); err != nil || string(out) != "in\n" {
				t.Errorf("command: %q, %v", out, err)
			}
		})
	}
	t.Run("two factors", func(t *testing.T) {
		s := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: []string{"AuthenticationMethods publickey,password"}}})
		cfg := s.ourConfig(t)
		cfg.Auth = append(cfg.Auth, ssh2.Password(s.keys.password))
		if got := s.dialOurs(t, cfg).Info().Methods; !slices.Equal(got, []string{"publickey", "password"}) {
			t.Errorf("logged in by %q", got)
		}
		cfg.Auth = cfg.Auth[:1]
		var refused *ssh2.AuthError
		if _, err := s.tryOurs(t, cfg); !errors.As(err, &refused) || !slices.Equal(refused.Done, []string{"publickey"}) {
			t.Errorf("key alone: %v, want an AuthError after publickey", err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the system's random numbers have failed: no test can go on
	}
	return v
}

// TestOwnClientKeys logs our client in with every kind of key, as such and with a certificate, to an sshd that accepts
// only the algorithm in question: so it is known to be the one that was used.
func TestOwnClientKeys(t *testing.T) {
	ca, err := gossh.NewSignerFromSigner(must(hostKeyKinds[0].make()))
	if err != nil {
		t.Fatal(err)
	}
	caFile := filepath.Join(t.TempDir(), "user_ca.pub")
	if err := os.WriteFile(caFile, gossh.MarshalAuthorizedKey(ca.PublicKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, algorithm string }{
		{"ed25519", "ssh-ed25519"},
		{"ecdsa256", "ecdsa-sha2-nistp256"},
		{"ecdsa384", "ecdsa-sha2-nistp384"},
		{"ecdsa521", "ecdsa-sha2-nistp521"},
		{"rsa", "rsa-sha2-256"},
		{"rsa", "rsa-sha2-512"},
	} {
		i := slices.IndexFunc(hostKeyKinds, func(k hostKeyKind) bool { return k.name == c.kind })
		key, err := gossh.NewSignerFromSigner(must(hostKeyKinds[i].make()))
		if err == nil && c.kind == "rsa" {
			// OpenSSH 9.2 announces in server-sig-algs what it knows, not what its settings allow: the key must tell.
			key, err = gossh.NewSignerWithAlgorithms(key.(gossh.AlgorithmSigner), []string{c.algorithm})
		}
		if err != nil {
			t.Fatal(err)
		}
		cert := &gossh.Certificate{
			Key: key.PublicKey(), CertType: gossh.UserCert, KeyId: "interop user", ValidPrincipals: []string{userName},
			ValidBefore: gossh.CertTimeInfinity,
		}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		certSigner, err := gossh.NewCertSigner(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		login := func(signer gossh.Signer, algorithm, keys string) func(*testing.T) {
			return func(t *testing.T) {
				s := launch(t, serverOptions{sshd: &sshd{ordinary: true, keys: keys, settings: []string{
					"PubkeyAcceptedAlgorithms " + algorithm, "TrustedUserCAKeys " + caFile,
				}}})
				cfg := s.ourConfig(t)
				cfg.Auth = []ssh2.AuthMethod{ssh2.PublicKeys(signer)}
				if got := s.dialOurs(t, cfg).Info().Methods; !slices.Equal(got, []string{"publickey"}) {
					t.Errorf("logged in by %q", got)
				}
			}
		}
		t.Run(c.algorithm, login(key, c.algorithm, string(gossh.MarshalAuthorizedKey(key.PublicKey()))))
		t.Run(c.algorithm+"-cert", login(certSigner, c.algorithm+"-cert-v01@openssh.com", "# no key\n"))
	}
}

// TestOwnClientAgent logs our client in with a key that only OpenSSH's ssh-agent holds.
func TestOwnClientAgent(t *testing.T) {
	socket := filepath.Join(scratch, "agent")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait(); os.Remove(socket) })
	var conn net.Conn
	for deadline := time.Now().Add(10 * time.Second); ; {
		var err error
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond) // polling another process: there is nothing to wait on
	}
	t.Cleanup(func() { conn.Close() })
	holder := agent.NewClient(conn)
	for _, kind := range hostKeyKinds {
		signer, file, err := writeKey(t.TempDir(), "agent_"+kind.name, kind.make)
		if err != nil {
			t.Fatal(err)
		}
		add := command{name: "ssh-add", args: []string{file}, env: []string{"SSH_AUTH_SOCK=" + socket}}
		if _, err := add.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Run(kind.name, func(t *testing.T) { // the agent still has the keys of the rounds before
			s := launch(t, serverOptions{sshd: &sshd{ordinary: true, keys: string(gossh.MarshalAuthorizedKey(signer.PublicKey()))}})
			cfg := s.ourConfig(t)
			cfg.Auth = []ssh2.AuthMethod{ssh2.Agent(holder)}
			if got := s.dialOurs(t, cfg).Info().Methods; !slices.Equal(got, []string{"publickey"}) {
				t.Errorf("logged in by %q", got)
			}
		})
	}
}

// TestOwnClientHostKey has our client judge OpenSSH's host keys and certificates.
func TestOwnClientHostKey(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true}})
	at := fmt.Sprintf("[%s]:%d", s.host, s.port)
	stranger, err := gossh.NewSignerFromSigner(must(hostKeyKinds[0].make()))
	if err != nil {
		t.Fatal(err)
	}
	line := func(marker string, key gossh.PublicKey) string {
		return marker + at + " " + string(gossh.MarshalAuthorizedKey(key))
	}
	const certAlgorithm = "ssh-ed25519-cert-v01@openssh.com"
	for _, c := range []struct {
		name, known, algorithm string
		ok                     bool
	}{
		{"known key", line("", s.keys.hostKeys[0]), "ssh-ed25519", true},
		{"other key", line("", stranger.PublicKey()), "ssh-ed25519", false},
		{"unknown host", "", "ssh-ed25519", false},
		{"certificate", line("@cert-authority ", s.keys.hostCA), certAlgorithm, true},
		{"certificate of another authority", line("@cert-authority ", stranger.PublicKey()), certAlgorithm, false},
		{"certificate without an authority", line("", s.keys.hostKeys[0]), certAlgorithm, false},
		{"revoked key", line("", s.keys.hostKeys[0]) + line("@revoked ", s.keys.hostKeys[0]), "ssh-ed25519", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(file, []byte(c.known), 0o600); err != nil {
				t.Fatal(err)
			}
			known, err := knownhosts.New(file)
			if err != nil {
				t.Fatal(err)
			}
			asked := false
			cfg := s.ourConfig(t)
			cfg.HostKey, cfg.HostKeyAlgorithms = known, ssh2.AlgList(c.algorithm)
			cfg.Auth = []ssh2.AuthMethod{ssh2.PasswordFunc(func(context.Context, *ssh2.PasswordPrompt) (string, error) {
				asked = true
				return s.keys.password, nil
			})}
			client, err := s.tryOurs(t, cfg)
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				if got := client.Info().HostKeyAlgorithm; got != c.algorithm {
					t.Errorf("host key algorithm %s, want %s", got, c.algorithm)
				}
				return
			}
			if _, ok := errors.AsType[*ssh2.HostKeyError](err); !ok {
				t.Errorf("error is %v, want a HostKeyError", err)
			}
			if asked {
				t.Error("a server that was refused got a password")
			}
		})
	}
}

// TestOwnClientSession runs commands, a terminal and a subsystem on OpenSSH.
func TestOwnClientSession(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: []string{"AcceptEnv FAIRLEAD_*"}}})
	client := s.dialOurs(t, s.ourConfig(t))
	t.Run("output, errors and status", func(t *testing.T) {
		x := session(t, client)
		var stdout, stderr bytes.Buffer
		x.Stdout, x.Stderr = &stdout, &stderr
		err := x.Run(t.Context(), "echo out; echo err >&2; exit 7")
		var exit *ssh2.ExitError
		if !errors.As(err, &exit) || exit.Status != 7 || exit.Signal != "" {
			t.Errorf("end is %v, want exit status 7", err)
		}
		if stdout.String() != "out\n" || stderr.String() != "err\n" {
			t.Errorf("output %q, errors %q", stdout.String(), stderr.String())
		}
	})
	t.Run("killed by a signal", func(t *testing.T) {
		err := session(t, client).Run(t.Context(), "kill -KILL $$")
		var exit *ssh2.ExitError
		if !errors.As(err, &exit) || exit.Signal != "KILL" {
			t.Errorf("end is %v, want signal KILL", err)
		}
	})
	t.Run("we send a signal", func(t *testing.T) {
		x := session(t, client)
		in, out := io.Pipe()
		x.Stdout = out
		if err := x.Start(t.Context(), "echo up; exec sleep 60"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(in, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if err := x.Signal(t.Context(), "TERM"); err != nil {
			t.Fatal(err)
		}
		err := x.Wait(t.Context())
		var exit *ssh2.ExitError
		if !errors.As(err, &exit) || exit.Signal != "TERM" {
			t.Errorf("end is %v, want signal TERM", err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		x := session(t, client)
		x.Env = []string{"FAIRLEAD_A=with space", "OTHER=refused"}
		if out, err := x.Output(t.Context(), `echo "$FAIRLEAD_A,$OTHER"`); err != nil || string(out) != "with space,\n" {
			t.Errorf("output %q, %v", out, err)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		x := session(t, client)
		x.PTY = &ssh2.PTY{Term: "vt220", Width: 91, Height: 33, Modes: []ssh2.TerminalMode{{Opcode: 53, Value: 0}}} // ECHO off
		typed, keyboard := io.Pipe()
		screen, glass := io.Pipe()
		x.Stdin, x.Stdout = typed, glass
		if err := x.Start(t.Context(), "echo $TERM; stty size; stty -a | grep -o -e '[-]*echo '; read x; stty size"); err != nil {
			t.Fatal(err)
		}
		want := func(text string) {
			t.Helper()
			got := make([]byte, len(text))
			if _, err := io.ReadFull(screen, got); err != nil || string(got) != text {
				t.Errorf("on the screen %q, %v, want %q", got, err, text)
			}
		}
		want("vt220\r\n33 91\r\n-echo \r\n")
		if err := x.Resize(t.Context(), 132, 43); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(keyboard, "\n")
		want("43 132\r\n")
		keyboard.Close()
		if err := x.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		var sessions []*ssh2.Session
		var outs [8]bytes.Buffer
		for i := range outs {
			x := session(t, client)
			x.Stdin, x.Stdout = bytes.NewReader(sample(300_000+i)), &outs[i]
			if err := x.Start(t.Context(), "cat"); err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, x)
		}
		for i, x := range sessions {
			if err := x.Wait(t.Context()); err != nil || !bytes.Equal(outs[i].Bytes(), sample(300_000+i)) {
				t.Errorf("session %d: %v, %d octets", i, err, outs[i].Len())
			}
		}
	})
	t.Run("sftp subsystem", func(t *testing.T) {
		ch, err := client.Subsystem(t.Context(), "sftp")
		if err != nil {
			t.Fatal(err)
		}
		defer ch.Close()
		if _, err := ch.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil { // INIT, version 3
			t.Fatal(err)
		}
		var head [9]byte
		if _, err := io.ReadFull(ch, head[:]); err != nil {
			t.Fatal(err)
		}
		if head[4] != 2 || binary.BigEndian.Uint32(head[5:]) != 3 {
			t.Fatalf("answer % x, want VERSION 3", head)
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[:4])-5)
		if _, err := io.ReadFull(ch, rest); err != nil || !bytes.Contains(rest, []byte("posix-rename@openssh.com")) {
			t.Errorf("extensions %q, %v", rest, err)
		}
	})
	t.Run("unknown subsystem", func(t *testing.T) {
		var refused *ssh2.RequestError
		if _, err := client.Subsystem(t.Context(), "no such thing"); !errors.As(err, &refused) {
			t.Errorf("error is %v, want a RequestError", err)
		}
	})
}

// TestOwnClientKeepAlive: OpenSSH finds us alive, and we find it dead.
func TestOwnClientKeepAlive(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: []string{"ClientAliveInterval 1", "ClientAliveCountMax 1"}}})
	t.Run("theirs", func(t *testing.T) {
		cfg := s.ourConfig(t)
		cfg.KeepAlive.Interval = -1
		if out, err := session(t, s.dialOurs(t, cfg)).Output(t.Context(), "sleep 3.5; echo here"); err != nil || string(out) != "here\n" {
			t.Errorf("output %q, %v", out, err)
		}
	})
	t.Run("ping", func(t *testing.T) {
		client := s.dialOurs(t, s.ourConfig(t))
		if rtt, err := client.Ping(t.Context()); err != nil || rtt <= 0 || client.RTT() <= 0 {
			t.Errorf("round trip %v, %v; least %v", rtt, err, client.RTT())
		}
	})
	t.Run("ours", func(t *testing.T) {
		cfg := s.ourConfig(t)
		cfg.KeepAlive = ssh2.KeepAlive{Interval: 200 * time.Millisecond, Count: 3}
		client := s.dialOurs(t, cfg)
		x := session(t, client)
		in, out := io.Pipe()
		x.Stdout = out
		if err := x.Start(t.Context(), "echo $PPID; exec sleep 60"); err != nil {
			t.Fatal(err)
		}
		var line []byte
		for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); line = append(line, one...) {
			if _, err := io.ReadFull(in, one); err != nil {
				t.Fatal(err)
			}
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(line)))
		if err != nil || pid < 2 {
			t.Fatalf("process of the session: %q, %v", line, err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(pid, syscall.SIGCONT)
		var dead *ssh2.DeadPeerError
		if err := client.Wait(); !errors.As(err, &dead) || dead.Silence < 600*time.Millisecond {
			t.Errorf("end is %v, want a DeadPeerError", err)
		}
		if err := x.Wait(t.Context()); !errors.As(err, &dead) {
			t.Errorf("session ended with %v, want a DeadPeerError", err)
		}
	})
}
