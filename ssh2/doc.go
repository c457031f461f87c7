// Package ssh2 is SSH-2 for both roles: connections, authentication, channels
// and sessions (RFC 4251 to 4254, with OpenSSH's extensions).
//
// A server is a struct. What its fields do not allow is refused:
//
//	s := &ssh2.Server{
//		HostKeys: []gossh.Signer{key},
//		Auth:     ssh2.ServerAuth{Password: check},
//		Session: func(ctx context.Context, s *ssh2.ServerSession) {
//			fmt.Fprintf(s, "you asked for %q\n", s.Command)
//			s.Exit(0)
//		},
//	}
//	err := s.Serve(listener)
//
// A client dials and runs commands, or takes a subsystem's channel:
//
//	known, err := ssh2.ReadKnownHosts()
//	c, err := ssh2.Dial(ctx, "tcp", "example.org:22", &ssh2.ClientConfig{
//		User: "me", Auth: []ssh2.AuthMethod{ssh2.Password(pw)}, HostKeyPolicy: known,
//	})
//	s, err := c.Session(ctx)
//	out, err := s.Output(ctx, "uptime")
//
// Keys are of the types of golang.org/x/crypto/ssh: PublicKey, Signer,
// Certificate.
//
// # Forwarding
//
// [Client.DialContext] and [Client.Listen] do what their namesakes in package
// net do, but on the server's network, for TCP and for Unix sockets. A server
// forwards only what Server.Forward permits, by default nothing:
//
//	s.Forward = ssh2.ForwardPolicy{
//		PermitOpen:   []string{"db.internal:5432"},
//		PermitListen: []string{"localhost:*"},
//	}
//
// # Goroutines and back-pressure
//
// An idle connection has two goroutines, a reader and a writer. The reader
// never waits for output or for user code: handlers run on goroutines of their
// own, and channel data waits in queues bounded by the channel's window.
// Nothing has to be drained. Close is idempotent, prompt and unblocks everyone.
package ssh2
