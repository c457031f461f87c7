package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// A raw client says what it likes while it authenticates.
type raw struct {
	t  testing.TB
	c  *transport.Conn
	nc net.Conn
}

func dialTCP(tb testing.TB, s *sftpserver.Server) net.Conn {
	tb.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return nc
}

// rawClient has keys exchanged and asked for ssh-userauth.
func rawClient(tb testing.TB, s *sftpserver.Server) *raw {
	tb.Helper()
	p := &raw{t: tb, nc: dialTCP(tb, s)}
	p.c = transport.New(p.nc, &transport.Config{
		Role: msg.Client, Version: "SSH-2.0-raw", Kex: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"},
		Ciphers: []string{"aes128-gcm@openssh.com"},
		HostKey: func(context.Context, string, gossh.PublicKey) error { return nil },
	})
	if err := p.c.Handshake(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.c.Close(); p.c.ReleaseReader() })
	p.send(&msg.ServiceRequest{Service: "ssh-userauth"})
	p.want("accept")
	return p
}

func (p *raw) send(m msg.Message) {
	p.t.Helper()
	if err := p.c.SendMessage(m); err != nil {
		p.t.Fatal(err)
	}
}

func (p *raw) request(user, service, method string, fields wire.Layouter) {
	p.t.Helper()
	r := &msg.UserauthRequest{User: user, Service: service, Method: method}
	if fields != nil {
		r.Fields = wire.Append(nil, fields)
	}
	p.send(r)
}

func (p *raw) password(user, pw string) {
	p.t.Helper()
	p.request(user, "ssh-connection", "password", &msg.PasswordFields{Password: []byte(pw)})
}

// want reads one answer, banners apart.
func (p *raw) want(want string) {
	p.t.Helper()
	if got := p.next(); got != want {
		p.t.Fatalf("answer %q, want %q", got, want)
	}
}

func (p *raw) next() string {
	b, err := p.c.Next()
	var d *transport.DisconnectError
	switch {
	case errors.As(err, &d):
		return fmt.Sprint("disconnect ", d.Reason)
	case errors.Is(err, io.EOF):
		return "end"
	case err != nil:
		return err.Error()
	}
	switch b[0] {
	case msg.NumUserauthBanner:
		return p.next()
	case msg.NumServiceAccept:
		return "accept"
	case msg.NumUserauthSuccess:
		return "success"
	case msg.NumUserauthFailure:
		var m msg.UserauthFailure
		if err := msg.Decode(b, &m); err != nil {
			return err.Error()
		}
		if m.Partial {
			return "partial " + strings.Join(m.Methods, ",")
		}
		return "failure " + strings.Join(m.Methods, ",")
	case 60:
		var q msg.InfoRequest
		if msg.Decode(b, &q) == nil && len(q.Prompts) > 0 {
			var texts []string
			for _, prompt := range q.Prompts {
				texts = append(texts, prompt.Text)
			}
			return "ask " + strings.Join(texts, ",")
		}
		return "pkok"
	}
	return msg.Name(b[0])
}

// signed is a publickey request with a signature by s.
func (p *raw) signed(user string, s gossh.Signer) {
	p.t.Helper()
	blob := s.PublicKey().Marshal()
	var b []byte
	b = wire.AppendBytes(b, p.c.SessionID())
	b = append(b, msg.NumUserauthRequest)
	b = wire.AppendString(b, user)
	b = wire.AppendString(b, "ssh-connection")
	b = wire.AppendString(b, "publickey")
	b = append(b, 1)
	b = wire.AppendString(b, "ssh-ed25519")
	b = wire.AppendBytes(b, blob)
	sig, err := s.Sign(bytes.NewReader(nil), b)
	if err != nil {
		p.t.Fatal(err)
	}
	p.request(user, "ssh-connection", "publickey", &msg.PublicKeyFields{Signed: true, Algorithm: "ssh-ed25519", Key: blob, Signature: gossh.Marshal(sig)})
}
