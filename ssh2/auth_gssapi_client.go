package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A GSSInitiator is the client's side of a mechanism. It is used by many
// connections at once.
type GSSInitiator interface {
	// OID is the mechanism's object identifier in DER, tag and length included.
	OID() []byte
	// Initiate makes a context to the service "host" on a host, with integrity
	// and, if mutual is set, so that the server has to prove itself.
	Initiate(ctx context.Context, host string, mutual bool) (GSSContext, error)
}

// GSSClient says how a client uses the GSS-API.
type GSSClient struct {
	// Mechanisms in order of preference. SPNEGO must not be among them.
	Mechanisms []GSSInitiator
	// Host is the server's name as the mechanism knows it. Empty means the host
	// part of the address that was dialled, as it was written: no name service
	// is asked for another name, since its answer could be forged.
	Host string
}

// check says what is wrong with the configuration.
func (g *GSSClient) check() error {
	if g == nil {
		return nil
	}
	if len(g.Mechanisms) > msg.MaxMechanisms {
		return errors.New("too many mechanisms")
	}
	for _, m := range g.Mechanisms {
		if err := checkMechanism(m.OID()); err != nil {
			return err
		}
	}
	return nil
}

func (g *GSSClient) oids() (oids [][]byte) {
	if g == nil {
		return nil
	}
	for _, m := range g.Mechanisms {
		oids = append(oids, m.OID())
	}
	return oids
}

// host returns whom to authenticate to at a dialled host.
func (g *GSSClient) host(dialled string) string {
	if g.Host != "" {
		return g.Host
	}
	return dialled
}

// transport returns the transport's part of the configuration.
func (g *GSSClient) transport(addr string) (out []transport.GSSMechanism) {
	if g == nil {
		return nil
	}
	host := g.host(hostOf(addr))
	for _, m := range g.Mechanisms {
		out = append(out, transport.GSSMechanism{OID: m.OID(), Start: func(ctx context.Context) (GSSContext, error) {
			return m.Initiate(ctx, host, true)
		}})
	}
	return out
}

// hostOf returns the host part of an address that was dialled.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return strings.TrimSuffix(host, ".")
}

// GSSAPI logs in by a GSS-API mechanism, such as Kerberos (gssapi-with-mic, RFC
// 4462 section 3). The server chooses among the mechanisms.
func GSSAPI(g *GSSClient) AuthMethod { return &gssMethod{g} }

type gssMethod struct{ g *GSSClient }

func (*gssMethod) name() string { return MethodGSSAPI }

func (m *gssMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	if m.g == nil || len(m.g.Mechanisms) == 0 {
		return authFailed, c.local(MethodGSSAPI, errors.New("no mechanism"))
	}
	if err := m.g.check(); err != nil {
		return authFailed, c.local(MethodGSSAPI, err)
	}

	// 3.2, 3.3: mechanisms, and the one that the server chose.
	if err := c.request(MethodGSSAPI, &msg.GSSFields{Mechanisms: m.g.oids()}); err != nil {
		return authFailed, err
	}
	p, err := c.reply(ctx)
	if err != nil {
		return authFailed, err
	}
	if p[0] != msg.NumGSSResponse {
		return c.outcome(p)
	}
	var r msg.GSSResponse
	if err := msg.Decode(p, &r); err != nil {
		return authFailed, c.t.Violation("authentication: %v", err)
	}
	var mech GSSInitiator
	for _, i := range m.g.Mechanisms {
		if bytes.Equal(i.OID(), r.Mechanism) {
			mech = i
			break
		}
	}
	if mech == nil {
		return authFailed, c.t.Violation("authentication: server chose a mechanism that was not offered")
	}
	// Only the client has to prove itself, and so 3.4 does without mutual
	// authentication. But OpenSSH's server knows no client that did not ask for it.
	gc, err := mech.Initiate(ctx, m.g.host(c.host), true)
	if err != nil {
		return authFailed, c.local(MethodGSSAPI, err)
	}

	// 3.4: tokens until the context is established.
	over, out, err := c.gssTokens(ctx, gc)
	if over || err != nil {
		return out, err
	}
	if !gc.State().Integrity {
		return authFailed, c.local(MethodGSSAPI, errors.New("mechanism has no integrity"))
	}

	// 3.5: the MIC.
	mic, err := c.gssMIC(gc, MethodGSSAPI)
	if err != nil {
		return authFailed, c.local(MethodGSSAPI, err)
	}
	if err := c.post(&msg.GSSMIC{MIC: mic}); err != nil {
		return authFailed, err
	}
	c.proof = true
	if p, err = c.gssReply(ctx); err != nil {
		return authFailed, err
	}
	return c.outcome(p)
}

