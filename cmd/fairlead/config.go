package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/pwhash"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// A config is all that "fairlead serve" goes by: the flags, over the file that --config
// names, over the defaults.
type config struct {
	// server has the settings of the component; that of the config which the server
	// started with is the server that runs.
	server *sftpserver.Server

	hostKeyFiles      []string
	hostKeys          []gossh.Signer
	logFormat         string
	logLevel          slog.Level
	disconnectRemoved bool
	onUpload          string // the program for whose block names none; empty is none
	uploadTimeout     time.Duration
	uploadJobs        int
	users             []*userConfig   // of the file, and the one of the flags
	blocks            map[string]bool // the names of those of the file

	flags *options
	notes notes
	log   *slog.Logger // writes to notes
	disk  disk
	dir   string   // where relative names of files start
	own   []string // files that nobody should be served
}

// A disk is where the files and directories are that a configuration names.
type disk struct {
	read      func(name string, most int64) ([]byte, error)
	stat      func(name string) (fs.FileInfo, error)
	hostKeys  func(files []string, log *slog.Logger) ([]gossh.Signer, error)
	inspected bool // warn of who may change and read files
}

// maxConfigFile bounds a configuration: tens of thousands of users.
const maxConfigFile = 64 << 20

// errNoUsers is that of a file that lets nobody in.
var errNoUsers = errors.New("nobody could log in: it has no User block, and --password-file or --authorized-keys is not given")

// defaults are what counts where neither a flag nor the file says anything.
func defaults(o *options) *config {
	c := &config{server: sftpserver.New(), logFormat: "text", uploadTimeout: defaultUploadTimeout, uploadJobs: defaultUploadJobs, flags: o, disk: disk{readUpTo, os.Stat, loadHostKeys, true}}
	c.log = slog.New(&c.notes)
	for name, value := range commandDefaults {
		if err := configTable.Set(c, name, value); err != nil {
			c.log.Error("default", "setting", name, "err", err) // a test has all of them
		}
	}
	return c
}

// newConfig reads everything that the flags name, so that what is wrong is told
// before anything changes. What a file is at fault in is of type settings.Faults. The config is
// there in any case, for its notes.
func newConfig(o *options) (*config, error) {
	c := defaults(o)
	if o.config != "" {
		if err := c.loadFile(o.config); err != nil {
			return c, err
		}
	}
	return c, c.complete()
}

// loadFile reads the file with the settings.
func (c *config) loadFile(name string) error {
	data, err := readUpTo(name, maxConfigFile)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if c.dir, err = filepath.Abs(filepath.Dir(name)); err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	c.ownFile(name, true)
	return c.load(strings.NewReader(string(data)), name)
}

func (c *config) load(r io.Reader, name string) error {
	return configTable.Load(c, r, name, c.userSection())
}

// complete adds what the flags say, and checks what is left to check once all is
// known.
func (c *config) complete() error {
	o := c.flags
	s := &c.server.Options
	if o.given["read-only"] {
		s.ReadOnly = o.readOnly
	}
	if o.given["profile"] {
		s.Profile = o.profile
	}
	if o.given["log-format"] {
		c.logFormat = o.logFormat
	}
	if o.given["log-level"] {
		c.logLevel = o.logLevel
	}
	if len(o.hostKeys) > 0 {
		c.hostKeyFiles, c.hostKeys = nil, nil
		for _, name := range o.hostKeys {
			if err := c.addHostKey(name); err != nil {
				return err
			}
		}
	}
	if len(c.hostKeys) == 0 {
		key, err := keptHostKey(c.log)
		if err != nil {
			return err
		}
		c.hostKeys = []gossh.Signer{key}
		c.own = append(c.own, keptHostKeyFile())
	}
	s.HostKeys = c.hostKeys
	if err := c.flagUser(); err != nil {
		return err
	}
	if err := c.roots(); err != nil {
		return err
	}
	c.warnOfOwnFiles()
	return nil
}

// flagUser adds the user that flags tell of, in place of the one that the file has of
// that name. Without a file there always is one.
func (c *config) flagUser() error {
	o := c.flags
	named := o.passwordFile != "" || o.authorizedKeys != ""
	switch {
	case o.config != "" && !named && o.given["user"]:
		return errors.New("--user with --config: --password-file or --authorized-keys must say how to log in")
	case o.config != "" && !named && len(c.users) == 0:
		return fmt.Errorf("%s: %w", o.config, errNoUsers)
	case o.config != "" && !named:
		return nil
	}
	u, err := newUser(o)
	if err != nil {
		return err
	}
	c.own = append(c.own, o.passwordFile, o.authorizedKeys)
	if o.config != "" && u.password != "" {
		// Checking it then takes the time that checking others' does.
		if u.hash, err = pwhash.New(context.Background(), u.password); err != nil {
			return err
		}
	}
	for i, other := range c.users {
		if other.name == u.name {
			c.log.Info("the user of the flags takes the place of the one in the file", "user", u.name)
			c.users = append(c.users[:i], c.users[i+1:]...)
			break
		}
	}
	c.users = append(c.users, u)
	return nil
}

