package sftpserver

import (
	"slices"

	"github.com/fairlead-ssh/fairlead/settings"
)

// Update lets f change the settings, also while the server listens. What f changes holds then for connections that come
// from now on; those that are there keep what they came to, files and all, until they end. f must
// not change what slices, maps and pointers in the settings lead to, but replace them, and call no method of the server.
//
// What belongs to the listener cannot be changed while there is one: LocalHost, LocalPort, IPFamily, ConnectionBacklog,
// ShareAddress and MaxConnections. Update answers ErrListening then. That and every other
// error, such as a RootDirectory that is not there, leaves everything as it was. Files that settings by name
// have named, of host keys and others, are read again. Clients that had been let in by what changed stay: see Disconnect.
//
// The fields of the server are the settings as they are then. A program that changes them by Update or Config in several
// goroutines should read them by Config.
func (s *Server) Update(f func(*Options)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	starting := s.starting && !s.listening()
	s.mu.Unlock()
	switch {
	case starting:
		return ErrListening // nobody knows yet whether it will be
	case !s.Listening():
		f(&s.Options)
		return nil
	}
	return s.change(func(next *Server) error {
		f(&next.Options)
		return nil
	})
}

// change lets f change a copy of the settings, and has the connections to come served by an engine that is made of that. The
// caller holds s.changing.
func (s *Server) change(f func(next *Server) error) (err error) {
	s.mu.Lock()
	old := s.engine
	s.mu.Unlock()
	next := &Server{Options: s.Options.clone(), Events: old.Events, stash: s.stash.clone(), of: s}
	defer func() {
		if err != nil {
			next.stash.forget()
		}
	}()
	if err := f(next); err != nil {
		return err
	}
	for r := range table.Rows() {
		if r.When != settings.Start || r.Field == nil {
			continue
		}
		was, err := table.Get(s, r.Name)
		if err != nil {
			continue // cannot be: it is a field
		}
		if is, err := table.Get(next, r.Name); err != nil || is != was {
			return numbered(&settings.BusyError{Name: r.Name, Number: r.Busy})
		}
	}
	e, err := next.newEngine()
	if err != nil {
		return err
	}
	s.stash.forget() // host keys that connections use stay, as their engines hold them
	s.Options, s.stash = next.Options, next.stash
	s.setRates(e)
	s.succeed(e)
	return nil
}

// succeed gives the connections to come to another engine.
func (s *Server) succeed(e *engine) {
	s.mu.Lock()
	if !s.listening() { // any more
		s.mu.Unlock()
		e.release()
		return
	}
	old := s.engine
	e.acceptor = old.acceptor
	e.acceptor.engine, s.engine = e, e
	e.acceptor.engines++
	s.engines = append(s.engines, e)
	s.mu.Unlock()
	old.retire()
}

// clone is a copy with lists of its own.
func (o *Options) clone() Options {
	c := *o
	for _, list := range []*[]string{&c.AllowedClients, &c.BlockedClients, &c.ClientVersionPatterns, &c.AuthMethods, &c.Extensions} {
		*list = slices.Clone(*list)
	}
	c.HostKeys = slices.Clone(c.HostKeys)
	c.TrustedUserCAKeys, c.RevokedKeys = slices.Clone(c.TrustedUserCAKeys), slices.Clone(c.RevokedKeys)
	c.KeyboardInteractivePrompts = slices.Clone(c.KeyboardInteractivePrompts)
	return c
}

// clone is a copy with lists of its own.
func (s *stash) clone() stash {
	c := *s
	for _, list := range []*[]string{&c.hostKeyFiles, &c.userCAFiles, &c.revokedFiles} {
		*list = slices.Clone(*list)
	}
	c.altCerts = slices.Clone(c.altCerts)
	for _, cert := range append([]*certSetting{&c.cert}, pointers(c.altCerts)...) {
		if cert.loaded != nil {
			cert.loaded.enter()
		}
	}
	return c
}
