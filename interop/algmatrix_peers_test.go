package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/dsa" //nolint:staticcheck // ssh-dss is one of the rows
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// matrixPeers are the columns of the algorithm matrix.
var matrixPeers = []*matrixPeer{
	{name: "OpenSSH client", find: findProgram("ssh", "OpenSSH", "-V"), client: opensshMatrixClient},
	{name: "OpenSSH server", find: func() (string, error) { return sshdHere() }, server: opensshMatrixServer},
	{name: "AsyncSSH client", find: findPython("asyncssh"), client: scriptClient(asyncsshMatrix)},
	{name: "AsyncSSH server", find: findPython("asyncssh"), server: scriptServer(asyncsshMatrix), broken: map[string]string{
		"ssh-rsa-cert-v01@openssh.com": "the peer signs with rsa-sha2-256 although SHA-1 is what this name stands for",
	}},
	{name: "Dropbear client", find: findProgram("dbclient", "Dropbear", "-V"), client: dropbearMatrixClient},
	{name: "Dropbear server", find: dropbearHere, server: dropbearMatrixServer},
	{name: "PuTTY plink", find: findProgram("plink", "Release", "-V"), client: plinkMatrixClient},
	{name: "node ssh2 client", find: findNode, client: scriptClient(nodeMatrix)},
	{name: "node ssh2 server", find: findNode, server: scriptServer(nodeMatrix), broken: map[string]string{
		"diffie-hellman-group-exchange-sha256": nodeGEX, "diffie-hellman-group-exchange-sha1": nodeGEX,
	}},
	{name: "x/crypto client", find: goClient.find, client: goMatrixClient},
	{name: "x/crypto server", find: goClient.find, server: goMatrixServer},
	{name: "MINA client", find: findMina, client: scriptClient(minaMatrix)},
	{name: "MINA server", find: findMina, server: scriptServer(minaMatrix)},
	rubyNet.matrixPeer(), phpseclib.matrixPeer(), perlSSH2.matrixPeer(), jsch.matrixPeer(), sshj.matrixPeer(),
	{name: "Erlang client", find: findErlang, client: scriptClient(erlangMatrix)},
	{name: "Erlang server", find: findErlang, server: scriptServer(erlangMatrix)},
	{name: "Conch client", find: findConch, client: scriptClient(conchMatrix)},
	{name: "Conch server", find: findConch, server: scriptServer(conchMatrix)},
	{name: "libssh client", find: findPython("ssh"), client: scriptClient(libsshMatrix("libssh"))},
	{name: "libssh2 client", find: findPython("ssh2"), client: scriptClient(libsshMatrix("libssh2")), broken: libssh2Broken},
}

// nodeGEX: its server offers group exchange, and its part of it was never written.
const nodeGEX = "the peer offers it as a server and disconnects at the request for a group"

// ourselves is the first column: what no peer has is at least used with both ends ours.
var ourselves = &matrixPeer{
	name: "Fairlead itself",
	find: func() (string, error) { return ssh2.Version, nil },
	server: func(t *testing.T) []string {
		return []string{fmt.Sprint("127.0.0.1:", matrixServer(t, everything()))}
	},
}

// matrixHostKeyFiles has private key files of every type, with certificates beside them.
var matrixHostKeyFiles = sync.OnceValues(func() ([]string, error) {
	keys, err := sharedKeys()
	if err != nil {
		return nil, err
	}
	file, err := writeDSA(filepath.Join(keys.dir, "host_dsa"))
	return append(append([]string(nil), keys.hostKeyFiles...), file), err
})

// writeDSA makes a DSA key of the one size that ssh-dss allows and writes it as OpenSSL did.
func writeDSA(file string) (string, error) {
	var k dsa.PrivateKey
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		return "", err
	}
	if err := dsa.GenerateKey(&k, rand.Reader); err != nil {
		return "", err
	}
	der, err := asn1.Marshal(struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}{0, k.P, k.Q, k.G, k.Y, k.X})
	if err != nil {
		return "", err
	}
	return file, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: der}), 0o600)
}

