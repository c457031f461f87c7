package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
)

const (
	// nullHostKey stands for no host key at all (RFC 4462 section 5). It goes
	// with the gss- methods only, behind all other names.
	nullHostKey = "null"
	// MaxGSSToken bounds a token of the peer, in octets. A Kerberos ticket of
	// somebody in a thousand groups takes about 48 KiB.
	MaxGSSToken = 64 << 10
	// MaxGSSRounds bounds the tokens that a peer may send for one context.
	// Kerberos needs one.
	MaxGSSRounds = 16
)

// A GSSContext is one security context of the GSS-API (RFC 2743), for one
// connection. It is used by one goroutine at a time.
type GSSContext interface {
	// Step takes the peer's token and returns the one to send, if any; the
	// first step of an initiator has no token of the peer. done tells that the
	// context is established on this side. After an error the context is of no
	// use; a token that comes with the error tells the peer why. The token is
	// valid during the call only. Step must return soon after ctx ends.
	Step(ctx context.Context, token []byte) (out []byte, done bool, err error)
	// State tells what was established. Before that it is of no use.
	State() GSSState
	// MIC returns the integrity code of a message; VerifyMIC checks the peer's.
	MIC(message []byte) ([]byte, error)
	VerifyMIC(message, mic []byte) error
}

// GSSState is what an established GSSContext knows.
type GSSState struct {
	// Initiator is the authenticated name of the client, as the mechanism
	// writes it; for Kerberos "user@REALM". Empty if it is anonymous.
	Initiator string
	// Mutual tells that the acceptor has proven itself to the initiator.
	Mutual bool
	// Integrity tells that MIC and VerifyMIC may be used.
	Integrity bool
}

// A GSSMechanism makes contexts for key exchanges.
type GSSMechanism struct {
	OID []byte // object identifier in DER, tag and length included
	// Start makes a context: an initiator, with mutual authentication and
	// integrity, on a client, and an acceptor on a server.
	Start func(context.Context) (GSSContext, error)
}

// GSSContext returns the context of the first key exchange and the mechanism's
// object identifier, nil if that was none of the gss- methods. Those of later
// exchanges must not be used for authentication (RFC 4462 section 4). Only the
// reader may call it.
func (c *Conn) GSSContext() (gc GSSContext, oid []byte) { return c.gss, c.gssOID }

func isGSS(kexName string) bool { return strings.HasPrefix(kexName, "gss-") }

// hostKeyFits says which host key algorithms a method can do with.
func hostKeyFits(kexName, hostKey string) bool { return hostKey != nullHostKey || isGSS(kexName) }

// findMethod returns the method of a name, and its mechanism if it is one of
// the gss- methods. There is none for a mechanism that is not configured.
func (c *Conn) findMethod(name string) (*kex.Row, *GSSMechanism, bool) {
	if row, ok := kex.Find(name); ok {
		return row, nil, true
	}
	row, suffix, ok := kex.FindGSS(name)
	if !ok {
		return nil, nil, false
	}
	for i := range c.cfg.GSS {
		if m := &c.cfg.GSS[i]; kex.GSSSuffix(m.OID) == suffix {
			return row, m, true
		}
	}
	return nil, nil, false
}

// forRekey returns those of the methods that are to be offered. A client that
// has come to know the server's host key uses it from then on: credentials may
// not live as long as the connection does (RFC 4462 section 2.1).
func (c *Conn) forRekey(methods []string) []string {
	if c.cfg.Role == msg.Server || !c.keyKnown.Load() {
		return methods
	}
	if rest := slices.DeleteFunc(slices.Clone(methods), isGSS); len(rest) > 0 {
		return rest
	}
	return methods
}

