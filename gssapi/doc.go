// Package gssapi lets SSH use Kerberos 5 (RFC 4120, RFC 4121): hosts prove
// themselves by their keytab instead of a host key, users by their ticket
// instead of a key or password. It provides the mechanism; the conversations
// are package ssh2's.
//
// A server needs a keytab with the key of host/NAME, and a function that says
// who may log in as whom:
//
//	acceptor, err := gssapi.NewAcceptor(&gssapi.AcceptorConfig{Keytab: "/etc/krb5.keytab"})
//	server.Auth.GSSAPI = &ssh2.GSSServer{
//		Mechanisms:  []ssh2.GSSAcceptor{acceptor},
//		KeyExchange: true,
//		Allow:       gssapi.SameName("EXAMPLE.ORG"),
//	}
//
// A client needs a ticket, for example from kinit, or a keytab or password to
// get one:
//
//	initiator, err := gssapi.NewInitiator(&gssapi.InitiatorConfig{})
//	krb5 := &ssh2.GSSClient{Mechanisms: []ssh2.GSSInitiator{initiator}}
//	cfg.GSSKeyExchange = krb5
//	cfg.Auth = []ssh2.AuthMethod{ssh2.GSSKeyex(), ssh2.GSSAPI(krb5)}
//
// Encryption types are those of AES (RFC 3962, RFC 8009); the formats of older
// ones (RFC 1964, RFC 4757) are not implemented. Credentials are never
// delegated, and those that a client delegates are not looked at. Confidential
// messages (wrap tokens) are not implemented, since SSH has no use for them.
package gssapi
