package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/settings"
)

// check is "fairlead check".
func (p *process) check(args []string) error {
	f := newFlagSet("check")
	help, quiet := false, false
	f.on(&quiet, "q,quiet", "print nothing if there is no fault")
	f.on(&help, "h,help", "print this")
	files, err := f.parse(args)
	if err != nil {
		return usageError{fmt.Errorf("check: %w", err)}
	}
	if help {
		fmt.Fprint(p.stdout, "usage: fairlead check [flags] FILE\n\nReads a configuration of \"fairlead serve --config FILE\" and all that it names, as\nthe server would, and prints what is wrong as FILE:LINE:COLUMN: TEXT. The exit status\nis 1 if the server would not start with it.\n\n")
		f.help(p.stdout)
		return nil
	}
	if len(files) != 1 || files[0] == "" {
		return usageError{errors.New(`check: one FILE is needed; try "fairlead check --help"`)}
	}
	return p.untilSignal(func(context.Context) error { return p.checkFile(files[0], quiet) })
}

func (p *process) checkFile(name string, quiet bool) error {
	c, err := newConfig(&options{config: name})
	if err == nil {
		err = c.tryStart()
	}
	for _, r := range c.notes.records {
		if r.Level >= slog.LevelWarn && (!quiet || err != nil) {
			fmt.Fprintf(p.stderr, "%s: warning: %s\n", plain(name), plain(noteText(r)))
		}
	}
	if err != nil {
		faults := faultsOf(err)
		lines := readLines(name)
		for _, fault := range faults {
			fmt.Fprintln(p.stderr, plain(faultText(name, fault, lines)))
		}
		return loggedError{someFailed{len(faults)}}
	}
	if !quiet {
		fmt.Fprint(p.stdout, c.report())
	}
	return nil
}

// noteText is a warning in one line.
func noteText(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, "; %s %s", a.Key, a.Value)
		return true
	})
	return b.String()
}

// readLines are the lines of a file, nil if it cannot be read.
func readLines(name string) []string {
	data, err := readUpTo(name, maxConfigFile)
	if err != nil {
		return nil
	}
	return strings.Split(string(data), "\n")
}

// faultText is a fault with its place: FILE:LINE:COLUMN where what is wrong is
// found in the line.
func faultText(name string, err error, lines []string) string {
	fault, ok := errors.AsType[*settings.LineError](err)
	if !ok {
		if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == name {
			return name + ": " + p.Err.Error() // open and the flag's name say nothing here
		}
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "settings: "), "--config: ")
		if strings.HasPrefix(text, name+":") {
			return text
		}
		return name + ": " + text
	}
	what := ""
	if v, ok := errors.AsType[*settings.ValueError](fault.Err); ok {
		what = v.Value
	} else if n, ok := errors.AsType[*settings.NameError](fault.Err); ok {
		what = n.Name
	}
	column := 0
	if what != "" && fault.Line <= len(lines) {
		column = strings.Index(lines[fault.Line-1], what) + 1
	}
	if column == 0 {
		return fault.Error()
	}
	place := fmt.Sprintf("%s:%d:", fault.File, fault.Line)
	return fmt.Sprintf("%s%d:%s", place, column, strings.TrimPrefix(fault.Error(), place))
}

// tryStart has the component make all of itself out of the settings, and takes it down
// again. Nothing listens meanwhile.
func (c *config) tryStart() error {
	d := newDaemon(c, io.Discard)
	if err := d.server.Serve(&deaf{closed: make(chan struct{})}); err != nil {
		return err
	}
	return d.server.Close()
}

// A deaf listener hears nobody.
type deaf struct {
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (d *deaf) Accept() (net.Conn, error) {
	<-d.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// Addr implements net.Listener.
func (d *deaf) Addr() net.Addr { return new(net.TCPAddr) }

// report says what a configuration comes to.
func (c *config) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is good\n", plain(c.flags.config))
	fmt.Fprintf(&b, "listens on %s\n", plain(net.JoinHostPort(c.server.LocalHost, fmt.Sprint(c.server.LocalPort))))
	b.WriteString(fingerprints(c.hostKeys))
	for _, u := range c.users {
		fmt.Fprintf(&b, "user       %s: %s\n", plain(u.name), plain(u.report()))
	}
	return b.String()
}

// report says of a user how to log in, where to, and what is restricted.
func (u *userConfig) report() string {
	if u.disabled {
		return "disabled"
	}
	how := methodsText(u.require)
	if how == "" {
		how = strings.Join(u.methods(), " or ")
	}
	parts := []string{how, u.config.rootOf(u) + u.home}
	for _, p := range []struct {
		is   bool
		text string
	}{
		{u.restrict, "confined to the home directory"},
		{u.sources != nil, fmt.Sprintf("from %v", u.sources)},
		{u.readOnly, "read only"},
		{!u.readOnly && u.limited != nil, "restricted"},
		{u.quota.Bytes > 0 || u.quota.Files > 0, "quota"},
		{u.maxSessions > 0, "at most " + count(u.maxSessions, "session")},
	} {
		if p.is {
			parts = append(parts, p.text)
		}
	}
	return strings.Join(parts, ", ")
}
