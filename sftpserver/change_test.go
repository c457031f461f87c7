package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// writeHostKey makes a file with a host key.
func writeHostKey(tb testing.TB) (name string, key gossh.PublicKey) {
	tb.Helper()
	name = filepath.Join(tb.TempDir(), "host_key")
	signer, err := sftpserver.HostKeyFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return name, signer.PublicKey()
}

// TestUpdate: what is changed while the server listens holds for clients that come later, and for no other.
func TestUpdate(t *testing.T) {
	t.Parallel()
	was, is := t.TempDir(), t.TempDir()
	for _, dir := range []string{was, is} {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(dir), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keyFile, hostKey := writeHostKey(t)
	s := sftpserver.New()
	s.RootDirectory = was
	s.Error = func(e *sftpserver.ErrorEvent) { t.Error(e.Err) }
	start(t, s)
	oldConn := dialIn(t, s)
	open := func(conn *ssh2.Client) *sftp.Client {
		ch, err := conn.Subsystem(t.Context(), "sftp")
		if err != nil {
			t.Fatal(err)
		}
		c, err := sftp.NewClient(t.Context(), ch, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	old := open(oldConn)
	fresh := newKey(t)
	handler := s.UserAuth
	s.UserAuth = nil // which only a Start looks at
	if err := s.Update(func(o *sftpserver.Options) {
		o.RootDirectory, o.ReadOnly, o.UserAuthBanner, o.ProtocolVersion = is, true, "Ahoy", 5
		o.ServerVersion, o.Ciphers, o.DefaultTimeout = "SSH-2.0-Later", "aes256-ctr", 7*time.Second
		o.HostKeys = []gossh.Signer{fresh}
	}); err != nil {
		t.Fatal(err)
	}
	s.UserAuth = handler
	var shown gossh.PublicKey
	var banners []string
	conn, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, Banner: func(text, _ string) { banners = append(banners, text) },
		HostKey: func(_ string, _ net.Addr, key gossh.PublicKey) error { shown = key; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if string(shown.Marshal()) != string(fresh.PublicKey().Marshal()) {
		t.Error("the host key is not the new one")
	}
	expect(t, "banners", banners, "Ahoy")
	if info := conn.Info(); info.RemoteIdent != "SSH-2.0-Later" || info.In.Cipher != "aes256-ctr" {
		t.Errorf("%+v", info)
	}
	now := open(conn)
	if got, err := get(t, now, "/f", 1000); got != is || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if now.Version() != 5 || old.Version() != 3 {
		t.Errorf("versions %d and %d", now.Version(), old.Version())
	}
	if err := now.Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("not read only")
	}
	// The one that was there, and a session that begins on it now.
	for _, c := range []*sftp.Client{old, open(oldConn)} {
		if got, err := get(t, c, "/f", 1000); got != was || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := old.Mkdir(t.Context(), "/new", nil); err != nil {
		t.Error(err)
	}
	for expr, want := range map[string]string{"SFTPConnectionTimeout[1]": "60", "SFTPConnectionTimeout[2]": "7", "UserRootDirectory[1]": was, "UserRootDirectory[2]": is, "RootDirectory": is, "ReadOnly": "True"} {
		if got, err := s.Config(expr); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", expr, got, err, want)
		}
	}
	if s.RootDirectory != is {
		t.Errorf("the field is %q", s.RootDirectory)
	}

	// By name, a host key from a file, and who may connect.
	if _, err := s.Config("SSHCert=" + keyFile); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(func(o *sftpserver.Options) { o.HostKeys = nil }); err != nil {
		t.Fatal(err)
	}
	if c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.FixedHostKey(hostKey),
	}); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	if _, err := s.Config("BlockedClients=127.0.0.0/8"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := login(t, s, "alice", ssh2.Password("secret")); err == nil {
		t.Error("a client that is blocked by now got in")
	}
	if err := s.LoadSettings(strings.NewReader("BlockedClients=\nUserAuthBanner two\n"), "f"); err != nil {
		t.Fatal(err)
	}
	if banners, _, err := login(t, s, "alice", ssh2.Password("secret")); err != nil || len(banners) != 1 || banners[0] != "two" {
		t.Errorf("%q, %v", banners, err)
	}
	if _, err := old.Stat(t.Context(), "/"); err != nil {
		t.Error(err)
	}
}

// TestUpdateRefused: what cannot be changes nothing, and says why, with a number.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = dir
	start(t, s)
	port := s.LocalPort
	for what, c := range map[string]struct {
		f    func(*sftpserver.Options)
		code int
	}{
		"port":       {func(o *sftpserver.Options) { o.LocalPort = 7 }, 106},
		"host":       {func(o *sftpserver.Options) { o.LocalHost = "::1" }, 107},
		"most":       {func(o *sftpserver.Options) { o.MaxConnections = 7 }, 108},
		"family":     {func(o *sftpserver.Options) { o.IPFamily = sftpserver.IPv6 }, 106},
		"backlog":    {func(o *sftpserver.Options) { o.ConnectionBacklog = 7 }, 106},
		"shared":     {func(o *sftpserver.Options) { o.ShareAddress = true }, 106},
		"no root":    {func(o *sftpserver.Options) { o.RootDirectory = filepath.Join(dir, "missing") }, 0},
		"cipher":     {func(o *sftpserver.Options) { o.Ciphers = "rot13" }, 0},
		"host keys":  {func(o *sftpserver.Options) { o.HostKeys = nil }, 0},
		"nil key":    {func(o *sftpserver.Options) { o.HostKeys = []gossh.Signer{nil} }, 0},
		"methods":    {func(o *sftpserver.Options) { o.AuthMethods = []string{"hostbased"} }, 0},
		"clients":    {func(o *sftpserver.Options) { o.AllowedClients = []string{"10.0.0.0/99"} }, 0},
		"ident":      {func(o *sftpserver.Options) { o.ServerVersion = "SSH-1" }, 0},
		"code page":  {func(o *sftpserver.Options) { o.CodePage = 1 }, 0},
		"version":    {func(o *sftpserver.Options) { o.ProtocolVersion = 9 }, 0},
		"authority":  {func(o *sftpserver.Options) { o.TrustedUserCAKeys = []gossh.PublicKey{nil} }, 0},
		"no startup": {func(o *sftpserver.Options) { o.MaxStartups = -1 }, 0},
	} {
		err := s.Update(func(o *sftpserver.Options) {
			o.UserAuthBanner = "half"
			c.f(o)
		})
		if err == nil || c.code != 0 && (!errors.Is(err, sftpserver.ErrListening) || sftpserver.ErrorCode(err) != c.code) {
			t.Errorf("%s: %v, number %d", what, err, sftpserver.ErrorCode(err))
		}
	}
	for _, text := range []string{"UserAuthBanner half\nSSHEncryptionAlgorithms rot13\n", "UserAuthBanner half\nMaxConnections 7\n", "UserAuthBanner half\nRootDirectory " + filepath.Join(dir, "missing") + "\n"} {
		if err := s.LoadSettings(strings.NewReader(text), "f"); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if s.UserAuthBanner != "" || s.RootDirectory != dir || s.LocalPort != port {
		t.Errorf("%q, %q, %d", s.UserAuthBanner, s.RootDirectory, s.LocalPort)
	}
	if banners, _, err := login(t, s, "alice", ssh2.Password("secret")); err != nil || len(banners) != 0 {
		t.Errorf("%q, %v", banners, err)
	}
}

// TestUpdateUnderLogins: clients log in while settings change, in several goroutines, and each finds one state of them.
func TestUpdateUnderLogins(t *testing.T) {
	t.Parallel()
	roots := []string{t.TempDir(), t.TempDir()}
	for i, dir := range roots {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(fmt.Sprint("root ", i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := sftpserver.New()
	s.RootDirectory, s.UserAuthBanner = roots[0], "root 0"
	s.MaxStartups = 1000
	over := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.LocalHost, s.LocalPort, s.HostKeys, s.UserAuth = "127.0.0.1", 0, []gossh.Signer{newKey(t)}, accept
	go func() { over <- s.ListenAndServe(ctx) }()
	for !s.Listening() {
		runtime.Gosched()
	}
	stop := make(chan struct{})
	var changes, logins sync.WaitGroup
	changes.Go(func() {
		for i := 1; ; i++ {
			if err := s.Update(func(o *sftpserver.Options) {
				o.RootDirectory, o.UserAuthBanner = roots[i%2], fmt.Sprint("root ", i%2)
			}); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	changes.Go(func() {
		for i := 0; ; i++ {
			for _, expr := range []string{fmt.Sprint("DirListBufferSize=", 1+i%50), fmt.Sprint("AllowedClients=127.0.0.0/8,10.0.0.", i%200), "MaxHandles"} {
				if _, err := s.Config(expr); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 4 {
		logins.Go(func() {
			for range 10 {
				var banner string
				c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
					User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(), Banner: func(text, _ string) { banner = text },
				})
				if err != nil {
					t.Error(err)
					return
				}
				ch, err := c.Subsystem(t.Context(), "sftp")
				if err != nil {
					t.Error(err)
					return
				}
				f, err := sftp.NewClient(t.Context(), ch, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := get(t, f, "/f", 1000); err != nil || got != banner {
					t.Errorf("%q with the banner %q, %v", got, banner, err)
				}
				_ = c.Close()
			}
		})
	}
	logins.Wait()
	select {
	case err := <-over:
		t.Errorf("ListenAndServe came back: %v", err)
	default:
	}
	close(stop)
	changes.Wait()
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if s.Listening() {
		t.Error("still listens")
	}
	// Not listening, the fields themselves change.
	if err := s.Update(func(o *sftpserver.Options) { o.LocalPort = 7 }); err != nil || s.LocalPort != 7 {
		t.Error(s.LocalPort, err)
	}
}

// TestUpdateAndStop: changes and the end of listening do not wait for each other, whichever comes first.
func TestUpdateAndStop(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		start(t, s)
		var both sync.WaitGroup
		both.Go(func() {
			for j := range 5 {
				if err := s.Update(func(o *sftpserver.Options) { o.MaxAuthAttempts = 1 + j }); err != nil {
					t.Error(err)
				}
			}
		})
		both.Go(func() {
			if i%2 == 0 {
				_ = s.StopListening()
			} else {
				_ = s.Shutdown(t.Context())
			}
		})
		both.Wait()
		if s.Listening() {
			t.Fatal("still listens")
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if s.MaxAuthAttempts != 5 {
			t.Errorf("the last change is lost: %d", s.MaxAuthAttempts)
		}
	}
}

// TestEmbeddingRotate runs the change of docs/embedding.md.
func TestEmbeddingRotate(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	old := connect(t, s)
	key := newKey(t)
	if err := rotate(s, key, &sftp.Policy{Deny: []string{"MKDIR"}}); err != nil {
		t.Fatal(err)
	}
	c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.FixedHostKey(key.PublicKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := connect(t, s).Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("the new rules do not hold")
	}
	if err := old.Mkdir(t.Context(), "/old", nil); err != nil {
		t.Error(err)
	}
}

// TestUpdateKeepsLocks: sessions from before and after a change see each other's locks.
func TestUpdateKeepsLocks(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.RootDirectory, s.ProtocolVersion = t.TempDir(), 6
	start(t, s)
	open := func() *sftp.RemoteFile {
		f, err := connect(t, s).OpenFile(t.Context(), "/f", sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenOrCreate})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	before := open()
	err := before.Lock(t.Context(), sftp.Range{Length: 10, Mask: sftp.RangeWrite})
	if runtime.GOOS == "windows" && sftp.CodeOf(err) == sftp.CodeOpUnsupported {
		t.Skip("osfs has no locks on Windows") // skip: the lock is how the test tells the engines apart
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Config("DirListBufferSize=7"); err != nil {
		t.Fatal(err)
	}
	if err := open().Lock(t.Context(), sftp.Range{Offset: 5, Length: 10, Mask: sftp.RangeWrite}); err == nil {
		t.Error("two sessions have a lock of the same octets")
	}
}
