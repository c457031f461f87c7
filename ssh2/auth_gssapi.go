package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// The GSS-API (RFC 2743) as SSH uses it (RFC 4462). This package knows the
// conversations and no mechanism; package gssapi brings Kerberos.
type (
	// GSSContext is one security context, for one connection. It is used by one
	// goroutine at a time.
	GSSContext = transport.GSSContext
	// GSSState is the result of an established GSSContext.
	GSSState = transport.GSSState
)

// A GSSAcceptor is the server's side of a mechanism. It is used by many
// connections at once.
type GSSAcceptor interface {
	// OID is the mechanism's object identifier in DER, tag and length included.
	OID() []byte
	// Accept makes a context that waits for a client's first token.
	Accept(ctx context.Context) (GSSContext, error)
}

// GSSServer says who may log in by the GSS-API (RFC 4462). The zero value lets
// nobody in.
type GSSServer struct {
	// Mechanisms may be chosen by clients for gssapi-with-mic (RFC 4462 section
	// 3). SPNEGO must not be among them (section 7.3).
	Mechanisms []GSSAcceptor
	// KeyExchange offers the gss- key exchange methods for the Mechanisms,
	// before all others unless Config.KeyExchanges says something else. A client
	// that runs one may then log in by gssapi-keyex (RFC 4462 section 4).
	KeyExchange bool
	// Allow says whether a client may log in as the user it asks for. It is
	// called once the library has verified that the client is who the mechanism
	// says it is, and that it means this session, user and service. An identity
	// alone grants no account: alice@EXAMPLE.ORG may not log in as alice unless
	// Allow says so. Nil refuses everybody.
	Allow func(context.Context, *AuthAttempt, GSSPeer) Verdict
}

// GSSPeer is an authenticated client.
type GSSPeer struct {
	// Mechanism is the object identifier in DER of what vouches for Name. Do
	// not modify it.
	Mechanism []byte
	// Name is the client as the mechanism writes it, for Kerberos
	// "user@REALM". It is never empty, is valid UTF-8 without control
	// characters and has at most MaxUserName octets.
	Name string
}

// spnego is the OID of a mechanism that negotiates mechanisms. SSH does that
// by itself, and so must not use it (RFC 4462 section 7.3).
var spnego = []byte{0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02}

// checkMechanism says why an OID cannot be used.
func checkMechanism(oid []byte) error {
	switch {
	case len(oid) < 3 || len(oid) > 127 || oid[0] != 0x06 || int(oid[1]) != len(oid)-2:
		return errors.New("mechanism is not an object identifier in DER")
	case bytes.Equal(oid, spnego):
		return errors.New("mechanism is SPNEGO, which SSH must not use")
	}
	return nil
}

// check says what is wrong with the configuration.
func (g *GSSServer) check() error {
	if g == nil {
		return nil
	}
	for _, m := range g.Mechanisms {
		if err := checkMechanism(m.OID()); err != nil {
			return &ConfigError{"GSS-API", err}
		}
	}
	return nil
}

// keyExchange returns the mechanisms to exchange keys with.
func (g *GSSServer) keyExchange() (oids [][]byte) {
	if g == nil || !g.KeyExchange {
		return nil
	}
	for _, m := range g.Mechanisms {
		oids = append(oids, m.OID())
	}
	return oids
}

// transport returns the transport's part of the configuration.
func (g *GSSServer) transport() (out []transport.GSSMechanism) {
	if g == nil || !g.KeyExchange {
		return nil
	}
	for _, m := range g.Mechanisms {
		out = append(out, transport.GSSMechanism{OID: m.OID(), Start: m.Accept})
	}
	return out
}

// find returns the first mechanism of the client's list that is one of ours.
func (g *GSSServer) find(oids [][]byte) GSSAcceptor {
	for _, oid := range oids {
		for _, m := range g.Mechanisms {
			if bytes.Equal(oid, m.OID()) {
				return m
			}
		}
	}
	return nil
}

