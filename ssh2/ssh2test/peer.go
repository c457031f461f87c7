package ssh2test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// Numbers of the messages that scripts are made of (RFC 4252 section 6, RFC
// 4254 section 9).
const (
	MsgServiceRequest  = msg.NumServiceRequest
	MsgServiceAccept   = msg.NumServiceAccept
	MsgUserauthRequest = msg.NumUserauthRequest
	MsgUserauthFailure = msg.NumUserauthFailure
	MsgUserauthSuccess = msg.NumUserauthSuccess
	MsgGlobalRequest   = msg.NumGlobalRequest
	MsgRequestSuccess  = msg.NumRequestSuccess
	MsgRequestFailure  = msg.NumRequestFailure
	MsgChannelOpen     = msg.NumChannelOpen
	MsgChannelOpenOK   = msg.NumChannelOpenOK
	MsgChannelOpenFail = msg.NumChannelOpenFail
	MsgWindowAdjust    = msg.NumWindowAdjust
	MsgChannelData     = msg.NumChannelData
	MsgChannelExtData  = msg.NumChannelExtData
	MsgChannelEOF      = msg.NumChannelEOF
	MsgChannelClose    = msg.NumChannelClose
	MsgChannelRequest  = msg.NumChannelRequest
	MsgChannelSuccess  = msg.NumChannelSuccess
	MsgChannelFailure  = msg.NumChannelFailure
)

// scriptTime bounds the handshake of a Peer.
const scriptTime = time.Minute

// A Peer is one end of a connection, played by a test message by message, to
// see what a client or server of yours does when the other end is odd, slow or
// hostile. It does the transport by itself (ident, key exchange, encryption,
// and rekeying while it reads) and nothing else: no message of authentication
// or of channels is sent or answered unless the script says so.
//
// A Peer is for one goroutine, that of its script. A message other than the
// wanted one fails the test and ends the script.
type Peer struct {
	tb   testing.TB
	t    *transport.Conn
	role msg.Role
	stop func()
}

// PlayServer returns the client's end of a connection whose server is played
// by script, on a goroutine of its own that the end of the test waits for. The
// script begins after the key exchange; the connection ends with it. The
// server's host key is HostKey.
//
//	nc := ssh2test.PlayServer(t, func(p *ssh2test.Peer) {
//		p.Login()
//		p.Want("a session", ssh2test.MsgChannelOpen)
//		p.Disconnect(ssh2.DisconnectByApplication, "closing time")
//	})
//	c, err := ssh2.NewClient(ctx, nc, "server:22", cfg)
func PlayServer(tb testing.TB, script func(p *Peer)) *Conn {
	tb.Helper()
	ours, theirs := netsim.Pipe(Link{}, Link{})
	p := &Peer{tb: tb, role: msg.Server, stop: runtime.Goexit} // Goexit, since FailNow is for the test's own goroutine
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.close()
		if p.handshake(theirs) {
			script(p)
		}
	}()
	tb.Cleanup(func() {
		_ = ours.Close()
		<-done
	})
	return ours
}

// PlayClient plays a client of s: script runs on the caller's goroutine, and
// the connection ends with it. It returns the result of s.ServeConn.
func PlayClient(tb testing.TB, s *ssh2.Server, script func(p *Peer)) error {
	tb.Helper()
	ours, theirs := netsim.Pipe(Link{}, Link{})
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(context.Background(), theirs) }()
	p := &Peer{tb: tb, role: msg.Client, stop: tb.FailNow}
	func() {
		defer p.close()
		if p.handshake(ours) {
			script(p)
		}
	}()
	return <-served
}

// HostKey returns the host key of PlayServer and NewServer.
func HostKey() gossh.PublicKey {
	key, err := hostKey()
	if err != nil {
		return nil
	}
	return key.PublicKey()
}

