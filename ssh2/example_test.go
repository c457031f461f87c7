package ssh2_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A server that greets, and a client that asks it to.
func Example() {
	_, private, _ := ed25519.GenerateKey(rand.Reader) // keep yours in a file
	key, _ := gossh.NewSignerFromSigner(private)

	s := &ssh2.Server{
		HostKeys: []gossh.Signer{key},
		Auth: ssh2.ServerAuth{Password: func(_ context.Context, a *ssh2.AuthAttempt, pw string) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == "ann" && ssh2.CheckPassword("secret", pw)}
		}},
		Session: func(_ context.Context, s *ssh2.ServerSession) {
			fmt.Fprintf(s, "hello %s, you asked for %q", s.User(), s.Command)
			s.Exit(7)
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = s.Serve(l) }()
	defer s.Close()

	ctx := context.Background()
	c, err := ssh2.Dial(ctx, "tcp", l.Addr().String(), &ssh2.ClientConfig{
		User:          "ann",
		Auth:          []ssh2.AuthMethod{ssh2.Password("secret")},
		HostKeyPolicy: ssh2.FixedHostKey(key.PublicKey()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	session, err := c.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := session.Output(ctx, "uptime")
	fmt.Printf("%s\n%v\n", out, err)
	// Output:
	// hello ann, you asked for "uptime"
	// ssh2: session: exit status 7
}
