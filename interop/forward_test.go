package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// forwardSize is what goes there and back on each forwarded connection: more than any window.
const forwardSize = 5 << 20

// echoServer answers each connection with what it got, once the other side has said all.
func echoServer(t *testing.T, network, addr string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go echoOn(l)
	return l.Addr()
}

func echoOn(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			b, _ := io.ReadAll(nc)
			_, _ = nc.Write(b)
		}()
	}
}

// thereAndBack sends data through nc, ends that direction and wants the same back until the end.
func thereAndBack(nc net.Conn, data []byte) error {
	return thereAndBackWithin(nc, data, 30*time.Second)
}

func thereAndBackWithin(nc net.Conn, data []byte, limit time.Duration) error {
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(data)
		if err == nil {
			err = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(nc)
	if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("%d octets came back of %d, or others", len(got), len(data))
	}
	return err
}

// dialEcho is thereAndBack over a connection made by hand, once something listens there.
func dialEcho(t *testing.T, network, addr string, data []byte) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		nc, err := net.Dial(network, addr)
		if err == nil {
			if err := thereAndBack(nc, data); err != nil {
				t.Errorf("%s: %v", addr, err)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nothing listens: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // another process is about to listen
	}
}

// forwardingServer is our server with a policy, in this process.
func forwardingServer(t *testing.T, p ssh2.ForwardPolicy) job {
	t.Helper()
	keys := keysOf(t)
	data, err := os.ReadFile(keys.hostKeyFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := gossh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	s := &ssh2.Server{
		HostKeys: []gossh.Signer{hostKey},
		Forward:  p,
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == userName && bytes.Equal(key.Marshal(), keys.user.PublicKey().Marshal())}
		}},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := keys.knownHosts(known, "127.0.0.1", port); err != nil {
		t.Fatal(err)
	}
	return job{Host: "127.0.0.1", Port: port, User: userName, KnownHosts: known, Key: keys.userKey}
}

// startSSH runs OpenSSH's client against our server until the test ends.
func startSSH(t *testing.T, j job, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	if _, err := opensshVersion(); err != nil {
		missingPeer(t, "OpenSSH ssh", err)
	}
	args = append(append(sshArgs(j), "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO"), args...)
	args = append([]string{"-o", "LogLevel=INFO"}, args...)
	log := new(lockedBuffer)
	cmd := exec.Command("ssh", append(args, "-p", strconv.Itoa(j.Port), j.User+"@"+j.Host)...)
	cmd.Stderr = log
	return cmd, log
}

// runSSH starts it, and ends it with the test.
func runSSH(t *testing.T, cmd *exec.Cmd, log *lockedBuffer) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ssh said:\n%s", log.String())
		}
	})
}

// mirrorServer sends back what it gets as it comes.
func mirrorServer(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_, _ = io.Copy(nc, nc)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

// mirrored sends data to a mirrorServer and has all of it back before it ends the connection.
func mirrored(addr string, data []byte) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	n, err := io.ReadFull(nc, got)
	if err == nil && !bytes.Equal(got, data) {
		err = errors.New("other octets came back")
	}
	if err != nil {
		nc.Close() // for the writer
		return errors.Join(fmt.Errorf("%d octets came back of %d: %w", n, len(data), err), <-sent)
	}
	return <-sent
}

