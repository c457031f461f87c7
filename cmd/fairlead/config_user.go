package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/fairlead-ssh/fairlead/internal/pwhash"
	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A userConfig is a user who may log in: a User block, or what the flags say. It does not
// change once it is read.
type userConfig struct {
	name     string
	password string // of the flags; empty: no password is good but that of hash
	madeUp   bool   // password was made up for this run
	hash     pwhash.Hash
	keys     []authorizedKey
	// principals are those of which a certificate needs one; nil stands for the name.
	principals []string

	root, home       string
	restrict         bool
	disabled         bool
	readOnly         bool
	policy           sftp.Policy
	ruled            map[string]bool // the paths of its rules
	limited          *sftp.Policy    // policy, with readOnly in it; nil if nothing is restricted
	quota            sftp.Usage
	maxSessions      int
	upRate, downRate int64          // octets per second; 0: as for all
	onUpload         *string        // the program; nil: the one for all
	sources          []netip.Prefix // nil: from anywhere
	require          [][]string     // what is enough, each in this order; nil: each method

	config *config
}

// userTable has the settings of a User block.
var userTable = settings.New(nil, rowsOf(groupUser, settings.Runtime, []settings.Row[userConfig]{
	{
		Name: "PasswordHash", Secret: true, Type: "hash",
		Doc: "The password, as `fairlead passwd` prints it: argon2id as a PHC string (`$argon2id$v=19$m=65536,t=3,p=4$...`), or bcrypt (`$2b$12$...`). Without it no password is good.",
		Set: func(u *userConfig, _, v string) (err error) {
			u.hash, err = pwhash.Parse(v)
			return own(err)
		},
	},
	{
		Name: "PublicKey", Repeat: true, Type: "line",
		Doc: "A key that may log in, as a line of authorized_keys: `ssh-ed25519 AAAA... comment`, with `from=\"10.0.0.0/8\"` in front if it is to come from there.",
		Get: func(u *userConfig, _ string) (string, error) { return strconv.Itoa(len(u.keys)) + " keys", nil },
		Set: func(u *userConfig, _, v string) error {
			keys, err := parseAuthorizedKeys([]byte(v))
			if err != nil {
				return errors.New(strings.TrimPrefix(err.Error(), "line 1: "))
			}
			u.keys = append(u.keys, keys...)
			return nil
		},
	},
	{
		Name: "AuthorizedKeysFile", Repeat: true, Type: "file",
		Doc: "A file of such lines. It is read with the configuration, at the start and at SIGHUP.",
		Set: func(u *userConfig, _, v string) error {
			name := u.config.path(v)
			data, err := u.config.disk.read(name, maxKeyFile)
			if err != nil {
				return fmt.Errorf("%s: %w", name, bareFile(err))
			}
			keys, err := parseAuthorizedKeys(data)
			if err != nil {
				return err
			}
			u.config.ownFile(name, false)
			u.keys = append(u.keys, keys...)
			return nil
		},
	},
	{
		Name: "Principals", Repeat: true, Type: "list",
		Doc: "The principals of which a certificate needs one, signed by one of TrustedUserCAKeys, to log this user in; without it the user's name. `none` keeps certificates out.",
		Get: func(u *userConfig, _ string) (string, error) { return strings.Join(u.principals, ", "), nil },
		Set: (*userConfig).addPrincipals,
	},
	{
		Name: "RequiredMethods", Type: "list",
		Doc: "What is enough to log in, where that is more than one method or not each: `publickey+password` is a key and then the password, `publickey+publickey` two keys, and a comma is between alternatives. The password may be given as an answer of keyboard-interactive, too.",
		Get: func(u *userConfig, _ string) (string, error) { return methodsText(u.require), nil },
		Set: func(u *userConfig, _, v string) (err error) {
			u.require, err = parseMethods(v)
			return err
		},
	},
	{
		Name: "SourceAddress", Repeat: true, Type: "list",
		Doc: "Addresses and networks that the user may come from, as `192.0.2.7, 10.0.0.0/8, 2001:db8::/32`; without it from anywhere.",
		Set: func(u *userConfig, _, v string) error {
			for text := range strings.SplitSeq(v, ",") {
				p, err := parseSource(strings.TrimSpace(text))
				if err != nil {
					return err
				}
				u.sources = append(u.sources, p)
			}
			return nil
		},
	},
	{
		Name: "Disabled", Default: "False",
		Doc:   "Keeps the user out, and the block in the file.",
		Field: func(u *userConfig) any { return &u.disabled },
	},
	{
		Name: "RootDirectory", Type: "directory",
		Doc: "The local directory that this user sees as `/`; nothing above it can be reached.",
		Get: func(u *userConfig, _ string) (string, error) { return u.root, nil },
		Set: func(u *userConfig, _, v string) (err error) {
			u.root, err = u.config.directory(v)
			return err
		},
	},
	{
		Name: "HomeDir", Type: "path",
		Doc: "Where the user begins, as seen from the user's root: `/home/alice`.",
		Get: func(u *userConfig, _ string) (string, error) { return u.home, nil },
		Set: func(u *userConfig, _, v string) error {
			if !path.IsAbs(v) || path.Clean(v) != v {
				return errors.New("want a path from the user's root, such as /home/alice")
			}
			u.home = v
			return nil
		},
	},
	{
		Name: "RestrictUserToHomeDir", Default: "False",
		Doc:   "Confines the user to HomeDir and what is below; paths stay as seen from the root.",
		Field: func(u *userConfig) any { return &u.restrict },
	},
	{
		Name: "ReadOnly", Default: "False",
		Doc:   "Refuses the user whatever would change anything.",
		Field: func(u *userConfig) any { return &u.readOnly },
	},
	{
		Name: "Allow", Repeat: true, Type: "list",
		Doc: "The only operations that are let through: permissions (see Rule), requests by their name (`RENAME`), or extended requests (`posix-rename@openssh.com`).",
		Set: func(u *userConfig, _, v string) error { return u.operations(&u.policy.Allow, v) },
	},
	{
		Name: "Deny", Repeat: true, Type: "list",
		Doc: "Operations that are refused, also if Allow has them.",
		Set: func(u *userConfig, _, v string) error { return u.operations(&u.policy.Deny, v) },
	},
	{
		Name: "Rule", Repeat: true, Type: "permissions path",
		Doc: "What is allowed with names: permissions with commas, a blank, and a path or pattern from the user's root, such as `list,stat,read /pub`, `all /in/**/*.csv` or `none *.key`. It covers what is below, too. The last rule that covers a name decides, and once there is one, what no rule covers is refused. Permissions are stat, list, read, create, write, mkdir, remove, rmdir, rename, setstat, symlink, hardlink, lock, readonly, all and none.",
		Set: (*userConfig).addRule,
	},
	{
		Name: "RefuseNames", Repeat: true, Type: "list",
		Doc: "Patterns of names that may not be given to files and directories, as `*.exe, .ht*`, in any case.",
		Set: func(u *userConfig, _, v string) error { return u.operations(&u.policy.RefuseNames, v) },
	},
	{
		Name: "MaxFileSize", Default: "0", Unit: settings.Bytes, Range: "0..",
		Doc:   "The size that no file may grow beyond; 0 is none.",
		Field: func(u *userConfig) any { return &u.policy.MaxFileSize },
	},
	{
		Name: "MaxDepth", Default: "0", Range: "0..",
		Doc:   "How many elements the path of a new name may have; 0 is any number.",
		Field: func(u *userConfig) any { return &u.policy.MaxDepth },
	},
	{
		Name: "Quota", Default: "0", Unit: settings.Bytes, Range: "0..",
		Doc:   "How many bytes the files in the user's tree may have: below HomeDir with RestrictUserToHomeDir, otherwise below the root. Users with the same tree share what is counted. 0 is no limit.",
		Field: func(u *userConfig) any { return &u.quota.Bytes },
	},
	{
		Name: "QuotaFiles", Default: "0", Range: "0..",
		Doc:   "How many names there may be in the tree; 0 is no limit.",
		Field: func(u *userConfig) any { return &u.quota.Files },
	},
	{
		Name: "UploadRate", Default: "0", Unit: settings.Bytes, Range: "0..",
		Doc:   "How many bytes a second each connection of the user may send; 0 is what stands in front of the blocks.",
		Field: func(u *userConfig) any { return &u.upRate },
	},
	{
		Name: "DownloadRate", Default: "0", Unit: settings.Bytes, Range: "0..",
		Doc:   "How many bytes a second are sent on each connection of the user; 0 is what stands in front of the blocks.",
		Field: func(u *userConfig) any { return &u.downRate },
	},
	{
		Name: "OnUpload", Type: "program",
		Doc: "A program to run when an upload of the user is complete, and when the user renames a file, in place of the one for all; `none` is none.",
		Get: func(u *userConfig, _ string) (string, error) {
			if u.onUpload == nil {
				return "", nil
			}
			return *u.onUpload, nil
		},
		Set: func(u *userConfig, _, v string) error {
			program, err := u.config.program(v)
			u.onUpload = &program
			return err
		},
	},
	{
		Name: "MaxSessions", Default: "0", Range: "0..",
		Doc:   "How many SFTP sessions the user may have at a time, over all connections; 0 is any number.",
		Field: func(u *userConfig) any { return &u.maxSessions },
	},
})...)

