package ssh2test_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

func peerConfig() *ssh2.ClientConfig {
	return &ssh2.ClientConfig{User: ssh2test.User, Auth: []ssh2.AuthMethod{ssh2.None()}, HostKey: gossh.FixedHostKey(ssh2test.HostKey())}
}

// TestW42_ScriptedServer: a client meets a server that does what a script says.
func TestW42_ScriptedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc := ssh2test.PlayServer(t, func(p *ssh2test.Peer) {
			p.Login()
			m := p.Want("a session", ssh2test.MsgChannelOpen)
			if typ, id := m.Text(), m.Uint32(); typ != "session" || id != 0 || m.Uint32() == 0 || m.Uint32() == 0 || len(m.Rest()) != 0 || m.Err() != nil {
				t.Errorf("%s %d: %s", typ, id, m)
			}
			p.Send(ssh2test.MsgChannelOpenFail, uint32(0), uint32(ssh2.OpenResourceShortage), "no room", "")
			p.Want("another", ssh2test.MsgChannelOpen)
			p.Disconnect(ssh2.DisconnectByApplication, "closing time")
		})
		c, err := ssh2.NewClient(t.Context(), nc, "server:22", peerConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var refused *ssh2.OpenError
		if _, err := c.Session(t.Context()); !errors.As(err, &refused) || refused.Reason != ssh2.OpenResourceShortage {
			t.Errorf("first session: %v", err)
		}
		var over *ssh2.DisconnectError
		if _, err := c.Session(t.Context()); !errors.As(err, &over) || over.Text != "closing time" {
			t.Errorf("second session: %v", err)
		}
	})
}

// TestW42_ScriptedClient: a server meets a client that breaks the protocol.
func TestW42_ScriptedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ssh2test.NewServer(hello)
		err := ssh2test.PlayClient(t, s, func(p *ssh2test.Peer) {
			p.Login("password", false, ssh2test.Password)
			p.Send(ssh2test.MsgChannelOpen, "session", uint32(7), uint32(1<<20), uint32(1<<15))
			m := p.Want("a session", ssh2test.MsgChannelOpenOK)
			if m.Uint32() != 7 {
				t.Error(m)
			}
			id := m.Uint32()
			p.Send(ssh2test.MsgChannelRequest, id, "exec", true, "x")
			p.Want("room to send", ssh2test.MsgChannelSuccess)
			p.Send(ssh2test.MsgChannelData, uint32(99), []byte("to nobody"))
			p.WantDisconnect("data for a channel that never was", ssh2.DisconnectProtocolError)
		})
		if _, ok := errors.AsType[*ssh2.ProtocolError](err); !ok {
			t.Errorf("served: %v", err)
		}
	})
}

// TestScriptedAuth: a script does authentication itself.
func TestScriptedAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc := ssh2test.PlayServer(t, func(p *ssh2test.Peer) {
			p.Want("the service", ssh2test.MsgServiceRequest)
			p.Send(ssh2test.MsgServiceAccept, "ssh-userauth")
			m := p.Want("a login", ssh2test.MsgUserauthRequest)
			if user, service, method := m.Text(), m.Text(), m.Text(); user != ssh2test.User || service != "ssh-connection" || method != "none" {
				t.Error(user, service, method)
			}
			p.Send(ssh2test.MsgUserauthFailure, "password", false)
			p.WantClosed("nothing else can be tried")
		})
		var no *ssh2.AuthError
		if _, err := ssh2.NewClient(t.Context(), nc, "server:22", peerConfig()); !errors.As(err, &no) || strings.Join(no.Remaining, ",") != "password" {
			t.Errorf("%v", err)
		}
	})
}

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB
	failed  []string
	cleanup []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(f string, a ...any) { r.failed = append(r.failed, fmt.Sprintf(f, a...)) }
func (r *recorder) Cleanup(f func())          { r.cleanup = append(r.cleanup, f) }
func (r *recorder) FailNow()                  { panic(r) }

// TestScriptFails: what does not come as wanted fails the test and ends the script.
func TestScriptFails(t *testing.T) {
	for want, script := range map[string]func(*ssh2test.Peer){
		"x: SERVICE_REQUEST": func(p *ssh2test.Peer) { p.Want("x", ssh2test.MsgChannelOpen) },
		"a field is a int":   func(p *ssh2test.Peer) { p.Send(ssh2test.MsgChannelOpen, 1) },
		"0 octets":           func(p *ssh2test.Peer) { p.SendRaw(nil) },
		"instead of DISCONNECT": func(p *ssh2test.Peer) {
			p.Want("the service", ssh2test.MsgServiceRequest)
			p.WantDisconnect("x", ssh2.DisconnectProtocolError)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{}
			nc := ssh2test.PlayServer(r, func(p *ssh2test.Peer) {
				script(p)
				r.failed = append(r.failed, "went on")
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := ssh2.NewClient(ctx, nc, "server:22", peerConfig()); err == nil {
				t.Error("logged in")
			}
			for _, f := range r.cleanup {
				f()
			}
			if len(r.failed) != 1 || !strings.Contains(r.failed[0], want) {
				t.Errorf("%q instead of %q", r.failed, want)
			}
		})
	}
}