// gssTime bounds what a mechanism may take, as it may ask others over the net:
// until the time of a key exchange is over, or the connection is.
func (c *Conn) gssTime(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, or(c.cfg.KexTimeout, DefaultKexTimeout))
	go func() { // ends with either
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// gssClient is the client's half of RFC 4462 sections 2.1 and 2.2.
func (x *run) gssClient(ctx context.Context) error {
	c := x.c
	ctx, cancel := c.gssTime(ctx)
	defer cancel()
	method, err := x.clientMethod()
	if err != nil {
		return err
	}

	// 1: e. 2: the first token.
	mine, err := method.Init()
	if err != nil {
		return c.kexFailed(err)
	}
	gc, err := x.gss.Start(ctx)
	if err != nil {
		return c.kexFailed(err)
	}
	token, done, err := gc.Step(ctx, nil)
	if err != nil {
		return c.kexFailed(err)
	}
	if len(token) == 0 {
		return c.kexFailed(errors.New("GSS-API: no first token"))
	}
	sent := time.Now()
	c.out.sendUrgent(urgent{buf: encode(&msg.KexGSSInit{Token: token, Public: mine})})

	// 2, 3: tokens both ways until both sides are done.
	last, done, err := x.gssTokens(ctx, gc, done, sent)
	if err != nil {
		return err
	}
	// 5: the last token of the server.
	if err := x.gssLast(ctx, gc, done, &last); err != nil {
		return err
	}
	if s := gc.State(); !s.Mutual || !s.Integrity {
		return c.kexFailed(errors.New("GSS-API: server did not prove itself"))
	}

	// 6: K, H, and the MIC, which takes the place of a signature.
	x.secret, err = method.Finish(last.Public)
	if err != nil {
		return c.kexFailed(err)
	}
	x.finishHash(mine, last.Public)
	if err = gc.VerifyMIC(x.hash, last.MIC); err != nil {
		err = fmt.Errorf("GSS-API: MIC of the key exchange: %w", err)
	} else {
		err = x.knownHostKey()
	}
	if err != nil {
		err = &HostKeyError{x.chosen.HostKey, err}
		c.end(err, ReasonHostKeyNotVerifiable, "host key not accepted")
		return err
	}
	if c.first {
		c.gss, c.gssOID = gc, x.gss.OID
	}
	return nil
}

// gssTokens exchanges tokens with the server until it sends KEXGSS_COMPLETE, which it returns: the
// packet stays ours until something is read. done tells whether the context is established here.
func (x *run) gssTokens(ctx context.Context, gc GSSContext, done bool, sent time.Time) (last msg.KexGSSComplete, _ bool, err error) {
	c := x.c
	for round := 0; ; round++ {
		p, err := c.readKex(msg.NumKexGSSComplete, msg.NumKexGSSContinue, msg.NumKexGSSHostKey, msg.NumKexGSSError)
		if err != nil {
			return last, done, err
		}
		if round == 0 {
			c.sampleRTT(sent)
		}
		if p[0] == msg.NumKexGSSComplete {
			if err := msg.Decode(p, &last); err != nil {
				return last, done, c.Violation("%v", err)
			}
			return last, done, nil
		}
		if round > MaxGSSRounds {
			return last, done, c.Violation("GSS-API: no end after %d messages", round)
		}
		switch p[0] {
		case msg.NumKexGSSHostKey:
			err = x.gssHostKey(p, round)
		case msg.NumKexGSSError:
			err = x.gssError(p)
		case msg.NumKexGSSContinue:
			if done {
				return last, done, c.Violation("KEXGSS_CONTINUE after the context was established")
			}
			var token []byte
			if token, done, err = x.gssStep(ctx, gc, p); err != nil {
				break
			}
			if len(token) == 0 {
				return last, done, c.kexFailed(errors.New("GSS-API: no token to go on with"))
			}
			c.out.sendUrgent(urgent{buf: encode(&msg.KexGSSContinue{Token: token})})
		}
		if err != nil {
			return last, done, err
		}
	}
}

// gssLast takes the last token, which the server sends if and only if the context is not yet
// established here.
func (x *run) gssLast(ctx context.Context, gc GSSContext, done bool, last *msg.KexGSSComplete) error {
	c := x.c
	switch {
	case last.HasToken == done:
		return c.Violation("KEXGSS_COMPLETE with a token: %t; the context was established before: %t", last.HasToken, done)
	case !last.HasToken:
		return nil
	case len(last.Token) > MaxGSSToken:
		return c.Violation("GSS-API: token of %d octets", len(last.Token))
	}
	out, done, err := gc.Step(ctx, last.Token)
	switch {
	case err != nil:
		return c.kexFailed(err)
	case !done || len(out) != 0:
		return c.Violation("KEXGSS_COMPLETE before the context was established")
	}
	return nil
}

// gssStep takes the token of a KEXGSS_CONTINUE. What a mechanism has to say of
// its error goes out before the end.
func (x *run) gssStep(ctx context.Context, gc GSSContext, p []byte) (out []byte, done bool, err error) {
	var m msg.KexGSSContinue
	if err := msg.Decode(p, &m); err != nil {
		return nil, false, x.c.Violation("%v", err)
	}
	return x.gssToken(ctx, gc, m.Token)
}

func (x *run) gssToken(ctx context.Context, gc GSSContext, token []byte) (out []byte, done bool, err error) {
	c := x.c
	if len(token) == 0 || len(token) > MaxGSSToken {
		return nil, false, c.Violation("GSS-API: token of %d octets", len(token))
	}
	out, done, err = gc.Step(ctx, token)
	if err != nil {
		if len(out) > 0 {
			c.out.sendUrgent(urgent{buf: encode(&msg.KexGSSContinue{Token: out})})
		}
		return nil, false, c.kexFailed(err)
	}
	return out, done, nil
}

// gssHostKey takes KEXGSS_HOSTKEY, which is the first message of the server or
// does not come.
func (x *run) gssHostKey(p []byte, round int) error {
	c := x.c
	var m msg.KexGSSHostKey
	if err := msg.Decode(p, &m); err != nil {
		return c.Violation("%v", err)
	}
	switch {
	case round != 0:
		return c.Violation("KEXGSS_HOSTKEY is not the first message")
	case x.chosen.HostKey == nullHostKey:
		return c.Violation("KEXGSS_HOSTKEY where no host key was negotiated")
	case len(m.HostKey) == 0 || len(m.HostKey) > maxHostKey:
		return c.Violation("KEXGSS_HOSTKEY of %d octets", len(m.HostKey))
	}
	x.blob = bytes.Clone(m.HostKey)
	return nil
}

// gssError ends the exchange with what the server says of its error.
func (x *run) gssError(p []byte) error {
	m := &msg.GSSError{Kex: true}
	if err := msg.Decode(p, m); err != nil {
		return x.c.Violation("%v", err)
	}
	return x.c.kexFailed(fmt.Errorf("GSS-API: server says %+q (status %#x, %#x)", clip(m.Text, 256), m.Major, m.Minor))
}

// knownHostKey takes the key that the server showed, if it did: the mechanism
// has vouched for it, so no policy is asked (RFC 4462 section 2.1). A
// connection that has seen a key sees no other.
func (x *run) knownHostKey() error {
	c := x.c
	if x.blob == nil {
		c.mu.Lock()
		x.hostKey = c.info.HostKey
		c.mu.Unlock()
		x.blob = c.hostBlob
		return nil
	}
	if c.hostBlob != nil && !bytes.Equal(c.hostBlob, x.blob) {
		return errors.New("server shows another key than at the start")
	}
	var err error
	x.hostKey, _, _, err = c.parseHostKey(x.chosen.HostKey, x.blob)
	return err
}

// gssServer is the server's half of RFC 4462 sections 2.1 and 2.2.
func (x *run) gssServer(ctx context.Context) error {
	c := x.c
	ctx, cancel := c.gssTime(ctx)
	defer cancel()
	if x.chosen.HostKey != nullHostKey && !c.Quirks().Has(GSSHostKey) {
		signer, err := c.signerFor(x.chosen.HostKey)
		if err != nil {
			return c.kexFailed(err)
		}
		x.hostKey = signer.PublicKey()
		x.blob = x.hostKey.Marshal()
	}
	method, err := x.serverMethod()
	if err != nil {
		return err
	}

	// 2: e and the first token. The packet is overwritten by the next one.
	var initial msg.KexGSSInit
	p, err := c.readKex(initial.Number())
	if err != nil {
		return err
	}
	if err := msg.Decode(p, &initial); err != nil {
		return c.Violation("%v", err)
	}
	public := bytes.Clone(initial.Public)
	gc, err := x.gss.Start(ctx)
	if err != nil {
		return c.kexFailed(err)
	}
	if x.blob != nil {
		c.out.sendUrgent(urgent{buf: encode(&msg.KexGSSHostKey{HostKey: x.blob})})
	}

	// 3: tokens both ways until the context is established. The client is
	// known before anything is computed for it.
	token, done, err := x.gssToken(ctx, gc, initial.Token)
	for round := 1; err == nil && !done; round++ {
		if len(token) == 0 || round == MaxGSSRounds {
			return c.kexFailed(errors.New("GSS-API: no end of tokens"))
		}
		c.out.sendUrgent(urgent{buf: encode(&msg.KexGSSContinue{Token: token})})
		if p, err = c.readKex(msg.NumKexGSSContinue); err != nil {
			return err
		}
		token, done, err = x.gssStep(ctx, gc, p)
	}
	if err != nil {
		return err
	}
	if s := gc.State(); !s.Mutual || !s.Integrity {
		return c.kexFailed(errors.New("GSS-API: client did not ask for mutual authentication and integrity"))
	}

	// 4: f, K, H and its MIC.
	mine, secret, err := method.Reply(public)
	if err != nil {
		return c.kexFailed(err)
	}
	x.secret = secret
	x.finishHash(public, mine)
	mic, err := gc.MIC(x.hash)
	if err != nil {
		return c.kexFailed(err)
	}
	x.reply = &msg.KexGSSComplete{Public: mine, MIC: mic, HasToken: len(token) > 0, Token: token}
	if c.first {
		c.gss, c.gssOID = gc, x.gss.OID
	}
	return nil
}
