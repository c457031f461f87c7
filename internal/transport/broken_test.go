package transport

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

var errBroken = errors.New("broken pipe")

// halfBroken is a connection whose writes fail once broken is closed, while
// what the peer sent can still be read, as after a reset.
type halfBroken struct {
	net.Conn
	broken chan struct{}
}

func (h *halfBroken) Write(p []byte) (int, error) {
	select {
	case <-h.broken:
		return 0, errBroken
	default:
		return h.Conn.Write(p)
	}
}

// TestHandshakeWithoutOutput: a peer that cannot hear us is no reason to take
// the handshake for done.
func TestHandshakeWithoutOutput(t *testing.T) {
	for _, role := range []msg.Role{msg.Client, msg.Server} {
		t.Run(role.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc, sc := testConfigs()
				cfg, peerCfg := cc, sc
				if role == msg.Server {
					cfg, peerCfg = sc, cc
				}
				a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
				h := &halfBroken{a, make(chan struct{})}
				close(h.broken)
				c := New(h, cfg)
				end := make(chan error, 1)
				go func() { end <- c.Handshake(t.Context()) }()
				synctest.Wait() // the first write has failed
				_, _ = b.Write([]byte(peerCfg.Version + "\r\n"))
				p := &peer{t: t, nc: b, role: role.Other()}
				m := New(b, peerCfg).newKexInit(true)
				body := msg.Append(nil, m)
				p.sealer = seal.Plain{}
				p.SendPayload(body)
				if err := <-end; !errors.Is(err, errBroken) {
					t.Errorf("handshake ended with %v", err)
				}
				if i := c.Info(); i.KeyExchanges != 0 || i.SessionID != nil {
					t.Errorf("%+v", i)
				}
				_ = b.Close()
			})
		})
	}
}

// TestHandshakeRefusedBehindKexInit: a server that sends its KEXINIT, learns who we are, says why
// it does not want us and closes is heard, though our KEXINIT cannot be written any more.
func TestHandshakeRefusedBehindKexInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, peerCfg := testConfigs()
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		h := &halfBroken{a, make(chan struct{})}
		close(h.broken)
		c := New(h, cfg)
		end := make(chan error, 1)
		go func() { end <- c.Handshake(t.Context()) }()
		synctest.Wait() // the first write has failed
		_, _ = b.Write([]byte(peerCfg.Version + "\r\n"))
		p := &peer{t: t, nc: b, role: msg.Server}
		p.sealer = seal.Plain{}
		p.SendPayload(msg.Append(nil, New(b, peerCfg).newKexInit(true)))
		p.SendPayload(msg.Append(nil, &msg.Disconnect{Reason: ReasonVersionNotSupported, Text: "not you"}))
		_ = b.Close()
		var d *DisconnectError
		if err := <-end; !errors.As(err, &d) || !d.Remote || d.Reason != ReasonVersionNotSupported {
			t.Errorf("handshake ended with %v", err)
		}
	})
}

// TestRekeyWithoutOutput: the same later, where the peer may still say why it
// went.
func TestRekeyWithoutOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc, sc := testConfigs()
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		h := &halfBroken{a, make(chan struct{})}
		client, server := New(h, cc), New(b, sc)
		up := make(chan error, 1)
		go func() { up <- server.Handshake(t.Context()) }()
		if err := client.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-up; err != nil {
			t.Fatal(err)
		}
		client.SetPhase(msg.Open)
		server.SetPhase(msg.Open)
		close(h.broken)
		_ = client.SendMessage(&msg.Ignore{})
		synctest.Wait()
		if err := client.Rekey(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("rekey: %v", err)
		}
		go func() { _ = server.Rekey(t.Context()) }()
		synctest.Wait()
		_ = server.Disconnect(ReasonByApplication, "full")
		if err := drain(client, nil); !errors.Is(err, errBroken) && !errors.Is(err, io.EOF) && !errors.As(err, new(*DisconnectError)) {
			t.Errorf("ended with %v", err)
		}
		_ = server.Close()
		server.ReleaseReader()
		time.Sleep(2 * time.Second)
	})
}