// TestForwardLibraries has libraries forward through our server, both ways. Each of them closes the channel when one of
// its directions ends, at OpenSSH's server too, so the other is over by then.
func TestForwardLibraries(t *testing.T) {
	data := sample(forwardSize)
	mirror := mirrorServer(t)
	j := forwardingServer(t, ssh2.ForwardPolicy{PermitOpen: []string{mirror.String()}, PermitListen: []string{"localhost:*"}})
	for _, l := range []*library{rubyNet, jsch, sshj} {
		t.Run(l.name, func(t *testing.T) {
			if _, err := l.find(); err != nil {
				missingPeer(t, l.name, err)
			}
			d, err := l.start(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(d.quit)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			t.Cleanup(cancel)
			x := &libraryJob{driver: d}
			do := func(t *testing.T, verb string, a args) answer {
				t.Helper()
				got, err := x.do(ctx, op{verb: verb, args: a})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			for _, from := range []string{"local", "remote"} {
				t.Run(from, func(t *testing.T) {
					do(t, "connect", args{"host": j.Host, "port": j.Port, "user": j.User, "known_hosts": j.KnownHosts, "key": j.Key})
					a := args{"listen": freePort(t), "to_port": mirror.Port}
					if from == "remote" {
						a["remote"] = 1
					}
					addr := fmt.Sprint("127.0.0.1:", do(t, "forward", a).text("n"))
					for _, n := range []int{len(data), 1000, 1000, 1000} {
						if err := mirrored(addr, data[:n]); err != nil {
							t.Error(err)
						}
					}
					do(t, "close", nil)
				})
			}
		})
	}
}

// TestForwardOpenSSHClient has OpenSSH's client forward through our server in all ways it knows.
func TestForwardOpenSSHClient(t *testing.T) {
	data := sample(forwardSize)
	dir, err := os.MkdirTemp(scratch, "fwd") //nolint:usetesting // TempDir's paths are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	echo := echoServer(t, "tcp", "127.0.0.1:0").String()
	sock := echoServer(t, "unix", filepath.Join(dir, "echo")).String()
	j := forwardingServer(t, ssh2.ForwardPolicy{
		PermitOpen: []string{echo}, PermitListen: []string{"localhost:*"}, PermitSockets: []string{sock}, Sockets: ssh2.SocketDir{Path: dir},
	})
	free := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	t.Run("-L", func(t *testing.T) {
		local := free()
		cmd, log := startSSH(t, j, "-N", "-L", local+":"+echo)
		runSSH(t, cmd, log)
		dialEcho(t, "tcp", local, data)
		for range 5 {
			dialEcho(t, "tcp", local, data[:1000])
		}
	})
	t.Run("-L unix", func(t *testing.T) {
		local := filepath.Join(dir, "local")
		cmd, log := startSSH(t, j, "-N", "-L", local+":"+sock)
		runSSH(t, cmd, log)
		dialEcho(t, "unix", local, data)
	})
	t.Run("-R", func(t *testing.T) {
		remote := freePort(t)
		cmd, log := startSSH(t, j, "-N", "-R", fmt.Sprintf("%d:%s", remote, echo))
		runSSH(t, cmd, log)
		dialEcho(t, "tcp", fmt.Sprintf("127.0.0.1:%d", remote), data)
	})
	t.Run("-R port 0", func(t *testing.T) {
		cmd, log := startSSH(t, j, "-N", "-R", "0:"+echo)
		runSSH(t, cmd, log)
		s := &server{cmd: cmd, log: log}
		port := s.waitLine(t, regexp.MustCompile(`Allocated port ([0-9]+) for remote forward`))[1]
		dialEcho(t, "tcp", "127.0.0.1:"+port, data)
	})
	t.Run("-R unix", func(t *testing.T) {
		remote := filepath.Join(dir, "remote")
		cmd, log := startSSH(t, j, "-N", "-R", remote+":"+echo)
		runSSH(t, cmd, log)
		dialEcho(t, "unix", remote, data)
	})
	t.Run("-R refused", func(t *testing.T) {
		cmd, log := startSSH(t, j, "-N", "-R", "80:"+echo)
		if err := cmd.Run(); err == nil || !strings.Contains(log.String(), "remote port forwarding failed") {
			t.Errorf("%v: %s", err, log.String())
		}
	})
	t.Run("-D", func(t *testing.T) {
		local := free()
		cmd, log := startSSH(t, j, "-N", "-D", local)
		runSSH(t, cmd, log)
		if err := socksEcho(local, echo, data); err != nil {
			t.Error(err)
		}
		if err := socksEcho(local, "127.0.0.1:1", data); !errors.Is(err, errSocks) {
			t.Errorf("where the policy does not let it: %v", err)
		}
	})
	t.Run("-W", func(t *testing.T) {
		cmd, log := startSSH(t, j, "-W", echo)
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &out
		if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%d octets came back, %v: %s", out.Len(), err, log.String())
		}
	})
	t.Run("-W refused", func(t *testing.T) {
		cmd, log := startSSH(t, j, "-W", "127.0.0.1:1")
		if err := cmd.Run(); err == nil || !strings.Contains(log.String(), "administratively prohibited: not permitted") {
			t.Errorf("%v: %s", err, log.String())
		}
	})
	t.Run("-J", func(t *testing.T) { // sshd's place is taken by another server of ours
		inner := forwardingServer(t, ssh2.ForwardPolicy{PermitOpen: []string{echo}})
		hop := forwardingServer(t, ssh2.ForwardPolicy{PermitOpen: []string{fmt.Sprintf("127.0.0.1:%d", inner.Port)}})
		both := filepath.Join(t.TempDir(), "known_hosts")
		var text []byte
		for _, j := range []job{inner, hop} {
			b, err := os.ReadFile(j.KnownHosts)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, b...)
		}
		if err := os.WriteFile(both, text, 0o600); err != nil {
			t.Fatal(err)
		}
		inner.KnownHosts = both
		hop.KnownHosts = both
		proxy := append([]string{"ssh"}, sshArgs(hop)...)
		proxy = append(proxy, "-W", "%h:%p", "-p", strconv.Itoa(hop.Port), hop.User+"@"+hop.Host)
		cmd, log := startSSH(t, inner, "-o", "ProxyCommand="+strings.Join(proxy, " "), "-W", echo)
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &out
		if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%d octets came back, %v: %s", out.Len(), err, log.String())
		}
	})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "echo" && e.Name() != "local" { // which ssh leaves when it is killed
			t.Errorf("our server left %s", e.Name())
		}
	}
}

