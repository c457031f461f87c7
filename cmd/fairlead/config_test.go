package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/settings"
)

// A good key and a good hash ("secret", cheap), as lines.
const (
	goodKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
	goodHash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7" // of "password"
)

// nowhere is a disk on which every directory is there, and the files of the map.
func nowhere(files fstest.MapFS) disk {
	return disk{
		read: func(name string, _ int64) ([]byte, error) {
			return files.ReadFile(strings.TrimPrefix(filepath.ToSlash(name), "/"))
		},
		stat: func(name string) (fs.FileInfo, error) {
			if strings.Contains(name, "missing") {
				return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
			}
			return fstest.MapFS{"x": {Mode: fs.ModeDir}}.Stat("x")
		},
		hostKeys: func([]string, *slog.Logger) ([]gossh.Signer, error) { return nil, nil },
	}
}

// loadText reads a configuration that lies nowhere.
func loadText(text string, files fstest.MapFS) (*config, error) {
	c := defaults(&options{config: "f.conf"})
	c.disk = nowhere(files)
	return c, c.load(strings.NewReader(text), "f.conf")
}

// TestConfigTables: the tables contradict neither themselves nor their defaults, and no row of the command hides one that
// it does not mean to.
func TestConfigTables(t *testing.T) {
	if err := configTable.Check(); err != nil {
		t.Error(err)
	}
	if err := userTable.Check(); err != nil {
		t.Error(err)
	}
	if c := defaults(&options{}); len(c.notes.records) > 0 {
		t.Errorf("%v", c.notes.records)
	}
	names := map[string]bool{}
	for r := range configTable.Rows() {
		names[r.Name] = true
	}
	for name := range commandDefaults {
		if !names[name] {
			t.Errorf("a default of %s, which no file can set", name)
		}
	}
	for _, name := range without {
		if names[name] {
			t.Errorf("%s is there", name)
		}
	}
	for _, name := range []string{"RootDirectory", "MaxConnections", "AllowedClients", "DefaultTimeout", "SSHEncryptionAlgorithms", "UserAuthBanner", "Profile"} {
		if !names[name] {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestConfigFile(t *testing.T) {
	c, err := loadText(`
LocalPort 2200
MaxConnections 50
LogLevel warn
LogFormat json
DisconnectRemovedUsers yes

User alice
    PasswordHash `+goodHash+`
    PublicKey `+goodKey+` alice@laptop
    PublicKey from="10.0.0.0/8" `+goodKey+`
    AuthorizedKeysFile /keys
    RequiredMethods publickey+password, publickey+publickey
    SourceAddress 192.0.2.7, 2001:db8::/32
    RootDirectory /srv/alice
    HomeDir /home/alice
    RestrictUserToHomeDir yes
    ReadOnly yes
    Deny lock
    Rule list,stat,read /pub dir
    Rule all /in
    RefuseNames *.exe, .ht*
    MaxFileSize 1G
    MaxDepth 8
    Quota 10 GiB
    QuotaFiles 1000
    MaxSessions 2
    UploadRate 1M
    DownloadRate 500k

User "bob the builder"
    PasswordHash $2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga
    RootDirectory /srv/bob
    Disabled yes
`, fstest.MapFS{"keys": {Data: []byte("# mine\n" + goodKey + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if c.server.LocalPort != 2200 || c.server.MaxConnections != 50 || c.logLevel != slog.LevelWarn || c.logFormat != "json" || !c.disconnectRemoved || c.server.LocalHost != defaultHost {
		t.Errorf("%+v", c.server.Options)
	}
	if len(c.users) != 2 || c.users[1].name != "bob the builder" || !c.users[1].disabled {
		t.Fatalf("%d users", len(c.users))
	}
	u := c.users[0]
	if len(u.keys) != 3 || u.hash.String() != goodHash || methodsText(u.require) != "publickey+password, publickey+publickey" || len(u.sources) != 2 || u.keys[1].from == nil {
		t.Errorf("%+v", u)
	}
	if u.home != "/home/alice" || !u.restrict || u.quota.Bytes != 10<<30 || u.quota.Files != 1000 || u.maxSessions != 2 || filepath.ToSlash(u.root) != "/srv/alice" {
		t.Errorf("%+v", u)
	}
	if u.upRate != 1<<20 || u.downRate != 500<<10 {
		t.Errorf("rates %d and %d", u.upRate, u.downRate)
	}
	p := u.limited
	if p == nil || p.MaxFileSize != 1<<30 || p.MaxDepth != 8 || len(p.Rules) != 2 || p.Rules[0].Path != "/pub dir" || !slices.Equal(p.RefuseNames, []string{"*.exe", ".ht*"}) || !slices.Contains(p.Deny, "write") {
		t.Errorf("%+v", p)
	}
	if c.users[1].limited != nil {
		t.Errorf("bob is restricted: %+v", c.users[1].limited)
	}
}

// TestCVE_10_8_ConfigFaults: whatever is wrong is told, all of it, with the line; nothing
// is guessed.
func TestCVE_10_8_ConfigFaults(t *testing.T) {
	for text, want := range map[string][]string{
		"MaxConection 5": {`f.conf:1: unknown setting "MaxConection"; did you mean MaxConnections?`},
		"RootDir /srv":   {`f.conf:1: unknown setting "RootDir"; did you mean RootDirectory?`},
		"User a\nPasswordHash " + goodHash + "\nRootDirectory /srv\nRule wrte /in": {
			`f.conf:4: Rule: unknown permission "wrte": want stat, list, read, create, write, `,
		},
		"LocalPort 70000\nLogLevel loud\nLogFormat xml\nRootDirectory /missing": {
			"f.conf:1: LocalPort", "f.conf:2: LogLevel", "f.conf:3: LogFormat", "f.conf:4: RootDirectory: /missing: file does not exist",
		},
		"PasswordHash x\nUser a\nRootDirectory /srv\nLocalPort 22\nPasswordHash " + goodHash: {
			`f.conf:1: unknown setting "PasswordHash" here: it stands behind User, in a block`,
			`f.conf:4: unknown setting "LocalPort" here: it stands in front of the first block`,
		},
		"TrustedUserCAKeys /none\nRevokedKeys /bad\nTrustedUserCAKeys /options": {
			"f.conf:1: TrustedUserCAKeys: /none: file does not exist", "f.conf:2: RevokedKeys: /bad: line 2: is no public key", "f.conf:3: TrustedUserCAKeys: /options: line 1: has options",
		},
		"User a\nRootDirectory /srv\nPrincipals b":                                                                   {`f.conf:1: user "a" cannot log in`},
		"TrustedUserCAKeys /ca\nUser a\nRootDirectory /srv\nPrincipals none":                                         {`f.conf:2: user "a" cannot log in`},
		"TrustedUserCAKeys /ca\nUser a\nRootDirectory /srv\nPrincipals a, none":                                      {"f.conf:4: Principals: none stands alone"},
		"TrustedUserCAKeys /ca\nUser a\nRootDirectory /srv\nPrincipals none\nPrincipals a\nPasswordHash " + goodHash: {"f.conf:5: Principals: none stands alone"},
		"TrustedUserCAKeys /ca\nUser a\nRootDirectory /srv\nPrincipals a,,b":                                         {"f.conf:4: Principals: a principal is empty"},
		"SSHEncryptionAlgorithms aes128-gcm@openssh.com,aes999":                                                      {"f.conf:1: SSHEncryptionAlgorithms"},
		"BlockedClients 10.0.0.0/99":                                                                                 {"f.conf:1: BlockedClients"},
		"UseIOCP yes":                                                                                                {"f.conf:1: UseIOCP"},
		"UserRootDirectory[7] /x":                                                                                    {"f.conf:1: unknown setting"},
		"User *\nPasswordHash " + goodHash:                                                                           {"f.conf:1: a block is for one user"},
		"User":                                                                                                       {"f.conf:1: User"},
		"User a\\x01\nx y":                                                                                           {"f.conf:2: unknown setting"},
		"User \"a\\x01\"\nRootDirectory /srv":                                                                        {"f.conf:1: nobody can log in by this name"},
		"User a\nRootDirectory /srv":                                                                                 {`f.conf:1: user "a" cannot log in`},
		"User a\nPasswordHash " + goodHash:                                                                           {`f.conf:1: user "a" has no RootDirectory`},
		"User a\nRootDirectory /srv\nPasswordHash " + goodHash + "\nUser b\nRootDirectory /srv\nPasswordHash " + goodHash + "\nUser a\nPasswordHash x": {
			`f.conf:7: user "a" has a block already, at line 1`,
		},
		"User a\nPasswordHash secret\nPublicKey x\nAuthorizedKeysFile none\nRequiredMethods gssapi\nSourceAddress host\nRootDirectory /missing\nHomeDir here\nAllow red\nDeny INIT\nRule /x\nRule read [\nRefuseNames [\nMaxFileSize -1\nQuota x\nMaxSessions -1\nShell /bin/sh\nPasswordHash " + goodHash: {
			"f.conf:2: PasswordHash: not a hash", "f.conf:3: PublicKey", "f.conf:4: AuthorizedKeysFile: none: file does not exist",
			`f.conf:5: RequiredMethods: "gssapi"`, `f.conf:6: SourceAddress: "host"`, "f.conf:7: RootDirectory: /missing: file does not exist", "f.conf:8: HomeDir",
			"f.conf:9: Allow", "f.conf:10: Deny", "f.conf:11: Rule", "f.conf:12: Rule", "f.conf:13: RefuseNames", "f.conf:14: MaxFileSize",
			"f.conf:15: Quota", "f.conf:16: MaxSessions", `f.conf:17: unknown setting "Shell"`, "f.conf:18: PasswordHash is set a second time",
		},
		"User a\nRootDirectory /srv\nPasswordHash " + goodHash + "\nRequiredMethods publickey":                                   {"f.conf:1: user \"a\" cannot log in with publickey: no key is given"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nRequiredMethods publickey+publickey":                             {"there are 1 keys"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nRequiredMethods password":                                        {"no PasswordHash is given"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nRestrictUserToHomeDir yes":                                       {"restricted to a HomeDir"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nRule all /x\nRule read /x":                                       {"f.conf:5: Rule: there is a rule for /x already"},
		"RestrictUserToHomeDir yes\nUser a\nRootDirectory /srv\nPublicKey " + goodKey:                                            {"f.conf:2: user \"a\" is restricted to a HomeDir"},
		"User a\nRootDirectory /srv\nPublicKey command=\"id\" " + goodKey:                                                        {"f.conf:3: PublicKey"},
		"User a\nRootDirectory /srv\nPasswordHash $argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7": {"m=4194304 is not from"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nDisabled perhaps":                                                {"f.conf:4: Disabled"},
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nLocalPort 22":                                                    {`f.conf:4: unknown setting "LocalPort"`},
	} {
		_, err := loadText(text, fstest.MapFS{
			"ca":      {Data: []byte(goodKey)},
			"bad":     {Data: []byte(goodKey + "\nssh-ed25519 A\n")},
			"options": {Data: []byte("cert-authority " + goodKey)},
		})
		var faults settings.Faults
		if !errors.As(err, &faults) || len(faults) != len(want) {
			t.Errorf("%q:\n%v\nwant %q", text, err, want)
			continue
		}
		for i, f := range faults {
			if !strings.Contains(f.Error(), want[i]) && !strings.Contains(filepath.ToSlash(f.Error()), want[i]) {
				t.Errorf("%q: %q, want %q", text, f, want[i])
			}
			if strings.Contains(f.Error(), "ZVrRXq") {
				t.Errorf("a digest in %q", f)
			}
		}
	}
}

const configPage = "../../docs/config.md"

// TestConfigPage: the page of the file has the tables as they are, and examples that work.
func TestConfigPage(t *testing.T) {
	data, err := os.ReadFile(configPage)
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(data), "\r\n", "\n")
	// What the component's settings mean is on their own page.
	var table bytes.Buffer
	if err := settings.New(nil, commandRows...).Markdown(&table, new(config).userSection()); err != nil {
		t.Fatal(err)
	}
	table.WriteString("\n## Settings of the component\n\nThey are described in [settings.md](settings.md), and these may stand in the file. What that page says of handlers and events\nis for programs that use the component; the command has neither:\n")
	group := ""
	for _, r := range componentRows() {
		if !slices.ContainsFunc(commandRows, func(o settings.Row[config]) bool { return o.Name == r.Name }) {
			if r.Group != group {
				group = r.Group
				table.WriteString("\n- " + group + ":")
			}
			table.WriteString(" `" + r.Name + "`")
		}
	}
	table.WriteString("\n")
	// The rest of the page is about the command, which has no events.
	if strings.Count(page, "event") > 1 {
		t.Error("the page speaks of events")
	}
	const mark = "<!-- all settings, made by go test ./cmd/fairlead -run ConfigPage -update -->\n"
	head, _, ok := strings.Cut(page, mark)
	if !ok {
		t.Fatal("the page has no place for the settings")
	}
	now := head + mark + table.String()
	switch {
	case now == page:
	case *update:
		if err := os.WriteFile(configPage, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/config.md is stale: go test ./cmd/fairlead -run ConfigPage -update")
	}
	examples := regexp.MustCompile("(?ms)^```conf\n(.*?)^```$").FindAllStringSubmatch(head, -1)
	if len(examples) < 3 {
		t.Errorf("%d examples", len(examples))
	}
	for _, e := range examples {
		c, err := loadText(e[1], fstest.MapFS{
			"etc/fairlead/alice.keys": {Data: []byte(goodKey)}, "etc/fairlead/user_ca.pub": {Data: []byte(goodKey)}, "etc/fairlead/revoked_keys": {Data: []byte(goodKey)},
		})
		if err != nil {
			t.Errorf("%v in\n%s", err, e[1])
		}
		if strings.Contains(e[1], "User ") && len(c.users) == 0 {
			t.Errorf("no user in\n%s", e[1])
		}
	}
}

// FuzzConfig: no file makes the reader fall over, or lets somebody in who could not be
// meant: every user that is read has a way to log in, a root and a policy that is good.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"User a\nRootDirectory /srv\nPasswordHash " + goodHash + "\nRule all /\nQuota 1k\n",
		"User a\nRootDirectory /srv\nPublicKey " + goodKey + "\nRequiredMethods publickey+publickey,password\n",
		"LocalPort 1\nUser \"\\x00\"\nUser *\nSourceAddress 1.2.3.4/33,::\nRefuseNames [\nAllow OPEN\n",
		"PasswordHash " + goodHash + "\nRootDirectory=\nUser a\nHomeDir /../..\nAuthorizedKeysFile k\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := loadText(text, fstest.MapFS{"k": {Data: []byte(goodKey)}})
		if err != nil {
			return
		}
		a := newAccounts(c)
		for _, u := range c.users {
			if u.name == "" || len(u.methods()) == 0 && !u.disabled || c.rootOf(u) == "" || slices.Contains(strings.Split(u.home, "/"), "..") {
				t.Errorf("%q: %+v", text, u)
			}
			if u.limited != nil && u.limited.Check() != nil {
				t.Errorf("%q: bad policy", text)
			}
			if a.key(u.name, "") != nil || u.hash.IsZero() && a.plain.password != "" {
				t.Errorf("%q: lets somebody in for nothing", text)
			}
		}
		if a.password(t.Context(), "", "") {
			t.Errorf("%q: lets nobody in", text)
		}
	})
}
