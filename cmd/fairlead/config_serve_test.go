package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A site is a server with a configuration, in a directory of its own.
type site struct {
	*running
	dir, file string
	keys      []gossh.Signer
}

// newSite writes a configuration and starts a server with it. In the text %[1]s stands for the
// directory, %[2]s for the hash of "password", %[3]s and %[4]s for public keys.
func newSite(t *testing.T, text string, args ...string) *site {
	t.Helper()
	s := &site{dir: home(t)}
	s.file = filepath.Join(s.dir, "fairlead.conf")
	for _, name := range []string{"one", "two", "three"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name, "home"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, name, "in "+name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		name := filepath.Join(s.dir, fmt.Sprintf("key%d", i))
		if err := makeHostKey(name); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		key, err := gossh.ParsePrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		s.keys = append(s.keys, key)
		if err := os.WriteFile(name+".pub", gossh.MarshalAuthorizedKey(key.PublicKey()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, text)
	s.running = launch(t, append([]string{"--config", s.file}, args...)...)
	t.Cleanup(func() {
		select {
		case s.signals <- syscall.SIGTERM:
		default:
		}
	})
	return s
}

func (s *site) text(text string) string {
	line := func(k gossh.Signer) string {
		return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(k.PublicKey())))
	}
	return strings.NewReplacer("DIR", filepath.ToSlash(s.dir), "HASH", goodHash, "KEY0", line(s.keys[0]), "KEY1", line(s.keys[1])).Replace(text)
}

