package main

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// sshDir is ~/.ssh of the test.
func sshDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(home(t), ".ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	return dir
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestPasswordLogin(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, nil)
	h.know(t, h.key.PublicKey())
	h.write(t, "/file", "x")
	who := as(secret)
	r := command(t, who, h.on("ls", "127.0.0.1:")...)
	if r.status != statusOK || r.stdout != "file\n" || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	if who.hidden != 1 || strings.Contains(who.String(), secret) {
		t.Errorf("CVE 9.6: terminal shows %q", who)
	}

	who = &person{answers: [][2]string{{"password: ", "wrong"}, {"password: ", "again"}, {"password: ", "no"}}}
	r = command(t, who, h.on("ls", "127.0.0.1:")...)
	if r.status != statusConnect || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "login as me failed") || strings.Contains(r.stderr, "wrong") {
		t.Errorf("%+v", r)
	}
	if got := strings.Count(who.String(), "password: Permission denied, please try again.\nme@127.0.0.1's"); got != 2 {
		t.Errorf("said %d times that the password was wrong: %q", got, who)
	}
}

// TestCVE_9_6_NoSecretInTheLog: with -v no password is in what is told.
func TestCVE_9_6_NoSecretInTheLog(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, nil)
	h.know(t, h.key.PublicKey())
	r := command(t, as(secret), h.on("ls", "-v", "127.0.0.1:")...)
	if r.status != statusOK || r.stderr == "" || strings.Contains(r.stderr, secret) {
		t.Errorf("%+v", r)
	}
}

// TestNobodyToAsk: without a terminal, and with -B, nothing is asked and it is said why.
func TestNobodyToAsk(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, nil)
	h.know(t, h.key.PublicKey())
	if r := command(t, nil, h.on("ls", "127.0.0.1:")...); r.status != statusConnect || !strings.Contains(r.stderr, "nobody could be asked") {
		t.Errorf("%+v", r)
	}
	who := as(secret)
	if r := command(t, who, h.on("ls", "-B", "127.0.0.1:")...); r.status != statusConnect || who.String() != "" {
		t.Errorf("%+v, terminal %q", r, who)
	}
}

// interactiveHost asks two questions, dressed up with escape sequences.
func interactiveHost(t *testing.T) *host {
	t.Helper()
	return newHost(t, nil, func(h *host, s *ssh2.Server, _ *sftp.Server) {
		s.Auth = ssh2.ServerAuth{
			Interactive: func(ctx context.Context, _ *ssh2.AuthAttempt, ask ssh2.Asker) ssh2.Verdict {
				a, err := ask(ctx, &ssh2.Challenge{
					Name: "Two\x1b[2J factors", Instruction: "first\r\nsecond\u202e",
					Prompts: []ssh2.Prompt{{Text: "Secret\x1b]0;x\x07: "}, {Text: "Code: ", Echo: true}},
				})
				return ssh2.Verdict{OK: h.login("interactive", err == nil && a[0] == secret && a[1] == "123")}
			},
		}
	})
}

// TestCVE_9_7_PromptsArePlain: what a server asks cannot control the terminal, and looks
// different from what this program asks.
func TestCVE_9_7_PromptsArePlain(t *testing.T) {
	sshDir(t)
	h := interactiveHost(t)
	h.know(t, h.key.PublicKey())
	who := &person{answers: [][2]string{{`(me@127.0.0.1) Secret\x1b]0;x\x07: `, secret}, {"(me@127.0.0.1) Code: ", "123"}}}
	if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
	if who.hidden != 1 || strings.Contains(who.String(), secret) || strings.ContainsAny(who.String(), "\x1b\u202e\r\x07") {
		t.Errorf("terminal shows %q", who)
	}
}

// TestCVE_9_7_BannerIsPlain: nor can a banner, or the line of an error.
func TestCVE_9_7_BannerIsPlain(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, func(_ *host, s *ssh2.Server, _ *sftp.Server) {
		s.Auth.Banner = func(context.Context, ssh2.ConnMeta) string { return "Hello\x1b[31m\u009b2J\nthere\t\x07" }
	})
	h.know(t, h.key.PublicKey())
	r := command(t, as(secret), h.on("ls", "127.0.0.1:")...)
	if r.status != statusOK || r.stderr != "Hello\\x1b[31m\\u009b2J\nthere\t\\x07\n" {
		t.Errorf("%+v", r)
	}
	if r := command(t, as(secret), h.on("ls", "-q", "127.0.0.1:")...); r.status != statusOK || r.stderr != "" {
		t.Errorf("with -q: %+v", r)
	}
	who := as("\x1b[2J")
	who.answers = append(who.answers, [2]string{"password: ", "x"}, [2]string{"password: ", "x"})
	if r := command(t, who, h.on("ls", "127.0.0.1:\x1b[2J")...); strings.ContainsAny(r.stderr, "\x1b") {
		t.Errorf("%+v", r)
	}
}

