package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// hostSettings is what is to be known of a host before connecting to it: command line,
// ~/.ssh/config and /etc/ssh/ssh_config taken together, the first value winning.
type hostSettings struct {
	alias    string // as it was named
	hostName string
	user     string
	port     string

	proxyJump, proxyCommand string
	addressFamily           string // of net.Dial: tcp, tcp4, tcp6
	bindAddress             string
	connectTimeout          time.Duration
	aliveInterval           time.Duration
	aliveCount              int

	identityFiles, certificateFiles []string
	identitiesOnly                  bool
	identityAgent                   string
	publicKeys, passwords, prompts  bool // methods publickey, password, keyboard-interactive
	methods                         []string
	passwordPrompts                 int
	batch                           bool

	strict                      string // yes, ask, accept-new
	userKnownHosts, globalKnown []string
	hostKeyAlias                string
	hashKnownHosts              bool

	compression                                             bool
	ciphers, macs, kex, hostKeyAlgorithms, pubkeyAlgorithms ssh2.AlgList
	minRSABits                                              int
}

// An sshOption is one keyword of ssh_config(5) that is heeded.
type sshOption struct {
	name string
	many bool // all values count, not the first alone
	set  func(h *hostSettings, values []string) error
}

// sshOptions are all of them; what else stands in a file is for ssh itself.
var sshOptions = []sshOption{
	{"HostName", false, text(func(h *hostSettings) *string { return &h.hostName })},
	{"User", false, text(func(h *hostSettings) *string { return &h.user })},
	{"Port", false, func(h *hostSettings, v []string) (err error) { h.port, err = checkPort(v[0]); return err }},
	{"ProxyJump", false, text(func(h *hostSettings) *string { return &h.proxyJump })},
	{"ProxyCommand", false, text(func(h *hostSettings) *string { return &h.proxyCommand })},
	{"AddressFamily", false, words(func(h *hostSettings) *string { return &h.addressFamily }, map[string]string{"any": "tcp", "inet": "tcp4", "inet6": "tcp6"})},
	{"BindAddress", false, text(func(h *hostSettings) *string { return &h.bindAddress })},
	{"ConnectTimeout", false, span(func(h *hostSettings) *time.Duration { return &h.connectTimeout })},
	{"ServerAliveInterval", false, span(func(h *hostSettings) *time.Duration { return &h.aliveInterval })},
	{"ServerAliveCountMax", false, number(func(h *hostSettings) *int { return &h.aliveCount })},
	{"IdentityFile", true, list(func(h *hostSettings) *[]string { return &h.identityFiles })},
	{"CertificateFile", true, list(func(h *hostSettings) *[]string { return &h.certificateFiles })},
	{"IdentitiesOnly", false, flagged(func(h *hostSettings) *bool { return &h.identitiesOnly })},
	{"IdentityAgent", false, text(func(h *hostSettings) *string { return &h.identityAgent })},
	{"PubkeyAuthentication", false, func(h *hostSettings, v []string) error {
		h.publicKeys = !strings.EqualFold(v[0], "no") // unbound and host-bound are kinds of yes
		return nil
	}},
	{"PasswordAuthentication", false, flagged(func(h *hostSettings) *bool { return &h.passwords })},
	{"KbdInteractiveAuthentication", false, flagged(func(h *hostSettings) *bool { return &h.prompts })},
	{"PreferredAuthentications", false, func(h *hostSettings, v []string) error { h.methods = strings.Split(v[0], ","); return nil }},
	{"NumberOfPasswordPrompts", false, number(func(h *hostSettings) *int { return &h.passwordPrompts })},
	{"BatchMode", false, flagged(func(h *hostSettings) *bool { return &h.batch })},
	{"StrictHostKeyChecking", false, words(func(h *hostSettings) *string { return &h.strict }, map[string]string{
		"yes": "yes", "true": "yes", "ask": "ask", "accept-new": "accept-new", "no": "accept-new", "off": "accept-new", "false": "accept-new",
	})},
	{"UserKnownHostsFile", false, files(func(h *hostSettings) *[]string { return &h.userKnownHosts })},
	{"GlobalKnownHostsFile", false, files(func(h *hostSettings) *[]string { return &h.globalKnown })},
	{"HostKeyAlias", false, text(func(h *hostSettings) *string { return &h.hostKeyAlias })},
	{"HashKnownHosts", false, flagged(func(h *hostSettings) *bool { return &h.hashKnownHosts })},
	{"Compression", false, flagged(func(h *hostSettings) *bool { return &h.compression })},
	{"Ciphers", false, algorithms(ssh2.Cipher, func(h *hostSettings) *ssh2.AlgList { return &h.ciphers })},
	{"MACs", false, algorithms(ssh2.MAC, func(h *hostSettings) *ssh2.AlgList { return &h.macs })},
	{"KexAlgorithms", false, algorithms(ssh2.KeyExchange, func(h *hostSettings) *ssh2.AlgList { return &h.kex })},
	{"HostKeyAlgorithms", false, algorithms(ssh2.HostKeyAlgorithm, func(h *hostSettings) *ssh2.AlgList { return &h.hostKeyAlgorithms })},
	{"PubkeyAcceptedAlgorithms", false, algorithms(ssh2.UserKeyAlgorithm, func(h *hostSettings) *ssh2.AlgList { return &h.pubkeyAlgorithms })},
	{"RequiredRSASize", false, number(func(h *hostSettings) *int { return &h.minRSABits })},
}