func (s *site) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(s.text(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the server read another text, and waits until it has.
func (s *site) reload(t *testing.T, text, want string) {
	t.Helper()
	s.write(t, text)
	n := strings.Count(s.stderr.String(), want)
	s.signals <- syscall.SIGHUP
	s.stderr.awaitTimes(t, want, n+1)
}

// files opens an SFTP session.
func (s *site) files(t *testing.T, user string, auth ...ssh2.AuthMethod) (*sftp.Client, *ssh2.Client) {
	t.Helper()
	c, err := dial(t, s.running, user, auth...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	f, err := session3(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func session3(t *testing.T, c *ssh2.Client) (*sftp.Client, error) {
	t.Helper()
	ch, err := c.Subsystem(t.Context(), "sftp")
	if err != nil {
		return nil, err
	}
	return sftp.NewClient(t.Context(), ch, nil)
}

const read = "configuration read" // in the log

// password is the right one of all that have one.
var password = ssh2.Password("password")

func TestW24_ConfigUsers(t *testing.T) {
	s := newSite(t, `
RootDirectory DIR/one
User alice
    PasswordHash HASH
User bob
    PublicKey KEY0
    RootDirectory DIR/two
    HomeDir /home
User carol
    PasswordHash $2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga
    RootDirectory DIR/three
    HomeDir /home
    RestrictUserToHomeDir yes
User dora
    PasswordHash HASH
    Disabled yes
`)
	if out := s.stdout.String(); !strings.Contains(out, "serving    3 directories to 3 users of ") || strings.Contains(out, "password") {
		t.Errorf("%q", out)
	}
	for _, row := range []struct {
		user       string
		auth       ssh2.AuthMethod
		start, has string
	}{
		{"alice", password, "/", "/in one"},
		{"alice", ssh2.Interactive(func(context.Context, *ssh2.Challenge) ([]string, error) { return []string{"password"}, nil }), "/", "/in one"},
		{"bob", ssh2.PublicKeys(s.keys[0]), "/home", "/in two"},
		{"carol", ssh2.Password("allmine"), "/home", ""},
	} {
		f, _ := s.files(t, row.user, row.auth)
		if start, err := f.RealPath(t.Context(), "."); err != nil || start != row.start {
			t.Errorf("%s begins at %q, %v", row.user, start, err)
		}
		if row.has != "" {
			if _, err := f.Stat(t.Context(), row.has); err != nil {
				t.Errorf("%s: %s: %v", row.user, row.has, err)
			}
			continue
		}
		if _, err := f.Stat(t.Context(), "/in three"); err == nil {
			t.Errorf("%s sees what is above home", row.user)
		}
	}
	for user, auth := range map[string][]ssh2.AuthMethod{
		"alice":  {ssh2.Password("Password"), ssh2.PublicKeys(s.keys...)},
		"bob":    {password, ssh2.PublicKeys(s.keys[1])},
		"carol":  {password},
		"dora":   {password},
		"nobody": {password, ssh2.PublicKeys(s.keys...)},
		"User":   {password},
	} {
		for _, a := range auth {
			if _, err := dial(t, s.running, user, a); err == nil {
				t.Errorf("%s got in by %T", user, a)
			}
		}
	}
	s.stop(t)
	if log := s.stderr.String(); strings.Contains(log, goodHash[30:]) || strings.Contains(log, "allmine") {
		t.Error("a secret in the log")
	}
}

// TestW30_CVE_2_6_RequiredMethods: nothing gets round the second factor, whatever is tried, and not
// by the second alone.
func TestW30_CVE_2_6_RequiredMethods(t *testing.T) {
	s := newSite(t, `
RootDirectory DIR/one
User both
    PasswordHash HASH
    PublicKey KEY0
    RequiredMethods publickey+password
User two
    PublicKey KEY0
    PublicKey KEY1
    RequiredMethods publickey+publickey
User either
    PasswordHash HASH
    PublicKey KEY0
User other
    PasswordHash HASH
`)
	answers := func(a ...string) ssh2.AuthMethod {
		return ssh2.Interactive(func(context.Context, *ssh2.Challenge) ([]string, error) { return a, nil })
	}
	key0, key1, wrong := ssh2.PublicKeys(s.keys[0]), ssh2.PublicKeys(s.keys[1]), ssh2.Password("wrong")
	for _, row := range []struct {
		user string
		auth []ssh2.AuthMethod
		in   bool
	}{
		{"both", []ssh2.AuthMethod{key0, password}, true},
		{"both", []ssh2.AuthMethod{key0, answers("password")}, true},
		{"both", []ssh2.AuthMethod{password, key0}, false}, // password first is not looked at: our client tries in this order, and has none left
		{"both", []ssh2.AuthMethod{key0}, false},
		{"both", []ssh2.AuthMethod{password}, false},
		{"both", []ssh2.AuthMethod{answers("password")}, false},
		{"both", []ssh2.AuthMethod{key0, wrong}, false},
		{"both", []ssh2.AuthMethod{key0, answers("wrong")}, false},
		{"both", []ssh2.AuthMethod{key0, answers()}, false},
		{"both", []ssh2.AuthMethod{key1, password}, false},
		{"two", []ssh2.AuthMethod{ssh2.PublicKeys(s.keys...)}, true},
		{"two", []ssh2.AuthMethod{key0}, false},
		{"two", []ssh2.AuthMethod{ssh2.PublicKeys(s.keys[0], s.keys[0])}, false},
		{"either", []ssh2.AuthMethod{key0}, true},
		{"either", []ssh2.AuthMethod{password}, true},
		{"either", []ssh2.AuthMethod{answers("password")}, true},
		{"either", []ssh2.AuthMethod{answers("password", "password")}, false},
	} {
		c, err := dial(t, s.running, row.user, row.auth...)
		if (err == nil) != row.in && !(row.user == "both" && row.auth[0] == password && len(row.auth) == 2) {
			t.Errorf("%s with %d methods: %v", row.user, len(row.auth), err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

// TestCVE_10_9_RestrictionsBite: each restriction of a block does what it says, and
// nothing to who does not have it.
func TestCVE_10_9_RestrictionsBite(t *testing.T) {
	s := newSite(t, `
RootDirectory DIR/one
User free
    PasswordHash HASH
User reader
    PasswordHash HASH
    ReadOnly yes
User ruled
    PasswordHash HASH
    Rule list,stat /
    Rule list,stat,create /home
User named
    PasswordHash HASH
    RefuseNames *.exe
    MaxFileSize 4
    Deny mkdir
User here
    PasswordHash HASH
    SourceAddress 127.0.0.0/8
User there
    PasswordHash HASH
    PublicKey KEY0
    SourceAddress 192.0.2.0/24
User nowhere
    PublicKey from="127.0.0.1" KEY0
    SourceAddress 192.0.2.0/24
User full
    PasswordHash HASH
    RootDirectory DIR/two
    Quota 10
    QuotaFiles 5
`)
	put := func(f *sftp.Client, name, text string) error {
		_, err := f.Put(t.Context(), name, strings.NewReader(text), sftp.TransferOptions{})
		return err
	}
	free, _ := s.files(t, "free", password)
	if err := errors.Join(put(free, "/home/a.exe", "12345"), free.Mkdir(t.Context(), "/d", nil), free.Rmdir(t.Context(), "/d"), put(free, "/home/secret", "x")); err != nil {
		t.Errorf("free: %v", err)
	}
	reader, _ := s.files(t, "reader", password)
	for what, err := range map[string]error{
		"put": put(reader, "/x", ""), "mkdir": reader.Mkdir(t.Context(), "/x", nil), "remove": reader.Remove(t.Context(), "/home/secret"),
		"rename": reader.Rename(t.Context(), "/home/secret", "/home/x", 0), "symlink": reader.Symlink(t.Context(), "x", "/x"),
		"setstat": reader.Truncate(t.Context(), "/home/secret", 0), "link": reader.Link(t.Context(), "/home/secret", "/x"),
	} {
		if err == nil {
			t.Errorf("reader may %s", what)
		}
	}
	if _, err := reader.Get(t.Context(), "/home/secret", new(bytes.Buffer), sftp.TransferOptions{}); err != nil {
		t.Errorf("reader cannot read: %v", err)
	}
	ruled, _ := s.files(t, "ruled", password)
	if err := put(ruled, "/home/new", "x"); err != nil {
		t.Errorf("ruled: %v", err)
	}
	if put(ruled, "/new", "x") == nil || put(ruled, "/home/secret", "y") == nil {
		t.Error("ruled may write elsewhere, or what is there")
	}
	if _, err := ruled.Get(t.Context(), "/home/secret", new(bytes.Buffer), sftp.TransferOptions{}); err == nil {
		t.Error("ruled may read")
	}
	named, _ := s.files(t, "named", password)
	if put(named, "/home/B.EXE", "") == nil || put(named, "/home/long", "12345") == nil || named.Mkdir(t.Context(), "/d", nil) == nil || put(named, "/home/good", "1234") != nil {
		t.Error("named: RefuseNames, MaxFileSize or Deny do not hold")
	}
	full, _ := s.files(t, "full", password) // there are "in two" with 3 bytes and home
	if err := put(full, "/a", "123456"); err != nil {
		t.Errorf("full: %v", err)
	}
	// Of b an empty file stays, the fourth name.
	if put(full, "/b", "12") == nil || put(full, "/home/c", "") != nil || put(full, "/home/d", "") == nil {
		t.Error("full: Quota or QuotaFiles do not hold")
	}
	for user, in := range map[string]bool{"here": true, "there": false} {
		if c, err := dial(t, s.running, user, password); (err == nil) != in {
			t.Errorf("%s: %v", user, err)
		} else if err == nil {
			_ = c.Close()
		}
	}
	for _, user := range []string{"there", "nowhere"} {
		if _, err := dial(t, s.running, user, ssh2.PublicKeys(s.keys[0])); err == nil {
			t.Errorf("%s got in", user)
		}
	}
}

// TestCVE_13_7_MaxSessions: of many sessions that begin at once as many do as there may be; those that end
// make room.
func TestCVE_13_7_MaxSessions(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nUser a\nPasswordHash HASH\nMaxSessions 2\nUser b\nPasswordHash HASH\n")
	var in atomic.Int32
	var all sync.WaitGroup
	var first *sftp.Client
	var mu sync.Mutex
	for range 3 {
		c, err := dial(t, s.running, "a", password)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 4 {
			all.Go(func() {
				if f, err := session3(t, c); err == nil {
					in.Add(1)
					mu.Lock()
					first = f
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	if n := in.Load(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	s.files(t, "b", password)
	s.stderr.await(t, `level=WARN msg="sftpserver: file system of the session: .*the user has 2 sessions already, which is all that MaxSessions allows"`)
	if strings.Contains(s.stderr.String(), "level=ERROR") {
		t.Errorf("what a user does is an error: %s", s.stderr.String())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := dial(t, s.running, "a", password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); ; { // the server has to see the end first
		if _, err := session3(t, c); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a session that ended stays taken")
		}
	}
}

// certificate makes one for the first key of the site, signed by the second.
func (s *site) certificate(t *testing.T, change func(*gossh.Certificate)) ssh2.AuthMethod {
	t.Helper()
	c := &gossh.Certificate{
		Key: s.keys[0].PublicKey(), CertType: gossh.UserCert, KeyId: "laptop", ValidPrincipals: []string{"ann", "night"},
		ValidBefore: gossh.CertTimeInfinity,
	}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, s.keys[1]); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewCertSigner(c, s.keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return ssh2.PublicKeys(signer)
}

// TestW31_ConfigCertificates: certificates let in whom their principals name, with what the block says, and revoked keys
// nobody.
func TestW31_ConfigCertificates(t *testing.T) {
	const users = `
User ann
User backup
	Principals day, night
	ReadOnly yes
User shut
	Principals none
	PasswordHash HASH
User two
	Principals night
	PasswordHash HASH
	RequiredMethods publickey+password
User out
	Principals night
	Disabled yes
User key
	PublicKey KEY0
`
	const text = "RootDirectory DIR/one\nTrustedUserCAKeys key1.pub\n" + users
	s := newSite(t, text)
	try := func(s *site, user string, want bool, auth ...ssh2.AuthMethod) {
		t.Helper()
		conn, err := dial(t, s.running, user, auth...)
		if (err == nil) != want {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	for _, c := range []struct {
		user   string
		change func(*gossh.Certificate)
		want   bool
	}{
		{"ann", nil, true},
		{"backup", nil, true},
		{"shut", nil, false},
		{"two", nil, false}, // half way
		{"out", nil, false},
		{"nobody", nil, false},
		{"key", nil, false},
		{"key", func(c *gossh.Certificate) { c.ValidPrincipals = []string{"key"} }, true},
		{"shut", func(c *gossh.Certificate) { c.ValidPrincipals = []string{"shut", "none"} }, false},
		{"backup", func(c *gossh.Certificate) { c.ValidPrincipals = []string{"backup"} }, false},
		{"ann", func(c *gossh.Certificate) { c.ValidBefore = 1 }, false},
		{"ann", func(c *gossh.Certificate) { c.ValidAfter = uint64(time.Now().Add(time.Hour).Unix()) }, false},
		{"ann", func(c *gossh.Certificate) { c.CertType = gossh.HostCert }, false},
		{"ann", func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.1"} }, false},
		{"ann", func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"unknown": ""} }, false},
	} {
		try(s, c.user, c.want, s.certificate(t, c.change))
	}
	try(s, "two", true, s.certificate(t, nil), password)
	f, _ := s.files(t, "backup", s.certificate(t, nil))
	if err := f.Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("what the block says does not hold")
	}

	lost := newSite(t, "RevokedKeys key0.pub\n"+text)
	try(lost, "ann", false, lost.certificate(t, nil))
	try(lost, "key", false, ssh2.PublicKeys(lost.keys[0]))
	lost = newSite(t, "RevokedKeys key1.pub\n"+text)
	try(lost, "ann", false, lost.certificate(t, nil))
	try(lost, "key", true, ssh2.PublicKeys(lost.keys[0]))
	without := newSite(t, "RootDirectory DIR/one\nUser ann\nPasswordHash HASH\n")
	try(without, "ann", false, without.certificate(t, nil))
}

// TestReload: new logins find the new users, sessions stay, and what is at fault changes nothing.
func TestReload(t *testing.T) {
	const alice, bob = "User alice\nPasswordHash HASH\n", "User bob\nPublicKey KEY0\n"
	s := newSite(t, "RootDirectory DIR/one\n"+alice)
	f, conn := s.files(t, "alice", password)
	s.reload(t, "RootDirectory DIR/one\n"+bob, read)
	if _, err := f.Stat(t.Context(), "/in one"); err != nil {
		t.Errorf("the session that was there: %v", err)
	}
	if _, err := dial(t, s.running, "alice", password); err == nil {
		t.Error("a user who was removed got in")
	}
	if _, err := session3(t, conn); err == nil {
		t.Error("a user who was removed got a session")
	}
	b, _ := s.files(t, "bob", ssh2.PublicKeys(s.keys[0]))

	// A file with faults: each is logged, and the old one holds.
	s.reload(t, "RootDirectory DIR/one\nUser carol\nPasswordHash HASH\nUser dora\nPasswordHash secret\nShell x\n", "everything stays as it was")
	log := s.stderr.String()
	for _, want := range []string{":5: PasswordHash: not a hash", `:6: unknown setting`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if _, err := dial(t, s.running, "carol", password); err == nil {
		t.Error("half a file was taken")
	}
	s.files(t, "bob", ssh2.PublicKeys(s.keys[0]))

	// What waits for the next start is named, and what does not, done.
	s.reload(t, "RootDirectory DIR/two\nMaxConnections 5\nLocalPort 7\nReadOnly yes\nDisconnectRemovedUsers yes\n"+alice, read)
	log = s.stderr.String()
	for _, want := range []string{"setting=LocalPort", "setting=MaxConnections"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if n := strings.Count(log, "next start only"); n != 2 {
		t.Errorf("%d settings wait in %s", n, log)
	}
	a, _ := s.files(t, "alice", password)
	if _, err := a.Stat(t.Context(), "/in two"); err != nil {
		t.Errorf("the root is not the new one: %v", err)
	}
	if err := a.Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("not read only")
	}
	// bob was removed and DisconnectRemovedUsers is on.
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := b.Stat(t.Context(), "/"); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("bob is still there")
		}
	}
	// What waited goes on waiting, and what changed may change back.
	s.reload(t, "RootDirectory DIR/one\nMaxConnections 5\n"+alice, read)
	if n := strings.Count(s.stderr.String(), "setting=MaxConnections"); n != 2 {
		t.Errorf("told of %d times", n)
	}
	f, _ = s.files(t, "alice", password)
	if err := f.Mkdir(t.Context(), "/new", nil); err != nil {
		t.Error(err)
	}
	if err := a.Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("a session is not read only any more")
	}
	s.stop(t)
}

// TestW32_ReloadHostKeys: host keys that were replaced are for clients that come from now on; others notice nothing, and a
// file that is no key changes nothing.
func TestW32_ReloadHostKeys(t *testing.T) {
	const text = "RootDirectory DIR/one\nHostKeyFile hk\n%sUser a\nPasswordHash HASH\n"
	first := "HostKeyFile key0\n"
	s := newSite(t, strings.Replace(text, "HostKeyFile hk\n%s", first, 1))
	f, conn := s.files(t, "a", password)
	ask := func(want gossh.Signer) error {
		t.Helper()
		c, err := ssh2.Dial(t.Context(), "tcp", s.addr, &ssh2.ClientConfig{User: "a", Auth: []ssh2.AuthMethod{password}, HostKey: gossh.FixedHostKey(want.PublicKey())})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := ask(s.keys[0]); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "key1"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, "hk"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", "no key", string(data[:len(data)/2])} {
		write([]byte(bad))
		s.reload(t, fmt.Sprintf(text, "LogLevel error\n"), "everything stays as it was")
		if err := ask(s.keys[0]); err != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
	write(data)
	s.reload(t, fmt.Sprintf(text, ""), read)
	if err := ask(s.keys[1]); err != nil {
		t.Error(err)
	}
	if err := ask(s.keys[0]); err == nil {
		t.Error("the old key is still in use")
	}
	for _, want := range []string{"host keys changed", gossh.FingerprintSHA256(s.keys[1].PublicKey())} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("no %q in %s", want, s.stderr)
		}
	}
	if strings.Contains(s.stderr.String(), "next start only") {
		t.Errorf("something waits: %s", s.stderr)
	}
	// More of the log is there for clients that connect now.
	s.reload(t, fmt.Sprintf(text, "LogLevel debug\n"), read)
	if err := ask(s.keys[1]); err != nil {
		t.Error(err)
	}
	s.stderr.await(t, "level=DEBUG")
	if strings.Contains(s.stderr.String(), "next start only") {
		t.Errorf("something waits: %s", s.stderr)
	}
	// The session that was there: its keys are exchanged anew with the key that it came to.
	if err := conn.Rekey(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(t.Context(), "/in one"); err != nil {
		t.Error(err)
	}
	s.stop(t)
}

// TestReloadRoot: a login that began under one reading and ended under another sees the directory that goes with its
// block.
func TestReloadRoot(t *testing.T) {
	const text = "RootDirectory DIR/one\nUser a\nPasswordHash HASH\nPublicKey KEY0\nRequiredMethods publickey+password\n"
	s := newSite(t, text)
	reached, goOn := make(chan struct{}), make(chan struct{})
	type result struct {
		c   *ssh2.Client
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := ssh2.Dial(t.Context(), "tcp", s.addr, &ssh2.ClientConfig{
			User: "a", HostKey: func(string, net.Addr, gossh.PublicKey) error { // before the first attempt to log in
				close(reached)
				<-goOn
				return nil
			}, Auth: []ssh2.AuthMethod{ssh2.PublicKeys(s.keys[0]), password},
		})
		done <- result{c, err}
	}()
	<-reached
	s.reload(t, strings.Replace(text, "one", "two", 1), read)
	close(goOn)
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.c.Close()
	f, err := session3(t, r.c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat(t.Context(), "/in two"); err != nil {
		t.Error(err)
	}
	s.stop(t)
}

// TestConfigRates: a user's rates are for that user's connections, others have those in front of the blocks.
func TestConfigRates(t *testing.T) {
	const block = "PasswordHash HASH\nRootDirectory DIR/one\n"
	s := newSite(t, "DownloadRate 300k\nUser slow\n"+block+"UploadRate 200k\nUser all\n"+block)
	const n = 300 << 10
	timed := func(user string, up bool) time.Duration {
		t.Helper()
		f, _ := s.files(t, user, password)
		began := time.Now()
		var err error
		if up {
			_, err = f.Put(t.Context(), "/f", bytes.NewReader(make([]byte, n)), sftp.TransferOptions{})
		} else {
			_, err = f.Get(t.Context(), "/f", io.Discard, sftp.TransferOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	// Less time is not possible; more is, on a busy machine.
	for _, user := range []string{"slow", "all"} {
		if up := timed(user, true); user == "slow" && up < 1300*time.Millisecond {
			t.Errorf("%s: up in %v", user, up)
		}
		if down := timed(user, false); down < 900*time.Millisecond {
			t.Errorf("%s: down in %v", user, down)
		}
	}
}

// TestRatesOfTheUser: a key of somebody else, which anybody may show, leaves nothing of that user's rates.
func TestRatesOfTheUser(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nUploadRate 1000\nDownloadRate 2000\nUser fast\nPublicKey KEY0\nUploadRate 1G\nDownloadRate 1G\nUser slow\nPasswordHash HASH\nUser half\nPasswordHash HASH\nUploadRate 500\n")
	s.stop(t)
	d, err := start(&options{config: s.file, given: map[string]bool{"listen": true}, listen: "127.0.0.1:0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer d.server.Close()
	for user, want := range map[string][2]int64{"slow": {1000, 2000}, "half": {500, 2000}} {
		nc, err := net.Dial("tcp", d.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := transport.New(nc, &transport.Config{
			Role: msg.Client, Version: "SSH-2.0-raw", Kex: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"},
			Ciphers: []string{"aes128-gcm@openssh.com"},
			HostKey: func(context.Context, string, gossh.PublicKey) error { return nil },
		})
		defer func() { _ = c.Close(); c.ReleaseReader() }()
		if err := c.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			m      msg.Message
			answer byte
		}{
			{&msg.ServiceRequest{Service: "ssh-userauth"}, msg.NumServiceAccept},
			{&msg.UserauthRequest{User: "fast", Service: "ssh-connection", Method: "publickey", Fields: wire.Append(nil, &msg.PublicKeyFields{
				Algorithm: s.keys[0].PublicKey().Type(), Key: s.keys[0].PublicKey().Marshal(),
			})}, msg.NumUserauthPKOK},
			{&msg.UserauthRequest{User: user, Service: "ssh-connection", Method: "password", Fields: wire.Append(nil, &msg.PasswordFields{Password: []byte("password")})}, msg.NumUserauthSuccess},
		} {
			if err := c.SendMessage(step.m); err != nil {
				t.Fatal(err)
			}
			if p, err := c.Next(); err != nil || p[0] != step.answer {
				t.Fatalf("%s: %v to %T: %v", user, p, step.m, err)
			}
		}
		found := false
		for c := range d.server.Connections() {
			if up, down := c.Rates(); c.User() == user {
				if found = true; up != want[0] || down != want[1] {
					t.Errorf("%s: %d and %d, want %v", user, up, down, want)
				}
			}
		}
		if !found {
			t.Errorf("%s: no connection", user)
		}
	}
}

// TestReloadMidLogin: who has begun to log in goes on by the reading of then: by its blocks and by its root.
func TestReloadMidLogin(t *testing.T) {
	const text = "User a\nPasswordHash HASH\n"
	s := newSite(t, "RootDirectory DIR/one\n"+text)
	asked, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		conn, err := dial(t, s.running, "a", ssh2.PasswordFunc(func(context.Context, *ssh2.PasswordPrompt) (string, error) {
			close(asked)
			<-goOn
			return "password", nil
		}))
		if err == nil {
			defer conn.Close()
			var f *sftp.Client
			if f, err = session3(t, conn); err == nil {
				_, err = f.Stat(t.Context(), "/in one")
			}
		}
		done <- err
	}()
	<-asked
	s.reload(t, "RootDirectory DIR/two\n"+text, read)
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("the root of then is not there: %v", err)
	}
	s.stop(t)
}

// TestReloadKeepsCounts: a quota goes on from what was counted, with the new limit.
func TestReloadKeepsCounts(t *testing.T) {
	const text = "User a\nPasswordHash HASH\nRootDirectory DIR/one\nQuota "
	s := newSite(t, text+"20\n")
	f, _ := s.files(t, "a", password)
	put := func(f *sftp.Client, name string, n int) error {
		_, err := f.Put(t.Context(), name, strings.NewReader(strings.Repeat("x", n)), sftp.TransferOptions{})
		return err
	}
	if err := put(f, "/1", 10); err != nil { // 13 with what is there
		t.Fatal(err)
	}
	s.reload(t, text+"30\n", read)
	g, _ := s.files(t, "a", password)
	if err := put(g, "/2", 10); err != nil { // 23
		t.Error(err)
	}
	if put(g, "/3", 10) == nil {
		t.Error("33 of 30")
	}
	if put(f, "/4", 1) == nil {
		t.Error("the session before: 24 of 20")
	}
}

// TestCVE_13_5_ReloadUnderLogins: every login goes by one reading of the file. The readings differ in
// what is required as well as in the password, so that a mixture would let somebody in, or keep
// somebody out.
func TestCVE_13_5_ReloadUnderLogins(t *testing.T) {
	const (
		easy = "RootDirectory DIR/one\nUser a\nPasswordHash HASH\n"
		hard = "RootDirectory DIR/one\nUser a\nPasswordHash $2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga\nPublicKey KEY0\nRequiredMethods publickey+password\n"
	)
	s := newSite(t, easy)
	stop := make(chan struct{})
	var logins sync.WaitGroup
	for range 4 {
		logins.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// The password of the hard reading alone is good in neither.
				if c, err := dial(t, s.running, "a", ssh2.Password("allmine")); err == nil {
					t.Error("in by a mixture of two readings")
					_ = c.Close()
				}
			}
		})
	}
	for i := range 20 {
		s.reload(t, []string{hard, easy}[i%2], read)
	}
	close(stop)
	logins.Wait()
	s.stop(t)
}

// TestCVE_7_2_StandIns: for a name without a password a hash is computed as for one that has a password,
// for the same name always the same, and the names share them like the users do.
func TestCVE_7_2_StandIns(t *testing.T) {
	text := "RootDirectory /srv\nUser key\nPublicKey " + goodKey + "\nUser off\nDisabled yes\nPasswordHash " + goodHash + "\n"
	for i := range 3 {
		text += fmt.Sprintf("User u%d\nPasswordHash %s\n", i, goodHash)
	}
	c, err := loadText(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAccounts(c)
	if len(a.standIns) != 4 {
		t.Fatalf("%d stand-ins", len(a.standIns))
	}
	for _, h := range a.standIns {
		// The parameters are those of the users: the work is the same.
		if !strings.HasPrefix(h.String(), "$argon2id$v=19$m=64,t=1,p=1$") || len(h.String()) != len(goodHash) {
			t.Errorf("%s", h)
		}
		if ok, err := h.Check(t.Context(), "password"); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	used := map[string]bool{}
	for i := range 200 {
		name := fmt.Sprintf("nobody%d", i)
		h := a.hashOf(name)
		if h.IsZero() || h.String() != a.hashOf(name).String() {
			t.Fatalf("%s: no hash, or another", name)
		}
		used[h.String()] = true
	}
	if len(used) != 4 {
		t.Errorf("%d of 4 stand-ins are used", len(used))
	}
	if a.hashOf("key").IsZero() || a.hashOf("u0").String() != goodHash {
		t.Error("wrong hashes")
	}
	for name, in := range map[string]bool{"u0": true, "key": false, "off": false, "nobody": false} {
		if a.password(t.Context(), name, "password") != in {
			t.Errorf("%s: %v", name, !in)
		}
	}
}

// TestFlagsOverConfig: flags win over the file, and the file over defaults.
func TestFlagsOverConfig(t *testing.T) {
	s := newSite(t, "RootDirectory DIR/one\nReadOnly no\nLogFormat text\nUser alice\nPasswordHash HASH\nUser bob\nPasswordHash HASH\nRootDirectory DIR/three\n")
	s.stop(t)
	if err := os.WriteFile(filepath.Join(s.dir, "pw"), []byte("of the flag"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.running = launch(t, "--config", s.file, "--read-only", "--log-format", "json", "--user", "alice", "--password-file", "pw", "two")
	if _, err := dial(t, s.running, "alice", password); err == nil {
		t.Error("alice of the file got in")
	}
	f, _ := s.files(t, "alice", ssh2.Password("of the flag"))
	if _, err := f.Stat(t.Context(), "/in two"); err != nil {
		t.Error(err)
	}
	if f.Mkdir(t.Context(), "/x", nil) == nil {
		t.Error("not read only")
	}
	b, _ := s.files(t, "bob", password)
	if _, err := b.Stat(t.Context(), "/in three"); err != nil {
		t.Error(err)
	}
	s.stderr.await(t, `(?m)^\{"time"`)
	s.stop(t)

	// Without --listen the file says where.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	s.write(t, "LocalPort "+port+"\nRootDirectory DIR/one\nUser alice\nPasswordHash HASH\n")
	r := &running{stdout: newOutput(), stderr: newOutput(), signals: make(chan os.Signal, 2), status: make(chan int, 1)}
	go func() { r.status <- run([]string{"serve", "--config", s.file}, r.stdout, r.stderr, r.signals) }()
	if addr := r.stdout.await(t, `(?m)^listening on (\S+)$`)[1]; addr != "127.0.0.1:"+port {
		t.Errorf("listens on %s", addr)
	}
	r.stop(t)
}

// TestConfigRefusals: what keeps a server with a file from starting.
func TestConfigRefusals(t *testing.T) {
	dir := home(t)
	write := func(text string) string {
		name := filepath.Join(dir, "f.conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, row := range []struct {
		text, say string
		args      []string
	}{
		{"", "nobody could log in", nil},
		{"RootDirectory " + filepath.ToSlash(dir), "nobody could log in", nil},
		{"User a\nPasswordHash " + goodHash, "has no RootDirectory", nil},
		{"nonsense 1", `unknown setting "nonsense"`, nil},
		{"", "--password-file or --authorized-keys must say", []string{"--user", "x"}},
		{"SSHEncryptionAlgorithms none-such", "SSHEncryptionAlgorithms", nil},
		{"nonsense 1\nLocalPort x\n", "f.conf:1:1: unknown setting \"nonsense\"\nfairlead: " + filepath.Join(dir, "f.conf") + ":2:11: LocalPort", nil},
	} {
		var out, stderr bytes.Buffer
		if status := run(append([]string{"serve", "--listen", "127.0.0.1:0", "--config", write(row.text)}, row.args...), &out, &stderr, nil); status != statusUsage || !strings.Contains(stderr.String(), row.say) {
			t.Errorf("%q: status %d, %s", row.text, status, stderr.String())
		}
	}
	var stderr bytes.Buffer
	if status := run([]string{"serve", "--config", filepath.Join(dir, "none")}, new(bytes.Buffer), &stderr, nil); status != statusUsage || !strings.Contains(stderr.String(), "none") {
		t.Errorf("%d %s", status, stderr.String())
	}
	if _, err := os.Stat(filepath.Join(dir, defaultRoot)); err == nil {
		t.Error("a root was made although there is a file")
	}
}

func TestWithin(t *testing.T) {
	for _, row := range [][3]string{
		{"10.0.0.0/8", "10.1.0.0/16,192.0.2.1", "10.1.0.0/16"},
		{"10.1.2.3", "10.0.0.0/8", "10.1.2.3/32"},
		{"10.0.0.0/8", "192.0.2.0/24", ""},
		{"::1", "127.0.0.1", ""},
	} {
		var a, b userConfig
		for u, list := range map[*userConfig]string{&a: row[0], &b: row[1]} {
			for text := range strings.SplitSeq(list, ",") {
				p, err := parseSource(text)
				if err != nil {
					t.Fatal(err)
				}
				u.sources = append(u.sources, p)
			}
		}
		both := within(a.sources, b.sources)
		var got []string
		for _, p := range both {
			got = append(got, p.String())
		}
		if strings.Join(got, ",") != row[2] || both == nil {
			t.Errorf("%v: %v", row, got)
		}
		if !slices.Equal(both, within(b.sources, a.sources)) {
			t.Errorf("%v: not the same the other way", row)
		}
	}
}

// TestMappedSources: an IPv4 address or network in IPv6 notation is the IPv4 one, since that is what
// clients' addresses are compared as.
func TestMappedSources(t *testing.T) {
	for text, want := range map[string]string{
		"::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:0:0/96": "0.0.0.0/0",
		"::ffff:10.0.0.1/128": "10.0.0.1/32", "::ffff:0:0/95": "::ffff:0.0.0.0/95", "::/0": "::/0", "10.0.0.1": "10.0.0.1/32",
	} {
		if p, err := parseSource(text); err != nil || p.String() != want {
			t.Errorf("SourceAddress %s is %v, %v; want %s", text, p, err, want)
		}
		keys, err := parseAuthorizedKeys([]byte(`from="` + text + `" ` + goodKey + "\n"))
		if err != nil || len(keys[0].from) != 1 || keys[0].from[0].String() != want {
			t.Errorf("from=%q is %v, %v; want %s", text, keys, err, want)
		}
	}
	for _, bad := range []string{"fe80::1%eth0", "fe80::%eth0/64", "::ffff:10.0.0.1/129", "::ffff:300.0.0.1"} {
		if _, err := parseSource(bad); err == nil {
			t.Errorf("SourceAddress %s was taken", bad)
		}
		if _, err := parseAuthorizedKeys([]byte(`from="` + bad + `" ` + goodKey + "\n")); err == nil {
			t.Errorf("from=%q was taken", bad)
		}
	}
	// And against a server: the client comes from 127.0.0.1.
	s := newSite(t, "RootDirectory DIR/one\nUser in\nPasswordHash HASH\nSourceAddress ::ffff:127.0.0.1\n"+
		"User net\nPublicKey from=\"::ffff:127.0.0.0/104\" KEY0\nSourceAddress ::ffff:127.0.0.0/104\n"+
		"User out\nPasswordHash HASH\nSourceAddress ::ffff:10.0.0.1\n")
	s.files(t, "in", password)
	s.files(t, "net", ssh2.PublicKeys(s.keys[0]))
	if _, err := dial(t, s.running, "out", password); err == nil {
		t.Error("in from another address")
	}
	s.stop(t)
}

// TestCVE_7_2_SameWork: a password costs one hash, by the memory that it takes, whether or not there is such a
// user, and in whatever way he may log in.
func TestCVE_7_2_SameWork(t *testing.T) {
	hash := strings.Replace(goodHash, "m=64,", "m=8192,", 1) // KiB; that of another password then
	if hash == goodHash {
		t.Fatal("another kind of hash")
	}
	c, err := loadText("RootDirectory /srv\nUser known\nPasswordHash "+hash+"\nUser key\nPublicKey "+goodKey+
		"\nUser off\nDisabled yes\nPasswordHash "+hash+"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAccounts(c)
	for _, name := range []string{"known", "key", "off", "nobody", "", "known\x00", strings.Repeat("n", 5000)} {
		for _, password := range []string{"password", "", strings.Repeat("p", 1000)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			in := a.password(t.Context(), name, password)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; in || took < 8<<20 || took >= 12<<20 {
				t.Errorf("%.20q, password of %d octets: %v, %d octets of memory; want what one hash takes", name, len(password), in, took)
			}
		}
	}
}
