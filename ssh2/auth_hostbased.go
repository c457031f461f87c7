package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/keys"
)

// maxHostName is the longest name that a host has in the DNS.
const maxHostName = 255

// A HostBasedClaim is what a client says in method hostbased: that it is the
// host of that name, and that its user is the one of that name there. The
// library has verified that the client's host holds the private half of Key.
// [ServerAuth.HostBased] decides whether Key is that host's key, which
// [KnownHosts.CheckHost] can tell, whether Host may vouch for its users, and
// whether this user may log in.
type HostBasedClaim struct {
	// Host is the name that the client gives its host, without the dot at the
	// end, in printable ASCII without spaces. It says nothing about the address
	// that the connection comes from, which is in AuthAttempt.Meta.
	Host string
	// User is the name of the user on the client's host: not empty, at most
	// MaxUserName octets of UTF-8, no control characters.
	User string
	// Key is the host's, as it was sent: a *gossh.Certificate if it sent one.
	// The library has then checked that it is a host's, valid now and good for
	// Host. Whether its authority is trusted is left to the handler.
	Key gossh.PublicKey
	// Algorithm is the one that the signature was made with.
	Algorithm string
}

// hostBased is RFC 4252 section 9 on a server.
func (s *authServer) hostBased(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	var f msg.HostBasedFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	at.Algorithm = f.Algorithm
	row := findKeyAlg(f.Algorithm)
	if row == nil || row.isSK() || row.isX509() || !slices.Contains(s.hostAlgs, row.Name) {
		return refused("algorithm not allowed"), nil, nil
	}
	claim := &HostBasedClaim{Host: strings.TrimSuffix(f.Host, "."), User: f.User, Algorithm: f.Algorithm}
	if err := checkHostName(claim.Host); err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	if err := checkUser(claim.User); err != nil {
		return Verdict{Reason: fmt.Errorf("on the client's host: %w", err)}, nil, nil
	}
	key, err := row.parse(f.Key, s.rsa)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}
	s.key, claim.Key = key, key
	factor := bareKey(key).Marshal()
	if slices.ContainsFunc(s.progress.keys, func(k []byte) bool { return bytes.Equal(k, factor) }) {
		return refused("key was used already"), nil, nil
	}
	if cert, ok := key.(*gossh.Certificate); ok {
		if err := checkHostCert(cert, claim.Host, time.Now(), s.rsa); err != nil {
			return Verdict{Reason: err}, nil, nil
		}
	}
	data := hostBasedData(s.t.SessionID(), at.User, at.Service, &f)
	_, err = row.verify(key, data, f.Signature)
	at.Verified = err == nil
	s.tellSignature(ctx, at, key, err)
	if err != nil {
		return Verdict{Reason: err}, nil, nil
	}

	c := *at
	v := s.auth.HostBased(ctx, &c, claim)
	if v.accepts() {
		s.progress.keys = append(s.progress.keys, factor)
	}
	return v, nil, nil
}

// checkHostName says why a name cannot be that of a host.
func checkHostName(host string) error {
	switch {
	case host == "":
		return errors.New("empty host name")
	case len(host) > maxHostName:
		return errors.New("host name too long")
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("host name is not plain ASCII")
	}
	return nil
}

// hostBasedData is what the signature of a request covers (RFC 4252 section 9).
// The name of the method in it keeps a signature from being one of another
// method.
func hostBasedData(sessionID []byte, user, service string, f *msg.HostBasedFields) []byte {
	b := wire.AppendBytes(make([]byte, 0, 256+len(sessionID)+len(f.Key)), sessionID)
	b = append(b, msg.NumUserauthRequest)
	b = wire.AppendString(b, user)
	b = wire.AppendString(b, service)
	b = wire.AppendString(b, MethodHostBased)
	b = wire.AppendString(b, f.Algorithm)
	b = wire.AppendBytes(b, f.Key)
	b = wire.AppendString(b, f.Host)
	return wire.AppendString(b, f.User)
}

// bareKey is the key that a certificate vouches for, or key itself.
func bareKey(key gossh.PublicKey) gossh.PublicKey {
	switch k := key.(type) {
	case *gossh.Certificate:
		return k.Key
	case *keys.X509PublicKey:
		return k.Plain()
	}
	return key
}

// HostBased logs in by the key of the client's host (RFC 4252 section 9): s
// holds that key, host is the name of the host, preferably fully qualified, and
// user the name of the user there. Each attempt makes a signature, since the
// protocol has no way to ask beforehand whether the server would accept the
// key.
func HostBased(s gossh.Signer, host, user string) AuthMethod {
	return &hostBasedMethod{s, host, user}
}

type hostBasedMethod struct {
	signer     gossh.Signer
	host, user string
}

func (*hostBasedMethod) name() string { return MethodHostBased }

func (m *hostBasedMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	key := m.signer.PublicKey()
	rows := c.chooseAlgs(m.signer)
	if len(rows) == 0 {
		return authFailed, c.local("host based", fmt.Errorf("no algorithm for %s", quoteAuth(key.Type())))
	}
	for _, row := range rows {
		if !c.possible(MethodHostBased) {
			break
		}
		f := msg.HostBasedFields{Algorithm: row.Name, Key: key.Marshal(), Host: m.host, User: m.user}
		var err error
		f.Signature, err = within(ctx, func() ([]byte, error) {
			return sign(m.signer, row, hostBasedData(c.t.SessionID(), c.user, serviceConnection, &f))
		})
		if ctx.Err() != nil {
			return authFailed, context.Cause(ctx)
		}
		if err != nil {
			return authFailed, c.local("host based", err)
		}
		if err := c.request(MethodHostBased, &f); err != nil {
			return authFailed, err
		}
		c.proof = true
		p, err := c.reply(ctx)
		if err != nil {
			return authFailed, err
		}
		out, err := c.outcome(p)
		if out != authFailed || err != nil {
			return out, err
		}
	}
	return authFailed, nil
}
