package sftpserver_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestSettingsByRow sets every setting that is not of a connection or a certificate, reads it back, and looks at the
// field.
func TestSettingsByRow(t *testing.T) {
	listed := keyFile(t, newKey(t).PublicKey())
	rows := []struct {
		name, value, back string // back "" is value
		field             func(s *sftpserver.Server) any
		want              any
	}{
		{"LocalHost", "::1", "", func(s *sftpserver.Server) any { return s.LocalHost }, "::1"},
		{"LocalPort", "2022", "", func(s *sftpserver.Server) any { return s.LocalPort }, 2022},
		{"UseIPv6", "0", "", func(s *sftpserver.Server) any { return s.IPFamily }, sftpserver.IPv4},
		{"UseIPv6", "1", "", func(s *sftpserver.Server) any { return s.IPFamily }, sftpserver.IPv6},
		{"UseIPv6", "both", "2", func(s *sftpserver.Server) any { return s.IPFamily }, sftpserver.IPv4And6},
		{"ConnectionBacklog", "50", "", func(s *sftpserver.Server) any { return s.ConnectionBacklog }, 50},
		{"BindExclusively", "False", "", func(s *sftpserver.Server) any { return s.ShareAddress }, true},
		{"MaxStartups", "12", "", func(s *sftpserver.Server) any { return s.MaxStartups }, 12},
		{"MaxConnections", "12", "", func(s *sftpserver.Server) any { return s.MaxConnections }, 12},
		{"AllowedClients", "10.0.0.0/8, *.example.com", "10.0.0.0/8,*.example.com", func(s *sftpserver.Server) any { return len(s.AllowedClients) }, 2},
		{"BlockedClients", "10.1.*", "", func(s *sftpserver.Server) any { return s.BlockedClients[0] }, "10.1.*"},
		{"InBufferSize", "64k", "65536", func(s *sftpserver.Server) any { return s.InBufferSize }, 65536},
		{"OutBufferSize", "1M", "1048576", func(s *sftpserver.Server) any { return s.OutBufferSize }, 1 << 20},
		{"TcpNoDelay", "no", "False", func(s *sftpserver.Server) any { return s.Nagle }, true},
		{"KeepAliveTime", "30000", "", func(s *sftpserver.Server) any { return s.KeepAliveTime }, 30 * time.Second},
		{"KeepAliveInterval", "2s", "2000", func(s *sftpserver.Server) any { return s.KeepAliveInterval }, 2 * time.Second},
		{"KeepAliveRetryCount", "4", "", func(s *sftpserver.Server) any { return s.KeepAliveRetryCount }, 4},
		{"DefaultTimeout", "30", "", func(s *sftpserver.Server) any { return s.DefaultTimeout }, 30 * time.Second},
		{"DefaultTimeout", "0", "", func(s *sftpserver.Server) any { return s.DefaultTimeout < 0 }, true},
		{"DefaultIdleTimeout", "5m", "300", func(s *sftpserver.Server) any { return s.DefaultIdleTimeout }, 5 * time.Minute},
		{"Profile", "Legacy", "legacy", func(s *sftpserver.Server) any { return s.Profile }, ssh2.Legacy},
		{"SSHEncryptionAlgorithms", "aes256-ctr,chacha20-poly1305@openssh.com", "", func(s *sftpserver.Server) any { return s.Ciphers }, ssh2.AlgList("aes256-ctr,chacha20-poly1305@openssh.com")},
		{"SSHMacAlgorithms", "-umac*", "", func(s *sftpserver.Server) any { return s.MACs }, ssh2.AlgList("-umac*")},
		{"SSHKeyExchangeAlgorithms", "^curve25519-sha256", "", func(s *sftpserver.Server) any { return s.KeyExchanges }, ssh2.AlgList("^curve25519-sha256")},
		{"SSHPublicKeyAlgorithms", "ssh-ed25519", "", func(s *sftpserver.Server) any { return s.HostKeyAlgorithms }, ssh2.AlgList("ssh-ed25519")},
		{"SSHPubKeyAuthSigAlgorithms", "ssh-rsa,rsa-sha2-256", "", func(s *sftpserver.Server) any { return s.PublicKeyAlgorithms }, ssh2.AlgList("ssh-rsa,rsa-sha2-256")},
		{"SSHCompressionAlgorithms", "none,zlib", "", func(s *sftpserver.Server) any { return s.Compression }, ssh2.AlgList("none,zlib")},
		{"UseStrictKeyExchange", "0", "", func(s *sftpserver.Server) any { return s.StrictKex }, ssh2.StrictKexOff},
		{"UseStrictKeyExchange", "1", "", func(s *sftpserver.Server) any { return s.StrictKex }, ssh2.StrictKexOffer},
		{"UseStrictKeyExchange", "or-safe", "2", func(s *sftpserver.Server) any { return s.StrictKex }, ssh2.StrictKexOrSafe},
		{"UseStrictKeyExchange", "3", "", func(s *sftpserver.Server) any { return s.StrictKex }, ssh2.StrictKexRequire},
		{"KeyRenegotiationThreshold", "524288000", "", func(s *sftpserver.Server) any { return s.KeyRenegotiationThreshold }, uint64(500 << 20)},
		{"SSHKeepAliveInterval", "30", "", func(s *sftpserver.Server) any { return s.SSHKeepAliveInterval }, 30 * time.Second},
		{"SSHKeepAliveCountMax", "5", "", func(s *sftpserver.Server) any { return s.SSHKeepAliveCountMax }, 5},
		{"ServerSSHVersionString", "SSH-2.0-Harbour", "", func(s *sftpserver.Server) any { return s.ServerVersion }, "SSH-2.0-Harbour"},
		{"SSHVersionPattern", "*OpenSSH*,*PuTTY*", "", func(s *sftpserver.Server) any { return len(s.ClientVersionPatterns) }, 2},
		{"DefaultAuthMethods", "None,password,publickey,keyboard-interactive", "none,password,publickey,keyboard-interactive", func(s *sftpserver.Server) any { return s.AuthMethods[0] }, "none"},
		{"TrustedUserCAKeys", listed, "", nil, nil},
		{"RevokedKeys", listed + "," + listed, "", nil, nil},
		{"MaxAuthAttempts", "3", "", func(s *sftpserver.Server) any { return s.MaxAuthAttempts }, 3},
		{"FireAuthRequestAfterSig", "true", "True", func(s *sftpserver.Server) any { return s.FireAuthRequestAfterSig }, true},
		{"DefaultConnectionTimeout", "20", "", func(s *sftpserver.Server) any { return s.LoginTimeout }, 20 * time.Second},
		{"UserAuthBanner", "Authorised users only", "", func(s *sftpserver.Server) any { return s.UserAuthBanner }, "Authorised users only"},
		{"KeyboardInteractiveMessage", "Answer:", "", func(s *sftpserver.Server) any { return s.KeyboardInteractiveMessage }, "Answer:"},
		{
			"KeyboardInteractivePrompts", "First prompt,echo=false;Second, prompt , Echo = yes ;Third", "First prompt,echo=False;Second, prompt ,echo=True;Third,echo=False",
			func(s *sftpserver.Server) any { return s.KeyboardInteractivePrompts[1] },
			ssh2.Prompt{Text: "Second, prompt ", Echo: true},
		},
		{"KeyboardInteractivePromptCount", "2", "", func(s *sftpserver.Server) any { return len(s.KeyboardInteractivePrompts) }, 2},
		{"RootDirectory", "/srv/files", "", func(s *sftpserver.Server) any { return s.RootDirectory }, "/srv/files"},
		{"RestrictUserToHomeDir", "On", "True", func(s *sftpserver.Server) any { return s.RestrictUserToHomeDir }, true},
		{"ReadOnly", "1", "True", func(s *sftpserver.Server) any { return s.ReadOnly }, true},
		{"ProtocolVersion", "6", "", func(s *sftpserver.Server) any { return s.ProtocolVersion }, 6},
		{"ServerEOL", "CRLF", "", func(s *sftpserver.Server) any { return s.ServerEOL }, "\r\n"},
		{"ServerEOL", "\r\n", "CRLF", func(s *sftpserver.Server) any { return s.ServerEOL }, "\r\n"},
		{"DirListBufferSize", "20", "", func(s *sftpserver.Server) any { return s.DirListBufferSize }, 20},
		{"UnixStyleDateFormat", "False", "", func(s *sftpserver.Server) any { return s.PlainDates }, true},
		{"ListDotEntries", "False", "", func(s *sftpserver.Server) any { return s.NoDotEntries }, true},
		{"CodePage", "1252", "", func(s *sftpserver.Server) any { return s.CodePage }, 1252},
		{"MaxHandles", "10", "", func(s *sftpserver.Server) any { return s.Limits.Handles }, 10},
		{"Concurrency", "2", "", func(s *sftpserver.Server) any { return s.Limits.Concurrency }, 2},
		{"UploadRate", "1M", "1048576", func(s *sftpserver.Server) any { return s.UploadRate }, int64(1 << 20)},
		{"DownloadRate", "500k", "512000", func(s *sftpserver.Server) any { return s.DownloadRate }, int64(500 << 10)},
		{"TotalUploadRate", "10M", "10485760", func(s *sftpserver.Server) any { return s.TotalUploadRate }, int64(10 << 20)},
		{"TotalDownloadRate", "7", "", func(s *sftpserver.Server) any { return s.TotalDownloadRate }, int64(7)},
		{"Extensions", "copy-data,check-file", "", func(s *sftpserver.Server) any { return len(s.Extensions) }, 2},
		{"ConcurrentEvents", "Yes", "True", func(s *sftpserver.Server) any { return s.ConcurrentEvents }, true},
		{"LogLevel", "0", "", func(s *sftpserver.Server) any { return s.LogLevel }, sftpserver.LogNone},
		{"LogLevel", "info", "1", func(s *sftpserver.Server) any { return s.LogLevel }, sftpserver.LogInfo},
		{"LogLevel", "2", "", func(s *sftpserver.Server) any { return s.LogLevel }, sftpserver.LogVerbose},
		{"LogLevel", "3", "", func(s *sftpserver.Server) any { return s.LogLevel }, sftpserver.LogDebug},
		{"MaskSensitiveData", "False", "", func(s *sftpserver.Server) any { return s.LogSecrets }, true},
		{"MaskSensitive", "False", "", func(s *sftpserver.Server) any { return s.LogSecrets }, true},
		{"UseInternalSecurityAPI", "True", "", nil, nil},
		{"SelectWaitMillis", "50", "", nil, nil},
	}
	done := map[string]bool{}
	for _, r := range rows {
		s := sftpserver.New()
		if _, err := s.Config(r.name + " = " + r.value); err != nil {
			t.Errorf("%s=%s: %v", r.name, r.value, err)
			continue
		}
		if got, err := s.Config(r.name); got != cmp.Or(r.back, r.value) || err != nil {
			t.Errorf("%s=%s reads %q, %v", r.name, r.value, got, err)
		}
		if r.field != nil {
			if got := r.field(s); got != r.want {
				t.Errorf("%s=%s: the field is %v, want %v", r.name, r.value, got, r.want)
			}
		}
		done[r.name] = true
	}
	for r := range sftpserver.Settings().Rows() {
		if r.Index == "" && r.When != settings.ReadOnly && r.Unsupported == nil && r.Group != "Host keys" && !done[r.Name] {
			t.Errorf("%s is not tested", r.Name)
		}
	}
}