// userSection is what reads User blocks into c.
func (c *config) userSection() settings.Section {
	return &settings.Block[userConfig]{
		Keyword: "User", Table: userTable,
		Doc:  "A user, by the name to log in with. Who has no block does not get in: there is no block for all others.",
		Open: c.openUser,
		Done: (*userConfig).complete,
	}
}

func (c *config) openUser(name string) (*userConfig, error) {
	switch {
	case strings.ContainsAny(name, "*?"):
		return nil, errors.New("a block is for one user, by name: there is none for several or for all others")
	case len(name) > ssh2.MaxUserName || strings.ContainsFunc(name, unicode.IsControl):
		return nil, fmt.Errorf("nobody can log in by this name: it is longer than %d octets or has control characters", ssh2.MaxUserName)
	case name == "":
		return nil, errors.New("nobody can log in by an empty name")
	case c.blocks[name]:
		return nil, &settings.RepeatedError{Why: fmt.Sprintf("user %q has a block already", name)}
	}
	u := &userConfig{name: name, config: c}
	c.users = append(c.users, u)
	if c.blocks == nil {
		c.blocks = make(map[string]bool)
	}
	c.blocks[name] = true
	return u, nil
}

// complete checks a block as a whole.
func (u *userConfig) complete() error {
	if err := u.policy.Check(); err != nil {
		return own(err)
	}
	methods := u.methods()
	if len(methods) == 0 && !u.disabled {
		return fmt.Errorf("user %q cannot log in: there is no PasswordHash, PublicKey or AuthorizedKeysFile, and no TrustedUserCAKeys for certificates", u.name)
	}
	for _, set := range u.require {
		for _, m := range set {
			if !slices.Contains(methods, m) {
				return fmt.Errorf("user %q cannot log in with %s: no %s is given", u.name, strings.Join(set, "+"), map[string]string{"password": "PasswordHash", "publickey": "key"}[m])
			}
		}
		if n := countOf(set, "publickey"); n > len(u.keys) && !u.certified() {
			return fmt.Errorf("user %q cannot log in with %s: there are %d keys", u.name, strings.Join(set, "+"), len(u.keys))
		}
	}
	u.restrict = u.restrict || u.config.server.RestrictUserToHomeDir
	if u.restrict && u.home == "" {
		return fmt.Errorf("user %q is restricted to a HomeDir that is not given", u.name)
	}
	root := u.config.rootOf(u)
	if root == "" && u.config.flags.root == "" {
		return fmt.Errorf("user %q has no RootDirectory, and there is none for all", u.name)
	}
	if u.home != "" && root != "" {
		if info, err := u.config.disk.stat(filepath.Join(root, filepath.FromSlash(u.home))); err != nil || !info.IsDir() {
			u.config.log.Warn("the home directory is not there", "user", u.name, "directory", filepath.Join(root, filepath.FromSlash(u.home)))
		}
	}
	return u.limit()
}