// roots finds out which directories are served.
func (c *config) roots() error {
	s := &c.server.Options
	var err error
	if c.flags.root != "" || c.flags.config == "" {
		s.RootDirectory, err = openRoot(c.flags.root)
		return err
	}
	// Those of the file were checked where they stand.
	if u := c.users[len(c.users)-1]; c.rootOf(u) == "" {
		return fmt.Errorf("user %q of the flags has no directory: neither DIR nor RootDirectory is given", u.name)
	}
	return nil
}

// rootOf is the directory that a user sees as /.
func (c *config) rootOf(u *userConfig) string {
	if u.root != "" {
		return u.root
	}
	return c.server.RootDirectory
}

// warnOfOwnFiles tells of files of the server's own that users could get at.
func (c *config) warnOfOwnFiles() {
	seen := map[string]bool{}
	for _, u := range c.users {
		root := c.rootOf(u)
		if seen[root] {
			continue
		}
		seen[root] = true
		for _, name := range c.own {
			if name != "" && inside(root, name) {
				c.log.Warn("a file of the server's own lies in the directory that is served: clients can read it, or change it", "file", name)
			}
		}
	}
}

// ownFile notes that a file is the server's own, and tells of it if others can
// change it, or read what is secret.
func (c *config) ownFile(name string, secret bool) {
	c.own = append(c.own, name)
	info, err := c.disk.stat(name)
	if err != nil || !info.Mode().IsRegular() || !c.disk.inspected {
		return
	}
	switch {
	case othersCanWrite(info):
		c.log.Warn("others can change this file, and so who may log in", "file", name, "mode", info.Mode().Perm())
	case secret && info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows":
		c.log.Warn("others can read this file and the hashes in it", "file", name, "mode", info.Mode().Perm())
	}
}

// path makes a name of a file in the configuration absolute.
func (c *config) path(name string) string {
	if filepath.IsAbs(name) || c.dir == "" {
		return filepath.Clean(name)
	}
	if name != "" && os.IsPathSeparator(name[0]) { // Windows: from the root of the drive that the file is on
		return filepath.Join(filepath.VolumeName(c.dir), name)
	}
	return filepath.Join(c.dir, name)
}

// directory is path for a directory that must be there.
func (c *config) directory(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	dir := c.path(name)
	info, err := c.disk.stat(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, bareFile(err))
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s: is not a directory", dir)
	}
	return dir, nil
}

const (
	defaultUploadTimeout = 5 * time.Minute
	defaultUploadJobs    = 4
)

// noProgram is the word for none, in a block.
const noProgram = "none"

// program is path for a program that can be run.
func (c *config) program(name string) (string, error) {
	if name == "" || strings.EqualFold(name, noProgram) {
		return "", nil
	}
	file := c.path(name)
	info, err := c.disk.stat(file)
	switch {
	case err != nil && filepath.Base(name) != name && strings.ContainsAny(name, " \t"):
		return "", fmt.Errorf("%s: %w; it is the name of a program, which gets no arguments", file, bareFile(err))
	case err != nil:
		return "", fmt.Errorf("%s: %w", file, bareFile(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: is not a program", file)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0:
		return "", fmt.Errorf("%s: is not executable; chmod +x makes it so", file)
	case runtime.GOOS == "windows" && isBatch(file):
		return "", fmt.Errorf("%s: is a batch file, whose interpreter would take names of files for commands", file)
	}
	c.own = append(c.own, file)
	if c.disk.inspected && othersCanWrite(info) {
		c.log.Warn("others can change this program, which the server runs", "file", file, "mode", info.Mode().Perm())
	}
	return file, nil
}

// isBatch tells files that Windows gives to its command interpreter.
func isBatch(name string) bool {
	ext := strings.ToLower(filepath.Ext(strings.TrimRight(name, ". ")))
	return ext == ".bat" || ext == ".cmd"
}

// programFor is the program to run for uploads of a user, "" for none.
func (c *config) programFor(u *userConfig) string {
	if u != nil && u.onUpload != nil {
		return *u.onUpload
	}
	return c.onUpload
}

func (c *config) addHostKey(name string) error {
	signers, err := c.disk.hostKeys([]string{name}, c.log)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("host key: %s: no such file; without this line one is made and kept, and ssh-keygen -t ed25519 -N '' -f %s makes it, too", name, name)
	}
	if err != nil {
		return err
	}
	for _, s := range signers {
		for _, other := range c.hostKeys {
			if s.PublicKey().Type() == other.PublicKey().Type() {
				return fmt.Errorf("host key: %s: there is a key of type %s already", name, s.PublicKey().Type())
			}
		}
	}
	c.hostKeyFiles = append(c.hostKeyFiles, name)
	c.hostKeys = append(c.hostKeys, signers...)
	c.own = append(c.own, name)
	return nil
}

// addKeyList adds the public keys in a file.
func (c *config) addKeyList(list *[]gossh.PublicKey, value string) error {
	name := c.path(value)
	data, err := c.disk.read(name, maxKeyList)
	if err != nil {
		return fmt.Errorf("%s: %w", name, bareFile(err))
	}
	added, err := keys.ParseList(data)
	if err != nil {
		return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "keys: list: "))
	}
	c.ownFile(name, false)
	*list = append(*list, added...)
	return nil
}

// maxKeyList bounds a file with public keys: a hundred thousand of them.
const maxKeyList = 16 << 20

// bareFile takes "stat name:" off an error, whose place we name ourselves.
func bareFile(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