// TestSettingsBadValues has values that each kind of row must refuse.
func TestSettingsBadValues(t *testing.T) {
	for _, expr := range []string{
		"LocalPort=65536", "UseIPv6=3", "MaxConnections=0", "MaxConnections=100001", "AllowedClients=10.0.0.0/33", "InBufferSize=-1", "DefaultTimeout=-1", "DefaultTimeout=soon",
		"Profile=best", "SSHEncryptionAlgorithms=aes257-ctr", "SSHMacAlgorithms=+none-such", "SSHKeyExchangeAlgorithms=", "SSHKeyExchangeAlgorithms=gss-group14-sha256-toWM5Slw5Ew8Mqkay+al2g==",
		"SSHPublicKeyAlgorithms=ed25519", "SSHCompressionAlgorithms=gzip", "UseStrictKeyExchange=4", "KeyRenegotiationThreshold=0", "SSHKeepAliveCountMax=0",
		"ServerSSHVersionString=Harbour", "ServerSSHVersionString=SSH-2.0-", "ServerSSHVersionString=SSH-2.0-a-b", "ServerSSHVersionString=SSH-2.0-a\r\nb",
		"DefaultAuthMethods=hope", "MaxAuthAttempts=0", "KeyboardInteractivePrompts=,echo=true", "KeyboardInteractivePrompts=a,echo=maybe", "KeyboardInteractivePromptCount=65", "KeyboardInteractivePromptCount=-1",
		"ProtocolVersion=2", "ProtocolVersion=7", "ServerEOL=LFCR", "DirListBufferSize=0", "CodePage=1", "CodePage=x", "LogLevel=4", "AltSSHCertCount=1000", "AltSSHCertCount=x",
	} {
		var bad *settings.ValueError
		s := sftpserver.New()
		if _, err := s.Config(expr); expr != "SSHKeyExchangeAlgorithms=" && (!errors.As(err, &bad) || sftpserver.ErrorCode(err) == 0) {
			t.Errorf("%s: %v, number %d", expr, err, sftpserver.ErrorCode(err))
		}
	}
}

