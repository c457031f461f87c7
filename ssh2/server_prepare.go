package ssh2

import (
	"context"
	"errors"
	"net"
	"regexp"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// A ConnConfig is the part of a Server's configuration that can differ from
// connection to connection: see Server.Prepare. Its fields mean what they mean
// in Server.
type ConnConfig struct {
	Config
	Greeting       string         // before our ident
	VersionPattern *regexp.Regexp // of the client's ident
	// HostKeys, if not nil, are used for this connection alone, and SetHostKeys
	// does not change them. Prepare gets nil here, which stands for the
	// server's keys.
	HostKeys []gossh.Signer
	// Auth says who may log in on this connection.
	Auth ServerAuth
}

// prepared is a connection that is not served as all others are.
type prepared struct {
	ConnConfig
	tcfg *transport.Config
}

// connConfig returns a copy of the server's own configuration.
func (s *Server) connConfig() ConnConfig {
	return ConnConfig{Config: s.Config, Greeting: s.Greeting, VersionPattern: s.VersionPattern, Auth: s.Auth}
}

// transportFor checks a configuration and returns the transport's part of it. Host
// keys may come later if Prepare can bring them.
func (s *Server) transportFor(c *ConnConfig, later bool) (*transport.Config, error) {
	if err := c.Auth.GSSAPI.check(); err != nil {
		return nil, err
	}
	signers := s.currentHostKeys
	if c.HostKeys != nil {
		signers = func() []gossh.Signer { return c.HostKeys }
	}
	gss := c.Auth.GSSAPI.keyExchange()
	if err := checkHostKeys(signers()); err != nil && (len(signers()) > 0 || len(gss) == 0 && !later) {
		return nil, err
	}
	o, err := c.resolve(gss...)
	if err != nil {
		return nil, err
	}
	if len(signers()) > 0 && len(gss) == 0 && s.AlgorithmsFor == nil && len(transport.Signable(o.hostKeys, signers())) == 0 {
		return nil, &ConfigError{"host key algorithms", errors.New("no host key signs by any of them")}
	}
	names, err := sigAlgs(&c.Auth, c.Profile)
	if err != nil {
		return nil, &ConfigError{"public key algorithms", err}
	}
	t, err := c.transport(msg.Server, o)
	if err != nil {
		return nil, err
	}
	if t.Greeting, err = greetingLines(c.Greeting); err != nil {
		return nil, err
	}
	if p := c.VersionPattern; p != nil {
		t.Admit = func(ident string) error {
			if !p.MatchString(ident) {
				return errVersionPattern
			}
			return nil
		}
	}
	t.Signers = signers
	t.GSS = c.Auth.GSSAPI.transport()
	t.Extensions = []msg.Extension{
		{Name: "server-sig-algs", Value: names},
		{Name: "ping@openssh.com", Value: []byte("0")},
	}
	return t, nil
}

// prepareConn lets Prepare change the configuration of a connection. An error
// refuses it, and is none of the client's doing.
func (s *Server) prepareConn(ctx context.Context, sv *served, nc net.Conn) error {
	p := &prepared{ConnConfig: s.connConfig()}
	if err := s.Prepare(ctx, nc, &p.ConnConfig); err != nil {
		return err
	}
	var err error
	if p.tcfg, err = s.transportFor(&p.ConnConfig, false); err != nil {
		return err
	}
	sv.prepared = p
	sv.t.Configure(s.configFor(nc, p.tcfg, &p.Auth))
	return nil
}

// config is what holds for this connection.
func (sv *served) config(s *Server) (*Config, *ServerAuth) {
	if p := sv.prepared; p != nil {
		return &p.Config, &p.Auth
	}
	return &s.Config, &s.Auth
}

// hostKeys returns the host keys for this connection of a server and the names
// of the algorithms that they may sign by.
func (c *Conn) hostKeys() ([]gossh.Signer, []string) {
	if p := c.prepared; p != nil {
		return p.tcfg.Signers(), p.tcfg.HostKeys
	}
	return c.server.currentHostKeys(), c.server.tcfg.HostKeys
}