// limit makes the policy that sessions get.
func (u *userConfig) limit() error {
	p := u.policy
	if u.readOnly {
		p.Deny = append(slices.Clip(p.Deny), writing...)
	}
	if p.Allow == nil && p.Deny == nil && p.Rules == nil && p.RefuseNames == nil && p.MaxFileSize == 0 && p.MaxDepth == 0 {
		return nil
	}
	u.limited = &p
	return own(p.Check())
}

// writing are the permissions that ReadOnly takes.
var writing = strings.Split((sftp.PermAll &^ sftp.PermReadOnly).String(), ",")

// methods are the ways to log in that the user has.
func (u *userConfig) methods() (out []string) {
	if len(u.keys) > 0 || u.certified() {
		out = append(out, "publickey")
	}
	if !u.hash.IsZero() || u.password != "" {
		out = append(out, "password")
	}
	return out
}

// certified tells whether certificates can log the user in.
func (u *userConfig) certified() bool {
	return u.config != nil && len(u.config.server.TrustedUserCAKeys) > 0 && (u.principals == nil || len(u.principals) > 0)
}

// noPrincipals is the word for none.
const noPrincipals = "none"

func (u *userConfig) addPrincipals(_, value string) error {
	if u.principals == nil {
		u.principals = []string{}
	} else if len(u.principals) == 0 {
		return fmt.Errorf("%s stands alone", noPrincipals)
	}
	for p := range strings.SplitSeq(value, ",") {
		switch p = strings.TrimSpace(p); {
		case p == "":
			return errors.New("a principal is empty")
		case strings.EqualFold(p, noPrincipals) && (len(u.principals) > 0 || strings.TrimSpace(value) != p):
			return fmt.Errorf("%s stands alone", noPrincipals)
		case strings.EqualFold(p, noPrincipals):
		default:
			u.principals = append(u.principals, p)
		}
	}
	return nil
}

