package ssh2test_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

// A test of a command over a link with a delay of a second each way, which takes no time.
func ExampleConnectOver() {
	test := func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := ssh2test.NewServer(func(_ context.Context, s *ssh2.ServerSession) {
				fmt.Fprintf(s, "you asked for %q", s.Command)
			})
			link := ssh2test.Link{Delay: time.Second}
			client := ssh2test.ConnectOver(t, server, nil, link, link)
			session, err := client.Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out, err := session.Output(t.Context(), "uptime")
			if err != nil || string(out) != `you asked for "uptime"` {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	_ = test
}

// A test of how a client takes a server that refuses every session.
func ExamplePlayServer() {
	test := func(t *testing.T) {
		conn := ssh2test.PlayServer(t, func(p *ssh2test.Peer) {
			p.Login()
			open := p.Want("a session", ssh2test.MsgChannelOpen)
			_ = open.Text() // its type
			p.Send(ssh2test.MsgChannelOpenFail, open.Uint32(), uint32(ssh2.OpenProhibited), "no", "")
			p.WantClosed("the client has nothing else to do")
		})
		client, err := ssh2.NewClient(t.Context(), conn, "server:22", &ssh2.ClientConfig{
			User: ssh2test.User, Auth: []ssh2.AuthMethod{ssh2.None()},
			HostKeyPolicy: ssh2.FixedHostKey(ssh2test.HostKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Session(t.Context()); err == nil {
			t.Error("a session, although the server refused it")
		}
	}
	_ = test
}
