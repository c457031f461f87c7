package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
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

// reload reads the flags' files again, and has connections and logins go by them from now on. What is
// at fault leaves everything as it was.
func (d *daemon) reload() {
	c, err := newConfig(d.flags)
	c.notes.to(d.log)
	if err != nil {
		d.unchanged(err)
		return
	}
	before := d.accounts.Load().config
	later := keepListening(before, c)
	a := newAccounts(c)
	d.setUp(c, a)
	if err := d.server.Update(func(o *sftpserver.Options) { *o = c.server.Options }); err != nil {
		d.unchanged(err)
		return
	}
	d.accounts.Store(a)
	d.hooks.atATime(c.uploadJobs)
	for _, name := range later {
		d.log.Warn("changed, and takes effect at the next start only", "setting", name)
	}
	if was, is := fingerprints(before.hostKeys), fingerprints(c.hostKeys); was != is {
		d.log.Info("host keys changed, for clients that connect from now on", "keys", strings.Join(strings.Fields(strings.ReplaceAll(is, "host key ", "")), " "))
	}
	cut, left := d.removed(c.disconnectRemoved)
	d.log.Info("configuration read", "file", d.flags.config, "users", len(c.users), "disconnected", cut, "connected without a block", left)
	d.level.Set(c.logLevel) // last, so that what is told above is
}

// unchanged tells why a configuration was not taken.
func (d *daemon) unchanged(err error) {
	for _, e := range faultsOf(err) {
		d.log.Error("configuration not read", "err", strings.TrimPrefix(e.Error(), "settings: "))
	}
	d.log.Error("everything stays as it was; fairlead check tells what is wrong", "file", d.flags.config)
}

// faultsOf are the single faults of an error.
func faultsOf(err error) []error {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return []error{err}
	}
	return faults.Unwrap()
}

// keepListening gives c what cannot change while the server listens as it was before, and returns the names of
// what differed. Both readings were complete; c.server is one that never starts.
func keepListening(before, c *config) (later []string) {
	for r := range configTable.Rows() {
		if r.Index != "" || r.When != settings.Start || r.Unsupported != nil {
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
		later = append(later, r.Name)
		if err := configTable.Set(c, r.Name, was); err != nil {
			c.log.Error("setting", "name", r.Name, "err", err) // was good before
		}
	}
	return later
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
	users := 0
	for _, u := range c.users {
		if u.disabled {
			continue // sees no directory
		}
		users++
		one = c.rootOf(u)
		roots[one] = true
	}
	if len(roots) != 1 {
		one = fmt.Sprintf("%d directories", len(roots))
	}
	return fmt.Sprintf("%s to %s of %s", one, count(users, "user"), c.flags.config)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