// gssapi is RFC 4462 section 3 on a server. The context lives as long as this
// attempt.
func (s *authServer) gssapi(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	// 3.2, 3.3: the first of the client's mechanisms that we have.
	var f msg.GSSFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	mech := s.auth.GSSAPI.find(f.Mechanisms)
	if mech == nil {
		return refused("no mechanism in common"), nil, nil
	}
	gc, err := mech.Accept(ctx)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	if err := s.t.PostMessage(&msg.GSSResponse{Mechanism: mech.OID()}); err != nil {
		return Verdict{}, nil, err
	}

	// 3.4: tokens until the context is established.
	v, err := s.gssTokens(ctx, gc)
	if v.Reason != nil || err != nil {
		// The client may have sent the end of the conversation along with a
		// token that was not what we wanted.
		s.stale = err == nil
		return v, nil, err
	}

	// 3.5: the MIC binds it to this session, user and service. A context that
	// cannot make one ends otherwise (3.6) and is not good enough for us.
	p, err := s.gssNext(ctx, msg.NumGSSMIC, msg.NumGSSComplete)
	if err != nil {
		return Verdict{}, nil, err
	}
	if p[0] == msg.NumGSSComplete {
		return refused("no MIC"), nil, nil
	}
	var m msg.GSSMIC
	if err := msg.Decode(p, &m); err != nil {
		return refused("malformed MIC"), nil, nil
	}
	return s.gssAllow(ctx, at, gc, mech.OID(), m.MIC)
}

// gssTokens establishes the context. A Verdict with a reason refuses.
func (s *authServer) gssTokens(ctx context.Context, gc GSSContext) (Verdict, error) {
	for range transport.MaxGSSRounds {
		p, err := s.gssNext(ctx, msg.NumGSSToken, msg.NumGSSMIC, msg.NumGSSComplete, msg.NumGSSErrorToken)
		if err != nil {
			return Verdict{}, err
		}
		switch p[0] {
		case msg.NumGSSMIC, msg.NumGSSComplete:
			return refused("context not established"), nil
		case msg.NumGSSErrorToken:
			// 3.9: the client gives up, and must not be answered.
			return Verdict{}, errAborted
		}
		var m msg.GSSToken
		if err := msg.Decode(p, &m); err != nil || len(m.Token) == 0 || len(m.Token) > transport.MaxGSSToken {
			return refused("malformed token"), nil
		}
		out, done, err := gc.Step(ctx, m.Token)
		if ctx.Err() != nil {
			return Verdict{}, context.Cause(ctx)
		}
		if err != nil {
			if len(out) > 0 { // 3.9
				if err := s.t.PostMessage(&msg.GSSToken{Err: true, Token: out}); err != nil {
					return Verdict{}, err
				}
			}
			return Verdict{Reason: err}, nil
		}
		if len(out) > 0 {
			if err := s.t.PostMessage(&msg.GSSToken{Token: out}); err != nil {
				return Verdict{}, err
			}
		}
		switch {
		case done:
			return Verdict{}, nil
		case len(out) == 0:
			return refused("mechanism has nothing to go on with"), nil
		}
	}
	return refused("no end of tokens"), nil
}

// gssNext returns the client's next message, one of the given ones. A new
// request abandons the attempt (RFC 4462 section 3.1).
func (s *authServer) gssNext(ctx context.Context, numbers ...byte) ([]byte, error) {
	p, err := s.next(ctx)
	s.heard = time.Now()
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(numbers, p[0]):
		return p, nil
	case p[0] == msg.NumUserauthRequest:
		// The message stays valid: nothing is read before it is handled.
		s.pending = p
		return nil, errAborted
	}
	return nil, s.t.Violation("authentication: %s instead of %s", msg.Name(p[0]), msg.Name(numbers[0]))
}

// endsGSS tells whether a client ends an attempt of gssapi-with-mic by it.
func endsGSS(number byte) bool { return number == msg.NumGSSMIC || number == msg.NumGSSComplete }

// gssKeyex is RFC 4462 section 4 on a server: the first key exchange has
// authenticated the client, who now says as whom it wants to log in.
func (s *authServer) gssKeyex(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	var f msg.GSSKeyexFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	return s.gssAllow(ctx, at, s.keyex, s.keyexOID, f.MIC)
}

// gssAllow verifies the MIC, and only then asks the application.
func (s *authServer) gssAllow(ctx context.Context, at *AuthAttempt, gc GSSContext, oid, mic []byte) (Verdict, msg.Message, error) {
	st := gc.State()
	if !st.Integrity {
		return refused("mechanism has no integrity"), nil, nil
	}
	signed := wire.Append(nil, &msg.GSSSignedData{
		SessionID: s.t.SessionID(), User: at.User, Service: at.Service, Method: at.Method,
	})
	if len(mic) == 0 || len(mic) > transport.MaxGSSToken {
		return refused("malformed MIC"), nil, nil
	}
	if err := gc.VerifyMIC(signed, mic); err != nil {
		return Verdict{Reason: fmt.Errorf("MIC: %w", err)}, nil, nil
	}
	if err := checkUser(st.Initiator); err != nil {
		return Verdict{Reason: fmt.Errorf("name of the client: %w", err)}, nil, nil
	}
	a := *at
	return s.auth.GSSAPI.Allow(ctx, &a, GSSPeer{Mechanism: oid, Name: st.Initiator}), nil, nil
}
