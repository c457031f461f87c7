package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// configOf reads text as the user's configuration.
func configOf(text string) *sshConfig {
	return &sshConfig{
		files: []configFile{{"config", text}}, me: account{name: "me", home: "/home/me"},
		env: func(string) string { return "" }, run: func(string) bool { return false },
	}
}

func lookUp(t *testing.T, c *sshConfig, alias string) *hostSettings {
	t.Helper()
	h, err := c.lookUp(alias, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestSSHConfigEveryOption: each row of the table is set by a file and by -o.
func TestSSHConfigEveryOption(t *testing.T) {
	values := map[string]struct {
		value string
		is    func(h *hostSettings) bool
	}{
		"HostName":            {"10.0.0.1", func(h *hostSettings) bool { return h.hostName == "10.0.0.1" }},
		"User":                {"anna", func(h *hostSettings) bool { return h.user == "anna" }},
		"Port":                {"2022", func(h *hostSettings) bool { return h.port == "2022" }},
		"ProxyJump":           {"a,b", func(h *hostSettings) bool { return h.proxyJump == "a,b" }},
		"ProxyCommand":        {"nc %h %p", func(h *hostSettings) bool { return h.proxyCommand == "nc %h %p" }},
		"AddressFamily":       {"inet6", func(h *hostSettings) bool { return h.addressFamily == "tcp6" }},
		"BindAddress":         {"::1", func(h *hostSettings) bool { return h.bindAddress == "::1" }},
		"ConnectTimeout":      {"1m30", func(h *hostSettings) bool { return h.connectTimeout == 90*time.Second }},
		"ServerAliveInterval": {"7", func(h *hostSettings) bool { return h.aliveInterval == 7*time.Second }},
		"ServerAliveCountMax": {"5", func(h *hostSettings) bool { return h.aliveCount == 5 }},
		"IdentityFile": {"~/k", func(h *hostSettings) bool {
			return slices.Equal(h.identityFiles, []string{filepath.Join("/home/me", "k")})
		}},
		"CertificateFile":              {"/c", func(h *hostSettings) bool { return slices.Equal(h.certificateFiles, []string{"/c"}) }},
		"IdentitiesOnly":               {"yes", func(h *hostSettings) bool { return h.identitiesOnly }},
		"IdentityAgent":                {"none", func(h *hostSettings) bool { return h.identityAgent == "none" }},
		"PubkeyAuthentication":         {"no", func(h *hostSettings) bool { return !h.publicKeys }},
		"PasswordAuthentication":       {"no", func(h *hostSettings) bool { return !h.passwords }},
		"KbdInteractiveAuthentication": {"no", func(h *hostSettings) bool { return !h.prompts }},
		"PreferredAuthentications":     {"password,publickey", func(h *hostSettings) bool { return slices.Equal(h.methods, []string{"password", "publickey"}) }},
		"NumberOfPasswordPrompts":      {"1", func(h *hostSettings) bool { return h.passwordPrompts == 1 }},
		"BatchMode":                    {"yes", func(h *hostSettings) bool { return h.batch }},
		"StrictHostKeyChecking":        {"off", func(h *hostSettings) bool { return h.strict == "accept-new" }},
		"UserKnownHostsFile":           {`/a /b`, func(h *hostSettings) bool { return slices.Equal(h.userKnownHosts, []string{"/a", "/b"}) }},
		"GlobalKnownHostsFile":         {"/g", func(h *hostSettings) bool { return slices.Equal(h.globalKnown, []string{"/g"}) }},
		"HostKeyAlias":                 {"other", func(h *hostSettings) bool { return h.hostKeyAlias == "other" }},
		"HashKnownHosts":               {"yes", func(h *hostSettings) bool { return h.hashKnownHosts }},
		"Compression":                  {"yes", func(h *hostSettings) bool { return h.compression }},
		"Ciphers":                      {"+aes128-cbc,no-such-cipher", func(h *hostSettings) bool { return h.ciphers == "+aes128-cbc" }},
		"MACs":                         {"hmac-sha2-256", func(h *hostSettings) bool { return h.macs == "hmac-sha2-256" }},
		"KexAlgorithms":                {"^curve25519-sha256", func(h *hostSettings) bool { return h.kex == "^curve25519-sha256" }},
		"HostKeyAlgorithms":            {"-ecdsa-*", func(h *hostSettings) bool { return h.hostKeyAlgorithms == "-ecdsa-*" }},
		"PubkeyAcceptedAlgorithms":     {"ssh-ed25519", func(h *hostSettings) bool { return h.pubkeyAlgorithms == "ssh-ed25519" }},
		"RequiredRSASize":              {"3072", func(h *hostSettings) bool { return h.minRSABits == 3072 }},
	}
	for _, o := range sshOptions {
		v, ok := values[o.name]
		if !ok {
			t.Errorf("%s has no value in this test", o.name)
			continue
		}
		if v.is(lookUp(t, configOf(""), "h")) {
			t.Errorf("%s: the value is the default", o.name)
		}
		if h := lookUp(t, configOf("Host h\n\t"+o.name+" = "+v.value+"\nHost *\n "+o.name+" "+v.value), "h"); !v.is(h) && !o.many {
			t.Errorf("%s %s in a file: %+v", o.name, v.value, h)
		}
		if h := lookUp(t, configOf(strings.ToUpper(o.name)+" "+v.value), "h"); !v.is(h) {
			t.Errorf("%s %s in a file: %+v", o.name, v.value, h)
		}
		c := configOf("")
		if err := c.give(o.name + "=" + v.value); err != nil {
			t.Fatal(err)
		}
		if h := lookUp(t, c, "h"); !v.is(h) {
			t.Errorf("-o %s=%s: %+v", o.name, v.value, h)
		}
	}
}

// TestSSHConfigFirstWins: command line, then -o, then the files in their order.
func TestSSHConfigFirstWins(t *testing.T) {
	c := configOf("Host one\n  User a\n  IdentityFile /a\nHost *\n  User b\n  Port 3\n  IdentityFile /b\n")
	c.files = append(c.files, configFile{"system", "User c\nBatchMode yes\nIdentityFile /c\n"})
	h := lookUp(t, c, "one")
	if h.user != "a" || h.port != "3" || !h.batch || !slices.Equal(h.identityFiles, []string{"/a", "/b", "/c"}) {
		t.Errorf("%+v", h)
	}
	if err := c.give("User d"); err != nil {
		t.Fatal(err)
	}
	if h := lookUp(t, c, "one"); h.user != "d" {
		t.Errorf("user %q, want that of -o", h.user)
	}
	if h, err := c.lookUp("one", "e", "99"); err != nil || h.user != "e" || h.port != "99" {
		t.Errorf("%+v, %v, want those of the target", h, err)
	}
}

func TestSSHConfigMatch(t *testing.T) {
	const file = `
Host alias
	HostName real.example.com
	User early
Match originalhost alias host *.example.com,!b.example.com
	Port 1001
Match user early localuser me
	ConnectTimeout 11
Match user late
	Port 1002
Match !host real.example.com
	Port 1003
Match host real.example.com exec "test %h"
	BatchMode yes
Match exec="other %n" all
	Compression yes
Match host nobody exec "never"
	Port 1004
Match final all
	HashKnownHosts yes
Match all
	User none
	BindAddress last
`
	var ran []string
	c := configOf(file)
	c.run = func(s string) bool { ran = append(ran, s); return strings.HasPrefix(s, "test") }
	h := lookUp(t, c, "alias")
	if h.port != "1001" || h.user != "early" || h.connectTimeout != 11*time.Second || !h.batch || h.compression || h.hashKnownHosts || h.bindAddress != "last" {
		t.Errorf("%+v", h)
	}
	if want := []string{"test real.example.com", "other alias"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	if h := lookUp(t, configOf(file), "elsewhere"); h.port != "1003" || h.user != "none" {
		t.Errorf("%+v", h)
	}
	for _, bad := range []string{"Match tagged x\n", "Match host\n", "Match host \"a\n", "Match exec %z\n"} {
		if _, err := configOf("\n"+bad).lookUp("h", "", ""); err == nil || !strings.Contains(err.Error(), "config:2: Match:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSSHConfigHosts: patterns with tabs, several, negated.
func TestSSHConfigHosts(t *testing.T) {
	c := configOf("Host\ta\t*.b !x.b\n\tPort 5\n")
	for alias, port := range map[string]string{"a": "5", "y.b": "5", "x.b": "22", "c": "22"} {
		if h := lookUp(t, c, alias); h.port != port {
			t.Errorf("%s: port %s, want %s", alias, h.port, port)
		}
	}
}

func TestSSHConfigInclude(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "more")
	if err := os.WriteFile(file, []byte("Host h\n  Port 77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := lookUp(t, configOf("Include "+file+"\nHost *\n Port 1\n"), "h"); h.port != "77" {
		t.Errorf("port %s", h.port)
	}
}

func TestSSHConfigTokens(t *testing.T) {
	c := configOf("HostName %h.example.com\nUserKnownHostsFile ~/%k ${DIR}/%p \"/with space\"\nIdentityAgent ${DIR}/agent-%r\n")
	c.env = func(name string) string { return map[string]string{"DIR": "/run"}[name] }
	h := lookUp(t, c, "web")
	if h.hostName != "web.example.com" || h.identityAgent != "/run/agent-me" ||
		!slices.Equal(h.userKnownHosts, []string{filepath.Join("/home/me", "web"), "/run/22", "/with space"}) {
		t.Errorf("%+v", h)
	}
	for _, bad := range []string{
		"IdentityFile /%z", "IdentityFile /%", "IdentityFile ${NONE}/x", "IdentityFile ${x", "HostName %p", "HostName -oX=y", "Port 0", "BatchMode perhaps",
		"AddressFamily inet5", "ConnectTimeout 1y", "Ciphers none-such", "NumberOfPasswordPrompts x", "User a;b",
	} {
		if _, err := configOf(bad).lookUp("h", "", ""); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestCVE_9_4_ProxyCommandTokens: no host, alias or user does more in a command than
// stand for itself.
func TestCVE_9_4_ProxyCommandTokens(t *testing.T) {
	for _, bad := range []string{"$(id)", "a;b", "`id`", "a\nb", "-x", "a b", "a'b", "a|b", "a\x00b", "$HOME", `a\b`} {
		for _, x := range []byte("hnrk") {
			if got, err := expandCommand("nc %"+string(x), map[byte]string{x: bad}); err == nil {
				t.Errorf("%%%c is %q: %q", x, bad, got)
			}
		}
		if h, err := configOf("").lookUp(bad, "", ""); err == nil {
			t.Errorf("host %q: %+v", bad, h)
		}
	}
	if got, err := expandCommand("nc -x %r@%h:%p 100%%", map[byte]string{'h': "h.example.com", 'p': "22", 'r': "me"}); err != nil || got != "nc -x me@h.example.com:22 100%" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSSHConfigGiven(t *testing.T) {
	for in, want := range map[string]string{"Port=7": "7", "port 7": "7", "Port = 7": "7", "Port \"7\"": "7", " PORT=7 ": "7"} {
		c := configOf("")
		if err := c.give(in); err != nil {
			t.Errorf("%q: %v", in, err)
		} else if h := lookUp(t, c, "h"); h.port != want {
			t.Errorf("%q: port %s", in, h.port)
		}
	}
	for _, bad := range []string{"Port", "Port=", "Port=x", "LocalForward=1 2:3", "=x", ""} {
		if err := configOf("").give(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	c := configOf("")
	if err := c.give("ProxyCommand=nc -o a=b %h"); err != nil {
		t.Fatal(err)
	}
	if h := lookUp(t, c, "h"); h.proxyCommand != "nc -o a=b %h" {
		t.Errorf("%q", h.proxyCommand)
	}
	if c = configOf(""); c.give("PreferredAuthentications publickey") != nil || !slices.Equal(lookUp(t, c, "h").methods, []string{ssh2.MethodPublicKey}) {
		t.Error("methods")
	}
}

// FuzzSSHConfig: a file makes lookUp fail with an error at most.
func FuzzSSHConfig(f *testing.F) {
	for _, s := range []string{"Host a b\n Port 1\nMatch user x\n User y", "Match exec \"x\" host !a\nUser =\"b\"", "Host \t*?\nHostName %h\n#x\n", "Port=\x00", "match all\r\n User x\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // would read files of this host
		}
		_, _ = configOf(text).lookUp("host", "", "")
	})
}
