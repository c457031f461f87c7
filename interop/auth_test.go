package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
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
	"testing"
	"time"

	"crypto/dsa" //nolint:staticcheck // what OpenSSH still has, by name

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The tests in this file log in by the methods that the others do not use, and follow the host keys of servers.

const (
	clientHost = "client.example"
	clientUser = "bob"
)

// dsaSigner makes a DSA key; x/crypto/ssh wants it bare.
func dsaSigner(t *testing.T) gossh.Signer {
	t.Helper()
	var k dsa.PrivateKey
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&k, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return must(gossh.NewSignerFromKey(&k))
}

// signerOf makes a key of a kind in hostKeyKinds.
func signerOf(t *testing.T, kind string) gossh.Signer {
	t.Helper()
	i := slices.IndexFunc(hostKeyKinds, func(k hostKeyKind) bool { return k.name == kind })
	s, err := gossh.NewSignerFromSigner(must(hostKeyKinds[i].make()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostCertificate is s with a certificate of a host.
func hostCertificate(t *testing.T, s, ca gossh.Signer, host string) gossh.Signer {
	t.Helper()
	cert := &gossh.Certificate{
		Key: s.PublicKey(), CertType: gossh.HostCert, KeyId: "interop host", ValidPrincipals: []string{host}, ValidBefore: gossh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return must(gossh.NewCertSigner(cert, s))
}

// TestOwnClientSHA1Keys logs our client in to OpenSSH with the user keys that are broken: both ends must name them.
func TestOwnClientSHA1Keys(t *testing.T) {
	for algorithm, signer := range map[string]gossh.Signer{"ssh-rsa": signerOf(t, "rsa"), "ssh-dss": dsaSigner(t)} {
		t.Run(algorithm, func(t *testing.T) {
			s := launch(t, serverOptions{sshd: &sshd{
				ordinary: true, keys: string(gossh.MarshalAuthorizedKey(signer.PublicKey())),
				settings: []string{"PubkeyAcceptedAlgorithms " + algorithm},
			}})
			cfg := s.ourConfig(t)
			cfg.Auth = []ssh2.AuthMethod{ssh2.PublicKeys(signer)}
			// By default the key is not offered by that algorithm.
			if _, err := s.tryOurs(t, cfg); !isAuthError(err) {
				t.Errorf("not named: %v", err)
			}
			cfg.PublicKeyAlgorithms = ssh2.AlgList(algorithm)
			if got := s.dialOurs(t, cfg).Info().Methods; !slices.Equal(got, []string{"publickey"}) {
				t.Errorf("logged in by %q", got)
			}
		})
	}
}

func isAuthError(err error) bool { _, ok := errors.AsType[*ssh2.AuthError](err); return ok }

// TestOwnClientHostBased logs our client in to OpenSSH as a user of a host that it trusts, with every kind of key.
func TestOwnClientHostBased(t *testing.T) {
	ca := signerOf(t, "ed25519")
	type login struct {
		name string
		ssh2.AuthMethod
		algorithms ssh2.AlgList
		ok         bool
	}
	var logins []login
	var known strings.Builder
	for _, kind := range hostKeyKinds {
		s := signerOf(t, kind.name)
		fmt.Fprintf(&known, "%s %s", clientHost, gossh.MarshalAuthorizedKey(s.PublicKey()))
		logins = append(logins, login{name: kind.name, AuthMethod: ssh2.HostBased(s, clientHost, userName), ok: true},
			login{name: kind.name + " certificate", AuthMethod: ssh2.HostBased(hostCertificate(t, signerOf(t, kind.name), ca, clientHost), clientHost+".", userName), ok: true})
	}
	sha1 := signerOf(t, "rsa")
	old := dsaSigner(t)
	fmt.Fprintf(&known, "%s %s%s %s@cert-authority %s %s", clientHost, gossh.MarshalAuthorizedKey(sha1.PublicKey()),
		clientHost, gossh.MarshalAuthorizedKey(old.PublicKey()), clientHost, gossh.MarshalAuthorizedKey(ca.PublicKey()))
	good := signerOf(t, "ed25519")
	fmt.Fprintf(&known, "%s %s", clientHost, gossh.MarshalAuthorizedKey(good.PublicKey()))
	logins = append(
		logins,
		login{name: "ssh-rsa", AuthMethod: ssh2.HostBased(sha1, clientHost, userName), algorithms: "ssh-rsa", ok: true},
		login{name: "ssh-dss", AuthMethod: ssh2.HostBased(old, clientHost, userName), algorithms: "ssh-dss", ok: true},
		login{name: "unknown key", AuthMethod: ssh2.HostBased(signerOf(t, "ed25519"), clientHost, userName)},
		login{name: "other host", AuthMethod: ssh2.HostBased(good, "other.example", userName)},
		login{name: "other user", AuthMethod: ssh2.HostBased(good, clientHost, "mallory")},
	)
	etc, err := os.MkdirTemp(scratch, "etc-") //nolint:usetesting // where a mount namespace finds it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(etc) })
	write(t, filepath.Join(etc, "ssh_known_hosts"), known.String(), 0o644)
	write(t, filepath.Join(etc, "shosts.equiv"), clientHost+"\n", 0o644)
	if err := os.Chmod(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true, etc: etc, settings: []string{
		"HostbasedAuthentication yes", "HostbasedUsesNameFromPacketOnly yes", "IgnoreRhosts yes", "HostbasedAcceptedAlgorithms +ssh-rsa,ssh-dss",
	}}})
	for _, l := range logins {
		t.Run(l.name, func(t *testing.T) {
			cfg := s.ourConfig(t)
			cfg.Auth, cfg.PublicKeyAlgorithms = []ssh2.AuthMethod{l.AuthMethod}, l.algorithms
			client, err := s.tryOurs(t, cfg)
			if !l.ok {
				if !isAuthError(err) {
					t.Errorf("%v, want an AuthError", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := client.Info().Methods; !slices.Equal(got, []string{"hostbased"}) {
				t.Errorf("logged in by %q", got)
			}
			if out, err := session(t, client).Output(t.Context(), "echo in"); err != nil || string(out) != "in\n" {
				t.Errorf("command: %q, %v", out, err)
			}
		})
	}
	t.Run("then a password", func(t *testing.T) {
		s := launch(t, serverOptions{sshd: &sshd{ordinary: true, etc: etc, settings: []string{
			"HostbasedAuthentication yes", "HostbasedUsesNameFromPacketOnly yes", "IgnoreRhosts yes", "AuthenticationMethods hostbased,password publickey,password",
		}}})
		cfg := s.ourConfig(t)
		var states []ssh2.AuthState
		methods := []ssh2.AuthMethod{ssh2.None(), ssh2.HostBased(good, clientHost, userName), ssh2.Password(s.keys.password)}
		cfg.Auth, cfg.AuthNext = nil, func(_ context.Context, st *ssh2.AuthState) (ssh2.AuthMethod, error) {
			states = append(states, *st)
			return methods[len(states)-1], nil
		}
		if got := s.dialOurs(t, cfg).Info().Methods; !slices.Equal(got, []string{"hostbased", "password"}) {
			t.Errorf("logged in by %q", got)
		}
		if len(states) != 3 || !slices.Contains(states[1].Allowed, "hostbased") || !states[2].Partial || !slices.Contains(states[2].Allowed, "password") {
			t.Errorf("%+v", states)
		}
	})
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestOwnClientHostKeysUpdate has OpenSSH prove all of its host keys to our client, whose known_hosts then follow.
func TestOwnClientHostKeysUpdate(t *testing.T) {
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true}})
	file := filepath.Join(t.TempDir(), "known_hosts")
	for _, key := range []gossh.PublicKey{s.keys.hostKeys[4], signerOf(t, "ed25519").PublicKey()} { // RSA, and one that is gone
		if err := ssh2.AddKnownHost(file, s.addr(), key, true); err != nil {
			t.Fatal(err)
		}
	}
	known, err := ssh2.ReadKnownHosts(file)
	if err != nil {
		t.Fatal(err)
	}
	type change struct {
		added, removed []gossh.PublicKey
		err            error
	}
	done := make(chan change, 1)
	cfg := s.ourConfig(t)
	cfg.HostKey, cfg.HostKeyPolicy = nil, known
	// The other known key is of a kind that the server has too.
	cfg.HostKeyAlgorithms = "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
	cfg.OnHostKeys = func(_ context.Context, u *ssh2.HostKeyUpdate) {
		var c change
		c.added, c.removed, c.err = known.Update(u.Addr, u.Keys)
		done <- c
	}
	client := s.dialOurs(t, cfg)
	select {
	case c := <-done:
		if c.err != nil || len(c.added) != len(hostKeyKinds)-1 || len(c.removed) != 1 {
			t.Errorf("%d added, %d removed, %v", len(c.added), len(c.removed), c.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no host keys")
	}
	if got := client.Info().HostKeyAlgorithm; got != "rsa-sha2-512" {
		t.Errorf("host key algorithm %s", got)
	}
	for _, key := range s.keys.hostKeys {
		again, err := ssh2.ReadKnownHosts(file)
		if err == nil {
			err = again.CheckHostKey(t.Context(), &ssh2.HostKeyInfo{Addr: s.addr(), Key: key})
		}
		if err != nil {
			t.Errorf("%s: %v", key.Type(), err)
		}
	}
}

// serveOurs runs a server of ours in this process and returns its address.
func serveOurs(t *testing.T, s *ssh2.Server) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().(*net.TCPAddr)
}

// whoami answers every command with the user's name, once its input has ended.
func whoami(_ context.Context, s *ssh2.ServerSession) {
	_, _ = io.Copy(io.Discard, s)
	fmt.Fprint(s, "in as ", s.Conn().User())
	s.Exit(0)
}

// fileOf writes a private key where ssh would read it.
func fileOf(t *testing.T, kind string) (gossh.Signer, string) {
	t.Helper()
	i := slices.IndexFunc(hostKeyKinds, func(k hostKeyKind) bool { return k.name == kind })
	key := must(hostKeyKinds[i].make())
	file := filepath.Join(t.TempDir(), "key_"+kind)
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)), 0o600)
	s := must(gossh.NewSignerFromSigner(key))
	write(t, file+".pub", string(gossh.MarshalAuthorizedKey(s.PublicKey())), 0o644)
	return s, file
}

// TestOpenSSHHostBased logs OpenSSH's ssh in to our server by the key of its host, for which ssh-keysign signs. It runs
// in a mount namespace in which that key is the machine's.
func TestOpenSSHHostBased(t *testing.T) {
	if _, err := opensshVersion(); err != nil {
		missingPeer(t, "OpenSSH ssh", err)
	}
	if _, err := sshdHere(); err != nil { // the same needs
		missingPeer(t, "OpenSSH ssh as another host", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"ed25519", "ecdsa256", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			etc, err := os.MkdirTemp(scratch, "etc-") //nolint:usetesting // where a mount namespace finds it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(etc) })
			signer, file := fileOf(t, kind)
			name := map[string]string{"ed25519": "ed25519", "ecdsa256": "ecdsa", "rsa": "rsa"}[kind]
			for _, ext := range []string{"", ".pub"} {
				data, err := os.ReadFile(file + ext)
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(etc, "ssh_host_"+name+"_key"+ext), string(data), 0o600)
			}
			write(t, filepath.Join(etc, "ssh_config"), "EnableSSHKeysign yes\nHostbasedAuthentication yes\n", 0o644)

			claims := make(chan ssh2.HostBasedClaim, 8)
			serverKey := signerOf(t, "ed25519")
			addr := serveOurs(t, &ssh2.Server{HostKeys: []gossh.Signer{serverKey}, Session: whoami, Auth: ssh2.ServerAuth{
				HostBased: func(_ context.Context, _ *ssh2.AuthAttempt, c *ssh2.HostBasedClaim) ssh2.Verdict {
					claims <- *c
					return ssh2.Verdict{OK: bytes.Equal(c.Key.Marshal(), signer.PublicKey().Marshal())}
				},
			}})
			known := filepath.Join(t.TempDir(), "known_hosts")
			if err := ssh2.AddKnownHost(known, addr.String(), serverKey.PublicKey(), false); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := command{name: "unshare", args: []string{
				"--mount", "sh", "-c", `mount --bind "$0" /etc/ssh && exec ssh -v -F none "$@"`, etc,
				"-o", "HostbasedAuthentication=yes", "-o", "EnableSSHKeysign=yes", "-o", "PreferredAuthentications=hostbased",
				"-o", "UserKnownHostsFile=" + known, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes",
				"-p", strconv.Itoa(addr.Port), "alice@127.0.0.1", "whoami",
			}}.run(ctx)
			if err != nil || out.stdout != "in as alice" {
				t.Fatalf("%q, %v", out.stdout, err)
			}
			c := <-claims
			if c.User != "root" || c.Host != "localhost" && c.Host != hostname && !strings.HasPrefix(c.Host, hostname+".") {
				t.Errorf("claim is %s@%s", c.User, c.Host)
			}
		})
	}
}