// roundTrip runs a client program that has a command send back what it gets, and compares.
func roundTrip(ctx context.Context, c command) error {
	c.stdin = matrixData()
	out, err := c.run(ctx)
	if err == nil && out.stdout != string(c.stdin) {
		err = fmt.Errorf("%s: %d octets came back, not as they went: %s", c.name, len(out.stdout), tail(out.stderr))
	}
	return err
}

// opensshEverything returns all names that OpenSSH has, as settings.
func opensshEverything() (settings []string, err error) {
	for _, o := range []struct{ setting, query string }{
		{"KexAlgorithms", "kex"}, {"HostKeyAlgorithms", "HostKeyAlgorithms"}, {"Ciphers", "cipher"}, {"MACs", "mac"},
	} {
		out, err := exec.Command("ssh", "-Q", o.query).Output()
		if err != nil {
			return nil, err
		}
		settings = append(settings, o.setting+" "+strings.Join(strings.Fields(string(out)), ","))
	}
	return append(settings, "RequiredRSASize 1024"), nil
}

func opensshMatrixClient(t *testing.T) func(context.Context, int) error {
	settings, err := opensshEverything()
	if err != nil {
		t.Fatal(err)
	}
	// The certificates' authority is known; bare keys are taken as they come.
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := append([]byte("@cert-authority * "), gossh.MarshalAuthorizedKey(keysOf(t).hostCA)...)
	if err := os.WriteFile(known, line, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-F", "none", "-l", userName, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + known,
		"-o", "GlobalKnownHostsFile=/dev/null", "-o", "UpdateHostKeys=no",
	}
	for _, s := range settings {
		args = append(args, "-o", strings.Replace(s, " ", "=", 1))
	}
	return func(ctx context.Context, port int) error {
		// Bare keys that were noted for the port of an earlier row must not meet those of this one.
		if err := os.WriteFile(known, line, 0o644); err != nil {
			return err
		}
		return roundTrip(ctx, command{name: "ssh", args: append(append([]string(nil), args...), "-p", strconv.Itoa(port), "127.0.0.1", "echo")})
	}
}

func opensshMatrixServer(t *testing.T) []string {
	settings, err := opensshEverything()
	if err != nil {
		t.Fatal(err)
	}
	files, err := matrixHostKeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	settings = append(settings, "HostKey "+files[len(files)-1]) // the others are there anyway
	return []string{launch(t, serverOptions{sshd: &sshd{settings: settings}}).addr()}
}

func dropbearMatrixClient(t *testing.T) func(context.Context, int) error {
	home := "HOME=" + t.TempDir() // it insists on a known_hosts of its own
	return func(ctx context.Context, port int) error {
		return roundTrip(ctx, command{
			name: "dbclient", args: []string{"-y", "-y", "-p", strconv.Itoa(port), "-l", userName, "127.0.0.1", "echo"}, env: []string{home},
		})
	}
}

// dropbearHere returns the server's version, or why it cannot be run here.
func dropbearHere() (string, error) {
	if _, err := findDropbear(); err != nil {
		return "", err
	}
	if _, err := sshdHere(); err != nil && !errors.Is(err, errMissing) {
		return "", err // the same needs
	}
	if _, err := exec.LookPath("dropbearconvert"); err != nil {
		return "", errMissing
	}
	return findProgram("dbclient", "Dropbear", "-V")()
}

func findDropbear() (string, error) {
	for _, name := range []string{"dropbear", "/usr/sbin/dropbear"} {
		if file, err := exec.LookPath(name); err == nil {
			return file, nil
		}
	}
	return "", errMissing
}

// dropbearMatrixServer runs Dropbear in mount namespaces of its own, where its user exists: once for each ECDSA key, as
// it takes one of them.
func dropbearMatrixServer(t *testing.T) []string {
	program, err := findDropbear()
	if err != nil {
		missingPeer(t, "Dropbear server", err)
	}
	files, err := matrixHostKeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	var common, ecdsa, addrs []string
	for _, file := range files {
		key := filepath.Join(t.TempDir(), filepath.Base(file))
		if out, err := exec.Command("dropbearconvert", "openssh", "dropbear", file, key).CombinedOutput(); err != nil {
			t.Fatalf("dropbearconvert %s: %v: %s", filepath.Base(file), err, out)
		}
		if strings.Contains(filepath.Base(file), "ecdsa") {
			ecdsa = append(ecdsa, key)
		} else {
			common = append(common, "-r", key)
		}
	}
	for _, key := range ecdsa {
		addrs = append(addrs, startDropbear(t, program, append([]string{"-r", key}, common...)))
	}
	return addrs
}