var errSocks = errors.New("the proxy refuses")

// socksEcho is thereAndBack through a SOCKS5 proxy (RFC 1928).
func socksEcho(proxy, addr string, data []byte) error {
	at, err := ssh2.ParseHostPort(addr)
	if err != nil {
		return err
	}
	var nc net.Conn
	for end := time.Now().Add(20 * time.Second); ; {
		if nc, err = net.Dial("tcp", proxy); err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // another process is about to listen
	}
	hello := append([]byte{5, 1, 0, 5, 1, 0, 3, byte(len(at.Host))}, at.Host...)
	hello = append(hello, byte(at.Port>>8), byte(at.Port))
	if _, err := nc.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 2+10)
	if n, err := io.ReadFull(nc, answer); err != nil || answer[3] != 0 {
		nc.Close()
		return fmt.Errorf("%w: %x, %w", errSocks, answer[:n], err)
	}
	return thereAndBack(nc, data)
}

// TestOwnClientForwards has our client forward through foreign servers: TCP and Unix sockets, both ways.
func TestOwnClientForwards(t *testing.T) {
	for _, peer := range []struct {
		name  string
		start func(*testing.T) *server
	}{
		{"sshd", func(t *testing.T) *server {
			return launch(t, serverOptions{sshd: &sshd{settings: []string{"AllowTcpForwarding yes", "GatewayPorts clientspecified", "AllowStreamLocalForwarding yes"}}})
		}},
		{"asyncssh", func(t *testing.T) *server { return startAsyncSSHWith(t, "asyncssh_forward.py", "") }},
	} {
		t.Run(peer.name, func(t *testing.T) {
			s := peer.start(t)
			c := s.dialOurs(t, s.ourConfig(t))
			data := sample(forwardSize)
			dir, err := os.MkdirTemp(scratch, "fwd") //nolint:usetesting // TempDir's paths are too long for sockets
			if err != nil {
				t.Fatal(err)
			}
			echo := echoServer(t, "tcp", "127.0.0.1:0")
			sock := echoServer(t, "unix", filepath.Join(dir, "echo"))
			for _, target := range []net.Addr{echo, sock} {
				t.Run("dial "+target.Network(), func(t *testing.T) {
					nc, err := c.DialContext(t.Context(), target.Network(), target.String())
					if err != nil {
						t.Fatal(err)
					}
					if err := thereAndBack(nc, data); err != nil {
						t.Error(err)
					}
				})
			}
			t.Run("dial refused", func(t *testing.T) {
				_, err := c.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
				if e, ok := errors.AsType[*ssh2.OpenError](err); !ok || e.Reason != ssh2.OpenConnectFailed {
					t.Errorf("nobody listens: %v", err)
				}
				_, err = c.DialContext(t.Context(), "unix", filepath.Join(dir, "none"))
				if _, ok := errors.AsType[*ssh2.OpenError](err); !ok {
					t.Errorf("no such socket: %v", err)
				}
			})
			for _, host := range []string{"", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1"} {
				if strings.Contains(host, ":") && !haveIPv6() {
					continue
				}
				reach := "127.0.0.1"
				if strings.Contains(host, ":") {
					reach = "::1"
				}
				for _, port := range []int{0, freePort(t)} {
					t.Run(fmt.Sprintf("listen %q port %d", host, min(port, 1)), func(t *testing.T) {
						l, err := c.Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
						if err != nil {
							t.Fatal(err)
						}
						seen := make(chan net.Conn, 1)
						go echoOn(&watched{l, seen})
						at := net.JoinHostPort(reach, strconv.Itoa(l.(*ssh2.Listener).Port()))
						nc, err := net.Dial("tcp", at)
						if err != nil {
							t.Fatal(err)
						}
						from := nc.LocalAddr().String()
						if err := thereAndBack(nc, data); err != nil {
							t.Error(err)
						}
						if in := <-seen; in.RemoteAddr().String() != from {
							t.Errorf("the server says %v connected, not %s", in.RemoteAddr(), from)
						}
						if err := l.(*ssh2.Listener).Cancel(t.Context()); err != nil {
							t.Error(err)
						}
						if nc, err := net.Dial("tcp", at); err == nil {
							nc.Close()
							t.Error("the server still listens")
						}
					})
				}
			}
			t.Run("listen unix", func(t *testing.T) {
				path := filepath.Join(dir, "remote")
				l, err := c.Listen(t.Context(), "unix", path)
				if err != nil {
					t.Fatal(err)
				}
				go echoOn(l)
				dialEcho(t, "unix", path, data)
				if err := l.(*ssh2.Listener).Cancel(t.Context()); err != nil {
					t.Error(err)
				}
			})
			t.Run("jump", func(t *testing.T) { // to the same server again
				cfg := s.ourConfig(t)
				cfg.Dial = c.DialContext
				again := s.dialOurs(t, cfg)
				nc, err := again.DialContext(t.Context(), "tcp", echo.String())
				if err != nil {
					t.Fatal(err)
				}
				if err := thereAndBack(nc, data); err != nil {
					t.Error(err)
				}
			})
			t.Run("no more sessions", func(t *testing.T) {
				err := c.NoMoreSessions(t.Context())
				if _, refused := errors.AsType[*ssh2.RequestError](err); err != nil && (!refused || peer.name == "sshd") {
					t.Error(err)
				}
			})
		})
	}
}

// watched tells what it accepted.
type watched struct {
	net.Listener
	seen chan<- net.Conn
}

func (w *watched) Accept() (net.Conn, error) {
	nc, err := w.Listener.Accept()
	if err == nil {
		w.seen <- nc
	}
	return nc, err
}

// haveIPv6 tells whether this machine can listen on ::1.
func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}