// TestOpenSSHUpdatesHostKeys has OpenSSH's ssh take over all keys of our server, and forget one that it has no more.
func TestOpenSSHUpdatesHostKeys(t *testing.T) {
	if _, err := opensshVersion(); err != nil {
		missingPeer(t, "OpenSSH ssh", err)
	}
	var keys []gossh.Signer
	for _, kind := range hostKeyKinds {
		keys = append(keys, signerOf(t, kind.name))
	}
	user, userFile := fileOf(t, "ed25519")
	addr := serveOurs(t, &ssh2.Server{HostKeys: keys, Session: whoami, Auth: ssh2.ServerAuth{
		PublicKey: func(_ context.Context, _ *ssh2.AuthAttempt, k gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: bytes.Equal(k.Marshal(), user.PublicKey().Marshal())}
		},
	}})
	known := filepath.Join(t.TempDir(), "known_hosts")
	gone := signerOf(t, "rsa")
	for _, key := range []gossh.Signer{keys[0], gone} {
		if err := ssh2.AddKnownHost(known, addr.String(), key.PublicKey(), false); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", "-v", "-F", "none", "-o", "UpdateHostKeys=yes", "-o", "UserKnownHostsFile="+known,
		"-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile="+userFile,
		"-o", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
		"-p", strconv.Itoa(addr.Port), "alice@127.0.0.1", "whoami")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr lockedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := func() error {
		k, err := ssh2.ReadKnownHosts(known)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := k.CheckHostKey(ctx, &ssh2.HostKeyInfo{Addr: addr.String(), Key: key.PublicKey()}); err != nil {
				return err
			}
		}
		if k.CheckHostKey(ctx, &ssh2.HostKeyInfo{Addr: addr.String(), Key: gone.PublicKey()}) == nil {
			return errors.New("the old key is still known")
		}
		return nil
	}
	for ctx.Err() == nil && all() != nil {
		<-time.After(20 * time.Millisecond) // polling another process: there is nothing to wait on
	}
	if err := all(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil || stdout.String() != "in as alice" {
		t.Errorf("%q, %v\n%s", stdout.String(), err, stderr.String())
	}
}