func startDropbear(t *testing.T, program string, hostKeys []string) (addr string) {
	t.Helper()
	dir := t.TempDir()
	s := &server{kind: "dropbear", keys: keysOf(t), host: "127.0.0.1", port: freePort(t), log: new(lockedBuffer)}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	passwdFile := filepath.Join(dir, "passwd")
	if err := os.WriteFile(passwdFile, fmt.Appendf(passwd, "%s:x:0:0::/mnt:/bin/sh\n", userName), 0o644); err != nil {
		t.Fatal(err)
	}
	const script = `set -e
mount --bind "$1" /etc/passwd
mount -t tmpfs -o mode=700 tmpfs /mnt
mkdir -m 700 /mnt/.ssh
cp "$2" /mnt/.ssh/authorized_keys
chmod 600 /mnt/.ssh/authorized_keys
shift 2
exec "$@"`
	args := append([]string{"--mount", "sh", "-c", script, "sh", passwdFile, s.keys.authorizedKeys, program, "-F", "-E", "-P", filepath.Join(dir, "pid"), "-p", s.addr()}, hostKeys...)
	s.start(t, exec.Command("unshare", args...))
	t.Cleanup(func() { s.stop(t) })
	s.waitIdent(t)
	return s.addr()
}

// plinkMatrixClient runs plink with a session file that has everything above the warning line, below which it gives
// up in a batch, and with the certificates' authority.
func plinkMatrixClient(t *testing.T) func(context.Context, int) error {
	dir := t.TempDir()
	keys := keysOf(t)
	for name, text := range map[string]string{
		"sessions/matrix": "Protocol=ssh\nCompression=1\n" +
			"Cipher=aesgcm,aes,chacha20,3des,blowfish,des,arcfour,WARN\n" +
			"KEX=ntru-curve25519,ecdh,dh-group18-sha512,dh-group17-sha512,dh-group16-sha512,dh-group15-sha512,dh-gex-sha1,dh-group14-sha1,dh-group1-sha1,rsa,WARN\n" +
			"HostKey=ed25519,ed448,ecdsa,rsa,dsa,WARN\n",
		"sshhostcas/interop": "PublicKey=" + base64.StdEncoding.EncodeToString(keys.hostCA.Marshal()) + "\nValidity=*\n",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-batch", "-noagent", "-load", "matrix", "-l", userName}
	signers, err := matrixHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		args = append(args, "-hostkey", gossh.FingerprintSHA256(s.PublicKey()))
	}
	return func(ctx context.Context, port int) error {
		return roundTrip(ctx, command{
			name: "plink", args: append(append([]string(nil), args...), "-P", strconv.Itoa(port), "127.0.0.1", "echo"), env: []string{"PUTTYDIR=" + dir},
		})
	}
}

// The peers below are libraries: one program each plays both roles. As a client it takes ports from its standard
// input, one per line, and answers each with a line; as a server it prints its address.

func asyncsshMatrix(args ...string) *exec.Cmd {
	return exec.Command(python(), append([]string{filepath.Join("testdata", "asyncssh_matrix.py")}, args...)...)
}

func nodeMatrix(args ...string) *exec.Cmd {
	cmd := exec.Command("node", append([]string{filepath.Join("testdata", "ssh2_matrix.js")}, args...)...)
	cmd.Env = append(os.Environ(), nodeEnv()...)
	return cmd
}

func minaMatrix(args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-cp", filepath.Join(minaJars(), "*"), filepath.Join("testdata", "mina", "MinaPeer.java")}, args...)...)
}

// minaJars is the directory that testdata/mina/pom.xml was resolved into.
func minaJars() string { return os.Getenv("FAIRLEAD_PEERS_MINA") }

