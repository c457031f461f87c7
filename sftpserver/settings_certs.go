package sftpserver

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/settings"
)

// maxAltCerts bounds AltSSHCertCount: there are fewer algorithms than that.
const maxAltCerts = 64

// certSettings are those that load host keys. Options.HostKeys are used besides. A store may be a private key by
// itself, and is a secret.
var certSettings = []row{
	{
		Name: "SSHCert", Aliases: []string{"HostKey"}, Repeat: true,
		Field: func(s *Server) any { return &s.stash.hostKeyFiles },
		Valid: func(value string) error {
			var files []string
			if err := settings.Scan(&files, settings.NoUnit, value); err != nil {
				return err
			}
			for _, name := range files {
				c := hostKeyFile(name)
				if err := c.load(); err != nil {
					return err
				}
				c.change()
			}
			return nil
		},
		Doc: "Files of host keys that need no password, in any format that package certstore knows.",
	},
	certRow(row{Name: "SSHCertStoreType", Default: "0", Doc: storeTypeDoc}, setStoreType, getStoreType),
	certRow(row{Name: "SSHCertStore", Secret: true, Doc: "The store of the host key: a file, the store itself as text, or a name, by SSHCertStoreType."}, setStore, getStore),
	certRow(row{Name: "SSHCertStorePassword", Secret: true, Doc: "What opens that store."}, setStorePassword, getStorePassword),
	certRow(row{Name: "SSHCertSubject", Doc: "Which host key of the store to take; * is the first. Set it last: it loads the key."}, setSubject, getSubject),
	certRow(row{Name: "SSHCertEncoded", Doc: "A certificate in PEM or Base64; its private key is taken from the store in place of that of SSHCertSubject."}, setEncoded, getEncoded),
	{
		Name: "AltSSHCertCount", Default: "0", Range: "0.." + strconv.Itoa(maxAltCerts), Type: "number",
		Get: func(s *Server, _ string) (string, error) { return strconv.Itoa(len(s.stash.altCerts)), nil },
		Set: func(s *Server, _, value string) error {
			var n int
			if err := settings.Scan(&n, settings.NoUnit, value); err != nil {
				return err
			}
			for i := n; i < len(s.stash.altCerts); i++ {
				s.stash.altCerts[i].change()
			}
			s.stash.altCerts = resize(s.stash.altCerts, n)
			return nil
		},
		Doc: "How many more host keys there are, counted from 0. Clients get the one whose algorithm they ask for.",
	},
	certRow(row{Name: "AltSSHCertStoreType", Index: "number", Default: "0", Doc: storeTypeDoc}, setStoreType, getStoreType),
	certRow(row{Name: "AltSSHCertStore", Index: "number", Secret: true, Doc: "The store of that host key."}, setStore, getStore),
	certRow(row{Name: "AltSSHCertStorePassword", Index: "number", Secret: true, Doc: "What opens that store."}, setStorePassword, getStorePassword),
	certRow(row{Name: "AltSSHCertSubject", Index: "number", Doc: "Which host key of that store to take; * is the first. Set it last: it loads the key."}, setSubject, getSubject),
}

const storeTypeDoc = "The kind of store, by number or by name, such as 6 or cstPEMKeyFile; 0 finds it by looking, and on Windows is also the user's store of a name. See package certstore."

// A certSetting is where a host key comes from.
type certSetting struct {
	source  certstore.Source
	loaded  *heldCert // nil: not yet, or the source has changed
	signers []gossh.Signer
}

// A heldCert is what a host key was loaded as, such as a session with a token. Settings use it, and every engine that was made
// of them: the last to leave closes it.
type heldCert struct {
	users atomic.Int32
	close func() error
}

func newHeldCert(end func() error) *heldCert {
	h := &heldCert{close: end}
	h.users.Store(1)
	return h
}

func (h *heldCert) enter() *heldCert {
	h.users.Add(1)
	return h
}

func (h *heldCert) leave() {
	if h.users.Add(-1) == 0 {
		_ = h.close()
	}
}