// gssTokens establishes the context. over tells that the attempt has ended
// before it was, with the outcome.
func (c *authClient) gssTokens(ctx context.Context, gc GSSContext) (over bool, o authOutcome, err error) {
	var token []byte
	for range transport.MaxGSSRounds {
		out, done, err := gc.Step(ctx, token)
		if ctx.Err() != nil {
			return true, authFailed, context.Cause(ctx)
		}
		if err != nil {
			// 3.4, 3.9: a new request, or the end, tells the server.
			if len(out) > 0 {
				if err := c.post(&msg.GSSToken{Err: true, Token: out}); err != nil {
					return true, authFailed, err
				}
			}
			return true, authFailed, c.local(MethodGSSAPI, err)
		}
		if len(out) > 0 {
			if err := c.post(&msg.GSSToken{Token: out}); err != nil {
				return true, authFailed, err
			}
		}
		switch {
		case done:
			return false, 0, nil
		case len(out) == 0:
			return true, authFailed, c.local(MethodGSSAPI, errors.New("mechanism has nothing to go on with"))
		}
		p, err := c.gssReply(ctx)
		if err != nil {
			return true, authFailed, err
		}
		if p[0] != msg.NumGSSToken {
			o, err = c.outcome(p)
			return true, o, err
		}
		var m msg.GSSToken
		if err := msg.Decode(p, &m); err != nil {
			return true, authFailed, c.t.Violation("authentication: %v", err)
		}
		if len(m.Token) == 0 || len(m.Token) > transport.MaxGSSToken {
			return true, authFailed, c.t.Violation("authentication: token of %d octets", len(m.Token))
		}
		token = m.Token // nothing is read before Step has it
	}
	return true, authFailed, c.local(MethodGSSAPI, errors.New("no end of tokens"))
}

// gssReply is reply, past what a server says of its error before it fails the
// attempt (RFC 4462 sections 3.8 and 3.9).
func (c *authClient) gssReply(ctx context.Context) ([]byte, error) {
	for {
		p, err := c.reply(ctx)
		if err != nil {
			return nil, err
		}
		switch p[0] {
		case msg.NumGSSError:
			var e msg.GSSError
			if err := msg.Decode(p, &e); err != nil {
				return nil, c.t.Violation("authentication: %v", err)
			}
			c.noteGSS(fmt.Errorf("server says %s", quoteAuth(e.Text)))
		case msg.NumGSSErrorToken:
			if err := msg.Decode(p, &msg.GSSToken{Err: true}); err != nil {
				return nil, c.t.Violation("authentication: %v", err)
			}
			c.noteGSS(errors.New("the server's mechanism failed"))
		default:
			return p, nil
		}
		if c.banners++; c.banners > maxBanners {
			return nil, c.t.Violation("authentication: too many messages")
		}
	}
}

// noteGSS keeps what went wrong on the server for the error in the end.
func (c *authClient) noteGSS(err error) {
	c.errs = append(c.errs, fmt.Errorf("%s: %w", MethodGSSAPI, err))
}

// gssMIC binds a context to this session and to a request of method.
func (c *authClient) gssMIC(gc GSSContext, method string) ([]byte, error) {
	mic, err := gc.MIC(wire.Append(nil, &msg.GSSSignedData{
		SessionID: c.t.SessionID(), User: c.user, Service: serviceConnection, Method: method,
	}))
	if err == nil && len(mic) == 0 {
		err = errors.New("mechanism made no MIC")
	}
	return mic, err
}

// GSSKeyex logs in as the client that the first key exchange has authenticated,
// if that was one of the gss- methods (gssapi-keyex, RFC 4462 section 4); see
// ClientConfig.GSSKeyExchange. Put it before GSSAPI: it takes one round trip.
func GSSKeyex() AuthMethod { return gssKeyexMethod{} }

type gssKeyexMethod struct{}

func (gssKeyexMethod) name() string { return MethodGSSKeyex }

func (gssKeyexMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	if c.keyex == nil {
		return authFailed, c.local(MethodGSSKeyex, errors.New("keys were not exchanged by the GSS-API"))
	}
	mic, err := c.gssMIC(c.keyex, MethodGSSKeyex)
	if err != nil {
		return authFailed, c.local(MethodGSSKeyex, err)
	}
	if err := c.request(MethodGSSKeyex, &msg.GSSKeyexFields{MIC: mic}); err != nil {
		return authFailed, err
	}
	c.proof = true
	p, err := c.reply(ctx)
	if err != nil {
		return authFailed, err
	}
	return c.outcome(p)
}