func findMina() (string, error) {
	if minaJars() == "" {
		return "", fmt.Errorf("%w: FAIRLEAD_PEERS_MINA does not name the directory of its jars", errMissing)
	}
	jars, err := filepath.Glob(filepath.Join(minaJars(), "sshd-core-*.jar"))
	if err != nil || len(jars) != 1 {
		return "", fmt.Errorf("%w: no sshd-core there", errMissing)
	}
	if _, err := exec.LookPath("javac"); err != nil {
		return "", fmt.Errorf("%w: no Java compiler", errMissing)
	}
	return "Apache MINA " + strings.TrimSuffix(filepath.Base(jars[0]), ".jar"), nil
}

func scriptServer(program func(...string) *exec.Cmd) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		files, err := matrixHostKeyFiles()
		if err != nil {
			t.Fatal(err)
		}
		s := &server{kind: "script", keys: keysOf(t), host: "127.0.0.1", log: new(lockedBuffer)}
		s.start(t, program(append([]string{"server"}, files...)...))
		t.Cleanup(func() { s.stop(t) })
		if s.port, err = strconv.Atoi(s.waitLine(t, matrixListening)[1]); err != nil {
			t.Fatal(err)
		}
		return []string{s.addr()}
	}
}

var matrixListening = regexp.MustCompile(`(?m)^listening on 127\.0\.0\.1:([0-9]+)$`)

func scriptClient(program func(...string) *exec.Cmd) func(t *testing.T) func(context.Context, int) error {
	return func(t *testing.T) func(context.Context, int) error {
		cmd := program("client")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait() // killed
		})
		lines := bufio.NewReader(out)
		return func(ctx context.Context, port int) error {
			defer context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })()
			if _, err := fmt.Fprintln(in, port); err != nil {
				return fmt.Errorf("%w: %s", err, tail(stderr.String()))
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				return fmt.Errorf("%w: %s", err, tail(stderr.String()))
			}
			if line = strings.TrimSpace(line); line != "ok" {
				return errors.New(line)
			}
			return nil
		}
	}
}

// goEverything is x/crypto's configuration with everything on.
func goEverything() (cfg gossh.Config, hostKeys []string) {
	for _, set := range []gossh.Algorithms{gossh.SupportedAlgorithms(), gossh.InsecureAlgorithms()} {
		cfg.KeyExchanges = append(cfg.KeyExchanges, set.KeyExchanges...)
		cfg.Ciphers = append(cfg.Ciphers, set.Ciphers...)
		cfg.MACs = append(cfg.MACs, set.MACs...)
		hostKeys = append(hostKeys, set.HostKeys...)
	}
	return cfg, hostKeys
}

func goMatrixClient(*testing.T) func(context.Context, int) error {
	return func(ctx context.Context, port int) error {
		common, hostKeys := goEverything()
		cfg := &gossh.ClientConfig{Config: common, User: userName, HostKeyCallback: gossh.InsecureIgnoreHostKey(), HostKeyAlgorithms: hostKeys}
		addr := fmt.Sprint("127.0.0.1:", port)
		tcp, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer tcp.Close()
		defer context.AfterFunc(ctx, func() { tcp.Close() })()
		conn, channels, requests, err := gossh.NewClientConn(tcp, addr, cfg)
		if err != nil {
			return err
		}
		client := gossh.NewClient(conn, channels, requests)
		defer client.Close()
		x, err := client.NewSession()
		if err != nil {
			return err
		}
		data := matrixData()
		x.Stdin = bytes.NewReader(data)
		out, err := x.Output("echo")
		if err == nil && !bytes.Equal(out, data) {
			err = fmt.Errorf("%d octets came back, not as they went", len(out))
		}
		return err
	}
}

func goMatrixServer(t *testing.T) []string {
	common, _ := goEverything()
	cfg := &gossh.ServerConfig{Config: common, NoClientAuth: true}
	signers, err := matrixHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		cfg.AddHostKey(s)
	}
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
			go goEcho(nc, cfg)
		}
	}()
	return []string{l.Addr().String()}
}

// goEcho serves one connection with x/crypto: every session gets back its input.
func goEcho(nc net.Conn, cfg *gossh.ServerConfig) {
	defer nc.Close()
	conn, channels, requests, err := gossh.NewServerConn(nc, cfg)
	if err != nil {
		return
	}
	defer conn.Close()
	go gossh.DiscardRequests(requests)
	for n := range channels {
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
			}
		}()
		go func() {
			_, _ = io.Copy(ch, ch)
			_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
			ch.Close()
		}()
	}
}
