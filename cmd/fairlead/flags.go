package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// options is what the flags of "fairlead serve" say.
type options struct {
	root           string
	listen         string
	hostKeys       []string
	user           string
	passwordFile   string
	authorizedKeys string
	readOnly       bool
	profile        ssh2.Profile
	logFormat      string
	logLevel       slog.Level
	config         string
	given          map[string]bool // the flags that were there
}

// Defaults that are shown and compared with.
const (
	defaultRoot   = "fairlead-data"
	defaultHost   = "127.0.0.1"
	defaultPort   = 2022
	defaultListen = "127.0.0.1:2022"
	defaultUser   = "fairlead"
)

// errHelp means that the flags were asked for and printed.
var errHelp = errors.New("help")

// parseFlags reads the flags of "fairlead serve". Every error is one line.
func parseFlags(args []string, stdout io.Writer) (*options, error) {
	o := &options{logFormat: "text"}
	var help bool
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.config, "config", "", "read settings and users from this `FILE`, and again at SIGHUP; flags win over it, \"fairlead check FILE\" tells what is wrong with it")
	f.StringVar(&o.root, "root", "", "serve this `DIR`, which must exist (default ./"+defaultRoot+", created)")
	f.StringVar(&o.listen, "listen", defaultListen, "listen on `HOST:PORT`; port 0 takes a free one")
	f.Func("host-key", "private host key `FILE`, with FILE-cert.pub if there is one; may be repeated (default: one made and kept)", func(s string) error {
		if s == "" {
			return errors.New("is empty")
		}
		o.hostKeys = append(o.hostKeys, s)
		return nil
	})
	f.StringVar(&o.user, "user", defaultUser, "the user's `NAME`")
	f.StringVar(&o.passwordFile, "password-file", "", "the first line of this `FILE` is the user's password")
	f.StringVar(&o.authorizedKeys, "authorized-keys", "", "the keys in this `FILE` let the user in, in the format of OpenSSH")
	f.BoolVar(&o.readOnly, "read-only", false, "refuse every change")
	f.TextVar(&o.profile, "profile", ssh2.Modern, "offer the algorithms of this `PROFILE`: modern, compatible, or legacy, which are weak, for old devices")
	f.StringVar(&o.logFormat, "log-format", "text", "log as `text|json`, to standard error")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "log from this `LEVEL` up: debug, info, warn or error")
	f.Bool("stdio", false, "speak SFTP on standard input and output instead, as sftp-server does for sshd; \"fairlead serve --stdio -h\" has the flags")
	f.BoolVar(&help, "h", false, "print this")
	f.BoolVar(&help, "help", false, "print this")
	dirs, err := parseAnywhere(f, args)
	if err != nil {
		return nil, fmt.Errorf("%s; try %q", oneLine(err), "fairlead serve -h")
	}
	if help {
		fmt.Fprint(stdout, "usage: fairlead serve [flags] [DIR]\n       fairlead serve --stdio [flags]\n\nWithout a password and without keys a password is made up and printed.\n\n")
		f.SetOutput(stdout)
		f.PrintDefaults()
		return nil, errHelp
	}
	if err := noneEmpty(f); err != nil {
		return nil, err
	}
	o.given = make(map[string]bool)
	f.Visit(func(g *flag.Flag) { o.given[g.Name] = true })
	switch {
	case len(dirs) > 1:
		return nil, fmt.Errorf("more than one directory: %q", dirs)
	case len(dirs) == 1 && o.root != "" && o.root != dirs[0]:
		return nil, fmt.Errorf("two directories: --root %q and %q", o.root, dirs[0])
	case len(dirs) == 1:
		o.root = dirs[0]
	}
	if len(dirs) == 1 && o.root == "" {
		return nil, errors.New("the directory is empty text")
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		return nil, fmt.Errorf("--log-format %q: text or json", o.logFormat)
	}
	for _, r := range o.user {
		if r < ' ' || r == 0x7F {
			return nil, fmt.Errorf("--user %q: control character", o.user)
		}
	}
	return o, nil
}

// parseAnywhere parses flags before and behind other arguments, which it returns.
// Behind "--" there are no flags.
func parseAnywhere(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		left := f.Args()
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" {
			return append(rest, left...), nil
		}
		if len(left) == 0 {
			return rest, nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// noneEmpty refuses flags that were given without a text, as from a shell
// variable that is not set: "" would listen on every interface, or serve the
// default directory.
func noneEmpty(f *flag.FlagSet) (err error) {
	f.Visit(func(g *flag.Flag) {
		if g.Value.String() == "" && g.Name != "host-key" { // a Func has no text
			err = fmt.Errorf("--%s: is empty", g.Name)
		}
	})
	return err
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