func (p *Peer) handshake(nc *netsim.Conn) bool {
	kexRows, hostRows := kex.Rows(), transport.HostKeyAlgorithms()
	cfg := &transport.Config{
		Role: p.role, Version: "SSH-2.0-Scripted",
		Kex: alg.Defaults(kexRows), HostKeys: alg.Defaults(hostRows),
		Ciphers: alg.Defaults(slices.Collect(seal.Ciphers())), MACs: alg.Defaults(slices.Collect(seal.MACs())),
		HostKey: func(context.Context, string, gossh.PublicKey) error { return nil },
		Signers: func() []gossh.Signer {
			if key, err := hostKey(); err == nil {
				return []gossh.Signer{key}
			}
			return nil
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	p.t = transport.New(nc, cfg)
	if err := p.t.Handshake(ctx); err != nil {
		p.t = nil
		p.fatalf("handshake: %v", err)
		return false
	}
	return true
}

// close ends the connection once what was sent is out.
func (p *Peer) close() {
	if p.t != nil {
		_ = p.t.Disconnect(uint32(ssh2.DisconnectByApplication), "end of the script") // nothing if it has ended
		_ = p.t.Close()
		p.t.ReleaseReader()
	}
}

func (p *Peer) fatalf(format string, a ...any) {
	p.tb.Helper()
	p.tb.Errorf("ssh2test: "+format, a...)
	p.stop()
}

// Login logs in: a client with User and method "none", unless fields are given,
// which are then those of its USERAUTH_REQUEST behind the service; a server by
// letting in whatever is asked for. Afterwards the connection protocol runs.
func (p *Peer) Login(fields ...any) {
	p.tb.Helper()
	if p.role == msg.Client {
		if len(fields) == 0 {
			fields = []any{"none"}
		}
		p.Send(MsgServiceRequest, "ssh-userauth")
		p.Want("the service", MsgServiceAccept)
		p.Send(MsgUserauthRequest, append([]any{User, "ssh-connection"}, fields...)...)
		p.Want("to be let in", MsgUserauthSuccess)
	} else {
		p.Want("the service to be asked for", MsgServiceRequest)
		p.Send(MsgServiceAccept, "ssh-userauth")
		p.Want("a login", MsgUserauthRequest)
		p.Send(MsgUserauthSuccess)
	}
	p.Open()
}

// Open tells the Peer that authentication is over, for scripts that do it
// themselves: from then on the transport accepts messages of the connection
// protocol.
func (p *Peer) Open() { p.t.SetPhase(msg.Open) }

// Raw is a field that goes out as it is, without a length.
type Raw []byte

// Send sends a message: its number and its fields, each a bool, byte, uint32,
// uint64, string or []byte (both with their length in front), or Raw. It does
// not wait; a script that sends more than a thousand messages to an end that
// does not read fails.
func (p *Peer) Send(number byte, fields ...any) {
	p.tb.Helper()
	b := []byte{number}
	for _, f := range fields {
		switch f := f.(type) {
		case bool:
			if f {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case byte:
			b = append(b, f)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, f)
		case string:
			b = wire.AppendString(b, f)
		case []byte:
			b = wire.AppendBytes(b, f)
		case Raw:
			b = append(b, f...)
		default:
			p.fatalf("send %s: a field is a %T", msg.Name(number), f)
			return
		}
	}
	p.SendRaw(b)
}

// SendRaw sends any payload at all, of 1 to 256 KiB.
func (p *Peer) SendRaw(payload []byte) {
	p.tb.Helper()
	if len(payload) == 0 || len(payload) > packet.MaxPayload {
		p.fatalf("send: %d octets", len(payload))
		return
	}
	b := packet.Get(len(payload))
	copy(b.Bytes(), payload)
	if err := p.t.Post(b); err != nil {
		p.fatalf("send %s: %v", msg.Name(payload[0]), err)
	}
}

// Next returns the next message for the layers above the transport. The error
// is io.EOF when the connection has ended, *ssh2.DisconnectError after a
// DISCONNECT.
func (p *Peer) Next() (*Message, error) {
	b, err := p.t.Next()
	if err != nil {
		return nil, err
	}
	return newMessage(slices.Clone(b)), nil
}

// Want returns the next message, which must have this number; why is for the
// text of the failure.
func (p *Peer) Want(why string, number byte) *Message {
	p.tb.Helper()
	m, err := p.Next()
	switch {
	case err != nil:
		p.fatalf("%s: %v instead of %s", why, err, msg.Name(number))
	case m.Number != number:
		p.fatalf("%s: %s instead of %s", why, m, msg.Name(number))
	}
	return m
}

// WantDisconnect waits for a DISCONNECT, which must have this reason, and
// ignores other messages before it.
func (p *Peer) WantDisconnect(why string, reason ssh2.DisconnectReason) {
	p.tb.Helper()
	d := new(ssh2.DisconnectError)
	switch err := p.skip(); {
	case !errors.As(err, &d):
		p.fatalf("%s: %v instead of DISCONNECT", why, err)
	case d.Reason != uint32(reason):
		p.fatalf("%s: DISCONNECT with reason %d instead of %d", why, d.Reason, uint32(reason))
	}
}

// WantClosed waits until the connection ends, with or without DISCONNECT, and
// ignores other messages before that.
func (p *Peer) WantClosed(why string) {
	p.tb.Helper()
	err := p.skip()
	if d := new(ssh2.DisconnectError); !errors.As(err, &d) && !errors.Is(err, io.EOF) {
		p.fatalf("%s: %v instead of the end", why, err)
	}
}

// skip reads to the end.
func (p *Peer) skip() error {
	for {
		if _, err := p.t.Next(); err != nil {
			return err
		}
	}
}

// Disconnect sends DISCONNECT with a reason and ends the connection.
func (p *Peer) Disconnect(reason ssh2.DisconnectReason, text string) {
	_ = p.t.Disconnect(uint32(reason), text)
}

// A Message is a message that a [Peer] received. Its methods read field after
// field. What does not fit is returned as a zero value, and Err reports it.
type Message struct {
	Number  byte   // the first octet of Payload
	Payload []byte // all of it, the number included
	c       *wire.Coder
}

func newMessage(payload []byte) *Message {
	return &Message{Number: payload[0], Payload: payload, c: wire.Decoder(payload[1:])}
}

// String returns the message's name and octets.
func (m *Message) String() string { return fmt.Sprintf("%s %x", msg.Name(m.Number), m.Payload[1:]) }

// Bool takes a boolean.
func (m *Message) Bool() (v bool) { m.c.Bool(&v); return v }

// Uint32 takes a uint32.
func (m *Message) Uint32() (v uint32) { m.c.Uint32(&v); return v }

// Text takes a string.
func (m *Message) Text() (v string) { m.c.String(&v); return v }

// Bytes takes a string of octets.
func (m *Message) Bytes() (v []byte) { m.c.Bytes(&v); return v }

// Rest takes all that is left.
func (m *Message) Rest() (v []byte) { m.c.Rest(&v); return v }

// Err returns the first mismatch, or nil.
func (m *Message) Err() error { return m.c.Err() }