// operations adds a list to one of the policy's.
func (u *userConfig) operations(list *[]string, value string) error {
	var added []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			added = append(added, name)
		}
	}
	if len(*list)+len(added) == 0 {
		return errors.New("the list is empty")
	}
	// What was there is good: a long list is not looked at again for each line. The block's end looks at all.
	whole := u.policy
	u.policy = sftp.Policy{}
	*list = added
	err := u.policy.Check()
	u.policy = whole
	*list = append(*list, added...)
	return own(err)
}

func (u *userConfig) addRule(_, value string) error {
	perms, name, ok := strings.Cut(value, " ")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return errors.New("want permissions with commas, a blank, and a path: list,stat,read /pub")
	}
	perm, err := sftp.ParsePerm(perms)
	if err != nil {
		return own(err)
	}
	if u.ruled[name] {
		return fmt.Errorf("there is a rule for %s already, which this one would make of no effect", name)
	}
	if u.ruled == nil {
		u.ruled = make(map[string]bool)
	}
	u.ruled[name] = true
	rule := sftp.Rule{Path: name, Perm: perm}
	u.policy.Rules = append(u.policy.Rules, rule)
	return own((&sftp.Policy{Rules: []sftp.Rule{rule}}).Check())
}

// maxFactors is how many methods may be asked for one after the other.
const maxFactors = 16

// parseMethods reads "publickey+password,publickey+publickey".
func parseMethods(value string) (sets [][]string, err error) {
	for text := range strings.SplitSeq(value, ",") {
		var set []string
		for m := range strings.SplitSeq(text, "+") {
			m = strings.ToLower(strings.TrimSpace(m))
			if m != "password" && m != "publickey" {
				return nil, fmt.Errorf("%q is neither publickey nor password", m)
			}
			if set = append(set, m); len(set) > maxFactors {
				return nil, fmt.Errorf("more than %d methods one after the other", maxFactors)
			}
		}
		if countOf(set, "password") > 1 {
			return nil, errors.New("a password asked for twice proves nothing more")
		}
		sets = append(sets, set)
	}
	return sets, nil
}

func methodsText(sets [][]string) string {
	out := make([]string, len(sets))
	for i, s := range sets {
		out[i] = strings.Join(s, "+")
	}
	return strings.Join(out, ", ")
}

func countOf(list []string, word string) (n int) {
	for _, w := range list {
		if w == word {
			n++
		}
	}
	return n
}

// parseSource reads an address or a network.
func parseSource(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or network; names and wildcards are not supported", text)
	}
	// Clients' addresses are compared as IPv4 ones; in IPv6 notation the network would have none of them.
	const mapped = 96 // bits in front of the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p, nil
}

// own takes the name of a package off an error: the file and the line are what counts.
func own(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, prefix := range []string{"pwhash: ", "sftp: policy: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return errors.New(text)
}