// load loads the host key, unless it is there.
func (c *certSetting) load() error {
	if c.loaded != nil {
		return nil
	}
	cert, err := c.source.Load()
	if err != nil {
		return err
	}
	signers, err := cert.Signers()
	if err != nil {
		_ = cert.Close()
		return err
	}
	c.loaded, c.signers = newHeldCert(cert.Close), signers
	return nil
}

// change forgets the key that was loaded before the source changed.
func (c *certSetting) change() {
	if c.loaded != nil {
		c.loaded.leave()
		c.loaded, c.signers = nil, nil
	}
}

// certRow completes a row of a certificate: with an index an alternate one, without one the first.
func certRow(r row, set func(c *certSetting, value string) error, get func(c *certSetting) string) row {
	at := func(s *Server, index string) (*certSetting, error) {
		if index == "" {
			return &s.stash.cert, nil
		}
		return item(s.stash.altCerts, index, "AltSSHCertCount")
	}
	r.Type = "text"
	r.Get = func(s *Server, index string) (string, error) {
		c, err := at(s, index)
		if err != nil {
			return "", err
		}
		return get(c), nil
	}
	r.Set = func(s *Server, index, value string) error {
		c, err := at(s, index)
		if err != nil {
			return err
		}
		c.change()
		return set(c, value)
	}
	return r
}

func getStoreType(c *certSetting) string     { return strconv.Itoa(int(c.source.Type)) }
func getStore(c *certSetting) string         { return c.source.Store }
func getStorePassword(c *certSetting) string { return string(c.source.Password) }
func getSubject(c *certSetting) string       { return c.source.Subject }
func getEncoded(c *certSetting) string       { return string(c.source.Encoded) }

func setStoreType(c *certSetting, value string) error {
	t, err := certstore.ParseType(value)
	if err != nil {
		return &settings.ValueError{Want: "the number or name of a store type", Err: err}
	}
	c.source.Type = t
	return nil
}

func setStore(c *certSetting, value string) error {
	c.source.Store = value
	return nil
}

func setStorePassword(c *certSetting, value string) error {
	c.source.Password = keys.Passphrase(value)
	return nil
}

func setSubject(c *certSetting, value string) error {
	c.source.Subject = value
	if value == "" {
		return nil
	}
	return c.load()
}

func setEncoded(c *certSetting, value string) error {
	c.source.Encoded = nil
	if value != "" {
		c.source.Encoded = []byte(value)
	}
	return nil
}

// takeHostKeys gives an engine all host keys that the server has: those of Options.HostKeys and those that settings load.
func (s *Server) takeHostKeys(e *engine) error {
	e.hostKeys = slices.Clip(s.HostKeys)
	for _, c := range append([]*certSetting{&s.stash.cert}, pointers(s.stash.altCerts)...) {
		if c.source.Store == "" && c.loaded == nil {
			continue // not configured
		}
		if err := c.load(); err != nil {
			return err
		}
		e.hostKeys, e.certs = append(e.hostKeys, c.signers...), append(e.certs, c.loaded.enter())
	}
	for _, name := range s.stash.hostKeyFiles {
		c := hostKeyFile(name) // of the engine alone
		if err := c.load(); err != nil {
			return err
		}
		e.hostKeys, e.certs = append(e.hostKeys, c.signers...), append(e.certs, c.loaded)
	}
	return nil
}

// hostKeyFile is a file of host keys.
func hostKeyFile(name string) certSetting {
	return certSetting{source: certstore.Source{Type: certstore.Auto, Store: name}}
}

// item is the place of a list that an index names.
func item[E any](list []E, index, count string) (*E, error) {
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 || n >= len(list) {
		return nil, fmt.Errorf("sftpserver: there are %d: set %s first", len(list), count)
	}
	return &list[n], nil
}

// pointers are those of the places of a list.
func pointers[E any](list []E) []*E {
	out := make([]*E, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// resize makes a list n long, with zero values at its end.
func resize[E any](list []E, n int) []E {
	if n <= len(list) {
		return slices.Clip(list[:n])
	}
	return append(slices.Clip(list), make([]E, n-len(list))...)
}
