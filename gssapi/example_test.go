package gssapi_test

import (
	"context"
	"fmt"
	"net"

	"github.com/fairlead-ssh/fairlead/gssapi"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A server that lets the users of a realm in under their own names, and proves
// itself to them by its keytab.
func ExampleNewAcceptor() {
	acceptor, err := gssapi.NewAcceptor(&gssapi.AcceptorConfig{Keytab: "/etc/krb5.keytab"})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &ssh2.Server{Auth: ssh2.ServerAuth{GSSAPI: &ssh2.GSSServer{
		Mechanisms:  []ssh2.GSSAcceptor{acceptor},
		KeyExchange: true,
		Allow:       gssapi.SameName("EXAMPLE.ORG"),
	}}}
	l, err := net.Listen("tcp", ":22")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Serve(l))
}

// A client that uses the tickets that kinit has got.
func ExampleNewInitiator() {
	initiator, err := gssapi.NewInitiator(&gssapi.InitiatorConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	known, err := ssh2.ReadKnownHosts("/home/alice/.ssh/known_hosts")
	if err != nil {
		fmt.Println(err)
		return
	}
	krb5 := &ssh2.GSSClient{Mechanisms: []ssh2.GSSInitiator{initiator}}
	cfg := &ssh2.ClientConfig{
		User:           "alice",
		Auth:           []ssh2.AuthMethod{ssh2.GSSKeyex(), ssh2.GSSAPI(krb5)},
		GSSKeyExchange: krb5,
		HostKeyPolicy:  known, // for servers without Kerberos
	}
	c, err := ssh2.Dial(context.Background(), "tcp", "server.example.org:22", cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = c.Close()
}
