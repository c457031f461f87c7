package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// stdioOptions is what the flags of "fairlead serve --stdio" say.
type stdioOptions struct {
	root      string
	startDir  string
	readOnly  bool
	umask     int // -1: that of the process
	version   int
	logFormat string
	logLevel  stdioLevel
	facility  string // of syslog; "": standard error
	allow     string // requests of -p, with commas between them; "": all
	deny      string // and of -P
}

// stdioLevel is a level by its name here or as sftp-server(8) knows it.
type stdioLevel struct{ slog.Level }

// levelNames are the levels of sftp-server(8) that this library has under another name.
var levelNames = map[string]slog.Level{
	"quiet": slog.LevelError + 8, "fatal": slog.LevelError + 4,
	"verbose": slog.LevelInfo, "debug1": slog.LevelDebug, "debug2": slog.LevelDebug, "debug3": slog.LevelDebug,
}

// UnmarshalText reads a level.
func (l *stdioLevel) UnmarshalText(p []byte) error {
	if level, ok := levelNames[strings.ToLower(string(p))]; ok {
		l.Level = level
		return nil
	}
	if l.Level.UnmarshalText(p) != nil {
		return errors.New("is not one of quiet, fatal, error, warn, info, verbose, debug")
	}
	return nil
}

// MarshalText writes it.
func (l stdioLevel) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(l.Level.String())), nil
}

// cutStdio says whether args ask for --stdio, and returns the others.
func cutStdio(args []string) ([]string, bool) {
	for i, a := range args {
		switch a {
		case "--":
			return args, false
		case "-stdio", "--stdio":
			return slices.Delete(slices.Clone(args), i, i+1), true
		}
	}
	return args, false
}

const stdioUsage = `usage: fairlead serve --stdio [flags]

Speaks SFTP on standard input and output, as the user who runs it. In sshd_config:

	Subsystem sftp /usr/local/bin/fairlead serve --stdio

The one-letter flags are those of sftp-server(8).

`

// parseStdioFlags reads the flags of "fairlead serve --stdio", without that one. Every
// error is one line.
func parseStdioFlags(args []string, stdout io.Writer) (*stdioOptions, error) {
	o := &stdioOptions{umask: -1, logFormat: "text", logLevel: stdioLevel{slog.LevelError}}
	var help, toStderr bool
	var query string
	f := flag.NewFlagSet("serve --stdio", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.root, "root", "", "serve this `DIR` alone, as if it were the root of the host; %u and %d stand for the user and the home directory (default: all that the user can reach)")
	f.StringVar(&o.startDir, "d", "", "start in this `DIR`; %u and %d as in --root (default: the working directory)")
	f.BoolVar(&o.readOnly, "read-only", false, "refuse every change")
	f.BoolVar(&o.readOnly, "R", false, "the same as --read-only")
	umask := func(s string) error {
		n, err := strconv.ParseUint(s, 8, 16)
		if err != nil || n > 0o777 {
			return errors.New("is not an octal number up to 777")
		}
		o.umask = int(n)
		return nil
	}
	f.Func("umask", "take these permission bits, an `OCTAL` number, from what is created", umask)
	f.Func("u", "the same as --umask `OCTAL`", umask)
	f.StringVar(&o.allow, "p", "", "allow only these `REQUESTS`, separated by commas; -Q requests lists them")
	f.StringVar(&o.deny, "P", "", "refuse these `REQUESTS`, and what does the same by other names")
	f.StringVar(&query, "Q", "", "print what can be asked for: the one `FEATURE` is requests")
	f.IntVar(&o.version, "sftp-version", 0, "speak at most this `VERSION` of SFTP (default: the newest; with -p or -P 3, which their names are of)")
	f.TextVar(&o.logLevel, "log-level", o.logLevel, "log from this `LEVEL` up: error, warn, info or debug")
	f.TextVar(&o.logLevel, "l", o.logLevel, "the same as --log-level, which also knows sftp-server's `LEVEL`s quiet, fatal, verbose and debug1 to debug3")
	f.StringVar(&o.logFormat, "log-format", "text", "log as `text|json`")
	f.StringVar(&o.facility, "f", "", "log to this `FACILITY` of syslog, such as AUTH, DAEMON or LOCAL0 (default: to standard error, which sshd passes to the client)")
	f.BoolVar(&toStderr, "e", false, "log to standard error, whatever -f says")
	f.BoolVar(&help, "h", false, "print this")
	f.BoolVar(&help, "help", false, "print this")
	rest, err := parseAnywhere(f, args)
	if err != nil {
		return nil, fmt.Errorf("%s; try %q", oneLine(err), "fairlead serve --stdio -h")
	}
	if help {
		fmt.Fprint(stdout, stdioUsage)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return nil, errHelp
	}
	if query != "" {
		if query != "requests" {
			return nil, fmt.Errorf("-Q %q: the one thing to ask for is requests", query)
		}
		_, err := io.WriteString(stdout, requests())
		return nil, errors.Join(errHelp, err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%q: --stdio takes no directory; --root %s serves only that, -d %s starts there", rest[0], rest[0], rest[0])
	}
	empty := ""
	f.Visit(func(g *flag.Flag) {
		if (g.Name == "root" || g.Name == "d" || g.Name == "f" || g.Name == "p" || g.Name == "P" || g.Name == "Q") && g.Value.String() == "" {
			empty = g.Name
		}
	})
	if empty != "" {
		return nil, fmt.Errorf("-%s: is empty", empty)
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		return nil, fmt.Errorf("--log-format %q: text or json", o.logFormat)
	}
	if toStderr {
		o.facility = ""
	}
	if o.version == 0 && (o.allow != "" || o.deny != "") {
		o.version = 3
	}
	return o, nil
}

// newLog is the log that the flags ask for.
func (o *stdioOptions) newLog(stderr io.Writer) (*slog.Logger, error) {
	w := stderr
	if o.facility != "" {
		var err error
		if w, err = openSyslog(o.facility); err != nil {
			return nil, fmt.Errorf("-f: %w", err)
		}
	}
	return newLog(o.logFormat, o.logLevel.Level, w), nil
}