// TestSettingsNumbers: what is wrong with a setting has a number.
func TestSettingsNumbers(t *testing.T) {
	running := sftpserver.New()
	running.RootDirectory = t.TempDir()
	start(t, running)
	for expr, want := range map[string]int{
		"MaxConection=5": 10022, "": 10022, "=": 10022, "LocalPort[1]=5": 10022, "SFTPConnectionUser": 10022, "Listening=True": 10022,
		"UseIOCP=True": 10045, "SFTPConnectionTimeout[none]": sftpserver.CodeUnknownConnection,
		"LocalPort=5": sftpserver.CodeLocalPort, "LocalHost=::1": sftpserver.CodeLocalHost, "MaxConnections=5": sftpserver.CodeMaxConnections,
	} {
		if _, err := running.Config(expr); err == nil || sftpserver.ErrorCode(err) != want {
			t.Errorf("%q: %v, number %d, want %d", expr, err, sftpserver.ErrorCode(err), want)
		}
	}
	s := sftpserver.New()
	if err := s.LoadSettings(strings.NewReader("LocalPort 5\nno such\n"), "f"); sftpserver.ErrorCode(err) != 10022 {
		t.Errorf("%v, number %d", err, sftpserver.ErrorCode(err))
	}
}

// TestPlatformSettings: what other platforms have is known, what asks for nothing is taken, and the rest says why not.
func TestPlatformSettings(t *testing.T) {
	s := sftpserver.New()
	for name, harmless := range map[string]bool{"UseIOCP": false, "UseWindowsMessages": false, "ProcessIdleEvents": true} {
		if _, err := s.Config(fmt.Sprintf("%s=%t", name, harmless)); err != nil {
			t.Errorf("%s=%t: %v", name, harmless, err)
		}
		_, err := s.Config(fmt.Sprintf("%s=%t", name, !harmless))
		var platform *settings.PlatformError
		if !errors.As(err, &platform) || !errors.Is(err, errors.ErrUnsupported) || platform.Hint == "" {
			t.Errorf("%s=%t: %v", name, !harmless, err)
		}
		if got, err := s.Config(name); got != map[bool]string{true: "True", false: "False"}[harmless] || err != nil {
			t.Errorf("%s reads %q, %v", name, got, err)
		}
	}
	if info, err := s.Config("BuildInfo"); info == "" || err != nil {
		t.Errorf("BuildInfo: %q, %v", info, err)
	}
	var told *settings.ReadOnlyError
	for _, name := range []string{"BuildInfo", "LicenseInfo", "Listening", "SFTPConnectionCount", "Connections", "ConnectionUID[0]", "ClientSSHVersionString[1]", "NegotiatedStrictKex[1]"} {
		if _, err := s.Config(name + "=1"); !errors.As(err, &told) {
			t.Errorf("%s=1: %v", name, err)
		}
	}
}