// oldNames are other names of the same.
var oldNames = map[string]string{
	"pubkeyacceptedkeytypes": "PubkeyAcceptedAlgorithms", "challengeresponseauthentication": "KbdInteractiveAuthentication",
}

// findOption is the option of that name, nil if it is not heeded.
func findOption(name string) *sshOption {
	if now, ok := oldNames[strings.ToLower(name)]; ok {
		name = now
	}
	for i := range sshOptions {
		if strings.EqualFold(sshOptions[i].name, name) {
			return &sshOptions[i]
		}
	}
	return nil
}

// names are those under which an option may stand in a file.
func (o *sshOption) names() []string {
	names := []string{o.name}
	for old, now := range oldNames {
		if now == o.name {
			names = append(names, old)
		}
	}
	return names
}

type setter = func(*hostSettings, []string) error

func text(field func(*hostSettings) *string) setter {
	return func(h *hostSettings, v []string) error { *field(h) = v[0]; return nil }
}

func list(field func(*hostSettings) *[]string) setter {
	return func(h *hostSettings, v []string) error { *field(h) = v; return nil }
}

// files is a list of names in one value, with quotes around those that hold spaces.
func files(field func(*hostSettings) *[]string) setter {
	return func(h *hostSettings, v []string) (err error) { *field(h), err = splitWords(v[0]); return err }
}

func flagged(field func(*hostSettings) *bool) setter {
	return func(h *hostSettings, v []string) error {
		switch strings.ToLower(v[0]) {
		case "yes", "true":
			*field(h) = true
		case "no", "false":
			*field(h) = false
		default:
			return errors.New("is not yes or no")
		}
		return nil
	}
}

func words(field func(*hostSettings) *string, known map[string]string) setter {
	return func(h *hostSettings, v []string) error {
		w, ok := known[strings.ToLower(v[0])]
		if !ok {
			return errors.New("is not known")
		}
		*field(h) = w
		return nil
	}
}

func number(field func(*hostSettings) *int) setter {
	return func(h *hostSettings, v []string) error {
		n, err := strconv.ParseUint(v[0], 10, 31)
		if err != nil {
			return errors.New("is not a number")
		}
		*field(h) = int(n)
		return nil
	}
}

// span reads a time in the form of sshd_config(5), TIME FORMATS: 90, 1m30s, 2h.
func span(field func(*hostSettings) *time.Duration) setter {
	return func(h *hostSettings, v []string) error {
		if strings.EqualFold(v[0], "none") {
			*field(h) = 0
			return nil
		}
		var total time.Duration
		for s := strings.ToLower(v[0]); s != ""; {
			i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
			if i < 0 {
				i = len(s)
			}
			n, err := strconv.ParseUint(s[:i], 10, 31)
			unit, more := time.Second, i
			if i < len(s) {
				unit, more = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[i]], i+1
			}
			if err != nil || unit == 0 {
				return errors.New("is not a time such as 30 or 1m30s")
			}
			total += time.Duration(n) * unit
			s = s[more:]
		}
		*field(h) = total
		return nil
	}
}

