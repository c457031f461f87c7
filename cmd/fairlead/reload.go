package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// withHangups adds SIGHUP to the signals.
func withHangups(signals <-chan os.Signal) (all <-chan os.Signal, undo func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	both, done := make(chan os.Signal), make(chan struct{})
	go func() {
		for {
			var s os.Signal
			select {
			case s = <-signals:
			case s = <-hangups:
			case <-done:
				return
			}
			select {
			case both <- s:
			case <-done:
				return
			}
		}
	}()
	return both, func() {
		signal.Stop(hangups)
		close(done)
	}
}

// reloads reads the configuration at every SIGHUP, until another signal comes, which it
// returns. Reading can wait for a file; meanwhile signals are heard all the same.
func (d *daemon) reloads(signals <-chan os.Signal) os.Signal {
	done := make(chan struct{}, 1)
	reading, again := false, false
	read := func() {
		reading = true
		go func() {
			d.reload()
			done <- struct{}{}
		}()
	}
	for {
		select {
		case s := <-signals:
			switch {
			case s != syscall.SIGHUP:
				return s
			case reading:
				again = true
			default:
				read()
			}
		case <-done:
			if reading = false; again {
				again = false
				read()
			}
		}
	}
}

// reload reads the flags' files again and has logins go by them from now on. What is
// at fault leaves everything as it was.
func (d *daemon) reload() {
	c, err := newConfig(d.flags)
	c.notes.to(d.log)
	if err != nil {
		for _, e := range faultsOf(err) {
			d.log.Error("configuration not read", "err", strings.TrimPrefix(e.Error(), "settings: "))
		}
		d.log.Error("everything stays as it was; fairlead check tells what is wrong", "file", d.flags.config)
		return
	}
	before := d.accounts.Swap(newAccounts(c)).config
	for _, name := range d.adopt(before, c) {
		d.log.Warn("changed, and takes effect at the next start only", "setting", name)
	}
	cut, left := d.removed(c.disconnectRemoved)
	d.log.Info("configuration read", "file", d.flags.config, "users", len(c.users), "disconnected", cut, "connected without a block", left)
	d.level.Set(c.logLevel) // last, so that what is told above is
}

// faultsOf are the single faults of an error.
func faultsOf(err error) []error {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return []error{err}
	}
	return faults.Unwrap()
}

// adopt applies what changed and may change while the server runs, and returns what needs a
// new start. Both readings were complete; c.server is one that never starts.
func (d *daemon) adopt(before, c *config) (later []string) {
	for r := range configTable.Rows() {
		if r.Index != "" || r.When == settings.ReadOnly || r.Unsupported != nil {
			continue
		}
		was, err := configTable.Get(before, r.Name)
		if err != nil {
			continue // nobody can tell
		}
		is, err := configTable.Get(c, r.Name)
		if err != nil || is == was {
			continue
		}
		if r.When != settings.Runtime {
			later = append(later, r.Name)
			continue
		}
		if err := d.change(r.Name, is); err != nil {
			d.log.Error("not changed", "setting", r.Name, "err", err)
		}
	}
	if c.logLevel < slog.LevelInfo && d.server.LogLevel < sftpserver.LogVerbose {
		later = append(later, "LogLevel debug")
	}
	if was, is := fingerprints(d.hostKeys), fingerprints(c.hostKeys); was != is {
		later = append(later, "HostKeyFile (the keys in the files)")
	}
	return later
}

// change sets what may change while the server runs.
func (d *daemon) change(name, value string) error {
	if slices.ContainsFunc(commandRows, func(r settings.Row[config]) bool { return r.Name == name }) {
		return nil // who uses it looks at the accounts
	}
	_, err := d.server.Config(name + "=" + value)
	return err
}

// removed counts the connections of users who may not log in any more, and ends
// them if it is asked to.
func (d *daemon) removed(cut bool) (ended, left int) {
	now := d.accounts.Load()
	for c := range d.server.Connections() {
		name := c.User()
		switch {
		case name == "" || now.admits(name):
		case cut:
			d.log.Info("disconnected: the user may not log in any more", "user", name, "remote", c.RemoteAddr())
			_ = c.Disconnect()
			ended++
		default:
			left++
		}
	}
	return ended, left
}

// summary says what is served.
func (c *config) summary() string {
	roots := map[string]bool{}
	one := ""
	for _, u := range c.users {
		one = c.rootOf(u)
		roots[one] = true
	}
	if len(roots) != 1 {
		one = fmt.Sprintf("%d directories", len(roots))
	}
	return fmt.Sprintf("%s to %s of %s", one, count(len(c.users), "user"), c.flags.config)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