// TestPrompts: the prompts by their parts, as the 2020 editions have them.
func TestPromptSettings(t *testing.T) {
	s := sftpserver.New()
	for _, expr := range []string{
		"KeyboardInteractivePromptCount=2", "KeyboardInteractivePromptPrompt[0]=Code: ", "KeyboardInteractivePromptPrompt[1]=Colour", "KeyboardInteractivePromptEcho[1]=True",
	} {
		if _, err := s.Config(expr); err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
	}
	if err := sftpserver.Settings().Set(s, "KeyboardInteractivePromptPrompt[0]", "Code: "); err != nil {
		t.Fatal(err)
	}
	if got, want := s.KeyboardInteractivePrompts, []ssh2.Prompt{{Text: "Code: "}, {Text: "Colour", Echo: true}}; !slices.Equal(got, want) {
		t.Error(got)
	}
	for expr, want := range map[string]string{
		"KeyboardInteractivePrompts": "Code: ,echo=False;Colour,echo=True", "KeyboardInteractivePromptEcho[1]": "True", "KeyboardInteractivePromptPrompt[0]": "Code: ",
		"KeyboardInteractivePromptCount": "2",
	} {
		if got, err := s.Config(expr); got != want || err != nil {
			t.Errorf("%s = %q, %v", expr, got, err)
		}
	}
	for _, expr := range []string{"KeyboardInteractivePromptPrompt[2]", "KeyboardInteractivePromptEcho[2]=True", "KeyboardInteractivePromptPrompt[2]=x"} {
		if _, err := s.Config(expr); err == nil {
			t.Errorf("%s: no error", expr)
		}
	}
	if _, err := s.Config("KeyboardInteractivePromptCount=1"); err != nil || len(s.KeyboardInteractivePrompts) != 1 {
		t.Error(err)
	}
}