// algorithms takes a list over, without those that this program does not know: a file
// for OpenSSH may name more.
func algorithms(kind ssh2.AlgorithmKind, field func(*hostSettings) *ssh2.AlgList) setter {
	return func(h *hostSettings, v []string) error {
		edit, rest := "", v[0]
		if rest != "" && strings.ContainsRune("+-^", rune(rest[0])) {
			edit, rest = rest[:1], rest[1:]
		}
		var known []string
		for name := range strings.SplitSeq(rest, ",") {
			if slices.ContainsFunc(ssh2.Algorithms(), func(a ssh2.Algorithm) bool {
				return a.Kind == kind && (a.Name == name || edit == "-" && matchPattern(name, a.Name))
			}) {
				known = append(known, name)
			}
		}
		if len(known) == 0 {
			if edit != "" {
				return nil // nothing to add, to take away or to prefer
			}
			return errors.New("names no algorithm that is known here")
		}
		*field(h) = ssh2.AlgList(edit + strings.Join(known, ","))
		return nil
	}
}

// An sshConfig is where settings come from.
type sshConfig struct {
	given []givenOption
	// files are the texts of the configuration files: the user's, then the system's.
	files []configFile
	me    account
	env   func(string) string
	// run is how Match exec runs its command; true if it succeeds.
	run func(command string) bool
}

// ofTargets are options whose value on the command line is about the target, and not
// about hosts on the way.
var ofTargets = []string{"HostName", "User", "Port", "ProxyJump", "ProxyCommand", "HostKeyAlias", "BindAddress"}

// forHops is the configuration for hosts on the way.
func (c *sshConfig) forHops() *sshConfig {
	hops := *c
	hops.given = slices.DeleteFunc(slices.Clone(c.given), func(g givenOption) bool { return slices.Contains(ofTargets, g.name) })
	return &hops
}

type givenOption struct{ name, value string }

type configFile struct{ name, text string }

// give takes -o Option=value or -o "Option value".
func (c *sshConfig) give(s string) error {
	name, value, ok := strings.Cut(strings.TrimSpace(s), "=")
	if first, rest, spaced := strings.Cut(strings.TrimSpace(s), " "); spaced && (!ok || len(first) < len(name)) {
		name, value, ok = first, strings.TrimPrefix(strings.TrimSpace(rest), "="), true
	}
	name, value = strings.TrimSpace(name), unquote(strings.TrimSpace(value))
	o := findOption(name)
	switch {
	case !ok || value == "":
		return fmt.Errorf("%q: is not Option=value", s)
	case o == nil:
		return fmt.Errorf("%q: is not an option that is known here", name)
	}
	if err := o.set(new(hostSettings), []string{value}); err != nil {
		return fmt.Errorf("%s %q: %w", o.name, value, err)
	}
	c.given = append(c.given, givenOption{o.name, value})
	return nil
}

func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		return s[1 : n-1]
	}
	return s
}

// readFile adds a file; a missing one is an error only if it was named.
func (c *sshConfig) readFile(name string, named bool) error {
	data, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ssh configuration: %w", err)
	}
	c.files = append(c.files, configFile{name, string(bytes.TrimPrefix(data, []byte(byteOrderMark)))})
	return nil
}

// newSSHConfig reads the files that ssh would: -F's alone, or the user's and the system's.
func newSSHConfig(named string, me account) (*sshConfig, error) {
	c := &sshConfig{me: me, env: os.Getenv, run: runQuietly}
	switch {
	case strings.EqualFold(named, "none"):
		return c, nil
	case named != "":
		return c, c.readFile(named, true)
	}
	system := "/etc/ssh/ssh_config"
	if runtime.GOOS == "windows" {
		system = filepath.Join(os.Getenv("ProgramData"), "ssh", "ssh_config")
	}
	if me.home != "" {
		name := filepath.Join(me.home, ".ssh", "config")
		// What it says is run.
		if info, err := os.Stat(name); err == nil && othersCanWrite(info) {
			return nil, fmt.Errorf("%s: others can write to it, so it is not trusted: chmod go-w, or -F none", name)
		}
		if err := c.readFile(name, false); err != nil {
			return nil, err
		}
	}
	return c, c.readFile(system, false)
}