// TestOwnClientAsyncSSHAuth logs our client in to AsyncSSH by a host's key, a password that must be changed, twice, and
// questions in two rounds.
func TestOwnClientAsyncSSHAuth(t *testing.T) {
	if _, err := asyncssh.find(); err != nil {
		missingPeer(t, asyncssh.name, err)
	}
	host := signerOf(t, "rsa")
	file := filepath.Join(t.TempDir(), "known_clients")
	write(t, file, clientHost+" "+string(gossh.MarshalAuthorizedKey(host.PublicKey())), 0o600)
	s := &server{kind: "asyncssh", keys: keysOf(t), host: "127.0.0.1", log: new(lockedBuffer)}
	s.start(t, exec.Command(python(), filepath.Join("testdata", "asyncssh_auth.py"), "server", s.keys.hostKeyFiles[0], file))
	t.Cleanup(func() { s.stop(t) })
	var err error
	if s.port, err = strconv.Atoi(s.waitLine(t, listeningLine)[2]); err != nil {
		t.Fatal(err)
	}
	var prompts []ssh2.PasswordPrompt
	var challenges []ssh2.Challenge
	for _, tt := range []struct {
		name, user string
		method     ssh2.AuthMethod
		ok         bool
	}{
		{"hostbased", "alice", ssh2.HostBased(host, clientHost+".", clientUser), true},
		{"hostbased, other user", "alice", ssh2.HostBased(host, clientHost, "eve"), false},
		{"hostbased, other key", "alice", ssh2.HostBased(signerOf(t, "rsa"), clientHost, clientUser), false},
		{"change", "changing", ssh2.PasswordFunc(func(_ context.Context, p *ssh2.PasswordPrompt) (string, error) {
			prompts = append(prompts, *p)
			return []string{"old", "old", "new"}[len(prompts)-1], nil
		}), true},
		{"changed", "changing", ssh2.Password("new"), true},
		{"old", "changing", ssh2.Password("old"), false},
		{"questions", "alice", ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
			challenges = append(challenges, *c)
			return [][]string{{"me", "42"}, {"43"}}[len(challenges)-1], nil
		}), true},
		{"wrong answer", "alice", ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
			return slices.Repeat([]string{"42"}, len(c.Prompts)), nil
		}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &ssh2.ClientConfig{User: tt.user, Auth: []ssh2.AuthMethod{tt.method}, HostKeyPolicy: ssh2.FixedHostKey(s.keys.hostKeys[0])}
			client, err := s.tryOurs(t, cfg)
			if !tt.ok {
				if !isAuthError(err) {
					t.Errorf("%v, want an AuthError", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out, err := session(t, client).Output(t.Context(), "whoami"); err != nil || string(out) != "in as "+tt.user {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	if len(prompts) != 3 || prompts[0].Change || !prompts[1].Change || prompts[1].Text != "Choose a new one:" || prompts[2].Text != "Not that one:" || prompts[2].Language != "en-US" {
		t.Errorf("%+v", prompts)
	}
	if len(challenges) != 2 || challenges[0].Name != "first" || challenges[0].Instruction != "Two questions." || !challenges[0].Prompts[0].Echo || challenges[0].Prompts[1].Echo || challenges[1].Name != "second" {
		t.Errorf("%+v", challenges)
	}
}

// TestAsyncSSHAuth logs AsyncSSH in to our server by the same ways, and has it take over our host keys.
func TestAsyncSSHAuth(t *testing.T) {
	if _, err := asyncssh.find(); err != nil {
		missingPeer(t, asyncssh.name, err)
	}
	host, hostFile := fileOf(t, "ecdsa384")
	known, err := ssh2.ParseKnownHosts([]byte(clientHost + " " + string(gossh.MarshalAuthorizedKey(host.PublicKey()))))
	if err != nil {
		t.Fatal(err)
	}
	password := "old"
	submethods := make(chan string, 1)
	keys := []gossh.Signer{signerOf(t, "ed25519"), signerOf(t, "rsa"), signerOf(t, "ecdsa256")}
	addr := serveOurs(t, &ssh2.Server{HostKeys: keys, Session: whoami, Auth: ssh2.ServerAuth{
		HostBased: func(_ context.Context, a *ssh2.AuthAttempt, c *ssh2.HostBasedClaim) ssh2.Verdict {
			err := known.CheckHost(c.Host, c.Key)
			return ssh2.Verdict{OK: err == nil && a.User == "alice" && c.User == clientUser, Reason: err}
		},
		Password: func(_ context.Context, _ *ssh2.AuthAttempt, pw string) ssh2.Verdict {
			if pw == "old" && password == "old" {
				return ssh2.Verdict{Change: &ssh2.ChangeRequest{Prompt: "Choose a new one:", Language: "en"}}
			}
			return ssh2.Verdict{OK: ssh2.CheckPassword(password, pw)}
		},
		PasswordChange: func(_ context.Context, _ *ssh2.AuthAttempt, old, new string) ssh2.Verdict {
			if !ssh2.CheckPassword(password, old) {
				return ssh2.Verdict{}
			}
			password = new
			return ssh2.Verdict{OK: true}
		},
		Interactive: func(ctx context.Context, a *ssh2.AuthAttempt, ask ssh2.Asker) ssh2.Verdict {
			submethods <- a.Submethods
			first, err := ask(ctx, &ssh2.Challenge{Name: "first", Prompts: []ssh2.Prompt{{Text: "Name: ", Echo: true}, {Text: "Code: "}}})
			if err != nil || !slices.Equal(first, []string{"me", "42"}) {
				return ssh2.Verdict{Reason: err}
			}
			second, err := ask(ctx, &ssh2.Challenge{Prompts: []ssh2.Prompt{{Text: "Again: "}}})
			return ssh2.Verdict{OK: err == nil && slices.Equal(second, []string{"43"}), Reason: err}
		},
	}})
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := ssh2.AddKnownHost(file, addr.String(), keys[0].PublicKey(), false); err != nil {
		t.Fatal(err)
	}
	type result struct {
		Output   string
		Hostkeys []string
	}
	run := func(t *testing.T, job map[string]any) (result, error) {
		t.Helper()
		job["host"], job["port"], job["known_hosts"] = "127.0.0.1", addr.Port, file
		if job["user"] == nil {
			job["user"] = "alice"
		}
		in, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		out, err := command{name: python(), args: []string{filepath.Join("testdata", "asyncssh_auth.py"), "client"}, stdin: in}.run(ctx)
		var r result
		if err == nil {
			err = json.Unmarshal([]byte(out.stdout), &r)
		}
		return r, err
	}
	for _, tt := range []struct {
		name string
		job  map[string]any
		ok   bool
	}{
		{"hostbased", map[string]any{"method": "hostbased", "host_key": hostFile}, true},
		{"hostbased, other user", map[string]any{"method": "hostbased", "host_key": hostFile, "user": "root"}, false},
		{"change", map[string]any{"method": "password", "password": "old", "new_password": "new"}, true},
		{"changed", map[string]any{"method": "password", "password": "new"}, true},
		{"old", map[string]any{"method": "password", "password": "old"}, false},
		{"questions", map[string]any{"method": "keyboard-interactive", "answers": map[string]string{"Name: ": "me", "Code: ": "42", "Again: ": "43"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := run(t, tt.job)
			if (err == nil) != tt.ok || tt.ok && r.Output != "in as alice" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	if got := <-submethods; got != "otp" {
		t.Errorf("submethods %q", got)
	}
	t.Run("host keys", func(t *testing.T) {
		r, err := run(t, map[string]any{"method": "password", "password": "new", "hostkeys": true})
		var want []string
		for _, k := range keys {
			want = append(want, gossh.FingerprintSHA256(k.PublicKey()))
		}
		slices.Sort(want)
		if err != nil || !slices.Equal(r.Hostkeys, want) {
			t.Errorf("%v, %v\nwant %v", r.Hostkeys, err, want)
		}
	})
}