// keyHost lets one key in.
func keyHost(t *testing.T, key gossh.PublicKey) *host {
	t.Helper()
	return newHost(t, nil, func(h *host, s *ssh2.Server, _ *sftp.Server) {
		s.Auth = ssh2.ServerAuth{PublicKey: func(_ context.Context, a *ssh2.AuthAttempt, k gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: h.login("publickey", string(k.Marshal()) == string(key.Marshal()))}
		}}
	})
}

func TestKeyFileLogin(t *testing.T) {
	dir := sshDir(t)
	signer, key := newKey(t)
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	h := keyHost(t, signer.PublicKey())
	h.know(t, h.key.PublicKey())
	file := filepath.Join(dir, "id_ed25519")
	writeFile(t, file, string(pem.EncodeToMemory(block)), 0o600)
	if r := command(t, nil, h.on("ls", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("usual name: %+v", r)
	}
	other := filepath.Join(dir, "other")
	if err := os.Rename(file, other); err != nil {
		t.Fatal(err)
	}
	if r := command(t, nil, h.on("ls", "127.0.0.1:")...); r.status != statusConnect {
		t.Errorf("without the key: %+v", r)
	}
	if r := command(t, nil, h.on("ls", "-i", other, "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("-i: %+v", r)
	}
	writeFile(t, filepath.Join(dir, "config"), "Host alias\n  HostName 127.0.0.1\n  IdentityFile ~/.ssh/other\n", 0o600)
	if r := command(t, nil, h.on("ls", "alias:")...); r.status != statusOK {
		t.Errorf("configuration: %+v", r)
	}
	if os.PathSeparator == '/' {
		if err := os.Chmod(other, 0o644); err != nil {
			t.Fatal(err)
		}
		if r := command(t, nil, h.on("ls", "-i", other, "127.0.0.1:")...); r.status != statusConnect || !strings.Contains(r.stderr, "others can read it") {
			t.Errorf("readable by all: %+v", r)
		}
	}
}

// TestPassphrase: it is asked for when the server wants the key, three times at most, and
// not shown.
func TestPassphrase(t *testing.T) {
	dir := sshDir(t)
	signer, key := newKey(t)
	block, err := gossh.MarshalPrivateKeyWithPassphrase(key, "", []byte("pass word"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "id_ed25519")
	writeFile(t, file, string(pem.EncodeToMemory(block)), 0o600)
	h := keyHost(t, signer.PublicKey())
	h.know(t, h.key.PublicKey())
	who := &person{answers: [][2]string{{"Passphrase for " + file, "wrong"}, {"Passphrase for", "pass word"}}}
	if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusOK || len(who.answers) > 0 {
		t.Errorf("%+v", r)
	}
	if strings.Contains(who.String(), "pass word") {
		t.Errorf("terminal shows %q", who)
	}
	// A server that does not want the key asks for nothing.
	stranger, _ := newKey(t)
	h = keyHost(t, stranger.PublicKey())
	h.know(t, h.key.PublicKey())
	who = &person{}
	if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusConnect || who.String() != "" {
		t.Errorf("%+v, terminal %q", r, who)
	}
	// A format that hides which key it is must be unlocked before it can be offered.
	k, err := keys.Parse([]byte(mustPKCS8(t, key, "pass word")), keys.Passphrase("pass word"))
	if err != nil || k.Signer == nil {
		t.Fatal(err)
	}
	writeFile(t, file, mustPKCS8(t, key, "pass word"), 0o600)
	h = keyHost(t, signer.PublicKey())
	h.know(t, h.key.PublicKey())
	who = &person{answers: [][2]string{{"Passphrase for", "pass word"}}}
	if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
}

func mustPKCS8(t *testing.T, key any, pass string) string {
	t.Helper()
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.Parse(pem.EncodeToMemory(block), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.Marshal(keys.PKCS8, keys.MarshalOptions{Passphrase: keys.Passphrase(pass), Rounds: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// startAgent serves an agent with these keys.
func startAgent(t *testing.T, private ...any) string {
	t.Helper()
	ring := sshagent.NewKeyring()
	for _, k := range private {
		if err := ring.Add(sshagent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "a") //nolint:usetesting // t.TempDir is too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	l, err := net.Listen("unix", sock)
	if err != nil && runtime.GOOS == "windows" {
		t.Skipf("this Windows, or Wine, has no Unix sockets; package agent tries pipes and Pageant: %v", err) // skip: old Windows and Wine have no Unix sockets
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = sshagent.ServeAgent(ring, c)
				_ = c.Close()
			}()
		}
	}()
	return sock
}

func TestAgentLogin(t *testing.T) {
	dir := sshDir(t)
	signer, key := newKey(t)
	_, first := newKey(t)
	sock := startAgent(t, &first, &key)
	h := keyHost(t, signer.PublicKey())
	h.know(t, h.key.PublicKey())
	pub := filepath.Join(dir, "mine")
	writeFile(t, pub+".pub", string(gossh.MarshalAuthorizedKey(signer.PublicKey())), 0o644)
	for _, row := range []struct {
		what, env string
		args      []string
		status    int
	}{
		{"environment", sock, nil, statusOK},
		{"IdentityAgent", "", []string{"-o", "IdentityAgent=" + sock}, statusOK},
		{"no agent", "", nil, statusConnect},
		{"IdentityAgent none", sock, []string{"-o", "IdentityAgent=none"}, statusConnect},
		{"IdentitiesOnly, nothing named", sock, []string{"-o", "IdentitiesOnly=yes"}, statusConnect},
		{"IdentitiesOnly, with the .pub", sock, []string{"-o", "IdentitiesOnly=yes", "-i", pub}, statusOK},
		{"no keys", sock, []string{"-o", "PubkeyAuthentication=no"}, statusConnect},
	} {
		t.Setenv("SSH_AUTH_SOCK", row.env)
		if r := command(t, nil, h.on(append(append([]string{"ls"}, row.args...), "127.0.0.1:")...)...); r.status != row.status {
			t.Errorf("%s: %+v", row.what, r)
		}
	}
}

func TestCertificateLogin(t *testing.T) {
	dir := sshDir(t)
	signer, key := newKey(t)
	ca, _ := newKey(t)
	cert := &gossh.Certificate{Key: signer.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"me"}, ValidBefore: gossh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "id_ed25519")
	writeFile(t, file, string(pem.EncodeToMemory(block)), 0o600)
	writeFile(t, file+"-cert.pub", string(gossh.MarshalAuthorizedKey(cert)), 0o600)
	h := newHost(t, nil, func(h *host, s *ssh2.Server, _ *sftp.Server) {
		s.Auth = ssh2.ServerAuth{UserCAs: &ssh2.UserCAs{Authority: func(k gossh.PublicKey) bool {
			return h.login("certificate", string(k.Marshal()) == string(ca.PublicKey().Marshal()))
		}}}
	})
	h.know(t, h.key.PublicKey())
	if r := command(t, nil, h.on("ls", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
}

// TestUnknownHost: it is asked about on a terminal, remembered, and refused where nobody
// can be asked.
func TestUnknownHost(t *testing.T) {
	dir := sshDir(t)
	h := newHost(t, nil, nil)
	known := filepath.Join(dir, "known_hosts")
	fingerprint := gossh.FingerprintSHA256(h.key.PublicKey())

	r := command(t, nil, h.on("ls", "127.0.0.1:")...)
	if r.status != statusConnect || !strings.Contains(r.stderr, fingerprint) || !strings.Contains(r.stderr, "accept-new") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("nobody to ask: %+v", r)
	}
	for _, no := range []string{"no", "SHA256:other"} {
		who := &person{answers: [][2]string{{"remember this key", no}}}
		if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusConnect || !strings.Contains(who.String(), fingerprint) {
			t.Errorf("%s: %+v", no, r)
		}
	}
	if r := command(t, as(secret), h.on("ls", "-o", "StrictHostKeyChecking=yes", "127.0.0.1:")...); r.status != statusConnect {
		t.Errorf("strict: %+v", r)
	}
	if _, err := os.Stat(known); err == nil {
		t.Error("a refused key is remembered")
	}
	for i, yes := range []string{"yes", fingerprint} {
		_ = os.Remove(known)
		who := &person{answers: [][2]string{{"remember this key", "perhaps"}, {"yes, no", yes}, {"password", secret}}}
		if r := command(t, who, h.on("ls", "127.0.0.1:")...); r.status != statusOK {
			t.Errorf("%d: %+v", i, r)
		}
		if r := command(t, as(secret), h.on("ls", "127.0.0.1:")...); r.status != statusOK {
			t.Errorf("%d, known now: %+v", i, r)
		}
	}
	_ = os.Remove(known)
	r = command(t, as(secret), h.on("ls", "-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=yes", "127.0.0.1:")...)
	if r.status != statusOK || !strings.Contains(r.stderr, fingerprint) {
		t.Errorf("accept-new: %+v", r)
	}
	if data, err := os.ReadFile(known); err != nil || !strings.HasPrefix(string(data), "|1|") {
		t.Errorf("%q, %v", data, err)
	}
}

// TestChangedHostKey: it is refused whatever the options say, with what to do.
func TestChangedHostKey(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, nil)
	old, _ := newKey(t)
	h.know(t, old.PublicKey())
	for _, strict := range []string{"yes", "ask", "accept-new", "no"} {
		who := as(secret)
		r := command(t, who, h.on("ls", "-o", "StrictHostKeyChecking="+strict, "127.0.0.1:")...)
		if r.status != statusConnect || who.String() != "" || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v, terminal %q", strict, r, who)
		}
		for _, say := range []string{"HAS CHANGED", "known_hosts:1", gossh.FingerprintSHA256(h.key.PublicKey()), gossh.FingerprintSHA256(old.PublicKey()), "ssh-keygen -f "} {
			if !strings.Contains(r.stderr, say) {
				t.Errorf("%s: %q does not say %q", strict, r.stderr, say)
			}
		}
	}
	if len(h.logins) > 0 {
		t.Error("logged in")
	}
}

// TestFingerprintInURL: the URL names the key, so that nobody need be asked.
func TestFingerprintInURL(t *testing.T) {
	sshDir(t)
	h := newHost(t, nil, nil)
	url := func(fp string) string {
		return "sftp://me;fingerprint=" + strings.NewReplacer("/", "%2F", "+", "%2B", ":", "-").Replace(fp) + "@" + h.addr + "/"
	}
	if r := command(t, as(secret), "ls", url(gossh.FingerprintSHA256(h.key.PublicKey()))); r.status != statusOK {
		t.Errorf("%+v", r)
	}
	other, _ := newKey(t)
	if r := command(t, as(secret), "ls", url(gossh.FingerprintSHA256(other.PublicKey()))); r.status != statusConnect {
		t.Errorf("%+v", r)
	}
}

func TestHostKeyAlias(t *testing.T) {
	dir := sshDir(t)
	h := newHost(t, nil, nil)
	if err := ssh2.AddKnownHost(filepath.Join(dir, "known_hosts"), "thing:22", h.key.PublicKey(), false); err != nil {
		t.Fatal(err)
	}
	if r := command(t, as(secret), h.on("ls", "-o", "HostKeyAlias=thing", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
}

// TestProxyJump goes by way of two hosts, the first of which the configuration names.
func TestProxyJump(t *testing.T) {
	dir := sshDir(t)
	var opened []string
	forward := func(h *host, s *ssh2.Server, _ *sftp.Server) {
		s.Forward.DialTCP = func(ctx context.Context, _ *ssh2.Conn, to, _ ssh2.HostPort) (net.Conn, error) {
			opened = append(opened, to.String())
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		}
	}
	one, two, three := newHost(t, nil, forward), newHost(t, nil, forward), newHost(t, nil, nil)
	for _, h := range []*host{one, two, three} {
		h.know(t, h.key.PublicKey())
	}
	writeFile(t, filepath.Join(dir, "config"), "Host two\n HostName 127.0.0.1\n Port "+two.port+"\n ProxyJump me@127.0.0.1:"+one.port+"\nHost *\n ConnectTimeout 20\n", 0o600)
	who := &person{answers: [][2]string{{"password", secret}, {"password", secret}, {"password", secret}}}
	r := command(t, who, "ls", "-P", three.port, "-J", "two", "127.0.0.1:")
	if r.status != statusOK || !slices.Equal(opened, []string{two.addr, three.addr}) {
		t.Errorf("%+v, opened %q", r, opened)
	}
	opened = nil
	who = &person{answers: [][2]string{{"password", secret}, {"password", secret}, {"password", secret}}}
	r = command(t, who, "ls", "-P", three.port, "-J", "me@127.0.0.1:"+one.port+",ssh://two", "127.0.0.1:")
	if r.status != statusOK || !slices.Equal(opened, []string{two.addr, three.addr}) {
		t.Errorf("%+v, opened %q", r, opened)
	}
	writeFile(t, filepath.Join(dir, "config"), "Host aa\n ProxyJump bb\nHost bb\n ProxyJump aa\n", 0o600)
	if r := command(t, nil, "ls", "aa:"); r.status != statusConnect || !strings.Contains(r.stderr, "ProxyJump") {
		t.Errorf("a circle: %+v", r)
	}
}

// TestConnectErrors: each is one line that says where and why.
func TestConnectErrors(t *testing.T) {
	sshDir(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	h := newHost(t, nil, func(_ *host, s *ssh2.Server, _ *sftp.Server) {
		s.Session = func(_ context.Context, s *ssh2.ServerSession) { s.Refuse() }
	})
	h.know(t, h.key.PublicKey())
	for _, row := range []struct {
		say    string
		status int
		args   []string
	}{
		{"cannot connect", statusConnect, []string{"ls", "-P", port, "127.0.0.1:"}},
		{"no SFTP there", statusConnect, []string{"ls", "-P", h.port, "127.0.0.1:"}},
		{"no host", statusUsage, []string{"ls", "dir"}},
		{"nothing to list", statusUsage, []string{"ls"}},
		{"is not an option", statusUsage, []string{"ls", "-o", "Nonsense=1", "hh:"}},
		{"BatchMode", statusUsage, []string{"ls", "-o", "BatchMode=perhaps", "hh:"}},
		{"--help", statusUsage, []string{"ls", "--nonsense", "hh:"}},
		{"none-such", statusUsage, []string{"ls", "-F", "none-such", "hh:"}},
		{"both -4 and -6", statusUsage, []string{"ls", "-46", "hh:"}},
		{"not one of 3", statusUsage, []string{"ls", "--sftp-version=2", "hh:"}},
	} {
		r := command(t, as(secret), row.args...)
		if r.status != row.status || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "fairlead: ") || !strings.Contains(r.stderr, row.say) {
			t.Errorf("%q: %+v, want %q", row.args, r, row.say)
		}
	}
}

// TestTakesLeave: a command that is done says so to the host.
func TestTakesLeave(t *testing.T) {
	sshDir(t)
	ends := make(chan error, 1)
	h := newHost(t, nil, func(_ *host, s *ssh2.Server, _ *sftp.Server) {
		s.OnEnd = func(_ *ssh2.Conn, err error) { ends <- err }
	})
	h.know(t, h.key.PublicKey())
	if r := command(t, as(secret), h.on("ls", "127.0.0.1:")...); r.status != statusOK {
		t.Errorf("%+v", r)
	}
	err := <-ends
	if d, ok := errors.AsType[*ssh2.DisconnectError](err); err != nil && (!ok || !d.Remote || d.Reason != uint32(ssh2.DisconnectByApplication)) {
		t.Errorf("the host hears %v", err)
	}
}

// TestMissingIdentity: a file that -i names and that is not there is told, since the login may go on without it. Those that a
// configuration names need not be there.
func TestMissingIdentity(t *testing.T) {
	dir := sshDir(t)
	h := newHost(t, nil, nil)
	h.know(t, h.key.PublicKey())
	gone := filepath.Join(dir, "gone")
	r := command(t, as(secret), h.on("ls", "-i", gone, "127.0.0.1:")...)
	if r.status != statusOK || r.stderr != "fairlead: identity file: "+gone+": no such file\n" {
		t.Errorf("%+v", r)
	}
	r = command(t, as(secret), h.on("ls", "-o", "IdentityFile="+gone, "127.0.0.1:")...)
	if r.status != statusOK || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}

// TestWrongAnswers: it is said that answers were wrong before the questions are put again.
func TestWrongAnswers(t *testing.T) {
	sshDir(t)
	h := interactiveHost(t)
	h.know(t, h.key.PublicKey())
	who := &person{answers: [][2]string{{"Secret", "wrong"}, {"Code: ", "123"}, {"Secret", secret}, {"Code: ", "123"}}}
	r := command(t, who, h.on("ls", "127.0.0.1:")...)
	if r.status != statusOK || strings.Count(who.String(), "Permission denied, please try again.\n") != 1 {
		t.Errorf("%+v %q", r, who)
	}
}