// lookUp takes the settings of the host that is called alias together. user and port are
// those of the command line, "" for none.
func (c *sshConfig) lookUp(alias, user, port string) (*hostSettings, error) {
	h := &hostSettings{
		alias: alias, hostName: alias, port: "22", user: c.me.name,
		addressFamily: "tcp", aliveCount: 3,
		publicKeys: true, passwords: true, prompts: true, passwordPrompts: 3,
		methods: []string{ssh2.MethodPublicKey, ssh2.MethodInteractive, ssh2.MethodPassword},
		strict:  "ask", userKnownHosts: []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"},
		globalKnown: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
		// sk keys are in agents.
		identityFiles: []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"},
	}
	given := slices.Clone(c.given)
	if user != "" {
		given = slices.Insert(given, 0, givenOption{"User", user})
	}
	if port != "" {
		given = slices.Insert(given, 0, givenOption{"Port", port})
	}
	parsed, err := c.parse(alias, given)
	if err != nil {
		return nil, err
	}
	for i := range sshOptions {
		o := &sshOptions[i]
		values, from := valuesOf(o, alias, given, parsed)
		if len(values) == 0 {
			continue
		}
		if err := o.set(h, values); err != nil {
			return nil, fmt.Errorf("%s: %s %q: %w", from, o.name, values[0], err)
		}
	}
	return h, c.expandAll(h)
}

// parsedFile is a configuration file with the library's view of it.
type parsedFile struct {
	name string
	cfg  *ssh_config.Config
}

// valuesOf are the values of an option, and where the first was found.
func valuesOf(o *sshOption, alias string, given []givenOption, files []parsedFile) (values []string, from string) {
	for _, g := range given {
		if g.name == o.name {
			values = append(values, g.value)
		}
	}
	if len(values) > 0 {
		from = "-o"
	}
	for _, f := range files {
		if len(values) > 0 && !o.many {
			break
		}
		for _, name := range o.names() {
			v, err := f.cfg.GetAll(alias, name)
			if err == nil && len(v) > 0 {
				if from == "" {
					from = f.name
				}
				values = append(values, v...)
			}
		}
	}
	if !o.many && len(values) > 1 {
		values = values[:1]
	}
	return values, from
}

// parse gives the files to the library, which knows Host and Include, and of Match only
// the simplest form: so each Match line becomes one that always or never holds.
func (c *sshConfig) parse(alias string, given []givenOption) ([]parsedFile, error) {
	var out []parsedFile
	for _, f := range c.files {
		text, err := c.resolveMatches(f, alias, given, out)
		if err != nil {
			return nil, err
		}
		cfg, err := ssh_config.DecodeBytes([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %s; -F names another file, -F none does without", f.name, plain(err.Error()))
		}
		out = append(out, parsedFile{f.name, cfg})
	}
	return out, nil
}

// expandAll replaces tokens, ~ and ${NAME} where ssh_config(5) says so.
func (c *sshConfig) expandAll(h *hostSettings) error {
	var err error
	if h.hostName, err = expandTokens(h.hostName, map[byte]string{'h': h.alias}); err != nil {
		return fmt.Errorf("HostName %w", err)
	}
	if err := errors.Join(checkHost(h.hostName), checkUser(h.user)); err != nil {
		return err
	}
	tokens := c.tokens(h)
	one := func(what string, s *string) error {
		v, err := c.expandFile(*s, tokens)
		if err != nil {
			return fmt.Errorf("%s %w", what, err)
		}
		*s = v
		return nil
	}
	if err := one("IdentityAgent", &h.identityAgent); err != nil {
		return err
	}
	for what, list := range map[string][]string{
		"IdentityFile": h.identityFiles, "CertificateFile": h.certificateFiles, "UserKnownHostsFile": h.userKnownHosts, "GlobalKnownHostsFile": h.globalKnown,
	} {
		for i := range list {
			if err := one(what, &list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