// TestConfigWhileListening: what is fixed by then says so, with the number it has.
func TestConfigWhileListening(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	if got, err := s.Config("Listening"); got != "True" || err != nil {
		t.Errorf("Listening = %q, %v", got, err)
	}
	for _, c := range []struct {
		expr string
		code int
	}{{"LocalPort=1", 106}, {"LocalHost=127.0.0.2", 107}, {"MaxConnections=5", 108}, {"UseIPv6=1", 106}, {"ConnectionBacklog=1", 106}, {"BindExclusively=False", 106}, {"AltSSHCertCount=1", 106}, {"SSHCertSubject=*", 106}, {"KeyboardInteractivePromptCount=1", 106}} {
		_, err := s.Config(c.expr)
		var busy *settings.BusyError
		if !errors.As(err, &busy) || !errors.Is(err, sftpserver.ErrListening) || sftpserver.ErrorCode(err) != c.code {
			t.Errorf("%s: %v, number %d, want %d", c.expr, err, sftpserver.ErrorCode(err), c.code)
		}
	}
	if s.LocalPort == 1 || s.MaxConnections == 5 {
		t.Error("a setting was changed all the same")
	}
	if err := s.StopListening(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Config("LocalPort=1"); err != nil || s.LocalPort != 1 {
		t.Error(err)
	}
}

// dialIn is dial until the server, too, knows that the user is in: a client hears of it first.
func dialIn(tb testing.TB, s *sftpserver.Server) *ssh2.Client {
	tb.Helper()
	c := dial(tb, s)
	if _, err := c.Subsystem(tb.Context(), "sftp"); err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestConnectionSettings reads and sets those of a connection that is there, and of one that is not.
func TestConnectionSettings(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	client := dialIn(t, s)
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := s.Connection(id)
	if !ok {
		t.Fatalf("no connection %q", id)
	}
	for name, want := range map[string]string{
		"SFTPConnectionCount": "1", "Connections": id,
		"SFTPConnectionConnected[" + id + "]": "True", "SFTPConnectionRemoteHost[" + id + "]": "127.0.0.1", "SFTPConnectionLocalAddress[" + id + "]": "127.0.0.1",
		"SFTPConnectionRemotePort[" + id + "]": fmt.Sprint(conn.RemotePort()), "SFTPConnectionProtocolVersion[" + id + "]": "0",
		"ClientSSHVersionString[" + id + "]": client.Info().LocalIdent, "NegotiatedStrictKex[" + id + "]": "True",
		"DirListBufferSize[" + id + "]": "100", "SFTPConnectionTimeout[" + id + "]": "60",
	} {
		if got, err := s.Config(name); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, "0": -1, "1m": time.Minute} {
		if _, err := s.Config("SFTPConnectionTimeout[" + id + "]=" + value); err != nil || conn.Timeout() != want {
			t.Errorf("SFTPConnectionTimeout=%s: %v, %v", value, conn.Timeout(), err)
		}
	}
	if got, err := s.Config("SFTPConnectionTimeout[" + id + "]"); err != nil || got != "0" && got != "7" && got != "60" {
		t.Errorf("SFTPConnectionTimeout = %q, %v", got, err)
	}
	if _, err := s.Config("DirListBufferSize[" + id + "]=7"); err != nil {
		t.Error(err)
	}
	if got, _ := s.Config("DirListBufferSize[" + id + "]"); got != "7" {
		t.Error(got)
	}
	var bad *settings.ValueError
	for _, expr := range []string{"DirListBufferSize[" + id + "]=0", "SFTPConnectionConnected[" + id + "]=x"} {
		if _, err := s.Config(expr); !errors.As(err, &bad) {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for r := range sftpserver.Settings().Rows() {
		if r.Index != "connection" {
			continue
		}
		_, err := s.Config(r.Name + "[none]")
		if !errors.Is(err, sftpserver.ErrUnknownConnection) || sftpserver.ErrorCode(err) != 126 {
			t.Errorf("%s[none]: %v", r.Name, err)
		}
		if _, err := s.Config(r.Name + "[none]=1"); r.When != settings.ReadOnly && !errors.Is(err, sftpserver.ErrUnknownConnection) {
			t.Errorf("%s[none]=1: %v", r.Name, err)
		}
	}
	if _, err := s.Config("ConnectionUID[1]"); !errors.Is(err, sftpserver.ErrUnknownConnection) {
		t.Error(err)
	}
	// What is of the login comes too late. The client knows before the server that it is over.
	if _, err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, expr := range []string{"UserRootDirectory[" + id + "]=/", "RestrictUserToHomeDir[" + id + "]=True", "UserAuthBanner[" + id + "]=x", "KeyboardInteractivePrompts[" + id + "]=x"} {
		if _, err := s.Config(expr); err == nil {
			t.Errorf("%s after the login", expr)
		}
	}
	if _, err := s.Config("SFTPConnectionConnected[" + id + "]=True"); err != nil || !conn.Connected() {
		t.Error(err)
	}
	if _, err := s.Config("SFTPConnectionConnected[" + id + "]=False"); err != nil {
		t.Error(err)
	}
	if err := client.Wait(); err == nil {
		t.Error("the client was not told")
	}
}

// TestLoginSettings: settings of a login, made by the UserAuth handler through Config, hold for that login and no
// other, and read back afterwards.
func TestLoginSettings(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	own := t.TempDir()
	var later atomic.Bool
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		accept(e)
		if id := e.ConnectionID(); !later.Load() && e.Method == "password" {
			for _, expr := range []string{"UserRootDirectory[" + id + "]=" + own, "RestrictUserToHomeDir[" + id + "]=yes", "UserAuthBanner[" + id + "]=Ahoy", "KeyboardInteractivePrompts[" + id + "]=Code,echo=on"} {
				if _, err := s.Config(expr); err != nil {
					t.Error(err)
				}
			}
			if got, err := s.Config("UserAuthBanner[" + id + "]"); got != "Ahoy" || err != nil {
				t.Errorf("banner %q, %v", got, err)
			}
		}
	}
	start(t, s)
	for i, want := range []map[string]string{
		{"UserRootDirectory": own, "RestrictUserToHomeDir": "True", "KeyboardInteractivePrompts": "Code,echo=True"},
		{"UserRootDirectory": s.RootDirectory, "RestrictUserToHomeDir": "False", "KeyboardInteractivePrompts": ""},
	} {
		connect(t, s) // and not just dial: then the login is over for the server, too
		later.Store(true)
		id, err := s.Config(fmt.Sprintf("ConnectionUID[%d]", i))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if got, err := s.Config(name + "[" + id + "]"); got != value || err != nil {
				t.Errorf("connection %d: %s = %q, %v, want %q", i, name, got, err, value)
			}
		}
	}
}
